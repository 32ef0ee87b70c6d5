"""Every family of the registry against its own density: total probability, mean, variance, deviance, link."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from multilevel import _core

Array = NDArray[np.float64]
PAIRS = [(family, link) for family, links in _core.families() for link in links]
TRIALS = 9.0
SIGMA = 0.7


def support(family: str, mean: float) -> tuple[Array, Array]:
    """Values of the response that carry all the probability, and the weight of each in a sum over them."""
    if family == "binomial":
        return np.arange(TRIALS + 1), np.ones(int(TRIALS) + 1)
    if family == "poisson":
        return np.arange(200.0), np.ones(200)
    y = np.linspace(mean - 12 * SIGMA, mean + 12 * SIGMA, 4001)
    return y, np.full(len(y), y[1] - y[0])


@pytest.mark.parametrize(("name", "link"), PAIRS)
@pytest.mark.parametrize("mean", [0.07, 0.4, 0.93])
def test_density_mean_and_variance(name: str, link: str, mean: float) -> None:
    family = _core.Family(name, link)
    eta = float(family.link_of_mean(np.array([mean]))[0])
    assert family.mean(np.array([eta]))[0] == pytest.approx(mean, rel=1e-12)
    y, weight = support(name, mean)
    size = np.full(len(y), TRIALS if name == "binomial" else 1.0)
    phi = [np.log(SIGMA)] if name == "gaussian" else []
    rows = family.derivatives(np.full(len(y), eta), y, size, np.ones(len(y)), phi)
    probability = weight * np.exp(rows["value"] + rows["constant"])
    assert probability.sum() == pytest.approx(1.0, abs=1e-10)
    proportion = y / size
    assert probability @ proportion == pytest.approx(mean, abs=1e-10)
    variance = float(family.variance(np.array([mean]))[0]) * (SIGMA**2 if name == "gaussian" else 1.0)
    assert probability @ (proportion - mean) ** 2 == pytest.approx(variance / size[0], abs=1e-10)
    # The score has mean zero, and its variance is the expected information.
    assert probability @ rows["d1"] == pytest.approx(0.0, abs=1e-9)
    assert probability @ rows["d1"] ** 2 == pytest.approx(rows["expected_information"][0], rel=1e-8)


@pytest.mark.parametrize(("name", "link"), PAIRS)
def test_deviance_is_twice_the_distance_to_the_best_fit(name: str, link: str) -> None:
    family = _core.Family(name, link)
    y, mu = np.array([0.3, 0.6]), np.array([0.5, 0.2])
    one = np.ones(2)
    phi = [0.0] if name == "gaussian" else []
    at = [family.derivatives(family.link_of_mean(mean), y, one, one, phi)["value"] for mean in (y, mu)]
    np.testing.assert_allclose(family.unit_deviance(y, mu), 2 * (at[0] - at[1]), rtol=1e-10)
