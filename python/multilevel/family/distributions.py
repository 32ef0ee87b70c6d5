"""The distribution of a response given its mean and the family's parameters on their natural scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy import stats

from .continuous_distributions import CONTINUOUS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike

    from .registry import Family

    Make = Callable[..., Any]


def _binomial(mu: Any, trials: Any) -> Any:
    return stats.binom(np.round(trials).astype(np.int64), mu)


def _poisson(mu: Any, _: Any) -> Any:
    return stats.poisson(mu)


def _gaussian(mu: Any, _: Any, sigma: Any) -> Any:
    return stats.norm(mu, sigma)


def _gamma(mu: Any, _: Any, shape: Any) -> Any:
    return stats.gamma(shape, scale=mu / shape)


def _negative_binomial(mu: Any, _: Any, size: Any) -> Any:
    return stats.poisson(mu) if np.all(np.isinf(size)) else stats.nbinom(size, 1.0 / (1.0 + mu / size))


DISTRIBUTIONS: dict[str, Make] = {  # (mu, trials, **parameters)
    "binomial": _binomial,
    "poisson": _poisson,
    "gaussian": _gaussian,
    "gamma": _gamma,
    "negative_binomial": _negative_binomial,
    **CONTINUOUS,
}


def distribution(family: Family, mu: ArrayLike, phi: Mapping[str, ArrayLike], trials: ArrayLike = 1.0) -> Any:
    """The distribution of a response of unit weight, as SciPy has it.

    Parameters
    ----------
    family : Family
    mu : array_like
        Means; probabilities, of trials.
    phi : mapping of str to array_like
        The family's parameters by name, on their natural scale; at its limit one is infinite, or zero.
    trials : array_like
        What a response of a family of trials is out of.

    Returns
    -------
    A frozen distribution with logpmf or logpdf, cdf, ppf, rvs, mean and var. Counts out of trials are counts here.
    """
    own = {name: np.asarray(value, dtype=np.float64) for name, value in phi.items()}
    return cast("Any", DISTRIBUTIONS[family.name](np.asarray(mu, dtype=np.float64), trials, **own))
