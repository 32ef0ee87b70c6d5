"""Ordered categories of which there are many, whose likelihood goes by what rows touch: against the definition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special

import multilevel as ml

CATEGORIES = 12
FORMULAS = {"one": "y ~ x + (1 | g)", "two": "y ~ x + (1 + x | g)"}


def drawn(n_groups: int, size: int, seed: int, slope: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(n_groups), size)
    x = rng.normal(size=g.size)
    eta = 0.8 * x + rng.normal(size=n_groups)[g] + slope * rng.normal(size=n_groups)[g] * x
    y = 1 + np.searchsorted(np.linspace(-2.5, 2.5, CATEGORIES - 1), eta + rng.logistic(size=g.size))
    return pd.DataFrame({"y": y, "x": x, "g": g})


def log_densities(data: pd.DataFrame, cuts: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Of rows, (..., n): the logarithm of F(upper - eta) - F(lower - eta)."""
    ends = np.concatenate([[-np.inf], cuts, [np.inf]])
    y = data["y"].to_numpy()
    return np.log(special.expit(ends[y] - eta) - special.expit(ends[y - 1] - eta))


def by_integration(psi: np.ndarray, data: pd.DataFrame) -> float:
    """The log-likelihood of a random intercept at (beta, sd, thresholds), by a sum over a fine grid."""
    v = np.linspace(-9.0, 9.0, 241)
    rows = log_densities(data, psi[2:], psi[0] * data["x"].to_numpy() + psi[1] * v[:, None])
    groups = np.array([rows[:, data["g"] == g].sum(1) for g in data["g"].unique()])
    prior = -0.5 * v**2 - 0.5 * np.log(2 * np.pi) + np.log(v[1] - v[0])
    return float(special.logsumexp(groups + prior, axis=1).sum())


def by_laplace(data: pd.DataFrame, cuts: np.ndarray, beta: float, covariance: np.ndarray) -> float:
    """Laplace's approximation by its definition, u group by group; rows' second derivatives are p'' of the logistic."""
    total, q = 0.0, len(covariance)
    for _, own in data.groupby("g"):
        z = np.column_stack([np.ones(len(own)), own["x"]])[:, :q]
        fixed = beta * own["x"].to_numpy()

        def minus(u: np.ndarray, own: pd.DataFrame = own, z: np.ndarray = z, fixed: np.ndarray = fixed) -> float:
            return float(-log_densities(own, cuts, fixed + z @ u).sum() + 0.5 * u @ np.linalg.solve(covariance, u))

        u = optimize.minimize(minus, np.zeros(q), method="BFGS", options={"gtol": 1e-7}).x
        ends = np.concatenate([[-np.inf], cuts, [np.inf]])
        y = own["y"].to_numpy()
        eta = fixed + z @ u
        slopes = sum(special.expit(ends[k] - eta) * special.expit(eta - ends[k]) for k in (y, y - 1))
        precision = z.T @ (slopes[:, None] * z) + np.linalg.inv(covariance)
        total -= minus(u) + 0.5 * np.linalg.slogdet(precision)[1] + 0.5 * np.linalg.slogdet(covariance)[1]
    return total


def test_quadrature_is_the_integral_with_its_curvature() -> None:
    data = drawn(12, 15, 3)
    fit = ml.fit(FORMULAS["one"], data, "cumulative", n_quadrature=25, threads=1)
    psi, hessian = fit.fit.psi, fit.fit.hessian
    value = by_integration(psi, data)
    np.testing.assert_allclose(fit.llf, value, rtol=1e-9)
    # Central differences, whose error is the square of the step. Along each parameter, and along all at once.
    step = 1e-3
    for move in [*np.eye(len(psi)), *np.random.default_rng(4).normal(size=(6, len(psi)))]:
        up, down = by_integration(psi + step * move, data), by_integration(psi - step * move, data)
        np.testing.assert_allclose((up - down) / (2 * step), 0.0, atol=1e-3)
        np.testing.assert_allclose((up - 2 * value + down) / step**2, move @ hessian @ move, rtol=1e-3)


@pytest.mark.parametrize("effects", ["one", "two"])
def test_laplace_is_laplace(effects: str) -> None:
    data = drawn(20, 15, 5, slope=0.6 if effects == "two" else 0.0)
    fit = ml.fit(FORMULAS[effects], data, "cumulative", threads=1)
    psi = fit.fit.psi
    theta, cuts = psi[1 : 1 - CATEGORIES], psi[1 - CATEGORIES :]
    factor = theta.reshape(1, 1) if effects == "one" else np.array([[theta[0], 0.0], [theta[1], theta[2]]])
    np.testing.assert_allclose(fit.llf, by_laplace(data, cuts, psi[0], factor @ factor.T), rtol=1e-8)


def test_few_thresholds_and_many_are_one_model() -> None:
    """Categories that nobody has: the same likelihood where columns are looked at and where rows are."""
    data = drawn(30, 20, 7)
    data["y"] = np.digitize(data["y"], [3, 5, 7, 9, 11]) + 1
    few = ml.fit(FORMULAS["one"], data, "cumulative", n_quadrature=5, threads=1)
    # Nominal effects that are zero at the maximum of the model without them have a likelihood no lower.
    data["half"] = np.where(np.arange(len(data)) % 2, "a", "b")
    many = ml.fit(FORMULAS["one"], data, "cumulative", nominal="~ half", n_quadrature=5, threads=1)
    start = np.zeros(len(many.fit.psi))
    assert len(start) == len(few.fit.psi) + 5
    start[: len(few.fit.psi)] = few.fit.psi
    with pytest.warns(ml.ConvergenceWarning):
        same = ml.MixedModel(FORMULAS["one"], data, "cumulative", nominal="~ half").fit(
            n_quadrature=5, start=start, max_iter=0, threads=1
        )
    np.testing.assert_allclose(same.llf, few.llf, rtol=1e-13)
    assert many.llf >= few.llf


def test_threads_do_not_change_a_bit() -> None:
    data = drawn(200, 30, 9)
    fits = [ml.fit(FORMULAS["one"], data, "cumulative", n_quadrature=7, threads=n) for n in (1, 2)]
    assert fits[0].llf == fits[1].llf
    np.testing.assert_array_equal(fits[0].fit.psi, fits[1].fit.psi)


def test_thresholds_of_items_are_logits_of_frequencies() -> None:
    """Without anything else in the model the estimates have a closed form."""
    data = drawn(40, 25, 11)
    data["item"] = np.array(["a", "b", "c"])[np.arange(len(data)) % 3]
    data["y"] = np.digitize(data["y"], [3, 5, 7, 9]) + 1
    fit = ml.fit("y ~ 0", data, "cumulative", nominal="~ 0 + item", threads=1)
    counts = pd.crosstab(data["item"], data["y"]).to_numpy().astype(float)
    shares = counts / counts.sum(1, keepdims=True)
    np.testing.assert_allclose(fit.llf, (counts * np.log(shares)).sum(), rtol=1e-12)
    expected = special.logit(shares.cumsum(1)[:, :-1])
    own = fit.fit.psi.reshape(3, 4)
    np.testing.assert_allclose(own[0], expected[0], rtol=1e-7)
    np.testing.assert_allclose(own[1:] + own[0], expected[1:], rtol=1e-7)
    np.testing.assert_allclose(fit.cluster_contributions()["llf"].sum(), fit.llf, rtol=1e-12)
    # Frequencies are where it begins: the search has only what half a row in each category moves.
    assert fit.optimization.n_evaluations <= 4


def test_a_start_that_cannot_be_evaluated_names_no_group() -> None:
    """Thresholds out of order, without random effects."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.normal(size=200), "y": np.arange(200) % 12})
    model = ml.MixedModel("y ~ x", data, "cumulative", link="loglog")
    with pytest.warns(ml.ConvergenceWarning, match="not finite at the starting values: the link cannot take"):
        results = model.fit(start=[0.0, *np.linspace(100.0, -100.0, 11)])
    assert not results.converged
