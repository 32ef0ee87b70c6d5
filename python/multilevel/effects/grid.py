"""Reference grids: all combinations of the levels of factors, with numbers at their means, and the weight of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..arguments import check_choice
from ..errors import DataError
from .variables import (
    all_atoms,
    checked_values,
    column_of,
    columns_by_name,
    fixed_atoms,
    has_two_values,
    is_number,
    levels_of,
    names_in,
    repeated,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit
    from .rows import Needs

    Array = NDArray[np.float64]

WEIGHTS = ("equal", "proportional", "cell")
MOST = 2_000_000  # combinations


@dataclass(frozen=True, eq=False)
class Grid:
    """A reference grid, and which of its rows are averaged for each mean.

    Attributes
    ----------
    values : dict
        Per column, its values in the grid.
    which : dict
        Per column, for every row of the grid the position of its value, (n,).
    n : int
        Rows.
    targets : DataFrame, (k, columns)
        What means are asked for: the first column varies fastest.
    weights : ndarray, (k, n)
        Of the rows in each mean; zero throughout where a mean has no cell with data.
    """

    values: dict[str, list[Any]]
    which: dict[str, NDArray[np.intp]]
    n: int
    targets: pd.DataFrame
    weights: Array

    def data(self, fit: Fit) -> dict[str, Any]:
        """The columns of the grid as a data frame would have them."""
        columns = columns_by_name(fit)
        return {name: repeated(columns[name], values, self.which[name]) for name, values in self.values.items()}


def reference_grid(
    fit: Fit, wanted: Sequence[str], at: Mapping[str, Any], weights: str, needs: Needs, slope: str = ""
) -> Grid:
    """The grid for means by the columns `wanted`.

    Parameters
    ----------
    fit : Fit
    wanted : sequence of str
        Columns by whose values means are asked for.
    at : mapping
        Values of columns in place of their levels or their mean.
    weights : {"equal", "proportional", "cell"}
        Of what is averaged over: equal; by how often its combinations occur; the same within each mean's own rows.
    needs : Needs
        Whether the random effects and other parts are needed, whose columns then are in the grid, too.
    slope : str
        A column of numbers that stays at its mean although it is asked for.

    Raises
    ------
    DataError
        A column that is not there, a number without values, a grid that is too large.
    """
    check_choice("weights", weights, WEIGHTS)
    if not isinstance(at, Mapping):
        raise DataError(f"at is a mapping of columns to values, such as {{'x': [0, 1]}}; got {at!r:.60}")
    atoms = all_atoms(fit) if needs.random else list(fixed_atoms(fit, needs.parts))
    names = names_in(atoms, fit)
    offset = fit.design.coding.offset.column
    if offset is not None and offset not in names:
        names.append(offset)
    for name in (*wanted, *at, *((slope,) if slope else ())):
        column_of(fit, name)
        if name not in names:
            raise DataError(f"{name!r} is in no term of the mean; the mean depends on {', '.join(map(repr, names))}")
    values: dict[str, list[Any]] = {}
    for name in [*wanted, *(own for own in names if own not in wanted)]:
        column = column_of(fit, name)
        if name in at:
            values[name] = checked_values(fit, column, at[name], "at")
        elif name != slope and (not is_number(fit, column) or has_two_values(column)):
            values[name] = levels_of(column)
        else:
            values[name] = [_mean(column.values)]
            if name in wanted:
                raise DataError(
                    f"{name!r} is a number: say at which values, at={{{name!r}: [{values[name][0]:.4g}, ...]}}, or ask "
                    f"for its slope, marginal_slopes({name!r})"
                )
    sizes = [len(own) for own in values.values()]
    n = int(np.prod(sizes, dtype=np.int64)) if sizes else 1
    if n > MOST:
        raise DataError(f"the grid has {n:,} combinations; fix some columns by at= (up to {MOST:,} can be averaged)")
    # the first column varies fastest
    positions = np.unravel_index(np.arange(n), sizes, order="F") if sizes else ()
    which = dict(zip(values, (np.asarray(own) for own in positions), strict=True))
    k = int(np.prod([len(values[name]) for name in wanted], dtype=np.int64)) if wanted else 1
    frame = pd.DataFrame(
        [tuple(reversed(own)) for own in product(*(values[name] for name in reversed(wanted)))], columns=list(wanted)
    )
    over = [name for name in values if name not in wanted]
    matrix = _weights(fit, values, which, list(wanted), over, list(at), weights)
    return Grid(values, which, n, frame if wanted else pd.DataFrame(index=range(1)), matrix.reshape(n // k, k))


def _mean(numbers: NDArray[Any]) -> float:
    """The mean; zero where it is, but for rounding, as that of a centred column."""
    mean = float(np.mean(numbers, dtype=np.float64))
    return 0.0 if abs(mean) < 1e-13 * float(np.std(numbers, dtype=np.float64)) else mean


def _weights(
    fit: Fit,
    values: dict[str, list[Any]],
    which: dict[str, NDArray[np.intp]],
    wanted: list[str],
    over: list[str],
    given: list[str],
    kind: str,
) -> Array:
    """The weight of every row of the grid, adding up to one in each mean, (n,)."""
    n = len(next(iter(which.values()))) if which else 1
    k = int(np.prod([len(values[name]) for name in wanted], dtype=np.int64)) if wanted else 1
    if kind == "equal":
        return np.full(n, k / n)
    counted = [*(wanted if kind == "cell" else ()), *over]
    counted = [name for name in counted if name not in given and len(values[name]) > 1]
    sizes = [len(values[name]) for name in counted]
    counts = np.ones(1)
    if counted:
        cells = [_positions(fit, name, values[name]) for name in counted]
        counts = np.bincount(np.ravel_multi_index(cells, sizes, order="F"), minlength=int(np.prod(sizes))).astype(float)
        own = counts[np.ravel_multi_index([which[name] for name in counted], sizes, order="F")]
    else:
        own = np.ones(n)
    by_mean = own.reshape(n // k, k)
    total = by_mean.sum(axis=0)
    return np.asarray((by_mean / np.where(total > 0, total, 1.0)).ravel())


def _positions(fit: Fit, name: str, values: list[Any]) -> NDArray[np.intp]:
    """For every row of the fit, which of the values it has."""
    column = column_of(fit, name)
    if column.levels is not None:
        table = np.full(len(column.levels), 0, dtype=np.intp)
        table[column.levels.get_indexer(pd.Index(values))] = np.arange(len(values))
        return table[column.values]
    return np.searchsorted(np.array(values), column.values).astype(np.intp)
