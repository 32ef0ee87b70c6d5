"""The response of new rows, read as that of the fit was: its labels mean what they meant there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..columns.expressions import Numbers, Rows, evaluate
from ..columns.levels import label_of, positions
from ..columns.transforms import Categories
from ..errors import DataError
from .read_categories import one_column
from .read_response import build_response
from .response import Response

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family.registry import Family
    from .design import Design


def read_new_response(
    design: Design, family: Family, rows: Rows, weights: NDArray[np.float64] | None
) -> tuple[Response, NDArray[np.float64] | None]:
    """The response of new rows, and the weights that are left: those of a binomial proportion become trials.

    Raises
    ------
    DataError
        A label that the fit did not see, or a value that the family cannot take.
    """
    known = design.response.levels
    if known is None:
        response, left = build_response(design.formula, rows, family, weights)
        if response.levels is not None:
            raise DataError(f"the response '{response.name}' held numbers in the fit, and the new data hold categories")
        return response, left
    first = 1 if family.support == "categories" else 0
    return Response(
        design.response.name, (_codes(design, rows, known) + first).astype(np.float64), None, known
    ), weights


def _codes(design: Design, rows: Rows, known: tuple[str, ...]) -> NDArray[np.int64]:
    """Positions of the labels of rows among the known ones."""
    name = design.response.name
    value = evaluate(design.formula.response[0], rows, {})
    if isinstance(value, Categories):
        codes, levels = value.codes, value.levels
    else:
        assert isinstance(value, Numbers)
        unique, codes = np.unique(one_column(name, value), return_inverse=True)
        levels = pd.Index(unique)
    table = positions(pd.Index(list(known), dtype=object), pd.Index([label_of(own) for own in levels], dtype=object))
    found = table[codes]
    if (found < 0).any():
        row = int(np.argmax(found < 0))
        raise DataError(
            f"the response '{name}' is {label_of(levels[codes[row]])!r} in {rows.at(row)}; the fit had "
            f"{', '.join(map(repr, known))}"
        )
    return found.astype(np.int64)
