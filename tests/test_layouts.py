"""Layouts of the summary: numbers of other programs where they are known, and nothing lost on the way."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import multilevel as ml

from .kinds import KINDS, fitted

NLME = json.loads((Path(__file__).parent / "reference" / "layouts.json").read_text(encoding="utf-8"))
STYLES = ("glmer", "lme", "sas", "spss", "stata")
MODELS = {
    "sleepstudy": "Reaction ~ Days + (1 + Days | Subject)",
    "hsb": "mathach ~ ses * sector + minority + (ses | school)",
    "pastes": "strength ~ 1 + (1 | batch/cask)",
}


def cells(results, style, **options):
    """Rows of the table of fixed effects by name, each a dict by heading."""
    table = next(b for b in results.summary(style=style, **options).blocks if b.title == "Fixed effects:")
    return {row[0]: dict(zip(table.columns[1:], row[1:], strict=True)) for row in table.rows}


@pytest.fixture(scope="module")
def admission():
    data = pd.DataFrame({"admitted": [7, 3], "refused": [3, 7], "man": [1, 0]})
    return ml.fit("cbind(admitted, refused) ~ man", data, family="binomial")


def test_spss_has_the_published_table_of_admissions(admission):
    """B, S.E., Wald, df, Sig. and Exp(B) as SPSS prints them for this logistic regression."""
    rows = cells(admission, "spss")
    names = ("B", "S.E.", "Wald", "Sig.", "Exp(B)")
    for term, published in {
        "man": (1.695, 0.976, 3.015, 0.082, 5.444),
        "(Intercept)": (-0.847, 0.690, 1.508, 0.220, 0.429),
    }.items():
        assert [float(rows[term][name]) for name in names] == pytest.approx(published, abs=5.01e-4)
        assert rows[term]["df"] == "1"


def test_stata_has_the_interval_of_the_definition(admission):
    row = cells(admission, "stata")["man"]
    b, error = 1.694596, (2 * (1 / 7 + 1 / 3)) ** 0.5  # log(49 / 9), by hand
    assert float(row["Coef."]) == pytest.approx(b, abs=1e-5)
    interval = (float(row["[95% Conf."]), float(row["Interval]"]))
    assert interval == pytest.approx((b - 1.959964 * error, b + 1.959964 * error), abs=1e-5)


@pytest.mark.parametrize("style", ["spss", "stata"])
def test_t_tests_and_robust_errors_keep_working(style):
    results = ml.fit("Reaction ~ Days + (1 | Subject)", ml.datasets.sleepstudy())
    row = cells(results, style)["Days"]
    assert "t" in row
    assert "Exp(B)" not in row
    error = {"spss": "S.E.", "stata": "Std. Err."}[style]
    robust = cells(results, style, robust="CR0")["Days"]
    assert float(robust[error]) == pytest.approx(results.cov_params(robust="CR0").loc["Days", "Days"] ** 0.5, rel=1e-3)


def test_an_unknown_style_is_refused_with_the_list(admission):
    with pytest.raises(ValueError, match="'glmer', 'lme', 'sas', 'spss', 'stata'"):
        admission.summary(style="systat")


@pytest.fixture(scope="module")
def schools():
    """One-way analysis of variance of High School and Beyond: Raudenbush and Bryk (2002), table 4.2."""
    return ml.fit("mathach ~ 1 + (1 | school)", ml.datasets.hsb())


def block(results, style, title, **options):
    return next(b for b in results.summary(style=style, **options).blocks if b.title == title)


def flat(page):
    """The text of a page without its line breaks."""
    return " ".join(str(page).split())


def rows_of(table):
    return {row[0]: row[1:] for row in table.rows}


# ---- lme -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_lme_has_the_numbers_of_nlme(name):
    """nlme stops within 4e-4 of the maximum in the standard deviations, and closer in all else."""
    results, own = ml.fit(MODELS[name], getattr(ml.datasets, name)()), NLME[name]
    blocks = results.summary(style="lme").blocks
    criteria = next(b for b in blocks if getattr(b, "columns", ()) == ("AIC", "BIC", "logLik"))
    assert [float(cell) for cell in criteria.rows[0]] == pytest.approx(
        [own["aic"], own["bic"], own["loglik"]], abs=5e-3
    )
    fixed = next(b for b in blocks if b.title.startswith("Fixed effects: "))
    assert fixed.columns == ("", "Value", "Std.Error", "DF", "t-value", "p-value")
    for row, numbers in zip(fixed.rows, own["table"], strict=True):
        value, error, df, t, p = (float(cell.replace("<.0001", "0")) for cell in row[1:])
        assert df == numbers[2]
        assert [value, error, t] == pytest.approx([numbers[0], numbers[1], numbers[3]], rel=5e-5, abs=1e-5)
        assert p == pytest.approx(numbers[4], abs=1.01e-4)
    shown = []
    for table in (b for b in blocks if " Formula: ~" in b.title):
        shown += (
            [float(c) for c in table.rows[0][1:]]
            if table.rows[0][0] == "StdDev:"
            else [float(row[1]) for row in table.rows]
        )
    assert shown == pytest.approx(own["sd"], rel=5e-4)
    residuals = next(b for b in blocks if b.title == "Standardized Within-Group Residuals:")
    assert [float(cell) for cell in residuals.rows[0]] == pytest.approx(own["residuals"], abs=1e-4)
    text = str(results.summary(style="lme"))
    assert f"Number of Observations: {results.nobs}" in text
    assert all(str(count) in text.split("Number of Groups:")[1] for count in np.atleast_1d(own["groups"]))


def test_lme_says_where_it_counts_otherwise(schools):
    text = str(schools.summary(style="lme"))
    assert "BIC counts rows minus coefficients, 7184" in text
    by_ml = flat(ml.fit(MODELS["sleepstudy"], ml.datasets.sleepstudy(), method="ml").summary(style="lme"))
    assert "sqrt(n / (n - p)) times as large" in by_ml
    assert "BIC counts" not in by_ml
    assert "Satterthwaite" in str(schools.summary(style="lme", df_method="satterthwaite"))


# ---- sas -------------------------------------------------------------------------------------------------------------


def test_sas_has_the_published_page_of_the_schools(schools):
    """PROC MIXED's page of table 4.2: its optimizer stops at 8.6097 where the maximum is 8.6140, as Stata has it."""
    statistics = rows_of(block(schools, "sas", "Fit Statistics"))
    published = {"-2 Res Log Likelihood": 47116.8, "AIC": 47120.8, "AICC": 47120.8, "BIC": 47126.9}
    for name, value in published.items():
        (cell,) = next(cells for label, cells in statistics.items() if label.split(" (")[0] == name)
        assert float(cell) == pytest.approx(value, abs=0.051)
    own = rows_of(block(schools, "sas", "Covariance Parameter Estimates"))
    assert [float(cell) for cell in own["Intercept"][1:]] == pytest.approx([8.6097, 1.0778], rel=1.2e-3)
    assert [float(cell) for cell in own["Residual"][1:]] == pytest.approx([39.1487, 0.6607], rel=2e-4)
    row = block(schools, "sas", "Solutions for Fixed Effects").rows[0]
    assert [float(cell) for cell in row[1:3]] == pytest.approx([12.6370, 0.2443], rel=5e-4)
    assert float(row[4]) == pytest.approx(51.72, abs=0.02)
    assert row[5] == "<.0001"


def test_sas_has_tests_of_terms_and_covariances():
    results = ml.fit(MODELS["hsb"], ml.datasets.hsb())
    terms, anova = rows_of(block(results, "sas", "Type III Tests of Fixed Effects")), results.anova()
    assert list(terms) == list(anova.index)
    for name, row in anova.iterrows():
        assert float(terms[name][2]) == pytest.approx(row["f_value"], abs=0.0051)
        assert float(terms[name][1]) == pytest.approx(row["den_df"], rel=1e-3)
    (row,) = block(results, "sas", "Tests of Covariance Parameters Based on the Likelihood").rows
    test = results.test_variance("school")
    assert row[:2] == ("No G-side effects", "3")
    assert float(row[2]) == pytest.approx(-2 * test.loglik_without, abs=0.0051)
    assert float(row[3]) == pytest.approx(test.chi2, abs=0.0051)
    assert [r[0] for r in block(results, "sas", "Covariance Parameter Estimates").rows] == [
        *("UN(1,1)", "UN(2,1)", "UN(2,2)", "Residual")
    ]


# ---- spss ------------------------------------------------------------------------------------------------------------


def test_spss_counts_as_mixed_does(schools):
    """By the definitions: after REML d covariance parameters, n - p rows."""
    found = [float(row[1]) for row in block(schools, "spss", "Information Criteria:").rows]
    deviance, d, n = -2 * schools.llf, 2, 7185 - 1
    aicc = deviance + 2 * d * n / (n - d - 1)
    expected = [deviance, deviance + 2 * d, aicc, deviance + d * (np.log(n) + 1), deviance + d * np.log(n)]
    assert found == pytest.approx(expected, abs=5.1e-4)


def test_spss_has_wald_tests_of_covariance_parameters(schools):
    own = rows_of(block(schools, "spss", "Estimates of Covariance Parameters:"))
    z = [float(own[name][2]) for name in ("Intercept [school]", "Residual")]
    assert z == pytest.approx([7.99, 59.26], abs=0.0051)  # as SAS's page of the same model has them
    assert own["Residual"][3] == "<.001"


# ---- stata -----------------------------------------------------------------------------------------------------------


def test_stata_has_the_published_page_of_the_schools(schools):
    """xtmixed's page of the same model."""
    options = {"style": "stata", "df_method": "normal"}
    row = block(schools, title="Fixed effects:", **options).rows[0]
    assert [float(cell) for cell in row[1:4]] == pytest.approx([12.63697, 0.2443937, 51.71], rel=1e-4)
    assert [float(cell) for cell in row[5:]] == pytest.approx([12.15797, 13.11598], rel=1e-6)
    blocks = schools.summary(**options).blocks
    groups = next(b for b in blocks if "Number of groups" in getattr(b, "columns", ()))
    assert groups.rows == (("school", "160", "14", "44.9", "67"),)
    table = rows_of(next(b for b in blocks if "Random-effects parameters" in getattr(b, "columns", ())))
    published = {"school: var(_cons)": (8.614034, 1.078805, 6.739129, 11.01056)}
    published["var(Residual)"] = (39.14832, 0.6606446, 37.87466, 40.46481)
    for name, numbers in published.items():
        assert [float(cell) for cell in table[name]] == pytest.approx(numbers, rel=2e-5)
    text = str(schools.summary(**options))
    assert "LR test vs. linear model: chibar2(01) = 986.12" in text
    assert "Log restricted-likelihood  -23558.397" in text
    assert "Wald chi2" not in text


def test_stata_tests_all_slopes_together():
    results = ml.fit("cbind(incidence, size - incidence) ~ period + (1 | herd)", ml.datasets.cbpp(), "binomial")
    text = str(results.summary(style="stata"))
    (chi2,) = results.anova()["chi2"]
    assert f"Wald chi2(3)         {chi2:.2f}" in text


# ---- all -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_has_every_model(kind):
    """Every coefficient, every part and every warning of the fit is on every page."""
    results = fitted(kind)
    for style in STYLES:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            page = results.summary(style=style)
            text = flat(page)
        assert page.as_html().startswith("<div>")
        labels = {row[0] for b in page.blocks if hasattr(b, "rows") for row in b.rows}
        assert {*results.fit.fixed_names, *(n for c in results.fit.components for n in c.names)} <= labels
        assert str(results.fit.design.formula) in text
        assert str(results.nobs) in text
        assert all(" ".join(own.split())[:60] in text for own in results.fit.warnings)


def test_robust_errors_and_degrees_of_freedom_are_taken_by_all():
    results = fitted("slopes")
    for style in STYLES:
        assert "robust standard errors: " in str(results.summary(style=style, robust="CR1"))
        assert "residual degrees of freedom" in str(results.summary(style=style, df_method="residual"))


def test_why_a_test_is_missing_is_said():
    text = flat(fitted("zero inflation with effects").summary(style="stata"))
    assert "random effects stand in other parts than the mean" in text
    text = flat(fitted("quasi-likelihood").summary(style="sas"))
    assert "not tested, as quasi-likelihood has no likelihood" in text
