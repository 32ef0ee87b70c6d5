"""The likelihood of several random effects for each group, by draws: half of them from the prior, which finds what a
group's responses do not tell, and half from around the conditional mode, which finds what they do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .row_densities import MOST_VALUES, RowDensities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .record import Fit

    Array = NDArray[np.float64]

DRAWS_FOR_A_GROUP = 200
WIDER = 1.3  # than what is known of an effect, the draws around its mode
LARGEST_ERROR = 0.15  # of the log-likelihood, for groups whose weights vary as much as their mean: else not tried


def by_draws(fit: Fit) -> tuple[float, float] | None:
    """The log-likelihood at the parameters of a fit and its Monte Carlo error; None where it costs too much.

    Importance sampling with a mixture of two normal densities, group by group, from one seed: Owen and Zhou (2000),
    Journal of the American Statistical Association 95:135-143.
    """
    densities = RowDensities(fit)
    n_groups, q = densities.n_groups, densities.slopes.shape[1]
    # The same number for each group; the errors of groups add up.
    n_draws = int(min(DRAWS_FOR_A_GROUP * n_groups, MOST_VALUES / densities.n_rows)) // 2 * 2
    if not n_draws or n_groups > LARGEST_ERROR**2 * n_draws:
        return None
    try:
        mode, half = _known(fit, q)
    except np.linalg.LinAlgError:  # rounding left no covariance
        return None
    log_scale = np.log(np.diagonal(half, axis1=1, axis2=2)).sum(axis=1)
    inverse = np.linalg.inv(half)
    rng = np.random.default_rng(0)
    sums, squares = np.full(n_groups, -np.inf), np.full(n_groups, -np.inf)
    step = max(2, densities.at_once() // 2 * 2)
    for k in range(0, n_draws, step):
        m = min(step, n_draws - k)
        z = rng.normal(size=(m, n_groups, q))
        near = np.arange(m) % 2 == 1
        v = np.where(near[:, None, None], mode + np.einsum("gab,mgb->mga", half, z), z)
        from_mode = np.einsum("gab,mgb->mga", inverse, v - mode)
        prior = -0.5 * (v**2).sum(axis=2)
        drawn = np.logaddexp(prior, -0.5 * (from_mode**2).sum(axis=2) - log_scale) - np.log(2.0)
        added = np.einsum("na,mna->mn", densities.slopes, v[:, densities.codes])
        weight = densities.of_groups(added) + prior - drawn
        sums = np.logaddexp(sums, np.logaddexp.reduce(weight))
        squares = np.logaddexp(squares, np.logaddexp.reduce(2.0 * weight))
    with np.errstate(all="ignore"):
        variance = np.maximum(np.exp(squares - 2.0 * sums) - 1.0 / n_draws, 0.0)
    value, error = float(np.sum(sums - np.log(n_draws))), float(np.sqrt(variance.sum()))
    return (value, error) if np.isfinite(value) and np.isfinite(error) else None


def _known(fit: Fit, q: int) -> tuple[Array, Array]:
    """Of each group the conditional mode of v, (groups, q), and a factor of a wider covariance, (groups, q, q).

    Those of the prior where modes are not kept, as of many fits at once: all draws are from it then.
    """
    if not fit.modes:
        n_groups = len(fit.design.grouping_factors[0].levels)
        return np.zeros((n_groups, q)), np.tile(np.eye(q), (n_groups, 1, 1))
    whole = np.zeros((q, q))
    for at, own in zip(fit.term_columns, fit.theta, strict=True):
        whole[np.ix_(at, at)] = own
    back = np.linalg.pinv(whole)
    unknown = np.eye(q) - back @ whole  # effects without variance stay as they are
    covariance = back @ fit.mode_cov[0] @ back.T + unknown + 1e-10 * np.eye(q)
    return fit.modes[0] @ back.T, np.asarray(WIDER * np.linalg.cholesky(covariance), dtype=np.float64)
