"""Parameters and conditional modes of choices together.

As `joint`, with rows that are alternatives: a category of a row, or a row itself. With p the probabilities of a set and
w its weight, the log density has the derivatives w (y - p), and second ones -w (diag(p) - p p'), so that the modes
solve M' w (y - p) = v, and H = I + M' w (diag(p) - p p') M.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from multilevel import _core

from .choice_law import softmax_in_sets
from .joint import AT_ONCE, Joint

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from ..fitting.record import Fit

    Array = NDArray[np.float64]


def joint_of(fit: Fit) -> Joint:
    """Of any fit."""
    return Joint(fit) if fit.design.choices is None else ChoiceJoint(fit)


class ChoiceJoint(Joint):
    """The same of choices: predictors are those of the alternatives, one each."""

    def _derive(self) -> None:
        """Residuals and curvatures of the alternatives."""
        fit, design, choices = self.fit, self.fit.design, self.fit.design.choices
        assert choices is not None
        self.owner = [0] * len(design.random_terms)
        self.sets = choices.sets_of(fit.n_rows)
        self.p = softmax_in_sets(np.ascontiguousarray(fit.eta).ravel(), self.sets)
        weights = np.ones(fit.n_rows) if design.weights is None else design.weights
        self.weights = np.asarray(choices.rows_of(np.asarray(weights, dtype=np.float64)))
        self.by = [self.weights * (choices.response_of(design.response.values) - self.p)]

    def _columns(self, term: int) -> Array:
        choices = self.fit.design.choices
        assert choices is not None
        columns = choices.columns_of(self.fit.design.random_terms[term].columns, self.fit.n_rows)
        return np.column_stack(
            [np.ones(len(self.p)) if c is None else np.asarray(c, dtype=np.float64) for c in columns]
        )

    def _codes(self, term: int) -> NDArray[np.int32]:
        choices = self.fit.design.choices
        assert choices is not None
        return np.asarray(choices.rows_of(super()._codes(term)))

    @cached_property
    def _averaging(self) -> Any:
        """From values of alternatives to the means of their sets, (sets, N)."""
        n = len(self.p)
        return sparse.csr_matrix((self.p, (self.sets, np.arange(n))), shape=(int(self.sets.max()) + 1, n))

    def _curved(self, values: Array) -> Array:
        """W (diag(p) - p p') times values of alternatives, (N, k)."""
        means = self._averaging @ values
        return np.asarray((self.weights * self.p)[:, None] * (values - means[self.sets]))

    @cached_property
    def hessian(self) -> Any:
        """H, (size, size)."""
        total = sparse.identity(self.size, format="csc")
        if self.by_v:
            m = self.by_v[0]
            means = self._averaging @ m
            of_set = np.zeros(means.shape[0])
            of_set[self.sets] = self.weights
            total = total + m.T @ sparse.diags(self.weights * self.p) @ m - means.T @ sparse.diags(of_set) @ means
        return total.tocsc()

    @cached_property
    def v_by_psi(self) -> Array:
        """How the modes v move with psi, (size, P)."""
        fit, choices = self.fit, self.fit.design.choices
        assert choices is not None
        right = np.zeros((self.size, len(fit.psi)))
        m, places = self.by_v[0], {name: k for k, name in enumerate(fit.fixed_names)}
        columns = choices.columns_of([column.values for column in fit.design.fixed], fit.n_rows)
        for column, values in zip(fit.design.fixed, columns, strict=True):
            if column.name in places:
                own = np.ones((len(self.p), 1)) if values is None else np.asarray(values, dtype=np.float64)[:, None]
                right[:, places[column.name]] = -(m.T @ self._curved(own))[:, 0]
        at = len(fit.beta)
        for term, random in enumerate(fit.design.random_terms):
            z, codes, q = self._columns(term), self._codes(term), len(random.names)
            levels = len(fit.design.grouping_factors[random.grouping_factor].levels)
            modes = self.modes[self.first[term] : self.first[term] + levels * q].reshape(levels, q)
            for d_factor in _core.Structure(random.structure, q).jacobian(fit.theta_values[term]):
                loads = z @ d_factor
                moved = (loads * modes[codes]).sum(axis=1)
                right[:, at] = (
                    self._block(term, codes, loads).T @ self.by[0] - (m.T @ self._curved(moved[:, None]))[:, 0]
                )
                at += 1
        return np.asarray(self.precision.solve(right))

    def covariance_of(self, codes: dict[int, NDArray[np.int32]], loads: dict[int, Array]) -> Array:
        """Covariance of the predictors of the alternatives of sets given psi, (n, K, K).

        Parameters
        ----------
        codes, loads : dict
            By random-effects term, the level of each alternative, (n, K) (-1 where it has none), and what it has of
            the level's random effects, (n, K, q).
        """
        factors = {self.fit.design.random_terms[term].grouping_factor for term in loads}
        first = next(iter(loads.values()))
        n, k = first.shape[:2]
        if len(factors) == 1 and all((own == own[:, :1]).all() for own in codes.values()):
            factor, places = factors.pop(), self.fit.term_columns
            whole, known = np.zeros((n, k, self.fit.mode_cov[factor].shape[1])), np.full(n, -1)
            for term, own in loads.items():
                there = codes[term][:, 0] >= 0
                known[there] = codes[term][there, 0]
                whole[:, :, places[term]] = np.where(there[:, None, None], own, 0.0)
            return np.einsum("nai,nij,nbj->nab", whole, self.fit.mode_cov[factor][known], whole, optimize=True)
        return self.covariance_across(codes, loads)

    def covariance_across(self, codes: dict[int, NDArray[np.int32]], loads: dict[int, Array]) -> Array:
        """The same where several grouping factors matter, whose random effects are dependent given the data."""
        n, k = next(iter(loads.values())).shape[:2]
        result = np.zeros((n, k, k))
        step = max(1, AT_ONCE // max(self.size * k, 1))
        for start in range(0, n, step):
            at = slice(start, min(start + step, n))
            blocks: list[Any] = []
            for term, own in loads.items():
                rows = own[at].reshape(-1, own.shape[2]) @ self.fit.theta[term]
                blocks.append(self._block(term, codes[term][at].ravel(), rows))
            total = sum(blocks[1:], blocks[0])
            solved = self.precision.solve(np.ascontiguousarray(total.T.toarray()))
            size = at.stop - at.start
            result[at] = np.einsum(
                "nas,snb->nab", total.toarray().reshape(size, k, -1), solved.reshape(-1, size, k), optimize=True
            )
        return result
