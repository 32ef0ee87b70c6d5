"""What to look at before a model is believed: quantile residuals, random effects, influence, in one figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..checks.influence import influence as influence_of
from ..checks.quantile import quantile_residuals
from ..errors import DataError
from . import canvas
from .residual_plots import MOST_POINTS, binned, normal_quantiles, predicted, qq

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from ..fitting.record import Fit

LARGEST, FEWER = 25, 12  # units shown, and in a small panel


def check(fit: Fit, seed: int | None = 0) -> Figure:
    """Quantile residuals over normal quantiles and over the linear predictor, random effects, Cook's distances."""
    residuals = quantile_residuals(fit, "drawn" if fit.design.random_terms else "conditional", seed)
    grouped = bool(fit.design.grouping_factors)
    figure, grid = canvas.new_panels(2 if grouped else 1, 2, 4.2, 3.4)
    panels = list(grid.ravel())
    _quantiles(residuals, panels[0])
    _over_predictor(fit, residuals, panels[1])
    if grouped:
        group = fit.design.grouping_factors[0].name
        qq(fit, group, panels[2]).set_title(f"random effects of {canvas.short(group)}", fontsize="medium")
        if fit.fixed_names:
            influence(fit, group, ax=panels[3], most=FEWER)
        else:  # no coefficients, no changes of them
            panels[3].set_axis_off()
    return figure


def _quantiles(residuals: NDArray[np.float64], ax: Axes) -> None:
    values = np.sort(residuals[np.isfinite(residuals)])
    if len(values) < 3:
        raise DataError(f"there are {len(values)} quantile residuals: too few for quantiles")
    every = max(1, len(values) // MOST_POINTS)
    ax.axline((0.0, 0.0), slope=1.0, color=canvas.FAINT, linewidth=1.0)
    ax.plot(normal_quantiles(len(values))[::every], values[::every], "o", color=canvas.COLOURS[0], markersize=3.0)
    canvas.tidy_frame(ax)
    ax.set_title("quantile residuals", fontsize="medium")
    ax.set_xlabel("normal quantile")
    ax.set_ylabel("quantile residual")


def _over_predictor(fit: Fit, residuals: NDArray[np.float64], ax: Axes) -> None:
    eta, label = predicted(fit)
    there = np.isfinite(residuals) & np.isfinite(eta)
    eta, values = eta[there], residuals[there]
    every = max(1, len(values) // MOST_POINTS)
    ax.plot(eta[::every], values[::every], "o", color=canvas.FAINT, markersize=2.5, alpha=0.5, markeredgewidth=0.0)
    centre, mean, error = binned(eta, values)
    ax.fill_between(centre, -2.0 * error, 2.0 * error, color=canvas.COLOURS[5], alpha=0.25, linewidth=0.0)
    ax.plot(centre, mean, "o-", color=canvas.COLOURS[1], markersize=3.5, linewidth=1.0)
    canvas.tidy_frame(ax)
    ax.set_title("means of classes", fontsize="medium")
    ax.set_xlabel(label)
    ax.set_ylabel("quantile residual")


def influence(
    fit: Fit, group: str | None = None, exact: bool = False, ax: Axes | None = None, most: int = LARGEST
) -> Axes:
    """Cook's distances of the levels of a grouping factor, the largest first."""
    found = influence_of(fit, group, exact)
    distance = found.cooks_distance.dropna().sort_values(ascending=False)
    if distance.empty:
        raise DataError("no unit has a Cook's distance: " + next((own for own in found.notes if own), ""))
    shown = distance.iloc[:most]
    ax = canvas.new_axes(ax, 5.0, canvas.height_of(len(shown)))
    ax.hlines(np.arange(len(shown)), 0.0, shown.to_numpy(), color=canvas.COLOURS[0], linewidth=1.5)
    ax.plot(shown.to_numpy(), np.arange(len(shown)), "o", color=canvas.INK, markersize=3.5)
    canvas.named_rows(ax, list(shown.index))
    canvas.tidy_frame(ax)
    ax.set_xlim(left=0.0)
    ax.set_xlabel("Cook's distance")
    more = f", {len(shown)} of {len(distance)}" if len(distance) > len(shown) else ""
    ax.set_title(f"without each {canvas.short(found.unit)}{more}", fontsize="medium")
    return ax
