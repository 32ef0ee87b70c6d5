"""What modifies a family (zero parts, truncation, censoring, a dispersion with a formula), and ordered categories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import gammaincc, gammaln, log_expit, log_ndtr
from scipy.stats import t as t_distribution

import multilevel as ml

from .categories import Categories
from .log_gamma import LOG_2PI
from .more_densities import Interval, density_of_family
from .problem import OF_ITEMS, Array, Problem
from .recipe import SEVERAL_PREDICTORS, WIDER_PARTS, Recipe
from .rows import Rows, Split

LEFT = 0.0  # where responses that may be any number are censored
OF_NUMBERS = ("gaussian", "student_t")
POSITIVE = ("gamma", "lognormal", "weibull", "exponential", "inverse_gaussian")


def arguments(recipe: Recipe, categories: int) -> dict[str, Any]:
    """Of `MixedModel`: the family, and what belongs to it."""
    family, link, part = recipe.family, recipe.link, recipe.part
    if part in ("inflation", "hurdle"):
        return {"family": ml.Family(family, link, zero=part)}
    if part == "truncated":
        return {"family": f"truncated_{family}", "link": link}
    more: dict[str, Any] = {"zero formula": {"zero_inflation": "~ v"}, "dispersion": {"dispersion": "~ v"}}.get(
        part, {}
    )
    if part == "categories":
        more = [{}, {"thresholds": "equidistant"}, {"nominal": "~ v"}][recipe.variant]
        more["levels"] = list(range(1, categories + 1))
    return {"family": family, "link": link, **more}


def respond(rng: np.random.Generator, recipe: Recipe, frame: pd.DataFrame, eta: Array) -> str:
    """Changes the responses to what the part is about; the left-hand side of the formula."""
    n, part = len(frame), recipe.part
    frame["v"] = (rng.random(n) < 0.5).astype(int)
    if part in ("inflation", "hurdle", "zero formula"):
        share = np.array([(0.05, 0.3, 0.6)[recipe.variant], 0.5])[frame["v"]] if part == "zero formula" else 0.3
        of_counts = part == "hurdle" and recipe.family not in (*POSITIVE, "beta")
        some = np.maximum(frame["y"], 1) if of_counts else frame["y"]
        frame["y"] = np.where(rng.random(n) < share, 0, some)
    elif part == "truncated":
        frame["y"] = np.maximum(frame["y"], 1)
    elif part == "dispersion" and recipe.family == "gaussian":
        frame["y"] += recipe.sigma * frame["v"] * rng.normal(size=n)
    elif part == "censored" and recipe.family in OF_NUMBERS:
        frame["y"] = np.maximum(frame["y"] - np.quantile(frame["y"], 0.3), LEFT)
        return "censored(y, left=0)"
    elif part == "censored":
        frame["limit"] = np.quantile(frame["y"], 0.8)
        frame["y"] = np.minimum(frame["y"], frame["limit"])
        return "censored(y, right=limit)"
    elif part == "interval":
        low, high = intervals(recipe, frame["y"].to_numpy())
        frame["y"], frame["upper"] = low, high
        return "interval(y, upper)"
    elif part == "categories":
        latent = eta + rng.logistic(size=n)
        share = np.sort(rng.uniform(0.05, 0.95, int(rng.choice([2, 3, 5]))))
        found = np.searchsorted(np.quantile(latent, share), latent)
        frame["y"] = 1 + np.unique(found, return_inverse=True)[1].ravel()
    return "y"


def intervals(recipe: Recipe, y: Array) -> tuple[Array, Array]:
    """Where responses lie: between whole multiples of a width, the highest without an upper end."""
    value = y if recipe.family == "gaussian" else np.log(y)
    width = (0.3, 1.0, 2.5)[recipe.variant] * max(float(np.std(value)), 1e-3)
    low = np.floor(value / width) * width
    high = np.where(value > np.quantile(value, 0.9), np.inf, low + width)
    return (low, high) if recipe.family == "gaussian" else (np.exp(low), np.exp(high))


class ZeroPart(Rows):
    """Zero-inflated, hurdle, or truncated at zero (without a probability of zero)."""

    def __init__(self, problem: Problem, phi: Array, log_odds: Array | None) -> None:
        super().__init__(problem)
        whole = replace(problem, weights=np.ones(len(problem.y)), part="")
        self.hurdle = problem.part != "inflation" and problem.part != "zero formula"
        self.ends = problem.family == "generalized_poisson"  # where it is no distribution a zero has no density, either
        self.counts = problem.family not in (*POSITIVE, "beta")
        other = 0.5 if problem.family == "beta" else 1.0
        some = whole if self.counts else replace(whole, y=np.where(problem.y > 0, problem.y, other))
        self.own = density_of_family(some, phi)
        self.none = density_of_family(replace(whole, y=np.zeros(len(problem.y))), phi) if self.counts else self.own
        self.log_odds = np.full(len(problem.y), -np.inf) if log_odds is None else log_odds
        self.columns = (*self.columns, "own", "none", "log_odds")

    def parts(self, eta: Array) -> tuple[Array, Array, Array]:
        zero = self.y == 0
        log_pi, log_rest = log_expit(self.log_odds), log_expit(-self.log_odds)
        value, (first, second) = self.own.value(eta), self.own.derivatives(eta)
        if not self.counts:
            flat = np.zeros_like(eta)
            return np.where(zero, log_pi, log_rest + value), np.where(zero, flat, first), np.where(zero, flat, second)
        at_zero, (slope, bend) = self.none.value(eta), self.none.derivatives(eta)
        if self.hurdle:  # what is above zero, of its share: at_zero may be close to nothing or to all
            above = np.where(at_zero > -0.7, np.log(-np.expm1(at_zero)), np.log1p(-np.exp(at_zero)))
            odds = np.exp(at_zero - above)
            value, first, second = (
                value - above,
                first + odds * slope,
                second + odds * bend + odds * (1 + odds) * slope**2,
            )
            flat = np.zeros_like(eta)
            return np.where(zero, log_pi, log_rest + value), np.where(zero, flat, first), np.where(zero, flat, second)
        both = np.logaddexp(log_pi, log_rest + at_zero)
        share = np.exp(log_rest + at_zero - both)
        if self.ends:
            both = np.where(np.isneginf(at_zero), -np.inf, both)
        return (
            np.where(zero, both, log_rest + value),
            np.where(zero, share * slope, first),
            np.where(zero, share * bend + share * (1 - share) * slope**2, second),
        )

    def targets(self) -> list[Array]:
        return self.own.targets()


class Censored(Rows):
    """A normal response from zero up, or positive ones up to a limit."""

    def __init__(self, problem: Problem, phi: Array) -> None:
        super().__init__(problem)
        self.family, self.phi = problem.family, float(phi[0]) if len(phi) else 0.0
        self.df = float(np.exp(min(phi[1], 30.0))) if self.family == "student_t" else np.inf
        self.own = density_of_family(replace(problem, part=""), phi)
        self.hidden = problem.y == LEFT if self.family in OF_NUMBERS else problem.y == problem.y.max()
        self.columns = (*self.columns, "own", "hidden")

    def parts(self, eta: Array) -> tuple[Array, Array, Array]:
        value, (first, second) = self.own.value(eta), self.own.derivatives(eta)
        if self.family in ("weibull", "exponential"):
            k = np.exp(self.phi)
            hazard = np.exp(k * (np.log(self.y) - eta + gammaln(1 + 1 / k)))
            tail, slope, bend = -hazard, k * hazard, -(k**2) * hazard
        elif self.family == "gamma":
            k, z = np.exp(self.phi), np.log(self.y) - eta
            tail = np.log(gammaincc(k, k * np.exp(z)))
            slope = np.exp(k * (z - np.expm1(z)) + k * self.phi - k - gammaln(k) - tail)
            bend = slope * k * np.expm1(z) - slope**2
        elif self.family == "student_t":
            s, n = np.exp(self.phi), self.df
            z = (LEFT - eta) / s
            tail = t_distribution.logcdf(z, n)
            ratio = np.exp(t_distribution.logpdf(z, n) - tail)
            slope, bend = -ratio / s, (-ratio * (n + 1) * z / (n + z**2) - ratio**2) / s**2
        else:
            s = np.exp(self.phi)
            z = (LEFT - eta) / s if self.family == "gaussian" else (eta - s**2 / 2 - np.log(self.y)) / s
            sign = -1.0 if self.family == "gaussian" else 1.0
            tail = log_ndtr(z)
            ratio = np.exp(-0.5 * z**2 - 0.5 * LOG_2PI - tail)
            slope, bend = sign * ratio / s, -ratio * (z + ratio) / s**2
        hidden = self.hidden
        return np.where(hidden, tail, value), np.where(hidden, slope, first), np.where(hidden, bend, second)

    def targets(self) -> list[Array]:
        return [self.y] if self.family in OF_NUMBERS else [np.log(self.y)]


def thresholds(problem: Problem, phi: Array | None) -> tuple[Array, Array]:
    """Upper and lower ends of every row's category."""
    y, split = problem.y.astype(int), problem.split
    assert split is not None
    most = problem.categories
    if phi is None:
        phi = np.arange(most - 1.0)
        if problem.variant == 1:
            phi = np.array([0.0, 1.0])
        elif problem.variant == 2:
            phi = np.concatenate([phi, 0 * phi])
    tau = np.tile(phi[0] + phi[1] * np.arange(most - 1) if problem.variant == 1 else phi[: most - 1], (len(y), 1))
    if problem.variant == 2:
        tau = tau + split[:, None] * phi[most - 1 :]
    ends = np.column_stack([np.full(len(y), -np.inf), tau, np.full(len(y), np.inf)])
    rows = np.arange(len(y))
    return ends[rows, y], ends[rows, y - 1]


def density_of(problem: Problem, phi: Array | None) -> Any:
    """The density of a problem's rows; without `phi` one whose `concave` is right."""
    part = problem.part
    if part in WIDER_PARTS or part in SEVERAL_PREDICTORS:
        from .wider_densities import wider_density

        return wider_density(problem, phi)
    if part == "categories":
        return Categories(problem, *thresholds(problem, phi))
    if part in OF_ITEMS:
        from .traits import item_density

        return item_density(problem, phi)
    if phi is None:
        phi = np.zeros(problem.n_phi)
    if not part:
        return density_of_family(problem, phi)
    if part == "interval":
        return Interval(problem, phi)
    if part == "censored":
        return Censored(problem, phi)
    if part in ("inflation", "hurdle"):
        return ZeroPart(problem, phi[:-1], np.full(len(problem.y), phi[-1]))
    if part == "zero formula":
        varies = len(np.unique(problem.split)) > 1  # else the column is redundant, and has no coefficient
        own, zero = np.split(phi, [-1 - varies])
        return ZeroPart(problem, own, zero[0] + (zero[1] if varies else 0.0) * problem.split)
    if part == "truncated":
        return ZeroPart(problem, phi, None)
    label = problem.split.astype(int)
    varies = len(np.unique(label)) > 1  # else the column is redundant, and has no coefficient
    groups = [
        density_of_family(
            replace(problem.rows(np.flatnonzero(label == k)), part=""),
            np.append(phi[0] + (k * phi[1] if varies else 0.0), phi[1 + varies :]),
        )
        for k in range(2)
    ]
    return Split(groups, label)
