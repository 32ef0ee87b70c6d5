"""Random effects that can reproduce every response: the likelihood has no maximum, and the fit says so."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.fitting.group_separation import constant_factor, reproduces


def constant_groups(n: int = 40, size: int = 5) -> pd.DataFrame:
    g = np.repeat(np.arange(n), size)
    return pd.DataFrame({"y": g % 2, "g": g, "x": np.arange(len(g)) % size})


@pytest.mark.parametrize("points", [1, 15, "auto"])
def test_groups_that_agree_within_themselves(points: int | str) -> None:
    with pytest.warns(ml.SeparationWarning, match="the groups of 'g' separate the responses"):
        results = ml.fit("y ~ 1 + (1 | g)", constant_groups(), "binomial", n_quadrature=points)
    assert not results.converged
    assert results.fit.status == "separation"
    # The supremum is 40 log(1/2) = -27.73, and no rule of so few points comes near it.
    assert np.isnan(results.llf)
    assert np.isnan(results.aic)


def test_trials_count_as_rows_do() -> None:
    data = constant_groups()
    data["n"] = 7
    data["k"] = data["y"] * 7
    with pytest.warns(ml.SeparationWarning, match="the groups of 'g'"):
        results = ml.fit("cbind(k, n - k) ~ 1 + (1 | g)", data, "binomial", link="probit")
    assert not results.converged


def test_one_group_that_does_not_agree_is_enough() -> None:
    data = constant_groups()
    data.loc[[0, 1], "y"] = 1
    model = ml.MixedModel("y ~ 1 + (1 | g)", data, "binomial")
    assert constant_factor(model.design) == ""
    assert reproduces(model.design) is False


def test_effects_that_reproduce_everything_together() -> None:
    # Each group changes from failure to success at a place of its own.
    r = np.random.default_rng(2)
    g = np.repeat(np.arange(12), 8)
    x = np.tile(np.arange(8.0), 12)
    y = (x > r.integers(1, 6, 12)[g]) * 1
    model = ml.MixedModel("y ~ x + (1 | g)", pd.DataFrame({"y": y, "x": x, "g": g}), "binomial")
    assert constant_factor(model.design) == ""
    assert reproduces(model.design)
    with pytest.warns(ml.SeparationWarning, match="together can reproduce every value of 'y'"):
        results = model.fit()
    assert not results.converged


def test_ordinary_data_are_not_asked() -> None:
    r = np.random.default_rng(3)
    g = np.repeat(np.arange(30), 10)
    y = (r.random(300) < 1 / (1 + np.exp(-2 * r.normal(size=30)[g]))) * 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = ml.fit("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": g}), "binomial", n_quadrature=9)
    assert results.converged
    assert not reproduces(results.model.design)


def test_a_link_that_folds_the_mean() -> None:
    r = np.random.default_rng(4)
    g = np.repeat(np.arange(20), 10)
    x = r.normal(size=200)
    data = pd.DataFrame({"y": r.poisson((2 * x + 0.3 * r.normal(size=20)[g]) ** 2), "x": x, "g": g})
    with pytest.warns(ml.ConvergenceWarning, match=r"below zero in \d+ rows and above it in \d+"):
        results = ml.fit("y ~ x + (1 | g)", data, "poisson", link="sqrt")
    assert results.fit.status in ("several maxima", "not converged")
    data["y"] = r.poisson((4 + 0.5 * x + 0.3 * r.normal(size=20)[g]) ** 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ml.fit("y ~ x + (1 | g)", data, "poisson", link="sqrt").converged


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "cauchit"])
def test_columns_that_separate_are_found_with_every_link(link: str) -> None:
    for seed in range(6):
        r = np.random.default_rng(seed)
        g, x, z = np.repeat(np.arange(12), 8), r.normal(size=96), r.normal(size=96)
        k = r.binomial(5, np.where(x > 0.2, 1.0, 0.4))
        data = pd.DataFrame({"k": k, "high": (x > 0.2) * 1, "z": z, "g": g})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ml.FitWarning)
            results = ml.fit("cbind(k, 5 - k) ~ high + z + (1 | g)", data, "binomial", link=link)
        assert results.fit.status == "separation", f"seed {seed}"
        assert "'high'" in results.fit.message
