"""Models whose likelihood does not part, without each row: what the row adds, through Laplace's approximation.

Without row i the conditional modes and the Hessian H of all random effects are those of the whole but for a term of
rank one. With l', l'', l''' the derivatives of the row's log density by its linear predictor, m the predictor's by the
spherical random effects, s = m'H^-1 m its variance given the data, and t = m'H^-1 sum_j m_j s_j l_j''' for what moving
the modes does to the curvature of the other rows, the row adds

    log f - l'^2 s / (2 (1 + l'' s)) + log(1 + l'' s) / 2 + l' (t - s^2 l''') / (2 (1 + l'' s))

to the log-likelihood, to the first order in what the row moves. Its derivatives by the parameters, from differences in
which the modes follow, are what the step needs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..fitting.core_model import build_core
from ..fitting.parameters import parts
from ..prediction.joint import Joint
from .left_out import LeftOut, free_parameters, newton
from .stencil import derivatives, points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit

    Array = NDArray[np.float64]

STEP = 0.01  # of differences, in standard errors


def without_rows(fit: Fit) -> LeftOut:
    """Estimates without each row, by a Newton step."""
    free = np.flatnonzero(free_parameters(fit))
    steps = STEP * np.sqrt(np.diag(fit.covariance)[free])
    at_fit = Joint(fit)
    added = []
    for change in points(steps):
        psi = fit.psi.copy()
        psi[free] += change
        added.append(_added(_joint_at(fit, psi, at_fit, at_fit.modes + at_fit.v_by_psi[:, free] @ change)))
    by_psi, by_psi_psi = derivatives(np.array(added), steps)
    gradient = np.zeros((fit.n_rows, len(fit.psi)))
    gradient[:, free] = -by_psi
    hessian = np.tile(fit.hessian, (fit.n_rows, 1, 1))
    hessian[:, free[:, None], free] -= by_psi_psi
    return newton(fit, gradient, hessian, fit.loglik - added[0])


def _added(joint: Joint) -> Array:
    """What each row adds to the log-likelihood, (n,)."""
    s, first, second, third = joint.spread, joint.by[0], joint.by_by[0, 0], joint.third
    left = 1.0 + second * s
    loads = joint.by_v[0]
    others = loads @ joint.precision.solve(loads.T @ (s * third)) - s**2 * third
    with np.errstate(invalid="ignore", divide="ignore"):
        return joint.density - first**2 * s / (2.0 * left) + np.log(left) / 2.0 + first * others / (2.0 * left)


def _joint_at(fit: Fit, psi: Array, near: Joint, modes: Array) -> Joint:
    """The same at other parameters, where the modes are close to these: one Newton step finds them."""
    core = fit.model_core if fit.model_core is not None else build_core(fit.design, fit.family)
    dropped = {own.name: core.phi_redundant(k) for k, own in enumerate(fit.family.parameters)}
    cut = parts(fit.design, fit.family, fit.fixed_names, psi, dropped)
    there = replace(
        fit,
        model_core=core,
        psi=psi,
        beta=cut.beta,
        theta_values=cut.theta_values,
        theta=cut.theta,
        random_cov=cut.random_cov,
        phi=cut.phi,
        components=cut.components,
    )
    joint = Joint(replace(there, modes=_own_scale(there, near, modes)))
    modes = modes + joint.precision.solve(joint.modes - modes)
    return Joint(replace(there, modes=_own_scale(there, near, modes)))


def _own_scale(fit: Fit, joint: Joint, v: Array) -> tuple[Array, ...]:
    """The random effects u = L v of spherical ones, one array per grouping factor."""
    modes = [np.zeros_like(own) for own in fit.modes]
    for term, (own, columns) in enumerate(zip(fit.design.random_terms, fit.term_columns, strict=True)):
        levels, q = len(modes[own.grouping_factor]), len(own.names)
        first = joint.first[term]
        part = v[first : first + levels * q].reshape(levels, q)
        modes[own.grouping_factor][:, columns] = part @ fit.theta[term].T
    return tuple(modes)
