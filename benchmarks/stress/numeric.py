"""Gradient, Hessian and standard errors by differences, and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .problem import Array

Function = Callable[[Array], float]


@dataclass
class Curvature:
    """Of a function at a point, in the coordinates t of psi = point + basis t."""

    basis: Array
    gradient: Array
    hessian: Array

    def gain(self) -> tuple[float, Array]:
        """Predicted gain of a Newton step, and the step in psi; uphill along eigenvectors of both signs."""
        if not np.isfinite(self.hessian).all():
            return np.nan, np.zeros(len(self.hessian))
        values, vectors = np.linalg.eigh(-self.hessian)
        along = vectors.T @ self.gradient / np.maximum(np.abs(values), 1e-3)
        return float(0.5 * along @ (np.abs(values) * along)), self.basis @ vectors @ along

    def errors(self) -> Array:
        """Standard errors; NaN where the Hessian is not negative definite."""
        try:
            lower = np.linalg.cholesky(-self.hessian)
        except np.linalg.LinAlgError:
            return np.full(len(self.basis), np.nan)
        half = np.linalg.solve(lower, self.basis.T)
        return np.sqrt((half**2).sum(0))


def differences(f: Function, point: Array, basis: Array, h: float) -> Curvature:
    """Central differences with steps of h along the columns of the basis."""
    k = basis.shape[1]
    step = h * basis.T
    middle = f(point)
    up = np.array([f(point + s) for s in step])
    down = np.array([f(point - s) for s in step])
    gradient = (up - down) / (2 * h)
    hessian = np.diag((up + down - 2 * middle) / h**2)
    for i in range(k):
        for j in range(i):
            both = f(point + step[i] + step[j]) + f(point - step[i] - step[j])
            hessian[i, j] = (both - up[i] - down[i] - up[j] - down[j] + 2 * middle) / (2 * h**2)
            hessian[j, i] = hessian[i, j]
    return Curvature(basis, gradient, hessian)


def extrapolated(f: Function, point: Array, basis: Array, h: float) -> tuple[Curvature, float]:
    """Richardson's extrapolation from h and h / 2, and its relative uncertainty."""
    coarse, fine = differences(f, point, basis, h), differences(f, point, basis, h / 2)
    hessian = fine.hessian + (fine.hessian - coarse.hessian) / 3
    gradient = fine.gradient + (fine.gradient - coarse.gradient) / 3
    least = np.abs(np.linalg.eigvalsh(hessian)).min() if np.isfinite(hessian).all() else 0.0
    apart = np.abs(fine.hessian - coarse.hessian).max() + 16 * noise(f, point, basis) / h**2
    return Curvature(basis, gradient, hessian), float(apart / least) if least > 0 else np.inf


def noise(f: Function, point: Array, basis: Array) -> float:
    """How much f changes where it should not, by steps too small to see."""
    rng = np.random.default_rng(0)
    values = [f(point + 1e-9 * basis @ rng.normal(size=basis.shape[1])) for _ in range(5)]
    return float(np.ptp(values))


def scaled_basis(covariance: Array, reach: Array) -> Array:
    """A basis in which a function with this inverse information has about the unit matrix as its own.

    `reach` is how far a parameter may move with the function about quadratic; columns are cut to it.
    """
    scale = np.sqrt(np.diag(covariance))
    if np.isfinite(covariance).all() and (scale > 0).all():
        values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
        basis = scale[:, None] * vectors * np.sqrt(np.maximum(values, 1e-14))
    else:
        basis = np.diag(np.where(np.isfinite(scale) & (scale > 0), scale, reach))
    return basis * np.minimum(1.0, 1 / (np.abs(basis) / reach[:, None]).max(0))


def rescaled(f: Function, point: Array, basis: Array, reach: Array, h: float) -> Array:
    """The basis with columns such that a step of h changes f by about h^2 / 2, as far as `reach` allows."""
    basis = basis.copy()
    middle = f(point)
    for column in basis.T:
        for _ in range(4):
            fall = 2 * middle - f(point + h * column) - f(point - h * column)
            if not np.isfinite(fall):
                column *= 0.1
            elif 0.25 < abs(fall) / h**2 < 4:
                break
            else:
                column /= np.clip(np.sqrt(abs(fall)) / h, 0.05, 20)
        column *= min(1.0, 1 / (np.abs(column) / reach).max())
    return basis
