"""Taylor coefficients of functions of one number: f, f', f'' / 2, ... at each value, to an order of four at most."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from multilevel import _core

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[[Any, int], list[Any]]  # of a value and an order

FACTORIALS = (1.0, 1.0, 2.0, 6.0, 24.0)
ROOT_TWO = math.sqrt(2.0)


def from_derivatives(*values: Any) -> list[Any]:
    """Coefficients from derivatives."""
    return [value / factorial for value, factorial in zip(values, FACTORIALS[: len(values)], strict=True)]


def power(x: Any, order: int, exponent: float) -> list[Any]:
    """A power: zero is no exception where the number is whole."""
    if exponent == round(exponent) and exponent >= 0:
        whole = int(exponent)
        return [math.comb(whole, k) * x ** (whole - k) if k <= whole else 0.0 * x for k in range(order + 1)]
    found = [np.power(x, exponent)]
    for k in range(1, order + 1):
        found.append(found[-1] * ((exponent - k + 1.0) / k) / x)
    return found


def _exp(x: Any, order: int) -> list[Any]:
    value = np.exp(x)
    return from_derivatives(*[value] * (order + 1))


def _log(x: Any, order: int) -> list[Any]:
    return [np.log(np.where(x < 0, np.nan, x)), *((-1.0) ** (k - 1) / (k * x**k) for k in range(1, order + 1))]


def _gammaln(x: Any, order: int) -> list[Any]:
    own = np.asarray(x, dtype=np.float64)
    return from_derivatives(special.gammaln(own), *(special.polygamma(k, own) for k in range(order)))


def _digamma(x: Any, order: int) -> list[Any]:
    own = np.asarray(x, dtype=np.float64)
    return from_derivatives(*(special.polygamma(k, own) for k in range(order + 1)))


def _logistic(x: Any) -> tuple[Any, ...]:
    """1 / (1 + exp(-x)), one minus it, and its derivatives."""
    one, rest = special.expit(x), special.expit(-x)
    slope, tilt = one * rest, rest - one
    return one, rest, slope, slope * tilt, slope * (1.0 - 6.0 * slope), slope * tilt * (1.0 - 12.0 * slope)


def _expit(x: Any, order: int) -> list[Any]:
    one, _, *rest = _logistic(x)
    return from_derivatives(*(one, *rest)[: order + 1])


def log_expit(x: Any, order: int) -> list[Any]:
    """-log(1 + exp(-x))."""
    _, below, *slopes = _logistic(x)
    values = (special.log_expit(x), below, *(-own for own in slopes[:3]))
    return from_derivatives(*values[: order + 1])


def _logit(x: Any, order: int) -> list[Any]:
    rest = 1.0 - x
    return [special.logit(x), *(((-1.0) ** (k - 1) / x**k + 1.0 / rest**k) / k for k in range(1, order + 1))]


def _ndtr(x: Any, order: int) -> list[Any]:
    density = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    values = (special.ndtr(x), density, -x * density, (x * x - 1.0) * density, (3.0 * x - x**3) * density)
    return from_derivatives(*values[: order + 1])


def _log_ndtr(x: Any, order: int) -> list[Any]:
    """The core's: a success under the probit link. It keeps its digits far out."""
    own = np.atleast_1d(np.asarray(x, dtype=np.float64))
    one = np.ones_like(own)
    found = _core.Family("binomial", "probit").derivatives(own, one, one, one, np.empty(0))
    values = [found[name].reshape(np.shape(x)) for name in ("value", "d1", "d2", "d3", "d4")]
    return from_derivatives(*values[: order + 1])


def _of_ndtr(value: Callable[[Any], Any], sign: float) -> Function:
    """The error functions: their slope is plus or minus 2 sqrt(2) times the normal density at sqrt(2) x."""

    def function(x: Any, order: int) -> list[Any]:
        normal = _ndtr(ROOT_TWO * x, order)
        return [value(x), *(2.0 * sign * ROOT_TWO**k * normal[k] for k in range(1, order + 1))]

    return function


def _tanh(x: Any, order: int) -> list[Any]:
    t = np.tanh(x)
    u = 1.0 / np.cosh(x) ** 2
    values = (t, u, -2.0 * t * u, u * (4.0 - 6.0 * u), 8.0 * t * u * (3.0 * u - 1.0))
    return from_derivatives(*values[: order + 1])


def _arctan(x: Any, order: int) -> list[Any]:
    g = 1.0 / (1.0 + x * x)
    values = (np.arctan(x), g, -2.0 * x * g**2, (6.0 * x * x - 2.0) * g**3, 24.0 * x * (1.0 - x * x) * g**4)
    return from_derivatives(*values[: order + 1])


def _cycle(*functions: Callable[[Any], Any]) -> Function:
    """Functions of which each is the derivative of the one before, in a circle."""

    def function(x: Any, order: int) -> list[Any]:
        return from_derivatives(*(functions[k % len(functions)](x) for k in range(order + 1)))

    return function


def _scaled(inner: Function, value: Callable[[Any], Any], *, by: float = 1.0, of: float = 1.0) -> Function:
    """A function with its value and its argument multiplied; the value itself as NumPy has it."""

    def function(x: Any, order: int) -> list[Any]:
        coefficients = inner(of * x, order)
        return [value(x), *(by * of**k * coefficients[k] for k in range(1, order + 1))]

    return function


def _minus_sin(x: Any) -> Any:
    return -np.sin(x)


def _minus_cos(x: Any) -> Any:
    return -np.cos(x)


def _absolute(x: Any, order: int) -> list[Any]:
    return [np.abs(x), np.where(x < 0, -1.0, 1.0), *[0.0] * 3][: order + 1]


def _linear(slope: float) -> Function:
    def function(x: Any, order: int) -> list[Any]:
        return [slope * x, slope, 0.0, 0.0, 0.0][: order + 1]

    return function


def _expm1(x: Any, order: int) -> list[Any]:
    return [np.expm1(x), *_exp(x, order)[1:]]


def _log1p(x: Any, order: int) -> list[Any]:
    return [np.log1p(x), *_log(1.0 + x, order)[1:]]


def _power(exponent: float) -> Function:
    def function(x: Any, order: int) -> list[Any]:
        return power(x, order, exponent)

    return function


FUNCTIONS: dict[str, Function] = {
    "negative": _linear(-1.0),
    "positive": _linear(1.0),
    "absolute": _absolute,
    "fabs": _absolute,
    "reciprocal": _power(-1.0),
    "square": _power(2.0),
    "sqrt": _power(0.5),
    "exp": _exp,
    "exp2": _scaled(_exp, np.exp2, of=math.log(2.0)),
    "expm1": _expm1,
    "log": _log,
    "log1p": _log1p,
    "log2": _scaled(_log, np.log2, by=1.0 / math.log(2.0)),
    "log10": _scaled(_log, np.log10, by=1.0 / math.log(10.0)),
    "sin": _cycle(np.sin, np.cos, _minus_sin, _minus_cos),
    "cos": _cycle(np.cos, _minus_sin, _minus_cos, np.sin),
    "sinh": _cycle(np.sinh, np.cosh),
    "cosh": _cycle(np.cosh, np.sinh),
    "tanh": _tanh,
    "arctan": _arctan,
    "gammaln": _gammaln,
    "psi": _digamma,
    "expit": _expit,
    "log_expit": log_expit,
    "logit": _logit,
    "ndtr": _ndtr,
    "log_ndtr": _log_ndtr,
    "erf": _of_ndtr(special.erf, 1.0),
    "erfc": _of_ndtr(special.erfc, -1.0),
}
