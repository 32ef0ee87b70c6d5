"""Thresholds between ordered categories: what makes them, and their names."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, FormulaError
from ..formula.parse import Formula, parse_part
from ..formula.structures import rank_of
from .fixed import FixedColumn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..family.registry import Family
    from .random_terms import RandomTerm

STRUCTURES = ("flexible", "equidistant", "symmetric")
PART, SCALE = "thresholds", "scale"


@dataclass(frozen=True)
class Thresholds:
    """What makes the thresholds between ordered categories: C of these, and m coefficients.

    Attributes
    ----------
    structure : {"flexible", "equidistant", "symmetric"}
    categories : tuple of str, (C,)
        Labels, in their order.
    matrix : ndarray, (C - 1, m)
        Thresholds are its product with the coefficients. Each column of the part "thresholds" of the model has m of
        its own: the constant, and those that nominal effects add.
    coefficients : tuple of str, (m,)
    """

    structure: str
    categories: tuple[str, ...]
    matrix: NDArray[np.float64]
    coefficients: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the thresholds, "1|2"."""
        return _between(self.categories)

    def coefficient_names(self, columns: Sequence[FixedColumn]) -> tuple[str, ...]:
        """Names of the coefficients of these columns of the part, in their order."""
        return tuple(
            name if column.values is None else f"{column.name}: {name}"
            for column in columns
            for name in self.coefficients
        )

    def at(self, columns: Sequence[FixedColumn], coefficients: NDArray[np.float64], n_rows: int) -> NDArray[np.float64]:
        """Thresholds of rows with these columns of the part, (n_rows, C - 1)."""
        total = np.zeros((n_rows, len(self.matrix)))
        for column, own in zip(columns, coefficients.reshape(len(columns), -1), strict=True):
            thresholds = self.matrix @ own
            total += thresholds if column.values is None else np.outer(column.values, thresholds)
        return total


def make_thresholds(structure: str, categories: Sequence[str], most: int = 10**6) -> Thresholds:
    """The thresholds between these categories.

    Parameters
    ----------
    structure : {"flexible", "equidistant", "symmetric"}
        Each on its own; the first one, and how far it is from one to the next; or the middle one (the middle two of an
        even number), and how far from it those on either side are.
    categories : sequence of str
    most : int
        Thresholds that the family can have.

    Raises
    ------
    DataError
        There is no such structure, or too many categories.
    """
    if structure not in STRUCTURES:
        raise DataError(f"thresholds={structure!r} is not known; there are {', '.join(map(repr, STRUCTURES))}")
    n = len(categories) - 1
    if n > most:
        raise DataError(
            f"the response has {n + 1} categories, and the family takes at most {most + 1}: join some, or take "
            "family='cumulative'"
        )
    if structure == "flexible":
        matrix, names = np.eye(n), _between(categories)
    elif structure == "equidistant":
        matrix, names = np.column_stack([np.ones(n), np.arange(n)]), ("threshold.1", "spacing")
    else:
        side = (n - 1) // 2  # thresholds on either side of the middle
        apart = np.vstack([-np.eye(side)[::-1], np.zeros((n - 2 * side, side)), np.eye(side)])
        lower = np.arange(n) < n / 2
        middle = np.ones((n, 1)) if n % 2 else np.column_stack([lower, ~lower])
        centre = ("central",) if n % 2 else ("central.1", "central.2")
        matrix = np.hstack([middle, apart]).astype(np.float64)
        names = (*centre, *(f"spacing.{k + 1}" for k in range(side)))
    return Thresholds(structure, tuple(categories), matrix, names)


def _between(categories: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{lower}|{upper}" for lower, upper in itertools.pairwise(categories))


def read_nominal(nominal: str | None, family: Family) -> Formula | None:
    """The formula of the part "thresholds", of families of ordered categories."""
    if family.support != "categories":
        if nominal is not None:
            raise DataError(f"nominal={nominal!r}: the {family.name} family has no thresholds")
        return None
    try:
        formula = parse_part("~ 1" if nominal is None else nominal)
    except FormulaError as error:
        raise FormulaError(f"nominal: {error}") from None
    if formula.bars or formula.offsets:
        raise FormulaError(f"nominal={nominal!r}: thresholds have no random effects and no offset of their own")
    return with_intercept(formula)


def with_intercept(formula: Formula) -> Formula:
    """The formula with an intercept: where there are thresholds, they are it, whatever the formula says of one."""
    return formula if formula.fixed.intercept else replace(formula, fixed=replace(formula.fixed, intercept=True))


def check_scale(formula: Formula) -> None:
    """Refuses what the part "scale" cannot have."""
    if formula.bars:
        raise FormulaError(f"scale={str(formula)!r}: the scale has no random effects")
    if not formula.fixed.atoms and not formula.offsets:
        raise FormulaError(
            f"scale={str(formula)!r}: a scale that is the same for all rows is in thresholds and coefficients already"
        )


def check_scale_columns(fixed: Sequence[FixedColumn]) -> None:
    """Refuses columns that are one scale for all rows."""
    for column in fixed:
        values = np.asarray(column.values, dtype=np.float64)
        if len(values) and values.min() == values.max():
            raise DataError(
                f"scale=: column {column.name!r} is {values[0]:g} in all rows, and a scale that is the same for all "
                "rows is in thresholds and coefficients already; leave it out"
            )


def check_items(
    terms: Sequence[RandomTerm], nominal: Sequence[FixedColumn], response: NDArray[Any], names: Sequence[str]
) -> None:
    """Refuses items with loadings and thresholds of their own of which a category never occurs.

    Parameters
    ----------
    terms : sequence of RandomTerm
    nominal : sequence of FixedColumn
        Of the part "thresholds".
    response : ndarray, (n,)
        Categories, 1 to C.
    names : sequence of str
        Their labels.
    """
    own = {column.name for column in nominal}
    for term in terms:
        if rank_of(term.structure) is None or not own & set(term.names):
            continue
        for name, column in zip(term.names, term.columns, strict=True):
            there = np.unique(response if column is None else response[np.asarray(column) != 0])
            missing = [label for k, label in enumerate(names) if k + 1 not in there]
            if missing:
                raise DataError(
                    f"'{name}' has no response in category {', '.join(map(repr, missing))}: an item with thresholds of "
                    "its own needs all categories, or the likelihood has no maximum. Merge categories of the response "
                    f"until every item has all of them, leave the rows of '{name}' out, or let items share their "
                    "thresholds (no nominal=)"
                )


def check_nominal(fixed: Sequence[FixedColumn], nominal: Sequence[FixedColumn]) -> None:
    """Refuses what would move all thresholds twice."""
    both = {column.name for column in fixed} & {column.name for column in nominal if column.values is not None}
    if both:
        shown = ", ".join(map(repr, sorted(both)))
        raise DataError(
            f"{shown} stands in the formula and in nominal=: what moves each threshold by itself "
            "moves them all; leave it in one place"
        )
