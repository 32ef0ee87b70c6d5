"""Quantiles of the response of a row: over what is uncertain or drawn anew in its predictors, and over the family."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from ..errors import DataError
from ..family.distributions import distribution
from ..family.registry import Family
from .normal_mean import grid

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from ..fitting.record import Fit
    from .rows import PredictionRows
    from .uncertain import Moments

    Array = NDArray[np.float64]

COUNTS = ("counts", "positive counts", "trials")
TRUNCATED = "truncated_"
AT_ONCE = 5_000  # distributions evaluated at once
STEP, SMALLEST_STEP = 0.5, 0.001  # standard deviations of the predictors
SETTLED = 1e-8  # what quantiles may move when the nodes are doubled, of themselves
ITERATIONS, CLOSE = 200, 1e-10  # of the search for a quantile, and how close, of itself, it comes
MATTERS = 1e-14  # weight of a node


def response_cdf(
    fit: Fit, points: Array, trials: Array, weights: Array, varying: Collection[int] = ()
) -> Callable[[Array], Array]:
    """The function of responses (n, 1) that has the probabilities of no more than they, (n, nodes).

    Parameters
    ----------
    fit : Fit
    points : ndarray, (n, nodes, 1 + parameters)
        Linear predictors of the mean and of the family's parameters.
    trials, weights : ndarray, (n, 1)
        Weights are precisions of Gaussian responses.
    varying : collection of int
        Predictors that differ between the nodes of a row, beside the mean's.
    """
    family = fit.family
    base = Family(family.name.removeprefix(TRUNCATED), family.link)
    eta = points[..., 0]
    mu = np.asarray(family.mean(eta.ravel())).reshape(eta.shape)
    natural = {
        own.name: own.naturals(points[..., 1 + k] if 1 + k in varying else points[:, :1, 1 + k])
        for k, own in enumerate(family.parameters)
    }
    own = {parameter.name: natural[parameter.name] for parameter in base.parameters}
    if base.name == "gaussian":
        own["sigma"] = own["sigma"] / np.sqrt(weights)
    law = distribution(base, mu, own, trials)
    none = np.asarray(law.cdf(np.zeros_like(trials))) if base.has_own_zeros else np.zeros_like(mu)
    share = natural[family.parameters[-1].name] if family.zero else np.zeros(1)

    def cdf(y: Array) -> Array:
        below = np.asarray(law.cdf(y))
        if family.name != base.name:
            return np.where(y < 1, 0.0, (below - none) / (1.0 - none))
        if not family.zero:
            return below
        if family.zero == "hurdle":
            below = np.where(y > 0, (below - none) / (1.0 - none), 0.0)
        return np.where(y < 0, 0.0, share + (1.0 - share) * below)

    return cdf


def quantiles(fit: Fit, rows: PredictionRows, own: Moments, probabilities: tuple[float, ...]) -> Array:
    """The least responses whose predictive probability reaches each of `probabilities`, (n, len(probabilities)).

    The predictors are normal with the random effects of groups drawn anew, the conditional variances of others and the
    uncertainty of the parameters in them; other parameters of the family stand at their estimates. Responses of trials
    are counts of successes.
    """
    fit.need_likelihood('interval="prediction"')
    trials, weights = _rows_given(fit, rows)
    mixed = sorted({0, *(term.predictor for term in rows.terms)})
    spread = _covariance(own)[:, mixed][:, :, mixed]
    result = np.full((rows.n, len(probabilities)), np.nan)
    known = ~rows.unknown & np.isfinite(spread).all(axis=(1, 2)) & np.isfinite(trials) & np.isfinite(weights)
    closed = _normal(fit, own, spread, weights, probabilities) if mixed == [0] else None
    if closed is not None:
        result[known] = closed[known]
        return result
    roots = _roots(spread[known])
    places = np.flatnonzero(known)
    for start in range(0, len(places), AT_ONCE):
        part = places[start : start + AT_ONCE]
        root = roots[start : start + AT_ONCE]
        result[part] = _settled(fit, own.centre[part], root, mixed, trials[part], weights[part], probabilities)
    return result


def _rows_given(fit: Fit, rows: PredictionRows) -> tuple[Array, Array]:
    one = np.ones(rows.n)
    weights = one if rows.weights is None else rows.weights
    if fit.family.name != "gaussian" and np.any(np.nan_to_num(weights, nan=1.0) != 1.0):
        raise DataError(
            f'interval="prediction": a response of the {fit.family.name} family with a weight other than one has no '
            "distribution of its own; give the rows as newdata, without weights, for responses of unit weight"
        )
    return one if rows.trials is None else rows.trials, weights


def _covariance(own: Moments) -> Array:
    """Of the predictors, with all that is uncertain or drawn anew in them, (n, m, m)."""
    unknown = np.isnan(np.diag(own.covariance))
    known = np.where(np.isnan(own.covariance), 0.0, own.covariance)
    total = np.einsum("nap,pq,nbq->nab", own.by_psi, known, own.by_psi, optimize=True)
    total[(own.by_psi[:, :, unknown] != 0).any(axis=(1, 2))] = np.nan
    if own.conditional is not None:
        total += own.conditional
    places = np.arange(total.shape[1])
    total[:, places, places] += own.variance
    return total


def _roots(covariance: Array) -> Array:
    """Square roots of covariances, singular ones too."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]


def _normal(fit: Fit, own: Moments, spread: Array, weights: Array, probabilities: tuple[float, ...]) -> Array | None:
    """In closed form where the response, or its logarithm, is normal."""
    link, name = fit.family.link, fit.family.name
    if fit.family.zero or (name, link) not in (("gaussian", "identity"), ("lognormal", "log")):
        return None
    sigma = np.exp(own.centre[:, 1])
    ends = np.sqrt(spread[:, 0, 0] + sigma**2 / weights)[:, None] * ndtri(np.array(probabilities))
    if name == "gaussian":
        return own.centre[:, :1] + ends
    return np.exp(own.centre[:, :1] - 0.5 * sigma[:, None] ** 2 + ends)


def _settled(
    fit: Fit, centre: Array, root: Array, mixed: list[int], trials: Array, weights: Array, p: tuple[float, ...]
) -> Array:
    """With nodes doubled until no quantile moves."""
    step, before = STEP, np.full((len(centre), len(p)), np.nan)
    found, moving = before.copy(), np.ones(len(centre), dtype=bool)
    while moving.any():
        at = np.flatnonzero(moving)
        found[at] = _by_step(fit, centre[at], root[at], mixed, trials[at], weights[at], p, step, before[at])
        size = np.abs(found[at]).max(axis=1, keepdims=True)
        moving[at] = ~(np.abs(found[at] - before[at]) <= SETTLED * size).all(axis=1)
        before, step = found.copy(), 0.5 * step
        if step < SMALLEST_STEP and moving.any():
            raise DataError(
                'interval="prediction": the quantiles of some rows do not settle, since the random effects spread far '
                'beyond the response given them; an interval of kind="link" shows that spread'
            )
    return found


def _by_step(
    fit: Fit,
    centre: Array,
    root: Array,
    mixed: list[int],
    trials: Array,
    weights: Array,
    p: tuple[float, ...],
    step: float,
    near: Array,
) -> Array:
    rule = grid(step, len(mixed))
    matter = rule.weights > MATTERS
    nodes, shares = rule.nodes[matter], rule.weights[matter] / rule.weights[matter].sum()
    result = np.empty((len(centre), len(p)))
    at_once = max(1, AT_ONCE // len(shares))
    for start in range(0, len(centre), at_once):
        at = slice(start, start + at_once)
        points = np.repeat(centre[at, None, :], len(shares), axis=1)
        points[..., mixed] += np.einsum("nij,kj->nki", root[at], nodes)

        own = response_cdf(fit, points, trials[at, None], weights[at, None], mixed)

        def cdf(y: Array, own: Callable[[Array], Array] = own) -> Array:
            with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
                return np.asarray(own(y[:, None]) @ shares)

        for k, wanted in enumerate(p):
            first = np.asarray(fit.family.mean(centre[at, 0].copy()))
            size = 1e-6 * np.abs(near[at]).max(axis=1)
            start_at = None if np.isnan(size).any() else (near[at, k], size)
            result[at, k] = _invert(fit, cdf, wanted, first, trials[at], start_at)
    return result


def _invert(
    fit: Fit,
    cdf: Callable[[Array], Array],
    wanted: float,
    first: Array,
    trials: Array,
    near: tuple[Array, Array] | None,
) -> Array:
    """The least y with cdf(y) >= wanted, whole numbers of counts; `near` is about where it is, within what."""
    support = fit.family.support
    if support in COUNTS:
        return _invert_counts(cdf, wanted, trials if support == "trials" else np.ceil(first) + 1.0)
    low, high = {"numbers": (-np.inf, np.inf), "open unit": (0.0, 1.0), "closed unit": (0.0, 1.0)}.get(
        support, (0.0, np.inf)
    )
    at, width = (first, 0.5 * np.maximum(np.abs(first), low < 0)) if near is None else near
    size = np.maximum(width, np.finfo(float).tiny)
    at_lowest = cdf(np.full_like(first, low)) >= wanted if low == 0.0 else np.zeros(len(first), dtype=bool)
    below, above, f_below, f_above = at.copy(), at.copy(), cdf(at) - wanted, np.empty(0)
    f_above = f_below.copy()
    reach = size.copy()
    while np.any(out := (f_below >= 0) & (below > low) & ~at_lowest):
        below = np.where(out, np.maximum(at - reach, low), below)
        f_below, reach = np.where(out, cdf(below) - wanted, f_below), np.where(out, 4.0 * reach, reach)
    reach = size.copy()
    while np.any(out := (f_above < 0) & (above < high)):
        above = np.where(out, np.minimum(at + reach, high), above)
        f_above, reach = np.where(out, cdf(above) - wanted, f_above), np.where(out, 4.0 * reach, reach)
    found = _root(lambda y: cdf(y) - wanted, (below, f_below), (above, f_above), 0.0 if near is None else width)
    return np.where(at_lowest, 0.0, found)


def _invert_counts(cdf: Callable[[Array], Array], wanted: float, high: Array) -> Array:
    high = high.copy()
    while np.any(short := cdf(high) < wanted):
        high = np.where(short, 2.0 * high, high)
    low = np.full_like(high, -1.0)
    while np.any(far := high - low > 1.0):
        middle = np.where(far, np.floor(0.5 * (low + high)), high)
        reached = cdf(middle) >= wanted
        low, high = np.where(far & ~reached, middle, low), np.where(far & reached, middle, high)
    return high


def _root(
    function: Callable[[Array], Array], below: tuple[Array, Array], above: tuple[Array, Array], width: Array | float
) -> Array:
    """Where rising functions reach zero, from above, by inverse quadratic steps or halves (Chandrupatla 1997).

    `width` is a size of what counts, a millionth of it where the roots are near zero.
    """
    (b, fb), (a, fa) = below, above
    c, fc = b, fb
    share = np.full_like(a, 0.5)
    for _ in range(ITERATIONS):
        best = np.where(fa >= 0, a, b)
        near = np.abs(a - b) <= np.maximum(CLOSE * np.abs(best), 1e-3 * width)
        if near.all():
            break
        with np.errstate(divide="ignore", invalid="ignore"):
            x = np.where(near, a, a + share * (b - a))
            fx = np.where(near, fa, function(x))
            same = (fx >= 0) == (fa >= 0)
            c, fc = np.where(same, a, b), np.where(same, fa, fb)
            b, fb = np.where(same, b, a), np.where(same, fb, fa)
            a, fa = x, fx
            xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
            quadratic = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
            least = 0.5 * CLOSE * np.abs(a) / np.abs(b - a)
        smooth = (phi**2 < xi) & ((1.0 - phi) ** 2 < 1.0 - xi) & np.isfinite(quadratic)
        share = np.clip(np.where(smooth, quadratic, 0.5), np.minimum(least, 0.5), 1.0 - np.minimum(least, 0.5))
    return np.where(fa >= 0, a, b)
