"""What each independent part of the data contributes at the estimates: log-likelihood, score, posterior moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from multilevel import _core

from ..errors import DataError
from .core_model import build_core, core_response
from .parameters import is_exact
from .quadrature import allows_quadrature, check_points, n_nodes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .record import Fit

# Points for posterior moments, by the number of random effects of a level: at least these, where they can be had.
LEAST_POINTS = {1: 25, 2: 15, 3: 9}
_NOT_THERE = "the likelihood cannot be evaluated cluster by cluster at these estimates"


@dataclass(frozen=True, eq=False)
class Contributions:
    """Of m independent parts of the data, at the estimates.

    Attributes
    ----------
    loglik : ndarray, (m,)
        Of maximum likelihood, also where the fit is by REML; all constants included.
    scores : ndarray, (m, P)
        Derivatives of `loglik` by psi = (beta, theta, phi), those of the approximated log-likelihood itself.
    row_part : ndarray of int, (n,)
        The part of each row used.
    n_quadrature : int
        Points per random effect that were used; 1 where the Laplace approximation is exact.
    """

    loglik: NDArray[np.float64]
    scores: NDArray[np.float64]
    row_part: NDArray[np.int32]
    n_quadrature: int


@dataclass(frozen=True, eq=False)
class Moments:
    """Of the random effects given the data and the estimates, one array per grouping factor.

    Attributes
    ----------
    mean, covariance : tuple of ndarray, (n_levels, q) and (n_levels, q, q)
    third, fourth : tuple of ndarray, (n_levels, q)
        Central moments of each random effect by itself; NaN where the method does not give them.
    n_quadrature : int
        Points per random effect; 1 is Laplace's approximation of the moments, or an exact one.
    """

    mean: tuple[NDArray[np.float64], ...]
    covariance: tuple[NDArray[np.float64], ...]
    third: tuple[NDArray[np.float64], ...]
    fourth: tuple[NDArray[np.float64], ...]
    n_quadrature: int


def contributions(
    fit: Fit, row_part: NDArray[np.int32] | None = None, n_quadrature: int | None = None
) -> Contributions:
    """Log-likelihood and score of each part.

    Parameters
    ----------
    fit : Fit
    row_part : ndarray of int32, (n,), optional
        Of models without random effects: the part of each row, from 0 on; without it each row is one. With random
        effects the parts are the levels of the only grouping factor, or the sets of levels that rows connect.
    n_quadrature : int, optional
        Other points than the fit's.

    Raises
    ------
    DataError
        The fit has no estimates at which the likelihood could be evaluated.
    """
    if not fit.design.grouping_factors and row_part is None:
        row_part = np.arange(fit.n_rows, dtype=np.int32)
    points = fit.n_quadrature if n_quadrature is None else n_quadrature
    record = _call(fit, points, row_part, moments=False)
    if row_part is None:
        codes = fit.design.grouping_factors[record.leading].codes
        row_part = np.asarray(record.level_part, dtype=np.int32)[codes]
    scores = record.gradient
    if not np.isfinite(scores).all():
        raise DataError(_NOT_THERE)
    return Contributions(record.loglik, scores, row_part, _used(fit, points))


def posterior_moments(fit: Fit, n_quadrature: int | None = None) -> Moments:
    """Moments of the random effects given the data, at the estimates.

    By adaptive quadrature where the design has it, with the fit's number of points or more, so that moments are
    accurate where the fit itself used the Laplace approximation; several grouping factors that are not two nested ones
    have Laplace's approximation of mean and variance. Exact for linear mixed models.

    Parameters
    ----------
    fit : Fit
        With random effects.
    n_quadrature : int, optional
        Points per random effect in place of those.

    Raises
    ------
    DataError
        The fit has no estimates, or the points pass the limit.

    References
    ----------
    Tierney, Kass & Kadane (1989) J. Am. Stat. Assoc. 84:710-716 for the mean by Laplace's approximation.
    """
    if n_quadrature is not None:
        check_points(n_quadrature, fit.design, is_exact(fit.design, fit.family))
    points = moment_points(fit) if n_quadrature is None else n_quadrature
    record = _call(fit, points, None, moments=True)
    return Moments(
        tuple(record.mean), tuple(record.covariance), tuple(record.third), tuple(record.fourth), _used(fit, points)
    )


def moment_points(fit: Fit) -> int:
    """Points for posterior moments: the fit's or more, as far as the design and the limit of nodes allow; 1: none."""
    if is_exact(fit.design, fit.family) or not allows_quadrature(fit.design):
        return 1
    q = sum(len(term.names) for term in fit.design.random_terms)
    points = max(fit.n_quadrature, LEAST_POINTS.get(q, 5))
    while points > fit.n_quadrature and n_nodes(points, fit.design) > _core.most_nodes:
        points -= 1
    return points


def finer_points(fit: Fit) -> int:
    """More points than the fit's, to see what they change; the fit's own where the limit of nodes allows no more."""
    points = max(moment_points(fit), fit.n_quadrature + 4)
    while points > fit.n_quadrature and n_nodes(points, fit.design) > _core.most_nodes:
        points -= 1
    return points


def _used(fit: Fit, points: int) -> int:
    return 1 if is_exact(fit.design, fit.family) else points


def _call(fit: Fit, points: int, row_part: NDArray[np.int32] | None, *, moments: bool) -> _core.ContributionRecord:
    fit.need_likelihood("scores and posterior moments")
    if not np.isfinite(fit.psi).all() or not np.isfinite(fit.loglik):
        raise DataError(f"there are no estimates to evaluate the likelihood at: {fit.message or fit.status}")
    threads = fit.optimization.threads
    core = fit.model_core if fit.model_core is not None else build_core(fit.design, fit.family, threads)
    choices = fit.design.choices
    if row_part is not None and choices is not None:
        row_part = choices.rows_of(row_part)
    record = _core.contributions(
        core,
        core_response(fit.design),
        fit.psi,
        points,
        moments,
        None if row_part is None else np.ascontiguousarray(row_part, dtype=np.int32),
        0 if row_part is None else int(row_part.max()) + 1,
        threads,
    )
    if not record.good:
        raise DataError(_NOT_THERE)
    return record
