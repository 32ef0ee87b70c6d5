"""Variances of zero and correlations of one: found exactly, said, and what remains is the smaller model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel import _core

from .family_cases import QUICK_COLUMN
from .hard_data import MOST_EVALUATIONS, assert_usable, grouped, quietly, respond


def variance_score(results: ml.MixedModelResults, data: pd.DataFrame, at: int) -> float:
    """d log-likelihood / d variance at zero, by evaluating at small standard deviations."""
    psi = results.fit.psi.copy()
    values = []
    scale = 1 / np.sqrt(abs(results.certificate.boundary[0].score))
    for sd in (0.001 * scale, 0.002 * scale):
        psi[at] = sd
        values.append(
            (_core.evaluate(results.fit.model_core, data["y"].to_numpy(float), psi, 1, 1)[0] - results.llf) / sd**2
        )
    return (4 * values[0] - values[1]) / 3


@pytest.mark.parametrize("family", QUICK_COLUMN)
def test_zero_variance(family: str) -> None:
    for seed in range(50):
        data = respond(grouped(11, groups=30, per_group=8, sd=0.0), family, seed, noise=1.0)
        results = quietly("y ~ x + (1 | g)", data, family, method="ml")
        if results.fit.singular:
            break
    else:
        pytest.fail("no simulated data set without a variance of the groups")
    with pytest.warns(ml.SingularFitWarning, match=r"variance of '\(Intercept\)' in 'g' is exactly zero, score -\d"):
        ml.fit("y ~ x + (1 | g)", data, family, method="ml")
    assert results.converged
    assert results.random_cov["g"].iloc[0, 0] == 0.0
    assert results.optimization.n_evaluations <= MOST_EVALUATIONS
    (boundary,) = results.certificate.boundary
    assert (boundary.term, boundary.name) == ("g", "(Intercept)")
    assert boundary.score < 0
    assert boundary.score == pytest.approx(variance_score(results, data, 2), rel=1e-3)
    # Everything else is the generalized linear model.
    plain = quietly("y ~ x", data, family)
    assert results.llf == pytest.approx(plain.llf, abs=1e-9)
    np.testing.assert_allclose(results.params, plain.params, rtol=1e-6)
    n, p = plain.nobs, len(plain.params)
    to_ml = np.sqrt((n - p) / n) if family == "gaussian" else 1.0  # plain linear models are least squares
    np.testing.assert_allclose(results.bse, plain.bse * to_ml, rtol=1e-6)
    assert np.abs(results.random_effects()["mode"]).max() == 0
    assert_usable(results)


def test_many_fits_near_the_boundary() -> None:
    # Small slopes or intercepts: every fit is certified, and takes few evaluations; none is left almost singular.
    evaluations = []
    for seed in range(90):
        rng = np.random.default_rng(3000 + seed)
        groups, per_group = 40, 12
        g = np.repeat(np.arange(groups), per_group)
        x = rng.uniform(size=len(g))
        u, v = 0.3 * rng.normal(size=(2, groups))
        data = pd.DataFrame({"g": g, "x": x, "eta": -0.2 + 0.5 * x + (v[g] * x if seed % 2 else u[g])})
        family = ["binomial", "poisson", "gaussian"][seed % 3]
        results = quietly("y ~ x + (1 + x | g)", respond(data, family, seed, noise=1.0), family)
        assert results.converged, f"seed {seed}: {results.fit.message}"
        evaluations.append(results.optimization.n_evaluations)
        cov = results.random_cov["g"].to_numpy()
        sd = np.sqrt(np.diag(cov))
        if not results.fit.singular:
            assert abs(cov[0, 1]) < 0.9999 * sd[0] * sd[1], f"seed {seed}: a correlation of one that is not reported"
            assert sd.min() > 1e-3, f"seed {seed}: a variance of zero that is not reported"
    assert max(evaluations) <= 35
    assert np.mean(evaluations) <= 12


@pytest.mark.parametrize("rho", [-1.0, 1.0])
@pytest.mark.parametrize("family", ["poisson", "gaussian"])
def test_correlation_of_one(family: str, rho: float) -> None:
    for seed in range(30):
        data = respond(grouped(21, groups=60, per_group=15, sd_x=0.6, rho=rho), family, seed)
        results = quietly("y ~ x + (1 + x | g)", data, family, method="ml")
        if results.fit.singular:
            break
    else:
        pytest.fail("no simulated data set with a correlation at the boundary")
    assert results.converged
    cov = results.random_cov["g"].to_numpy()
    assert cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]) == pytest.approx(rho, abs=1e-12)
    assert min(np.diag(cov)) > 0.1
    (text,) = [w for w in results.warnings if w.startswith("singular fit")]
    assert "correlation" in text, "neither variance is zero"
    assert results.certificate.boundary[0].score < 0
    assert results.optimization.n_evaluations <= MOST_EVALUATIONS
    # No neighbour is better.
    y = data["y"].to_numpy(float)
    for move in (0.02, -0.02):
        psi = results.fit.psi.copy()
        psi[4] = move
        assert _core.evaluate(results.fit.model_core, y, psi, 1, 1)[0] < results.llf
    # The shift of the origin of x leaves correlation and likelihood as they are.
    shifted = quietly("y ~ x + (1 + x | g)", data.assign(x=data["x"] + 1), family, method="ml")
    assert shifted.llf == pytest.approx(results.llf, abs=1e-6)


@pytest.mark.parametrize("zero", ["(Intercept)", "x"])
@pytest.mark.parametrize("family", QUICK_COLUMN)
@pytest.mark.parametrize("bars", ["|", "||"])
def test_one_of_two_variances_is_zero(family: str, zero: str, bars: str) -> None:
    sd, sd_x = (0.0, 0.7) if zero == "(Intercept)" else (0.7, 0.0)
    for seed in range(4 if ml.Family(family)._core.log_concave else 2):  # until one is zero; others take longer
        data = respond(grouped(22, groups=40, per_group=10, sd=sd, sd_x=sd_x), family, seed)
        results = quietly(f"y ~ x + (1 + x {bars} g)", data, family)
        assert results.converged, results.fit.message
        assert results.optimization.n_evaluations <= 25
        cov = results.random_cov["g"].to_numpy()
        if bars == "||" and results.fit.singular:
            assert results.certificate.boundary[0].name == zero
            assert cov[["(Intercept)", "x"].index(zero)].max() == 0
            only = "x" if zero == "(Intercept)" else "1"
            smaller = quietly(f"y ~ x + ({'0 + ' if only == 'x' else ''}{only} | g)", data, family)
            assert results.llf == pytest.approx(smaller.llf, abs=1e-8)
        if results.fit.singular:
            break
        assert np.linalg.eigvalsh(cov / np.sqrt(np.outer(np.diag(cov), np.diag(cov))))[0] > 1e-4
