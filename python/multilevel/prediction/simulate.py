"""Responses drawn from a model: new random effects, or those of the fit, and then the family.

Replicate k of a seed is a stream of its own of the counter-based generator Philox, whose key is the seed and k: it is
the same whatever the number of replicates, and whichever of them are drawn together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..arguments import check_choice, whole_number
from ..errors import ConvergenceWarning, DataError, warn_caller
from ..family.draws import check_weights, draw, draw_alternatives, draw_categories
from .predict import row_index

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..design.design import Design
    from ..family.registry import Family
    from ..fitting.record import Fit

    Array = NDArray[np.float64]

WHOLE = ("counts", "positive counts", "trials", "categories", "choices")
MOST_NUMBERS = 4_000_000  # rows times replicates that are drawn together
LARGEST_SEED = 2**63


@dataclass(frozen=True, eq=False)
class Law:
    """What responses are drawn from.

    Attributes
    ----------
    design, family
        Rows, columns of random effects, trials and weights; and the density.
    eta : ndarray, (n,), or (n, K)
        Linear predictor without the random effects that are drawn, offset included; of categories without an order
        those of all of them.
    phi : ndarray, (n_phi,) or (n, n_phi)
        The family's parameters as a fit moves them, without the random effects that are drawn; of ordered categories
        the thresholds between them, (n, C - 1).
    factors : tuple of ndarray, (q, q)
        Per random-effects term a factor L of its covariance L L'; empty where no random effects are drawn.
    """

    design: Design
    family: Family
    eta: Array
    phi: Array
    factors: tuple[Array, ...]


def law(fit: Fit, random: str = "new") -> Law:
    """The law that a fit has found.

    Raises
    ------
    DataError
        An estimate is not finite, or the rows have prior weights that no distribution of one response has.
    """
    check_choice("random", random, ("new", "conditional"))
    fit.need_likelihood("drawing from a fit")
    if not (np.isfinite(fit.psi).all() and all(np.isfinite(own).all() for own in fit.modes)):
        raise DataError(f"nothing can be drawn from a fit without estimates: {fit.message}")
    check_weights(fit.family, fit.design.weights)
    warn_not_converged(fit)
    if random == "conditional":
        return Law(fit.design, fit.family, fit.eta, _phi(fit, fit.modes), ())
    none = tuple(np.zeros_like(own) for own in fit.modes)
    return Law(fit.design, fit.family, fit.linear_predictor(none), _phi(fit, none), fit.theta)


def _phi(fit: Fit, modes: tuple[Array, ...]) -> Array:
    if fit.design.choices is not None:
        return np.empty(0)
    if fit.design.thresholds is None:
        return fit.phi_at(modes)
    return fit.thresholds if fit.log_scale is None else np.column_stack([fit.thresholds, fit.log_scale])


def warn_not_converged(fit: Fit) -> None:
    """Says that what follows rests on estimates that are no maximum."""
    if not fit.converged:
        warn_caller(
            f"the fit did not converge, and what is drawn from it rests on where it stopped: {fit.message}",
            ConvergenceWarning,
        )


def generator(seed: int, replicate: int) -> np.random.Generator:
    """The stream of one replicate."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, replicate], dtype=np.uint64)))


def checked_seed(seed: int | None) -> int:
    """The seed, or one from the operating system."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] % LARGEST_SEED)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < LARGEST_SEED:
        raise DataError(f"seed is {seed!r}; it is a whole number from 0 to 2**63 - 1")
    return int(seed)


def block_size(n_rows: int) -> int:
    """How many replicates are drawn together."""
    return max(1, MOST_NUMBERS // max(n_rows, 1))


def responses(own: Law, seed: int, first: int, last: int) -> Array:
    """Responses of the replicates [first, last), (n, last - first), columns one after the other in memory."""
    design, n = own.design, len(own.eta)
    streams = [generator(seed, k) for k in range(first, last)]
    eta = np.repeat(own.eta[None], last - first, axis=0)  # a row for each replicate
    choices = design.choices
    phi: Array | None = None
    names = [parameter.name for parameter in own.family.parameters]
    for term, half in zip(design.random_terms, own.factors, strict=False):
        factor = design.grouping_factors[term.grouping_factor]
        shape = (len(factor.levels), len(term.names))
        effects = np.stack([stream.standard_normal(shape) for stream in streams]) @ half.T
        to = eta
        if term.parameter:
            if phi is None:
                rows = np.broadcast_to(own.phi, (n, len(names)))
                phi = np.repeat(rows[None], last - first, axis=0)
            to = phi[:, :, names.index(term.parameter)]
        for k, values in enumerate(term.columns):
            effect = effects[:, factor.codes, k]
            here = to[:, :, choices.owner(k, shape[1])] if choices is not None and choices.by_category else to
            here += effect if values is None else effect * values
    y = np.empty((last - first, n))
    for k, stream in enumerate(streams):
        if choices is not None:
            sets = choices.sets
            y[k] = (
                draw_categories(stream, choices.probabilities(eta[k]))
                if sets is None
                else draw_alternatives(stream, eta[k], sets)
            )
            continue
        here = own.phi if phi is None else phi[k]
        y[k] = draw(own.family, eta[k], here, stream, design.response.size, design.weights)
    return design.response.seen(y.T)


def frame(own: Law, n: int, seed: int | None) -> pd.DataFrame:
    """A column for each replicate, (n_rows, n), labelled as the rows used."""
    count = whole_number(n, "n")
    if count < 1:
        raise DataError("n is 0; give the number of replicates")
    key, size = checked_seed(seed), block_size(own.eta.size)
    blocks = [responses(own, key, k, min(k + size, count)) for k in range(0, count, size)]
    values = np.concatenate(blocks, axis=1)
    if own.family.support in WHOLE:
        values = values.astype(np.int64)
    return pd.DataFrame(values, index=row_index(own.design), columns=pd.RangeIndex(count, name="replicate"))


def simulate(fit: Fit, n: int = 1, seed: int | None = None, random: str = "new") -> pd.DataFrame:
    """Responses drawn from a fit, see `results.simulate`."""
    return frame(law(fit, random), n, seed)
