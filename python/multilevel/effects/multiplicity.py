"""Several tests at once: p-values and the reach of intervals, such that the whole family errs as rarely as stated.

"bonferroni", "holm"    any tests, however they depend on each other
"tukey"                 all pairs of means: the studentized range (Tukey & Kramer where errors differ)
"single-step"           the largest of the tests at hand, by their correlations: the multivariate t or normal
                        distribution (Hothorn, Bretz & Westfall 2008, Biometrical Journal 50:346-363)
"dunnett"               the same for comparisons with one reference
"bh", "by"              the share of false discoveries, see inference/multiplicity.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..inference.multiplicity import METHODS as ADJUSTMENTS
from ..inference.multiplicity import adjusted_p_values
from ..inference.wald import p_values, quantile

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

METHODS = ("none", *ADJUSTMENTS, "tukey", "dunnett", "single-step")
POINTS, SHIFTS = 4096, 8  # of the lattice rule
RANK = 1e-9  # pivots of a correlation matrix below are none


def adjusted_p(method: str, statistic: Array, df: Array, correlation: Array, n_means: int) -> Array:
    """Two-sided p-values of a family of t or z statistics, (m,); NaN where a statistic is.

    Parameters
    ----------
    method : str
    statistic, df : ndarray, (m,)
        `df` is infinite for the normal distribution.
    correlation : ndarray, (m, m)
    n_means : int
        How many means the pairs are of, for "tukey".
    """
    raw = p_values(statistic, df)
    there = np.flatnonzero(np.isfinite(raw))
    result = np.full(len(raw), np.nan)
    if not len(there):
        return result
    p, size = raw[there], len(there)
    if method == "none":
        own = p
    elif method in ADJUSTMENTS:
        own = adjusted_p_values(p, method)
    elif method == "tukey":
        pairs = zip(np.sqrt(2.0) * np.abs(statistic[there]), df[there], strict=True)
        own = np.array([studentized_range_tail(q, n_means, own_df) for q, own_df in pairs])
    else:
        among = correlation[np.ix_(there, there)]
        pairs = zip(np.abs(statistic[there]), df[there], strict=True)
        tails = np.array([largest_tail(reach, among, own_df) for reach, own_df in pairs])
        own = np.clip(tails, p, np.minimum(1.0, size * p))  # what holds of any dependence
    result[there] = own
    return result


def reaches(method: str, level: float, df: Array, correlation: Array, n_means: int) -> Array:
    """Half the width of intervals in standard errors, (m,), that hold all at once with probability `level`.

    Those of "holm", which has none of its own, are Bonferroni's; those of "bh" and "by" hold one by one.
    """
    size = len(df)
    if method in ("none", "bh", "by") or size == 0:
        return quantile(level, df)
    quantile(level)  # checks it
    if method in ("bonferroni", "holm"):
        return quantile(1.0 - (1.0 - level) / size, df)
    found: dict[float, float] = {}
    for own_df in df:
        if np.isnan(own_df) or own_df in found:
            continue
        tail = _tail_of_range(n_means, own_df) if method == "tukey" else _tail_of_largest(correlation, own_df)
        low = float(quantile(level, own_df))
        high = float(quantile(1.0 - (1.0 - level) / max(size, n_means * (n_means - 1) / 2, 2), own_df)) * 1.01
        found[own_df] = _solve(tail, 1.0 - level, low, high)
    return np.array([found.get(own_df, np.nan) for own_df in df])


def _tail_of_range(n_means: int, df: float) -> Callable[[float], float]:
    return lambda reach: studentized_range_tail(np.sqrt(2.0) * reach, n_means, df)


def _tail_of_largest(correlation: Array, df: float) -> Callable[[float], float]:
    there = np.isfinite(np.diag(correlation))
    among = correlation[np.ix_(there, there)]
    return lambda reach: largest_tail(reach, among, df)


def _solve(tail: Callable[[float], float], target: float, low: float, high: float) -> float:
    from scipy.optimize import brentq

    if tail(low) <= target:
        return low
    return float(brentq(lambda reach: tail(reach) - target, low, high, xtol=1e-11, rtol=1e-12))


# ---- the studentized range ---------------------------------------------------------------------------------------


def studentized_range_tail(q: float, n_means: int, df: float) -> float:
    """Probability that the range of so many independent standard normal numbers, over an independent estimate of their
    standard deviation with `df` degrees of freedom, is above q. Accurate in the tail, too.
    """
    if np.isnan(q) or np.isnan(df):
        return np.nan
    if q <= 0.0:
        return 1.0
    if np.isinf(df):
        return float(_range_tail(np.array([q]), n_means)[0])
    return float(_over_scale(lambda scale: _range_tail(q * scale, n_means), df))


def _range_tail(q: Array, n_means: int) -> Array:
    """The same with the standard deviation known: n times the integral over the largest of them."""
    from scipy.special import ndtr

    q = np.minimum(q, 80.0)  # nothing is left of the tail
    z = np.arange(-8.5, 8.5 + q.max(), 0.125)[:, None]
    below = ndtr(z)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(
            below > 0, ndtr(z - q) / below, 0.0
        )  # of the others, given that they are below z: out of range
        outside = -np.expm1((n_means - 1) * np.log1p(-np.minimum(share, 1.0)))
    density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    return np.asarray(0.125 * n_means * (density * below ** (n_means - 1) * outside).sum(axis=0))


def _over_scale(tail: Callable[[Array], Array], df: float) -> float:
    """Average of a function of s over s^2 ~ chi-square(df) / df, by the trapezoidal rule for log s."""
    from scipy.special import gammaln

    width = 1.0 / np.sqrt(2.0 * df)  # the standard deviation of log s, about; below, the density falls as s^df
    ends = -40.0 / df - 9.0 * width, 0.5 * np.log1p((90.0 + 13.0 * np.sqrt(df)) / df)
    log_s = np.linspace(*ends, int((ends[1] - ends[0]) / (0.12 * min(width, 1.0))) + 2)
    log_density = np.log(2.0) + 0.5 * df * np.log(0.5 * df) - gammaln(0.5 * df)
    density = np.exp(log_density + df * log_s - 0.5 * df * np.exp(2.0 * log_s))
    return float((log_s[1] - log_s[0]) * (density * tail(np.exp(log_s))).sum())


# ---- the largest of several --------------------------------------------------------------------------------------


def largest_tail(reach: float, correlation: Array, df: float) -> float:
    """Probability that the largest of |T| is above `reach`, T multivariate t (normal for infinite `df`).

    By separation of variables on a lattice with a fixed number of points, the same every time (Genz 1992, J. Comput.
    Graph. Stat. 1:141-149; Genz & Kwong 2000, J. Stat. Comput. Simul. 68:1-21, for a correlation matrix that is
    singular, as that of all pairs is): good to about four digits after the point.
    """
    if np.isnan(reach) or np.isnan(df):
        return np.nan
    if len(correlation) == 1:
        return float(p_values(np.array([reach]), df)[0])
    factor = _pivoted_factor(correlation)
    rank = factor.shape[1]
    last = np.array([np.flatnonzero(np.abs(row) > RANK)[-1] for row in factor])
    from scipy.special import chdtri, ndtr, ndtri

    inside = []
    for shift in range(SHIFTS):
        u = _lattice(rank + 1, shift)
        bound = np.full(len(u), reach)
        if np.isfinite(df):
            bound = reach * np.sqrt(chdtri(df, 1.0 - u[:, 0]) / df)
        z = np.zeros((len(u), rank))
        weight = np.ones(len(u))
        for j in range(rank):
            low, high = np.full(len(u), -np.inf), np.full(len(u), np.inf)
            for i in np.flatnonzero(last == j):
                middle, size = z[:, :j] @ factor[i, :j], factor[i, j]
                ends = (-bound - middle) / size, (bound - middle) / size
                low = np.maximum(low, np.minimum(*ends))
                high = np.minimum(high, np.maximum(*ends))
            left = ndtr(low)
            width = np.maximum(ndtr(high) - left, 0.0)
            weight *= width
            z[:, j] = ndtri(np.clip(left + u[:, j + 1] * width, 1e-300, 1.0 - 1e-16))
        inside.append(weight.mean())
    return float(max(0.0, 1.0 - np.mean(inside)))


def _pivoted_factor(correlation: Array) -> Array:
    """L with L L' = the matrix, of full column rank; rows in the order of elimination."""
    left, n = correlation.copy(), len(correlation)
    columns: list[Array] = []
    order = list(range(n))
    for j in range(n):
        best = j + int(np.argmax(np.diag(left)[order[j:]]))
        pivot = left[order[best], order[best]]
        if pivot < RANK:
            break
        order[j], order[best] = order[best], order[j]
        column = left[:, order[j]] / np.sqrt(pivot)
        column[order[:j]] = 0.0
        columns.append(column)
        left = left - np.outer(column, column)
    return np.column_stack(columns)[order]


def _lattice(dimension: int, shift: int) -> Array:
    """Points of a lattice of square roots of primes, folded to be symmetric."""
    primes: list[int] = []
    number = 2
    while len(primes) < dimension:
        if all(number % prime for prime in primes):
            primes.append(number)
        number += 1
    roots = np.sqrt(np.array(primes))
    start = np.arange(1, dimension + 1) * (shift + 1) * 0.3819660112501051
    points = np.arange(1, POINTS + 1)[:, None] * roots + start
    return np.asarray(np.abs(2.0 * (points % 1.0) - 1.0))
