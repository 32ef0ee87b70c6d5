"""What follows from fits of categories, with a scale or without an order: against other programs and definitions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import multilevel as ml
from multilevel.errors import DataError
from multilevel.fitting.parameters import parts

Array = np.ndarray
Ask = Callable[[ml.MixedModelResults], Any]
pytestmark = pytest.mark.filterwarnings("ignore::multilevel.errors.FitWarning")  # groups are small
REFERENCE = json.loads((Path(__file__).parent / "reference" / "category_effects.json").read_text())


def same(found: pd.DataFrame, name: str, scale: float = 2e-4) -> None:
    """Estimates and errors are those of another program, to as many digits as its search has."""
    expected = REFERENCE[name]
    np.testing.assert_allclose(found["estimate"], expected["estimate"], atol=1e-5)
    np.testing.assert_allclose(found["std_error"], expected["se"], rtol=scale, atol=1e-6)


def at_parameters(results: ml.MixedModelResults, psi: Array) -> ml.MixedModelResults:
    """The results with other parameters, modes as they were."""
    fit = results.fit
    dropped = {part.parameter: () for part in fit.design.parts}
    own = parts(fit.design, fit.family, fit.fixed_names, psi, dropped)
    moved = {name: getattr(own, name) for name in ("beta", "theta_values", "theta", "random_cov", "phi")}
    return ml.MixedModelResults(replace(fit, psi=psi, **moved), results.model)


def by_definition(results: ml.MixedModelResults, value: Callable[[ml.MixedModelResults], Array]) -> Array:
    """Standard errors by the delta method, with derivatives by differences."""
    fit, h = results.fit, 1e-4
    columns = []
    for k in range(len(fit.psi)):
        ends = [np.ravel(value(at_parameters(results, fit.psi + s * h * np.eye(len(fit.psi))[k]))) for s in (1, -1)]
        columns.append((ends[0] - ends[1]) / (2 * h))
    gradient = np.column_stack(columns)
    covariance = np.nan_to_num(fit.covariance)  # a parameter at a boundary counts as known
    return np.sqrt(np.einsum("na,ab,nb->n", gradient, covariance, gradient))


def drawn(seed: int = 2, groups: int = 16, each: int = 10) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), each)
    n = len(g)
    x, f = rng.normal(size=n), rng.integers(0, 2, n)
    effects = rng.multivariate_normal([0, 0], [[1.0, 0.4], [0.4, 0.8]], groups)[g]
    eta = np.column_stack([np.zeros(n), 0.3 + 0.8 * x + effects[:, 0], -0.2 + 0.6 * f + 0.4 * x + effects[:, 1]])
    nominal = np.array(["bike", "bus", "car"])[np.argmax(eta + rng.gumbel(size=eta.shape), axis=1)]
    latent = 0.8 * x + 0.5 * f + effects[:, 0] + np.exp(0.4 * f) * rng.logistic(size=n)
    ordered = 1 + np.digitize(latent, [-1.0, 0.4, 1.8])
    return pd.DataFrame({"y": nominal, "o": ordered, "x": x, "f": np.array(["no", "yes"])[f], "g": g})


@pytest.fixture(scope="module")
def nominal() -> ml.MixedModelResults:
    return ml.fit("y ~ x + f + (1 | g)", drawn(), "multinomial")


@pytest.fixture(scope="module")
def slopes() -> ml.MixedModelResults:
    return ml.fit("y ~ x + f + (1 | g) + (0 + x | g)", drawn(3, 30), "multinomial")


@pytest.fixture(scope="module")
def scaled() -> ml.MixedModelResults:
    return ml.fit("o ~ x + f + (1 | g)", drawn(), "cumulative", scale="~ f + x")


# ---- other programs --------------------------------------------------------------------------------------------------


def test_categories_without_an_order_are_those_of_emmeans(reference_data: Callable[[str], pd.DataFrame]) -> None:
    results = ml.fit("y ~ x * trt", reference_data("multinom_sim"), "multinomial")
    means = results.marginal_means(["trt", "x"], at={"x": [-1.0, 0.5]}, kind="probabilities")
    same(means.table, "nominal_prob")
    low = 1 / (
        1 + np.exp(-np.log(0.4031128746 / 0.5968871254) + 1.959964 * 0.03435113157 / 0.4031128746 / 0.5968871254)
    )
    assert means.table["conf_low"].iloc[0] == pytest.approx(low, abs=1e-5)
    over = results.marginal_means([], at={"x": 0.5}, kind="response")
    same(over.table, "nominal_over")
    pairs = results.marginal_means("trt", at={"x": 0.5}, kind="probabilities").contrasts()
    same(pairs.table, "nominal_pairs")


def test_average_effects_are_those_of_statsmodels(reference_data: Callable[[str], pd.DataFrame]) -> None:
    discrete = pytest.importorskip("statsmodels.discrete.discrete_model")

    data = reference_data("multinom_sim")
    results = ml.fit("y ~ x + trt", data, "multinomial")
    x = pd.DataFrame({"const": 1.0, "x": data["x"], "trt": (data["trt"] == "b").astype(float)})
    other = discrete.MNLogit(pd.Categorical(data["y"]).codes, x).fit(disp=0, tol=1e-13).get_margeff(dummy=True)
    table = results.marginal_effects().table
    assert table["category"].tolist() == ["A", "B", "C"] * 2
    np.testing.assert_allclose(table["estimate"], other.margeff.ravel(), atol=1e-7)
    np.testing.assert_allclose(table["std_error"], other.margeff_se.ravel(), rtol=1e-5)
    np.testing.assert_allclose(table.groupby("column")["estimate"].sum(), 0.0, atol=1e-12)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_errors_with_a_scale_are_those_of_ordinal(link: str, reference_data: Callable[[str], pd.DataFrame]) -> None:
    results = ml.fit("rating ~ temp + contact", reference_data("wine"), "cumulative", scale="~ temp", link=link)
    new = pd.DataFrame({"temp": ["cold", "warm"] * 2, "contact": ["no", "no", "yes", "yes"]})
    same(results.predict(new, kind="probabilities", se=True), f"scale_{link}", 1e-3)
    below = results.predict(new, kind="cumulative", se=True)
    expected = {name: np.reshape(own, (4, 5))[:, :4].ravel() for name, own in REFERENCE[f"scale_below_{link}"].items()}
    np.testing.assert_allclose(below["estimate"], expected["estimate"], atol=1e-5)
    np.testing.assert_allclose(below["std_error"], expected["se"], rtol=1e-3, atol=1e-6)
    if link == "logit":
        same(results.marginal_means("temp", kind="response").table, "scale_means", 1e-3)


# ---- definitions -----------------------------------------------------------------------------------------------------

ASKED: dict[str, Ask] = {
    "marginal_means": lambda r: r.marginal_means("f", kind="probabilities", random="zero"),
    "of the population": lambda r: r.marginal_means("f", kind="probabilities", random="marginal"),
    "over groups": lambda r: r.marginal_means("f", kind="response", random="conditional"),
    "comparisons": lambda r: r.comparisons("x", outcome="probabilities", change=(0.0, 1.0)),
    "ratios": lambda r: r.comparisons("f", outcome="probabilities", kind="ratio"),
    "slopes": lambda r: r.marginal_effects("x", outcome="probabilities", newdata=drawn(4).head(30)),
    "marginal_slopes": lambda r: r.marginal_slopes("x", by="f", kind="probabilities"),
}


@pytest.mark.parametrize("name", ["nominal", "slopes", "scaled"])
@pytest.mark.parametrize("asked", list(ASKED))
def test_errors_are_those_of_the_definition(name: str, asked: str, request: pytest.FixtureRequest) -> None:
    results: ml.MixedModelResults = request.getfixturevalue(name)
    found = ASKED[asked](results)
    expected = by_definition(results, lambda r: ASKED[asked](r).estimate)
    at = found._errors(np.isfinite(found.estimate))
    np.testing.assert_allclose(at, expected, rtol=1e-5, atol=1e-9)
    assert (at > 0).all()


@pytest.mark.parametrize("random", ["zero", "marginal"])
def test_errors_of_predictions_with_a_scale_are_those_of_the_definition(
    random: str, scaled: ml.MixedModelResults
) -> None:
    new = drawn(5).head(20)
    for kind in ("probabilities", "response"):
        found = scaled.predict(new, kind=kind, random=random, se=True)
        expected = by_definition(scaled, lambda r, kind=kind: r.predict(new, kind=kind, random=random))
        np.testing.assert_allclose(found["std_error"], expected, rtol=1e-5)


def test_averages_with_a_scale_are_integrals(scaled: ml.MixedModelResults) -> None:
    new = drawn(6).head(5)
    fit, link = scaled.fit, scaled.predict(new, kind="link", random="zero").to_numpy()
    thresholds, scale = scaled.params_of("thresholds").to_numpy(), scaled.params_of("scale")
    spread = np.exp(scale["f[yes]"] * (new["f"] == "yes") + scale["x"] * new["x"]).to_numpy()
    z = np.arange(-9.0, 9.0, 0.01)
    weights = np.exp(-0.5 * z**2) / np.exp(-0.5 * z**2).sum()
    at = link[:, None] + fit.theta[0][0, 0] * z
    below = [(expit((own - at) / spread[:, None]) * weights).sum(axis=1) for own in thresholds]
    found = scaled.predict(new, kind="cumulative", random="marginal")
    np.testing.assert_allclose(found, np.column_stack(below), atol=1e-10)
    average = scaled.population_average("probabilities", new)
    np.testing.assert_allclose(average["estimate"].cumsum()[:-1], np.mean(below, axis=1), atol=1e-10)


def test_modes_with_a_scale_move_with_the_parameters(scaled: ml.MixedModelResults) -> None:
    """Errors at conditional modes: modes by Newton's method from the definition, at other parameters."""
    fit, data = scaled.fit, drawn()
    codes, y = fit.design.grouping_factors[0].codes, fit.design.response.values.astype(int)

    def modes(r: ml.MixedModelResults) -> Array:
        link = r.predict(data, kind="link", random="zero").to_numpy()
        cuts = np.concatenate([[-np.inf], r.params_of("thresholds").to_numpy(), [np.inf]])
        scale = r.params_of("scale")
        per = np.exp(-(scale["f[yes]"] * (data["f"] == "yes") + scale["x"] * data["x"])).to_numpy()
        upper, lower = cuts[y], cuts[y - 1]

        def slope(u: Array) -> Array:
            a, b = (expit((own - link - u[codes]) * per) for own in (upper, lower))
            rows = -per * (1.0 - a - b)  # of log(a - b) for the logistic distribution
            return np.bincount(codes, rows) - u / r.fit.random_cov[0][0, 0]

        u, h = fit.modes[0][:, 0].copy(), 1e-5
        for _ in range(20):
            u = u - slope(u) / ((slope(u + h) - slope(u - h)) / (2 * h))
        return u

    np.testing.assert_allclose(modes(scaled), fit.modes[0][:, 0], atol=1e-7)

    def value(r: ml.MixedModelResults) -> Array:
        moved = replace(r.fit, modes=(modes(r)[:, None],))
        return np.ravel(ml.MixedModelResults(moved, r.model).predict(data, kind="probabilities"))

    h = 1e-4
    ends = [
        np.ravel(
            ml.MixedModelResults(replace(fit, modes=(fit.modes[0] + s * h,)), scaled.model).predict(
                data, kind="probabilities"
            )
        )
        for s in (1, -1)
    ]
    by_mode = (ends[0] - ends[1]) / (2 * h)
    variance = by_definition(scaled, value) ** 2 + by_mode**2 * np.repeat(fit.mode_cov[0][codes, 0, 0], 4)
    found = scaled.predict(kind="probabilities", se=True)
    np.testing.assert_allclose(found["std_error"], np.sqrt(variance), rtol=1e-5)


def test_expected_categories_with_a_scale(scaled: ml.MixedModelResults) -> None:
    found = scaled.predict(kind="class", interval="prediction", level=0.8)
    numbers = found.astype(float)
    assert (numbers["lower"] <= numbers["estimate"]).all()
    assert (numbers["estimate"] <= numbers["upper"]).all()
    assert 0.8 <= np.mean((numbers["lower"] <= drawn()["o"]) & (drawn()["o"] <= numbers["upper"])) <= 1.0


def test_the_population_is_an_average_of_groups(nominal: ml.MixedModelResults) -> None:
    rng = np.random.default_rng(1)
    new = pd.DataFrame({"x": [0.3], "f": ["yes"]})
    found = nominal.predict(new, kind="probabilities", random="marginal").to_numpy()[0]
    eta = nominal.predict(new, kind="link", random="zero").to_numpy()[0]
    effects = rng.standard_normal((400_000, 2)) @ nominal.fit.theta[0].T
    share = np.exp(eta + np.column_stack([np.zeros(len(effects)), effects]))
    np.testing.assert_allclose(found, (share / share.sum(axis=1, keepdims=True)).mean(axis=0), atol=1.5e-3)


# ---- words -----------------------------------------------------------------------------------------------------------


def test_contrasts_stay_within_a_category(nominal: ml.MixedModelResults) -> None:
    means = nominal.marginal_means("f", kind="link")
    assert means.table["category"].tolist() == ["bus", "car"] * 2
    found = means.contrasts(ratio=True).table
    np.testing.assert_allclose(np.log(found["estimate"]), -nominal.params[["bus: f[yes]", "car: f[yes]"]], atol=1e-10)
    assert "Odds ratios" in repr(means.contrasts(ratio=True))
    assert "Probabilities of categories" in repr(nominal.marginal_means("f", kind="response"))


def test_what_alternatives_are_refused() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"set": np.repeat(range(60), 3), "price": rng.normal(size=180), "chosen": [1, 0, 0] * 60})
    results = ml.fit("chosen ~ price", data, "conditional", choice_set="set")
    asked: list[Ask] = [
        lambda r: r.marginal_means("price", at={"price": [0, 1]}),
        lambda r: r.marginal_slopes("price"),
        lambda r: r.comparisons("price"),
        lambda r: r.marginal_effects(),
    ]
    for ask in asked:
        with pytest.raises(DataError, match="depends on the alternative"):
            ask(results)


def test_a_scale_has_no_coefficients_of_the_population(scaled: ml.MixedModelResults) -> None:
    with pytest.raises(DataError, match="no linear predictors"):
        scaled.population_average()
