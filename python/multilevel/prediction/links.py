"""Means as functions of the linear predictor: their derivatives, and both averaged over a normal distribution.

With eta ~ N(m, V) the average E f(eta) of any f has the derivatives E f' in m and E f'' / 2 in V (Price 1958), so that
averages of the derivatives of the mean are all that slopes and the delta method need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MOST = 4  # order of derivatives
REACH = 8.7  # standard deviations; what lies beyond is below the last digit
# Half the width of the strip around the real line in which the mean is analytic and does not grow.
STRIP = {"logit": np.pi, "cloglog": 0.5 * np.pi, "loglog": 0.5 * np.pi, "cauchit": 1.0}
NO_AVERAGE = ("inverse", "inverse_squared")


def derivatives(link: str, eta: Array, order: int) -> list[Array]:
    """The mean at `eta` and its first derivatives, `order` of them, each of the shape of `eta`.

    Parameters
    ----------
    link : str
        A link of the families.
    eta : ndarray
    order : int
        From 0 to 4.

    Returns
    -------
    list of ndarray
    """
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        return _DERIVATIVES[link](eta, order)[: order + 1]


def averages(link: str, eta: Array, variance: Array, order: int) -> list[Array]:
    """The same averaged over a normal distribution of the linear predictor with these means and variances.

    In closed form where there is one (identity, log, sqrt, probit); else by the trapezoidal rule, whose error falls
    exponentially with the number of its nodes for functions that are analytic in a strip around the real line, as the
    means of all links are (Trefethen & Weideman 2014, SIAM Review 56:385-458): to the last digits, however large
    the variance.

    Parameters
    ----------
    link : str
    eta, variance : ndarray, (n,)
    order : int
        From 0 to 4.

    Returns
    -------
    list of ndarray, (n,)

    Raises
    ------
    DataError
        The mean of the link has a pole, so that the average does not exist.
    """
    if not variance.any():
        return derivatives(link, eta, order)
    if link in NO_AVERAGE:
        raise DataError(
            f"the {link} link has no mean over normally distributed random effects (the linear predictor may be "
            "anything, and a mean must be above zero): use random='zero' or random='conditional'"
        )
    if link == "probit":
        # Phi(m / sqrt(1 + V))
        shrink = 1.0 / np.sqrt(1.0 + variance)
        return [shrink**k * own for k, own in enumerate(derivatives(link, eta * shrink, order))]
    if link == "log":
        return derivatives(link, eta + 0.5 * variance, order)
    if link in ("identity", "sqrt"):
        found = derivatives(link, eta, order)
        found[0] = found[0] + (variance if link == "sqrt" else 0.0)
        return found
    return by_nodes(lambda at, _: derivatives(link, at, order), eta, variance, STRIP[link])


def by_nodes(
    function: Callable[[Array, NDArray[np.intp]], list[Array]],
    eta: Array,
    variance: Array,
    strip: float,
    growth: float = 0.0,
) -> list[Array]:
    """Averages of functions of a normal variable by the trapezoidal rule.

    Parameters
    ----------
    function : callable
        Of (k,) points and the (k,) rows that they belong to; gives several arrays of (k,) values.
    eta, variance : ndarray, (n,)
        Mean and variance.
    strip : float
        Half the width of the strip in which they are analytic.
    growth : float
        c, where they grow as exp(c eta).

    Returns
    -------
    list of ndarray, (n,)
    """
    # rows that lack a value have none here either
    sd = np.sqrt(np.where(np.isfinite(variance), variance, 0.0))
    # rows of similar spread share their nodes: those of a large one need many
    octave = np.ceil(2.0 * np.log2(np.maximum(sd, 1e-3))).astype(int)
    results: list[Array] = []
    for own in np.unique(octave):
        rows = np.flatnonzero(octave == own)
        mean, scale = eta[rows], sd[rows]
        most = float(scale.max())
        width = strip / max(most, 1e-300)
        step = min(0.7, 2.0 * np.pi * width / (45.0 + 0.5 * width**2)) if width < 1e3 else 0.7
        nodes = step * np.arange(np.floor(-REACH / step), np.ceil((REACH + growth * most) / step) + 1.0)
        weights = step / np.sqrt(2.0 * np.pi) * np.exp(-0.5 * nodes**2)
        total: list[Array] = []
        for node, weight in zip(nodes, weights, strict=True):
            values = function(mean + scale * node, rows)
            if not total:
                total = [weight * value for value in values]
                continue
            for so_far, value in zip(total, values, strict=True):
                so_far += weight * value
        if not results:
            results = [np.empty(len(eta)) for _ in total]
        for result, value in zip(results, total, strict=True):
            result[rows] = value
    return results


# ---- one function per link ---------------------------------------------------------------------------------------


def _identity(eta: Array, _: int) -> list[Array]:
    return [eta, np.ones_like(eta), *[np.zeros_like(eta)] * 3]


def _log(eta: Array, order: int) -> list[Array]:
    return [np.exp(eta)] * (order + 1)


def _sqrt(eta: Array, _: int) -> list[Array]:
    return [eta * eta, 2.0 * eta, np.full_like(eta, 2.0), np.zeros_like(eta), np.zeros_like(eta)]


def _inverse(eta: Array, _: int) -> list[Array]:
    one = 1.0 / eta
    return [one, -(one**2), 2.0 * one**3, -6.0 * one**4, 24.0 * one**5]


def _inverse_squared(eta: Array, _: int) -> list[Array]:
    one = eta**-0.5
    return [one, -0.5 * one**3, 0.75 * one**5, -1.875 * one**7, 6.5625 * one**9]


def _logit(eta: Array, order: int) -> list[Array]:
    small = np.exp(-np.abs(eta))
    one = 1.0 / (1.0 + small)
    p = np.where(eta >= 0.0, one, small * one)
    q = small * one * one
    found = [p, q]
    if order > 1:
        found.append(q * (1.0 - 2.0 * p))
    if order > 2:
        found += [q * (1.0 - 6.0 * q), found[2] * (1.0 - 12.0 * q)]
    return found


def _probit(eta: Array, _: int) -> list[Array]:
    from scipy.special import ndtr

    density = np.exp(-0.5 * eta**2) / np.sqrt(2.0 * np.pi)
    return [ndtr(eta), density, -eta * density, (eta**2 - 1.0) * density, (3.0 * eta - eta**3) * density]


def _cloglog(eta: Array, order: int) -> list[Array]:
    rate = np.exp(np.minimum(eta, 700.0))
    slope = np.exp(np.minimum(eta, 700.0) - rate)
    bends = (1.0 - rate, 1.0 - 3.0 * rate + rate**2, 1.0 - 7.0 * rate + 6.0 * rate**2 - rate**3)
    # far to the right the slope is zero, whatever it is multiplied by
    return [-np.expm1(-rate), slope, *(np.where(slope > 0, slope * bend, 0.0) for bend in bends[: max(order - 1, 0)])]


def _cauchit(eta: Array, _: int) -> list[Array]:
    one = 1.0 / (1.0 + eta**2)
    return [
        np.arctan2(1.0, -eta) / np.pi,
        one / np.pi,
        -2.0 * eta * one**2 / np.pi,
        (6.0 * eta**2 - 2.0) * one**3 / np.pi,
        24.0 * eta * (1.0 - eta**2) * one**4 / np.pi,
    ]


def _loglog(eta: Array, order: int) -> list[Array]:
    """One less the mean of cloglog at -eta; the mean itself by its own exponential, which keeps small ones."""
    other = _cloglog(-eta, max(order, 1))
    return [np.exp(-np.exp(-eta)), *((-1.0) ** (k + 1) * own for k, own in enumerate(other[1:], 1))]


_DERIVATIVES = {
    "identity": _identity,
    "log": _log,
    "sqrt": _sqrt,
    "inverse": _inverse,
    "inverse_squared": _inverse_squared,
    "logit": _logit,
    "probit": _probit,
    "cloglog": _cloglog,
    "loglog": _loglog,
    "cauchit": _cauchit,
}
