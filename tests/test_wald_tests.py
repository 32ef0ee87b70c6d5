"""Linear hypotheses: how they are read, against car's and pbkrtest's numbers, and p-values for several of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import multilevel as ml
from multilevel.inference.multiplicity import adjusted_p_values
from multilevel.inference.restrictions import read_restrictions

from .reference_files import read_numbers

pytestmark = pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
ANOVA = read_numbers("after_the_fit")["anova"]
NAMES = ("(Intercept)", "x", "x:z", "f[2]", "f[2]:x", "I(x ** 2)", "odd = name")


@pytest.fixture(scope="module")
def herds() -> ml.MixedModelResults:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return ml.fit(formula, ml.datasets.cbpp(), family="binomial", n_quadrature=25)


@pytest.fixture(scope="module")
def sleep() -> ml.MixedModelResults:
    return ml.fit("Reaction ~ Days + (Days | Subject)", ml.datasets.sleepstudy())


# ---- reading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "row", "value"),
    [
        ("x = 0", {"x": 1}, 0),
        ("x", {"x": 1}, 0),
        ("x == 3", {"x": 1}, 3),
        ("x:z = f[2]:x", {"x:z": 1, "f[2]:x": -1}, 0),
        ("2*x - f[2]/4 = 1 + x", {"x": 1, "f[2]": -0.25}, 1),
        ("-(x - 2 * (x:z + 1)) = 3", {"x": -1, "x:z": 2}, 1),
        ("(Intercept) + I(x ** 2) = 1e-1", {"(Intercept)": 1, "I(x ** 2)": 1}, 0.1),
        ("`odd = name` = 'x'", {"odd = name": 1, "x": -1}, 0),
        ("x-1=.5", {"x": 1}, 1.5),
        ("(x + x:z) * 0.5 = 2 * (3 - 1)", {"x": 0.5, "x:z": 0.5}, 4),
    ],
)
def test_one_equation(text: str, row: dict[str, float], value: float) -> None:
    found = read_restrictions(text, NAMES)
    assert dict(zip(NAMES, found.rows[0], strict=True)) == {name: row.get(name, 0) for name in NAMES}
    assert found.values.tolist() == [pytest.approx(value, abs=1e-15)]


def test_several_equations() -> None:
    found = read_restrictions("x = x:z = f[2], (Intercept) = 2,", NAMES)
    assert found.labels == ("x = x:z", "x:z = f[2]", "(Intercept) = 2")
    assert found.rows[:, :4].tolist() == [[0, 1, -1, 0], [0, 0, 1, -1], [1, 0, 0, 0]]
    assert found.values.tolist() == [0, 0, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("xx = 0", "there is no coefficient 'xx'"),
        ("f[3] = 0", r"no coefficient 'f\[3\]'; did you mean 'f\[2\]'"),
        ("'y' = 0", "no coefficient 'y'"),
        ("gone = 0", "its column is a linear combination"),
        ("x*x:z = 0", "must be linear"),
        ("x / x = 0", "division by"),
        ("x / 0 = 0", "division by"),
        ("x = ", "ends where"),
        ("", "ends where"),
        ("(x = 0", r"expected '\)'"),
        ("x = 0)", "expected '=', ',' or an operator"),
        ("x = 0 ; x:z = 0", "expected '=', ',' or an operator"),
        ("1 = 1", "does not depend on any coefficient"),
        ("x - x = 0", "does not depend on any coefficient"),
        ("x = 0, x = 1", "contradict"),
        ("x = 1e999", "not finite"),
        ("`x", "never closed"),
        ("(" * 60 + "x" + ")" * 60, "50 deep"),
        ("x" * 10_001, "at most 10,000 characters"),
        ("__import__('os') = 0", "there is no coefficient"),
        ("x = &", "expected the name"),
    ],
)
def test_what_is_no_hypothesis(text: str, message: str) -> None:
    with pytest.raises(ml.DataError, match=message):
        read_restrictions(text, NAMES, redundant=("gone",))


def test_a_matrix(sleep: ml.MixedModelResults) -> None:
    by_matrix = sleep.wald_test([[1, 0], [-1, 2]], [250, 0])
    by_text = sleep.wald_test("(Intercept) = 250, 2*Days = (Intercept)")
    assert by_matrix.statistic == by_text.statistic
    assert list(by_matrix.table.index) == ["(Intercept) = 250", "-(Intercept) + 2*Days = 0"]
    for wrong, values in (([1, 0, 0], None), ([[1, 0]], [1, 2]), ([[np.nan, 0]], None), (["a", "b"], None)):
        with pytest.raises(ml.DataError, match=r"hypothesis|values"):
            sleep.wald_test(wrong, values)
    with pytest.raises(ml.DataError, match="goes with a matrix"):
        sleep.wald_test("Days = 0", [1])


# ---- tests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hypothesis", "key"),
    [
        ("period[2] = 0, period[3] = 0, period[4] = 0", "period_all_zero"),
        ("period[2] = period[3]", "period2_equals_period3"),
        ("period[2] = period[3] = period[4]", "period2_equals_period3_equals_period4"),
    ],
)
def test_chi_square(herds: ml.MixedModelResults, hypothesis: str, key: str) -> None:
    reference = ANOVA["cbpp_wald_period"][key]
    test = herds.wald_test(hypothesis)
    assert test.num_df == reference["df"]
    assert np.isinf(test.den_df)
    assert test.statistic == pytest.approx(reference["chisq"], rel=1e-6)
    assert test.p_value == pytest.approx(reference["p"], rel=1e-5)


def test_a_single_row_is_the_square_of_its_z(herds: ml.MixedModelResults) -> None:
    test = herds.wald_test("period[2] = -0.5")
    z = (herds.params["period[2]"] + 0.5) / herds.bse["period[2]"]
    assert test.table["statistic"].iloc[0] == pytest.approx(z, rel=1e-12)
    assert test.statistic == pytest.approx(z**2, rel=1e-10)
    assert test.p_value == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)


def test_equations_that_follow_from_others_count_once(herds: ml.MixedModelResults) -> None:
    one = herds.wald_test("period[2] = period[3]")
    two = herds.wald_test("period[2] = period[3], 2*period[3] - 2*period[2] = 0")
    assert two.num_df == 1
    assert two.statistic == pytest.approx(one.statistic, rel=1e-10)


def test_kenward_roger_with_other_values(sleep: ml.MixedModelResults) -> None:
    # pbkrtest 0.5-2: KRmodcomp(m, rbind(c(0, 1), c(1, 0)), betaH = c(10, 250))
    test = sleep.wald_test("Days = 250, (Intercept) = 10", df_method="kenward-roger")
    assert test.num_df == 2
    assert test.den_df == pytest.approx(16, rel=1e-5)
    assert test.statistic == pytest.approx(11394.5739106, rel=1e-5)
    assert test.p_value == pytest.approx(5.87079246352e-26, rel=1e-3)


def test_satterthwaite_agrees_with_the_table(sleep: ml.MixedModelResults) -> None:
    table = sleep.tidy().set_index("term")
    test = sleep.wald_test("Days = 0")
    assert test.df_method == "satterthwaite"
    assert test.den_df == pytest.approx(table.loc["Days", "df"], rel=1e-12)
    assert test.p_value == pytest.approx(table.loc["Days", "p_value"], rel=1e-8)
    assert "F(1, 17.00) = 45.85" in str(test)


def test_another_part() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(size=300), "g": np.repeat(np.arange(30), 10)})
    frame["y"] = frame["x"] + rng.normal(size=30)[frame["g"]] + rng.normal(size=300) * np.exp(0.4 * frame["x"])
    results = ml.fit("y ~ x + (1 | g)", frame, dispersion="~ x")
    row = results.tidy(component="dispersion").set_index("term").loc["x"]
    test = results.wald_test("x = 0", part="dispersion")
    assert test.statistic == pytest.approx(row["statistic"] ** 2, rel=1e-10)
    with pytest.raises(ml.DataError, match="by chi-square"):
        results.wald_test("x = 0", part="dispersion", df_method="residual")
    with pytest.raises(ml.DataError, match="no part 'zero'"):
        results.wald_test("x = 0", part="zero")
    with pytest.raises(ml.DataError, match="no coefficient 'w'"):
        results.wald_test("w = 0", part="dispersion")


def test_a_robust_covariance(herds: ml.MixedModelResults, sleep: ml.MixedModelResults) -> None:
    rows = np.array([[0, 1, -1, 0], [0, 0, 1, -1]])
    covariance, beta = herds.cov_params(robust="CR1").to_numpy(), herds.params.to_numpy()
    test = herds.wald_test("period[2] = period[3] = period[4]", robust="CR1")
    expected = rows @ beta @ np.linalg.solve(rows @ covariance @ rows.T, rows @ beta)
    assert test.statistic == pytest.approx(expected, rel=1e-9)
    assert test.p_value == pytest.approx(stats.chi2.sf(expected, 2), rel=1e-8)
    assert "robust covariance: CR1" in str(test)
    assert np.isinf(sleep.wald_test("Days = 0", robust="CR0").den_df)
    with pytest.raises(ml.DataError, match="df_method"):
        sleep.wald_test("Days = 0", robust="CR0", df_method="satterthwaite")


def test_no_test_without_a_standard_error() -> None:
    exact = pd.DataFrame({"x": np.arange(12.0), "g": np.repeat(list("abc"), 4)})
    exact["y"] = 1 + 2 * exact["x"]
    results = ml.fit("y ~ x + (1 | g)", exact)
    with pytest.raises(ml.DataError, match=r"no standard error|covariance of the estimates"):
        results.wald_test("x = 0", df_method="normal")


# ---- several tests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "expected"),  # R 4.2.2: p.adjust(c(.01, .02, .03, .04, .2), method)
    [
        ("holm", [0.05, 0.08, 0.09, 0.09, 0.2]),
        ("bonferroni", [0.05, 0.1, 0.15, 0.2, 1.0]),
        ("bh", [0.05, 0.05, 0.05, 0.05, 0.2]),
        ("by", [0.114166666667, 0.114166666667, 0.114166666667, 0.114166666667, 0.456666666667]),
    ],
)
def test_adjusted_as_r(method: str, expected: list[float]) -> None:
    order = np.array([3, 0, 5, 1, 4, 2])
    given = np.array([0.01, 0.02, 0.03, 0.04, 0.2, np.nan])[order]
    np.testing.assert_allclose(adjusted_p_values(given, method), np.array([*expected, np.nan])[order], rtol=1e-11)


def test_adjust_where_tables_are(herds: ml.MixedModelResults) -> None:
    test = herds.wald_test("period[2] = 0, period[3] = 0, period[4] = 0", adjust="Holm")
    np.testing.assert_allclose(test.table["p_adjusted"], adjusted_p_values(test.table["p_value"], "holm"))
    assert list(herds.anova(adjust="bonferroni").columns) == ["chi2", "df", "p_value", "p_adjusted"]
    for call in (herds.anova, herds.drop1, lambda **own: herds.wald_test("period[2]", **own)):
        with pytest.raises(ValueError, match="adjust='tukey' is not known"):
            call(adjust="tukey")
