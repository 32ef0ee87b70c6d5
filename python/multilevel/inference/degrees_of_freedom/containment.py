"""Degrees of freedom by containment: every column belongs to the innermost level of grouping at which it still varies.

With nested grouping factors of m_1 < m_2 < ... levels, m_0 = 1 with an intercept and 0 without, and n rows last,
stratum i has m_i - m_(i-1) - p_i degrees of freedom, where p_i counts the columns that vary within the levels of factor
i - 1 but not within those of factor i. The intercept gets the largest of them. These are the numbers that nlme prints,
except without an intercept: its inner strata then have one more than their contrasts within groups can give.

SAS counts by names instead (`by_names`): a column has the ranks that the random effects of its name add to the columns
before them, whether or not it varies within groups, and rows minus the rank of everything where there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...columns.grouping import GroupingFactor
    from ...fitting.record import Fit

CONSTANT = 1e-8  # relative: a column that varies less within a level is constant there


def of_columns(fit: Fit) -> NDArray[np.float64]:
    """Per coefficient, (p,); NaN where none are left.

    Raises
    ------
    DataError
        Grouping factors cross.

    References
    ----------
    Pinheiro & Bates (2000) Mixed-Effects Models in S and S-PLUS, section 2.4.2.
    """
    factors = _outer_to_inner(fit)
    named = {column.name: column.values for column in fit.design.fixed}
    strata: list[int | None] = []
    for name in fit.fixed_names:
        values = named[name]
        if values is None or _is_constant(np.asarray(values, dtype=np.float64)):
            strata.append(None)
            continue
        column = np.asarray(values, dtype=np.float64)
        strata.append(max((i + 1 for i, factor in enumerate(factors) if varies_within(column, factor)), default=0))
    m = [int(None in strata), *(len(factor.levels) for factor in factors), fit.n_rows]
    left = [float(m[i + 1] - m[i] - strata.count(i)) for i in range(len(factors) + 1)]
    df = np.array([max(left) if i is None else left[i] for i in strata])
    return np.where(df > 0, df, np.nan)


def by_names(fit: Fit) -> NDArray[np.float64]:
    """Per coefficient, (p,), as SAS counts them (``ddfm=contain``); NaN where none are left.

    Raises
    ------
    DataError
        There are several grouping factors.

    References
    ----------
    SAS/STAT, The MIXED Procedure, MODEL statement, DDFM=CONTAIN.
    """
    if len(fit.design.grouping_factors) != 1:
        raise DataError(
            "df_method='containment-sas' counts for one grouping factor; use 'satterthwaite', 'kenward-roger', or "
            "'containment' where factors nest"
        )
    ones = np.ones(fit.n_rows)
    values = {column.name: ones if column.values is None else column.values for column in fit.design.fixed}
    x = np.column_stack([np.asarray(values[name], dtype=np.float64) for name in fit.fixed_names])
    x = np.asarray(x / np.linalg.norm(x, axis=0), dtype=np.float64)
    effects: list[tuple[frozenset[str], list[NDArray[np.float64]]]] = []
    for term in fit.design.random_terms:
        own: dict[frozenset[str], list[NDArray[np.float64]]] = {}
        for name, column in zip(term.names, term.columns, strict=True):
            numbers = ones if column is None else np.asarray(column, dtype=np.float64)
            own.setdefault(_variables(name), []).append(numbers)
        effects += own.items()
    factor = fit.design.grouping_factors[0]
    rank, before, added = x.shape[1], [], []
    for _, columns in effects:
        before += columns
        whole = _rank_with(x, np.column_stack(before), factor)
        added.append(whole - rank)
        rank = whole
    df = []
    for name in fit.fixed_names:
        inside = [n for (own, _), n in zip(effects, added, strict=True) if _variables(name) <= own]
        df.append(float(min(inside, default=fit.n_rows - rank)))
    return np.where(np.array(df) > 0, df, np.nan)


def _variables(name: str) -> frozenset[str]:
    """What a column is made of: "a[x]:b" of a and b, the intercept of nothing."""
    return frozenset() if name == "(Intercept)" else frozenset(part.partition("[")[0] for part in name.split(":"))


def _rank_with(x: NDArray[np.float64], z: NDArray[np.float64], factor: GroupingFactor) -> int:
    """Rank of X beside Z, whose columns are apart for each level: that of each level's Z, and of what X has beside."""
    order = np.argsort(factor.codes, kind="stable")
    ends = np.cumsum(np.bincount(factor.codes, minlength=len(factor.levels)))[:-1]
    left, rank = [], 0
    for rows in np.split(order, ends):
        basis, singular, _ = np.linalg.svd(z[rows], full_matrices=False)
        basis = basis[:, singular > CONSTANT * singular.max(initial=0.0)]
        rank += basis.shape[1]
        left.append(x[rows] - basis @ (basis.T @ x[rows]))
    return rank + int(np.sum(np.linalg.svd(np.concatenate(left), compute_uv=False) > CONSTANT))


def of_rows(fit: Fit, rows: NDArray[np.float64], *, names: bool = False) -> NDArray[np.float64]:
    """The smallest degrees of freedom among the columns that a row involves, (k,); counted by `names` as SAS does."""
    involved = np.abs(rows) > CONSTANT * np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    df = np.where(involved, by_names(fit) if names else of_columns(fit), np.inf).min(axis=1, initial=np.inf)
    return np.where(np.isfinite(df), df, np.nan)


def _outer_to_inner(fit: Fit) -> list[GroupingFactor]:
    crossed = [relation for relation in fit.design.relations if relation.kind == "crossed"]
    if crossed:
        raise DataError(
            f"df_method='containment' needs nested grouping factors, and {crossed[0]}; "
            "use df_method='satterthwaite' or 'kenward-roger'"
        )
    return sorted(fit.design.grouping_factors, key=lambda factor: len(factor.levels))


def _is_constant(column: NDArray[np.float64]) -> bool:
    return bool(np.ptp(column) <= CONSTANT * np.abs(column).max())


def varies_within(column: NDArray[np.float64], factor: GroupingFactor) -> bool:
    """Whether a column, (n,), differs between rows of one level of a factor."""
    some = np.empty(len(factor.levels))
    some[factor.codes] = column  # the value of one row of each level
    return bool(np.abs(column - some[factor.codes]).max() > CONSTANT * np.abs(column).max())
