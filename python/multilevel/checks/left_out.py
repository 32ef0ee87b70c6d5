"""Estimates without a unit of the data, of many units at once; and Newton's step towards them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..fitting.natural import Natural

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit

    Array = NDArray[np.float64]

# The smallest eigenvalue of an information over the diagonal of the whole fit's: below it something is not determined.
LEAST_EIGENVALUE = 1e-6


class LeftOut(NamedTuple):
    """Of u units: what is estimated without each.

    Attributes
    ----------
    beta, std_error : ndarray, (u, p)
        Of all coefficients, in the order of the whole fit.
    variances : ndarray, (u, q)
    loglik : ndarray, (u,)
    found : ndarray of bool, (u,)
        False of units whose numbers the method cannot give.
    """

    beta: Array
    std_error: Array
    variances: Array
    loglik: Array
    found: NDArray[np.bool_]


def not_found(fit: Fit, n_units: int) -> LeftOut:
    """No numbers."""
    beta, errors = np.full((2, n_units, len(fit.beta)), np.nan)
    variances = np.full((n_units, len(variance_names(fit))), np.nan)
    return LeftOut(beta, errors, variances, np.full(n_units, np.nan), np.zeros(n_units, dtype=bool))


def variances_of(fit: Fit, psi: Array) -> Array:
    """Variances of the random effects, and the residual one, at other parameters: of psi (u, P) they are (u, q)."""
    natural = Natural(fit.design, fit.family, fit.fixed_names, fit.components)
    columns = [part.values(psi)[:, : part.q] ** 2 for part in natural.terms]
    if fit.sigma is not None:
        sigma = np.full(len(psi), fit.sigma)
        for own in fit.family.parameters[:1]:  # the scale of quasi-likelihood is no parameter
            if own.name in fit.phi_places:
                sigma = own.naturals(psi[:, fit.phi_places[own.name]]) * natural.share
        columns.append(sigma[:, None] ** 2)
    return np.concatenate(columns, axis=1) if columns else np.empty((len(psi), 0))


def variance_names(fit: Fit) -> list[str]:
    """Their names, "g: x" and "Residual"."""
    names = [
        f"{fit.design.grouping_factors[term.grouping_factor].name}: {name}"
        for term in fit.design.random_terms
        for name in term.names
    ]
    return names if fit.sigma is None else [*names, "Residual"]


def free_parameters(fit: Fit) -> NDArray[np.bool_]:
    """Which entries of psi move: parameters at a boundary or a limit have no covariance, and stay."""
    return np.isfinite(np.diag(fit.covariance))


def newton(fit: Fit, gradient: Array, hessian: Array, loglik: Array) -> LeftOut:
    """One step from the whole fit.

    Parameters
    ----------
    fit : Fit
    gradient, hessian : ndarray, (u, P) and (u, P, P)
        Of the log-likelihood of the other rows, at the estimates of the whole fit.
    loglik : ndarray, (u,)
        Its value there.
    """
    free = free_parameters(fit)
    scale = 1.0 / np.sqrt(np.abs(np.diag(fit.hessian))[free])
    step, inverse, sound = upward(gradient[:, free], hessian[:, free][:, :, free], scale)
    psi = np.tile(fit.psi, (len(gradient), 1))
    psi[:, free] += step
    p = len(fit.beta)
    errors = np.full(psi.shape, np.nan)
    errors[:, free] = np.sqrt(np.diagonal(inverse, axis1=1, axis2=2))
    return LeftOut(psi[:, :p], errors[:, :p], variances_of(fit, psi), loglik, sound)


def upward(gradient: Array, hessian: Array, scale: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Newton's steps for many functions of m numbers, whose unit is `scale`, (m,).

    Returns
    -------
    step, inverse : ndarray, (u, m) and (u, m, m)
        NaN where a function is not concave; the second is the inverse of the information.
    sound : ndarray of bool, (u,)
        Whether it is.
    """
    if not len(scale):
        return gradient, hessian, np.ones(len(gradient), dtype=bool)
    information = -hessian * (scale[:, None] * scale)
    information = (information + np.swapaxes(information, 1, 2)) / 2.0
    sound = np.isfinite(information).all(axis=(1, 2)) & np.isfinite(gradient).all(axis=1)
    information[~sound] = 0.0
    values, vectors = np.linalg.eigh(information)
    sound = values[:, 0] > LEAST_EIGENVALUE
    values[~sound] = np.nan
    inverse = np.einsum("uij,uj,ukj->uik", vectors, 1.0 / values, vectors, optimize=True) * (scale[:, None] * scale)
    return np.einsum("uij,uj->ui", inverse, np.where(sound[:, None], gradient, np.nan)), inverse, sound
