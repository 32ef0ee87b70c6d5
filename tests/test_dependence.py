"""Intraclass correlations, R2, median odds ratios and design effects, against definitions computed in R."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import multilevel as ml

from .family_cases import CASES, drawn
from .reference_files import read_data, read_numbers

SHARES: dict[str, Any] = read_numbers("after_the_fit")["icc_r2"]
POINTS = {"agq25": 25, "agq15": 15}
MEANS = {"exp_b0": "typical", "nakagawa2017": "null", "mean_y": "observed"}


def data_of(name: str) -> pd.DataFrame:
    data = read_data(name)
    if name == "grouseticks":
        data["sHEIGHT"] = (data["HEIGHT"] - data["HEIGHT"].mean()) / data["HEIGHT"].std()
    return data


@cache
def fitted(name: str) -> ml.MixedModelResults:
    own = SHARES[name]
    family, *link = own["family"].split()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        points = POINTS.get(name.rpartition("_")[2], 1)
        return ml.fit(
            own["formula"], data_of(own["dataset"]), family, link=link[0] if link else None, n_quadrature=points
        )


@pytest.mark.parametrize(
    "name",
    [
        "cbpp_logit_agq25",
        "cbpp_probit_agq25",
        "cbpp_cloglog_agq25",
        "contraception_slope_laplace",
        "sleepstudy_slope_reml",
        "hsb_slope_reml",
    ],
)
def test_latent_and_linear_scales(name: str) -> None:
    own, results = SHARES[name], fitted(name)
    found, r2 = results.icc(), results.r2()
    assert found["estimate"].iloc[0] == pytest.approx(own["icc_adjusted"], rel=1e-6)
    assert results.icc(adjusted=False)["estimate"].iloc[0] == pytest.approx(own["icc_conditional"], rel=1e-6)
    assert r2.loc["marginal", "estimate"] == pytest.approx(own["r2_marginal"], rel=1e-6)
    assert r2.loc["conditional", "estimate"] == pytest.approx(own["r2_conditional"], rel=1e-6)
    if "se_icc_adjusted" in own:
        assert found["std_error"].iloc[0] == pytest.approx(own["se_icc_adjusted"], rel=1e-5)
    if "median_odds_ratio" in own:
        assert results.median_odds_ratio()["estimate"].iloc[0] == pytest.approx(own["median_odds_ratio"], rel=1e-6)
    for table in (found, r2):
        assert (table["lower"] < table["estimate"]).all()
        assert (table["estimate"] < table["upper"]).all()


@pytest.mark.parametrize("approximation", ["lognormal", "delta", "trigamma"])
def test_counts(approximation: str) -> None:
    """Where packages differ it is by the mean: .583 at exp(b0), .679 at the mean of Nakagawa and others (2017)."""
    own, results = SHARES["epil_intercept_agq25"][approximation], fitted("epil_intercept_agq25")
    for theirs, ours in MEANS.items():
        found = results.icc(mean=ours, approximation=approximation)["estimate"].iloc[0]
        assert found == pytest.approx(own[theirs]["icc_adjusted"], rel=1e-6)
        r2 = results.r2(mean=ours, approximation=approximation)["estimate"]
        assert r2["marginal"] == pytest.approx(own[theirs]["r2_marginal"], rel=1e-6)
        assert r2["conditional"] == pytest.approx(own[theirs]["r2_conditional"], rel=1e-6)
    given = SHARES["epil_intercept_agq25"]["lambda"]["exp_b0"]
    found = results.icc(mean=given, approximation=approximation)["estimate"].iloc[0]
    assert found == pytest.approx(own["exp_b0"]["icc_adjusted"], rel=1e-6)


def test_an_effect_of_each_row_is_residual() -> None:
    own = SHARES["grouseticks_three_re_laplace"]["lognormal_INDEX_as_residual"]["nakagawa2017"]
    results = fitted("grouseticks_three_re_laplace")
    found = results.icc()
    assert list(found.index) == ["BROOD", "LOCATION", "all"]
    assert found.loc["all", "estimate"] == pytest.approx(own["icc_adjusted"], rel=1e-6)
    assert found.loc["all", "estimate"] == pytest.approx(found["estimate"].iloc[:2].sum(), rel=1e-12)
    assert results.r2().loc["conditional", "estimate"] == pytest.approx(own["r2_conditional"], rel=1e-6)


def test_standard_errors_by_differences() -> None:
    """Of an R2 with all that moves it: fixed effects, variances, and the family's own parameter at a given mean."""
    data = data_of("epil")
    results = ml.fit("y ~ lage + V4 + (1 | subject)", data, "negative_binomial")
    fit, found = results.fit, results.r2(mean=8.0)
    x = np.column_stack([np.ones(len(data)), data["lage"], data["V4"]])

    def conditional(psi: np.ndarray) -> float:
        fixed = np.var(x @ psi[:3], ddof=1)
        size = np.exp(psi[4])
        return float((fixed + psi[3] ** 2) / (fixed + psi[3] ** 2 + np.log1p(1 / 8.0 + 1 / size)))

    assert fit.parameter_names[4] == "log_size"
    assert found.loc["conditional", "estimate"] == pytest.approx(conditional(fit.psi), rel=1e-10)
    slopes = [(conditional(fit.psi + e) - conditional(fit.psi - e)) / 2e-4 for e in 1e-4 * np.eye(5)]
    error = np.sqrt(np.array(slopes) @ fit.covariance @ np.array(slopes))
    assert found.loc["conditional", "std_error"] == pytest.approx(error, rel=1e-5)


def test_variances_explained_and_design_effects() -> None:
    own, data = SHARES["variance_explained"], read_data("hsb")
    null = ml.fit("mathach ~ 1 + (1 | school)", data)
    full = ml.fit("mathach ~ meanses + sector + cses + (1 | school)", data)
    found = full.variance_explained(null)
    assert found.loc["school", "explained"] == pytest.approx(own["proportional_reduction"]["between"], rel=1e-6)
    assert found.loc["residual", "explained"] == pytest.approx(own["proportional_reduction"]["within"], rel=1e-6)
    effect = null.design_effect().loc["school"]
    expected = own["design_effect_null"]
    assert effect["mean_size"] == pytest.approx(expected["mean_cluster_size"])
    assert effect["icc"] == pytest.approx(expected["icc"], rel=1e-6)
    assert effect["estimate"] == pytest.approx(expected["deff"], rel=1e-6)
    assert effect["unequal"] == pytest.approx(expected["deff_kish_unequal"], rel=1e-6)


def test_a_variance_of_a_binary_response() -> None:
    """A variance of 1.9434 on the logit scale is a correlation of 1.9434 / (1.9434 + pi^2 / 3) = 0.371."""
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(60), 15)
    data = pd.DataFrame({"y": rng.binomial(1, 1 / (1 + np.exp(-rng.normal(0, 1.4, 60)[g]))), "g": g})
    results = ml.fit("y ~ 1 + (1 | g)", data, "binomial", n_quadrature=15)
    variance = results.random_cov["g"].iloc[0, 0]
    row = results.icc().iloc[0]
    assert row["estimate"] == pytest.approx(variance / (variance + np.pi**2 / 3), rel=1e-12)
    ratio = np.exp(np.sqrt(2 * variance) * stats.norm.ppf(0.75))
    assert results.median_odds_ratio()["estimate"].iloc[0] == pytest.approx(ratio, rel=1e-12)


def test_rescaling() -> None:
    """Hox (2010): the whole latent standard deviation of the null model over that of the model."""
    data = read_data("Contraception")
    null = ml.fit("use ~ 1 + (1 | district)", data, "binomial")
    full = ml.fit("use ~ age + urban + livch + (1 | district)", data, "binomial")
    found = full.rescale_to(null)
    fixed = np.var(full.predict(kind="link", random="zero"), ddof=1)
    variances = [own.random_cov["district"].iloc[0, 0] for own in (null, full)]
    factor = np.sqrt((variances[0] + np.pi**2 / 3) / (fixed + variances[1] + np.pi**2 / 3))
    np.testing.assert_allclose(found["estimate"], factor * full.params, rtol=1e-10)
    np.testing.assert_allclose(found["std_error"], factor * full.bse, rtol=1e-10)
    assert full.rescale_to(full).attrs["factor"] == 1.0


@pytest.mark.parametrize("family", [name for name in CASES if not CASES[name].slow and name != "tweedie"])
def test_every_family(family: str) -> None:
    rng = np.random.default_rng(8)
    case = CASES[family]
    g = np.repeat(np.arange(20), 8)
    x = rng.normal(size=len(g))
    link = next(iter(case.starts))
    start = case.starts[link]
    eta = start.intercept + start.scale * (0.5 * x + rng.normal(0, 0.7, 20)[g])
    y = drawn(rng, family, eta, size=6.0 if case.trials else 1.0)
    data = pd.DataFrame({"y": y, "rest": 6.0 - y, "x": x, "g": g})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        results = ml.fit(f"{'cbind(y, rest)' if case.trials else 'y'} ~ x + (1 | g)", data, family)
        tables = [results.icc(), results.r2(), results.icc(adjusted=False), results.design_effect()]
    for table in tables:
        assert np.isfinite(table.to_numpy()).all()
    assert 0 < tables[0]["estimate"].iloc[0] < 1
    assert tables[2]["estimate"].iloc[0] < tables[0]["estimate"].iloc[0]
    assert tables[1].loc["conditional", "estimate"] > tables[1].loc["marginal", "estimate"]


def test_a_dispersion_of_each_row() -> None:
    """Of a Gaussian model with a dispersion formula the residual variance is the mean over rows."""
    data = read_data("sleepstudy")
    results = ml.fit("Reaction ~ Days + (1 | Subject)", data, "gaussian", dispersion="~ Days")
    residual = np.mean(results.predict(kind="dispersion") ** 2)
    variance = results.random_cov["Subject"].iloc[0, 0]
    row = results.icc().iloc[0]
    assert row["estimate"] == pytest.approx(variance / (variance + residual), rel=1e-10)
    assert row["std_error"] > 0


def test_what_cannot_be() -> None:
    data = read_data("cbpp")
    cauchit = ml.fit("cbind(incidence, size - incidence) ~ 1 + (1 | herd)", data, "binomial", link="cauchit")
    with pytest.raises(ml.DataError, match="cauchit link has no variance"):
        cauchit.icc()
    with pytest.raises(ml.DataError, match="no logarithms of ratios"):
        fitted("sleepstudy_slope_reml").median_odds_ratio()
    with pytest.raises(ValueError, match="mean='median' is not available"):
        fitted("cbpp_logit_agq25").icc(mean="median")
    with pytest.raises(ValueError, match="approximation='exact' is not available"):
        fitted("cbpp_logit_agq25").icc(approximation="exact")
    with pytest.raises(ValueError, match="approximation='trigamma' is of the families"):
        fitted("sleepstudy_slope_reml").icc(approximation="trigamma")
    plain = ml.fit("Reaction ~ Days", read_data("sleepstudy"))
    with pytest.raises(ml.DataError, match="no random effects"):
        plain.icc()
    share = plain.r2()
    assert list(share.index) == ["marginal"]
    with pytest.raises(ml.DataError, match="different families"):
        plain.variance_explained(fitted("cbpp_logit_agq25"))
    with pytest.raises(ml.DataError, match="different responses or rows"):
        plain.variance_explained(ml.fit("Reaction ~ 1", read_data("sleepstudy").iloc[:90]))
    with pytest.raises(ml.DataError, match="not latent"):
        plain.rescale_to(plain)


def test_median_odds_ratio_of_proportions() -> None:
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(30), 8)
    mean = 1 / (1 + np.exp(-rng.normal(0, 0.7, 30)[g]))
    results = ml.fit("y ~ 1 + (1 | g)", {"y": rng.beta(6 * mean, 6 - 6 * mean), "g": g}, "beta")
    sd = np.sqrt(results.random_cov["g"].iloc[0, 0])
    expected = np.exp(np.sqrt(2) * sd * stats.norm.ppf(0.75))
    assert results.median_odds_ratio().loc["g", "estimate"] == pytest.approx(expected, rel=1e-12)


def test_intervals_by_profile_and_bootstrap() -> None:
    """The profile is that of the quantity itself; replicates are those of the standard deviations."""
    sleep = ml.fit("Reaction ~ Days + (1 | Subject)", ml.datasets.sleepstudy(), method="ml")
    use = ml.fit("use ~ age + (1 | district)", ml.datasets.contraception(), family="binomial")
    for results, residual in ((sleep, None), (use, np.pi**2 / 3)):
        own = results.icc(method="profile").iloc[0]
        expected = results.profile("icc", 0.95).conf_int().iloc[0]
        assert own[["lower", "upper"]].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-6)
        boot = results.bootstrap(60, seed=3)
        group = results.fit.design.grouping_factors[0].name
        variance = boot.replicates[f"{group}: sd__(Intercept)"] ** 2
        rest = boot.replicates["sigma"] ** 2 if residual is None else residual
        found = results.icc(method="bootstrap", n=60, seed=3).iloc[0]
        share = (variance / (variance + rest)).to_numpy()
        ends = np.quantile(share, [0.025, 0.975], method="weibull")
        assert found[["lower", "upper"]].to_numpy() == pytest.approx(ends, rel=1e-8)
        assert found["std_error"] == pytest.approx(share.std(ddof=1), rel=1e-8)
        effect = results.design_effect(method="profile").iloc[0]
        assert effect["upper"] == pytest.approx(1 + (effect["mean_size"] - 1) * own["upper"])
    odds = use.median_odds_ratio(method="profile").iloc[0]
    sd = use.profile("district: sd (Intercept)", 0.95).conf_int().iloc[0]
    expected = np.exp(np.sqrt(2) * sd.to_numpy() * stats.norm.ppf(0.75))
    assert odds[["lower", "upper"]].to_numpy() == pytest.approx(expected, rel=1e-6)
    again = use.median_odds_ratio(method="bootstrap", n=60, seed=3).iloc[0]
    assert again["lower"] < odds["estimate"] < again["upper"]
    marginal = sleep.r2(method="bootstrap", n=60, seed=3).loc["marginal"]
    assert 0 < marginal["lower"] < marginal["estimate"] < marginal["upper"] < 1


def test_a_variance_of_zero_says_why_there_are_no_limits() -> None:
    data = pd.DataFrame({"g": np.repeat(np.arange(12), 3), "y": np.tile([1.0, 2.0, 3.5], 12)})
    with pytest.warns(ml.SingularFitWarning):
        results = ml.fit("y ~ 1 + (1 | g)", data, method="ml")
    with pytest.warns(ml.NotEstimableWarning, match="a variance is zero"):
        assert np.isnan(results.icc()["lower"].iloc[0])
    own = results.icc(method="profile").iloc[0]
    assert own["lower"] == 0.0
    assert 0.0 < own["upper"] < 0.3
    with pytest.warns(ml.NotEstimableWarning, match=r"r2: .* of 'conditional', .* method='bootstrap' has limits"):
        shares = results.r2()
    assert np.isnan(shares.loc["conditional", "lower"])
    with pytest.warns(ml.SingularFitWarning):
        counts = ml.fit("y ~ 1 + (1 | g)", data.round(), "poisson")
    with pytest.warns(ml.NotEstimableWarning, match=r"method='bootstrap' \(with a number for mean=\) has limits"):
        counts.icc()
    with pytest.warns(ml.NotEstimableWarning, match="method='profile' and method='bootstrap' have limits"):
        counts.median_odds_ratio()


@pytest.mark.parametrize("formula", ["y ~ 1 + (1 | g)", "y ~ 0 + (1 | g)"])
def test_without_predictors_the_marginal_share_is_zero(formula: str) -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": np.repeat(np.arange(12), 5)})
    data["y"] = rng.normal(size=12)[data["g"]] + rng.normal(size=60)
    results = ml.fit(formula, data)
    shares = results.r2()
    assert (shares.loc["marginal"] == 0.0).all()
    np.testing.assert_allclose(shares.loc["conditional"], results.icc().loc["g"], rtol=1e-12)


@pytest.mark.parametrize(
    ("formula", "family", "call", "message"),
    [
        ("y ~ x + (1 | g)", "gaussian", lambda r: r.r2(method="profile"), "no profile of one"),
        ("y ~ x + (1 | g)", "gaussian", lambda r: r.icc(adjusted=False, method="profile"), "adjusted correlation"),
        ("y ~ x + (x | g)", "gaussian", lambda r: r.icc(method="profile"), "one random intercept"),
        ("n ~ x + (1 | g)", "poisson", lambda r: r.icc(method="profile"), "one random intercept"),
        ("n ~ x + (1 | g)", "poisson", lambda r: r.icc(method="bootstrap", n=20), "give a number"),
        ("n ~ x + (x | g)", "poisson", lambda r: r.median_odds_ratio(method="profile"), "other random effects"),
    ],
)
@pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
def test_intervals_that_are_refused(formula: str, family: str, call: Any, message: str) -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": np.repeat(np.arange(15), 6), "x": rng.normal(size=90)})
    data["y"] = rng.normal(size=15)[data["g"]] + rng.normal(size=90)
    data["n"] = rng.poisson(np.exp(0.5 * rng.normal(size=15)[data["g"]] + 0.5))
    results = ml.fit(formula, data, family)
    with pytest.raises(ml.DataError, match=message):
        call(results)
