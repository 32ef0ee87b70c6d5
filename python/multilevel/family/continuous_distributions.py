"""Distributions of families of numbers, given the mean and the family's parameters on their natural scale.

SciPy has most of them. What it lacks is here, with the part of its interface that is used: logpdf, cdf, ppf, rvs, mean,
var and std.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special, stats

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


def _lognormal(mu: Array, _: ArrayLike, sigma: Array) -> Any:
    return stats.lognorm(sigma, scale=mu * np.exp(-0.5 * sigma**2))


def _inverse_gaussian(mu: Array, _: ArrayLike, dispersion: Array) -> Any:
    return stats.invgauss(mu * dispersion, scale=1.0 / dispersion)


def _exponential(mu: Array, _: ArrayLike) -> Any:
    return stats.expon(scale=mu)


def _weibull(mu: Array, _: ArrayLike, shape: Array) -> Any:
    return stats.weibull_min(shape, scale=mu * np.exp(-special.gammaln(1.0 + 1.0 / shape)))


def _student_t(mu: Array, _: ArrayLike, sigma: Array, df: Array) -> Any:
    return stats.norm(mu, sigma) if np.all(np.isinf(df)) else stats.t(df, mu, sigma)


class SkewNormal(type(stats.skewnorm)):  # type: ignore[misc]
    """SciPy's, which integrates numerically in the lower tail; with Owen's function it has no need to."""

    def _cdf(self, x: Array, a: Array) -> Array:
        return np.maximum(special.ndtr(x) - 2.0 * special.owens_t(x, a), 0.0)


SKEW_NORMAL = SkewNormal(name="skew_normal")


def _skew_normal(mu: Array, _: ArrayLike, sigma: Array, alpha: Array) -> Any:
    mean = np.sqrt(2.0 / np.pi) * alpha / np.sqrt(1.0 + alpha**2)
    omega = sigma / np.sqrt(1.0 - mean**2)
    return SKEW_NORMAL(alpha, mu - omega * mean, omega)


class Tweedie:
    """A Poisson number of Gamma variables; the arguments are broadcast against each other and against responses.

    Parameters
    ----------
    mu, dispersion, power : array_like
        The variance is dispersion mu^power.
    """

    def __init__(self, mu: ArrayLike, dispersion: ArrayLike, power: ArrayLike) -> None:
        self._mu, self._dispersion, self._power = (
            np.asarray(a, dtype=np.float64) for a in np.broadcast_arrays(mu, dispersion, power)
        )
        rest = 2.0 - self._power
        self._rate = self._mu**rest / (self._dispersion * rest)
        self._shape = rest / (self._power - 1.0)
        self._scale = self._dispersion * (self._power - 1.0) * self._mu ** (self._power - 1.0)

    def mean(self) -> Array:
        """Means."""
        return self._mu

    def var(self) -> Array:
        """Variances."""
        return self._dispersion * self._mu**self._power

    def std(self) -> Array:
        """Standard deviations."""
        return np.sqrt(self.var())

    def logpdf(self, y: ArrayLike) -> Array:
        """Log densities; at zero the logarithm of its probability."""
        at = np.asarray(y, dtype=np.float64)

        def term(count: Array, at: Array, shape: Array, scale: Array, rate: Array) -> Array:
            poisson = special.xlogy(count, rate) - rate - special.gammaln(count + 1)
            own = np.where(at > 0, at, 1.0)
            power = (count * shape - 1) * np.log(own / scale) - np.log(scale)
            return poisson + power - own / scale - special.gammaln(count * shape)

        # the largest term belongs to a number that grows with the response
        own = np.where(at > 0, at, 1.0) ** (2.0 - self._power) / (self._dispersion * (2.0 - self._power))
        logs = self._over_counts(term, at, own, own / (1.0 + self._shape))
        return np.where(at > 0, special.logsumexp(logs, axis=0), np.where(at == 0, -self._rate, -np.inf))

    def pdf(self, y: ArrayLike) -> Array:
        """Densities; at zero its probability."""
        return np.exp(self.logpdf(y))

    def cdf(self, y: ArrayLike) -> Array:
        """Probabilities of no more than `y`."""
        at = np.asarray(y, dtype=np.float64)

        def term(count: Array, at: Array, shape: Array, scale: Array, rate: Array) -> Array:
            share = special.gammainc(count * shape, np.maximum(at, 0.0) / scale)
            return np.exp(special.xlogy(count, rate) - rate - special.gammaln(count + 1)) * share

        total = self._over_counts(term, at, self._rate, self._rate).sum(axis=0)
        return np.where(at < 0, 0.0, np.minimum(total + np.exp(-self._rate), 1.0))

    def ppf(self, q: ArrayLike) -> Array:
        """The least values whose cdf reaches `q`, by bisection."""
        want, mu = np.broadcast_arrays(np.asarray(q, dtype=np.float64), self._mu)
        low, high = np.zeros(want.shape), mu + 10.0 * self.std()
        while np.any(short := (self.cdf(high) < want) & (want < 1.0)):
            high = np.where(short, 2.0 * high, high)
        for _ in range(200):
            middle = 0.5 * (low + high)
            if np.all((middle <= low) | (middle >= high)):
                break
            below = self.cdf(middle) < want
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        found = np.where(want <= np.exp(-self._rate), 0.0, high)
        return np.where(want >= 1.0, np.inf, found)

    def rvs(self, size: Any = None, random_state: np.random.Generator | None = None) -> Array:
        """Random values."""
        rng = np.random.default_rng() if random_state is None else random_state
        counts = rng.poisson(self._rate, size=self._mu.shape if size is None else size)
        return np.where(counts > 0, rng.gamma(np.maximum(counts, 1) * self._shape, self._scale), 0.0)

    def _over_counts(self, term: Callable[..., Array], at: Array, centre: Array, variance: Array) -> Array:
        """`term` of the numbers of variables that matter, along a first axis."""
        shape = np.broadcast_shapes(at.shape, self._mu.shape)
        reach = int(20.0 + 12.0 * np.sqrt(np.max(variance, initial=0.0)))
        first = np.maximum(np.floor(np.broadcast_to(centre, shape)) - reach, 0.0)
        counts = first + np.arange(1.0, 2.0 * reach).reshape(-1, *(1,) * len(shape))
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            return term(counts, at, self._shape, self._scale, self._rate)


def _tweedie(mu: Array, _: ArrayLike, dispersion: Array, power: Array) -> Any:
    if np.all(power >= 2.0):
        return stats.gamma(1.0 / dispersion, scale=mu * dispersion)
    return Tweedie(mu, dispersion, power)


CONTINUOUS: dict[str, Callable[..., Any]] = {  # (mu, trials, **parameters)
    "lognormal": _lognormal,
    "inverse_gaussian": _inverse_gaussian,
    "exponential": _exponential,
    "weibull": _weibull,
    "student_t": _student_t,
    "skew_normal": _skew_normal,
    "tweedie": _tweedie,
}
