"""Results: tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from ..arguments import check_choice, understands
from ..errors import DataError
from ..inference import anova, compare, drop1, ranking, variance_score, variance_test, wald_test
from .part import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from ..inference.variance_score import VarianceScoreTest
    from ..inference.variance_test import VarianceTest
    from ..inference.wald_test import WaldTest
    from .results import MixedModelResults


class Hypotheses(Part):
    """Tests of terms, coefficients and variances, and of models against each other."""

    @understands
    def wald_test(
        self,
        hypothesis: str | ArrayLike,
        values: ArrayLike | None = None,
        df_method: str | None = None,
        part: str = "mean",
        adjust: str | None = None,
        robust: str | None = None,
        cluster: Any = None,
    ) -> WaldTest:
        """Tests linear hypotheses about coefficients, together and one by one: F and t, or chi-square and z tests.

        Parameters
        ----------
        hypothesis : str or (k, p) array_like
            Equations in the names of the coefficients, as in ``"x = 0, 2*z - w = 1, a[2] = a[3] = a[4]"``, or a matrix.
            A name that could be misread stands in backticks or quotation marks.
        values : (k,) array_like, optional
            What the rows of a matrix are equal to; zero without it.
        df_method : str, optional
            As `method` of `degrees_of_freedom`.
        part : str
            "mean", or a part with a formula of its own: "dispersion", "zero".
        adjust : {"holm", "bonferroni", "bh", "by"}, optional
            For the number of the single tests.
        robust, cluster
            As in `cov_params`: chi-square and z tests with a robust covariance, F and t tests with "CR2" and "CR3".

        Returns
        -------
        WaldTest
            statistic, num_df, den_df, p_value of all together; table, a row per equation.
        """
        return wald_test.wald_test(self.fit, hypothesis, values, df_method, part, adjust, self._robust(robust, cluster))

    @understands
    def anova(
        self,
        type: int = 3,  # noqa: A002
        df_method: str | None = None,
        robust: str | None = None,
        cluster: Any = None,
        adjust: str | None = None,
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
            As in `cov_params`: chi-square tests with a robust covariance, F tests with "CR2" and "CR3" (num_df, den_df,
            f_value, p_value).
        adjust : {"holm", "bonferroni", "bh", "by"}, optional
            The tests of all terms together: adds `p_adjusted`.

        Returns
        -------
        DataFrame, index = labels of the terms
            sum_sq, mean_sq (on the scale of the residual variance), num_df, den_df, f_value, p_value; or chi2, df,
            p_value.
        """
        return anova.anova(self.fit, type, df_method, self._robust(robust, cluster), adjust)

    @understands
    def drop1(
        self, test: str = "lrt", df_method: str | None = None, part: str = "mean", adjust: str | None = None
    ) -> pd.DataFrame:
        """Tests every term that may be dropped, those that are not part of another one, by the model without it.

        Parameters
        ----------
        test : {"lrt", "wald"}
            Likelihood ratios of models fitted again, by maximum likelihood also where this one is by REML; or the tests
            of `anova(type=2)`.
        df_method : str, optional
            With test="wald", as `method` of `degrees_of_freedom`.
        part : str
            "mean", or a part with a formula of its own: "dispersion", "zero".
        adjust : {"holm", "bonferroni", "bh", "by"}, optional
            For the number of terms: adds `p_adjusted`.

        Returns
        -------
        DataFrame, index = labels of the terms
            df, loglik, aic of the model without the term (first of this model, "<none>"), chi2, df_diff, p_value, note.
        """
        return drop1.drop1(self.fit, test, df_method, part, adjust)

    @understands
    def test_variance(
        self, group: str | Sequence[str], *effects: str, part: str = "mean", method: str = "lrt"
    ) -> VarianceTest | VarianceScoreTest:
        """Tests whether variances of random effects are zero, by likelihood ratio or score.

        Parameters
        ----------
        group : str or list of str
            A grouping factor, or several at once.
        *effects : str
            Random effects of the one grouping factor; all of them without any.
        part : str
            The part of the model that has them: "mean", "dispersion", "zero".
        method : {"lrt", "score"}
            Against the model without them, which is fitted; or by that model alone. A score test is also one of random
            effects that this fit does not have: of a column of the data as grouping factor, or of a slope.

        Returns
        -------
        VarianceTest or VarianceScoreTest
            chi2, df, p_value, and the `mixture` of chi-square distributions that it is of, since zero is at the
            boundary of what a variance can be.
        """
        check_choice("method", method, ("lrt", "score"))
        if method == "lrt":
            return variance_test.variance_test(self.fit, group, *effects, part=part)
        if part != "mean":
            raise DataError("method='score' is of random effects of the mean; use method='lrt'")
        data = None if self.model is None else self.model.data
        return variance_score.variance_score_test(self.fit, group, *effects, data=data)

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

    @understands
    def rank(self, *others: MixedModelResults, by: str = "aic", n: str = "rows") -> pd.DataFrame:
        """Ranks this fit and others to the same response by "aic", "aicc", "bic", "caic" or "hqic", the best first.

        Differences, weights and evidence ratios; the models need not be nested, nor of one family:
        `multilevel.rank(self, *others)`.
        """
        return ranking.rank(self, *others, by=by, n=n)
