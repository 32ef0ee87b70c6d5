"""Negative binomial and Gamma models from end to end; against other programs: test_reference_fits.py."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import optimize, special, stats

import multilevel as ml

from .family_cases import CASES, drawn, mean_of

Array = NDArray[np.float64]
NB, GAMMA = "negative_binomial", "gamma"
LINKS = [(NB, "log"), (NB, "identity"), (GAMMA, "log"), (GAMMA, "inverse"), (GAMMA, "identity")]


def quietly(formula: str, data: pd.DataFrame, family: str, **options: Any) -> ml.MixedModelResults:
    """The fit without its warnings; they stay in `results.warnings`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return ml.fit(formula, data, family, **options)


def grouped(seed: int, n: int = 600, sd: float = 0.6) -> pd.DataFrame:
    """A covariate, a grouping factor `g`, one that crosses it, one that holds it, and the linear predictor."""
    r = np.random.default_rng(seed)
    g, h = np.repeat(np.arange(30), n // 30), np.tile(np.arange(15), n // 15)
    x = r.normal(size=n)
    eta = 0.9 + 0.4 * x + r.normal(0, sd, 30)[g] + r.normal(0, sd / 2, 15)[h]
    return pd.DataFrame({"x": x, "g": g, "h": h, "k": g // 3, "eta": eta})


def counts(seed: int, size: float, **options: Any) -> pd.DataFrame:
    """Negative binomial ones."""
    data = grouped(seed, **options)
    return data.assign(y=drawn(np.random.default_rng([seed, 1]), NB, data["eta"], phi=(np.log(size),)))


def tight_counts(seed: int) -> pd.DataFrame:
    """Counts whose variance is half of the mean, given the random effects."""
    data = grouped(seed)
    trials = np.maximum(1, np.ceil(2 * np.exp(data["eta"]))).astype(int)
    return data.assign(y=np.random.default_rng([seed, 1]).binomial(trials, 0.5))


def positive(seed: int, shape: float, **options: Any) -> pd.DataFrame:
    """Gamma ones."""
    data = grouped(seed, **options)
    return data.assign(y=drawn(np.random.default_rng([seed, 1]), GAMMA, data["eta"], phi=(np.log(shape),)))


# ---- without random effects ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "link"), LINKS)
def test_generalized_linear_models(family: str, link: str) -> None:
    """Against SciPy's optimizer on the density of NumPy, with weights and an offset."""
    rng = np.random.default_rng([5, len(family), len(link)])
    case, start, n = CASES[family], CASES[family].starts[link], 300
    x, offset = rng.uniform(size=n), 0.1 * start.scale * rng.normal(size=n)
    eta = start.intercept + start.scale * x + offset
    w = rng.integers(1, 4, n).astype(float)
    data = pd.DataFrame({"x": x, "o": offset, "w": w, "y": drawn(rng, family, eta, link=link)})
    results = ml.fit("y ~ x", data, family, link=link, weights="w", offset="o")
    assert results.converged
    y, one, scale = data["y"].to_numpy(), np.ones(n), np.sqrt(np.diag(results.fit.covariance))

    def deficit(t: Array) -> float:
        psi = results.fit.psi + scale * t
        value = case.log_density(link, psi[0] + psi[1] * x + offset, y, one, w, (psi[2],)).sum()
        return float(results.llf - value)

    assert deficit(np.zeros(3)) == pytest.approx(0.0, abs=1e-9)
    assert optimize.minimize(deficit, np.full(3, 0.1)).fun > -1e-8  # in standard errors from the estimates
    h = 1e-2
    steps = h * np.eye(3)
    information = np.array(
        [
            [(deficit(a + b) - deficit(a - b) - deficit(b - a) + deficit(-a - b)) / (4 * h**2) for a in steps]
            for b in steps
        ]
    )
    np.testing.assert_allclose(np.linalg.inv(information), results.fit.covariance / np.outer(scale, scale), atol=2e-3)


def test_gamma_with_closed_forms() -> None:
    """Whatever the shape, the mean is that of the response; log - digamma of the shape is half of the mean deviance."""
    y = np.random.default_rng(1).gamma(2.5, 2.0, 200)
    results = ml.fit("y ~ 1", {"y": y}, GAMMA)
    assert results.params.iloc[0] == pytest.approx(np.log(y.mean()), abs=1e-9)
    half = np.log(y.mean()) - np.log(y).mean()
    shape = optimize.brentq(lambda k: np.log(k) - special.digamma(k) - half, 0.1, 100)
    assert results.family_params == {"shape": pytest.approx(shape, rel=1e-7)}
    assert results.bse.iloc[0] == pytest.approx(1 / np.sqrt(200 * shape), rel=1e-7)
    assert results.llf == pytest.approx(stats.gamma.logpdf(y, shape, scale=y.mean() / shape).sum(), abs=1e-9)
    # of log shape: k + k^2 (trigamma - 2/k) per row, at the optimum
    information = 200 * shape * (shape * special.polygamma(1, shape) - 1)
    se = results.family_parameters().loc["shape", "std_error"]
    assert se == pytest.approx(shape / np.sqrt(information), rel=1e-7)


def test_negative_binomial_with_closed_forms() -> None:
    y = np.random.default_rng(2).negative_binomial(1.5, 0.3, 300)
    results = ml.fit("y ~ 1", {"y": y}, NB)
    assert results.params.iloc[0] == pytest.approx(np.log(y.mean()), abs=1e-9)
    size = results.family_params["size"]
    mean = y.mean()
    assert results.bse.iloc[0] == pytest.approx(np.sqrt((1 / mean + 1 / size) / 300), rel=1e-7)
    assert results.llf == pytest.approx(stats.nbinom.logpmf(y, size, size / (size + mean)).sum(), abs=1e-9)
    score = (special.digamma(y + size) - special.digamma(size) - np.log1p(mean / size)).sum()
    assert score * size == pytest.approx(0.0, abs=1e-5)


# ---- edges --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("right", ["1", "x", "x + (1 | g)", "1 + (1 | g) + (1 | h)"])
def test_counts_that_are_all_zero(right: str) -> None:
    with pytest.warns(ml.SeparationWarning, match="the response 'y' is zero in all 600 rows"):
        results = ml.fit(f"y ~ {right}", grouped(1).assign(y=0), NB)
    assert (results.converged, results.fit.status) == (False, "separation")
    assert "NOT CONVERGED" in str(results.summary())


@pytest.mark.parametrize("right", ["f", "f + (1 | g)"])
def test_a_level_without_counts(right: str) -> None:
    data = counts(2, 2.0)
    data["f"] = np.array(list("abc"))[data["h"] % 3]
    data.loc[data["f"] == "b", "y"] = 0
    with pytest.warns(ml.SeparationWarning, match=r"column 'f\[b\]' predicts some responses perfectly"):
        results = ml.fit(f"y ~ {right}", data, NB)
    apart = quietly(f"y ~ {right}", data[data["f"] != "b"], NB)
    if right == "f":
        assert results.family_params["size"] == pytest.approx(apart.family_params["size"], rel=1e-4)


def test_counts_that_are_all_the_same() -> None:
    results = quietly("y ~ x + (1 | g)", grouped(1).assign(y=3), NB)
    assert results.converged
    assert results.family_params == {"size": np.inf}
    assert results.params["(Intercept)"] == pytest.approx(np.log(3), abs=1e-6)
    assert results.llf == pytest.approx(600 * stats.poisson.logpmf(3, 3), abs=1e-8)


@pytest.mark.parametrize("right", ["x", "x + (1 | g)"])
def test_counts_that_an_identity_link_fits_exactly(right: str) -> None:
    """They have no dispersion that could vanish: the maximum is the Poisson's."""
    data = pd.DataFrame({"x": np.tile(np.arange(6.0), 10), "g": np.repeat(np.arange(10), 6)})
    data["y"] = 2 + 3 * data["x"]
    results = quietly(f"y ~ {right}", data, NB, link="identity")
    plain = quietly(f"y ~ {right}", data, "poisson", link="identity")
    assert results.converged
    assert results.family_params == {"size": np.inf}
    assert results.llf == pytest.approx(plain.llf, abs=1e-8)
    np.testing.assert_allclose(results.params, [2.0, 3.0], atol=1e-5)


@pytest.mark.parametrize("right", ["x", "x + (1 | g)"])
@pytest.mark.parametrize("constant", [True, False])
def test_positive_numbers_that_are_fitted_exactly(right: str, constant: bool) -> None:
    data = grouped(1)
    data["y"] = 3.0 if constant else np.exp(1 + 2 * data["x"])
    start = "'y' is 3 in all 600 rows" if constant else "the model fits 'y' exactly"
    with pytest.warns(ml.ConvergenceWarning, match=f"{start}: 'shape' of the gamma family grows without bound"):
        results = ml.fit(f"y ~ {right}", data, GAMMA)
    expected = [np.log(3), 0.0] if constant else [1.0, 2.0]
    np.testing.assert_allclose(results.params, expected, atol=1e-12)
    assert results.family_params == {"shape": np.inf}
    assert results.bse.isna().all()
    assert "NOT CONVERGED" in str(results.summary())


def test_positive_numbers_that_groups_leave_nothing_of() -> None:
    data = grouped(1)
    u = np.random.default_rng(1).normal(size=30)
    data["y"] = np.exp(1 + 2 * data["x"] + u[data["g"]])
    results = quietly("y ~ x + (1 | g)", data, GAMMA)
    assert not results.converged
    assert results.family_params["shape"] > 1e9
    assert results.params["x"] == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize(("seed", "points"), [(2, 1), (0, 3), (2, 3), (3, 3)])
def test_positive_numbers_that_rows_of_their_own_leave_nothing_of(seed: int, points: int) -> None:
    """With a random effect for each row the likelihood rises towards a log-normal response, which has a closed form.

    Of two of the seeds there is a lower maximum with a moderate shape.
    """
    rng = np.random.default_rng(seed)
    x, v = rng.normal(size=60), rng.normal(size=60)
    y = np.exp(1 + 0.5 * x + 0.4 * v)
    data = pd.DataFrame({"x": x, "y": y, "g": np.repeat(np.arange(20), 3), "s": np.tile(list("abc"), 20)})
    model = ml.MixedModel("y ~ x + homdiag(0 + s | g)", data, GAMMA)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        results = model.fit(n_quadrature=points)
        again = model.fit(n_quadrature=points, start=results.fit.psi, max_iter=0)
    X = np.column_stack([np.ones(60), x])
    beta, squares = np.linalg.lstsq(X, np.log(y), rcond=None)[:2]
    sd = np.sqrt(squares[0] / 60)
    assert results.llf == pytest.approx(np.sum(stats.norm.logpdf(np.log(y), X @ beta, sd) - np.log(y)), abs=1e-4)
    np.testing.assert_allclose([*results.params, results.fit.theta_values[0][0]], [*beta, sd], rtol=1e-3)
    for one in (results, again):
        assert not one.converged
        assert "'shape' of the gamma family grows without bound" in one.fit.message


def test_an_identity_link_where_some_responses_are_tiny() -> None:
    """A least-squares step with weights 1 / y^2 leads to means as tiny."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = rng.uniform(size=80)
        y = np.maximum(rng.gamma(0.1, (0.3 + 0.4 * x) / 0.1), 1e-200)
        results = quietly("y ~ x", pd.DataFrame({"x": x, "y": y}), GAMMA, link="identity")

        def loss(psi: Array, x: Array = x, y: Array = y) -> float:
            mu, shape = psi[0] + psi[1] * x, np.exp(psi[2])
            return -float(stats.gamma.logpdf(y, shape, scale=mu / shape).sum()) if mu.min() > 0 else np.inf

        found = optimize.minimize(loss, [y.mean(), 0.0, -2.0], method="Nelder-Mead", options={"fatol": 1e-9})
        assert results.llf > -found.fun - 1e-5, f"seed {seed}"
        assert results.llf == pytest.approx(-loss(results.fit.psi), abs=1e-6), f"seed {seed}"


def test_a_search_that_fails_is_not_called_an_exact_fit() -> None:
    """With a tiny shape and an identity link searches come far from where they start."""
    for seed in (1, 3):  # others take many times longer to fail
        rng = np.random.default_rng(seed)
        data = pd.DataFrame(rng.integers(0, [6, 4], (30, 2)), columns=["g", "h"])
        data["x"] = rng.normal(size=30)
        data["y"] = np.maximum(rng.gamma(0.11, 5 / 0.11, 30), 1e-200)
        results = quietly("y ~ x + (1 | g) + (1 | h)", data, GAMMA, link="identity")
        assert "exactly" not in results.fit.message, f"seed {seed}: {results.family_params}"
        assert results.converged or results.fit.message, f"seed {seed}: silent"


@pytest.mark.parametrize("shape", [1e2, 1e4, 1e6, 1e8, 1e10, 1e12])
@pytest.mark.parametrize("right", ["x", "x + (1 | g)"])
def test_a_large_shape(shape: float, right: str) -> None:
    """Nearly exact: the Gamma density is close to the normal one of log y."""
    data = grouped(4)
    if right == "x":
        data["eta"] = 0.9 + 0.4 * data["x"]
    else:
        data["eta"] = 0.9 + 0.4 * data["x"] + np.random.default_rng(1).normal(0, 0.6, 30)[data["g"]]
    data["y"] = drawn(np.random.default_rng(5), GAMMA, data["eta"], phi=(np.log(shape),))
    results = quietly(f"y ~ {right}", data, GAMMA)
    normal = quietly(f"z ~ {right}", data.assign(z=np.log(data["y"])), "gaussian", method="ml")
    assert results.converged
    assert results.family_params["shape"] == pytest.approx(shape, rel=0.2)
    # log y of mean 1 and large shape k has mean -1/(2k), variance 1/k and skewness -1/sqrt(k)
    near = 3 / np.sqrt(shape)
    assert results.family_params["shape"] ** -0.5 == pytest.approx(normal.family_params["sigma"], rel=near + 2 / 600)
    assert abs(results.params["x"] - normal.params["x"]) < 2 * near * normal.bse["x"]
    assert results.bse["x"] == pytest.approx(normal.bse["x"], rel=near + 2 / 600)


def test_a_small_shape() -> None:
    data = grouped(4)
    data["y"] = np.maximum(drawn(np.random.default_rng(1), GAMMA, data["eta"], phi=(np.log(0.05),)), 1e-300)
    results = quietly("y ~ x + (1 | g)", data, GAMMA)
    assert results.converged
    (row,) = results.family_parameters().itertuples()
    assert row.conf_low < 0.05 < row.conf_high


@pytest.mark.parametrize("power", [-12, -3, 3, 8, 15])
def test_units_of_a_positive_response(power: int) -> None:
    data = positive(2, 1.5)
    base = ml.fit("y ~ x + (1 | g)", data, GAMMA)
    other = ml.fit("y ~ x + (1 | g)", data.assign(y=data["y"] * 10.0**power), GAMMA)
    shift = power * np.log(10)
    assert other.params["(Intercept)"] == pytest.approx(base.params["(Intercept)"] + shift, abs=1e-7)
    assert other.params["x"] == pytest.approx(base.params["x"], abs=1e-7)
    np.testing.assert_allclose(other.bse, base.bse, rtol=1e-6)
    assert other.llf == pytest.approx(base.llf - 600 * shift, abs=1e-7)
    assert other.family_params == {"shape": pytest.approx(base.family_params["shape"], rel=1e-7)}


@pytest.mark.parametrize("power", [-6, -2, 2, 4, 6])
@pytest.mark.parametrize("link", ["identity", "inverse"])
@pytest.mark.parametrize("right", ["x", "x + (1 | g)"])
def test_units_where_the_link_has_them(right: str, link: str, power: int) -> None:
    """Costs and times are often large; the linear predictor then is, too, or small."""
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(40), 15), rng.uniform(size=600)
    low, slope, sd = (5.0, 2.0, 0.8) if link == "identity" else (1.5, 0.5, 0.25)
    eta = low + slope * x + sd * rng.normal(size=40)[g]
    data = pd.DataFrame({"y": drawn(rng, GAMMA, eta, link=link), "x": x, "g": g})
    base = ml.fit(f"y ~ {right}", data, GAMMA, link=link)
    other = ml.fit(f"y ~ {right}", data.assign(y=data["y"] * 10.0**power), GAMMA, link=link)
    unit = 10.0**power if link == "identity" else 10.0**-power
    np.testing.assert_allclose(other.params, base.params * unit, rtol=1e-5)
    np.testing.assert_allclose(other.bse, base.bse * unit, rtol=1e-4)
    assert other.llf == pytest.approx(base.llf - 600 * power * np.log(10), abs=1e-7)
    assert other.optimization.n_evaluations < 40


@pytest.mark.parametrize("link", ["log", "identity"])
def test_large_counts(link: str) -> None:
    data = grouped(3)
    mean = np.exp(8 + 0.2 * data["x"]) if link == "log" else 3000 + 400 * data["x"]
    data["y"] = drawn(np.random.default_rng(2), NB, mean if link == "identity" else np.log(mean), link=link, phi=(3.0,))
    results = ml.fit("y ~ x", data, NB, link=link)
    (row,) = results.family_parameters().itertuples()
    assert row.conf_low < np.exp(3.0) < row.conf_high


@pytest.mark.parametrize(("value", "shown"), [(0.0, "0"), (-2.5, "-2.5")])
def test_a_value_that_is_not_positive_is_refused(value: float, shown: str) -> None:
    data = positive(2, 1.5)
    data.loc[17, "y"] = value
    with pytest.raises(ml.DataError, match=rf"'y' is {shown} in row 17 .*; this family needs numbers above zero"):
        ml.fit("y ~ x + (1 | g)", data, GAMMA)
    with pytest.raises(ml.DataError, match=rf"y is {shown} at position 17; this family needs numbers above zero"):
        ml.MixedModel("y ~ x + (1 | g)", positive(2, 1.5), GAMMA).refit(data["y"].to_numpy())


def test_a_negative_count_is_refused() -> None:
    data = counts(2, 1.5)
    data.loc[17, "y"] = -1
    with pytest.raises(ml.DataError, match=r"'y' is -1 in row 17 .*; a count cannot be negative"):
        ml.fit("y ~ x + (1 | g)", data, NB)


# ---- weights and offsets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "data"), [(NB, counts(6, 1.5)), (GAMMA, positive(6, 1.5))])
@pytest.mark.parametrize("points", [1, 5])
def test_a_weight_multiplies_the_log_density(family: str, data: pd.DataFrame, points: int) -> None:
    """Not the shape, as where a weight is the number of measurements that a mean is of."""
    w = np.random.default_rng(7).integers(1, 4, len(data))
    weighted = quietly("y ~ x + (1 | g)", data, family, weights=w, n_quadrature=points)
    repeated = quietly("y ~ x + (1 | g)", data.loc[data.index.repeat(w)], family, n_quadrature=points)
    assert weighted.llf == pytest.approx(repeated.llf, abs=1e-8)
    np.testing.assert_allclose(weighted.params, repeated.params, rtol=1e-6)
    np.testing.assert_allclose(weighted.bse, repeated.bse, rtol=1e-6)
    one, two = (r.family_parameters() for r in (weighted, repeated))
    np.testing.assert_allclose(one, two, rtol=1e-6)


@pytest.mark.parametrize(("family", "data"), [(NB, counts(6, 1.5)), (GAMMA, positive(6, 1.5))])
def test_an_offset_is_a_known_factor_of_the_mean(family: str, data: pd.DataFrame) -> None:
    t = np.random.default_rng(8).uniform(0.5, 4.0, len(data))
    known = data.assign(y=data["y"] if family == NB else data["y"] * t, t=t)
    results = ml.fit("y ~ x + offset(log(t)) + (1 | g)", known, family)
    if family == GAMMA:  # dividing by it is the same
        divided = ml.fit("y ~ x + (1 | g)", data, family)
        np.testing.assert_allclose(results.params, divided.params, atol=1e-7)
        assert results.llf == pytest.approx(divided.llf - np.log(t).sum(), abs=1e-7)
    else:
        halved = ml.fit("y ~ x + offset(log(t / 2)) + (1 | g)", known, family)
        assert halved.llf == pytest.approx(results.llf, abs=1e-8)
        assert halved.params["(Intercept)"] == pytest.approx(results.params["(Intercept)"] + np.log(2), abs=1e-7)
    np.testing.assert_allclose(results.predict(), results.fit.mu, rtol=1e-12)


# ---- what a fit tells ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "data", "name"), [(NB, counts(9, 2.0), "size"), (GAMMA, positive(9, 2.0), "shape")])
def test_results(family: str, data: pd.DataFrame, name: str, tmp_path: Path) -> None:
    results = ml.fit("y ~ x + (1 | g) + (1 | h)", data, family)
    value = results.family_params[name]
    place = len(results.fit.psi) - 1
    assert results.fit.parameter_names[place] == f"log_{name}"
    assert np.log(value) == pytest.approx(results.fit.psi[place])
    relative = np.sqrt(results.fit.covariance[place, place])
    table = results.family_parameters(level=0.9)
    expected = [value, value * relative, *(value * np.exp(sign * stats.norm.ppf(0.95) * relative) for sign in (-1, 1))]
    np.testing.assert_allclose(table.loc[name], expected, rtol=1e-10)
    tidy = results.tidy(level=0.9)
    assert tidy["effect"].tolist() == ["fixed"] * 2 + ["ran_pars"] * 2 + ["family"]
    own = tidy.iloc[-1]
    assert own["term"] == name
    np.testing.assert_allclose(own[["estimate", "std_error", "conf_low", "conf_high"]].astype(float), expected)
    assert "Residual" not in set(results.vcov_table()["group"])
    with pytest.raises(AttributeError, match=f"the {family} family has no residual standard deviation"):
        _ = results.residual_sd
    text = str(results.summary())
    assert f"Family: {family} ( log )" in text
    assert f"Parameters of the {family} family:" in text
    assert "Residual  " not in text

    y, mu = data["y"].to_numpy(), results.predict().to_numpy()
    if family == NB:
        variance, dispersion = mu + mu**2 / value, 1.0
        deviance = 2 * (special.xlogy(y, y / mu) - (y + value) * np.log((y + value) / (mu + value)))
    else:
        variance, dispersion = mu**2, 1 / value
        deviance = 2 * ((y - mu) / mu - np.log(y / mu))
    np.testing.assert_allclose(results.residuals("response"), y - mu, rtol=1e-12)
    np.testing.assert_allclose(results.residuals("pearson"), (y - mu) / np.sqrt(variance), rtol=1e-10)
    signed = np.sign(y - mu) * np.sqrt(np.maximum(deviance, 0))
    np.testing.assert_allclose(results.residuals("deviance"), signed, rtol=1e-7, atol=1e-7)
    quartile = np.median((y - mu) / np.sqrt(variance * dispersion))
    shown = next(line for line in text.splitlines()[text.splitlines().index("Scaled residuals:") + 2 :])
    assert float(shown.split()[2]) == pytest.approx(quartile, abs=1e-4)

    new = pd.DataFrame({"x": [0.0, 1.0], "g": [3, 99], "h": [2, 2]})
    eta = results.predict(new, kind="link", new_levels="zero").to_numpy()
    np.testing.assert_allclose(results.predict(new, new_levels="zero"), np.exp(eta), rtol=1e-12)
    results.save(tmp_path / "fit")
    for again in (ml.load(tmp_path / "fit"), pickle.loads(pickle.dumps(results))):
        assert again.llf == results.llf
        assert again.family == results.family
        pd.testing.assert_frame_equal(again.family_parameters(), results.family_parameters())
        assert str(again.summary()) == text
    turned = results.model.refit(y[::-1].copy())
    assert turned.llf == ml.fit("y ~ x + (1 | g) + (1 | h)", data.assign(y=y[::-1]), family).llf


def test_names_of_other_packages() -> None:
    data = counts(9, 2.0)
    for name in ("nbinom2", "negbin", "NegativeBinomial"):
        with pytest.raises(ml.DataError, match="did you mean 'negative_binomial'"):
            ml.fit("y ~ x", data, name)
    assert ml.fit("y ~ x", data, "Negative_Binomial").family == ml.Family(NB)
    with pytest.raises(ml.DataError, match="the gamma family has no link 'sqrt'; it has log, inverse, identity"):
        ml.fit("y ~ x", data, GAMMA, link="sqrt")


def test_poisson_and_negative_binomial_compare() -> None:
    """Their log-likelihoods have the same constants: a difference of information criteria means something."""
    data = counts(9, 2.0)
    one, two = ml.fit("y ~ x + (1 | g)", data, "poisson"), ml.fit("y ~ x + (1 | g)", data, NB)
    assert two.df_model == one.df_model + 1
    assert one.aic - two.aic == pytest.approx(2 * (two.llf - one.llf) - 2, abs=1e-8)
    assert two.llf > one.llf + 100


# ---- simulated data -----------------------------------------------------------------------------------------------


TRUTH = {  # intercept, slope, standard deviation of the groups, the family's parameter
    (NB, "log"): (0.8, 0.5, 0.6, 2.0),
    (NB, "identity"): (25.0, 8.0, 4.0, 15.0),
    (GAMMA, "log"): (0.8, 0.5, 0.6, 2.0),
    (GAMMA, "inverse"): (3.0, 1.0, 0.45, 10.0),
    (GAMMA, "identity"): (8.0, 2.0, 1.2, 10.0),
}


@pytest.mark.parametrize(
    ("family", "link", "points"), [*((*own, 1) for own in TRUTH), (NB, "log", 7), (GAMMA, "log", 7)]
)
def test_the_truth_is_recovered(family: str, link: str, points: int) -> None:
    """Over twelve samples the estimates are the truth on average, and intervals of 95 % hold it about as often."""
    intercept, slope, sd, own = TRUTH[family, link]
    truth = np.array([intercept, slope, sd, np.log(own)])
    g, z = np.repeat(np.arange(60), 12), []
    for seed in range(12):
        rng = np.random.default_rng([seed, len(family), len(link)])
        x = rng.uniform(-0.5, 0.5, len(g))
        eta = intercept + slope * x + sd * rng.normal(size=60)[g]
        assert (mean_of(family, link, eta) > 0).all()
        data = pd.DataFrame({"y": drawn(rng, family, eta, link=link, phi=(np.log(own),)), "x": x, "g": g})
        results = quietly("y ~ x + (1 | g)", data, family, link=link, n_quadrature=points)
        assert results.converged, f"seed {seed}: {results.fit.message}"
        z.append((results.fit.psi - truth) / np.sqrt(np.diag(results.fit.covariance)))
    # means of twelve have a standard error of 0.29; maximum likelihood has variances that are a little too small
    bias = np.mean(z, axis=0)
    assert np.abs(bias[[0, 1, 3]]).max() < 0.7
    assert abs(bias[2]) < 0.9
    assert np.mean(np.abs(z) < 1.96) > 0.88
