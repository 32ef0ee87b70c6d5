"""Linear predictors and means for the rows of the fit or for new ones, and the conditional modes they rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike

    from .design import Design, FixedColumn, NewDesign, RandomTerm
    from .fit import Fit


RANDOM_EFFECTS = ["group", "level", "term", "mode", "sd"]


def predict(
    fit: Fit,
    newdata: Any = None,
    kind: str = "response",
    random: str = "conditional",
    new_levels: str = "error",
    offset: ArrayLike | str | None = None,
) -> pd.Series:
    """Predicted means or linear predictors.

    Parameters
    ----------
    fit : Fit
    newdata : data frame or None
        Rows to predict for, coded as the fit coded its own; None means the rows used in the fit. The response is not
        needed, nor are the grouping factors when `random` is "zero".
    kind : {"response", "link"}
        The mean (for binomial models the probability, whatever the number of trials) or the linear predictor.
    random : {"conditional", "zero"}
        Random effects at their conditional modes, or at zero (a level that is typical on the scale of the link).
    new_levels : {"error", "zero"}
        Levels of a grouping factor that the fit has not seen: refuse, or set their random effects to zero.
    offset : (n_rows,) array, column name or None
        In place of the fit's `offset=` argument; needed for new rows when that was an array, since one that named a
        column is found in `newdata`. Offsets in the formula are always evaluated.

    Returns
    -------
    Series, (n_rows,)
        With the index of the pandas frame; without one, the positions of the rows. NaN where a value that the
        prediction needs is missing.

    Raises
    ------
    ValueError
        An argument outside its choices.
    DataError
        New levels (with `new_levels="error"`), a column that is missing, an offset that cannot be known or that is
        given without `newdata`.
    """
    _choose("kind", kind, ("response", "link"))
    _choose("random", random, ("conditional", "zero"))
    _choose("new_levels", new_levels, ("error", "zero"))
    if newdata is None:
        if offset is not None:
            raise DataError("offset= goes with newdata; the rows of the fit have their offset already")
        design = fit.design
        eta = fit.eta if random == "conditional" else _fixed_part(fit, design.fixed, design.offset, fit.n_rows)
        index = row_index(design)
    else:
        eta, index = _new_rows(fit, newdata, random == "conditional", new_levels, offset)
    if kind == "link":
        return pd.Series(eta, index=index, name="eta")
    return pd.Series(fit.family.mean(eta), index=index, name="mu")


def row_index(design: Design) -> pd.Index:
    """Labels of the rows used: the pandas frame's own, otherwise their positions in the frame."""
    if design.index is not None:
        return design.index
    return pd.RangeIndex(design.n_rows) if design.rows is None else pd.Index(design.rows)


def random_effects(fit: Fit) -> pd.DataFrame:
    """Conditional modes of the random effects.

    Returns
    -------
    DataFrame
        group, level, term, mode, sd; one row per level and term, the levels of a term together. `sd` is the conditional
        standard deviation given the estimates (lme4's `condVar`).
    """
    frames = [
        pd.DataFrame(
            {
                "group": factor.name,
                "level": np.tile(np.asarray(factor.levels), len(term.names)),
                "term": np.repeat(np.array(term.names, dtype=object), len(factor.levels)),
                "mode": fit.modes[:, at].T.ravel(),
                "sd": np.sqrt(np.maximum(fit.mode_cov[:, at, at], 0.0)).T.ravel(),
            }
        )
        for term, at in _term_columns(fit)
        for factor in [fit.design.grouping_factors[term.grouping_factor]]
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=RANDOM_EFFECTS)


def coef(fit: Fit) -> dict[str, pd.DataFrame]:
    """Coefficients per level: fixed effects plus the conditional modes of the same name.

    Returns
    -------
    dict: grouping factor -> DataFrame (levels x coefficients)
        A random effect without a fixed one of that name is added to zero and gets its own column, as in lme4.
    """
    result: dict[str, pd.DataFrame] = {}
    for term, at in _term_columns(fit):
        factor = fit.design.grouping_factors[term.grouping_factor]
        if factor.name not in result:
            fixed = np.tile(fit.beta, (len(factor.levels), 1))
            levels = pd.Index(factor.levels, name=factor.name)
            result[factor.name] = pd.DataFrame(fixed, index=levels, columns=list(fit.fixed_names))
        table = result[factor.name]
        for name, column in zip(term.names, at, strict=True):
            table[name] = table.get(name, 0.0) + fit.modes[:, column]
    return result


def _term_columns(fit: Fit) -> list[tuple[RandomTerm, np.ndarray]]:
    """Each random term with its columns of `fit.modes`, where the terms stand side by side."""
    terms = fit.design.random_terms
    ends = np.cumsum([len(term.names) for term in terms], dtype=int)
    return [(term, np.arange(end - len(term.names), end)) for term, end in zip(terms, ends, strict=True)]


def _new_rows(
    fit: Fit, newdata: Any, conditional: bool, new_levels: str, offset: ArrayLike | str | None
) -> tuple[np.ndarray, pd.Index]:
    """Linear predictor (n_rows,) of new rows and their labels."""
    new = fit.design.code_new(newdata, need_random=conditional, offset=offset)
    if new_levels == "error":
        for factor, labels in zip(fit.design.grouping_factors, new.unseen, strict=False):
            if len(labels):
                raise DataError(_unseen_message(factor.name, labels))
    eta = _fixed_part(fit, new.fixed, new.offset, new.n_rows)
    if conditional:
        _add_random_part(fit, new, eta)
    eta[new.missing] = np.nan
    return eta, new.index if new.index is not None else pd.RangeIndex(new.n_rows)


def _fixed_part(fit: Fit, columns: Iterable[FixedColumn], offset: np.ndarray | None, n_rows: int) -> np.ndarray:
    """X beta + offset, (n_rows,). Redundant columns have no coefficient."""
    beta = dict(zip(fit.fixed_names, fit.beta, strict=True))
    eta = np.zeros(n_rows)
    if offset is not None:
        eta += offset
    for column in columns:
        if column.name in beta:
            eta += beta[column.name] if column.values is None else beta[column.name] * column.values
    return eta


def _add_random_part(fit: Fit, new: NewDesign, eta: np.ndarray) -> None:
    """Adds Z u to `eta` in place; a level that the fit has not seen (code -1) has random effects of zero."""
    modes = np.vstack([fit.modes, np.zeros((1, fit.modes.shape[1]))])  # code -1 is the last row
    for (term, at), columns in zip(_term_columns(fit), new.random_columns, strict=True):
        codes = new.codes[term.grouping_factor]
        for column, values in zip(at, columns, strict=True):
            effect = modes[codes, column]
            eta += effect if values is None else effect * values


def _unseen_message(factor: str, labels: Any) -> str:
    shown = ", ".join(repr(str(label)) for label in labels[:5]) + (", ..." if len(labels) > 5 else "")
    return (
        f"newdata has {len(labels)} level{'s' if len(labels) > 1 else ''} of {factor!r} that the fit has not seen: "
        f'{shown}. new_levels="zero" predicts for them with random effects of zero, random="zero" for every row.'
    )


def _choose(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not available; choose one of {', '.join(map(repr, choices))}")
