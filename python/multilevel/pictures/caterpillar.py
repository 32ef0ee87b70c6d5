"""Random effects, sorted, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from ..inference.wald import quantile
from ..prediction.modes import random_effects as table_of
from . import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..fitting.record import Fit


def random_effects(
    fit: Fit, group: str | None = None, term: str | None = None, level: float = 0.95, ax: Axes | None = None
) -> Axes | Figure:
    """A panel per random effect of one grouping factor.

    Thin lines are intervals of the coverage asked for. Where the thick ones of two levels do not overlap, the levels
    differ at about 1 - level: their half-width is the quantile over the root of two (Goldstein and Healy 1995, who take
    it for levels of similar precision).
    """
    table = table_of(fit)
    names = list(fit.n_groups)
    if not names:
        raise DataError("the model has no random effects to draw")
    group = _one("group", group, names)
    table = table[table["group"] == group]
    terms = list(dict.fromkeys(table["term"]))
    chosen = terms if term is None else [_one("term", term, terms)]
    if ax is not None and len(chosen) > 1:
        raise DataError(
            f"ax= takes one panel, and {group!r} has several random effects: choose one with "
            f"term= ({', '.join(map(repr, terms))})"
        )
    half = float(quantile(level))
    height = canvas.height_of(fit.n_groups[group])
    if ax is None:
        figure, grid = canvas.new_panels(1, len(chosen), 4.2 if len(chosen) > 1 else 5.5, height)
        panels: list[Any] = list(grid[0])
    else:
        figure, panels = None, [ax]
    for own, name in zip(panels, chosen, strict=True):
        rows = table[table["term"] == name].sort_values("mode", ascending=False, kind="stable")
        mode, sd = rows["mode"].to_numpy(), rows["sd"].to_numpy()
        own.axvline(0.0, color=canvas.FAINT, linewidth=1.0)
        wide, narrow = half * sd, half / np.sqrt(2.0) * sd
        canvas.intervals(own, mode, (mode - wide, mode + wide), (mode - narrow, mode + narrow))
        canvas.named_rows(own, list(rows["level"]))
        canvas.tidy_frame(own)
        own.set_xlabel(f"random effect, {level:.0%} interval")
        own.set_title(f"{canvas.short(group)}: {canvas.short(name)}", fontsize="medium")
    return panels[0] if figure is None or len(panels) == 1 else figure


def _one(argument: str, value: str | None, names: list[str]) -> str:
    """The name asked for, or the first."""
    if value is None:
        return names[0]
    if value not in names:
        raise DataError(f"{argument}={value!r} is not there; there are {', '.join(map(repr, names))}")
    return value
