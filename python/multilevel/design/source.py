"""The columns of the user's data that the predictors were made from, as they were read, at the rows used.

A design knows what a formula made of its columns, such as the square of an age; what is asked after a fit is about the
columns themselves: their means and levels, and what the model says where one of them is changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ..columns.expressions import Rows
    from ..formula.terms import Atom


@dataclass(frozen=True, eq=False)
class SourceColumn:
    """A column of the user's data.

    Attributes
    ----------
    name : str
    kind : {"number", "bool", "category"}
    values : ndarray, (n_rows,)
        Numbers, truth values, or codes: positions in `levels`.
    levels : pandas.Index or None
        Of categories, those that no row has included.
    ordered : bool
    """

    name: str
    kind: str
    values: NDArray[Any] = field(repr=False)
    levels: pd.Index | None = None
    ordered: bool = False

    def as_given(self) -> Any:
        """The values as a data frame would have them."""
        if self.levels is None:
            return self.values
        return pd.Categorical.from_codes(self.values, categories=self.levels, ordered=self.ordered)


def source_columns(atoms: Iterable[Atom], extra: Iterable[str], rows: Rows) -> tuple[SourceColumn, ...]:
    """The columns that atoms need, and others by name, each once; without those that hold neither numbers nor
    categories, such as dates, which no predictor is made of.
    """
    names = dict.fromkeys(name for atom in atoms for name in atom.variables if name in rows.frame)
    names.update(dict.fromkeys(extra))
    kept = []
    for name in names:
        column = rows[name]
        if column.kind == "category" and column.codes is not None:
            kept.append(SourceColumn(name, "category", column.codes, column.levels, column.ordered))
        elif column.kind in ("number", "bool") and column.values is not None:
            kept.append(SourceColumn(name, column.kind, column.values))
    return tuple(kept)
