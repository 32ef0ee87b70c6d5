"""Which predictions the data of a fit determine: those whose row of the fixed part is a combination of the fit's rows.

A column that was dropped is a combination of the columns kept in every row of the fit. Where a new row breaks that
rule, as the row of a combination of levels that never occurred does, no estimate says anything about it: what the
columns kept predict there depends on which column was dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..columns.least_squares import CHUNK, dense, in_terms_of, root_mean_square
from ..columns.levels import label_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..columns.coding import TermPart
    from ..design.fixed import FixedColumn, FixedTerm
    from ..fitting.record import Fit

TOLERANCE = 1e-6  # of the sizes of what must add up to zero; columns are dropped at 1e-7
INVOLVED = 1e-7  # of the largest share in a rule, of columns scaled to unit root mean square
MOST_NAMED = 5  # places in a message


@dataclass(frozen=True)
class NotEstimable:
    """Rows that the fit says nothing about, (n,), and where they are, in words."""

    rows: NDArray[np.bool_]
    places: str


def not_estimable(
    fit: Fit, columns: Sequence[FixedColumn], terms: Sequence[FixedTerm], n_rows: int, missing: NDArray[np.bool_]
) -> NotEstimable | None:
    """The new rows that break a rule which holds in all rows of the fit; None when there are none.

    Parameters
    ----------
    fit : Fit
    columns, terms : sequences
        Of the fixed part, for the new rows.
    n_rows : int
    missing : ndarray of bool, (n_rows,)
        Rows whose values mean nothing.
    """
    if not fit.redundant:
        return None
    names = [column.name for column in fit.design.fixed]
    dropped = [k for k, name in enumerate(names) if name in set(fit.redundant)]
    kept = [k for k in range(len(names)) if k not in dropped]
    rules, constant, size = _rules(fit, kept, dropped)
    values = [column.values for column in columns]
    broken = np.zeros((n_rows, len(dropped)), dtype=bool)
    for start in range(0, n_rows, CHUNK):
        chunk = slice(start, start + CHUNK)
        x = dense(values, chunk, n_rows)
        x[missing[chunk]] = 0.0
        most = np.abs(x) @ np.abs(rules) + np.abs(constant) + size[dropped]
        broken[chunk] = np.abs(x @ rules + constant) > TOLERANCE * most
    rows = np.asarray(broken.any(axis=1), dtype=np.bool_)
    if not rows.any():
        return None
    share = np.abs(rules[:, broken.any(axis=0)]) * np.where(size > 0, size, 1.0)[:, None]
    involved = set(np.flatnonzero((share > INVOLVED * share.max(axis=0)).any(axis=1)).tolist())
    names_involved = {part.text for term in terms if involved & set(term.columns) for part in term.parts}
    parts = {part.text: part for term in terms for part in term.parts if part.text in names_involved}
    return NotEstimable(rows, _places(parts, np.flatnonzero(rows)))


def _rules(
    fit: Fit, kept: list[int], dropped: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Linear combinations of all columns, (columns, rules), which with a constant, (rules,), are zero in every row of
    the fit, and the columns' root mean squares in it.

    The constant is that of the thresholds of ordered categories, which no column stands for.
    """
    n, fixed = fit.n_rows, [column.values for column in fit.design.fixed]
    of_kept, of_dropped = [fixed[k] for k in kept], [fixed[k] for k in dropped]
    if fit.design.thresholds is not None:
        of_kept.append(np.ones(n))
    coefficients, _ = in_terms_of(lambda rows: dense(of_kept, rows, n), lambda rows: dense(of_dropped, rows, n), n)
    rules = np.zeros((len(fixed), len(dropped)))
    rules[dropped, np.arange(len(dropped))] = -1.0
    size = np.array([root_mean_square(column) for column in fixed])
    share = np.abs(coefficients) * np.append(size[kept], 1.0)[: len(of_kept), None]
    # rounding, which far outside of the data would look like a share
    coefficients[share < INVOLVED * np.maximum(share.max(axis=0, initial=0.0), size[dropped])] = 0.0
    rules[kept] = coefficients[: len(kept)]
    return rules, coefficients[len(kept) :].sum(axis=0), size


def _places(parts: Mapping[str, TermPart], rows: NDArray[np.intp]) -> str:
    """The values that some variables have in some rows: "a = '1', b = '3'; ..."."""
    found: dict[str, None] = {}
    for row in rows:
        if len(found) > MOST_NAMED:
            break
        found[", ".join(f"{text} = {_value(part, row)}" for text, part in parts.items())] = None
    shown = list(found)[:MOST_NAMED]
    return "; ".join(shown) + ("; ..." if len(found) > MOST_NAMED else "")


def _value(part: TermPart, row: int) -> str:
    if part.levels is not None:
        return f"'{label_of(part.levels[part.values[0][row]])}'"
    values = [f"{float(column[row]):.6g}" for column in part.values]
    return values[0] if len(values) == 1 else f"({', '.join(values)})"
