"""Results: what they say of rows, those of the fit and new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import pandas as pd

from ..arguments import understands
from ..checks import quantile
from ..prediction import predict
from ..prediction.population_average import population_average
from .part import Part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike


class RowValues(Part):
    """Fitted values, residuals, predictions."""

    @property
    def fittedvalues(self) -> pd.Series:
        """Means of the rows used, given the conditional modes, (n,); of ordered categories those of their numbers.

        Of categories without an order there are none: predict(kind="probabilities") has their probabilities.
        """
        choices = self.fit.design.choices
        if choices is not None and choices.by_category:
            self.fit.need_rows("fittedvalues")
        return pd.Series(self.predict(), name="fittedvalues")

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

    @overload
    def predict(
        self,
        newdata: Any = ...,
        *,
        kind: str = ...,
        random: str | Sequence[str] | Mapping[str, str] = ...,
        new_levels: str = ...,
        offset: ArrayLike | str | None = ...,
        se: Literal[False] = ...,
        interval: None = ...,
        level: float = ...,
        trials: ArrayLike | str | None = ...,
        weights: ArrayLike | str | None = ...,
        variances: str = ...,
    ) -> pd.Series: ...
    @overload
    def predict(
        self,
        newdata: Any = ...,
        *,
        kind: str = ...,
        random: str | Sequence[str] | Mapping[str, str] = ...,
        new_levels: str = ...,
        offset: ArrayLike | str | None = ...,
        se: bool = ...,
        interval: str | None = ...,
        level: float = ...,
        trials: ArrayLike | str | None = ...,
        weights: ArrayLike | str | None = ...,
        variances: str = ...,
    ) -> pd.Series | pd.DataFrame: ...
    @understands
    def predict(
        self,
        newdata: Any = None,
        *,
        kind: str = "response",
        random: str | Sequence[str] | Mapping[str, str] = "conditional",
        new_levels: str = "error",
        offset: ArrayLike | str | None = None,
        se: bool = False,
        interval: str | None = None,
        level: float = 0.95,
        trials: ArrayLike | str | None = None,
        weights: ArrayLike | str | None = None,
        variances: str = "estimated",
    ) -> pd.Series | pd.DataFrame:
        """Predicted means or linear predictors of the rows used or of new ones, with errors and intervals if asked for.

        Parameters
        ----------
        newdata : data frame, optional
            Rows to predict for; without it, the rows used in the fit.
        kind : {"response", "mean", "link", "dispersion", "zero"}
            Means of the response (probabilities for binomial models), zeros of a zero part in them; means that the link
            makes, without those; linear predictors; or the family's parameter that a part of the model makes. Of
            ordered categories {"response", "link", "probabilities", "cumulative", "exceedance", "class"}: the mean of
            their numbers 1, 2, ..., eta, the probability of each, of no more than each, of more, the most probable one.
            Of categories without an order {"response", "link", "probabilities", "class"}, the first being the
            probabilities too; of alternatives a probability for each row, and whether it is the most probable one.
        random : {"conditional", "zero", "marginal"}, list of str, or dict
            Random effects at their conditional modes; at zero; or integrated over, as those of groups drawn anew. A
            list of grouping factors has theirs at the modes and the others at zero; a dict has a word for each.
        new_levels : {"error", "zero", "marginal"}
            What to do with levels that the fit has not seen: refuse, set their random effects to zero, or integrate.
        offset : (n_rows,) array, number, column name or expression, optional
            In place of the fit's `offset=` argument; needed for new rows when that was an array. A number is the same
            for all rows.
        se : bool
            Standard errors by the delta method, from all parameters' joint covariance and, of random effects at their
            modes, their conditional covariance.
        interval : {None, "confidence", "prediction"}
            Confidence intervals of what is predicted; or intervals for a new response, quantiles of its predictive
            distribution: integers of counts, and of families of trials successes out of the row's trials.
        level : float
            Coverage of the intervals.
        trials, weights : (n_rows,) array, number or column name, optional
            Of new rows: what responses are out of, one without it; precisions of Gaussian responses.
        variances : {"estimated", "known"}
            Whether the errors know that covariance and family parameters are estimated; "known" gives the prediction
            errors of Henderson's equations in linear models.

        Returns
        -------
        Series or DataFrame
            Labelled as the rows of the frame; NaN where an input is missing. A frame with `se` or an interval:
            estimate, std_error and, with an interval, lower and upper; of probabilities of categories it has a
            row for each category of each row. Intervals of probabilities are made on the logit scale; a prediction
            interval of ``kind="class"`` is from one category to another.

        Raises
        ------
        ValueError
            A word that is not among the choices.
        DataError
            Levels not seen, missing columns, or a mean over random effects that does not exist.
        """
        return predict.predict(
            self.fit,
            newdata,
            kind,
            random,
            new_levels,
            offset,
            se=se,
            interval=interval,
            level=level,
            trials=trials,
            weights=weights,
            variances=variances,
        )

    @understands
    def population_average(
        self,
        kind: str = "coefficients",
        newdata: Any = None,
        *,
        by: ArrayLike | str | None = None,
        offset: ArrayLike | str | None = None,
        trials: ArrayLike | str | None = None,
        level: float = 0.95,
    ) -> pd.DataFrame:
        """What holds on average over groups: the random effects are integrated out, exactly.

        Parameters
        ----------
        kind : {"coefficients", "mean"}
            Coefficients of the marginal mean on the scale of the link, comparable with those of a model without random
            effects; or averages of the marginal mean of the response over the rows. Of categories "probabilities", too.
        newdata : data frame, optional
            Rows to average over; without it, the rows used in the fit.
        by : column name of `newdata` or (n_rows,) array, optional
            With ``kind="mean"``: an average for each of its values.
        offset, trials : as in `predict`
        level : float
            Of the intervals.

        Returns
        -------
        DataFrame
            estimate, std_error (delta method with all parameters' joint covariance), lower, upper.
        """
        return population_average(self.fit, kind, newdata, by, offset, trials, level)
