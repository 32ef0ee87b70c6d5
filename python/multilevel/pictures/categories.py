"""Categories: probabilities over a predictor, and the latent response with the thresholds that cut it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..effects.marginal_means import marginal_means, scale_at
from ..effects.variables import column_of, is_number, levels_of
from ..errors import DataError
from ..prediction.links import derivatives
from . import canvas

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ..design.thresholds import Thresholds
    from ..fitting.record import Fit

    Array = NDArray[np.float64]

POINTS = 60
REACH = 0.999  # of the latent distribution that is shown to either side
STYLES = ("stacked", "lines")


def probabilities(
    fit: Fit,
    x: str,
    at: Mapping[str, Any] | None,
    level: float,
    random: str,
    style: str,
    ax: Axes | None,
) -> Axes:
    """Probabilities of the categories over `x`: areas on top of each other, or a line with a band for each."""
    choices = fit.design.choices
    if choices is not None and not choices.by_category:
        raise DataError(
            "probabilities of alternatives depend on all that are in a set, and no curve has them all: "
            "predict(newdata) has those of any sets"
        )
    categories = _thresholds(fit).categories if choices is None else choices.categories
    if style not in STYLES:
        raise DataError(f"style={style!r} is not available; choose one of {', '.join(map(repr, STYLES))}")
    column = column_of(fit, x)
    number = is_number(fit, column)
    values = np.linspace(column.values.min(), column.values.max(), POINTS).tolist() if number else levels_of(column)
    table = marginal_means(
        fit, [x], kind="probabilities", at={**(at or {}), x: values}, random=random, level=level
    ).table
    places = np.asarray(values, dtype=float) if number else np.arange(len(values), dtype=float)
    ax = canvas.new_axes(ax)
    colours = _shades(len(categories)) if choices is None else _hues(len(categories))
    own = {category: table[table["category"] == category] for category in categories}
    if style == "stacked":
        _stacked(ax, places, own, colours, number)
    else:
        for (category, rows), colour in zip(own.items(), colours, strict=True):
            _line(ax, places, rows, colour, category, number)
    canvas.tidy_frame(ax)
    ax.set_ylim(0.0, 1.0)
    if not number:
        ax.set_xticks(places, [canvas.short(value) for value in values])
    ax.set_xlabel(canvas.short(x))
    ax.set_ylabel(f"probability ({'population' if random == 'marginal' else 'typical group'})")
    handles, labels = ax.get_legend_handles_labels()
    title = canvas.short(fit.design.response.name)
    ax.legend(handles[::-1], labels[::-1], frameon=False, title=title, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def _shades(count: int) -> list[str]:
    """Colours from the lowest to the highest category, whose order is that of their lightness."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["cividis"](0.95 - 0.9 * k / (count - 1))) for k in range(count)]


def _hues(count: int) -> list[str]:
    """Colours of categories without an order."""
    return [canvas.COLOURS[k % len(canvas.COLOURS)] for k in range(count)]


def _stacked(ax: Axes, places: Array, own: Mapping[str, pd.DataFrame], colours: Sequence[str], number: bool) -> None:
    below = np.zeros(len(places))
    for (category, rows), colour in zip(own.items(), colours, strict=True):
        top = below + rows["estimate"].to_numpy(dtype=float)
        label = canvas.short(category)
        if number:
            ax.fill_between(places, below, top, color=colour, linewidth=0.0, label=label)
            ax.plot(places, top, color="white", linewidth=0.6)
        else:
            ax.bar(places, top - below, 0.7, bottom=below, color=colour, edgecolor="white", linewidth=0.6, label=label)
        below = top


def _line(ax: Axes, places: Array, rows: pd.DataFrame, colour: str, category: str, number: bool) -> None:
    estimate, low, high = (rows[name].to_numpy(dtype=float) for name in ("estimate", "conf_low", "conf_high"))
    label = canvas.short(category)
    if number:
        ax.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0.0)
        ax.plot(places, estimate, color=colour, linewidth=2.0, label=label)
        return
    ax.plot(places, estimate, "o-", color=colour, linewidth=1.2, markersize=5.0, label=label)
    ax.vlines(places, low, high, color=colour, linewidth=1.2)


def thresholds(fit: Fit, at: Mapping[str, Any] | None, level: float, ax: Axes | None) -> Axes:
    """The density of the latent response, cut at the thresholds; see `Plot.thresholds`."""
    made = _thresholds(fit)
    setting = {name: [value] for name, value in (at or {}).items()}
    names = list(setting)
    eta = float(marginal_means(fit, names, kind="link", at=setting).table["estimate"].iloc[0])
    cuts = marginal_means(fit, names, kind="cuts", at=setting, level=level).table
    places, lower, upper = (cuts[name].to_numpy(dtype=float) for name in ("estimate", "conf_low", "conf_high"))
    scale = np.exp(scale_at(fit, setting))
    shares = np.diff(np.concatenate([[0.0], derivatives(fit.family.link, places / scale, 0)[0], [1.0]]))
    reach = scale * np.asarray(fit.family.link_of_mean(np.array([1.0 - REACH, REACH])))
    grid = np.linspace(min(reach[0], places.min()) - 0.3, max(reach[1], places.max()) + 0.3, 801)
    density = derivatives(fit.family.link, grid / scale, 1)[1]
    ends = np.concatenate([grid[:1], places, grid[-1:]])
    ax = canvas.new_axes(ax, height=3.6)
    colours = _shades(len(made.categories))
    top = density.max()
    for k, colour in enumerate(colours):
        inside = np.concatenate([[ends[k]], grid[(grid > ends[k]) & (grid < ends[k + 1])], [ends[k + 1]]])
        height = derivatives(fit.family.link, inside / scale, 1)[1]
        label = f"{canvas.short(made.categories[k])} ({shares[k]:.2f})"
        ax.fill_between(inside + eta, height, color=colour, alpha=0.85, linewidth=0.0, label=label)
    ax.plot(grid + eta, density, color=canvas.INK, linewidth=1.2)
    ax.vlines(places + eta, 0.0, 1.08 * top, color=canvas.INK, linewidth=1.0)
    for k, place in enumerate(places):
        ax.text(place + eta, 1.1 * top, canvas.short(made.names[k]), ha="center", va="bottom", fontsize="small")
        drawn = np.clip([lower[k], upper[k]], grid[0], grid[-1])
        ax.hlines((1.04 - 0.03 * (k % 2)) * top, *(drawn + eta), color=canvas.COLOURS[1], linewidth=2.0)
    canvas.tidy_frame(ax)
    ax.spines["left"].set_visible(False)
    ax.set_yticks([])
    ax.set_ylim(0.0, 1.2 * top)
    ax.set_xlim(grid[0] + eta, grid[-1] + eta)
    ax.set_xlabel(f"latent {canvas.short(fit.design.response.name)} ({fit.family.link} link)")
    ax.legend(frameon=False, title="category (probability)", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def _thresholds(fit: Fit) -> Thresholds:
    if fit.design.thresholds is None:
        raise DataError(f"the {fit.family.name} family has no thresholds: this picture is of categories")
    return fit.design.thresholds
