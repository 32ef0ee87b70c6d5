"""Predicted probabilities and means of ordered categories, with errors from the definition, and of other programs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import multilevel as ml

from .reference_files import FOLDER
from .wine_categories import (
    FORMULA,
    KINDS,
    NODES,
    SHARES,
    error_of,
    fits_of_every_kind,
    jacobian,
    predictor,
    shares_at,
    shares_of,
    wine_data,
)


@pytest.fixture(scope="module")
def fits() -> dict[str, ml.MixedModelResults]:
    return fits_of_every_kind()


@pytest.fixture(scope="module")
def wine(fits: dict[str, ml.MixedModelResults]) -> ml.MixedModelResults:
    return fits["plain"]


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
