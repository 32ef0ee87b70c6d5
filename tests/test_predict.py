"""Predictions for the rows of the fit and for new ones."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import multilevel as ml


@pytest.fixture(scope="module")
def cbpp() -> ml.MixedModelResults:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return ml.fit(formula, ml.datasets.cbpp(), family="binomial")


@pytest.fixture(scope="module")
def sleep() -> ml.MixedModelResults:
    formula = "Reaction ~ Days + (1 + Days | Subject)"
    return ml.fit(formula, ml.datasets.sleepstudy(), family="gaussian", method="ml")


# ---- the rows of the fit -------------------------------------------------------------------------------------------


def test_rows_of_the_fit(cbpp: ml.MixedModelResults) -> None:
    np.testing.assert_allclose(cbpp.predict()[:3], [0.30820764, 0.14174825, 0.12595753], atol=1e-5)
    np.testing.assert_allclose(cbpp.predict(kind="link")[:2], [-0.80851212, -1.80084484], atol=2e-5)
    zero = cbpp.predict(kind="link", random="zero")
    np.testing.assert_allclose(zero[:3], [-1.39853213, -2.39086485, -2.52720420], atol=4e-5)
    pd.testing.assert_series_equal(cbpp.predict(), cbpp.fittedvalues, check_names=False)


def test_slopes(sleep: ml.MixedModelResults) -> None:
    np.testing.assert_allclose(sleep.predict()[:2], [254.220788, 273.763608], atol=1e-3)
    np.testing.assert_allclose(sleep.predict(random="zero")[:2], [251.405105, 261.872391], atol=1e-4)


@pytest.mark.parametrize(
    ("argument", "value"), [("kind", "probabilities"), ("random", "average"), ("new_levels", "guess")]
)
def test_arguments_that_do_not_exist(cbpp: ml.MixedModelResults, argument: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{argument}='{value}' is not available; choose one of"):
        cbpp.predict(**{argument: value})  # type: ignore[arg-type]


# ---- new rows ------------------------------------------------------------------------------------------------------


def test_the_same_rows_as_new_ones(cbpp: ml.MixedModelResults, sleep: ml.MixedModelResults) -> None:
    for results, data in ((cbpp, ml.datasets.cbpp()), (sleep, ml.datasets.sleepstudy())):
        for kind in ("response", "link"):
            for random in ("conditional", "zero"):
                expected = results.predict(kind=kind, random=random)
                new = results.predict(data, kind=kind, random=random)
                pd.testing.assert_series_equal(new, expected, rtol=1e-12)


def test_other_order_other_labels_no_response(sleep: ml.MixedModelResults) -> None:
    data = ml.datasets.sleepstudy().drop(columns="Reaction").iloc[[17, 3, 120]]
    data.index = ["x", "y", "z"]
    data["Subject"] = data["Subject"].astype(str)
    new = sleep.predict(data)
    assert list(new.index) == ["x", "y", "z"]
    np.testing.assert_allclose(new, sleep.predict().iloc[[17, 3, 120]], rtol=1e-12)


def test_frames_of_other_libraries(sleep: ml.MixedModelResults) -> None:
    pl = pytest.importorskip("polars")
    data = ml.datasets.sleepstudy().iloc[[0, 50]]
    frame = pl.DataFrame({"Days": data["Days"].to_numpy(), "Subject": data["Subject"].astype(str).to_list()})
    new = sleep.predict(frame)
    assert list(new.index) == [0, 1]
    np.testing.assert_allclose(new, sleep.predict().iloc[[0, 50]], rtol=1e-12)
    np.testing.assert_allclose(sleep.predict({"Days": [0.0], "Subject": ["308"]}), [sleep.predict()[0]])


def test_zero_random_effects_need_no_grouping_factor(sleep: ml.MixedModelResults) -> None:
    new = sleep.predict(pd.DataFrame({"Days": [0, 10]}), random="zero")
    b = sleep.params
    np.testing.assert_allclose(new, [b["(Intercept)"], b["(Intercept)"] + 10 * b["Days"]])


def test_new_levels(sleep: ml.MixedModelResults) -> None:
    new = pd.DataFrame({"Days": [1, 1], "Subject": ["308", "somebody"]})
    with pytest.raises(ml.DataError, match=r"1 level of 'Subject'.*'somebody'.*new_levels=\"zero\""):
        sleep.predict(new)
    predicted = sleep.predict(new, new_levels="zero")
    np.testing.assert_allclose(predicted[0], sleep.predict()[1])
    np.testing.assert_allclose(predicted[1], sleep.predict(random="zero")[1])
    many = pd.DataFrame({"Days": 1, "Subject": [f"s{k}" for k in range(9)]})
    with pytest.raises(ml.DataError, match=r"9 levels .* 's0', 's1', 's2', 's3', 's4', \.\.\."):
        sleep.predict(many)


def test_missing_inputs_predict_nan(sleep: ml.MixedModelResults) -> None:
    new = pd.DataFrame({"Days": [1, np.nan, 1], "Subject": ["308", "308", None]})
    assert list(sleep.predict(new).isna()) == [False, True, True]
    assert list(sleep.predict(new, random="zero").isna()) == [False, True, False]


def test_missing_column(sleep: ml.MixedModelResults) -> None:
    with pytest.raises(ValueError, match="Days"):
        sleep.predict(pd.DataFrame({"Subject": ["308"]}))


# ---- offsets -------------------------------------------------------------------------------------------------------


@pytest.fixture
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    group = np.repeat([f"g{k}" for k in range(12)], 8)
    t = rng.uniform(1, 5, 96)
    u = np.repeat(rng.normal(0, 0.5, 12), 8)
    return pd.DataFrame({"y": rng.poisson(t * np.exp(0.3 + u)), "t": t, "log_t": np.log(t), "g": group})


def test_offset_in_the_formula(counts: pd.DataFrame) -> None:
    results = ml.fit("y ~ offset(log(t)) + (1 | g)", counts, family="poisson")
    new = counts.iloc[:2].assign(t=[2.0, 4.0])
    one, two = results.predict(new)
    assert math.isclose(two, 2 * one)
    np.testing.assert_allclose(results.predict(kind="link", random="zero"), results.params.iloc[0] + counts["log_t"])


def test_offset_by_name(counts: pd.DataFrame) -> None:
    results = ml.fit("y ~ 1 + (1 | g)", counts, family="poisson", offset="log_t")
    np.testing.assert_allclose(results.predict(counts), results.predict())


def test_offset_as_an_array(counts: pd.DataFrame) -> None:
    results = ml.fit("y ~ 1 + (1 | g)", counts, family="poisson", offset=counts["log_t"].to_numpy())
    with pytest.raises(ml.DataError, match="array as offset="):
        results.predict(counts)
    for offset in (counts["log_t"], "log_t"):
        np.testing.assert_allclose(results.predict(counts, offset=offset), results.predict())
    with pytest.raises(ml.DataError, match="offset has 2 values for 96 rows"):
        results.predict(counts, offset=[1.0, 2.0])
    with pytest.raises(ml.DataError, match="goes with newdata"):
        results.predict(offset=counts["log_t"])
