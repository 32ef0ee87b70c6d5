"""Linear models with many coefficients per group, as one row for each group and time has them: second derivatives along
theta, against differences of the likelihood of all rows together."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

import multilevel as ml
from multilevel import _core

from .test_covariance import ALL, closed_form

Array = NDArray[np.float64]
Q = 7
STEP = 1e-3


def rows(groups: int, q: int, seed: int) -> tuple[NDArray[np.int32], NDArray[np.int64], Array, Array]:
    """Group, place, predictor and response of a row; a tenth of the cells has none, another tenth two."""
    rng = np.random.default_rng(seed)
    g, t = np.divmod(np.arange(groups * q), q)
    chosen = np.sort(np.concatenate([np.flatnonzero(rng.random(len(g)) > 0.1), rng.choice(len(g), len(g) // 10)]))
    g, t, x = g[chosen], t[chosen], rng.normal(size=len(chosen))
    common = 0.7 ** np.abs(np.subtract.outer(np.arange(q), np.arange(q)))
    u = rng.normal(size=(groups, q)) @ np.linalg.cholesky(common).T
    return g.astype(np.int32), t, x, 1 + 0.5 * x + u[g, t] + 0.8 * rng.normal(size=len(g))


@pytest.mark.parametrize("method", ["ml", "reml"])
@pytest.mark.parametrize("structure", ALL)
def test_second_derivatives(structure: str, method: str) -> None:
    g, t, x, y = rows(15, Q, 1)
    groups, n, X = 15, len(y), np.column_stack([np.ones(len(y)), x])
    terms: list[tuple[int, list[Array | None], str]] = [(0, [(t == k) * 1.0 for k in range(Q)], structure)]
    model = _core.Model("gaussian", "identity", n, None, None, None, [None, x], [g], [groups], terms, 1)
    record = _core.fit(model, y, method, check_quadrature=False, threads=1)

    def loglik(psi: Array) -> float:
        sigma, r = closed_form(structure, psi[2:-1], Q), y - X @ psi[:2]
        V = np.where(np.equal.outer(g, g), sigma[np.ix_(t, t)], 0.0) + np.exp(2 * psi[-1]) * np.eye(n)
        inverse, half_log = np.linalg.inv(V), np.linalg.slogdet(V)[1] / 2
        value = -half_log - n / 2 * np.log(2 * np.pi)
        if method == "reml":
            information = X.T @ inverse @ X
            r = y - X @ np.linalg.solve(information, X.T @ inverse @ y)
            value += np.log(2 * np.pi) - np.linalg.slogdet(information)[1] / 2
        return float(value - r @ inverse @ r / 2)

    assert loglik(record.psi) == pytest.approx(record.loglik, abs=1e-6)
    free = np.flatnonzero(np.abs(record.psi) > 0)[2 if method == "reml" else 0 :]
    steps = STEP * np.eye(len(record.psi))[free]
    expected = np.array(
        [
            [
                (
                    loglik(record.psi + a + b)
                    - loglik(record.psi + a - b)
                    - loglik(record.psi - a + b)
                    + loglik(record.psi - a - b)
                )
                / (4 * STEP**2)
                for b in steps
            ]
            for a in steps
        ]
    )
    own = record.hessian[np.ix_(free, free)]
    np.testing.assert_allclose(own, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_few_parameters_of_many_coefficients() -> None:
    # What is made along theta does not grow with the entries of the Cholesky factor: 60 times are no more of a matter
    # than 20, and Newton's method has the Hessian at every step.
    g, t, x, y = rows(30, 60, 2)
    data = pd.DataFrame({"y": y, "x": x, "t": t, "g": g})
    results = ml.fit("y ~ x + ar1(0 + t | g)", data, method="ml")
    assert results.converged
    assert results.optimization.n_evaluations < 20
    sd, correlation, sigma = results.fit.psi[2], np.tanh(results.fit.psi[3]), np.exp(results.fit.psi[4])
    assert (sd, correlation, sigma) == pytest.approx((1.0, 0.7, 0.8), abs=0.1)


@pytest.mark.parametrize("structure", ["ar1", "homogeneous compound symmetry", "homogeneous diagonal"])
def test_of_few_parameters_and_of_a_free_covariance(structure: str) -> None:
    # Counts with twenty coefficients per group: a model of few parameters is evaluated otherwise than one that is free,
    # and at the same covariance they are the same.
    q, groups = 20, 34
    g, t, x, eta = rows(groups, q, 3)
    y = np.random.default_rng(4).poisson(np.exp(0.5 * eta)).astype(float)
    columns: list[Array | None] = [(t == k) * 1.0 for k in range(q)]

    def model(structure: str) -> _core.Model:
        terms = [(0, columns, structure)]
        return _core.Model("poisson", "log", len(y), None, None, None, [None, x], [g], [groups], terms, 1)

    own = _core.Structure(structure, q)
    theta = np.array([0.6, 0.3][: own.n_theta])
    lower = np.tril_indices(q)
    order = np.lexsort(lower)  # by columns
    places = tuple(index[order] for index in lower)
    value, gradient, hessian = _core.evaluate(model(structure), y, np.r_[0.4, 0.2, theta], 1, 1)
    free = _core.evaluate(model("unstructured"), y, np.r_[0.4, 0.2, own.factor(theta)[places]], 1, 1)
    assert value == pytest.approx(free[0], abs=1e-9)
    jacobian = np.array([step[places] for step in own.jacobian(theta)])
    np.testing.assert_allclose(gradient, np.r_[free[1][:2], jacobian @ free[1][2:]], rtol=1e-8, atol=1e-8)
    assert hessian[0, 1] == pytest.approx(free[2][0, 1], rel=1e-6)


def autoregression(rho: float, times: int) -> Array:
    """rho^|i - j|, also of negative rho."""
    lag = np.abs(np.subtract.outer(np.arange(times), np.arange(times)))
    return np.where(lag % 2 == 1, np.sign(rho), 1.0) * np.abs(rho) ** lag


def longitudinal(seed: int) -> tuple[Array, NDArray[np.bool_], list[float]]:
    """A row for each group and time, or a missing cell, and where the parameters are: log sd, atanh rho, log sigma."""
    rng = np.random.default_rng(seed)
    groups, times = int(rng.integers(3, 80)), int(rng.integers(3, 20))
    rho, sigma = rng.uniform(-0.5, 0.98), np.exp(rng.uniform(np.log(0.05), np.log(3.0)))
    u = rng.normal(size=(groups, times)) @ np.linalg.cholesky(autoregression(rho, times)).T
    seen = rng.random((groups, times)) > rng.choice([0.0, 0.1, 0.3])
    seen[:, :2] = True
    if seed % 3 == 0:
        seen[:, times // 2] = times <= 4
    return (
        2 + u + sigma * rng.normal(size=u.shape),
        seen,
        [0.0, float(np.arctanh(np.clip(rho, -0.45, 0.97))), np.log(sigma)],
    )


def dense(psi: Array, y: Array, seen: NDArray[np.bool_]) -> float:
    """Minus the log-likelihood; a missing cell is a residual of zero with a variance of one."""
    places = np.arange(y.shape[1])
    V = np.exp(2 * psi[1]) * autoregression(float(np.tanh(psi[2])), y.shape[1])[None] * seen[:, :, None] * seen[:, None]
    V[:, places, places] += np.where(seen, np.exp(2 * psi[3]), 1.0)
    try:
        lower = np.linalg.cholesky(V)
    except np.linalg.LinAlgError:
        return 1e10
    white = np.linalg.solve(lower, np.where(seen, y - psi[0], 0.0)[:, :, None])
    half = 0.5 * float((white**2).sum()) + float(np.log(lower[:, places, places]).sum())
    return half + 0.5 * seen.sum() * np.log(2 * np.pi)


def test_a_row_for_each_group_and_time() -> None:
    # An autoregression and a residual, against SciPy's optimizer on the dense likelihood: the fit is at its maximum, or
    # says that the residual vanishes.
    evaluations = []
    for seed in range(15):
        y, seen, near = longitudinal(seed)
        g, t = np.nonzero(seen)
        data = pd.DataFrame({"y": y[seen], "g": g, "t": t})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ml.FitWarning)
            results = ml.fit("y ~ 1 + ar1(0 + t | g)", data, method="ml")
        assert results.converged or "residual standard deviation goes to zero" in results.message, seed
        evaluations.append(results.optimization.n_evaluations)
        bounds = [(None, None), (-8, 5), (-5, 5), (-9, 5)]
        for start in ([2.0, *near], [2.0, -0.5, 0.2, 0.0]):
            found = minimize(dense, start, args=(y, seen), method="L-BFGS-B", bounds=bounds)
            assert results.llf > -found.fun - (1e-5 if results.converged else 1e-3), seed
        if results.converged:
            beta, sd, tau, log_sigma = results.fit.psi
            assert results.llf == pytest.approx(-dense(np.array([beta, np.log(sd), tau, log_sigma]), y, seen), abs=1e-6)
    assert np.median(evaluations) <= 30
