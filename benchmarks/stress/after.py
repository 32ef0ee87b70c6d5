"""What comes after a fit: files, predictions, draws, many fits at once, limits of profiles."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import multilevel as ml

from . import numeric
from .designs import Design
from .outcome import Outcome
from .plain import Plain
from .problem import Array
from .recipe import CHOICES
from .restarts import reach_of

LEVEL, HALF = 0.95, 1.920729410347062  # half the quantile of chi-squared with one degree of freedom
MOST_OFF = 2e-3  # of a profile's fall
MOST_STEPS, MOST_RESTARTS = 5, 4


@dataclass
class Fitted:
    """A fit, what made it, and where findings go."""

    made: Design
    results: Any
    plain: Plain
    outcome: Outcome
    rng: np.random.Generator

    def wrong(self, what: str) -> None:
        self.outcome.add("AFTER WRONG", what)


def check_after(made: Design, results: Any, plain: Plain, outcome: Outcome, rng: np.random.Generator) -> None:
    """One of them, drawn."""
    if not results.converged:
        return
    chosen = (saved, predicted, drawn, many, profiled)[int(rng.integers(5))]
    try:
        done = chosen(Fitted(made, results, plain, outcome, rng))
    except (ml.DataError, ml.FormulaError) as error:
        outcome.add(f"refused after the fit, {chosen.__name__}", str(error))
        return
    if done:
        outcome.done.append(f"after the fit, {chosen.__name__}")


def saved(fitted: Fitted) -> bool:
    """A file gives back the same bits, page and predictions."""
    made, results = fitted.made, fitted.results
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fit.multilevel"
        results.save(path)
        other = ml.load(path)
    if other.fit.psi.tobytes() != results.fit.psi.tobytes() or other.llf != results.llf:
        fitted.wrong(f"saved: {results.fit.psi}, read: {other.fit.psi}")
    elif str(other.summary()) != str(results.summary()):
        fitted.wrong("saved: another page")
    elif not np.array_equal(other.predict(), results.predict(), equal_nan=made.recipe.part != ""):
        fitted.wrong("saved: other predictions")
    return True


def linear_predictors(made: Design, results: Any) -> Array:
    """X beta + Z u of every row of the frame, or of every predictor of a row, from the reported numbers."""
    fit, problem = results.fit, made.problem().columns(results.fit.fixed_names)
    eta = problem.offset + problem.X @ fit.beta
    for k, term in enumerate(problem.terms):
        u = fit.modes[term.factor][:, fit.term_columns[k]]
        eta = eta + (term.Z * u[problem.codes[term.factor]]).sum(1)
    return eta


def predicted(fitted: Fitted) -> bool:
    """Linear predictors of some rows, taken as new data in another order."""
    made, results = fitted.made, fitted.results
    if made.recipe.part in CHOICES:  # whose sets are whole
        return False
    eta = linear_predictors(made, results).reshape(len(made.frame), -1)
    if made.recipe.part in ("random zero", "random dispersion"):
        eta = eta[:, :1]
    rows = fitted.rng.permutation(len(made.frame))[: max(3, len(made.frame) // 3)]
    found = np.asarray(results.predict(made.frame.iloc[rows], kind="link"), dtype=float).reshape(len(rows), -1)
    if found.shape[1] == eta.shape[1] + 1:  # the base among them
        found = np.delete(found, np.flatnonzero((found == 0).all(0))[:1], axis=1)
    if found.shape != eta[rows].shape or not np.allclose(found, eta[rows], rtol=1e-8, atol=1e-8):
        fitted.wrong(f"linear predictors of new data {found[:2]}, plain {eta[rows][:2]}")
    return True


def drawn(fitted: Fitted) -> bool:
    """A drawn response can be fitted, and converged numbers are finite."""
    results = fitted.results
    y = results.simulate(1, seed=int(fitted.rng.integers(2**31)))
    other = results.refit(y.iloc[:, 0], n_quadrature=results.n_quadrature, threads=1)
    if other.converged and not (np.isfinite(other.llf) and np.isfinite(other.fit.psi).all()):
        fitted.wrong(f"fit of a drawn response: {other.llf}, {other.fit.psi}")
    return True


def many(fitted: Fitted) -> bool:
    """Two drawn responses, side by side and one by one."""
    made, results = fitted.made, fitted.results
    y = results.simulate(2, seed=int(fitted.rng.integers(2**31)))
    options = {"method": made.recipe.method, "n_quadrature": results.n_quadrature, "threads": 1}
    table = results.model.fit_many(y, **options)
    for name in y.columns:
        own = table[table["response"] == name]
        try:
            alone = results.refit(y[name], **options)
        except ml.DataError:  # which the table says in a row
            continue
        if not (alone.converged and own["converged"].all()):
            continue
        off = abs(own["llf"].iloc[0] - alone.llf)
        if not off <= 1e-6 * max(1.0, abs(alone.llf)):
            fitted.wrong(f"one of many: llf {own['llf'].iloc[0]:.9g}, alone {alone.llf:.9g}")
    return True


def climbed(f: Callable[[Array], float], start: Array, basis: Array) -> tuple[float, float]:
    """Newton steps by differences: the value reached, and what they say is left."""
    at, now, left = start, f(start), np.inf
    for _ in range(MOST_STEPS):
        left, step = numeric.differences(f, at, basis, 0.02).gain()
        if not left > 1e-5:
            break
        for scale in (1.0, 0.3, 0.1):
            better = f(at + scale * step)
            if better > now:
                at, now = at + scale * step, better
                break
        else:
            break
    return now, left


def profiled(fitted: Fitted) -> bool:
    """At a limit of a coefficient's profile the plain likelihood, all others free, has fallen by what it should."""
    made, results, fit = fitted.made, fitted.results, fitted.results.fit
    usable = fitted.plain.available and made.recipe.method == "ml" and len(fit.beta) and 1 < len(fit.psi) < 8
    if not usable or results.singular or not np.isfinite(fit.covariance).all():
        return False
    k = int(fitted.rng.integers(len(fit.beta)))
    profile = results.profile(fit.fixed_names[k], level=LEVEL)
    limit = profile.conf_int().iloc[0, int(fitted.rng.integers(2))]
    if not np.isfinite(limit) or profile.messages:
        return False
    base = fitted.plain.loglik(fit.psi)
    others = np.delete(np.arange(len(fit.psi)), k)
    point = fit.psi + fit.covariance[:, k] / fit.covariance[k, k] * (limit - fit.psi[k])
    given = fit.covariance[np.ix_(others, others)]
    given = given - np.outer(fit.covariance[others, k], fit.covariance[others, k]) / fit.covariance[k, k]

    def f(values: Array) -> float:
        moved = point.copy()
        moved[others] = values
        return fitted.plain.loglik(moved, warm=True)

    basis = numeric.scaled_basis(given, reach_of(fitted.plain, fit.psi)[others])
    now, left = climbed(f, point[others], basis)
    for _ in range(MOST_RESTARTS):  # of two maxima the steps can have come to the lower one
        if base - now <= HALF + MOST_OFF:
            break
        higher, own = climbed(f, point[others] + basis @ fitted.rng.normal(size=len(others)), basis)
        if higher > now:
            now, left = higher, own
    fall = base - now
    text = (
        f"profile of {fit.fixed_names[k]} at {limit:.9g}: the plain likelihood falls by {fall:.6g}, not by {HALF:.6g}"
    )
    if fall < HALF - MOST_OFF:
        fitted.wrong(text)
    elif fall > HALF + MOST_OFF:  # unless something is higher that the steps did not find
        fitted.outcome.add("AFTER WRONG" if left < 1e-5 else "profile unsure", text)
    return True
