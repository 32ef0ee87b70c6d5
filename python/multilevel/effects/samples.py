"""The rows that comparisons are averaged over: those of the fit or others, coded a chunk at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..columns.frame import Frame
from ..errors import DataError
from ..prediction.predict import row_index
from . import rows as coded
from .means import CHUNK, RowMeans
from .question import Question, needs_of
from .variables import checked_values, column_of, columns_by_name, constant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from ..design.source import SourceColumn
    from ..fitting.record import Fit
    from .rows import CodedRows, Needs

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sample:
    """The rows that are averaged over, a chunk at a time."""

    fit: Fit
    question: Question
    needs: Needs
    data: dict[str, Any] | None  # None: the rows of the fit
    n: int
    index: pd.Index
    groups: NDArray[np.intp]
    group_labels: list[tuple[Any, ...]]
    by: list[str]
    weights: Array

    def chunks(self) -> Iterator[slice]:
        """Slices of the rows."""
        for start in range(0, self.n, CHUNK):
            yield slice(start, min(start + CHUNK, self.n))

    def own(self, column: SourceColumn, chunk: slice) -> Array:
        """The numbers of a column in some rows."""
        if self.data is not None and column.name not in self.data:
            raise DataError(f"newdata has no column {column.name!r}")
        values = column.values if self.data is None else np.asarray(self.data[column.name])
        return np.asarray(values[chunk], dtype=np.float64)

    def coded(self, changes: Mapping[str, Any], chunk: slice) -> CodedRows:
        """Some rows with columns changed."""
        if self.data is None:
            return coded.sample(self.fit, changes, self.needs, np.arange(chunk.start, chunk.stop))
        data = {name: values[chunk] for name, values in self.data.items()}
        found, new = coded.others(self.fit, {**data, **changes}, self.needs)
        if self.needs.levels:
            coded.check_levels(self.fit, new)
        return found


def sample_of(
    fit: Fit, question: Question, by: str | Sequence[str] | None, newdata: Any, weights: ArrayLike | None
) -> Sample:
    """The rows of the fit, or of `newdata`, in the groups that the columns `by` make.

    Raises
    ------
    DataError
        A column that is not there, or weights that do not fit the rows.
    """
    question.check(fit)
    needs = needs_of(fit, question)
    names = [] if by is None else [by] if isinstance(by, str) else list(by)
    if newdata is None:
        n, index, data = fit.n_rows, row_index(fit.design), None
        columns = columns_by_name(fit)
        groups = {factor.name: factor for factor in fit.design.grouping_factors}
        keys: list[tuple[Any, Any]] = []
        for name in names:
            if name in groups:
                keys.append((groups[name].codes, pd.Index(groups[name].levels)))
            elif name in columns and columns[name].levels is not None:
                keys.append((columns[name].values, columns[name].levels))
            else:
                keys.append(pd.factorize(np.asarray(column_of(fit, name).values), sort=True))
    else:
        frame = Frame(newdata)
        n, index = frame.n_rows, frame.index if frame.index is not None else pd.RangeIndex(frame.n_rows)
        data = {name: _native(newdata, name) for name in frame.names}
        keys = []
        for name in names:
            if name not in frame:
                raise DataError(f"by: newdata has no column {name!r}{frame.nearest(name)}")
            keys.append(frame[name].categories("by", whole=False))
    group, labels = _grouped(keys, n)
    own = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    if own.shape != (n,) or not (own >= 0).all() or not np.isfinite(own).all():
        raise DataError(f"weights: {n} numbers are needed, one for each row, none of them negative")
    return Sample(fit, question, needs, data, n, index, group, labels, names, own)


def _native(newdata: Any, name: str) -> Any:
    """A column that slices give rows of."""
    values = newdata[name]
    if isinstance(values, pd.Series):
        return values.array if isinstance(values.dtype, pd.CategoricalDtype) else values.to_numpy()
    return values if isinstance(values, np.ndarray) else values[:]


def _grouped(keys: list[Any], n: int) -> tuple[NDArray[np.intp], list[tuple[Any, ...]]]:
    """Codes of the combinations that occur, in order, and their labels."""
    if not keys:
        return np.zeros(n, dtype=np.intp), [()]
    table, codes = np.unique(np.column_stack([own for own, _ in keys]), axis=0, return_inverse=True)
    labels = [tuple(levels[at] for at, (_, levels) in zip(row, keys, strict=True)) for row in table]
    return np.asarray(codes, dtype=np.intp).ravel(), labels


def over_rows(
    sample: Sample,
    at: Mapping[str, Any] | None,
    average: bool,
    n_settings: int,
    values: Callable[[slice, Mapping[str, Any]], list[RowMeans]],
) -> tuple[list[RowMeans], pd.DataFrame]:
    """Means per setting, of each row or averaged, for every combination of `at`; and labels of the result's rows."""
    fit = sample.fit
    if at is not None and not isinstance(at, Mapping):
        raise DataError(f"at is a mapping of columns to values, such as {{'x': [0, 1]}}; got {at!r:.60}")
    given = {name: checked_values(fit, column_of(fit, name), own, "at") for name, own in (at or {}).items()}
    columns = columns_by_name(fit)
    n_groups, P = len(sample.group_labels), len(fit.psi)
    places = ""
    found: list[list[RowMeans]] = [[] for _ in range(n_settings)]
    labels = []
    for combination in product(*given.values()):
        sums = [(np.zeros(n_groups), np.zeros((n_groups, P))) for _ in range(n_settings)]
        total = np.zeros(n_groups)
        pieces: list[list[RowMeans]] = [[] for _ in range(n_settings)]
        for chunk in sample.chunks():
            size = chunk.stop - chunk.start
            changes = {
                name: constant(columns[name], value, size) for name, value in zip(given, combination, strict=True)
            }
            rows = values(chunk, changes)
            places = places or next((own.places for own in rows if own.places), "")
            if not average:
                for own, row in zip(pieces, rows, strict=True):
                    own.append(row)
                continue
            _add(sample, chunk, rows, sums, total)
        if average:
            with np.errstate(divide="ignore", invalid="ignore"):
                for own, (value, jacobian) in zip(found, sums, strict=True):
                    own.append(RowMeans(value / total, jacobian / total[:, None]))
            names = (*sample.by, *given)
            labels += [dict(zip(names, (*own, *combination), strict=True)) for own in sample.group_labels]
            continue
        for own, parts in zip(found, pieces, strict=True):
            own.append(RowMeans(np.concatenate([p.value for p in parts]), np.vstack([p.jacobian for p in parts])))
        labels += [{"row": label, **dict(zip(given, combination, strict=True))} for label in sample.index]
    joined = [
        RowMeans(
            np.concatenate([own.value for own in parts]), np.vstack([own.jacobian for own in parts]), places=places
        )
        for parts in found
    ]
    return joined, pd.DataFrame(labels, index=range(len(labels)))


def _add(sample: Sample, chunk: slice, rows: list[RowMeans], sums: list[tuple[Array, Array]], total: Array) -> None:
    """Adds a chunk of rows to the sums of each group; rows of other data with a missing value do not count."""
    weights, groups = sample.weights[chunk].copy(), sample.groups[chunk]
    if sample.data is not None:
        lost = np.zeros(len(weights), dtype=np.bool_)
        for row in rows:
            lost |= False if row.missing is None else row.missing
        weights[lost] = 0.0
        for row in rows:
            row.value[lost], row.jacobian[lost] = 0.0, 0.0
    for group in range(len(total)):
        own = weights if len(total) == 1 else np.where(groups == group, weights, 0.0)
        if not own.any():
            continue
        inside = own > 0
        total[group] += own.sum()
        for row, (value, jacobian) in zip(rows, sums, strict=True):
            if inside.all():
                value[group] += own @ row.value
                jacobian[group] += own @ row.jacobian
            else:
                value[group] += own[inside] @ row.value[inside]
                jacobian[group] += own[inside] @ row.jacobian[inside]
