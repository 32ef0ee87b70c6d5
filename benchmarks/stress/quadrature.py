"""Adaptive Gauss-Hermite quadrature: v = mode + L'^-1 t, H = L L', for one factor and for two that nest."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from .modes import Clusters
from .problem import Array, Problem


@cache
def rule(points: int, q: int) -> tuple[Array, Array]:
    """Nodes (K, q) and log weights (K,) of the product rule for N(0, I)."""
    x, w = hermegauss(points)
    log_w = np.log(w) - 0.5 * np.log(2 * np.pi)
    nodes = np.array(list(itertools.product(x, repeat=q)))
    return nodes, np.array([sum(c) for c in itertools.product(log_w, repeat=q)])


def simple_integral(clusters: Clusters, v: Array, lower: Array, points: int) -> float:
    """The sum over the clusters of one factor."""
    t, log_w = rule(points, clusters.q)
    upper = np.linalg.inv(lower).transpose(0, 2, 1)
    nodes = v[:, None, :] + np.einsum("mij,kj->mki", upper, t)
    density = clusters.density
    eta = clusters.fixed[:, None] + np.einsum("nj,nkj->nk", clusters.S, nodes[clusters.cluster])
    f = clusters.sums(density.value(eta)) - 0.5 * (nodes**2).sum(2)
    log_det = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum()
    return float(logsumexp(f + 0.5 * (t**2).sum(1) + log_w, axis=1).sum() - log_det)


def nested_integral(
    problem: Problem, clusters: Clusters, v: Array, H: Array, order: tuple[int, int], widths: list[int]
) -> float:
    """Cluster by cluster of the outer factor: units first, the outer effects last in the factor of H."""
    outer, inner = order
    q3, q2 = widths[outer], widths[inner]
    first = [0, problem.levels(0) * widths[0]]
    t3, w3 = rule(problem.points, q3)
    t2, w2 = rule(problem.points, q2)
    total = 0.0
    for level in range(problem.levels(outer)):
        rows = np.flatnonzero(problem.codes[outer] == level)
        units, unit = np.unique(problem.codes[inner][rows], return_inverse=True)
        at2 = [first[inner] + u * q2 + np.arange(q2) for u in units]
        at3 = first[outer] + level * q3 + np.arange(q3)
        S, fixed = clusters.S[rows], clusters.fixed[rows]
        corner, borders, lowers = H[np.ix_(at3, at3)].copy(), [], []
        for at in at2:
            lower = np.linalg.cholesky(H[np.ix_(at, at)])
            border = solve_triangular(lower, H[np.ix_(at, at3)], lower=True).T
            corner -= border @ border.T
            lowers.append(lower)
            borders.append(border)
            total -= np.log(np.diag(lower)).sum()
        last = np.linalg.cholesky(corner)
        total -= np.log(np.diag(last)).sum()
        moved = solve_triangular(last, t3.T, lower=True, trans="T").T
        v3 = v[at3] + moved
        log_sum = w3 + 0.5 * (t3**2).sum(1) - 0.5 * (v3**2).sum(1)
        shared = fixed + v3 @ S[:, at3].T
        for k, (at, lower, border) in enumerate(zip(at2, lowers, borders, strict=True)):
            mine = np.flatnonzero(unit == k)
            t = t2[None] - (moved @ border)[:, None, :]
            v2 = v[at] + solve_triangular(lower, t.reshape(-1, q2).T, lower=True, trans="T").T.reshape(t.shape)
            eta = shared[:, None, mine] + v2 @ S[np.ix_(mine, at)].T
            value = _rows(clusters, rows[mine], eta.reshape(-1, len(mine)).T).sum(0).reshape(t.shape[:2])
            inside = value - 0.5 * (v2**2).sum(2) + 0.5 * (t2**2).sum(1)
            log_sum = log_sum + logsumexp(inside + w2, axis=1)
        total += logsumexp(log_sum)
    return float(total)


def _rows(clusters: Clusters, rows: Array, eta: Array) -> Array:
    """Log densities of some rows, (rows, K)."""
    return clusters.density.some(rows).value(eta)
