"""The page in the layout of Stata: counts and Wald's test, Coef., Std. Err., z, intervals, covariance parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..tables.page import Paragraph, Table, format_fixed, format_numbers
from . import summary
from .covariance_table import each

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from .numbers import CovarianceParameter, Numbers

KINDS = {"variance": "var", "covariance": "cov", "correlation": "corr"}


def page(numbers: Numbers) -> Iterator[Paragraph | Table]:
    """The blocks of the page."""
    fit = numbers.fit
    yield summary.heading(fit)
    if fit.n_groups:
        yield _groups(numbers)
    yield _header(numbers)
    yield from summary.coefficients(numbers, coefficients)
    if numbers.covariance:
        yield _covariance(numbers)
    yield from summary.own_parameters(numbers)
    if fit.design.random_terms:
        yield Paragraph(tuple(_likelihood_ratio(numbers)))
    yield from summary.closing(fit)


def _groups(numbers: Numbers) -> Table:
    """Levels of each grouping factor, and rows of a level."""
    rows = []
    for factor in numbers.fit.design.grouping_factors:
        size = np.bincount(factor.codes, minlength=len(factor.levels))
        rows.append((factor.name, str(len(size)), str(size.min()), f"{size.mean():.1f}", str(size.max())))
    columns = ("Group variable", "Number of groups", "Obs per group: min", "avg", "max")
    return Table(columns, tuple(rows), n_labels=1)


def _header(numbers: Numbers) -> Table:
    fit = numbers.fit
    rows: list[tuple[str, ...]] = [("Number of obs", str(fit.n_rows))]
    if fit.has_likelihood:
        name = "Log restricted-likelihood" if fit.method == "reml" else "Log likelihood"
        rows.append((name, *format_numbers([fit.loglik], 8)))
    test = numbers.slopes
    notes = [left] if (left := summary.left_out(fit)) else []
    if test is not None and test.num_df:
        if np.isnan(test.f_value):
            notes.append("No test of all slopes together: the clusters of the robust covariance are too few.")
        elif np.isinf(test.den_df):
            rows.append((f"Wald chi2({test.num_df})", *format_fixed([test.num_df * test.f_value], 2)))
            rows.append(("Prob > chi2", *format_fixed([test.p_value], 4)))
        else:
            rows.append((f"F({test.num_df}, {test.den_df:.2f})", *format_fixed([test.f_value], 2)))
            rows.append(("Prob > F", *format_fixed([test.p_value], 4)))
    return Table(("", ""), tuple(rows), n_labels=1, notes=tuple(notes))


def _covariance(numbers: Numbers) -> Table:
    fit = numbers.fit
    rows = tuple(
        (_label(own), *each([own.estimate, own.std_error, own.conf_low, own.conf_high], 6))
        for own in numbers.covariance
    )
    notes = tuple(
        summary.structure_note(fit.design.grouping_factors[term.grouping_factor].name, term.names, term.structure)
        for term in fit.design.random_terms
        if len(term.names) > 1 and term.structure != "unstructured"
    )
    columns = ("Random-effects parameters", "Estimate", "Std. Err.", "[95% Conf.", "Interval]")
    return Table(columns, rows, n_labels=1, notes=notes)


def _label(own: CovarianceParameter) -> str:
    names = ",".join(name.replace("(Intercept)", "_cons") for name in own.names)
    return f"{own.group}: {KINDS[own.kind]}({names})" if names else f"{KINDS[own.kind]}({own.group})"


def _likelihood_ratio(numbers: Numbers) -> Iterator[str]:
    test = numbers.without_random_effects
    if isinstance(test, str):
        yield f"No likelihood ratio test against the model without random effects: {test}."
        return
    chi2, p = format_fixed([test.chi2], 2)[0], format_fixed([test.p_value], 4)[0]
    kind, df = "chi2", str(test.df)
    if test.kind == "mixture":
        kind, df = "chibar2", "01" if list(test.mixture) == [0, 1] else ",".join(map(str, test.mixture))
    of = "linear model" if numbers.fit.is_linear else "model without random effects"
    yield f"LR test vs. {of}: {kind}({df}) = {chi2}"
    yield f"Prob >= {kind} = {p} ({test.note})"


def coefficients(table: pd.DataFrame, _: bool = False, __: bool = False) -> tuple[tuple[str, ...], list[list[str]]]:
    """Headings and columns of cells of a table of `wald.wald_table`; t and its degrees of freedom where finite."""
    normal = bool(np.isinf(table["df"]).all())
    z = "z" if normal else "t"
    error = table["std_error"]
    columns = [
        format_numbers(table["estimate"], 6, decimals_of=error),
        format_numbers(error, 6),
        *([] if normal else [format_fixed(table["df"], 2)]),
        format_fixed(table["statistic"], 2),
        format_fixed(table["p_value"], 3),
        *(format_numbers(table[side], 6, decimals_of=error) for side in ("conf_low", "conf_high")),
    ]
    return ("Coef.", "Std. Err.", *([] if normal else ["DF"]), z, f"P>|{z}|", "[95% Conf.", "Interval]"), columns
