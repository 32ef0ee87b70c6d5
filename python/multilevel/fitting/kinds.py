"""The rows of each kind by themselves, where each kind has a family of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from .record import Fit


def rows_by_kind(fit: Fit) -> Iterator[tuple[str, NDArray[np.int64], Fit]]:
    """Of each kind its label, its rows, and the fit as its rows see it.

    What follows from single rows can be asked of that: their family, response, weights, linear predictors and means.
    Of the rest of the model, such as random effects and what is uncertain, it says nothing.
    """
    for kind, family, rows, phi in fit.family.split(fit.row_phi):
        response, weights = fit.design.response.take(rows), fit.design.weights
        design = replace(
            fit.design,
            response=replace(response, kinds=None),
            weights=None if weights is None else weights[rows],
            n_rows=len(rows),
            index=None,
            rows=None,
        )
        own = {name.removeprefix(f"{kind}: "): value for name, value in fit.phi.items() if name.startswith(f"{kind}: ")}
        view = replace(fit, design=design, family=family, phi=own)
        view.__dict__.update(eta=fit.eta[rows], row_phi=phi)  # in place of what it would compute from all rows
        yield kind, rows, view
