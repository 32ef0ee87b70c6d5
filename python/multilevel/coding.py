"""From atoms to columns: evaluating expressions, coding factors, multiplying them out; and the same again for new data.

Which factors of a product are coded by contrasts, and which by one indicator per level, follows R: contrasts where the
product without that factor is in the formula too, indicators where it is not. So ``a:b`` without ``a`` and ``b`` has an
indicator for every combination; what is redundant then is found, dropped and named by the core.
"""

from __future__ import annotations

import ast
import builtins
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from itertools import product
from types import CodeType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .errors import DataError, FormulaError
from .formula import Atom, Formula, Terms
from .formula_tokens import complain
from .frame import Column, Frame, drop_unused, label_of, positions, read_column, row_text
from .transforms import FROM_FORMULAIC, FUNCTIONS, STATEFUL, Categories, Contrast, State, contrast, function

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FACTOR_CALLS = frozenset(("C", "factor", "relevel"))
NamedColumns = list[tuple[str, "NDArray[Any] | None"]]


@dataclass(frozen=True)
class Numbers:
    """Values that are numbers: columns and what follows the atom's name in theirs."""

    columns: tuple[tuple[str, NDArray[Any]], ...]


@dataclass(frozen=True)
class Variable:
    """How an atom was coded in the fit: what new data must agree with."""

    text: str
    suffixes: tuple[str, ...] = ()  # of numbers
    levels: pd.Index | None = None  # of categories
    contrast: Contrast | None = None


class Rows:
    """The rows in use, as expressions and codings see them."""

    def __init__(self, frame: Frame, rows: NDArray[np.int64] | None) -> None:
        self.frame, self.rows = frame, rows
        self.n = frame.n_rows if rows is None else len(rows)
        self._columns: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        column = self._columns.get(name)
        if column is None:
            column = self.frame[name].take(self.rows)
            column.check_finite(self.rows)
            self._columns[name] = column
        return column

    def at(self, row: int) -> str:
        """Where a row stands in the user's frame, in words."""
        return row_text(row, self.rows)


@dataclass
class Coding:
    """What the fit remembers so that new rows are coded as its own were."""

    variables: dict[str, Variable] = field(default_factory=dict)
    state: dict[str, State] = field(default_factory=dict)
    contrasts: Mapping[str, Any] = field(default_factory=dict)

    def learn(self, atom: Atom, rows: Rows) -> Numbers | Categories:
        """Evaluate an atom on the rows of the fit, and remember how."""
        value = evaluate(atom, rows, self.state)
        if isinstance(value, Numbers):
            if atom.text in self.contrasts:
                raise FormulaError(f"contrasts: '{atom.text}' is a number; factor({atom.text}) makes it a factor")
            self.variables[atom.text] = Variable(atom.text, suffixes=tuple(s for s, _ in value.columns))
            return value
        codes, levels = (value.codes, value.levels) if value.logical else drop_unused(value.codes, value.levels)
        wanted = self._wanted(atom) if value.contrasts is None else value.contrasts
        self.variables[atom.text] = Variable(
            atom.text, levels=levels, contrast=contrast(wanted, levels, f"'{atom.text}'")
        )
        return Categories(codes, levels, None, value.logical)

    def _wanted(self, atom: Atom) -> Any:
        return self.contrasts.get(atom.text, self.contrasts.get(factor_column(atom) or ""))

    def apply(self, atom: Atom, rows: Rows, missing: NDArray[np.bool_]) -> Numbers | Categories:
        """Evaluate an atom on new rows; those `missing` may hold anything."""
        value = evaluate(atom, rows, self.state, missing)
        variable = self.variables[atom.text]
        if variable.levels is None:
            if isinstance(value, Categories) and value.logical:
                value = Numbers((("", value.codes.astype(np.float64)),))
            if not isinstance(value, Numbers):
                raise DataError(f"'{atom.text}' was a number in the fit; the new data hold categories")
            if tuple(s for s, _ in value.columns) != variable.suffixes:
                raise DataError(
                    f"'{atom.text}' gives {len(value.columns)} columns in the new data, "
                    f"{len(variable.suffixes)} in the fit"
                )
            return value
        if isinstance(value, Numbers):
            # The fit saw labels: numbers that spell them will do (period 1, 2, 3 read from a file as numbers).
            unique, codes = np.unique(value.columns[0][1], return_inverse=True)
            value = Categories(codes, pd.Index(unique))
        return Categories(
            match_levels(atom.text, value.codes, value.levels, variable.levels, rows, missing), variable.levels
        )


def factor_column(atom: Atom) -> str | None:
    """The column that an atom makes a factor of: itself, or the first argument of ``factor(x)`` and the like."""
    if atom.name is not None:
        return atom.name
    called = atom.expression.split("(", 1)[0].strip()
    return atom.variables[0] if called in _FACTOR_CALLS and atom.variables else None


def match_levels(
    name: str, codes: NDArray[Any], levels: pd.Index, known: pd.Index, rows: Rows, missing: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Codes of new data in the levels of the fit; a level that the fit did not see is an error."""
    matched = np.append(positions(known, levels), -1).astype(np.int32)[codes]
    new = np.flatnonzero((matched < 0) & ~missing)
    if len(new):
        level = levels[codes[new[0]]]
        shown = ", ".join(label_of(v) for v in known[:20]) + (", ..." if len(known) > 20 else "")
        raise DataError(
            f"'{name}' has the level '{label_of(level)}' in {rows.at(int(new[0]))} of the new data; "
            f"the fit knows {shown}"
        )
    return matched


# ---- evaluating --------------------------------------------------------------------------------------------------


def check_names(formula: Formula, atoms: tuple[Atom, ...], frame: Frame) -> list[str]:
    """The columns that atoms need; a name that is neither a column nor a function is a `FormulaError` that marks it."""
    needed: dict[str, None] = {}
    for atom in atoms:
        for name in _compiled(atom.expression)[1] if atom.name is None else ():
            if name in frame and not _is_function(name):
                at = formula.source.find("(", max(formula.source.find(name, atom.position), atom.position))
                complain(
                    formula.source,
                    max(at, atom.position),
                    f"expected an operator before '(': '{name}' is a column, not a function (is a '+' missing?)",
                )
        for name in atom.variables:
            if name in frame:
                needed[name] = None
            elif atom.name is not None or not _is_function(name):
                at = formula.source.find(name, atom.position)
                complain(
                    formula.source, max(at, atom.position), f"the data have no column '{name}'{frame.nearest(name)}"
                )
    return list(needed)


def _is_function(name: str) -> bool:
    return name in FUNCTIONS or name in FROM_FORMULAIC or hasattr(builtins, name)


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
    code, called, owners = _compiled(atom.expression)
    whole = bool(called & _FACTOR_CALLS)
    data = {alias: _operand(rows[name], whole) for alias, name in atom.aliases}
    data.update(
        (name, _operand(rows[name], whole)) for name in atom.variables if name in rows.frame and name.isidentifier()
    )
    if any(isinstance(data.get(name), np.ndarray) for name in owners):
        # Some of numpy's methods would work here and others not.
        raise FormulaError(f"'{atom.text}' cannot be evaluated: {_NO_METHODS}")
    scope = _Scope(data, state)
    try:
        with np.errstate(all="ignore"):
            result = eval(code, {"__builtins__": {}}, scope)
    except (FormulaError, DataError):
        raise
    except NameError as error:
        name = str(error.name or error)
        near = difflib.get_close_matches(name, FUNCTIONS, n=1)
        raise FormulaError(
            f"'{atom.text}': there is no function '{name}'" + (f"; did you mean '{near[0]}'?" if near else "")
        ) from None
    except Exception as error:
        raise FormulaError(f"'{atom.text}' cannot be evaluated: {_reason(atom, error, rows)}") from error
    return _interpret(atom, result, rows, missing)


_NO_METHODS = (
    "methods of columns, such as x.mean(), are not available; use functions, such as center(x) or np.log(x), "
    "or make a column of the data first"
)


def _reason(atom: Atom, error: Exception, rows: Rows) -> str:
    """Why an expression failed, in the words of its columns where they are to blame."""
    message = str(error)
    if "__import__" in message:
        return _NO_METHODS
    if "truth value of a" in message:
        return "a condition on a whole column; write ifelse(condition, yes, no), and (a < x) & (x < b) for a < x < b"
    if isinstance(error, TypeError) and " argument" not in message:
        for name in atom.variables:
            if name in rows.frame and rows[name].kind not in ("number", "bool"):
                holds = "categories" if rows[name].kind == "category" else "no numbers"
                return f"column '{name}' holds {holds}; a number is needed"
    return message


class _Scope(Mapping[str, Any]):
    """What names mean inside an expression: columns, then functions, then Python's builtins."""

    def __init__(self, data: dict[str, Any], state: dict[str, State]) -> None:
        self.data, self.state = data, state

    def __getitem__(self, name: str) -> Any:
        if name in self.data:
            return self.data[name]
        if name == "_state_of":
            return lambda key: self.state.setdefault(key, {})
        if name.startswith("_function_"):
            name = name.removeprefix("_function_")
        try:
            return function(name)
        except KeyError:
            pass
        if hasattr(builtins, name) and not name.startswith("_"):
            return getattr(builtins, name)
        raise NameError(name, name=name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


class _Calls(ast.NodeTransformer):
    """Marks calls: a column called `scale` must not hide the function, and stateful transforms get their state."""

    def __init__(self) -> None:
        self.called: set[str] = set()

    def visit_Call(self, node: ast.Call) -> ast.AST:
        key = ast.unparse(node)
        self.generic_visit(node)
        if isinstance(node.func, ast.Name):
            name = node.func.id
            self.called.add(name)
            node.func = ast.copy_location(ast.Name(f"_function_{name}", ast.Load()), node.func)
            if name in STATEFUL:
                state = ast.Call(ast.Name("_state_of", ast.Load()), [ast.Constant(key)], [])
                node.keywords.append(ast.keyword("_state", state))
        return node


@lru_cache(maxsize=512)
def _compiled(expression: str) -> tuple[CodeType, frozenset[str], frozenset[str]]:
    """The code, the functions it calls, and the names whose attributes or methods it uses."""
    calls = _Calls()
    tree = ast.fix_missing_locations(calls.visit(ast.parse(expression, mode="eval")))
    owners = [n.value.id for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)]
    return compile(tree, f"<formula: {expression}>", "eval"), frozenset(calls.called), frozenset(owners)


def _operand(column: Column, whole: bool) -> Any:
    """A column as expressions see it. Integers become floats, since R's do not overflow, unless they may be labels."""
    if column.kind in ("number", "bool") and column.values is not None:
        if column.kind == "bool" or whole:
            return column.values
        return column.values.astype(np.float64, copy=False)
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


# ---- columns -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TermPart:
    """One variable of a term, and what it puts into the term's columns.

    Attributes
    ----------
    text : str
        The variable as written, such as "x" or "factor(k)".
    levels : pandas.Index or None
        Of a factor; None for numbers.
    coding : ndarray of shape (levels, columns), or None
        Of a factor: the row of a level holds what the rows of that level put into the columns. None for numbers.
    n_columns : int
    values : tuple of ndarray
        Of all rows: the codes of a factor, which are positions in `levels`; the columns of numbers.
    """

    text: str
    levels: pd.Index | None
    coding: NDArray[np.float64] | None
    n_columns: int
    values: tuple[NDArray[Any], ...] = field(repr=False)

    @property
    def is_factor(self) -> bool:
        """Whether it holds categories rather than numbers."""
        return self.levels is not None


@dataclass(frozen=True)
class CodedTerm:
    """A term and its columns: the products of one column of each part, the first part varying fastest."""

    label: str
    parts: tuple[TermPart, ...]
    columns: NamedColumns


def code_terms(
    terms: Terms, values: Mapping[Atom, Numbers | Categories], variables: Mapping[str, Variable]
) -> list[CodedTerm]:
    """The terms of a right-hand side, the intercept first, with their named columns; None stands for the constant."""
    coded = [CodedTerm("(Intercept)", (), [("(Intercept)", None)])] if terms.intercept else []
    present = {frozenset(p) for p in terms.products}
    intercept = terms.intercept
    for atoms in terms.products:
        parts: list[TermPart] = []
        columns: list[list[tuple[str, NDArray[Any]]]] = []
        for atom in atoms:
            value = values[atom]
            if isinstance(value, Numbers):
                columns.append([(atom.text + suffix, column) for suffix, column in value.columns])
                numbers = tuple(column for _, column in value.columns)
                parts.append(TermPart(atom.text, None, None, len(numbers), numbers))
                continue
            rest = frozenset(atoms) - {atom}
            by_contrasts = rest in present if rest else intercept
            coding = _level_coding(value.levels, variables[atom.text], by_contrasts)
            columns.append(_factor_columns(atom.text, value, coding))
            matrix = _matrix(coding, len(value.levels))
            parts.append(TermPart(atom.text, value.levels, matrix, len(coding.names), (value.codes,)))
            if not rest:
                # Without an intercept the first factor takes its place; the following ones are coded by contrasts.
                intercept = True
        coded.append(CodedTerm(":".join(atom.text for atom in atoms), tuple(parts), _multiplied(columns)))
    return coded


def named_columns(terms: list[CodedTerm]) -> NamedColumns:
    """The columns of all terms, in order."""
    return [column for term in terms for column in term.columns]


def _level_coding(levels: pd.Index, variable: Variable, by_contrasts: bool) -> Contrast:
    """By contrasts, or one indicator per level."""
    assert variable.contrast is not None
    if by_contrasts and len(levels) > 1:
        return variable.contrast
    # A factor with a single level has no contrasts: its constant column is left to be found redundant, and named.
    return Contrast(tuple(f"[{label_of(level)}]" for level in levels), None, tuple(range(len(levels))))


def _factor_columns(text: str, value: Categories, coding: Contrast) -> list[tuple[str, NDArray[Any]]]:
    if coding.matrix is None:
        return [(text + name, value.codes == i) for name, i in zip(coding.names, coding.positions, strict=True)]
    matrix = np.vstack([coding.matrix, np.zeros(coding.matrix.shape[1])])  # the last row serves code -1
    return [(text + name, matrix[value.codes, j]) for j, name in enumerate(coding.names)]


def _matrix(coding: Contrast, n_levels: int) -> NDArray[np.float64]:
    if coding.matrix is not None:
        return coding.matrix
    matrix = np.zeros((n_levels, len(coding.positions)))
    matrix[list(coding.positions), np.arange(len(coding.positions))] = 1.0
    return matrix


def _multiplied(parts: list[list[tuple[str, NDArray[Any]]]]) -> NamedColumns:
    """All products of one column from each part, the first part varying fastest."""
    if len(parts) == 1:
        return [*parts[0]]
    columns: NamedColumns = []
    for reverse in product(*reversed(parts)):
        chosen = reverse[::-1]
        columns.append((":".join(name for name, _ in chosen), reduce(_times, (column for _, column in chosen))))
    return columns


def _times(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    if a.dtype == bool and b.dtype == bool:
        return a & b
    return np.multiply(a, b, dtype=np.float64)
