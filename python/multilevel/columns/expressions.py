"""Expressions of a formula, evaluated on rows: numbers or categories, and complaints in the words of the formula."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import DataError, FormulaError
from ..formula.hints import no_function
from ..formula.syntax import read_syntax
from ..formula.terms import Atom
from ..formula.tokens import complain
from .frame import Column, Frame, read_column, row_text
from .interpreter import Interpreter
from .transforms import FROM_FORMULAIC, FUNCTIONS, GROUP_CALLS, PYTHONS, Categories, State

if TYPE_CHECKING:
    from numpy.typing import NDArray

FACTOR_CALLS = frozenset(("C", "factor", "relevel"))


@dataclass(frozen=True)
class Numbers:
    """Values that are numbers: columns and what follows the atom's name in theirs."""

    columns: tuple[tuple[str, NDArray[Any]], ...]


class Rows:
    """The rows in use, as expressions and codings see them, and the user's functions that these may call."""

    def __init__(
        self, frame: Frame, rows: NDArray[np.int64] | None, functions: Mapping[str, Any] | None = None
    ) -> None:
        self.frame, self.rows, self.functions = frame, rows, functions or {}
        self.n = frame.n_rows if rows is None else len(rows)
        self._columns: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        column = self._columns.get(name)
        if column is None:
            column = self.frame[name].take(self.rows)
            column.check_finite(self.rows)
            self._columns[name] = column
        return column

    def with_infinities(self, name: str) -> Column:
        """A column that may hold infinite values, as the end of a range without one does."""
        return self.frame[name].take(self.rows)

    def at(self, row: int) -> str:
        """Where a row stands in the user's frame, in words."""
        return row_text(row, self.rows)


def takes_as_labels(atom: Atom, name: str) -> bool:
    """Whether a column is nothing but labels to an atom: made a factor, or the groups that others have means in."""
    called = atom.expression.split("(", 1)[0].strip()
    return atom.name is None and (called in FACTOR_CALLS or name in groups_in(atom))


def groups_in(atom: Atom) -> set[str]:
    """The columns that an atom has as the groups of ``within(x, g)`` and ``between(x, g)``, and as nothing else."""
    if atom.name is not None:
        return set()
    columns = dict(atom.aliases)
    groups: list[str] = []
    used: list[str] = []
    for node in ast.walk(read_syntax(atom.expression).body):
        if isinstance(node, ast.Name):
            used.append(columns.get(node.id, node.id))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in GROUP_CALLS:
            given = [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "g")]
            groups += [columns.get(own.id, own.id) for own in given if isinstance(own, ast.Name)]
    return {name for name in groups if groups.count(name) == used.count(name)}


def check_names(
    source: str, atoms: tuple[Atom, ...], frame: Frame, functions: Mapping[str, Any] | None = None
) -> list[str]:
    """The columns that atoms need; a name that is neither a column nor a function is a `FormulaError` that marks it.

    Parameters
    ----------
    source : str
        The text that the atoms' positions refer to.
    atoms : tuple of Atom
    frame : Frame
    functions : mapping, optional
        The user's own.
    """
    functions = functions or {}
    needed: dict[str, None] = {}
    for atom in atoms:
        for name in sorted(read_syntax(atom.expression).called) if atom.name is None else ():
            if _is_function(name, functions):
                continue
            at = _place(source, name, atom.position)
            if name in frame:
                problem = f"expected an operator before '(': '{name}' is a column, not a function (is a '+' missing?)"
                complain(source, max(source.find("(", at), at), problem)
            complain(source, at, no_function(name, [*functions, *FUNCTIONS]))
        for name in atom.variables:
            if name in frame:
                needed[name] = None
            elif atom.name is not None or not _is_function(name, functions):
                place = _place(source, name, atom.position)
                complain(source, place, f"the data have no column '{name}'{frame.nearest(name)}")
    return list(needed)


def _is_function(name: str, functions: Mapping[str, Any]) -> bool:
    return name in functions or name in FUNCTIONS or name in FROM_FORMULAIC or name in PYTHONS


def _place(source: str, name: str, start: int) -> int:
    """Where a name stands in a text, at or after a position; the position if it does not."""
    found = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)").search(source, start)
    return start if found is None else found.start()


def evaluate(
    atom: Atom, rows: Rows, state: dict[str, State], missing: NDArray[np.bool_] | None = None
) -> Numbers | Categories:
    """The values of an atom."""
    if atom.name is not None:
        column = rows[atom.name]
        if column.kind == "number":
            assert column.values is not None
            return Numbers((("", column.values),))
        if column.kind == "other":
            raise DataError(
                f"column '{atom.name}' holds neither numbers nor categories; turn it into one of these first"
            )
        codes, levels = column.categories("a factor")
        return Categories(codes, levels, None, column.kind == "bool", column.declared)
    syntax = read_syntax(atom.expression)
    whole = bool(syntax.called & FACTOR_CALLS)
    data = {alias: _operand(rows[name], whole) for alias, name in atom.aliases}
    data.update(
        (name, _operand(rows[name], whole)) for name in atom.variables if name in rows.frame and name.isidentifier()
    )
    try:
        with np.errstate(all="ignore"):
            result = Interpreter(data, dict(atom.aliases), state, rows.functions).run(syntax)
    except (FormulaError, DataError):
        raise
    except Exception as error:
        raise FormulaError(f"'{atom.text}' cannot be evaluated: {_reason(atom, error, rows)}") from error
    return _interpret(atom, result, rows, missing)


def _reason(atom: Atom, error: Exception, rows: Rows) -> str:
    """Why an expression failed, in the words of its columns where they are to blame."""
    message = str(error)
    if "truth value of a" in message:
        return "a condition on a whole column; write ifelse(condition, yes, no), and (a < x) & (x < b) for a < x < b"
    if isinstance(error, TypeError) and " argument" not in message:
        for name in atom.variables:
            if name in rows.frame and rows[name].kind not in ("number", "bool"):
                holds = "categories" if rows[name].kind == "category" else "no numbers"
                return f"column '{name}' holds {holds}; a number is needed"
    return message


def _operand(column: Column, whole: bool) -> Any:
    """A column as expressions see it: not to be written to.

    Integers become floats, since R's do not overflow, unless they may be labels.
    """
    if column.kind in ("number", "bool") and column.values is not None:
        values = column.values.view()
        values.flags.writeable = False
        return values if column.kind == "bool" or whole else values.astype(np.float64, copy=False)
    if column.codes is not None and column.levels is not None:
        if column.kind == "other":
            return pd.Series(column.levels.take(column.codes))
        # The codes may be the user's own buffer: a Categorical made from them must not be able to write there.
        categorical = pd.Categorical.from_codes(column.codes, column.levels, ordered=column.ordered)
        return pd.Series(categorical)
    return pd.Series(column.values)


def _interpret(atom: Atom, result: Any, rows: Rows, missing: NDArray[np.bool_] | None) -> Numbers | Categories:
    if isinstance(result, Categories):
        return _check_length(atom, result, len(result.codes), rows)
    pieces: list[tuple[str, Any]]
    if isinstance(result, Mapping):
        pieces = [(f"[{key}]", value) for key, value in result.items()]
    elif isinstance(result, pd.DataFrame):
        pieces = [(f"[{key}]", result[key]) for key in result.columns]
    elif isinstance(result, np.ndarray) and result.ndim == 2:
        pieces = [(f"[{j + 1}]", result[:, j]) for j in range(result.shape[1])]
    elif isinstance(result, (np.ndarray, pd.Series, pd.Index, pd.api.extensions.ExtensionArray)) and result.ndim == 1:
        pieces = [("", result)]
    else:
        raise FormulaError(f"'{atom.text}' is not a column: it gives {result!r:.80}")
    columns = []
    for suffix, values in pieces:
        column = read_column(atom.text, values)
        _check_length(atom, None, len(column), rows)
        if column.kind in ("category", "bool") and len(pieces) == 1:
            _check_values(atom, column, rows, missing)
            declared = column.declared
            return Categories(*column.categories("a factor"), None, column.kind == "bool", declared)
        if column.kind == "other" or column.values is None:
            raise DataError(f"'{atom.text}' gives neither numbers nor categories")
        _check_values(atom, column, rows, missing)
        columns.append((suffix, column.values))
    return Numbers(tuple(columns))


def _check_length(atom: Atom, value: Any, length: int, rows: Rows) -> Any:
    if length != rows.n:
        raise FormulaError(f"'{atom.text}' gives {length} values for {rows.n} rows")
    return value


def _check_values(atom: Atom, column: Column, rows: Rows, missing: NDArray[np.bool_] | None) -> None:
    """An expression that has no finite value in a row that has all its columns is an error that shows them."""
    bad = np.zeros(rows.n, dtype=bool) if column.missing is None else column.missing.copy()
    if not column.finite and column.values is not None:
        bad |= ~np.isfinite(column.values)
    if missing is not None:
        bad &= ~missing
    where = np.flatnonzero(bad)
    if not len(where):
        return
    row = int(where[0])
    shown = ", ".join(f"{name} = {_shown(rows[name], row)}" for name in atom.variables if name in rows.frame)
    value = "missing" if column.values is None else column.values[row]
    raise DataError(
        f"'{atom.text}' is {value} in {rows.at(row)}, where {shown}; "
        f"{len(where)} such row{'s' * (len(where) > 1)} in all"
    )


def _shown(column: Column, row: int) -> str:
    if column.values is not None:
        return str(column.values[row])
    assert column.codes is not None
    assert column.levels is not None
    return str(column.levels[column.codes[row]])
