"""Cumulative probabilities of responses: the interval that each puts a row at, with both of its tails."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import DataError
from .distributions import distribution
from .registry import Family

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

CELLS = 2_000_000  # of the tables that distributions without a closed form make, at a time


class Interval(NamedTuple):
    """Probabilities of less than a response and of no more than it, and of no less and of more, (n,) each.

    They are equal in pairs where the response has no mass of its own. A row that is known in part has the interval of
    all that it may be.
    """

    below: Array
    to: Array
    above_below: Array
    above: Array

    def at(self, share: Array) -> tuple[Array, Array]:
        """The points that divide the intervals at `share`, by probability below and above."""
        return (
            self.below + share * (self.to - self.below),
            self.above + (1.0 - share) * (self.above_below - self.above),
        )


def interval(
    family: Family,
    eta: Array,
    phi: Array,
    y: Array,
    *,
    size: Array | None = None,
    other_end: Array | None = None,
    weights: Array | None = None,
) -> Interval:
    """Where responses stand in their distributions, zero parts, truncation and censoring in them.

    Parameters
    ----------
    family : Family
    eta : (n,) ndarray
        Linear predictors.
    phi : (n_phi,) or (n, n_phi) ndarray
        The family's parameters as the fit moves them.
    y : (n,) ndarray
    size, other_end : (n,) ndarray, optional
        Trials; the other end of what is known of a response.
    weights : (n,) ndarray, optional
        Prior weights. They divide the variance of families on all numbers; elsewhere they count a row several times,
        and its distribution is that of unit weight.

    Raises
    ------
    DataError
        The family is one of the user's own, of which the density alone is known.
    """
    if family.in_python:
        raise DataError(
            f"the family {family.name!r} has a density in Python, and no cumulative probabilities: quantile residuals "
            "and check() are not for it; residuals of the other kinds are"
        )
    n = len(eta)
    phi = np.broadcast_to(phi, (n, phi.shape[-1])) if phi.size else np.empty((n, 0))
    trials = np.ones(n) if size is None else size
    if family.kinds:
        whole = np.empty((4, n))
        for _, own_family, at, own_phi in family.split(phi):
            of_rows = None if weights is None else weights[at]
            end = other_end[at] if other_end is not None and own_family.censored else None
            whole[:, at] = interval(
                own_family, eta[at], own_phi, y[at], size=trials[at], other_end=end, weights=of_rows
            )
        return Interval(*whole)
    parameters = _natural(family, phi, weights)
    result = np.empty((4, n))
    for rows in _batches(family, phi, y):
        own = {name: values[rows] for name, values in parameters.items()}
        end = None if other_end is None else other_end[rows]
        result[:, rows] = _interval(family, eta[rows], own, y[rows], trials[rows], end)
    return Interval(*result)


def interval_of_categories(probabilities: Array, y: Array) -> Interval:
    """Where responses among ordered categories stand.

    Parameters
    ----------
    probabilities : ndarray, (n, C)
        Of the categories, in their order.
    y : ndarray, (n,)
        Numbers of the categories, from 1.
    """
    none = np.zeros((len(y), 1))
    below = np.hstack([none, np.cumsum(probabilities, axis=1)])
    above = np.hstack([np.cumsum(probabilities[:, ::-1], axis=1)[:, ::-1], none])
    rows, own = np.arange(len(y)), y.astype(np.intp)
    found = below[rows, own - 1], below[rows, own], above[rows, own - 1], above[rows, own]
    return Interval(*(np.clip(tail, 0.0, 1.0) for tail in found))


def zero_probability(family: Family, eta: Array, phi: Array, size: Array | None = None) -> Array:
    """Probability of a zero of each row, zero parts in it; one where a family has none. (n,)."""
    found = interval(family, eta, phi, np.zeros(len(eta)), size=size)
    return found.to - found.below


def _natural(family: Family, phi: Array, weights: Array | None) -> dict[str, Array]:
    found = {own.name: own.naturals(phi[:, k]) for k, own in enumerate(family.parameters)}
    if weights is not None and family.support == "numbers":
        found["sigma"] = found["sigma"] / np.sqrt(weights)
    return found


def _batches(family: Family, phi: Array, y: Array) -> list[NDArray[np.intp]]:
    """Rows of parameters that are all at their limit or all inside, few enough at a time."""
    limits = np.zeros(len(y), dtype=np.int64)
    for k, own in enumerate(family.parameters):
        limits += (1 << k) * ((phi[:, k] >= own.limit) | (phi[:, k] <= own.lower_limit))
    largest = np.max(np.abs(y), initial=1.0) + 30.0
    most = max(1, int(CELLS / largest)) if family.support.endswith("counts") else CELLS
    batches = []
    for value in np.unique(limits):
        rows = np.flatnonzero(limits == value)
        batches += [rows[start : start + most] for start in range(0, len(rows), most)]
    return batches


def _interval(
    family: Family, eta: Array, parameters: dict[str, Array], y: Array, trials: Array, other_end: Array | None
) -> Array:
    own = dict(parameters)
    zero = own.pop("zero_probability", None)
    name = family.name.removeprefix("truncated_")
    base = distribution(Family(name, family.link), family.mean(eta), own, trials)
    discrete = family.support in ("counts", "positive counts", "trials")
    truncated = name != family.name or (family.zero == "hurdle" and discrete)
    if other_end is not None:
        return _known_in_part(base, y, other_end)
    if discrete:
        below, to = _tails(base, y - 1.0), _tails(base, y)
        if truncated:
            at_zero = _tails(base, np.zeros_like(y))
            below, to = _truncated(below, at_zero), _truncated(to, at_zero)
    else:
        to = _tails(base, y)
        before = y if not _has_mass(family, y).any() else np.where(_has_mass(family, y), np.nextafter(y, -np.inf), y)
        below = to if before is y else _tails(base, before)
    if zero is not None:
        below, to = _with_zeros(below, y > 0, zero), _with_zeros(to, y >= 0, zero)
    return np.stack([below[0], to[0], below[1], to[1]])


def _has_mass(family: Family, y: Array) -> NDArray[np.bool_]:
    """Where a response of a family of numbers has a probability of its own, without a zero part."""
    if family.support == "closed unit":
        return (y == 0) | (y == 1)
    return (y == 0) & family.has_own_zeros


def _tails(base: Any, y: Array) -> tuple[Array, Array]:
    to = np.asarray(base.cdf(y), dtype=np.float64)
    return to, np.asarray(base.sf(y), dtype=np.float64) if hasattr(base, "sf") else 1.0 - to


def _truncated(tails: tuple[Array, Array], at_zero: tuple[Array, Array]) -> tuple[Array, Array]:
    """Given that a count is above zero."""
    return np.maximum(tails[0] - at_zero[0], 0.0) / at_zero[1], np.minimum(tails[1] / at_zero[1], 1.0)


def _with_zeros(tails: tuple[Array, Array], reached: NDArray[np.bool_], zero: Array) -> tuple[Array, Array]:
    """A share of zeros beside the family: all of it below where zero is reached."""
    return np.where(reached, zero, 0.0) + (1.0 - zero) * tails[0], np.where(reached, 0.0, zero) + (1.0 - zero) * tails[
        1
    ]


def _known_in_part(base: Any, y: Array, other_end: Array) -> Array:
    """Between the ends of what a response may be: minus infinity is all below, infinity all above."""
    low = np.where(np.isneginf(other_end), -np.inf, y)
    high = np.where(np.isneginf(other_end), y, other_end)
    below, to = _tails(base, low), _tails(base, high)
    return np.stack([below[0], to[0], below[1], to[1]])
