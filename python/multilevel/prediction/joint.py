"""What is uncertain in linear predictors: the parameters, and the random effects given them.

At parameters psi the random effects have the conditional modes u(psi) and the conditional covariance of `Fit.mode_cov`.
The estimates move the modes, so that of eta = x'beta + z'u the error is

    Var(eta) = z' Var(u | psi) z + a' Var(psi) a,   a = d(x'beta + z'u(psi)) / dpsi

(Booth and Hobert 1998; Kass and Steffey 1989). In linear models with the variances held fixed this is the prediction
error of Henderson's mixed-model equations.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from multilevel import _core

from ..fitting import covariance as structures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from numpy.typing import NDArray

    from ..design.parts import DesignPart
    from ..fitting.record import Fit
    from .rows import PredictionRows

    Array = NDArray[np.float64]

AT_ONCE = 4_000_000  # numbers in a block of right-hand sides
MOST_DENSE = 3000  # random effects whose whole inverse is made


def parameter_covariance(fit: Fit, *, variances: bool = True) -> Array:
    """The covariance of psi, (P, P), whose part of beta is that of its standard errors; zero of parameters at a limit.

    In linear models beta and the other parameters are independent. Without `variances` beta alone is uncertain: given
    theta and phi.
    """
    p = len(fit.beta)
    total = np.zeros_like(fit.covariance)
    if fit.is_linear:
        total[:p, :p] = fit.beta_covariance
        if variances:
            total[p:, p:] = fit.covariance[p:, p:]
    elif variances:
        total[:] = fit.covariance
    else:
        # given the others: the inverse of beta's own block of the information, thresholds with it, which are intercepts
        kept = np.arange(p)
        if fit.design.thresholds is not None:
            part = fit.components[0]
            kept = np.concatenate([kept, part.first + np.arange(len(part.names))])
        block = np.ix_(kept, kept)
        total[block] = np.linalg.inv(-fit.hessian[block])
    for own in fit.family.parameters:  # at its limit a parameter is what the family without it says
        if own.name in fit.phi_places and own.is_at_limit(fit.phi[own.name]):
            total[fit.phi_places[own.name]] = total[:, fit.phi_places[own.name]] = 0.0
    return total


class Joint:
    """Parameters and conditional modes of a fit together.

    The random effects of all terms are one vector v, spherical: u = L v for each level of a term, L its Cholesky
    factor. With l_i the log density of row i as a function of its linear predictors (of the mean and of the family's
    parameters), M_a the derivatives of predictor a by v, the modes solve sum_a M_a' l_a = v, and moving psi moves them
    by H^-1 d(sum_a M_a' l_a)/dpsi, H = I - sum_ab M_a' l_ab M_b.
    """

    def __init__(self, fit: Fit) -> None:
        fit.need_likelihood("standard errors of random effects at their conditional modes")
        self.fit = fit
        design = fit.design
        self.first: list[int] = []
        at = 0
        for term in design.random_terms:
            self.first.append(at)
            at += len(design.grouping_factors[term.grouping_factor].levels) * len(term.names)
        self.size = at
        self._derive()

    def _derive(self) -> None:
        """The rows' log densities, and their derivatives by their predictors."""
        fit, design, family = self.fit, self.fit.design, self.fit.family
        self.core = family.core_of(fit.row_phi)
        own_thresholds = [own["name"] for own in self.core.parameters] if family.all_thresholds else None
        self.parameters = ["", *(own_thresholds or [own.name for own in family.parameters])]
        self.owner = [self.parameters.index(term.parameter) for term in design.random_terms]
        response = design.response
        second = response.second
        one = np.ones(fit.n_rows)
        found = self.core.derivatives(
            fit.eta,
            np.ascontiguousarray(response.values, dtype=np.float64),
            one if second is None else np.ascontiguousarray(second, dtype=np.float64),
            one if design.weights is None else np.ascontiguousarray(design.weights, dtype=np.float64),
            np.ascontiguousarray(fit.row_phi),
        )
        m = len(self.parameters)
        self.by = [found["d1"], *(found[f"phi{k}_d0"] for k in range(m - 1))]
        self.by_by: dict[tuple[int, int], Array] = {(0, 0): found["d2"]}
        self.density, self.third = found["value"] + found["constant"], found["d3"]
        for k in range(m - 1):
            self.by_by[0, k + 1] = self.by_by[k + 1, 0] = found[f"phi{k}_d1"]
            for j in range(k + 1):
                self.by_by[j + 1, k + 1] = self.by_by[k + 1, j + 1] = found[f"phi{k}_{j}_d0"]

    def _block(self, term: int, codes: NDArray[np.int32], loads: Array) -> sparse.csr_matrix:
        """Rows with `loads` (n, q) in the columns of their level of a term; nothing where the code is -1."""
        n, q = loads.shape
        there = codes >= 0
        columns = self.first[term] + np.where(there, codes, 0)[:, None].astype(np.int64) * q + np.arange(q)
        values = np.where(there[:, None], loads, 0.0)
        starts = np.arange(0, n * q + 1, q)
        return sparse.csr_matrix((values.ravel(), columns.ravel(), starts), shape=(n, self.size))

    def _columns(self, term: int) -> Array:
        own = self.fit.design.random_terms[term]
        n = self.fit.n_rows
        return np.column_stack([np.ones(n) if c is None else np.asarray(c, dtype=np.float64) for c in own.columns])

    def _codes(self, term: int) -> NDArray[np.int32]:
        return self.fit.design.grouping_factors[self.fit.design.random_terms[term].grouping_factor].codes

    @cached_property
    def by_v(self) -> dict[int, Any]:
        """M_a for each predictor a with random effects, (n, size)."""
        result: dict[int, Any] = {}
        for term, owner in enumerate(self.owner):
            block = self._block(term, self._codes(term), self._columns(term) @ self.fit.theta[term])
            result[owner] = block if owner not in result else result[owner] + block
        return result

    @cached_property
    def modes(self) -> Array:
        """The modes of v, (size,), by the equation that they solve."""
        return sum((own.T @ self.by[a] for a, own in self.by_v.items()), np.zeros(self.size))

    @cached_property
    def hessian(self) -> Any:
        """H, (size, size)."""
        total = sparse.identity(self.size, format="csc")
        for a, own in self.by_v.items():
            for b, other in self.by_v.items():
                total = total - own.T @ sparse.diags(self.by_by[a, b]) @ other
        return total.tocsc()

    @cached_property
    def precision(self) -> Any:
        """The factorized H."""
        return splu(self.hessian)

    def effects(self, v: Array) -> tuple[Array, ...]:
        """The random effects u = L v of all terms, per grouping factor (n_levels, q)."""
        result = [np.zeros_like(own) for own in self.fit.modes]
        for term, at in enumerate(self.fit.term_columns):
            factor, half = self.fit.design.random_terms[term].grouping_factor, self.fit.theta[term]
            levels = len(result[factor])
            own = v[self.first[term] : self.first[term] + levels * len(half)].reshape(levels, len(half))
            result[factor][:, at] = own @ half.T
        return tuple(result)

    @cached_property
    def spread(self) -> Array:
        """Variance of the rows' linear predictors of the mean given psi, (n,): z'L H^-1 L'z."""
        at, loads = self._entries
        n, width = loads.shape
        result = np.empty(n)
        if len(self.fit.design.grouping_factors) == 1:
            # levels do not touch each other: one right-hand side has a column of H^-1 for all of them
            solved = self.precision.solve(self._coordinates)
            pick = solved[at]  # (n, width, width)
            return np.einsum("na,nab,nb->n", loads, pick, loads, optimize=True)
        if self.size <= MOST_DENSE:
            inverse = self.precision.solve(np.eye(self.size))
            step = max(1, AT_ONCE // width**2)
            for start in range(0, n, step):
                rows = slice(start, start + step)
                pick = inverse[at[rows][:, :, None], at[rows][:, None, :]]
                result[rows] = np.einsum("na,nab,nb->n", loads[rows], pick, loads[rows], optimize=True)
            return result
        step = max(1, AT_ONCE // self.size)
        for start in range(0, n, step):
            rows = slice(start, start + step)
            own = self.by_v[0][rows]
            solved = self.precision.solve(np.ascontiguousarray(own.T.toarray()))
            result[rows] = np.asarray(own.multiply(solved.T).sum(axis=1)).ravel()
        return result

    @cached_property
    def _entries(self) -> tuple[NDArray[np.int64], Array]:
        """Where each row of the mean's derivatives by v has its numbers, and these, (n, q) each."""
        at, loads = [], []
        for term, owner in enumerate(self.owner):
            if owner == 0:
                own = self._columns(term) @ self.fit.theta[term]
                at.append(self.first[term] + self._codes(term)[:, None].astype(np.int64) * own.shape[1])
                at[-1] = at[-1] + np.arange(own.shape[1])
                loads.append(own)
        return np.concatenate(at, axis=1), np.concatenate(loads, axis=1)

    @cached_property
    def _coordinates(self) -> Array:
        """One column for each random effect of a level, which is one where v has it, (size, q)."""
        result = []
        for term, first in enumerate(self.first):
            q = len(self.fit.design.random_terms[term].names)
            last = self.first[term + 1] if term + 1 < len(self.first) else self.size
            own = np.zeros((self.size, q))
            own[np.arange(first, last), np.arange(last - first) % q] = 1.0
            result.append(own)
        return np.concatenate(result, axis=1)

    @cached_property
    def v_by_psi(self) -> Array:
        """How the modes v move with psi, (size, P)."""
        fit = self.fit
        right = np.zeros((self.size, len(fit.psi)))
        for k, values in self._rows_by_psi():
            for a, own in self.by_v.items():
                right[:, k] += own.T @ sum(self.by_by[a, b] * moved for b, moved in values.items())
        at = len(fit.beta)
        for term, owner in enumerate(self.owner):
            z, codes = self._columns(term), self._codes(term)
            structure, q = fit.design.random_terms[term].structure, z.shape[1]
            for d_factor in _core.Structure(structure, q).jacobian(fit.theta_values[term]):
                right[:, at] += self._block(term, codes, z @ d_factor).T @ self.by[owner]
                at += 1
        return self.precision.solve(right)

    def _rows_by_psi(self) -> Any:
        """Per entry of psi, how the rows' predictors move with it while v stays: (entry, {predictor: (n,)})."""
        fit, n = self.fit, self.fit.n_rows
        places = {name: k for k, name in enumerate(fit.fixed_names)}
        for column in fit.design.fixed:
            if column.name in places:
                yield places[column.name], {0: np.ones(n) if column.values is None else column.values}
        at = len(fit.beta)
        for term, owner in enumerate(self.owner):
            z, codes, q = self._columns(term), self._codes(term), len(fit.design.random_terms[term].names)
            levels = len(fit.design.grouping_factors[fit.design.random_terms[term].grouping_factor].levels)
            own = self.modes[self.first[term] : self.first[term] + levels * q].reshape(levels, q)
            for d_factor in _core.Structure(fit.design.random_terms[term].structure, q).jacobian(
                fit.theta_values[term]
            ):
                yield at, {owner: ((z @ d_factor) * own[codes]).sum(axis=1)}
                at += 1
        for name, place in fit.phi_places.items():
            yield place, {self.parameters.index(name): np.ones(n)}
        if fit.design.thresholds is not None:
            yield from self._rows_by_thresholds()
            return
        parts = {part.parameter: part for part in fit.design.parts}
        for component in fit.components:
            places = {name: component.first + k for k, name in enumerate(component.names)}
            for column in parts[component.parameter].fixed:
                if column.name in places:
                    moved = np.ones(n) if column.values is None else column.values
                    yield places[column.name], {self.parameters.index(component.parameter): moved}

    def _rows_by_thresholds(self) -> Any:
        """The same of ordered categories, whose thresholds above and below the row's own move with what makes them."""
        fit, response = self.fit, self.fit.design.response
        none = np.zeros((fit.n_rows, 1))
        own = response.values.astype(np.int64)
        for place, moved in threshold_directions(fit, fit.design.parts[0], fit.n_rows):
            if fit.family.all_thresholds:
                yield place, {k + 1: own_threshold for k, own_threshold in enumerate(moved.T)}
                continue
            ends = np.hstack([none, moved, none])
            yield place, {1: ends[np.arange(fit.n_rows), own], 2: ends[np.arange(fit.n_rows), own - 1]}
        if fit.family.scaled:
            component, part = fit.components[-1], fit.design.parts[-1]
            kept = [column for column in part.fixed if column.name in component.names]
            for k, column in enumerate(kept):
                yield component.first + k, {3: np.asarray(column.values, dtype=np.float64)}

    @cached_property
    def beta_by_variances(self) -> Array:
        """How generalized least squares' beta moves with theta and phi in a linear model, (p, P - p)."""
        fit, p = self.fit, len(self.fit.beta)
        n = fit.n_rows
        places = {name: k for k, name in enumerate(fit.fixed_names)}
        x = np.zeros((n, p))
        for column in fit.design.fixed:
            if column.name in places:
                x[:, places[column.name]] = 1.0 if column.values is None else column.values
        moved = np.zeros((n, len(fit.psi)))
        for k, values in self._rows_by_psi():
            for b, own in values.items():
                moved[:, k] += self.by_by[0, b] * own
        # the score of beta, X' l_0, while the modes follow
        total = x.T @ (moved + self.by_by[0, 0][:, None] * (self.by_v[0] @ self.v_by_psi))
        return -np.linalg.solve(total[:, :p], total[:, p:])

    def covariance(self, *, variances: bool) -> Array:
        """Of psi, (P, P), as `parameter_covariance`, where beta of a linear model follows theta and phi."""
        given = parameter_covariance(self.fit, variances=variances)
        if not (self.fit.is_linear and variances):
            return given
        p = len(self.fit.beta)
        follow = np.eye(len(given))
        follow[:p, p:] = np.where(np.isnan(np.diag(given)[p:]), 0.0, self.beta_by_variances)
        return follow @ np.where(np.isnan(given), 0.0, given) @ follow.T + np.where(np.isnan(given), np.nan, 0.0)

    def effects_by_psi(self, term: int) -> Array:
        """How the random effects u of a term's levels move with psi, (levels, q, P)."""
        fit = self.fit
        levels = len(fit.design.grouping_factors[fit.design.random_terms[term].grouping_factor].levels)
        factor, q = fit.theta[term], fit.theta[term].shape[0]
        part = slice(self.first[term], self.first[term] + levels * q)
        result = np.einsum("ij,ljp->lip", factor, self.v_by_psi[part].reshape(levels, q, -1))
        at = len(fit.beta) + sum(len(own) for own in fit.theta_values[:term])
        own = self.modes[part].reshape(levels, q)
        for d_factor in _core.Structure(fit.design.random_terms[term].structure, q).jacobian(fit.theta_values[term]):
            result[:, :, at] += own @ d_factor.T
            at += 1
        return result

    def conditional_covariance(self, rows: PredictionRows) -> Array:
        """Covariance of the rows' predictors given psi, (n, m, m): that of the random effects that stand at modes."""
        factors = {self.fit.design.random_terms[own.term].grouping_factor for own in rows.terms}
        return self._within(rows, factors.pop()) if len(factors) == 1 else self._across(rows)

    def _within(self, rows: PredictionRows, factor: int) -> Array:
        """The same where only one grouping factor matters: its levels have their covariances."""
        m, places = len(rows.predictors), self.fit.term_columns
        loads = np.zeros((rows.n, m, self.fit.mode_cov[factor].shape[1]))
        known = np.full(rows.n, -1)
        for own in rows.terms:
            there = own.known >= 0
            known[there] = own.known[there]
            loads[:, own.predictor, places[own.term]] = np.where(there[:, None], own.columns, 0.0)
        return np.einsum("nai,nij,nbj->nab", loads, self.fit.mode_cov[factor][known], loads, optimize=True)

    def _across(self, rows: PredictionRows) -> Array:
        """The same for several grouping factors, whose levels' random effects are dependent given the data."""
        m = len(rows.predictors)
        loads: list[Any] = [None] * m
        for own in rows.terms:
            block = self._block(own.term, own.known, own.columns @ self.fit.theta[own.term])
            loads[own.predictor] = block if loads[own.predictor] is None else loads[own.predictor] + block
        result = np.zeros((rows.n, m, m))
        there = [a for a in range(m) if loads[a] is not None]
        step = max(1, AT_ONCE // max(self.size, 1))
        for start in range(0, rows.n, step):
            at = slice(start, min(start + step, rows.n))
            for b in there:
                solved = self.precision.solve(np.ascontiguousarray(loads[b][at].T.toarray()))
                for a in there:
                    product = loads[a][at].multiply(solved.T).sum(axis=1)
                    result[at, a, b] = np.asarray(product).ravel()
        return result


def theta_by_term(fit: Fit) -> list[tuple[int, Array]]:
    """Per random-effects term where its theta begins in psi, and the derivatives of its covariance, (n_theta, q, q)."""
    found, at = [], len(fit.beta)
    for term, values in zip(fit.design.random_terms, fit.theta_values, strict=True):
        found.append((at, structures.jacobian(term.structure, values, len(term.names))))
        at += len(values)
    return found


def threshold_directions(fit: Fit, part: DesignPart, n_rows: int) -> Iterator[tuple[int, Array]]:
    """How the thresholds of rows with these columns move with what makes them: (entry of psi, (n_rows, C - 1))."""
    assert fit.design.thresholds is not None
    component, matrix = fit.component(part.name), fit.design.thresholds.matrix
    place = component.first
    for column in part.fixed:
        if column.name in component.redundant:
            continue
        values = np.ones(n_rows) if column.values is None else np.asarray(column.values, dtype=np.float64)
        for own in matrix.T:
            yield place, np.outer(values, own)
            place += 1
