"""Residuals stay finite and exact where fitted probabilities round to 0 or 1."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import multilevel as ml
from multilevel.prediction import residuals


def at(eta: list[float], y: float, size: float, link: str) -> Any:
    """As much of a fit as residuals need: rows of the same response at these linear predictors."""
    family, predictor, n = ml.Family("binomial", link), np.array(eta), len(eta)
    response = SimpleNamespace(values=np.full(n, y), size=None if size == 1 else np.full(n, size))
    design = SimpleNamespace(response=response, weights=None)
    return SimpleNamespace(
        family=family, eta=predictor, mu=family.mean(predictor), phi={}, row_phi=np.zeros(0), design=design
    )


def test_logit_far_out() -> None:
    """A probability of 1 - exp(-75): the residual of a failure is -exp(37.5), its deviance 2 * 75."""
    eta = np.array([30.0, 40.0, 75.0, 300.0])
    failures, successes = (at([*eta], y, 1, "logit") for y in (0.0, 1.0))
    np.testing.assert_allclose(residuals.pearson(failures), -np.exp(eta / 2), rtol=1e-13)
    np.testing.assert_allclose(residuals.deviance(failures), -np.sqrt(2 * (eta + np.exp(-eta))), rtol=1e-13)
    np.testing.assert_allclose(residuals.pearson(successes), np.exp(-eta / 2), rtol=1e-13)
    np.testing.assert_allclose(residuals.deviance(successes), np.sqrt(2 * np.log1p(np.exp(-eta))), rtol=1e-13)
    few = at([*-eta], 3.0, 10, "logit")
    np.testing.assert_allclose(
        residuals.pearson(few), np.sqrt(10) * (0.3 * np.exp(eta / 2) - 0.7 * np.exp(-eta / 2)), rtol=1e-13
    )
    unit = 0.3 * np.log(0.3) + 0.7 * np.log(0.7) + 0.3 * eta + np.log1p(np.exp(-eta))
    np.testing.assert_allclose(residuals.deviance(few), np.sqrt(20 * unit), rtol=1e-12)


def test_probit_far_out() -> None:
    eta = np.array([4.0, 9.0, 20.0, 30.0])
    failures, successes = (at([*eta], y, 1, "probit") for y in (0.0, 1.0))
    tail = stats.norm.logsf(eta)
    np.testing.assert_allclose(residuals.deviance(failures), -np.sqrt(-2 * tail), rtol=1e-12)
    expected = -np.exp(-tail / 2) * np.sqrt(-np.expm1(tail))
    np.testing.assert_allclose(residuals.pearson(failures), expected, rtol=1e-12)
    np.testing.assert_allclose(residuals.pearson(successes), -1 / expected, rtol=1e-12)
    mirrored = at([*-eta], 1.0, 1, "probit")
    np.testing.assert_allclose(residuals.pearson(mirrored), -expected, rtol=1e-12)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "cauchit", "log"])
@pytest.mark.parametrize(("y", "size"), [(0.0, 1.0), (1.0, 1.0), (0.0, 7.0), (2.0, 7.0), (7.0, 7.0)])
def test_ordinary_rows_are_as_the_definition_says(link: str, y: float, size: float) -> None:
    eta = [-3.0, -1.5, -0.7, -0.2] if link == "log" else [-2.0, -0.5, 0.0, 0.4, 1.3]
    fit = at(eta, y, size, link)
    mu, share = fit.mu, y / size
    np.testing.assert_allclose(
        residuals.pearson(fit), (share - mu) * np.sqrt(size / (mu * (1 - mu))), rtol=1e-11, atol=1e-12
    )
    unit = fit.family.unit_deviance(np.full(len(mu), share), mu, {})
    np.testing.assert_allclose(residuals.deviance(fit), np.sign(share - mu) * np.sqrt(size * unit), rtol=1e-11)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "cauchit", "log"])
def test_logarithms_of_probabilities(link: str) -> None:
    family = ml.Family("binomial", link)
    eta = np.linspace(-8, -0.1 if link == "log" else 3, 40)
    success, failure = family.log_probabilities(eta)
    np.testing.assert_allclose(np.exp(success), family.mean(eta), rtol=1e-12)
    np.testing.assert_allclose(np.exp(success) + np.exp(failure), 1.0, rtol=1e-14)


def test_a_fit_with_a_linear_predictor_of_75() -> None:
    """An offset takes some rows far out; their residuals are finite, and so is Pearson's chi-square."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.normal(size=200), "g": np.repeat(np.arange(20), 10), "o": 0.0})
    data["y"] = (rng.random(200) < 1 / (1 + np.exp(-data["x"]))).astype(int)
    data.loc[[3, 50], "o"] = [75.0, -75.0]
    data.loc[[3, 50], "y"] = [1, 0]
    results = ml.fit("y ~ x + offset(o) + (1 | g)", data, "binomial", n_quadrature=5)
    for kind in ("pearson", "deviance", "response"):
        assert np.isfinite(results.residuals(kind)).all()
    eta = results.predict(kind="link")
    assert results.residuals("pearson")[3] == pytest.approx(np.exp(-eta[3] / 2), rel=1e-10)
    assert results.residuals("deviance")[50] == pytest.approx(-np.sqrt(2 * np.exp(eta[50])), rel=1e-10)
    assert np.isfinite(results.pearson_chi2)
