"""Traits of new persons from their answers, at the estimates of a fit: those of the fit for its own rows, and sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import multilevel as ml

GRADED = "y ~ 0 + rr(0 + item | person, d=1)"
BINARY = "y ~ 0 + item + rr(0 + item | person, d=1)"


def answers(kind: str, n: int = 60, seed: int = 1) -> pd.DataFrame:
    """Of persons to six items with a loading each."""
    rng = np.random.default_rng(seed)
    eta = rng.normal(size=(n, 1)) * np.array([0.8, 1.0, 1.2, 1.4, 0.9, 1.1]) + np.linspace(-1, 1, 6)
    data = pd.DataFrame({"person": np.repeat(np.arange(n), 6), "item": np.tile(list("abcdef"), n)})
    data["x"] = rng.normal(size=6 * n)
    if kind == "graded":
        cuts = np.array([-1.0, 0.0, 1.2])
        data["y"] = 1 + ((eta + rng.logistic(size=eta.shape))[:, :, None] > cuts).sum(2).ravel()
    elif kind == "numbers":
        data["y"] = (eta + rng.normal(size=eta.shape) * 0.7).ravel()
    elif kind == "counts":
        data["y"] = rng.poisson(np.exp(0.5 * eta)).ravel()
    elif kind == "trials":
        data["size"] = 1 + rng.integers(4, size=6 * n)
        data["y"] = rng.binomial(data["size"], special.expit(eta).ravel())
    else:
        data["y"] = (rng.uniform(size=eta.shape) < special.expit(eta)).ravel().astype(int)
    return data


def fitted(kind: str) -> tuple[Any, pd.DataFrame, dict[str, Any]]:
    """Results, their data, and arguments that new rows need."""
    data = answers(kind.split()[0], 300 if "binary" in kind else 60)
    if kind == "graded":
        return ml.fit(GRADED, data, "cumulative", nominal="~ 0 + item", n_quadrature=7), data, {}
    if kind == "graded scale":
        formula, more = "y ~ item + x + (1 | person)", {"scale": "~ x", "thresholds": "equidistant"}
        return ml.fit(formula, data, "cumulative", n_quadrature=7, **more), data, {}
    if kind == "graded adjacent":
        return ml.fit("y ~ item + (1 | person)", data, "adjacent", n_quadrature=7), data, {}
    if kind == "numbers":
        return ml.fit(BINARY, data, dispersion="~ 0 + item", offset="x"), data, {}
    if kind == "counts":
        return ml.fit(BINARY, data, "poisson", n_quadrature=7), data, {}
    if kind == "trials":
        formula = "cbind(y, size - y) ~ 0 + item + rr(0 + item | person, d=1)"
        return ml.fit(formula, data, "binomial", n_quadrature=7), data, {}
    if kind == "trials as weights":
        data["share"] = data["y"] / data["size"]
        formula = "share ~ 0 + item + (1 | person)"
        return ml.fit(formula, data, "binomial", weights="size", n_quadrature=7), data, {"weights": "size"}
    if kind == "binary factors":
        term = "cfa(0 + item | person, one = a + b + c, two = d + e + f)"
        return ml.fit(f"y ~ 0 + item + {term}", data, "binomial", n_quadrature=9), data, {}
    if kind == "binary labels":
        data["y"] = np.where(data["y"] == 1, "yes", "no")
        return ml.fit(BINARY, data, "binomial", link="probit", n_quadrature=7), data, {}
    return ml.fit(BINARY, data, "binomial", n_quadrature=25), data, {}


KINDS = (
    *("binary", "binary factors", "binary labels", "graded", "graded scale", "graded adjacent"),
    *("numbers", "counts", "trials", "trials as weights"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_of_rows_of_the_fit_they_are_its_own(kind: str) -> None:
    """Whichever of its persons and items there are: nothing is learned from the new rows."""
    results, data, more = fitted(kind)
    own = results.abilities().set_index("level")
    columns = ["mean", "sd"]
    some = data[data["person"].isin([5, 11, 40])].sample(frac=1.0, random_state=2)
    found = results.abilities(some, **more).set_index("level")
    assert sorted(set(found.index)) == [5, 11, 40]
    np.testing.assert_allclose(found[columns], own.loc[found.index.unique(), columns], atol=1e-9)
    one = results.abilities(data[data["person"] == 7], **more).set_index("level")
    np.testing.assert_allclose(one[columns], own.loc[[7], columns], atol=1e-9)
    if "trait" in own:
        assert list(found["trait"]) == list(own.loc[found.index.unique(), "trait"])


def test_new_patterns_are_sums_over_the_trait() -> None:
    """Of some of the items, in an order of their own, by a person whose label was a person of the fit."""
    results = ml.fit(GRADED, answers("graded"), "cumulative", nominal="~ 0 + item", n_quadrature=7)
    new = pd.DataFrame({"person": [3, 3, 3, 9], "item": ["e", "b", "b", "a"], "y": [4, 1, 2, 4]})
    found = results.abilities(new)
    trait = np.linspace(-10, 10, 4001)
    frame = pd.DataFrame({"person": 3, "item": new["item"], "y": 1})
    fit = results.fit
    thresholds = fit.thresholds_of(fit.design.code_new(frame, need_parts=["thresholds"]).parts[0], 4)
    ends = np.column_stack([np.full(4, -np.inf), thresholds, np.full(4, np.inf)])
    loading = fit.theta[0][[4, 1, 1, 0], 0][:, None]
    y, row = new["y"].to_numpy(), np.arange(4)
    density = special.expit(ends[row, y][:, None] - loading * trait) - special.expit(
        ends[row, y - 1][:, None] - loading * trait
    )
    for person, rows in ((3, [0, 1, 2]), (9, [3])):
        share = density[rows].prod(0) * stats.norm.pdf(trait)
        share /= share.sum()
        own = found[found["level"] == person]
        mean = share @ trait
        assert own["mean"].item() == pytest.approx(mean, abs=1e-9)
        assert own["sd"].item() == pytest.approx(np.sqrt(share @ (trait - mean) ** 2), abs=1e-9)


@pytest.mark.parametrize("n_items", [40, 4000])
def test_many_answers_leave_little_doubt(n_items: int) -> None:
    """The nodes go to where the posterior density is, however narrow."""
    results = ml.fit(BINARY, answers("binary", 300), "binomial", n_quadrature=7)
    rng = np.random.default_rng(3)
    new = pd.DataFrame({"person": "new", "item": rng.choice(list("abcdef"), n_items)})
    loadings, beta = results.fit.theta[0][:, 0], results.fit.beta
    at = new["item"].map({name: k for k, name in enumerate("abcdef")}).to_numpy()
    new["y"] = (rng.uniform(size=n_items) < special.expit(beta[at] + 2.5 * loadings[at])).astype(int)
    found = results.abilities(new)
    trait = np.linspace(-8, 8, 200_001)
    log_density = -0.5 * trait**2
    for k in range(6):
        eta, right = beta[k] + loadings[k] * trait, new["y"].to_numpy()[at == k]
        log_density += right.sum() * special.log_expit(eta) + (1 - right).sum() * special.log_expit(-eta)
    share = np.exp(log_density - log_density.max())
    share /= share.sum()
    mean = share @ trait
    assert found["level"].tolist() == ["new"]
    np.testing.assert_allclose(found["mean"], [mean], rtol=1e-8)
    np.testing.assert_allclose(found["sd"], [np.sqrt(share @ (trait - mean) ** 2)], rtol=1e-7)


def test_missing_answers_are_left_out() -> None:
    data = answers("binary", 300)
    results = ml.fit(BINARY, data, "binomial", n_quadrature=15)
    new = data[data["person"] < 2].astype({"y": float})
    new.iloc[[0, 3], 2 + list(new.columns[2:]).index("y")] = np.nan
    kept = new.dropna()
    pd.testing.assert_frame_equal(results.abilities(new), results.abilities(kept))
    with pytest.raises(ml.DataError, match="no rows are left"):
        results.abilities(new.assign(y=np.nan))


def test_what_new_rows_cannot_be() -> None:
    data = answers("graded")
    results = ml.fit(GRADED, data, "cumulative", nominal="~ 0 + item", n_quadrature=7)
    with pytest.raises(ml.DataError, match=r"is '9' in row .*; the fit had '1', '2', '3', '4'"):
        results.abilities(data.head(6).assign(y=9))
    with pytest.raises(ml.DataError, match="level"):
        results.abilities(data.head(6).assign(item="z"))
    with pytest.raises(ml.DataError, match="no column 'y'"):
        results.abilities(data.head(6).drop(columns="y"))
    with pytest.raises(ml.DataError, match="weights= goes with newdata"):
        results.abilities(weights="x")
    weighted = ml.fit("y ~ 0 + item + (1 | person)", answers("binary"), "binomial", weights=np.full(360, 2.0))
    with pytest.raises(ml.DataError, match="the fit had weights"):
        weighted.abilities(answers("binary").head(6))
    found = weighted.abilities(answers("binary").head(6).assign(w=2.0), weights="w")
    np.testing.assert_allclose(found["mean"], weighted.abilities()["mean"].head(1), atol=1e-9)
