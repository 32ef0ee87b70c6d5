"""The one call into the core, and its record with names: everything after a fit reads a `Fit` and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from multilevel import _core

from ..errors import DataError
from .certificate import BoundaryScore, Certificate, Optimization, QuadratureCheck
from .covariance import boundary_place, factor, parameter_names
from .exact_fit import exact_parameters
from .quadrature import check_points, n_nodes
from .verdict import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from ..design.design import Design
    from ..family.registry import Family

SETTLED_SHIFT = 1e-3  # standard errors: n_quadrature="auto" stops when no estimate would move by more
AUTO_POINTS = (1, 3, 5, 7, 9, 13, 17, 25, 35, 51)


@dataclass(frozen=True, eq=False)
class Fit:
    """A fit, frozen, on the user's scale. With p fixed effects, q random effects, P parameters and n rows.

    Attributes
    ----------
    design, family
        What was fitted.
    model_core : multilevel._core.Model or None
        The sorted data; None after unpickling.
    method : {"ml", "reml"}
        Maximum likelihood, or restricted maximum likelihood (Gaussian models with the identity link).
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
        The family's own parameters, on the scale of their name. Of linear models without random effects `sigma` is the
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
        return self.n_rows - (len(self.beta) if self.is_least_squares else self.df_model)

    @property
    def is_least_squares(self) -> bool:
        """Whether this is a linear model without random effects."""
        return self.is_linear and not self.design.random_terms

    @property
    def is_linear(self) -> bool:
        """Whether this is a linear (mixed) model: Gaussian with the identity link."""
        return self.family.is_linear

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
        """Linear predictor of the rows used at other random effects, one array per grouping factor, (n,)."""
        threads = self.optimization.threads
        core = self.model_core if self.model_core is not None else build_core(self.design, self.family, threads)
        return core.linear_predictor(self.beta, [np.ascontiguousarray(own) for own in modes], threads)

    @cached_property
    def mu(self) -> NDArray[np.float64]:
        """Mean of the rows used, given the conditional modes, (n,)."""
        return self.family.mean(self.eta)

    def __getstate__(self) -> dict[str, Any]:
        # The compiled model is built again from the design when it is needed.
        return {**self.__dict__, "model_core": None}


def build_core(design: Design, family: Family, threads: int = 0) -> _core.Model:
    """The core's model: rows sorted by cluster, columns scaled, redundant columns found."""
    return _core.Model(
        family.name,
        family.link,
        design.n_rows,
        design.response.size,
        design.weights,
        design.offset,
        [column.values for column in design.fixed],
        [factor.codes for factor in design.grouping_factors],
        [len(factor.levels) for factor in design.grouping_factors],
        [(term.grouping_factor, list(term.columns), term.structure) for term in design.random_terms],
        threads,
    )


def numbers(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """An argument as an array of finite numbers."""
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must hold numbers: {error}") from None
    if not np.isfinite(array).all():
        raise DataError(f"{name} is not finite at position {int(np.argmin(np.isfinite(array.ravel())))}")
    return array


def run(
    design: Design,
    family: Family,
    core: _core.Model,
    *,
    method: str = "ml",
    n_quadrature: int | str = 1,
    start: ArrayLike | None = None,
    threads: int = 0,
    tol: float = 1e-9,
    max_iter: int = 100,
    report: Callable[[int, float, float], None] | None = None,
) -> Fit:
    """Fits the response of `design` and gives the record its names."""
    psi = np.zeros(0) if start is None else numbers(start, "start")
    n_parameters = core.n_beta + core.n_theta + core.n_phi
    if start is not None and psi.shape != (n_parameters,):
        raise DataError(
            f"start has shape {psi.shape}; the model has {n_parameters} parameters (see fit.parameter_names)"
        )
    check_points(n_quadrature, design, family.is_linear)

    restarts = start is None  # who gives a start wants the maximum near it

    def fitted(points: int) -> _core.FitRecord:
        try:
            return _core.fit(
                core,
                design.response.values,
                method,
                1 if family.is_linear else points,  # one point is exact there
                psi,
                restarts,
                threads=threads,
                tol=tol,
                max_iter=max_iter,
                report=report,
            )
        except _core.TooLarge as error:
            crossed = ", ".join(repr(factor.name) for factor in design.grouping_factors)
            raise DataError(
                f"{error}. Keep fewer of the grouping factors ({crossed}), or those with fewer levels, or fit a "
                "subset of the levels"
            ) from None

    table: list[tuple[int, float, float]] = []
    if isinstance(n_quadrature, str):
        for points in AUTO_POINTS:
            if points > 1 and n_nodes(points, design) > _core.most_nodes:
                break
            record = fitted(points)
            used = points
            shift = _largest_shift(record)
            table.append((points, record.loglik, shift))
            if record.ending != "converged" or shift < SETTLED_SHIFT:
                break
            psi = record.psi
    else:
        used = int(n_quadrature)
        record = fitted(used)
    return _named(design, family, core, record, method, used, threads, tuple(table))


def _unsettled(table: tuple[tuple[int, float, float], ...]) -> str:
    if not table or table[-1][2] < SETTLED_SHIFT:
        return ""
    points, _, shift = table[-1]
    return (
        f"n_quadrature='auto' ended at {points} points, where more would still move an estimate by about {shift:.2g} "
        f"standard errors (limit {SETTLED_SHIFT:g}): the next step would pass the limit of {_core.most_nodes:,} nodes "
        "per group, or the number of points that it tries"
    )


def _folded(core: _core.Model, family: Family, record: _core.FitRecord, threads: int) -> tuple[int, int]:
    """Rows whose linear predictor is below and above zero, where the link's inverse is even; else (0, 0)."""
    if family.link != "sqrt" or record.ending != "converged":
        return 0, 0
    modes = [np.ascontiguousarray(own) for own in record.modes]
    eta = core.linear_predictor(np.ascontiguousarray(record.psi[: core.n_beta]), modes, threads)
    return int(np.sum(eta < 0)), int(np.sum(eta > 0))


def _largest_random_sd(design: Design, random_cov: tuple[NDArray[np.float64], ...]) -> float:
    """Over the random effects: standard deviation times the root mean square of the column that it belongs to."""
    largest = 0.0
    for term, covariance in zip(design.random_terms, random_cov, strict=True):
        for column, variance in zip(term.columns, np.diag(covariance), strict=True):
            size = 1.0 if column is None else float(np.sqrt(np.mean(np.square(column, dtype=float))))
            largest = max(largest, size * float(np.sqrt(variance)))
    return largest


def _largest_shift(record: _core.FitRecord) -> float:
    _, exact, _, shift = record.quadrature
    return 0.0 if exact else QuadratureCheck(0, 0.0, shift).largest_shift


def _named(
    design: Design,
    family: Family,
    core: _core.Model,
    record: _core.FitRecord,
    method: str,
    points: int,
    threads: int,
    table: tuple[tuple[int, float, float], ...],
) -> Fit:
    redundant = set(core.redundant)
    kept = tuple(column.name for k, column in enumerate(design.fixed) if k not in redundant)
    dropped = tuple(column.name for k, column in enumerate(design.fixed) if k in redundant)
    p, psi = core.n_beta, record.psi
    reproduced = record.ending == "exact_fit" and not np.isfinite(psi).all()  # by the fixed part alone
    if reproduced:
        psi = exact_parameters(design, family, kept, len(psi))
    theta_names, thetas, factors, at = [], [], [], p
    for term in design.random_terms:
        group = design.grouping_factors[term.grouping_factor].name
        own = parameter_names(term.structure, term.names)
        theta_names += [f"{group}: {name}" for name in own]
        thetas.append(psi[at : at + len(own)])
        factors.append(factor(term.structure, thetas[-1], len(term.names)))
        at += len(own)
    random_cov = tuple(half @ half.T for half in factors)
    phi = {name.removeprefix("log_"): float(np.exp(psi[at + r])) for r, name in enumerate(family.parameters)}
    unbiased = 1.0  # for variances of linear models without random effects, where the maximum has RSS / n
    if family.is_linear and not design.random_terms and design.n_rows > p:
        unbiased = design.n_rows / (design.n_rows - p)
        phi = {name: value * float(np.sqrt(unbiased)) for name, value in phi.items()}
    names = (*kept, *theta_names, *family.parameters)

    n_points, exact, change, shift = record.quadrature
    certificate = Certificate(
        predicted_gain=record.predicted_gain,
        eigenvalues=record.eigenvalues,
        gradient=record.gradient,
        boundary=tuple(
            BoundaryScore(design.grouping_factors[term.grouping_factor].name, name, score, kind)
            for t, k, score in record.boundary
            for term in [design.random_terms[t]]
            for name, kind in [boundary_place(term.structure, term.names, random_cov[t], k)]
        ),
        quadrature=None if exact or n_points == 0 else QuadratureCheck(n_points, change, shift),
    )
    largest_sd = _largest_random_sd(design, random_cov) if family.name == "binomial" else 0.0
    folded = _folded(core, family, record, threads)
    verdict = judge(design, family, record, certificate, names, dropped, _unsettled(table), largest_sd, folded)
    return Fit(
        design=design,
        family=family,
        model_core=core,
        method=method,
        n_quadrature=points,
        fixed_names=kept,
        redundant=dropped,
        psi=psi,
        parameter_names=names,
        beta=psi[:p],
        theta_values=tuple(thetas),
        theta=tuple(factors),
        random_cov=random_cov,
        phi=phi,
        gradient=record.gradient,
        hessian=record.hessian,
        covariance=record.covariance * unbiased,
        beta_covariance=record.beta_covariance * unbiased,
        loglik=np.inf if reproduced else np.nan if verdict.unbounded else record.loglik,
        modes=tuple(np.zeros_like(own) if reproduced else own for own in record.modes),
        mode_cov=tuple(np.zeros_like(own) if reproduced else own for own in record.mode_covariance),
        projection=tuple(record.projection),
        verdict=verdict,
        certificate=certificate,
        optimization=Optimization(
            n_iterations=max(0, len(record.trace) - 1),
            n_evaluations=record.n_evaluations,
            n_start_evaluations=record.n_start_evaluations,
            n_other_evaluations=record.n_other_evaluations,
            seconds=record.seconds,
            threads=threads,
            trace=tuple(record.trace),
            other_starts=tuple(record.other_starts),
        ),
        quadrature_table=table,
    )
