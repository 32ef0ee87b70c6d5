"""Random effects given the data: against another quadrature in R, brute force, and plain algebra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import multilevel as ml
from multilevel import _core
from multilevel.errors import DataError

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
SLEEP = "Reaction ~ Days + (1 + Days | Subject)"


@pytest.fixture(scope="module")
def cbpp() -> ml.MixedModelResults:
    return ml.fit(CBPP, ml.datasets.cbpp(), family="binomial", n_quadrature=9)


@pytest.fixture(scope="module")
def sleep() -> ml.MixedModelResults:
    return ml.fit(SLEEP, ml.datasets.sleepstudy())


@pytest.mark.parametrize(("key", "points"), [("cbpp_logit_agq25", 25), ("cbpp_logit_laplace", 1)])
def test_means_as_another_quadrature(key: str, points: int, reference_numbers: Callable[[str], dict[str, Any]]) -> None:
    about = reference_numbers("after_the_fit")["posterior"][key]
    results = ml.fit(about["formula"], ml.datasets.cbpp(), family="binomial", n_quadrature=points)
    table = results.random_effects(kind="mean").set_index("level")
    assert (table["method"] == "quadrature, 25 points").all()
    expected = pd.DataFrame(about["groups"]).set_index("group")
    expected.index = expected.index.astype(str)
    expected = expected.loc[table.index.astype(str)]
    assert table["mean"].to_numpy() == pytest.approx(expected["mean"].to_numpy(), abs=1e-7)
    assert table["sd"].to_numpy() == pytest.approx(expected["sd"].to_numpy(), abs=1e-7)
    modes = results.random_effects()
    assert modes["mode"].to_numpy() == pytest.approx(expected["mode"].to_numpy(), abs=1e-6)
    assert modes["sd"].to_numpy() == pytest.approx(expected["mode_sd"].to_numpy(), abs=1e-6)


def herd_density(results: ml.MixedModelResults, herd: str) -> tuple[np.ndarray, np.ndarray]:
    """The density of a herd's random effect on a grid, from the definition: values and shares."""
    data = ml.datasets.cbpp()
    rows = data[data["herd"].astype(str) == herd]
    o = results.params["(Intercept)"] + rows["period"].astype(str).map(
        lambda period: 0.0 if period == "1" else results.params[f"period[{period}]"]
    )
    sd = float(results.theta.iloc[0])
    u = np.linspace(-8, 8, 8001) * sd
    eta = o.to_numpy()[:, None] + u
    y, size = rows["incidence"].to_numpy()[:, None], rows["size"].to_numpy()[:, None]
    log = (y * eta - size * np.log1p(np.exp(eta))).sum(axis=0) - 0.5 * (u / sd) ** 2
    share = np.exp(log - log.max())
    return u, share / share.sum()


@pytest.mark.parametrize("herd", ["1", "8", "13"])
def test_intervals_have_their_coverage(herd: str, cbpp: ml.MixedModelResults) -> None:
    u, share = herd_density(cbpp, herd)
    table = cbpp.random_effects(kind="mean", level=0.9)
    row = table[table["level"].astype(str) == herd].iloc[0]
    mean = share @ u
    skewness = share @ (u - mean) ** 3 / (share @ (u - mean) ** 2) ** 1.5
    assert row["skewness"] == pytest.approx(skewness, abs=1e-4)
    cumulative = np.cumsum(share)
    # the expansion leaves moments of the fifth order out
    assert np.interp(row["lower"], u, cumulative) == pytest.approx(0.05, abs=1e-3)
    assert np.interp(row["upper"], u, cumulative) == pytest.approx(0.95, abs=1e-3)


def test_linear_models_are_exact(sleep: ml.MixedModelResults) -> None:
    means, modes = sleep.random_effects(kind="mean"), sleep.random_effects()
    assert (means["method"] == "exact").all()
    assert means["mean"].to_numpy() == pytest.approx(modes["mode"].to_numpy(), abs=1e-7)
    assert means["sd"].to_numpy() == pytest.approx(modes["sd"].to_numpy(), rel=1e-7)
    half = stats.norm.ppf(0.975) * means["sd"]
    assert (means["upper"] - means["mean"]).to_numpy() == pytest.approx(half.to_numpy())


def test_crossed_factors_have_laplace() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"a": np.repeat(np.arange(10), 12), "b": np.tile(np.arange(12), 10)})
    effect = rng.normal(size=10)[data["a"]] + rng.normal(size=12)[data["b"]]
    data["y"] = rng.poisson(np.exp(0.2 + 0.5 * effect))
    results = ml.fit("y ~ 1 + (1 | a) + (1 | b)", data, "poisson")
    table = results.random_effects(kind="mean")
    assert (table["method"] == "Laplace").all()
    assert table["skewness"].isna().all()
    # against a long walk through the posterior: Metropolis on all effects, one at a time
    sd = dict(zip(results.fit.n_groups, (float(own[0]) for own in results.fit.theta_values), strict=True))
    u = {"a": np.zeros(10), "b": np.zeros(12)}
    total = {"a": np.zeros(10), "b": np.zeros(12)}
    wide = data["y"].to_numpy().reshape(10, 12)
    beta, kept = results.params.iloc[0], 0
    for step in range(6000):
        for name, axis in (("a", 1), ("b", 0)):
            proposal = u[name] + rng.normal(size=len(u[name])) * 0.35

            def log(values: np.ndarray, name: str = name, axis: int = axis) -> np.ndarray:
                now = {**u, name: values}
                eta = beta + now["a"][:, None] + now["b"][None, :]
                return (wide * eta - np.exp(eta)).sum(axis=axis) - 0.5 * (values / sd[name]) ** 2

            accepted = np.log(rng.uniform(size=len(proposal))) < log(proposal) - log(u[name])
            u[name] = np.where(accepted, proposal, u[name])
        if step >= 500:
            kept += 1
            for name in total:
                total[name] += u[name]
    walked = np.concatenate([total["a"], total["b"]]) / kept
    distance = np.abs(table["mean"] - walked).mean()
    assert distance < 0.02  # the walk's own error
    assert distance < 0.7 * np.abs(results.random_effects()["mode"] - walked).mean()


def test_nested_factors_by_quadrature() -> None:
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"a": np.repeat(np.arange(8), 15), "b": np.repeat(np.arange(40), 3)})
    data["y"] = rng.poisson(np.exp(0.3 + rng.normal(size=8)[data["a"]] * 0.5 + rng.normal(size=40)[data["b"]] * 0.5))
    results = ml.fit("y ~ 1 + (1 | a) + (1 | b)", data, "poisson", n_quadrature=5)
    table = results.random_effects(kind="mean")
    assert table["method"].str.startswith("quadrature, ").all()
    assert table.groupby("group")["skewness"].apply(lambda s: s.notna().all()).to_dict() == {"a": True, "b": False}
    assert (table["lower"] < table["mean"]).all()


@pytest.mark.parametrize("formula", [SLEEP, "Reaction ~ Days + (1 | Subject) + (1 | half)"])
def test_errors_of_modes_by_plain_algebra(formula: str) -> None:
    data = ml.datasets.sleepstudy()
    data["half"] = data["Subject"].astype(str) + np.where(data["Days"] > 4, "late", "early")
    results = ml.fit(formula, data)
    n, s2 = len(data), results.residual_sd**2
    X = np.column_stack([np.ones(n), data["Days"]])
    if "half" in formula:
        blocks = [(data["Subject"], np.ones((n, 1))), (data["half"], np.ones((n, 1)))]
    else:
        blocks = [(data["Subject"], X)]
    Z, G = [], []
    names = [list(results.fit.n_groups).index(own.name) for own, _ in blocks]
    for (groups, z), f in zip(blocks, names, strict=True):
        for level in results.fit.design.grouping_factors[f].levels:
            Z.append(z * (groups == level).to_numpy()[:, None])
            G.append(results.fit.random_cov[f])
    Z, q = np.column_stack(Z), [len(own) for own in G]
    cov = np.zeros((sum(q), sum(q)))
    for k, own in enumerate(G):
        cov[sum(q[:k]) : sum(q[: k + 1]), sum(q[:k]) : sum(q[: k + 1])] = own
    inverse = np.linalg.inv(Z @ cov @ Z.T + s2 * np.eye(n))
    P = inverse - inverse @ X @ np.linalg.inv(X.T @ inverse @ X) @ X.T @ inverse
    of_mode = np.diag(cov @ Z.T @ P @ Z @ cov)  # Var(u_hat)
    expected = {"diagnostic": of_mode, "comparative": np.diag(cov) - of_mode}
    for errors, variance in expected.items():
        table = results.random_effects(errors=errors)
        found = []
        for (groups, _), f in zip(blocks, names, strict=True):
            own = table[table["group"] == groups.name]
            terms = list(dict.fromkeys(own["term"]))
            wide = own.pivot(index="level", columns="term", values="sd")[terms]
            found.append(wide.loc[list(results.fit.design.grouping_factors[f].levels)].to_numpy().ravel())
        assert np.concatenate(found) == pytest.approx(np.sqrt(variance), rel=1e-6)


def test_ranks_by_their_definition(cbpp: ml.MixedModelResults) -> None:
    table = cbpp.ranks(n_draws=40_000)
    assert table["expected_rank"].sum() == pytest.approx(15 * 16 / 2)
    assert table["p_first"].sum() == pytest.approx(1.0)
    assert (table["lower"] <= table["expected_rank"]).all()
    assert (table["expected_rank"] <= table["upper"]).all()
    # expected rank = 1 + sum over others of P(they are larger), by the densities on a grid
    herd = str(table["level"].iloc[0])
    u, share = herd_density(cbpp, herd)
    expected = 1.0
    for other in map(str, table["level"].iloc[1:]):
        v, weight = herd_density(cbpp, other)
        expected += share @ (1.0 - np.interp(u, v, np.cumsum(weight)))
    assert table["expected_rank"].iloc[0] == pytest.approx(expected, abs=0.03)
    assert cbpp.ranks().equals(cbpp.ranks())
    assert not cbpp.ranks(seed=1).equals(cbpp.ranks(seed=2))


def test_cluster_contributions(cbpp: ml.MixedModelResults) -> None:
    laplace = ml.fit(CBPP, ml.datasets.cbpp(), family="binomial")
    table = laplace.cluster_contributions()
    assert table.index.name == "herd"
    assert list(table.index) == list(laplace.fit.design.grouping_factors[0].levels)
    assert table["n_rows"].sum() == 56
    assert table["llf"].sum() == pytest.approx(laplace.llf, rel=1e-12)
    core, y = laplace.fit.model_core, laplace.fit.design.response.values
    finer, _, _ = _core.evaluate(core, y, laplace.fit.psi, 51)
    assert table["change"].sum() == pytest.approx(finer - laplace.llf, abs=1e-9)
    means = laplace.random_effects(kind="mean").set_index("level")
    assert table["skewness"].to_numpy() == pytest.approx(means["skewness"].to_numpy())
    assert cbpp.cluster_contributions()["change"].abs().max() < 1e-6 < table["change"].abs().max()


def test_cluster_contributions_of_exact_and_crossed_models(sleep: ml.MixedModelResults) -> None:
    table = ml.fit(SLEEP, ml.datasets.sleepstudy(), method="ml").cluster_contributions()
    assert (table[["change", "skewness"]] == 0).all(axis=None)
    assert len(sleep.cluster_contributions()) == 18
    data = pd.DataFrame({"a": np.arange(60) % 6, "b": np.arange(60) // 12})
    data["y"] = np.random.default_rng(2).poisson(2 + data["a"] * (1 + data["b"]))
    crossed = ml.fit("y ~ 1 + (1 | a) + (1 | b)", data, "poisson")
    one = crossed.cluster_contributions()
    assert len(one) == 1
    assert one["llf"].iloc[0] == pytest.approx(crossed.llf)
    assert one[["change", "skewness"]].isna().all(axis=None)
    plain = ml.fit("y ~ a", data, "poisson").cluster_contributions()
    assert len(plain) == 60


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.random_effects(kind="median"), "there are 'mode' and 'mean'"),
        (lambda r: r.random_effects(errors="marginal"), "'comparative', 'diagnostic'"),
        (lambda r: r.random_effects(errors="comparative"), "linear mixed models alone"),
        (lambda r: r.random_effects(kind="mean", errors="diagnostic"), "goes with kind='mode'"),
        (lambda r: r.random_effects(kind="mean", level=95), "between 0 and 1"),
        (lambda r: r.random_effects(kind="mean", n_quadrature=20_000), "the limit is 10,000"),
        (lambda r: r.random_effects(kind="mean", n_quadrature=0), "number of points"),
        (lambda r: r.ranks(group="cow"), "no grouping factor 'cow'"),
        (lambda r: r.ranks(term="period2"), "no random effect 'period2'"),
        (lambda r: r.ranks(n_draws=0), "whole number from 1"),
        (lambda r: r.ranks(level=0), "between 0 and 1"),
    ],
)
def test_what_cannot_be_is_refused(call: Callable[[Any], Any], message: str, cbpp: ml.MixedModelResults) -> None:
    with pytest.raises(DataError, match=message):
        call(cbpp)


def test_ranks_say_which_effect(sleep: ml.MixedModelResults) -> None:
    with pytest.raises(DataError, match="say which with term="):
        sleep.ranks()
    assert sleep.ranks(term="Days", n_draws=50)["level"].nunique() == 18
    with pytest.raises(DataError, match="no random effects"):
        ml.fit("Reaction ~ Days", ml.datasets.sleepstudy()).ranks()
