"""Functions of other programs that formulas do not have, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SUMMARY = (
    "center(x), scale(x) and standardize(x) take the mean and the spread of the rows of the fit, and np.mean(x), "
    "np.median(x), np.std(x, ddof=1) and np.quantile(x, 0.9) are those numbers, for new data as well"
)
_GROUPS = "within(x, g) is x less its group's mean, and between(x, g) is that mean"
_CUT = "make it a column of the data first, as in data['x_cut'] = pd.cut(data['x'], [0, 10, 20])"
_SMOOTH = "there are no smooth terms; ns(x, 4), bs(x, 5) and poly(x, 2) are curves"
_LABELS = "texts and categories are factors as they are, and factor(x) makes one of numbers"
_LINK = "transform the data first, or choose link="
_ORDER = "the order of rows is not known to a formula; make it a column of the data first"

HINTS = {
    **dict.fromkeys(("mean", "median", "sd", "var", "std", "quantile", "length", "nrow"), _SUMMARY),
    **dict.fromkeys(("cut", "cut2", "qcut", "findInterval", "ntile"), _CUT),
    **dict.fromkeys(("s", "te", "ti", "t2", "lo", "rcs", "rms", "gam", "pspline"), _SMOOTH),
    **dict.fromkeys(("as.character", "character", "as.ordered", "ordered", "fct", "as_factor", "Q"), _LABELS),
    **dict.fromkeys(("logit", "plogis", "qlogis", "inv_logit", "invlogit", "expit", "probit"), _LINK),
    **dict.fromkeys(("lag", "lead", "diff", "cumsum", "cummax", "rank", "rev", "order"), _ORDER),
    **dict.fromkeys(("ave", "demean", "group_mean", "groupmean", "cwc", "gmc", "group_center", "center_by"), _GROUPS),
    "as.logical": "write a condition, such as I(x > 0)",
    "interaction": "write a:b",
    "paste": "write a:b for combinations of levels",
    "cbind": "cbind(successes, failures) stands alone, on the left of '~'",
    "strata": "a grouping factor is a random term: (1 | g)",
    "ar": "autoregressive random effects are ar1(0 + time | g)",
}


def no_function(name: str, known: Iterable[str]) -> str:
    """What to say of a call of a function that is not among the `known` ones."""
    text = f"there is no function '{name}'"
    if name in HINTS:
        return f"{text}; {HINTS[name]}"
    near = difflib.get_close_matches(name, list(known), n=1)
    if near:
        return f"{text}; did you mean '{near[0]}'?"
    if not name.isidentifier():
        return f"{text}; make a column of the data first"
    return (
        f"{text}; a function of yours is passed by functions={{'{name}': {name}}}, or make a column of the data first"
    )
