"""The same model fitted again without some of its terms, or without some of its rows. No data are read again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from .core_model import build_core
from .quasi import QUASI, quasi
from .run import run

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import ArrayLike, NDArray

    from ..columns.grouping import GroupingFactor
    from ..design.design import Design
    from ..design.fixed import FixedColumn, FixedTerm
    from .record import Fit


def refit(fit: Fit, design: Design, method: str | None = None, start: ArrayLike | None = None) -> Fit:
    """Fits another design as `fit` was fitted: its family, method, quadrature points and threads.

    Parameters
    ----------
    fit : Fit
    design : Design
        Of the same response, or of some of its rows.
    method : {"ml", "reml"}, optional
        In place of the fit's own.
    start : (P,) array_like, optional
        Values of the parameters of `design` to start from; quasi-likelihood needs none.

    Returns
    -------
    Fit
        It may not have converged: `converged` says so.
    """
    threads = fit.optimization.threads
    own = fit.method if method is None else method
    if own in QUASI:
        return quasi(design, fit.family, method=own, threads=threads)
    core = build_core(design, fit.family, threads)
    return run(design, fit.family, core, method=own, n_quadrature=fit.n_quadrature, start=start, threads=threads)


# ---- without terms -----------------------------------------------------------------------------------------------


def without_fixed_term(design: Design, label: str, part: str = "mean") -> Design:
    """The design without a term of the fixed part of the mean, or of another part.

    Where there is no intercept, the first factor stands for it, with a column for each level. When that term goes the
    next factor takes over, as it would have done in a formula without the term.
    """
    if part == "mean" and design.choices is not None and design.choices.by_category:
        choices = design.choices
        one = _without_term(choices.of_one(design.fixed), choices.terms_of_one(design.fixed_terms), label)
        columns, terms = choices.spread_fixed(*one)
        return replace(design, fixed=columns, fixed_terms=terms)
    if part == "mean":
        columns, terms = _without_term(design.fixed, design.fixed_terms, label)
        return replace(design, fixed=columns, fixed_terms=terms)
    parts = []
    for own in design.parts:
        if own.name == part:
            columns, terms = _without_term(own.fixed, own.fixed_terms, label)
            own = replace(own, fixed=columns, fixed_terms=terms)
        parts.append(own)
    return replace(design, parts=tuple(parts))


def _without_term(
    columns: tuple[FixedColumn, ...], terms: tuple[FixedTerm, ...], label: str
) -> tuple[tuple[FixedColumn, ...], tuple[FixedTerm, ...]]:
    gone = next(term for term in terms if term.label == label)
    stands_for_intercept = (
        all(term.parts for term in terms) and _is_factor(gone) and gone.parts[0].n_columns == _n_levels(gone)
    )
    kept: list[FixedColumn] = []
    left: list[FixedTerm] = []
    for term in terms:
        if term is gone:
            continue
        own = [columns[k] for k in term.columns]
        if stands_for_intercept and _is_factor(term):
            stands_for_intercept = False
            if term.parts[0].n_columns < _n_levels(term):
                term, own = _by_levels(term, own[0])
        first = len(kept)
        kept += own
        left.append(replace(term, columns=tuple(range(first, len(kept)))))
    return tuple(kept), tuple(left)


def _is_factor(term: FixedTerm) -> bool:
    return len(term.parts) == 1 and term.parts[0].is_factor


def _n_levels(term: FixedTerm) -> int:
    levels = term.parts[0].levels
    return 0 if levels is None else len(levels)


def _by_levels(term: FixedTerm, like: FixedColumn) -> tuple[FixedTerm, list[FixedColumn]]:
    part, n = term.parts[0], _n_levels(term)
    part = replace(part, coding=np.eye(n), n_columns=n)
    codes = part.values[0]
    columns = [replace(like, name=f"{part.text}[{k}]", values=codes == k) for k in range(n)]
    return replace(term, parts=(part,)), columns


def without_random_effects(design: Design, gone: Mapping[int, Collection[int]]) -> Design:
    """The design without some random effects: per random-effects term, the positions of its columns that go.

    A term that keeps one column only has a variance, whatever its structure was.
    """
    terms = []
    for k, term in enumerate(design.random_terms):
        left = [j for j in range(len(term.names)) if j not in gone.get(k, ())]
        if len(left) == len(term.names):
            terms.append(term)
        elif left:
            if design.choices is not None and design.choices.by_category:
                raise DataError("random effects of categories without an order are left out all together: name none")
            names, columns = tuple(term.names[j] for j in left), tuple(term.columns[j] for j in left)
            structure = "unstructured" if len(left) == 1 else term.structure
            terms.append(replace(term, names=names, columns=columns, structure=structure))
    used = sorted({term.grouping_factor for term in terms})
    return replace(
        design,
        random_terms=tuple(replace(term, grouping_factor=used.index(term.grouping_factor)) for term in terms),
        grouping_factors=tuple(design.grouping_factors[k] for k in used),
    )


# ---- without rows ------------------------------------------------------------------------------------------------


def of_rows(design: Design, keep: NDArray[np.int64]) -> Design:
    """The design of some of its rows, (n_kept,) positions that rise; levels that have none of them left are gone."""

    def taken(values: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if values is None else values[keep]

    def columns(own: tuple[FixedColumn, ...]) -> tuple[FixedColumn, ...]:
        return tuple(replace(column, values=taken(column.values)) for column in own)

    def terms(own: tuple[FixedTerm, ...]) -> tuple[FixedTerm, ...]:
        return tuple(
            replace(term, parts=tuple(replace(p, values=tuple(v[keep] for v in p.values)) for p in term.parts))
            for term in own
        )

    return replace(
        design,
        choices=None if design.choices is None else design.choices.take(keep),
        response=design.response.take(keep),
        fixed=columns(design.fixed),
        fixed_terms=terms(design.fixed_terms),
        grouping_factors=tuple(_levels_left(factor, keep) for factor in design.grouping_factors),
        random_terms=tuple(replace(t, columns=tuple(taken(c) for c in t.columns)) for t in design.random_terms),
        offset=taken(design.offset),
        weights=taken(design.weights),
        n_rows=len(keep),
        rows=keep if design.rows is None else design.rows[keep],
        index=None if design.index is None else design.index.take(keep),
        parts=tuple(
            replace(part, fixed=columns(part.fixed), fixed_terms=terms(part.fixed_terms), offset=taken(part.offset))
            for part in design.parts
        ),
    )


def _levels_left(factor: GroupingFactor, keep: NDArray[np.int64]) -> GroupingFactor:
    codes = factor.codes[keep]
    present = np.zeros(len(factor.levels), dtype=bool)
    present[codes] = True
    position = np.cumsum(present) - 1
    return replace(factor, codes=position[codes].astype(codes.dtype), levels=factor.levels[present])
