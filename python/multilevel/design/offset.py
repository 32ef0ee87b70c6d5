"""Offsets: those of the formula, and the one given as an argument, which is a column, an array or an expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns.expressions import Numbers, Rows, check_names, evaluate
from ..columns.selection import argument_column
from ..errors import DataError, FormulaError
from ..formula.parse import Formula, parse_expression
from ..formula.terms import Atom

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..columns.frame import Column, Frame
    from ..columns.transforms import State, UserFunctions


@dataclass(frozen=True)
class Offset:
    """An ``offset=`` argument, read: a column, or an expression and the names of the columns that it needs."""

    column: Column | None = None
    expression: Atom | None = None
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class OffsetCoding:
    """How the argument was given, which is how new rows get theirs; `array` means that they cannot."""

    column: str | None = None
    expression: Atom | None = None
    array: bool = False

    @property
    def given(self) -> bool:
        """Whether there was one."""
        return self.array or self.column is not None or self.expression is not None


def read_offset(offset: ArrayLike | str | None, frame: Frame, functions: UserFunctions) -> tuple[Offset, OffsetCoding]:
    """The argument of a fit, and what to remember of it."""
    if not isinstance(offset, str):
        return Offset(argument_column("offset", offset, frame)), OffsetCoding(array=offset is not None)
    atom = None if offset in frame else parse_expression(offset)
    if atom is None or atom.name is not None:  # a column, or the name of one that is not there
        return Offset(argument_column("offset", offset, frame)), OffsetCoding(column=offset)
    return _expression(offset, atom, frame, functions), OffsetCoding(expression=atom)


def read_new_offset(
    coding: OffsetCoding, offset: ArrayLike | str | None, frame: Frame, functions: UserFunctions
) -> Offset:
    """The offset of new rows: the argument, which may be one number, or as the fit had its own."""
    if offset is not None:
        if not isinstance(offset, str) and np.ndim(offset) == 0:
            offset = np.full(frame.n_rows, offset)
        return read_offset(offset, frame, functions)[0]
    if coding.array:
        raise DataError("the fit had an array as offset=; give the offsets of the new rows as well")
    if coding.expression is not None:
        return _expression(coding.expression.text, coding.expression, frame, functions)
    return Offset(argument_column("offset", coding.column, frame))


def _expression(source: str, atom: Atom, frame: Frame, functions: UserFunctions) -> Offset:
    try:
        return Offset(None, atom, tuple(check_names(source, (atom,), frame, functions)))
    except FormulaError as error:
        raise DataError(f"offset: {error}") from None


def offset_values(
    formula: Formula, given: Offset, rows: Rows, state: dict[str, State], missing: Any = None
) -> NDArray[np.float64] | None:
    """The sum of the offsets in the formula and the one given as an argument."""
    parts = []
    for atom in formula.offsets if given.expression is None else (*formula.offsets, given.expression):
        value = evaluate(atom, rows, state, missing)
        if not isinstance(value, Numbers) or len(value.columns) != 1:
            raise DataError(f"offset({atom.text}) is no column of numbers")
        parts.append(value.columns[0][1])
    if given.column is not None:
        column = given.column.take(rows.rows)
        column.check_finite(rows.rows)
        assert column.values is not None
        parts.append(column.values)
    if not parts:
        return None
    total = np.array(parts[0], dtype=np.float64)
    for part in parts[1:]:
        total += part
    return total
