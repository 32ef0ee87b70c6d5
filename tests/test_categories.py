"""What follows from a fit of ordered categories: draws, residuals, predictions, means, effects, words, pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import multilevel as ml

from .family_cases import Array
from .reference_files import read_data, read_numbers

FORMULA = "rating ~ temp + contact + (1 | judge)"
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "nominal": {"formula": "rating ~ temp + (1 | judge)", "nominal": "~ contact"},
    "equidistant": {"thresholds": "equidistant", "link": "probit"},
}


def wine_data() -> pd.DataFrame:
    frame = read_data("wine")
    for column, facts in read_numbers("wine")["columns"].items():
        if "levels" in facts:
            ordered = facts["type"] == "ordered"
            frame[column] = pd.Categorical(frame[column].astype(str), categories=facts["levels"], ordered=ordered)
    return frame


def fitted(kind: str, **more: Any) -> ml.MixedModelResults:
    own = {"formula": FORMULA, **KINDS[kind], **more}
    return ml.fit(own.pop("formula"), wine_data(), family="cumulative", n_quadrature=5, **own)


@pytest.fixture(scope="module")
def fits() -> dict[str, ml.MixedModelResults]:
    return {kind: fitted(kind) for kind in KINDS}


@pytest.fixture(scope="module")
def wine(fits: dict[str, ml.MixedModelResults]) -> ml.MixedModelResults:
    return fits["plain"]


def distribution_function(link: str, x: Array) -> Array:
    """Of the latent response around its predictor."""
    return {"logit": special.expit, "probit": special.ndtr}[link](x)


def columns_of(results: ml.MixedModelResults, frame: pd.DataFrame) -> tuple[Array, Array]:
    """The predictors without random effects, (n,), and the thresholds, (n, 4), written from the definition."""
    return predictor(results, frame, results.fit.psi)


def predictor(results: ml.MixedModelResults, frame: pd.DataFrame, psi: Array) -> tuple[Array, Array]:
    """The same at other parameters."""
    fit, p = results.fit, len(results.params)
    x = {
        "temp[warm]": (frame["temp"] == "warm").to_numpy(float),
        "contact[yes]": (frame["contact"] == "yes").to_numpy(float),
    }
    eta = sum((psi[k] * x[name] for k, name in enumerate(results.params.index)), np.zeros(len(frame)))
    matrix = fit.design.thresholds.matrix
    own = psi[p + 1 :].reshape(-1, matrix.shape[1]) @ matrix.T
    thresholds = np.tile(own[0], (len(frame), 1))
    if len(own) > 1:
        thresholds += x["contact[yes]"][:, None] * own[1]
    return eta, thresholds


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
