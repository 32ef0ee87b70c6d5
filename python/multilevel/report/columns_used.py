"""The columns of a model at the rows that it uses: the response and what the predictors are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..columns.frame import Frame
from ..errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..design.design import Design


@dataclass(frozen=True, eq=False)
class Used:
    """A column at the rows used.

    Attributes
    ----------
    name : str
    values : ndarray of float64, (n,)
        Numbers, truth values as 0 and 1, or codes.
    levels : pandas.Index or None
        Of categories.
    variables : tuple of str
        The columns of the data that it was read from.
    """

    name: str
    values: NDArray[np.float64]
    levels: pd.Index | None
    variables: tuple[str, ...]

    def distinct(self) -> tuple[NDArray[np.intp], list[Any]]:
        """Codes of the values that occur, in order, and the values."""
        unique, codes = np.unique(self.values, return_inverse=True)
        if self.levels is None:
            return codes.astype(np.intp), unique.tolist()
        return codes.astype(np.intp), list(self.levels[unique.astype(np.intp)])


def used_columns(design: Design) -> dict[str, Used]:
    """The response first, then the columns of predictors, by name.

    A response of trials is the proportion of successes, and categories are their labels.
    """
    response = design.response
    values = np.asarray(response.values, dtype=np.float64)
    levels = None
    numbered = design.thresholds is not None or design.choices is not None
    if numbered and response.levels is not None:
        values, levels = values - 1.0, pd.Index(response.levels)
    elif response.size is not None:
        values = values / response.size
    elif response.levels is not None:
        levels = pd.Index(response.levels)
    own = tuple(dict.fromkeys(name for atom in design.formula.response for name in atom.variables))
    columns = {response.name: Used(response.name, values, levels, own)}
    for column in design.source:
        columns.setdefault(
            column.name,
            Used(column.name, np.asarray(column.values, dtype=np.float64), column.levels, (column.name,)),
        )
    return columns


def used_column(design: Design, name: str) -> Used:
    """The column of this name.

    Raises
    ------
    DataError
        The model does not use it.
    """
    columns = used_columns(design)
    if name not in columns:
        raise DataError(f"the model uses no column {name!r}; it uses {', '.join(map(repr, columns))}")
    return columns[name]


def group_codes(design: Design, name: str) -> tuple[NDArray[Any], pd.Index]:
    """The level of each row in a grouping factor of the model, and the levels.

    Raises
    ------
    DataError
        The model has no such grouping factor.
    """
    for factor in design.grouping_factors:
        if factor.name == name:
            return factor.codes, factor.levels
    known = ", ".join(repr(factor.name) for factor in design.grouping_factors) or "none"
    raise DataError(f"the model has no grouping factor {name!r}; its grouping factors are {known}")


def missing_rows(columns: dict[str, Used], data: Any) -> NDArray[np.float64]:
    """In how many rows of the data each column has no value; NaN where the data are not there."""
    if data is None:
        return np.full(len(columns), np.nan)
    frame = Frame(data)
    counts = []
    for column in columns.values():
        lost = np.zeros(frame.n_rows, dtype=np.bool_)
        for name in column.variables:
            missing = frame[name].missing if name in frame else None
            lost |= False if missing is None else missing
        counts.append(float(lost.sum()))
    return np.array(counts)
