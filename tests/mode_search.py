"""Conditional modes by plain searches from many places, for densities written from their definitions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = Callable[[Array, Array], tuple[Array, Array, Array]]  # of eta and y: log density and two derivatives
Values = Callable[[Array, Array], Array]  # of eta and y: the log density


def climbed(rows: Rows, value: Values, o: Array, s: Array, y: Array, v: Array) -> tuple[Array, Array, Array, Array]:
    """Where climbs from many starts at once (one per row of `v`) end, with -f'' positive definite: v, f, f', -f''."""

    def f_of(v: Array) -> tuple[Array, Array, Array]:
        value, first, second = rows(o + v @ s.T, y)
        curvature = np.einsum("kj,ja,jb->kab", -second, s, s) + np.eye(s.shape[1])
        return value.sum(1) - 0.5 * (v**2).sum(1), first @ s - v, curvature

    f, gradient, curvature = f_of(v)
    good = np.isfinite(f)
    v, f, gradient, curvature = v[good], f[good], gradient[good], curvature[good]
    for _ in range(60):
        values, vectors = np.linalg.eigh(curvature)
        size = np.maximum(np.abs(values), 1e-3 * np.abs(values).max(1, keepdims=True))
        step = np.einsum("kab,kb->ka", vectors, np.einsum("kab,ka->kb", vectors, gradient) / size)
        length = np.ones(len(v))
        for _ in range(50):
            there = v + length[:, None] * step
            height = value(o + there @ s.T, y).sum(1) - 0.5 * (there**2).sum(1)
            fell = ~(height >= f - 1e-13 * (1 + np.abs(f)))
            if not fell.any():
                break
            length[fell] *= 0.4
        keep, moved = ~fell, f_of(there)
        v[keep] += (length[:, None] * step)[keep]
        f[keep], gradient[keep], curvature[keep] = moved[0][keep], moved[1][keep], moved[2][keep]
        if np.abs((gradient * step).sum(1)).max() < 1e-15:
            break
    is_mode = np.linalg.eigvalsh(curvature)[:, 0] > 0
    return v[is_mode], f[is_mode], gradient[is_mode], curvature[is_mode]
