"""Groups that separate the responses: a variance then grows without bound, and the likelihood has no maximum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .design import Design

MOST_GROUPS = 300  # whose slopes are looked at one by one
MOST_COLUMNS = 4


def separating_factor(design: Design) -> str:
    """Name of a grouping factor whose random effects can reproduce every response of a binomial model; empty if none.

    With an intercept for each group that is so where all trials of every group ended alike. With slopes it is so where,
    in every group, some combination of the term's columns puts the successes on one side and the failures on the other.
    """
    response = design.response
    size = np.ones(len(response.values)) if response.size is None else response.size
    side = np.where(response.values == 0, -1, np.where(response.values == size, 1, 0))
    if (side == 0).any():
        return ""
    for position, factor in enumerate(design.grouping_factors):
        columns = [c for term in design.random_terms if term.grouping_factor == position for c in term.columns]
        n = len(factor.levels)
        if n < 2:
            continue
        constant = np.bincount(factor.codes, side, n) ** 2 == np.bincount(factor.codes, minlength=n) ** 2
        has_intercept = any(column is None for column in columns)
        if has_intercept and constant.all():
            return factor.name
        if not 1 < len(columns) <= MOST_COLUMNS or n > MOST_GROUPS:
            continue
        z = np.column_stack([np.ones(len(side)) if c is None else np.asarray(c, dtype=float) for c in columns])
        left = range(n) if not has_intercept else np.flatnonzero(~constant)
        if all(_separates(z[factor.codes == level], side[factor.codes == level]) for level in left):
            return factor.name
    return ""


def _separates(z: NDArray[np.float64], side: NDArray[np.int64]) -> bool:
    """Whether some combination of the columns has the sign of every row's side."""
    from scipy.optimize import linprog

    scale = np.abs(z).max(axis=0)
    signed = z / np.where(scale > 0, scale, 1.0) * side[:, None]
    answer = linprog(np.zeros(z.shape[1]), A_ub=-signed, b_ub=-np.ones(len(z)), bounds=(None, None), method="highs")
    return bool(answer.status == 0)
