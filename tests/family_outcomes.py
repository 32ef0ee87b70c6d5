"""What a response of every family may be: all that can happen, to sum over or integrate, and how to draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize, special, stats

from .family_densities import Array, Phi, slant


@dataclass(frozen=True)
class Outcomes:
    """Responses that carry all the probability: a sum of `weight` times the density is one."""

    y: Array
    weight: Array
    size: float = 1.0
    lost: float = 0.0  # probability below the smallest number there is, added to the first value


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
