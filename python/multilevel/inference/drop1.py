"""What each term of the fixed part is worth: the model without it, fitted again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import DataError
from ..fitting.refit import refit, without_fixed_term
from .anova import anova
from .multiplicity import check_adjustment, with_adjusted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..design.fixed import FixedTerm
    from ..fitting.record import Fit

TESTS = ("lrt", "wald")
NOISE = 1e-6  # a smaller model whose deviance is lower by no more than this is as good as the larger one


def drop1(
    fit: Fit, test: str = "lrt", df_method: str | None = None, part: str = "mean", adjust: str | None = None
) -> pd.DataFrame:
    """Tests every term that may be dropped: those that are not part of another one.

    Parameters
    ----------
    fit : Fit
        After REML, models are fitted again by maximum likelihood, this one first.
    test : {"lrt", "wald"}
        The likelihood ratio against the model without the term, or the tests of `anova` of type 2, which fit nothing.
    df_method : str, optional
        As in `anova`, with test="wald".
    part : str
        "mean", or a part with a formula of its own ("dispersion", "zero"), whose tests are by likelihood ratio.
    adjust : {"holm", "bonferroni", "bh", "by"}, optional
        For the number of terms: adds `p_adjusted`.

    Returns
    -------
    DataFrame, index = labels of the terms
        With "lrt" a first row "<none>" for the model itself, and df (parameters), loglik, aic of the model without the
        term, chi2, df_diff, p_value and note (empty, or why there is no test). With "wald" the columns of `anova`.

    Raises
    ------
    DataError
        For another test, or a part that the model does not have.
    """
    check_adjustment(adjust)
    if test not in TESTS:
        raise DataError(f"test={test!r} is not known; there are {', '.join(map(repr, TESTS))}")
    terms, choices = fit.design.fixed_terms if part == "mean" else _terms_of_part(fit, part), fit.design.choices
    if choices is not None and choices.by_category:
        terms = choices.terms_of_one(terms)  # all categories together
    labels = [term.label for term in terms if term.parts and not any(term.is_margin_of(other) for other in terms)]
    if test == "wald":
        if part != "mean":
            raise DataError(f"test='wald' is for the mean; for the part {part!r} use test='lrt', or wald_test(part=)")
        return with_adjusted(anova(fit, 2, df_method).loc[labels], adjust)
    if df_method is not None:
        raise DataError("df_method= goes with test='wald'; likelihood ratio tests are by chi-square")
    fit.need_likelihood("a likelihood ratio test")
    whole = refit(fit, fit.design, "ml") if fit.method == "reml" else fit
    rows = [(whole.df_model, whole.loglik, _aic(whole), np.nan, 0, np.nan, _unsettled(whole))]
    rows += [_without(whole, label, part) for label in labels]
    columns = ["df", "loglik", "aic", "chi2", "df_diff", "p_value", "note"]
    table = pd.DataFrame(rows, columns=columns, index=pd.Index(["<none>", *labels], dtype=object, name="term"))
    return with_adjusted(table, adjust)


def _terms_of_part(fit: Fit, name: str) -> Sequence[FixedTerm]:
    fit.component(name)  # says which parts there are
    return next(own.fixed_terms for own in fit.design.parts if own.name == name)


def _without(whole: Fit, label: str, part: str) -> tuple[int, float, float, float, int, float, str]:
    from scipy.special import chdtrc

    smaller = refit(whole, without_fixed_term(whole.design, label, part), "ml")
    df = whole.df_model - smaller.df_model
    chi2 = 2.0 * (whole.loglik - smaller.loglik)
    note = _unsettled(smaller)
    found = (smaller.df_model, smaller.loglik, _aic(smaller))
    if df == 0:
        return *found, np.nan, 0, np.nan, note or "its columns are combinations of others: nothing to test"
    if not chi2 > -NOISE:
        return *found, chi2, df, np.nan, note or "no test: the model without the term is above, so this is no maximum"
    chi2 = max(chi2, 0.0)
    return *found, chi2, df, float(chdtrc(df, chi2)), note


def _aic(fit: Fit) -> float:
    return -2.0 * fit.loglik + 2 * fit.df_model


def _unsettled(fit: Fit) -> str:
    return "" if fit.converged else f"did not converge: {fit.message}"
