"""Over the population of groups: probabilities of ordered categories, and coefficients of those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import DataError
from .categories import outcomes, probability_limits, slopes_of
from .category_law import probabilities
from .cuts import cuts_of
from .links import derivatives
from .uncertain import moments, quadratic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit
    from .category_law import CategoryLaw
    from .cuts import Cuts
    from .rows import PredictionRows
    from .uncertain import Moments

    Array = NDArray[np.float64]


def population_categories(
    fit: Fit,
    kind: str,
    newdata: Any,
    rows: PredictionRows,
    codes: NDArray[np.intp],
    labels: pd.Index,
    reach: float,
) -> pd.DataFrame:
    """What `population_average` says of ordered categories.

    Parameters
    ----------
    fit : Fit
    kind : {"coefficients", "mean", "probabilities", "cumulative", "exceedance"}
    newdata : data frame or None
    rows : PredictionRows
        Of which the random effects are those of groups drawn anew.
    codes, labels : ndarray, (n,), and Index
        The group of each row whose averages are asked for.
    reach : float
        Standard errors from the estimate to an end of an interval.
    """
    cuts = cuts_of(fit, newdata, rows.n)
    if cuts.lost.any():
        row = rows.index[int(np.argmax(cuts.lost))]
        raise DataError(f"population_average: the thresholds of row {row} are not known, since a value is missing")
    if kind == "coefficients" and cuts.log_scale is not None:
        raise DataError(
            "population_average: with a scale the links of the averaged probabilities are no linear predictors, and "
            "have no coefficients; kind='probabilities' has the averages themselves"
        )
    own = moments(fit, rows)
    variance = own.variance[:, 0] if own.variance.any() else None
    law = probabilities(fit.family, own.centre[:, 0], cuts.thresholds, variance, 2, cuts.log_scale)
    if kind == "coefficients":
        return _coefficients(fit, rows, own, law, cuts, reach)
    names, sums = outcomes(fit, "response" if kind == "mean" else kind)
    share = 1.0 / np.bincount(codes, minlength=len(labels))[codes]

    def averaged(values: Array) -> Array:
        columns = [np.bincount(codes, share * column, minlength=len(labels)) for column in values.T]
        return np.column_stack(columns).astype(np.float64)

    gradient = [averaged(slopes_of(own, law, cuts, weights)) for weights in sums]
    error = np.column_stack([np.sqrt(quadratic(each, own.covariance)) for each in gradient])
    shares = averaged(law.by_eta[0])
    lower, upper = probability_limits(shares, sums, "response" if kind == "mean" else kind, error, reach)
    table = {"estimate": shares @ sums.T, "std_error": error, "lower": lower, "upper": upper}
    index = labels
    if kind != "mean":
        categories = pd.Index(np.tile(np.array(names, dtype=object), len(labels)), name=fit.design.response.name)
        index = categories if len(labels) == 1 else pd.MultiIndex.from_arrays([labels.repeat(len(names)), categories])
    return pd.DataFrame({name: values.ravel() for name, values in table.items()}, index=index)


def _coefficients(
    fit: Fit,
    rows: PredictionRows,
    own: Moments,
    law: CategoryLaw,
    cuts: Cuts,
    reach: float,
) -> pd.DataFrame:
    """Least squares of the links of the averaged probabilities of no more than each category but the last, on what
    moves thresholds and predictors.
    """
    component = fit.components[0]
    places = np.concatenate([np.arange(len(fit.beta)), component.first + np.arange(len(component.names))])
    _, sums = outcomes(fit, "cumulative")
    columns = np.zeros((len(sums), rows.n, len(fit.psi)))
    columns[:, :, : len(fit.beta)] = -own.by_psi[:, 0, : len(fit.beta)]
    for place, moved in cuts.directions:
        columns[:, :, place] += moved.T
    below = law.by_eta[0] @ sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        linked = np.asarray(fit.family.link_of_mean(below.T.ravel()))
    x = columns[:, :, places].reshape(len(linked), -1)
    if not np.isfinite(linked).all():
        raise DataError(
            "population_average: the averaged probability of some categories is zero or one, where the "
            f"{fit.family.link} link is infinite; average the probabilities, or give other rows"
        )
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise DataError(
            "population_average: the rows do not determine the marginal coefficients, since their columns are linear "
            "combinations of each other; give more rows, or average the probabilities"
        )
    offset = columns.reshape(len(linked), -1)[:, : len(fit.beta)] @ fit.beta + np.tile(own.centre[:, 0], len(sums))
    slope = np.vstack([slopes_of(own, law, cuts, weights) for weights in sums])
    slope /= derivatives(fit.family.link, linked, 1)[1][:, None]
    inverse = np.linalg.solve(x.T @ x, x.T)
    estimate, error = inverse @ (linked + offset), np.sqrt(quadratic(inverse @ slope, own.covariance))
    index = pd.Index([*fit.fixed_names, *(f"{component.name}: {name}" for name in component.names)], dtype=object)
    ends = {"lower": estimate - reach * error, "upper": estimate + reach * error}
    return pd.DataFrame({"estimate": estimate, "std_error": error, **ends}, index=index)
