"""Linear predictors and means for the rows of the fit or for new ones, with what is uncertain in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import DataError
from .categories import KINDS_OF_CATEGORIES, predict_categories
from .choices import KINDS_OF_CHOICES, predict_choices
from .intervals import follows, limits, reach_of
from .normal_mean import NO_SPREAD, Means
from .predictive import quantiles
from .rows import NEW_LEVELS, PredictionRows, row_index, rows_of, treatments
from .uncertain import Moments, centres, delta, moments, quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from ..fitting.record import Fit

    Array = NDArray[np.float64]

__all__ = ["predict", "row_index"]
INTERVALS = (None, "confidence", "prediction")
VARIANCES = ("estimated", "known")


def predict(
    fit: Fit,
    newdata: Any = None,
    kind: str = "response",
    random: str | Sequence[str] | Mapping[str, str] = "conditional",
    new_levels: str = "error",
    offset: ArrayLike | str | None = None,
    *,
    se: bool = False,
    interval: str | None = None,
    level: float = 0.95,
    trials: ArrayLike | str | None = None,
    weights: ArrayLike | str | None = None,
    variances: str = "estimated",
) -> pd.Series | pd.DataFrame:
    """Predicted means or linear predictors, with standard errors and intervals if asked for.

    Parameters
    ----------
    fit : Fit
    newdata : data frame or None
        Rows to predict for, coded as the fit coded its own; None means the rows used in the fit. The response is not
        needed, nor are grouping factors whose effects are left out or integrated by `random`.
    kind : {"response", "mean", "link", "dispersion", "zero"}
        The mean of the response (for binomial models the probability, whatever the number of trials), zeros of a zero
        part and what truncation cuts off in it; the mean that the link makes, without them; the linear predictor; or
        the family's parameter that a part makes, on its natural scale, where it has a formula of its own.
        Of ordered categories {"response", "link", "probabilities", "cumulative", "exceedance", "class"}: the mean of
        their numbers 1, 2, ...; eta, which the thresholds are compared with; the probability of each, of no more than
        each but the last, of more than these; the most probable one.
    random : {"conditional", "zero", "marginal"}, list of str, or dict
        Random effects at their conditional modes; at zero (a level that is typical on the scale of the link); or those
        of groups drawn anew: the mean is integrated over them. A list of grouping factors has theirs at the conditional
        modes and the others at zero; a dict says one of the three words of each, and zero of the rest.
    new_levels : {"error", "zero", "marginal"}
        Levels of a grouping factor that the fit has not seen: refuse, set their random effects to zero, or integrate
        over them.
    offset : (n_rows,) array, number, column name, expression or None
        In place of the fit's `offset=` argument; needed for new rows when that was an array, since one that named
        columns is found in `newdata`. Offsets in the formula are always evaluated.
    se : bool
        Standard errors, by the delta method from the joint covariance of all parameters; of random effects at
        conditional modes their conditional variance is in it, and that the modes move with the parameters.
    interval : {None, "confidence", "prediction"}
        Of the mean, or of a new response of each row.
    level : float
        Coverage of the intervals.
    trials, weights : (n_rows,) array, number or column name
        Of new rows: what responses are out of (one without it), and precisions of Gaussian responses.
    variances : {"estimated", "known"}
        Whether the covariance parameters and the family's own count as uncertain.

    Returns
    -------
    Series, (n_rows,), or DataFrame
        With the index of the pandas frame; without one, the positions of the rows. With `se` or an interval the frame
        has the columns estimate, std_error and, with an interval, lower and upper. NaN where a value that the
        prediction needs is missing, and where the rows of the fit do not determine it: columns were dropped as linear
        combinations of others, and the new row breaks that rule, as in a combination of levels that never occurred.

    Warns
    -----
    NotEstimableWarning
        Predictions are NaN for the latter reason.

    Raises
    ------
    ValueError
        An argument outside its choices.
    DataError
        New levels (with `new_levels="error"`), a column that is missing, an offset that cannot be known or that is
        given without `newdata`, a mean over random effects that does not exist.
    """
    ordered, choices = fit.design.thresholds is not None, fit.design.choices is not None
    how: dict[str, Any] = {"se": se, "interval": interval, "level": level, "known": variances == "known"}
    if ordered or choices:
        _choose("kind", kind, KINDS_OF_CHOICES if choices else KINDS_OF_CATEGORIES)
        _choose("interval", interval, INTERVALS)
        _choose("variances", variances, VARIANCES)
        if trials is not None or weights is not None:
            raise DataError("categories have no trials, and predictions of them no weights; leave both out")
    if choices:
        return predict_choices(fit, newdata, kind, random, new_levels, offset, **how)
    if ordered:
        return predict_categories(fit, newdata, kind, random, new_levels, offset, **how)
    if kind == "mean":
        fit.need_one_family('kind="mean"', 'kind="response" is the mean of each row')
    if interval == "prediction":
        fit.need_one_family('interval="prediction"', "quantiles of simulate() have new responses of each row")
    _choose("kind", kind, ("response", "mean", "link", *(own.name for own in fit.components)))
    use = treatments(fit, random)
    _choose("new_levels", new_levels, NEW_LEVELS)
    _choose("interval", interval, INTERVALS)
    _choose("variances", variances, VARIANCES)
    of_response = interval == "prediction"
    if of_response and kind != "response":
        raise ValueError(f'interval="prediction" is of a response; it goes with kind="response", not {kind!r}')
    parameters = _needed(fit, kind, of_response)
    rows = rows_of(fit, newdata, use, new_levels, offset, parameters, trials, weights)
    name = {"link": "eta", "mean": "mu", "response": "mu"}.get(kind) or fit.component(kind).parameter
    if not se and interval is None:
        centre, variance = centres(fit, rows)
        if newdata is None and parameters[0] == "" and all(own == "conditional" for own in use):
            centre[:, 0] = fit.eta
        values = _values(fit, kind, centre, variance, rows)
        values[rows.unknown] = np.nan
        return pd.Series(values, index=rows.index, name=name)
    return _with_errors(fit, kind, rows, interval, reach_of(level), level, known=variances == "known")


def _needed(fit: Fit, kind: str, of_response: bool) -> tuple[str, ...]:
    """The predictors that make it: empty for the mean, and parameters of the family."""
    if kind not in ("response", "mean", "link"):
        return (fit.component(kind).parameter,)
    whole = of_response or (kind == "response" and not fit.family.mean_is_response)
    return ("", *(own.name for own in fit.family.parameters)) if whole else ("",)


def _values(fit: Fit, kind: str, centre: Array, variance: Array, rows: PredictionRows) -> Array:
    """Estimates alone."""
    if (np.sqrt(variance) > NO_SPREAD).any():
        return quantity(fit, kind, (centre, variance), rows.trials).value
    eta = np.ascontiguousarray(centre[:, 0])
    if kind == "link":
        return eta
    if kind == "mean" or (kind == "response" and fit.family.mean_is_response):
        return np.asarray(fit.family.mean(eta))
    if kind == "response":
        return np.asarray(fit.family.response_mean(eta, np.ascontiguousarray(centre[:, 1:]), rows.trials))
    parameter = next(own for own in fit.family.parameters if own.name == fit.component(kind).parameter)
    return parameter.naturals(eta)


def _with_errors(
    fit: Fit, kind: str, rows: PredictionRows, interval: str | None, reach: float, level: float, *, known: bool
) -> pd.DataFrame:
    own = moments(fit, rows, variances=not known)
    if kind in ("link", "mean") or (kind == "response" and fit.family.mean_is_response):
        means = _of_mean(fit, kind, own, rows)
    else:
        means = quantity(fit, kind, (own.centre, own.variance), rows.trials)
    error = delta(own, means)
    columns = {"estimate": means.value, "std_error": error}
    if interval == "confidence":
        link = None
        if follows(kind, fit.family.mean_is_response, own.variance):
            ones = np.zeros_like(own.centre)
            ones[:, 0] = 1.0
            link = own.centre[:, 0], delta(own, Means(own.centre[:, 0], ones, np.zeros_like(ones)))
        ends = limits(fit, kind, means.value, error, link, reach, own.centre[:, 1:])
    if interval == "prediction":
        ends = quantiles(fit, rows, own, (0.5 - 0.5 * level, 0.5 + 0.5 * level))
        if fit.family.support == "trials" and rows.trials is not None:
            columns = {name: values * rows.trials for name, values in columns.items()}
    if interval is not None:
        columns |= {"lower": ends[:, 0], "upper": ends[:, 1]}
    frame = pd.DataFrame(columns, index=rows.index, dtype=np.float64)
    frame[rows.unknown] = np.nan
    return frame


def _of_mean(fit: Fit, kind: str, own: Moments, rows: PredictionRows) -> Means:
    """What follows from the mean's predictor alone, beside others that do not matter."""
    found = quantity(fit, kind, (own.centre[:, :1], own.variance[:, :1]), rows.trials)
    by_centre, by_variance = np.zeros_like(own.centre), np.zeros_like(own.centre)
    by_centre[:, :1], by_variance[:, :1] = found.by_centre, found.by_variance
    return Means(found.value, by_centre, by_variance)


def _choose(name: str, value: str | None, choices: tuple[str | None, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not available; choose one of {', '.join(map(repr, choices))}")
