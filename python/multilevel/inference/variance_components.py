"""Variances, standard deviations, covariances and correlations of the random effects, with standard errors.

The fit estimates theta, the free entries of each term's lower Cholesky factor L; here Sigma = L L' and the delta method
turn the covariance of theta into standard errors of what is reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from ..fit import Fit

COLUMNS = ["group", "term", "term2", "quantity", "estimate", "std_error"]
AT_BOUNDARY = 1e-12  # a correlation this close to +-1 is there: its distribution is not normal, so no standard error


def theta_positions(fit: Fit) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Where theta sits in psi: per term its (rows, columns) in L, column by column, and the indices into psi."""
    positions = []
    start = len(fit.beta)
    for term in fit.design.random_terms:
        q = len(term.names)
        if term.structure == "diagonal":
            rows = columns = np.arange(q)
        else:
            columns, rows = np.triu_indices(q)  # row-major over the upper triangle = column-major over the lower
        positions.append((rows, columns, np.arange(start, start + len(rows))))
        start += len(rows)
    return positions


def theta(fit: Fit) -> pd.Series:
    """The free entries of the Cholesky factors, (n_theta,), under their names in psi."""
    at = np.concatenate([np.empty(0, dtype=int), *(index for _, _, index in theta_positions(fit))])
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
        std_error. A Gaussian model ends with the group "Residual". Standard errors are NaN on the boundary: for a zero
        variance and for a correlation of +-1 or one that is undefined.
    """
    rows: list[tuple[str, str, str, str, float, float]] = []
    factors = fit.design.grouping_factors
    for term, factor_l, (i, j, at) in zip(fit.design.random_terms, fit.theta, theta_positions(fit), strict=True):
        group = factors[term.grouping_factor].name
        covariance = fit.covariance[np.ix_(at, at)]
        names, others, quantities, estimates, jacobian = _quantities(term.names, term.structure, factor_l, i, j)
        for row in zip(names, others, quantities, estimates, _delta(jacobian, covariance), strict=True):
            rows.append((group, *row))
    if "sigma" in fit.phi:
        sigma = fit.phi["sigma"]
        place = fit.parameter_names.index("log_sigma")
        relative = float(np.sqrt(fit.covariance[place, place]))
        rows.append(("Residual", "", "", "variance", sigma**2, 2 * sigma**2 * relative))
        rows.append(("Residual", "", "", "sd", sigma, sigma * relative))
    return pd.DataFrame(rows, columns=COLUMNS)


def _quantities(
    names: tuple[str, ...], structure: str, factor_l: np.ndarray, i: np.ndarray, j: np.ndarray
) -> tuple[list[str], list[str], list[str], np.ndarray, np.ndarray]:
    """Labels (n,), estimates (n,) and their Jacobian (n, n_theta) for one term; a NaN row means "no standard error"."""
    q = len(names)
    sigma = factor_l @ factor_l.T
    variance = np.diag(sigma)
    # d Sigma[a, b] / d L[i, j] = [a = i] L[b, j] + [b = i] L[a, j]
    gradient = np.zeros((q, q, len(i)))
    t = np.arange(len(i))
    gradient[i, :, t] += factor_l[:, j].T
    gradient[:, i, t] += factor_l[:, j]
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
    pairs = [(a, b) for b in range(q) for a in range(b + 1, q)] if structure != "diagonal" else []
    a, b = (np.array(side, dtype=int) for side in (zip(*pairs, strict=True) if pairs else ((), ())))
    off_boundary = np.abs(correlation[a, b]) < 1 - AT_BOUNDARY
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
