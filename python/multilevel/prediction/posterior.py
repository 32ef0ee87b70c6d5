"""Random effects given the data: means, standard deviations and quantiles, and ranks with their uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ..errors import DataError
from ..fitting.contributions import posterior_moments
from ..fitting.parameters import is_exact
from . import modes
from .modes import terms_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.contributions import Moments
    from ..fitting.record import Fit

POSTERIOR = ["group", "level", "term", "mean", "sd", "lower", "upper", "skewness", "method"]
ERRORS = ("conditional", "comparative", "diagnostic")
MOST_DRAWS = 100_000
BLOCK = 2_000_000  # numbers that are drawn at a time


class _Shape(NamedTuple):
    """What is known of each distribution: (n,) each; skewness and excess kurtosis are zero where they are not known."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    skewness: NDArray[np.float64]
    kurtosis: NDArray[np.float64]

    def at(self, z: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Quantiles at normal scores, by the expansion of Cornish and Fisher to the fourth moment."""
        g1, g2 = self.skewness, self.kurtosis
        bent = z + (z**2 - 1) * g1 / 6 + (z**3 - 3 * z) * g2 / 24 - (2 * z**3 - 5 * z) * g1**2 / 36
        return np.asarray(self.mean + self.sd * bent)


def random_effects(
    fit: Fit,
    kind: str = "mode",
    level: float = 0.95,
    errors: str = "conditional",
    n_quadrature: int | None = None,
) -> pd.DataFrame:
    """Random effects of each level: `modes.random_effects` with `mode_errors`, or `posterior`.

    Raises
    ------
    DataError
        Another kind, or errors of modes together with means.
    """
    if kind == "mode":
        return modes.random_effects(fit, None if errors == "conditional" else mode_errors(fit, errors))
    if kind != "mean":
        raise DataError(f"kind={kind!r} is not known; there are 'mode' and 'mean'")
    if errors != "conditional":
        raise DataError(f"errors={errors!r} goes with kind='mode'; means have their sd given the data")
    return posterior(fit, level, n_quadrature)


def posterior(fit: Fit, level: float = 0.95, n_quadrature: int | None = None) -> pd.DataFrame:
    """Means of the random effects given the data and the estimates, with standard deviations and intervals.

    Parameters
    ----------
    fit : Fit
    level : float
        Of the intervals, whose tails are equal.
    n_quadrature : int, optional
        Points per random effect; without it the fit's, or more where that costs little.

    Returns
    -------
    DataFrame
        group, level, term, mean, sd, lower, upper, skewness, method; a row per grouping factor, term and level. The
        method is "exact" (linear models), "quadrature, 25 points", or "Laplace": then the mean is Tierney, Kass and
        Kadane's, the sd that of the conditional mode, and the skewness is missing. Limits are by Cornish and Fisher's
        expansion.

    Raises
    ------
    DataError
        A level outside (0, 1), or as `posterior_moments`.
    """
    from scipy.special import ndtri

    z = float(ndtri(0.5 + _share(level) / 2))
    factors = fit.design.grouping_factors
    if not factors:
        return pd.DataFrame(columns=POSTERIOR)
    moments = posterior_moments(fit, n_quadrature)
    method = _method(fit, moments)
    frames = []
    for index, factor in enumerate(factors):
        for term, at in terms_of(fit, index):
            shape, skewness = _shape(moments, index, at)
            frames.append(
                pd.DataFrame(
                    {
                        "group": factor.name,
                        "level": np.tile(np.asarray(factor.levels), len(term.names)),
                        "term": np.repeat(np.array(term.names, dtype=object), len(factor.levels)),
                        "mean": shape.mean,
                        "sd": shape.sd,
                        "lower": shape.at(-z),
                        "upper": shape.at(z),
                        "skewness": skewness,
                        "method": method,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def ranks(
    fit: Fit,
    group: str | None = None,
    term: str | None = None,
    n_draws: int = 1000,
    seed: int | None = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Ranks of the levels of a grouping factor by one of their random effects; 1 is the largest.

    Random effects are drawn from their distributions given the data and the estimates, level by level, and ranked.

    Parameters
    ----------
    fit : Fit
    group, term : str, optional
        Grouping factor and random effect; needed where there are several.
    n_draws : int
    seed : int, optional
        Of the draws; None draws others each time.
    level : float
        Of the intervals of the rank.

    Returns
    -------
    DataFrame, one row per level, the largest first
        level, mean (of the random effect), expected_rank, lower, upper (of the rank), p_first (the probability of being
        the largest).

    Raises
    ------
    DataError
        An argument outside of what there is.

    References
    ----------
    Laird & Louis (1989) J. Educ. Stat. 14:29-46; Goldstein & Spiegelhalter (1996) J. R. Stat. Soc. A 159:385-443.
    """
    share = _share(level)
    if isinstance(n_draws, bool) or not isinstance(n_draws, (int, np.integer)) or not 1 <= n_draws <= MOST_DRAWS:
        raise DataError(f"n_draws is {n_draws!r}; it is a whole number from 1 to {MOST_DRAWS:,}")
    index, column = _effect(fit, group, term)
    shape, _ = _shape(posterior_moments(fit), index, np.array([column]))
    n = len(shape.mean)
    random = np.random.default_rng(seed)
    drawn = np.empty((int(n_draws), n), dtype=np.int32)
    size = max(1, BLOCK // n)
    for first in range(0, len(drawn), size):
        values = shape.at(random.standard_normal((min(size, len(drawn) - first), n)))
        order = np.argsort(-values, axis=1)
        np.put_along_axis(drawn[first : first + size], order, np.arange(1, n + 1, dtype=np.int32)[None, :], axis=1)
    tails = [(1 - share) / 2, (1 + share) / 2]
    lower, upper = np.quantile(drawn, tails, axis=0, method="inverted_cdf")
    table = pd.DataFrame(
        {
            "level": np.asarray(fit.design.grouping_factors[index].levels),
            "mean": shape.mean,
            "expected_rank": drawn.mean(axis=0),
            "lower": lower.astype(np.int64),
            "upper": upper.astype(np.int64),
            "p_first": (drawn == 1).mean(axis=0),
        }
    )
    return table.sort_values("expected_rank", kind="stable", ignore_index=True)


def mode_errors(fit: Fit, errors: str) -> list[NDArray[np.float64]]:
    """Standard deviations that go with the conditional modes, per grouping factor, (n_levels, q).

    Parameters
    ----------
    fit : Fit
    errors : {"conditional", "comparative", "diagnostic"}
        Of u given the data and all estimates; of the error of the mode, u_hat - u, which has the uncertainty of the
        fixed effects in it, to compare levels with each other; of the mode itself, u_hat, to see whether it is far from
        zero. The last two are for linear mixed models, variances held at their estimates.

    Raises
    ------
    DataError
        Another word, or a model that is not linear.

    References
    ----------
    Goldstein (2011) Multilevel Statistical Models, 4th ed., appendix 2.2; Henderson (1975) Biometrics 31:423-447.
    """
    if errors not in ERRORS:
        raise DataError(f"errors={errors!r} is not known; there are {', '.join(map(repr, ERRORS))}")
    variances = [np.diagonal(own, axis1=1, axis2=2).copy() for own in fit.mode_cov]
    if errors != "conditional":
        if not fit.is_linear or (fit.design.grouping_factors and not fit.projection):
            raise DataError(
                f"errors={errors!r} needs the covariance of the conditional modes over samples, which linear mixed "
                f"models alone have in closed form; this is {fit.kind}. Use "
                "errors='conditional', or kind='mean' for the mean and its interval given the data"
            )
        for index, own in enumerate(variances):
            sigma = np.zeros((own.shape[1], own.shape[1]))
            for t, (of, at) in enumerate(zip(fit.design.random_terms, fit.term_columns, strict=True)):
                if of.grouping_factor == index:
                    sigma[np.ix_(at, at)] = fit.random_cov[t]
            pull = sigma @ fit.projection[index]  # d mode / d beta, with the sign turned: (n_levels, q, p)
            own += np.einsum("lap,pr,lar->la", pull, fit.beta_covariance, pull)
            if errors == "diagnostic":
                own *= -1.0
                own += np.diag(sigma)
    return [np.sqrt(np.maximum(own, 0.0)) for own in variances]


def _shape(moments: Moments, index: int, at: NDArray[np.int64]) -> tuple[_Shape, NDArray[np.float64]]:
    """Of the columns `at` of a grouping factor, column by column; and the skewness, NaN where it is not known."""
    variance = moments.covariance[index][:, at, at].T.ravel()
    sd = np.sqrt(np.maximum(variance, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        skewness = moments.third[index][:, at].T.ravel() / sd**3
        kurtosis = moments.fourth[index][:, at].T.ravel() / variance**2 - 3.0
    mean = moments.mean[index][:, at].T.ravel()
    return _Shape(mean, sd, np.nan_to_num(skewness), np.nan_to_num(kurtosis)), skewness


def _method(fit: Fit, moments: Moments) -> str:
    if is_exact(fit.design, fit.family):
        return "exact"
    return "Laplace" if moments.n_quadrature == 1 else f"quadrature, {moments.n_quadrature} points"


def _share(level: float) -> float:
    if isinstance(level, bool) or not isinstance(level, (int, float, np.number)) or not 0.0 < level < 1.0:
        raise DataError(f"level={level!r} must lie between 0 and 1, for example 0.95")
    return float(level)


def _effect(fit: Fit, group: str | None, term: str | None) -> tuple[int, int]:
    """Which grouping factor and which column of its random effects."""
    names = [factor.name for factor in fit.design.grouping_factors]
    if not names:
        raise DataError("the model has no random effects to rank")
    if group is None and len(names) > 1:
        raise DataError(f"the model has several grouping factors: say which with group=, one of {', '.join(names)}")
    if group is not None and group not in names:
        raise DataError(f"there is no grouping factor {group!r}; the model has {', '.join(map(repr, names))}")
    index = 0 if group is None else names.index(group)
    columns = [(name, int(k)) for own, at in terms_of(fit, index) for name, k in zip(own.names, at, strict=True)]
    if term is None and len(columns) > 1:
        raise DataError(
            f"'{names[index]}' has several random effects: say which with term=, one of "
            f"{', '.join(name for name, _ in columns)}"
        )
    found = [k for name, k in columns if term is None or name == term]
    if not found:
        raise DataError(
            f"'{names[index]}' has no random effect {term!r}; it has {', '.join(repr(name) for name, _ in columns)}"
        )
    return index, found[0]
