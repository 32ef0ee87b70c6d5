"""What the fit would be without a level of a grouping factor, or without a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from multilevel import _core

from ..errors import DataError
from ..fitting.core_model import build_core, core_response
from ..fitting.parameters import parts
from ..fitting.refit import of_rows, refit
from ..inference.wald import standard_errors
from ..prediction.predict import row_index
from ..tables.page import OnPage, Page, Table, format_fixed, format_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ..design.design import Design
    from ..fitting.record import Fit

    Array = NDArray[np.float64]

SHOWN = 10  # of the most influential, on the page


@dataclass(frozen=True, eq=False, repr=False)
class Influence(OnPage):
    """What each unit does to the fit; prints its most influential ones.

    All changes are the value of the whole fit less the value without the unit.

    Attributes
    ----------
    unit : str
        The grouping factor whose levels were left out, or "row".
    exact : bool
        Fitted again without each unit, or one Newton step from the whole fit.
    cooks_distance : Series, index = units
        dfbeta' V^-1 dfbeta / p with V the covariance of the p coefficients in the whole fit.
    dfbeta : DataFrame, units x coefficients
        Changes of the coefficients.
    dfbetas : DataFrame, units x coefficients
        The same over the standard errors without the unit.
    variance_change : DataFrame, units x variances
        Changes of the variances of the random effects, "g: x", and of the residual one.
    loglik : Series
        Log-likelihoods of the other rows, at their own maximum where `exact`, else at the estimates of the whole fit.
    notes : Series of str
        Why there are no numbers for a unit, empty where there are.
    """

    unit: str
    exact: bool
    cooks_distance: pd.Series
    dfbeta: pd.DataFrame
    dfbetas: pd.DataFrame
    variance_change: pd.DataFrame
    loglik: pd.Series
    notes: pd.Series

    @property
    def page(self) -> Page:
        """The most influential units as text or HTML."""
        order = np.argsort(-self.cooks_distance.fillna(-1.0).to_numpy(), kind="stable")[:SHOWN]
        cells = [
            [str(label) for label in self.cooks_distance.index[order]],
            format_numbers(self.cooks_distance.iloc[order], 3),
            *(format_fixed(self.dfbetas[name].iloc[order], 3) for name in self.dfbetas),
        ]
        how = "fitted again" if self.exact else "one step"
        missing = int((self.notes != "").sum())
        notes = (f"{missing} without numbers: see `notes`",) if missing else ()
        table = Table(
            (self.unit, "cooks_distance", *map(str, self.dfbetas)),
            tuple(zip(*cells, strict=True)),
            n_labels=1,
            title=f"Without each {self.unit} ({how}): Cook's distance and DFBETAS",
            notes=notes,
        )
        return Page((table,))


class _Without(NamedTuple):
    """Estimates without a unit: of all coefficients in the fit's order, their standard errors, and variances."""

    beta: Array
    std_error: Array
    variances: Array
    loglik: float
    note: str


def influence(fit: Fit, group: str | None = None, exact: bool = False) -> Influence:
    """Leaves out each level of a grouping factor, or each row.

    Parameters
    ----------
    fit : Fit
    group : str, optional
        A grouping factor of the model; rows without it.
    exact : bool
        Fit the model again without each unit, from the estimates of the whole; otherwise one Newton step, with exact
        gradient and Hessian of the likelihood of the other rows; where that likelihood is not concave at the estimates
        of the whole, the unit's fit is made after all. Linear models and quasi-likelihood are always fitted again.

    Returns
    -------
    Influence

    Raises
    ------
    DataError
        There is no such grouping factor; the fit has no standard errors to measure changes by.

    References
    ----------
    Cook (1977) Technometrics 19:15-18; Belsley, Kuh & Welsch (1980) Regression Diagnostics; Pregibon (1981) Ann.
    Statist. 9:705-724 for the step.
    """
    names = [factor.name for factor in fit.design.grouping_factors]
    if group is not None and group not in names:
        raise DataError(f"there is no grouping factor {group!r}; the model has {', '.join(map(repr, names)) or 'none'}")
    if not np.isfinite(fit.beta_covariance).all() or not len(fit.beta):
        why = fit.message or "it has no coefficients with standard errors"
        raise DataError(f"the fit has no covariance of its coefficients to measure changes by ({why})")
    by_refit = exact or fit.is_linear or not fit.has_likelihood
    if group is None and fit.design.choices is not None and not fit.design.choices.by_category:
        raise DataError("a row is one alternative of a set and cannot be left out; group= leaves out levels")
    if group is None:
        labels = row_index(fit.design)
        units: Iterable[NDArray[np.int64]] = (np.array([k]) for k in range(fit.n_rows))
    else:
        factor = fit.design.grouping_factors[names.index(group)]
        labels = pd.Index(factor.levels, name=group)
        order = np.argsort(factor.codes, kind="stable")
        units = np.split(order, np.cumsum(np.bincount(factor.codes, minlength=len(labels)))[:-1])
    every = np.ones(fit.n_rows, dtype=bool)
    found = []
    for unit in units:
        every[unit] = False
        found.append(_without(fit, of_rows(fit.design, np.flatnonzero(every)), by_refit))
        every[unit] = True
    return _changes(fit, labels, "row" if group is None else group, by_refit, found)


def _changes(fit: Fit, labels: pd.Index, unit: str, exact: bool, found: list[_Without]) -> Influence:
    columns = pd.Index(fit.fixed_names, dtype=object)
    change = fit.beta - np.array([own.beta for own in found])
    sd = standard_errors(fit.beta_covariance)
    scaled = change / sd
    correlation = fit.beta_covariance / np.outer(sd, sd)
    cooks = np.einsum("up,up->u", scaled, np.linalg.solve(correlation, scaled.T).T) / len(fit.beta)
    with np.errstate(divide="ignore", invalid="ignore"):
        over_errors = change / np.array([own.std_error for own in found])
    variances = _variances(fit.random_cov, fit.sigma) - np.array([own.variances for own in found])
    return Influence(
        unit,
        exact,
        pd.Series(cooks, index=labels, name="cooks_distance"),
        pd.DataFrame(change, index=labels, columns=columns),
        pd.DataFrame(over_errors, index=labels, columns=columns),
        pd.DataFrame(variances, index=labels, columns=_variance_names(fit)),
        pd.Series([own.loglik for own in found], index=labels, name="loglik"),
        pd.Series([own.note for own in found], index=labels, name="notes", dtype=object),
    )


def _variances(random_cov: Iterable[Array], sigma: float | None) -> Array:
    own = [np.diag(covariance) for covariance in random_cov]
    return np.concatenate([*own, [] if sigma is None else [sigma**2]]).astype(np.float64)


def _variance_names(fit: Fit) -> list[str]:
    names = [
        f"{fit.design.grouping_factors[term.grouping_factor].name}: {name}"
        for term in fit.design.random_terms
        for name in term.names
    ]
    return names if fit.sigma is None else [*names, "Residual"]


# ---- one unit ----------------------------------------------------------------------------------------------------


def _without(fit: Fit, design: Design, by_refit: bool) -> _Without:
    try:
        if not design.n_rows:
            raise DataError("no rows are left")
        return _refitted(fit, design) if by_refit else _one_step(fit, design)
    except ValueError as error:  # what is left makes no model
        p, q = len(fit.beta), len(_variance_names(fit))
        return _Without(np.full(p, np.nan), np.full(p, np.nan), np.full(q, np.nan), np.nan, str(error))


def _refitted(fit: Fit, design: Design) -> _Without:
    # a variance of zero would stay there; least squares need no start
    near = np.isfinite(fit.psi).all() and not fit.singular and not fit.is_least_squares
    try:
        other = refit(fit, design, start=fit.psi if near else None)
    except DataError:  # fewer parameters
        other = refit(fit, design)
    place = {name: k for k, name in enumerate(other.fixed_names)}
    at = [place.get(name, -1) for name in fit.fixed_names]
    gone = [name for name, k in zip(fit.fixed_names, at, strict=True) if k < 0]
    if gone:
        raise DataError(f"the other rows do not determine {', '.join(gone)}")
    if not other.converged:
        raise DataError(f"the fit to the other rows did not converge: {other.message}")
    variances = _variances(other.random_cov, other.sigma)
    return _Without(other.beta[at], standard_errors(other.beta_covariance)[at], variances, other.loglik, "")


def _one_step(fit: Fit, design: Design) -> _Without:
    core = build_core(design, fit.family, fit.optimization.threads)
    if core.n_beta + core.n_theta + core.n_phi != len(fit.psi):
        raise DataError("the other rows do not determine all coefficients")
    value, gradient, hessian = _core.evaluate(
        core, core_response(design), fit.psi, fit.n_quadrature, fit.optimization.threads
    )
    # parameters at a boundary or a limit have no covariance, and stay
    free = np.isfinite(np.diag(fit.covariance))
    information = -hessian[np.ix_(free, free)]
    scale = np.sqrt(np.abs(np.diag(information)))
    try:
        root = np.linalg.cholesky(information / np.outer(scale, scale))
    except np.linalg.LinAlgError:
        return _refitted(fit, design)  # not concave at the estimates of all: no step leads up
    inverse = np.linalg.inv(root) / scale
    psi = fit.psi.copy()
    psi[free] += inverse.T @ (inverse @ gradient[free])
    covariance = np.full_like(hessian, np.nan)
    covariance[np.ix_(free, free)] = inverse.T @ inverse
    p = len(fit.beta)
    dropped = {own.name: core.phi_redundant(k) for k, own in enumerate(fit.family.parameters)}
    cut = parts(design, fit.family, fit.fixed_names, psi, dropped)
    sigma = cut.phi.get(fit.family.parameters[0].name) if fit.family.has_residual else None
    return _Without(psi[:p], standard_errors(covariance[:p, :p]), _variances(cut.random_cov, sigma), float(value), "")
