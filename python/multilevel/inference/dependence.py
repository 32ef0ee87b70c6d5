"""How alike responses of a group are, and how much of their variance predictors and groups explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import expit, logit, ndtri

from ..errors import DataError
from .dependence_intervals import (
    by_bootstrap,
    by_profile_of_sds,
    check,
    has_profile,
    icc_by_profile,
    remedy,
    tell_of_missing,
)
from .latent_variance import is_latent, latent_variance
from .wald import quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..fitting.record import Fit
    from .latent_variance import LatentVariance

    Array = NDArray[np.float64]

COLUMNS = ["estimate", "std_error", "lower", "upper"]
RATIOS = {"logit": "odds", "cloglog": "hazard", "log": "rate"}


def _share(value: float, error: float, level: float) -> tuple[float, float, float, float]:
    """A share with an interval made on the logit scale; without one at the ends, but where it is there for certain."""
    reach = float(quantile(level))
    if error == 0.0:
        return value, 0.0, value, value
    if not (np.isfinite(error) and 0.0 < value < 1.0):
        return value, np.nan, np.nan, np.nan
    size = reach * error / (value * (1.0 - value))
    return value, error, float(expit(logit(value) - size)), float(expit(logit(value) + size))


def _groups(fit: Fit, found: LatentVariance) -> tuple[str, ...]:
    if not fit.design.random_terms:
        raise DataError("the model has no random effects: no responses are alike by their groups")
    return found.names[1:-1]


def icc(
    fit: Fit,
    adjusted: bool = True,
    mean: str | float = "null",
    approximation: str = "lognormal",
    level: float = 0.95,
    method: str = "wald",
    n: int = 1000,
    seed: int | None = None,
    threads: int | None = None,
) -> pd.DataFrame:
    """Shares of the variance that lie between the levels of a grouping factor; `results.icc` has the arguments.

    A profile is that of the fit by maximum likelihood.
    """
    check(fit, method, mean)

    def ratios(own: Fit) -> dict[str, tuple[float, float]]:
        found = latent_variance(own, mean, approximation)
        groups = _groups(own, found)
        under = (*groups, "residual") if adjusted else found.names
        rows = {name: found.ratio((name,), under) for name in groups}
        return rows | ({"all": found.ratio(groups, under)} if len(groups) > 1 else {})

    table = _table({name: _share(*own, level) for name, own in ratios(fit).items()}, "group")
    if method == "bootstrap":
        return by_bootstrap(fit, table, lambda own: _estimates(ratios(own)), level, n, seed, threads)
    if method == "profile":
        if not adjusted:
            raise DataError("method='profile' is of the adjusted correlation; use method='bootstrap'")
        return icc_by_profile(fit, table, level)
    return tell_of_missing(table, "icc", remedy(fit, adjusted and has_profile(fit)))


def r2(
    fit: Fit,
    mean: str | float = "null",
    approximation: str = "lognormal",
    level: float = 0.95,
    method: str = "wald",
    n: int = 1000,
    seed: int | None = None,
    threads: int | None = None,
) -> pd.DataFrame:
    """The share of the variance that the fixed part explains (marginal), and with the random effects (conditional)."""
    check(fit, method, mean)
    if method == "profile":
        raise DataError("r2 is a function of all coefficients and variances, no profile of one; use method='bootstrap'")

    def ratios(own: Fit) -> dict[str, tuple[float, float]]:
        found = latent_variance(own, mean, approximation)
        rows = {"marginal": found.ratio(("fixed",), found.names) if _has_predictors(own) else (0.0, 0.0)}
        return rows | ({"conditional": found.ratio(found.names[:-1], found.names)} if own.design.random_terms else {})

    table = _table({name: _share(*own, level) for name, own in ratios(fit).items()}, "r2")
    if method == "bootstrap":
        return by_bootstrap(fit, table, lambda own: _estimates(ratios(own)), level, n, seed, threads)
    return tell_of_missing(table, "r2", remedy(fit, profile=False))


def _has_predictors(fit: Fit) -> bool:
    """Whether the fixed part differs from row to row."""
    return any(
        column.values is not None and column.name in fit.fixed_names and (column.values != column.values[0]).any()
        for column in fit.design.fixed
    )


def median_odds_ratio(
    fit: Fit,
    level: float = 0.95,
    method: str = "wald",
    n: int = 1000,
    seed: int | None = None,
    threads: int | None = None,
) -> pd.DataFrame:
    """exp(sqrt(2 variance) q), q the upper quartile of the normal distribution; see `results.median_odds_ratio`."""
    fit.need_one_family("median_odds_ratio")
    fit.need_rows("median_odds_ratio")
    if fit.family.link not in RATIOS:
        raise DataError(
            f"median_odds_ratio: differences with the {fit.family.link} link are no logarithms of ratios; links whose "
            f"are: {', '.join(RATIOS)}"
        )
    # what it says of single rows, which depends on the mean, is not needed
    mean: str | float = "null" if is_latent(fit) else float(fit.family.mean(np.zeros(1))[0])
    check(fit, method, mean)
    found = latent_variance(fit, mean=mean)
    reach, rows = float(quantile(level)), {}
    for name in _groups(fit, found):
        variance, error = found.total((name,))
        ratio = _ratio(variance)
        by_variance = ratio * float(ndtri(0.75)) / np.sqrt(2.0 * variance) if variance > 0 else np.nan
        steps = [variance * np.exp(sign * reach * error / variance) if variance > 0 else np.nan for sign in (-1, 1)]
        rows[name] = (ratio, by_variance * error, *(_ratio(own) for own in steps))
    table = _table(rows, "group")
    if method == "profile":
        return by_profile_of_sds(fit, table, lambda sd: _ratio(sd**2), level)
    if method == "bootstrap":

        def ratios(own: Fit) -> dict[str, float]:
            variances = latent_variance(own, mean=mean)
            return {name: _ratio(variances.total((name,))[0]) for name in table.index}

        return by_bootstrap(fit, table, ratios, level, n, seed, threads)
    intercepts = all(term.names == ("(Intercept)",) for term in fit.design.random_terms)
    own = "method='profile' and method='bootstrap' have" if intercepts else "method='bootstrap' has"
    return tell_of_missing(table, "median_odds_ratio", own)


def _ratio(variance: float) -> float:
    return float(np.exp(np.sqrt(2.0 * variance) * ndtri(0.75)))


def design_effect(
    fit: Fit,
    mean: str | float = "null",
    approximation: str = "lognormal",
    level: float = 0.95,
    method: str = "wald",
    n: int = 1000,
    seed: int | None = None,
    threads: int | None = None,
) -> pd.DataFrame:
    """1 + (mean size of a level - 1) icc, and for unequal sizes; see `results.design_effect`."""
    table = icc(fit, True, mean, approximation, level, method, n, seed, threads)
    rows = {}
    for factor in fit.design.grouping_factors:
        if factor.name not in table.index:
            continue
        sizes = np.bincount(factor.codes, minlength=len(factor.levels)).astype(np.float64)
        size, kish = float(sizes.mean()), float((sizes**2).sum() / sizes.sum())
        own = table.loc[factor.name].to_numpy(dtype=np.float64)
        effect = 1.0 + (size - 1.0) * own
        rows[factor.name] = (
            size,
            own[0],
            effect[0],
            (size - 1.0) * own[1],
            effect[2],
            effect[3],
            1 + (kish - 1) * own[0],
        )
    columns = ["mean_size", "icc", *COLUMNS, "unequal"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("group")


def variance_explained(fit: Fit, other: Fit, mean: str | float = "null") -> pd.DataFrame:
    """By how much each variance is less than in another fit to the same rows, such as one without predictors.

    Returns
    -------
    DataFrame
        Per grouping factor in both, and the residual where it is estimated: other, this, explained = 1 - this / other.
        Negative where the variance grows, as it can when predictors differ within groups (Snijders and Bosker 1994).

    Raises
    ------
    DataError
        The fits have other rows, families or links.
    """
    _comparable(fit, other)
    ours, theirs = latent_variance(fit, mean), latent_variance(other, mean)
    estimated = fit.family.has_residual
    names = [name for name in theirs.names[1:] if name in ours.names and (name != "residual" or estimated)]
    rows = {}
    for name in names:
        before, after = theirs.total((name,))[0], ours.total((name,))[0]
        rows[name] = (before, after, 1.0 - after / before if before > 0 else np.nan)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["other", "this", "explained"]).rename_axis("variance")


def rescale_to(fit: Fit, other: Fit, level: float = 0.95) -> pd.DataFrame:
    """The fixed effects on the latent scale of another fit of the same binary response (Hox 2010).

    The latent variance given everything is fixed by the link, so that coefficients grow with what a model explains;
    multiplied by the ratio of the two whole standard deviations they compare.

    Raises
    ------
    DataError
        The scale is not latent, or the fits have other rows, families or links.
    """
    _comparable(fit, other)
    fit.need_one_family("rescale_to")
    if not is_latent(fit):
        raise DataError(
            f"rescale_to: the scale of the {fit.family.name} family with the {fit.family.link} link is not latent; its "
            "coefficients compare as they are"
        )
    ours, theirs = latent_variance(fit), latent_variance(other)
    factor = float(np.sqrt(theirs.values.sum() / ours.values.sum()))
    error = factor * np.sqrt(np.maximum(np.diag(fit.beta_covariance), 0.0))
    estimate, reach = factor * fit.beta, float(quantile(level))
    columns = {"estimate": estimate, "std_error": error, "lower": estimate - reach * error}
    frame = pd.DataFrame({**columns, "upper": estimate + reach * error}, index=pd.Index(fit.fixed_names, dtype=object))
    frame.attrs["factor"] = factor
    return frame


def _comparable(fit: Fit, other: Fit) -> None:
    same = (fit.family.name, fit.family.link, fit.family.zero) == (
        other.family.name,
        other.family.link,
        other.family.zero,
    )
    if not same:
        raise DataError(f"the fits have different families, {fit.family!r} and {other.family!r}")
    if fit.n_rows != other.n_rows or not np.array_equal(fit.design.response.values, other.design.response.values):
        raise DataError("the fits have different responses or rows; fit both to the same data")


def _estimates(ratios: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    return {name: own[0] for name, own in ratios.items()}


def _table(rows: Mapping[str, tuple[float, ...]], name: str) -> pd.DataFrame:
    return pd.DataFrame.from_dict(dict(rows), orient="index", columns=COLUMNS).rename_axis(name)
