"""Responses that the model reproduces: the coefficients are there, nothing is certified, and the message says why."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

import multilevel as ml


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=120), "g": np.repeat(np.arange(20), 6), "t": np.tile(np.arange(6), 20)})
    frame["w"], frame["o"], frame["c"] = rng.uniform(1, 2, 120), rng.normal(size=120), 3.0
    frame["half"] = 0.5 * frame["x"]
    frame["line"] = 1.0 + frame["half"] + frame["o"]
    frame["mean"] = np.exp(0.2 + 0.3 * frame["x"])
    frame["groups"] = frame["half"] + rng.normal(size=20)[frame["g"]]
    return frame


def caught(formula: str, data: pd.DataFrame, **options: Any) -> tuple[ml.MixedModelResults, list[str]]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        results = ml.fit(formula, data, **options)
    return results, [f"{warning.category.__name__}: {warning.message}" for warning in seen]


@pytest.mark.parametrize(
    ("formula", "options", "beta"),
    [
        ("half ~ x", {}, [0.0, 0.5]),
        ("half ~ x", {"weights": "w"}, [0.0, 0.5]),
        ("half ~ x + (1 | g)", {}, [0.0, 0.5]),
        ("half ~ x + (1 + x | g)", {"method": "ml"}, [0.0, 0.5]),
        ("half ~ x + ar1(0 + t | g) + (1 | t)", {}, [0.0, 0.5]),
        ("line ~ x + I(2 * x)", {"offset": "o"}, [1.0, 0.5]),
        ("line ~ x + o", {}, [1.0, 0.5, 1.0]),
        ("mean ~ x", {"link": "log"}, [0.2, 0.3]),
        ("c ~ x + (1 | g)", {}, [3.0, 0.0]),
        ("c ~ x", {"link": "log"}, [np.log(3.0), 0.0]),
    ],
)
def test_the_coefficients_of_an_exact_fit(
    data: pd.DataFrame, formula: str, options: dict[str, Any], beta: list[float]
) -> None:
    results, messages = caught(formula, data, **options)
    np.testing.assert_allclose(results.params, beta, atol=1e-14)
    assert results.family_params == {"sigma": 0.0}
    assert not results.converged
    assert results.llf == np.inf
    assert results.bse.isna().all()
    response = formula.split(" ")[0]
    start = f"'{response}' is 3 in all 120 rows" if response == "c" else f"the model fits '{response}' exactly"
    assert results.fit.message == (
        f"{start}: the residual standard deviation goes to zero and the likelihood has no maximum; "
        "the coefficients are those of least squares, and they have no standard errors"
    )
    assert f"ConvergenceWarning: {results.fit.message}" in messages
    np.testing.assert_allclose(results.fittedvalues, data[response], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(results.predict(data, random="zero"), data[response], rtol=1e-12, atol=1e-13)
    for covariance in results.random_cov.values():
        assert not covariance.to_numpy().any()
    assert "NOT CONVERGED: " in str(results.summary())
    assert results.residuals("response").abs().max() < 1e-13


def test_tests_that_need_a_covariance_are_refused(data: pd.DataFrame) -> None:
    results, _ = caught("half ~ x + (1 | g)", data)
    for method in ("satterthwaite", "kenward-roger"):
        for call in (results.degrees_of_freedom, results.anova):
            with pytest.raises(
                ml.DataError, match=rf"df_method='{method}' needs the covariance .* \(the model fits 'half'"
            ):
                call(**{"method" if call == results.degrees_of_freedom else "df_method": method})
    assert results.anova()["p_value"].isna().all()


def test_random_effects_that_leave_no_residuals(data: pd.DataFrame) -> None:
    """Groups with a line of their own: found on the way, so that the estimates are those of the search."""
    for method in ("reml", "ml"):
        results, messages = caught("groups ~ x + (1 | g)", data, method=method)
        assert not results.converged
        assert "the model fits 'groups' exactly: the residual standard deviation goes to zero" in messages[0]
        assert results.params["x"] == pytest.approx(0.5, abs=1e-7)
        assert results.family_params["sigma"] < 1e-5


@pytest.mark.parametrize(
    ("seed", "formula"),
    [(seed, f) for seed in range(3) for f in ("y ~ x + ar1(0 + t | g)", "y ~ x + ar1(0 + t | g) + (1 | g)")],
)
def test_a_series_without_noise(data: pd.DataFrame, seed: int, formula: str) -> None:
    """Where the residual variance runs to zero, that is said, not that other parameters are not identified."""
    rng = np.random.default_rng(seed)
    x, half = rng.normal(size=120), np.linalg.cholesky(0.6 ** abs(np.subtract.outer(np.arange(6), np.arange(6))))
    y = 0.5 * x + (rng.normal(size=(20, 6)) @ half.T).ravel()
    results, messages = caught(formula, data.assign(x=x, y=y))
    if results.family_params["sigma"] > 0.01 * y.std():
        assert results.converged  # sampling leaves some residuals
        assert not messages
        return
    text = "; ".join(messages)
    assert "the residual standard deviation goes to zero" in text
    assert "now; around the fixed part 'y' has" in text
    assert "not identified" not in text
    assert "no step raises" not in text
    assert not results.converged


@pytest.mark.parametrize("term", ["ar1(0 + t | g)", "cs(0 + factor(t) | g)", "rr(0 + factor(t) | g, d=1)", "(1 | g)"])
@pytest.mark.parametrize("seed", [1, 7, 22, 38])
def test_what_leaves_nothing_is_never_certified(term: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    g, t = np.repeat(np.arange(15), 4), np.tile(np.arange(4), 15)
    x = rng.normal(size=60)
    results, messages = caught(
        f"y ~ x + {term}", pd.DataFrame({"y": 0.5 * x + rng.normal(size=15)[g], "x": x, "g": g, "t": t})
    )
    assert not results.converged
    assert "the residual standard deviation goes to zero" in results.fit.message
    assert f"ConvergenceWarning: {results.fit.message}" in messages
    assert results.params["x"] == pytest.approx(0.5, abs=1e-4)


def test_small_residuals_are_none_of_this(data: pd.DataFrame) -> None:
    """Residuals a thousandth of the spread of groups, or a millionth of what a predictor explains, are residuals."""
    noise = np.random.default_rng(5).normal(size=120)
    for y in (data["groups"] + 1e-3 * noise, 1e6 * data["x"] + data["groups"] + noise):
        results, messages = caught("y ~ x + (1 | g)", data.assign(y=y))
        assert results.converged
        assert not messages
        assert results.family_params["sigma"] == pytest.approx(noise.std() * (1e-3 if y.std() < 10 else 1.0), rel=0.2)


@pytest.mark.parametrize("log_sigma", [-7.0, -13.0])
def test_a_residual_that_vanishes_leaves_no_rounding(log_sigma: float) -> None:
    """Seven effects for six rows of a group, and residuals of 1e-3 and 2e-6: the likelihood hardly depends on them."""
    rng = np.random.default_rng(3)
    groups, times = 12, 6
    walks = rng.normal(size=(groups, 1)) + np.cumsum(rng.normal(size=(groups, times)), 1)
    data = pd.DataFrame(
        {"g": np.repeat(np.arange(groups), times), "t": np.tile(np.arange(times), groups), "y": walks.ravel()}
    )
    model = ml.MixedModel("y ~ 1 + (1 | g) + ar1(0 + t | g)", data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = model.fit(method="ml", start=[0.0, 0.5, 2.0, 1.1, log_sigma], max_iter=0).fit
    mean, sd, walk, rho, _ = fit.psi
    lags = np.abs(np.subtract.outer(np.arange(times), np.arange(times)))

    def dense(by: float) -> float:
        one = sd**2 + walk**2 * np.tanh(rho) ** lags + np.exp(2 * (fit.psi[-1] + by)) * np.eye(times)
        return float(multivariate_normal(np.full(times, mean), one).logpdf(walks).sum())

    assert abs(dense(0.0) - fit.loglik) < 2e-6
    curvature = dense(0.5) - 2 * dense(0.0) + dense(-0.5)
    assert abs(fit.hessian[-1, -1] - 4 * curvature) < 0.05
