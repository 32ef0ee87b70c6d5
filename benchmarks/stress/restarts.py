"""Other optima: the package's own fit from elsewhere, and SciPy's optimizers on the plain likelihood."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize

import multilevel as ml

from .designs import Design
from .outcome import Outcome
from .plain import Plain
from .problem import Array
from .recipe import UNSHIFTED
from .structures import n_theta

GAP_LIMIT = 1e-5
RESTART_SECONDS = 1.5
SCIPY_SECONDS = 0.6  # of a processor, from each place
WORK_OF_STARTS = 2e4  # rows evaluated by a fit, from where on not all get starts
MORE = {1: 7, 3: 9, 5: 11, 7: 13, 9: 15, 11: 17}
MANY = (61, 45, 25, 15)  # points, where a fit warns that its own are too few: the first that a model can have


def scale_places(plain: Plain) -> list[int]:
    """Places in psi of standard deviations, or of the diagonal of a triangular factor."""
    places, at = [], plain.problem.p
    for term in plain.problem.terms:
        q, k = term.q, n_theta(term)
        if term.structure in ("us", "rr"):
            column = at
            for j in range(q if term.structure == "us" else term.rank):
                places.append(column)
                column += q - j
        elif term.structure == "cfa":
            places += range(at, at + sum(map(len, term.loads)))
        elif term.structure in ("diag", "homdiag"):
            places += range(at, at + k)
        else:
            places += range(at, at + k - 1)
        at += k
    return places


def theta_places(plain: Plain) -> range:
    p = plain.problem.p
    return range(p, p + sum(n_theta(t) for t in plain.problem.terms))


def units(plain: Plain) -> Array:
    """What one unit of the linear predictor is in each parameter of theta; 1 for those of correlations."""
    found: list[float] = []
    for term in plain.problem.terms:
        q = term.q
        own = 1 / np.maximum(np.sqrt((term.Z**2).mean(0)), 1e-300)
        if term.structure in ("us", "rr"):
            for j in range(q if term.structure == "us" else term.rank):
                found += list(own[j:])
        elif term.structure == "cfa":
            found += [own[k] for columns in term.loads for k in columns]
            found += [1.0] * (n_theta(term) - sum(map(len, term.loads)))
        elif term.structure == "diag":
            found += list(own)
        else:
            found += [1.0] * n_theta(term)
    return np.array(found)


def outside(plain: Plain, psi: Array) -> bool:
    """Whether a standard deviation of cs or hetar1 is negative, which turns correlations around."""
    at = plain.problem.p
    for term in plain.problem.terms:
        k = n_theta(term)
        if term.structure in ("cs", "hetar1") and psi[at : at + k - 1].min() < 0 < psi[at : at + k - 1].max():
            return True
        at += k
    return False


def start_points(plain: Plain, psi: Array, rng: np.random.Generator, many: bool) -> list[Array]:
    """Starts: covariances near zero and large, each variance in turn, a random place, and an ordinary dispersion."""
    theta, scales = np.array(theta_places(plain)), scale_places(plain)
    plainly = plain.problem.family not in ("gaussian", *UNSHIFTED) and plain.problem.part != "random zero"
    own = plain.problem.n_phi if plainly else 0
    dispersed = [np.append(psi[:-own], values) for values in (np.ones(own), -psi[-own:])] if own else []
    if not len(theta):
        return [*dispersed, psi + rng.normal(size=len(psi)) * 0.1]
    unit = np.ones(len(psi))
    unit[theta] = units(plain)
    least = 0.1 * np.exp(psi[theta[-1] + 1]) if plain.problem.family == "gaussian" and plain.linear else 0.1
    size = max(least, min(float(np.abs(psi[scales] / unit[scales]).max()), 1e3 * max(1.0, least)))
    found = dispersed
    for factor in (0.05, 5.0):
        start = psi.copy()
        start[theta] *= factor
        near = np.abs(start[scales]) < 1e-3 * factor * size * unit[scales]
        start[scales] = np.where(near, 0.2 * factor * size * unit[scales], start[scales])
        found.append(start)
    for equal in (3.0, 10.0):
        start = psi.copy()
        start[theta] = 0.0
        start[scales] = equal * max(1.0, 10 * least) * unit[scales]
        found.append(start)
    turns = [(place, value) for place in scales for value in (0.02 * size, 2 * size)]
    order = rng.permutation(len(turns))[: 8 if many else 1]
    for k in order:
        place, value = turns[k]
        start = psi.copy()
        start[place] = value * unit[place]
        found.append(start)
    start = psi.copy()
    start[theta] = size * rng.normal(size=len(theta)) * rng.choice([0.3, 1.0, 3.0]) * unit[theta]
    start[scales] = np.abs(start[scales]) + 0.01 * size * unit[scales]
    corr = [k for k in theta if k not in scales and plain_correlation(plain, k)]
    start[corr] = rng.normal(size=len(corr))
    found.append(start)
    return found


def plain_correlation(plain: Plain, place: int) -> bool:
    """Whether a place of psi is the one correlation of a structure."""
    at = plain.problem.p
    for term in plain.problem.terms:
        at += n_theta(term)
        if place == at - 1 and term.structure in ("cs", "homcs", "ar1", "hetar1"):
            return True
    return False


def reach_of(plain: Plain, psi: Array) -> Array:
    """How far each parameter may be moved for differences: half of what covariances, and correlations, are like."""
    theta = np.array(theta_places(plain), dtype=int)
    reach = np.full(len(psi), np.inf)
    reach[plain.problem.p :] = 0.5
    unit = units(plain)
    size = float(np.abs(psi[theta] / unit).max()) if len(theta) else 1.0
    for k in theta:
        if not plain_correlation(plain, k):
            reach[k] = max(0.5 * np.abs(psi[k]), 0.1 * size * unit[k - theta[0]], 1e-300)
    return reach


def check_restarts(
    made: Design,
    model: Any,
    results: Any,
    plain: Plain,
    outcome: Outcome,
    rng: np.random.Generator,
    most: int | None = None,
) -> None:
    """Is there a better optimum in reach of the package itself? From `most` starts, or all.

    Long fits get starts with a smaller share: a search costs about what the fit did, and finds no more than another.
    """
    if results.fit.status == "separation":  # no other verdict says more
        return
    if most is not None and rng.random() * work_of(plain, outcome.evaluations) > WORK_OF_STARTS:
        return
    psi = np.where(np.isfinite(results.fit.psi), results.fit.psi, 0.0)
    options = made.options() | {"n_quadrature": results.n_quadrature}
    if outcome.seconds > RESTART_SECONDS:
        outcome.add("restarts cut short", f"one fit takes {outcome.seconds:.1f} s")
        return
    best, until = None, time.process_time() + RESTART_SECONDS
    starts = start_points(plain, psi, rng, most is None)
    outcome.done.append("all starts" if most is None else "some starts")
    for k in rng.permutation(len(starts))[:most]:
        start = starts[k]
        if time.process_time() > until:
            outcome.add("restarts cut short", f"{RESTART_SECONDS} s")
            break
        other = model.fit(**options, start=start)
        if outside(plain, other.fit.psi):
            continue
        if other.converged and np.isfinite(other.llf) and (best is None or other.llf > best.llf):
            best = other
    if best is not None:
        compare(made, model, results, best, plain, outcome, "from elsewhere")


def work_of(plain: Plain, evaluations: int) -> float:
    """Of a fit, in rows evaluated: a measure of its time that is the same on every machine."""
    problem = plain.problem
    widths = [plain.width(f) for f in range(len(problem.codes))]
    nodes = problem.points ** (sum(widths) if len(widths) == 2 else max(widths, default=0))
    return float(evaluations * len(problem.y) * nodes)


def value_at(plain: Plain, fit: Any) -> float:
    """The plain value; the reported one where there is none."""
    if not plain.available:
        return float(fit.llf)
    return plain.loglik(fit.fit.psi)


def compare(made: Design, model: Any, results: Any, best: Any, plain: Plain, outcome: Outcome, how: str) -> None:
    """Judges a fit by another one of the same model that is certified."""
    gap = best.llf - results.llf
    if not results.converged:
        failed = results.fit.status in ("not converged", "not identified")
        if results.fit.status == "not identified" and abs(gap) < 1e-6:
            outcome.add("not identified here, certified from elsewhere", f"{results.llf:.9g}")
        elif "residual standard deviation goes to zero" in results.fit.message and abs(gap) < 1e-4:
            outcome.add("residual vanishes here, certified from elsewhere", f"{results.llf:.9g}")
        elif failed and gap > -1e-6 and value_at(plain, best) > best.llf - 1e-6 * max(1, abs(best.llf)):
            text = f"{results.fit.status} at {results.llf:.9g}; certified {how} at {best.llf:.9g}"
            outcome.add("FALSE ALARM", text)
        return
    if gap <= GAP_LIMIT:
        return
    real = value_at(plain, best) - value_at(plain, results)
    if real <= GAP_LIMIT:
        outcome.add("better only by its own count", f"{how}: {gap:.3g}, by the plain values {real:.3g}")
        return
    text = f"{results.llf:.9g} certified, {how} {best.llf:.9g}: theta {results.fit.psi}, better {best.fit.psi}"
    if survives(made, model, results, best, plain):
        outcome.gap = max(outcome.gap, real)
        outcome.add(lower_label(results), text)
    else:
        outcome.add("other optimum of a coarse rule", text)


def warned(results: Any, of: type[ml.FitWarning] = ml.QuadratureWarning) -> bool:
    """Whether a fit says something of itself: by default, that its approximation of the likelihood is a coarse one."""
    return any(issubclass(category, of) for category, _ in results.fit.verdict.remarks)


def lower_label(results: Any) -> str:
    """Of a certified fit below another maximum: silent, but where it says that there are several, or may be."""
    told = warned(results, ml.SeveralMaximaWarning) or warned(results, ml.FewRowsWarning)
    return "WRONG BUT TOLD" if told else "SILENT WRONG"


def survives(made: Design, model: Any, results: Any, best: Any, plain: Plain) -> bool:
    """Whether the better optimum is one with more points, too: many, where the fit itself warns that its are too few.

    Where there cannot be more points it is taken for one, unless the fit warns or importance sampling says otherwise;
    nor is it one of three random effects and more, where both fits warn and nothing affordable is fine enough to
    compare them.
    """
    if results.fit.is_linear or not results.model.random_terms:
        return True
    doubtful = warned(results)
    q = sum(len(t.names) for t in results.model.random_terms)
    points = MORE.get(results.n_quadrature, results.n_quadrature + 4)
    if q > 2:
        if doubtful and warned(best):
            return False
        points = 5 if results.n_quadrature == 1 else results.n_quadrature + 2
    for more in (*(MANY if doubtful and q <= 2 else ()), points):
        try:
            one, two = (model.fit(**made.options() | {"n_quadrature": more}, start=r.fit.psi) for r in (results, best))
            break
        except ValueError:
            continue
    else:
        return not doubtful and not falls(plain, results.fit.psi, best.fit.psi)
    if two.llf > one.llf + GAP_LIMIT:
        return True
    if abs(two.llf - one.llf) > GAP_LIMIT:
        return False
    scale = np.sqrt(np.abs(np.diag(one.fit.covariance)))
    scale = np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)
    distance = [np.linalg.norm((np.abs(r.fit.psi) - np.abs(one.fit.psi)) / scale) for r in (results, best)]
    return bool(distance[1] < distance[0])


def falls(plain: Plain, psi: Array, better: Array) -> bool:
    """Whether what looks better by Laplace's approximation is worse by the likelihood itself, as draws tell it."""
    (one, own), (two, other) = plain.sampled(psi), plain.sampled(better)
    return bool(two + 5 * other < one - 5 * own)


def _until(end: float) -> Callable[..., None]:
    """A callback that ends an optimization when its time is over."""

    def stop(*_: object) -> None:
        if time.process_time() > end:
            raise StopIteration

    return stop


def check_scipy(
    made: Design, model: Any, results: Any, plain: Plain, outcome: Outcome, rng: np.random.Generator
) -> None:
    """SciPy's optimizers on the plain likelihood, from two places; then the package's fit from where they end."""
    psi = results.fit.psi
    if not np.isfinite(psi).all():
        return
    base = plain.loglik(psi)
    errors = np.sqrt(np.abs(np.diag(results.fit.covariance)))
    otherwise = 0.1 / np.maximum(np.sqrt((plain.problem.X**2).mean(0)), 1e-300)
    otherwise = np.concatenate([otherwise, 0.1 * units(plain), 0.1 * np.ones(len(psi))])[: len(psi)]
    scale = np.where(np.isfinite(errors) & (errors > 0), errors, otherwise)
    if plain.problem.method == "reml":
        scale[: plain.problem.p] = 0.0
    places = [psi, start_points(plain, psi, rng, False)[-1]]
    for start in places:

        def negative(t: Array, start: Array = start) -> float:
            value = plain.loglik(start + scale * t, warm=True)
            return -value if np.isfinite(value) else 1e10

        plain.loglik(start)
        until = time.process_time() + SCIPY_SECONDS
        found = minimize(
            negative, np.zeros(len(psi)), method="L-BFGS-B", options={"maxfun": 150}, callback=_until(until)
        )
        if time.process_time() < until - 0.5 * SCIPY_SECONDS and len(psi) < 7:
            found = minimize(negative, found.x, method="Nelder-Mead", options={"maxfev": 100}, callback=_until(until))
        end = start + scale * found.x
        value = plain.loglik(end)
        if value > base + GAP_LIMIT or (not results.converged and value > base - 1e-4):
            options = made.options() | {"n_quadrature": results.n_quadrature}
            other = model.fit(**options, start=end)
            if outside(plain, other.fit.psi):
                continue
            if other.converged:
                compare(made, model, results, other, plain, outcome, "where SciPy ends")
            elif results.converged:
                text = f"{base:.9g} certified, SciPy {value:.9g} at {end}; the fit from there: {other.fit.status}"
                outcome.add("beaten, not certified", text)
