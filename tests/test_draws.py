"""Random responses of every family and what modifies it, against densities by NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import multilevel as ml
from multilevel.errors import DataError
from multilevel.family.draws import DRAWS, INVERTED, check_weights, draw
from multilevel.prediction.simulate import generator

from .family_cases import CASES, FAMILIES, Array, Phi, name_of, settings
from .modified_cases import Modified, modified_settings

N = 20_000
FEW = 1000  # of families whose draws take long
MOST = 1.95  # of Kolmogorov's statistic times the root of n: passed by one sample in a thousand; the seeds are fixed


def largest_gap(drawn: Array, y: Array, probability: Array) -> float:
    """Between the shares of draws up to each outcome, and its probability."""
    order = np.argsort(y)
    shares = np.searchsorted(np.sort(drawn), y[order], side="right") / len(drawn)
    return float(np.abs(shares - np.cumsum(probability[order])).max())


def test_every_family_is_drawn() -> None:
    assert set(DRAWS) == set(FAMILIES)


@pytest.mark.parametrize(("name", "phi"), sorted({(name, phi) for name, _, phi in settings()}), ids=name_of)
def test_draws_follow_the_density(name: str, phi: Phi) -> None:
    family, mean = ml.Family(name), 0.6
    outcomes, eta = CASES[name].outcomes(mean, phi), ml.Family(name).link_of_mean(np.array([mean]))[0]
    one = np.ones(len(outcomes.y))
    density = np.exp(CASES[name].log_density(family.link, eta * one, outcomes.y, outcomes.size * one, one, phi))
    n = count(name)
    drawn = draw(family, np.full(n, eta), np.array(phi), generator(3, 0), np.full(n, outcomes.size))
    gap = largest_gap(drawn, outcomes.y, density * outcomes.weight)
    assert gap < MOST / np.sqrt(n) + 2e-3  # what trapezoids are off by


def count(name: str) -> int:
    return FEW if name in INVERTED else N


DEFAULT_LINK = [(own, phi) for own, phi in modified_settings() if own.link == ml.Family(own.base).link]


@pytest.mark.parametrize(("modified", "phi"), DEFAULT_LINK, ids=str)
def test_draws_of_modified_families(modified: Modified, phi: Phi) -> None:
    family, mean = modified.family, 0.4
    outcomes = CASES[modified.base].outcomes(mean, phi[: modified.n_base])
    eta = float(ml.Family(modified.base).link_of_mean(np.array([mean]))[0])
    y, weight = outcomes.y, outcomes.weight
    if modified.by == "truncated":
        y, weight = y[y > 0], weight[y > 0]
    elif not (y == 0).any():
        y, weight = np.append(0.0, y), np.append(1.0, weight)
    one = np.ones(len(y))
    density = np.exp(modified.log_density(eta * one, y, outcomes.size * one, one, phi))
    n = count(modified.base)
    drawn = draw(family, np.full(n, eta), np.array(phi), generator(5, 0), np.full(n, outcomes.size))
    assert largest_gap(drawn, y, density * weight) < MOST / np.sqrt(n) + 2e-3


def test_parameters_of_each_row() -> None:
    family, rows = ml.Family("gamma"), np.repeat([0.0, 3.0], N)
    drawn = draw(family, np.log(2.0) * np.ones(2 * N), rows[:, None], generator(1, 0))
    assert drawn[:N].var() == pytest.approx(4.0, rel=0.05)
    assert drawn[N:].var() == pytest.approx(4.0 / np.exp(3.0), rel=0.05)


def test_parameters_at_their_limits() -> None:
    """There a family is another one."""
    rows, eta = np.zeros(N), np.full(N, np.log(2.0))
    for name, variance in (
        ("negative_binomial", 2.0),
        ("negative_binomial_1", 2.0),
        ("student_t", 1.0),
        ("tweedie", 4.0 * 0.5),
    ):
        family = ml.Family(name, "log")
        phi = [np.log(0.5) if own.name == "dispersion" else 0.0 for own in family.parameters]
        phi[-1] = family.parameters[-1].limit
        drawn = draw(family, eta, np.array(phi), generator(1, 0))
        assert drawn.mean() == pytest.approx(2.0, rel=0.05)
        assert drawn.var() == pytest.approx(variance, rel=0.05)
    drawn = draw(ml.Family("beta_binomial"), rows, np.array([np.inf]), generator(1, 0), np.full(N, 8.0))
    assert drawn.var() == pytest.approx(2.0, rel=0.05)


def test_hardly_anything_is_left_by_truncation() -> None:
    family = ml.Family("truncated_poisson")
    drawn = draw(family, np.full(N, np.log(1e-12)), np.zeros(0), generator(1, 0))
    assert (drawn == 1.0).all()  # two has a probability of 5e-13


def test_weights_of_gaussian_rows_are_precisions() -> None:
    drawn = draw(ml.Family("gaussian"), np.zeros(N), np.zeros(1), generator(1, 0), weights=np.full(N, 4.0))
    assert drawn.std() == pytest.approx(0.5, rel=0.02)
    with pytest.raises(DataError, match="Write each row as many times"):
        check_weights(ml.Family("poisson"), np.array([1.0, 2.0]))


def test_a_mean_that_the_family_cannot_have() -> None:
    with pytest.raises(DataError, match=r"mean of row 1 is -0.5.* identity link does not keep means inside"):
        draw(ml.Family("poisson", "identity"), np.array([1.0, -0.5]), np.zeros(0), generator(1, 0))
