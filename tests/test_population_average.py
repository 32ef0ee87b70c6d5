"""Marginal coefficients and averages of marginal means, against quadrature in R and written from the definition."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pandas as pd
import pytest

import multilevel as ml

from .reference_files import read_data, read_numbers

EFFECTS = read_numbers("after_the_fit")["effects"]
POINTS = {"agq25": 25, "agq15": 15, "laplace": 1}


def fitted(name: str) -> ml.MixedModelResults:
    own = EFFECTS[name]
    family, link = own["family"].split()
    data = read_data(own["dataset"])
    return ml.fit(own["formula"], data, family, link=link, n_quadrature=POINTS[name.rpartition("_")[2]])


@pytest.mark.parametrize(
    "name",
    [
        "cbpp_logit_agq25",
        "cbpp_probit_agq25",
        "cbpp_cloglog_agq25",
        "contraception_intercept_agq25",
        "contraception_slope_laplace",
        "epil_intercept_agq25",
    ],
)
def test_coefficients(name: str) -> None:
    """Tolerances are the file's, estimates a little wider for what two optimizers leave."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        found = fitted(name).population_average()
    table = EFFECTS[name]["marginal_coefficients"]
    np.testing.assert_allclose(found["estimate"], [row["estimate"] for row in table], rtol=3e-7)
    np.testing.assert_allclose(found["std_error"], [row["se"] for row in table], rtol=1e-5)


def test_averages() -> None:
    results, data = fitted("contraception_intercept_agq25"), read_data("Contraception")
    table = {row["name"]: row for row in EFFECTS["contraception_intercept_agq25"]["integrated"]}
    both = pd.concat([data.assign(urban=own) for own in ("Y", "N")])
    found = results.population_average("mean", both, by="urban")
    assert found.index.name == "urban"
    for own in ("Y", "N"):
        row = table[f"mean P, urban={own}"]
        assert found.loc[own, "estimate"] == pytest.approx(row["estimate"], rel=1e-7)
        assert found.loc[own, "std_error"] == pytest.approx(row["se"], rel=1e-5)
    one = results.population_average("mean")
    assert one.loc["all", "estimate"] == pytest.approx(results.predict(random="marginal").mean(), rel=1e-12)
    halves = results.population_average("mean", by=data["urban"].to_numpy())
    np.testing.assert_allclose(halves["estimate"], results.predict(random="marginal").groupby(data["urban"]).mean())


def test_a_linear_model_is_its_own_average() -> None:
    results = ml.fit("Reaction ~ Days + (Days | Subject)", read_data("sleepstudy"))
    found = results.population_average()
    np.testing.assert_allclose(found["estimate"], results.params, rtol=1e-12)
    np.testing.assert_allclose(found["std_error"], results.bse, rtol=1e-10)


def test_offsets_are_taken_off() -> None:
    """With the log link half the variance goes to the intercept, whatever the offset."""
    rng = np.random.default_rng(1)
    g, t = np.repeat(np.arange(20), 10), rng.uniform(1, 5, 200)
    data = pd.DataFrame({"y": rng.poisson(t * np.exp(0.2 + rng.normal(0, 0.6, 20)[g])), "t": t, "g": g})
    results = ml.fit("y ~ 1 + (1 | g)", data, "poisson", offset="log(t)")
    variance = results.random_cov["g"].iloc[0, 0]
    found = results.population_average()
    assert found["estimate"].iloc[0] == pytest.approx(results.params.iloc[0] + variance / 2, rel=1e-12)


def test_a_zero_part() -> None:
    """Of the mean that the link makes there are coefficients; the average is of the whole response."""
    rng = np.random.default_rng(2)
    g, x = np.repeat(np.arange(30), 10), rng.normal(size=300)
    y = rng.poisson(np.exp(0.8 + 0.4 * x + rng.normal(0, 0.5, 30)[g])) * (rng.uniform(size=300) > 0.3)
    results = ml.fit("y ~ x + (1 | g)", pd.DataFrame({"y": y, "x": x, "g": g}), "poisson", zero_inflation=True)
    half = results.random_cov["g"].iloc[0, 0] / 2
    np.testing.assert_allclose(
        results.population_average()["estimate"], results.params.to_numpy() + np.array([half, 0.0]), rtol=1e-9
    )
    rest = 1 - results.family_parameters()["estimate"].iloc[-1]
    mean = rest * np.exp(results.params.iloc[0] + results.params.iloc[1] * x + half)
    assert results.population_average("mean")["estimate"].iloc[0] == pytest.approx(mean.mean(), rel=1e-9)


def test_a_hundred_thousand_rows() -> None:
    data = read_data("Contraception")
    results = ml.fit("use ~ age + I(age^2) + urban + livch + (1 + urban | district)", data, "binomial")
    many = pd.concat([data] * 52).iloc[:100_000]
    start = time.process_time()
    found = results.population_average("mean", many)
    assert time.process_time() - start < 3.0  # a tenth of a second where nothing else runs
    np.testing.assert_allclose(found, results.population_average("mean", many.iloc[:0:-1]), rtol=1e-3)


def test_what_cannot_be() -> None:
    results = fitted("cbpp_logit_agq25")
    with pytest.raises(ValueError, match="kind='probabilities' is not available"):
        results.population_average("probabilities")
    with pytest.raises(ValueError, match='by= goes with kind="mean"'):
        results.population_average(by=np.zeros(56))
    with pytest.raises(ml.DataError, match="by='herd' is a column of newdata"):
        results.population_average("mean", by="herd")
    with pytest.raises(ml.DataError, match="by has 3 values for 56 rows"):
        results.population_average("mean", by=[1, 2, 3])
    with pytest.raises(ml.DataError, match="rows do not determine the marginal coefficients"):
        results.population_average(newdata={"period": ["1", "1"]})
    with pytest.raises(ml.DataError, match="the mean of row 1 is not known"):
        results.population_average("mean", pd.DataFrame({"period": ["1", None]}))
