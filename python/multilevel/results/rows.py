"""Results: what they say of rows, those of the fit and new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from ..arguments import understands
from ..checks import quantile
from ..prediction import predict
from .part import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


class RowValues(Part):
    """Fitted values, residuals, predictions."""

    @property
    def fittedvalues(self) -> pd.Series:
        """Means of the rows used, given the conditional modes, (n,)."""
        return self.predict().rename("fittedvalues")

    @understands
    def residuals(self, kind: str = "pearson", random: str = "conditional", seed: int | None = 0) -> pd.Series:
        """Residuals of the rows used, (n,).

        Parameters
        ----------
        kind : {"pearson", "deviance", "response", "quantile"}
            Quantile residuals are standard normal where the model is right, for every family.
        random : {"conditional", "drawn", "marginal", "zero"}
            Of quantile residuals, the random effects: at their conditional modes; drawn from their distribution given
            the data, which makes the residuals independent; integrated over their distribution; or at zero.
        seed : int or None
            Of quantile residuals: a response with a probability of its own is put at random within its interval.
        """
        values = quantile.all_residuals(self.fit, kind, random, seed)
        return pd.Series(values, index=predict.row_index(self.fit.design), name=kind)

    @understands
    def predict(
        self,
        newdata: Any = None,
        *,
        kind: str = "response",
        random: str | Sequence[str] = "conditional",
        new_levels: str = "error",
        offset: ArrayLike | str | None = None,
    ) -> pd.Series:
        """Predicted means or linear predictors of the rows used or of new ones.

        Parameters
        ----------
        newdata : data frame, optional
            Rows to predict for; without it, the rows used in the fit.
        kind : {"response", "link"}
            Means (probabilities for binomial models) or linear predictors.
        random : {"conditional", "zero"} or list of str
            Random effects at their conditional modes, or at zero; a list of grouping factors has theirs at the modes.
        new_levels : {"error", "zero"}
            What to do with levels that the fit has not seen: refuse, or set their random effects to zero.
        offset : (n_rows,) array, number, column name or expression, optional
            In place of the fit's `offset=` argument; needed for new rows when that was an array. A number is the same
            for all rows.

        Returns
        -------
        Series
            Labelled as the rows of the frame; NaN where an input is missing.
        """
        return predict.predict(self.fit, newdata, kind, random, new_levels, offset)
