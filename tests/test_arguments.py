"""Words of other packages: what is unambiguous is taken, the rest is answered with our word for it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import multilevel as ml
from multilevel.arguments import WORDS, understands
from multilevel.results.results import NAMES

SLEEP = "Reaction ~ Days + (1 + Days | Subject)"


@pytest.fixture(scope="module")
def sleep() -> ml.MixedModelResults:
    return ml.fit(SLEEP, ml.datasets.sleepstudy())


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"nAGQ": 9}, "'nAGQ' is n_quadrature here: 1 is the Laplace approximation"),
        ({"REML": False}, "'REML' is method here: 'reml', the default of linear mixed models, or 'ml'"),
        ({"groups": "Subject"}, r"'groups' is a term of the formula here: \(1 \| g\) for a random intercept"),
        ({"re_formula": "~Days"}, "'re_formula' is a term of the formula here"),
        ({"exposure": "t"}, r"'exposure' is offset here: .* offset='log\(t\)'"),
        ({"maxiter": 5}, "'maxiter' is max_iter here$"),
        ({"ziformula": "~1"}, "'ziformula' is zero_inflation here"),
        ({"control": {}}, "'control' is no argument here: there is one optimizer"),
        ({"familly": "poisson"}, "^fit has no argument 'familly'; did you mean 'family'[?]$"),
        ({"zzz": 1}, "^fit has no argument 'zzz'; fit has formula, data, family, link, .*, max_iter$"),
    ],
)
def test_arguments_of_fit(argument: dict[str, Any], message: str) -> None:
    with pytest.raises(ml.ArgumentError, match=message) as caught:
        ml.fit(SLEEP, ml.datasets.sleepstudy(), **argument)
    assert isinstance(caught.value, TypeError)


def test_arguments_of_the_other_step_are_told_apart() -> None:
    with pytest.raises(ml.ArgumentError, match=r"'nAGQ' is n_quadrature here: .* \(MixedModel has formula, data, "):
        ml.MixedModel(SLEEP, ml.datasets.sleepstudy(), nAGQ=9)
    with pytest.raises(ml.ArgumentError, match="'REML' is method here"):
        ml.MixedModel(SLEEP, ml.datasets.sleepstudy()).fit(REML=True)


Call = Callable[[ml.MixedModelResults], Any]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.conf_int(alpha=0.1), "'alpha' is level here: the coverage, level=0.9$"),
        (lambda r: r.tidy(conf_level=0.9), "'conf_level' is level here"),
        (lambda r: r.predict(type="link"), "'type' is kind here: kind='link'$"),
        (lambda r: r.predict(re_form=None), "'re_form' is random here: 'conditional' with random effects, 'zero' with"),
        (lambda r: r.predict(allow_new_levels=True), "'allow_new_levels' is new_levels here"),
        (lambda r: r.predict(exog=None), "'exog' is newdata here"),
        (lambda r: r.residuals(type="deviance"), "'type' is kind here: kind='deviance'$"),
        (lambda r: r.residuals(re_form=None), "'re_form' is random here: 'conditional' with random effects"),
        (lambda r: r.anova(typ=2), "'typ' is type here: 1, 2 or 3$"),
        (lambda r: r.anova(ddf="KR"), "'ddf' is df_method here"),
        (lambda r: r.summary(ddf="KR"), "'ddf' is df_method here"),
        (lambda r: r.refit(np.ones(180), REML=False), "'REML' is method here"),
        (lambda r: r.refit(newresp=np.ones(180)), "'newresp' is y here: the response, one number per row used"),
        (lambda r: ml.compare(r, r, refit=False), "'refit' is no argument here: compare tests by likelihood ratio"),
        (lambda r: ml.lm_list("Reaction ~ Days | Subject", {}, subset=1), "'subset' is no argument here: leave rows"),
        (lambda r: r.predict(newdat=1), "has no argument 'newdat'; did you mean 'newdata'"),
        (lambda r: r.coef(level=1), "has no argument 'level'; MixedModelResults.coef has no arguments"),
    ],
)
def test_arguments_of_results(sleep: ml.MixedModelResults, call: Call, message: str) -> None:
    with pytest.raises(ml.ArgumentError, match=message):
        call(sleep)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (lambda r: r.anova(type="II"), lambda r: r.anova(type=2)),
        (lambda r: r.anova(type="Type III"), lambda r: r.anova(type=3)),
        (lambda r: r.anova("iii"), lambda r: r.anova(3)),
        (lambda r: r.anova("1", "Kenward-Roger"), lambda r: r.anova(1, "kenward-roger")),
        (lambda r: r.residuals("Deviance"), lambda r: r.residuals("deviance")),
        (lambda r: r.predict(kind="LINK"), lambda r: r.predict(kind="link")),
        (lambda r: r.conf_int(df_method="Residual"), lambda r: r.conf_int(df_method="residual")),
        (lambda r: r.information_criteria("Subjects"), lambda r: r.information_criteria("subjects")),
    ],
)
def test_values_in_other_words(sleep: ml.MixedModelResults, theirs: Call, ours: Call) -> None:
    assert theirs(sleep).equals(ours(sleep))


@pytest.mark.parametrize(
    ("name", "ours"),
    [("cov_re", "random_cov"), ("fe_params", "params"), ("ranef", "random_effects()"), ("resid", "res")],
)
def test_attributes_of_other_packages(sleep: ml.MixedModelResults, name: str, ours: str) -> None:
    with pytest.raises(AttributeError, match=rf"'{name}' is {re.escape(ours)}.* here"):
        getattr(sleep, name)


def test_no_attribute_of_other_packages_is_ours_already() -> None:
    assert not [name for name in NAMES if hasattr(ml.MixedModelResults, name)]


def test_case_does_not_matter(sleep: ml.MixedModelResults) -> None:
    again = ml.fit(SLEEP, ml.datasets.sleepstudy(), "Gaussian", link="Identity", method="REML", missing="DROP")
    assert (again.llf, again.method, again.family) == (sleep.llf, "reml", ml.Family("gaussian"))
    assert ml.MixedModel(SLEEP, ml.datasets.sleepstudy()).fit("ML").method == "ml"
    assert (
        ml.MixedModel(SLEEP, ml.datasets.sleepstudy(), ml.Family("GAUSSIAN"), link="Identity").family.link == "identity"
    )


def test_what_is_still_refused(sleep: ml.MixedModelResults) -> None:
    with pytest.raises(ml.DataError, match="type='IV' is not known; the types are 1, 2 and 3"):
        sleep.anova(type="IV")
    with pytest.raises(
        ml.DataError, match=r"there is no family 'normal'; did you mean 'gaussian'\? There are .*families\(\)"
    ):
        ml.Family("normal")
    with pytest.raises(ml.DataError, match=r"did you mean 'binomial' with link=[?]"):
        ml.Family("binomial(probit)")
    with pytest.raises(
        ValueError, match="random=None is not available; choose 'conditional', 'zero', 'marginal', or a list"
    ):
        sleep.predict(random=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="level='95%' must lie between 0 and 1"):
        sleep.tidy("95%")  # type: ignore[arg-type]
    with pytest.raises(ml.DataError, match="family is a list; give its name, one of binomial, poisson, gaussian"):
        ml.fit(SLEEP, ml.datasets.sleepstudy(), [])  # type: ignore[arg-type]


def test_signatures_and_help_are_as_written() -> None:
    assert list(inspect.signature(ml.fit).parameters)[:3] == ["formula", "data", "family"]
    assert "nAGQ" not in inspect.signature(ml.fit).parameters
    assert (ml.fit.__doc__ or "").startswith("Fits a generalized linear mixed model")


def test_no_word_is_ours_already() -> None:
    """A word in the table that a function has as its own argument could never be answered there; few are both."""
    functions = (ml.fit, ml.MixedModelResults.predict, ml.MixedModelResults.anova, ml.MixedModelResults.conf_int)
    ours = {name for function in functions for name in inspect.signature(function).parameters}
    assert ours & set(WORDS) == {"cluster", "data", "random", "robust", "trials", "type"}


def test_errors_of_the_function_itself_pass() -> None:
    @understands
    def half(n: float) -> float:
        return n / 2

    assert half(3) == half(n=3) == 1.5
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        half()  # type: ignore[call-arg]
