"""Models whose likelihood parts, without each row or level: its part is evaluated without it, and the others stay.

Where a grouping factor makes the parts, a copy of the unit's part without the unit is a part of a larger model, whose
parts the core evaluates side by side, in all threads. Where a unit is a part, nothing is left of it: levels of the
outermost grouping factor, and rows without random effects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multilevel import _core

from ..design.subset import is_nested, take_rows
from ..fitting.core_model import build_core, core_response
from .left_out import LeftOut, free_parameters, newton, not_found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ..design.design import Design
    from ..fitting.record import Fit

    Array = NDArray[np.float64]
    Rows = NDArray[np.int64]

STEP = 1e-3  # of differences of scores, in standard errors
AT_ONCE = 300_000  # rows of copies that are evaluated together


def outermost(design: Design) -> int | None:
    """The grouping factor whose levels are independent of each other; -1 without one, None where several cross."""
    factors = range(len(design.grouping_factors))
    if not factors:
        return -1
    return next((k for k in factors if all(k == j or is_nested(design, j, k) for j in factors)), None)


def copied_rows(design: Design, at: int, unit: Rows | None = None) -> int:
    """Rows of all copies of the levels of a grouping factor, each without one of its rows, or of its units."""
    if at < 0:
        return 0
    codes = design.grouping_factors[at].codes
    size = np.bincount(codes).astype(np.int64)
    if unit is None:
        return int(np.sum(size * (size - 1)))
    own = np.bincount(unit)
    return int(np.sum(size[codes[np.unique(unit, return_index=True)[1]]] - own))


def without_rows(fit: Fit, at: int) -> LeftOut:
    """Estimates without each row: `without_units`, each of one row."""
    return without_units(fit, at, np.arange(fit.n_rows))


def without_units(fit: Fit, at: int, unit: Rows) -> LeftOut:
    """Estimates without each unit, by a Newton step with the exact gradient and Hessian of what is left.

    Parameters
    ----------
    fit : Fit
        By maximum likelihood.
    at : int
        The grouping factor that makes the parts, as `outermost` has it.
    unit : ndarray of int, (n,)
        The unit of each row, from zero, each within one part.
    """
    n, n_psi = fit.n_rows, len(fit.psi)
    codes = np.arange(n) if at < 0 else fit.design.grouping_factors[at].codes.astype(np.int64)
    whole = _Differences(fit, fit.design, np.arange(n, dtype=np.int32) if at < 0 else None)
    first = np.unique(codes, return_index=True)[1]
    part = codes[np.unique(unit, return_index=True)[1]]
    own = whole.of(first)
    if own is None:
        return not_found(fit, len(part))
    value, gradient, hessian = (of_part[part] for of_part in own)
    value, gradient, hessian = own[0].sum() - value, own[1].sum(axis=0) - gradient, fit.hessian - hessian
    if at >= 0:
        for units in _batches(np.bincount(codes)[part], AT_ONCE):
            for some, left in _copies(fit, at, codes, unit, part, units):
                if left is None:
                    gradient[some] = np.nan
                    continue
                value[some] += left[0]
                gradient[some] += left[1]
                hessian[some] += left[2]
    assert gradient.shape == (len(part), n_psi)
    return newton(fit, gradient, hessian, value)


def _batches(rows: Rows, most: int) -> Iterator[Rows]:
    """Units whose parts together have at most so many rows, one unit at least."""
    for _, units in _grouped(np.cumsum(rows) // most):
        yield units


def _grouped(labels: Rows) -> Iterator[tuple[int, Rows]]:
    starts = np.flatnonzero(np.diff(labels, prepend=labels[0] - 1))
    for start, rows in zip(starts, np.split(np.arange(len(labels)), starts[1:]), strict=True):
        yield int(labels[start]), rows


def _copies(
    fit: Fit, at: int, codes: Rows, unit: Rows, part: Rows, left_out: Rows
) -> Iterator[tuple[Rows, tuple[Array, Array, Array] | None]]:
    """Units left out, and what is left of the part of each: value, gradient, Hessian; None where it has none."""
    order = np.argsort(codes, kind="stable")
    size = np.bincount(codes)
    start = np.cumsum(size) - size
    own = part[left_out]
    draw = np.repeat(np.arange(len(left_out)), size[own])
    within = np.arange(len(draw)) - np.repeat(np.cumsum(size[own]) - size[own], size[own])
    rows = order[start[own[draw]] + within]
    kept = unit[rows] != left_out[draw]
    rows, draw = rows[kept], draw[kept]
    there, first = np.unique(draw, return_index=True)
    alone = np.setdiff1d(np.arange(len(left_out)), there)
    if len(alone):  # of a part with one unit nothing is left
        n = len(fit.psi)
        yield left_out[alone], (np.zeros(len(alone)), np.zeros((len(alone), n)), np.zeros((len(alone), n, n)))
    if not len(there):
        return
    # the data themselves come along: a column that is redundant is the same one then
    everything = np.arange(fit.n_rows)
    design = take_rows(
        fit.design,
        np.concatenate([rows, everything]),
        np.concatenate([draw, np.full(fit.n_rows, len(left_out))]),
        at,
    )
    found = _Differences(fit, design, None).of(first)
    if found is not None or len(there) == 1:
        yield left_out[there], found
        return
    half = len(there) // 2
    yield from _copies(fit, at, codes, unit, part, left_out[there[:half]])
    yield from _copies(fit, at, codes, unit, part, left_out[there[half:]])


class _Differences:
    """Contributions of the parts of a design at the estimates, with Hessians from differences of their scores."""

    def __init__(self, fit: Fit, design: Design, row_part: NDArray[np.int32] | None) -> None:
        self.fit, self.design, self.row_part = fit, design, row_part
        same = design is fit.design and fit.model_core is not None
        self.core = fit.model_core if same else build_core(design, fit.family, fit.optimization.threads)
        self.response = core_response(design)

    def of(self, rows: Rows) -> tuple[Array, Array, Array] | None:
        """Of the parts that these rows, one of each, stand in: (m,), (m, P), (m, P, P); None where there are none."""
        fit = self.fit
        if self.core.n_beta + self.core.n_theta + self.core.n_phi != len(fit.psi):
            return None
        base = self._at(fit.psi, rows)
        if base is None:
            return None
        hessian = np.zeros((len(rows), len(fit.psi), len(fit.psi)))
        with np.errstate(invalid="ignore"):
            errors = np.sqrt(np.diag(fit.covariance))
        for k in np.flatnonzero(free_parameters(fit)):
            ends = []
            for step in (STEP * errors[k], -STEP * errors[k]):
                psi = fit.psi.copy()
                psi[k] += step
                found = self._at(psi, rows)
                if found is None:
                    return None
                ends.append(found[1])
            hessian[:, :, k] = (ends[0] - ends[1]) / (2.0 * STEP * errors[k])
        return base[0], base[1], (hessian + np.swapaxes(hessian, 1, 2)) / 2.0

    def _at(self, psi: Array, rows: Rows) -> tuple[Array, Array] | None:
        fit, choices = self.fit, self.design.choices
        part = self.row_part
        given = part if part is None or choices is None else choices.rows_of(part)
        record = _core.contributions(
            self.core,
            self.response,
            psi,
            fit.n_quadrature,
            False,
            None if given is None else np.ascontiguousarray(given, dtype=np.int32),
            0 if part is None else int(part.max()) + 1,
            fit.optimization.threads,
        )
        if not record.good or not np.isfinite(record.gradient).all():
            return None
        if part is None:
            codes = self.design.grouping_factors[record.leading].codes
            own = np.asarray(record.level_part)[codes[rows]]
        else:
            own = part[rows]
        return record.loglik[own], record.gradient[own]
