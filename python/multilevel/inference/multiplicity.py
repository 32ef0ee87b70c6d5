"""Several tests at once: p-values that hold for all of them together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

METHODS = ("holm", "bonferroni", "bh", "by")


def check_adjustment(method: str | None) -> None:
    """Refuses a way to adjust that is not known.

    Raises
    ------
    ValueError
        It is not one of `METHODS`, nor None.
    """
    if method is not None and method not in METHODS:
        raise ValueError(f"adjust={method!r} is not known; there are {', '.join(map(repr, METHODS))}, or None")


def adjusted_p_values(p_values: ArrayLike, method: str) -> NDArray[np.float64]:
    """P-values adjusted for their number.

    Parameters
    ----------
    p_values : (m,) array_like
        Of one family of tests. NaN is no test: it stays NaN and is not counted.
    method : {"holm", "bonferroni", "bh", "by"}
        Holm's, which holds the chance of any false rejection as Bonferroni's does, and is never larger; or Benjamini
        and Hochberg's, which holds the expected share of false ones among the rejections where tests are independent or
        positively dependent, and that of Benjamini and Yekutieli under any dependence.

    Returns
    -------
    (m,) ndarray, at most 1

    References
    ----------
    Holm (1979) Scand. J. Statist. 6:65-70; Benjamini & Hochberg (1995) JRSS B 57:289-300; Benjamini & Yekutieli (2001)
    Ann. Statist. 29:1165-1188.
    """
    check_adjustment(method)
    given = np.asarray(p_values, dtype=np.float64)
    result = np.full(given.shape, np.nan)
    tests = np.flatnonzero(~np.isnan(given))
    m = len(tests)
    order = tests[np.argsort(given[tests], kind="stable")]
    rank = np.arange(1, m + 1)
    if method == "bonferroni":
        values = m * given[order]
    elif method == "holm":
        values = np.maximum.accumulate((m + 1 - rank) * given[order])
    else:
        share = m * (np.sum(1.0 / rank) if method == "by" else 1.0)
        values = np.minimum.accumulate((share / rank * given[order])[::-1])[::-1]
    result[order] = np.minimum(values, 1.0)
    return result


def with_adjusted(table: pd.DataFrame, method: str | None) -> pd.DataFrame:
    """A table of tests with the column `p_adjusted` after its `p_value`; as it is without a method."""
    check_adjustment(method)
    if method is None:
        return table
    place = list(table.columns).index("p_value") + 1
    result = table.copy()
    result.insert(place, "p_adjusted", adjusted_p_values(table["p_value"], method))
    return result
