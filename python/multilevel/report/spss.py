"""Coefficients as SPSS lays them out: B, S.E., Wald, df, Sig., Exp(B) with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..tables.page import format_fixed, format_numbers

if TYPE_CHECKING:
    import pandas as pd


def coefficients(table: pd.DataFrame, exponentials: bool) -> tuple[tuple[str, ...], list[list[str]]]:
    """Headings and columns of cells of a table of `wald.wald_table`.

    The statistic is Wald's chi-squared, the square of z, where the tests are normal, and t where they have degrees of
    freedom. With `exponentials` the last columns are exp(B) and its interval, without them the interval of B.
    """
    normal = bool(np.isinf(table["df"]).all())
    statistic = table["statistic"] ** 2 if normal else table["statistic"]
    df = ["1"] * len(table) if normal else format_fixed(table["df"], 3)
    significance = [
        "<.001" if p < 0.0005 else text
        for p, text in zip(table["p_value"], format_fixed(table["p_value"], 3), strict=True)
    ]
    columns = [
        format_numbers(table["estimate"], 4, decimals_of=table["std_error"]),
        format_numbers(table["std_error"], 4),
        format_fixed(statistic, 3),
        df,
        significance,
    ]
    estimate, low, high = (table[name].to_numpy() for name in ("estimate", "conf_low", "conf_high"))
    if exponentials:
        with np.errstate(over="ignore"):
            estimate, low, high = np.exp(estimate), np.exp(low), np.exp(high)
        columns.append(format_numbers(estimate, 4))
    columns += [format_numbers(low, 4), format_numbers(high, 4)]
    headings = ("B", "S.E.", "Wald" if normal else "t", "df", "Sig.", *(["Exp(B)"] if exponentials else []))
    return (*headings, "95% Lower", "Upper"), columns
