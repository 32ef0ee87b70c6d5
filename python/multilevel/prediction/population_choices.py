"""Over the population of groups: probabilities of choices, and coefficients of those of categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import DataError
from .categories import probability_limits
from .choice_sets import choice_sets, owner_of
from .choices import sets_of
from .uncertain import quadratic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit
    from .rows import PredictionRows

    Array = NDArray[np.float64]

KINDS = ("coefficients", "probabilities")


def population_choices(
    fit: Fit, kind: str, newdata: Any, rows: PredictionRows, codes: NDArray[np.intp], labels: pd.Index, reach: float
) -> pd.DataFrame:
    """What `population_average` says of choices; arguments as of `population_categories`, `kind` one of `KINDS`.

    Coefficients are those of least squares of log(P(k) / P(base)), category by category.
    """
    choices = fit.design.choices
    assert choices is not None
    if kind == "coefficients" and not choices.by_category:
        raise DataError(
            "population_average: averaged probabilities of alternatives follow no linear predictors; "
            "kind='probabilities' has the averages themselves, of alternatives told apart by by="
        )
    sets = None
    if not choices.by_category:
        sets = choices.sets if newdata is None else sets_of(choices.name, newdata)
    size = len(choices.categories) if choices.by_category else 1
    value, flat = np.empty((rows.n, size)), np.empty((rows.n * size, len(fit.psi)))
    for own in choice_sets(fit, rows, sets, errors=True):
        law = own.law(order=1)
        value.flat[own.places] = law.value
        flat[own.places] = own.gradients(law)
    covariance = own.psi_covariance
    gradient = flat.reshape(rows.n, size, -1)
    if kind == "coefficients":
        return _coefficients(fit, rows, value, gradient, covariance, reach)
    share = 1.0 / np.bincount(codes, minlength=len(labels))[codes]
    mean, moved = np.zeros((len(labels), size)), np.zeros((len(labels), size, len(fit.psi)))
    np.add.at(mean, codes, share[:, None] * value)
    np.add.at(moved, codes, share[:, None, None] * gradient)
    error = np.sqrt(quadratic(moved.reshape(len(labels) * size, -1), covariance))
    shares = np.column_stack([mean.ravel(), 1.0 - mean.ravel()])
    lower, upper = probability_limits(shares, np.array([[1.0, 0.0]]), "probabilities", error[:, None], reach)
    index = labels
    if choices.by_category:
        names = np.tile(np.array(choices.categories, dtype=object), len(labels))
        categories = pd.Index(names, name=fit.design.response.name)
        index = categories if len(labels) == 1 else pd.MultiIndex.from_arrays([labels.repeat(size), categories])
    table = {"estimate": mean.ravel(), "std_error": error, "lower": lower[:, 0], "upper": upper[:, 0]}
    return pd.DataFrame(table, index=index)


def _coefficients(
    fit: Fit, rows: PredictionRows, value: Array, gradient: Array, covariance: Array, reach: float
) -> pd.DataFrame:
    choices = fit.design.choices
    assert choices is not None
    if not (value > 0.0).all():
        raise DataError(
            "population_average: the averaged probability of some categories is zero, whose logarithm is infinite; "
            "average the probabilities, or give other rows"
        )
    columns = {at: np.ones(rows.n) if own is None else own for at, own in rows.predictors[0].columns}
    estimate, error = np.zeros(len(fit.beta)), np.zeros(len(fit.beta))
    for category in choices.others:
        places = [at for at in columns if owner_of(fit, at) == category]
        x = np.column_stack([np.asarray(columns[at], dtype=np.float64) for at in places])
        if np.linalg.matrix_rank(x) < len(places):
            raise DataError(
                "population_average: the rows do not determine the marginal coefficients, since their columns are "
                "linear combinations of each other; give more rows, or average the probabilities"
            )
        inverse, both = np.linalg.solve(x.T @ x, x.T), [category, choices.base]
        ratio = np.log(value[:, category]) - np.log(value[:, choices.base])
        moved = gradient[:, both] / value[:, both, None]
        estimate[places] = inverse @ ratio
        error[places] = np.sqrt(quadratic(inverse @ (moved[:, 0] - moved[:, 1]), covariance))
    ends = {"lower": estimate - reach * error, "upper": estimate + reach * error}
    index = pd.Index(fit.fixed_names, dtype=object)
    return pd.DataFrame({"estimate": estimate, "std_error": error, **ends}, index=index)
