"""The probability of a range of a latent variable, by its two ends."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, log_expit, log_ndtr

from .log_gamma import LOG_2PI
from .problem import Array, Problem
from .rows import Rows


def log_cdf(link: str, x: Array) -> tuple[Array, Array]:
    """log F and log(1 - F) of the distribution that a link names."""
    if link == "logit":
        return log_expit(x), log_expit(-x)
    if link == "probit":
        return log_ndtr(x), log_ndtr(-x)
    if link == "cauchit":
        return np.log(np.arctan2(1.0, -x) / np.pi), np.log(np.arctan2(1.0, x) / np.pi)
    rate = np.exp(np.minimum(x if link == "cloglog" else -x, 690.0))
    rest = np.where(rate < 1e-8, np.log(rate) - rate / 2, np.log(-np.expm1(-rate)))
    return (rest, -rate) if link == "cloglog" else (-rate, rest)


def log_slope(link: str, x: Array) -> tuple[Array, Array]:
    """log f, and f' / f."""
    if link == "logit":
        return log_expit(x) + log_expit(-x), 1 - 2 * expit(x)
    if link == "probit":
        return -0.5 * x**2 - 0.5 * LOG_2PI, -x
    if link == "cauchit":
        return -np.log(np.pi) - np.log1p(x**2), -2 * x / (1 + x**2)
    side = 1.0 if link == "cloglog" else -1.0
    rate = np.exp(np.minimum(side * x, 690.0))
    return side * x - rate, side * (1 - rate)


class Categories(Rows):
    """F(upper - eta) - F(lower - eta), by the smaller tails."""

    def __init__(self, problem: Problem, upper: Array, lower: Array) -> None:
        super().__init__(problem)
        self.link, self.upper, self.lower = problem.link, upper, lower
        self.concave = problem.link != "cauchit"
        self.columns = (*self.columns, "upper", "lower")

    def parts(self, eta: Array) -> tuple[Array, Array, Array]:
        ends = []
        for end in (self.upper, self.lower):
            inside = np.isfinite(end)
            x = np.where(inside, end, 0.0) - eta
            below, above = log_cdf(self.link, x)
            slope, bend = log_slope(self.link, x)
            top = end > 0
            below = np.where(inside, below, np.where(top, 0.0, -np.inf))
            above = np.where(inside, above, np.where(top, -np.inf, 0.0))
            ends.append((below, above, np.where(inside, slope, -np.inf), np.where(inside, bend, 0.0)))
        (b1, a1, s1, k1), (b0, a0, s0, k0) = ends
        left = b1 + b0 < a1 + a0
        large, small = np.where(left, b1, a0), np.where(left, b0, a1)
        value = large + np.log(-np.expm1(np.where(np.isinf(small), -np.inf, small - large)))
        value = np.where(self.upper > self.lower, value, np.nan)
        up, low = np.exp(s1 - value), np.exp(s0 - value)
        first = low - up
        return value, first, up * k1 - low * k0 - first**2

    def targets(self) -> list[Array]:
        middle = np.where(np.isinf(self.upper), self.lower + 1, np.where(np.isinf(self.lower), self.upper - 1, 0.0))
        both = np.isfinite(self.upper) & np.isfinite(self.lower)
        return [np.where(both, (self.upper + self.lower) / 2, middle)]
