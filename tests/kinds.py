"""A small fit of each kind of model that there is, for what must work with all of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import multilevel as ml

from .family_cases import CASES, FAMILIES


@cache
def frame() -> pd.DataFrame:
    """96 rows in 12 groups, which lie in 4 towns and are crossed with 6 items."""
    rng = np.random.default_rng(4)
    n, g = 96, np.repeat(np.arange(12), 8)
    own = pd.DataFrame({"g": [f"g{k:02d}" for k in g], "town": [f"t{k // 3}" for k in g]})
    own["item"] = [f"i{k % 6}" for k in range(n)]
    own["t"] = np.tile(np.arange(8) % 4, 12)
    own["x"], own["w"] = rng.normal(size=n), np.repeat(rng.normal(size=12), 8)
    own["f"] = pd.Categorical(np.repeat(["a", "b", "c"], 32)[rng.permutation(n)])
    u, v = rng.normal(size=12)[g], rng.normal(size=12)[g]
    own["y"] = 1.0 + own["x"] + u + 0.6 * v * own["x"] + rng.normal(size=n)
    own["k"] = rng.poisson(np.exp(0.6 + 0.3 * own["x"] + 0.5 * u)) * (rng.random(n) < 0.8)
    own["b"] = (own["x"] + u + rng.logistic(size=n) > 0).astype(int)
    own["o"] = pd.cut(own["x"] + u + rng.logistic(size=n), [-99, -1, 1, 99], labels=["low", "mid", "high"])
    own["low"] = np.where(own["y"] < 0, 1, 0)
    own["cut"] = np.maximum(own["y"], 0.0)
    return own


MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "least squares": ("y ~ x + f", {}),
    "intercept alone": ("y ~ 1 + (1 | g)", {}),
    "no intercept": ("y ~ 0 + x + (1 | g)", {}),
    "no fixed effects": ("y ~ 0 + (1 | g)", {}),
    "slopes": ("y ~ x * w + f + (1 + x | g)", {}),
    "slopes by ml": ("y ~ x * w + (1 + x | g)", {"method": "ml"}),
    "independent slopes": ("y ~ x + (1 + x || g)", {}),
    "compound symmetry": ("y ~ x + cs(0 + f | g)", {}),
    "homogeneous compound symmetry": ("y ~ x + homcs(0 + f | g)", {}),
    "autoregressive": ("y ~ x + ar1(0 + t | g)", {}),
    "reduced rank": ("y ~ x + rr(0 + f | g, d=1)", {}),
    "confirmatory": ("y ~ x + cfa(0 + item | g, one = i0 + i1 + i2, two = i3 + i4 + i5)", {}),
    "nested": ("y ~ x + (1 | town/g)", {}),
    "crossed": ("y ~ x + (1 + x | g) + (1 | item)", {}),
    "redundant": ("y ~ x + I(2 * x) + (1 | g)", {}),
    "weights and offset": ("y ~ x + offset(w) + (1 | g)", {"weights": "t1"}),
    "dispersion": ("y ~ x + (1 | g)", {"dispersion": "~ x"}),
    "glm": ("k ~ x + f", {"family": "poisson"}),
    "logit": ("b ~ x * w + (1 | g)", {"family": "binomial", "n_quadrature": 7}),
    "probit": ("b ~ x + (1 | g)", {"family": ml.Family("binomial", "probit")}),
    "zero inflation": ("k ~ x + (1 | g)", {"family": "poisson", "zero_inflation": "~ x"}),
    "zero inflation with effects": ("k ~ x + (1 | g)", {"family": "poisson", "zero_inflation": "~ 1 + (1 | g)"}),
    "hurdle": ("k ~ x + (1 | g)", {"family": "negative_binomial", "hurdle": "~ w"}),
    "truncated": ("k1 ~ x + (1 | g)", {"family": "truncated_poisson"}),
    "censored": ("censored(cut, left=0) ~ x + (1 | g)", {"family": "gaussian"}),
    "ordered": ("o ~ x + (1 | g)", {"family": "cumulative"}),
    "nominal effects": ("o ~ x + (1 | g)", {"family": "cumulative", "nominal": "~ f"}),
    "quasi-likelihood": ("b ~ x + (1 | g)", {"family": "binomial", "method": "pql"}),
}
KINDS = [*MODELS, *(f"family {name}" for name in FAMILIES if not CASES[name].slow)]


@cache
def fitted(kind: str) -> ml.MixedModelResults:
    """The fit of a kind, without its warnings."""
    data = frame()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind.startswith("family "):
            return _of_family(kind.removeprefix("family "), data)
        formula, options = MODELS[kind]
        data = data.assign(t1=data["t"] + 1.0, k1=data["k"] + 1)
        return ml.fit(formula, data, **options)


def _of_family(name: str, data: pd.DataFrame) -> ml.MixedModelResults:
    case, rng = CASES[name], np.random.default_rng(2)
    family = ml.Family(name)
    start = case.starts[family.link]
    trials = np.full(len(data), 5)
    eta = start.intercept + start.scale * (0.3 * data["x"] + 0.5 * data["w"]).to_numpy()
    draw: Callable[..., Any] = case.draw
    data = data.assign(z=draw(rng, family.mean(eta), trials, case.phi[0]), n=trials)
    left = "cbind(z, n - z)" if case.trials else "z"
    return ml.fit(f"{left} ~ x + (1 | g)", data, family)
