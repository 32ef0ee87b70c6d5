"""The summary of a fit in one of the layouts that readers of other programs know, over the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..tables.page import Page
from . import lme, sas, spss, stata, summary
from .numbers import Numbers

if TYPE_CHECKING:
    from ..fitting.record import Fit
    from ..inference.robust import Robust

PAGES = {"glmer": summary.page, "lme": lme.page, "sas": sas.page, "spss": spss.page, "stata": stata.page}
PREFERRED = {"lme": "containment"}  # degrees of freedom that belong to a layout


def summarize(fit: Fit, df_method: str | None = None, robust: Robust | None = None, style: str = "glmer") -> Page:
    """The page that `print(results.summary())` shows; `df_method` and `robust` as in `wald.coefficient_table`.

    `style` is the layout, one of `PAGES`; another is a ValueError. Where no degrees of freedom are asked for, "lme" has
    those by containment where they go with the fit, and all others the fit's default.
    """
    if style not in PAGES:
        raise ValueError(f"style={style!r}: the layouts are {', '.join(map(repr, PAGES))}")
    return Page(tuple(PAGES[style](Numbers(fit, df_method, robust, PREFERRED.get(style, "")))))
