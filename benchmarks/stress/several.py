"""Densities of several linear predictors of a row: rows stand in a problem once for each, one after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit, log_expit, logsumexp

from .densities import Density
from .log_gamma import LOG_2PI
from .problem import Array, Problem, Term
from .rows import picked


def spread(problem: Problem, count: int) -> Problem:
    """Every row `count` times, with no columns yet."""
    rows = problem.rows(np.repeat(np.arange(len(problem.y)), count))
    return replace(rows, predictors=count)


def own_columns(values: Array, count: int) -> Array:
    """Each predictor its own copy of the columns: (n, q) to (n * count, count * q)."""
    n, q = values.shape
    found = np.zeros((n, count, count, q))
    for k in range(count):
        found[:, k, k] = values
    return found.reshape(n * count, count * q)


def of_categories(problem: Problem, base: int) -> Problem:
    """A predictor for each category but the base; the response is the number among them, or -1."""
    others = [k for k in range(1, problem.categories + 1) if k != base]
    count = len(others)
    place = {k: i for i, k in enumerate(others)}
    whole = spread(problem, count)
    return replace(
        whole,
        y=np.repeat([float(place.get(int(y), -1)) for y in problem.y], count),
        X=own_columns(problem.X, count),
        names=tuple(f"{k}: {name}" for k in others for name in problem.names),
        terms=tuple(replace(t, Z=own_columns(t.Z, count)) for t in problem.terms),
    )


def of_two(problem: Problem) -> Problem:
    """The mean, and a parameter of the family that has a random intercept too."""
    whole = spread(problem, 2)
    first = np.tile([1.0, 0.0], len(problem.y))[:, None]
    terms = tuple(replace(t, Z=t.Z * first) for t in whole.terms)
    return replace(
        whole,
        X=whole.X * first,
        offset=whole.offset * first[:, 0],
        terms=(*terms, Term(0, 1 - first, "us")),
    )


class SeveralPredictors:
    """A log density of P predictors with gradient and Hessian, from `parts(eta)`, eta of shape (n, P)."""

    concave = False
    columns: tuple[str, ...] = ("y", "w")

    def __init__(self, problem: Problem) -> None:
        self.count = problem.predictors
        self.y, self.w = problem.y[:: self.count], problem.weights[:: self.count]

    def parts(self, eta: Array) -> tuple[Array, Array, Array]:
        raise NotImplementedError

    def value(self, eta: Array) -> Array:
        """That of a row in its first place, zero in the others."""
        P = self.count
        deep = eta.reshape(len(eta) // P, P, -1)
        K = deep.shape[2]
        of = self if K == 1 else picked(self, np.repeat(np.arange(len(deep)), K))
        with np.errstate(all="ignore"):
            value = of.w * of.parts(deep.transpose(0, 2, 1).reshape(-1, P))[0]
        found = np.zeros(deep.shape)
        found[:, 0] = np.where(np.isnan(value), -np.inf, value).reshape(-1, K)
        return found.reshape(eta.shape)

    def derivatives(self, eta: Array) -> tuple[Array, Array]:
        """First (n * P,), and second (n, P, P)."""
        with np.errstate(all="ignore"):
            _, first, second = self.parts(eta.reshape(-1, self.count))
        good = (np.isfinite(first).all(1) & np.isfinite(second).all((1, 2)))[:, None]
        first = np.where(good, self.w[:, None] * first, 0.0)
        return first.ravel(), np.where(good[:, :, None], self.w[:, None, None] * second, 0.0)

    def some(self, rows: Array) -> Any:
        """Of places in the problem, whole rows of it."""
        return picked(self, rows[:: self.count] // self.count)

    def targets(self) -> list[Array]:
        return []


class Choice(SeveralPredictors):
    """exp(eta of the chosen) over the sum; the base, if there is one, has zero."""

    concave = True

    def __init__(self, problem: Problem, base: bool) -> None:
        super().__init__(problem)
        self.base = base
        if not base:  # alternatives are rows, and one of them is marked
            self.y = problem.y.reshape(-1, self.count).argmax(1).astype(float)

    def parts(self, eta: Array) -> tuple[Array, Array, Array]:
        whole = np.column_stack([eta, np.zeros(len(eta))]) if self.base else eta
        total = logsumexp(whole, axis=1)
        p, y = np.exp(eta - total[:, None]), self.y.astype(int)
        own = np.where(y < 0, 0.0, eta[np.arange(len(eta)), y])
        first = (y[:, None] == np.arange(self.count)) - p
        return own - total, first, p[:, :, None] * p[:, None, :] - p[:, :, None] * np.eye(self.count)


class RandomSigma(SeveralPredictors):
    """Normal, with a predictor of log sigma; weights are precisions."""

    def __init__(self, problem: Problem, phi: Array) -> None:
        super().__init__(problem)
        assert problem.split is not None
        self.shift = phi[0] + phi[1] * problem.split[:: self.count] - 0.5 * np.log(self.w)
        self.w = np.ones_like(self.w)
        self.columns = (*self.columns, "shift")

    def parts(self, eta: Array) -> tuple[Array, Array, Array]:
        log_sigma = eta[:, 1] + self.shift
        a = np.exp(-2 * log_sigma)
        r = self.y - eta[:, 0]
        first = np.column_stack([a * r, a * r**2 - 1])
        second = np.stack([np.column_stack([-a, -2 * a * r]), np.column_stack([-2 * a * r, -2 * a * r**2])], axis=1)
        return -0.5 * a * r**2 - log_sigma - 0.5 * LOG_2PI, first, second

    def targets(self) -> list[Array]:
        return [np.column_stack([self.y, 0 * self.y]).ravel()]


class RandomZero(SeveralPredictors):
    """Zero-inflated counts, with a predictor of the zeros."""

    def __init__(self, problem: Problem, phi: Array) -> None:
        super().__init__(problem)
        assert problem.split is not None
        one = replace(problem.rows(np.arange(0, len(problem.y), self.count)), part="")
        one = replace(one, weights=np.ones(len(one.y)))
        self.shift = phi[-2] + phi[-1] * problem.split[:: self.count]
        self.own = Density(one, phi[:-2])
        self.none = Density(replace(one, y=0 * one.y), phi[:-2])
        self.columns = (*self.columns, "shift", "own", "none")

    def parts(self, eta: Array) -> tuple[Array, Array, Array]:
        mean, odds, zero = eta[:, 0], eta[:, 1] + self.shift, self.y == 0
        value, (first, second) = self.own.value(mean), self.own.derivatives(mean)
        at_zero, (slope, bend) = self.none.value(mean), self.none.derivatives(mean)
        log_pi, log_rest, pi = log_expit(odds), log_expit(-odds), expit(odds)
        both = np.logaddexp(log_pi, log_rest + at_zero)
        s = np.exp(log_rest + at_zero - both)  # that a zero is one of the counts
        gradient = np.column_stack([np.where(zero, s * slope, first), np.where(zero, 1 - s, 0.0) - pi])
        across = np.where(zero, -s * (1 - s) * slope, 0.0)
        own = np.where(zero, s * bend + s * (1 - s) * slope**2, second)
        last = np.where(zero, s * (1 - s), 0.0) - pi * (1 - pi)
        hessian = np.stack([np.column_stack([own, across]), np.column_stack([across, last])], axis=1)
        return np.where(zero, both, log_rest + value), gradient, hessian

    def targets(self) -> list[Array]:
        near = self.own.targets()[0]
        return [np.column_stack([near, 0 * near]).ravel(), np.column_stack([near, 2 - 4.0 * (self.y > 0)]).ravel()]
