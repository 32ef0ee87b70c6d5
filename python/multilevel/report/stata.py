"""Coefficients as Stata lays them out: Coef., Std. Err., z, P>|z|, [95% Conf. Interval]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..tables.page import format_fixed, format_numbers

if TYPE_CHECKING:
    import pandas as pd


def coefficients(table: pd.DataFrame) -> tuple[tuple[str, ...], list[list[str]]]:
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
