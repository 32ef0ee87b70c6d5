"""Labels of rows and levels as plain data: every kind of pandas index, dates, periods, intervals, decimal numbers."""

from __future__ import annotations

import datetime
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError

Coder = Callable[[Any], Any]
_ZONE = re.compile(r"(?!dateutil)[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*")
_OFFSET = re.compile(r"UTC([+-])(\d\d):(\d\d)")


def label_to_data(value: Any, encode: Coder) -> dict[str, Any]:
    """An index or a label as an object of JSON.

    Raises
    ------
    DataError
        There is no such thing in a file.
    """
    if isinstance(value, pd.Index):
        return {"$": "index", **_index_to_data(value, encode)}
    if value is pd.NaT or value is pd.NA:
        return {"$": "missing", "text": "NaT" if value is pd.NaT else "NA"}
    match value:
        case bytes():
            return {"$": "bytes", "text": value.hex()}
        case str():  # numpy's
            return {"$": "text", "text": str(value)}
        case complex():
            return {"$": "complex", "parts": [encode(value.real), encode(value.imag)]}
        case pd.Timestamp():
            at = {"value": encode(np.datetime64(value.asm8)), "zone": _zone_to_data(value.tzinfo)}
            return {"$": "timestamp", **at, "fold": value.fold}
        case pd.Timedelta():
            return {"$": "timespan", "value": encode(np.timedelta64(value.asm8))}
        case pd.Period():
            return {"$": "period", "ordinal": value.ordinal, "freq": value.freqstr}
        case pd.Interval():
            return {"$": "interval", "ends": [encode(value.left), encode(value.right)], "closed": value.closed}
        case datetime.datetime():
            text = value.replace(tzinfo=None).isoformat()
            return {"$": "datetime", "text": text, "zone": _zone_to_data(value.tzinfo), "fold": value.fold}
        case datetime.date():
            return {"$": "date", "text": value.isoformat()}
        case datetime.time(tzinfo=None):
            return {"$": "time", "text": value.isoformat(), "fold": value.fold}
        case datetime.timedelta():
            return {"$": "timedelta", "parts": [value.days, value.seconds, value.microseconds]}
        case Decimal():
            return {"$": "decimal", "text": str(value)}
        case Fraction():
            return {"$": "fraction", "parts": [value.numerator, value.denominator]}
        case uuid.UUID():
            return {"$": "uuid", "text": value.hex}
    raise DataError(
        f"results cannot be saved: they hold {value!r:.60}, of type {type(value).__name__}, which is no plain data; "
        "make texts or numbers of such labels before the fit"
    )


def label_from_data(data: dict[str, Any], decode: Coder) -> Any:
    """What `label_to_data` made an object of."""
    match data["$"]:
        case "index":
            return _index_from_data(data, decode)
        case "missing":
            return {"NaT": pd.NaT, "NA": pd.NA}[data["text"]]
        case "bytes":
            return bytes.fromhex(data["text"])
        case "text":
            return np.str_(data["text"])
        case "complex":
            return complex(*(decode(part) for part in data["parts"]))
        case "timestamp":
            at = pd.Timestamp(decode(data["value"]))
            return at if data["zone"] is None else at.tz_localize("UTC").tz_convert(_zone_from_data(data["zone"]))
        case "timespan":
            return pd.Timedelta(decode(data["value"]))
        case "period":
            return pd.Period(ordinal=_whole(data["ordinal"]), freq=data["freq"])
        case "interval":
            left, right = (decode(end) for end in data["ends"])
            return pd.Interval(left, right, closed=data["closed"])
        case "datetime":
            when = datetime.datetime.fromisoformat(data["text"])
            return when.replace(tzinfo=_zone_from_data(data["zone"]), fold=data["fold"])
        case "date":
            return datetime.date.fromisoformat(data["text"])
        case "time":
            return datetime.time.fromisoformat(data["text"]).replace(fold=data["fold"])
        case "timedelta":
            return datetime.timedelta(*data["parts"])
        case "decimal":
            return Decimal(data["text"])
        case "fraction":
            return Fraction(*data["parts"])
        case "uuid":
            return uuid.UUID(data["text"])
    raise ValueError(f"{data['$']!r:.40} is not known")


# ---- indexes -------------------------------------------------------------------------------------------------------


def _index_to_data(index: pd.Index, encode: Coder) -> dict[str, Any]:
    named = {"name": encode(index.name)} if not isinstance(index, pd.MultiIndex) else {}
    dtype = index.dtype
    match index:
        case pd.RangeIndex():
            return {"kind": "range", "range": [int(index.start), int(index.stop), int(index.step)], **named}
        case pd.MultiIndex():
            levels = [encode(level) for level in index.levels]
            codes = [encode(np.asarray(own)) for own in index.codes]
            return {"kind": "several", "levels": levels, "codes": codes, "names": encode(list(index.names))}
        case pd.CategoricalIndex():
            parts = {"codes": encode(np.asarray(index.codes)), "categories": encode(index.categories)}
            return {"kind": "categories", **parts, "ordered": bool(index.ordered), **named}
        case pd.DatetimeIndex():
            values = np.asarray(index.tz_convert(None) if index.tz is not None else index)
            return {"kind": "times", "values": encode(values), "zone": _zone_to_data(index.tz), **_freq(index), **named}
        case pd.TimedeltaIndex():
            return {"kind": "timespans", "values": encode(np.asarray(index)), **_freq(index), **named}
        case pd.PeriodIndex():
            return {"kind": "periods", "ordinals": encode(np.asarray(index.asi8)), "freq": index.freqstr, **named}
        case pd.IntervalIndex():
            ends = [encode(index.left), encode(index.right)]
            return {"kind": "intervals", "ends": ends, "closed": index.closed, **named}
    if isinstance(dtype, pd.StringDtype):
        missing = np.asarray(index.isna())
        items = [None if gone else str(item) for item, gone in zip(index, missing, strict=True)]
        nan = getattr(dtype, "na_value", pd.NA) is not pd.NA
        return {"kind": "texts", "items": items, "storage": dtype.storage, "nan": nan, **named}
    masked = str(dtype) in _MASKED and isinstance(index.array, pd.arrays.IntegerArray | pd.arrays.FloatingArray)
    if masked or isinstance(index.array, pd.arrays.BooleanArray):
        missing = np.asarray(index.isna())
        values = index.to_numpy(dtype=_MASKED[str(dtype)], na_value=0)
        return {"kind": "masked", "dtype": str(dtype), "values": encode(values), "gone": encode(missing), **named}
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return {"kind": "numbers", "values": encode(np.asarray(index)), **named}
    return {"kind": "objects", "items": [encode(item) for item in index], **named}


_MASKED = {
    **{f"{kind}{bits}": f"{kind.lower()}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)},
    "Float32": "float32",
    "Float64": "float64",
    "boolean": "bool",
}


def _index_from_data(data: dict[str, Any], decode: Coder) -> pd.Index:
    name = decode(data.get("name"))
    match data["kind"]:
        case "range":
            start, stop, step = (_whole(n) for n in data["range"])
            return pd.RangeIndex(start, stop, step, name=name)
        case "several":
            levels, codes = ([decode(own) for own in data[part]] for part in ("levels", "codes"))
            return pd.MultiIndex(levels, codes, names=decode(data["names"]))
        case "categories":
            dtype = pd.CategoricalDtype(decode(data["categories"]), bool(data["ordered"]))
            return pd.CategoricalIndex(pd.Categorical.from_codes(decode(data["codes"]), dtype=dtype), name=name)
        case "times":
            times = pd.DatetimeIndex(_of_kind(decode(data["values"]), "M"), name=name)
            if data["zone"] is not None:
                times = times.tz_localize("UTC").tz_convert(_zone_from_data(data["zone"]))
            return times if data["freq"] is None else pd.DatetimeIndex(times, freq=data["freq"])
        case "timespans":
            return pd.TimedeltaIndex(_of_kind(decode(data["values"]), "m"), freq=data["freq"], name=name)
        case "periods":
            ordinals = _of_kind(decode(data["ordinals"]), "i")
            return pd.PeriodIndex(pd.arrays.PeriodArray(ordinals, dtype=pd.PeriodDtype(data["freq"])), name=name)
        case "intervals":
            left, right = (decode(end) for end in data["ends"])
            return pd.IntervalIndex.from_arrays(left, right, data["closed"], name=name)
        case "texts":
            if not all(item is None or type(item) is str for item in data["items"]):
                raise ValueError("an index of texts holds something else")
            return pd.Index(data["items"], dtype=_text_dtype(data["storage"], data["nan"]), name=name)
        case "masked":
            values, gone = decode(data["values"]), _of_kind(decode(data["gone"]), "b")
            kinds = {"b": pd.arrays.BooleanArray, "f": pd.arrays.FloatingArray}
            if values.dtype != _MASKED[data["dtype"]]:
                raise ValueError("an index has another type than it says")
            return pd.Index(kinds.get(values.dtype.kind, pd.arrays.IntegerArray)(values, gone), name=name)
        case "numbers":
            return pd.Index(_of_kind(decode(data["values"]), "biuf"), name=name, copy=False)
        case "objects":
            values = np.empty(len(data["items"]), dtype=object)
            values[:] = [decode(item) for item in data["items"]]
            return pd.Index(values, dtype=object, name=name)
    raise ValueError(f"an index of the kind {data['kind']!r:.40} is not known")


def _of_kind(array: Any, kinds: str) -> np.ndarray:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds or array.ndim != 1:
        raise ValueError("an index has another type than it says")
    return array


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r:.20} is no whole number")
    return value


def _text_dtype(storage: str, nan: bool) -> Any:
    """The type of texts, as near as this version of pandas and what is installed have it."""
    make: Any = pd.StringDtype
    try:
        return make(storage if storage == "pyarrow" else "python", na_value=np.nan if nan else pd.NA)
    except (TypeError, ImportError):
        return pd.StringDtype("python")


def _freq(index: Any) -> dict[str, Any]:
    return {"freq": None if index.freq is None else index.freqstr}


# ---- time zones ----------------------------------------------------------------------------------------------------


def _zone_to_data(zone: Any) -> str | None:
    if zone is None:
        return None
    text = str(getattr(zone, "key", None) or getattr(zone, "zone", None) or zone)
    if not (_ZONE.fullmatch(text) or _OFFSET.fullmatch(text)):
        raise DataError(f"results cannot be saved: the time zone {text!r:.40} has no name; use one such as 'UTC'")
    return text


def _zone_from_data(text: str | None) -> Any:
    """The zone of a name; names of files, which some libraries take for zones, are none."""
    if text is None:
        return None
    offset = _OFFSET.fullmatch(text)
    if offset:
        minutes = int(offset[2]) * 60 + int(offset[3])
        return datetime.timezone(datetime.timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    if not _ZONE.fullmatch(text):
        raise ValueError(f"{text!r:.40} is no time zone")
    return pd.DatetimeIndex([], tz=text).tz
