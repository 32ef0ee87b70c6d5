"""Fits side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import multilevel as ml


@pytest.fixture(scope="module")
def fits() -> list[ml.MixedModelResults]:
    data = ml.datasets.sleepstudy()
    terms = ("Days + (1 | Subject)", "Days + (1 + Days | Subject)", "Days + I(Days ** 2) + (1 | Subject)")
    return [ml.fit(f"Reaction ~ {right}", data) for right in terms]


def test_estimates_and_errors(fits: list[ml.MixedModelResults]) -> None:
    table = ml.table(*fits, names=["a", "b", "c"])
    pd.testing.assert_frame_equal(ml.table(fits, names=["a", "b", "c"]), table)
    assert list(table.columns) == ["a", "b", "c"]
    assert list(table.index)[:4] == [
        ("mean", "(Intercept)"),
        ("mean", "Days"),
        ("mean", "I(Days**2)"),
        ("random", "Subject: sd (Intercept)"),
    ]
    assert table.loc[("mean", "I(Days**2)"), "a"] == ""
    for name, fit in zip(table, fits, strict=True):
        estimate, error = table.loc[("mean", "Days"), name].rstrip(")").split(" (")
        assert float(error) == pytest.approx(fit.bse["Days"], rel=5e-3)
        assert float(estimate) == pytest.approx(fit.params["Days"], abs=fit.bse["Days"] / 100)
        assert float(table.loc[("fit", "REML logLik"), name]) == pytest.approx(fit.llf, abs=5e-3)
        assert float(table.loc[("fit", "AIC"), name]) == pytest.approx(fit.aic, abs=5e-3)
    sd = np.sqrt(fits[1].random_cov["Subject"].loc["Days", "Days"])
    assert float(table.loc[("random", "Subject: sd Days"), "b"].split()[0]) == pytest.approx(sd, rel=5e-3)


def test_intervals_or_nothing(fits: list[ml.MixedModelResults]) -> None:
    cell = ml.table({"one": fits[0]}, error="interval", level=0.9).loc[("mean", "Days"), "one"]
    low, high = (float(end) for end in cell.rstrip("]").split(" [")[1].split(", "))
    assert (low, high) == pytest.approx(tuple(fits[0].conf_int(0.9).loc["Days"]), abs=0.01)
    assert ml.table(fits[0], error=None).loc[("mean", "Days"), "(1)"] == "10.5"


def test_parts_and_dropped_columns() -> None:
    rng = np.random.default_rng(0)
    data = {"y": rng.normal(size=60), "x": rng.normal(size=60)}
    data["twice"] = 2 * data["x"]
    with pytest.warns(ml.RedundantColumnWarning):
        small = ml.fit("y ~ x + twice", data)
    large = ml.fit("y ~ x", data, dispersion="~ x")
    table = ml.table(small, large)
    assert table.loc[("mean", "twice"), "(1)"] == "dropped"
    assert ("dispersion", "x") in table.index
    assert table.loc[("random", "residual sd"), "(2)"] == ""


def test_it_prints_whole(fits: list[ml.MixedModelResults]) -> None:
    text = repr(ml.table(*fits))
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("Subject: sd Days") >= 1
    assert "<table" in ml.table(*fits)._repr_html_()
    plain = ml.table(*fits).reset_index()
    assert "part" in repr(plain)


def test_what_it_takes(fits: list[ml.MixedModelResults]) -> None:
    with pytest.raises(ml.DataError, match="one or more fits"):
        ml.table()
    with pytest.raises(ml.DataError, match="1 different names for 2 fits"):
        ml.table(fits[0], fits[1], names=["a", "a"])
    with pytest.raises(ml.DataError, match="error='sd' is not known"):
        ml.table(fits[0], error="sd")
    with pytest.raises(ml.DataError, match="the mapping has names already"):
        ml.table({"a": fits[0]}, names=["b"])
