"""The left-hand side: trials, proportions, counts, expressions."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.design.build import build_design
from multilevel.errors import DataError, DataWarning
from multilevel.family.registry import Family

from .design_data import DATA, build


def test_binomial_responses() -> None:
    numbers = build("b ~ x", family="binomial").response
    assert (numbers.size, numbers.levels) == (None, None)
    assert np.array_equal(numbers.values, DATA["b"])
    text = build("s ~ x", family="binomial").response
    assert text.levels == ("u", "v")
    assert np.array_equal(text.values, DATA["s"] == "v")
    category = build("c ~ x", family="binomial").response
    assert category.levels == ("yes", "no")
    assert np.array_equal(category.values, DATA["c"] == "no")
    truth = build("flag ~ x", family="binomial").response
    assert truth.levels == ("False", "True")
    expression = build("I(x > 0) ~ z", family="binomial").response
    assert np.array_equal(expression.values, DATA["x"] > 0)
    relabelled = build("factor(k2) ~ x", DATA.assign(k2=DATA["b"] + 1), family="binomial").response
    assert relabelled.levels == ("1", "2")


def test_successes_and_failures() -> None:
    design = build("cbind(n, size - n) ~ x", family="binomial", weights=np.full(60, 2.0))
    assert np.array_equal(design.response.values, DATA["n"])
    assert np.array_equal(design.response.size, DATA["size"])
    assert design.weights is not None
    assert design.response.name == "cbind(n, size - n)"
    assert design.response.values.dtype == np.float64
    single = build("cbind(b, 1 - b) ~ x", family="binomial").response
    assert single.size is None


def test_proportions() -> None:
    for formula, data in (("n/size ~ x", DATA), ("p ~ x", DATA.assign(p=DATA["n"] / DATA["size"]))):
        design = build(formula, data, family="binomial", weights="size")
        assert np.array_equal(design.response.values, DATA["n"])
        assert np.array_equal(design.response.size, DATA["size"])
        assert design.weights is None
    weighted = build("b ~ x", family="binomial", weights="z")
    assert weighted.response.size is None
    assert np.array_equal(weighted.weights, DATA["z"])
    with pytest.warns(DataWarning, match="give the trials as weights="):
        build("I(n/20) ~ x", family="binomial")
    with pytest.warns(DataWarning, match="is not whole"):
        build("I(n/20) ~ x", family="binomial", weights="size")


def test_counts() -> None:
    assert np.array_equal(build("n ~ x", family="poisson").response.values, DATA["n"])
    with pytest.warns(DataWarning, match="'z' is not whole"):
        build("z ~ x", family="poisson")
    with pytest.warns(DataWarning, match="'z' is not whole"):
        build("cbind(z, size) ~ x", family="binomial")


def test_expressions_on_the_left() -> None:
    np.testing.assert_allclose(build("log(z) ~ x").response.values, np.log(DATA["z"]))
    np.testing.assert_allclose(build("z^2 - x ~ f").response.values, DATA["z"] ** 2 - DATA["x"])
    assert np.array_equal(build("flag ~ x").response.values, DATA["flag"])


def test_odd_values_warn_at_the_line_of_the_user() -> None:
    with pytest.warns(DataWarning) as caught:
        build_design("z ~ x", DATA, family=Family("poisson"))
    assert caught[0].filename == __file__


def test_responses_that_have_to_be_positive() -> None:
    assert np.array_equal(build("z ~ x", family="gamma").response.values, DATA["z"])
    for value in (0.0, -1.5):
        data = DATA.assign(z=np.where(DATA.index == 7, value, DATA["z"]))
        with pytest.raises(
            DataError, match=rf"'z' is {value:g} in row 7 .counted from 0.; this family needs numbers above zero"
        ):
            build("z ~ x", data, family="gamma")


# ---- another response for the same model -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trials() -> ml.MixedModel:
    return ml.MixedModel("cbind(incidence, size - incidence) ~ period + (1 | herd)", ml.datasets.cbpp(), "binomial")


def test_successes_of_a_refit_are_checked_as_those_of_a_fit(trials: ml.MixedModel) -> None:
    y = ml.datasets.cbpp()["incidence"].to_numpy(float)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trials.refit(y).llf == trials.fit().llf
    with pytest.warns(DataWarning, match=r"y is not whole: 2.4 at position 0$") as caught:
        trials.refit(np.where(np.arange(56) == 0, 2.4, y))
    assert caught[0].filename == __file__
    size = trials.design.response.size
    assert size is not None
    with pytest.raises(
        DataError, match=rf"y is {size[3] + 1:g} at position 3: more successes than trials \({size[3]:g}"
    ):
        trials.refit(np.where(np.arange(56) == 3, size + 1, y))
    with pytest.raises(DataError, match="y is -1 at position 5; a count cannot be negative"):
        trials.refit(np.where(np.arange(56) == 5, -1, y))
    with pytest.raises(
        DataError, match=r"shape \(3,\); 56 successes of 'cbind\(incidence, size - incidence\)' are needed"
    ):
        trials.refit(y[:3])


def quietly_refit(model: ml.MixedModel, y: object) -> None:
    """What the fit has to say of itself is not the point."""
    with warnings.catch_warnings():
        for category in (ml.SingularFitWarning, ml.ConvergenceWarning, ml.QuadratureWarning):
            warnings.simplefilter("ignore", category)
        model.refit(y)  # type: ignore[arg-type]


def test_proportions_are_no_successes(trials: ml.MixedModel) -> None:
    data = ml.datasets.cbpp()
    with pytest.warns(DataWarning, match="y is not whole"):
        quietly_refit(trials, data["incidence"] / data["size"])
    single = ml.MixedModel("use ~ age + (1 | district)", ml.datasets.contraception(), "binomial")
    y = np.where(np.arange(1934) % 3 == 0, 1.0, 0.0)
    with pytest.warns(DataWarning, match="y is not whole: 0.5 at position 1 and 1288 more"):
        quietly_refit(single, np.where(y == 0, 0.5, y))


def test_counts_of_a_refit() -> None:
    model = ml.MixedModel("n ~ x + (1 | g)", DATA, "poisson")
    y = DATA["n"].to_numpy(float)
    with pytest.warns(DataWarning, match="y is not whole: "):
        quietly_refit(model, y + 0.25)


def test_a_transformed_response_is_given_as_the_model_has_it() -> None:
    data = ml.datasets.sleepstudy()
    model = ml.MixedModel("log(Reaction) ~ Days + (1 | Subject)", data)
    assert model.refit(np.log(data["Reaction"])).llf == pytest.approx(model.fit().llf, abs=1e-9)
    with pytest.raises(DataError, match=r"y has shape \(2,\); 180 values of 'log\(Reaction\)' are needed"):
        model.refit([1.0, 2.0])
    assert "transformed values" in str(ml.MixedModel.refit.__doc__)
    assert "transformed values" in str(ml.MixedModelResults.refit.__doc__)


def test_labels_of_a_refit_go_with_the_rows() -> None:
    data = ml.datasets.sleepstudy()
    model = ml.MixedModel("Reaction ~ Days + (1 | Subject)", data)
    assert model.refit(pd.Series(data["Reaction"]).iloc[::-1]).llf == pytest.approx(model.fit().llf, abs=1e-9)
