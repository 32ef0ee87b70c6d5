"""Penalized and marginal quasi-likelihood: linear mixed models of a working response, until they settle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..design.response import Response
from ..errors import ConvergenceWarning, DataError, SingularFitWarning
from ..family.registry import Family
from .core_model import build_core
from .run import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..design.design import Design
    from .record import Fit
    from .verdict import Verdict


class Kind(NamedTuple):
    """What a method by quasi-likelihood is."""

    penalized: bool  # around the conditional modes, or (marginal) around the fixed part
    restricted: bool
    scaled: bool  # whether the scale is estimated; else it is one


KINDS = {
    "pql": Kind(True, False, True),
    "pql-reml": Kind(True, True, True),
    "mql": Kind(False, False, True),
    "mql-reml": Kind(False, True, True),
    # with the scale at one these are called as in SAS: maximum or restricted, subject-specific or marginal
    "mspl": Kind(True, False, False),
    "rspl": Kind(True, True, False),
    "mmpl": Kind(False, False, False),
    "rmpl": Kind(False, True, False),
}
QUASI = tuple(KINDS)
SETTLED = 1e-11  # of the linear predictor's spread: the largest change of a row's, in the last step
MOST_STEPS = 200
LINEAR = 1e-4  # relative: how far a score may be from (y - mu) / V d mu / d eta, whose slope is a difference
KEPT = (SingularFitWarning,)  # what the last working model has to say of the fit


def quasi(
    design: Design,
    family: Family,
    *,
    method: str,
    threads: int = 0,
    max_iter: int = 100,
    report: Callable[[int, float, float], None] | None = None,
) -> Fit:
    """First-order quasi-likelihood by one of `QUASI`.

    With eta the linear predictor at the last estimates (for "mql" without the random effects), the working response
    is eta + (y - mu) d eta / d mu, of precision w (d mu / d eta)^2 / V(mu); a linear mixed model of it, by ML or REML,
    makes the next ones. Its residual variance is the scale, or one.
    """
    _check(design, family)
    kind = KINDS[method]
    gaussian = Family("gaussian", given=None if kind.scaled else {"sigma": 1.0})
    core = build_core(design, family, threads)
    eta = _start(design, family, threads)
    _check_score(design, family, eta)
    psi, settled, change = None, False, np.inf
    for _ in range(MOST_STEPS):
        working = _working(design, family, eta)
        fit = run(
            working,
            gaussian,
            build_core(working, gaussian, threads),
            method="reml" if kind.restricted else "ml",
            start=psi,
            threads=threads,
            tol=1e-15,
            max_iter=max_iter,
            report=report,
        )
        if not np.isfinite(fit.psi).all() or not np.isfinite(fit.loglik):
            raise DataError(
                f"method={method!r}: the working linear model has no residual variance left, so there is no scale to "
                "estimate; use method='ml'"
            )
        modes = [np.ascontiguousarray(own if kind.penalized else np.zeros_like(own)) for own in fit.modes]
        before, eta = eta, core.linear_predictor(np.ascontiguousarray(fit.beta), modes, threads)
        change = float(np.abs(eta - before).max())
        settled = change <= SETTLED * max(1.0, float(np.abs(eta).max()))
        psi = fit.psi
        if settled:
            break
    names, phi = fit.parameter_names, dict(family.given)
    if kind.scaled:
        names, phi = (*names[:-1], "log_scale"), phi | {"scale": fit.phi["sigma"]}
    return replace(
        fit,
        design=design,
        family=family,
        model_core=core,
        method=method,
        parameter_names=names,
        phi=phi,
        loglik=np.nan,
        verdict=_verdict(fit.verdict, settled, change, method),
    )


def _check(design: Design, family: Family) -> None:
    """Refuses what has no variance function, or needs no approximation."""
    why = ""
    if not design.random_terms:
        why = "the formula has no random effects"
    elif family.is_linear:
        why = "a linear mixed model has its exact likelihood"
    elif family.kinds:
        why = "rows are of several kinds, each with a family of its own"
    elif design.parts or any(term.parameter for term in design.random_terms):
        why = "it has no other parts beside the mean, and the model has some"
    elif family.zero or not family.mean_is_response or design.response.other_end is not None:
        why = "it knows of a response its mean and variance alone, not zero parts, truncation or censoring"
    if why:
        raise DataError(f"quasi-likelihood is not for this model: {why}. Use method='ml'")


def _start(design: Design, family: Family, threads: int) -> NDArray[np.float64]:
    """The linear predictor of the model without its random effects."""
    plain = replace(design, random_terms=(), grouping_factors=())
    return run(plain, family, build_core(plain, family, threads), threads=threads).eta


def _score(design: Design, family: Family, eta: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    phi = [own.phi(family.given[own.name]) if own.name in family.given else 0.0 for own in family.parameters]
    return family.score(eta, design.response.values, design.response.size, design.weights, np.array(phi))


def _check_score(design: Design, family: Family, eta: NDArray[np.float64]) -> None:
    """Refuses families whose score is no multiple of y - mu that their parameters leave alone."""
    size, y = design.response.size, design.response.values
    step = 1e-5 * np.maximum(1.0, np.abs(eta))
    slope = (family.mean(eta + step) - family.mean(eta - step)) / (2.0 * step)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = ((y if size is None else y / size) - family.mean(eta)) / slope
        score, information = _score(design, family, eta)
        lacks = np.abs(score / information - expected) > LINEAR * (np.abs(expected) + 1.0)
    free = [own.name for own in family.parameters if own.name not in family.given]
    mean = np.array([family.mean(np.zeros(1))[0]])
    at = [family.variance(mean, np.full(len(family.parameters), value))[0] for value in (0.0, 0.7)]
    if lacks.any() or (free and at[0] != at[1]):
        named = f" (its {free[0]} given, it may be: ml.Family({family.name!r}, {free[0]}=...))" if free else ""
        raise DataError(
            f"quasi-likelihood needs a family with a variance function of the mean alone, which {family.name!r} is "
            f"not{named}. Use method='ml'"
        )


def _working(design: Design, family: Family, eta: NDArray[np.float64]) -> Design:
    """The linear model of one step: working response and precision in place of the response and its weights."""
    score, information = _score(design, family, eta)
    with np.errstate(divide="ignore", invalid="ignore"):
        response = eta + score / information
    bad = ~(np.isfinite(response) & (information > 0) & np.isfinite(information))
    if bad.any():
        raise DataError(
            f"quasi-likelihood: {int(bad.sum())} rows have means so close to an end of their range (linear predictor "
            f"{eta[bad][0]:.3g}, say) that they carry no information: the data are separated. Use method='ml', which "
            "says by what"
        )
    return replace(design, response=Response("working response", response), weights=information)


def _verdict(working: Verdict, settled: bool, change: float, method: str) -> Verdict:
    """That of the last working model, which says nothing of the likelihood, and whether the steps settled."""
    remarks = tuple(own for own in working.remarks if own[0] in KEPT or not working.converged)
    if settled or not working.converged:
        return replace(working, remarks=remarks)
    message = (
        f"method={method!r} did not settle: after {MOST_STEPS} working models the linear predictor of a row still "
        f"changes by {change:.2g}"
    )
    return replace(
        working, converged=False, status="not converged", message=message, remarks=((ConvergenceWarning, message),)
    )
