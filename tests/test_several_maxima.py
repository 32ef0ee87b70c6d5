"""Likelihoods with several maxima, most of few rows: the fit finds the highest, and evaluates what it is asked to.

The data are of random designs whose fits once stopped at a lower maximum. Values are compared with Laplace's
approximation written from its definition, or were computed so.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.linalg import block_diag
from scipy.optimize import minimize
from scipy.special import gammaln
from scipy.stats import beta as beta_distribution
from scipy.stats import norm
from scipy.stats import t as student

import multilevel as ml

Array = npt.NDArray[np.float64]
Density = Callable[[Array, Array], tuple[Array, Array, Array]]


def fitted(formula: str, data: pd.DataFrame, family: str | ml.Family, **options: Any) -> ml.MixedModelResults:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return ml.fit(formula, data, family, **options)


def laplace(density: Density, y: Array, eta: Array, Z: Array, root: Array, group: Array) -> float:
    """Sum over groups of the log integral of the density times that of v, by Laplace; u = root v."""
    total = 0.0
    for level in np.unique(group):
        own = group == level
        A, v = Z[own] @ root, np.zeros(root.shape[1])

        def f(v: Array, own: Array = own, A: Array = A) -> float:
            return float(density(y[own], eta[own] + A @ v)[0].sum() - 0.5 * v @ v)

        for _ in range(500):
            _, first, second = density(y[own], eta[own] + A @ v)
            H = np.eye(len(v)) + A.T @ (np.maximum(-second, 0)[:, None] * A)
            step = np.linalg.solve(H, A.T @ first - v)
            while f(v + step) < f(v) and np.abs(step).max() > 1e-14:
                step = step / 2
            v = v + step
        H = np.eye(len(v)) - A.T @ (density(y[own], eta[own] + A @ v)[2][:, None] * A)
        total += f(v) - 0.5 * np.linalg.slogdet(H)[1]
    return total


def test_loadings_begin_in_every_direction() -> None:
    group = np.array([1, 0, 1, 2, 3, 3, 2, 3, 2, 1, 0, 0])
    part = np.array(list("bccaabccbaba"))
    y = np.array([0.0250886, 1.45792, 0.935313, 0.180835, 0.440175, 2.14251])
    y = np.append(y, [0.961933, 3.1927, 1.11439, 1.0906, 0.558557, 1.02751])
    x = np.array([99.3403, 98.6661, 100.022, 100.02])[group]
    data = pd.DataFrame({"y": y, "x": x, "s": part, "g": group})
    results = fitted("y ~ 1 + x + s + rr(0 + s | g, d=1)", data, ml.Family("gaussian", link="log"))
    Z = (part[:, None] == np.array(list("abc"))).astype(float)
    sigma = results.residual_sd

    def density(y: Array, eta: Array) -> tuple[Array, Array, Array]:
        mu = np.exp(eta)
        value = -0.5 * ((y - mu) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)
        return value, (y - mu) * mu / sigma**2, (y - 2 * mu) * mu / sigma**2

    eta = np.column_stack([np.ones(12), x, Z[:, 1:]]) @ results.fit.beta
    loadings = np.array(results.fit.theta_values[0])[:, None]
    assert results.converged
    assert results.llf == pytest.approx(laplace(density, y, eta, Z, loadings, group), abs=1e-7)
    assert results.llf > -4.8702  # the other maximum is at -7.7995


def test_a_search_that_creeps_along_a_ridge_is_begun_elsewhere() -> None:
    group = np.repeat(np.arange(4), 4)
    x = [99.991, 99.9761, 99.9867, 99.9904, 100.003, 99.9983, 99.982, 99.9929]
    x += [99.9861, 100.003, 100.001, 99.9802, 100.008, 100.003, 99.9876, 99.9987]
    z = [0.109427, 0.0599948, 1.35965, 0.29067, 0.136731, -1.13619, 0.57732, 0.252018]
    z += [-0.483478, -0.394805, 0.12952, 1.6618, -0.340124, 2.53313, 2.17144, -0.350099]
    y = np.array([2, 2, 48, 3, 2, 0, 1, 3, 0, 1, 4, 79, 0, 1201378, 1203670, 1.0])
    data = pd.DataFrame({"y": y, "x": np.array(x) - 100, "z": z, "g": group})
    results = fitted("y ~ 1 + x + z + (1 + x + z | g)", data, "poisson")
    X = np.column_stack([np.ones(16), data["x"], z])
    values, vectors = np.linalg.eigh(results.random_cov["g"].to_numpy())
    root = vectors * np.sqrt(np.maximum(values, 0))

    def density(y: Array, eta: Array) -> tuple[Array, Array, Array]:
        mu = np.exp(np.minimum(eta, 100))
        return y * eta - mu - gammaln(y + 1), y - mu, -mu

    assert results.converged
    assert results.llf == pytest.approx(laplace(density, y, X @ results.fit.beta, X, root, group), abs=1e-5)
    assert results.llf == pytest.approx(-53.62, abs=0.05)
    # What creeps on its way to a boundary, far below what it must reach there, is given up.
    assert results.optimization.n_evaluations <= 300


def test_counts_of_another_dispersion() -> None:
    g = [1, 2, 2, 1, 0, 2, 1, 2, 0, 0, 0, 1, 0, 1, 1, 0, 2, 1, 2, 0, 2]
    h = [2, 6, 5, 3, 1, 4, 1, 5, 1, 5, 4, 5, 6, 3, 5, 4, 6, 5, 2, 5, 2]
    x = [99.0836, 98.8103, 99.5311, 102.413, 100.227, 100.238, 99.8734, 101.302, 100.597, 99.5458, 100.736]
    x += [97.7628, 102.01, 100.193, 99.8799, 97.0831, 101.317, 99.8371, 100.152, 101.101, 101.071]
    y = [0, 0, 0, 253, 3, 20, 1, 67, 0, 1, 4, 0, 26, 0, 0, 0, 2450, 0, 2, 0, 57]
    data = pd.DataFrame({"y": y, "x": np.array(x) - 100, "g": g, "h": h})
    results = fitted("y ~ 1 + x + (1 + x | g) + (1 + x | h)", data, "generalized_poisson")
    X = np.column_stack([np.ones(21), data["x"]])
    root = np.sqrt(np.exp(results.fit.psi[-1]))  # of the dispersion

    def density(y: Array, eta: Array) -> tuple[Array, Array, Array]:
        theta, rest = np.exp(eta) / root, (1 - 1 / root) * y
        value = np.log(theta) + (y - 1) * np.log(theta + rest) - theta - rest - gammaln(y + 1)
        return value, 1 + (y - 1) * theta / (theta + rest) - theta, (y - 1) * theta * rest / (theta + rest) ** 2 - theta

    columns, roots = [], []
    for name, codes in (("g", g), ("h", h)):
        values, vectors = np.linalg.eigh(results.random_cov[name].to_numpy())
        for level in np.unique(codes):
            columns.append(X * (np.array(codes) == level)[:, None])
            roots.append(vectors * np.sqrt(np.maximum(values, 0)))
    eta = X @ results.fit.beta
    everything = laplace(density, np.array(y, float), eta, np.hstack(columns), block_diag(*roots), np.zeros(21))
    assert results.converged
    assert results.llf == pytest.approx(everything, abs=1e-6)
    assert results.llf == pytest.approx(-55.95, abs=0.01)  # the other maximum, of a huge dispersion, is at -59.95


@pytest.fixture(scope="module")
def kinked() -> tuple[Any, Array]:
    """Ordered categories, and parameters of effects so large that thresholds are sharp edges for them."""
    rng = np.random.default_rng(3)
    g, h = np.repeat(np.arange(25), 3), rng.integers(0, 15, 75)
    x = rng.normal(size=75)
    latent = x + 3 * rng.normal(size=25)[g] + 2 * rng.normal(size=15)[h] + rng.logistic(size=75)
    y = np.digitize(latent, [-3, -1, 1, 3]) + 1
    model = ml.MixedModel("y ~ x + (1 | g) + (1 | h)", pd.DataFrame({"y": y, "x": x, "g": g, "h": h}), "cumulative")
    return model, np.array([100.0, 300.0, 200.0, -300.0, -100.0, 100.0, 300.0])


def test_a_point_is_evaluated_where_it_is(kinked: tuple[Any, Array]) -> None:
    model, psi = kinked
    for factor in (0.01, 0.1, 1.0, 10.0):
        start = psi * factor
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ml.FitWarning)
            fit = model.fit(start=start, max_iter=0).fit
        assert fit.psi == pytest.approx(start, rel=1e-9)
        assert np.isfinite(fit.loglik)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_slant_of_either_sign_is_tried(grouped: bool) -> None:
    """Heavy tails, hardly skewed: a maximum on either side of zero, 25 apart where there are many rows."""
    seed, n = (1, 6000) if grouped else (9, 200)
    r = np.random.default_rng(seed)
    g, x = np.arange(n) % 40, r.normal(size=n)
    y = x + r.standard_t(3, size=n)
    if grouped:
        y = y + r.normal(size=40)[g]
    data = pd.DataFrame({"y": y, "x": x, "g": g})
    results = fitted("y ~ x" + " + (1 | g)" * grouped, data, "skew_normal")
    assert results.converged
    mirrored = results.fit.psi * np.append(np.ones(len(results.fit.psi) - 1), -1.0)
    other = results.model.fit(start=mirrored)
    assert results.llf >= other.llf - 1e-8
    assert results.llf == pytest.approx(-11612.644899698 if grouped else -352.394484545, abs=1e-6)


def test_without_random_effects_too_a_search_is_begun_elsewhere() -> None:
    """Numbers that are nearly multiples of one: how many they hold each has a maximum for one, two, three."""
    y = [0, 0, 0, 0, 0.9332, 0.9479, 0.9502, 0.954, 0.9698, 0.974, 0.9744, 0.9749, 0.9817, 0.9838]
    y += [0.9856, 0.9866, 1.0149, 1.0152, 1.0265, 1.0354]
    results = fitted("y ~ 1", pd.DataFrame({"y": y}), "tweedie")
    assert results.converged
    assert results.llf == pytest.approx(14.8727619574, abs=1e-7)  # with three each -0.2026
    d, power = results.fit.phi["dispersion"], results.fit.phi["power"]
    none = np.exp(-(np.mean(y) ** (2 - power)) / (d * (2 - power)))  # the probability of zero, where each holds one
    assert none == pytest.approx(0.45, abs=0.01)


def test_shares_close_to_one_do_not_throw_the_start_far_off() -> None:
    """With a precision of one, from which a search begins, a share of 0.999 asks for a step far beyond all others."""
    x = np.array([11, 11, 11, 9, 11, 11, 9, 9, 9, 9, 11, 9, 9, 9, 11, 11, 11, 9, 9, 11.0])
    y = [0.998886, 0.998136, 0.999167, 0.705130, 0.995948, 0.998595, 0.919704, 0.976030, 0.915999, 0.967630]
    y += [0.999346, 0.730012, 0.704308, 0.984071, 0.999500, 0.999523, 0.999215, 0.970198, 0.960414, 0.999280]
    data = pd.DataFrame({"y": y, "x": x})
    results = fitted("y ~ x", data, "beta")

    def negative(psi: Array) -> float:
        mu, k = 1 / (1 + np.exp(-psi[0] - psi[1] * (x - 10))), np.exp(psi[2])
        return -float(beta_distribution.logpdf(y, mu * k, (1 - mu) * k).sum())

    best = min((minimize(negative, [3.0, slope, 2.0], method="BFGS") for slope in (0.0, 1.0)), key=lambda own: own.fun)
    assert results.converged
    assert results.llf == pytest.approx(-best.fun, abs=1e-6)


@pytest.mark.parametrize("link", ["log", "inverse_squared"])
def test_numbers_over_twenty_orders_of_magnitude(link: str) -> None:
    """The dispersion of an inverse Gaussian, which the smallest decide, is then far from what residuals look like."""
    r = np.random.default_rng(0)
    x = r.normal(size=200)
    y = np.maximum(r.gamma(1 / 9, 9 * np.exp(0.5 * x)), 1e-30)
    family = ml.Family("inverse_gaussian", link)
    results = fitted("y ~ x", pd.DataFrame({"y": y, "x": x}), family)
    mean = y.mean()
    dispersion = np.mean((y - mean) ** 2 / (mean**2 * y))
    eta = np.log(mean) if link == "log" else mean**-2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        other = results.model.fit(start=[eta, 0.0, np.log(dispersion)])
    assert results.llf >= other.llf - 1e-4


def two_bulks(n: int, spread: float, centre: float) -> Array:
    """Seven responses about minus `centre`, and others about `centre`."""
    quantiles = [norm.ppf((np.arange(k) + 0.5) / k) for k in (7, n)]
    return np.concatenate([-centre + 0.1 * quantiles[0], centre + spread * quantiles[1]])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("n", "spread", "centre", "nearly"), [(7, 0.3, 3, True), (6, 0.1, 3, False), (7, 0.3, 30, True)]
)
def test_the_higher_of_two_bulks_and_the_other_is_told(
    n: int, spread: float, centre: float, nearly: bool, sign: int
) -> None:
    y = sign * two_bulks(n, spread, centre)

    def loss(at: Array) -> float:
        return -float(student.logpdf(y, 1.0, at[0], 0.5).sum())

    tight = {"xatol": 1e-9, "fatol": 1e-12}
    maxima = [minimize(loss, [m], method="Nelder-Mead", options=tight) for m in (-sign * centre, sign * centre)]
    higher, lower = sorted((float(m.fun), float(m.x[0])) for m in maxima)
    family = ml.Family("student_t", df=1.0, sigma=0.5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = ml.fit("y ~ 1", pd.DataFrame({"y": y}), family)
    assert results.converged
    assert results.llf == pytest.approx(-higher[0], abs=1e-9)
    assert results.params.iloc[0] == pytest.approx(higher[1], abs=1e-5)
    told = [str(w.message) for w in caught if w.category is ml.SeveralMaximaWarning]
    assert len(told) == len(results.optimization.other_maxima) == nearly == (lower[0] - higher[0] < 1.92)
    if nearly:
        value, psi = results.optimization.other_maxima[0]
        assert value == pytest.approx(-lower[0], abs=1e-9)
        assert psi == pytest.approx([lower[1]], abs=1e-5)
        assert f"another maximum {lower[0] - higher[0]:.2g} below" in told[0]
        assert "'(Intercept)' is" in told[0]


def few_rows_of_two_terms(seed: int = 25) -> pd.DataFrame:
    """A dozen rows or two, where either the intercept or the slope can be what varies."""
    r = np.random.default_rng(seed)
    groups, n = int(r.integers(3, 6)), int(r.integers(10, 24))
    group = r.integers(0, groups, n)
    x = r.normal(size=n) + r.integers(0, 4)
    y = r.normal(size=n) + r.normal(size=groups)[group] * r.choice([0, 0.5, 2])
    y = y + r.normal(size=groups)[group] * x * r.choice([0, 0.5, 2])
    return pd.DataFrame({"y": y, "x": x, "g": group})


def loss_of_two_terms(data: pd.DataFrame) -> Callable[[Array], float]:
    y, x = data["y"].to_numpy(), data["x"].to_numpy()
    same = data["g"].to_numpy()[:, None] == data["g"].to_numpy()

    def loss(psi: Array) -> float:
        V = psi[2] ** 2 * same + psi[3] ** 2 * same * np.outer(x, x) + np.exp(2 * psi[4]) * np.eye(len(y))
        left = y - psi[0] - psi[1] * x
        return float(0.5 * (len(y) * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + left @ np.linalg.solve(V, left)))

    return loss


def test_another_maximum_of_a_linear_model() -> None:
    data = few_rows_of_two_terms()
    results = fitted("y ~ x + (1 | g) + (0 + x | g)", data, "gaussian", method="ml")
    loss = loss_of_two_terms(data)
    maxima = [(results.llf, results.fit.psi), *results.optimization.other_maxima]
    assert len(maxima) == 2
    assert 0.05 < maxima[0][0] - maxima[1][0] < 0.2
    assert np.array_equal(maxima[0][1][2:4] > 0, maxima[1][1][2:4] == 0)
    for value, psi in maxima:
        assert value == pytest.approx(-loss(psi), abs=1e-9)
        near = minimize(loss, psi, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-11, "maxiter": 4000})
        assert -near.fun < value + 1e-8


@pytest.mark.parametrize(("seed", "side"), [(95, None), (199, 0), (346, None)])
def test_a_profile_goes_over_to_the_other_maximum(seed: int, side: int | None) -> None:
    """Further out the way from the lower maximum is the higher one, and the limit is where that has fallen."""
    data = few_rows_of_two_terms(seed)
    results = fitted("y ~ x + (1 | g) + (0 + x | g)", data, "gaussian", method="ml")
    loss = loss_of_two_terms(data)
    maxima = [results.fit.psi, *(psi for _, psi in results.optimization.other_maxima)]
    assert len(maxima) == 2
    crossed = False
    for k in range(2):
        limits = results.profile(results.fit.fixed_names[k], level=0.95).conf_int().iloc[0]
        for end in range(2) if side is None else (side,):
            falls = []
            for psi in maxima:

                def given(others: Array, psi: Array = psi, k: int = k, limit: float = limits.iloc[end]) -> float:
                    return loss(np.insert(others, k, limit))

                start = np.delete(psi, k)
                start[1:3] += 0.05
                for _ in range(2):
                    options = {"xatol": 1e-8, "fatol": 1e-11, "maxiter": 4000}
                    start = minimize(given, start, method="Nelder-Mead", options=options).x
                falls.append(results.llf + given(start))
            assert min(falls) == pytest.approx(1.9207, abs=1e-3)
            crossed |= falls[1] < falls[0] - 0.01
    assert crossed


@pytest.mark.parametrize("unit", [1.0, 0.1])
def test_multiples_of_one_number_are_no_tweedie_responses(unit: float) -> None:
    """The log-likelihood has no bound as the power goes to 1."""
    y = unit * np.random.default_rng(1).poisson(2, 200)
    results = fitted("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": np.arange(200) % 20}), "tweedie")
    assert not results.converged
    assert "responses are taken for multiples of the dispersion" in results.message


def test_a_maximum_next_to_a_power_of_one_is_not_certified() -> None:
    """Two responses are nearly multiples of many numbers, and of each the likelihood has a maximum."""
    y = np.zeros(40)
    y[:2] = np.exp(np.random.default_rng([2, 1]).normal(size=2))
    data = pd.DataFrame({"y": y, "g": np.arange(40) % 8})
    usual = fitted("y ~ 1 + (1 | g)", data, "tweedie")
    names = usual.fit.parameter_names
    start = usual.fit.psi.copy()
    start[names.index("logit_power")], start[names.index("log_dispersion")] = -14.0, -9.0
    with pytest.warns(ml.ConvergenceWarning, match="responses are taken for multiples of the dispersion, 0.000123"):
        tooth = ml.fit("y ~ 1 + (1 | g)", data, "tweedie", start=start)
    many = usual.model.fit_many(np.column_stack([y, y]), start=tooth.fit.psi, max_iter=0)
    assert set(many["converged"]) == {False}
    assert usual.converged
    assert usual.family_params["power"] > 1.4
    assert tooth.status == "several maxima"
    assert tooth.family_params["power"] < 1.00001


@pytest.mark.parametrize(("n", "told"), [(60, True), (1500, False)])
def test_a_tweedie_power_that_may_be_next_to_one_is_said(n: int, told: bool) -> None:
    rng = np.random.default_rng(3)
    power, dispersion, mean = 1.15, 0.3, 2.0
    rate = mean ** (2 - power) / (dispersion * (2 - power))
    jumps = rng.poisson(rate, n)
    shape, scale = (2 - power) / (power - 1), dispersion * (power - 1) * mean ** (power - 1)
    y = rng.gamma(np.maximum(shape * jumps, 1e-9)) * scale * (jumps > 0)
    data = pd.DataFrame({"y": y, "g": np.arange(n) % 12})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = ml.fit("y ~ 1 + (1 | g)", data, "tweedie")
        given = ml.fit("y ~ 1 + (1 | g)", data, ml.Family("tweedie", power=1.15))
    assert results.converged
    said = [str(one.message) for one in caught if one.category is ml.SeveralMaximaWarning]
    assert any("do not exclude one next to 1" in text for text in said) == told
    assert not any("next to 1" in text for text in given.warnings)
