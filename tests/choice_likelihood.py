"""The likelihood of choices from its definition: sets of alternatives, Laplace and products of quadrature rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass
class ChoiceSet:
    """Alternatives with their fixed and random columns, which of them was chosen, by whom, and how often."""

    x: Array
    z: Array
    chosen: int
    group: int
    weight: float = 1.0
    offset: Array | float = 0.0


def category_sets(x: Array, z: Array, y: NDArray[np.int64], group: NDArray[np.int64], k: int, base: int = 0) -> list:
    """A set for each row of categories 0 to k - 1: columns of each category but the base, category by category."""
    others = [c for c in range(k) if c != base]

    def spread(row: Array) -> Array:
        block = np.zeros((k, len(others) * len(row)))
        for at, c in enumerate(others):
            block[c, at * len(row) : (at + 1) * len(row)] = row
        return block

    return [ChoiceSet(spread(a), spread(b), int(c), int(g)) for a, b, c, g in zip(x, z, y, group, strict=True)]


def loglik(sets: list[ChoiceSet], beta: Array, factor: Array, points: int = 1) -> float:
    """Of (beta, Lambda); `points` of quadrature per random effect, 1 for Laplace."""
    total = 0.0
    for group in sorted({own.group for own in sets}):
        total += _group([own for own in sets if own.group == group], beta, factor, points)
    return total


def _group(sets: list[ChoiceSet], beta: Array, factor: Array, points: int) -> float:
    q = factor.shape[1]

    def derivatives(v: Array) -> tuple[float, Array, Array]:
        value, slope, curvature = -0.5 * v @ v, -v, -np.eye(q)
        for own in sets:
            m = own.z @ factor
            eta = own.x @ beta + own.offset + m @ v
            p = np.exp(eta - eta.max())
            p /= p.sum()
            value += own.weight * np.log(p[own.chosen])
            slope = slope + own.weight * m.T @ (np.eye(len(p))[own.chosen] - p)
            curvature = curvature - own.weight * m.T @ (np.diag(p) - np.outer(p, p)) @ m
        return value, slope, curvature

    v = np.zeros(q)
    for _ in range(100):
        value, slope, curvature = derivatives(v)
        step = np.linalg.solve(-curvature, slope)
        while derivatives(v + step)[0] < value - 1e-12 * abs(value):
            step /= 2
        v = v + step
        if np.abs(step).max(initial=0.0) < 1e-13:
            break
    value, _, curvature = derivatives(v)
    root = np.linalg.cholesky(-curvature)
    determinant = np.log(np.diag(root)).sum()
    if points == 1:
        return float(value - determinant)
    nodes, weights = hermegauss(points)
    weights = weights / weights.sum()
    total = 0.0
    for index in np.ndindex(*(points,) * q):
        t = nodes[list(index)]
        at = derivatives(v + np.linalg.solve(root.T, t))[0] + 0.5 * t @ t
        total += np.prod(weights[list(index)]) * np.exp(at - value)
    return float(value + np.log(total) - determinant)


def differences(function, at: Array, step: float = 1e-5) -> Array:
    """Central differences."""
    out = np.empty(len(at))
    for k in range(len(at)):
        move = np.zeros(len(at))
        move[k] = step
        out[k] = (function(at + move) - function(at - move)) / (2 * step)
    return out


@dataclass
class Effects:
    """Random effects of the levels of one grouping factor: each row's level, columns, and the factor of a level's."""

    level: NDArray[np.int64]
    columns: list[Array]  # of each set
    factor: Array

    @property
    def n_levels(self) -> int:
        return int(self.level.max()) + 1


def several_factors(sets: list[ChoiceSet], beta: Array, effects: list[Effects]) -> float:
    """Laplace over the levels of several grouping factors at once; `z` and `group` of the sets do not count."""
    sizes = [own.factor.shape[0] for own in effects]
    starts = np.concatenate([[0], np.cumsum([own.n_levels * q for own, q in zip(effects, sizes, strict=True)])])
    factor = np.zeros((starts[-1], starts[-1]))
    for own, q, start in zip(effects, sizes, starts[:-1], strict=True):
        factor[start : start + own.n_levels * q, start : start + own.n_levels * q] = np.kron(
            np.eye(own.n_levels), own.factor
        )
    wide = []
    for i, each in enumerate(sets):
        z = np.zeros((len(each.x), starts[-1]))
        for own, q, start in zip(effects, sizes, starts[:-1], strict=True):
            at = start + own.level[i] * q
            z[:, at : at + q] = own.columns[i]
        wide.append(ChoiceSet(each.x, z, each.chosen, 0, each.weight, each.offset))
    return _group(wide, beta, factor, 1)
