"""How the response's covariance changes with its parameters, as seen by linear combinations of the fixed effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...fitting.record import Fit


def jacobian(fit: Fit, t: int) -> NDArray[np.float64]:
    """Derivatives dSigma / dtheta of the covariance of random-effects term `t`, (n_theta, q, q)."""
    factor, structure = fit.theta[t], fit.design.random_terms[t].structure
    q = len(factor)
    if structure == "diagonal":
        rows = columns = np.arange(q)
    elif structure == "unstructured":
        columns, rows = np.triu_indices(q)  # row-major over the upper triangle = column-major over the lower
    else:
        from ...fitting.covariance import jacobian as of_structure

        return np.asarray(of_structure(structure, fit.theta_values[t], q), dtype=np.float64)
    slope = np.zeros((len(rows), q, q))
    slope[np.arange(len(rows)), rows, columns] = 1.0
    half = slope @ factor.T
    return half + half.transpose(0, 2, 1)


def linear_directions(fit: Fit, t: int) -> NDArray[np.float64]:
    """A basis of the covariances of term `t` where its structure is linear in them, else dSigma / dtheta, (k, q, q).

    The latter without the parameters at the boundary, which do not move.
    """
    structure = fit.design.random_terms[t].structure
    q = len(fit.theta[t])
    unit = np.eye(q)
    if structure == "unstructured":
        rows, columns = np.tril_indices(q)
        basis = np.zeros((len(rows), q, q))
        basis[np.arange(len(rows)), rows, columns] = basis[np.arange(len(rows)), columns, rows] = 1.0
        return basis
    if structure == "diagonal":
        return unit[:, :, None] * unit[:, None, :]
    if structure == "homogeneous diagonal":
        return unit[None]
    if structure == "homogeneous compound symmetry":
        return np.stack([unit, 1.0 - unit]) if q > 1 else unit[None]
    first = len(fit.beta) + sum(len(values) for values in fit.theta_values[:t])
    variances = np.diag(fit.covariance)[first : first + len(fit.theta_values[t])]
    return jacobian(fit, t)[np.isfinite(variances)]


def moments(fit: Fit, rows: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Per grouping factor, sum over levels of u u' with u = F_b C l, for each row l: (k, q_f, q_f)."""
    direction = fit.beta_covariance @ rows.T
    shifts = (projection @ direction for projection in fit.projection)
    return [np.einsum("nak,nbk->kab", u, u, optimize=True) for u in shifts]


def contract(
    of_factor: list[NDArray[np.float64]], fit: Fit, changes: NDArray[np.float64], t: int
) -> NDArray[np.float64]:
    """d(l' C l) for changes (n, q, q) of term t's covariance, (k, n)."""
    at = np.asarray(fit.term_columns[t])
    block = of_factor[fit.design.random_terms[t].grouping_factor][:, at[:, None], at[None, :]]
    return np.einsum("kab,nab->kn", block, changes)
