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

    Intervals are made on the scale on which the fit moves a parameter, mostly its logarithm; standard errors are by the
    delta method.

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
    n, own = len(fit.phi), fit.family.parameters
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
        for r, parameter in enumerate(own):
            if parameter.scale in ("log", "reciprocal"):
                continue
            phi = fit.psi[at[r]]
            ends = [phi + sign * quantile(level) * relative[r] for sign in (-1.0, 1.0)]
            columns["std_error"][r] = parameter.slope(phi) * relative[r]
            columns["conf_low"][r], columns["conf_high"][r] = (parameter.natural(end) for end in ends)
    return pd.DataFrame(columns, index=pd.Index(list(fit.phi), name="parameter"))
