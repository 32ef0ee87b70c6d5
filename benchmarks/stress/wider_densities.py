"""The density of a problem's rows for what `wider` draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit, log_expit

from .densities import Density
from .ordered import Adjacent, Scaled, Stages, cuts
from .problem import Array, Problem
from .recipe import CHOICES
from .rows import Rows, Split
from .several import Choice, RandomSigma, RandomZero
from .wider import KINDS_OF_ROWS


class LogLogistic(Rows):
    """log y has a logistic distribution around eta with scale exp(-phi)."""

    concave = True

    def __init__(self, problem: Problem, phi: Array) -> None:
        super().__init__(problem)
        self.log_shape = float(phi[0])

    def parts(self, eta: Array) -> tuple[Array, Array, Array]:
        k = np.exp(self.log_shape)
        z = k * (np.log(self.y) - eta)
        below = expit(z)
        value = self.log_shape - np.log(self.y) + log_expit(z) + log_expit(-z)
        return value, k * (2 * below - 1), -2 * k**2 * below * (1 - below)

    def targets(self) -> list[Array]:
        return [np.log(self.y)]


def wider_density(problem: Problem, phi: Array | None) -> Any:
    """Without `phi` one whose `concave` is right."""
    part = problem.part
    if part == "two kinds":
        return two_kinds(problem, phi)
    if part == "custom":
        return LogLogistic(problem, np.zeros(1) if phi is None else phi)
    if part in ("multinomial", *CHOICES):
        return Choice(problem, part == "multinomial")
    if part in ("random zero", "random dispersion"):
        own = {"random dispersion": RandomSigma, "random zero": RandomZero}[part]
        return own(problem, np.zeros(3) if phi is None else phi)
    if phi is None:
        phi = np.arange(2.0 * (problem.categories - 1))
    if part == "scale":
        return Scaled(replace(problem, variant=0), phi)
    return Adjacent(problem, cuts(problem, phi)) if part == "adjacent" else Stages(problem, phi)


def two_kinds(problem: Problem, phi: Array | None) -> Split:
    """Rows of each kind have its family, one after the other in phi."""
    assert problem.split is not None
    label, groups, at = problem.split.astype(int), [], 0
    for k, (family, link) in enumerate(KINDS_OF_ROWS[problem.variant]):
        own = replace(problem.rows(np.flatnonzero(label == k)), family=family, link=link, part="")
        count = own.n_phi
        groups.append(Density(own, np.zeros(count) if phi is None else phi[at : at + count]))
        at += count
    return Split(groups, label)
