"""Results: the fixed effects and the family's own parameters."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..arguments import understands
from ..inference import intervals, profile, variance_components, wald
from ..inference.components import component_params
from ..inference.family_parameters import family_parameters
from ..resampling.bootstrap import bootstrap
from .part import Part

if TYPE_CHECKING:
    from ..inference.profile import LikelihoodProfile, Which


class Estimates(Part):
    """Estimates with their errors and intervals."""

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
        method : {"satterthwaite", "kenward-roger", "containment", "containment-sas", "residual", "normal"}, optional
            Without it what `summary()` uses: Satterthwaite's for linear mixed models, residual ones for linear models
            without random effects, normal tests for all others. "containment" is what nlme prints, "containment-sas"
            what SAS prints, "residual" rows minus coefficients. All but "normal" need a linear model, and Kenward and
            Roger's a fit by REML.
        """
        return wald.degrees_table(self.fit, method)

    @understands
    def conf_int(
        self,
        level: float = 0.95,
        method: str = "wald",
        df_method: str | None = None,
        which: Which = None,
        robust: str | None = None,
        cluster: Any = None,
        *,
        n: int = 1000,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Confidence intervals of the fixed effects, columns "lower" and "upper".

        Parameters
        ----------
        level : float
            Coverage.
        method : {"wald", "profile", "bootstrap"}
            By standard errors; by the profile of the likelihood, see `profile`; by percentiles of `bootstrap(n, seed)`,
            whose result has other intervals, too, and those of variances.
        df_method : str, optional
            As `method` of `degrees_of_freedom`, for Wald intervals.
        which : optional
            Names of fixed effects; with method="profile" all that `profile` takes.
        robust, cluster
            As in `cov_params`: Wald intervals from robust standard errors.
        n, seed : int
            Of the bootstrap: replicates, and what makes them the same again.
        """
        chosen = self._robust(robust, cluster)
        if method == "bootstrap":
            if df_method is not None or chosen is not None:
                raise ValueError("df_method= and robust= are for Wald intervals; percentiles have no standard errors")
            names = wald.chosen_names(self.fit, which)
            return bootstrap(self.fit, n, seed, names).conf_int("percentile", level)
        return intervals.confidence_intervals(self.fit, level, method, df_method, which, chosen)

    @understands
    def profile(self, which: Which = None, level: float = 0.99) -> LikelihoodProfile:
        """Profiles of the likelihood: how it falls on both sides of an estimate, all other parameters following.

        Parameters
        ----------
        which : str, function, list or mapping, optional
            Names of parameters ("x", "Subject: sd Days", "Subject: correlation Days, (Intercept)", "sigma", "zero: x"),
            or of kinds of them ("fixed", "random", "family", "component"); "icc"; a function of the parameters by name;
            or a mapping of names to functions or to weights of coefficients. All parameters without it.
        level : float
            Coverage of the intervals to whose limits the profiles go.

        Returns
        -------
        LikelihoodProfile
            `table` has the points, `conf_int(level)` the intervals. Models fitted by REML are profiled by ML.

        Raises
        ------
        DataError
            The fit has not converged, or a name is not there.
        """
        return profile.profile(self.fit, which, level)

    @understands
    def cov_params(self, df_method: str | None = None, robust: str | None = None, cluster: Any = None) -> pd.DataFrame:
        """Covariance matrix of the fixed effects, (p, p).

        Parameters
        ----------
        df_method : str, optional
            As `method` of `degrees_of_freedom`: with "kenward-roger" it is the adjusted covariance that goes with these
            degrees of freedom; all others have that of the fit.
        robust : {"CR0", "CR1", "CR2", "CR3", "MBN"}, optional
            A sandwich estimator in place of the model's covariance, which holds where responses of one cluster depend
            on each other in another way than the model says, and needs many clusters. "CR0" is the plain one, "CR1"
            multiplies it by m / (m - 1) for m clusters, as Stata does; "CR2" (with Satterthwaite's degrees of freedom)
            and "CR3" are for linear models with few clusters, "MBN" for any model with few.
        cluster : str or array_like, optional
            The clusters: the name of a grouping factor or of a column of the data, or a value per row. They lie at or
            above the level that the model takes as independent, which they are without this argument: the grouping
            factor, the outermost of nested ones, or rows where there are no random effects.

        References
        ----------
        Liang & Zeger (1986) Biometrika 73:13-22; Pustejovsky & Tipton (2018) J. Bus. Econ. Stat. 36:672-683; Morel,
        Bokossa & Neerchal (2003) Biometrical J. 45:395-409. docs/guide/robust.md says what is held fixed when.
        """
        return wald.covariance_table(self.fit, df_method, self._robust(robust, cluster))

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
