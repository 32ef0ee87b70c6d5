"""Tails of weighted sums of chi-square variables.

The tail probability of Q = sum_k w_k chi2_1, w_k > 0, is the integral of M(s) exp(-s x) / (2 pi i s) along any line of
constant positive real part where M(s) = prod_k (1 - 2 w_k s)^-1/2 exists. Bent to the right around the branch points,
the integrand falls off as a Gaussian, and the trapezoidal rule converges geometrically; through the saddle point the
relative error stays small however far out x is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP = 0.02  # of the trapezoidal rule, on the scale where the path's parameter is its hyperbolic sine
FALL = 42.0  # the integrand is cut where it has fallen to exp(-FALL)
LEAST_WEIGHT = 1e-10  # of the largest: what is below changes no digit
HALVINGS = 60


def tail(x: float, weights: NDArray[np.float64]) -> float:
    """Probability that the sum of w_k chi-square(1) exceeds `x`.

    Parameters
    ----------
    x : float
    weights : (k,) ndarray
        Not negative; zeros count for nothing.

    References
    ----------
    Rice (1980) SIAM J. Sci. Stat. Comput. 1:438-448, for the path.
    """
    own = np.asarray(weights, dtype=np.float64)
    own = own[own > LEAST_WEIGHT * own.max(initial=0.0)]
    if not len(own) or x <= 0.0:
        return float(x < 0.0 or (x == 0.0 and len(own) > 0))
    end = 0.5 / own.max()  # the first branch point
    start = max(_saddle(x, own, end), 0.25 * end)
    width = 0.5 * min(start, end - start)
    reach = np.sqrt(FALL / (0.25 * width * x))
    u = np.arange(0.0, np.arcsinh(reach) + STEP, STEP)
    t = np.sinh(u)
    s = start + width * (1j * t + 0.25 * t**2)
    logs = -0.5 * np.log1p(-2.0 * own[:, None] * s).sum(axis=0) - s * x
    values = np.exp(logs) / s * (width * (1j + 0.5 * t) * np.cosh(u))
    # The path is symmetric about the real axis: the half above stands for both.
    return float(np.clip(STEP * (values.imag.sum() - 0.5 * values.imag[0]) / np.pi, 0.0, 1.0))


def _saddle(x: float, weights: NDArray[np.float64], end: float) -> float:
    """Where the derivative of log M(s) is x, if that is above zero."""
    if x <= weights.sum():
        return 0.0
    low, high = 0.0, end
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if np.sum(weights / (1.0 - 2.0 * weights * middle)) < x:
            low = middle
        else:
            high = middle
    return low
