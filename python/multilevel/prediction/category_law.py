"""Probabilities of ordered categories as functions of a linear predictor and of thresholds, with their derivatives.

Over random effects they are averaged along the one line on which these move the linear predictor. All that is said of
ordered categories after a fit is made of `probabilities`: a family that makes them in another way needs one more
function in `LAWS`, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .links import averages, derivatives

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..family.registry import Family

    Array = NDArray[np.float64]

NODES = tuple(np.polynomial.hermite_e.hermegauss(61))
NODES = (NODES[0], NODES[1] / NODES[1].sum())
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
    by_log_scale : ndarray, (n, C), or None
        Derivatives of the probabilities by the logarithm of a scale, where there is one.
    """

    by_eta: tuple[Array, ...]
    by_thresholds: tuple[Array, ...]
    by_log_scale: Array | None = None

    def along_thresholds(self, weights: Array, order: int = 0) -> Array:
        """Derivatives by the thresholds of the sum of probabilities with these weights, (n, C - 1)."""
        own = self.by_thresholds[order]
        if own.ndim == 2:
            return np.asarray(own * (weights[:-1] - weights[1:]))
        return np.einsum("nck,c->nk", own, weights)


def probabilities(
    family: Family,
    eta: Array,
    thresholds: Array,
    variance: Array | None = None,
    order: int = 0,
    log_scale: Array | None = None,
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
    log_scale : ndarray, (n,), optional
        Logarithm of what distances of the predictors from the thresholds are divided by.

    Raises
    ------
    DataError
        No law of the family's categories is known.
    """
    if log_scale is not None:
        return _scaled(family, eta, thresholds, log_scale, variance, order)
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


def _scaled(
    family: Family, eta: Array, thresholds: Array, log_scale: Array, variance: Array | None, order: int
) -> CategoryLaw:
    """The cumulative law with predictors, thresholds and standard deviations divided by the scale: a larger one brings
    the first two closer to each other, and makes the variance less.
    """
    per = np.exp(-log_scale)
    spread = None if variance is None else variance * per**2
    # the derivative by the scale needs one by the variance
    least = order if not order or spread is None else max(order, 2)
    near, at = eta * per, thresholds * per[:, None]
    own = _cumulative(family, near, at, spread, least)
    by_log_scale = None
    if order:
        moved = own.by_thresholds[0] * (at - near[:, None])
        none = np.zeros((len(eta), 1))
        by_log_scale = -np.diff(np.hstack([none, moved, none]))
        if spread is not None:
            by_log_scale -= spread[:, None] * own.by_eta[2]
    powers = [(per**k)[:, None] for k in range(order + 2)]
    return CategoryLaw(
        tuple(values * power for values, power in zip(own.by_eta[: order + 1], powers, strict=False)),
        tuple(values * power for values, power in zip(own.by_thresholds[:order], powers[1:], strict=False)),
        by_log_scale,
    )


def _by_densities(family: Family, eta: Array, thresholds: Array, variance: Array | None, order: int) -> CategoryLaw:
    """From the log densities of families of which all thresholds are parameters; averages by Gauss-Hermite rules."""
    if variance is None:
        return _at(family, eta, thresholds, order)
    sums: CategoryLaw | None = None
    for node, weight in zip(*NODES, strict=True):
        own = _at(family, eta + node * np.sqrt(variance), thresholds, order)
        scaled = CategoryLaw(tuple(weight * x for x in own.by_eta), tuple(weight * x for x in own.by_thresholds))
        sums = (
            scaled
            if sums is None
            else CategoryLaw(
                tuple(a + b for a, b in zip(sums.by_eta, scaled.by_eta, strict=True)),
                tuple(a + b for a, b in zip(sums.by_thresholds, scaled.by_thresholds, strict=True)),
            )
        )
    assert sums is not None
    return sums


def _at(family: Family, eta: Array, thresholds: Array, order: int) -> CategoryLaw:
    """At one linear predictor a row."""
    densities = family.category_derivatives(eta, thresholds)
    by_eta = [[_products(own["value"], [own[f"d{k}"] for k in range(1, 5)], k) for own in densities] for k in range(5)]
    by_thresholds = [
        np.stack(
            [
                np.column_stack(
                    [
                        sum(comb(k, j) * by_eta[k - j][c] * own[f"phi{r}_d{j}"] for j in range(k + 1))
                        for r in range(thresholds.shape[1])
                    ]
                )
                for c, own in enumerate(densities)
            ],
            axis=1,
        )
        for k in range(order)
    ]
    return CategoryLaw(tuple(np.column_stack(by_eta[k]) for k in range(order + 1)), tuple(by_thresholds))


def _products(log: Array, d: list[Array], k: int) -> Array:
    """The k-th derivative of exp(l), from l and its derivatives."""
    one, two, three, four = d
    factor = (
        np.ones_like(log),
        one,
        one**2 + two,
        one**3 + 3.0 * one * two + three,
        one**4 + 6.0 * one**2 * two + 3.0 * two**2 + 4.0 * one * three + four,
    )[k]
    return np.asarray(np.exp(log) * factor)


LAWS: dict[str, Callable[[Family, Array, Array, Array | None, int], CategoryLaw]] = {
    "cumulative": _cumulative,
    **dict.fromkeys(("adjacent", "continuation", "reverse_continuation"), _by_densities),
}
