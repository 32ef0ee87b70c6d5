"""Conditional modes by a damped Newton method from several starts, all clusters at once."""

from __future__ import annotations

import numpy as np

from .densities import Density
from .problem import Array

MOST_STEPS, MOST_HALVINGS = 100, 30
FEW = 3  # below a third of the clusters the others are left alone


class Clusters:
    """f(v) = sum of log densities - v'v / 2 for every cluster; S has the columns of v row by row, rows by cluster."""

    def __init__(self, density: Density, fixed: Array, S: Array, sizes: np.ndarray) -> None:
        self.density, self.fixed, self.S = density, fixed, S
        self.m, self.q = len(sizes), S.shape[1]
        self.at = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int)
        self.cluster = np.repeat(np.arange(self.m), sizes)

    def sums(self, values: Array) -> Array:
        return np.add.reduceat(values, self.at, axis=0)

    def eta(self, v: Array) -> Array:
        if self.m == 1:
            return self.fixed + self.S @ v[0]
        return self.fixed + np.einsum("ij,ij->i", self.S, v[self.cluster])

    def value(self, v: Array) -> Array:
        return self.sums(self.density.value(self.eta(v))) - 0.5 * (v**2).sum(1)

    def derivatives(self, v: Array) -> tuple[Array, Array]:
        """Gradient and negative Hessian of f."""
        first, second = self.density.derivatives(self.eta(v))
        gradient = self.sums(self.S * first[:, None]) - v
        if second.ndim == 3:  # of several predictors
            deep = self.S.reshape(*second.shape[:2], self.q)
            weighted = -second @ deep
            if self.m == 1:
                H = (self.S.T @ weighted.reshape(self.S.shape))[None]
            else:
                H = np.add.reduceat(deep.transpose(0, 2, 1) @ weighted, self.at // second.shape[1], axis=0)
        elif self.m == 1:
            H = (self.S.T @ (-second[:, None] * self.S))[None]
        else:
            H = self.sums((-second)[:, None, None] * self.S[:, :, None] * self.S[:, None, :])
        return gradient, H + np.eye(self.q)

    def some(self, chosen: np.ndarray) -> Clusters:
        """Of some clusters."""
        rows = np.flatnonzero(chosen[self.cluster])
        sizes = np.bincount(self.cluster, minlength=self.m)[chosen]
        return Clusters(self.density.some(rows), self.fixed[rows], self.S[rows], sizes)

    def repeated(self, times: int) -> Clusters:
        """All clusters, again and again."""
        rows = np.tile(np.arange(len(self.fixed)), times)
        sizes = np.tile(np.bincount(self.cluster, minlength=self.m), times)
        return Clusters(self.density.some(rows), self.fixed[rows], self.S[rows], sizes)

    def newton(self, v: Array, steps: int = MOST_STEPS) -> tuple[Array, Array]:
        """Modes from one start, and f there; minus infinity where the start is outside of the domain."""
        v, now = v.copy(), self.value(v)
        inside = np.isfinite(now)
        for done in range(steps):
            gradient, H = self.derivatives(v)
            bad = ~(np.isfinite(gradient).all(1) & np.isfinite(H).all((1, 2)))
            if bad.any():
                now[bad], inside[bad], gradient[bad], H[bad] = -np.inf, False, 0.0, np.eye(self.q)
            step = solve(H, gradient) * inside[:, None]
            gain = (step * gradient).sum(1)
            open_ = gain > 1e-11
            if not open_.any():
                break
            if FEW * open_.sum() < self.m:  # the others are where they will stay, but for the last step
                self._move(v, now, np.where(open_[:, None], 0.0, step))
                v[open_], now[open_] = self.some(open_).newton(v[open_], steps - done)
                return v, now
            scale = np.ones(self.m)
            for _ in range(MOST_HALVINGS):
                trial = self.value(v + scale[:, None] * step)
                worse = inside & ~(trial >= now - 1e-12 * (1 + np.abs(now)))
                if not worse.any():
                    break
                scale[worse] *= 0.5
            else:  # at the edge of the domain, or at the rounding error
                scale[worse] = 0.0
                inside &= ~worse
            self._move(v, now, scale[:, None] * step)
        else:
            return v, now
        if self.density.concave or (gain < 1e-6).all():
            self._move(v, now, step)
        return v, now

    def _move(self, v: Array, now: Array, step: Array) -> None:
        """Takes the step where f is finite at its end."""
        moved = v + step
        value = self.value(moved)
        keep = np.isfinite(value)
        v[keep], now[keep] = moved[keep], value[keep]

    def towards(self, target: Array) -> Array:
        """v with linear predictors near `target`."""
        gradient = self.sums(self.S * (target - self.fixed)[:, None])
        pairs = self.S[:, :, None] * self.S[:, None, :] if self.m > 1 else None
        H = (self.S.T @ self.S)[None] if pairs is None else self.sums(pairs)
        return solve(H + 0.05 * np.eye(self.q), gradient)

    def best(self, starts: list[Array]) -> tuple[Array, Array]:
        """The largest modes that the starts lead to."""
        if self.m > 1 and len(starts) > 1:
            v, f = self.repeated(len(starts)).newton(np.concatenate(starts))
            v, f = v.reshape(len(starts), self.m, self.q), f.reshape(len(starts), self.m)
            first = f.argmax(0)
            return v[first, np.arange(self.m)], f.max(0)
        v, f = self.newton(starts[0])
        for start in starts[1:]:
            other, value = self.newton(start)
            better = value > f
            v[better], f[better] = other[better], value[better]
        return v, f


def solve(H: Array, gradient: Array) -> Array:
    """Newton steps; where H is not positive definite, with the absolute values of its eigenvalues, of the diagonal
    where LAPACK finds none (entries near the largest number)."""
    try:
        np.linalg.cholesky(H)
        return np.linalg.solve(H, gradient[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        try:
            values, vectors = np.linalg.eigh(H)
        except np.linalg.LinAlgError:
            return gradient / np.maximum(np.abs(np.diagonal(H, axis1=1, axis2=2)), 1e-2)
        along = np.einsum("kij,ki->kj", vectors, gradient) / np.maximum(np.abs(values), 1e-2)
        return np.einsum("kij,kj->ki", vectors, along)


def starts(clusters: Clusters, given: Array | None, many: bool) -> list[Array]:
    """Zero, what is given, and places around."""
    shape = (clusters.m, clusters.q)
    result = [np.zeros(shape)] if given is None else [given, np.zeros(shape)]
    if not many:
        return result
    result += [clusters.towards(target) for target in clusters.density.targets()]
    rng = np.random.default_rng(0)
    if clusters.m == 1:
        result += [rng.normal(size=shape) for _ in range(4)]
        return result
    for distance in (1.0, 2.5, 6.0):
        for axis in range(clusters.q):
            for sign in (-1.0, 1.0):
                v = np.zeros(shape)
                v[:, axis] = sign * distance
                result.append(v)
    return result
