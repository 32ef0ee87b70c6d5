"""Vuong's tests: against pscl, weights by sandwich's scores, plain algebra on scores by differences, and simulation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import multilevel as ml
from multilevel.errors import DataError
from multilevel.inference.weighted_chi_squares import tail

HERE = Path(__file__).parent / "reference"
REFERENCE = json.loads((HERE / "vuong.json").read_text(encoding="utf-8"))
DATA = pd.DataFrame(json.loads((HERE / "robust.json").read_text(encoding="utf-8"))["data"])


@pytest.mark.parametrize("weight", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("k", [1, 2, 3, 10, 40])
def test_tails_of_chi_square(k: int, weight: float) -> None:
    for x in (1e-3, 0.1, 1.0, k, 3.0 * k, 30.0 * k):
        expected = stats.chi2.sf(x, k)
        assert tail(x * weight, np.full(k, weight)) == pytest.approx(expected, rel=1e-10, abs=1e-300)


def test_tails_of_sums_of_exponentials() -> None:
    """Two equal weights make an exponential variable, and several of these a sum of exponentials."""
    weights = np.array([1.0, 0.3, 1e-3])
    rates = 0.5 / weights
    shares = [np.prod([r / (r - own) for r in rates if r != own]) for own in rates]
    for x in (0.5, 3.0, 20.0, 300.0):
        expected = float(np.dot(shares, np.exp(-rates * x)))
        assert tail(x, np.repeat(weights, 2)) == pytest.approx(expected, rel=1e-11)
    assert tail(0.0, weights) == 1.0
    assert tail(1.0, np.zeros(3)) == 0.0


def z(test: ml.inference.vuong.VuongTest) -> np.ndarray:  # type: ignore[name-defined]
    return np.array([test.z, test.z_aic, test.z_bic])


def test_rows_as_pscl() -> None:
    by_x, by_treated = (ml.fit(f"count ~ {name}", DATA, "poisson") for name in ("x", "treated"))
    inflated = ml.fit("count ~ treated", DATA, "poisson", zero_inflation=True)
    for other, about in ((by_treated, REFERENCE["poissons"]), (inflated, REFERENCE["inflated"])):
        test = ml.vuong(by_x, other)
        assert test.n == 66
        assert z(test) * np.sqrt(65 / 66) == pytest.approx(about["z"], rel=1e-6)
        assert test.variance == pytest.approx(about["variance"], rel=1e-6)
        assert test.p_first == pytest.approx(stats.norm.sf(test.z))
        assert test.p_second_bic == pytest.approx(stats.norm.cdf(test.z_bic))
    # Imhof's integral is good to a few digits less
    assert ml.vuong(by_x, by_treated).p_distinguishable == pytest.approx(REFERENCE["poissons"]["p"], rel=2e-3)
    assert tail(66 * REFERENCE["poissons"]["variance"], np.array(REFERENCE["poissons"]["squares"])) == pytest.approx(
        ml.vuong(by_x, by_treated).p_distinguishable, rel=1e-6
    )
    back = ml.vuong(by_treated, by_x)
    assert z(back) == pytest.approx(-z(ml.vuong(by_x, by_treated)))
    assert back.p_distinguishable == pytest.approx(ml.vuong(by_x, by_treated).p_distinguishable)


def marginal(psi: np.ndarray, X: np.ndarray, group: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Log-likelihoods of the groups of a random-intercept model, (m,), at beta, sd and log(sigma)."""
    p = X.shape[1]
    found = []
    for g in np.unique(group):
        at = group == g
        V = np.exp(2 * psi[-1]) * np.eye(at.sum()) + psi[p] ** 2
        found.append(stats.multivariate_normal.logpdf(y[at], X[at] @ psi[:p], V))
    return np.array(found)


def test_clusters_by_definition() -> None:
    """Two mixed models whose groups differ: the parts are the towns, in which schools nest; scores by differences."""
    formulas = ("y ~ x + (1 | school)", "y ~ treated + (1 | town)")
    fits = [ml.fit(formula, DATA, method="ml") for formula in formulas]
    y, town = DATA["y"].to_numpy(), DATA["town"].to_numpy()
    loglik, scores, inverse = [], [], []
    for results, column, group in zip(fits, ("x", "treated"), ("school", "town"), strict=True):
        X = np.column_stack([np.ones(66), DATA[column]])
        psi, codes = results.fit.psi, DATA[group].to_numpy()
        own = pd.Series(codes).groupby(codes).first().index
        above = DATA.groupby(group)["town"].first().loc[own].to_numpy()

        def at(psi: np.ndarray, X: np.ndarray = X, codes: np.ndarray = codes, above: np.ndarray = above) -> np.ndarray:
            return pd.Series(marginal(psi, X, codes, y)).groupby(above).sum().to_numpy()

        steps = 1e-5 * np.eye(len(psi))
        loglik.append(at(psi))
        scores.append(np.column_stack([(at(psi + s) - at(psi - s)) / 2e-5 for s in steps]))
        wide = 1e-3 * np.eye(len(psi))
        hessian = np.array(
            [
                [(at(psi + a + b) - at(psi + a - b) - at(psi - a + b) + at(psi - a - b)).sum() / 4e-6 for b in wide]
                for a in wide
            ]
        )
        inverse.append(np.linalg.inv(-hessian))
    (s1, s2), (v1, v2) = scores, inverse
    w = np.block([[-s1.T @ s1 @ v1, -s1.T @ s2 @ v2], [s2.T @ s1 @ v1, s2.T @ s2 @ v2]])
    difference = loglik[0] - loglik[1]
    test = ml.vuong(*fits)
    assert test.n == len(np.unique(town)) == 6
    assert test.variance == pytest.approx(difference.var(), rel=1e-8)
    assert test.z == pytest.approx(difference.sum() / np.sqrt(6 * difference.var()), rel=1e-8)
    assert test.z_aic == test.z_bic == test.z
    squares = np.real(np.linalg.eigvals(w)) ** 2
    assert test.p_distinguishable == pytest.approx(tail(6 * difference.var(), squares), rel=1e-3)
    assert "6 independent parts" in str(test)
    assert "p: first closer" in test._repr_html_()


def test_equal_chances_of_models_that_are_equally_close() -> None:
    """y depends on x1 and x2 in the same way, and each model has one of them: z is standard normal."""
    rng = np.random.default_rng(4)
    found = []
    for _ in range(100):
        frame = pd.DataFrame(rng.normal(size=(80, 2)), columns=["a", "b"])
        frame["y"] = frame["a"] + frame["b"] + rng.normal(size=80)
        found.append(ml.vuong(ml.fit("y ~ a", frame), ml.fit("y ~ b", frame)).z)
    assert abs(np.mean(found)) < 0.3  # three standard errors
    assert 0.75 < np.std(found) < 1.25


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (("y ~ x + (1 | school)", {}), ("y ~ treated + (1 | school)", {}), "method='ml'"),
        (("y ~ x", {}), ("y ~ x", {}), "nothing to test"),
        (("count ~ x", {"family": "poisson"}), ("y ~ x", {}), "different responses"),
        (("count ~ x", {"family": "poisson"}), ("count ~ x", {}), "probabilities"),
        (
            ("count ~ x + (1 | school)", {"family": "poisson", "method": "pql"}),
            ("count ~ x", {"family": "poisson"}),
            "no likelihood",
        ),
    ],
)
def test_what_cannot_be_compared(first: tuple[str, Any], second: tuple[str, Any], message: str) -> None:
    one, two = (ml.fit(formula, DATA, **options) for formula, options in (first, second))
    with pytest.raises(DataError, match=message):
        ml.vuong(one, two)


def test_crossed_groups_have_no_independent_parts() -> None:
    data = DATA.assign(item=np.arange(66) % 5)
    data["y"] = data["y"] + data["item"]
    fits = [ml.fit(f"y ~ x + (1 | {group})", data, method="ml") for group in ("school", "item")]
    with pytest.raises(DataError, match="independent of the rest in both models"):
        ml.vuong(*fits)
