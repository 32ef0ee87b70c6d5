"""Tables print whole in 80 columns, and hold every digit."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import multilevel as ml

SLEEP = "Reaction ~ Days + (1 + Days | Subject)"


@pytest.fixture(scope="module")
def sleep() -> ml.MixedModelResults:
    return ml.fit(SLEEP, ml.datasets.sleepstudy())


@pytest.fixture(scope="module")
def schools() -> ml.MixedModelResults:
    return ml.fit("mathach ~ meanses * cses + sector * cses + (1 + cses | school)", ml.datasets.hsb())


def printed(table: pd.DataFrame) -> list[str]:
    with pd.option_context("display.width", 80, "display.max_columns", 0):  # as in a terminal
        text = str(table)
    assert text == repr(table)
    lines = text.split("\n")
    assert max(map(len, lines)) <= 80, text
    assert "..." not in text
    return lines


def test_compare(sleep: ml.MixedModelResults) -> None:
    table = ml.compare(ml.fit("Reaction ~ Days + (1 | Subject)", ml.datasets.sleepstudy()), sleep)
    # lme4 1.1-31: anova(m0, m1, refit = FALSE)
    assert printed(table) == [
        "Models:",
        "1: Reaction ~ Days + (1 | Subject)",
        "2: Reaction ~ Days + (1 + Days | Subject)",
        "",
        "   df      aic      bic   loglik  deviance     chi2  df_diff   p_value",
        "1   4  1794.47  1807.24  -893.23   1786.47",
        "2   6  1755.63  1774.79  -871.81   1743.63  42.8368        2  2.79e-10",
        "2: a variance on the boundary: mixture of chi-squares with 1 and 2 df",
    ]
    assert table["chi2"].iloc[1] == 2 * (table["loglik"].iloc[1] - table["loglik"].iloc[0])
    assert list(table.columns) == ["df", "aic", "bic", "loglik", "deviance", "chi2", "df_diff", "p_value", "note"]


def test_long_formulas_wrap(schools: ml.MixedModelResults) -> None:
    data = ml.datasets.hsb()
    formula = "mathach ~ meanses * cses + sector * cses + I(ses^2) + sex + minority + I(size^2) + (1 | school)"
    lines = printed(
        ml.compare(ml.fit("mathach ~ cses + (1 | school)", data, method="ml"), ml.fit(formula, data, method="ml"))
    )
    assert " ".join(" ".join(lines[2:4]).split()) == f"2: {formula}"


def test_tidy(sleep: ml.MixedModelResults, schools: ml.MixedModelResults) -> None:
    lines = printed(sleep.tidy())
    assert lines[0].split() == ["effect", "group", "term", "estimate", "std_error", "df", "statistic"]
    assert lines[1].split() == ["fixed", "(Intercept)", "251.405", "6.825", "17.00", "36.838"]
    assert lines[5].split() == ["ran_pars", "Subject", "cor__(Intercept).Days", "0.0656", "0.3250"]
    assert lines[7].split() == ["effect", "group", "term", "p_value", "conf_low", "conf_high"]
    assert lines[9].split() == ["fixed", "Days", "3.26e-06", "7.206", "13.729"]
    assert len(lines) == 10  # parameters without a test have no line in the second panel
    printed(schools.tidy())
    printed(ml.fit("cbind(incidence, size - incidence) ~ period", ml.datasets.cbpp(), family="binomial").tidy())


def test_what_is_made_of_a_table_is_a_plain_frame(sleep: ml.MixedModelResults) -> None:
    table = sleep.tidy()
    for made in (table[["term", "estimate"]], table.round(2), table.query("effect == 'fixed'"), table.copy()):
        assert type(made) is pd.DataFrame
    assert table["estimate"].iloc[1] == sleep.params["Days"]
    again = pickle.loads(pickle.dumps(table))
    pd.testing.assert_frame_equal(again, table)
    assert str(again) == str(table)


def test_notebooks_show_the_same(sleep: ml.MixedModelResults) -> None:
    table = ml.compare(ml.fit("Reaction ~ Days + (1 | Subject)", ml.datasets.sleepstudy()), sleep)
    html = table._repr_html_() or ""
    assert "mixture of chi-squares with 1 and 2 df" in html
    assert "1: Reaction ~ Days + (1 | Subject)" in html
    assert "<table" in (table[["df", "note"]]._repr_html_() or "")


def test_other_columns_print_as_pandas_has_them(sleep: ml.MixedModelResults) -> None:
    table = sleep.tidy()
    table["mine"] = np.arange(6)
    assert "mine" in str(table)
