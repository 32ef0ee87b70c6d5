"""Centring within groups in formulas, and descriptions of how columns vary within groups and between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.errors import DataError, FormulaError

WITHIN = "y ~ within(x, g) + between(x, g) + (1 + within(x, g) | g)"
COLUMNS = "y ~ inside + mean + (1 + inside | g)"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(20)
    g = np.repeat(np.arange(30), rng.integers(3, 9, 30))
    x = 1e3 + rng.normal(size=len(g)) + rng.normal(size=30)[g]
    y = 0.5 * x + rng.normal(size=30)[g] * (x - 1e3) + rng.normal(size=30)[g] + 0.5 * rng.normal(size=len(g))
    frame = pd.DataFrame(
        {"y": y - y.mean(), "x": x, "g": g, "size": (g % 7) * 0.1, "f": np.where(g % 2 == 0, "a", "b")}
    )
    frame["mean"] = frame.groupby("g")["x"].transform("mean")
    frame["inside"] = frame["x"] - frame["mean"]
    return frame


@pytest.fixture(scope="module")
def fit(data: pd.DataFrame) -> Any:
    return ml.fit(WITHIN, data)


# ---- within(x, g), between(x, g) -----------------------------------------------------------------------------------


def test_groups_may_be_made_a_factor(data: pd.DataFrame) -> None:
    columns = ml.MixedModel("y ~ within(x, factor(g)) + (1 | g)", data).fixed_design
    np.testing.assert_allclose(columns["within(x, factor(g))"], data["inside"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("labels", ["numbers", "texts", "categories", "polars"])
def test_columns_are_the_means_of_groups_and_what_is_left(data: pd.DataFrame, labels: str) -> None:
    pl = pytest.importorskip("polars") if labels == "polars" else None
    own: Any = data.copy()
    if labels in ("texts", "categories"):
        own["g"] = [f"group {g}" for g in data["g"]]
        own["g"] = own["g"].astype("category") if labels == "categories" else own["g"]
    columns = ml.MixedModel(WITHIN, own if pl is None else pl.from_pandas(own)).fixed_design
    # the means of numbers far from zero: rounding of a few of their last digits
    np.testing.assert_allclose(columns["within(x, g)"], data["inside"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(columns["between(x, g)"], data["mean"], rtol=1e-15)
    sums = columns["within(x, g)"].groupby(data["g"].to_numpy()).sum()
    assert np.abs(sums).max() < 1e-9


def test_the_published_model_of_high_school_and_beyond(reference_data: Any, reference_numbers: Any) -> None:
    published = reference_numbers("hsb")["published"]  # lme, on columns made beforehand: seven digits
    formula = "mathach ~ between(ses, school) * within(ses, school) + sector * within(ses, school)"
    fit = ml.fit(f"{formula} + (within(ses, school) | school)", reference_data("hsb"))
    assert fit.llf == pytest.approx(published["logLik"], abs=0.005)
    order = ["(Intercept)", "meanses", "cses", "sectorCatholic", "meanses:cses", "cses:sectorCatholic"]
    assert [own["name"] for own in published["fixed"]] == order
    names = [
        *("(Intercept)", "between(ses, school)", "within(ses, school)", "sector[Catholic]"),
        *("between(ses, school):within(ses, school)", "within(ses, school):sector[Catholic]"),
    ]
    assert set(names) == set(fit.params.index)
    # lme stops before the optimum: its estimates are good to five digits, their errors to four
    np.testing.assert_allclose(fit.params[names], [own["estimate"] for own in published["fixed"]], rtol=5e-6)
    np.testing.assert_allclose(fit.bse[names], [own["se"] for own in published["fixed"]], rtol=2e-4)


def test_new_rows_have_the_means_of_the_fit(data: pd.DataFrame, fit: Any) -> None:
    other = ml.fit(COLUMNS, data)
    assert fit.llf == pytest.approx(other.llf, abs=1e-8)
    some = data.iloc[[3, 40, 41]]
    for random in ("conditional", "zero"):
        expected = other.predict(some, random=random)
        np.testing.assert_allclose(fit.predict(some, random=random), expected, atol=1e-7)
        one = fit.predict(some.iloc[[1]], random=random)  # a row does not depend on the rows beside it
        np.testing.assert_array_equal(one, fit.predict(some, random=random).iloc[[1]])


def test_a_row_without_a_value_or_a_group_has_no_prediction(data: pd.DataFrame, fit: Any) -> None:
    some = data.iloc[:3].astype({"g": float})
    some.loc[0, "x"] = np.nan
    some.loc[1, "g"] = np.nan
    assert list(fit.predict(some, random="zero").isna()) == [True, True, False]


def test_groups_that_the_fit_has_not_seen_are_refused(data: pd.DataFrame, fit: Any) -> None:
    new = data.iloc[:4].assign(g=[0, 77, 78, 78])
    with pytest.raises(DataError, match=r"not seen the groups 77, 78, .* make the means a column"):
        fit.predict(new, random="zero")
    with pytest.raises(DataError, match="not seen the group 77,"):
        fit.predict(new.iloc[:2], new_levels="zero")


def test_what_has_no_part_within_groups_is_refused(data: pd.DataFrame) -> None:
    with pytest.raises(FormulaError, match="do not vary within the groups"):
        ml.fit("y ~ within(size, g) + (1 | g)", data)
    with pytest.raises(FormulaError, match="column 'f' holds categories"):
        ml.fit("y ~ within(f, g) + (1 | g)", data)
    with pytest.raises(FormulaError, match=r"for a range write I\(\(x >= a\)"):
        ml.fit("y ~ between(x, 1, 3) + (1 | g)", data)
    with pytest.raises(FormulaError, match=r"the group of within.* is a column"):
        ml.fit("y ~ within(x, 1) + (1 | g)", data)
    days = data.assign(day=pd.Timestamp("2020-01-01") + pd.to_timedelta(data["g"], unit="D"))
    with pytest.raises(FormulaError, match="the group holds neither numbers nor categories"):
        ml.fit("y ~ within(x, day) + (1 | g)", days)
    with pytest.raises(FormulaError, match=r"within\(x, g\) is x less its group's mean"):
        ml.fit("y ~ ave(x, g) + (1 | g)", data)


def test_effects_move_a_row_within_its_group(data: pd.DataFrame, fit: Any) -> None:
    inside = fit.params["within(x, g)"]
    effects = fit.marginal_effects().table
    assert list(effects["column"]) == ["x"]  # the groups are no predictor
    assert effects["estimate"].item() == pytest.approx(inside, rel=1e-6)
    assert fit.comparisons("x").table["estimate"].item() == pytest.approx(inside, rel=1e-6)
    assert fit.marginal_slopes("x").table["estimate"].item() == pytest.approx(inside, rel=1e-6)
    # over the groups, at the mean of x: what is within is that mean less the mean of the groups' means
    means = data.groupby("g")["x"].mean()
    expected = fit.params["(Intercept)"] + inside * (data["x"].mean() - means.mean())
    expected += fit.params["between(x, g)"] * means.mean()
    assert fit.predict(data, random="zero").mean() == pytest.approx(0.0, abs=1.0)
    assert float(fit.fit.design.n_rows) == len(data)
    by_two = ml.fit("y ~ f + within(x, g) + between(x, g) + (1 | g)", data)
    table = by_two.marginal_means("f").table
    own = by_two.params
    expected = own["(Intercept)"] + own["within(x, g)"] * (data["x"].mean() - means.mean())
    expected += own["between(x, g)"] * means.mean()
    np.testing.assert_allclose(table["estimate"], [expected, expected + own["f[b]"]], atol=1e-6)


def test_saved_results_keep_the_means(fit: Any, data: pd.DataFrame, tmp_path: Path) -> None:
    fit.save(tmp_path / "fit.zip")
    loaded = ml.load(tmp_path / "fit.zip")
    np.testing.assert_array_equal(loaded.predict(data.iloc[:5]), fit.predict(data.iloc[:5]))


# ---- describe ------------------------------------------------------------------------------------------------------


def test_describe_is_xtsum(data: pd.DataFrame) -> None:
    own = data.copy()
    own.loc[[2, 9], "size"] = np.nan
    model = ml.MixedModel("y ~ x + size + f + (1 | g)", own)
    found = model.describe()
    columns, levels = found.columns.set_index("column"), found.levels.set_index("column")
    used = own.dropna()
    assert list(columns.index) == ["y", "x", "size", "f"]
    assert list(columns["missing"]) == [0, 0, 2, 0]
    assert list(columns["n"]) == [len(used)] * 4
    for name in ("y", "x", "size"):
        x, of_groups = used[name], used.groupby("g")[name]
        expected = [x.nunique(), x.mean(), x.std(), x.min(), x.max()]
        # the mean of numbers far from zero leaves 1e-10 of their differences
        np.testing.assert_allclose(columns.loc[name, ["distinct", "mean", "sd", "min", "max"]].astype(float), expected)
        overall = np.sqrt(((x - of_groups.transform("mean")) ** 2).sum() / (len(x) - 1))
        parts = levels.loc[name, ["sd_between", "sd_within"]].astype(float)
        np.testing.assert_allclose(parts, [of_groups.mean().std(), overall], rtol=1e-6, atol=1e-12)
        assert levels.loc[name, "varying"] == (of_groups.nunique() > 1).sum()
    assert levels.loc["size", "sd_within"] == 0.0
    assert np.isnan(columns.loc["f", "mean"])
    assert levels.loc["f", "varying"] == 0
    assert not found.notes
    results = model.fit()
    pd.testing.assert_frame_equal(results.describe().columns, found.columns)
    assert "sd_within" in str(found)


def test_a_column_that_should_be_constant_names_the_levels_where_it_is_not(data: pd.DataFrame) -> None:
    own = data.copy()
    row = int(np.flatnonzero(own["g"] == 4)[0])
    own.loc[row, "f"] = "b"
    model = ml.MixedModel("y ~ f + size + (1 | g)", own)
    assert model.describe().notes == ("f is constant in all levels of g but 1: 4",)
    n = int((own["g"] == 4).sum())
    found = model.not_constant("f", "g")
    assert found.to_dict("records") == [{"level": 4, "n": n, "distinct": 2, "values": f"a ({n - 1}), b (1)"}]
    assert model.not_constant("size", "g").empty
    with pytest.raises(DataError, match="no column 'x'; it uses 'y', 'f', 'size'"):
        model.not_constant("x", "g")
    with pytest.raises(DataError, match="no grouping factor 'h'; its grouping factors are 'g'"):
        model.not_constant("f", "h")


def test_describe_without_groups_and_without_data(data: pd.DataFrame, tmp_path: Path) -> None:
    assert ml.MixedModel("y ~ x", data).describe().levels.empty
    fit = ml.fit("y ~ x + (1 | g)", data)
    fit.save(tmp_path / "fit.zip")
    assert ml.load(tmp_path / "fit.zip").describe().columns["missing"].isna().all()


# ---- crosstab ------------------------------------------------------------------------------------------------------


def test_crosstab_counts_the_outcome_by_a_factor(reference_data: Any) -> None:
    pupils = reference_data("hsb")
    table = ml.MixedModel("mathhigh ~ sector + ses + (1 | school)", pupils, family="binomial").crosstab(
        "mathhigh", "sector"
    )
    expected = pd.crosstab(pupils["sector"], pupils["mathhigh"])
    np.testing.assert_array_equal(table.counts, expected)
    np.testing.assert_allclose(table.percent, 100 * expected.div(expected.sum(axis=1), axis=0))
    np.testing.assert_allclose(table.percent.sum(axis=1), 100.0)
    assert list(table.total) == list(expected.sum(axis=1))
    assert f"{expected.iloc[0, 0]} ({table.percent.iloc[0, 0]:.1f}%)" in str(table)


def test_crosstab_of_trials_and_of_ordered_categories(reference_data: Any) -> None:
    cattle = reference_data("cbpp")
    name = "cbind(incidence, size - incidence)"
    table = ml.MixedModel(f"{name} ~ period + (1 | herd)", cattle, family="binomial").crosstab(name, "period")
    sums = cattle.groupby("period", observed=True)[["incidence", "size"]].sum()
    np.testing.assert_array_equal(table.counts["successes"], sums["incidence"])
    np.testing.assert_array_equal(table.total, sums["size"])
    wine = reference_data("wine")
    model = ml.MixedModel("rating ~ temp + (1 | judge)", wine, family="cumulative")
    np.testing.assert_array_equal(model.crosstab("rating", "temp").counts, pd.crosstab(wine["temp"], wine["rating"]))


def test_crosstab_of_what_is_no_table(data: pd.DataFrame) -> None:
    model = ml.MixedModel("y ~ f + (1 | g)", data)
    with pytest.raises(DataError, match=r"'y' has \d+ values, and a table has up to 50; make classes"):
        model.crosstab("y", "f")
    with pytest.raises(DataError, match="uses no column 'z'"):
        model.crosstab("f", "z")
