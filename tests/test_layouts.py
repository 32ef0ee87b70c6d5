"""Layouts of the summary: numbers of other programs where they are known, and nothing lost on the way."""

import pandas as pd
import pytest

import multilevel as ml


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
    with pytest.raises(ValueError, match="'glmer', 'spss', 'stata'"):
        admission.summary(style="systat")
