"""Groups that separate the responses: a variance then grows without bound, and the likelihood has no maximum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..design.design import Design

MOST_ROWS = 5_000  # of the linear program
MOST_EFFECTS = 2_000


def constant_factor(design: Design) -> str:
    """Name of a grouping factor with a random intercept all of whose groups ended alike in every trial; empty if none.

    The random intercept can then reproduce every response of a binomial model: no finite variance gives as much
    likelihood to groups that agree within themselves as one without bound does.
    """
    side = _side(design)
    if side is None:
        return ""
    for position, factor in enumerate(design.grouping_factors):
        columns = [c for term in design.random_terms if term.grouping_factor == position for c in term.columns]
        n = len(factor.levels)
        rows = np.bincount(factor.codes, minlength=n)
        agree = np.abs(np.bincount(factor.codes, side, n)) == rows
        if n > 1 and rows.max() > 1 and any(column is None for column in columns) and agree.all():
            return factor.name
    return ""


def reproduces(design: Design) -> bool:
    """Whether fixed and random effects together can put every success on one side and every failure on the other.

    A linear program, for data of moderate size; False where it would be too large.
    """
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, hstack

    side = _side(design)
    if side is None or len(side) > MOST_ROWS:
        return False
    n = len(side)
    rows = np.arange(n)
    blocks = [csr_array(_scaled(column.values, n)[:, None]) for column in design.fixed]
    for term in design.random_terms:
        factor = design.grouping_factors[term.grouping_factor]
        for column in term.columns:
            shape = (n, len(factor.levels))
            blocks.append(csr_array((_scaled(column, n), (rows, factor.codes)), shape=shape))
    signed: Any = hstack(blocks, format="csr") * side[:, None]
    if signed.shape[1] > MOST_EFFECTS:
        return False
    answer = linprog(np.zeros(signed.shape[1]), A_ub=-signed, b_ub=-np.ones(n), bounds=(None, None), method="highs")
    return bool(answer.status == 0)


def _side(design: Design) -> NDArray[np.float64] | None:
    """+1 for rows whose trials all succeeded, -1 for those whose all failed; None where any row has both."""
    response = design.response
    size = 1.0 if response.size is None else response.size
    side = np.where(response.values == size, 1.0, np.where(response.values == 0, -1.0, 0.0))
    return side if side.all() else None


def _scaled(values: NDArray[np.float64] | None, n: int) -> NDArray[np.float64]:
    if values is None:
        return np.ones(n)
    numbers = np.asarray(values, dtype=float)
    largest = float(np.abs(numbers).max())
    return numbers / largest if largest > 0 else numbers
