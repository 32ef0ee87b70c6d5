"""Linear predictors and means for the rows of the fit or for new ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import DataError, NotEstimableWarning, warn_caller
from .estimability import not_estimable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from ..design.design import Design
    from ..design.fixed import FixedColumn
    from ..design.new_data import NewDesign
    from ..fitting.parameters import Component
    from ..fitting.record import Fit


def predict(
    fit: Fit,
    newdata: Any = None,
    kind: str = "response",
    random: str | Sequence[str] = "conditional",
    new_levels: str = "error",
    offset: ArrayLike | str | None = None,
) -> pd.Series | pd.DataFrame:
    """Predicted means or linear predictors; of ordered categories, probabilities.

    Parameters
    ----------
    fit : Fit
    newdata : data frame or None
        Rows to predict for, coded as the fit coded its own; None means the rows used in the fit. The response is not
        needed, nor are grouping factors whose effects are left out by `random`.
    kind : {"response", "mean", "link", "dispersion", "zero"}
        The mean of the response (for binomial models the probability, whatever the number of trials), zeros of a zero
        part and what truncation cuts off in it; the mean that the link makes, without them; the linear predictor; or
        the family's parameter that a part makes, on its natural scale, where it has a formula of its own.
        Of ordered categories {"response", "link", "probabilities", "class"}: the mean of their numbers 1, 2, ...; eta,
        which the thresholds are compared with; a column of probabilities for each; the most probable one.
    random : {"conditional", "zero"} or list of str
        Random effects at their conditional modes, or at zero (a level that is typical on the scale of the link); a list
        of grouping factors has theirs at the conditional modes and the others at zero.
    new_levels : {"error", "zero"}
        Levels of a grouping factor that the fit has not seen: refuse, or set their random effects to zero.
    offset : (n_rows,) array, number, column name, expression or None
        In place of the fit's `offset=` argument; needed for new rows when that was an array, since one that named
        columns is found in `newdata`. Offsets in the formula are always evaluated.

    Returns
    -------
    Series, (n_rows,), or DataFrame, (n_rows, categories)
        With the index of the pandas frame; without one, the positions of the rows. NaN where a value that the
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
        given without `newdata`.
    """
    kinds = ("response", "mean", "link", *(own.name for own in fit.components))
    if fit.design.thresholds is not None:
        kinds = ("response", "link", "probabilities", "class")
    _choose("kind", kind, kinds)
    included = _included(fit, random)
    _choose("new_levels", new_levels, ("error", "zero"))
    if fit.design.thresholds is not None:
        return _of_categories(fit, kind, newdata, included, new_levels, offset)
    if kind not in ("response", "mean", "link"):
        return _of_part(fit, fit.component(kind), newdata, included, new_levels)
    whole = kind == "response" and not fit.family.mean_is_response
    if newdata is None:
        eta, index, trials = _own_rows(fit, included, offset), row_index(fit.design), fit.design.response.size
        phi = fit.phi_at(_modes(fit, included))
    else:
        parts = [own.name for own in fit.components] if whole else []
        eta, new, index = _new_rows(fit, newdata, included, new_levels, offset, parts)
        phi, trials = _new_phi(fit, new, included) if whole else np.empty(0), None
    if kind == "link":
        return pd.Series(eta, index=index, name="eta")
    if whole:
        return pd.Series(fit.family.response_mean(eta, phi, trials), index=index, name="mu")
    return pd.Series(fit.family.mean(eta), index=index, name="mu")


def _own_rows(fit: Fit, included: Sequence[bool], offset: ArrayLike | str | None) -> np.ndarray:
    """Linear predictor of the rows of the fit, (n,)."""
    if offset is not None:
        raise DataError("offset= goes with newdata; the rows of the fit have their offset already")
    if all(included):
        return fit.eta
    if any(included):
        return fit.linear_predictor(_modes(fit, included))
    return _fixed_part(fit, fit.design.fixed, fit.design.offset, fit.n_rows)


def _of_categories(
    fit: Fit,
    kind: str,
    newdata: Any,
    included: Sequence[bool],
    new_levels: str,
    offset: ArrayLike | str | None,
) -> pd.Series | pd.DataFrame:
    """What is predicted of ordered categories."""
    assert fit.design.thresholds is not None
    part = fit.design.parts[0]
    if newdata is None:
        eta, index = _own_rows(fit, included, offset), row_index(fit.design)
    else:
        parts = [] if kind == "link" else [part.name]
        eta, new, index = _new_rows(fit, newdata, included, new_levels, offset, parts)
        part = new.parts[0] if parts else part
    if kind == "link":
        return pd.Series(eta, index=index, name="eta")
    probabilities = fit.family.category_probabilities(eta, fit.thresholds_of(part, len(eta)))
    if kind == "response":
        return pd.Series(probabilities @ fit.scores, index=index, name="mu")
    categories = np.array(fit.design.thresholds.categories, dtype=object)
    if kind == "probabilities":
        return pd.DataFrame(probabilities, index=index, columns=pd.Index(categories, name=fit.design.response.name))
    known = np.isfinite(probabilities).all(axis=1)
    chosen = np.full(len(eta), None, dtype=object)
    chosen[known] = categories[np.argmax(probabilities[known], axis=1)]
    return pd.Series(chosen, index=index, name="class")


def _of_part(fit: Fit, component: Component, newdata: Any, included: Sequence[bool], new_levels: str) -> pd.Series:
    """The family's parameter that a part makes, row by row, on its natural scale."""
    parameter = next(own for own in fit.family.parameters if own.name == component.parameter)
    if newdata is None:
        part = next(own for own in fit.design.parts if own.name == component.name)
        phi = fit.linear_predictor_of(component, part.fixed, part.offset, fit.n_rows)
        phi += fit.random_part(component.parameter, _modes(fit, included))
        return pd.Series(parameter.naturals(phi), index=row_index(fit.design), name=component.parameter)
    has_random = any(term.parameter == component.parameter for term in fit.design.random_terms)
    wanted = _wanted(fit, included) if has_random else []
    new = fit.design.code_new(newdata, need_random=wanted, need_parts=(component.name,), need_mean=False)
    if new_levels == "error":
        _check_levels(fit, new)
    phi = fit.linear_predictor_of(component, new.parts[0].fixed, new.parts[0].offset, new.n_rows)
    if wanted:
        _add_random_part(fit, new, included, phi, component.parameter)
    values = parameter.naturals(phi)
    values[new.missing] = np.nan
    index = new.index if new.index is not None else pd.RangeIndex(new.n_rows)
    return pd.Series(values, index=index, name=component.parameter)


def row_index(design: Design) -> pd.Index:
    """Labels of the rows used: the pandas frame's own, otherwise their positions in the frame."""
    if design.index is not None:
        return design.index
    return pd.RangeIndex(design.n_rows) if design.rows is None else pd.Index(design.rows)


def _included(fit: Fit, random: str | Sequence[str]) -> tuple[bool, ...]:
    """Per grouping factor, whether its random effects count."""
    names = [factor.name for factor in fit.design.grouping_factors]
    if isinstance(random, str):
        if random not in ("conditional", "zero"):
            hint = f"random=[{random!r}]" if random in names else f"a list of grouping factors ({', '.join(names)})"
            raise ValueError(f"random={random!r} is not available; choose one of 'conditional', 'zero', or {hint}")
        return (random == "conditional",) * len(names)
    if not isinstance(random, Iterable):
        raise ValueError(
            f"random={random!r} is not available; choose 'conditional', 'zero', or a list of grouping factors"
        )
    wanted = list(random)
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise ValueError(
            f"random: there is no grouping factor {unknown[0]!r}; the model has {', '.join(map(repr, names)) or 'none'}"
        )
    return tuple(name in wanted for name in names)


def _modes(fit: Fit, included: Sequence[bool]) -> tuple[np.ndarray, ...]:
    """Conditional modes per grouping factor, zero where they do not count."""
    return tuple(own if yes else np.zeros_like(own) for own, yes in zip(fit.modes, included, strict=True))


def _new_rows(
    fit: Fit,
    newdata: Any,
    included: Sequence[bool],
    new_levels: str,
    offset: ArrayLike | str | None,
    parts: Sequence[str],
) -> tuple[np.ndarray, NewDesign, pd.Index]:
    """Linear predictor (n_rows,) of new rows, the rows with these parts coded, and their labels."""
    new = fit.design.code_new(newdata, need_random=_wanted(fit, included), offset=offset, need_parts=parts)
    if new_levels == "error":
        _check_levels(fit, new)
    eta = _fixed_part(fit, new.fixed, new.offset, new.n_rows)
    if any(included):
        _add_random_part(fit, new, included, eta)
    eta[new.missing] = np.nan
    index = new.index if new.index is not None else pd.RangeIndex(new.n_rows)
    unknown = not_estimable(fit, new.fixed, new.fixed_terms, new.n_rows, new.missing)
    if unknown is not None:
        eta[unknown.rows] = np.nan
        warn_caller(_not_estimable_message(fit, unknown.places, index[unknown.rows], new.n_rows), NotEstimableWarning)
    return eta, new, index


def _new_phi(fit: Fit, new: NewDesign, included: Sequence[bool]) -> np.ndarray:
    """The family's parameters as the fit moves them, (n_phi,) or (n_rows, n_phi)."""
    phi = fit.phi_of({part.parameter: part for part in new.parts}, new.n_rows)
    for at, own in enumerate(fit.family.parameters):
        if any(term.parameter == own.name for term in fit.design.random_terms) and any(included):
            column = phi[:, at].copy()
            _add_random_part(fit, new, included, column, own.name)
            phi[:, at] = column
    return phi


def _wanted(fit: Fit, included: Sequence[bool]) -> list[str]:
    """The grouping factors whose effects count."""
    return [factor.name for factor, yes in zip(fit.design.grouping_factors, included, strict=True) if yes]


def _check_levels(fit: Fit, new: NewDesign) -> None:
    """Refuses levels that the fit has not seen."""
    for factor, labels in zip(fit.design.grouping_factors, new.unseen, strict=False):
        if len(labels):
            raise DataError(_unseen_message(factor.name, labels))


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


def _add_random_part(fit: Fit, new: NewDesign, included: Sequence[bool], eta: np.ndarray, parameter: str = "") -> None:
    """Adds Z u to `eta`, of the mean or of a parameter of the family, in place.

    A level that the fit has not seen (code -1) has random effects of zero.
    """
    modes = [np.vstack([own, np.zeros((1, own.shape[1]))]) for own in fit.modes]  # code -1 is the last row
    for term, at, columns in zip(fit.design.random_terms, fit.term_columns, new.random_columns, strict=True):
        if not included[term.grouping_factor] or term.parameter != parameter:
            continue
        codes = new.codes[term.grouping_factor]
        for column, values in zip(at, columns, strict=True):
            effect = modes[term.grouping_factor][codes, column]
            eta += effect if values is None else effect * values


def _unseen_message(factor: str, labels: Any) -> str:
    shown = ", ".join(repr(str(label)) for label in labels[:5]) + (", ..." if len(labels) > 5 else "")
    return (
        f"newdata has {len(labels)} level{'s' if len(labels) > 1 else ''} of {factor!r} that the fit has not seen: "
        f'{shown}. new_levels="zero" predicts for them with random effects of zero, random="zero" for every row.'
    )


def _not_estimable_message(fit: Fit, places: str, labels: pd.Index, n_rows: int) -> str:
    rows = ", ".join(map(str, labels[:5])) + (", ..." if len(labels) > 5 else "")
    dropped = ", ".join(map(repr, fit.redundant[:5])) + (", ..." if len(fit.redundant) > 5 else "")
    return (
        f"{len(labels)} of {n_rows} predictions {'is' if len(labels) == 1 else 'are'} NaN, at {places} "
        f"(row{'s' if len(labels) > 1 else ''} {rows}): the data of the fit do not determine the mean there (the "
        f"redundant column{'s' if len(fit.redundant) > 1 else ''} {dropped} had to be dropped); predict where "
        "there were data, or write the formula without what is redundant"
    )


def _choose(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not available; choose one of {', '.join(map(repr, choices))}")
