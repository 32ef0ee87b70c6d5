"""Wald inference: estimates, standard errors, tests and intervals.

Linear models have t tests with degrees of freedom; all others have z tests, with standard errors from the observed
information.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import DataError
from .degrees_of_freedom.methods import adjusted_covariance, default_method, degrees_of_freedom
from .robust import check_df_method

if TYPE_CHECKING:
    from ..fitting.record import Fit
    from .robust import Robust


def standard_errors(covariance: np.ndarray) -> np.ndarray:
    """Square roots of the diagonal; NaN where a variance is NaN or negative. (p, p) -> (p,)."""
    variances = np.diag(covariance)
    return np.sqrt(np.where(variances >= 0, variances, np.nan))


def correlation(covariance: np.ndarray) -> np.ndarray:
    """(p, p) covariance -> (p, p) correlation; NaN where a variance is zero or NaN."""
    sd = standard_errors(covariance)
    with np.errstate(divide="ignore", invalid="ignore"):
        return covariance / np.outer(sd, sd)


def p_values(statistic: np.ndarray, df: np.ndarray | float = np.inf) -> np.ndarray:
    """Two-sided tail probabilities of t, or of the normal distribution where `df` is infinite; accurate far out."""
    from scipy.special import ndtr, stdtr

    below = -np.abs(statistic)
    with np.errstate(invalid="ignore"):
        return 2.0 * np.where(np.isinf(df), ndtr(below), stdtr(df, below))


def quantile(level: float, df: np.ndarray | float = np.inf) -> np.ndarray:
    """Half-width, in standard errors, of a two-sided interval of this level.

    Raises
    ------
    ValueError
        When `level` is not strictly between 0 and 1.
    """
    if not isinstance(level, (int, float, np.number)) or not 0.0 < level < 1.0:
        raise ValueError(f"level={level!r} must lie between 0 and 1, for example 0.95")
    from scipy.special import ndtri, stdtrit

    upper = 0.5 + level / 2.0
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(df), ndtri(upper), stdtrit(df, upper))


def estimates(fit: Fit) -> pd.Series:
    """The fixed effects, (p,)."""
    return pd.Series(fit.beta, index=pd.Index(fit.fixed_names, dtype=object), name="params")


def errors(fit: Fit) -> pd.Series:
    """Their standard errors, (p,)."""
    return pd.Series(standard_errors(fit.beta_covariance), index=pd.Index(fit.fixed_names, dtype=object), name="bse")


def degrees_table(fit: Fit, method: str | None = None) -> pd.Series:
    """Degrees of freedom of the fixed effects, (p,); the model's default without a method."""
    df = degrees_of_freedom(fit, default_method(fit) if method is None else method)
    return pd.Series(df, index=pd.Index(fit.fixed_names, dtype=object), name="df")


def coefficient_table(
    fit: Fit, level: float = 0.95, df_method: str | None = None, robust: Robust | None = None
) -> pd.DataFrame:
    """Everything about the fixed effects, one row per coefficient.

    Parameters
    ----------
    fit : Fit
    level : float
        Coverage of the intervals, between 0 and 1.
    df_method : {"satterthwaite", "kenward-roger", "containment", "containment-sas", "residual", "normal"}, optional
        Degrees of freedom; the model's default without it. Kenward and Roger's come with their own standard errors.
    robust : Robust, optional
        A robust covariance in place of the model's, with its own degrees of freedom.

    Returns
    -------
    DataFrame, index = coefficient names
        estimate, std_error, df (infinite for normal tests), statistic, p_value, conf_low, conf_high.
    """
    if robust is not None:
        check_df_method(df_method)
        errors_of_it = standard_errors(robust.fit.beta_covariance)
        df = robust.df if df_method is None else np.inf
        table = wald_table(fit.fixed_names, fit.beta, errors_of_it, level, df)
        table.attrs["robust"] = robust.definition
        return table
    if df_method is None:
        df_method = default_method(fit)
    std_error = standard_errors(adjusted_covariance(fit, df_method))
    df = degrees_of_freedom(fit, df_method)
    return wald_table(fit.fixed_names, fit.beta, std_error, level, df)


def wald_table(
    names: tuple[str, ...], estimate: np.ndarray, std_error: np.ndarray, level: float, df: np.ndarray | float = np.inf
) -> pd.DataFrame:
    """Estimates with their tests and intervals, one row each; the columns are those of `coefficient_table`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = estimate / std_error
    margin = quantile(level, df) * std_error
    return pd.DataFrame(
        {
            "estimate": estimate,
            "std_error": std_error,
            "df": df,
            "statistic": statistic,
            "p_value": p_values(statistic, df),
            "conf_low": estimate - margin,
            "conf_high": estimate + margin,
        },
        index=pd.Index(names, dtype=object),
    )


def confidence_intervals(
    fit: Fit,
    level: float = 0.95,
    method: str = "wald",
    df_method: str | None = None,
    which: Any = None,
    robust: Robust | None = None,
) -> pd.DataFrame:
    """Wald intervals of the fixed effects, or of those named by `which`; see `intervals.confidence_intervals`."""
    if method != "wald":
        raise ValueError(
            f"confidence intervals by method={method!r} are not available; available: 'wald', 'profile' and 'bootstrap'"
        )
    complain_of_level(level)
    table = coefficient_table(fit, level, df_method, robust)
    table = table[["conf_low", "conf_high"]].set_axis(["lower", "upper"], axis=1)
    return table.loc[chosen_names(fit, which)]


def chosen_names(fit: Fit, which: Any = None) -> list[str]:
    """Names of fixed effects: one, several, or without any given all of them."""
    if which is None:
        return list(fit.fixed_names)
    names = [which] if isinstance(which, str) else list(which)
    for name in names:
        if name not in fit.fixed_names:
            known = ", ".join(map(repr, fit.fixed_names))
            raise DataError(f"there is no fixed effect {name!r}; there are {known}; for others use method='profile'")
    return names


def complain_of_level(level: float) -> None:
    """ValueError for what looks like its complement."""
    if isinstance(level, (int, float)) and 0 < level < 0.5:
        raise ValueError(f"level={level} is a coverage below one half; did you mean level={1 - level:g}?")


def covariance_table(fit: Fit, df_method: str | None = None, robust: Robust | None = None) -> pd.DataFrame:
    """Covariance matrix of the fixed-effect estimates, labelled on both sides, (p, p).

    With a `df_method` it is the one that goes with these degrees of freedom: Kenward and Roger's is adjusted.
    """
    names = pd.Index(fit.fixed_names, dtype=object)
    if robust is not None:
        check_df_method(df_method)
        table = pd.DataFrame(robust.fit.beta_covariance, index=names, columns=names)
        table.attrs["robust"] = robust.definition
        return table
    covariance = fit.beta_covariance if df_method is None else adjusted_covariance(fit, df_method)
    return pd.DataFrame(covariance, index=names, columns=names)
