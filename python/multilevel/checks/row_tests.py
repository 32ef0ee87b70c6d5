"""Tests of residuals that are independent and standard normal where the model is right: p-values without simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

N_BINS = 10  # of equal numbers of rows, along the predictions
QUARTERS = (-0.6744897501960817, 0.0, 0.6744897501960817)  # of the normal distribution
FEW = 2_000  # independent zeros up to which their number's distribution is made whole


class RowTest(NamedTuple):
    """A statistic, its p-value, and what was seen, in words."""

    statistic: float
    p_value: float
    seen: str


def uniformity(below: Array) -> RowTest:
    """Kolmogorov and Smirnov's test of probabilities."""
    from scipy.stats import kstest

    test = kstest(below, "uniform")
    return RowTest(float(test.statistic), float(test.pvalue), f"largest distance {test.statistic:.3f}")


def spread(scores: Array, n_fixed: int) -> RowTest:
    """Sum of squares, chi-square with as many degrees of freedom as rows, less the coefficients that were estimated."""
    from scipy.special import chdtr, chdtrc

    total, df = float(np.sum(scores**2)), max(len(scores) - n_fixed, 1)
    ratio = total / df
    p_value = 2.0 * min(float(chdtr(df, total)), float(chdtrc(df, total)))
    return RowTest(ratio, min(p_value, 1.0), f"{ratio:.3f} of the model's variance")


def zeros(observed: NDArray[np.bool_], probabilities: Array) -> RowTest:
    """The number of zeros, which is a sum of independent ones."""
    from scipy.special import ndtr

    count, expected = int(observed.sum()), float(probabilities.sum())
    if len(probabilities) <= FEW:
        lower, upper = _tails_of_count(count, probabilities)
    else:
        sd = np.sqrt(np.sum(probabilities * (1.0 - probabilities)))
        sd = max(float(sd), np.finfo(float).tiny)
        lower, upper = float(ndtr((count + 0.5 - expected) / sd)), float(ndtr((expected - count + 0.5) / sd))
    return RowTest(
        count / max(expected, 1e-300), min(1.0, 2.0 * min(lower, upper)), f"{count}, expected {expected:.1f}"
    )


def _tails_of_count(count: int, probabilities: Array) -> tuple[float, float]:
    """Probabilities of no more and of no less than `count` among independent events."""
    table = np.zeros(len(probabilities) + 1)
    table[0] = 1.0
    for k, p in enumerate(probabilities):
        table[1 : k + 2] = table[1 : k + 2] * (1.0 - p) + table[: k + 1] * p
        table[0] *= 1.0 - p
    return float(table[: count + 1].sum()), float(table[count:].sum())


def farthest(scores: Array, label: str) -> RowTest:
    """The row that is farthest out, among so many."""
    from scipy.special import log_ndtr

    most = float(np.max(np.abs(scores)))
    p_value = -np.expm1(len(scores) * np.log1p(-2.0 * np.exp(log_ndtr(-most))))
    return RowTest(most, float(p_value), f"row {label} at {most:.2f}")


def along(scores: Array, predictor: Array) -> RowTest | None:
    """Quarters of the residuals in bins of the predictions: a chi-square test; None where predictions hardly differ."""
    from scipy.special import chdtrc

    n = len(scores)
    n_bins = min(N_BINS, n // 20)
    edges = np.unique(np.quantile(predictor, np.linspace(0, 1, n_bins + 1)[1:-1])) if n_bins > 1 else np.empty(0)
    if not len(edges):
        return None
    bins = np.searchsorted(edges, predictor, side="left")
    n_bins = len(edges) + 1
    quarter = np.searchsorted(QUARTERS, scores)
    counts = np.bincount(bins * 4 + quarter, minlength=4 * n_bins).reshape(n_bins, 4)
    size = counts.sum(axis=1)
    counts, size = counts[size > 0], size[size > 0]
    if len(size) < 2:
        return None
    expected = size[:, None] / 4.0
    chi2 = float(np.sum((counts - expected) ** 2 / expected))
    worst = int(np.argmax(np.sum((counts - expected) ** 2 / expected, axis=1)))
    return RowTest(chi2, float(chdtrc(3 * len(size), chi2)), f"{len(size)} bins, farthest: {worst + 1}")


def spread_by_level(scores: Array, codes: NDArray[np.int32], n_levels: int) -> RowTest | None:
    """Absolute residuals by level, an F test (Brown and Forsythe's with a centre that is known); None where levels have
    too few rows.
    """
    from scipy.special import fdtrc

    size = np.bincount(codes, minlength=n_levels)
    if (size > 1).sum() < 2 or len(scores) <= n_levels:
        return None
    absolute = np.abs(scores)
    means = np.bincount(codes, absolute, minlength=n_levels) / np.maximum(size, 1)
    between = float(np.sum(size * (means - absolute.mean()) ** 2)) / (n_levels - 1)
    within = float(np.sum((absolute - means[codes]) ** 2)) / (len(scores) - n_levels)
    statistic = between / within
    return RowTest(statistic, float(fdtrc(n_levels - 1, len(scores) - n_levels, statistic)), f"F = {statistic:.2f}")


def normality(effects: Array) -> RowTest | None:
    """Of random effects: Shapiro and Wilk's test, from 5,000 on D'Agostino and Pearson's; None for fewer than eight."""
    from scipy.stats import normaltest, shapiro

    if len(effects) < 8 or not np.ptp(effects) > 0:
        return None
    test = shapiro(effects) if len(effects) < 5_000 else normaltest(effects)
    skewness = float(np.mean((effects - effects.mean()) ** 3) / effects.std() ** 3)
    return RowTest(float(test[0]), float(test[1]), f"{len(effects)} levels, skewness {skewness:.2f}")
