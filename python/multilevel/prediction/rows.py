"""Rows to predict for, those of the fit or new ones, as linear predictors with the columns that make them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..columns.expressions import Rows as ExpressionRows
from ..columns.frame import Frame
from ..columns.selection import argument_column
from ..design.choices import crossed_factors
from ..design.kinds import codes_of_rows
from ..errors import DataError, NotEstimableWarning, warn_caller
from .estimability import not_estimable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from ..design.design import Design
    from ..design.fixed import FixedColumn
    from ..design.new_data import NewDesign
    from ..fitting.record import Fit

    Array = NDArray[np.float64]

TREATMENTS = ("conditional", "zero", "marginal")
NEW_LEVELS = ("error", "zero", "marginal")


@dataclass(frozen=True)
class Predictor:
    """A linear predictor without its random effects: of the mean, or of one of the family's parameters.

    Attributes
    ----------
    parameter : str
        Of the family; empty for the mean.
    fixed : ndarray, (n,) or ()
        Columns times their coefficients, and the offset; one number where all rows share it.
    columns : tuple of (int, ndarray or None)
        Where in psi the coefficients stand, and the columns; None is the constant 1.
    """

    parameter: str
    fixed: Array
    columns: tuple[tuple[int, NDArray[Any] | None], ...]


@dataclass(frozen=True)
class TermRows:
    """A random-effects term in the rows.

    Attributes
    ----------
    term : int
        Its position in `Design.random_terms`.
    predictor : int
        Position of the predictor that it belongs to.
    known : ndarray of int, (n,)
        Levels whose random effects stand at their conditional modes; -1 where they do not.
    integrated : ndarray of bool, (n,)
        Whether the random effects are those of a group drawn anew.
    columns : ndarray, (n, q)
    group : ndarray of int, (n,), or None
        Of a factor whose levels differ within sets of alternatives: equal where rows belong to one group.
    """

    term: int
    predictor: int
    known: NDArray[np.int32]
    integrated: NDArray[np.bool_]
    columns: Array
    group: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class PredictionRows:
    """Rows with all that their predictions need.

    Attributes
    ----------
    index : pandas.Index
    predictors : tuple of Predictor
        Those asked for.
    terms : tuple of TermRows
        Those whose random effects count.
    trials, weights : ndarray, (n,), or None
    unknown : ndarray of bool, (n,)
        Rows whose values mean nothing: something is missing, or the data of the fit do not determine them.
    """

    index: pd.Index
    predictors: tuple[Predictor, ...]
    terms: tuple[TermRows, ...]
    trials: Array | None
    weights: Array | None
    unknown: NDArray[np.bool_]

    @property
    def n(self) -> int:
        """How many."""
        return len(self.index)


def row_index(design: Design) -> pd.Index:
    """Labels of the rows used: the pandas frame's own, otherwise their positions in the frame."""
    if design.index is not None:
        return design.index
    return pd.RangeIndex(design.n_rows) if design.rows is None else pd.Index(design.rows)


def treatments(fit: Fit, random: str | Sequence[str] | Mapping[str, str]) -> tuple[str, ...]:
    """Per grouping factor what becomes of its random effects: "conditional", "zero" or "marginal".

    Raises
    ------
    ValueError
        Words or grouping factors that do not exist.
    """
    names = [factor.name for factor in fit.design.grouping_factors]
    if isinstance(random, str):
        if random not in TREATMENTS:
            hint = f"random=[{random!r}]" if random in names else f"a list of grouping factors ({', '.join(names)})"
            raise ValueError(
                f"random={random!r} is not available; choose one of 'conditional', 'zero', 'marginal', or {hint}"
            )
        return (random,) * len(names)
    if not isinstance(random, Iterable):
        raise ValueError(
            f"random={random!r} is not available; choose 'conditional', 'zero', 'marginal', or a list of grouping "
            "factors"
        )
    chosen = dict(random) if isinstance(random, dict) else dict.fromkeys(random, "conditional")
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise ValueError(
            f"random: there is no grouping factor {unknown[0]!r}; the model has {', '.join(map(repr, names)) or 'none'}"
        )
    wrong = [(name, own) for name, own in chosen.items() if own not in TREATMENTS]
    if wrong:
        raise ValueError(f"random: {wrong[0][1]!r} of {wrong[0][0]!r} is none of 'conditional', 'zero', 'marginal'")
    return tuple(chosen.get(name, "zero") for name in names)


def rows_of(
    fit: Fit,
    newdata: Any,
    random: Sequence[str],
    new_levels: str = "error",
    offset: ArrayLike | str | None = None,
    parameters: Collection[str] = ("",),
    trials: ArrayLike | str | None = None,
    weights: ArrayLike | str | None = None,
) -> PredictionRows:
    """The rows of `newdata`, or those of the fit without it.

    Parameters
    ----------
    fit : Fit
    newdata : data frame or None
    random : sequence of str
        Per grouping factor, as `treatments` gives it.
    new_levels : {"error", "zero", "marginal"}
    offset, trials, weights : array, number or column name, optional
        Of new rows.
    parameters : collection of str
        The predictors that are needed: empty for the mean, else parameters of the family.
    """
    if newdata is None:
        for name, given in (("offset", offset), ("trials", trials), ("weights", weights)):
            if given is not None:
                raise DataError(f"{name}= goes with newdata; the rows of the fit have their {name} already")
        return _own_rows(fit, random, parameters)
    return _new_rows(fit, newdata, random, new_levels, offset, parameters, trials, weights)


def _own_rows(fit: Fit, random: Sequence[str], parameters: Collection[str]) -> PredictionRows:
    design, n = fit.design, fit.n_rows
    fixed = {"": (design.fixed, design.offset)}
    fixed |= {part.parameter: (part.fixed, part.offset) for part in design.parts}
    predictors = _predictors(fit, fixed, parameters, n, design.response.kinds)
    codes = [factor.codes for factor in design.grouping_factors]
    columns = [term.columns for term in design.random_terms]
    groups = {f: codes[f].astype(np.intp) for f in crossed_factors(design.choices, design.grouping_factors)}
    terms = _terms(fit, random, [p.parameter for p in predictors], codes, columns, n, "zero", groups)
    return PredictionRows(
        row_index(design), predictors, terms, design.response.size, design.weights, np.zeros(n, dtype=bool)
    )


def _new_rows(
    fit: Fit,
    newdata: Any,
    random: Sequence[str],
    new_levels: str,
    offset: ArrayLike | str | None,
    parameters: Collection[str],
    trials: ArrayLike | str | None,
    weights: ArrayLike | str | None,
) -> PredictionRows:
    factors = fit.design.grouping_factors
    needed = {term.grouping_factor for term in fit.design.random_terms if term.parameter in parameters}
    # a group drawn anew needs no name, but the columns before its bar
    wanted = [factors[f].name for f in sorted(needed) if random[f] != "zero"]
    crossed = crossed_factors(fit.design.choices, factors)  # of which it matters who shares a level
    told = [f for f in sorted(needed) if random[f] == "conditional" or (f in crossed and random[f] != "zero")]
    known = [factors[f].name for f in told]
    parts = [own.name for own in fit.components if own.parameter in parameters]
    new = fit.design.code_new(
        newdata,
        need_random=wanted,
        offset=offset,
        need_parts=parts,
        need_mean="" in parameters,
        need_levels=known,
    )
    if new_levels == "error":
        check_levels(fit, new, [own == "conditional" for own in random])
    n = new.n_rows
    fixed = {"": (new.fixed, new.offset)} | {part.parameter: (part.fixed, part.offset) for part in new.parts}
    kinds = None
    if fit.family.kinds and any(parameters):
        kinds = codes_of_rows(fit.family, ExpressionRows(Frame(newdata), None))
    predictors = _predictors(fit, fixed, parameters, n, kinds)
    groups = {f: _groups(factors[f].name, newdata) for f in crossed if random[f] != "zero"}
    parameters_of = [p.parameter for p in predictors]
    terms = _terms(fit, random, parameters_of, new.codes, new.random_columns, n, new_levels, groups)
    index = new.index if new.index is not None else pd.RangeIndex(n)
    unknown = new.missing.copy()
    if kinds is not None:
        unknown |= kinds < 0
    if "" in parameters:
        places = not_estimable(fit, new.fixed, new.fixed_terms, n, new.missing)
        if places is not None:
            unknown |= places.rows
            warn_caller(not_estimable_message(fit, places.places, index[places.rows], n), NotEstimableWarning)
    return PredictionRows(
        index,
        predictors,
        terms,
        _numbers_of_rows("trials", trials, newdata, n),
        _numbers_of_rows("weights", weights, newdata, n),
        unknown,
    )


def _numbers_of_rows(name: str, values: ArrayLike | str | None, newdata: Any, n: int) -> Array | None:
    """An argument with one positive number per row, or one for all."""
    if values is None:
        return None
    if not isinstance(values, str) and np.ndim(values) == 0:
        values = np.full(n, values)
    column = argument_column(name, values, Frame(newdata))
    assert column is not None
    assert column.values is not None
    numbers = np.asarray(column.values, dtype=np.float64)
    if column.missing is not None:
        numbers = np.where(column.missing, np.nan, numbers)
    if np.any(numbers <= 0) or np.any(np.isinf(numbers)):
        raise DataError(f"{name} must be positive numbers; row {int(np.argmax(~(numbers > 0)))} is not")
    return numbers


def _predictors(
    fit: Fit,
    fixed: Mapping[str, tuple[Sequence[FixedColumn], Array | None]],
    parameters: Collection[str],
    n: int,
    kinds: NDArray[np.int64] | None = None,
) -> tuple[Predictor, ...]:
    """In the order: the mean, then the family's parameters; that of rows of several kinds is their number."""
    found = []
    if "" in parameters:
        places = {name: at for at, name in enumerate(fit.fixed_names)}
        found.append(_predictor("", *fixed[""], places, fit.beta, n))
    components = {own.parameter: own for own in fit.components}
    for own in fit.family.parameters:
        if own.name not in parameters:
            continue
        if own.part == "kind":
            assert kinds is not None
            found.append(Predictor(own.name, np.maximum(kinds, 0).astype(np.float64), ()))
        elif own.name in components:
            part = components[own.name]
            places = {name: part.first + at for at, name in enumerate(part.names)}
            found.append(_predictor(own.name, *fixed[own.name], places, fit.psi, n))
        else:
            column = ((fit.phi_places[own.name], None),) if own.name in fit.phi_places else ()
            found.append(Predictor(own.name, np.array(own.phi(fit.phi[own.name])), column))
    return tuple(found)


def _predictor(
    parameter: str,
    columns: Sequence[FixedColumn],
    offset: Array | None,
    places: Mapping[str, int],
    psi: Array,
    n: int,
) -> Predictor:
    """Redundant columns have no coefficient."""
    total = np.zeros(n) if offset is None else np.array(offset, dtype=np.float64)
    kept = tuple((places[column.name], column.values) for column in columns if column.name in places)
    for place, values in kept:
        total += psi[place] if values is None else psi[place] * values
    return Predictor(parameter, total, kept)


def _terms(
    fit: Fit,
    random: Sequence[str],
    parameters: Sequence[str],
    codes: Sequence[NDArray[np.int32]],
    columns: Sequence[Sequence[NDArray[Any] | None]],
    n: int,
    new_levels: str,
    groups: Mapping[int, NDArray[np.intp]],
) -> tuple[TermRows, ...]:
    found = []
    for at, term in enumerate(fit.design.random_terms):
        use = random[term.grouping_factor]
        if use == "zero" or term.parameter not in parameters:
            continue
        own = np.column_stack([np.ones(n) if c is None else np.asarray(c, dtype=np.float64) for c in columns[at]])
        anew = np.full(n, use == "marginal")
        known = np.full(n, -1, dtype=np.int32)
        if use == "conditional":
            known = codes[term.grouping_factor]
            anew = (known < 0) & (new_levels == "marginal")
        group = groups.get(term.grouping_factor)
        found.append(TermRows(at, parameters.index(term.parameter), known, anew, own, group))
    return tuple(found)


def _groups(name: str, newdata: Any) -> NDArray[np.intp]:
    """Numbers of the levels of a grouping factor in new rows, those that the fit does not know among them."""
    frame, total = Frame(newdata), np.zeros(Frame(newdata).n_rows, dtype=np.intp)
    for variable in name.split(":"):
        column = frame[variable]
        values = column.codes if column.codes is not None else column.values
        assert values is not None
        own = np.unique(values, return_inverse=True)[1].ravel()
        total = np.unique(total * (int(own.max(initial=0)) + 1) + own, return_inverse=True)[1].ravel()
    return total


def check_levels(fit: Fit, new: NewDesign, matter: Sequence[bool]) -> None:
    """Refuses levels that the fit has not seen, of the grouping factors where they matter."""
    for factor, labels, own in zip(fit.design.grouping_factors, new.unseen, matter, strict=False):
        if own and len(labels):
            raise DataError(_unseen_message(factor.name, labels))


def _unseen_message(factor: str, labels: Any) -> str:
    shown = ", ".join(repr(str(label)) for label in labels[:5]) + (", ..." if len(labels) > 5 else "")
    return (
        f"newdata has {len(labels)} level{'s' if len(labels) > 1 else ''} of {factor!r} that the fit has not seen: "
        f'{shown}. new_levels="zero" predicts for them with random effects of zero, new_levels="marginal" averages '
        'over new groups, random="zero" leaves random effects out of every row.'
    )


def not_estimable_message(fit: Fit, places: str, labels: pd.Index, n_rows: int) -> str:
    """Which predictions are NaN, and why."""
    rows = ", ".join(map(str, labels[:5])) + (", ..." if len(labels) > 5 else "")
    dropped = ", ".join(map(repr, fit.redundant[:5])) + (", ..." if len(fit.redundant) > 5 else "")
    return (
        f"{len(labels)} of {n_rows} predictions {'is' if len(labels) == 1 else 'are'} NaN, at {places} "
        f"(row{'s' if len(labels) > 1 else ''} {rows}): the data of the fit do not determine the mean there (the "
        f"redundant column{'s' if len(fit.redundant) > 1 else ''} {dropped} had to be dropped); predict where "
        "there were data, or write the formula without what is redundant"
    )
