"""The density of every family by NumPy and SciPy alone, as a function of its linear predictor."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Array = NDArray[np.float64]
Phi = tuple[float, ...]  # the family's parameters as the fit moves them: logarithms


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
