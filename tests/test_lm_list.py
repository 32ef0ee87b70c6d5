"""Regressions per group: against nlme's lmList, and against least squares group by group."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.lm_list import LmList, lm_list

from .small_samples import REFERENCE, read

SLEEP = "Reaction ~ Days | Subject"


def wide(fits: LmList, table: pd.DataFrame, column: str, groups: list[str]) -> np.ndarray:
    table = table.assign(level=table["level"].astype(str))
    return table.pivot(index="level", columns="term", values=column).loc[groups, list(fits.terms)].to_numpy()


@pytest.mark.parametrize("key", REFERENCE["lm_list"])
def test_as_nlme(key: str) -> None:
    reference = REFERENCE["lm_list"][key]
    fits, groups = lm_list(reference["formula"], read(reference["dataset"])), reference["groups"]
    pooled, own = fits.table(), fits.table(pool=False)
    coef = fits.coef()
    np.testing.assert_allclose(coef.set_axis(coef.index.astype(str)).loc[groups], reference["coef"], rtol=1e-9)
    assert fits.sigma == pytest.approx(reference["sigma"], rel=1e-10)
    assert fits.df == reference["df"]
    columns = {"std_error": "se", "statistic": "t", "p_value": "p", "conf_low": "lower", "conf_high": "upper"}
    for ours, theirs in columns.items():
        np.testing.assert_allclose(wide(fits, pooled, ours, groups), reference[theirs], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(wide(fits, own, "conf_low", groups), reference["lower_own"], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(wide(fits, own, "conf_high", groups), reference["upper_own"], rtol=1e-8, atol=1e-10)


def test_by_least_squares_group_by_group() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {"g": rng.integers(0, 7, 90), "x": 2000 + rng.normal(size=90), "f": rng.choice(list("abc"), 90)}
    )
    frame["y"], frame["w"], frame["o"] = rng.normal(size=90) + frame["x"], rng.integers(1, 4, 90), rng.normal(size=90)
    fits = lm_list("y ~ x + f + offset(o) | g", frame, weights="w")
    assert fits.terms == ("(Intercept)", "x", "f[b]", "f[c]")
    for group, rows in frame.groupby("g"):
        x = np.column_stack([np.ones(len(rows)), rows["x"], rows["f"] == "b", rows["f"] == "c"]).astype(float)
        root = np.sqrt(rows["w"].to_numpy())[:, None]
        target = (rows["y"] - rows["o"]).to_numpy()
        beta = np.linalg.lstsq(x * root, target * root[:, 0], rcond=None)[0]
        np.testing.assert_allclose(fits.coef().loc[group], beta, rtol=1e-6, atol=1e-8)
        residuals = target - x @ beta
        np.testing.assert_allclose(fits.residuals()[rows.index], residuals, atol=1e-8)
        sigma = np.sqrt((root[:, 0] ** 2 * residuals**2).sum() / (len(rows) - 4))
        assert fits.group_sigma[group] == pytest.approx(sigma, rel=1e-8)
        covariance = np.linalg.inv((x * root).T @ (x * root))
        table = fits.table(pool=False).query("level == @group")
        np.testing.assert_allclose(table["std_error"], sigma * np.sqrt(np.diag(covariance)), rtol=1e-5)
    np.testing.assert_allclose(fits.fittedvalues + fits.residuals(), frame["y"], rtol=1e-12)


def test_the_shape_of_what_it_answers() -> None:
    fits = ml.lm_list(SLEEP, ml.datasets.sleepstudy())
    assert len(fits) == 18
    table = fits.table(level=0.9)
    assert list(table.columns) == [
        *("level", "term", "estimate", "std_error", "df", "statistic", "p_value", "conf_low", "conf_high")
    ]
    assert len(table) == 36
    assert (table["df"] == 144).all()
    intervals = fits.conf_int(level=0.9)
    assert list(intervals.columns) == ["lower", "upper"]
    assert intervals.index.names == ["Subject", "term"]
    np.testing.assert_array_equal(intervals["lower"], table["conf_low"])
    assert (fits.conf_int(0.99)["lower"] < intervals["lower"].to_numpy()).all()
    assert repr(fits) == (
        "<LmList: Reaction ~ Days | Subject, 18 groups, 180 rows, pooled residual SD 25.5918 on 144 degrees of freedom>"
    )
    assert "<table" in fits._repr_html_()
    again = pickle.loads(pickle.dumps(fits))
    pd.testing.assert_frame_equal(again.table(), fits.table())


def test_groups_without_a_regression_are_named() -> None:
    frame = read("sleepstudy").astype({"Subject": str})
    frame.loc[frame["Subject"] == "308", "Days"] = 3  # constant
    frame = frame.drop(frame.index[(frame["Subject"] == "310") & (frame["Days"] > 0)])  # one row
    frame.loc[frame["Subject"] == "330", "Reaction"] = np.nan
    frame = frame.drop(frame.index[(frame["Subject"] == "331") & (frame["Days"] > 1)])  # two rows: no residuals
    with pytest.warns(
        ml.DataWarning, match=r"2 of the 17 levels of 'Subject' .* theirs are NaN: '308', '310'$"
    ) as said:
        fits = lm_list(SLEEP, frame)
    assert said[0].filename == __file__
    assert fits.n_missing == 10
    coef = fits.coef()
    assert coef.loc[["308", "310"]].isna().all(axis=None)
    assert coef.drop(index=["308", "310"]).notna().all(axis=None)
    table = fits.table().set_index(["level", "term"])
    assert table.loc["308"].isna().all(axis=None)
    assert np.isfinite(table.loc[("331", "Days"), "std_error"])  # from the other groups
    assert np.isnan(fits.table(pool=False).set_index(["level", "term"]).loc[("331", "Days"), "std_error"])
    assert fits.df_resid.loc[["308", "310", "331"]].tolist() == [0, 0, 0]
    assert fits.df == 14 * 8
    assert fits.residuals().isna().sum() == 11
    rest = frame[~frame["Subject"].isin(["308", "310", "330"])]
    assert fits.sigma == pytest.approx(lm_list(SLEEP, rest).sigma, rel=1e-12)


def test_rows_in_any_order_and_index() -> None:
    frame = read("sleepstudy")
    shuffled = frame.sample(frac=1, random_state=3)
    fits, other = lm_list(SLEEP, frame), lm_list(SLEEP, shuffled)
    np.testing.assert_allclose(other.coef(), fits.coef(), rtol=1e-10)
    pd.testing.assert_series_equal(other.residuals().sort_index(), fits.residuals(), rtol=1e-8)


def test_an_exact_fit_and_means() -> None:
    frame = pd.DataFrame({"g": ["a", "a", "b", "b"] * 2, "x": [0.0, 1, 0, 1] * 2})
    frame["y"] = 2.0 * frame["x"] + (frame["g"] == "b")
    fits = lm_list("y ~ x | g", frame)
    np.testing.assert_allclose(fits.coef(), [[0, 2], [1, 2]], atol=1e-14)
    assert fits.sigma == pytest.approx(0, abs=1e-14)
    means = lm_list("y ~ 1 | g", frame)
    np.testing.assert_allclose(means.coef()["(Intercept)"], [1, 2])


@pytest.mark.parametrize("formula", ["y ~ x", "y ~ x | g | h", "y ~ x + (1 | g)", "y ~ x || g", "y | g ~ x"])
def test_formulas_of_another_form(formula: str) -> None:
    with pytest.raises(ml.FormulaError, match=r"not of the form 'y ~ x \| g'"):
        lm_list(formula, pd.DataFrame({"y": [1.0, 2, 3], "x": [1.0, 2, 4], "g": [1, 1, 2], "h": [1, 2, 2]}))


def test_refusals() -> None:
    frame = ml.datasets.hsb()
    with pytest.raises(ml.DataError, match=r"'meanses' adds nothing .* within any level of 'school' .*constant there"):
        lm_list("mathach ~ meanses | school", frame)
    with pytest.raises(ml.FormulaError, match="several grouping factors"):
        lm_list("mathach ~ ses | sector/school", frame)
    small = pd.DataFrame({"y": [1.0, 2, 3, 5], "x": [1.0, 2, 4, 5], "g": [1, 1, 2, 2]})
    with pytest.raises(ml.DataError, match=r"as many rows as there are coefficients \(3\); the largest has 2"):
        lm_list("y ~ x + I(x**2) | g", small)
    with pytest.raises(ml.FormulaError, match="formula is a string"):
        lm_list(3, small)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="between 0 and 1"):
        lm_list("y ~ x | g", small).table(level=95)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lm_list("y ~ x | g", small)
