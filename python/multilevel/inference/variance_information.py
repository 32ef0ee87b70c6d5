"""Expected information of variances of random effects, in the linear mixed model that works in place of a fit.

Its residual variances are the reciprocals of the expected weights of the rows. With P = V^-1 - V^-1 X (X' V^-1 X)^-1 X'
V^-1 the information of two directions V_a, V_b of V is tr(P V_a P V_b) / 2. A direction is a change D of the covariance
of one term, V_a = sum over its levels of Z D Z', so that all traces come from G = Z' P Z of all random effects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..columns.least_squares import CHUNK, dense
from ..fitting import covariance as structures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..design.design import Design
    from ..design.random_terms import RandomTerm
    from ..fitting.record import Fit

MOST_EFFECTS = 1_500  # random effects whose cross-products are held as one matrix


class Direction(NamedTuple):
    """A change of the covariance of a random-effects term, (q, q), by the term's position among those of the mean."""

    term: int
    change: NDArray[np.float64]


def efficient_information(
    small: Fit,
    design: Design,
    tested: Sequence[Direction],
    kept: Sequence[Sequence[int]],
    others: Sequence[Direction] = (),
) -> NDArray[np.float64] | None:
    """Information of some variances and covariances at zero, that of all others taken out.

    Parameters
    ----------
    small : Fit
        Without the random effects that are tested.
    design : Design
        With them; its terms of the mean are numbered.
    tested : sequence of Direction
    kept : sequence of sequences of int
        Per term, the columns that the smaller fit has, too. Its terms are those with any, in this order.
    others : sequence of Direction
        Beside those of the smaller fit, what is free to be anything.

    Returns
    -------
    (k, k) ndarray, or None
        None where there are more than `MOST_EFFECTS` random effects, where nothing is left of the information, and of
        choices.
    """
    found = _joint(small, design, tested, kept, others)
    if found is None:
        return None
    information, _ = found
    return _taken_out(information, len(tested))


def score_and_information(
    small: Fit,
    design: Design,
    tested: Sequence[Direction],
    kept: Sequence[Sequence[int]],
    others: Sequence[Direction] = (),
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Score and information of what is tested and of the others, that of the remaining parameters taken out.

    Parameters
    ----------
    small, design, tested, kept, others
        As in `efficient_information`; a fit that is not linear has no random effects, no parameters beside its
        coefficients, and a canonical link.

    Returns
    -------
    (k,) and (k, k) ndarray, or None
        As there.
    """
    found = _joint(small, design, tested, kept, others)
    if found is None:
        return None
    information, g = found
    terms = [term for term in design.random_terms if not term.parameter]
    at_null, nuisance = _null(small, terms, kept)
    every = [*tested, *others, *nuisance]
    response = small.design.response
    second = response.size if response.other_end is None else response.other_end
    weights = small.design.weights
    s, _ = small.family.score(small.eta, response.values, second, weights, small.row_phi)
    sums = [_sums(design, term, s) for term in terms]
    score = np.array(
        [0.5 * (np.einsum("la,ab,lb->", sums[d.term], d.change, sums[d.term]) - _single(g, d)) for d in every]
    )
    k = len(tested) + len(others)
    if small.is_linear:
        assert small.sigma is not None
        of_random = sum(_single(g, Direction(own, covariance)) for own, covariance in enumerate(at_null))
        expected = (small.n_rows - len(small.beta) - of_random) / small.sigma**2
        squares = s**2 if weights is None else s**2 / weights
        score = np.append(score, 0.5 * (squares.sum() - expected))
    else:
        information = information + _of_cumulants(small, design, terms, every)
    whole = _taken_out(information, k)
    if whole is None:
        return None
    if len(information) > k:
        score = score[:k] - information[:k, k:] @ np.linalg.solve(information[k:, k:], score[k:])
    return score, whole


def _joint(
    small: Fit,
    design: Design,
    tested: Sequence[Direction],
    kept: Sequence[Sequence[int]],
    others: Sequence[Direction],
) -> tuple[NDArray[np.float64], list[list[NDArray[np.float64]]]] | None:
    """Information of what is tested, the others, and all else; G."""
    if design.choices is not None:
        return None  # rows are no independent pieces of information
    terms = [term for term in design.random_terms if not term.parameter]
    n_levels = [len(design.grouping_factors[term.grouping_factor].levels) for term in terms]
    if sum(m * len(term.names) for m, term in zip(n_levels, terms, strict=True)) > MOST_EFFECTS:
        return None
    at_null, nuisance = _null(small, terms, kept)
    g = _projected(small, design, terms, n_levels, at_null)
    every = [*tested, *others, *nuisance]
    information = np.array([[_trace(g, a, b) for b in every] for a in every])
    if small.is_linear:
        information = _with_residual(information, g, every, at_null, small)
    return information, g


def _taken_out(information: NDArray[np.float64], k: int) -> NDArray[np.float64] | None:
    """Of the first k parameters, that of the rest taken out; None where nothing is left."""
    try:
        result = information[:k, :k]
        if len(information) > k:
            result = result - information[:k, k:] @ np.linalg.solve(information[k:, k:], information[k:, :k])
        np.linalg.cholesky(result)
    except np.linalg.LinAlgError:
        return None
    return np.asarray(result, dtype=np.float64)


def _sums(design: Design, term: RandomTerm, s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Z's of a term, (levels, q)."""
    factor = design.grouping_factors[term.grouping_factor]
    columns = [s if column is None else s * column for column in term.columns]
    return np.column_stack([np.bincount(factor.codes, own, len(factor.levels)) for own in columns])


def _of_cumulants(
    small: Fit, design: Design, terms: Sequence[RandomTerm], every: Sequence[Direction]
) -> NDArray[np.float64]:
    """What the third and fourth cumulants of the scores of rows add to the information, which is that of normal ones;
    the third through the coefficients.
    """
    response, n = small.design.response, small.n_rows
    third, fourth = small.family.cumulants(small.eta, response.values, response.size, small.design.weights)
    diagonals = []
    for direction in every:
        z = np.column_stack([np.ones(n) if c is None else c for c in terms[direction.term].columns])
        diagonals.append(np.einsum("ia,ab,ib->i", z, direction.change, z))
    a = np.array(diagonals)
    kept = set(small.fixed_names)
    x = dense([column.values for column in design.fixed if column.name in kept], slice(0, n), n)
    through = 0.5 * (a * third) @ x
    gained = 0.25 * (a * fourth) @ a.T - through @ small.beta_covariance @ through.T
    return np.asarray(gained, dtype=np.float64)


def _null(
    small: Fit, terms: Sequence[RandomTerm], kept: Sequence[Sequence[int]]
) -> tuple[list[NDArray[np.float64]], list[Direction]]:
    """Covariances of all terms where those tested are zero, and the directions that the smaller fit moves in."""
    own = [k for k, term in enumerate(small.design.random_terms) if not term.parameter]
    covariances, directions = [], []
    for k, (term, columns) in enumerate(zip(terms, kept, strict=True)):
        covariance = np.zeros((len(term.names), len(term.names)))
        if columns:
            place = np.ix_(columns, columns)
            at = own.pop(0)
            covariance[place] = small.random_cov[at]
            structure = small.design.random_terms[at].structure
            for change in structures.jacobian(structure, small.theta_values[at], len(columns)):
                if np.abs(change).max() > 0:
                    whole = np.zeros_like(covariance)
                    whole[place] = change
                    directions.append(Direction(k, whole))
        covariances.append(covariance)
    return covariances, directions


def _projected(
    small: Fit,
    design: Design,
    terms: Sequence[RandomTerm],
    n_levels: Sequence[int],
    at_null: Sequence[NDArray[np.float64]],
) -> list[list[NDArray[np.float64]]]:
    """G = Z' P Z by pairs of terms, (levels, q, levels, q)."""
    from scipy.sparse import csr_array, hstack

    response = small.design.response
    second = response.second
    weights = small.family.information(small.eta, response.values, second, small.design.weights, small.row_phi)
    n, blocks = design.n_rows, []
    for term, m in zip(terms, n_levels, strict=True):
        q, codes = len(term.names), design.grouping_factors[term.grouping_factor].codes
        values = np.ones((n, q))
        for j, column in enumerate(term.columns):
            if column is not None:
                values[:, j] = column
        at = codes.astype(np.int64)[:, None] * q + np.arange(q)
        blocks.append(csr_array((values.ravel(), at.ravel(), np.arange(0, n * q + 1, q)), shape=(n, m * q)))
    z = hstack(blocks, format="csr")
    fixed = [column.values for column in design.fixed if column.name in set(small.fixed_names)]
    p = len(fixed)
    zz = (z.T @ (z * weights[:, None])).toarray()
    zx, xx = np.zeros((z.shape[1], p)), np.zeros((p, p))
    for start in range(0, n, CHUNK):
        rows = slice(start, min(start + CHUNK, n))
        x = dense(fixed, rows, n)
        weighted = x * weights[rows, None]
        zx += z[rows].T @ weighted
        xx += x.T @ weighted
    root = _block_diagonal(
        [np.asarray(np.kron(np.eye(m), _root(c)), dtype=np.float64) for m, c in zip(n_levels, at_null, strict=True)]
    )
    if root.any():
        inner = root @ np.linalg.solve(np.eye(len(root)) + root.T @ zz @ root, root.T)
        xx = xx - zx.T @ inner @ zx
        zx, zz = zx - zz @ (inner @ zx), zz - zz @ inner @ zz
    if p:
        scale = np.sqrt(np.diag(xx))
        zx = zx / scale
        zz = zz - zx @ np.linalg.solve(xx / np.outer(scale, scale), zx.T)
    sizes = [(m, len(term.names)) for m, term in zip(n_levels, terms, strict=True)]
    ends = np.cumsum([0, *(m * q for m, q in sizes)])
    return [
        [zz[ends[a] : ends[a + 1], ends[b] : ends[b + 1]].reshape(*sizes[a], *sizes[b]) for b in range(len(sizes))]
        for a in range(len(sizes))
    ]


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)), dtype=np.float64)


def _block_diagonal(blocks: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    from scipy.linalg import block_diag

    return np.asarray(block_diag(*blocks), dtype=np.float64)


def _trace(g: list[list[NDArray[np.float64]]], a: Direction, b: Direction) -> float:
    """tr(P V_a P V_b) / 2."""
    between = g[a.term][b.term]
    one = np.einsum("ab,lbmc->lamc", a.change, between)
    two = np.einsum("lamd,cd->lamc", between, b.change)
    return 0.5 * float(np.sum(one * two))


def _single(g: list[list[NDArray[np.float64]]], a: Direction) -> float:
    """tr(P V_a)."""
    return float(np.einsum("ab,lbla->", a.change, g[a.term][a.term]))


def _with_residual(
    information: NDArray[np.float64],
    g: list[list[NDArray[np.float64]]],
    every: Sequence[Direction],
    at_null: Sequence[NDArray[np.float64]],
    small: Fit,
) -> NDArray[np.float64]:
    """With the residual variance as one more direction, V_e: sigma^2 V_e is what the random effects leave of V, and
    P V P = P.
    """
    assert small.sigma is not None
    variance = small.sigma**2
    whole = [Direction(k, covariance) for k, covariance in enumerate(at_null)]

    mixed = np.array([0.5 * _single(g, a) - sum(_trace(g, a, b) for b in whole) for a in every]) / variance
    of_whole = [0.5 * _single(g, a) - sum(_trace(g, a, b) for b in whole) for a in whole]
    left = 0.5 * (small.n_rows - len(small.beta) - sum(_single(g, a) for a in whole)) / variance
    own = (left - sum(of_whole) / variance) / variance
    return np.block([[information, mixed[:, None]], [mixed[None, :], np.array([[own]])]])
