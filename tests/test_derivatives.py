"""Derivatives: each family's row by row, and those of the approximated log-likelihood, against differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from multilevel import _core

Array = NDArray[np.float64]
PAIRS = [(family, link) for family, links in _core.families() for link in links]
SIGMA = 0.7

# Central differences of order eight.
OFFSETS = np.array([-4, -3, -2, -1, 1, 2, 3, 4])
WEIGHTS = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 4 / 5, -1 / 5, 4 / 105, -1 / 280])


def difference(function: Callable[[float], Array], at: float, h: float) -> Array:
    """The derivative of `function` at `at`."""
    return sum(w * np.asarray(function(at + k * h)) for k, w in zip(OFFSETS, WEIGHTS, strict=True)) / h


# ---- families, row by row ----


@dataclass
class RowCase:
    """Rows that a family can take, with linear predictors in its domain."""

    eta: Array
    y: Array
    size: Array
    weights: Array
    phi: list[float]


def rows(family: str, link: str) -> RowCase:
    """Every linear predictor of a grid with several responses."""
    grid = np.linspace(-3.0, 3.0, 13)
    if (family, link) == ("binomial", "log"):
        grid = np.linspace(-4.0, -0.6, 13)
    if (family, link) in (("poisson", "identity"), ("poisson", "sqrt")):
        grid = np.linspace(0.8, 6.0, 13)
    if family == "binomial":
        responses = [(0.0, 1.0), (1.0, 1.0), (2.0, 5.0), (5.0, 5.0), (3.0, 7.0)]
    elif family == "poisson":
        responses = [(0.0, 1.0), (1.0, 1.0), (4.0, 1.0), (30.0, 1.0)]
    else:
        responses = [(-1.3, 1.0), (0.0, 1.0), (2.5, 1.0)]
    eta = np.tile(grid, len(responses))
    y = np.repeat([r[0] for r in responses], len(grid))
    size = np.repeat([r[1] for r in responses], len(grid))
    weights = np.linspace(0.5, 2.5, len(eta))
    return RowCase(eta, y, size, weights, [np.log(SIGMA)] if family == "gaussian" else [])


def log_mean(link: str, eta: Array) -> tuple[Array, Array]:
    """Logarithms of a probability and of its complement, both accurate in the tails."""
    if link == "logit":
        return special.log_expit(eta), special.log_expit(-eta)
    if link == "probit":
        return special.log_ndtr(eta), special.log_ndtr(-eta)
    if link == "cloglog":
        with np.errstate(over="ignore", divide="ignore", under="ignore"):
            mass = np.exp(eta)
            return np.where(mass < 1e-8, eta - mass / 2, np.log(-np.expm1(-mass))), -mass
    if link == "cauchit":
        with np.errstate(divide="ignore"):
            far = np.arctan(1 / np.where(eta == 0, 1.0, np.abs(eta))) / np.pi
            least = np.where(np.abs(eta) > 1, far, 0.5 - np.arctan(np.abs(eta)) / np.pi)
        return np.log(np.where(eta > 0, 1 - least, least)), np.log(np.where(eta > 0, least, 1 - least))
    with np.errstate(under="ignore"):
        return eta, np.log(-np.expm1(eta))


def log_density(
    family: str, link: str, eta: Array, y: Array, size: Array, weights: Array, sigma: float = SIGMA
) -> Array:
    """As R defines it: prior weights multiply the log density, but are the precision of a Gaussian row."""
    if family == "binomial":
        p, q = log_mean(link, eta)
        choose = special.gammaln(size + 1) - special.gammaln(y + 1) - special.gammaln(size - y + 1)
        return weights * (choose + np.where(y > 0, y * p, 0.0) + np.where(size > y, (size - y) * q, 0.0))
    if family == "poisson":
        log_mu = {
            "log": eta,
            "sqrt": 2 * np.log(np.abs(eta) + (eta == 0)),
            "identity": np.log(np.abs(eta) + (eta == 0)),
        }[link]
        with np.errstate(under="ignore"):
            return weights * (y * log_mu - np.exp(log_mu) - special.gammaln(y + 1))
    with np.errstate(under="ignore"):
        mu = eta if link == "identity" else np.exp(eta)
    return stats.norm.logpdf(y, mu, sigma / np.sqrt(weights))


def derivatives(
    family: str, link: str, case: RowCase, eta: Array | None = None, phi: list[float] | None = None
) -> dict:
    """What the core says."""
    f = _core.Family(family, link)
    eta = case.eta if eta is None else eta
    return f.derivatives(eta, case.y, case.size, case.weights, case.phi if phi is None else phi)


def assert_near(value: Array, expected: Array, tolerance: float, what: str, size: Array | float = 0.0) -> None:
    """Relative to the value, or to the size of the whole where it passes through zero."""
    floor = max(0.01 * np.max(np.abs(expected)), 1e-3 * np.max(np.abs(size)), 1e-12)
    error = np.abs(value - expected) / (np.abs(expected) + floor)
    assert error.max() < tolerance, f"{what}: error {error.max():.2g} at {int(error.argmax())}"


@pytest.mark.parametrize(("family", "link"), PAIRS)
def test_log_density(family: str, link: str) -> None:
    case = rows(family, link)
    d = derivatives(family, link, case)
    assert_near(
        d["value"] + d["constant"], log_density(family, link, case.eta, case.y, case.size, case.weights), 1e-12, "value"
    )


@pytest.mark.parametrize(("family", "link"), PAIRS)
def test_derivatives_by_eta(family: str, link: str) -> None:
    case = rows(family, link)
    d = derivatives(family, link, case)
    for order, lower in enumerate(("value", "d1", "d2", "d3"), start=1):
        expected = difference(lambda h, name=lower: derivatives(family, link, case, case.eta + h)[name], 0.0, 0.015)
        assert_near(d[f"d{order}"], expected, 1e-8, f"d{order}", size=d[lower])


@pytest.mark.parametrize(("family", "link"), [pair for pair in PAIRS if pair[0] == "gaussian"])
def test_derivatives_by_phi(family: str, link: str) -> None:
    case = rows(family, link)
    d = derivatives(family, link, case)
    at = case.phi[0]
    for order, name in enumerate(("value", "d1", "d2", "d3")):
        expected = difference(lambda p, name=name: derivatives(family, link, case, phi=[p])[name], at, 0.015)
        assert_near(d[f"phi0_d{order}"], expected, 1e-9, f"phi0_d{order}")
    for order in range(3):
        name = f"phi0_d{order}"
        expected = difference(lambda p, name=name: derivatives(family, link, case, phi=[p])[name], at, 0.015)
        assert_near(d[f"phi00_d{order}"], expected, 1e-9, f"phi00_d{order}")


@pytest.mark.parametrize(("family", "link"), PAIRS)
def test_expected_information(family: str, link: str) -> None:
    case = rows(family, link)
    f = _core.Family(family, link)
    mu = f.mean(case.eta)
    slope = difference(lambda h: f.mean(case.eta + h), 0.0, 0.01)
    precision = case.weights * case.size / (SIGMA**2 if family == "gaussian" else f.variance(mu))
    assert_near(derivatives(family, link, case)["expected_information"], precision * slope**2, 1e-9, "information")


TAIL_CASES = [
    ("binomial", "logit", (-700.0, -30.0, 30.0, 700.0)),
    ("binomial", "probit", (-700.0, -30.0, 30.0, 700.0)),
    ("binomial", "cloglog", (-700.0, -30.0, 5.0, 700.0)),
    ("binomial", "cauchit", (-1e6, -700.0, -30.0, 30.0, 700.0, 1e6)),
    ("binomial", "log", (-700.0, -30.0, -1e-6, -1e-12)),
    ("poisson", "log", (-700.0, -30.0, 30.0, 700.0)),
    ("poisson", "sqrt", (-700.0, -30.0, 30.0, 700.0, 1e-5)),
    ("poisson", "identity", (30.0, 700.0, 1e-8, 1e8)),
    ("gaussian", "log", (-700.0, -30.0, 30.0, 150.0)),
    ("gaussian", "identity", (-1e8, -30.0, 30.0, 1e8)),
]


def tail_rows(family: str, points: tuple[float, ...]) -> RowCase:
    """Each point with a response of each kind."""
    responses = {"binomial": [(0.0, 3.0), (1.0, 3.0), (3.0, 3.0)], "poisson": [(0.0, 1.0), (3.0, 1.0)]}.get(
        family, [(2.5, 1.0)]
    )
    y = np.repeat([r[0] for r in responses], len(points))
    size = np.repeat([r[1] for r in responses], len(points))
    eta = np.tile(np.array(points), len(responses))
    return RowCase(eta, y, size, np.ones(len(eta)), [np.log(SIGMA)] if family == "gaussian" else [])


@pytest.mark.parametrize(("family", "link", "points"), TAIL_CASES)
def test_tails_are_finite_and_accurate(family: str, link: str, points: tuple[float, ...]) -> None:
    case = tail_rows(family, points)
    d = derivatives(family, link, case)
    expected = log_density(family, link, case.eta, case.y, case.size, case.weights)
    value = d["value"] + d["constant"]
    np.testing.assert_allclose(value, expected, rtol=1e-11, atol=1e-13)
    for name in ("d1", "d2", "d3", "d4", "expected_information"):
        assert np.isfinite(d[name]).all(), f"{name}: {d[name]}"
    assert (d["expected_information"] >= 0).all()


def slope_in_tails(link: str, case: RowCase) -> tuple[Array, Array]:
    """First derivative and expected information of a binomial row, from logarithms."""
    eta = case.eta
    p, q = log_mean(link, eta)
    with np.errstate(under="ignore", over="ignore"):
        log_slope = {
            "logit": p + q,
            "probit": -0.5 * eta**2 - 0.5 * np.log(2 * np.pi),
            "cloglog": eta - np.exp(eta),
            "cauchit": -np.log1p(eta**2) - np.log(np.pi),
            "log": eta,
        }[link]
        information = case.size * np.exp(2 * log_slope - p - q)
        # Both logarithms are huge where the complement vanishes as fast as the slope.
        hazard = np.exp(log_slope - q) if link != "cloglog" else np.exp(eta)
        first = np.where(case.y > 0, case.y * np.exp(log_slope - p), 0.0) - np.where(
            case.size > case.y, (case.size - case.y) * hazard, 0.0
        )
    return first, information


@pytest.mark.parametrize(("family", "link", "points"), [c for c in TAIL_CASES if c[0] == "binomial"])
def test_first_derivative_in_the_tails(family: str, link: str, points: tuple[float, ...]) -> None:
    case = tail_rows(family, points)
    first, _ = slope_in_tails(link, case)
    np.testing.assert_allclose(derivatives(family, link, case)["d1"], first, rtol=1e-10, atol=1e-300)


@pytest.mark.parametrize(("family", "link", "points"), [c for c in TAIL_CASES if c[0] == "binomial"])
def test_expected_information_in_the_tails(family: str, link: str, points: tuple[float, ...]) -> None:
    case = tail_rows(family, tuple(p for p in points if abs(p) <= 30))
    _, information = slope_in_tails(link, case)
    np.testing.assert_allclose(
        derivatives(family, link, case)["expected_information"], information, rtol=1e-6, atol=1e-300
    )


def test_second_derivative_in_the_tails_of_probit() -> None:
    # d2 log Phi(x) = -r (x + r), r = phi / Phi; for x << 0 it tends to -1 as -1 + 1/x^2 - 6/x^4.
    eta = np.array([-700.0, -100.0, -30.0])
    d = _core.Family("binomial", "probit").derivatives(eta, np.ones(3), np.ones(3), np.ones(3), [])
    np.testing.assert_allclose(d["d2"], -1 + eta**-2 - 6 * eta**-4, rtol=1e-6)


@pytest.mark.parametrize(
    ("family", "link", "eta", "y"),
    [
        ("binomial", "log", 0.1, 0.0),
        ("binomial", "log", 0.1, 1.0),
        ("poisson", "identity", -0.1, 0.0),
        ("poisson", "identity", -0.1, 2.0),
    ],
)
def test_outside_the_domain_there_is_no_density(family: str, link: str, eta: float, y: float) -> None:
    one = np.ones(1)
    value = _core.Family(family, link).derivatives(eta * one, y * one, one, one, [])["value"]
    assert not np.isfinite(value).any()


@pytest.mark.parametrize(("family", "link"), PAIRS)
def test_link_inverts_mean(family: str, link: str) -> None:
    f = _core.Family(family, link)
    eta = rows(family, link).eta
    np.testing.assert_allclose(f.link_of_mean(f.mean(eta)), eta, rtol=1e-9, atol=1e-9)


# ---- the approximated log-likelihood ----

# (q, points, structure)
SHAPES = [
    (0, 1, "unstructured"),
    (1, 1, "unstructured"),
    (1, 2, "unstructured"),
    (1, 5, "unstructured"),
    (2, 1, "unstructured"),
    (2, 3, "unstructured"),
    (2, 4, "diagonal"),
    (3, 1, "unstructured"),
    (3, 2, "unstructured"),
    (3, 3, "diagonal"),
]


def simulated(family: str, link: str, q: int, structure: str) -> tuple[_core.Model, Array, Array]:
    """A small model with weights or trials and an offset, its response, and parameters near those that made it."""
    rng = np.random.default_rng([7, q, len(link), len(family)])
    clusters, per_cluster = 12, 9
    n = clusters * per_cluster
    codes = np.repeat(np.arange(clusters), per_cluster).astype(np.int32)
    x, z, z2 = rng.normal(size=(3, n))
    b = rng.normal(size=(clusters, 3)) * 0.4
    eta = 0.3 + 0.3 * x + b[codes, 0] + (b[codes, 1] * z if q > 1 else 0) + (b[codes, 2] * z2 if q > 2 else 0)
    size = weights = None
    offset: Array | None = rng.normal(size=n) * 0.1
    beta, scale = [0.3, 0.2], 0.4
    if family == "binomial":
        size = rng.integers(1, 5, n).astype(float)
        if link == "log":
            eta, offset, beta, scale = -1.2 + 0.1 * x + 0.1 * b[codes, 0], None, [-1.3, 0.05], 0.15
        y = rng.binomial(
            size.astype(int), np.clip(_core.Family(family, link).mean(np.ascontiguousarray(eta)), 0, 1)
        ).astype(float)
    elif family == "poisson":
        weights = rng.integers(1, 4, n).astype(float)
        if link == "sqrt":
            eta, offset, beta = 3 + eta, None, [3.3, 0.2]
        if link == "identity":
            eta, offset, beta = 10 + eta, None, [10.0, 0.3]
        y = rng.poisson(_core.Family(family, link).mean(np.ascontiguousarray(eta))).astype(float)
    else:
        weights = rng.uniform(0.5, 2, n)
        y = _core.Family(family, link).mean(np.ascontiguousarray(eta)) + rng.normal(size=n) * 0.5
    terms = [(0, [None, z, z2][:q], structure)] if q else []
    model = _core.Model(
        family, link, n, size, weights, offset, [None, x], [codes] if q else [], [clusters] if q else [], terms, 1
    )
    if structure == "diagonal":
        theta = [1.0, 0.8, 0.6][:q]
    else:
        theta = [[], [1.0], [1.0, 0.1, 0.7], [1.0, 0.1, -0.2, 0.7, 0.15, 0.5]][q]
    phi = [-0.5] if family == "gaussian" else []
    return model, y, np.array([*beta, *(scale * t for t in theta), *phi])


@pytest.mark.parametrize(("q", "points", "structure"), SHAPES)
@pytest.mark.parametrize(("family", "link"), PAIRS)
def test_gradient_and_hessian(family: str, link: str, q: int, points: int, structure: str) -> None:
    model, y, psi = simulated(family, link, q, structure)
    value, gradient, hessian = _core.evaluate(model, y, psi, points, 1)
    assert np.isfinite(value)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-10, atol=1e-9)
    for k in range(len(psi)):
        moved = psi.copy()

        def at(v: float, k: int = k, moved: Array = moved) -> Array:
            moved[k] = v
            f, g, _ = _core.evaluate(model, y, moved, points, 1)
            return np.array([f, *g])

        expected = difference(at, psi[k], 1e-3)
        assert abs(gradient[k] - expected[0]) < 1e-8 * (1 + np.abs(gradient).max()), f"gradient[{k}]"
        assert np.abs(hessian[:, k] - expected[1:]).max() < 1e-8 * (1 + np.abs(hessian).max()), f"hessian[:, {k}]"


@pytest.mark.parametrize("q", [4, 6, 7, 12, 13, 17])
@pytest.mark.parametrize(("family", "link"), [("binomial", "logit"), ("gaussian", "log")])
def test_many_random_effects(family: str, link: str, q: int) -> None:
    # Each range of sizes has its own way to multiply: the derivatives along a random direction.
    rng = np.random.default_rng([9, q])
    clusters, per_cluster = 6, 25
    n = clusters * per_cluster
    codes = np.repeat(np.arange(clusters), per_cluster).astype(np.int32)
    z = rng.normal(size=(q, n))
    y = rng.binomial(1, 0.5, n).astype(float) if family == "binomial" else np.exp(rng.normal(size=n) * 0.2)
    term = (0, [None, *z[1:]], "unstructured")
    model = _core.Model(family, link, n, None, None, None, [None, z[1]], [codes], [clusters], [term], 1)
    factor = np.linalg.cholesky(0.15 * np.eye(q) + 0.05)
    theta = np.concatenate([factor[c:, c] for c in range(q)])
    psi = np.concatenate([[0.1, 0.2], theta, [-0.5] if family == "gaussian" else []])
    direction = rng.normal(size=len(psi)) / np.sqrt(len(psi))
    _, gradient, hessian = _core.evaluate(model, y, psi, 1, 1)

    def at(step: float) -> Array:
        value, slope, _ = _core.evaluate(model, y, psi + step * direction, 1, 1)
        return np.array([value, *slope])

    expected = difference(at, 0.0, 3e-3)
    assert gradient @ direction == pytest.approx(expected[0], rel=1e-8, abs=1e-8)
    np.testing.assert_allclose(hessian @ direction, expected[1:], rtol=1e-7, atol=1e-7 * np.abs(hessian).max())


@pytest.mark.parametrize(("family", "link"), PAIRS)
def test_log_likelihood_is_even_in_a_column(family: str, link: str) -> None:
    # Lambda and Lambda diag(+-1) are one covariance matrix.
    model, y, psi = simulated(family, link, 2, "unstructured")
    turned = psi.copy()
    turned[2:4] *= -1
    value, gradient, _ = _core.evaluate(model, y, psi, 4, 1)
    value_turned, gradient_turned, _ = _core.evaluate(model, y, turned, 4, 1)
    assert value == pytest.approx(value_turned, rel=1e-12)
    np.testing.assert_allclose(gradient_turned[2:4], -gradient[2:4], rtol=1e-8, atol=1e-8)
