"""Several fits beside each other, a column each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..arguments import understands
from ..errors import DataError
from ..inference.information_criteria import information_criteria
from ..tables.page import format_fixed, format_numbers
from ..tables.printed import SideBySide
from .tidy import tidy

if TYPE_CHECKING:
    from ..fitting.record import Fit

ERRORS = ("se", "interval", None)
WORDS = {"fixed": "mean", "ran_pars": "random", "family": "family"}


@understands
def table(
    *fits: Any,
    names: list[str] | tuple[str, ...] | None = None,
    error: str | None = "se",
    level: float = 0.95,
    digits: int = 3,
) -> pd.DataFrame:
    """Fits side by side: estimates with their errors, then what describes each fit.

    Parameters
    ----------
    *fits : results, or one list of them, or one mapping of names to results
        They need not be of the same family, rows or response.
    names : list of str, optional
        Headings of the columns; (1), (2), ... without it.
    error : {"se", "interval", None}
        What stands behind an estimate: its standard error in parentheses, its interval in brackets, nothing.
    level : float
        Coverage of intervals.
    digits : int
        Significant digits of a standard error or, without one, of the estimate.

    Returns
    -------
    DataFrame of str, index (part, term)
        Fixed effects ("mean"), coefficients of parts with a formula of their own ("dispersion", "zero"), standard
        deviations and correlations of random effects ("random"), the family's parameters ("family"), and of the fit:
        rows, levels of each grouping factor, log-likelihood, AIC, BIC. Empty where a model does not have the term. It
        prints whole in 80 columns; `to_html`, `to_latex`, `to_markdown` and `to_excel` are those of pandas, which asks
        for the packages that it needs.

    Raises
    ------
    DataError
        There are no fits, names are too few, or `error` is not one of those known.

    Examples
    --------
    >>> import multilevel as ml
    >>> data = ml.datasets.sleepstudy()
    >>> a = ml.fit("Reaction ~ Days + (1 | Subject)", data)
    >>> b = ml.fit("Reaction ~ Days + (1 + Days | Subject)", data)
    >>> ml.table(a, b, names=["intercepts", "slopes"]).loc[("mean", "Days"), "slopes"]
    '10.47 (1.55)'
    """
    if len(fits) == 1 and isinstance(fits[0], Mapping):
        if names is not None:
            raise DataError("names= goes with fits given one by one; the mapping has names already")
        names, fits = list(map(str, fits[0])), tuple(fits[0].values())
    elif len(fits) == 1 and isinstance(fits[0], (list, tuple)):
        fits = tuple(fits[0])
    records: list[Fit] = [getattr(item, "fit", item) for item in fits]
    if not records:
        raise DataError("table takes one or more fits")
    if error not in ERRORS:
        raise DataError(f"error={error!r} is not known; there are {', '.join(map(repr, ERRORS))}")
    names = [f"({k + 1})" for k in range(len(records))] if names is None else list(names)
    if len(names) != len(records) or len(set(names)) != len(names):
        raise DataError(f"names= has {len(set(names))} different names for {len(records)} fits")
    columns = {name: _estimates(fit, error, level, digits) for name, fit in zip(names, records, strict=True)}
    below = {name: _statistics(fit) for name, fit in zip(names, records, strict=True)}
    rows = _in_order(columns) + _in_order(below)
    cells = [[(columns[name] | below[name]).get(row, "") for name in names] for row in rows]
    return SideBySide(cells, index=pd.MultiIndex.from_tuples(rows, names=["part", "term"]), columns=names)


def _estimates(fit: Fit, error: str | None, level: float, digits: int) -> dict[tuple[str, str], str]:
    rows = tidy(fit, level)
    cells = {}
    for effect, group, term, estimate, se, low, high in zip(
        *(rows[c] for c in ("effect", "group", "term", "estimate", "std_error", "conf_low", "conf_high")), strict=True
    ):
        part = WORDS.get(effect, effect)
        label = _random_label(group, term) if effect == "ran_pars" else term
        known = np.isfinite(se) and se > 0
        guide = [se] if known and error is not None else [estimate]
        text = format_numbers([estimate], digits, decimals_of=guide)[0]
        if error == "se" and known:
            text += f" ({format_numbers([se], digits)[0]})"
        elif error == "interval" and np.isfinite(low) and np.isfinite(high):
            ends = [format_numbers([end], digits, decimals_of=guide)[0] for end in (low, high)]
            text += f" [{ends[0]}, {ends[1]}]"
        cells[part, label] = text
    for name in fit.redundant:
        cells["mean", name] = "dropped"
    return cells


def _random_label(group: str, term: str) -> str:
    """A random-effects parameter in words, from its name in tidy tables."""
    if group == "Residual":
        return "residual sd"
    kind, _, rest = term.partition("__")
    return f"{group}: {kind} {rest}"


def _statistics(fit: Fit) -> dict[tuple[str, str], str]:
    cells = {("fit", "rows"): f"{fit.n_rows}"}
    cells |= {("fit", f"levels of {name}"): f"{count}" for name, count in fit.n_groups.items()}
    if fit.has_likelihood:
        criteria = information_criteria(fit)
        loglik, aic, bic = format_fixed([fit.loglik, criteria["aic"], criteria["bic"]], 2)
        cells["fit", "REML logLik" if fit.method == "reml" else "logLik"] = loglik
        cells |= {("fit", "AIC"): aic, ("fit", "BIC"): bic}
    if not fit.converged:
        cells["fit", "converged"] = "no"
    return cells


def _in_order(columns: Mapping[str, Mapping[tuple[str, str], str]]) -> list[tuple[str, str]]:
    """Rows of all columns, part by part, each part as the first fit that has it orders it."""
    rows: list[tuple[str, str]] = []
    for cells in columns.values():
        previous = -1
        for row in cells:
            if row in rows:
                previous = rows.index(row)
                continue
            same = [k for k, other in enumerate(rows) if other[0] == row[0]]
            previous = previous + 1 if previous in same else (same[-1] + 1 if same else len(rows))
            rows.insert(previous, row)
    order = list(dict.fromkeys(part for part, _ in rows))
    last = {"random": 1, "family": 2}
    return sorted(rows, key=lambda row: (last.get(row[0], 0), order.index(row[0])))
