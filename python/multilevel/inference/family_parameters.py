"""The family's own parameters with their standard errors and intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .wald import quantile

if TYPE_CHECKING:
    from ..fitting.record import Fit


def family_parameters(fit: Fit, level: float = 0.95) -> pd.DataFrame:
    """Estimates, standard errors and Wald intervals of the family's parameters that are the same for all rows.

    The fit estimates phi, their logarithms or logits, and intervals are made there, so that they stay in the range of
    the parameter; standard errors are by the delta method.

    Parameters
    ----------
    fit : Fit
    level : float
        Of the intervals.

    Returns
    -------
    DataFrame, one row per parameter
        Index `parameter`; estimate, std_error, conf_low, conf_high. NaN where a parameter is at its limit, or given.
    """
    rows = []
    own = {parameter.name: parameter for parameter in fit.family.parameters}
    for name, estimate in fit.phi.items():
        if name not in fit.phi_places:
            rows.append((estimate, np.nan, np.nan, np.nan))
            continue
        parameter, place = own[name], fit.phi_places[name]
        phi, error = fit.psi[place], float(np.sqrt(fit.covariance[place, place]))
        reach = quantile(level) * error
        # what multiplies sigma of least squares, beside its phi
        natural = parameter.natural(phi)
        share = estimate / natural if parameter.scale == "log" and 0.0 < natural < np.inf else 1.0
        with np.errstate(over="ignore"):
            ends = sorted(share * parameter.natural(phi + step) for step in (-reach, reach))
        missing = not np.isfinite(error)
        rows.append((estimate, share * abs(parameter.slope(phi)) * error, *((np.nan, np.nan) if missing else ends)))
    columns = ["estimate", "std_error", "conf_low", "conf_high"]
    return pd.DataFrame(rows, columns=columns, index=pd.Index(list(fit.phi), name="parameter"), dtype=np.float64)
