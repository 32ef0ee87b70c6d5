"""Results: what follows for a predictor, in means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..adapters.to_marginaleffects import marginaleffects_model
from ..adapters.to_pymmeans import pymmeans_model
from ..arguments import understands
from ..effects import comparisons, marginal_means
from ..effects.estimated import noted
from ..inference import robust as sandwich
from .part import Part

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..effects.estimated import Estimated
    from ..effects.mean_table import MarginalMeans
    from ..fitting.record import Fit


class Effects(Part):
    """Marginal means, contrasts, slopes, comparisons."""

    @understands
    def marginal_means(
        self,
        columns: str | Sequence[str],
        *,
        by: str | Sequence[str] | None = None,
        kind: str = "link",
        weights: str = "equal",
        at: Mapping[str, Any] | None = None,
        random: str = "zero",
        average: str | None = None,
        level: float = 0.95,
        df_method: str | None = None,
        robust: str | None = None,
        cluster: Any = None,
    ) -> MarginalMeans:
        """Means for the levels of some columns, averaged over those of all others, with numbers at their means.

        These are estimated marginal means (emmeans) or least-squares means (SAS). A number with two values, as one of
        zeros and ones, counts as a factor with two levels.

        Parameters
        ----------
        columns : str or list of str
            Whose levels means are for; of a number, at the values in `at`.
        by : str or list of str, optional
            More such columns: contrasts compare within their levels.
        kind : {"link", "response"}
            Linear predictors, or means (probabilities of binomial models). Of categories "probabilities", too, and of
            ordered ones "cumulative", "exceedance", "latent", "cuts"; a row for each category.
        weights : {"equal", "proportional", "cell"}
            Of the combinations averaged over: equal; by how often each occurs in the rows of the fit; the same within
            the levels of each mean, so that empty cells do not count.
        at : mapping, optional
            Values of columns, one or several, in place of all levels and of means of numbers.
        random : {"zero", "conditional", "marginal"}
            Random effects of zero (a typical group); averages over the groups of the fit with their conditional modes;
            averages over the distribution of the random effects (the population).
        average : {"link", "response"}, optional
            Whether linear predictors are averaged and made a mean, or means are averaged. Without it the former, where
            random effects are zero and the link alone makes the mean.
        level : float
            Of the intervals.
        df_method : str, optional
            As `method` of `degrees_of_freedom`.
        robust, cluster
            As in `cov_params`: errors from a robust covariance, with normal tests.

        Returns
        -------
        MarginalMeans
            Prints as a table; `table` has every digit, `contrasts()` compares, `covariance` is that of the estimates.
            Means that the rows of the fit do not determine are NaN.

        Raises
        ------
        DataError
            A column that the mean does not depend on, a word that is not known, values that a column does not have.
        """
        fit, method, note = self._with_covariance(df_method, robust, cluster)
        return noted(
            marginal_means.marginal_means(fit, columns, by, kind, weights, at, random, average, level, method), note
        )

    @understands
    def marginal_slopes(
        self,
        column: str,
        *,
        by: str | Sequence[str] | None = None,
        kind: str = "link",
        weights: str = "equal",
        at: Mapping[str, Any] | None = None,
        random: str = "zero",
        level: float = 0.95,
        df_method: str | None = None,
        robust: str | None = None,
        cluster: Any = None,
    ) -> MarginalMeans:
        """Slopes of a number for the levels of other columns, with contrasts (emtrends).

        The derivative of the linear predictor, or with ``kind="response"`` of the mean, at the mean of the number or at
        its value in `at`. Arguments and result as of `marginal_means`; `by` are the columns that slopes are for.
        """
        fit, method, note = self._with_covariance(df_method, robust, cluster)
        return noted(marginal_means.marginal_slopes(fit, column, by, kind, weights, at, random, level, method), note)

    @understands
    def marginal_effects(
        self,
        columns: str | Sequence[str] | None = None,
        *,
        average: bool = True,
        by: str | Sequence[str] | None = None,
        at: Mapping[str, Any] | None = None,
        newdata: Any = None,
        random: str = "marginal",
        outcome: str = "response",
        weights: ArrayLike | None = None,
        level: float = 0.95,
        df_method: str | None = None,
        robust: str | None = None,
        cluster: Any = None,
    ) -> Estimated:
        """Average marginal effects: slopes of the mean in numbers, differences between levels of factors.

        Parameters are those of `comparisons`; without `columns` all predictors of the mean. A number with two values is
        compared at these.
        """
        fit, method, note = self._with_covariance(df_method, robust, cluster)
        return noted(
            comparisons.marginal_effects(
                fit, columns, average, by, at, newdata, random, outcome, weights, level, method
            ),
            note,
        )

    @understands
    def comparisons(
        self,
        column: str,
        *,
        kind: str = "difference",
        contrast: str = "reference",
        change: Any = 1.0,
        average: bool = True,
        by: str | Sequence[str] | None = None,
        at: Mapping[str, Any] | None = None,
        newdata: Any = None,
        random: str = "marginal",
        outcome: str = "response",
        weights: ArrayLike | None = None,
        level: float = 0.95,
        df_method: str | None = None,
        robust: str | None = None,
        cluster: Any = None,
    ) -> Estimated:
        """The means of rows with a column at one value against those of the same rows with it at another.

        Parameters
        ----------
        column : str
            Of numbers, categories or truth values.
        kind : {"difference", "ratio", "odds_ratio"}
            Averaged over rows: the difference of the averages, their ratio, the ratio of their odds.
        contrast : {"reference", "pairwise", "consecutive"}
            Which levels of a factor are compared: each with the first, all pairs, each with the one before.
        change : float, (float, float), "sd", "iqr" or "range"
            Of a number: what is added to each row's own, or two values. A number with two values is compared at these.
        average : bool
            Averages over rows; without, a comparison for each row.
        by : str or list of str, optional
            Columns or grouping factors for whose values averages are taken apart.
        at : mapping, optional
            Values of other columns in all rows; each combination of them is a row of the table.
        newdata : data frame, optional
            Rows in place of those of the fit.
        random : {"marginal", "conditional", "zero"}
            The mean of a row averaged over the distribution of the random effects (the population), with errors that
            include those of the variances; at its group's conditional modes, held fixed; at random effects of zero.
        outcome : {"response", "mean", "link"}
            What is compared; as `kind` of `predict`. Of categories without an order probabilities or linear predictors,
            each category by itself.
        weights : (n,) array_like, optional
            Of the rows in averages.
        level : float
            Of the intervals.
        df_method : str, optional
            As `method` of `degrees_of_freedom`.
        robust, cluster
            As in `cov_params`: errors from a robust covariance, with normal tests.

        Returns
        -------
        Estimated
            Prints as a table; `table` has every digit, `covariance` is that of the estimates.

        Raises
        ------
        DataError
            No such column, a word that is not known, levels that the fit has not seen, a mean that does not exist.
        """
        fit, method, note = self._with_covariance(df_method, robust, cluster)
        return noted(
            comparisons.comparisons(
                fit, column, kind, contrast, change, average, by, at, newdata, random, outcome, weights, level, method
            ),
            note,
        )

    @understands
    def to_marginaleffects(
        self,
        random: str = "marginal",
        outcome: str = "response",
        df_method: str | None = None,
        robust: str | None = None,
        cluster: Any = None,
    ) -> Any:
        """The fit as a model of the package marginaleffects, as in ``predictions(results.to_marginaleffects())``.

        Its coefficients are all parameters of the model, so that its standard errors know the variances as those of
        `comparisons` do; its tests are normal. Arguments are those of `comparisons`.

        Raises
        ------
        ImportError
            The package is not installed: ``pip install "multilevel[adapters]"``.
        DataError
            An offset given as an array, a parameter at infinity, a mean that does not exist.
        """
        fit, method, _ = self._with_covariance(df_method, robust, cluster)
        return marginaleffects_model(fit, random, outcome, method, [str(name) for name in fit.parameter_names])

    @understands
    def to_pymmeans(self, df_method: str | None = None, robust: str | None = None, cluster: Any = None) -> Any:
        """The fit as a model of the package pymmeans: ``emmeans(results.to_pymmeans(), "f")`` and the like.

        It has the fixed effects, at random effects of zero; its tests are normal. `results.marginal_means` also knows
        degrees of freedom, averages over random effects, and what formulas hold besides columns.

        Raises
        ------
        ImportError
            The package is not installed: ``pip install "multilevel[adapters]"``.
        DataError
            patsy, which that package codes columns by, has other columns than the fit.
        """
        fit, method, _ = self._with_covariance(df_method, robust, cluster)
        return pymmeans_model(fit, method)

    def _with_covariance(self, df_method: str | None, robust: str | None, cluster: Any) -> tuple[Fit, str | None, str]:
        """The fit with the covariance that was asked for, the degrees of freedom that go with it, and a note."""
        chosen = self._robust(robust, cluster)
        if chosen is None:
            return self.fit, df_method, ""
        return chosen.fit, sandwich.normal_tests(chosen, df_method), f"standard errors: {chosen.definition}"
