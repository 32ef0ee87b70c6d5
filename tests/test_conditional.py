"""Conditional logit: rows that are alternatives, against a likelihood from its definition and a binomial model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel import _core
from multilevel.errors import DataError
from multilevel.fitting.core_model import core_response

from .choice_likelihood import Array, ChoiceSet, Effects, differences, loglik, several_factors

pytestmark = pytest.mark.filterwarnings("ignore::multilevel.errors.QuadratureWarning")  # groups are small


def trips(seed: int = 3, persons: int = 30, each: int = 5) -> pd.DataFrame:
    """Three or four alternatives in each set, rows in any order."""
    rng = np.random.default_rng(seed)
    rows = []
    for trip in range(persons * each):
        person = trip // each
        alternatives = rng.permutation(4)[: rng.integers(3, 5)]
        price, minutes = rng.normal(size=(2, 4))
        slope = -1.0 + 1.5 * np.sin(3.0 * person)
        eta = slope * price + 0.4 * minutes + np.array([0.0, 0.5, -0.3, 0.2]) + 0.5 * (person % 2) * np.arange(4)
        chosen = np.argmax(eta[alternatives] + rng.gumbel(size=len(alternatives)))
        rows += [
            (f"trip {trip}", person, "abcd"[a], price[a], minutes[a], person % 2, int(k == chosen))
            for k, a in enumerate(alternatives)
        ]
    frame = pd.DataFrame(rows, columns=["trip", "person", "by", "price", "minutes", "income", "chosen"])
    return frame.sample(frac=1, random_state=seed).reset_index(drop=True)


def sets_of(model: ml.MixedModel) -> list[ChoiceSet]:
    design = model.design
    x = np.column_stack([column.values for column in design.fixed])
    z = np.column_stack([own for term in design.random_terms for own in term.columns])
    codes, chosen = design.choices.sets, design.response.values
    found = []
    for own in range(codes.max() + 1):
        at = np.flatnonzero(codes == own)
        weight = 1.0 if design.weights is None else design.weights[at[0]]
        group = int(design.grouping_factors[0].codes[at[0]])
        found.append(ChoiceSet(x[at], z[at], int(np.argmax(chosen[at])), group, weight))
    return found


@pytest.mark.parametrize(("points", "bar"), [(1, "(by + price | person)"), (5, "(price | person)")])
def test_the_likelihood_is_that_of_the_definition(points: int, bar: str) -> None:
    data = trips(persons=5).assign(w=lambda d: 1.0 + d["person"] % 3)
    formula = f"chosen ~ price + minutes + by * income + {bar}"
    model = ml.MixedModel(formula, data, "conditional", choice_set="trip", weights="w")
    assert [c.name for c in model.design.fixed][:5] == ["price", "minutes", "by[b]", "by[c]", "by[d]"]
    assert len(model.design.fixed) == 8  # without the intercept and income
    sets, p = sets_of(model), 8
    q = sets[0].z.shape[1]
    lower = np.tril_indices(q)
    order = np.lexsort(lower)  # column by column

    def expected(at: Array) -> float:
        factor = np.zeros((q, q))
        factor[lower[0][order], lower[1][order]] = at[p:]
        return loglik(sets, at[:p], factor, points)

    psi = np.random.default_rng(5).normal(size=p + q * (q + 1) // 2) * 0.4
    value, gradient, _ = _core.evaluate(model._core, core_response(model.design), psi, points, 1)
    assert value == pytest.approx(expected(psi), abs=1e-10)
    np.testing.assert_allclose(gradient, differences(expected, psi), atol=2e-7)


def test_several_factors() -> None:
    """Random coefficients of persons and of the regions that they live in, and of days: the definition."""
    data = trips(persons=6).assign(region=lambda d: d["person"] % 2, day=lambda d: d["trip"].str[5:].astype(int) % 3)
    formula = "chosen ~ price + minutes + (price | person) + (minutes | region) + (price + minutes || day)"
    model = ml.MixedModel(formula, data, "conditional", choice_set="trip")
    sets, design = sets_of(model), model.design
    first = [int(np.flatnonzero(design.choices.sets == own)[0]) for own in range(len(sets))]
    codes = [factor.codes[first] for factor in design.grouping_factors]
    price, minutes, both = [own.x[:, :1] for own in sets], [own.x[:, 1:] for own in sets], [own.x for own in sets]

    def expected(at: Array) -> float:
        person, region, day = np.eye(1) * at[2], np.eye(1) * at[3], np.diag(at[4:])
        columns = zip(codes, (price, minutes, both), (person, region, day), strict=True)
        return several_factors(sets, at[:2], [Effects(*own) for own in columns])

    psi = np.array([0.4, -0.3, 0.5, 0.2, 0.6, 0.3])
    value, gradient, hessian = _core.evaluate(model._core, core_response(design), psi, 1, 1)
    assert value == pytest.approx(expected(psi), abs=1e-10)
    np.testing.assert_allclose(gradient, differences(expected, psi), atol=2e-7)
    np.testing.assert_allclose(hessian, hessian.T)


def test_two_alternatives_and_crossed_factors_are_a_binomial() -> None:
    rng = np.random.default_rng(22)
    n = 400
    x, g, h = 0.5 + rng.normal(size=n), rng.integers(0, 12, n), rng.integers(0, 8, n)
    y = (0.5 + rng.normal(0, 1, 12)[g] + rng.normal(0, 0.8, 8)[h]) * x + rng.logistic(size=n) > 0
    wide = pd.DataFrame({"y": y.astype(int), "x": x, "g": g, "h": h})
    binomial = ml.fit("y ~ 0 + x + (0 + x | g) + (0 + x | h)", wide, "binomial")
    other = wide.assign(y=1 - wide["y"], x=0.0)
    rows = pd.concat([wide.assign(set=range(n)), other.assign(set=range(n))])
    two = ml.fit("y ~ x + (x | g) + (x | h)", rows, "conditional", choice_set="set")
    assert two.converged
    assert two.llf == pytest.approx(binomial.llf, abs=1e-8)
    np.testing.assert_allclose(np.abs(two.fit.psi), np.abs(binomial.fit.psi), atol=1e-5)
    np.testing.assert_allclose(np.abs(two.fit.covariance), np.abs(binomial.fit.covariance), rtol=1e-3, atol=1e-6)
    ours, theirs = two.random_effects(), binomial.random_effects()
    np.testing.assert_allclose(ours["mode"], theirs["mode"], atol=1e-5)
    np.testing.assert_allclose(ours["sd"], theirs["sd"], rtol=1e-5)


def test_pairs_are_a_binomial_model_of_differences() -> None:
    rng = np.random.default_rng(8)
    n = 200
    x, g = rng.normal(size=(n, 2, 2)), rng.integers(0, 15, n)
    first = rng.random(n) < 1 / (
        1 + np.exp(-(x[:, 0] - x[:, 1]) @ [1.0, -0.5] - (np.sin(g) * (x[:, 0] - x[:, 1])[:, 0]))
    )
    pairs = pd.DataFrame(
        {
            "set": np.repeat(np.arange(n), 2),
            "g": np.repeat(g, 2),
            "a": x[..., 0].ravel(),
            "b": x[..., 1].ravel(),
            "chosen": np.column_stack([first, ~first]).ravel(),
        }
    )
    apart = pd.DataFrame({"y": first.astype(int), "a": x[:, 0, 0] - x[:, 1, 0], "b": x[:, 0, 1] - x[:, 1, 1], "g": g})
    for points in (1, 7):
        one = ml.fit("chosen ~ a + b + (a | g)", pairs, "conditional", choice_set="set", n_quadrature=points)
        two = ml.fit("y ~ 0 + a + b + (0 + a | g)", apart, "binomial", n_quadrature=points)
        assert one.llf == pytest.approx(two.llf, abs=1e-8)
        np.testing.assert_allclose(one.params, two.params, atol=1e-6)
        np.testing.assert_allclose(one.bse, two.bse, rtol=1e-5)
        np.testing.assert_allclose(one.fit.random_cov[0], two.fit.random_cov[0], rtol=1e-4)


def test_a_category_for_each_alternative_is_the_multinomial() -> None:
    rng = np.random.default_rng(9)
    n = 150
    wide = pd.DataFrame({"x": rng.normal(size=n), "g": rng.integers(0, 12, n)})
    eta = 1.5 * rng.normal(size=(12, 3))[wide["g"]] + np.outer(wide["x"], [0.0, 0.5, -0.5])
    wide["y"] = np.argmax(eta + rng.gumbel(size=(n, 3)), axis=1)
    long = wide.loc[wide.index.repeat(3)].assign(set=np.repeat(np.arange(n), 3), k=np.tile([0, 1, 2], n))
    long["chosen"] = long["y"] == long["k"]
    long["k"] = pd.Categorical(long["k"])
    one = ml.fit("y ~ x + (1 | g)", wide, "multinomial")
    two = ml.fit("chosen ~ k * x + (k | g)", long, "conditional", choice_set="set")
    assert one.llf == pytest.approx(two.llf, abs=1e-8)
    np.testing.assert_allclose(one.params.to_numpy().reshape(2, 2).T.ravel(), two.params, atol=1e-6)
    assert one.nobs == two.nobs == n
    assert one.bic == pytest.approx(two.bic, abs=1e-7)


def test_predictions(tmp_path: Path) -> None:
    data = trips()
    results = ml.fit("chosen ~ price + by + (price | person)", data, "conditional", choice_set="trip")
    probabilities = results.predict(kind="probabilities")
    eta = results.predict(kind="link")
    np.testing.assert_allclose(probabilities.groupby(data["trip"]).sum(), 1.0, atol=1e-14)
    share = np.exp(eta)
    np.testing.assert_allclose(probabilities, share / share.groupby(data["trip"]).transform("sum"), rtol=1e-12)
    assert (results.predict(kind="class").groupby(data["trip"]).sum() == 1).all()
    far = data.assign(price=data["price"] * 800)
    np.testing.assert_allclose(results.predict(far).groupby(data["trip"]).sum(), 1.0, atol=1e-14)
    one = data[data["trip"] == "trip 3"]
    np.testing.assert_allclose(results.predict(one), probabilities[one.index], rtol=1e-12)
    results.save(tmp_path / "fit.zip")
    pd.testing.assert_series_equal(ml.load(tmp_path / "fit.zip").predict(data), results.predict(data))
    with pytest.raises(DataError, match="tells the sets"):
        results.predict(one.drop(columns="trip"))
    with pytest.raises(DataError, match="no number with a mean"):
        results.residuals()
    assert "Number of choices: 150, of " in str(results.summary())


def test_robust_covariance_of_sets() -> None:
    data = trips(each=2)
    results = ml.fit("chosen ~ price + minutes", data, "conditional", choice_set="trip")
    score = (data["chosen"] - results.predict()).to_numpy()[:, None] * data[["price", "minutes"]].to_numpy()
    of_set = pd.DataFrame(score).groupby(data["trip"]).sum().to_numpy()
    sandwich = results.cov_params() @ (of_set.T @ of_set) @ results.cov_params().to_numpy()
    np.testing.assert_allclose(results.cov_params(robust="CR0"), sandwich, rtol=1e-6)
    with pytest.raises(DataError, match="alternative of a set"):
        results.influence()


def test_a_set_that_lost_a_row_leaves_as_a_whole() -> None:
    data = trips()
    data.loc[data.index[data["trip"] == "trip 7"][0], "price"] = np.nan
    without = data[data["trip"] != "trip 7"]
    one, two = (
        ml.fit("chosen ~ price + (price | person)", own, "conditional", choice_set="trip") for own in (data, without)
    )
    assert one.llf == two.llf
    assert one.nobs == two.nobs


@pytest.mark.parametrize(
    ("formula", "change", "arguments", "message"),
    [
        ("chosen ~ price", {}, {"choice_set": None}, "needs choice_set="),
        ("chosen ~ price", {}, {"choice_set": "sets"}, "no column of the data"),
        ("chosen ~ price + income", {}, {}, "the same for all alternatives"),
        ("chosen ~ price", {"chosen": 0}, {}, "0 alternatives are chosen"),
        ("chosen ~ price", {"chosen": 2.5}, {}, "1 where a row was chosen"),
        ("by ~ price", {}, {}, "holds categories"),
        ("chosen ~ price + (1 | person)", {}, {}, "decides nothing"),
        ("chosen ~ price + (0 + by | person)", {}, {}, "decides nothing"),
        ("chosen ~ price + (price | trip)", {}, {}, "cannot be told"),
        ("chosen ~ price", {}, {"weights": "minutes"}, "weights differ|negative"),
        ("chosen ~ 1", {}, {}, "differs between the alternatives"),
    ],
)
def test_what_is_refused(formula: str, change: dict[str, Any], arguments: dict[str, Any], message: str) -> None:
    data = trips().assign(**change)
    data["minutes"] = data["minutes"].abs() + 0.1
    with pytest.raises(DataError, match=message):
        ml.fit(formula, data, "conditional", **{"choice_set": "trip", **arguments})
