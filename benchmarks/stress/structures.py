"""Covariance matrices from their parameters, as the guide defines the structures."""

from __future__ import annotations

import numpy as np

from .problem import Array, Problem, Term


def n_theta(term: Term) -> int:
    q = term.q
    return {
        "us": q * (q + 1) // 2,
        "diag": q,
        "homdiag": 1,
        "cs": q + 1,
        "homcs": 2,
        "ar1": 2,
        "hetar1": q + 1,
        "rr": term.rank * (2 * q - term.rank + 1) // 2,
        "cfa": sum(map(len, term.loads)) + term.rank * (term.rank - 1) // 2,
    }[term.structure]


def factor(term: Term, theta: Array) -> Array:
    """The lower triangular L with covariance L L'."""
    q, kind = term.q, term.structure
    if kind in ("us", "rr"):
        lower = np.zeros((q, q))
        at = 0
        for column in range(q if kind == "us" else term.rank):
            lower[column:, column] = theta[at : at + q - column]
            at += q - column
        return lower
    if kind == "cfa":
        return np.hstack([loadings(term, theta) @ cfa_root(term, theta), np.zeros((q, q - term.rank))])
    if kind in ("diag", "homdiag"):
        return np.diag(np.broadcast_to(theta, (q,)).astype(float))
    scales = np.broadcast_to(theta[:-1], (q,))
    return scales[:, None] * (ar1_root(q, theta[-1]) if kind in ("ar1", "hetar1") else cs_root(q, theta[-1]))


def loadings(term: Term, theta: Array) -> Array:
    """Of the columns on the factors, (q, factors)."""
    found, at = np.zeros((term.q, term.rank)), 0
    for m, own in enumerate(term.loads):
        found[list(own), m] = theta[at : at + len(own)]
        at += len(own)
    return found


def cfa_root(term: Term, theta: Array) -> Array:
    """Of the factors' correlations: rows (c, 1) over their lengths."""
    root, at = np.zeros((term.rank, term.rank)), sum(map(len, term.loads))
    for m in range(term.rank):
        row = np.append(theta[at : at + m], 1.0)
        root[m, : m + 1] = row / np.linalg.norm(row)
        at += m
    return root


def ar1_root(q: int, tau: float) -> Array:
    """Of the correlations rho^|i - j|, rho = tanh(tau)."""
    rho, innovation = np.tanh(tau), 1 / np.cosh(tau)
    lag = np.subtract.outer(np.arange(q), np.arange(q))
    root = np.where(lag >= 0, rho ** np.maximum(lag, 0), 0.0) * innovation
    root[:, 0] = rho ** np.arange(q)
    return root


def cs_root(q: int, tau: float) -> Array:
    """Of one correlation between all: (e - 1) / (e + q - 1), e = exp(2 tau); eigenvalues q e and q over e + q - 1."""
    e = np.exp(2 * tau)
    if not np.isfinite(e):
        return np.outer(np.ones(q), np.eye(q)[0])
    root = np.zeros((q, q))
    for j in range(q):
        d0, d1 = j * e + q - j, (j + 1) * e + q - j - 1
        root[j, j] = np.sqrt(q * d1 / ((e + q - 1) * d0))
        root[j + 1 :, j] = (e - 1) * np.sqrt(q / ((e + q - 1) * d0 * d1))
    return root


def exchangeable_root(q: int, rho: float) -> Array:
    """Of the correlation rho between all, which may be singular: eigenvectors times roots of eigenvalues, the smallest
    first. Written out, since those that a library finds of a repeated eigenvalue depend on the processor, and a seed is
    one design on all of them.
    """
    if rho == 0 or q == 1:
        return np.eye(q)
    apart = np.zeros((q, q - 1))
    for j in range(1, q):
        apart[: j + 1, j - 1] = np.append(-np.ones(j), j) * np.sqrt(max(1 - rho, 0) / (j * (j + 1)))
    together = np.full((q, 1), np.sqrt(max(1 + (q - 1) * rho, 0) / q))
    return np.hstack([apart, together] if rho > 0 else [-together, apart])


def split(problem: Problem, psi: Array) -> tuple[Array, list[Array], Array]:
    """Fixed effects, the parameters of each term, and those of the family."""
    at, thetas = problem.p, []
    for term in problem.terms:
        thetas.append(psi[at : at + n_theta(term)])
        at += n_theta(term)
    return psi[: problem.p], thetas, psi[at:]


def roots(problem: Problem, psi: Array) -> list[Array]:
    """The factor L of every term."""
    return [factor(t, theta) for t, theta in zip(problem.terms, split(problem, psi)[1], strict=True)]
