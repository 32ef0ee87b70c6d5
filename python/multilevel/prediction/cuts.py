"""What predictors of ordered categories are compared with: thresholds, and a scale that divides the distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .joint import threshold_directions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..design.parts import DesignPart
    from ..fitting.record import Fit

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cuts:
    """Of n rows, C categories.

    Attributes
    ----------
    thresholds : ndarray, (n, C - 1)
    log_scale : ndarray, (n,), or None
        Logarithm of the scale; None where nothing divides distances.
    directions : tuple of (int, ndarray)
        Entries of psi that move thresholds, and how, (n, C - 1).
    scale_directions : tuple of (int, ndarray)
        Entries of psi that move the logarithm of the scale, and how, (n,).
    lost : ndarray of bool, (n,)
        Rows that lack a value.
    """

    thresholds: Array
    log_scale: Array | None
    directions: tuple[tuple[int, Array], ...]
    scale_directions: tuple[tuple[int, Array], ...]
    lost: NDArray[np.bool_]

    def scale_variance(self, covariance: Array) -> Array:
        """Variance of the logarithm of the scale, (n,), zero of parameters without one."""
        if not self.scale_directions:
            return np.zeros(len(self.thresholds))
        at = [place for place, _ in self.scale_directions]
        x = np.column_stack([moved for _, moved in self.scale_directions])
        return np.asarray(np.einsum("na,ab,nb->n", x, np.nan_to_num(covariance[np.ix_(at, at)]), x))


def cuts_of(fit: Fit, newdata: Any, n_rows: int) -> Cuts:
    """Those of the rows of the fit, or of new ones; zero of rows that lack a value."""
    parts, lost = fit.design.parts, np.zeros(n_rows, dtype=np.bool_)
    if newdata is not None:
        names = tuple(part.name for part in parts)
        new = fit.design.code_new(newdata, need_random=False, need_parts=names, need_mean=False)
        parts, lost = new.parts, new.missing
    thresholds = np.where(lost[:, None], 0.0, fit.thresholds_of(parts[0], n_rows))
    log_scale: Array | None = None
    of_scale: tuple[tuple[int, Array], ...] = ()
    if fit.family.scaled:
        log_scale = np.where(lost, 0.0, fit.log_scale_of(parts[-1], n_rows))
        of_scale = tuple(_scale_directions(fit, parts[-1], n_rows))
    directions = tuple(threshold_directions(fit, parts[0], n_rows))
    return Cuts(thresholds, log_scale, directions, of_scale, lost)


def _scale_directions(fit: Fit, part: DesignPart, n_rows: int) -> list[tuple[int, Array]]:
    component = fit.component(part.name)
    places = {name: component.first + k for k, name in enumerate(component.names)}
    return [
        (places[own.name], np.ones(n_rows) if own.values is None else np.asarray(own.values, dtype=np.float64))
        for own in part.fixed
        if own.name in places
    ]
