"""The response of each family: what may stand on the left of ``~``, and what it becomes. Used by `design`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns.expressions import Numbers, Rows, evaluate
from ..columns.transforms import Categories
from ..errors import DataError, DataWarning, and_more, warn_caller
from ..family.response_kinds import (
    TOLERANCE,
    check_not_negative,
    check_response,
    check_trials,
    check_values,
    first,
    warn_not_whole,
)
from .read_categories import categories_without_order, chosen, one_column, ordered_categories, two_levels
from .response import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ..family.registry import Family
    from ..formula.parse import Formula
    from ..formula.terms import Atom


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
        return ordered_categories(formula, rows, levels), weights
    if family.name == "multinomial":
        return categories_without_order(formula, rows, levels), weights
    if family.support == "choices":
        return chosen(formula, rows), weights
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
        return two_levels(name, value, family), weights
    if isinstance(value, Categories):
        return Response(name, value.codes.astype(np.float64)), weights
    values = one_column(name, value)
    if family.support == "trials":
        return _proportion(name, values, rows, weights)
    check_response(family, f"the response '{name}'", values, None, _in_row(rows))
    return Response(name, values), weights


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
        columns.append(one_column(atom.text, value))
    values, ends_of_rows = columns[0], None
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
        ends_of_rows = np.column_stack([left, right])
    check_values(family.support, f"the response '{name}'", values, None, _in_row(rows))
    return Response(name, values, other_end=other, limits=ends_of_rows)


def _constant(atom: Atom, rows: Rows) -> Numbers | None:
    """A number written out, for every row; None where the atom is something else."""
    try:
        number = float(atom.text.replace(" ", ""))
    except ValueError:
        return None
    return Numbers((("", np.full(rows.n, number)),))


def _successes_failures(name: str, atoms: tuple[Atom, ...], rows: Rows) -> Response:
    counts = []
    for atom in atoms:
        value = evaluate(atom, rows, {})
        if isinstance(value, Categories):
            if not value.logical:
                raise DataError(f"'{atom.text}' in {name} holds categories; a number is needed")
            value = Numbers((("", value.codes),))
        counts.append(one_column(atom.text, value))
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
            f"in {rows.at(row)}{and_more(int(far.sum()) - 1)}; {advice}",
            DataWarning,
        )
    return Response(name, successes, None if weights is None else size), None


def _in_row(rows: Rows) -> Callable[[int], str]:
    return lambda row: f"in {rows.at(row)}"
