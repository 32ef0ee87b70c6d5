"""Items of ordered categories with a loading and thresholds each; one trait beside parameters of the family."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import multilevel as ml
from multilevel import _core

FORMULA = "y ~ 0 + rr(0 + item | person, d=1)"
DISCRIMINATION = np.array([1.0, 1.5, 0.8])
DIFFICULTY = np.array([[-1.0, 0.2, 1.0], [-0.5, 0.2, 1.2], [-1.6, -0.8, 0.4]])


def simulated(n: int, seed: int) -> pd.DataFrame:
    """Answers 1 to 4 of persons to three items."""
    rng = np.random.default_rng(seed)
    trait, noise = rng.normal(size=(n, 1)), rng.logistic(size=(n, 3))
    latent = DISCRIMINATION * trait + noise
    data = pd.DataFrame({"person": np.repeat(np.arange(n), 3), "item": np.tile(list("abc"), n)})
    data["y"] = 1 + (latent[:, :, None] > DISCRIMINATION[:, None] * DIFFICULTY).sum(2).ravel()
    data["x"] = rng.normal(size=3 * n)
    return data


@pytest.fixture(scope="module")
def answers() -> pd.DataFrame:
    return simulated(200, 3)


@pytest.fixture(scope="module")
def graded(answers: pd.DataFrame) -> Any:
    return ml.fit(FORMULA, answers, "cumulative", nominal="~ 0 + item", n_quadrature=11)


def probabilities(psi: np.ndarray, trait: np.ndarray) -> np.ndarray:
    """Of the categories of each item, (3, 4, n), from (loadings, thresholds of a, those of b and c less a's)."""
    thresholds = psi[3:].reshape(3, 3) + np.array([[0], [1], [1]]) * psi[3:6]
    above = special.expit(psi[:3, None, None] * trait - thresholds[:, :, None])
    edges = np.concatenate([np.ones((3, 1, len(trait))), above, np.zeros((3, 1, len(trait)))], axis=1)
    return edges[:, :-1] - edges[:, 1:]


def log_likelihoods(data: pd.DataFrame, psi: np.ndarray, trait: np.ndarray) -> np.ndarray:
    """Of the persons' answers at each trait, (n_persons, n)."""
    y = data["y"].to_numpy().reshape(-1, 3) - 1
    return np.log(probabilities(psi, trait)[np.arange(3), y]).sum(1)


def test_a_slope_that_is_put_first_is_searched_with() -> None:
    """The intercept has next to no variance, so that the factor of the covariance is turned on the way."""
    rng = np.random.default_rng(5)
    n, m = 200, 30
    group, item, x = np.repeat(np.arange(n), m), np.tile(np.arange(m) % 5, n), rng.normal(size=n * m)
    eta = (1.5 * rng.normal(size=n)[group] + 0.5) * x + 0.02 * rng.normal(size=n)[group]
    cuts = np.sort(rng.normal(size=(5, 3)) * 1.3, axis=1) + np.arange(3) * 0.2
    y = 1 + ((eta + rng.logistic(size=n * m))[:, None] > cuts[item]).sum(1)
    data = pd.DataFrame({"y": y, "x": x, "one": 1.0, "g": group, "item": np.array(list("abcde"))[item]})
    with pytest.warns(ml.SingularFitWarning):
        usual, turned = (
            ml.fit(f"y ~ x + ({term} | g)", data, "cumulative", nominal="~ item", threads=1)
            for term in ("1 + x", "0 + x + one")
        )
    assert usual.fit.optimization.n_evaluations <= turned.fit.optimization.n_evaluations + 3
    assert usual.llf == pytest.approx(turned.llf, abs=1e-8)
    np.testing.assert_allclose(usual.fit.random_cov[0][::-1, ::-1], turned.fit.random_cov[0], rtol=1e-6)


# ---- the likelihood -----------------------------------------------------------------------------------------------


def test_quadrature_is_the_integral_over_the_trait(answers: pd.DataFrame, graded: Any) -> None:
    trait = np.linspace(-9, 9, 2001)
    log_density = log_likelihoods(answers, graded.fit.psi, trait) - trait**2 / 2 - np.log(2 * np.pi) / 2
    expected = (special.logsumexp(log_density, axis=1) + np.log(trait[1] - trait[0])).sum()
    assert graded.converged
    assert graded.llf == pytest.approx(expected, abs=1e-3)  # what 11 points leave
    model = ml.MixedModel(FORMULA, answers, "cumulative", nominal="~ 0 + item")
    y = answers["y"].to_numpy(float)
    value, gradient, _ = _core.evaluate(model._core, y, graded.fit.psi, 61)
    assert value == pytest.approx(expected, abs=1e-8)
    assert np.abs(gradient).max() < 0.01


TRAIT = [0.9, 0.5, 0.7]  # loadings
MEAN = [0.3, 0.5, 0.2, 0.1]  # of the items, and of x


@pytest.mark.parametrize("points", [1, 7])
@pytest.mark.parametrize(
    ("family", "fixed", "given", "psi"),
    [
        ("cumulative", "0", {"nominal": "~ 0 + item"}, [*TRAIT, -1, 0, 1, 0.1, 0.2, 0.1, -0.1, 0, 0.2]),
        (
            *("cumulative", "0", {"nominal": "~ 0 + item + x"}),
            [*TRAIT, -1, 0, 1, 0.1, 0.2, 0.1, -0.1, 0, 0.2, 0.05, 0.1, 0.1],
        ),
        ("adjacent", "0", {"nominal": "~ 0 + item"}, [*TRAIT, -1, 0, 1, 0.1, 0.2, 0.1, -0.1, 0, 0.2]),
        ("cumulative", "0", {"nominal": "~ x", "link": "cloglog"}, [*TRAIT, -1, 0, 1, 0.1, 0.15, 0.2]),
        ("cumulative", "x", {"thresholds": "equidistant", "link": "probit"}, [0.2, *TRAIT, -0.8, 0.9]),
        ("negative_binomial", "0 + item + x", {}, [*MEAN, *TRAIT, 0.4]),
        ("gaussian", "0 + item + x", {"dispersion": "~ 0 + item", "link": "log"}, [*MEAN, *TRAIT, 0.1, 0.2, -0.1]),
        ("poisson", "0 + item + x", {"zero_inflation": "~ x"}, [*MEAN, *TRAIT, -0.5, 0.3]),
    ],
)
def test_derivatives_are_those_of_the_approximation(
    family: str, fixed: str, given: dict[str, str], psi: list[float], points: int
) -> None:
    """One trait and coefficients of the family's parameters have their own second derivatives."""
    data = simulated(20, 5)
    y = data["y"].to_numpy(float) - (family == "poisson")
    model = ml.MixedModel(f"y ~ {fixed} + rr(0 + item | person, d=1)", data.assign(y=y), family, **given)
    at = np.array(psi, dtype=float)
    value, gradient, hessian = _core.evaluate(model._core, y, at, points)
    assert np.isfinite(value)
    for k, step in enumerate(1e-4 * np.eye(len(at))):
        above, below = (_core.evaluate(model._core, y, at + sign * step, points) for sign in (1, -1))
        # what differences of this step are wrong by
        assert gradient[k] == pytest.approx((above[0] - below[0]) / 2e-4, abs=2e-5)
        np.testing.assert_allclose(hessian[k], (above[1] - below[1]) / 2e-4, atol=1e-4)


def test_what_each_person_adds(answers: pd.DataFrame, graded: Any) -> None:
    """With a second trait that has no loadings all items are random effects: another implementation."""
    some = answers.head(60)
    one, two = (
        ml.MixedModel(f"y ~ 0 + rr(0 + item | person, d={d})", some, "cumulative", nominal="~ 0 + item") for d in (1, 2)
    )
    psi, y = graded.fit.psi, some["y"].to_numpy(float)
    wide = np.r_[psi[:3], 0, 0, psi[3:]]
    found = _core.contributions(one._core, y, psi, 9, True, None, 0, 1)
    other = _core.contributions(two._core, y, wide, 9, True, None, 0, 1)
    np.testing.assert_allclose(found.loglik, other.loglik, rtol=1e-10)
    np.testing.assert_allclose(found.gradient, np.delete(other.gradient, [3, 4], axis=1), atol=1e-9)


@pytest.mark.parametrize("nominal", ["~ 0 + item", "~ 0 + item + x", "~ 0 + item + item:x"])
def test_which_item_is_the_first_does_not_matter(answers: pd.DataFrame, nominal: str) -> None:
    """Thresholds of the others are differences from it, which the search does not have."""
    one, other = (
        ml.fit(FORMULA, answers.assign(item=items), "cumulative", nominal=nominal, n_quadrature=15)
        for items in (answers["item"], answers["item"].map({"a": "c", "b": "a", "c": "b"}))
    )
    assert one.llf == pytest.approx(other.llf, abs=1e-8)
    again = one.model.fit(n_quadrature=15, start=one.fit.psi, max_iter=0)
    assert again.llf == pytest.approx(one.llf, abs=1e-9)
    at, there = one.item_parameters(), other.item_parameters()
    for k, name in enumerate("cab"):
        moved = there.loc[f"item[{name}]"].to_numpy(float)
        np.testing.assert_allclose(at.iloc[k].to_numpy(float), moved, rtol=2e-4, atol=1e-6)


# ---- items --------------------------------------------------------------------------------------------------------


def test_items_are_found_again() -> None:
    results = ml.fit(FORMULA, simulated(1500, 8), "cumulative", nominal="~ 0 + item", n_quadrature=9)
    items = results.item_parameters()
    for true, name in [
        (DISCRIMINATION, "discrimination"),
        *zip(DIFFICULTY.T, [f"difficulty {k}|{k + 1}" for k in (1, 2, 3)], strict=True),
    ]:
        assert (np.abs(items[name] - true) < 3.5 * items[f"{name}_std_error"]).all()


def test_item_parameters(graded: Any) -> None:
    items, psi = graded.item_parameters(), graded.fit.psi
    covariance = graded.fit.covariance
    assert list(items.index) == ["item[a]", "item[b]", "item[c]"]
    np.testing.assert_array_equal(items["discrimination"], psi[:3])

    def difficulty(at: np.ndarray, item: int, k: int) -> float:
        return float((at[3 + k] + (item > 0) * at[3 + 3 * item + k]) / at[item])

    for item in range(3):
        for k in range(3):
            name = f"difficulty {k + 1}|{k + 2}"
            steps = 1e-5 * np.eye(len(psi))
            slope = [(difficulty(psi + s, item, k) - difficulty(psi - s, item, k)) / 2e-5 for s in steps]
            assert items[name].iloc[item] == pytest.approx(difficulty(psi, item, k), rel=1e-12)
            error = np.sqrt(np.array(slope) @ covariance @ slope)
            assert items[f"{name}_std_error"].iloc[item] == pytest.approx(error, rel=1e-7)


def test_curves_of_categories(graded: Any) -> None:
    trait = np.array([-1.5, 0.0, 0.7])
    curves = graded.item_curves(trait)
    expected = probabilities(graded.fit.psi, trait)
    slope = (probabilities(graded.fit.psi, trait + 1e-5) - probabilities(graded.fit.psi, trait - 1e-5)) / 2e-5
    found = curves[["P(1)", "P(2)", "P(3)", "P(4)"]].to_numpy().reshape(3, 3, 4)
    np.testing.assert_allclose(found, expected.transpose(0, 2, 1), rtol=1e-10)
    np.testing.assert_allclose(curves["mean"], (expected * np.arange(1, 5)[:, None]).sum(1).ravel(), rtol=1e-12)
    np.testing.assert_allclose(curves["information"], (slope**2 / expected).sum(1).ravel(), rtol=1e-8)


def test_items_that_share_their_thresholds(answers: pd.DataFrame) -> None:
    """Thresholds and a place of each item."""
    results = ml.fit("y ~ item + rr(0 + item | person, d=1)", answers, "cumulative", n_quadrature=7)
    items, psi = results.item_parameters(), results.fit.psi
    apart = items["difficulty 2|3"] * items["discrimination"] - items["difficulty 1|2"] * items["discrimination"]
    np.testing.assert_allclose(apart, results.params_of("thresholds").iloc[1] - results.params_of("thresholds").iloc[0])
    assert items["difficulty 1|2"].iloc[1] == pytest.approx(
        (results.params_of("thresholds").iloc[0] - psi[0]) / items["discrimination"].iloc[1], rel=1e-12
    )


def test_abilities(answers: pd.DataFrame, graded: Any) -> None:
    trait = np.linspace(-9, 9, 2001)
    log_posterior = log_likelihoods(answers, graded.fit.psi, trait) - trait**2 / 2
    share = np.exp(log_posterior - log_posterior.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    found = graded.abilities()
    np.testing.assert_allclose(found["mean"], share @ trait, atol=1e-8)
    np.testing.assert_allclose(found["sd"], np.sqrt(share @ trait**2 - (share @ trait) ** 2), atol=1e-8)


# ---- what is said and refused -------------------------------------------------------------------------------------


def test_an_item_with_fewer_categories_is_refused(answers: pd.DataFrame) -> None:
    fewer = answers.assign(y=np.where(answers["item"] == "b", np.minimum(answers["y"], 3), answers["y"]))
    with pytest.raises(ml.DataError, match=r"'item\[b\]' has no response in category '4'"):
        ml.MixedModel(FORMULA, fewer, "cumulative", nominal="~ 0 + item")
    shared = ml.fit("y ~ item + rr(0 + item | person, d=1)", fewer, "cumulative", n_quadrature=7)
    assert shared.converged


def test_one_discrimination_is_refused(answers: pd.DataFrame) -> None:
    results = ml.fit("y ~ item + (1 | person)", answers, "cumulative", n_quadrature=5)
    with pytest.raises(ml.DataError, match="items of ordered categories need loadings"):
        results.item_parameters()
    assert np.isfinite(results.abilities()["mean"]).all()


def test_the_laplace_solution_is_said_to_be_none(answers: pd.DataFrame) -> None:
    """Its maximum is a loading of 115, 15 above what the integral is anywhere."""
    with pytest.warns(ml.SeparationWarning, match="no approximation of the likelihood resolves where they end"):
        results = ml.fit(FORMULA, answers, "cumulative", nominal="~ 0 + item")
    assert not results.converged
