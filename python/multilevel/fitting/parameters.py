"""The parameter vector psi cut into its parts, each with its names and on the scale on which it is reported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .covariance import factor, parameter_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..design.design import Design
    from ..design.parts import DesignPart
    from ..family.registry import Family


@dataclass(frozen=True)
class Component:
    """A part of the model beside the mean: the coefficients that make one of the family's parameters.

    Attributes
    ----------
    name, parameter : str
        Of the part, "dispersion" or "zero", and of the family's parameter.
    names, redundant : tuple of str
        Columns kept, and columns dropped as linear combinations of earlier ones.
    first : int
        Where the coefficients begin in psi.
    """

    name: str
    parameter: str
    names: tuple[str, ...]
    redundant: tuple[str, ...]
    first: int


@dataclass(frozen=True, eq=False)
class Parts:
    """What psi = (beta, theta, phi) says, part by part; the attributes of `Fit` with these names tell what they are."""

    names: tuple[str, ...]
    beta: NDArray[np.float64]
    theta_values: tuple[NDArray[np.float64], ...]
    theta: tuple[NDArray[np.float64], ...]
    random_cov: tuple[NDArray[np.float64], ...]
    phi: dict[str, float]
    components: tuple[Component, ...]


def parts(
    design: Design,
    family: Family,
    kept: tuple[str, ...],
    psi: NDArray[np.float64],
    dropped: Mapping[str, Sequence[int]],
) -> Parts:
    """Cuts psi, whose fixed effects are those of the columns `kept`.

    `dropped` has the positions of redundant columns of the parts beside the mean, by the family's parameter.
    """
    names, values, factors, at = list(kept), [], [], len(kept)
    for term in design.random_terms:
        group = design.grouping_factors[term.grouping_factor].name
        own = parameter_names(term.structure, term.names)
        names += [f"{group}: {name}" for name in own]
        values.append(psi[at : at + len(own)])
        factors.append(factor(term.structure, values[-1], len(term.names)))
        at += len(own)
    share = float(np.sqrt(variance_share(design, family, len(kept))))
    kind = family.parameters[0].name if family.kinds else None  # of a row, and no number of the model
    phi, components = {name: value for name, value in family.given.items() if name != kind}, []
    by_parameter = {part.parameter: part for part in design.parts}
    for parameter in family.parameters:
        if parameter.name in family.given:
            continue
        if parameter.part == "thresholds" and parameter.name != family.parameters[0].name:
            continue  # the thresholds are one part of the model
        if parameter.name in by_parameter:
            component = _component(by_parameter[parameter.name], dropped[parameter.name], at)
            if design.thresholds is not None and parameter.name == family.parameters[0].name:
                columns = by_parameter[parameter.name].fixed
                kept_columns = [column for column in columns if column.name in component.names]
                component = replace(component, names=design.thresholds.coefficient_names(kept_columns))
            components.append(component)
            names += [f"{component.name}: {name}" for name in component.names]
            at += len(component.names)
            continue
        phi[parameter.name] = parameter.natural(psi[at]) * share
        names.append(parameter.internal)
        at += 1
    return Parts(
        names=tuple(names),
        beta=psi[: len(kept)],
        theta_values=tuple(values),
        theta=tuple(factors),
        random_cov=tuple(half @ half.T for half in factors),
        phi=phi,
        components=tuple(components),
    )


def _component(part: DesignPart, dropped: Sequence[int], first: int) -> Component:
    names = [column.name for column in part.fixed]
    gone = set(dropped)
    return Component(
        part.name,
        part.parameter,
        tuple(name for k, name in enumerate(names) if k not in gone),
        tuple(name for k, name in enumerate(names) if k in gone),
        first,
    )


def is_linear(design: Design, family: Family) -> bool:
    """Whether this is a linear (mixed) model with one residual variance, to be estimated."""
    return family.is_linear and not design.parts and not family.given


def is_exact(design: Design, family: Family) -> bool:
    """Whether the Laplace approximation is the likelihood: Gaussian with the identity link and a dispersion without
    random effects.
    """
    return family.is_linear and not any(term.parameter for term in design.random_terms)


def variance_share(design: Design, family: Family, n_fixed: int) -> float:
    """What variances are multiplied by: n / (n - p) in linear models without random effects, where the maximum of the
    likelihood has the residual sum of squares over n; else 1.
    """
    if is_linear(design, family) and not design.random_terms and design.n_rows > n_fixed:
        return design.n_rows / (design.n_rows - n_fixed)
    return 1.0
