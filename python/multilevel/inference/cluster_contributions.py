"""What each cluster contributes to the log-likelihood, and how far Laplace's approximation can be trusted there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..fitting.contributions import contributions, finer_points, posterior_moments
from ..fitting.parameters import is_exact
from ..fitting.quadrature import allows_quadrature
from .clusters import model_clusters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit


def cluster_contributions(fit: Fit) -> pd.DataFrame:
    """Log-likelihood of each independent part of the data.

    Returns
    -------
    DataFrame, index = the clusters
        n_rows; llf, of maximum likelihood and with all constants, so that its sum is that of the fit; change, what more
        points of quadrature add to it (0 where the approximation is exact, missing where the design has none);
        skewness, the largest by absolute value of those of the cluster's random effects given the data, which Laplace's
        approximation takes for zero (of two nested factors those of the outer one; missing where it is not known).

    Raises
    ------
    DataError
        The fit has no estimates.
    """
    groups = model_clusters(fit)
    own = contributions(fit)
    m = len(own.loglik)
    first = np.empty(m, dtype=np.int64)  # a row of each part, which tells its label
    first[own.row_part[::-1]] = np.arange(fit.n_rows)[::-1]
    index = pd.Index(np.asarray(groups.labels)[groups.codes[first]], name=groups.name)
    change, skewness = np.zeros(m), np.zeros(m)
    if fit.design.grouping_factors and not is_exact(fit.design, fit.family):
        if allows_quadrature(fit.design):
            points = finer_points(fit)
            change = np.full(m, np.nan)
            if points > own.n_quadrature:
                change = contributions(fit, n_quadrature=points).loglik - own.loglik
            skewness = _skewness(fit, own.row_part, m)
        else:
            change, skewness = np.full(m, np.nan), np.full(m, np.nan)
    table = pd.DataFrame(
        {"n_rows": np.bincount(own.row_part, minlength=m), "llf": own.loglik, "change": change, "skewness": skewness},
        index=index,
    )
    order = np.argsort(groups.codes[first], kind="stable")
    return table.iloc[order]


def _skewness(fit: Fit, row_part: NDArray[np.int32], m: int) -> NDArray[np.float64]:
    moments = posterior_moments(fit)
    found = np.zeros(m)
    for factor, third, covariance in zip(fit.design.grouping_factors, moments.third, moments.covariance, strict=True):
        part = np.empty(len(factor.levels), dtype=np.int64)
        part[factor.codes] = row_part
        variance = np.diagonal(covariance, axis1=1, axis2=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            skewness = np.nan_to_num(third / variance**1.5)
        for column in skewness.T:
            order = np.argsort(np.abs(column), kind="stable")  # the largest is written last
            largest = np.zeros(m)
            largest[part[order]] = column[order]
            found = np.where(np.abs(largest) > np.abs(found), largest, found)
    return found
