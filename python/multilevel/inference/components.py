"""Parts of the model beside the mean: their coefficients, on the scale of the family's parameter that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from .wald import standard_errors, wald_table

if TYPE_CHECKING:
    from ..fitting.parameters import Component
    from ..fitting.record import Fit


def component_table(fit: Fit, component: Component, level: float = 0.95) -> pd.DataFrame:
    """Coefficients, standard errors, normal tests and Wald intervals of a part.

    Returns
    -------
    DataFrame, one row per column kept
        Index: names of the columns; estimate, std_error, df (infinite), statistic, p_value, conf_low, conf_high.
    """
    at = slice(component.first, component.first + len(component.names))
    return wald_table(component.names, fit.psi[at], standard_errors(fit.covariance[at, at]), level)


def component_params(fit: Fit, name: str) -> pd.Series:
    """Coefficients of the part of this name, (p,)."""
    component = fit.component(name)
    at = slice(component.first, component.first + len(component.names))
    return pd.Series(fit.psi[at], index=pd.Index(component.names, dtype=object), name=name)
