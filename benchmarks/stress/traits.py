"""Latent traits: persons answer items, which load on one trait or on correlated factors."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, ndtr

from .categories import Categories
from .densities import Density
from .designs import Bar, Design
from .ordered import Adjacent
from .problem import Array, Problem, Term
from .recipe import Recipe
from .rows import Split
from .structures import exchangeable_root

CATEGORIES = 3
NAMES = "abcdefghij"


class ItemDesign(Design):
    """A row for each person and item; `fixed` may hold "item", a column for each."""

    @property
    def ordered(self) -> bool:
        return self.recipe.family in ("cumulative", "adjacent")

    @property
    def formula(self) -> str:
        first = "1" if not self.ordered and "item" not in self.fixed else "0"
        return f"y ~ {' + '.join([first, *self.fixed, self.bars[0].text])}"

    def arguments(self) -> dict[str, Any]:
        """Of `MixedModel`."""
        more: dict[str, Any] = {}
        if self.ordered:
            more = {"nominal": "~ 0 + item", "levels": list(range(1, CATEGORIES + 1))}
        elif self.recipe.family == "gaussian":
            more = {"dispersion": "~ 0 + item"}
        names = {"family": self.recipe.family, "link": self.recipe.link, "weights": self.weights, "offset": self.offset}
        return {"formula": self.formula, "data": self.frame, **names, **more}

    def problem(self) -> Problem:
        """The same model in arrays, its rows in the order of the frame."""
        frame, recipe, n = self.frame, self.recipe, len(self.frame)
        items = sorted(frame["item"].unique())
        of_item = np.column_stack([(frame["item"] == item).to_numpy(float) for item in items])
        names, columns = [], []
        if not self.ordered and "item" not in self.fixed:
            names, columns = ["(Intercept)"], [np.ones(n)]
        for name in self.fixed:
            names += [f"item[{item}]" for item in items] if name == "item" else [name]
            columns += list(of_item.T) if name == "item" else [frame[name].to_numpy(float)]
        bar = self.bars[0]
        loads = factors_of(len(items), bar.rank) if bar.structure == "cfa" else ()
        return Problem(
            family=recipe.family,
            link=recipe.link,
            y=frame["y"].to_numpy(float),
            size=np.ones(n),
            weights=frame[self.weights].to_numpy(float) if self.weights else np.ones(n),
            offset=frame[self.offset].to_numpy(float) if self.offset else np.zeros(n),
            X=np.column_stack(columns) if columns else np.zeros((n, 0)),
            names=tuple(names),
            codes=(frame.groupby("g", sort=True).ngroup().to_numpy(np.int64),),
            terms=(Term(0, of_item, bar.structure, bar.rank, loads),),
            points=int(recipe.points),
            part=recipe.part,
            split=of_item.argmax(1).astype(float),
            categories=CATEGORIES if self.ordered else 0,
        )


def factors_of(items: int, count: int) -> tuple[tuple[int, ...], ...]:
    """Which items load on each factor: runs of them, and of two factors the item between them on both."""
    ends = np.linspace(0, items, count + 1).round().astype(int).tolist()
    runs = [list(range(a, b)) for a, b in itertools.pairwise(ends)]
    if count == 2 and items > 5:
        runs[0].append(runs[1][0])
    return tuple(map(tuple, runs))


def item_design(rng: np.random.Generator, recipe: Recipe) -> Design:
    """The design and data of a recipe."""
    m, k, count = recipe.n_groups, recipe.size, recipe.variant
    g, item = np.repeat(np.arange(m), k), np.tile(np.arange(k), m)
    loads = factors_of(k, count)
    loading = np.zeros((k, count))
    for factor, own in enumerate(loads):
        loading[list(own), factor] = np.array(recipe.sds)[list(own)]
    if rng.random() < 0.15:  # an item that runs against the others
        loading[int(rng.integers(k))] *= -1
    if count > 2:
        traits = rng.normal(size=(m, count)) @ exchangeable_root(count, recipe.correlation).T
    else:
        correlation = recipe.correlation + (1 - recipe.correlation) * np.eye(count)
        traits = rng.multivariate_normal(np.zeros(count), correlation, size=m)
    frame = pd.DataFrame({"g": g, "item": np.array(list(NAMES))[item]})
    x = rng.normal(size=m)[g] if recipe.group_level else rng.normal(size=m * k)
    frame["x"] = recipe.scale * (np.where(x > 0, 1.0, -1.0) if recipe.binary else x)
    frame["z"] = rng.normal(size=k)[item]
    ordered = recipe.family in ("cumulative", "adjacent")
    of_items = ordered or rng.random() < 0.8
    fixed = [] if ordered else ["item"] if of_items else ["z"]
    fixed += ["x"] * recipe.extra
    name = "rr(0 + item | g, d=1)"
    if recipe.kind == "factors":
        texts = [f"f{j + 1} = {' + '.join(NAMES[i] for i in own)}" for j, own in enumerate(loads)]
        name = f"cfa(0 + item | g, {', '.join(texts)})"
    bar = Bar(name, ("g",), "item", "cfa" if recipe.kind == "factors" else "rr", count)
    made = ItemDesign(recipe, frame, "y", fixed, [bar])
    easiness = recipe.intercept + (rng.normal(size=k)[item] if of_items else 0.5 * frame["z"].to_numpy())
    eta = easiness + recipe.slope * x * recipe.extra + (traits[g] * loading[item]).sum(1)
    if recipe.offset:
        frame["off"] = rng.normal(0, 0.3, len(frame))
        made.offset = "off"
        eta = eta + frame["off"].to_numpy()
    if recipe.weighted:
        frame["w"] = rng.integers(1, 4, len(frame))
        made.weights = "w"
    frame["y"] = respond(rng, recipe, eta, item)
    if recipe.unbalanced:
        kept = frame[rng.random(len(frame)) > 0.2]
        made.frame = kept.reset_index(drop=True) if kept["item"].nunique() == k else frame
    if recipe.shuffled:
        made.frame = made.frame.sample(frac=1, random_state=recipe.seed % 2**32).reset_index(drop=True)
    return made


def respond(rng: np.random.Generator, recipe: Recipe, eta: Array, item: Array) -> Array:
    """Answers with these linear predictors."""
    n = len(eta)
    if recipe.family == "poisson":
        return rng.poisson(np.exp(np.minimum(eta, 9.0))).astype(float)
    if recipe.family == "gaussian":
        return eta + recipe.sigma * np.exp(0.3 * rng.normal(size=recipe.size))[item] * rng.normal(size=n)
    if recipe.family == "binomial":
        rise = {"logit": expit, "probit": ndtr, "cloglog": lambda e: -np.expm1(-np.exp(np.minimum(e, 5)))}
        return (rng.random(n) < rise[recipe.link](eta)).astype(float)
    if recipe.family == "cumulative":
        latent = eta + (rng.logistic(size=n) if recipe.link == "logit" else rng.normal(size=n))
        shares = np.sort(rng.uniform(0.1, 0.9, (recipe.size, CATEGORIES - 1)), axis=1)
        cuts = np.array([np.quantile(latent[item == k], own) for k, own in enumerate(shares)])
        return 1.0 + (latent[:, None] > cuts[item]).sum(1)
    steps = eta[:, None] * np.arange(CATEGORIES) - np.cumsum(rng.normal(size=(recipe.size, CATEGORIES)), axis=1)[item]
    return 1.0 + (steps + rng.gumbel(size=(n, CATEGORIES))).argmax(1)


def item_cuts(problem: Problem, phi: Array) -> Array:
    """The thresholds of every row: of the first item, and what those of each other differ from them."""
    assert problem.split is not None
    table = phi.reshape(problem.n_items, problem.categories - 1).copy()
    table[1:] += table[0]
    return table[problem.split.astype(int)]


def item_density(problem: Problem, phi: Array | None) -> Any:
    """Without `phi` one whose `concave` is right."""
    assert problem.split is not None
    if problem.part == "dispersion of items":
        label = problem.split.astype(int)
        phi = np.zeros(problem.n_items) if phi is None else phi
        plain = [replace(problem.rows(np.flatnonzero(label == k)), part="") for k in range(problem.n_items)]
        return Split([Density(own, phi[k : k + 1]) for k, own in enumerate(plain)], label)
    if phi is None:
        phi = np.append(np.arange(problem.categories - 1.0), np.zeros((problem.n_items - 1) * (problem.categories - 1)))
    tau = item_cuts(problem, phi)
    if problem.part == "credit":
        return Adjacent(problem, tau)
    n, y = len(problem.y), problem.y.astype(int)
    ends = np.column_stack([np.full(n, -np.inf), tau, np.full(n, np.inf)])
    return Categories(problem, ends[np.arange(n), y], ends[np.arange(n), y - 1])
