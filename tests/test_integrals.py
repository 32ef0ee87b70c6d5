"""The marginal likelihood is the integral, brute force says; without random effects it is the plain one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate, special, stats

from multilevel import _core

from .family_cases import CASES, PAIRS, QUICK_PAIRS, mean_of
from .test_properties import Array, fit, simulate

pytestmark = pytest.mark.filterwarnings("ignore::multilevel.QuadratureWarning")

# densities that level out, or do not vanish at the edge of the domain
FAR_FROM_NORMAL = [("inverse_gaussian", "log"), ("inverse_gaussian", "inverse_squared"), ("student_t", "log")]


def small_model(family: str, link: str, q: int) -> tuple[_core.Model, dict[str, Array], Array]:
    """Six clusters of four rows, far from the edge of the link's domain; the data; and parameters."""
    rng = np.random.default_rng([3, q, len(link)])
    clusters, per_cluster = 6, 4
    n = clusters * per_cluster
    codes = np.repeat(np.arange(clusters), per_cluster).astype(np.int32)
    x, z = rng.normal(size=(2, n))
    case, start = CASES[family], CASES[family].starts[link]
    low, scale = start.intercept, start.scale
    beta = np.array([low, 0.1])
    eta = low + 0.1 * x + scale * rng.normal(size=clusters)[codes]
    size = np.full(n, 3.0) if case.trials else np.ones(n)
    y = case.draw(rng, mean_of(family, link, eta), size, case.phi[0])
    theta = {1: [scale], 2: [scale, 0.2 * scale, 0.5 * scale]}[q]
    phi = case.phi[0]
    model = _core.Model(
        family, link, n, size if case.trials else None, None, None, [None, x], [codes], [clusters],
        [(0, [None, z][:q], "unstructured")], 1,
    )  # fmt: skip
    data = {"y": y, "size": size, "eta": beta[0] + beta[1] * x, "z": z, "codes": codes.astype(float)}
    return model, data, np.array([*beta, *theta, *phi])


def cluster_integrand(family: str, link: str, data: dict[str, Array], psi: Array, q: int) -> Callable[[Array], Array]:
    """The joint density of each cluster's rows and of its standardized random effects v: shape (clusters, points)."""
    phi = tuple(psi[len(psi) - len(CASES[family].phi[0]) :])
    codes = data["codes"].astype(int)
    clusters = codes.max() + 1

    def density(v: Array) -> Array:
        points = v.shape[1]
        u = v[0] * psi[2]
        shift = np.repeat(u[None, :], len(codes), axis=0)
        if q == 2:
            shift = shift + data["z"][:, None] * (psi[3] * v[0] + psi[4] * v[1])[None, :]
        eta = data["eta"][:, None] + shift
        y, size = (np.repeat(data[name][:, None], points, axis=1) for name in ("y", "size"))
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            rows = CASES[family].log_density(link, eta, y, size, np.ones(eta.shape), phi)
        rows = np.where(np.isfinite(rows), rows, -np.inf)
        total = np.stack([rows[codes == i].sum(axis=0) for i in range(clusters)])
        return np.exp(total - 0.5 * (v**2).sum(axis=0)) / (2 * np.pi) ** (q / 2)

    return density


@pytest.mark.parametrize(("family", "link"), PAIRS)
def test_quadrature_against_adaptive_integration(family: str, link: str) -> None:
    model, data, psi = small_model(family, link, 1)
    density = cluster_integrand(family, link, data, psi, 1)
    exact, _ = integrate.quad_vec(lambda v: density(np.array([[v]]))[:, 0], -9, 9, epsabs=1e-16, epsrel=1e-12)
    # The tails of cauchit are what polynomials fit least; a Gaussian log link is far from a normal density.
    points, tolerance = (151, 1e-6) if link == "cauchit" else (151, 1e-9) if family == "gaussian" else (41, 1e-9)
    if (family, link) in FAR_FROM_NORMAL:
        points, tolerance = 151, 1e-8
    value = _core.evaluate(model, data["y"], psi, points, 1)[0]
    assert value == pytest.approx(np.log(exact).sum(), abs=tolerance)


@pytest.mark.parametrize(("family", "link"), QUICK_PAIRS)
def test_quadrature_in_two_dimensions(family: str, link: str) -> None:
    model, data, psi = small_model(family, link, 2)
    density = cluster_integrand(family, link, data, psi, 2)
    v = np.linspace(-8, 8, 81)  # the trapezoidal rule is exact to rounding for such an integrand
    grid = np.stack([a.ravel() for a in np.meshgrid(v, v, indexing="ij")])
    values = density(grid).reshape(-1, len(v), len(v))
    exact = integrate.trapezoid(integrate.trapezoid(values, v, axis=2), v, axis=1)
    points, tolerance = (61, 1e-4) if link == "cauchit" else (91, 1e-7) if family == "gaussian" else (29, 1e-8)
    if (family, link) in FAR_FROM_NORMAL:
        points, tolerance = 91, 1e-6
    value = _core.evaluate(model, data["y"], psi, points, 1)[0]
    assert value == pytest.approx(np.log(exact).sum(), abs=tolerance)


def laplace(y: Array, size: Array, eta: Array, z: Array, factor: Array) -> float:
    """The Laplace approximation of one cluster of a logistic model, from its definition."""
    s = z @ factor
    v = np.zeros(factor.shape[1])
    for _ in range(100):
        p = special.expit(eta + s @ v)
        curvature = np.eye(len(v)) + s.T @ (s * (size * p * (1 - p))[:, None])
        v = v + np.linalg.solve(curvature, s.T @ (y - size * p) - v)
    p = special.expit(eta + s @ v)
    curvature = np.eye(len(v)) + s.T @ (s * (size * p * (1 - p))[:, None])
    return float(stats.binom.logpmf(y, size, p).sum() - v @ v / 2 - np.linalg.slogdet(curvature)[1] / 2)


@pytest.mark.parametrize("q", [1, 2])
def test_one_point_is_the_laplace_approximation(q: int) -> None:
    model, data, psi = small_model("binomial", "logit", q)
    factor = np.array([[psi[2]]]) if q == 1 else np.array([[psi[2], 0], [psi[3], psi[4]]])
    z = np.column_stack([np.ones(len(data["y"])), data["z"]])[:, :q]
    expected = 0.0
    for i in range(6):
        rows = data["codes"] == i
        expected += laplace(data["y"][rows], data["size"][rows], data["eta"][rows], z[rows], factor)
    assert _core.evaluate(model, data["y"], psi, 1, 1)[0] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("right", ["x + (1 | g)", "x + (1 + x | g)", "x + (1 + x || g)", "0 + x + (0 + x | g)"])
@pytest.mark.parametrize("points", [1, 6])
def test_gaussian_is_exact(right: str, points: int) -> None:
    data = simulate(5, "gaussian", groups=12)
    data["w"] = np.random.default_rng(6).uniform(0.5, 2, len(data))
    data["o"] = np.random.default_rng(7).normal(size=len(data))
    results = fit(data, "gaussian", right, weights="w", offset="o", n_quadrature=points, method="ml")
    ones = np.ones(len(data))
    columns = {"(Intercept)": ones, "x": data["x"].to_numpy()}
    z = np.column_stack([columns[name] for name in results.random_cov["g"].index])
    same = data["g"].to_numpy()[:, None] == data["g"].to_numpy()[None, :]
    v = (z @ results.random_cov["g"].to_numpy() @ z.T) * same
    v = v + np.diag(results.family_params["sigma"] ** 2 / data["w"])
    mean = np.column_stack([columns[name] for name in results.params.index]) @ results.params.to_numpy() + data["o"]
    assert results.llf == pytest.approx(stats.multivariate_normal(mean, v).logpdf(data["y"]), abs=1e-9)
    # Generalized least squares at this covariance gives the same coefficients and standard errors.
    x = np.column_stack([columns[name] for name in results.params.index])
    information = x.T @ np.linalg.solve(v, x)
    beta = np.linalg.solve(information, x.T @ np.linalg.solve(v, data["y"] - data["o"]))
    np.testing.assert_allclose(results.params, beta, rtol=1e-6)
    np.testing.assert_allclose(results.bse, np.sqrt(np.diag(np.linalg.inv(information))), rtol=1e-6)


# ---- without random effects ----


def scoring(x: Array, y: Array, size: Array, family: str, link: str) -> Array:
    """Fisher scoring, with means, slopes and variances written out."""
    functions = {
        "logit": (special.expit, lambda e: special.expit(e) * special.expit(-e)),
        "probit": (stats.norm.cdf, stats.norm.pdf),
        "cloglog": (lambda e: -np.expm1(-np.exp(e)), lambda e: np.exp(e - np.exp(e))),
        "cauchit": (lambda e: 0.5 + np.arctan(e) / np.pi, lambda e: 1 / (np.pi * (1 + e**2))),
        "log": (np.exp, np.exp),
        "sqrt": (np.square, lambda e: 2 * e),
    }
    mean, slope = functions[link]
    start = {"log": np.log(0.3) if family == "binomial" else 0.5, "sqrt": 1.3}.get(link, 0.0)
    beta = np.zeros(x.shape[1])
    beta[0] = start
    for _ in range(200):
        eta = x @ beta
        mu, d = mean(eta), slope(eta)
        weight = size * d**2 / (mu * (1 - mu) if family == "binomial" else mu)
        beta = np.linalg.solve(x.T @ (x * weight[:, None]), x.T @ (weight * (eta + (y / size - mu) / d)))
    return beta


@pytest.mark.parametrize(
    ("family", "link"),
    [("binomial", link) for link in ("logit", "probit", "cloglog", "cauchit")]
    + [("poisson", "log"), ("poisson", "sqrt")],
)
def test_glm(family: str, link: str) -> None:
    data = simulate(8, family, sd=0.0, sd_x=0.0)
    results = fit(data, family, "x", link=link)
    x = np.column_stack([np.ones(len(data)), data["x"]])
    y = data["y"].to_numpy()
    size = data["n"].to_numpy(float) if family == "binomial" else np.ones(len(data))
    beta = scoring(x, y, size, family, link)
    np.testing.assert_allclose(results.params, beta, rtol=0, atol=1e-5 * float(results.bse.min()))
    mu = _core.Family(family, link).mean(np.ascontiguousarray(x @ beta))
    log_density = stats.binom.logpmf(y, size, mu) if family == "binomial" else stats.poisson.logpmf(y, mu)
    assert results.llf == pytest.approx(log_density.sum(), abs=1e-9)
    if link in ("logit", "log"):  # canonical: the observed information is the expected one
        weight = size * mu * (1 - mu) if family == "binomial" else mu
        covariance = np.linalg.inv(x.T @ (x * weight[:, None]))
        np.testing.assert_allclose(results.cov_params(), covariance, rtol=1e-6)
    assert results.optimization.n_evaluations <= 8


def test_glm_with_closed_forms() -> None:
    data = simulate(9, "gaussian")
    results = fit(data, "gaussian", "x")
    x = np.column_stack([np.ones(len(data)), data["x"]])
    beta, rss = np.linalg.lstsq(x, data["y"].to_numpy(), rcond=None)[:2]
    np.testing.assert_allclose(results.params, beta, rtol=1e-10)
    sigma2 = rss[0] / len(data)
    unbiased = rss[0] / (len(data) - 2)
    assert results.family_params["sigma"] == pytest.approx(np.sqrt(unbiased), rel=1e-9)
    assert results.llf == pytest.approx(-0.5 * len(data) * (np.log(2 * np.pi * sigma2) + 1), abs=1e-9)
    np.testing.assert_allclose(results.bse, np.sqrt(unbiased * np.diag(np.linalg.inv(x.T @ x))), rtol=1e-8)

    counts = simulate(9, "poisson")
    mean = counts["y"].mean()
    results = fit(counts, "poisson", "1")
    assert results.params.iloc[0] == pytest.approx(np.log(mean), abs=1e-9)
    assert results.bse.iloc[0] == pytest.approx(1 / np.sqrt(counts["y"].sum()), rel=1e-7)


@pytest.mark.parametrize(("family", "link"), PAIRS)
def test_zero_variance_is_the_glm(family: str, link: str) -> None:
    model, data, psi = small_model(family, link, 2)
    codes = data["codes"].astype(np.int32)
    x = (data["eta"] - psi[0]) / psi[1]
    size = data["size"] if CASES[family].trials else None
    plain = _core.Model(family, link, len(codes), size, None, None, [None, x], [], [], [], 1)
    at_zero = psi.copy()
    at_zero[2:5] = 0
    without = np.delete(psi, [2, 3, 4])
    for points in (1, 5):
        value, gradient, hessian = _core.evaluate(model, data["y"], at_zero, points, 1)
        glm_value, glm_gradient, glm_hessian = _core.evaluate(plain, data["y"], without, 1, 1)
        keep = np.setdiff1d(np.arange(len(psi)), [2, 3, 4])
        assert value == pytest.approx(glm_value, abs=1e-10)
        np.testing.assert_allclose(gradient[keep], glm_gradient, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(hessian[np.ix_(keep, keep)], glm_hessian, rtol=1e-9, atol=1e-8)
        np.testing.assert_allclose(gradient[2:5], 0, atol=1e-9)
