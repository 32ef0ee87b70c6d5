"""Variances, standard deviations, covariances and correlations of the random effects, with standard errors.

The fit estimates theta, from which each term's covariance structure makes its covariance Sigma; here the delta method
turns the covariance of theta into standard errors of what is reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..fitting import covariance as structures

if TYPE_CHECKING:
    from ..fitting.record import Fit

COLUMNS = ["group", "term", "term2", "quantity", "estimate", "std_error"]
AT_BOUNDARY = 1e-12  # a correlation this close to +-1 is there: its distribution is not normal, so no standard error


def theta_positions(fit: Fit) -> list[np.ndarray]:
    """Where theta sits in psi: indices per random-effects term."""
    positions = []
    start = len(fit.beta)
    for values in fit.theta_values:
        positions.append(np.arange(start, start + len(values)))
        start += len(values)
    return positions


def theta(fit: Fit) -> pd.Series:
    """The covariance parameters, (n_theta,), under their names in psi."""
    at = np.concatenate([np.empty(0, dtype=int), *theta_positions(fit)])
    return pd.Series(fit.psi[at], index=pd.Index([fit.parameter_names[k] for k in at], dtype=object), name="theta")


def random_cov(fit: Fit) -> dict[str, pd.DataFrame]:
    """Covariance matrix per grouping factor; terms on the same factor are independent of each other (zero blocks)."""
    result = {}
    for index, factor in enumerate(fit.design.grouping_factors):
        of_factor = [
            (list(term.names), covariance)
            for term, covariance in zip(fit.design.random_terms, fit.random_cov, strict=True)
            if term.grouping_factor == index
        ]
        names = [name for own, _ in of_factor for name in own]
        matrix = np.zeros((len(names), len(names)))
        end = 0
        for own, covariance in of_factor:
            start, end = end, end + len(own)
            matrix[start:end, start:end] = covariance
        result[factor.name] = pd.DataFrame(matrix, index=names, columns=names)
    return result


def vcov_table(fit: Fit) -> pd.DataFrame:
    """One row per quantity: variances and sds, then covariances and correlations of each pair.

    Returns
    -------
    DataFrame
        group, term, term2 (empty unless a pair), quantity ("variance", "sd", "covariance", "correlation"), estimate,
        std_error. A Gaussian model ends with the group "Residual". Independent effects have no pairs. Standard errors
        are NaN where there is none: on the boundary, for a variance of zero and what it makes undefined, and for a
        correlation at an end of its range; for correlations that the structure fixes at 1 or -1, as rank one does; and
        for all of a fit whose parameters are not identified; for a residual variance that is given.
    """
    rows: list[tuple[str, str, str, str, float, float]] = []
    factors = fit.design.grouping_factors
    for t, (term, at) in enumerate(zip(fit.design.random_terms, theta_positions(fit), strict=True)):
        group = factors[term.grouping_factor].name
        covariance = fit.covariance[np.ix_(at, at)]
        gradient = structures.jacobian(term.structure, fit.theta_values[t], len(term.names))
        tau = structures.correlation_position(term.structure, len(term.names))
        at_limit = tau is not None and bool(np.isnan(covariance[tau, tau]))
        if at_limit:
            gradient[tau] = 0.0  # it has run to infinity: nothing depends on it any more
        pairs = term.structure not in structures.INDEPENDENT
        names, others, quantities, estimates, slopes = _quantities(
            term.names, fit.random_cov[t], np.moveaxis(gradient, 0, -1), pairs, at_limit
        )
        for row in zip(names, others, quantities, estimates, _delta(slopes, covariance), strict=True):
            rows.append((group, *row))
    if fit.sigma is not None:
        sigma, place = fit.sigma, len(fit.psi) - 1
        given = fit.has_likelihood and fit.family.parameters[0].name in fit.family.given
        relative = np.nan if given else float(np.sqrt(fit.covariance[place, place]))
        rows.append(("Residual", "", "", "variance", sigma**2, 2 * sigma**2 * relative))
        rows.append(("Residual", "", "", "sd", sigma, sigma * relative))
    return pd.DataFrame(rows, columns=COLUMNS)


def _quantities(
    names: tuple[str, ...], sigma: np.ndarray, gradient: np.ndarray, with_pairs: bool, at_limit: bool
) -> tuple[list[str], list[str], list[str], np.ndarray, np.ndarray]:
    """Labels (n,), estimates (n,) and their Jacobian (n, n_theta) for one term; a NaN row means "no standard error".

    `gradient` (q, q, n_theta) is that of `sigma`; `at_limit`: the one correlation is at an end of its range.
    """
    q = len(names)
    variance = np.diag(sigma)
    d_variance = gradient[np.arange(q), np.arange(q)]
    sd = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        d_sd = d_variance / (2 * sd[:, None])
        log_slope = d_variance / (2 * variance[:, None])
        correlation = sigma / np.outer(sd, sd)
        d_correlation = gradient / np.outer(sd, sd)[:, :, None] - correlation[:, :, None] * (
            log_slope[:, None, :] + log_slope[None, :, :]
        )
    d_variance = np.where(variance[:, None] == 0, np.nan, d_variance)
    pairs = [(a, b) for b in range(q) for a in range(b + 1, q)] if with_pairs else []
    a, b = (np.array(side, dtype=int) for side in (zip(*pairs, strict=True) if pairs else ((), ())))
    off_boundary = (np.abs(correlation[a, b]) < 1 - AT_BOUNDARY) & (not at_limit)
    d_pair = np.where(off_boundary[:, None], d_correlation[a, b], np.nan)
    defined = (variance[a] > 0) & (variance[b] > 0)
    d_covariance = np.where(defined[:, None], gradient[a, b], np.nan)
    labels = [*names, *names, *(names[b] for _, b in pairs), *(names[b] for _, b in pairs)]
    others = [""] * (2 * q) + 2 * [names[a] for a, _ in pairs]
    kinds = ["variance"] * q + ["sd"] * q + ["covariance"] * len(pairs) + ["correlation"] * len(pairs)
    estimates = np.concatenate([variance, sd, sigma[a, b], correlation[a, b]])
    return labels, others, kinds, estimates, np.concatenate([d_variance, d_sd, d_covariance, d_pair])


def _delta(jacobian: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """sqrt(diag(J C J')), (n,). An entry of theta without a variance matters only to what depends on it."""
    unknown = np.isnan(np.diag(covariance))
    known = np.where(np.isnan(covariance), 0.0, covariance)
    variance = np.einsum("na,ab,nb->n", jacobian, known, jacobian)
    depends = (jacobian[:, unknown] != 0).any(axis=1)
    return np.sqrt(np.where(depends | ~(variance >= 0), np.nan, variance))


def residual_sd(fit: Fit) -> float:
    """The residual standard deviation.

    Raises
    ------
    AttributeError
        The family has none.
    """
    if fit.sigma is None:
        raise AttributeError(f"residual_sd: the {fit.family.name} family has no residual standard deviation")
    return fit.sigma
