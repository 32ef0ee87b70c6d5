"""The plain implementation of the stress harness of benchmarks/stress is what definitions and integrals give."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special, stats
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import binom, gamma, multivariate_normal, nbinom, norm, poisson

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
if not (BENCHMARKS / "stress").is_dir():
    pytest.skip("the benchmarks are not beside the tests", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))

from stress import numbers, numeric  # noqa: E402
from stress.densities import Density  # noqa: E402
from stress.designs import Design, design  # noqa: E402
from stress.linear import Linear  # noqa: E402
from stress.parts import density_of  # noqa: E402
from stress.plain import Plain  # noqa: E402
from stress.problem import Problem, Term  # noqa: E402
from stress.recipe import (  # noqa: E402
    LATENT,
    LINKS,
    MORE,
    SEVERAL_PREDICTORS,
    WIDER,
    WIDER_PARTS,
    draw,
)
from stress.structures import exchangeable_root, factor, n_theta  # noqa: E402

MEANS = {
    "logit": lambda e: 1 / (1 + np.exp(-e)),
    "probit": norm.cdf,
    "cloglog": lambda e: 1 - np.exp(-np.exp(e)),
    "cauchit": lambda e: 0.5 + np.arctan(e) / np.pi,
    "log": np.exp,
    "sqrt": np.square,
    "identity": np.asarray,
    "inverse": np.reciprocal,
    "inverse_squared": lambda e: e**-0.5,
}


# of weight, response, mean and exp(phi), which for two parameters is the same number twice
OTHERS = {
    "lognormal": lambda w, y, m, s: w * stats.lognorm.logpdf(y, s, scale=m * np.exp(-(s**2) / 2)),
    "inverse_gaussian": lambda w, y, m, d: w * stats.invgauss.logpdf(y, m * d, scale=1 / d) if m > 0 else -np.inf,
    "exponential": lambda w, y, m, _: w * stats.expon.logpdf(y, scale=m),
    "weibull": lambda w, y, m, k: w * stats.weibull_min.logpdf(y, k, scale=m / special.gamma(1 + 1 / k)),
    "student_t": lambda w, y, m, s: stats.t.logpdf(y, s, m, s / np.sqrt(w)),
    "skew_normal": lambda w, y, m, s: skew_normal(y, m, s / np.sqrt(w), numbers.slant(np.log(s))),
    "tweedie": lambda w, y, m, d: w * tweedie(y, m, d, 1 + special.expit(np.log(d))),
    "negative_binomial_1": lambda w, y, m, k: w * nbinom.logpmf(y, m * k, k / (1 + k)),
    "geometric": lambda w, y, m, _: w * nbinom.logpmf(y, 1, 1 / (1 + m)),
    "generalized_poisson": lambda w, y, m, k: w * generalized_poisson(y, m / np.sqrt(k), 1 - 1 / np.sqrt(k)),
    "beta": lambda w, y, m, k: w * stats.beta.logpdf(y, m * k, (1 - m) * k),
}


def generalized_poisson(y: float, theta: float, own: float) -> float:
    rate = theta + own * y
    if rate <= 0 or theta + 4 * own <= 0:
        return -np.inf
    return float(np.log(theta) + (y - 1) * np.log(rate) - rate - special.gammaln(y + 1))


def skew_normal(y: float, mean: float, sigma: float, alpha: float) -> float:
    unit = stats.skewnorm(alpha)
    omega = sigma / unit.std()
    return float(stats.skewnorm.logpdf(y, alpha, mean - omega * unit.mean(), omega))


def tweedie(y: float, mean: float, dispersion: float, power: float) -> float:
    rate = mean ** (2 - power) / (dispersion * (2 - power))
    if y == 0:
        return -rate
    j = np.arange(1, 200)
    shape, scale = (2 - power) / (power - 1), dispersion * (power - 1) * mean ** (power - 1)
    return float(special.logsumexp(poisson.logpmf(j, rate) + gamma.logpdf(y, j * shape, scale=scale)))


def log_density(problem: Problem, row: int, eta: float, phi: float) -> float:
    """From scipy.stats, weights apart; phi is sigma, the shape, or the size."""
    mu, y = MEANS[problem.link](eta), problem.y[row]
    if problem.family == "binomial":
        return problem.weights[row] * float(binom.logpmf(y, problem.size[row], mu))
    if problem.family == "beta_binomial":
        a, b = mu * phi, (1 - mu) * phi
        return problem.weights[row] * float(stats.betabinom.logpmf(y, int(problem.size[row]), a, b))
    if problem.family == "poisson":
        return problem.weights[row] * float(poisson.logpmf(y, mu))
    if problem.family == "gamma":
        return problem.weights[row] * float(gamma.logpdf(y, phi, scale=mu / phi)) if mu > 0 else -np.inf
    if problem.family == "negative_binomial":
        return problem.weights[row] * float(nbinom.logpmf(y, phi, phi / (phi + mu))) if mu > 0 else -np.inf
    if problem.family in OTHERS:
        return float(OTHERS[problem.family](problem.weights[row], y, mu, phi))
    assert problem.family == "gaussian"
    return float(norm.logpdf(y, mu, phi / np.sqrt(problem.weights[row])))


def small(family: str, link: str, n: int = 12, points: int = 1, **more: Any) -> tuple[Problem, np.ndarray]:
    """Four groups of three, or as `more` has it, and parameters inside the domain of the link."""
    rng = np.random.default_rng(4)
    rates = ("poisson", "gamma", "negative_binomial", "inverse_gaussian")
    narrow = (family, link) == ("binomial", "log") or (
        family in rates and link in ("identity", "inverse", "inverse_squared")
    )
    x = rng.uniform(0, 1, n)
    y = {
        "binomial": lambda: rng.integers(0, 4, n),
        "beta_binomial": lambda: rng.integers(0, 4, n),
        "beta": lambda: rng.beta(2, 2, n),
        "negative_binomial_1": lambda: rng.integers(0, 9, n),
        "geometric": lambda: rng.integers(0, 9, n),
        "generalized_poisson": lambda: rng.integers(0, 9, n),
        "poisson": lambda: rng.integers(0, 9, n),
        "gaussian": lambda: rng.normal(1, 1, n),
        "gamma": lambda: rng.gamma(2, 2, n) if link != "inverse" else rng.gamma(2, 0.1, n),
        "negative_binomial": lambda: rng.integers(0, 9, n),
        "student_t": lambda: rng.normal(1, 1, n),
        "skew_normal": lambda: rng.normal(1, 1, n),
        "tweedie": lambda: rng.poisson(2, n) * rng.gamma(2, 1, n),
    }.get(family, lambda: rng.gamma(2, 2, n) if link not in ("inverse", "inverse_squared") else rng.gamma(2, 0.1, n))()
    fields = {
        "codes": (np.repeat(np.arange(n // 3), 3),),
        "terms": (Term(0, np.ones((n, 1)), "us"),),
        "X": np.column_stack([np.ones(n), x]),
        "weights": rng.integers(1, 3, n).astype(float),
    }
    problem = Problem(
        family, link, y.astype(float), np.full(n, 5.0), offset=0.1 * x, names=("(Intercept)", "x"), points=points,
        **(fields | more),
    )  # fmt: skip
    start = {
        "log": -1.5 if narrow else 0.6,
        "identity": 6.0 if narrow else 0.6,
        "sqrt": 2.5,
        "inverse": 6.0,
        "inverse_squared": 6.0,
    }.get(link, 0.6)
    theta = [0.2 if narrow else 0.7] * len(problem.terms)
    return problem, np.array([start, -0.2, *theta, *[-0.3] * problem.n_phi])


@pytest.mark.parametrize(("family", "link"), LINKS)
def test_densities(family: str, link: str) -> None:
    problem, psi = small(family, link)
    density = Density(problem, psi[3:])
    eta = psi[0] + np.linspace(-0.3, 0.3, 12)
    phi = np.exp(psi[3]) if problem.n_phi else 1.0
    expected = [log_density(problem, i, e, phi) for i, e in enumerate(eta)]
    np.testing.assert_allclose(density.value(eta), expected, rtol=1e-10)
    first, second = density.derivatives(eta)
    h = 1e-4
    up, middle, down = density.value(eta + h), density.value(eta), density.value(eta - h)
    np.testing.assert_allclose(first, (up - down) / (2 * h), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(second, (up - 2 * middle + down) / h**2, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("q", "rho"), [(1, -0.5), (2, 0.95), (2, -1.0), (3, -0.49), (4, 0.0), (5, 1.0), (7, 0.3)])
def test_a_root_of_equal_correlations_is_written_out(q: int, rho: float) -> None:
    correlation = np.full((q, q), rho) + (1 - rho) * np.eye(q)
    root = exchangeable_root(q, rho)
    np.testing.assert_allclose(root @ root.T, correlation, atol=1e-14)
    if q == 2:  # where a library has no choice but the sign
        values, vectors = np.linalg.eigh(correlation)
        np.testing.assert_allclose(np.abs(root), np.abs(vectors) * np.sqrt(np.maximum(values, 0)), atol=1e-7)


@pytest.mark.parametrize(("family", "link"), LINKS)
def test_quadrature_of_many_points_is_the_integral(family: str, link: str) -> None:
    problem, psi = small(family, link)
    phi = np.exp(psi[3]) if problem.n_phi else 1.0
    fixed = problem.offset + problem.X @ psi[:2]
    total = 0.0
    for level in range(4):
        rows = np.flatnonzero(problem.codes[0] == level)

        def integrand(u: float, rows: np.ndarray = rows) -> float:
            logs = [log_density(problem, i, fixed[i] + u, phi) for i in rows]
            return float(np.exp(np.nan_to_num(sum(logs), nan=-np.inf)) * norm.pdf(u, 0, psi[2]))

        total += np.log(quad(integrand, -8 * psi[2], 8 * psi[2], epsabs=0, epsrel=1e-9, limit=200)[0])
    value = Plain(replace(problem, points=1 if problem.linear else 41)).loglik(psi)
    assert abs(value - total) < (
        1e-3 if (family, link) == ("binomial", "log") else 1e-2 if family == "student_t" else 1e-6
    )


def test_laplace_is_its_formula() -> None:
    problem, psi = small("poisson", "log")
    density, fixed, total = Density(problem, psi[3:]), problem.offset + problem.X @ psi[:2], 0.0
    grid = np.linspace(-4, 4, 8001)
    for level in range(4):
        own = density.some(np.flatnonzero(problem.codes[0] == level))
        f = own.value(fixed[problem.codes[0] == level][:, None] + psi[2] * grid).sum(0) - 0.5 * grid**2
        k = int(np.argmax(f))
        parabola = np.polyfit(grid[k - 5 : k + 6] - grid[k], f[k - 5 : k + 6], 4)
        at = -parabola[3] / (2 * parabola[2])
        total += np.polyval(parabola, at) - 0.5 * np.log(-np.polyval(np.polyder(parabola, 2), at))
    assert abs(Plain(problem).loglik(psi) - total) < 1e-5


def test_nested_quadrature_is_the_integral() -> None:
    outer, inner = np.repeat([0, 1], 9), np.repeat(np.arange(6), 3)
    terms = (Term(0, np.ones((18, 1)), "us"), Term(1, np.ones((18, 1)), "us"))
    problem, psi = small("binomial", "logit", n=18, points=21, codes=(outer, inner), terms=terms)
    density, fixed, total = Density(problem, psi[4:]), problem.offset + problem.X @ psi[:2], 0.0
    grid = np.linspace(-8, 8, 401)
    weight = norm.pdf(grid) * (grid[1] - grid[0])
    for a in (0, 1):
        product = weight.copy()
        for b in np.unique(inner[outer == a]):
            rows = np.flatnonzero(inner == b)
            u = psi[2] * grid[:, None] + psi[3] * grid
            eta = fixed[rows][:, None] + u.ravel()
            product *= np.exp(density.some(rows).value(eta).sum(0)).reshape(u.shape) @ weight
        total += np.log(product.sum())
    assert abs(Plain(problem).loglik(psi) - total) < 1e-7
    swapped = replace(problem, codes=(inner, outer)).in_order()
    assert abs(Plain(swapped).loglik(psi[[0, 1, 3, 2]]) - total) < 1e-7


@pytest.mark.parametrize("method", ["ml", "reml"])
def test_linear_likelihood(method: str) -> None:
    rng = np.random.default_rng(0)
    crossed = (np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4))
    terms = (Term(0, rng.normal(size=(12, 2)), "us"), Term(1, np.ones((12, 1)), "us"))
    problem, _ = small("gaussian", "identity", codes=crossed, terms=terms, method=method)
    psi = np.array([0.4, -0.2, 0.8, 0.3, 0.5, 0.7, -0.3])
    V = np.diag(np.exp(-0.6) / problem.weights)
    for term, theta in zip(terms, (psi[2:5], psi[5:6]), strict=True):
        half = term.Z @ factor(term, theta)
        V += half @ half.T * np.equal.outer(crossed[term.factor], crossed[term.factor])
    X, y = problem.X, problem.y - problem.offset
    if method == "ml":
        expected = multivariate_normal.logpdf(y, X @ psi[:2], V)
    else:  # of residual contrasts, without log|X'X| / 2
        K = np.linalg.svd(X)[0][:, 2:]
        expected = multivariate_normal.logpdf(K.T @ y, None, K.T @ V @ K) - 0.5 * np.linalg.slogdet(X.T @ X)[1]
    assert Linear(problem).loglik(psi) == pytest.approx(expected, rel=1e-12)


def wider_design(part: str, first: int = WIDER) -> Design:
    first = MORE if part == "brands" else first
    seed = next(s for s in itertools.count(first) if draw(np.random.default_rng(s), s).part == part)
    return design(seed)


@pytest.mark.parametrize("part", [*WIDER_PARTS, *SEVERAL_PREDICTORS])
def test_derivatives_of_more_densities(part: str) -> None:
    """By differences, for each predictor of a row; with the predictors of a row together where there are several."""
    problem = wider_design(part).problem().in_order()
    if part == "restricted":
        return
    phi = np.linspace(-0.5, 1.0, 2 * (max(problem.categories, 3) - 1))
    density, rng, count = density_of(problem, phi), np.random.default_rng(1), problem.predictors
    eta = 0.5 * rng.normal(size=len(problem.y))
    first, second = density.derivatives(eta)
    second = second.reshape(-1, count, count)
    h = 1e-5
    for k in range(count):
        step = h * (np.arange(len(eta)) % count == k)
        rise = (density.value(eta + step) - density.value(eta - step)).reshape(-1, count).sum(1) / (2 * h)
        np.testing.assert_allclose(first.reshape(-1, count)[:, k], rise, rtol=1e-6, atol=1e-6)
        bend = (density.derivatives(eta + step)[0] - density.derivatives(eta - step)[0]) / (2 * h)
        np.testing.assert_allclose(second[:, :, k], bend.reshape(-1, count), rtol=1e-5, atol=1e-5)
    nodes = np.column_stack([eta, eta + 1])
    np.testing.assert_allclose(density.value(nodes)[:, 0], density.value(eta))


def test_alternatives_of_brands_are_one_cluster() -> None:
    """Each variant by its definition, with every random effect a dimension of one integral."""
    rng, seen = np.random.default_rng(4), set()
    for seed in itertools.count(MORE):
        if draw(np.random.default_rng(seed), seed).part != "brands":
            continue
        made = design(seed)
        problem, sets = made.problem(), made.frame["set"].to_numpy()
        if made.recipe.variant in seen or not problem.crossed_sets:
            continue
        seen.add(made.recipe.variant)
        assert (made.frame.groupby("set")["y"].sum() == 1).all()
        assert not made.frame.duplicated(["set", "brand"]).any()
        n_theta = sum(term.q * (term.q + 1) // 2 for term in problem.terms)
        size = np.sqrt((problem.X**2).mean(0))
        psi = np.concatenate([0.3 * rng.normal(size=problem.p) / size, rng.uniform(0.3, 0.9, n_theta)])
        value, columns, at = Plain(problem.in_order()).loglik(psi), [], problem.p
        for term in problem.terms:
            root = np.zeros((term.q, term.q))
            root[np.triu_indices(term.q)[::-1]] = psi[at : at + term.q * (term.q + 1) // 2]
            at += term.q * (term.q + 1) // 2
            levels = problem.codes[term.factor][:, None] == np.arange(problem.levels(term.factor))
            own = (levels[:, :, None] * (term.Z @ root)[:, None, :]).reshape(len(sets), -1)
            columns.append(own)
        S, fixed = np.hstack(columns), problem.offset + problem.X @ psi[: problem.p]
        chosen, of_set = problem.y == 1, sets[:, None] == np.unique(sets)

        def shares(v: np.ndarray, S: Any = S, fixed: Any = fixed, of_set: Any = of_set) -> np.ndarray:
            p = np.exp(fixed + S @ v)
            return p / (of_set @ (of_set.T @ p))

        def loss(v: np.ndarray, chosen: Any = chosen, shares: Any = shares) -> float:
            return float(0.5 * v @ v - np.log(shares(v)[chosen]).sum())

        def slope(v: np.ndarray, S: Any = S, chosen: Any = chosen, shares: Any = shares) -> np.ndarray:
            return v - S.T @ (chosen - shares(v))

        mode = minimize(loss, np.zeros(S.shape[1]), jac=slope, method="BFGS", options={"gtol": 1e-9}).x
        p = shares(mode)
        mean = of_set.T @ (p[:, None] * S)
        H = np.eye(S.shape[1]) + S.T @ (p[:, None] * S) - mean.T @ mean
        assert value == pytest.approx(-loss(mode) - 0.5 * np.linalg.slogdet(H)[1], rel=1e-9)
        if len(seen) == 3:
            return


@pytest.mark.parametrize("part", ["adjacent", "continuation", "reverse_continuation", "scale", "multinomial"])
def test_probabilities_of_categories_sum_to_one(part: str) -> None:
    made = wider_design(part)
    problem = made.problem()
    n, count, phi = len(made.frame), problem.predictors, np.linspace(-0.5, 1.0, 2 * (problem.categories - 1))
    problem = replace(problem, weights=np.ones(len(problem.y)))
    eta, total = np.random.default_rng(2).normal(size=n * count), np.zeros(n)
    outcomes = range(-1, count) if part == "multinomial" else range(1, problem.categories + 1)
    for y in outcomes:
        density = density_of(replace(problem, y=np.full(n * count, float(y))), phi)
        total += np.exp(density.value(eta).reshape(n, count).sum(1))
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)


def test_log_logistic_is_its_definition() -> None:
    problem = wider_design("custom").problem()
    problem = replace(problem, weights=np.ones(len(problem.y)), y=np.exp(np.linspace(-3, 3, len(problem.y))))
    eta = np.linspace(1, -1, len(problem.y))
    expected = stats.fisk.logpdf(problem.y, np.exp(0.4), scale=np.exp(eta))
    np.testing.assert_allclose(density_of(problem, np.array([0.4])).value(eta), expected, rtol=1e-9)


def test_random_zero_and_sigma_are_their_definitions() -> None:
    problem = wider_design("random zero").problem()
    problem = replace(problem, family="poisson", weights=np.ones(len(problem.y)))
    eta = np.random.default_rng(3).normal(size=len(problem.y))
    mean, odds = np.exp(eta[::2]), eta[1::2] + 0.3 + 0.2 * problem.split[::2]
    share, y = special.expit(odds), problem.y[::2]
    expected = np.where(y == 0, np.log(share + (1 - share) * np.exp(-mean)), np.log1p(-share) + poisson.logpmf(y, mean))
    np.testing.assert_allclose(density_of(problem, np.array([0.3, 0.2])).value(eta)[::2], expected, rtol=1e-9)
    problem = wider_design("random dispersion").problem()
    problem = replace(problem, weights=np.repeat(np.linspace(0.5, 2, len(problem.y) // 2), 2))
    eta = np.random.default_rng(3).normal(size=len(problem.y))
    sigma = np.exp(eta[1::2] + 0.3 + 0.2 * problem.split[::2]) / np.sqrt(problem.weights[::2])
    expected = norm.logpdf(problem.y[::2], eta[::2], sigma)
    np.testing.assert_allclose(density_of(problem, np.array([0.3, 0.2])).value(eta)[::2], expected, rtol=1e-9)


def test_structures() -> None:
    Z, theta = np.ones((1, 4)), np.array([0.5, 1.0, 1.5, 2.0, 0.6])
    sds = theta[:4]
    for structure, R in (
        ("hetar1", np.tanh(0.6) ** np.abs(np.subtract.outer(np.arange(4), np.arange(4)))),
        ("cs", np.where(np.eye(4) > 0, 1.0, np.expm1(1.2) / (np.exp(1.2) + 3))),
    ):
        root = factor(Term(0, Z, structure), theta)
        np.testing.assert_allclose(root @ root.T, R * np.outer(sds, sds), rtol=1e-12)
    root = factor(Term(0, Z, "rr", 2), np.arange(1.0, 8.0))
    assert np.linalg.matrix_rank(root @ root.T) == 2
    two = Term(0, Z, "cfa", 2, ((0, 1), (1, 2, 3)))
    root = factor(two, np.array([1.0, 0.5, -0.3, 2.0, 0.7, 0.75]))
    loads, r = np.array([[1.0, 0], [0.5, -0.3], [0, 2.0], [0, 0.7]]), 0.6  # 0.75 over its hypotenuse with one
    np.testing.assert_allclose(root @ root.T, loads @ np.array([[1, r], [r, 1]]) @ loads.T, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("family", "link"), [("cumulative", "logit"), ("cumulative", "probit"), ("adjacent", "logit")])
def test_items_have_their_own_thresholds(family: str, link: str) -> None:
    part = "credit" if family == "adjacent" else "graded"
    problem, _ = small("binomial", "logit")
    item = np.tile([0.0, 1.0, 2.0], len(problem.y) // 3)
    y = np.tile([1.0, 2.0, 3.0, 2.0], len(problem.y) // 4)
    problem = replace(problem, family=family, link=link, part=part, split=item, y=y, categories=3)
    phi = np.array([-0.5, 0.8, 0.2, 0.4, -0.3, 0.1])  # of the first item, and what the others differ
    eta = np.random.default_rng(3).normal(size=len(y))
    cuts = (phi[:2] + np.vstack([[0, 0], phi[2:4], phi[4:]]))[item.astype(int)]
    if family == "cumulative":
        below = MEANS[link](cuts - eta[:, None])
        p = np.diff(np.column_stack([0 * eta, below, 0 * eta + 1]), axis=1)
    else:
        p = np.exp(np.column_stack([0 * eta, eta - cuts[:, 0], 2 * eta - cuts.sum(1)]))
        p /= p.sum(1, keepdims=True)
    expected = problem.weights * np.log(p[np.arange(len(y)), y.astype(int) - 1])
    assert problem.n_phi == len(phi)
    np.testing.assert_allclose(density_of(problem, phi).value(eta), expected, rtol=1e-9)


def test_traits_are_integrated_over_their_own_dimensions() -> None:
    """Two traits of binary items by quadrature over both, not over the random effects of all items."""
    recipes = (draw(np.random.default_rng(seed), seed) for seed in itertools.count(LATENT))
    recipe = next(r for r in recipes if r.family == "binomial" and r.variant == 2 and r.n_groups < 100)
    problem, rng = replace(design(recipe.seed).problem(), points=7).in_order(), np.random.default_rng(2)
    term = problem.terms[0]
    psi = 0.3 * rng.normal(size=problem.p + n_theta(term) + problem.n_phi)
    plain = Plain(problem)
    assert plain.available
    whole = factor(term, psi[problem.p : problem.p + n_theta(term)])
    t, w = np.polynomial.hermite_e.hermegauss(24)
    nodes = np.array(list(itertools.product(t, repeat=term.rank)))
    log_w = sum(np.meshgrid(*[np.log(w / np.sqrt(2 * np.pi))] * term.rank, indexing="ij")).ravel()
    eta = (problem.offset + problem.X @ psi[: problem.p])[:, None] + term.Z @ whole[:, : term.rank] @ nodes.T
    logs = density_of(problem, psi[problem.p + n_theta(term) :]).value(eta)
    begins = np.flatnonzero(np.diff(problem.codes[0], prepend=-1))
    expected = special.logsumexp(np.add.reduceat(logs, begins) + log_w, axis=1).sum()
    assert plain.loglik(psi) == pytest.approx(expected, rel=1e-6)  # seven adaptive points


def test_numerical_hessian() -> None:
    information = np.array([[4.0, 1.9], [1.9, 1.0]])

    def f(x: np.ndarray) -> float:
        return float(-0.5 * x @ information @ x + 0.01 * x[0] ** 3)

    curvature, apart = numeric.extrapolated(f, np.zeros(2), np.eye(2), 0.02)
    np.testing.assert_allclose(curvature.errors(), np.sqrt(np.diag(np.linalg.inv(information))), rtol=1e-6)
    assert apart < 1e-4
