"""How much of what terms of the fixed part say is said by the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from ..fitting.record import Fit

COLUMNS = ["df", "gvif", "per_coefficient"]


def collinearity(fit: Fit) -> pd.DataFrame:
    """Generalized variance inflation factors of the terms of the fixed part.

    Of a term with one coefficient that is the factor by which its variance exceeds that of an estimate that is
    uncorrelated with the others; of one with several, the same for the squared volume of their confidence region.

    Returns
    -------
    DataFrame, index = labels of the terms but the intercept
        df (coefficients), gvif, and per_coefficient, gvif^(1 / (2 df)), which compares between terms: the factor of a
        standard error. Without at least two terms there are no rows.

    References
    ----------
    Fox & Monette (1992) J. Amer. Statist. Assoc. 87:178-183.
    """
    place = {name: k for k, name in enumerate(fit.fixed_names)}
    own = {
        term.label: [place[name] for k in term.columns if (name := fit.design.fixed[k].name) in place]
        for term in fit.design.fixed_terms
        if term.parts
    }
    own = {label: columns for label, columns in own.items() if columns}
    every = sorted(k for columns in own.values() for k in columns)
    covariance = fit.beta_covariance[np.ix_(every, every)]
    if len(own) < 2 or not np.isfinite(covariance).all():
        return pd.DataFrame(columns=COLUMNS, index=pd.Index([], dtype=object, name="term"))
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    whole = float(np.linalg.slogdet(correlation)[1])
    rows = []
    for columns in own.values():
        here = np.isin(every, columns)
        inside = np.linalg.slogdet(correlation[np.ix_(here, here)])[1]
        outside = np.linalg.slogdet(correlation[np.ix_(~here, ~here)])[1]
        log_factor = float(inside + outside - whole)
        rows.append((len(columns), np.exp(log_factor), np.exp(log_factor / (2 * len(columns)))))
    return pd.DataFrame(rows, columns=COLUMNS, index=pd.Index(list(own), dtype=object, name="term"))
