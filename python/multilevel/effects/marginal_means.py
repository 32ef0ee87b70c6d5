"""Means of the response over a reference grid (estimated marginal means, least-squares means), slopes, and contrasts.

Searle, Speed & Milliken (1980) The American Statistician 34:216-221. A mean is for levels of some factors, averaged
over the levels of all others, with numbers at their means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..columns.levels import label_of
from ..errors import DataError, NotEstimableWarning, warn_caller
from ..inference.ratios import ratio_word
from . import rows as coded
from .contrast_sets import ContrastSet, contrast_set
from .directions import check_number, direction
from .estimated import Estimated
from .grid import reference_grid
from .means import Question, RowMeans, needs_of, row_means, row_slopes
from .multiplicity import METHODS
from .variables import column_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit
    from .grid import Grid
    from .rows import CodedRows

    Array = NDArray[np.float64]

MOST_NAMED = 5


@dataclass(frozen=True, eq=False, repr=False)
class MarginalMeans(Estimated):
    """Marginal means, or slopes, which `contrasts` compares.

    Attributes
    ----------
    over, by : tuple of str
        The columns whose levels are compared, and those within whose levels they are.
    logarithms : bool
        Whether means are ones whose logarithms make ratios.
    """

    over: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    logarithms: bool = False
    # before those that are not determined became NaN, since their differences may be
    whole_estimate: Array = field(default_factory=lambda: np.empty(0))
    whole_jacobian: Array = field(default_factory=lambda: np.empty(0))
    all_columns: Array | None = None

    def contrasts(
        self,
        kind: Any = "pairwise",
        *,
        adjust: str = "none",
        ratio: bool | None = None,
        reference: Any = None,
        by: str | Sequence[str] | None = None,
        level: float | None = None,
    ) -> Estimated:
        """Combinations of the means whose coefficients add up to zero.

        Parameters
        ----------
        kind : str, array_like, or mapping
            "pairwise", "consecutive", "reference" (each against one) or "effects" (each against the average of all);
            (m, k) coefficients of the k means; a mapping of names to (k,) coefficients; or, for contrasts of contrasts,
            a mapping of the columns to one of the words: ``{"a": "pairwise", "b": "reference"}``.
        adjust : {"none", "holm", "bonferroni", "bh", "tukey", "dunnett", "single-step"}
            How p-values and intervals allow for several tests, those within one combination of `by`. "tukey" is for
            all pairs, "dunnett" for comparisons with a reference; both are for means of equal precision, and close
            for others ("dunnett" and "single-step" allow for the precisions by the joint distribution).
        ratio : bool, optional
            Whether to show ratios: of odds, of means, as the link has it. Without it, where `kind` of the means is
            "response" and the link has ratios.
        reference : level, optional
            Of "reference"; the first without it.
        by : str or list of str, optional
            Columns within whose levels means are compared; those of the means without it.
        level : float, optional
            Of the intervals; that of the means without it.

        Returns
        -------
        Estimated

        Raises
        ------
        DataError
            For a word that is not known, coefficients that do not fit, or an adjustment that is for other contrasts.
        """
        columns = list(self.labels.columns)
        within = list(self.by) if by is None else [by] if isinstance(by, str) else list(by)
        for name in within:
            if name not in columns:
                raise DataError(f"by: the means are not by {name!r}; they are by {', '.join(map(repr, columns))}")
        ratios, exponent = self._ratio(ratio)
        factorial = isinstance(kind, Mapping) and kind and all(isinstance(own, str) for own in kind.values())
        if factorial:
            for name in kind:
                if name not in columns:
                    raise DataError(f"contrasts: the means are not by {name!r}; they are by {', '.join(columns)}")
            within = [name for name in columns if name not in kind]
        over = [name for name in (kind if factorial else columns) if name not in within]
        if not over:
            raise DataError("contrasts compare the levels of at least one column; by= leaves none")
        if adjust not in METHODS:
            raise DataError(f"adjust={adjust!r} is not known; choose one of {', '.join(map(repr, METHODS))}")
        tables, matrices, families, n_means = [], [], [], 0
        groups = _groups(self.labels, within)
        for at, (values, own) in enumerate(groups):
            sets = (
                _factorial(self.labels.iloc[own], kind, reference, ratios)
                if factorial
                else _simple(self.labels.iloc[own], over, kind, reference, ratios)
            )
            names, rows, word = sets
            n_means = len(own)
            wide = np.zeros((len(rows), len(self.labels)))
            wide[:, own] = rows
            matrices.append(wide)
            families += [at] * len(rows)
            tables.append(names.assign(**dict(zip(within, values, strict=True))))
        _check_adjust(adjust, word)
        matrix = np.vstack(matrices)
        estimate, jacobian = self.whole_estimate, self.whole_jacobian
        if exponent and self.logarithms:
            with np.errstate(divide="ignore", invalid="ignore"):
                jacobian = jacobian / estimate[:, None]
                estimate = np.log(estimate)
        value, slope = _combine(matrix, estimate), _combine(matrix, jacobian)
        value[self._undetermined(matrix)] = np.nan
        what = (
            _plural(ratio_word(self.fit, self.logarithms)).capitalize()
            if exponent
            else f"Differences of {self._unit()}"
        )
        return Estimated(
            fit=self.fit,
            labels=pd.concat(tables, ignore_index=True),
            estimate=value,
            jacobian=slope,
            what=f"{what}{_within(within)}",
            level=self.level if level is None else level,
            df_method=self.df_method,
            shown="exp" if exponent else "as they are",
            families=np.array(families, dtype=np.intp),
            adjust=adjust,
            n_means=n_means,
            notes=self.notes[:1],
        )

    def _ratio(self, ratio: bool | None) -> tuple[bool, bool]:
        """Whether contrasts are ratios, in names and in numbers."""
        possible = self.logarithms or bool(ratio_word(self.fit, False))
        if ratio is None:
            ratio = self.shown == "mean" and bool(ratio_word(self.fit, False))
        if ratio and (not possible or self.what.startswith("Slopes")):
            raise DataError(
                f"ratio=True: differences of {self._unit()} are no logarithms of ratios; means with average='response' "
                "have ratios of means"
            )
        return ratio, ratio

    def _unit(self) -> str:
        if self.what.startswith("Slopes"):
            return "slopes"
        return "means" if self.logarithms or self.fit.is_linear else "linear predictors"

    def _undetermined(self, matrix: Array) -> NDArray[np.bool_]:
        """Contrasts that involve what the rows of the fit do not determine, (m,)."""
        if self.all_columns is not None:
            return coded.unknown_combinations(self.fit, matrix @ self.all_columns)
        nothing = ~np.isfinite(self.estimate)
        return np.asarray((np.abs(matrix[:, nothing]) > 0).any(axis=1))


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
    _check_choice("kind", kind, ("link", "response"))
    question = Question(outcome=kind, random=random)
    question.check()
    simple = kind == "link" or fit.family.mean_is_response
    default = "link" if simple and (random == "zero" or (kind == "link" and random == "marginal")) else "response"
    average = default if average is None else average
    _check_choice("average", average, ("link", "response"))
    if average == "link" and default == "response":
        raise DataError(
            f"average='link' does not go with random={random!r} and kind={kind!r}: a mean over groups, or with a zero "
            "part or truncation, is an average of responses; leave average= out"
        )
    if average == "link":
        question = Question(outcome="link", random="zero")
    needs = needs_of(fit, question)
    grid = reference_grid(fit, [*over, *within], at or {}, weights, needs)
    rows = coded.grid(fit, grid.data(fit), grid.n, needs)
    means = _over_groups(fit, rows, question, None)
    shown = "mean" if kind == "response" and average == "link" and not fit.is_linear else "as they are"
    what = "Marginal means"
    if kind == "link" and not fit.is_linear:
        what = f"Marginal means on the scale of the {fit.family.link} link"
    return _collected(
        fit, grid, rows, means, shown, what, _notes(fit, grid, weights, question, average, kind), over, within, level,
        df_method, logarithms=average == "response" and kind == "response",
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
    _check_choice("kind", kind, ("link", "response"))
    question = Question(outcome=kind, random=random)
    question.check()
    if kind == "link" and random == "marginal":
        question = Question(outcome="link", random="zero")
    needs = needs_of(fit, question)
    grid = reference_grid(fit, over, at or {}, weights, needs, slope=column)
    data = grid.data(fit)

    def code(values: Array) -> CodedRows:
        return coded.grid(fit, {**data, column: values}, grid.n, needs)

    rows = code(np.asarray(data[column], dtype=np.float64))
    towards = direction(fit, own, code, np.asarray(data[column], dtype=np.float64))
    means = _over_groups(fit, rows, question, towards)
    scale = "" if kind == "response" or fit.is_linear else f" on the scale of the {fit.family.link} link"
    notes = _notes(fit, grid, weights, question, "link" if kind == "link" else "response", kind)
    return _collected(
        fit, grid, towards if kind == "link" else rows, means, "as they are", f"Slopes of {column}{scale}", notes, over,
        [], level, df_method, logarithms=False,
    )  # fmt: skip


def _over_groups(fit: Fit, rows: CodedRows, question: Question, towards: CodedRows | None) -> RowMeans:
    """Means, or slopes, of rows of a grid; with conditional modes averaged over the groups of the fit.

    With several grouping factors each combination of their levels that occurs counts once.
    """

    def one(own: CodedRows, other: CodedRows | None) -> RowMeans:
        return row_means(fit, own, question) if other is None else row_slopes(fit, own, other, question)

    rows = _undetermined_later(rows, question)
    if question.random != "conditional" or not fit.design.random_terms:
        return one(rows, towards)
    codes = np.unique(np.column_stack([factor.codes for factor in fit.design.grouping_factors]), axis=0)
    value, jacobian = np.empty(rows.n), np.empty((rows.n, len(fit.psi)))
    for i in range(rows.n):
        which = np.full(len(codes), i)
        groups = tuple(codes[:, k] for k in range(codes.shape[1]))
        own, other = _with_codes(rows.take(which), groups), None
        if towards is not None:
            other = _with_codes(towards.take(which), groups)
        found = one(own, other)
        value[i], jacobian[i] = found.value.mean(), found.jacobian.mean(axis=0)
    return RowMeans(value, jacobian)


def _with_codes(rows: CodedRows, codes: tuple[NDArray[Any], ...]) -> CodedRows:
    return replace(rows, codes=codes)


def _undetermined_later(rows: CodedRows, question: Question) -> CodedRows:
    """Averages of linear predictors may be determined where single ones are not: that is asked of the averages."""
    if question.outcome != "link":
        return rows
    return replace(rows, unknown=np.zeros(rows.n, dtype=np.bool_))


def _collected(
    fit: Fit,
    grid: Grid,
    rows: CodedRows,
    means: RowMeans,
    shown: str,
    what: str,
    notes: tuple[str, ...],
    over: list[str],
    within: list[str],
    level: float,
    df_method: str | None,
    *,
    logarithms: bool,
) -> MarginalMeans:
    """Averages over the grid, those that are not determined NaN, with a warning that names them."""
    k = len(grid.targets)
    shape = (grid.n // k, k)
    value = _weighted(grid.weights, means.value.reshape(shape))
    jacobian = _weighted(grid.weights, means.jacobian.reshape(*shape, -1))
    linear = what.startswith("Slopes") or not logarithms
    columns = None
    if rows.all_columns is not None and linear and not np.isnan(means.value).any():
        columns = _weighted(grid.weights, rows.all_columns.reshape(*shape, -1))
    estimate = value.copy()
    empty = ~(grid.weights.sum(axis=0) > 0)
    nothing = np.isnan(value) | empty
    if columns is not None:
        nothing |= coded.unknown_combinations(fit, columns)
    estimate[nothing] = np.nan
    if nothing.any():
        warn_caller(_message(fit, grid.targets, nothing, empty), NotEstimableWarning)
    return MarginalMeans(
        fit=fit,
        labels=grid.targets if len(grid.targets.columns) else pd.DataFrame({"": ["all"]}),
        estimate=estimate,
        jacobian=jacobian,
        what=what,
        level=level,
        df_method=df_method,
        shown=shown,
        notes=notes,
        tested=what.startswith("Slopes"),
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


def _combine(matrix: Array, values: Array) -> Array:
    """Combinations in which what has no coefficient does not count, and what is NaN makes NaN."""
    clean = np.where(np.isfinite(values), values, 0.0)
    result = np.asarray(matrix @ clean)
    lost = (matrix != 0).astype(float) @ (~np.isfinite(values)).astype(float) > 0
    result[lost] = np.nan
    return result


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
    if kind == "response" and fit.design.random_terms and not fit.is_linear:
        words = {
            "zero": "random effects of zero",
            "conditional": "averaged over the groups of the fit",
            "marginal": "averaged over the distribution of the random effects",
        }
        notes.append(words["zero" if average == "link" else question.random])
    return ("; ".join(notes),) if notes else ()


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else label_of(value)


# ---- contrasts ---------------------------------------------------------------------------------------------------


def _groups(labels: pd.DataFrame, within: list[str]) -> list[tuple[tuple[Any, ...], NDArray[np.intp]]]:
    """The means of each combination of levels, in order."""
    keys = [tuple(row) for row in labels[within].itertuples(index=False)] if within else [()] * len(labels)
    return [(key, np.flatnonzero([own == key for own in keys])) for key in dict.fromkeys(keys)]


def _simple(
    labels: pd.DataFrame, over: list[str], kind: Any, reference: Any, ratio: bool
) -> tuple[pd.DataFrame, Array, str]:
    texts = [" ".join(label_of(value) for value in row) for row in labels[over].itertuples(index=False)]
    found = contrast_set(kind, texts, reference, ratio)
    return pd.DataFrame({"contrast": found.names}), found.rows, found.kind


def _factorial(
    labels: pd.DataFrame, kinds: Mapping[str, str], reference: Any, ratio: bool
) -> tuple[pd.DataFrame, Array, str]:
    """Contrasts of one column of contrasts of another, and so on; the first column varies fastest."""
    levels = {name: list(dict.fromkeys(labels[name])) for name in kinds}
    sets: dict[str, ContrastSet] = {}
    for name, kind in kinds.items():
        own = reference if kind == "reference" and not isinstance(reference, Mapping) else None
        if isinstance(reference, Mapping):
            own = reference.get(name)
        sets[name] = contrast_set(kind, [label_of(value) for value in levels[name]], own, ratio)
    rows: Array = np.ones((1, 1))
    for found in sets.values():
        rows = np.asarray(np.kron(found.rows, rows), dtype=np.float64)
    places = np.ravel_multi_index(
        [[levels[name].index(value) for value in labels[name]] for name in kinds],
        [len(own) for own in levels.values()],
        order="F",
    )
    names = np.unravel_index(np.arange(len(rows)), [len(found.rows) for found in sets.values()], order="F")
    table = {name: [found.names[k] for k in own] for (name, found), own in zip(sets.items(), names, strict=True)}
    return pd.DataFrame(table), rows[:, places], "interaction" if len(kinds) > 1 else next(iter(kinds.values()))


def _check_adjust(adjust: str, word: str) -> None:
    needed = {"tukey": "pairwise", "dunnett": "reference"}.get(adjust)
    if needed is not None and word != needed:
        raise DataError(
            f"adjust={adjust!r} is for contrasts of kind {needed!r}, not {word!r}; 'single-step' is for any"
        )


def _plural(word: str) -> str:
    return word.replace("ratio", "ratios")


def _within(names: list[str]) -> str:
    return f", by {', '.join(names)}" if names else ""


def _names(names: str | Sequence[str] | None) -> list[str]:
    given = [] if names is None else [names] if isinstance(names, str) else list(names)
    twice = [name for name in given if given.count(name) > 1]
    if twice:
        raise DataError(f"{twice[0]!r} is named twice")
    return given


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise DataError(f"{name}={value!r} is not available; choose one of {', '.join(map(repr, choices))}")
