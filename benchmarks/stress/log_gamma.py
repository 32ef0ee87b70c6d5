"""Logarithms of gamma functions and their differences, where plain ones would cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import digamma, gammaln, polygamma

if TYPE_CHECKING:
    from .problem import Array

LOG_2PI = np.log(2 * np.pi)


def stirling(x: Array | float) -> Array | float:
    """log Gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2), of x from 100 on."""
    return 1 / (12 * x) - 1 / (360 * x**3) + 1 / (1260 * x**5)


def log_rising(y: Array, x: Array | float) -> Array:
    """log Gamma(y + x) - log Gamma(x) - y log x."""
    far = np.maximum(x, 100.0)
    large = (far + y - 0.5) * np.log1p(y / far) - y + stirling(far + y) - stirling(far)
    near = np.clip(x, 1e-300, 100.0)
    return np.where(x > 100, large, gammaln(y + near) - gammaln(near) - y * np.log(near))


def digamma_rise(y: Array, x: Array | float) -> tuple[Array, Array]:
    """psi(y + x) - psi(x), and the same of the trigamma function."""
    far, near = np.maximum(x, 30.0), np.minimum(x, 30.0)
    u, v = 1 / far, 1 / (far + y)
    first = np.log1p(y / far) + (u - v) / 2 + (u**2 - v**2) / 12 - (u**4 - v**4) / 120 + (u**6 - v**6) / 252
    second = -y * u * v - (u**2 - v**2) / 2 - (u**3 - v**3) / 6 + (u**5 - v**5) / 30 - (u**7 - v**7) / 42
    return (
        np.where(x > 30, first, digamma(y + near) - digamma(near)),
        np.where(x > 30, second, polygamma(1, y + near) - polygamma(1, near)),
    )


def log_gamma_rest(x: Array) -> Array:
    """log Gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2)."""
    near = np.clip(x, 1e-300, 100.0)
    exact = gammaln(near) - ((near - 0.5) * np.log(near) - near + 0.5 * LOG_2PI)
    return np.where(x > 100, stirling(np.maximum(x, 100.0)), exact)
