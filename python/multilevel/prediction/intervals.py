"""Confidence intervals of predictions, made on a scale without ends, where the normal distribution suits best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit, ndtri

from .normal_mean import NO_SPREAD, slope

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..family.registry import Family
    from ..fitting.record import Fit

    Array = NDArray[np.float64]
    Scale = tuple[Callable[[Array], Array], Callable[[Array], Array], Callable[[Array], Array]]

WHOLE_LINE = ("logit", "probit", "cloglog", "cauchit")  # links of probabilities that take any linear predictor
UNIT = ("trials", "open unit", "closed unit")

# there, back, and the derivative of back as a function of the value
PLAIN: Scale = (lambda v: v, lambda x: x, np.ones_like)
LOG: Scale = (np.log, np.exp, lambda v: v)
LOGIT: Scale = (logit, expit, lambda v: v * (1.0 - v))


def reach_of(level: float) -> float:
    """Standard errors from the estimate to the ends of an interval of this coverage."""
    if not isinstance(level, (int, float, np.number)) or not 0.0 < level < 1.0:
        raise ValueError(f"level={level!r} must lie between 0 and 1, for example 0.95")
    return float(ndtri(0.5 + 0.5 * level))


def limits(
    fit: Fit,
    kind: str,
    value: Array,
    error: Array,
    link: tuple[Array, Array] | None,
    reach: float,
    parameters: Array | None = None,
) -> Array:
    """Ends of the intervals, (n, 2).

    Parameters
    ----------
    fit : Fit
    kind : str
        As in `predict`.
    value, error : ndarray, (n,)
        Estimates and their standard errors.
    link : pair of ndarray, (n,), or None
        The linear predictors and their standard errors, where the value follows from nothing else.
    reach : float
        Standard errors from the estimate to an end.
    parameters : ndarray, (n, n_phi), optional
        The family's, of rows of several kinds, each of which has a scale of its own.
    """
    if fit.family.kinds and kind == "response":
        assert parameters is not None
        ends = np.empty((len(value), 2))
        for _, family, rows, _ in fit.family.split(parameters):
            ends[rows] = _ends(*_of_mean(family, kind, value[rows], error[rows], None), reach)
        return ends
    return _ends(*_scaled(fit, kind, value, error, link), reach)


def _ends(back: Callable[[Array], Array], at: Array, size: Array, reach: float) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        ends = np.column_stack([back(at - reach * size), back(at + reach * size)])
    return np.sort(ends, axis=1)


def _scaled(
    fit: Fit, kind: str, value: Array, error: Array, link: tuple[Array, Array] | None
) -> tuple[Callable[[Array], Array], Array, Array]:
    """The way back from the scale, and estimates and errors there."""
    if kind == "link":
        return PLAIN[1], value, error
    if kind not in ("mean", "response"):
        name = fit.component(kind).parameter
        parameter = next(own for own in fit.family.parameters if own.name == name)
        if link is not None:
            return parameter.naturals, *link
        at = np.array([parameter.phi(float(own)) if np.isfinite(own) else np.nan for own in value])
        slopes = np.array([parameter.slope(float(own)) for own in at])
        return parameter.naturals, at, error / np.abs(slopes)
    return _of_mean(fit.family, kind, value, error, link)


def _of_mean(
    family: Family, kind: str, value: Array, error: Array, link: tuple[Array, Array] | None
) -> tuple[Callable[[Array], Array], Array, Array]:
    of_link = family.link in WHOLE_LINE if family.support in UNIT else family.link == "log"
    of_link = (of_link or family.support == "numbers") and (kind == "mean" or family.mean_is_response)
    if of_link:
        if link is not None:
            return family.mean, *link
        at = np.asarray(family.link_of_mean(value))
        return family.mean, at, error / np.abs(slope(lambda x: np.asarray(family.mean(x)), at))
    there, back, derivative = LOGIT if family.support in UNIT else PLAIN if family.support == "numbers" else LOG
    with np.errstate(divide="ignore", invalid="ignore"):
        return back, there(value), error / derivative(value)


def follows(kind: str, family_mean_is_response: bool, variance: Array) -> bool:
    """Whether predictions follow from one linear predictor without anything drawn anew."""
    alone = kind not in ("response",) or family_mean_is_response
    return alone and not (np.sqrt(variance) > NO_SPREAD).any()
