"""The distributions that SciPy or this library has for every family, against the core's density."""

from __future__ import annotations

import numpy as np
import pytest

import multilevel as ml
from multilevel import _core
from multilevel.family.distributions import DISTRIBUTIONS, distribution

from .family_cases import CASES, FAMILIES, Phi, name_of, settings

DISCRETE = ("counts", "trials")
SETTINGS = [(name, phi) for name, link, phi in settings() if link == dict(_core.families())[name][0]]


def test_every_family_has_one() -> None:
    assert set(DISTRIBUTIONS) == set(FAMILIES)


@pytest.mark.parametrize(("name", "phi"), SETTINGS, ids=name_of)
@pytest.mark.parametrize("mean", [0.15, 0.7])
def test_distribution(name: str, phi: Phi, mean: float) -> None:
    family = ml.Family(name)
    own = {p.name: p.natural(value) for p, value in zip(family.parameters, phi, strict=True)}
    all_of = CASES[name].outcomes(mean, phi)
    y, size = all_of.y, all_of.size
    atom = family.support in ("nonnegative", "closed unit")  # a probability of zero
    found = distribution(family, mean, own, size)
    eta = float(family.link_of_mean(np.array([mean]))[0])
    one = np.ones(len(y))
    rows = _core.Family(name, family.link).derivatives(eta * one, y, size * one, one, list(phi))
    log_density = rows["value"] + rows["constant"]
    density = all_of.weight * np.exp(log_density)
    likely = log_density > -200
    own_density = found.logpmf(y) if family.support in DISCRETE else found.logpdf(y)
    np.testing.assert_allclose(own_density[likely], log_density[likely], rtol=1e-9, atol=1e-10)
    sums = np.cumsum(density)
    if family.support not in DISCRETE:  # trapezoids
        ends = (y == 0) | ((y == 1) & (family.support == "closed unit"))
        sums = sums - np.where(atom & ends, 0.0, density / 2)
    cdf = found.cdf(y)
    np.testing.assert_allclose(cdf, sums, atol=1e-10 if family.support in DISCRETE else 1e-5)
    if CASES[name].mean_of_all:
        assert found.mean() == pytest.approx(mean * size, rel=1e-9)
    assert found.mean() == pytest.approx(density @ y, rel=1e-7)
    assert found.var() == pytest.approx(density @ (y - density @ y) ** 2, rel=1e-7)
    for q in (0.03, 0.4, 0.93):
        value = found.ppf(q)
        assert found.cdf(value) >= q - 1e-12
        if family.support in DISCRETE:
            assert value == 0 or found.cdf(value - 1) < q
        elif 0 < value < 1 or family.support != "closed unit":
            assert found.cdf(value) == pytest.approx(max(q, found.cdf(0.0)) if atom else q, abs=1e-9)
    drawn = found.rvs(size=4000, random_state=np.random.default_rng(1))
    assert abs(drawn.mean() - found.mean()) < 4 * found.std() / np.sqrt(4000)


def test_quantiles_of_a_distribution_that_lacks_something() -> None:
    """Underdispersed generalized Poisson counts end and do not quite sum to one: beyond is the largest, no million."""
    family = ml.Family("generalized_poisson")
    found = distribution(family, np.array([0.8, 3.0]), {"dispersion": np.array(0.7)}, np.ones(2))
    mass = found.pmf(np.arange(60.0)[:, None]).sum(axis=0)
    assert (mass < 1.0).any()
    assert (found.ppf(np.full(2, 1.0 - 1e-12)) < 40).all()
    np.testing.assert_array_equal(found.ppf(np.full(2, 0.5)), [1.0, 3.0])
    none = distribution(family, np.array([3.0, 0.1]), {"dispersion": np.array(0.5)}, np.ones(2))
    with pytest.raises(ml.DataError, match=r"no distribution of counts with the mean 0\.1"):
        none.ppf(np.full(2, 0.5))
