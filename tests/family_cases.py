"""What tests need of every family and the registry does not tell: densities by NumPy and SciPy alone, typical values.

A new family is one entry in `CASES`. There is no fallback: a family without an entry fails (`test_family.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from multilevel import _core

Array = NDArray[np.float64]
Phi = tuple[float, ...]  # the family's parameters as the fit moves them: logarithms

# Ordered categories have no mean, and thresholds that differ from row to row: test_ordinal.py has their tests. Choices
# are of sets of rows: test_multinomial.py and test_conditional.py.
_OTHERS = ("categories", "choices")
_TABLE = [own for own in _core.families() if _core.Family(own[0], own[1][0]).support not in _OTHERS]
PAIRS = [(family, link) for family, links in _TABLE for link in links]
FAMILIES = [family for family, _ in _TABLE]
# families whose response may be one column; trials that are not independent take two
ONE_COLUMN = [
    family
    for family, links in _TABLE
    if _core.Family(family, links[0]).support != "trials" or not _core.Family(family, links[0]).two_numbers
]


@dataclass(frozen=True)
class Outcomes:
    """Responses that carry all the probability: a sum of `weight` times the density is one."""

    y: Array
    weight: Array
    size: float = 1.0
    lost: float = 0.0  # probability below the smallest number there is, added to the first value


@dataclass(frozen=True)
class Start:
    """Where small data of a link may be simulated: far from the edge of its domain."""

    intercept: float
    scale: float  # of what varies around it


@dataclass(frozen=True)
class Case:
    """What tests need of a family. Links are keys; every link of the registry is in `grids`, `tails` and `starts`."""

    log_density: Callable[[str, Array, Array, Array, Array, Phi], Array]  # link, eta, y, trials, weights, phi
    outcomes: Callable[[float, Phi], Outcomes]  # of a mean
    draw: Callable[[np.random.Generator, Array, Array, Phi], Array]  # means, trials, phi
    responses: tuple[tuple[float, float], ...]  # with trials
    grids: Mapping[str, Array]  # linear predictors in the domain
    tails: Mapping[str, tuple[float, ...]]  # far out in it, or close to its edge
    starts: Mapping[str, Start]
    phi: tuple[Phi, ...] = ((),)  # ordinary values; the first is what other tests use
    extreme: tuple[Phi, ...] = ()
    outside: Mapping[str, float] = field(default_factory=dict)  # of links with a domain, a linear predictor outside
    trials: bool = False
    slow: bool = False  # a row takes so long that tests of large data leave it out
    precision_weights: bool = False  # whether prior weights are a precision; otherwise they multiply the log density
    flat_links: tuple[str, ...] = ()  # with these a log density is not concave
    best: Callable[[Array, Phi], Array] = lambda y, phi: y  # the mean at which the density of a response is largest
    step: float = 0.015  # of differences
    expected: bool = True  # whether the expected information is that
    precise_mean: bool = True  # whether the expected information of the mean is one over its variance
    own_mean_is_best: bool = True  # whether no other mean gives a response a larger density
    exact_information: bool = True  # whether it is the variance of the score; otherwise a lower bound of it
    mean_of_all: bool = True  # whether the mean that the linear predictor gives is that of all responses


# ---- links --------------------------------------------------------------------------------------------------------


def log_probabilities(link: str, eta: Array) -> tuple[Array, Array]:
    """Logarithms of a probability and of its complement, both accurate in the tails."""
    if link == "logit":
        return special.log_expit(eta), special.log_expit(-eta)
    if link == "probit":
        return special.log_ndtr(eta), special.log_ndtr(-eta)
    if link == "cloglog":
        with np.errstate(over="ignore", divide="ignore", under="ignore"):
            mass = np.exp(eta)
            return np.where(mass < 1e-8, eta - mass / 2, np.log(-np.expm1(-mass))), -mass
    if link == "cauchit":
        with np.errstate(divide="ignore"):
            far = np.arctan(1 / np.where(eta == 0, 1.0, np.abs(eta))) / np.pi
            least = np.where(np.abs(eta) > 1, far, 0.5 - np.arctan(np.abs(eta)) / np.pi)
        return np.log(np.where(eta > 0, 1 - least, least)), np.log(np.where(eta > 0, least, 1 - least))
    if link == "log":
        with np.errstate(under="ignore"):
            return eta, np.log(-np.expm1(eta))
    raise KeyError(link)


def log_rate(link: str, eta: Array) -> Array:
    """Logarithm of a positive mean."""
    if link == "log":
        return eta
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "sqrt": 2 * np.log(np.abs(eta)),
            "identity": np.log(eta),
            "inverse": -np.log(eta),
            "inverse_squared": -np.log(eta) / 2,
        }[link]


# ---- densities ----------------------------------------------------------------------------------------------------


def binomial(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    p, q = log_probabilities(link, eta)
    choose = special.gammaln(size + 1) - special.gammaln(y + 1) - special.gammaln(size - y + 1)
    return weights * (choose + np.where(y > 0, y * p, 0.0) + np.where(size > y, (size - y) * q, 0.0))


def poisson(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    log_mu = log_rate(link, eta)
    with np.errstate(under="ignore", invalid="ignore"):
        return weights * (np.where(y > 0, y * log_mu, 0.0) - np.exp(log_mu) - special.gammaln(y + 1))


def gaussian(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    with np.errstate(under="ignore"):
        mu = {"identity": np.array, "log": np.exp}[link](eta)
    return stats.norm.logpdf(y, mu, np.exp(phi[0]) / np.sqrt(weights))


def gamma(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    """k (log r - r + 1) with r = y / mu, and what makes the integral one; log Gamma(k) - k log k + k by its series
    where the shape k is so large that the difference would have no digits."""
    shape = np.exp(phi[0])
    if shape < 100:
        constant = shape * np.log(shape) - shape - special.gammaln(shape)
    else:
        constant = 0.5 * np.log(shape / (2 * np.pi)) - 1 / (12 * shape) + 1 / (360 * shape**3)
    d = np.log(y) - log_rate(link, eta)
    with np.errstate(over="ignore", under="ignore"):
        return weights * (shape * (d - np.expm1(d)) + constant - np.log(y))


def negative_binomial(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    """Gamma(y + k) / (Gamma(k) k^y) is the product of (1 + j / k) over j < y, which needs no difference."""
    log_mu = log_rate(link, eta)
    counts, place = np.unique(y, return_inverse=True)
    rising = [np.log1p(np.arange(c) * np.exp(-phi[0])).sum() for c in counts]
    product = np.array(rising)[place].reshape(y.shape)
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        ratio = log_mu - phi[0]  # log1p of the mean over the size
        shrunk = np.where(ratio > 30, ratio + np.log1p(np.exp(-np.abs(ratio))), np.log1p(np.exp(np.minimum(ratio, 30))))
        powers = np.where(y > 0, y * log_mu, 0.0) - (y + np.exp(phi[0])) * shrunk
    return weights * (product + powers - special.gammaln(y + 1))


def lognormal(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    sigma = np.exp(phi[0])
    return weights * (stats.norm.logpdf(np.log(y), log_rate(link, eta) - sigma**2 / 2, sigma) - np.log(y))


def inverse_gaussian(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        excess = np.expm1(np.log(y) - log_rate(link, eta))
        own = -0.5 * (np.log(2 * np.pi) + phi[0] + 3 * np.log(y))
        return weights * (own - excess**2 / (2 * np.exp(phi[0]) * y))


def exponential(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    log_mu = log_rate(link, eta)
    with np.errstate(over="ignore", under="ignore"):
        return weights * (-log_mu - y * np.exp(-log_mu))


def weibull_scale(phi: Phi) -> float:
    """Of mean one."""
    return float(np.exp(-special.gammaln(1 + np.exp(-phi[0]))))


def weibull(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    shape = np.exp(phi[0])
    with np.errstate(over="ignore", under="ignore"):
        ratio = np.log(y) - log_rate(link, eta) - np.log(weibull_scale(phi))
        return weights * (phi[0] + shape * ratio - np.exp(shape * ratio) - np.log(y))


def student_t(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    """Of many degrees of freedom n the gamma functions leave 1 / (2 n) of the normal constant: their series."""
    df = np.exp(phi[1])
    with np.errstate(under="ignore"):
        mu = {"identity": np.array, "log": np.exp}[link](eta)
    scale = np.exp(phi[0]) / np.sqrt(weights)
    if df < 1e4:
        return stats.t.logpdf(y, df, mu, scale)
    constant = -0.5 * np.log(2 * np.pi) - 1 / (4 * df)
    return constant - (df + 1) / 2 * np.log1p(((y - mu) / scale) ** 2 / df) - np.log(scale)


def moved_slant(alpha: float) -> float:
    """What the fit moves in place of it."""
    return 1.02 * alpha - alpha / (1 + alpha**2)


def slant(phi: Phi) -> tuple[float, float, float]:
    """Of a skew normal: alpha, and standard deviation and mean of the standard density."""
    alpha = optimize.brentq(lambda a: moved_slant(a) - phi[1], -1e3, 1e3, xtol=1e-15, rtol=1e-15)
    mean = np.sqrt(2 / np.pi) * alpha / np.hypot(1, alpha)
    return alpha, float(np.sqrt(1 - mean**2)), float(mean)


def skew_normal(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    alpha, sd, mean = slant(phi)
    omega = np.exp(phi[0]) / np.sqrt(weights) / sd
    z = (y - eta) / omega + mean
    return np.log(2) + stats.norm.logpdf(z) + special.log_ndtr(alpha * z) - np.log(omega)


def tweedie(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    """A sum over the number of Gamma variables, each term a Poisson probability times a Gamma density."""
    dispersion, power = np.exp(phi[0]), 1 + special.expit(phi[1])
    log_mu, y = np.broadcast_arrays(log_rate(link, eta), y)
    shape = (2 - power) / (power - 1)
    log_rates = ((2 - power) * log_mu - np.log(dispersion * (2 - power)))[..., None]
    log_scales = (np.log(dispersion * (power - 1)) + (power - 1) * log_mu)[..., None]
    log_y = np.log(np.where(y > 0, y, 1.0))[..., None]
    largest = np.exp((2 - power) * log_y) / (dispersion * (2 - power))  # the number whose term is the largest
    around = int(20 + 12 * np.sqrt(largest.max()))
    n = np.maximum(np.floor(largest) - around, 0) + np.arange(1, 2 * around)
    with np.errstate(over="ignore", under="ignore"):
        terms = n * log_rates - special.gammaln(n + 1) - special.gammaln(n * shape) + n * shape * (log_y - log_scales)
        above = special.logsumexp(terms - log_y - np.exp(log_y - log_scales), axis=-1)
        return weights * (np.where(y > 0, above, 0.0) - np.exp(log_rates[..., 0]))


def rising(y: Array, log_x: Array) -> Array:
    """log Gamma(y + x) - log Gamma(x) - y log x of whole y: the sum of log(1 + j / x) over j < y."""
    total = np.zeros(np.broadcast_shapes(y.shape, log_x.shape))
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        for j in range(1, int(np.max(y, initial=0.0))):
            log_ratio = np.log(j) - log_x
            total += np.where(j < y, np.maximum(log_ratio, 0) + np.log1p(np.exp(-np.abs(log_ratio))), 0.0)
    return total


def negative_binomial_1(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    """The size is mu / alpha, phi is -log alpha."""
    log_alpha = -phi[0]
    log_mu = log_rate(link, eta)
    with np.errstate(under="ignore", over="ignore"):
        rate = np.exp(log_mu) * (np.log1p(np.exp(log_alpha)) / np.exp(log_alpha))
    powers = y * log_mu - y * np.log1p(np.exp(log_alpha)) - rate
    return weights * (rising(y, log_mu - log_alpha) + powers - special.gammaln(y + 1))


def geometric(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    log_mu = log_rate(link, eta)
    with np.errstate(under="ignore", over="ignore"):
        more = np.maximum(log_mu, 0) + np.log1p(np.exp(-np.abs(log_mu)))
    return weights * (y * log_mu - (y + 1) * more)


def log_gamma_of_log(log_x: Array) -> Array:
    """log Gamma of e^log_x, which may be too small for a number."""
    with np.errstate(under="ignore"):
        x = np.exp(log_x)
    return np.where(log_x < -40, -log_x, special.gammaln(np.maximum(x, 1e-300)))


def beta(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    log_mu, log_rest = log_probabilities(link, eta)
    k = np.exp(phi[0])
    with np.errstate(under="ignore"):
        a, b = k * np.exp(log_mu), k * np.exp(log_rest)
    if k < 1e4:
        gammas = special.gammaln(k) - log_gamma_of_log(log_mu + phi[0]) - log_gamma_of_log(log_rest + phi[0])
        return weights * (gammas + (a - 1) * np.log(y) + (b - 1) * np.log1p(-y))

    def remainder(log_x: Array | float) -> Array:
        x = np.exp(np.clip(log_x, -600.0, np.log(20.0)))
        exact = special.gammaln(x) - ((x - 0.5) * np.log(x) - x + 0.5 * np.log(2 * np.pi))
        inverse = np.exp(-np.maximum(log_x, np.log(20.0)))
        series = inverse / 12 - inverse**3 / 360 + inverse**5 / 1260 - inverse**7 / 1680
        tiny = -0.5 * np.asarray(log_x) - 0.5 * np.log(2 * np.pi)
        return np.where(np.asarray(log_x) < -40, tiny, np.where(np.asarray(log_x) < np.log(20.0), exact, series))

    one, other = np.log(y) - log_mu, np.log1p(-y) - log_rest
    with np.errstate(over="ignore", invalid="ignore"):
        near = a * (one - np.expm1(one)) + b * (other - np.expm1(other))
        far = a * one + b * other
    own = np.where((np.abs(one) < 1) & (np.abs(other) < 1), near, far)
    rest = (
        0.5 * (phi[0] + log_mu + log_rest - np.log(2 * np.pi))
        + remainder(phi[0])
        - remainder(log_mu + phi[0])
        - remainder(log_rest + phi[0])
    )
    return weights * (own + rest - np.log(y) - np.log1p(-y))


def beta_binomial(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    p, q = log_probabilities(link, eta)
    one = np.full(eta.shape, phi[0])
    more = rising(y, p + phi[0]) + rising(size - y, q + phi[0]) - rising(size + 0 * y, one)
    return binomial(link, eta, y, size, weights, ()) + weights * more


def ordered_beta(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    above, below = eta - phi[1], eta - phi[1] - np.exp(phi[2])
    middle = np.where((y > 0) & (y < 1), y, 0.5)
    inside = beta("logit", eta, middle, size, np.ones_like(eta), phi[:1])
    share = np.log(-np.expm1(-np.exp(phi[2]))) + special.log_expit(above) + special.log_expit(-below)
    return weights * np.select([y == 0, y == 1], [special.log_expit(-above), special.log_expit(below)], share + inside)


def generalized_poisson(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    root = np.exp(-0.5 * phi[0])
    log_mu, own = log_rate(link, eta), -np.expm1(-0.5 * phi[0])
    with np.errstate(under="ignore", over="ignore", invalid="ignore", divide="ignore"):
        theta = root * np.exp(log_mu)
        apart = np.where(own * y > theta, np.log(own * y) + np.log1p(theta / (own * y)), np.log(theta + own * y))
        value = log_mu - phi[0] / 2 + (y - 1) * apart - theta - own * y - special.gammaln(y + 1)
        value = np.where(y == 0, -theta, value)
        return weights * np.where((theta + own * y > 0) & (theta + 4 * own > 0), value, np.nan)


def conway_maxwell_poisson(link: str, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
    nu, value = float(np.exp(-phi[0])), np.empty(np.broadcast_shapes(eta.shape, y.shape))
    means, place = np.unique(np.broadcast_to(log_rate(link, eta), value.shape), return_inverse=True)
    y, place = np.broadcast_to(y, value.shape), place.reshape(value.shape)
    for k, log_mu in enumerate(means):
        middle, found, total = conway_maxwell_sum(nu, float(log_mu))
        own = place == k
        value[own] = (y[own] - middle) * found - nu * from_middle(y[own], middle) - total
    return weights * value


@cache
def conway_maxwell_sum(nu: float, log_mu: float) -> tuple[float, float, float]:
    """A count in the middle, log lambda by bisection, and the log sum over a range that holds all the probability."""
    with np.errstate(under="ignore"):
        mu = float(np.exp(log_mu))
    reach = 20 * np.sqrt(mu / nu) + 80 * (1 + 1 / nu) + (80 * mu if nu < 0.3 else 0)
    j = np.arange(max(0.0, np.floor(mu - reach)), np.ceil(mu + reach))
    middle = float(np.floor(mu))
    fall, far = nu * from_middle(j, middle), j - middle
    ends = sorted([nu * log_mu, log_mu + (nu - 1) * np.log1p(mu)])

    def excess(log_rate: float) -> float:
        p = np.exp(np.minimum(far * log_rate - fall, 600.0))
        return float((p @ (j - mu)) / p.sum() / mu)

    found = optimize.brentq(excess, ends[0] - 1e-9, ends[1] + 1e-9, xtol=1e-15, rtol=1e-15, maxiter=300)
    return middle, found, float(np.log(np.exp(np.minimum(far * found - fall, 600.0)).sum()))


def from_middle(y: Array, middle: float) -> Array:
    """log y! - log middle!"""
    if middle <= 1e3:
        return special.gammaln(y + 1) - special.gammaln(middle + 1)
    return difference_of_log_factorials(y, middle)  # those of log Gamma have lost their digits


def difference_of_log_factorials(y: Array, middle: float) -> Array:
    """log y! - log middle!, the second large."""
    steps = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1.0, max(middle, np.max(y, initial=1.0)) + 1)))])
    return steps[np.asarray(y, int)] - steps[int(middle)]


# ---- all that can happen ------------------------------------------------------------------------------------------


def all_counts(mean: float, phi: Phi) -> Outcomes:
    """Counts up to where nothing is left: far for a small size, whose tail falls off like exp(-y size / mean)."""
    reach = 45.0 * (1.0 + mean * np.exp(-phi[0]) if phi else 1.0)
    y = np.arange(np.ceil(200 + 3 * mean + reach))
    return Outcomes(y, np.ones(len(y)))


def overdispersed_counts(mean: float, phi: Phi) -> Outcomes:
    """Of a variance mu (1 + alpha): the tail falls off like (alpha / (1 + alpha))^y."""
    y = np.arange(np.ceil(200 + 3 * mean + 45 * (1 + np.exp(-phi[0]))))
    return Outcomes(y, np.ones(len(y)))


def generalized_poisson_counts(mean: float, phi: Phi) -> Outcomes:
    """The tail falls off like exp(-y (lambda - 1 - log lambda)), y^-3/2 times."""
    own = -np.expm1(-0.5 * phi[0])
    reach = 60 / max(own - 1 - np.log(own), 1e-3) if own > 0 else 0.0
    y = np.arange(np.ceil(200 + 3 * mean + reach))
    return Outcomes(y, np.ones(len(y)))


def conway_maxwell_counts(mean: float, phi: Phi) -> Outcomes:
    y = np.arange(np.ceil(100 + 60 * (1 + mean) * (1 + np.exp(phi[0]))))
    return Outcomes(y, np.ones(len(y)))


def drawn_generalized_poisson(rng: np.random.Generator, mean: Array, phi: Phi) -> Array:
    """The number of all descendants in a branching process (of lambda above zero)."""
    own = -np.expm1(-0.5 * phi[0])
    young = rng.poisson(np.maximum(mean, 1e-3) * (1 - own))
    total = young.copy()
    while young.any():
        young = rng.poisson(own * young)
        total += young
    return total.astype(float)


@cache
def conway_maxwell_tables(nu: float) -> tuple[Array, Array]:
    """Distribution functions on a grid of log lambda, and their means."""
    j = np.arange(2000.0)
    log_rate = np.linspace(-12.0, 7.0 * nu if nu > 0.3 else -1e-3, 2001)[:, None]
    terms = j * log_rate - nu * special.gammaln(j + 1)
    terms = np.exp(terms - terms.max(1, keepdims=True))
    cdf = np.cumsum(terms / terms.sum(1, keepdims=True), axis=1)
    return cdf, (1 - cdf).sum(1)


def drawn_conway_maxwell(rng: np.random.Generator, mean: Array, phi: Phi) -> Array:
    """By inversion; each mean takes the nearest distribution of a grid."""
    cdf, means = conway_maxwell_tables(float(np.exp(-phi[0])))
    place = np.clip(np.searchsorted(means, np.minimum(mean, 0.8 * means[-1])), 0, len(means) - 1)
    uniform, result = rng.uniform(size=len(mean)), np.empty(len(mean))
    order = np.argsort(place, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(place[order])) + 1):
        result[rows] = np.searchsorted(cdf[place[rows[0]]], uniform[rows])
    return result


def unit_values(mean: float, phi: Phi) -> Outcomes:
    """The trapezoidal rule over logit y, as for positive values; what lies closer to an end than numbers reach is added
    to the last ones. Numbers next to one are far from each other, and the weights make up for it."""
    a, b = mean * np.exp(phi[0]), (1 - mean) * np.exp(phi[0])
    center, sd = np.log(mean / (1 - mean)), 12 * np.sqrt(1 / a + 1 / b)
    t = np.linspace(max(center - sd - 40 / a, -650.0), min(center + sd + 40 / b, 36.0), 40001)
    y = special.expit(t)
    shift = (b - 1) * (special.log_expit(-t) - np.log1p(-y))  # of y from the point that is meant
    step = t[1] - t[0]
    weight = step * y * special.expit(-t) * np.exp(shift)
    weight[[0, -1]] /= -np.expm1([-a * step, -b * step])  # further out the density over t falls off as a power does
    lost = special.betainc(a, b, y[0]), special.betainc(b, a, special.expit(-t[-1]))
    return Outcomes(y, weight, lost=float(max(lost)))


def unit_values_and_ends(mean: float, phi: Phi) -> Outcomes:
    inside = unit_values(mean, phi[:1])
    return Outcomes(
        np.concatenate([[0.0], inside.y, [1.0]]), np.concatenate([[1.0], inside.weight, [1.0]]), lost=inside.lost
    )


def drawn_ordered_beta(rng: np.random.Generator, mean: Array, phi: Phi) -> Array:
    eta, level = special.logit(np.clip(mean, 1e-9, 1 - 1e-9)), rng.logistic(size=len(mean))
    above, below = eta - phi[1], eta - phi[1] - np.exp(phi[2])
    inside = np.clip(drawn_probability(rng, mean, phi), 1e-12, 1 - 1e-12)
    return np.select([level > above, level < below], [0.0, 1.0], inside)


def normal_values(mean: float, phi: Phi) -> Outcomes:
    y = np.linspace(mean - 12 * np.exp(phi[0]), mean + 12 * np.exp(phi[0]), 4001)
    return Outcomes(y, np.full(len(y), y[1] - y[0]))


def positive_values(mean: float, phi: Phi) -> Outcomes:
    """The trapezoidal rule over log y, which for a density that falls off on either side is as good as exact.

    With a small shape much lies below the smallest number there is: it is added to the smallest value.
    """
    shape = np.exp(phi[0])
    low = max(np.log(mean) - 40 / shape - 12 / np.sqrt(shape), -700.0)
    high = np.log(mean) + np.log1p(12 / np.sqrt(shape) + 45 / shape)
    t = np.linspace(low, high, 40001)
    y = np.exp(t)
    weight = (high - low) / 40000 * y
    weight[0] /= 2
    lost = float(special.gammainc(shape, shape * y[0] / mean))
    weight[0] += lost / stats.gamma.pdf(y[0], shape, scale=mean / shape)
    return Outcomes(y, weight, lost=lost)


def spread_of(log_density: Callable[..., Array], mean: float, phi: Phi) -> Outcomes:
    """The trapezoidal rule over log y again, between where nothing is left of the density, nor of y^2 times it."""
    one = np.ones(1)

    def of_log(t: Array) -> Array:
        y = np.exp(t)
        return log_density("log", np.full(t.shape, np.log(mean)), y, one, one, phi) + t

    away = np.sinh(np.linspace(-14.0, 14.0, 4001)) / 1e3
    t = np.log(mean) + away[np.abs(away + np.log(mean)) < 690]
    log = of_log(t)
    some = np.flatnonzero(log + np.maximum(0, 2 * (t - np.log(mean))) > log.max() - 50)
    t = np.linspace(t[max(some[0] - 1, 0)], t[min(some[-1] + 1, len(t) - 1)], 8001)
    return Outcomes(np.exp(t), np.exp(t) * (t[1] - t[0]))


def mass_and_numbers(mean: float, phi: Phi) -> Outcomes:
    """Zero, and numbers above: up to where half of the deviance is 60, down to where y^shape is nothing."""
    dispersion, power = np.exp(phi[0]), 1 + special.expit(phi[1])

    def half_deviance(t: float) -> float:
        y, rest = mean * np.exp(t), (1 - power) * (2 - power)
        own = y ** (2 - power) / rest - y * mean ** (1 - power) / (1 - power) + mean ** (2 - power) / (2 - power)
        return float(own / dispersion)

    high = np.log(mean) + optimize.brentq(lambda t: half_deviance(t) - 60, 0, 40)
    low = max(np.log(mean) - 45 * (power - 1) / (2 - power) - 20, -690.0)
    if half_deviance(low - np.log(mean)) > 60:
        low = np.log(mean) + optimize.brentq(lambda t: half_deviance(t) - 60, -690, 0)
    t = np.linspace(low, high, 12001)
    return Outcomes(np.append(0.0, np.exp(t)), np.append(1.0, np.exp(t) * (t[1] - t[0])))


def heavy_tails(mean: float, phi: Phi) -> Outcomes:
    """The trapezoidal rule over the inverse hyperbolic sine."""
    df = np.exp(phi[1])
    reach = 5 + 45 / (df - 2 if df > 2 else df)
    s = np.linspace(-reach, reach, 20001)
    return Outcomes(mean + np.exp(phi[0]) * np.sinh(s), np.exp(phi[0]) * np.cosh(s) * (s[1] - s[0]))


def wide_normal_values(mean: float, phi: Phi) -> Outcomes:
    y = np.linspace(mean - 14 * np.exp(phi[0]), mean + 14 * np.exp(phi[0]), 20001)
    return Outcomes(y, np.full(len(y), y[1] - y[0]))


def draw_skew_normal(rng: np.random.Generator, mean: Array, phi: Phi) -> Array:
    alpha, sd, centre = slant(phi)
    share = alpha / np.hypot(1, alpha)
    one, two = rng.normal(size=(2, *np.shape(mean)))
    return mean + np.exp(phi[0]) * (share * np.abs(one) + np.sqrt(1 - share**2) * two - centre) / sd


def best_skew_normal(y: Array, phi: Phi) -> Array:
    alpha, sd, mean = slant(phi)
    top = optimize.minimize_scalar(
        lambda z: z**2 / 2 - special.log_ndtr(alpha * z), bounds=(-5, 5), method="bounded", options={"xatol": 1e-12}
    )
    return y - (top.x - mean) * np.exp(phi[0]) / sd


def draw_tweedie(rng: np.random.Generator, mean: Array, phi: Phi) -> Array:
    dispersion, power = np.exp(phi[0]), 1 + special.expit(phi[1])
    mean = np.maximum(mean, 0.01)
    n = rng.poisson(mean ** (2 - power) / (dispersion * (2 - power)))
    scale = dispersion * (power - 1) * mean ** (power - 1)
    return np.where(n > 0, rng.gamma(np.maximum(n, 1) * (2 - power) / (power - 1), scale), 0.0)


def clipped_mean(mean: Array) -> Array:
    return np.clip(mean, 0.0, 1.0)


def drawn_probability(rng: np.random.Generator, mean: Array, phi: Phi) -> Array:
    """From a beta distribution."""
    inside = np.clip(mean, 1e-9, 1 - 1e-9)
    return rng.beta(inside * np.exp(phi[0]), (1 - inside) * np.exp(phi[0]))


# ---- the families -------------------------------------------------------------------------------------------------

WIDE = np.linspace(-3.0, 3.0, 13)
POSITIVE = np.linspace(0.8, 6.0, 13)

CASES: dict[str, Case] = {
    "binomial": Case(
        log_density=binomial,
        outcomes=lambda mean, phi: Outcomes(np.arange(10.0), np.ones(10), 9.0),
        draw=lambda rng, mean, size, phi: rng.binomial(size.astype(int), clipped_mean(mean)).astype(float),
        responses=((0.0, 1.0), (1.0, 1.0), (2.0, 5.0), (5.0, 5.0), (3.0, 7.0)),
        grids={
            "logit": WIDE, "probit": WIDE, "cloglog": WIDE, "cauchit": WIDE, "log": np.linspace(-4.0, -0.6, 13),
        },
        tails={
            "logit": (-700.0, -30.0, 30.0, 700.0),
            "probit": (-700.0, -30.0, 30.0, 700.0),
            "cloglog": (-700.0, -30.0, 5.0, 700.0),
            "cauchit": (-1e6, -700.0, -30.0, 30.0, 700.0, 1e6),
            "log": (-700.0, -30.0, -1e-6, -1e-12),
        },
        starts={
            **dict.fromkeys(("logit", "probit", "cloglog", "cauchit"), Start(0.2, 0.8)), "log": Start(-2.0, 0.15),
        },
        outside={"log": 0.1},
        trials=True,
        flat_links=("cauchit",),
    ),
    "poisson": Case(
        log_density=poisson,
        outcomes=all_counts,
        draw=lambda rng, mean, size, phi: rng.poisson(np.maximum(mean, 0.01)).astype(float),
        responses=((0.0, 1.0), (1.0, 1.0), (4.0, 1.0), (30.0, 1.0)),
        grids={"log": WIDE, "sqrt": POSITIVE, "identity": POSITIVE},
        tails={
            "log": (-700.0, -30.0, 30.0, 700.0),
            "sqrt": (-700.0, -30.0, 30.0, 700.0, 1e-5),
            "identity": (30.0, 700.0, 1e-8, 1e8),
        },
        starts={"log": Start(0.2, 0.8), "sqrt": Start(6.0, 0.5), "identity": Start(20.0, 1.5)},
        outside={"identity": -0.1},
        flat_links=("sqrt",),
    ),
    "gaussian": Case(
        log_density=gaussian,
        outcomes=normal_values,
        draw=lambda rng, mean, size, phi: mean + np.exp(phi[0]) * rng.normal(size=len(mean)),
        responses=((-1.3, 1.0), (0.0, 1.0), (2.5, 1.0)),
        grids={"identity": WIDE, "log": WIDE},
        tails={"identity": (-1e8, -30.0, 30.0, 1e8), "log": (-700.0, -30.0, 30.0, 150.0)},
        starts={"identity": Start(0.2, 0.8), "log": Start(0.2, 0.8)},
        phi=((np.log(0.7),),),
        extreme=((np.log(1e-3),), (np.log(1e5),)),
        precision_weights=True,
        flat_links=("log",),
    ),
    "gamma": Case(
        log_density=gamma,
        outcomes=positive_values,
        draw=lambda rng, mean, size, phi: rng.gamma(np.exp(phi[0]), np.maximum(mean, 0.01) / np.exp(phi[0])),
        responses=((0.02, 1.0), (1.0, 1.0), (2.5, 1.0), (30.0, 1.0)),
        grids={"log": WIDE, "inverse": POSITIVE, "identity": POSITIVE},
        tails={
            "log": (-300.0, -30.0, 30.0, 700.0),
            "inverse": (30.0, 700.0, 1e-8, 1e8),
            "identity": (30.0, 700.0, 1e-8, 1e8),
        },
        starts={"log": Start(0.2, 0.8), "inverse": Start(3.0, 0.25), "identity": Start(8.0, 0.6)},
        phi=((np.log(2.5),), (np.log(0.6),)),
        extreme=((np.log(1e-2),), (np.log(0.1),), (np.log(1e3),), (np.log(1e6),)),
        outside={"inverse": -0.1, "identity": -0.1},
        flat_links=("identity",),
    ),
    "negative_binomial": Case(
        log_density=negative_binomial,
        outcomes=all_counts,
        draw=lambda rng, mean, size, phi: rng.poisson(
            rng.gamma(np.exp(phi[0]), np.maximum(mean, 0.01) / np.exp(phi[0]))
        ).astype(float),
        responses=((0.0, 1.0), (1.0, 1.0), (4.0, 1.0), (30.0, 1.0)),
        grids={"log": WIDE, "identity": POSITIVE},
        tails={"log": (-700.0, -30.0, 30.0, 700.0), "identity": (30.0, 700.0, 1e-8, 1e8)},
        starts={"log": Start(0.2, 0.8), "identity": Start(20.0, 1.5)},
        phi=((np.log(1.7),), (np.log(12.0),)),
        extreme=((np.log(1e-3),), (np.log(1e5),), (np.log(1e10),)),
        outside={"identity": -0.1},
        flat_links=("identity",),
    ),
    "lognormal": Case(
        log_density=lognormal,
        outcomes=lambda mean, phi: spread_of(lognormal, mean, phi),
        draw=lambda rng, mean, size, phi: mean * rng.lognormal(-np.exp(2 * phi[0]) / 2, np.exp(phi[0]), len(mean)),
        responses=((0.02, 1.0), (1.0, 1.0), (2.5, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-700.0, -30.0, 30.0, 700.0)},
        starts={"log": Start(0.2, 0.8)},
        phi=((np.log(0.6),), (np.log(1.3),)),
        extreme=((np.log(1e-3),), (np.log(0.03),), (np.log(3.0),)),
        best=lambda y, phi: y * np.exp(np.exp(2 * phi[0]) / 2),
        precise_mean=False,
    ),
    "inverse_gaussian": Case(
        log_density=inverse_gaussian,
        outcomes=lambda mean, phi: spread_of(inverse_gaussian, mean, phi),
        draw=lambda rng, mean, size, phi: np.maximum(rng.wald(np.maximum(mean, 0.01), np.exp(-phi[0])), 1e-200),
        responses=((0.02, 1.0), (1.0, 1.0), (2.5, 1.0), (30.0, 1.0)),
        grids={"log": WIDE, "inverse_squared": POSITIVE, "inverse": POSITIVE, "identity": POSITIVE},
        tails={
            "log": (-300.0, -30.0, 30.0, 700.0),
            "inverse_squared": (30.0, 700.0, 1e-8, 1e8),
            "inverse": (30.0, 700.0, 1e-8, 1e8),
            "identity": (30.0, 700.0, 1e-8, 1e8),
        },
        starts={
            "log": Start(0.2, 0.8), "inverse_squared": Start(4.0, 0.5), "inverse": Start(3.0, 0.25),
            "identity": Start(8.0, 0.6),
        },
        phi=((np.log(0.5),), (np.log(0.05),)),
        extreme=((np.log(1e-4),), (np.log(20.0),), (np.log(1e3),)),
        outside={"inverse_squared": -0.1, "inverse": -0.1, "identity": -0.1},
        flat_links=("log", "identity"),
    ),
    "exponential": Case(
        log_density=exponential,
        outcomes=lambda mean, phi: spread_of(exponential, mean, phi),
        draw=lambda rng, mean, size, phi: rng.exponential(mean),
        responses=((0.02, 1.0), (1.0, 1.0), (2.5, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-300.0, -30.0, 30.0, 700.0)},
        starts={"log": Start(0.2, 0.8)},
    ),
    "weibull": Case(
        log_density=weibull,
        outcomes=lambda mean, phi: spread_of(weibull, mean, phi),
        draw=lambda rng, mean, size, phi: mean * weibull_scale(phi) * rng.weibull(np.exp(phi[0]), len(mean)),
        responses=((0.02, 1.0), (1.0, 1.0), (2.5, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-30.0, -10.0, 30.0, 300.0)},
        starts={"log": Start(0.2, 0.8)},
        phi=((np.log(1.7),), (np.log(0.7),)),
        extreme=((np.log(0.1),), (np.log(4.0),), (np.log(8.0),)),
        step=0.002,
        best=lambda y, phi: y / weibull_scale(phi),
        precise_mean=False,
    ),
    "student_t": Case(
        log_density=student_t,
        outcomes=heavy_tails,
        draw=lambda rng, mean, size, phi: mean + np.exp(phi[0]) * rng.standard_t(np.exp(phi[1]), len(mean)),
        responses=((-1.3, 1.0), (0.0, 1.0), (2.5, 1.0)),
        grids={"identity": WIDE, "log": WIDE},
        tails={"identity": (-1e8, -30.0, 30.0, 1e8), "log": (-700.0, -30.0, 30.0, 150.0)},
        starts={"identity": Start(0.2, 0.8), "log": Start(0.2, 0.8)},
        phi=((np.log(0.7), np.log(4.5)), (np.log(1.5), np.log(12.0))),
        extreme=(
            (np.log(0.4), np.log(3.0)), (np.log(2.0), np.log(0.5)), (np.log(1e4), np.log(5.0)),
            (np.log(0.7), np.log(1e5)), (np.log(0.7), np.log(1e10)),
        ),
        precision_weights=True,
        flat_links=("identity", "log"),
        step=0.004,
        expected=False,
        precise_mean=False,
    ),
    "skew_normal": Case(
        log_density=skew_normal,
        outcomes=wide_normal_values,
        draw=lambda rng, mean, size, phi: draw_skew_normal(rng, mean, phi),
        responses=((-1.3, 1.0), (0.0, 1.0), (2.5, 1.0)),
        grids={"identity": WIDE},
        tails={"identity": (-1e4, -30.0, 30.0, 1e4)},
        starts={"identity": Start(0.2, 0.8)},
        phi=((np.log(0.7), moved_slant(3.0)), (np.log(1.2), moved_slant(-1.5))),
        extreme=(
            (np.log(0.7), moved_slant(1.0)), (np.log(0.7), moved_slant(10.0)), (np.log(0.1), moved_slant(1.0)),
            (np.log(1e4), moved_slant(-5.0)),
        ),
        precision_weights=True,
        best=best_skew_normal,
        step=0.005,
        precise_mean=False,
    ),
    "tweedie": Case(
        log_density=tweedie,
        outcomes=mass_and_numbers,
        draw=lambda rng, mean, size, phi: draw_tweedie(rng, mean, phi),
        responses=((0.0, 1.0), (0.02, 1.0), (1.0, 1.0), (2.5, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-100.0, -30.0, 30.0, 100.0)},
        starts={"log": Start(0.2, 0.8)},
        phi=((np.log(1.3), special.logit(0.6)), (np.log(0.4), special.logit(0.3))),
        extreme=(
            (np.log(0.02), special.logit(0.5)), (np.log(20.0), special.logit(0.5)),
            (np.log(0.7), special.logit(0.1)), (np.log(0.7), special.logit(0.95)),
        ),
        step=0.004,
    ),
    "negative_binomial_1": Case(
        log_density=negative_binomial_1,
        outcomes=overdispersed_counts,
        draw=lambda rng, mean, size, phi: rng.poisson(
            rng.gamma(np.maximum(mean, 1e-3) * np.exp(phi[0]), np.exp(-phi[0]))
        ).astype(float),
        responses=((0.0, 1.0), (1.0, 1.0), (4.0, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-700.0, -30.0, 30.0, 600.0)},
        starts={"log": Start(0.2, 0.8)},
        phi=((-np.log(1.4),), (-np.log(0.2),)),
        extreme=((-np.log(300.0),), (-np.log(1e-5),), (-np.log(1e-10),)),
        flat_links=("log",),
        own_mean_is_best=False,
        exact_information=False,
    ),
    "geometric": Case(
        log_density=geometric,
        outcomes=lambda mean, phi: all_counts(mean, (0.0,)),
        draw=lambda rng, mean, size, phi: rng.poisson(rng.exponential(np.maximum(mean, 0.01))).astype(float),
        responses=((0.0, 1.0), (1.0, 1.0), (4.0, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-700.0, -30.0, 30.0, 700.0)},
        starts={"log": Start(0.2, 0.8)},
    ),
    "beta": Case(
        log_density=beta,
        outcomes=unit_values,
        draw=lambda rng, mean, size, phi: np.clip(drawn_probability(rng, mean, phi), 1e-12, 1 - 1e-12),
        responses=((0.02, 1.0), (0.3, 1.0), (0.5, 1.0), (0.97, 1.0)),
        grids={"logit": WIDE, "probit": WIDE, "cloglog": np.linspace(-3.0, 1.5, 13)},
        tails={
            "logit": (-700.0, -30.0, 30.0, 700.0), "probit": (-700.0, -30.0, 30.0), "cloglog": (-700.0, -30.0, 3.0),
        },
        starts=dict.fromkeys(("logit", "probit", "cloglog"), Start(0.1, 0.5)),
        phi=((np.log(6.0),), (np.log(1.5),)),
        extreme=((np.log(0.05),), (np.log(1e3),), (np.log(1e6),)),
        flat_links=("logit", "probit", "cloglog"),
        own_mean_is_best=False,
        exact_information=False,
    ),
    "beta_binomial": Case(
        log_density=beta_binomial,
        outcomes=lambda mean, phi: Outcomes(np.arange(10.0), np.ones(10), 9.0),
        draw=lambda rng, mean, size, phi: rng.binomial(
            np.asarray(size).astype(int), drawn_probability(rng, mean, phi)
        ).astype(float),
        responses=((0.0, 1.0), (1.0, 1.0), (2.0, 5.0), (5.0, 5.0), (3.0, 7.0), (9.0, 30.0)),
        grids={"logit": WIDE, "probit": WIDE, "cloglog": np.linspace(-3.0, 1.5, 13)},
        tails={
            "logit": (-700.0, -30.0, 30.0, 700.0), "probit": (-700.0, -30.0, 30.0), "cloglog": (-700.0, -30.0, 3.0),
        },
        starts=dict.fromkeys(("logit", "probit", "cloglog"), Start(0.2, 0.8)),
        phi=((np.log(4.0),), (np.log(0.8),)),
        extreme=((np.log(0.01),), (np.log(1e5),), (np.log(1e10),)),
        trials=True,
        flat_links=("logit", "probit", "cloglog"),
        own_mean_is_best=False,
        exact_information=False,
    ),
    "generalized_poisson": Case(
        log_density=generalized_poisson,
        outcomes=generalized_poisson_counts,
        draw=lambda rng, mean, size, phi: drawn_generalized_poisson(rng, mean, phi),
        responses=((0.0, 1.0), (1.0, 1.0), (4.0, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-690.0, -30.0, 30.0, 600.0)},
        starts={"log": Start(0.2, 0.8)},
        phi=((np.log(2.2),), (np.log(3.0),)),
        extreme=((np.log(50.0),), (np.log(6.0),)),
        flat_links=("log",),
        own_mean_is_best=False,
        exact_information=False,
    ),
    "conway_maxwell_poisson": Case(
        slow=True,
        log_density=conway_maxwell_poisson,
        outcomes=conway_maxwell_counts,
        draw=lambda rng, mean, size, phi: drawn_conway_maxwell(rng, mean, phi),
        responses=((0.0, 1.0), (1.0, 1.0), (4.0, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-690.0, -30.0, 7.0, 12.0)},
        starts={"log": Start(0.2, 0.8)},
        phi=((-np.log(0.6),), (-np.log(1.8),)),
        extreme=((-np.log(0.1),), (-np.log(4.0),), (0.0,)),
        flat_links=("log",),
    ),
    "ordered_beta": Case(
        slow=True,
        log_density=ordered_beta,
        outcomes=unit_values_and_ends,
        draw=lambda rng, mean, size, phi: drawn_ordered_beta(rng, mean, phi),
        responses=((0.0, 1.0), (0.02, 1.0), (0.3, 1.0), (0.97, 1.0), (1.0, 1.0)),
        grids={"logit": WIDE},
        tails={"logit": (-700.0, -30.0, 30.0, 700.0)},
        starts={"logit": Start(0.1, 0.5)},
        phi=((np.log(6.0), -1.2, np.log(1.9)), (np.log(1.5), -0.4, np.log(0.7))),
        extreme=((np.log(1e3), -20.0, np.log(1.5)), (np.log(20.0), 3.0, np.log(1e-3))),
        flat_links=("logit",),
        own_mean_is_best=False,
        exact_information=False,
        mean_of_all=False,
    ),
}  # fmt: skip


# families for tests of large data, and those of them whose response may be one column
QUICK = [family for family in FAMILIES if not CASES[family].slow]
QUICK_COLUMN = [family for family in ONE_COLUMN if not CASES[family].slow]
QUICK_PAIRS = [(family, link) for family, link in PAIRS if not CASES[family].slow]


def settings(*, extreme: bool = False) -> list[tuple[str, str, Phi]]:
    """Every family with each of its links and ordinary (or also extreme) values of its parameters."""
    found = []
    for family, link in PAIRS:
        case = CASES[family]
        found += [(family, link, phi) for phi in case.phi + (case.extreme if extreme else ())]
    return found


def name_of(value: object) -> str | None:
    """Of phi in the id of a test."""
    if isinstance(value, tuple) and len(value) <= 2:
        return ",".join(f"{v:.3g}" for v in value) if len(value) > 1 else ",".join(f"{np.exp(v):.3g}" for v in value)
    return None


def several_modes() -> list[tuple[str, str]]:
    """The families and links whose log density is not concave in the linear predictor."""
    return [(family, link) for family, link in PAIRS if link in CASES[family].flat_links]


def mean_of(family: str, link: str, eta: Array) -> Array:
    """The core's, of any array."""
    return _core.Family(family, link).mean(np.ascontiguousarray(eta, dtype=np.float64))


def drawn(
    rng: np.random.Generator,
    family: str,
    eta: ArrayLike,
    *,
    link: str | None = None,
    size: ArrayLike = 1.0,
    phi: Phi | None = None,
) -> Array:
    """A response at the linear predictor `eta`: by the default link, and with the first of the case's `phi`."""
    case, at = CASES[family], np.asarray(eta, dtype=np.float64)
    mean = mean_of(family, link or dict(_core.families())[family][0], at)
    return case.draw(rng, mean, np.broadcast_to(np.asarray(size, float), at.shape), case.phi[0] if phi is None else phi)
