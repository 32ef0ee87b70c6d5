"""Groups that separate the responses: a variance then grows without bound, and the likelihood has no maximum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .separation import away, sides

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..design.design import Design
    from ..family.registry import Family

MOST_ROWS = 5_000  # of the linear program
MOST_EFFECTS = 2_000
MOST_ENTRIES = 4_000_000  # of what is made densely


def constant_factor(design: Design, family: Family) -> str:
    """Name of a grouping factor with a random intercept all of whose groups ended alike in every trial; empty if none.

    The random intercept can then reproduce every response of a binomial model: no finite variance gives as much
    likelihood to groups that agree within themselves as one without bound does.
    """
    side = _ends(design, family)
    if family.support != "trials" or side is None:
        return ""
    for position, factor in enumerate(design.grouping_factors):
        columns = [c for term in design.random_terms if term.grouping_factor == position for c in term.columns]
        n = len(factor.levels)
        rows = np.bincount(factor.codes, minlength=n)
        agree = np.abs(np.bincount(factor.codes, side, n)) == rows
        if n > 1 and rows.max() > 1 and any(column is None for column in columns) and agree.all():
            return factor.name
    return ""


def reproduces(design: Design, family: Family, parameter: str = "") -> bool:
    """Whether fixed and random effects together can make every response certain.

    They can where some direction puts every success on one side and every failure on the other, every ordered category
    between its own thresholds, or every choice above all others. A linear program, for data of moderate size; False
    where it would be too large.

    Parameters
    ----------
    design : Design
    family : Family
    parameter : str
        Of the family: the effects in it, of a zero part, which reproduce which responses are zero. Empty: the mean's.
    """
    from scipy.optimize import linprog

    n_effects = sum(
        len(term.columns) * len(design.grouping_factors[term.grouping_factor].levels)
        for term in design.random_terms
        if term.parameter == parameter
    )
    if design.n_rows > MOST_ROWS or n_effects > MOST_EFFECTS:
        return False
    margins = _margins(design, family, parameter)
    if margins is None or margins.shape[0] > 2 * MOST_ROWS:
        return False
    least = -np.ones(margins.shape[0])
    answer = linprog(np.zeros(margins.shape[1]), A_ub=-margins, b_ub=least, bounds=(None, None), method="highs")
    return bool(answer.status == 0)


def _margins(design: Design, family: Family, parameter: str) -> Any:
    """What must be above zero, as products with the effects; None where some response cannot be certain."""
    effects = _effects(design, parameter)
    if parameter:
        return effects * np.where(design.response.values == 0, 1.0, -1.0)[:, None]
    if design.thresholds is not None:
        columns = design.parts[0].fixed
        matrix, n = design.thresholds.matrix, design.n_rows
        width = effects.shape[1] + matrix.shape[1] * len(columns)
        if n * len(matrix) * width > MOST_ENTRIES:
            return None
        own = [np.kron(_scaled(column.values, n)[:, None, None], matrix) for column in columns]
        apart = np.repeat(-effects.toarray()[:, None, :], len(matrix), axis=1)
        moves = np.concatenate([apart, *own], axis=2)
        return np.vstack(away(family, design.response.values.astype(np.int64), moves))
    if design.choices is not None:
        sets, n = design.choices.sets_of(design.n_rows), design.n_rows
        chosen = design.choices.response_of(design.response.values) == 1.0
        if len(np.unique(sets[chosen])) < sets.max() + 1:
            return None
        of_set = np.empty(int(sets.max()) + 1, dtype=np.int64)
        of_set[sets[chosen]] = np.flatnonzero(chosen)
        return effects[of_set[sets[~chosen]]] - effects[np.flatnonzero(~chosen)]
    side = _ends(design, family)
    return None if side is None else effects * side[:, None]


def _effects(design: Design, parameter: str) -> Any:
    """All columns of the effects of a part, of random ones level by level, each of largest size one; sparse."""
    from scipy.sparse import csr_array, hstack

    fixed = [c.values for c in design.fixed] if not parameter else [None]
    for part in design.parts:
        if parameter and part.parameter == parameter:
            fixed = [c.values for c in part.fixed]
    n, choices = design.n_rows, design.choices
    if choices is not None:
        fixed = choices.columns_of(fixed, n)
        wide = len(choices.sets_of(n))
    else:
        wide = n
    blocks = [csr_array(_scaled(column, wide)[:, None]) for column in fixed]
    for term in design.random_terms:
        if term.parameter != parameter:
            continue
        factor = design.grouping_factors[term.grouping_factor]
        codes = factor.codes if choices is None else choices.rows_of(factor.codes)
        columns = term.columns if choices is None else choices.columns_of(term.columns, n)
        shape = (wide, len(factor.levels))
        blocks += [csr_array((_scaled(column, wide), (np.arange(wide), codes)), shape=shape) for column in columns]
    return hstack(blocks, format="csr") if blocks else csr_array((wide, 0))


def _ends(design: Design, family: Family) -> NDArray[np.int64] | None:
    """+1 for rows whose trials all succeeded, -1 for those whose all failed; None where any row has both."""
    side = sides(design, family)
    return side if family.support == "trials" and side.all() else None


def _scaled(values: NDArray[np.float64] | None, n: int) -> NDArray[np.float64]:
    if values is None:
        return np.ones(n)
    numbers = np.asarray(values, dtype=float)
    largest = float(np.abs(numbers).max())
    return numbers / largest if largest > 0 else numbers
