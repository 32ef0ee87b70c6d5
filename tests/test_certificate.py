"""What is reported is what was certified: a fit from the reported parameters, no iteration allowed, says the same."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

import multilevel as ml

from .kinds import KINDS, fitted


def quietly(formula: str, data: pd.DataFrame, family: str = "gaussian", **options: Any) -> ml.MixedModelResults:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return ml.fit(formula, data, family, **options)


def slopes(seed: int, sd: float, sd_x: float, family: str = "binomial") -> pd.DataFrame:
    r = np.random.default_rng(seed)
    g = np.repeat(np.arange(100), 10)
    x = r.normal(size=1000)
    u = r.normal(size=(100, 2)) * (sd, sd_x)
    eta = u[g, 0] + (1 + u[g, 1]) * x
    if family == "binomial":
        y: np.ndarray = (r.random(1000) < 1 / (1 + np.exp(-eta))) * 1
    else:
        y = r.poisson(np.exp(0.3 * eta))
    return pd.DataFrame({"y": y, "x": x, "g": g})


def crossed(seed: int, intercept: float = 9.0) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    n = 300
    g, h = r.integers(0, 10, n), r.integers(0, 10, n)
    x = r.normal(size=n)
    y = r.poisson(np.exp(intercept + 0.5 * x + r.normal(0, 1, 10)[g] + r.normal(0, 1, 10)[h]))
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h})


def nested(seed: int) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    a, b = np.repeat(np.arange(15), 12), np.repeat(np.arange(60), 3)
    x = r.normal(size=180)
    eta = 0.3 + x + r.normal(size=15)[a] + 0.7 * r.normal(size=60)[b]
    return pd.DataFrame({"y": (r.random(180) < 1 / (1 + np.exp(-eta))) * 1, "x": x, "a": a, "b": b})


def linear(seed: int, sd: float = 1.0) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    g, h = np.repeat(np.arange(20), 10), np.tile(np.arange(10), 20)
    x = r.normal(size=200)
    y = 2 + x + sd * r.normal(size=20)[g] + r.normal(size=10)[h] + r.normal(size=200)
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "t": pd.Categorical(h % 4)})


def counts(seed: int, size: float, n: int = 600) -> pd.DataFrame:
    """Crossed and nested levels; without a finite `size` the counts vary as the Poisson's or (size 0) less."""
    r = np.random.default_rng(seed)
    g, h = np.repeat(np.arange(30), n // 30), np.tile(np.arange(15), n // 15)
    x = r.normal(size=n)
    mean = np.exp(0.7 + 0.4 * x + r.normal(0, 0.6, 30)[g] + r.normal(0, 0.4, 15)[h])
    if size == 0:
        y = r.binomial(np.maximum(1, np.ceil(2 * mean)).astype(int), 0.5)
    else:
        y = r.poisson(mean if np.isinf(size) else mean * r.gamma(size, 1 / size, n))
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "k": g // 3})


def positive(seed: int, shape: float, n: int = 600) -> pd.DataFrame:
    data = counts(seed, np.inf, n)
    r = np.random.default_rng([seed, 1])
    mean = np.exp(0.3 + 0.4 * data["x"] + r.normal(0, 0.6, 30)[data["g"]] + r.normal(0, 0.4, 15)[data["h"]])
    return data.assign(y=r.gamma(shape, mean / shape), w=r.integers(1, 4, n))


NB, GAMMA = "negative_binomial", "gamma"
CASES = [
    ("y ~ x", counts(0, 2.0), NB, {}),
    ("y ~ x", counts(0, 0.0), NB, {}),
    ("y ~ x + (1 | g)", counts(1, 1.5), NB, {}),
    ("y ~ x + (1 | g)", counts(1, 1.5), NB, {"n_quadrature": 7}),
    ("y ~ x + (1 + x | g)", counts(2, 3.0), NB, {}),
    ("y ~ x + (1 | g) + (1 | h)", counts(3, 2.0), NB, {}),
    ("y ~ x + (1 | k/g)", counts(4, 2.0), NB, {"n_quadrature": 3}),
    ("y ~ x + (1 | g)", counts(5, 0.0), NB, {}),
    ("y ~ x + (1 | g)", counts(5, 0.0), NB, {"n_quadrature": 5}),
    ("y ~ x + (1 | g) + (1 | h)", counts(6, 0.0), NB, {}),
    ("y ~ x", positive(0, 2.0), GAMMA, {}),
    ("y ~ x + (1 | g)", positive(1, 1.5), GAMMA, {}),
    ("y ~ x + (1 | g)", positive(1, 1.5), GAMMA, {"n_quadrature": 7}),
    ("y ~ x + (1 + x | g)", positive(2, 50.0), GAMMA, {}),
    ("y ~ x + (1 | g) + (1 | h)", positive(3, 2.0), GAMMA, {}),
    ("y ~ x + (1 | k/g)", positive(4, 0.5), GAMMA, {"n_quadrature": 3}),
    ("y ~ x + (1 + x | g)", slopes(0, 0.5, 2.0), "binomial", {}),
    ("y ~ x + (1 + x | g)", slopes(0, 0.5, 2.0), "binomial", {"n_quadrature": 3}),
    ("y ~ x + (1 + x | g)", slopes(0, 0.5, 2.0), "binomial", {"n_quadrature": 9}),
    ("y ~ x + (1 + x | g)", slopes(1, 0.0, 1.0), "binomial", {"n_quadrature": 5}),
    ("y ~ x + (x || g)", slopes(2, 0.7, 0.3, "poisson"), "poisson", {}),
    ("y ~ x + (1 + x | g)", slopes(3, 0.0, 0.0, "poisson"), "poisson", {}),
    ("y ~ x + (1 | g) + (1 | h)", crossed(14), "poisson", {}),
    ("y ~ x + (1 | g) + (1 + x | h)", crossed(15, 1.0), "poisson", {}),
    ("y ~ x + (1 | a/b)", nested(1), "binomial", {}),
    ("y ~ x + (1 | a/b)", nested(1), "binomial", {"n_quadrature": 5}),
    ("y ~ x + (1 | g)", linear(1), "gaussian", {}),
    ("y ~ x + (1 | g)", linear(1, 0.0), "gaussian", {"method": "ml"}),
    ("y ~ x + (1 + x | g) + (1 | h)", linear(2), "gaussian", {}),
    ("y ~ x + cs(0 + t | g)", linear(3), "gaussian", {}),
    ("y ~ x + rr(0 + t | g, d=2)", linear(4), "gaussian", {"method": "ml"}),
    ("y ~ x", linear(5), "gaussian", {}),
]


@pytest.mark.parametrize(("formula", "data", "family", "options"), CASES)
def test_what_is_reported_is_what_is_there(
    formula: str, data: pd.DataFrame, family: str, options: dict[str, Any]
) -> None:
    first = quietly(formula, data, family, **options)
    assert first.converged
    assert_repeats(first, **options)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "quasi-likelihood"])
def test_what_every_kind_of_fit_reports_is_what_is_there(kind: str) -> None:
    first = fitted(kind)
    options = {"n_quadrature": first.n_quadrature} if first.fit.design.random_terms else {}
    assert_repeats(first, method=first.method, **options)


def assert_repeats(first: ml.MixedModelResults, **options: Any) -> None:
    """A fit that may not move from the parameters of another says the same."""
    assert first.model is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        again = first.model.fit(start=first.fit.psi, max_iter=0, **options)
    assert again.status == first.status
    assert again.fit.psi == pytest.approx(first.fit.psi, rel=1e-9, abs=1e-12)
    assert again.llf == pytest.approx(first.llf, rel=1e-11)
    np.testing.assert_allclose(again.bse, first.bse, rtol=1e-6)
    # In units of standard errors, which is what covariances and gradients are measured against.
    errors = np.sqrt(np.diag(first.fit.covariance))
    own = np.isfinite(errors)
    np.testing.assert_array_equal(np.isfinite(np.diag(again.fit.covariance)), own)
    change = (again.fit.covariance - first.fit.covariance)[np.ix_(own, own)] / np.outer(errors[own], errors[own])
    assert np.abs(change).max() < 1e-5
    gap = (again.fit.gradient - first.fit.gradient)[own] * errors[own]
    assert np.abs(gap).max() < 1e-5
    for one, other in zip(first.fit.modes, again.fit.modes, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("points", [1, 3, 5, 7, 9, 11])
def test_variances_keep_their_places(points: int) -> None:
    """The slope varies more than the intercept; no order of coefficients used on the way may show."""
    results = quietly("y ~ x + (1 + x | g)", slopes(0, 0.5, 2.0), "binomial", n_quadrature=points)
    assert results.converged
    sd = np.sqrt(np.diag(results.random_cov["g"]))
    assert sd == pytest.approx((0.393, 1.472), abs=0.005 if points > 3 else 0.07)
    expected = {1: -610.994975, 3: -609.665808, 5: -609.263163, 7: -609.223357, 9: -609.221727, 11: -609.222220}
    assert results.llf == pytest.approx(expected[points], abs=1e-5)


@pytest.mark.parametrize("points", [3, 5])
def test_a_larger_slope_is_fitted_to_the_end(points: int) -> None:
    for seed in range(6):
        results = quietly("y ~ x + (1 + x | g)", slopes(seed, 0.3, 3.0), "binomial", n_quadrature=points)
        assert results.converged, f"seed {seed}"
        assert results.certificate.predicted_gain < 1e-9, f"seed {seed}"


def test_standard_errors_are_of_the_exact_hessian() -> None:
    results = quietly("y ~ x + (1 | g) + (1 | h)", crossed(14), "poisson")
    assert results.converged
    assert results.bse["(Intercept)"] == pytest.approx(0.45702, rel=2e-5)


@pytest.mark.parametrize(
    ("family", "formula"),
    [("poisson", "y ~ x + (1 | g) + (1 | h)"), ("gaussian", "y ~ x + (1 | g) + (1 | h) + (1 | k)")],
)
def test_differences_make_the_hessian_once(family: str, formula: str) -> None:
    r = np.random.default_rng(4)
    n, levels = 6000, (250, 220, 200)
    codes = [r.integers(0, m, n) for m in levels]
    x = r.normal(size=n)
    eta = 0.3 + 0.5 * x + sum(s * r.normal(size=m)[c] for s, m, c in zip((0.6, 0.4, 0.5), levels, codes, strict=True))
    y = r.poisson(np.exp(eta)) if family == "poisson" else eta + r.normal(size=n)
    fit = quietly(formula, pd.DataFrame({"y": y, "x": x, **dict(zip("ghk", codes, strict=True))}), family)
    assert fit.converged
    parameters = {"poisson": 4, "gaussian": 3}[family]  # of a linear model theta alone, beside sigma
    assert fit.optimization.n_evaluations - 2 * parameters <= fit.optimization.n_iterations + 2
    assert fit.fit.certificate.predicted_gain < 1e-9
    again = fit.model.fit(start=fit.fit.psi, max_iter=0)
    assert again.llf == pytest.approx(fit.llf, rel=1e-12)
    np.testing.assert_allclose(again.bse, fit.bse, rtol=1e-6)


def test_no_iteration_from_elsewhere_is_not_called_converged() -> None:
    data = slopes(0, 0.5, 2.0)
    best = quietly("y ~ x + (1 + x | g)", data, "binomial")
    with pytest.warns(ml.ConvergenceWarning, match="a further step is predicted to gain"):
        away = best.model.fit(start=best.fit.psi + 0.1, max_iter=0)
    assert not away.converged
    assert away.llf < best.llf
    # What was measured is of the start.
    np.testing.assert_allclose(away.fit.psi, best.fit.psi + 0.1, rtol=1e-9)


def says_the_same_again(results: ml.MixedModelResults) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        again = results.model.fit(start=results.fit.psi, max_iter=0, n_quadrature=results.n_quadrature)
    assert (again.fit.status, again.llf) == (results.fit.status, pytest.approx(results.llf, rel=1e-10))


def test_a_size_that_runs_to_zero_has_no_maximum() -> None:
    """The truncated negative binomial becomes the logarithmic series: more likely than with any size above zero."""
    y = np.array([1.0] * 12 + [2, 2, 3, 5, 8, 10, 40, 90])

    def series(log_odds: float) -> float:
        share = 1 / (1 + np.exp(-log_odds))
        return -float(np.sum(y * np.log(share) - np.log(y) - np.log(-np.log1p(-share))))

    most = -minimize_scalar(series, bounds=(-5, 15), method="bounded", options={"xatol": 1e-9}).fun
    results = quietly("y ~ 1", pd.DataFrame({"y": y}), "truncated_negative_binomial")
    assert most - 1e-7 < results.llf < most
    assert not results.converged
    assert "grows without bound" in results.fit.message
    says_the_same_again(results)


def test_what_searches_from_elsewhere_ran_off_to_is_not_certified() -> None:
    large = [1.0] * 25
    for row, count in {5: 925, 8: 22, 9: 81, 12: 10, 14: 11, 18: 63}.items():
        large[row] = count
    x = np.full(25, 11.0)
    x[[1, 5, 9, 15, 16, 18, 19, 20, 22, 24]] = 9.0
    data = pd.DataFrame({"y": large, "x": x, "g": np.repeat(np.arange(10), [1, 4, 4, 1, 2, 4, 1, 4, 2, 2])})
    results = quietly("y ~ x + (1 | g)", data, "truncated_negative_binomial", n_quadrature=7)
    # At these parameters, with 50 digits and the same seven points.
    assert results.llf == pytest.approx(-54.725540780, abs=2e-8)
    assert not results.converged
    assert "grows without bound" in results.fit.message
    says_the_same_again(results)


def test_a_point_is_judged_by_its_certificate_not_by_a_search_without_a_step() -> None:
    """Without an iteration nothing tells the zero variances of hardly any weight from parameters that run off."""
    cuts = np.array([0.00483, 0.0695, 1.0, 14.4, 207.0, np.inf])
    low = np.array([1, 0, 1, 0, 0, 0, 2, 4, 0, 2, 1, 2, 2, 2, 1, 2, 2, 1, 2, 2])
    high = low + 1
    high[7], high[12] = 5, 5
    above = [437, -1287, 209, -427, -371, -539, 1582, 2609, -582, 633]
    above += [92, 1537, 2369, 1563, -422, 1575, 1214, 515, 1928, 1570]
    t = [int(c) for c in "40725357350216243147"]
    g = [int(c) for c in "21211201022202001210"]
    data = pd.DataFrame({"y": cuts[low], "upper": cuts[high], "x": 9 + np.divide(above, 1000), "t": t, "g": g})
    results = quietly("interval(y, upper) ~ x + hetar1(0 + t | g)", data, "lognormal", n_quadrature=1)
    assert results.converged
    assert np.sum(results.fit.psi == 0) == 7
    says_the_same_again(results)


def test_a_category_that_occurs_on_one_scale_only_has_no_threshold() -> None:
    """With the scale of those rows its threshold grows for ever: nothing of the category is left in other rows."""
    y = [int(c) for c in "112222222332122222222223222223322322"]
    v = [int(c) for c in "111001100001100010100101001101100000"]
    down = [1, 5, 6, 7, 8, 10, 15, 17, 18, 21, 23, 25, 26, 28, 32]
    x = np.ones(36)
    x[down] = -1.0
    data = pd.DataFrame({"y": y, "v": v, "x": x, "g": np.repeat(np.arange(6), 6), "s": list("aabbcc") * 6})
    assert set(data["v"][data["y"] == 1]) == {1}
    results = quietly("y ~ x + homdiag(0 + s | g)", data, "cumulative", link="cloglog", scale="~ v", levels=[1, 2, 3])
    assert not results.converged
    assert "'thresholds: 1|2' grows without bound" in results.fit.message
    says_the_same_again(results)


@pytest.mark.parametrize(("seed", "status"), [(0, "converged"), (5, "not converged")])
def test_a_log_likelihood_with_steps_is_certified_only_where_it_does_not_rise(seed: int, status: str) -> None:
    """Generalized Poisson counts with a dispersion below 1: where a node loses its density the integral has a step."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(40), 8)
    data = pd.DataFrame({"g": group, "y": rng.poisson(np.exp(0.2 + rng.normal(size=40)[group]))})
    model = ml.MixedModel("y ~ 1 + (1 | g)", data, "generalized_poisson")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = model.fit(n_quadrature=9)
        assert results.fit.psi[-1] < 0
        assert results.fit.status == status
        errors, rise = np.sqrt(np.diag(results.fit.covariance)), 0.0
        for k, step in ((k, step) for k in range(3) for step in (-0.01, 0.01)):
            moved = results.fit.psi.copy()
            moved[k] += step * errors[k]
            rise = max(rise, model.fit(n_quadrature=9, start=moved, max_iter=0).llf - results.llf)
    assert (rise < 1e-6) == (status == "converged")
    assert ("counts vary less" in results.fit.message) == (status != "converged")
