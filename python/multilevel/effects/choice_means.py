"""Probabilities of categories without an order at coded rows, with their derivatives by all parameters of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..fitting.covariance import jacobian
from ..prediction.choice_law import choice_law

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit
    from ..prediction.choice_law import ChoiceLaw
    from .rows import CodedRows

    Array = NDArray[np.float64]


def owners(fit: Fit) -> NDArray[np.intp]:
    """The category that each fixed effect belongs to, (p,)."""
    choices, design = fit.design.choices, fit.design
    assert choices is not None
    place = {column.name: k for k, column in enumerate(design.fixed)}
    return np.array([choices.owner(place[name], len(place)) for name in fit.fixed_names], dtype=np.intp)


def predictors(fit: Fit, rows: CodedRows, *, conditional: bool) -> Array:
    """Linear predictors of all categories, zero for the base, (n, K); with random effects at their conditional modes,
    or of zero.
    """
    choices, of = fit.design.choices, owners(fit)
    assert choices is not None
    eta = np.zeros((rows.n, len(choices.categories)))
    for k in choices.others:
        eta[:, k] = rows.x[:, of == k] @ fit.beta[of == k]
    if conditional and rows.z:
        for at, term in enumerate(fit.design.random_terms):
            own = fit.modes[term.grouping_factor][:, fit.term_columns[at]]
            modes = np.vstack([own, np.zeros((1, own.shape[1]))])  # code -1 is the last row
            eta += np.einsum("nkq,nq->nk", _loads(fit, rows, at), modes[rows.codes[term.grouping_factor]])
    return eta


def _loads(fit: Fit, rows: CodedRows, term: int) -> Array:
    """What the categories have of the random effects of a term, (n, K, q)."""
    choices, q = fit.design.choices, rows.z[term].shape[1]
    assert choices is not None
    loads = np.zeros((rows.n, len(choices.categories), q))
    for k in range(q):
        loads[:, choices.owner(k, q), k] = rows.z[term][:, k]
    return loads


def law_of(fit: Fit, rows: CodedRows, random: str) -> ChoiceLaw:
    """The probabilities with their derivatives, random effects as in a `Question`."""
    eta, covariance = predictors(fit, rows, conditional=random == "conditional"), None
    if random == "marginal" and rows.z:
        covariance = np.zeros((*eta.shape, eta.shape[1]))
        for at, own in enumerate(fit.random_cov):
            loads = _loads(fit, rows, at)
            covariance += loads @ own @ loads.transpose(0, 2, 1)
    return choice_law(eta, covariance, 1)


def of_probabilities(fit: Fit, rows: CodedRows, sums: Array, law: ChoiceLaw, total: Array) -> Array:
    """Sums of probabilities, (n,), whose derivatives by psi are written into `total`."""
    assert law.by_eta is not None
    total[:, : len(fit.beta)] = np.einsum("i,nij->nj", sums, law.by_eta)[:, owners(fit)] * rows.x
    if law.by_covariance is not None:
        bend, place = np.einsum("i,nijk->njk", sums, law.by_covariance), len(fit.beta)
        for at, (term, values) in enumerate(zip(fit.design.random_terms, fit.theta_values, strict=True)):
            loads = _loads(fit, rows, at)
            across = np.einsum("njp,njk,nkq->npq", loads, bend, loads, optimize=True)
            for j, change in enumerate(jacobian(term.structure, values, len(term.names))):
                total[:, place + j] += np.einsum("npq,pq->n", across, change)
            place += len(values)
    return np.asarray(law.value @ sums)


def of_predictors(fit: Fit, rows: CodedRows, sums: Array, total: Array, *, conditional: bool) -> Array:
    """Sums of linear predictors, (n,); derivatives as above."""
    total[:, : len(fit.beta)] = sums[owners(fit)] * rows.x
    return np.asarray(predictors(fit, rows, conditional=conditional) @ sums)


def speed(fit: Fit, direction: CodedRows) -> Array:
    """How fast linear predictors move at most as columns move in a direction, (n,)."""
    return np.asarray(np.abs(predictors(fit, direction, conditional=False)).max(axis=1))
