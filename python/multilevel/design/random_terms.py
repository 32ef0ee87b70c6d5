"""Random-effects terms: the columns before each bar, and the times of autoregressive terms; and again for new data."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..columns.coding import Coding, code_terms, named_columns
from ..columns.expressions import Numbers, Rows, evaluate
from ..columns.grouping import GroupCoding, GroupingFactor, build_grouping_factor
from ..columns.levels import label_of, positions
from ..columns.transforms import Categories
from ..errors import DataError
from ..formula.parse import Atom, Bar, Formula
from ..formula.structures import ORDERED, UNCORRELATED, rank_of
from ..formula.tokens import complain

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_TIMES = 200
RandomColumns = tuple["NDArray[Any] | None", ...]


@dataclass(frozen=True)
class RandomTerm:
    """One random-effects term.

    Attributes
    ----------
    grouping_factor : int
        Its position in `Design.grouping_factors`.
    names : tuple of str
    columns : tuple of (ndarray or None)
        None is the constant 1. Only a time in a gap of an autoregressive term is zero in every row.
    structure : str
        "unstructured", "diagonal", "homogeneous diagonal", "compound symmetry", "homogeneous compound symmetry", "ar1",
        "heterogeneous ar1", or "reduced rank 2" with the rank in the name.
    """

    grouping_factor: int
    names: tuple[str, ...]
    columns: RandomColumns
    structure: str


@dataclass(frozen=True)
class RandomCoding:
    """What new data need: the grouping factors, and per random-effects term its times, if it has any."""

    groups: tuple[GroupCoding, ...]
    times: tuple[Times | None, ...]


def bar_atoms(bars: Sequence[Bar]) -> tuple[Atom, ...]:
    """The variables before the bars, each once, but those that are times."""
    return tuple(dict.fromkeys(atom for bar in bars if bar.structure not in ORDERED for atom in bar.terms.atoms))


def build_random_terms(
    formula: Formula, values: Mapping[Atom, Numbers | Categories], coding: Coding, rows: Rows
) -> tuple[tuple[GroupingFactor, ...], tuple[RandomTerm, ...], RandomCoding]:
    """The grouping factors and the terms of the rows of the fit."""
    built: dict[tuple[str, ...], tuple[GroupingFactor, GroupCoding]] = {}
    for bar in formula.bars:
        if bar.group not in built:
            # A single series of many times tells its variance and correlation.
            series = all(other.structure == "ar1" for other in formula.bars if other.group == bar.group)
            labels = {name for other in formula.bars if other.group == bar.group for name in other.labels}
            built[bar.group] = build_grouping_factor(bar.group, rows, labels=labels, single_level=series)
    position = {group: i for i, group in enumerate(built)}
    terms: list[RandomTerm] = []
    times: list[Times | None] = []
    for bar in formula.bars:
        if bar.structure in ORDERED:
            found, codes = learn_times(bar, rows, coding)
            times.append(found)
            named = [(name, codes == i) for i, name in enumerate(found.names)]
        else:
            times.append(None)
            named = named_columns(code_terms(bar.terms, values, coding.variables))
            for name, column in named:
                if column is not None and not column.any():
                    raise DataError(f"the random-effects column '{name}' of {bar.text} is zero in every row; remove it")
        names = tuple(name for name, _ in named)
        _check_columns(formula, bar, names)
        terms.append(RandomTerm(position[bar.group], names, tuple(column for _, column in named), bar.structure))
    factors, groups = tuple(f for f, _ in built.values()), tuple(c for _, c in built.values())
    return factors, tuple(terms), RandomCoding(groups, tuple(times))


def _check_columns(formula: Formula, bar: Bar, names: tuple[str, ...]) -> None:
    """A structure of correlations needs columns that correlate, and more of them than dimensions."""
    rank = rank_of(bar.structure)
    if bar.structure in UNCORRELATED or bar.structure == "unstructured":
        return
    if len(names) < 2:
        complain(
            formula.source,
            bar.position,
            f"{bar.text} has one column, '{names[0]}': a structure of correlations needs at least two; "
            f"for one write ({_left(bar)} | {bar.group_name})",
        )
    if rank is not None and rank >= len(names):
        most = len(names) - 1
        complain(
            formula.source,
            bar.position,
            f"{bar.text} has {rank} dimensions for {len(names)} columns: d must be less, such as d={most}; "
            f"for every correlation write ({_left(bar)} | {bar.group_name})",
        )


def _left(bar: Bar) -> str:
    products = [":".join(atom.text for atom in product) for product in bar.terms.products]
    return " + ".join(["1" if bar.terms.intercept else "0", *products]) if products else "1"


def code_new_random(
    formula: Formula,
    random: RandomCoding,
    values: Mapping[Atom, Numbers | Categories],
    coding: Coding,
    rows: Rows,
    missing: NDArray[np.bool_],
    wanted: Collection[str],
) -> tuple[tuple[NDArray[np.int32], ...], tuple[pd.Index, ...], tuple[RandomColumns, ...]]:
    """Codes, new levels and columns of new rows; nothing for the grouping factors that are not wanted."""
    nothing = (np.empty(0, dtype=np.int32), pd.Index([]))
    groups = [group.apply(rows, missing) if group.name in wanted else nothing for group in random.groups]
    columns: list[RandomColumns] = []
    for bar, times in zip(formula.bars, random.times, strict=True):
        if bar.group_name not in wanted:
            columns.append(())
        elif times is None:
            columns.append(tuple(c for _, c in named_columns(code_terms(bar.terms, values, coding.variables))))
        else:
            codes = times.apply(rows, coding, missing)
            columns.append(tuple(codes == i for i in range(len(times.levels))))
    return tuple(codes for codes, _ in groups), tuple(unseen for _, unseen in groups), tuple(columns)


# ---- times -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Times:
    """The times of an autoregressive term, equally spaced.

    Attributes
    ----------
    term : str
        As written.
    atom : Atom
    levels : pandas.Index
        Every whole number from the first time to the last, or the levels of a factor in their order.
    """

    term: str
    atom: Atom
    levels: pd.Index

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(f"{self.atom.text}[{label_of(level)}]" for level in self.levels)

    def apply(self, rows: Rows, coding: Coding, missing: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Which time each new row has; -1 where it is missing."""
        value = evaluate(self.atom, rows, coding.state, missing)
        if isinstance(value, Numbers):
            levels, codes = np.unique(value.columns[0][1], return_inverse=True)
            value = Categories(codes, pd.Index(levels))
        at = np.append(positions(self.levels, value.levels), -1)[value.codes]
        new = np.flatnonzero((at < 0) & ~missing)
        if len(new):
            time = label_of(value.levels[value.codes[new[0]]])
            raise DataError(
                f"{self.term}: '{self.atom.text}' is {time} in {rows.at(int(new[0]))} of the new data; the times of "
                f"the fit go from {label_of(self.levels[0])} to {label_of(self.levels[-1])}; "
                "leave such rows out, or predict without this random effect"
            )
        return at


def learn_times(bar: Bar, rows: Rows, coding: Coding) -> tuple[Times, NDArray[Any]]:
    """The times of a term, and which of them each row has."""
    (atom,) = bar.terms.atoms
    where = f"the times '{atom.text}' of {bar.text}"
    dates = atom.name is not None and rows[atom.name].kind == "other"
    value = None if dates else evaluate(atom, rows, coding.state)
    if value is None or (isinstance(value, Categories) and not value.declared and value.levels.dtype.kind in "mM"):
        raise DataError(f"{where} are dates or the like; count the visits, days or weeks as whole numbers instead")
    levels, codes = _whole_times(where, value, rows) if isinstance(value, Numbers) else _level_times(where, value)
    if len(levels) < 2:
        raise DataError(f"{where} are {label_of(levels[0])} in every row; a correlation over time needs several")
    return Times(bar.text, atom, levels), codes


def _whole_times(where: str, value: Numbers, rows: Rows) -> tuple[pd.Index, NDArray[Any]]:
    if len(value.columns) != 1:
        raise DataError(f"{where} have {len(value.columns)} columns; one column of times is needed")
    times = value.columns[0][1]
    if times.dtype.kind == "f":
        fractional = np.flatnonzero(times != np.floor(times))
        if len(fractional):
            row = int(fractional[0])
            raise DataError(
                f"{where} must be whole numbers, equally spaced; found {times[row]:g} in {rows.at(row)} and fractions "
                f"in {len(fractional)} of {rows.n} rows: round them, or number the visits 0, 1, 2, ..."
            )
    low, high = int(times.min()), int(times.max())
    _check_number(where, high - low + 1, f"whole numbers from {low} to {high}")
    return pd.Index(np.arange(low, high + 1)), (times - times.dtype.type(low)).astype(np.intp)


def _level_times(where: str, value: Categories) -> tuple[pd.Index, NDArray[Any]]:
    used = np.flatnonzero(np.bincount(value.codes, minlength=len(value.levels)))
    first, last = int(used[0]), int(used[-1])
    # Levels between that no row has are gaps, and count.
    levels = value.levels[first : last + 1]
    _check_number(where, len(levels), f"levels from '{label_of(levels[0])}' to '{label_of(levels[-1])}'")
    if not value.declared and all(isinstance(level, str) for level in levels):
        _check_sorted(where, list(levels))
    return levels, np.asarray(value.codes, dtype=np.intp) - first


def _check_sorted(where: str, labels: list[str]) -> None:
    """Refuse texts whose alphabetical order need not be that of time."""
    numbered = all(re.search(r"\d", label) for label in labels)
    natural = sorted(labels, key=lambda label: [(int(p), "") if p.isdigit() else (-1, p) for p in _pieces(label)])
    if not numbered or natural != labels:
        shown = ", ".join(repr(label) for label in labels[:4]) + (", ..." if len(labels) > 4 else "")
        raise DataError(
            f"{where} are texts, whose alphabetical order is {shown}; declare their order, as in "
            "pd.Categorical(column, categories=[first, ..., last]), or use whole numbers"
        )


def _pieces(label: str) -> list[str]:
    return re.findall(r"\d+|\D+", label)


def _check_number(where: str, n_times: int, what: str) -> None:
    if n_times > MOST_TIMES:
        raise DataError(
            f"{where} are {n_times:,} {what}; up to {MOST_TIMES} can be fitted: use coarser units, "
            "or number the visits 0, 1, 2, ..."
        )
