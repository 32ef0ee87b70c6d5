"""The log-likelihood of linear mixed models keeps its digits where random effects cancel each other."""

from __future__ import annotations

import decimal
import warnings

import numpy as np
import pandas as pd
import pytest

import multilevel as ml


def _exact_log_likelihood(data: pd.DataFrame, psi: np.ndarray) -> float:
    """Of y ~ x + (x || g) by ML, with fifty digits: 2 x 2 matrices, group by group."""
    with decimal.localcontext() as context:
        context.prec = 50
        b0, b1, sd0, sd1, log_sigma = (decimal.Decimal(float(value)) for value in psi)
        variance = (2 * log_sigma).exp()
        two_pi = decimal.Decimal("6.2831853071795864769252867665590057683943387987502")
        total = decimal.Decimal(0)
        for _, own in data.groupby("g"):
            x = [decimal.Decimal(float(value)) for value in own["x"]]
            e = [decimal.Decimal(float(y)) - b0 - b1 * z for y, z in zip(own["y"], x, strict=True)]
            a, b, d = 1 + sd0 * sd0 * len(x) / variance, sd0 * sd1 * sum(x) / variance, sum(z * z for z in x)
            d = 1 + sd1 * sd1 * d / variance
            u, v = sd0 * sum(e) / variance, sd1 * sum(z * r for z, r in zip(x, e, strict=True)) / variance
            determinant = a * d - b * b
            explained = (d * u * u - 2 * b * u * v + a * v * v) / determinant
            square = sum(r * r for r in e) / variance - explained
            total -= (len(x) * (two_pi * variance).ln() + determinant.ln() + square) / 2
        return float(total)


@pytest.mark.parametrize("shift", [1e3, 1e4, 1e5])
def test_random_effects_that_cancel_each_other(shift: float) -> None:
    """Of columns far from zero, without their correlation: the likelihood keeps its digits, and repeats itself."""
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(100), 25)
    x = rng.normal(size=len(g))
    effects = rng.normal(size=(100, 2)) * (0.3, 3)
    y = 2 + 2 * x + effects[g, 0] + effects[g, 1] * x + rng.normal(size=len(g))
    data = pd.DataFrame({"y": y, "x": x + shift, "g": g})
    model = ml.MixedModel("y ~ x + (x || g)", data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = model.fit(method="ml")
        assert results.llf == pytest.approx(_exact_log_likelihood(data, results.fit.psi), abs=1e-10 * shift)
        for _ in range(5):
            near = results.fit.psi * (1 + 3e-16 * rng.normal(size=5))
            assert model.fit(method="ml", start=near, max_iter=0).llf == pytest.approx(
                results.llf, abs=1e-8 + 1e-12 * shift
            )
