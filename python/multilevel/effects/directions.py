"""How the columns of predictors move with a column of the data: exactly where linear in it, else by differences."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .means import FIRST, POINTS
from .variables import all_atoms, is_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..design.source import SourceColumn
    from ..fitting.record import Fit
    from .rows import CodedRows

    Array = NDArray[np.float64]

SHARE = 2.0**-6  # of the standard deviation, or of the value: the step of differences


def check_number(fit: Fit, column: SourceColumn, what: str) -> None:
    """Refuses a column that no slope is of."""
    if not is_number(fit, column):
        raise DataError(f"{column.name!r} holds categories, which have no {what}: comparisons({column.name!r}) has")


def direction(fit: Fit, column: SourceColumn, code: Callable[[Array], CodedRows], values: Array) -> CodedRows:
    """Derivatives of coded rows by a column of numbers.

    Parameters
    ----------
    fit : Fit
    column : SourceColumn
    code : callable
        Rows with other values of the column.
    values : ndarray, (n,)
        Where the derivatives are taken.

    Returns
    -------
    CodedRows
        What is a product of the column and others is exact. Of functions, such as ``log(x)`` or ``poly(x, 2)``, the
        derivatives are differences of sixth order, good to about ten digits.
    """
    if all(atom.name is not None for atom in all_atoms(fit) if column.name in atom.variables):
        return _combined([(1.0, code(np.ones(len(values)))), (-1.0, code(np.zeros(len(values))))])
    numbers = np.asarray(column.values, dtype=np.float64)
    step = np.full(len(values), SHARE * (numbers.std() or 1.0))
    if (numbers > 0).all() or (numbers < 0).all():
        # functions of positive numbers, as the logarithm, may bend sharply at zero
        step = np.minimum(step, SHARE * np.abs(np.where(values == 0.0, np.inf, values)))
    moved = [(weight / step, code(values + k * step)) for k, weight in zip(POINTS, FIRST, strict=True) if k]
    return _combined(moved)


def _combined(rows: list[tuple[float | Array, CodedRows]]) -> CodedRows:
    """A combination of rows, each multiplied by a number or one for each of them."""
    weight, first = rows[0]
    nothing = replace(
        first,
        x=np.zeros_like(first.x),
        all_columns=None if first.all_columns is None else np.zeros_like(first.all_columns),
        offset=np.zeros_like(first.offset),
        z=tuple(np.zeros_like(own) for own in first.z),
        parts={name: (np.zeros_like(x), np.zeros_like(offset)) for name, (x, offset) in first.parts.items()},
        unknown=np.zeros_like(first.unknown),
    )
    for weight, own in rows:
        total = nothing.moved(own, weight)
        if nothing.all_columns is not None and own.all_columns is not None:
            total = replace(total, all_columns=nothing.all_columns + np.reshape(weight, (-1, 1)) * own.all_columns)
        nothing = total
    return nothing
