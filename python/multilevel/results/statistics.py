"""Results: numbers that describe the whole fit."""

from __future__ import annotations

import pandas as pd

from ..arguments import understands
from ..inference import cluster_contributions, information_criteria
from ..prediction import residuals
from .part import Part


class Statistics(Part):
    """Log-likelihood, criteria, counts."""

    @property
    def method(self) -> str:
        """Maximum likelihood ("ml"), restricted ("reml"), or quasi-likelihood ("pql", "rspl", ...)."""
        return self.fit.method

    @property
    def llf(self) -> float:
        """Log-likelihood at the estimates, with every constant; the restricted one after REML."""
        self.fit.need_likelihood("the log-likelihood")
        return self.fit.loglik

    @property
    def deviance(self) -> float:
        """-2 times `llf`: after REML the REML criterion."""
        return -2.0 * self.llf

    @understands
    def cluster_contributions(self) -> pd.DataFrame:
        """Log-likelihood of each independent cluster, and how far Laplace's approximation can be trusted there.

        Returns
        -------
        DataFrame, index = the clusters
            n_rows; llf, whose sum is that of the fit by maximum likelihood; change, what more points of quadrature add
            to it; skewness, of the random effects given the data. The last two are missing where the design has no
            quadrature.
        """
        return cluster_contributions.cluster_contributions(self.fit)

    @understands
    def information_criteria(self, n: str = "rows") -> pd.Series:
        """aic, aicc, bic, caic, hqic with a sample size of "rows" (as lme4) or "subjects" (clusters, as SAS)."""
        return pd.Series(information_criteria.information_criteria(self.fit, n))

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return information_criteria.information_criteria(self.fit)["aic"]

    @property
    def aicc(self) -> float:
        """Akaike's criterion with the small-sample correction."""
        return information_criteria.information_criteria(self.fit)["aicc"]

    @property
    def bic(self) -> float:
        """Schwarz's criterion, with the number of rows."""
        return information_criteria.information_criteria(self.fit)["bic"]

    @property
    def caic(self) -> float:
        """Bozdogan's consistent AIC, with the number of rows."""
        return information_criteria.information_criteria(self.fit)["caic"]

    @property
    def hqic(self) -> float:
        """Hannan and Quinn's criterion, with the number of rows."""
        return information_criteria.information_criteria(self.fit)["hqic"]

    @property
    def nobs(self) -> int:
        """Rows used."""
        return self.fit.n_observations

    @property
    def n_groups(self) -> dict[str, int]:
        """Levels of each grouping factor."""
        return dict(self.fit.n_groups)

    @property
    def df_model(self) -> int:
        """Estimated parameters: fixed effects, covariance parameters and the family's own."""
        return self.fit.df_model

    @property
    def df_resid(self) -> int:
        """Rows used minus estimated parameters, as lme4 counts; of linear models without random effects rows minus
        coefficients, as lm() and statsmodels' OLS count.
        """
        return self.fit.df_resid

    @property
    def pearson_chi2(self) -> float:
        """Sum of squared Pearson residuals."""
        return residuals.pearson_chi2(self.fit)
