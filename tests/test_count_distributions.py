"""Distributions of counts by sums of their probabilities: small means one by one, enormous ones in steps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import multilevel as ml
from multilevel.family.distributions import distribution

GENERALIZED = ml.Family("generalized_poisson")


@pytest.mark.parametrize("means", [[0.2, 3.0, 40.0], [0.5, 1e8, 7.0], [1e9, 3e5]])
def test_without_dispersion_they_are_those_of_the_poisson_distribution(means: list[float]) -> None:
    mu = np.array(means)
    ours, poisson = distribution(GENERALIZED, mu, {"dispersion": 1.0}), stats.poisson(mu)
    q = np.random.default_rng(0).uniform(size=(200, len(mu)))
    counts, right = ours.ppf(q), poisson.ppf(q)
    assert counts.shape == q.shape
    small = mu < 1e6
    assert np.array_equal(counts[:, small], right[:, small])
    assert np.abs(counts - right).max() <= 1 + 1e-6 * np.sqrt(mu.max())
    assert ours.cdf(right) == pytest.approx(poisson.cdf(right), abs=5e-7)
    far = mu + np.sqrt(mu) * np.array([[-40.0], [50.0], [1e6]])
    assert ours.cdf(far)[0] == pytest.approx(poisson.cdf(far)[0], abs=1e-12)
    assert ours.cdf(far)[1:] == pytest.approx(np.ones((2, len(mu))), abs=5e-7)


def test_sums_reach_as_far_as_a_tail_does() -> None:
    mu, q = np.array([10.0, 1e5]), np.array([[0.999999], [0.5], [1e-3]])
    law = distribution(GENERALIZED, mu, {"dispersion": 1e4})
    counts = law.ppf(q)
    grid = np.arange(counts[0, 0] + 1)[:, None]
    direct = np.cumsum(law.pmf(grid), axis=0)
    for row, probability in enumerate(q[:, 0]):
        exact = np.argmax(direct[:, 0] >= probability)
        assert abs(counts[row, 0] - exact) <= (exact > 20_000)  # from there on in steps
    below, there = law.cdf(counts - 1), law.cdf(counts)
    assert np.all(below < q + 1e-9)
    assert np.all(there >= q - 1e-9)


def test_numbers_of_trials_as_many_as_there_are() -> None:
    """With a precision of two and a mean of a half all counts are as probable."""
    trials = np.array([5.0, 1e3, 1e6])
    law = distribution(ml.Family("beta_binomial"), np.full(3, 0.5), {"precision": 2.0}, trials)
    counts = np.floor(trials * np.array([[0.0], [0.3], [0.999], [1.0]]))
    assert law.cdf(counts) == pytest.approx((counts + 1) / (trials + 1), abs=1e-6)
    assert law.ppf(np.array(0.25)) == pytest.approx(np.ceil(0.25 * (trials + 1)) - 1, abs=2e-6 * trials.max())


def test_counts_of_random_effects_of_five_are_drawn() -> None:
    """Means up to a million and more: a table of all counts up to them would take a hundred gigabytes."""
    r = np.random.default_rng(3)
    g = np.repeat(np.arange(12), 20)
    mu = np.exp(6 + 5 * r.normal(size=12))[g]
    data = pd.DataFrame({"y": 3 * r.poisson(mu / 3), "g": g})  # three times the variance
    results = ml.fit("y ~ 1 + (1 | g)", data, "generalized_poisson")
    drawn = results.simulate(3, seed=1, random="conditional")
    modes = results.fittedvalues.to_numpy()
    z = (drawn.to_numpy() - modes[:, None]) / np.sqrt(modes)[:, None]
    assert modes.max() > 1e6
    assert abs(z.mean()) < 0.15
    assert z.std() == pytest.approx(np.sqrt(3), rel=0.1)


def test_a_quantile_far_out_is_the_same_among_thousands() -> None:
    """Its own sums go on, from as far as those of the others reach."""
    mu, q = np.full(5_000, 3.0), np.full(5_000, 0.5)
    mu[7], q[7] = 0.01, 1 - 1e-9
    among = distribution(GENERALIZED, mu, {"dispersion": 1e4}).ppf(q)
    alone = distribution(GENERALIZED, mu[7:8], {"dispersion": 1e4})
    assert among[7] == alone.ppf(q[7])[0]
    assert among[7] > 20 * alone.std()[0] + 30
    assert alone.cdf(among[7] - 1)[0] < q[7] <= alone.cdf(among[7])[0] + 1e-12
    assert np.all(among[8:] == distribution(GENERALIZED, 3.0, {"dispersion": 1e4}).ppf(0.5))


@pytest.mark.parametrize("far", [500, 5_000, 60_000])
def test_a_tail_beyond_any_number_of_standard_deviations(far: int) -> None:
    law = distribution(GENERALIZED, np.array([0.01]), {"dispersion": 1e4})
    assert law.cdf(far)[0] == pytest.approx(law.pmf(np.arange(far + 1.0)).sum(), abs=1e-9)
