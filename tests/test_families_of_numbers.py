"""Lognormal, inverse Gaussian, exponential, Weibull, t, skew normal and Tweedie models from end to end.

Against other programs: test_reference_fits.py.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import optimize, special, stats

import multilevel as ml
from multilevel import _core

from .family_cases import CASES
from .family_densities import moved_slant

Array = NDArray[np.float64]


def quietly(formula: str, data: pd.DataFrame, family: str, **options: Any) -> ml.MixedModelResults:
    """The fit without its warnings; they stay in `results.warnings`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return ml.fit(formula, data, family, **options)


def grouped(family: str, phi: tuple[float, ...], seed: int = 1, n: int = 600) -> pd.DataFrame:
    """A covariate, a grouping factor and a response at the family's default link."""
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(30), n // 30), rng.normal(size=n)
    eta = 0.9 + 0.4 * x + rng.normal(0, 0.6, 30)[g]
    mean = ml.Family(family).mean(eta)
    return pd.DataFrame({"y": CASES[family].draw(rng, mean, np.ones(n), phi), "x": x, "g": g})


def test_lognormal_is_the_normal_model_of_the_logarithm() -> None:
    data = grouped("lognormal", (np.log(0.8),))
    results = ml.fit("y ~ x + (1 | g)", data, "lognormal")
    plain = ml.fit("log(y) ~ x + (1 | g)", data, method="ml")
    sigma = plain.family_params["sigma"]
    assert results.family_params == {"sigma": pytest.approx(sigma, rel=1e-6)}
    assert results.llf == pytest.approx(plain.llf - np.log(data["y"]).sum(), abs=1e-8)
    assert results.params["(Intercept)"] == pytest.approx(plain.params["(Intercept)"] + sigma**2 / 2, abs=1e-6)
    assert results.params["x"] == pytest.approx(plain.params["x"], abs=1e-7)
    assert results.bse["x"] == pytest.approx(plain.bse["x"], rel=1e-4)
    np.testing.assert_allclose(results.random_cov["g"], plain.random_cov["g"], rtol=1e-5)


def test_inverse_gaussian_with_closed_forms() -> None:
    y = np.random.default_rng(3).wald(2.0, 3.0, 300)
    for link in ("log", "inverse_squared", "inverse", "identity"):
        results = ml.fit("y ~ 1", {"y": y}, "inverse_gaussian", link=link)
        assert results.family.mean(results.params.to_numpy())[0] == pytest.approx(y.mean(), rel=1e-8)
        dispersion = np.mean(1 / y) - 1 / y.mean()
        assert results.family_params == {"dispersion": pytest.approx(dispersion, rel=1e-6)}
        expected = stats.invgauss.logpdf(y, y.mean() * dispersion, scale=1 / dispersion).sum()
        assert results.llf == pytest.approx(expected, abs=1e-8)


def test_exponential_is_a_weibull_and_a_gamma_of_shape_one() -> None:
    data = grouped("exponential", ())
    results = ml.fit("y ~ x + (1 | g)", data, "exponential")
    for other in ("weibull", "gamma"):
        model = ml.MixedModel("y ~ x + (1 | g)", data, other)
        psi = np.append(results.fit.psi, 0.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ml.FitWarning)
            at = model.fit(start=psi, max_iter=0)
        assert at.llf == pytest.approx(results.llf, abs=1e-8)
        assert quietly("y ~ x + (1 | g)", data, other).llf >= results.llf - 1e-8


def test_weibull_has_the_mean_of_the_response() -> None:
    y = 2.0 * np.random.default_rng(4).weibull(1.7, 400)
    results = ml.fit("y ~ 1", {"y": y}, "weibull")
    shape, _, scale = stats.weibull_min.fit(y, floc=0)
    found = results.family_params["shape"]
    assert found == pytest.approx(shape, rel=1e-4)
    assert results.fit.mu[0] == pytest.approx(scale * special.gamma(1 + 1 / shape), rel=1e-4)
    assert results.llf >= stats.weibull_min.logpdf(y, shape, scale=scale).sum() - 1e-9


@pytest.mark.parametrize("df", [1.0, 3.5])
@pytest.mark.parametrize("right", ["x", "x + (1 | g)"])
def test_units_of_a_response_with_outliers(right: str, df: float) -> None:
    data = grouped("student_t", (np.log(0.7), np.log(df)))
    base = quietly(f"y ~ {right}", data, "student_t")
    assert base.converged
    for unit in (1e-6, 1e-3, 1e3, 1e6):
        other = quietly(f"y ~ {right}", data.assign(y=unit * data["y"]), "student_t")
        assert other.converged, other.fit.message
        assert other.llf == pytest.approx(base.llf - 600 * np.log(unit), abs=1e-6)
        assert other.family_params["df"] == pytest.approx(base.family_params["df"], rel=1e-4)
        np.testing.assert_allclose(other.params, unit * base.params, rtol=1e-4)


def test_a_normal_response_has_infinite_df() -> None:
    data = grouped("gaussian", (np.log(0.7),), seed=2)
    results = quietly("y ~ x + (1 | g)", data, "student_t")
    plain = quietly("y ~ x + (1 | g)", data, "gaussian", method="ml")
    assert results.converged
    if np.isinf(results.family_params["df"]):
        assert results.llf == pytest.approx(plain.llf, abs=1e-7)
        assert any("it is the gaussian family" in text for text in results.warnings)
    assert results.llf >= plain.llf - 1e-7


def test_a_finite_df_is_found_though_an_infinite_one_is_a_maximum_too() -> None:
    """Of sleepstudy, where searches that start at the Gaussian stay there."""
    data = ml.datasets.sleepstudy()
    results = quietly("Reaction ~ Days + (1 | Subject)", data, "student_t")
    plain = quietly("Reaction ~ Days + (1 | Subject)", data, "gaussian", method="ml")
    assert results.converged
    assert results.family_params["df"] == pytest.approx(4.54, abs=0.01)
    assert results.llf > plain.llf + 5


def test_t_with_scipy() -> None:
    y = stats.t.rvs(4.0, 1.0, 2.0, 500, random_state=np.random.default_rng(5))
    results = ml.fit("y ~ 1", {"y": y}, "student_t")
    df, loc, scale = stats.t.fit(y)
    assert results.llf >= stats.t.logpdf(y, df, loc, scale).sum() - 1e-9
    assert results.family_params["df"] == pytest.approx(df, rel=1e-3)
    assert results.family_params["sigma"] == pytest.approx(scale, rel=1e-3)


@pytest.mark.parametrize("alpha", [2.0, 8.0])  # and of the mirrored response -2 and -8
@pytest.mark.parametrize("right", ["x", "x + (1 | g)"])
def test_both_signs_of_a_slant_are_found(right: str, alpha: float) -> None:
    for seed in range(3):
        data = grouped("skew_normal", (np.log(0.7), moved_slant(alpha)), seed=seed, n=1500)
        if right == "x":
            data["y"] -= data.groupby("g")["y"].transform("mean")
        results = quietly(f"y ~ {right}", data, "skew_normal")
        mirrored = quietly(f"y ~ {right}", data.assign(y=-data["y"]), "skew_normal")
        assert results.converged, results.fit.message
        assert mirrored.converged, mirrored.fit.message
        assert mirrored.llf == pytest.approx(results.llf, abs=1e-6)
        assert mirrored.family_params["alpha"] == pytest.approx(-results.family_params["alpha"], rel=1e-3)
        assert results.family_params["alpha"] > 0


def test_no_slant_is_the_gaussian_family() -> None:
    eta, y, one = np.linspace(-2, 2, 9), np.linspace(1, -3, 9), np.ones(9)
    skew = _core.Family("skew_normal", "identity").derivatives(eta, y, one, 2 * one, [0.3, 0.0])
    plain = _core.Family("gaussian", "identity").derivatives(eta, y, one, 2 * one, [0.3])
    for name in ("value", "d1", "d2", "phi0_d0", "phi0_d1"):
        np.testing.assert_allclose(skew[name], plain[name], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(skew["constant"], plain["constant"], rtol=1e-14)


@pytest.mark.parametrize(("family", "phi"), [("weibull", -1.6), ("gamma", -5.0)])
@pytest.mark.parametrize("seed", range(5))
def test_a_few_responses_are_by_far_the_largest(family: str, phi: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=200)
    y = CASES[family].draw(rng, np.exp(1 + 0.5 * x), np.ones(200), (phi,))
    y = np.maximum(y, 1e-300)
    results = ml.fit("y ~ x", {"y": y, "x": x}, family)
    if family == "weibull":
        shape = results.family_params["shape"]
        scale = np.exp(results.predict(kind="link")) / special.gamma(1 + 1 / shape)
        assert results.llf == pytest.approx(stats.weibull_min.logpdf(y, shape, scale=scale).sum(), rel=1e-10)
    else:
        shape, mean = results.family_params["shape"], results.fittedvalues.to_numpy()
        assert results.llf == pytest.approx(stats.gamma.logpdf(y, shape, scale=mean / shape).sum(), rel=1e-10)
        # the score of the mean, and of the shape
        np.testing.assert_allclose([np.sum(y / mean - 1), np.sum(x * (y / mean - 1))], 0.0, atol=1e-3)
    assert results.converged


def test_proportions_next_to_their_ends_are_no_exact_fit() -> None:
    rng = np.random.default_rng(0)
    y = np.clip(rng.beta(0.05, 0.05, 100), 1e-12, 1 - 1e-12)
    results = ml.fit("y ~ 1", {"y": y}, "beta")
    precision, mean = results.family_params["precision"], results.fittedvalues[0]
    assert results.converged
    assert np.isfinite(results.llf)
    density = stats.beta.logpdf(y, mean * precision, (1 - mean) * precision).sum()
    assert results.llf == pytest.approx(density, rel=1e-9)


@pytest.mark.parametrize("dispersion", [0.01, 0.5, 2.0])
def test_tweedie_close_to_the_gamma(dispersion: float) -> None:
    y, one = np.array([0.3, 1.0, 2.5, 8.0]), np.ones(4)
    gamma = _core.Family("gamma", "log").derivatives(0.4 * one, y, one, one, [-np.log(dispersion)])
    before = np.full(4, np.inf)
    for moved in (8.0, 12.0, 16.0, 20.0):
        at = _core.Family("tweedie", "log").derivatives(0.4 * one, y, one, one, [np.log(dispersion), moved])
        apart = np.abs(at["value"] + at["constant"] - gamma["value"] - gamma["constant"])
        assert (apart < 0.05 * before).all()  # falls like exp(-moved)
        before = apart
    assert before.max() < 1e-6


@pytest.mark.parametrize("dispersion", [2e-5, 0.01, 0.5])
def test_tweedie_at_the_gamma_has_its_curvature(dispersion: float) -> None:
    """Billions of terms and more, whose variance is nearly what it would be of a normal density."""
    y, one = np.array([1.45, 1.49, 1.5]), np.ones(3)
    gamma = _core.Family("gamma", "log").derivatives(0.4 * one, y, one, one, [-np.log(dispersion)])
    at = _core.Family("tweedie", "log").derivatives(0.4 * one, y, one, one, [np.log(dispersion), 20.0])
    assert at["phi0_0_d0"] == pytest.approx(gamma["phi0_0_d0"], rel=1e-6)


def test_tweedie_without_zeros_may_be_a_gamma() -> None:
    y = np.random.default_rng(7).gamma(2.0, 1.0, 300) ** 1.4  # a variance that grows faster
    results = quietly("y ~ 1", pd.DataFrame({"y": y}), "tweedie")
    plain = ml.fit("y ~ 1", {"y": y}, "gamma")
    assert results.converged
    assert results.family_params["power"] == 2.0
    assert results.llf == pytest.approx(plain.llf, abs=1e-4)
    assert any("it is the gamma family" in text for text in results.warnings)


def test_tweedie_with_a_direct_search() -> None:
    data = grouped("tweedie", (np.log(1.5), special.logit(0.6)))
    results = ml.fit("y ~ x", data, "tweedie")
    y, one = data["y"].to_numpy(), np.ones(600)

    def deficit(t: Array) -> float:
        psi = results.fit.psi + 0.1 * t
        value = CASES["tweedie"].log_density("log", psi[0] + psi[1] * data["x"].to_numpy(), y, one, one, tuple(psi[2:]))
        return float(results.llf - value.sum())

    assert deficit(np.zeros(4)) == pytest.approx(0.0, abs=1e-8)
    assert optimize.minimize(deficit, np.full(4, 0.3), options={"maxiter": 15}).fun > -1e-6


def test_what_tweedie_takes() -> None:
    data = grouped("tweedie", (np.log(1.5), 0.4))
    data.loc[17, "y"] = -0.5
    with pytest.raises(ml.DataError, match=r"'y' is -0.5 in row 17 .*; this family needs zeros or numbers above zero"):
        ml.fit("y ~ x", data, "tweedie")
    with pytest.raises(ml.DataError, match=r"needs numbers above zero; family='tweedie' takes zeros"):
        ml.fit("y ~ x", data.assign(y=0.0), "lognormal")


def test_names_of_other_packages() -> None:
    data = grouped("exponential", ())
    for word, name in (
        ("t_family", "student_t"),
        ("inverse.gaussian", "inverse_gaussian"),
        ("skewnormal", "skew_normal"),
    ):
        with pytest.raises(ml.DataError, match=f"did you mean '{name}'"):
            ml.fit("y ~ x", data, word)
