"""The largest conditional mode of a cluster, where it can be proved to be: against searches from many places, written
from the densities' definitions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import optimize, special, stats

import multilevel as ml
from multilevel import _core

from .mode_search import Rows, climbed

Array = NDArray[np.float64]
TAU = np.array([-1.0, 0.3, 1.5])
DF = 2.0


def student_t(eta: Array, y: Array) -> tuple[Array, Array, Array]:
    """Of scale one, without its constant."""
    r = y - eta
    more = DF + r**2
    return -(DF + 1) / 2 * np.log1p(r**2 / DF), (DF + 1) * r / more, (DF + 1) * (r**2 - DF) / more**2


def ordered(eta: Array, y: Array, tau: Array = TAU) -> tuple[Array, Array, Array]:
    """Of the category whose ends are the thresholds below and above it, Cauchy distributed."""
    ends = np.concatenate([[-np.inf], tau, [np.inf]])
    k = np.broadcast_to(y, eta.shape).astype(int)
    a, b = ends[k] - eta, ends[k - 1] - eta
    with np.errstate(invalid="ignore"):
        inner = np.arctan2(a - b, 1 + a * b)
        p = np.where(np.isinf(b), np.arctan2(1, -a), np.where(np.isinf(a), np.arctan2(1, b), inner)) / np.pi

        def density(x: Array) -> tuple[Array, Array]:
            f = np.where(np.isinf(x), 0.0, 1 / (np.pi * (1 + x**2)))
            return f, np.where(np.isinf(x), 0.0, -2 * x / (1 + x**2) * f)

        (fa, slope_a), (fb, slope_b) = density(a), density(b)
    first = -(fa - fb) / p
    return np.log(p), first, (slope_a - slope_b) / p - first**2


def successes(eta: Array, y: Array) -> tuple[Array, Array, Array]:
    """Of one trial: two categories."""
    return ordered(eta, y + 1, np.array([0.0]))


def largest(rows: Rows, o: Array, s: Array, y: Array, rng: np.random.Generator) -> float:
    """Laplace at the largest of the modes that many starts lead to, without constants of the density."""
    q = s.shape[1]
    spread = np.concatenate([np.full(700, 1.0), np.full(700, 3.0), np.full(600, 9.0)])
    starts = np.concatenate([np.zeros((1, q)), rng.normal(size=(2000, q)) * spread[:, None]])
    f = rows(o + starts @ s.T, y)[0].sum(1) - 0.5 * (starts**2).sum(1)
    chosen = np.concatenate([np.argsort(-f)[:60], rng.choice(2001, 40, replace=False)])
    _, f, gradient, H = climbed(rows, lambda eta, y: rows(eta, y)[0], o, s, y, starts[chosen])
    k = int(np.where(np.abs(gradient).max(1) < 1e-5, f, -np.inf).argmax())  # climbs that have not ended do not count
    return float(f[k] - 0.5 * np.linalg.slogdet(H[k])[1])


@dataclass
class Case:
    """A grouping factor with q effects, and its clusters' Laplace approximations at given parameters."""

    core: _core.Model
    y: Array
    psi: Array
    g: NDArray[np.int32]
    o: Array
    s: Array
    rows: Rows
    constant: float  # of a row

    def core_values(self) -> Array:
        return _core.contributions(self.core, self.y, self.psi, 1).loglik

    def references(self, rng: np.random.Generator) -> Array:
        own = [self.g == i for i in range(int(self.g.max()) + 1)]
        values = [largest(self.rows, self.o[r], self.s[r], self.y[r], rng) for r in own]
        return np.array([value + self.constant * r.sum() for value, r in zip(values, own, strict=True)])


def case(family: str, q: int, size: int, sd: float, seed: int, m: int, others: float = 1.0) -> Case:
    """Responses of which a sixth is another row's, so that rows of a cluster contradict each other; `others` is the
    scale of all random effects but the first."""
    rng = np.random.default_rng([seed, q, size])
    g = np.repeat(np.arange(m), size).astype(np.int32)
    n = len(g)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])[:, :q]
    scales = sd * np.exp(0.4 * rng.normal(size=q))
    factor = np.tril(0.5 * rng.normal(size=(q, q)) * scales[:, None], -1) + np.diag(scales)
    factor[:, 1:] *= others
    slope, z = 0.5 * rng.normal(), rng.normal(size=n)
    eta = slope * z + ((rng.normal(size=(m, q)) @ factor.T)[g] * x).sum(1)
    theta = [factor[a, b] for b in range(q) for a in range(b, q)]
    other = np.where(rng.random(n) < 1 / 6, rng.permutation(n), np.arange(n))
    columns = [x[:, k] for k in range(q)]
    if family == "cumulative":
        y = 1.0 + np.searchsorted(TAU, (eta + rng.standard_cauchy(n))[other]).astype(float)
        y[:4] = [1.0, 2.0, 3.0, 4.0]
        data = pd.DataFrame({"y": y.astype(int), "g": g, **{f"x{k}": x[:, k] for k in range(q)}, "z": z})
        term = " + ".join(["1", *(f"x{k}" for k in range(1, q))])
        model = ml.MixedModel(f"y ~ z + ({term} | g)", data, family="cumulative", link="cauchit")
        psi = np.array([slope, *theta, *TAU])
        return Case(model._core, y, psi, g, slope * z, x @ factor, ordered, 0.0)
    if family == "student_t":
        y = (eta + rng.standard_t(DF, n))[other]
        phi, rows = [0.0, np.log(DF)], student_t
        constant = float(stats.t.logpdf(0.0, DF))
    else:
        y = (np.arctan2(1, -eta) / np.pi > rng.random(n))[other].astype(float)
        phi, rows, constant = [], successes, 0.0
    link = "identity" if family == "student_t" else "cauchit"
    core = _core.Model(family, link, n, None, None, None, [z], [g], [m], [(0, columns, "unstructured")], 1)
    return Case(core, y, np.array([slope, *theta, *phi]), g, slope * z, x @ factor, rows, constant)


@pytest.mark.parametrize("q", [1, 2, 3])
@pytest.mark.parametrize("family", ["student_t", "binomial", "cumulative"])
def test_no_larger_mode_is_found(family: str, q: int) -> None:
    rng = np.random.default_rng(q)
    for size, sd in [(4, 3.0), (5, 0.7), (4, 6.0), (9, 2.0), (25, 10.0)]:
        own = case(family, q, size, sd, seed=1, m=6)
        # Both are right to rounding where they agree; a cluster that the search from many places misses is no fault.
        assert (own.core_values() >= own.references(rng) - 1e-7).all()


@pytest.mark.parametrize("others", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("family", ["student_t", "cumulative"])
def test_directions_with_little_variance(family: str, others: float) -> None:
    # Along these the conditional density is concave whatever the other effects are, and is not searched.
    rng = np.random.default_rng(5)
    for q, size, sd in [(2, 5, 4.0), (2, 12, 2.0), (3, 6, 3.0)]:
        own = case(family, q, size, sd, seed=2, m=6, others=others)
        assert (own.core_values() >= own.references(rng) - 1e-7).all()


def test_a_cluster_with_modes_far_apart() -> None:
    # Of the modes (1.23, 0.44) and (-1.00, 1.47), with f = -7.0500 and -6.9725, scans along the axes from the first see
    # nothing of the second.
    s = np.array([[4.955052404112649, z] for z in (3.9986516013355295, 9.76456671575167, -2.998470745, 4.542119729)])
    o = np.array([-1.8652357325611588, -4.554840122883987, 1.3986851906609268, -2.1187452332565275])
    y, tau = np.array([2.0, 2.0, 1.0, 3.0]), np.array([-7.427255115931411, 6.705074221736126, 8.607320232521515])

    def rows(eta: Array, y: Array) -> tuple[Array, Array, Array]:
        return ordered(eta, y, tau)

    v, f, _, _ = climbed(rows, lambda eta, y: rows(eta, y)[0], o, s, y, np.array([[1.2, 0.4], [-1.0, 1.5]]))
    assert v == pytest.approx(np.array([[1.233699, 0.442971], [-1.004474, 1.465749]]), abs=1e-4)
    assert f == pytest.approx([-7.04997156, -6.97248145], abs=1e-6)

    # A second cluster has the category that is missing; an offset stands for the fixed part.
    data = pd.DataFrame({"y": [2, 2, 1, 3, 4], "x": [*(s[:, 1] / 3.7535075), 0.0], "o": [*o, 0.0], "g": [0] * 4 + [1]})
    data = pd.concat([data, data.assign(g=data.g + 2)], ignore_index=True)
    model = ml.MixedModel("y ~ 0 + offset(o) + (x || g)", data, family="cumulative", link="cauchit")
    psi = np.array([4.955052404112649, 3.7535075, *tau])
    values = _core.contributions(model._core, data["y"].to_numpy(float), psi, 1).loglik
    best = largest(rows, o, s, y, np.random.default_rng(0))
    assert values[[0, 2]] == pytest.approx(best, abs=1e-8)


def test_where_the_search_has_been_does_not_matter() -> None:
    # Climbs begin where the last ones ended; only what is proved to be the largest is taken from there.
    own = case("cumulative", 2, 5, 4.0, seed=3, m=30)
    x = np.random.default_rng(4).normal(size=len(own.y))
    data = pd.DataFrame({"y": own.y.astype(int), "x": x, "g": own.g})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of several maxima: so few rows have them
        results = ml.fit("y ~ x + (x | g)", data, family="cumulative", link="cauchit", threads=1)
    fit = results.fit
    alone = ml.MixedModel("y ~ x + (x | g)", data, family="cumulative", link="cauchit")._core
    value = _core.evaluate(alone, own.y, fit.psi, fit.n_quadrature, 1)[0]
    assert results.llf == pytest.approx(value, abs=1e-9 * abs(value))
    turned = data.iloc[::-1].reset_index(drop=True)
    other = ml.MixedModel("y ~ x + (x | g)", turned, family="cumulative", link="cauchit")._core
    again = _core.evaluate(other, turned["y"].to_numpy(float), fit.psi, fit.n_quadrature, 2)[0]
    assert again == pytest.approx(value, abs=1e-9 * abs(value))


BOUNDED = [
    ("student_t", "identity", [[-0.7, 0.0], [0.3, 1.5]], [0.4], 1.0),
    ("binomial", "cauchit", [[]], [0.0, 2.0, 3.0], 3.0),
    ("continuation", "cauchit", [[-1.0, 0.2, 0.9]], [1.0, 2.0, 3.0, 4.0], 1.0),
    ("reverse_continuation", "cauchit", [[-1.0, 0.2, 0.9]], [1.0, 2.0, 3.0, 4.0], 1.0),
    *(
        ("cumulative", "cauchit", [[upper, lower]], [2.0], 1.0)
        for upper, lower in [(0.0, -np.inf), (np.inf, 0.3), (0.01, 0.0), (0.4, -0.4), (2.0, 0.0), (3.0, -4.0), (40, -9)]
    ),
]


@pytest.mark.parametrize(("family", "link", "parameters", "responses", "size"), BOUNDED)
def test_bounds(family: str, link: str, parameters: list[list[float]], responses: list[float], size: float) -> None:
    f = _core.Family(family, link, categories=4 if "continuation" in family else 0)
    eta = np.unique(
        np.concatenate([np.linspace(-60, 60, 4001), np.linspace(-6, 6, 6001), np.sinh(np.linspace(-9, 9, 999))])
    )
    one = np.ones(len(eta))
    for phi in parameters:
        for y in responses:
            for weight in (1.0, 2.5):
                found = f.bounds(np.array([y]), np.array([size]), np.array([weight]), phi)
                assert found is not None
                value, second, third = found[:, 0]
                d = f.derivatives(eta, y * one, size * one, weight * one, phi)
                assert d["value"].max() <= value + 1e-12
                assert d["d2"].max() <= second * (1 + 1e-6)
                assert np.abs(d["d3"]).max() <= third * (1 + 1e-6)
                if family in ("student_t", "binomial") and y in (0.0, 0.4):
                    assert d["d2"].max() == pytest.approx(second, rel=1e-4)
                    assert np.abs(d["d3"]).max() == pytest.approx(third, rel=1e-3)


@pytest.mark.parametrize("zeta", [-25.0, -3.0, -1.0, 0.5, 6.0])
@pytest.mark.parametrize(
    ("family", "k"),
    [("geometric", 1.0), ("poisson", np.inf), ("binomial", 1.0), ("binomial", 8.0)]
    + [("negative_binomial", np.exp(log_size)) for log_size in (-4.0, 0.4, 3.0, 12.0)],
)
def test_bounds_of_inflated_counts(family: str, k: float, zeta: float) -> None:
    """No derivative exceeds them, and of zeros they are not far above."""
    phi, size = [*([np.log(k)] if family == "negative_binomial" else []), zeta], k if family == "binomial" else 1.0
    f = _core.Family(family, "logit" if family == "binomial" else "log", "inflation")
    eta = np.concatenate([np.linspace(-30, 30, 6001), np.linspace(-3, 6, 3001)])
    one = np.ones(len(eta))
    responses = np.minimum(np.array([0.0, 1.0, 7.0, 150.0, 0.0]), size if family == "binomial" else np.inf)
    sizes, weights = np.full(5, size), np.array([1.0, 1.0, 1.0, 1.0, 2.5])
    found = f.bounds(responses, sizes, weights, phi)
    assert found is not None
    np.testing.assert_allclose(found[:, 4], 2.5 * found[:, 0], rtol=1e-14)
    np.testing.assert_allclose(found[0], f.supremum(responses, sizes, weights, phi), rtol=1e-13)
    for y, (value, second, third) in zip(responses[:4], found.T[:4], strict=True):
        d = f.derivatives(eta, y * one, size * one, one, phi)
        rounding = 1e-13 * (1.0 + np.abs(d["value"]).max())
        assert d["value"].max() <= value + rounding
        assert d["d2"].max() <= second * (1 + 1e-9) + rounding
        assert np.abs(d["d3"]).max() <= third * (1 + 1e-9) + rounding
    # of a zero p q s (s - (1 - s / k)), as a function of w = -log P(0)
    w = np.linspace(0.0, 60.0, 60001)
    s, p = w if np.isinf(k) else -k * np.expm1(-w / k), special.expit(zeta + w)
    assert found[1, 0] == pytest.approx(np.max(p * (1 - p) * s * (s - 1 + s / k)), rel=0.12)


def test_families_without_bounds() -> None:
    one = np.ones(1)
    assert _core.Family("poisson", "identity", "inflation").bounds(one, one, one, [0.0]) is None
    assert _core.Family("binomial", "cloglog", "inflation").bounds(one, one, one, [0.0]) is None
    assert _core.Family("student_t", "log").bounds(one, one, one, [0.0, 1.0]) is None
    assert _core.Family("negative_binomial", "identity").bounds(one, one, one, [0.0]) is None


def inflated(zeta: float) -> Rows:
    """Poisson counts with more zeros, without the constant of the counts."""

    def rows(eta: Array, y: Array) -> tuple[Array, Array, Array]:
        w = np.exp(np.minimum(eta, 300.0))
        none = np.broadcast_to(y == 0, eta.shape)
        p = special.expit(zeta + np.where(none, w, 0.0))
        q = special.expit(-zeta - np.where(none, w, 0.0))
        value = np.where(none, np.logaddexp(zeta, -w), y * eta - w) - np.logaddexp(0.0, zeta)
        return value, np.where(none, -q * w, y - w), np.where(none, q * w * (p * w - 1), -w)

    return rows


def test_zeros_that_are_the_counts_own() -> None:
    # One count and two zeros, two effects that are nearly the same: the count decides their sum, and zeros are either
    # all of the zero part, or of the counts along a valley that is 10,000 times as long as it is wide.
    o, y, zeta = np.array([5.92774792, 1.80462627, 3.17437442]), np.array([958.0, 0.0, 0.0]), -3.5
    s = np.array([[78.10093211, z] for z in (78.8908153, 77.21104021, 77.75688078)])
    rows = inflated(zeta)
    v = np.array([[0.006, 0.006], [-1.3, 1.3]])
    v = climbed(rows, lambda eta, y: rows(eta, y)[0], o, s, y, v)[0]
    for _ in range(30):  # the valley is narrow
        value, first, second = rows(o + v @ s.T, y)
        f, curvature = value.sum(1) - 0.5 * (v**2).sum(1), np.eye(2) - np.einsum("kj,ja,jb->kab", second, s, s)
        step = np.linalg.solve(curvature, (first @ s - v)[:, :, None])[:, :, 0]
        v = v + step
    assert np.abs(step).max() < 1e-7
    assert v[1, 0] < -1.0
    assert f[1] > f[0] + 0.05
    data = pd.DataFrame({"y": y.astype(int), "x": s[:, 1] / s[0, 0], "o": o, "g": 0})
    data = pd.concat([data, data.assign(g=1)], ignore_index=True)
    model = ml.MixedModel("y ~ 0 + offset(o) + (x || g)", data, "poisson", zero_inflation=True)
    values = _core.contributions(model._core, data["y"].to_numpy(float), np.array([s[0, 0], s[0, 0], zeta]), 1).loglik
    best = f[1] - 0.5 * np.linalg.slogdet(curvature[1])[1] - special.gammaln(y + 1).sum()
    assert values == pytest.approx([best, best], abs=1e-7)


@pytest.mark.parametrize("q", [1, 2, 3])
def test_what_is_proved_stays_where_others_are_searched(q: int) -> None:
    # Large counts beside zeros: of some clusters the largest mode is proved, others are searched from many places.
    rng = np.random.default_rng(q)
    m, size, zeta = 40, 5, -1.0
    g = np.repeat(np.arange(m), size).astype(np.int32)
    z = np.column_stack([np.ones(len(g)), *rng.normal(size=(2, len(g)))])[:, :q]
    factor = np.tril(0.4 * rng.normal(size=(q, q)), -1) + np.diag(rng.uniform(1.0, 2.5, q))
    eta = 0.5 + ((rng.normal(size=(m, q)) @ factor.T)[g] * z).sum(1)
    y = np.where(rng.random(len(g)) < special.expit(zeta), 0.0, rng.poisson(np.exp(np.minimum(eta, 4.5))))
    terms = [(0, [z[:, k] for k in range(q)], "unstructured")]
    core = _core.Model("poisson", "log", len(g), None, None, None, [None], [g], [m], terms, 1, zero="inflation")
    psi = np.array([0.5, *(factor[a, b] for b in range(q) for a in range(b, q)), zeta])
    own = Case(core, y, psi, g, np.full(len(g), 0.5), z @ factor, inflated(zeta), 0.0)
    constants = np.bincount(g, special.gammaln(y + 1))
    assert own.core_values() == pytest.approx(own.references(rng) - constants, abs=1e-7)


def test_zeros_of_crossed_factors() -> None:
    # A search from zero, from the responses and along single effects ends 1.4 below the largest mode.
    y = np.array([128, 431, 253, 0, 0, 429, 0, 2, 0, 0, 0, 0, 253, 0, 0, 431, 0, 0, 2.0])
    g = np.array([1, 1, 0, 0, 5, 5, 3, 4, 5, 5, 3, 3, 1, 2, 5, 2, 5, 1, 3], dtype=np.int32)
    h = np.array([2, 2, 0, 1, 0, 0, 1, 1, 0, 0, 1, 1, 2, 0, 2, 2, 0, 2, 2], dtype=np.int32)
    x = np.array([1.322328138927798, -1.26347073484968, 0.21682810668499586, -0.26381755546462143, 0.7813751764072093])
    x = np.append(x, [-0.8013455410487685, 0.26965148044109327, -1.3238099183763523, -0.8459544257684066])
    x = np.append(x, [0.3493907928057676, 1.091764898309985, 0.3087931745506091, 0.8247671989486991])
    x = np.append(x, [-0.6606857308423618, 0.9086246599355302, 1.0612411583041967, -1.7360909060376801])
    x = np.append(x, [1.4371241588919481, 0.4011919101220051])
    beta, theta, zeta = [-0.29238486, 0.147787], [6.92453350, 1.22136434, 2.62509082, 3.6645379], -0.93805208
    terms: list[tuple[int, list[Array | None], str]] = [(0, [None, x], "unstructured"), (1, [None], "unstructured")]
    core = _core.Model("poisson", "log", 19, None, None, None, [None, x], [g, h], [6, 3], terms, 1, zero="inflation")
    value = _core.evaluate(core, y, np.array([*beta, *theta, zeta]), 1, 1)[0]
    s, rows = np.zeros((19, 15)), np.arange(19)
    s[rows, 2 * g], s[rows, 2 * g + 1], s[rows, 12 + h] = theta[0] + theta[1] * x, theta[2] * x, theta[3]
    best = largest(inflated(zeta), beta[0] + beta[1] * x, s, y, np.random.default_rng(0))
    assert value >= best - special.gammaln(y + 1).sum() - 1e-7


def test_a_nested_unit_that_changes_sides_with_its_cluster() -> None:
    # A unit of a single zero: of the counts while the others are held, of the zero part once its cluster follows.
    y = np.array([0, 77643, 0, 0, 3528, 169, 0])
    x = np.array([34.8350041, 94.83058417, 164.34579466, -9.68293185, 154.7164831, -146.59746115, -164.84622209])
    unit = np.array([0, 1, 1, 2, 2, 2, 2])
    data = pd.DataFrame({"y": np.tile(y, 2), "x": np.tile(x, 2), "b": np.tile(unit, 2), "g": np.repeat([0, 1], 7)})
    beta, (a, c, b), inner, zeta = np.array([0.383, 0.0044]), (4.858, 0.0028, 0.00878), 4.125, -0.901
    s = np.column_stack([a + c * x, b * x, *(inner * (unit == k) for k in range(3))])
    o = beta[0] + beta[1] * x

    def f(v: Array) -> float:
        eta = o + s @ v
        count = np.where(y == 0, np.logaddexp(zeta, -np.logaddexp(0, eta)), y * eta - (y + 1) * np.logaddexp(0, eta))
        return float(np.sum(count - np.logaddexp(0, zeta)) - 0.5 * v @ v)

    rng = np.random.default_rng(0)
    found = [optimize.minimize(lambda v: -f(v), rng.normal(size=5), method="BFGS") for _ in range(20)]
    ends = np.array([-end.fun for end in found])
    assert np.ptp(ends) > 0.1  # there are two, and more than the largest are found
    model = ml.MixedModel("y ~ x + (1 + x | g) + (1 | g:b)", data, "geometric", zero_inflation=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        fit = model.fit(start=[*beta, a, c, b, inner, zeta], max_iter=0, n_quadrature=3).fit
    outer, units = np.asarray(fit.modes[0]), np.asarray(fit.modes[1])
    lower = np.array([[a, 0.0], [c, b]])
    for k in range(2):
        v = np.concatenate([np.linalg.solve(lower, outer[k]), units[3 * k : 3 * k + 3, 0] / inner])
        assert f(v) > ends.max() - 1e-6
