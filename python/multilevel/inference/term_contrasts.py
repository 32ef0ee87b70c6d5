"""Hypotheses about whole terms of the fixed part, of types 1, 2 and 3 in the sense of SAS.

    1   each term given those before it
    2   each term given all that do not contain it
    3   each term given all others, averaged over the levels of what it interacts with with equal weights

A term contains another when it has the same numbers, its factors and more of them: ``a:b`` contains ``a``, ``a:x``
contains ``x`` but not ``a``. No hypothesis depends on how factors are coded, nor on whether a product was written as
``a*b`` or as ``a/b`` (where lmerTest tests ``a`` in the first level of ``b``).

Type 3 is SAS's definition: think of a column for every level of every factor. A linear function of its coefficients is
estimable when it is a combination of rows of that design. The functions for a term involve no coefficients but those of
the term and of terms that contain it, and are orthogonal to all functions for the latter. The columns in use are
combinations of those columns, term by term, which takes the functions to the coefficients of the fit.

The rows that stand for a hypothesis are those of treatment coding, whatever the coding in use (treatment.py).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from .treatment import NULL, Columns, factors_of, level_coding, n_levels, numbers_of, possible_rows, treatment_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..design.choices import Choices
    from ..design.design import Design
    from ..design.fixed import FixedTerm
    from ..fitting.record import Fit

TYPES = (1, 2, 3)
CHUNK = 65_536  # rows of the design that are dense at a time


def term_contrasts(fit: Fit, type: int) -> dict[str, NDArray[np.float64]]:  # noqa: A002
    """Per term but the intercept, by label, the rows of its hypothesis, (df, p).

    In treatment coding the coefficients that a hypothesis of type 3 has of its own term are unit rows; those of types 1
    and 2 have a unit pivot each, with zeros before it. A term whose columns all turned out redundant has no rows.
    """
    if not any(term.parts for term in fit.design.fixed_terms):
        return {}
    choices = fit.design.choices
    if choices is not None and choices.by_category:
        one = term_contrasts(_of_one_category(fit, choices), type)
        return {label: np.asarray(np.kron(np.eye(len(choices.others)), rows)) for label, rows in one.items()}
    weights = fit.design.weights if fit.is_least_squares else None
    gram = cache(partial(cross_products, fit.design, weights))
    columns = treatment_columns(fit.design.fixed_terms, gram, kept_columns(fit))
    terms = [term for term in columns.terms if term.parts]
    rows = _type_3(columns, terms) if type == 3 else {term.label: _sequential(columns, term, type) for term in terms}
    return {label: own @ columns.to_fit for label, own in rows.items()}


def _of_one_category(fit: Fit, choices: Choices) -> Fit:
    """The fit as if it had one category beside the base: all have the same columns."""
    design, blocks, first = fit.design, len(choices.others), choices.others[0]
    fixed, terms = choices.of_one(design.fixed), choices.terms_of_one(design.fixed_terms)
    redundant = tuple(choices.own_name(name, first) for name in fit.redundant[: len(fit.redundant) // blocks])
    return replace(
        fit,
        design=replace(design, fixed=fixed, fixed_terms=terms, choices=None),
        fixed_names=tuple(column.name for column in fixed if column.name not in redundant),
        redundant=redundant,
    )


def _sequential(columns: Columns, term: FixedTerm, type: int) -> NDArray[np.float64]:  # noqa: A002
    """Of type 1 or 2: what a term adds to those that come first."""
    last = [other for other in columns.terms if other is term or (type == 2 and contains(other, term))]
    last.sort(key=lambda other: other is not term)
    first = [other for other in columns.terms if other not in last]
    if type == 1:
        first = first[: columns.terms.index(term)]
    own = columns.kept_of(term)
    if type == 2 and len(last) == 1:
        return np.eye(len(columns.kept))[own]
    before = [k for other in first for k in columns.kept_of(other)]
    after = [k for k in range(len(columns.kept)) if k not in own and k not in before]
    return _adjusted(columns.cross_products()[np.ix_(columns.kept, columns.kept)], before, own, after)


def contains(larger: FixedTerm, smaller: FixedTerm) -> bool:
    """Whether a term has the same numbers as another, and its factors and more."""
    return numbers_of(larger) == numbers_of(smaller) and factors_of(smaller) < factors_of(larger)


def kept_columns(fit: Fit) -> list[int]:
    """Positions in `design.fixed` of the columns that have a coefficient."""
    redundant = set(fit.redundant)
    return [k for k, column in enumerate(fit.design.fixed) if column.name not in redundant]


def cross_products(design: Design, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """X'X, or X'WX, of all columns of the fixed part, redundant ones included; a chunk of rows at a time."""
    p = len(design.fixed)
    gram = np.zeros((p, p))
    for start in range(0, design.n_rows, CHUNK):
        rows = slice(start, min(start + CHUNK, design.n_rows))
        block = np.ones((rows.stop - rows.start, p))
        for k, column in enumerate(design.fixed):
            if column.values is not None:
                block[:, k] = column.values[rows]
        gram += block.T @ (block if weights is None else block * weights[rows, None])
    return gram


def _adjusted(gram: NDArray[np.float64], before: list[int], own: list[int], after: list[int]) -> NDArray[np.float64]:
    """Rows, with a unit pivot each, of the hypothesis that own columns add nothing to those before, (df, p)."""
    order = [*before, *own, *after]
    scale = np.sqrt(np.diag(gram))[order]
    root = np.linalg.cholesky(gram[np.ix_(order, order)] / np.outer(scale, scale)).T * scale
    rows = root[len(before) : len(before) + len(own)]
    result = np.zeros((len(own), len(gram)))
    result[:, order] = rows / np.diag(rows[:, len(before) :])[:, None]
    return result


# ---- type 3 ------------------------------------------------------------------------------------------------------


def _type_3(columns: Columns, terms: Sequence[FixedTerm]) -> dict[str, NDArray[np.float64]]:
    everything = columns.terms
    n_columns = sum(len(term.columns) for term in everything)
    if len(columns.kept) == n_columns and not any(contains(larger, smaller) for larger in terms for smaller in terms):
        return {term.label: np.eye(len(columns.kept))[columns.kept_of(term)] for term in terms}
    coded = level_coding(everything)
    starts = np.cumsum([0, *(np.prod([n_levels(part) for part in term.parts], dtype=int) for term in everything)])
    at = {term.label: slice(a, b) for term, a, b in zip(everything, starts[:-1], starts[1:], strict=True)}
    estimable = _estimable(columns, coded)

    def functions(term: FixedTerm) -> NDArray[np.float64]:
        """Estimable functions of a term and those that contain it."""
        outside = np.ones(starts[-1], dtype=bool)
        for other in everything:
            if other is term or contains(other, term):
                outside[at[other.label]] = False
        return _null_rows(estimable[:, outside]) @ estimable

    own = {term.label: functions(term) for term in terms}
    result = {}
    for term in terms:
        containing = [own[other.label] for other in terms if contains(other, term)]
        rows = own[term.label]
        if containing:
            rows = _null_rows(rows @ np.vstack(containing).T) @ rows
        result[term.label] = _unit_rows((rows @ coded)[:, columns.kept], columns.kept_of(term))
    return result


def _estimable(columns: Columns, coded: NDArray[np.float64]) -> NDArray[np.float64]:
    """An orthonormal basis of the rows that the design with a column per level can have, (rank, columns)."""
    possible = possible_rows(columns.terms)
    # Of these, the ones that the data have: orthogonal to what is redundant among the columns in use.
    gram = columns.cross_products()
    scale = np.sqrt(np.diag(gram))
    scale[scale == 0] = 1.0
    _, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
    redundant = vectors[:, : len(gram) - len(columns.kept)]
    return _null_rows(possible @ coded / scale @ redundant) @ possible


def _null_rows(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal rows w with w @ matrix = 0."""
    if not matrix.size:
        return np.eye(len(matrix))
    left, singular, _ = np.linalg.svd(matrix, full_matrices=True)
    rank = int((singular > NULL * max(1.0, singular.max())).sum())
    return left[:, rank:].T


def _unit_rows(rows: NDArray[np.float64], own: list[int]) -> NDArray[np.float64]:
    """The same span with unit rows in (some of) the own columns."""
    from scipy.linalg import qr

    if not len(rows) or not own:
        return rows[:0]
    _, triangle, order = qr(rows[:, own], mode="economic", pivoting=True)
    size = np.abs(np.diag(triangle))
    rank = int((size > NULL * size[0]).sum())
    if rank < len(rows):
        return rows
    pivots = sorted(order[: len(rows)])
    result = np.asarray(np.linalg.solve(rows[:, [own[k] for k in pivots]], rows), dtype=np.float64)
    result[np.abs(result) < NULL] = 0.0
    return result
