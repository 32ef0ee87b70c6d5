"""Log densities of families of numbers with two derivatives by log mu (positive ones) or mu, as textbooks have them.

Each function takes log mu or mu, the response, and phi as a fit moves it, and gives the value without the part that mu
does not change, which `CONSTANT` has, and the two derivatives, of a row of weight one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, gammaln, log_ndtr, logsumexp

from .log_gamma import LOG_2PI, log_gamma_rest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .problem import Array

Parts = tuple["Array", "Array", "Array"]


def lognormal(log_mu: Array, y: Array, phi: Array) -> Parts:
    sigma = np.exp(phi[0])
    z = (np.log(y) - log_mu) / sigma + sigma / 2
    return -(z**2) / 2, z / sigma, -np.ones_like(z) / sigma**2


def inverse_gaussian(log_mu: Array, y: Array, phi: Array) -> Parts:
    r, d = y * np.exp(-log_mu), np.exp(phi[0])
    excess = np.expm1(np.log(y) - log_mu)
    return -(excess**2) / (2 * d * y), excess * r / (d * y), (1 - 2 * r) * r / (d * y)


def exponential(log_mu: Array, y: Array, _: Array) -> Parts:
    r = y * np.exp(-log_mu)
    return -log_mu - r, r - 1, -r


def weibull(log_mu: Array, y: Array, phi: Array) -> Parts:
    k = np.exp(phi[0])
    u = k * (np.log(y) - log_mu + gammaln(1 + 1 / k))
    e = np.exp(u)
    return u - e, k * (e - 1), -(k**2) * e


def student_t(mu: Array, y: Array, phi: Array) -> Parts:
    df, s = np.exp(phi[1]), np.exp(phi[0])
    r = (y - mu) / s
    more = df + r**2
    return -(df + 1) / 2 * np.log1p(r**2 / df), (df + 1) * r / (more * s), (df + 1) * (r**2 - df) / (more * s) ** 2


def slant(moved: float) -> float:
    """The alpha with 1.02 alpha - alpha / (1 + alpha^2) = moved."""
    return float(
        brentq(
            lambda a: 1.02 * a - a / (1 + a**2) - moved,
            -60 * abs(moved) - 1,
            60 * abs(moved) + 1,
            xtol=1e-15,
            rtol=1e-15,
        )
    )


def skew_normal(mu: Array, y: Array, phi: Array) -> Parts:
    alpha = slant(phi[1])
    mean = np.sqrt(2 / np.pi) * alpha / np.hypot(1, alpha)
    omega = np.exp(phi[0]) / np.sqrt(1 - mean**2)
    z = (y - mu) / omega + mean
    at = alpha * z
    mills = np.exp(-(at**2) / 2 - LOG_2PI / 2 - log_ndtr(at))
    bend = -mills * (at + mills)
    return -(z**2) / 2 + log_ndtr(at), (z - alpha * mills) / omega, (alpha**2 * bend - 1) / omega**2


def tweedie(log_mu: Array, y: Array, phi: Array) -> Parts:
    """Against the mean that is the response: both are large where the power is close to one or two."""
    d, p = np.exp(phi[0]), 1 + expit(phi[1])
    up, down = np.exp((2 - p) * log_mu) / d, y * np.exp((1 - p) * log_mu) / d
    own = np.where(y > 0, y, 1.0)
    more = log_mu - np.log(own)
    change = np.expm1((2 - p) * more) / (2 - p) + np.expm1((1 - p) * more) / expit(phi[1])
    value = np.where(y > 0, -(own ** (2 - p)) / d * change, -up / (2 - p))
    return value, down - up, (1 - p) * down - (2 - p) * up


def tweedie_constant(y: Array, phi: Array) -> Array:
    """The log density where the mean is y: j jumps, a Poisson number, that are gamma distributed.

    Terms around the largest, of thousands only some, evenly spaced.
    """
    d, p = np.exp(phi[0]), 1 + expit(phi[1])
    shape, own = expit(-phi[1]) / expit(phi[1]), np.where(y > 0, y, 1.0)
    largest = own ** (2 - p) / (d * (2 - p))
    if not np.isfinite(largest).all():
        return np.full_like(y, np.nan)
    reach = int(20 + 12 * np.sqrt(largest.max()))
    stride = np.maximum(np.floor(np.sqrt(largest / (1 + shape)) / 3), 1.0)[:, None]
    first = np.maximum(np.floor(largest) - min(reach, 100) * stride[:, 0], 0)[:, None]
    j = first + stride * np.arange(1.0, 2 * min(reach, 100))
    off = (largest[:, None] - j) / j
    terms = j * (1 + shape) * (np.log1p(off) - off) - log_gamma_rest(j) - log_gamma_rest(shape * j)
    log_sum = logsumexp(terms, axis=1) + np.log(stride[:, 0])
    return np.where(y > 0, log_sum + np.log(shape) / 2 - LOG_2PI - np.log(own), 0.0)


def student_t_constant(y: Array, phi: Array) -> Array:
    df = np.exp(phi[1])
    if df > 1e4:
        return -LOG_2PI / 2 - 1 / (4 * df) - phi[0] + 0 * y
    return gammaln((df + 1) / 2) - gammaln(df / 2) - np.log(df * np.pi) / 2 - phi[0] + 0 * y


def skew_normal_constant(y: Array, phi: Array) -> Array:
    alpha = slant(phi[1])
    square = 2 / np.pi * alpha**2 / (1 + alpha**2)
    return np.log(2) - LOG_2PI / 2 - phi[0] + np.log1p(-square) / 2 + 0 * y


VALUE: dict[str, Callable[[Array, Array, Array], Parts]] = {
    "lognormal": lognormal,
    "inverse_gaussian": inverse_gaussian,
    "exponential": exponential,
    "weibull": weibull,
    "student_t": student_t,
    "skew_normal": skew_normal,
    "tweedie": tweedie,
}
CONSTANT: dict[str, Callable[[Array, Array], Array]] = {
    "lognormal": lambda y, phi: -np.log(y) - phi[0] - LOG_2PI / 2,
    "inverse_gaussian": lambda y, phi: -(LOG_2PI + phi[0] + 3 * np.log(y)) / 2,
    "exponential": lambda y, _: 0 * y,
    "weibull": lambda y, phi: phi[0] - np.log(y),
    "student_t": student_t_constant,
    "skew_normal": skew_normal_constant,
    "tweedie": tweedie_constant,
}
OF_MEAN = ("student_t", "skew_normal")  # by mu; a weight is a precision


def through_link(link: str, eta: Array, of_mean: bool) -> Parts:
    """mu or log mu with its two derivatives."""
    zero, one = np.zeros_like(eta), np.ones_like(eta)
    if of_mean:
        return (eta, one, zero) if link == "identity" else (np.exp(eta),) * 3
    if link == "log":
        return eta, one, zero
    power = {"identity": 1.0, "inverse": -1.0, "inverse_squared": -0.5}[link]
    return power * np.log(eta), power / eta, -power / eta**2


def parts(family: str, link: str, eta: Array, y: Array, w: Array, phi: Array) -> Parts:
    """Weighted value without the constant, and derivatives by eta."""
    of_mean = family in OF_MEAN
    at, slope, bend = through_link(link, eta, of_mean)
    if of_mean:  # a precision: residuals grow by the root of the weight
        root = np.sqrt(w)
        value, first, second = VALUE[family](root * at, root * y, phi)
        return value, root * first * slope, w * second * slope**2 + root * first * bend
    value, first, second = VALUE[family](at, y, phi)
    return w * value, w * first * slope, w * (second * slope**2 + first * bend)


def constant(family: str, y: Array, w: Array, phi: Array) -> Array:
    """The part of the log density that mu does not change."""
    own = CONSTANT[family](y, phi)
    return own + 0.5 * np.log(w) if family in OF_MEAN else w * own
