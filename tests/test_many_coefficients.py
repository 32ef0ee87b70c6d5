"""Linear models with many coefficients per group, as one row for each group and time has them: second derivatives along
theta, against differences of the likelihood of all rows together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

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
