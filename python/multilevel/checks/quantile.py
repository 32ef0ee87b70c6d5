"""Randomized quantile residuals: where each response stands in its distribution, on the scale of a normal variable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..family.cumulative import Interval, interval, interval_of_categories
from ..prediction.choice_sets import choice_sets
from ..prediction.residuals import KINDS, residuals
from ..prediction.rows import rows_of, treatments
from .drawn_effects import drawn_effects

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit

    Array = NDArray[np.float64]

RANDOM = ("conditional", "drawn", "marginal", "zero")
REACH = 8.5  # standard deviations of a normal variable that an integral covers: 2e-17 are left out
FIRST, MOST = 33, 4_097  # points of the trapezoidal rule
SETTLED = 1e-10
LEAST = float(np.nextafter(0.0, 1.0))  # a probability that is smaller is this one: residuals end at 38.5


def all_residuals(fit: Fit, kind: str, random: str = "conditional", seed: int | None = 0) -> Array:
    """Residuals of any kind, (n_rows,).

    Parameters
    ----------
    fit : Fit
    kind : {"pearson", "deviance", "response", "quantile"}
    random, seed
        Of quantile residuals, see `quantile_residuals`. The others are conditional.

    Raises
    ------
    ValueError
        Another kind, or another `random` than "conditional" with a kind that has no other.
    """
    if kind == "quantile":
        return quantile_residuals(fit, random, seed)
    fit.need_rows("residuals", "residuals('quantile') put the category of each row at random within its interval")
    if random != "conditional":
        raise DataError(f"random={random!r} goes with kind='quantile'; residuals of kind {kind!r} are conditional")
    if kind not in KINDS:
        known = ", ".join(map(repr, (*KINDS, "quantile")))
        raise ValueError(f"residuals of kind {kind!r} are not available; choose one of {known}")
    return residuals(fit, kind)


def quantile_residuals(fit: Fit, random: str = "conditional", seed: int | None = 0) -> Array:
    """Quantile residuals of the rows used, (n_rows,): standard normal where the model is right.

    Parameters
    ----------
    fit : Fit
    random : {"conditional", "drawn", "marginal", "zero"}
        The random effects: at their conditional modes; drawn from their distribution given the data, which makes the
        residuals of the model independent and exactly normal, while at the modes they spread too little; integrated
        over their distribution, row by row, where residuals of a group are dependent; or at zero.
        Categories without an order stand in the order in which they are listed: with any order residuals are normal
        where the model is right, and each sees other departures from it.
    seed : int or None
        A response that has a probability of its own is put at random within its interval; and so are drawn effects.
        None makes other residuals each time.

    Raises
    ------
    DataError
        Another `random`; a fit without a distribution of its rows; random effects to be integrated over that stand
        beside the mean.

    References
    ----------
    Dunn & Smyth (1996) J. Comput. Graph. Statist. 5:236-244.
    """
    rng = np.random.default_rng(seed)
    found = row_intervals(fit, random, rng)
    below, above = found.at(rng.uniform(size=fit.n_rows))
    return normal_scores(below, above)


def normal_scores(below: Array, above: Array) -> Array:
    """Normal quantiles of probabilities, from the smaller of the two tails."""
    from scipy.special import ndtri

    lower = below < above
    least = ndtri(np.clip(np.where(lower, below, above), LEAST, 0.5))
    return np.asarray(np.where(lower, least, -least), dtype=np.float64)


def row_intervals(fit: Fit, random: str, rng: np.random.Generator) -> Interval:
    """Cumulative probabilities of the rows used, at random effects as `quantile_residuals` has them."""
    if random not in RANDOM:
        raise DataError(f"random={random!r} is not known; there are {', '.join(map(repr, RANDOM))}")
    fit.need_likelihood("a quantile residual")
    choices = fit.design.choices
    if choices is not None and not choices.by_category:
        fit.need_rows("a quantile residual")
    if not np.isfinite(fit.psi).all() or not np.isfinite(fit.loglik):
        raise DataError(f"the fit has no distribution of its rows ({fit.message or fit.status})")
    if random == "marginal":
        return _integrated(fit)
    modes = fit.modes if random == "conditional" else tuple(np.zeros_like(own) for own in fit.modes)
    return intervals_at(fit, drawn_effects(fit, rng) if random == "drawn" else modes)


def intervals_at(fit: Fit, modes: tuple[Array, ...]) -> Interval:
    """The same at given random effects, one array per grouping factor."""
    return _intervals(fit, fit.linear_predictor(modes), fit.phi_at(modes))


def _intervals(fit: Fit, eta: Array, phi: Array) -> Interval:
    given, choices = fit.design.response, fit.design.choices
    if choices is not None:
        return interval_of_categories(choices.probabilities(eta), given.values)
    if fit.design.thresholds is not None:
        return interval_of_categories(fit.category_probabilities_at(eta), given.values)
    return interval(
        fit.family,
        eta,
        phi,
        given.values,
        size=given.size,
        other_end=given.other_end,
        weights=fit.design.weights,
    )


def _integrated(fit: Fit) -> Interval:
    """Over the normal distribution of each row's random part, by the trapezoidal rule, with as many points as it takes;
    its error falls exponentially with their number.
    """
    if any(term.parameter for term in fit.design.random_terms):
        raise DataError(
            "random='marginal' needs random effects in the mean alone; this model has some in "
            "another part: use random='drawn' or 'conditional'"
        )
    if fit.design.choices is not None:
        everywhere = rows_of(fit, None, treatments(fit, "marginal"))
        (own,) = choice_sets(fit, everywhere, None, errors=False)
        return interval_of_categories(own.law().value, fit.design.response.values)
    zero = tuple(np.zeros_like(own) for own in fit.modes)
    eta, phi, sd = fit.linear_predictor(zero), fit.phi_at(zero), np.sqrt(_random_variance(fit))
    if not sd.any():
        return _intervals(fit, eta, phi)
    n_points = FIRST
    total = _sum(fit, eta, phi, sd, np.linspace(-REACH, REACH, n_points))
    while True:
        step = 2.0 * REACH / (n_points - 1)
        between = np.linspace(-REACH, REACH, n_points)[:-1] + step / 2
        finer = total + _sum(fit, eta, phi, sd, between)
        change = np.abs(finer / 2.0 - total).max() * step
        total, n_points = finer, 2 * n_points - 1
        if change < SETTLED or n_points >= MOST:
            return Interval(*np.clip(total * step / 2.0, 0.0, 1.0))


def _sum(fit: Fit, eta: Array, phi: Array, sd: Array, points: Array) -> Array:
    total = np.zeros((4, len(eta)))
    for point in points:
        total += np.exp(-0.5 * point**2) / np.sqrt(2 * np.pi) * np.stack(_intervals(fit, eta + sd * point, phi))
    return total


def _random_variance(fit: Fit) -> Array:
    """Variance of the random part of each row's linear predictor, (n_rows,)."""
    total = np.zeros(fit.n_rows)
    for term, covariance in zip(fit.design.random_terms, fit.random_cov, strict=True):
        for a, one in enumerate(term.columns):
            for b in range(a + 1):
                other = term.columns[b]
                product = np.float64(1.0) if one is None else np.asarray(one, dtype=np.float64)
                product = product if other is None else product * other
                total += (1.0 if a == b else 2.0) * covariance[a, b] * product
    return np.maximum(total, 0.0)
