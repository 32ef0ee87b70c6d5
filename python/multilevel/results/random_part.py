"""Results: the random effects."""

from __future__ import annotations

import pandas as pd

from ..arguments import understands
from ..inference import variance_components
from ..prediction import modes
from .part import Part


class RandomPart(Part):
    """Their variances, and what is known of each level."""

    @property
    def random_cov(self) -> dict[str, pd.DataFrame]:
        """Covariance matrix of the random effects per grouping factor; terms on one factor are independent blocks."""
        return variance_components.random_cov(self.fit)

    @property
    def theta(self) -> pd.Series:
        """Free entries of the Cholesky factors of the random-effects covariances, column by column per term."""
        return variance_components.theta(self.fit)

    @understands
    def vcov_table(self) -> pd.DataFrame:
        """Variances, sds, covariances and correlations of the random effects with delta-method standard errors.

        Columns group, term, term2, quantity, estimate, std_error. The latter is NaN where there is none: for a variance
        of zero, for a correlation at 1 or -1 (always with ``rr(..., d=1)``) or undefined, and where parameters are not
        identified.
        """
        return variance_components.vcov_table(self.fit)

    @understands
    def random_effects(self) -> pd.DataFrame:
        """Conditional modes: columns group, level, term, mode, sd (the conditional standard deviation)."""
        return modes.random_effects(self.fit)

    @understands
    def coef(self) -> dict[str, pd.DataFrame]:
        """Coefficients per level (fixed effect plus conditional mode), one table per grouping factor."""
        return modes.coef(self.fit)
