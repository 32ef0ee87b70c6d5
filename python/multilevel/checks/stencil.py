"""Values, first and second derivatives of many functions at once, by central differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def points(steps: Array) -> Array:
    """Where functions of m numbers are needed, (K, m) changes: none, each one up and down, each pair up and down."""
    m = len(steps)
    own = np.diag(steps)
    first, second = np.triu_indices(m, 1)
    pairs = own[first] + own[second]
    return np.concatenate([np.zeros((1, m)), own, -own, pairs, -pairs])


def derivatives(values: Array, steps: Array) -> tuple[Array, Array]:
    """Gradients (..., m) and Hessians (..., m, m) of functions whose values at those points are (K, ...)."""
    m = len(steps)
    first, second = np.triu_indices(m, 1)
    n_pairs = len(first)
    base, up, down, both_up, both_down = np.split(values, np.cumsum([1, m, m, n_pairs]))
    at = (slice(None), *(None,) * (values.ndim - 1))
    gradient = (up - down) / (2.0 * steps[at])
    hessian = np.zeros((m, m, *values.shape[1:]))
    hessian[np.arange(m), np.arange(m)] = (up - 2.0 * base + down) / (steps**2)[at]
    sides = up[first] + down[first] + up[second] + down[second]
    mixed = (both_up + both_down + 2.0 * base - sides) / (2.0 * steps[first] * steps[second])[at]
    hessian[first, second] = hessian[second, first] = mixed
    return np.moveaxis(gradient, 0, -1), np.moveaxis(hessian, (0, 1), (-2, -1))


def taylor(values: Array, steps: Array, change: Array) -> Array:
    """Values (u, ...) of the functions, each after its own change (u, m), to the second order; `values` (K, u, ...)."""
    gradient, hessian = derivatives(values, steps)
    linear = np.einsum("u...a,ua->u...", gradient, change)
    return np.asarray(values[0] + linear + np.einsum("u...ab,ua,ub->u...", hessian, change, change) / 2.0)
