"""The page in the layout of nlme's `lme`: StdDev and Corr, Value, Std.Error, DF, t-value, p-value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..design.random_terms import all_bars, left_of
from ..formula.structures import factor_names
from ..tables.page import Paragraph, Table, abbreviate, format_fixed, format_numbers
from . import summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from ..design.random_terms import RandomTerm
    from ..fitting.record import Fit
    from .numbers import Numbers

DIGITS = 7
STRUCTURES = {
    "unstructured": "General positive-definite",
    "diagonal": "Diagonal",
    "homogeneous diagonal": "Multiple of an Identity",
    "homogeneous compound symmetry": "Compound Symmetry",
}  # others have no class in nlme, and their own names


def page(numbers: Numbers) -> Iterator[Paragraph | Table]:
    """The blocks of the page."""
    fit = numbers.fit
    yield summary.heading(fit)
    if fit.has_likelihood:
        yield _criteria(numbers)
    yield from _random_effects(fit)
    yield from summary.own_parameters(numbers)
    title = f"Fixed effects: {fit.design.formula.response_text} ~ {_fixed_part(fit)}"
    yield from summary.coefficients(numbers, coefficients, title)
    yield from summary.correlations(numbers, " Correlation:")
    if numbers.residuals is not None:
        names = ("Min", "Q1", "Med", "Q3", "Max")
        cells = tuple(format_numbers(numbers.residuals, DIGITS))
        yield Table(names, (cells,), title="Standardized Within-Group Residuals:")
    yield Paragraph(tuple(_counts(fit)))
    yield from summary.closing(fit)


def coefficients(table: pd.DataFrame, _: bool, df_shown: bool) -> tuple[tuple[str, ...], list[list[str]]]:
    """Headings and columns of cells of a table of coefficients."""
    letter = "t" if df_shown else "z"
    p = [
        "<.0001" if value < 0.0001 else text
        for value, text in zip(table["p_value"], format_fixed(table["p_value"], 4), strict=True)
    ]
    columns = [
        format_numbers(table["estimate"], DIGITS, decimals_of=table["std_error"]),
        format_numbers(table["std_error"], DIGITS),
        *([format_fixed(table["df"], 0 if _are_whole(table["df"].to_numpy()) else 2)] if df_shown else []),
        format_fixed(table["statistic"], 5),
        p,
    ]
    return ("Value", "Std.Error", *(["DF"] if df_shown else []), f"{letter}-value", "p-value"), columns


def _are_whole(df: np.ndarray) -> bool:
    finite = df[np.isfinite(df)]
    return bool((finite == np.round(finite)).all())


def _criteria(numbers: Numbers) -> Table:
    fit, notes = numbers.fit, []
    bic = numbers.criteria["bic"]
    if numbers.n_contrasts not in (0, fit.n_rows):
        bic += fit.df_model * float(np.log(numbers.n_contrasts / fit.n_rows))
        notes.append(f"BIC counts rows minus coefficients, {numbers.n_contrasts}; the bic of the results counts rows.")
    if fit.method == "ml" and fit.is_linear and fit.design.random_terms:
        notes.append("Standard errors are those of maximum likelihood; nlme's are sqrt(n / (n - p)) times as large.")
    (aic,), (bic_text,), (loglik,) = (
        format_numbers([value], DIGITS) for value in (numbers.criteria["aic"], bic, fit.loglik)
    )
    return Table(("AIC", "BIC", "logLik"), ((aic, bic_text, loglik),), notes=tuple(notes))


def _fixed_part(fit: Fit) -> str:
    """The fixed part of the formula as it was read: main effects before products."""
    terms = [term.label for term in fit.design.fixed_terms if term.parts]
    constant = fit.design.formula.fixed.intercept
    return " + ".join(["0"] * (not constant) + terms) or "1"


def _random_effects(fit: Fit) -> Iterator[Table]:
    """A table per term, the last of them with the residual."""
    terms = fit.design.random_terms
    if not terms:
        if fit.sigma is not None:
            yield Table(("", "Residual"), (("StdDev:", *format_numbers([fit.sigma], DIGITS)),), n_labels=1)
        return
    parts = tuple((part.name, part.parameter, part.formula) for part in fit.design.parts)
    bars = all_bars(fit.design.formula, parts)
    for k, (term, own, covariance) in enumerate(zip(terms, bars, fit.random_cov, strict=True)):
        group = fit.design.grouping_factors[term.grouping_factor].name
        lines = ["Random effects:"] if k == 0 else []
        lines.append(f" Formula: ~{left_of(own.bar)} | {group}" + (f" in {own.part}" if own.part else ""))
        if len(term.names) > 1:
            factors = ", ".join(factor_names(term.structure))
            structure = STRUCTURES.get(term.structure, term.structure)
            lines.append(f" Structure: {f'Factors {factors}' if factors else structure}")
        residual = [] if fit.sigma is None or k < len(terms) - 1 else [fit.sigma]
        yield _one_term(term, covariance, residual, "\n".join(lines))


def _one_term(term: RandomTerm, covariance: np.ndarray, residual: list[float], title: str) -> Table:
    names, correlations = summary.term_rows(term.names, term.structure, covariance)
    values = format_numbers([*np.sqrt(np.diag(covariance)[: len(names)]), *residual], DIGITS)
    names = (*names, *["Residual"] * len(residual))
    if not any(correlations):
        return Table(("", *names), (("StdDev:", *values),), title=title, n_labels=1)
    width = max(map(len, correlations))
    headings = [""] * width
    if term.structure == "unstructured" or width > 1:
        headings[1:] = abbreviate(term.names, 6)[1:width]
    correlations += [[]] * len(residual)
    rows = tuple(
        (name, value, *own, *[""] * (width - len(own)))
        for name, value, own in zip(names, values, correlations, strict=True)
    )
    return Table(("", "StdDev", "Corr", *headings[1:]), rows, title=title, n_labels=1)


def _counts(fit: Fit) -> Iterator[str]:
    yield f"Number of Observations: {fit.n_rows}"
    groups = fit.n_groups
    if len(groups) == 1:
        yield f"Number of Groups: {next(iter(groups.values()))}"
    elif groups:
        yield "Number of Groups: " + ", ".join(f"{name} {count}" for name, count in groups.items())
    left = summary.left_out(fit)
    if left:
        yield left
