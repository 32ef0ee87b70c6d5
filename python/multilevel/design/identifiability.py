"""Random effects that no data could tell apart: found before the fit, where columns and terms have names.

None of these checks is more than a glance at the first rows unless the glance raises a doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns.grouping import GroupingFactor, Relation, relations, varies_within
from ..columns.least_squares import dense, in_terms_of, root_mean_square
from ..columns.levels import label_of
from ..errors import DataError
from ..formula.structures import UNCORRELATED, rank_of
from ..formula.terms import Bar
from .fixed import FixedColumn
from .random_terms import RandomTerm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family.registry import Family

INTERCEPT = "(Intercept)"
# Pairs of structures that stay apart although both terms have the same columns: what one adds, the other cannot.
_SAME_COLUMNS = frozenset(
    frozenset(pair)
    for pair in (
        ("reduced rank", "diagonal"),
        ("reduced rank", "homogeneous diagonal"),
        ("ar1", "homogeneous diagonal"),
        ("ar1", "diagonal"),
        ("ar1", "homogeneous compound symmetry"),
        ("heterogeneous ar1", "homogeneous diagonal"),
    )
)


def check_identifiable(
    bars: Sequence[Bar],
    factors: Sequence[GroupingFactor],
    terms: Sequence[RandomTerm],
    n_rows: int,
    family: Family,
    single: bool,
    fixed: Sequence[FixedColumn] = (),
) -> None:
    """Raise `DataError` for random effects that cannot be told apart, or not from the residuals.

    Parameters
    ----------
    bars, terms : sequences of the same length
        The terms as written and as coded.
    factors : sequence of GroupingFactor
    n_rows : int
    family : Family
    single : bool
        Whether each row is one trial of a binomial.
    fixed : sequence of FixedColumn
    """
    check_apart(bars, factors, terms)
    for bar, term in zip(bars, terms, strict=True):
        factor = factors[term.grouping_factor]
        _check_number(bar, factor, term, n_rows, family, single)
        _check_slopes(bar, factor, term)
        _check_fixed(bar, factor, term, fixed, n_rows, family)
        if family.support == "trials" and single:
            _check_loadings(bar, factor, term, fixed)


def check_apart(bars: Sequence[Bar], factors: Sequence[GroupingFactor], terms: Sequence[RandomTerm]) -> None:
    """Raise `DataError` for terms of one formula that cannot be told from each other; arguments as above."""
    grouped = {bar.group_name for bar in bars}
    for one, two in combinations([factor for factor in factors if factor.name in grouped], 2):
        if len(one.levels) == len(two.levels):
            (relation,) = relations((one, two))
            if relation.kind == "equal":
                _equal_factors(bars, relation)
    for (first, term), (second, other) in combinations(zip(bars, terms, strict=True), 2):
        if term.grouping_factor == other.grouping_factor:
            _check_overlap(first, term, second, other, factors[term.grouping_factor].name)


# ---- grouping factors --------------------------------------------------------------------------------------------


def _equal_factors(bars: Sequence[Bar], relation: Relation) -> None:
    first, second = relation.first, relation.second
    columns = {bar.group_name: bar for bar in bars}
    one, two = columns[first.name], columns[second.name]
    if set(one.group) > set(two.group):
        first, second, one, two = second, first, two, one
    n = len(first.levels)
    if set(one.group) < set(two.group):
        extra = ":".join(name for name in two.group if name not in one.group)
        message = (
            f"'{two.group_name}' has the same {n:,} groups of rows as '{one.group_name}': '{extra}' does not vary "
            f"within '{one.group_name}', so that '{one.group_name}' is nested in '{extra}', not crossed with it"
        )
        if one.text == two.text:
            swapped = one.text.split("|")[0] + f"| {extra}/{one.group_name})"
            message += f"; write {swapped} for '{one.group_name}' within '{extra}'"
        else:
            message += f"; leave {two.text} out"
        raise DataError(message)
    example = f"'{label_of(first.levels[first.codes[0]])}' and '{label_of(second.levels[second.codes[0]])}'"
    raise DataError(
        f"the grouping factors '{first.name}' and '{second.name}' have the same {n:,} groups of rows (levels {example} "
        f"are one of them), so the effects of {one.text} and {two.text} cannot be told apart: keep one factor of the "
        "two"
    )


# ---- terms of one factor -----------------------------------------------------------------------------------------


def _kind(structure: str) -> str:
    return "reduced rank" if rank_of(structure) is not None else structure


def _check_overlap(first: Bar, one: RandomTerm, second: Bar, two: RandomTerm, group: str) -> None:
    """The same column in two terms of one factor: their variances can only be told in sum."""
    shared = [name for name in one.names if name in two.names]
    if not shared:
        for bar, term, other_bar, other in ((first, one, second, two), (second, two, first, one)):
            if term.names == (INTERCEPT,) and _holds_constant(other):
                raise DataError(
                    f"{bar.text} adds nothing to {other_bar.text}: the columns of the latter add up to the intercept, "
                    f"so the variance of '{INTERCEPT}' cannot be told from theirs; leave {bar.text} out"
                )
        return
    if one.names == two.names:
        if frozenset((_kind(one.structure), _kind(two.structure))) in _SAME_COLUMNS:
            return
        places = f"{first.text} is there twice" if first.text == second.text else f"{first.text} and {second.text}"
        verb = ":" if first.text == second.text else " have the same columns:"
        raise DataError(
            f"{places}{verb} only the sum of the two random effects of '{group}' for {_quoted(shared)} can be told; "
            f"keep one of the two terms{_nesting(first, second)}"
        )
    advice = (
        f"write (1 | {group}) + (0 + x | {group}) for uncorrelated effects, or one term, (1 + x | {group})"
        if shared == [INTERCEPT]
        else "keep each column in one term"
    )
    raise DataError(
        f"{_quoted(shared)} is in both {first.text} and {second.text}, and only the sum of the two random effects of "
        f"'{group}' can be told; {advice}{_nesting(first, second)}"
    )


def _nesting(*bars: Bar) -> str:
    """What ``a/b`` stands for, where a user may have forgotten."""
    for bar in bars:
        before, _, after = bar.text.rpartition("|")
        if "/" in after:
            outer = after.split("/")[0].strip()
            return f" ({bar.text} has {before}| {outer}) in it)"
    return ""


def _holds_constant(term: RandomTerm) -> bool:
    """Whether the columns of a term add up to 1, and its covariance has room for a common variance."""
    if term.structure not in ("unstructured", "homogeneous compound symmetry"):
        return False
    columns = [c for c in term.columns if c is not None]
    if len(columns) < 2 or len(columns) < len(term.columns) or any(c.dtype != bool for c in columns):
        return False
    total = columns[0].astype(np.int32)
    for column in columns[1:]:
        total += column
    return bool((total == 1).all())


def _quoted(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:4])
    return shown + (f", ... ({len(names)} in all)" if len(names) > 4 else "")


def _check_slopes(bar: Bar, factor: GroupingFactor, term: RandomTerm) -> None:
    """A column that is constant within every level acts as a second random intercept."""
    n_levels = len(factor.levels)
    within = f"0 of the {n_levels:,} levels of '{factor.name}' have more than one value of it"
    if any(column is None for column in term.columns):
        for name, column in zip(term.names, term.columns, strict=True):
            if column is None or varies_within(factor.codes, n_levels, column):
                continue
            rest = "(1 | " + factor.name + ")" if len(term.names) == 2 else "the term without it"
            raise DataError(
                f"the random slope '{name}' of {bar.text} does not vary within any group: {within}, so its effects "
                f"cannot be told from the random intercepts; write {rest}, and keep it among the fixed effects"
            )
        return
    if len(term.names) < 2 or term.structure in UNCORRELATED or term.structure.endswith("ar1"):
        return
    if all(c is not None and c.dtype == bool and not varies_within(factor.codes, n_levels, c) for c in term.columns):
        raise DataError(
            f"{bar.text}: none of the {n_levels:,} levels of '{factor.name}' has more than one of "
            f"{_quoted(term.names)}, so their correlations cannot be told; for a variance of each write "
            f"diag({bar.text.split('(', 1)[1].split('|')[0].strip()} | {factor.name})"
        )


# ---- fixed effects ---------------------------------------------------------------------------------------------------

IN_SPAN = 1e-16  # squared share of a column that may lie outside of the others
GLANCE = 2000  # rows that settle it but for a doubt: what is not in the span there is not in the span of all rows
SHARE = 1e-8  # of a column in another, below which it is not involved


def _check_fixed(
    bar: Bar,
    factor: GroupingFactor,
    term: RandomTerm,
    fixed: Sequence[FixedColumn],
    n_rows: int,
    family: Family,
) -> None:
    """Random effects of which the fixed part has one for every level already: nothing is left for their variance."""
    m = len(factor.levels)
    if len(fixed) < m:
        return
    held: dict[str, list[str]] = {}
    for name, column in zip(term.names, term.columns, strict=True):
        by = _held_by(factor, column, fixed, n_rows)
        if by is not None:
            held[name] = by
    # One variance, or one set of loadings, for all columns is told by any of them; where a correlation moves the origin
    # of a slope, other families than the Gaussian can tell a little.
    own_variances = term.structure in ("unstructured", "diagonal", "compound symmetry", "heterogeneous ar1")
    if not held or (len(held) < len(term.names) and not (own_variances and family.has_residual)):
        return
    columns = list(dict.fromkeys(name for by in held.values() for name in by if name != INTERCEPT or len(by) == 1))
    what = "every level" if list(held) == [INTERCEPT] else f"{_quoted(list(held))} for every level"
    rest = [name for name in term.names if name not in held]
    remedy = f"leave {bar.text} out" if not rest else f"keep only {_quoted(rest)} before the bar of {bar.text}"
    raise DataError(
        f"{bar.text}: the fixed part holds {what} of '{factor.name}' already (column{'s' * (len(columns) != 1)} "
        f"{_quoted(columns)}; {m:,} levels), so that nothing is left from which the variance of its random effects "
        f"could be told; {remedy}, or leave these columns out of the fixed part"
    )


def _held_by(
    factor: GroupingFactor, column: NDArray[Any] | None, fixed: Sequence[FixedColumn], n_rows: int
) -> list[str] | None:
    """Fixed columns of which the random effects' columns, one per level, are combinations; None if they are not."""
    values = [own.values for own in fixed]
    glance = np.linspace(0, n_rows - 1, GLANCE).astype(np.int64) if n_rows > GLANCE else None
    if glance is not None:
        some = [own if own is None else own[glance] for own in values]
        _, left = _levels_in_terms_of(some, factor.codes[glance], None if column is None else column[glance])
        if not (left < IN_SPAN).all():
            return None
    coefficients, left = _levels_in_terms_of(values, factor.codes, column)
    if not (left < IN_SPAN).all():
        return None
    size = np.array([root_mean_square(own) for own in values])
    share = np.abs(coefficients).max(axis=1) * size
    return [column.name for column, own in zip(fixed, share, strict=True) if own > SHARE * share.max()]


def _levels_in_terms_of(
    values: Sequence[NDArray[Any] | None], codes: NDArray[np.int32], column: NDArray[Any] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The column in the rows of each level by itself, as far as there are such rows, in terms of others."""
    present, n = np.unique(codes), len(codes)

    def by_level(rows: slice) -> NDArray[np.float64]:
        own = np.searchsorted(present, codes[rows])
        block = np.zeros((len(own), len(present)))
        block[np.arange(len(own)), own] = 1.0 if column is None else column[rows]
        return block

    return in_terms_of(lambda rows: dense(values, rows, n), by_level, n)


# ---- how many ----------------------------------------------------------------------------------------------------


def _check_number(
    bar: Bar, factor: GroupingFactor, term: RandomTerm, n_rows: int, family: Family, single: bool
) -> None:
    """As many effects as rows cannot be told from residuals, nor as many levels as rows from `single` trials."""
    n_levels = len(factor.levels)
    if (family.support == "categories" or family.name == "multinomial") and single and n_levels >= n_rows:
        raise DataError(
            f"{bar.text}: '{factor.name}' has {n_levels} levels in {n_rows} rows of one category each, "
            "so its effects cannot be told from how far the categories spread"
        )
    if family.support == "trials" and single and n_levels >= n_rows:
        raise DataError(
            f"{bar.text}: '{factor.name}' has {n_levels} levels in {n_rows} rows of one trial each, "
            "so its effects cannot be told from the spread of the trials"
        )
    if family.has_residual and n_levels >= n_rows:
        raise DataError(
            f"{bar.text}: '{factor.name}' has {n_levels} levels in {n_rows} rows, "
            "so its effects cannot be told from the residuals"
        )
    if n_levels * len(term.names) < n_rows:
        return
    # Effects that no row has do not count, such as those of items that a person was not asked.
    n_effects = sum(_n_present(factor, column) for column in term.columns)
    with_residuals = family.has_residual and not _apart_from_residuals(term)
    if n_effects < n_rows + (not with_residuals):
        return
    number = f"{n_levels} levels of '{factor.name}' times {len(term.names)}"
    if n_effects < n_levels * len(term.names):
        number += f", {n_levels * len(term.names) - n_effects} of them in no row"
    reason = "they cannot be told from the residuals" if family.has_residual else "there are fewer rows than effects"
    remedy = "use fewer columns before the bar"
    if term.structure == "homogeneous compound symmetry" and with_residuals and _holds_constant(term):
        remedy = f"write (1 | {factor.name}), which together with the residuals is the same covariance"
    raise DataError(f"{bar.text} has {n_effects} random effects ({number}) for {n_rows} rows: {reason}; {remedy}")


def _check_loadings(bar: Bar, factor: GroupingFactor, term: RandomTerm, fixed: Sequence[FixedColumn]) -> None:
    """Binary items, one answer each, have no more to tell than the frequencies of their patterns."""
    rank, q = rank_of(term.structure), len(term.names)
    if rank is None or len(fixed) > q or any(column is None or column.dtype != bool for column in term.columns):
        return
    loadings = q * rank - rank * (rank - 1) // 2
    left = 2**q - 1 - q
    if bar.factors or left >= loadings:
        return
    if any(np.bincount(factor.codes[column]).max(initial=0) > 1 for column in term.columns if column is not None):
        return
    raise DataError(
        f"{bar.text}: {q} binary items have {2**q - 1} frequencies of patterns, of which {q} tell how easy the items "
        f"are and {left} are left for {loadings} loadings; use more items"
        + (f", or one loading for all: (1 | {factor.name})" if rank == 1 else ", or fewer dimensions")
    )


def _n_present(factor: GroupingFactor, column: NDArray[Any] | None) -> int:
    if column is None:
        return len(factor.levels)
    present = np.zeros(len(factor.levels), dtype=bool)
    present[factor.codes[column != 0]] = True
    return int(np.count_nonzero(present))


def _apart_from_residuals(term: RandomTerm) -> bool:
    """Whether the covariances of the term tell its variances from the residual one, with one row per effect."""
    if rank_of(term.structure) is not None:
        return True
    n_columns = sum(column is None or bool(column.any()) for column in term.columns)
    return term.structure in ("ar1", "heterogeneous ar1", "compound symmetry") and n_columns > 2
