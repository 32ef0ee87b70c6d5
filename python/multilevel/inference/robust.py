"""Covariances that hold when the model's own does not: sandwich estimators, cluster by cluster.

    "CR0"   V B V, with B the sum of s_g s_g' over clusters g and V the model's covariance
    "CR1"   the same times m / (m - 1), m the number of clusters
    "CR2"   residuals adjusted so that it is unbiased if the model is right
    "CR3"   residuals adjusted as leaving out one cluster after another would, nearly
    "MBN"   CR1 enlarged by a share of V that vanishes with the number of clusters

s_g is the score of a cluster: the gradient of its part of the approximated log-likelihood. By maximum likelihood it is
that of all parameters, and so is V; by REML, and for CR2 and CR3, it is that of the fixed effects with the variances
held fixed. CR2 and CR3 need the covariance of the response: they are of linear models, and of those that have no random
effects and no parameters beside their coefficients.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..columns.least_squares import CHUNK, dense
from ..errors import DataError
from ..fitting.contributions import contributions
from ..fitting.parameters import variance_share
from .bias_reduced import bias_reduced, can_be_adjusted, hotelling_df
from .clusters import clusters, sums_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..fitting.record import Fit
    from .clusters import Clusters

KINDS = ("CR0", "CR1", "CR2", "CR3", "MBN")
LEAST_DESIGN_EFFECT = 1.0  # r of Morel, Bokossa and Neerchal
LARGEST_SHARE = 2.0  # d of theirs: V is enlarged by 1/d at most


class Robust(NamedTuple):
    """A fit with a robust covariance in place of its own, and what goes with it.

    `fit.covariance` and `fit.beta_covariance` are the robust ones, NaN for parameters that have none. `df` are the
    degrees of freedom of tests of the fixed effects, (p,), infinite for normal tests; `definition` says in words which
    covariance it is. `hotelling_df` takes the rows of a hypothesis, (q, p), and gives the degrees of freedom of their
    covariance; None where tests are normal.
    """

    fit: Fit
    df: NDArray[np.float64]
    definition: str
    hotelling_df: Callable[[NDArray[np.float64]], float] | None = None


def robust(fit: Fit, kind: str, cluster: Any = None, data: Any = None) -> Robust:
    """The fit with a robust covariance.

    Parameters
    ----------
    fit : Fit
    kind : {"CR0", "CR1", "CR2", "CR3", "MBN"}
    cluster, data
        As in `clusters.clusters`.

    Raises
    ------
    DataError
        Another kind; CR2 or CR3 for a model that does not give the response a covariance; clusters that are too few or
        cut through levels; a fit without a covariance.

    References
    ----------
    Liang & Zeger (1986) Biometrika 73:13-22; Pustejovsky & Tipton (2018) J. Bus. Econ. Stat. 36:672-683 for CR2, CR3
    and the degrees of freedom; Morel, Bokossa & Neerchal (2003) Biometrical J. 45:395-409, as SAS GLIMMIX has it.
    """
    kind = _checked(fit, kind)
    groups = clusters(fit, cluster, data)
    m = len(groups.labels)
    where = f"{m:,} {'rows' if groups.name == 'rows' else f'clusters of {groups.name}'}"
    p = len(fit.beta)
    if kind in ("CR2", "CR3"):
        covariance, df = bias_reduced(fit, groups, kind)
        held = ", variances held fixed" if fit.is_linear else ""
        definition = f"{kind}, {where}{held}; Satterthwaite's degrees of freedom"
        of_rows = partial(hotelling_df, fit, groups, kind)
        return Robust(_replaced(fit, covariance, held=True), df, definition, of_rows)
    by_reml = fit.method == "reml"
    covariance = _sandwich(fit, groups, kind, held=by_reml)
    definition = f"{kind}, {where}, {'variances held fixed' if by_reml else 'all parameters'}"
    return Robust(_replaced(fit, covariance, held=by_reml), np.full(p, np.inf), definition)


def asked_for(fit: Fit, kind: str | None, cluster: Any = None, data: Any = None) -> Robust | None:
    """What `robust=` and `cluster=` ask for; None where they ask for nothing.

    Raises
    ------
    DataError
        Clusters without a kind, and as `robust`.
    """
    if kind is None:
        if cluster is not None:
            raise DataError("cluster= names the clusters of a robust covariance: say which with robust='CR1'")
        return None
    return robust(fit, kind, cluster, data)


def check_df_method(df_method: str | None) -> None:
    """Refuses degrees of freedom that belong to the model's own covariance.

    Raises
    ------
    DataError
    """
    if df_method not in (None, "normal"):
        raise DataError(
            f"df_method={df_method!r} goes with the model's own covariance. With robust= tests are normal, but for CR2 "
            "and CR3, which have Satterthwaite's degrees of freedom of their own: leave df_method= out"
        )


def normal_tests(chosen: Robust, df_method: str | None) -> str:
    """The method of degrees of freedom for functions of several coefficients, whose tests are normal.

    Raises
    ------
    DataError
        The covariance has degrees of freedom for single coefficients only.
    """
    check_df_method(df_method)
    if np.isfinite(chosen.df).any():
        raise DataError(
            f"{chosen.definition.split(',')[0]} has degrees of freedom for the coefficients alone, and means "
            "and effects would be tested without any: use robust='CR1' or 'MBN'"
        )
    return "normal"


def _checked(fit: Fit, kind: str) -> str:
    name = kind.upper() if isinstance(kind, str) else kind
    if name not in KINDS:
        raise DataError(f"robust={kind!r} is not known; there are {', '.join(map(repr, KINDS))}")
    if name in ("CR2", "CR3") and not can_be_adjusted(fit):
        raise DataError(
            f"robust={name!r} adjusts residuals by the covariance that the model gives the response, which is known "
            "for linear models, and for others without random effects or parameters beside the coefficients, but not "
            f"of choices; this is {fit.family.name}({fit.family.link}). With few clusters use robust='MBN'"
        )
    fit.need_likelihood("a robust covariance")
    if not np.isfinite(fit.beta_covariance).all():
        raise DataError(f"a robust covariance begins with the model's own, and this fit has none: {fit.message}")
    return name


def _sandwich(fit: Fit, groups: Clusters, kind: str, *, held: bool) -> NDArray[np.float64]:
    """Of all parameters, (P, P), NaN for those at the boundary; of the fixed effects, (p, p), with the others held."""
    p = len(fit.beta)
    if held:
        bread, free = fit.beta_covariance, np.arange(p)
    else:
        free = np.flatnonzero(np.isfinite(np.diag(fit.covariance)))
        bread = fit.covariance[np.ix_(free, free)] / variance_share(fit.design, fit.family, p)
    m = len(groups.labels)
    meat = _meat(fit, groups)[np.ix_(free, free)]
    sandwich = bread @ meat @ bread
    sandwich = (sandwich + sandwich.T) / 2.0
    if kind != "CR0":
        sandwich *= m / (m - 1)
    if kind == "MBN":
        sandwich = _enlarged(fit, sandwich, bread, meat, m)
    if held:
        return sandwich
    whole = np.full((len(fit.psi), len(fit.psi)), np.nan)
    whole[np.ix_(free, free)] = sandwich
    return whole


def _meat(fit: Fit, groups: Clusters) -> NDArray[np.float64]:
    """The sum over clusters of the squares of their scores, (P, P) of all parameters or (p, p) of the fixed effects."""
    m = len(groups.labels)
    if fit.design.grouping_factors:
        own = contributions(fit)
        # A part of the model lies within one cluster.
        of_part = np.empty(len(own.scores), dtype=np.int32)
        of_part[own.row_part] = groups.codes
        scores = own.scores if len(own.scores) == m else sums_by(of_part, m, own.scores)
    elif m == fit.n_rows and fit.design.choices is None and (fit.is_linear or len(fit.psi) == len(fit.beta)):
        return _meat_of_rows(fit)
    else:
        scores = contributions(fit, groups.codes).scores
    return np.asarray(scores.T @ scores, dtype=np.float64)


def _meat_of_rows(fit: Fit) -> NDArray[np.float64]:
    """Where every row is a cluster: the scores are never held all together."""
    design, n = fit.design, fit.n_rows
    kept = set(fit.fixed_names)
    columns: list[Any] = [column.values for column in design.fixed if column.name in kept]
    p = len(columns)
    residual = None
    if fit.is_linear:
        residual = design.response.values - fit.eta
        score = residual * (variance_share(design, fit.family, p) / fit.phi["sigma"] ** 2)
        if design.weights is not None:
            score *= design.weights
        columns.append(None)  # of log(sigma)
    else:
        second = design.response.second
        score, _ = fit.family.score(fit.eta, design.response.values, second, design.weights, fit.row_phi)
    meat = np.zeros((len(columns), len(columns)))
    for start in range(0, n, CHUNK):
        rows = slice(start, min(start + CHUNK, n))
        own = dense(columns, rows, n)
        own[:, :p] *= score[rows, None]
        if residual is not None:
            own[:, p] = score[rows] * residual[rows] - 1.0
        meat += own.T @ own
    return meat


def _enlarged(
    fit: Fit, sandwich: NDArray[np.float64], bread: NDArray[np.float64], meat: NDArray[np.float64], m: int
) -> NDArray[np.float64]:
    """The sandwich times a constant, and the model's covariance times a design effect and a share that vanishes."""
    k = len(bread)
    inside = bread @ meat
    rank = k if m >= k else int(np.linalg.matrix_rank(inside))
    effect = max(LEAST_DESIGN_EFFECT, float(np.trace(inside)) / rank)
    share = k / (m - k) if m > (LARGEST_SHARE + 1) * k else 1.0 / LARGEST_SHARE
    n = fit.n_observations
    factor = (n - 1) / (n - k) if n > k else 1.0
    return factor * sandwich + share * effect * bread


def _replaced(fit: Fit, covariance: NDArray[np.float64], *, held: bool) -> Fit:
    p = len(fit.beta)
    if not held:
        return replace(fit, covariance=covariance, beta_covariance=covariance[:p, :p])
    whole = np.full((len(fit.psi), len(fit.psi)), np.nan)
    whole[:p, :p] = covariance
    return replace(fit, covariance=whole, beta_covariance=covariance)
