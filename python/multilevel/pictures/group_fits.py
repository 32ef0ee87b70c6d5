"""Regressions of each group: intervals of their coefficients, with those of a mixed model beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..prediction.modes import coef
from . import canvas

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..fitting.record import Fit


def group_fits(
    table: pd.DataFrame,
    group: str,
    terms: Sequence[str],
    fit: Fit | None = None,
    level: float = 0.95,
    ax: Axes | None = None,
) -> Axes | Figure:
    """A panel per coefficient, groups sorted by the first; `table` as of `LmList.table`."""
    if ax is not None and len(terms) > 1:
        raise DataError(f"ax= takes one panel: choose a coefficient with term= ({', '.join(map(repr, terms))})")
    mixed = None if fit is None else _of_mixed(fit, group)
    if fit is not None and mixed is not None and not set(terms) & set(mixed.columns):
        raise DataError(f"the mixed model has none of the coefficients {', '.join(map(repr, terms))}")
    by_term = {term: table[table["term"] == term].set_index("level") for term in terms}
    order = by_term[terms[0]]["estimate"].sort_values(ascending=False, kind="stable").index
    if ax is None:
        figure, grid = canvas.new_panels(1, len(terms), 4.4, canvas.height_of(len(order)))
        panels = list(grid[0])
    else:
        figure, panels = None, [ax]
    for k, (own, term) in enumerate(zip(panels, terms, strict=True)):
        rows = by_term[term].loc[order]
        low, centre, high = (rows[name].to_numpy(dtype=float) for name in ("conf_low", "estimate", "conf_high"))
        canvas.intervals(own, centre, (low, high))
        if mixed is not None and term in mixed:
            places = [str(name) for name in order]
            known = mixed[term].reindex(places).to_numpy(dtype=float)
            few = len(places) <= canvas.MOST_NAMED
            size, colour = (5.0 if few else 1.5), canvas.COLOURS[1]
            own.plot(known, np.arange(len(places)), "D", color=colour, markersize=size, zorder=4, label="mixed model")
            assert fit is not None
            if term in fit.fixed_names:
                own.axvline(float(fit.beta[fit.fixed_names.index(term)]), color=colour, linewidth=0.8, zorder=0)
            if k == 0:
                own.legend(frameon=False, loc="best")
        canvas.named_rows(own, list(order))
        if k:
            own.set_yticklabels([])
            own.set_ylabel("")
        canvas.tidy_frame(own)
        own.set_xlabel(f"by least squares, {level:.0%} interval")
        own.set_title(canvas.short(term), fontsize="medium")
    return panels[0] if figure is None or len(panels) == 1 else figure


def _of_mixed(fit: Fit, group: str) -> pd.DataFrame:
    """Coefficients of the groups, by the text of their levels."""
    if group not in fit.n_groups:
        known = ", ".join(map(repr, fit.n_groups)) or "none"
        raise DataError(f"the mixed model has no grouping factor {group!r}; it has {known}")
    found = coef(fit)[group]
    return found.set_axis([str(name) for name in found.index], axis=0)
