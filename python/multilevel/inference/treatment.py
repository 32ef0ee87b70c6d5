"""Hypotheses do not depend on how factors are coded: they are written in the columns of treatment coding.

A hypothesis of several rows is one of a space, which any coding gives, and F statistics know only the space. The
degrees of freedom of Satterthwaite's method (Fai and Cornelius) are those of independent directions in it, which turn
with the rows. So rows are made for treatment coding with the first level as reference, whatever the coding in use, and
taken to the coefficients of the fit by an exact change of coordinates, as lmerTest does in its tests of type 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ..columns.coding import TermPart
    from ..design.fixed import FixedTerm

NULL = 1e-9  # of the largest singular value, or of columns scaled to length one
SPAN = 1e-8  # of a column: what another coding may leave of it


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of the fixed part in one coding.

    Attributes
    ----------
    terms : tuple of FixedTerm
    cross_products : callable
        Gives those of all columns, (P, P).
    kept : list of int
        Columns that are no combinations of earlier ones; the p coefficients are theirs.
    to_fit : ndarray, (p, p)
        Rows on these coefficients times it are rows on those of the fit.
    """

    terms: tuple[FixedTerm, ...]
    cross_products: Callable[[], NDArray[np.float64]]
    kept: list[int]
    to_fit: NDArray[np.float64]

    def kept_of(self, term: FixedTerm) -> list[int]:
        """Where the columns of a term stand among the coefficients."""
        return [self.kept.index(k) for k in term.columns if k in self.kept]


def treatment_columns(
    terms: Sequence[FixedTerm], cross_products: Callable[[], NDArray[np.float64]], kept: list[int]
) -> Columns:
    """The columns in treatment coding, from those of the fit and a way to their cross-products."""
    own = Columns(tuple(terms), cross_products, kept, np.eye(len(kept)))
    recoded = tuple(replace(term, parts=tuple(_treatment(part) for part in term.parts)) for term in terms)
    if all(a is b for one, two in zip(terms, recoded, strict=True) for a, b in zip(one.parts, two.parts, strict=True)):
        return own
    possible = possible_rows(terms)
    before, after = possible @ level_coding(terms), possible @ level_coding(recoded)
    change = np.linalg.lstsq(before, after, rcond=None)[0]  # new columns = columns in use @ change
    if np.abs(before @ change - after).max() > SPAN:
        return own  # a matrix given by the user does not hold what treatment coding does
    if len(kept) == len(change):
        return Columns(recoded, lambda: change.T @ cross_products() @ change, kept, _inverse(change))
    gram = cross_products()
    new_gram = change.T @ gram @ change
    # columns that are zero in every row are there by cancellation
    zero = np.diag(new_gram) <= NULL * np.square(np.abs(change).T @ np.sqrt(np.diag(gram)))
    new_gram[zero] = new_gram[:, zero] = 0.0
    new_kept = _independent(new_gram)
    if len(new_kept) != len(kept):
        return own
    size = _lengths(gram)[kept]
    # the new columns kept in terms of the columns kept in use
    between = np.linalg.solve(
        gram[np.ix_(kept, kept)] / np.outer(size, size), (gram[kept] @ change)[:, new_kept] / size[:, None]
    )
    return Columns(recoded, lambda: new_gram, new_kept, _inverse(between / size[:, None]))


def _inverse(matrix: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def level_coding(terms: Sequence[FixedTerm]) -> NDArray[np.float64]:
    """From a column for every level, or combination of levels, of every term to the columns in use."""
    blocks = [kronecker([coding_of(part) for part in term.parts]) for term in terms]
    whole = np.zeros((sum(len(block) for block in blocks), sum(block.shape[1] for block in blocks)))
    at = 0
    for term, block in zip(terms, blocks, strict=True):
        whole[at : at + len(block), term.columns] = block
        at += len(block)
    return whole


def possible_rows(terms: Sequence[FixedTerm]) -> NDArray[np.float64]:
    """An orthonormal basis of the rows that a design with a column for every level of every term can have."""
    widths = [int(np.prod([n_levels(part) for part in term.parts], dtype=int)) for term in terms]
    starts = np.cumsum([0, *widths])
    at = {term.label: slice(a, b) for term, a, b in zip(terms, starts[:-1], starts[1:], strict=True)}
    rows = []
    for numbers in dict.fromkeys(numbers_of(term) for term in terms):
        same = [term for term in terms if numbers_of(term) == numbers]
        levels = {part.text: n_levels(part) for term in same for part in term.parts if tells_levels_apart(part)}
        columns = {part.text: part.n_columns for term in same for part in term.parts if not tells_levels_apart(part)}
        # A function of interactions is known from the cells that differ from the first one in the factors of a term.
        moved = {
            frozenset(some)
            for term in same
            for size in range(len(factors_of(term)) + 1)
            for some in combinations(sorted(factors_of(term)), size)
        }
        for some in sorted(moved, key=sorted):
            names = sorted(some)
            for cell in product(*(range(1, levels[name]) for name in names)):
                level = dict(zip(names, cell, strict=True))
                for which in product(*(range(width) for width in columns.values())):
                    number = dict(zip(columns, which, strict=True))
                    row = np.zeros(starts[-1])
                    for term in same:
                        units = [_unit(part, number.get(part.text, level.get(part.text, 0))) for part in term.parts]
                        row[at[term.label]] = kronecker(units)
                    rows.append(row)
    _, singular, basis = np.linalg.svd(np.array(rows), full_matrices=False)
    return basis[singular > NULL * singular.max(initial=0.0)]


def factors_of(term: FixedTerm) -> frozenset[str]:
    """Its factors whose coding tells the levels apart."""
    return frozenset(part.text for part in term.parts if tells_levels_apart(part))


def numbers_of(term: FixedTerm) -> frozenset[str]:
    """Its other variables."""
    return frozenset(part.text for part in term.parts if not tells_levels_apart(part))


def _unit(part: TermPart, k: int) -> NDArray[np.float64]:
    row = np.zeros((1, n_levels(part)))
    row[0, k] = 1.0
    return row


def kronecker(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Product of the parts with the first varying fastest."""
    return reduce(lambda done, part: np.kron(part, done).astype(np.float64, copy=False), parts, np.ones((1, 1)))


def tells_levels_apart(part: TermPart) -> bool:
    """Whether it is a factor whose coding does; with fewer columns a factor is no more than numbers."""
    if part.coding is None:
        return False
    with_constant = np.column_stack([np.ones(len(part.coding)), part.coding])
    return bool(np.linalg.matrix_rank(with_constant) == len(part.coding))


def n_levels(part: TermPart) -> int:
    """Of a factor; of numbers, their columns."""
    return len(part.coding) if part.coding is not None and tells_levels_apart(part) else part.n_columns


def coding_of(part: TermPart) -> NDArray[np.float64]:
    """The coding of a factor; of numbers, that they are what they are."""
    return part.coding if part.coding is not None and tells_levels_apart(part) else np.eye(part.n_columns)


def _treatment(part: TermPart) -> TermPart:
    """The same number of columns in treatment coding, by contrasts or one for every level; itself if it is so coded."""
    if part.coding is None or not tells_levels_apart(part):
        return part
    levels, columns = part.coding.shape
    if columns not in (levels - 1, levels):
        return part
    coding = np.eye(levels)[:, levels - columns :]
    return part if np.array_equal(coding, part.coding) else replace(part, coding=coding)


def _lengths(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.sqrt(np.maximum(np.diag(gram), 0.0))
    length[length == 0] = 1.0
    return length


def _independent(gram: NDArray[np.float64]) -> list[int]:
    """Columns that are no combinations of earlier ones, from cross-products."""
    length = _lengths(gram)
    left = gram / np.outer(length, length)
    kept: list[int] = []
    for k in range(len(left)):
        if left[k, k] > NULL:
            kept.append(k)
            left = left - np.outer(left[:, k], left[k]) / left[k, k]
    return kept
