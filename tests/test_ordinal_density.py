"""Ordered categories: the density of a row and its derivatives, also where categories are narrow and far out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from multilevel import _core

from .family_cases import Array

LINKS = ["logit", "probit", "cloglog", "loglog", "cauchit"]
NODES, WEIGHTS = np.polynomial.legendre.leggauss(80)


def log_density_of(link: str, x: Array) -> Array:
    """Of the distribution that the link names."""
    with np.errstate(over="ignore"):
        return {
            "logit": lambda: special.log_expit(x) + special.log_expit(-x),
            "probit": lambda: -(x**2) / 2 - np.log(2 * np.pi) / 2,
            "cloglog": lambda: x - np.exp(x),
            "loglog": lambda: -x - np.exp(-x),
            "cauchit": lambda: -np.log1p(x**2) - np.log(np.pi),
        }[link]()


def log_below(link: str, x: Array) -> Array:
    """Logarithm of the distribution function."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return {
            "logit": lambda: special.log_expit(x),
            "probit": lambda: special.log_ndtr(x),
            "cloglog": lambda: np.where(x < -15, x - np.exp(x) / 2, np.log(-np.expm1(-np.exp(x)))),
            "loglog": lambda: -np.exp(-x),
            "cauchit": lambda: np.log(np.arctan2(1.0, -x) / np.pi),
        }[link]()


def log_above(link: str, x: Array) -> Array:
    """Logarithm of what is left of one."""
    mirrored = {"cloglog": "loglog", "loglog": "cloglog"}.get(link, link)
    return log_below(mirrored, -x)


def log_between(link: str, upper: Array, lower: Array) -> Array:
    """Of an interval that is not wide: the integral of the density, relative to its largest value."""
    middle, half = (upper + lower) / 2, (upper - lower) / 2
    values = log_density_of(link, middle[:, None] + half[:, None] * NODES)
    largest = values.max(axis=1)
    return largest + np.log(half * (np.exp(values - largest[:, None]) @ WEIGHTS))


def rows_of(link: str) -> tuple[Array, Array, Array]:
    """Linear predictors, upper and lower ends: ordinary ones, far out, narrow; the first and the last category."""
    ends = [(0.5, -0.7), (3.0, 2.0), (0.2, 0.1999), (-1.0, -1.0 - 1e-7), (np.inf, 0.4), (0.3, -np.inf)]
    far = {"cloglog": [-4.0, -1.0, 0.0, 8.0, 30.0], "loglog": [-30.0, -8.0, 0.0, 1.0, 4.0]}
    eta = far.get(link, [-40.0, -6.0, 0.0, 0.3, 5.0, 40.0])
    at = np.array([(e, *own) for e in eta for own in ends])
    return at[:, 0], at[:, 1], at[:, 2]


def derivatives(link: str, eta: Array, upper: Array, lower: Array) -> dict[str, Array]:
    one = np.ones(len(eta))
    return _core.Family("cumulative", link).derivatives(eta, one, one, one, np.column_stack([upper, lower]))


@pytest.mark.parametrize("link", LINKS)
def test_log_density(link: str) -> None:
    eta, upper, lower = rows_of(link)
    first, last = np.isinf(lower), np.isinf(upper)
    expected = np.where(first, log_below(link, upper - eta), log_above(link, lower - eta))
    inside = ~first & ~last
    expected[inside] = log_between(link, (upper - eta)[inside], (lower - eta)[inside])
    width = np.where(inside, upper - lower, 1.0)
    # the ends are rounded: a narrow interval has that of its width
    tolerance = 1e-12 * (1 + np.abs(expected)) + 4e-16 * (1 + np.abs(eta)) / width
    assert (np.abs(derivatives(link, eta, upper, lower)["value"] - expected) < tolerance).all()


@pytest.mark.parametrize("link", LINKS)
def test_derivatives_against_differences(link: str) -> None:
    eta, upper, lower = (own[np.abs(rows_of(link)[0]) < 7] for own in rows_of(link))
    wide = ~(upper - lower < 0.05)  # of narrow categories, whose differences lose their digits, see below
    eta, upper, lower, step = eta[wide], upper[wide], lower[wide], 0.01
    if link in ("cloglog", "loglog"):
        eta = np.clip(eta, -3, 3)  # beyond, a density that falls as exp(-exp(x)) leaves no digits to differences
    weights = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 0, 4 / 5, -1 / 5, 4 / 105, -1 / 280])
    d = derivatives(link, eta, upper, lower)

    def slope(name: str, by: int) -> Array:
        total = np.zeros(len(eta))
        for k, w in zip(range(-4, 5), weights, strict=True):
            at = [eta, upper, lower]
            at[by] = at[by] + k * step
            total += w * derivatives(link, *at)[name] / step
        return total

    pairs = [(f"d{k + 1}", "value" if k == 0 else f"d{k}", 0) for k in range(4)]
    pairs += [(f"phi{r}_d{k}", "value" if k == 0 else f"d{k}", r + 1) for r in range(2) for k in range(4)]
    pairs += [(f"phi{r}_{s}_d{k}", f"phi{r}_d{k}", s + 1) for r in range(2) for s in range(r + 1) for k in range(3)]
    for name, lower_name, by in pairs:
        expected = slope(lower_name, by)
        error = np.abs(d[name] - expected) / (np.abs(expected) + 1e-3 * np.abs(d[lower_name]) + 1e-4)
        assert error.max() < 4e-7, f"{name}: {error.max():.2g} at {int(error.argmax())}"


@pytest.mark.parametrize("link", LINKS)
def test_narrow_categories(link: str) -> None:
    """log P = log f(m) + log w + w^2 f''(m) / (24 f(m)) + ... of width w around m, whose derivatives are known."""
    middle, width = np.array([-2.0, -0.4, 0.0, 0.7, 1.5]), 1e-5
    d = derivatives(link, np.zeros(5), middle + width / 2, middle - width / 2)
    h = 1e-3
    log_f = [log_density_of(link, middle + k * h) for k in (-2, -1, 0, 1, 2)]
    slope = (log_f[0] - 8 * log_f[1] + 8 * log_f[3] - log_f[4]) / (12 * h)
    bend = (-log_f[0] + 16 * log_f[1] - 30 * log_f[2] + 16 * log_f[3] - log_f[4]) / (12 * h**2)
    np.testing.assert_allclose(d["value"], log_f[2] + np.log(width), rtol=1e-10)
    np.testing.assert_allclose(d["d1"], -slope, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(d["d2"], bend, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(d["phi0_d0"] - 1 / width, slope / 2, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(d["phi1_d0"] + 1 / width, slope / 2, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(d["phi0_0_d0"] * width**2, -1.0, rtol=1e-8)
    np.testing.assert_allclose(d["phi1_0_d0"] * width**2, 1.0, rtol=1e-8)


def test_thresholds_out_of_order_have_no_density() -> None:
    for link in LINKS:
        d = derivatives(link, np.zeros(2), np.array([0.0, 1.0]), np.array([0.5, 1.0]))
        assert np.isnan(d["value"]).all()


@pytest.mark.parametrize(("link", "side"), [("cloglog", 1.0), ("loglog", -1.0)])
def test_rates_far_out_keep_their_digits(link: str, side: float) -> None:
    """Beyond the last threshold log P is -exp(threshold - eta), and so are its derivatives, at any rate."""
    family, one = _core.Family("cumulative", link), np.ones(1)
    for end in (-5.0, 1.0, 7.0, 39.0, 200.0):
        ends = [np.inf, end] if side > 0 else [-end, -np.inf]
        d = family.derivatives(0 * one, 3 * one, one, one, ends)
        expected = [-np.exp(end) * (-side) ** k for k in range(5)]
        np.testing.assert_allclose([d[k][0] for k in ("value", "d1", "d2", "d3", "d4")], expected, rtol=1e-13)
    ends = [-40.0, -50.0] if side > 0 else [50.0, 40.0]
    d = family.derivatives(0 * one, 2 * one, one, one, ends)
    assert d["value"][0] == pytest.approx(-40 + np.log(-np.expm1(-10.0)), rel=1e-14)
    assert d["d2"][0] == pytest.approx(-0.5 * (np.exp(-40.0) + np.exp(-50.0)), rel=1e-12)
