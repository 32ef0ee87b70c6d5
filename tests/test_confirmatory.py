"""Confirmatory factors: which items load on which, and their correlations; against sums and closed forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special
from scipy.stats import multivariate_normal

import multilevel as ml
from multilevel import _core
from multilevel.fitting import covariance

ITEMS = ["i1", "i2", "i3", "i4", "i5", "i6"]
PATTERN = "confirmatory math=111000 verbal=001111"
TERM = "cfa(0 + item | person, math = i1 + i2 + i3, verbal = i3 + i4 + i5 + i6)"
LOADINGS = np.array([[-1.2, 0], [-0.9, 0], [-0.7, 0.4], [0, 1.1], [0, -0.8], [0, 1.3]])


def simulated(n: int, seed: int) -> pd.DataFrame:
    """Rows of persons and items; `z` has residuals that differ from item to item, `y` is a count."""
    rng = np.random.default_rng(seed)
    factors = rng.multivariate_normal([0, 0], [[1, -0.5], [-0.5, 1]], size=n)
    eta = np.array([0.5, 0.1, -0.3, 0.2, 0.6, -0.4]) + factors @ LOADINGS.T
    data = pd.DataFrame({"person": np.repeat(np.arange(n), 6), "item": np.tile(ITEMS, n)})
    data["z"] = (eta + rng.normal(size=(n, 6)) * [0.5, 1.0, 0.7, 0.9, 0.6, 0.8]).ravel()
    data["y"] = rng.poisson(np.exp(0.5 * eta)).ravel()
    return data


@pytest.fixture(scope="module")
def gaussian() -> Any:
    return ml.fit(f"z ~ 0 + item + {TERM}", simulated(250, 3), dispersion="~ 0 + item")


# ---- the structure ------------------------------------------------------------------------------------------------


def closed_form(loads: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Loadings times the correlations of the factors times loadings."""
    d, n = len(loads), int(loads.sum())
    half = np.eye(d)
    half[np.tril_indices(d, -1)] = theta[n:]
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    loadings = np.zeros(loads.shape)
    loadings[loads] = theta[:n]
    return loadings.T @ half @ half.T @ loadings


@pytest.mark.parametrize("rows", [["1110", "0111"], ["01100", "11011", "10111"], ["111"]])
def test_covariance_and_its_derivatives(rows: list[str]) -> None:
    """With an item on a later factor first, so that entries stand above the diagonal too."""
    structure = "confirmatory " + " ".join(f"f{k}={row}" for k, row in enumerate(rows))
    loads, q = np.array([[letter == "1" for letter in row] for row in rows]), len(rows[0])
    core = _core.Structure(structure, q)
    theta = np.random.default_rng(1).normal(size=core.n_theta)
    assert core.n_theta == loads.sum() + len(rows) * (len(rows) - 1) // 2
    half = core.factor(theta)
    np.testing.assert_allclose(half @ half.T, closed_form(loads, theta), rtol=1e-13, atol=1e-14)
    slopes = covariance.jacobian(structure, theta, q)
    for own, step in zip(slopes, 1e-6 * np.eye(len(theta)), strict=True):
        difference = (closed_form(loads, theta + step) - closed_form(loads, theta - step)) / 2e-6
        np.testing.assert_allclose(own, difference, atol=1e-8)  # what differences of this step are wrong by
    correlations, by_c = covariance.factor_correlations(structure, theta, q)
    assert np.diag(correlations) == pytest.approx(1.0, abs=1e-15)
    for k, own in enumerate(by_c, start=int(loads.sum())):
        step = 1e-6 * np.eye(len(theta))[k]
        above, below = (covariance.factor_correlations(structure, theta + s, q)[0] for s in (step, -step))
        np.testing.assert_allclose(own, (above - below) / 2e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["confirmatory", "confirmatory a", "confirmatory a=12", "confirmatory a=11 b=1"])
def test_what_is_no_pattern_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown covariance structure"):
        _core.Structure(name, 2)


# ---- the likelihood -----------------------------------------------------------------------------------------------


PSI = np.array([0.3, 0.1, -0.2, 0.4, 0.0, 0.2, 0.5, 0.3, -0.2, 0.3, 0.4, 0.2, -0.4, 0.6])


def test_quadrature_is_the_integral_over_the_factors() -> None:
    data = simulated(12, 2)
    model = ml.MixedModel(f"y ~ 0 + item + {TERM}", data, "poisson")
    y = data["y"].to_numpy(float)
    value, gradient, hessian = _core.evaluate(model._core, y, PSI, 13)
    loadings = np.zeros((6, 2))
    loadings[:3, 0], loadings[2:, 1] = PSI[6:9], PSI[9:13]
    r = PSI[13] / np.hypot(PSI[13], 1)
    nodes, weights = special.roots_hermitenorm(40)
    first, second = (own.ravel() for own in np.meshgrid(nodes, nodes, indexing="ij"))
    grid = np.stack([first, r * first + np.sqrt(1 - r**2) * second], 1)
    log_weight = np.log(np.outer(weights, weights).ravel() / (2 * np.pi))
    eta = PSI[:6, None] + loadings @ grid.T
    log_density = (y.reshape(12, 6, 1) * eta - np.exp(eta) - special.gammaln(y.reshape(12, 6, 1) + 1)).sum(1)
    assert value == pytest.approx(special.logsumexp(log_density + log_weight, axis=1).sum(), abs=1e-6)
    for k, step in enumerate(1e-4 * np.eye(len(PSI))):
        above, below = (_core.evaluate(model._core, y, PSI + sign * step, 13) for sign in (1, -1))
        assert gradient[k] == pytest.approx((above[0] - below[0]) / 2e-4, abs=1e-5)
        np.testing.assert_allclose(hessian[k], (above[1] - below[1]) / 2e-4, atol=1e-5)


def test_with_a_crossed_factor() -> None:
    data = simulated(12, 2)
    data["day"] = np.arange(72) % 5
    model = ml.MixedModel(f"y ~ 0 + item + {TERM} + (1 | day)", data, "poisson")
    y, psi = data["y"].to_numpy(float), np.append(PSI, 0.3)
    _, gradient, _ = _core.evaluate(model._core, y, psi, 1)
    for k, step in enumerate(1e-4 * np.eye(len(psi))):
        above, below = (_core.evaluate(model._core, y, psi + sign * step, 1)[0] for sign in (1, -1))
        assert gradient[k] == pytest.approx((above - below) / 2e-4, abs=1e-5)


def test_gaussian_items_have_the_multivariate_normal_likelihood(gaussian: Any) -> None:
    z = simulated(250, 3)["z"].to_numpy().reshape(250, 6)
    loads = np.array([[letter == "1" for letter in word[-6:]] for word in PATTERN.split()[1:]])

    def closed(psi: np.ndarray) -> float:
        sigma = closed_form(loads, psi[6:14]) + np.diag(np.exp(2 * psi[14:]))
        return float(multivariate_normal(psi[:6], sigma).logpdf(z).sum())

    psi, h = gaussian.fit.psi, 1e-3
    assert gaussian.converged
    assert gaussian.llf == pytest.approx(closed(psi), abs=1e-9)
    steps = h * np.eye(len(psi))
    information = np.empty((len(psi), len(psi)))
    for a, one in enumerate(steps):
        assert closed(psi + one) - closed(psi - one) == pytest.approx(0.0, abs=1e-5)  # a maximum; third derivatives h^3
        for b, two in enumerate(steps):
            four = [closed(psi + s * one + t * two) * s * t for s in (1, -1) for t in (1, -1)]
            information[a, b] = -sum(four) / (4 * h**2)
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    np.testing.assert_allclose(np.sqrt(np.diag(gaussian.fit.covariance)), errors, rtol=1e-4)  # of differences


def test_with_one_residual_variance() -> None:
    """The linear engine, which profiles: the same likelihood."""
    data = simulated(60, 5)
    results = ml.fit(f"z ~ 0 + item + {TERM}", data, method="ml")
    sigma = results.fit.random_cov[0] + results.fit.sigma**2 * np.eye(6)
    expected = multivariate_normal(results.params, sigma).logpdf(data["z"].to_numpy().reshape(60, 6)).sum()
    assert results.llf == pytest.approx(expected, abs=1e-9)
    assert results.converged


# ---- what is reported ---------------------------------------------------------------------------------------------


def test_loadings_and_correlations(gaussian: Any) -> None:
    items, found = gaussian.item_parameters(), gaussian.factor_correlations()
    psi, covariances = gaussian.fit.psi, gaussian.fit.covariance
    assert list(items.columns) == [
        *("math", "math_std_error", "verbal", "verbal_std_error"),
        *("easiness", "easiness_std_error"),
    ]
    np.testing.assert_array_equal(items["math"], [*psi[6:9], 0, 0, 0])
    np.testing.assert_array_equal(items["verbal_std_error"], [0, 0, *np.sqrt(np.diag(covariances)[9:13])])
    assert items["math"].iloc[0] > 0  # whatever the direction that the data were drawn in
    assert items["verbal"].iloc[2] > 0
    c = psi[13]
    assert found["estimate"].item() == pytest.approx(c / np.sqrt(1 + c**2), rel=1e-14)
    assert found["std_error"].item() == pytest.approx(np.sqrt(covariances[13, 13]) / (1 + c**2) ** 1.5, rel=1e-12)
    assert list(found[["factor", "factor2"]].iloc[0]) == ["math", "verbal"]
    assert gaussian.fit.parameter_names[6] == "person: item[i1], math"
    assert gaussian.fit.parameter_names[13] == "person: verbal, math"
    assert "loadings\n  times the factors math, verbal" in str(gaussian.summary())


def test_abilities_of_correlated_factors(gaussian: Any) -> None:
    """Of Gaussian items the posterior is normal."""
    found = gaussian.abilities()
    z, psi = simulated(250, 3)["z"].to_numpy().reshape(250, 6), gaussian.fit.psi
    loadings = gaussian.item_parameters()[["math", "verbal"]].to_numpy()
    r = gaussian.factor_correlations()["estimate"].item()
    prior = np.array([[1, r], [r, 1]])
    variance = np.linalg.inv(np.linalg.inv(prior) + loadings.T @ (loadings / np.exp(2 * psi[14:])[:, None]))
    mean = (z - psi[:6]) / np.exp(2 * psi[14:]) @ loadings @ variance
    np.testing.assert_allclose(found["mean"].to_numpy().reshape(250, 2), mean, atol=1e-9)
    np.testing.assert_allclose(found["sd"].to_numpy().reshape(250, 2), np.sqrt(np.diag(variance))[None] + 0 * mean)
    assert list(found["trait"][:2]) == ["math", "verbal"]


def test_it_comes_back_from_a_file(gaussian: Any, tmp_path: Any) -> None:
    gaussian.save(tmp_path / "factors")
    again = ml.load(tmp_path / "factors")
    pd.testing.assert_frame_equal(again.item_parameters(), gaussian.item_parameters())
    pd.testing.assert_frame_equal(again.factor_correlations(), gaussian.factor_correlations())


def test_one_factor_is_a_term_of_rank_one(reference_data: Callable[[str], pd.DataFrame]) -> None:
    law = reference_data("LSAT6")
    some = law[law["person"].isin(law["person"].unique()[::4])]
    one = ml.fit("y ~ 0 + item + rr(0 + item | person, d=1)", some, "binomial", n_quadrature=9)
    named = ml.fit(
        "y ~ 0 + item + cfa(0 + item | person, law = i1 + i2 + i3 + i4 + i5)", some, "binomial", n_quadrature=9
    )
    assert named.llf == pytest.approx(one.llf, abs=1e-9)
    pd.testing.assert_frame_equal(named.item_parameters(), one.item_parameters(), rtol=1e-5)


def test_the_laplace_solution_of_a_factor_is_said_to_be_none(reference_data: Callable[[str], pd.DataFrame]) -> None:
    law = reference_data("LSAT6")
    with pytest.warns(ml.QuadratureWarning, match="would move by about .* standard errors"):
        ml.fit("y ~ 0 + item + cfa(0 + item | person, law = i1 + i2 + i3 + i4 + i5)", law, "binomial")


# ---- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("cfa(0 + item | person)", "needs its factors"),
        ("cfa(0 + item | person, math)", "a factor is written name = i1"),
        ("cfa(0 + item | person, math = i1 + i2, math = i3 + i4)", "two factors called 'math'"),
        ("cfa(0 + item | person, math = i1 * i2)", r"expected '\+' before '\*'"),
        ("cfa(0 + item | person, math = i1 + i1)", "'i1' is there twice"),
        ("cfa(0 + item | person, math = i1 +)", r"expected an item after '\+'"),
        ("cfa(0 + item | person, math = i1 + i2 + i9)", "'i9' is none of the columns"),
        ("cfa(0 + item | person, math = i1 + i2 + i3)", r"'item\[i4\]' loads on no factor"),
        ("cfa(0 + item | person, a = i1, b = i2 + i3 + i4 + i5 + i6)", "the factor 'a' needs 2 items"),
        (
            "cfa(0 + item | person, a = i1 + i2 + i3, b = i1 + i2 + i3 + i4 + i5 + i6)",
            "the factor 'b' cannot be told from mixtures",
        ),
        ("cfa(0 + item || person, math = i1 + i2 + i3)", "there are no correlations"),
    ],
)
def test_factors_that_make_no_sense_are_refused(term: str, message: str) -> None:
    with pytest.raises(ml.FormulaError, match=message):
        ml.MixedModel(f"z ~ 0 + item + {term}", simulated(10, 1))


def test_two_items_alone_are_no_factor() -> None:
    some = simulated(10, 1).query("item in ('i1', 'i2')")
    with pytest.raises(ml.FormulaError, match="'math' that stands alone needs 3 items"):
        ml.MixedModel("z ~ 0 + item + cfa(0 + item | person, math = i1 + i2)", some)


def test_other_models_have_no_factors() -> None:
    results = ml.fit("z ~ 0 + item + (1 | person)", simulated(20, 1))
    with pytest.raises(ml.DataError, match="the model has no factors"):
        results.factor_correlations()
