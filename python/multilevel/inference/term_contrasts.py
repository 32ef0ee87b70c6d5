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
"""

from __future__ import annotations

from functools import reduce
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..coding import TermPart
    from ..design import Design, FixedTerm
    from ..fit import Fit

TYPES = (1, 2, 3)
CHUNK = 65_536  # rows of the design that are dense at a time
NULL = 1e-9  # of the largest singular value, or of columns scaled to length one


def term_contrasts(fit: Fit, type: int) -> dict[str, NDArray[np.float64]]:  # noqa: A002
    """Per term but the intercept, by label, the rows of its hypothesis, (df, p).

    The coefficients that a hypothesis of type 3 has of its own term are unit rows. A term whose columns all turned out
    redundant has no rows.
    """
    terms = [term for term in fit.design.fixed_terms if term.parts]
    if not terms:
        return {}
    if type == 3:
        return _type_3(fit, terms)
    gram, columns = cross_products(fit.design), kept_columns(fit)
    result = {}
    for term in terms:
        last = [other for other in fit.design.fixed_terms if other is term or (type == 2 and contains(other, term))]
        last.sort(key=lambda other: other is not term)
        first = [other for other in fit.design.fixed_terms if other not in last]
        if type == 1:
            first = first[: fit.design.fixed_terms.index(term)]
        own = _kept(term, columns)
        if type == 2 and len(last) == 1:
            result[term.label] = np.eye(len(columns))[own]
            continue
        before = [k for other in first for k in _kept(other, columns)]
        after = [k for k in range(len(columns)) if k not in own and k not in before]
        result[term.label] = _adjusted(gram[np.ix_(columns, columns)], before, own, after)
    return result


def contains(larger: FixedTerm, smaller: FixedTerm) -> bool:
    """Whether a term has the same numbers as another, and its factors and more."""
    return _numbers(larger) == _numbers(smaller) and _factors(smaller) < _factors(larger)


def kept_columns(fit: Fit) -> list[int]:
    """Positions in `design.fixed` of the columns that have a coefficient."""
    redundant = set(fit.redundant)
    return [k for k, column in enumerate(fit.design.fixed) if column.name not in redundant]


def cross_products(design: Design) -> NDArray[np.float64]:
    """X'X of all columns of the fixed part, redundant ones included; a chunk of rows at a time."""
    p = len(design.fixed)
    gram = np.zeros((p, p))
    for start in range(0, design.n_rows, CHUNK):
        rows = slice(start, min(start + CHUNK, design.n_rows))
        block = np.ones((rows.stop - rows.start, p))
        for k, column in enumerate(design.fixed):
            if column.values is not None:
                block[:, k] = column.values[rows]
        gram += block.T @ block
    return gram


def _kept(term: FixedTerm, columns: list[int]) -> list[int]:
    return [columns.index(k) for k in term.columns if k in columns]


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


def _type_3(fit: Fit, terms: Sequence[FixedTerm]) -> dict[str, NDArray[np.float64]]:
    everything = fit.design.fixed_terms
    if not fit.redundant and not any(contains(larger, smaller) for larger in terms for smaller in terms):
        columns = kept_columns(fit)
        return {term.label: np.eye(len(columns))[_kept(term, columns)] for term in terms}
    widths = [reduce(lambda n, part: n * _n_levels(part), term.parts, 1) for term in everything]
    starts = np.cumsum([0, *widths])
    at = {term.label: slice(a, a + width) for term, a, width in zip(everything, starts, widths, strict=False)}
    coded = np.zeros((starts[-1], len(fit.design.fixed)))  # from a column per level to the columns in use
    for term in everything:
        coded[at[term.label], term.columns] = _kronecker([_coding(part) for part in term.parts])
    estimable = _estimable(fit, everything, at, coded)

    def functions(term: FixedTerm) -> NDArray[np.float64]:
        """Estimable functions of a term and those that contain it."""
        outside = np.ones(starts[-1], dtype=bool)
        for other in everything:
            if other is term or contains(other, term):
                outside[at[other.label]] = False
        return _null_rows(estimable[:, outside]) @ estimable

    own = {term.label: functions(term) for term in terms}
    columns = kept_columns(fit)
    result = {}
    for term in terms:
        containing = [own[other.label] for other in terms if contains(other, term)]
        rows = own[term.label]
        if containing:
            rows = _null_rows(rows @ np.vstack(containing).T) @ rows
        result[term.label] = _unit_rows((rows @ coded)[:, columns], _kept(term, columns))
    return result


def _estimable(
    fit: Fit, terms: Sequence[FixedTerm], at: dict[str, slice], coded: NDArray[np.float64]
) -> NDArray[np.float64]:
    """An orthonormal basis of the rows that the design with a column per level can have, (rank, columns)."""
    rows = []
    for numbers in dict.fromkeys(_numbers(term) for term in terms):
        same = [term for term in terms if _numbers(term) == numbers]
        levels = {part.text: _n_levels(part) for term in same for part in term.parts if _is_factor(part)}
        widths = {part.text: part.n_columns for term in same for part in term.parts if not _is_factor(part)}
        # A function of interactions is known from the cells that differ from the first one in the factors of a term.
        moved = {
            frozenset(some)
            for term in same
            for size in range(len(_factors(term)) + 1)
            for some in combinations(sorted(_factors(term)), size)
        }
        for some in sorted(moved, key=sorted):
            names = sorted(some)
            for cell in product(*(range(1, levels[name]) for name in names)):
                level = dict(zip(names, cell, strict=True))
                for which in product(*(range(width) for width in widths.values())):
                    number = dict(zip(widths, which, strict=True))
                    row = np.zeros(len(coded))
                    for term in same:
                        units = [_unit(part, number.get(part.text, level.get(part.text, 0))) for part in term.parts]
                        row[at[term.label]] = _kronecker(units)
                    rows.append(row)
    possible = _basis(np.array(rows))
    # Of these, the ones that the data have: orthogonal to what is redundant among the columns in use.
    gram = cross_products(fit.design)
    scale = np.sqrt(np.diag(gram))
    scale[scale == 0] = 1.0
    _, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
    redundant = vectors[:, : len(fit.redundant)]
    return _null_rows(possible @ coded / scale @ redundant) @ possible


def _unit(part: TermPart, k: int) -> NDArray[np.float64]:
    row = np.zeros((1, _n_levels(part)))
    row[0, k] = 1.0
    return row


def _kronecker(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Product of the parts with the first varying fastest."""
    done = np.ones((1, 1))
    for part in parts:
        done = np.kron(part, done).astype(np.float64, copy=False)
    return done


def _is_factor(part: TermPart) -> bool:
    """Whether the coding tells all levels apart; with fewer columns a factor is no more than numbers."""
    if part.coding is None:
        return False
    with_constant = np.column_stack([np.ones(len(part.coding)), part.coding])
    return bool(np.linalg.matrix_rank(with_constant) == len(part.coding))


def _n_levels(part: TermPart) -> int:
    return len(part.coding) if part.coding is not None and _is_factor(part) else part.n_columns


def _coding(part: TermPart) -> NDArray[np.float64]:
    return part.coding if part.coding is not None and _is_factor(part) else np.eye(part.n_columns)


def _factors(term: FixedTerm) -> frozenset[str]:
    return frozenset(part.text for part in term.parts if _is_factor(part))


def _numbers(term: FixedTerm) -> frozenset[str]:
    return frozenset(part.text for part in term.parts if not _is_factor(part))


def _basis(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    _, singular, basis = np.linalg.svd(rows, full_matrices=False)
    return basis[singular > NULL * singular.max(initial=0.0)]


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
