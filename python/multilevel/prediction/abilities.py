"""Latent traits of persons: posterior means and standard deviations, by quadrature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multilevel import _core

from ..errors import DataError
from ..fitting.covariance import factor_correlations
from ..formula.structures import factor_names, rank_of
from .answers import new_answers, own_answers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..fitting.record import Fit
    from .answers import Answers

    Array = NDArray[np.float64]

POINTS = {1: 51, 2: 25, 3: 13}  # per dimension
LEAST_SHARE = 0.2  # of a standard deviation that one pass may leave: less is what nodes that stand apart cannot tell
SETTLED, MOST_PASSES = 1e-7, 60


def abilities(
    fit: Fit, newdata: Any = None, offset: ArrayLike | str | None = None, weights: ArrayLike | str | None = None
) -> pd.DataFrame:
    """Posterior means and standard deviations of the traits of each level, given the estimates.

    A trait is a spherical random effect: its mean is zero and its variance one among all levels. The random effects
    of a level are the loadings times its traits. The factors of a confirmatory model are correlated. Means and
    variances are integrals over the posterior density by adaptive Gauss-Hermite quadrature, whatever the approximation
    of the fit (expected a posteriori scores, Bock and Mislevy 1982), with nodes around the mean and by the covariance
    that they give themselves (Naylor and Smith 1982): where the search for these began does not matter.

    Parameters
    ----------
    fit : Fit
    newdata : data frame, optional
        Answers of other persons, scored at the estimates of the fit: the response, the predictors and the grouping
        factor, whose levels are those of the new data alone. Rows with a missing value are left out.
    offset, weights : array, number or column name, optional
        Of the new rows.

    Returns
    -------
    DataFrame
        level, then mean and sd of the trait; with several, level, trait, mean, sd, the trait by its name.

    Raises
    ------
    DataError
        There is more than one random-effects term, or it is neither an intercept nor made of loadings on up to three
        traits; new rows that the fit could not have had.
    """
    fit.need_one_family("abilities", "random_effects() has the modes of what the kinds share")
    if fit.design.choices is not None:
        fit.need_rows("abilities", "random_effects(kind='mean') has the means of the random effects given the data")
    loadings = _loadings(fit)
    if newdata is not None:
        answers = new_answers(fit, loadings, newdata, offset, weights)
        n, d = len(answers.levels), loadings.shape[1]
        at, half = np.zeros((n, d)), np.tile(np.eye(d), (n, 1, 1))  # the distribution of the traits
    else:
        for name, given in (("offset", offset), ("weights", weights)):
            if given is not None:
                raise DataError(f"{name}= goes with newdata; the rows of the fit have their {name} already")
        answers = own_answers(fit, loadings)
        at, half = _modes(fit, loadings)
    mean, covariance = _moments(answers, at, half)
    factors = factor_names(fit.design.random_terms[0].structure)
    if factors:
        turn = _correlated(fit)
        mean, covariance = mean @ turn.T, turn @ covariance @ turn.T
    sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    levels, d = np.asarray(answers.levels), at.shape[1]
    if d == 1:
        return pd.DataFrame({"level": levels, "mean": mean[:, 0], "sd": sd[:, 0]})
    names = list(factors or (f"factor {k + 1}" for k in range(d)))
    return pd.DataFrame(
        {
            "level": np.repeat(levels, d),
            "trait": np.tile(names, len(levels)),
            "mean": mean.ravel(),
            "sd": sd.ravel(),
        }
    )


def _modes(fit: Fit, loadings: Array) -> tuple[Array, Array]:
    """Conditional modes of the traits of the levels of the fit, (n_levels, d), and factors of their covariances."""
    inverse = np.linalg.pinv(loadings)
    mode, spread = fit.modes[0] @ inverse.T, inverse @ fit.mode_cov[0] @ inverse.T
    if not (np.isfinite(mode).all() and np.isfinite(spread).all()):
        raise DataError("abilities: the fit has no conditional modes")
    return mode, np.linalg.cholesky(spread)


def _moments(answers: Answers, at: Array, half: Array) -> tuple[Array, Array]:
    """Posterior means, (n_levels, d), and covariances: each pass has its nodes where the one before found these."""
    unit = np.eye(at.shape[1])
    for _ in range(MOST_PASSES):
        centre, own = _pass(answers, at, half)
        if not np.isfinite(centre).all():
            lost = answers.levels[int(np.argmax(~np.isfinite(centre).all(axis=1)))]
            raise DataError(f"abilities: the answers of {lost!r} have no probability at the estimates of the fit")
        mean = at + np.einsum("ide,ie->id", half, centre)
        if max(np.abs(centre).max(), np.abs(own - unit).max()) < SETTLED:
            break
        size, axes = np.linalg.eigh(own)
        kept = axes @ (np.maximum(size, LEAST_SHARE**2)[:, :, None] * axes.transpose(0, 2, 1))
        at, half = mean, half @ np.linalg.cholesky(kept)
    return mean, half @ own @ half.transpose(0, 2, 1)


def _pass(answers: Answers, at: Array, half: Array) -> tuple[Array, Array]:
    """Posterior means and covariances by nodes at `at` + `half` t, in units of t."""
    d = at.shape[1]
    nodes, weights = _core.quadrature_rule(POINTS[d], d)
    places = at[:, None, :] + np.einsum("ide,ke->ikd", half, nodes)
    log_posterior = answers.log_likelihood(places) - 0.5 * (places**2).sum(2)
    log_posterior += np.log(weights) + 0.5 * (nodes**2).sum(1)
    share = np.exp(log_posterior - log_posterior.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    centre = share @ nodes
    off = nodes - centre[:, None, :]
    return centre, np.einsum("ik,ikd,ike->ide", share, off, off)


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
