"""Deviance (likelihood-ratio) tests of nested fits."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..arguments import check_choice, understands
from ..columns.least_squares import dense, in_terms_of
from ..errors import DataError
from ..fitting.parameters import is_exact
from ..resampling.likelihood_ratio import bootstrap_test
from ..tables.printed import Comparison
from . import mixtures
from .information_criteria import information_criteria
from .variance_test import in_words, mixture_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..design.design import Design
    from ..design.random_terms import RandomTerm
    from ..fitting.record import Fit

COLUMNS = ["df", "aic", "bic", "loglik", "deviance", "chi2", "df_diff", "p_value", "note"]
IN_SPAN = 1e-10  # squared share of a column that may lie outside the larger model's columns
NOISE = 1e-6  # a larger model whose deviance is higher by no more than this is as good as the smaller one

# Structures that a structure becomes when its parameters are restricted, besides itself; reduced rank is apart.
RESTRICTS_TO = {
    "unstructured": {
        *("diagonal", "homogeneous diagonal", "compound symmetry", "homogeneous compound symmetry"),
        *("ar1", "heterogeneous ar1"),
    },
    "diagonal": {"homogeneous diagonal"},
    "compound symmetry": {"homogeneous compound symmetry", "diagonal", "homogeneous diagonal"},
    "homogeneous compound symmetry": {"homogeneous diagonal"},
    "heterogeneous ar1": {"ar1", "diagonal", "homogeneous diagonal"},
    "ar1": {"homogeneous diagonal"},
}
SEVERAL = 2  # or more: no simple mixture
RANK, FACTORS = "reduced rank ", "confirmatory "
# A standard deviation of its own for every column, so that a column can be left out by making it zero.
OWN_VARIANCES = ("unstructured", "diagonal", "compound symmetry")


@understands
def compare(
    *fits: Any, method: str = "chi-square", n: int = 1000, seed: int | None = None, threads: int | None = None
) -> pd.DataFrame:
    """Tests each model against the one before it, after sorting by the number of parameters.

    Parameters
    ----------
    *fits : Fit or results
        Two or more fits to the same response and rows.
    method : {"chi-square", "bootstrap"}
        Where p-values come from: the distribution that the statistic has in large samples, or its values for responses
        drawn from the smaller model, to which both are fitted again. The latter allows for few groups and for variances
        on the boundary.
    n, seed, threads : int
        Of the bootstrap: replicates, what makes them the same again, and fits made at a time.

    Returns
    -------
    DataFrame, index = formulas
        df (parameters), aic, bic, loglik, deviance, and for the test against the row before chi2, df_diff, p_value,
        note. A variance that is zero in the smaller model is at the boundary of the larger one. When there is one such
        variance, with or without covariances, the p-value is that of the mixture of chi-square distributions with
        df_diff - 1 and df_diff degrees of freedom in equal parts; when there are more, it is that of the mixture of
        `test_variance` where the smaller model is the larger one without some random effects (and fixed effects), else
        that of df_diff, which is conservative. `note` says so, and says where models are not nested and no test is
        made. It prints whole in 80 columns, with fewer digits than it holds.

    Raises
    ------
    DataError
        The fits are not comparable: other rows or responses, families, weights, methods, numbers of quadrature points;
        offsets whose difference the columns of the larger model do not hold; or REML fits with different fixed effects.

    References
    ----------
    Self & Liang (1987) J. Amer. Statist. Assoc. 82:605-610; Stram & Lee (1994) Biometrics 50:1171-1177; Halekoh &
    Hojsgaard (2014) J. Statist. Software 59(9) for the bootstrap.
    """
    check_choice("method", method, ("chi-square", "bootstrap"))
    records: list[Fit] = [getattr(item, "fit", item) for item in fits]
    if len(records) < 2:
        raise DataError(f"compare takes two or more fits; got {len(records)}")
    records.sort(key=lambda fit: fit.df_model)
    for fit in records:
        fit.need_likelihood("comparing fits")
    for one, other in combinations(records, 2):
        check_comparable(one, other)
    for small, large in pairwise(records):
        _check_offsets(small, large)
    rows: list[list[Any]] = []
    for k, fit in enumerate(records):
        criteria = information_criteria(fit)
        test = (np.nan, np.nan, np.nan, "") if k == 0 else _test(records[k - 1], fit)
        if method == "bootstrap" and np.isfinite(test[2]):
            test = (*test[:2], *_by_bootstrap(records[k - 1], fit, n, seed, threads))
        rows.append([fit.df_model, criteria["aic"], criteria["bic"], fit.loglik, -2.0 * fit.loglik, *test])
    index = pd.Index([str(fit.design.formula) for fit in records], dtype=object, name="model")
    return Comparison(rows, columns=COLUMNS, index=index)


def mixture_p_value(chi2: float, df: int, at_boundary: int) -> float:
    """Tail probability of chi-square with `df`; with one variance `at_boundary`, half of it of `df` - 1."""
    from scipy.special import chdtrc

    upper = float(chdtrc(df, chi2))
    if at_boundary != 1:
        return upper
    lower = float(chdtrc(df - 1, chi2)) if df > 1 else float(chi2 <= 0)
    return (lower + upper) / 2


# ---- what can be compared ----------------------------------------------------------------------------------------


def check_comparable(first: Fit, other: Fit, any_family: bool = False) -> None:
    """Refuses fits whose log-likelihoods are not of the same data, or, unless told otherwise, of several families.

    Raises
    ------
    DataError
    """
    a, b = first.design, other.design
    names = f"'{a.formula}' and '{b.formula}'"
    if a.n_rows != b.n_rows:
        raise DataError(
            f"the fits {names} use {a.n_rows} and {b.n_rows} rows ({a.n_missing} and {b.n_missing} left out for "
            "missing values): fit both to the rows that have every column of both"
        )
    if not np.array_equal(a.response.values, b.response.values) or not _same(a.response.size, b.response.size):
        raise DataError(f"the fits {names} have different responses: their likelihoods are of different data")
    if not _same(a.weights, b.weights):
        raise DataError(f"the fits {names} have different weights: their likelihoods cannot be compared")
    if not any_family and first.family.label != other.family.label:
        raise DataError(
            f"the fits {names} are {first.family.label} and {other.family.label}, neither a special case of the other: "
            "compare their AIC instead"
        )
    if first.method != other.method:
        raise DataError(
            f"the fits {names} are by method='{first.method}' and '{other.method}': refit them with method='ml'"
        )
    if first.method == "reml" and not _same_fixed(first, other):
        raise DataError(
            f"the REML fits {names} have different fixed effects, so their restricted likelihoods are of different "
            "data (the residuals of different regressions): refit both with method='ml'"
        )
    if _is_approximate(first) and _is_approximate(other) and first.n_quadrature != other.n_quadrature:
        raise DataError(
            f"the fits {names} approximate the likelihood with n_quadrature={first.n_quadrature} and "
            f"{other.n_quadrature} points: refit both with the same number"
        )


def _is_approximate(fit: Fit) -> bool:
    """Whether the log-likelihood is another one with other quadrature points."""
    return bool(fit.design.random_terms) and not is_exact(fit.design, fit.family)


def _check_offsets(small: Fit, large: Fit) -> None:
    """Offsets are part of the model: another one is a restriction when the larger model has columns for the difference,
    as ``y ~ x + lo`` has for ``y ~ x + offset(lo)``.
    """
    one, two = small.design.offset, large.design.offset
    if _same(one, two):
        return
    change = np.asarray((0.0 if one is None else one) - (0.0 if two is None else two), dtype=np.float64)
    if _in_span([change], large) or (small.df_model == large.df_model and _in_span([change], small)):
        return
    raise DataError(
        f"the fits '{small.design.formula}' and '{large.design.formula}' have different offsets, and the difference is "
        "no combination of the fixed effects of the larger model, so that neither is a special case of the other; "
        "give both the same offset, or the larger one the offset as a fixed effect"
    )


def _same(a: NDArray[np.float64] | None, b: NDArray[np.float64] | None) -> bool:
    return (a is None) == (b is None) and (a is None or b is None or np.array_equal(a, b))


def _same_fixed(a: Fit, b: Fit) -> bool:
    if set(a.fixed_names) != set(b.fixed_names):
        return False
    first, second = _columns(a), _columns(b)
    return all(_same(first[name], second[name]) for name in first)


def _columns(fit: Fit) -> dict[str, NDArray[np.float64] | None]:
    kept = set(fit.fixed_names)
    return {column.name: column.values for column in fit.design.fixed if column.name in kept}


# ---- the test of one pair ----------------------------------------------------------------------------------------


def _test(small: Fit, large: Fit) -> tuple[float, float, float, str]:
    df = large.df_model - small.df_model
    if df == 0:
        return np.nan, 0, np.nan, "as many parameters: no test"
    if not _fixed_nested(small, large):
        return np.nan, df, np.nan, "not nested: fixed effects of the model before are not in this one"
    added = _variances_added(small.design, large.design)
    if added is None:
        return np.nan, df, np.nan, "not nested: random effects of the model before are not in this one"
    chi2 = 2.0 * (large.loglik - small.loglik)
    if chi2 < -NOISE:
        return chi2, df, np.nan, "no test: this fit is below the model before, so it is not at its maximum"
    chi2 = max(chi2, 0.0)
    p_value, note = _at_boundary(small, large, chi2, df, added)
    if not (small.converged and large.converged):
        note = "; ".join(filter(None, [note, "a fit did not converge"]))
    return chi2, df, p_value, note


def _at_boundary(small: Fit, large: Fit, chi2: float, df: int, added: int) -> tuple[float, str]:
    """p-value and note, where `added` variances of the larger model are zero in the smaller."""
    if added < SEVERAL:
        note = f"a variance on the boundary: mixture of chi-squares with {df - 1} and {df} df" if added else ""
        return mixture_p_value(chi2, df, added), note
    gone = _without(small.design, large.design)
    if gone is not None:
        of_variances = sum(map(len, large.theta_values)) - sum(map(len, small.theta_values))
        parts = {large.design.random_terms[k].parameter for k in gone}
        found, kind = mixture_of(large.design, small, gone, of_variances, "mean" if parts == {""} else "another")
        # Fixed effects and covariances are independent: those that are tested, too, add their degrees of freedom.
        mixture = mixtures.shifted(found, df - of_variances)
        if kind == "mixture":
            return mixtures.tail(chi2, mixture), f"variances on the boundary: {in_words(mixture, kind, df)}"
        if kind == "bound":
            return mixtures.tail(chi2, mixture), "parameters on the boundary: the p-value is conservative"
    return mixture_p_value(chi2, df, added), "parameters on the boundary: the p-value is conservative"


def _without(small: Design, large: Design) -> dict[int, list[int]] | None:
    """Per term of the larger model, the columns that the smaller lacks; None where it has anything else, too."""
    left = list(small.random_terms)
    gone: dict[int, list[int]] = {}
    for k, candidate in enumerate(large.random_terms):
        kept: tuple[str, ...] = ()
        if left and _is_part_of(left[0], small, candidate, large):
            kept = left.pop(0).names
        if len(kept) < len(candidate.names):
            gone[k] = [j for j, name in enumerate(candidate.names) if name not in kept]
    return None if left else gone


def _is_part_of(term: RandomTerm, small: Design, candidate: RandomTerm, large: Design) -> bool:
    """Whether a term is another one, or that without some columns that have variances of their own."""
    groups = (small.grouping_factors[term.grouping_factor], large.grouping_factors[candidate.grouping_factor])
    if groups[0].name != groups[1].name or term.parameter != candidate.parameter:
        return False
    if term.names == candidate.names:
        return term.structure == candidate.structure
    one = len(term.names) == 1 or term.structure == candidate.structure
    return one and candidate.structure in OWN_VARIANCES and set(term.names) <= set(candidate.names)


def _by_bootstrap(small: Fit, large: Fit, n: int, seed: int | None, threads: int | None) -> tuple[float, str]:
    """p-value and note."""
    found = bootstrap_test(small, large, n, seed, threads)
    note = f"parametric bootstrap, {found.n_used} replicates, seed {found.seed}"
    return found.p_value, note + (f"; {found.n_failed} more failed" if found.n_failed else "")


def _fixed_nested(small: Fit, large: Fit) -> bool:
    """Whether the columns of the smaller model are linear combinations of those of the larger."""
    own, others = _columns(small), _columns(large)
    new = [own[name] for name in own if name not in others or not _same(own[name], others[name])]
    return not new or _in_span(new, large)


def _in_span(targets: list[NDArray[np.float64] | None], fit: Fit) -> bool:
    """Whether these columns are linear combinations of those of the fit."""
    n, columns = fit.n_rows, list(_columns(fit).values())
    if not columns:
        return all(target is not None and not target.any() for target in targets)
    _, left = in_terms_of(lambda rows: dense(columns, rows, n), lambda rows: dense(targets, rows, n), n)
    return bool((left < IN_SPAN).all())


def _variances_added(small: Design, large: Design) -> int | None:
    """How many variances are zero in the smaller model, `SEVERAL` where it is more than variances that are restricted;
    None unless its random part is a special case of the larger.
    """
    covered: dict[int, int] = {}
    added = 0
    for term in small.random_terms:
        group = small.grouping_factors[term.grouping_factor].name
        for k, candidate in enumerate(large.random_terms):
            if large.grouping_factors[candidate.grouping_factor].name != group:
                continue
            if _has_equal_loadings(term, candidate, large.n_rows):
                covered[k] = 1
                break
            if not set(term.names) <= set(candidate.names):
                continue
            fewer = len(term.names) < len(candidate.names)
            if _restricts(candidate.structure, term.structure, len(term.names)) and (
                not fewer or candidate.structure in OWN_VARIANCES
            ):
                covered[k] = covered.get(k, 0) + len(term.names)
                if term.structure.startswith(RANK) and term.structure != candidate.structure:
                    added += SEVERAL  # a singular covariance is itself on the boundary
                break
        else:
            return None
    for k, candidate in enumerate(large.random_terms):
        there = covered.get(k, 0)
        if candidate.structure in OWN_VARIANCES:
            added += len(candidate.names) - there
        elif there == 0:
            added += 1 if candidate.structure == "homogeneous diagonal" or len(candidate.names) == 1 else SEVERAL
    return added


def _has_equal_loadings(term: RandomTerm, candidate: RandomTerm, n: int) -> bool:
    """Whether one random effect is a trait on which all columns of the candidate load with given weights, as those of
    items do alike in the Rasch model; no loading is at an edge then.
    """
    one_trait = candidate.structure == f"{RANK}1" or (
        candidate.structure.startswith(FACTORS)
        and candidate.structure.count("=") == 1
        and candidate.structure.endswith("=" + "1" * len(candidate.names))
    )
    if not one_trait or len(term.names) != 1 or term.parameter != candidate.parameter:
        return False
    one, several = list(term.columns), list(candidate.columns)
    _, left = in_terms_of(lambda rows: dense(several, rows, n), lambda rows: dense(one, rows, n), n)
    return bool((left < IN_SPAN).all())


def _restricts(general: str, special: str, q: int) -> bool:
    if general == special or special in RESTRICTS_TO.get(general, ()):
        return True
    if q == 1:  # one variance, whatever it is called
        return general in OWN_VARIANCES
    if special.startswith(RANK):
        return general == "unstructured" or (
            general.startswith(RANK) and int(special.removeprefix(RANK)) <= int(general.removeprefix(RANK))
        )
    return False
