"""Log densities and their derivatives in fifty digits, by mpmath: python tests/reference/exact_densities.py

Sums of all terms, roots by Newton's method and the incomplete beta function, none of which the core computes so.
Derivatives are differences, with steps whose powers leave enough of the fifty digits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np

WEIGHTS = ([0, 0, 1, 0, 0], [1, -8, 0, 8, -1], [-1, 16, -30, 16, -1], [-1, 2, 0, -2, 1], [1, -4, 6, -4, 1])
BELOW = (1, 12, 12, 2, 1)


def derivatives(value: Any, eta: float, phi: float, place: int) -> dict[str, float]:
    """By eta, to fourth order, and by phi, which is the family's parameter of that number."""
    h = mp.mpf(10) ** -7
    at = {(i, j): value(mp.mpf(eta) + i * h, mp.mpf(phi) + j * h) for i in range(-2, 3) for j in (-1, 0, 1)}

    def by_eta(order: int, *of: int) -> Any:
        values = [sum(w * at[i, j] for w, j in zip(of, (-1, 0, 1), strict=True)) for i in range(-2, 3)]
        return sum(w * v for w, v in zip(WEIGHTS[order], values, strict=True)) / BELOW[order] / h**order

    found = {"value" if order == 0 else f"d{order}": by_eta(order, 0, 1, 0) for order in range(5)}
    found |= {f"phi{place}_d{order}": by_eta(order, -1, 0, 1) / (2 * h) for order in range(4)}
    found |= {f"phi{place}_{place}_d{order}": by_eta(order, 1, -2, 1) / h**2 for order in range(3)}
    return {name: float(number) for name, number in found.items()}


class ExactConwayMaxwell:
    """The log density: sums of all terms that count, and a root by Newton's method."""

    def __init__(self, mu: float, nu: float) -> None:
        spread = np.sqrt((mu + 1) / nu)
        reach = int(30 * spread + 100 * (1 + (1 + mu) * (nu * mu < 10)) + 60)
        self.middle = int(mu)
        self.counts = range(max(self.middle - reach, 0), self.middle + reach)
        falls = [mp.mpf(0)]
        for j in self.counts[1:]:
            falls.append(falls[-1] + mp.log(j))
        self.falls = [fall - falls[self.counts.index(self.middle)] for fall in falls]
        self.root = mp.log(mp.mpf(mu)) * (mp.mpf(nu) if mu > 1 else 1)

    def __call__(self, y: float, eta: Any, phi: Any) -> Any:
        mu, nu = mp.exp(eta), mp.exp(-phi)
        for _ in range(200):
            terms = [
                mp.exp((j - self.middle) * self.root - nu * g) for j, g in zip(self.counts, self.falls, strict=True)
            ]
            total = mp.fsum(terms)
            mean = mp.fsum(j * t for j, t in zip(self.counts, terms, strict=True)) / total
            variance = mp.fsum((j - mean) ** 2 * t for j, t in zip(self.counts, terms, strict=True)) / total
            move = -mp.log(mean / mu) * mean / variance
            self.root += max(min(move, mp.mpf(2)), mp.mpf(-2))
            if abs(move) < mp.mpf(10) ** -24:  # what is left is its square, and only changes the value by that of it
                break
        else:
            raise AssertionError("no root")
        total = mp.fsum(
            mp.exp((j - self.middle) * self.root - nu * g) for j, g in zip(self.counts, self.falls, strict=True)
        )
        fall = mp.loggamma(mp.mpf(y) + 1) - mp.loggamma(mp.mpf(self.middle) + 1)
        return (y - self.middle) * self.root - nu * fall - mp.log(total)


def student_tail(eta: Any, log_df: Any) -> Any:
    """The log probability of what lies below zero."""
    n = mp.exp(log_df)
    tail = mp.betainc(n / 2, mp.mpf(1) / 2, 0, n / (n + eta * eta), regularized=True) / 2
    return mp.log(tail if eta > 0 else 1 - tail)


COUNTS = [
    (1e-6, 0.3, 0.0), (1e-3, 5.0, 1.0), (0.4, 0.01, 2.0), (0.7, 30.0, 1.0), (2.9, 50.0, 3.0), (6.3, 0.4, 2.0),
    (12.0, 2.0, 19.0), (40.0, 4.0, 37.0), (70.0, 0.3, 110.0), (90.0, 30.0, 91.0), (270.0, 0.5, 300.0),
    (300.0, 0.001, 10.0), (900.0, 0.004, 1500.0), (2000.0, 0.01, 2900.0), (5000.0, 0.02, 4000.0),
]  # fmt: skip

with mp.workdps(50):
    counts, tails = [], []
    for mu, nu, y in COUNTS:
        eta, phi = float(np.log(mu)), float(-np.log(nu))
        own = ExactConwayMaxwell(mu, nu)
        expected = derivatives(lambda e, p, own=own, y=y: own(y, e, p), eta, phi, 0)
        counts.append({"mu": mu, "nu": nu, "y": y, "eta": eta, "phi": phi, "expected": expected})
        print(counts[-1])
    for df in (0.05, 0.4, 1.0, 3.0, 12.0, 100.0):
        for eta in (-50.0, -4.0, -2.0, -0.3, 0.02, 0.9, 1.9, 2.2, 4.0, 30.0, 1000.0):
            log_df = float(np.log(df))
            tails.append({"eta": eta, "log_df": log_df, "expected": derivatives(student_tail, eta, log_df, 1)})
    path = Path(__file__).parent / "exact_densities.json"
    path.write_text(
        json.dumps({"conway_maxwell_poisson": counts, "student_t_tail": tails}, indent=1) + "\n", encoding="utf-8"
    )
