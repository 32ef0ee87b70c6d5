"""Conditional logit with random effects of what is chosen from: a set of alternatives crosses levels, as brands do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import multilevel as ml
from multilevel import _core
from multilevel.errors import DataError
from multilevel.fitting.core_model import core_response

Array = NDArray[np.float64]


def purchases(persons: int = 10, each: int = 4, brands: int = 6, seed: int = 1) -> pd.DataFrame:
    """Two to four brands in each set, rows in any order."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 5, persons * each)
    frame = pd.DataFrame({"set": np.repeat(np.arange(len(sizes)), sizes)})
    frame["person"] = frame["set"] // each
    frame["brand"] = np.concatenate([rng.choice(brands, size, replace=False) for size in sizes])
    frame["price"], frame["size"] = rng.normal(size=(2, len(frame)))
    slope = -1.0 + 1.2 * rng.normal(size=persons)[frame["person"]]
    frame["utility"] = slope * frame["price"] + 0.9 * rng.normal(size=brands)[frame["brand"]]
    frame["utility"] += rng.gumbel(size=len(frame))
    frame["bought"] = (frame["utility"] == frame.groupby("set")["utility"].transform("max")).astype(int)
    frame["w"] = 1.0 + frame["person"] % 3
    return frame.sample(frac=1, random_state=seed).reset_index(drop=True)


def dense(model: ml.MixedModel, psi: Array) -> float:
    """Laplace's approximation with all random effects in one dense matrix."""
    design = model.design
    assert design.choices is not None
    sets, y = design.choices.sets, design.response.values
    assert sets is not None
    n = len(y)
    w = np.ones(n) if design.weights is None else design.weights
    eta = np.column_stack([column.values for column in design.fixed]) @ psi[: len(design.fixed)]
    at, blocks = len(design.fixed), []
    for term in design.random_terms:
        factor = design.grouping_factors[term.grouping_factor]
        q, m = len(term.names), len(factor.levels)
        root = np.zeros((q, q))
        for k in range(q):
            root[k:, k] = psi[at : at + q - k]
            at += q - k
        S = np.column_stack([np.ones(n) if c is None else c for c in term.columns]) @ root
        block = np.zeros((n, m, q))
        block[np.arange(n), factor.codes] = S
        blocks.append(block.reshape(n, m * q))
    M, member = np.hstack(blocks), (sets[:, None] == np.arange(sets.max() + 1)).astype(float)
    v = np.zeros(M.shape[1])
    for _ in range(30):
        p = np.exp(eta + M @ v)
        p /= member @ (member.T @ p)
        centred = M - member @ (member.T @ (p[:, None] * M))
        H = np.eye(len(v)) + centred.T @ ((w * p)[:, None] * centred)
        step = np.linalg.solve(H, M.T @ (w * (y - p)) - v)
        v += step / max(1.0, np.abs(step).max())  # from afar Newton's steps are too long
    u = eta + M @ v
    of_set = (w[:, None] * member).max(0)
    value = (w * y) @ u - of_set @ np.log(member.T @ np.exp(u))
    return float(value - 0.5 * v @ v - 0.5 * np.linalg.slogdet(H)[1])


FORMULAS = (
    "bought ~ price + size + (1 | brand)",
    "bought ~ price + size + (price | person) + (1 | brand)",
    "bought ~ price + size + (price | person) + (1 + price | brand)",
    "bought ~ price + size + (0 + price | person) + (1 | person:brand)",
    "bought ~ price + (1 | brand) + (0 + size | person:brand)",
)


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_the_likelihood_is_that_of_the_definition(formula: str, weights: str | None) -> None:
    model = ml.MixedModel(formula, purchases(), "conditional", choice_set="set", weights=weights)
    size = len(model.design.fixed) + sum(len(t.names) * (len(t.names) + 1) // 2 for t in model.design.random_terms)
    psi = 0.5 + 0.4 * np.random.default_rng(5).normal(size=size)
    value, gradient, _ = _core.evaluate(model._core, core_response(model.design), psi, 1, 1)
    assert value == pytest.approx(dense(model, psi), abs=1e-10)
    h = 1e-4
    expected = [(dense(model, psi + step) - dense(model, psi - step)) / (2 * h) for step in h * np.eye(size)]
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=2e-7)


def test_a_maximum_with_the_standard_errors_of_differences() -> None:
    data = purchases(persons=20, each=6, brands=8, seed=5)
    results = ml.fit("bought ~ price + (price | person) + (1 | brand)", data, "conditional", choice_set="set")
    assert results.converged
    assert not results.singular
    model, psi, h = results.model, results.fit.psi, 1e-3
    steps = h * np.eye(len(psi))
    slopes = [(dense(model, psi + a) - dense(model, psi - a)) / (2 * h) for a in steps]
    np.testing.assert_allclose(slopes, 0.0, atol=1e-4)  # of the third derivatives, h squared
    bends = [
        [sum(s * t * dense(model, psi + s * a + t * b) for s in (-1, 1) for t in (-1, 1)) / (4 * h**2) for a in steps]
        for b in steps
    ]
    expected = np.sqrt(np.diag(np.linalg.inv(-np.array(bends))))
    np.testing.assert_allclose(np.sqrt(np.diag(results.fit.covariance)), expected, rtol=1e-4)
    two = model.fit(threads=2)
    assert two.llf == results.llf
    np.testing.assert_array_equal(two.fit.psi, psi)


def test_threads_do_not_change_bits_of_many_rows() -> None:
    data = purchases(persons=500, brands=30, seed=4)
    assert len(data) > 5000  # from where on threads share the rows
    one, two = (
        ml.fit("bought ~ price + (1 | brand)", data, "conditional", choice_set="set", threads=k) for k in (1, 2)
    )
    assert one.converged
    assert one.llf == two.llf
    np.testing.assert_array_equal(one.fit.psi, two.fit.psi)
    np.testing.assert_array_equal(one.fit.covariance, two.fit.covariance)


def test_equal_levels_in_every_set_are_the_ordinary_model() -> None:
    """A factor that crosses in one set only, of weight close to nothing, is as one that crosses nowhere."""
    data = purchases(persons=12, seed=6)
    formula = "bought ~ size + (0 + price | person)"
    plain = ml.fit(formula, data, "conditional", choice_set="set", weights="w")
    more = data.iloc[:2].assign(set=-1, person=[0, 1], bought=[1, 0], w=1e-9)
    other = ml.fit(formula, pd.concat([data, more]), "conditional", choice_set="set", weights="w")
    assert other.llf == pytest.approx(plain.llf, abs=1e-7)
    np.testing.assert_allclose(other.fit.psi, plain.fit.psi, atol=1e-5)


# ---- after the fit ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted() -> ml.MixedModelResults:
    data = purchases(persons=20, each=6, brands=8, seed=5)
    return ml.fit("bought ~ price + (price | person) + (1 | brand)", data, "conditional", choice_set="set")


def softmax(eta: Array, sets: Array) -> Array:
    p = np.exp(eta)
    return np.asarray(p / pd.Series(p).groupby(sets).transform("sum").to_numpy())


def test_probabilities_at_the_modes_and_their_errors(fitted: ml.MixedModelResults) -> None:
    data = purchases(persons=20, each=6, brands=8, seed=5)
    fit, price = fitted.fit, data["price"].to_numpy()
    person, brand = (factor.codes for factor in fit.design.grouping_factors)
    eta = fit.beta[0] * price + price * fit.modes[0][person, 0] + fit.modes[1][brand, 0]
    expected = softmax(eta, data["set"].to_numpy())
    np.testing.assert_allclose(fitted.predict(), expected, rtol=1e-12)
    new = data[data["set"] < 6]
    table = fitted.predict(new, se=True)
    np.testing.assert_allclose(table["estimate"], expected[data["set"] < 6], rtol=1e-12)
    np.testing.assert_allclose(table["std_error"], fitted.predict(se=True)["std_error"][data["set"] < 6], rtol=1e-9)

    # conditional variance of the predictors given the parameters, from the dense matrix, and what parameters add
    sets, n = data["set"].to_numpy(), len(data)
    M = np.zeros((n, 28))
    M[np.arange(n), person] = price * fit.theta[0][0, 0]
    M[np.arange(n), 20 + brand] = fit.theta[1][0, 0]
    member = (sets[:, None] == np.arange(sets.max() + 1)).astype(float)

    def modes(psi: Array) -> tuple[Array, Array]:
        """Of beta, theta and theta: the predictors, and the inverse of H."""
        own, v = M * np.repeat([psi[1] / fit.psi[1], psi[2] / fit.psi[2]], [20, 8]), np.zeros(28)
        for _ in range(30):
            p = softmax(psi[0] * price + own @ v, sets)
            centred = own - member @ (member.T @ (p[:, None] * own))
            H = np.eye(28) + centred.T @ (p[:, None] * centred)
            step = np.linalg.solve(H, own.T @ (data["bought"].to_numpy() - p) - v)
            v += step / max(1.0, np.abs(step).max())
        return psi[0] * price + own @ v, np.linalg.inv(H)

    _, inverse = modes(fit.psi)
    by_psi = np.column_stack(
        [(modes(fit.psi + step)[0] - modes(fit.psi - step)[0]) / 2e-5 for step in 1e-5 * np.eye(3)]
    )
    whole = M @ inverse @ M.T + by_psi @ fit.covariance @ by_psi.T
    link = fitted.predict(kind="link", se=True)
    np.testing.assert_allclose(link["std_error"], np.sqrt(np.diag(whole)), rtol=1e-6)
    slopes = np.where(sets[:, None] == sets, np.diag(expected) - np.outer(expected, expected), 0.0)
    errors = np.sqrt(np.diag(slopes @ whole @ slopes))
    np.testing.assert_allclose(fitted.predict(se=True)["std_error"], errors, rtol=1e-6)


def test_probabilities_of_new_persons_and_brands(fitted: ml.MixedModelResults) -> None:
    """Averages over random effects against many draws: brands that stand twice in a set share theirs."""
    new = pd.DataFrame({"set": 0, "person": 999, "brand": [101, 101, 102, 3], "price": [0.5, -0.5, 0.2, 0.0]})
    found = fitted.predict(new, new_levels="marginal")
    fit, rng = fitted.fit, np.random.default_rng(1)
    n, sd = 400_000, [float(np.sqrt(c[0, 0])) for c in fit.random_cov]
    slope = fit.beta[0] + sd[0] * rng.normal(size=n)
    first, second = sd[1] * rng.normal(size=(2, n))
    known = fit.modes[1][list(fit.design.grouping_factors[1].levels).index(3), 0]
    eta = np.outer(slope, new["price"]) + np.column_stack([first, first, second, np.full(n, known)])
    p = np.exp(eta)
    p /= p.sum(1, keepdims=True)
    np.testing.assert_allclose(found, p.mean(0), atol=5 * p.std(0).max() / np.sqrt(n))
    every = fitted.predict(new, random="marginal")
    own = np.outer(slope, new["price"]) + np.column_stack([first, first, second, sd[1] * rng.normal(size=n)])
    p = np.exp(own)
    p /= p.sum(1, keepdims=True)
    np.testing.assert_allclose(every, p.mean(0), atol=5 * p.std(0).max() / np.sqrt(n))


def test_clusters_of_a_robust_covariance_are_whole_sets() -> None:
    data = purchases(persons=20, seed=3)
    results = ml.fit("bought ~ price + (1 | person:brand)", data, "conditional", choice_set="set")
    model, psi, h = results.model, results.fit.psi, 1e-4
    scores = []
    for person in range(20):
        own = ml.MixedModel(model.formula, data[data["person"] == person], "conditional", choice_set="set")
        scores.append([(dense(own, psi + s) - dense(own, psi - s)) / (2 * h) for s in h * np.eye(2)])
    S = np.array(scores)
    bread = results.fit.covariance
    expected = (bread @ S.T @ S @ bread)[:1, :1]
    np.testing.assert_allclose(results.cov_params(robust="CR0"), expected, rtol=1e-5)


def test_draws_files_and_refits(fitted: ml.MixedModelResults, tmp_path: Any) -> None:
    y = fitted.simulate(2, seed=4)
    data = purchases(persons=20, each=6, brands=8, seed=5)
    assert (y.groupby(data["set"]).sum() == 1).all(axis=None)
    other = fitted.refit(y.iloc[:, 0])
    table = fitted.model.fit_many(y)
    assert table[table["response"] == y.columns[0]]["llf"].iloc[0] == pytest.approx(other.llf, abs=1e-6)
    fitted.save(tmp_path / "fit.multilevel")
    again = ml.load(tmp_path / "fit.multilevel")
    np.testing.assert_array_equal(again.predict(random="marginal"), fitted.predict(random="marginal"))


def test_what_is_refused(fitted: ml.MixedModelResults) -> None:
    data = purchases()
    with pytest.raises(DataError, match="different levels of 'brand', whose random effects depend"):
        fitted.model.fit(n_quadrature=5)
    with pytest.raises(DataError, match="without one of them the sets are others"):
        fitted.influence("brand")
    with pytest.raises(DataError, match="without breaking sets"):
        fitted.bootstrap(2, kind="cases", group="brand")
    with pytest.raises(DataError, match="a level for every alternative"):
        ml.fit("bought ~ price + (1 | row)", data.assign(row=np.arange(len(data))), "conditional", choice_set="set")
    alone = ml.fit("bought ~ price + (1 | brand)", data, "conditional", choice_set="set")
    with pytest.raises(DataError, match="two levels"):
        alone.plot.quadrature()
    with pytest.raises(DataError, match="sets of alternatives connect all levels"):
        alone.cov_params(robust="CR0")
