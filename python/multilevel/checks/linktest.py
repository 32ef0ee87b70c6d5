"""Pregibon's test of the link."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..fitting.refit import refit
from ..inference.wald import coefficient_table

if TYPE_CHECKING:
    import pandas as pd

    from ..fitting.record import Fit

NAMES = ("(Intercept)", "fitted", "fitted squared")


def linktest(fit: Fit) -> pd.DataFrame:
    """The model with its own fixed part as the one predictor, and the square of that.

    Everything else stays: random effects, offset, weights, parts beside the mean. Where link and predictors are right
    the square adds nothing. The fixed part is centred and scaled to unit variance before it is squared, which changes
    neither the model nor the test of the square.

    Returns
    -------
    DataFrame, index = "(Intercept)" (not of ordered categories), "fitted", "fitted squared"
        The columns of `coefficient_table`; the row of the square is the test.

    Raises
    ------
    DataError
        The fixed part is the same in all rows; the model with the square cannot be fitted.

    References
    ----------
    Pregibon (1980) Appl. Statist. 29:15-24.
    """
    fit.need_one_family("linktest", "fit the kind in question alone")
    fit.need_rows("linktest()")
    fixed = np.zeros(fit.n_rows)
    own = dict(zip(fit.fixed_names, fit.beta, strict=True))
    for column in fit.design.fixed:
        if column.name in own:
            fixed += own[column.name] * (1.0 if column.values is None else column.values)
    spread = float(fixed.std())
    if not spread > 1e-8 * (1.0 + float(np.abs(fixed).max(initial=0.0))) or not np.isfinite(spread):
        raise DataError("the fixed part is the same in all rows: there is no predictor whose link could be tested")
    fitted = (fixed - fixed.mean()) / spread
    like = fit.design.fixed[0]
    values = (None, fitted, fitted**2)
    columns = tuple(replace(like, name=name, values=own) for name, own in zip(NAMES, values, strict=True))
    if fit.design.thresholds is not None:
        columns = columns[1:]  # thresholds are its intercepts
    second = refit(fit, replace(fit.design, fixed=columns, fixed_terms=()))
    if not second.converged or second.redundant:
        why = second.message or "the fixed part has two values only, and its square adds nothing to them"
        raise DataError(f"the model with the square of the fixed part cannot be fitted: {why}")
    return coefficient_table(second)
