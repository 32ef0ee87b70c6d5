"""Items and a latent trait: a model of responses to items whose random part is one trait of each person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import DataError
from ..fitting import covariance as structures
from ..formula.structures import factor_names, rank_of

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
        It is no model of items with one trait, ``y ~ 0 + item + rr(0 + item | person, d=1)``, cfa(...) with one factor
        or, with one discrimination for all, ``y ~ 0 + item + (1 | person)``.
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
    if not single and rank_of(terms[0].structure) != 1:
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
        discrimination is zero. Of several factors, the loading on each by its name, and easiness, each with its
        std_error; a loading that the model has at zero has a standard error of zero. Of ordered categories (the graded
        response model, Samejima 1969), discrimination and the difficulty of each threshold, "difficulty 1|2": the trait
        at which a category above it is as probable as not, of items that are told apart by ``nominal=`` or in the
        formula. Of adjacent categories (the generalized partial credit model, Muraki 1992) the categories 1 and 2 are
        equally probable there.
    """
    if len(fit.design.random_terms) == 1 and len(factor_names(fit.design.random_terms[0].structure)) > 1:
        return _factor_loadings(fit)
    if fit.design.thresholds is not None:
        return _graded(fit)
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


def _graded(fit: Fit) -> pd.DataFrame:
    """Discriminations and difficulties of items of ordered categories."""
    assert fit.design.thresholds is not None
    term, at, lines = _categories_of_items(fit)
    a, error = fit.psi[at], np.sqrt(np.diag(fit.covariance))
    columns = {"discrimination": a, "discrimination_std_error": error[at]}
    for k, name in enumerate(fit.design.thresholds.names):
        slopes = lines[:, k].copy()
        with np.errstate(divide="ignore", invalid="ignore"):
            difficulty = np.where(a != 0.0, slopes @ fit.psi / a, np.nan)
            slopes[np.arange(len(a)), at] -= difficulty
            slopes /= a[:, None]
            columns[f"difficulty {name}"] = difficulty
            columns[f"difficulty {name}_std_error"] = np.sqrt(np.sum(slopes @ fit.covariance * slopes, axis=1))
    return pd.DataFrame(columns, index=pd.Index(term.names, name="item"))


def _categories_of_items(fit: Fit) -> tuple[RandomTerm, NDArray[np.int64], NDArray[np.float64]]:
    """The term with the loadings, their places in psi, and thresholds less the fixed part as products with psi,
    (n_items, C - 1, n_parameters); columns that differ among the rows of an item are at zero.
    """
    thresholds, design = fit.design.thresholds, fit.design
    assert thresholds is not None
    term, first = _trait(fit)
    if len(term.names) == 1:
        raise _no_items("items of ordered categories need loadings of their own")
    rows = [np.flatnonzero(np.ones(fit.n_rows) if own is None else own) for own in term.columns]

    def of_items(values: NDArray[Any] | None) -> NDArray[np.float64]:
        if values is None:
            return np.ones(len(rows))
        own = [np.asarray(values[some], dtype=np.float64) for some in rows]
        same = all(np.ptp(some) == 0.0 for some in own)
        return np.array([some[0] for some in own]) if same else np.zeros(len(rows))

    lines = np.zeros((len(rows), len(thresholds.matrix), len(fit.psi)))
    place = {name: k for k, name in enumerate(fit.fixed_names)}
    for column in design.fixed:
        if column.name in place:
            lines[:, :, place[column.name]] -= of_items(column.values)[:, None]
    component, width = fit.component(design.parts[0].name), len(thresholds.coefficients)
    kept = [column for column in design.parts[0].fixed if column.name not in component.redundant]
    for k, column in enumerate(kept):
        at = component.first + k * width
        lines[:, :, at : at + width] += of_items(column.values)[:, None, None] * thresholds.matrix
    return term, first + np.arange(len(rows)), lines


def _category_curves(fit: Fit, at: NDArray[np.float64]) -> pd.DataFrame:
    """Item curves of ordered categories."""
    assert fit.design.thresholds is not None
    if fit.family.scaled:
        raise DataError("items have no curves with a scale that differs from row to row; leave scale= out")
    term, loadings, lines = _categories_of_items(fit)
    slope = np.repeat(fit.psi[loadings], len(at))
    eta = slope * np.tile(at, len(term.names))
    thresholds = np.repeat(lines @ fit.psi, len(at), axis=0)
    probabilities = fit.family.category_probabilities(eta, thresholds)
    # The information of the response is the mean square of the score, which the thresholds' own densities make.
    information = np.zeros(len(eta))
    for own, probability in zip(fit.family.category_derivatives(eta, thresholds), probabilities.T, strict=True):
        score = own["d1"]
        information += np.where(probability > 0.0, probability * score**2, 0.0)
    columns = {
        "item": np.repeat(term.names, len(at)),
        "ability": np.tile(at, len(term.names)),
        "mean": probabilities @ fit.scores,
        "information": slope**2 * information,
    }
    names = fit.design.thresholds.categories
    return pd.DataFrame(columns | {f"P({name})": own for name, own in zip(names, probabilities.T, strict=True)})


def _factor_loadings(fit: Fit) -> pd.DataFrame:
    """Loadings on each of several factors, and what items have in the fixed part."""
    term, first = fit.design.random_terms[0], len(fit.beta)
    names, errors = factor_names(term.structure), np.sqrt(np.diag(fit.covariance))
    loads = np.array([[own == "1" for own in word.rpartition("=")[2]] for word in term.structure.split()[1:]])
    columns: dict[str, NDArray[np.float64]] = {}
    for name, own in zip(names, loads, strict=True):
        here = slice(first, first + int(own.sum()))
        first = here.stop
        for label, values in ((name, fit.psi), (f"{name}_std_error", errors)):
            columns[label] = np.zeros(len(own))
            columns[label][own] = values[here]
    place = {name: k for k, name in enumerate(fit.fixed_names)}
    if all(name in place for name in term.names):
        at = [place[name] for name in term.names]
        columns |= {"easiness": fit.psi[at], "easiness_std_error": errors[at]}
    return pd.DataFrame(columns, index=pd.Index(term.names, name="item"))


def factor_correlations(fit: Fit) -> pd.DataFrame:
    """Correlations of the factors of a confirmatory model, with standard errors by the delta method.

    Returns
    -------
    DataFrame
        factor, factor2, estimate, std_error: a row for each pair, group as well where several terms have factors.

    Raises
    ------
    DataError
        No random-effects term has several factors.
    """
    rows, first = [], len(fit.beta)
    for term, theta in zip(fit.design.random_terms, fit.theta_values, strict=True):
        names, first = factor_names(term.structure), first + len(theta)
        if len(names) < 2:
            continue
        found, slopes = structures.factor_correlations(term.structure, theta, len(term.names))
        n_c = len(slopes)
        covariance = fit.covariance[first - n_c : first, first - n_c : first]
        group = fit.design.grouping_factors[term.grouping_factor].name
        for m in range(1, len(names)):
            for k in range(m):
                slope = slopes[:, m, k]
                error = np.sqrt(slope @ covariance @ slope)
                rows.append((group, names[k], names[m], found[m, k], error))
    if not rows:
        raise DataError(
            "factor_correlations: the model has no factors: write a term such as "
            "cfa(0 + item | person, math = i1 + i2 + i3, verbal = i4 + i5 + i6)"
        )
    table = pd.DataFrame(rows, columns=["group", "factor", "factor2", "estimate", "std_error"])
    return table if table["group"].nunique() > 1 else table.drop(columns="group")


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
        item, ability, mean, information: a row for each item and value. Of ordered categories the mean is of their
        numbers, and a column "P(1)" for each category has its probability.

    Raises
    ------
    DataError
        The density is one in Python, or its parameters differ from row to row: an item has no information of its own.
    """
    at = ABILITIES if ability is None else np.atleast_1d(np.asarray(ability, dtype=np.float64))
    if not np.isfinite(at).all() or at.ndim != 1:
        raise DataError("ability= holds numbers, in one dimension")
    if fit.design.thresholds is not None:
        return _category_curves(fit, at)
    items = items_of(fit)
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
