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

from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns.coding import Coding, code_terms
from ..columns.expressions import Rows
from ..columns.frame import Frame
from ..columns.selection import argument_column, select_rows
from ..columns.transforms import UserFunctions
from ..errors import DataError
from ..formula.parse import parse_formula
from .choices import (
    alternative_choices,
    alternatives_only,
    category_choices,
    check_choice_arguments,
    check_within_groups,
    read_sets,
    whole_sets,
)
from .design import Design
from .fixed import fixed_part, without_intercept
from .identifiability import check_apart, check_identifiable
from .kinds import build_mixed_response, check_kinds, kind_column
from .names import checked_contrasts, column_named, columns_used
from .new_data import DesignCoding
from .offset import Offset, offset_values, read_offset
from .parts import DesignPart, read_parts
from .random_terms import all_bars, bar_atoms, build_random_terms
from .read_response import build_response
from .source import source_columns
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

    from numpy.typing import ArrayLike

    from ..family.registry import Family


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
    parsed = parse_formula(formula)
    beside = read_parts(parts or {}, family)
    of_thresholds = read_nominal(nominal, family)
    if of_thresholds is not None:
        parsed = with_intercept(parsed)
        for name, _, part in beside:
            if name == SCALE:
                check_scale(part)
        beside = tuple((name, own, with_intercept(part)) for name, own, part in beside)
        beside = ((PART, family.parameters[0].name, of_thresholds), *beside)
    elif (levels is not None and family.name != "multinomial") or thresholds is not None:
        raise DataError(f"levels= and thresholds= go with ordered categories; the family is {family.name}")
    check_choice_arguments(family, choice_set, base, parsed, offset is not None)
    if choice_set is not None:
        parsed = with_intercept(parsed)  # alternatives are coded as beside one, though it moves them all alike

    frame = Frame(data)
    if frame.n_rows == 0:
        raise DataError("the data have no rows")
    own = UserFunctions(functions)
    used = columns_used(parsed, (*parsed.response, *parsed.predictor_atoms), parsed.bars, frame, own)
    if family.kinds:
        used.append(kind_column(family, frame))
    for _, _, part in beside:
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
    rows = Rows(frame, selection.rows, own)
    if family.kinds:
        response, row_weights = build_mixed_response(parsed, rows, family, selection.weights)
    else:
        response, row_weights = build_response(parsed, rows, family, selection.weights, levels)
    n_zero_weight = selection.n_zero_weight
    choices = None
    if sets is not None and choice_set is not None:
        own_sets = sets if rows.rows is None else sets[rows.rows]
        choices = alternative_choices(choice_set, own_sets, response, row_weights, rows)
    elif family.support == "choices":
        choices = category_choices(response, base)
    if response.size is not None and not response.size.all():
        # Rows without trials say nothing: they leave as rows of weight zero do.
        keep = np.flatnonzero(response.size)
        if not len(keep):
            raise DataError(f"'{response.name}' has no trials in any row")
        n_zero_weight += rows.n - len(keep)
        rows = Rows(frame, keep if rows.rows is None else rows.rows[keep], own)
        response = response.take(keep)
        row_weights = None if row_weights is None else row_weights[keep]

    formulas = (parsed, *(part for _, _, part in beside))
    coding = Coding(contrasts=checked_contrasts(contrasts, formulas), functions=own)
    bars = all_bars(parsed, beside)
    atoms = (*(atom for each in formulas for atom in each.fixed.atoms), *bar_atoms([own.bar for own in bars]))
    values = {atom: coding.learn(atom, rows) for atom in dict.fromkeys(atoms)}
    fixed, fixed_terms = fixed_part(code_terms(parsed.fixed, values, coding.variables))
    offsets = offset_values(parsed, given_offset, rows, coding.state)
    design_parts = tuple(
        DesignPart(
            name,
            parameter,
            part,
            *fixed_part(code_terms(part.fixed, values, coding.variables)),
            offset_values(part, Offset(), rows, coding.state),
        )
        for name, parameter, part in beside
    )
    factors, random_terms, random_coding = build_random_terms(bars, values, coding, rows)
    single = response.size is None and (row_weights is None or bool(np.all(row_weights == 1.0)))
    if of_thresholds is not None:
        check_nominal(fixed, design_parts[0].fixed)
        if thresholds in (None, "flexible"):
            check_items(random_terms, design_parts[0].fixed, response.values, response.levels or ())
    of_mean = tuple(term for term in random_terms if not term.parameter)
    check_identifiable(parsed.bars, factors, of_mean, rows.n, family, single, fixed)
    for name, _, part in beside:
        own_terms = [term for own, term in zip(bars, random_terms, strict=True) if own.part == name]
        check_apart(part.bars, factors, own_terms)
    if family.kinds:
        check_kinds(parsed.bars, factors, of_mean, family, response, row_weights)
    if of_thresholds is not None:
        fixed, fixed_terms = without_intercept(fixed, fixed_terms)
        design_parts = tuple(own.without_intercept() if own.name == SCALE else own for own in design_parts)
        for of_scale in design_parts[1:]:
            check_scale_columns(of_scale.fixed)
    if choices is not None and choices.by_category:
        fixed, fixed_terms = choices.spread_fixed(fixed, fixed_terms)
        random_terms = choices.spread_random(random_terms)
    elif choices is not None:
        check_within_groups(choices, factors)
        fixed, fixed_terms, random_terms, choices = alternatives_only(choices, fixed, fixed_terms, random_terms)
    argument = () if offset_coding.column is None else (offset_coding.column,)
    of_kinds = (kind_column(family, frame),) if family.kinds else ()
    predictors = (atom for each in formulas for atom in each.predictor_atoms)
    return Design(
        formula=parsed,
        response=response,
        fixed=fixed,
        fixed_terms=fixed_terms,
        grouping_factors=factors,
        random_terms=random_terms,
        offset=offsets,
        weights=row_weights,
        n_rows=rows.n,
        n_missing=selection.n_missing,
        n_zero_weight=n_zero_weight,
        rows=rows.rows,
        index=frame.index if frame.index is None or rows.rows is None else frame.index.take(rows.rows),
        coding=DesignCoding(coding, random_coding, offset_coding),
        parts=design_parts,
        thresholds=None
        if of_thresholds is None
        else make_thresholds(thresholds or "flexible", response.levels or (), family.most_thresholds),
        source=source_columns(predictors, (*given_offset.needs, *argument, *of_kinds), rows),
        choices=choices,
    )
