"""The distribution of a response given its mean and the family's parameters on their natural scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy import special, stats

from multilevel import _core

from ..errors import DataError
from .continuous_distributions import CONTINUOUS
from .count_distributions import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

    from .registry import Family

    Array = NDArray[np.float64]
    Make = Callable[..., Any]


def _whole(trials: Array) -> NDArray[np.int64]:
    return np.round(trials).astype(np.int64)


def _binomial(mu: Array, trials: Array) -> Any:
    return stats.binom(_whole(trials), mu)


def _poisson(mu: Array, _trials: Array) -> Any:
    return stats.poisson(mu)


def _gaussian(mu: Array, _trials: Array, sigma: Array) -> Any:
    return stats.norm(mu, sigma)


def _gamma(mu: Array, _trials: Array, shape: Array) -> Any:
    return stats.gamma(shape, scale=mu / shape)


def _negative_binomial(mu: Array, _trials: Array, size: Array) -> Any:
    return stats.poisson(mu) if np.all(np.isinf(size)) else stats.nbinom(size, 1.0 / (1.0 + mu / size))


def _negative_binomial_1(mu: Array, _trials: Array, dispersion: Array) -> Any:
    return stats.poisson(mu) if np.all(dispersion == 0) else stats.nbinom(mu / dispersion, 1.0 / (1.0 + dispersion))


def _geometric(mu: Array, _trials: Array) -> Any:
    return stats.nbinom(1.0, 1.0 / (1.0 + mu))


def _beta(mu: Array, _trials: Array, precision: Array) -> Any:
    return stats.beta(mu * precision, (1.0 - mu) * precision)


def _beta_binomial(mu: Array, trials: Array, precision: Array) -> Any:
    if np.all(np.isinf(precision)):
        return stats.binom(_whole(trials), mu)
    law = stats.betabinom(_whole(trials), mu * precision, (1.0 - mu) * precision)
    own = [part.ravel() for part in np.broadcast_arrays(_whole(trials), mu * precision, (1.0 - mu) * precision)]

    def log_density(y: Array, places: Any) -> Any:
        return stats.betabinom.logpmf(y, *(part[places] for part in own))

    return Counts(log_density, law.mean(), law.var())  # SciPy sums its cdf number by number


def _of_core(name: str, mu: Array, phi: Array) -> Counts:
    """By the core's density; the parameter as the fit moves it."""
    family = _core.Family(name, "log")

    mu, phi = np.broadcast_arrays(mu, phi)
    eta, values = family.link_of_mean(mu.ravel()), phi.ravel()
    several = np.unique(values)

    def log_density(y: Array, places: Any) -> Array:
        result = np.empty(y.shape)
        for value in several:
            rows = values[places] == value
            at, one = y[rows], np.ones(int(rows.sum()))
            found = family.derivatives(eta[places][rows], np.maximum(at, 0.0), one, one, [float(value)])
            whole = (at >= 0) & (at == np.floor(at))
            result[rows] = np.where(whole, found["value"] + found["constant"], -np.inf)
        return np.where(np.isnan(result), -np.inf, result)

    variance = np.empty(mu.shape)
    for value in several:
        variance[phi == value] = family.variance(mu[phi == value], [float(value)])
    return Counts(log_density, mu, variance)


def _generalized_poisson(mu: Array, _trials: Array, dispersion: Array) -> Counts:
    return _of_core("generalized_poisson", mu, np.log(dispersion))


def _conway_maxwell_poisson(mu: Array, _trials: Array, nu: Array) -> Any:
    if np.all(nu == 0):
        return stats.nbinom(1.0, 1.0 / (1.0 + mu))
    return _of_core("conway_maxwell_poisson", mu, -np.log(nu))


class OrderedBeta:
    """Zero, one, or in between a beta distribution; see cpp/family/ordered_beta.cpp."""

    def __init__(self, mu: Array, precision: Array, lower: Array, upper: Array) -> None:
        eta = special.logit(mu)
        self._zero, self._one = special.expit(lower - eta), special.expit(eta - upper)
        self._between = special.expit(eta - lower) * special.expit(upper - eta) * -np.expm1(lower - upper)
        self._beta = stats.beta(mu * precision, (1.0 - mu) * precision)

    def logpdf(self, y: ArrayLike) -> Array:
        """Log densities between the ends, and logarithms of the probabilities of these."""
        at = np.asarray(y, dtype=np.float64)
        inside = np.where((at > 0) & (at < 1), at, 0.5)
        between = np.log(self._between) + self._beta.logpdf(inside)
        found = np.select([at == 0, at == 1], [np.log(self._zero), np.log(self._one)], between)
        return np.where((at >= 0) & (at <= 1), found, -np.inf)

    def cdf(self, y: ArrayLike) -> Array:
        """Probabilities of no more than `y`."""
        at = np.asarray(y, dtype=np.float64)
        inside = self._zero + self._between * self._beta.cdf(np.clip(at, 0.0, 1.0))
        return np.select([at < 0, at >= 1], [np.zeros_like(inside), np.ones_like(inside)], inside)

    def ppf(self, q: ArrayLike) -> Array:
        """Quantiles."""
        share = (np.asarray(q, dtype=np.float64) - self._zero) / self._between
        return np.select([share <= 0, share > 1], [0.0, 1.0], self._beta.ppf(np.clip(share, 0.0, 1.0)))

    def rvs(self, size: Any = None, random_state: np.random.Generator | None = None) -> Array:
        """Random responses, by inversion."""
        rng = np.random.default_rng() if random_state is None else random_state
        return self.ppf(rng.uniform(size=np.shape(self._between) if size is None else size))

    def mean(self) -> Array:
        """Means, of all that a response may be."""
        return self._one + self._between * self._beta.mean()

    def var(self) -> Array:
        """Variances."""
        return self._one + self._between * (self._beta.var() + self._beta.mean() ** 2) - self.mean() ** 2

    def std(self) -> Array:
        """Standard deviations."""
        return np.sqrt(self.var())


def _ordered_beta(mu: Array, _trials: Array, precision: Array, lower_cut: Array, cut_distance: Array) -> OrderedBeta:
    return OrderedBeta(mu, precision, lower_cut, lower_cut + cut_distance)


DISTRIBUTIONS: dict[str, Make] = {  # (mu, trials, **parameters)
    "binomial": _binomial,
    "poisson": _poisson,
    "gaussian": _gaussian,
    "gamma": _gamma,
    "negative_binomial": _negative_binomial,
    "negative_binomial_1": _negative_binomial_1,
    "geometric": _geometric,
    "beta": _beta,
    "beta_binomial": _beta_binomial,
    "generalized_poisson": _generalized_poisson,
    "conway_maxwell_poisson": _conway_maxwell_poisson,
    "ordered_beta": _ordered_beta,
    **CONTINUOUS,
}


def distribution(family: Family, mu: ArrayLike, phi: Mapping[str, ArrayLike], trials: ArrayLike = 1.0) -> Any:
    """The distribution of a response of unit weight, as SciPy has it.

    Parameters
    ----------
    family : Family
    mu : array_like
        Means; probabilities, of trials.
    phi : mapping of str to array_like
        The family's parameters by name, on their natural scale; at its limit one is infinite, or zero.
    trials : array_like
        What a response of a family of trials is out of.

    Returns
    -------
    A frozen distribution with logpmf or logpdf, cdf, ppf, rvs, mean and var. Counts out of trials are counts here.

    Raises
    ------
    DataError
        The family is one of the user's own, or of ordered categories, which have no mean:
        `Family.category_probabilities` has theirs.
    """
    if family.support == "choices":
        raise DataError(f"the {family.name} family has no mean that a distribution could have: it is of choices")
    if family.support == "categories":
        raise DataError(
            f"the {family.name} family has no mean that a distribution could have: "
            "Family.category_probabilities(eta, thresholds) has the probabilities of its categories"
        )
    if family.in_python:
        raise DataError(f"the family {family.name!r} has a density in Python, and no quantiles or draws")
    own = {name: np.asarray(value, dtype=np.float64) for name, value in phi.items()}
    return cast("Any", DISTRIBUTIONS[family.name](*(np.asarray(v, dtype=np.float64) for v in (mu, trials)), **own))
