"""The parameter vector psi cut into its parts, each with its names and on the scale on which it is reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .covariance import factor, parameter_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..design.design import Design
    from ..family.registry import Family


@dataclass(frozen=True, eq=False)
class Parts:
    """What psi = (beta, theta, phi) says, part by part; the attributes of `Fit` with these names tell what they are."""

    names: tuple[str, ...]
    beta: NDArray[np.float64]
    theta_values: tuple[NDArray[np.float64], ...]
    theta: tuple[NDArray[np.float64], ...]
    random_cov: tuple[NDArray[np.float64], ...]
    phi: dict[str, float]


def parts(design: Design, family: Family, kept: tuple[str, ...], psi: NDArray[np.float64]) -> Parts:
    """Cuts psi, whose fixed effects are those of the columns `kept`."""
    names, values, factors, at = list(kept), [], [], len(kept)
    for term in design.random_terms:
        group = design.grouping_factors[term.grouping_factor].name
        own = parameter_names(term.structure, term.names)
        names += [f"{group}: {name}" for name in own]
        values.append(psi[at : at + len(own)])
        factors.append(factor(term.structure, values[-1], len(term.names)))
        at += len(own)
    share = float(np.sqrt(variance_share(design, family, len(kept))))
    return Parts(
        names=(*names, *(own.internal for own in family.parameters)),
        beta=psi[: len(kept)],
        theta_values=tuple(values),
        theta=tuple(factors),
        random_cov=tuple(half @ half.T for half in factors),
        phi={own.name: own.natural(psi[at + r]) * share for r, own in enumerate(family.parameters)},
    )


def variance_share(design: Design, family: Family, n_fixed: int) -> float:
    """What variances are multiplied by: n / (n - p) in linear models without random effects, where the maximum of the
    likelihood has the residual sum of squares over n; else 1.
    """
    if family.is_linear and not design.random_terms and design.n_rows > n_fixed:
        return design.n_rows / (design.n_rows - n_fixed)
    return 1.0
