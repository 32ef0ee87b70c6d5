"""Densities of modified families by NumPy alone, from those of the families in `family_cases`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

import multilevel as ml
from multilevel import _core

from .family_cases import CASES, PAIRS, Array, Outcomes, Phi

ZETA = (-0.7, 1.5)
# Counts and trials whose probability of a zero has digits relative to one, not to what it lacks to one.
ROUGH_ZEROS = ("binomial", "beta_binomial", "conway_maxwell_poisson")
EXTREME_ZETA = (-25.0, 25.0)


@dataclass(frozen=True)
class Modified:
    """A family of the registry and what modifies it: "truncated", "inflation" or "hurdle"."""

    base: str
    link: str
    by: str

    @property
    def core(self) -> _core.Family:
        if self.by == "truncated":
            return _core.Family(f"truncated_{self.base}", self.link)
        return _core.Family(self.base, self.link, self.by)

    @property
    def family(self) -> ml.Family:
        if self.by == "truncated":
            return ml.Family(f"truncated_{self.base}", self.link)
        return ml.Family(self.base, self.link, zero=self.by)

    @property
    def discrete(self) -> bool:
        return _core.Family(self.base, self.link).mass_at_zero

    @property
    def rough(self) -> bool:
        """Whether what is left without zeros has few digits where zeros are nearly all."""
        return self.by != "inflation" and self.base in ROUGH_ZEROS

    @property
    def n_base(self) -> int:
        return len(CASES[self.base].phi[0])

    def __str__(self) -> str:
        return f"{self.by}-{self.base}-{self.link}"

    def responses(self) -> list[tuple[float, float]]:
        """Typical ones, with trials, and zero where it may be one."""
        own = [r for r in CASES[self.base].responses if r[0] > 0]
        return own if self.by == "truncated" else [(0.0, 1.0), (0.0, 5.0), *own] if CASES[self.base].trials else [
            (0.0, 1.0), *own
        ]  # fmt: skip

    def log_density(self, eta: Array, y: Array, size: Array, weights: Array, phi: Phi) -> Array:
        """The definition; logarithms of small differences are taken where they have digits."""
        case, own = CASES[self.base], phi[: self.n_base]
        one = np.ones_like(eta)
        some = y if self.discrete else np.where(y > 0, y, 0.5)
        density = case.log_density(self.link, eta, some, size, one, own)
        zero = case.log_density(self.link, eta, 0.0 * y, size, one, own) if self.discrete else None
        if self.by == "truncated":
            return weights * (density - log_complement(zero))
        none, rest = special.log_expit(phi[-1]), special.log_expit(-phi[-1])
        if self.by == "inflation" and self.discrete:
            with np.errstate(under="ignore"):
                lost = np.exp(rest) * -np.expm1(zero)
                inflated = np.where(lost < 0.5, np.log1p(-np.minimum(lost, 0.5)), np.logaddexp(none, rest + zero))
            return weights * np.where(y == 0, inflated, rest + density)
        nonzero = density - (log_complement(zero) if self.discrete else 0.0)
        return weights * np.where(y == 0, none, rest + nonzero)

    def outcomes(self, mean: float, phi: Phi) -> Outcomes:
        """All that can happen, given the mean of the family that is modified."""
        own = CASES[self.base].outcomes(mean, phi[: self.n_base])
        if self.by == "truncated":
            return Outcomes(own.y[1:], own.weight[1:], own.size)
        if self.discrete:
            return own
        return Outcomes(np.r_[0.0, own.y], np.r_[1.0, own.weight], own.size)


def log_complement(log_p: Array) -> Array:
    """log(1 - p)."""
    with np.errstate(under="ignore", divide="ignore", invalid="ignore"):
        return np.where(log_p > -0.69, np.log(-np.expm1(log_p)), np.log1p(-np.exp(log_p)))


def all_modified() -> list[Modified]:
    """Every family and link of the registry with everything that modifies it."""
    return [
        Modified(base, link, by)
        for base, link in PAIRS
        if base in CASES
        for by in _core.Family(base, link).modifiers
        if by != "censored"
    ]


def modified_settings(*, extreme: bool = False) -> list[tuple[Modified, Phi]]:
    """Each with ordinary (or also extreme) values of its parameters."""
    found = []
    for own in all_modified():
        case = CASES[own.base]
        for phi in case.phi + (case.extreme if extreme else ()):
            if own.by == "truncated":
                found.append((own, phi))
                continue
            found += [(own, (*phi, zeta)) for zeta in ZETA + (EXTREME_ZETA if extreme else ())]
    return found
