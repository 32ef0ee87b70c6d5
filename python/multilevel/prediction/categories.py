"""What is predicted of ordered categories: their probabilities, and what follows from these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import DataError
from .rows import NEW_LEVELS, rows_of, treatments
from .uncertain import centres

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from ..fitting.record import Fit

KINDS_OF_CATEGORIES = ("response", "link", "probabilities", "class")


def predict_categories(
    fit: Fit,
    newdata: Any,
    kind: str,
    random: str | Sequence[str] | Mapping[str, str],
    new_levels: str,
    offset: ArrayLike | str | None,
    *,
    plain: bool,
) -> pd.Series | pd.DataFrame:
    """Predictions of one of `KINDS_OF_CATEGORIES`; arguments as of `predict`, `plain` where it asks for no more.

    Raises
    ------
    DataError
        Errors, intervals, trials, weights or an average over random effects are asked for.
    """
    assert fit.design.thresholds is not None
    if not plain:
        raise DataError("predictions of ordered categories have no standard errors, intervals, trials or weights")
    if new_levels not in NEW_LEVELS:
        raise ValueError(
            f"new_levels={new_levels!r} is not available; choose one of {', '.join(map(repr, NEW_LEVELS))}"
        )
    use = treatments(fit, random)
    if "marginal" in (*use, new_levels):
        raise DataError(
            "predictions of ordered categories are not averaged over random effects; take random='conditional' or "
            "'zero'"
        )
    rows = rows_of(fit, newdata, use, new_levels, offset, ("",), None, None)
    if newdata is None and all(own == "conditional" for own in use):
        eta = fit.eta.copy()
    else:
        eta = np.ascontiguousarray(centres(fit, rows)[0][:, 0])
    eta[rows.unknown] = np.nan
    if kind == "link":
        return pd.Series(eta, index=rows.index, name="eta")
    parts = fit.design.parts
    if newdata is not None:
        names = tuple(part.name for part in parts)
        new = fit.design.code_new(newdata, need_random=False, need_parts=names, need_mean=False)
        parts, eta = new.parts, np.where(new.missing, np.nan, eta)
    probabilities = fit.category_probabilities_at(eta, {part.parameter: part for part in parts})
    if kind == "response":
        return pd.Series(probabilities @ fit.scores, index=rows.index, name="mu")
    categories = np.array(fit.design.thresholds.categories, dtype=object)
    if kind == "probabilities":
        columns = pd.Index(categories, name=fit.design.response.name)
        return pd.DataFrame(probabilities, index=rows.index, columns=columns)
    known = np.isfinite(probabilities).all(axis=1)
    chosen = np.full(rows.n, None, dtype=object)
    chosen[known] = categories[np.argmax(probabilities[known], axis=1)]
    return pd.Series(chosen, index=rows.index, name="class")
