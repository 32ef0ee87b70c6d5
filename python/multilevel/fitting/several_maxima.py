"""What a fit says of other maxima of its likelihood: of those that were met, and of those that few rows may hide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from .natural import Natural

if TYPE_CHECKING:
    from .._core import FitRecord
    from ..design.design import Design
    from ..family.registry import Family
    from .parameters import Parts

NEARLY_AS_HIGH = _core.nearly_as_high  # of another maximum, in log-likelihood below the one reported

# Of a Tweedie power, on the logit scale between 1 and 2: jumps whose sizes vary by 14 % or less.
NEXT_TO_ONE, TWO_ERRORS = -4.0, 2.0
# A tooth of the comb: jumps whose sizes vary by 1 % or less, and so many in a response that any number is nearly some;
# or, however few, by no more than the last digits of responses.
ALIKE, MANY_JUMPS, THE_SAME = -9.2, 100.0, -23.0


def seen_maximum(design: Design, family: Family, record: FitRecord, parts: Parts) -> str:
    """Where another maximum is and how high, by what is furthest off for its standard error, as `tidy()` reports it."""
    value, psi = record.other_maxima[0]
    natural = Natural(design, family, parts.names[: len(parts.beta)], parts.components)
    here, there = natural.values(np.stack([record.psi, psi]))
    with np.errstate(invalid="ignore"):
        errors = natural.errors(record.psi[None], record.covariance[None], record.beta_covariance[None])[0]
        unit = np.where(errors > 0, errors, np.maximum(np.abs(here), 1.0))
        k = int(np.argmax(np.nan_to_num(np.abs(there - here) / unit, nan=-1.0)))  # NaN: a correlation without variance
    return (
        f"the log-likelihood has another maximum {record.loglik - value:.2g} below this one (limit {NEARLY_AS_HIGH}), "
        f"where '{natural.labels[k]}' is {there[k]:.4g} in place of {here[k]:.4g}: the data hardly tell the two apart, "
        "standard errors describe one of them alone, and where there are two a search may have missed a third that is "
        "higher; fewer parameters or more data would tell (optimization.other_maxima has the parameters there)"
    )


def on_a_tooth(design: Design, family: Family, record: FitRecord, parts: Parts) -> str:
    """Of Tweedie models: that the maximum found is one of the comb's, and no estimate."""
    name = "logit_power"
    if family.name != "tweedie" or name not in parts.names:
        return ""
    power = float(record.psi[parts.names.index(name)])
    dispersion = parts.phi.get("dispersion", 0.0)  # or one for each row
    few = np.max(design.response.values) < MANY_JUMPS * dispersion
    if not power < (THE_SAME if few else ALIKE):
        return ""
    multiples = f" of the dispersion, {dispersion:.4g}" if dispersion > 0 else " of their dispersion"
    return (
        f"the power of the tweedie family is {np.exp(power):.2g} above 1: responses are "
        f"taken for multiples{multiples}. The log-likelihood has a maximum for each number that divides them nearly, "
        "and no bound, so this one need not be the highest and standard errors mean nothing; give the power, as in "
        "family=ml.Family('tweedie', power=1.5), or take a family of counts for counts"
    )


def possible_comb(family: Family, record: FitRecord, parts: Parts) -> str:
    """Of Tweedie models: whether their power may be next to one, where the likelihood is a comb without bound."""
    name = "logit_power"
    if family.name != "tweedie" or name not in parts.names:
        return ""
    k = parts.names.index(name)
    error = float(np.sqrt(record.covariance[k, k])) if record.covariance[k, k] > 0 else 0.0
    if not (np.isfinite(record.psi[k]) and record.psi[k] - TWO_ERRORS * error < NEXT_TO_ONE):
        return ""
    low = 1.0 + 1.0 / (1.0 + np.exp(TWO_ERRORS * error - record.psi[k]))
    return (
        f"the power of the tweedie family is {parts.phi['power']:.4g}, and the data do not exclude one next to 1 (an "
        f"interval begins at {low:.4g}): the likelihood has a comb of maxima there, one for each number whose "
        "multiples the responses nearly are, and no bound. One of those may be higher than the maximum reported; give "
        "the power, as in family=ml.Family('tweedie', power=1.5), or use more rows"
    )


def unseen_maxima(sparse: str, n_others: int) -> str:
    """The warning that begins with what `few_rows` says; `n_others` searches began elsewhere."""
    others = f", and {n_others} others from elsewhere" if n_others else ""
    return (
        f"{sparse}: the likelihood of so few often has several maxima, or rises towards a limit beyond them. This is "
        f"the highest that a search{others} came to, a higher one may have been missed, and standard errors mean "
        "little; fewer parameters or more data would tell"
    )
