"""From a formula and a data frame to arrays with names: what the core fits, and how new data are coded the same way.

    formula.py (formula_algebra.py, formula_tokens.py)   the text, read
    frame.py                                             columns of any data frame, never copied
    transforms.py, expressions.py, coding.py             expressions, factors, contrasts -> columns
    selection.py                                         the rows used; weights and offsets given as arguments
    response.py, grouping.py                             the left-hand side; the levels
    random_terms.py, identifiability.py                  the terms with bars; whether data could tell them apart
    design.py                                            all of it together (this file)

No statistics here. Columns made only of numbers are handed on as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .coding import CodedTerm, Coding, TermPart, code_terms, factor_column, named_columns
from .errors import DataError, FormulaError
from .expressions import Numbers, Rows, check_names, evaluate
from .formula import Atom, Bar, Formula, parse_expression, parse_formula
from .frame import Column, Frame
from .grouping import GroupingFactor, Relation, relations
from .identifiability import check_identifiable
from .random_terms import RandomCoding, RandomTerm, bar_atoms, build_random_terms, code_new_random
from .response import Response, build_response
from .selection import argument_column, complete_rows, positive_weights
from .transforms import Categories, UserFunctions

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Design",
    "FixedColumn",
    "FixedTerm",
    "GroupingFactor",
    "NewDesign",
    "RandomTerm",
    "Relation",
    "Response",
    "build_design",
]

_STORES_WEIGHTS, _STORES_OFFSET = "weights", "offset"


@dataclass(frozen=True)
class FixedColumn:
    """A column of the fixed part. `values` is 1-D, of any numeric or bool dtype and stride; None is the constant 1."""

    name: str
    values: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class FixedTerm:
    """A term of the fixed part, and where its columns stand.

    Attributes
    ----------
    label : str
        "(Intercept)", "x", "f:x": as R labels it. Terms stand in R's order: by the number of their variables.
    parts : tuple of TermPart
        Its variables, none for the intercept. The columns are the products of one column of each part, the first part
        varying fastest.
    columns : tuple of int
        Positions in `Design.fixed`, redundant columns included.
    """

    label: str
    parts: tuple[TermPart, ...]
    columns: tuple[int, ...]

    @property
    def factors(self) -> frozenset[str]:
        """Its variables that hold categories."""
        return frozenset(part.text for part in self.parts if part.is_factor)

    @property
    def numbers(self) -> frozenset[str]:
        """Its variables that hold numbers."""
        return frozenset(part.text for part in self.parts if not part.is_factor)

    def is_margin_of(self, other: FixedTerm) -> bool:
        """Whether all its variables, and not only they, are in the other: ``a`` of ``a:b``, the intercept of any."""
        return self.factors | self.numbers < other.factors | other.numbers


@dataclass(frozen=True)
class NewDesign:
    """New rows, coded as the rows of the fit were. All rows are kept.

    Attributes
    ----------
    fixed : tuple of FixedColumn
    fixed_terms : tuple of FixedTerm
        With the values of the new rows in their parts.
    offset : ndarray of float64, or None
    codes : tuple of ndarray of int32
        Per grouping factor; -1 where the level was not seen in the fit, or is missing. Empty without `need_random`; the
        same holds of single factors, and of the terms below.
    unseen : tuple of pandas.Index
        Per grouping factor, the labels of levels not seen in the fit.
    random_columns : tuple of tuple of (ndarray or None)
        Per random-effects term.
    missing : ndarray of bool
        Rows with a missing value in a column needed: their other values mean nothing.
    n_rows : int
    index : pandas.Index or None
    """

    fixed: tuple[FixedColumn, ...]
    fixed_terms: tuple[FixedTerm, ...]
    offset: NDArray[np.float64] | None
    codes: tuple[NDArray[np.int32], ...]
    unseen: tuple[pd.Index, ...]
    random_columns: tuple[tuple[NDArray[Any] | None, ...], ...]
    missing: NDArray[np.bool_]
    n_rows: int
    index: pd.Index | None


@dataclass(frozen=True)
class DesignCoding:
    """All that is needed to code new data: levels and transforms' parameters, but none of the fit's data."""

    terms: Coding
    random: RandomCoding
    offset_column: str | None
    offset_given: bool
    offset_expression: Atom | None = None


@dataclass(frozen=True)
class Design:
    """The arrays of a model, with their names.

    Attributes
    ----------
    formula : Formula
    response : Response
    fixed : tuple of FixedColumn
        Redundant columns included: the core finds them.
    fixed_terms : tuple of FixedTerm
        Which columns of `fixed` belong together.
    grouping_factors : tuple of GroupingFactor
    random_terms : tuple of RandomTerm
    offset, weights : ndarray of float64, or None
    n_rows : int
        Rows used.
    n_missing : int
        Rows left out for a missing value in a column used.
    n_zero_weight : int
        Rows left out for a weight of zero (or no trials).
    rows : ndarray of int64, or None
        Positions in the user's frame of the rows used; None is all.
    index : pandas.Index or None
        The index of the rows used, when the frame is pandas'.
    coding : DesignCoding
    """

    formula: Formula
    response: Response
    fixed: tuple[FixedColumn, ...]
    fixed_terms: tuple[FixedTerm, ...]
    grouping_factors: tuple[GroupingFactor, ...]
    random_terms: tuple[RandomTerm, ...]
    offset: NDArray[np.float64] | None
    weights: NDArray[np.float64] | None
    n_rows: int
    n_missing: int
    n_zero_weight: int
    rows: NDArray[np.int64] | None
    index: pd.Index | None
    coding: DesignCoding = field(repr=False)

    @cached_property
    def relations(self) -> tuple[Relation, ...]:
        """How each pair of grouping factors relates: equal, nested or crossed."""
        return relations(self.grouping_factors)

    def code_new(
        self,
        data: Any,
        *,
        need_random: bool | Collection[str] = True,
        offset: ArrayLike | str | None = None,
    ) -> NewDesign:
        """Code new rows as the rows of the fit were.

        Parameters
        ----------
        data : data frame or dict of columns
            The response is not needed.
        need_random : bool or collection of str
            Whether to code the random effects, too, or the grouping factors for which to; the columns of the others
            may be absent.
        offset : array, number, column name or expression, optional
            In place of the fit's ``offset=`` argument. Offsets in the formula are always evaluated.

        Returns
        -------
        NewDesign

        Raises
        ------
        DataError
            A column is not there, a factor has a level that the fit did not see, a value is infinite.
        """
        return _code_new(self, data, need_random, offset)


def build_design(
    formula: str,
    data: Any,
    *,
    family: str,
    weights: ArrayLike | str | None = None,
    offset: ArrayLike | str | None = None,
    contrasts: Mapping[str, Any] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    missing: str = "drop",
) -> Design:
    """Read a formula and a data frame into the arrays of a model.

    Parameters
    ----------
    formula : str
        lme4's syntax. It is data, not code: it calls functions of formulas and those in `functions`, and no others.
    data : data frame or dict of columns
        pandas, polars, pyarrow, anything narwhals reads. It is never modified.
    family : str
        Decides what the response may be.
    weights, offset : array or column name, optional
        As long as the data. Weights are prior weights; of a binomial proportion they are the trials. An offset may also
        be an expression, such as "log(t)".
    contrasts : dict, optional
        Per factor: "treatment" (the default, of ordered factors too), "sum", "helmert", "poly", "diff", a code for each
        level (a list, or a mapping of levels to codes), or a matrix.
    functions : dict, optional
        The user's own functions, by the names that the formula calls them.
    missing : {"drop", "raise"}
        What to do with rows that have a missing value in a column used.

    Returns
    -------
    Design
    """
    if missing not in ("drop", "raise"):
        raise ValueError(f"missing is 'drop' or 'raise'; got {missing!r}")
    parsed = parse_formula(formula)
    frame = Frame(data)
    if frame.n_rows == 0:
        raise DataError("the data have no rows")
    own = UserFunctions(functions)
    used = _columns_used(parsed, frame, own)
    weight_column = argument_column(_STORES_WEIGHTS, weights, frame)
    expression, offset_columns = _offset_expression(offset, frame, own)
    offset_column = None if expression else argument_column(_STORES_OFFSET, offset, frame)
    columns = [frame[name] for name in dict.fromkeys((*used, *offset_columns))]
    columns += [column for column in (weight_column, offset_column) if column is not None]
    selected, n_missing = complete_rows(columns, frame.n_rows, missing)
    selected, n_zero_weight, weight_values = positive_weights(weight_column, selected)
    rows = Rows(frame, selected, own)

    with_trials, weight_values = build_response(parsed, rows, family, weight_values)
    if with_trials.size is not None and not with_trials.size.all():
        # Rows without trials say nothing: leave as rows of weight zero do.
        keep = np.flatnonzero(with_trials.size)
        n_zero_weight += rows.n - len(keep)
        if not len(keep):
            raise DataError(f"'{with_trials.name}' has no trials in any row")
        rows = Rows(frame, keep if selected is None else selected[keep], own)
        with_trials = Response(with_trials.name, with_trials.values[keep], with_trials.size[keep], with_trials.levels)
        weight_values = None if weight_values is None else weight_values[keep]

    coding = Coding(contrasts=_check_contrasts(contrasts, parsed), functions=own)
    values = {atom: coding.learn(atom, rows) for atom in (*parsed.fixed.atoms, *bar_atoms(parsed.bars))}
    fixed_terms = code_terms(parsed.fixed, values, coding.variables)
    offset_values = _offset(parsed, rows, coding, offset_column, expression)
    factors, random_terms, random = build_random_terms(parsed, values, coding, rows)
    single = with_trials.size is None and (weight_values is None or bool(np.all(weight_values == 1.0)))
    fixed_columns = named_columns(fixed_terms)
    check_identifiable(parsed.bars, factors, random_terms, rows.n, family, single, fixed_columns)
    index = frame.index
    return Design(
        formula=parsed,
        response=with_trials,
        fixed=tuple(FixedColumn(*c) for c in fixed_columns),
        fixed_terms=_fixed_terms(fixed_terms),
        grouping_factors=factors,
        random_terms=random_terms,
        offset=offset_values,
        weights=weight_values,
        n_rows=rows.n,
        n_missing=n_missing,
        n_zero_weight=n_zero_weight,
        rows=rows.rows,
        index=index if index is None or rows.rows is None else index.take(rows.rows),
        coding=DesignCoding(
            coding,
            random,
            offset if isinstance(offset, str) and expression is None else None,
            offset is not None and not isinstance(offset, str),
            expression,
        ),
    )


def _fixed_terms(coded: list[CodedTerm]) -> tuple[FixedTerm, ...]:
    terms, at = [], 0
    for term in coded:
        terms.append(FixedTerm(term.label, term.parts, tuple(range(at, at + len(term.columns)))))
        at += len(term.columns)
    return tuple(terms)


def _columns_used(formula: Formula, frame: Frame, functions: UserFunctions) -> list[str]:
    atoms = (*formula.response, *formula.predictor_atoms)
    names = dict.fromkeys(check_names(formula.source, atoms, frame, functions))
    names.update(dict.fromkeys(_group_columns(formula, formula.bars, frame)))
    return list(names)


def _group_columns(formula: Formula, bars: tuple[Bar, ...], frame: Frame) -> list[str]:
    atoms = []
    for bar in bars:
        bar_at = formula.source.find("|", bar.position)
        for name in bar.group:
            at = max(formula.source.find(name, bar_at), bar.position)
            atoms.append(Atom(name, name=name, variables=(name,), position=at))
    return check_names(formula.source, tuple(atoms), frame)


def _check_contrasts(contrasts: Mapping[str, Any] | None, formula: Formula) -> Mapping[str, Any]:
    if contrasts is not None and not isinstance(contrasts, Mapping):
        raise DataError(
            "contrasts must be a mapping of columns to codings, such as {'column': 'sum'}; "
            f"got {contrasts!r:.60}, of type {type(contrasts).__name__}"
        )
    contrasts = dict(contrasts or {})
    known = [atom.text for atom in formula.predictor_atoms]
    names = {*known, *(factor_column(atom) for atom in formula.predictor_atoms)}
    for name in contrasts:
        if name not in names:
            raise FormulaError(f"contrasts: the formula has no '{name}'; it has {', '.join(known) or 'no predictors'}")
    return contrasts


def _offset_expression(
    offset: ArrayLike | str | None, frame: Frame, functions: UserFunctions
) -> tuple[Atom | None, list[str]]:
    """An ``offset=`` argument that is an expression rather than a column, and the columns that it needs."""
    if not isinstance(offset, str) or offset in frame:
        return None, []
    atom = parse_expression(offset)
    if atom.name is not None:  # the name of a column that is not there, which others complain of
        return None, []
    try:
        return atom, check_names(offset, (atom,), frame, functions)
    except FormulaError as error:
        raise DataError(f"offset: {error}") from None


def _offset(
    formula: Formula,
    rows: Rows,
    coding: Coding,
    column: Column | None,
    expression: Atom | None,
    missing: Any = None,
) -> NDArray[np.float64] | None:
    """The sum of the offsets in the formula and the one given as an argument: a column, or an expression."""
    parts = []
    for atom in formula.offsets if expression is None else (*formula.offsets, expression):
        value = evaluate(atom, rows, coding.state, missing)
        if not isinstance(value, Numbers) or len(value.columns) != 1:
            raise DataError(f"offset({atom.text}) is no column of numbers")
        parts.append(value.columns[0][1])
    if column is not None:
        column = column.take(rows.rows)
        column.check_finite(rows.rows)
        assert column.values is not None
        parts.append(column.values)
    if not parts:
        return None
    total = np.array(parts[0], dtype=np.float64)
    for part in parts[1:]:
        total += part
    return total


def _code_new(
    design: Design, data: Any, need_random: bool | Collection[str], offset: ArrayLike | str | None
) -> NewDesign:
    formula, coding = design.formula, design.coding
    frame = Frame(data)
    wanted = _wanted_factors(design, need_random)
    bars = tuple(bar for bar in formula.bars if bar.group_name in wanted)
    atoms = (*formula.fixed.atoms, *formula.offsets, *(atom for bar in bars for atom in bar.terms.atoms))
    try:
        used = dict.fromkeys(check_names(formula.source, tuple(dict.fromkeys(atoms)), frame, coding.terms.functions))
        used.update(dict.fromkeys(_group_columns(formula, bars, frame)))
    except FormulaError as error:
        raise DataError(f"new data: {error}") from None
    if offset is None and coding.offset_given:
        raise DataError("the fit had an array as offset=; give the offsets of the new rows as well")
    expression, offset_column = _new_offset(coding, offset, frame, used)
    missing = np.zeros(frame.n_rows, dtype=bool)
    for column in [frame[name] for name in used] + ([] if offset_column is None else [offset_column]):
        if column.missing is not None:
            missing |= column.missing
    rows = Rows(frame, None, coding.terms.functions)
    evaluated = dict.fromkeys((*formula.fixed.atoms, *bar_atoms(bars)))
    values: dict[Atom, Numbers | Categories] = {atom: coding.terms.apply(atom, rows, missing) for atom in evaluated}
    fixed_terms = code_terms(formula.fixed, values, coding.terms.variables)
    random = code_new_random(formula, coding.random, values, coding.terms, rows, missing, wanted)
    codes, unseen, random_columns = random if wanted else ((), (), ())
    return NewDesign(
        fixed=tuple(FixedColumn(*c) for c in named_columns(fixed_terms)),
        fixed_terms=_fixed_terms(fixed_terms),
        offset=_offset(formula, rows, coding.terms, offset_column, expression, missing),
        codes=codes,
        unseen=unseen,
        random_columns=random_columns,
        missing=missing,
        n_rows=frame.n_rows,
        index=frame.index,
    )


def _new_offset(
    coding: DesignCoding, offset: ArrayLike | str | None, frame: Frame, used: dict[str, None]
) -> tuple[Atom | None, Column | None]:
    """The offset of new rows that is not in the formula: an expression, whose columns are added to `used`, or a column.

    One that is given takes the place of the fit's.
    """
    functions = coding.terms.functions
    if offset is not None:
        expression, columns = _offset_expression(offset, frame, functions)
    elif coding.offset_expression is not None:
        expression, columns = _offset_expression(coding.offset_expression.text, frame, functions)
    else:
        expression, columns = None, []
    used.update(dict.fromkeys(columns))
    if expression is not None:
        return expression, None
    given = coding.offset_column if offset is None else offset
    if given is not None and not isinstance(given, str) and np.ndim(given) == 0:
        given = np.full(frame.n_rows, given)
    return None, argument_column(_STORES_OFFSET, given, frame)


def _wanted_factors(design: Design, need_random: bool | Collection[str]) -> tuple[str, ...]:
    """Names of the grouping factors that are to be coded."""
    names = tuple(factor.name for factor in design.grouping_factors)
    if isinstance(need_random, bool):
        return names if need_random else ()
    for name in need_random:
        if name not in names:
            raise DataError(f"there is no grouping factor '{name}'; there are {', '.join(names) or 'none'}")
    return tuple(need_random)
