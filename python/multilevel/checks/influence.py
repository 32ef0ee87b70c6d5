"""What the fit would be without a level of a grouping factor, or without a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from multilevel import _core

from ..design.choices import crossed_factors
from ..errors import DataError
from ..fitting.core_model import build_core, core_response
from ..fitting.refit import of_rows, refit
from ..inference.wald import standard_errors
from ..prediction.predict import row_index
from ..tables.page import OnPage, Page, Table, format_fixed, format_numbers
from . import rows_of_joint, rows_of_linear, rows_of_parts
from .left_out import LeftOut, newton, not_found, variance_names
from .rows_of_parts import copied_rows, outermost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..design.design import Design
    from ..fitting.record import Fit

    Array = NDArray[np.float64]

SHOWN = 10  # of the most influential, on the page
MOST_COPIES = (
    30_000_000  # rows of copies of parts; with more, rows of large parts are left out as those of crossed ones
)


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


def influence(fit: Fit, group: str | None = None, exact: bool = False) -> Influence:
    """Leaves out each level of a grouping factor, or each row.

    Parameters
    ----------
    fit : Fit
    group : str, optional
        A grouping factor of the model; rows without it.
    exact : bool
        Fit the model again without each unit, from the estimates of the whole; otherwise one Newton step, with the
        gradient and the Hessian of the likelihood of the other rows; where that likelihood is not concave at the
        estimates of the whole, the unit's fit is made after all. Fits by quasi-likelihood, and linear models without
        each level, are always made again.

    Returns
    -------
    Influence

    Raises
    ------
    DataError
        There is no such grouping factor; the fit has no standard errors to measure changes by.

    Notes
    -----
    Rows of linear models have closed forms given the relative covariance of the random effects, which takes the step
    (`rows_of_linear`); without random effects they are the fits themselves. Gradient and Hessian are exact where the
    row is in a part of the likelihood (`rows_of_parts`), and for crossed grouping factors, or very large parts, of the
    first order in what the row moves (`rows_of_joint`); where the latter have random effects in several predictors, or
    rows are choices, one row after the other has its step. Levels have theirs together where each is in a part, and
    one after the other where grouping factors cross.

    References
    ----------
    Cook (1977) Technometrics 19:15-18; Belsley, Kuh & Welsch (1980) Regression Diagnostics; Pregibon (1981) Ann.
    Statist. 9:705-724 for the step; Christensen, Pearson & Johnson (1992) Technometrics 34:38-45 for linear models.
    """
    names = [factor.name for factor in fit.design.grouping_factors]
    if group is not None and group not in names:
        raise DataError(f"there is no grouping factor {group!r}; the model has {', '.join(map(repr, names)) or 'none'}")
    if not np.isfinite(fit.beta_covariance).all() or not len(fit.beta):
        why = fit.message or "it has no coefficients with standard errors"
        raise DataError(f"the fit has no covariance of its coefficients to measure changes by ({why})")
    if group is None and fit.design.choices is not None and not fit.design.choices.by_category:
        raise DataError("a row is one alternative of a set and cannot be left out; group= leaves out levels")
    crossed = crossed_factors(fit.design.choices, fit.design.grouping_factors)
    if group is not None and names.index(group) in crossed:
        raise DataError(
            f"the alternatives of a set have different levels of {group!r}: without one of them the sets are others; "
            "leave out the levels of a grouping factor that sets belong to"
        )
    by_refit = exact or not fit.has_likelihood or (fit.method == "reml" and not fit.is_linear)
    if group is None and fit.is_least_squares:
        exact = True  # in closed form
    elif group is not None and fit.is_linear:
        by_refit = True
    left = None
    if group is None:
        left = None if by_refit else _without_rows(fit)
        labels = row_index(fit.design)
        units = list(np.arange(fit.n_rows)[:, None])
    else:
        factor = fit.design.grouping_factors[names.index(group)]
        labels = pd.Index(factor.levels, name=group)
        order = np.argsort(factor.codes, kind="stable")
        left = None if by_refit else _without_levels(fit, factor.codes.astype(np.int64))
        units = np.split(order, np.cumsum(np.bincount(factor.codes, minlength=len(labels)))[:-1])
    return _changes(
        fit, labels, "row" if group is None else group, exact or by_refit, *_every(fit, units, by_refit, left)
    )


def _without_rows(fit: Fit) -> LeftOut | None:
    """Of all rows at once; None where they are left out one by one."""
    if fit.is_linear:
        return rows_of_linear.without_rows(fit)
    at = outermost(fit.design)
    one_predictor = fit.design.choices is None and not any(term.parameter for term in fit.design.random_terms)
    if one_predictor and (at is None or copied_rows(fit.design, at) > MOST_COPIES):
        return rows_of_joint.without_rows(fit)
    return None if at is None else rows_of_parts.without_rows(fit, at)


def _without_levels(fit: Fit, codes: NDArray[np.int64]) -> LeftOut | None:
    """Of all levels at once; None where they are left out one by one."""
    at = outermost(fit.design)
    if at is None or copied_rows(fit.design, at, codes) > MOST_COPIES:
        return None
    return rows_of_parts.without_units(fit, at, codes)


def _every(
    fit: Fit, units: Sequence[NDArray[np.int64]], by_refit: bool, left: LeftOut | None
) -> tuple[LeftOut, list[str]]:
    """Estimates without each unit, and why there are none: those at hand, and the others one by one."""
    notes = [""] * len(units)
    found: list[LeftOut] = []
    every = np.ones(fit.n_rows, dtype=bool)
    for k, unit in enumerate(units):
        if left is not None and left.found[k]:
            continue
        every[unit] = False
        own, notes[k] = _without(fit, of_rows(fit.design, np.flatnonzero(every)), by_refit or left is not None)
        found.append(own)
        every[unit] = True
    if not found:
        assert left is not None
        return left, notes
    one_by_one = LeftOut._make(np.concatenate(own) for own in zip(*found, strict=True))
    if left is None:
        return one_by_one, notes
    missing = ~left.found
    for to, what in zip(left, one_by_one, strict=True):
        np.asarray(to)[missing] = what
    return left, notes


def _changes(fit: Fit, labels: pd.Index, unit: str, exact: bool, left: LeftOut, notes: list[str]) -> Influence:
    columns = pd.Index(fit.fixed_names, dtype=object)
    change = fit.beta - left.beta
    sd = standard_errors(fit.beta_covariance)
    scaled = change / sd
    correlation = fit.beta_covariance / np.outer(sd, sd)
    cooks = np.einsum("up,up->u", scaled, np.linalg.solve(correlation, scaled.T).T) / len(fit.beta)
    with np.errstate(divide="ignore", invalid="ignore"):
        over_errors = change / left.std_error
    variances = _own_variances(fit) - left.variances
    return Influence(
        unit,
        exact,
        pd.Series(cooks, index=labels, name="cooks_distance"),
        pd.DataFrame(change, index=labels, columns=columns),
        pd.DataFrame(over_errors, index=labels, columns=columns),
        pd.DataFrame(variances, index=labels, columns=variance_names(fit)),
        pd.Series(left.loglik, index=labels, name="loglik"),
        pd.Series(notes, index=labels, name="notes", dtype=object),
    )


# ---- one unit ----------------------------------------------------------------------------------------------------


def _without(fit: Fit, design: Design, by_refit: bool) -> tuple[LeftOut, str]:
    try:
        if not design.n_rows:
            raise DataError("no rows are left")
        return _refitted(fit, design) if by_refit else _one_step(fit, design), ""
    except ValueError as error:  # what is left makes no model
        return not_found(fit, 1), str(error)


def _refitted(fit: Fit, design: Design) -> LeftOut:
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
    errors = standard_errors(other.beta_covariance)[at]
    variances = _own_variances(other)
    return LeftOut(
        other.beta[None, at], errors[None], variances[None], np.array([other.loglik]), np.ones(1, dtype=bool)
    )


def _own_variances(fit: Fit) -> Array:
    own = [np.diag(covariance) for covariance in fit.random_cov]
    return np.concatenate([*own, [] if fit.sigma is None else [fit.sigma**2]]).astype(np.float64)


def _one_step(fit: Fit, design: Design) -> LeftOut:
    core = build_core(design, fit.family, fit.optimization.threads)
    if core.n_beta + core.n_theta + core.n_phi != len(fit.psi):
        raise DataError("the other rows do not determine all coefficients")
    value, gradient, hessian = _core.evaluate(
        core, core_response(design), fit.psi, fit.n_quadrature, fit.optimization.threads
    )
    left = newton(fit, gradient[None], hessian[None], np.array([value]))
    return left if left.found[0] else _refitted(fit, design)  # not concave: no step leads up
