"""Fits of a model to what was drawn: responses of the same rows, or other rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from multilevel import _core

from ..errors import DataError
from ..fitting.core_model import build_core
from ..fitting.many import ManyFits, fit_many
from ..fitting.natural import Natural
from ..fitting.progress import Count

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..design.design import Design
    from ..fitting.record import Fit

    Array = NDArray[np.float64]

SHOWN = 20  # lines of progress


@dataclass(frozen=True, eq=False)
class Refits:
    """What is kept of m fits: psi (m, P), estimates (m, K); whether each converged and is singular, and why not."""

    psi: Array
    estimates: Array
    loglik: Array
    converged: NDArray[np.bool_]
    singular: NDArray[np.bool_]
    message: tuple[str, ...]


def natural_of(fit: Fit) -> Natural:
    """Names and scales of what a fit reports."""
    return Natural(fit.design, fit.family, fit.fixed_names, fit.components)


def core_of(fit: Fit) -> _core.Model:
    """The model of a fit, made again where the fit was read from a file."""
    return fit.model_core if fit.model_core is not None else build_core(fit.design, fit.family)


def start_of(fit: Fit) -> Array | None:
    """Where fits to similar responses may begin: not at a boundary, which a search would have to leave again."""
    return fit.psi if fit.converged and not fit.singular and np.isfinite(fit.psi).all() else None


def n_workers(threads: int) -> int:
    """Threads to be used; 0 is all processors."""
    if threads:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def to_responses(
    fit: Fit, draw: Callable[[int, int], Array], n: int, block: int, threads: int, progress: bool | None = None
) -> Refits:
    """Fits the model of `fit` to n replicates; draw(first, last) gives the responses of some of them, (n_rows, m)."""
    response = fit.design.response
    if response.limits is not None:  # what is known of a row differs from replicate to replicate
        drawn = (replace(fit.design, response=response.known(draw(k, k + 1)[:, 0])) for k in range(n))
        return to_designs(fit, drawn, n, n_workers(threads), progress)
    core, start = core_of(fit), start_of(fit)
    report, parts = Count(progress), []
    size = min(block, max(1, -(-n // SHOWN))) if report.wanted else block
    try:
        for first in range(0, n, size):
            last = min(first + size, n)
            parts.append(
                fit_many(
                    fit.design,
                    fit.family,
                    core,
                    draw(first, last),
                    method=fit.method,
                    n_quadrature=fit.n_quadrature,
                    start=start,
                    threads=threads,
                )
            )
            report.advance(last, n)
    finally:
        report.close()
    return _together(parts)


def to_designs(fit: Fit, designs: Iterator[Design], n: int, threads: int, progress: bool | None = None) -> Refits:
    """Fits the model of `fit` to n other designs, each in a thread of its own.

    A design in which a column is redundant that is none in the fit has not the same parameters: it counts as failed.
    """
    natural, start = natural_of(fit), start_of(fit)

    def one(design: Design) -> ManyFits | str:
        try:
            core = build_core(design, fit.family, 1)
            same = core.n_beta + core.n_theta + core.n_phi == len(fit.psi)
            own = fit_many(
                design,
                fit.family,
                core,
                design.response.values[:, None],
                method=fit.method,
                n_quadrature=fit.n_quadrature,
                start=start if same else None,
                threads=1,
            )
        except (DataError, ValueError) as error:
            return str(error)
        if own.natural.labels != natural.labels:
            gone = ", ".join(repr(name) for name in natural.labels if name not in own.natural.labels)
            return f"the rows drawn do not determine {gone}"
        return own

    report, found = Count(progress), []
    pool = ThreadPoolExecutor(threads)
    try:
        waiting = [pool.submit(one, design) for design in designs]
        for done, future in enumerate(waiting, 1):
            found.append(future.result())
            report.advance(done, n)
    finally:
        pool.shutdown(cancel_futures=True)
        report.close()
    n_psi = len(fit.psi)
    return _together([own if isinstance(own, ManyFits) else _failed(own, natural, n_psi) for own in found])


def _failed(message: str, natural: Natural, n_psi: int) -> Refits:
    nothing = np.zeros(1, dtype=bool)
    return Refits(
        np.full((1, n_psi), np.nan),
        np.full((1, len(natural.quantities)), np.nan),
        np.array([np.nan]),
        nothing,
        nothing,
        (message,),
    )


def _together(parts: list[ManyFits] | list[Refits] | list[ManyFits | Refits]) -> Refits:
    return Refits(
        np.concatenate([own.psi for own in parts]),
        np.concatenate([own.estimates for own in parts]),
        np.concatenate([own.loglik for own in parts]),
        np.concatenate([own.converged for own in parts]),
        np.concatenate([own.singular for own in parts]),
        tuple(message for own in parts for message in own.message),
    )
