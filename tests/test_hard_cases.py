"""Data at the edge of what has a maximum: what is said, what is reported, and that it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

import multilevel as ml
from multilevel import _core

from .family_cases import QUICK_COLUMN, drawn
from .hard_data import MOST_EVALUATIONS, Array, assert_usable, grouped, quietly, respond

# ---- constant and perfectly fitted responses ----


@pytest.mark.parametrize("right", ["1", "x", "x + (1 | g)", "x + (1 + x | g)"])
def test_constant_gaussian_response(right: str) -> None:
    data = grouped(3).assign(y=3.5)
    with pytest.warns(ml.ConvergenceWarning, match=r"'y' is 3.5 in all 400 rows: the residual standard deviation goes"):
        results = ml.fit(f"y ~ {right}", data)
    assert not results.converged
    assert results.fit.status == "not converged"
    assert results.optimization.n_evaluations <= 30
    assert_usable(results)


@pytest.mark.parametrize("right", ["x", "x + (1 | g)"])
def test_perfectly_fitted_gaussian_response(right: str) -> None:
    data = grouped(3)
    data["y"] = 1 + 2 * data["x"]
    with pytest.warns(ml.ConvergenceWarning, match=r"fits 'y' exactly: the residual standard deviation goes to zero"):
        results = ml.fit(f"y ~ {right}", data)
    assert not results.converged
    assert_usable(results)


def test_no_variance_within_groups() -> None:
    data = grouped(3)
    data["y"] = data["g"].str[1:].astype(float)
    with pytest.warns(ml.ConvergenceWarning, match=r"fits 'y' exactly: the residual standard deviation goes to zero"):
        results = ml.fit("y ~ 1 + (1 | g)", data)
    assert not results.converged
    assert results.optimization.n_evaluations <= 30
    assert_usable(results)


def test_constant_counts_are_an_ordinary_fit() -> None:
    data = grouped(3).assign(y=3)
    results = quietly("y ~ x + (1 | g)", data, "poisson")
    assert results.converged
    assert results.fit.singular
    assert results.params["(Intercept)"] == pytest.approx(np.log(3), abs=1e-6)
    assert results.params["x"] == pytest.approx(0, abs=1e-6)


# ---- clusters ----


def test_clusters_of_one_row() -> None:
    data = grouped(31, groups=300, per_group=1, sd=1.0)
    rng = np.random.default_rng(1)
    data["n"] = 10
    data["s"] = rng.binomial(10, special.expit(data["eta"]))
    data["c"] = rng.poisson(np.exp(data["eta"]))
    data["y"] = rng.binomial(1, special.expit(data["eta"]))
    for left, family in (("cbind(s, n - s)", "binomial"), ("c", "poisson")):
        results = quietly(f"{left} ~ x + (1 | g)", data, family, n_quadrature=25)
        assert results.converged
        assert results.theta.iloc[0] == pytest.approx(1.0, abs=0.25)
    with pytest.raises(ml.DataError, match="'g' has 300 levels in 300 rows"):
        ml.fit("y ~ x + (1 | g)", data, "binomial")
    with pytest.raises(ml.DataError, match="'g' has 300 levels in 300 rows"):
        ml.fit("eta ~ x + (1 | g)", data)


@pytest.mark.parametrize("points", [1, 25])
def test_clusters_all_zero_or_all_one(points: int) -> None:
    data = respond(grouped(32, groups=80, per_group=4, sd=4.0), "binomial")
    share = data.groupby("g")["y"].mean()
    assert ((share == 0) | (share == 1)).mean() > 0.5
    results = quietly("y ~ x + (1 | g)", data, "binomial", n_quadrature=points)
    assert results.converged
    assert 2.5 < results.theta.iloc[0] < 7
    modes = results.random_effects().set_index("level")["mode"]
    assert np.isfinite(modes).all()
    assert modes[share[share == 1].index].min() > modes[share[share == 0].index].max()
    assert results.optimization.n_evaluations <= MOST_EVALUATIONS


@pytest.mark.parametrize("family", QUICK_COLUMN)
@pytest.mark.parametrize(("right", "points"), [("x + (1 | g)", 1), ("x + (1 | g)", 9), ("x + (1 + x | g)", 1)])
def test_one_huge_cluster(family: str, right: str, points: int) -> None:
    rng = np.random.default_rng(41)
    others = 8_000 if points == 1 else 3_000  # which take longer
    huge = 50_000 if family in ("gaussian", "binomial", "poisson", "gamma") else others
    g = np.concatenate([np.zeros(huge, int), np.repeat(np.arange(1, 201), 5)])
    x = rng.normal(size=len(g))
    a, b = rng.normal(size=(2, 201))
    data = pd.DataFrame({"g": g, "x": x, "eta": 0.3 + 0.5 * x + 0.7 * a[g] + 0.3 * b[g] * x})
    results = quietly(f"y ~ {right}", respond(data, family), family, n_quadrature=points)
    assert results.converged
    assert results.optimization.n_evaluations <= MOST_EVALUATIONS
    assert np.isfinite(results.bse).all()
    assert 0.3 < results.theta.iloc[0] < 1.1


def test_ten_thousand_clusters_of_two() -> None:
    data = respond(grouped(71, groups=10_000, per_group=2), "binomial")
    rough = quietly("y ~ x + (1 | g)", data, "binomial")
    assert rough.converged
    (text,) = rough.warnings
    assert "use n_quadrature='auto'" in text
    results = ml.fit("y ~ x + (1 | g)", data, "binomial", n_quadrature=9)
    assert results.params["x"] == pytest.approx(0.5, abs=4 * results.bse["x"])
    assert results.theta.iloc[0] == pytest.approx(0.8, abs=0.15)
    assert results.optimization.n_evaluations <= MOST_EVALUATIONS


# ---- sizes ----


@pytest.mark.parametrize("family", QUICK_COLUMN)
def test_covariates_of_all_sizes_in_one_model(family: str) -> None:
    data = respond(grouped(51, groups=50, per_group=20, sd_x=0.6), family)
    rng = np.random.default_rng(2)
    data["b"], data["c"] = rng.normal(size=(2, len(data)))
    plain = quietly("y ~ x + b + c + (1 + x | g)", data, family)
    scaled = quietly(
        "y ~ x + b + c + (1 + x | g)",
        data.assign(x=data["x"] * 1e8, b=data["b"] * 1e-8, c=1e6 + data["c"] * 1e3),
        family,
    )
    assert plain.converged
    assert scaled.converged
    unit = np.array([1e8, 1e-8, 1e3])
    shift = -np.log(unit).sum() if plain.method == "reml" else 0.0  # the criterion has log |X'V^-1 X|
    assert scaled.llf == pytest.approx(plain.llf + shift, abs=1e-7)
    np.testing.assert_allclose(scaled.params.to_numpy()[1:] * unit, plain.params.to_numpy()[1:], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(scaled.bse.to_numpy()[1:] * unit, plain.bse.to_numpy()[1:], rtol=1e-5)
    assert "rescale" not in " ".join(scaled.warnings)


def test_counts_of_a_million() -> None:
    data = grouped(61)
    rng = np.random.default_rng(3)
    data["y"] = rng.poisson(1e6 * np.exp(data["eta"]))
    laplace = ml.fit("y ~ x + (1 | g)", data, "poisson")
    fine = ml.fit("y ~ x + (1 | g)", data, "poisson", n_quadrature=9)
    for results in (laplace, fine):
        assert results.converged
        assert results.params["x"] == pytest.approx(0.5, abs=5 * results.bse["x"])
        assert results.bse["x"] < 1e-4
        assert results.optimization.n_evaluations <= MOST_EVALUATIONS
    assert laplace.llf == pytest.approx(fine.llf, abs=1e-6)


def test_a_million_trials() -> None:
    data = grouped(61).assign(n=1_000_000)
    data["y"] = np.random.default_rng(4).binomial(data["n"], special.expit(data["eta"]))
    results = ml.fit("cbind(y, n - y) ~ x + (1 | g)", data, "binomial")
    assert results.converged
    assert results.params["x"] == pytest.approx(0.5, abs=5 * results.bse["x"])
    assert results.optimization.n_evaluations <= MOST_EVALUATIONS


@pytest.mark.parametrize("right", ["x + offset(o)", "x + offset(o) + (1 | g)"])
def test_offsets_of_twenty(right: str) -> None:
    data = grouped(62)
    data["o"] = np.where(np.arange(len(data)) % 2, 20.0, -20.0)
    rng = np.random.default_rng(5)
    counts = data.assign(y=rng.poisson(np.exp(data["eta"] + data["o"])))
    results = quietly(f"y ~ {right}", counts, "poisson")
    assert results.converged
    numbers = data.assign(y=data["eta"] + data["o"] + rng.normal(size=len(data)))
    results = quietly(f"y ~ {right}", numbers)
    assert results.converged
    assert results.llf == pytest.approx(
        quietly(f"y ~ {right.replace('offset(o)', '1')}", numbers.assign(y=numbers["y"] - data["o"])).llf
    )
    # Offsets that contradict the response: the log-likelihood is concave, and its maximum far down.
    against = data.assign(y=rng.binomial(1, special.expit(data["eta"])))
    results = quietly(f"y ~ {right}", against, "binomial")
    assert results.converged, results.fit.message
    assert results.llf < -2000
    assert np.isfinite(results.bse).all()


def test_zero_weights() -> None:
    data = respond(grouped(63), "binomial")
    data["w"] = np.arange(len(data)) % 3
    data.loc[data["g"] == "g00007", "w"] = 0
    results = quietly("y ~ x + (1 | g)", data, "binomial", weights="w")
    kept = quietly("y ~ x + (1 | g)", data[data["w"] > 0], "binomial", weights="w")
    assert results.converged
    assert results.llf == kept.llf
    assert results.n_groups == {"g": 39}
    assert results.nobs == (data["w"] > 0).sum()
    assert results.fit.design.n_zero_weight == (data["w"] == 0).sum()


# ---- unusual formulas ----


def test_no_intercept_and_no_fixed_effects() -> None:
    for family in QUICK_COLUMN:
        data = respond(grouped(72), family)
        slope = quietly("y ~ 0 + x + (1 | g)", data, family)
        assert slope.converged
        assert list(slope.params.index) == ["x"]
        none = quietly("y ~ 0 + (1 | g)", data, family)
        assert none.converged
        assert len(none.params) == 0
        assert none.llf < slope.llf
        assert none.optimization.n_evaluations <= MOST_EVALUATIONS
        assert_usable(none)


def test_redundant_columns() -> None:
    data = respond(grouped(72), "binomial")
    data["twice"] = 2 * data["x"]
    data["shifted"] = data["x"] + 1
    data["constant"] = 7.0
    with pytest.warns(
        ml.RedundantColumnWarning, match="dropped 3 redundant fixed-effect columns: 'twice', 'shifted', 'constant'"
    ) as said:
        results = ml.fit("y ~ x + twice + shifted + constant + (1 | g)", data, "binomial", n_quadrature=9)
    assert said[0].filename == __file__
    assert results.fit.redundant == ("twice", "shifted", "constant")
    assert results.llf == ml.fit("y ~ x + (1 | g)", data, "binomial", n_quadrature=9).llf


def test_more_columns_than_rows() -> None:
    rng = np.random.default_rng(6)
    data = pd.DataFrame(rng.normal(size=(12, 20)), columns=[f"c{k}" for k in range(20)])
    data["g"] = np.repeat(list("abc"), 4)
    data["y"] = rng.normal(size=12)
    right = " + ".join(f"c{k}" for k in range(20))
    with pytest.warns(ml.FitWarning) as caught:
        results = ml.fit(f"y ~ {right}", data)
    texts = [str(w.message) for w in caught]
    assert any("dropped 9 redundant" in text for text in texts)
    assert any("fits 'y' exactly" in text for text in texts)
    assert len(results.params) == 12
    assert not results.converged
    assert_usable(results)


# ---- links ----

# (family, link, intercept, slope, sd)
LINKS = [
    ("binomial", "probit", -0.3, 0.5, 0.6),
    ("binomial", "cloglog", -0.5, 0.5, 0.6),
    ("binomial", "cauchit", -0.3, 0.8, 0.8),
    ("binomial", "log", -1.8, 0.5, 0.25),
    ("poisson", "sqrt", 1.5, 0.5, 0.3),
    ("poisson", "identity", 5.0, 2.0, 0.8),
    ("gaussian", "log", 0.5, 0.8, 0.4),
    ("gamma", "log", 0.5, 0.8, 0.4),
    ("gamma", "inverse", 1.5, 0.5, 0.25),
    ("gamma", "identity", 5.0, 2.0, 0.8),
    ("negative_binomial", "log", 0.5, 0.8, 0.4),
    ("negative_binomial", "identity", 8.0, 2.0, 1.2),
]


@pytest.mark.parametrize(("family", "link", "intercept", "slope", "sd"), LINKS)
@pytest.mark.parametrize("points", [1, 9])
def test_links_that_are_not_canonical(
    family: str, link: str, intercept: float, slope: float, sd: float, points: int
) -> None:
    for seed in range(2):
        rng = np.random.default_rng([200, seed])
        g = np.repeat(np.arange(60), 25)
        x = rng.uniform(size=len(g))
        eta = intercept + slope * x + sd * rng.normal(size=60)[g]
        phi = (0.0,) if ml.Family(family).has_residual else None
        y = drawn(rng, family, eta, link=link, phi=phi)
        data = pd.DataFrame({"g": g, "x": x, "y": y})
        results = quietly("y ~ x + (1 | g)", data, family, link=link, n_quadrature=points)
        assert results.converged, f"seed {seed}: {results.fit.message}"
        assert abs(results.params["x"] - slope) < 4.5 * results.bse["x"]
        assert results.theta.iloc[0] == pytest.approx(sd, rel=0.45)
        assert results.optimization.n_evaluations <= MOST_EVALUATIONS


def test_log_link_at_the_edge_of_its_domain() -> None:
    # Probabilities of one at the end of x: the maximum lies on the edge, eta = 0,
    # and the fit says so or stops inside it.
    x = np.linspace(0, 1, 200)
    rng = np.random.default_rng(7)
    data = pd.DataFrame({"x": x, "y": (rng.uniform(size=200) < x).astype(int), "g": np.arange(200) % 20})
    data.loc[data["x"] > 0.8, "y"] = 1
    for formula in ("y ~ x", "y ~ x + (1 | g)"):
        results = quietly(formula, data, "binomial", link="log")
        assert results.converged or results.fit.message
        assert np.isnan(results.llf) or results.llf < 0
        assert_usable(results)


def test_small_means_with_the_identity_link() -> None:
    for seed in range(4):
        rng = np.random.default_rng([201, seed])
        g = np.repeat(np.arange(40), 25)
        x = rng.uniform(size=len(g))
        y = rng.poisson(np.maximum(0.5 + 3 * x + 0.2 * rng.normal(size=40)[g], 0.01))
        data = pd.DataFrame({"g": g, "x": x, "y": y})
        results = quietly("y ~ x + (1 | g)", data, "poisson", link="identity")
        assert results.converged, f"seed {seed}: {results.fit.message}"
        assert results.params["x"] == pytest.approx(3, abs=0.6)


# ---- limits ----


def test_cost_limit_of_quadrature() -> None:
    data = respond(grouped(81), "gaussian")
    data["z"], data["w"] = np.random.default_rng(8).normal(size=(2, len(data)))
    with pytest.raises(
        ml.DataError, match=r"50\^3 = 125,000 nodes per group; the limit is [\d,]+\. Use n_quadrature=\d+ or fewer"
    ):
        ml.fit("y ~ x + (1 + x + z | g)", data, n_quadrature=50)
    most = int(_core.most_nodes ** (1 / 3) + 1e-9)
    assert most**3 <= _core.most_nodes
    for wrong in (0, -1, 2.5, True, "many"):
        with pytest.raises(ml.DataError, match="n_quadrature is"):
            ml.fit("y ~ x + (1 | g)", data, n_quadrature=wrong)


def test_iteration_limit() -> None:
    data = respond(grouped(82), "binomial")
    with pytest.warns(ml.ConvergenceWarning, match=r"limit of iterations, 1: a further step .* raise max_iter"):
        results = ml.fit("y ~ x + (1 | g)", data, "binomial", max_iter=1)
    assert not results.converged
    assert results.fit.status == "not converged"
    assert_usable(results)


def test_a_bad_start_recovers_or_says_so() -> None:
    data = respond(grouped(83), "binomial")
    good = quietly("y ~ x + (1 | g)", data, "binomial", n_quadrature=5)
    for start in ([0, 0, 0.0], [5, -5, 3.0], [0, 0, 1e-6], [-8, 8, -0.5], [30, 30, 30]):
        results = quietly("y ~ x + (1 | g)", data, "binomial", n_quadrature=5, start=start)
        assert results.converged, f"{start}: {results.fit.message}"
        assert results.llf == pytest.approx(good.llf, abs=1e-7)
        assert results.theta.iloc[0] >= 0
    with pytest.raises(ml.DataError, match="start has shape"):
        ml.fit("y ~ x + (1 | g)", data, "binomial", start=[0.0, 1.0])


@pytest.mark.skipif(sys.platform == "win32", reason="signals work differently there")
def test_interrupt_stops_a_long_fit() -> None:
    code = """
import sys, warnings, numpy as np, pandas as pd, multilevel as ml
rng = np.random.default_rng(0)
g = np.repeat(np.arange(2000), 100)
d = pd.DataFrame({"g": g, "a": rng.normal(size=len(g)), "b": rng.normal(size=len(g))})
u = rng.normal(size=(2000, 3))
d["y"] = rng.binomial(1, 1 / (1 + np.exp(-(u[g, 0] + u[g, 1] * d.a + u[g, 2] * d.b))))
model = ml.MixedModel("y ~ a + b + (1 + a + b | g)", d, "binomial")
print("ready", flush=True)
try:
    model.fit(n_quadrature=11)
    print("done", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready", process.stderr.read() if process.stderr else ""
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        begin = time.perf_counter()
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert out.strip() == "interrupted", err
    assert time.perf_counter() - begin < 10


# ---- a dispersion that begins far from where it ends ----


def test_a_lognormal_response_that_spans_eight_orders_of_magnitude() -> None:
    g = np.repeat(np.arange(9), 3)
    b = np.array([2, 0, 1, 3, 0, 3, 2, 1, 3, 4, 1, 2, 1, 2, 2, 1, 3, 3, 4, 0, 2, 2, 4, 4, 0, 2, 4])
    x = [0.83, -1.51, 1.72, 2.0, -1.23, 0.05, 1.16, -1.13, -0.11, -0.58, -0.64, -0.3, 1.17, 1.18, -1.76, -0.8, 0.67]
    x += [-0.53, -0.51, -0.44, -1.36, 0.13, -1.05, -0.72, -0.56, -0.61, -0.88]
    z = [-0.18, 0.01, -0.14, -0.38, 2.17, -1.19, -0.97, 0.76, -0.58, 0.34, 0.96, 1.08, 1.06, 1.17, -0.99, -1.18, 0.56]
    z += [-0.99, -0.16, -0.51, 1.52, -0.27, -0.77, -0.88, 1.45, 0.64, 0.46]
    off = [0.16, -0.17, -0.21, 0.34, -0.77, 0.02, -0.38, 0.01, -0.19, -0.13, 0.1, 0.31, -0.43, -0.42, 0.35, 0.17, 0.12]
    off += [-0.05, 0.02, 0.05, 0.3, -0.01, -0.33, -0.04, -0.05, 0.4, -0.13]
    y = [25.5258, 711296, 1.17521, 0.0311147, 0.518702, 0.086629, 9.49992, 24.0605, 43.9299, 2.71066, 2449.83, 387.673]
    y += [91612.9, 4587.49, 150874, 1651920, 896.133, 2694.88, 396.845, 451.84, 1590.84, 0.016906, 0.0185603, 0.0189848]
    y += [3.41171, 1451.17, 594.136]
    data = pd.DataFrame({"y": y, "x": x, "z": z, "off": off, "g": g, "b": b})
    results = ml.fit("y ~ x + z + (1 | g/b)", data, "lognormal", offset="off")
    assert results.converged
    # log y is normal: the likelihood of a linear mixed model, and its maximum
    inner = np.unique(np.column_stack([g, b]), axis=0, return_inverse=True)[1].ravel()

    def minus_loglik(psi: Array) -> float:
        of_g, of_b, residual = np.exp(2 * psi[3:])
        eta = np.column_stack([np.ones(27), x, z]) @ psi[:3] + off
        covariance = of_g * (g[:, None] == g) + of_b * (inner[:, None] == inner) + residual * np.eye(27)
        normal = stats.multivariate_normal(eta - residual / 2, covariance)
        return float(-normal.logpdf(np.log(y)) + np.log(y).sum())

    deviations = [*np.sqrt([own[0, 0] for own in results.fit.random_cov]), results.fit.phi["sigma"]]
    there = np.append(results.fit.beta, np.log(deviations))
    best = optimize.minimize(minus_loglik, there + 0.1, method="BFGS")
    assert results.llf == pytest.approx(-minus_loglik(there), rel=1e-10)
    assert results.llf == pytest.approx(-best.fun, abs=1e-6)
