"""Random effects in the mean and in the dispersion: derivatives, brute-force integration, recovery, what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import special, stats

import multilevel as ml
from multilevel import _core

from .family_cases import drawn

Array = NDArray[np.float64]


def grouped(seed: int, family: str, n_groups: int = 20, per_group: int = 12) -> pd.DataFrame:
    """Groups that differ in mean and in dispersion, correlated or not with nothing else."""
    r = np.random.default_rng(seed)
    n = n_groups * per_group
    g = np.repeat(np.arange(n_groups), per_group)
    x, w = r.normal(size=n), r.normal(size=n)
    eta = 0.8 + 0.4 * x + r.normal(0, 0.7, n_groups)[g]
    phi = 0.2 + 0.3 * w + r.normal(0, 0.6, n_groups)[g]
    y = np.array([drawn(r, family, eta[[j]], phi=(phi[j],))[0] for j in range(n)])
    return pd.DataFrame({"y": y, "x": x, "w": w, "g": g, "h": r.integers(0, 5, n)})


MODELS = [
    ("y ~ x + (1 | g)", "~ w + (1 | g)", [0.9, 0.4, 0.8, 0.5, 0.1, 0.2]),
    ("y ~ x", "~ w + (1 | g)", [0.9, 0.4, 0.5, 0.1, 0.2]),
    ("y ~ x + (1 + x | g)", "~ 0 + w + (0 + w | g)", [0.9, 0.4, 0.8, 0.2, 0.3, 0.5, 0.2]),
]


@pytest.mark.parametrize("points", [1, 3])
@pytest.mark.parametrize("family", ["gaussian", "gamma", "negative_binomial"])
@pytest.mark.parametrize(("mean", "dispersion", "psi"), MODELS)
def test_gradient(family: str, mean: str, dispersion: str, psi: list[float], points: int) -> None:
    model = ml.MixedModel(mean, grouped(3, family), family, dispersion=dispersion)
    core, y, at = model._core, model.design.response.values, np.array(psi)
    _, gradient, _ = _core.evaluate(core, y, at, points)
    step = 1e-5

    def value(moved: Array) -> float:
        return _core.evaluate(core, y, moved, points)[0]

    slopes = np.array([(value(at + step * e) - value(at - step * e)) / (2 * step) for e in np.eye(len(at))])
    np.testing.assert_allclose(gradient, slopes, rtol=2e-7, atol=2e-7 * np.abs(gradient).max())


def log_density(family: str, y: float, eta: Array, phi: Array) -> Array:
    """By SciPy, with phi for every value of the linear predictor."""
    if family == "gaussian":
        return stats.norm.logpdf(y, eta, np.exp(phi))
    mu, size = np.exp(eta), np.exp(phi)
    if family == "gamma":
        return stats.gamma.logpdf(y, size, scale=mu / size)
    return stats.nbinom.logpmf(y, size, size / (size + mu))


@pytest.mark.parametrize("family", ["gaussian", "gamma", "negative_binomial"])
def test_brute_force(family: str) -> None:
    """The likelihood at many points against the trapezoidal rule over both random effects, as good as exact."""
    data = grouped(5, family, n_groups=6, per_group=8)
    model = ml.MixedModel("y ~ x + (1 | g)", data, family, dispersion="~ w + (1 | g)")
    b0, b1, sd, sd_phi, c0, c1 = psi = np.array([0.9, 0.4, 0.6, 0.4, 0.1, 0.2])
    nodes = np.linspace(-8.0, 8.0, 321)
    u, v = np.meshgrid(sd * nodes, sd_phi * nodes, indexing="ij")
    log_weights = np.add.outer(*[stats.norm.logpdf(nodes) + np.log(nodes[1] - nodes[0])] * 2)
    total = 0.0
    for _, own in data.groupby("g"):
        f = log_weights + sum(
            log_density(family, row.y, b0 + b1 * row.x + u, c0 + c1 * row.w + v) for row in own.itertuples()
        )
        total += special.logsumexp(f)
    assert _core.evaluate(model._core, model.design.response.values, psi, 45)[0] == pytest.approx(total, rel=1e-10)


def test_recovery() -> None:
    """Two hundred groups: each estimate within four standard errors of what made the data."""
    data = grouped(1, "gaussian", n_groups=200)
    results = ml.fit("y ~ x + (1 | g)", data, dispersion="~ w + (1 | g)", n_quadrature=7)
    assert results.converged
    truth = np.array([0.8, 0.4, 0.7, 0.6, 0.2, 0.3])
    errors = np.sqrt(np.diag(results.fit.covariance))
    assert (np.abs(results.fit.psi - truth) < 4 * errors).all()
    assert list(results.random_cov["g"].columns) == ["(Intercept)", "dispersion: (Intercept)"]
    again = ml.fit(
        "y ~ x + (1 | g)", data.assign(y=1e5 * data["y"]), dispersion="~ w + (1 | g)", n_quadrature=7, threads=1
    )
    assert again.llf + len(data) * np.log(1e5) == pytest.approx(results.llf, rel=1e-9)
    np.testing.assert_allclose(np.diag(again.random_cov["g"]), np.diag(results.random_cov["g"]) * [1e10, 1], rtol=1e-4)


def test_predictions(tmp_path: Path) -> None:
    data = grouped(2, "gamma", n_groups=30)
    results = ml.fit("y ~ x + (1 | g)", data, "gamma", dispersion="~ w + (1 | g)", n_quadrature=5)
    at, modes = results.params_of("dispersion"), results.random_effects().query("term == 'dispersion: (Intercept)'")
    own = modes["mode"].to_numpy()[data["g"]]
    shape = np.exp(at["(Intercept)"] + at["w"] * data["w"] + own)
    np.testing.assert_allclose(results.predict(kind="dispersion"), shape)
    np.testing.assert_allclose(results.predict(data, kind="dispersion"), shape)
    np.testing.assert_allclose(results.predict(data, kind="dispersion", random="zero"), shape / np.exp(own))
    np.testing.assert_allclose(results.predict(data), results.fittedvalues)
    results.save(tmp_path / "fit.ml")
    for other in (ml.load(tmp_path / "fit.ml"), pickle.loads(pickle.dumps(results))):
        np.testing.assert_array_equal(other.predict(kind="dispersion"), results.predict(kind="dispersion"))


def test_no_variance_to_find() -> None:
    """Where groups differ less in dispersion than by chance its variance is zero, and the fit is the plain one."""
    r = np.random.default_rng(8)
    g, x = np.repeat(np.arange(15), 6), r.normal(size=90)
    noise = np.concatenate([r.permutation([-1.3, -0.8, -0.2, 0.2, 0.8, 1.3]) for _ in range(15)])
    data = pd.DataFrame({"g": g, "x": x, "y": x + r.normal(0, 0.8, 15)[g] + noise})
    plain = ml.fit("y ~ x + (1 | g)", data, method="ml")
    with pytest.warns(ml.SingularFitWarning):
        results = ml.fit("y ~ x + (1 | g)", data, dispersion="~ 1 + (1 | g)")
    assert results.llf == pytest.approx(plain.llf, abs=1e-7)
    assert results.random_cov["g"].iloc[1, 1] == 0.0
