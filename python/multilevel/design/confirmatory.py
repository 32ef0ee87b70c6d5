"""Confirmatory factors: which columns of a term load on which factor, and whether that tells the factors apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from ..formula.structures import CONFIRMATORY
from ..formula.tokens import complain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..formula.terms import Bar

LEAST = 2  # columns of a factor beside others
LEAST_ALONE = 3


def confirmatory_structure(source: str, bar: Bar, names: Sequence[str]) -> str:
    """The structure as the core names it, "confirmatory math=1100 verbal=0011".

    Parameters
    ----------
    source : str
        The formula, which complaints show.
    bar : Bar
    names : sequence of str
        Of the term's columns.

    Raises
    ------
    FormulaError
        An item is none of the columns, a column loads on no factor, or the loadings are not identified.
    """
    loads = np.zeros((len(bar.factors), len(names)), dtype=bool)
    for factor, (_, items) in enumerate(bar.factors):
        for item in items:
            loads[factor, _column(source, bar, names, item)] = True
    without = [name for name, some in zip(names, np.any(loads, axis=0), strict=True) if not some]
    if without:
        complain(source, bar.position, f"'{without[0]}' loads on no factor: add it to one, or leave its rows out")
    _check_identified(source, bar, loads)
    pattern = (
        f"{name}={''.join('01'[own] for own in row.astype(int))}"
        for (name, _), row in zip(bar.factors, loads, strict=True)
    )
    return " ".join([CONFIRMATORY, *pattern])


def _column(source: str, bar: Bar, names: Sequence[str], item: str) -> int:
    """The position of a column, called by its own name or by its level."""
    if item in names:
        return list(names).index(item)
    found = [k for k, name in enumerate(names) if name.endswith(f"[{item}]")]
    if len(found) != 1:
        what = "stands for several columns" if found else "is none of the columns"
        complain(source, bar.position, f"'{item}' {what} of {bar.text}: {', '.join(names)}")
    return found[0]


def _check_identified(source: str, bar: Bar, loads: NDArray[np.bool_]) -> None:
    def fail(message: str) -> NoReturn:
        complain(source, bar.position, message)

    least = LEAST_ALONE if len(loads) == 1 else LEAST
    for (name, items), row in zip(bar.factors, loads, strict=True):
        if row.sum() < least:
            alone = " that stands alone" if least == LEAST_ALONE else ""
            fail(f"the factor '{name}'{alone} needs {least} items or more to be identified; it has {', '.join(items)}")
    # A factor is fixed among the others where these cannot be mixed into it without breaking one of its zeros: the
    # loadings of the others, in the rows where its own are zero, have full column rank (Howe 1955).
    values = np.random.default_rng(1).uniform(1.0, 2.0, size=loads.shape) * loads
    for factor, (name, _) in enumerate(bar.factors):
        others = np.delete(values, factor, axis=0)[:, ~loads[factor]]
        if np.linalg.matrix_rank(others) < len(loads) - 1:
            fail(
                f"the factor '{name}' cannot be told from mixtures of it with others: each other factor needs items of "
                "its own that do not load on it"
            )
