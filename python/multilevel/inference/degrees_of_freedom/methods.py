"""Degrees of freedom of t and F tests of the fixed effects of linear mixed models.

    "satterthwaite"   from the variance of an estimated variance (Fai & Cornelius for several rows at once)
    "kenward-roger"   the same with expected information, a larger covariance matrix and a scaled F; REML only
    "containment"     levels minus parameters of the stratum at which a column varies, as nlme prints them
    "containment-sas" ranks of the random effects of a column's name, as SAS prints them
    "residual"        rows minus coefficients
    "normal"          infinite: Wald tests

Nothing here touches an n x n matrix: with V the covariance of the response and F = Z' V^-1 X (`fit.projection`),
X' V^-1 dV V^-1 X is a sum over levels of F_b' dSigma F_b for any change dSigma of the random-effects covariance, and
the residual variance is what is left of V.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import DataError
from . import containment, kenward_roger, satterthwaite

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ...fitting.record import Fit

METHODS = ("satterthwaite", "kenward-roger", "containment", "containment-sas", "residual", "normal")
RANK_TOLERANCE = 1e-10  # singular values of a hypothesis below this share of the largest are none


def default_method(fit: Fit) -> str:
    """What t tests use when nothing is asked for.

    Satterthwaite for linear mixed models, rows minus coefficients for linear models, the normal distribution otherwise.
    """
    if not fit.is_linear:
        return "normal"
    if not fit.design.random_terms:
        return "residual"
    if fit.projection:
        return "satterthwaite"
    return "normal" if any(relation.kind == "crossed" for relation in fit.design.relations) else "containment"


def check_method(fit: Fit, method: str) -> None:
    """Refuses a method that is not known, or does not go with the fit.

    Raises
    ------
    DataError
        A `ValueError`.
    """
    if method not in METHODS:
        raise DataError(f"df_method={method!r} is not known; there are {', '.join(map(repr, METHODS))}")
    if method == "normal":
        return
    if not fit.is_linear:
        raise DataError(
            f"df_method={method!r} is for Gaussian models with the identity link and one estimated residual variance; "
            f"this is {fit.kind}, whose tests are asymptotic: use df_method='normal'"
        )
    if method == "kenward-roger" and fit.design.random_terms:
        kenward_roger.check_fit(fit)
    if method in ("satterthwaite", "kenward-roger") and fit.design.random_terms and not fit.projection:
        raise DataError(
            f"df_method={method!r} needs the covariance of the estimates, and this fit has none ({fit.message}); "
            "use df_method='containment' or 'normal'"
        )


def degrees_of_freedom(fit: Fit, method: str, contrasts: ArrayLike | None = None) -> NDArray[np.float64]:
    """Degrees of freedom of the t test of each coefficient, or of each row of `contrasts`.

    Parameters
    ----------
    fit : Fit
    method : {"satterthwaite", "kenward-roger", "containment", "containment-sas", "residual", "normal"}
    contrasts : (k, p) array_like, optional
        Each row is a linear combination of the coefficients in `fit.fixed_names`, by itself.

    Returns
    -------
    (k,) or (p,) ndarray
        NaN where there are none left, or the row is zero.

    References
    ----------
    Giesbrecht & Burns (1985) Biometrics 41:477-486 for Satterthwaite's method; Kenward & Roger (1997) Biometrics
    53:983-997; Pinheiro & Bates (2000) Mixed-Effects Models in S and S-PLUS, p. 91, for containment.
    """
    check_method(fit, method)
    rows = np.eye(len(fit.beta)) if contrasts is None else _hypothesis(fit, contrasts)
    if method == "normal":
        return np.full(len(rows), np.inf)
    if method == "residual" or not fit.design.random_terms:
        return np.full(len(rows), _residual(fit))
    if method in ("containment", "containment-sas"):
        return containment.of_rows(fit, rows, names=method == "containment-sas")
    if method == "kenward-roger":
        return kenward_roger.of_rows(fit, rows)
    return satterthwaite.of_rows(fit, rows)


def denominator_df(fit: Fit, contrasts: ArrayLike, method: str) -> tuple[float, float, NDArray[np.float64]]:
    """What an F test of ``contrasts @ beta = 0`` needs besides the estimates.

    Parameters
    ----------
    fit : Fit
    contrasts : (k, p) array_like
        All rows are tested at once; they may depend on each other.
    method : str
        As for `degrees_of_freedom`.

    Returns
    -------
    df : float
        Of the denominator.
    scale : float
        By which the Wald statistic over its rank is multiplied; 1 but for "kenward-roger".
    covariance : (p, p) ndarray
        Of the coefficients, for the Wald statistic.

    References
    ----------
    Fai & Cornelius (1996) J. Statist. Comput. Simul. 54:363-378 for Satterthwaite's method with several rows.
    """
    check_method(fit, method)
    rows = _hypothesis(fit, contrasts)
    independent = independent_rows(rows)
    covariance = adjusted_covariance(fit, method)
    if not len(independent):
        return np.nan, 1.0, covariance
    if method in ("residual", "normal") or not fit.design.random_terms:
        return float(degrees_of_freedom(fit, method, rows[:1])[0]), 1.0, covariance
    if method in ("containment", "containment-sas"):
        return float(containment.of_rows(fit, rows, names=method == "containment-sas").min()), 1.0, covariance
    if method == "kenward-roger":
        df, scale = kenward_roger.of_hypothesis(fit, independent)
        return df, scale, covariance
    return satterthwaite.of_hypothesis(fit, rows, len(independent)), 1.0, covariance


def adjusted_covariance(fit: Fit, method: str = "kenward-roger") -> NDArray[np.float64]:
    """Covariance of the fixed effects that goes with the method: Kenward and Roger's, or the fit's. (p, p)."""
    check_method(fit, method)
    if method == "kenward-roger" and fit.design.random_terms:
        return kenward_roger.covariance(fit)
    return fit.beta_covariance


def independent_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """An orthonormal basis of the rows' span, (rank, p)."""
    _, singular, basis = np.linalg.svd(rows, full_matrices=False)
    return basis[singular > RANK_TOLERANCE * max(singular.max(initial=0.0), np.finfo(float).tiny)]


def _hypothesis(fit: Fit, contrasts: ArrayLike) -> NDArray[np.float64]:
    rows = np.atleast_2d(np.asarray(contrasts, dtype=np.float64))
    if rows.ndim != 2 or rows.shape[1] != len(fit.beta):
        raise DataError(
            f"contrasts have shape {rows.shape}; a row has one number for each of the {len(fit.beta)} coefficients: "
            f"{', '.join(fit.fixed_names)}"
        )
    if not np.isfinite(rows).all():
        raise DataError(
            f"contrasts hold a value that is not finite in row {int(np.argwhere(~np.isfinite(rows))[0, 0])}"
        )
    return rows


def _residual(fit: Fit) -> float:
    left = fit.n_rows - len(fit.beta)
    return float(left) if left > 0 else np.nan
