"""The names of families: those here, as the core has them, and those of other packages."""

from __future__ import annotations

import functools

from multilevel import _core

# other packages' names
ELSEWHERE = {
    "normal": "gaussian",
    "bernoulli": "binomial",
    "logistic": "binomial",
    "nbinom2": "negative_binomial",
    "negbin": "negative_binomial",
    "negativebinomial": "negative_binomial",
    "nb2": "negative_binomial",
    "zip": "poisson",
    "zinb": "negative_binomial",
    "zigamma": "gamma",
    "log-normal": "lognormal",
    "log_normal": "lognormal",
    "inverse.gaussian": "inverse_gaussian",
    "inversegaussian": "inverse_gaussian",
    "igaussian": "inverse_gaussian",
    "wald": "inverse_gaussian",
    "expon": "exponential",
    "t": "student_t",
    "t_family": "student_t",
    "student": "student_t",
    "tdist": "student_t",
    "skewnormal": "skew_normal",
    "skew-normal": "skew_normal",
    "compound_poisson": "tweedie",
    "nbinom1": "negative_binomial_1",
    "nb1": "negative_binomial_1",
    "genpois": "generalized_poisson",
    "generalizedpoisson": "generalized_poisson",
    "compois": "conway_maxwell_poisson",
    "cmp": "conway_maxwell_poisson",
    "com_poisson": "conway_maxwell_poisson",
    "conwaymaxwellpoisson": "conway_maxwell_poisson",
    "beta_family": "beta",
    "betareg": "beta",
    "ordbeta": "ordered_beta",
    "ordbetareg": "ordered_beta",
    "betabinomial": "beta_binomial",
    "betabin": "beta_binomial",
    "clm": "cumulative",
    "clmm": "cumulative",
    "polr": "cumulative",
    "ordinal": "cumulative",
    "ordered": "cumulative",
    "proportional_odds": "cumulative",
    "cumulative_logit": "cumulative",
    "multinom": "multinomial",
    "mnl": "multinomial",
    "mlogit": "multinomial",
    "mblogit": "multinomial",
    "categorical": "multinomial",
    "nominal": "multinomial",
    "baseline_category_logit": "multinomial",
    "clogit": "conditional",
    "mclogit": "conditional",
    "cmclogit": "conditional",
    "asclogit": "conditional",
    "conditional_logit": "conditional",
    "mixed_logit": "conditional",
    "xlogit": "conditional",
    "acat": "adjacent",
    "adjacent_category": "adjacent",
    "adjacent_categories": "adjacent",
    "partial_credit": "adjacent",
    "sratio": "continuation",
    "cratio": "continuation",
    "stopping": "continuation",
    "stopping_ratio": "continuation",
    "continuation_ratio": "continuation",
    "sequential": "continuation",
    "reverse": "reverse_continuation",
}


@functools.cache
def names_and_links() -> dict[str, list[str]]:
    """Names and links: the core's registry, and its families truncated."""
    table = dict(_core.families())
    for name, links in _core.families():
        truncated = [link for link in links if "truncated" in _core.Family(name, link).modifiers]
        if truncated:
            table[f"truncated_{name}"] = truncated
    return table


def known_elsewhere(word: str) -> list[str]:
    """The name here of a family that other packages call otherwise; of its truncated form, too."""
    prefix = "truncated_" if word.startswith("truncated_") else ""
    name = ELSEWHERE.get(word.removeprefix(prefix))
    return [prefix + name] if name and prefix + name in names_and_links() else []
