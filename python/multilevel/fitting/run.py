"""The one call into the core, with one number of quadrature points or as many as it takes; the record is named here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multilevel import _core

from ..arguments import finite_numbers
from ..errors import DataError
from .certificate import certificate, optimization, quadrature_check
from .core_model import core_response
from .exact_fit import exact_parameters
from .folded import folded
from .parameters import is_exact, parts, variance_share
from .quadrature import check_points, dimensions, has_loadings, n_nodes
from .record import Fit
from .resolved import is_close, resolved
from .verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from ..design.design import Design
    from ..family.registry import Family

SETTLED_SHIFT = 1e-3  # standard errors: n_quadrature="auto" stops when no estimate would move by more
AUTO_POINTS = (1, 3, 5, 7, 9, 13, 17, 25, 35, 51)
MORE_POINTS = (101, 201, 401, 801)  # for one effect, which may be enormous


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
    family.check_rows(design.response.values, design.response.size)
    if family.in_python:
        threads = 1  # others would wait for the interpreter
    psi = np.zeros(0) if start is None else finite_numbers(start, "start")
    n_parameters = core.n_beta + core.n_theta + core.n_phi
    if start is not None and psi.shape != (n_parameters,):
        raise DataError(
            f"start has shape {psi.shape}; the model has {n_parameters} parameters (see fit.parameter_names)"
        )
    exact = is_exact(design, family)
    check_points(n_quadrature, design, exact)

    restarts = start is None  # who gives a start wants the maximum near it

    def fitted(points: int) -> _core.FitRecord:
        try:
            return _core.fit(
                core,
                core_response(design),
                method,
                1 if exact else points,  # one point is exact there
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

    def named_so_far() -> Fit:
        return named(design, family, core, record, method, used, threads, tuple(table))

    if isinstance(n_quadrature, str):
        ladder = AUTO_POINTS[3:] if has_loadings(design) else AUTO_POINTS
        for points in ladder + MORE_POINTS if dimensions(design) == [1] else ladder:
            if points > 1 and n_nodes(points, design) > _core.most_nodes:
                break
            record = fitted(points)
            used = points
            shift = _largest_shift(record)
            table.append((points, record.loglik, shift))
            if record.ending != "converged" or (shift < SETTLED_SHIFT and is_close(named_so_far())):
                break
            psi = record.psi
    else:
        used = int(n_quadrature)
        record = fitted(used)
    return resolved(named_so_far())


def _unsettled(table: tuple[tuple[int, float, float], ...]) -> str:
    if not table or table[-1][2] < SETTLED_SHIFT:
        return ""
    points, _, shift = table[-1]
    return (
        f"n_quadrature='auto' ended at {points} points, where more would still move an estimate by about {shift:.2g} "
        f"standard errors (limit {SETTLED_SHIFT:g}): the next step would pass the limit of {_core.most_nodes:,} nodes "
        "per group, or the number of points that it tries"
    )


def _largest_shift(record: _core.FitRecord) -> float:
    check = quadrature_check(record)
    return 0.0 if check is None else check.largest_shift


def named(
    design: Design,
    family: Family,
    core: _core.Model,
    record: _core.FitRecord,
    method: str,
    points: int,
    threads: int,
    table: tuple[tuple[int, float, float], ...] = (),
) -> Fit:
    """The record of the core with its names and its verdict; `table` is what a search for the points saw."""
    redundant = set(core.redundant)
    kept = tuple(column.name for k, column in enumerate(design.fixed) if k not in redundant)
    dropped = tuple(column.name for k, column in enumerate(design.fixed) if k in redundant)
    psi = record.psi
    reproduced = record.ending == "exact_fit" and not np.isfinite(psi).all()  # by the fixed part alone
    if reproduced:
        psi = exact_parameters(design, family, kept, len(psi))
    beside = {own.name: core.phi_redundant(r) for r, own in enumerate(family.parameters)}
    cut = parts(design, family, kept, psi, beside)
    measured = certificate(record, design, cut.random_cov)
    both_sides = folded(core, family, record, threads)
    left_out = dropped + tuple(f"{own.name}: {name}" for own in cut.components for name in own.redundant)
    verdict = judge(design, family, record, measured, cut, left_out, _unsettled(table), both_sides)
    share = variance_share(design, family, len(kept))
    return Fit(
        design=design,
        family=family,
        model_core=core,
        method=method,
        n_quadrature=points,
        fixed_names=kept,
        redundant=dropped,
        psi=psi,
        parameter_names=cut.names,
        beta=cut.beta,
        theta_values=cut.theta_values,
        theta=cut.theta,
        random_cov=cut.random_cov,
        phi=cut.phi,
        gradient=record.gradient,
        hessian=record.hessian,
        covariance=record.covariance * share,
        beta_covariance=record.beta_covariance * share,
        loglik=np.inf if reproduced else np.nan if verdict.unbounded else record.loglik,
        modes=tuple(np.zeros_like(own) if reproduced else own for own in record.modes),
        mode_cov=tuple(np.zeros_like(own) if reproduced else own for own in record.mode_covariance),
        projection=tuple(record.projection),
        verdict=verdict,
        certificate=measured,
        optimization=optimization(record, threads),
        quadrature_table=table,
        components=cut.components,
    )
