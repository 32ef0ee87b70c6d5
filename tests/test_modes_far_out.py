"""Conditional modes that are far from where searches begin, or outside the domain of the link there."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import special

import multilevel as ml
from multilevel import _core

from .family_cases import CASES, PAIRS, Phi
from .test_modes import Array, constant, density

DOMAINS = [(family, link) for family, link in PAIRS if link in CASES[family].outside]


@pytest.mark.parametrize("two_factors", [False, True])
@pytest.mark.parametrize(("family", "link"), DOMAINS)
def test_a_mode_is_found_from_outside_the_domain(family: str, link: str, two_factors: bool) -> None:
    """Without random effects some rows have no density; with them all do."""
    g = np.repeat(np.arange(4), 6).astype(np.int32)
    h = np.tile(np.arange(6), 4).astype(np.int32)
    x = np.linspace(-1, 1, 24)
    phi = CASES[family].phi[0]
    if family != "binomial":
        y, psi = np.tile([3.0, 5.0, 2.0, 4.0, 6.0, 3.0], 4), np.array([-1.0, 0.5, 1.5])
    else:
        y, psi = np.tile([1.0, 0.0, 0.0, 1.0, 0.0, 0.0], 4), np.array([0.4, 0.2, 0.8])
    terms: list[tuple[int, list[Array | None], str]] = [(0, [None], "unstructured")]
    if two_factors:
        psi, terms = np.append(psi, 0.0), [*terms, (1, [None], "unstructured")]
    codes, levels = ([g, h], [4, 6]) if two_factors else ([g], [4])
    model = _core.Model(family, link, 24, None, None, None, [None, x], codes, levels, terms, 1)
    value = _core.evaluate(model, y, np.array([*psi, *phi]), 1, 1)[0]
    expected = 0.0
    for i in range(4):
        own = g == i
        v, step = np.linspace(-12, 12, 24_001), 1e-3
        for _ in range(3):  # again around the best of the last time
            f, w = of_rows(family, link, (psi[0] + psi[1] * x[own])[:, None] + psi[2] * v, y[own][:, None], phi)
            f = f - v**2 / 2
            k = int(f.argmax())
            v, step, best, curvature = v[k] + np.linspace(-2 * step, 2 * step, 4001), step / 1000, f[k], w[k]
        expected += best - 0.5 * np.log1p(psi[2] ** 2 * curvature)
    assert value == pytest.approx(expected, abs=1e-6)


def of_rows(family: str, link: str, eta: Array, y: Array, phi: Phi) -> tuple[Array, Array]:
    """Sums over rows of log densities, minus infinity outside of the domain, and of what they curve downwards."""
    inside = (eta < 0).all(0) if link == "log" else (eta > 0).all(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        if family == "poisson":
            f, w = y * np.log(eta) - eta - special.gammaln(y + 1), y / eta**2
        elif family == "binomial":
            f = np.where(y > 0, eta, np.log1p(-np.exp(eta)))
            w = np.where(y > 0, 0.0, np.exp(eta) / np.expm1(eta) ** 2)
        elif family == "inverse_gaussian":
            f = CASES[family].log_density(link, np.where(eta > 0, eta, np.nan), y, np.ones(1), np.ones(1), phi)
            h = 1e-4 * eta
            up, down = (CASES[family].log_density(link, eta + s * h, y, np.ones(1), np.ones(1), phi) for s in (1, -1))
            w = (2 * f - up - down) / h**2
        elif link == "inverse":
            shape = np.exp(phi[0])
            f = shape * (np.log(eta) - y * eta) + constant("gamma", y, phi[0]) / len(y)
            w = shape / eta**2
        else:
            f, _, second = density(family, eta, y, phi[0])
            f, w = f + constant(family, y, phi[0]) / len(y), -second
    return np.where(inside, f.sum(0), -np.inf), w.sum(0)


# ---- starts that are far out ----


@pytest.mark.parametrize(
    ("right", "points"),
    [("(1 | g)", 1), ("(1 + x | g)", 1), ("(1 | g) + (1 | h)", 1), ("(1 | g) + (1 | k)", 3)],
)
def test_modes_are_found_from_zero_where_that_is_far_out(right: str, points: int) -> None:
    """Responses within 4 %, random effects of a factor of 50: at zero log densities are -1e60."""
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": np.repeat(np.arange(12), 20), "x": rng.normal(size=240)})
    data["k"] = data["g"] * 4 + rng.integers(0, 4, 240)
    data["h"] = rng.integers(0, 6, 240)
    eta = 1 + 2 * data["x"] + 4 * rng.normal(size=12)[data["g"]] + 3 * rng.normal(size=6)[data["h"]] * ("h" in right)
    eta += 2 * rng.normal(size=48)[data["k"]] * ("k" in right)
    data["y"] = np.exp(eta) * rng.weibull(27, 240)
    model = ml.MixedModel(f"y ~ x + {right}", data, "weibull")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        results = model.fit(n_quadrature=points)
        again = model.fit(n_quadrature=points, start=results.fit.psi, max_iter=0)
    assert results.converged
    assert again.converged
    assert again.llf == pytest.approx(results.llf, abs=1e-8)
    for mine, other in zip(results.fit.modes, again.fit.modes, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)
