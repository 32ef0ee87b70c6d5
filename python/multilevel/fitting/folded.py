"""Links that give both signs of the linear predictor the same mean, so that the likelihood has several maxima."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from multilevel import _core

    from ..family.registry import Family


def folded(core: _core.Model, family: Family, record: _core.FitRecord, threads: int) -> tuple[int, int]:
    """Rows whose linear predictor is below and above zero, where the link's inverse is even; else (0, 0)."""
    if family.link != "sqrt" or record.ending != "converged":
        return 0, 0
    modes = [np.ascontiguousarray(own) for own in record.modes]
    eta = core.linear_predictor(np.ascontiguousarray(record.psi[: core.n_beta]), modes, threads)
    return int(np.sum(eta < 0)), int(np.sum(eta > 0))
