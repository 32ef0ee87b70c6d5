"""Means of the response over a reference grid (estimated marginal means, least-squares means), slopes, and contrasts.

Searle, Speed & Milliken (1980) The American Statistician 34:216-221. A mean is for levels of some factors, averaged
over the levels of all others, with numbers at their means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..arguments import check_choice
from ..columns.levels import label_of
from ..errors import DataError, NotEstimableWarning, warn_caller
from . import rows as coded
from .directions import check_number, direction
from .grid import reference_grid
from .mean_table import MarginalMeans
from .means import RowMeans, all_means, all_slopes, log_scale_of
from .question import LINEAR, Question, check_rows, needs_of, outcomes_of
from .variables import column_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit
    from .grid import Grid
    from .rows import CodedRows

    Array = NDArray[np.float64]

MOST_NAMED = 5


def marginal_means(
    fit: Fit,
    columns: str | Sequence[str],
    by: str | Sequence[str] | None = None,
    kind: str = "link",
    weights: str = "equal",
    at: Mapping[str, Any] | None = None,
    random: str = "zero",
    average: str | None = None,
    level: float = 0.95,
    df_method: str | None = None,
) -> MarginalMeans:
    """Means for the levels of some columns, averaged over those of all others.

    Parameters
    ----------
    fit : Fit
    columns : str or list of str
    by : str or list of str, optional
        More columns, within whose levels contrasts compare.
    kind : {"link", "response"}
        Linear predictors, or means.
    weights : {"equal", "proportional", "cell"}
        Of the combinations averaged over: equal; by how often each occurs in the rows of the fit; the same within the
        levels of each mean, so that empty cells do not count.
    at : mapping, optional
        Values of columns, in place of all levels of a factor and of the mean of a number.
    random : {"zero", "conditional", "marginal"}
        Random effects of zero; averaged over the groups of the fit with their conditional modes; averaged over their
        distribution.
    average : {"link", "response"}, optional
        Whether linear predictors are averaged and then made a mean, or means. Without it "link" where that has a
        meaning: with random effects of zero and a mean that the link alone makes.
    level : float
        Of the intervals.
    df_method : str, optional
        Degrees of freedom of linear models.

    Returns
    -------
    MarginalMeans

    Raises
    ------
    DataError
    """
    over, within = _names(columns), _names(by)
    question = _question(fit, kind, random)
    categories = fit.design.thresholds is not None or fit.design.choices is not None
    plain = kind in LINEAR
    simple = plain or (not categories and fit.family.mean_is_response)
    default = "link" if simple and (random == "zero" or (plain and random == "marginal")) else "response"
    average = default if average is None else average
    check_choice("average", average, ("link", "response"))
    if average == "link" and default == "response":
        raise DataError(
            f"average='link' does not go with random={random!r} and kind={kind!r}: a mean over groups, of "
            "categories, or with a zero part or truncation, is an average of responses; leave average= out"
        )
    if average == "link":
        question = Question(outcome=kind if plain else "link", random="zero")
    needs = needs_of(fit, question)
    grid = reference_grid(fit, [*over, *within], at or {}, weights, needs)
    rows = coded.grid(fit, grid.data(fit), grid.n, needs)
    questions = question.each(fit)
    means = _over_groups(fit, rows, questions, None)
    shown = "mean" if kind == "response" and average == "link" and not fit.is_linear else "as they are"
    what = "Marginal means"
    if plain and not fit.is_linear:
        of = {"latent": "of the latent response less the mean threshold, ", "cuts": "of thresholds less predictors, "}
        what = f"Marginal means {of.get(kind, '')}on the scale of the {fit.family.link} link"
    elif questions[0].sums is not None:
        mean = kind == "response" and fit.design.thresholds is not None
        what, shown = ("Mean categories", shown) if mean else ("Probabilities of categories", "probability")
    return _collected(
        fit, grid, rows, means, [own.label for own in questions], shown, what,
        _notes(fit, grid, weights, question, average, kind), over, within, level,
        df_method, slopes=False, logarithms=average == "response" and not plain,
    )  # fmt: skip


def marginal_slopes(
    fit: Fit,
    column: str,
    by: str | Sequence[str] | None = None,
    kind: str = "link",
    weights: str = "equal",
    at: Mapping[str, Any] | None = None,
    random: str = "zero",
    level: float = 0.95,
    df_method: str | None = None,
) -> MarginalMeans:
    """Slopes of a number, for the levels of some columns, averaged over those of all others.

    Arguments as of `marginal_means`, but that `by` are the columns that slopes are for and `column` is the number,
    which is at its mean or at one value in `at`.

    Returns
    -------
    MarginalMeans
    """
    own = column_of(fit, column)
    check_number(fit, own, "slope")
    over = _names(by)
    question = _question(fit, kind, random)
    if kind in LINEAR and random == "marginal":
        question = Question(outcome=kind, random="zero")
    needs = needs_of(fit, question)
    grid = reference_grid(fit, over, at or {}, weights, needs, slope=column)
    data = grid.data(fit)

    def code(values: Array) -> CodedRows:
        return coded.grid(fit, {**data, column: values}, grid.n, needs)

    rows = code(np.asarray(data[column], dtype=np.float64))
    towards = direction(fit, own, code, np.asarray(data[column], dtype=np.float64))
    questions = question.each(fit)
    means = _over_groups(fit, rows, questions, towards)
    scale = f" on the scale of the {fit.family.link} link" if kind in LINEAR and not fit.is_linear else ""
    notes = _notes(fit, grid, weights, question, "link" if kind == "link" else "response", kind)
    return _collected(
        fit, grid, towards if kind == "link" else rows, means, [own.label for own in questions], "as they are",
        f"Slopes of {column}{scale}", notes, over, [], level, df_method, slopes=True, logarithms=False,
    )  # fmt: skip


def scale_at(fit: Fit, setting: Mapping[str, Any]) -> float:
    """The mean logarithm of the scale of ordered categories over a grid with columns at some values; 0 without one."""
    if not fit.family.scaled:
        return 0.0
    needs = needs_of(fit, Question(outcome="response", random="zero"))
    grid = reference_grid(fit, list(setting), setting, "equal", needs)
    found = log_scale_of(fit, coded.grid(fit, grid.data(fit), grid.n, needs))
    assert found is not None
    return float(found.mean())


def _question(fit: Fit, kind: str, random: str) -> Question:
    check_rows(fit)
    choices = outcomes_of(fit)
    check_choice("kind", kind, tuple(own for own in choices if own != "mean"))
    question = Question(outcome=kind, random=random)
    question.check(fit)
    return question


def _over_groups(fit: Fit, rows: CodedRows, questions: list[Question], towards: CodedRows | None) -> list[RowMeans]:
    """Means, or slopes, of rows of a grid; with conditional modes averaged over the groups of the fit.

    With several grouping factors each combination of their levels that occurs counts once.
    """

    def one(own: CodedRows, other: CodedRows | None) -> list[RowMeans]:
        return all_means(fit, own, questions) if other is None else all_slopes(fit, own, other, questions)

    rows = _undetermined_later(rows, questions[0])
    if questions[0].random != "conditional" or not fit.design.random_terms:
        return one(rows, towards)
    codes = np.unique(np.column_stack([factor.codes for factor in fit.design.grouping_factors]), axis=0)
    found = [RowMeans(np.empty(rows.n), np.empty((rows.n, len(fit.psi)))) for _ in questions]
    for i in range(rows.n):
        which = np.full(len(codes), i)
        groups = tuple(codes[:, k] for k in range(codes.shape[1]))
        other = None if towards is None else replace(towards.take(which), codes=groups)
        for own, means in zip(found, one(replace(rows.take(which), codes=groups), other), strict=True):
            own.value[i], own.jacobian[i] = means.value.mean(), means.jacobian.mean(axis=0)
    return found


def _undetermined_later(rows: CodedRows, question: Question) -> CodedRows:
    """Averages of linear predictors may be determined where single ones are not: that is asked of the averages."""
    if question.outcome not in LINEAR or question.sums is not None:
        return rows
    return replace(rows, unknown=np.zeros(rows.n, dtype=np.bool_))


def _collected(
    fit: Fit,
    grid: Grid,
    rows: CodedRows,
    found: list[RowMeans],
    names: list[str],
    shown: str,
    what: str,
    notes: tuple[str, ...],
    over: list[str],
    within: list[str],
    level: float,
    df_method: str | None,
    *,
    slopes: bool,
    logarithms: bool,
) -> MarginalMeans:
    """Averages over the grid, those that are not determined NaN, with a warning that names them; one after the other of
    several outcomes, whose names are in a column "category".
    """
    k, several = len(grid.targets), len(found)
    shape = (grid.n // k, k)
    value = np.concatenate([_weighted(grid.weights, means.value.reshape(shape)) for means in found])
    jacobian = np.vstack([_weighted(grid.weights, means.jacobian.reshape(*shape, -1)) for means in found])
    linear = slopes or not logarithms
    columns = None
    if rows.all_columns is not None and linear and several == 1 and not np.isnan(found[0].value).any():
        columns = _weighted(grid.weights, rows.all_columns.reshape(*shape, -1))
    estimate, slope = value.copy(), jacobian
    empty = np.tile(~(grid.weights.sum(axis=0) > 0), several)
    nothing = np.isnan(value) | empty
    if columns is not None:
        nothing |= coded.unknown_combinations(fit, columns)
    estimate[nothing] = np.nan
    if nothing.any():
        warn_caller(_message(fit, grid.targets, nothing[:k], empty[:k]), NotEstimableWarning)
    if shown == "probability":  # intervals that stay between zero and one
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = jacobian / (value * (1.0 - value))[:, None]
            estimate = np.log(estimate) - np.log1p(-estimate)
    labels = grid.targets if len(grid.targets.columns) else pd.DataFrame({"": ["all"]})
    if names[0]:
        # the categories of a mean one below the other
        order = np.arange(several * k).reshape(several, k).T.ravel()
        labels = pd.concat([labels.assign(category=name) for name in names], ignore_index=True)
        labels, within = labels.iloc[order].reset_index(drop=True), [*within, "category"]
        estimate, slope, value, jacobian, empty = (a[order] for a in (estimate, slope, value, jacobian, empty))
    return MarginalMeans(
        fit=fit,
        labels=labels,
        estimate=estimate,
        jacobian=slope,
        what=what,
        level=level,
        df_method=df_method,
        shown=shown,
        notes=notes,
        tested=slopes,
        slopes=slopes,
        over=tuple(over),
        by=tuple(within),
        logarithms=logarithms,
        whole_estimate=np.where(empty, np.nan, value),
        whole_jacobian=jacobian,
        all_columns=columns,
    )


def _weighted(weights: Array, values: Array) -> Array:
    """Averages along the first axis, in which what has no weight does not count."""
    by = weights.reshape(*weights.shape, *(1,) * (values.ndim - 2))
    return np.asarray((by * np.where(by > 0, values, 0.0)).sum(axis=0))


def _message(fit: Fit, targets: pd.DataFrame, nothing: NDArray[np.bool_], empty: NDArray[np.bool_]) -> str:
    names = list(targets.columns)
    cells = [
        ", ".join(f"{name} = {label_of(value)!r}" for name, value in zip(names, row, strict=True)) or "the grid"
        for row in targets[nothing].itertuples(index=False)
    ]
    shown = "; ".join(cells[:MOST_NAMED]) + ("; ..." if len(cells) > MOST_NAMED else "")
    count = f"{len(cells)} of {len(targets)} {'is' if len(cells) == 1 else 'are'} NaN, at {shown}: "
    if (nothing & empty).all():
        return count + "no row of the fit is there, so that weights='cell' has none"
    dropped = ", ".join(map(repr, fit.redundant[:5])) + (", ..." if len(fit.redundant) > 5 else "")
    return count + (
        "the rows of the fit do not determine what is averaged there (redundant columns "
        f"{dropped} had to be dropped); weights='cell' averages over the combinations that occur"
    )


def _notes(fit: Fit, grid: Grid, weights: str, question: Question, average: str, kind: str) -> tuple[str, ...]:
    over = [name for name, own in grid.values.items() if name not in grid.targets.columns and len(own) > 1]
    fixed = [f"{name} = {_short(own[0])}" for name, own in grid.values.items() if len(own) == 1]
    notes = []
    if over:
        notes.append(f"averaged over {', '.join(over)} with {weights} weights")
    if fixed:
        notes.append(f"at {', '.join(fixed)}")
    if kind not in LINEAR and fit.design.random_terms and not fit.is_linear:
        words = {
            "zero": "random effects of zero",
            "conditional": "averaged over the groups of the fit",
            "marginal": "averaged over the distribution of the random effects",
        }
        notes.append(words["zero" if average == "link" else question.random])
    return ("; ".join(notes),) if notes else ()


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else label_of(value)


def _names(names: str | Sequence[str] | None) -> list[str]:
    given = [] if names is None else [names] if isinstance(names, str) else list(names)
    twice = [name for name in given if given.count(name) > 1]
    if twice:
        raise DataError(f"{twice[0]!r} is named twice")
    return given
