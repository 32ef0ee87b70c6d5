"""The cases with other outcomes than yes and no: counts, positive numbers, proportions, zero parts and categories."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from case import Case, CaseData, labels
from published import read

_Draw = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def _simulate(draw: _Draw, n_groups: int, n_per_group: int, small: bool) -> CaseData:
    """Simulate two covariates and an intercept that varies between groups; `draw` makes the response of eta and x1."""
    rng = np.random.default_rng(11)
    n_groups, n_per_group = (20, 30) if small else (n_groups, n_per_group)
    codes = np.repeat(np.arange(n_groups), n_per_group)
    x1, x2 = rng.normal(size=(2, codes.size))
    eta = 0.3 + 0.4 * x1 - 0.3 * x2 + 0.6 * rng.normal(size=n_groups)[codes]
    y = draw(eta, x1, rng)
    return CaseData(pd.DataFrame({"y": y, "x1": x1, "x2": x2, "g": labels(codes, "group")}))


def _negative_binomial(
    eta: np.ndarray, x1: np.ndarray, rng: np.random.Generator, size: float = 1.5, log_size_slope: float = 0.0
) -> np.ndarray:
    sizes = size * np.exp(log_size_slope * x1)
    return rng.poisson(np.exp(eta) * rng.gamma(sizes, 1.0 / sizes))


def _zero_inflated(eta: np.ndarray, x1: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    is_zero = rng.random(eta.size) < 1.0 / (1.0 + np.exp(1.0 - 0.5 * x1))
    return np.where(is_zero, 0, _negative_binomial(eta, x1, rng))


def _gamma(eta: np.ndarray, x1: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    del x1
    return rng.gamma(2.0, np.exp(eta) / 2.0)


def _beta(eta: np.ndarray, x1: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    del x1
    mean = 1.0 / (1.0 + np.exp(-eta))
    return np.clip(rng.beta(5.0 * mean, 5.0 * (1.0 - mean)), 1e-6, 1.0 - 1e-6)


def _ordered(eta: np.ndarray, x1: np.ndarray, rng: np.random.Generator, n_categories: int = 5) -> np.ndarray:
    del x1
    cuts = np.linspace(-1.5, 2.0, n_categories - 1)
    return np.searchsorted(cuts, eta + rng.logistic(size=eta.size)) + 1


def _choices(n_groups: int, n_per_group: int, small: bool) -> CaseData:
    """Simulate four unordered categories, of which each has an intercept that varies between groups."""
    rng = np.random.default_rng(12)
    n_groups, n_per_group = (20, 30) if small else (n_groups, n_per_group)
    codes = np.repeat(np.arange(n_groups), n_per_group)
    x1, x2 = rng.normal(size=(2, codes.size))
    utilities = np.outer(x1, [0.0, 0.5, 0.2, -0.4]) + np.outer(x2, [0.0, -0.3, 0.1, 0.2])
    utilities[:, 1:] += 0.7 * rng.normal(size=(n_groups, 3))[codes]
    y = np.array(list("abcd"))[np.argmax(utilities + rng.gumbel(size=utilities.shape), axis=1)]
    return CaseData(pd.DataFrame({"y": y, "x1": x1, "x2": x2, "g": labels(codes, "group")}))


def _verbal_aggression(small: bool) -> CaseData:
    """Give 24 items answered by 316 persons in three ordered categories (Vansteelandt 2000)."""
    frame = read("VerbAgg", ("Gender", "item", "resp", "id", "btype", "situ", "mode", "r2"))
    frame["y"] = frame["resp"].map({"no": 1, "perhaps": 2, "yes": 3})
    frame = frame[["y", "Anger", "Gender", "btype", "situ", "id", "item"]]
    if small:
        frame = frame[frame["id"].isin(frame["id"].unique()[:60])].reset_index(drop=True)
    return CaseData(frame)


def _case(
    name: str,
    what: str,
    draw: _Draw,
    family: str,
    n_groups: int,
    n_per_group: int,
    peers: tuple[str, ...],
    parts: str = "",
) -> Case:
    zero_inflation, _, dispersion = parts.partition("|")
    rows = f"{n_groups * n_per_group:,} rows in {n_groups:,} groups"
    return Case(
        name,
        f"{rows}, {what}, random intercept, Laplace",
        "y ~ x1 + x2 + (1 | g)",
        "y",
        ("g",),
        partial(_simulate, draw, n_groups, n_per_group),
        family=family,
        zero_inflation=zero_inflation or None,
        dispersion=dispersion or None,
        peers=peers,
    )


_PYTHON_AND_R = ("glmm", "gpboost", "glmmTMB")

FAMILIES = (
    _case("nb2", "negative binomial", _negative_binomial, "negative_binomial", 2_000, 50, _PYTHON_AND_R),
    _case("gamma", "Gamma with log link", _gamma, "gamma", 2_000, 50, _PYTHON_AND_R),
    _case("beta", "beta", _beta, "beta", 2_000, 50, ("gpboost", "glmmTMB")),
    _case(
        "zinb",
        "negative binomial with a zero part on x1",
        _zero_inflated,
        "negative_binomial",
        500,
        40,
        ("gpboost", "glmmTMB"),
        parts="x1",
    ),
    _case(
        "nb2_dispersion",
        "negative binomial with a dispersion on x1",
        partial(_negative_binomial, log_size_slope=0.4),
        "negative_binomial",
        500,
        40,
        ("glmmTMB",),
        parts="|x1",
    ),
    _case("cumulative", "five ordered categories, logit", _ordered, "cumulative", 2_000, 50, ("ordinal",)),
    Case(
        "multinomial",
        "20,000 rows in 1,000 groups, four unordered categories, three correlated random intercepts, Laplace",
        "y ~ x1 + x2 + (1 | g)",
        "y",
        ("g",),
        partial(_choices, 1_000, 20),
        family="multinomial",
        peers=(),
    ),
    Case(
        "verbagg_ordered",
        "VerbAgg: 7,584 rows, three ordered categories, 316 persons crossed with 24 items, Laplace",
        "y ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)",
        "y",
        ("id", "item"),
        _verbal_aggression,
        family="cumulative",
        peers=("ordinal",),
    ),
)
