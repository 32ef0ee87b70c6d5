"""Rows of a problem as log densities: by one rule with weights, or in groups of which each has its own."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from .problem import Array, Problem


class Split:
    """Rows in groups, each with its own density."""

    def __init__(self, groups: list[Any], label: Array) -> None:
        self.groups, self.label = groups, label
        self.concave = all(own.concave for own in groups)

    def value(self, eta: Array) -> Array:
        found = np.empty_like(eta)
        for k, own in enumerate(self.groups):
            found[self.label == k] = own.value(eta[self.label == k])
        return found

    def derivatives(self, eta: Array) -> tuple[Array, Array]:
        first, second = np.empty_like(eta), np.empty_like(eta)
        for k, own in enumerate(self.groups):
            at = self.label == k
            first[at], second[at] = own.derivatives(eta[at])
        return first, second

    def targets(self) -> list[Array]:
        lists = [own.targets() for own in self.groups]
        found = []
        for targets in zip(*lists, strict=True):
            whole = np.empty(len(self.label))
            for k, target in enumerate(targets):
                whole[self.label == k] = target
            found.append(whole)
        return found

    def some(self, rows: Array) -> Split:
        groups = []
        for k, own in enumerate(self.groups):
            place = np.cumsum(self.label == k) - 1
            groups.append(own.some(place[rows[self.label[rows] == k]]))
        return Split(groups, self.label[rows])


def picked(own: Any, rows: Array) -> Any:
    """The same density of some rows: each of its `columns` is an array, or a density itself."""
    other = copy(own)
    for name in own.columns:
        mine = getattr(own, name)
        setattr(other, name, mine.some(rows) if hasattr(mine, "some") else mine[rows])
    return other


class Rows:
    """A log density and its two derivatives by eta, from `parts(eta)`; weights multiply it."""

    concave = False

    def __init__(self, problem: Problem) -> None:
        self.y, self.w = problem.y, problem.weights
        self.columns: tuple[str, ...] = ("y", "w")

    def parts(self, eta: Array) -> tuple[Array, Array, Array]:
        raise NotImplementedError

    def value(self, eta: Array) -> Array:
        with np.errstate(all="ignore"):
            flat = eta if eta.ndim == 1 else eta.ravel()
            of = self if eta.ndim == 1 else self.some(np.repeat(np.arange(len(eta)), eta.shape[1]))
            value = of.w * of.parts(flat)[0]
            return np.where(np.isnan(value), -np.inf, value).reshape(eta.shape)

    def derivatives(self, eta: Array) -> tuple[Array, Array]:
        with np.errstate(all="ignore"):
            _, first, second = self.parts(eta)
            good = np.isfinite(first) & np.isfinite(second)
            return np.where(good, self.w * first, 0.0), np.where(good, self.w * second, 0.0)

    def some(self, rows: Array) -> Any:
        return picked(self, rows)
