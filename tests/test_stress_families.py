"""The plain densities of wider families in benchmarks/stress are their definitions, to the digits of exact ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special, stats
from scipy.integrate import quad
from scipy.optimize import brentq

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
if not (BENCHMARKS / "stress").is_dir():
    pytest.skip("the benchmarks are not beside the tests", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))

from stress.densities import Density  # noqa: E402
from stress.more_densities import density_of_family  # noqa: E402
from stress.parts import density_of  # noqa: E402
from stress.problem import Array, Problem  # noqa: E402


def rows_of(family: str, y: Array, part: str = "", upper: Array | None = None) -> Problem:
    ones = np.ones(len(y))
    size = ones if upper is None else upper
    link = {"gaussian": "identity", "ordered_beta": "logit"}.get(family, "log")
    return Problem(family, link, y, size, ones, 0 * ones, ones[:, None], ("(Intercept)",), (), (), part=part)


def assert_derivatives(density: Any, eta: Array) -> None:
    h = 1e-4
    first, second = density.derivatives(eta)
    up, down = density.value(eta + h), density.value(eta - h)
    np.testing.assert_allclose(first, (up - down) / (2 * h), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(second, (up - 2 * density.value(eta) + down) / h**2, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("nu", [0.2, 1.0, 3.0, 12.0])
def test_conway_maxwell_poisson_counts(nu: float) -> None:
    """lambda^y / (y!)^nu over its sum, with the lambda of a mean."""
    y, eta = np.array([0.0, 0, 1, 2, 5, 9]), np.array([-5.0, -1, 0.3, 0.3, 1.5, 2.0])
    density = density_of_family(rows_of("conway_maxwell_poisson", y), np.array([-np.log(nu)]))
    j = np.arange(2000.0)

    def log_terms(log_rate: float) -> Array:
        return j * log_rate - nu * special.gammaln(j + 1)

    def mean(log_rate: float) -> float:
        return float(special.softmax(log_terms(log_rate)) @ j)

    for row, own in enumerate(density.value(eta)):
        at = brentq(lambda t: mean(t) - np.exp(eta[row]), -8.0, nu * 5.0, xtol=1e-14)  # noqa: B023
        expected = y[row] * at - nu * special.gammaln(y[row] + 1) - special.logsumexp(log_terms(at))
        assert own == pytest.approx(expected, abs=1e-9)
    assert_derivatives(density, eta)


def test_conway_maxwell_poisson_counts_of_almost_one_value() -> None:
    """A large nu leaves two counts, the whole numbers beside the mean: 2 with probability mu - 1, or 3 - mu."""
    off, y = 1e-6, np.array([1.0, 2.0, 2.0, 3.0])
    mu = 2 + off * np.array([-1.0, -1.0, 1.0, 1.0])
    density = density_of_family(rows_of("conway_maxwell_poisson", y), np.array([-np.log(191.0)]))
    first, second = density.derivatives(np.log(mu))
    share, slope = np.array([off, 1 - off, 1 - off, off]), mu * np.array([-1.0, 1.0, -1.0, 1.0])
    np.testing.assert_allclose(density.value(np.log(mu)), np.log(share), atol=1e-8)
    np.testing.assert_allclose(first, slope / share, rtol=1e-8)  # mu has ten digits of what it is off a whole number
    np.testing.assert_allclose(second, slope / share - (slope / share) ** 2, rtol=1e-8)


def test_tweedie_near_poisson() -> None:
    """A power of 1 + 8.3e-7, where the terms of the series are large. From mpmath, with sixty digits."""
    y, mean = np.array([5.03, 4.99, 0.81]), np.array([5.0, 5.0, 0.8])
    density = Density(rows_of("tweedie", y), np.array([-9.5, -14.0]))
    expected = [1.108986499095087, 3.421149097983578, -3.894209944985962]
    np.testing.assert_allclose(density.value(np.log(mean)), expected, atol=1e-9)


def test_ordered_beta_is_a_density() -> None:
    eta, phi = 0.7, np.array([1.2, -1.0, np.log(2.5)])
    ends = density_of_family(rows_of("ordered_beta", np.array([0.0, 1.0])), phi).value(np.full(2, eta))

    def between(y: float) -> float:
        density = density_of_family(rows_of("ordered_beta", np.array([y])), phi)
        return float(np.exp(density.value(np.array([eta]))[0]))

    inside = quad(between, 0.0, 1.0)[0]
    assert np.exp(ends).sum() + inside == pytest.approx(1.0, abs=1e-8)
    assert np.exp(ends[0]) == pytest.approx(1 - special.expit(eta + 1.0))
    y = np.array([0.0, 0.2, 0.9, 1.0])
    assert_derivatives(density_of_family(rows_of("ordered_beta", y), phi), np.array([-1.0, 0.3, 2.0, 0.5]))


@pytest.mark.parametrize("family", ["gaussian", "lognormal", "weibull"])
def test_intervals_have_the_probability_between_their_ends(family: str) -> None:
    low, high = np.array([0.3, 1.2, 4.0]), np.array([0.9, 1.5, np.inf])
    phi, eta = np.array([0.4]), np.array([0.2, 0.8, 1.3])
    own = np.exp(phi[0])
    unit = {
        "gaussian": lambda m: stats.norm(m, own),
        "lognormal": lambda m: stats.lognorm(own, scale=np.exp(m - own**2 / 2)),
        "weibull": lambda m: stats.weibull_min(own, scale=np.exp(m) / special.gamma(1 + 1 / own)),
    }[family](eta)
    density = density_of(rows_of(family, low, "interval", high), phi)
    np.testing.assert_allclose(density.value(eta), np.log(unit.cdf(high) - unit.cdf(low)), rtol=1e-10)
    assert_derivatives(density, eta)
