"""Rows that tell an effect a billion times better than its prior does: what is left after large numbers cancel."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml

GROUPS = 12


def _counts(size: float, sds: tuple[float, float] = (0.5, 0.5)) -> pd.DataFrame:
    rng = np.random.default_rng(6)
    g = np.repeat(np.arange(GROUPS), 10)
    x = rng.normal(size=len(g))
    effects = rng.normal(size=(GROUPS, 2)) * sds
    y = np.random.default_rng(6).poisson(np.exp(1 + 0.5 * x + effects[g, 0] + effects[g, 1] * x) * size)
    return pd.DataFrame({"y": y, "x": x, "g": g})


@pytest.mark.parametrize("size", [1e6, 1e8, 1e10, 1e11, 1e12])
def test_counts_that_leave_no_doubt_of_a_group(size: float) -> None:
    """The coefficients of a group are known, so that those of all have a normal law whose maximum is in closed form."""
    data = _counts(size)
    groups = [ml.fit("y ~ x", own, "poisson").fit.beta for _, own in data.groupby("g")]
    covariance = np.cov(np.array(groups).T, bias=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ml.SeveralMaximaWarning)
        results = ml.fit("y ~ x + (1 + x | g)", data, "poisson")
    assert results.converged
    close = 3.0 / size + 1e-5
    sds = np.sqrt(np.diag(covariance))
    assert results.fit.beta == pytest.approx(np.mean(groups, axis=0), abs=close)
    assert results.fit.random_cov[0] == pytest.approx(covariance, rel=close)
    table = results.tidy()
    errors = np.asarray(table["std_error"], dtype=float)
    assert errors[:2] == pytest.approx(sds / np.sqrt(GROUPS), rel=close)
    assert errors[2:4] == pytest.approx(sds / np.sqrt(2 * GROUPS), rel=close)


def _small_values() -> pd.DataFrame:
    """Inverse Gaussian: a value of 1e-9 has the weight of 1e9 others."""
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(13), 30)
    x = 100 * rng.normal(size=len(g))
    mu = np.exp(4 + (2 * rng.normal(size=13))[g] + (0.05 * rng.normal(size=13))[g] * x)
    return pd.DataFrame({"y": rng.wald(mu, 3e3), "x": x, "g": g})


@pytest.mark.parametrize(
    ("data", "formula", "family"),
    [
        (_small_values(), "y ~ x + (x || g)", "inverse_gaussian"),
        (_counts(1e11, (0.5, 0.0)), "y ~ x + (1 | g)", "poisson"),
        (_counts(1e11, (0.0, 0.5)), "y ~ x + (0 + x | g)", "poisson"),
    ],
)
def test_hessian_is_that_of_the_slopes(data: pd.DataFrame, formula: str, family: Any) -> None:
    """And does not move with the last digits of the parameters."""
    model = ml.MixedModel(formula, data, family)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = model.fit()
        psi, hessian = results.fit.psi, results.fit.hessian
        errors = np.sqrt(np.diag(np.linalg.inv(-hessian)))
        rng = np.random.default_rng(0)
        for _ in range(3):
            near = model.fit(start=psi * (1 + 1e-13 * rng.normal(size=len(psi))), max_iter=0).fit.hessian
            assert np.sqrt(np.diag(np.linalg.inv(-near))) == pytest.approx(errors, rel=1e-4)
        for k, error in enumerate(errors):
            step = 0.02 * error * np.eye(len(psi))[k]
            above = model.fit(start=psi + step, max_iter=0).fit.gradient
            below = model.fit(start=psi - step, max_iter=0).fit.gradient
            difference = (above - below) / (0.04 * error)
            assert difference * error * errors == pytest.approx(hessian[k] * error * errors, abs=1e-3)
