"""Kinds of rows, each with a family of its own: which rows are of which, and their responses, kind by kind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..columns.expressions import Numbers, Rows, evaluate
from ..columns.levels import label_of, positions
from ..errors import DataError
from ..family.mixed import MixedFamily
from ..family.registry import Family
from ..formula.structures import rank_of
from .read_response import build_response
from .response import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..columns.frame import Frame
    from ..columns.grouping import GroupingFactor
    from ..formula.parse import Formula
    from ..formula.terms import Bar
    from .random_terms import RandomTerm


def kind_column(family: Family, frame: Frame) -> str:
    """The name of the column with the kinds.

    Raises
    ------
    DataError
        The data have no such column.
    """
    assert isinstance(family, MixedFamily)
    if family.column not in frame:
        raise DataError(
            f"the data have no column '{family.column}', which says of which kind a row is"
            f"{frame.nearest(family.column)}"
        )
    return family.column


def codes_of_rows(family: Family, rows: Rows, missing: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """The number of each row's kind; -1 where it is missing.

    Raises
    ------
    DataError
        A row is of a kind that has no family.
    """
    assert isinstance(family, MixedFamily)
    codes, levels = rows[kind_column(family, rows.frame)].categories("a kind of rows", whole=False)
    table = np.append(positions(family.levels, levels), -1)
    found = table[codes]
    lost = (found < 0) & (codes >= 0)
    if missing is not None:
        lost &= ~missing
    if lost.any():
        row = int(np.argmax(lost))
        raise DataError(
            f"'{family.column}' is {label_of(levels[codes[row]])!r} in {rows.at(row)}, a kind that has no family "
            f"(families are there for {', '.join(map(repr, family.kinds))})"
        )
    return found.astype(np.int64)


def build_mixed_response(
    formula: Formula, rows: Rows, family: Family, weights: NDArray[np.float64] | None
) -> tuple[Response, NDArray[np.float64] | None]:
    """The response, each kind's read as its family reads one, and the weights that are left.

    Raises
    ------
    DataError
        A kind has no rows; values that the family of a row's kind cannot take, with the kind's name.
    """
    assert isinstance(family, MixedFamily)
    kinds = codes_of_rows(family, rows)
    values, size, other_end = np.empty(rows.n), np.ones(rows.n), np.full(rows.n, np.nan)
    limits = np.tile([-np.inf, np.inf], (rows.n, 1)) if formula.limits and formula.limits != ("upper",) else None
    left = None if weights is None else weights.copy()
    for code, (kind, own) in enumerate(zip(family.kinds, family.members, strict=True)):
        at = np.flatnonzero(kinds == code)
        if not len(at):
            raise DataError(
                f"no row is of kind {kind!r} of the column '{family.column}': leave it out of the families, or look "
                "at the labels of that column"
            )
        some = Rows(rows.frame, at if rows.rows is None else rows.rows[at], rows.functions)
        try:
            found, rest = build_response(
                _of_kind(formula, own, some), some, own, None if weights is None else weights[at]
            )
        except DataError as error:
            raise DataError(f"rows of kind {kind!r}: {error}") from None
        if found.levels is not None:
            raise DataError(f"rows of kind {kind!r}: the response '{found.name}' holds categories; numbers are needed")
        values[at] = found.values
        if found.other_end is not None:
            other_end[at] = found.other_end
        if limits is not None and found.limits is not None:
            limits[at] = found.limits
        if found.size is not None:
            size[at] = found.size
        if left is not None:
            left[at] = 1.0 if rest is None else rest
    if left is not None and np.all(left == 1.0):
        left = None
    trials = None if np.all(size == 1.0) else size
    ends = other_end if formula.limits else None
    return Response(formula.response_text, values, trials, None, ends, kinds, limits), left


def _of_kind(formula: Formula, family: Family, rows: Rows) -> Formula:
    """The formula with the response as a family takes it: of successes and failures, others have the first alone; of a
    response that may be known in part, so have families that know theirs.
    """
    if formula.limits:
        if family.censored:
            return formula
        any_numbers, _ = build_response(formula, rows, Family("gaussian", censored=True), None)
        if not np.array_equal(any_numbers.values, any_numbers.other_end):  # type: ignore[arg-type]
            raise DataError(
                f"the response '{formula.response_text}' is known in part, and the {family.name} family has to know "
                "it: let its limits lie beyond it there"
            )
        return replace(formula, response=formula.response[:1], limits=())
    if len(formula.response) != 2 or family.support == "trials":
        return formula
    first, second = formula.response
    failures = evaluate(second, rows, {})
    if not isinstance(failures, Numbers) or any(np.any(values) for _, values in failures.columns):
        raise DataError(
            f"'{second.text}' counts failures, which a response of the {family.name} family has none of: let it be 0"
        )
    return replace(formula, response=(first,))


def check_kinds(
    bars: Sequence[Bar],
    factors: Sequence[GroupingFactor],
    terms: Sequence[RandomTerm],
    family: Family,
    response: Response,
    weights: NDArray[np.float64] | None,
) -> None:
    """Refuses variances of random effects of one kind that one row for each level would have to tell from residuals.

    Raises
    ------
    DataError
        There is such a variance. A reduced-rank term, whose loadings other kinds tell, is none.
    """
    assert isinstance(family, MixedFamily)
    assert response.kinds is not None
    for bar, term in zip(bars, terms, strict=True):
        if rank_of(term.structure) is not None:
            continue
        factor = factors[term.grouping_factor]
        for name, column in zip(term.names, term.columns, strict=True):
            there = np.ones(len(response.kinds), dtype=bool) if column is None else np.asarray(column) != 0
            codes = np.unique(response.kinds[there])
            if len(codes) != 1 or len(np.unique(factor.codes[there])) < np.count_nonzero(there):
                continue
            own, kind = family.members[codes[0]], family.kinds[codes[0]]
            single = all(x is None or np.all(x[there] == 1) for x in (weights, response.size))
            if own.has_residual or (own.support == "trials" and single):
                what = "the residuals" if own.has_residual else "the spread of single trials"
                raise DataError(
                    f"{bar.text}: each level of '{factor.name}' has one row of kind {kind!r}, so that the variance of "
                    f"'{name}' cannot be told from {what}; rr(..., d=1) in place of the term has what the kinds share "
                    "alone, or leave that column out"
                )
