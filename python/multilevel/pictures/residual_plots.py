"""Residuals against fitted values, and quantiles of residuals and random effects against the normal distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks.quantile import all_residuals
from ..errors import DataError
from ..prediction.modes import random_effects
from . import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ..fitting.record import Fit

MOST_POINTS = 20_000  # drawn one by one; beyond, every so many rows
BINS = 40


def residuals(fit: Fit, kind: str = "pearson", ax: Axes | None = None) -> Axes:
    """Residuals over linear predictors, with their means in classes of as many rows.

    The means are what to look at where single residuals fall on lines, as those of binary responses and small counts
    do (Gelman and Hill 2007, section 5.6): they lie around zero, most of them within the band of two standard errors.
    """
    values = all_residuals(fit, kind)
    eta, label = predicted(fit)
    finite = np.isfinite(values) & np.isfinite(eta)
    values, eta = values[finite], eta[finite]
    if not len(values):
        raise DataError("no row has a finite residual to draw")
    ax = canvas.new_axes(ax)
    every = max(1, len(values) // MOST_POINTS)
    ax.plot(eta[::every], values[::every], "o", color=canvas.FAINT, markersize=3.0, alpha=0.5, markeredgewidth=0.0)
    ax.axhline(0.0, color=canvas.INK, linewidth=0.8)
    centre, mean, error = binned(eta, values)
    ax.fill_between(centre, -2.0 * error, 2.0 * error, color=canvas.COLOURS[5], alpha=0.25, linewidth=0.0)
    ax.plot(centre, mean, "o-", color=canvas.COLOURS[1], markersize=4.0, linewidth=1.0)
    canvas.tidy_frame(ax)
    ax.set_xlabel(label)
    ax.set_ylabel(f"{kind} residual")
    return ax


def predicted(fit: Fit) -> tuple[NDArray[np.float64], str]:
    """What residuals are drawn over, (n,), and its name: linear predictors, or the mean of the numbers of categories
    without an order, which quantile residuals have in the same order.
    """
    choices = fit.design.choices
    if choices is None:
        return fit.eta, f"linear predictor ({fit.family.link})"
    numbers = np.arange(1.0, len(choices.categories) + 1.0)
    return choices.probabilities(fit.eta) @ numbers, "mean of the categories' numbers"


def binned(
    x: NDArray[np.float64], y: NDArray[np.float64], bins: int = BINS
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Means of x and y in classes of as many rows, and standard errors of those of y, (n_classes,) each."""
    order = np.argsort(x, kind="stable")
    n = len(x)
    classes = max(1, min(bins, n // 5))
    edges = np.linspace(0, n, classes + 1).astype(int)
    size = np.diff(edges)
    x, y = x[order], y[order]
    mean_x, mean_y = (np.add.reduceat(v, edges[:-1]) / size for v in (x, y))
    spread = np.add.reduceat((y - np.repeat(mean_y, size)) ** 2, edges[:-1]) / np.maximum(size - 1, 1)
    return mean_x, mean_y, np.sqrt(spread / size)


def qq(fit: Fit, what: str = "residuals", ax: Axes | None = None) -> Axes:
    """Sorted values over normal quantiles: Pearson or deviance residuals, or the modes of a grouping factor."""
    ax = canvas.new_axes(ax, 4.5, 4.5)
    for at, (name, values) in enumerate(_samples(fit, what).items()):
        values = np.sort(values[np.isfinite(values)])
        n = len(values)
        if n < 3:
            raise DataError(f"{what} has {n} values: too few for quantiles")
        normal = normal_quantiles(n)
        colour = canvas.COLOURS[at % len(canvas.COLOURS)]
        every = max(1, n // MOST_POINTS)
        ax.plot(normal[::every], values[::every], "o", color=colour, markersize=3.5, label=canvas.short(name))
        low, high = np.quantile(values, [0.25, 0.75])
        slope = (high - low) / (2.0 * 0.6744897501960817)
        ax.axline((0.0, (low + high) / 2.0), slope=slope, color=colour, linewidth=1.0)
    canvas.tidy_frame(ax)
    ax.set_xlabel("normal quantile")
    ax.set_ylabel("deviance residual" if what == "residuals" else "random effect")
    if len(ax.get_legend_handles_labels()[0]) > 1:
        ax.legend(frameon=False)
    return ax


def normal_quantiles(n: int) -> NDArray[np.float64]:
    """About the expected values of n sorted normal numbers (Blom 1958)."""
    from scipy.special import ndtri

    quantiles: NDArray[np.float64] = ndtri((np.arange(1, n + 1) - 0.375) / (n + 0.25))
    return quantiles


def _samples(fit: Fit, what: str) -> dict[str, Any]:
    if what == "residuals":
        categories = fit.family.support in ("categories", "choices")  # which have no deviance of a row with a sign
        return {what: all_residuals(fit, "quantile" if categories else "deviance")}
    if what not in fit.n_groups:
        known = ", ".join(map(repr, ("residuals", *fit.n_groups)))
        raise DataError(f"what={what!r} is not there; there are {known}")
    table = random_effects(fit)
    table = table[table["group"] == what]
    return {str(term): rows["mode"].to_numpy() for term, rows in table.groupby("term", sort=False)}
