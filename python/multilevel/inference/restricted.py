"""The restricted log-likelihood of Gaussian models without random effects, which are themselves not fitted by REML."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .term_contrasts import cross_products, kept_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit

STEPS = 100
GAIN = 1e-12  # a step that promises less changes no digit of a chi-square that is printed
ENOUGH = 1e-6  # what may be promised where rounding lets no step go higher


def restricted_loglik(small: Fit) -> float:
    """The restricted log-likelihood at its maximum over the residual variances.

    Parameters
    ----------
    small : Fit
        Gaussian with the identity link, without random effects, converged or not. Its residual variance is one number,
        estimated or given, or has a linear predictor.

    Returns
    -------
    float
        With every constant, so that it compares with `loglik` of a fit by REML.

    Raises
    ------
    DataError
        No maximum was found.

    References
    ----------
    Harville (1974) Biometrika 61:383-385; Smyth (2002) J. Comput. Graph. Statist. 11:836-847, Fisher scoring.
    """
    n, p, weights = small.n_rows, len(small.beta), small.design.weights
    if small.is_linear:
        assert small.sigma is not None
        residual = (n - p) * small.sigma**2
        own = kept_columns(small)
        gram = cross_products(small.design, weights)[np.ix_(own, own)]
        log_weights = 0.0 if weights is None else float(np.log(weights).sum())
        log_gram = float(np.linalg.slogdet(gram)[1]) if p else 0.0
        return 0.5 * (log_weights - log_gram - (n - p) * (np.log(2 * np.pi * residual / (n - p)) + 1.0))
    rows = _Rows(small)
    columns, offset, gamma = _log_sigma(small)
    now = rows.at(offset + columns @ gamma)
    for _ in range(STEPS if len(gamma) else 0):
        score, information = now.derivatives(columns)
        step = np.linalg.lstsq(information, score, rcond=None)[0]
        promised = float(step @ score)
        if promised < GAIN:
            return now.loglik
        for halvings in range(40):
            new = rows.at(offset + columns @ (gamma + step / 2.0**halvings))
            if new.loglik > now.loglik:
                break
        else:
            if promised < ENOUGH:
                return now.loglik
            raise DataError(
                f"the restricted log-likelihood of '{small.design.formula}' without random effects has no maximum that "
                "could be found: fit both models with method='ml'"
            )
        gamma, now = gamma + step / 2.0**halvings, new
    if not len(gamma):
        return now.loglik
    raise DataError(
        f"the restricted log-likelihood of '{small.design.formula}' without random effects still rises after {STEPS} "
        "steps: fit both models with method='ml'"
    )


def _log_sigma(small: Fit) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Columns and offset of log sigma, (n, q) and (n,), and the coefficients at the maximum of the likelihood, (q,)."""
    n = small.n_rows
    if not small.components:
        assert small.sigma is not None
        return np.empty((n, 0)), np.full(n, np.log(small.sigma)), np.empty(0)
    component = small.component("dispersion")
    part = next(own for own in small.design.parts if own.name == "dispersion")
    by_name = {column.name: column.values for column in part.fixed}
    values = [by_name[name] for name in component.names]
    columns = np.column_stack([np.ones(n) if own is None else own for own in values])
    offset = np.zeros(n) if part.offset is None else part.offset
    return columns, offset, small.psi[component.first : component.first + len(values)]


class _Rows:
    """Columns of the fixed part and the response without its offset."""

    def __init__(self, small: Fit) -> None:
        n, design = small.n_rows, small.design
        own = [design.fixed[k].values for k in kept_columns(small)]
        ones = np.ones(n)
        self.x = np.column_stack([ones if values is None else values for values in own]) if own else np.empty((n, 0))
        self.y = design.response.values - (0.0 if design.offset is None else design.offset)
        self.log_weights = np.zeros(n) if design.weights is None else np.log(design.weights)

    def at(self, log_sigma: NDArray[np.float64]) -> _Point:
        """Generalized least squares with these residual standard deviations."""
        root = np.exp(0.5 * self.log_weights - log_sigma)
        q, r = np.linalg.qr(root[:, None] * self.x)
        z = root * self.y
        log_gram = 2.0 * float(np.log(np.abs(np.diag(r))).sum())
        squares = (z - q @ (q.T @ z)) ** 2
        constant = (len(z) - q.shape[1]) * np.log(2 * np.pi)
        logs = float((2.0 * log_sigma - self.log_weights).sum())
        return _Point(-0.5 * (constant + logs + log_gram + float(squares.sum())), q, squares)


class _Point:
    """The restricted log-likelihood at one value, with an orthonormal basis of the weighted columns."""

    def __init__(self, loglik: float, q: NDArray[np.float64], squares: NDArray[np.float64]) -> None:
        self.loglik, self.q, self.squares = loglik, q, squares

    def derivatives(self, columns: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Score and expected information of the coefficients of log sigma."""
        leverage = (self.q**2).sum(axis=1)
        score = columns.T @ (self.squares - (1.0 - leverage))
        information = columns.T @ ((1.0 - 2.0 * leverage)[:, None] * columns)
        moments = np.array([(self.q.T @ (own[:, None] * self.q)).ravel() for own in columns.T])
        return score, 2.0 * (information + moments @ moments.T)
