"""The search finds the maximum: shifted predictors, structures with a residual, several maxima."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

import multilevel as ml

from .family_cases import CASES, FAMILIES, drawn


def quietly(formula: str, data: pd.DataFrame, family: str = "gaussian", **options: Any) -> ml.MixedModelResults:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return ml.fit(formula, data, family, **options)


def independent_slopes(seed: int, shift: float, family: str) -> tuple[str, pd.DataFrame]:
    r = np.random.default_rng(seed)
    g = np.repeat(np.arange(15), 15)
    x = r.normal(size=225)
    if family == "binomial":
        k = r.binomial(10, 1 / (1 + np.exp(-(0.5 * x + r.normal(size=15)[g] * x))))
        return "cbind(k, l) ~ x + (x || g)", pd.DataFrame({"k": k, "l": 10 - k, "x": x + shift, "g": g})
    eta = 0.5 * x + 0.7 * r.normal(size=15)[g] * x
    has_residual = ml.Family(family).has_residual
    y = drawn(r, family, eta if has_residual else 1 + eta, phi=(0.0,) if has_residual else None)
    return "y ~ x + (x || g)", pd.DataFrame({"y": y, "x": x + shift, "g": g})


def test_independent_slopes_of_a_predictor_that_is_not_centred() -> None:
    formula, data = independent_slopes(3, 10.0, "binomial")
    results = quietly(formula, data, "binomial")
    assert results.converged
    assert results.llf == pytest.approx(-472.677477, abs=1e-5)
    assert any(value < results.llf - 40 for _, value in results.optimization.other_starts)


@pytest.mark.parametrize(
    ("family", "shift"),
    [("binomial", 10.0), ("poisson", 100.0), ("gaussian", 10.0), ("gamma", 10.0), ("negative_binomial", 10.0)],
)
def test_nowhere_else_is_better(family: str, shift: float) -> None:
    for seed in range(20):
        formula, data = independent_slopes(seed, shift, family)
        results = quietly(formula, data, family)
        assert results.converged, f"seed {seed}: {results.fit.message}"
        tail = [0.0] * len(results.family.parameters)
        for theta in ((0.7 * shift, 0.7), (1.0, 0.05), (0.05, 1.0), (5.0, 0.01)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ml.FitWarning)
                other = results.model.fit(start=[*results.fit.beta, *theta, *tail])
            assert other.llf < results.llf + 1e-5, f"seed {seed}, from {theta}"


def test_a_shift_of_a_predictor_changes_nothing() -> None:
    evaluations = []
    for seed in range(30):
        r = np.random.default_rng(seed)
        g = np.repeat(np.arange(30), 20)
        x = r.normal(size=600)
        u = r.normal(size=(30, 2)) * (0.7, 0.5)
        y = (r.random(600) < 1 / (1 + np.exp(-(u[g, 0] + (0.5 + u[g, 1]) * x)))) * 1
        here = quietly("y ~ x + (1 + x | g)", pd.DataFrame({"y": y, "x": x, "g": g}), "binomial")
        away = quietly("y ~ x + (1 + x | g)", pd.DataFrame({"y": y, "x": x + 1e4, "g": g}), "binomial")
        assert away.converged, f"seed {seed}: {away.fit.message}"
        assert away.llf == pytest.approx(here.llf, abs=1e-6), f"seed {seed}"
        assert away.params["x"] == pytest.approx(here.params["x"], rel=1e-5, abs=1e-7)
        slope, slope_away = here.random_cov["g"].iloc[1, 1], away.random_cov["g"].iloc[1, 1]
        assert slope_away == pytest.approx(slope, rel=1e-4, abs=1e-9)
        evaluations.append(away.optimization.n_evaluations)
    assert np.median(evaluations) <= 10


def repeated(seed: int, groups: int, times: int, rho: float, sd: float, sigma: float, keep: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    R = rho ** np.abs(np.subtract.outer(np.arange(times), np.arange(times))) if rho else np.eye(times)
    y = 2 + sd * rng.normal(size=(groups, times)) @ np.linalg.cholesky(R).T + sigma * rng.normal(size=(groups, times))
    frame = {"y": y.ravel(), "g": np.repeat(np.arange(groups), times), "t": np.tile(np.arange(times), groups)}
    data = pd.DataFrame(frame)[rng.random(groups * times) < keep]
    return data.assign(t=pd.Categorical(data["t"], categories=range(times)))


def dense_loglik(data: pd.DataFrame) -> Callable[[float, float, float], float]:
    """Restricted log-likelihood of an autoregression with a residual, from its definition; of sd, rho and sigma."""
    n, t, g = len(data), data["t"].astype(int).to_numpy(), data["g"].to_numpy()
    at = np.nonzero(g[:, None] == g)
    lag = np.abs(t[at[0]] - t[at[1]])
    right = np.column_stack([np.ones(n), data["y"]])

    def value(sd: float, rho: float, sigma: float) -> float:
        V = sigma**2 * np.eye(n)
        V[at] += sd**2 * np.power(rho, np.arange(lag.max() + 1))[lag]
        L = np.linalg.cholesky(V)
        a, b = solve_triangular(L, right, lower=True).T
        rest = b - a * (a @ b) / (a @ a)
        return float(-0.5 * ((n - 1) * np.log(2 * np.pi) + 2 * np.log(np.diag(L)).sum() + np.log(a @ a) + rest @ rest))

    return value


def test_an_autoregression_with_a_residual() -> None:
    rng = np.random.default_rng(1)
    groups, times = 30, 10
    C = np.linalg.cholesky(0.8 ** np.abs(np.subtract.outer(np.arange(times), np.arange(times))))
    y = (2 + rng.normal(size=(groups, times)) @ C.T + rng.normal(size=(groups, times))).ravel()
    t = pd.Categorical(np.tile(np.arange(times), groups))
    data = pd.DataFrame({"y": y, "t": t, "g": np.repeat(np.arange(groups), times)})
    results = quietly("y ~ 1 + ar1(0 + t | g)", data)
    assert results.converged
    assert results.llf == pytest.approx(-488.814182, abs=1e-5)
    sd, tau = results.fit.theta_values[0]
    assert (sd, np.tanh(tau), results.residual_sd) == pytest.approx((0.7579, 0.7776, 1.0425), abs=1e-4)
    assert results.optimization.n_evaluations <= 15


@pytest.mark.parametrize(("groups", "times"), [(3, 25), (5, 12), (20, 8), (40, 5), (60, 3)])
def test_autoregressions_reach_the_dense_maximum(groups: int, times: int) -> None:
    evaluations = []
    for seed in range(5 if groups < 10 else 2):
        rng = np.random.default_rng([seed, groups])
        rho, sigma = rng.choice([0.98, 0.9, 0.8, 0.5, 0.2]), rng.choice([0.05, 0.3, 1.0, 3.0])
        data = repeated(seed, groups, times, rho, 1.0, sigma, rng.choice([1.0, 0.8]))
        if data.groupby("g").size().max() < 2:
            continue
        results = quietly("y ~ 1 + ar1(0 + t | g)", data)
        if not results.converged:
            assert "residual standard deviation goes to zero" in results.fit.message, f"seed {seed}"
        evaluations.append(results.optimization.n_evaluations)
        sd, tau = results.fit.theta_values[0]
        loglik = dense_loglik(data)
        here = loglik(abs(sd), np.tanh(tau), results.residual_sd)
        assert results.llf == pytest.approx(here, rel=1e-7, abs=1e-5)

        def loss(p: np.ndarray, loglik: Callable[[float, float, float], float] = loglik) -> float:
            with np.errstate(all="ignore"):
                try:
                    return -loglik(np.exp(p[0]), np.tanh(p[1]), np.exp(p[2]))
                except np.linalg.LinAlgError:
                    return 1e10

        for start in ((-0.5, 1.5, 0.0), (0.0, -0.3, -1.0)):
            found = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 150, "xatol": 1e-3, "fatol": 1e-7})
            assert -found.fun < results.llf + 1e-5, f"seed {seed}: {np.exp(found.x[0])}, {np.tanh(found.x[1])}"
    assert np.median(evaluations) <= 31
    assert max(evaluations) <= 70


def test_the_rest_of_a_structure_is_found_as_well() -> None:
    for formula in ("y ~ 1 + hetar1(0 + t | g)", "y ~ 1 + (1 | g) + ar1(0 + t | g)"):
        for seed in range(3):
            results = quietly(formula, repeated(seed, 30, 6, 0.8, 1.0, 0.5, 0.9))
            vanishing = "residual standard deviation goes to zero" in results.fit.message
            assert results.converged or vanishing, f"{formula}, seed {seed}: {results.fit.message}"
            assert results.optimization.n_evaluations <= 60


@pytest.mark.parametrize("family", FAMILIES)
def test_never_below_the_model_without_random_effects(family: str) -> None:
    for seed in range(30):
        r = np.random.default_rng(seed)
        n = int(r.integers(8, 21))
        g = r.integers(0, 3, n)
        x = r.normal(size=n)
        y = {
            "gaussian": lambda r=r, n=n: r.normal(size=n),
            "binomial": lambda r=r, n=n: r.integers(0, 4, n),
            "poisson": lambda r=r, n=n: r.poisson(2.0, n),
            "gamma": lambda r=r, n=n: r.gamma(2.0, 1.0, n),
            "beta": lambda r=r, n=n: r.beta(2.0, 1.5, n),
            "ordered_beta": lambda r=r, n=n: np.clip(r.permuted(np.r_[0, 1, r.normal(0.5, 0.4, n - 2)]), 0, 1),
            "beta_binomial": lambda r=r, n=n: r.integers(0, 4, n),
            "negative_binomial": lambda r=r, n=n: r.negative_binomial(1.0, 0.3, n),
        }.get(family, lambda r=r, n=n: drawn(r, family, np.full(n, 0.7)))()
        left = "cbind(y, 3 - y)" if CASES[family].trials else "y"
        data = pd.DataFrame({"y": y, "x": x, "g": g})
        if len(np.unique(g)) < 2:
            continue
        mixed = quietly(f"{left} ~ x + (1 | g)", data, family, method="ml")
        plain = quietly(f"{left} ~ x", data, family)
        if plain.converged:
            assert mixed.llf > plain.llf - 1e-6, f"seed {seed}"
