"""Rows that a formula for the dispersion leaves none: random effects reproduce their responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .._core import FitRecord
    from ..design.design import Design
    from ..family.registry import Family
    from .parameters import Parts

SMALL, NO_INFORMATION = 1e-2, 0.1  # of the response's spread; on the logarithm of the dispersion, in rows together
SUPPORTS = ("numbers", "positive", "nonnegative")
SAME = 1e-6  # how well coefficients may miss a step of one in these rows and none in others


def vanishing_rows(design: Design, family: Family, record: FitRecord, parts: Parts) -> tuple[int, float]:
    """How many rows have a dispersion that runs off to zero, and the largest of theirs; (0, 0) where none does.

    Their residual standard deviation is small, and the log-likelihood hardly bends where the coefficients move the
    logarithm of that in these rows and in no others: nothing says how small it is. Of families of numbers, or of
    positive ones, with a dispersion, which is their first parameter.
    """
    none = 0, 0.0
    if not family.parameters or family.kinds or family.support not in SUPPORTS:
        return none
    first, n = family.parameters[0].name, design.n_rows
    by_parameter = {part.parameter: part for part in design.parts}
    component = next((own for own in parts.components if own.parameter == first and first in by_parameter), None)
    if component is None:
        return none
    part = by_parameter[first]
    columns = [column for column in part.fixed if column.name in component.names]
    x = np.column_stack([np.ones(n) if c.values is None else np.asarray(c.values, dtype=float) for c in columns])
    own = slice(component.first, component.first + len(columns))
    phi = x @ record.psi[own] + (0.0 if part.offset is None else part.offset)
    sd = np.sqrt(family.dispersion(np.column_stack([phi, np.zeros((n, len(family.parameters) - 1))])))
    if family.support == "numbers":
        unit = float(np.std(design.response.values))
    else:
        unit = 1.0 if family.support == "positive" else float(sd.max())  # a Tweedie dispersion has a unit of its own
    gone = sd < SMALL * unit
    if not gone.any() or gone.all():
        return none
    step = _moving(x, gone)
    information = -record.hessian[own, own]
    if step is None or not step @ information @ step < NO_INFORMATION:
        return none
    return int(gone.sum()), float(sd[gone].max())


def _moving(x: NDArray[np.float64], gone: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Coefficients whose linear predictor is one in some rows and zero in the others; None where there are none."""
    wanted = gone.astype(float)
    step: NDArray[np.float64] = np.linalg.lstsq(x, wanted, rcond=None)[0]
    return step if np.abs(x @ step - wanted).max() < SAME else None
