"""Families whose log density is written in Python."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import integrate, special, stats

import multilevel as ml
from multilevel import _core
from multilevel.family.elementary import FUNCTIONS
from multilevel.family.series import variables

Array = NDArray[np.float64]


# ---- densities, written as a user would ---------------------------------------------------------------------------


def poisson(y: Any, eta: Any) -> Any:
    return y * eta - np.exp(eta) - special.gammaln(y + 1)


def negative_binomial(y: Any, eta: Any, log_size: Any) -> Any:
    size = np.exp(log_size)
    constants = special.gammaln(y + size) - special.gammaln(size) - special.gammaln(y + 1)
    return constants + y * (eta - log_size) - (y + size) * np.log1p(np.exp(eta - log_size))


def gamma(y: Any, eta: Any, log_shape: Any) -> Any:
    shape = np.exp(log_shape)
    return special.xlogy(shape, shape * y / np.exp(eta)) - shape * y * np.exp(-eta) - special.gammaln(shape) - np.log(y)


def gaussian(y: Any, eta: Any, log_sigma: Any) -> Any:
    return -0.5 * ((y - eta) / np.exp(log_sigma)) ** 2 - log_sigma - 0.5 * np.log(2 * np.pi)


def binomial(y: Any, eta: Any, trials: Any) -> Any:
    ways = -special.betaln(y + 1, trials - y + 1) - np.log1p(trials)
    return ways + y * special.log_expit(eta) + (trials - y) * special.log_expit(-eta)


def beta(y: Any, eta: Any, log_precision: Any) -> Any:
    precision, mu = np.exp(log_precision), special.expit(eta)
    a, b = mu * precision, (1 - mu) * precision
    return special.xlogy(a - 1, y) + special.xlog1py(b - 1, -y) - special.betaln(a, b)


def student_t(y: Any, eta: Any, log_sigma: Any, log_df: Any) -> Any:
    df, z = np.exp(log_df), (y - eta) / np.exp(log_sigma)
    constant = special.gammaln((df + 1) / 2) - special.gammaln(df / 2) - 0.5 * np.log(np.pi * df) - log_sigma
    return constant - (df + 1) / 2 * np.log1p(z**2 / df)


def weibull(y: Any, eta: Any, log_shape: Any) -> Any:
    shape = np.exp(log_shape)
    u = shape * (np.log(y) - eta + special.gammaln(1 + 1 / shape))
    return u - np.exp(u) + log_shape - np.log(y)


def lindley(y: Any, eta: Any) -> Any:
    """The discrete Lindley distribution of Gomez-Deniz and Calderin-Ojeda (2011), lambda = expit(eta)."""
    log_lambda = special.log_expit(eta)
    inner = special.expit(eta) * log_lambda + special.expit(-eta) * (1 - (y + 1) * log_lambda)
    return y * log_lambda + np.log(inner) - np.log1p(-log_lambda)


def log_logistic(y: Any, eta: Any, log_shape: Any) -> Any:
    """The log-logistic distribution of times with the median exp(eta)."""
    z = np.exp(log_shape) * (np.log(y) - eta)
    return log_shape - np.log(y) + special.log_expit(z) + special.log_expit(-z)


TWINS: dict[str, tuple[Callable[..., Any], dict[str, Any], Array]] = {
    "poisson": (poisson, {"support": "counts", "links": ("log", "sqrt", "identity")}, np.array([0.0, 1.0, 7.0])),
    "negative_binomial": (negative_binomial, {"support": "counts", "parameters": ["log_size"]}, np.array([0.0, 1, 9])),
    "gamma": (
        gamma,
        {"support": "positive", "parameters": ["log_shape"], "links": ("log", "identity", "inverse")},
        np.array([0.02, 1.0, 9.0]),
    ),
    "gaussian": (
        gaussian,
        {"support": "numbers", "parameters": ["log_sigma"], "links": ("identity", "log")},
        np.array([-1.0, 0.0, 2.0]),
    ),
    "binomial": (
        binomial,
        {"support": "trials", "links": ("logit", "probit", "cloglog", "cauchit")},
        np.array([0.0, 1.0, 3.0]),
    ),
    "beta": (
        beta,
        {"support": "open unit", "parameters": ["log_precision"], "links": ("logit", "probit")},
        np.array([0.01, 0.4, 0.97]),
    ),
    "student_t": (
        student_t,
        {"support": "numbers", "parameters": ["log_sigma", "log_df"], "links": ("identity",)},
        np.array([-8.0, 0.0, 1.0]),
    ),
    "weibull": (weibull, {"support": "positive", "parameters": ["log_shape"]}, np.array([0.02, 1.0, 3.0])),
}


def own(name: str, **more: Any) -> ml.CustomFamily:
    density, options, _ = TWINS[name]
    return ml.CustomFamily(f"own_{name}", density, **{**options, **more})


# ---- derivatives --------------------------------------------------------------------------------------------------

COMPLEX = {  # functions that NumPy and SciPy have of real numbers alone
    "expm1": lambda z: np.exp(z) - 1,
    "log1p": lambda z: np.log(1 + z),
    "exp2": lambda z: np.exp(z * np.log(2)),
    "log_expit": lambda z: -np.log(1 + np.exp(-z)),
    "expit": lambda z: 1 / (1 + np.exp(-z)),
    "logit": lambda z: np.log(z / (1 - z)),
    "gammaln": special.loggamma,
    "log_ndtr": lambda z: np.log(special.ndtr(z)),
}
INSIDE = {"logit": [0.3, 0.7], "log": [0.4, 6.0], "log2": [0.4], "log10": [0.4], "sqrt": [0.4, 6.0]}
INSIDE |= {"reciprocal": [-3.0, 0.5], "gammaln": [0.5, 7.0], "psi": [0.5, 7.0], "log1p": [-0.5, 2.0]}


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"absolute", "fabs"}))
def test_taylor_coefficients_are_cauchys_integrals(name: str) -> None:
    function = COMPLEX.get(name) or getattr(np, name, None) or getattr(special, name)
    circle = np.exp(2j * np.pi * np.arange(64) / 64)
    for x in INSIDE.get(name, [-2.1, -0.3, 1.7]):
        radius = 0.1
        values = function(x + radius * circle)
        expected = [np.mean(values * circle**-k).real / radius**k for k in range(5)]
        # rounding of the values, over the fourth power of the radius
        np.testing.assert_allclose(np.array(FUNCTIONS[name](x, 4), dtype=float), expected, rtol=1e-9, atol=1e-10)


def test_functions_of_two_series_agree_with_what_they_are_made_of() -> None:
    eta = np.array([-0.7, 0.2, 1.3])
    x, (p, q), space = variables(eta, [0.3, 0.8], 4, True)

    def same(found: Any, expected: Any) -> None:
        n = len(eta)
        np.testing.assert_allclose(found.derivatives(n), expected.derivatives(n), rtol=1e-12, atol=1e-12)

    positive = np.exp(x) + q
    same(np.logaddexp(x, p), np.log(np.exp(x) + np.exp(p)))
    same(positive**p, np.exp(p * np.log(positive)))
    same(positive**2.5, np.exp(2.5 * np.log(positive)))
    same(x**3, x * x * x)
    same(2.0**x, np.exp(np.log(2.0) * x))
    same(p / positive, p * np.reciprocal(positive))
    same(special.betaln(positive, q), special.gammaln(positive) + special.gammaln(q) - special.gammaln(positive + q))
    same(np.where(eta > 0, x * p, q - x), np.where(eta > 0, 1.0, 0.0) * (x * p) + np.where(eta > 0, 0.0, 1.0) * (q - x))
    same(np.maximum(x, p), np.where(x > p, x, p))
    same(np.clip(x, -0.5, 1.0), np.select([x < -0.5, x > 1.0, x <= 1.0], [-0.5, 1.0, x]))
    same(abs(x), np.sqrt(x * x))
    same(special.xlogy(np.array([0.0, 1.0, 2.0]), positive), np.array([0.0, 1.0, 2.0]) * np.log(positive))
    assert len(space.table) == 5 + 2 * 4 + 3 * 3


@pytest.mark.parametrize("name", TWINS)
def test_derivatives_are_those_of_the_built_in_family(name: str) -> None:
    _, options, y = TWINS[name]
    for link in options.get("links", ("log",)):
        for place in (0.3, 0.8):
            eta = place + 0.1 * np.arange(len(y))
            phi = np.array([0.4, 1.2])[: len(options.get("parameters", ()))]
            size, weights = np.full(len(y), 3.0), np.array([1.0, 2.0, 0.5])
            twin = _core.Family(name, link).derivatives(eta, y, size, np.ones(len(y)), phi)
            found = own(name, link=link)._core.derivatives(eta, y, size, weights, phi)
            assert set(found) == set(twin)
            for key, values in twin.items():
                if key in ("constant", "value", "expected_information"):
                    continue
                np.testing.assert_allclose(found[key], weights * values, rtol=1e-9, atol=1e-10, err_msg=f"{link} {key}")
            np.testing.assert_allclose(found["value"], weights * (twin["value"] + twin["constant"]), rtol=1e-12)


# ---- fits ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    g, h, x = np.repeat(np.arange(30), 8), np.tile(np.arange(12), 20), rng.normal(size=240)
    mu = np.exp(0.6 + 0.4 * x + rng.normal(scale=0.6, size=30)[g] + rng.normal(scale=0.3, size=12)[h])
    y = rng.negative_binomial(2, 2 / (2 + mu)) * (rng.uniform(size=240) < 0.8)
    return pd.DataFrame(
        {"y": y, "x": x, "g": g, "h": h, "t": rng.gamma(2.0, mu / 2), "w": rng.integers(1, 4, size=240)}
    )


def same_fit(found: Any, expected: Any) -> None:
    assert found.converged
    assert expected.converged
    assert found.llf == pytest.approx(expected.llf, rel=1e-12)
    # two searches that end where less than 1e-9 of the log-likelihood is left
    np.testing.assert_allclose(found.fit.psi, expected.fit.psi, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.bse, expected.bse, rtol=1e-6)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ x + (1 | g)", {}),
        ("y ~ x + (1 + x | g)", {"n_quadrature": 3}),
        ("y ~ x + (1 | g) + (1 | h)", {"weights": "w"}),
        ("y ~ x + offset(x / 2) + (1 | g)", {"dispersion": "~ x", "n_quadrature": 5}),
        ("y ~ x", {}),
    ],
)
def test_a_family_written_again_gives_the_same_fit(counts: pd.DataFrame, formula: str, options: dict[str, Any]) -> None:
    family = own("negative_binomial", log_concave=True)
    same_fit(ml.fit(formula, counts, family, **options), ml.fit(formula, counts, "negative_binomial", **options))


@pytest.mark.parametrize("part", [{"zero_inflation": "~ x"}, {"hurdle": True}])
def test_zero_parts(counts: pd.DataFrame, part: dict[str, Any]) -> None:
    family = own("poisson", variance=lambda eta: np.exp(eta))
    found, twin = (ml.fit("y ~ x + (1 | g)", counts, f, **part) for f in (family, "poisson"))
    same_fit(found, twin)
    np.testing.assert_allclose(found.predict(), twin.predict(), rtol=1e-6)
    np.testing.assert_allclose(found.residuals("pearson"), twin.residuals("pearson"), rtol=1e-5)
    if "hurdle" in part:
        times = ml.fit("t0 ~ x + (1 | g)", counts.assign(t0=counts.t * (counts.y > 0)), own("gamma"), hurdle=True)
        same_fit(
            times,
            ml.fit("t0 ~ x + (1 | g)", counts.assign(t0=counts.t * (counts.y > 0)), "gamma", link="log", hurdle=True),
        )


def test_densities_with_several_modes(counts: pd.DataFrame) -> None:
    data = counts.assign(z=np.log(counts.t))
    data.loc[::17, "z"] += 6.0
    found, twin = (ml.fit("z ~ x + (1 | g)", data, f) for f in (own("student_t"), "student_t"))
    same_fit(found, twin)


def test_trials(reference_data: Callable[[str], pd.DataFrame]) -> None:
    data = reference_data("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    for link in ("logit", "cloglog"):
        family = own(
            "binomial", log_concave=True, variance=lambda eta, trials: special.expit(eta) * special.expit(-eta) / trials
        )
        found, twin = (ml.fit(formula, data, f, link=link, n_quadrature=9) for f in (family, "binomial"))
        same_fit(found, twin)
        for kind in ("response", "deviance"):
            np.testing.assert_allclose(found.residuals(kind), twin.residuals(kind), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        ml.fit(formula, data, family).residuals("pearson"),
        ml.fit(formula, data, "binomial").residuals("pearson"),
        rtol=1e-5,
    )


def test_a_density_that_is_not_built_in_against_integration() -> None:
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(12), 5), rng.normal(size=60)
    eta = 0.5 + 0.3 * x + rng.normal(scale=0.7, size=12)[g]
    data = pd.DataFrame({"y": stats.fisk(1.8, scale=np.exp(eta)).rvs(random_state=rng), "x": x, "g": g})
    family = ml.CustomFamily(
        "log_logistic",
        log_logistic,
        support="positive",
        parameters=["log_shape"],
        log_concave=True,
        mean=lambda eta, log_shape: np.exp(eta) / np.sinc(np.exp(-log_shape)),
    )
    fit = ml.fit("y ~ x + (1 | g)", data, family, n_quadrature=25)
    (b0, b1), sd, shape = fit.params, float(fit.fit.theta_values[0][0]), fit.fit.phi["shape"]
    total = 0.0
    for group in range(12):
        rows = data[data.g == group]

        def likelihood(u: float, rows: pd.DataFrame = rows) -> float:
            z = rows.y.to_numpy() / np.exp(b0 + b1 * rows.x.to_numpy() + sd * u)
            density = shape / rows.y.to_numpy() * z**shape / (1 + z**shape) ** 2
            return float(np.exp(np.log(density).sum() + 8.0 - u * u / 2) / np.sqrt(2 * np.pi))

        total += np.log(integrate.quad(likelihood, -10, 10, epsabs=1e-14, epsrel=1e-11, limit=200)[0]) - 8.0
    assert fit.llf == pytest.approx(total, abs=1e-7)  # what 25 points leave
    at = data.assign(x=0.0).head(1)
    expected = stats.fisk(shape, scale=np.exp(b0)).mean()
    assert fit.predict(at, random="zero").iloc[0] == pytest.approx(expected, rel=1e-9)
    assert "log_logistic ( log ), a density in Python" in str(fit.summary())


def test_probabilities_that_are_not_built_in_against_a_sum_over_nodes() -> None:
    y = np.arange(400.0)
    for place in (-1.0, 0.6):
        assert np.exp(lindley(y, np.full(400, place))).sum() == pytest.approx(1.0, abs=1e-12)
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(15), 4)
    theta = -special.log_expit(rng.normal(scale=0.8, size=15)[g] + 0.8)
    times = rng.gamma(1 + (rng.uniform(size=60) > theta / (1 + theta)), 1 / theta)  # Lindley's, and whole numbers below
    data = pd.DataFrame({"g": g, "y": np.floor(times)})
    fit = ml.fit(
        "y ~ 1 + (1 | g)", data, ml.CustomFamily("lindley", lindley, links=["logit"], support="counts"), n_quadrature=15
    )
    nodes, weights = special.roots_hermitenorm(150)
    sd = float(fit.fit.theta_values[0][0])
    eta = fit.params.iloc[0] + sd * nodes
    rows = lindley(data.y.to_numpy(float)[:, None], eta[None, :])
    sums = np.add.reduceat(rows, np.arange(0, 60, 4), axis=0)
    expected = special.logsumexp(sums + np.log(weights / np.sqrt(2 * np.pi)), axis=1).sum()
    assert fit.llf == pytest.approx(expected, abs=1e-6)


def test_threads_do_not_matter(counts: pd.DataFrame) -> None:
    one, two = (ml.fit("y ~ x + (1 | g)", counts, own("poisson", log_concave=True), threads=k) for k in (1, 2))
    assert one.llf == two.llf
    assert np.array_equal(one.fit.psi, two.fit.psi)


# ---- what comes after ---------------------------------------------------------------------------------------------


def test_pickling_and_saving(counts: pd.DataFrame, tmp_path: Any) -> None:
    family = own("negative_binomial", given={"size": 2.0})
    assert pickle.loads(pickle.dumps(family)) == family
    results = ml.fit("y ~ x + (1 | g)", counts, family)
    again = pickle.loads(pickle.dumps(results))
    np.testing.assert_array_equal(again.predict(counts.head()), results.predict(counts.head()))
    assert again.model.fit().llf == results.llf
    with pytest.raises(ml.DataError, match=r"own_negative_binomial.*cannot be saved.*Pickle"):
        results.save(tmp_path / "results.ml")


def test_what_is_not_known_is_refused(counts: pd.DataFrame) -> None:
    results = ml.fit("y ~ x + (1 | g)", counts, own("poisson", log_concave=True))
    with pytest.raises(ml.DataError, match="variance of a response of the family 'own_poisson' is not known"):
        results.residuals("pearson")
    assert "Scaled residuals" not in str(results.summary())
    twin = ml.fit("y ~ x + (1 | g)", counts, "poisson")
    np.testing.assert_allclose(results.residuals("deviance"), twin.residuals("deviance"), rtol=1e-5, atol=1e-5)
    with pytest.raises(ml.DataError, match="cannot be known in part"):
        ml.fit("censored(y, left=0) ~ x + (1 | g)", counts, own("poisson"))


@pytest.mark.parametrize(
    ("density", "message"),
    [
        (lambda y, eta: special.gammainc(eta, y), "uses gammainc, of which there is no series"),
        (lambda y, eta: np.sum(eta) + y, "uses np.sum"),
        (lambda y, eta: np.add.reduce(eta) + y, r"uses add\.reduce"),
        (lambda y, eta: y if eta else -y, "np.where"),
        (lambda y, eta: eta[y > 0], "selection of rows"),
        (lambda y, eta: np.asarray(eta) * y, "turns its argument into an array"),
        (lambda y, eta: np.zeros(3), r"an array of shape \(3,\) for 240 rows"),
        (lambda y, eta: np.log(-1.0 - y) + 0 * eta, "is not finite for the response 0"),
    ],
)
def test_densities_that_cannot_be(counts: pd.DataFrame, density: Any, message: str) -> None:
    data = counts.assign(y=np.arange(240))
    with pytest.raises(ml.DataError, match=message):
        ml.fit("y ~ x + (1 | g)", data, ml.CustomFamily("wrong", density, support="counts"))


def test_an_exception_of_the_density_comes_out_as_it_is(counts: pd.DataFrame) -> None:
    calls = []

    def density(y: Any, eta: Any) -> Any:
        calls.append(1)
        if len(calls) > 12:
            raise RuntimeError("no more")
        return poisson(y, eta)

    with pytest.raises(RuntimeError, match="no more"):
        ml.fit("y ~ x + (1 | g)", counts, ml.CustomFamily("tired", density, support="counts"))


def test_a_density_that_is_not_log_concave_is_found_out(counts: pd.DataFrame) -> None:
    data = counts.assign(z=np.where(counts.y > 3, 40.0, counts.x))
    with pytest.raises(ml.DataError, match="'own_student_t' is not log-concave"):
        ml.fit("z ~ x + (1 | g)", data, own("student_t", log_concave=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "poisson"}, "there is a family 'poisson' already"),
        ({"name": 3}, "it is a text"),
        ({"log_density": "poisson"}, "log_density= is a str"),
        ({"mean": 3}, "mean= is a int"),
        ({"support": "integers"}, "support='integers' is not known"),
        ({"links": ("loglog",)}, "links='loglog'"),
        ({"links": ()}, r"links=\(\)"),
        ({"link": "sqrt"}, "has no link 'sqrt'"),
        ({"links": ("log", "logit")}, "written for the log link has no 'logit' link"),
        ({"parameters": ("log_a", "a")}, "each once"),
        ({"parameters": ("a b",)}, "is no name"),
        ({"parameters": {"a": np.nan}}, "it begins with a number"),
        ({"parameters": ("a", "b", "c", "d"), "zero": "hurdle"}, "at most 4"),
        ({"zero": "two"}, "zero='two'"),
        ({"zero": "hurdle", "support": "numbers"}, "may have none"),
        ({"given": {"size": 1.0}}, "has no parameter 'size'"),
    ],
)
def test_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ml.DataError, match=message):
        ml.CustomFamily(**{"name": "own", "log_density": poisson, "support": "counts", **options})


def test_a_link_that_it_does_not_have(counts: pd.DataFrame) -> None:
    with pytest.raises(ml.DataError, match="has no link 'inverse'"):
        ml.fit("y ~ x + (1 | g)", counts, own("poisson"), link="inverse")
