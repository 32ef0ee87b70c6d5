"""How far random effects spread a linear predictor, beside the range in which its link tells one mean from another."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ..columns.least_squares import root_mean_square
from ..family.registry import Family

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..design.design import Design
    from ..design.random_terms import RandomTerm

MOVES = (0.1, 0.9)  # between these probabilities a link's range is
# Of the standard deviation of what random effects add to a linear predictor, in ranges of its link: worth
# asking whether it has a bound. A standard deviation of 5 with the logit link.
LARGE_SPREAD = 1.14
ENORMOUS = 1e3  # of that standard deviation: rounding can leave nothing to certify


def spreads(
    design: Design, family: Family, random_cov: Sequence[NDArray[np.float64]]
) -> dict[str, tuple[float, float]]:
    """Of each part of the model that makes a probability and has random effects, two numbers on the link's scale.

    The standard deviation of what all random effects together add to the linear predictor (its square is the mean over
    the rows of z' Sigma z, summed over the terms), and the distance between the linear predictors of the probabilities
    0.1 and 0.9. By the family's parameter that the part makes; empty: the mean.
    """
    found = {}
    for parameter in dict.fromkeys(term.parameter for term in design.random_terms):
        width = link_range(family, parameter)
        if width:
            found[parameter] = (spread(design, random_cov, parameter), width)
    return found


def spread(design: Design, random_cov: Sequence[NDArray[np.float64]], parameter: str = "") -> float:
    """The standard deviation of what all random effects of one part together add to its linear predictor."""
    terms = zip(design.random_terms, random_cov, strict=True)
    return float(np.sqrt(sum(_variance(term, own) for term, own in terms if term.parameter == parameter)))


def large_spread(design: Design, family: Family, random_cov: Sequence[NDArray[np.float64]]) -> float:
    """The standard deviation of what the random effects of the mean add, where it is large beside the range of the
    link (of counts and numbers: as of a logit); else zero.
    """
    sd = spread(design, random_cov)
    return sd if sd > large_limit(family) else 0.0


def large_limit(family: Family) -> float:
    """Of that standard deviation."""
    return LARGE_SPREAD * (link_range(family) or _range_of("logit"))


def enormous(design: Design, random_cov: Sequence[NDArray[np.float64]]) -> str:
    """Why a maximum among enormous effects is none: rounding of the parameters moves the log-likelihood. Else empty."""
    parameters = {term.parameter for term in design.random_terms}
    sd = max((spread(design, random_cov, parameter) for parameter in parameters), default=0.0)
    if not sd > ENORMOUS:
        return ""
    return (
        f". The standard deviation of what the random effects add is {sd:.3g} on the scale of the link, where the last "
        "digits of the parameters may move the log-likelihood by more than is left: variances may have no bound; leave "
        "a random-effects term out, or collect more rows for each group"
    )


def link_range(family: Family, parameter: str = "") -> float:
    """How far apart on the link's scale the probabilities 0.1 and 0.9 are; zero for parts that make no probability."""
    if parameter:
        parts = {own.name: own.part for own in family.parameters}
        link = "logit" if parts.get(parameter) == "zero" else ""
    elif family.support == "choices":
        link = "logit"
    else:
        link = family.link if family.support in ("trials", "categories") else ""
    return _range_of(link) if link else 0.0


@cache
def _range_of(link: str) -> float:
    low, high = Family("binomial", "cloglog" if link == "loglog" else link).link_of_mean(MOVES)
    return float(high - low)


def most_spread(design: Design, sd: Sequence[NDArray[np.float64]], parameter: str) -> NDArray[np.float64]:
    """The standard deviation of `spreads` of one part, or a larger number, of many fits at once, (m,).

    `sd`: of each term, the standard deviations of its effects, (m, q).
    """
    total = np.zeros(len(sd[0]))
    for term, own in zip(design.random_terms, sd, strict=True):
        if term.parameter == parameter:
            total = total + own @ np.array([root_mean_square(column) for column in term.columns])
    return total


def _variance(term: RandomTerm, covariance: NDArray[np.float64]) -> float:
    """Mean over the rows of z' Sigma z."""
    if len(term.columns) == 1 and term.columns[0] is None:
        return float(covariance[0, 0])
    lengths = {len(column) for column in term.columns if column is not None}
    n = lengths.pop() if lengths else 1
    z = np.column_stack([np.ones(n) if column is None else np.asarray(column, dtype=float) for column in term.columns])
    moments = z.T @ z / n
    return max(float(np.sum(moments * covariance)), 0.0)
