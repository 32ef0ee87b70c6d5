"""Columns in terms of other columns, by least squares: read a chunk of rows at a time, and as accurate as Householder's
method, which does not square the condition number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

CHUNK = 65_536  # rows that are dense at a time
NULL = 1e-11  # singular values of columns of length one below this share of the largest are none


def dense(columns: Sequence[NDArray[Any] | None], rows: slice, n_rows: int) -> NDArray[np.float64]:
    """Some rows of columns side by side; None is the constant 1."""
    rows = slice(rows.start, min(rows.stop, n_rows))
    block = np.ones((rows.stop - rows.start, len(columns)))
    for k, column in enumerate(columns):
        if column is not None:
            block[:, k] = column[rows]
    return block


def root_mean_square(column: NDArray[Any] | None) -> float:
    """Of the values of a column; None is the constant 1."""
    return 1.0 if column is None else float(np.sqrt(np.mean(np.square(column, dtype=float))))


def in_terms_of(
    columns: Callable[[slice], NDArray[np.float64]],
    targets: Callable[[slice], NDArray[np.float64]],
    n_rows: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients of the columns for each target, and the share of its squared length that they leave.

    Parameters
    ----------
    columns, targets : callables
        From a slice of rows to these rows of the columns, (rows, p), and of the targets, (rows, k).
    n_rows : int

    Returns
    -------
    coefficients : ndarray, (p, k)
        The shortest ones, of columns scaled to length one, when the columns depend on each other.
    left : ndarray, (k,)
        Zero for a target of zeros.
    """
    triangle: NDArray[np.float64] | None = None
    for start in range(0, n_rows, CHUNK):
        rows = slice(start, min(start + CHUNK, n_rows))
        own = columns(rows)
        block = np.hstack([own, targets(rows)])
        p = own.shape[1]
        stacked = block if triangle is None else np.vstack([triangle, block])
        triangle = np.asarray(np.linalg.qr(stacked, mode="r"), dtype=np.float64)
    assert triangle is not None
    length = np.linalg.norm(triangle, axis=0)
    length[length == 0] = 1.0
    scaled = triangle / length
    own, wanted = scaled[:, :p], scaled[:, p:]
    solution = np.linalg.lstsq(own, wanted, rcond=NULL)[0]
    left = np.square(wanted - own @ solution).sum(axis=0)
    return solution * length[p:] / length[:p, None], left
