"""Independent clusters of rows: those that the model has, or coarser ones that the user names."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from ..columns.grouping import varies_within
from ..design.choices import crossed_factors
from ..errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit


class Clusters(NamedTuple):
    """Clusters of the rows used: the cluster of each row (n,), their labels (m,), and what they are called."""

    codes: NDArray[np.int32]
    labels: pd.Index
    name: str


def model_clusters(fit: Fit) -> Clusters:
    """What the model itself takes as independent.

    Levels of the only grouping factor; of several factors the sets of levels that rows connect, which are the levels of
    the outermost where they nest; rows where there are no random effects, or the sets of alternatives that they are.
    """
    factors = fit.design.grouping_factors
    choices = fit.design.choices
    if not factors and choices is not None and choices.sets is not None:
        return Clusters(choices.sets, pd.RangeIndex(choices.n_sets), choices.name)
    if not factors:
        return Clusters(np.arange(fit.n_rows, dtype=np.int32), pd.RangeIndex(fit.n_rows), "rows")
    crossed = crossed_factors(choices, factors)
    if len(factors) == 1 and not crossed:
        return Clusters(factors[0].codes, factors[0].levels, factors[0].name)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    starts = np.cumsum([0, *(len(factor.levels) for factor in factors)])
    codes = [factor.codes.astype(np.int64) + start for factor, start in zip(factors, starts, strict=False)]
    last = int(starts[-1])
    if crossed:  # sets connect the levels of their alternatives
        assert choices is not None
        assert choices.sets is not None
        codes.append(choices.sets.astype(np.int64) + last)
        last += choices.n_sets
    first, second = np.tile(codes[0], len(codes)), np.concatenate(codes)
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(last, last))
    n_parts, of_level = connected_components(graph, directed=False)
    for factor, (start, end) in zip(factors, pairwise(starts), strict=True):
        if end - start == n_parts:
            return Clusters(factor.codes, factor.levels, factor.name)
    return Clusters(of_level[codes[0]].astype(np.int32), pd.RangeIndex(n_parts), "connected levels")


def clusters(fit: Fit, cluster: Any = None, data: Any = None) -> Clusters:
    """The clusters that a robust covariance sums over.

    Parameters
    ----------
    fit : Fit
    cluster : None, str or array_like
        None: those of the model. The name of a grouping factor or of a column of `data`; or a value per row, of the
        rows used or of all rows of the data.
    data : data frame, optional
        What the model was fitted to.

    Raises
    ------
    DataError
        There are fewer than two clusters, a row has none, or they cut through what the model takes as one piece.
    """
    own = model_clusters(fit)
    if cluster is None:
        if len(own.labels) < 2:
            why = next((str(relation) for relation in fit.design.relations if relation.kind == "crossed"), own.name)
            if crossed_factors(fit.design.choices, fit.design.grouping_factors):
                why = "sets of alternatives connect all levels"
            raise DataError(
                f"no part of these data is independent of the rest, since {why}: a robust covariance needs "
                "independent clusters. Use the model's covariance"
            )
        return own
    found = _named(fit, cluster, data) if isinstance(cluster, str) else _array(fit, cluster, "cluster")
    if len(found.labels) < 2:
        raise DataError(f"cluster= has one value ({found.labels[0]!r}); a robust covariance needs two clusters or more")
    if varies_within(own.codes, len(own.labels), found.codes):
        where = (
            f"each level of '{own.name}' must lie within one cluster"
            if own.name != "connected levels"
            else "levels that share rows must lie in one cluster"
        )
        raise DataError(
            f"the clusters of cluster= cut through what the model takes as one piece: {where}, as its rows share "
            "random effects and their scores cannot be told apart. Cluster at this level (leave cluster= out) or above"
        )
    return found


def _named(fit: Fit, name: str, data: Any) -> Clusters:
    for factor in fit.design.grouping_factors:
        if factor.name == name:
            return Clusters(factor.codes, factor.levels, name)
    try:
        column = None if data is None else data[name]
    except (KeyError, ValueError, TypeError, IndexError):
        raise DataError(f"cluster={name!r}: the data have no column of this name") from None
    except Exception as error:  # frames of other libraries have errors of their own
        raise DataError(f"cluster={name!r}: {error}") from None
    if column is None:
        raise DataError(
            f"cluster={name!r} is no grouping factor of the model, and these results no longer know their data: give "
            "the column itself, cluster=data[...]"
        )
    return _array(fit, column, name)


def _array(fit: Fit, values: Any, name: str) -> Clusters:
    """A value per row used, or per row of the data, of which the rows used are taken."""
    array = pd.Series(_plain(values))
    rows, n = fit.design.rows, fit.n_rows
    if len(array) != n:
        if rows is None or len(array) <= int(rows.max()):
            raise DataError(f"cluster= has {len(array):,} values; it has one for each of the {n:,} rows used")
        array = array.iloc[rows]
    codes, labels = pd.factorize(array, sort=False)
    if (codes < 0).any():
        raise DataError(f"cluster= is missing in {int((codes < 0).sum()):,} of the rows used; each row needs a cluster")
    return Clusters(codes.astype(np.int32), pd.Index(labels), name)


def _plain(values: Any) -> Any:
    """The values without an index, so that they stand in the order of the rows."""
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    array = np.asarray(values) if not isinstance(values, np.ndarray) else values
    if array.ndim != 1:
        raise DataError(f"cluster= has shape {array.shape}; it is one value per row, or the name of a column")
    return array


def sums_by(codes: NDArray[np.int32], n: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of the rows of `values` (k, P) by their codes, (n, P)."""
    sums = np.zeros((n, values.shape[1]))
    for k, column in enumerate(values.T):
        sums[:, k] = np.bincount(codes, column, n)
    return sums
