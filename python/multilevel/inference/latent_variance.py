"""The variance of a response on the scale of the linear predictor: of the fixed part, the random effects and the rest.

What is left of a response given its predictor has a variance on that scale by theory (a binary response is a latent one
cut in two, with the logistic, normal or extreme-value distribution) or by approximation at a mean, as Nakagawa, Johnson
and Schielzeth (2017) have it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from ..design.fixed import FixedColumn, FixedTerm
from ..errors import DataError
from ..fitting import covariance as structures
from ..fitting.core_model import build_core
from ..fitting.run import run
from ..prediction.normal_mean import mean_of_link
from .variance_components import theta_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit

    Array = NDArray[np.float64]

THEORY = {
    "logit": np.pi**2 / 3.0,
    "probit": 1.0,
    "cloglog": np.pi**2 / 6.0,
    "loglog": np.pi**2 / 6.0,
}  # of the latent response, by link
APPROXIMATIONS = ("lognormal", "delta", "trigamma")
MEANS = ("null", "typical", "observed")
TRIGAMMA = ("poisson", "negative_binomial", "gamma", "geometric")
STEP = 1e-3


@dataclass(frozen=True)
class LatentVariance:
    """Variances on the scale of the linear predictor, with their derivatives by psi.

    Attributes
    ----------
    names : tuple of str
        "fixed", the grouping factors, "residual".
    values : ndarray, (k,)
    jacobian : ndarray, (k, P)
        At a given mean where the residual is approximated at one.
    covariance : ndarray, (P, P)
        Of psi.
    """

    names: tuple[str, ...]
    values: Array
    jacobian: Array
    covariance: Array

    def ratio(self, over: tuple[str, ...], under: tuple[str, ...]) -> tuple[float, float]:
        """A sum of variances over a sum of variances, and its standard error by the delta method."""
        top = np.array([name in over for name in self.names], dtype=np.float64)
        bottom = np.array([name in under for name in self.names], dtype=np.float64)
        a, b = float(top @ self.values), float(bottom @ self.values)
        if not b > 0:
            return np.nan, np.nan
        return a / b, self._error((top - bottom * a / b) / b)

    def total(self, names: tuple[str, ...]) -> tuple[float, float]:
        """A sum of variances and its standard error."""
        chosen = np.array([name in names for name in self.names], dtype=np.float64)
        return float(chosen @ self.values), self._error(chosen)

    def _error(self, weights: Array) -> float:
        gradient = weights @ self.jacobian
        unknown = np.isnan(np.diag(self.covariance))
        if (gradient[unknown] != 0).any() or not gradient.any():
            return np.nan
        variance = gradient @ np.where(np.isnan(self.covariance), 0.0, self.covariance) @ gradient
        return float(np.sqrt(variance)) if variance >= 0 else np.nan


def latent_variance(fit: Fit, mean: str | float = "null", approximation: str = "lognormal") -> LatentVariance:
    """The variances of the rows' predictors, and what the family adds.

    Parameters
    ----------
    fit : Fit
    mean : {"null", "typical", "observed"} or float
        Where the family's variance is taken if theory has none: at the marginal mean of the model without predictors
        and with the same random effects, exp(b0 + variance / 2) with the log link; at that model's exp(b0); at the mean
        of the responses; or at a mean given.
    approximation : {"lognormal", "delta", "trigamma"}
        With the log link log(1 + V/mu^2), V/mu^2, or that of the logarithm of a Gamma variable; with others the second.

    Returns
    -------
    LatentVariance
        The variance of random slopes is the mean over rows of z'Sigma z (Johnson 2014). An effect of each row is
        counted with the residual.
    """
    fit.need_likelihood("shares of the variance")
    fit.need_one_family("shares of the variance", "vcov_table() has the variances of each kind's random effects")
    fit.need_rows("shares of the variance")
    design = fit.design
    size, n = len(fit.psi), fit.n_rows
    names, values, rows = ["fixed"], [], []
    x = np.zeros((n, len(fit.beta)))
    places = {name: k for k, name in enumerate(fit.fixed_names)}
    for column in design.fixed:
        if column.name in places:
            x[:, places[column.name]] = 1.0 if column.values is None else column.values
    centred = x - x.mean(axis=0)
    part = centred @ fit.beta
    values.append(float(part @ part) / (n - 1))
    rows.append(np.concatenate([2.0 * part @ centred / (n - 1), np.zeros(size - len(fit.beta))]))
    residual, by_residual = _residual(fit, mean, approximation)
    of_mean = {term.grouping_factor for term in design.random_terms if not term.parameter}
    for f, factor in enumerate(design.grouping_factors):
        if f not in of_mean:
            continue
        own, by_own = _of_factor(fit, f)
        if len(factor.levels) == n and not fit.is_linear:
            residual, by_residual = residual + own, by_residual + by_own
            continue
        names.append(factor.name)
        values.append(own)
        rows.append(by_own)
    covariance = np.zeros_like(fit.covariance)
    covariance[:] = fit.covariance
    return LatentVariance(
        (*names, "residual"), np.array([*values, residual]), np.array([*rows, by_residual]), covariance
    )


def _of_factor(fit: Fit, factor: int) -> tuple[float, Array]:
    """The mean variance of a factor's random effects in the mean's predictor, and its derivatives."""
    total, gradient = 0.0, np.zeros(len(fit.psi))
    terms = zip(fit.design.random_terms, fit.random_cov, fit.theta_values, theta_positions(fit), strict=True)
    for term, sigma, theta, at in terms:
        if term.grouping_factor != factor or term.parameter:
            continue
        n = fit.n_rows
        z = np.column_stack([np.ones(n) if c is None else np.asarray(c, dtype=np.float64) for c in term.columns])
        cross = z.T @ z / n
        total += float(np.sum(cross * sigma))
        gradient[at] = np.einsum("kij,ij->k", structures.jacobian(term.structure, theta, len(term.names)), cross)
    return total, gradient


# ---- the family ------------------------------------------------------------------------------------------------------


def is_latent(fit: Fit) -> bool:
    """Whether the response is a latent one of one variance, cut in two or at thresholds."""
    if fit.design.thresholds is not None and (fit.family.all_thresholds or fit.family.scaled):
        return False
    return _is_cut(fit) and not fit.family.zero and fit.family.link in THEORY


def _is_cut(fit: Fit) -> bool:
    return fit.family.support == "trials" or fit.design.thresholds is not None


def _residual(fit: Fit, mean: str | float, approximation: str) -> tuple[float, Array]:
    """The variance given the linear predictor, and its derivatives by the family's parameters."""
    if isinstance(mean, str) and mean not in MEANS:
        raise ValueError(f"mean={mean!r} is not available; choose one of {', '.join(map(repr, MEANS))}, or a number")
    if approximation not in APPROXIMATIONS:
        shown = ", ".join(map(repr, APPROXIMATIONS))
        raise ValueError(f"approximation={approximation!r} is not available; choose one of {shown}")
    family, none = fit.family, np.zeros(len(fit.psi))
    if is_latent(fit):
        if approximation != "lognormal":
            raise ValueError(f"approximation={approximation!r}: the latent variance of the {family.link} link is exact")
        return THEORY[family.link], none
    if _is_cut(fit) and family.link == "cauchit":
        raise DataError("the latent distribution of the cauchit link has no variance, so that no share of it exists")
    if fit.design.thresholds is not None:
        why = "with a scale" if family.scaled else f"of the {family.name} family"
        raise DataError(
            f"ordered categories {why} have no latent response of one variance, whose shares could be told; "
            "the cumulative family without scale= has"
        )
    if approximation == "trigamma" and (family.link != "log" or family.name not in TRIGAMMA or family.zero):
        raise ValueError(f"approximation='trigamma' is of the families {', '.join(TRIGAMMA)} with the log link")
    phi = fit.row_phi
    constant = family.support == "numbers" and family.link == "identity"
    eta = np.zeros(fit.n_rows) if constant else _predictor(fit, mean)
    value = _variance(fit, eta, phi, approximation)
    if not np.isfinite(value):
        raise DataError(f"the {family.name} family has no finite variance at the estimates of its parameters")
    gradient = none.copy()
    for k, own in enumerate(family.parameters):
        places = _places(fit, own.name)
        for place, column in places:
            moved = []
            for step in (STEP, -STEP):
                at = np.array(phi)
                at[..., k] += step * column
                moved.append(_variance(fit, eta, at, approximation))
            gradient[place] = (moved[0] - moved[1]) / (2.0 * STEP)
    return value, gradient


def _places(fit: Fit, parameter: str) -> list[tuple[int, Array | float]]:
    """What moves a parameter of the family: places in psi, and the columns that they multiply."""
    if parameter in fit.phi_places:
        own = next(each for each in fit.family.parameters if each.name == parameter)
        return [] if own.is_at_limit(fit.phi[parameter]) else [(fit.phi_places[parameter], 1.0)]
    found: list[tuple[int, Array | float]] = []
    for component in fit.components:
        if component.parameter != parameter:
            continue
        part = next(own for own in fit.design.parts if own.parameter == parameter)
        columns = {column.name: column.values for column in part.fixed}
        for k, name in enumerate(component.names):
            values = columns[name]
            found.append((component.first + k, 1.0 if values is None else np.asarray(values, dtype=np.float64)))
    return found


def _variance(fit: Fit, eta: Array, phi: Array, approximation: str) -> float:
    """On the scale of the linear predictor, mean over rows."""
    family, trials = fit.family, fit.design.response.size
    one = np.ones(len(eta))
    trials = None if trials is None else one
    variance = np.asarray(family.response_variance(eta, phi, trials))
    mean = np.asarray(family.response_mean(eta, phi, trials))
    if family.link == "log" and not family.name.startswith("truncated_"):
        share = variance / mean**2
        if approximation == "trigamma":
            return float(np.mean(special.polygamma(1, 1.0 / share)))
        return float(np.mean(np.log1p(share) if approximation == "lognormal" else share))
    rise = (
        np.asarray(family.response_mean(eta + STEP, phi, trials)) - family.response_mean(eta - STEP, phi, trials)
    ) / (2.0 * STEP)
    return float(np.mean(variance / rise**2))


def _predictor(fit: Fit, mean: str | float) -> Array:
    """The linear predictor at the mean where the variance is taken, (n,)."""
    family, n = fit.family, fit.n_rows
    if not isinstance(mean, str):
        return np.full(n, float(family.link_of_mean(np.array([float(mean)]))[0]))
    if mean == "observed":
        y = fit.design.response.values
        if fit.design.response.size is not None:
            y = y / fit.design.response.size
        return np.full(n, float(family.link_of_mean(np.array([float(np.mean(y))]))[0]))
    null = null_fit(fit)
    eta = np.full(n, null.beta[0]) + (0.0 if null.design.offset is None else null.design.offset)
    if mean == "typical":
        return eta
    variance = sum(_of_factor(null, f)[0] for f in range(len(null.design.grouping_factors)))
    marginal = mean_of_link(family.link, eta, np.full(n, np.sqrt(variance)))
    if marginal is None:
        raise DataError(
            f"the {family.link} link: the marginal mean of the model without predictors does not exist, or has no "
            "closed form; take another mean, mean='typical' or mean='observed'"
        )
    return np.asarray(family.link_of_mean(marginal.value))


def null_fit(fit: Fit) -> Fit:
    """The same model with an intercept for all of its fixed part.

    Raises
    ------
    DataError
        It does not converge.
    """
    if fit.fixed_names == ("(Intercept)",):
        return fit
    design = replace(
        fit.design, fixed=(FixedColumn("(Intercept)", None),), fixed_terms=(FixedTerm("(Intercept)", (), (0,)),)
    )
    threads = fit.optimization.threads
    null = run(
        design,
        fit.family,
        build_core(design, fit.family, threads),
        method=fit.method,
        n_quadrature=fit.n_quadrature,
        threads=threads,
    )
    if not null.converged:
        raise DataError(
            f"the model without predictors, whose mean the family's variance needs, did not converge ({null.message}); "
            "give a mean, as mean='observed'"
        )
    return null
