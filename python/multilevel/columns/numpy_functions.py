"""NumPy's functions that a formula may call: those of a row, and summaries, without arguments that write anywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..formula.syntax import NUMPY_CONSTANTS, NUMPY_UFUNCS


def rounded(x: Any, decimals: int = 0) -> Any:
    """``round(x, 2)``."""
    return np.round(x, decimals)


def clip(x: Any, a_min: Any = None, a_max: Any = None) -> Any:
    """``np.clip(x, 0, 1)``."""
    return np.clip(x, a_min, a_max)


def where(condition: Any, yes: Any, no: Any) -> Any:
    """``np.where(x > 0, x, 0)``, which is ``ifelse``, too."""
    return np.where(condition, yes, no)


def isin(x: Any, values: Any) -> Any:
    """``np.isin(x, [1, 2])``."""
    return np.isin(x, values)


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8) -> Any:
    """``np.isclose(x, 1)``."""
    return np.isclose(a, b, rtol, atol)


def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """``np.digitize(x, [0, 1])``."""
    return np.digitize(x, bins, right)


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    """``np.interp(x, [0, 1], [2, 3])``."""
    return np.interp(x, xp, fp, left, right)


def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """``np.nan_to_num(x)``."""
    return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


def array(values: Any) -> Any:
    """``np.array([1, 2])``."""
    return np.asarray(values)


def quantile(x: Any, q: Any) -> Any:
    """``np.quantile(x, 0.5)``."""
    return np.quantile(x, q)


def _summary(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def summary(x: Any) -> Any:
        return function(x)

    def spread(x: Any, ddof: float = 0) -> Any:
        return function(x, ddof=ddof)

    return spread if name.endswith(("std", "var")) else summary


_NUMBERS = (
    *("max", "mean", "median", "min", "ptp", "std", "sum", "var"),
    *("nanmax", "nanmean", "nanmedian", "nanmin", "nanstd", "nansum", "nanvar"),
)
# What makes a number of all rows, NumPy's and Python's: it is kept, or new rows would have another.
SUMMARIES = frozenset((*_NUMBERS, "quantile", "len"))
BY_NAME: dict[str, Any] = {
    **{name: getattr(np, name) for name in NUMPY_UFUNCS | NUMPY_CONSTANTS},
    **{name: _summary(name) for name in _NUMBERS},
    "around": rounded, "round": rounded, "clip": clip, "where": where, "isin": isin, "isclose": isclose,
    "digitize": digitize, "interp": interp, "nan_to_num": nan_to_num, "array": array, "asarray": array,
    "quantile": quantile,
}  # fmt: skip
