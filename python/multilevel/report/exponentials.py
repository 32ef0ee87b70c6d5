"""Coefficients as exponentials: odds ratios and their like, each named, and refused where they mean nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..inference.ratios import ratio_word

if TYPE_CHECKING:
    import pandas as pd

    from ..fitting.record import Fit

INTERCEPTS = {
    "odds ratio": "odds",
    "hazard ratio": "hazard",
    "risk ratio": "risk",
    "rate ratio": "rate",
    "ratio of means": "mean",
    "ratio": "value",
}


def exponentiate(fit: Fit, tables: list[pd.DataFrame], part: str) -> None:
    """Replaces coefficients in tables of parameters by their exponentials, in place, and says what they are.

    Raises
    ------
    DataError
        The exponentials of none of them have a meaning.
    """
    fit.need_one_family("exponentiate=True", "take the exponentials of the coefficients of one kind")
    done = False
    scales = {own.name: own.parameter for own in fit.components}
    for table in tables:
        effects = set(table["effect"])
        word = ""
        if effects == {"fixed"}:
            word = ratio_word(fit, False)
        elif len(effects) == 1 and (name := next(iter(effects))) in scales:
            scale = next(own.scale for own in fit.family.parameters if own.name == scales[name])
            word = {"logit": "odds ratio", "log": "ratio"}.get(scale, "")
        intercept = (table["term"] == "(Intercept)").to_numpy()
        quantity = np.where(intercept, INTERCEPTS.get(word, ""), word) if word else np.full(len(table), "")
        table.insert(3, "quantity", quantity.astype(object))
        if not word or not len(table):
            continue
        done = True
        with np.errstate(over="ignore"):
            for column in ("estimate", "conf_low", "conf_high"):
                table[column] = np.exp(table[column].to_numpy(dtype=np.float64))
        table["std_error"] = table["estimate"] * table["std_error"]
    if not done and fit.design.thresholds is not None and fit.family.link == "cloglog":
        raise DataError(
            "exponentiate=True: positive coefficients move to higher categories, so that with the cloglog link the "
            "ratio of hazards is the exponential of a coefficient with its sign changed"
        )
    if not done and not fit.fixed_names:
        raise DataError("exponentiate=True: the fixed part has no coefficients whose exponentials could be taken")
    if not done:
        raise DataError(
            f"exponentiate=True: exponentials of the coefficients of {part} have no meaning with the {fit.family.link} "
            "link (they have with logit: odds ratios; cloglog: hazard ratios; log: ratios of means); comparisons() "
            "has ratios of means with any link"
        )
