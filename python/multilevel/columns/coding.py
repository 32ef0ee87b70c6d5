"""From atoms to columns: coding factors, multiplying them out; and the same again for new data.

Which factors of a product are coded by contrasts, and which by one indicator per level, follows R: contrasts where the
product without that factor is in the formula too, indicators where it is not. So ``a:b`` without ``a`` and ``b`` has an
indicator for every combination; what is redundant then is found, dropped and named by the core.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import DataError, FormulaError
from ..formula.terms import Atom, Terms
from .expressions import FACTOR_CALLS, Numbers, Rows, evaluate
from .levels import drop_unused, is_logical, label_of, positions
from .number_texts import check_number_texts
from .transforms import Categories, Contrast, State, UserFunctions, contrast

if TYPE_CHECKING:
    from numpy.typing import NDArray

NamedColumns = list[tuple[str, "NDArray[Any] | None"]]


@dataclass(frozen=True)
class Variable:
    """How an atom was coded in the fit: what new data must agree with."""

    text: str
    suffixes: tuple[str, ...] = ()  # of numbers
    levels: pd.Index | None = None  # of categories
    contrast: Contrast | None = None
    ordered: bool = False  # an ordered column of three levels or more for which no contrasts were asked


@dataclass
class Coding:
    """What the fit remembers so that new rows are coded as its own were."""

    variables: dict[str, Variable] = field(default_factory=dict)
    state: dict[str, State] = field(default_factory=dict)
    contrasts: Mapping[str, Any] = field(default_factory=dict)
    functions: UserFunctions = field(default_factory=UserFunctions)

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
        column = rows[atom.name] if atom.name is not None and wanted is None else None
        if column is not None and column.kind == "category" and not column.declared:
            check_number_texts(column.name, [str(level) for level in levels])
        ordered = column is not None and column.ordered and len(levels) > 2
        self.variables[atom.text] = Variable(
            atom.text, levels=levels, contrast=contrast(wanted, levels, f"'{atom.text}'"), ordered=ordered
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
                raise DataError(
                    f"'{atom.text}' was a number in the fit; the new data hold categories "
                    "(pd.to_numeric makes numbers of texts)"
                )
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
    return atom.variables[0] if called in FACTOR_CALLS and atom.variables else None


def match_levels(
    name: str, codes: NDArray[Any], levels: pd.Index, known: pd.Index, rows: Rows, missing: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Codes of new data in the levels of the fit; a level that the fit did not see is an error."""
    matched = np.append(positions(known, levels), -1).astype(np.int32)[codes]
    new = np.flatnonzero((matched < 0) & ~missing)
    if len(new):
        level = levels[codes[new[0]]]
        shown = ", ".join(label_of(v) for v in known[:20]) + (", ..." if len(known) > 20 else "")
        hint = " as truth values (or 1 and 0)"
        if isinstance(level, str):
            hint += ", not as texts (column == 'True' makes them)"
        raise DataError(
            f"'{name}' has the level '{label_of(level)}' in {rows.at(int(new[0]))} of the new data; "
            f"the fit knows {shown}{hint if is_logical(known) else ''}"
        )
    return matched


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
