"""CR2 and CR3: sandwich estimators whose residuals are adjusted by what the fit has taken from them.

With V_g the covariance that the model gives the rows of cluster g, M = (X'V^-1 X)^-1 and e_g the residuals,

    covariance = M [sum_g X_g'V_g^-1 A_g e_g e_g'A_g' V_g^-1 X_g] M,
    CR2:  A_g = D_g' [D_g (V_g - X_g M X_g') D_g']^-1/2 D_g,  D_g'D_g = V_g   (the same for every such D_g),
    CR3:  A_g = (I - X_g M X_g' V_g^-1)^-1.

Models without random effects that are not linear are taken as the weighted regression that their fit ends with, of
residuals of the response. Outside of the span of X_g and Z_g both A_g are the identity where all rows have one residual
variance, so the matrices are taken on a basis of that span. Clusters of as many rows are worked on side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import DataError
from ..prediction.links import derivatives

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ..fitting.record import Fit
    from .clusters import Clusters

NOTHING = 1e-10  # eigenvalues below this share of the largest: a direction that the fit has taken whole
MOST_ROWS = 5_000  # of a dense matrix of one cluster
STACK = 1_000_000  # numbers in the matrices that are worked on at a time


class _Stack(NamedTuple):
    """Rows of clusters of one order, or a basis of their span: X (m, r, p), residuals (m, r), V (m, r, r)."""

    x: NDArray[np.float64]
    residual: NDArray[np.float64]
    covariance: NDArray[np.float64]


class _Spread(NamedTuple):
    """Covariances of the clusters' parts of the estimates if the model is right: those of clusters g and h are
    own[g] (g = h) minus taken[g] taken[h]'.
    """

    own: NDArray[np.float64]  # (m, p, p)
    taken: NDArray[np.float64]  # (m, p, p)


def can_be_adjusted(fit: Fit) -> bool:
    """Whether the model gives the response of each row a variance: a linear one, or one of coefficients alone."""
    alone = not fit.design.random_terms and len(fit.psi) == len(fit.beta) and fit.design.choices is None
    return fit.is_linear or alone


def bias_reduced(fit: Fit, groups: Clusters, kind: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Covariance of the fixed effects and degrees of freedom of the test of each.

    Parameters
    ----------
    fit : Fit
        A linear (mixed) model, or one that has no parameters beside its coefficients.
    groups : Clusters
    kind : {"CR2", "CR3"}

    Returns
    -------
    (p, p) and (p,) ndarray

    Raises
    ------
    DataError
        A cluster is too large for a dense matrix of its own.

    References
    ----------
    Bell & McCaffrey (2002) Surv. Methodol. 28:169-181; Pustejovsky & Tipton (2018) J. Bus. Econ. Stat. 36:672-683,
    whose degrees of freedom are Satterthwaite's with the fitted covariance as the true one.
    """
    M = _bread(fit)
    p = len(fit.beta)
    meat, gram = np.zeros((p, p)), np.zeros((p, p, p))
    total, squares = np.zeros(p), np.zeros(p)
    for stack in _stacks(fit, groups):
        weighted = _adjusted(stack, M, kind)  # A'V^-1 X, (m, r, p)
        score = np.einsum("grp,gr->gp", weighted, stack.residual)
        meat += score.T @ score
        own, taken = _spread(stack, weighted, M)
        # The variance of a coefficient's estimate is a quadratic form with the matrix diag(a) - U U' of the clusters.
        a, lengths = np.einsum("gkk->gk", own), np.einsum("gkj,gkj->gk", taken, taken)
        total += (a - lengths).sum(axis=0)
        squares += (a**2 - 2.0 * a * lengths).sum(axis=0)
        across = taken.transpose(1, 2, 0)
        gram += across @ across.transpose(0, 2, 1)
    squares += np.einsum("kij,kij->k", gram, gram)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = total**2 / squares
    return M @ meat @ M, np.where(np.isfinite(df), df, np.nan)


def hotelling_df(fit: Fit, groups: Clusters, kind: str, rows: NDArray[np.float64]) -> float:
    """Degrees of freedom of a Wishart distribution whose total variance is that of rows @ covariance @ rows'.

    Parameters
    ----------
    fit, groups, kind
        As in `bias_reduced`.
    rows : (q, p) ndarray
        Of full rank.

    Returns
    -------
    float
        For one row Satterthwaite's. With eta of them (eta - q + 1) / (eta q) times the Wald statistic is nearly
        F(q, eta - q + 1).

    References
    ----------
    Pustejovsky & Tipton (2018) J. Bus. Econ. Stat. 36:672-683, section 3.2, after Zhang (2012).
    """
    M = _bread(fit)
    q = len(rows)
    spreads = [_spread(stack, _adjusted(stack, M, kind), M, rows) for stack in _stacks(fit, groups)]
    own = np.concatenate([each.own for each in spreads])
    taken = np.concatenate([each.taken for each in spreads])
    expected = own.sum(axis=0) - np.einsum("gaj,gbj->ab", taken, taken)
    values, vectors = np.linalg.eigh(expected)
    if not values[0] > NOTHING * values[-1]:
        return np.nan
    scale = (vectors / np.sqrt(values)).T
    own, taken = scale @ own @ scale.T, scale @ taken
    # Over pairs of clusters the sum of tr(K)^2 + tr(K K), K their covariance.
    traces, squared = np.einsum("gaa->g", own), taken @ _transposed(taken)
    flat = taken.reshape(len(taken), -1)
    pairs = (flat.T @ flat).reshape(q, -1, q, taken.shape[2])
    variance = np.sum(traces**2) - 2.0 * np.sum(traces * np.einsum("gaa->g", squared)) + np.sum(pairs**2)
    variance += np.sum(own**2) - 2.0 * np.sum(own * squared) + np.einsum("aibj,biaj->", pairs, pairs)
    return float(q * (q + 1) / variance) if variance > 0 else np.nan


def _bread(fit: Fit) -> NDArray[np.float64]:
    """(X'V^-1 X)^-1."""
    if fit.is_linear:
        return fit.beta_covariance
    x, _, variance = _rows(fit)
    return np.asarray(np.linalg.inv((x / variance[:, None]).T @ x), dtype=np.float64)


def _spread(
    stack: _Stack, weighted: NDArray[np.float64], M: NDArray[np.float64], rows: NDArray[np.float64] | None = None
) -> _Spread:
    """Of the coefficients, or of combinations of them."""
    contrast = weighted @ (M if rows is None else M @ rows.T)  # (m, r, q)
    root = np.linalg.cholesky(M)
    return _Spread(_transposed(contrast) @ (stack.covariance @ contrast), _transposed(contrast) @ (stack.x @ root))


def _adjusted(stack: _Stack, M: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """A'V^-1 X of each cluster of a stack, (m, r, p)."""
    x, V = stack.x, stack.covariance
    left = V - x @ M @ _transposed(x)
    if kind == "CR3":
        # A'V^-1 = (V - XMX')^-1
        return _inverse_power(left, V, 1.0) @ x
    values, vectors = np.linalg.eigh(V)
    root = (vectors * np.sqrt(values)[:, None, :]) @ _transposed(vectors)
    reverse = (vectors / np.sqrt(values)[:, None, :]) @ _transposed(vectors)
    return root @ (_inverse_power(root @ left @ root, root @ V @ root, 0.5) @ (reverse @ x))


def _inverse_power(stack: NDArray[np.float64], whole: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """Of symmetric matrices, to minus this power; directions in which nothing is left of the whole have none."""
    values, vectors = np.linalg.eigh(stack)
    least = NOTHING * np.abs(whole).max(axis=(1, 2))[:, None]
    inverse = np.where(values > least, np.maximum(values, least) ** -power, 0.0)
    return np.asarray((vectors * inverse[:, None, :]) @ _transposed(vectors), dtype=np.float64)


def _transposed(stack: NDArray[np.float64]) -> NDArray[np.float64]:
    return stack.transpose(0, 2, 1)


# ---- the clusters ------------------------------------------------------------------------------------------------


def _rows(fit: Fit) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """X (n, p), residuals (n,) and their variances given the random effects (n,): of a regression for the response."""
    design, n = fit.design, fit.n_rows
    kept = set(fit.fixed_names)
    x = np.column_stack([_column(c.values, n) for c in design.fixed if c.name in kept])
    if fit.is_linear:
        residual = design.response.values - x @ fit.beta
        if design.offset is not None:
            residual = residual - design.offset
        weights = np.ones(n) if design.weights is None else design.weights
        return x, residual, fit.phi["sigma"] ** 2 / weights
    second = design.response.second
    score, information = fit.family.score(fit.eta, design.response.values, second, design.weights, fit.row_phi)
    # CR2 depends on the scale of the residuals: it is that of the response, as clubSandwich has it.
    rise = derivatives(fit.family.link, fit.eta, 1)[1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        residual, variance = rise * score / information, rise**2 / information
    if not (np.isfinite(residual) & np.isfinite(variance)).all():
        raise DataError(
            "robust='CR2' and 'CR3' adjust the residuals of a weighted regression, and some rows have a weight of "
            "zero in it: their means are at an end of their range. Use robust='CR1'"
        )
    return x * rise[:, None], residual, variance


def _stacks(fit: Fit, groups: Clusters) -> Iterator[_Stack]:
    """Clusters with the same number of rows, so many at a time that their matrices stay small."""
    x, residual, variance = _rows(fit)
    n, p = x.shape
    design = fit.design
    terms = [
        (
            design.grouping_factors[term.grouping_factor].codes,
            np.column_stack([_column(c, n) for c in term.columns]) @ root,
        )
        for term, root in zip(design.random_terms, fit.theta, strict=True)
    ]
    even = bool(np.ptp(variance) == 0.0)
    order = np.argsort(groups.codes, kind="stable")
    sizes = np.bincount(groups.codes)
    starts = np.cumsum(sizes) - sizes
    for size in np.unique(sizes[sizes > 0]):
        own = starts[sizes == size]
        at_a_time = max(1, int(STACK // (size * max(size, p))))
        for first in range(0, len(own), at_a_time):
            rows = order[own[first : first + at_a_time, None] + np.arange(size)]  # (m, r)
            one_level = all((codes[rows] == codes[rows[:, :1]]).all() for codes, _ in terms)
            for some in [rows] if one_level else np.split(rows, len(rows)):
                z = _effects(terms, some, one_level)
                yield _stack(x[some], residual[some], variance[some], z, even)


def _effects(
    terms: Sequence[tuple[NDArray[np.int32], NDArray[np.float64]]], rows: NDArray[np.int64], one_level: bool
) -> NDArray[np.float64]:
    """Columns of the random effects, (m, r, k); of one cluster where it has several levels of a factor."""
    if not terms:
        return np.zeros((*rows.shape, 0))
    if one_level:
        return np.concatenate([z[rows] for _, z in terms], axis=2)
    return np.column_stack([_by_level(codes[rows[0]], z[rows[0]]) for codes, z in terms])[None]


def _stack(
    x: NDArray[np.float64],
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    z: NDArray[np.float64],
    even: bool,
) -> _Stack:
    size = x.shape[1]
    if even and x.shape[2] + z.shape[2] < size:
        basis = np.linalg.qr(np.concatenate([x, z], axis=2))[0]
        across = _transposed(basis)
        x, z, residual = across @ x, across @ z, np.einsum("gir,gr->gi", across, residual)
        variance = variance[:, : x.shape[1]]
    if x.shape[1] > MOST_ROWS:
        raise DataError(
            f"a cluster has {size:,} rows, and robust='CR2' and 'CR3' need dense matrices of that order; "
            f"the limit is {MOST_ROWS:,}. Use robust='CR1'"
        )
    covariance = z @ _transposed(z)
    diagonal = np.arange(x.shape[1])
    covariance[:, diagonal, diagonal] += variance
    return _Stack(x, residual, covariance)


def _column(values: NDArray[Any] | None, n: int) -> NDArray[np.float64]:
    return np.ones(n) if values is None else np.asarray(values, dtype=np.float64)


def _by_level(codes: NDArray[np.int32], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of a term, one set for each of the levels that occur, (r, q n_levels)."""
    levels, at = np.unique(codes, return_inverse=True)
    r, q = z.shape
    wide = np.zeros((r, len(levels), q))
    wide[np.arange(r), at] = z
    return wide.reshape(r, -1)
