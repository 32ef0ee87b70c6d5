"""Several grouping factors with random effects in several predictors of a row: against the definition, one factor,
glmmTMB; derivatives, threads, hard cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import multilevel as ml
from multilevel import _core

from .dense_laplace import Array, indicators, laplace
from .reference_files import read_data

N, G, H = 120, 6, 4
REFERENCE = json.loads((Path(__file__).parent / "reference" / "joint_several.json").read_text(encoding="utf-8"))["fits"]


def crossed(family: str, zeros: bool, seed: int = 3) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    g, h, x = r.integers(0, G, N), r.integers(0, H, N), r.normal(size=N)
    eta = 0.5 + 0.3 * x + r.normal(0, 0.5, G)[g] + r.normal(0, 0.4, H)[h]
    y = {
        "gaussian": lambda: r.normal(eta, 0.5),
        "gamma": lambda: r.gamma(2, np.exp(eta) / 2),
        "beta": lambda: r.beta(2, 3, N),
    }.get(family, lambda: r.poisson(np.exp(eta)))()
    if zeros:
        y = np.where(r.random(N) < 0.3, 0, y)
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "w": r.uniform(0.5, 2, N), "o": r.normal(0, 0.3, N)})


def base_density(family: str, y: Array, eta: Array, phi: Array | float) -> Array:
    """By SciPy, with a phi for each row."""
    if family == "poisson":
        return stats.poisson.logpmf(y, np.exp(eta))
    if family == "gaussian":
        return stats.norm.logpdf(y, eta, np.exp(phi))
    if family == "gamma":
        return stats.gamma.logpdf(y, np.exp(phi), scale=np.exp(eta - phi))
    if family == "beta":
        return stats.beta.logpdf(y, np.exp(phi) * special.expit(eta), np.exp(phi) * special.expit(-eta))
    return stats.nbinom.logpmf(y, np.exp(phi), special.expit(phi - eta))


def zero_density(by: str, family: str, y: Array, eta: Array, phi: float, zeta: Array) -> Array:
    none, some = special.log_expit(zeta), special.log_expit(-zeta)
    zero, own = base_density(family, 0 * y, eta, phi), base_density(family, y, eta, phi)
    if by == "zero_inflation":
        return np.where(y == 0, np.logaddexp(none, some + zero), some + own)
    return np.where(y == 0, none, some + own - np.log(-np.expm1(zero)))


def evaluated(model: ml.MixedModel, psi: Array, threads: int = 1) -> tuple[float, Array, Array]:
    return _core.evaluate(model._core, model.design.response.values, psi, 1, threads)


def agrees(model: ml.MixedModel, psi: Array, expected: float) -> None:
    """The value with the definition's, the gradient with differences of the value, the same bits by any threads."""
    value, gradient, hessian = evaluated(model, psi)
    assert value == pytest.approx(expected, rel=3e-9, abs=3e-9)  # differences of densities have no more digits
    step = 1e-5
    slopes = [
        (evaluated(model, psi + step * e)[0] - evaluated(model, psi - step * e)[0]) / (2 * step)
        for e in np.eye(len(psi))
    ]
    np.testing.assert_allclose(gradient, slopes, rtol=0, atol=1e-7 * np.abs(gradient).max())
    np.testing.assert_allclose(hessian, hessian.T)
    for threads in (2, 3):
        again = evaluated(model, psi, threads)
        assert again[0] == value
        np.testing.assert_array_equal(again[1], gradient)


@pytest.mark.parametrize(
    ("family", "by"),
    [
        ("poisson", "zero_inflation"),
        ("negative_binomial", "zero_inflation"),
        ("poisson", "hurdle"),
    ],
)
def test_zero_parts(family: str, by: str) -> None:
    data = crossed(family, zeros=True)
    arguments: Any = {by: "~ x + (1 | g)"}
    model = ml.MixedModel("y ~ x + (1 | g) + (1 | h)", data, family, **arguments)
    size = [] if family == "poisson" else [0.4]
    psi = np.array([0.5, 0.3, 0.6, 0.4, 0.5, *size, -0.8, 0.2])
    y, x, g, h = (data[name].to_numpy() for name in ("y", "x", "g", "h"))
    scaled = [
        np.hstack([0.6 * indicators(g), 0.4 * indicators(h), np.zeros((N, G))]),
        np.hstack([np.zeros((N, G + H)), 0.5 * indicators(g)]),
    ]
    expected, _ = laplace(
        lambda at: zero_density(by, family, y, at[0], 0.4, at[1]), [0.5 + 0.3 * x, -0.8 + 0.2 * x], scaled
    )
    agrees(model, psi, expected)


@pytest.mark.parametrize("family", ["gaussian", "gamma", "beta", "negative_binomial"])
def test_dispersions(family: str) -> None:
    """The mean on one factor, the dispersion on both."""
    data = crossed(family, zeros=False)
    model = ml.MixedModel("y ~ x + (1 + x | g)", data, family, dispersion="~ x + (1 | h) + (1 | g)")
    psi = np.array([0.5, 0.3, 0.6, 0.1, 0.2, 0.4, 0.5, 0.2, 0.1])
    y, x, g, h = (data[name].to_numpy() for name in ("y", "x", "g", "h"))
    groups = indicators(g)
    scaled = [
        np.hstack([(0.6 + 0.1 * x)[:, None] * groups, 0.2 * x[:, None] * groups, np.zeros((N, G + H))]),
        np.hstack([np.zeros((N, 2 * G)), 0.5 * groups, 0.4 * indicators(h)]),
    ]
    expected, _ = laplace(lambda at: base_density(family, y, at[0], at[1]), [0.5 + 0.3 * x, 0.2 + 0.1 * x], scaled)
    agrees(model, psi, expected)


def test_weights_and_offset() -> None:
    data = crossed("poisson", zeros=True)
    model = ml.MixedModel(
        "y ~ x + offset(o) + (1 | h)", data, "poisson", weights="w", zero_inflation="~ offset(o) + (1 | g)"
    )
    y, x, g, h, w, o = (data[name].to_numpy() for name in ("y", "x", "g", "h", "w", "o"))
    scaled = [
        np.hstack([0.4 * indicators(h), np.zeros((N, G))]),
        np.hstack([np.zeros((N, H)), 0.5 * indicators(g)]),
    ]
    expected, _ = laplace(
        lambda at: w * zero_density("zero_inflation", "poisson", y, at[0], 0.0, at[1]),
        [0.5 + 0.3 * x + o, -0.8 + o],
        scaled,
    )
    agrees(model, np.array([0.5, 0.3, 0.4, 0.5, -0.8]), expected)


@pytest.mark.parametrize(
    ("family", "parts"),
    [("negative_binomial", {"zero_inflation": "~ x + (1 | g)"}), ("gaussian", {"dispersion": "~ (1 + x | g)"})],
)
def test_one_factor_of_two(family: str, parts: dict[str, str]) -> None:
    """A factor whose variance is zero: what one factor gives, by code of its own."""
    data = crossed(family, zeros=family != "gaussian")
    data["few"] = data["g"] % 2  # g is nested in it
    one = ml.MixedModel("y ~ x + (1 | g)", data, family, **parts)
    n = one._core.n_beta + one._core.n_theta + one._core.n_phi
    psi = np.linspace(0.3, 0.7, n)
    value, gradient, hessian = evaluated(one, psi)
    for other in ("h", "few"):
        two = ml.MixedModel(f"y ~ x + (1 | g) + (1 | {other})", data, family, **parts)
        there = np.arange(n + 1) != 3
        at = np.zeros(n + 1)
        at[there] = psi
        found = evaluated(two, at)
        assert found[0] == pytest.approx(value, rel=1e-11)
        np.testing.assert_allclose(found[1][there], gradient, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(found[2][np.ix_(there, there)], hessian, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("key", list(REFERENCE))
def test_glmmtmb(key: str) -> None:
    """Salamanders, species crossed with sites."""
    theirs = REFERENCE[key]
    data = read_data("Salamanders")
    data["mined"] = pd.Categorical(data["mined"], ["yes", "no"])
    hurdle = theirs["family"].startswith("truncated")
    results = ml.fit(
        theirs["formula"],
        data,
        "negative_binomial" if "nbinom2" in theirs["family"] else "poisson",
        **{"hurdle" if hurdle else "zero_inflation": theirs["zero"]},
    )
    assert results.converged
    assert results.llf == pytest.approx(theirs["loglik"], abs=1e-7)
    p, q, size = len(theirs["fixed"]), len(theirs["sd"] + theirs["zero_sd"]), len(theirs["log_dispersion"])
    psi, errors = results.fit.psi, np.sqrt(np.diag(results.fit.covariance))
    np.testing.assert_allclose(psi[:p], theirs["fixed"], atol=2e-5)
    np.testing.assert_allclose(np.abs(psi[p : p + q]), theirs["sd"] + theirs["zero_sd"], atol=2e-5)
    np.testing.assert_allclose(psi[p + q + size :], theirs["zero_fixed"], atol=2e-5)
    n_zero = len(theirs["zero_fixed"])
    np.testing.assert_allclose(errors[:p], theirs["se"][:p], rtol=1e-4)
    np.testing.assert_allclose(errors[p + q + size :], theirs["se"][p : p + n_zero], rtol=1e-4)
    modes = results.random_effects()
    for part, own in (("", "modes"), ("zero: ", "zero_modes")):
        if part and "site" not in theirs["zero"]:
            continue
        found = modes.query("group == 'site' and term == @part + '(Intercept)'").set_index("level")["mode"]
        expected = np.array(theirs[own][: len(found)])
        order = sorted(found.index)  # glmmTMB's levels are in the order of the alphabet
        np.testing.assert_allclose(found[order], expected, atol=2e-4)


@pytest.mark.parametrize(
    ("parts", "points", "message"),
    [
        ("~ (1 | h)", 5, r"random effects in the zero formula needs one grouping factor.*'g', 'h'. Use n_quadrature=1"),
        ("~ (1 | g) + (1 | same)", 1, "'g' and 'same' have the same 6 groups"),
        ("~ (1 | g) + (1 + x | g)", 1, "can be told"),
    ],
)
def test_refused(parts: str, points: int, message: str) -> None:
    data = crossed("poisson", zeros=True)
    data["same"] = data["g"].map("abcdef".__getitem__)
    with pytest.raises(ml.DataError, match=message):
        ml.fit("y ~ x + (1 | g)", data, "poisson", zero_inflation=parts, n_quadrature=points)
