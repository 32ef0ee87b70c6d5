"""Random responses of every family, with what modifies it: zero parts and truncation.

NumPy's generators are called directly, because a simulation draws a vector for each of thousands of replicates, and the
frozen distributions of SciPy take longer to make than to draw from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from ..errors import DataError
from .distributions import distribution
from .registry import Family

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Draw = Callable[..., Array]

MOST_COUNT = 1e15  # beyond it neighbouring counts are no longer told apart for long
ROUNDS = 40  # of drawing again what is truncated, before the distribution is inverted
INVERTED = ("generalized_poisson", "conway_maxwell_poisson")  # whose draws are inversions themselves
TINY = np.finfo(np.float64).tiny
BELOW_ONE = np.nextafter(1.0, 0.0)


def draw(
    family: Family,
    eta: Array,
    phi: Array,
    rng: np.random.Generator,
    trials: Array | None = None,
    weights: Array | None = None,
) -> Array:
    """One response for each row.

    Parameters
    ----------
    family : Family
        Its zero part and its truncation are drawn with it. Of a family that knows responses in part, the responses
        themselves.
    eta : ndarray, (n,)
        Linear predictors.
    phi : ndarray, (n_phi,) or (n, n_phi)
        The family's parameters as a fit moves them; of ordered categories the thresholds between them, (n, C - 1),
        and the logarithm of a scale after them.
    rng : numpy.random.Generator
    trials : ndarray, (n,), optional
    weights : ndarray, (n,), optional
        Precisions, of the Gaussian family alone; see `check_weights`.

    Returns
    -------
    ndarray of float64, (n,)
        Successes out of trials; numbers of ordered categories, from 1.

    Raises
    ------
    DataError
        A mean lies outside what the family can have, as links such as the identity allow; or nothing is drawn from the
        family, as from one of the user's own.
    """
    if family.kinds:
        y = np.empty(eta.shape)
        for _, member, rows, parameters in family.split(phi):
            some = None if trials is None else trials[rows]
            y[rows] = draw(member, eta[rows], parameters, rng, some, None if weights is None else weights[rows])
        return y
    if family.support == "categories":
        scale = phi[:, -1] if family.scaled else None
        return draw_categories(rng, family.category_probabilities(eta, phi[:, :-1] if family.scaled else phi, scale))
    name = family.name.removeprefix("truncated_")
    if name not in DRAWS:
        raise DataError(
            f"responses of the {name!r} family cannot be drawn: it has no mean that a distribution could have"
        )
    base = family if name == family.name else Family(name, family.link)
    natural = {
        own.name: own.naturals(np.asarray(phi)[..., at])
        for at, own in enumerate(family.parameters)
        if own.part != "zero" or not family.zero
    }
    mu = base.mean(eta)
    _check_means(family, mu)
    size = np.ones_like(mu) if trials is None else trials
    if weights is not None:
        natural["sigma"] = natural["sigma"] / np.sqrt(weights)

    def own(rows: Any = slice(None)) -> Array:
        some = {key: value if value.ndim == 0 else value[rows] for key, value in natural.items()}
        return _inside(base, DRAWS[name](rng, mu[rows], size[rows], **some))

    if name == family.name and not family.zero:
        return own()
    positive = (name != family.name or family.zero == "hurdle") and base.has_own_zeros
    y = _without_zeros(base, mu, size, natural, own, rng) if positive else own()
    if family.zero:
        logit = np.asarray(phi)[..., len(family.parameters) - 1]
        y = np.where(rng.uniform(size=mu.shape) < special.expit(logit), 0.0, y)
    return y


def draw_categories(rng: np.random.Generator, probabilities: Array) -> Array:
    """Numbers of categories, from 1: how many of the cumulative probabilities a uniform variable is above, and one."""
    below = np.cumsum(probabilities[:, :-1], axis=1)
    return 1.0 + (rng.uniform(size=(len(below), 1)) > below).sum(axis=1)


def draw_alternatives(rng: np.random.Generator, eta: Array, sets: NDArray[np.int32]) -> Array:
    """Which alternative of each set is the one: that whose predictor is the largest after each was given a variable of
    the standard Gumbel distribution.
    """
    value = eta + rng.gumbel(size=eta.shape)
    largest = np.full(int(sets.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(largest, sets, value)
    return np.asarray(value == largest[sets], dtype=np.float64)


def check_weights(family: Family, weights: Array | None) -> None:
    """Refuses prior weights that say how often a row counts, and not how its response is distributed."""
    if weights is None or family.name == "gaussian" or np.all(weights == 1.0):
        return
    raise DataError(
        f"responses of the {family.name} family cannot be drawn with prior weights: they multiply the row's log "
        "density, as if the same response had been seen so many times, which no distribution of one response does. "
        "Write each row as many times as its weight says, or leave the weights out"
    )


def _check_means(family: Family, mu: Array) -> None:
    least, most = 0.0, MOST_COUNT
    if family.support == "numbers":
        least, most = -np.inf, np.inf
    elif family.support in ("trials", "open unit", "closed unit"):
        most = 1.0
    elif family.support in ("positive", "nonnegative"):
        most = np.inf
    bad = ~((mu >= least) & (mu <= most) & np.isfinite(mu))
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"the mean of row {row} is {mu[row]:.4g} at the random effects drawn, which the {family.name} family "
            f"cannot have: the {family.link} link does not keep means inside; simulate a model with another "
            "link, or smaller variances"
        )


def _inside(base: Family, y: Array) -> Array:
    """Draws that rounding put on the edge of the support are next to it."""
    if base.support == "open unit":
        return np.clip(y, TINY, BELOW_ONE)
    return np.maximum(y, TINY) if base.support == "positive" else y


def _without_zeros(
    base: Family,
    mu: Array,
    size: Array,
    natural: dict[str, Array],
    own: Callable[..., Array],
    rng: np.random.Generator,
) -> Array:
    """Draws of the family given that they are not zero: again and again, and by inversion what is left then."""
    inverted = base.name in INVERTED
    y = np.zeros(mu.shape) if inverted else own()
    for _ in range(0 if inverted else ROUNDS):
        rows = np.flatnonzero(y == 0)
        if not rows.size:
            return y
        y[rows] = own(rows)
    rows = np.flatnonzero(y == 0)
    if rows.size:
        some = {key: value if value.ndim == 0 else value[rows] for key, value in natural.items()}
        of_rows = distribution(base, mu[rows], some, size[rows])
        zero = of_rows.cdf(np.zeros(rows.size))
        y[rows] = np.maximum(of_rows.ppf(zero + (1.0 - zero) * rng.uniform(size=rows.size)), 1.0)
    return y


# ---- the families: rng, means, trials, parameters on their natural scale ------------------------------------------


def _binomial(rng: np.random.Generator, mu: Array, trials: Array) -> Array:
    return rng.binomial(np.round(trials).astype(np.int64), mu).astype(np.float64)


def _poisson(rng: np.random.Generator, mu: Array, _trials: Array) -> Array:
    return rng.poisson(mu).astype(np.float64)


def _mixed_poisson(rng: np.random.Generator, mu: Array, shape: Array) -> Array:
    """Poisson with a Gamma mean; an infinite shape is the mean itself."""
    spread = np.broadcast_to(np.isfinite(shape), mu.shape)
    finite = np.where(spread, shape, 1.0)
    return rng.poisson(np.where(spread, rng.gamma(finite, mu / finite), mu)).astype(np.float64)


def _negative_binomial(rng: np.random.Generator, mu: Array, _trials: Array, size: Array) -> Array:
    return _mixed_poisson(rng, mu, size)


def _negative_binomial_1(rng: np.random.Generator, mu: Array, _trials: Array, dispersion: Array) -> Array:
    with np.errstate(divide="ignore"):
        return _mixed_poisson(rng, mu, np.where(mu > 0, mu, 1.0) / dispersion)


def _geometric(rng: np.random.Generator, mu: Array, _trials: Array) -> Array:
    return rng.poisson(rng.exponential(mu)).astype(np.float64)


def _gaussian(rng: np.random.Generator, mu: Array, _trials: Array, sigma: Array) -> Array:
    return mu + sigma * rng.standard_normal(mu.shape)


def _gamma(rng: np.random.Generator, mu: Array, _trials: Array, shape: Array) -> Array:
    return rng.gamma(shape, mu / shape, size=mu.shape)


def _exponential(rng: np.random.Generator, mu: Array, _trials: Array) -> Array:
    return rng.exponential(mu)


def _weibull(rng: np.random.Generator, mu: Array, _trials: Array, shape: Array) -> Array:
    return mu * np.exp(-special.gammaln(1.0 + 1.0 / shape)) * rng.weibull(shape, size=mu.shape)


def _lognormal(rng: np.random.Generator, mu: Array, _trials: Array, sigma: Array) -> Array:
    return mu * np.exp(sigma * rng.standard_normal(mu.shape) - 0.5 * sigma**2)


def _inverse_gaussian(rng: np.random.Generator, mu: Array, _trials: Array, dispersion: Array) -> Array:
    return rng.wald(np.maximum(mu, TINY), 1.0 / dispersion, size=mu.shape)


def _student_t(rng: np.random.Generator, mu: Array, _trials: Array, sigma: Array, df: Array) -> Array:
    spread = np.broadcast_to(np.isfinite(df), mu.shape)
    normal = rng.standard_normal(mu.shape)
    own = np.where(spread, df, 1.0)
    return mu + sigma * np.where(spread, normal / np.sqrt(rng.chisquare(own, size=mu.shape) / own), normal)


def _skew_normal(rng: np.random.Generator, mu: Array, _trials: Array, sigma: Array, alpha: Array) -> Array:
    with np.errstate(invalid="ignore"):
        delta = np.where(np.isinf(alpha), np.sign(alpha), alpha / np.sqrt(1.0 + alpha**2))
    mean = np.sqrt(2.0 / np.pi) * delta
    half, other = np.abs(rng.standard_normal(mu.shape)), rng.standard_normal(mu.shape)
    standard = delta * half + np.sqrt(1.0 - delta**2) * other
    return mu + sigma / np.sqrt(1.0 - mean**2) * (standard - mean)


def _beta(rng: np.random.Generator, mu: Array, _trials: Array, precision: Array) -> Array:
    first, second = np.maximum(mu * precision, TINY), np.maximum((1.0 - mu) * precision, TINY)
    return rng.beta(first, second)


def _beta_binomial(rng: np.random.Generator, mu: Array, trials: Array, precision: Array) -> Array:
    spread = np.broadcast_to(np.isfinite(precision), mu.shape)
    own = _beta(rng, mu, trials, np.where(spread, precision, 1.0))
    return _binomial(rng, np.where(spread, own, mu), trials)


def _ordered_beta(
    rng: np.random.Generator, mu: Array, trials: Array, precision: Array, lower_cut: Array, cut_distance: Array
) -> Array:
    eta = special.logit(mu)
    zero, one = special.expit(lower_cut - eta), special.expit(eta - lower_cut - cut_distance)
    where, between = rng.uniform(size=mu.shape), _beta(rng, mu, trials, precision)
    return np.select([where < zero, where >= 1.0 - one], [0.0, 1.0], np.clip(between, TINY, BELOW_ONE))


def _tweedie(rng: np.random.Generator, mu: Array, trials: Array, dispersion: Array, power: Array) -> Array:
    """A Poisson number of Gamma variables; at the ends of the power that number itself, or one of them."""
    between = np.broadcast_to((power > 1.0) & (power < 2.0), mu.shape)
    own = np.where(between, power, 1.5)
    counts = rng.poisson(mu ** (2.0 - own) / (dispersion * (2.0 - own)))
    scale = dispersion * (own - 1.0) * mu ** (own - 1.0)
    several = np.where(counts > 0, rng.gamma(np.maximum(counts, 1) * (2.0 - own) / (own - 1.0), scale), 0.0)
    if between.all():
        return several
    end = np.where(power >= 2.0, _gamma(rng, mu, trials, 1.0 / dispersion), dispersion * rng.poisson(mu / dispersion))
    return np.where(between, several, end)


def _by_distribution(name: str) -> Draw:
    family = Family(name)

    def own(rng: np.random.Generator, mu: Array, trials: Array, **natural: Array) -> Array:
        if not mu.size:
            return np.zeros(0)
        drawn = distribution(family, mu, natural, trials).rvs(size=mu.shape, random_state=rng)
        return np.asarray(drawn, dtype=np.float64)

    return own


DRAWS: dict[str, Draw] = {
    "binomial": _binomial,
    "poisson": _poisson,
    "gaussian": _gaussian,
    "gamma": _gamma,
    "negative_binomial": _negative_binomial,
    "negative_binomial_1": _negative_binomial_1,
    "geometric": _geometric,
    "generalized_poisson": _by_distribution("generalized_poisson"),
    "conway_maxwell_poisson": _by_distribution("conway_maxwell_poisson"),
    "beta": _beta,
    "beta_binomial": _beta_binomial,
    "ordered_beta": _ordered_beta,
    "lognormal": _lognormal,
    "inverse_gaussian": _inverse_gaussian,
    "exponential": _exponential,
    "weibull": _weibull,
    "student_t": _student_t,
    "skew_normal": _skew_normal,
    "tweedie": _tweedie,
}
