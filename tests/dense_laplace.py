"""The Laplace approximation from its definition: all random effects at once, by dense matrices and differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Density = Callable[[list[Array]], Array]  # log densities of all rows, of the predictors of all rows

STEP = 2e-3
STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))


def indicators(codes: NDArray[np.int64]) -> Array:
    """A column for each level."""
    return (codes[:, None] == np.unique(codes)).astype(np.float64)


def laplace(density: Density, fixed: Sequence[Array], scaled: Sequence[Array]) -> tuple[float, Array]:
    """The log-likelihood and the mode v where predictor k of the rows is fixed[k] + scaled[k] v, v standard normal."""
    predictors, q = range(len(fixed)), scaled[0].shape[1]

    def moved(at: list[Array], *moves: tuple[int, float]) -> Array:
        at = list(at)
        for k, by in moves:
            at[k] = at[k] + by
        return density(at)

    def derivatives(v: Array) -> tuple[float, Array, Array]:
        at = [o + s @ v for o, s in zip(fixed, scaled, strict=True)]
        middle, gradient, hessian = density(at), -v, np.eye(q)
        for a in predictors:
            first = sum(w * moved(at, (a, k * STEP)) for k, w in STENCIL) / STEP
            gradient = gradient + scaled[a].T @ first
            around = [moved(at, (a, k * STEP)) for k in (-2, -1, 1, 2)]
            own = (-around[0] + 16 * around[1] - 30 * middle + 16 * around[2] - around[3]) / (12 * STEP**2)
            hessian = hessian - scaled[a].T @ (own[:, None] * scaled[a])
            for b in range(a):
                both = sum(w * u * moved(at, (a, k * STEP), (b, m * STEP)) for k, w in STENCIL for m, u in STENCIL) / (
                    STEP * STEP
                )
                cross = scaled[a].T @ (np.asarray(both)[:, None] * scaled[b])
                hessian = hessian - cross - cross.T
        return float(middle.sum() - v @ v / 2), gradient, hessian

    v = np.zeros(q)
    for _ in range(100):
        value, gradient, hessian = derivatives(v)
        values, vectors = np.linalg.eigh(hessian)
        step = vectors @ ((vectors.T @ gradient) / np.abs(values))
        while not derivatives(v + step)[0] >= value - 1e-9:
            step = step / 2
        v = v + step
        if abs(gradient @ step) < 1e-15:
            break
    value, _, hessian = derivatives(v)
    return value - 0.5 * float(np.linalg.slogdet(hessian)[1]), v
