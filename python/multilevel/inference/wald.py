"""Wald inference: estimates, standard errors from the observed information, z statistics, intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from ..fit import Fit


def standard_errors(covariance: np.ndarray) -> np.ndarray:
    """Square roots of the diagonal; NaN where a variance is NaN or negative. (p, p) -> (p,)."""
    variances = np.diag(covariance)
    return np.sqrt(np.where(variances >= 0, variances, np.nan))


def correlation(covariance: np.ndarray) -> np.ndarray:
    """(p, p) covariance -> (p, p) correlation; NaN where a variance is zero or NaN."""
    sd = standard_errors(covariance)
    with np.errstate(divide="ignore", invalid="ignore"):
        return covariance / np.outer(sd, sd)


def p_values(z: np.ndarray) -> np.ndarray:
    """Two-sided normal tail probabilities, accurate in the far tail."""
    from scipy.special import ndtr

    return 2.0 * ndtr(-np.abs(z))


def normal_quantile(level: float) -> float:
    """Half-width, in standard errors, of a two-sided interval of this level.

    Raises
    ------
    ValueError
        When `level` is not strictly between 0 and 1.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level={level!r} must lie between 0 and 1, for example 0.95")
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2.0))


def coefficient_table(fit: Fit, level: float = 0.95) -> pd.DataFrame:
    """Everything about the fixed effects, one row per coefficient.

    Returns
    -------
    DataFrame, index = coefficient names
        estimate, std_error, statistic (z), p_value, conf_low, conf_high.
    """
    std_error = standard_errors(fit.beta_covariance)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = fit.beta / std_error
    margin = normal_quantile(level) * std_error
    return pd.DataFrame(
        {
            "estimate": fit.beta,
            "std_error": std_error,
            "statistic": z,
            "p_value": p_values(z),
            "conf_low": fit.beta - margin,
            "conf_high": fit.beta + margin,
        },
        index=pd.Index(fit.fixed_names, dtype=object),
    )


def confidence_intervals(fit: Fit, level: float = 0.95, method: str = "wald") -> pd.DataFrame:
    """Confidence intervals of the fixed effects.

    Parameters
    ----------
    fit : Fit
    level : float
        Coverage, between 0 and 1.
    method : {"wald"}
        Estimate plus and minus a normal quantile of standard errors.

    Returns
    -------
    DataFrame, index = coefficient names; columns "lower", "upper".

    Raises
    ------
    ValueError
        For another method, or a level outside (0, 1).
    """
    if method != "wald":
        raise ValueError(f"confidence intervals by method={method!r} are not available; available: 'wald'")
    if isinstance(level, (int, float)) and 0 < level < 0.5:
        raise ValueError(f"level={level} is a coverage below one half; did you mean level={1 - level:g}?")
    table = coefficient_table(fit, level)
    return table[["conf_low", "conf_high"]].set_axis(["lower", "upper"], axis=1)


def covariance_table(fit: Fit) -> pd.DataFrame:
    """Covariance matrix of the fixed-effect estimates, labelled on both sides, (p, p)."""
    names = pd.Index(fit.fixed_names, dtype=object)
    return pd.DataFrame(fit.beta_covariance, index=names, columns=names)
