"""Responses of which a range is known: density, derivatives, likelihood and fits of a censored family."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import integrate, optimize, stats

from multilevel import _core

from .family_cases import CASES, PAIRS, Phi, mean_of
from .reference_files import read_data, read_numbers
from .test_derivatives import assert_near, difference

Array = NDArray[np.float64]
EXACT = json.loads((Path(__file__).parent / "reference" / "exact_densities.json").read_text(encoding="utf-8"))

# the response and the other end of its range
RANGES = [(0.4, 0.4), (0.7, -np.inf), (0.7, np.inf), (-0.5, 1.1), (1.0, 1.001), (2.0, 30.0), (-40.0, -0.2)]
PHI = [(np.log(0.7),), (np.log(0.05),), (np.log(30.0),)]
LINKS = ["identity", "log"]
LOOSE = 1e-4  # of the highest derivatives: a range of 3e-5 standard deviations is among the ranges


def log_density(link: str, eta: Array, y: Array, other: Array, weights: Array, phi: tuple[float, ...]) -> Array:
    """By SciPy, from the side on which there is less."""
    normal = stats.norm(eta if link == "identity" else np.exp(eta), np.exp(phi[0]))
    high = np.where(np.isfinite(other), other, y)
    above = y + high > 2 * normal.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.where(above, normal.logsf(y), normal.logcdf(high))
        far = np.where(above, normal.logsf(high), normal.logcdf(y))
        between = near + np.log(-np.expm1(far - near))
    value = np.select(
        [y == other, np.isneginf(other), np.isposinf(other)],
        [normal.logpdf(y), normal.logcdf(y), normal.logsf(y)],
        between,
    )
    return weights * value


def rows(points: Array) -> tuple[Array, ...]:
    eta = np.tile(points, len(RANGES))
    y, other = (np.repeat([r[k] for r in RANGES], len(points)) for k in (0, 1))
    return eta, y, other, np.linspace(0.5, 2.5, len(eta))


@pytest.mark.parametrize("phi", PHI)
@pytest.mark.parametrize("link", LINKS)
def test_density_and_derivatives(link: str, phi: tuple[float, ...]) -> None:
    f = _core.Family("censored_gaussian", link)
    eta, *rest = rows(np.linspace(-3, 2, 13) if link == "identity" else np.linspace(-2, 1, 13))

    def at(by_eta: float = 0.0, by_phi: float = 0.0) -> dict[str, Array]:
        return f.derivatives(eta + by_eta, *rest, [phi[0] + by_phi])

    d = at()
    np.testing.assert_allclose(d["value"] + d["constant"], log_density(link, eta, *rest, phi), rtol=1e-10, atol=1e-13)
    assert (d["expected_information"] >= 0).all()
    scale = np.exp(phi[0]) if link == "identity" else min(1.0, 0.3 * np.exp(phi[0]))
    kinds = [np.isfinite(rest[1]) & (rest[0] != rest[1]), ~np.isfinite(rest[1]) | (rest[0] == rest[1])]
    for lower, name in (("value", "d1"), ("d1", "d2"), ("d2", "d3"), ("d3", "d4")):
        expected = difference(lambda h, lower=lower: at(by_eta=h)[lower], 0.0, 0.01 * scale)
        whole = d["d2"] / scale ** (int(name[1]) - 2)  # of which a normal density has no more derivatives
        for kind in kinds:  # what is left between two ends has fewer digits
            assert_near(d[name][kind], expected[kind], LOOSE if name == "d4" else 1e-6, name, size=whole[kind])
    for order, lower in enumerate(("value", "d1", "d2", "d3")):
        expected = difference(lambda h, lower=lower: at(by_phi=h)[lower], 0.0, 0.01)
        for kind in kinds:
            assert_near(
                d[f"phi0_d{order}"][kind],
                expected[kind],
                LOOSE if order == 3 else 1e-6,
                f"phi0_d{order}",
                size=d[lower][kind],
            )
    for order in range(3):
        expected = difference(lambda h, order=order: at(by_phi=h)[f"phi0_d{order}"], 0.0, 0.01)
        for kind in kinds:
            name = f"phi0_0_d{order}"
            assert_near(
                d[name][kind], expected[kind], LOOSE if order == 2 else 1e-6, name, size=d[f"phi0_d{order}"][kind]
            )
    if link == "identity":
        assert f.log_concave
        assert (d["d2"] <= 0).all()
    bound = f.supremum(*rest, list(phi))
    assert (d["value"] <= bound + 1e-12).all()


def test_far_out() -> None:
    """Where nearly all or nearly nothing lies beyond the ends."""
    f = _core.Family("censored_gaussian", "identity")
    eta, *rest = rows(np.array([-300.0, -30.0, 30.0, 300.0]))
    d = f.derivatives(eta, *rest, [0.0])
    for name, values in d.items():
        assert np.isfinite(values).all(), name
    np.testing.assert_allclose(
        d["value"] + d["constant"], log_density("identity", eta, *rest, (0.0,)), rtol=1e-11, atol=1e-200
    )


def with_tails() -> list[tuple[str, str, Phi]]:
    """Every family of the registry that has a distribution function."""
    return [
        (family, link, phi)
        for family, link in PAIRS
        if "censored" in _core.Family(family, link).modifiers
        for phi in CASES[family].phi
    ]


@pytest.mark.parametrize(("family", "link", "phi"), with_tails())
def test_against_the_integral_of_the_density(family: str, link: str, phi: Phi) -> None:
    case, eta = CASES[family], 0.3
    all_of = case.outcomes(float(mean_of(family, link, np.array([eta]))[0]), phi)
    one = np.ones(len(all_of.y))
    with np.errstate(under="ignore"):
        share = np.cumsum(all_of.weight * np.exp(case.log_density(link, eta * one, all_of.y, one, one, phi)))
    low, middle, high = (float(all_of.y[np.searchsorted(share, p)]) for p in (0.05, 0.5, 0.95))

    positive = all_of.y[0] > 0  # the integral is over log y then, else over arsinh y, as tails may be heavy

    def density(t: float) -> float:
        at, y, slope = np.ones(1), np.exp(t) if positive else np.sinh(t), np.exp(t) if positive else np.cosh(t)
        return float(np.exp(case.log_density(link, eta * at, y * at, at, at, phi))[0]) * slope

    def between(a: float, b: float) -> float:
        pieces = [
            max(a, float(all_of.y[0])),
            *(q for q in (low, middle, high) if a < q < b),
            min(b, float(all_of.y[-1])),
        ]
        to = np.log if positive else np.arcsinh
        return sum(integrate.quad(density, *to(ends), epsabs=0, epsrel=1e-11)[0] for ends in pairwise(pieces))

    ranges = [(q, end) for q in (low, middle, high) for end in (-np.inf, np.inf)]
    ranges += [(low, middle), (middle, high), (low, high)]
    y, other = np.array(ranges).T
    expected = [between(*sorted(ends)) for ends in ranges]
    f, n = _core.Family(f"censored_{family}", link), len(ranges)

    def at(by_eta: float = 0.0, by_phi: dict[int, float] | None = None) -> dict[str, Array]:
        moved = [v + (by_phi or {}).get(r, 0.0) for r, v in enumerate(phi)]
        return f.derivatives(np.full(n, eta + by_eta), y, other, np.ones(n), moved)

    d = at()
    np.testing.assert_allclose(np.exp(d["value"]), expected, rtol=1e-8)
    for lower, name in (("value", "d1"), ("d1", "d2"), ("d2", "d3"), ("d3", "d4")):
        numbers = difference(lambda h, lower=lower: at(by_eta=h)[lower], 0.0, 0.006)
        assert_near(d[name], numbers, 1e-8, name, size=d[lower])
    for r in range(len(phi)):
        for order, lower in enumerate(("value", "d1", "d2", "d3")):
            numbers = difference(lambda h, lower=lower, r=r: at(by_phi={r: h})[lower], 0.0, 0.006)
            assert_near(d[f"phi{r}_d{order}"], numbers, 1e-8, f"phi{r}_d{order}", size=d[lower])
        for s in range(r + 1):
            for order in range(3):
                first, second = f"phi{r}_d{order}", f"phi{r}_{s}_d{order}"
                numbers = difference(lambda h, first=first, s=s: at(by_phi={s: h})[first], 0.0, 0.006)
                assert_near(d[second], numbers, 1e-8, second, size=d[first])


@pytest.mark.parametrize("row", EXACT["student_t_tail"], ids=lambda row: f"{row['eta']}-{np.exp(row['log_df']):.3g}")
def test_tail_of_student_in_fifty_digits(row: dict[str, Any]) -> None:
    """Made by reference/exact_densities.py; both tails and between. Far out each derivative leaves fewer digits."""
    eta, phi = np.full(1, row["eta"]), [0.0, row["log_df"]]
    found = _core.Family("censored_student_t", "identity").derivatives(
        eta, np.zeros(1), np.full(1, -np.inf), np.ones(1), phi
    )
    for name, value in row["expected"].items():
        order = 0 if name == "value" else int(name[-1]) + name.count("1_")
        assert found[name][0] == pytest.approx(value, rel=1e-13 * 30**order, abs=1e-14), name


def marginal(data: pd.DataFrame, psi: Array) -> float:
    """Of a random intercept, by Gauss-Hermite quadrature with many points."""
    x, w = np.polynomial.hermite_e.hermegauss(101)
    total = 0.0
    for _, own in data.groupby("g"):
        eta = psi[0] + psi[1] * own["x"].to_numpy()[:, None] + psi[2] * x
        full = np.ones_like(eta)
        ends = own["y"].to_numpy()[:, None] * full, own["other"].to_numpy()[:, None] * full
        log_f = log_density("identity", eta, *ends, full, (psi[3],)).sum(axis=0)
        total += np.logaddexp.reduce(log_f + np.log(w)) - 0.5 * np.log(2 * np.pi)
    return total


def model_of(data: pd.DataFrame) -> _core.Model:
    codes = data["g"].to_numpy(np.int32)
    return _core.Model(
        "censored_gaussian", "identity", len(data), data["other"].to_numpy(), None, None, [None, data["x"].to_numpy()],
        [codes], [int(codes.max()) + 1], [(0, [None], "unstructured")], 1,
    )  # fmt: skip


def simulated() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"g": np.repeat(np.arange(25), 8), "x": rng.normal(size=200)})
    y = 0.5 + 0.6 * data["x"] + 0.8 * rng.normal(size=25)[data["g"]] + 0.7 * rng.normal(size=200)
    kind = rng.integers(0, 4, 200)
    data["y"] = np.select([kind == 3, kind == 1, kind == 2], [np.floor(y), y + 0.5, y - 0.5], y)
    data["other"] = np.select([kind == 3, kind == 1, kind == 2], [np.floor(y) + 1, -np.inf, np.inf], y)
    return data


def test_likelihood_and_maximum() -> None:
    data = simulated()
    y, model = data["y"].to_numpy(), model_of(data)
    psi = np.array([0.4, 0.5, 0.6, np.log(0.8)])
    value, gradient, hessian = _core.evaluate(model, y, psi, 25, 1)
    assert value == pytest.approx(marginal(data, psi), abs=1e-7)
    for k in range(4):

        def moved(v: float, k: int = k) -> Array:
            at = psi.copy()
            at[k] = v
            f, g, _ = _core.evaluate(model, y, at, 1, 1)
            return np.array([f, *g])

        _, gradient, hessian = _core.evaluate(model, y, psi, 1, 1)
        expected = difference(moved, psi[k], 1e-3)
        assert gradient[k] == pytest.approx(expected[0], abs=1e-7)
        np.testing.assert_allclose(hessian[:, k], expected[1:], atol=1e-6)
    fit = _core.fit(model, y, n_quadrature=25, threads=1, check_quadrature=False)
    assert fit.ending == "converged"
    best = optimize.minimize(lambda p: -marginal(data, p), fit.psi + 0.05, method="BFGS", options={"gtol": 1e-5})
    assert fit.loglik == pytest.approx(-best.fun, abs=1e-7)
    np.testing.assert_allclose(fit.psi, best.x, atol=2e-4)


def test_without_censoring_it_is_the_family() -> None:
    data = simulated()
    y = data["y"].to_numpy()
    data["other"] = y
    codes = data["g"].to_numpy(np.int32)
    terms = [(0, [None], "unstructured")]
    plain = _core.Model(
        "gaussian", "identity", 200, None, None, None, [None, data["x"].to_numpy()], [codes], [25], terms, 1
    )
    ours, theirs = (_core.fit(m, y, threads=1, check_quadrature=False) for m in (model_of(data), plain))
    assert ours.loglik == pytest.approx(theirs.loglik, abs=1e-8)
    np.testing.assert_allclose(ours.psi, theirs.psi, atol=1e-5)


def test_rows_that_only_bound_the_mean_separate() -> None:
    """All that is known is that every response lies above something: the mean has no bound."""
    data = simulated().assign(other=np.inf)
    fit = _core.fit(model_of(data), data["y"].to_numpy(), threads=1, check_quadrature=False)
    assert fit.ending != "converged"


@pytest.mark.parametrize(("key", "points"), [("intercept_laplace", 1), ("intercept_agq25", 25), ("slope_agq15", 15)])
def test_tobit(key: str, points: int) -> None:
    """tobit_sim: zeros stand for what lies below."""
    theirs, data = read_numbers("tobit_sim")["fits"][key], read_data("tobit_sim")
    codes, labels = pd.factorize(data["g"])
    y, x = data["y"].to_numpy(float), data["x"].to_numpy()
    random = [None, x] if "slope" in key else [None]
    model = _core.Model(
        "censored_gaussian", "identity", len(y), np.where(y == 0, -np.inf, y), None, None,
        [None, x, (data["trt"] == "b").to_numpy(float)], [codes.astype(np.int32)], [len(labels)],
        [(0, random, "unstructured")], 1,
    )  # fmt: skip
    ours = _core.fit(model, y, n_quadrature=points, threads=1, check_quadrature=False)
    assert ours.ending == "converged"
    assert ours.loglik == pytest.approx(theirs["logLik"], abs=5e-8)
    np.testing.assert_allclose(ours.psi[:3], [row["estimate"] for row in theirs["fixed"]], atol=1e-5)
    assert ours.psi[-1] == pytest.approx(theirs["extra"][0]["estimate"], abs=1e-5)
    if theirs["software"]["package"].startswith("own") and points > 1:
        np.testing.assert_allclose(ours.covariance[:3, :3], np.array(theirs["vcov_all"])[:3, :3], rtol=1e-3)
