"""Means of functions of normal variables, row by row: what is left of random effects when they are integrated out.

The trapezoidal rule on the whole line: for functions analytic around it, as the inverse links are, its error falls
geometrically with the number of nodes, to rounding (Trefethen and Weideman 2014). Gauss-Hermite rules, which are better
for few nodes, lose that where the normal distribution is wide: the poles of the logistic function come near.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .links import NO_AVERAGE, averages

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    # of points (rows, nodes, variables) and the rows that they belong to, values (rows, nodes)
    Function = Callable[[Array, slice], Array]

REACH = 8.5  # standard deviations, beyond which the normal density is below rounding
FIRST_STEP = 0.5  # standard deviations: twice that is already exact to 1e-8 for the density alone
AGREE = 1e-7  # of two steps, one twice the other: the error of the finer is the square of that
SMALLEST_STEP = 0.02
POINTS = 40_000  # evaluated at once: they stay in cache
NO_SPREAD = 1e-9  # a standard deviation below which the mean is the function's value, to rounding


@dataclass(frozen=True)
class Means:
    """Means of a function of n rows, d normal variables each.

    Attributes
    ----------
    value : ndarray, (n,)
    by_centre, by_variance : ndarray, (n, d)
        Derivatives with respect to the means and the variances of the variables.
    """

    value: Array
    by_centre: Array
    by_variance: Array


@dataclass(frozen=True)
class Grid:
    """Nodes (k, d) in standard deviations, weights that add up to one, and which nodes twice the step has, too."""

    nodes: Array
    weights: Array
    coarse: NDArray[np.bool_]


def grid(step: float, dimension: int, shift: float = 0.0) -> Grid:
    """The trapezoidal rule of a standard normal distribution in several dimensions.

    Parameters
    ----------
    step : float
        Standard deviations between nodes.
    dimension : int
    shift : float
        How much further than the density a function that grows exponentially reaches.
    """
    most = int(np.ceil((REACH + shift) / step))
    places = np.arange(-most, most + 1)
    nodes = np.stack(np.meshgrid(*[step * places] * dimension, indexing="ij"), -1).reshape(-1, dimension)
    even = np.asarray((np.rint(nodes / step) % 2 == 0).all(axis=1), dtype=np.bool_)
    weights = np.exp(-0.5 * (nodes**2).sum(axis=1))
    return Grid(nodes, weights / weights.sum(), even)


def normal_mean(function: Function, centre: Array, sd: Array) -> Means:
    """E f(centre + sd z) for independent standard normal z, with derivatives, exact to about 1e-13.

    Parameters
    ----------
    function : callable
        Values (rows, nodes) at points (rows, nodes, d) of the rows of a slice.
    centre, sd : ndarray, (n, d)

    Returns
    -------
    Means
        Derivatives by Stein's identities, dE/dcentre = E(f z) / sd and dE/dvariance = E(f (z^2 - 1)) / (2 sd^2): the
        nodes that make the value make them, too. Those with respect to a variance of zero are zero.

    Raises
    ------
    FloatingPointError
        The nodes do not settle: the function is not smooth, or its mean does not exist.
    """
    widest = float(np.max(sd, initial=0.0))
    # the poles of the logistic function lie at pi; others are found out by halving
    step = min(FIRST_STEP, 0.55 / max(widest, NO_SPREAD))
    while True:
        result, agree = _by_rule(function, centre, sd, grid(step, centre.shape[1], widest))
        if agree:
            return result
        step *= 0.5
        if step < SMALLEST_STEP:
            raise FloatingPointError("the mean over the random effects does not settle")


def _by_rule(function: Function, centre: Array, sd: Array, rule: Grid) -> tuple[Means, bool]:
    """The means by one rule, and whether those by every other of its nodes are the same."""
    n, d = centre.shape
    moments = np.column_stack([np.ones(len(rule.weights)), rule.nodes, rule.nodes**2 - 1.0]) * rule.weights[:, None]
    half = np.where(rule.coarse, rule.weights, 0.0)
    columns = np.column_stack([moments, half / half.sum()])
    sums = np.empty((n, columns.shape[1]))
    rows = max(1, POINTS // len(rule.weights))
    for start in range(0, n, rows):
        at = slice(start, min(start + rows, n))
        sums[at] = function(centre[at, None, :] + sd[at, None, :] * rule.nodes, at) @ columns
    with np.errstate(divide="ignore", invalid="ignore"):
        by_centre = np.where(sd > NO_SPREAD, sums[:, 1 : 1 + d] / sd, 0.0)
        by_variance = np.where(sd > NO_SPREAD, sums[:, 1 + d : 1 + 2 * d] / (2.0 * sd**2), 0.0)
    value = sums[:, 0]
    known = np.isfinite(value)
    agree = np.abs(sums[known, -1] - value[known]) <= AGREE * np.abs(value[known])
    return Means(value, by_centre, by_variance), bool(agree.all())


# ---- inverse links ---------------------------------------------------------------------------------------------------


def mean_of_link(link: str, centre: Array, sd: Array) -> Means | None:
    """The same for an inverse link, (n,) each, from its own derivatives; None where it has no mean.

    The derivatives have shape (n, 1).
    """
    if link in NO_AVERAGE:
        return None
    value, by_centre, bend = averages(link, centre, sd**2, 2)
    return Means(value, by_centre[:, None], 0.5 * bend[:, None])


# ---- derivatives -----------------------------------------------------------------------------------------------------

STENCIL = ((1, 0.75), (2, -0.15), (3, 1.0 / 60.0))  # central differences, exact to the sixth order


def slope(function: Callable[[Array], Array], at: Array, step: Array | float = 0.01) -> Array:
    """Derivatives of a smooth function, element by element, to about 1e-12 of its size."""
    total = np.zeros_like(at)
    for k, weight in STENCIL:
        total += weight * (function(at + k * step) - function(at - k * step))
    return total / step
