"""Cumulative probabilities of every family, modified ones too: against sums and integrals of the densities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate

import multilevel as ml
from multilevel.family.cumulative import interval, zero_probability

EVERY = [
    (name, zero)
    for name in ml.families()["family"]
    for zero in ("", "inflation", "hurdle")
    if (not zero or zero in ml.Family(name).modifiers)
    and ml.Family(name).support not in ("categories", "choices")  # they have no distribution around a mean
]
TRIALS = 7.0
RANGE = {"numbers": -np.inf, "positive": 0.0, "nonnegative": 0.0, "open unit": 0.0, "closed unit": 0.0}


def density(family: ml.Family, y: np.ndarray, eta: float, phi: np.ndarray) -> np.ndarray:
    one = np.ones(len(y))
    found = family._core.derivatives(eta * one, y, TRIALS * one, one, phi)
    return np.exp(found["value"] + found["constant"])


def parameters(family: ml.Family) -> np.ndarray:
    """Ordinary ones; the zero part has a probability of 0.31."""
    return np.array([-0.8 if own.name == "zero_probability" else 0.4 for own in family.parameters])


def eta_of(family: ml.Family) -> float:
    return float(family.link_of_mean([0.4 if family.support in ("trials", "open unit", "closed unit") else 1.7])[0])


@pytest.mark.parametrize(("name", "zero"), EVERY)
def test_sums_and_integrals(name: str, zero: str) -> None:
    family = ml.Family(name, zero=zero)
    phi, eta = parameters(family), eta_of(family)
    if family.support in ("counts", "positive counts", "trials"):
        grid = np.arange(1.0 if family.support == "positive counts" else 0.0, 8.0)
        y = grid
        to = np.cumsum(density(family, grid, eta, phi))
        below = np.append(0.0, to[:-1])
    else:
        y = np.array([0.2, 0.55, 0.9]) if "unit" in family.support else np.array([0.3, 1.4, 4.0])
        at_zero = family.zero != "" or family.has_own_zeros or family.support == "closed unit"
        mass = density(family, np.zeros(1), eta, phi)[0] if at_zero else 0.0
        start = RANGE[family.support]

        def one(t: float) -> float:
            return float(density(family, np.array([t]), eta, phi)[0])

        to = mass + np.array([integrate.quad(one, start, end, epsabs=1e-11, limit=200)[0] for end in y])
        below = to
    n = len(y)
    found = interval(family, np.full(n, eta), phi, y, size=np.full(n, TRIALS))
    np.testing.assert_allclose(found.to, to, atol=2e-8)
    np.testing.assert_allclose(found.below, below, atol=2e-8)
    np.testing.assert_allclose(found.above, 1 - found.to, atol=1e-12)
    np.testing.assert_allclose(found.above_below, 1 - found.below, atol=1e-12)


def zero_is_special(name: str, zero: str) -> bool:
    family = ml.Family(name, zero=zero)
    return family.takes_zeros and family.support != "numbers"


@pytest.mark.parametrize(("name", "zero"), [own for own in EVERY if zero_is_special(*own)])
def test_zeros(name: str, zero: str) -> None:
    family = ml.Family(name, zero=zero)
    phi, eta = parameters(family), eta_of(family)
    found = zero_probability(family, np.array([eta]), phi, np.array([TRIALS]))
    np.testing.assert_allclose(found, density(family, np.zeros(1), eta, phi), rtol=1e-10)


def test_ends_of_the_unit_interval() -> None:
    family = ml.Family("ordered_beta")
    phi, y = parameters(family), np.array([0.0, 1.0])
    found = interval(family, np.full(2, 0.3), phi, y)
    mass = density(family, y, 0.3, phi)
    np.testing.assert_allclose(found.to - found.below, mass, rtol=1e-9)
    assert (found.below[0], found.to[1]) == (0.0, 1.0)


def test_rows_at_the_limit_of_a_parameter() -> None:
    """A size that is infinite in some rows: these are Poisson's."""
    family, y = ml.Family("negative_binomial"), np.array([2.0, 2.0, 3.0])
    phi = np.array([[35.0], [0.4], [35.0]])
    found = interval(family, np.full(3, 1.0), phi, y)
    poisson = interval(ml.Family("poisson"), np.full(3, 1.0), np.empty(0), y)
    own = interval(family, np.full(1, 1.0), np.array([0.4]), np.array([2.0]))
    np.testing.assert_allclose(found.to, [poisson.to[0], own.to[0], poisson.to[2]], rtol=1e-12)


def test_censored() -> None:
    """Below a limit, known, above a limit, between two."""
    family = ml.Family("gaussian", censored=True)
    y, end = np.array([0.0, 0.5, 1.0, -1.0]), np.array([-np.inf, 0.5, np.inf, 2.0])
    found = interval(family, np.zeros(4), np.zeros(1), y, other_end=end)
    low, high = np.array([-np.inf, 0.5, 1.0, -1.0]), np.array([0.0, 0.5, np.inf, 2.0])
    plain = ml.Family("gaussian")
    for ends, probabilities in ((low, found.below), (high, found.to)):
        np.testing.assert_allclose(
            probabilities, interval(plain, np.zeros(4), np.zeros(1), ends).to, rtol=1e-14, atol=1e-300
        )


def test_weights_divide_variances_of_numbers_only() -> None:
    y, weights = np.array([0.7, 0.7]), np.array([1.0, 4.0])
    found = interval(ml.Family("student_t"), np.zeros(2), np.array([0.0, 1.0]), y, weights=weights)
    half = interval(ml.Family("student_t"), np.zeros(1), np.array([-np.log(2.0), 1.0]), y[:1])
    np.testing.assert_allclose(found.to[1], half.to[0], rtol=1e-13)
    counted = interval(ml.Family("gamma"), np.zeros(2), np.zeros(1), y, weights=weights)
    assert counted.to[0] == counted.to[1]
