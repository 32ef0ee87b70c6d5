"""Values as trees of JSON and back: numbers to the last bit, texts, tuples, mappings, arrays, and records by name.

JSON's own values stand for themselves; everything else is an object whose "$" says what it is. A record is an instance
of a class that is registered: names in a file are looked up among those and never imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError
from .archive import PLAIN
from .labels import label_from_data, label_to_data
from .records import RECORDS, REMARKS, Kind, UserFunctions, functions_from_names, kind_of


class Encoder:
    """Makes trees of values; `arrays` are those that the trees refer to."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self._array_at: dict[tuple[Any, ...], int] = {}
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []  # so that no other value gets the address of one that was seen

    def encode(self, value: Any) -> Any:
        """The tree of a value.

        Raises
        ------
        DataError
            It is no plain data.
        """
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"$": "float", "text": repr(value)}
        if isinstance(value, list):
            return [self.encode(item) for item in value]
        if isinstance(value, tuple):
            return {"$": "tuple", "items": [self.encode(item) for item in value]}
        if isinstance(value, UserFunctions):
            return {"$": "functions", "names": list(value)}
        if isinstance(value, Mapping):
            return {"$": "dict", "items": [[self.encode(key), self.encode(item)] for key, item in value.items()]}
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, np.generic) and value.dtype.kind in PLAIN and not isinstance(value, np.longdouble):
            return {"$": "number", "dtype": value.dtype.str, "bytes": value.tobytes().hex()}
        if isinstance(value, type) and value in REMARKS.values():
            return {"$": "warning", "name": value.__name__}
        kind = kind_of(value)
        if kind is None and not isinstance(value, pd.Index):
            return label_to_data(value, self.encode)
        if id(value) in self._seen:
            return {"$": "same", "as": self._seen[id(value)]}
        tree = label_to_data(value, self.encode) if kind is None else self._record(kind, value)
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        return tree

    def _array(self, array: np.ndarray) -> Any:
        if array.dtype.kind not in PLAIN or array.dtype == np.longdouble:
            items = array.ravel().tolist()
            return {"$": "objects", "shape": list(array.shape), "items": [self.encode(item) for item in items]}
        where = array.__array_interface__
        key = (where["data"][0], array.dtype.str, array.shape, array.strides)
        if key not in self._array_at or not array.size:
            self._array_at[key] = len(self.arrays)
            self.arrays.append(np.asarray(array))
        return {"$": "array", "at": self._array_at[key]}

    def _record(self, kind: Kind, value: Any) -> Any:
        fields: dict[str, Any] = {}
        for name in kind.fields:
            item = getattr(value, name)
            if not kind.allows(name, item):
                raise DataError(f"results cannot be saved: '{name}' of {kind.name} is {item!r:.60}")
            fields[name] = self.encode(item)
        return {"$": kind.name, "fields": fields}


class Decoder:
    """Makes values of trees. What is wrong with a tree is a `ValueError` or another of Python's own errors.

    Parameters
    ----------
    arrays : list of ndarray
    functions : mapping
        The user's own, in place of those that a file cannot hold.
    """

    def __init__(self, arrays: list[np.ndarray], functions: Mapping[str, Callable[..., Any]]) -> None:
        self.arrays, self.functions = arrays, functions
        self._seen: list[Any] = []

    def decode(self, tree: Any) -> Any:
        """The value of a tree."""
        if isinstance(tree, list):
            return [self.decode(item) for item in tree]
        if not isinstance(tree, dict):
            return tree
        what = tree["$"]
        if what == "index" or what in RECORDS:
            whole = self._record(RECORDS[what], tree["fields"]) if what in RECORDS else self._label(tree)
            self._seen.append(whole)
            return whole
        match what:
            case "float":
                return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[tree["text"]]
            case "tuple":
                return tuple(self.decode(item) for item in tree["items"])
            case "dict":
                return {self.decode(key): self.decode(item) for key, item in tree["items"]}
            case "functions":
                return functions_from_names(tree["names"], self.functions)
            case "array":
                return self.arrays[_position(tree["at"])]
            case "objects":
                array = np.empty(len(tree["items"]), dtype=object)
                array[:] = [self.decode(item) for item in tree["items"]]
                return array.reshape(tree["shape"])
            case "number":
                return _number(tree["dtype"], tree["bytes"])
            case "warning":
                return REMARKS[tree["name"]]
            case "same":
                return self._seen[_position(tree["as"])]
        return self._label(tree)

    def _label(self, tree: dict[str, Any]) -> Any:
        return label_from_data(tree, self.decode)

    def _record(self, kind: Kind, fields: dict[str, Any]) -> Any:
        values = {name: self.decode(item) for name, item in fields.items()}
        for name, value in values.items():
            if not kind.allows(name, value):
                raise ValueError(f"'{name}' of {kind.name} has the wrong type, {type(value).__name__}")
        return kind.make(values)


def _position(at: Any) -> int:
    if type(at) is not int or at < 0:
        raise ValueError(f"{at!r:.20} is no position")
    return at


def _number(dtype: str, data: str) -> Any:
    kind = np.dtype(dtype)
    raw = bytes.fromhex(data)
    if kind.kind not in PLAIN or len(raw) != kind.itemsize or (kind.kind == "b" and raw not in (b"\0", b"\1")):
        raise ValueError("a number has the wrong type")
    return np.frombuffer(raw, kind)[0]
