"""The family's own parameters with their standard errors and intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .wald import quantile

if TYPE_CHECKING:
    from ..fitting.record import Fit


def family_parameters(fit: Fit, level: float = 0.95) -> pd.DataFrame:
    """Estimates, standard errors and Wald intervals of the family's parameters.

    The fit estimates logarithms, and intervals are made there; standard errors are by the delta method.

    Parameters
    ----------
    fit : Fit
    level : float
        Of the intervals.

    Returns
    -------
    DataFrame, one row per parameter
        Index `parameter`; estimate, std_error, conf_low, conf_high. NaN where a parameter is at its limit.
    """
    n = len(fit.phi)
    at = np.arange(len(fit.psi) - n, len(fit.psi))
    relative = np.sqrt(np.diag(fit.covariance)[at])
    estimate = np.array(list(fit.phi.values()))
    with np.errstate(invalid="ignore", over="ignore"):
        reach = np.exp(quantile(level) * relative)
        columns = {
            "estimate": estimate,
            "std_error": estimate * relative,
            "conf_low": estimate / reach,
            "conf_high": estimate * reach,
        }
    return pd.DataFrame(columns, index=pd.Index(list(fit.phi), name="parameter"))
