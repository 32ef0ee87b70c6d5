"""The record of a fit with names: everything after a fit reads a `Fit` and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from .core_model import build_core
from .few_rows import n_responses
from .parameters import Component, is_linear

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from ..design.design import Design
    from ..design.fixed import FixedColumn
    from ..design.parts import DesignPart
    from ..family.registry import Family
    from .certificate import Certificate, Optimization
    from .verdict import Verdict


@dataclass(frozen=True, eq=False)
class Fit:
    """A fit, frozen, on the user's scale. With p fixed effects, q random effects, P parameters and n rows.

    Attributes
    ----------
    design, family
        What was fitted.
    model_core : multilevel._core.Model or None
        The sorted data; None after unpickling.
    method : {"ml", "reml", "pql", "pql-reml", "mql", "mql-reml", "mspl", "rspl", "mmpl", "rmpl"}
        Maximum likelihood, restricted maximum likelihood (Gaussian models with the identity link), or quasi-likelihood.
        That has no log-likelihood (NaN), and the root of its scale as `scale` in `phi` and, its logarithm, last in psi,
        where it is estimated.
    n_quadrature : int
        Points per random effect; 1 is the Laplace approximation.
    fixed_names, redundant : tuple of str
        Columns kept, and columns dropped as linear combinations of earlier ones.
    psi : ndarray, (P,)
        (beta, theta, phi), where the likelihood has its maximum; theta holds the covariance parameters of each term, as
        its structure defines them.
    parameter_names : tuple of str
    beta : ndarray, (p,)
    theta_values, theta, random_cov : tuple of ndarray
        Per random-effects term: its own part of theta, its lower Cholesky factor, and its covariance.
    phi : dict
        The family's own parameters that are the same for all rows, on the scale of their name. Of linear models
        without random effects `sigma` is the
        square root of the (weighted) residual sum of squares over n - p, as lm() has it, not over n as in psi.
    gradient, hessian, covariance
        Of the log-likelihood with respect to psi; the inverse of -hessian, NaN where theta is at the boundary. The
        covariances of linear models without random effects are multiplied by n / (n - p).
    beta_covariance : ndarray, (p, p)
        What standard errors come from. For linear models given theta and phi (generalized least squares), else jointly.
    loglik : float
        With every constant; restricted where `method` is "reml". Infinite where the fixed part reproduces the response:
        then beta is that of least squares, theta and sigma are zero, and there are no standard errors (NaN).
    modes, mode_cov : tuple of ndarray, (n_levels, q) and (n_levels, q, q)
        Per grouping factor: conditional modes of its random effects and their conditional covariances. The terms of a
        factor stand side by side; `term_columns` tells which columns are whose.
    projection : tuple of ndarray, (n_levels, q, p)
        Per grouping factor: Z'V^-1 X, level by level, where V is the covariance of the response. Linear models only.
    verdict : Verdict
        Converged or not, in words.
    certificate, optimization
    quadrature_table : tuple of (int, float, float)
        Points, log-likelihood and largest shift to be expected, for n_quadrature="auto".
    components : tuple of Component
        Parts of the model beside the mean: what makes those parameters of the family that `phi` does not hold.
    """

    design: Design
    family: Family
    model_core: Any = field(repr=False, compare=False)
    method: str
    n_quadrature: int
    fixed_names: tuple[str, ...]
    redundant: tuple[str, ...]
    psi: NDArray[np.float64]
    parameter_names: tuple[str, ...]
    beta: NDArray[np.float64]
    theta_values: tuple[NDArray[np.float64], ...]
    theta: tuple[NDArray[np.float64], ...]
    random_cov: tuple[NDArray[np.float64], ...]
    phi: dict[str, float]
    gradient: NDArray[np.float64]
    hessian: NDArray[np.float64]
    covariance: NDArray[np.float64]
    beta_covariance: NDArray[np.float64]
    loglik: float
    modes: tuple[NDArray[np.float64], ...]
    mode_cov: tuple[NDArray[np.float64], ...]
    projection: tuple[NDArray[np.float64], ...]
    verdict: Verdict
    certificate: Certificate
    optimization: Optimization
    quadrature_table: tuple[tuple[int, float, float], ...] = ()
    components: tuple[Component, ...] = ()

    @property
    def converged(self) -> bool:
        """Whether the optimum is certified."""
        return self.verdict.converged

    @property
    def status(self) -> str:
        """How the fit ended, in a word or two."""
        return self.verdict.status

    @property
    def message(self) -> str:
        """Why it did not converge; empty when it did."""
        return self.verdict.message

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the fit has to say about itself, one sentence each."""
        return self.verdict.warnings

    @property
    def singular(self) -> bool:
        """Whether a variance is exactly zero or a correlation exactly plus or minus one."""
        return bool(self.certificate.boundary)

    @property
    def n_rows(self) -> int:
        """Rows used."""
        return self.design.n_rows

    @property
    def n_observations(self) -> int:
        """Responses: rows used, or the choices that they are the alternatives of."""
        return n_responses(self.design)

    @property
    def n_groups(self) -> dict[str, int]:
        """Levels of each grouping factor."""
        return {factor.name: len(factor.levels) for factor in self.design.grouping_factors}

    @property
    def df_model(self) -> int:
        """Parameters estimated; with REML, too, the fixed effects are among them."""
        return len(self.psi)

    @property
    def df_resid(self) -> int:
        """Rows minus parameters; of linear models without random effects rows minus coefficients, as lm() has it."""
        return self.n_observations - (len(self.beta) if self.is_least_squares else self.df_model)

    @property
    def is_least_squares(self) -> bool:
        """Whether this is a linear model without random effects."""
        return self.is_linear and not self.design.random_terms

    @property
    def is_linear(self) -> bool:
        """Whether this is a linear (mixed) model: Gaussian with the identity link."""
        return is_linear(self.design, self.family)

    @property
    def kind(self) -> str:
        """Family and link in words, with what makes a Gaussian model no linear one, for messages."""
        words = f"{self.family.name}({self.family.link})"
        if self.components:
            words += f" with a model of its {' and its '.join(own.name for own in self.components)}"
        elif self.family.given:
            words += " with " + ", ".join(f"a given {name}" for name in self.family.given)
        return words

    @property
    def sigma(self) -> float | None:
        """The residual standard deviation, of families that have one; of quasi-likelihood the root of its scale, where
        that is estimated.
        """
        if not self.has_likelihood:
            return self.phi.get("scale")
        return self.phi.get(self.family.parameters[0].name) if self.family.has_residual else None

    @property
    def has_likelihood(self) -> bool:
        """Whether a likelihood was maximized, and not quasi-likelihood."""
        return self.method in ("ml", "reml")

    def need_rows(self, what: str, instead: str = "") -> None:
        """Refuses what needs a response with a mean in each row.

        Raises
        ------
        DataError
            Responses are choices.
        """
        if self.design.choices is not None:
            raise DataError(
                f"{what}: a choice among categories or alternatives is no number with a mean; "
                + (instead or "predict(kind='probabilities') has the probabilities of all of them")
            )

    def need_likelihood(self, what: str) -> None:
        """Refuses what needs a likelihood.

        Raises
        ------
        DataError
            The fit is by quasi-likelihood.
        """
        if not self.has_likelihood:
            raise DataError(
                f"{what}: a fit by method={self.method!r} has no likelihood (that of its last working model is of "
                "other data than the response); use method='ml'"
            )

    def need_one_family(self, what: str, instead: str = "") -> None:
        """Refuses what has no meaning, or none yet, where rows are of several kinds with a family each.

        Raises
        ------
        DataError
            They are.
        """
        if self.family.kinds:
            kinds = ", ".join(map(repr, self.family.kinds))
            raise DataError(
                f"{what}: rows are of several kinds ({kinds}), each with a family and a link of its own"
                f"{f'; {instead}' if instead else ''}"
            )

    @property
    def term_columns(self) -> tuple[NDArray[np.int64], ...]:
        """Per random-effects term, its columns in the `modes` of its grouping factor."""
        used = [0] * len(self.design.grouping_factors)
        columns = []
        for term in self.design.random_terms:
            first, q = used[term.grouping_factor], len(term.names)
            columns.append(np.arange(first, first + q))
            used[term.grouping_factor] += q
        return tuple(columns)

    @cached_property
    def eta(self) -> NDArray[np.float64]:
        """Linear predictor of the rows used, given the conditional modes, offset included, (n,)."""
        return self.linear_predictor(self.modes)

    def linear_predictor(self, modes: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
        """Linear predictor of the rows used at other random effects, one array per grouping factor, (n,); of categories
        without an order (n, K), zero for the base.
        """
        threads = self.optimization.threads
        core = self.model_core if self.model_core is not None else build_core(self.design, self.family, threads)
        eta = core.linear_predictor(self.beta, [np.ascontiguousarray(own) for own in modes], threads)
        choices = self.design.choices
        return eta.reshape(self.n_rows, -1) if choices is not None and choices.by_category else eta

    @cached_property
    def mu(self) -> NDArray[np.float64]:
        """Mean of the response of the rows used, given the conditional modes, (n,): zeros of a zero part are in it. Of
        ordered categories it is that of their numbers 1, 2, ...
        """
        self.need_rows("means of the rows")
        if self.design.thresholds is not None:
            return self.category_probabilities @ self.scores
        return self.family.response_mean(self.eta, self.row_phi, self.design.response.size)

    @cached_property
    def category_probabilities(self) -> NDArray[np.float64]:
        """Probabilities of ordered categories in the rows used, given the conditional modes, (n, C)."""
        return self.category_probabilities_at(self.eta)

    def category_probabilities_at(self, eta: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same at other linear predictors of the rows used."""
        return self.family.category_probabilities(eta, self.thresholds, self.log_scale)

    @cached_property
    def thresholds(self) -> NDArray[np.float64]:
        """Thresholds between ordered categories in the rows used, (n, C - 1)."""
        return self.thresholds_of(self.design.parts[0], self.n_rows)

    @cached_property
    def log_scale(self) -> NDArray[np.float64] | None:
        """Logarithm of what distances of eta from thresholds are divided by, (n,); None where nothing divides them."""
        return self.log_scale_of(self.design.parts[-1], self.n_rows) if self.family.scaled else None

    def log_scale_of(self, part: DesignPart, n_rows: int) -> NDArray[np.float64]:
        """The same of rows with these columns of the part "scale"."""
        return self.linear_predictor_of(self.component(part.name), part.fixed, part.offset, n_rows)

    @property
    def scores(self) -> NDArray[np.float64]:
        """Numbers of the ordered categories, (C,)."""
        assert self.design.thresholds is not None
        return np.arange(1.0, len(self.design.thresholds.categories) + 1.0)

    def thresholds_of(self, part: DesignPart, n_rows: int) -> NDArray[np.float64]:
        """Thresholds of rows with these columns of the part "thresholds", (n_rows, C - 1)."""
        assert self.design.thresholds is not None
        component = self.component(part.name)
        columns = [column for column in part.fixed if column.name not in component.redundant]
        at = slice(component.first, component.first + len(component.names))
        return self.design.thresholds.at(columns, self.psi[at], n_rows)

    def component(self, name: str) -> Component:
        """The part of the model of this name.

        Raises
        ------
        DataError
            There is none with a formula of its own.
        """
        for component in self.components:
            if component.name == name:
                return component
        known = ", ".join(repr(own.name) for own in self.components) or "none"
        raise DataError(f"the model has no part {name!r} with a formula of its own; parts: {known}")

    def linear_predictor_of(
        self, component: Component, columns: Iterable[FixedColumn], offset: NDArray[np.float64] | None, n_rows: int
    ) -> NDArray[np.float64]:
        """Phi of the parameter that a part makes, for rows with these columns of it, (n_rows,)."""
        beta = dict(zip(component.names, self.psi[component.first :], strict=False))
        phi = np.zeros(n_rows) if offset is None else np.array(offset, dtype=np.float64)
        for column in columns:
            if column.name in beta:
                phi += beta[column.name] if column.values is None else beta[column.name] * column.values
        return phi

    @cached_property
    def phi_places(self) -> dict[str, int]:
        """Where the family's parameters that are one number, and were estimated, stand in psi."""
        sizes = {own.parameter: len(own.names) for own in self.components}
        places, at = {}, len(self.beta) + sum(map(len, self.theta_values))
        for own in self.family.parameters:
            if own.name in self.family.given or (self.design.thresholds is not None and own.part == "thresholds"):
                at += sizes.get(own.name, 0)
                continue
            if own.name not in sizes:
                places[own.name] = at
            at += sizes.get(own.name, 1)
        return places

    @cached_property
    def row_phi(self) -> NDArray[np.float64]:
        """The family's parameters as the fit moves them: (n_phi,), or (n, n_phi) where they differ from row to row. Of
        ordered categories they are the thresholds above and below the row's own (and the scale), or all of them.
        """
        return self.phi_at(self.modes)

    def phi_at(self, modes: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
        """The same at other random effects, one array per grouping factor."""
        if self.family.all_thresholds:
            return self.thresholds
        if self.design.thresholds is not None:
            none = np.full((self.n_rows, 1), np.inf)
            ends, rows = np.hstack([-none, self.thresholds, none]), np.arange(self.n_rows)
            above = self.design.response.values.astype(np.int64)
            both = [ends[rows, above], ends[rows, above - 1]]
            return np.column_stack(both if self.log_scale is None else [*both, self.log_scale])
        phi = self.phi_of({part.parameter: part for part in self.design.parts}, self.n_rows)
        for at, own in enumerate(self.family.parameters):
            if any(term.parameter == own.name for term in self.design.random_terms):
                phi[:, at] += self.random_part(own.name, modes)
        return phi

    def phi_of(
        self, parts: Mapping[str, DesignPart], n_rows: int, kinds: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """The same for rows whose parts are coded, by parameter of the family; `kinds` are those of new rows."""
        common = [own.phi(self.phi[own.name]) if own.name in self.phi else 0.0 for own in self.family.parameters]
        if self.family.kinds:
            kinds = self.design.response.kinds if kinds is None else kinds
            assert kinds is not None
            return np.column_stack([kinds, np.tile(common[1:], (n_rows, 1))])
        if not self.components:
            return np.array(common)
        rows = np.tile(common, (n_rows, 1))
        for component in self.components:
            at = [own.name for own in self.family.parameters].index(component.parameter)
            part = parts[component.parameter]
            rows[:, at] = self.linear_predictor_of(component, part.fixed, part.offset, n_rows)
        return rows

    def random_part(self, parameter: str, modes: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
        """Z u of the rows used for a parameter of the family, at random effects of all grouping factors, (n,)."""
        total = np.zeros(self.n_rows)
        for term, at in zip(self.design.random_terms, self.term_columns, strict=True):
            if term.parameter != parameter:
                continue
            codes = self.design.grouping_factors[term.grouping_factor].codes
            for column, values in zip(at, term.columns, strict=True):
                effect = modes[term.grouping_factor][codes, column]
                total += effect if values is None else effect * values
        return total

    def __getstate__(self) -> dict[str, Any]:
        # The compiled model is built again from the design when it is needed.
        return {**self.__dict__, "model_core": None}
