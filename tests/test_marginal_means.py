"""Marginal means, their contrasts and slopes against emmeans; adjustments for several tests; what is refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.effects.estimated import Estimated
from multilevel.effects.multiplicity import largest_tail, reaches, studentized_range_tail

WITHOUT_GROUPS = json.loads((Path(__file__).parent / "reference" / "marginal_means.json").read_text(encoding="utf-8"))

NAMES = {
    "estimate": ("emmean", "estimate", "prob", "rate", "odds.ratio", "ratio", "lbase.trend", "cses.trend"),
    "std_error": ("SE",),
    "df": ("df",),
    "p_value": ("p.value",),
    "conf_low": ("asymp.LCL", "lower.CL"),
    "conf_high": ("asymp.UCL", "upper.CL"),
}


def unbalanced(sleepstudy: pd.DataFrame) -> pd.DataFrame:
    """As the reference has it: without every seventh row from the fourth on, days in three phases."""
    kept = sleepstudy[np.arange(len(sleepstudy)) % 7 != 3]
    return kept.assign(phase=pd.cut(kept["Days"], [-1, 1, 5, 9], labels=["d0_1", "d2_5", "d6_9"]))


def agree(result: Estimated, rows: list[dict[str, Any]], rtol: float, df_rtol: float = 0.0, but: str = "") -> None:
    """Every number of emmeans' table; sizes of intervals and of what is near zero are measured in standard errors."""
    table = result.table
    assert len(table) == len(rows)
    error = np.array([row["SE"] for row in rows])
    for name, theirs in NAMES.items():
        key = next((own for own in theirs if own in rows[0]), None)
        if key is None or name not in table or name in but.split():
            continue
        expected = np.array([np.inf if row[key] is None else row[key] for row in rows], dtype=float)
        found = table[name].to_numpy(dtype=float)
        if name == "df":
            assert np.allclose(found, expected, rtol=df_rtol), name
        elif name == "p_value":
            # the relative error of a p-value is that of the statistic times its size
            assert np.allclose(np.log(found), np.log(expected), rtol=0, atol=300 * max(rtol, df_rtol)), name
        else:
            atol = (rtol + df_rtol) * error * 3.0
            assert (np.abs(found - expected) <= rtol * np.abs(expected) + atol).all(), name


@pytest.fixture(scope="module")
def emmeans(reference_numbers: Any) -> dict[str, Any]:
    return reference_numbers("after_the_fit")["emmeans"]


@pytest.fixture(scope="module")
def cbpp(reference_data: Any) -> ml.MixedModelResults:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return ml.fit(formula, reference_data("cbpp"), family="binomial", n_quadrature=25)


@pytest.fixture(scope="module")
def hsb(reference_data: Any) -> ml.MixedModelResults:
    return ml.fit("mathach ~ sector * minority + sex + cses + (1 | school)", reference_data("hsb"))


def test_binomial(cbpp: ml.MixedModelResults, emmeans: dict[str, Any]) -> None:
    expected = emmeans["cbpp_logit_agq25_period"]
    means = cbpp.marginal_means("period")
    agree(means, expected["means"], 1e-6)
    agree(means.contrasts(), expected["pairs"], 1e-6)
    response = cbpp.marginal_means("period", kind="response")
    agree(response, expected["means_response"], 1e-6)
    agree(response.contrasts(), expected["pairs_response"], 1e-6)
    agree(means.contrasts(ratio=True), expected["pairs_response"], 1e-6)


def test_adjusted(cbpp: ml.MixedModelResults, emmeans: dict[str, Any]) -> None:
    expected = emmeans["cbpp_logit_agq25_period"]["pairs"]
    for adjust in ("tukey", "holm", "bonferroni"):
        table = cbpp.marginal_means("period").contrasts(adjust=adjust).table
        assert np.allclose(table["p_value"], [row[f"p_{adjust}"] for row in expected], rtol=1e-6)
        if adjust != "holm":
            assert np.allclose(table["conf_low"], [row[f"lower_{adjust}"] for row in expected], rtol=0, atol=1e-6)
            assert np.allclose(table["conf_high"], [row[f"upper_{adjust}"] for row in expected], rtol=0, atol=1e-6)


def test_counts(reference_data: Any, emmeans: dict[str, Any]) -> None:
    epil = reference_data("epil")
    fit = ml.fit("y ~ lbase * trt + lage + V4 + (1 | subject)", epil, family="poisson", n_quadrature=25)
    expected = emmeans["epil_intercept_agq25_trt"]
    means = fit.marginal_means("trt", kind="response")
    agree(means, expected["means_response"], 1e-6)
    agree(means.contrasts(), expected["pairs_response"], 1e-6)
    assert "Rate ratios" in repr(means.contrasts())
    slopes = fit.marginal_slopes("lbase", by="trt")
    agree(slopes, expected["trends"]["trends"], 1e-6)
    agree(slopes.contrasts(), expected["trends"]["pairs"], 1e-6)


def test_functions_of_numbers_and_groups(reference_data: Any, emmeans: dict[str, Any]) -> None:
    formula = "use ~ age + I(age^2) + urban + livch + (1 + urban | district)"
    fit = ml.fit(formula, reference_data("Contraception"), family="binomial")
    expected = emmeans["contraception_slope_laplace_livch"]
    agree(fit.marginal_means("livch"), expected["means"], 1e-6)
    agree(fit.marginal_means("livch", kind="response").contrasts(), expected["pairs_response"], 2e-6)
    by = fit.marginal_means("livch", by="urban", kind="response")
    agree(by, expected["by_urban"]["means_response"], 2e-6)
    assert list(by.contrasts().table["urban"]) == ["N"] * 6 + ["Y"] * 6


@pytest.mark.parametrize("df_method", ["satterthwaite", "kenward-roger"])
@pytest.mark.parametrize(
    ("effects", "name", "rtol", "df_rtol"),
    [
        ("(1 | Subject)", "sleepstudy_unbalanced_intercept_phase", 1e-6, 1e-4),
        ("(Days | Subject)", "sleepstudy_unbalanced_slope_phase", 1e-5, 1e-3),
    ],
)
def test_small_samples(
    reference_data: Any, emmeans: dict[str, Any], df_method: str, effects: str, name: str, rtol: float, df_rtol: float
) -> None:
    fit = ml.fit(f"Reaction ~ phase + {effects}", unbalanced(reference_data("sleepstudy")))
    expected = emmeans[name][df_method.replace("-", "_")]
    means = fit.marginal_means("phase", df_method=df_method)
    agree(means, expected["means"], rtol, df_rtol)
    agree(means.contrasts(), expected["pairs"], rtol, df_rtol)


def test_two_factors(hsb: ml.MixedModelResults, emmeans: dict[str, Any]) -> None:
    expected = emmeans["hsb_sector_by_minority"]
    means = hsb.marginal_means("sector", by="minority")
    agree(means, expected["satterthwaite"]["means"], 1e-5, 1e-3)
    agree(means.contrasts(), expected["satterthwaite"]["pairs"], 1e-5, 1e-3)
    difference = means.contrasts({"sector": "pairwise", "minority": "pairwise"})
    agree(difference, expected["interaction"], 1e-5, 1e-3)
    pairs = hsb.marginal_means(["sector", "minority"]).contrasts()
    agree(pairs, expected["all_pairs"], 1e-5, 1e-3)
    assert list(pairs.table["contrast"]) == [row["contrast"] for row in expected["all_pairs"]]


def test_slopes(reference_data: Any, emmeans: dict[str, Any]) -> None:
    fit = ml.fit("mathach ~ meanses * cses + sector * cses + (cses | school)", reference_data("hsb"))
    expected = emmeans["hsb_slope_trends"]
    slopes = fit.marginal_slopes("cses", by="sector")
    agree(slopes, expected["trends"]["trends"], 1e-5, 1e-3)
    agree(slopes.contrasts(), expected["trends"]["pairs"], 1e-5, 1e-3)
    at = fit.marginal_means("sector", by="cses", at={"cses": [-1, 0, 1], "meanses": 0})
    agree(at, expected["sector_at_cses"]["means"], 1e-5, 1e-3)
    agree(at.contrasts(), expected["sector_at_cses"]["pairs"], 1e-5, 1e-3)


# ---- without random effects: what emmeans makes of the same estimates --------------------------------------------


@pytest.fixture(scope="module")
def contraception(reference_data: Any) -> ml.MixedModelResults:
    return ml.fit("use ~ age + urban * livch", reference_data("Contraception"), family="binomial")


@pytest.fixture(scope="module")
def incomplete(reference_data: Any) -> ml.MixedModelResults:
    data = reference_data("Contraception")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.RedundantColumnWarning)
        return ml.fit(
            "use ~ age + urban * livch", data[(data["urban"] != "Y") | (data["livch"] != "2")], family="binomial"
        )


def equal(result: Estimated, name: str, rtol: float = 1e-6) -> None:
    """The whole table, to the precision of R's fit; what is not estimable is NaN in both."""
    table, expected = result.table, WITHOUT_GROUPS[name]
    for own, theirs in {
        "estimate": "estimate",
        "std_error": "SE",
        "conf_low": "conf_low",
        "conf_high": "conf_high",
    }.items():
        if theirs in expected:
            numbers = np.array(expected[theirs], dtype=float)
            scale = np.array(expected["SE"], dtype=float)
            found = table[own].to_numpy()
            assert np.array_equal(np.isnan(found), np.isnan(numbers))
            assert np.nanmax(np.abs(found - numbers) / scale) < rtol, (name, own)
    if "p_value" in table and "p.value" in expected:
        ours, theirs = np.log(table["p_value"].to_numpy()), np.log(np.array(expected["p.value"], dtype=float))
        assert np.nanmax(np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))) < rtol, name


def test_weights_and_values(contraception: ml.MixedModelResults) -> None:
    for weights in ("equal", "proportional", "cell"):
        equal(contraception.marginal_means("livch", weights=weights), weights)
    equal(contraception.marginal_means("urban", at={"age": 10, "livch": ["0", "3+"]}), "at")


def test_averages_of_responses(contraception: ml.MixedModelResults) -> None:
    averaged = contraception.marginal_means("livch", kind="response", average="response")
    equal(averaged, "averaged_responses")
    equal(averaged.contrasts(ratio=True), "ratios_of_averaged_responses")


def test_sets_of_contrasts(contraception: ml.MixedModelResults) -> None:
    means = contraception.marginal_means("livch")
    equal(means.contrasts("consecutive"), "consecutive")
    equal(means.contrasts("reference", reference="1"), "reference")
    equal(means.contrasts("effects"), "effects")
    coefficients = {"first": [1, -1 / 3, -1 / 3, -1 / 3], "last": [-1, 0, -1, 2]}
    equal(means.contrasts(coefficients), "custom")
    equal(means.contrasts(list(coefficients.values())), "custom")
    cells = contraception.marginal_means(["urban", "livch"])
    equal(cells.contrasts({"urban": "pairwise", "livch": "consecutive"}), "interaction")


def test_adjustments_by_the_joint_distribution(contraception: ml.MixedModelResults) -> None:
    means = contraception.marginal_means("livch")
    equal(means.contrasts(adjust="bh"), "bh")
    # both are by lattice rules: four digits after the point of a probability
    for kind, adjust, name in (
        ("reference", "dunnett", "dunnett"),
        ("pairwise", "single-step", "all_pairs_single_step"),
    ):
        table, expected = means.contrasts(kind, adjust=adjust).table, WITHOUT_GROUPS[name]
        assert np.allclose(table["p_value"], expected["p.value"], rtol=0, atol=1e-4)
        # qmvt() of mvtnorm ends its search for the quantile at 0.0003 of the probability, 0.003 standard errors
        assert np.allclose(table["conf_low"], expected["conf_low"], rtol=0, atol=4e-3 * np.min(expected["SE"]))


def test_joint_tests(
    cbpp: ml.MixedModelResults, hsb: ml.MixedModelResults, contraception: ml.MixedModelResults
) -> None:
    # of a factor alone, and of interactions, they are the tests of anova()
    for results, term in ((cbpp, "period"), (contraception, "urban:livch")):
        names = term.split(":")
        means = results.marginal_means(names)
        contrasts = means.contrasts(dict.fromkeys(names, "pairwise")) if len(names) > 1 else means.contrasts()
        test, expected = contrasts.joint_test(), results.anova().loc[term]
        assert test["df"][0] == expected["df"]
        assert test["chi2"][0] == pytest.approx(expected["chi2"], rel=1e-8)
        assert test["p_value"][0] == pytest.approx(expected["p_value"], rel=1e-7)
    test, expected = hsb.marginal_means("sector").contrasts().joint_test(), hsb.anova().loc["sector"]
    for name in ("num_df", "den_df", "f_value", "p_value"):
        assert test[name][0] == pytest.approx(expected[name], rel=1e-8)
    by = hsb.marginal_means("sector", by="minority").contrasts().joint_test()
    assert list(by["minority"]) == ["No", "Yes"]
    single = hsb.marginal_means("sector", by="minority").contrasts().table
    assert np.allclose(by["f_value"], single["statistic"] ** 2, rtol=1e-10)


def test_combinations_that_no_row_has(incomplete: ml.MixedModelResults) -> None:
    with pytest.warns(ml.NotEstimableWarning, match="1 of 4 is NaN, at livch = '2'"):
        means = incomplete.marginal_means("livch")
    equal(means, "incomplete")
    equal(means.contrasts(), "incomplete_pairs")
    equal(incomplete.marginal_means("livch", weights="cell"), "incomplete_cell")
    # a difference is determined although neither mean is
    with pytest.warns(ml.NotEstimableWarning, match="urban = 'Y', livch = '2'"):
        cells = incomplete.marginal_means("urban", by="livch")
    assert list(np.isnan(cells.contrasts().table["estimate"])) == [False, False, True, False]
    with pytest.warns(ml.NotEstimableWarning, match="livch = '2'"):
        averaged = incomplete.marginal_means("livch", kind="response", average="response")
    assert list(np.isnan(averaged.table["estimate"])) == [False, False, True, False]


# ---- distributions of several tests ------------------------------------------------------------------------------


def test_studentized_range() -> None:
    from scipy.stats import studentized_range

    for q, k, df in ((3.6, 4, np.inf), (3.6, 4, 20.0), (5.0, 10, 3.5), (8.0, 4, 1.0), (9.0, 3, 150.3)):
        # SciPy integrates to about 1e-13
        assert studentized_range_tail(q, k, df) == pytest.approx(studentized_range.sf(q, k, df), rel=1e-7, abs=2e-13)
    assert reaches("tukey", 0.95, np.array([10.0]), np.eye(1), 4)[0] == pytest.approx(3.0593555534, abs=1e-8)


def test_largest_of_all_pairs_is_the_studentized_range() -> None:
    pairs = np.array([[1, -1, 0, 0], [1, 0, -1, 0], [1, 0, 0, -1], [0, 1, -1, 0], [0, 1, 0, -1], [0, 0, 1, -1.0]])
    for df in (np.inf, 12.0):
        exact = studentized_range_tail(2.6 * np.sqrt(2.0), 4, df)
        assert largest_tail(2.6, pairs @ pairs.T / 2.0, df) == pytest.approx(exact, abs=1e-4)


def test_largest_of_tests_with_a_reference() -> None:
    from scipy.stats import norm

    # given the reference's own deviation the others are independent: an integral along one line
    z = np.linspace(-9, 9, 4001)
    inside = norm.cdf(z + 2.3 * np.sqrt(2)) - norm.cdf(z - 2.3 * np.sqrt(2))
    exact = 1.0 - (z[1] - z[0]) * np.sum(norm.pdf(z) * inside**3)
    assert largest_tail(2.3, 0.5 + 0.5 * np.eye(3), np.inf) == pytest.approx(exact, abs=1e-4)


# ---- random effects, other scales, what is shown -----------------------------------------------------------------


def test_averages_over_groups(cbpp: ml.MixedModelResults, reference_numbers: Any) -> None:
    expected = reference_numbers("after_the_fit")["effects"]["cbpp_logit_agq25"]["integrated"]
    table = cbpp.marginal_means("period", kind="response", random="marginal").table
    assert np.allclose(table["estimate"], [row["estimate"] for row in expected[:4]], rtol=1e-7)
    assert np.allclose(table["std_error"], [row["se"] for row in expected[:4]], rtol=1e-5)
    # at conditional modes: the average of what predict says of every herd
    modes = cbpp.marginal_means("period", kind="response", random="conditional").table["estimate"]
    herds = pd.DataFrame({"herd": list(cbpp.fit.design.grouping_factors[0].levels)})
    for period, mean in zip(("1", "2", "3", "4"), modes, strict=True):
        assert mean == pytest.approx(cbpp.predict(herds.assign(period=period)).mean(), rel=1e-12)


def test_slopes_of_means(cbpp: ml.MixedModelResults, reference_data: Any) -> None:
    formula = "use ~ age + I(age^2) + urban + livch + (1 + urban | district)"
    fit = ml.fit(formula, reference_data("Contraception"), family="binomial")
    h = 1e-4
    for random in ("zero", "marginal", "conditional"):
        slopes = fit.marginal_slopes("age", by="urban", at={"age": 5.0}, kind="response", random=random)
        near = [
            fit.marginal_means("urban", at={"age": 5.0 + k * h}, kind="response", average="response", random=random)
            for k in (1, -1)
        ]
        difference = (near[0].estimate - near[1].estimate) / (2 * h)
        assert np.allclose(slopes.estimate, difference, rtol=1e-6)
        assert np.allclose(slopes.jacobian, (near[0].jacobian - near[1].jacobian) / (2 * h), rtol=1e-5, atol=1e-8)
    with pytest.raises(ml.DataError, match="'urban' holds categories"):
        fit.marginal_slopes("urban")


def test_refused(cbpp: ml.MixedModelResults, hsb: ml.MixedModelResults) -> None:
    with pytest.raises(ml.DataError, match="no predictor 'periods'; its predictors are 'period'"):
        cbpp.marginal_means("periods")
    with pytest.raises(ml.DataError, match="'cses' is a number: say at which values"):
        hsb.marginal_means("cses")
    with pytest.raises(ml.DataError, match="'period' has no level '5'"):
        cbpp.marginal_means("period", at={"period": "5"})
    with pytest.raises(ml.DataError, match="weights='outer' is not available"):
        cbpp.marginal_means("period", weights="outer")
    with pytest.raises(ml.DataError, match="average='link' does not go with random='marginal'"):
        cbpp.marginal_means("period", kind="response", random="marginal", average="link")
    with pytest.raises(ml.DataError, match="df_method='satterthwaite' is for Gaussian"):
        cbpp.marginal_means("period", df_method="satterthwaite").contrasts().table  # noqa: B018
    means = cbpp.marginal_means("period")
    with pytest.raises(ml.DataError, match="contrasts of kind 'all' are not known"):
        means.contrasts("all")
    with pytest.raises(ml.DataError, match=r"have shape \(1, 3\); each has 4"):
        means.contrasts([1, -1, 0])
    with pytest.raises(ml.DataError, match="contrast odd add up to 1"):
        means.contrasts({"odd": [1, 0, 0, 0]})
    with pytest.raises(ml.DataError, match="adjust='tukey' is for contrasts of kind 'pairwise'"):
        means.contrasts("reference", adjust="tukey")
    with pytest.raises(ml.DataError, match="adjust='sidak' is not available"):
        means.contrasts(adjust="sidak")
    with pytest.raises(ml.DataError, match="the means are not by 'herd'"):
        means.contrasts(by="herd")
    with pytest.raises(ml.DataError, match="ratio=True: differences of means are no logarithms"):
        hsb.marginal_means("sector").contrasts(ratio=True)
    with pytest.raises(ValueError, match="level=95 must lie between 0 and 1"):
        cbpp.marginal_means("period", level=95).table  # noqa: B018


def test_pages(hsb: ml.MixedModelResults) -> None:
    means = hsb.marginal_means("sector", by="minority")
    text = repr(means)
    assert max(map(len, text.splitlines())) <= 80
    assert "averaged over sex with equal weights; at cses = " in text
    assert "<table" in means._repr_html_()
    assert "p-values adjusted by bonferroni for 1 tests" in repr(means.contrasts(adjust="bonferroni"))
    assert len(means) == 4
    assert np.allclose(np.sqrt(np.diag(means.covariance)), means.table["std_error"])
