"""Grouping factors: a column, or combinations of columns, as integer codes. No indicator matrix is ever built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .coding import Rows
from .errors import DataError
from .frame import drop_unused, label_of, positions

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

    def apply(self, rows: Rows, missing: NDArray[np.bool_]) -> tuple[NDArray[np.int32], pd.Index]:
        """Codes of new rows (-1 where the level is new, or missing), and the labels of the new levels."""
        raw, matched = [], []
        for name, known in zip(self.columns, self.parts, strict=True):
            codes, levels = rows[name].categories("a grouping factor")
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
            labels[values[0] if len(values) == 1 else ":".join(label_of(v) for v in values)] = None
        return result.astype(np.int32), pd.Index(list(labels))


def build_grouping_factor(columns: tuple[str, ...], rows: Rows) -> tuple[GroupingFactor, GroupCoding]:
    """Codes and levels of one grouping factor; at least two levels must occur."""
    parts = [drop_unused(*rows[name].categories("a grouping factor")) for name in columns]
    codes, levels = parts[0]
    combinations = None
    if len(parts) > 1:
        combined = codes.astype(np.int64)
        for more_codes, more_levels in parts[1:]:
            combined = combined * len(more_levels) + more_codes
        combinations, codes = _combinations(combined, int(np.prod([float(len(part[1])) for part in parts])))
        levels = pd.Index(_labels(combinations, [part[1] for part in parts]))
    name = ":".join(columns)
    if len(levels) < 2:
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


def _labels(combinations: NDArray[np.int64], levels: list[pd.Index]) -> list[str]:
    columns = []
    for part in reversed(levels):
        texts = [label_of(v) for v in part]
        columns.append([texts[i] for i in (combinations % len(part)).tolist()])
        combinations = combinations // len(part)
    return [":".join(pieces) for pieces in zip(*reversed(columns), strict=True)]
