"""What is predicted of ordered categories: their probabilities, and what follows from these, with their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from ..arguments import check_choice
from ..errors import DataError
from .category_law import CategoryLaw, probabilities
from .cuts import Cuts, cuts_of
from .intervals import limits, reach_of
from .normal_mean import NO_SPREAD, Means
from .rows import NEW_LEVELS, rows_of, treatments
from .uncertain import Moments, centres, delta, gradients, moments, quadratic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from ..fitting.record import Fit
    from .rows import PredictionRows

    Array = NDArray[np.float64]

NODES = np.polynomial.hermite_e.hermegauss(9)
NODES = (NODES[0], NODES[1] / NODES[1].sum())  # of a normal variable
TABLES = ("probabilities", "cumulative", "exceedance")  # a column, or a row of a table with errors, for each outcome
KINDS_OF_CATEGORIES = ("response", "link", "class", *TABLES)


def outcomes(fit: Fit, kind: str) -> tuple[list[str], Array]:
    """What of the categories is asked for: names, (m,), and sums of probabilities that make it, (m, C).

    Parameters
    ----------
    fit : Fit
    kind : {"probabilities", "cumulative", "exceedance", "response"}
        Each category; no more than each but the last; more than these; the mean of the categories' numbers.
    """
    assert fit.design.thresholds is not None
    names = list(fit.design.thresholds.categories)
    if kind == "response":
        return [""], fit.scores[None, :]
    whole = np.eye(len(names))
    if kind == "probabilities":
        return names, whole
    below = np.tril(np.ones_like(whole))[:-1]
    return names[:-1], below if kind == "cumulative" else 1.0 - below


def predict_categories(
    fit: Fit,
    newdata: Any,
    kind: str,
    random: str | Sequence[str] | Mapping[str, str],
    new_levels: str,
    offset: ArrayLike | str | None,
    *,
    se: bool,
    interval: str | None,
    level: float,
    known: bool,
) -> pd.Series | pd.DataFrame:
    """Predictions of one of `KINDS_OF_CATEGORIES`; arguments as of `predict`, `known` where variances count as known.

    Raises
    ------
    DataError
        What is asked for has no standard error, or is no response that an interval could hold.
    """
    assert fit.design.thresholds is not None
    check_choice("new_levels", new_levels, NEW_LEVELS)
    _check_asked(kind, se, interval)
    use, reach = treatments(fit, random), reach_of(level)
    rows = rows_of(fit, newdata, use, new_levels, offset, ("",), None, None)
    if interval == "prediction" and rows.weights is not None and np.any(rows.weights != 1.0):
        raise DataError(
            'interval="prediction": a row with a prior weight other than one stands for several responses, which have '
            "no distribution of one; give the rows as newdata for responses of unit weight"
        )
    own = moments(fit, rows, variances=not known) if se or interval is not None else None
    centre, variance = centres(fit, rows) if own is None else (own.centre, own.variance)
    eta = np.ascontiguousarray(centre[:, 0])
    if newdata is None and all(word == "conditional" for word in use):
        eta = fit.eta.copy()
    cuts = cuts_of(fit, newdata, rows.n)
    lost = cuts.lost | rows.unknown
    if kind == "link":
        return _link(fit, rows, eta, own, reach if interval is not None else None, lost)
    spread = variance[:, 0] if (np.sqrt(variance[:, 0]) > NO_SPREAD).any() else None
    law = probabilities(fit.family, eta, cuts.thresholds, spread, 0 if own is None else 2, cuts.log_scale)
    expected = None
    if interval == "prediction":
        assert own is not None
        expected = _categories_expected(fit, eta, cuts, own, level)
    if kind == "class":
        return _classes(fit, rows, law, expected, lost)
    if own is None:
        return _values(fit, rows, kind, law, lost)
    names, sums = outcomes(fit, kind)
    error = np.column_stack([_error(own, law, cuts, weights) for weights in sums])
    columns: dict[str, NDArray[Any]] = {"estimate": law.by_eta[0] @ sums.T, "std_error": error}
    if expected is not None:
        columns |= {"lower": 1.0 + expected[0][:, None], "upper": 1.0 + expected[1][:, None]}
    elif interval is not None:
        lower, upper = probability_limits(law.by_eta[0], sums, kind, error, reach)
        columns |= {"lower": lower, "upper": upper}
    frame = {name: np.where(lost[:, None], np.nan, values).ravel() for name, values in columns.items()}
    return pd.DataFrame(frame, index=rows.index if kind == "response" else _of_each(fit, rows, names))


def _check_asked(kind: str, se: bool, interval: str | None) -> None:
    """Refuses errors of categories, and intervals of no response."""
    if kind == "class" and (se or interval == "confidence"):
        raise DataError(
            'kind="class" is a category, which has no standard error; interval="prediction" has the categories to be '
            'expected, and kind="probabilities" the probabilities with their errors'
        )
    if interval == "prediction" and kind not in ("class", "response"):
        raise DataError(
            'interval="prediction" is of a response; it goes with kind="class" (categories) or "response" (their '
            f"numbers), not {kind!r}"
        )


def _classes(
    fit: Fit,
    rows: PredictionRows,
    law: CategoryLaw,
    expected: tuple[NDArray[np.intp], NDArray[np.intp]] | None,
    lost: NDArray[np.bool_],
) -> pd.Series | pd.DataFrame:
    """The most probable category of each row, and the least and last of those to be expected."""
    likeliest = _labels(fit, np.argmax(law.by_eta[0], axis=1), lost)
    if expected is None:
        return pd.Series(likeliest, index=rows.index, name="class")
    lower, upper = (_labels(fit, places, lost) for places in expected)
    return pd.DataFrame({"estimate": likeliest, "lower": lower, "upper": upper}, index=rows.index)


def _values(
    fit: Fit, rows: PredictionRows, kind: str, law: CategoryLaw, lost: NDArray[np.bool_]
) -> pd.Series | pd.DataFrame:
    """Without errors: the mean of a row, or a column for each outcome."""
    names, sums = outcomes(fit, kind)
    value = law.by_eta[0] @ sums.T
    value[lost] = np.nan
    if kind == "response":
        return pd.Series(value[:, 0], index=rows.index, name="mu")
    columns = pd.Index(np.array(names, dtype=object), name=fit.design.response.name)
    return pd.DataFrame(value, index=rows.index, columns=columns)


def _of_each(fit: Fit, rows: PredictionRows, names: list[str]) -> pd.MultiIndex:
    """Each row's label with each outcome's name."""
    labels = pd.Index(np.tile(np.array(names, dtype=object), rows.n))
    keys = [rows.index.repeat(len(names)), labels]
    return pd.MultiIndex.from_arrays(keys, names=[rows.index.name, fit.design.response.name])


def _link(
    fit: Fit,
    rows: PredictionRows,
    eta: Array,
    own: Moments | None,
    reach: float | None,
    lost: NDArray[np.bool_],
) -> pd.Series | pd.DataFrame:
    eta = np.where(lost, np.nan, eta)
    if own is None:
        return pd.Series(eta, index=rows.index, name="eta")
    error = delta(own, Means(eta, np.ones_like(own.centre), np.zeros_like(own.centre)))
    frame = pd.DataFrame({"estimate": eta, "std_error": np.where(lost, np.nan, error)}, index=rows.index)
    if reach is not None:
        ends = limits(fit, "link", eta, frame["std_error"].to_numpy(), None, reach)
        frame["lower"], frame["upper"] = ends[:, 0], ends[:, 1]
    return frame


def _labels(fit: Fit, places: NDArray[Any], lost: NDArray[np.bool_]) -> NDArray[Any]:
    """Categories at these places, from 0; None of rows that lack something."""
    assert fit.design.thresholds is not None
    labels = np.array(fit.design.thresholds.categories, dtype=object)[places]
    labels[lost] = None
    return labels


def slopes_of(own: Moments, law: CategoryLaw, cuts: Cuts, weights: Array) -> Array:
    """Derivatives by psi of the sum of probabilities with these weights, (n, P)."""
    by_eta = (law.by_eta[1] @ weights)[:, None]
    gradient = gradients(own, Means(by_eta, by_eta, 0.5 * (law.by_eta[2] @ weights)[:, None]))
    by_thresholds = law.along_thresholds(weights)
    for place, moved in cuts.directions:
        gradient[:, place] += (by_thresholds * moved).sum(axis=1)
    for place, column in cuts.scale_directions:
        assert law.by_log_scale is not None
        gradient[:, place] += (law.by_log_scale @ weights) * column
    return gradient


def _error(own: Moments, law: CategoryLaw, cuts: Cuts, weights: Array) -> Array:
    """Standard errors of one sum of probabilities by the delta method, (n,)."""
    total = quadratic(slopes_of(own, law, cuts, weights), own.covariance)
    if own.conditional is not None:
        total += (law.by_eta[1] @ weights) ** 2 * own.conditional[:, 0, 0]
    return np.sqrt(np.where(total >= 0, total, np.nan))


def probability_limits(shares: Array, sums: Array, kind: str, error: Array, reach: float) -> tuple[Array, Array]:
    """Ends of intervals, (n, m) each, made on the logit scale of a probability, or of the mean between its ends.

    A probability that is zero or one to the last digit has no room for one.

    Parameters
    ----------
    shares : ndarray, (n, C)
        Probabilities of the categories.
    sums : ndarray, (m, C)
        As `outcomes` has them, of this `kind`.
    error : ndarray, (n, m)
    reach : float
        Standard errors from the estimate to an end.
    """
    value = shares @ sums.T
    first, last = (1.0, float(sums.shape[1])) if kind == "response" else (0.0, 1.0)
    left = shares @ (last - sums).T / (last - first)  # with the digits that 1 - value would lose
    share = (value - first) / (last - first)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = np.where(share < 0.5, logit(share), -logit(left))
        size = reach * error / (last - first) / (share * left)
        lower, upper = (first + (last - first) * expit(at + step) for step in (-size, size))
    sure = (share <= 0.0) | (left <= 0.0)
    return np.where(sure, value, lower), np.where(sure, value, upper)


def _categories_expected(
    fit: Fit, eta: Array, cuts: Cuts, own: Moments, level: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The least categories whose predictive probabilities of no more reach the two tails, places from 0, (n,) each.

    The linear predictor is normal beside the thresholds' mean, with all that is uncertain or drawn anew in it; and so
    is the logarithm of a scale, by itself.
    """
    gradient = own.by_psi[:, 0].copy()
    for place, moved in cuts.directions:
        gradient[:, place] -= moved.mean(axis=1)
    total = own.variance[:, 0] + quadratic(gradient, own.covariance)
    if own.conditional is not None:
        total = total + own.conditional[:, 0, 0]
    if not np.isfinite(total).all():
        raise DataError(
            'interval="prediction": the parameters have no covariance, so that what is uncertain is not known; '
            "predict(kind='probabilities') needs none"
        )
    variance, law = np.maximum(total, 0.0), np.zeros((len(eta), cuts.thresholds.shape[1] + 1))
    log_scale, error = cuts.log_scale, np.sqrt(cuts.scale_variance(own.covariance))
    for node, weight in zip(*NODES, strict=True) if log_scale is not None else ((0.0, 1.0),):
        moved_scale = None if log_scale is None else log_scale + node * error
        law += weight * probabilities(fit.family, eta, cuts.thresholds, variance, 0, moved_scale).by_eta[0]
    tail = 0.5 - 0.5 * level
    below = np.cumsum(law, axis=1)
    above = np.cumsum(law[:, :0:-1], axis=1)[:, ::-1]  # of more than each category but the last
    lower = (below[:, :-1] < tail).sum(axis=1)
    upper = (above > tail).sum(axis=1)
    return lower, np.maximum(lower, upper)
