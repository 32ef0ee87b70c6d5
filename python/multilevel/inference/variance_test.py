"""Likelihood ratio tests of variances: the model against the one without some random effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import DataError
from ..fitting.refit import refit, without_random_effects
from ..tables.page import OnPage, Page, Paragraph, format_p
from . import mixtures
from .restricted import restricted_loglik
from .variance_information import Direction, efficient_information

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..design.design import Design
    from ..design.random_terms import RandomTerm
    from ..fitting.record import Fit

NOISE = 1e-6  # a smaller model whose deviance is lower by no more than this is as good as the larger one
# A standard deviation of its own for every column, so that a column can be left out by making it zero.
OWN_VARIANCES = ("unstructured", "diagonal", "compound symmetry")
INTERCEPT = "(Intercept)"


@dataclass(frozen=True, eq=False, repr=False)
class VarianceTest(OnPage):
    """A likelihood ratio test of variances; prints as a page.

    Attributes
    ----------
    effects : tuple of str
        What is tested, "g: x" for each random effect.
    chi2 : float
        Twice the difference of the log-likelihoods (restricted ones after REML).
    df : int
        Parameters of the model that the smaller one does not have.
    p_value : float
        Of `mixture`.
    mixture : dict of int to float
        Degrees of freedom, and the share of each chi-square distribution.
    kind : {"mixture", "bound", "approximate"}
        The mixture is that of the hypothesis; or one whose p-value is at least as large, where it is not known; or
        chi-square with `df` degrees of freedom, because the hypothesis leaves a correlation undefined.
    loglik, loglik_without : float
    note : str
        How the p-value was made, and whether a fit did not converge.
    """

    effects: tuple[str, ...]
    chi2: float
    df: int
    p_value: float
    mixture: dict[int, float]
    kind: str
    loglik: float
    loglik_without: float
    note: str

    @property
    def page(self) -> Page:
        """The test as text or HTML."""
        lines = (
            f"without {', '.join(self.effects)}",
            f"chi-square = {self.chi2:.4f}, p = {format_p([self.p_value])[0]}",
            f"log-likelihood {self.loglik:.4f}, without {self.loglik_without:.4f}; {self.note}",
        )
        return Page((Paragraph(lines, title="Variances, by likelihood ratio:"),))


def variance_test(fit: Fit, group: str | Sequence[str], *effects: str, part: str = "mean") -> VarianceTest:
    """Tests whether variances of random effects are zero.

    Parameters
    ----------
    fit : Fit
    group : str or list of str
        A grouping factor, or several, all of whose random effects are tested at once.
    *effects : str
        Random effects of the one grouping factor that are tested; all of them without any. What is tested with a
        variance are its covariances with others.
    part : str
        The part of the model that has the random effects: "mean", "dispersion", "zero".

    Returns
    -------
    VarianceTest
        A variance of zero is at the boundary. The likelihood ratio of one variance and k covariances is in equal parts
        chi-square with k and k + 1 degrees of freedom. For two or three independent variances, and for all of a
        covariance matrix of two effects, the shares come from the expected information of the working linear mixed
        model without them. For more the p-value is the largest that any shares could give.

    Raises
    ------
    DataError
        The model has no such grouping factor or effect; an intercept is tested whose slopes stay; a structure shares
        one standard deviation or one correlation among its effects, and only some are tested; the fit has no maximum.

    References
    ----------
    Self & Liang (1987) J. Amer. Statist. Assoc. 82:605-610; Stram & Lee (1994) Biometrics 50:1171-1177; Shapiro (1988)
    Int. Statist. Rev. 56:49-62; Kodde & Palm (1986) Econometrica 54:1243-1248.
    """
    fit.need_likelihood("a likelihood ratio test")
    if not np.isfinite(fit.loglik):
        raise DataError(f"the fit has no finite log-likelihood to compare ({fit.message or fit.status})")
    gone = chosen(fit, group, effects, part)
    design = without_random_effects(fit.design, gone)
    small = refit(fit, design, "ml" if not design.random_terms else None)
    loglik = small.loglik
    if fit.method == "reml" and not design.random_terms:
        loglik = restricted_loglik(small)
    df = fit.df_model - small.df_model
    chi2 = 2.0 * (fit.loglik - loglik)
    names = tuple(f"{_group(fit, k)}: {fit.design.random_terms[k].names[j]}" for k, own in gone.items() for j in own)
    if not chi2 > -NOISE * max(1.0, abs(loglik)):
        raise DataError(
            f"the fit without {', '.join(names)} has the higher log-likelihood ({loglik:.6f} against "
            f"{fit.loglik:.6f}), so that this fit is not at its maximum; fit it again with start= or more iterations"
        )
    chi2 = max(chi2, 0.0)
    mixture, kind = mixture_of(fit.design, small, gone, df, part)
    note = in_words(mixture, kind, df)
    for own in (fit, small):
        if not own.converged:
            note += f"; the fit '{own.design.formula}' did not converge" if own is fit else "; the smaller fit did not"
    return VarianceTest(names, chi2, df, mixtures.tail(chi2, mixture), mixture, kind, fit.loglik, loglik, note)


# ---- what is tested ----------------------------------------------------------------------------------------------


def chosen(fit: Fit, group: str | Sequence[str], effects: Sequence[str], part: str) -> dict[int, list[int]]:
    """Per term, the positions of the columns that are tested."""
    parameter = "" if part == "mean" else fit.component(part).parameter
    groups = [group] if isinstance(group, str) else list(group)
    if effects and len(groups) != 1:
        raise DataError("effects can be named for one grouping factor; give it alone, or the grouping factors alone")
    terms = [(k, term) for k, term in enumerate(fit.design.random_terms) if term.parameter == parameter]
    here = list(dict.fromkeys(_group(fit, k) for k, _ in terms))
    for name in groups:
        if name not in here:
            raise DataError(
                f"there are no random effects of a grouping factor {name!r} in the {part}; "
                f"there are {', '.join(map(repr, here)) or 'none'}"
            )
    if not groups:
        raise DataError("name a grouping factor, or several, whose variances are to be tested")
    own = [(k, term) for k, term in terms if _group(fit, k) in groups]
    if not effects:
        return {k: list(range(len(term.names))) for k, term in own}
    known = [name for _, term in own for name in term.names]
    for effect in effects:
        if effect not in known:
            raise DataError(f"{groups[0]!r} has no random effect {effect!r}; it has {', '.join(map(repr, known))}")
    gone = {k: [j for j, name in enumerate(term.names) if name in effects] for k, term in own}
    for k, term in own:
        _check_choice(term, gone[k], groups[0])
    left = [name for name in known if name not in effects]
    if INTERCEPT in effects and left:
        raise DataError(
            f"the intercept of {groups[0]!r} cannot be tested while its effect of {left[0]!r} stays: without an "
            f"intercept the model says that the levels are equal where {left[0]} is zero, and the test is one of where "
            "that zero lies. Test all effects of the factor, or the slope first"
        )
    return {k: columns for k, columns in gone.items() if columns}


def _check_choice(term: RandomTerm, gone: Sequence[int], group: str) -> None:
    if gone and len(gone) < len(term.names) and term.structure not in OWN_VARIANCES:
        raise DataError(
            f"the effects {', '.join(map(repr, term.names))} of {group!r} have the structure {term.structure!r}, where "
            "no effect has a variance of its own to be zero; test all of them, or compare fits by ml.compare"
        )


def _group(fit: Fit, term: int) -> str:
    return fit.design.grouping_factors[fit.design.random_terms[term].grouping_factor].name


# ---- its distribution --------------------------------------------------------------------------------------------


class Tested(NamedTuple):
    """Directions of what is tested, of covariances with effects that stay, and per term of the mean the columns that
    the smaller model has, too; how many covariance matrices are tested as a whole, and how many variances.
    """

    tested: list[Direction]
    others: list[Direction]
    kept: list[list[int]]
    n_whole: int
    n_variances: int


def directions(design: Design, gone: dict[int, list[int]]) -> Tested | None:
    """What is zero in the model without these columns; None where a structure leaves a correlation undefined, or has
    none of its own for what is tested.
    """
    terms = design.random_terms
    of_mean = [k for k, term in enumerate(terms) if not term.parameter]
    tested: list[Direction] = []
    whole = n_variances = 0  # covariance matrices that are zero as a whole, or in more than one row
    for k, own in gone.items():
        term, q = terms[k], len(terms[k].names)
        at = of_mean.index(k) if k in of_mean else k
        if term.structure == "homogeneous diagonal":
            tested.append(Direction(at, np.eye(q)))
            n_variances += 1
            continue
        if len(own) > 1 and term.structure not in ("unstructured", "diagonal"):
            return None
        n_variances += len(own)
        pairs = [(j, j) for j in own]
        if term.structure == "unstructured" and len(own) > 1:
            whole += 1
            pairs = [(own[0], own[0]), (own[0], own[1]), (own[1], own[1])] if len(own) == 2 else []
        tested += [Direction(at, _change(q, a, b)) for a, b in pairs]
    # covariances between an effect that is tested and one that stays are free to be anything
    free = {k: [(a, b) for a in own for b in range(len(terms[k].names)) if b not in own] for k, own in gone.items()}
    others = [
        Direction(of_mean.index(k), _change(len(terms[k].names), a, b))
        for k, pairs in free.items()
        if terms[k].structure == "unstructured" and k in of_mean
        for a, b in pairs
    ]
    kept = [[j for j in range(len(terms[k].names)) if j not in gone.get(k, ())] for k in of_mean]
    return Tested(tested, others, kept, whole, n_variances)


def mixture_of(
    design: Design, small: Fit, gone: dict[int, list[int]], df: int, part: str = "mean"
) -> tuple[mixtures.Mixture, str]:
    """The mixture, and the kind that `VarianceTest` says it is, where `small` lacks these columns of these terms.

    Parameters
    ----------
    design : Design
        Of the larger model.
    small : Fit
        Its terms stand in the order of those of `design`.
    gone : dict of int to list of int
    df : int
        Parameters of random effects that are tested.
    part : str
    """
    terms = design.random_terms
    undefined = any(
        len(own) == len(terms[k].names) > 1
        and terms[k].structure not in ("unstructured", "diagonal", "homogeneous diagonal")
        for k, own in gone.items()
    )
    if undefined:
        return {df: 1.0}, "approximate"
    own = directions(design, gone)
    if own is None:
        return mixtures.upper_bound(df), "bound"
    if own.n_variances == 1:
        return {df - 1: 0.5, df: 0.5}, "mixture"
    simple = (own.n_whole == 0 and own.n_variances <= 3) or (own.n_whole == 1 and own.n_variances == 2)
    if part != "mean" or not simple:
        return mixtures.upper_bound(df), "bound"
    information = efficient_information(small, design, own.tested, own.kept, own.others)
    if information is None:
        return mixtures.upper_bound(df), "bound"
    found = mixtures.of_covariance_matrix(information) if own.n_whole else mixtures.of_variances(information)
    if found is None:
        return mixtures.upper_bound(df), "bound"
    return mixtures.shifted(found, df - len(own.tested)), "mixture"


def _change(q: int, a: int, b: int) -> np.ndarray:
    change = np.zeros((q, q))
    change[a, b] = change[b, a] = 1.0
    return change


def in_words(mixture: mixtures.Mixture, kind: str, df: int) -> str:
    """How the p-value was made."""
    if kind == "approximate":
        return (
            f"p by chi-square with {df} df, which is approximate: a correlation is not defined where variances are zero"
        )
    shares = ", ".join(f"{share:.3g}" for share in mixture.values())
    numbers = ", ".join(map(str, mixture))
    words = f"p by a mixture of chi-squares with {numbers} df in the shares {shares}"
    return words + (", which is no less than that of the unknown one" if kind == "bound" else "")
