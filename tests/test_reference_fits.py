"""Every fit in tests/reference/numbers that this library can make, against the program that made it."""

from __future__ import annotations

import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml

from .reference_files import names, read_data, read_numbers

LOGLIK = 1e-9  # relative; at lme4's tightest settings its Laplace fits of some binary data are right to 7e-10
ESTIMATE = 1e-4  # standard errors
STANDARD_ERROR = 1e-3  # relative: lme4 differences an objective that is itself iterated
# the log-likelihood is flat at its top: a fit that is right to 1e-9 leaves the standard deviations 1e-4 free
SD = 1e-4  # relative
CORRELATION = 5e-4
RUNS_OFF = 40.0  # a standard error, on the scale of a logit, of an estimate that has no end
RAN_OFF = 1e-2  # such standard errors: where it stopped says nothing

FAMILIES = {  # by other names
    "nbinom2": "negative_binomial",
    "nbinom1": "negative_binomial_1",
    "Gamma": "gamma",
    "beta": "beta",
    "betabinomial": "beta_binomial",
    "t": "student_t",
    "tweedie": "tweedie",
    "truncated_poisson": "poisson",  # with a hurdle
    "truncated_nbinom2": "negative_binomial",
    "truncated_nbinom1": "negative_binomial_1",
}
PARAMETERS = {
    "nbinom2": "size",
    "truncated_nbinom2": "size",
    "nbinom1": "dispersion",
    "truncated_nbinom1": "dispersion",
    "Gamma": "shape",
    "beta": "precision",
    "betabinomial": "precision",
}

EXPECTED = "lme4 takes the expected information where the link is not canonical, which is another approximation"
POINTS = "mothers and communities have numbers of points of their own; test_nested.py comes close with one for both"
OTHER = "lme4's is not the marginal likelihood of a Gamma model (format.md)"
HIGHER = (
    "glmmTMB runs to infinite degrees of freedom; at 4.5 the log-likelihood is 5.7 higher (test_families_of_numbers)"
)
LEFT_OUT = {
    ("sleepstudy", "student_t_intercept"): HIGHER,
    ("tweedie_sim", "slope_zero_var"): "a variance of zero, which glmmTMB only comes close to",
    ("gamma_sim", "intercept_lme4"): OTHER,
    ("cbpp", "probit_laplace_lme4"): EXPECTED,
    ("cbpp", "cloglog_laplace_lme4"): EXPECTED,
    ("guImmun", "nested_agq3_15x11"): POINTS,
    ("guImmun", "nested_agq3_31x15"): POINTS,
}
# nlme stops early where the log-likelihood hardly changes with the slope's standard deviation
# a coefficient of the zero part runs off: the likelihood has no maximum, but a limit that both come close to
SEPARATED = {("Salamanders", "zinb2"), ("Salamanders", "zinb1_mined")}
LOOSE = {("hsb", "lme_default_reml"): 10.0, ("hsb", "lme_tight_reml"): 10.0}

RESPONSES = {  # of the formulas that lack theirs
    "VerbAgg": "r2",
    "bacteria": "y",
    "beta_sim": "y",
    "betabinom_sim": "cbind(k, n - k)",
    "cbpp": "cbind(incidence, size - incidence)",
    "epil": "y",
    "gamma_sim": "y",
    "grouseticks": "TICKS",
    "Salamanders": "count",
}
OTHERWISE = [  # the same model, in other words
    ("sleepstudy", "uncorrelated_reml", "Reaction ~ Days + (Days || Subject)"),
    ("sleepstudy", "uncorrelated_ml", "Reaction ~ Days + (Days || Subject)"),
    ("Pastes", "nested_syntax_reml", "strength ~ 1 + (1 | cask:batch) + (1 | batch)"),
]


def within_reach(fit: dict[str, Any]) -> bool:
    """Whether a fit maximizes a likelihood that this library has."""
    linear_predictor = "~" in fit["formula"] and "logit P" not in fit["formula"]  # loadings multiply parameters
    families = ("binomial", "gaussian", "poisson", *FAMILIES)
    return linear_predictor and fit["family"] in families and "PQL" not in fit["method"]


def cases() -> list[tuple[str, str, str]]:
    """Data set, fit, formula."""
    found = []
    for name in names():
        for key, fit in read_numbers(name).get("fits", {}).items():
            if within_reach(fit) and (name, key) not in LEFT_OUT:
                found.append((name, key, translated(fit["formula"], name)))
    return found + OTHERWISE


def translated(formula: str, name: str) -> str:
    """A formula of lme4, nlme or a one-sided one, as it is written here."""
    if formula.startswith("~"):
        formula = RESPONSES[name] + " " + formula
    fixed, _, random = formula.partition(" ; random = ~")
    return (f"{fixed} + ({random})" if random else fixed).replace("^", "**")


@cache
def data(name: str) -> pd.DataFrame:
    """A data set with the columns that formulas want."""
    frame = read_data(name)
    if name == "Contraception":
        frame["ch"] = pd.Categorical(np.where(frame["livch"] == "0", "N", "Y"))
    if name == "cbpp":
        frame["obs"] = np.arange(1, len(frame) + 1)
    if name == "epil":
        frame["visit"] = (frame["period"] - 2.5) / 5
    if name == "sleepstudy":
        frame["w"] = 1.0 + frame["Days"] % 3
    return frame


def test_what_is_left_out_is_there() -> None:
    for name, key in [*LEFT_OUT, *LOOSE]:
        assert within_reach(read_numbers(name)["fits"][key])


def test_the_page_counts_them() -> None:
    text = (Path(__file__).parents[1] / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert f"{len(cases())} fits of {len({case[0] for case in cases()})} data sets" in text
    assert (len(LEFT_OUT), len(LOOSE), len(SEPARATED)) == (7, 2, 2)


@pytest.mark.parametrize(("name", "key", "formula"), [pytest.param(*case, id="-".join(case[:2])) for case in cases()])
def test_fit(name: str, key: str, formula: str) -> None:
    reference = read_numbers(name)["fits"][key]
    linear = reference["family"] == "gaussian"
    with warnings.catch_warnings():  # Laplace where quadrature would move the estimates, a zero variance
        warnings.simplefilter("ignore", ml.FitWarning)
        results = ml.fit(
            formula,
            data(name),
            family=FAMILIES.get(reference["family"], reference["family"]),
            link=reference["link"],
            weights="w" if key.startswith("weighted") else None,
            method=reference["method"].lower() if linear else None,
            n_quadrature=reference.get("nAGQ") or 1,
            dispersion=None if reference.get("dispformula", "~1") == "~1" else reference["dispformula"],
            **zero_part(reference),
        )
    loose = LOOSE.get((name, key), 1.0)
    assert results.converged == ((name, key) not in SEPARATED)
    assert results.nobs == reference["nobs"]
    assert results.df_model == reference["df"]
    assert results.llf == pytest.approx(reference["logLik"], rel=LOGLIK)
    assert results.aic == pytest.approx(reference["AIC"], rel=LOGLIK)
    if "BIC_note" not in reference:
        assert results.bic == pytest.approx(reference["BIC"], rel=LOGLIK)

    fixed = pd.DataFrame(reference["fixed"])
    assert [r_name(column) for column in results.params.index] == list(fixed["name"])
    estimate, se = fixed["estimate"].to_numpy(), fixed["se"].to_numpy()
    assert np.abs((results.params.to_numpy() - estimate) / se).max() < ESTIMATE
    np.testing.assert_allclose(results.bse, se, rtol=STANDARD_ERROR)
    if "vcov" in reference:
        covariance = np.array(reference["vcov"])
        assert np.abs((results.cov_params().to_numpy() - covariance) / np.outer(se, se)).max() < 2 * STANDARD_ERROR

    check_components(results, reference["random"], loose)
    if reference.get("random_zi"):
        check_components(results, reference["random_zi"], loose, zero=True)
    if linear:
        assert results.family_params["sigma"] == pytest.approx(reference["sigma"], rel=1e-5)
    check_family_parameter(results, reference)
    if "/" not in formula:  # where cask:batch is batch:cask; the same fit in other words has it in R's order
        check_modes(results, reference.get("ranef", {}), canonical=reference["link"] in ("identity", "log", "logit"))
    check_rows(results, reference, linear)


def zero_part(reference: dict[str, Any]) -> dict[str, str]:
    """The argument that makes the zero part of a reference fit, if it has one."""
    formula = reference.get("ziformula") or "~0"
    if formula == "~0":
        return {}
    return {"hurdle" if reference["family"].startswith("truncated") else "zero_inflation": formula}


def r_name(column: str) -> str:
    """R's name of a fixed effect."""
    return column.replace("[True]", "TRUE").replace("[", "").replace("]", "").replace("**", "^")


def check_family_parameter(results: ml.MixedModelResults, reference: dict[str, Any]) -> None:
    """The size or shape, and how sure its logarithm is; of families with two parameters the values."""
    if reference["family"] in ("t", "tweedie"):
        first, second = results.family_params.values()
        assert first == pytest.approx(reference["sigma"], rel=1e-5)
        (other,) = reference["family_params"]
        assert second == pytest.approx(other, rel=1e-5) or (second == np.inf and other > 1e4)
        return
    if reference["family"] not in PARAMETERS:
        assert set(results.family_params) <= {"sigma", "zero_probability"}
        return
    if reference.get("ziformula", "~0") not in ("~0", "~1"):
        check_part(results, "zero", pd.DataFrame(reference["fixed_zi"]))
    if reference.get("dispformula", "~1") != "~1":
        check_part(results, "dispersion", pd.DataFrame(reference["fixed_disp"]))
        return
    name = PARAMETERS[reference["family"]]
    logarithm, se = logarithm_of_parameter(reference)
    assert results.family_params[name] == pytest.approx(np.exp(logarithm), rel=ESTIMATE * se)
    row = results.family_parameters().loc[name]
    assert row.std_error == pytest.approx(row.estimate * se, rel=STANDARD_ERROR)
    if "sigma" in reference:
        sigma = reference["sigma"]
        assert row.estimate == pytest.approx(sigma**-2 if name == "shape" else sigma, rel=ESTIMATE * se)


def check_part(results: ml.MixedModelResults, part: str, reference: pd.DataFrame) -> None:
    """The coefficients of a part beside the mean and their standard errors."""
    own = results.tidy(component=part)
    assert [r_name(column) for column in own["term"]] == list(reference["name"])
    shift = np.abs((own["estimate"] - reference["estimate"]) / reference["se"])
    runs_off = reference["se"] > RUNS_OFF
    assert (shift[~runs_off] < ESTIMATE).all()
    assert (shift[runs_off] < RAN_OFF).all()
    np.testing.assert_allclose(own["std_error"][~runs_off], reference["se"][~runs_off], rtol=STANDARD_ERROR)
    assert (own["std_error"][runs_off] > RUNS_OFF).all()


def logarithm_of_parameter(reference: dict[str, Any]) -> tuple[float, float]:
    """Estimate and standard error: glmmTMB's own, or of direct quadrature, whose log sigma is -log(shape) / 2."""
    if "internal" in reference:
        own = reference["internal"]
        place = own["names"].index("betad")
        return own["estimate"][place], own["se"][place]
    (own,) = reference["extra"]
    if own["name"] in ("log_theta", "log_phi"):
        return own["estimate"], own["se"]
    assert own["name"] == "log_sigma"
    return -2 * own["estimate"], 2 * own["se"]


def check_components(
    results: ml.MixedModelResults, random: list[dict[str, Any]], loose: float, *, zero: bool = False
) -> None:
    """Every block of variances and correlations; those of the zero part apart."""
    blocks: dict[frozenset[str], list[dict[str, Any]]] = {}
    for block in random:
        group = re.sub(r"\.\d+$", "", block["group"])  # "Subject.1": a second term
        blocks.setdefault(frozenset(group.split(":")), []).append(block)
    found = {}
    for group, cov in results.random_cov.items():
        names = [name for name in cov.columns if name.startswith("zero: ") == zero]
        found[frozenset(group.split(":"))] = cov.loc[names, names].to_numpy()
    assert set(blocks) == set(found)
    for group, own in blocks.items():
        cov = found[group]
        sd = np.sqrt(np.diag(cov))
        np.testing.assert_allclose(sd, [s for block in own for s in block["sd"]], rtol=SD * loose)
        first = 0
        for block in own:
            last = first + len(block["sd"])
            corr = cov[first:last, first:last] / np.outer(sd[first:last], sd[first:last])
            np.testing.assert_allclose(corr, np.atleast_2d(block.get("corr", [[1.0]])), atol=CORRELATION * loose)
            first = last


def check_modes(results: ml.MixedModelResults, ranef: dict[str, Any], canonical: bool) -> None:
    """Conditional modes of the levels that the reference lists, and their variances where they mean what ours do."""
    table = results.random_effects()
    table["level"] = table["level"].astype(str)
    table["term"] = table["term"].map(r_name)
    table = table.set_index(["group", "level", "term"])
    for group, own in ranef.items():
        modes = np.array(own["mode"])
        # those of glmmTMB add what the fixed effects leave open, those of lme4 have the expected information in them
        variances = own.get("condvar") if canonical else None
        for j, level in enumerate(own["levels"][: len(modes)]):
            for k, term in enumerate(own["names"]):
                row = table.loc[(group, level, term)]
                assert row["mode"] == pytest.approx(modes[j, k], abs=1e-3 * row["sd"])
                if variances is not None:
                    assert row["sd"] == pytest.approx(np.sqrt(np.atleast_2d(variances[j])[k, k]), rel=2e-3)


def check_rows(results: ml.MixedModelResults, reference: dict[str, Any], linear: bool) -> None:
    """Predictions and residuals of the first ten rows."""
    eta = results.predict(kind="link")[:10]
    width = np.ptp(results.fit.eta)
    if "linpred_first10" in reference:
        np.testing.assert_allclose(eta, reference["linpred_first10"], atol=1e-3 * width)
    if "linpred_population_first10" in reference:
        zero = results.predict(kind="link", random="zero")[:10]
        np.testing.assert_allclose(zero, reference["linpred_population_first10"], atol=1e-3)
    if "zprob_first10" in reference and "zero" in (own.name for own in results.fit.components):
        np.testing.assert_allclose(results.predict(kind="zero")[:10], reference["zprob_first10"], atol=1e-4)
    if "fitted_first10" in reference and not linear:
        np.testing.assert_allclose(results.fittedvalues[:10], reference["fitted_first10"], rtol=1e-3)
    if reference["family"].startswith("truncated"):
        return  # glmmTMB's variance of a hurdle's response is not that of the truncated counts in it
    if not linear:  # lme4 does not divide those of linear models by the residual standard deviation
        for kind in ("pearson", "deviance"):
            # glmmTMB's of families with two parameters are over the standard deviation
            there = reference.get(f"resid_{kind}_first10", [None])[0] is not None  # glmmTMB has not all of them
            if there and reference["family"] not in ("t", "tweedie"):
                residuals = results.residuals(kind)[:10]
                if reference["family"] == "betabinomial":  # glmmTMB has the variance of independent trials
                    n, k = results.fit.design.response.size[:10], results.family_params["precision"]
                    residuals = residuals * np.sqrt((n + k) / (1 + k))
                np.testing.assert_allclose(residuals, reference[f"resid_{kind}_first10"], rtol=1e-3, atol=1e-3)
