"""Profile likelihood: limits are those of other programs, and of brute force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

import multilevel as ml

from .reference_files import read_data, read_numbers

OUTSIDE = read_numbers("after_the_fit")["profile"]
LME4 = json.loads((Path(__file__).parent / "reference" / "profiles.json").read_text(encoding="utf-8"))["fits"]
LIMITS = [name for name, own in OUTSIDE.items() if "hdr" in own]
Z = stats.norm.ppf(0.975)


def in_order(results: ml.MixedModelResults, table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The rows of a table for parameters as the reference calls them, whose fixed effects stand in order."""
    fixed = iter(results.params.index)
    sds = iter([name for name in table.index if ": sd" in name])
    rows = []
    for name in names:
        if name == "corr":
            rows.append(next(own for own in table.index if "correlation" in own))
        else:
            rows.append("sigma" if name == "sigma" else next(sds if name.startswith("sd_") else fixed))
    return table.loc[rows]


@pytest.mark.parametrize("name", LIMITS)
def test_limits_of_another_program(name: str, reference_data: Any) -> None:
    """Found there by bisection with everything else optimized anew; the tolerances are those that they state."""
    own = OUTSIDE[name]
    about = own["hdr"]
    family, *link = about["family"].split()
    results = ml.fit(
        about["formula"],
        reference_data(about["dataset"]),
        family=family,
        link=link[0] if link else None,
        method="ml",
        n_quadrature=25 if "agq25" in name else 1,
    )
    profiled = results.profile(level=0.95)
    rows = in_order(results, profiled.conf_int(), [row["par"] for row in own["ci"]])
    assert profiled.messages == ()
    errors = results.bse.reindex(rows.index).fillna(1.0).to_numpy()
    for side in ("lower", "upper"):
        expected = np.array([row[side] for row in own["ci"]])
        assert (np.abs(rows[side].to_numpy() - expected) / errors).max() < 1e-6
    if name == "hsb_slope_ml":
        assert profiled.conf_int().loc["school: sd cses", "lower"] == 0.0
        assert tuple(profiled.conf_int().loc["school: correlation cses, (Intercept)"]) == (-1.0, 1.0)
    if "level_90" in own:
        assert profiled.conf_int(0.9).loc["herd: sd (Intercept)"].to_numpy() == pytest.approx(
            np.array(own["level_90"]["ci"]), abs=1e-6
        )


@pytest.mark.parametrize(
    ("name", "formula"),
    [("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"), ("Pastes", "strength ~ 1 + (1 | batch / cask)")],
)
def test_several_grouping_factors(name: str, formula: str) -> None:
    """lme4's limits come from a spline."""
    own = LME4[name]
    found = ml.fit(formula, read_data(name), method="reml").profile(level=0.95).conf_int()
    rows = dict(zip(own["names"], zip(own["lower"], own["upper"], strict=True), strict=True))
    sds = found[found.index.str.contains("sd")]
    expected = np.array([rows[f".sig0{k + 1}"] for k in range(len(sds))])
    if name == "Pastes":
        expected = expected[::-1]  # lme4 has the cask first
        assert sds.to_numpy()[0, 0] == 0.0
    np.testing.assert_allclose(sds.to_numpy(), expected, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(found.loc["sigma"], rows[".sigma"], rtol=1e-5)
    np.testing.assert_allclose(found.loc["(Intercept)"], rows["(Intercept)"], rtol=1e-6)


# ---- brute force --------------------------------------------------------------------------------------------------

NODES, WEIGHTS = special.roots_hermitenorm(121)
LOG_WEIGHTS = np.log(WEIGHTS) - 0.5 * np.log(2 * np.pi)


def small(seed: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(14), 6)
    x = rng.normal(size=len(g))
    return g, x, 0.4 + 0.3 * x + 0.5 * rng.normal(size=14)[g]


def density(family: str, y: np.ndarray, eta: np.ndarray, extra: np.ndarray) -> np.ndarray:
    """Log densities from their definitions; `extra` are parameters beside (intercept, slope, sd)."""
    if family == "poisson":
        return stats.poisson.logpmf(y, np.exp(eta))
    if family == "gamma":
        shape = np.exp(extra[0])
        return stats.gamma.logpdf(y, shape, scale=np.exp(eta) / shape)
    if family == "negative_binomial":
        size = np.exp(extra[0])
        return stats.nbinom.logpmf(y, size, size / (size + np.exp(eta)))
    if family == "binomial":
        return stats.bernoulli.logpmf(y, special.expit(eta))
    share = special.expit(extra[0])  # of zeros that are no counts
    return np.where(
        y == 0,
        np.log(share + (1 - share) * np.exp(-np.exp(eta))),
        np.log1p(-share) + stats.poisson.logpmf(y, np.exp(eta)),
    )


def marginal(family: str, y: np.ndarray, x: np.ndarray, g: np.ndarray, at: np.ndarray) -> float:
    """The log-likelihood of a random intercept by a rule of 121 points that knows nothing of the data."""
    eta = at[0] + at[1] * x + at[2] * NODES[:, None]
    rows = density(family, y[None, :], eta, at[3:])
    per_group = np.stack([rows[:, g == k].sum(axis=1) for k in np.unique(g)])
    return float(special.logsumexp(per_group + LOG_WEIGHTS, axis=1).sum())


def best(negative: Any, start: np.ndarray) -> float:
    found = optimize.minimize(negative, start, method="BFGS", options={"gtol": 1e-6})
    return -float(
        optimize.minimize(negative, found.x, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-11}).fun
    )


@pytest.mark.parametrize(
    ("family", "own"),
    [
        ("poisson", ["g: sd (Intercept)", "x"]),
        ("gamma", ["shape", "(Intercept)"]),
        ("negative_binomial", ["g: sd (Intercept)", "size"]),
        ("binomial", ["x"]),
        ("zero-inflated", ["zero_probability", "g: sd (Intercept)"]),
    ],
)
def test_limits_by_brute_force(family: str, own: list[str]) -> None:
    """At a limit the log-likelihood that the others can reach is lower by half the quantile's square."""
    g, x, eta = small()
    rng = np.random.default_rng(1)
    y = {
        "gamma": lambda: rng.gamma(3.0, np.exp(eta) / 3.0),
        "binomial": lambda: (rng.random(len(eta)) < special.expit(eta)).astype(float),
        "negative_binomial": lambda: rng.negative_binomial(2.0, 2.0 / (2.0 + np.exp(eta))).astype(float),
        "zero-inflated": lambda: rng.poisson(np.exp(eta + 0.8)) * (rng.random(len(eta)) < 0.7).astype(float),
    }.get(family, lambda: rng.poisson(np.exp(eta)).astype(float))()
    data = pd.DataFrame({"y": y, "x": x, "g": g})
    options: dict[str, Any] = {"zero_inflation": "~ 1"} if family == "zero-inflated" else {}
    name = "poisson" if options else family
    results = ml.fit("y ~ x + (1 | g)", data, name, link="log" if name == "gamma" else None, n_quadrature=35, **options)
    found = results.profile(own, level=0.95)
    place = {"(Intercept)": 0, "x": 1, "g: sd (Intercept)": 2, "shape": 3, "size": 3, "zero_probability": 3}
    top = best(lambda at: -marginal(family, y, x, g, at), results.fit.psi)
    assert top == pytest.approx(results.llf, abs=1e-6)
    for parameter, (lower, upper) in found.conf_int().iterrows():
        k = place[str(parameter)]
        for limit in (lower, upper):
            if limit == 0.0:
                continue
            scale = {"shape": np.log, "size": np.log, "zero_probability": special.logit}
            held = scale.get(str(parameter), float)(limit)
            rest = best(
                lambda at, k=k, held=held: -marginal(family, y, x, g, np.insert(at, k, held)),
                np.delete(results.fit.psi, k),
            )
            assert np.sqrt(2 * (top - rest)) == pytest.approx(Z, abs=5e-6)


def test_a_correlation_by_brute_force() -> None:
    """The marginal normal distribution written down, all but the correlation optimized anew."""
    data = ml.datasets.sleepstudy()
    results = ml.fit("Reaction ~ Days + (Days | Subject)", data, method="ml")
    lower = results.profile("Subject: correlation Days, (Intercept)", level=0.9).conf_int().iloc[0, 0]
    groups = [own for _, own in data.groupby("Subject")]

    def negative(at: np.ndarray) -> float:
        one, two, sigma = np.exp(at[2:])
        cov = np.array([[one**2, lower * one * two], [lower * one * two, two**2]])
        total = 0.0
        for own in groups:
            z = np.column_stack([np.ones(len(own)), own["Days"]])
            spread = z @ cov @ z.T + sigma**2 * np.eye(len(own))
            total -= stats.multivariate_normal.logpdf(own["Reaction"], z @ at[:2], spread)
        return total

    start = np.array([251.4, 10.5, np.log(23.8), np.log(5.7), np.log(25.6)])
    rest = -optimize.minimize(negative, start, method="BFGS", options={"gtol": 1e-5}).fun
    assert np.sqrt(2 * (results.llf - rest)) == pytest.approx(stats.norm.ppf(0.95), abs=1e-5)


def test_weights_and_an_offset_of_a_linear_model() -> None:
    """Prior weights are a precision; brute force as above."""
    g, x, eta = small()
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"x": x, "g": g, "w": rng.uniform(0.5, 3.0, len(g)), "o": rng.normal(size=len(g))})
    data["y"] = 20.0 + eta + data["o"] + rng.normal(size=len(g)) / np.sqrt(data["w"])
    results = ml.fit("y ~ x + (1 | g)", data, weights="w", offset="o", method="ml")
    limits = results.profile(["x", "sigma"], level=0.95).conf_int()

    y, own_x, own_w, own_o = (data[name].to_numpy().reshape(-1, 6) for name in ("y", "x", "w", "o"))

    def likelihood(beta: np.ndarray, sd: float, sigma: float) -> float:
        spread = sd**2 + sigma**2 / own_w[:, :, None] * np.eye(6)
        off = y - own_o - beta[0] - beta[1] * own_x
        square = (off * np.linalg.solve(spread, off[:, :, None])[:, :, 0]).sum()
        return float(-0.5 * (square + np.linalg.slogdet(spread)[1].sum() + y.size * np.log(2 * np.pi)))

    intercept, slope, sd, log_sigma = results.fit.psi
    for held in limits.loc["x"]:
        rest = best(
            lambda at, held=held: -likelihood(np.array([at[0], held]), at[1], np.exp(at[2])),
            np.array([intercept, sd, log_sigma]),
        )
        assert np.sqrt(2 * (results.llf - rest)) == pytest.approx(Z, abs=1e-6)
    held = limits.loc["sigma", "upper"]
    rest = best(lambda at: -likelihood(at[:2], at[2], held), np.array([intercept, slope, sd]))
    assert np.sqrt(2 * (results.llf - rest)) == pytest.approx(Z, abs=1e-6)
