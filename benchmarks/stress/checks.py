"""One fit, judged: the reported numbers against the plain implementation and against the fit itself."""

from __future__ import annotations

import signal
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import multilevel as ml

from . import numeric
from .after import check_after
from .designs import Design, design, with_points
from .invariance import check_invariance
from .outcome import Outcome
from .plain import Plain
from .problem import Array
from .restarts import (
    check_restarts,
    check_scipy,
    lower_label,
    outside,
    plain_correlation,
    reach_of,
    survives,
    theta_places,
    units,
)
from .separated import constant_groups, reproduced, separated
from .structures import roots

SE_LIMIT = 1e-3  # relative error of standard errors
GAP_LIMIT = 1e-5  # log-likelihood
LAST_DIGITS = 3e-16  # of parameters: what this changes is rounding
ROUNDED = 1e-12  # of its size: what differences of the plain one can be by rounding
MOST_WORK = 4e5  # rows times nodes times parameters squared, for Hessians by differences
SCREEN = 2e-4  # of a curvature along any direction, where standard errors allow SE_LIMIT


@dataclass(frozen=True)
class Effort:
    """What is spent on a fit. Shares are of the fits; seconds are of a processor."""

    thorough: float = 0.05  # share with all starts and SciPy's optimizers; share with invariances
    hessians: float = 0.25  # share with every second difference, where those along a basis look right
    after: float = 0.1  # share with one look at what comes after a fit
    starts: int = 2  # searches of the package from elsewhere, on the others
    seconds: float = 3.0  # for the fit itself, and as many for its checks
    threads: int = 1
    alone: bool = False  # without the plain implementation, for tools that watch the core


EVERYTHING = Effort(1.0, 1.0, 1.0, 100, 20.0)


class OutOfTime(BaseException):
    """Not an `Exception`, which somebody could take for an error of the fit."""


def _stop(*_: object) -> None:
    raise OutOfTime


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Ends what takes more of the processor."""
    signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def check_seed(seed: int, effort: Effort | None = None) -> Outcome:
    """Fits the design of a seed and judges it; which of the costly checks it gets follows from the seed."""
    began = time.process_time()
    made = design(seed)
    outcome = Outcome(
        seed,
        made.recipe.kind,
        rows=len(made.frame),
        model=f"{made.recipe.family} {made.recipe.link} {made.recipe.part}".strip(),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            _check(made, outcome, np.random.default_rng([seed, 1]), effort or Effort())
        except (ml.DataError, ml.FormulaError) as error:
            outcome.status = "refused"
            outcome.add("refused", str(error))
        except OutOfTime:
            outcome.add("checks out of time" if outcome.status else "fit out of time", f"seed {seed}")
            outcome.status = outcome.status or "timeout"
        except Exception:
            outcome.status = outcome.status or "crash"
            outcome.add("CRASH", traceback.format_exc(limit=-3))
    for warning in caught:
        if not issubclass(warning.category, ml.FitWarning) and "multilevel" in warning.filename:
            outcome.add("warning", f"{warning.category.__name__}: {warning.message}")
    outcome.checked_seconds = time.process_time() - began
    return outcome


def _check(made: Design, outcome: Outcome, rng: np.random.Generator, effort: Effort) -> None:
    made.threads = effort.threads
    with _limit(effort.seconds):
        model = ml.MixedModel(**made.arguments())
        began = time.process_time()
        results = model.fit(**made.options())
        outcome.seconds = time.process_time() - began
    outcome.status, outcome.singular, outcome.message = results.fit.status, results.singular, results.fit.message
    outcome.evaluations = results.optimization.n_evaluations
    if effort.alone:
        with _limit(effort.seconds):
            check_alone(made, model, results, outcome, rng)
        return
    shares = (effort.thorough, effort.thorough, effort.hessians, effort.after)
    often, otherwise, full, afterwards = rng.random(4) < shares
    with _limit(effort.seconds):
        plain = plain_of(made, results)
        judge(made, model, results, plain, outcome, rng, bool(full))
        check_restarts(made, model, results, plain, outcome, rng, None if often else effort.starts)
        if often and plain.available:
            outcome.done.append("SciPy's optimizers")
            check_scipy(made, model, results, plain, outcome, rng)
        if otherwise:
            outcome.done.append("invariances")
            check_invariance(made, results, plain, outcome, rng)
        if afterwards:
            check_after(made, results, plain, outcome, rng)


def check_alone(made: Design, model: Any, results: Any, outcome: Outcome, rng: np.random.Generator) -> None:
    """The core at work, and judged by itself alone: evaluated again, predicted, drawn."""
    _finite(results, outcome)
    if not np.isfinite(results.fit.psi).all():
        return
    _repeated(made, model, results, outcome)
    outcome.done.append("repeated")
    for use in (results.predict, results.random_effects, lambda: results.simulate(2, seed=int(rng.integers(1000)))):
        try:
            use()
        except (ml.DataError, ml.FormulaError) as error:
            outcome.add("refused after the fit", str(error))


def plain_of(made: Design, results: ml.MixedModelResults) -> Plain:
    """The plain implementation of what was fitted, its modes near those reported."""
    problem = made.problem().columns(results.fit.fixed_names)
    plain = Plain(with_points(problem, results.n_quadrature).in_order())
    known = all(np.isfinite(values).all() for values in (results.fit.psi, *results.fit.modes))
    if problem.terms and not problem.linear and known:
        plain.take_modes(results.fit.psi, list(results.fit.modes))
    return plain


def judge(
    made: Design,
    model: Any,
    results: Any,
    plain: Plain,
    outcome: Outcome,
    rng: np.random.Generator,
    full: bool = False,
) -> None:
    """Everything that is judged at the reported point; `full`: with all second differences."""
    _finite(results, outcome)
    if not np.isfinite(results.fit.psi).all():
        return
    _repeated(made, model, results, outcome)
    if not plain.available or not np.isfinite(results.fit.loglik):
        return
    _maximum(results, plain, outcome)
    if _reported(results, plain, outcome) and results.converged:
        _standard_errors(made, results, plain, outcome, rng, full)


def _finite(results: Any, outcome: Outcome) -> None:
    fit = results.fit
    if not np.isfinite(fit.psi).all() or not np.isfinite(fit.loglik):
        outcome.add("NOT FINITE" if results.converged else "not finite, flagged", f"psi {fit.psi}, llf {fit.loglik}")
    elif results.converged and not np.isfinite(results.bse).all():
        outcome.add("NOT FINITE", f"standard errors {results.bse.to_dict()}")
    elif results.converged and not results.singular and not np.isfinite(np.diag(fit.covariance)).all():
        bad = [n for n, v in zip(fit.parameter_names, np.diag(fit.covariance), strict=True) if not np.isfinite(v)]
        free = [own for own in fit.family.parameters if own.name in fit.phi]
        if bad == [own.internal for own in free if own.is_at_limit(fit.phi[own.name])]:
            return
        outcome.add("NOT FINITE", f"no standard errors of {bad}, and nothing is at its boundary")


def _repeated(made: Design, model: Any, results: Any, outcome: Outcome) -> None:
    """The same value, gradient and standard errors when it is evaluated again at the reported parameters."""
    options = made.options() | {"n_quadrature": results.n_quadrature}
    fit, again = results.fit, model.fit(**options, start=results.fit.psi, max_iter=0).fit
    off = abs(again.loglik - fit.loglik)
    label = "NOT REPEATED" if results.converged else "not repeated, flagged"
    if off > 1e-8 * max(1.0, abs(fit.loglik)):
        outcome.add(label, f"llf {fit.loglik:.9g}, evaluated again {again.loglik:.9g}")
        return
    if not results.converged:
        return
    if not again.converged:
        outcome.add(label, f"certified, evaluated again {again.status}")
    if len(fit.certificate.boundary) != len(again.certificate.boundary):
        outcome.add(label, f"at an edge: {len(fit.certificate.boundary)}, again: {len(again.certificate.boundary)}")
        return
    for mine, other in ((fit.beta_covariance, again.beta_covariance), (fit.covariance, again.covariance)):
        errors, others = (np.sqrt(np.abs(np.diag(c))) for c in (mine, other))
        with np.errstate(all="ignore"):
            off = np.abs(others / errors - 1)
        off[(errors == others) | (np.isnan(errors) & np.isnan(others))] = 0.0
        if not np.all(off < SE_LIMIT):
            if _rounded(model, options, results, off):
                continue
            outcome.add(label, f"standard errors {errors}, evaluated again off by {np.nanmax(off):.2g}")
            return
    free = np.isfinite(errors)
    change = (again.gradient - fit.gradient)[free]
    off = np.sqrt(max(0.0, change @ fit.covariance[np.ix_(free, free)] @ change))
    if off > 1e-3:
        outcome.add(label, f"gradient, in standard errors, off by {off:.2g}")


def _rounded(model: Any, options: dict[str, Any], results: Any, off: Array) -> bool:
    """Whether standard errors move as much when parameters are changed by a rounding error."""
    fit, moved = results.fit, 0 * off
    kind = "beta_covariance" if len(off) == len(fit.beta) else "covariance"
    errors = np.sqrt(np.abs(np.diag(getattr(fit, kind))))
    for sign in (-1, 1):
        near = model.fit(**options, start=fit.psi * (1 + sign * 3e-16 * (1 + np.arange(len(fit.psi)) % 3)), max_iter=0)
        with np.errstate(all="ignore"):
            change = np.abs(np.sqrt(np.abs(np.diag(getattr(near.fit, kind)))) / errors - 1)
        moved = np.maximum(moved, np.where(np.isfinite(change), change, 0.0))
    return bool(np.all((off < SE_LIMIT) | (off < 10 * moved)))


def _reported(results: Any, plain: Plain, outcome: Outcome) -> bool:
    """The reported log-likelihood and covariances belong to the reported parameters."""
    fit = results.fit
    for root, reported in zip(roots(plain.problem, fit.psi), fit.random_cov, strict=True):
        if not np.allclose(root @ root.T, reported, rtol=1e-8, atol=1e-10 * max(1e-300, np.abs(reported).max())):
            outcome.add("LLF WRONG", f"covariance {reported.tolist()} is not that of the parameters")
            return False
    if results.converged and outside(plain, fit.psi):
        outcome.add("SILENT WRONG", f"the covariance has not its structure: negative deviations in {fit.psi}")
    value = plain.loglik(fit.psi)
    outcome.compared = True
    off = fit.loglik - value
    if results.converged and plain.problem.terms and abs(off) <= 1e-6 * max(1.0, abs(value)):
        _modes(results, plain, outcome)
    if abs(off) <= 1e-6 * max(1.0, abs(value)):
        if abs(off) > 1e-8 * max(1.0, abs(value)):
            outcome.add("llf off by 1e-8 to 1e-6 of its size", f"{fit.loglik:.12g}, plain {value:.12g}")
        return True
    if not np.isfinite(value) and not results.converged:
        outcome.add("plain value not finite", f"{value} for {fit.loglik}")
        return False
    why = ", several modes" if not plain.concave and off < 0 else ""
    text = f"llf {fit.loglik:.9g}, plain value at the reported parameters {value:.9g}{why}"
    outcome.add("LLF WRONG" if results.converged else "llf wrong, flagged", text)
    return False


def _modes(results: Any, plain: Plain, outcome: Outcome) -> None:
    """The reported random effects are the modes."""
    fit = results.fit
    for k, (term, mine) in enumerate(zip(plain.problem.terms, plain.effects(fit.psi), strict=True)):
        reported = fit.modes[term.factor][:, fit.term_columns[k]]
        sd = np.sqrt(np.diag(fit.random_cov[k]))
        if not np.all(np.abs(reported - mine) <= 1e-3 * sd + 1e-6 * np.abs(mine).max(0) + 1e-12):
            off = float((np.abs(reported - mine) / np.maximum(sd, 1e-300)).max())
            label = "another mode of the same value" if not plain.concave else "MODES WRONG"
            outcome.add(label, f"off by {off:.2g} standard deviations in {fit.design.random_terms[k].names}")


def _maximum(results: Any, plain: Plain, outcome: Outcome) -> None:
    """Certified where there is no maximum, or said to have none where there is one."""
    if not results.converged and results.fit.status != "separation":
        return
    runs_off = separated(plain.problem)
    if results.converged and (runs_off or constant_groups(plain.problem)):
        outcome.add("NO MAXIMUM", f"{'columns' if runs_off else 'groups'} separate, psi {results.fit.psi}")
    elif results.fit.status == "separation" and runs_off is False and not reproduced(plain.problem):
        outcome.add("FALSE ALARM", f"said to be separated: {results.fit.message[:200]}")


def _standard_errors(
    made: Design, results: Any, plain: Plain, outcome: Outcome, rng: np.random.Generator, full: bool
) -> None:
    fit, p = results.fit, plain.problem.p
    names = np.array(fit.parameter_names)
    if plain.linear:
        beta, covariance = plain.linear.least_squares(fit.psi)
        errors = np.sqrt(np.diag(covariance))
        if not plain.problem.terms:  # least squares counts n - p
            errors = errors / np.sqrt(1 - p / len(plain.problem.y))
        _compare_errors(names[:p], errors, results.bse.to_numpy(), outcome)
        if not np.all(np.abs(beta - fit.beta) < 1e-3 * errors):
            outcome.add("SILENT WRONG", f"fixed effects are not those of least squares: {fit.beta}, {beta}")
    elif plain.problem.family == "gaussian" and "dispersion" in plain.problem.part:
        pass  # as in linear models theirs are those given the covariance parameters
    elif not np.allclose(results.bse.to_numpy(), np.sqrt(np.diag(fit.covariance))[:p], rtol=1e-6, equal_nan=True):
        outcome.add("SE WRONG", "those of the fixed effects are not those of all parameters together")
    free = np.flatnonzero(np.isfinite(np.diag(fit.covariance)))
    if plain.problem.method == "reml":
        free = free[free >= p]
    nodes = plain.problem.points ** max((t.width for t in plain.problem.terms), default=0)
    work = len(plain.problem.y) * nodes * len(free) * (len(free) if full else 2)
    if not len(free) or rng.random() * work > MOST_WORK:
        return
    reported = np.sqrt(np.diag(fit.covariance))[free]
    covariance = fit.covariance[np.ix_(free, free)]
    if plain.linear and not plain.problem.terms:  # least squares counts n - p
        share = 1 - p / len(plain.problem.y)
        reported, covariance = reported * np.sqrt(share), covariance * share
    outcome.done.append("stationary, curved as reported")
    if not full and _screened(plain, fit.psi, free, covariance, rng):
        outcome.errors_checked = True
        _edges(made, results, plain, outcome)
        return
    outcome.done.append("every second difference")
    curvature, unsure = curvature_at(plain, fit.psi, free, covariance, reported)
    gain, step = curvature.gain()
    if gain > GAP_LIMIT:
        base = plain.loglik(fit.psi)
        if not abs(base - fit.loglik) <= 1e-6 * max(1.0, abs(base)):  # it was right when the modes were near
            outcome.add("plain modes lost", f"{base:.9g} for {fit.loglik:.9g}")
            return
        for scale in (1.0, 0.3, 0.1):
            moved = fit.psi.copy()
            moved[free] += scale * step
            better = plain.loglik(moved) - base
            if _is_more(better, plain, results, base):
                outcome.gap = max(outcome.gap, better)
                across = _between_lower(plain, fit.psi, free, step, base)  # of a likelihood with ripples
                what = "another maximum is near" if across else "not a maximum"
                label = lower_label(results) if across else "SILENT WRONG"
                outcome.add(label, f"{what}: a Newton step gains {better:.3g}")
                return
    _edges(made, results, plain, outcome)
    errors, names = curvature.errors(), names[free]
    if plain.linear:  # given theta, theirs are checked above
        reported, errors, names = reported[free >= p], errors[free >= p], names[free >= p]
    if unsure > 0.3 * SE_LIMIT or not np.isfinite(errors).all():
        outcome.add("se unsure", f"uncertainty {unsure:.2g}")
        return
    outcome.errors_checked = True
    _compare_errors(names, errors, reported, outcome)


def _edges(made: Design, results: Any, plain: Plain, outcome: Outcome) -> None:
    """Parameters that are said to be at an edge: the likelihood must not rise on the way in.

    Laplace's approximation has spikes next to the edge of a link's domain: with more points as well.
    """
    fit = results.fit
    if any(np.isinf(value) for value in fit.phi.values()):
        base = plain.loglik(fit.psi)
        place = theta_places(plain).stop + [np.isinf(value) for value in fit.phi.values()].index(True)
        for at in (3.0, 5.0, 6.0, 8.0, 10.0, 13.0):
            moved = fit.psi.copy()
            moved[place] = at
            better = _gain(plain, moved, base)
            if _is_more(better, plain, results, base):
                outcome.gap = max(outcome.gap, better)
                text = f"{fit.parameter_names[place]} said to be at its limit: at {at} there is {better:.3g} more"
                outcome.add("SILENT WRONG", text)
                return
    theta = np.array(theta_places(plain))
    at_edge = [k for k in theta if not np.isfinite(fit.covariance[k, k])]
    if not at_edge:
        return
    base, unit = plain.loglik(fit.psi), units(plain)
    if plain.linear:
        unit = unit * np.exp(fit.psi[theta[-1] + 1])
    signed = any(term.structure in ("cs", "hetar1") for term in plain.problem.terms)
    for k in at_edge:
        inwards = plain_correlation(plain, k)
        own = -fit.psi[k] if inwards else unit[k - theta[0]]
        for step in (0.05, 0.3) if inwards else (0.03, -0.03, 0.2, -0.2)[:: 2 if signed else 1]:
            moved = fit.psi.copy()
            moved[k] += step * own
            better = _gain(plain, moved, base)
            if _is_more(better, plain, results, base):
                text = f"{fit.parameter_names[k]} said to be at its edge: a step of {step * own:.3g} gains {better:.3g}"
                there = results.model.fit(**made.options() | {"max_iter": 0}, start=moved)
                if not survives(made, results.model, results, there, plain):
                    outcome.add("other optimum of a coarse rule", text)
                    continue
                outcome.gap = max(outcome.gap, better)
                outcome.add("SILENT WRONG", text)
                return


def _is_more(better: float, plain: Plain, results: Any, base: float) -> bool:
    """Whether a gain is more than rounding, and than what the plain value and the fit already differ by."""
    psi, loglik = results.fit.psi, results.fit.loglik
    if not better > max(GAP_LIMIT, ROUNDED * abs(loglik), abs(base - loglik)):
        return False
    rng = np.random.default_rng(0)
    around = [plain.loglik(psi * (1 + LAST_DIGITS * rng.normal(size=len(psi)))) for _ in range(6)]
    spread = float(np.ptp(around))
    return not np.isfinite(spread) or better > 2 * spread


def _between_lower(plain: Plain, psi: Array, free: Array, step: Array, base: float) -> bool:
    """Whether points close by on either side along a step are lower: a maximum, and the step leads to another."""
    for scale in (0.1, 0.03, 0.01):
        aside = np.zeros_like(psi)
        aside[free] = scale * step
        if max(plain.loglik(psi + aside), plain.loglik(psi - aside)) < base:
            return True
    return False


def _gain(plain: Plain, psi: Array, base: float) -> float:
    """How much better a point is; with modes from near, and where that looks better, with the largest modes."""
    better = plain.loglik(psi, warm=True) - base
    return plain.loglik(psi) - base if better > GAP_LIMIT else better


def curvature_at(
    plain: Plain, psi: Array, free: Array, covariance: Array, reported: Array
) -> tuple[numeric.Curvature, float]:
    """Curvature of the free parameters, and how uncertain it is (zero: it agrees with what is reported)."""

    def f(values: Array) -> float:
        moved = psi.copy()
        moved[free] = values
        return plain.loglik(moved, warm=True)

    plain.loglik(psi)
    reach = reach_of(plain, psi)[free]
    basis = numeric.scaled_basis(covariance, reach)
    quick = numeric.differences(f, psi[free], basis, 0.02)
    with np.errstate(all="ignore"):
        if np.all(np.abs(quick.errors() / reported - 1) < 0.5 * SE_LIMIT) and quick.gain()[0] < 1e-6:
            return quick, 0.0
    basis = numeric.rescaled(f, psi[free], basis, reach, 0.02)
    return numeric.extrapolated(f, psi[free], basis, 0.02)


def _screened(plain: Plain, psi: Array, free: Array, covariance: Array, rng: np.random.Generator) -> bool:
    """Whether along a basis and two mixtures, in standard errors, slopes are none and curvatures are all -1.

    A random orthonormal basis, so that any fault shows: along all of it curvatures have the sum of the eigenvalues. No
    random one where its columns must be cut, because covariances reach too far. Where a curvature is off that is no
    proof of a fault; then `curvature_at` decides.
    """
    k = len(free)
    whole = numeric.scaled_basis(covariance, np.full(k, np.inf))
    basis = numeric.scaled_basis(covariance, reach_of(plain, psi)[free])
    if not np.isfinite(whole).all():
        return False
    cut = np.abs(basis).max(0) / np.abs(whole).max(0)
    if cut.min() == 1:
        basis = basis @ np.linalg.qr(rng.normal(size=(k, k)))[0]
    signs = rng.choice([-1.0, 1.0], (k, 2)) / np.sqrt(k)
    steps = 0.02 * np.hstack([basis, basis @ signs]).T
    expected = 0.02**2 * np.append(cut**2, [np.mean(cut**2)] * 2)

    def moved(step: Array) -> float:
        point = psi.copy()
        point[free] += step
        return plain.loglik(point, warm=True)

    middle = plain.loglik(psi)
    up, down = (np.array([moved(sign * step) for step in steps]) for sign in (1, -1))
    with np.errstate(all="ignore"):
        slopes, bends = (up - down) / (2 * np.sqrt(expected)), (up + down - 2 * middle) / expected
        return bool(0.5 * slopes[:k] @ slopes[:k] < 1e-6 and np.all(np.abs(bends + 1) < SCREEN))


def _compare_errors(names: Any, errors: Array, reported: Array, outcome: Outcome) -> None:
    with np.errstate(all="ignore"):
        off = np.abs(reported / errors - 1)
    if not np.all(off < SE_LIMIT):
        k = int(np.nanargmax(off))
        text = f"{names[k]}: {reported[k]:.6g}, by differences {errors[k]:.6g} (off by {off[k]:.2g})"
        outcome.add("SE WRONG", text)
