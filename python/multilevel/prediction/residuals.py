"""Residuals of a fit: how far each row lies from its mean, given the conditional modes of the random effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..fitting.kinds import rows_by_kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..fitting.record import Fit


FAR = 1e-8  # probabilities closer to 0 or 1 than this are known by their logarithms only


def residuals(fit: Fit, kind: str = "pearson") -> np.ndarray:
    """Residuals of the rows used, (n_rows,).

    Parameters
    ----------
    fit : Fit
    kind : {"pearson", "deviance", "response"}
        With y the response (for binomial counts the proportion of successes), mu its conditional mean, w the prior
        weight (times the trials for binomial) and V the variance function of the family:

        - "response": y - mu
        - "pearson": (y - mu) sqrt(w / V(mu)). As in lme4 the dispersion is not divided out, so the residuals of a
          Gaussian model stay in the units of the response; `scaled` divides by it.
        - "deviance": sign(y - mu) sqrt(w d(y, mu)), with d the unit deviance.

        Ordered categories count as their numbers 1, 2, ..., with the mean and the variance that their probabilities
        give; there is no deviance of these.

        Trials that are not independent of each other (beta_binomial) have the variance and deviance of the whole
        response in their place; so have densities in Python.

    Raises
    ------
    ValueError
        For any other `kind`.
    DataError
        Deviance residuals of ordered categories.
    """
    if kind not in KINDS:
        raise ValueError(f"residuals of kind {kind!r} are not available; choose one of {', '.join(map(repr, KINDS))}")
    fit.need_rows("residuals")
    return _by_kind(fit, KINDS[kind])


def _by_kind(fit: Fit, function: Callable[[Fit], np.ndarray]) -> np.ndarray:
    """Of rows of several kinds each kind's by its own family."""
    if not fit.family.kinds:
        return function(fit)
    result = np.empty(fit.n_rows)
    for _, rows, own in rows_by_kind(fit):
        result[rows] = function(own)
    return result


def response(fit: Fit) -> np.ndarray:
    """Response minus mean, (n_rows,)."""
    return observed(fit) - fit.mu


def pearson(fit: Fit) -> np.ndarray:
    """(y - mu) sqrt(w / V(mu)), (n_rows,)."""
    if fit.family.in_python:
        variance = fit.family.response_variance(fit.eta, fit.row_phi, fit.design.response.size)
        return response(fit) / np.sqrt(variance) * np.sqrt(_prior_weights(fit))
    if fit.family.support == "trials":
        # y (1 - mu) - (1 - y) mu over sqrt(mu (1 - mu)): exact where a probability is too close to 0 or 1 for doubles
        y = observed(fit)
        log_mu, log_rest = fit.family.log_probabilities(fit.eta)
        half = (log_rest - log_mu) / 2.0
        with np.errstate(over="ignore", invalid="ignore"):
            ratio = np.where(y > 0, y * np.exp(half), 0.0) - np.where(y < 1, (1.0 - y) * np.exp(-half), 0.0)
        if not fit.family.independent_trials:
            ratio = ratio / np.sqrt(fit.family.variance_ratio(_trials(fit), fit.row_phi))
        return ratio * np.sqrt(_weights(fit))
    difference, spread = response(fit), np.sqrt(_variance(fit))
    # where a mean has run to 0 the residual is zero with it, or infinite
    with np.errstate(divide="ignore"):
        ratio = np.divide(difference, spread, out=np.zeros_like(difference), where=difference != 0)
    return ratio * np.sqrt(_weights(fit))


def _variance(fit: Fit) -> np.ndarray:
    """The variance function; of a response whose mean is not that of the link, as zero parts make it, its variance."""
    if fit.family.support == "categories":
        return fit.category_probabilities @ fit.scores**2 - fit.mu**2
    if fit.family.mean_is_response:
        return fit.family.variance(fit.mu, fit.row_phi)
    variance = fit.family.response_variance(fit.eta, fit.row_phi, fit.design.response.size)
    return variance / fit.family.dispersion(fit.row_phi)


def scaled(fit: Fit) -> np.ndarray:
    """Pearson residuals divided by the root of the family's dispersion where it has one, (n_rows,).

    These are the "Scaled residuals" of `summary()` in lme4 and here; NaN where that is zero.
    """
    if fit.family.kinds:
        return _by_kind(fit, scaled)
    sigma = np.sqrt(fit.family.dispersion(fit.row_phi)) if fit.sigma is None else fit.sigma
    return pearson(fit) / np.where(sigma > 0, sigma, np.nan)


def deviance(fit: Fit) -> np.ndarray:
    """sign(y - mu) sqrt(w d(y, mu)), (n_rows,)."""
    if fit.family.support == "categories":
        raise DataError(
            "ordered categories have no deviance residuals: a row's deviance does not say which side it lies on; "
            'kind="pearson" is of the categories\' numbers'
        )
    y = observed(fit)
    if fit.family.in_python or (fit.family.support == "trials" and not fit.family.independent_trials):
        lacks = fit.family.log_density_lacks(fit.eta, fit.design.response.values, _trials(fit), fit.row_phi)
        whole = 2.0 * np.maximum(lacks, 0.0) * _prior_weights(fit)
        if fit.family.support != "trials":
            return np.sign(y - fit.mu) * np.sqrt(whole)
        return np.where(y == 1, 1.0, np.where(y == 0, -1.0, np.sign(y - fit.mu))) * np.sqrt(whole)
    unit_deviance = np.maximum(
        fit.family.unit_deviance(y, fit.family.mean(fit.eta), fit.row_phi), 0.0
    )  # rounding may leave -1e-17
    sign = np.sign(y - fit.mu)
    if fit.family.support == "trials":
        log_mu, log_rest = fit.family.log_probabilities(fit.eta)
        # exact where a probability is too close to 0 or 1 for doubles
        unit_deviance = np.where(y == 1, -2.0 * log_mu, np.where(y == 0, -2.0 * log_rest, unit_deviance))
        sign = np.where(y == 1, 1.0, np.where(y == 0, -1.0, sign))
        far = (y > 0) & (y < 1) & ((fit.mu < FAR) | (fit.mu > 1.0 - FAR))
        own, rest = y[far], 1.0 - y[far]
        unit_deviance[far] = 2.0 * (own * (np.log(own) - log_mu[far]) + rest * (np.log(rest) - log_rest[far]))
    return sign * np.sqrt(_weights(fit) * unit_deviance)


def observed(fit: Fit) -> np.ndarray:
    """The response on the scale of the mean: for binomial counts, successes / trials."""
    given = fit.design.response
    return given.values if given.size is None else given.values / given.size


def _trials(fit: Fit) -> np.ndarray:
    size = fit.design.response.size
    return np.ones(len(fit.eta)) if size is None else size


def _prior_weights(fit: Fit) -> np.ndarray | float:
    return 1.0 if fit.design.weights is None else fit.design.weights


def _weights(fit: Fit) -> np.ndarray | float:
    return _trials(fit) * _prior_weights(fit)


def pearson_chi2(fit: Fit) -> float:
    """Sum of squared Pearson residuals."""
    with np.errstate(over="ignore"):  # infinite: more than the largest number
        return float(np.sum(_by_kind(fit, pearson) ** 2))


KINDS = {"pearson": pearson, "deviance": deviance, "response": response}
