"""A formula for the dispersion: derivatives, estimates against plain likelihoods and nlme, what is said of it."""

from __future__ import annotations

import pickle
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import optimize, stats

import multilevel as ml
from multilevel import _core

from .family_cases import drawn

Array = NDArray[np.float64]


def grouped(seed: int, family: str, n: int = 240, **columns: Any) -> pd.DataFrame:
    """Thirty groups within six, a covariate, a factor with an effect on the dispersion, and a response."""
    r = np.random.default_rng(seed)
    g = np.repeat(np.arange(30), n // 30)
    x, f = r.normal(size=n), np.array(["a", "b"])[r.integers(0, 2, n)]
    eta = 0.7 + 0.4 * x + r.normal(0, 0.6, 30)[g] + r.normal(0, 0.4, 6)[g // 5]
    y = np.empty(n)
    for level, log_dispersion in (("a", 0.3), ("b", 1.1)):
        own = f == level
        y[own] = drawn(r, family, eta[own], phi=(log_dispersion,))
    data = {"x": x, "f": f, "g": g, "h": g // 5, "c": r.integers(0, 7, n), "o": r.normal(0, 0.2, n), "y": y}
    return pd.DataFrame({**data, **columns})


# ---- derivatives --------------------------------------------------------------------------------------------------

MODELS = [
    ("y ~ x", 1),
    ("y ~ x + (1 | g)", 1),
    ("y ~ x + (1 | g)", 7),
    ("y ~ x + (1 + x | g)", 1),
    ("y ~ x + (1 + x | g)", 3),
    ("y ~ x + (1 | h/g)", 3),
    ("y ~ x + (1 | g) + (1 | c)", 1),
]


@pytest.mark.parametrize("family", ["gaussian", "gamma", "negative_binomial"])
@pytest.mark.parametrize(("formula", "points"), MODELS)
def test_derivatives(family: str, formula: str, points: int) -> None:
    """Gradient and Hessian against differences, away from the maximum."""
    data = grouped(3, family)
    model = ml.MixedModel(formula, data, family, dispersion="~ f + x + offset(o)")
    core, y = model._core, model.design.response.values
    theta = np.tile([0.7, 0.2, 0.5], 3)[: core.n_theta]
    psi = np.concatenate([[0.6, 0.3], theta, [0.4, 0.5, -0.1]])
    _, gradient, hessian = _core.evaluate(core, y, psi, points)
    step = 1e-5
    moved = [[_core.evaluate(core, y, psi + s * step * e, points) for s in (1, -1)] for e in np.eye(len(psi))]
    slopes = np.array([(up[0] - down[0]) / (2 * step) for up, down in moved])
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-5 * max(1.0, np.abs(gradient).max()))
    curvature = np.array([(up[1] - down[1]) / (2 * step) for up, down in moved])
    np.testing.assert_allclose(hessian, curvature, rtol=2e-5, atol=2e-5 * np.abs(curvature).max())


# ---- estimates ----------------------------------------------------------------------------------------------------


def dense_gaussian(data: pd.DataFrame, mean: Array, log_sd: Array, sds: dict[str, float]) -> float:
    """Log-likelihood of a Gaussian model with random intercepts from its covariance matrix."""
    covariance = np.diag(np.exp(2 * log_sd))
    for column, sd in sds.items():
        codes = data[column].to_numpy()
        covariance += sd**2 * (codes[:, None] == codes[None, :])
    return float(stats.multivariate_normal(mean, covariance).logpdf(data["y"]))


@cache
def best_of_dense_gaussian(groups: tuple[str, ...]) -> optimize.OptimizeResult:
    """By SciPy's optimizer, once for all units of the response."""
    data = grouped(8, "gaussian", n=120)
    x, b = data["x"].to_numpy(), (data["f"] == "b").to_numpy()

    def value(psi: Array) -> float:
        mean, log_sd = psi[0] + psi[1] * x, psi[2] + psi[3] * b
        return dense_gaussian(data, mean, log_sd, dict(zip(groups, psi[4:], strict=True)))

    return optimize.minimize(lambda psi: -value(psi), np.r_[0.7, 0.4, 0.3, 0.8, 0.5 * np.ones(len(groups))], tol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e6, 1e-5])
@pytest.mark.parametrize("groups", [("g",), ("g", "c")])
def test_gaussian_maximum(groups: tuple[str, ...], scale: float) -> None:
    """Against SciPy's optimizer on the dense likelihood; the unit of the response does not matter."""
    data = grouped(8, "gaussian", n=120)
    random = "".join(f" + (1 | {own})" for own in groups)
    results = ml.fit("y ~ x" + random, data.assign(y=scale * data["y"]), dispersion="~ f")
    assert results.converged
    assert (results.method, results.fit.sigma) == ("ml", None)

    best = best_of_dense_gaussian(groups)
    assert results.llf + len(data) * np.log(scale) == pytest.approx(-best.fun, rel=1e-9)
    dispersion = results.params_of("dispersion")
    assert dispersion["f[b]"] == pytest.approx(best.x[3], abs=2e-4)
    assert dispersion["(Intercept)"] - np.log(scale) == pytest.approx(best.x[2], abs=2e-4)


def restricted(data: pd.DataFrame, beta: Array, log_sd: Array, factors: list[tuple[Array, Array]]) -> float:
    """The criterion of REML at beta from the covariance matrix of the response; factors: Z, and its covariance."""
    covariance = np.diag(np.exp(2 * log_sd)) + sum(z @ own @ z.T for z, own in factors)
    X = np.column_stack([np.ones(len(data)), data["x"]])
    value = stats.multivariate_normal(X @ beta, covariance).logpdf(data["y"])
    information = X.T @ np.linalg.solve(covariance, X)
    return float(value - np.linalg.slogdet(information)[1] / 2 + X.shape[1] / 2 * np.log(2 * np.pi))


@pytest.mark.parametrize("unit", [1.0, 1e4, 1e-3])
@pytest.mark.parametrize("right", ["(1 | g)", "(1 + x | g)", "(1 | g) + (1 | c)"])
def test_reml(right: str, unit: float) -> None:
    """Value and maximum against the definition, with residuals of two kinds."""
    data = grouped(8, "gaussian", n=120)
    data["x"] = unit * (data["x"] + 3)
    results = ml.fit(f"y ~ x + {right}", data, dispersion="~ f", method="reml")
    assert results.converged
    assert results.method == "reml"
    indicator = {own: np.eye(30)[data[own]] for own in ("g", "c")}
    x, b = data["x"].to_numpy(), (data["f"] == "b").to_numpy()

    def value(psi: Array) -> float:
        """At psi = (beta, theta, dispersion)."""
        log_sd, theta = psi[-2] + psi[-1] * b, psi[2:-2]
        if "x |" not in right:
            factors = [(indicator[own], np.eye(30) * sd**2) for own, sd in zip(("g", "c"), theta, strict=False)]
            return restricted(data, psi[:2], log_sd, factors)
        L = np.array([[theta[0], 0.0], [theta[1], theta[2]]])
        Z = np.stack([indicator["g"], indicator["g"] * x[:, None]], axis=2).reshape(len(data), 60)
        return restricted(data, psi[:2], log_sd, [(Z, np.kron(np.eye(30), L @ L.T))])

    psi = results.fit.psi
    assert value(psi) == pytest.approx(results.llf, abs=1e-8)
    step = 1e-4 * np.maximum(np.abs(psi), 1e-3)
    slopes = [(value(psi + h * e) - value(psi - h * e)) / (2 * h) for h, e in zip(step, np.eye(len(psi)), strict=True)]
    errors = np.sqrt(np.diag(results.fit.covariance))
    np.testing.assert_allclose(np.where(np.isfinite(errors), slopes * errors, 0.0), 0.0, atol=1e-4)
    curvature = [
        (value(psi + h * e) + value(psi - h * e) - 2 * results.llf) / h**2
        for h, e in zip(step, np.eye(len(psi)), strict=True)
    ]
    np.testing.assert_allclose(np.diag(results.fit.hessian)[-2:], curvature[-2:], rtol=1e-3)


def test_reml_with_a_constant_dispersion_is_that_of_linear_models() -> None:
    data = grouped(8, "gaussian", n=120)
    plain = ml.fit("y ~ x + (1 | g)", data)
    data["one"] = 1.0
    for other in (
        ml.fit("y ~ x + (1 | g)", data, dispersion="~ 0 + one", method="reml"),
        ml.fit("y ~ x + (1 | g)", data, ml.Family("gaussian", sigma=plain.residual_sd), method="reml"),
    ):
        assert other.llf == pytest.approx(plain.llf, abs=1e-8)
        np.testing.assert_allclose(other.params, plain.params, rtol=1e-6)
        np.testing.assert_allclose(other.bse, plain.bse, rtol=1e-6)


def test_nlme_by_reml() -> None:
    """lme(Reaction ~ Days, sleepstudy, ~ Days | Subject, weights = varIdent(form = ~ 1 | late)), late = Days > 4, nlme
    3.1-162; the log-likelihood also by glmmTMB 1.1.5 with REML = TRUE."""
    data = ml.datasets.sleepstudy()
    data["late"] = (data["Days"] > 4).astype(float)
    results = ml.fit("Reaction ~ Days + (Days | Subject)", data, dispersion="~ late", method="reml")
    assert results.llf == pytest.approx(-863.46727686403, abs=1e-9)
    np.testing.assert_allclose(results.params, [251.9055506101, 10.2060809231], rtol=1e-7)
    np.testing.assert_allclose(results.bse, [6.80422448706, 1.56402795392], rtol=1e-6)
    np.testing.assert_allclose(np.exp(results.params_of("dispersion")), [18.30291972, 1.721474166], rtol=1e-6)


@pytest.mark.parametrize("given", [None, 0.8])
def test_variances_of_a_reml_fit_are_tested_against_the_restricted_likelihood_without_them(given: float | None) -> None:
    """The smaller model by brute force from the definition, weights and offset in it."""
    data = grouped(3, "gaussian", n=120, w=np.random.default_rng(1).uniform(0.5, 2.0, 120))
    how: dict[str, Any] = {"family": ml.Family("gaussian", sigma=given)} if given else {"dispersion": "~ f"}
    results = ml.fit("y ~ x + offset(o) + (1 | g)", data, weights="w", method="reml", **how)
    x = np.column_stack([np.ones(120), data["x"]])
    y, f, w = (data["y"] - data["o"]).to_numpy(), (data["f"] == "b").to_numpy(), data["w"].to_numpy()

    def restricted(gamma: Array) -> float:
        v = np.full(120, given**2) / w if given else np.exp(2 * (gamma[0] + gamma[1] * f)) / w
        gram = x.T @ (x / v[:, None])
        residual = y - x @ np.linalg.solve(gram, x.T @ (y / v))
        logs = np.log(v).sum() + np.linalg.slogdet(gram)[1] + 118 * np.log(2 * np.pi)
        return float(-0.5 * (logs + (residual**2 / v).sum()))

    best = restricted(np.zeros(2))
    if not given:
        best = -optimize.minimize(lambda gamma: -restricted(gamma), [0.3, 0.8], tol=1e-10).fun
    found = results.test_variance("g")
    assert found.chi2 == pytest.approx(2 * (results.llf - best), abs=1e-7)
    assert found.p_value == pytest.approx(0.5 * stats.chi2.sf(found.chi2, 1), rel=1e-9)
    for style in ("sas", "stata"):
        assert f"{found.chi2:.2f}" in str(results.summary(style=style))


def test_a_reml_fit_of_several_variances_has_a_kind_in_refusals() -> None:
    data = grouped(3, "gaussian", n=120)
    results = ml.fit("y ~ x + (1 | g)", data, dispersion="~ f", method="reml")
    with pytest.raises(
        ml.DataError, match=r"one estimated residual variance; this is .* with a model of its dispersion"
    ):
        results.summary(df_method="satterthwaite")
    given = ml.fit("y ~ x + (1 | g)", data, ml.Family("gaussian", sigma=0.8), method="reml")
    with pytest.raises(ml.DataError, match="with a given sigma"):
        given.bootstrap(3, kind="residual")


def test_a_given_residual_variance_has_no_standard_error() -> None:
    """It had that of another parameter, the last in line."""
    data = grouped(3, "gaussian", n=120)
    for method in ("ml", "reml"):
        results = ml.fit("y ~ x + (1 | g)", data, ml.Family("gaussian", sigma=0.8), method=method)
        table = results.vcov_table().set_index(["group", "quantity"])
        assert table.loc[("Residual", "variance"), "estimate"] == pytest.approx(0.64, rel=1e-14)
        assert table.loc["Residual", "std_error"].isna().all()
        assert table.loc["g", "std_error"].notna().all()
        for style in ("sas", "spss", "stata"):
            assert "nan" not in str(results.summary(style=style))


def test_nlme() -> None:
    """lme(distance ~ age + Sex, ~ 1 | Subject, Orthodont, weights = varIdent(form = ~ 1 | Sex), method = "ML"), nlme
    3.1-162 with tolerance 1e-12. The data are those of Potthoff & Roy (1964)."""
    data = orthodont()
    results = ml.fit("distance ~ age + sex + (1 | subject)", data, dispersion="~ sex", contrasts={"sex": "treatment"})
    assert results.llf == pytest.approx(-208.60048482673, rel=1e-10)
    sigma, ratio = 1.7573904978711, 0.449613840512023
    at = results.params_of("dispersion")
    assert np.exp(at["(Intercept)"]) == pytest.approx(sigma, rel=1e-5)
    assert np.exp(at.iloc[1]) == pytest.approx(ratio, rel=1e-5)
    np.testing.assert_allclose(results.params, [18.93183130124743, 0.54881079079569, -2.32102272727273], rtol=1e-5)
    assert results.random_cov["subject"].iloc[0, 0] == pytest.approx(3.10685747279798, rel=1e-5)


def orthodont() -> pd.DataFrame:
    """Distances from the pituitary to the pterygomaxillary fissure at four ages, of 16 boys and 11 girls."""
    boys = """26 25 29 31 21.5 22.5 23 26.5 23 22.5 24 27.5 25.5 27.5 26.5 27 20 23.5 22.5 26 24.5 25.5 27 28.5 22 22
    24.5 26.5 24 21.5 24.5 25.5 23 20.5 31 26 27.5 28 31 31.5 23 23 23.5 25 21.5 23.5 24 28 17 24.5 26 29.5 22.5 25.5
    25.5 26 23 24.5 26 30 22 21.5 23.5 25"""
    girls = """21 20 21.5 23 21 21.5 24 25.5 20.5 24 24.5 26 23.5 24.5 25 26.5 21.5 23 22.5 23.5 20 21 21 22.5 21.5 22.5
    23 25 23 23 23.5 24 20 21 22 21.5 16.5 19 19 19.5 24.5 25 28 28"""
    distance = np.array([*boys.split(), *girls.split()], dtype=float)
    sex = pd.Categorical(["Male"] * 64 + ["Female"] * 44, categories=["Male", "Female"])
    columns = {"distance": distance, "age": np.tile([8.0, 10, 12, 14], 27), "sex": sex}
    return pd.DataFrame({**columns, "subject": np.repeat(np.arange(27), 4)})


def test_a_constant_is_the_plain_model() -> None:
    data = grouped(5, "negative_binomial")
    plain = ml.fit("y ~ x + (1 | g)", data, "negative_binomial")
    for text in ("~ 1", "1"):
        constant = ml.fit("y ~ x + (1 | g)", data, "negative_binomial", dispersion=text)
        assert (constant.llf, constant.family_params) == (plain.llf, plain.family_params)
    cells = ml.fit("y ~ x + (1 | g)", data, "negative_binomial", dispersion="~ 0 + f")
    contrast = ml.fit("y ~ x + (1 | g)", data, "negative_binomial", dispersion="~ f")
    assert cells.llf == pytest.approx(contrast.llf, rel=1e-12)
    at = contrast.params_of("dispersion")
    np.testing.assert_allclose(cells.params_of("dispersion"), [at.iloc[0], at.iloc[0] + at.iloc[1]], rtol=1e-6)


def test_given_parameters() -> None:
    """A parameter that is given is held there, and counts as none."""
    data = grouped(6, "gaussian")
    free = ml.fit("y ~ x + (1 | g)", data, method="ml")
    held = ml.fit("y ~ x + (1 | g)", data, ml.Family("gaussian", sigma=free.residual_sd))
    assert held.llf == pytest.approx(free.llf, rel=1e-10)
    assert held.df_model == free.df_model - 1
    np.testing.assert_allclose(held.params, free.params, rtol=1e-5)
    assert held.family_params == {"sigma": free.residual_sd}
    assert "log_sigma" not in held.parameter_names
    assert pickle.loads(pickle.dumps(held.family)) == held.family != free.family
    size = ml.fit("y ~ x + (1 | g)", grouped(6, "negative_binomial"), ml.Family("negative_binomial", size=2.0))
    assert size.converged
    assert np.isnan(size.family_parameters().loc["size", "std_error"])


# ---- what is said of it -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results() -> ml.MixedModelResults:
    return ml.fit("y ~ x + (1 | g)", grouped(9, "gamma"), "gamma", dispersion="~ f + offset(o)")


def test_tables(results: ml.MixedModelResults) -> None:
    fit = results.fit
    table = results.tidy(component="dispersion")
    assert list(table["effect"]) == ["dispersion"] * 2
    assert list(table["term"]) == ["(Intercept)", "f[b]"]
    errors = np.sqrt(np.diag(fit.covariance))[-2:]
    np.testing.assert_allclose(table["std_error"], errors)
    assert set(results.tidy()["effect"]) == {"fixed", "ran_pars", "dispersion"}
    assert set(results.tidy(component="mean")["effect"]) == {"fixed", "ran_pars"}
    assert results.parameter_names[-2:] == ("dispersion: (Intercept)", "dispersion: f[b]")
    text = str(results.summary())
    for part in ("Dispersion: ~ f + offset(o)", "Dispersion model:", "log shape"):
        assert part in text
    assert results.family_params == {}
    assert results.params_of("mean").equals(results.params)


def test_predictions(results: ml.MixedModelResults) -> None:
    data = grouped(9, "gamma")
    at = results.params_of("dispersion")
    shape = np.exp(at["(Intercept)"] + at["f[b]"] * (data["f"] == "b") + data["o"])
    np.testing.assert_allclose(results.predict(kind="dispersion"), shape)
    new = data[["f", "o"]].iloc[:4].copy()
    new.loc[2, "f"] = None
    predicted = results.predict(new, kind="dispersion")
    assert np.isnan(predicted.iloc[2])
    np.testing.assert_allclose(predicted.iloc[[0, 1, 3]], shape.iloc[[0, 1, 3]])
    pearson = results.residuals("pearson")
    np.testing.assert_allclose(pearson, (data["y"] - results.fittedvalues) / results.fittedvalues)
    with pytest.raises(ValueError, match="'zero' is not available"):
        results.predict(kind="zero")


def test_saved(results: ml.MixedModelResults, tmp_path: Path) -> None:
    results.save(tmp_path / "fit.ml")
    for other in (ml.load(tmp_path / "fit.ml"), pickle.loads(pickle.dumps(results))):
        assert other.params_of("dispersion").equals(results.params_of("dispersion"))
        np.testing.assert_array_equal(other.predict(kind="dispersion"), results.predict(kind="dispersion"))
        assert str(other.summary()) == str(results.summary())


def test_threads() -> None:
    data = pd.concat([grouped(k, "gamma", n=6000).assign(g=lambda d, k=k: d["g"] + 30 * k) for k in range(5)])
    one, two = (
        ml.fit("y ~ x + (1 | g)", data, "gamma", dispersion="~ f + x", threads=threads).fit for threads in (1, 2)
    )
    np.testing.assert_array_equal(one.psi, two.psi)
    np.testing.assert_array_equal(one.covariance, two.covariance)


# ---- a dispersion that vanishes in some rows ------------------------------------------------------------------------


def one_exact_row(seed: int, sd: float) -> pd.DataFrame:
    """Sixteen groups of five rows; the first of each lies `sd` around the group's mean, the others 1."""
    r = np.random.default_rng(seed)
    g, first = np.repeat(np.arange(16), 5), np.tile([1, 0, 0, 0, 0], 16)
    y = 3 + r.normal(0, 2, 16)[g] + np.where(first == 1, sd, 1.0) * r.normal(size=80)
    return pd.DataFrame({"y": y, "g": g, "v": first})


@pytest.mark.parametrize("method", ["ml", "reml"])
def test_residuals_that_vanish_in_some_rows(method: str) -> None:
    data = one_exact_row(7, 0.0)
    with pytest.warns(ml.ConvergenceWarning, match="in 16 of 80 rows the residual standard deviation goes to zero"):
        results = ml.fit("y ~ 1 + (1 | g)", data, dispersion="~ v", method=method)
    assert not results.converged
    same = data["g"].to_numpy()[:, None] == data["g"].to_numpy()
    one = np.ones(80)

    def loglik(intercept: float, log_sd: float, of_others: float, of_first: float) -> float:
        sigma = np.exp(np.where(data["v"] == 1, of_first, of_others))
        V = np.exp(2 * log_sd) * same + np.diag(sigma**2)
        value = float(stats.multivariate_normal(intercept * one, V).logpdf(data["y"]))
        if method == "ml":
            return value
        W = np.linalg.inv(V)
        centre = (one @ W @ data["y"]) / (one @ W @ one)
        value = float(stats.multivariate_normal(centre * one, V).logpdf(data["y"]))
        return value - 0.5 * np.log(one @ W @ one / (2 * np.pi))

    # the smaller the residuals of those rows are, the higher the likelihood, which levels off at what is reported
    others = [
        optimize.minimize(lambda p, at=at: -loglik(*p, at), [3.0, 0.7, 0.0]).fun for at in (-3.0, -4.0, -6.0, -8.0)
    ]
    assert np.all(np.diff(others) < 0)
    assert results.llf == pytest.approx(-others[-1], abs=1e-5)


def test_residuals_that_are_small_in_some_rows() -> None:
    with pytest.warns(ml.SeveralMaximaWarning, match="'dispersion: v' is"):  # or next to none in these rows
        results = ml.fit("y ~ 1 + (1 | g)", one_exact_row(7, 0.5), dispersion="~ v")
    assert results.converged
    both = np.column_stack([one_exact_row(7, sd)["y"] for sd in (0.0, 0.5)])
    many = ml.MixedModel("y ~ 1 + (1 | g)", one_exact_row(7, 0.5), dispersion="~ v").fit_many(both)
    assert list(many.groupby("response")["converged"].first()) == [False, True]


@pytest.mark.parametrize("family", ["student_t", "skew_normal", "tweedie"])
def test_a_dispersion_that_vanishes_beside_another_parameter(family: str) -> None:
    """The same of families with more than a dispersion; a small one is certified."""
    for sd, vanishes in ((0.0, True), (0.5, False)):
        data = one_exact_row(7, sd)
        if family == "tweedie":
            data["y"] = np.exp(data["y"] / 2)
            data.loc[(data["v"] == 0) & (data.index % 7 == 0), "y"] = 0.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ml.FitWarning)
            results = ml.fit("y ~ 1 + (1 | g)", data, family, dispersion="~ v")
        assert results.converged != vanishes
        assert ("in 16 of 80 rows the dispersion goes to zero" in results.fit.message) == vanishes


@pytest.mark.parametrize(("seed", "highest"), [(223, -657.6132726), (262, -3186.9907), (733, -374.1488351)])
def test_rows_that_alone_tell_the_means(seed: int, highest: float) -> None:
    """Dispersions that differ by orders: a search from one for all rows ended 100, 275 and 31 lower."""
    r = np.random.default_rng(seed)
    groups, size = int(r.integers(6, 40)), int(r.integers(3, 12))
    n, g = groups * size, np.repeat(np.arange(groups), size)
    x = r.normal(size=n)
    v = (r.random(n) < r.choice([0.1, 0.3, 0.5, 0.8])) * 1.0 if seed % 3 else r.normal(size=n)
    slope, level = r.choice([1.0, 2.0, 4.0, 7.0]) * r.choice([-1, 1]), r.choice([-3.0, -1.0, 1.0])
    u = r.choice([0.1, 0.5, 1.5]) * r.normal(size=groups)
    eta = r.choice([0, 2.0, 6.0, 9.0]) + r.choice([0.3, 1, 2.0]) * x + u[g]
    y = np.exp(np.clip(eta + np.exp(np.clip(level + slope * v, -8, 4)) * r.normal(size=n), -300, 300))
    data = pd.DataFrame({"y": y, "x": x, "v": v, "g": g})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        results = ml.fit("y ~ x + (1 | g)", data, "lognormal", dispersion="~ v")
    assert results.converged
    assert results.llf > highest - 1e-4


# ---- bad input ----------------------------------------------------------------------------------------------------


def test_missing_values_and_redundant_columns() -> None:
    data = grouped(4, "gamma")
    data["twice"] = 2 * data["x"]
    data.loc[[3, 7], "x"] = np.nan
    with pytest.warns(ml.RedundantColumnWarning, match="dispersion: twice"):
        results = ml.fit("y ~ 1 + (1 | g)", data, "gamma", dispersion="~ x + twice")
    assert results.nobs == len(data) - 2
    assert list(results.params_of("dispersion").index) == ["(Intercept)", "x"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"family": "poisson", "dispersion": "~ x"}, ml.DataError, "poisson family has no dispersion"),
        ({"dispersion": "y ~ x"}, ml.FormulaError, "has no response"),
        ({"dispersion": "~"}, ml.FormulaError, "expected terms"),
        ({"dispersion": "~ nowhere"}, ml.FormulaError, "nowhere"),
        ({"dispersion": 3}, ml.FormulaError, "a formula is a string"),
        ({"family": ml.Family("gaussian", sigma=1.0), "dispersion": "~ x"}, ml.DataError, "is given already"),
        ({"dispersion": "~ x + (1 | g)", "method": "reml"}, ml.DataError, "a dispersion without random effects"),
        ({"dispformula": "~ x"}, ml.ArgumentError, "dispersion"),
    ],
)
def test_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    data = grouped(2, "negative_binomial")
    with pytest.raises(error, match=message):
        ml.fit("y ~ x + (1 | g)", data, **arguments)


@pytest.mark.parametrize(("given", "message"), [({"sd": 1.0}, "no parameter 'sd'"), ({"sigma": -1.0}, "above zero")])
def test_refused_values(given: dict[str, float], message: str) -> None:
    with pytest.raises(ml.DataError, match=message):
        ml.Family("gaussian", **given)
