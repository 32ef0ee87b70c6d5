"""Counts and proportions whose spread has a parameter, from end to end: other programs, limits, refusals."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import optimize, stats

import multilevel as ml
from multilevel import _core

from .family_cases import drawn
from .reference_files import read_data

Array = NDArray[np.float64]
REFERENCE = json.loads((Path(__file__).parent / "reference" / "dispersions.json").read_text(encoding="utf-8"))["fits"]
EXACT = json.loads((Path(__file__).parent / "reference" / "exact_densities.json").read_text(encoding="utf-8"))


def quietly(formula: str, data: pd.DataFrame, family: str, **options: Any) -> ml.MixedModelResults:
    """The fit without its warnings; they stay in `results.warnings`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return ml.fit(formula, data, family, **options)


def grouped(seed: int, sd: float = 0.5) -> pd.DataFrame:
    """A covariate, a grouping factor and the linear predictor."""
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(40), 15), rng.normal(size=600)
    return pd.DataFrame({"x": x, "g": g, "eta": 0.8 + 0.4 * x + sd * rng.normal(size=40)[g]})


# ---- another program ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", REFERENCE)
def test_reference(key: str) -> None:
    """glmmTMB has log dispersions, and of a Conway-Maxwell-Poisson family log(1 / nu)."""
    own = REFERENCE[key]
    data = read_data(own["dataset"])
    if own["dataset"] == "Salamanders":
        data["mined"] = pd.Categorical(data["mined"], ["yes", "no"])
    else:
        data["z"] = np.clip((data["y"] - 0.15) / 0.75, 0, 1)
    results = quietly(own["formula"], data, own["family"], link=own["link"])
    assert results.converged
    assert results.llf == pytest.approx(own["loglik"], rel=1e-8)
    names, estimate, se = np.array(own["names"]), np.array(own["estimate"]), np.array(own["se"])
    fixed = names == "beta"
    assert np.abs((results.params.to_numpy() - estimate[fixed]) / se[fixed]).max() < 1e-4
    np.testing.assert_allclose(results.bse, se[fixed], rtol=1e-3)
    if (names == "theta").any():
        assert np.log(results.random_cov.popitem()[1].iloc[0, 0]) / 2 == pytest.approx(
            estimate[names == "theta"][0], abs=1e-4
        )
    if own["family"] == "geometric":
        return
    if key == "compois without groups":  # runs to where it is the geometric family, nu = exp(-23.7)
        assert results.family_params == {"nu": 0.0}
        assert any("is at its limit, where it is the geometric family" in text for text in results.warnings)
        return
    if own["family"] == "ordered_beta":
        cuts = results.family_parameters()
        place = np.flatnonzero(names == "psi")
        assert cuts.loc["lower_cut", "estimate"] == pytest.approx(estimate[place[0]], abs=1e-4 * se[place[0]])
        assert cuts.loc["lower_cut", "std_error"] == pytest.approx(se[place[0]], rel=1e-3)
        upper = cuts.loc[["lower_cut", "cut_distance"], "estimate"].sum()
        assert upper == pytest.approx(estimate[place[1]], abs=1e-4 * se[place[1]])
    place = int(np.flatnonzero(names == "betad")[0])
    row = results.family_parameters().iloc[0]
    sign = -1 if own["family"] == "conway_maxwell_poisson" else 1
    assert np.log(row["estimate"]) == pytest.approx(sign * estimate[place], abs=1e-4 * se[place])
    assert row["std_error"] / row["estimate"] == pytest.approx(se[place], rel=1e-3)


# ---- limits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_alpha", [-14.0, -18.0, -22.0, -28.0])
def test_negative_binomial_1_close_to_the_poisson(log_alpha: float) -> None:
    """Its log density is the Poisson's + alpha ((y - mu)^2 - y) / (2 mu), up to alpha^2: to the last digits, both."""
    alpha = np.exp(log_alpha)
    eta, y = np.tile(np.linspace(-3, 3, 13), 4), np.repeat([0.0, 1.0, 4.0, 30.0], 13)
    one, mu = np.ones(len(y)), np.exp(eta)
    d = _core.Family("negative_binomial_1", "log").derivatives(eta, y, one, one, [-log_alpha])
    poisson = _core.Family("poisson", "log").derivatives(eta, y, one, one, [])
    more = alpha * ((y - mu) ** 2 - y) / (2 * mu)
    rounding, beyond = 1e-13 * (1 + mu + 4 * y), 10 * alpha**2 * (1 + mu + y + y**2 / mu) ** 3
    assert (np.abs(d["value"] - poisson["value"] - more) < rounding + beyond).all()
    assert (np.abs(d["phi0_d0"] + more) < 0.1 * rounding + beyond).all()
    for name in ("d1", "d2", "d3", "d4"):
        assert (np.abs(d[name] - poisson[name]) < 10 * rounding + 100 * alpha * (1 + y**2 / mu + mu)).all()


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
@pytest.mark.parametrize("log_precision", [14.0, 20.0, 28.0])
def test_beta_binomial_close_to_the_binomial(link: str, log_precision: float) -> None:
    eta, y = np.tile(np.linspace(-2, 1.5, 8), 3), np.repeat([0.0, 3.0, 9.0], 8)
    one, n = np.ones(len(y)), np.full(len(y), 12.0)
    d = _core.Family("beta_binomial", link).derivatives(eta, y, n, one, [log_precision])
    binomial = _core.Family("binomial", link).derivatives(eta, y, n, one, [])
    mu = _core.Family("binomial", link).mean(eta)
    left = n - y
    more = (y * (y - 1) / mu + left * (left - 1) / (1 - mu) - n * (n - 1)) / 2 * np.exp(-log_precision)
    beyond = 1e4 * np.exp(-2 * log_precision) / (mu * (1 - mu)) ** 2
    assert (np.abs(d["value"] - binomial["value"] - more) < 1e-13 * n + beyond).all()
    assert (np.abs(d["phi0_d0"] + more) < 1e-14 * n + 4 * beyond).all()
    for name in ("d1", "d2"):
        assert (np.abs(d[name] - binomial[name]) < 1e-11 + 1e4 * np.exp(-log_precision) / (mu * (1 - mu))).all()


def test_conway_maxwell_is_the_poisson_at_one() -> None:
    eta, y = np.tile(np.linspace(-6, 6, 25), 5), np.repeat([0.0, 1.0, 4.0, 30.0, 400.0], 25)
    one = np.ones(len(y))
    d = _core.Family("conway_maxwell_poisson", "log").derivatives(eta, y, one, one, [0.0])
    poisson = _core.Family("poisson", "log").derivatives(eta, y, one, one, [])
    np.testing.assert_allclose(d["value"], poisson["value"] + poisson["constant"], rtol=1e-13, atol=1e-12)
    for name in ("d1", "d2", "d3", "d4"):
        np.testing.assert_allclose(d[name], poisson[name], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("nu", [0.02, 0.5, 0.9, 1.4, 2.0, 8.0])
def test_conway_maxwell_by_sums_and_by_series(nu: float) -> None:
    """On either side of where one takes over from the other; every derivative goes on."""
    edge = np.log(max(128 / nu, 30, 4 * nu))
    found = []
    for side in (-1e-12, 1e-12):
        eta = np.full(3, edge + side)
        y = np.round(np.exp(edge) + np.array([-2.0, 0.0, 3.0]) * np.sqrt(np.exp(edge) / nu))
        found.append(
            _core.Family("conway_maxwell_poisson", "log").derivatives(eta, y, np.ones(3), np.ones(3), [-np.log(nu)])
        )
    scale = np.exp(edge) * nu
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-8, atol=1e-11 * scale, err_msg=name)


@pytest.mark.parametrize("row", EXACT["conway_maxwell_poisson"], ids=lambda row: f"{row['mu']}-{row['nu']}")
def test_conway_maxwell_in_fifty_digits(row: dict[str, Any]) -> None:
    """Made by reference/exact_densities.py."""
    found = _core.Family("conway_maxwell_poisson", "log").derivatives(
        np.full(1, row["eta"]), np.full(1, row["y"]), np.ones(1), np.ones(1), [row["phi"]]
    )
    for name, value in row["expected"].items():
        # high derivatives are what moments of higher order leave
        most = {"value": 1e-14, "d1": 1e-13, "d2": 1e-12, "d3": 1e-10, "d4": 1e-9}.get(name, 1e-10)
        assert found[name][0] == pytest.approx(value, rel=most, abs=1e-14 * (1 + row["mu"] * row["nu"])), name


@pytest.mark.parametrize(
    ("mu", "nu"), [(300, 1e-3), (300, 1e-6), (1e3, 1e-9), (1e3, 0.015), (5e3, 1e-3), (5e3, 0.024), (2e4, 1e-5)]
)
def test_conway_maxwell_of_wide_spreads(mu: float, nu: float) -> None:
    """Against the sum of all terms, tens of thousands of them; beside a row whose sum is short."""
    j = np.arange(11 * mu + 80 * min(np.sqrt(mu / nu), mu), dtype=np.longdouble)
    log_factorial = np.concatenate([[0], np.cumsum(np.log(j[1:]))])
    left = log_factorial - log_factorial[int(mu)] - (j - int(mu)) * np.log(np.longdouble(int(mu)))
    slope, move = np.longdouble(0.0 if nu * mu > 1 else -1 / mu), 1.0
    while abs(move) > 1e-17:
        exponents = (j - int(mu)) * slope - np.longdouble(nu) * left
        terms = np.exp(exponents)
        mean = (terms @ j) / terms.sum()
        variance = (terms @ (j - mean) ** 2) / terms.sum()
        move = -np.log(mean / np.longdouble(mu)) * mean / variance
        slope += move
    log_terms = exponents - np.log(terms.sum())
    y = np.floor(mu * np.array([0.0, 0.5, 1.0, 2.0]))
    family, phi = _core.Family("conway_maxwell_poisson", "log"), [-np.log(nu)]
    found = family.derivatives(np.full(4, np.log(mu)), y, np.ones(4), np.ones(4), phi)
    np.testing.assert_allclose(found["value"], log_terms[y.astype(int)].astype(float), rtol=1e-14, atol=1e-12)
    np.testing.assert_allclose(found["d1"], (y - mu) * mu / float(variance), rtol=1e-12, atol=1e-10)
    mixed = family.derivatives(np.log([mu, 2.0, mu, 40.0]), y, np.ones(4), np.ones(4), phi)
    for name, value in mixed.items():
        if np.size(value) == 4:
            np.testing.assert_array_equal(value[[0, 2]], found[name][[0, 2]], err_msg=name)


@pytest.mark.parametrize(("mu", "nu"), [(1e5, 0.01), (1e5, 1.0), (1e5, 50.0), (2e3, 0.05), (3e3, 50.0)])
def test_conway_maxwell_of_large_means(mu: float, nu: float) -> None:
    """Against sums over thousands of terms at one lambda, whose mean is the mu to ask for."""
    spread = np.sqrt(mu / nu)
    j = np.arange(max(1.0, np.floor(mu - 40 * spread)), np.ceil(mu + 40 * spread))
    middle = np.round(mu)
    more = (j - middle) / middle
    # log j! - log middle! by Stirling's formula: what is left of both is below 1e-4 / middle
    fall = (j + 0.5) * np.log1p(more) + (j - middle) * (np.log(middle) - 1) + (1 / j - 1 / middle) / 12
    slope = nu * np.log(middle)
    terms = np.exp((j - middle) * slope - nu * fall)
    total = terms.sum()
    mean = float(terms @ (j - middle) / total) + middle
    y = np.floor(mean + np.array([-2.0, 0.0, 1.5]) * spread)
    expected = (y - middle) * slope - nu * np.interp(y, j, fall) - np.log(total)
    eta, one = np.full(3, np.log(mean)), np.ones(3)
    found = _core.Family("conway_maxwell_poisson", "log").derivatives(eta, y, one, one, [-np.log(nu)])
    np.testing.assert_allclose(found["value"], expected, rtol=1e-9, atol=1e-9)
    variance = float(terms @ (j - mean) ** 2 / total)
    np.testing.assert_allclose(found["d1"], (y - mean) * mean / variance, rtol=1e-7, atol=1e-6)


def test_conway_maxwell_of_rows_with_and_without_one_nu() -> None:
    """Rows that share nu share its powers; others sum by themselves."""
    family, eta = _core.Family("conway_maxwell_poisson", "log"), np.repeat(np.linspace(-9.0, 6.0, 31), 4)
    y, one = np.tile([0.0, 1.0, 12.0, 90.0], 31), np.ones(124)
    for nu in (0.1, 0.7, 1.0, 3.0, 30.0):
        phi = np.full((124, 1), -np.log(nu))
        shared = family.derivatives(eta, y, one, one, phi[0])
        phi[::2] += 1e-14
        own = family.derivatives(eta, y, one, one, phi)
        for name, value in shared.items():
            least = {"d3": 1e-9, "d4": 1e-8}.get(name, 1e-10)
            np.testing.assert_allclose(own[name], value, rtol=least, atol=least * nu, err_msg=f"{nu}, {name}")


def test_geometric_is_the_negative_binomial_of_size_one() -> None:
    eta, y = np.tile(np.linspace(-5, 5, 11), 4), np.repeat([0.0, 1.0, 4.0, 30.0], 11)
    one = np.ones(len(y))
    d = _core.Family("geometric", "log").derivatives(eta, y, one, one, [])
    other = _core.Family("negative_binomial", "log").derivatives(eta, y, one, one, [0.0])
    np.testing.assert_allclose(d["value"] + d["constant"], other["value"] + other["constant"], rtol=1e-12)
    for name in ("d1", "d2", "d3", "d4"):
        np.testing.assert_allclose(d[name], other[name], rtol=1e-10, atol=1e-12)


def test_generalized_poisson_is_the_poisson_at_one() -> None:
    eta, y = np.tile(np.linspace(-3, 3, 13), 4), np.repeat([0.0, 1.0, 4.0, 30.0], 13)
    one, mu = np.ones(len(y)), np.exp(eta)
    d = _core.Family("generalized_poisson", "log").derivatives(eta, y, one, one, [0.0])
    poisson = _core.Family("poisson", "log").derivatives(eta, y, one, one, [])
    for name in ("value", "constant", "d1", "d2", "d3", "d4"):
        np.testing.assert_allclose(d[name], poisson[name], rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(d["phi0_d0"], ((y - mu) ** 2 - y) / (2 * mu), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dispersion", [0.99, 0.8, 0.5, 0.2])
def test_generalized_poisson_where_it_does_not_sum_to_one(dispersion: float) -> None:
    """No density where fewer than five counts have one; otherwise little is missing, as Consul and Famoye say."""
    family, y = _core.Family("generalized_poisson", "log"), np.arange(400.0)
    own, one = 1 - dispersion**-0.5, np.ones(len(y))
    for mu in (0.1, 0.5, 1.0, 2.0, 5.0, 30.0):
        d = family.derivatives(np.log(mu) * one, y, one, one, [np.log(dispersion)])
        density = np.exp(d["value"] + d["constant"])
        theta = mu * dispersion**-0.5
        if theta + 4 * own <= 0:
            assert np.isnan(density).all()
            continue
        there = theta + own * y > 0
        assert np.isfinite(density[there]).all()
        assert np.isnan(density[~there]).all()
        assert np.nansum(density) == pytest.approx(1.0, abs=5e-3)


@pytest.mark.parametrize(
    ("family", "plain", "left"),
    [("negative_binomial_1", "poisson", "y"), ("beta_binomial", "binomial", "cbind(y, 12 - y)")],
)
@pytest.mark.parametrize("points", [1, 5])
def test_a_fit_at_the_limit(family: str, plain: str, left: str, points: int) -> None:
    """Less spread than the family has without its parameter: the maximum is there, and the fit says so."""
    data, rng = grouped(3), np.random.default_rng(4)
    if family == "beta_binomial":  # halves of a known number
        p = 1 / (1 + np.exp(-data["eta"]))
        data["y"] = (rng.random((6, 600)) < p.to_numpy()).sum(0) * 2
        data["y"] = np.clip(np.round(12 * p + 0.5 * rng.normal(size=600)), 0, 12)
    else:
        data["y"] = rng.binomial(np.maximum(1, np.ceil(2 * np.exp(data["eta"]))).astype(int), 0.5)
    results = quietly(f"{left} ~ x + (1 | g)", data, family, n_quadrature=points)
    other = quietly(f"{left} ~ x + (1 | g)", data, plain, n_quadrature=points)
    assert results.converged
    (value,) = results.family_params.values()
    assert value == (0.0 if family == "negative_binomial_1" else np.inf)
    assert results.llf == pytest.approx(other.llf, abs=1e-8)
    np.testing.assert_allclose(results.params, other.params, rtol=1e-6)
    np.testing.assert_allclose(results.bse, other.bse, rtol=1e-5)
    assert any(f"is at its limit, where it is the {plain} family" in text for text in results.warnings)
    assert results.family_parameters()[["std_error", "conf_low", "conf_high"]].isna().all(axis=None)


# ---- the truth ----------------------------------------------------------------------------------------------------

TRUTH = {
    "negative_binomial_1": -np.log(1.4),
    "beta": np.log(6.0),
    "beta_binomial": np.log(4.0),
    "generalized_poisson": np.log(2.2),
    "conway_maxwell_poisson": -np.log(0.6),
}


@pytest.mark.parametrize("family", TRUTH)
def test_the_truth_is_recovered(family: str) -> None:
    """Over eight samples estimates are the truth on average, their errors what the fits say."""
    truth, z = np.array([0.8, 0.4, 0.5, TRUTH[family]]), []
    left = "cbind(y, 8 - y)" if family == "beta_binomial" else "y"
    for seed in range(8):
        data = grouped(seed).iloc[::2].reset_index(drop=True)
        data["y"] = drawn(np.random.default_rng([seed, 5]), family, data["eta"], size=8.0, phi=(TRUTH[family],))
        results = quietly(f"{left} ~ x + (1 | g)", data, family, n_quadrature=1 if "maxwell" in family else 5)
        assert results.converged, f"seed {seed}: {results.fit.message}"
        z.append((results.fit.psi - truth) / np.sqrt(np.diag(results.fit.covariance)))
    assert np.abs(np.mean(z, axis=0)).max() < 0.8
    assert 0.6 < np.std(z) < 1.4


# ---- residuals ----------------------------------------------------------------------------------------------------


def test_residuals_of_trials_that_are_not_independent() -> None:
    data = grouped(2)
    n = np.random.default_rng(1).integers(2, 15, 600)
    data["n"] = n
    data["y"] = drawn(np.random.default_rng(2), "beta_binomial", data["eta"], size=n, phi=(np.log(3.0),))
    results = ml.fit("cbind(y, n - y) ~ x + (1 | g)", data, "beta_binomial")
    k, mu, y = results.family_params["precision"], results.predict().to_numpy(), data["y"].to_numpy()
    spread = n * mu * (1 - mu) * (n + k) / (1 + k)
    np.testing.assert_allclose(results.residuals("pearson"), (y - n * mu) / np.sqrt(spread), rtol=1e-9)
    for row in (0, 7, 33):

        def lacks(p: float, row: int = row) -> float:
            return -stats.betabinom.logpmf(y[row], n[row], p * k, (1 - p) * k)

        best = optimize.minimize_scalar(lacks, bounds=(1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-12})
        expected = 2 * (lacks(mu[row]) - min(best.fun, lacks(1e-13), lacks(1 - 1e-13)))
        assert results.residuals("deviance")[row] ** 2 == pytest.approx(expected, rel=1e-6, abs=1e-9)
        assert np.sign(results.residuals("deviance")[row]) == np.sign(y[row] - n[row] * mu[row])


# ---- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            0.0,
            r"'y' is exactly 0 in row 17 .*; this family needs numbers between 0 and 1 without these: .*ordered_beta",
        ),
        (1.0, r"'y' is exactly 1 in row 17 .*family='ordered_beta'"),
        (40.0, r"'y' is 40 in row 17 .*; this family needs numbers between 0 and 1; divide percentages by 100"),
        (-0.2, r"'y' is -0.2 in row 17 .*; this family needs numbers between 0 and 1"),
    ],
)
def test_what_is_not_between_zero_and_one_is_refused(value: float, said: str) -> None:
    data = grouped(1)
    data["y"] = drawn(np.random.default_rng(2), "beta", data["eta"])
    data.loc[17, "y"] = value
    with pytest.raises(ml.DataError, match=said):
        ml.fit("y ~ x + (1 | g)", data, "beta")


def test_single_trials_have_no_precision() -> None:
    data = grouped(1)
    data["y"] = drawn(np.random.default_rng(2), "beta_binomial", data["eta"])
    for left in ("y", "cbind(y, 1 - y)"):
        with pytest.raises(ml.DataError, match="has one trial in every row; the beta_binomial family needs several"):
            ml.fit(f"{left} ~ x + (1 | g)", data, "beta_binomial")


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("nbinom1", "negative_binomial_1"),
        ("beta_family", "beta"),
        ("betabinomial", "beta_binomial"),
        ("genpois", "generalized_poisson"),
        ("compois", "conway_maxwell_poisson"),
    ],
)
def test_names_of_other_packages(name: str, ours: str) -> None:
    with pytest.raises(ml.DataError, match=f"did you mean '{ours}'"):
        ml.Family(name)
