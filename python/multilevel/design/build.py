"""From a formula and a data frame to a design. Columns made only of numbers are handed on as they are.

What is read goes one way, each step from the ones before:

    the formula                          formula/parse
    the data, and the names used         columns/frame, names, offset
    the rows used                        columns/selection; response, where rows have no trials
    columns                              columns/coding: each variable once, then the fixed part
    random effects                       random_terms, columns/grouping
    whether data could tell them apart   identifiability
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns.coding import Coding, code_terms
from ..columns.expressions import Rows
from ..columns.frame import Frame
from ..columns.grouping import GroupingFactor
from ..columns.selection import Selection, argument_column, select_rows
from ..columns.transforms import UserFunctions
from ..errors import DataError
from ..formula.parse import Formula, parse_formula
from .choices import (
    Choices,
    alternative_choices,
    alternatives_only,
    category_choices,
    check_choice_arguments,
    check_levels_of_choices,
    crossed_factors,
    read_sets,
    whole_sets,
)
from .design import Design
from .fixed import FixedColumn, FixedTerm, fixed_part, without_intercept
from .identifiability import check_apart, check_identifiable
from .kinds import build_mixed_response, check_kinds, kind_column
from .names import checked_contrasts, column_named, columns_used
from .new_data import DesignCoding
from .offset import Offset, OffsetCoding, offset_values, read_offset
from .parts import DesignPart, read_parts
from .random_terms import RandomTerm, all_bars, bar_atoms, build_random_terms
from .read_response import build_response
from .response import Response
from .source import SourceColumn, source_columns
from .thresholds import (
    PART,
    SCALE,
    check_items,
    check_nominal,
    check_scale,
    check_scale_columns,
    make_thresholds,
    read_nominal,
    with_intercept,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from ..family.registry import Family


@dataclass(frozen=True)
class _Formulas:
    """The formulas of the mean and of the parts beside it, each with its name and the parameter that it makes."""

    mean: Formula
    beside: tuple[tuple[str, str, Formula], ...]
    ordered: bool  # whether thresholds between categories are the first part

    @property
    def all(self) -> tuple[Formula, ...]:
        return (self.mean, *(part for _, _, part in self.beside))


@dataclass(frozen=True)
class _Used:
    """The rows used, and what arguments name beside the formulas."""

    frame: Frame
    rows: Rows
    selection: Selection
    functions: UserFunctions
    offset: Offset
    offset_coding: OffsetCoding
    sets: NDArray[np.int64] | None

    def without_trials(self, response: Response) -> NDArray[np.int64] | None:
        """The rows that have trials, where others have none: these say nothing, and leave as rows of weight zero do."""
        if response.size is None or response.size.all():
            return None
        keep = np.flatnonzero(response.size)
        if not len(keep):
            raise DataError(f"'{response.name}' has no trials in any row")
        return keep

    def take(self, keep: NDArray[np.int64]) -> _Used:
        """Some of the rows; the others are counted with those of weight zero."""
        rows = Rows(self.frame, keep if self.rows.rows is None else self.rows.rows[keep], self.functions)
        n_zero_weight = self.selection.n_zero_weight + self.rows.n - len(keep)
        return replace(self, rows=rows, selection=replace(self.selection, n_zero_weight=n_zero_weight))


@dataclass(frozen=True)
class _Coded:
    """Columns: of the mean, of the parts, of the random effects."""

    fixed: tuple[FixedColumn, ...]
    fixed_terms: tuple[FixedTerm, ...]
    offset: NDArray[np.float64] | None
    parts: tuple[DesignPart, ...]
    factors: tuple[GroupingFactor, ...]
    random_terms: tuple[RandomTerm, ...]
    coding: DesignCoding

    @property
    def random_terms_of_mean(self) -> tuple[RandomTerm, ...]:
        return tuple(term for term in self.random_terms if not term.parameter)


def build_design(
    formula: str,
    data: Any,
    *,
    family: Family,
    weights: ArrayLike | str | None = None,
    offset: ArrayLike | str | None = None,
    contrasts: Mapping[str, Any] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    missing: str = "drop",
    parts: Mapping[str, str] | None = None,
    levels: Sequence[Any] | None = None,
    thresholds: str | None = None,
    nominal: str | None = None,
    choice_set: str | None = None,
    base: Any = None,
) -> Design:
    """Read a formula and a data frame into the arrays of a model.

    Parameters
    ----------
    formula : str
        lme4's syntax. It is data, not code: it calls functions of formulas and those in `functions`, and no others.
    data : data frame or dict of columns
        pandas, polars, pyarrow, anything narwhals reads. It is never modified.
    family : Family
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
    parts : mapping, optional
        Formulas of parts beside the mean by their names, "dispersion" and "zero".
    levels : sequence, optional
        Of ordered categories, in their order.
    thresholds : {"flexible", "equidistant", "symmetric"}, optional
        What ties the thresholds between ordered categories together; flexible ones are free.
    nominal : str, optional
        A formula of what moves each threshold between ordered categories by itself.
    choice_set : str, optional
        Where rows are alternatives, the column that tells which are those of one choice.
    base : label, optional
        Of categories without an order, the one that the others are compared with.

    Returns
    -------
    Design
    """
    if missing not in ("drop", "raise"):
        raise ValueError(f"missing is 'drop' or 'raise'; got {missing!r}")
    formulas = _read_formulas(formula, parts or {}, family, levels, thresholds, nominal)
    check_choice_arguments(family, choice_set, base, formulas.mean, offset is not None)
    if choice_set is not None:  # alternatives are coded as beside an intercept, though it moves them all alike
        formulas = replace(formulas, mean=with_intercept(formulas.mean))
    used = _used_rows(formulas, Frame(data), family, weights, offset, functions, missing, choice_set)
    given = used.selection.weights
    if family.kinds:
        response, row_weights = build_mixed_response(formulas.mean, used.rows, family, given)
    else:
        response, row_weights = build_response(formulas.mean, used.rows, family, given, levels)
    choices = _choices(used, family, response, row_weights, choice_set, base)
    keep = used.without_trials(response)
    if keep is not None:
        used, response = used.take(keep), response.take(keep)
        row_weights = None if row_weights is None else row_weights[keep]
    coded = _code(formulas, used, contrasts)
    _check(formulas, coded, family, response, row_weights, thresholds)
    coded, choices = _without_redundant(coded, formulas, choices)
    rows = used.rows
    return Design(
        formula=formulas.mean,
        response=response,
        fixed=coded.fixed,
        fixed_terms=coded.fixed_terms,
        grouping_factors=coded.factors,
        random_terms=coded.random_terms,
        offset=coded.offset,
        weights=row_weights,
        n_rows=rows.n,
        n_missing=used.selection.n_missing,
        n_zero_weight=used.selection.n_zero_weight,
        rows=rows.rows,
        index=rows.frame.index if rows.frame.index is None or rows.rows is None else rows.frame.index.take(rows.rows),
        coding=coded.coding,
        parts=coded.parts,
        thresholds=make_thresholds(thresholds or "flexible", response.levels or (), family.most_thresholds)
        if formulas.ordered
        else None,
        source=_source(formulas, used, family),
        choices=choices,
    )


def _read_formulas(
    formula: str,
    parts: Mapping[str, str],
    family: Family,
    levels: Sequence[Any] | None,
    thresholds: str | None,
    nominal: str | None,
) -> _Formulas:
    mean = parse_formula(formula)
    beside = read_parts(parts, family)
    of_thresholds = read_nominal(nominal, family)
    if of_thresholds is None:
        if (levels is not None and family.name != "multinomial") or thresholds is not None:
            raise DataError(f"levels= and thresholds= go with ordered categories; the family is {family.name}")
        return _Formulas(mean, beside, ordered=False)
    for name, _, part in beside:
        if name == SCALE:
            check_scale(part)
    beside = tuple((name, own, with_intercept(part)) for name, own, part in beside)
    first = (PART, family.parameters[0].name, of_thresholds)
    return _Formulas(with_intercept(mean), (first, *beside), ordered=True)


def _used_rows(
    formulas: _Formulas,
    frame: Frame,
    family: Family,
    weights: ArrayLike | str | None,
    offset: ArrayLike | str | None,
    functions: Mapping[str, Callable[..., Any]] | None,
    missing: str,
    choice_set: str | None,
) -> _Used:
    """The rows that have a value in every column used."""
    if frame.n_rows == 0:
        raise DataError("the data have no rows")
    own = UserFunctions(functions)
    mean = formulas.mean
    used = columns_used(mean, (*mean.response, *mean.predictor_atoms), mean.bars, frame, own)
    if family.kinds:
        used.append(kind_column(family, frame))
    for _, _, part in formulas.beside:
        used += columns_used(part, part.predictor_atoms, part.bars, frame, own)
    weight_column = argument_column("weights", weights, frame)
    given_offset, offset_coding = read_offset(offset, frame, own)
    if choice_set is not None:
        used.append(column_named(choice_set, "choice_set", frame))
    columns = [frame[name] for name in dict.fromkeys((*used, *given_offset.needs))]
    columns += [column for column in (weight_column, given_offset.column) if column is not None]
    selection = select_rows(columns, frame.n_rows, missing, weight_column)
    sets = None if choice_set is None else read_sets(choice_set, frame)
    if sets is not None:
        selection = whole_sets(selection, sets, frame.n_rows)
    return _Used(frame, Rows(frame, selection.rows, own), selection, own, given_offset, offset_coding, sets)


def _choices(
    used: _Used,
    family: Family,
    response: Response,
    weights: NDArray[np.float64] | None,
    choice_set: str | None,
    base: Any,
) -> Choices | None:
    if used.sets is not None and choice_set is not None:
        own = used.sets if used.rows.rows is None else used.sets[used.rows.rows]
        return alternative_choices(choice_set, own, response, weights, used.rows)
    return category_choices(response, base) if family.support == "choices" else None


def _code(formulas: _Formulas, used: _Used, contrasts: Mapping[str, Any] | None) -> _Coded:
    """Each variable once, then the columns that terms make of them."""
    rows = used.rows
    coding = Coding(contrasts=checked_contrasts(contrasts, formulas.all), functions=used.functions)
    bars = all_bars(formulas.mean, formulas.beside)
    atoms = (*(atom for each in formulas.all for atom in each.fixed.atoms), *bar_atoms([own.bar for own in bars]))
    values = {atom: coding.learn(atom, rows) for atom in dict.fromkeys(atoms)}
    fixed, fixed_terms = fixed_part(code_terms(formulas.mean.fixed, values, coding.variables))
    offset = offset_values(formulas.mean, used.offset, rows, coding.state)
    parts = tuple(
        DesignPart(
            name,
            parameter,
            part,
            *fixed_part(code_terms(part.fixed, values, coding.variables)),
            offset_values(part, Offset(), rows, coding.state),
        )
        for name, parameter, part in formulas.beside
    )
    factors, random_terms, random_coding = build_random_terms(bars, values, coding, rows)
    own = DesignCoding(coding, random_coding, used.offset_coding)
    return _Coded(fixed, fixed_terms, offset, parts, factors, random_terms, own)


def _check(
    formulas: _Formulas,
    coded: _Coded,
    family: Family,
    response: Response,
    weights: NDArray[np.float64] | None,
    thresholds: str | None,
) -> None:
    """Refuses what no data could tell apart."""
    bars, of_mean = formulas.mean.bars, coded.random_terms_of_mean
    single = response.size is None and (weights is None or bool(np.all(weights == 1.0)))
    if formulas.ordered:
        check_nominal(coded.fixed, coded.parts[0].fixed)
        if thresholds in (None, "flexible"):
            check_items(coded.random_terms, coded.parts[0].fixed, response.values, response.levels or ())
    check_identifiable(bars, coded.factors, of_mean, len(response.values), family, single, coded.fixed)
    every = all_bars(formulas.mean, formulas.beside)
    for name, _, part in formulas.beside:
        own_terms = [term for own, term in zip(every, coded.random_terms, strict=True) if own.part == name]
        check_apart(part.bars, coded.factors, own_terms)
    if family.kinds:
        check_kinds(bars, coded.factors, of_mean, family, response, weights)


def _without_redundant(coded: _Coded, formulas: _Formulas, choices: Choices | None) -> tuple[_Coded, Choices | None]:
    """Without the constants that thresholds are; of choices a column per category, or those that alternatives move."""
    if formulas.ordered:
        fixed, fixed_terms = without_intercept(coded.fixed, coded.fixed_terms)
        parts = tuple(own.without_intercept() if own.name == SCALE else own for own in coded.parts)
        for of_scale in parts[1:]:
            check_scale_columns(of_scale.fixed)
        return replace(coded, fixed=fixed, fixed_terms=fixed_terms, parts=parts), choices
    if choices is None:
        return coded, None
    if choices.by_category:
        fixed, fixed_terms = choices.spread_fixed(coded.fixed, coded.fixed_terms)
        random_terms = choices.spread_random(coded.random_terms)
    else:
        check_levels_of_choices(choices, coded.factors)
        fixed, fixed_terms, random_terms, choices = alternatives_only(
            choices,
            coded.fixed,
            coded.fixed_terms,
            coded.random_terms,
            crossed_factors(choices, coded.factors),
        )
    return replace(coded, fixed=fixed, fixed_terms=fixed_terms, random_terms=random_terms), choices


def _source(formulas: _Formulas, used: _Used, family: Family) -> tuple[SourceColumn, ...]:
    argument = () if used.offset_coding.column is None else (used.offset_coding.column,)
    kinds = (kind_column(family, used.frame),) if family.kinds else ()
    predictors = (atom for each in formulas.all for atom in each.predictor_atoms)
    return source_columns(predictors, (*used.offset.needs, *argument, *kinds), used.rows)
