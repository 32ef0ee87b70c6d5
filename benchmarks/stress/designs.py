"""From a recipe to a data frame and formula for the package, and to plain arrays for the second implementation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, ndtr
from scipy.special import gamma as gamma_function

from . import numbers, parts, several, wider
from .problem import Array, Problem, Term
from .recipe import CHOICES, RATES, SEVERAL_PREDICTORS, STAGES, TIMES, TRAITS, UNSHIFTED, WIDER_PARTS, Recipe, draw
from .structures import ar1_root, cs_root, exchangeable_root


@dataclass
class Bar:
    """A term: its text, the columns of the frame that make its factor, its own columns, its structure."""

    text: str
    factor: tuple[str, ...]
    columns: tuple[str, ...] | str
    structure: str = "us"
    rank: int = 0


@dataclass
class Design:
    """All that one fit needs."""

    recipe: Recipe
    frame: pd.DataFrame
    response: str
    fixed: list[str]
    bars: list[Bar]
    weights: str | None = None
    offset: str | None = None
    threads: int = 1

    @property
    def formula(self) -> str:
        return f"{self.response} ~ " + " + ".join(
            [self._intercept, *self.fixed, *(bar.text for bar in self.bars if bar.text)]
        )

    @property
    def _intercept(self) -> str:
        return "0" if self.recipe.part in CHOICES else "1"

    def arguments(self) -> dict[str, Any]:
        """Of `MixedModel`."""
        recipe = self.recipe
        made = wider if recipe.part in (*WIDER_PARTS, *SEVERAL_PREDICTORS) else parts
        family = made.arguments(recipe, int(min(self.frame["y"].max(), 99)))
        return {
            "formula": self.formula,
            "data": self.frame,
            "weights": self.weights,
            "offset": self.offset,
            **family,
        }

    def options(self) -> dict[str, Any]:
        """Of `fit`."""
        return {"method": self.recipe.method, "n_quadrature": self.recipe.points, "threads": self.threads}

    def problem(self) -> Problem:
        """The same model in arrays, its rows in the order of the frame; quadrature points are those of the recipe."""
        frame, recipe, n = self.frame, self.recipe, len(self.frame)
        names, columns = ["(Intercept)"], [np.ones(n)]
        for name in self.fixed:
            if name == "s":
                for level in sorted(frame["s"].unique())[1:]:
                    names.append(f"s[{level}]")
                    columns.append((frame["s"] == level).to_numpy(float))
            else:
                names.append(name)
                columns.append(frame[name].to_numpy(float))
        factors = list(dict.fromkeys(bar.factor for bar in self.bars))
        codes = tuple(frame.groupby(list(f), sort=True).ngroup().to_numpy(np.int64) for f in factors)
        terms = tuple(Term(factors.index(bar.factor), self._columns(bar), bar.structure, bar.rank) for bar in self.bars)
        ones = np.ones(n)
        y = frame["y"].to_numpy(float)
        problem = Problem(
            family=recipe.family,
            link=recipe.link,
            y=y,
            size=next((frame[name].to_numpy(float) for name in ("n", "upper") if name in frame), ones),
            weights=frame[self.weights].to_numpy(float) if self.weights else ones,
            offset=frame[self.offset].to_numpy(float) if self.offset else 0 * ones,
            X=np.column_stack(columns),
            names=tuple(names),
            codes=codes,
            terms=terms,
            method=recipe.method,
            points=1 if recipe.points == "auto" else int(recipe.points),
            part=recipe.part,
            split=frame["v"].to_numpy(float) if "v" in frame else 0 * ones,
            variant=recipe.variant,
            categories=int(y.max()) if recipe.part in ("categories", "scale", "multinomial", *STAGES) else 0,
        )
        if recipe.part == "multinomial":
            return several.of_categories(problem, wider.base_of(recipe, problem.categories))
        if recipe.part in CHOICES:
            return replace(problem, predictors=wider.ALTERNATIVES)
        return several.of_two(problem) if recipe.part in ("random zero", "random dispersion") else problem

    def _columns(self, bar: Bar) -> Array:
        n = len(self.frame)
        if isinstance(bar.columns, str):  # one per level, or per whole number from the first to the last
            values = self.frame[bar.columns]
            levels = range(values.min(), values.max() + 1) if bar.columns == "t" else sorted(values.unique())
            return np.column_stack([(values == level).to_numpy(float) for level in levels])
        return np.column_stack([np.ones(n) if c == "1" else self.frame[c].to_numpy(float) for c in bar.columns])

    def describe(self) -> str:
        recipe = vars(self.recipe)
        part = f", {recipe['part']}" if recipe["part"] else ""
        lines = [f"{self.formula}   {recipe['family']}({recipe['link']}){part}, {len(self.frame)} rows"]
        lines.append(f"options {self.options()}, weights {self.weights}, offset {self.offset}")
        lines.append(", ".join(f"{k} {v}" for k, v in recipe.items()))
        return "\n".join(lines)


def design(seed: int) -> Design:
    """The design and data of a seed."""
    rng = np.random.default_rng(seed)
    recipe = draw(rng, seed)
    if recipe.kind in TRAITS:
        from .traits import item_design

        return item_design(rng, recipe)
    frame = _rows(rng, recipe)
    if recipe.part in CHOICES:  # whole sets
        frame = frame.iloc[: max(len(frame) // wider.ALTERNATIVES, 2) * wider.ALTERNATIVES]
        frame = frame.reset_index(drop=True)
    if recipe.part == "brands":
        frame["brand"] = wider.brands(rng, len(frame))
    n = len(frame)
    standard = rng.normal(size=n)
    if recipe.group_level:
        standard = rng.normal(size=n)[frame["g"].to_numpy()]
    if recipe.binary:
        standard = np.where(standard > 0, 1.0, -1.0)
    frame["x"] = recipe.scale * (standard + recipe.shift)
    frame["z"] = rng.normal(size=n)
    fixed = ["x"] if recipe.kind not in TIMES or rng.random() < 0.5 else []
    if recipe.extra or recipe.kind == "two slopes":
        fixed.append("z")
    if "s" in frame and rng.random() < 0.5:
        fixed.append("s")
    if recipe.deficient and fixed:
        frame["x2"] = 2 * frame["x"] if rng.random() < 0.5 else 1.0
        fixed.append("x2")
    bars = terms(recipe, frame)
    if recipe.part in CHOICES:
        fixed, bars = [*dict.fromkeys([*fixed, "z"])], _bars_of_choices(recipe)
    eta = recipe.intercept + recipe.slope * standard * bool(fixed) + _effects(rng, recipe, frame, bars, standard)
    made = Design(recipe, frame, "y", fixed, bars)
    if recipe.offset:
        frame["off"] = rng.normal(0, 0.3, n) if recipe.link != "log" or recipe.family != "binomial" else -0.2
        if recipe.link in ("identity", "inverse") and recipe.family != "gaussian":
            frame["off"] = frame["off"].abs()
        made.offset = "off"
        eta = eta + frame["off"].to_numpy()
    _respond(rng, made, eta)
    if recipe.kind == "constant groups":
        frame["y"] = frame.get("n", 1) * (frame["g"] % 2)
    if recipe.kind == "separation":
        frame["y"] = frame.get("n", 1) * (standard > 0.3) * (1 if recipe.family == "binomial" else frame["y"])
    if recipe.part:
        made.response = (wider if recipe.part in (*WIDER_PARTS, *SEVERAL_PREDICTORS) else parts).respond(
            rng, recipe, frame, eta
        )
    if recipe.part == "two kinds":
        made.fixed.append("v")
    if "n" in frame and recipe.family in ("binomial", "beta_binomial"):
        frame["failures"] = frame["n"] - frame["y"]
        made.response = "cbind(y, failures)"
    if recipe.shuffled:
        made.frame = frame.sample(frac=1, random_state=seed % 2**32).reset_index(drop=True)
    return made


def _rows(rng: np.random.Generator, recipe: Recipe) -> pd.DataFrame:
    m, size = recipe.n_groups, recipe.size
    if recipe.kind in TIMES:
        g, t = np.repeat(np.arange(m), size), np.tile(np.arange(size), m)
        keep = rng.random(len(g)) > (0.2 if recipe.unbalanced else 0.0)
        if size > 4 and rng.random() < 0.25:
            keep &= t != 2
        frame = pd.DataFrame({"g": g, "t": t})[keep].reset_index(drop=True)
        return frame if len(frame) > 5 else pd.DataFrame({"g": g, "t": t})
    if recipe.kind.startswith("levels"):
        q, copies = int(rng.integers(2, 5)), int(rng.integers(1, 4))
        g = np.repeat(np.arange(min(m, 400 // q)), q * copies)
        s = np.array(list("abcd"))[np.tile(np.repeat(np.arange(q), copies), len(g) // (q * copies))]
        return pd.DataFrame({"g": g, "s": s})
    counts = rng.integers(1, 2 * size + 1, m) if recipe.unbalanced else np.full(m, size)
    g = np.repeat(np.arange(m), counts)
    if len(g) < 8:
        g = np.repeat(np.arange(m), 4)
    n = len(g)
    frame = pd.DataFrame({"g": g})
    frame["h"] = rng.integers(0, int(rng.integers(3, 16)), n)
    frame["k"] = rng.integers(0, int(rng.integers(3, 9)), n)
    frame["b"] = rng.integers(0, int(rng.integers(2, 6)), n)
    return frame


def terms(recipe: Recipe, frame: pd.DataFrame) -> list[Bar]:
    """The random part of the formula."""
    g, h, k, gb = ("g",), ("h",), ("k",), ("g", "b")
    name = recipe.kind.removeprefix("levels ")
    if recipe.kind == "levels rr":
        return [Bar("rr(0 + s | g, d=1)", g, "s", "rr", 1)]
    if recipe.kind.startswith("levels"):
        text = "(0 + s | g)" if name == "levels" else f"{name}(0 + s | g)"
        return [Bar(text, g, "s", "us" if name == "levels" else name)]
    intercept = Bar("(1 | g)", g, ("1",))
    slope = Bar("(1 + x | g)", g, ("1", "x"))
    found = {
        "slope": [slope],
        "independent slope": [Bar("(x || g)", g, ("1", "x"), "diag")],
        "slope alone": [Bar("(0 + x | g)", g, ("x",))],
        "two slopes": [Bar("(1 + x + z | g)", g, ("1", "x", "z"))],
        "two terms": [intercept, Bar("(0 + x | g)", g, ("x",))],
        "crossed": [intercept, Bar("(1 | h)", h, ("1",))],
        "crossed slopes": [
            [slope, Bar("(1 | h)", h, ("1",))],
            [slope, Bar("(1 + x | h)", h, ("1", "x"))],
            [Bar("(x || g)", g, ("1", "x"), "diag"), Bar("(1 | h)", h, ("1",))],
        ][recipe.variant],
        "three factors": [intercept, Bar("(1 | h)", h, ("1",)), Bar("(1 | k)", k, ("1",))],
        "nested": [Bar("(1 | g/b)", g, ("1",)), Bar("", gb, ("1",))],
        "nested slopes": [slope, Bar("(1 | g:b)", gb, ("1",))],
        "ar1": [Bar("ar1(0 + t | g)", g, "t", "ar1")],
        "hetar1": [Bar("hetar1(0 + t | g)", g, "t", "hetar1")],
        "intercept + ar1": [intercept, Bar("ar1(0 + t | g)", g, "t", "ar1")],
        "no groups": [],
    }
    if recipe.kind == "cs over time":
        frame["s"] = np.array(list("abcdefghijkl"))[frame["t"]]
        return [Bar("cs(0 + s | g)", g, "s", "cs")]
    return found.get(recipe.kind, [intercept])


def _bars_of_choices(recipe: Recipe) -> list[Bar]:
    """A slope of persons; of brands, which differ within a set, a liking by itself or beside it, or with a slope."""
    of_persons = Bar("(0 + z | g)", ("g",), ("z",))
    liked = Bar("(1 | brand)", ("brand",), ("1",))
    if recipe.part != "brands":
        return [of_persons]
    return [[liked], [of_persons, liked], [of_persons, Bar("(1 + z | brand)", ("brand",), ("1", "z"))]][recipe.variant]


def _effects(rng: np.random.Generator, recipe: Recipe, frame: pd.DataFrame, bars: list[Bar], x: Array) -> Array:
    """Random effects of every row; slopes belong to the standardized predictor."""
    eta = np.zeros(len(frame))
    standard = frame.assign(x=x)
    sds = iter(recipe.sds * 4)
    for bar in bars:
        Z = Design(recipe, standard, "y", [], [])._columns(bar)
        q, rho = Z.shape[1], recipe.correlation
        if bar.structure in ("ar1", "hetar1"):
            root = next(sds) * ar1_root(q, np.arctanh(np.clip(rho, -0.98, 0.98)))
        elif bar.structure in ("cs", "homcs"):
            root = next(sds) * cs_root(q, max(rho, -0.3))
        elif bar.structure in ("diag", "homdiag"):
            root = np.diag([next(sds)] * q if bar.structure == "homdiag" else [next(sds) for _ in range(q)])
        elif bar.structure == "rr":
            root = np.outer([next(sds) for _ in range(q)], np.eye(q)[0])
        else:
            root = np.diag([next(sds) for _ in range(q)]) @ exchangeable_root(q, max(rho, -0.49) if q > 2 else rho)
        code = frame.groupby(list(bar.factor)).ngroup().to_numpy()
        u = rng.normal(size=(code.max() + 1, q)) @ root.T
        eta += (Z * u[code]).sum(1)
    return eta


def _respond(rng: np.random.Generator, made: Design, eta: Array) -> None:
    recipe, frame, n = made.recipe, made.frame, len(eta)
    if recipe.weighted:
        precise = recipe.family in ("gaussian", *numbers.OF_MEAN)
        frame["w"] = rng.uniform(0.2, 5, n) if precise else rng.integers(1, 4, n)
        made.weights = "w"
    if recipe.family == "gaussian":
        mean = np.exp(np.clip(eta, -10, 10)) if recipe.link == "log" else eta
        precision = frame["w"].to_numpy() if made.weights else 1.0
        noise = recipe.sigma * rng.normal(size=n) / np.sqrt(precision)
        frame["y"] = recipe.response_scale * (mean + noise)
    elif recipe.family in UNSHIFTED:
        frame["y"] = eta
    elif recipe.family == "poisson":
        mean = {"log": np.exp(np.minimum(eta, 14)), "sqrt": eta**2, "identity": np.maximum(eta, 0.05)}[recipe.link]
        frame["y"] = rng.poisson(mean)
    elif recipe.family in RATES:
        frame["y"] = _dispersed(rng, recipe, eta)
    elif recipe.family == "conway_maxwell_poisson":
        mean = np.exp(np.minimum(eta, 4.5))
        trials = np.ceil(mean / 0.7)
        drawn = (rng.poisson(mean), rng.binomial(trials.astype(int), mean / trials), rng.geometric(1 / (1 + mean)) - 1)
        frame["y"] = drawn[recipe.variant].astype(float)
    elif recipe.family in numbers.VALUE:
        frame["y"] = _numbers(rng, recipe, eta, frame["w"].to_numpy() if made.weights else np.ones(n))
    else:
        inverse = {
            "logit": expit,
            "probit": ndtr,
            "cloglog": lambda e: -np.expm1(-np.exp(np.minimum(e, 5))),
            "cauchit": lambda e: 0.5 + np.arctan(e) / np.pi,
            "log": lambda e: np.exp(np.minimum(e, -0.02)),
        }[recipe.link]
        mean = inverse(eta)
        if recipe.family in (
            "beta",
            "beta_binomial",
            "ordered_beta",
        ):
            # a precision from 1e3 for the smallest sigma to one
            precision, inside = 1.0 + 3.0 / recipe.sigma**2, np.clip(mean, 1e-9, 1 - 1e-9)
            mean = rng.beta(inside * precision, (1 - inside) * precision)
        if recipe.family == "beta":
            frame["y"] = np.clip(mean, 1e-12, 1 - 1e-12)
        elif recipe.family == "ordered_beta":
            u, wide = rng.random(n), (1.0, 2.0, 4.0)[recipe.variant]
            frame["y"] = np.select(
                [u > expit(eta + wide), u < expit(eta - wide)], [0.0, 1.0], np.clip(mean, 1e-9, 1 - 1e-9)
            )
        elif (trials := max(recipe.trials, 6 if recipe.family == "beta_binomial" else 1)) > 1:
            frame["n"] = trials if rng.random() < 0.5 else rng.integers(1, trials + 1, n)
            frame["y"] = rng.binomial(frame["n"], mean)
        else:
            frame["y"] = (rng.random(n) < mean).astype(int)


def _dispersed(rng: np.random.Generator, recipe: Recipe, eta: Array) -> Array:
    """Gamma with a coefficient of variation of sigma, or Poisson around that; with the smallest sigma Poisson alone."""
    mean = {
        "log": lambda: np.exp(np.clip(eta, -30, 14)),
        "identity": lambda: np.maximum(eta, 0.05),
        "inverse": lambda: 1 / np.maximum(eta, 0.05),
    }[recipe.link]()
    shape = recipe.sigma**-2.0
    if recipe.family == "gamma":
        return np.maximum(rng.gamma(shape, mean / shape), 1e-200)
    if recipe.family == "geometric":
        return rng.poisson(np.minimum(rng.exponential(mean), 1e9)).astype(float)
    if recipe.sigma < 0.1:
        return rng.poisson(mean).astype(float)
    if recipe.family in ("negative_binomial_1", "generalized_poisson"):  # a variance of (1 + sigma) times the mean
        return rng.poisson(rng.gamma(mean / recipe.sigma, recipe.sigma)).astype(float)
    return rng.poisson(np.minimum(rng.gamma(shape, mean / shape), 1e9)).astype(float)


def _numbers(rng: np.random.Generator, recipe: Recipe, eta: Array, weights: Array) -> Array:
    """Numbers with a coefficient of variation of about sigma, or a standard deviation of that."""
    n, sigma = len(eta), recipe.sigma
    if recipe.family in numbers.OF_MEAN:
        mean = np.exp(np.clip(eta, -10, 10)) if recipe.link == "log" else eta
        if recipe.family == "student_t":
            noise = rng.standard_t((2.5, 5.0, 30.0)[recipe.variant], n)
        else:
            slant = (-4.0, 2.0, 8.0)[recipe.variant]
            noise = slant * np.abs(rng.normal(size=n)) / np.hypot(1, slant) + rng.normal(size=n) / np.hypot(1, slant)
        return mean + sigma * noise / np.sqrt(weights)
    mean = {
        "log": lambda: np.exp(np.clip(eta, -30, 14)),
        "identity": lambda: np.maximum(eta, 0.05),
        "inverse": lambda: 1 / np.maximum(eta, 0.05),
        "inverse_squared": lambda: 1 / np.sqrt(np.maximum(eta, 0.05)),
    }[recipe.link]()
    middle = float(np.median(mean))
    if recipe.family == "tweedie":
        power = (1.2, 1.5, 1.8)[recipe.variant]
        dispersion = sigma**2 * middle ** (2 - power)
        count = rng.poisson(np.minimum(mean ** (2 - power) / (dispersion * (2 - power)), 1e9))
        scale = dispersion * (power - 1) * mean ** (power - 1)
        return np.where(count > 0, rng.gamma(np.maximum(count, 1) * (2 - power) / (power - 1), scale), 0.0)
    standard = {
        "lognormal": lambda: np.exp(sigma * rng.normal(size=n) - sigma**2 / 2),
        "inverse_gaussian": lambda: rng.wald(mean, middle / sigma**2) / mean,
        "exponential": lambda: rng.exponential(size=n),
        "weibull": lambda: rng.weibull(sigma**-1.086, n) / gamma_function(1 + sigma**1.086),
    }[recipe.family]()
    return np.maximum(mean * standard, 1e-200)


def with_points(problem: Problem, points: int) -> Problem:
    """The problem with the number of points that a fit used."""
    return replace(problem, points=points)
