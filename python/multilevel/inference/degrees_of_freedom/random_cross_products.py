"""M = Z' V^-1 Z, the random-effects columns weighed by the inverse covariance of the response, in independent parts.

    V = Z Sigma Z' + sigma^2 W^-1,    Sigma = L L',    B = Z' W Z
    M = (sigma^2 I + B Sigma)^-1 B = [B - B L (sigma^2 I + L' B L)^-1 L' B] / sigma^2

One grouping factor: a q x q matrix per level, all at once. Several: a dense matrix per set of levels that share rows.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ...errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ...fitting.record import Fit

MOST_CONNECTED = 5_000  # random effects in one dense matrix
DENSE_MATRICES = 5  # of that order at the same time
LEVELS = 20_000  # of one grouping factor at a time


class Part(Protocol):
    """Levels that share no row with those of other parts; f and g are grouping factors."""

    @property
    def projection(self) -> Sequence[NDArray[np.float64]]:
        """Per factor, F = Z' V^-1 X of these levels, (m_f, q_f, p)."""

    def diagonal(self, f: int, /) -> NDArray[np.float64]:
        """Sum of M over the levels of f, (q_f, q_f)."""

    def products(self, f: int, g: int, /) -> NDArray[np.float64]:
        """Sum over pairs of levels of M[b, c] M[a, d], row (a, b) and column (c, d): a, b of f, and c, d of g."""

    def times(self, f: int, g: int, columns: NDArray[np.float64], /) -> NDArray[np.float64]:
        """M columns, from (m_g, q_g, k) to (m_f, q_f, k)."""


def parts(fit: Fit) -> Iterator[Part]:
    """The parts of a linear mixed model.

    Raises
    ------
    DataError
        More random effects are connected than dense matrices can hold.
    """
    if len(fit.projection) == 1:
        matrix = _of_levels(fit)
        for start in range(0, len(matrix), LEVELS):
            some = slice(start, start + LEVELS)
            yield _Levels(matrix[some], fit.projection[0][some])
    else:
        yield from _connected(fit)


def factor_columns(fit: Fit, f: int) -> list[NDArray[np.float64] | None]:
    """The columns of all terms of a grouping factor, side by side; None is the constant 1."""
    terms = [term for term in fit.design.random_terms if term.grouping_factor == f]
    return [None if c is None else np.asarray(c, dtype=np.float64) for term in terms for c in term.columns]


def factor_root(fit: Fit, f: int) -> NDArray[np.float64]:
    """The lower factor L of the covariance of one level's effects, block by term, (q_f, q_f)."""
    size = fit.projection[f].shape[1]
    whole = np.zeros((size, size))
    for term, at, root in zip(fit.design.random_terms, fit.term_columns, fit.theta, strict=True):
        if term.grouping_factor == f:
            at = np.asarray(at)
            whole[at[:, None], at[None, :]] = root
    return whole


def _of_levels(fit: Fit) -> NDArray[np.float64]:
    """M of each level of the only grouping factor, (m, q, q)."""
    codes, weights = fit.design.grouping_factors[0].codes, fit.design.weights
    columns, m = factor_columns(fit, 0), fit.projection[0].shape[0]
    q = len(columns)
    b = np.empty((m, q, q))
    for i in range(q):
        for j in range(i + 1):
            b[:, i, j] = b[:, j, i] = np.bincount(codes, _product(columns[i], columns[j], weights), m)
    root = factor_root(fit, 0)
    result = np.linalg.solve(fit.phi["sigma"] ** 2 * np.eye(q) + b @ (root @ root.T), b)
    return np.asarray((result + result.transpose(0, 2, 1)) / 2, dtype=np.float64)


class _Levels:
    """Some levels of the only grouping factor, no two of which share a row."""

    def __init__(self, matrix: NDArray[np.float64], projection: NDArray[np.float64]) -> None:
        self.matrix, self.projection = matrix, (projection,)

    def diagonal(self, _f: int) -> NDArray[np.float64]:
        return self.matrix.sum(axis=0)

    def products(self, _f: int, _g: int) -> NDArray[np.float64]:
        q = self.matrix.shape[1]
        flat = self.matrix.reshape(len(self.matrix), -1)
        return _by_factor(flat.T @ flat, q, q)

    def times(self, _f: int, _g: int, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.matrix @ columns


def _by_factor(gram: NDArray[np.float64], q: int, r: int) -> NDArray[np.float64]:
    """From row (b, c) and column (a, d) to row (a, b) and column (c, d)."""
    return gram.reshape(q, r, q, r).transpose(2, 0, 1, 3).reshape(q * q, r * r)


def _product(*columns: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    result = None
    for column in columns:
        if column is not None:
            result = column if result is None else result * column
    return result


class _Connected:
    """A set of levels of several factors, connected by rows. Effects are ordered by factor, level, column."""

    def __init__(
        self,
        cross: NDArray[np.float64],
        roots: Sequence[NDArray[np.float64]],
        projection: Sequence[NDArray[np.float64]],
        sigma: float,
    ) -> None:
        from scipy.linalg import solve_triangular

        self.projection = projection
        sizes = [part.shape[0] * part.shape[1] for part in projection]
        ends = np.cumsum([0, *sizes])
        self.at = [slice(a, b) for a, b in pairwise(ends)]
        scaled = np.empty_like(cross)  # L' B
        for at, root, part in zip(self.at, roots, projection, strict=True):
            block = cross[at].reshape(*part.shape[:2], -1)
            scaled[at] = np.matmul(root.T, block).reshape(cross[at].shape)
        system = np.empty_like(cross)  # L' B L
        for at, root, part in zip(self.at, roots, projection, strict=True):
            block = scaled[:, at].reshape(len(cross), *part.shape[:2])
            system[:, at] = np.matmul(block, root).reshape(len(cross), -1)
        system[np.diag_indices_from(system)] += sigma**2
        half = solve_triangular(np.linalg.cholesky(system), scaled, lower=True, overwrite_b=True, check_finite=False)
        self.matrix = (cross - half.T @ half) / sigma**2

    def _block(self, f: int, g: int) -> NDArray[np.float64]:
        return self.matrix[self.at[f], self.at[g]]

    def diagonal(self, f: int) -> NDArray[np.float64]:
        m, q, _ = self.projection[f].shape
        return np.einsum("nanb->ab", self._block(f, f).reshape(m, q, m, q))

    def products(self, f: int, g: int) -> NDArray[np.float64]:
        (m, q, _), (n, r, _) = self.projection[f].shape, self.projection[g].shape
        flat = self._block(f, g).reshape(m, q, n, r).transpose(1, 3, 0, 2).reshape(q * r, m * n)
        return _by_factor(flat @ flat.T, q, r)

    def times(self, f: int, g: int, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        m, q, _ = self.projection[f].shape
        return (self._block(f, g) @ columns.reshape(-1, columns.shape[2])).reshape(m, q, -1)


def _connected(fit: Fit) -> Iterator[_Connected]:
    from scipy.sparse import coo_array, csr_array
    from scipy.sparse.csgraph import connected_components

    factors = fit.design.grouping_factors
    n, counts = fit.n_rows, [part.shape[0] for part in fit.projection]
    widths = [part.shape[1] for part in fit.projection]
    starts = np.cumsum([0, *counts])
    codes = [factor.codes.astype(np.int64) for factor in factors]
    first = np.tile(codes[0], len(codes))
    second = np.concatenate([code + start for code, start in zip(codes, starts, strict=False)])
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(starts[-1], starts[-1]))
    n_parts, of_level = connected_components(graph, directed=False)
    own = [of_level[a:b] for a, b in pairwise(starts)]
    sizes = sum(np.bincount(part, minlength=n_parts) * width for part, width in zip(own, widths, strict=True))
    _check_size(fit, int(np.max(sizes)))

    # columns of Z ordered by part, factor, level, column
    part_of = np.concatenate([np.repeat(part, width) for part, width in zip(own, widths, strict=True)])
    order = np.argsort(part_of, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    offsets = np.cumsum([0, *(m * q for m, q in zip(counts, widths, strict=True))])
    values, positions = [], []
    for f, code in enumerate(codes):
        for a, column in enumerate(factor_columns(fit, f)):
            values.append(np.ones(n) if column is None else column)
            positions.append(place[offsets[f] + code * widths[f] + a])
    width = len(values)
    z = csr_array(
        (np.column_stack(values).ravel(), np.column_stack(positions).ravel(), np.arange(0, n * width + 1, width)),
        shape=(n, len(order)),
    )
    weighted = z if fit.design.weights is None else z.multiply(fit.design.weights[:, None]).tocsr()
    cross = csr_array(z.T @ weighted)
    roots = [factor_root(fit, f) for f in range(len(factors))]
    by_part = [np.argsort(part, kind="stable") for part in own]
    bounds = [np.searchsorted(part[o], np.arange(n_parts + 1)) for part, o in zip(own, by_part, strict=True)]
    ends = np.concatenate([[0], np.cumsum(sizes)])
    for c in range(n_parts):
        projection = [fit.projection[f][by_part[f][bounds[f][c] : bounds[f][c + 1]]] for f in range(len(factors))]
        block = cross[ends[c] : ends[c + 1], ends[c] : ends[c + 1]].toarray()
        yield _Connected(block, roots, projection, fit.phi["sigma"])


def _check_size(fit: Fit, largest: int) -> None:
    if largest > MOST_CONNECTED:
        names = ", ".join(f"'{factor.name}'" for factor in fit.design.grouping_factors)
        raise DataError(
            f"{largest:,} random effects of {names} are connected by rows they share; df_method='kenward-roger' would "
            f"need about {DENSE_MATRICES * 8e-9 * largest**2:.1f} GB and its limit is {MOST_CONNECTED:,} effects: "
            "use df_method='satterthwaite'"
        )
