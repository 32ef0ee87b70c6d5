"""Counts with no more spread than the Poisson's: the size of the negative binomial is at its limit, and only there."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

import multilevel as ml

from .family_cases import drawn
from .test_counts_and_positive import NB, counts, grouped, quietly, tight_counts

LIMIT = "'size' of the negative_binomial family is at its limit, where it is the poisson family"
RANDOM = [
    ("x", 1),
    ("x + (1 | g) + (1 | h)", 1),
    ("x + (1 + x | g) + (1 | h)", 1),
    ("x + (1 | gh)", 1),
    ("x + (1 | gh)", 5),
    ("x + (1 | k/gh)", 3),
]


@pytest.mark.parametrize(("right", "points"), RANDOM)
def test_less_spread_than_the_poisson(right: str, points: int) -> None:
    """Then the maximum is the Poisson's, and the fit says so."""
    data = tight_counts(3)
    data["gh"] = data["g"] * 15 + data["h"]  # levels with two rows or one, which take up all that groups share
    if right == "x":
        data["y"] = np.random.default_rng(1).binomial(20, 1 / (1 + np.exp(-0.2 * data["x"])))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = ml.fit(f"y ~ {right}", data, NB, n_quadrature=points)
    limits = [w for w in caught if LIMIT in str(w.message)]
    assert [w.category for w in limits] == [ml.SingularFitWarning]
    assert limits[0].filename == __file__
    plain = quietly(f"y ~ {right}", data, "poisson", n_quadrature=points)
    assert results.converged
    assert results.family_params == {"size": np.inf}
    assert results.llf == pytest.approx(plain.llf, abs=1e-8)
    np.testing.assert_allclose(results.params, plain.params, rtol=0, atol=1e-4 * float(plain.bse.min()))
    np.testing.assert_allclose(results.bse, plain.bse, rtol=1e-5)
    for group, cov in plain.random_cov.items():
        np.testing.assert_allclose(results.random_cov[group], cov, rtol=1e-5, atol=1e-8)
    assert results.df_model == plain.df_model + 1
    row = results.family_parameters().loc["size"]
    assert row["estimate"] == np.inf
    assert row[["std_error", "conf_low", "conf_high"]].isna().all()
    assert results.tidy().query("effect == 'family'")["estimate"].tolist() == [np.inf]
    assert LIMIT in " ".join(str(results.summary()).split())
    np.testing.assert_allclose(results.residuals("pearson"), plain.residuals("pearson"), atol=1e-5)
    np.testing.assert_allclose(results.residuals("deviance"), plain.residuals("deviance"), atol=1e-5)
    again = pickle.loads(pickle.dumps(results))
    assert again.family_params == {"size": np.inf}
    assert again.warnings == results.warnings


@pytest.mark.parametrize("size", [20.0, 200.0, 2000.0])
@pytest.mark.parametrize("right", ["x", "x + (1 | g)"])
def test_a_large_size_is_found_where_there_is_one(size: float, right: str) -> None:
    """No size is better than the one reported; none is said to be at its limit by mistake."""
    finite = 0
    for seed in range(12):
        data = counts(seed, size)
        data["y"] = drawn(np.random.default_rng([seed, 2]), NB, data["eta"] + 2, phi=(np.log(size),))
        if right == "x":
            data["y"] = drawn(np.random.default_rng([seed, 2]), NB, 3 + 0.4 * data["x"], phi=(np.log(size),))
        results = quietly(f"y ~ {right}", data, NB)
        plain = quietly(f"y ~ {right}", data, "poisson")
        assert results.converged, f"seed {seed}: {results.fit.message}"
        assert results.llf > plain.llf - 1e-8, f"seed {seed}"
        if np.isfinite(results.family_params["size"]):
            finite += 1
            assert results.llf > plain.llf, f"seed {seed}"
            assert not any(LIMIT in text for text in results.warnings)
        for log_size in (1.0, 4.0, 6.0, 9.0):
            other = quietly(f"y ~ {right}", data, NB, start=[*results.fit.psi[:-1], log_size])
            assert other.llf < results.llf + 1e-6, f"seed {seed}, from {log_size}"
    assert finite == 12 if size == 20.0 else finite > 2


def test_a_size_of_two_hundred() -> None:
    data = grouped(1, n=6000)
    data["y"] = drawn(np.random.default_rng(3), NB, data["eta"] + 2, phi=(np.log(200.0),))
    results = ml.fit("y ~ x + (1 | g) + (1 | h)", data, NB)
    (row,) = results.family_parameters().itertuples()
    assert row.conf_low < 200 < row.conf_high
    assert results.llf > quietly("y ~ x + (1 | g) + (1 | h)", data, "poisson").llf + 5


@pytest.mark.parametrize("link", ["log", "identity"])
def test_the_limit_can_be_given_as_a_start(link: str) -> None:
    data = counts(2, 3.0)
    base = quietly("y ~ x", data.assign(x=np.abs(data["x"])), NB, link=link)
    far = quietly("y ~ x", data.assign(x=np.abs(data["x"])), NB, link=link, start=[*base.fit.psi[:-1], 30.0])
    assert far.converged
    assert far.llf == pytest.approx(base.llf, abs=1e-7)
    assert far.family_params["size"] == pytest.approx(base.family_params["size"], rel=1e-5)


def test_a_limit_that_is_no_maximum_is_not_certified() -> None:
    data = counts(2, 3.0)
    base = quietly("y ~ x", data, NB)
    plain = quietly("y ~ x", data, "poisson")
    there = quietly("y ~ x", data, NB, start=[*plain.fit.psi, 30.0], max_iter=0)
    assert there.llf < base.llf - 100
    assert not there.converged
