"""The levels of a model: which variables vary at which, and what effects they have there.

Rows are level 0. Nested grouping factors follow from the inner to the outer; factors that cross are one level together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..inference.degrees_of_freedom.containment import varies_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..columns.coding import TermPart
    from ..design.fixed import FixedColumn, FixedTerm
    from ..fitting.record import Fit

ROW = "i"
LETTERS = "jklmnpqrst"  # of levels of grouping factors
MOST_NESTED = 3  # nested factors that have a level each


@dataclass(frozen=True)
class Variable:
    """A column of numbers by name, the level at which it varies, and the letters of its subscript."""

    name: str
    level: int
    subscript: str


Portions = tuple[tuple[Variable, ...], ...]  # the factors of a product, by their levels


@dataclass(frozen=True)
class FixedEffect:
    """A coefficient: its name, its variables by level, and its place, one index for each level."""

    name: str
    portions: Portions
    path: tuple[int, ...]


@dataclass(frozen=True)
class RandomEffect:
    """An effect of the levels of a factor: its letter and subscript, its term and column, and what it belongs to.

    `path` is that of the coefficient it is added to, `portions` are the variables it multiplies, by level, `index` what
    tells it from the factor's others.
    """

    factor: int
    level: int
    subscript: str
    term: int
    column: int
    portions: Portions
    path: tuple[int, ...]
    index: tuple[int, ...]


class Levels:
    """The levels of the mean of a fit, and its effects by their places.

    Parameters
    ----------
    fit : Fit
    """

    def __init__(self, fit: Fit) -> None:
        factors = fit.design.grouping_factors
        self.factors = sorted(range(len(factors)), key=lambda k: -len(factors[k].levels))
        crossed = any(relation.kind == "crossed" for relation in fit.design.relations)
        self.nested = not crossed and len(factors) <= MOST_NESTED
        if self.nested:
            self.groups = [[k] for k in self.factors]
        else:
            self.groups = [self.factors] if factors else []
        self._fit = fit
        self._places: dict[tuple[tuple[int, ...], tuple[Variable, ...]], int] = {}
        self.fixed = [self._fixed(*own) for own in _kept(fit)]
        known = {variable.name: variable for effect in self.fixed for own in effect.portions for variable in own}
        self.random = self._random(known)

    @property
    def n(self) -> int:
        """Levels above the rows."""
        return len(self.groups)

    @property
    def row(self) -> str:
        """Subscript of a row."""
        return ROW + LETTERS[: len(self.factors)]

    def of_factor(self, factor: int) -> str:
        """Subscript of a level of a grouping factor."""
        at = self.factors.index(factor)
        return LETTERS[at : len(self.factors)] if self.nested else LETTERS[at]

    def of_level(self, level: int) -> str:
        """Subscript of what varies at a level."""
        if level == 0:
            return self.row
        return LETTERS[level - 1 : len(self.factors)] if self.nested else LETTERS[: len(self.factors)]

    def variable(self, name: str, values: NDArray[np.float64]) -> Variable:
        """A column, where it varies."""
        own = [self._fit.design.grouping_factors[k] for k in self.factors]
        if self.nested:
            level = next((at for at, factor in enumerate(own) if varies_within(values, factor)), len(own))
            return Variable(name, level, self.of_level(level))
        for at, factor in enumerate(own):
            if not varies_within(values, factor):
                return Variable(name, 1, LETTERS[at])
        return Variable(name, 0, self.row)

    def children(self, path: tuple[int, ...]) -> list[int]:
        """Last indices of the coefficients that a coefficient is made of."""
        depth = len(path)
        found = {own.path[depth] for own in self.fixed if own.path[:depth] == path and len(own.path) > depth}
        found |= {own.path[depth] for own in self.random if own.path[:depth] == path and len(own.path) > depth}
        return sorted(found)

    def variables_at(self, path: tuple[int, ...]) -> tuple[Variable, ...]:
        """What the coefficient at a place multiplies."""
        return next(own for (prefix, own), place in self._places.items() if (*prefix, place) == path)

    # ---- places ----------------------------------------------------------------------------------------------------

    def _fixed(self, name: str, variables: Sequence[tuple[str, NDArray[np.float64]]]) -> FixedEffect:
        portions = self._by_level([self.variable(*own) for own in variables])
        return FixedEffect(name, portions, self._path(portions))

    def _by_level(self, variables: Sequence[Variable]) -> Portions:
        return tuple(tuple(own for own in variables if own.level == level) for level in range(self.n + 1))

    def _path(self, portions: Sequence[tuple[Variable, ...]]) -> tuple[int, ...]:
        """Indices of the levels: zero for the constant, then in the order in which variables appear."""
        path: tuple[int, ...] = ()
        for own in portions:
            if (path, own) not in self._places:
                taken = [place for (prefix, _), place in self._places.items() if prefix == path]
                self._places[path, own] = 0 if not own else max([0, *taken]) + 1
            path = (*path, self._places[path, own])
        return path

    def _random(self, known: dict[str, Variable]) -> list[RandomEffect]:
        found: list[RandomEffect] = []
        n_rows = self._fit.n_rows
        for t, term in enumerate(self._fit.design.random_terms):
            if term.parameter:
                continue
            factor = term.grouping_factor
            level = next(at + 1 for at, group in enumerate(self.groups) if factor in group)
            for k, (name, values) in enumerate(zip(term.names, term.columns, strict=True)):
                pieces = split(name)
                if values is None:
                    variables = []
                elif all(piece in known for piece in pieces):
                    variables = [known[piece] for piece in pieces]
                else:
                    variables = [self.variable(name, np.broadcast_to(np.asarray(values, np.float64), (n_rows,)))]
                portions = self._by_level(variables)
                path = self._path(portions[:level])
                same = sum(own.factor == factor and own.path == path for own in found)
                index = (*path, same) if same else path
                found.append(RandomEffect(factor, level, self.of_factor(factor), t, k, portions, path, index))
        return found


def split(name: str) -> list[str]:
    """The names in a product, "a:b" -> a, b; colons in brackets belong to a name."""
    pieces, depth = [""], 0
    for letter in name:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == ":" and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += letter
    return pieces


def products(
    columns: Sequence[FixedColumn], terms: Sequence[FixedTerm], kept: Sequence[str]
) -> list[tuple[str, list[tuple[str, NDArray[np.float64]]]]]:
    """The columns of a formula that were kept, each with its name, and the names and values of its factors."""
    found: list[tuple[str, list[tuple[str, NDArray[np.float64]]]]] = []
    for name in kept:
        at, column = next((k, own) for k, own in enumerate(columns) if own.name == name)
        if column.values is None:
            found.append((name, []))
            continue
        term = next(own for own in terms if at in own.columns)
        pieces = split(name)
        whole = np.asarray(column.values, dtype=np.float64)
        if len(pieces) != len(term.parts) or len(pieces) == 1:
            found.append((name, [(name, whole)]))
            continue
        place, factors = term.columns.index(at), []
        for piece, part in zip(pieces, term.parts, strict=True):
            place, own = divmod(place, part.n_columns)
            factors.append((piece, _values(part, own)))
        found.append((name, factors))
    return found


def _kept(fit: Fit) -> list[tuple[str, list[tuple[str, NDArray[np.float64]]]]]:
    return products(fit.design.fixed, fit.design.fixed_terms, fit.fixed_names)


def _values(part: TermPart, column: int) -> NDArray[np.float64]:
    if part.coding is None:
        return np.asarray(part.values[column], dtype=np.float64)
    return np.asarray(part.coding[part.values[0], column], dtype=np.float64)
