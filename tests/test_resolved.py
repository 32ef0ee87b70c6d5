"""Rules that do not resolve enormous random effects: what is said, and that "auto" goes on until one does."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

import multilevel as ml
from multilevel.fitting.drawn_integral import by_draws
from multilevel.fitting.one_integral import by_panels
from multilevel.fitting.resolved import integrated


def nearly_constant(n_groups: int, n_mixed: int) -> pd.DataFrame:
    """Groups of five responses, alike but for one of them in a few groups."""
    g = np.repeat(np.arange(n_groups), 5)
    y = g % 2
    y[5 * np.arange(n_mixed)] = 1 - y[5 * np.arange(n_mixed)]
    return pd.DataFrame({"y": y, "g": g})


def fitted(formula: str, data: pd.DataFrame, family: str, **options: object) -> ml.Results:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return ml.fit(formula, data, family=family, **options)


def dense(data: pd.DataFrame, intercept: float, sd: float) -> float:
    """The log-likelihood of y ~ 1 + (1 | g), logit, from a grid of steps of 4e-5 standard deviations."""
    v = np.linspace(-9.0, 9.0, 450_001)
    up, down = special.log_expit(intercept + sd * v), special.log_expit(-intercept - sd * v)
    total = 0.0
    counts = data.groupby("g")["y"].agg(["sum", "size"]).value_counts()
    for (ones, size), times in counts.items():
        log_density = ones * up + (size - ones) * down + stats.norm.logpdf(v)
        top = log_density.max()
        total += times * (top + np.log(integrate.trapezoid(np.exp(log_density - top), v)))
    return float(total)


@pytest.mark.parametrize("points", [9, 15, 25])
def test_no_rule_of_few_points_is_called_a_likelihood(points: int) -> None:
    data = nearly_constant(40, 1)
    with pytest.warns(ml.ConvergenceWarning, match=rf"with {points} quadrature points the log-likelihood is") as caught:
        results = ml.fit("y ~ 1 + (1 | g)", data, family="binomial", n_quadrature=points)
    assert results.status == "not resolved"
    assert not results.converged
    assert np.isnan(results.llf)
    assert results.message in {str(one.message) for one in caught}
    exact = dense(data, results.params.iloc[0], results.fit.theta[0][0, 0])
    assert f"{exact:.6g}: random effects" in results.message


@pytest.mark.parametrize(("n_groups", "n_mixed"), [(40, 2), (40, 8), (400, 40)])
def test_automatic_points_go_on_until_a_rule_is_right(n_groups: int, n_mixed: int) -> None:
    data = nearly_constant(n_groups, n_mixed)
    results = fitted("y ~ 1 + (1 | g)", data, "binomial", n_quadrature="auto")
    intercept, sd = results.params.iloc[0], results.fit.theta[0][0, 0]
    assert results.converged
    assert results.llf == pytest.approx(dense(data, intercept, sd), abs=0.01)
    for factor in (0.5, 0.8, 1.25, 2.0):  # and the likelihood itself has its maximum there
        assert dense(data, intercept, factor * sd) < results.llf


def test_a_small_error_is_a_word_and_no_verdict() -> None:
    data = nearly_constant(40, 8)
    with pytest.warns(ml.QuadratureWarning, match=r"integrated in small steps at the same parameters -64\.80"):
        results = ml.fit("y ~ 1 + (1 | g)", data, family="binomial", n_quadrature=15)
    assert results.converged
    assert results.llf == pytest.approx(-64.741, abs=1e-3)


def test_the_integral_of_other_families() -> None:
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(12), 6)
    x, u = rng.uniform(0.5, 1.5, len(g)), 10.0 * rng.normal(size=12)
    eta = u[g] * x
    data = pd.DataFrame({"x": x, "g": g, "n": rng.poisson(np.exp(np.minimum(eta, 6.0)))})
    data["c"] = (eta + rng.logistic(size=len(g)) > -1).astype(int) + (eta + rng.logistic(size=len(g)) > 1)
    counts = fitted("n ~ 1 + (0 + x | g)", data, "poisson", n_quadrature=25)
    ordered = fitted("c ~ 1 + (0 + x | g)", data, "cumulative", n_quadrature=25)

    def of_counts(row: pd.DataFrame, v: float) -> float:
        mean = np.exp(counts.params.iloc[0] + row["x"] * v * counts.fit.theta[0][0, 0])
        return float(stats.poisson.logpmf(row["n"], mean).sum())

    def of_categories(row: pd.DataFrame, v: float) -> float:
        ends = np.r_[-np.inf, ordered.fit.thresholds[0], np.inf] - (
            row["x"].to_numpy()[:, None] * v * ordered.fit.theta[0][0, 0]
        )
        below, rows = special.expit(ends), np.arange(len(row))
        return float(np.log(below[rows, row["c"] + 1] - below[rows, row["c"]] + 1e-300).sum())

    for results, density in ((counts, of_counts), (ordered, of_categories)):
        total = 0.0
        for level, (_, own) in enumerate(data.groupby("g")):
            mode = results.fit.modes[0][level, 0] / results.fit.theta[0][0, 0]
            top = density(own, mode)
            value, _ = integrate.quad(
                lambda v, own=own, top=top, density=density: np.exp(density(own, v) - top + stats.norm.logpdf(v)),
                -10.0,
                10.0,
                points=[mode],
                limit=500,
                epsabs=0.0,
                epsrel=1e-10,
            )
            total += top + np.log(value)
        assert by_panels(results.fit) == pytest.approx(total, abs=1e-6)


def test_it_is_asked_of_large_effects_alone() -> None:
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(50), 8)
    y = (rng.normal(size=50)[g] + rng.logistic(size=len(g)) > 0).astype(int)
    results = fitted("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": g}), "binomial", n_quadrature=9)
    assert integrated(results.fit) is None
    assert results.converged


def slopes(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(40), 6), rng.normal(size=240)
    u = rng.normal(size=(40, 2)) * 15.0
    y = (u[g, 0] + (0.5 + u[g, 1]) * x + rng.logistic(size=240) > 0).astype(int)
    return pd.DataFrame({"y": y, "x": x, "g": g})


def test_draws_agree_with_panels() -> None:
    results = fitted("y ~ 1 + (1 | g)", nearly_constant(40, 8), "binomial", n_quadrature=25)
    drawn = by_draws(results.fit)
    assert drawn is not None
    value, error = drawn
    assert 0 < error < 0.1
    exact = by_panels(results.fit)
    assert exact is not None
    assert abs(value - exact) < 3 * error


def test_several_effects_by_draws() -> None:
    """Against a sum over an even grid of both standard normal effects, and what is said of a rule that is off."""
    data = slopes(1)
    with pytest.warns(ml.ConvergenceWarning, match=r"5 quadrature points the log-likelihood is -88.0735, and by draws"):
        rough = ml.fit("y ~ x + (1 + x | g)", data, family="binomial", n_quadrature=5)
    assert rough.status == "not resolved"
    drawn = by_draws(rough.fit)
    assert drawn is not None
    v = np.linspace(-6.0, 6.0, 601)
    both = np.stack(np.meshgrid(v, v, indexing="ij")).reshape(2, -1)
    prior = stats.norm.logpdf(both).sum(axis=0) + 2 * np.log(v[1] - v[0])
    effects = rough.fit.theta[0] @ both
    total = 0.0
    for _, own in data.groupby("g"):
        log_density = prior.copy()
        for y, x in zip(own["y"], own["x"], strict=True):
            eta = rough.params.iloc[0] + rough.params.iloc[1] * x + effects[0] + x * effects[1]
            log_density += special.log_expit(eta if y else -eta)
        total += special.logsumexp(log_density)
    assert abs(drawn[0] - total) < 3 * drawn[1]
    fine = fitted("y ~ x + (1 + x | g)", data, "binomial", n_quadrature=25)
    assert fine.converged

    # Of many fits at once no modes are kept: all draws are from the prior, and the error is larger.
    without = by_draws(dataclasses.replace(rough.fit, modes=()))
    assert without is not None
    assert drawn[1] < without[1] < 3 * drawn[1]
    assert abs(without[0] - total) < 3 * without[1]
    many = ml.MixedModel("y ~ x + (1 + x | g)", data, "binomial").fit_many(data[["y"]].to_numpy(), n_quadrature=5)
    assert many["llf"].isna().all()


def test_effects_without_variance_are_drawn_too() -> None:
    rng = np.random.default_rng(4)
    g, x = np.repeat(np.arange(40), 8), rng.normal(size=320)
    y = (8.0 * rng.normal(size=40)[g] + rng.logistic(size=320) > 0).astype(int)
    data = pd.DataFrame({"y": y, "x": x, "g": g})
    results = fitted("y ~ 1 + (1 | g) + (0 + x | g)", data, "binomial", n_quadrature=9)
    alone = fitted("y ~ 1 + (1 | g)", data, "binomial", n_quadrature=9)
    assert results.singular
    drawn, exact = by_draws(results.fit), by_panels(alone.fit)
    assert drawn is not None
    assert exact is not None
    assert abs(drawn[0] - exact) < 3 * drawn[1] + 0.01
