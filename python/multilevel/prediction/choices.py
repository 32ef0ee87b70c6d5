"""What is predicted of choices: probabilities of categories without an order, or of the alternatives of a set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..columns.frame import Frame
from ..errors import DataError
from .rows import NEW_LEVELS, rows_of, treatments
from .uncertain import centres

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
    plain: bool,
) -> pd.Series | pd.DataFrame:
    """Predictions of one of `KINDS_OF_CHOICES`; arguments as of `predict`, `plain` where it asks for no more.

    Returns
    -------
    DataFrame or Series
        Of categories without an order a column for each: probabilities, or linear predictors, zero for the base; and
        the most probable category. Of alternatives a value for each: the probability that it is the one of its set, its
        linear predictor, and whether it is the most probable one.

    Raises
    ------
    DataError
        Errors, intervals, trials, weights or an average over random effects are asked for; new data do not have the
        column that tells the sets.
    """
    choices = fit.design.choices
    assert choices is not None
    if not plain:
        raise DataError("predictions of choices have no standard errors, intervals, trials or weights")
    if new_levels not in NEW_LEVELS:
        raise ValueError(
            f"new_levels={new_levels!r} is not available; choose one of {', '.join(map(repr, NEW_LEVELS))}"
        )
    use = treatments(fit, random)
    if "marginal" in (*use, new_levels):
        raise DataError(
            "predictions of choices are not averaged over random effects; take random='conditional' or 'zero'"
        )
    rows = rows_of(fit, newdata, use, new_levels, offset, ("",), None, None)
    if not choices.by_category:
        return _of_alternatives(fit, newdata, kind, rows)
    eta = category_predictors(fit, rows)
    eta[rows.unknown] = np.nan
    labels = np.array(choices.categories, dtype=object)
    columns = pd.Index(labels, name=fit.design.response.name)
    if kind == "link":
        return pd.DataFrame(eta, index=rows.index, columns=columns)
    probabilities = choices.probabilities(eta)
    if kind != "class":
        return pd.DataFrame(probabilities, index=rows.index, columns=columns)
    chosen = np.full(rows.n, None, dtype=object)
    known = ~rows.unknown
    chosen[known] = labels[np.argmax(probabilities[known], axis=1)]
    return pd.Series(chosen, index=rows.index, name="class")


def category_predictors(fit: Fit, rows: PredictionRows) -> Array:
    """Linear predictors of all categories, zero for the base, (n, K)."""
    choices, design = fit.design.choices, fit.design
    assert choices is not None
    place = {column.name: k for k, column in enumerate(design.fixed)}
    eta = np.zeros((rows.n, len(choices.categories)))
    for at, values in rows.predictors[0].columns:
        owner = choices.owner(place[fit.fixed_names[at]], len(design.fixed))
        eta[:, owner] += fit.beta[at] if values is None else fit.beta[at] * np.asarray(values, dtype=np.float64)
    for own in rows.terms:
        there = own.known >= 0
        factor = design.random_terms[own.term].grouping_factor
        effects = fit.modes[factor][:, fit.term_columns[own.term]]
        for k in range(own.columns.shape[1]):
            owner = choices.owner(k, own.columns.shape[1])
            eta[there, owner] += own.columns[there, k] * effects[own.known[there], k]
    return eta


def _of_alternatives(fit: Fit, newdata: Any, kind: str, rows: PredictionRows) -> pd.Series:
    choices = fit.design.choices
    assert choices is not None
    eta = np.ascontiguousarray(centres(fit, rows)[0][:, 0])
    eta[rows.unknown] = np.nan
    if kind == "link":
        return pd.Series(eta, index=rows.index, name="eta")
    sets = choices.sets if newdata is None else _sets_of(choices.name, newdata)
    assert sets is not None
    probability, best = alternative_probabilities(eta, sets)
    if kind != "class":
        return pd.Series(probability, index=rows.index, name="probability")
    chosen = pd.Series(probability == best, index=rows.index, name="class", dtype=object)
    chosen[np.isnan(probability)] = None
    return chosen


def alternative_probabilities(eta: Array, sets: NDArray[np.int32]) -> tuple[Array, Array]:
    """Probabilities of the alternatives of each set, and the largest of their set, (n,) each; NaN all over a set that
    has one.
    """
    largest = np.full(int(sets.max()) + 1, -np.inf)
    np.maximum.at(largest, sets, eta)
    share = np.exp(eta - largest[sets])
    total = np.bincount(sets, weights=share)
    return share / total[sets], 1.0 / total[sets]


def _sets_of(name: str, newdata: Any) -> NDArray[np.int32]:
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
