"""Tests by fitting again, their power, and pooling of fits to completed data."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.errors import DataError

from .reference_files import FOLDER

REFERENCE = json.loads((FOLDER / "resampling.json").read_text())
GROUPS = {"x": [0, 1] * 60, "g": [k // 6 for k in range(120)]}
PARAMS = {"(Intercept)": 0.0, "x": 0.5, "g: sd__(Intercept)": 0.7}


def test_likelihood_ratio_as_pbkrtest() -> None:
    own, data = REFERENCE["likelihood_ratio"], ml.datasets.sleepstudy()
    small, large = (ml.fit(own[which], data, method="ml") for which in ("small", "large"))
    found = small.compare(large, method="bootstrap", n=1000, seed=1)
    assert found["chi2"].iloc[1] == pytest.approx(own["statistic"], abs=1e-4)  # lme4's optimizer stops there
    p = own["p_value"]
    assert abs(found["p_value"].iloc[1] - p) < 3 * np.sqrt(2 * p * (1 - p) / 1000)
    assert found["note"].iloc[1] == "parametric bootstrap, 1000 replicates, seed 1"
    again = ml.compare(large, small, method="bootstrap", n=1000, seed=1, threads=1)
    assert again["p_value"].iloc[1] == found["p_value"].iloc[1]


def test_likelihood_ratio_of_a_variance() -> None:
    data = ml.datasets.sleepstudy()
    small, large = (
        ml.fit("Reaction ~ Days + (1 | Subject)", data),
        ml.fit("Reaction ~ Days + (1 + Days | Subject)", data),
    )
    found = ml.compare(small, large, method="bootstrap", n=99, seed=1)
    assert found["p_value"].iloc[1] == 0.01  # none of 99 is as large
    with pytest.raises(DataError, match="method='exact' is not available"):
        ml.compare(small, large, method="exact")


def test_power_of_a_test_that_is_known() -> None:
    """In a balanced linear model the estimate of a treatment within groups is normal with a known variance."""
    from scipy.stats import norm

    params = {"(Intercept)": 1.0, "x": 0.4, "g: sd__(Intercept)": 2.0, "sigma": 1.0}
    formula = "~ x + (1 | g)"
    found = ml.power(formula, GROUPS, params=params, test="x", effect=[0.0, 0.4], sizes=[20, 40], n=400, seed=1)
    assert found["size"].tolist() == [20, 20, 40, 40]
    assert found["n_rows"].tolist() == [120, 120, 240, 240]
    error = np.sqrt(4.0 / found["n_rows"])
    z = found["effect"] / error
    expected = norm.cdf(-1.96 + z) + norm.cdf(-1.96 - z)
    assert (np.abs(found["power"] - expected) < 3.5 * found["mc_error"]).all()
    assert (found["conf_low"] < found["power"]).all()
    assert (found["conf_high"] > found["power"]).all()
    lrt = ml.power(formula, GROUPS, params=params, test="x", n=300, seed=1, method="lrt")
    assert lrt["power"].iloc[0] == pytest.approx(expected[1], abs=0.12)


def test_power_of_results_and_early_end() -> None:
    y = ml.simulate("~ x + (1 | g)", GROUPS, "binomial", params=PARAMS, seed=1)[0]
    results = ml.fit("y ~ x + (1 | g)", {**GROUPS, "y": y}, "binomial", n_quadrature=9)
    whole = ml.power(results, test="x", n=300, seed=2, threads=1)
    assert whole.equals(ml.power(results, test="x", n=300, seed=2, threads=2))
    assert whole["effect"].iloc[0] == results.params["x"]
    early = ml.power(results, test="x", effect=0.0, n=1000, seed=2, precision=0.03)
    assert early["n"].iloc[0] < 1000
    assert early["mc_error"].iloc[0] <= 0.03


def test_power_errors() -> None:
    formula, given = "~ x + (1 | g)", {"params": PARAMS, "family": "binomial"}
    with pytest.raises(DataError, match="test='z' is no coefficient"):
        ml.power(formula, GROUPS, test="z", **given)
    with pytest.raises(DataError, match="needs data= and params="):
        ml.power(formula, GROUPS, test="x")
    with pytest.raises(DataError, match="alpha is 5"):
        ml.power(formula, GROUPS, test="x", alpha=5, **given)
    with pytest.raises(DataError, match="sizes has 1"):
        ml.power(formula, GROUPS, test="x", sizes=[1], **given)
    with pytest.raises(DataError, match="precision is 0"):
        ml.power(formula, GROUPS, test="x", precision=0, **given)
    results = ml.fit("Reaction ~ Days + (1 | Subject)", ml.datasets.sleepstudy())
    with pytest.raises(DataError, match="results bring their own"):
        ml.power(results, GROUPS, test="Days")


def test_pool_as_mice() -> None:
    own = REFERENCE["pool"]
    fits = [ml.fit("chl ~ age + bmi", pd.DataFrame(data)) for data in own["data"]]
    found, table = ml.pool(fits), pd.DataFrame(own["table"])
    names = {"std.error": "std_error", "p.value": "p_value", "low": "conf_low", "high": "conf_high"}
    assert found.index.tolist() == table["term"].tolist()
    table = table.set_index("term").drop(columns="df_complete").rename(columns=names)
    assert set(table.columns) == set(found.columns)
    for name in table.columns:
        np.testing.assert_allclose(found[name], table[name], rtol=1e-9, err_msg=name)


def test_pool_without_a_limit_and_its_errors() -> None:
    data = ml.datasets.sleepstudy()
    fits = [ml.fit("Reaction ~ Days + (1 | Subject)", data.assign(Reaction=data["Reaction"] + k)) for k in range(3)]
    found = ml.pool(fits, df_complete=np.inf)
    assert found["df"]["Days"] == pytest.approx(2 / 1e-8)  # nothing varies, as mice has it
    assert found["std_error"]["Days"] == pytest.approx(fits[0].bse["Days"])
    share = 4 / 3 / (4 / 3 + fits[0].bse["(Intercept)"] ** 2)
    assert found["df"]["(Intercept)"] == pytest.approx(2 / share**2)
    with pytest.raises(DataError, match="pool takes two or more fits"):
        ml.pool(fits[:1])
    with pytest.raises(DataError, match="a list of results"):
        ml.pool(fits[0])
    with pytest.raises(DataError, match="fit 1 is not of the model of fit 0"):
        ml.pool([fits[0], ml.fit("Reaction ~ 1 + (1 | Subject)", data)])
    with pytest.raises(DataError, match="level is 95"):
        ml.pool(fits, level=95)
