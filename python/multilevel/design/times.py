"""The times of autoregressive terms, equally spaced: learned from the rows of the fit, and found again in new ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..columns.coding import Coding
from ..columns.expressions import Numbers, Rows, evaluate
from ..columns.levels import label_of, positions
from ..columns.transforms import Categories
from ..errors import DataError
from ..formula.terms import Atom, Bar

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_TIMES = 200


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
