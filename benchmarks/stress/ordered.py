"""Ordered categories beside the cumulative: adjacent ones, stages, and a scale of the cumulative."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from .categories import Categories, log_cdf, log_slope
from .parts import thresholds
from .problem import Array, Problem
from .rows import Rows


def cuts(problem: Problem, phi: Array) -> Array:
    """The thresholds of every row, (n, categories - 1)."""
    most, n = problem.categories, len(problem.y)
    tau = np.tile(phi[0] + phi[1] * np.arange(most - 1) if problem.variant == 1 else phi[: most - 1], (n, 1))
    assert problem.split is not None
    return tau + problem.split[:, None] * phi[most - 1 :] if problem.variant == 2 else tau


class Adjacent(Rows):
    """log P(y = k + 1) / P(y = k) = eta - tau_k."""

    concave = True

    def __init__(self, problem: Problem, tau: Array) -> None:
        super().__init__(problem)
        self.falls = np.hstack([np.zeros((len(problem.y), 1)), np.cumsum(tau, axis=1)])
        self.columns = (*self.columns, "falls")

    def parts(self, eta: Array) -> tuple[Array, Array, Array]:
        steps = np.arange(self.falls.shape[1])
        logs = steps * eta[:, None] - self.falls
        logs -= logsumexp(logs, axis=1)[:, None]
        p, own = np.exp(logs), self.y.astype(int) - 1
        mean = p @ steps
        return logs[np.arange(len(eta)), own], own - mean, -(p * (steps - mean[:, None]) ** 2).sum(1)

    def targets(self) -> list[Array]:
        return []


class Stages(Rows):
    """P(y = k | y >= k) = F(tau_k - eta); from above P(y <= k | y <= k + 1) = F(tau_k - eta)."""

    def __init__(self, problem: Problem, phi: Array) -> None:
        super().__init__(problem)
        self.link, self.concave = problem.link, problem.link != "cauchit"
        k, y = np.arange(1, problem.categories), problem.y[:, None]
        up = problem.family == "continuation"
        self.tau, self.below, self.above = cuts(problem, phi), y == k if up else y <= k, y > k if up else y == k + 1
        self.columns = (*self.columns, "tau", "below", "above")

    def parts(self, eta: Array) -> tuple[Array, Array, Array]:
        x = self.tau - eta[:, None]
        under, over = log_cdf(self.link, x)
        slope, bend = log_slope(self.link, x)
        rise, fall = np.exp(slope - under), np.exp(slope - over)
        value = np.where(self.below, under, np.where(self.above, over, 0.0))
        first = np.where(self.below, -rise, np.where(self.above, fall, 0.0))
        second = np.where(self.below, rise * (bend - rise), np.where(self.above, -fall * (bend + fall), 0.0))
        return value.sum(1), first.sum(1), second.sum(1)

    def targets(self) -> list[Array]:
        middle = np.where(self.below | self.above, self.tau, 0.0).sum(1)
        return [middle / np.maximum((self.below | self.above).sum(1), 1)]


class Scaled(Rows):
    """Cumulative, with distances from the thresholds divided by exp(zeta v)."""

    def __init__(self, problem: Problem, phi: Array) -> None:
        super().__init__(problem)
        assert problem.split is not None
        self.shrink = np.exp(-phi[-1] * problem.split)
        upper, lower = thresholds(problem, phi[:-1])
        self.own = Categories(problem, self.shrink * upper, self.shrink * lower)
        self.concave = self.own.concave
        self.columns = (*self.columns, "shrink", "own")

    def parts(self, eta: Array) -> tuple[Array, Array, Array]:
        value, first, second = self.own.parts(self.shrink * eta)
        return value, self.shrink * first, self.shrink**2 * second

    def targets(self) -> list[Array]:
        return [target / self.shrink for target in self.own.targets()]
