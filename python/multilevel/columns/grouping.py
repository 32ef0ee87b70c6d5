"""Grouping factors: a column, or combinations of columns, as integer codes. No indicator matrix is ever built."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import DataError
from .expressions import Rows
from .levels import drop_unused, is_logical, label_of, positions

_FIRST_ROWS = 4096  # a glance at these settles most questions

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class GroupingFactor:
    """A grouping factor and the level of each row.

    Attributes
    ----------
    name : str
        "herd", or "a:b" for combinations.
    levels : pandas.Index
        The labels that occur, sorted, or in the declared order of a categorical column.
    codes : ndarray of int32
    """

    name: str
    levels: pd.Index
    codes: NDArray[np.int32]


@dataclass(frozen=True)
class GroupCoding:
    """What new data need: the levels of each column, and which combinations of them are levels of the factor."""

    columns: tuple[str, ...]
    levels: pd.Index
    parts: tuple[pd.Index, ...]
    combinations: NDArray[np.int64] | None

    @property
    def name(self) -> str:
        """The name of the grouping factor."""
        return ":".join(self.columns)

    def apply(self, rows: Rows, missing: NDArray[np.bool_]) -> tuple[NDArray[np.int32], pd.Index]:
        """Codes of new rows (-1 where the level is new, or missing), and the labels of the new levels."""
        raw, matched = [], []
        for name, known in zip(self.columns, self.parts, strict=True):
            codes, levels = rows[name].categories("a grouping factor", whole=False)
            if is_logical(known) and levels.inferred_type == "string":
                raise DataError(
                    f"column '{name}' held truth values in the fit, and the new data hold texts, such as "
                    f"'{levels[0]}': data[{name!r}] == 'True' makes truth values of them"
                )
            raw.append((codes, levels))
            matched.append(np.append(positions(known, levels), -1).astype(np.int64)[codes])
        if self.combinations is None:
            result = matched[0]
        else:
            combined = matched[0]
            for codes, known in zip(matched[1:], self.parts[1:], strict=True):
                combined = np.where((combined < 0) | (codes < 0), -1, combined * len(known) + codes)
            at = np.searchsorted(self.combinations, combined)
            at[at == len(self.combinations)] = 0
            result = np.where(self.combinations[at] == combined, at, -1)
        new = np.flatnonzero((result < 0) & ~missing)
        labels: dict[Any, None] = {}
        for i in new:
            values = [levels[codes[i]] for codes, levels in raw]
            labels[values[0] if len(values) == 1 else ":".join(_quoted(label_of(v)) for v in values)] = None
        return result.astype(np.int32), pd.Index(list(labels))


def build_grouping_factor(
    columns: tuple[str, ...], rows: Rows, *, labels: Collection[str] = (), single_level: bool = False
) -> tuple[GroupingFactor, GroupCoding]:
    """Codes and levels of one grouping factor.

    At least two levels must occur, unless a `single_level` will do. Columns in `labels` may hold numbers that are not
    whole.
    """
    parts = [drop_unused(*rows[name].categories("a grouping factor", whole=name not in labels)) for name in columns]
    codes, levels = parts[0]
    combinations = None
    if len(parts) > 1:
        combined = codes.astype(np.int64)
        for more_codes, more_levels in parts[1:]:
            combined = combined * len(more_levels) + more_codes
        finest = max(parts, key=lambda part: len(part[1]))
        if not varies_within(finest[0], len(finest[1]), combined):
            combinations, codes = _nested_combinations(finest[0], len(finest[1]), combined)
        else:
            combinations, codes = _combinations(combined, int(np.prod([float(len(part[1])) for part in parts])))
        levels = pd.Index(_labels(combinations, [part[1] for part in parts]))
    name = ":".join(columns)
    if len(levels) < 2 and not single_level:
        raise DataError(
            f"the grouping factor '{name}' has one level ('{label_of(levels[0])}'); its variance needs at least two"
        )
    factor = GroupingFactor(name, levels, codes)
    return factor, GroupCoding(columns, levels, tuple(part[1] for part in parts), combinations)


def _combinations(combined: NDArray[np.int64], possible: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The combinations that occur, sorted, and the position of each row's."""
    if possible < max(4 * len(combined), 1024):
        present = np.zeros(possible, dtype=bool)
        present[combined] = True
        table = np.cumsum(present, dtype=np.int32) - 1
        return np.flatnonzero(present), table[combined].astype(np.int32, copy=False)
    codes, unique = pd.factorize(combined)
    order = np.argsort(unique)
    table = np.empty(len(unique), dtype=np.int32)
    table[order] = np.arange(len(unique), dtype=np.int32)
    return np.asarray(unique)[order], table[codes]


def _nested_combinations(
    codes: NDArray[np.int32], n_levels: int, combined: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """As `_combinations`, where the codes of one column tell the combination: no search over rows is needed."""
    of_level = np.empty(n_levels, dtype=np.int64)
    of_level[codes] = combined
    order = np.argsort(of_level)
    table = np.empty(n_levels, dtype=np.int32)
    table[order] = np.arange(n_levels, dtype=np.int32)
    return of_level[order], table[codes]


def _labels(combinations: NDArray[np.int64], levels: list[pd.Index]) -> list[str]:
    columns = []
    for part in reversed(levels):
        values = part.tolist()  # Python's integers are written faster than NumPy's
        texts = list(map(str, values)) if part.dtype.kind in "iu" else [_quoted(label_of(v)) for v in values]
        columns.append([texts[i] for i in (combinations % len(part)).tolist()])
        combinations = combinations // len(part)
    return list(map(":".join, zip(*reversed(columns), strict=True)))


def _quoted(label: str) -> str:
    """In backticks where it holds a colon, so that "x:y" and "z" differ from "x" and "y:z"."""
    return "`" + label.replace("`", "``") + "`" if ":" in label or "`" in label else label


# ---- how factors relate ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Relation:
    """How two grouping factors divide the rows; `str()` says it in a sentence.

    Attributes
    ----------
    first, second : GroupingFactor
    positions : tuple of int
        Where the two stand among the factors compared.
    kind : str
        "equal": the same groups of rows, whatever the labels. "nested": each level of `inner` occurs within one level
        of `outer`. "crossed": neither.
    """

    first: GroupingFactor
    second: GroupingFactor
    positions: tuple[int, int]
    kind: str

    @property
    def inner(self) -> GroupingFactor | None:
        """The factor that is nested in the other; None unless the two are nested."""
        if self.kind != "nested":
            return None
        return self.first if len(self.first.levels) > len(self.second.levels) else self.second

    @property
    def outer(self) -> GroupingFactor | None:
        """The factor that the other is nested in; None unless the two are nested."""
        inner = self.inner
        return None if inner is None else self.second if inner is self.first else self.first

    @cached_property
    def n_shared(self) -> tuple[int, int]:
        """Levels of the first that occur with several levels of the second, and the other way round."""
        return _n_shared(self.first, self.second), _n_shared(self.second, self.first)

    @cached_property
    def n_pairs(self) -> int:
        """Combinations of their levels that occur."""
        if self.kind != "crossed":
            return max(len(self.first.levels), len(self.second.levels))
        combined = self.first.codes.astype(np.int64) * len(self.second.levels) + self.second.codes
        possible = len(self.first.levels) * len(self.second.levels)
        if possible < max(16 * len(combined), 1024):
            present = np.zeros(possible, dtype=bool)
            present[combined] = True
            return int(np.count_nonzero(present))
        return len(pd.unique(combined))

    def __str__(self) -> str:
        a, b = self.first, self.second
        if self.kind == "equal":
            return f"'{a.name}' and '{b.name}' have the same {len(a.levels):,} groups of rows"
        if self.inner is not None and self.outer is not None:
            return (
                f"'{self.inner.name}' is nested in '{self.outer.name}': each of its {len(self.inner.levels):,} levels "
                f"occurs within one of the {len(self.outer.levels):,} levels of '{self.outer.name}'"
            )
        return (
            f"'{a.name}' and '{b.name}' are crossed: {self.n_shared[0]:,} of the {len(a.levels):,} levels of "
            f"'{a.name}' occur with several levels of '{b.name}', {self.n_shared[1]:,} of the {len(b.levels):,} levels "
            f"of '{b.name}' with several of '{a.name}'"
        )


def relations(factors: Sequence[GroupingFactor]) -> tuple[Relation, ...]:
    """How each pair of grouping factors relates, in the order (0, 1), (0, 2), ..., (1, 2), ...

    Parameters
    ----------
    factors : sequence of GroupingFactor

    Returns
    -------
    tuple of Relation
    """
    n = len(factors)
    return tuple(_relation(factors, i, j) for i in range(n) for j in range(i + 1, n))


def _relation(factors: Sequence[GroupingFactor], i: int, j: int) -> Relation:
    first, second = factors[i], factors[j]
    inner, outer = (first, second) if len(first.levels) >= len(second.levels) else (second, first)
    kind = "crossed"
    if not varies_within(inner.codes, len(inner.levels), outer.codes):
        # Every level of both occurs, so that with as many levels the one determines the other.
        kind = "equal" if len(inner.levels) == len(outer.levels) else "nested"
    return Relation(first, second, (i, j), kind)


def varies_within(codes: NDArray[np.int32], n_levels: int, values: NDArray[Any]) -> bool:
    """Whether `values` differ between rows of the same level, for one level at least."""
    last = np.empty(n_levels, dtype=values.dtype)
    for part in (slice(_FIRST_ROWS), slice(None)):
        group, value = codes[part], values[part]
        last[group] = value
        if not np.array_equal(last[group], value):
            return True
        if len(group) == len(codes):
            break
    return False


def _n_shared(factor: GroupingFactor, other: GroupingFactor) -> int:
    last = np.empty(len(factor.levels), dtype=np.int32)
    last[factor.codes] = other.codes
    several = np.zeros(len(last), dtype=bool)
    several[factor.codes[last[factor.codes] != other.codes]] = True
    return int(np.count_nonzero(several))
