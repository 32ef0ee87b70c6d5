"""What is told of models of ordered categories: words that are true of each family, items of partial credit."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.errors import DataError

mpl.use("Agg")


@pytest.fixture(scope="module")
def rated() -> pd.DataFrame:
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"x": rng.integers(0, 2, 240), "g": np.repeat(np.arange(24), 10)})
    latent = data["x"] + rng.normal(size=24)[data["g"]] + rng.logistic(size=240)
    data["y"] = 1 + (latent.to_numpy()[:, None] > [-0.5, 1.5]).sum(1)
    return data


def unwrapped(results: Any) -> str:
    return str(results.interpret()).replace("\n  ", " ")


@pytest.mark.parametrize(
    ("family", "effect", "threshold"),
    [
        ("cumulative", "the odds of a higher category of y", "the odds of y above 2"),
        ("adjacent", "the odds of each category of y against the one below it", "the odds of y being 3 rather than 2"),
        (
            "continuation",
            "the odds of going beyond a category of y that was reached",
            "the odds of y above 2 where it is 2 or above",
        ),
        (
            "reverse_continuation",
            "the odds of a category of y against all below it",
            "the odds of y being 3 rather than 2 or below",
        ),
    ],
)
def test_odds_are_those_of_the_family(rated: pd.DataFrame, family: str, effect: str, threshold: str) -> None:
    results = ml.fit("y ~ x", rated, family)
    text = unwrapped(results)
    assert f"{effect} are {np.exp(results.params['x']):.4g} times as large" in text
    low, middle, high = results.predict(pd.DataFrame({"x": [0]}), kind="probabilities").to_numpy()[0]
    odds = {
        "cumulative": high / (low + middle),
        "adjacent": high / middle,
        "continuation": high / middle,
        "reverse_continuation": high / (low + middle),
    }
    assert f"{threshold} are {odds[family]:.4g} " in text


def test_a_scale_in_words(rated: pd.DataFrame) -> None:
    results = ml.fit("y ~ x + (1 | g)", rated, "cumulative", scale="~ x")
    times = np.exp(results.params_of("scale")["x"])
    assert f"the spread of the latent y is {times:.4g} times as large" in unwrapped(results)
    assert "odds" not in unwrapped(results)  # they are divided by the scale, which differs from row to row
    table = results.tidy(exponentiate=True).set_index("effect")
    assert table.loc["fixed", "quantity"] == ""
    np.testing.assert_allclose(table.loc["fixed", "estimate"], results.params["x"], rtol=1e-14)
    np.testing.assert_allclose(table.loc["scale", "estimate"], times, rtol=1e-14)


@pytest.fixture(scope="module")
def partial_credit() -> tuple[pd.DataFrame, Any]:
    rng = np.random.default_rng(3)
    slope = np.array([1.0, 1.3, 0.8, 1.1])
    steps = np.array([[-0.8, 0.6], [0.3, 0.9], [-1.0, -0.2], [-0.5, 0.5]])
    up = np.cumsum(slope * rng.normal(size=(300, 1)) - steps.T[:, None, :], axis=0)
    utility = np.concatenate([np.zeros((1, 300, 4)), up]) + rng.gumbel(size=(3, 300, 4))
    person, item = np.repeat(np.arange(300), 4), np.tile(list("abcd"), 300)
    data = pd.DataFrame({"person": person, "item": item, "answer": utility.argmax(0).ravel() + 1})
    formula = "answer ~ 0 + rr(0 + item | person, d=1)"
    return data, ml.fit(formula, data, "adjacent", nominal="~ 0 + item", n_quadrature=15)


def test_partial_credit(partial_credit: tuple[pd.DataFrame, Any]) -> None:
    """Likelihood, abilities, difficulties and curves by sums over 2001 points, from the definition (Muraki 1992)."""
    data, results = partial_credit
    slope = results.theta.to_numpy()
    own = results.params_of("thresholds")
    steps = own.to_numpy().reshape(4, 2).copy()
    steps[1:] += steps[0]  # the first item is the reference

    def probabilities(trait: np.ndarray, item: int) -> np.ndarray:
        up = np.cumsum(slope[item] * trait[:, None] - steps[item], axis=1)
        raised = np.exp(np.column_stack([np.zeros(len(trait)), up]))
        return np.asarray(raised / raised.sum(1, keepdims=True))

    nodes = np.linspace(-9.0, 9.0, 2001)
    weights = np.exp(-(nodes**2) / 2) / np.exp(-(nodes**2) / 2).sum()
    answers = data["answer"].to_numpy().reshape(300, 4) - 1
    density = np.prod([probabilities(nodes, k).T[answers[:, k]] for k in range(4)], axis=0) * weights
    np.testing.assert_allclose(results.llf, np.log(density.sum(1)).sum(), atol=1e-6)
    share = density / density.sum(1, keepdims=True)
    mean = share @ nodes
    np.testing.assert_allclose(results.abilities()["mean"], mean, atol=1e-10)
    np.testing.assert_allclose(results.abilities()["sd"], np.sqrt(share @ nodes**2 - mean**2), atol=1e-10)

    table = results.item_parameters()
    np.testing.assert_allclose(table[["difficulty 1|2", "difficulty 2|3"]], steps / slope[:, None], rtol=1e-12)
    at = np.array([-1.0, 0.0, 1.5])
    curves = results.item_curves(at)
    for k, name in enumerate(table.index):
        expected = probabilities(at, k)
        shown = curves[curves["item"] == name]
        np.testing.assert_allclose(shown[["P(1)", "P(2)", "P(3)"]], expected, atol=1e-13)
        centre = expected @ [1, 2, 3]
        np.testing.assert_allclose(shown["mean"], centre, rtol=1e-13)
        variance = expected @ [1, 4, 9] - centre**2
        np.testing.assert_allclose(shown["information"], slope[k] ** 2 * variance, rtol=1e-11)


def test_without_coefficients(partial_credit: tuple[pd.DataFrame, Any]) -> None:
    results = partial_credit[1]
    with pytest.raises(DataError, match="the fixed part has no coefficients"):
        results.tidy(exponentiate=True)
    panels = results.plot.check().axes  # no influence on coefficients that are not there
    assert [panel.axison for panel in panels] == [True, True, True, False]
