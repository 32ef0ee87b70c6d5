"""Score tests of variances: against derivatives of the likelihood, dense algebra, likelihood ratios and simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import multilevel as ml
from multilevel.errors import DataError
from multilevel.inference.variance_score import _one_sided

GROUPS = np.repeat(np.arange(20), 5)


def frame(seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {"g": GROUPS, "h": np.arange(100) % 7, "x": rng.normal(size=100), "w": rng.uniform(0.5, 2, 100)}
    )
    u, v, b = rng.normal(size=20), rng.normal(size=7), rng.normal(size=20)
    eta = 0.3 + 0.5 * data["x"] + 0.7 * u[data["g"]] + 0.4 * v[data["h"]]
    data["y"] = eta + 0.3 * b[data["g"]] * data["x"] + rng.normal(size=100)
    data["hit"] = rng.binomial(1, 1 / (1 + np.exp(-eta)))
    data["n"] = rng.integers(1, 5, 100)
    data["k"] = rng.binomial(data["n"], 1 / (1 + np.exp(-eta)))
    data["count"] = rng.poisson(np.exp(0.5 * eta))
    return data


def indicators(codes: np.ndarray) -> np.ndarray:
    return np.eye(codes.max() + 1)[codes]


def reml(V: np.ndarray, X: np.ndarray, y: np.ndarray) -> float:
    """The restricted log-likelihood, up to a constant."""
    inverse = np.linalg.inv(V)
    gram = X.T @ inverse @ X
    r = y - X @ np.linalg.solve(gram, X.T @ inverse @ y)
    return -0.5 * float(np.linalg.slogdet(V)[1] + np.linalg.slogdet(gram)[1] + r @ inverse @ r)


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("tested", [("h",), ("g", "x"), ("h", "(Intercept)", "x")])
def test_linear_mixed_models_by_definition(tested: tuple[str, ...], weights: str | None) -> None:
    """The score is the derivative of the restricted log-likelihood; the information that of the directions of V."""
    data = frame()
    results = ml.fit("y ~ x + (1 | g)", data, weights=weights)
    test = results.test_variance(*tested, method="score")
    X, y = np.column_stack([np.ones(100), data["x"]]), data["y"].to_numpy()
    residual = np.diag(np.ones(100) if weights is None else 1 / data["w"].to_numpy())
    of_g, of_h = indicators(data["g"].to_numpy()), indicators(data["h"].to_numpy())
    V = results.fit.sigma**2 * residual + results.fit.theta[0][0, 0] ** 2 * of_g @ of_g.T
    x = data["x"].to_numpy()
    z = of_h if tested[0] == "h" else of_g
    own = z @ z.T
    slope, mixed = np.outer(x, x) * own, (x[:, None] + x) * own
    changes = {1: [own], 2: [slope, mixed], 3: [own, mixed, slope]}[len(tested)]
    step = 1e-5
    expected = [(reml(V + step * d, X, y) - reml(V - step * d, X, y)) / (2 * step) for d in changes]
    assert test.score == pytest.approx(expected, rel=1e-5, abs=1e-5)
    inverse = np.linalg.inv(V)
    P = inverse - inverse @ X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse)
    every = [*changes, of_g @ of_g.T, residual]
    whole = np.array([[0.5 * np.trace(P @ a @ P @ b) for b in every] for a in every])
    k = len(changes)
    information = whole[:k, :k] - whole[:k, k:] @ np.linalg.solve(whole[k:, k:], whole[k:, :k])
    assert test.information == pytest.approx(information, rel=1e-6)
    assert test.df == k


@pytest.mark.parametrize(
    ("formula", "family"), [("hit ~ x", "binomial"), ("cbind(k, n - k) ~ x", "binomial"), ("count ~ x", "poisson")]
)
def test_without_random_effects_by_definition(formula: str, family: str) -> None:
    """Lin's score of a random intercept, with the cumulants of binomial and Poisson responses."""
    data = frame()
    results = ml.fit(formula, data, family)
    test = results.test_variance("g", method="score")
    X, A = np.column_stack([np.ones(100), data["x"]]), indicators(data["g"].to_numpy())
    A = A @ A.T
    eta = X @ results.params.to_numpy()
    if family == "poisson":
        mu = np.exp(eta)
        w = third = fourth = mu
        y = data["count"]
    else:
        n = data["n"] if "cbind" in formula else np.ones(100)
        p = 1 / (1 + np.exp(-eta))
        mu, w = n * p, n * p * (1 - p)
        third, fourth = w * (1 - 2 * p), w * (1 - 6 * p * (1 - p))
        y = data["k"] if "cbind" in formula else data["hit"]
    s = (y - mu).to_numpy()
    W = np.diag(w)
    inverse = np.linalg.inv(X.T @ W @ X)
    P = W - W @ X @ inverse @ X.T @ W
    assert test.score == pytest.approx([0.5 * (s @ A @ s - np.trace(P @ A))], rel=1e-8)
    through = 0.5 * X.T @ (np.diag(A) * third)
    information = 0.5 * np.trace(P @ A @ P @ A) + 0.25 * np.sum(np.diag(A) ** 2 * fourth)
    information -= through @ inverse @ through
    assert test.information == pytest.approx(np.array([[information]]), rel=1e-8)
    z = float(test.score[0]) / np.sqrt(information)
    assert test.chi2 == pytest.approx(max(z, 0) ** 2)
    assert test.p_value == pytest.approx(stats.norm.sf(z) if z > 0 else 1.0)
    assert test.mixture == {0: 0.5, 1: 0.5}


def test_effects_of_the_fit_are_left_out_first() -> None:
    data = frame()
    with_it = ml.fit("y ~ x + (1 | g) + (1 | h)", data).test_variance("h", method="score")
    without = ml.fit("y ~ x + (1 | g)", data).test_variance("h", method="score")
    assert with_it.chi2 == pytest.approx(without.chi2, rel=1e-6)
    assert "with h: (Intercept)" in str(with_it)
    assert "Variances, by score test" in with_it._repr_html_()


@pytest.mark.parametrize("of_matrix", [False, True])
def test_the_projection(of_matrix: bool) -> None:
    """Against a search with constraints; a free covariance is the fourth."""
    rng = np.random.default_rng(2)
    for _ in range(12):
        root = rng.normal(size=(4, 4))
        information, score = root @ root.T + np.eye(4), 2 * rng.normal(size=4)
        h = np.linalg.solve(information, score)

        def distance(b: np.ndarray, h: np.ndarray = h, information: np.ndarray = information) -> float:
            return float((h - b) @ information @ (h - b))

        limits = [(0, None), (None, None) if of_matrix else (0, None), (0, None), (None, None)]
        bends = [{"type": "ineq", "fun": lambda b: b[0] * b[2] - b[1] ** 2}] if of_matrix else []
        best = min(
            optimize.minimize(
                distance, start, bounds=limits, constraints=bends, method="SLSQP", options={"maxiter": 500}, tol=1e-13
            ).fun
            for start in ([1.0, 0.0, 1.0, 0.0], [0.1, 0.0, 0.1, 0.0])
        )
        assert _one_sided(score, information, 3, of_matrix) == pytest.approx(score @ h - best, abs=2e-5)


@pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
def test_it_holds_its_level_and_is_near_the_likelihood_ratio() -> None:
    rng = np.random.default_rng(11)
    data = pd.DataFrame({"g": np.repeat(np.arange(60), 4), "x": rng.normal(size=240)})
    p_values, pairs = [], []
    for k in range(300):
        data["y"] = rng.binomial(1, 1 / (1 + np.exp(0.5 - 0.5 * data["x"])))
        test = ml.fit("y ~ x", data, "binomial").test_variance("g", method="score")
        p_values.append(test.p_value)
        if k < 25:
            with_it = ml.fit("y ~ x + (1 | g)", data, "binomial", n_quadrature=5)
            pairs.append((test.chi2, with_it.test_variance("g").chi2))
    assert 0.015 < np.mean(np.array(p_values) < 0.05) < 0.09  # three standard errors are 0.038
    assert 0.35 < np.mean(np.array(p_values) < 0.5) < 0.6
    assert set(np.array(p_values)[np.array(p_values) > 0.5]) == {1.0}  # a score below zero
    assert np.corrcoef(np.array(pairs).T)[0, 1] > 0.98


@pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
@pytest.mark.parametrize(
    ("formula", "options", "tested", "message"),
    [
        ("y ~ x", {}, ("nowhere",), "no column 'nowhere'"),
        ("y ~ x", {}, ("g", "x"), "no random intercept of 'g'"),
        ("y ~ x + (1 | g)", {}, ("g", "(Intercept)", "x"), "test them apart"),
        ("y ~ x", {}, (["g", "h"],), "one grouping factor at a time"),
        ("y ~ x + (1 | g)", {}, ("g", "label"), "holds no numbers"),
        ("hit ~ x + (1 | g)", {"family": "binomial"}, ("h",), "for linear mixed models, and for binomial"),
        ("hit ~ x", {"family": "binomial", "link": "probit"}, ("g",), "for linear mixed models, and for binomial"),
        ("count ~ x", {"family": "negative_binomial"}, ("g",), "for linear mixed models, and for binomial"),
        ("count ~ x", {"family": "poisson", "zero_inflation": True}, ("g",), "for linear mixed models"),
        ("hit ~ x", {"family": "binomial"}, ("row",), "the data say nothing of them"),
        ("count ~ x + (1 | g)", {"family": "poisson", "method": "pql"}, ("h",), "no likelihood"),
    ],
)
def test_what_cannot_be_tested(formula: str, options: dict[str, Any], tested: tuple[Any, ...], message: str) -> None:
    data = frame().assign(row=np.arange(100), label=np.array(list("abcd"))[np.arange(100) % 4])
    results = ml.fit(formula, data, **options)
    with pytest.raises(DataError, match=message):
        results.test_variance(*tested, method="score")


def test_the_mean_alone_by_a_method_that_is_there() -> None:
    results = ml.fit("y ~ x + (1 | g)", frame())
    with pytest.raises(DataError, match="of the mean"):
        results.test_variance("g", part="dispersion", method="score")
    with pytest.raises(ValueError, match="'lrt'"):
        results.test_variance("g", method="wald")
