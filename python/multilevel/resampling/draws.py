"""What a bootstrap draws: responses from the fitted law, clusters, or residuals and random effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..design.subset import n_units, take_levels
from ..errors import DataError
from ..prediction.simulate import generator, law, responses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..design.design import Design
    from ..fitting.record import Fit

    Array = NDArray[np.float64]

NEGLIGIBLE = 1e-10  # of the largest eigenvalue: a direction without any scatter


def from_law(fit: Fit, seed: int) -> Callable[[int, int], Array]:
    """New random effects and new responses."""
    response = fit.design.response
    if response.other_end is not None and response.limits is None:
        raise DataError(
            f"'{response.name}' is known by intervals, and in which of them a response drawn would be seen is not "
            "known: use kind='cases', which resamples rows with what is known of them"
        )
    own = law(fit)
    return lambda first, last: responses(own, seed, first, last)


def clusters(fit: Fit, at: int, seed: int, n: int) -> Iterator[Design]:
    """As many levels of a grouping factor as there are, drawn with repetition; rows, or sets
    of alternatives, where `at` is -1.
    """
    count = n_units(fit.design, at)
    for k in range(n):
        yield take_levels(fit.design, at, generator(seed, k).integers(0, count, count))


def without_each(fit: Fit, at: int) -> Iterator[Design]:
    """All levels but one."""
    count = n_units(fit.design, at)
    for k in range(count):
        yield take_levels(fit.design, at, np.delete(np.arange(count), k))


def residuals(fit: Fit, seed: int) -> Callable[[int, int], Array]:
    """Conditional modes and residuals drawn with repetition, after both were centred and given the variances that the
    model has estimated: as they are they vary less, because modes are shrunken.

    Raises
    ------
    DataError
        The model is not linear.

    References
    ----------
    Carpenter, Goldstein & Rasbash (2003) Appl. Statist. 52:431-443.
    """
    if not fit.is_linear:
        raise DataError(
            f"kind='residual' needs a linear model with one residual variance, and this is {fit.kind}: "
            f"elsewhere residuals are not exchangeable. Use kind='parametric' or 'cases'"
        )
    if fit.sigma is None or not np.isfinite(fit.psi).all():
        raise DataError(f"nothing can be drawn from a fit without estimates: {fit.message}")
    design = fit.design
    weight = np.ones(design.n_rows) if design.weights is None else np.sqrt(design.weights)
    left = (design.response.values - fit.eta) * weight
    left = left - left.mean()
    scatter = np.sqrt(np.mean(left**2))
    left = left * (fit.sigma / scatter) if scatter > 0 else left
    fixed = fit.linear_predictor(tuple(np.zeros_like(own) for own in fit.modes))
    effects = [_reflated(modes, _covariance(fit, f)) for f, modes in enumerate(fit.modes)]

    def one(k: int) -> Array:
        rng = generator(seed, k)
        drawn = tuple(own[rng.integers(0, len(own), len(own))] for own in effects)
        noise = left[rng.integers(0, len(left), len(left))] / weight
        return fixed + fit.random_part("", drawn) + noise

    return lambda first, last: np.stack([one(k) for k in range(first, last)], axis=1)


def _covariance(fit: Fit, factor: int) -> Array:
    """Of all random effects of a grouping factor."""
    own = [
        covariance
        for term, covariance in zip(fit.design.random_terms, fit.random_cov, strict=True)
        if term.grouping_factor == factor
    ]
    size = sum(map(len, own))
    whole, at = np.zeros((size, size)), 0
    for covariance in own:
        whole[at : at + len(covariance), at : at + len(covariance)] = covariance
        at += len(covariance)
    return whole


def _root(matrix: Array, power: float) -> Array:
    """A symmetric power of a covariance, on the directions in which there is any."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > NEGLIGIBLE * max(values[-1], np.finfo(float).tiny)
    return (vectors[:, kept] * values[kept] ** power) @ vectors[:, kept].T


def _reflated(modes: Array, covariance: Array) -> Array:
    """Centred conditional modes, (n_levels, q), with the covariance that was estimated."""
    centred = modes - modes.mean(axis=0)
    return centred @ _root(centred.T @ centred / len(centred), -0.5) @ _root(covariance, 0.5)
