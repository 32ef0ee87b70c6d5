"""Means over a predictor: of a typical group, of the population, of each group, with what was observed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..effects.marginal_means import marginal_means
from ..effects.variables import column_of, is_number, levels_of
from ..errors import DataError
from ..prediction.residuals import observed
from . import canvas
from .residual_plots import binned

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ..design.source import SourceColumn
    from ..fitting.record import Fit

POINTS = 80
MOST_GROUPS = 500
CLASSES = 20


def predictions(
    fit: Fit,
    x: str,
    by: str | None = None,
    at: Mapping[str, Any] | None = None,
    level: float = 0.95,
    kind: str = "response",
    groups: bool = True,
    data: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Means over `x`: of a typical group (solid, with a band), of the population (dashed), and of each group."""
    fit.need_one_family("curves of means", "predict(newdata) has those of rows of one kind")
    if fit.design.choices is not None:
        raise DataError(
            "curves of means: a choice is no number with a mean; plot.categories() has the probabilities of categories "
            "without an order, and predict(newdata) those of alternatives"
        )
    check_by(fit, by)
    column = column_of(fit, x)
    number = is_number(fit, column)
    values = np.linspace(column.values.min(), column.values.max(), POINTS).tolist() if number else levels_of(column)
    at = {**(at or {}), x: values}
    ax = canvas.new_axes(ax)
    places = np.asarray(values, dtype=float) if number else np.arange(len(values), dtype=float)
    typical = marginal_means(fit, [x], by, kind, at=at, random="zero", level=level).table
    curved = kind == "response" and fit.family.link != "identity" and bool(fit.design.random_terms)
    averaged = marginal_means(fit, [x], by, kind, at=at, random="marginal", level=level).table if curved else None
    if groups and by is None and number:
        _group_curves(fit, at, x, places, kind, ax)
    if data and by is None and kind == "response":
        _observed(fit, column, number, ax)
    names = [None] if by is None else list(dict.fromkeys(typical[by]))
    for colour, name in zip(canvas.COLOURS * (1 + len(names) // len(canvas.COLOURS)), names, strict=False):
        label = "typical group" if name is None else canvas.short(name)
        _draw(ax, places, _of(typical, by, name), number, colour, label if curved or name is not None else None, True)
        if averaged is not None:
            _draw(ax, places, _of(averaged, by, name), number, colour, "population" if name is None else None, False)
    canvas.tidy_frame(ax)
    if not number:
        ax.set_xticks(places, [canvas.short(value) for value in values])
    ax.set_xlabel(canvas.short(x))
    ax.set_ylabel(f"linear predictor ({fit.family.link})" if kind == "link" else _name(fit))
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, title=None if by is None else canvas.short(by))
    return ax


def _name(fit: Fit) -> str:
    word = "share" if fit.family.support == "trials" else "mean"
    return f"{word} of {canvas.short(fit.design.response.name)}"


def _of(table: pd.DataFrame, by: str | None, name: object) -> pd.DataFrame:
    return table if by is None else table[table[by] == name]


def _draw(
    ax: Axes, places: NDArray[np.float64], rows: pd.DataFrame, number: bool, colour: str, label: str | None, solid: bool
) -> None:
    estimate, low, high = (rows[c].to_numpy(dtype=float) for c in ("estimate", "conf_low", "conf_high"))
    if number:
        ax.plot(places, estimate, "-" if solid else "--", color=colour, linewidth=2.2, label=label, zorder=4)
        if solid:
            ax.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0.0, zorder=3)
        return
    side = places + (0.0 if solid else 0.12)
    ax.vlines(side, low, high, color=colour, linewidth=1.2)
    face = colour if solid else "white"
    ax.plot(side, estimate, "o", color=colour, markerfacecolor=face, markersize=6.0, label=label, zorder=4)


def _group_curves(fit: Fit, at: dict[str, Any], x: str, places: NDArray[np.float64], kind: str, ax: Axes) -> None:
    """Curves of the levels of the first grouping factor, at their conditional modes: the typical one's, shifted."""
    if not fit.design.grouping_factors or not fit.family.mean_is_response:
        return
    if fit.design.thresholds is not None and len(fit.design.parts[0].fixed) > 1:
        return  # thresholds that move with columns of their own
    if fit.family.scaled:
        return  # distances from the thresholds, too
    eta = marginal_means(fit, [x], None, "link", at=at, random="zero").table["estimate"].to_numpy(dtype=float)
    shift = np.zeros((len(fit.design.grouping_factors[0].levels), len(places)))
    for term, columns in zip(fit.design.random_terms, fit.term_columns, strict=True):
        if term.grouping_factor != 0 or term.parameter:
            continue
        for name, k in zip(term.names, columns, strict=True):
            if name not in ("(Intercept)", x):
                return  # what stands there in other rows is not known
            shift += np.multiply.outer(fit.modes[0][:, k], np.ones(len(places)) if name == "(Intercept)" else places)
    lines = (eta + shift)[:: max(1, len(shift) // MOST_GROUPS)]
    if kind != "link":
        lines = np.array([_means(fit, np.ascontiguousarray(line)) for line in lines])
    ax.plot(places, lines.T, color=canvas.FAINT, linewidth=0.6, alpha=0.6, zorder=1)


def _means(fit: Fit, eta: NDArray[np.float64]) -> NDArray[np.float64]:
    if fit.design.thresholds is None:
        return np.asarray(fit.family.mean(eta))
    thresholds = np.tile(fit.thresholds[0], (len(eta), 1))
    return np.asarray(fit.family.category_probabilities(eta, thresholds) @ fit.scores)


def _observed(fit: Fit, column: SourceColumn, number: bool, ax: Axes) -> None:
    """Means of the response at each value, or in classes of as many rows where there are many values."""
    y = np.asarray(observed(fit), dtype=float)
    values, codes = np.unique(column.values, return_inverse=True)
    if len(values) > CLASSES:
        where, mean = binned(np.asarray(column.values, dtype=float), y, CLASSES)[:2]
    else:
        where = values.astype(np.float64) if number else np.arange(len(values), dtype=np.float64) - 0.12
        mean = np.bincount(codes, y) / np.bincount(codes)
    ax.plot(where, mean, "x", color=canvas.INK, markersize=5.0, label="observed", zorder=2)


def check_by(fit: Fit, by: str | None) -> None:
    """Refuses to draw a curve for every value of a number."""
    if (
        by is not None
        and is_number(fit, column_of(fit, by))
        and len(levels_of(column_of(fit, by))) > len(canvas.COLOURS)
    ):
        raise DataError(f"by={by!r} is a number with many values; a factor, or values in at=, makes few curves")
