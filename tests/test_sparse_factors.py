"""Designs whose other factors neither fill the factorization nor fall apart: chains, deep nesting, vector terms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel import _core
from multilevel.design.build import build_design
from multilevel.family.registry import Family
from multilevel.fitting.core_model import build_core

from .family_cases import drawn
from .test_several_factors import laplace, marginal, quietly


def simulate(kind: str, family: str, n: int) -> tuple[str, pd.DataFrame]:
    """Formula and data."""
    rng = np.random.default_rng(11)
    row = np.arange(n)
    if kind == "deep nesting":
        columns = {"a": row // 4, "b": row // 12, "c": row // 60, "d": row // 240}
        formula = "y ~ x + (1 | a) + (1 | b) + (1 | c) + (1 | d)"
    elif kind == "chain":  # every level overlaps with two neighbours of each other factor
        columns = {"a": row // 4, "b": (row + 2) // 5, "c": (row + 3) // 7}
        formula = "y ~ x + (1 | a) + (1 | b) + (1 | c)"
    else:
        columns = {"a": row // 5, "b": (row + 2) // 6, "c": (row + 3) // 9}
        formula = "y ~ x + (1 | a) + (1 + x | b) + (x || c)"
    data = pd.DataFrame(columns)
    data["x"] = rng.normal(size=n)
    eta = 0.3 * data["x"].to_numpy()
    for name in columns:
        u = rng.normal(size=(data[name].max() + 1, 2)) * [0.7, 0.4]
        eta = eta + u[data[name], 0] + (u[data[name], 1] * data["x"] if kind == "vector terms" else 0)
    has_residual = ml.Family(family).has_residual
    data["y"] = drawn(rng, family, eta if has_residual else eta - 0.5, phi=(0.0,) if has_residual else None)
    return formula, data.sample(frac=1, random_state=3).reset_index(drop=True)


KINDS = ["deep nesting", "chain", "vector terms"]


@pytest.mark.parametrize("kind", KINDS)
def test_linear_models_from_the_covariance_matrix(kind: str) -> None:
    formula, data = simulate(kind, "gaussian", 960)
    results = quietly(formula, data)
    assert results.converged
    y, x, v = marginal(results, data)
    solved = np.linalg.solve(v, np.column_stack([x, y]))
    information = x.T @ solved[:, :2]
    beta = np.linalg.solve(information, x.T @ solved[:, 2])
    residual = y - x @ beta
    deviance = (len(y) - 2) * np.log(2 * np.pi) + np.linalg.slogdet(v)[1] + np.linalg.slogdet(information)[1]
    deviance += residual @ np.linalg.solve(v, residual)
    assert results.deviance == pytest.approx(deviance, abs=1e-7)
    np.testing.assert_allclose(results.params, beta, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_laplace_written_out(kind: str) -> None:
    formula, data = simulate(kind, "poisson", 480)
    results = quietly(formula, data, "poisson")
    assert results.converged
    if kind == "vector terms":
        return  # its diagonal term is written otherwise; the linear model above covers the factorization
    fit = results.fit
    value, v, _ = laplace(results, data, fit.psi)
    assert results.llf == pytest.approx(value, abs=1e-8)
    modes = np.concatenate([m.ravel() / half[0, 0] for m, half in zip(fit.modes, fit.theta, strict=True)])
    np.testing.assert_allclose(modes, v, atol=1e-6)
    for k in range(len(fit.psi)):
        h = 1e-3 / np.sqrt(-fit.hessian[k, k])
        unit = np.eye(len(fit.psi))[k] * h
        above, below = (laplace(results, data, fit.psi + sign * unit)[0] for sign in (1, -1))
        assert (above - below) / 2 == pytest.approx(0, abs=1e-7)
        assert (above - 2 * value + below) / h**2 == pytest.approx(fit.hessian[k, k], rel=1e-2)


def test_the_gradient_of_the_joint_laplace_approximation() -> None:
    formula, data = simulate("vector terms", "poisson", 480)
    family = Family("poisson")
    design = build_design(formula, data, family=family)
    core = build_core(design, family)
    psi = np.random.default_rng(2).uniform(0.2, 0.6, core.n_beta + core.n_theta)
    y = design.response.values
    _, gradient, hessian = _core.evaluate(core, y, psi)
    for k in range(len(psi)):
        unit = np.eye(len(psi))[k]
        # fourth order
        near, far = (
            (_core.evaluate(core, y, psi + h * unit)[0] - _core.evaluate(core, y, psi - h * unit)[0]) / (2 * h)
            for h in (1e-3, 2e-3)
        )
        assert (4 * near - far) / 3 == pytest.approx(gradient[k], rel=1e-7, abs=1e-7)
        slopes = [_core.evaluate(core, y, psi + sign * 1e-4 * unit)[1] for sign in (1, -1)]
        np.testing.assert_allclose((slopes[0] - slopes[1]) / 2e-4, hessian[k], rtol=1e-5, atol=1e-4)


def test_too_large_a_factorization_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=3000), "a": rng.integers(0, 300, 3000), "b": rng.integers(0, 200, 3000)})
    family = Family("gaussian")
    design = build_design("y ~ 1 + (1 | a) + (1 | b)", data, family=family)
    core = build_core(design, family)
    assert _core.fit(core, design.response.values, "reml", most_bytes=1e8).ending == "converged"
    with pytest.raises(_core.TooLarge, match=r"about .* GB of memory \(the limit is 0.0001 GB\) and .* minutes.* 200 "):
        _core.fit(core, design.response.values, "reml", most_bytes=1e5)

    def refuse(*args: object, **options: object) -> None:
        raise _core.TooLarge("a fit would take about 80 GB of memory")

    monkeypatch.setattr(_core, "fit", refuse)
    with pytest.raises(ml.DataError, match=r"80 GB of memory. Keep fewer of the grouping factors \('a', 'b'\)"):
        ml.fit("y ~ 1 + (1 | a) + (1 | b)", data)
