"""Which rows of the data are used; and the arguments `weights` and `offset`, given as columns or as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import DataError
from .frame import Column, Frame, read_column, row_text

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def argument_column(argument: str, values: ArrayLike | str | None, frame: Frame) -> Column | None:
    """The `weights` or `offset` argument as a column of numbers."""
    if values is None:
        return None
    if isinstance(values, str):
        if values not in frame:
            no_name = "" if values.isidentifier() else "; an expression must be made a column first"
            raise DataError(f"{argument}='{values}': the data have no such column{no_name or frame.nearest(values)}")
        column = frame[values]
        name = f"{argument} '{values}'"
    else:
        if np.ndim(values) == 0:
            raise DataError(f"{argument} is {values!r:.40}; give the name of a column, or one value per row")
        column = read_column(argument, values)
        name = argument
        if len(column) != frame.n_rows:
            raise DataError(f"{argument} has {len(column)} values for {frame.n_rows} rows of data")
        if isinstance(values, pd.Series) and frame.index is not None and not values.index.equals(frame.index):
            column = read_column(argument, _aligned(argument, values, frame.index))
    if column.kind not in ("number", "bool"):
        raise DataError(
            f"{name} holds {'categories' if column.kind == 'category' else 'no numbers'}; a number is needed"
        )
    return column


@dataclass(frozen=True)
class Selection:
    """The rows used: their positions (None is all), how many were left out and why, and the weights of those left."""

    rows: NDArray[np.int64] | None
    n_missing: int
    n_zero_weight: int
    weights: NDArray[np.float64] | None


def select_rows(columns: list[Column], n: int, missing: str, weights: Column | None) -> Selection:
    """The rows that have a value in every column and a weight that is not zero."""
    rows, n_missing = _complete_rows(columns, n, missing)
    rows, n_zero_weight, left = _positive_weights(weights, rows)
    return Selection(rows, n_missing, n_zero_weight, left)


def _complete_rows(columns: list[Column], n: int, missing: str) -> tuple[NDArray[np.int64] | None, int]:
    """Positions of the rows that have every value (None is all), and how many have not."""
    lacking = [column for column in columns if column.missing is not None]
    if not lacking:
        return None, 0
    if missing == "raise":
        column = lacking[0]
        assert column.missing is not None
        at = np.flatnonzero(column.missing)
        shown = ", ".join(str(i) for i in at[:5]) + (", ..." if len(at) > 5 else "")
        others = f"; so do {', '.join(repr(c.name) for c in lacking[1:])}" if len(lacking) > 1 else ""
        raise DataError(
            f"column '{column.name}' has {len(at)} missing value{'s' * (len(at) != 1)}, "
            f"in row {shown} (counted from 0){others}"
        )
    dropped = np.zeros(n, dtype=bool)
    for column in lacking:
        assert column.missing is not None
        dropped |= column.missing
    rows = np.flatnonzero(~dropped)
    if not len(rows):
        worst = sorted(((int(c.missing.sum()), c.name) for c in lacking if c.missing is not None), reverse=True)
        shown = ", ".join(f"'{name}' lacks {count} of {n}" for count, name in worst[:4])
        raise DataError(f"no rows are left after dropping those with missing values: {shown}")
    return rows, n - len(rows)


def _positive_weights(
    column: Column | None, rows: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64] | None, int, NDArray[np.float64] | None]:
    """Drop rows of weight zero, too: rows, how many were dropped, and the weights left."""
    if column is None:
        return rows, 0, None
    column = column.take(rows)
    column.check_finite(rows)
    assert column.values is not None
    weights = np.ascontiguousarray(column.values, dtype=np.float64)
    negative = np.flatnonzero(weights < 0)
    if len(negative):
        raise DataError(
            f"weights: '{column.name}' is {weights[negative[0]]:g} in {row_text(negative[0], rows)}; "
            "a weight cannot be negative"
        )
    keep = np.flatnonzero(weights)
    if len(keep) == len(weights):
        return rows, 0, weights
    if not len(keep):
        raise DataError("every weight is zero")
    return (keep if rows is None else rows[keep]), len(weights) - len(keep), weights[keep]


def _aligned(argument: str, values: pd.Series, index: pd.Index) -> pd.Series:
    """A series in the order of the frame's index, where both have the same labels, each once."""
    if values.index.is_unique and index.is_unique:
        order = values.index.get_indexer(index)
        if (order >= 0).all():
            return values.iloc[order]
    raise DataError(
        f"the index of {argument} differs from the frame's; give {argument} as the name of a column, "
        "or as .to_numpy() if its values stand in the order of the rows"
    )
