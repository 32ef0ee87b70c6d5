"""The likelihood of a generalized linear mixed model from its definition: Laplace, and adaptive quadrature."""

from __future__ import annotations

import numpy as np

from .densities import Density
from .linear import Linear
from .modes import Clusters, starts
from .parts import density_of
from .problem import Array, Problem
from .quadrature import draws, nested_integral, rule, simple_integral
from .structures import roots, split

REDUCED = (5, 6, 7)  # points, of which in three dimensions some products are left out


class Plain:
    """log-likelihood of a problem (rows `in_order`) as a function of psi = (beta, theta, phi)."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.linear = Linear(problem) if problem.linear else None
        self.given: Array | None = None  # modes, in v
        self.single = len(problem.codes) == 1 and not problem.crossed_sets
        self.outer = nesting(problem) if len(problem.codes) == 2 and problem.points > 1 else None
        self.known: dict[bytes, tuple[float, Array | None]] = {}  # values from many starts, and their modes

    @property
    def concave(self) -> bool:
        """Whether a mode is the only one."""
        return self.linear is not None or density_of(self.problem, None).concave

    @property
    def available(self) -> bool:
        """Whether this implementation has the rule that the problem asks for."""
        problem = self.problem
        if problem.linear or problem.points == 1 or not problem.codes:
            return True
        most = max(self.width(f) for f in range(len(problem.codes)))
        if all(term.rank for term in problem.terms) and self.single:
            return most <= 2 or (most == 3 and problem.points not in REDUCED)
        return most <= 2 and (self.single or self.outer is not None)  # of more dimensions products are reduced

    def width(self, factor: int) -> int:
        return sum(t.width for t in self.problem.terms if t.factor == factor)

    def with_points(self, points: int) -> Plain:
        """The same with another rule."""
        from dataclasses import replace

        return Plain(replace(self.problem, points=points))

    def loglik(self, psi: Array, warm: bool = False) -> float:
        """Modes from many starts, or (`warm`) from those found last."""
        if self.linear:
            return self.linear.loglik(psi)
        if warm:
            return self._loglik(psi, self.given is not None)
        key = np.asarray(psi, dtype=float).tobytes()
        if key not in self.known:
            self.known[key] = self._loglik(psi, False), self.given
        value, self.given = self.known[key]
        return value

    def _loglik(self, psi: Array, warm: bool) -> float:
        problem = self.problem
        beta, _, phi = split(problem, psi)
        density = density_of(problem, phi)
        fixed = problem.offset + problem.X @ beta
        if not problem.terms:
            return float(density.value(fixed).sum())
        clusters = self.clusters(psi, density, fixed)
        if warm:
            assert self.given is not None
            v, f = clusters.newton(self.given)
            if not np.isfinite(f).all():
                v, f = clusters.newton(np.zeros_like(self.given))
        else:
            v, f = clusters.best(starts(clusters, self.given, not density.concave or not np.isfinite(fixed).all()))
            self.given = v
        if not np.isfinite(f).all():
            return -np.inf
        return self.integral(clusters, v, f)

    def integral(self, clusters: Clusters, v: Array, f: Array) -> float:
        problem = self.problem
        _, H = clusters.derivatives(v)
        try:
            lower = np.linalg.cholesky(H)
        except np.linalg.LinAlgError:
            return -np.inf
        if problem.points == 1:
            diagonal = np.diagonal(lower, axis1=1, axis2=2)
            return float(f.sum() - np.log(diagonal).sum())
        if self.single:
            return simple_integral(clusters, v, lower, rule(problem.points, clusters.q))
        assert self.outer is not None
        try:
            return nested_integral(problem, clusters, v[0], H[0], self.outer, [self.width(0), self.width(1)])
        except np.linalg.LinAlgError:  # what is left of H for the outer effects, to rounding
            return -np.inf

    def sampled(self, psi: Array, count: int = 2000, repeats: int = 4) -> tuple[float, float]:
        """The log-likelihood whatever the number of random effects, by importance sampling, and its standard error."""
        if not self.single or not np.isfinite(self.loglik(psi)):
            return np.nan, np.inf
        assert self.given is not None
        beta, _, phi = split(self.problem, psi)
        clusters = self.clusters(psi, density_of(self.problem, phi), self.problem.offset + self.problem.X @ beta)
        lower = np.linalg.cholesky(clusters.derivatives(self.given)[1])
        values = [
            simple_integral(clusters, self.given, lower, draws(count, clusters.q, seed)) for seed in range(repeats)
        ]
        return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(repeats))

    def clusters(self, psi: Array, density: Density, fixed: Array) -> Clusters:
        """One cluster per level of a single factor; all together with several, or where levels differ within a set."""
        problem = self.problem
        n = len(problem.y)
        own = roots(problem, psi)
        parts = []
        for f in range(len(problem.codes)):
            pairs = zip(problem.terms, own, strict=True)
            parts.append(np.hstack([t.Z @ root[:, : t.width] for t, root in pairs if t.factor == f]))
        if self.single:
            return Clusters(density, fixed, parts[0], np.bincount(problem.codes[0]))
        columns, first = [], 0
        for f, part in enumerate(parts):
            q = part.shape[1]
            columns.append(first + problem.codes[f][:, None] * q + np.arange(q))
            first += problem.levels(f) * q
        S = np.zeros((n, first))
        for part, at in zip(parts, columns, strict=True):
            S[np.arange(n)[:, None], at] = part
        return Clusters(density, fixed, S, np.array([n]))

    def effects(self, psi: Array) -> list[Array]:
        """Random effects of every term at their modes, (levels, q); after a call of `loglik` at psi."""
        if self.linear:
            return self.linear.effects(psi)
        assert self.given is not None
        problem, found, flat = self.problem, [], self.given.ravel()
        first, used = [0], [0] * len(problem.codes)
        for f in range(len(problem.codes)):
            first.append(first[-1] + problem.levels(f) * self.width(f))
        for term, root in zip(problem.terms, roots(problem, psi), strict=True):
            f, at = term.factor, used[term.factor]
            v = flat[first[f] : first[f + 1]].reshape(problem.levels(f), self.width(f))
            found.append(v[:, at : at + term.width] @ root[:, : term.width].T)
            used[f] += term.width
        return found

    def take_modes(self, psi: Array, modes: list[Array]) -> None:
        """Starts from random effects u per factor, (levels, q): v with L v = u."""
        parts = []
        for f, u in enumerate(modes):
            pairs = zip(self.problem.terms, roots(self.problem, psi), strict=True)
            blocks, at = [], 0
            for term, root in pairs:
                if term.factor == f:
                    inverse = np.linalg.pinv(root[:, : term.width], rcond=1e-10)
                    blocks.append(u[:, at : at + term.q] @ inverse.T)
                    at += term.q
            parts.append(np.hstack(blocks))
        self.given = parts[0] if self.single else np.concatenate([p.ravel() for p in parts])[None]


def nesting(problem: Problem) -> tuple[int, int] | None:
    """(outer, inner) factor where each level of one lies within a level of the other."""
    a, b = problem.codes
    pairs = len(np.unique(a * (b.max() + 1) + b))
    if pairs == b.max() + 1:
        return 0, 1
    return (1, 0) if pairs == a.max() + 1 else None
