"""Power over sizes or effects, with the bands of its Monte Carlo error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from . import canvas

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST_TICKS = 12
NEEDED = ("size", "effect", "power", "conf_low", "conf_high")


def plot_power(table: pd.DataFrame, target: float = 0.8, ax: Axes | None = None) -> Axes:
    """Draws what `multilevel.power` found: power over sizes, a curve per effect, or over effects where the size is one.

    Parameters
    ----------
    table : DataFrame
        Of `multilevel.power`.
    target : float
        The power that is wanted, a dashed line.
    ax : Axes, optional
        Those to draw on; it needs matplotlib.

    Returns
    -------
    Axes
        Bands are Wilson's intervals of 95%, of the Monte Carlo error alone.

    Raises
    ------
    DataError
        The table is not one of `multilevel.power`, or `target` is no probability.
    """
    missing = [name for name in NEEDED if name not in table]
    if missing or not len(table):
        raise DataError(f"the table has no {', '.join(map(repr, missing)) or 'rows'}; give one of multilevel.power")
    if not 0.0 < target < 1.0:
        raise DataError(f"target is {target!r}; it is a probability between 0 and 1, such as 0.8")
    over, each = ("size", "effect") if table["size"].nunique() > 1 else ("effect", "size")
    ax = canvas.new_axes(ax)
    curves = list(table.groupby(each, sort=False))
    for k, (value, rows) in enumerate(curves):
        rows = rows.sort_values(over)
        x, power, low, high = (rows[name].to_numpy(dtype=float) for name in (over, "power", "conf_low", "conf_high"))
        colour = canvas.COLOURS[k % len(canvas.COLOURS)]
        label = f"{value:.4g}" if len(curves) > 1 else None
        ax.plot(x, power, "o-", color=colour, markersize=4.0, linewidth=1.8, label=label, zorder=3)
        if len(x) > 1:
            ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0.0, zorder=2)
        else:
            ax.vlines(x, low, high, color=colour, linewidth=1.5)
    ax.axhline(target, color=canvas.FAINT, linewidth=1.0, linestyle="--", zorder=1)
    canvas.tidy_frame(ax)
    ticks = np.unique(table[over].to_numpy(dtype=float))
    if len(ticks) <= MOST_TICKS:
        ax.set_xticks(ticks, [f"{value:g}" for value in ticks])
    ax.set_ylim(0.0, 1.02)
    ax.set_yticks(np.linspace(0.0, 1.0, 6))
    ax.set_xlabel("number of levels" if over == "size" else "effect")
    ax.set_ylabel("power")
    if len(curves) > 1:
        ax.legend(frameon=False, title=each, fontsize="small" if len(curves) > len(canvas.COLOURS) else None)
    return ax
