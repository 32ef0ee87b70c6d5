"""How many rows a model has for each of its parameters: of very few, a likelihood has maxima that no search finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..design.design import Design

FEW_ROWS = 3  # for each parameter: below it estimates are little more than a description of these rows


def few_rows(design: Design, n_parameters: int) -> str:
    """What is said of rows that are few for the parameters, as counted; empty where they are not."""
    if not n_parameters * FEW_ROWS > _stand_for(design):
        return ""
    return f"{n_parameters} parameters for {n_responses(design)} rows, fewer than {FEW_ROWS} for each"


def n_responses(design: Design) -> int:
    """Rows, or the choices that they are the alternatives of."""
    choices = design.choices
    return design.n_rows if choices is None or choices.by_category else choices.n_sets


def _stand_for(design: Design) -> float:
    """Responses: rows may stand for several, by trials and by weights."""
    size, weights = design.response.size, design.weights
    found = float(n_responses(design) if size is None else np.sum(size))
    return found if weights is None else max(found, float(np.sum(weights)))
