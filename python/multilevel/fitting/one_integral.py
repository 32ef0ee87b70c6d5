"""The likelihood of one random effect for each group, integrated in steps as small as it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .row_densities import MOST_VALUES, RowDensities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .record import Fit

    Array = NDArray[np.float64]

REACH, PANEL = 12.0, 0.5  # in standard deviations of the effect
ORDER = 10
ERROR = 1e-9  # of a group's integral, panel by panel


def by_panels(fit: Fit) -> float | None:
    """The log-likelihood at the parameters of a fit; None where it costs too much, or is not finite."""
    return _Panels(fit).integrate()


class _Panels:
    """Panels between the same ends for all groups, halved where one group's integral still changes."""

    def __init__(self, fit: Fit) -> None:
        self.densities = RowDensities(fit)
        self.slope = self.densities.slopes[:, 0]
        self.spent = 0.0

    def values(self, low: Array, high: Array) -> Array:
        """Logarithms of the integrals over panels, (panels, groups)."""
        nodes, weights = np.polynomial.legendre.leggauss(ORDER)
        half = 0.5 * (high - low)
        v = (0.5 * (low + high))[:, None] + half[:, None] * nodes
        found = np.empty((len(low), self.densities.n_groups))
        step = self.densities.at_once(ORDER)
        for k in range(0, len(low), step):
            at = v[k : k + step].reshape(-1, 1)
            density = self.densities.of_groups(at * self.slope) - 0.5 * at**2 - 0.5 * np.log(2.0 * np.pi)
            weighted = density.reshape(-1, ORDER, self.densities.n_groups) + np.log(weights)[:, None]
            found[k : k + step] = np.logaddexp.reduce(weighted, axis=1)
        self.spent += ORDER * len(low) * self.densities.n_rows
        return found + np.log(half)[:, None]

    def integrate(self) -> float | None:
        low = np.arange(-REACH, REACH, PANEL)
        if 3.0 * ORDER * len(low) * self.densities.n_rows > MOST_VALUES:
            return None
        high = low + PANEL
        whole, done = self.values(low, high), np.full((1, self.densities.n_groups), -np.inf)
        while len(low):
            middle = 0.5 * (low + high)
            left, right = self.values(low, middle), self.values(middle, high)
            both = np.logaddexp(left, right)
            total = np.logaddexp.reduce(np.concatenate([done, both]))
            if not np.isfinite(total).all():
                return None
            moves = ~(np.abs(np.exp(both - total) - np.exp(whole - total)) <= ERROR).all(axis=1)
            done = np.logaddexp.reduce(np.concatenate([done, both[~moves]]), keepdims=True)
            low, high = np.concatenate([low[moves], middle[moves]]), np.concatenate([middle[moves], high[moves]])
            whole = np.concatenate([left[moves], right[moves]])
            if self.spent + 2.0 * ORDER * len(low) * self.densities.n_rows > MOST_VALUES:
                return None
        return float(done.sum())
