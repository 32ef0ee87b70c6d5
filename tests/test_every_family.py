"""Everything that results can do, on a model of every family: finite numbers, or a refusal of our own that says why."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml

from .family_cases import CASES, drawn

pytest.importorskip("matplotlib").use("Agg")

Results = ml.MixedModelResults
FAMILIES = [str(name) for name in ml.families()["family"].unique()]
# models that differ in more than the family
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "zero inflation": ("n ~ x + f + (1 | g)", {"family": "poisson", "zero_inflation": "~ x"}),
    "hurdle": ("n ~ x + f + (1 | g)", {"family": "poisson", "hurdle": "~ 1"}),
    "censored": ("censored(cut, right=0.8) ~ x + f + (1 | g)", {}),
    "interval": ("interval(cut, end) ~ x + f + (1 | g)", {}),
    "dispersion": ("z ~ x + f + (1 | g)", {"dispersion": "~ x"}),
    "dispersion with random effects": ("z ~ x + f + (1 | g)", {"dispersion": "~ 1 + (1 | g)", "method": "ml"}),
    "weights and an offset": ("z ~ x + f + offset(0.1 * x) + (1 | g)", {"weights": "w"}),
    "crossed factors": ("n ~ x + f + (1 | g) + (1 | h)", {"family": "poisson"}),
    "crossed factors, linear": ("z ~ x + f + (1 | g) + (1 | h)", {}),
    "slopes by quadrature": ("b ~ x + f + (x || g)", {"family": "binomial", "n_quadrature": 5}),
    "without random effects": ("b ~ x + f", {"family": "binomial"}),
    "least squares": ("z ~ x + f", {}),
    "quasi-likelihood": ("b ~ x + f + (1 | g)", {"family": "binomial", "method": "rspl"}),
}

METHODS: dict[str, Callable[[Results], Any]] = {
    "conf_int": lambda r: r.conf_int(),
    "profile": lambda r: r.profile(["x"]).conf_int(),
    # where a replicate's variance is zero it has no correlation
    "bootstrap": lambda r: r.bootstrap(2, seed=1).replicates.filter(regex="^(?!.*cor__)"),
    "robust": lambda r: r.cov_params(robust="CR1"),
    "wald_test": lambda r: r.wald_test("x = 0").table,
    "anova": lambda r: r.anova(),
    "drop1": lambda r: r.drop1().iloc[1:],
    "test_variance": lambda r: r.test_variance("g"),
    "random_effects": lambda r: r.random_effects(),
    "posterior means": lambda r: r.random_effects(kind="mean")[["mean", "sd", "lower", "upper"]],
    "ranks": lambda r: r.ranks("g"),
    "icc": lambda r: r.icc(),
    "r2": lambda r: r.r2(),
    "median_odds_ratio": lambda r: r.median_odds_ratio(),
    "design_effect": lambda r: r.design_effect(),
    "predict": lambda r: r.predict(),
    "predict, errors": lambda r: r.predict(se=True),
    "predict, interval": lambda r: r.predict(r.model.data.iloc[:6], interval="prediction"),
    "predict, marginal": lambda r: r.predict(random="marginal", se=True),
    "population_average": lambda r: r.population_average(),
    "simulate": lambda r: r.simulate(2, seed=1),
    "residuals": lambda r: r.residuals(),
    "quantile residuals": lambda r: r.residuals("quantile", seed=1),
    "check": lambda r: r.check().page,
    "influence": lambda r: r.influence().dfbetas,
    "influence of levels": lambda r: r.influence("g").dfbetas,
    "collinearity": lambda r: r.collinearity(),
    "linktest": lambda r: r.linktest(),
    "lack_of_fit": lambda r: r.lack_of_fit(),
    "marginal_means": lambda r: r.marginal_means("f").table,
    "marginal_slopes": lambda r: r.marginal_slopes("x").table,
    "comparisons": lambda r: r.comparisons("x").table,
    "vcov_table": lambda r: r.vcov_table()["estimate"],
    "tidy": lambda r: r.tidy()["estimate"],
    "augment": lambda r: r.augment(),
    "summary": lambda r: str(r.summary()),
    "interpret": lambda r: str(r.interpret()),
    "equation": lambda r: str(r.equation()),
    "describe": lambda r: str(r.describe()),
    "plot.fixed": lambda r: r.plot.fixed(),
    "plot.random_effects": lambda r: r.plot.random_effects(),
    "plot.residuals": lambda r: r.plot.residuals(),
    "plot.qq": lambda r: r.plot.qq(),
    "plot.predictions": lambda r: r.plot.predictions("x"),
    "plot.check": lambda r: r.plot.check(),
    "plot.categories": lambda r: r.plot.categories("x"),
    "plot.probability": lambda r: r.plot.probability("x"),
    "plot.latent": lambda r: r.plot.latent(),
}


def rows(seed: int = 8) -> tuple[pd.DataFrame, np.ndarray]:
    """Predictors of 60 rows in 12 groups, and a linear predictor."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"g": np.repeat(np.arange(12), 5), "h": np.arange(60) % 4, "x": rng.normal(size=60)})
    data["f"], data["w"] = pd.Categorical(rng.choice(["a", "b", "c"], 60)), rng.uniform(0.5, 2.0, 60)
    return data, 0.5 * data["x"].to_numpy() + rng.normal(0, 0.9, 12)[data["g"]]


@cache
def fitted(name: str) -> Results:
    rng, (data, eta) = np.random.default_rng(9), rows()
    formula, options = OTHERS.get(name, ("y ~ x + f + (1 | g)", {"family": name}))
    if name in OTHERS:
        data["z"] = eta + 0.5 * rng.normal(size=4)[data["h"]] + rng.normal(size=60)
        data["n"] = rng.poisson(np.exp(1.0 + data["z"] / 2)) * (rng.random(60) > 0.3 * ("z" in name))
        data["b"], data["cut"] = (data["z"] > 0).astype(int), np.minimum(data["z"], 0.8)
        data["end"] = np.where(data["z"] >= 0.8, np.inf, data["z"])
    elif ml.Family(name).support == "categories" or name == "multinomial":
        code = np.searchsorted([-0.7, 0.7], eta + rng.logistic(size=60))
        data["y"] = pd.Categorical.from_codes(code, ["low", "mid", "top"], ordered=True)
    elif name == "conditional":
        data = pd.concat([data] * 3, ignore_index=True).assign(one=np.tile(np.arange(60), 3))
        data["x"], data["f"] = rng.normal(size=180), pd.Categorical(np.repeat(["a", "b", "c"], 60))
        data["y"] = (0.5 + 0.9 * rng.normal(size=12)[data["g"]]) * data["x"] + rng.gumbel(size=180)
        data["y"] = (data["y"] == data.groupby("one")["y"].transform("max")).astype(int)
        formula, options = "y ~ x + f + (0 + x | g)", options | {"choice_set": "one"}
    elif name.startswith("truncated"):
        data["y"] = rng.poisson(np.exp(eta + 1.0))
        data = data[data["y"] > 0]
    else:
        case = CASES[name]
        start = next(iter(case.starts.values()))
        data["y"] = drawn(rng, name, start.intercept + start.scale * eta, size=6.0 if case.trials else 1.0)
        data["rest"] = 6.0 - data["y"]
        formula = formula.replace("y ~", "cbind(y, rest) ~") if case.trials else formula
    return ml.fit(formula, data, **options)


def lacks(value: Any) -> Iterator[str]:
    """What is no number."""
    if isinstance(value, dict):
        for own in value.values():
            yield from lacks(own)
    elif isinstance(value, pd.DataFrame):
        numbers = value.select_dtypes("number")
        yield from (f"NaN in {name}" for name in numbers.columns[numbers.isna().any()])
    elif isinstance(value, (pd.Series, np.ndarray)):
        if pd.isna(np.asarray(value, dtype=float)).any():
            yield "NaN"
    elif hasattr(value, "p_value"):
        if not np.isfinite(value.p_value):
            yield "p_value is NaN"
    elif hasattr(value, "figure") or hasattr(value, "axes"):
        return
    else:
        assert str(value)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FAMILIES, *OTHERS])
def test_all_that_results_do(name: str) -> None:
    import matplotlib.pyplot as plt

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        results = fitted(name)
    faults, done = [], 0
    for method, call in METHODS.items():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                missing = list(lacks(call(results)))
                done += not missing
            except (ml.DataError, ml.FormulaError, ml.ArgumentError) as error:
                missing = [] if len(str(error)) > 30 else [f"says no more than {error}"]
            except Exception as error:
                missing = [f"{type(error).__name__}: {error}"]
        if any(issubclass(own.category, ml.NotEstimableWarning) for own in said):
            missing = []  # it has said what is missing, and why
        missing += [str(own.message) for own in said if not issubclass(own.category, ml.FitWarning)]
        faults += [f"{method}: {own}" for own in missing]
        plt.close("all")
    assert not faults
    assert done >= 15, "refused nearly everywhere"
