"""Sets of alternatives to predict for, with all that is uncertain in their linear predictors, and the delta method.

A row whose response has K categories is a set of K alternatives; elsewhere rows are the alternatives, and sets of as
many are treated together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .choice_joint import ChoiceJoint
from .choice_law import choice_law
from .joint import parameter_covariance, theta_by_term
from .uncertain import quadratic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit
    from .choice_law import ChoiceLaw
    from .rows import PredictionRows, TermRows

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ChoiceSets:
    """Sets of K alternatives each.

    Attributes
    ----------
    places : ndarray of int, (m, K)
        Of the alternatives among all of them.
    centre : ndarray, (m, K)
        Linear predictors.
    covariance : ndarray, (m, K, K), or None
        Of random effects in them that are those of groups drawn anew.
    by_psi : ndarray, (m, K, P)
        Derivatives of the predictors; empty where no errors are asked for.
    covariance_by_psi : tuple of (int, ndarray)
        Entries of psi that move the covariance, and its derivatives, (m, K, K).
    conditional : ndarray, (m, K, K), or None
        Covariance of random effects at conditional modes given the parameters.
    psi_covariance : ndarray, (P, P)
    """

    places: NDArray[np.intp]
    centre: Array
    covariance: Array | None
    by_psi: Array
    covariance_by_psi: tuple[tuple[int, Array], ...]
    conditional: Array | None
    psi_covariance: Array

    def law(self, order: int = 0) -> ChoiceLaw:
        """The probabilities of the alternatives, averaged over what is drawn anew."""
        return choice_law(self.centre, self.covariance, order)

    def gradients(self, law: ChoiceLaw) -> Array:
        """Derivatives of the probabilities by psi, (m, K, P)."""
        assert law.by_eta is not None
        result = law.by_eta @ self.by_psi
        for place, moved in self.covariance_by_psi:
            assert law.by_covariance is not None
            result[:, :, place] += np.einsum("mijk,mjk->mi", law.by_covariance, moved)
        return np.asarray(result)

    def errors(self, law: ChoiceLaw) -> Array:
        """Standard errors of the probabilities, (m, K)."""
        gradients = self.gradients(law)
        total = quadratic(gradients.reshape(-1, gradients.shape[2]), self.psi_covariance).reshape(self.centre.shape)
        if self.conditional is not None:
            assert law.by_eta is not None
            total += np.einsum("mij,mjk,mik->mi", law.by_eta, self.conditional, law.by_eta, optimize=True)
        return np.sqrt(np.where(total >= 0, total, np.nan))

    def predictor_errors(self) -> Array:
        """Standard errors of the linear predictors, (m, K)."""
        total = quadratic(self.by_psi.reshape(-1, self.by_psi.shape[2]), self.psi_covariance)
        total = total.reshape(self.centre.shape)
        if self.conditional is not None:
            total += np.einsum("mii->mi", self.conditional)
        return np.sqrt(np.where(total >= 0, total, np.nan))


def places_of_sets(sets: NDArray[np.int32]) -> list[NDArray[np.intp]]:
    """Alternatives of the sets of each size, (m, K) for every K that there is."""
    order = np.argsort(sets, kind="stable")
    sizes = np.bincount(sets)
    starts = np.cumsum(sizes) - sizes
    return [order[starts[sizes == size][:, None] + np.arange(size)] for size in np.unique(sizes[sizes > 0])]


def choice_sets(
    fit: Fit, rows: PredictionRows, sets: NDArray[np.int32] | None, *, errors: bool, variances: bool = True
) -> list[ChoiceSets]:
    """The sets of rows, those of each size together.

    Parameters
    ----------
    fit : Fit
    rows : PredictionRows
        Of the mean's predictor.
    sets : ndarray, (n,), or None
        Where rows are alternatives, the set of each.
    errors : bool
        Whether what errors need is needed.
    variances : bool
        Whether the covariance parameters are uncertain.

    Raises
    ------
    DataError
        The alternatives of a set have different levels of a grouping factor.
    """
    joint = ChoiceJoint(fit) if errors and any((own.known >= 0).any() for own in rows.terms) else None
    covariance = parameter_covariance(fit, variances=variances) if errors else np.empty((0, 0))
    if sets is None:
        choices = fit.design.choices
        assert choices is not None
        size = len(choices.categories)
        every = [np.arange(rows.n * size).reshape(rows.n, size)]
    else:
        every = places_of_sets(sets)
    return [_of_size(fit, rows, places, sets is None, joint, covariance, errors) for places in every]


def _of_size(
    fit: Fit,
    rows: PredictionRows,
    places: NDArray[np.intp],
    by_category: bool,
    joint: ChoiceJoint | None,
    covariance: Array,
    errors: bool,
) -> ChoiceSets:
    m, k = places.shape
    predictor, size = rows.predictors[0], len(fit.psi) if errors else 0
    centre, by_psi = np.zeros((m, k)), np.zeros((m, k, size))
    lost = rows.unknown if by_category else np.asarray(rows.unknown[places].any(axis=1), dtype=np.bool_)
    if not by_category:
        centre[:] = np.broadcast_to(predictor.fixed, (rows.n,))[places]
    for at, values in predictor.columns:
        column = np.ones(rows.n) if values is None else np.asarray(values, dtype=np.float64)
        if by_category:
            owner = owner_of(fit, at)
            centre[:, owner] += fit.psi[at] * column
        if errors:
            by_psi[..., at] = 0.0
            if by_category:
                by_psi[:, owner, at] = column
            else:
                by_psi[..., at] = column[places]
    spread, codes, loads = None, {}, {}
    changes: list[tuple[int, Array]] = []
    for own in rows.terms:
        own_loads = _loads(fit, own, places, by_category)
        known = np.repeat(own.known[:, None], k, axis=1) if by_category else own.known[places]
        if own.group is None and not by_category:
            _check_one_level(fit, own.term, known, lost)
        anew = np.repeat(own.integrated[:, None], k, axis=1) if by_category else own.integrated[places]
        there = np.flatnonzero((known >= 0).any(axis=1))
        if len(there):
            effects = fit.modes[fit.design.random_terms[own.term].grouping_factor][:, fit.term_columns[own.term]]
            at_modes = np.where((known >= 0)[:, :, None], own_loads, 0.0)
            centre[there] += np.einsum("mkq,mkq->mk", at_modes[there], effects[known[there]])
            if joint is not None:
                moved = joint.effects_by_psi(own.term)
                if own.group is None:
                    by_psi[there] += at_modes[there] @ moved[known[there, 0]]
                else:
                    by_psi[there] += np.einsum("mkq,mkqp->mkp", at_modes[there], moved[known[there]])
                codes[own.term], loads[own.term] = known, at_modes
        if anew.any():
            counted = np.where(anew[:, :, None], own_loads, 0.0)
            same = 1.0 if own.group is None else own.group[places][:, :, None] == own.group[places][:, None, :]
            new = counted @ fit.random_cov[own.term] @ counted.transpose(0, 2, 1) * same
            spread = new if spread is None else spread + new
            if errors:
                first, jacobian = theta_by_term(fit)[own.term]
                for j, each in enumerate(jacobian):
                    changes.append((first + j, counted @ each @ counted.transpose(0, 2, 1) * same))
    conditional = joint.covariance_of(codes, loads) if joint is not None and loads else None
    for values in (centre, by_psi, spread, conditional, *(each for _, each in changes)):
        if values is not None:
            values[lost] = 0.0
    return ChoiceSets(places, centre, spread, by_psi, tuple(changes), conditional, covariance)


def owner_of(fit: Fit, at: int) -> int:
    """Position of the category that has a coefficient."""
    choices, design = fit.design.choices, fit.design
    assert choices is not None
    place = {column.name: k for k, column in enumerate(design.fixed)}
    return choices.owner(place[fit.fixed_names[at]], len(design.fixed))


def _loads(fit: Fit, own: TermRows, places: NDArray[np.intp], by_category: bool) -> Array:
    """What alternatives have of the random effects of a term, (m, K, q)."""
    if not by_category:
        return own.columns[places]
    choices, q = fit.design.choices, own.columns.shape[1]
    assert choices is not None
    loads = np.zeros((*places.shape, q))
    for k in range(q):
        loads[:, choices.owner(k, q), k] = own.columns[:, k]
    return loads


def _check_one_level(fit: Fit, term: int, known: NDArray[np.int32], lost: NDArray[np.bool_]) -> None:
    """Refuses sets whose alternatives have different levels, (m, K), of a factor of which the fit's have one."""
    if (known[~lost] != known[~lost][:, :1]).any():
        group = fit.design.grouping_factors[fit.design.random_terms[term].grouping_factor].name
        raise DataError(
            f"the rows of a set of alternatives have different levels of '{group}' in newdata: a set belongs to one "
            "level"
        )
