"""What follows from a fit of ordered categories: draws, residuals, predictions, means, effects, words, pictures."""

from __future__ import annotations

import json
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
from .reference_files import FOLDER, read_data, read_numbers

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


# ---- predictions ---------------------------------------------------------------------------------------------------

NODES, SHARES = np.polynomial.hermite_e.hermegauss(61)
SHARES = SHARES / SHARES.sum()


def shares_at(results: ml.MixedModelResults, eta: Array, thresholds: Array) -> Array:
    below = distribution_function(results.fit.family.link, thresholds - eta[:, None])
    return np.diff(np.hstack([np.zeros((len(eta), 1)), below, np.ones((len(eta), 1))]))


def modes_at(results: ml.MixedModelResults, psi: Array) -> Array:
    """The most probable effect of each judge given the data, on their own scale, by Newton's method on differences."""
    eta, thresholds = predictor(results, wine_data(), psi)
    y, codes = results.fit.design.response.values.astype(int), results.fit.design.grouping_factors[0].codes
    sd = abs(psi[len(results.params)])

    def log_posterior(v: Array) -> Array:
        own = np.log(shares_at(results, eta + sd * v[codes], thresholds)[np.arange(72), y - 1])
        return np.bincount(codes, own) - v**2 / 2

    v, h = np.zeros(9), 1e-3
    for _ in range(12):
        up, here, down = (log_posterior(v + step) for step in (h, 0.0, -h))
        v = v - (up - down) / 2 / h / ((up - 2 * here + down) / h**2)
    return np.asarray(sd * v)


def shares_of(results: ml.MixedModelResults, frame: pd.DataFrame, psi: Array, random: str) -> Array:
    """Probabilities of categories from the definition."""
    eta, thresholds = predictor(results, frame, psi)
    if random == "zero":
        return shares_at(results, eta, thresholds)
    if random == "conditional":
        judges = list(results.fit.design.grouping_factors[0].levels)
        at = [judges.index(str(judge)) for judge in frame["judge"]]
        return shares_at(results, eta + modes_at(results, psi)[at], thresholds)
    sd = abs(psi[len(results.params)])
    return sum(w * shares_at(results, eta + sd * z, thresholds) for z, w in zip(NODES, SHARES, strict=True))


def jacobian(function: Any, psi: Array, h: float = 2e-3) -> Array:
    """Derivatives by differences of the fourth order, (..., P)."""
    steps = np.eye(len(psi)) * h
    return np.stack(
        [
            (8 * (function(psi + s) - function(psi - s)) - function(psi + 2 * s) + function(psi - 2 * s)) / (12 * h)
            for s in steps
        ],
        axis=-1,
    )


def error_of(results: ml.MixedModelResults, slopes: Array) -> Array:
    return np.sqrt(np.einsum("...p,pq,...q->...", slopes, results.fit.covariance, slopes))


SUMS = {
    "probabilities": np.eye(5),
    "cumulative": np.tril(np.ones((5, 5)))[:-1],
    "exceedance": 1 - np.tril(np.ones((5, 5)))[:-1],
    "response": np.arange(1.0, 6.0)[None, :],
}
NEW = pd.DataFrame({"temp": ["cold", "warm", "cold"], "contact": ["no", "yes", "yes"], "judge": ["1", "5", "9"]})


@pytest.mark.parametrize("random", ["zero", "conditional", "marginal"])
@pytest.mark.parametrize("kind", KINDS)
def test_predictions_with_errors(fits: dict[str, ml.MixedModelResults], kind: str, random: str) -> None:
    """By differences of the definition, all parameters among them; at modes their own error beside."""
    results = fits[kind]
    expected = shares_of(results, NEW, results.fit.psi, random)
    slopes = jacobian(lambda psi: shares_of(results, NEW, psi, random), results.fit.psi)
    beside = np.zeros((3, 5))
    if random == "conditional":
        judges = list(results.fit.design.grouping_factors[0].levels)
        at = [judges.index(judge) for judge in NEW["judge"]]
        eta, thresholds = predictor(results, NEW, results.fit.psi)
        eta = eta + results.fit.modes[0][at, 0]
        beside = (shares_at(results, eta + 1e-4, thresholds) - shares_at(results, eta - 1e-4, thresholds)) / 2e-4
        beside = beside * np.sqrt(results.fit.mode_cov[0][at, 0, 0])[:, None]
    for word, sums in SUMS.items():
        own = results.predict(NEW, kind=word, random=random, interval="confidence", level=0.9)
        shape = (3, len(sums))
        np.testing.assert_allclose(own["estimate"].to_numpy().reshape(shape), expected @ sums.T, rtol=2e-6)
        error = np.sqrt(error_of(results, np.einsum("ncp,mc->nmp", slopes, sums)) ** 2 + (beside @ sums.T) ** 2)
        np.testing.assert_allclose(own["std_error"].to_numpy().reshape(shape), error, rtol=2e-5)
        low, high = (1.0, 5.0) if word == "response" else (0.0, 1.0)
        share = (own["estimate"] - low) / (high - low)
        size = 1.6448536269514722 * own["std_error"] / (high - low) / (share * (1 - share))
        ends = [low + (high - low) * special.expit(special.logit(share) + step) for step in (-size, size)]
        np.testing.assert_allclose(own[["lower", "upper"]], np.column_stack(ends), rtol=1e-8)
        plain = results.predict(NEW, kind=word, random=random)
        np.testing.assert_allclose(plain.to_numpy().ravel(), own["estimate"], rtol=1e-12)


def test_what_predictions_look_like(wine: ml.MixedModelResults) -> None:
    own = wine.predict(NEW, kind="probabilities", se=True)
    assert own.index.names == [None, "rating"]
    assert list(own.loc[1].index) == ["1", "2", "3", "4", "5"]
    assert list(wine.predict(NEW, kind="exceedance").columns) == ["1", "2", "3", "4"]
    holes = NEW.assign(temp=[None, "warm", "cold"])
    lost = wine.predict(holes, kind="probabilities", interval="confidence")
    assert lost.loc[0].isna().all(axis=None)
    assert lost.loc[[1, 2]].notna().all(axis=None)
    link = wine.predict(NEW, kind="link", random="zero", se=True)
    x = np.array([[0, 0], [1, 1], [0, 1.0]])
    np.testing.assert_allclose(link["std_error"] ** 2, np.diag(x @ wine.cov_params() @ x.T), atol=1e-14)
    stranger = NEW.assign(judge=["1", "5", "new"])
    both = wine.predict(stranger, new_levels="marginal", kind="probabilities")
    np.testing.assert_allclose(both.iloc[2], wine.predict(NEW, kind="probabilities", random="marginal").iloc[2])
    known = wine.predict(NEW, kind="probabilities", se=True, random="zero", variances="known")["std_error"]
    kept = [0, 1, 3, 4, 5, 6]
    covariance = np.linalg.inv(-wine.fit.hessian[np.ix_(kept, kept)])
    slopes = jacobian(lambda psi: shares_of(wine, NEW, psi, "zero"), wine.fit.psi)[..., kept]
    expected = np.sqrt(np.einsum("ncp,pq,ncq->nc", slopes, covariance, slopes))
    np.testing.assert_allclose(known.to_numpy().reshape(3, 5), expected, rtol=1e-6)
    for match, more in (
        ("has no standard error", {"kind": "class", "se": True}),
        ("is of a response", {"kind": "probabilities", "interval": "prediction"}),
        ("no trials", {"trials": 3}),
    ):
        with pytest.raises(ml.DataError, match=match):
            wine.predict(NEW, **more)


def test_several_grouping_factors() -> None:
    """Crossed and nested: at the modes the errors come from all effects at once, averages from their sum."""
    frame = wine_data()
    results = ml.fit("rating ~ temp + (1 | judge) + (1 | bottle)", frame, family="cumulative")
    nested = ml.fit("rating ~ temp + (1 | judge/contact)", frame, family="cumulative")
    for own in (results, nested):
        for random in ("zero", "conditional", "marginal"):
            table = own.predict(kind="probabilities", random=random, se=True)
            total = table["estimate"].to_numpy().reshape(72, 5).sum(axis=1)
            np.testing.assert_allclose(total, 1, atol=1e-13)
            assert np.isfinite(table.to_numpy()).all()
            assert (table["std_error"] > 0).all()
    sd = np.sqrt(sum(cov[0, 0] for cov in nested.fit.random_cov))
    eta = nested.params.iloc[0] * (frame["temp"] == "warm").to_numpy(float)
    tau = np.tile(nested.params_of("thresholds"), (72, 1))
    expected = sum(w * shares_at(nested, eta + sd * z, tau) for z, w in zip(NODES, SHARES, strict=True))
    np.testing.assert_allclose(nested.predict(kind="probabilities", random="marginal"), expected, rtol=1e-5)


def test_weights() -> None:
    """A whole number is that many rows: of a new response there is one."""
    frame = wine_data().assign(w=[1, 2] * 36)
    results = ml.fit(FORMULA, frame, family="cumulative", weights="w")
    repeated = ml.fit(FORMULA, frame.loc[frame.index.repeat(frame["w"])], family="cumulative")
    one, two = (own.predict(NEW, kind="probabilities", se=True) for own in (results, repeated))
    np.testing.assert_allclose(one, two, rtol=1e-6)
    for ask in (lambda: results.predict(interval="prediction"), lambda: results.simulate(1)):
        with pytest.raises(ml.DataError, match="weight"):
            ask()
    assert results.predict(NEW, interval="prediction").notna().all(axis=None)


def test_prediction_intervals_hold_new_responses() -> None:
    """Of groups drawn anew nine in ten responses and more lie within; the sets are intervals of categories."""
    rng = np.random.default_rng(8)
    g, x = np.repeat(np.arange(60), 8), rng.normal(size=480)
    data = {"x": x, "g": g}
    params: dict[str, Any] = {"x": 1.0, "g: sd": 1.0, "thresholds": [-2.0, -0.5, 0.5, 2.0]}
    y = ml.simulate("~ x + (1 | g)", data, "cumulative", params=params, n=41, seed=4)
    results = ml.fit("y ~ x + (1 | g)", {**data, "y": y[0].to_numpy()}, "cumulative")
    own = results.predict(random="marginal", interval="prediction", level=0.8)
    inside = (y.iloc[:, 1:].ge(own["lower"].to_numpy(), axis=0)) & (y.iloc[:, 1:].le(own["upper"].to_numpy(), axis=0))
    assert 0.8 < inside.to_numpy().mean() < 0.97
    labels = results.predict(kind="class", random="marginal", interval="prediction", level=0.8)
    np.testing.assert_array_equal(labels["lower"].astype(float), own["lower"])
    assert (labels["lower"].astype(int) <= labels["estimate"].astype(int)).all()
    assert (labels["estimate"].astype(int) <= labels["upper"].astype(int)).all()
    # shorter intervals of the groups that were seen
    seen = results.predict(interval="prediction", level=0.8)
    assert (seen["upper"] - seen["lower"]).mean() < (own["upper"] - own["lower"]).mean()


def test_far_from_the_data(wine: ml.MixedModelResults) -> None:
    """Probabilities that round to zero or one have an interval of that alone, and no NaN."""
    frame = pd.DataFrame({"x": np.linspace(-1, 1, 60), "g": np.arange(60) % 6})
    frame["y"] = np.searchsorted([-0.4, 0.4], frame["x"] + np.sin(np.arange(60) * 7.0)) + 1
    results = ml.fit("y ~ x", frame, family="cumulative", link="probit")
    own = results.predict(
        pd.DataFrame({"x": [-60.0, 60.0]}), kind="probabilities", random="zero", interval="confidence"
    )
    assert own.notna().all(axis=None)
    assert own.loc[(0, "1"), "lower"] > 0.99
    assert (own["lower"] <= own["estimate"]).all()
    assert (own["upper"] >= own["estimate"]).all()


# ---- other programs ------------------------------------------------------------------------------------------------


def test_predictions_and_means_of_ordinal_and_emmeans() -> None:
    """Fits without random effects agree to rounding; clmm's own estimates stop some 1e-6 short."""
    reference = json.loads((FOLDER / "ordered_categories.json").read_text())
    frame, new = wine_data(), pd.DataFrame(reference["new"])
    fits = {
        "plain": ml.fit("rating ~ temp + contact", frame, family="cumulative"),
        "nominal": ml.fit("rating ~ temp", frame, family="cumulative", nominal="~ contact"),
        "mixed": ml.fit(FORMULA, frame, family="cumulative", n_quadrature=10),
    }
    for name, numbers in reference["predict"].items():
        own = fits[name].predict(new, kind="probabilities", interval="confidence")
        for word, column in (("fit", "estimate"), ("se", "std_error"), ("lower", "lower"), ("upper", "upper")):
            np.testing.assert_allclose(own[column].to_numpy().reshape(4, 5), numbers[word], rtol=1e-9)
    modes = {"prob": "probabilities", "cum.prob": "cumulative", "exc.prob": "exceedance", "linear.predictor": "cuts"}
    for name, numbers in reference["emmeans"].items():
        rtol = 2e-5 if name == "mixed" else 1e-9
        for mode, kind in {**modes, "mean.class": "response", "latent": "latent"}.items():
            table = fits[name].marginal_means("temp", kind=kind).table
            np.testing.assert_allclose(table["estimate"], numbers[mode]["estimate"], rtol=rtol)
            np.testing.assert_allclose(table["std_error"], numbers[mode]["SE"], rtol=rtol)
        pairs = fits[name].marginal_means("temp", kind="response").contrasts().table
        np.testing.assert_allclose(pairs["estimate"], numbers["pairs_mean_class"]["estimate"], rtol=rtol)
        np.testing.assert_allclose(pairs["std_error"], numbers["pairs_mean_class"]["SE"], rtol=rtol)


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
