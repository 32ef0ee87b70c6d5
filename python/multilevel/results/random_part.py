"""Results: the random effects."""

from __future__ import annotations

import pandas as pd

from ..arguments import understands
from ..inference import variance_components
from ..prediction import modes, posterior
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
    def random_effects(
        self, kind: str = "mode", level: float = 0.95, errors: str = "conditional", n_quadrature: int | None = None
    ) -> pd.DataFrame:
        """Random effects of each level, at their conditional modes or with their means given the data.

        Parameters
        ----------
        kind : {"mode", "mean"}
            Most probable values, columns group, level, term, mode, sd; or means given the data and the estimates,
            columns group, level, term, mean, sd, lower, upper, skewness, method. The latter are by adaptive quadrature
            where the design has it, also after a fit by the Laplace approximation; where it has none, by Laplace's
            approximation of the mean. `method` says which.
        level : float
            Of the intervals of `kind="mean"`.
        errors : {"conditional", "comparative", "diagnostic"}
            What `sd` is beside modes: the standard deviation of u given the data and the estimates; of u_hat - u, with
            the uncertainty of the fixed effects, to compare levels; of u_hat, to look for outlying ones. The last two
            are for linear mixed models.
        n_quadrature : int, optional
            Points per random effect for `kind="mean"`, in place of the fit's or more.
        """
        return posterior.random_effects(self.fit, kind, level, errors, n_quadrature)

    @understands
    def ranks(
        self,
        group: str | None = None,
        term: str | None = None,
        n_draws: int = 1000,
        seed: int | None = 0,
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Ranks of the levels by a random effect, 1 the largest, with their uncertainty.

        Parameters
        ----------
        group, term : str, optional
            Grouping factor and random effect; needed where there are several.
        n_draws : int
            Draws of all random effects from their distributions given the data and the estimates.
        seed : int, optional
            Of the draws; None draws others each time.
        level : float
            Of the intervals of the rank.

        Returns
        -------
        DataFrame, one row per level, the largest first
            level, mean, expected_rank, lower, upper, p_first.
        """
        return posterior.ranks(self.fit, group, term, n_draws, seed, level)

    @understands
    def coef(self) -> dict[str, pd.DataFrame]:
        """Coefficients per level (fixed effect plus conditional mode), one table per grouping factor."""
        return modes.coef(self.fit)
