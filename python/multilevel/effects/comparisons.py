"""What changing a column does to the mean, row by row or averaged over rows: comparisons and slopes.

Terms and definitions are those of Arel-Bundock, Greifer & Heiss (2024) J. Stat. Softw. 111(9), the paper of the package
marginaleffects: a comparison is a function of the means of the same rows with the column changed; averaged, it is that
function of the averages for ratios, and the average of the differences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..arguments import check_choice
from ..columns.levels import label_of
from ..design.source import SourceColumn
from ..errors import DataError, NotEstimableWarning, warn_caller
from .directions import check_number, direction
from .estimated import Estimated
from .means import RowMeans, all_means, all_slopes
from .question import LINEAR, Question, check_rows, needs_of
from .samples import over_rows, sample_of
from .variables import (
    checked_values,
    column_of,
    constant,
    fixed_atoms,
    has_two_values,
    is_grouping,
    is_number,
    levels_of,
    names_in,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..fitting.record import Fit
    from .rows import CodedRows

    Array = NDArray[np.float64]

KINDS = ("difference", "ratio", "odds_ratio")
CONTRASTS = ("reference", "pairwise", "consecutive")
CHANGES = ("sd", "iqr", "range")
OF_CATEGORIES = {
    "response": "the mean category",
    "latent": "the latent response",
    "cuts": "thresholds less predictors",
}
WORDS = {"difference": "Differences", "ratio": "Ratios", "odds_ratio": "Odds ratios"}


@dataclass(frozen=True, eq=False)
class Setting:
    """Values of a column in all rows: one value, or each row's own plus a number."""

    label: str
    value: Any = None
    shift: float | None = None

    def of(self, column: SourceColumn, own: Any, n: int) -> Any:
        """The column."""
        return constant(column, self.value, n) if self.shift is None else np.asarray(own, dtype=np.float64) + self.shift


def comparisons(
    fit: Fit,
    column: str,
    kind: str = "difference",
    contrast: str = "reference",
    change: Any = 1.0,
    average: bool = True,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    newdata: Any = None,
    random: str = "marginal",
    outcome: str = "response",
    weights: ArrayLike | None = None,
    level: float = 0.95,
    df_method: str | None = None,
) -> Estimated:
    """The mean with a column at one value against the mean with it at another.

    Parameters
    ----------
    fit : Fit
    column : str
    kind : {"difference", "ratio", "odds_ratio"}
    contrast : {"reference", "pairwise", "consecutive"}
        Of a factor: which levels are compared.
    change : float, (float, float), "sd", "iqr" or "range"
        Of a number: what is added to each row's own, or the two values that are compared. A column of two values is
        compared at these.
    average : bool
        Whether to average over rows; without, a comparison for each.
    by : str or list of str, optional
        Columns (of the data or grouping factors) for whose values averages are taken apart.
    at : mapping, optional
        Values of other columns in all rows; every combination is a row of the table.
    newdata : data frame, optional
        Rows in place of those of the fit. Rows with a missing value are left out of averages.
    random : {"marginal", "conditional", "zero"}
        Averaged over the distribution of the random effects; at their conditional modes, held fixed; or at zero.
    outcome : {"response", "mean", "link"}
        As `kind` of `predict`.
    weights : (n,) array_like, optional
        Of the rows in averages; equal without.
    level : float
    df_method : str, optional
        Degrees of freedom of linear models.

    Returns
    -------
    Estimated
    """
    check_rows(fit)
    check_choice("kind", kind, KINDS)
    if outcome in LINEAR and kind != "difference":
        raise DataError(f"kind={kind!r} compares means; linear predictors have differences")
    own = column_of(fit, column)
    settings, pairs = _settings(fit, own, contrast, change, kind)
    sample = sample_of(fit, Question(outcome=outcome, random=random), by, newdata, weights)

    def values(chunk: slice, changes: Mapping[str, Any]) -> list[RowMeans]:
        rows = []
        for setting in settings:
            n = chunk.stop - chunk.start
            values = setting.of(own, None if setting.shift is None else sample.own(own, chunk), n)
            here = sample.coded({**changes, column: values}, chunk)
            rows += all_means(fit, here, questions)
        return rows

    questions = sample.question.each(fit)
    found, labels = over_rows(sample, at, average, len(settings) * len(questions), values)
    names, value, jacobian = [], [], []
    for text, plus, minus in pairs:
        for k, question in enumerate(questions):
            names.append((column, text, question.label))
            one, two = _compared(kind, found[plus * len(questions) + k], found[minus * len(questions) + k])
            value.append(one)
            jacobian.append(two)
    table = _labels(labels, names)
    result = Estimated(
        fit=fit,
        labels=table,
        estimate=np.concatenate(value),
        jacobian=np.vstack(jacobian),
        what=f"{WORDS[kind]} of {_of_what(fit, outcome)}{'' if not average else ', averaged over rows'}",
        level=level,
        df_method=df_method,
        shown="as they are" if kind == "difference" else "exp",
        notes=_notes(fit, random, outcome),
    )
    _warn(fit, result, found[0].places)
    return result


def marginal_effects(
    fit: Fit,
    columns: str | Sequence[str] | None = None,
    average: bool = True,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    newdata: Any = None,
    random: str = "marginal",
    outcome: str = "response",
    weights: ArrayLike | None = None,
    level: float = 0.95,
    df_method: str | None = None,
) -> Estimated:
    """Slopes of the mean in numbers, and differences of the mean between levels of factors.

    Arguments as of `comparisons`; without `columns` all predictors of the mean. A column of two numbers, as one of
    zeros and ones, is compared at these.

    Returns
    -------
    Estimated
    """
    question = Question(outcome=outcome, random=random)
    question.check(fit)
    if columns is None:
        named = names_in(fixed_atoms(fit, needs_of(fit, question).parts), fit)
        chosen = [name for name in named if not is_grouping(fit, name)]
    else:
        chosen = [columns] if isinstance(columns, str) else list(columns)
    if not chosen:
        raise DataError("the mean depends on no column")
    tables, values, jacobians = [], [], []
    common: dict[str, Any] = {"average": average, "by": by, "at": at, "newdata": newdata}
    common |= {"random": random, "outcome": outcome, "weights": weights}
    for name in chosen:
        own = column_of(fit, name)
        if is_number(fit, own) and not has_two_values(own):
            part = slopes(fit, name, **common)
        else:
            part = comparisons(fit, name, **common)
        tables.append(part.labels)
        values.append(part.estimate)
        jacobians.append(part.jacobian)
    return Estimated(
        fit=fit,
        labels=pd.concat(tables, ignore_index=True),
        estimate=np.concatenate(values),
        jacobian=np.vstack(jacobians),
        what=f"Effects on {_of_what(fit, outcome)}{'' if not average else ', averaged over rows'}",
        level=level,
        df_method=df_method,
        notes=part.notes,
    )


def slopes(
    fit: Fit,
    column: str,
    average: bool = True,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    newdata: Any = None,
    random: str = "marginal",
    outcome: str = "response",
    weights: ArrayLike | None = None,
    level: float = 0.95,
    df_method: str | None = None,
) -> Estimated:
    """Slopes of the mean in a number; arguments as of `comparisons`, but that `at` may have the column, too."""
    check_rows(fit)
    own = column_of(fit, column)
    check_number(fit, own, "slope")
    sample = sample_of(fit, Question(outcome=outcome, random=random), by, newdata, weights)

    def values(chunk: slice, changes: Mapping[str, Any]) -> list[RowMeans]:
        here = np.asarray(changes[column], dtype=np.float64) if column in changes else sample.own(own, chunk)

        def code(values: Array) -> CodedRows:
            return sample.coded({**changes, column: values}, chunk)

        rows, towards = code(here), direction(fit, own, code, here)
        return all_slopes(fit, rows, towards, questions)

    questions = sample.question.each(fit)
    found, labels = over_rows(sample, at, average, len(questions), values)
    result = Estimated(
        fit=fit,
        labels=_labels(labels, [(column, "slope", question.label) for question in questions]),
        estimate=np.concatenate([own.value for own in found]),
        jacobian=np.vstack([own.jacobian for own in found]),
        what=f"Slopes of {_of_what(fit, outcome)}{'' if not average else ', averaged over rows'}",
        level=level,
        df_method=df_method,
        notes=_notes(fit, random, outcome),
    )
    _warn(fit, result, found[0].places)
    return result


# ---- what is compared --------------------------------------------------------------------------------------------


def _settings(
    fit: Fit, column: SourceColumn, contrast: str, change: Any, kind: str
) -> tuple[list[Setting], list[tuple[str, int, int]]]:
    """Values of a column, and the pairs of them that are compared: name, and positions of the two."""
    sign = " - " if kind == "difference" else " / "
    if is_number(fit, column):
        if isinstance(change, (tuple, list)):
            if len(change) != 2:
                raise DataError(f"change={change!r}: two values are compared, or one is added")
            low, high = checked_values(fit, column, list(change), "change")
        elif isinstance(change, str):
            check_choice("change", change, CHANGES)
            numbers = np.asarray(column.values, dtype=np.float64)
            if change == "sd":
                return _shifted(f"+ {numbers.std(ddof=1):.4g} (sd)", float(numbers.std(ddof=1)))
            ends = (25.0, 75.0) if change == "iqr" else (0.0, 100.0)
            low, high = (float(own) for own in np.percentile(numbers, ends))
        elif has_two_values(column) and change == 1.0:
            low, high = levels_of(column)
        else:
            (step,) = checked_values(fit, column, change, "change")
            return _shifted(f"+ {step:.6g}" if step >= 0 else f"- {-step:.6g}", step)
        text = f"{_number(high)}{sign}{_number(low)}"
        return [Setting("", high), Setting("", low)], [(text, 0, 1)]
    if change != 1.0:
        raise DataError(f"change={change!r} is for numbers; {column.name!r} holds categories: contrast= chooses levels")
    check_choice("contrast", contrast, CONTRASTS)
    levels = levels_of(column)
    if len(levels) < 2:
        raise DataError(f"{column.name!r} has one level in the rows of the fit, and nothing to compare it with")
    places = {
        "reference": [(k, 0) for k in range(1, len(levels))],
        "consecutive": [(k, k - 1) for k in range(1, len(levels))],
        "pairwise": [(k, j) for j in range(len(levels)) for k in range(j + 1, len(levels))],
    }[contrast]
    pairs = [(f"{label_of(levels[k])}{sign}{label_of(levels[j])}", k, j) for k, j in places]
    return [Setting("", own) for own in levels], pairs


def _shifted(text: str, step: float) -> tuple[list[Setting], list[tuple[str, int, int]]]:
    return [Setting("", shift=step), Setting("", shift=0.0)], [(text, 0, 1)]


def _number(value: float) -> str:
    return f"({value:.6g})" if value < 0 else f"{value:.6g}"


def _compared(kind: str, plus: RowMeans, minus: RowMeans) -> tuple[Array, Array]:
    """A comparison and its derivatives, of logarithms where it is a ratio."""
    if kind == "difference":
        return plus.value - minus.value, plus.jacobian - minus.jacobian
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == "ratio":
            value = np.log(plus.value) - np.log(minus.value)
            slopes = 1.0 / plus.value, 1.0 / minus.value
        else:
            if (plus.value > 1).any() or (minus.value > 1).any() or (plus.value < 0).any():
                raise DataError("kind='odds_ratio' is for means between zero and one, such as probabilities")
            value = np.log(plus.value / (1.0 - plus.value)) - np.log(minus.value / (1.0 - minus.value))
            slopes = 1.0 / (plus.value * (1.0 - plus.value)), 1.0 / (minus.value * (1.0 - minus.value))
        return value, slopes[0][:, None] * plus.jacobian - slopes[1][:, None] * minus.jacobian


def _labels(rows: pd.DataFrame, comparisons: list[tuple[str, str, str]]) -> pd.DataFrame:
    """Every comparison for every row of the result, comparisons varying slowest: column, contrast and category."""
    tables = []
    for column, text, category in comparisons:
        first = pd.DataFrame({"column": [column] * len(rows), "contrast": [text] * len(rows)})
        if category:
            first["category"] = category
        tables.append(pd.concat([first, rows.reset_index(drop=True)], axis=1))
    return pd.concat(tables, ignore_index=True)


def _of_what(fit: Fit, outcome: str) -> str:
    if outcome == "link" and not fit.is_linear:
        return "the linear predictor" + ("s" if fit.design.choices is not None else "")
    if fit.design.choices is not None:
        return "probabilities"
    if fit.design.thresholds is not None:
        return OF_CATEGORIES.get(outcome, "probabilities")
    return "probabilities" if fit.family.support == "trials" else "means"


def _notes(fit: Fit, random: str, outcome: str) -> tuple[str, ...]:
    if not fit.design.random_terms or fit.is_linear or outcome in ("latent", "cuts"):
        return ()
    words = {
        "zero": "random effects of zero",
        "conditional": "random effects at their conditional modes, which are held fixed",
        "marginal": "averaged over the distribution of the random effects",
    }
    return (words[random],)


def _warn(fit: Fit, result: Estimated, places: str) -> None:
    nothing = np.isnan(result.estimate)
    if not places or not nothing.any():
        return
    dropped = ", ".join(map(repr, fit.redundant[:5])) + (", ..." if len(fit.redundant) > 5 else "")
    count = f"{int(nothing.sum())} of {len(nothing)} comparisons {'is' if nothing.sum() == 1 else 'are'} NaN"
    warn_caller(
        f"{count}: the rows of the fit do not determine the mean at {places} (redundant columns {dropped} had to be "
        "dropped), where rows come to be when the column is set; newdata= chooses rows where there were data",
        NotEstimableWarning,
    )
