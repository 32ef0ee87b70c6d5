"""Over the population of groups: coefficients of the marginal mean, and averages of it over rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..columns.frame import Frame
from ..errors import DataError
from .categories import TABLES
from .intervals import limits, reach_of
from .normal_mean import slope
from .population_categories import population_categories
from .population_choices import KINDS as KINDS_OF_CHOICES
from .population_choices import population_choices
from .rows import rows_of
from .uncertain import gradients, moments, quadratic, quantity, steps_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..fitting.record import Fit
    from .rows import PredictionRows

    Array = NDArray[np.float64]

KINDS = ("coefficients", "mean")


def population_average(
    fit: Fit,
    kind: str = "coefficients",
    newdata: Any = None,
    by: ArrayLike | str | None = None,
    offset: ArrayLike | str | None = None,
    trials: ArrayLike | str | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """What holds on average over groups, whose random effects are integrated out.

    Parameters
    ----------
    fit : Fit
    kind : {"coefficients", "mean"} or, of categories, {"probabilities", "cumulative", "exceedance"}
        Marginal coefficients: those of a least-squares regression of link(E mu) on the columns of the fixed part
        (Hedeker, du Toit, Demirtas and Gibbons 2018). Or the average over rows of the marginal mean of the response.
        Of ordered categories coefficients and what makes the thresholds, by regression of the links of all cumulative
        probabilities; the mean of their numbers; and "probabilities", "cumulative" and "exceedance" as in `predict`,
        with a row for each category. Of categories without an order coefficients of log(P(k) / P(base)), and
        probabilities; of alternatives the latter alone, averaged over rows.
    newdata : data frame or None
        Rows to average over; None means the rows used in the fit.
    by : column name or (n_rows,) array, optional
        Averages for the rows of each of its values; a name is one of `newdata`.
    offset, trials : as in `predict`
    level : float
        Of the intervals: of coefficients plain, of means on a scale without ends.

    Returns
    -------
    DataFrame
        estimate, std_error (delta method, with the joint covariance of all parameters, those of the random effects
        among them), lower, upper. One row per coefficient, or per value of `by`.

    Raises
    ------
    ValueError
        Words that do not exist, `by` with coefficients.
    DataError
        A mean over random effects that does not exist, a missing value, columns without independent rows.
    """
    ordered, choices = fit.design.thresholds is not None, fit.design.choices is not None
    kinds = KINDS_OF_CHOICES if choices else (*KINDS, *TABLES) if ordered else KINDS
    if kind not in kinds:
        raise ValueError(f"kind={kind!r} is not available; choose one of {', '.join(map(repr, kinds))}")
    if kind == "coefficients" and by is not None:
        instead = '"probabilities"' if choices else '"mean", or one of probabilities' if ordered else '"mean"'
        raise ValueError(f"by= goes with kind={instead}")
    fit.need_one_family("population_average", 'predict(random="marginal") has the mean of each row')
    reach = reach_of(level)
    whole = kind == "mean" and not ordered and not fit.family.mean_is_response
    parameters = ("", *(own.name for own in fit.family.parameters)) if whole else ("",)
    use = ("marginal",) * len(fit.design.grouping_factors)
    rows = rows_of(fit, newdata, use, "error", offset, parameters, trials)
    if rows.unknown.any():
        raise DataError(
            f"population_average: the mean of row {rows.index[int(np.argmax(rows.unknown))]} is not known, since a "
            "value is missing or the data of the fit do not determine it; leave such rows out"
        )
    if not rows.n:
        raise DataError("population_average: there are no rows")
    if ordered or choices:
        if trials is not None:
            raise DataError("categories have no trials; leave trials= out")
        average = population_choices if choices else population_categories
        return average(fit, kind, newdata, rows, *_groups(by, newdata, rows), reach)
    own = moments(fit, rows)
    means = quantity(fit, "response" if kind == "mean" else "mean", (own.centre, own.variance), rows.trials)
    gradient = gradients(own, means)
    if kind == "coefficients":
        estimate, error = _coefficients(fit, rows, means.value, gradient, own.covariance)
        ends = np.column_stack([estimate - reach * error, estimate + reach * error])
        index = pd.Index(fit.fixed_names, dtype=object)
    else:
        codes, index = _groups(by, newdata, rows)
        share = 1.0 / np.bincount(codes, minlength=len(index))[codes]
        estimate = np.bincount(codes, share * means.value).astype(np.float64)
        columns = [np.bincount(codes, share * own, minlength=len(index)) for own in gradient.T]
        error = np.sqrt(quadratic(np.column_stack(columns), own.covariance))
        ends = limits(fit, "response", estimate, error, None, reach)
    columns_shown = {"estimate": estimate, "std_error": error, "lower": ends[:, 0], "upper": ends[:, 1]}
    return pd.DataFrame(columns_shown, index=index)


def _coefficients(
    fit: Fit, rows: PredictionRows, mean: Array, gradient: Array, covariance: Array
) -> tuple[Array, Array]:
    """Least squares of the link of the marginal mean, less the offset, and their errors."""
    family, predictor = fit.family, rows.predictors[0]
    x = np.zeros((rows.n, len(fit.beta)))
    for place, values in predictor.columns:
        x[:, place] = 1.0 if values is None else values
    offset = predictor.fixed - x @ fit.beta
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise DataError(
            "population_average: the rows do not determine the marginal coefficients, since their columns are linear "
            "combinations of each other; give more rows, or average the mean"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        linked = np.asarray(family.link_of_mean(mean))
    if not np.isfinite(linked).all():
        raise DataError(
            f"population_average: the marginal mean of some rows is an end of its range, where the {family.link} link "
            "is infinite; average the mean, or give other rows"
        )
    # dlink = dmean / (slope of the mean at the linear predictor that alone would make it)
    by_mean = 1.0 / slope(lambda at: np.asarray(family.mean(at)), linked, steps_of(fit, linked))
    inverse = np.linalg.solve(x.T @ x, x.T)
    total = inverse @ (by_mean[:, None] * gradient)
    return inverse @ (linked - offset), np.sqrt(quadratic(total, covariance))


def _groups(by: ArrayLike | str | None, newdata: Any, rows: PredictionRows) -> tuple[NDArray[np.intp], pd.Index]:
    """Which group each row belongs to, and the groups' labels."""
    if by is None:
        return np.zeros(rows.n, dtype=np.intp), pd.Index(["all"])
    name = by if isinstance(by, str) else None
    if isinstance(by, str):
        if newdata is None:
            raise DataError(f"by={by!r} is a column of newdata; give an array of the rows used in the fit, or newdata")
        frame = Frame(newdata)
        if by not in frame:
            raise DataError(f"by={by!r}: newdata has no such column{frame.nearest(by)}")
        codes, labels = frame[by].categories("by=", whole=False)
    else:
        if len(np.asarray(by)) != rows.n:
            raise DataError(f"by has {len(np.asarray(by))} values for {rows.n} rows")
        codes, found = pd.factorize(np.asarray(by), sort=True)
        labels = pd.Index(found)
    if (codes < 0).any():
        raise DataError("by has missing values; leave these rows out")
    used, codes = np.unique(codes, return_inverse=True)
    return codes, pd.Index(labels[used], name=name)
