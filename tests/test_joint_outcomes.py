"""Rows of several kinds, each with a family of its own: joint models of outcomes of different kinds."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

import multilevel as ml
from multilevel import _core

from .test_derivatives import difference

pytestmark = pytest.mark.filterwarnings("ignore::multilevel.QuadratureWarning")
FAMILIES = {"test": "binomial", "time": "lognormal"}
SHARED = "y ~ 0 + kind + kind:x + rr(0 + kind | person, d=1)"
CORRELATED = "y ~ 0 + kind + kind:x + (0 + kind | person)"


def long_form(n_persons: int = 40, seed: int = 3, n_rows: int = 4) -> pd.DataFrame:
    """Binary answers and times in the same rows' order mixed, of persons whose effects are correlated."""
    rng = np.random.default_rng(seed)
    n = n_persons * 2 * n_rows
    data = pd.DataFrame(
        {
            "person": np.repeat([f"p{k:03d}" for k in range(n_persons)], 2 * n_rows),
            "kind": np.tile(["test", "time"], n_persons * n_rows),
            "x": rng.standard_normal(n),
        }
    )
    effects = rng.standard_normal((n_persons, 2)) @ np.array([[1.0, 0.0], [0.35, 0.3]]).T
    u = effects[np.repeat(np.arange(n_persons), 2 * n_rows), np.tile([0, 1], n_persons * n_rows)]
    answer = (rng.uniform(size=n) < special.expit(0.4 + 0.8 * data["x"] + u)).astype(float)
    time = np.exp(1.0 - 0.3 * data["x"] + u + 0.5 * rng.standard_normal(n) - 0.125)
    data["y"] = np.where(data["kind"] == "test", answer, time)
    return data


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return long_form()


@pytest.fixture(scope="module")
def correlated(data: pd.DataFrame) -> ml.MixedModelResults:
    return ml.fit(CORRELATED, data, ml.MixedFamily("kind", **FAMILIES))


# ---- the likelihood ----------------------------------------------------------------------------------------------


def row_log_densities(data: pd.DataFrame, fixed: np.ndarray, u: np.ndarray, sigma: float) -> np.ndarray:
    """Per row and column of `u` (rows, points), by SciPy alone."""
    eta = fixed[:, None] + u
    y = data["y"].to_numpy()[:, None]
    answer = np.where(y == 1, special.log_expit(eta), special.log_expit(-eta))
    time = stats.lognorm.logpdf(np.maximum(y, 1e-300), sigma, scale=np.exp(eta - 0.5 * sigma**2))
    return np.where((data["kind"] == "test").to_numpy()[:, None], answer, time)


def by_hand(fit: ml.MixedModelResults, data: pd.DataFrame, points: int) -> float:
    """The marginal log-likelihood at the fit's estimates, by the definition: with one point the Laplace approximation,
    else Gauss-Hermite nodes around the mode, on the scale of the inverse Hessian there.
    """
    sigma, half = fit.family_params["time: sigma"], fit.fit.theta[0]
    fixed = fit.fit.linear_predictor(tuple(np.zeros_like(own) for own in fit.fit.modes))
    test = (data["kind"] == "test").to_numpy()
    nodes, weights = np.polynomial.hermite.hermgauss(points)
    grid = np.array(list(product(range(points), repeat=2))).T
    total = 0.0
    for rows in data.groupby("person", sort=False).indices.values():
        z = np.column_stack([test[rows], ~test[rows]]) @ half  # columns of the spherical effects

        def value(v: np.ndarray, rows: Any = rows, z: Any = z) -> np.ndarray:
            own = row_log_densities(data.iloc[rows], fixed[rows], z @ v, sigma)
            return own.sum(axis=0) - 0.5 * (v**2).sum(axis=0)

        found = optimize.minimize(lambda v, f=value: -f(v[:, None])[0], np.zeros(2), method="BFGS", tol=1e-10)
        probability = special.expit(fixed[rows] + z @ found.x)
        information = np.where(test[rows], probability * (1.0 - probability), sigma**-2)
        root = np.linalg.cholesky(np.linalg.inv(np.eye(2) + z.T @ (information[:, None] * z)))
        at = found.x[:, None] + root @ (np.sqrt(2.0) * nodes[grid])
        logs = value(at) + np.log(weights[grid]).sum(axis=0) + (nodes[grid] ** 2).sum(axis=0)
        total += special.logsumexp(logs) + np.log(np.linalg.det(root)) - np.log(np.pi)
    return total


@pytest.mark.parametrize("points", [1, 25])
def test_correlated_effects_by_the_definition(data: pd.DataFrame, points: int) -> None:
    some = data.iloc[: 12 * 8].reset_index(drop=True)
    fit = ml.fit(CORRELATED, some, {"kind": FAMILIES}, n_quadrature=points)
    assert fit.llf == pytest.approx(by_hand(fit, some, points), abs=2e-7)


@pytest.mark.parametrize("points", [1, 5])
def test_independent_kinds_are_separate_fits(data: pd.DataFrame, points: int) -> None:
    families = {"test": ml.Family("binomial", "probit"), "time": ml.Family("gamma", "log")}
    joint = ml.fit("y ~ 0 + kind + kind:x + diag(0 + kind | person)", data, {"kind": families}, n_quadrature=points)
    apart = {
        kind: ml.fit("y ~ x + (1 | person)", data[data["kind"] == kind], family, n_quadrature=points)
        for kind, family in families.items()
    }
    assert joint.converged
    assert joint.llf == pytest.approx(sum(fit.llf for fit in apart.values()), abs=1e-7)
    for kind, fit in apart.items():
        for name, other in ((f"kind[{kind}]", "(Intercept)"), (f"kind[{kind}]:x", "x")):
            assert joint.params[name] == pytest.approx(fit.params[other], abs=2e-5)
            assert joint.bse[name] == pytest.approx(fit.bse[other], rel=2e-4)
    assert joint.family_params["time: shape"] == pytest.approx(apart["time"].family_params["shape"], rel=1e-4)


MANY = {
    "count": "negative_binomial",
    "share": "beta",
    "more": ml.Family("poisson", zero="inflation"),
    "number": "student_t",
}


def many_kinds() -> pd.DataFrame:
    """Four kinds, with weights and offsets, on two crossed factors."""
    rng = np.random.default_rng(11)
    n = 320
    data = pd.DataFrame(
        {
            "kind": rng.permutation(np.tile(list(MANY), n // 4)),
            "g": rng.integers(0, 20, n),
            "h": rng.integers(0, 6, n),
            "x": rng.standard_normal(n),
            "o": 0.1 * rng.standard_normal(n),
        }
    )
    eta = 0.5 + 0.3 * data["x"] + data["o"] + (0.6 * rng.standard_normal(20))[data["g"]]
    draws = {
        "count": rng.negative_binomial(3, 3 / (3 + np.exp(eta))),
        "share": np.clip(rng.beta(4 * special.expit(eta), 4 * special.expit(-eta)), 1e-6, 1 - 1e-6),
        "more": np.where(rng.uniform(size=n) < 0.3, 0, rng.poisson(np.exp(eta))),
        "number": eta + rng.standard_t(6, n),
    }
    data["y"] = np.select([data["kind"] == kind for kind in MANY], [draws[kind] for kind in MANY])
    return data


@pytest.mark.parametrize(
    ("bars", "points"),
    [("(1 + x | g)", 1), ("(1 | g)", 5), ("(1 | h) + (1 | g)", 1), ("rr(0 + kind | g, d=1)", 1), ("(1 | h/g)", 3)],
)
def test_derivatives_by_differences(bars: str, points: int) -> None:
    data = many_kinds()
    model = ml.MixedModel(f"y ~ 0 + kind + x + offset(o) + {bars}", data, {"kind": MANY}, weights=1 + data.index % 2)
    core, y = model._core, model.design.response.values
    rng = np.random.default_rng(1)
    psi = 0.3 + 0.2 * rng.standard_normal(core.n_beta + core.n_theta + core.n_phi)

    def value(at: np.ndarray) -> float:
        return _core.evaluate(core, y, at, points, 1)[0]

    found, gradient, hessian = _core.evaluate(core, y, psi, points, 1)
    assert np.isfinite(found)
    for along in rng.standard_normal((2, len(psi))) * rng.choice([0.0, 1.0], len(psi), p=[0.3, 0.7]):
        by = difference(lambda t, d=along: value(psi + t * d), 0.0, 0.01)
        assert gradient @ along == pytest.approx(by, rel=1e-6, abs=1e-6)
    if "h" not in bars:  # elsewhere the Hessian is from differences of that gradient
        by = difference(lambda t: _core.evaluate(core, y, psi + t * along, points, 1)[1], 0.0, 0.01)
        assert np.allclose(hessian @ along, by, rtol=1e-5, atol=1e-5)


def test_bits_do_not_depend_on_threads(data: pd.DataFrame) -> None:
    large = pd.concat([data.assign(person=data["person"] + str(k)) for k in range(12)])
    model = ml.MixedModel(CORRELATED, large, {"kind": FAMILIES})
    psi = np.array([0.3, 1.0, 0.7, -0.3, 1.0, 0.3, 0.3, -0.7])
    y = model.design.response.values
    one, two = (_core.evaluate(model._core, y, psi, 3, threads) for threads in (1, 2))
    assert one[0] == two[0]
    assert np.array_equal(one[1], two[1])
    assert np.array_equal(one[2], two[2])


def test_weights_repeat_rows(data: pd.DataFrame) -> None:
    some = data.iloc[:160]
    twice = pd.concat([some, some])
    formula = "y ~ 0 + kind + kind:x + (1 | person)"
    weighted = ml.fit(formula, some, {"kind": FAMILIES}, weights=np.full(160, 2.0))
    repeated = ml.fit(formula, twice, {"kind": FAMILIES})
    assert weighted.llf == pytest.approx(repeated.llf, abs=1e-7)


def test_trials_of_a_kind() -> None:
    rng = np.random.default_rng(4)
    n = 120
    data = pd.DataFrame(
        {"g": np.repeat(np.arange(15), 8), "kind": np.tile([1, 2], n // 2), "x": rng.standard_normal(n)}
    )
    u = 0.7 * rng.standard_normal(15)[data["g"]]
    size = np.where(data["kind"] == 1, rng.integers(2, 9, n), 1)
    hits = rng.binomial(size, special.expit(0.2 + 0.5 * data["x"] + u))
    data["y"] = np.where(data["kind"] == 1, hits, 2.0 + u + 0.5 * rng.standard_normal(n))
    data["rest"] = np.where(data["kind"] == 1, size - hits, 0)
    data["share"] = np.where(data["kind"] == 1, hits / size, data["y"])
    family = ml.MixedFamily("kind", {1: "binomial", 2: "gaussian"})
    right = "0 + factor(kind) + x + diag(0 + factor(kind) | g)"
    counts = ml.fit(f"cbind(y, rest) ~ {right}", data, family)
    shares = ml.fit(f"share ~ {right}", data, family, weights=size)
    assert counts.llf == pytest.approx(shares.llf, abs=1e-9)
    first = ml.fit("cbind(y, rest) ~ x + (1 | g)", data[data["kind"] == 1], "binomial")
    plain = ml.fit("cbind(y, rest) ~ 0 + factor(kind) + factor(kind):x + diag(0 + factor(kind) | g)", data, family)
    second = ml.fit("y ~ x + (1 | g)", data[data["kind"] == 2], method="ml")
    assert plain.llf == pytest.approx(first.llf + second.llf, abs=1e-7)
    means = plain.fittedvalues[data["kind"] == 1]
    assert np.allclose(means, first.fittedvalues, atol=1e-5)


def survival(n_persons: int = 50) -> pd.DataFrame:
    """Repeated measurements of a person, and a time of which some are known to be longer."""
    rng = np.random.default_rng(31)
    u = rng.standard_normal(n_persons)
    size = 5
    marker = pd.DataFrame({"person": np.repeat(np.arange(n_persons), size), "kind": "marker"})
    marker["y"] = 1.0 + 0.8 * u[marker["person"]] + 0.4 * rng.standard_normal(len(marker))
    marker["end"] = marker["y"]
    time = pd.DataFrame({"person": np.repeat(np.arange(n_persons), 3), "kind": "time"})
    found = np.exp(0.5 - 0.5 * u[time["person"]]) * rng.weibull(1.5, len(time))
    time["y"], time["end"] = np.minimum(found, 2.0), np.where(found > 2.0, np.inf, found)
    return pd.concat([marker, time], ignore_index=True)


def test_times_that_are_known_in_part() -> None:
    data = survival()
    families = {"marker": "gaussian", "time": "weibull"}
    formula = "interval(y, end) ~ 0 + kind + diag(0 + kind | person)"
    joint = ml.fit(formula, data, {"kind": families}, n_quadrature=7)
    time = ml.fit("interval(y, end) ~ 1 + (1 | person)", data[data["kind"] == "time"], "weibull", n_quadrature=7)
    marker = ml.fit("y ~ 1 + (1 | person)", data[data["kind"] == "marker"], method="ml")
    assert joint.llf == pytest.approx(time.llf + marker.llf, abs=1e-7)
    at = (data["kind"] == "time").to_numpy()
    exact = np.isfinite(data["end"].to_numpy()[at])  # the others are put at random within what is known
    assert np.allclose(joint.residuals("quantile")[at][exact], time.residuals("quantile")[exact], atol=1e-3)
    n = int(np.isinf(data["end"]).sum())
    assert f"Known in part: {n} of {len(data)} responses" in str(joint.summary())
    shared = ml.fit(
        "interval(y, end) ~ 0 + kind + rr(0 + kind | person, d=1)", data, {"kind": families}, n_quadrature=9
    )
    assert shared.llf > joint.llf + 5.0
    few = data.assign(y=np.where(at, data["y"], 1.0), end=np.where(at, data["end"], 2.0))
    with pytest.raises(ml.DataError, match=r"rows of kind 'marker': .*has to know it"):
        ml.MixedModel(formula, few, {"kind": {"marker": "poisson", "time": "weibull"}})
    with pytest.raises(ml.DataError, match="distribution function"):
        ml.MixedModel(formula, data, {"kind": {"marker": "poisson", "time": "tweedie"}})


# ---- what is shared is found -------------------------------------------------------------------------------------


def test_one_effect_with_loadings_is_recovered() -> None:
    rng = np.random.default_rng(12)
    n_persons = 300
    data = long_form(n_persons, seed=9)
    ability = np.repeat(rng.standard_normal(n_persons), 8)
    test = (data["kind"] == "test").to_numpy()
    answer = (rng.uniform(size=len(data)) < special.expit(0.3 + 0.8 * data["x"] + 1.2 * ability)).astype(float)
    time = np.exp(1.0 - 0.3 * data["x"] - 0.4 * ability + 0.5 * rng.standard_normal(len(data)) - 0.125)
    data["y"] = np.where(test, answer, time)
    fit = ml.fit(SHARED, data, {"kind": FAMILIES}, n_quadrature=9)
    assert fit.converged
    truth = {"kind[test]": 0.3, "kind[time]": 1.0, "kind[test]:x": 0.8, "kind[time]:x": -0.3}
    for name, value in truth.items():
        assert abs(fit.params[name] - value) < 3.5 * fit.bse[name]
    loadings = fit.fit.theta[0][:, 0] * np.sign(fit.fit.theta[0][0, 0])
    error = np.sqrt(np.diag(fit.fit.covariance))[4:6]
    assert (np.abs(loadings - [1.2, -0.4]) < 3.5 * error).all()
    assert fit.family_params["time: sigma"] == pytest.approx(0.5, rel=0.1)


def test_scales_that_differ_by_far() -> None:
    data = long_form(60, seed=6)
    gaussian = {"kind": {"test": "binomial", "time": "gaussian"}}
    data["y"] = np.where(data["kind"] == "time", np.log(np.maximum(data["y"], 1e-9)), data["y"])
    small = ml.fit(CORRELATED, data, gaussian)
    large = ml.fit(CORRELATED, data.assign(y=np.where(data["kind"] == "time", 1e5 * data["y"], data["y"])), gaussian)
    n = int((data["kind"] == "time").sum())
    assert small.converged
    assert large.converged
    assert large.llf == pytest.approx(small.llf - n * np.log(1e5), abs=1e-6)


# ---- after the fit -----------------------------------------------------------------------------------------------


def test_rows_as_in_separate_fits(data: pd.DataFrame) -> None:
    joint = ml.fit("y ~ 0 + kind + kind:x + diag(0 + kind | person)", data, {"kind": FAMILIES})
    new = data.iloc[:10].drop(columns="y")
    whole = joint.predict(new, se=True, interval="confidence")
    marginal = joint.predict(new, random="marginal")
    for kind, family in FAMILIES.items():
        rows = (data["kind"] == kind).to_numpy()
        fit = ml.fit("y ~ x + (1 | person)", data[rows], family)
        assert np.allclose(joint.fittedvalues[rows], fit.fittedvalues, rtol=1e-4)
        for residual in ("response", "pearson", "deviance"):
            assert np.allclose(joint.residuals(residual)[rows], fit.residuals(residual), atol=2e-4)
        own = new[new["kind"] == kind]
        expected = fit.predict(own, se=True, interval="confidence")
        assert np.allclose(whole.loc[own.index].to_numpy(), expected.to_numpy(), rtol=1e-3)
        assert np.allclose(marginal[own.index], fit.predict(own, random="marginal"), rtol=1e-4)
    time = ml.fit("y ~ x + (1 | person)", data[data["kind"] == "time"], "lognormal")
    quantile = joint.residuals("quantile")[(data["kind"] == "time").to_numpy()]
    assert np.allclose(quantile, time.residuals("quantile"), atol=1e-3)


def test_draws_have_the_law_of_their_kind(correlated: ml.MixedModelResults, data: pd.DataFrame) -> None:
    drawn = correlated.simulate(400, seed=2, random="conditional").to_numpy()
    test = (data["kind"] == "test").to_numpy()
    assert set(np.unique(drawn[test])) == {0.0, 1.0}
    assert (drawn[~test] > 0).all()
    mean = correlated.fittedvalues.to_numpy()
    spread = drawn.std(axis=1) / np.sqrt(drawn.shape[1])
    assert (np.abs(drawn.mean(axis=1) - mean) < 5 * spread).all()


def test_bootstrap_and_refit(correlated: ml.MixedModelResults) -> None:
    table = correlated.bootstrap(4, seed=1)
    assert np.isfinite(table.estimates.to_numpy()).any(axis=0).all()
    again = correlated.model.refit(correlated.simulate(1, seed=7)[0])
    assert again.converged


def test_simulate_from_parameters(data: pd.DataFrame, correlated: ml.MixedModelResults) -> None:
    params = {
        "kind[test]": 0.0,
        "kind[time]": 1.0,
        "kind[test]:x": 1.0,
        "kind[time]:x": 0.0,
        "person: sd": 0.5,
        "person: cor": 0.3,
        "time: sigma": 0.4,
    }
    drawn = ml.simulate(CORRELATED, data.drop(columns="y"), {"kind": FAMILIES}, params=params, seed=3)
    test = (data["kind"] == "test").to_numpy()
    assert set(np.unique(drawn[0][test])) == {0.0, 1.0}
    assert 0.3 < np.log(drawn[0][~test]).std() < 1.0


def test_saved_and_loaded(correlated: ml.MixedModelResults, data: pd.DataFrame, tmp_path: Path) -> None:
    correlated.save(tmp_path / "joint.mlfit")
    loaded = ml.load(tmp_path / "joint.mlfit")
    assert loaded.fit.family == correlated.fit.family
    assert loaded.llf == correlated.llf
    new = data.iloc[:5].drop(columns="y")
    assert np.array_equal(loaded.predict(new), correlated.predict(new))


def test_reports(correlated: ml.MixedModelResults) -> None:
    page = str(correlated.summary())
    assert "Kinds of rows" in page
    assert "lognormal ( log )" in page
    assert "time: sigma" in page
    tidy = correlated.tidy()
    assert list(tidy.loc[tidy["effect"] == "family", "term"]) == ["time: sigma"]
    assert list(correlated.family_parameters().index) == ["time: sigma"]
    assert set(correlated.family_params) == {"time: sigma"}


def test_profile_of_a_kinds_parameter(correlated: ml.MixedModelResults) -> None:
    lower, upper = correlated.conf_int(method="profile", which="time: sigma").to_numpy()[0]
    assert lower < correlated.family_params["time: sigma"] < upper


def test_checks_and_tests(correlated: ml.MixedModelResults) -> None:
    assert correlated.check().table["p_value"].between(0.0, 1.0).all()
    joint = correlated.wald_test("kind[test]:x = 0, kind[time]:x = 0")
    assert joint.p_value < 1e-6
    robust = correlated.cov_params(robust="CR0")
    assert np.allclose(np.sqrt(np.diag(robust)), correlated.bse, rtol=0.6)


# ---- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ml.MixedFamily("kind", test="binomial"), "two kinds or more"),
        (lambda: ml.MixedFamily("kind", {1: "poisson", "1": "gamma"}), "there twice"),
        (lambda: ml.MixedFamily("", a="poisson", b="gamma"), "name of the column"),
        (lambda: ml.MixedFamily("kind", a="cumulative", b="gamma"), "thresholds"),
        (lambda: ml.MixedFamily("kind", a=ml.Family("poisson", "sqrt"), b="gamma"), "either sign one mean"),
        (lambda: ml.MixedFamily("kind", **dict.fromkeys("abcd", "tweedie")), "8 parameters"),
        (lambda: ml.MixedFamily("kind", a="normall", b="gamma"), "no family 'normall'"),
        (lambda: ml.MixedFamily("kind", a="poisson", b="gamma").with_link("log"), "link of its own"),
        (lambda: ml.MixedFamily("kind", a="poisson", b="gamma").mean([0.0]), "depends on the kind"),
    ],
)
def test_families_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(ml.DataError, match=message):
        make()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            lambda d: d.assign(kind=np.where(d.index == 4, "other", d["kind"])),
            {},
            "'other' in row 4 .*, a kind that has no",
        ),
        (lambda d: d[d["kind"] == "test"], {}, "no row is of kind 'time'"),
        (lambda d: d.rename(columns={"kind": "kinds"}), {}, "no column 'kind'"),
        (lambda d: d.assign(y=d["y"].where(d["kind"] == "test", 0.0)), {}, "rows of kind 'time': .*above zero"),
        (lambda d: d.assign(y=2.0), {}, "rows of kind 'test': .*0 and 1"),
        (lambda d: d, {"dispersion": "~ x"}, "same for all rows of the kind"),
        (lambda d: d, {"zero_inflation": True}, "family of a kind"),
        (lambda d: d, {"link": "log"}, "link of its own"),
        (lambda d: d.assign(kind=d["kind"].where(d.index != 3)), {"missing": "raise"}, "missing value"),
    ],
)
def test_data_that_cannot_be(data: pd.DataFrame, change: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ml.DataError, match=message):
        ml.MixedModel("y ~ x + (1 | person)", change(data), {"kind": FAMILIES}, **options)


def test_rows_without_a_kind_are_left_out(data: pd.DataFrame) -> None:
    model = ml.MixedModel(
        "y ~ x + (1 | person)", data.assign(kind=data["kind"].where(data.index != 3)), {"kind": FAMILIES}
    )
    assert (model.design.n_rows, model.design.n_missing) == (len(data) - 1, 1)


def test_one_row_of_a_kind_tells_no_variance(data: pd.DataFrame) -> None:
    few = pd.concat([data[data["kind"] == "test"], data[data["kind"] == "time"].groupby("person").head(1)])
    with pytest.raises(ml.DataError, match="one row of kind 'time'"):
        ml.MixedModel(CORRELATED, few, {"kind": {"test": "binomial", "time": "gaussian"}})
    assert ml.fit(SHARED, few, {"kind": FAMILIES}, n_quadrature=5).converged


def test_new_rows_need_their_kind(correlated: ml.MixedModelResults, data: pd.DataFrame) -> None:
    with pytest.raises(ml.DataError, match="kind"):
        correlated.predict(data.iloc[:3].drop(columns="kind"))
    lost = data.iloc[:3].assign(kind=["test", None, "time"])
    assert list(correlated.predict(lost).isna()) == [False, True, False]


@pytest.mark.parametrize(
    "ask",
    [
        lambda r: r.predict(kind="mean"),
        lambda r: r.predict(interval="prediction"),
        lambda r: r.icc(),
        lambda r: r.r2(),
        lambda r: r.linktest(),
        lambda r: r.population_average(),
        lambda r: r.tidy(exponentiate=True),
        lambda r: r.interpret(),
        lambda r: r.equation(),
        lambda r: r.marginal_means("kind", kind="response"),
        lambda r: r.median_odds_ratio(),
        lambda r: r.item_parameters(),
    ],
)
def test_what_has_no_meaning_for_all_kinds(correlated: ml.MixedModelResults, ask: Any) -> None:
    with pytest.raises(ml.DataError, match="several kinds"):
        ask(correlated)


def test_core_refuses_what_python_does() -> None:
    binomial = _core.Family("binomial", "logit")
    with pytest.raises(ValueError, match="two kinds"):
        _core.Family.by_row(["a"], [binomial])
    family = _core.Family.by_row(["a", "b"], [binomial, binomial])
    with pytest.raises(ValueError, match="kind of each row"):
        _core.Model("", "", 2, None, None, None, [None], [], [], [], own_family=family)
