"""Levels of categories: codes into sorted labels, how a label is written, which levels of two columns agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray


def factorize(values: NDArray[Any], missing: NDArray[np.bool_] | None) -> tuple[NDArray[Any], pd.Index]:
    """Codes and sorted levels of whole numbers (or dates)."""
    if values.dtype.kind in "iu" and len(values) and missing is None:
        low, high = int(values.min()), int(values.max())
        if high - low < max(4 * len(values), 1024):
            # A table over the range is ten times faster than hashing.
            if values.dtype.itemsize < 8:
                values = values.astype(np.int64)
            first = values.dtype.type(low)
            shifted = values - first if low else values
            present = np.zeros(high - low + 1, dtype=bool)
            present[shifted] = True
            levels = np.flatnonzero(present)
            labels = pd.Index(levels.astype(values.dtype) + first)
            if len(levels) == len(present):
                return shifted.astype(np.int32), labels
            table = np.empty(len(present), dtype=np.int32)
            table[levels] = np.arange(len(levels), dtype=np.int32)
            return table[shifted], labels
    codes, unique = pd.factorize(values)
    codes = codes.astype(np.int32)
    if missing is not None:
        codes[missing] = -1
    return sorted_levels(codes, pd.Index(unique))


def sorted_levels(codes: NDArray[Any], levels: pd.Index) -> tuple[NDArray[Any], pd.Index]:
    """Sort the levels and renumber the codes; -1 stays -1."""
    try:
        order = np.argsort(
            levels.to_numpy(dtype=object) if levels.dtype == object else levels.to_numpy(), kind="stable"
        )
    except TypeError:  # texts and numbers mixed
        order = np.argsort(np.array([f"{type(v).__name__} {v}" for v in levels], dtype=object), kind="stable")
    table = np.empty(len(levels) + 1, dtype=np.int32)
    table[order] = np.arange(len(levels), dtype=np.int32)
    table[-1] = -1
    if np.array_equal(order, np.arange(len(levels))):
        return codes, levels
    return table[codes], levels[order]


def positions(known: pd.Index, levels: pd.Index) -> NDArray[np.intp]:
    """Where `levels` stand among the `known` ones (-1 if nowhere).

    1, 1.0 and "1" agree when the kinds differ, and so do truth values with 0 and 1, but not with texts.
    """
    if is_logical(known) != is_logical(levels):
        numbers = [_truth_as_number(index) for index in (known, levels)]
        if any(index.inferred_type not in ("integer", "floating") for index in numbers):
            return np.full(len(levels), -1, dtype=np.intp)
        known, levels = numbers
    found = np.asarray(known.get_indexer(levels))
    if known.inferred_type != levels.inferred_type and (found < 0).any():
        labels = {label_of(level): i for i, level in enumerate(known)}
        found = np.array([labels.get(label_of(level), -1) for level in levels], dtype=np.intp)
    return found


def is_logical(levels: pd.Index) -> bool:
    """Whether they are truth values."""
    return levels.inferred_type == "boolean"


def _truth_as_number(levels: pd.Index) -> pd.Index:
    return pd.Index(levels.to_numpy().astype(np.int64)) if is_logical(levels) else levels


def label_of(level: Any) -> str:
    """How a level is written in the name of a column."""
    if isinstance(level, (float, np.floating)) and float(level).is_integer():
        return str(int(level))
    return str(level)


def drop_unused(codes: NDArray[Any], levels: pd.Index) -> tuple[NDArray[np.int32], pd.Index]:
    """Renumber codes (none of them -1) so that only levels that occur remain."""
    counts = np.bincount(codes, minlength=len(levels)) if len(codes) else np.zeros(len(levels), dtype=np.int64)
    used = counts > 0
    if used.all():
        return np.ascontiguousarray(codes, dtype=np.int32), levels
    table = np.cumsum(used, dtype=np.int32) - 1
    return table[codes].astype(np.int32, copy=False), levels[used]
