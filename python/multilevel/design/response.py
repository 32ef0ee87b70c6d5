"""The response of each family: what may stand on the left of ``~``, and what it becomes. Used by `design`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..arguments import finite_numbers
from ..columns.expressions import Numbers, Rows, evaluate
from ..columns.frame import Frame
from ..columns.levels import drop_unused, label_of, positions
from ..columns.transforms import Categories
from ..errors import DataError, DataWarning, warn_caller
from ..family.mixed import MixedFamily
from ..family.response_kinds import (
    TOLERANCE,
    check_not_negative,
    check_response,
    check_trials,
    check_values,
    first,
    warn_not_whole,
)
from ..formula.parse import Atom, Formula

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
        )


def build_response(
    formula: Formula,
    rows: Rows,
    family: Family,
    weights: NDArray[np.float64] | None,
    levels: Sequence[Any] | None = None,
) -> tuple[Response, NDArray[np.float64] | None]:
    """The response, and the weights that are left: those of a binomial proportion become trials.

    `levels` are those of ordered categories, in their order.
    """
    if family.support == "categories":
        return build_categories(formula, rows, levels), weights
    if family.name == "multinomial":
        return _categories_without_order(formula, rows, levels), weights
    if family.support == "choices":
        return _chosen(formula, rows), weights
    response, left = _build_response(formula, rows, family, weights)
    check_trials(family, f"the response '{response.name}'", response.size)
    return response, left


def _build_response(
    formula: Formula, rows: Rows, family: Family, weights: NDArray[np.float64] | None
) -> tuple[Response, NDArray[np.float64] | None]:
    name = formula.response_text
    if formula.limits:
        return _known_in_part(name, formula, rows, family), weights
    if len(formula.response) == 2:
        if family.support != "trials":
            raise DataError(f"'{name}' is a response of the binomial family; the family is {family.name}")
        return _successes_failures(name, formula.response, rows), weights
    atom = formula.response[0]
    value = evaluate(atom, rows, {})
    if isinstance(value, Categories) and not (value.logical and family.support != "trials"):
        return _two_levels(name, value, family), weights
    if isinstance(value, Categories):
        return Response(name, value.codes.astype(np.float64)), weights
    values = _one_column(name, value)
    if family.support == "trials":
        return _proportion(name, values, rows, weights)
    check_response(family, f"the response '{name}'", values, None, _in_row(rows))
    return Response(name, values), weights


def build_categories(formula: Formula, rows: Rows, levels: Sequence[Any] | None) -> Response:
    """A response of ordered categories as 1, 2, ..., with their labels."""
    name = formula.response_text
    if formula.limits or len(formula.response) != 1:
        raise DataError(f"'{name}': ordered categories are one column, and known")
    atom = formula.response[0]
    value = evaluate(atom, rows, {})
    column = rows.frame[atom.name] if atom.name is not None else None
    if isinstance(value, Categories):
        if value.logical:
            raise DataError(f"the response '{name}' holds truth values: two categories are family='binomial'")
        if levels is None and not (column is not None and (column.ordered or rows.frame.declared_in_order(column))):
            raise DataError(
                f"the categories of the response '{name}' have no order: {_how_to_order(name, value.levels)}"
            )
    codes, known, unseen = _codes(
        name,
        value,
        levels,
        rows,
        "ordered categories are whole numbers, an ordered categorical column, or any labels with levels= their order",
    )
    if unseen:
        one = len(unseen) == 1
        warn_caller(
            f"no row has {'category' if one else 'the categories'} {', '.join(map(repr, unseen))} of the response "
            f"'{name}': the thresholds on either side would be one, and the model is of the categories that occur",
            DataWarning,
        )
        codes, known = drop_unused(codes, known)
    if len(known) < 3:
        shown = ", ".join(repr(label_of(level)) for level in known)
        advice = "; of two it is the binomial" if len(known) == 2 else ""
        raise DataError(
            f"the response '{name}' has {len(known)} categor{'y' if len(known) == 1 else 'ies'} ({shown}); ordered "
            f"categories are three or more{advice}"
        )
    return Response(name, codes.astype(np.float64) + 1.0, None, tuple(label_of(level) for level in known))


def _categories_without_order(formula: Formula, rows: Rows, levels: Sequence[Any] | None) -> Response:
    """A response of categories as 1, 2, ..., with their labels, those of a text or of numbers sorted."""
    name = formula.response_text
    if formula.limits or len(formula.response) != 1:
        raise DataError(f"'{name}': categories are one column, and known")
    value = evaluate(formula.response[0], rows, {})
    codes, known, unseen = _codes(
        name,
        value,
        levels,
        rows,
        "categories are texts, a categorical column, whole numbers, or any labels with levels= what they are",
    )
    if unseen and (levels is not None or (isinstance(value, Categories) and value.declared)):
        raise DataError(
            f"no row has category {unseen[0]!r} of the response '{name}': its coefficients go to minus infinity; leave "
            "it out of the categories, such as by Series.cat.remove_unused_categories()"
        )
    if unseen:
        codes, known = drop_unused(codes, known)
    if len(known) < 3:
        shown = ", ".join(repr(label_of(level)) for level in known)
        advice = "; of two it is family='binomial'" if len(known) == 2 else ""
        raise DataError(
            f"the response '{name}' has {len(known)} categor{'y' if len(known) == 1 else 'ies'} ({shown}); the "
            f"multinomial family takes three or more{advice}"
        )
    return Response(name, codes.astype(np.float64) + 1.0, None, tuple(label_of(level) for level in known))


def _chosen(formula: Formula, rows: Rows) -> Response:
    """Whether each row was chosen."""
    name = formula.response_text
    if formula.limits or len(formula.response) != 1:
        raise DataError(f"'{name}': which alternative was chosen is one column")
    value = evaluate(formula.response[0], rows, {})
    if isinstance(value, Categories) and not value.logical:
        raise DataError(
            f"the response '{name}' holds categories; with family='conditional' it is 1 or true in the row that was "
            "chosen and 0 or false in the others of its set"
        )
    values = value.codes.astype(np.float64) if isinstance(value, Categories) else _one_column(name, value)
    row = first((values != 0.0) & (values != 1.0))
    if row is not None:
        raise DataError(
            f"the response '{name}' is {values[row]:g} in {rows.at(row)}; it is 1 where a row was chosen, or 0"
        )
    return Response(name, values)


def _how_to_order(name: str, known: pd.Index) -> str:
    shown = ", ".join(repr(label_of(level)) for level in known[:8]) + (", ..." if len(known) > 8 else "")
    return f"give it as levels=[{shown}], lowest first, or make '{name}' an ordered categorical column"


def _codes(
    name: str, value: Any, levels: Sequence[Any] | None, rows: Rows, wanted: str
) -> tuple[NDArray[Any], pd.Index, list[str]]:
    """Codes of categories, their labels, and those of them that no row has; `wanted` says what they may be."""
    if isinstance(value, Categories):
        codes, known = value.codes, value.levels
    else:
        values = _one_column(name, value)
        row = first(values != np.floor(values))
        if row is not None and levels is None:
            raise DataError(f"the response '{name}' is {values[row]:g} in {rows.at(row)}; {wanted}")
        unique, codes = np.unique(values, return_inverse=True)
        known = pd.Index(unique)
    if levels is not None:
        codes, known = _in_order(name, codes, known, levels, rows)
    counts = np.bincount(codes, minlength=len(known))
    unseen = [label_of(level) for level, count in zip(known, counts, strict=True) if count == 0]
    return codes, known, unseen


def _in_order(
    name: str, codes: NDArray[Any], known: pd.Index, levels: Sequence[Any], rows: Rows
) -> tuple[NDArray[np.int64], pd.Index]:
    """Codes of the levels given."""
    if isinstance(levels, str) or len(set(levels)) != len(levels):
        raise DataError(f"levels={levels!r} are no different labels in their order")
    given = pd.Index(list(levels))
    place = positions(given, known)
    row = first(place[codes] < 0)
    if row is not None:
        raise DataError(
            f"the response '{name}' is {label_of(known[codes[row]])!r} in {rows.at(row)}, which is not among levels="
        )
    return place[codes].astype(np.int64), given


def _known_in_part(name: str, formula: Formula, rows: Rows, family: Family) -> Response:
    """The response and the other end of where it is."""
    columns = []
    for atom in formula.response:
        open_end = formula.limits == ("upper",) and atom.name is not None
        column = rows.with_infinities(atom.name) if open_end and atom.name is not None else None
        if column is not None and column.kind == "number" and column.values is not None:
            columns.append(np.ascontiguousarray(column.values, dtype=np.float64))
            continue
        value = _constant(atom, rows) or evaluate(atom, rows, {})
        if isinstance(value, Categories):
            raise DataError(f"'{atom.text}' in {name} holds categories; a number is needed")
        columns.append(_one_column(atom.text, value))
    values = columns[0]
    row = first(np.isnan(values))
    if row is not None:
        raise DataError(f"'{formula.response[0].text}' in {name} is no number in {rows.at(row)}")
    other = values.copy()
    if formula.limits == ("upper",):
        other = columns[1]
        row = first(~(other >= values) | (np.isinf(values) & np.isinf(other)))
        if row is not None:
            raise DataError(
                f"{name} is from {values[row]:g} to {other[row]:g} in {rows.at(row)}: the lower end comes first, and "
                "one of them is finite"
            )
        below = np.isinf(values)  # all that is known is the upper end
        values, other = np.where(below, other, values), np.where(below, -np.inf, other)
    else:
        ends = dict(zip(formula.limits, columns[1:], strict=True))
        left, right = (ends.get(side, np.full(rows.n, end)) for side, end in (("left", -np.inf), ("right", np.inf)))
        row = first(~(left < right))
        if row is not None:
            ends_there = f"the left limit is {left[row]:g} and the right one {right[row]:g}"
            raise DataError(f"{name}: {ends_there} in {rows.at(row)}")
        below, above = values <= left, values >= right
        values = np.select([below, above], [left, right], values)
        other = np.select([below, above], [-np.inf, np.inf], values)
    check_values(family.support, f"the response '{name}'", values, None, _in_row(rows))
    return Response(name, values, other_end=other)


def _constant(atom: Atom, rows: Rows) -> Numbers | None:
    """A number written out, for every row; None where the atom is something else."""
    try:
        number = float(atom.text.replace(" ", ""))
    except ValueError:
        return None
    return Numbers((("", np.full(rows.n, number)),))


def _in_row(rows: Rows) -> Callable[[int], str]:
    return lambda row: f"in {rows.at(row)}"


def _one_column(name: str, value: Numbers) -> NDArray[np.float64]:
    if len(value.columns) != 1:
        raise DataError(f"the response '{name}' has {len(value.columns)} columns; one is needed")
    return np.ascontiguousarray(value.columns[0][1], dtype=np.float64)


def _two_levels(name: str, value: Categories, family: Family) -> Response:
    if family.support != "trials":
        shown = ", ".join(repr(label_of(v)) for v in value.levels[:5])
        raise DataError(
            f"the response '{name}' holds categories ({shown}); a number is needed for the {family.name} family"
        )
    codes, levels = value.codes, value.levels
    if len(levels) != 2 or not (value.declared or value.logical):
        codes, levels = drop_unused(codes, levels)
    if len(levels) != 2:
        shown = ", ".join(repr(label_of(v)) for v in levels[:8]) + (", ..." if len(levels) > 8 else "")
        raise DataError(
            f"the response '{name}' has {len(levels)} level{'s' if len(levels) != 1 else ''} ({shown}); "
            "the binomial family needs two, the second of which is the success"
        )
    return Response(name, codes.astype(np.float64), None, (label_of(levels[0]), label_of(levels[1])))


def _successes_failures(name: str, atoms: tuple[Atom, ...], rows: Rows) -> Response:
    counts = []
    for atom in atoms:
        value = evaluate(atom, rows, {})
        if isinstance(value, Categories):
            if not value.logical:
                raise DataError(f"'{atom.text}' in {name} holds categories; a number is needed")
            value = Numbers((("", value.codes),))
        counts.append(_one_column(atom.text, value))
    successes, failures = counts
    check_not_negative(f"'{atoms[0].text}'", successes, _in_row(rows))
    row = first(failures < 0)
    if row is not None and atoms[1].name is None:  # computed, as size - successes is
        raise DataError(
            f"'{atoms[1].text}' is {failures[row]:g} in {rows.at(row)}: more successes ({successes[row]:g}) than trials"
        )
    check_not_negative(f"'{atoms[1].text}'", failures, _in_row(rows))
    for atom, values in zip(atoms, counts, strict=True):
        warn_not_whole(f"'{atom.text}'", values, _in_row(rows))
    size = successes + failures
    return Response(name, successes, None if np.all(size == 1.0) else size)


def _proportion(
    name: str, values: NDArray[np.float64], rows: Rows, weights: NDArray[np.float64] | None
) -> tuple[Response, NDArray[np.float64] | None]:
    row = first((values < 0.0) | (values > 1.0))
    if row is not None:
        raise DataError(
            f"the response '{name}' is {values[row]:g} in {rows.at(row)}; the binomial family needs 0 and 1, "
            "proportions with weights= the trials, or counts as cbind(successes, failures)"
        )
    if np.all((values == 0.0) | (values == 1.0)):
        return Response(name, values), weights
    size = np.ones_like(values) if weights is None else weights
    successes = values * size
    nearest = np.round(successes)
    far = np.abs(successes - nearest) > TOLERANCE
    row = first(far)
    if row is None:
        successes = np.where(np.abs(successes - nearest) < 1e-8 * np.maximum(1.0, size), nearest, successes)
    else:
        advice = "give the trials as weights=" if weights is None else "weights= should hold the trials"
        warn_caller(
            f"the response '{name}' times its trials is not whole: {values[row]:g} times {size[row]:g} "
            f"in {rows.at(row)} and {int(far.sum()) - 1} more; {advice}",
            DataWarning,
        )
    return Response(name, successes, None if weights is None else size), None


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
