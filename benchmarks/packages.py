"""The packages that are compared: how each is called from a pandas frame to estimates with standard errors.

Each is imported when it is needed, by name, so that they may live in different interpreters.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from case import Case


@dataclass(frozen=True)
class Fitted:
    """What a package answered, in the same words for all of them.

    Attributes
    ----------
    loglik : float
        The log-likelihood it reached, of the approximation the case asks for; the restricted one of a linear model.
    estimates, standard_errors : ndarray
        Of the fixed effects, intercept first; of ordered categories, thresholds first.
    n_evaluations, n_gradients : int or None
        Likelihood evaluations, and gradients where they are counted apart.
    core_seconds : float or None
        Time the package itself reports for the optimization.
    results : object
        The package's own result.
    converged : bool or None
        Whether the package says so, where it does.
    """

    loglik: float
    estimates: np.ndarray
    standard_errors: np.ndarray
    n_evaluations: int | None
    n_gradients: int | None
    core_seconds: float | None
    results: Any
    converged: bool | None = None


Fit = Callable[[Case, pd.DataFrame, int], Fitted]


def _no_gap(case: Case) -> None:
    del case


@dataclass(frozen=True)
class Package:
    """A package that can be timed.

    Attributes
    ----------
    name : str
        Its name in the tables; the name on the package index when it is a Python one.
    fit : callable or None
        Imports the package and gives the function to time; None for packages that R runs.
    interpreter : str
        ``"own"`` (multilevel's), ``"peer"``, ``"base"`` or ``"r"``.
    threaded : bool
        Whether it can use more than one thread.
    gap : callable
        Why it cannot run a case, or None when it can.
    caveat : callable
        Why its log-likelihood for a case does not compare with the others', or None when it does.
    """

    name: str
    fit: Callable[[], Fit] | None
    interpreter: str
    threaded: bool
    gap: Callable[[Case], str | None]
    caveat: Callable[[Case], str | None] = _no_gap


def _no_quadrature(case: Case) -> str | None:
    return "no adaptive quadrature" if case.n_quadrature > 1 else None


def _no_nested_quadrature(case: Case) -> str | None:
    return "no quadrature for several factors" if case.n_quadrature > 1 and len(case.groups) > 1 else None


_GLMM = {"negative_binomial": ("negativebinomial", "log"), "gamma": ("gamma", "log")}
_GENERALIZED = ("binomial", "gaussian")


def _has_parts(case: Case) -> bool:
    return case.zero_inflation is not None or case.dispersion is not None


def _glmm_gap(case: Case) -> str | None:
    if _has_parts(case) or case.family not in (*_GENERALIZED, *_GLMM):
        return "it has no such model"
    return _no_nested_quadrature(case)


def _glmm_tmb_gap(case: Case) -> str | None:
    if case.family not in (*_GENERALIZED, *_TMB):
        return "it has no such family"
    return _no_quadrature(case)


_TMB = ("negative_binomial", "gamma", "beta")


def _ordinal_gap(case: Case) -> str | None:
    return None if case.family == "cumulative" else "it is for ordered categories"


def _lme4_gap(case: Case) -> str | None:
    if case.family not in _GENERALIZED:
        return "not compared"
    return _no_quadrature(case) if case.slope or len(case.groups) > 1 else None


def _without_laplace_gap(case: Case) -> str | None:
    if case.is_linear or case.family not in _GENERALIZED:
        return "nAGQ = 0 is for generalized linear mixed models"
    return _no_quadrature(case)


def _gpboost_gap(case: Case) -> str | None:
    if case.dispersion is not None or case.family in ("cumulative", "multinomial"):
        return "it has no such model"
    return "random intercept and slope cannot be correlated" if case.slope else _no_quadrature(case)


def _gpboost_caveat(case: Case) -> str | None:
    if case.zero_inflation is not None:
        return "its zero part has all covariates: another model, with a parameter more"
    return "it has no REML: its log-likelihood and estimates are those of ML" if case.is_linear else None


def _multilevel() -> Fit:
    ml = importlib.import_module("multilevel")

    def fit(case: Case, frame: pd.DataFrame, threads: int) -> Fitted:
        # REML is the default of linear mixed models
        parts = {"zero_inflation": case.zero_inflation, "dispersion": case.dispersion}
        results = ml.fit(
            case.formula,
            frame,
            family=case.family,
            n_quadrature=case.n_quadrature,
            threads=threads,
            **{name: part for name, part in parts.items() if part is not None},
        )
        # Both are asked for here so that the time covers them even where they are computed on demand.
        estimates, standard_errors = np.asarray(results.params), np.asarray(results.bse)
        run = results.optimization
        answer = (results.llf, estimates, standard_errors, run.n_evaluations, None, run.seconds)
        return Fitted(*answer, results, bool(results.converged))

    return fit


def _glmm() -> Fit:
    glmm = importlib.import_module("glmm")

    def fit(case: Case, frame: pd.DataFrame, threads: int) -> Fitted:
        del threads  # it has one
        # REML is its default, too; degrees of freedom are not asked of anybody here, and would cost it time
        family, link = _GLMM.get(case.family, (case.family, None))
        results = glmm.fit(frame, case.formula, family, link=link, nagq=case.n_quadrature, satterthwaite=False)
        if results.nagq != case.n_quadrature:
            raise RuntimeError(f"glmm used {results.nagq} quadrature points, not {case.n_quadrature}")
        answer = (results.loglik, results.beta, results.se, results.n_eval, results.n_grad, None)
        return Fitted(*answer, results, bool(results.converged))

    return fit


def _gpboost() -> Fit:
    gpboost = importlib.import_module("gpboost")

    def fit(case: Case, frame: pd.DataFrame, threads: int) -> Fitted:
        # It reads no formula: the columns are coded here, within the time, as its user has to.
        response = frame[case.response]
        weights = None
        covariates = frame.drop(columns=[case.response, *case.groups])
        if case.size is not None:
            weights = frame[case.size]
            response = response / weights
            covariates = covariates.drop(columns=[case.size, "healthy"])
        covariates = pd.get_dummies(covariates, drop_first=True, dtype=float)
        covariates.insert(0, "(Intercept)", 1.0)
        likelihood = case.family
        if case.family == "binomial":
            likelihood = "bernoulli_logit" if case.size is None else "binomial_logit"
        elif case.zero_inflation is not None:
            likelihood = f"zero_inflated_regression_{case.family}"
        model = gpboost.GPModel(
            likelihood=likelihood,
            group_data=frame[list(case.groups)],
            weights=weights,
            num_parallel_threads=threads,
        )
        model.fit(y=response, X=covariates)
        table = np.asarray(model.get_coef(std_err=True, format_pandas=False))
        estimates, standard_errors = table[:, : covariates.shape[1]]  # what follows is the zero part's
        loglik = -model.get_current_neg_log_likelihood()
        return Fitted(loglik, estimates, standard_errors, None, None, None, model)

    return fit


PACKAGES: dict[str, Package] = {
    package.name: package
    for package in (
        Package("multilevel", _multilevel, "own", True, _no_gap),
        Package("base", _multilevel, "base", True, _no_gap),
        Package("glmm", _glmm, "peer", False, _glmm_gap),
        Package("gpboost", _gpboost, "peer", True, _gpboost_gap, _gpboost_caveat),
        Package("lme4", None, "r", False, _lme4_gap),
        Package("lme4nAGQ0", None, "r", False, _without_laplace_gap),
        Package("glmmTMB", None, "r", False, _glmm_tmb_gap),
        Package("ordinal", None, "r", False, _ordinal_gap),
    )
}
