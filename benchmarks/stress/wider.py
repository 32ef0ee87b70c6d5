"""What seeds from `WIDER` on draw beside the rest: ordered families, choices, rows of two kinds, several predictors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, log_expit

import multilevel as ml

from .problem import Array
from .recipe import CHOICES, STAGES, Recipe

KINDS_OF_ROWS = (  # of v = 0 and v = 1
    (("binomial", "logit"), ("poisson", "log")),
    (("binomial", "probit"), ("gamma", "log")),
    (("poisson", "log"), ("gaussian", "identity")),
)
ALTERNATIVES = 3  # of a set


def _log_logistic(y: Any, eta: Any, log_shape: Any) -> Any:
    z = np.exp(log_shape) * (np.log(y) - eta)
    return log_shape - np.log(y) + log_expit(z) + log_expit(-z)


LOG_LOGISTIC = ml.CustomFamily(
    "log_logistic", _log_logistic, links=["log"], support="positive", parameters=["log_shape"], log_concave=True
)


def arguments(recipe: Recipe, categories: int) -> dict[str, Any]:
    """Of `MixedModel`: the family, and what belongs to it."""
    levels = {"levels": list(range(1, categories + 1))}
    if recipe.part in STAGES:
        more: dict[str, Any] = [{}, {"thresholds": "equidistant"}, {"nominal": "~ v"}][recipe.variant]
        return {"family": recipe.family, "link": recipe.link, **levels, **more}
    if recipe.part == "scale":
        return {"family": "cumulative", "link": recipe.link, "scale": "~ v", **levels}
    if recipe.part == "multinomial":
        return {"family": "multinomial", "base": base_of(recipe, categories), **levels}
    if recipe.part in CHOICES:
        return {"family": "conditional", "choice_set": "set"}
    if recipe.part == "custom":
        return {"family": LOG_LOGISTIC}
    if recipe.part == "two kinds":
        one, other = (ml.Family(*names) for names in KINDS_OF_ROWS[recipe.variant])
        return {"family": ml.MixedFamily("kind", a=one, b=other)}
    formula = {"random zero": {"zero_inflation": "~ v + (1 | g)"}, "random dispersion": {"dispersion": "~ v + (1 | g)"}}
    more = formula.get(recipe.part, {"dispersion": "~ v"})
    return {"family": recipe.family, "link": recipe.link, **more}


def brands(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Of the alternatives of each set, some of a few that all sets have theirs from."""
    several = int(rng.integers(ALTERNATIVES, 13))
    drawn = [rng.permutation(several)[:ALTERNATIVES] for _ in range(n // ALTERNATIVES)]
    return np.unique(np.concatenate(drawn), return_inverse=True)[1].astype(np.int64)


def base_of(recipe: Recipe, categories: int) -> int:
    return categories if recipe.variant == 2 else 1


def respond(rng: np.random.Generator, recipe: Recipe, frame: pd.DataFrame, eta: Array) -> str:
    """Responses of what the part is about; the left-hand side of the formula."""
    n, part = len(frame), recipe.part
    frame["v"] = (rng.random(n) < 0.5).astype(int)
    g = frame["g"].to_numpy()
    if part in (*STAGES, "scale"):
        latent = eta + rng.logistic(size=n) * np.exp((0.0 if part in STAGES else 0.5) * frame["v"])
        share = np.sort(rng.uniform(0.05, 0.95, int(rng.choice([2, 3, 4]))))
        found = np.searchsorted(np.quantile(latent, share), latent)
        frame["y"] = 1 + np.unique(found, return_inverse=True)[1].ravel()
    elif part == "multinomial":
        utility = rng.gumbel(size=(n, 3)) + np.outer(eta, [0.0, 1.0, 0.3])
        utility += 0.8 * rng.normal(size=(g.max() + 1, 3))[g]
        frame["y"] = 1 + np.unique(utility.argmax(1), return_inverse=True)[1].ravel()
    elif part in CHOICES:
        sets = np.arange(n) // ALTERNATIVES
        frame["g"] = frame["g"].to_numpy()[ALTERNATIVES * sets]
        frame["set"] = sets
        utility = rng.gumbel(size=n) + recipe.slope * frame["z"] + rng.normal(size=g.max() + 1)[frame["g"]] * frame["z"]
        if part == "brands":
            brand = frame["brand"].to_numpy()
            utility += recipe.sds[1] * rng.normal(size=brand.max() + 1)[brand]
        best = utility.groupby(sets).transform("max")
        frame["y"] = (utility == best).astype(int)
    elif part == "two kinds":
        frame["kind"] = np.array(["a", "b"])[frame["v"]]
        near = np.clip(eta, -6, 6)
        drawn = {
            "binomial": lambda: (rng.random(n) < expit(near)).astype(float),
            "poisson": lambda: rng.poisson(np.exp(near)).astype(float),
            "gamma": lambda: np.maximum(rng.gamma(2.0, np.exp(near) / 2), 1e-12),
            "gaussian": lambda: eta + rng.normal(size=n),
        }
        one, other = (drawn[family]() for family, _ in KINDS_OF_ROWS[recipe.variant])
        frame["y"] = np.where(frame["v"] == 0, one, other)
    elif part == "custom":
        frame["y"] = np.exp(np.clip(eta + recipe.sigma * rng.logistic(size=n), -100, 100))
    elif part == "random zero":
        odds = rng.normal(size=g.max() + 1)[g] * recipe.sds[3] - 1 + frame["v"]
        frame["y"] = np.where(rng.random(n) < expit(odds), 0, frame["y"])
    else:
        spread = 0.4 * rng.normal(size=g.max() + 1)[g] if part == "random dispersion" else 0.0
        frame["y"] += recipe.sigma * np.exp(spread + 0.5 * frame["v"]) * rng.normal(size=n)
    return "y"
