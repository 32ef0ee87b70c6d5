"""Results: whether the model suits the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from ..arguments import understands
from ..checks import check, collinearity, influence, lack_of_fit, linktest
from .part import Part

if TYPE_CHECKING:
    from ..checks.check import Checks
    from ..checks.influence import Influence
    from ..checks.row_tests import RowTest


class Checking(Part):
    """Checks of the fit against its data."""

    @understands
    def check(self, seed: int | None = 0) -> Checks:
        """One page of checks: residuals, zeros, spread, random effects, collinearity, and what the fit says of itself.

        Residuals are quantile residuals at one draw of the random effects from their distribution given the data, which
        makes them independent and normal where the model is right: no test simulates data, and none needs to.

        Parameters
        ----------
        seed : int or None
            Of that draw; None makes another one each time.
        """
        return check.check(self.fit, seed)

    @understands
    def influence(self, group: str | None = None, exact: bool = False) -> Influence:
        """What the fit would be without each level of a grouping factor, or without each row.

        Parameters
        ----------
        group : str, optional
            A grouping factor of the model; rows without it.
        exact : bool
            Fit the model again without each unit; otherwise one Newton step from the whole fit, of all rows at once.
            Linear models are always fitted again without each level.

        Returns
        -------
        Influence
            cooks_distance, dfbeta (estimates of the whole fit less those without the unit), dfbetas, variance_change,
            loglik, notes.
        """
        return influence.influence(self.fit, group, exact)

    def collinearity(self) -> pd.DataFrame:
        """Generalized variance inflation factors of the terms of the fixed part: df, gvif, per_coefficient."""
        return collinearity.collinearity(self.fit)

    @understands
    def lack_of_fit(self, seed: int | None = 0) -> RowTest:
        """Tests the probabilities of a binary model by the unweighted sum of squares, without groups of rows.

        Parameters
        ----------
        seed : int or None
            Of the draw of the random effects.

        Returns
        -------
        RowTest
            statistic (z), p_value, and the sums in words.
        """
        return lack_of_fit.lack_of_fit(self.fit, seed)

    def linktest(self) -> pd.DataFrame:
        """Pregibon's test of the link: the model of its own fixed part and its square, which should add nothing.

        Returns
        -------
        DataFrame
            Rows "(Intercept)", "fitted" and "fitted squared" with the columns of `tidy`; the last one is the test.
        """
        return linktest.linktest(self.fit)
