"""Reading the user's data frame, column by column, without copying numbers. Knows no formula.

A column is one of four kinds: ``number`` (the user's own buffer), ``bool``, ``category`` (integer codes into sorted or
declared levels) and ``other`` (dates and the like, which only group).
"""

from __future__ import annotations

import datetime
import difflib
import enum
import numbers
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import DataError
from .levels import factorize, sorted_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray


EXACT = 2.0**53  # integers from here on are not all exact as floats

# Python objects that may be labels.
_LABELS = (
    *(str, bytes, numbers.Number, np.generic, datetime.date, datetime.time, datetime.timedelta),
    *(pd.Interval, pd.Period, uuid.UUID, enum.Enum),
)


class Column:
    """One column of the data.

    Parameters
    ----------
    name : str
    kind : str
        "number", "bool", "category", or "other".
    values : ndarray or None
        The numbers or truth values; rows that are `missing` hold anything.
    missing : ndarray of bool or None
        Rows without a value; None when there are none.
    codes, levels, declared
        For kind "category": positions in `levels` (-1 where missing), and whether the user declared the levels.
    finite : bool
        Known to hold no infinite value.
    """

    __slots__ = ("codes", "declared", "finite", "kind", "levels", "missing", "name", "ordered", "values")

    def __init__(
        self,
        name: str,
        kind: str,
        values: NDArray[Any] | None = None,
        missing: NDArray[np.bool_] | None = None,
        codes: NDArray[Any] | None = None,
        levels: pd.Index | None = None,
        *,
        declared: bool = False,
        ordered: bool = False,
        finite: bool = True,
    ) -> None:
        self.name, self.kind, self.values, self.missing = name, kind, values, missing
        self.codes, self.levels, self.declared, self.ordered, self.finite = codes, levels, declared, ordered, finite

    def __len__(self) -> int:
        data = self.codes if self.values is None else self.values
        return 0 if data is None else len(data)

    def take(self, rows: NDArray[np.int64] | None) -> Column:
        """The rows wanted, all of them known to hold a value; None is all rows, without a copy."""
        if rows is None:
            return self
        values = None if self.values is None else self.values[rows]
        codes = None if self.codes is None else self.codes[rows]
        missing = None if self.missing is None else self.missing[rows]
        if missing is not None and not missing.any():
            missing = None
        return Column(
            self.name, self.kind, values, missing, codes, self.levels,
            declared=self.declared, ordered=self.ordered, finite=self.finite,
        )  # fmt: skip

    def check_finite(self, rows: NDArray[np.int64] | None) -> None:
        """Raise `DataError` if a row that is used holds an infinite value."""
        if self.finite or self.kind != "number" or self.values is None:
            return
        infinite = np.isinf(self.values)
        if self.missing is not None:
            infinite &= ~self.missing
        where = np.flatnonzero(infinite)
        if len(where):
            more = f" and {len(where) - 1} more" if len(where) > 1 else ""
            raise DataError(
                f"column '{self.name}' holds an infinite value: {self.values[where[0]]} in {row_text(where[0], rows)}"
                f"{more}; replace it, or make it missing"
            )

    def categories(self, purpose: str, *, whole: bool = True) -> tuple[NDArray[Any], pd.Index]:
        """Codes and levels, whatever the kind; numbers must be `whole` unless it is said that they are labels."""
        if self.codes is not None and self.levels is not None:
            return self.codes, self.levels
        values = self.values
        assert values is not None
        if self.kind == "bool":
            codes = values.astype(np.int8)
            if self.missing is not None:
                codes[self.missing] = -1
            return codes, pd.Index([False, True], dtype=object)
        if self.kind == "number":
            values = _whole(self, purpose, fractions=not whole)
        return factorize(values, self.missing)


class Frame:
    """The columns of a data frame of any kind, read when asked for.

    Parameters
    ----------
    data : pandas, polars or pyarrow frame, anything narwhals reads, or a mapping of columns
    """

    def __init__(self, data: Any) -> None:
        self.index: pd.Index | None = None
        self._columns: dict[str, Column] = {}
        self._native: Any = data
        if isinstance(data, pd.DataFrame):
            self.names = list(data.columns)
            self.n_rows = len(data)
            self.index = data.index
        elif isinstance(data, Mapping) or (isinstance(data, np.ndarray) and data.dtype.names):
            self.names = list(data.dtype.names or ()) if isinstance(data, np.ndarray) else list(data)
            lengths = {str(name): _length(name, data[name]) for name in self.names}
            if len(set(lengths.values())) > 1:
                raise DataError(
                    f"the columns of the data differ in length: {_listed(f'{k} has {v}' for k, v in lengths.items())}"
                )
            self.n_rows = next(iter(lengths.values()), 0)
        else:
            self._native = _narwhals_frame(data)
            self.names = list(self._native.columns)
            self.n_rows = len(self._native)
        self._known = frozenset(self.names)
        if not self.names:
            raise DataError("the data have no columns")

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __getitem__(self, name: str) -> Column:
        column = self._columns.get(name)
        if column is None:
            native = self._native[name]
            if isinstance(native, pd.DataFrame):
                raise DataError(f"the data have {native.shape[1]} columns called '{name}'; rename all but one")
            column = self._columns[name] = read_column(name, native)
        return column

    def declared_in_order(self, column: Column) -> bool:
        """Whether levels that were declared have an order by that: those of polars' Enum and of pyarrow's ordered
        dictionaries. pandas says so apart.
        """
        other = not isinstance(self._native, (pd.DataFrame, Mapping, np.ndarray))
        return other and column.declared

    def nearest(self, name: str) -> str:
        """Advice for a name that is not there, as the end of a sentence."""
        names = [str(n) for n in self.names]
        folded = {n.casefold(): n for n in reversed(names)}
        near = [folded[n] for n in difflib.get_close_matches(name.casefold(), list(folded), n=3, cutoff=0.6)]
        if near:
            return "; did you mean " + " or ".join(f"'{n}'" for n in near) + "?"
        return f"; the columns are {_listed(names)}"


def read_column(name: str, native: Any) -> Column:
    """Read one column of any kind: pandas, narwhals (polars, pyarrow, ...), NumPy or a list."""
    if isinstance(native, (pd.Series, pd.Index)):
        return _from_pandas(name, native)
    if isinstance(native, pd.api.extensions.ExtensionArray):
        return _from_pandas(name, pd.Series(native))
    if isinstance(native, np.ndarray):
        return _from_numpy(name, native)
    if isinstance(native, (list, tuple, range)):
        return _from_numpy(name, _from_list(native))
    import narwhals.stable.v2 as nw

    series = nw.from_native(native, series_only=True, pass_through=True)
    if isinstance(series, nw.Series):
        if series.implementation.is_pandas():
            return _from_pandas(name, series.to_native())
        return _from_narwhals(name, series)
    return _from_numpy(name, np.asarray(native))


def _from_list(values: Any) -> NDArray[Any]:
    # NumPy turns [1, None] into objects, which is right, but ["a", 1] into texts and ["a", None] into objects.
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        return _objects(values)
    if array.dtype.kind == "f" and array.size and np.abs(array[np.isfinite(array)]).max(initial=0.0) >= EXACT:
        return _objects(values)  # they may have been integers, which must not be rounded
    return np.asarray(values, dtype=object) if array.dtype.kind in "US" else array


def _objects(values: Any) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _length(name: object, values: Any) -> int:
    try:
        return len(values)
    except TypeError:
        raise DataError(
            f"column '{name}' of the data is a single value ({values!r}); a list or an array is needed"
        ) from None


def _listed(names: Iterable[object], limit: int = 12) -> str:
    texts = [str(n) for n in names]
    return ", ".join(texts[:limit]) + (f", ... ({len(texts)} in all)" if len(texts) > limit else "")


def _narwhals_frame(data: Any) -> Any:
    import narwhals.stable.v2 as nw

    try:
        frame = nw.from_native(data)
    except TypeError:
        raise DataError(
            f"data must be a data frame (pandas, polars, pyarrow, ...) or a dict of columns; got {type(data).__name__}"
        ) from None
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    return frame


def _number(name: str, values: NDArray[Any], missing: NDArray[np.bool_] | None = None) -> Column:
    """A numeric column; one reduction tells whether every value is finite."""
    if not values.dtype.isnative or (values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8)):
        values = values.astype(np.float64 if values.dtype.kind == "f" else values.dtype.newbyteorder("="))
    if values.dtype.kind != "f":
        return Column(name, "number", values, missing)
    with np.errstate(all="ignore"):
        total = values.sum(dtype=np.float64) if values.dtype.itemsize < 8 else values.sum()
    if missing is None and np.isfinite(total):
        return Column(name, "number", values, None)
    nan = np.isnan(values)
    missing = nan if missing is None else missing | nan
    if not missing.any():
        missing = None
    return Column(name, "number", values, missing, finite=bool(np.isfinite(total)))


def _from_numpy(name: str, values: NDArray[Any]) -> Column:
    if values.ndim != 1:
        raise DataError(f"column '{name}' has {values.ndim} dimensions; one is needed")
    mask: NDArray[np.bool_] | None = None
    if isinstance(values, np.ma.MaskedArray):
        mask, values = np.ma.getmaskarray(values).copy(), values.data
    kind = values.dtype.kind
    if kind in "iuf":
        return _number(name, values, mask)
    if kind == "b":
        return Column(name, "bool", values, mask)
    if kind == "c":
        raise DataError(f"column '{name}' holds complex numbers")
    if kind in "mM":
        missing = np.isnat(values)
        if mask is not None:
            missing |= mask
        return Column(name, "other", values, missing if missing.any() else None)
    return _from_texts(name, values.astype(object) if kind in "US" else values, mask)


def _from_texts(name: str, values: Any, mask: NDArray[np.bool_] | None = None) -> Column:
    """A column of Python objects or texts: categories, unless every object is a number or a truth value."""
    try:
        codes, unique = pd.factorize(values, sort=False)
    except TypeError:  # no hash
        _no_labels(name, values)
        raise
    codes = codes.astype(np.int32)
    if mask is not None:
        codes[mask] = -1
    missing = codes < 0
    if isinstance(unique, np.ndarray) and unique.dtype.kind == "O" and pd.api.types.infer_dtype(unique) != "string":
        _no_labels(name, unique)
    unique = pd.Index(unique)
    if unique.dtype == object:
        inferred = pd.api.types.infer_dtype(unique, skipna=True)
        if inferred in ("integer", "floating", "mixed-integer-float", "decimal", "boolean"):
            # pandas' hashing takes True and 1 for the same, so that [True, 1] would come out as one kind; harmless.
            if inferred == "integer":
                return _integers(name, codes, unique, missing)
            table = np.append(unique.to_numpy().astype(np.float64), np.nan)
            numbers = table[codes]
            if inferred == "boolean":
                return Column(name, "bool", numbers == 1.0, missing if missing.any() else None)
            return _number(name, numbers)
        if inferred.startswith("mixed") and all(isinstance(v, (bool, np.bool_, int, float)) for v in unique):
            return _number(name, np.append(unique.to_numpy().astype(np.float64), np.nan)[codes])  # True and 0
        if inferred == "empty":
            return _number(name, np.full(len(codes), np.nan))
        if inferred in ("datetime", "date", "datetime64", "timedelta", "time", "period", "complex"):
            column = Column(name, "other", None, missing if missing.any() else None)
            column.codes, column.levels = sorted_levels(codes, unique)
            return column
    codes, levels = sorted_levels(codes, unique)
    return Column(name, "category", None, missing if missing.any() else None, codes, levels)


def _integers(name: str, codes: NDArray[Any], unique: pd.Index, missing: NDArray[np.bool_]) -> Column:
    """Python's integers, none of which is rounded: identifiers may have many digits."""
    gaps = missing if missing.any() else None
    for dtype in (np.int64, np.uint64):
        try:
            table = np.append(np.array(list(unique), dtype=dtype), dtype(0))
        except OverflowError:
            continue
        return _number(name, table[codes], gaps)
    column = Column(name, "other", None, gaps)
    column.codes, column.levels = sorted_levels(codes, unique)
    return column


def _no_labels(name: str, values: Iterable[Any]) -> None:
    """Raise `DataError` if a value is a list or another object that cannot be a label."""
    for value in values:
        if not (value is None or value is pd.NA or value is pd.NaT or isinstance(value, _LABELS)):
            raise DataError(
                f"column '{name}' holds values of type {type(value).__name__}, such as {value!r:.40}; "
                "turn them into numbers or texts first"
            )


def _from_pandas(name: str, series: Any) -> Column:
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        if dtype.kind in "iufbcmM":
            return _from_numpy(name, series.to_numpy())
        return _from_texts(name, series.to_numpy())
    if isinstance(dtype, pd.CategoricalDtype):
        array: Any = pd.Series(series).array
        codes = array.codes
        missing = codes < 0 if len(codes) and codes.min() < 0 else None
        return Column(
            name, "category", None, missing, codes, array.categories, declared=True, ordered=bool(dtype.ordered)
        )
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        missing = np.asarray(series.isna()) if series.isna().any() else None
        if pd.api.types.is_bool_dtype(dtype):
            return Column(name, "bool", series.to_numpy(dtype=bool, na_value=False), missing)
        if missing is None:
            values = series.to_numpy()
            if values.dtype.kind in "iuf":
                return _number(name, values)
        numpy_dtype = getattr(dtype, "numpy_dtype", np.dtype(np.float64))
        if numpy_dtype.kind in "iu":
            return _number(name, series.to_numpy(dtype=numpy_dtype, na_value=0), missing)
        return _number(name, series.to_numpy(dtype=np.float64, na_value=np.nan), missing)
    if pd.api.types.is_string_dtype(dtype):
        return _from_texts(name, series)
    if pd.api.types.is_datetime64_any_dtype(dtype) or pd.api.types.is_timedelta64_dtype(dtype):
        missing = np.asarray(series.isna())
        return Column(name, "other", np.asarray(series.astype(object)), missing if missing.any() else None)
    return _from_texts(name, np.asarray(series.astype(object)))


def _from_narwhals(name: str, series: Any) -> Column:
    import narwhals.stable.v2 as nw

    dtype = series.dtype
    has_missing = series.null_count() > 0
    missing = np.asarray(series.is_null().to_numpy(), dtype=bool) if has_missing else None
    if dtype == nw.Boolean:
        values = series.fill_null(False) if has_missing else series
        return Column(name, "bool", np.asarray(values.to_numpy(), dtype=bool), missing)
    if dtype.is_numeric():
        filled = series.fill_null(0) if has_missing and dtype.is_integer() else series
        values = np.asarray(filled.to_numpy())
        if values.dtype.kind not in "iuf":
            values = np.asarray(series.cast(nw.Float64).to_numpy(), dtype=np.float64)
        return _number(name, values, missing)
    if dtype == nw.Enum or dtype == nw.Categorical or dtype == nw.String:
        codes, levels, declared = _dictionary(series)
        if missing is not None:
            codes = codes.astype(np.int32)
            codes[missing] = -1
        if not declared:
            codes, levels = sorted_levels(codes, levels)
        return Column(name, "category", None, missing, codes, levels, declared=declared)
    if dtype.is_temporal():
        column = Column(name, "other", None, missing)
        codes, unique = pd.factorize(np.asarray(series.to_list(), dtype=object))
        column.codes, column.levels = sorted_levels(codes, pd.Index(unique))
        return column
    return _from_texts(name, _objects(series.to_list()))


def _dictionary(series: Any) -> tuple[NDArray[Any], pd.Index, bool]:
    """Codes and levels of a polars or pyarrow column of texts or categories; and whether the levels were declared."""
    import narwhals.stable.v2 as nw

    native = series.to_native()
    declared = series.dtype == nw.Enum
    if series.implementation.is_polars():
        import polars as pl

        if declared:
            return native.to_physical().fill_null(0).to_numpy(), pd.Index(list(series.dtype.categories)), True
        # The physical codes point into a pool that columns may share, so the labels are read off the first row of each.
        shared = native.cast(pl.Categorical).to_physical().fill_null(0).to_numpy()
        codes, pool = factorize(shared, None)
        first = np.empty(len(pool), dtype=np.int64)
        first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
        labels = native.cast(pl.String).gather(first).to_list()
        # Rows without a value share a code with some label, or have one of their own, which then goes unused.
        if series.null_count():
            present = np.asarray(native.is_not_null().to_numpy())
            valid = np.flatnonzero(present)
            first[codes[valid[::-1]]] = valid[::-1]
            labels = ["" if v is None else v for v in native.cast(pl.String).gather(first).to_list()]
        return codes, pd.Index(labels), False
    if series.implementation.is_pyarrow():
        encoded = native.dictionary_encode() if series.dtype == nw.String else native
        encoded = encoded.combine_chunks() if hasattr(encoded, "combine_chunks") else encoded
        if hasattr(encoded, "chunks"):
            encoded = encoded.unify_dictionaries()
            encoded = encoded.chunk(0) if encoded.num_chunks else encoded
        codes = np.asarray(encoded.indices.fill_null(0))
        return codes, pd.Index(encoded.dictionary.to_pylist()), bool(encoded.type.ordered)
    codes, unique = pd.factorize(np.asarray(series.to_list(), dtype=object))
    return codes, pd.Index(unique), False


def _whole(column: Column, purpose: str, *, fractions: bool) -> NDArray[Any]:
    """Integers where all numbers are whole; others are refused, unless `fractions` will do."""
    values = column.values
    assert values is not None
    if values.dtype.kind != "f":
        return values
    safe = values if column.missing is None else np.where(column.missing, 0.0, values)
    with np.errstate(all="ignore"):
        whole = safe.astype(np.int64)
    different = np.flatnonzero(whole != safe)
    if not len(different):
        return whole
    if fractions:
        return safe
    raise DataError(
        f"column '{column.name}' is {purpose} but holds numbers that are not whole, such as {safe[different[0]]:g}; "
        f"if they are labels, write factor({column.name})"
    )


def row_text(row: int, rows: NDArray[np.int64] | None) -> str:
    """Where a row of those used stands in the user's frame, in words."""
    return f"row {int(row if rows is None else rows[row])} (counted from 0)"
