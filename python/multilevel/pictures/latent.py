"""The latent response of a binary model: its density, cut at zero, of values of a column or levels of a factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..effects.marginal_means import marginal_means
from ..effects.variables import column_of, is_number
from ..errors import DataError
from ..prediction.modes import terms_of
from . import canvas
from .curves import check_by

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ..fitting.record import Fit

# The distribution of what is left of the latent response, by link: SciPy's name, and how far it is drawn on each side.
REST = {
    "logit": ("logistic", 5.5, 5.5),
    "probit": ("norm", 3.2, 3.2),
    "cloglog": ("gumbel_r", 2.2, 5.5),
    "cauchit": ("cauchy", 9.0, 9.0),
}
POINTS, NODES = 400, 40
MOST_GROUPS = 500
FEW = 7  # levels of a factor with a curve of their own
SHARES = (0.1, 0.5, 0.9)  # of a number's values, where at= names none


def latent(
    fit: Fit,
    by: str | None = None,
    at: Mapping[str, Any] | None = None,
    groups: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Densities of the latent response, whose part above zero is the probability of success."""
    _check(fit)
    name, left, right = REST[fit.family.link]
    centres, shifts = _centres(fit, by, at), np.zeros(0)
    if by is None and groups and fit.design.grouping_factors:
        shifts = _shifts(fit, 0)[:: max(1, len(fit.design.grouping_factors[0].levels) // MOST_GROUPS)]
    sd = _sd(fit) if by is None else 0.0
    every = np.concatenate([list(centres.values()), next(iter(centres.values())) + shifts])
    y = np.linspace(min(every.min(), 0.0) - left - 2.0 * sd, max(every.max(), 0.0) + right + 2.0 * sd, POINTS)
    ax = canvas.new_axes(ax, 6.0 if by is None else 7.5)
    if len(shifts):
        thin = _density(name, y - (next(iter(centres.values())) + shifts)[:, None])
        alpha = float(np.clip(40.0 / len(shifts), 0.15, 0.6))
        ax.plot(y, thin.T, color=canvas.FAINT, linewidth=0.6, alpha=alpha, zorder=1)
    for k, (label, centre) in enumerate(centres.items()):
        colour = canvas.COLOURS[k % len(canvas.COLOURS)]
        density = _density(name, y - centre)
        shown = f"{canvas.short(label)}: {_probability(fit, np.array([centre]))[0]:.3f}"
        ax.plot(y, density, color=colour, linewidth=2.0, label=shown, zorder=3)
        ax.fill_between(y, 0.0, density, where=y >= 0.0, color=colour, alpha=0.15, linewidth=0.0, zorder=2)
    if sd > 0.0:
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
        moved, share = next(iter(centres.values())) + sd * nodes, weights / weights.sum()
        shown = f"population: {share @ _probability(fit, moved):.3f}"
        ax.plot(y, share @ _density(name, y - moved[:, None]), "--", color=canvas.COLOURS[1], label=shown, zorder=3)
    ax.axvline(0.0, color=canvas.INK, linewidth=1.0)
    canvas.tidy_frame(ax)
    ax.set_yticks([])
    ax.set_ylim(0.0, (1.3 if by is None else 1.05) * ax.dataLim.ymax)  # room for the legend
    ax.set_xlabel(f"latent response ({fit.family.link} scale); success above 0")
    ax.set_ylabel("density")
    if by is None:
        ax.legend(frameon=False, title="P(success)", loc="upper right")
    else:
        title = f"P(success) by {canvas.short(by)}"
        ax.legend(frameon=False, title=title, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _check(fit: Fit) -> None:
    if fit.design.thresholds is not None:
        raise DataError("ordered categories are cut at thresholds of their own, not at zero")
    if not fit.family.independent_trials or fit.family.zero:
        raise DataError(f"the {fit.family.name} family has no latent response; binary and binomial models have")
    if fit.family.link not in REST:
        raise DataError(f"the {fit.family.link} link is that of no latent response; there are {', '.join(REST)}")


def _centres(fit: Fit, by: str | None, at: Mapping[str, Any] | None) -> dict[str, float]:
    """Linear predictors by label: of a typical group, of values of a column, or of levels of a grouping factor."""
    if by is None or by in fit.n_groups:
        typical = float(marginal_means(fit, [], None, "link", at=at, random="zero").table["estimate"].iloc[0])
        if by is None:
            return {"typical group" if fit.n_groups else "mean": typical}
        factor = list(fit.n_groups).index(by)
        shift, levels = _shifts(fit, factor), fit.design.grouping_factors[factor].levels
        order = np.argsort(shift, kind="stable")
        chosen = order[np.unique(np.linspace(0, len(order) - 1, FEW).round().astype(int))]
        return {str(levels[k]): typical + float(shift[k]) for k in chosen}
    at = dict(at or {})
    column = column_of(fit, by)
    if is_number(fit, column) and by not in at:
        values = np.unique(column.values)
        at[by] = np.unique(np.quantile(column.values, SHARES)).tolist() if len(values) > FEW else values.tolist()
    elif by not in at:
        check_by(fit, by)
    table = marginal_means(fit, [by], None, "link", at=at, random="zero").table
    return {
        f"{value:.4g}" if isinstance(value, float) else str(value): float(estimate)
        for value, estimate in zip(table[by], table["estimate"], strict=True)
    }


def _shifts(fit: Fit, factor: int) -> NDArray[np.float64]:
    """What the levels of a factor add, random slopes at the means of their columns, (n_levels,)."""
    shift = np.zeros(len(fit.design.grouping_factors[factor].levels))
    for term, at in terms_of(fit, factor):
        if not term.parameter:
            means = [1.0 if own is None else float(np.mean(own)) for own in term.columns]
            shift += fit.modes[factor][:, at] @ np.array(means)
    return shift


def _sd(fit: Fit) -> float:
    """Of all random effects together, random slopes at the means of their columns."""
    variance = 0.0
    for term, covariance in zip(fit.design.random_terms, fit.random_cov, strict=True):
        if not term.parameter:
            means = np.array([1.0 if own is None else float(np.mean(own)) for own in term.columns])
            variance += float(means @ covariance @ means)
    return float(np.sqrt(variance))


def _density(name: str, rest: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy import stats

    density: NDArray[np.float64] = getattr(stats, name).pdf(rest)
    return density


def _probability(fit: Fit, eta: NDArray[np.float64]) -> NDArray[np.float64]:
    return fit.family.mean(eta)
