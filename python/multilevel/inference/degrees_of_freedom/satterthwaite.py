"""Satterthwaite's degrees of freedom, from the variance of an estimated variance; several rows as Fai and Cornelius."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .variance_directions import contract, jacobian, moments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...fitting.record import Fit

EQUAL_DF = 1e-8  # degrees of freedom closer than this are one number


def of_rows(fit: Fit, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row by itself, (k,): 2 v^2 / Var(v) with v = l' C l; the gradient of v in (theta, log sigma) is exact."""
    v = np.einsum("kp,pr,kr->k", rows, fit.beta_covariance, rows)
    of_factor = moments(fit, rows)
    gradient = [contract(of_factor, fit, jacobian(fit, t), t) for t in range(len(fit.design.random_terms))]
    random_share = sum(contract(of_factor, fit, s[None], t)[:, 0] for t, s in enumerate(fit.random_cov))
    # V = Z Sigma Z' + sigma^2 W^-1, and l' C X' V^-1 V V^-1 X C l = v
    g = np.column_stack([*gradient, 2.0 * (v - random_share)])
    variance = fit.covariance[len(fit.beta) :, len(fit.beta) :]
    inside = np.isfinite(np.diag(variance))  # not at the boundary, where the estimate does not move
    with np.errstate(divide="ignore", invalid="ignore"):
        df = 2.0 * v**2 / np.einsum("ka,ab,kb->k", g[:, inside], variance[np.ix_(inside, inside)], g[:, inside])
    return np.where(df > 0, df, np.nan)


def of_hypothesis(fit: Fit, rows: NDArray[np.float64], rank: int) -> float:
    """Of the F test of rows that are tested at once, `rank` of them independent."""
    # Independent t statistics. Their directions depend on the rows as given, so these are not made orthogonal before.
    _, vectors = np.linalg.eigh(rows @ fit.beta_covariance @ rows.T)
    return _pooled(of_rows(fit, vectors[:, -rank:].T @ rows))


def _pooled(df: NDArray[np.float64]) -> float:
    """One denominator for the mean of squared t statistics: the F with the same expectation."""
    if np.isnan(df).any():
        return np.nan
    if np.ptp(df) < EQUAL_DF:
        return float(df.mean())
    if (df <= 2).any():
        return 2.0
    total = float((df / (df - 2)).sum())
    return 2.0 * total / (total - len(df))
