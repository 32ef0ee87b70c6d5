"""censored() and interval() on the left-hand side; the densities are in test_censored.py."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import multilevel as ml

from .reference_files import read_data, read_numbers


@pytest.mark.parametrize("key", list(read_numbers("tobit_sim")["fits"]))
def test_tobit(key: str) -> None:
    """Direct adaptive quadrature of another program, with limits as a number, a column and an interval."""
    reference, data = read_numbers("tobit_sim")["fits"][key], read_data("tobit_sim")
    at_limit = data["y"] <= 0
    data = data.assign(
        limit=np.where(at_limit, 0.0, -5.0), low=np.where(at_limit, -np.inf, data["y"]), high=np.maximum(data["y"], 0.0)
    )
    effects = "x" if key.startswith("slope") else "1"
    for response in ("censored(y, left=0)", "censored(y, left=limit)", "interval(low, high)"):
        results = ml.fit(f"{response} ~ x + trt + ({effects} | g)", data, n_quadrature=reference.get("nAGQ") or 1)
        assert results.converged
        assert results.llf == pytest.approx(reference["logLik"], rel=1e-10)
        fixed = pd.DataFrame(reference["fixed"])
        assert (np.abs(results.params.to_numpy() - fixed["estimate"]) / fixed["se"]).max() < 1e-5
        np.testing.assert_allclose(results.bse, fixed["se"], rtol=1e-3)
        assert results.residual_sd == pytest.approx(reference["sigma"], rel=1e-6)
    assert f"Known in part: {at_limit.sum()} of {len(data)} responses" in str(results.summary())


def survival(seed: int) -> pd.DataFrame:
    """Times of which some are cut off, some rounded."""
    r = np.random.default_rng(seed)
    x = r.normal(size=300)
    g = np.repeat(np.arange(30), 10)
    time = np.exp(1 + 0.5 * x + r.normal(0, 0.5, 30)[g]) * r.weibull(1.6, 300)
    return pd.DataFrame({"x": x, "time": time, "end": r.uniform(2, 8, 300), "g": g})


@pytest.mark.parametrize(
    ("family", "log_sf"),
    [
        ("exponential", lambda y, mu, _: stats.expon.logsf(y, scale=mu)),
        ("lognormal", lambda y, mu, s: stats.norm.logsf(np.log(y), np.log(mu) - s**2 / 2, s)),
    ],
)
def test_right_censoring(family: str, log_sf: Any) -> None:
    """Against SciPy's optimizer on the likelihood written out."""
    data = survival(3)
    results = ml.fit("censored(time, right=end) ~ x", data, family)
    known = (data["time"] < data["end"]).to_numpy()
    y, x = np.minimum(data["time"], data["end"]).to_numpy(), data["x"].to_numpy()

    def deviance(psi: np.ndarray) -> float:
        mu, s = np.exp(psi[0] + psi[1] * x), np.exp(psi[-1])
        if family == "exponential":
            density = stats.expon.logpdf(y, scale=mu)
        else:
            density = stats.norm.logpdf(np.log(y), np.log(mu) - s**2 / 2, s) - np.log(y)
        return -float(np.where(known, density, log_sf(y, mu, s)).sum())

    start = [1.0, 0.5] if family == "exponential" else [1.0, 0.5, -0.3]
    best = optimize.minimize(deviance, start, tol=1e-12)
    assert results.llf == pytest.approx(-best.fun, rel=1e-9)
    np.testing.assert_allclose(results.fit.psi, best.x, atol=1e-4)


def test_saved(tmp_path: Path) -> None:
    results = ml.fit("censored(time, right=end) ~ x + (1 | g)", survival(4), "weibull")
    results.save(tmp_path / "fit.ml")
    for other in (ml.load(tmp_path / "fit.ml"), pickle.loads(pickle.dumps(results))):
        assert other.family == results.family
        np.testing.assert_array_equal(other.predict(), results.predict())


@pytest.mark.parametrize(
    ("response", "family", "error", "message"),
    [
        ("censored(time)", "gaussian", ml.FormulaError, "needs a limit"),
        ("censored(time, below=0)", "gaussian", ml.FormulaError, "takes left= and right="),
        ("censored(time, left=0, left=1)", "gaussian", ml.FormulaError, "takes left= and right="),
        ("interval(time)", "gaussian", ml.FormulaError, "two arguments"),
        ("interval(end, time)", "gaussian", ml.DataError, "the lower end comes first"),
        ("censored(time, left=3, right=1)", "gaussian", ml.DataError, "the left limit is 3 and the right one 1"),
        ("censored(time, right=end)", "poisson", ml.DataError, "families that can: gaussian"),
        ("censored(time, left=-1)", "lognormal", None, ""),
    ],
)
def test_refused(response: str, family: str, error: type[Exception] | None, message: str) -> None:
    formula = f"{response} ~ x + (1 | g)"
    if error is None:
        assert ml.fit(formula, survival(5), family).converged
        return
    with pytest.raises(error, match=message):
        ml.fit(formula, survival(5), family)


def test_a_new_response_needs_a_new_model() -> None:
    model = ml.MixedModel("censored(time, right=end) ~ x + (1 | g)", survival(6), "exponential")
    with pytest.raises(ml.DataError, match="make a model of the new response"):
        model.refit(survival(7)["time"])
