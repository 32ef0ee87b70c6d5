"""Probabilities of choices as functions of linear predictors, or averaged over normal ones, with their derivatives.

With p = exp(eta) / sum exp(eta) all that is needed are means of p, of products of two and of three: the derivatives of
a softmax are polynomials in it. Only differences of predictors matter, so that K of them vary in K - 1 directions at
most, and in as many as there are random effects; means are taken along the principal axes of what the effects make.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement, permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FitWarning, warn_caller
from .normal_rules import Rule, rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

NOTHING = 1e-14  # relative to the largest variance, or to one: of a direction in which nothing varies
FAR = 200.0  # between logarithms whose exponentials are multiplied
FEW = 8  # rows that should share what random effects do, on average, to be treated together
AT_ONCE = 1_000_000  # numbers at a time
JUDGED = 100  # rows from which the accuracy is told
SAID = 1e-4  # an error of probabilities from which on it is said


@dataclass(frozen=True, eq=False)
class ChoiceLaw:
    """Probabilities of K alternatives in n sets.

    Attributes
    ----------
    value : ndarray, (n, K)
    by_eta : ndarray, (n, K, K), or None
        Of each, by the linear predictor of each (the last axis).
    by_covariance : ndarray, (n, K, K, K), or None
        Of each by the covariance of the predictors, entry by entry: halves of second derivatives. None where nothing
        varies.
    accuracy : float
        Of the means that `value` is.
    """

    value: Array
    by_eta: Array | None = None
    by_covariance: Array | None = None
    accuracy: float = 0.0


def softmax(eta: Array) -> Array:
    """Of the last axis, exp(eta) over their sum, which is one to rounding for any eta."""
    share = np.exp(eta - eta.max(axis=-1, keepdims=True))
    return np.asarray(share / share.sum(axis=-1, keepdims=True))


def softmax_in_sets(eta: Array, sets: NDArray[np.int32]) -> Array:
    """The same of alternatives whose sets are numbered, (n,); NaN all over a set that has one."""
    largest = np.full(int(sets.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(largest, sets, eta)
    share = np.exp(eta - largest[sets])
    return np.asarray(share / np.bincount(sets, weights=share)[sets])


def choice_law(eta: Array, covariance: Array | None = None, order: int = 0) -> ChoiceLaw:
    """The probabilities at these predictors, or averaged over normal ones.

    Parameters
    ----------
    eta : ndarray, (n, K)
        Linear predictors, or their means.
    covariance : ndarray, (n, K, K), optional
        Of the predictors; without it they are what they are.
    order : {0, 1}
        Whether derivatives are wanted.

    Warns
    -----
    FitWarning
        Averages are good to fewer than four digits.
    """
    axes = None if covariance is None else principal_axes(covariance)
    if axes is None or not axes.shape[2]:
        p = softmax(eta)
        if not order:
            return ChoiceLaw(p)
        two = p[:, :, None] * p[:, None, :]
        if covariance is None:
            return ChoiceLaw(p, _first(p, two))
        return ChoiceLaw(p, _first(p, two), _second(p, two, two[:, :, :, None] * p[:, None, None, :]))
    own = rule((axes.max(axis=1) - axes.min(axis=1)).max(axis=0), len(eta))
    found, accuracy = _means(eta, axes, own, 3 if order else 1), own.accuracy
    if own.parts:
        some = slice(None, None, max(1, len(eta) // JUDGED))
        each = np.stack([_means(eta[some], axes[some], part, 1)[0] for part in own.parts])
        accuracy = float(each.std(axis=0, ddof=1).max() / np.sqrt(len(each)))
    if accuracy > SAID:
        warn_caller(
            f"probabilities averaged over {axes.shape[2]} random effects of a row are accurate to about {accuracy:.0e}",
            FitWarning,
        )
    if not order:
        return ChoiceLaw(found[0], accuracy=accuracy)
    return ChoiceLaw(found[0], _first(*found[:2]), _second(*found), accuracy)


def principal_axes(covariance: Array) -> Array:
    """A with A A' the covariance of the predictors less their mean, (n, K, r), the widest direction first."""
    k = covariance.shape[-1]
    centred = np.eye(k) - 1.0 / k
    values, vectors = np.linalg.eigh(centred @ covariance @ centred)
    values, vectors = values[:, :0:-1], vectors[:, :, :0:-1]  # the last one is the mean itself
    r = int((values > NOTHING * max(values.max(initial=0.0), 1.0)).sum(axis=1).max(initial=0))
    return np.asarray(vectors[:, :, :r] * np.sqrt(np.maximum(values[:, None, :r], 0.0)))


def _means(eta: Array, axes: Array, own: Rule, degree: int) -> list[Array]:
    """Means of products of one, two, ... probabilities, up to three: (n, K), (n, K, K), (n, K, K, K)."""
    n, k = eta.shape
    result = [np.empty((n, *[k] * (d + 1))) for d in range(degree)]
    near = eta - eta.max(axis=1, keepdims=True)
    far = near.min(axis=1) < -FAR
    kinds, which = np.unique(axes.reshape(n, -1), axis=0, return_inverse=True)
    which = which.ravel()
    alone = far
    if len(kinds) > 1 and len(kinds) > n // FEW:
        alone[:] = True
    for kind in np.unique(which[~alone]):
        rows = np.flatnonzero((which == kind) & ~alone)
        shift = own.points @ axes[rows[0]].T
        if np.ptp(shift, axis=1).max() > FAR:
            alone[rows] = True
            continue
        step = max(1, AT_ONCE // len(own.points))
        for start in range(0, len(rows), step):
            at = rows[start : start + step]
            _same_axes(near[at], shift, own.weights, at, result)
    rows = np.flatnonzero(alone)
    step = max(1, AT_ONCE // (len(own.points) * k))
    for start in range(0, len(rows), step):
        at = rows[start : start + step]
        _own_axes(eta[at], axes[at], own, at, result)
    return result


def _same_axes(near: Array, shift: Array, weights: Array, at: NDArray[np.intp], result: list[Any]) -> None:
    """Of rows whose random effects are the same: exponentials factor into those of rows and those of points, and means
    of products are products of matrices.
    """
    row, point = np.exp(near), np.exp(shift - shift.max(axis=1, keepdims=True))
    inverse = 1.0 / (row @ point.T)
    power, k = np.ones_like(inverse), near.shape[1]
    for d, own in enumerate(result):
        power *= inverse
        several = list(combinations_with_replacement(range(k), d + 1))
        means = power @ np.column_stack([weights * point[:, places].prod(axis=1) for places in several])
        for places, mean in zip(several, means.T, strict=True):
            mean = mean * row[:, places].prod(axis=1)
            for each in set(permutations(places)):
                own[(at, *each)] = mean


def _own_axes(eta: Array, axes: Array, own: Rule, at: NDArray[np.intp], result: list[Any]) -> None:
    """Of rows that differ in what random effects do."""
    p = np.moveaxis(axes, 1, 0) @ own.points.T + eta.T[:, :, None]  # (K, rows, points)
    p -= p.max(axis=0)
    np.exp(p, out=p)
    p /= p.sum(axis=0)
    for d, target in enumerate(result):
        for places in combinations_with_replacement(range(len(p)), d + 1):
            product = p[places[0]]
            for place in places[1:]:
                product = product * p[place]
            mean = product @ own.weights
            for each in set(permutations(places)):
                target[(at, *each)] = mean


def _first(one: Array, two: Array) -> Array:
    """Derivatives of the means by the predictors, from means of products."""
    result = -two
    k = np.arange(one.shape[1])
    result[:, k, k] += one
    return np.asarray(result)


def _second(one: Array, two: Array, three: Array) -> Array:
    """Halves of their second derivatives."""
    result = 2.0 * three
    k = np.arange(one.shape[1])
    for j in k:
        result[:, j, j, :] -= two[:, j, :]
        result[:, j, :, j] -= two[:, j, :]
        result[:, :, j, j] -= two[:, :, j]
    result[:, k, k, k] += one
    return np.asarray(0.5 * result)
