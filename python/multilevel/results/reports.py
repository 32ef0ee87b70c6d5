"""Results: tables to print and to work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from ..arguments import understands
from ..report import describe, equation, interpret, layouts, summary, tidy
from .part import Part
from .plot import Plot

if TYPE_CHECKING:
    from ..report.describe import Description
    from ..tables.page import Page


class Reports(Part):
    """Pages and tables of the whole fit."""

    @property
    def plot(self) -> Plot:
        """Pictures: `results.plot.random_effects()`, `.fixed()`, `.predictions("x")`, `.residuals()`, ..."""
        return Plot(self.fit)

    def describe(self) -> Description:
        """The columns of the model at the rows used, as `model.describe` has them."""
        return describe.describe(self.fit.design, None if self.model is None else self.model.data)

    @understands
    def summary(
        self, df_method: str | None = None, robust: str | None = None, cluster: Any = None, style: str = "glmer"
    ) -> Page:
        """The page known from lme4: `print` it (or the results), or show it in a notebook.

        Parameters
        ----------
        df_method : str, optional
            As `method` of `degrees_of_freedom`, for the tests of the fixed effects; without it the fit's default, and
            in the layout "lme" containment where it goes with the fit.
        robust, cluster
            As in `cov_params`, for all standard errors.
        style : {"glmer", "lme", "sas", "spss", "stata"}
            The layout: that of lme4, of nlme's `lme`, of SAS's GLIMMIX, of SPSS's MIXED and GENLINMIXED, or of Stata's
            `mixed` and its kin. What a layout counts in another way than the results has a note below it. "sas" and
            "stata" fit the model without random effects, too, for its test. Another is a ValueError.
        """
        return layouts.summarize(self.fit, df_method, self._robust(robust, cluster), style)

    @understands
    def equation(self, style: str = "levels", format: str = "text", estimates: bool = False) -> str:  # noqa: A002
        """The model in equations, as books on multilevel models write it.

        Parameters
        ----------
        style : {"levels", "combined"}
            An equation for the rows, and for each of their coefficients one for the groups, with the predictors that
            are constant within groups in it (Raudenbush & Bryk 2002); or all in one. Nested factors make a level each,
            from the inner to the outer; factors that cross share one. Parts beside the mean have an equation each.
        format : {"text", "latex"}
            LaTeX is an `aligned` environment, which a notebook sets.
        estimates : bool
            Whether numbers stand in place of symbols.

        Returns
        -------
        str
        """
        return equation.equation(self.fit, style, format, estimates)

    @understands
    def tidy(
        self,
        level: float = 0.95,
        df_method: str | None = None,
        component: str | None = None,
        exponentiate: bool = False,
        robust: str | None = None,
        cluster: Any = None,
    ) -> pd.DataFrame:
        """One row per parameter, of the whole model or of one part of it.

        Parameters
        ----------
        level : float
            Of the intervals.
        df_method : str, optional
            As `method` of `degrees_of_freedom`.
        component : str, optional
            "mean", or the name of a part with a formula of its own: "dispersion", "zero".
        exponentiate : bool
            Whether to show exponentials of coefficients, such as odds ratios; a column `quantity` names them.
        robust, cluster
            As in `cov_params`: standard errors from a robust covariance, missing where it holds parameters fixed.

        Returns
        -------
        DataFrame
            Columns effect, group, term, estimate, std_error, df, statistic, p_value, conf_low, conf_high.
        """
        chosen = self._robust(robust, cluster)
        return tidy.tidy(self.fit, level, df_method, component, exponentiate, chosen)

    @understands
    def interpret(self, level: float = 0.95, df_method: str | None = None) -> Page:
        """The coefficients in words: a sentence for each, with its interval and what is held fixed.

        Parameters
        ----------
        level : float
            Of the intervals.
        df_method : str, optional
            As `method` of `degrees_of_freedom`.
        """
        return interpret.interpret(self.fit, level, df_method)

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
