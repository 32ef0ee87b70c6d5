"""The page in the layout of SPSS: criteria, tests of terms, B, S.E., Wald, Exp(B), covariance parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..inference import wald
from ..tables.page import Paragraph, Table, format_fixed, format_numbers
from . import summary
from .covariance_table import each, effect, short_label

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from .numbers import CovarianceParameter, Numbers

CRITERIA = {
    "aic": "Akaike's Information Criterion (AIC)",
    "aicc": "Hurvich and Tsai's Criterion (AICC)",
    "caic": "Bozdogan's Criterion (CAIC)",
    "bic": "Schwarz's Bayesian Criterion (BIC)",
}


def page(numbers: Numbers) -> Iterator[Paragraph | Table]:
    """The blocks of the page."""
    fit = numbers.fit
    yield summary.heading(fit)
    yield Paragraph((summary.counts(fit),))
    if fit.has_likelihood:
        yield _criteria(numbers)
    yield from _terms(numbers)
    yield from summary.coefficients(numbers, coefficients)
    if numbers.covariance:
        yield _covariance(numbers)
    yield from summary.own_parameters(numbers)
    yield from summary.closing(fit)


def _criteria(numbers: Numbers) -> Table:
    fit = numbers.fit
    found = numbers.criteria_elsewhere(subjects=False)
    restricted = "Restricted " if fit.method == "reml" else ""
    names = [f"-2 {restricted}Log Likelihood", *CRITERIA.values()]
    values = format_fixed([-2.0 * fit.loglik, *(found[name] for name in CRITERIA)], 3)
    note = "After REML the covariance parameters alone are counted, and rows minus coefficients as the sample size."
    rows = tuple(zip(names, values, strict=True))
    notes = (note,) if fit.method == "reml" else ()
    return Table(("", ""), rows, "Information Criteria:", n_labels=1, notes=notes)


def _terms(numbers: Numbers) -> Iterator[Table]:
    table = numbers.terms
    if table is None:
        return
    normal = bool(np.isinf(table["den_df"]).all())
    statistic = table["f_value"] * table["num_df"] if normal else table["f_value"]
    columns = [
        format_fixed(table["num_df"], 0),
        *([] if normal else [format_fixed(table["den_df"], 3)]),
        format_fixed(statistic, 3),
        _significance(table["p_value"]),
    ]
    rows = tuple(zip(map(str, table.index), *columns, strict=True))
    headings = ("df", "Wald Chi-Square") if normal else ("Numerator df", "Denominator df", "F")
    title = "Tests of Model Effects (Type III):" if normal else "Type III Tests of Fixed Effects:"
    yield Table(("Source", *headings, "Sig."), rows, title, n_labels=1)


def _covariance(numbers: Numbers) -> Table:
    rows = []
    for own in numbers.covariance:
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.array([own.estimate]) / own.std_error
        test = [*format_fixed(z, 3), *_significance(wald.p_values(z))] if np.isfinite(z[0]) else [".", "."]
        cells = [*each([own.estimate, own.std_error]), *test, *each([own.conf_low, own.conf_high])]
        rows.append((_label(own), *cells))
    columns = ("Parameter", "Estimate", "Std. Error", "Wald Z", "Sig.", "95% Lower", "Upper")
    note = "Wald tests of variances are approximate: zero is the least that they can be; test_variance() has others."
    return Table(columns, tuple(rows), "Estimates of Covariance Parameters:", 1, (note,), gap=" ")


def _label(own: CovarianceParameter) -> str:
    if not own.structure:
        return "Residual"
    label, of = short_label(own), effect(own.names[0])
    if len(own.names) > 1:
        return f"[{own.group}] {label}"
    return f"{of} [{own.group}]" if label == of else f"{of} [{own.group}] {label}"


def _significance(p: pd.Series | np.ndarray) -> list[str]:
    return ["<.001" if own < 0.0005 else text for own, text in zip(p, format_fixed(p, 3), strict=True)]


def coefficients(table: pd.DataFrame, exponentials: bool, _: bool) -> tuple[tuple[str, ...], list[list[str]]]:
    """Headings and columns of cells of a table of `wald.wald_table`.

    The statistic is Wald's chi-squared, the square of z, where the tests are normal, and t where they have degrees of
    freedom. With `exponentials` the last columns are exp(B) and its interval, without them the interval of B.
    """
    normal = bool(np.isinf(table["df"]).all())
    statistic = table["statistic"] ** 2 if normal else table["statistic"]
    df = ["1"] * len(table) if normal else format_fixed(table["df"], 3)
    columns = [
        format_numbers(table["estimate"], 4, decimals_of=table["std_error"]),
        format_numbers(table["std_error"], 4),
        format_fixed(statistic, 3),
        df,
        _significance(table["p_value"]),
    ]
    estimate, low, high = (table[name].to_numpy() for name in ("estimate", "conf_low", "conf_high"))
    if exponentials:
        with np.errstate(over="ignore"):
            estimate, low, high = np.exp(estimate), np.exp(low), np.exp(high)
        columns.append(format_numbers(estimate, 4))
    columns += [format_numbers(low, 4), format_numbers(high, 4)]
    headings = ("B", "S.E.", "Wald" if normal else "t", "df", "Sig.", *(["Exp(B)"] if exponentials else []))
    return (*headings, "95% Lower", "Upper"), columns
