"""One page of checks: residuals, random effects, collinearity, and what the fit says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import DataError
from ..family.cumulative import zero_probability
from ..inference.multiplicity import adjusted_p_values
from ..prediction.predict import row_index
from ..tables.page import OnPage, Page, Paragraph, Table, format_p
from . import row_tests
from .collinearity import collinearity
from .drawn_effects import drawn_effects
from .lack_of_fit import is_binary, lack_of_fit
from .quantile import intervals_at, normal_scores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..fitting.record import Fit

LEVEL = 0.05
HIGH = 10.0**0.5  # of a standard error: a variance inflation of ten
COLUMNS = ["check", "of", "statistic", "p_value", "p_adjusted", "seen"]


@dataclass(frozen=True, eq=False, repr=False)
class Checks(OnPage):
    """What `check` found; prints as a page.

    Attributes
    ----------
    table : DataFrame
        check, of (a grouping factor or a random effect, else empty), statistic, p_value, p_adjusted (by Holm's method,
        over the page), seen (in words).
    collinearity : DataFrame
        Generalized variance inflation factors by term.
    notes : tuple of str
        What the tests say, and what the fit says of itself.
    """

    table: pd.DataFrame
    collinearity: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def suspicious(self) -> pd.DataFrame:
        """The tests that say that the model does not suit the data, at five percent for the whole page."""
        return self.table[self.table["p_adjusted"] < LEVEL]

    @property
    def page(self) -> Page:
        """The checks as text or HTML."""
        own = self.table
        label = [f"{name}, {of}" if of else name for name, of in zip(own["check"], own["of"], strict=True)]
        rows = zip(label, own["seen"], format_p(own["p_value"]), strict=True)
        note = "Each p-value is of its test alone; the words below allow for their number (Holm)."
        table = Table(("check", "seen", "p_value"), tuple(rows), n_labels=1, notes=(note,))
        return Page((table, Paragraph(self.notes, title="In words:", hanging=2)))


def check(fit: Fit, seed: int | None = 0) -> Checks:
    """Checks a fit against its data.

    All tests are of quantile residuals at one draw of the random effects from their distribution given the data. Of the
    right model these residuals are independent and standard normal, so that no test needs a simulation. That parameters
    were estimated makes some tests conservative. Of responses that are one trial each residuals say next to nothing row
    by row: there are tests of probabilities instead, of their sum of squares and along the fixed part.

    Parameters
    ----------
    fit : Fit
    seed : int or None
        Of the draw, and of where responses with a probability of their own stand within their intervals.

    Returns
    -------
    Checks

    Raises
    ------
    DataError
        The fit has no distribution of its rows.
    """
    fit.need_likelihood("check()")
    choices = fit.design.choices
    if choices is not None and not choices.by_category:
        fit.need_rows("check()")
    if not np.isfinite(fit.loglik) or not np.isfinite(fit.psi).all():
        raise DataError(f"the fit has no distribution of its rows to check ({fit.message or fit.status})")
    rng = np.random.default_rng(seed)
    effects = drawn_effects(fit, rng)
    below, above = intervals_at(fit, effects).at(rng.uniform(size=fit.n_rows))
    scores = normal_scores(below, above)
    found = [*_of_rows(fit, effects, below, scores, seed), *_of_effects(fit, effects)]
    table = pd.DataFrame(
        [(name, of, *test) for name, of, test in found], columns=["check", "of", *row_tests.RowTest._fields]
    )
    table.insert(4, "p_adjusted", adjusted_p_values(table["p_value"], "holm"))
    inflation = collinearity(fit)
    return Checks(table, inflation, tuple(_notes(fit, table, inflation)))


def _of_rows(
    fit: Fit, effects: tuple[np.ndarray, ...], below: np.ndarray, scores: np.ndarray, seed: int | None
) -> Iterator[tuple[str, str, row_tests.RowTest]]:
    eta, phi = fit.linear_predictor(effects), fit.phi_at(effects)
    response = fit.design.response
    binary = is_binary(fit)
    if binary:
        fitted = lack_of_fit(fit, seed)
        if np.isfinite(fitted.p_value):
            yield "sum of squares", "", fitted
    else:
        yield "uniformity", "", row_tests.uniformity(below)
        yield "dispersion", "", row_tests.spread(scores, len(fit.beta))
    if fit.family.takes_zeros and fit.family.support != "numbers" and not binary:
        zero = zero_probability(fit.family, eta, phi, response.size)
        yield "zeros", "", row_tests.zeros(response.values == 0, zero)
    if not binary:
        label = str(row_index(fit.design)[int(np.argmax(np.abs(scores)))])
        yield "farthest row", "", row_tests.farthest(scores, label)
    zero_effects = tuple(np.zeros_like(own) for own in fit.modes)
    for of, fixed in _fixed_parts(fit, fit.linear_predictor(zero_effects)):
        trend = row_tests.along(scores, fixed)
        if trend is not None:
            yield "quarters along the fixed part", of, trend
    for factor in () if binary else fit.design.grouping_factors:
        spread = row_tests.spread_by_level(scores, factor.codes, len(factor.levels))
        if spread is not None:
            yield "equal spread", factor.name, spread


def _fixed_parts(fit: Fit, eta: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The fixed part of the mean, or that of each category but the base."""
    choices = fit.design.choices
    if choices is None:
        yield "", eta
        return
    for k in choices.others:
        yield choices.categories[k], eta[:, k]


def _of_effects(fit: Fit, effects: tuple[np.ndarray, ...]) -> Iterator[tuple[str, str, row_tests.RowTest]]:
    pairs = zip(fit.design.random_terms, fit.term_columns, fit.random_cov, strict=True)
    for term, at, covariance in pairs:
        group = fit.design.grouping_factors[term.grouping_factor].name
        for k, name in enumerate(term.names):
            if covariance[k, k] > 0:
                test = row_tests.normality(effects[term.grouping_factor][:, at[k]])
                if test is not None:
                    yield "normality", f"{group}: {name}", test


def _notes(fit: Fit, table: pd.DataFrame, inflation: pd.DataFrame) -> Iterator[str]:
    wrong = table[table["p_adjusted"] < LEVEL]
    if len(wrong):
        for _, row in wrong.iterrows():
            yield f"{row['check']}{', ' + row['of'] if row['of'] else ''}: {_MEANING[row['check']]}."
    else:
        yield "No test speaks against the model (five percent for all of them together)."
    high = inflation[inflation["per_coefficient"] > HIGH]
    if len(high):
        worst = ", ".join(f"{label} ({row.per_coefficient:.1f})" for label, row in high.iterrows())
        yield f"Collinearity: the other terms multiply the standard errors of {worst}."
    yield from fit.warnings
    if not fit.converged and not fit.warnings:
        yield f"The fit did not converge: {fit.message}."


_MEANING = {
    "uniformity": "responses do not have the distribution of the family around their means",
    "sum of squares": "the probabilities are not those of the data",
    "dispersion": "responses spread otherwise than the family says; try another, a dispersion, or an effect per row",
    "zeros": "more or fewer zeros than the model makes; a zero part may be needed",
    "farthest row": "too far out for one of so many; look at it",
    "quarters along the fixed part": "a curve, another link, or a dispersion that changes may be missing",
    "equal spread": "levels differ in their spread; a dispersion by columns or with random effects may be needed",
    "normality": "random effects are not normal: levels of several kinds, or a predictor of the levels is missing",
}
