"""Results: how alike responses of a group are, and what is explained of them."""

from __future__ import annotations

import pandas as pd

from ..arguments import understands
from ..inference import dependence
from .part import Part


class Dependence(Part):
    """Intraclass correlations, shares of variance explained, median odds ratios, design effects."""

    @understands
    def icc(
        self,
        *,
        adjusted: bool = True,
        mean: str | float = "null",
        approximation: str = "lognormal",
        level: float = 0.95,
        method: str = "wald",
        n: int = 1000,
        seed: int | None = None,
        threads: int | None = None,
    ) -> pd.DataFrame:
        """Intraclass correlations on the scale of the linear predictor, per grouping factor.

        Parameters
        ----------
        adjusted : bool
            Whether the variance of the fixed part is left out of the whole.
        mean : {"null", "typical", "observed"} or float
            Where the variance of a family without a latent scale is taken: the marginal mean of the model without
            predictors, which is fitted for it; that model's mean at random effects of zero; the mean of the responses;
            or a number.
        approximation : {"lognormal", "delta", "trigamma"}
            Of that variance with the log link (Nakagawa, Johnson and Schielzeth 2017).
        level : float
            Of the intervals.
        method : {"wald", "profile", "bootstrap"}
            Of the intervals: by the delta method on the logit scale; by the profile of the likelihood, where there is
            one random intercept; percentiles of a parametric bootstrap.
        n, seed, threads : int
            Of the bootstrap: replicates, what makes them the same again, and fits made at a time.

        Returns
        -------
        DataFrame
            estimate, std_error (delta method), lower, upper; "all" for the factors together where there are several.

        Raises
        ------
        DataError
            No random effects, or no variance on that scale.
        """
        return dependence.icc(self.fit, adjusted, mean, approximation, level, method, n, seed, threads)

    @understands
    def r2(
        self,
        *,
        mean: str | float = "null",
        approximation: str = "lognormal",
        level: float = 0.95,
        method: str = "wald",
        n: int = 1000,
        seed: int | None = None,
        threads: int | None = None,
    ) -> pd.DataFrame:
        """Marginal and conditional R2 (Nakagawa and Schielzeth 2013, Johnson 2014), with the arguments of `icc`.

        With a latent scale the marginal one is that of McKelvey and Zavoina (1975). Without predictors it is zero
        whatever the response is, and so are its standard error and limits. `method` is "wald" or "bootstrap".
        """
        return dependence.r2(self.fit, mean, approximation, level, method, n, seed, threads)

    @understands
    def median_odds_ratio(
        self,
        *,
        level: float = 0.95,
        method: str = "wald",
        n: int = 1000,
        seed: int | None = None,
        threads: int | None = None,
    ) -> pd.DataFrame:
        """The median of the ratio between two groups drawn at random, the larger over the smaller.

        It is a ratio of odds with the logit link, of hazards with cloglog, of rates or means with the log link. The
        arguments are those of `icc`; the profile is that of the standard deviation of random intercepts.

        Raises
        ------
        DataError
            For links whose differences are no logarithms of ratios.

        References
        ----------
        Larsen & Merlo (2005) Amer. J. Epidemiol. 161:81-88.
        """
        return dependence.median_odds_ratio(self.fit, level, method, n, seed, threads)

    @understands
    def design_effect(
        self,
        *,
        mean: str | float = "null",
        approximation: str = "lognormal",
        level: float = 0.95,
        method: str = "wald",
        n: int = 1000,
        seed: int | None = None,
        threads: int | None = None,
    ) -> pd.DataFrame:
        """What the variance of a mean of rows in groups is times that of as many independent rows (Kish 1965).

        The arguments are those of `icc`.

        Returns
        -------
        DataFrame
            Per grouping factor mean_size (rows per level), icc, estimate = 1 + (mean_size - 1) icc with std_error,
            lower, upper, and unequal, the same with sum n^2 / sum n in place of the mean size.
        """
        return dependence.design_effect(self.fit, mean, approximation, level, method, n, seed, threads)

    @understands
    def variance_explained(self, other: Dependence, *, mean: str | float = "null") -> pd.DataFrame:
        """By what share each variance is less than in another fit to the same rows, such as one without predictors."""
        return dependence.variance_explained(self.fit, other.fit, mean)

    @understands
    def rescale_to(self, other: Dependence, *, level: float = 0.95) -> pd.DataFrame:
        """The fixed effects of a binary response on the latent scale of another fit, where the two compare."""
        return dependence.rescale_to(self.fit, other.fit, level)
