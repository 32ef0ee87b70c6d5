"""Profiles of the likelihood: the signed root of what it loses, a panel per parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..inference.profile import profile as profile_of
from ..inference.wald import quantile
from . import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..fitting.record import Fit
    from ..inference.profile import Which

PER_ROW = 3


def profile(fit: Fit, which: Which = None, level: float = 0.95, ax: Axes | None = None) -> Axes | Figure:
    """Zeta over the values of each parameter, with the interval where it crosses the quantile of the level."""
    found = profile_of(fit, which, 1.0 - (1.0 - level) / 4.0)  # a little beyond the limits
    names = [name for name in found.estimates.index if (found.table["parameter"] == name).any()]
    if ax is not None and len(names) > 1:
        raise ValueError(f"ax= takes one panel, and there are {len(names)} parameters; which= chooses one")
    if ax is None:
        columns = min(PER_ROW, len(names))
        rows = -(-len(names) // PER_ROW)
        figure, grid = canvas.new_panels(rows, columns, 3.2, 2.6)
        panels = list(grid.ravel())
    else:
        figure, panels = None, [ax]
    limits, half = found.conf_int(level), float(quantile(level))
    for own, name in zip(panels, names, strict=False):
        points = found.table[found.table["parameter"] == name].sort_values("value")
        own.axhspan(-half, half, color=canvas.COLOURS[5], alpha=0.2, linewidth=0.0)
        own.axhline(0.0, color=canvas.FAINT, linewidth=0.8)
        own.plot(points["value"], points["zeta"], "o-", color=canvas.COLOURS[0], markersize=3.0, linewidth=1.4)
        ends = [end for end in limits.loc[name] if np.isfinite(end)]
        for end in ends:
            own.axvline(end, color=canvas.COLOURS[1], linewidth=1.0, linestyle="--")
        own.set_title(canvas.short(name), fontsize="medium")
        own.spines[["top", "right"]].set_visible(False)
        own.set_ylabel("zeta")
    for spare in panels[len(names) :]:
        spare.set_visible(False)
    return panels[0] if figure is None or len(names) == 1 else figure
