"""Score tests of variances: whether random effects that a fit does not have would make it better, without a fit of
them.

With s the derivatives of the log densities by the linear predictor, the score of a direction V_a of the responses'
covariance is (s' V_a s - tr(P V_a)) / 2, in the linear mixed model that works in place of the fit
(`variance_information`); it is exact for linear mixed models, and for generalized linear ones without random effects,
whose information has the third and fourth cumulants of s beside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns.expressions import Rows
from ..columns.frame import Frame
from ..columns.grouping import build_grouping_factor
from ..design.random_terms import RandomTerm
from ..errors import DataError
from ..fitting.refit import refit, without_random_effects
from ..tables.page import OnPage, Page, Paragraph, format_p
from . import mixtures
from .variance_information import score_and_information
from .variance_test import INTERCEPT, chosen, directions, in_words, mixture_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..design.design import Design
    from ..fitting.record import Fit

CANONICAL = {"binomial": "logit", "bernoulli": "logit", "poisson": "log"}
NOTHING = 1e-8  # of the whole: a projection on nothing but zero, which rounding leaves
STARTS = ((1.0, 0.0, 1.0), (1.0, 0.9, 0.1), (1.0, -0.9, 0.1), (0.1, 0.0, 1.0))


@dataclass(frozen=True, eq=False, repr=False)
class VarianceScoreTest(OnPage):
    """A score test of variances; prints as a page.

    Attributes
    ----------
    effects : tuple of str
        What is tested, "g: x" for each random effect.
    chi2 : float
        The squared length of the score's projection on what variances may be, in the metric of the information.
    df : int
        Variances and covariances that are tested.
    p_value : float
        Of `mixture`.
    mixture : dict of int to float
        Degrees of freedom, and the share of each chi-square distribution.
    score, information : ndarray, (df,) and (df, df)
        Of the variances and covariances at zero, that of all other parameters taken out; covariances with effects that
        the fit has come last.
    note : str
    """

    effects: tuple[str, ...]
    chi2: float
    df: int
    p_value: float
    mixture: dict[int, float]
    score: NDArray[np.float64]
    information: NDArray[np.float64]
    note: str

    @property
    def page(self) -> Page:
        """The test as text or HTML."""
        lines = (
            f"with {', '.join(self.effects)}",
            f"chi-square = {self.chi2:.4f}, p = {format_p([self.p_value])[0]}",
            self.note,
        )
        return Page((Paragraph(lines, title="Variances, by score test:"),))


def variance_score_test(fit: Fit, group: str | Sequence[str], *effects: str, data: Any = None) -> VarianceScoreTest:
    """Tests variances of random effects by the model without them.

    Parameters
    ----------
    fit : Fit
        Without the random effects that are tested; if it has them it is fitted again without.
    group : str or list of str
        A grouping factor of the fit, or a column of `data`.
    *effects : str
        Of the one grouping factor: names of fixed effects or numeric columns of `data`, and "(Intercept)". Without any,
        all that the fit has of this factor, or a random intercept.
    data : data frame, optional
        What the model was fitted to.

    Raises
    ------
    DataError
        The family has parameters of its own, or the model is neither linear nor without random effects; more than three
        variances, or structures that share them; a slope without an intercept; columns that do not exist; random
        effects of which the data say nothing.

    References
    ----------
    Lin (1997) Biometrika 84:309-326; Silvapulle & Silvapulle (1995) J. Amer. Statist. Assoc. 90:342-349 and Verbeke &
    Molenberghs (2003) Biometrics 59:254-262 for the one-sided statistic.
    """
    fit.need_likelihood("a score test")
    small, design, gone = _models(fit, group, effects, data)
    _check(small)
    own = directions(design, gone)
    if own is None:
        raise DataError(
            "these random effects share a variance or a correlation, and have no score of their own at zero; fit the "
            "model with them, and use method='lrt'"
        )
    found = score_and_information(small, design, own.tested, own.kept, own.others)
    if found is None:
        raise DataError(
            "there is no score test of these variances: the data say nothing of them beside the other parameters, or "
            "there are too many random effects for their information; fit the model with them, and use method='lrt'"
        )
    score, information = found
    df = len(score)
    mixture, kind = mixture_of(design, small, gone, df)
    if kind != "mixture":
        raise DataError(
            "the distribution of the score test is not known for more than three variances, or for a covariance matrix "
            "of more than two effects; test fewer at a time"
        )
    chi2 = _one_sided(score, information, len(own.tested), bool(own.n_whole))
    names = tuple(
        f"{design.grouping_factors[design.random_terms[k].grouping_factor].name}: {design.random_terms[k].names[j]}"
        for k, columns in gone.items()
        for j in columns
    )
    note = in_words(mixture, kind, df)
    if not small.converged:
        note += "; the fit without them did not converge"
    return VarianceScoreTest(names, chi2, df, mixtures.tail(chi2, mixture), mixture, score, information, note)


def _check(small: Fit) -> None:
    if not small.converged:
        raise DataError(f"the fit without these random effects did not converge ({small.message})")
    if small.is_linear:
        return
    canonical = CANONICAL.get(small.family.name) == small.family.link
    censored = small.design.response.other_end is not None
    if small.design.random_terms or not canonical or censored or len(small.psi) > len(small.beta):
        raise DataError(
            "the score test is there for linear mixed models, and for binomial (logit) and Poisson (log) models "
            "without other random effects or parts: elsewhere the score of a variance depends on approximations or on "
            "further parameters of the family. Fit the model with these random effects, and use method='lrt'"
        )


# ---- the model with the random effects ---------------------------------------------------------------------------


def _models(
    fit: Fit, group: str | Sequence[str], effects: Sequence[str], data: Any
) -> tuple[Fit, Design, dict[int, list[int]]]:
    """The fit without the random effects, the design with them, and which of its columns they are."""
    groups = [group] if isinstance(group, str) else list(group)
    terms = fit.design.random_terms
    known = {
        name: [term for term in terms if fit.design.grouping_factors[term.grouping_factor].name == name]
        for name in groups
    }
    has = {name: [own for term in known[name] for own in term.names] for name in groups}
    if all(has.values()) and all(effect in has[groups[0]] for effect in effects):
        gone = chosen(fit, group, effects, "mean")
        design = without_random_effects(fit.design, gone)
        return refit(fit, design, "ml" if not design.random_terms else None), fit.design, gone
    if len(groups) != 1:
        raise DataError("random effects that the fit does not have are tested for one grouping factor at a time")
    (name,) = groups
    design, gone = _with_effects(fit, name, list(effects), known[name], data)
    return fit, design, gone


def _with_effects(
    fit: Fit, group: str, effects: list[str], own: list[RandomTerm], data: Any
) -> tuple[Design, dict[int, list[int]]]:
    design = fit.design
    there = [name for term in own for name in term.names]
    effects = effects or [INTERCEPT]
    if (again := [name for name in effects if name in there]) or INTERCEPT not in (*there, *effects):
        raise DataError(
            f"the fit has the random effect {again[0]!r} of {group!r} and lacks others that are named; test them apart"
            if again
            else f"the model has no random intercept of {group!r}, without which the test of a slope is one of where "
            f"the predictor has its zero; name both, or test the intercept first: test_variance({group!r}, "
            "method='score')"
        )
    columns = tuple(_column(fit, name, data) for name in effects)
    if own:
        at, position = own[0].grouping_factor, next(k for k, term in enumerate(design.random_terms) if term is own[0])
        if len(own) == 1 and own[0].structure in ("unstructured", "diagonal"):
            term = own[0]
            wide = replace(term, names=(*term.names, *effects), columns=(*term.columns, *columns))
            terms = tuple(wide if old is term else old for old in design.random_terms)
            added = range(len(term.names), len(wide.names))
            return replace(design, random_terms=terms), {position: list(added)}
        factors = design.grouping_factors
    else:
        at, factors = len(design.grouping_factors), (*design.grouping_factors, _factor(fit, group, data))
    term = RandomTerm(at, tuple(effects), columns, "unstructured")
    wide_design = replace(design, grouping_factors=factors, random_terms=(*design.random_terms, term))
    return wide_design, {len(design.random_terms): list(range(len(effects)))}


def _rows(fit: Fit, name: str, data: Any) -> Rows:
    """The columns of the data at the rows used."""
    if data is None:
        raise DataError(
            f"{name!r} is not in the model, and these results no longer know their data: fit the model again"
        )
    frame = Frame(data)
    for own in name.split(":"):
        if own not in frame:
            raise DataError(f"the data have no column {own!r}")
    return Rows(frame, fit.design.rows)


def _factor(fit: Fit, group: str, data: Any) -> Any:
    return build_grouping_factor(tuple(group.split(":")), _rows(fit, group, data))[0]


def _column(fit: Fit, name: str, data: Any) -> NDArray[np.float64] | None:
    if name == INTERCEPT:
        return None
    for column in fit.design.fixed:
        if column.name == name and column.values is not None:
            return np.asarray(column.values, dtype=np.float64)
    values = _rows(fit, name, data)[name].values
    if values is None:
        raise DataError(f"{name!r} holds no numbers: a random effect that is tested is of a number, or of an indicator")
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise DataError(f"{name!r} is missing in some of the rows used")
    return array


# ---- the statistic -----------------------------------------------------------------------------------------------


def _one_sided(score: NDArray[np.float64], information: NDArray[np.float64], n_tested: int, of_matrix: bool) -> float:
    """U'h - min (h - b)' S (h - b) over what b may be, h = I^-1 U: variances that are not negative, or a covariance
    matrix of two effects that is none of a negative variance; covariances that are free take all of h.
    """
    from scipy.optimize import nnls

    h = np.linalg.solve(information, score)
    a, b = information[:n_tested, :n_tested], information[:n_tested, n_tested:]
    own = a - b @ np.linalg.solve(information[n_tested:, n_tested:], b.T) if b.size else a
    root = np.linalg.cholesky(own).T
    target = root @ h[:n_tested]
    if of_matrix:
        least = min(float(target @ target), _to_covariance_matrix(root, target, h[:n_tested]))
    else:
        least = float(nnls(root, target)[1]) ** 2
    whole = float(score @ h)
    return whole - least if whole - least > NOTHING * whole else 0.0


def _to_covariance_matrix(root: NDArray[Any], target: NDArray[Any], h: NDArray[Any]) -> float:
    """The least squared distance of root @ b to the target, b a covariance matrix of two effects."""
    from scipy.optimize import minimize

    def distance(factor: NDArray[np.float64]) -> float:
        l11, l21, l22 = factor
        return float(np.sum((target - root @ np.array([l11**2, l11 * l21, l21**2 + l22**2])) ** 2))

    size = np.sqrt(np.abs(h).max())
    return min(float(minimize(distance, size * np.array(start), tol=1e-14).fun) for start in STARTS)
