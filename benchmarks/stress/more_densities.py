"""Families that no other file has, and responses of which an interval is known."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, gammaln, log_expit

from .categories import Categories
from .densities import Density
from .problem import Array, Problem
from .rows import Rows

STEPS = 50  # of a table, for each unit of log mu
FEW_BELOW = -3.0  # of log mu, from where down forty terms are all
STEEP = 8.0  # of nu, from where on the rate leaps between whole numbers


def density_of_family(problem: Problem, phi: Array) -> Any:
    """Of rows that nothing modifies."""
    own = {"conway_maxwell_poisson": ConwayMaxwell, "ordered_beta": OrderedBeta}.get(problem.family, Density)
    return own(problem, phi)


def _log_sums(log_rate: float, nu: float, j: Array, log_factorial: Array) -> tuple[float, float, float, float]:
    """log Z with Z the sum of rate^j / (j!)^nu, and mean, variance and third cumulant of the count."""
    log_term = j * log_rate - nu * log_factorial
    largest = float(log_term.max())
    term = np.exp(log_term - largest)
    total = float(term.sum())
    mean = float(term @ j) / total
    off = j - mean
    return largest + np.log(total), mean, float(term @ off**2) / total, float(term @ off**3) / total


def _ends(log_mu: Any, nu: float) -> tuple[Any, Any]:
    """Between which log rate lies; the lower one is that of a geometric distribution."""
    return log_mu - np.log1p(np.exp(log_mu)) - 0.01, (nu + 1) * np.log1p(np.exp(log_mu)) + 2.0


@lru_cache(maxsize=4000)
def _table(nu: float, start: int) -> Array:
    """log rate and log Z over log mu from `start` to `start + 1`: of each step six coefficients of both, (STEPS, 2, 6).

    At the ends of a step the value and two derivatives are those of the sums.
    """
    highest = np.exp(start + 1.0)
    j = np.arange(np.ceil(highest + 40 * min(np.sqrt(highest / nu), highest + 1) + 60))
    log_factorial = gammaln(j + 1)
    found = np.empty((STEPS + 1, 2, 3))
    log_rate, slope = 0.0, 0.0
    for k in range(STEPS + 1):
        log_mu = start + k / STEPS
        mu = np.exp(log_mu)
        if k == 0:

            def off(t: float) -> float:
                return float(np.log(_log_sums(t, nu, j, log_factorial)[1]) - start)

            log_rate = brentq(
                off, start - np.log1p(np.exp(start)) - 0.01, nu * np.log(highest + 1) + 2.0
            )  # from geometric
        else:
            log_rate += slope / STEPS
        for _ in range(3):
            log_total, mean, variance, third = _log_sums(log_rate, nu, j, log_factorial)
            log_rate -= (np.log(mean) - log_mu) * mean / variance
        log_total, mean, variance, third = _log_sums(log_rate, nu, j, log_factorial)
        slope = mu / variance
        bend = slope - slope**2 * third / variance
        found[k] = [[log_rate, slope, bend], [log_total, mu * slope, mu * (slope + bend)]]
    h = 1 / STEPS
    f, d, s = (found[:-1, :, i] * h**i for i in range(3))
    rest = found[1:, :, 0] - f - d - s / 2, found[1:, :, 1] * h - d - s, found[1:, :, 2] * h**2 - s
    c3 = 10 * rest[0] - 4 * rest[1] + rest[2] / 2
    c4 = -15 * rest[0] + 7 * rest[1] - rest[2]
    c5 = 6 * rest[0] - 3 * rest[1] + rest[2] / 2
    return np.stack([f, d, s / 2, c3, c4, c5], axis=2)


class ConwayMaxwell(Rows):
    """y log rate - nu log y! - log Z, the rate the one that gives the mean exp(eta)."""

    def __init__(self, problem: Problem, phi: Array) -> None:
        super().__init__(problem)
        self.nu = float(np.exp(-phi[0]))
        self.constant = -self.nu * gammaln(self.y + 1)
        self.columns = (*self.columns, "constant")

    def parts(self, eta: Array) -> tuple[Array, Array, Array]:
        found = np.full((3, len(eta)), np.nan)
        few = (eta < FEW_BELOW) | ((self.nu > STEEP) & (eta < 6))
        found[:, few] = self._directly(eta[few], self.y[few])
        for start in np.unique(np.floor(eta[~few & (eta < 12)])):
            at = np.flatnonzero(~few & (np.floor(eta) == start))
            place = np.minimum(((eta[at] - start) * STEPS).astype(int), STEPS - 1)
            t = (eta[at] - start) * STEPS - place
            c = _table(self.nu, int(start))[place]
            own = self.y[at, None] * c[:, 0] - c[:, 1]
            powers = np.stack([t**k for k in range(6)])
            for order in range(3):
                weights = [float(np.prod(np.arange(k, k - order, -1))) for k in range(order, 6)]
                terms = [w * own[:, k] * powers[k - order] for w, k in zip(weights, range(order, 6), strict=True)]
                found[order, at] = sum(terms) * STEPS**order
        return found[0] + self.constant, found[1], found[2]

    def _directly(self, eta: Array, y: Array) -> Array:
        """y log rate - log Z with two derivatives, from the sums of each row, its rate by halving.

        Where y is near the mean, moments are about y: almost all of the probability may be there, and they are as small
        as what is left.
        """
        j = np.arange(np.ceil(np.exp(eta.max(initial=0.0))) + 40)
        low, high = _ends(eta, self.nu)
        for _ in range(60):
            log_rate = (low + high) / 2
            log_term = j * log_rate[:, None] - self.nu * gammaln(j + 1)
            largest = log_term.max(1)
            term = np.exp(log_term - largest[:, None])
            total = term.sum(1)
            above = np.log((term @ j) / total) > eta
            low, high = np.where(above, low, log_rate), np.where(above, log_rate, high)
        mu, mean = np.exp(eta), (term @ j) / total
        near = np.abs(y - mean) < 0.5
        off = j - np.where(near, y, mean)[:, None]
        first, second, third = ((term * off**k).sum(1) / total for k in (1, 2, 3))
        first = np.where(near, first, 0.0)
        variance = second - first**2
        slope, less = mu / variance, np.where(near, first, mean - y)
        bend = variance**2 - less * (third - 3 * first * second + 2 * first**3)
        bend = np.where(near, second**2 - first * third + first**2 * variance, bend) * slope**2 / variance
        return np.stack([y * log_rate - largest - np.log(total), -less * slope, -less * slope - bend])

    def targets(self) -> list[Array]:
        return [np.log(self.y + 0.1)]


class OrderedBeta(Rows):
    """Zero, one, or a beta distribution between them, by two cuts of the linear predictor."""

    def __init__(self, problem: Problem, phi: Array) -> None:
        super().__init__(problem)
        self.low, self.width = float(phi[1]), float(np.exp(phi[2]))
        inside = (self.y > 0) & (self.y < 1)
        whole = np.where(inside, self.y, 0.5)
        self.own = Density(replace(problem, y=whole, family="beta", weights=np.ones(len(self.y))), phi[:1])
        self.columns = (*self.columns, "own")

    def parts(self, eta: Array) -> tuple[Array, Array, Array]:
        above, below = eta - self.low, eta - self.low - self.width
        value, (first, second) = self.own.value(eta), self.own.derivatives(eta)
        share = log_expit(above) + log_expit(-below) + np.log(-np.expm1(-self.width))
        up, down = expit(-above), expit(below)
        zero, one = self.y == 0, self.y == 1
        return (
            np.select([zero, one], [log_expit(-above), log_expit(below)], value + share),
            np.select([zero, one], [-expit(above), expit(-below)], first + up - down),
            np.select(
                [zero, one],
                [-expit(above) * up, -down * expit(-below)],
                second - up * expit(above) - down * expit(-below),
            ),
        )

    def targets(self) -> list[Array]:
        inside = np.clip(self.y, 0.02, 0.98)
        return [np.log(inside / (1 - inside))]


class Interval(Rows):
    """The probability of an interval, whose ends are the response and the size."""

    def __init__(self, problem: Problem, phi: Array) -> None:
        super().__init__(problem)
        own = np.exp(phi[0])
        low, high = problem.y, problem.size
        self.scale = float(own if problem.family == "weibull" else 1 / own)
        move = 0.0
        if problem.family != "gaussian":
            low, high = np.log(low), np.log(high)
            move = float(gammaln(1 + 1 / own) if problem.family == "weibull" else own**2 / 2)
        link = "cloglog" if problem.family == "weibull" else "probit"
        whole = replace(problem, link=link, weights=np.ones(len(self.y)))
        self.own = Categories(whole, self.scale * (high + move), self.scale * (low + move))
        self.columns = (*self.columns, "own")

    def parts(self, eta: Array) -> tuple[Array, Array, Array]:
        value, first, second = self.own.parts(self.scale * eta)
        return value, self.scale * first, self.scale * (self.scale * second)

    def targets(self) -> list[Array]:
        return [target / self.scale for target in self.own.targets()]
