"""Every model of categories and every question after a fit: finite numbers, or our own refusal with a remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.errors import ArgumentError, DataError

from .test_category_effects import drawn
from .test_choice_reports import trips

pytestmark = pytest.mark.filterwarnings("ignore::multilevel.errors.FitWarning")  # groups are small
Results = ml.MixedModelResults


def mixed() -> pd.DataFrame:
    rng, data = np.random.default_rng(4), drawn()
    one = data.assign(v=data["x"] + rng.normal(size=len(data)), kind="number")
    two = data.assign(v=rng.poisson(np.exp(0.3 * data["x"] + 0.4 * np.sin(data["g"]))).astype(float), kind="count")
    return pd.concat([one, two], ignore_index=True)


MODELS: dict[str, Callable[[], Results]] = {
    "multinomial": lambda: ml.fit("y ~ x + f + (1 | g)", drawn(), "multinomial"),
    "multinomial without groups": lambda: ml.fit("y ~ x + f", drawn(), "multinomial"),
    "conditional": lambda: ml.fit("chosen ~ x + f + (x | g)", renamed(), "conditional", choice_set="trip"),
    "conditional without groups": lambda: ml.fit("chosen ~ x + f", renamed(), "conditional", choice_set="trip"),
    "adjacent": lambda: ml.fit("o ~ x + f + (1 | g)", drawn(), "adjacent"),
    "continuation": lambda: ml.fit("o ~ x + f + (1 | g)", drawn(), "continuation"),
    "reverse_continuation": lambda: ml.fit("o ~ x + f + (1 | g)", drawn(), "reverse_continuation"),
    "nominal": lambda: ml.fit("o ~ x + (1 | g)", drawn(), "cumulative", nominal="~ f"),
    "scale": lambda: ml.fit("o ~ x + f + (1 | g)", drawn(), "cumulative", scale="~ f"),
    "equidistant": lambda: ml.fit("o ~ x + f + (1 | g)", drawn(), "cumulative", thresholds="equidistant"),
    "mixed": lambda: ml.fit(
        "v ~ kind * x + f + (1 | g)", mixed(), ml.MixedFamily("kind", number="gaussian", count="poisson")
    ),
}


def refused_or_not_there(ask: Callable[[], Any]) -> float:
    """Both packages need not be installed."""
    try:
        ask()
    except ImportError:
        return 0.0
    return 1.0


def renamed() -> pd.DataFrame:
    return trips().rename(columns={"price": "x", "by": "f", "person": "g"})


QUESTIONS: dict[str, Callable[[Results], Any]] = {
    "summary": lambda r: [len(str(r.summary(style=own))) for own in ("glmer", "lme", "sas", "spss", "stata")],
    "tidy": lambda r: r.tidy()["estimate"],
    "tidy of ratios": lambda r: r.tidy(exponentiate=True)["estimate"],
    "conf_int": lambda r: r.conf_int(),
    "conf_int by profile": lambda r: r.conf_int(method="profile", which=[r.params.index[0]]),
    "conf_int by bootstrap": lambda r: r.conf_int(method="bootstrap", n=40, seed=1),
    "bootstrap of cases": lambda r: r.bootstrap(4, seed=1, kind="cases").std_error,
    "bootstrap of residuals": lambda r: r.bootstrap(4, seed=1, kind="residual").std_error,
    "wald_test": lambda r: r.wald_test(r.params.index[0]).table["statistic"],
    "drop1": lambda r: r.drop1()["aic"],
    "anova": lambda r: r.anova(type=3)["chi2"],
    "compare": lambda r: ml.compare(r, r)["loglik"],
    "influence of groups": lambda r: r.influence("g").cooks_distance,
    "linktest": lambda r: r.linktest()["estimate"],
    "collinearity": lambda r: r.collinearity()["gvif"],
    "lack_of_fit": lambda r: r.lack_of_fit().p_value,
    "table": lambda r: len(str(ml.table(r))),
    "equation": lambda r: len(str(r.equation())),
    "describe": lambda r: len(str(r.describe())),
    "interpret": lambda r: len(str(r.interpret())),
    "icc": lambda r: r.icc()["estimate"],
    "r2": lambda r: r.r2(),
    "median_odds_ratio": lambda r: r.median_odds_ratio(),
    "robust": lambda r: r.cov_params(robust="CR1"),
    "robust, adjusted": lambda r: r.cov_params(robust="CR2"),
    "means of random effects": lambda r: r.random_effects(kind="mean")[["mean", "sd", "lower", "upper"]],
    "test_variance": lambda r: r.test_variance("g").p_value,
    "refit": lambda r: r.refit(r.fit.design.response.values).llf,
    "fit_many": lambda r: r.model.fit_many(r.simulate(2, seed=3))["estimate"],
    "simulate": lambda r: r.simulate(2, seed=1),
    "residuals": lambda r: r.residuals(),
    "deviance residuals": lambda r: r.residuals("deviance"),
    "quantile residuals": lambda r: r.residuals("quantile"),
    "integrated residuals": lambda r: r.residuals("quantile", random="marginal"),
    "check": lambda r: r.check().table["p_value"],
    "augment": lambda r: r.augment().select_dtypes("number"),
    "fittedvalues": lambda r: r.fittedvalues,
    "predict": lambda r: r.predict(se=True, interval="confidence"),
    "prediction intervals": lambda r: r.predict(interval="prediction"),
    "probabilities": lambda r: r.predict(kind="probabilities", se=True, random="marginal"),
    "link": lambda r: r.predict(kind="link", se=True),
    "population_average": lambda r: r.population_average(),
    "averages of probabilities": lambda r: r.population_average("probabilities"),
    "marginal_means": lambda r: r.marginal_means("f").table[["estimate", "std_error"]],
    "means of responses": lambda r: r.marginal_means("f", kind="response", random="marginal").table["std_error"],
    "marginal_slopes": lambda r: r.marginal_slopes("x").table["std_error"],
    "comparisons": lambda r: r.comparisons("f").table[["estimate", "std_error"]],
    "marginal_effects": lambda r: r.marginal_effects("x").table[["estimate", "std_error"]],
    "ranks": lambda r: r.ranks(term=r.fit.design.random_terms[0].names[0] if r.n_groups else None)["mean"],
    "as a model of marginaleffects": lambda r: refused_or_not_there(r.to_marginaleffects),
    "as a model of pymmeans": lambda r: refused_or_not_there(r.to_pymmeans),
    "abilities": lambda r: r.abilities().select_dtypes("number"),
}


@pytest.fixture(scope="module")
def fits() -> dict[str, Results]:
    return {name: fit() for name, fit in MODELS.items()}


@pytest.mark.parametrize("name", list(MODELS))
def test_a_number_or_our_own_refusal(name: str, fits: dict[str, Results]) -> None:
    results, wrong = fits[name], []
    for question, ask in QUESTIONS.items():
        try:
            answer = ask(results)
        except (DataError, ArgumentError) as refusal:
            if len(str(refusal)) < 30:
                wrong.append(f"{question}: {refusal}")
            continue
        except ValueError as refusal:
            if "choose one of" not in str(refusal):
                wrong.append(f"{question}: {refusal!r}")
            continue
        numbers = np.asarray(answer, dtype=np.float64)
        if not np.isfinite(numbers).all():
            wrong.append(f"{question}: {answer}")
    assert not wrong


# What has an answer now, and would be missed.
ANSWERED = {
    "multinomial": ["simulate", "quantile residuals", "check", "probabilities", "population_average", "comparisons"],
    "conditional": ["simulate", "fit_many", "probabilities", "averages of probabilities", "interpret"],
    "scale": ["probabilities", "averages of probabilities", "means of responses", "marginal_effects"],
}


@pytest.mark.parametrize("name", list(ANSWERED))
def test_what_has_an_answer(name: str, fits: dict[str, Results]) -> None:
    for question in ANSWERED[name]:
        QUESTIONS[question](fits[name])
