"""Probabilities of ordered categories as functions of a linear predictor and of thresholds, with their derivatives.

Over random effects they are averaged along the one line on which these move the linear predictor. All that is said of
ordered categories after a fit is made of `probabilities`: a family that makes them in another way needs one more
function in `LAWS`, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .links import averages, derivatives

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..family.registry import Family

    Array = NDArray[np.float64]

MIRRORED = {"cloglog": "loglog", "loglog": "cloglog"}  # links of 1 - F(-x); the others are their own


@dataclass(frozen=True)
class CategoryLaw:
    """Probabilities of C categories in n rows.

    Attributes
    ----------
    by_eta : tuple of ndarray, (n, C)
        The probabilities and their derivatives by the linear predictor, in their order. Half of the second one is the
        derivative by the variance of the linear predictor.
    by_thresholds : tuple of ndarray, (n, C, C - 1) or (n, C - 1)
        Derivatives of the same by the thresholds; one order less. Where a threshold moves the two categories beside it
        alone, and as much from the one as to the other, of the lower one only.
    """

    by_eta: tuple[Array, ...]
    by_thresholds: tuple[Array, ...]

    def along_thresholds(self, weights: Array, order: int = 0) -> Array:
        """Derivatives by the thresholds of the sum of probabilities with these weights, (n, C - 1)."""
        own = self.by_thresholds[order]
        if own.ndim == 2:
            return np.asarray(own * (weights[:-1] - weights[1:]))
        return np.einsum("nck,c->nk", own, weights)


def probabilities(
    family: Family, eta: Array, thresholds: Array, variance: Array | None = None, order: int = 0
) -> CategoryLaw:
    """The probabilities at these predictors, or averaged over normal ones.

    Parameters
    ----------
    family : Family
    eta : ndarray, (n,)
        Linear predictors, or their means.
    thresholds : ndarray, (n, C - 1)
    variance : ndarray, (n,), optional
        Of the linear predictors; zero without it.
    order : int
        Of derivatives, from 0 to 4.

    Raises
    ------
    DataError
        No law of the family's categories is known.
    """
    if family.name not in LAWS:
        raise DataError(
            f"of the categories of the {family.name} family there are no averages, derivatives or errors; "
            "predict(kind='probabilities') has the probabilities themselves"
        )
    return LAWS[family.name](family, eta, thresholds, variance, order)


def _cumulative(family: Family, eta: Array, thresholds: Array, variance: Array | None, order: int) -> CategoryLaw:
    """Differences of distribution functions, of that tail which is the smaller one."""
    n, between = thresholds.shape
    at = (thresholds - eta[:, None]).ravel()
    spread = None if variance is None else np.repeat(variance, between)

    def means(link: str, x: Array, order: int) -> list[Array]:
        found = derivatives(link, x, order) if spread is None else averages(link, x, spread, order)
        return [own.reshape(n, between) for own in found[: order + 1]]

    below = means(family.link, at, order)
    above = means(MIRRORED.get(family.link, family.link), -at, 0)[0]
    none, one = np.zeros((n, 1)), np.ones((n, 1))
    up, down = np.hstack([none, below[0], one]), np.hstack([one, above, none])
    by_eta = [
        family.category_probabilities(eta, thresholds)  # narrow categories, too, to their last digits
        if variance is None
        else np.maximum(np.where(up[:, 1:] < 0.5, np.diff(up), -np.diff(down)), 0.0)
    ]
    by_thresholds = []
    for k, own in enumerate(below[1:]):
        sign = -1.0 if k % 2 else 1.0
        by_eta.append(-sign * np.diff(np.hstack([none, own, none])))
        by_thresholds.append(sign * own)
    return CategoryLaw(tuple(by_eta), tuple(by_thresholds))


LAWS: dict[str, Callable[[Family, Array, Array, Array | None, int], CategoryLaw]] = {"cumulative": _cumulative}
