"""Rows at which means are asked for, coded as the fit coded its own: the fit's with columns changed, or others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns.expressions import Rows as ExpressionRows
from ..columns.frame import Frame
from ..design.fixed import FixedColumn
from ..design.offset import Offset, offset_values
from ..errors import DataError
from ..inference.term_contrasts import kept_columns
from ..prediction.estimability import not_estimable
from .variables import columns_by_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..design.new_data import NewDesign
    from ..fitting.record import Fit

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CodedRows:
    """Rows as the predictors see them.

    Attributes
    ----------
    x : ndarray, (n, p)
        Columns of the fixed effects.
    all_columns : ndarray, (n, p + redundant), or None
        Redundant columns included, where there are some.
    offset : ndarray, (n,)
    z : tuple of ndarray, (n, q)
        Per random-effects term; empty where random effects are not asked for.
    codes : tuple of ndarray, (n,)
        Per grouping factor: levels, -1 for one that the fit has not seen; empty where levels are not asked for.
    parts : dict
        By parameter of the family: columns (n, k) of its part and its offset (n,).
    trials : ndarray, (n,), or None
    missing : ndarray of bool, (n,)
    unknown : ndarray of bool, (n,)
        Rows whose mean the rows of the fit do not determine.
    places : str
        Where these are, in words.
    """

    x: Array
    all_columns: Array | None
    offset: Array
    z: tuple[Array, ...]
    codes: tuple[NDArray[Any], ...]
    parts: dict[str, tuple[Array, Array]]
    trials: Array | None
    missing: NDArray[np.bool_]
    unknown: NDArray[np.bool_]
    places: str = ""

    @property
    def n(self) -> int:
        """How many."""
        return len(self.x)

    def take(self, rows: slice | NDArray[Any]) -> CodedRows:
        """Some of them."""
        return replace(
            self,
            x=self.x[rows],
            all_columns=None if self.all_columns is None else self.all_columns[rows],
            offset=self.offset[rows],
            z=tuple(own[rows] for own in self.z),
            codes=tuple(own[rows] for own in self.codes),
            parts={name: (x[rows], offset[rows]) for name, (x, offset) in self.parts.items()},
            trials=None if self.trials is None else self.trials[rows],
            missing=self.missing[rows],
            unknown=self.unknown[rows],
        )

    def moved(self, direction: CodedRows, step: float | Array) -> CodedRows:
        """These rows plus a multiple of others, column by column."""
        by_row = np.reshape(step, (-1, 1))
        return replace(
            self,
            x=self.x + by_row * direction.x,
            offset=self.offset + step * direction.offset,
            z=tuple(a + by_row * b for a, b in zip(self.z, direction.z, strict=True)),
            parts={
                name: (x + by_row * direction.parts[name][0], offset + step * direction.parts[name][1])
                for name, (x, offset) in self.parts.items()
            },
        )


@dataclass(frozen=True)
class Needs:
    """What a question needs of rows beside the columns of the fixed effects."""

    random: bool = False
    levels: bool = False
    parts: tuple[str, ...] = ()
    known: bool = field(default=True, compare=False)  # whether rows are checked for being determined by the data


def sample(fit: Fit, changes: Mapping[str, Any], needs: Needs, rows: NDArray[np.int64] | None = None) -> CodedRows:
    """The rows of the fit, or some of them, with the columns in `changes` in place of their own."""
    n = fit.n_rows if rows is None else len(rows)
    data: dict[str, Any] = {}
    for name, column in columns_by_name(fit).items():
        data[name] = column.as_given() if rows is None else column.as_given()[rows]
    data.update(changes)
    if not data:
        data = {"": np.zeros(n)}  # a model of intercepts reads no column, and yet has rows
    new = _code(fit, data, needs, array_offset(fit), rows)
    size = fit.design.response.size
    trials = None if size is None else np.asarray(size, dtype=np.float64) if rows is None else size[rows].astype(float)
    codes = tuple(factor.codes if rows is None else factor.codes[rows] for factor in fit.design.grouping_factors)
    return _coded(fit, new, needs, codes if needs.levels else (), trials)


def grid(fit: Fit, data: Mapping[str, Any], n: int, needs: Needs) -> CodedRows:
    """Rows of a grid, whose columns `data` has; an offset that was given as an array is at its mean."""
    own = array_offset(fit)
    mean = None if own is None else np.full(n, own.mean())
    return _coded(fit, _code(fit, dict(data) or {"": np.zeros(n)}, needs, mean, None), needs, (), None)


def others(fit: Fit, newdata: Any, needs: Needs) -> tuple[CodedRows, NewDesign]:
    """Rows of another data frame, and what was read."""
    new = fit.design.code_new(
        newdata,
        need_random=needs.random,
        need_parts=needs.parts,
        need_levels=None if needs.levels and needs.random else (),
    )
    return _coded(fit, new, needs, new.codes if needs.levels else (), None), new


def array_offset(fit: Fit) -> Array | None:
    """The offset that the fit was given as an array, which no column holds; (n,)."""
    if not fit.design.coding.offset.array:
        return None
    assert fit.design.offset is not None
    formula = fit.design.formula
    if not formula.offsets:
        return np.asarray(fit.design.offset, dtype=np.float64)
    frame = Frame({name: column.as_given() for name, column in columns_by_name(fit).items()})
    terms = fit.design.coding.terms
    of_formula = offset_values(formula, Offset(), ExpressionRows(frame, None, terms.functions), terms.state)
    assert of_formula is not None
    return np.asarray(fit.design.offset - of_formula, dtype=np.float64)


def _code(
    fit: Fit, data: Mapping[str, Any], needs: Needs, offset: Array | None, rows: NDArray[np.int64] | None
) -> NewDesign:
    given = offset if offset is None or rows is None else offset[rows]
    return fit.design.code_new(data, need_random=needs.random, need_parts=needs.parts, need_levels=(), offset=given)


def _coded(fit: Fit, new: NewDesign, needs: Needs, codes: tuple[NDArray[Any], ...], trials: Array | None) -> CodedRows:
    n = new.n_rows
    everything = dense(new.fixed, n)
    unknown = not_estimable(fit, new.fixed, new.fixed_terms, n, new.missing) if needs.known else None
    parts = {}
    for part in new.parts:
        component = fit.component(part.name)
        kept = [column for column in part.fixed if column.name not in component.redundant]
        offset = np.zeros(n) if part.offset is None else np.asarray(part.offset, dtype=np.float64)
        parts[part.parameter] = (dense(kept, n), offset)
    return CodedRows(
        x=everything if not fit.redundant else everything[:, kept_columns(fit)],
        all_columns=everything if fit.redundant else None,
        offset=np.zeros(n) if new.offset is None else np.asarray(new.offset, dtype=np.float64),
        z=tuple(_dense_or_ones(columns, n) for columns in new.random_columns) if needs.random else (),
        codes=codes,
        parts=parts,
        trials=trials,
        missing=new.missing,
        unknown=np.zeros(n, dtype=np.bool_) if unknown is None else unknown.rows,
        places="" if unknown is None else unknown.places,
    )


def dense(columns: Any, n: int) -> Array:
    """Columns of the fixed part side by side, (n, columns)."""
    return _dense_or_ones([column.values for column in columns], n)


def _dense_or_ones(columns: Any, n: int) -> Array:
    matrix = np.ones((n, len(columns)))
    for k, values in enumerate(columns):
        if values is not None:
            matrix[:, k] = values
    return matrix


def unknown_combinations(fit: Fit, all_columns: Array) -> NDArray[np.bool_]:
    """Which combinations of rows the rows of the fit do not determine; given by all columns, redundant ones, too."""
    k = len(all_columns)
    columns = tuple(
        FixedColumn(own.name, np.ascontiguousarray(all_columns[:, j])) for j, own in enumerate(fit.design.fixed)
    )
    found = not_estimable(fit, columns, (), k, np.zeros(k, dtype=np.bool_))
    return np.zeros(k, dtype=np.bool_) if found is None else found.rows


def check_levels(fit: Fit, new: NewDesign) -> None:
    """Refuses levels that the fit has not seen, which have no conditional modes."""
    for factor, labels in zip(fit.design.grouping_factors, new.unseen, strict=False):
        if len(labels):
            shown = ", ".join(repr(str(label)) for label in labels[:5]) + (", ..." if len(labels) > 5 else "")
            raise DataError(
                f"newdata has levels of {factor.name!r} that the fit has not seen: {shown}; "
                "random='marginal' averages over all levels that there may be, random='zero' leaves them out"
            )
