"""Quadrature points and their weights over one cluster's likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multilevel import _core

from ..design.choices import crossed_factors
from ..errors import DataError
from . import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ..fitting.record import Fit

GRID = 400


def quadrature(fit: Fit, level: object = None, n_points: int | None = None, ax: Axes | None = None) -> Axes:
    """The joint density of a cluster's response and its random effect u, over u, scaled to a largest value of one.

    The dashed curve is the normal density that the Laplace approximation puts in its place; stems stand at the
    quadrature points, as high as the density there. Where curve and dashes part, one point is not enough.
    """
    factors = fit.design.grouping_factors
    if len(factors) != 1 or sum(len(term.names) for term in fit.design.random_terms) != 1:
        raise DataError(
            "the picture shows a likelihood over one random effect: it needs a model with one grouping factor and one "
            f"random effect per level, and this one has {len(factors)} grouping factors and "
            f"{sum(len(term.names) for term in fit.design.random_terms)} random effects"
        )
    if crossed_factors(fit.design.choices, factors):
        raise DataError(
            f"the alternatives of a set have different levels of {factors[0].name!r}: the random effects of two levels "
            "depend on each other given the data, and the picture shows one by itself"
        )
    term, factor = fit.design.random_terms[0], factors[0]
    if term.parameter:
        raise DataError(f"the random effect stands in the part {term.parameter!r}; the picture shows those of the mean")
    sd = float(fit.theta[0][0, 0])
    if sd == 0.0:
        raise DataError("the variance of the random effects is zero: there is nothing to integrate over")
    labels = [str(own) for own in factor.levels]
    if level is not None and str(level) not in labels:
        raise DataError(f"level={level!r} is not a level of {factor.name!r}")
    at = 0 if level is None else labels.index(str(level))
    mode, spread = float(fit.modes[0][at, 0]), float(np.sqrt(fit.mode_cov[0][at, 0, 0]))
    points = fit.n_quadrature if n_points is None else n_points
    nodes = mode + spread * _core.quadrature_rule(points, 1)[0].ravel()
    reach = max(4.5 * spread, 1.1 * float(np.abs(nodes - mode).max()))
    u = np.linspace(mode - reach, mode + reach, GRID)
    density = _log_density(fit, at, np.concatenate([u, nodes, [mode]]), sd)
    density = np.exp(density - density[-1])
    ax = canvas.new_axes(ax)
    ax.plot(u, density[:GRID], color=canvas.COLOURS[0], linewidth=2.0, label="likelihood times density of u")
    ax.plot(u, np.exp(-0.5 * ((u - mode) / spread) ** 2), "--", color=canvas.COLOURS[1], label="Laplace approximation")
    heights = density[GRID:-1]
    ax.vlines(nodes, 0.0, heights, color=canvas.INK, linewidth=1.0)
    ax.plot(nodes, heights, "o", color=canvas.INK, markersize=4.5, label=f"{points} point{'s' * (points > 1)}")
    ax.set_ylim(0.0, 1.45)  # room for the legend
    canvas.tidy_frame(ax)
    ax.set_xlabel(f"random effect of {canvas.short(factor.name)} {canvas.short(labels[at])}")
    ax.set_yticks([0.0, 0.5, 1.0])
    ax.set_ylabel("density, its mode being 1")
    ax.legend(frameon=False, loc="upper right")
    return ax


def _log_density(fit: Fit, level: int, u: NDArray[np.float64], sd: float) -> NDArray[np.float64]:
    """Log density of the rows of a level and of u, up to a constant, at each u."""
    term, factor = fit.design.random_terms[0], fit.design.grouping_factors[0]
    rows, choices = np.flatnonzero(factor.codes == level), fit.design.choices
    column = term.columns[0]
    z = np.ones(len(rows)) if column is None else np.asarray(column)[rows]
    fixed = fit.eta[rows] - z * fit.modes[0][level, 0]
    if choices is not None and choices.sets is not None:
        return _of_sets(fit, rows, choices.sets[rows], fixed + np.multiply.outer(u, z)) - 0.5 * (u / sd) ** 2
    eta = (fixed + np.multiply.outer(u, z)).ravel()
    response, weights = fit.design.response, fit.design.weights
    n, second = len(u), response.second
    log_density = fit.family.log_density(
        eta,
        np.tile(response.values[rows], n),
        None if second is None else np.tile(second[rows], n),
        None if weights is None else np.tile(weights[rows], n),
        fit.row_phi if fit.row_phi.ndim == 1 else np.tile(fit.row_phi[rows], (n, 1)),
    )
    total: NDArray[np.float64] = log_density.reshape(n, len(rows)).sum(axis=1) - 0.5 * (u / sd) ** 2
    return total


def _of_sets(
    fit: Fit, rows: NDArray[np.intp], sets: NDArray[np.int32], eta: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Log density of choices at predictors of their alternatives, (m, rows); (m,)."""
    places, weights = np.unique(sets, return_inverse=True)[1], fit.design.weights
    largest = eta.max(axis=1, keepdims=True)
    share = np.exp(eta - largest)
    totals = np.column_stack([share[:, places == own].sum(axis=1) for own in range(places.max() + 1)])
    log_density = (eta - largest - np.log(totals)[:, places]) * fit.design.response.values[rows]
    total: NDArray[np.float64] = (log_density if weights is None else log_density * weights[rows]).sum(axis=1)
    return total
