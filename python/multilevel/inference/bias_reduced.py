"""CR2 and CR3 of linear models: sandwich estimators whose residuals are adjusted by what the fit has taken from them.

With V_g the covariance that the model gives the rows of cluster g, M = (X'V^-1 X)^-1 and e_g the residuals,

    covariance = M [sum_g X_g'V_g^-1 A_g e_g e_g'A_g' V_g^-1 X_g] M,
    CR2:  A_g = D_g' [D_g (V_g - X_g M X_g') D_g']^-1/2 D_g,  D_g'D_g = V_g   (the same for every such D_g),
    CR3:  A_g = (I - X_g M X_g' V_g^-1)^-1.

Outside of the span of X_g and Z_g both A_g are the identity where all rows have one residual variance, so the matrices
are taken on a basis of that span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ..fitting.record import Fit
    from .clusters import Clusters

NOTHING = 1e-10  # eigenvalues below this share of the largest: a direction that the fit has taken whole
MOST_ROWS = 5_000  # of a dense matrix of one cluster


class _Cluster(NamedTuple):
    """Rows of a cluster, or a basis of their span: X (r, p), residuals (r,), V (r, r)."""

    x: NDArray[np.float64]
    residual: NDArray[np.float64]
    covariance: NDArray[np.float64]


def bias_reduced(fit: Fit, groups: Clusters, kind: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Covariance of the fixed effects and degrees of freedom of the test of each.

    Parameters
    ----------
    fit : Fit
        A linear (mixed) model.
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
    M = fit.beta_covariance
    p = len(fit.beta)
    root = np.linalg.cholesky(M)
    meat = np.zeros((p, p))
    own, leverages = [], []
    for cluster in _clusters(fit, groups):
        weighted = _adjusted(cluster, M, kind)  # A'V^-1 X, (r, p)
        score = weighted.T @ cluster.residual
        meat += np.outer(score, score)
        contrast = weighted @ M
        own.append(np.einsum("rk,rs,sk->k", contrast, cluster.covariance, contrast))
        leverages.append((root.T @ cluster.x.T @ contrast).T)
    # The variance of a coefficient's estimate is a quadratic form with the matrix diag(own) - U U' of the clusters.
    a, U = np.array(own), np.array(leverages)  # (m, p), (m, p, p)
    total = a.sum(axis=0) - np.einsum("gkj,gkj->k", U, U)
    gram = np.einsum("gki,gkj->kij", U, U)
    squares = (a**2).sum(axis=0) - 2.0 * np.einsum("gk,gkj,gkj->k", a, U, U) + np.einsum("kij,kij->k", gram, gram)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = total**2 / squares
    return M @ meat @ M, np.where(np.isfinite(df), df, np.nan)


def _adjusted(cluster: _Cluster, M: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """A'V^-1 X of a cluster, (r, p)."""
    x, V = cluster.x, cluster.covariance
    if kind == "CR3":
        # A'V^-1 = (V - XMX')^-1
        return np.linalg.pinv(V - x @ M @ x.T, rcond=NOTHING, hermitian=True) @ x
    values, vectors = np.linalg.eigh(V)
    root = (vectors * np.sqrt(values)) @ vectors.T
    values, vectors = np.linalg.eigh(root @ (V - x @ M @ x.T) @ root)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(values > NOTHING * values.max(initial=0.0), 1.0 / np.sqrt(values), 0.0)
    A = root @ (vectors * inverse) @ vectors.T @ root
    return A @ np.linalg.solve(V, x)


def _clusters(fit: Fit, groups: Clusters) -> Iterator[_Cluster]:
    design = fit.design
    kept = set(fit.fixed_names)
    n = fit.n_rows
    X = np.column_stack([_column(c.values, n) for c in design.fixed if c.name in kept])
    residual = design.response.values - X @ fit.beta
    if design.offset is not None:
        residual = residual - design.offset
    terms = [
        (
            design.grouping_factors[term.grouping_factor].codes,
            np.column_stack([_column(c, n) for c in term.columns]) @ root,
        )
        for term, root in zip(design.random_terms, fit.theta, strict=True)
    ]
    variance = np.full(n, fit.phi["sigma"] ** 2)
    even = design.weights is None or np.ptp(design.weights) == 0.0
    if design.weights is not None:
        variance = variance / design.weights
    order = np.argsort(groups.codes, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(groups.codes[order])) + 1):
        x, e = X[rows], residual[rows]
        columns = [_by_level(codes[rows], z[rows]) for codes, z in terms]
        Z = np.column_stack(columns) if columns else np.zeros((len(rows), 0))
        if even and x.shape[1] + Z.shape[1] < len(rows):
            basis = np.linalg.qr(np.column_stack([x, Z]))[0]
            x, e, Z = basis.T @ x, basis.T @ e, basis.T @ Z
            own = np.full(len(x), variance[rows[0]])
        else:
            own = variance[rows]
        if len(x) > MOST_ROWS:
            raise DataError(
                f"a cluster has {len(rows):,} rows, and robust='CR2' and 'CR3' need dense matrices of that order; "
                f"the limit is {MOST_ROWS:,}. Use robust='CR1'"
            )
        yield _Cluster(x, e, np.diag(own) + Z @ Z.T)


def _column(values: NDArray[Any] | None, n: int) -> NDArray[np.float64]:
    return np.ones(n) if values is None else np.asarray(values, dtype=np.float64)


def _by_level(codes: NDArray[np.int32], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of a term, one set for each of the levels that occur, (r, q n_levels)."""
    levels, at = np.unique(codes, return_inverse=True)
    r, q = z.shape
    wide = np.zeros((r, len(levels), q))
    wide[np.arange(r), at] = z
    return wide.reshape(r, -1)
