"""What follows from a fit of ordered categories: draws, residuals, effects, words, pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import multilevel as ml
from multilevel.effects.comparisons import marginal_effects
from multilevel.fitting.parameters import parts

from .family_cases import Array
from .wine_categories import (
    KINDS,
    columns_of,
    distribution_function,
    error_of,
    fits_of_every_kind,
    fitted,
    jacobian,
    predictor,
    shares_of,
    wine_data,
)


@pytest.fixture(scope="module")
def fits() -> dict[str, ml.MixedModelResults]:
    return fits_of_every_kind()


@pytest.fixture(scope="module")
def wine(fits: dict[str, ml.MixedModelResults]) -> ml.MixedModelResults:
    return fits["plain"]


# ---- draws -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_draws_have_the_probabilities(fits: dict[str, ml.MixedModelResults], kind: str) -> None:
    results = fits[kind]
    drawn = results.simulate(2000, seed=3, random="conditional")
    assert drawn.to_numpy().dtype == np.int64
    expected = results.predict(kind="probabilities").to_numpy()
    for k in range(5):
        share = (drawn == k + 1).mean(axis=1).to_numpy()
        error = np.sqrt(expected[:, k] * (1 - expected[:, k]) / 2000)
        assert np.abs((share - expected[:, k]) / error).max() < 4.5  # of 72 x 5 shares
    few = results.simulate(2, seed=3, random="conditional")
    pd.testing.assert_frame_equal(few, drawn[[0, 1]])  # a replicate is a stream of its own


def test_simulated_from_given_parameters() -> None:
    data = {"x": np.linspace(-1, 1, 300), "g": np.arange(300) % 30, "z": np.arange(300) % 2}
    params: dict[str, Any] = {"x": 0.7, "g: sd": 0.5, "thresholds": [-1.0, 0.0, 2.0]}
    y = ml.simulate("~ x + (1 | g)", data, "cumulative", params=params, n=40, seed=1)
    assert set(np.unique(y)) == {1, 2, 3, 4}
    named = {"x": 0.7, "g: sd__(Intercept)": 0.5, "thresholds: 1|2": -1, "thresholds: 2|3": 0, "thresholds: 3|4": 2}
    pd.testing.assert_frame_equal(ml.simulate("~ x + (1 | g)", data, "cumulative", params=named, n=40, seed=1), y)
    # mean of P(y <= k) over rows and effects, by the rule for the logistic-normal integral
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    at = np.array([-1.0, 0.0, 2.0])[:, None, None] - 0.7 * data["x"][:, None] - 0.5 * nodes
    below = (special.expit(at) @ weights / weights.sum()).mean(axis=1)
    shares = [float((y <= k).to_numpy().mean()) for k in (1, 2, 3)]
    np.testing.assert_allclose(shares, below, atol=0.03)
    moved = params | {f"thresholds: z: {k}|{k + 1}": 0.5 for k in (1, 2, 3)}
    other = ml.simulate("~ x + (1 | g)", data, "cumulative", nominal="~ z", params=moved, n=40, seed=1)
    assert (other.to_numpy()[0::2] == y.to_numpy()[0::2]).all()
    assert (other.to_numpy() <= y.to_numpy()).all()
    equal = {"x": 0.7, "g: sd": 0.5, "thresholds": [-1, 1.2]}
    words = {"thresholds": "equidistant", "levels": ["no", "little", "much", "all"]}
    assert ml.simulate("~ x + (1 | g)", data, "cumulative", params=equal, seed=1, **words).to_numpy().max() == 4
    for wrong, match in (
        ({"x": 0.7, "g: sd": 0.5}, "give levels= their labels"),
        (params | {"thresholds": [1, 0, 2]}, "each must be above the one before"),
        (params | {"thresholds": ["a", 0, 2]}, "it must be a number"),
    ):
        with pytest.raises(ml.DataError, match=match):
            ml.simulate("~ x + (1 | g)", data, "cumulative", params=wrong)
    with pytest.raises(ml.DataError, match="has 2 numbers; there are 3"):
        ml.simulate("~ x + (1 | g)", data, "cumulative", params=equal, levels=[1, 2, 3, 4])
    power = ml.power("~ x + (1 | g)", data, "cumulative", test="x", params=params, n=100, seed=2, sizes=[15])
    assert 0.4 < power["power"].iloc[0] < 1


def test_bootstrap(wine: ml.MixedModelResults) -> None:
    found = wine.bootstrap(60, seed=1)
    assert list(found.estimates.index) == list(wine.tidy()["effect"].ne("fixed").index.map(lambda k: labels(wine)[k]))
    error = found.std_error / np.sqrt(np.diag(wine.fit.covariance))[[0, 1, 2, 3, 4, 5, 6]]
    assert error.drop("judge: sd__(Intercept)").between(0.7, 1.8).all()
    assert set(found.failed) <= {"no row has category '1'"}  # nothing holds its threshold
    assert len(found.failed) == 1
    again = wine.refit(wine.simulate(1, seed=5)[0])
    assert again.converged


def labels(results: ml.MixedModelResults) -> list[str]:
    table = results.tidy()
    prefix = {"fixed": "", "ran_pars": "judge: ", "thresholds": "thresholds: "}
    return [prefix[effect] + term for effect, term in zip(table["effect"], table["term"], strict=True)]


# ---- residuals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_quantile_residuals(fits: dict[str, ml.MixedModelResults], kind: str) -> None:
    """Each lies in the interval that the thresholds make of it; drawn ones spread as the normal distribution."""
    results = fits[kind]
    eta, thresholds = columns_of(results, wine_data())
    y = results.fit.design.response.values.astype(int)
    effects = results.fit.modes[0][results.fit.design.grouping_factors[0].codes, 0]
    for random, shift in (("conditional", effects), ("zero", 0.0)):
        ends = distribution_function(results.fit.family.link, thresholds - (eta + shift)[:, None])
        ends = np.hstack([np.zeros((72, 1)), ends, np.ones((72, 1))])
        at = special.ndtr(results.residuals("quantile", random=random))
        assert (at >= ends[np.arange(72), y - 1]).all()
        assert (at <= ends[np.arange(72), y]).all()
    marginal = special.ndtr(results.residuals("quantile", random="marginal"))
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    spread = np.sqrt(results.fit.random_cov[0][0, 0]) * nodes
    below = distribution_function(results.fit.family.link, thresholds[:, :, None] - eta[:, None, None] - spread)
    below = np.hstack([np.zeros((72, 1)), below @ weights / weights.sum(), np.ones((72, 1))])
    assert (marginal > below[np.arange(72), y - 1] - 1e-9).all()
    assert (marginal < below[np.arange(72), y] + 1e-9).all()
    drawn = np.concatenate([results.residuals("quantile", random="drawn", seed=seed) for seed in range(20)])
    assert drawn.std() == pytest.approx(1, abs=0.1)
    assert "uniformity" in set(results.check().table["check"])


def test_what_needs_the_density_of_a_row(wine: ml.MixedModelResults) -> None:
    """Posterior means of a judge by brute force; a variance against zero; the likelihood of a judge, drawn."""
    eta, thresholds = columns_of(wine, wine_data())
    y, codes = wine.fit.design.response.values.astype(int), wine.fit.design.grouping_factors[0].codes
    ends = np.hstack([np.full((72, 1), -np.inf), thresholds, np.full((72, 1), np.inf)])
    v = np.linspace(-9, 9, 2001)
    at = eta[:, None] + wine.fit.theta[0][0, 0] * v
    upper, lower = ends[np.arange(72), y][:, None] - at, ends[np.arange(72), y - 1][:, None] - at
    rows = special.expit(upper) - special.expit(lower)
    for judge in (0, 4):
        weight = np.exp(-(v**2) / 2) * np.prod(rows[codes == judge], axis=0)
        mean = weight @ v / weight.sum()
        assert wine.abilities()["mean"].iloc[judge] == pytest.approx(mean, abs=1e-6)
    zero = ml.fit("rating ~ temp + contact", wine_data(), family="cumulative")
    assert wine.test_variance("judge").chi2 == pytest.approx(2 * (wine.llf - zero.llf), rel=1e-6)
    pytest.importorskip("matplotlib")
    curve = wine.plot.quadrature(level="1").lines[0].get_ydata()
    assert np.isfinite(np.asarray(curve, dtype=float)).all()


# ---- effects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_effects_from_the_definition(fits: dict[str, ml.MixedModelResults], kind: str) -> None:
    """Averages over the rows of the fit, with errors by differences of all parameters; effects sum to zero."""
    results, frame = fits[kind], wine_data()

    def effect(psi: Array, column: str, high: str, low: str) -> Array:
        both = [
            shares_of(results, frame.assign(**{column: level}), psi, "marginal").mean(axis=0) for level in (high, low)
        ]
        return both[0] - both[1]

    found = results.marginal_effects(outcome="probabilities").table
    pairs = [("temp", "warm", "cold"), ("contact", "yes", "no")]
    expected = np.concatenate([effect(results.fit.psi, *pair) for pair in pairs])
    slopes = np.vstack([jacobian(lambda psi, pair=pair: effect(psi, *pair), results.fit.psi) for pair in pairs])
    np.testing.assert_allclose(found["estimate"], expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found["std_error"], error_of(results, slopes), rtol=1e-5)
    assert list(found["category"]) == ["1", "2", "3", "4", "5"] * 2
    np.testing.assert_allclose(found.groupby("column")["estimate"].sum(), 0, atol=1e-14)
    scores = results.marginal_effects().table["estimate"]
    np.testing.assert_allclose(scores, found["estimate"].to_numpy().reshape(2, 5) @ np.arange(1, 6), rtol=1e-12)
    odds = results.comparisons("temp", kind="odds_ratio", outcome="exceedance").table["estimate"]
    above = [
        shares_of(results, frame.assign(temp=t), results.fit.psi, "marginal").mean(axis=0) for t in ("warm", "cold")
    ]
    p, q = ((1 - np.cumsum(own))[:4] for own in above)
    np.testing.assert_allclose(odds, p / (1 - p) / (q / (1 - q)), rtol=1e-6)
    modes = results.comparisons("temp", outcome="probabilities", random="conditional", by="judge").table
    assert len(modes) == 45


def test_slopes_of_numbers() -> None:
    """Derivatives of probabilities, in a predictor and in what moves single thresholds, with a random slope."""
    rng = np.random.default_rng(12)
    frame = pd.DataFrame({"x": rng.normal(size=240), "z": rng.normal(size=240), "g": np.arange(240) % 20})
    effects = rng.normal(size=(20, 2)) * [1.8, 1.2]
    latent = frame["x"] + 0.5 * frame["z"] + effects[frame["g"], 0] + effects[frame["g"], 1] * frame["x"]
    frame["y"] = np.searchsorted([-1, 0.8], latent + rng.logistic(size=240)) + 1
    results = ml.fit("y ~ x + (1 + x || g)", frame, family="cumulative", nominal="~ z")
    fit, h = results.fit, 1e-4

    def shares(shift: dict[str, float], random: str) -> Array:
        data = frame.assign(**{name: frame[name] + by for name, by in shift.items()})
        return results.predict(data, kind="probabilities", random=random).to_numpy().mean(axis=0)

    for random in ("zero", "marginal"):
        own = results.marginal_effects(outcome="probabilities", random=random).table.set_index(["column", "category"])
        for name in ("x", "z"):
            expected = (shares({name: h}, random) - shares({name: -h}, random)) / (2 * h)
            np.testing.assert_allclose(own.loc[name, "estimate"], expected, rtol=1e-6)
            assert own.loc[name, "estimate"].sum() == pytest.approx(0, abs=1e-12)
    # errors by differences: the same effects of the fit at other parameters
    table = results.marginal_effects("z", outcome="probabilities").table

    def at(psi: Array) -> Array:
        moved = replace(fit, psi=psi, **parts_of(fit, psi))
        return marginal_effects(moved, "z", outcome="probabilities").estimate

    slopes = jacobian(at, fit.psi, 1e-3)
    np.testing.assert_allclose(table["std_error"], error_of(results, slopes), rtol=1e-6)
    trend = results.marginal_slopes("x", kind="probabilities", random="marginal").table
    assert trend["estimate"].sum() == pytest.approx(0, abs=1e-12)


def parts_of(fit: Any, psi: Array) -> dict[str, Any]:
    own = parts(fit.design, fit.family, fit.fixed_names, psi, {"upper": (), "lower": ()})
    return {"beta": own.beta, "theta_values": own.theta_values, "theta": own.theta, "random_cov": own.random_cov}


def test_marginal_means_and_contrasts(wine: ml.MixedModelResults) -> None:
    means = wine.marginal_means("temp", kind="probabilities", random="marginal")
    grid = pd.DataFrame({"temp": ["cold", "cold", "warm", "warm"], "contact": ["no", "yes"] * 2})
    expected = shares_of(wine, grid, wine.fit.psi, "marginal").reshape(2, 2, 5).mean(axis=1)
    np.testing.assert_allclose(means.table["estimate"].to_numpy().reshape(2, 5), expected, rtol=1e-6)
    assert (means.table["conf_low"] > 0).all()
    assert (means.table["conf_high"] < 1).all()
    pairs = means.contrasts().table
    np.testing.assert_allclose(pairs["estimate"], expected[0] - expected[1], rtol=1e-6)
    assert list(means.contrasts(by=[]).table["category"]) == list(pairs["category"])
    ratio = means.contrasts(ratio=True)
    assert "Ratios of probabilities" in str(ratio)
    np.testing.assert_allclose(ratio.table["estimate"], expected[0] / expected[1], rtol=1e-6)
    steps = means.contrasts({"category": "consecutive"}, by=None).table
    np.testing.assert_allclose(steps["estimate"].iloc[:4], np.diff(expected[0]), rtol=1e-6)
    robust = wine.marginal_means("temp", kind="probabilities", robust="CR0")
    assert (robust.table["std_error"] > 0).all()
    modes = wine.marginal_means("temp", kind="cumulative", random="conditional").table["estimate"]
    every = wine.predict(
        grid.merge(pd.DataFrame({"judge": [str(k) for k in range(1, 10)]}), how="cross"), kind="cumulative"
    )
    np.testing.assert_allclose(modes, every.to_numpy().reshape(2, 18, 4).mean(axis=1).ravel(), rtol=1e-12)
    link = wine.marginal_means("temp", kind="link").contrasts(ratio=True)
    assert "Odds ratios" in str(link)
    for match, ask in (
        ("kind='mean' is not available", lambda: wine.marginal_means("temp", kind="mean")),
        ("leave average= out", lambda: wine.marginal_means("temp", kind="response", average="link")),
        ("outcome='mean' is not available", lambda: wine.comparisons("temp", outcome="mean")),
        ("linear predictors have differences", lambda: wine.comparisons("temp", outcome="latent", kind="ratio")),
    ):
        with pytest.raises(ml.DataError, match=match):
            ask()


@pytest.mark.parametrize("kind", KINDS)
def test_population(fits: dict[str, ml.MixedModelResults], kind: str) -> None:
    results, frame = fits[kind], wine_data()
    psi = results.fit.psi

    def averages(psi: Array) -> Array:
        return shares_of(results, frame, psi, "marginal").mean(axis=0)

    own = results.population_average(kind="probabilities")
    assert list(own.index) == ["1", "2", "3", "4", "5"]
    np.testing.assert_allclose(own["estimate"], averages(psi), rtol=1e-6)
    np.testing.assert_allclose(own["std_error"], error_of(results, jacobian(averages, psi)), rtol=1e-5)
    mean = results.population_average(kind="mean")
    assert mean["estimate"].iloc[0] == pytest.approx(averages(psi) @ np.arange(1, 6), rel=1e-6)
    by = results.population_average(kind="exceedance", newdata=frame, by="temp")
    assert by.index.names == ["temp", "rating"]
    cold = shares_of(results, frame[frame["temp"] == "cold"], psi, "marginal").mean(axis=0)
    np.testing.assert_allclose(by.loc["cold", "estimate"], 1 - np.cumsum(cold)[:4], rtol=1e-6)
    found = results.population_average()

    def coefficients(psi: Array) -> Array:
        """Least squares of the links of cumulative probabilities, over rows and thresholds."""
        inverse = {"logit": special.logit, "probit": special.ndtri}[results.fit.family.link]
        linked = inverse(np.cumsum(shares_of(results, frame, psi, "marginal"), axis=1)[:, :4])
        zero = np.zeros(len(psi))
        columns = []
        for k in range(len(psi)):
            zero[:], zero[k] = 0.0, 1.0
            eta, thresholds = predictor(results, frame, zero)
            columns.append((thresholds - eta[:, None]).ravel())
        x = np.column_stack(columns)[:, np.arange(len(psi)) != len(results.params)]
        return np.linalg.lstsq(x, linked.ravel(), rcond=None)[0]

    np.testing.assert_allclose(found["estimate"], coefficients(psi), rtol=1e-5)
    np.testing.assert_allclose(found["std_error"], error_of(results, jacobian(coefficients, psi)), rtol=1e-4)
    if results.fit.family.link == "probit":  # a normal latent variable with a larger variance
        shrunk = results.params / np.sqrt(1 + results.fit.random_cov[0][0, 0])
        np.testing.assert_allclose(found["estimate"].iloc[:2], shrunk, rtol=1e-9)
    with pytest.raises(ml.DataError, match="no trials"):
        results.population_average(kind="mean", newdata=frame, trials=2)
    with pytest.raises(ValueError, match="'exceedance'"):
        results.population_average(kind="class")


# ---- words and pictures --------------------------------------------------------------------------------------------


def test_in_words(fits: dict[str, ml.MixedModelResults]) -> None:
    words = " ".join(str(fits["plain"].interpret()).split())
    odds = np.exp(fits["plain"].params["temp[warm]"])
    assert f"temp warm rather than cold, the odds of a higher category of rating are {odds:.4g} times" in words
    above = np.exp(-fits["plain"].params_of("thresholds")["2|3"])
    assert f"2|3: the odds of rating above 2 are {above:.4g} (95 % interval" in words
    assert "where temp is cold, contact is no and random effects are zero" in words
    words = " ".join(str(fits["nominal"].interpret()).split())
    own = np.exp(-fits["nominal"].params_of("thresholds")["contact[yes]: 3|4"])
    assert f"contact yes rather than no, the odds of rating above 3 are {own:.4g} times as large" in words
    words = " ".join(str(fits["equidistant"].interpret()).split())
    assert "the latent rating, on the scale of the probit link, is" in words
    hazard = fitted("plain", link="cloglog")
    with pytest.raises(ml.DataError, match="with its sign changed"):
        hazard.tidy(exponentiate=True)
    assert "odds ratio" in set(fits["plain"].tidy(exponentiate=True)["quantity"])


@pytest.mark.parametrize("kind", KINDS)
def test_inference_about_thresholds(fits: dict[str, ml.MixedModelResults], kind: str) -> None:
    """Wald tests by the covariance of all parameters, profiles by fits with the threshold held, robust errors."""
    results = fits[kind]
    names, covariance = list(results.params_of("thresholds").index), results.fit.covariance[len(results.params) + 1 :]
    covariance = covariance[:, len(results.params) + 1 :]
    first, second = names[:2]
    test = results.wald_test(f"`{first}` = `{second}`", part="thresholds")
    own = results.params_of("thresholds").iloc[:2].to_numpy() @ [1, -1]
    assert test.statistic == pytest.approx(own**2 / (np.array([1, -1]) @ covariance[:2, :2] @ [1, -1]), rel=1e-10)
    limits = results.conf_int(method="profile", which=f"thresholds: {first}").iloc[0]
    assert limits["lower"] < results.params_of("thresholds").iloc[0] < limits["upper"]
    robust = results.tidy(component="thresholds", robust="CR0")["std_error"]
    assert (robust > 0).all()
    assert results.cluster_contributions()["llf"].sum() == pytest.approx(results.llf, rel=1e-12)
    assert 0 < results.icc()["estimate"].iloc[0] < 1
    with pytest.raises(ml.DataError, match="binary responses"):
        results.lack_of_fit()


def test_pictures(wine: ml.MixedModelResults) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    bars = wine.plot.categories("temp")
    heights = np.array([[bar.get_height() for bar in group] for group in bars.containers])
    expected = wine.marginal_means("temp", kind="probabilities").table["estimate"].to_numpy().reshape(2, 5)
    np.testing.assert_allclose(heights.T, expected, rtol=1e-12)
    lines = wine.plot.categories("temp", style="lines", random="marginal")
    np.testing.assert_allclose(
        [line.get_ydata() for line in lines.lines],
        wine.marginal_means("temp", kind="probabilities", random="marginal")
        .table["estimate"]
        .to_numpy()
        .reshape(2, 5)
        .T,
    )
    axes = wine.plot.thresholds(at={"temp": "warm", "contact": "no"})
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    p = wine.predict(pd.DataFrame({"temp": ["warm"], "contact": ["no"]}), kind="probabilities", random="zero").iloc[0]
    assert labels == [f"{name} ({share:.2f})" for name, share in p.items()]
    means = wine.plot.predictions("temp")
    assert means.get_ylabel() == "mean of rating"
    with pytest.raises(ml.DataError, match="style='pie' is not available"):
        wine.plot.categories("temp", style="pie")
    binary = ml.fit("y ~ 1", pd.DataFrame({"y": [0, 1, 1, 0, 1]}), family="binomial")
    with pytest.raises(ml.DataError, match=r"is of (ordered )?categories"):
        binary.plot.thresholds()
    with pytest.raises(ml.DataError, match=r"is of (ordered )?categories"):
        binary.plot.categories("x")
    pyplot.close("all")
