"""A response of categories, with an order or without, and of alternatives: what may stand on the left of ``~``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..columns.expressions import Numbers, Rows, evaluate
from ..columns.levels import drop_unused, label_of, positions
from ..columns.transforms import Categories
from ..errors import DataError, DataWarning, warn_caller
from ..family.response_kinds import first
from .response import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..family.registry import Family
    from ..formula.parse import Formula


def ordered_categories(formula: Formula, rows: Rows, levels: Sequence[Any] | None) -> Response:
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
    return _labelled(name, codes, known, "ordered categories are three or more")


def categories_without_order(formula: Formula, rows: Rows, levels: Sequence[Any] | None) -> Response:
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
    return _labelled(name, codes, known, "the multinomial family takes three or more")


def _labelled(name: str, codes: NDArray[Any], known: pd.Index, wanted: str) -> Response:
    """Categories as 1, 2, ..., with their labels; `wanted` says how many there are at least."""
    if len(known) < 3:
        shown = ", ".join(repr(label_of(level)) for level in known)
        advice = "; of two it is the binomial" if len(known) == 2 else ""
        raise DataError(
            f"the response '{name}' has {len(known)} categor{'y' if len(known) == 1 else 'ies'} ({shown}); "
            f"{wanted}{advice}"
        )
    return Response(name, codes.astype(np.float64) + 1.0, None, tuple(label_of(level) for level in known))


def chosen(formula: Formula, rows: Rows) -> Response:
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
    values = value.codes.astype(np.float64) if isinstance(value, Categories) else one_column(name, value)
    row = first((values != 0.0) & (values != 1.0))
    if row is not None:
        raise DataError(
            f"the response '{name}' is {values[row]:g} in {rows.at(row)}; it is 1 where a row was chosen, or 0"
        )
    return Response(name, values)


def two_levels(name: str, value: Categories, family: Family) -> Response:
    """Failure and success, from a column of two labels."""
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
        values = one_column(name, value)
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


def one_column(name: str, value: Numbers) -> NDArray[np.float64]:
    """The numbers of a response that is one column."""
    if len(value.columns) != 1:
        raise DataError(f"the response '{name}' has {len(value.columns)} columns; one is needed")
    return np.ascontiguousarray(value.columns[0][1], dtype=np.float64)
