"""The fixed part: its columns, and which of them belong to which term."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns.coding import CodedTerm, TermPart

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class FixedColumn:
    """A column of the fixed part. `values` is 1-D, of any numeric or bool dtype and stride; None is the constant 1."""

    name: str
    values: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class FixedTerm:
    """A term of the fixed part, and where its columns stand.

    Attributes
    ----------
    label : str
        "(Intercept)", "x", "f:x": as R labels it. Terms stand in R's order: by the number of their variables.
    parts : tuple of TermPart
        Its variables, none for the intercept. The columns are the products of one column of each part, the first part
        varying fastest.
    columns : tuple of int
        Positions in `Design.fixed`, redundant columns included.
    """

    label: str
    parts: tuple[TermPart, ...]
    columns: tuple[int, ...]

    @property
    def factors(self) -> frozenset[str]:
        """Its variables that hold categories."""
        return frozenset(part.text for part in self.parts if part.is_factor)

    @property
    def numbers(self) -> frozenset[str]:
        """Its variables that hold numbers."""
        return frozenset(part.text for part in self.parts if not part.is_factor)

    def is_margin_of(self, other: FixedTerm) -> bool:
        """Whether all its variables, and not only they, are in the other: ``a`` of ``a:b``, the intercept of any."""
        return self.factors | self.numbers < other.factors | other.numbers


def fixed_part(coded: list[CodedTerm]) -> tuple[tuple[FixedColumn, ...], tuple[FixedTerm, ...]]:
    """Columns and terms of a right-hand side that was coded."""
    columns: list[FixedColumn] = []
    terms = []
    for term in coded:
        first = len(columns)
        columns += [FixedColumn(name, values) for name, values in term.columns]
        terms.append(FixedTerm(term.label, term.parts, tuple(range(first, len(columns)))))
    return tuple(columns), tuple(terms)


def without_intercept(
    columns: tuple[FixedColumn, ...], terms: tuple[FixedTerm, ...]
) -> tuple[tuple[FixedColumn, ...], tuple[FixedTerm, ...]]:
    """The columns and terms of a fixed part without the constant one, which the thresholds are."""
    place = np.cumsum([column.values is not None for column in columns]) - 1
    return (
        tuple(column for column in columns if column.values is not None),
        tuple(replace(term, columns=tuple(int(place[k]) for k in term.columns)) for term in terms if term.parts),
    )
