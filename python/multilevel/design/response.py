"""The response of a model, and another one in its place, for the same rows. Used by `design`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..arguments import finite_numbers
from ..columns.frame import Frame
from ..errors import DataError
from ..family.mixed import MixedFamily
from ..family.response_kinds import check_response, first

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from ..family.registry import Family


@dataclass(frozen=True)
class Response:
    """The response, as the core takes it.

    Attributes
    ----------
    name : str
        The left-hand side as written.
    values : ndarray of float64
        Successes when the family is binomial.
    size : ndarray of float64, or None
        Trials; None is one each.
    other_end : ndarray of float64, or None
        Of a response that is known in part: the same number where it is known, minus infinity where it lies below
        `values`, infinity where it lies above, and otherwise the upper end of where it is. NaN in rows of kinds whose
        family knows its responses.
    kinds : ndarray of int64, or None
        Numbers of the rows' kinds, where each kind has a family of its own.
    limits : ndarray of float64, (n, 2), or None
        Of a censored response: below the first of a row and above the second it is known in part.
    levels : tuple of str, or None
        The labels of failure and success, when the response was a text, categorical or bool column; or of ordered
        categories, whose `values` are 1, 2, ...
    """

    name: str
    values: NDArray[np.float64]
    size: NDArray[np.float64] | None = None
    levels: tuple[str, ...] | None = None
    other_end: NDArray[np.float64] | None = None
    kinds: NDArray[np.int64] | None = None
    limits: NDArray[np.float64] | None = None

    @property
    def second(self) -> NDArray[np.float64] | None:
        """What a family takes beside the values: the other end where it is known in part, else trials; None is one."""
        if self.other_end is None:
            return self.size
        return np.where(np.isnan(self.other_end), 1.0 if self.size is None else self.size, self.other_end)

    def take(self, keep: NDArray[np.int64]) -> Response:
        """The response of some of its rows."""
        return replace(
            self,
            values=self.values[keep],
            size=None if self.size is None else self.size[keep],
            other_end=None if self.other_end is None else self.other_end[keep],
            kinds=None if self.kinds is None else self.kinds[keep],
            limits=None if self.limits is None else self.limits[keep],
        )

    def seen(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Other responses of the rows as they would be written: at a limit where they are beyond it, (n, m) or (n,)."""
        if self.limits is None:
            return y
        left, right = self.limits.T
        return np.clip(y.T, left, right).T

    def known(self, y: NDArray[np.float64]) -> Response:
        """The response where these, (n,), are the numbers, censored at the limits of this one."""
        assert self.limits is not None
        assert self.other_end is not None
        other = np.select([y <= self.limits[:, 0], y >= self.limits[:, 1]], [-np.inf, np.inf], y)
        return replace(self, values=self.seen(y), other_end=np.where(np.isnan(self.other_end), np.nan, other))


def another_response(
    given: Response, y: ArrayLike, index: pd.Index | None, family: Family, sets: NDArray[np.int32] | None = None
) -> Response:
    """A response given as numbers, for the same rows and trials.

    Parameters
    ----------
    given : Response
        The first one.
    y : array_like, (n,)
        One value for each row used; for the binomial family successes. A Series with the labels of the rows in another
        order is put in theirs.
    index : pandas.Index or None
        Labels of the rows used.
    family : Family
    sets : ndarray of int32, (n,), optional
        Of rows that are alternatives, the set of each.

    Warns
    -----
    DataWarning
        Counts or successes that are not whole.

    Raises
    ------
    DataError
        The wrong number of values, or values that the family cannot take.
    """
    if isinstance(y, pd.Series) and index is not None and not y.index.equals(index):
        if not (index.is_unique and y.index.is_unique and len(y) == len(index) and y.index.isin(index).all()):
            raise DataError("the index of y differs from that of the rows used; y.to_numpy() goes by position")
        y = y.reindex(index)
    if given.other_end is not None:
        raise DataError(f"'{given.name}' is known in part, and y would be numbers: make a model of the new response")
    values, n_rows = finite_numbers(y, "y"), len(given.values)
    if values.shape != (n_rows,):
        meant = f"successes of '{given.name}'" if family.support == "trials" else f"values of '{given.name}'"
        raise DataError(f"y has shape {values.shape}; {n_rows} {meant} are needed, one for each row used")
    if sets is not None:
        _check_chosen(values, sets)
        return replace(given, values=values)
    if isinstance(family, MixedFamily):
        assert given.kinds is not None
        _check_kinds(family, values, given)
        return replace(given, values=values)
    check_response(family, "y", values, given.size, "at position {}".format)
    if given.levels is not None and family.support in ("categories", "choices"):
        _check_all_occur(values, given.levels)
    return replace(given, values=values)


def _check_kinds(family: MixedFamily, values: NDArray[np.float64], given: Response) -> None:
    for code, (kind, own) in enumerate(zip(family.kinds, family.members, strict=True)):
        rows = np.flatnonzero(given.kinds == code)
        size = None if given.size is None else given.size[rows]
        check_response(own, f"y of kind {kind!r}", values[rows], size, _at_position(rows))


def _at_position(rows: NDArray[np.int64]) -> Callable[[int], str]:
    return lambda row: f"at position {rows[row]}"


def _check_chosen(values: NDArray[np.float64], sets: NDArray[np.int32]) -> None:
    """Refuses a response that has not one chosen row in each set of alternatives."""
    row = first((values != 0.0) & (values != 1.0))
    if row is not None:
        raise DataError(f"y is {values[row]:g} at position {row}; it is 1 where a row was chosen, and 0 elsewhere")
    chosen = np.bincount(sets, weights=values)
    row = first(chosen[sets] != 1.0)
    if row is not None:
        raise DataError(
            f"y has {int(chosen[sets[row]])} chosen rows in the set of the row at position {row}; each set has one"
        )


def _check_all_occur(values: NDArray[np.float64], levels: tuple[str, ...]) -> None:
    """Refuses category numbers that the model does not have, and responses without one of those that it has."""
    row = first(values > len(levels))
    if row is not None:
        raise DataError(f"y is {values[row]:g} at position {row}; the model has {len(levels)} categories")
    counts = np.bincount(values.astype(np.int64) - 1, minlength=len(levels))
    unseen = [level for level, count in zip(levels, counts, strict=True) if count == 0]
    if unseen:
        raise DataError(
            f"no value of y is in category {unseen[0]!r}, which then has no estimate; make a model of the new response"
        )


def several_responses(
    given: Response, y: Any, index: pd.Index | None, family: Family, sets: NDArray[np.int32] | None = None
) -> tuple[NDArray[np.float64], pd.Index, dict[int, str]]:
    """Responses given as the columns of a frame or an array, for the same rows and trials.

    Returns
    -------
    values : ndarray, (n, m)
        Columns one after the other in memory; NaN all over one that cannot be taken.
    names : pandas.Index
        Of the columns; numbers where they have none.
    refused : dict
        Why not, by position.
    """
    if isinstance(y, Mapping) or (hasattr(y, "columns") and not isinstance(y, pd.DataFrame)):
        frame = Frame(y)
        table = pd.DataFrame({name: frame[name].values for name in frame.names})
    elif isinstance(y, pd.DataFrame):
        table = y
    else:
        array = np.asarray(y)
        if array.ndim != 2:
            raise DataError(f"y has shape {array.shape}; it has a row for each row used and a column for each response")
        table = pd.DataFrame(array)
    if len(table) != len(given.values):
        raise DataError(f"y has {len(table)} rows; the model uses {len(given.values)}, and each needs a value")
    values = np.full(table.shape, np.nan, order="F")
    refused: dict[int, str] = {}
    labelled = isinstance(y, pd.DataFrame)
    for j in range(table.shape[1]):
        column = table.iloc[:, j]
        try:
            own = another_response(given, column if labelled else column.to_numpy(), index, family, sets)
        except DataError as error:
            if given.other_end is not None:
                raise
            refused[j] = str(error)
            continue
        values[:, j] = own.values
    return values, pd.Index(table.columns), refused
