"""Log densities of the answers of persons at any values of their traits: of the rows of a fit, or of new ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns.expressions import Rows, check_names
from ..columns.frame import Frame
from ..columns.grouping import build_grouping_factor
from ..columns.selection import argument_column, select_rows
from ..design.new_response import read_new_response
from ..errors import DataError, FormulaError
from .estimability import not_estimable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from ..design.new_data import NewDesign
    from ..fitting.record import Fit

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """Rows of persons, whose linear predictor is a fixed part and slopes times the person's traits.

    Attributes
    ----------
    levels : pandas.Index
        The persons.
    codes : ndarray of int, (n,)
        The person of each row.
    fixed : ndarray, (n,)
    slopes : ndarray, (n, d)
    log_density : callable
        Of all rows, given their linear predictors.
    """

    levels: pd.Index
    codes: NDArray[np.int32]
    fixed: Array
    slopes: Array
    log_density: Callable[[Array], Array]

    def log_likelihood(self, at: Array) -> Array:
        """Of each person at nodes (n_persons, n_nodes, d), up to what no trait changes: (n_persons, n_nodes)."""
        total = np.empty(at.shape[:2])
        for k in range(at.shape[1]):
            eta = self.fixed + (self.slopes * at[self.codes, k]).sum(1)
            total[:, k] = np.bincount(self.codes, self.log_density(eta), minlength=len(self.levels))
        return np.where(np.isnan(total), -np.inf, total)


def own_answers(fit: Fit, loadings: Array) -> Answers:
    """The rows of a fit whose one random-effects term has these loadings, (q, d)."""
    design = fit.design
    factor = design.grouping_factors[0]
    fixed = fit.linear_predictor(tuple(np.zeros_like(own) for own in fit.modes))
    response = design.response
    if design.thresholds is not None:
        density = _of_categories(fit, response.values, design.weights, fit.thresholds, fit.log_scale)
    else:
        density = _of_numbers(fit, response.values, response.second, design.weights, fit.row_phi)
    slopes = _slopes(design.random_terms[0].columns, loadings, fit.n_rows)
    return Answers(factor.levels, factor.codes, fixed, slopes, density)


def new_answers(
    fit: Fit, loadings: Array, newdata: Any, offset: ArrayLike | str | None, weights: ArrayLike | str | None
) -> Answers:
    """New rows that have all their values, coded as those of the fit were, of persons of their own.

    Raises
    ------
    DataError
        The response of a row is nothing that the fit could have had; the fit had weights and there are none here; the
        data of the fit do not determine the mean of a row.
    """
    design = fit.design
    parts = [part.name for part in design.parts]
    new = design.code_new(newdata, need_levels=(), offset=offset, need_parts=parts)
    places = not_estimable(fit, new.fixed, new.fixed_terms, new.n_rows, new.missing)
    if places is not None:
        raise DataError(f"abilities: the data of the fit do not determine the mean of new rows, at {places.places}")
    rows, row_weights = _used(fit, newdata, weights, new)
    bar = design.formula.bars[0]
    factor, _ = build_grouping_factor(bar.group, rows, labels=bar.labels, single_level=True)
    response, row_weights = read_new_response(design, fit.family, rows, row_weights)
    keep = slice(None) if rows.rows is None else rows.rows
    n, fixed = new.n_rows, np.zeros(new.n_rows) if new.offset is None else new.offset
    beta = dict(zip(fit.fixed_names, fit.beta, strict=True))
    for column in new.fixed:
        if column.name in beta:
            fixed = fixed + (beta[column.name] if column.values is None else beta[column.name] * column.values)
    if design.thresholds is not None:
        thresholds = fit.thresholds_of(new.parts[0], n)[keep]
        scale = fit.log_scale_of(new.parts[-1], n)[keep] if fit.family.scaled else None
        density = _of_categories(fit, response.values, row_weights, thresholds, scale)
    else:
        phi = fit.phi_of({part.parameter: part for part in new.parts}, n)
        phi = phi[keep] if phi.ndim == 2 else phi
        density = _of_numbers(fit, response.values, response.second, row_weights, phi)
    slopes = _slopes(new.random_columns[0], loadings, n)
    return Answers(factor.levels, factor.codes, fixed[keep], slopes[keep], density)


def _used(
    fit: Fit, newdata: Any, weights: ArrayLike | str | None, new: NewDesign
) -> tuple[Rows, NDArray[np.float64] | None]:
    """The rows without a missing value, and their weights."""
    formula, functions, frame = fit.design.formula, fit.design.coding.terms.functions, Frame(newdata)
    weighted = fit.design.weights is not None or (fit.design.response.size is not None and len(formula.response) == 1)
    if weighted and weights is None:
        raise DataError(
            "abilities: the fit had weights; give those of the new rows as weights=, ones if they have none"
        )
    try:
        names = check_names(formula.source, formula.response, frame, functions)
    except FormulaError as error:
        raise DataError(f"new data: {error}") from None
    names += [name for name in formula.bars[0].group if name not in names]
    weight_column = argument_column("weights", weights, frame)
    columns = [frame[name] for name in names] + ([] if weight_column is None else [weight_column])
    selection = select_rows(columns, frame.n_rows, "drop", weight_column)
    rows = np.arange(frame.n_rows) if selection.rows is None else selection.rows
    there = ~new.missing[rows]
    if not there.any():
        raise DataError("abilities: no new row has all of its values")
    left = selection.weights if selection.weights is None else selection.weights[there]
    return Rows(frame, None if len(rows) == frame.n_rows and there.all() else rows[there], functions), left


def _slopes(columns: Sequence[NDArray[Any] | None], loadings: Array, n: int) -> Array:
    slopes = np.zeros((n, loadings.shape[1]))
    for column, own in zip(columns, loadings, strict=True):
        slopes += own if column is None else np.asarray(column, dtype=np.float64)[:, None] * own
    return slopes


def _of_numbers(
    fit: Fit, y: Array, second: Array | None, weights: Array | None, phi: Array
) -> Callable[[Array], Array]:
    one = np.ones(len(y))
    given = (np.ascontiguousarray(y, dtype=np.float64), one if second is None else second)
    of_rows = (one if weights is None else weights, np.ascontiguousarray(phi))
    return lambda eta: fit.family._core.derivatives(eta, *given, *of_rows)["value"]


def _of_categories(
    fit: Fit, y: Array, weights: Array | None, thresholds: Array, log_scale: Array | None
) -> Callable[[Array], Array]:
    chosen, weight = (np.arange(len(y)), y.astype(int) - 1), np.ones(len(y)) if weights is None else weights

    def log_density(eta: Array) -> Array:
        probability = fit.family.category_probabilities(eta, thresholds, log_scale)[chosen]
        with np.errstate(divide="ignore"):
            return weight * np.where(weight > 0.0, np.log(probability), 0.0)

    return log_density
