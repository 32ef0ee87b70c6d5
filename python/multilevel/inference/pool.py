"""One set of estimates from fits to several completions of the same data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..arguments import understands
from ..errors import DataError
from .wald import errors, estimates

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..fitting.record import Fit

LEAST_SHARE = 1e-4  # of the variance between completions, below which degrees of freedom are not taken from it


@understands
def pool(results: Iterable[Any], level: float = 0.95, *, df_complete: float | None = None) -> pd.DataFrame:
    """Combines fits of one model to data that were completed several times by multiple imputation.

    Parameters
    ----------
    results : iterable of results
        Two or more, one for each completed data set.
    level : float
        Of the intervals.
    df_complete : float, optional
        Degrees of freedom that complete data would have; without it rows minus estimated parameters, the smallest of
        the fits. Infinity gives Rubin's own degrees of freedom.

    Returns
    -------
    DataFrame, index = fixed effects
        estimate, std_error, statistic, df, p_value, conf_low, conf_high; within and between (the mean of the squared
        standard errors, and the variance of the estimates), increase (of the variance because data are missing,
        relative to within), missing_information (its fraction of all information).

    Raises
    ------
    DataError
        Fewer than two fits, of different models, or one without standard errors.

    References
    ----------
    Rubin (1987) Multiple Imputation for Nonresponse in Surveys; Barnard & Rubin (1999) Biometrika 86:948-955.
    """
    from scipy.special import stdtr, stdtrit

    if hasattr(results, "fit"):
        raise DataError("pool takes a list of results, one for each completed data set; got one")
    fits: list[Fit] = [getattr(item, "fit", item) for item in results]
    m = len(fits)
    _check(fits)
    if not 0.0 < level < 1.0:
        raise DataError(f"level is {level!r}; it is a coverage between 0 and 1, such as 0.95")
    complete = float(min(fit.df_resid for fit in fits) if df_complete is None else df_complete)
    if not complete > 0:
        raise DataError(f"df_complete is {complete:g}; degrees of freedom are above zero")
    table = np.array([estimates(fit).to_numpy() for fit in fits])
    estimate, between = table.mean(axis=0), table.var(axis=0, ddof=1)
    within = np.mean([errors(fit).to_numpy() ** 2 for fit in fits], axis=0)
    added = (1.0 + 1.0 / m) * between
    total = within + added
    share = np.maximum(added / total, LEAST_SHARE)
    df = (m - 1) / share**2
    if np.isfinite(complete):
        observed = (complete + 1.0) / (complete + 3.0) * complete * (1.0 - share)
        df = df * observed / (df + observed)
    increase = added / within
    std_error = np.sqrt(total)
    statistic = estimate / std_error
    half = stdtrit(df, 0.5 + level / 2.0) * std_error
    columns = {
        "estimate": estimate,
        "std_error": std_error,
        "statistic": statistic,
        "df": df,
        "p_value": 2.0 * stdtr(df, -np.abs(statistic)),
        "conf_low": estimate - half,
        "conf_high": estimate + half,
        "within": within,
        "between": between,
        "increase": increase,
        "missing_information": (increase + 2.0 / (df + 3.0)) / (increase + 1.0),
    }
    return pd.DataFrame(columns, index=estimates(fits[0]).index)


def _check(fits: list[Fit]) -> None:
    if len(fits) < 2:
        raise DataError(f"pool takes two or more fits, one for each completed data set; got {len(fits)}")
    first = fits[0]
    for k, fit in enumerate(fits):
        if (fit.fixed_names, fit.family, fit.method) != (first.fixed_names, first.family, first.method):
            raise DataError(
                f"fit {k} is not of the model of fit 0: '{fit.design.formula}' by '{fit.method}' has the fixed effects "
                f"{', '.join(fit.fixed_names)}, and '{first.design.formula}' by '{first.method}' "
                f"{', '.join(first.fixed_names)}"
            )
        if not np.isfinite(errors(fit).to_numpy()).all():
            raise DataError(f"fit {k} has no standard errors ({fit.message or fit.status}): it cannot be combined")
