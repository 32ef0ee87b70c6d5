"""Fixed effects with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..inference.wald import coefficient_table
from . import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..fitting.record import Fit

RATIOS = {"logit": "odds ratio", "log": "ratio of means", "cloglog": "hazard ratio"}  # what exp(coefficient) is


def fixed(
    fit: Fit, level: float = 0.95, exponentiate: bool = False, intercept: bool = False, ax: Axes | None = None
) -> Axes:
    """A row per coefficient; exponentiated ones on a logarithmic axis."""
    table = coefficient_table(fit, level)
    if not intercept:
        table = table.drop(index="(Intercept)", errors="ignore")
    if table.empty:
        raise DataError("the model has no fixed effects beside the intercept; intercept=True draws that")
    link = fit.family.link
    if exponentiate and link not in RATIOS:
        raise DataError(
            f"exponentiate=True needs a link whose differences are ratios ({', '.join(RATIOS)}); this one is {link!r}"
        )
    estimate, low, high = (table[c].to_numpy(dtype=float) for c in ("estimate", "conf_low", "conf_high"))
    if exponentiate:
        estimate, low, high = np.exp(estimate), np.exp(low), np.exp(high)
    ax = canvas.new_axes(ax, 6.0, canvas.height_of(len(table)))
    ax.axvline(1.0 if exponentiate else 0.0, color=canvas.FAINT, linewidth=1.0)
    canvas.intervals(ax, estimate, (low, high))
    canvas.named_rows(ax, list(table.index))
    canvas.tidy_frame(ax)
    if exponentiate:
        canvas.ratio_axis(ax)
    ax.set_xlabel(f"{RATIOS[link] if exponentiate else f'coefficient ({link})'}, {level:.0%} interval")
    return ax
