"""Adaptive Gauss-Hermite quadrature: v = mode + L'^-1 t, H = L L', for one factor and for two that nest."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal
from scipy.special import logsumexp

from .modes import Clusters
from .problem import Array, Problem


def hermite(points: int) -> tuple[Array, Array]:
    """Nodes and log weights for N(0, 1): the weights of hundreds of points are below the smallest number."""
    degrees = np.sqrt(np.arange(1.0, points + 1.0))
    x = eigvalsh_tridiagonal(np.zeros(points), degrees[:-1])
    previous, own, total, log_scale = np.zeros(points), np.ones(points), np.ones(points), np.zeros(points)
    for k in range(1, points):  # the orthonormal polynomials; one over the sum of their squares is the weight
        previous, own = own, (x * own - (degrees[k - 2] * previous if k > 1 else 0.0)) / degrees[k - 1]
        total += own**2
        scale = np.sqrt(total)
        previous, own, total, log_scale = previous / scale, own / scale, np.ones(points), log_scale + np.log(scale)
    return x, -2.0 * log_scale


@cache
def rule(points: int, q: int) -> tuple[Array, Array]:
    """Nodes (K, q) and log weights (K,) of the product rule for N(0, I)."""
    x, log_w = hermite(points)
    nodes = np.array(list(itertools.product(x, repeat=q)))
    return nodes, np.array([sum(c) for c in itertools.product(log_w, repeat=q)])


def draws(count: int, q: int, seed: int) -> tuple[Array, Array]:
    """The same by chance: importance sampling from the normal density at the mode."""
    half = np.random.default_rng(seed).normal(size=(count // 2, q))
    return np.vstack([half, -half]), np.full(count // 2 * 2, -np.log(count // 2 * 2))


def simple_integral(clusters: Clusters, v: Array, lower: Array, nodes_of: tuple[Array, Array]) -> float:
    """The sum over the clusters of one factor."""
    t, log_w = nodes_of
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
    """Two factors: the units of the inner one first, the outer effects last in the factor of H."""
    outer, inner = order
    q3, q2 = widths[outer], widths[inner]
    first = [0, problem.levels(0) * widths[0]]
    rows = np.argsort(problem.codes[inner], kind="stable")
    unit = problem.codes[inner][rows]
    begins = np.flatnonzero(np.diff(unit, prepend=-1))
    cluster = problem.codes[outer][rows]
    of_unit = cluster[begins]
    at2 = first[inner] + np.arange(len(begins))[:, None] * q2 + np.arange(q2)
    at3 = first[outer] + np.arange(problem.levels(outer))[:, None] * q3 + np.arange(q3)

    lower2 = np.linalg.cholesky(H[at2[:, :, None], at2[:, None, :]])
    border = np.linalg.solve(lower2, H[at2[:, :, None], at3[of_unit][:, None, :]]).transpose(0, 2, 1)
    corner = H[at3[:, :, None], at3[:, None, :]].copy()
    np.subtract.at(corner, of_unit, border @ border.transpose(0, 2, 1))
    lower3 = np.linalg.cholesky(corner)
    log_det = sum(np.log(np.diagonal(lower, axis1=1, axis2=2)).sum() for lower in (lower2, lower3))

    (t3, w3), (t2, w2) = rule(problem.points, q3), rule(problem.points, q2)
    moved = np.einsum("gji,kj->gki", np.linalg.inv(lower3), t3)
    v3 = v[at3][:, None, :] + moved
    t = t2 - (moved[of_unit] @ border)[:, :, None, :]
    v2 = v[at2][:, None, None, :] + np.einsum("mji,mklj->mkli", np.linalg.inv(lower2), t)
    S, own = clusters.S[rows], np.arange(len(rows))[:, None]
    eta3 = clusters.fixed[rows][:, None] + np.einsum("nj,nkj->nk", S[own, at3[cluster]], v3[cluster])
    eta = eta3[:, :, None] + np.einsum("nj,nklj->nkl", S[own, at2[unit]], v2[unit])
    logs = clusters.density.some(rows).value(eta.reshape(len(rows), -1)).reshape(eta.shape)
    inside = np.add.reduceat(logs, begins) - 0.5 * (v2**2).sum(3) + 0.5 * (t2**2).sum(1) + w2
    total = w3 + 0.5 * (t3**2).sum(1) - 0.5 * (v3**2).sum(2)
    np.add.at(total, of_unit, logsumexp(inside, axis=2))
    return float(logsumexp(total, axis=1).sum() - log_det)
