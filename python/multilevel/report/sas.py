"""The page in the layout of SAS's GLIMMIX: fit statistics, UN(i,j), solutions, tests of type III, of covariances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..fitting.parameters import is_exact
from ..formula.structures import rank_of
from ..tables.page import Paragraph, Table, format_fixed, format_numbers
from . import summary
from .covariance_table import each, short_label
from .numbers import DF_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from .numbers import Numbers

SMALLER = "(smaller is better)"
TECHNIQUES = {"ml": "Maximum Likelihood", "reml": "Restricted Maximum Likelihood"}
NOTES = {"mixture": "MI", "approximate": "DF", "bound": "--"}
NOTES_IN_WORDS = {
    "MI": "MI: p-value by a mixture of chi-squares.",
    "DF": "DF: p-value by chi-square with DF degrees of freedom.",
    "--": "--: the largest p-value that a mixture of chi-squares could give.",
}


def page(numbers: Numbers) -> Iterator[Paragraph | Table]:
    """The blocks of the page."""
    fit = numbers.fit
    yield summary.heading(fit)
    yield _model(numbers)
    if fit.has_likelihood:
        yield _fit_statistics(numbers)
    yield from _conditional(numbers)
    if numbers.covariance or fit.phi:
        yield _covariance(numbers)
    yield from summary.coefficients(numbers, coefficients, "Solutions for Fixed Effects")
    yield from _terms(numbers)
    if fit.design.random_terms:
        yield _tests_of_covariances(numbers)
    yield from summary.closing(fit)


def coefficients(table: pd.DataFrame, _: bool, __: bool) -> tuple[tuple[str, ...], list[list[str]]]:
    """Headings and columns of cells of a table of coefficients; degrees of freedom are Infty for normal tests."""
    columns = [
        format_numbers(table["estimate"], 4, decimals_of=table["std_error"]),
        format_numbers(table["std_error"], 4),
        _df(table["df"].to_numpy(dtype=float)),
        format_fixed(table["statistic"], 2),
        _p(table["p_value"].to_numpy(dtype=float)),
    ]
    return ("Estimate", "Standard Error", "DF", "t Value", "Pr > |t|"), columns


def _df(df: np.ndarray) -> list[str]:
    whole = [np.isfinite(own) and abs(own - round(own)) < 1e-9 for own in df]
    return [
        "." if np.isnan(own) else "Infty" if np.isinf(own) else f"{own:.0f}" if w else f"{own:.4g}"
        for own, w in zip(df, whole, strict=True)
    ]


def _p(p: np.ndarray) -> list[str]:
    return ["<.0001" if own < 0.0001 else text for own, text in zip(p, format_fixed(p, 4), strict=True)]


def _model(numbers: Numbers) -> Paragraph:
    fit = numbers.fit
    technique = TECHNIQUES.get(fit.method, f"Quasi-likelihood ({fit.method})")
    exact = is_exact(fit.design, fit.family)
    approximation = "" if exact else "Laplace" if fit.n_quadrature == 1 else "Adaptive Gauss-Hermite Quadrature"
    rows = [
        ("Response Variable", fit.design.formula.response_text),
        ("Response Distribution", fit.family.name),
        ("Link Function", fit.family.link),
        ("Variance Matrix Blocked By", ", ".join(fit.n_groups) or "(none)"),
        ("Estimation Technique", technique),
    ]
    if fit.design.random_terms and approximation and fit.has_likelihood:
        rows.append(("Likelihood Approximation", approximation))
    df = "Robust" if numbers.robust is not None else DF_NAMES.get(numbers.method, "none (normal tests)")
    rows.append(("Degrees of Freedom Method", df.removesuffix(" degrees of freedom")))
    rows.append(("Number of Observations Used", str(fit.n_rows)))
    rows += [(f"Levels of {name}", str(count)) for name, count in fit.n_groups.items()]
    left = summary.left_out(fit)
    width = max(len(name) for name, _ in rows) + 1
    lines = [f"{name + ':':<{width}}  {value}" for name, value in rows]
    return Paragraph((*lines, *([left] if left else [])), title="Model Information", hanging=width + 2)


def _fit_statistics(numbers: Numbers) -> Table:
    fit = numbers.fit
    found = numbers.criteria_elsewhere(subjects=True)
    restricted = "Res " if fit.method == "reml" else ""
    rows = [(f"-2 {restricted}Log Likelihood", -2.0 * fit.loglik)]
    rows += [(f"{name.upper()} {SMALLER}", found[name]) for name in ("aic", "aicc", "bic", "caic", "hqic")]
    notes = ["BIC, CAIC and HQIC count independent subjects, not rows."]
    if fit.method == "reml":
        notes.append("After REML the covariance parameters alone are counted.")
    values = format_fixed([value for _, value in rows], 2)
    cells = tuple((name, text.replace("NaN", ".")) for (name, _), text in zip(rows, values, strict=True))
    return Table(("", ""), cells, title="Fit Statistics", n_labels=1, notes=tuple(notes))


def _conditional(numbers: Numbers) -> Iterator[Table]:
    """Pearson's chi-square given the random effects, of models that are not linear."""
    fit = numbers.fit
    if fit.is_linear or fit.family.in_python or numbers.residuals is None:
        return
    chi2 = numbers.pearson_chi2
    names = ("Pearson Chi-Square", "Pearson Chi-Square / DF")
    cells = tuple(zip(names, format_fixed([chi2, chi2 / fit.n_rows], 2), strict=True))
    yield Table(("", ""), cells, title="Fit Statistics for Conditional Distribution", n_labels=1)


def _covariance(numbers: Numbers) -> Table:
    rows = [
        (short_label(own), own.group if own.structure else "", own.estimate, own.std_error)
        for own in numbers.covariance
    ]
    if numbers.fit.sigma is None:
        table = numbers.of_family
        rows += [
            (str(name), "", float(value), float(error))
            for name, value, error in zip(table.index, table["estimate"], table["std_error"], strict=True)
        ]
    cells = tuple((label, group, *each([estimate, error])) for label, group, estimate, error in rows)
    made = any(rank_of(own.structure) for own in numbers.covariance)
    notes = ("UN(i,j) of factors are entries of the covariance matrix that they make.",) if made else ()
    columns = ("Cov Parm", "Subject", "Estimate", "Standard Error")
    return Table(columns, cells, title="Covariance Parameter Estimates", n_labels=2, notes=notes)


def _terms(numbers: Numbers) -> Iterator[Table]:
    table = numbers.terms
    if table is None:
        return
    columns = [
        format_fixed(table["num_df"], 0),
        _df(table["den_df"].to_numpy(dtype=float)),
        format_fixed(table["f_value"], 2),
        _p(table["p_value"].to_numpy(dtype=float)),
    ]
    rows = tuple(zip(map(str, table.index), *columns, strict=True))
    headings = ("Effect", "Num DF", "Den DF", "F Value", "Pr > F")
    yield Table(headings, rows, title="Type III Tests of Fixed Effects", n_labels=1)


def _tests_of_covariances(numbers: Numbers) -> Table:
    fit = numbers.fit
    tests = {"No G-side effects": numbers.without_random_effects}
    if len(fit.n_groups) > 1 and not isinstance(tests["No G-side effects"], str):
        tests |= {f"No effects of {name}": numbers.without(name) for name in fit.n_groups}
    rows: list[tuple[str, ...]] = []
    notes = []
    for label, test in tests.items():
        if isinstance(test, str):
            rows.append((label, "", "", "", "", ""))
            notes.append(f"{label}: not tested, as {test}.")
            continue
        mark = NOTES[test.kind]
        deviance, chi2 = format_fixed([-2.0 * test.loglik_without, test.chi2], 2)
        rows.append((label, str(test.df), deviance, chi2, *_p(np.array([test.p_value])), mark))
        if NOTES_IN_WORDS[mark] not in notes:
            notes.append(NOTES_IN_WORDS[mark])
    restricted = "Res " if fit.method == "reml" else ""
    headings = ("Label", "DF", f"-2 {restricted}Log Like", "ChiSq", "Pr > ChiSq", "Note")
    title = "Tests of Covariance Parameters Based on the Likelihood"
    return Table(headings, tuple(rows), title=title, n_labels=1, notes=tuple(notes))
