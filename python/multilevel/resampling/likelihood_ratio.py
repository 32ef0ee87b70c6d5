"""The parametric bootstrap of a likelihood-ratio test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import whole_number
from ..errors import DataError
from ..prediction.simulate import block_size, checked_seed
from .draws import from_law
from .refits import to_responses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit

TIE = 1e-8  # statistics this close are the same: both are zero where the larger model adds nothing


@dataclass(frozen=True, eq=False)
class BootstrapTest:
    """A p-value, and the statistics of the replicates in which both models converged."""

    p_value: float
    statistics: NDArray[np.float64]
    n_failed: int
    seed: int

    @property
    def n_used(self) -> int:
        """Replicates that count."""
        return len(self.statistics)


def bootstrap_test(small: Fit, large: Fit, n: int, seed: int | None, threads: int | None) -> BootstrapTest:
    """Tests a model against one that it is a special case of, by responses drawn from the smaller one.

    The p-value is (1 + replicates with a statistic as large) / (1 + replicates), which no luck makes zero.

    References
    ----------
    Davison & Hinkley (1997) Bootstrap Methods and their Application, section 4.2.
    """
    count, workers, key = whole_number(n, "n"), whole_number(threads, "threads"), checked_seed(seed)
    if count < 1:
        raise DataError("n is 0; give the number of replicates")
    draw, block = from_law(small, key), block_size(small.n_rows)
    lower = to_responses(small, draw, count, block, workers)
    upper = to_responses(large, draw, count, block, workers)
    used = lower.converged & upper.converged
    if not used.any():
        raise DataError(
            "no replicate has a fit of both models: " + next(filter(None, (*lower.message, *upper.message)))
        )
    statistics = 2.0 * (upper.loglik - lower.loglik)[used]
    observed = 2.0 * (large.loglik - small.loglik)
    as_large = int(np.sum(statistics >= observed - TIE))
    return BootstrapTest((1 + as_large) / (1 + len(statistics)), statistics, int(count - used.sum()), key)
