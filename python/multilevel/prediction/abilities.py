"""Latent traits of persons: posterior means and standard deviations, by quadrature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from multilevel import _core

from ..errors import DataError
from ..fitting.covariance import factor_correlations
from ..formula.structures import factor_names, rank_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit

    Array = NDArray[np.float64]

POINTS = {1: 51, 2: 25, 3: 13}  # per dimension


def abilities(fit: Fit) -> pd.DataFrame:
    """Posterior means and standard deviations of the traits of each level, given the estimates.

    A trait is a spherical random effect: its mean is zero and its variance one among all levels. The random effects
    of a level are the loadings times its traits. The factors of a confirmatory model are correlated. Means and
    variances are integrals over the posterior density by adaptive Gauss-Hermite quadrature around the conditional
    mode, whatever the approximation of the fit (expected a posteriori scores, Bock and Mislevy 1982).

    Returns
    -------
    DataFrame
        level, then mean and sd of the trait; with several, level, trait, mean, sd, the trait by its name.

    Raises
    ------
    DataError
        There is more than one random-effects term, or it is neither an intercept nor made of loadings on up to three
        traits.
    """
    fit.need_one_family("abilities", "random_effects() has the modes of what the kinds share")
    if fit.design.choices is not None:
        fit.need_rows("abilities", "random_effects(kind='mean') has the means of the random effects given the data")
    loadings = _loadings(fit)
    d = loadings.shape[1]
    inverse = np.linalg.pinv(loadings)
    mode, spread = fit.modes[0] @ inverse.T, inverse @ fit.mode_cov[0] @ inverse.T
    if not (np.isfinite(mode).all() and np.isfinite(spread).all()):
        raise DataError("abilities: the fit has no conditional modes")
    half = np.linalg.cholesky(spread)
    nodes, weights = _core.quadrature_rule(POINTS[d], d)
    at = mode[:, None, :] + np.einsum("ide,ke->ikd", half, nodes)
    log_posterior = _log_likelihood(fit, loadings, at) - 0.5 * (at**2).sum(2)
    log_posterior += np.log(weights) + 0.5 * (nodes**2).sum(1)
    share = np.exp(log_posterior - log_posterior.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    factors = factor_names(fit.design.random_terms[0].structure)
    if factors:
        at = at @ _correlated(fit).T
    mean = np.einsum("ik,ikd->id", share, at)
    sd = np.sqrt(np.einsum("ik,ikd->id", share, (at - mean[:, None, :]) ** 2))
    levels = fit.design.grouping_factors[0].levels
    if d == 1:
        return pd.DataFrame({"level": np.asarray(levels), "mean": mean[:, 0], "sd": sd[:, 0]})
    names = list(factors or (f"factor {k + 1}" for k in range(d)))
    return pd.DataFrame(
        {
            "level": np.repeat(np.asarray(levels), d),
            "trait": np.tile(names, len(levels)),
            "mean": mean.ravel(),
            "sd": sd.ravel(),
        }
    )


def _loadings(fit: Fit) -> Array:
    """What makes random effects of traits, (q, d)."""
    terms = fit.design.random_terms
    if len(terms) != 1 or terms[0].parameter:
        raise DataError(f"abilities: the model has {len(terms)} random-effects terms, and a trait is what one makes")
    structure, q = terms[0].structure, len(terms[0].names)
    d = rank_of(structure) or q
    if (q > 1 and d == q) or d > max(POINTS):
        raise DataError(
            f"abilities: random effects of covariance structure {structure} are no traits that items share: write "
            f"rr(0 + item | person, d=1), cfa(...), or (1 | person); random_effects() has the others"
        )
    found = fit.theta[0][:, :d]
    if np.linalg.matrix_rank(found) < d:
        raise DataError("abilities: the loadings are zero, or those of several traits are the same: there is no trait")
    return found


def _correlated(fit: Fit) -> Array:
    """The lower factor of the correlations of confirmatory factors, (d, d)."""
    structure = fit.design.random_terms[0].structure
    found, _ = factor_correlations(structure, fit.theta_values[0], len(fit.design.random_terms[0].names))
    return np.asarray(np.linalg.cholesky(found), dtype=np.float64)


def _log_likelihood(fit: Fit, loadings: Array, at: Array) -> Array:
    """Log densities of the responses of each level at its nodes, (n_levels, n_nodes), up to what no trait changes."""
    design, term, codes = fit.design, fit.design.random_terms[0], fit.design.grouping_factors[0].codes
    n, n_levels = fit.n_rows, len(at)
    fixed = fit.linear_predictor(tuple(np.zeros_like(own) for own in fit.modes))
    slope = np.zeros((n, loadings.shape[1]))
    for column, own in zip(term.columns, loadings, strict=True):
        slope += own if column is None else np.asarray(column, dtype=np.float64)[:, None] * own
    if design.thresholds is not None:
        return _of_categories(fit, fixed, slope, at)
    second = design.response.second
    one = np.ones(n)
    y = np.ascontiguousarray(design.response.values, dtype=np.float64)
    given = (y, one if second is None else second, one if design.weights is None else design.weights, fit.row_phi)
    total = np.empty(at.shape[:2])
    for k in range(at.shape[1]):
        eta = fixed + (slope * at[codes, k]).sum(1)
        values = fit.family._core.derivatives(eta, *given)["value"]
        total[:, k] = np.bincount(codes, values, minlength=n_levels)
    return np.where(np.isnan(total), -np.inf, total)


def _of_categories(fit: Fit, fixed: Array, slope: Array, at: Array) -> Array:
    """The same of ordered categories, given the fixed part and the loadings of all rows."""
    design, codes = fit.design, fit.design.grouping_factors[0].codes
    thresholds = fit.thresholds_of(design.parts[0], fit.n_rows)
    chosen = (np.arange(fit.n_rows), design.response.values.astype(int) - 1)
    weights = np.ones(fit.n_rows) if design.weights is None else design.weights
    total = np.empty(at.shape[:2])
    for k in range(at.shape[1]):
        eta = fixed + (slope * at[codes, k]).sum(1)
        probability = fit.family.category_probabilities(eta, thresholds, fit.log_scale)[chosen]
        with np.errstate(divide="ignore"):
            values = np.where(weights > 0.0, np.log(probability), 0.0)
        total[:, k] = np.bincount(codes, weights * values, minlength=at.shape[0])
    return total
