"""Which numbers of quadrature points a design allows: what they cost, and which factors must nest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from multilevel import _core

from ..design.choices import crossed_factors
from ..errors import DataError
from .covariance import rank

if TYPE_CHECKING:
    from ..design.design import Design

LAPLACE = "n_quadrature=1, the Laplace approximation"


def check_points(n_quadrature: object, design: Design, linear: bool) -> None:
    """Refuses a number of points that is none, that costs more than the limit, or that the factors do not allow.

    For a `linear` model one point is exact, so any number will do that is one.
    """
    automatic = isinstance(n_quadrature, str) and n_quadrature == "auto"
    if not automatic and (
        isinstance(n_quadrature, bool) or not isinstance(n_quadrature, (int, np.integer)) or n_quadrature < 1
    ):
        raise DataError(f"n_quadrature is {n_quadrature!r}; it is a number of points from 1 on, or 'auto'")
    if n_quadrature == 1:
        return
    factors = design.grouping_factors
    _check_sets(n_quadrature, design)
    if len(factors) > 1 and not linear:
        _check_one_predictor(n_quadrature, design)
        _check_nested(n_quadrature, design)
    if automatic or (len(factors) > 1 and linear):
        return
    assert isinstance(n_quadrature, (int, np.integer))
    points = int(n_quadrature)
    nodes = n_nodes(points, design)
    if nodes > _core.most_nodes:
        raise DataError(_too_many(points, nodes, design))


def allows_quadrature(design: Design) -> bool:
    """Whether more than one point can be had: one grouping factor, or two that nest, with one predictor for a row."""
    n = len(design.grouping_factors)
    if crossed_factors(design.choices, design.grouping_factors):
        return False
    if n != 2:
        return n == 1
    one_predictor = design.choices is None and not any(term.parameter for term in design.random_terms)
    return one_predictor and design.relations[0].kind != "crossed"


def n_nodes(points: int, design: Design) -> int:
    """Nodes at which the density of a row is evaluated: those of the factors it belongs to, multiplied."""
    return math.prod(_core.node_count(points, q) for q in dimensions(design))


def dimensions(design: Design) -> list[int]:
    """Random effects per level of each grouping factor that quadrature has nodes for.

    Several terms on one factor count together, and a term of reduced rank by its rank.
    """
    sizes = [0] * len(design.grouping_factors)
    for term in design.random_terms:
        sizes[term.grouping_factor] += rank(term.structure, len(term.names))
    return sizes


def has_loadings(design: Design) -> bool:
    """Whether a term is of reduced rank: the Laplace approximation is no place to begin with then."""
    return any(rank(term.structure, len(term.names)) < len(term.names) for term in design.random_terms)


def _too_many(points: int, nodes: int, design: Design) -> str:
    sizes = dimensions(design)
    most = points - 1
    while most > 1 and n_nodes(most, design) > _core.most_nodes:
        most -= 1
    q = sum(sizes)
    power = f"{points}^{q} = " if nodes == points**q else ""
    remedy = f"Use n_quadrature={most} or fewer" if most > 1 else f"Use {LAPLACE}"
    return (
        f"{points} quadrature points for each of {q} random effects are {power}{nodes:,} nodes per "
        f"{'group' if len(sizes) == 1 else 'row'}; the limit is {_core.most_nodes:,}. {remedy}"
    )


def _check_sets(n_quadrature: object, design: Design) -> None:
    crossed = crossed_factors(design.choices, design.grouping_factors)
    if crossed:
        name = design.grouping_factors[min(crossed)].name
        raise DataError(
            f"n_quadrature={n_quadrature!r}: the alternatives of a set have different levels of '{name}', whose random "
            f"effects depend on each other given the data. Use {LAPLACE}"
        )


def _check_one_predictor(n_quadrature: object, design: Design) -> None:
    """Over several factors quadrature takes rows of one linear predictor, independent given the random effects."""
    names = ", ".join(f"'{factor.name}'" for factor in design.grouping_factors)
    carrying = {term.parameter for term in design.random_terms if term.parameter}
    part = next((own.name for own in design.parts if own.parameter in carrying), None)
    if design.choices is not None:
        why = "rows that share the probabilities of a choice"
    elif part is not None:
        why = f"random effects in the {part} formula"
    else:
        return
    raise DataError(
        f"n_quadrature={n_quadrature!r} with {why} needs one grouping factor, and the model has "
        f"{len(design.grouping_factors)}: {names}. Use {LAPLACE}"
    )


def _check_nested(n_quadrature: object, design: Design) -> None:
    """Quadrature takes the integral over an inner factor level by level of the outer one, so they must nest."""
    for relation in design.relations:
        if relation.kind == "crossed":
            raise DataError(
                f"n_quadrature={n_quadrature!r} needs one grouping factor, or two that nest: only then does the "
                f"integral over the random effects fall apart into small ones. Here {relation}. Use {LAPLACE}"
            )
    factors = design.grouping_factors
    if len(factors) > 2:
        names = ", ".join(f"'{factor.name}'" for factor in factors)
        raise DataError(
            f"n_quadrature={n_quadrature!r} needs one grouping factor, or two that nest, and the model has "
            f"{len(factors)}: {names}. Use {LAPLACE}"
        )
