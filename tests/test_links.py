"""Inverse links: their derivatives, and averages of these over normal variables."""

from __future__ import annotations

import numpy as np
import pytest

import multilevel as ml
from multilevel import _core
from multilevel.errors import DataError
from multilevel.prediction.links import NO_AVERAGE, averages, derivatives

LINKS = sorted({link for _, links in _core.families() for link in links})
AT = np.array([0.2, 0.7, 1.9])
FIRST = ((1, 0.75), (2, -0.15), (3, 1.0 / 60.0))


@pytest.mark.parametrize("link", LINKS)
def test_derivatives(link: str) -> None:
    """Each is the difference quotient, of sixth order, of the one before; the first of them is the core's mean."""
    family = next(name for name, links in _core.families() if link in links)
    found = derivatives(link, AT, 4)
    np.testing.assert_allclose(found[0], ml.Family(family, link).mean(AT), rtol=1e-14)
    for k in range(4):
        h = 2e-3
        slope = (
            sum(w * (derivatives(link, AT + j * h, k)[k] - derivatives(link, AT - j * h, k)[k]) for j, w in FIRST) / h
        )
        np.testing.assert_allclose(found[k + 1], slope, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "cauchit", "log", "sqrt", "identity"])
@pytest.mark.parametrize("sd", [1e-7, 0.3, 1.0, 5.0])
def test_averages(link: str, sd: float) -> None:
    nodes, weights = np.polynomial.legendre.leggauss(40)
    edges = np.linspace(-14.0, 24.0, 305)
    z = (0.5 * np.diff(edges)[:, None] * (nodes + 1.0) + edges[:-1, None]).ravel()
    w = (0.5 * np.diff(edges)[:, None] * weights).ravel() * np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    centre = np.array([-6.0, -0.7, 0.4, 3.0])
    for k, found in enumerate(averages(link, centre, np.full(4, sd**2), 4)):
        expected = [float(w @ derivatives(link, c + sd * z, 4)[k]) for c in centre]
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14)


def test_rows_of_different_spread() -> None:
    """Rows share nodes with those of like spread, and one that lacks a value disturbs no other."""
    variance = np.array([0.0, 1e-4, 0.5, 30.0, np.nan])
    together = averages("logit", np.full(5, 0.8), variance, 1)
    for k, own in enumerate(variance[:4]):
        alone = averages("logit", np.array([0.8]), np.array([own]), 1)
        assert [one[k] for one in together] == pytest.approx([one[0] for one in alone], rel=1e-13)


@pytest.mark.parametrize("link", NO_AVERAGE)
def test_links_without_a_mean(link: str) -> None:
    np.testing.assert_allclose(averages(link, AT, np.zeros(3), 0)[0], derivatives(link, AT, 0)[0])
    with pytest.raises(DataError, match=f"the {link} link has no mean over normally distributed random effects"):
        averages(link, AT, np.ones(3), 0)
