"""Items of a latent trait: expected responses, and the information that they give, along the trait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..inference.latent_traits import item_curves
from . import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..fitting.record import Fit

MOST_IN_COLOUR = 7


def items(fit: Fit) -> Figure:
    """Two panels, a curve per item; the dashed curve is the information of all items together."""
    curves = item_curves(fit)
    figure, grid = canvas.new_panels(1, 2, 4.6, 3.6)
    names = list(dict.fromkeys(curves["item"]))
    for panel, what in zip(grid[0], ("mean", "information"), strict=True):
        for at, name in enumerate(names):
            rows = curves[curves["item"] == name]
            few = len(names) <= MOST_IN_COLOUR
            panel.plot(
                rows["ability"],
                rows[what],
                color=canvas.COLOURS[at % len(canvas.COLOURS)] if few else canvas.FAINT,
                linewidth=1.8 if few else 1.0,
                label=canvas.short(name) if few else None,
            )
        canvas.tidy_frame(panel)
        panel.set_xlabel("trait, in standard deviations")
        panel.set_ylabel({"mean": "expected response", "information": "information"}[what])
    total = curves.groupby("ability")["information"].sum()
    grid[0, 1].plot(total.index, total.to_numpy(), "--", color=canvas.INK, linewidth=1.8, label="all items")
    grid[0, 1].legend(frameon=False, fontsize="small")
    return figure
