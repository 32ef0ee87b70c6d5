"""`MixedModel` and `fit`: arguments, refits, what may be looked at before a fit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.fitting import verdict

FORMULA = "y ~ x + (1 | g)"


@pytest.fixture
def data() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    g = np.repeat(np.arange(30), 12)
    x = rng.normal(size=len(g))
    y = rng.poisson(np.exp(0.3 + 0.4 * x + rng.normal(size=30)[g] * 0.5)).astype(float)
    return pd.DataFrame({"y": y, "x": x, "g": g}, index=[f"row {k}" for k in range(len(g))])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": "a"}, "threads is 'a'"),
        ({"threads": 1.5}, "threads is 1.5"),
        ({"threads": -1}, "threads is -1"),
        ({"threads": 10**10}, "threads is"),
        ({"max_iter": 1.5}, "max_iter is 1.5"),
        ({"tol": "a"}, "tol is 'a'"),
        ({"tol": 0}, "tol is 0"),
        ({"progress": "yes"}, "progress is 'yes'"),
        ({"method": "mle"}, "method='mle' is not known; there are 'ml'"),
        ({"method": "reml"}, r"needs the gaussian family with the identity link, and this model is poisson\(log\)"),
        ({"n_quadrature": 0}, "n_quadrature is 0"),
        ({"n_quadrature": True}, "n_quadrature is True"),
        ({"n_quadrature": "many"}, "n_quadrature is 'many'"),
        ({"start": "abc"}, "start must hold numbers"),
        ({"start": [np.nan] * 3}, "start is not finite at position 0"),
        ({"start": [0.0] * 2}, "the model has 3 parameters"),
    ],
)
def test_arguments_are_checked(data: pd.DataFrame, options: dict[str, object], message: str) -> None:
    with pytest.raises(ml.DataError, match=message):
        ml.fit(FORMULA, data, "poisson", **options)


def test_a_family_is_suggested(data: pd.DataFrame) -> None:
    with pytest.raises(ml.DataError, match="did you mean 'poisson'"):
        ml.fit(FORMULA, data, "Poison")
    with pytest.raises(ml.DataError, match="has no link 'logit'; it has log, sqrt, identity"):
        ml.fit(FORMULA, data, "poisson", link="logit")


def test_refit_goes_by_label(data: pd.DataFrame) -> None:
    model = ml.MixedModel(FORMULA, data, "poisson")
    plain = model.fit()
    shuffled = data["y"].sample(frac=1, random_state=1)
    assert model.refit(shuffled).llf == plain.llf
    other = data["y"].rename(index=lambda label: label + "?")
    with pytest.raises(ml.DataError, match="the index of y differs"):
        model.refit(other)
    with pytest.raises(ml.DataError, match="y must hold numbers"):
        model.refit(["a"] * len(data))


def test_residuals_of_a_refit_are_of_the_new_response(data: pd.DataFrame) -> None:
    y = data["y"].to_numpy() + 1
    again = ml.MixedModel(FORMULA, data, "poisson").refit(y)
    np.testing.assert_allclose(again.residuals("response"), y - again.fittedvalues)


def test_weights_go_by_label(data: pd.DataFrame) -> None:
    weights = pd.Series(np.random.default_rng(1).uniform(0.5, 2, len(data)), index=data.index)
    right = ml.fit(FORMULA, data, "poisson", weights=weights.to_numpy())
    assert ml.fit(FORMULA, data, "poisson", weights=weights.sample(frac=1, random_state=2)).llf == right.llf
    assert "With prior weights" in str(right.summary())


def test_the_default_method(data: pd.DataFrame) -> None:
    gaussian = ml.MixedModel(FORMULA, data)
    assert gaussian.fit().method == "reml"
    assert gaussian.fit("ml").method == "ml"
    assert ml.fit(FORMULA, data, "poisson").method == "ml"
    assert ml.fit(FORMULA, data.assign(y=data["y"] + 1), link="log").method == "ml"
    plain = ml.MixedModel("y ~ x", data)
    assert plain.fit().method == "ml"
    with pytest.raises(ml.DataError, match="method='reml' needs a random-effects term"):
        plain.fit("reml")


def test_quadrature_needs_factors_that_nest(data: pd.DataFrame) -> None:
    data["h"] = np.arange(len(data)) % 7
    crossed = ml.MixedModel("y ~ x + (1 | g) + (1 | h)", data, "poisson")
    for points in (2, "auto"):
        with pytest.raises(ml.DataError, match=r"'g' and 'h' are crossed: 30 of the 30 levels of 'g' .* Use n_quadr"):
            crossed.fit(n_quadrature=points)
    data["m"], data["k"] = data["g"] // 5, np.arange(len(data)) // 4
    nested = ml.MixedModel("y ~ x + (1 | g) + (1 | m) + (1 | k)", data, "poisson")
    with pytest.raises(ml.DataError, match="or two that nest, and the model has 3: 'g', 'm', 'k'"):
        nested.fit(n_quadrature=2)
    three = ml.MixedModel("y ~ x + (1 + x | g) + (1 + x | m)", data, "poisson")
    with pytest.raises(ml.DataError, match=r"for each of 4 random effects are 11\^4 = 14,641 nodes per row"):
        three.fit(n_quadrature=11)
    data["y"] += data["h"]
    linear = ml.fit("y ~ x + (1 | g) + (1 | h)", data, n_quadrature=7)
    assert linear.llf == ml.fit("y ~ x + (1 | g) + (1 | h)", data).llf


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e290])
def test_columns_of_extreme_size(data: pd.DataFrame, scale: float) -> None:
    plain = ml.fit(FORMULA, data, "poisson")
    scaled = ml.fit(FORMULA, data.assign(x=data["x"] * scale), "poisson")
    assert scaled.llf == pytest.approx(plain.llf, abs=1e-8)
    assert scaled.params["x"] * scale == pytest.approx(plain.params["x"], rel=1e-7)


def test_many_columns(data: pd.DataFrame) -> None:
    # More columns than the narrow loops are for; the wide products must give the same numbers.
    rng = np.random.default_rng(3)
    names = [f"z{k}" for k in range(25)]
    wide = data.assign(**{name: rng.normal(size=len(data)) for name in names})
    results = ml.fit("y ~ x + " + " + ".join(names) + " + (1 | g)", wide, "poisson")
    assert results.converged
    assert np.abs(results.certificate.gradient).max() < 1e-5
    design = results.model.fixed_design
    assert list(design.index) == list(data.index)
    narrow = ml.fit("y ~ x + " + " + ".join(names[:10]) + " + (1 | g)", wide, "poisson")
    assert 0 < results.llf - narrow.llf < 30


def test_an_unidentified_term_is_named() -> None:
    data = ml.datasets.sleepstudy().assign(twice=lambda d: 2 * d["Days"])
    formula = "Reaction ~ Days + (1 | Subject) + (0 + Days | Subject) + (0 + twice | Subject)"
    with pytest.warns(ml.ConvergenceWarning, match="not identified: 'Subject: Days', 'Subject: twice' can move"):
        results = ml.fit(formula, data)
    assert not results.converged
    assert np.isfinite(results.bse).all()


@pytest.mark.parametrize(
    ("least", "missing", "named"),
    [
        (5e-10, (), "'a', 'b'"),  # known to be that small
        (0.0, (2,), "'c'"),  # on the scale of the search, where rounding on this one says something else
        (0.0, (0, 1, 2), "'a', 'b'"),
    ],
)
def test_what_is_not_identified_is_named(least: float, missing: tuple[int, ...], named: str) -> None:
    covariance = np.eye(3)
    covariance[missing, missing] = np.nan
    hessian = -np.array([[1, 1 - 5e-10, 0], [1 - 5e-10, 1, 0], [0, 0, 1]])
    record = cast(
        "Any", SimpleNamespace(eigenvalues=np.array([least, 1.0, 2.0]), hessian=hessian, covariance=covariance)
    )
    assert f"not identified: {named} can move" in verdict._unidentified(record, ("a", "b", "c"))


def test_a_continuous_separator_is_named_alone() -> None:
    rng = np.random.default_rng(5)
    data = pd.DataFrame(rng.normal(size=(300, 4)), columns=list("abcd"))
    data["g"] = np.repeat(np.arange(30), 10)
    data["y"] = (data["a"] > 0).astype(int)
    with pytest.warns(ml.SeparationWarning, match="column 'a' predicts some responses perfectly"):
        ml.fit("y ~ a + b + c + d + (1 | g)", data, "binomial")
