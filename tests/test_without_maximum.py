"""What a fit says where its family has no maximum for the data: the family's own words follow the verdict."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import logser

import multilevel as ml


def test_a_slant_without_bound() -> None:
    r = np.random.default_rng(0)
    y = np.abs(r.normal(size=60))  # half of a normal distribution
    data = pd.DataFrame({"y": y})
    with pytest.warns(ml.ConvergenceWarning, match="The slant grows without bound"):
        results = ml.fit("y ~ 1", data, "skew_normal")
    assert not results.converged
    given = ml.fit("y ~ 1", data, ml.Family("skew_normal", alpha=10.0))
    assert given.converged
    assert given.llf < results.llf


@pytest.mark.parametrize("more", [{}, {"zero_inflation": "~ x"}])
def test_counts_that_vary_less_than_the_family_can(more: dict[str, str]) -> None:
    r = np.random.default_rng(0)
    y = np.append(np.zeros(195), np.ones(5))
    r.shuffle(y)
    data = pd.DataFrame({"y": y, "x": r.normal(size=200)})
    with pytest.warns(ml.ConvergenceWarning, match="conway_maxwell_poisson has no such edge"):
        results = ml.fit("y ~ x", data, "generalized_poisson", **more)
    assert not results.converged


@pytest.mark.parametrize("hurdle", [False, True])
def test_counts_above_zero_that_are_logarithmic(hurdle: bool) -> None:
    r = np.random.default_rng(0)
    y = r.logseries(0.8, size=400).astype(float)
    data = pd.DataFrame({"y": np.append(y, np.zeros(50)) if hurdle else y})
    family = ml.Family("negative_binomial", zero="hurdle") if hurdle else "truncated_negative_binomial"
    with pytest.warns(ml.ConvergenceWarning, match="likeliest as a logarithmic distribution"):
        results = ml.fit("y ~ 1", data, family)
    assert not results.converged
    share = minimize_scalar(
        lambda p: -logser.logpmf(y, p).sum(), bounds=(0.01, 0.99), method="bounded", options={"xatol": 1e-10}
    )
    zeros = 400 * np.log(400 / 450) + 50 * np.log(50 / 450) if hurdle else 0.0
    assert results.llf == pytest.approx(zeros - share.fun, abs=1e-5)
