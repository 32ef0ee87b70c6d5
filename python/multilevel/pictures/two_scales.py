"""The same curves on the scale of the linear predictor and on that of the response, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from . import canvas
from .curves import predictions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from ..fitting.record import Fit


def probability(
    fit: Fit,
    x: str,
    by: str | None = None,
    at: Mapping[str, Any] | None = None,
    level: float = 0.95,
    groups: bool = True,
    data: bool = True,
) -> Figure:
    """Two panels of `curves.predictions`."""
    if fit.design.thresholds is not None:
        raise DataError("ordered categories have a probability each; predict(kind='probabilities') has them")
    if fit.family.link == "identity":
        raise DataError("with the identity link both scales are one; draw plot.predictions")
    figure, grid = canvas.new_panels(1, 2, 4.6, 3.8)
    left, right = grid[0]
    predictions(fit, x, by, at, level, "link", groups, False, left)
    predictions(fit, x, by, at, level, "response", groups, data, right)
    if left.get_legend() is not None:
        left.get_legend().remove()
    if fit.family.support == "trials":
        half = float(fit.family.link_of_mean(np.array([0.5]))[0])
        for panel, place in ((left, half), (right, 0.5)):
            panel.axhline(place, color=canvas.FAINT, linewidth=1.0, zorder=0)
        right.set_ylim(-0.02, 1.02)
    return figure
