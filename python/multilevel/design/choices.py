"""Choices: categories without an order, each with columns of its own, and alternatives, which rows of the data are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..columns.levels import label_of
from ..columns.selection import Selection
from ..errors import DataError, and_more
from .fixed import FixedColumn, FixedTerm

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..columns.expressions import Rows
    from ..columns.frame import Frame
    from ..columns.grouping import GroupingFactor
    from ..family.registry import Family
    from ..formula.parse import Formula
    from .random_terms import RandomTerm
    from .response import Response

    Columns = Sequence[NDArray[Any] | None]

SEPARATOR = ": "  # between a category and one of its columns
SAME = 1e-12  # relative to the largest value: how far apart values of a set may be that are one
INDEPENDENT = 1e-9  # of the singular values of random columns, relative to the largest


@dataclass(frozen=True)
class Choices:
    """What is chosen from.

    Attributes
    ----------
    categories : tuple of str, (K,)
        Of a response of categories without an order. Each but the base has a block of columns, in the order of the
        categories. Empty where rows are alternatives.
    base : int
        Position of the category whose linear predictor is zero.
    sets : ndarray of int32, (n_rows,), or None
        Where rows are alternatives, the set that each is in, numbered from 0.
    name : str
        The column that tells the sets.
    kept : tuple of tuple of int
        Where rows are alternatives, the columns of the formula that differ between them: of the fixed part, and of each
        random-effects term.
    """

    categories: tuple[str, ...] = ()
    base: int = 0
    sets: NDArray[np.int32] | None = None
    name: str = ""
    kept: tuple[tuple[int, ...], ...] = ()

    @property
    def by_category(self) -> bool:
        """Whether categories have columns of their own."""
        return bool(self.categories)

    @property
    def n_sets(self) -> int:
        """How many sets of alternatives the rows are."""
        assert self.sets is not None
        return int(self.sets.max()) + 1

    @property
    def others(self) -> tuple[int, ...]:
        """Positions of the categories but the base."""
        return tuple(k for k in range(len(self.categories)) if k != self.base)

    def owner(self, column: int, n_columns: int) -> int:
        """Position of the category that has a column among the columns of all of them."""
        return self.others[column // (n_columns // len(self.others))]

    def spread_names(self, names: Sequence[str]) -> tuple[str, ...]:
        """Names of the columns of all categories but the base, category by category."""
        return tuple(f"{self.categories[k]}{SEPARATOR}{name}" for k in self.others for name in names)

    def spread_fixed(
        self, fixed: tuple[FixedColumn, ...], terms: tuple[FixedTerm, ...]
    ) -> tuple[tuple[FixedColumn, ...], tuple[FixedTerm, ...]]:
        """The columns and terms of every category."""
        names, m = self.spread_names([column.name for column in fixed]), len(fixed)
        columns = tuple(FixedColumn(name, fixed[k % m].values) for k, name in enumerate(names))
        spread = [
            replace(term, label=label, columns=tuple(block * m + k for k in term.columns))
            for block in range(len(self.others))
            for term, label in zip(terms, self._labels(terms, block), strict=True)
        ]
        return columns, tuple(spread)

    def _labels(self, terms: Sequence[FixedTerm], block: int) -> list[str]:
        return [f"{self.categories[self.others[block]]}{SEPARATOR}{term.label}" for term in terms]

    def spread_random(self, terms: Iterable[RandomTerm]) -> tuple[RandomTerm, ...]:
        """The random effects of every category."""
        return tuple(
            replace(term, names=self.spread_names(term.names), columns=term.columns * len(self.others))
            for term in terms
        )

    def own_name(self, name: str, owner: int) -> str:
        """What a column, or a term, of a category is called in the formula."""
        return name.removeprefix(f"{self.categories[owner]}{SEPARATOR}")

    def of_one(self, columns: Sequence[FixedColumn]) -> tuple[FixedColumn, ...]:
        """Those of the first category that has columns, with the names that they have in the formula."""
        own = columns[: len(columns) // len(self.others)]
        return tuple(replace(column, name=self.own_name(column.name, self.others[0])) for column in own)

    def terms_of_one(self, terms: Sequence[FixedTerm]) -> tuple[FixedTerm, ...]:
        """The same of the terms."""
        own = terms[: len(terms) // len(self.others)]
        return tuple(replace(term, label=self.own_name(term.label, self.others[0])) for term in own)

    def take(self, rows: NDArray[np.int64], drawn: NDArray[np.int64] | None = None) -> Choices:
        """Of some of the rows, whole sets of them; the sets of each draw are others."""
        if self.sets is None:
            return self
        sets = self.sets[rows].astype(np.int64) + (0 if drawn is None else self.n_sets * drawn)
        return replace(self, sets=np.unique(sets, return_inverse=True)[1].ravel().astype(np.int32))

    # ---- as the core has rows: a row for each category, or the rows themselves -----------------------------------

    def rows_of(self, values: NDArray[Any]) -> NDArray[Any]:
        """A value of each row, for the rows of the core."""
        return np.repeat(values, len(self.categories)) if self.by_category else values

    def column_of(self, column: NDArray[Any] | None, owner: int, n_rows: int) -> NDArray[np.float64]:
        """A column of a category, zero in the rows of the others."""
        wide = np.zeros((n_rows, len(self.categories)))
        wide[:, owner] = 1.0 if column is None else column
        return wide.ravel()

    def columns_of(self, columns: Columns, n_rows: int) -> list[NDArray[Any] | None]:
        """The columns of all categories."""
        if not self.by_category:
            return list(columns)
        m = len(columns)
        return [self.column_of(column, self.owner(k, m), n_rows) for k, column in enumerate(columns)]

    def sets_of(self, n_rows: int) -> NDArray[np.int32]:
        """The set of each row of the core."""
        return self.rows_of(np.arange(n_rows, dtype=np.int32)) if self.sets is None else self.sets

    def response_of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Whether each row of the core was chosen; `values` are category numbers, from 1 on, or that itself."""
        if not self.by_category:
            return values
        chosen = (np.arange(1, len(self.categories) + 1) == values[:, None]).astype(np.float64)
        chosen[np.isnan(values)] = np.nan
        return chosen.ravel()

    def centres_of(self, columns: Columns) -> list[int]:
        """Per column of all categories the position of its category's constant, or -1."""
        if not self.by_category:
            return []
        m = len(columns) // len(self.others)
        has = m > 0 and columns[0] is None
        return [(k // m) * m if has and k % m else -1 for k in range(len(columns))]

    def probabilities(self, eta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the last axis, exp(eta) over their sum, which is one to rounding for any eta."""
        share = np.exp(eta - eta.max(axis=-1, keepdims=True))
        return np.asarray(share / share.sum(axis=-1, keepdims=True))

    def linear_predictors(self, columns: Columns, coefficients: Sequence[float], n_rows: int) -> NDArray[np.float64]:
        """Columns of all categories times coefficients, (n_rows, K); zero for the base."""
        eta, m = np.zeros((n_rows, len(self.categories))), len(columns)
        for k, (column, coefficient) in enumerate(zip(columns, coefficients, strict=True)):
            eta[:, self.owner(k, m)] += coefficient if column is None else coefficient * column
        return eta


def check_choice_arguments(family: Family, choice_set: str | None, base: Any, formula: Formula, offset: bool) -> None:
    """Refuses arguments of choices beside other families, and what choices cannot have.

    Raises
    ------
    DataError
    """
    if choice_set is not None and family.name != "conditional":
        raise DataError(
            f"choice_set={choice_set!r} goes with family='conditional', whose rows are alternatives; the family is "
            f"{family.name}"
        )
    if base is not None and family.name != "multinomial":
        raise DataError(f"base={base!r} goes with family='multinomial'; the family is {family.name}")
    if family.support != "choices":
        return
    if family.name == "conditional" and choice_set is None:
        raise DataError(
            "family='conditional' needs choice_set=, the column that tells which rows are alternatives of one choice"
        )
    if family.name == "multinomial" and (formula.offsets or offset):
        raise DataError(
            "an offset would stand in every category but the base, or in one of them: the multinomial family has none"
        )


def category_choices(response: Response, base: Any) -> Choices:
    """The categories of a response, and which of them is the base.

    Raises
    ------
    DataError
        There is no such category.
    """
    categories = response.levels or ()
    if base is None:
        return Choices(categories)
    if label_of(base) not in categories:
        known = ", ".join(map(repr, categories))
        raise DataError(f"base={base!r} is no category of the response '{response.name}'; there are {known}")
    return Choices(categories, categories.index(label_of(base)))


def read_sets(choice_set: str, frame: Frame) -> NDArray[np.int64]:
    """Codes of the sets that all rows of the frame are in; those of rows where it is missing mean nothing."""
    column = frame[choice_set]
    if column.codes is not None:
        return np.asarray(column.codes, dtype=np.int64)
    assert column.values is not None
    return np.asarray(np.unique(column.values, return_inverse=True)[1], dtype=np.int64).ravel()


def whole_sets(selection: Selection, sets: NDArray[np.int64], n_rows: int) -> Selection:
    """The selection without the sets that lost a row: what is left of them is not what was chosen from."""
    if selection.rows is None:
        return selection
    gone = np.ones(n_rows, dtype=bool)
    gone[selection.rows] = False
    keep = ~np.isin(sets[selection.rows], np.unique(sets[gone]))
    if not keep.any():
        raise DataError("every choice set has a row with a missing value or without weight")
    n_lost = int(np.count_nonzero(~keep))
    return replace(
        selection,
        rows=selection.rows[keep],
        weights=None if selection.weights is None else selection.weights[keep],
        n_missing=selection.n_missing + n_lost,
    )


def alternative_choices(
    choice_set: str, sets: NDArray[np.int64], response: Response, weights: NDArray[np.float64] | None, rows: Rows
) -> Choices:
    """The sets of the rows used, checked: one alternative of each is chosen, and a set has one weight.

    Raises
    ------
    DataError
    """
    codes = np.unique(sets, return_inverse=True)[1].ravel().astype(np.int32)
    chosen = np.bincount(codes, weights=response.values)
    wrong = np.flatnonzero(chosen != 1.0)
    if len(wrong):
        row = int(np.argmax(codes == wrong[0]))
        raise DataError(
            f"{int(chosen[wrong[0]])} alternatives are chosen in the set of '{choice_set}' that {rows.at(row)} is in "
            f"('{response.name}' is 1 where a row was chosen)"
            f"{and_more(len(wrong) - 1, ', and {} more sets have not one')}; it is one of each"
        )
    if np.bincount(codes).max() < 2:
        raise DataError(f"every set of '{choice_set}' has one alternative: nothing is chosen")
    if weights is not None and _varies(weights, codes):
        raise DataError(f"weights differ within a set of '{choice_set}'; a choice has one weight")
    return Choices(sets=codes, name=choice_set)


def _varies(values: NDArray[Any], codes: NDArray[np.int32]) -> bool:
    """Whether values differ within a set."""
    numbers = np.asarray(values, dtype=np.float64)
    first = np.zeros(int(codes.max()) + 1)
    first[codes[::-1]] = numbers[::-1]
    return bool((np.abs(numbers - first[codes]) > SAME * np.abs(numbers).max(initial=0.0)).any())


def crossed_factors(choices: Choices | None, factors: Sequence[GroupingFactor]) -> frozenset[int]:
    """Grouping factors whose levels differ between the alternatives of a set, as products do."""
    if choices is None or choices.sets is None:
        return frozenset()
    return frozenset(f for f, factor in enumerate(factors) if _varies(factor.codes, choices.sets))


def check_levels_of_choices(choices: Choices, factors: Sequence[GroupingFactor]) -> None:
    """Refuses grouping factors that tell every choice, or every alternative, from the others.

    Raises
    ------
    DataError
    """
    if choices.sets is None:
        return
    crossed = crossed_factors(choices, factors)
    for f, factor in enumerate(factors):
        if f in crossed and len(factor.levels) >= len(factor.codes):
            raise DataError(
                f"'{factor.name}' has a level for every alternative of every choice: its effects cannot be told from "
                "the choices themselves; leave the random effects out"
            )
        if f not in crossed and len(factor.levels) >= choices.n_sets:
            raise DataError(
                f"'{factor.name}' has {len(factor.levels)} levels in {choices.n_sets} choices: its effects cannot be "
                "told from the choices themselves; leave the random effects out"
            )


def alternatives_only(
    choices: Choices,
    fixed: tuple[FixedColumn, ...],
    terms: tuple[FixedTerm, ...],
    random: Sequence[RandomTerm],
    crossed: frozenset[int] = frozenset(),
) -> tuple[tuple[FixedColumn, ...], tuple[FixedTerm, ...], tuple[RandomTerm, ...], Choices]:
    """What differs between the alternatives of a set: the rest moves all of them alike, and decides nothing.

    The constant goes, and what is the same for all alternatives where it is a margin of another term, as ``income`` of
    ``mode * income``. Random effects of the grouping factors in `crossed` differ between alternatives whatever their
    columns are, and are all kept. The choices that are returned remember what is kept.

    Raises
    ------
    DataError
        A column that does not differ stands by itself; random columns of which only differences matter.
    """
    assert choices.sets is not None
    differs = [c.values is not None and _varies(c.values, choices.sets) for c in fixed]
    for term in terms:
        same = [fixed[k].name for k in term.columns if not differs[k]]
        if same and term.parts and not any(term.is_margin_of(other) for other in terms):
            raise DataError(
                f"'{same[0]}' is the same for all alternatives of every set of '{choices.name}', so that it moves none "
                f"of the probabilities; what it does to each alternative is an interaction, such as alternative * "
                f"{term.label} with the column that names the alternatives"
            )
    kept = [tuple(k for k, own in enumerate(differs) if own)]
    if not kept[0]:
        raise DataError("no column of the formula differs between the alternatives of a set")
    left = []
    for random_term in random:
        if random_term.grouping_factor in crossed:
            kept.append(tuple(range(len(random_term.columns))))
            left.append(random_term)
            continue
        own = tuple(k for k, c in enumerate(random_term.columns) if c is not None and _varies(c, choices.sets))
        if not own or _dependent([random_term.columns[k] for k in own], choices.sets):
            raise DataError(
                f"the random effects {', '.join(map(repr, random_term.names))} move all alternatives of a set alike, "
                "or do so together, and that decides nothing: write columns that differ between alternatives, such as "
                "(price | person), and (alternative | person) without '0 +', or a grouping factor whose levels do, as "
                "(1 | brand)"
            )
        kept.append(own)
        left.append(keep_random(random_term, own))
    return (*keep_fixed(fixed, terms, kept[0]), tuple(left), replace(choices, kept=tuple(kept)))


def _dependent(columns: Columns, sets: NDArray[np.int32]) -> bool:
    """Whether a combination of the columns is the same for all alternatives."""
    x = np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])
    size = np.bincount(sets)
    for k in range(x.shape[1]):
        x[:, k] -= (np.bincount(sets, weights=x[:, k]) / size)[sets]
        x[:, k] /= np.sqrt(np.sum(x[:, k] ** 2))
    values = np.linalg.eigvalsh(x.T @ x)
    return bool(values[0] < INDEPENDENT * values[-1])


def keep_fixed(
    fixed: tuple[FixedColumn, ...], terms: tuple[FixedTerm, ...], keep: Sequence[int]
) -> tuple[tuple[FixedColumn, ...], tuple[FixedTerm, ...]]:
    """Some of the columns, and the terms that have them all."""
    place = {k: at for at, k in enumerate(keep)}
    whole = [term for term in terms if all(k in place for k in term.columns)]
    return (
        tuple(fixed[k] for k in keep),
        tuple(replace(term, columns=tuple(place[k] for k in term.columns)) for term in whole),
    )


def keep_random(term: RandomTerm, keep: Sequence[int]) -> RandomTerm:
    """The term with some of its columns."""
    return replace(term, names=tuple(term.names[k] for k in keep), columns=tuple(term.columns[k] for k in keep))
