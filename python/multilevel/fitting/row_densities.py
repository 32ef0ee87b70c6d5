"""Log densities of the rows of each group at any random effects of one grouping factor, those of the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .record import Fit

    Array = NDArray[np.float64]

MOST_VALUES = 5e7  # densities of rows for one integral: a second or two
AT_ONCE = 2_000_000


class RowDensities:
    """Of a fit with one grouping factor, as functions of what is added to the linear predictor.

    Attributes
    ----------
    slopes : ndarray, (n, q)
        Z Lambda: what standard normal effects v of a row's group add to its linear predictor.
    codes : ndarray, (n,)
        The groups.
    """

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        factor = fit.design.grouping_factors[0]
        self.codes, self.n_groups, self.n_rows = factor.codes, len(factor.levels), fit.n_rows
        parts = []
        for term, half in zip(fit.design.random_terms, fit.theta, strict=True):
            columns = [np.ones(fit.n_rows) if c is None else np.asarray(c, dtype=np.float64) for c in term.columns]
            parts.append(np.column_stack(columns) @ half)
        self.slopes = np.hstack(parts)
        self.fixed = fit.linear_predictor((np.zeros((self.n_groups, self.slopes.shape[1])),))

    def at_once(self, values: int = 1) -> int:
        """How many times so many values for each row are worth computing at a time."""
        return max(1, AT_ONCE // (values * self.n_rows))

    def of_groups(self, added: Array) -> Array:
        """Sums over the rows of each group, (m, groups), where `added`, (m, n), is added to the linear predictors."""
        fit, m = self.fit, len(added)
        response, weights, phi = fit.design.response, fit.design.weights, fit.row_phi
        with np.errstate(all="ignore"):
            rows = fit.family.log_density(
                (self.fixed + added).ravel(),
                np.tile(response.values, m),
                None if response.second is None else np.tile(response.second, m),
                None if weights is None else np.tile(weights, m),
                phi if phi.ndim == 1 else np.tile(phi, (m, 1)),
            ).reshape(m, -1)
        return np.stack([np.bincount(self.codes, own, self.n_groups) for own in rows])
