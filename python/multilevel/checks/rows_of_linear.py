"""Linear models without each row, in closed form but for the relative covariance of the random effects.

Leaving out row i is one more coefficient, of a column that is one in this row. With W the inverse of the covariance V
of the response, A = X'WX and P = W - W X A^-1 X'W, without the row

    beta_i = beta - A^-1 (WX)_i (Py)_i / P_ii,    y'Py falls by (Py)_i^2 / P_ii,    log det V rises by log W_ii,

and log det A rises by log(P_ii / W_ii). That makes the log-likelihood without the row, beta and the common scale of all
variances profiled out, a function of theta alone, whose maximum is one Newton step away.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..fitting.covariance import factor, scales
from ..prediction.joint import Joint
from .left_out import LeftOut, free_parameters, upward, variances_of
from .stencil import derivatives, points, taylor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit

    Array = NDArray[np.float64]

STEP = 0.02  # of differences by theta, in standard errors
LEAST_SHARE = 1e-9  # of P_ii in W_ii: below it the row alone determines a coefficient


class _Rows(NamedTuple):
    """Of each row, at a theta, with sigma as it was estimated: see the module."""

    squares: Array  # (n,) y'Py without the row
    others: Array  # (n,) what else -2 log-likelihood has, but for constants
    beta: Array  # (n, p), less that of the fit
    log_errors: Array  # (n, p) logarithms of the standard errors of beta, all variances as they are
    given: Array  # (n,) the log-likelihood without the row at the estimates of the whole fit


def without_rows(fit: Fit) -> LeftOut:
    """Estimates without each row.

    References
    ----------
    Christensen, Pearson & Johnson (1992) Technometrics 34:38-45, who hold the variances fixed.
    """
    x, residual = _fixed_part(fit)
    p, theta = len(fit.beta), np.concatenate([*fit.theta_values, np.empty(0)])
    free = free_parameters(fit)[p:][: len(theta)]
    unit = np.sqrt(np.diag(fit.covariance)[p:][: len(theta)][free])
    steps = STEP * unit
    found = []
    for change in points(steps):
        moved = theta.copy()
        moved[free] += change
        found.append(_at(fit, x, residual, moved))
    n_free = fit.n_rows - 1 - (p if fit.method == "reml" or fit.is_least_squares else 0)

    def all_of(name: str) -> Array:
        return np.array([getattr(own, name) for own in found])

    grows = np.concatenate(
        [*(scales(term.structure, len(term.names)) for term in fit.design.random_terms), np.empty(0)]
    )
    scaled = theta[free] * grows[free]
    change, sound = _step(all_of("squares"), all_of("others"), steps, unit, scaled, grows[free], n_free)
    log_scale = 0.5 * np.log(taylor(all_of("squares"), steps, change) / n_free)  # given theta it has a closed form
    psi = np.tile(fit.psi, (fit.n_rows, 1))
    psi[:, p + np.flatnonzero(free)] += change
    return LeftOut(
        fit.beta + taylor(all_of("beta"), steps, change),
        np.exp(taylor(all_of("log_errors"), steps, change) + log_scale[:, None]),
        variances_of(fit, psi) * np.exp(2.0 * log_scale)[:, None],
        found[0].given,
        sound & np.isfinite(found[0].squares),
    )


def _step(
    squares: Array, others: Array, steps: Array, unit: Array, scaled: Array, grows: Array, n_free: int
) -> tuple[Array, NDArray[np.bool_]]:
    """Newton's step in theta and the power -2/3 of sigma, and where it leads to in theta over sigma.

    The log-likelihood -(2 n t + squares(r) exp(-2 t) + others(r)) / 2 is a function of the logarithm t of the scale of
    all variances and of r, theta over this scale. A row that is far off makes sigma smaller, and theta hardly: that is
    why the step is taken in these two. In w = exp(-2 t / 3) the function has no third derivative at its maximum.
    """
    m = len(steps)
    d_squares, dd_squares = derivatives(squares, steps)
    d_others, dd_others = derivatives(others, steps)
    by_r, by_r_r = -(d_squares + d_others) / 2.0, -(dd_squares + dd_others) / 2.0
    by_t = squares[0] - n_free - by_r @ scaled
    by_r_t = d_squares - by_r_r @ scaled - by_r * grows
    by_t_t = -2.0 * squares[0] - 2.0 * d_squares @ scaled + (by_r_r @ scaled) @ scaled + by_r @ scaled
    gradient = np.concatenate([by_r, -1.5 * by_t[:, None]], axis=1)
    hessian = np.empty((squares.shape[1], m + 1, m + 1))
    hessian[:, :m, :m] = by_r_r
    hessian[:, :m, m] = hessian[:, m, :m] = -1.5 * by_r_t
    hessian[:, m, m] = 2.25 * by_t_t + 1.5 * by_t
    step, _, sound = upward(gradient, hessian, np.append(unit, 1.0 / np.sqrt(4.5 * n_free)))
    sound &= step[:, m] > -1.0
    with np.errstate(invalid="ignore"):
        shrunk = (1.0 + step[:, m:]) ** (1.5 * grows)
    return step[:, :m] * shrunk + scaled * (shrunk - 1.0), sound


def _fixed_part(fit: Fit) -> tuple[Array, Array]:
    """The columns of beta, (n, p), and what they leave of the response, (n,)."""
    columns = {column.name: column.values for column in fit.design.fixed}
    x = np.ones((fit.n_rows, len(fit.beta)))
    for k, name in enumerate(fit.fixed_names):
        values = columns[name]
        if values is not None:
            x[:, k] = values
    none = tuple(np.zeros_like(own) for own in fit.modes)
    return x, fit.design.response.values - fit.linear_predictor(none)


def _at(fit: Fit, x: Array, residual: Array, theta: Array) -> _Rows:
    n, p = x.shape
    restricted = fit.method == "reml"
    assert fit.sigma is not None
    precision = np.ones(n) if fit.design.weights is None else np.array(fit.design.weights, dtype=np.float64)
    precision /= fit.sigma**2
    columns = np.column_stack([x, residual])
    weighted = precision[:, None] * columns  # W times the columns
    w, log_det = precision.copy(), -float(np.sum(np.log(precision)))
    if fit.design.random_terms:
        joint = Joint(_moved(fit, theta))
        loads = joint.by_v[0]
        weighted -= precision[:, None] * (loads @ joint.precision.solve(loads.T @ weighted))
        w -= precision**2 * joint.spread
        log_det += float(np.sum(np.log(np.abs(joint.precision.U.diagonal()))))
    wx, wr = weighted[:, :p], weighted[:, p]
    cross = x.T @ wx
    size = np.sqrt(np.diag(cross))
    inverse = np.linalg.inv(cross / np.outer(size, size)) / np.outer(size, size)
    shift = inverse @ (x.T @ wr)  # beta at theta, less that of the fit
    left = wr - wx @ shift  # P y
    reach = wx @ inverse
    own = w - np.einsum("np,np->n", reach, wx)  # P_ii
    own[own < LEAST_SHARE * w] = np.nan
    squares = float(residual @ left) - left**2 / own
    if fit.is_least_squares:  # the fit itself: nothing is left to be searched for
        given = -0.5 * ((n - 1) * (1.0 + np.log(2.0 * np.pi * squares / (n - 1))) + log_det + np.log(w))
    else:
        density = own if restricted else w
        given = fit.loglik - 0.5 * (np.log(density / (2.0 * np.pi)) - left**2 / density)
    others = log_det + np.log(w)
    if restricted:
        others += np.linalg.slogdet(cross)[1] + np.log(own / w)
    log_errors = 0.5 * np.log(np.diag(inverse) + reach**2 / own[:, None])
    return _Rows(squares, others, shift - reach * (left / own)[:, None], log_errors, given)


def _moved(fit: Fit, theta: Array) -> Fit:
    """The fit with another theta."""
    cuts = np.cumsum([len(own) for own in fit.theta_values])[:-1]
    values = tuple(np.split(theta, cuts))
    factors = tuple(
        factor(term.structure, own, len(term.names)) for term, own in zip(fit.design.random_terms, values, strict=True)
    )
    return replace(fit, theta_values=values, theta=factors)
