"""The cases with one grouping factor. The grouping column holds strings, as it does in a user's frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
from case import Case, CaseData, bernoulli, labels

# Contagious bovine pleuropneumonia (Lesnoff et al. 2004, Prev. Vet. Med. 64), as in R's lme4.
_CBPP_HERD = np.repeat(np.arange(1, 16), [4, 3, 4, 4, 4, 4, 4, 1, 4, 4, 4, 4, 4, 4, 4])
_CBPP_INCIDENCE = (
    "2 3 4 0 3 1 1 8 2 0 2 2 0 2 0 5 0 0 1 3 0 0 1 8 1 3 0 12 2 0 0 0 1 1 0 2 0 5 3 1 2 1 0 0 1 2 0 0 11 0 0 0 1 1 1 0"
)
_CBPP_SIZE = (
    "14 12 9 5 22 18 21 22 16 16 20 10 10 9 6 18 25 24 4 17 17 18 20 16 10 9 5 34 9 6 8 6 "
    "22 22 18 22 25 27 22 22 10 8 6 5 21 24 19 23 19 2 3 2 19 15 15 15"
)


def _cbpp(small: bool) -> CaseData:
    """Give the 56 rows; they are small already."""
    del small
    incidence = np.array(_CBPP_INCIDENCE.split(), dtype=np.int64)
    size = np.array(_CBPP_SIZE.split(), dtype=np.int64)
    rows = pd.Series(np.arange(_CBPP_HERD.size)).groupby(_CBPP_HERD).cumcount()
    frame = pd.DataFrame(
        {
            "herd": pd.Series(_CBPP_HERD).astype(str),
            "period": (rows + 1).astype(str),
            "incidence": incidence,
            "healthy": size - incidence,
            "size": size,
        }
    )
    return CaseData(frame, np.random.default_rng(1).binomial(size, 0.15))


def _slopes(small: bool) -> CaseData:
    """Simulate 50 rows a group, with an intercept and a slope that vary between groups and are correlated."""
    rng = np.random.default_rng(42)
    n_groups, n_per_group = (20, 30) if small else (2_000, 50)
    codes = np.repeat(np.arange(n_groups), n_per_group)
    x1, x2 = rng.normal(size=(2, codes.size))
    x3 = rng.integers(0, 2, codes.size).astype(float)
    u = rng.normal(size=(n_groups, 2)) @ np.array([[0.8, 0.2], [0.0, 0.5]])
    eta = -0.5 + 0.6 * x1 - 0.4 * x2 + 0.3 * x3 + u[codes, 0] + u[codes, 1] * x1
    frame = pd.DataFrame({"y": bernoulli(eta, rng), "x1": x1, "x2": x2, "x3": x3, "g": labels(codes, "group")})
    return CaseData(frame, bernoulli(eta, rng))


def _million(small: bool) -> CaseData:
    """Simulate 100 rows a group, with five covariates and an intercept that varies between groups."""
    rng = np.random.default_rng(7)
    n_groups, n_per_group = (20, 30) if small else (10_000, 100)
    codes = np.repeat(np.arange(n_groups), n_per_group)
    x = rng.normal(size=(5, codes.size))
    eta = -0.7 + np.array([0.5, -0.3, 0.2, 0.1, -0.4]) @ x + 0.9 * rng.normal(size=n_groups)[codes]
    columns = {f"x{i + 1}": column.copy() for i, column in enumerate(x)}
    frame = pd.DataFrame({"y": bernoulli(eta, rng), **columns, "g": labels(codes, "group")})
    return CaseData(frame, bernoulli(eta, rng))


_MILLION_FORMULA = "y ~ x1 + x2 + x3 + x4 + x5 + (1 | g)"

ONE_FACTOR = (
    Case(
        "cbpp",
        "cbpp: 56 rows in 15 herds, binomial with trials, random intercept, Laplace",
        "cbind(incidence, healthy) ~ period + (1 | herd)",
        "incidence",
        ("herd",),
        _cbpp,
        size="size",
        n_calls=200,
        n_r_calls=20,
        peers=("glmm", "gpboost", "lme4", "glmmTMB"),
        threads=(1, 2),
        has_refit=True,
    ),
    Case(
        "slopes",
        "100,000 rows in 2,000 groups, binary, correlated random intercept and slope, Laplace",
        "y ~ x1 + x2 + x3 + (1 + x1 | g)",
        "y",
        ("g",),
        _slopes,
        slope="x1",
        peers=("glmm", "gpboost", "lme4", "glmmTMB"),
        takes_minutes=frozenset({"lme4"}),
        threads=(1, 2),
        has_refit=True,
    ),
    Case(
        "million",
        "1,000,000 rows in 10,000 groups, binary, five covariates, random intercept, Laplace",
        _MILLION_FORMULA,
        "y",
        ("g",),
        _million,
        takes_minutes=frozenset({"lme4", "glmmTMB"}),
        threads=(1, 2),
        has_refit=True,
    ),
    Case(
        "million9",
        "the same 1,000,000 rows, adaptive Gauss-Hermite quadrature with 9 points",
        _MILLION_FORMULA,
        "y",
        ("g",),
        _million,
        n_quadrature=9,
        takes_minutes=frozenset({"lme4", "glmmTMB"}),
        threads=(1, 2),
        has_refit=True,
    ),
)
