"""What tests need of every family and the registry does not tell: its density, what can happen, typical values.

A new family is one entry in `CASES`. There is no fallback: a family without an entry fails (`test_family.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from multilevel import _core

from . import family_densities as densities
from . import family_outcomes as outcomes
from .family_densities import Array, Phi, moved_slant
from .family_outcomes import Outcomes

# Ordered categories have no mean, and thresholds that differ from row to row: test_ordinal_density.py has their tests.
# Choices are of sets of rows: test_multinomial.py and test_conditional.py.
_OTHERS = ("categories", "choices")
_TABLE = [own for own in _core.families() if _core.Family(own[0], own[1][0]).support not in _OTHERS]
PAIRS = [(family, link) for family, links in _TABLE for link in links]
FAMILIES = [family for family, _ in _TABLE]
# families whose response may be one column; trials that are not independent take two
ONE_COLUMN = [
    family
    for family, links in _TABLE
    if _core.Family(family, links[0]).support != "trials" or not _core.Family(family, links[0]).two_numbers
]


@dataclass(frozen=True)
class Start:
    """Where small data of a link may be simulated: far from the edge of its domain."""

    intercept: float
    scale: float  # of what varies around it


@dataclass(frozen=True)
class Case:
    """What tests need of a family. Links are keys; every link of the registry is in `grids`, `tails` and `starts`."""

    log_density: Callable[[str, Array, Array, Array, Array, Phi], Array]  # link, eta, y, trials, weights, phi
    outcomes: Callable[[float, Phi], Outcomes]  # of a mean
    draw: Callable[[np.random.Generator, Array, Array, Phi], Array]  # means, trials, phi
    responses: tuple[tuple[float, float], ...]  # with trials
    grids: Mapping[str, Array]  # linear predictors in the domain
    tails: Mapping[str, tuple[float, ...]]  # far out in it, or close to its edge
    starts: Mapping[str, Start]
    phi: tuple[Phi, ...] = ((),)  # ordinary values; the first is what other tests use
    extreme: tuple[Phi, ...] = ()
    outside: Mapping[str, float] = field(default_factory=dict)  # of links with a domain, a linear predictor outside
    trials: bool = False
    slow: bool = False  # a row takes so long that tests of large data leave it out
    precision_weights: bool = False  # whether prior weights are a precision; otherwise they multiply the log density
    flat_links: tuple[str, ...] = ()  # with these a log density is not concave
    best: Callable[[Array, Phi], Array] = lambda y, phi: y  # the mean at which the density of a response is largest
    step: float = 0.015  # of differences
    expected: bool = True  # whether the expected information is that
    precise_mean: bool = True  # whether the expected information of the mean is one over its variance
    own_mean_is_best: bool = True  # whether no other mean gives a response a larger density
    exact_information: bool = True  # whether it is the variance of the score; otherwise a lower bound of it
    mean_of_all: bool = True  # whether the mean that the linear predictor gives is that of all responses


# ---- the families -------------------------------------------------------------------------------------------------

WIDE = np.linspace(-3.0, 3.0, 13)
POSITIVE = np.linspace(0.8, 6.0, 13)

CASES: dict[str, Case] = {
    "binomial": Case(
        log_density=densities.binomial,
        outcomes=lambda mean, phi: Outcomes(np.arange(10.0), np.ones(10), 9.0),
        draw=lambda rng, mean, size, phi: rng.binomial(size.astype(int), outcomes.clipped_mean(mean)).astype(float),
        responses=((0.0, 1.0), (1.0, 1.0), (2.0, 5.0), (5.0, 5.0), (3.0, 7.0)),
        grids={
            "logit": WIDE, "probit": WIDE, "cloglog": WIDE, "cauchit": WIDE, "log": np.linspace(-4.0, -0.6, 13),
        },
        tails={
            "logit": (-700.0, -30.0, 30.0, 700.0),
            "probit": (-700.0, -30.0, 30.0, 700.0),
            "cloglog": (-700.0, -30.0, 5.0, 700.0),
            "cauchit": (-1e6, -700.0, -30.0, 30.0, 700.0, 1e6),
            "log": (-700.0, -30.0, -1e-6, -1e-12),
        },
        starts={
            **dict.fromkeys(("logit", "probit", "cloglog", "cauchit"), Start(0.2, 0.8)), "log": Start(-2.0, 0.15),
        },
        outside={"log": 0.1},
        trials=True,
        flat_links=("cauchit",),
    ),
    "poisson": Case(
        log_density=densities.poisson,
        outcomes=outcomes.all_counts,
        draw=lambda rng, mean, size, phi: rng.poisson(np.maximum(mean, 0.01)).astype(float),
        responses=((0.0, 1.0), (1.0, 1.0), (4.0, 1.0), (30.0, 1.0)),
        grids={"log": WIDE, "sqrt": POSITIVE, "identity": POSITIVE},
        tails={
            "log": (-700.0, -30.0, 30.0, 700.0),
            "sqrt": (-700.0, -30.0, 30.0, 700.0, 1e-5),
            "identity": (30.0, 700.0, 1e-8, 1e8),
        },
        starts={"log": Start(0.2, 0.8), "sqrt": Start(6.0, 0.5), "identity": Start(20.0, 1.5)},
        outside={"identity": -0.1},
        flat_links=("sqrt",),
    ),
    "gaussian": Case(
        log_density=densities.gaussian,
        outcomes=outcomes.normal_values,
        draw=lambda rng, mean, size, phi: mean + np.exp(phi[0]) * rng.normal(size=len(mean)),
        responses=((-1.3, 1.0), (0.0, 1.0), (2.5, 1.0)),
        grids={"identity": WIDE, "log": WIDE},
        tails={"identity": (-1e8, -30.0, 30.0, 1e8), "log": (-700.0, -30.0, 30.0, 150.0)},
        starts={"identity": Start(0.2, 0.8), "log": Start(0.2, 0.8)},
        phi=((np.log(0.7),),),
        extreme=((np.log(1e-3),), (np.log(1e5),)),
        precision_weights=True,
        flat_links=("log",),
    ),
    "gamma": Case(
        log_density=densities.gamma,
        outcomes=outcomes.positive_values,
        draw=lambda rng, mean, size, phi: rng.gamma(np.exp(phi[0]), np.maximum(mean, 0.01) / np.exp(phi[0])),
        responses=((0.02, 1.0), (1.0, 1.0), (2.5, 1.0), (30.0, 1.0)),
        grids={"log": WIDE, "inverse": POSITIVE, "identity": POSITIVE},
        tails={
            "log": (-300.0, -30.0, 30.0, 700.0),
            "inverse": (30.0, 700.0, 1e-8, 1e8),
            "identity": (30.0, 700.0, 1e-8, 1e8),
        },
        starts={"log": Start(0.2, 0.8), "inverse": Start(3.0, 0.25), "identity": Start(8.0, 0.6)},
        phi=((np.log(2.5),), (np.log(0.6),)),
        extreme=((np.log(1e-2),), (np.log(0.1),), (np.log(1e3),), (np.log(1e6),)),
        outside={"inverse": -0.1, "identity": -0.1},
        flat_links=("identity",),
    ),
    "negative_binomial": Case(
        log_density=densities.negative_binomial,
        outcomes=outcomes.all_counts,
        draw=lambda rng, mean, size, phi: rng.poisson(
            rng.gamma(np.exp(phi[0]), np.maximum(mean, 0.01) / np.exp(phi[0]))
        ).astype(float),
        responses=((0.0, 1.0), (1.0, 1.0), (4.0, 1.0), (30.0, 1.0)),
        grids={"log": WIDE, "identity": POSITIVE},
        tails={"log": (-700.0, -30.0, 30.0, 700.0), "identity": (30.0, 700.0, 1e-8, 1e8)},
        starts={"log": Start(0.2, 0.8), "identity": Start(20.0, 1.5)},
        phi=((np.log(1.7),), (np.log(12.0),)),
        extreme=((np.log(1e-3),), (np.log(1e5),), (np.log(1e10),)),
        outside={"identity": -0.1},
        flat_links=("identity",),
    ),
    "lognormal": Case(
        log_density=densities.lognormal,
        outcomes=lambda mean, phi: outcomes.spread_of(densities.lognormal, mean, phi),
        draw=lambda rng, mean, size, phi: mean * rng.lognormal(-np.exp(2 * phi[0]) / 2, np.exp(phi[0]), len(mean)),
        responses=((0.02, 1.0), (1.0, 1.0), (2.5, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-700.0, -30.0, 30.0, 700.0)},
        starts={"log": Start(0.2, 0.8)},
        phi=((np.log(0.6),), (np.log(1.3),)),
        extreme=((np.log(1e-3),), (np.log(0.03),), (np.log(3.0),)),
        best=lambda y, phi: y * np.exp(np.exp(2 * phi[0]) / 2),
        precise_mean=False,
    ),
    "inverse_gaussian": Case(
        log_density=densities.inverse_gaussian,
        outcomes=lambda mean, phi: outcomes.spread_of(densities.inverse_gaussian, mean, phi),
        draw=lambda rng, mean, size, phi: np.maximum(rng.wald(np.maximum(mean, 0.01), np.exp(-phi[0])), 1e-200),
        responses=((0.02, 1.0), (1.0, 1.0), (2.5, 1.0), (30.0, 1.0)),
        grids={"log": WIDE, "inverse_squared": POSITIVE, "inverse": POSITIVE, "identity": POSITIVE},
        tails={
            "log": (-300.0, -30.0, 30.0, 700.0),
            "inverse_squared": (30.0, 700.0, 1e-8, 1e8),
            "inverse": (30.0, 700.0, 1e-8, 1e8),
            "identity": (30.0, 700.0, 1e-8, 1e8),
        },
        starts={
            "log": Start(0.2, 0.8), "inverse_squared": Start(4.0, 0.5), "inverse": Start(3.0, 0.25),
            "identity": Start(8.0, 0.6),
        },
        phi=((np.log(0.5),), (np.log(0.05),)),
        extreme=((np.log(1e-4),), (np.log(20.0),), (np.log(1e3),)),
        outside={"inverse_squared": -0.1, "inverse": -0.1, "identity": -0.1},
        flat_links=("log", "identity"),
    ),
    "exponential": Case(
        log_density=densities.exponential,
        outcomes=lambda mean, phi: outcomes.spread_of(densities.exponential, mean, phi),
        draw=lambda rng, mean, size, phi: rng.exponential(mean),
        responses=((0.02, 1.0), (1.0, 1.0), (2.5, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-300.0, -30.0, 30.0, 700.0)},
        starts={"log": Start(0.2, 0.8)},
    ),
    "weibull": Case(
        log_density=densities.weibull,
        outcomes=lambda mean, phi: outcomes.spread_of(densities.weibull, mean, phi),
        draw=lambda rng, mean, size, phi: mean * densities.weibull_scale(phi) * rng.weibull(np.exp(phi[0]), len(mean)),
        responses=((0.02, 1.0), (1.0, 1.0), (2.5, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-30.0, -10.0, 30.0, 300.0)},
        starts={"log": Start(0.2, 0.8)},
        phi=((np.log(1.7),), (np.log(0.7),)),
        extreme=((np.log(0.1),), (np.log(4.0),), (np.log(8.0),)),
        step=0.002,
        best=lambda y, phi: y / densities.weibull_scale(phi),
        precise_mean=False,
    ),
    "student_t": Case(
        log_density=densities.student_t,
        outcomes=outcomes.heavy_tails,
        draw=lambda rng, mean, size, phi: mean + np.exp(phi[0]) * rng.standard_t(np.exp(phi[1]), len(mean)),
        responses=((-1.3, 1.0), (0.0, 1.0), (2.5, 1.0)),
        grids={"identity": WIDE, "log": WIDE},
        tails={"identity": (-1e8, -30.0, 30.0, 1e8), "log": (-700.0, -30.0, 30.0, 150.0)},
        starts={"identity": Start(0.2, 0.8), "log": Start(0.2, 0.8)},
        phi=((np.log(0.7), np.log(4.5)), (np.log(1.5), np.log(12.0))),
        extreme=(
            (np.log(0.4), np.log(3.0)), (np.log(2.0), np.log(0.5)), (np.log(1e4), np.log(5.0)),
            (np.log(0.7), np.log(1e5)), (np.log(0.7), np.log(1e10)),
        ),
        precision_weights=True,
        flat_links=("identity", "log"),
        step=0.004,
        expected=False,
        precise_mean=False,
    ),
    "skew_normal": Case(
        log_density=densities.skew_normal,
        outcomes=outcomes.wide_normal_values,
        draw=lambda rng, mean, size, phi: outcomes.draw_skew_normal(rng, mean, phi),
        responses=((-1.3, 1.0), (0.0, 1.0), (2.5, 1.0)),
        grids={"identity": WIDE},
        tails={"identity": (-1e4, -30.0, 30.0, 1e4)},
        starts={"identity": Start(0.2, 0.8)},
        phi=((np.log(0.7), moved_slant(3.0)), (np.log(1.2), moved_slant(-1.5))),
        extreme=(
            (np.log(0.7), moved_slant(1.0)), (np.log(0.7), moved_slant(10.0)), (np.log(0.1), moved_slant(1.0)),
            (np.log(1e4), moved_slant(-5.0)),
        ),
        precision_weights=True,
        best=outcomes.best_skew_normal,
        step=0.005,
        precise_mean=False,
    ),
    "tweedie": Case(
        log_density=densities.tweedie,
        outcomes=outcomes.mass_and_numbers,
        draw=lambda rng, mean, size, phi: outcomes.draw_tweedie(rng, mean, phi),
        responses=((0.0, 1.0), (0.02, 1.0), (1.0, 1.0), (2.5, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-100.0, -30.0, 30.0, 100.0)},
        starts={"log": Start(0.2, 0.8)},
        phi=((np.log(1.3), special.logit(0.6)), (np.log(0.4), special.logit(0.3))),
        extreme=(
            (np.log(0.02), special.logit(0.5)), (np.log(20.0), special.logit(0.5)),
            (np.log(0.7), special.logit(0.1)), (np.log(0.7), special.logit(0.95)),
        ),
        step=0.004,
    ),
    "negative_binomial_1": Case(
        log_density=densities.negative_binomial_1,
        outcomes=outcomes.overdispersed_counts,
        draw=lambda rng, mean, size, phi: rng.poisson(
            rng.gamma(np.maximum(mean, 1e-3) * np.exp(phi[0]), np.exp(-phi[0]))
        ).astype(float),
        responses=((0.0, 1.0), (1.0, 1.0), (4.0, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-700.0, -30.0, 30.0, 600.0)},
        starts={"log": Start(0.2, 0.8)},
        phi=((-np.log(1.4),), (-np.log(0.2),)),
        extreme=((-np.log(300.0),), (-np.log(1e-5),), (-np.log(1e-10),)),
        flat_links=("log",),
        own_mean_is_best=False,
        exact_information=False,
    ),
    "geometric": Case(
        log_density=densities.geometric,
        outcomes=lambda mean, phi: outcomes.all_counts(mean, (0.0,)),
        draw=lambda rng, mean, size, phi: rng.poisson(rng.exponential(np.maximum(mean, 0.01))).astype(float),
        responses=((0.0, 1.0), (1.0, 1.0), (4.0, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-700.0, -30.0, 30.0, 700.0)},
        starts={"log": Start(0.2, 0.8)},
    ),
    "beta": Case(
        log_density=densities.beta,
        outcomes=outcomes.unit_values,
        draw=lambda rng, mean, size, phi: np.clip(outcomes.drawn_probability(rng, mean, phi), 1e-12, 1 - 1e-12),
        responses=((0.02, 1.0), (0.3, 1.0), (0.5, 1.0), (0.97, 1.0)),
        grids={"logit": WIDE, "probit": WIDE, "cloglog": np.linspace(-3.0, 1.5, 13)},
        tails={
            "logit": (-700.0, -30.0, 30.0, 700.0), "probit": (-700.0, -30.0, 30.0), "cloglog": (-700.0, -30.0, 3.0),
        },
        starts=dict.fromkeys(("logit", "probit", "cloglog"), Start(0.1, 0.5)),
        phi=((np.log(6.0),), (np.log(1.5),)),
        extreme=((np.log(0.05),), (np.log(1e3),), (np.log(1e6),)),
        flat_links=("logit", "probit", "cloglog"),
        own_mean_is_best=False,
        exact_information=False,
    ),
    "beta_binomial": Case(
        log_density=densities.beta_binomial,
        outcomes=lambda mean, phi: Outcomes(np.arange(10.0), np.ones(10), 9.0),
        draw=lambda rng, mean, size, phi: rng.binomial(
            np.asarray(size).astype(int), outcomes.drawn_probability(rng, mean, phi)
        ).astype(float),
        responses=((0.0, 1.0), (1.0, 1.0), (2.0, 5.0), (5.0, 5.0), (3.0, 7.0), (9.0, 30.0)),
        grids={"logit": WIDE, "probit": WIDE, "cloglog": np.linspace(-3.0, 1.5, 13)},
        tails={
            "logit": (-700.0, -30.0, 30.0, 700.0), "probit": (-700.0, -30.0, 30.0), "cloglog": (-700.0, -30.0, 3.0),
        },
        starts=dict.fromkeys(("logit", "probit", "cloglog"), Start(0.2, 0.8)),
        phi=((np.log(4.0),), (np.log(0.8),)),
        extreme=((np.log(0.01),), (np.log(1e5),), (np.log(1e10),)),
        trials=True,
        flat_links=("logit", "probit", "cloglog"),
        own_mean_is_best=False,
        exact_information=False,
    ),
    "generalized_poisson": Case(
        log_density=densities.generalized_poisson,
        outcomes=outcomes.generalized_poisson_counts,
        draw=lambda rng, mean, size, phi: outcomes.drawn_generalized_poisson(rng, mean, phi),
        responses=((0.0, 1.0), (1.0, 1.0), (4.0, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-690.0, -30.0, 30.0, 600.0)},
        starts={"log": Start(0.2, 0.8)},
        phi=((np.log(2.2),), (np.log(3.0),)),
        extreme=((np.log(50.0),), (np.log(6.0),)),
        flat_links=("log",),
        own_mean_is_best=False,
        exact_information=False,
    ),
    "conway_maxwell_poisson": Case(
        slow=True,
        log_density=densities.conway_maxwell_poisson,
        outcomes=outcomes.conway_maxwell_counts,
        draw=lambda rng, mean, size, phi: outcomes.drawn_conway_maxwell(rng, mean, phi),
        responses=((0.0, 1.0), (1.0, 1.0), (4.0, 1.0), (30.0, 1.0)),
        grids={"log": WIDE},
        tails={"log": (-690.0, -30.0, 7.0, 12.0)},
        starts={"log": Start(0.2, 0.8)},
        phi=((-np.log(0.6),), (-np.log(1.8),)),
        extreme=((-np.log(0.1),), (-np.log(4.0),), (0.0,)),
        flat_links=("log",),
    ),
    "ordered_beta": Case(
        slow=True,
        log_density=densities.ordered_beta,
        outcomes=outcomes.unit_values_and_ends,
        draw=lambda rng, mean, size, phi: outcomes.drawn_ordered_beta(rng, mean, phi),
        responses=((0.0, 1.0), (0.02, 1.0), (0.3, 1.0), (0.97, 1.0), (1.0, 1.0)),
        grids={"logit": WIDE},
        tails={"logit": (-700.0, -30.0, 30.0, 700.0)},
        starts={"logit": Start(0.1, 0.5)},
        phi=((np.log(6.0), -1.2, np.log(1.9)), (np.log(1.5), -0.4, np.log(0.7))),
        extreme=((np.log(1e3), -20.0, np.log(1.5)), (np.log(20.0), 3.0, np.log(1e-3))),
        flat_links=("logit",),
        own_mean_is_best=False,
        exact_information=False,
        mean_of_all=False,
    ),
}  # fmt: skip


# families for tests of large data, and those of them whose response may be one column
QUICK = [family for family in FAMILIES if not CASES[family].slow]
QUICK_COLUMN = [family for family in ONE_COLUMN if not CASES[family].slow]
QUICK_PAIRS = [(family, link) for family, link in PAIRS if not CASES[family].slow]


def settings(*, extreme: bool = False) -> list[tuple[str, str, Phi]]:
    """Every family with each of its links and ordinary (or also extreme) values of its parameters."""
    found = []
    for family, link in PAIRS:
        case = CASES[family]
        found += [(family, link, phi) for phi in case.phi + (case.extreme if extreme else ())]
    return found


def name_of(value: object) -> str | None:
    """Of phi in the id of a test."""
    if isinstance(value, tuple) and len(value) <= 2:
        return ",".join(f"{v:.3g}" for v in value) if len(value) > 1 else ",".join(f"{np.exp(v):.3g}" for v in value)
    return None


def several_modes() -> list[tuple[str, str]]:
    """The families and links whose log density is not concave in the linear predictor."""
    return [(family, link) for family, link in PAIRS if link in CASES[family].flat_links]


def mean_of(family: str, link: str, eta: Array) -> Array:
    """The core's, of any array."""
    return _core.Family(family, link).mean(np.ascontiguousarray(eta, dtype=np.float64))


def drawn(
    rng: np.random.Generator,
    family: str,
    eta: ArrayLike,
    *,
    link: str | None = None,
    size: ArrayLike = 1.0,
    phi: Phi | None = None,
) -> Array:
    """A response at the linear predictor `eta`: by the default link, and with the first of the case's `phi`."""
    case, at = CASES[family], np.asarray(eta, dtype=np.float64)
    mean = mean_of(family, link or dict(_core.families())[family][0], at)
    return case.draw(rng, mean, np.broadcast_to(np.asarray(size, float), at.shape), case.phi[0] if phi is None else phi)
