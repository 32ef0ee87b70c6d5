"""Random-effects terms: the columns before each bar, and again for new data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..columns.coding import Coding, code_terms, named_columns
from ..columns.expressions import Numbers, Rows
from ..columns.grouping import GroupCoding, GroupingFactor, build_grouping_factor
from ..columns.transforms import Categories
from ..errors import DataError
from ..formula.parse import Formula
from ..formula.structures import CONFIRMATORY, ORDERED, UNCORRELATED, rank_of
from ..formula.terms import Atom, Bar
from ..formula.tokens import complain
from .confirmatory import confirmatory_structure
from .times import Times, learn_times

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
        "heterogeneous ar1", "reduced rank 2" with the rank in the name, or "confirmatory math=1100 verbal=0011" with
        the columns that load on each factor.
    parameter : str
        The parameter of the family that it belongs to; empty for the mean.
    """

    grouping_factor: int
    names: tuple[str, ...]
    columns: RandomColumns
    structure: str
    parameter: str = ""


@dataclass(frozen=True)
class PartBar:
    """A bar of one of the model's formulas, and the part and the parameter of the family that it belongs to."""

    bar: Bar
    source: str
    part: str = ""
    parameter: str = ""

    def named(self, name: str) -> str:
        """The name of a random effect, which says the part where it is not the mean's."""
        return f"{self.part}: {name}" if self.part else name


@dataclass(frozen=True)
class RandomCoding:
    """What new data need: the grouping factors, and per random-effects term its times, if it has any."""

    groups: tuple[GroupCoding, ...]
    times: tuple[Times | None, ...]


def bar_atoms(bars: Sequence[Bar]) -> tuple[Atom, ...]:
    """The variables before the bars, each once, but those that are times."""
    return tuple(dict.fromkeys(atom for bar in bars if bar.structure not in ORDERED for atom in bar.terms.atoms))


def all_bars(formula: Formula, parts: Sequence[tuple[str, str, Formula]]) -> tuple[PartBar, ...]:
    """The bars of the mean, then those of the other parts: name, parameter and formula of each."""
    bars = [PartBar(bar, formula.source) for bar in formula.bars]
    bars += [PartBar(bar, own.source, name, parameter) for name, parameter, own in parts for bar in own.bars]
    return tuple(bars)


def build_random_terms(
    bars: Sequence[PartBar], values: Mapping[Atom, Numbers | Categories], coding: Coding, rows: Rows
) -> tuple[tuple[GroupingFactor, ...], tuple[RandomTerm, ...], RandomCoding]:
    """The grouping factors and the terms of the rows of the fit."""
    built: dict[tuple[str, ...], tuple[GroupingFactor, GroupCoding]] = {}
    for bar in (own.bar for own in bars):
        if bar.group not in built:
            # A single series of many times tells its variance and correlation.
            same = [own.bar for own in bars if own.bar.group == bar.group]
            series = all(other.structure == "ar1" for other in same)
            labels = {name for other in same for name in other.labels}
            built[bar.group] = build_grouping_factor(bar.group, rows, labels=labels, single_level=series)
    position = {group: i for i, group in enumerate(built)}
    terms: list[RandomTerm] = []
    times: list[Times | None] = []
    for own in bars:
        bar = own.bar
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
        names = tuple(own.named(name) for name, _ in named)
        _check_columns(own.source, bar, names)
        columns = tuple(column for _, column in named)
        structure = bar.structure
        if structure == CONFIRMATORY:
            structure = confirmatory_structure(own.source, bar, [name for name, _ in named])
        terms.append(RandomTerm(position[bar.group], names, columns, structure, own.parameter))
    factors, groups = tuple(f for f, _ in built.values()), tuple(c for _, c in built.values())
    return factors, tuple(terms), RandomCoding(groups, tuple(times))


def _check_columns(source: str, bar: Bar, names: tuple[str, ...]) -> None:
    """A structure of correlations needs columns that correlate, and more of them than dimensions."""
    rank = None if bar.factors else rank_of(bar.structure)
    if bar.structure in UNCORRELATED or bar.structure == "unstructured":
        return
    if len(names) < 2:
        complain(
            source,
            bar.position,
            f"{bar.text} has one column, '{names[0]}': a structure of correlations needs at least two; "
            f"for one write ({left_of(bar)} | {bar.group_name})",
        )
    if rank is not None and rank >= len(names):
        most = len(names) - 1
        complain(
            source,
            bar.position,
            f"{bar.text} has {rank} dimensions for {len(names)} columns: d must be less, such as d={most}; "
            f"for every correlation write ({left_of(bar)} | {bar.group_name})",
        )


def left_of(bar: Bar) -> str:
    """What stands before the bar, as it was read."""
    products = [":".join(atom.text for atom in product) for product in bar.terms.products]
    return " + ".join(["1" if bar.terms.intercept else "0", *products]) if products else "1"


def code_new_random(
    bars: Sequence[tuple[PartBar, bool]],
    random: RandomCoding,
    values: Mapping[Atom, Numbers | Categories],
    coding: Coding,
    rows: Rows,
    missing: NDArray[np.bool_],
    named: Collection[str],
) -> tuple[tuple[NDArray[np.int32], ...], tuple[pd.Index, ...], tuple[RandomColumns, ...]]:
    """Codes and new levels of the grouping factors that are `named`, and columns of new rows.

    `bars` says of each whether its columns are needed; codes are empty of factors that are not `named`.
    """
    nothing = (np.empty(0, dtype=np.int32), pd.Index([]))
    groups = [group.apply(rows, missing) if group.name in named else nothing for group in random.groups]
    columns: list[RandomColumns] = []
    for (own, needed), times in zip(bars, random.times, strict=True):
        bar = own.bar
        if not needed:
            columns.append(())
        elif times is None:
            columns.append(tuple(c for _, c in named_columns(code_terms(bar.terms, values, coding.variables))))
        else:
            codes = times.apply(rows, coding, missing)
            columns.append(tuple(codes == i for i in range(len(times.levels))))
    return tuple(codes for codes, _ in groups), tuple(unseen for _, unseen in groups), tuple(columns)
