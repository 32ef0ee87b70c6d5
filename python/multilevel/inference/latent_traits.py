"""Items and a latent trait: a model of responses to items whose random part is one trait of each person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..design.random_terms import RandomTerm
    from ..fitting.record import Fit

ABILITIES = np.linspace(-4.0, 4.0, 81)  # standard deviations of the trait, where curves are drawn without asking


@dataclass(frozen=True)
class Items:
    """Where the numbers of the items stand among the parameters.

    Attributes
    ----------
    names : tuple of str
    easiness, discrimination : ndarray of int, (n_items,)
        Positions in psi. Of a Rasch model all items share the second.
    """

    names: tuple[str, ...]
    easiness: NDArray[np.int64]
    discrimination: NDArray[np.int64]


def items_of(fit: Fit) -> Items:
    """The items of a fit.

    Raises
    ------
    DataError
        It is no model of items with one trait, ``y ~ 0 + item + rr(0 + item | person, d=1)`` or, with one
        discrimination for all, ``y ~ 0 + item + (1 | person)``.
    """
    fit.need_one_family("items", "theta has the loadings of the kinds")
    term, first = _trait(fit)
    shared = len(term.names) == 1
    names = _intercepts(fit) if shared else term.names
    place = {name: k for k, name in enumerate(fit.fixed_names)}
    missing = [name for name in names if name not in place]
    if missing:
        raise _no_items(f"'{missing[0]}' has a loading and no coefficient of its own in the fixed part")
    loadings = np.full(len(names), first) if shared else first + np.arange(len(names))
    return Items(tuple(names), np.array([place[name] for name in names]), loadings)


def _trait(fit: Fit) -> tuple[RandomTerm, int]:
    """The one random-effects term, which has one dimension, and where its theta begins."""
    terms = fit.design.random_terms
    if len(terms) != 1 or terms[0].parameter:
        raise _no_items(f"this model has {len(terms)} random-effects terms")
    single = terms[0].names == ("(Intercept)",)
    if not single and terms[0].structure != "reduced rank 1":
        raise _no_items(f"the random effects have covariance structure {terms[0].structure}")
    return terms[0], len(fit.beta)


def _intercepts(fit: Fit) -> tuple[str, ...]:
    """Columns of a categorical variable that has one for each of its levels."""
    for term in fit.design.fixed_terms:
        columns = [fit.design.fixed[k] for k in term.columns]
        if len(term.parts) != 1 or not term.factors or any(own.values is None for own in columns):
            continue
        if np.all(np.sum([np.asarray(own.values, dtype=np.float64) for own in columns], axis=0) == 1.0):
            return tuple(own.name for own in columns)
    raise _no_items("no categorical variable of the fixed part has a column for each of its levels")


def _no_items(reason: str) -> DataError:
    return DataError(
        "items and their trait need a model such as y ~ 0 + item + rr(0 + item | person, d=1), or (1 | person) with "
        f"one discrimination for all: {reason}"
    )


def item_parameters(fit: Fit) -> pd.DataFrame:
    """Discrimination, difficulty and easiness of each item, with standard errors by the delta method.

    The linear predictor of an item is easiness + discrimination * trait, the trait with mean 0 and variance 1, or
    discrimination * (trait - difficulty) (Birnbaum 1968). Other columns of the fixed part are added to it.

    Returns
    -------
    DataFrame
        Index item; discrimination, difficulty, easiness, each with its std_error. A difficulty is NaN where the
        discrimination is zero.
    """
    items = items_of(fit)
    d, a = fit.psi[items.easiness], fit.psi[items.discrimination]
    variance_d, variance_a = (np.diag(fit.covariance)[at] for at in (items.easiness, items.discrimination))
    both = fit.covariance[items.easiness, items.discrimination]
    with np.errstate(divide="ignore", invalid="ignore"):
        difficulty = np.where(a != 0.0, -d / a, np.nan)
        variance_b = (variance_d + 2.0 * difficulty * both + difficulty**2 * variance_a) / a**2
        columns = {
            "discrimination": a,
            "discrimination_std_error": np.sqrt(variance_a),
            "difficulty": difficulty,
            "difficulty_std_error": np.sqrt(variance_b),
            "easiness": d,
            "easiness_std_error": np.sqrt(variance_d),
        }
    return pd.DataFrame(columns, index=pd.Index(items.names, name="item"))


def item_curves(fit: Fit, ability: ArrayLike | None = None) -> pd.DataFrame:
    """Expected response and information of each item along the trait.

    The information is a^2 I(eta), with a the discrimination and I the expected information that one response has of its
    linear predictor: a^2 P (1 - P) in a logistic model. The root of one over its sum over the items, plus one of the
    prior, is the standard deviation that a trait keeps. Other columns of the fixed part are at zero.

    Parameters
    ----------
    ability : array_like, optional
        Values of the trait in standard deviations; from -4 to 4 without it.

    Returns
    -------
    DataFrame
        item, ability, mean, information: a row for each item and value.

    Raises
    ------
    DataError
        The density is one in Python, or its parameters differ from row to row: an item has no information of its own.
    """
    items = items_of(fit)
    at = ABILITIES if ability is None else np.atleast_1d(np.asarray(ability, dtype=np.float64))
    if not np.isfinite(at).all() or at.ndim != 1:
        raise DataError("ability= holds numbers, in one dimension")
    phi = fit.row_phi
    if fit.family.in_python or phi.ndim > 1:
        what = "has a density in Python" if fit.family.in_python else "has parameters that differ from row to row"
        raise DataError(
            f"item_curves: the family {fit.family.name!r} {what}, and its expected information is not known"
        )
    easiness, slope = fit.psi[items.easiness], fit.psi[items.discrimination]
    eta = (easiness[:, None] + slope[:, None] * at).ravel()
    one = np.ones_like(eta)
    response = np.full_like(eta, fit.design.response.values[0])
    known = fit.family._core.derivatives(eta, response, one, one, phi)["expected_information"]
    return pd.DataFrame(
        {
            "item": np.repeat(items.names, len(at)),
            "ability": np.tile(at, len(items.names)),
            "mean": fit.family.response_mean(eta, phi, one),
            "information": np.repeat(slope**2, len(at)) * known,
        }
    )
