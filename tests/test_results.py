"""What the results say, against numbers from lme4 1.1.31 and from quadrature outside this library."""

from __future__ import annotations

import dataclasses
import math
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import multilevel as ml
from multilevel.inference.information_criteria import n_subjects

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
SLEEP = "Reaction ~ Days + (1 + Days | Subject)"


@pytest.fixture(scope="module")
def cbpp() -> ml.MixedModelResults:
    return ml.fit(CBPP, ml.datasets.cbpp(), family="binomial")


@pytest.fixture(scope="module")
def sleep() -> ml.MixedModelResults:
    return ml.fit(SLEEP, ml.datasets.sleepstudy(), family="gaussian", method="ml")


@pytest.fixture(scope="module")
def plain() -> ml.MixedModelResults:
    return ml.fit("cbind(incidence, size - incidence) ~ period", ml.datasets.cbpp(), family="binomial")


def with_fit(results: ml.MixedModelResults, **changes: Any) -> ml.MixedModelResults:
    """The results of a fit that ended with other numbers."""
    return ml.MixedModelResults(dataclasses.replace(results.fit, **changes))


# ---- fixed effects -------------------------------------------------------------------------------------------------


def test_cbpp_coefficients(cbpp: ml.MixedModelResults) -> None:
    names = ["(Intercept)", "period[2]", "period[3]", "period[4]"]
    assert list(cbpp.params.index) == names
    np.testing.assert_allclose(cbpp.params, [-1.39853214, -0.99233273, -1.12867208, -1.58031389], atol=2e-5)
    np.testing.assert_allclose(cbpp.bse, [0.23247199, 0.30664250, 0.32663785, 0.42743659], rtol=1e-5)
    np.testing.assert_allclose(cbpp.zvalues, [-6.0159167, -3.2361227, -3.4554234, -3.6971891], rtol=1e-4)
    np.testing.assert_allclose(cbpp.pvalues, [1.788715e-9, 1.2116531e-3, 5.494292e-4, 2.1799996e-4], rtol=1e-3)
    pd.testing.assert_series_equal(cbpp.tvalues, cbpp.zvalues, check_names=False)
    assert np.isinf(cbpp.degrees_of_freedom()).all()


def test_covariance_of_the_coefficients(cbpp: ml.MixedModelResults) -> None:
    covariance = cbpp.cov_params()
    assert list(covariance.index) == list(covariance.columns) == list(cbpp.params.index)
    np.testing.assert_allclose(covariance.loc["period[2]", "period[4]"], 0.02779736, rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), cbpp.bse)


def test_wald_intervals(cbpp: ml.MixedModelResults) -> None:
    intervals = cbpp.conf_int()
    assert list(intervals.columns) == ["lower", "upper"]
    np.testing.assert_allclose(intervals.loc["(Intercept)"], [-1.8541689, -0.9428954], atol=1e-5)
    narrow = cbpp.conf_int(level=0.5)
    np.testing.assert_allclose(narrow["upper"] - cbpp.params, 0.6744897501960817 * cbpp.bse)


def test_t_tests_of_a_linear_model(sleep: ml.MixedModelResults) -> None:
    # 18 subjects, each with the same ten days: 18 degrees of freedom after ML
    np.testing.assert_allclose(sleep.degrees_of_freedom(), [18, 18], rtol=1e-4)
    t = 10.46728596 / 1.50223952
    np.testing.assert_allclose(sleep.tvalues["Days"], t, rtol=1e-5)
    np.testing.assert_allclose(sleep.pvalues["Days"], 2 * stats.t.sf(t, 18), rtol=1e-3)
    margin = stats.t.ppf(0.95, 18) * sleep.bse
    np.testing.assert_allclose(sleep.conf_int(0.9)["upper"], sleep.params + margin, rtol=1e-5)
    normal = sleep.conf_int(df_method="normal")
    np.testing.assert_allclose(normal["upper"], sleep.params + 1.959963984540054 * sleep.bse)
    np.testing.assert_allclose(sleep.tidy()["df"][:2], [18, 18], rtol=1e-4)
    assert sleep.tidy()["df"][2:].isna().all()
    assert sleep.tidy(df_method="containment")["df"][0] == 161


def test_kenward_and_roger_have_their_own_standard_errors() -> None:
    data = ml.datasets.sleepstudy().iloc[15:]
    results = ml.fit("Reaction ~ Days + (1 | Subject)", data)
    assert results.method == "reml"
    table = results.tidy(df_method="kenward-roger")
    assert (table["std_error"][:2] > results.bse.to_numpy()).all()
    assert list(results.anova(df_method="kenward-roger").index) == ["Days"]
    wald = results.anova(df_method="normal")
    np.testing.assert_allclose(wald["chi2"], [results.tvalues["Days"] ** 2], rtol=1e-10)


def test_intervals_that_do_not_exist(cbpp: ml.MixedModelResults) -> None:
    with pytest.raises(ValueError, match="'score' are not available; available: 'wald', 'profile'"):
        cbpp.conf_int(method="score")
    with pytest.raises(ValueError, match="between 0 and 1"):
        cbpp.conf_int(level=95)


def test_p_values_far_in_the_tail(cbpp: ml.MixedModelResults) -> None:
    far = with_fit(cbpp, beta=cbpp.fit.beta * 5)
    assert 0 < far.pvalues["(Intercept)"] < 1e-190


# ---- random effects ------------------------------------------------------------------------------------------------


def test_cbpp_conditional_modes(cbpp: ml.MixedModelResults) -> None:
    modes = cbpp.random_effects()
    assert list(modes.columns) == ["group", "level", "term", "mode", "sd"]
    assert list(modes["level"]) == [str(k) for k in range(1, 16)]
    assert set(modes["group"]) == {"herd"}
    assert set(modes["term"]) == {"(Intercept)"}
    np.testing.assert_allclose(modes["mode"][:4], [0.59002001, -0.29889722, 0.40625555, 0.03927731], atol=2e-5)
    np.testing.assert_allclose(modes["sd"][:2] ** 2, [0.12128855, 0.13363280], atol=1e-5)


def test_sleepstudy_conditional_modes(sleep: ml.MixedModelResults) -> None:
    modes = sleep.random_effects()
    assert len(modes) == 36
    of_308 = modes[modes["level"] == "308"].set_index("term")
    np.testing.assert_allclose(of_308["mode"][["(Intercept)", "Days"]], [2.81568327, 9.07553396], atol=1e-3)
    np.testing.assert_allclose(of_308["sd"][["(Intercept)", "Days"]] ** 2, [140.967030, 5.157779], rtol=1e-4)


def test_coefficients_per_level(sleep: ml.MixedModelResults) -> None:
    table = sleep.coef()["Subject"]
    assert table.index.name == "Subject"
    np.testing.assert_allclose(table.loc["308"], [254.220788, 19.542820], atol=1e-3)


def test_coefficients_of_a_random_effect_without_a_fixed_one() -> None:
    results = ml.fit("Reaction ~ 1 + (0 + Days | Subject)", ml.datasets.sleepstudy(), family="gaussian", method="ml")
    table = results.coef()["Subject"]
    modes = results.random_effects()
    np.testing.assert_allclose(table["Days"], modes["mode"])
    assert set(table["(Intercept)"]) == {results.params["(Intercept)"]}


def test_covariance_of_the_random_effects(sleep: ml.MixedModelResults) -> None:
    covariance = sleep.random_cov["Subject"]
    assert list(covariance.index) == list(covariance.columns) == ["(Intercept)", "Days"]
    np.testing.assert_allclose(covariance, [[565.515367, 11.055429], [11.055429, 32.682197]], rtol=2e-4)
    np.testing.assert_allclose(sleep.family_params["sigma"], 25.591816, rtol=1e-6)
    assert len(sleep.theta) == 3


def test_terms_on_one_factor_are_blocks() -> None:
    formula = "Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)"
    results = ml.fit(formula, ml.datasets.sleepstudy(), family="gaussian", method="ml")
    covariance = results.random_cov["Subject"]
    assert covariance.loc["(Intercept)", "Days"] == 0
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), results.theta.abs(), rtol=1e-12)
    assert list(results.vcov_table()["quantity"]) == ["variance", "sd", "variance", "sd", "variance", "sd"]
    assert len(results.random_effects()) == 36


def test_variance_components(cbpp: ml.MixedModelResults) -> None:
    table = cbpp.vcov_table()
    assert list(table.columns) == ["group", "term", "term2", "quantity", "estimate", "std_error"]
    assert list(table["quantity"]) == ["variance", "sd"]
    np.testing.assert_allclose(table["estimate"], [0.41249977, 0.64226145], rtol=1e-4)
    # the standard error of the sd, from the inverse Hessian of quadrature code outside this library
    np.testing.assert_allclose(table["std_error"], [2 * 0.64226145 * 0.17856216, 0.17856216], rtol=1e-4)


def test_variance_components_of_a_slope_model(sleep: ml.MixedModelResults) -> None:
    table = sleep.vcov_table().set_index(["group", "term", "term2", "quantity"])["estimate"]
    np.testing.assert_allclose(table["Subject", "(Intercept)", "Days", "correlation"], 0.0813201, atol=1e-5)
    np.testing.assert_allclose(table["Subject", "(Intercept)", "Days", "covariance"], 11.055429, rtol=1e-4)
    np.testing.assert_allclose(table["Residual", "", "", "sd"], 25.591816, rtol=1e-6)
    assert np.isfinite(sleep.vcov_table()["std_error"]).all()


def test_boundary_has_no_standard_error(sleep: ml.MixedModelResults) -> None:
    factor = np.array([[20.0, 0.0], [3.0, 0.0]])  # a correlation of one
    covariance = sleep.fit.covariance.copy()
    at = sleep.fit.parameter_names.index("log_sigma") - 1
    covariance[at, :] = covariance[:, at] = np.nan
    changed = with_fit(
        sleep,
        theta_values=(np.array([20.0, 3.0, 0.0]),),
        theta=(factor,),
        random_cov=(factor @ factor.T,),
        covariance=covariance,
    )
    table = changed.vcov_table().set_index(["term", "quantity"])
    assert np.isnan(table.loc[("(Intercept)", "correlation"), "std_error"])
    assert np.isfinite(table.drop(("(Intercept)", "correlation"))["std_error"]).all()


# ---- fit statistics ------------------------------------------------------------------------------------------------


def test_fit_statistics(cbpp: ml.MixedModelResults) -> None:
    np.testing.assert_allclose(cbpp.llf, -92.02628186, atol=1e-6)
    np.testing.assert_allclose(cbpp.deviance, 184.05256373, atol=2e-6)
    np.testing.assert_allclose(cbpp.aic, 194.05256373, atol=2e-6)
    np.testing.assert_allclose(cbpp.bic, 204.17932215, atol=2e-6)
    np.testing.assert_allclose(cbpp.aicc, 194.05256373 + 2 * 5 * 6 / (56 - 5 - 1), atol=2e-6)
    np.testing.assert_allclose(cbpp.caic, cbpp.bic + 5)
    np.testing.assert_allclose(cbpp.hqic, cbpp.deviance + 10 * math.log(math.log(56)))
    assert (cbpp.nobs, cbpp.n_groups, cbpp.df_model, cbpp.df_resid) == (56, {"herd": 15}, 5, 51)
    np.testing.assert_allclose(cbpp.pearson_chi2, (cbpp.residuals() ** 2).sum())


def test_information_criteria_by_subjects(cbpp: ml.MixedModelResults) -> None:
    by_subjects = cbpp.information_criteria(n="subjects")
    np.testing.assert_allclose(by_subjects["bic"], cbpp.deviance + 5 * math.log(15))
    assert by_subjects["aicc"] == cbpp.aicc
    with pytest.raises(ValueError, match="'rows' or 'subjects'"):
        cbpp.information_criteria(n="people")


def test_subjects_of_crossed_and_nested_factors() -> None:
    def factor(codes: list[int]) -> SimpleNamespace:
        return SimpleNamespace(codes=np.array(codes, dtype=np.int32), levels=np.unique(codes))

    def count(*factors: SimpleNamespace) -> int:
        fit: Any = SimpleNamespace(n_observations=4, design=SimpleNamespace(grouping_factors=factors))
        return n_subjects(fit)

    assert count() == 4
    assert count(factor([0, 0, 1, 1]), factor([0, 1, 2, 3])) == 2
    assert count(factor([0, 0, 1, 1]), factor([0, 1, 0, 1])) == 1


# ---- residuals -----------------------------------------------------------------------------------------------------


def test_binomial_residuals(cbpp: ml.MixedModelResults) -> None:
    expected = {
        "response": [-0.1653505, 0.1082517, 0.3184869, -0.0840287],
        "pearson": [-1.3398616, 1.0751259, 2.8796155, -0.6772641],
        "deviance": [-1.4380319, 0.9887432, 2.3569978, -0.9368581],
    }
    for kind, values in expected.items():
        residual = cbpp.residuals(kind)
        assert residual.name == kind
        np.testing.assert_allclose(residual[:4], values, atol=1e-4)
    pd.testing.assert_series_equal(cbpp.residuals(), cbpp.residuals("pearson"))


def test_gaussian_residuals_keep_their_units(sleep: ml.MixedModelResults) -> None:
    for kind in ("response", "pearson", "deviance"):
        np.testing.assert_allclose(sleep.residuals(kind)[:3], [-4.6607881, -15.0589080, -42.5058280], atol=1e-3)


def test_residuals_that_do_not_exist(cbpp: ml.MixedModelResults) -> None:
    with pytest.raises(ValueError, match="'working' are not available; choose one of 'pearson'"):
        cbpp.residuals("working")


def test_residuals_of_a_weighted_fit() -> None:
    data = ml.datasets.sleepstudy().assign(w=2.0)
    once = ml.fit("Reaction ~ Days + (1 | Subject)", data, family="gaussian", method="ml")
    twice = ml.fit("Reaction ~ Days + (1 | Subject)", data, family="gaussian", method="ml", weights="w")
    np.testing.assert_allclose(twice.residuals("response"), once.residuals("response"), atol=1e-2)
    np.testing.assert_allclose(twice.residuals("pearson"), math.sqrt(2) * twice.residuals("response"))


# ---- tables --------------------------------------------------------------------------------------------------------


def test_tidy(sleep: ml.MixedModelResults) -> None:
    table = sleep.tidy()
    columns = "effect group term estimate std_error df statistic p_value conf_low conf_high"
    assert list(table.columns) == columns.split()
    terms = ["(Intercept)", "Days", "sd__(Intercept)", "sd__Days", "cor__(Intercept).Days", "sd__Observation"]
    assert list(table["term"]) == terms
    assert list(table["effect"]) == ["fixed"] * 2 + ["ran_pars"] * 4
    assert list(table["group"][2:]) == ["Subject"] * 3 + ["Residual"]
    assert table["group"][:2].isna().all()
    assert table["statistic"][2:].isna().all()


def test_glance(cbpp: ml.MixedModelResults) -> None:
    row = cbpp.glance().iloc[0]
    assert len(cbpp.glance()) == 1
    assert (row["nobs"], row["n_herd"], row["df_resid"], row["family"]) == (56, 15, 51, "binomial")
    np.testing.assert_allclose(row["aic"], cbpp.aic)


def test_augment(cbpp: ml.MixedModelResults) -> None:
    rows = cbpp.augment()
    assert list(rows.columns[1:]) == [".fitted", ".resid", ".fixed"]
    np.testing.assert_allclose(rows[".fitted"][:2], [0.30820764, 0.14174825], atol=1e-5)
    np.testing.assert_allclose(rows.iloc[:, 0] - rows[".fitted"], rows[".resid"])
    np.testing.assert_allclose(rows[".fixed"][0], 1 / (1 + math.exp(1.39853214)), atol=1e-5)


def test_rows_keep_the_labels_of_the_frame() -> None:
    data = ml.datasets.sleepstudy()
    data.index = [f"row {k}" for k in range(len(data))]
    data.loc["row 3", "Reaction"] = np.nan
    results = ml.fit("Reaction ~ Days + (1 | Subject)", data, family="gaussian", method="ml")
    assert list(results.fittedvalues.index) == [k for k in data.index if k != "row 3"]
    assert results.fittedvalues.index.equals(results.residuals().index)
    assert results.augment().index.equals(results.fittedvalues.index)


# ---- without random effects ----------------------------------------------------------------------------------------


def test_plain_model(plain: ml.MixedModelResults) -> None:
    # glm() of R 4.2.2
    np.testing.assert_allclose(plain.params, [-1.269023489, -1.170762725, -1.301405334, -1.782278635], atol=1e-6)
    np.testing.assert_allclose(plain.bse, [0.144919762, 0.291467788, 0.312881172, 0.413056443], rtol=1e-6)
    np.testing.assert_allclose(plain.llf, -99.0291994894, atol=1e-8)
    assert (plain.n_groups, plain.random_cov, plain.coef()) == ({}, {}, {})
    assert plain.random_effects().empty
    assert plain.vcov_table().empty
    assert plain.theta.empty
    assert list(plain.tidy()["effect"]) == ["fixed"] * 4
    assert plain.df_model == 4
    np.testing.assert_allclose(plain.predict(random="zero"), plain.fittedvalues)
    assert plain.information_criteria(n="subjects")["bic"] == plain.bic
    assert "Random effects" not in str(plain.summary())


# ---- again, and later ----------------------------------------------------------------------------------------------


def test_refit_goes_to_the_model(cbpp: ml.MixedModelResults) -> None:
    calls = []
    model: Any = SimpleNamespace(refit=lambda y, *_, **options: calls.append((y, options)))
    ml.MixedModelResults(cbpp.fit, model).refit([1, 2], threads=1)
    assert [y for y, _ in calls] == [[1, 2]]
    assert calls[0][1]["threads"] == 1
    with pytest.raises(ValueError, match="carry no model"):
        ml.MixedModelResults(cbpp.fit).refit([1, 2])


def test_refit_keeps_the_method_and_the_points() -> None:
    data = ml.datasets.cbpp()
    fitted = ml.fit(CBPP, data, "binomial", n_quadrature=5)
    again = fitted.refit(data["incidence"])
    assert again.fit.n_quadrature == 5
    assert again.llf == fitted.llf
    assert fitted.refit(data["incidence"], n_quadrature=1).fit.n_quadrature == 1
    assert fitted.refit(data["incidence"], method="pql").method == "pql"
    quasi = ml.fit(CBPP, data, "binomial", method="pql-reml")
    assert quasi.refit(data["incidence"]).method == "pql-reml"


def check_same(one: ml.MixedModelResults, other: ml.MixedModelResults) -> None:
    assert str(one.summary()) == str(other.summary())
    pd.testing.assert_series_equal(one.params, other.params)
    pd.testing.assert_series_equal(one.fittedvalues, other.fittedvalues)
    new = ml.datasets.cbpp().iloc[[3, 0]]
    pd.testing.assert_series_equal(one.predict(new), other.predict(new))


def test_pickle(cbpp: ml.MixedModelResults) -> None:
    check_same(pickle.loads(pickle.dumps(cbpp)), cbpp)


def test_save_and_load(cbpp: ml.MixedModelResults, tmp_path: Path) -> None:
    cbpp.save(tmp_path / "fit.ml")
    check_same(ml.load(tmp_path / "fit.ml"), cbpp)


def test_repr(cbpp: ml.MixedModelResults) -> None:
    assert repr(cbpp) == f"<MixedModelResults: {CBPP}, binomial(logit), logLik -92.0263>"


# ---- shorthands ----------------------------------------------------------------------------------------------------


def test_printing_the_results_shows_the_summary(cbpp: ml.MixedModelResults) -> None:
    assert str(cbpp) == str(cbpp.summary())
    assert "\n" not in repr(cbpp)


def test_residual_standard_deviation(sleep: ml.MixedModelResults, cbpp: ml.MixedModelResults) -> None:
    assert sleep.residual_sd == sleep.family_params["sigma"] == pytest.approx(25.5918, abs=1e-3)  # lme4: sigma(f)
    with pytest.raises(AttributeError, match="the binomial family has no residual standard deviation"):
        _ = cbpp.residual_sd


def test_adjusted_covariance_of_other_models(cbpp: ml.MixedModelResults) -> None:
    pd.testing.assert_frame_equal(cbpp.cov_params(df_method="normal"), cbpp.cov_params())
    with pytest.raises(ml.DataError, match="df_method='kenward-roger' is for Gaussian models"):
        cbpp.cov_params(df_method="kenward-roger")
