"""From a formula and a data frame to arrays with names: what the core fits, and how new data are coded the same way.

    formula.py (formula_algebra.py, formula_tokens.py)   the text, read
    frame.py                                             columns of any data frame, never copied
    transforms.py, coding.py                             expressions, factors, contrasts -> columns
    response.py, grouping.py                             the left-hand side; the levels
    design.py                                            all of it together (this file)

No statistics here. Columns made only of numbers are handed on as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .coding import Categories, Coding, Numbers, Rows, check_names, code_terms, evaluate, factor_column
from .errors import DataError, FormulaError
from .formula import Atom, Bar, Formula, parse_formula
from .frame import Column, Frame, read_column, row_text
from .grouping import GroupCoding, GroupingFactor, build_grouping_factor
from .response import Response, build_response

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Design", "FixedColumn", "GroupingFactor", "NewDesign", "RandomTerm", "Response", "build_design"]

_STORES_WEIGHTS, _STORES_OFFSET = "weights", "offset"


@dataclass(frozen=True)
class FixedColumn:
    """A column of the fixed part. `values` is 1-D, of any numeric or bool dtype and stride; None is the constant 1."""

    name: str
    values: NDArray[Any] | None


@dataclass(frozen=True)
class RandomTerm:
    """One random-effects term: its columns (None is the constant 1) and the index of its grouping factor."""

    grouping_factor: int
    names: tuple[str, ...]
    columns: tuple[NDArray[Any] | None, ...]
    structure: str


@dataclass(frozen=True)
class NewDesign:
    """New rows, coded as the rows of the fit were. All rows are kept.

    Attributes
    ----------
    fixed : tuple of FixedColumn
    offset : ndarray of float64, or None
    codes : tuple of ndarray of int32
        Per grouping factor; -1 where the level was not seen in the fit, or is missing. Empty without `need_random`.
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
    groups: tuple[GroupCoding, ...]
    offset_column: str | None
    offset_given: bool


@dataclass(frozen=True)
class Design:
    """The arrays of a model, with their names.

    Attributes
    ----------
    formula : Formula
    response : Response
    fixed : tuple of FixedColumn
        Redundant columns included: the core finds them.
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

    def code_new(self, data: Any, *, need_random: bool = True, offset: ArrayLike | str | None = None) -> NewDesign:
        """Code new rows as the rows of the fit were.

        Parameters
        ----------
        data : data frame or dict of columns
            The response is not needed.
        need_random : bool
            Whether to code the random effects, too; if not, their columns may be absent.
        offset : array or column name, optional
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
    missing: str = "drop",
) -> Design:
    """Read a formula and a data frame into the arrays of a model.

    Parameters
    ----------
    formula : str
        lme4's syntax. A formula is code: never take one from a stranger.
    data : data frame or dict of columns
        pandas, polars, pyarrow, anything narwhals reads. It is never modified.
    family : str
        Decides what the response may be.
    weights, offset : array or column name, optional
        As long as the data. Weights are prior weights; of a binomial proportion they are the trials.
    contrasts : dict, optional
        Per factor: "treatment" (the default, of ordered factors too), "sum", "helmert", "poly", "diff", or a matrix.
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
    used = _columns_used(parsed, frame)
    weight_column = _argument_column(_STORES_WEIGHTS, weights, frame)
    offset_column = _argument_column(_STORES_OFFSET, offset, frame)
    columns = [frame[name] for name in used]
    columns += [column for column in (weight_column, offset_column) if column is not None]
    selected, n_missing = _complete_rows(columns, frame.n_rows, missing)
    selected, n_zero_weight, weight_values = _positive_weights(weight_column, selected)
    rows = Rows(frame, selected)

    with_trials, weight_values = build_response(parsed, rows, family, weight_values)
    if with_trials.size is not None and not with_trials.size.all():
        # Rows without trials say nothing: leave as rows of weight zero do.
        keep = np.flatnonzero(with_trials.size)
        n_zero_weight += rows.n - len(keep)
        if not len(keep):
            raise DataError(f"'{with_trials.name}' has no trials in any row")
        rows = Rows(frame, keep if selected is None else selected[keep])
        with_trials = Response(with_trials.name, with_trials.values[keep], with_trials.size[keep], with_trials.levels)
        weight_values = None if weight_values is None else weight_values[keep]

    coding = Coding(contrasts=_check_contrasts(contrasts, parsed))
    values = {atom: coding.learn(atom, rows) for atom in (*parsed.fixed.atoms, *_bar_atoms(parsed.bars))}
    fixed = tuple(FixedColumn(*c) for c in code_terms(parsed.fixed, values, coding.variables))
    offset_values = _offset(parsed, rows, coding, offset_column)
    factors, groups = _grouping_factors(parsed.bars, rows)
    position = {factor.name: i for i, factor in enumerate(factors)}
    random_terms = []
    for bar in parsed.bars:
        named = code_terms(bar.terms, values, coding.variables)
        names, arrays = tuple(n for n, _ in named), tuple(c for _, c in named)
        random_terms.append(RandomTerm(position[bar.group_name], names, arrays, bar.structure))
        for name, values_of in named:
            if values_of is not None and not values_of.any():
                raise DataError(f"the random-effects column '{name}' of {bar.text} is zero in every row; remove it")
        single = with_trials.size is None and (weight_values is None or bool(np.all(weight_values == 1.0)))
        _check_identified(bar, factors[position[bar.group_name]], len(names), rows.n, family, single)
    index = frame.index
    return Design(
        formula=parsed,
        response=with_trials,
        fixed=fixed,
        grouping_factors=factors,
        random_terms=tuple(random_terms),
        offset=offset_values,
        weights=weight_values,
        n_rows=rows.n,
        n_missing=n_missing,
        n_zero_weight=n_zero_weight,
        rows=rows.rows,
        index=index if index is None or rows.rows is None else index.take(rows.rows),
        coding=DesignCoding(
            coding,
            groups,
            offset if isinstance(offset, str) else None,
            offset is not None and not isinstance(offset, str),
        ),
    )


def _bar_atoms(bars: tuple[Bar, ...]) -> tuple[Atom, ...]:
    return tuple(dict.fromkeys(atom for bar in bars for atom in bar.terms.atoms))


def _columns_used(formula: Formula, frame: Frame) -> list[str]:
    names = dict.fromkeys(check_names(formula, (*formula.response, *formula.predictor_atoms), frame))
    names.update(dict.fromkeys(_group_columns(formula, frame)))
    return list(names)


def _group_columns(formula: Formula, frame: Frame) -> list[str]:
    atoms = []
    for bar in formula.bars:
        bar_at = formula.source.find("|", bar.position)
        for name in bar.group:
            at = max(formula.source.find(name, bar_at), bar.position)
            atoms.append(Atom(name, name=name, variables=(name,), position=at))
    return check_names(formula, tuple(atoms), frame)


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


def _argument_column(argument: str, values: ArrayLike | str | None, frame: Frame) -> Column | None:
    """The `weights` or `offset` argument as a column of numbers."""
    if values is None:
        return None
    if isinstance(values, str):
        if values not in frame:
            raise DataError(f"{argument}='{values}': the data have no such column{frame.nearest(values)}")
        column = frame[values]
        name = f"{argument} '{values}'"
    else:
        column = read_column(argument, values)
        name = argument
        if len(column) != frame.n_rows:
            raise DataError(f"{argument} has {len(column)} values for {frame.n_rows} rows of data")
        if isinstance(values, pd.Series) and frame.index is not None and not values.index.equals(frame.index):
            column = read_column(argument, _aligned(argument, values, frame.index))
    if column.kind not in ("number", "bool"):
        raise DataError(
            f"{name} holds {'categories' if column.kind == 'category' else 'no numbers'}; a number is needed"
        )
    return column


def _aligned(argument: str, values: pd.Series, index: pd.Index) -> pd.Series:
    """A series in the order of the frame's index, where both have the same labels, each once."""
    if values.index.is_unique and index.is_unique:
        order = values.index.get_indexer(index)
        if (order >= 0).all():
            return values.iloc[order]
    raise DataError(
        f"the index of {argument} differs from the frame's; give {argument} as the name of a column, "
        "or as .to_numpy() if its values stand in the order of the rows"
    )


def _complete_rows(columns: list[Column], n: int, missing: str) -> tuple[NDArray[np.int64] | None, int]:
    """Positions of the rows that have every value (None is all), and how many have not."""
    lacking = [column for column in columns if column.missing is not None]
    if not lacking:
        return None, 0
    if missing == "raise":
        column = lacking[0]
        assert column.missing is not None
        at = np.flatnonzero(column.missing)
        shown = ", ".join(str(i) for i in at[:5]) + (", ..." if len(at) > 5 else "")
        others = f"; so do {', '.join(repr(c.name) for c in lacking[1:])}" if len(lacking) > 1 else ""
        raise DataError(
            f"column '{column.name}' has {len(at)} missing value{'s' * (len(at) != 1)}, "
            f"in row {shown} (counted from 0){others}"
        )
    dropped = np.zeros(n, dtype=bool)
    for column in lacking:
        assert column.missing is not None
        dropped |= column.missing
    rows = np.flatnonzero(~dropped)
    if not len(rows):
        worst = sorted(((int(c.missing.sum()), c.name) for c in lacking if c.missing is not None), reverse=True)
        shown = ", ".join(f"'{name}' lacks {count} of {n}" for count, name in worst[:4])
        raise DataError(f"no rows are left after dropping those with missing values: {shown}")
    return rows, n - len(rows)


def _positive_weights(
    column: Column | None, rows: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64] | None, int, NDArray[np.float64] | None]:
    """Drop rows of weight zero, too: rows, how many were dropped, and the weights left."""
    if column is None:
        return rows, 0, None
    column = column.take(rows)
    column.check_finite(rows)
    assert column.values is not None
    weights = np.ascontiguousarray(column.values, dtype=np.float64)
    negative = np.flatnonzero(weights < 0)
    if len(negative):
        raise DataError(
            f"weights: '{column.name}' is {weights[negative[0]]:g} in {row_text(negative[0], rows)}; "
            "a weight cannot be negative"
        )
    keep = np.flatnonzero(weights)
    if len(keep) == len(weights):
        return rows, 0, weights
    if not len(keep):
        raise DataError("every weight is zero")
    return (keep if rows is None else rows[keep]), len(weights) - len(keep), weights[keep]


def _offset(
    formula: Formula, rows: Rows, coding: Coding, column: Column | None, missing: Any = None
) -> NDArray[np.float64] | None:
    """The sum of the offsets in the formula and the one given as an argument."""
    parts = []
    for atom in formula.offsets:
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


def _grouping_factors(bars: tuple[Bar, ...], rows: Rows) -> tuple[tuple[GroupingFactor, ...], tuple[GroupCoding, ...]]:
    built: dict[tuple[str, ...], tuple[GroupingFactor, GroupCoding]] = {}
    for bar in bars:
        if bar.group not in built:
            built[bar.group] = build_grouping_factor(bar.group, rows)
    return tuple(f for f, _ in built.values()), tuple(c for _, c in built.values())


def _check_identified(bar: Bar, factor: GroupingFactor, n_columns: int, n_rows: int, family: str, single: bool) -> None:
    """As many effects as rows cannot be told from residuals, nor as many levels as rows from `single` trials."""
    n_levels = len(factor.levels)
    if family == "binomial" and single and n_levels >= n_rows:
        raise DataError(
            f"{bar.text}: '{factor.name}' has {n_levels} levels in {n_rows} rows of one trial each, "
            "so its effects cannot be told from the spread of the trials"
        )
    if family != "gaussian":
        return
    if n_levels >= n_rows:
        raise DataError(
            f"{bar.text}: '{factor.name}' has {n_levels} levels in {n_rows} rows, "
            "so its effects cannot be told from the residuals"
        )
    if n_levels * n_columns >= n_rows:
        raise DataError(
            f"{bar.text} has {n_levels * n_columns} random effects ({n_levels} levels of '{factor.name}' times "
            f"{n_columns}) for {n_rows} rows: they cannot be told from the residuals; use fewer columns before the bar"
        )


def _code_new(design: Design, data: Any, need_random: bool, offset: ArrayLike | str | None) -> NewDesign:
    formula, coding = design.formula, design.coding
    frame = Frame(data)
    atoms = (*formula.fixed.atoms, *formula.offsets, *(_bar_atoms(formula.bars) if need_random else ()))
    try:
        used = dict.fromkeys(check_names(formula, tuple(dict.fromkeys(atoms)), frame))
        if need_random:
            used.update(dict.fromkeys(_group_columns(formula, frame)))
    except FormulaError as error:
        raise DataError(f"new data: {error}") from None
    if offset is None and coding.offset_given:
        raise DataError("the fit had an array as offset=; give the offsets of the new rows as well")
    offset_column = _argument_column(_STORES_OFFSET, coding.offset_column if offset is None else offset, frame)
    missing = np.zeros(frame.n_rows, dtype=bool)
    for column in [frame[name] for name in used] + ([] if offset_column is None else [offset_column]):
        if column.missing is not None:
            missing |= column.missing
    rows = Rows(frame, None)
    evaluated = dict.fromkeys((*formula.fixed.atoms, *(_bar_atoms(formula.bars) if need_random else ())))
    values: dict[Atom, Numbers | Categories] = {atom: coding.terms.apply(atom, rows, missing) for atom in evaluated}
    variables = coding.terms.variables
    fixed = tuple(FixedColumn(*c) for c in code_terms(formula.fixed, values, variables))
    codes, unseen, random_columns = [], [], []
    if need_random:
        for group in coding.groups:
            group_codes, group_unseen = group.apply(rows, missing)
            codes.append(group_codes)
            unseen.append(group_unseen)
        for bar in formula.bars:
            random_columns.append(tuple(c for _, c in code_terms(bar.terms, values, variables)))
    return NewDesign(
        fixed=fixed,
        offset=_offset(formula, rows, coding.terms, offset_column, missing),
        codes=tuple(codes),
        unseen=tuple(unseen),
        random_columns=tuple(random_columns),
        missing=missing,
        n_rows=frame.n_rows,
        index=frame.index,
    )
