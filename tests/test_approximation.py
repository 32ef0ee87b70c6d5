"""Doubts about the approximation of a likelihood: a rule whose errors fall slowly, and where nothing can check."""

from __future__ import annotations

import re
import warnings
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_expit, logsumexp

import multilevel as ml
from multilevel.fitting.approximation import doubt
from multilevel.fitting.certificate import QuadratureCheck

if TYPE_CHECKING:
    from multilevel.fitting.parameters import Parts


def binary(seed: int, sd: float) -> pd.DataFrame:
    """Thirty groups of four."""
    r = np.random.default_rng(seed)
    g, x, u = np.repeat(np.arange(30), 4), r.normal(size=120), r.normal(size=30) * sd
    y = (r.random(120) < 1 / (1 + np.exp(-(u[g] + x)))) * 1
    return pd.DataFrame({"y": y, "x": x, "g": g})


def brute_force(data: pd.DataFrame, intercept: float, slope: float, sd: float) -> float:
    """The marginal log-likelihood, by a sum over an equidistant grid of standard normal effects."""
    u = np.linspace(-9, 9, 20001)
    log_density = -0.5 * u**2 - 0.5 * np.log(2 * np.pi) + np.log(u[1] - u[0])
    total = 0.0
    for _, own in data.groupby("g"):
        eta = intercept + slope * own["x"].to_numpy()[:, None] + sd * u
        sign = np.where(own["y"].to_numpy() == 1, 1.0, -1.0)[:, None]
        total += float(logsumexp(log_expit(sign * eta).sum(0) + log_density))
    return total


def fitted(formula: str, data: pd.DataFrame, family: str, points: int | str = 1) -> ml.MixedModelResults:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return ml.fit(formula, data, family, n_quadrature=points)


def doubts(results: ml.MixedModelResults) -> list[str]:
    return [text for category, text in results.fit.verdict.remarks if category is ml.QuadratureWarning]


@pytest.mark.parametrize(("seed", "points"), [(10, 9), (10, 11), (5, 11)])
def test_errors_that_fall_slowly(seed: int, points: int) -> None:
    """With a standard deviation of 30 a rule and one with four points more err alike: the integral tells."""
    data = binary(seed, 12.0)
    results = fitted("y ~ x + (1 | g)", data, "binomial", points)
    check = results.certificate.quadrature
    assert results.status == "not resolved"
    assert np.isnan(results.llf)
    assert check is not None
    assert check.n_points == 4 * points + 1
    exact = brute_force(data, *results.fit.psi)
    reported = float(re.search(r"log-likelihood is (\S+),", results.message)[1])
    assert f"at the same parameters {exact:.6g}:" in results.message
    assert -2 * (exact - reported) > 1
    assert check.change_deviance == pytest.approx(-2 * (exact - reported), rel=0.35)
    fine = fitted("y ~ x + (1 | g)", data, "binomial", "auto")
    assert fine.converged
    assert fine.llf == pytest.approx(brute_force(data, *fine.fit.psi), abs=0.01)
    assert abs(fine.theta.item() / results.theta.item() - 1) > 0.1


def test_ordinary_rules_are_checked_once() -> None:
    data = binary(3, 1.0)
    results = fitted("y ~ x + (1 | g)", data, "binomial", 9)
    check = results.certificate.quadrature
    assert check is not None
    assert check.n_points == 13
    assert not doubts(results)
    assert results.llf == pytest.approx(brute_force(data, *results.fit.psi), abs=2e-4)


@pytest.mark.parametrize(
    ("change", "said"), [(29.0, ""), (-36.0, "changes by -36, which is 1.2 for each of 30 levels")]
)
def test_a_log_likelihood_that_changes_by_much_for_each_group(change: float, said: str) -> None:
    """Whatever the estimates do: here they do not move at all."""
    results = fitted("y ~ x + (1 | g)", binary(3, 1.0), "poisson")
    fit = results.fit
    parts = SimpleNamespace(names=fit.parameter_names, random_cov=fit.random_cov, phi={})
    check = QuadratureCheck(5, change, np.zeros(len(fit.psi)))
    text = doubt(fit.design, fit.family, check, cast("Parts", parts))
    assert said in text
    assert bool(text) is bool(said)


def crossed(sd: float) -> pd.DataFrame:
    """Twenty by ten, one row in each cell."""
    r = np.random.default_rng(5)
    g, h = (own.ravel() for own in np.meshgrid(np.arange(20), np.arange(10)))
    eta = sd * r.normal(size=20)[g] + r.normal(size=10)[h]
    y = (r.random(200) < 1 / (1 + np.exp(-eta))) * 1
    return pd.DataFrame({"y": y, "g": g, "h": h, "size": r.gamma(2.0, np.exp(0.1 * eta))})


def test_nothing_checks_large_crossed_effects() -> None:
    ordinary = fitted("y ~ 1 + (1 | g) + (1 | h)", crossed(1.0), "binomial")
    assert ordinary.certificate.quadrature is None
    assert not doubts(ordinary)
    large = fitted("y ~ 1 + (1 | g) + (1 | h)", crossed(9.0), "binomial")
    assert large.converged
    sd = float(np.sqrt(sum(own.iloc[0, 0] for own in large.random_cov.values())))
    assert sd > 5
    (said,) = doubts(large)
    assert f"random effects add is {sd:.3g} on the scale of the link" in said
    assert "no quadrature that could check it" in said


def test_as_many_crossed_effects_as_rows() -> None:
    data = crossed(1.0).sample(20, random_state=1)
    n_effects = data["g"].nunique() + data["h"].nunique()
    few = fitted("size ~ 1 + (1 | g) + (1 | h)", data, "gamma")
    assert n_effects >= 20
    assert few.converged
    assert doubts(few) == [text for text in doubts(few) if f"{n_effects} random effects and " in text]
    assert len(doubts(few)) == 1
    assert not doubts(fitted("size ~ 1 + (1 | g) + (1 | h)", crossed(1.0), "gamma"))


@pytest.mark.parametrize("family", ["gaussian", "lognormal"])
def test_crossed_effects_within_ranges(family: str) -> None:
    """Ranges that are wide beside the residual say of effects what categories do; narrow ones are numbers."""
    r = np.random.default_rng(3)
    g, h = np.repeat(np.arange(15), 12), np.tile(np.arange(12), 15)
    eta = 2 * r.normal(size=15)[g] + 2 * r.normal(size=12)[h] + 0.2 * r.normal(size=180)

    def doubts_of(width: float) -> list[str]:
        ends = np.stack([np.floor(eta / width), np.floor(eta / width) + 1]) * width
        lower, upper = np.exp(ends) if family == "lognormal" else ends
        data = pd.DataFrame({"lower": lower, "upper": upper, "g": g, "h": h})
        return doubts(fitted("interval(lower, upper) ~ 1 + (1 | g) + (1 | h)", data, family))

    (said,) = doubts_of(3.0)
    assert "of 100% of the responses all that is known is a range wider than" in said
    assert not doubts_of(0.05)
