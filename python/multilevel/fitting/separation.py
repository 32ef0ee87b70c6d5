"""Which columns separate the responses: a linear program over the rows, run where a fit has run away or might have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..design.choices import Choices
    from ..design.design import Design
    from ..design.fixed import FixedColumn
    from ..family.registry import Family

MOST_ROWS = 20_000  # distinct rows beyond which the step's own direction must do
MOVING_SHARE = 1e-3  # of the column that moves furthest
ENDS = {"trials": (True, True), "counts": (True, False)}  # whether a mean can reach the lower and the upper end


def sides(design: Design, family: Family) -> NDArray[np.int64]:
    """-1 for rows whose response is at the lower end of what it may be, 1 at the upper end, else 0; (n,)."""
    response = design.response
    size = np.ones(design.n_rows) if response.size is None else response.size
    lower, upper = (np.zeros(design.n_rows, dtype=bool) for _ in range(2))
    if response.kinds is None:
        lower[:], upper[:] = True, family.support == "trials"
    else:
        for code, own in enumerate(family.members):
            lower[response.kinds == code], upper[response.kinds == code] = ENDS.get(own.support, (False, False))
    return np.where(lower & (response.values == 0), -1, np.where(upper & (response.values == size), 1, 0))


def separating_columns(
    design: Design, side: NDArray[np.int64], kept: tuple[str, ...], step: NDArray[np.float64]
) -> list[str]:
    """Names of the fixed-effect columns whose coefficients are infinite.

    The coefficients d with x'd >= 0 where the response is at its upper end, x'd <= 0 at its lower end and x'd = 0 in
    between form a cone; the element of it that moves the rows furthest in all names every column that is involved.

    Parameters
    ----------
    design : Design
    side : ndarray, (n,)
        Of the rows, as `sides` has them.
    kept : tuple of str
        Columns in the fit.
    step : ndarray, (p,)
        The direction in which the fit ran away, used when there are too many rows.

    References
    ----------
    Konis (2007) Linear programming algorithms for detecting separated data in binary logistic regression models.
    """
    columns, x, scale = _scaled(design, kept)
    rows = np.unique(np.column_stack([side, x]), axis=0)
    found: NDArray[np.float64] | None = None
    if len(rows) <= MOST_ROWS:
        found = _cone(rows[:, 1:], rows[:, 0])
    if found is None:
        found = np.asarray(step[: len(columns)] * scale)
    reach = np.abs(found)
    moving = [c.name for c, r in zip(columns, reach, strict=True) if r > MOVING_SHARE * reach.max()]
    named = [name for name in moving if name != "(Intercept)"]
    return named or moving


def separates(design: Design, family: Family, kept: tuple[str, ...], errors: NDArray[np.float64], most: float) -> bool:
    """Whether columns separate the responses; asked only where a coefficient's standard error, in the column's own
    standard deviations, is more than `most`. Other arguments as of `separating_columns`.
    """
    # Of most fits one product of each column with itself tells: no scale is above the root mean square.
    if np.all(errors * _root_mean_squares(design, kept) <= most):
        return False
    _, x, scale = _scaled(design, kept)
    if np.all(errors * scale <= most):
        return False
    rows = np.unique(np.column_stack([sides(design, family), x]), axis=0)
    return len(rows) <= MOST_ROWS and _cone(rows[:, 1:], rows[:, 0]) is not None


def _root_mean_squares(design: Design, kept: tuple[str, ...]) -> NDArray[np.float64]:
    """Of the fixed-effect columns in the fit, (p,)."""
    names = set(kept)
    values = [None if c.values is None else np.asarray(c.values, dtype=float) for c in design.fixed if c.name in names]
    with np.errstate(over="ignore"):
        return np.sqrt([1.0 if x is None else x @ x / len(x) for x in values])


def has_constant(design: Design, kept: tuple[str, ...]) -> bool:
    """Whether all rows can be moved alike: by random intercepts, an intercept, or columns that add up to one."""
    columns, x, _ = _scaled(design, kept)
    random = [values for term in design.random_terms if not term.parameter for values in term.columns]
    if any(values is None for values in [*random, *(column.values for column in columns)]):
        return True
    ones = np.ones(design.n_rows)
    return bool(np.allclose(x @ np.linalg.lstsq(x, ones, rcond=None)[0], ones))


def _scaled(
    design: Design, kept: tuple[str, ...]
) -> tuple[list[FixedColumn], NDArray[np.float64], NDArray[np.float64]]:
    """The fixed-effect columns in the fit, their values in units of a scale each, (n, p), and these scales, (p,)."""
    columns = [column for column in design.fixed if column.name in set(kept)]
    n = design.n_rows
    if not columns:
        return columns, np.empty((n, 0)), np.empty(0)
    x = np.column_stack([np.ones(n) if c.values is None else np.asarray(c.values, dtype=float) for c in columns])
    scale = np.where(x.std(axis=0) > 0, x.std(axis=0), np.abs(x).max(axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    return columns, x / scale, scale


def columns_separating_categories(
    design: Design, family: Family, kept: tuple[str, ...], step: NDArray[np.float64]
) -> list[str]:
    """Names of the columns that separate ordered categories, those of nominal effects too: thresholds move with them.

    The cone is that of the directions in which no row's category loses an end: d_upper - x'd >= 0 >= d_lower - x'd;
    where all thresholds are in a row's probability, what `away` says of them.
    Arguments as of `separating_columns`.
    """
    assert design.thresholds is not None
    columns = [column for column in design.fixed if column.name in set(kept)]
    n, y, matrix = design.n_rows, design.response.values.astype(np.int64), design.thresholds.matrix
    x = np.zeros((n, 0)) if not columns else np.column_stack([np.asarray(c.values, dtype=float) for c in columns])
    x = x - x.mean(axis=0)
    scale = np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    x = x / scale
    values = [None if c.values is None else np.asarray(c.values, dtype=float) for c in design.parts[0].fixed]
    # how far each threshold moves away from eta, (n, C - 1, coefficients)
    moves = np.stack(
        [np.hstack([-x, *(np.outer(np.ones(n) if v is None else v, own) for v in values)]) for own in matrix],
        axis=1,
    )
    signed = np.unique(np.vstack(away(family, y, moves)).round(12), axis=0)
    direction = _furthest(signed, signed[:0]) if len(signed) <= MOST_ROWS else None
    if direction is None:
        last = len(step) - sum(len(part.fixed) for part in design.parts[1:])
        thresholds = step[last - matrix.shape[1] * len(values) : last]
        direction = np.concatenate([step[: len(columns)] * scale, thresholds])
    reach = np.abs(direction)
    moving_most = reach > MOVING_SHARE * reach.max()
    names = [c.name for c, moving in zip(columns, moving_most, strict=False) if moving]
    nominal = moving_most[len(columns) :].reshape(len(values), -1).any(axis=1)
    of_thresholds = zip(design.parts[0].fixed, nominal, strict=True)
    return names + [c.name for c, moving in of_thresholds if moving and c.values is not None]


def columns_separating_choices(
    design: Design, choices: Choices, kept: tuple[str, ...], step: NDArray[np.float64]
) -> list[str]:
    """Names of the columns that separate choices.

    The cone is that of the directions in which no alternative gains on the chosen one of its set. Arguments as of
    `separating_columns`.
    """
    n = design.n_rows
    wide = choices.columns_of([column.values for column in design.fixed], n)
    names = [column.name for column in design.fixed]
    x = np.column_stack([np.asarray(c, float) for name, c in zip(names, wide, strict=True) if name in set(kept)])
    names = [name for name in names if name in set(kept)]
    scale = np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    sets, chosen = choices.sets_of(n), choices.response_of(design.response.values) == 1.0
    of_chosen = np.empty((int(sets.max()) + 1, x.shape[1]))
    of_chosen[sets[chosen]] = x[chosen]
    gains = np.unique(((of_chosen[sets] - x)[~chosen] / scale).round(12), axis=0)
    direction = _furthest(gains, gains[:0]) if len(gains) <= MOST_ROWS else None
    if direction is None:
        direction = step[: len(names)] * scale
    reach = np.abs(direction)
    moving = [name for name, own in zip(names, reach, strict=True) if own > MOVING_SHARE * reach.max()]
    named = [name for name in moving if not name.endswith("(Intercept)")]
    return named or moving


def away(family: Family, y: NDArray[np.int64], moves: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """What must not be negative for no row to lose: of thresholds that move away from eta, (n, C - 1, m)."""
    n_thresholds = moves.shape[1]
    rows = []
    for k in range(1, n_thresholds + 1):
        own = moves[:, k - 1]
        if family.name == "cumulative":
            rows += [own[y == k], -own[y == k + 1]]
        elif family.name == "continuation":
            rows += [own[y == k], -own[y > k]]
        elif family.name == "reverse_continuation":
            rows += [own[y <= k], -own[y == k + 1]]
        else:  # each other category loses to the row's own
            for category in range(1, n_thresholds + 2):
                here = moves[y == category]
                if category <= k:
                    rows.append(here[:, category - 1 : k].sum(axis=1))
                else:
                    rows.append(-here[:, k - 1 : category - 1].sum(axis=1))
    return rows


def _cone(x: NDArray[np.float64], side: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """A direction that names the columns; None when there is none."""
    between = side == 0
    signed = x[~between] * side[~between, None]
    alone = _alone(x, side)
    if not between.any() and alone.any():
        return alone.astype(float)
    if not between.any():
        complete = _shortest(signed)
        if complete is not None:
            return complete
    return _furthest(signed, x[between])


def _alone(x: NDArray[np.float64], side: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Columns that separate the responses completely by themselves."""
    low, high = x[side < 0], x[side > 0]
    if not len(low) or not len(high):
        return np.zeros(x.shape[1], dtype=bool)
    return (low.max(axis=0) < high.min(axis=0)) | (high.max(axis=0) < low.min(axis=0))


def _shortest(signed: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Complete separation: every direction near a separating one separates as well, so take the one of fewest columns,
    by way of the smallest sum of absolute coefficients with all margins at least one.
    """
    from scipy.optimize import linprog

    both = np.hstack([signed, -signed])
    answer = linprog(np.ones(both.shape[1]), A_ub=-both, b_ub=-np.ones(len(both)), bounds=(0, None), method="highs")
    if answer.status != 0:
        return None
    positive, negative = np.split(np.asarray(answer.x), 2)
    return positive - negative


def _furthest(signed: NDArray[np.float64], still: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Quasi-complete separation: the direction that moves the rows furthest in all involves every such column."""
    from scipy.optimize import linprog

    answer = linprog(
        -signed.sum(axis=0),
        A_ub=-signed,
        b_ub=np.zeros(len(signed)),
        A_eq=still if len(still) else None,
        b_eq=np.zeros(len(still)) if len(still) else None,
        bounds=(-1, 1),
        method="highs",
    )
    direction = np.asarray(answer.x) if answer.status == 0 else np.zeros(signed.shape[1])
    return direction if np.abs(direction).max() > 1e-9 else None
