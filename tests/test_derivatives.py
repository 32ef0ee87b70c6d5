"""Derivatives: each family's row by row, and those of the approximated log-likelihood, against differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

import multilevel as ml
from multilevel import _core

from .family_cases import CASES, PAIRS, Phi, mean_of, name_of, settings
from .family_densities import log_probabilities

Array = NDArray[np.float64]

# Central differences of order eight.
OFFSETS = np.array([-4, -3, -2, -1, 1, 2, 3, 4])
WEIGHTS = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 4 / 5, -1 / 5, 4 / 105, -1 / 280])


def difference(function: Callable[[float], Array], at: float, h: float) -> Array:
    """The derivative of `function` at `at`."""
    return sum(w * np.asarray(function(at + k * h)) for k, w in zip(OFFSETS, WEIGHTS, strict=True)) / h


def differences(function: Callable[[float], dict[str, Array]], at: float, h: float) -> dict[str, Array]:
    """The derivatives of all that `function` has names for, from as many calls as one of them needs."""
    near = [function(at + k * h) for k in OFFSETS]
    return {name: sum(w * d[name] for w, d in zip(WEIGHTS, near, strict=True)) / h for name in near[0]}


# ---- families, row by row ----


@dataclass
class RowCase:
    """Rows that a family can take, with linear predictors in its domain."""

    eta: Array
    y: Array
    size: Array
    weights: Array
    phi: Phi


def rows(family: str, link: str, phi: Phi | None = None, grid: Array | None = None) -> RowCase:
    """Every linear predictor of a grid with several responses."""
    case = CASES[family]
    grid = case.grids[link] if grid is None else grid
    eta = np.tile(grid, len(case.responses))
    y = np.repeat([r[0] for r in case.responses], len(grid))
    size = np.repeat([r[1] for r in case.responses], len(grid))
    return RowCase(eta, y, size, np.linspace(0.5, 2.5, len(eta)), case.phi[0] if phi is None else phi)


def log_density(family: str, link: str, case: RowCase) -> Array:
    """Without the core."""
    return CASES[family].log_density(link, case.eta, case.y, case.size, case.weights, case.phi)


def derivatives(
    family: str, link: str, case: RowCase, eta: Array | None = None, phi: Phi | None = None, order: str = "full"
) -> dict:
    """What the core says."""
    f = _core.Family(family, link)
    eta = case.eta if eta is None else eta
    return f.derivatives(eta, case.y, case.size, case.weights, list(case.phi if phi is None else phi), order)


def assert_near(value: Array, expected: Array, tolerance: float, what: str, size: Array | float = 0.0) -> None:
    """Relative to the value, or to the size of the whole where it passes through zero."""
    floor = max(0.01 * np.max(np.abs(expected)), 1e-3 * np.max(np.abs(size)), 1e-12)
    error = np.abs(value - expected) / (np.abs(expected) + floor)
    assert error.max() < tolerance, f"{what}: error {error.max():.2g} at {int(error.argmax())}"


@pytest.mark.parametrize(("family", "link", "phi"), settings(extreme=True), ids=name_of)
def test_log_density(family: str, link: str, phi: Phi) -> None:
    case = rows(family, link, phi)
    d = derivatives(family, link, case)
    assert_near(d["value"] + d["constant"], log_density(family, link, case), 1e-12, "value")


@pytest.mark.parametrize(("family", "link", "phi"), settings(extreme=True), ids=name_of)
def test_derivatives_by_eta(family: str, link: str, phi: Phi) -> None:
    case = rows(family, link, phi)
    d = derivatives(family, link, case)
    near = differences(lambda h: derivatives(family, link, case, case.eta + h), 0.0, CASES[family].step)
    for order, lower in enumerate(("value", "d1", "d2", "d3"), start=1):
        assert_near(d[f"d{order}"], near[lower], 1e-8, f"d{order}", size=d[lower])


@pytest.mark.parametrize(("family", "link", "phi"), [s for s in settings(extreme=True) if s[2]], ids=name_of)
def test_derivatives_by_phi(family: str, link: str, phi: Phi) -> None:
    """Of every parameter, and of every pair of them."""
    case = rows(family, link, phi)
    d = derivatives(family, link, case)

    def at(r: int, p: float) -> dict[str, Array]:
        return derivatives(family, link, case, phi=(*phi[:r], p, *phi[r + 1 :]))

    by = [differences(partial(at, r), phi[r], CASES[family].step) for r in range(len(phi))]
    # far out a density hardly depends on phi, and what differences of it lose is relative to its own size
    far = float(phi in CASES[family].extreme)
    for r in range(len(phi)):
        for order, name in enumerate(("value", "d1", "d2", "d3")):
            assert_near(d[f"phi{r}_d{order}"], by[r][name], 1e-9, f"phi{r}_d{order}", size=far * d[name])
        for other in range(r + 1):
            for order, name in enumerate(("value", "d1", "d2")):
                second = f"phi{r}_{other}_d{order}"
                size = np.abs(far * d[name])
                if other != r:  # what one parameter does may have nothing to do with another
                    size = np.maximum(size, np.abs(d[f"phi{r}_d{order}"]))
                assert_near(d[second], by[other][f"phi{r}_d{order}"], 1e-9, second, size=size)


@pytest.mark.parametrize(("family", "link", "phi"), settings(extreme=True), ids=name_of)
def test_orders_agree(family: str, link: str, phi: Phi) -> None:
    """Each order may be computed in its own way."""
    case = rows(family, link, phi)
    full = derivatives(family, link, case)
    for order, highest in (("step", 3), ("node", 3 + 2 * len(phi) + len(phi) * (len(phi) + 1) // 2)):
        own = derivatives(family, link, case, order=order)
        assert len(own) == highest + 2  # with prepare()'s constant and the expected information
        for name, values in own.items():
            assert_near(values, full[name], 1e-10, f"{order}: {name}", size=full["value"])
    with pytest.raises(ValueError, match="order"):
        derivatives(family, link, case, order="all")


@pytest.mark.parametrize("precision", [1e-8, 1e-3, 0.7, 8.0, 15.0, 150.0])
def test_beta_against_polygamma_functions(precision: float) -> None:
    """Of means and responses that are nearly zero or one, too."""
    eta, y = (x.ravel() for x in np.meshgrid([-23.0, -3.0, 0.2, 4.0, 18.0], [1e-10, 0.03, 0.5, 0.999, 1 - 1e-12]))
    one = np.ones_like(eta)
    mu, rest = special.expit(eta), special.expit(-eta)
    a, b, g1 = mu * precision, rest * precision, mu * rest
    logit = np.log(y) - np.log1p(-y)
    away = logit - special.digamma(a) + special.digamma(b)
    slope = precision * g1 * away
    expected = {
        "value": special.gammaln(precision) - special.gammaln(a) - special.gammaln(b) + a * logit
        + precision * np.log1p(-y),
        "d1": slope,
        "d2": slope * (rest - mu) - (precision * g1) ** 2 * (special.polygamma(1, a) + special.polygamma(1, b)),
        "phi0_d0": precision * special.digamma(precision) - a * special.digamma(a) - b * special.digamma(b) + a * logit
        + precision * np.log1p(-y),
    }  # fmt: skip
    for order in ("step", "node", "full"):
        d = _core.Family("beta", "logit").derivatives(eta, y, one, one, [np.log(precision)], order)
        for name in set(expected) & set(d):
            scale = 1 + precision * np.maximum(1, np.abs(logit))  # terms of that size cancel in the formulas above
            assert np.max(np.abs(d[name] - expected[name]) / (scale + np.abs(expected[name]))) < 3e-14, (order, name)


@pytest.mark.parametrize("shape", [1e8, 1e12])
def test_gamma_of_a_large_shape_keeps_its_digits(shape: float) -> None:
    """Close to the mean, where r = y / mu is one for all purposes but this."""
    z = np.linspace(-3, 3, 13)
    eta, one = np.full(13, 0.7), np.ones(13)
    log_ratio = z / np.sqrt(shape)
    y = np.exp(0.7 + log_ratio)
    d = _core.Family("gamma", "log").derivatives(eta, y, one, one, [np.log(shape)])
    exact = np.log(y) - 0.7  # what is left of it in y
    expected = -shape * (exact**2 / 2 + exact**3 / 6 + exact**4 / 24) + 0.5 * np.log(shape / (2 * np.pi))
    np.testing.assert_allclose(d["value"], expected, atol=1e-7)


@pytest.mark.parametrize("size", [1e6, 1e8, 1e10, 1e12])
@pytest.mark.parametrize("link", ["log", "identity"])
def test_negative_binomial_close_to_the_poisson(link: str, size: float) -> None:
    """Its log density is the Poisson's + ((y - mu)^2 - y) / (2 size), up to mu^3 / size^2: to the last digits, both."""
    case = rows("negative_binomial", link, (np.log(size),))
    d = derivatives("negative_binomial", link, case)
    poisson = derivatives("poisson", link, case, phi=())
    mu = _core.Family("poisson", link).mean(case.eta)
    more = case.weights * ((case.y - mu) ** 2 - case.y) / (2 * size)
    rounding = 1e-13 * (1 + mu + case.y * (1 + np.abs(np.log(mu))))
    beyond = 10 * (1 + mu + case.y) ** 3 / size**2
    assert (
        np.abs(d["value"] + d["constant"] - poisson["value"] - poisson["constant"] - more) < rounding + beyond
    ).all()
    assert (np.abs(d["phi0_d0"] + more) < rounding + beyond).all()
    assert (np.abs(d["phi0_0_d0"] - more) < rounding + beyond).all()
    for name in ("d1", "d2", "d3", "d4"):
        scale = 1 + np.abs(poisson[name]).max()
        assert (np.abs(d[name] - poisson[name]) < scale * (1e-13 + 100 * (1 + mu + case.y) / size)).all()


PRECISE = [setting for setting in settings(extreme=True) if CASES[setting[0]].precise_mean]  # others: test_family.py


@pytest.mark.parametrize(("family", "link", "phi"), PRECISE, ids=name_of)
def test_expected_information(family: str, link: str, phi: Phi) -> None:
    if not CASES[family].mean_of_all:
        return
    case = rows(family, link, phi)
    f = _core.Family(family, link)
    mu = f.mean(case.eta)
    slope = difference(lambda h: f.mean(case.eta + h), 0.0, 0.01)
    ratio = f.variance_ratio(case.size, list(phi))
    precision = case.weights * case.size / (f.dispersion(list(phi)) * f.variance(mu, list(phi)) * ratio)
    assert_near(derivatives(family, link, case)["expected_information"], precision * slope**2, 1e-9, "information")


TAIL_CASES = [
    (family, link, phi, CASES[family].tails[link])
    for family, link, phi in settings(extreme=True)
    if family != "gaussian" or phi == CASES[family].phi[0]
]


def tail_rows(family: str, points: tuple[float, ...], phi: Phi = ()) -> RowCase:
    """Each point with a response of each kind."""
    kinds = {
        "trials": [(0.0, 3.0), (1.0, 3.0), (3.0, 3.0)],
        "counts": [(0.0, 1.0), (3.0, 1.0)],
        "nonnegative": [(0.0, 1.0), (2.5, 1.0)],
        "open unit": [(0.2, 1.0), (0.9, 1.0)],
        "closed unit": [(0.0, 1.0), (0.2, 1.0), (1.0, 1.0)],
    }
    responses = kinds.get(ml.Family(family).support, [(2.5, 1.0)])
    y = np.repeat([r[0] for r in responses], len(points))
    size = np.repeat([r[1] for r in responses], len(points))
    eta = np.tile(np.array(points), len(responses))
    return RowCase(eta, y, size, np.ones(len(eta)), phi)


@pytest.mark.parametrize(("family", "link", "phi", "points"), TAIL_CASES, ids=name_of)
def test_tails_are_finite_and_accurate(family: str, link: str, phi: Phi, points: tuple[float, ...]) -> None:
    case = tail_rows(family, points, phi)
    d = derivatives(family, link, case)
    expected = log_density(family, link, case)
    value = d["value"] + d["constant"]
    np.testing.assert_allclose(value, expected, rtol=1e-11, atol=1e-13)
    by_phi = [name for name in d if name.startswith("phi")]
    for name in ("d1", "d2", "d3", "d4", "expected_information", *by_phi):
        assert np.isfinite(d[name]).all(), f"{name}: {d[name]}"
    assert (d["expected_information"] >= 0).all()


BINOMIAL_TAILS = [(family, link, points) for family, link, _, points in TAIL_CASES if family == "binomial"]


def slope_in_tails(link: str, case: RowCase) -> tuple[Array, Array]:
    """First derivative and expected information of a binomial row, from logarithms."""
    eta = case.eta
    p, q = log_probabilities(link, eta)
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


@pytest.mark.parametrize(("family", "link", "points"), BINOMIAL_TAILS)
def test_first_derivative_in_the_tails(family: str, link: str, points: tuple[float, ...]) -> None:
    case = tail_rows(family, points)
    first, _ = slope_in_tails(link, case)
    np.testing.assert_allclose(derivatives(family, link, case)["d1"], first, rtol=1e-10, atol=1e-300)


@pytest.mark.parametrize(("family", "link", "points"), BINOMIAL_TAILS)
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


EDGES = [(family, link, eta) for family, case in CASES.items() for link, eta in case.outside.items()]


@pytest.mark.parametrize(("family", "link", "eta"), EDGES)
def test_outside_the_domain_there_is_no_density(family: str, link: str, eta: float) -> None:
    case = rows(family, link, grid=np.array([eta]))
    assert not np.isfinite(derivatives(family, link, case)["value"]).any()


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
    case, start = CASES[family], CASES[family].starts[link]
    beta, scale = [0.3, 0.2], 0.4
    if link in case.outside or link == "sqrt":  # far from the edge of the domain
        eta, offset = start.intercept + start.scale * (eta - 0.3), None
        beta, scale = [start.intercept, 0.3 * start.scale], 0.5 * start.scale
    phi = case.phi[0]
    if case.trials:
        size = rng.integers(1, 5, n).astype(float)
    else:
        weights = rng.uniform(0.5, 2, n) if case.precision_weights else rng.integers(1, 4, n).astype(float)
    y = case.draw(rng, mean_of(family, link, eta), np.ones(n) if size is None else size, phi)
    terms = [(0, [None, z, z2][:q], structure)] if q else []
    model = _core.Model(
        family, link, n, size, weights, offset, [None, x], [codes] if q else [], [clusters] if q else [], terms, 1
    )
    if structure == "diagonal":
        theta = [1.0, 0.8, 0.6][:q]
    else:
        theta = [[], [1.0], [1.0, 0.1, 0.7], [1.0, 0.1, -0.2, 0.7, 0.15, 0.5]][q]
    # not where the data came from, where a mistake could hide
    return model, y, np.array([*beta, *(scale * t for t in theta), *(p + 0.3 for p in phi)])


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
