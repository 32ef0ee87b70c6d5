"""Results: tables to print and to work with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from ..arguments import understands
from ..report import summary, tidy
from .part import Part
from .plot import Plot

if TYPE_CHECKING:
    from ..tables.page import Page


class Reports(Part):
    """Pages and tables of the whole fit."""

    @property
    def plot(self) -> Plot:
        """Pictures: `results.plot.random_effects()`, `.fixed()`, `.residuals()`, `.qq()`, `.quadrature()`."""
        return Plot(self.fit)

    @understands
    def summary(self, df_method: str | None = None) -> Page:
        """The page known from lme4: `print` it (or the results), or show it in a notebook.

        `df_method` is the `method` of `degrees_of_freedom`, for the tests of the fixed effects.
        """
        return summary.summarize(self.fit, df_method)

    @understands
    def tidy(self, level: float = 0.95, df_method: str | None = None, component: str | None = None) -> pd.DataFrame:
        """One row per parameter, of the whole model or of one part of it.

        Parameters
        ----------
        level : float
            Of the intervals.
        df_method : str, optional
            As `method` of `degrees_of_freedom`.
        component : str, optional
            "mean", or the name of a part with a formula of its own: "dispersion", "zero".

        Returns
        -------
        DataFrame
            Columns effect, group, term, estimate, std_error, df, statistic, p_value, conf_low, conf_high.
        """
        return tidy.tidy(self.fit, level, df_method, component)

    @understands
    def glance(self) -> pd.DataFrame:
        """One row of fit statistics."""
        return tidy.glance(self.fit)

    @understands
    def augment(self) -> pd.DataFrame:
        """The rows used with their response, `.fitted`, `.resid` and `.fixed`."""
        return tidy.augment(self.fit)

    def __repr__(self) -> str:
        return f"<MixedModelResults: {summary.one_line(self.fit)}>"

    def __str__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary().as_html()
