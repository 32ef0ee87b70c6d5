"""Descriptions of a model's columns: how they vary over all rows, between levels of grouping factors, and within."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..columns.levels import label_of
from ..tables.page import OnPage, Page, Paragraph, Table, format_fixed, format_numbers
from .columns_used import group_codes, missing_rows, used_column, used_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..columns.grouping import GroupingFactor
    from ..design.design import Design
    from .columns_used import Used

    Array = NDArray[np.float64]

FEW = 0.1  # of the levels: a column that varies in no more is probably meant to be constant
ROUNDING = 1e-12  # of the largest value


@dataclass(frozen=True, eq=False, repr=False)
class Description(OnPage):
    """How the columns of a model vary; prints as two tables.

    Attributes
    ----------
    columns : DataFrame, a row per column
        column, n (rows used), missing (rows of the data without a value; NaN where the data are not there), distinct
        (values that occur), mean, sd, min, max (NaN of categories).
    levels : DataFrame, a row per column and grouping factor
        column, group, levels, varying (levels in which the column has several values), sd_between, sd_within (NaN of
        categories).
    notes : tuple of str
        Columns that are constant in nearly all levels, with the levels where they are not.
    """

    columns: pd.DataFrame
    levels: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def page(self) -> Page:
        """The description as text or HTML."""
        own = self.columns
        cells = [list(own["column"]), *(_whole(own[name]) for name in ("n", "missing", "distinct"))]
        cells += [_each(own[name]) for name in ("mean", "sd", "min", "max")]
        blocks: list[Table | Paragraph] = [Table(tuple(own.columns), tuple(zip(*cells, strict=True)), n_labels=1)]
        if len(self.levels):
            own = self.levels
            cells = [list(own["column"]), list(own["group"]), *(_whole(own[name]) for name in ("levels", "varying"))]
            cells += [_each(own[name]) for name in ("sd_between", "sd_within")]
            rows = tuple(zip(*cells, strict=True))
            note = "varying: levels in which the column has several values; 0 is a column of the level itself"
            blocks.append(Table(tuple(own.columns), rows, n_labels=2, notes=(note,)))
        if self.notes:
            blocks.append(Paragraph(self.notes, title="To look at:", hanging=2))
        return Page(tuple(blocks))


def describe(design: Design, data: Any) -> Description:
    """The columns of a model, described over the rows that it uses; weights do not count.

    Parameters
    ----------
    design : Design
    data : data frame or None
        What the model was made of, for counts of missing values.

    Returns
    -------
    Description
        Standard deviations as Stata's xtsum has them: between, of the means of the levels; within, of the differences
        from these, over n - 1.
    """
    columns = used_columns(design)
    overall, levels, notes = [], [], []
    for (name, column), missing in zip(columns.items(), missing_rows(columns, data), strict=True):
        codes, distinct = column.distinct()
        x = column.values
        numbers = [np.nan] * 4 if column.levels is not None else [x.mean(), _sd(x), x.min(), x.max()]
        overall.append((name, len(x), missing, len(distinct), *numbers))
        for factor in design.grouping_factors:
            varying = _varying(column, codes, factor)
            levels.append((name, factor.name, len(factor.levels), len(varying), *_parts(column, factor)))
            if 0 < len(varying) <= FEW * len(factor.levels):
                shown = ", ".join(label_of(factor.levels[at]) for at in varying[:5])
                notes.append(
                    f"{name} is constant in all levels of {factor.name} but {len(varying)}: "
                    f"{shown}{', ...' if len(varying) > 5 else ''}"
                )
    return Description(
        pd.DataFrame(overall, columns=["column", "n", "missing", "distinct", "mean", "sd", "min", "max"]),
        pd.DataFrame(levels, columns=["column", "group", "levels", "varying", "sd_between", "sd_within"]),
        tuple(notes),
    )


def not_constant(design: Design, column: str, group: str) -> pd.DataFrame:
    """The levels of a grouping factor in which a column has several values.

    Returns
    -------
    DataFrame
        level, n (rows), distinct, values (the first five, the most frequent first, as text); empty where the column is
        constant in every level.
    """
    of_values, values = used_column(design, column).distinct()
    codes, levels = group_codes(design, group)
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes, minlength=len(levels))
    rows = []
    for level, own in zip(levels, np.split(of_values[order], np.cumsum(sizes)[:-1]), strict=True):
        there, counts = np.unique(own, return_counts=True)
        if len(there) > 1:
            by_count = np.argsort(-counts, kind="stable")
            texts = [f"{label_of(values[there[k]])} ({counts[k]})" for k in by_count[:5]]
            rows.append((level, len(own), len(there), ", ".join([*texts, *(["..."] if len(there) > 5 else [])])))
    return pd.DataFrame(rows, columns=["level", "n", "distinct", "values"])


def _varying(column: Used, codes: NDArray[np.intp], factor: GroupingFactor) -> NDArray[np.intp]:
    """Positions of the levels in which a column has several values; means that differ by rounding are the same."""
    n = len(factor.levels)
    values = codes.astype(np.float64) if column.levels is not None else column.values
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(low, factor.codes, values)
    np.maximum.at(high, factor.codes, values)
    return np.flatnonzero(high - low > ROUNDING * np.abs(values).max())


def _parts(column: Used, factor: GroupingFactor) -> tuple[float, float]:
    """Standard deviations of the means of the levels, and of the differences from these."""
    if column.levels is not None:
        return np.nan, np.nan
    n = len(factor.levels)
    centre = column.values.mean()
    centred = column.values - centre
    means = np.bincount(factor.codes, weights=centred, minlength=n) / np.bincount(factor.codes, minlength=n)
    within = centred - means[factor.codes]
    size = float(np.abs(column.values).max())
    rows = len(within)
    own = float(np.sqrt(np.sum(within**2) / (rows - 1))) if rows > 1 else np.nan
    return _sd(means), 0.0 if own <= ROUNDING * size else own


def _sd(x: Array) -> float:
    return float(np.std(x, ddof=1)) if len(x) > 1 else np.nan


def _whole(values: pd.Series) -> list[str]:
    return ["" if text == "NaN" else text for text in format_fixed(values, 0)]


def _each(values: pd.Series) -> list[str]:
    """Columns of the data have scales of their own."""
    return ["" if np.isnan(value) else format_numbers([value], 4)[0] for value in values]
