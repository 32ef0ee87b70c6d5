"""Data for tests of hard cases, and what every fit of them must bear."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import multilevel as ml

from .family_cases import drawn

Array = NDArray[np.float64]
MOST_EVALUATIONS = 15


def grouped(
    seed: int, groups: int = 40, per_group: int = 10, sd: float = 0.8, sd_x: float = 0.0, rho: float = 0.0
) -> pd.DataFrame:
    """Covariates, and a linear predictor `eta` with effects of the groups."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), per_group)
    x = rng.normal(size=len(g))
    a, b = rng.normal(size=(2, groups))
    eta = 0.2 + 0.5 * x + sd * a[g] + sd_x * (rho * a + np.sqrt(1 - rho**2) * b)[g] * x
    return pd.DataFrame({"g": [f"g{i:05d}" for i in g], "x": x, "eta": eta})


def respond(data: pd.DataFrame, family: str, seed: int = 0, noise: float = 0.5) -> pd.DataFrame:
    """With a response `y` drawn given `eta`."""
    rng = np.random.default_rng([seed, 99])
    phi = (np.log(noise),) if ml.Family(family).has_residual else None
    return data.assign(y=drawn(rng, family, data["eta"], phi=phi))


def quietly(formula: str, data: pd.DataFrame, family: str = "gaussian", **options: object) -> ml.MixedModelResults:
    """The fit without its warnings, for tests that look at numbers only; they stay in `results.warnings`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return ml.fit(formula, data, family, **options)


def assert_usable(results: ml.MixedModelResults) -> None:
    """However a fit ended, its results can be printed and read."""
    assert "NOT CONVERGED" in str(results.summary()) or results.converged
    assert len(results.params) == len(results.bse) == len(results.pvalues)
    assert len(results.tidy()) >= len(results.params)
    assert len(results.random_effects()) >= 0
    assert repr(results)
