"""What may be called in a formula: functions, transforms that remember their parameters, contrasts.

Splines and polynomials are formulaic's; it is imported when one of them is named, not before.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import DataError, FormulaError
from .frame import read_column
from .levels import label_of, positions
from .numpy_functions import rounded, where

if TYPE_CHECKING:
    from numpy.typing import NDArray

State = dict[str, Any]

# Transforms that get a `_state` to keep what they learned from the rows of the fit.
STATEFUL = frozenset(["center", "scale", "standardize", "within", "between", "poly", "bs", "ns", "cr", "cs", "cc"])
GROUP_CALLS = frozenset(["within", "between"])  # the second argument holds labels
MOST_COLUMNS = 1_000  # of polynomials and splines


@dataclass(frozen=True)
class Treatment:
    """Treatment contrasts with a reference level other than the first."""

    reference: Any = None


@dataclass(frozen=True)
class Categories:
    """Values that are categories: codes into levels, and the contrasts asked for in the formula."""

    codes: NDArray[Any]
    levels: pd.Index
    contrasts: Any = None
    logical: bool = False
    declared: bool = False


def factor(data: Any, contrasts: Any = None, *, levels: Iterable[Any] | None = None, ref: Any = None) -> Categories:
    """``C(x)``, ``factor(x)``, ``C(x, Sum)``, ``C(x, Treatment("b"))``, ``C(x, levels=[...])``."""
    if isinstance(data, Categories):
        codes, old, logical, declared = data.codes, data.levels, data.logical, data.declared
        contrasts = contrasts if contrasts is not None else data.contrasts
    else:
        column = read_column("factor", data)
        if column.kind == "number" and column.values is not None:
            unique, codes = np.unique(column.values, return_inverse=True)
            if unique.dtype.kind == "f" and np.array_equal(unique, np.floor(unique)):
                unique = unique.astype(np.int64)
            old = pd.Index(unique)
            if column.missing is not None:
                codes = np.where(column.missing, -1, codes)
        else:
            codes, old = column.categories("a factor")
        logical, declared = column.kind == "bool", column.declared
    if ref is not None:
        contrasts = Treatment(ref)
    if levels is None:
        return Categories(codes, old, contrasts, logical, declared)
    new = pd.Index(list(levels))
    table = np.append(new.get_indexer(old), -1)
    lost = sorted({str(old[c]) for c in np.unique(codes) if c >= 0 and table[c] < 0})
    if lost:
        raise ValueError(f"levels= leaves out {', '.join(lost)}")
    return Categories(table[codes], new, contrasts, False, True)


def relevel(data: Any, ref: Any) -> Categories:
    """The factor with `ref` as its first level, as in R."""
    old = factor(data)
    position = level_position(old.levels, ref, "relevel")
    order = [position, *(i for i in range(len(old.levels)) if i != position)]
    table = np.empty(len(order) + 1, dtype=np.int32)
    table[order] = np.arange(len(order))
    table[-1] = -1
    return Categories(table[old.codes], old.levels[order], old.contrasts, False, True)


def level_position(levels: pd.Index, level: Any, where: str) -> int:
    """Position of a level, given as itself or as its label."""
    labels = [label_of(v) for v in levels]
    if label_of(level) not in labels:
        raise FormulaError(f"{where}: {level!r} is no level; the levels are {', '.join(labels)}")
    return labels.index(label_of(level))


def center(x: Any, _state: State) -> Any:
    """Subtract the mean of the rows of the fit."""
    if "center" not in _state:
        _state["center"] = float(np.nanmean(_numeric(x)))
    return _numeric(x) - _state["center"]


def scale(x: Any, center: bool | float = True, scale: bool | float = True, ddof: int = 1, *, _state: State) -> Any:
    """Subtract the mean, divide by the standard deviation (with n - 1, as R) of the rows of the fit."""
    x = _numeric(x)
    if "center" not in _state:
        middle = (float(np.nanmean(x)) if center else 0.0) if isinstance(center, bool) else float(center)
        if isinstance(scale, bool):
            # R: without centering, the root mean square about zero.
            spread = (
                float(np.sqrt(np.nansum((x - middle) ** 2) / (np.count_nonzero(~np.isnan(x)) - ddof))) if scale else 1.0
            )
        else:
            spread = float(scale)
        if not spread > 0.0:
            raise ValueError("the values do not vary")
        _state.update(center=middle, scale=spread)
    return (x - _state["center"]) / _state["scale"]


def standardize(x: Any, *, _state: State) -> Any:
    """`scale` with n in the denominator."""
    return scale(x, ddof=0, _state=_state)


def within(x: Any, g: Any, *, _state: State) -> NDArray[Any]:
    """``within(x, g)``: x less the mean of its group, over the rows of the fit; weights do not count.

    New rows have the means of the fit, also where they are other rows of a group; a group that the fit has not seen has
    none, and is refused.
    """
    means = between(x, g, _state=_state)
    centred = _numeric(x) - means
    if not _state.get("varies"):
        # what is constant in its groups leaves rounding, which no coefficient is to be estimated from
        size = float(np.nanmax(np.abs(_numeric(x)), initial=0.0))
        if not float(np.nanmax(np.abs(centred), initial=0.0)) > 1e-12 * size:
            raise ValueError("the values do not vary within the groups: their parts within groups are zero")
        _state["varies"] = True
    return centred


def between(x: Any, g: Any, *more: Any, _state: State) -> NDArray[Any]:
    """``between(x, g)``: the mean of x in the group of each row, as `within` has it."""
    if more:
        raise ValueError("between(x, g) is the mean of x in a group; for a range write I((x >= a) & (x <= b))")
    x = _numeric(x)
    codes, levels = _groups(g)
    if "levels" not in _state:
        _state["means"], _state["levels"] = _group_means(x, codes, len(levels)), levels
    known = np.append(positions(_state["levels"], levels), -1)[codes]
    unseen = np.flatnonzero((known < 0) & (codes >= 0) & ~np.isnan(x))
    if len(unseen):
        labels = list(dict.fromkeys(label_of(levels[codes[row]]) for row in unseen))
        shown = ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")
        several = len(labels) > 1
        raise DataError(
            f"within(x, g) and between(x, g) have the means of the groups of the fit, and it has not seen the "
            f"group{'s' * several} {shown}, whose mean{'s' * several} would change with the rows that happen to be "
            "given. To predict new groups make the means a column of the data, "
            "data['x_mean'] = data.groupby('g')['x'].transform('mean'), and fit x_mean and I(x - x_mean)"
        )
    return np.asarray(np.append(_state["means"], np.nan)[known])


def _groups(g: Any) -> tuple[NDArray[Any], pd.Index]:
    if isinstance(g, Categories):
        return g.codes, g.levels
    if np.ndim(g) != 1:
        raise TypeError("the group of within(x, g) and between(x, g) is a column")
    column = read_column("g", g)
    if column.kind == "other":
        raise ValueError("the group holds neither numbers nor categories; make one of these of it first")
    return column.categories("a group", whole=False)


def _group_means(x: NDArray[Any], codes: NDArray[Any], n_levels: int) -> NDArray[Any]:
    """Means by group, from differences: those of a column far from zero lose no digits."""
    there = (codes >= 0) & ~np.isnan(x)
    x, codes = x[there], codes[there]
    counts = np.bincount(codes, minlength=n_levels)
    with np.errstate(invalid="ignore"):
        means = np.full(n_levels, x.mean() if len(x) else np.nan)
        for _ in range(2):
            means = means + np.bincount(codes, weights=x - means[codes], minlength=n_levels) / counts
    return means


def poly(x: Any, degree: int = 1, raw: bool = False, *, _state: State) -> Any:
    """Orthogonal polynomials, as R's."""
    x = _numeric(x)
    _check_sizes(degree)
    unique = len(np.unique(x[~np.isnan(x)])) if not _state and not raw else degree + 1
    if degree < 1 or unique <= degree:
        raise ValueError(
            f"the degree {degree} must be at least 1 and less than the number of different values ({unique})"
        )
    from formulaic.transforms import poly as formulaic_poly

    values = formulaic_poly(x, degree, raw=raw, _state=_state)
    return getattr(values, "__wrapped__", values)


def bs(
    x: Any,
    df: int | None = None,
    knots: Any = None,
    degree: int = 3,
    intercept: bool = False,
    *,
    _state: State,
    **more: Any,
) -> Any:
    """B-splines, as R's: beyond the boundary knots the outer polynomials go on."""
    from formulaic.transforms import basis_spline

    _check_sizes(df, degree)
    knots = None if knots is None else [float(k) for k in np.atleast_1d(knots)]
    more.setdefault("extrapolation", "extend")
    more.setdefault("include_intercept", intercept)
    return dict(basis_spline(_numeric(x), df, knots, degree, _state=_state, **more).__wrapped__)


def ns(x: Any, df: int | None = None, knots: Any = None, intercept: bool = False, *, _state: State) -> Any:
    """Natural cubic splines with R's columns: linear beyond the boundary knots."""
    from scipy.interpolate import BSpline

    _check_sizes(df)
    x = _numeric(x)
    if not _state:
        seen = x[~np.isnan(x)]
        if knots is None:
            interior = (1 if df is None else int(df)) - 1 - int(intercept)
            if interior < 0:
                raise ValueError(f"df must be at least {1 + int(intercept)}")
            inner = np.quantile(seen, np.linspace(0, 1, interior + 2)[1:-1])
        else:
            inner = np.sort(np.atleast_1d(np.asarray(knots, dtype=np.float64)))
        low, high = float(seen.min()), float(seen.max())
        if not low < high or np.any((inner <= low) | (inner >= high)):
            raise ValueError("knots must lie inside the range of the values")
        _state["knots"] = np.concatenate([[low] * 4, inner, [high] * 4])
    t = _state["knots"]
    low, high = t[0], t[-1]
    spline = BSpline(t, np.eye(len(t) - 4), 3)
    first, second = spline.derivative(1), spline.derivative(2)
    inside = np.clip(x, low, high)
    basis = spline(inside)
    for end, outside in ((low, x < low), (high, x > high)):
        if outside.any():
            basis[outside] = spline(end) + np.outer(x[outside] - end, first(end))
    # Remove the directions that bend at the boundary: the last columns of the complete QR factor span their complement.
    drop = 0 if intercept else 1
    rotation = np.linalg.qr(second(np.array([low, high]))[:, drop:].T, mode="complete")[0]
    return basis[:, drop:] @ rotation[:, 2:]


def _formulaic_spline(name: str) -> Callable[..., Any]:
    def spline(x: Any, *arguments: Any, _state: State, **more: Any) -> Any:
        from formulaic.transforms import TRANSFORMS

        _check_sizes(*arguments[:1], more.get("df"))
        values = TRANSFORMS[name](_numeric(x), *arguments, _state=_state, **more)
        values = getattr(values, "__wrapped__", values)
        return dict(values) if isinstance(values, Mapping) else values

    return spline


def _check_sizes(*sizes: Any) -> None:
    """Refuse curves of so many columns that nothing could be fitted to them, before they fill the memory."""
    for size in sizes:
        if isinstance(size, (int, float, np.number)) and not abs(float(size)) <= MOST_COLUMNS:
            raise ValueError(f"{size} columns are too many; there can be {MOST_COLUMNS:,}")


def _numeric(x: Any) -> NDArray[Any]:
    values = np.asarray(x)
    if values.dtype.kind not in "iufb" or values.ndim != 1:
        raise TypeError("a column of numbers is needed")
    return values.astype(np.float64, copy=False)


def as_numeric(x: Any) -> NDArray[Any]:
    """Numbers from numbers, truth values or texts that spell numbers (R gives the codes of a factor; this does not)."""
    if isinstance(x, pd.Series) and isinstance(x.dtype, pd.CategoricalDtype):
        x = x.astype(object)
    return np.asarray(x, dtype=np.float64)


def _identity(x: Any) -> Any:
    return x


def _log(x: Any, base: float | None = None) -> Any:
    with np.errstate(all="ignore"):
        return np.log(x) if base is None else np.log(x) / np.log(base)


def _vector(*values: Any) -> Any:
    return np.array(values)


FUNCTIONS: dict[str, Any] = {
    "I": _identity, "C": factor, "factor": factor, "relevel": relevel, "Treatment": Treatment, "c": _vector,
    "center": center, "scale": scale, "standardize": standardize, "poly": poly, "bs": bs, "ns": ns,
    "within": within, "between": between,
    "cr": _formulaic_spline("cr"), "cs": _formulaic_spline("cs"), "cc": _formulaic_spline("cc"),
    "log": _log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "exp": np.exp, "expm1": np.expm1,
    "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh, "atan": np.arctan,
    "floor": np.floor, "ceiling": np.ceil,
    "abs": np.abs, "round": rounded, "sign": np.sign, "pmin": np.minimum, "pmax": np.maximum, "ifelse": where,
    "as_numeric": as_numeric, "as_integer": lambda x: np.trunc(as_numeric(x)), "is_na": pd.isna,
    "logical_not": np.logical_not,
}  # fmt: skip
RESERVED = ("offset", "cbind")  # words of formulas that look like calls
FROM_FORMULAIC = ("Sum", "Helmert", "Poly", "Diff")
# Python's, where the user has none of that name.
PYTHONS: dict[str, Any] = {"float": float, "int": int, "len": len, "max": max, "min": min, "sum": sum}


class UserFunctions(dict[str, Callable[..., Any]]):
    """The user's own functions by name; pickled by reference, as Python does, or refused with the reason.

    Parameters
    ----------
    functions : mapping of str to callable, or None

    Raises
    ------
    DataError
        Something is no function, or its name cannot be called in a formula or means something there.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any]] | None = None) -> None:
        if functions is not None and not isinstance(functions, Mapping):
            raise DataError(
                f"functions is {functions!r:.60}; it maps names to functions, as in functions={{'double': double}}"
            )
        for name, value in (functions or {}).items():
            if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
                raise DataError(f"functions: {name!r} cannot be called in a formula; choose a name such as 'double'")
            if name in FUNCTIONS or name in FROM_FORMULAIC or name in RESERVED:
                raise DataError(f"functions: '{name}' is a function of formulas already; choose another name")
            if not callable(value):
                raise DataError(f"functions: '{name}' is {value!r:.60}, not a function")
        super().__init__(functions or {})

    def __reduce__(self) -> tuple[type[UserFunctions], tuple[dict[str, Callable[..., Any]]]]:
        for name, value in self.items():
            try:
                pickle.dumps(value)
            except Exception as error:
                raise pickle.PicklingError(
                    f"the function '{name}' that was passed by functions= cannot be pickled: it is a lambda, or "
                    "defined inside of another function; define it with def in a module, or use results.save() "
                    f"({error})"
                ) from None
        return UserFunctions, (dict(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> UserFunctions:
        return self


def function(name: str) -> Any:
    """What a name in a formula stands for when it is no column, or `contr.sum` and the like; KeyError if nothing."""
    if name in FROM_FORMULAIC or name.startswith("contr."):
        from formulaic.transforms import TRANSFORMS

        return TRANSFORMS[name] if name in FROM_FORMULAIC else getattr(TRANSFORMS["contr"], name.partition(".")[2])
    return FUNCTIONS[name] if name in FUNCTIONS else PYTHONS[name]


@dataclass(frozen=True)
class Contrast:
    """How a factor is coded in place of an intercept-like set of indicators.

    Attributes
    ----------
    names : tuple of str
        What follows the factor's name in the names of the columns, such as ``[b]``.
    matrix : ndarray of shape (levels, columns), or None
        None for treatment contrasts: indicators of the levels at `positions`.
    positions : tuple of int
    """

    names: tuple[str, ...]
    matrix: NDArray[np.float64] | None
    positions: tuple[int, ...] = ()


def contrast(specification: Any, levels: pd.Index, where: str) -> Contrast:
    """Resolve the contrasts asked for: a name, an object of formulaic's, codes, or None for treatment contrasts.

    The first level is the reference of treatment contrasts, of ordered factors too, where R would use polynomials.
    """
    labels = [label_of(v) for v in levels]
    if isinstance(specification, str):
        specification = specification.lower().removeprefix("contr.")
    if specification is None or (isinstance(specification, str) and specification == "treatment"):
        specification = Treatment()
    if isinstance(specification, type) and specification is Treatment:
        specification = Treatment()
    if isinstance(specification, Treatment):
        base = 0 if specification.reference is None else level_position(levels, specification.reference, where)
        positions = tuple(i for i in range(len(levels)) if i != base)
        return Contrast(tuple(f"[{labels[i]}]" for i in positions), None, positions)
    from formulaic.transforms.contrasts import Contrasts, ContrastsRegistry, CustomContrasts

    if isinstance(specification, str):
        registry = {name: getattr(ContrastsRegistry, name) for name in ("sum", "helmert", "poly", "diff")}
        if specification not in registry:
            raise FormulaError(
                f"{where}: contrasts {specification!r} are not known; known are treatment, {', '.join(registry)}"
            )
        specification = registry[specification]
    try:
        if isinstance(specification, type):
            specification = specification()
        if not isinstance(specification, Contrasts):
            specification = CustomContrasts(_codes(specification, labels, where))
        coding = np.asarray(specification.get_coding_matrix(labels, reduced_rank=True), dtype=np.float64)
        fields = specification.get_coding_column_names(labels, reduced_rank=True)
        pattern = specification.get_factor_format(labels, reduced_rank=True)
    except FormulaError:
        raise
    except Exception as error:
        raise FormulaError(f"{where}: contrasts cannot be made: {error}") from error
    names = tuple(pattern.format(name="", field=f).replace("[T.", "[") for f in fields)
    return Contrast(names, coding)


def _codes(specification: Any, labels: list[str], where: str) -> Any:
    """Codes given by the user: a list (two levels, or one column), a matrix, or a mapping of levels to their codes.

    A mapping of names to columns is handed on as it is.
    """
    shown = ", ".join(labels)
    if isinstance(specification, pd.Series):
        specification = specification.to_dict()
    elif isinstance(specification, pd.DataFrame):
        specification = {level: list(row) for level, row in zip(specification.index, specification.values, strict=True)}
    if isinstance(specification, Mapping):
        by_label = {label_of(level): codes for level, codes in specification.items()}
        if set(by_label) != set(labels):
            if not by_label or any(np.ndim(codes) == 0 for codes in by_label.values()):
                odd = [name for name in by_label if name not in labels]
                problem = (
                    f"{odd[0]!r} is no level" if odd else f"{next(x for x in labels if x not in by_label)!r} lacks"
                )
                raise FormulaError(
                    f"{where}: contrasts give each level its code, and {problem}; the levels are {shown}"
                )
            for name, column in specification.items():
                _matrix_of(list(column), labels, f"{where}, contrast {name!r}")
            return specification
        specification = [by_label[label] for label in labels]
    return _matrix_of(specification, labels, where)


def _matrix_of(codes: Any, labels: list[str], where: str) -> NDArray[np.float64]:
    """Codes as a matrix with a row for each level."""
    try:
        matrix = np.asarray(codes, dtype=np.float64)
    except (TypeError, ValueError):
        raise FormulaError(f"{where}: contrasts are numbers; got {codes!r:.80}") from None
    if matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.ndim != 2 or matrix.shape[0] != len(labels):
        raise FormulaError(
            f"{where}: contrasts need a number or a row for each of the {len(labels)} levels "
            f"({', '.join(labels)}); their shape is {np.shape(codes)}"
        )
    if not np.isfinite(matrix).all():
        raise FormulaError(f"{where}: contrasts must be finite numbers; got {codes!r:.80}")
    return matrix
