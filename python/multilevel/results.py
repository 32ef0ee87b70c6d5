"""What a user holds after a fit. Every method is one call into a module that does the work; none computes anything."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from .arguments import understands
from .inference import anova, compare, information_criteria, variance_components, wald
from .inference.components import component_params
from .inference.family_parameters import family_parameters
from .prediction import modes, predict, residuals
from .report import summary, tidy
from .storage import fits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from numpy.typing import ArrayLike

    from .family.registry import Family
    from .fitting.certificate import Certificate, Optimization
    from .fitting.record import Fit
    from .model import MixedModel
    from .tables.page import Page


class MixedModelResults:
    """A fitted multilevel model: estimates, how far to trust them, predictions, residuals and tables.

    Parameters
    ----------
    fit : Fit
        The frozen record of the fit.
    model : MixedModel, optional
        The model that was fitted, needed by `refit`.

    Notes
    -----
    Attribute names follow statsmodels, formulas and the layout of `summary()` follow lme4, `tidy()`, `glance()` and
    `augment()` follow broom. With p fixed effects and n rows used, `params` has shape (p,), `fittedvalues` (n,).
    """

    def __init__(self, fit: Fit, model: MixedModel | None = None) -> None:
        self.fit = fit
        self.model = model

    # ---- fixed effects ----

    @cached_property
    def _coefficients(self) -> pd.DataFrame:
        return wald.coefficient_table(self.fit)

    @property
    def params(self) -> pd.Series:
        """Fixed-effect estimates, (p,)."""
        return wald.estimates(self.fit)

    @property
    def bse(self) -> pd.Series:
        """Standard errors of the fixed effects, (p,): the square roots of the diagonal of `cov_params()`.

        Of linear models without random effects those of least squares, with rows minus coefficients in `sigma`.
        """
        return wald.errors(self.fit)

    @property
    def zvalues(self) -> pd.Series:
        """`params / bse`, (p,)."""
        return self._coefficients["statistic"].rename("zvalues")

    @property
    def tvalues(self) -> pd.Series:
        """`params / bse`, (p,)."""
        return self._coefficients["statistic"].rename("tvalues")

    @property
    def pvalues(self) -> pd.Series:
        """Two-sided p-values of `params / bse`, (p,).

        Linear models: t with `degrees_of_freedom()`; others: the normal distribution.
        """
        return self._coefficients["p_value"].rename("pvalues")

    @understands
    def degrees_of_freedom(self, method: str | None = None) -> pd.Series:
        """Degrees of freedom of the tests of the fixed effects, (p,); infinite for normal tests.

        Parameters
        ----------
        method : {"satterthwaite", "kenward-roger", "containment", "residual", "normal"}, optional
            Without it what `summary()` uses: Satterthwaite's for linear mixed models, residual ones for linear models
            without random effects, normal tests for all others. "containment" is what nlme and SAS print, "residual"
            rows minus coefficients. All but "normal" need a linear model, and Kenward and Roger's a fit by REML.
        """
        return wald.degrees_table(self.fit, method)

    @understands
    def conf_int(self, level: float = 0.95, method: str = "wald", df_method: str | None = None) -> pd.DataFrame:
        """Confidence intervals of the fixed effects, columns "lower" and "upper".

        Parameters
        ----------
        level : float
            Coverage.
        method : {"wald"}
        df_method : str, optional
            As `method` of `degrees_of_freedom`.
        """
        return wald.confidence_intervals(self.fit, level, method, df_method)

    @understands
    def anova(self, type: int = 3, df_method: str | None = None) -> pd.DataFrame:  # noqa: A002
        """Tests every term of the fixed part: F tests for linear models, Wald chi-square tests for all others.

        Parameters
        ----------
        type : {3, 2, 1}
            Each term given all others, averaged over levels with equal weights (3, as SAS and lmerTest); given all
            terms that do not contain it (2); given the terms before it (1).
        df_method : str, optional
            As `method` of `degrees_of_freedom`, for the denominators.

        Returns
        -------
        DataFrame, index = labels of the terms
            sum_sq, mean_sq (on the scale of the residual variance), num_df, den_df, f_value, p_value; or chi2, df,
            p_value.
        """
        return anova.anova(self.fit, type, df_method)

    @understands
    def compare(self, *others: MixedModelResults) -> pd.DataFrame:
        """Deviance tests against other fits of the same response: `multilevel.compare(self, *others)`."""
        return compare.compare(self, *others)

    @understands
    def cov_params(self, df_method: str | None = None) -> pd.DataFrame:
        """Covariance matrix of the fixed effects, (p, p).

        Parameters
        ----------
        df_method : str, optional
            As `method` of `degrees_of_freedom`: with "kenward-roger" it is the adjusted covariance that goes with these
            degrees of freedom; all others have that of the fit.
        """
        return wald.covariance_table(self.fit, df_method)

    # ---- random effects ----

    @property
    def random_cov(self) -> dict[str, pd.DataFrame]:
        """Covariance matrix of the random effects per grouping factor; terms on one factor are independent blocks."""
        return variance_components.random_cov(self.fit)

    @property
    def theta(self) -> pd.Series:
        """Free entries of the Cholesky factors of the random-effects covariances, column by column per term."""
        return variance_components.theta(self.fit)

    @property
    def family_params(self) -> dict[str, float]:
        """The family's own parameters; for Gaussian models the residual standard deviation `sigma`.

        Of linear models without random effects that is the square root of the (weighted) residual sum of squares over
        rows minus coefficients, as in lm() and statsmodels' OLS and WLS; `llf` is at the maximum, as theirs is.
        """
        return dict(self.fit.phi)

    def params_of(self, part: str) -> pd.Series:
        """Coefficients of a part of the model, (p,): "mean", "dispersion", "zero".

        Those of a part beside the mean are on the scale of phi, the logarithm or logit of the parameter that it makes.

        Raises
        ------
        DataError
            The model has no such part with a formula of its own.
        """
        return self.params if part == "mean" else component_params(self.fit, part)

    def family_parameters(self, level: float = 0.95) -> pd.DataFrame:
        """The family's own parameters (`size`, `shape`, `sigma`) with standard errors and intervals.

        Parameters
        ----------
        level : float
            Of the intervals, which are made on the logarithmic scale.

        Returns
        -------
        DataFrame, one row per parameter
            Index `parameter`; estimate, std_error (delta method), conf_low, conf_high. NaN where a parameter is at its
            limit, as `size` is where counts vary no more than the Poisson's.
        """
        return family_parameters(self.fit, level)

    @property
    def residual_sd(self) -> float:
        """Residual standard deviation of a Gaussian model, `sigma` of `family_params`.

        Raises
        ------
        AttributeError
            The family has none.
        """
        return variance_components.residual_sd(self.fit)

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

    # ---- fit statistics ----

    @property
    def method(self) -> str:
        """Maximum likelihood ("ml") or restricted maximum likelihood ("reml")."""
        return self.fit.method

    @property
    def llf(self) -> float:
        """Log-likelihood at the estimates, with every constant; the restricted one after REML."""
        return self.fit.loglik

    @property
    def deviance(self) -> float:
        """-2 times `llf`: after REML the REML criterion."""
        return -2.0 * self.fit.loglik

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
        return self.fit.n_rows

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

    # ---- rows ----

    @property
    def fittedvalues(self) -> pd.Series:
        """Means of the rows used, given the conditional modes, (n,)."""
        return self.predict().rename("fittedvalues")

    @understands
    def residuals(self, kind: str = "pearson") -> pd.Series:
        """Residuals of the rows used, (n,); `kind` is "pearson", "deviance" or "response"."""
        return pd.Series(residuals.residuals(self.fit, kind), index=predict.row_index(self.fit.design), name=kind)

    @understands
    def predict(
        self,
        newdata: Any = None,
        *,
        kind: str = "response",
        random: str | Sequence[str] = "conditional",
        new_levels: str = "error",
        offset: ArrayLike | str | None = None,
    ) -> pd.Series:
        """Predicted means or linear predictors of the rows used or of new ones.

        Parameters
        ----------
        newdata : data frame, optional
            Rows to predict for; without it, the rows used in the fit.
        kind : {"response", "link"}
            Means (probabilities for binomial models) or linear predictors.
        random : {"conditional", "zero"} or list of str
            Random effects at their conditional modes, or at zero; a list of grouping factors has theirs at the modes.
        new_levels : {"error", "zero"}
            What to do with levels that the fit has not seen: refuse, or set their random effects to zero.
        offset : (n_rows,) array, number, column name or expression, optional
            In place of the fit's `offset=` argument; needed for new rows when that was an array. A number is the same
            for all rows.

        Returns
        -------
        Series
            Labelled as the rows of the frame; NaN where an input is missing.
        """
        return predict.predict(self.fit, newdata, kind, random, new_levels, offset)

    # ---- how it went ----

    @property
    def converged(self) -> bool:
        """Whether the optimum is certified."""
        return self.fit.converged

    @property
    def optimization(self) -> Optimization:
        """Iterations, evaluations, seconds, threads and trace."""
        return self.fit.optimization

    @property
    def certificate(self) -> Certificate:
        """What was measured at the optimum: predicted gain, eigenvalues, gradient, boundary scores, quadrature."""
        return self.fit.certificate

    @property
    def singular(self) -> bool:
        """Whether a variance is exactly zero or a correlation exactly plus or minus one."""
        return self.fit.singular

    @property
    def n_quadrature(self) -> int:
        """Quadrature points per random effect; 1 is the Laplace approximation."""
        return self.fit.n_quadrature

    @property
    def quadrature_table(self) -> pd.DataFrame:
        """What n_quadrature="auto" saw: points, log-likelihood, and the largest shift to be expected in SEs."""
        return pd.DataFrame(self.fit.quadrature_table, columns=["n_points", "loglik", "largest_shift"])

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of all parameters (beta, theta, phi), in the order of `certificate.gradient` and of `start=`."""
        return self.fit.parameter_names

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the fit has to say about itself."""
        return self.fit.warnings

    @property
    def family(self) -> Family:
        """Family and link."""
        return self.fit.family

    @property
    def formula(self) -> str:
        """The formula as written."""
        return str(self.fit.design.formula)

    # ---- tables ----

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

    # ---- again, and later ----

    def refit(self, y: Any, **options: Any) -> MixedModelResults:
        """The same model fitted to another response, on the scale of the model's own.

        `y` has one value per row used: successes of binomial models, and where the formula transforms the response, as
        ``log(y) ~ x`` does, the transformed values. `options` are those of `model.refit`.
        """
        if self.model is None:
            raise ValueError("these results carry no model to fit again; fit the formula to the new data instead")
        return self.model.refit(y, **options)

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the results to a file of plain data that `multilevel.load` reads, which is safe with any file.

        The file has the data that were used, in a zip archive of JSON and `.npy` members with checksums. Of functions
        passed by `functions=` it has the names alone: `load` takes them again. Pickling works as well, for those who
        trust what they read.

        Raises
        ------
        DataError
            Labels of rows or levels are objects that are no plain data, such as members of an Enum.
        """
        model = None if self.model is None else (self.model.family, self.model.design)
        fits.write(path, fits.Saved(self.fit, model))
