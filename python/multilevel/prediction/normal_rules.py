"""Points and weights for means over several independent standard normal variables.

The trapezoidal rule of a lattice of points in each direction, cut to a ball: of functions that are analytic near the
real axis its error falls exponentially with the spacing (Trefethen and Weideman 2014), so that the spacing follows from
how far off the nearest pole is and from the accuracy that is asked for. Where that takes too many points, digital nets
(Sobol' sequences, scrambled as Owen has it), whose repetitions tell the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtri, gammaln, ndtri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ACCURACIES = (1e-10, 1e-8, 1e-6)
LEAST_POINTS = 6_000  # that may always be used, however many rows there are
MOST_POINTS = 30_000
MOST_CUBE = 4_000_000  # points before the ball is cut out
NETS, NET, SMALL_NET = 8, 2_048, 512  # repetitions, and points of each: of few rows, and of many
SEED = 20_020_823  # of the scrambling: the same points each time


@dataclass(frozen=True, eq=False)
class Rule:
    """A rule for functions that lie between zero and one.

    Attributes
    ----------
    points : ndarray, (k, d)
    weights : ndarray, (k,)
        They add up to one.
    parts : tuple of Rule
        Random parts of it that make estimates of their own; none of the trapezoidal rule.
    accuracy : float
        Of the trapezoidal rule the bound that its spacing was made for; NaN of others, whose parts tell it.
    """

    points: Array
    weights: Array
    parts: tuple[Rule, ...] = ()
    accuracy: float = np.nan


def spacing(spread: float, accuracy: float) -> float:
    """Between points, for a logistic function of `spread` times a standard normal variable.

    The function has a pole at a = pi / spread from the real axis; the error of spacing h is the least of
    exp(b^2 / 2 - 2 pi b / h) over all b up to a.
    """
    digits = -np.log(accuracy)
    smooth = np.pi * np.sqrt(2.0 / digits)  # of the density alone
    pole = np.pi / max(spread, 1e-9)
    return float(smooth if pole >= 2.0 * np.pi / smooth else 2.0 * np.pi * pole / (digits + 0.5 * pole**2))


def rule(spreads: Array, n_rows: int = 1) -> Rule:
    """The most accurate rule that a number of rows allows.

    Parameters
    ----------
    spreads : ndarray, (d,)
        How far one unit of each variable moves differences of linear predictors at most.
    n_rows : int
        How often it is used: more rows have fewer points.
    """
    d = len(spreads)
    if not d:
        return Rule(np.zeros((1, 0)), np.ones(1), accuracy=0.0)
    most = int(np.clip(60_000_000 // max(n_rows, 1), LEAST_POINTS, MOST_POINTS))
    for accuracy in ACCURACIES:
        steps = np.array([spacing(float(own), accuracy) for own in spreads])
        radius = float(np.sqrt(chdtri(d, accuracy)))
        sides = 2.0 * np.floor(radius / steps) + 1.0
        volume = np.exp(0.5 * d * np.log(np.pi) - gammaln(0.5 * d + 1.0) + d * np.log(radius) - np.log(steps).sum())
        if volume <= most and np.prod(sides) <= MOST_CUBE:
            return _trapezoidal(steps, radius, accuracy)
    return _nets(d, NET if most > NETS * NET else SMALL_NET)


def _trapezoidal(steps: Array, radius: float, accuracy: float) -> Rule:
    places = [step * np.arange(-int(radius / step), int(radius / step) + 1) for step in steps]
    points = np.stack(np.meshgrid(*places, indexing="ij"), axis=-1).reshape(-1, len(steps))
    square = (points**2).sum(axis=1)
    inside = square <= radius**2
    weights = np.exp(-0.5 * square[inside])
    return Rule(points[inside], weights / weights.sum(), accuracy=accuracy)


def _nets(d: int, size: int) -> Rule:
    from scipy.stats import qmc

    nets = [qmc.Sobol(d, scramble=True, seed=SEED + k).random(size) for k in range(NETS)]
    points = ndtri(np.clip(np.vstack(nets), 1e-16, 1.0 - 1e-16))
    parts = tuple(Rule(own, np.full(size, 1.0 / size)) for own in np.split(points, NETS))
    return Rule(points, np.full(len(points), 1.0 / len(points)), parts)
