"""Predictions that the data of a fit do not determine are NaN, whatever was dropped, and a warning says where."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest

import multilevel as ml

CELLS = pd.DataFrame([{"a": a, "b": b, "x": 0.3, "g": 3} for a in "pqr" for b in "uvw"])


def unbalanced(empty: tuple[str, str]) -> pd.DataFrame:
    """Two factors with an empty cell, an effect of cell (q, v), 12 groups."""
    rng = np.random.default_rng(0)
    n = 200
    data = pd.DataFrame({"a": rng.choice(list("pqr"), n), "b": rng.choice(list("uvw"), n), "x": rng.normal(size=n)})
    data["g"] = rng.integers(0, 12, n)
    data["y"] = rng.normal(size=n) + data["x"] + 2.0 * ((data["a"] == "q") & (data["b"] == "v"))
    return data[(data["a"] != empty[0]) | (data["b"] != empty[1])]


def quietly(formula: str, data: pd.DataFrame, **options: object) -> ml.MixedModelResults:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return ml.fit(formula, data, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("empty", [("q", "v"), ("p", "u"), ("r", "w")])
def test_an_empty_cell_is_nan_whatever_the_order_of_levels(empty: tuple[str, str]) -> None:
    data = unbalanced(empty)
    expected: np.ndarray | None = None
    hole = ((CELLS["a"] == empty[0]) & (CELLS["b"] == empty[1])).to_numpy()
    for of_a, of_b, coding in itertools.product(
        itertools.permutations("pqr"), ("uvw", "wvu"), ("treatment", "sum", "helmert")
    ):
        ordered = data.assign(a=pd.Categorical(data["a"], of_a), b=pd.Categorical(data["b"], list(of_b)))
        results = quietly("y ~ a * b + x + (1 | g)", ordered, contrasts={"a": coding, "b": coding})
        message = rf"1 of 9 predictions is NaN, at a = '{empty[0]}', b = '{empty[1]}' \(row {hole.argmax()}\): the data"
        with pytest.warns(ml.NotEstimableWarning, match=message):
            predicted = results.predict(CELLS).to_numpy()
        assert np.array_equal(np.isnan(predicted), hole)
        expected = predicted if expected is None else expected
        np.testing.assert_allclose(predicted, expected, rtol=1e-9)


def test_predictions_of_other_cells_are_those_of_a_factor_of_cells() -> None:
    data = unbalanced(("q", "v"))
    crossed = quietly("y ~ a * b + x + (1 | g)", data)
    cells = quietly("y ~ cell + x + (1 | g)", data.assign(cell=data["a"] + data["b"]))
    there = CELLS[(CELLS["a"] != "q") | (CELLS["b"] != "v")]
    expected = cells.predict(there.assign(cell=there["a"] + there["b"]))
    np.testing.assert_allclose(crossed.predict(there), expected, rtol=1e-8)


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_means_of_other_families_are_nan_too(family: str) -> None:
    data = unbalanced(("p", "w"))
    data["y"] = (data["y"] > 0).astype(int)
    results = quietly("y ~ a * b + (1 | g)", data, family=family)
    with pytest.warns(ml.NotEstimableWarning, match="a = 'p', b = 'w'"):
        predicted = results.predict(CELLS, random="zero")
    assert list(np.flatnonzero(predicted.isna())) == [2]


def test_rows_of_the_fit_are_always_determined() -> None:
    data = unbalanced(("p", "u"))
    data["z"] = 1e6 + 3.0 * data["x"] - (data["a"] == "q")
    results = quietly("y ~ a * b + x + z + poly(x, 2) + (1 | g)", data)
    assert len(results.fit.redundant) == 3
    np.testing.assert_allclose(results.predict(data), results.predict(), rtol=1e-9)


def test_numbers_that_break_the_rule_of_the_fit() -> None:
    data = unbalanced(("p", "u"))
    results = quietly("y ~ x + twice + (1 | g)", data.assign(twice=2 * data["x"] + 1))
    new = pd.DataFrame({"x": [0.5, 0.5, 1e6, np.nan], "twice": [2.0, 2.5, 2e6 + 1, 1.0]}, index=list("stuv"))
    with pytest.warns(
        ml.NotEstimableWarning, match=r"1 of 4 .* at x = 0.5, twice = 2.5 \(row t\).* column 'twice' had"
    ):
        predicted = results.predict(new, random="zero")
    assert list(predicted.isna()) == [False, True, False, True]
    b = results.params
    assert predicted["u"] == pytest.approx(b["(Intercept)"] + 1e6 * b["x"], rel=1e-9)


def test_many_places_are_named_in_part() -> None:
    results = quietly("y ~ x + twice + (1 | g)", (data := unbalanced(("p", "u"))).assign(twice=2 * data["x"]))
    new = pd.DataFrame({"x": np.arange(9.0), "twice": 5.0})
    with pytest.warns(
        ml.NotEstimableWarning, match=r"9 of 9 .* x = 4, twice = 5; \.\.\. \(rows 0, 1, 2, 3, 4, \.\.\.\)"
    ):
        results.predict(new, random="zero")


def test_a_random_slope_whose_fixed_column_was_dropped_has_no_coefficient() -> None:
    data = unbalanced(("p", "u"))
    results = quietly("y ~ twice + x + (x | g)", data.assign(twice=2 * data["x"]))
    table = results.coef()["g"]
    assert table["x"].isna().all()
    assert table[["(Intercept)", "twice"]].notna().all().all()


def test_a_constant_beside_thresholds_is_determined() -> None:
    """The thresholds take up what a constant column adds; where it is not that constant, nothing is known."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(8), 10), "x": rng.normal(size=80), "one": 1.0})
    latent = data["x"] + 1.5 * rng.normal(size=8)[data["g"]] + rng.logistic(size=80)
    data["y"] = 1 + np.digitize(latent, [-0.5, 1.0])
    results = quietly("y ~ x + one + (1 | g)", data, family="cumulative", levels=[1, 2, 3])
    without = ml.fit("y ~ x + (1 | g)", data, family="cumulative", levels=[1, 2, 3])
    expected = without.predict(data, kind="link")
    np.testing.assert_allclose(results.predict(data, kind="link"), expected, rtol=1e-6, atol=1e-9)
    with pytest.warns(ml.NotEstimableWarning, match="one = 2"):
        assert results.predict(data.assign(one=2.0), kind="link").isna().all()
