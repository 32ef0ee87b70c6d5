"""Random effects at their conditional modes: alone, and added to the fixed effects of the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..design.random_terms import RandomTerm
    from ..fitting.record import Fit

RANDOM_EFFECTS = ["group", "level", "term", "mode", "sd"]


def random_effects(fit: Fit, sd: Sequence[NDArray[np.float64]] | None = None) -> pd.DataFrame:
    """Conditional modes of the random effects.

    Parameters
    ----------
    fit : Fit
    sd : sequence of ndarray, (n_levels, q), optional
        What stands beside them, per grouping factor, in place of their conditional standard deviations.

    Returns
    -------
    DataFrame
        group, level, term, mode, sd; one row per grouping factor, term and level, the levels of a term together. `sd`
        is the conditional standard deviation given the estimates (lme4's `condVar`).
    """
    frames = [
        pd.DataFrame(
            {
                "group": factor.name,
                "level": np.tile(np.asarray(factor.levels), len(term.names)),
                "term": np.repeat(np.array(term.names, dtype=object), len(factor.levels)),
                "mode": fit.modes[index][:, at].T.ravel(),
                "sd": _conditional(fit, index, at) if sd is None else sd[index][:, at].T.ravel(),
            }
        )
        for index, factor in enumerate(fit.design.grouping_factors)
        for term, at in terms_of(fit, index)
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=RANDOM_EFFECTS)


def _conditional(fit: Fit, index: int, at: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.sqrt(np.maximum(fit.mode_cov[index][:, at, at], 0.0)).T.ravel()


def coef(fit: Fit) -> dict[str, pd.DataFrame]:
    """Coefficients per level: fixed effects plus the conditional modes of the same name.

    Returns
    -------
    dict: grouping factor -> DataFrame (levels x coefficients)
        A random effect without a fixed one of that name is added to zero and gets its own column, as in lme4; NaN where
        the fixed one was dropped as a linear combination of others, since it cannot be told from theirs.
    """
    result: dict[str, pd.DataFrame] = {}
    for index, factor in enumerate(fit.design.grouping_factors):
        fixed = np.tile(fit.beta, (len(factor.levels), 1))
        levels = pd.Index(factor.levels, name=factor.name)
        table = pd.DataFrame(fixed, index=levels, columns=list(fit.fixed_names))
        for term, at in terms_of(fit, index):
            for name, column in zip(term.names, at, strict=True):
                fixed_one = np.nan if name in fit.redundant else table.get(name, 0.0)
                table[name] = fixed_one + fit.modes[index][:, column]
        result[factor.name] = table
    return result


def terms_of(fit: Fit, factor: int) -> list[tuple[RandomTerm, np.ndarray]]:
    """The terms on a grouping factor, each with its columns of the factor's modes."""
    pairs = zip(fit.design.random_terms, fit.term_columns, strict=True)
    return [(term, at) for term, at in pairs if term.grouping_factor == factor]
