"""Intervals of shares of variance and what follows from them, by profile likelihood and by the bootstrap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arguments import check_choice
from ..errors import DataError, NotEstimableWarning, warn_caller
from ..resampling.bootstrap import bootstrap
from .latent_variance import is_latent
from .profile import profile_intervals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    import pandas as pd

    from ..fitting.record import Fit

METHODS = ("wald", "profile", "bootstrap")


def check(fit: Fit, method: str, mean: str | float) -> None:
    """Refuses a method that is not there, or a mean that would be fitted again and again.

    Raises
    ------
    ValueError, DataError
    """
    check_choice("method", method, METHODS)
    if method == "bootstrap" and mean in ("null", "typical") and not (is_latent(fit) or fit.is_linear):
        raise DataError(
            f"mean={mean!r} fits the model without predictors, which would have to be fitted to every replicate, too; "
            "give a number, mean=..., for method='bootstrap'"
        )


def by_bootstrap(
    fit: Fit,
    table: pd.DataFrame,
    values: Callable[[Fit], Mapping[str, float]],
    level: float,
    n: int,
    seed: int | None,
    threads: int | None,
) -> pd.DataFrame:
    """The table with standard deviations and percentiles of replicates of a parametric bootstrap.

    Parameters
    ----------
    fit : Fit
    table : DataFrame, index = names
        With estimate, std_error, lower, upper.
    values : callable
        The estimates, by these names, of a fit.
    level : float
    n, seed, threads : int
        As of `results.bootstrap`.
    """

    def statistic(replicate: Any) -> Mapping[str, float]:
        return values(replicate.fit)

    found = bootstrap(fit, n, seed, statistic, threads=threads)
    ends = found.conf_int("percentile", level).loc[table.index]
    return table.assign(
        std_error=found.std_error.loc[table.index].to_numpy(), lower=ends["lower"].to_numpy(), upper=ends["upper"]
    )


def has_profile(fit: Fit) -> bool:
    """Whether the intraclass correlation is a function of one standard deviation, in a form that can be profiled."""
    terms = fit.design.random_terms
    one = len(fit.design.grouping_factors) == 1 and all(term.names == ("(Intercept)",) for term in terms)
    return one and (fit.is_linear or (is_latent(fit) and fit.design.thresholds is None))


def icc_by_profile(fit: Fit, table: pd.DataFrame, level: float) -> pd.DataFrame:
    """The table of the one intraclass correlation with limits of its profile.

    Raises
    ------
    DataError
        It is a function of more than one standard deviation, or the family's variance is an approximation.
    """
    if not has_profile(fit):
        raise DataError(
            "method='profile' is of the intraclass correlation of linear and binomial (logit, probit, cloglog) models "
            "with one random intercept; use method='bootstrap', or results.profile with a function of the parameters"
        )
    ends = profile_intervals(fit, level, "icc").iloc[0]
    return table.assign(lower=ends["lower"], upper=ends["upper"])


def by_profile_of_sds(fit: Fit, table: pd.DataFrame, of_sd: Callable[[float], float], level: float) -> pd.DataFrame:
    """The table with limits that rise with the standard deviation of the random intercept of each row's factor.

    Raises
    ------
    DataError
        A factor has other random effects.
    """
    names = [f"{group}: sd (Intercept)" for group in table.index]
    for group in table.index:
        own = [
            term.names
            for term in fit.design.random_terms
            if fit.design.grouping_factors[term.grouping_factor].name == group
        ]
        if own != [("(Intercept)",)]:
            raise DataError(
                f"method='profile' is of one standard deviation, and {group!r} has other random effects than an "
                "intercept; use method='bootstrap'"
            )
    ends = profile_intervals(fit, level, names)
    lower, upper = ([of_sd(float(end)) for end in ends.loc[names, side]] for side in ("lower", "upper"))
    return table.assign(lower=lower, upper=upper)


def tell_of_missing(table: pd.DataFrame, what: str, remedy: str) -> pd.DataFrame:
    """The table; warns of what has no limits, and why."""
    missing = table.index[np.isfinite(table["estimate"]) & ~np.isfinite(table["lower"])]
    if len(missing):
        warn_caller(
            f"{what}: no standard error and limits of {', '.join(map(repr, missing))}, as a variance is zero, at the "
            f"boundary, where the estimate is not nearly normal (or a standard error is not known). {remedy} limits "
            "there",
            NotEstimableWarning,
        )
    return table


def remedy(fit: Fit, profile: bool) -> str:
    """What has limits where Wald's are not to be had."""
    with_mean = "" if is_latent(fit) or fit.is_linear else " (with a number for mean=)"
    return (
        f"method='profile' and method='bootstrap'{with_mean} have" if profile else f"method='bootstrap'{with_mean} has"
    )
