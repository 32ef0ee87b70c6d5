"""Random effects that can reproduce every response: the likelihood has no maximum, and the fit says so."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import multilevel as ml
from multilevel.fitting.group_separation import constant_factor, reproduces
from multilevel.fitting.spread import spreads


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
    assert constant_factor(model.design, model.family) == ""
    assert reproduces(model.design, model.family) is False


def test_effects_that_reproduce_everything_together() -> None:
    # Each group changes from failure to success at a place of its own.
    r = np.random.default_rng(2)
    g = np.repeat(np.arange(12), 8)
    x = np.tile(np.arange(8.0), 12)
    y = (x > r.integers(1, 6, 12)[g]) * 1
    model = ml.MixedModel("y ~ x + (1 | g)", pd.DataFrame({"y": y, "x": x, "g": g}), "binomial")
    assert constant_factor(model.design, model.family) == ""
    assert reproduces(model.design, model.family)
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
    assert not reproduces(results.model.design, results.model.family)


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


ORDERED = ["cumulative", "adjacent", "continuation", "reverse_continuation"]


def few_rows(seed: int, agree: bool) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    g = np.repeat(np.arange(8), 4)
    y = r.integers(1, 4, 8)[g] if agree else r.integers(1, 4, 32)
    y[:12] = np.repeat([1, 2, 3], 4) if agree else [1, 2, 3] * 4
    return pd.DataFrame({"y": y, "g": g, "x": r.normal(size=32)})


@pytest.mark.parametrize("family", [*ORDERED, "multinomial"])
def test_categories_are_reproduced_by_groups_that_agree(family: str) -> None:
    levels = {} if family == "multinomial" else {"levels": [1, 2, 3]}
    for agree in (True, False):
        model = ml.MixedModel("y ~ 1 + (1 | g)", few_rows(1, agree), family, **levels)
        assert reproduces(model.design, model.family) is agree
    data = few_rows(1, True)
    data.loc[[0, 1], "y"] = 2  # one group of two kinds
    model = ml.MixedModel("y ~ 1 + (1 | g)", data, family, **levels)
    assert not reproduces(model.design, model.family)
    data["half"] = np.arange(32) // 2  # and its halves agree
    model = ml.MixedModel("y ~ 1 + (1 | g) + (1 | half)", data, family, **levels)
    assert reproduces(model.design, model.family)


@pytest.mark.parametrize("family", [*ORDERED, "multinomial"])
def test_categories_that_groups_reproduce_have_no_maximum(family: str) -> None:
    levels = {} if family == "multinomial" else {"levels": [1, 2, 3]}
    with pytest.warns(ml.SeparationWarning, match="together can reproduce every value of 'y'"):
        results = ml.fit("y ~ x + (1 | g)", few_rows(1, True), family, **levels)
    assert not results.converged


def test_alternatives_are_reproduced_by_slopes_that_differ_between_groups() -> None:
    r = np.random.default_rng(5)
    g = np.repeat(np.arange(6), 12)
    sets = np.repeat(np.arange(24), 3)
    price = r.normal(size=72)
    sign = np.array([1, -1, 1, 1, -1, -1])[g]
    best = pd.Series(sign * price).groupby(sets).transform("max").to_numpy()
    data = pd.DataFrame({"y": (sign * price == best) * 1, "price": price, "g": g, "set": sets})

    def model(data: pd.DataFrame) -> ml.MixedModel:
        return ml.MixedModel("y ~ 0 + price + (0 + price | g)", data, "conditional", choice_set="set")

    assert reproduces(model(data).design, model(data).family)
    with pytest.warns(ml.SeparationWarning, match="together can reproduce every value of 'y'"):
        assert not model(data).fit().converged
    data.loc[:2, "y"] = data.loc[:2, "y"].to_numpy()[[1, 2, 0]]  # one choice is not the best any more
    assert not reproduces(model(data).design, model(data).family)


@pytest.mark.parametrize("part", ["hurdle", "zero_inflation"])
def test_zeros_are_reproduced_by_groups_of_nothing_else(part: str) -> None:
    r = np.random.default_rng(6)
    g = np.repeat(np.arange(20), 6)
    y = np.where(g % 2 == 0, 0, 1 + r.poisson(3, 120))
    data = pd.DataFrame({"y": y, "g": g})
    formula = {part: "~ 1 + (1 | g)"}
    with pytest.warns(ml.SeparationWarning, match="together can reproduce which values of 'y' are zero"):
        results = ml.fit("y ~ 1", data, "poisson", n_quadrature=9, **formula)
    assert not results.converged
    assert reproduces(results.model.design, results.model.family, "zero_probability")
    data.loc[0, "y"] = 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        model = ml.MixedModel("y ~ 1", data, "poisson", **formula)
    assert not reproduces(model.design, model.family, "zero_probability")


@pytest.mark.parametrize(("link", "inverse"), [("logit", stats.logistic.cdf), ("probit", stats.norm.cdf)])
def test_the_spread_is_that_of_all_random_effects(link: str, inverse: Callable[[float], float]) -> None:
    r = np.random.default_rng(8)
    g, h, x = r.integers(0, 15, 300), r.integers(0, 12, 300), r.normal(size=300)
    eta = r.normal(size=15)[g] + (r.normal(size=12)[h]) * x
    data = pd.DataFrame({"y": (r.random(300) < inverse(eta)) * 1, "g": g, "h": h, "x": x})
    results = ml.fit("y ~ x + (1 | g) + (0 + x | h)", data, "binomial", link=link)
    sd, width = spreads(results.model.design, results.model.family, results.fit.random_cov)[""]
    of_g, of_h = (float(own[0, 0]) for own in results.fit.random_cov)
    assert sd == pytest.approx(np.sqrt(of_g + np.mean(x**2) * of_h), rel=1e-12)
    assert inverse(width / 2) == pytest.approx(0.9, abs=1e-12)


def test_many_fits_say_the_same() -> None:
    r = np.random.default_rng(9)
    g, x = np.repeat(np.arange(12), 8), np.tile(np.arange(8.0), 12)
    responses = np.column_stack([x > r.integers(1, 6, 12)[g], r.random(96) < 0.5]) * 1.0
    data = pd.DataFrame({"y": responses[:, 0], "g": g, "x": x})
    model = ml.MixedModel("y ~ x + (1 | g)", data, "binomial")
    many = model.fit_many(responses).groupby("response").first()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        one = [ml.fit("y ~ x + (1 | g)", data.assign(y=y), "binomial") for y in responses.T]
    assert [own.fit.message for own in one] == list(many["message"])
    assert [own.converged for own in one] == list(many["converged"])
    assert one[0].fit.status == "separation"
