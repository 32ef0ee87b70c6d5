"""Tidy tables of a fit with the columns that broom and broom.mixed made familiar: parameters, fit, rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..inference import wald
from ..inference.components import component_table
from ..inference.family_parameters import family_parameters
from ..inference.information_criteria import information_criteria
from ..inference.variance_components import vcov_table
from ..prediction.predict import predict, row_index
from ..prediction.residuals import observed, response
from ..tables.printed import Exponentiated, Parameters
from . import exponentials

if TYPE_CHECKING:
    from ..fitting.parameters import Component
    from ..fitting.record import Fit
    from ..inference.robust import Robust


def tidy(
    fit: Fit,
    level: float = 0.95,
    df_method: str | None = None,
    component: str | None = None,
    exponentiate: bool = False,
    robust: Robust | None = None,
) -> pd.DataFrame:
    """One row per parameter; of one part of the model where `component` names it, "mean", "dispersion" or "zero".

    With `robust`, standard errors are from that covariance, and missing where it has none.

    Returns
    -------
    DataFrame
        effect ("fixed", "ran_pars", "family", or the name of a part beside the mean), group (missing but for random
        effects), term, estimate, std_error, df
        (infinite for normal tests), statistic, p_value, conf_low, conf_high. Random-effects parameters are sds and
        correlations, with broom.mixed's names `sd__(Intercept)`, `cor__(Intercept).x`, `sd__Observation`; they have no
        test and no Wald interval. The family's own parameters have an interval made on the logarithmic scale. It prints
        whole in 80 columns, with fewer digits than it holds.

        With `exponentiate`, the coefficients' estimates and intervals are exponentials, standard errors by the delta
        method; statistic and p-value stay those of the coefficients, and the column quantity says what an estimate is:
        "odds ratio", and "odds" of an intercept.

    Raises
    ------
    DataError
        `exponentiate` where no exponential has a meaning, as with the probit or the identity link.
    """
    fixed = wald.coefficient_table(fit, level, df_method, robust).rename_axis("term").reset_index()
    fixed.insert(0, "effect", "fixed")
    fixed.insert(1, "group", None)
    columns = list(fixed.columns)
    if robust is not None:
        fit = robust.fit
    tables = [fixed, _random(fit, columns)]
    if component != "mean":
        chosen = fit.components if component is None else (fit.component(component),)
        tables = tables if component is None else []
        tables += [_part(fit, own, level, columns) for own in chosen]
    if component is None:
        tables.append(_family(fit, level, columns))
    kind: type[Parameters] = Parameters
    if exponentiate:
        exponentials.exponentiate(fit, tables, "the mean" if component is None else component)
        kind, fixed = Exponentiated, tables[0]
    table = kind({c: [value for own in tables for value in own[c]] for c in fixed.columns})
    if robust is not None:
        table.attrs["robust"] = robust.definition
    return table


def _random(fit: Fit, columns: list[str]) -> pd.DataFrame:
    components = vcov_table(fit).query("quantity in ('sd', 'correlation')")
    name = np.where(components["group"] == "Residual", "Observation", components["term"])
    pair = components["term2"] != ""
    random = pd.DataFrame(
        {
            "effect": "ran_pars",
            "group": components["group"].to_numpy(),
            "term": np.where(pair, "cor__" + name + "." + components["term2"], "sd__" + name),
            "estimate": components["estimate"].to_numpy(),
            "std_error": components["std_error"].to_numpy(),
        }
    )
    return random.reindex(columns=columns)


def _part(fit: Fit, component: Component, level: float, columns: list[str]) -> pd.DataFrame:
    table = component_table(fit, component, level).rename_axis("term").reset_index()
    table.insert(0, "effect", component.name)
    return table.reindex(columns=columns)


def _family(fit: Fit, level: float, columns: list[str]) -> pd.DataFrame:
    """The family's own parameters, but for a residual standard deviation, which stands with those of random effects."""
    own = family_parameters(fit, level).iloc[: 0 if fit.sigma is not None else None]
    table = own.rename_axis("term").reset_index()
    table.insert(0, "effect", "family")
    return table.reindex(columns=columns)


def glance(fit: Fit) -> pd.DataFrame:
    """One row: what was fitted, to how much data, and how well."""
    criteria = information_criteria(fit) if fit.has_likelihood else {"aic": np.nan, "bic": np.nan}
    row = {
        "family": fit.family.name,
        "link": fit.family.link,
        "method": fit.method,
        "n_quadrature": fit.n_quadrature,
        "nobs": fit.n_observations,
        **{f"n_{name}": count for name, count in fit.n_groups.items()},
        "df_model": fit.df_model,
        "df_resid": fit.df_resid,
        **fit.phi,
        "llf": fit.loglik,
        "deviance": -2.0 * fit.loglik,
        "aic": criteria["aic"],
        "bic": criteria["bic"],
        "converged": fit.converged,
        "singular": fit.singular,
    }
    return pd.DataFrame([row])


def augment(fit: Fit) -> pd.DataFrame:
    """The rows used, labelled as in the user's frame.

    Returns
    -------
    DataFrame, (n_rows, 4)
        The response (for binomial counts the proportion), `.fitted` (mean given the conditional modes), `.resid`
        (response minus `.fitted`) and `.fixed` (mean with the random effects at zero).
    """
    fit.need_rows("augment()")
    return pd.DataFrame(
        {
            fit.design.response.name: observed(fit),
            ".fitted": fit.mu,
            ".resid": response(fit),
            ".fixed": predict(fit, random="zero").to_numpy(),
        },
        index=row_index(fit.design),
    )
