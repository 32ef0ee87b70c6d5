"""Log densities of a row as functions of the linear predictor, with two derivatives, from their textbook forms."""

from __future__ import annotations

from copy import copy

import numpy as np
from scipy.special import digamma, expit, gammaln, log_expit, log_ndtr, polygamma, xlogy

from . import numbers
from .log_gamma import LOG_2PI, digamma_rise, log_gamma_rest, log_rising, stirling
from .problem import Array, Problem


def log_means(link: str, eta: Array) -> tuple[Array, Array]:
    """log(mu) and log(1 - mu) of a probability."""
    if link == "logit":
        return log_expit(eta), log_expit(-eta)
    if link == "probit":
        return log_ndtr(eta), log_ndtr(-eta)
    if link == "cloglog":
        rate = np.exp(eta)
        return np.where(eta < -30, eta - rate / 2, np.log(-np.expm1(-rate))), -rate
    if link == "cauchit":
        return np.log(np.arctan2(1.0, -eta) / np.pi), np.log(np.arctan2(1.0, eta) / np.pi)
    return eta, np.log(-np.expm1(np.minimum(eta, 0.0)))


def slopes(link: str, eta: Array) -> tuple[Array, Array]:
    """log(mu') and mu'' / mu' of a probability."""
    if link == "logit":
        return log_expit(eta) + log_expit(-eta), 1 - 2 * expit(eta)
    if link == "probit":
        return -0.5 * eta**2 - 0.5 * LOG_2PI, -eta
    if link == "cloglog":
        return eta - np.exp(eta), 1 - np.exp(eta)
    if link == "cauchit":
        return -np.log(np.pi) - np.log1p(eta**2), -2 * eta / (1 + eta**2)
    return eta, np.ones_like(eta)


def times(count: Array, log: Array) -> Array:
    """count * log, zero where the count is."""
    return np.where(count == 0, 0.0, count * np.where(count == 0, 0.0, log))


def log_rate(link: str, eta: Array) -> Array:
    """log(mu) of a positive mean."""
    if link == "log":
        return eta
    return {"sqrt": 2 * np.log(np.abs(eta)), "identity": np.log(eta), "inverse": -np.log(eta)}[link]


FLAT = {  # not concave in the linear predictor
    ("binomial", "cauchit"),
    ("poisson", "sqrt"),
    ("gaussian", "log"),
    ("gamma", "identity"),
    ("negative_binomial", "identity"),
    ("inverse_gaussian", "log"),
    ("inverse_gaussian", "identity"),
    ("student_t", "identity"),
    ("student_t", "log"),
    ("negative_binomial_1", "log"),
    ("generalized_poisson", "log"),
    *((family, link) for family in ("beta", "beta_binomial") for link in ("logit", "probit", "cloglog")),
}


class Density:
    """Rows of a problem. Calls take the linear predictor, (n,) or (n, K)."""

    def __init__(self, problem: Problem, phi: Array) -> None:
        self.family, self.link = problem.family, problem.link
        if self.family == "geometric":  # of size one, whose logarithm is zero
            self.family = "negative_binomial"
        self.y, self.size, self.w = problem.y, problem.size, problem.weights
        self.phi = np.asarray(phi, dtype=float)
        self.log_phi = float(phi[0]) if len(phi) else 0.0  # of sigma, shape or size
        self.constant = self._constant()

    def _constant(self) -> Array:
        if self.family in numbers.VALUE:
            return numbers.constant(self.family, self.y, self.w, self.phi)
        if self.family in ("binomial", "beta_binomial"):
            n, y = self.size, self.y
            return self.w * (gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1))
        if self.family == "poisson" and self.link == "log":  # the value is a deviance, which keeps the digits
            return self.w * (xlogy(self.y, self.y) - self.y - gammaln(self.y + 1))
        if self.family == "poisson":
            return -self.w * gammaln(self.y + 1)
        if self.family == "gaussian":
            return 0.5 * np.log(self.w) - 0.5 * LOG_2PI - self.log_phi
        k, y = np.exp(self.log_phi), self.y
        if self.family == "gamma":  # of these two the value is a deviance
            if k < 100:
                return self.w * (k * self.log_phi - k - gammaln(k) - np.log(y))
            return self.w * (0.5 * self.log_phi - 0.5 * LOG_2PI - stirling(k) - np.log(y))
        if self.family == "negative_binomial":
            saturated = xlogy(y, y) - gammaln(y + 1)
            if k < 100:
                rising = gammaln(y + k) - gammaln(k) - y * self.log_phi
                return self.w * (saturated + rising - (y + k) * np.log1p(y / k))
            return self.w * (saturated - y - 0.5 * np.log1p(y / k) + stirling(y + k) - stirling(k))
        if self.family == "beta":
            return -self.w * (np.log(y) + np.log1p(-y))
        if self.family in ("negative_binomial_1", "generalized_poisson"):
            return -self.w * gammaln(y + 1)
        raise KeyError(self.family)

    def some(self, rows: Array) -> Density:
        """Of some rows."""
        other = copy(self)
        for name in ("y", "size", "w", "constant"):
            setattr(other, name, getattr(self, name)[rows])
        return other

    @property
    def concave(self) -> bool:
        return (self.family, self.link) not in FLAT

    def targets(self) -> list[Array]:
        """Linear predictors that fit every row, or nearly: where modes of densities with several may lie."""
        if self.family == "student_t" and self.link == "identity":
            return [self.y]
        if self.family in ("gaussian", "student_t"):
            return [np.log(np.maximum(self.y, 1e-3 * np.abs(self.y).max() + 1e-300))]
        if self.family in ("gamma", "negative_binomial", "inverse_gaussian"):
            return [np.log(self.y) if self.link == "log" else np.maximum(self.y, 0.1)]
        if self.link == "sqrt":
            return [np.sqrt(self.y), -np.sqrt(self.y)]
        if self.link == "log":
            return [np.log(self.y + 0.1)]
        share = (self.y + 0.5) / (self.size + 1) if self.family != "beta" else self.y
        return [np.tan(np.pi * (share - 0.5)), np.log(share / (1 - share))]

    def value(self, eta: Array) -> Array:
        """Log density; minus infinity outside of the domain."""
        with np.errstate(all="ignore"):
            return self._value(eta)

    def _value(self, eta: Array) -> Array:
        def row(a: Array) -> Array:
            return a if eta.ndim == 1 else a[:, None]

        y, w, c = row(self.y), row(self.w), row(self.constant)
        if self.family in numbers.VALUE:
            result = c + numbers.parts(self.family, self.link, eta, y, w, self.phi)[0]
            if self.family not in numbers.OF_MEAN and self.link != "log":
                result = np.where(eta > 0, result, -np.inf)
            return np.where(np.isnan(result), -np.inf, result)
        if self.family == "binomial":
            success, failure = log_means(self.link, eta)
            result = c + w * (times(y, success) + times(row(self.size) - y, failure))
            result = np.where(eta <= 0, result, -np.inf) if self.link == "log" else result
        elif self.family == "poisson" and self.link == "log":
            d = eta - np.log(np.maximum(y, 1e-300))
            result = c - w * np.where(y > 0, y * (np.expm1(d) - d), np.exp(eta))
        elif self.family == "poisson":
            mu = np.square(eta) if self.link == "sqrt" else eta
            result = c + w * (times(y, np.log(mu)) - mu)
            result = np.where(eta >= 0, result, -np.inf) if self.link == "identity" else result
        elif self.family == "gaussian":
            mu = np.exp(eta) if self.link == "log" else eta
            result = c - 0.5 * w * ((y - mu) * np.exp(-self.log_phi)) ** 2
        elif self.family == "negative_binomial_1":  # log_phi is minus the logarithm of the dispersion
            r = np.exp(eta + self.log_phi)
            more = np.log1p(np.exp(-self.log_phi))
            result = c + w * (y * eta - (y + r) * more + log_rising(y, r))
        elif self.family == "generalized_poisson":
            theta, own = np.exp(eta - 0.5 * self.log_phi), -np.expm1(-0.5 * self.log_phi)
            result = c + w * (y * (eta - 0.5 * self.log_phi) + (y - 1) * np.log1p(own * y / theta) - theta - own * y)
            result = np.where((theta + own * y > 0) & (theta + 4 * own > 0), result, -np.inf)
        elif self.family in ("beta", "beta_binomial"):
            success, failure = log_means(self.link, eta)
            k = np.exp(self.log_phi)
            a, b = np.exp(success + self.log_phi), np.exp(failure + self.log_phi)
            if self.family == "beta_binomial":
                rest = row(self.size) - y
                own = times(y, success) + times(rest, failure) - log_rising(row(self.size), k)
                result = c + w * (own + log_rising(y, a) + log_rising(rest, b))
            elif k < 1e4:
                own = gammaln(k) - gammaln(a) - gammaln(b) + a * np.log(y) + b * np.log1p(-y)
                result = c + w * own
            else:  # gamma functions by Stirling's formula, from which the large parts cancel
                one, other = np.log(y) - success, np.log1p(-y) - failure
                own = a * (one - np.expm1(one)) + b * (other - np.expm1(other))
                gammas = stirling(k) - log_gamma_rest(a) - log_gamma_rest(b)
                result = c + w * (own + gammas + 0.5 * (success + failure + self.log_phi - LOG_2PI))
        elif self.family == "gamma":
            d, k = np.log(y) - log_rate(self.link, eta), np.exp(self.log_phi)
            result = c - w * k * (np.expm1(d) - d)
        else:
            log_mu, k = log_rate(self.link, eta), np.exp(self.log_phi)
            d = log_mu - np.log(np.maximum(y, 1e-300))
            change = y * np.expm1(d) / (y + k)
            tiny = np.logaddexp(log_mu, self.log_phi) - np.log(y + k)  # mean and size may both be next to nothing
            some = (y + k) * np.where(change > -0.5, np.log1p(change), tiny) - y * d
            result = c - w * np.where(y > 0, some, k * np.log1p(np.exp(log_mu) / k))
        if self.family in ("gamma", "negative_binomial") and self.link != "log":
            result = np.where(eta > 0, result, -np.inf)
        return np.where(np.isnan(result), -np.inf, result)

    def derivatives(self, eta: Array) -> tuple[Array, Array]:
        """First and second, (n,) each; zero where they are not finite."""
        with np.errstate(all="ignore"):
            first, second = self._derivatives(eta)
            good = np.isfinite(first) & np.isfinite(second)
            return np.where(good, first, 0.0), np.where(good, second, 0.0)

    def _derivatives(self, eta: Array) -> tuple[Array, Array]:
        y, w = self.y, self.w
        if self.family in numbers.VALUE:
            return numbers.parts(self.family, self.link, eta, y, w, self.phi)[1:]
        if self.family == "binomial":
            success, failure = log_means(self.link, eta)
            log_slope, k = slopes(self.link, eta)
            r, s = np.exp(log_slope - success), np.exp(log_slope - failure)
            first = times(y, r) - times(self.size - y, s)
            return w * first, w * (times(y, r * (k - r)) - times(self.size - y, s * (k + s)))
        if self.family == "poisson":
            if self.link == "log":
                return w * (y - np.exp(eta)), -w * np.exp(eta)
            if self.link == "sqrt":
                return w * (times(y, 2 / eta) - 2 * eta), w * (-times(y, 2 / eta**2) - 2)
            return w * (times(y, 1 / eta) - 1), -w * times(y, 1 / eta**2)
        k = np.exp(self.log_phi)
        if self.family == "negative_binomial_1":
            r = np.exp(eta + self.log_phi)
            first, second = digamma_rise(y, r)
            slope = y + r * (first - y / r - np.log1p(1 / k))
            return w * slope, w * (slope + r**2 * second)
        if self.family == "generalized_poisson":
            theta, own = np.exp(eta - 0.5 * self.log_phi), -np.expm1(-0.5 * self.log_phi)
            share = theta / (theta + own * y)
            none = y == 0
            first = np.where(none, -theta, 1 + (y - 1) * share - theta)
            return w * first, w * np.where(none, -theta, (y - 1) * share * (1 - share) - theta)
        if self.family in ("beta", "beta_binomial"):
            success, failure = log_means(self.link, eta)
            log_slope, bend = slopes(self.link, eta)
            a, b = np.exp(success + self.log_phi), np.exp(failure + self.log_phi)
            if self.family == "beta":
                first = np.log(y) - np.log1p(-y) - digamma(a) + digamma(b)
                second = -polygamma(1, a) - polygamma(1, b)
            else:
                one, other = digamma_rise(y, a), digamma_rise(self.size - y, b)
                first, second = one[0] - other[0], one[1] + other[1]
            slope = np.exp(log_slope + self.log_phi)
            return w * first * slope, w * (second * slope**2 + first * slope * bend)
        if self.family == "gamma":
            if self.link == "inverse":
                return w * k * (1 / eta - y), -w * k / eta**2
            if self.link == "identity":
                return w * k * (y / eta - 1) / eta, w * k * (1 - 2 * y / eta) / eta**2
            ratio = y * np.exp(-eta)
            return w * k * (ratio - 1), -w * k * ratio
        if self.family == "negative_binomial":
            if self.link == "identity":
                more = 1 + eta / k
                return w * (y - eta) / (eta * more), w * ((1 + y / k) / (k * more**2) - y / eta**2)
            mu = np.exp(eta)
            more = 1 + mu / k
            return w * (y - mu) / more, -w * mu * (1 + y / k) / more**2
        a = w * np.exp(-2 * self.log_phi)
        if self.link == "identity":
            return a * (y - eta), -a * np.ones_like(eta)
        mu = np.exp(eta)
        return a * (y - mu) * mu, a * (y - 2 * mu) * mu
