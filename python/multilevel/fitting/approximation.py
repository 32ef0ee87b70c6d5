"""What is doubtful about the approximation of a likelihood: what more points show, or that none can be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..family.distributions import distribution
from .parameters import is_exact
from .quadrature import allows_quadrature
from .spread import LARGE_SPREAD, MOVES, spread, spreads

if TYPE_CHECKING:
    from ..design.design import Design
    from ..family.registry import Family
    from .certificate import QuadratureCheck
    from .parameters import Parts

LARGEST_SHIFT = 0.1  # standard errors: beyond it the Laplace approximation, or the rule, is worth a warning
LARGEST_CHANGE = 0.5  # of -2 log-likelihood, where effects are so large that one step says little of where it leads
CHANGE_PER_LEVEL = 1.0  # the same on average, whatever the effects: then the integrals themselves are poorly known
MOSTLY = 0.5  # of the rows


def doubt(design: Design, family: Family, check: QuadratureCheck | None, parts: Parts) -> str:
    """Empty, or what was measured, and what to do."""
    if not design.random_terms or is_exact(design, family):
        return ""
    if check is not None:
        return _moved(check, parts.names) or _unresolved(check, design, family, parts)
    if allows_quadrature(design):  # a rule that could check costs too much, or nobody asked for one
        return ""
    return _unchecked(design, family, parts)


def _moved(check: QuadratureCheck, names: tuple[str, ...]) -> str:
    """More quadrature points would move an estimate."""
    if not check.largest_shift > LARGEST_SHIFT:
        return ""
    moved = names[int(np.nanargmax(np.abs(check.shift_se)))]
    return (
        f"with {check.n_points} quadrature points the estimate of '{moved}' would move by about "
        f"{check.largest_shift:.2g} standard errors (limit {LARGEST_SHIFT}): "
        "use n_quadrature='auto', or more points"
    )


def _unresolved(check: QuadratureCheck, design: Design, family: Family, parts: Parts) -> str:
    """The likelihood itself changes, and random effects are large, or it changes much for the number of groups."""
    change, large = abs(check.change_deviance), _large(design, family, parts)
    n_levels = sum(len(own.levels) for own in design.grouping_factors)
    if large and change > LARGEST_CHANGE:
        measured = f" (limit {LARGEST_CHANGE}), and {large}"
    elif change > CHANGE_PER_LEVEL * n_levels:
        measured = f", which is {change / n_levels:.2g} for each of {n_levels} levels (limit {CHANGE_PER_LEVEL})"
    else:
        return ""
    return (
        f"with {check.n_points} quadrature points -2 log-likelihood changes by {check.change_deviance:.2g}"
        f"{measured}: use n_quadrature='auto', or more points"
    )


def _unchecked(design: Design, family: Family, parts: Parts) -> str:
    """The Laplace approximation where there is no quadrature, and large random effects or as many of them as rows.

    Responses of 0 and 1, and ranges, say of a large effect only that it is large, and its density given the data is far
    from a normal one. A dispersion beside as many random effects as rows is told from them by the approximation's error
    alone.
    """
    measured = _large(design, family, parts) or _within_ranges(design, family, parts)
    n_effects = sum(
        len(design.grouping_factors[term.grouping_factor].levels) * len(term.names) for term in design.random_terms
    )
    free = [own.name for own in family.parameters if own.name not in family.given]
    if not measured and free and n_effects >= design.n_rows:
        measured = (
            f"{n_effects} random effects and '{free[0]}' of the {family.name} family are estimated from "
            f"{design.n_rows} rows"
        )
    if not measured:
        return ""
    return (
        f"{measured}: the Laplace approximation is coarse there, and these grouping factors allow no quadrature that "
        "could check it. The likelihood may have its maximum elsewhere; fewer random effects, or more rows for each, "
        "would tell"
    )


def _large(design: Design, family: Family, parts: Parts) -> str:
    """Empty, or how large random effects are that make a probability."""
    for sd, width in spreads(design, family, parts.random_cov).values():
        if sd > LARGE_SPREAD * width:
            return (
                f"the standard deviation of what the random effects add is {sd:.3g} on the scale of the link, where "
                f"probabilities of 0.1 and 0.9 are {width:.3g} apart"
            )
    return ""


def _within_ranges(design: Design, family: Family, parts: Parts) -> str:
    """Empty, or how large random effects are of responses that are mostly known as ranges, wider than the residual."""
    response = design.response
    shift = family.link == "identity" and family.support == "numbers"
    ratio = family.link == "log" and family.support == "positive"
    if response.other_end is None or not (shift or ratio) or any(p.name not in parts.phi for p in family.parameters):
        return ""
    on_link = (lambda y: y) if shift else np.log
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = on_link(np.asarray(distribution(family, 0.0 if shift else 1.0, parts.phi).ppf(MOVES)))
        ends = np.where(np.isinf(response.other_end), np.inf, on_link(response.other_end) - on_link(response.values))
    wide, sd = float(np.mean(ends > high - low)), spread(design, parts.random_cov)
    if not (wide > MOSTLY and sd > LARGE_SPREAD * (high - low)):
        return ""
    return (
        f"the standard deviation of what the random effects add is {sd:.3g} on the scale of the link, and of "
        f"{wide:.0%} of the responses all that is known is a range wider than the {high - low:.3g} that hold 80 % of "
        "the residual"
    )
