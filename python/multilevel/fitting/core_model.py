"""The core's model, from a design: the one place that hands arrays over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multilevel import _core

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from ..design.choices import Choices
    from ..design.design import Design
    from ..family.parameters import Parameter
    from ..family.registry import Family


def build_core(design: Design, family: Family, threads: int = 0) -> _core.Model:
    """The core's model: rows sorted by cluster, columns scaled, redundant columns found."""
    if design.choices is not None:
        return _build_choices(design, design.choices, family, threads)
    return _core.Model(
        family.core_name,
        family.link,
        design.n_rows,
        design.response.second,
        design.weights,
        design.offset,
        [column.values for column in design.fixed],
        [factor.codes for factor in design.grouping_factors],
        [len(factor.levels) for factor in design.grouping_factors],
        [(term.grouping_factor, list(term.columns), term.structure) for term in design.random_terms],
        threads,
        [_phi(design, family, parameter) for parameter in family.parameters],
        [_variable(family, term.parameter) for term in design.random_terms],
        family.zero,
        family._core if family.in_python or family.kinds else None,
        np.zeros((0, 0)) if design.thresholds is None else design.thresholds.matrix,
    )


def core_response(design: Design) -> NDArray[np.float64]:
    """The response as the core takes it: a number for each of its rows."""
    values = design.response.values
    return values if design.choices is None else design.choices.response_of(values)


def _build_choices(design: Design, choices: Choices, family: Family, threads: int) -> _core.Model:
    """The same where rows are alternatives, or each row is as many as there are categories."""
    n, fixed = design.n_rows, [column.values for column in design.fixed]
    columns = choices.columns_of(fixed, n)
    return _core.Model(
        family.core_name,
        family.link,
        n * max(1, len(choices.categories)),
        None,
        None if design.weights is None else choices.rows_of(design.weights),
        design.offset,
        columns,
        [choices.rows_of(factor.codes) for factor in design.grouping_factors],
        [len(factor.levels) for factor in design.grouping_factors],
        [(term.grouping_factor, choices.columns_of(term.columns, n), term.structure) for term in design.random_terms],
        threads,
        sets=choices.sets_of(n),
        centres=choices.centres_of(fixed),
    )


def _variable(family: Family, parameter: str) -> int:
    """What a term belongs to: zero is the mean."""
    return 1 + [own.name for own in family.parameters].index(parameter) if parameter else 0


def _phi(
    design: Design, family: Family, parameter: Parameter
) -> tuple[list[NDArray[Any] | None], NDArray[np.float64] | None, float | None]:
    """Columns and offset of what makes one of the family's parameters, or its given value; nothing for a constant."""
    if parameter.part == "kind":
        assert design.response.kinds is not None
        return [], design.response.kinds.astype(np.float64), 0.0
    if parameter.name in family.given:
        return [], None, parameter.phi(family.given[parameter.name])
    for part in design.parts:
        if part.parameter == parameter.name:
            return [column.values for column in part.fixed], part.offset, None
    return [], None, None
