"""Designs made of rows of another: levels of a grouping factor drawn with repetition, or left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..columns.grouping import GroupingFactor
from ..errors import DataError
from .choices import crossed_factors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .design import Design


def take_rows(design: Design, rows: NDArray[np.int64], drawn: NDArray[np.int64] | None = None, at: int = -1) -> Design:
    """The design of these rows, in this order.

    Parameters
    ----------
    design : Design
    rows : ndarray of int64, (m,)
        Positions among the rows used; the same may come several times.
    drawn : ndarray of int64, (m,), optional
        Which draw of a level each row belongs to. Each draw is a level of its own: of the grouping factor `at`, and of
        those nested in it, whose levels come with it. Of factors that cross it the levels stay what they are.
    at : int
        A grouping factor.

    Returns
    -------
    Design
        Without labels of rows; levels that no row has are not there.
    """

    def column(values: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if values is None else np.ascontiguousarray(values[rows])

    factors = []
    for k, factor in enumerate(design.grouping_factors):
        codes = factor.codes[rows].astype(np.int64)
        if drawn is not None and (k == at or is_nested(design, k, at)):
            codes = codes + len(factor.levels) * drawn
        new, kept = np.unique(codes, return_inverse=True)
        factors.append(GroupingFactor(factor.name, pd.RangeIndex(len(new)), kept.astype(np.int32)))
    return replace(
        design,
        choices=None if design.choices is None else design.choices.take(rows, drawn),
        response=design.response.take(rows),
        fixed=tuple(replace(own, values=column(own.values)) for own in design.fixed),
        grouping_factors=tuple(factors),
        random_terms=tuple(
            replace(term, columns=tuple(column(values) for values in term.columns)) for term in design.random_terms
        ),
        offset=column(design.offset),
        weights=column(design.weights),
        n_rows=len(rows),
        rows=None,
        index=None,
        parts=tuple(
            replace(
                part,
                fixed=tuple(replace(own, values=column(own.values)) for own in part.fixed),
                offset=column(part.offset),
            )
            for part in design.parts
        ),
    )


def rows_of_levels(
    design: Design, at: int, levels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Rows of these levels of a grouping factor, draw by draw, and the draw that each belongs to.

    Where `at` is -1 they are rows, or sets of them that are alternatives of one choice.
    """
    if at in crossed_factors(design.choices, design.grouping_factors):
        raise DataError(
            f"the alternatives of a set have different levels of '{design.grouping_factors[at].name}', which cannot be "
            "drawn or left out without breaking sets; take the levels of another grouping factor, or the parametric "
            "bootstrap"
        )
    codes = _sets(design) if at < 0 else design.grouping_factors[at].codes
    if codes is None:
        return levels, None
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes, minlength=n_units(design, at))
    starts = np.concatenate([[0], np.cumsum(counts)])
    rows = np.concatenate([order[starts[level] : starts[level + 1]] for level in levels])
    return rows, np.repeat(np.arange(len(levels)), counts[levels])


def n_units(design: Design, at: int) -> int:
    """How many levels a grouping factor has, or how many rows, or sets of them, there are where `at` is -1."""
    if at >= 0:
        return len(design.grouping_factors[at].levels)
    return design.n_rows if design.choices is None or design.choices.sets is None else design.choices.n_sets


def _sets(design: Design) -> NDArray[np.int32] | None:
    return None if design.choices is None else design.choices.sets


def take_levels(design: Design, at: int, levels: NDArray[np.int64]) -> Design:
    """The design of these levels of a grouping factor, which may come several times; of these rows where `at` is -1."""
    rows, drawn = rows_of_levels(design, at, levels)
    return take_rows(design, rows, drawn, at)


def is_nested(design: Design, inner: int, outer: int) -> bool:
    """Whether each level of a grouping factor lies in one level of another."""
    for relation in design.relations:
        if set(relation.positions) == {inner, outer} and relation.kind in ("nested", "equal"):
            return len(design.grouping_factors[inner].levels) >= len(design.grouping_factors[outer].levels)
    return False


def unit_of_resampling(design: Design, group: str | None) -> int:
    """The grouping factor whose levels are independent of each other; -1 for rows, where there is none.

    Raises
    ------
    DataError
        There is no such factor, or none is asked for where several cross.
    """
    factors = design.grouping_factors
    names = [factor.name for factor in factors]
    if group is not None:
        if group not in names:
            known = ", ".join(map(repr, names)) or "none"
            raise DataError(f"group={group!r} is no grouping factor of the model; grouping factors: {known}")
        return names.index(group)
    for k in range(len(factors)):
        if all(k == other or is_nested(design, other, k) for other in range(len(factors))):
            return k
    if not factors:
        return -1
    raise DataError(
        f"the grouping factors {', '.join(map(repr, names))} cross, so that no levels are independent of each other: "
        "give group= the one whose levels are to be resampled; those of the others keep their effects"
    )
