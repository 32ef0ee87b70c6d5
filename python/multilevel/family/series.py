"""Truncated Taylor series that NumPy's functions take for numbers: a density written once, with all its derivatives.

A series stands for a function of the linear predictor eta and of the family's parameters, close to where a row has
them. Its coefficient of eta^a phi_r phi_s is a number per row. Sums, products and functions of series are series, so
that what comes out of a density has the exact derivatives in it: nothing is differenced.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from .elementary import FUNCTIONS, log_expit, power

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Terms = dict[int, Any]

CONSTANT = 0  # the index of the coefficient that is the value


class Space:
    """The powers that a series keeps: eta^a times powers of the parameters, of at most `degree` together.

    Parameters
    ----------
    degree : int
        The highest power of eta.
    n_phi : int
        The number of parameters. Their powers go to two, together.

    Attributes
    ----------
    table : list of tuple of int
        The powers that are asked for, (of eta, of each parameter ...), in the order in which the core takes them:
        1, eta, .., then for each parameter, then for each pair of them.
    factorials : ndarray
        What makes a derivative of each coefficient.
    products : dict
        Where the product of two powers stands, by their positions; those that are cut off are not there.
    """

    def __init__(self, degree: int, n_phi: int) -> None:
        none = (0,) * n_phi
        units = [tuple(int(k == r) for k in range(n_phi)) for r in range(n_phi)]
        beside = [none, *units, *(_sum(units[r], units[s]) for r in range(n_phi) for s in range(r + 1))]
        self.degree, self.n_phi = degree, n_phi
        self.table = [(a, *own) for own in beside for a in range(degree - sum(own) + 1)]
        self.factorials = np.array([math.prod(map(math.factorial, powers)) for powers in self.table], dtype=np.float64)
        at = {powers: k for k, powers in enumerate(self.table)}
        self.eta = at[(1, *none)]
        self.phi = [at[(0, *unit)] for unit in units]
        self.products: dict[tuple[int, int], int] = {}
        for (i, first), (j, second) in itertools.product(enumerate(self.table), repeat=2):
            both = _sum(first, second)
            if both in at:
                self.products[i, j] = at[both]


def _sum(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True))


@functools.cache
def space(degree: int, n_phi: int) -> Space:
    """The space of series to this degree, made once."""
    return Space(degree, n_phi)


class Series(np.lib.mixins.NDArrayOperatorsMixin):
    """A function of eta and the parameters in each row, as its Taylor coefficients there.

    Parameters
    ----------
    terms : dict of int to array_like
        Coefficients by their position in the table of `space`; those that are not there are zero.
    space : Space
    """

    __slots__ = ("space", "terms")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, terms: Terms, space: Space) -> None:
        self.terms, self.space = terms, space

    @property
    def value(self) -> Any:
        """The function itself."""
        return self.terms.get(CONSTANT, 0.0)

    @property
    def shape(self) -> tuple[int, ...]:
        """The rows."""
        return np.shape(self.value)

    # ---- what NumPy asks ------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        name = ufunc.__name__
        if method != "__call__":
            raise _no_series(f"{name}.{method}", "rows are independent of each other, and each has one number")
        if options.get("out") is not None or options.get("where", True) is not True:
            raise _no_series(f"{name} with out= or where=", "write a new value, and np.where for a choice")
        if name in PLAIN:
            return ufunc(*map(_value, inputs))
        if name in BINARY:
            return BINARY[name](*inputs)
        if name in FUNCTIONS:
            return inputs[0].apply(FUNCTIONS[name])
        raise _no_series(name)

    def __array_function__(self, function: Any, _types: Any, args: Any, kwargs: Any) -> Any:
        known: dict[Any, Callable[..., Any]] = {
            np.where: _where,
            np.select: _select,
            np.clip: _clip,
            np.shape: _shape,
            np.ndim: _ndim,
        }
        like = {np.zeros_like: 0.0, np.ones_like: 1.0}
        if function in like:
            return np.full(args[0].shape, like[function])
        if function not in known:
            raise _no_series(f"np.{function.__name__}")
        return known[function](*args, **kwargs)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise _no_series("a function that turns its argument into an array")

    def __float__(self) -> float:
        raise _no_series("a function of one number, such as those of math,", "take NumPy's")

    def __bool__(self) -> bool:
        raise _no_series("a choice by 'if', 'and' or 'or'", "write np.where(condition, this, that)")

    def __getitem__(self, _: Any) -> Any:
        raise _no_series("a selection of rows", "write np.where(condition, this, that)")

    def __iter__(self) -> Any:
        raise _no_series("a loop over rows", "write it for all rows at once")

    # ---- arithmetic -----------------------------------------------------------------------------------------------

    def plus(self, other: Any, sign: float = 1.0) -> Series:
        """The sum; the difference with a sign of -1."""
        terms = dict(self.terms)
        for k, own in (other.terms if isinstance(other, Series) else {CONSTANT: np.asarray(other)}).items():
            if k in terms:
                terms[k] = terms[k] + own if sign > 0 else terms[k] - own
            else:
                terms[k] = own if sign > 0 else -own
        return Series(terms, self.space)

    def times(self, other: Any) -> Series:
        """The product."""
        if not isinstance(other, Series):
            return Series({k: own * other for k, own in self.terms.items()}, self.space)
        terms: Terms = {}
        products = self.space.products
        for i, left in self.terms.items():
            for j, right in other.terms.items():
                k = products.get((i, j))
                if k is not None:
                    terms[k] = terms[k] + left * right if k in terms else left * right
        return Series(terms, self.space)

    def apply(self, function: Callable[[Any, int], Sequence[Any]]) -> Series:
        """A function of the series, given its Taylor coefficients at a value to an order."""
        step = Series({k: own for k, own in self.terms.items() if k != CONSTANT}, self.space)
        powers = []
        at = step
        while at.terms:
            powers.append(at)
            at = at.times(step)
        coefficients = function(self.value, len(powers))
        terms: Terms = {CONSTANT: coefficients[0]}
        for coefficient, own in zip(coefficients[1:], powers, strict=True):
            for k, term in own.terms.items():
                terms[k] = terms[k] + coefficient * term if k in terms else coefficient * term
        return Series(terms, self.space)

    def with_value(self, value: Any) -> Series:
        """The same with another value: one that has kept its digits."""
        return Series({**self.terms, CONSTANT: value}, self.space)

    def derivatives(self, n: int) -> Array:
        """All derivatives, a row for each power in the table, (n_table, n)."""
        return derivatives(self, self.space, n)


def derivatives(found: Any, space: Space, n: int) -> Array:
    """All derivatives of a series, or of what does not depend on anything, (n_table, n)."""
    table = np.zeros((len(space.table), n))
    if not isinstance(found, Series):
        table[CONSTANT] = found
        return table
    for k, own in found.terms.items():
        table[k] = own
    table *= space.factorials[:, None]
    return table


def variables(eta: Array, phi: Sequence[Any], degree: int, by_phi: bool) -> tuple[Series, list[Any], Space]:
    """What a density is a function of, and its space: without `by_phi` the parameters are numbers."""
    own = space(degree, len(phi) if by_phi else 0)
    moved = [Series({CONSTANT: value, k: 1.0}, own) for value, k in zip(phi, own.phi, strict=True)] if by_phi else phi
    return Series({CONSTANT: eta, own.eta: 1.0}, own), list(moved), own


def _value(x: Any) -> Any:
    return x.value if isinstance(x, Series) else x


def _no_series(what: str, instead: str = "") -> DataError:
    known = ", ".join(sorted({*BINARY, *FUNCTIONS}))
    return DataError(
        f"a family's log_density uses {what}, of which there is no series: "
        + (instead or f"there are np.where, np.select, np.clip, comparisons, and of NumPy and scipy.special {known}")
    )


# ---- functions of two ---------------------------------------------------------------------------------------------


def _add(a: Any, b: Any) -> Series:
    return a.plus(b) if isinstance(a, Series) else b.plus(a)


def _subtract(a: Any, b: Any) -> Series:
    return a.plus(b, -1.0) if isinstance(a, Series) else b.times(-1.0).plus(a)


def _multiply(a: Any, b: Any) -> Series:
    return a.times(b) if isinstance(a, Series) else b.times(a)


def _divide(a: Any, b: Any) -> Series:
    if not isinstance(b, Series):
        return Series({k: own / b for k, own in a.terms.items()}, a.space)
    quotient = _multiply(a, b.apply(FUNCTIONS["reciprocal"]))
    return quotient.with_value(np.true_divide(_value(a), b.value))


def _power(a: Any, b: Any) -> Series:
    if not isinstance(b, Series):
        if np.ndim(b) and np.ptp(b) != 0:
            return _exp(_multiply(a.apply(FUNCTIONS["log"]), b)).with_value(np.power(a.value, b))
        return a.apply(functools.partial(power, exponent=float(np.ravel(b)[0])))
    base = a.apply(FUNCTIONS["log"]) if isinstance(a, Series) else np.log(a)
    return _exp(_multiply(base, b)).with_value(np.power(_value(a), b.value))


def _exp(x: Series) -> Series:
    return x.apply(FUNCTIONS["exp"])


def _where(condition: Any, a: Any, b: Any) -> Any:
    if isinstance(condition, Series):
        raise _no_series("np.where with a condition that is a number", "compare it with one")
    own = next((x.space for x in (a, b) if isinstance(x, Series)), None)
    if own is None:
        return np.where(condition, a, b)
    first, second = (x.terms if isinstance(x, Series) else {CONSTANT: x} for x in (a, b))
    return Series({k: np.where(condition, first.get(k, 0.0), second.get(k, 0.0)) for k in {*first, *second}}, own)


def _select(conditions: Sequence[Any], choices: Sequence[Any], default: Any = 0.0) -> Any:
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        default = _where(condition, choice, default)
    return default


def _clip(x: Any, a_min: Any = None, a_max: Any = None, **_: Any) -> Any:
    low = x if a_min is None else _maximum(x, a_min)
    return low if a_max is None else _minimum(low, a_max)


def _maximum(a: Any, b: Any) -> Any:
    return _where(np.greater_equal(_value(a), _value(b)), a, b)


def _minimum(a: Any, b: Any) -> Any:
    return _where(np.less_equal(_value(a), _value(b)), a, b)


def _logaddexp(a: Any, b: Any) -> Series:
    larger, smaller = _maximum(a, b), _minimum(a, b)
    return _subtract(larger, _subtract(larger, smaller).apply(log_expit)).with_value(np.logaddexp(_value(a), _value(b)))


def _xlogy(x: Any, y: Any) -> Series:
    logarithm = y.apply(FUNCTIONS["log"]) if isinstance(y, Series) else np.log(y)
    return _zero_times(x, logarithm)


def _xlog1py(x: Any, y: Any) -> Series:
    return _zero_times(x, y.apply(FUNCTIONS["log1p"]) if isinstance(y, Series) else np.log1p(y))


def _zero_times(x: Any, logarithm: Any) -> Series:
    """The product, and zero where x is, whatever that is."""
    product = _multiply(x, logarithm)
    if not isinstance(x, Series):
        return _where(np.equal(x, 0.0), 0.0, product)
    return product.with_value(np.where(np.equal(x.value, 0.0), 0.0, product.value))


def _betaln(a: Any, b: Any) -> Series:
    from scipy import special

    def gammaln(x: Any) -> Any:
        return x.apply(FUNCTIONS["gammaln"]) if isinstance(x, Series) else special.gammaln(x)

    total = _subtract(_add(gammaln(a), gammaln(b)), gammaln(_add(a, b)))
    return total.with_value(special.betaln(_value(a), _value(b)))


def _shape(x: Series) -> tuple[int, ...]:
    return x.shape


def _ndim(x: Series) -> int:
    return len(x.shape)


PLAIN = frozenset(  # functions of the values alone: comparisons, and what is flat
    ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "isnan", "isfinite", "isinf")
) | {"sign", "signbit", "floor", "ceil", "rint"}
BINARY: dict[str, Callable[..., Any]] = {
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "power": _power,
    "float_power": _power,
    "maximum": _maximum,
    "minimum": _minimum,
    "fmax": _maximum,
    "fmin": _minimum,
    "logaddexp": _logaddexp,
    "xlogy": _xlogy,
    "xlog1py": _xlog1py,
    "betaln": _betaln,
}
