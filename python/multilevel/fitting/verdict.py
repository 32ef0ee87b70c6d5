"""What a fit has to say about itself: converged or not, and warnings, each with the number measured and its limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import (
    ConvergenceWarning,
    FewRowsWarning,
    FitWarning,
    QuadratureWarning,
    RedundantColumnWarning,
    SeparationWarning,
    SeveralMaximaWarning,
    SingularFitWarning,
    warn_caller,
)
from .approximation import doubt
from .few_rows import few_rows
from .group_separation import constant_factor, reproduces
from .parameters import is_linear
from .quadrature import allows_quadrature
from .separation import (
    columns_separating_categories,
    columns_separating_choices,
    has_constant,
    separates,
    separating_columns,
    sides,
)
from .several_maxima import on_a_tooth, possible_comb, seen_maximum, unseen_maxima
from .spread import LARGE_SPREAD, enormous, link_range, spreads
from .vanishing_rows import NO_INFORMATION, SMALL, vanishing_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .._core import FitRecord
    from ..design.design import Design
    from ..family.parameters import Parameter
    from ..family.registry import Family
    from .certificate import BoundaryScore, Certificate
    from .parameters import Parts, is_linear

UNTOLD = 10.0  # of a coefficient's standard error, in ranges of its link: worth asking whether columns separate
LEAST_EIGENVALUE = 1e-9  # of the information scaled to a unit diagonal: below it a direction carries none
# Endings that may be due to a residual standard deviation of zero. It is that for all purposes below the first share of
# what the fixed part leaves, where the information on its logarithm (about twice the degrees of freedom anywhere else)
# is less than the limit and what rounding makes of none: so much per square of the share's inverse, up to a most.
# Below the second share rounding leaves nothing to certify, and below the third where more gain is left than the limit.
VANISHING = ("converged", "no_increase", "iteration_limit", "divergence")
ROUNDING, MOST_ROUNDING = 5e-8, 5.0  # SMALL and NO_INFORMATION are as of rows
GONE, HARDLY_LEFT, UNSETTLED = 1e-5, 1e-3, 1e-6
EXACT_DISPERSION = 1e-6  # of families whose dispersion has no unit: more is no exact fit, whatever a search took it for


@dataclass(frozen=True)
class Verdict:
    """`converged`, `status` (a word or two), `message` (why not; else empty), `remarks`: warnings by category, and
    `unbounded`: whether a variance has no bound, so that no log-likelihood is one.
    """

    converged: bool
    status: str
    message: str
    remarks: tuple[tuple[type[FitWarning], str], ...]
    unbounded: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentences of the remarks."""
        return tuple(text for _, text in self.remarks)

    def announce(self) -> None:
        """Issues the warnings, as seen from the user's own line."""
        for category, text in self.remarks:
            warn_caller(text, category)


def judge(
    design: Design,
    family: Family,
    record: FitRecord,
    certificate: Certificate,
    parts: Parts,
    dropped: tuple[str, ...],
    unsettled: str,
    folded: tuple[int, int] = (0, 0),
) -> Verdict:
    """Reads the record of a fit.

    `dropped` names redundant columns; `unsettled` is what is left to say when the number of quadrature points could not
    be raised far enough, `folded` how many rows have a linear predictor below and above zero where the link gives both
    sides the same mean.
    """
    remarks: list[tuple[type[FitWarning], str]] = []
    if dropped:
        remarks.append((RedundantColumnWarning, _redundant(dropped)))
    apart, unbounded = _groups_apart(design, family, record, parts)
    status, message = apart or _status(design, family, record, parts, folded)
    if status in ("not converged", "not identified"):
        message += _trouble(family, parts)
        if record.ending == "no_increase" and not is_linear(design, family):
            message += enormous(design, parts.random_cov)
    if status != "converged":
        remarks.append((SeparationWarning if status == "separation" else ConvergenceWarning, message))
    if status != "separation":
        if certificate.boundary:
            remarks.append((SingularFitWarning, _singular(certificate.boundary)))
        remarks += [
            (SingularFitWarning, _at_limit(family, own))
            for own in family.parameters
            if own.name in parts.phi and own.is_at_limit(parts.phi[own.name])
        ]
    doubtful = unsettled or doubt(design, family, certificate.quadrature, parts)
    if status == "converged" and doubtful:
        remarks.append((QuadratureWarning, doubtful))
    if status == "converged" and record.other_maxima:
        remarks.append((SeveralMaximaWarning, seen_maximum(design, family, record, parts)))
    comb = possible_comb(family, record, parts)
    if status == "converged" and comb:
        remarks.append((SeveralMaximaWarning, comb))
    # Coefficients alone have one maximum, however few the rows.
    several = design.random_terms or (parts.phi and not is_linear(design, family))
    sparse = few_rows(design, len(record.psi))
    if status == "converged" and several and sparse:
        remarks.append((FewRowsWarning, unseen_maxima(sparse, len(record.other_starts))))
    return Verdict(status == "converged", status, message, tuple(remarks), unbounded)


def _groups_apart(
    design: Design, family: Family, record: FitRecord, parts: Parts
) -> tuple[tuple[str, str] | None, bool]:
    """What large random effects say of separation; and whether the likelihood grows for ever."""
    for parameter, (sd, width) in spreads(design, family, parts.random_cov).items():
        if not sd > LARGE_SPREAD * width:
            continue
        factor = "" if parameter else constant_factor(design, family)
        if factor:
            return ("separation", _separated_groups(design, factor, record)), True
        if reproduces(design, family, parameter):
            return ("separation", _reproduced(design, parameter, sd, width)), False
    return None, False


def _status(
    design: Design, family: Family, record: FitRecord, parts: Parts, folded: tuple[int, int]
) -> tuple[str, str]:
    """The status, and the sentence that goes with it."""
    names = parts.names
    if record.ending == "separation" or (_all_alike(design, family) and has_constant(design, names)):
        return "separation", _separation(design, family, record, names)
    vanishing = _vanishing(design, family, record, parts)
    if vanishing:
        return "not converged", vanishing
    tooth = on_a_tooth(design, family, record, parts)
    if record.ending != "converged":
        return "not converged", tooth or _reason(design, family, record, names)
    if _saturated(design, family, record, names):
        return "separation", _separation(design, family, record, names)
    unidentified = _unidentified(record, names)
    if unidentified:
        return "not identified", unidentified
    if min(folded) > 0:
        return "several maxima", _folded(*folded)
    if tooth:
        return "several maxima", tooth
    return "converged", ""


def _saturated(design: Design, family: Family, record: FitRecord, names: tuple[str, ...]) -> bool:
    """Whether columns separate the trials where nothing shows it: a probability that is one to all digits leaves no
    gain and, with the complementary log-log link, short steps.
    """
    if family.support != "trials" or design.thresholds is not None or design.choices is not None:
        return False
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(np.diag(record.beta_covariance))
    return separates(design, family, names, errors, UNTOLD * link_range(family))


def _vanishing(design: Design, family: Family, record: FitRecord, parts: Parts) -> str:
    """What is said where the search found nothing left of the response."""
    if record.ending not in VANISHING or not design.random_terms:
        return ""
    if design.parts:
        return _vanishing_in_rows(design, family, record, parts)
    if is_linear(design, family):
        return _vanishing_residual(design, record, parts.names)
    if family.kinds:
        return _vanishing_of_a_kind(design, family, record, parts.phi)
    return _vanishing_dispersion(family, design.response.values, record.hessian[-1, -1], parts.phi)


def _trouble(family: Family, parts: Parts) -> str:
    """What the family itself knows of a search that ended where its parameters are."""
    known = parts.phi  # without those that a formula makes
    phi = [own.phi(known[own.name]) if own.name in known else np.nan for own in family.parameters]
    text = family._core.trouble(phi)
    return f". {text[0].upper()}{text[1:]}" if text else ""


def _separated_groups(design: Design, factor: str, record: FitRecord) -> str:
    n = len(next(own.levels for own in design.grouping_factors if own.name == factor))
    return (
        f"the groups of '{factor}' separate the responses: the random effects of its {n} levels can reproduce every "
        f"value of '{design.response.name}', so their variance grows without bound and the likelihood has no maximum. "
        "No number of quadrature points gives it where the fit stopped, and it is reported as NaN (the approximation "
        f"there was {record.loglik:.6g}); leave the term out, or use a grouping factor whose groups hold both outcomes"
    )


def _reproduced(design: Design, parameter: str, sd: float, width: float) -> str:
    terms = [term for term in design.random_terms if term.parameter == parameter]
    factors = ", ".join(dict.fromkeys(repr(design.grouping_factors[term.grouping_factor].name) for term in terms))
    name = repr(design.response.name)
    what = f"which values of {name} are zero" if parameter else f"every value of {name}"
    return (
        f"fixed and random effects (of {factors}) together can reproduce {what}, and the standard deviation of what "
        f"the random effects add is {sd:.3g} on the scale of the link, where probabilities of 0.1 and 0.9 are "
        f"{width:.3g} apart: variances grow without bound there, or as good as that, and no approximation of the "
        "likelihood resolves where they end; leave a random-effects term out, or collect more rows for each group"
    )


def _folded(below: int, above: int) -> str:
    return (
        f"the linear predictor is below zero in {below} rows and above it in {above}: both sides of zero give the "
        "same mean with the sqrt link, so the likelihood has several maxima, and this one need not be the highest; use "
        "another link, or start= with parameters that keep it on one side"
    )


def _at_limit(family: Family, parameter: Parameter) -> str:
    if family.kinds:
        return (
            f"'{parameter.name}' is at its limit, where the family of that kind is the {parameter.becomes} family: the "
            f"likelihood falls as it comes back; '{parameter.becomes}' there is the same model with a parameter less"
        )
    return (
        f"'{parameter.name}' of the {family.name} family is at its limit, where it is the {parameter.becomes} family: "
        f"the likelihood falls as it comes back; family='{parameter.becomes}' is the same model with a parameter less"
    )


def _redundant(dropped: tuple[str, ...]) -> str:
    columns = "column" if len(dropped) == 1 else "columns"
    named = ", ".join(map(repr, dropped))
    return f"dropped {len(dropped)} redundant fixed-effect {columns}: {named} (linear combinations of earlier columns)"


def _vanishing_residual(design: Design, record: FitRecord, names: tuple[str, ...]) -> str:
    """What to say where the random effects leave no residuals, or nothing.

    That is no maximum whatever the Hessian says: where there is hardly any information its sign is rounding.
    """
    at = len(names) - 1
    sigma, information = float(np.exp(record.psi[at])), float(-record.hessian[at, at])
    left = design.response.values - (0.0 if design.offset is None else design.offset)
    weight = np.sqrt(1.0 if design.weights is None else float(np.mean(design.weights)))
    if not sigma < SMALL * np.std(left) * weight:
        return ""
    coefficients = dict(zip(names, record.psi, strict=True))
    for column in design.fixed:
        if column.name in coefficients:
            left = left - coefficients[column.name] * (1.0 if column.values is None else column.values)
    spread = float(np.std(left) * weight)
    if not sigma < SMALL * spread:
        return ""
    hidden = not information < NO_INFORMATION + min(ROUNDING * (spread / sigma) ** 2, MOST_ROUNDING)
    hidden = hidden and record.ending != "divergence"  # the search has seen the likelihood level off
    if hidden and not sigma < (HARDLY_LEFT if record.predicted_gain > UNSETTLED else GONE) * spread:
        return ""
    measured = f"{sigma:.2g} now; around the fixed part '{design.response.name}' has {spread:.3g}"
    if hidden:
        text = (
            f"the residual standard deviation goes to zero or close to it ({measured}): the random effects take all of "
            "the response but for what rounding hides, too little to certify a maximum"
        )
    else:
        text = (
            f"the residual standard deviation goes to zero ({measured}): the random effects take all of the response, "
            "and the likelihood is highest without residuals. The other estimates are close to what they are there"
        )
    return f"{text}; fewer random effects would leave residuals"


def _vanishing_of_a_kind(design: Design, family: Family, record: FitRecord, phi: dict[str, float]) -> str:
    """The same where each kind of rows has a family of its own."""
    free = [own.name for own in family.parameters[1:] if own.name not in family.given]
    at = {name: place for place, name in enumerate(free, len(record.psi) - len(free))}
    for code, (kind, own) in enumerate(zip(family.kinds, family.members, strict=True)):
        values = {parameter.name: phi[f"{kind}: {parameter.name}"] for parameter in own.parameters}
        places = [at[f"{kind}: {name}"] for name in values if f"{kind}: {name}" in at]
        if places:
            response = design.response.values[design.response.kinds == code]
            text = _vanishing_dispersion(own, response, record.hessian[places[0], places[0]], values)
            if text:
                return f"of kind {kind!r}, {text}"
    return ""


def _vanishing_in_rows(design: Design, family: Family, record: FitRecord, parts: Parts) -> str:
    """The same in the rows that a formula for the dispersion tells from others."""
    rows, sd = vanishing_rows(design, family, record, parts)
    if not rows:
        return ""
    what = "residual standard deviation" if family.has_residual else "dispersion"
    return (
        f"in {rows} of {design.n_rows} rows the {what} goes to zero ({sd:.2g} now): the random effects take all of "
        f"their response '{design.response.name}', and the likelihood is highest without residuals there. The other "
        "estimates are close to what they are then; fewer random effects, or a dispersion shared with other rows, "
        "would leave residuals"
    )


def _vanishing_dispersion(
    family: Family, response: NDArray[np.float64], curvature: float, phi: dict[str, float]
) -> str:
    """The same of a family with a dispersion that is not profiled out, where the likelihood levels off as well."""
    root = float(np.sqrt(family.dispersion(phi)[0]))
    unit = float(np.std(response)) if family.has_residual else 1.0
    if not root < SMALL * unit or not -curvature < NO_INFORMATION:
        return ""
    name, value = next(iter(phi.items()))
    runs_off = "goes to zero" if family.has_residual else "grows without bound"
    return (
        f"'{name}' of the {family.name} family {runs_off} ({value:.3g} now): the random effects take all of the "
        "response, and the likelihood is highest without a dispersion. The other estimates are close to what they are "
        "there; fewer random effects would leave one"
    )


def _unidentified(record: FitRecord, names: tuple[str, ...]) -> str:
    """Empty, or what to say of a maximum that is a ridge: parameters that can move together at no cost."""
    if not len(record.eigenvalues) or record.eigenvalues.min() > LEAST_EIGENVALUE:
        return ""
    information = -record.hessian
    diagonal = np.diag(information)
    empty = [names[k] for k in np.flatnonzero(diagonal == 0)]
    free = np.flatnonzero(diagonal > 0)
    scale = 1 / np.sqrt(diagonal[free])
    _, vectors = np.linalg.eigh(information[np.ix_(free, free)] * np.outer(scale, scale))
    together = [names[k] for k, v in zip(free, vectors[:, 0], strict=True) if abs(v) > 0.1] if len(free) else []
    # Where rounding made the eigenvalue, on whichever scale, those that the search found no information about.
    unknown = [names[k] for k in np.flatnonzero(np.isnan(np.diag(record.covariance)))]
    if np.any(record.eigenvalues == 0) and unknown and not set(together) & set(unknown):
        together = unknown
    moving = ", ".join(map(repr, empty or together or names))
    return (
        f"the parameters are not identified: {moving} can move without changing the likelihood (the smallest "
        f"eigenvalue of the scaled information is {record.eigenvalues.min():.1g}, limit {LEAST_EIGENVALUE:g}); "
        "drop one of the terms"
    )


def _separation(design: Design, family: Family, record: FitRecord, names: tuple[str, ...]) -> str:
    response = design.response
    rows = f"{len(response.values)} rows: the likelihood has no maximum (the intercept runs off)"
    size = 1.0 if response.size is None else response.size
    trials = family.support == "trials"
    choices = design.choices
    if choices is None and np.all(response.values == 0):
        return f"the response '{response.name}' is zero in all {rows}"
    if trials and np.all(response.values == size):
        return f"the response '{response.name}' has no failure in any of {rows}"
    if choices is not None:
        columns = columns_separating_choices(design, choices, names, record.step)
    elif design.thresholds is None:
        columns = separating_columns(design, sides(design, family), names, record.step)
    else:
        columns = columns_separating_categories(design, family, names, record.step)
    named = ", ".join(map(repr, columns))
    predict = f"columns {named} predict" if len(columns) > 1 else f"column {named} predicts"
    of_mean = sum(column.name in names for column in design.fixed)
    furthest = np.abs(record.step if design.thresholds is not None else record.step[:of_mean]).max()
    return (
        f"the fixed-effect {predict} some responses perfectly (separation), so the likelihood has no maximum and the "
        f"fit stopped (a further step would gain {record.predicted_gain:.1g} in log-likelihood and still change a "
        f"coefficient by {furthest:.2g}); drop or merge levels, or collect more data there"
    )


def _all_alike(design: Design, family: Family) -> bool:
    """Whether all counts are zero, or all trials successes or failures, with a link that has no linear predictor for a
    mean of zero or one.

    A parameter of the family may run off faster than the intercept, or nothing be left to gain on the way, and then no
    coefficient shows it.
    """
    values, size = design.response.values, design.response.size
    if family.support not in ("counts", "trials"):
        return False
    mean = 0.0 if not values.any() else 1.0
    if mean == 1.0 and (family.support == "counts" or not np.all(values == (1.0 if size is None else size))):
        return False
    return not np.isfinite(family.link_of_mean([mean])).all()


def _reason(design: Design, family: Family, record: FitRecord, names: tuple[str, ...]) -> str:
    if record.ending == "no_start":
        return _no_start(design, record)
    if record.ending == "exact_fit" and family.kinds:
        return (
            f"of one kind of rows the model fits '{design.response.name}' exactly (kinds: "
            f"{', '.join(map(repr, family.kinds))}): its dispersion vanishes, and the likelihood has no maximum"
        )
    if record.ending == "exact_fit" and _nothing_left(family, record.psi):
        name, values = design.response.name, design.response.values
        constant = f"'{name}' is {values[0]:g} in all {len(values)} rows"
        what = constant if np.ptp(values) == 0 else f"the model fits '{name}' exactly"
        if family.has_residual:
            runs_off, found = "the residual standard deviation goes to zero", "are those of least squares, and they"
        else:
            growing = ", ".join(repr(own.name) for own in family.parameters)
            runs_off, found = f"{growing} of the {family.name} family grows without bound", "fit it, and"
        text = f"{what}: {runs_off} and the likelihood has no maximum"
        if not np.isfinite(record.psi).all():
            text += f"; the coefficients {found} have no standard errors"
        return text
    least = float(record.eigenvalues.min()) if len(record.eigenvalues) else 0.0
    measured = (
        f"a further step is predicted to gain {record.predicted_gain:.3g} in log-likelihood and "
        f"the smallest eigenvalue of the scaled information is {least:.3g}"
    )
    if record.ending == "divergence":
        k = int(np.argmax(np.abs(record.step) / (np.abs(record.psi) + 1e-8)))
        growing = f"'{names[k]}' grows without bound ({record.psi[k]:.4g} now)"
        return f"the log-likelihood keeps rising as {growing}: {measured}"
    if record.ending == "iteration_limit":
        return f"stopped at the limit of iterations, {len(record.trace) - 1}: {measured}; raise max_iter"
    text = (
        f"no step raises the log-likelihood any further, although the quadratic model promises more: {measured}. "
        "The maximum may lie on the edge of the domain of the link, or the log-likelihood may have several"
    )
    if not family._core.log_concave and design.random_terms:
        more = "more points (n_quadrature=) or " if allows_quadrature(design) else ""
        text += (
            f". With the {family.name} family as it is used here random effects may have several modes given the data,"
            " and where the largest of them changes the approximated log-likelihood has steps and spikes; "
            f"{more}fewer random effects make it smoother"
        )
        if len(design.grouping_factors) > 1:
            text += (
                ". With several grouping factors that mode was looked for from random effects of zero and from what the"
                " responses alone make of them, the levels of one factor moving at a time: a larger one can be missed"
            )
    return text


def _nothing_left(family: Family, psi: NDArray[np.float64]) -> bool:
    """Whether what a search took for an exact fit is one: without a residual the dispersion has a size of its own."""
    if family.has_residual or not np.isfinite(psi).all():
        return True
    return float(family.dispersion(psi[len(psi) - len(family.parameters) :])[0]) < EXACT_DISPERSION


def _no_start(design: Design, record: FitRecord) -> str:
    text = "the log-likelihood is not finite at the starting values"
    which, level = record.failed_level
    if which >= 0:
        factor = design.grouping_factors[which]
        text += f" (group '{factor.levels[level]}' of '{factor.name}' has no conditional mode)"
    return f"{text}: the link cannot take the means that these data need; try another link, or give start="


def _singular(boundary: tuple[BoundaryScore, ...]) -> str:
    parts = []
    limits = any(score.kind == "limit" for score in boundary)
    for score in boundary:
        where = f"'{score.name}' in '{score.term}'"
        if score.kind == "variance":
            what = f"the variance of {where} is exactly zero"
        elif score.kind == "limit":
            what = f"the correlation of {where} is at an end of its range"
        else:
            what = f"a correlation of {where} is exactly 1 or -1 (nothing is left of its conditional variance)"
        parts.append(f"{what}, score {score.score:.4g}")
    meanings = []
    if any(score.kind != "limit" for score in boundary):
        meanings.append(
            "The score is d log-likelihood / d variance there; negative: the log-likelihood falls as the variance "
            "rises from zero"
        )
    if limits:
        meanings.append(
            "The score at the end of a range is d log-likelihood / d correlation towards the inside; negative: the "
            "log-likelihood falls on the way in"
        )
    return f"singular fit: {'; '.join(parts)}. {'. '.join(meanings)}"
