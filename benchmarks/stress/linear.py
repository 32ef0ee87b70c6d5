"""The marginal likelihood of linear mixed models from dense covariance matrices of the response."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .log_gamma import LOG_2PI
from .problem import Array, Problem
from .structures import roots, split


def blocks(problem: Problem) -> list[np.ndarray]:
    """Rows that hang together through the levels that they share."""
    n = len(problem.y)
    if not problem.codes:
        return [np.array([i]) for i in range(n)]
    row, column, first = [], [], n
    for f, codes in enumerate(problem.codes):
        row.append(np.arange(n))
        column.append(first + codes)
        first += problem.levels(f)
    rows, columns = np.concatenate(row), np.concatenate(column)
    _, label = connected_components(coo_matrix((np.ones(len(rows)), (rows, columns)), (first, first)))
    order = np.argsort(label[:n], kind="stable")
    return np.split(order, np.flatnonzero(np.diff(label[:n][order])) + 1)


class Linear:
    """V = Z Sigma Z' + sigma^2 / weights, block by block; blocks of one size together.

    X is replaced by the Q of its QR decomposition and y by its least-squares residuals, which keep the digits.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        Q, self.R = np.linalg.qr(problem.X)
        y = problem.y - problem.offset
        self.fitted = np.linalg.lstsq(problem.X, y, rcond=None)[0]
        self.data = np.column_stack([Q, y - problem.X @ self.fitted])
        sizes: dict[int, list[np.ndarray]] = {}
        for block in blocks(problem):
            sizes.setdefault(len(block), []).append(block)
        self.rows = [np.array(own) for own in sizes.values()]
        self.same = [
            [problem.codes[t.factor][r][:, :, None] == problem.codes[t.factor][r][:, None, :] for t in problem.terms]
            for r in self.rows
        ]

    def sigma(self, psi: Array) -> Array:
        """Residual standard deviations of the rows, before weights."""
        phi, split_by = split(self.problem, psi)[2], self.problem.split
        return np.exp(phi[0] + (phi[1] * split_by if len(phi) > 1 and split_by is not None else 0 * self.problem.y))

    def sums(self, psi: Array) -> tuple[float, Array]:
        """log|V| and the cross-products of [Q, residuals] in V^-1."""
        problem = self.problem
        sigma = self.sigma(psi)
        halves = [term.Z @ root for term, root in zip(problem.terms, roots(problem, psi), strict=True)]
        k = self.data.shape[1]
        log_det, cross = 0.0, np.zeros((k, k))
        for rows, same in zip(self.rows, self.same, strict=True):
            V = np.eye(rows.shape[1]) * (sigma[rows] ** 2 / problem.weights[rows])[:, :, None]
            for half, both in zip(halves, same, strict=True):
                own = half[rows]
                V += np.where(both, own @ own.transpose(0, 2, 1), 0.0)
            lower = np.linalg.cholesky(V)
            log_det += 2 * np.log(np.diagonal(lower, axis1=1, axis2=2)).sum()
            white = np.linalg.solve(lower, self.data[rows]) if len(rows) > 1 else self._triangular(lower, rows)
            flat = white.reshape(-1, k)
            cross += flat.T @ flat
        return log_det, cross

    def _triangular(self, lower: Array, rows: np.ndarray) -> Array:
        return solve_triangular(lower[0], self.data[rows[0]], lower=True, check_finite=False)[None]

    def loglik(self, psi: Array) -> float:
        """At the fixed effects of psi; by REML they play no part."""
        try:
            log_det, cross = self.sums(psi)
        except np.linalg.LinAlgError:
            return -np.inf
        p, n = self.problem.p, len(self.problem.y)
        if self.problem.method == "ml":
            v = np.append(-self.R @ (psi[:p] - self.fitted), 1.0)
            return float(-0.5 * (log_det + n * LOG_2PI + v @ cross @ v))
        sign, log_det_q = np.linalg.slogdet(cross[:p, :p])
        if not sign > 0:
            return -np.inf
        log_det_x = log_det_q + 2 * np.log(np.abs(np.diag(self.R))).sum()
        v = np.append(-np.linalg.solve(cross[:p, :p], cross[:p, p]), 1.0)
        return float(-0.5 * (log_det + log_det_x + (n - p) * LOG_2PI + v @ cross @ v))

    def effects(self, psi: Array) -> list[Array]:
        """Conditional means of the random effects of every term, (levels, q), at the fixed effects of psi."""
        problem = self.problem
        sigma = self.sigma(psi)
        own = roots(problem, psi)
        residuals = problem.y - problem.offset - problem.X @ psi[: problem.p]
        weighted = np.zeros(len(residuals))
        for rows, same in zip(self.rows, self.same, strict=True):
            V = np.eye(rows.shape[1]) * (sigma[rows] ** 2 / problem.weights[rows])[:, :, None]
            for term, root, both in zip(problem.terms, own, same, strict=True):
                half = (term.Z @ root)[rows]
                V += np.where(both, half @ half.transpose(0, 2, 1), 0.0)
            weighted[rows] = np.linalg.solve(V, residuals[rows][:, :, None])[:, :, 0]
        found = []
        for term, root in zip(problem.terms, own, strict=True):
            sums = np.zeros((problem.levels(term.factor), term.q))
            np.add.at(sums, problem.codes[term.factor], term.Z * weighted[:, None])
            found.append(sums @ (root @ root.T))
        return found

    def least_squares(self, psi: Array) -> tuple[Array, Array]:
        """Fixed effects by generalized least squares, and their covariance."""
        p = self.problem.p
        _, cross = self.sums(psi)
        inverse = np.linalg.inv(self.R)
        beta = self.fitted + inverse @ np.linalg.solve(cross[:p, :p], cross[:p, p])
        return beta, inverse @ np.linalg.inv(cross[:p, :p]) @ inverse.T
