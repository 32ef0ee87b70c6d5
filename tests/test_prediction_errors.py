"""Standard errors and intervals of predictions, means over random effects: other programs, and definitions."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import integrate, optimize, special, stats

import multilevel as ml
from multilevel.prediction.joint import Joint
from multilevel.prediction.normal_mean import Means, mean_of_link, normal_mean
from multilevel.prediction.predictive import quantiles, response_cdf
from multilevel.prediction.rows import rows_of
from multilevel.prediction.uncertain import moments

from .family_cases import CASES, drawn, name_of, settings
from .modified_cases import Modified, modified_settings
from .reference_files import read_data, read_numbers

Array = NDArray[np.float64]
OUTSIDE = read_numbers("after_the_fit")


@pytest.fixture(scope="module")
def sleep() -> ml.MixedModelResults:
    return ml.fit("Reaction ~ Days + (Days | Subject)", read_data("sleepstudy"))


@pytest.fixture(scope="module")
def cbpp() -> ml.MixedModelResults:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return ml.fit(formula, read_data("cbpp"), "binomial")


def column(table: list[dict[str, Any]], name: str) -> list[float]:
    return [row[name] for row in table]


# ---- against other programs ----------------------------------------------------------------------------------------


def test_a_linear_model(sleep: ml.MixedModelResults) -> None:
    """lme4's estimates put into Henderson's equations, whose variances are known; the tolerance is the file's."""
    own = OUTSIDE["prediction"]["sleepstudy_slope_reml"]
    days = pd.DataFrame({"Days": column(own["population"], "Days")})
    typical = sleep.predict(days, random="zero", se=True)
    np.testing.assert_allclose(typical["estimate"], column(own["population"], "fit"), rtol=1e-6)
    np.testing.assert_allclose(typical["std_error"], column(own["population"], "se"), rtol=1e-6)
    known = sleep.predict(days.assign(Subject="308"), interval="prediction", variances="known")
    for ours, theirs in (("estimate", "fit"), ("std_error", "se"), ("lower", "pi_lower"), ("upper", "pi_upper")):
        np.testing.assert_allclose(known[ours], column(own["subject_308"], theirs), rtol=1e-6)
    anew = sleep.predict(days, random="marginal", interval="prediction", variances="known")
    for ours, theirs in (("estimate", "fit"), ("lower", "pi_lower"), ("upper", "pi_upper")):
        np.testing.assert_allclose(anew[ours], column(own["new_subject"], theirs), rtol=1e-6)


def test_the_variances_are_estimated(sleep: ml.MixedModelResults) -> None:
    """glmmTMB's se.fit of a known group."""
    own = OUTSIDE["prediction"]["sleepstudy_slope_reml"]
    days = column(own["subject_308"], "Days")
    found = sleep.predict({"Days": days, "Subject": ["308"] * len(days)}, se=True)
    np.testing.assert_allclose(found["std_error"], own["glmmTMB_reml_se_308"]["se"], rtol=1e-6)


def test_a_binomial_model(cbpp: ml.MixedModelResults) -> None:
    own = OUTSIDE["prediction"]["cbpp_logit_laplace"]
    periods = pd.DataFrame({"period": [str(row["period"]) for row in own["population"]]})
    typical = cbpp.predict(periods, random="zero", se=True)
    np.testing.assert_allclose(typical["estimate"], column(own["population"], "response"), rtol=1e-6)
    np.testing.assert_allclose(typical["std_error"], column(own["population"], "se_response"), rtol=1e-6)
    table = own["glmmTMB_conditional"]
    known = pd.DataFrame({"period": [str(row["period"]) for row in table], "herd": column(table, "herd")})
    found = cbpp.predict(known, kind="link", interval="confidence")
    np.testing.assert_allclose(found["estimate"], column(table, "link"), rtol=1e-6)
    np.testing.assert_allclose(found["std_error"], column(table, "se_link"), rtol=1e-6)
    means = cbpp.predict(known, interval="confidence")
    np.testing.assert_allclose(means["lower"], special.expit(found["lower"]), rtol=1e-12)
    np.testing.assert_allclose(means["upper"], special.expit(found["upper"]), rtol=1e-12)


@pytest.mark.parametrize("name", ["cbpp_logit_agq25", "cbpp_probit_agq25", "cbpp_cloglog_agq25"])
def test_means_over_groups(name: str) -> None:
    """Own quadrature in R, exact to 1e-13; errors with the joint covariance of all parameters, or beta's alone."""
    own = OUTSIDE["effects"][name]
    link = own["family"].split()[1]
    results = ml.fit(own["formula"], read_data("cbpp"), "binomial", link=link, n_quadrature=25)
    table = [row for row in own["integrated"] if row["name"].startswith("P(")]
    found = results.predict({"period": ["1", "2", "3", "4"]}, random="marginal", interval="confidence")
    np.testing.assert_allclose(found["estimate"], column(table, "estimate"), rtol=2e-7)
    np.testing.assert_allclose(found["std_error"], column(table, "se"), rtol=1e-5)
    assert (found["lower"] < found["estimate"]).all()
    assert (found["estimate"] < found["upper"]).all()


def test_a_new_count() -> None:
    """Quantiles of a new count at the estimates themselves.

    For a known group the file has its posterior, which here is taken for normal: upper quantiles may differ by one.
    """
    data = read_data("epil")
    results = ml.fit("y ~ lbase * trt + lage + V4 + (1 | subject)", data, "poisson", n_quadrature=25)
    own = OUTSIDE["prediction"]["epil_intercept_agq25_new_observation"]
    picked = data.iloc[[0, 3, 199, 232]]
    for random, table in (("marginal", own["new_group"]), ("conditional", own["known_group"])):
        rows = rows_of(results.fit, picked, (random,), parameters=("",))
        at = moments(results.fit, rows)
        found = quantiles(results.fit, rows, replace(at, covariance=np.zeros_like(at.covariance)), (0.025, 0.5, 0.975))
        np.testing.assert_allclose(found, [row["quantiles"] for row in table], atol=random == "conditional")
    mean = results.predict(picked, random="marginal")
    np.testing.assert_allclose(mean, column(own["new_group"], "mean"), rtol=1e-7)
    wider = results.predict(picked, random="marginal", interval="prediction")
    assert (wider["upper"] >= [row["quantiles"][2] for row in own["new_group"]]).all()


# ---- integrals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "cauchit", "log", "sqrt"])
@pytest.mark.parametrize("sd", [0.05, 1.0, 5.0])
def test_normal_means(link: str, sd: float) -> None:
    """Value and derivatives against adaptive quadrature, also where the normal distribution is wide."""
    family = ml.Family("binomial" if link in ("logit", "probit", "cloglog", "cauchit", "log") else "poisson", link)
    centre = np.array([-6.0, -1.2, 0.4, 3.0])

    nodes, weights = np.polynomial.legendre.leggauss(40)
    edges = np.linspace(-16.0, 24.0, 321)
    z = (0.5 * np.diff(edges)[:, None] * (nodes + 1.0) + edges[:-1, None]).ravel()
    w = (0.5 * np.diff(edges)[:, None] * weights).ravel() * stats.norm.pdf(z)

    def brute(c: float, weight: Array) -> float:
        return float((w * weight) @ family.mean(c + sd * z))

    found = mean_of_link(link, centre, np.full(4, sd))
    if found is None:
        found = normal_mean(
            lambda p, _: family.mean(p.ravel()).reshape(p.shape[:2]), centre[:, None], np.full((4, 1), sd)
        )
    for k, c in enumerate(centre):
        assert found.value[k] == pytest.approx(brute(c, np.ones_like(z)), rel=1e-10)
        assert found.by_centre[k, 0] == pytest.approx(brute(c, z / sd), rel=1e-8, abs=1e-12)
        assert found.by_variance[k, 0] == pytest.approx(brute(c, (z**2 - 1) / (2 * sd**2)), rel=1e-7, abs=1e-9)


def test_means_of_several_variables() -> None:
    """A product of functions of independent variables has the product of their means."""
    centre, sd = np.array([[0.3, -1.0]]), np.array([[0.7, 1.4]])
    found = normal_mean(lambda p, _: special.expit(p[..., 0]) * special.expit(p[..., 1]), centre, sd)
    one, two = (mean_of_link("logit", centre[:, k], sd[:, k]) for k in (0, 1))
    assert isinstance(one, Means)
    assert isinstance(two, Means)
    np.testing.assert_allclose(found.value, one.value * two.value, rtol=1e-13)
    np.testing.assert_allclose(found.by_centre[:, 1], one.value * two.by_centre[:, 0], rtol=1e-12)


# ---- distributions of responses ------------------------------------------------------------------------------------


def mean_by_tails(family: ml.Family, eta: float, phi: tuple[float, ...], size: float) -> float:
    """E y from the probabilities of more than y."""
    fit: Any = type("Fit", (), {"family": family})()
    points = np.array([[[eta, *phi]]])

    def more(y: Array) -> Array:
        repeated = np.repeat(points, len(y), axis=0)
        sizes = np.full((len(y), 1), size)
        return 1.0 - response_cdf(fit, repeated, sizes, np.ones_like(sizes))(y[:, None])[:, 0]

    if family.support in ("counts", "positive counts", "trials"):
        return float(more(np.arange(size if family.support == "trials" else 400.0)).sum()) / size
    far = 1.0 if family.support in ("open unit", "closed unit") else 200.0
    nodes, weights = np.polynomial.legendre.leggauss(400)
    total = 0.0
    edges = np.concatenate([[0.0], np.geomspace(1e-6, far, 12)])
    for low, high in pairwise(edges):
        total += 0.5 * (high - low) * float(weights @ more(0.5 * (high - low) * nodes + 0.5 * (high + low)))
    if family.support == "numbers":
        total -= float(integrate.quad(lambda y: 1.0 - more(np.array([y]))[0], -200.0, 0.0, points=[-5.0], limit=200)[0])
    return total


@pytest.mark.parametrize(
    ("name", "link", "phi"), [own for own in settings() if not CASES[own[0]].slow and own[2] == CASES[own[0]].phi[0]]
)
def test_cdf_of_every_family(name: str, link: str, phi: tuple[float, ...]) -> None:
    family = ml.Family(name, link)
    eta = float(family.link_of_mean(np.array([0.35]))[0])
    size = 4.0 if family.support == "trials" else 1.0
    expected = float(family.response_mean([eta], np.array(phi), np.array([size]))[0])
    assert mean_by_tails(family, eta, phi, size) == pytest.approx(expected, rel=2e-5)


MODIFIED = [
    (own, phi)
    for own, phi in modified_settings()
    if not CASES[own.base].slow and phi[: own.n_base] == CASES[own.base].phi[0]
]


@pytest.mark.parametrize(("own", "phi"), MODIFIED, ids=name_of)
def test_cdf_of_every_modified_family(own: Modified, phi: tuple[float, ...]) -> None:
    family = own.family
    eta = float(family.link_of_mean(np.array([0.35]))[0])
    size = 4.0 if family.support == "trials" else 1.0
    expected = float(family.response_mean([eta], np.array(phi), np.array([size]))[0])
    assert mean_by_tails(family, eta, phi, size) == pytest.approx(expected, rel=2e-5)


# ---- the joint covariance of parameters and modes ------------------------------------------------------------------


def crossed(n: int = 150) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"a": rng.integers(0, 12, n), "b": rng.integers(0, 8, n), "x": rng.normal(size=n)})
    slope = 0.4 + rng.normal(0, 0.5, 12)[data["a"]]
    eta = 0.5 + slope * data["x"] + rng.normal(0, 0.6, 12)[data["a"]] + rng.normal(0, 0.5, 8)[data["b"]]
    return data.assign(y=rng.poisson(np.exp(eta)), z=rng.binomial(1, 0.3, n))


def modes_by_newton(log_density: Any, size: int) -> tuple[Array, Array]:
    """The peak of a log density of spherical random effects and the inverse of its curvature there."""
    best = optimize.minimize(lambda v: -log_density(v), np.zeros(size), method="BFGS", options={"gtol": 1e-9})
    v = best.x
    for _ in range(3):  # to rounding, by differences
        gradient, hessian = differences(log_density, v)
        v = v - np.linalg.solve(hessian, gradient)
    return v, np.linalg.inv(-differences(log_density, v)[1])


def differences(function: Any, at: Array, step: float = 1e-3) -> tuple[Array, Array]:
    """Gradient and Hessian by central differences."""
    unit = step * np.eye(len(at))
    gradient = np.array([(function(at + e) - function(at - e)) / (2 * step) for e in unit])
    hessian = np.array(
        [
            [function(at + e + f) - function(at + e - f) - function(at - e + f) + function(at - e - f) for f in unit]
            for e in unit
        ]
    )
    return gradient, hessian / (4 * step**2)


def test_crossed_factors() -> None:
    """Written from the definition: modes as a function of all parameters, differentiated by differences."""
    data = crossed()
    results = ml.fit("y ~ x + (1 + x | a) + (1 | b)", data, "poisson")
    fit = results.fit
    x, y, a, b = (data[c].to_numpy() for c in ("x", "y", "a", "b"))
    n_a, n_b = 12, 8

    def effects(psi: Array, v: Array) -> tuple[Array, Array]:
        factor = np.array([[psi[2], 0.0], [psi[3], psi[4]]])
        return v[: 2 * n_a].reshape(n_a, 2) @ factor.T, psi[5] * v[2 * n_a :]

    def predictor(psi: Array, v: Array, rows: Any = slice(None)) -> Array:
        u, w = effects(psi, v)
        return np.asarray(psi[0] + psi[1] * x[rows] + u[a[rows], 0] + u[a[rows], 1] * x[rows] + w[b[rows]])

    def loads(psi: Array) -> Array:
        return np.column_stack([predictor(psi, e) - predictor(psi, 0 * e) for e in np.eye(2 * n_a + n_b)])

    def modes(psi: Array) -> tuple[Array, Array]:
        own, v = loads(psi), np.zeros(2 * n_a + n_b)
        for _ in range(40):
            mu = np.exp(predictor(psi, v))
            precision = np.eye(len(v)) + own.T @ (mu[:, None] * own)
            v = v + np.linalg.solve(precision, own.T @ (y - mu) - v)
        return v, np.linalg.inv(precision)

    psi = fit.psi
    covariance = modes(psi)[1]
    own = loads(psi)
    conditional = np.einsum("ni,ij,nj->n", own, covariance, own)
    step = 1e-4
    moved = [predictor(psi + e, modes(psi + e)[0]) - predictor(psi - e, modes(psi - e)[0]) for e in step * np.eye(6)]
    gradient = np.array(moved).T / (2 * step)
    expected = np.sqrt(conditional + np.einsum("np,pq,nq->n", gradient, fit.covariance, gradient))
    found = results.predict(kind="link", se=True)
    np.testing.assert_allclose(found["std_error"], expected, rtol=1e-6)
    np.testing.assert_allclose(Joint(fit).v_by_psi.shape, (2 * n_a + n_b, 6))
    np.testing.assert_allclose(results.predict(data, kind="link", se=True), found, rtol=1e-9)
    one = results.predict(data, kind="link", random=["b"], se=True)
    assert (one["std_error"] > 0).all()


def test_random_effects_in_two_parts() -> None:
    """A zero part with random effects of its own, correlated with nothing but through the data."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(25), 12)
    x = rng.normal(size=len(g))
    u, w = rng.normal(0, 0.6, 25), rng.normal(0, 1.4, 25)
    zero = rng.uniform(size=len(g)) < special.expit(-0.8 + w[g])
    y = np.where(zero, 0, rng.poisson(np.exp(1.4 + 0.3 * x + u[g])))
    data = pd.DataFrame({"y": y, "x": x, "g": g})
    results = ml.fit("y ~ x + (1 | g)", data, "poisson", zero_inflation="~ 1 + (1 | g)", n_quadrature=5)
    fit = results.fit
    names = list(fit.parameter_names)
    at = [names.index(own) for own in ("g: (Intercept)", "g: zero: (Intercept)", "zero: (Intercept)")]

    def log_density(psi: Array, v: Array) -> float:
        eta = psi[0] + psi[1] * x[own] + psi[at[0]] * v[0]
        none = special.expit(psi[at[2]] + psi[at[1]] * v[1])
        some = np.log1p(-none) + stats.poisson.logpmf(y[own], np.exp(eta))
        return float(np.where(y[own] == 0, np.log(none + np.exp(some)), some).sum() - 0.5 * v @ v)

    def response(psi: Array, v: Array, row: int) -> float:
        none = special.expit(psi[at[2]] + psi[at[1]] * v[1])
        return float((1 - none) * np.exp(psi[0] + psi[1] * x[row] + psi[at[0]] * v[0]))

    found = results.predict(se=True)
    for row in (0, 40, 200):
        own = g == g[row]
        v, covariance = modes_by_newton(lambda v: log_density(fit.psi, v), 2)
        by_v, _ = differences(lambda v, row=row: response(fit.psi, v, row), v, 1e-5)
        moved = []
        for e in 1e-3 * np.eye(len(fit.psi)):
            ends = [modes_by_newton(lambda v, p=p: log_density(p, v), 2)[0] for p in (fit.psi + e, fit.psi - e)]
            moved.append((response(fit.psi + e, ends[0], row) - response(fit.psi - e, ends[1], row)) / 2e-3)
        variance = by_v @ covariance @ by_v + np.array(moved) @ fit.covariance @ np.array(moved)
        assert found["std_error"].iloc[row] == pytest.approx(np.sqrt(variance), rel=1e-4)
    marginal = results.predict(data.iloc[:3], random="marginal", se=True)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    share = weights / weights.sum()
    none = special.expit(fit.psi[at[2]] + fit.psi[at[1]] * nodes) @ share
    expected = (1 - none) * np.exp(fit.psi[0] + fit.psi[1] * x[:3] + 0.5 * fit.psi[at[0]] ** 2)
    np.testing.assert_allclose(marginal["estimate"], expected, rtol=1e-8)
    mixed = results.predict(data.iloc[:3].assign(g=[0, 99, 99]), new_levels="marginal")
    np.testing.assert_allclose(mixed.iloc[1:], expected[1:], rtol=1e-8)
    assert mixed.iloc[0] == pytest.approx(results.predict().iloc[0], rel=1e-12)


# ---- every family --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [name for name in CASES if not CASES[name].slow and name != "tweedie"])
def test_intervals_of_every_family(family: str) -> None:
    rng = np.random.default_rng(8)
    case = CASES[family]
    g = np.repeat(np.arange(20), 8)
    x = rng.normal(size=len(g))
    link = next(iter(case.starts))
    start = case.starts[link]
    eta = start.intercept + start.scale * (0.5 * x + rng.normal(0, 0.7, 20)[g])
    y = drawn(rng, family, eta, size=6.0 if case.trials else 1.0)
    data = pd.DataFrame({"y": y, "rest": 6.0 - y, "x": x, "g": g})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        results = ml.fit(f"{'cbind(y, rest)' if case.trials else 'y'} ~ x + (1 | g)", data, family)
    new = data.iloc[::40]
    trials = 6 if case.trials else None
    for random in ("conditional", "marginal", "zero"):
        for kind in ("response", "link"):
            found = results.predict(new, random=random, kind=kind, interval="confidence")
            assert np.isfinite(found.to_numpy()).all()
            assert (found["lower"] < found["estimate"]).all()
            assert (found["estimate"] < found["upper"]).all()
            np.testing.assert_allclose(found["estimate"], results.predict(new, random=random, kind=kind), rtol=1e-12)
        ends = results.predict(new, random=random, interval="prediction", level=0.8, trials=trials)
        assert np.isfinite(ends.to_numpy()).all()
        assert (ends["lower"] <= ends["upper"]).all()
    inside = results.predict(interval="prediction", level=0.8)
    share = (inside["lower"] <= y) & (y <= inside["upper"])
    assert share.mean() > 0.72


def test_derivatives_of_the_response(cbpp: ml.MixedModelResults) -> None:
    """The error of the mean of a truncated count, whose derivatives are taken by differences, by the formula."""
    data = crossed()
    data = data[data["y"] > 0]
    results = ml.fit("y ~ x + (1 | a)", data, "truncated_poisson")
    new = pd.DataFrame({"x": [-1.0, 0.5]})
    found = results.predict(new, random="zero", se=True)
    mu = np.exp(results.params["(Intercept)"] + results.params["x"] * new["x"].to_numpy())
    rest = -np.expm1(-mu)
    slope = mu * (1 / rest - mu * np.exp(-mu) / rest**2)
    rows = np.column_stack([np.ones(2), new["x"]])
    error = np.sqrt(np.einsum("np,pq,nq->n", rows, results.cov_params().to_numpy(), rows))
    np.testing.assert_allclose(found["estimate"], mu / rest, rtol=1e-12)
    np.testing.assert_allclose(found["std_error"], slope * error, rtol=1e-9)


# ---- arguments -----------------------------------------------------------------------------------------------------


def test_rows_without_a_prediction(sleep: ml.MixedModelResults) -> None:
    new = pd.DataFrame({"Days": [1.0, np.nan], "Subject": ["308", "308"]})
    found = sleep.predict(new, interval="prediction")
    assert found.notna().all(axis=1).tolist() == [True, False]
    anew = sleep.predict(pd.DataFrame({"Days": [1.0], "Subject": ["somebody"]}), new_levels="marginal", se=True)
    typical = sleep.predict({"Days": [1.0]}, random="marginal", se=True)
    np.testing.assert_allclose(anew, typical)


def test_trials_and_weights(cbpp: ml.MixedModelResults, sleep: ml.MixedModelResults) -> None:
    data = read_data("cbpp").iloc[:4]
    found = cbpp.predict(data, interval="prediction", trials="size")
    np.testing.assert_array_equal(found, cbpp.predict(interval="prediction").iloc[:4])
    np.testing.assert_allclose(found["estimate"], data["size"] * cbpp.predict(data))
    precise = sleep.predict({"Days": [1.0]}, random="zero", interval="prediction", weights=4.0)
    plain = sleep.predict({"Days": [1.0]}, random="zero", interval="prediction")
    assert ((precise["upper"] - precise["lower"]) < 0.6 * (plain["upper"] - plain["lower"])).all()
    with pytest.raises(ml.DataError, match="weight other than one has no distribution"):
        cbpp.predict(data, interval="prediction", trials="size", weights=2.0)
    with pytest.raises(ml.DataError, match="trials must be positive"):
        cbpp.predict(data, interval="prediction", trials=0)
    with pytest.raises(ml.DataError, match="trials= goes with newdata"):
        cbpp.predict(trials=3)


def test_quasi_likelihood() -> None:
    """It has standard errors of what needs no response given the random effects."""
    data = read_data("cbpp")
    results = ml.fit("cbind(incidence, size - incidence) ~ period + (1 | herd)", data, "binomial", method="pql")
    for random in ("zero", "marginal"):
        assert results.predict(random=random, interval="confidence").notna().all().all()
    for options in ({"se": True}, {"interval": "prediction"}):
        with pytest.raises(ml.DataError, match="has no likelihood"):
            results.predict(**options)
    with pytest.raises(ml.DataError, match="has no likelihood"):
        results.icc()


def test_what_cannot_be(cbpp: ml.MixedModelResults) -> None:
    with pytest.raises(ValueError, match='it goes with kind="response"'):
        cbpp.predict(kind="link", interval="prediction")
    with pytest.raises(ValueError, match="interval='both' is not available"):
        cbpp.predict(interval="both")
    with pytest.raises(ValueError, match="level=95"):
        cbpp.predict(interval="confidence", level=95)
    with pytest.raises(ValueError, match="'mean' of 'herd' is none of"):
        cbpp.predict(random={"herd": "mean"})
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(30), 20)
    u = rng.normal(0, 0.3, 30)[g]
    waiting = pd.DataFrame({"y": rng.gamma(3.0, 1 / (3.0 * (2.0 + u))), "g": g})
    inverse = ml.fit("y ~ 1 + (1 | g)", waiting, "gamma", link="inverse")
    with pytest.raises(ml.DataError, match="does not exist with the inverse link"):
        inverse.predict(random="marginal")
    assert inverse.predict(random="zero", se=True).notna().all().all()
    counts = waiting.assign(y=rng.poisson(np.maximum(2.0 + 3.0 * u, 0.2)))
    identity = ml.fit("y ~ 1 + (1 | g)", counts, "poisson", link="identity")
    with pytest.raises(ml.DataError, match="with the identity link a group drawn anew"):
        identity.predict(random="marginal")
