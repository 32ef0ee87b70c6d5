"""Models without a term: against glmmTMB and direct quadrature, and against the same models written as formulas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import multilevel as ml

from .reference_files import read_data, read_numbers

ANOVA = read_numbers("after_the_fit")["anova"]
HERDS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.mark.parametrize(("points", "key"), [(1, "cbpp_lrt_period_laplace"), (25, "cbpp_lrt_period_agq25")])
def test_herds(points: int, key: str) -> None:
    table = ml.fit(HERDS, ml.datasets.cbpp(), family="binomial", n_quadrature=points).drop1()
    reference = ANOVA[key]
    assert list(table.index) == ["<none>", "period"]
    assert table.loc["<none>", "loglik"] == pytest.approx(reference["logLik1"], abs=1e-6)
    row = table.loc["period"]
    assert (row["df"], row["df_diff"], row["note"]) == (2, 3, "")
    assert row["chi2"] == pytest.approx(reference["chisq"], abs=1e-6)
    assert row["p_value"] == pytest.approx(reference["p"], rel=1e-5)
    assert row["aic"] == pytest.approx(-2 * reference["logLik0"] + 4, abs=1e-6)


def test_three_grouping_factors() -> None:
    ticks = read_data("grouseticks")
    ticks["sHEIGHT"] = (ticks["HEIGHT"] - ticks["HEIGHT"].mean()) / ticks["HEIGHT"].std()
    formula = "TICKS ~ YEAR + sHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)"
    table = ml.fit(formula, ticks, family="poisson").drop1(adjust="holm")
    for row in ANOVA["grouseticks_three_re_drop1_laplace"]["drop1"]:
        assert table.loc[row["term"], "df_diff"] == row["df"]
        assert table.loc[row["term"], "chi2"] == pytest.approx(row["chisq"], abs=1e-5)
        assert table.loc[row["term"], "p_value"] == pytest.approx(row["p"], rel=1e-4)
    assert table.loc["YEAR", "p_adjusted"] == pytest.approx(2 * table.loc["YEAR", "p_value"])


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    n, m = 240, 24
    own = pd.DataFrame({"x": rng.normal(size=n), "g": np.repeat(np.arange(m), n // m)})
    own["a"] = pd.Categorical(rng.choice(list("uvw"), n))
    own["b"] = pd.Categorical(rng.choice(list("pq"), n))
    own["y"] = own["x"] + (own["a"] == "v") + rng.normal(size=m)[own["g"]] + rng.normal(size=n)
    own["count"] = rng.poisson(np.exp(0.3 + 0.2 * own["x"] + 0.5 * rng.normal(size=m)[own["g"]]))
    return own


@pytest.mark.parametrize(
    ("formula", "without"),
    [
        ("y ~ a * b + x", {"x": "y ~ a * b", "a:b": "y ~ a + b + x"}),
        ("y ~ 0 + a + b", {"a": "y ~ 0 + b", "b": "y ~ 0 + a"}),  # the other factor takes the intercept's place
        ("y ~ x + x:a", {"x:a": "y ~ x"}),
        ("y ~ poly(x, 2) + b", {"poly(x, 2)": "y ~ b", "b": "y ~ poly(x, 2)"}),
    ],
)
def test_the_same_as_the_formula_without(frame: pd.DataFrame, formula: str, without: dict[str, str]) -> None:
    table = ml.fit(f"{formula} + (1 | g)", frame).drop1()  # by REML: fitted again
    assert list(table.index) == ["<none>", *without]
    for label, smaller in {"<none>": formula, **without}.items():
        expected = ml.fit(f"{smaller} + (1 | g)", frame, method="ml")
        assert table.loc[label, "loglik"] == pytest.approx(expected.llf, abs=1e-7)
        assert table.loc[label, "df"] == expected.df_model
        assert table.loc[label, "aic"] == pytest.approx(expected.aic, abs=1e-7)


def test_wald_are_the_tests_of_type_2(frame: pd.DataFrame) -> None:
    results = ml.fit("y ~ a * b + x + (1 | g)", frame)
    table = results.drop1("wald", df_method="kenward-roger")
    pd.testing.assert_frame_equal(table, results.anova(2, "kenward-roger").loc[["x", "a:b"]])


def test_a_part_beside_the_mean(frame: pd.DataFrame) -> None:
    zeros = frame.assign(count=np.where(np.arange(len(frame)) % 4 == 0, 0, frame["count"]))

    def fit(zero: str) -> ml.MixedModelResults:
        return ml.fit("count ~ x + (1 | g)", zeros, family="poisson", zero_inflation=zero)

    table = fit("~ x + b").drop1(part="zero")
    for label, zero in (("x", "~ b"), ("b", "~ x")):
        assert table.loc[label, "loglik"] == pytest.approx(fit(zero).llf, abs=1e-6)
    with pytest.raises(ml.DataError, match="test='lrt'"):
        fit("~ x").drop1("wald", part="zero")


def test_what_is_refused(frame: pd.DataFrame) -> None:
    results = ml.fit("y ~ x + (1 | g)", frame)
    with pytest.raises(ml.DataError, match="test='score' is not known"):
        results.drop1("score")
    with pytest.raises(ml.DataError, match="goes with test='wald'"):
        results.drop1(df_method="satterthwaite")
    with pytest.raises(ml.DataError, match="no part 'dispersion'"):
        results.drop1(part="dispersion")


def test_a_column_that_is_redundant(frame: pd.DataFrame) -> None:
    twice = frame.assign(z=2 * frame["x"])
    with pytest.warns(ml.RedundantColumnWarning):
        results = ml.fit("y ~ x + z + (1 | g)", twice)
    table = results.drop1()
    assert table.loc[["x", "z"], "df_diff"].tolist() == [0, 0]  # the other takes over
    assert table["p_value"].isna().all()
    assert "combinations of others" in table.loc["z", "note"]
