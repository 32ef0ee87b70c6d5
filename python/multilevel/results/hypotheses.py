"""Results: tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from ..arguments import understands
from ..inference import anova, compare
from .part import Part

if TYPE_CHECKING:
    from .results import MixedModelResults


class Hypotheses(Part):
    """Tests of terms, coefficients and variances, and of models against each other."""

    @understands
    def anova(
        self,
        type: int = 3,  # noqa: A002
        df_method: str | None = None,
        robust: str | None = None,
        cluster: Any = None,
    ) -> pd.DataFrame:
        """Tests every term of the fixed part: F tests for linear models, Wald chi-square tests for all others.

        Parameters
        ----------
        type : {3, 2, 1}
            Each term given all others, averaged over levels with equal weights (3, as SAS and lmerTest); given all
            terms that do not contain it (2); given the terms before it (1).
        df_method : str, optional
            As `method` of `degrees_of_freedom`, for the denominators.
        robust, cluster
            As in `cov_params`: chi-square tests with a robust covariance.

        Returns
        -------
        DataFrame, index = labels of the terms
            sum_sq, mean_sq (on the scale of the residual variance), num_df, den_df, f_value, p_value; or chi2, df,
            p_value.
        """
        return anova.anova(self.fit, type, df_method, self._robust(robust, cluster))

    @understands
    def compare(
        self,
        *others: MixedModelResults,
        method: str = "chi-square",
        n: int = 1000,
        seed: int | None = None,
        threads: int | None = None,
    ) -> pd.DataFrame:
        """Deviance tests against other fits of the same response: `multilevel.compare(self, *others, ...)`."""
        return compare.compare(self, *others, method=method, n=n, seed=seed, threads=threads)
