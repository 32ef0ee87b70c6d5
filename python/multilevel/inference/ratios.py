"""What exponentials of differences of linear predictors are: ratios of odds, rates, means; or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..fitting.record import Fit

COUNTS = ("counts", "positive counts")


def ratio_word(fit: Fit, of_means: bool) -> str:
    """What the exponential of a coefficient of the mean is, in words; empty where it has no meaning.

    Parameters
    ----------
    fit : Fit
    of_means : bool
        Whether it is of logarithms of means instead, whatever the link.
    """
    if of_means:
        return "ratio of means"
    if fit.family.scaled:
        return ""  # how far a coefficient moves a row depends on the scale there
    if fit.family.link == "logit":
        return "odds ratio"
    if fit.design.thresholds is not None:
        return ""  # of the other links the exponential of the opposite, if any, is a ratio
    if fit.family.link == "cloglog":
        return "hazard ratio"
    if fit.family.link != "log":
        return ""
    if fit.family.support == "trials":
        return "risk ratio"
    return "rate ratio" if fit.family.support in COUNTS else "ratio of means"
