"""Tables of the outcome by a factor: counts, and their shares of each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..columns.levels import label_of
from ..errors import DataError
from ..tables.page import OnPage, Page, Table
from .columns_used import used_column

if TYPE_CHECKING:
    from ..design.design import Design

MOST = 50  # values: more are no table to look at


@dataclass(frozen=True, eq=False, repr=False)
class Crosstab(OnPage):
    """A table of counts; prints with percentages.

    Attributes
    ----------
    counts : DataFrame, (levels of the factor, values of the outcome)
    percent : DataFrame, the same shape
        Of each row, adding up to 100.
    total : Series
        Of each row.
    """

    counts: pd.DataFrame
    percent: pd.DataFrame

    @property
    def total(self) -> pd.Series:
        """Of each row."""
        return self.counts.sum(axis=1).rename("total")

    @property
    def page(self) -> Page:
        """The table as text or HTML."""
        counts = pd.concat([self.counts, self.counts.sum().to_frame("all").T])
        shares = 100.0 * counts.div(counts.sum(axis=1), axis=0)
        rows = [
            (label_of(label), *(f"{n:.0f} ({p:.1f}%)" for n, p in zip(own, of, strict=True)), f"{own.sum():.0f}")
            for label, own, of in zip(counts.index, counts.to_numpy(), shares.to_numpy(), strict=True)
        ]
        heads = (str(self.counts.index.name), *map(label_of, self.counts.columns), "total")
        return Page(
            (Table(heads, tuple(rows), n_labels=1, notes=(f"{self.counts.columns.name}: counts and row percent",)),)
        )


def crosstab(design: Design, outcome: str, factor: str) -> Crosstab:
    """Counts of the values of one column of a model for those of another, over the rows used; weights do not count.

    Parameters
    ----------
    design : Design
    outcome : str
        In the columns of the table. A response of trials counts its successes and failures.
    factor : str
        In the rows.

    Returns
    -------
    Crosstab

    Raises
    ------
    DataError
        The model does not use a column, or it has too many values for a table.
    """
    down, response = _values(design, factor), design.response
    if outcome == response.name and response.size is not None and (response.size > 1).any():
        hits, trials = np.asarray(response.values), np.asarray(response.size)
        long = pd.concat(
            [
                pd.DataFrame({"down": down, "across": name, "n": n})
                for name, n in (("successes", hits), ("failures", trials - hits))
            ]
        )
        counts = long.pivot_table(index="down", columns="across", values="n", aggfunc="sum", observed=True)
        counts = counts[["successes", "failures"]]
    else:
        counts = pd.crosstab(down, _values(design, outcome))
    counts.index.name, counts.columns.name = factor, outcome
    counts = pd.DataFrame(counts)
    return Crosstab(counts, 100.0 * counts.div(counts.sum(axis=1), axis=0))


def _values(design: Design, name: str) -> pd.Categorical:
    codes, values = used_column(design, name).distinct()
    if len(values) > MOST:
        raise DataError(
            f"{name!r} has {len(values):,} values, and a table has up to {MOST}; make classes of them first, as in "
            f"data['classes'] = pd.cut(data[{name!r}], 5)"
        )
    return pd.Categorical.from_codes(codes, categories=pd.Index(values, dtype=object))
