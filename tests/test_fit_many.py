"""Many responses of one model, fitted side by side: each as it is fitted alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.errors import DataError

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


def same_as_alone(model: ml.MixedModel, y: pd.DataFrame, **options: object) -> None:
    many = model.fit_many(y, **options)
    for name in y.columns:
        alone = model.refit(y[name], **options)
        rows = many[many["response"] == name].reset_index(drop=True)
        # tidy() has the residual standard deviation before the parts, and under another name
        tidy = pd.DataFrame(alone.tidy())
        for effect in ("fixed", "ran_pars", "dispersion", "zero"):
            own = rows[rows["effect"] == effect]
            other = tidy[(tidy["effect"] == effect) & (tidy["group"] != "Residual")]
            assert own["term"].tolist() == other["term"].tolist()
            np.testing.assert_allclose(own["estimate"], other["estimate"], rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(own["std_error"], other["std_error"], rtol=1e-6, equal_nan=True)
        family = rows[rows["effect"] == "family"]
        if len(family):
            table = alone.family_parameters()
            np.testing.assert_allclose(family["estimate"], table["estimate"], rtol=1e-9)
            np.testing.assert_allclose(family["std_error"], table["std_error"], rtol=1e-6)
        assert rows["llf"].to_numpy() == pytest.approx(alone.llf, rel=1e-12)
        assert bool(rows["converged"].all()) == alone.converged


def test_trials() -> None:
    results = ml.fit(CBPP, ml.datasets.cbpp(), "binomial")
    same_as_alone(results.model, results.simulate(4, seed=1), threads=1)
    same_as_alone(results.model, results.simulate(2, seed=2), n_quadrature=5)


def test_linear_models_with_correlations() -> None:
    results = ml.fit("Reaction ~ Days + (1 + Days | Subject)", ml.datasets.sleepstudy())
    same_as_alone(results.model, results.simulate(3, seed=1))
    same_as_alone(results.model, results.simulate(2, seed=1), method="ml")


def test_least_squares() -> None:
    results = ml.fit("Reaction ~ Days", ml.datasets.sleepstudy())
    same_as_alone(results.model, results.simulate(3, seed=1))


def test_several_factors_and_structures() -> None:
    results = ml.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", ml.datasets.penicillin())
    same_as_alone(results.model, results.simulate(2, seed=1))
    results = ml.fit("Reaction ~ Days + diag(1 + Days | Subject)", ml.datasets.sleepstudy())
    same_as_alone(results.model, results.simulate(2, seed=1))


def test_parts_beside_the_mean() -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.normal(size=300), "g": np.repeat(np.arange(30), 10)})
    params = {"(Intercept)": 1.0, "x": 0.5, "g: sd__(Intercept)": 0.4, "size": 4.0, "zero: (Intercept)": -1.0}
    data["y"] = ml.simulate(
        "~ x + (1 | g)",
        data,
        "negative_binomial",
        zero_inflation="~ x",
        params={**params, "zero: x": 0.5},
        seed=1,
    )[0]
    results = ml.fit("y ~ x + (1 | g)", data, "negative_binomial", zero_inflation="~ x")
    same_as_alone(results.model, results.simulate(2, seed=1))


def test_the_same_bits_for_any_number_of_threads_and_neighbours() -> None:
    results = ml.fit(CBPP, ml.datasets.cbpp(), "binomial")
    y = results.simulate(40, seed=3)
    one, two = (results.model.fit_many(y, threads=threads) for threads in (1, 2))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    few = results.model.fit_many(y[[7, 30]], threads=2)
    pd.testing.assert_frame_equal(few, one[one["response"].isin([7, 30])].reset_index(drop=True), check_exact=True)


def test_a_response_that_fails_speaks_for_itself() -> None:
    results = ml.fit(CBPP, ml.datasets.cbpp(), "binomial")
    y = results.simulate(4, seed=1).astype(float)
    y.iloc[3, 0] = np.nan
    y.iloc[:, 1] = 0.0  # no success anywhere
    y.iloc[0, 2] = -1.0
    found = results.model.fit_many(y).groupby("response")[["converged", "message"]].first()
    assert found["converged"].tolist() == [False, False, False, True]
    assert "not finite" in found["message"][0]
    assert "is zero in all 56 rows" in found["message"][1]
    assert "-1" in found["message"][2]
    assert found["message"][3] == ""


def test_names_of_responses_and_order_of_rows() -> None:
    data = ml.datasets.sleepstudy()
    model = ml.MixedModel("Reaction ~ Days + (1 | Subject)", data)
    y = pd.DataFrame({"a": data["Reaction"], "b": data["Reaction"] ** 2})
    found = model.fit_many(y.sample(frac=1.0, random_state=1))
    assert list(dict.fromkeys(found["response"])) == ["a", "b"]
    assert found["estimate"][1] == pytest.approx(model.fit().params["Days"], rel=1e-9)
    array = model.fit_many(y.to_numpy())
    assert array["response"].tolist() == [0] * 4 + [1] * 4
    np.testing.assert_allclose(array["estimate"], found["estimate"], rtol=1e-12)


def test_bad_input() -> None:
    data = ml.datasets.sleepstudy()
    model = ml.MixedModel("Reaction ~ Days + (1 | Subject)", data)
    with pytest.raises(DataError, match="a column for each response"):
        model.fit_many(data["Reaction"].to_numpy())
    with pytest.raises(DataError, match="y has 3 rows; the model uses 180"):
        model.fit_many(np.ones((3, 2)))
    with pytest.raises(DataError, match="the model has 4 parameters"):
        model.fit_many(data[["Reaction"]], start=[1.0])
    binomial = ml.MixedModel(CBPP, ml.datasets.cbpp(), "binomial")
    with pytest.raises(DataError, match="'auto' is for a single fit"):
        binomial.fit_many(np.zeros((56, 1)), n_quadrature="auto")


@pytest.mark.skipif(sys.platform == "win32", reason="signals work differently there")
def test_interrupt_stops_all_threads() -> None:
    code = """
import numpy as np, multilevel as ml
data = {"y": np.tile([0.0, 1.0, 1.0], 700), "g": np.repeat(np.arange(70), 30)}
model = ml.MixedModel("y ~ 1 + (1 | g)", data, "binomial")
y = np.random.default_rng(1).integers(0, 2, (2100, 3000)).astype(float)
print("ready", flush=True)
try:
    model.fit_many(y, n_quadrature=51, threads=2)
    print("done", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        time.sleep(3.0)  # the columns are checked before
        process.send_signal(signal.SIGINT)
        begin = time.perf_counter()
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert out.strip() == "interrupted", err
    assert time.perf_counter() - begin < 10


def test_points_that_resolve_nothing_are_no_likelihood_in_any_of_many() -> None:
    g = np.repeat(np.arange(40), 5)
    y = g % 2
    y[0] = 1
    model = ml.MixedModel("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": g}), "binomial")
    other = np.random.default_rng(0).integers(0, 2, 200)
    table = model.fit_many(np.column_stack([y, other]), n_quadrature=15)
    first = table[table["response"] == 0]
    assert first["llf"].isna().all()
    assert first["message"].str.contains("with 15 quadrature points the log-likelihood is -32.3201").all()
    assert table[table["response"] == 1]["converged"].all()
