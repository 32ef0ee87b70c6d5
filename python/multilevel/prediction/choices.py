"""What is predicted of choices: probabilities of categories without an order, or of the alternatives of a set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..arguments import check_choice
from ..columns.frame import Frame
from ..errors import DataError
from .categories import probability_limits
from .choice_sets import choice_sets
from .intervals import reach_of
from .rows import NEW_LEVELS, rows_of, treatments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from ..fitting.record import Fit
    from .rows import PredictionRows

    Array = NDArray[np.float64]

KINDS_OF_CHOICES = ("response", "probabilities", "link", "class")


def predict_choices(
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
    """Predictions of one of `KINDS_OF_CHOICES`; arguments as of `predict`, `known` where variances count as known.

    Returns
    -------
    DataFrame or Series
        Of categories without an order a column for each: probabilities, or linear predictors, zero for the base; and
        the most probable category. Of alternatives a value for each: the probability that it is the one of its set, its
        linear predictor, and whether it is the most probable one. With errors a row for each category of each row, or
        for each alternative.

    Raises
    ------
    DataError
        What is asked for has no error or no interval; new data do not have the column that tells the sets.
    """
    choices = fit.design.choices
    assert choices is not None
    check_choice("new_levels", new_levels, NEW_LEVELS)
    if interval == "prediction":
        raise DataError(
            'interval="prediction": what is chosen from has no order, and no interval holds some of it; '
            "predict(kind='probabilities') has the probability of each"
        )
    if kind == "class" and (se or interval is not None):
        raise DataError(
            "kind='class' is a choice, which has no standard error; kind='probabilities' has the probabilities with "
            "their errors"
        )
    use, reach = treatments(fit, random), reach_of(level)
    rows = rows_of(fit, newdata, use, new_levels, offset, ("",), None, None)
    errors = se or interval is not None
    sets = None if choices.by_category else _sets(fit, newdata, rows, kind)
    size = len(choices.categories) if choices.by_category else 1
    value, error = np.empty((rows.n, size)), np.empty((rows.n, size))
    for own in choice_sets(fit, rows, sets, errors=errors, variances=not known):
        lost = rows.unknown if sets is None else np.asarray(rows.unknown[own.places].any(axis=1), dtype=np.bool_)
        if kind == "link":
            found, wrong = own.centre, own.predictor_errors() if errors else None
        else:
            law = own.law(order=int(errors))
            found, wrong = law.value, own.errors(law) if errors else None
        value.flat[own.places] = np.where(lost[:, None], np.nan, found)
        if wrong is not None:
            error.flat[own.places] = np.where(lost[:, None], np.nan, wrong)
    labels = np.array(choices.categories, dtype=object)
    if errors:
        frame = _with_errors(kind, value, error, reach if interval is not None else None)
        if sets is not None:
            return frame.set_index(rows.index)
        keys = [rows.index.repeat(size), pd.Index(np.tile(labels, rows.n))]
        return frame.set_index(pd.MultiIndex.from_arrays(keys, names=[rows.index.name, fit.design.response.name]))
    if sets is not None:
        return _of_alternatives(kind, value[:, 0], sets, rows.index)
    if kind != "class":
        return pd.DataFrame(value, index=rows.index, columns=pd.Index(labels, name=fit.design.response.name))
    chosen = np.full(rows.n, None, dtype=object)
    there = ~rows.unknown
    chosen[there] = labels[np.argmax(value[there], axis=1)]
    return pd.Series(chosen, index=rows.index, name="class")


def _with_errors(kind: str, value: Array, error: Array, reach: float | None) -> pd.DataFrame:
    """Estimates with errors and, with `reach`, ends of intervals, one row after the other."""
    columns = {"estimate": value, "std_error": error}
    if reach is not None and kind == "link":
        columns |= {"lower": value - reach * error, "upper": value + reach * error}
    elif reach is not None:
        shares = np.column_stack([value.ravel(), 1.0 - value.ravel()])
        ends = probability_limits(shares, np.array([[1.0, 0.0]]), "probabilities", error.reshape(-1, 1), reach)
        columns |= dict(zip(("lower", "upper"), ends, strict=True))
    return pd.DataFrame({name: np.ravel(values) for name, values in columns.items()})


def _of_alternatives(kind: str, value: Array, sets: NDArray[np.int32], index: pd.Index) -> pd.Series:
    if kind == "link":
        return pd.Series(value, index=index, name="eta")
    if kind != "class":
        return pd.Series(value, index=index, name="probability")
    best = np.full(int(sets.max(initial=-1)) + 1, -np.inf)
    np.fmax.at(best, sets, value)
    chosen = pd.Series(value == best[sets], index=index, name="class", dtype=object)
    chosen[np.isnan(value)] = None
    return chosen


def _sets(fit: Fit, newdata: Any, rows: PredictionRows, kind: str) -> NDArray[np.int32]:
    """The set of each row; of linear predictors, which need none, the row itself."""
    choices = fit.design.choices
    assert choices is not None
    if newdata is None:
        assert choices.sets is not None
        return choices.sets
    return np.arange(rows.n, dtype=np.int32) if kind == "link" else sets_of(choices.name, newdata)


def sets_of(name: str, newdata: Any) -> NDArray[np.int32]:
    """The set of each row of new data, numbered from 0.

    Raises
    ------
    DataError
        The column that tells the sets is not there, or has missing values.
    """
    frame = Frame(newdata)
    if name not in frame:
        raise DataError(
            f"newdata has no column '{name}', which tells the sets of alternatives; kind='link' does without"
        )
    column = frame[name]
    if column.missing is not None:
        raise DataError(f"'{name}', which tells the sets of alternatives, has missing values in newdata")
    values = column.codes if column.codes is not None else column.values
    assert values is not None
    return np.unique(values, return_inverse=True)[1].ravel().astype(np.int32)
