"""Adaptive quadrature over two nested grouping factors, and the rules it shares with a single factor."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import special

import multilevel as ml
from multilevel import _core

from .family_cases import CASES, drawn

Array = NDArray[np.float64]
Read = Callable[[str], Any]

# Central differences of order eight.
OFFSETS = np.array([-4, -3, -2, -1, 1, 2, 3, 4])
WEIGHTS = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 4 / 5, -1 / 5, 4 / 105, -1 / 280])

MODES = 1e-10  # relative: what a log-likelihood owes to where the search for its conditional modes stops

CHILDREN = "immun ~ kid2p + mom25p + ord + ethn + momEd + husEd + momWork + rural + pcInd81 + (1 | mom) + (1 | comm)"


def quietly(*args: Any, **options: Any) -> ml.MixedModelResults:
    """A fit that may have something to say of its quadrature, or of a variance of zero."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return ml.fit(*args, **options)


@dataclass
class Nested:
    """Units in clusters, rows in any order; the inner factor comes first."""

    family: str
    link: str
    y: Array
    size: Array | None
    x: Array
    z_inner: list[Array | None]
    z_outer: list[Array | None]
    inner: NDArray[np.int32]
    outer: NDArray[np.int32]

    def model(self, swapped: bool = False) -> _core.Model:
        codes = [self.inner, self.outer]
        terms: list[tuple[int, list[Any], str]] = [
            (0, list(self.z_inner), "unstructured"),
            (1, list(self.z_outer), "unstructured"),
        ]
        if swapped:
            codes = codes[::-1]
            terms = [(0, *terms[1][1:]), (1, *terms[0][1:])]
        levels = [int(c.max()) + 1 for c in codes]
        n = len(self.y)
        return _core.Model(self.family, self.link, n, self.size, None, None, [None, self.x], codes, levels, terms, 1)

    def columns(self, z: list[Array | None]) -> Array:
        return np.column_stack([np.ones(len(self.y)) if column is None else column for column in z])


def simulated(family: str, link: str, q_inner: int, q_outer: int, clusters: int = 14, seed: int = 0) -> Nested:
    rng = np.random.default_rng([seed, q_inner, q_outer, len(family), len(link)])
    outer_of = np.repeat(np.arange(clusters), rng.integers(1, 5, clusters))
    inner = np.repeat(np.arange(len(outer_of)), rng.integers(1, 6, len(outer_of)))
    outer = outer_of[inner]
    n = len(inner)
    x, z, w = rng.normal(size=(3, n))
    eta = 0.2 + 0.3 * x + rng.normal(size=len(outer_of))[inner] * 0.8 + rng.normal(size=clusters)[outer] * 0.6
    if q_inner > 1:
        eta += rng.normal(size=len(outer_of))[inner] * 0.7 * z
    size = rng.integers(1, 4, n).astype(float) if CASES[family].trials else None
    if (family, link) == ("binomial", "log"):
        eta = np.minimum(-2 + 0.2 * eta, -0.7)
    if family == "gaussian":
        eta = 0.3 * eta
    y = drawn(rng, family, eta, link=link, size=1.0 if size is None else size)
    order = rng.permutation(n)
    names = rng.permutation(len(outer_of)), rng.permutation(clusters)  # levels in no order
    z_inner: list[Array | None] = [None, z[order]]
    z_outer: list[Array | None] = [None, w[order]]
    return Nested(
        family,
        link,
        y[order],
        None if size is None else size[order],
        x[order],
        z_inner[:q_inner],
        z_outer[:q_outer],
        names[0][inner][order].astype(np.int32),
        names[1][outer][order].astype(np.int32),
    )


THETA = {1: [0.7], 2: [0.7, 0.2, 0.5]}


def parameters(case: Nested) -> Array:
    """Some parameters, (beta, theta, phi), not far from those that made the data."""
    beta, scale = ([-1.9, 0.05], 0.2) if case.link == "log" and case.family == "binomial" else ([0.2, 0.3], 1.0)
    phi = [-0.5] if case.family == "gaussian" else CASES[case.family].phi[0]
    theta = [scale * t for t in (*THETA[len(case.z_inner)], *THETA[len(case.z_outer)])]
    if case.family == "gaussian":
        theta = [0.4 * t for t in theta]
    return np.array([*beta, *theta, *phi])


def gradient_by_differences(model: _core.Model, y: Array, psi: Array, points: int, h: float = 0.004) -> Array:
    def value(k: int, step: float) -> float:
        moved = psi.copy()
        moved[k] += step
        return _core.evaluate(model, y, moved, points, 1)[0]

    return np.array(
        [sum(w * value(k, o * h) for o, w in zip(OFFSETS, WEIGHTS, strict=True)) / h for k in range(len(psi))]
    )


# ---- the approximated log-likelihood ----


@pytest.mark.parametrize(("q_inner", "q_outer", "points"), [(1, 1, 1), (1, 1, 5), (2, 1, 3), (1, 2, 3), (2, 2, 2)])
@pytest.mark.parametrize(
    ("family", "link"),
    [
        ("binomial", "logit"),
        ("binomial", "probit"),
        ("poisson", "log"),
        ("gaussian", "log"),
        ("gamma", "log"),
        ("negative_binomial", "log"),
    ],
)
def test_gradient(family: str, link: str, q_inner: int, q_outer: int, points: int) -> None:
    case = simulated(family, link, q_inner, q_outer, clusters=9)
    model, psi = case.model(), parameters(case)
    value, gradient, _ = _core.evaluate(model, case.y, psi, points, 1)
    assert np.isfinite(value)
    expected = gradient_by_differences(model, case.y, psi, points)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("points", [3, 4])
def test_hessian(points: int) -> None:
    case = simulated("binomial", "logit", 1, 2)
    model, psi = case.model(), parameters(case)
    hessian = _core.evaluate(model, case.y, psi, points, 1)[2]
    h = 0.01
    for k in range(len(psi)):
        column = np.zeros(len(psi))
        for o, w in zip(OFFSETS, WEIGHTS, strict=True):
            moved = psi.copy()
            moved[k] += o * h
            column += w * _core.evaluate(model, case.y, moved, points, 1)[1] / h
        np.testing.assert_allclose(hessian[:, k], column, rtol=0, atol=2e-6 * np.abs(hessian).max())


def test_order_of_factors_and_threads_change_nothing() -> None:
    case = simulated("binomial", "logit", 2, 1, clusters=400)  # several panels
    psi = parameters(case)
    value, gradient, _ = _core.evaluate(case.model(), case.y, psi, 3, 1)
    parallel = _core.evaluate(case.model(), case.y, psi, 3, 2)
    assert parallel[0] == value
    np.testing.assert_array_equal(parallel[1], gradient)
    place = [0, 1, 5, 2, 3, 4]  # theta of the outer factor first
    swapped = _core.evaluate(case.model(swapped=True), case.y, psi[place], 3, 1)
    assert swapped[0] == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(swapped[1], gradient[place], rtol=1e-9, atol=1e-9 * np.abs(gradient).max())


def brute_force(case: Nested, psi: Array, step: float = 0.15, most: float = 7.5) -> float:
    """Sums over a fixed grid, which for a smooth integrand on the whole line converges faster than any power."""
    grid = np.arange(-most, most + step / 2, step)
    log_weight = -0.5 * grid**2 - 0.5 * math.log(2 * math.pi) + math.log(step)

    def nodes(q: int) -> tuple[Array, Array]:
        mesh = np.stack(np.meshgrid(*[grid] * q, indexing="ij"), axis=-1).reshape(-1, q)
        return mesh, np.stack(np.meshgrid(*[log_weight] * q, indexing="ij"), axis=-1).reshape(-1, q).sum(axis=1)

    q_inner, q_outer = len(case.z_inner), len(case.z_outer)
    factors = []
    at = 2
    for q in (q_inner, q_outer):
        factor = np.zeros((q, q))
        factor[np.triu_indices(q)[::-1]] = psi[at : at + q * (q + 1) // 2]
        factors.append(factor)
        at += q * (q + 1) // 2
    fixed = psi[0] + psi[1] * case.x
    v_inner, w_inner = nodes(q_inner)
    v_outer, w_outer = nodes(q_outer)
    u_inner = case.columns(case.z_inner) @ factors[0] @ v_inner.T
    u_outer = case.columns(case.z_outer) @ factors[1] @ v_outer.T
    size = np.ones(len(case.y)) if case.size is None else case.size
    density, phi = CASES[case.family].log_density, tuple(psi[at:])
    total = 0.0
    for cluster in range(case.outer.max() + 1):
        outer_terms = w_outer.copy()
        for unit in np.unique(case.inner[case.outer == cluster]):
            rows = np.flatnonzero(case.inner == unit)
            log_density = np.zeros((len(v_outer), len(v_inner)))
            for j in rows:
                eta = fixed[j] + u_outer[j][:, None] + u_inner[j]
                y, trials = np.full(eta.shape, case.y[j]), np.full(eta.shape, size[j])
                log_density += density(case.link, eta, y, trials, np.ones(eta.shape), phi)
            outer_terms += special.logsumexp(log_density + w_inner, axis=1)
        total += float(special.logsumexp(outer_terms))
    return total


@pytest.mark.parametrize(
    ("family", "link", "q_inner", "q_outer", "points", "tolerance"),
    [
        ("binomial", "logit", 1, 1, 25, 1e-9),
        ("poisson", "log", 1, 1, 25, 1e-9),
        ("gamma", "log", 1, 1, 25, 1e-9),
        ("negative_binomial", "log", 1, 1, 25, 1e-9),
        ("binomial", "logit", 2, 1, 13, 1e-6),
        ("binomial", "logit", 1, 2, 13, 1e-6),
    ],
)
def test_against_brute_force(family: str, link: str, q_inner: int, q_outer: int, points: int, tolerance: float) -> None:
    case = simulated(family, link, q_inner, q_outer, clusters=4, seed=3)
    psi = parameters(case)
    value = _core.evaluate(case.model(), case.y, psi, points, 1)[0]
    coarse = 0.3 if q_inner + q_outer > 2 else 0.15
    assert value == pytest.approx(brute_force(case, psi, step=coarse), abs=tolerance)


def test_one_point_is_the_laplace_approximation() -> None:
    """With dense matrices: log density at the joint mode of all random effects, less half of log|H|."""
    case = simulated("poisson", "log", 1, 1, clusters=10, seed=5)
    psi = parameters(case)
    n, units = len(case.y), case.inner.max() + 1
    S = np.zeros((n, units + case.outer.max() + 1))
    S[np.arange(n), case.inner] = psi[2]
    S[np.arange(n), units + case.outer] = psi[3]
    v = np.zeros(S.shape[1])
    for _ in range(30):
        eta = psi[0] + psi[1] * case.x + S @ v
        H = np.eye(len(v)) + S.T @ (np.exp(eta)[:, None] * S)
        v += np.linalg.solve(H, S.T @ (case.y - np.exp(eta)) - v)
    density = (case.y * eta - np.exp(eta) - special.gammaln(case.y + 1)).sum()
    expected = density - 0.5 * v @ v - 0.5 * np.linalg.slogdet(H)[1]
    assert _core.evaluate(case.model(), case.y, psi, 1, 1)[0] == pytest.approx(expected, rel=1e-10)


def test_errors_shrink_with_points() -> None:
    case = simulated("binomial", "logit", 1, 1, clusters=6, seed=4)
    psi = parameters(case)
    exact = brute_force(case, psi)
    errors = [abs(_core.evaluate(case.model(), case.y, psi, points, 1)[0] - exact) for points in (1, 3, 5, 9, 15)]
    assert all(later < earlier / 3 for earlier, later in itertools.pairwise(errors))


@pytest.mark.parametrize("points", [1, 2, 7])
def test_outer_variance_of_zero_leaves_one_factor(points: int) -> None:
    case = simulated("poisson", "log", 2, 1)
    psi = parameters(case)
    psi[-1] = 0.0
    alone = _core.Model(
        case.family,
        case.link,
        len(case.y),
        case.size,
        None,
        None,
        [None, case.x],
        [case.inner],
        [int(case.inner.max()) + 1],
        [(0, list(case.z_inner), "unstructured")],
        1,
    )
    value, gradient, _ = _core.evaluate(case.model(), case.y, psi, points, 1)
    expected, expected_gradient, _ = _core.evaluate(alone, case.y, psi[:-1], points, 1)
    assert value == pytest.approx(expected, rel=MODES)
    np.testing.assert_allclose(gradient[:-1], expected_gradient, rtol=1e-8, atol=1e-8 * np.abs(gradient).max())
    assert gradient[-1] == pytest.approx(0, abs=1e-9 * np.abs(gradient).max())  # even in a standard deviation


@pytest.mark.parametrize("points", [1, 5])
def test_inner_variance_of_zero_leaves_the_outer_factor(points: int) -> None:
    case = simulated("binomial", "logit", 1, 2)
    psi = parameters(case)
    psi[2] = 0.0
    alone = _core.Model(
        case.family,
        case.link,
        len(case.y),
        case.size,
        None,
        None,
        [None, case.x],
        [case.outer],
        [int(case.outer.max()) + 1],
        [(0, list(case.z_outer), "unstructured")],
        1,
    )
    value, gradient, _ = _core.evaluate(case.model(), case.y, psi, points, 1)
    expected, expected_gradient, _ = _core.evaluate(alone, case.y, np.delete(psi, 2), points, 1)
    assert value == pytest.approx(expected, rel=MODES)
    np.testing.assert_allclose(np.delete(gradient, 2), expected_gradient, rtol=1e-8, atol=1e-8 * np.abs(gradient).max())


def test_signs_of_the_factor_do_not_matter() -> None:
    case = simulated("binomial", "logit", 2, 2)
    psi = parameters(case)
    value = _core.evaluate(case.model(), case.y, psi, 3, 1)[0]
    turned = psi.copy()
    turned[[2, 3, 5, 6]] *= -1.0  # the first column of both
    assert _core.evaluate(case.model(), case.y, turned, 3, 1)[0] == pytest.approx(value, rel=1e-12)


def test_a_unit_for_every_row() -> None:
    """Overdispersed counts: an effect for each row, within levels."""
    case = simulated("poisson", "log", 1, 1, clusters=5, seed=6)
    case = replace(case, inner=np.arange(len(case.y), dtype=np.int32))
    psi = parameters(case)
    value = _core.evaluate(case.model(), case.y, psi, 21, 1)[0]
    assert value == pytest.approx(brute_force(case, psi), abs=1e-8)


def test_nodes_outside_the_domain_have_no_share() -> None:
    case = simulated("binomial", "log", 1, 1, clusters=30)
    psi = parameters(case)
    psi[2:4] = [0.9, 0.5]  # the outermost nodes reach probabilities above one
    value, gradient, _ = _core.evaluate(case.model(), case.y, psi, 9, 1)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


# ---- fits ----


def test_children_in_mothers_in_communities(reference_data: Read, reference_numbers: Read) -> None:
    """Where the Laplace approximation fails: it halves the standard deviation of the mothers."""
    reference = reference_numbers("guImmun")["fits"]["nested_agq3_31x15"]
    results = quietly(CHILDREN, reference_data("guImmun"), family="binomial", n_quadrature=21)
    assert results.converged
    assert results.n_quadrature == 21
    assert results.llf == pytest.approx(reference["logLik"], abs=3e-5)
    estimate, se = (np.array([row[column] for row in reference["fixed"]]) for column in ("estimate", "se"))
    assert np.abs((results.params.to_numpy() - estimate) / se).max() < 1e-3
    np.testing.assert_allclose(results.bse, se, rtol=2e-3)
    for block in reference["random"]:
        assert np.sqrt(results.random_cov[block["group"]].to_numpy().item()) == pytest.approx(block["sd"][0], rel=2e-5)


def test_more_points_come_closer(reference_data: Read) -> None:
    data = reference_data("guImmun")
    values = [quietly(CHILDREN, data, family="binomial", n_quadrature=points).llf for points in (1, 5, 9)]
    assert values == pytest.approx([-1355.700896, -1325.579092, -1323.979106], abs=2e-6)


def frame(case: Nested) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "y": case.y,
            "x": case.x,
            "g": pd.Categorical(case.outer),
            "h": pd.Categorical(case.inner),
            "z": case.z_inner[1],
        }
    )


def test_modes_and_their_covariance() -> None:
    """Against Newton's method on all random effects at once, with dense matrices."""
    case = simulated("poisson", "log", 2, 1, clusters=25, seed=8)
    results = quietly("y ~ x + (1 + z | h) + (1 | g)", frame(case), family="poisson", n_quadrature=3)
    fit = results.fit
    inner, outer = (0, 1) if fit.design.grouping_factors[0].name == "h" else (1, 0)
    by_level = {f.name: np.asarray(f.levels).astype(int) for f in fit.design.grouping_factors}
    n, units, clusters = len(case.y), case.inner.max() + 1, case.outer.max() + 1
    Z = np.zeros((n, 2 * units + clusters))
    Z[np.arange(n), 2 * case.inner] = 1.0
    Z[np.arange(n), 2 * case.inner + 1] = case.z_inner[1]
    Z[np.arange(n), 2 * units + case.outer] = 1.0
    blocks = [results.random_cov["h"].to_numpy()] * units + [results.random_cov["g"].to_numpy()] * clusters
    precision = np.zeros((Z.shape[1], Z.shape[1]))
    at = 0
    for block in blocks:
        precision[at : at + len(block), at : at + len(block)] = np.linalg.inv(block)
        at += len(block)
    fixed = results.params.to_numpy()[0] + results.params.to_numpy()[1] * case.x
    u = np.zeros(Z.shape[1])
    for _ in range(30):
        mu = np.exp(fixed + Z @ u)
        hessian = Z.T @ (mu[:, None] * Z) + precision
        step = np.linalg.solve(hessian, Z.T @ (case.y - mu) - precision @ u)
        u += step
    assert np.abs(step).max() < 1e-12
    covariance = np.linalg.inv(hessian)
    found = np.zeros_like(u)
    for level, effects, own in zip(by_level["h"], fit.modes[inner], fit.mode_cov[inner], strict=True):
        place = slice(2 * level, 2 * level + 2)
        found[place] = effects
        np.testing.assert_allclose(own, covariance[place, place], rtol=1e-5, atol=1e-8)
    for level, effects, own in zip(by_level["g"], fit.modes[outer], fit.mode_cov[outer], strict=True):
        place = slice(2 * units + level, 2 * units + level + 1)
        found[place] = effects
        np.testing.assert_allclose(own, covariance[place, place], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(found, u, atol=1e-5)


def test_slash_means_levels_within_levels() -> None:
    case = simulated("binomial", "logit", 2, 1, clusters=25, seed=9)
    data = frame(case)
    data["size"] = case.size
    # The same labels in every cluster: only together with the cluster do they name a unit.
    data["label"] = data.groupby("g", observed=True)["h"].transform(lambda h: pd.factorize(h)[0])
    formula = "cbind(y, size - y) ~ x + "
    slash = quietly(formula + "(1 | g / label)", data, family="binomial", n_quadrature=4)
    plain = quietly(formula + "(1 | h) + (1 | g)", data, family="binomial", n_quadrature=4)
    assert slash.llf == pytest.approx(plain.llf, abs=1e-8)
    np.testing.assert_allclose(slash.params, plain.params, atol=1e-6)


def test_crossed_factors_have_no_quadrature() -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"y": rng.integers(0, 2, 60), "g": np.arange(60) % 6, "h": np.arange(60) % 5})
    with pytest.raises(ml.DataError, match="crossed"):
        ml.fit("y ~ 1 + (1 | g) + (1 | h)", data, family="binomial", n_quadrature=5)


# ---- the rules ----

REDUCED = [(3, 5), (3, 7), (4, 3), (4, 5), (4, 7), (5, 3), (5, 5), (6, 3), (6, 4)]


@pytest.mark.parametrize(("q", "points"), [(1, 1), (1, 8), (2, 5), (3, 2), (3, 4), *REDUCED])
def test_moments_of_the_rule(q: int, points: int) -> None:
    """Weights are positive and all moments up to the total degree 2 * points - 1 those of the normal distribution."""
    nodes, weights = _core.quadrature_rule(points, q)
    assert nodes.shape == (_core.node_count(points, q), q)
    assert (weights > 0).all()
    assert len(np.unique(nodes.round(9), axis=0)) == len(nodes)

    def powers(left: int, dimensions: int) -> list[tuple[int, ...]]:
        if dimensions == 1:
            return [(d,) for d in range(left + 1)]
        return [(d, *rest) for d in range(left + 1) for rest in powers(left - d, dimensions - 1)]

    for power in powers(2 * points - 1, q):
        if list(power) != sorted(power, reverse=True):
            continue  # by symmetry; the next assertions are about that
        values = weights * np.prod(nodes ** np.array(power), axis=1)
        expected = math.prod(math.prod(range(p - 1, 0, -2)) if p % 2 == 0 else 0 for p in power)
        assert values.sum() == pytest.approx(expected, abs=1e-11 * max(1.0, np.abs(values).sum()))
    order = np.lexsort(nodes.round(9).T)
    for same in (-nodes, nodes[:, ::-1], nodes * np.where(np.arange(q) == 0, -1, 1)):
        moved = np.lexsort(same.round(9).T)
        np.testing.assert_allclose(same[moved], nodes[order], atol=1e-8)
        np.testing.assert_allclose(weights[moved], weights[order], rtol=1e-9)


@pytest.mark.parametrize(("q", "points"), REDUCED)
def test_reduced_rules_have_fewer_nodes(q: int, points: int) -> None:
    assert _core.node_count(points, q) < points**q


def test_node_counts_without_a_reduction() -> None:
    assert [_core.node_count(k, 1) for k in (1, 7, 51)] == [1, 7, 51]
    assert [_core.node_count(k, 2) for k in (1, 7, 51)] == [1, 49, 2601]
    assert _core.node_count(2, 13) == 8192
    assert _core.node_count(1000, 20) >= 10**15  # no more than that is said of it


@pytest.mark.parametrize("q", [3, 4])
def test_reduced_rules_converge(q: int) -> None:
    """Each step of two points gains about a digit, as it does for whole products."""
    rng = np.random.default_rng([11, q])
    clusters, rows = 20, 8
    codes = np.repeat(np.arange(clusters), rows).astype(np.int32)
    z = rng.normal(size=(q - 1, len(codes)))
    effects = rng.normal(size=(clusters, q)) * 0.8
    eta = effects[codes, 0] + (effects[codes, 1:] * z.T).sum(axis=1)
    y = rng.binomial(1, special.expit(eta)).astype(float)
    terms = [(0, [None, *z], "diagonal")]
    model = _core.Model("binomial", "logit", len(y), None, None, None, [None], [codes], [clusters], terms, 1)
    psi = np.array([0.1, *[0.9] * q])
    values = [_core.evaluate(model, y, psi, points, 1)[0] for points in (1, 3, 5, 7)]
    finest = _core.evaluate(model, y, psi, 15 if q == 3 else 10, 1)[0]
    errors = np.abs(np.array(values) - finest)
    assert (errors[1:] < errors[:-1] / 5).all(), errors
