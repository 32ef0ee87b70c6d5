"""Predictions with standard errors: linear predictors, what is random in them, and the delta method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .joint import Joint, parameter_covariance, theta_by_term
from .normal_mean import NO_SPREAD, Means, mean_of_link, normal_mean, slope

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..family.registry import Family
    from ..fitting.record import Fit
    from .rows import PredictionRows

    Array = NDArray[np.float64]

DOMAINS = {"log": (-np.inf, 0.0), "identity": (0.0, np.inf), "sqrt": (0.0, np.inf)}  # where the mean is one, by link
NO_MEAN = ("inverse", "inverse_squared")  # means of 1 / eta over all numbers do not exist
STEP = 0.01  # of differences
UNIT = ("trials", "open unit", "closed unit")
OUTSIDE = 1e-6  # the largest probability of a linear predictor where the link has no mean


@dataclass(frozen=True)
class Moments:
    """Linear predictors of n rows, m each.

    Attributes
    ----------
    centre, variance : ndarray, (n, m)
        Their values, and the variances of the random effects in them that are those of groups drawn anew.
    conditional : ndarray, (n, m, m), or None
        Covariance of the random effects at conditional modes given the parameters; None where there are none.
    by_psi, variance_by_psi : ndarray, (n, m, P)
        Derivatives of both; the latter has None in its place where nothing is drawn anew.
    covariance : ndarray, (P, P)
        Of psi.
    """

    centre: Array
    variance: Array
    conditional: Array | None
    by_psi: Array
    variance_by_psi: Array | None
    covariance: Array


def centres(fit: Fit, rows: PredictionRows) -> tuple[Array, Array]:
    """The linear predictors and the variances of what is drawn anew in them, (n, m) each."""
    m = len(rows.predictors)
    centre = np.column_stack([np.broadcast_to(own.fixed, (rows.n,)) for own in rows.predictors])
    variance = np.zeros((rows.n, m))
    for own in rows.terms:
        factor = fit.design.random_terms[own.term].grouping_factor
        there = own.known >= 0
        if there.any():
            effects = fit.modes[factor][:, fit.term_columns[own.term]]
            centre[there, own.predictor] += (own.columns[there] * effects[own.known[there]]).sum(axis=1)
        if own.integrated.any():
            spread = np.einsum("ni,ij,nj->n", own.columns, fit.random_cov[own.term], own.columns)
            variance[:, own.predictor] += np.where(own.integrated, spread, 0.0)
    centre[rows.unknown], variance[rows.unknown] = 0.0, 0.0
    return centre, variance


def moments(fit: Fit, rows: PredictionRows, *, variances: bool = True) -> Moments:
    """The linear predictors with all that is uncertain in them."""
    centre, variance = centres(fit, rows)
    n, m, size = rows.n, len(rows.predictors), len(fit.psi)
    by_psi = np.zeros((n, m, size))
    for a, predictor in enumerate(rows.predictors):
        for place, values in predictor.columns:
            by_psi[:, a, place] = 1.0 if values is None else values
    conditional, covariance = None, parameter_covariance(fit, variances=variances)
    if any((own.known >= 0).any() for own in rows.terms):
        joint = Joint(fit)
        conditional, covariance = joint.conditional_covariance(rows), joint.covariance(variances=variances)
        for own in rows.terms:
            moved = joint.effects_by_psi(own.term)
            there = np.flatnonzero(own.known >= 0)
            by_psi[there, own.predictor] += np.einsum("ni,nip->np", own.columns[there], moved[own.known[there]])
        conditional[rows.unknown] = 0.0
    by_theta = None
    if any(own.integrated.any() for own in rows.terms):
        by_theta = np.zeros((n, m, size))
        places = theta_by_term(fit)
        for own in rows.terms:
            first, jacobian = places[own.term]
            spread = np.einsum("ni,kij,nj->nk", own.columns, jacobian, own.columns, optimize=True)
            part = slice(first, first + len(jacobian))
            by_theta[:, own.predictor, part] += np.where(own.integrated[:, None], spread, 0.0)
        by_theta[rows.unknown] = 0.0
    by_psi[rows.unknown] = 0.0
    return Moments(centre, variance, conditional, by_psi, by_theta, covariance)


def delta(own: Moments, means: Means) -> Array:
    """Standard errors of quantities by the delta method, (n,), given their derivatives by centres and variances."""
    total = quadratic(gradients(own, means), own.covariance)
    if own.conditional is not None:
        total += np.einsum("na,nab,nb->n", means.by_centre, own.conditional, means.by_centre)
    return np.sqrt(np.where(total >= 0, total, np.nan))


def gradients(own: Moments, means: Means) -> Array:
    """Derivatives of quantities by psi, (n, P)."""
    gradient = np.einsum("na,nap->np", means.by_centre, own.by_psi)
    if own.variance_by_psi is not None:
        gradient += np.einsum("na,nap->np", means.by_variance, own.variance_by_psi)
    return gradient


def quadratic(gradient: Array, covariance: Array) -> Array:
    """The form g'Cg per row, (n,); NaN of what depends on a parameter without a variance."""
    unknown = np.isnan(np.diag(covariance))
    known = np.where(np.isnan(covariance), 0.0, covariance)
    total = np.asarray(((gradient @ known) * gradient).sum(axis=1))
    return np.where((gradient[:, unknown] != 0).any(axis=1), np.nan, total)


# ---- what is predicted -----------------------------------------------------------------------------------------------


def quantity(fit: Fit, kind: str, own: tuple[Array, Array], trials: Array | None) -> Means:
    """What is predicted, integrated over what is drawn anew, with derivatives by the predictors' centres and variances.

    Parameters
    ----------
    fit : Fit
    kind : {"link", "mean", "response"} or the name of a part
    own : pair of ndarray, (n, m)
        Centres and variances of the predictors.
    trials : ndarray, (n,), or None
    """
    centre, variance = own
    sd = np.sqrt(variance)
    none = np.zeros_like(centre)
    if kind == "link":
        return Means(centre[:, 0], np.ones_like(centre), none)
    if kind not in ("mean", "response"):
        name = fit.component(kind).parameter
        parameter = next(each for each in fit.family.parameters if each.name == name)
        return _integrated(lambda points, _: parameter.naturals(points[..., 0]), centre, sd, np.full_like(centre, STEP))
    steps = np.full_like(centre, STEP)
    steps[:, 0] = steps_of(fit, centre[:, 0])
    if kind == "mean" or fit.family.mean_is_response:
        check_domain(fit, centre[:, 0], sd[:, 0])
        closed = mean_of_link(fit.family.link, centre[:, 0], sd[:, 0])
        if closed is None:
            return _integrated(lambda points, _: _mean(fit, points[..., 0]), centre[:, :1], sd[:, :1], steps[:, :1])
        return closed
    if fit.family.kinds:
        for _, own_family, rows, _ in fit.family.split(centre[:, 1:]):
            _check_domain(own_family, centre[rows, 0], sd[rows, 0])
    else:
        check_domain(fit, centre[:, 0], sd[:, 0])

    def response(points: Array, at: slice) -> Array:
        flat = points.reshape(-1, points.shape[-1])
        own_trials = None if trials is None else np.repeat(trials[at], points.shape[1])
        return fit.family.response_mean(flat[:, 0].copy(), flat[:, 1:], own_trials).reshape(points.shape[:-1])

    found = _integrated(response, centre, sd, steps)
    lost = ~np.isfinite(found.value) & np.isfinite(centre).all(axis=1) & np.isfinite(sd).all(axis=1)
    if lost.any():
        row = int(np.argmax(lost))
        raise DataError(
            f"a response of the {fit.family.name} family has no mean at linear predictors within the reach of "
            f"{centre[row, 0]:.3g} with a standard deviation of {sd[row, 0]:.3g}; predict for groups in the data, or a "
            'typical one by random="zero", or fit another family'
        )
    return found


def _mean(fit: Fit, eta: Array) -> Array:
    return np.asarray(fit.family.mean(eta.ravel())).reshape(eta.shape)


def _integrated(function: Callable[[Array, slice], Array], centre: Array, sd: Array, steps: Array) -> Means:
    """Over the predictors that vary, the others held; derivatives by the latter from differences, by `steps`."""
    n, m = centre.shape
    varying = [a for a in range(m) if (sd[:, a] > NO_SPREAD).any()]
    still = [a for a in range(m) if a not in varying]

    def mean(at_still: Array) -> Means:
        def inner(points: Array, at: slice) -> Array:
            whole = np.empty((*points.shape[:-1], m))
            whole[..., varying] = points
            whole[..., still] = at_still[at, None, :]
            return function(whole, at)

        if varying:
            return normal_mean(inner, centre[:, varying], sd[:, varying])
        value = inner(np.empty((n, 1, 0)), slice(0, n))[:, 0]
        return Means(value, np.empty((n, 0)), np.empty((n, 0)))

    base = mean(centre[:, still])
    by_centre, by_variance = np.zeros((n, m)), np.zeros((n, m))
    by_centre[:, varying], by_variance[:, varying] = base.by_centre, base.by_variance
    for place, a in enumerate(still):

        def moved(values: Array, place: int = place) -> Array:
            at = centre[:, still].copy()
            at[:, place] = values
            return mean(at).value

        by_centre[:, a] = slope(moved, centre[:, a], steps[:, a])
    if varying:  # rows without spread of their own, beside rows that have it
        for a in varying:
            flat = sd[:, a] <= NO_SPREAD
            if flat.any():
                by_centre[flat, a] = _slopes_of_flat(function, centre, sd, steps, a)[flat]
    return Means(base.value, by_centre, by_variance)


def _slopes_of_flat(function: Callable[[Array, slice], Array], centre: Array, sd: Array, steps: Array, a: int) -> Array:
    def moved(values: Array) -> Array:
        at = centre.copy()
        at[:, a] = values
        others = sd.copy()
        others[:, a] = 0.0
        return normal_mean(function, at, others).value

    return slope(moved, centre[:, a], steps[:, a])


def steps_of(fit: Fit, eta: Array) -> Array:
    """Steps of differences by the mean's predictor: small beside its distance to zero where the link ends there."""
    ends = any(map(_link_ends, fit.family.members))
    return np.where(eta == 0, STEP, np.minimum(STEP, STEP * np.abs(eta))) if ends else np.full_like(eta, STEP)


def _link_ends(family: Family) -> bool:
    """Whether linear predictors on one side of zero have no mean."""
    return (
        family.link in NO_MEAN
        or (family.support != "numbers" and family.link in ("identity", "sqrt"))
        or (family.support in UNIT and family.link == "log")
    )


def check_domain(fit: Fit, centre: Array, sd: Array) -> None:
    """Refuses means over linear predictors at which the link has none.

    Raises
    ------
    DataError
        Says how probable that is, and what to do.
    """
    _check_domain(fit.family, centre, sd)


def _check_domain(family: Family, centre: Array, sd: Array) -> None:
    spread = sd > NO_SPREAD
    link, support = family.link, family.support
    if not spread.any() or support == "numbers":
        return
    remedy = 'predict for groups in the data, or a typical one by random="zero", or fit with another link'
    if link in NO_MEAN:
        raise DataError(
            f'random="marginal": the mean over normal random effects does not exist with the {link} link, under which '
            f"they make linear predictors around zero; {remedy}"
        )
    limited = support in UNIT if link == "log" else link in DOMAINS
    if not limited:
        return
    from scipy.special import ndtr

    low, high = DOMAINS[link]
    at, size = centre[spread], sd[spread]
    outside = float(np.max(ndtr((low - at) / size) + ndtr((at - high) / size)))
    if outside > OUTSIDE:
        raise DataError(
            f'random="marginal": with the {link} link a group drawn anew has a linear predictor without a mean with '
            f"probability {outside:.2g}; {remedy}"
        )
