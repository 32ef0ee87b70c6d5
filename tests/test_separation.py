"""Responses that columns separate, and those that are all zero: what has no maximum is named, the rest is estimated."""

from __future__ import annotations

import numpy as np
import pytest

import multilevel as ml

from .hard_data import MOST_EVALUATIONS, assert_usable, grouped, quietly, respond


def assert_separation(results: ml.MixedModelResults, columns: set[str], innocent: set[str] = frozenset({"x"})) -> None:
    assert not results.converged
    assert results.fit.status == "separation"
    for column in columns:
        assert f"'{column}'" in results.fit.message
    for column in innocent:
        assert f"'{column}'" not in results.fit.message
    assert results.optimization.n_evaluations + results.optimization.n_start_evaluations <= 40
    assert_usable(results)


@pytest.mark.parametrize("right", ["x", "x + (1 | g)"])
def test_complete_separation(right: str) -> None:
    data = grouped(1)
    data["y"] = (data["x"] > 0).astype(int)
    with pytest.warns(ml.SeparationWarning, match=r"column 'x' predicts"):
        results = ml.fit(f"y ~ {right}", data, "binomial")
    assert_separation(results, {"x"}, set())


@pytest.mark.parametrize("points", [1, 9])
def test_complete_separation_by_a_difference(points: int) -> None:
    data = grouped(1)
    rng = np.random.default_rng(5)
    data["a"] = rng.normal(size=len(data))
    data["b"] = data["a"] + 0.3 * rng.normal(size=len(data))
    data["y"] = (data["a"] > data["b"]).astype(int)
    results = quietly("y ~ a + b + (1 | g)", data, "binomial", n_quadrature=points)
    assert_separation(results, {"a", "b"}, set())


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "cauchit"])
@pytest.mark.parametrize("points", [1, 7])
def test_quasi_complete_separation(link: str, points: int) -> None:
    data = respond(grouped(1), "binomial")
    data["rare"] = (np.arange(len(data)) % 17 == 0).astype(float)
    data.loc[data["rare"] == 1, "y"] = 1
    with pytest.warns(ml.SeparationWarning, match="column 'rare' predicts"):
        results = ml.fit("y ~ x + rare + (1 | g)", data, "binomial", link=link, n_quadrature=points)
    assert_separation(results, {"rare"})
    assert results.params["rare"] > 1  # on its way


def test_several_correlated_separating_columns() -> None:
    data = respond(grouped(1), "binomial")
    place = np.arange(len(data)) % 17
    for k, name in enumerate(["rare", "rarer", "rarest"]):
        data[name] = (place <= 2 - k).astype(float)
    data.loc[data["rare"] == 1, "y"] = 1
    results = quietly("y ~ x + rare + rarer + rarest + (1 | g)", data, "binomial")
    # None of the three has an estimate.
    assert_separation(results, {"rare", "rarer", "rarest"})


def test_levels_that_separate_are_named() -> None:
    data = respond(grouped(1), "binomial")
    data["f"] = np.array(list("abcde"))[np.arange(len(data)) % 5]
    data.loc[data["f"] == "c", "y"] = 0
    data.loc[data["f"] == "e", "y"] = 1
    results = quietly("y ~ x + f + (1 | g)", data, "binomial")
    assert_separation(results, {"f[c]", "f[e]"}, {"x", "f[b]", "f[d]"})


def test_separation_of_counts() -> None:
    data = respond(grouped(1), "poisson")
    data["f"] = np.array(list("abcde"))[np.arange(len(data)) % 5]
    data.loc[data["f"] == "c", "y"] = 0
    results = quietly("y ~ x + f + (1 | g)", data, "poisson")
    assert_separation(results, {"f[c]"}, {"x", "f[b]", "f[d]"})


@pytest.mark.parametrize("right", ["1", "x", "1 + (1 | g)", "x + (1 | g)"])
@pytest.mark.parametrize("family", ["binomial", "poisson"])
@pytest.mark.parametrize("points", [1, 5])
def test_response_all_zero(family: str, right: str, points: int) -> None:
    data = grouped(2).assign(y=0)
    with pytest.warns(ml.SeparationWarning, match="'y' is zero in all 400 rows: the likelihood has no maximum"):
        results = ml.fit(f"y ~ {right}", data, family, n_quadrature=points)
    assert_separation(results, set())


def test_response_all_success() -> None:
    data = grouped(2).assign(y=3, n=3)
    with pytest.warns(ml.SeparationWarning, match="has no failure in any of 400 rows"):
        results = ml.fit("cbind(y, n - y) ~ x + (1 | g)", data, "binomial")
    assert_separation(results, set())


def test_response_all_zero_without_an_intercept() -> None:
    # No column runs off, but the sd of the groups does: the integral rises towards P(u < 0) = 1/2 per group.
    data = grouped(2).assign(y=0)
    results = quietly("y ~ 0 + (1 | g)", data, "binomial", n_quadrature=25)
    assert results.warnings, "this fit cannot pass without a word"


@pytest.mark.parametrize(("family", "y"), [("binomial", 1), ("binomial", 0), ("poisson", 0)])
def test_responses_all_alike_have_a_maximum_where_no_column_moves_all_rows(family: str, y: int) -> None:
    """The slope of log(1 + e^-bx), or of e^bx, summed over x of both signs, is zero somewhere."""
    data = grouped(2).assign(y=y)
    x = data["x"].to_numpy()
    results = ml.fit("y ~ 0 + x", data, family)
    assert results.converged
    b = results.params["x"]
    slope = np.sum(x * (np.exp(b * x) if family == "poisson" else 1 / (1 + np.exp(b * x if y else -b * x))))
    assert abs(slope) < 1e-4 * np.abs(x).sum()
    for columns in ("x", "0 + C(g)", "0 + x + (1 | g)"):
        assert_separation(quietly(f"y ~ {columns}", data, family), set())


def test_trials_all_alike_among_many_responses() -> None:
    data = grouped(2).assign(y=1)
    responses = np.column_stack([np.ones(len(data)), np.zeros(len(data))])
    found = ml.MixedModel("y ~ x + (1 | g)", data, ml.Family("binomial", "cloglog")).fit_many(responses)
    assert set(found["message"].str.contains("no maximum")) == {True}


def test_nearly_separated_data_have_a_maximum() -> None:
    data = respond(grouped(1), "binomial")
    data["rare"] = (np.arange(len(data)) % 17 == 0).astype(float)
    data.loc[data["rare"] == 1, "y"] = 1
    data.loc[17, "y"] = 0
    results = quietly("y ~ x + rare + (1 | g)", data, "binomial")
    assert results.converged
    assert 1 < results.params["rare"] < 5
    assert results.bse["rare"] < 2
    assert results.optimization.n_evaluations <= MOST_EVALUATIONS
