"""Random effects drawn from their distribution given the data.

Under the model a response, and random effects that are drawn given it, are a draw of both together: given these effects
the rows are independent, and the effects have the distribution that the model says. Conditional modes have neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..prediction.choice_joint import ChoiceJoint, joint_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit

    Array = NDArray[np.float64]


def drawn_effects(fit: Fit, rng: np.random.Generator) -> tuple[Array, ...]:
    """One draw of all random effects, per grouping factor (n_levels, q).

    Normal around the conditional modes, with the conditional covariance of the Laplace approximation. With several
    grouping factors it is that of all effects at once, from the inverse of the sparse Hessian; where the density of a
    row is not concave in its linear predictor, with expected weights. Where the family's parameters have random effects
    the Hessian is the observed one, which is positive definite at the modes as a whole.

    References
    ----------
    Waagepetersen (2006) Scand. J. Statist. 33:721-731; Papandreou & Yuille (2010) NIPS 23, for draws by one solution of
    the sparse system.
    """
    if not fit.modes:
        return ()
    if len(fit.modes) == 1:
        values, vectors = np.linalg.eigh(fit.mode_cov[0])
        root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
        normal = rng.standard_normal(fit.modes[0].shape)
        return (fit.modes[0] + np.einsum("mab,mb->ma", root, normal),)
    if fit.design.choices is not None or any(term.parameter for term in fit.design.random_terms):
        return _of_predictors(fit, rng)
    return _joint(fit, rng)


def _of_predictors(fit: Fit, rng: np.random.Generator) -> tuple[Array, ...]:
    """By a root of the Hessian: its rows' parts need not have one each."""
    from scipy.sparse.linalg import splu, spsolve_triangular

    joint = joint_of(fit)
    # P'HP = L D L', U = D L'
    own = splu(joint.hessian, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    normal = rng.standard_normal(joint.size)
    solved = spsolve_triangular(own.U.tocsr(), np.sqrt(own.U.diagonal()) * normal, lower=False)
    shift = joint.effects(solved[own.perm_c])
    return tuple(modes + by for modes, by in zip(fit.modes, shift, strict=True))


def _joint(fit: Fit, rng: np.random.Generator) -> tuple[Array, ...]:
    from scipy.sparse import csc_array, csr_array, eye_array
    from scipy.sparse.linalg import splu

    if fit.design.choices is not None:
        return _of_choices(fit, rng)
    n = fit.n_rows
    sizes = [own.shape for own in fit.modes]
    starts = np.cumsum([0, *(m * q for m, q in sizes)])
    values, places = [], []
    for term, at, half in zip(fit.design.random_terms, fit.term_columns, fit.theta, strict=True):
        factor = term.grouping_factor
        columns = np.ones((n, len(term.names)))
        for j, column in enumerate(term.columns):
            if column is not None:
                columns[:, j] = column
        codes = fit.design.grouping_factors[factor].codes.astype(np.int64)
        values.append(columns @ half)  # Z Lambda
        places.append(starts[factor] + codes[:, None] * sizes[factor][1] + at[: half.shape[1]])
    joined = np.hstack(values)
    pointers = np.arange(0, joined.size + 1, joined.shape[1])
    z = csr_array((joined.ravel(), np.hstack(places).ravel(), pointers), shape=(n, starts[-1]))
    weights = _weights(fit)
    hessian = csc_array(z.T @ (z * weights[:, None]) + eye_array(starts[-1]))
    shaken = z.T @ (np.sqrt(weights) * rng.standard_normal(n)) + rng.standard_normal(starts[-1])
    v = splu(hessian, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}).solve(shaken)
    result = [own.copy() for own in fit.modes]
    for term, at, half in zip(fit.design.random_terms, fit.term_columns, fit.theta, strict=True):
        factor = term.grouping_factor
        own = v[starts[factor] : starts[factor + 1]].reshape(sizes[factor])
        result[factor][:, at] += own[:, at[: half.shape[1]]] @ half.T
    return tuple(result)


def _of_choices(fit: Fit, rng: np.random.Generator) -> tuple[Array, ...]:
    """The same of choices, whose rows are alternatives: with p their probabilities and e normal with variances p, the
    vector e - p sum(e) of a set has the covariance diag(p) - p p' of its curvature.
    """
    joint, result = ChoiceJoint(fit), [own.copy() for own in fit.modes]
    noise = np.sqrt(joint.p) * rng.standard_normal(len(joint.p))
    noise = np.sqrt(joint.weights) * (noise - joint.p * np.bincount(joint.sets, weights=noise)[joint.sets])
    v = joint.precision.solve(joint.by_v[0].T @ noise + rng.standard_normal(joint.size))
    for term, at, half, first in zip(fit.design.random_terms, fit.term_columns, fit.theta, joint.first, strict=True):
        levels = len(fit.modes[term.grouping_factor])
        own = v[first : first + levels * half.shape[1]].reshape(levels, -1)
        result[term.grouping_factor][:, at] += own @ half.T
    return tuple(result)


def _weights(fit: Fit) -> Array:
    response = fit.design.response
    second = response.second
    given = (fit.eta, response.values, second, fit.design.weights, fit.row_phi)
    observed = fit.family.information(*given, expected=False)
    return observed if (observed >= 0).all() else fit.family.information(*given)
