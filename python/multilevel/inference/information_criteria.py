"""Criteria that weigh the log-likelihood against the number of parameters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..fitting.record import Fit


def information_criteria(fit: Fit, n: str = "rows") -> dict[str, float]:
    """AIC, AICc, BIC, CAIC and HQIC.

    With k parameters and log-likelihood l:

        aic  = -2 l + 2 k                  aicc = -2 l + 2 k m / (m - k - 1),  m = max(rows, k + 2)
        bic  = -2 l + k log n              caic = -2 l + k (log n + 1)
        hqic = -2 l + 2 k log log n

    After REML l is the restricted log-likelihood, and k and the rows are counted as after ML, as in lme4 (nlme takes
    log(n - p) in BIC, SAS counts only the covariance parameters): such criteria compare models with the same fixed
    effects.

    Parameters
    ----------
    fit : Fit
    n : {"rows", "subjects"}
        What counts as the sample size of BIC, CAIC and HQIC: rows (as lme4 and R's `BIC`), or independent clusters (as
        SAS PROC GLIMMIX and PROC MIXED). AICc always counts rows, as SAS does.

    Raises
    ------
    ValueError
        For another `n`.

    References
    ----------
    Hurvich & Tsai (1989) Biometrika 76:297-307; Schwarz (1978) Ann. Statist. 6:461-464; Bozdogan (1987) Psychometrika
    52:345-370; Hannan & Quinn (1979) JRSS B 41:190-195.
    """
    if n not in ("rows", "subjects"):
        raise ValueError(f"n={n!r}: the sample size is counted in 'rows' or 'subjects'")
    fit.need_likelihood("information criteria")
    size = fit.n_observations if n == "rows" else n_subjects(fit)
    return criteria(fit.loglik, fit.df_model, fit.n_observations, size)


def criteria(loglik: float, k: int, rows: int, size: int) -> dict[str, float]:
    """The same from a log-likelihood, parameters, rows (of AICc), and the sample size of the others."""
    deviance = -2.0 * loglik
    m = max(rows, k + 2)
    log_n = math.log(size)
    return {
        "aic": deviance + 2 * k,
        "aicc": deviance + 2 * k * m / (m - k - 1),
        "bic": deviance + k * log_n,
        "caic": deviance + k * (log_n + 1),
        "hqic": deviance + 2 * k * math.log(log_n) if size > 1 else math.nan,
    }


def n_subjects(fit: Fit) -> int:
    """The number of independent clusters: sets of rows that share no random effect; every row is one without any."""
    factors = fit.design.grouping_factors
    if not factors:
        return fit.n_observations
    if len(factors) == 1:
        return len(factors[0].levels)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # levels are the nodes of a graph; a row connects the levels it belongs to
    starts = np.cumsum([0, *(len(factor.levels) for factor in factors)])
    first = factors[0].codes.astype(np.int64)
    ends = [(first, factor.codes + start) for factor, start in zip(factors[1:], starts[1:], strict=False)]
    i, j = (np.concatenate(side) for side in zip(*ends, strict=True))
    graph = coo_array((np.ones(len(i), dtype=np.int8), (i, j)), shape=(starts[-1], starts[-1]))
    n_components: int = connected_components(graph, directed=False)[0]
    return n_components
