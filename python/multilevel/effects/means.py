"""Means at rows, with their derivatives by all parameters of the model, for each way to treat the random effects.

    "zero"          random effects of zero: a group that is typical on the scale of the link
    "conditional"   at their conditional modes, which are held fixed in the derivatives
    "marginal"      averaged over the distribution of the random effects, variances included in the derivatives

The linear predictor of a row of a new group is normal with mean eta and variance V = sum of z' Sigma z over the terms,
so that an average over any number of random effects is an integral along one line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..fitting.covariance import jacobian
from ..prediction.category_law import CategoryLaw, probabilities
from ..prediction.choice_law import ChoiceLaw
from ..prediction.links import averages, by_nodes, derivatives
from . import choice_means
from .question import LINEAR, Question, is_smooth
from .rows import CodedRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family.parameters import Parameter
    from ..fitting.record import Fit

    Array = NDArray[np.float64]

STEP = 0.02  # of differences, on the scale of a linear predictor
POINTS = np.arange(-3, 4)
FIRST = np.array([-1.0, 9.0, -45.0, 0.0, 45.0, -9.0, 1.0]) / 60.0  # errors of sixth order
SECOND = np.array([2.0, -27.0, 270.0, -490.0, 270.0, -27.0, 2.0]) / 180.0
STRIP_OF_MODIFIED = 1.0  # no density of a zero or of what is cut off is less smooth than this
CHUNK = 16_384  # rows at a time: what is made of them stays in cache


@dataclass(frozen=True, eq=False)
class RowMeans:
    """Means, (n,), and their derivatives by psi, (n, P).

    Of single rows also which lack a value that they need, and where the data do not determine the mean, in words.
    """

    value: Array
    jacobian: Array
    missing: NDArray[np.bool_] | None = None
    places: str = ""


def row_means(fit: Fit, rows: CodedRows, question: Question, law: CategoryLaw | ChoiceLaw | None = None) -> RowMeans:
    """The means of rows.

    Parameters
    ----------
    fit : Fit
    rows : CodedRows
        With what `needs_of` says.
    question : Question
    law : CategoryLaw or ChoiceLaw, optional
        Of categories at these rows, as `law_of` has it.

    Returns
    -------
    RowMeans
        NaN in rows with a missing value, and in those that the rows of the fit do not determine.
    """
    _check_kinds(fit, question)
    total = np.zeros((rows.n, len(fit.psi)))
    if fit.design.choices is not None:
        return _known(rows, _of_choices(fit, rows, question, law, total), total)
    eta = _eta(fit, rows, question)
    p = len(fit.beta)
    if question.outcome in LINEAR:
        value = _linear(fit, rows, eta, question, total)
    elif question.sums is not None:
        ordered = law_of(fit, rows, question) if law is None else law
        assert isinstance(ordered, CategoryLaw)
        value = _of_categories(fit, rows, question, ordered, total)
    elif is_smooth(fit, question):
        variance = _variance(fit, rows, question)
        found = averages(fit.family.link, eta, variance, 2) if variance is not None else None
        mean = found or derivatives(fit.family.link, eta, 1)
        value, total[:, :p] = mean[0], mean[1][:, None] * rows.x
        if found is not None:
            for at, own in _variance_derivatives(fit, rows, rows):
                total[:, at] = 0.5 * found[2] * own
    else:
        value = _modified(fit, rows, eta, question, total)
    return _known(rows, value, total)


def _check_kinds(fit: Fit, question: Question) -> None:
    """Means of several kinds have several units, and no average."""
    if question.outcome != "link":
        fit.need_one_family(
            "averages of means",
            "linear predictors, on the scale of the link, have them; predict(newdata) has means of rows of one kind",
        )


def all_means(fit: Fit, rows: CodedRows, questions: list[Question]) -> list[RowMeans]:
    """The means of several outcomes of ordered categories, whose probabilities are made once; or of one question."""
    shared = len(questions) > 1 and questions[0].outcome not in LINEAR
    law = law_of(fit, rows, questions[0]) if shared else None
    return [row_means(fit, rows, question, law) for question in questions]


def all_slopes(fit: Fit, rows: CodedRows, direction: CodedRows, questions: list[Question]) -> list[RowMeans]:
    """The slopes of the same; arguments as of `row_slopes`."""
    if len(questions) == 1 or questions[0].outcome in LINEAR:
        return [row_slopes(fit, rows, direction, question) for question in questions]
    return _slopes_by_differences(fit, rows, direction, questions)


def row_slopes(fit: Fit, rows: CodedRows, direction: CodedRows, question: Question) -> RowMeans:
    """Derivatives of the means of rows as their columns move; `direction` has the derivatives of the columns."""
    _check_kinds(fit, question)
    p = len(fit.beta)
    total = np.zeros((rows.n, len(fit.psi)))
    if fit.design.choices is not None and question.outcome in LINEAR:
        return _known(rows, _of_choices(fit, direction, question, None, total), total)
    if question.outcome not in LINEAR and (question.sums is not None or not is_smooth(fit, question)):
        return _slopes_by_differences(fit, rows, direction, [question])[0]
    rise = _eta(fit, direction, question)
    if question.outcome in LINEAR:
        value = _linear(fit, direction, rise, question, total)
        return _known(rows, value, total)
    eta, variance = _eta(fit, rows, question), _variance(fit, rows, question)
    if variance is None:
        mean = derivatives(fit.family.link, eta, 2)
        value = mean[1] * rise
        total[:, :p] = mean[1][:, None] * direction.x + (mean[2] * rise)[:, None] * rows.x
        return _known(rows, value, total)
    mean = averages(fit.family.link, eta, variance, 4)
    growth = sum(
        (2.0 * np.einsum("ni,ij,nj->n", rows.z[k], fit.random_cov[k], direction.z[k]) for k in _terms_of(fit)),
        np.zeros(rows.n),
    )
    value = mean[1] * rise + 0.5 * mean[2] * growth
    by_eta = mean[2] * rise + 0.5 * mean[3] * growth
    total[:, :p] = mean[1][:, None] * direction.x + by_eta[:, None] * rows.x
    by_variance = 0.5 * (mean[3] * rise + 0.5 * mean[4] * growth)
    changes = zip(_variance_derivatives(fit, rows, rows), _variance_derivatives(fit, rows, direction), strict=True)
    for (at, own), (_, other) in changes:
        total[:, at] = by_variance * own + mean[2] * other
    return _known(rows, value, total)


def _known(rows: CodedRows, value: Array, total: Array) -> RowMeans:
    nothing = rows.unknown | rows.missing
    if nothing.any():
        value = np.where(nothing, np.nan, value)
        total[nothing] = np.nan
    return RowMeans(value, total, rows.missing, rows.places)


def _eta(fit: Fit, rows: CodedRows, question: Question) -> Array:
    eta = rows.x @ fit.beta + rows.offset
    if question.random == "conditional" and rows.z:
        _add_modes(fit, rows, eta, "")
    return eta


def _add_modes(fit: Fit, rows: CodedRows, eta: Array, parameter: str) -> None:
    """Adds Z u at the conditional modes, in place; a level that the fit has not seen has effects of zero."""
    modes = [np.vstack([own, np.zeros((1, own.shape[1]))]) for own in fit.modes]  # code -1 is the last row
    for term, at, z in zip(fit.design.random_terms, fit.term_columns, rows.z, strict=True):
        if term.parameter == parameter:
            eta += np.einsum("nj,nj->n", modes[term.grouping_factor][rows.codes[term.grouping_factor]][:, at], z)


def _terms_of(fit: Fit, parameter: str = "") -> list[int]:
    """The random-effects terms of the mean, or of a parameter of the family."""
    return [k for k, term in enumerate(fit.design.random_terms) if term.parameter == parameter]


def _variance(fit: Fit, rows: CodedRows, question: Question, parameter: str = "") -> Array | None:
    """Of the linear predictor over all groups, (n,); None where it does not matter."""
    if question.random != "marginal" or not rows.z:
        return None
    return sum(
        (np.einsum("ni,ij,nj->n", rows.z[k], fit.random_cov[k], rows.z[k]) for k in _terms_of(fit, parameter)),
        np.zeros(rows.n),
    )


def _variance_derivatives(fit: Fit, one: CodedRows, two: CodedRows, parameter: str = "") -> list[tuple[int, Array]]:
    """Derivatives of the variance by each of theta, z' dSigma z: its place in psi, and the numbers, (n,)."""
    found, at = [], len(fit.beta)
    for k, (term, values) in enumerate(zip(fit.design.random_terms, fit.theta_values, strict=True)):
        if term.parameter == parameter:
            for j, change in enumerate(jacobian(term.structure, values, len(term.names))):
                found.append((at + j, np.einsum("ni,ij,nj->n", one.z[k], change, two.z[k])))
        at += len(values)
    return found


# ---- categories --------------------------------------------------------------------------------------------------


def law_of(fit: Fit, rows: CodedRows, question: Question) -> CategoryLaw | ChoiceLaw:
    """Probabilities of the categories of rows with the derivatives that means need."""
    if fit.design.choices is not None:
        return choice_means.law_of(fit, rows, question.random)
    variance = _variance(fit, rows, question)
    eta, order = _eta(fit, rows, question), 1 if variance is None else 2
    return probabilities(fit.family, eta, thresholds_of(fit, rows), variance, order, log_scale_of(fit, rows))


def _of_categories(fit: Fit, rows: CodedRows, question: Question, law: CategoryLaw, total: Array) -> Array:
    """A sum of probabilities of categories, and its derivatives, which are written into `total`."""
    assert question.sums is not None
    total[:, : len(fit.beta)] = (law.by_eta[1] @ question.sums)[:, None] * rows.x
    _add_thresholds(fit, rows, law.along_thresholds(question.sums), total)
    if law.by_log_scale is not None:
        component = fit.components[-1]
        places = slice(component.first, component.first + len(component.names))
        total[:, places] += (law.by_log_scale @ question.sums)[:, None] * rows.parts[component.parameter][0]
    if len(law.by_eta) > 2:
        bend = 0.5 * (law.by_eta[2] @ question.sums)
        for at, own in _variance_derivatives(fit, rows, rows):
            total[:, at] += bend * own
    return np.asarray(law.by_eta[0] @ question.sums)


def _of_choices(
    fit: Fit, rows: CodedRows, question: Question, law: CategoryLaw | ChoiceLaw | None, total: Array
) -> Array:
    """A sum of probabilities, or of linear predictors, of categories without an order."""
    assert question.sums is not None
    if question.outcome == "link":
        conditional = question.random == "conditional"
        return choice_means.of_predictors(fit, rows, question.sums, total, conditional=conditional)
    own = law_of(fit, rows, question) if law is None else law
    assert isinstance(own, ChoiceLaw)
    return choice_means.of_probabilities(fit, rows, question.sums, own, total)


def _linear(fit: Fit, rows: CodedRows, eta: Array, question: Question, total: Array) -> Array:
    """Predictors, less the mean of the thresholds ("latent"), or a threshold less these; derivatives go to `total`."""
    total[:, : len(fit.beta)] = rows.x
    if question.outcome == "link":
        return eta
    found = thresholds_of(fit, rows)
    share = np.full(found.shape[1], 1.0 / found.shape[1]) if question.sums is None else question.sums
    _add_thresholds(fit, rows, np.broadcast_to(-share, found.shape), total)
    value = eta - found @ share
    if question.outcome == "cuts":
        np.negative(total, out=total)
        value = -value
    return np.asarray(value)


def thresholds_of(fit: Fit, rows: CodedRows) -> Array:
    """Thresholds between ordered categories, (n, C - 1)."""
    assert fit.design.thresholds is not None
    component = fit.components[0]
    own = fit.psi[component.first : component.first + len(component.names)]
    x = rows.parts[component.parameter][0]
    return np.asarray(x @ own.reshape(x.shape[1], -1) @ fit.design.thresholds.matrix.T)


def log_scale_of(fit: Fit, rows: CodedRows) -> Array | None:
    """Logarithm of a scale, (n,); None where there is none."""
    if not fit.family.scaled:
        return None
    component = fit.components[-1]
    x, offset = rows.parts[component.parameter]
    return np.asarray(x @ fit.psi[component.first : component.first + len(component.names)] + offset)


def _add_thresholds(fit: Fit, rows: CodedRows, by_thresholds: Array, total: Array) -> None:
    """Adds the derivatives by what makes the thresholds, in place."""
    assert fit.design.thresholds is not None
    component = fit.components[0]
    x, own = rows.parts[component.parameter][0], by_thresholds @ fit.design.thresholds.matrix
    at = slice(component.first, component.first + len(component.names))
    total[:, at] += (x[:, :, None] * own[:, None, :]).reshape(len(x), -1)


# ---- means in which parameters of the family have a part ---------------------------------------------------------


def _modified(fit: Fit, rows: CodedRows, eta: Array, question: Question, total: Array) -> Array:
    """Means of responses with a zero part or truncated, and their derivatives, which are written into `total`.

    The derivatives by the linear predictor and the family's parameters are differences of sixth order, good to about
    twelve digits; the rest is the chain rule.
    """
    phi, places = _phi(fit, rows, question)
    variance = _variance(fit, rows, question)

    def mean(at: Array, parameters: Array) -> Array:
        if variance is None:
            return fit.family.response_mean(at, parameters, rows.trials)

        def values(points: Array, own: NDArray[np.intp]) -> list[Array]:
            trials = None if rows.trials is None else rows.trials[own]
            return [fit.family.response_mean(points, parameters[own] if parameters.ndim == 2 else parameters, trials)]

        return by_nodes(values, at, variance, STRIP_OF_MODIFIED, 1.0)[0]

    value = mean(eta, phi)
    lost = ~np.isfinite(value) & np.isfinite(eta)
    if lost.any():
        raise DataError(
            f"a response of the {fit.family.name} family has no mean at the linear predictor {eta[lost][0]:.3g} that a "
            'row comes to have; newdata= chooses rows, random="conditional" their groups; or fit another family'
        )
    around = np.array([value if k == 0 else mean(eta + k * STEP, phi) for k in POINTS])
    total[:, : len(fit.beta)] = (FIRST @ around / STEP)[:, None] * rows.x
    if variance is not None:
        bend = SECOND @ around / STEP**2
        for at, own in _variance_derivatives(fit, rows, rows):
            total[:, at] = 0.5 * bend * own
    for column, derivatives_of_phi in places.items():
        moved = []
        for k in POINTS[POINTS != 0]:
            other = np.array(phi, dtype=np.float64)
            other[..., column] += k * STEP
            moved.append(mean(eta, other))
        slope = (FIRST[POINTS != 0] @ np.array(moved) / STEP)[:, None]
        for place, x in derivatives_of_phi:
            total[:, place] = slope if x is None else slope * x
    return value


def _phi(fit: Fit, rows: CodedRows, question: Question) -> tuple[Array, dict[int, list[tuple[slice, Array | None]]]]:
    """The family's parameters as the fit moves them, and for each that was estimated its derivatives: places in psi and
    numbers, (n, k), None for one.
    """
    common = [own.phi(fit.phi[own.name]) if own.name in fit.phi else 0.0 for own in fit.family.parameters]
    phi: Array = np.array(common, dtype=np.float64)
    places: dict[int, list[tuple[slice, Array | None]]] = {}
    if fit.components:
        phi = np.tile(phi, (rows.n, 1))
    by_parameter = {own.parameter: own for own in fit.components}
    for k, own in enumerate(fit.family.parameters):
        if own.name in by_parameter:
            component = by_parameter[own.name]
            at = slice(component.first, component.first + len(component.names))
            x, offset = rows.parts[own.name]
            column = x @ fit.psi[at] + offset
            places[k] = [(at, x)]
            if question.random == "conditional" and rows.z:
                _add_modes(fit, rows, column, own.name)
            elif question.random == "marginal" and _terms_of(fit, own.name):
                column, places[k] = _averaged_share(fit, rows, question, column, own, places[k])
            phi[:, k] = column
        elif own.name in fit.phi_places:
            first = fit.phi_places[own.name]
            places[k] = [(slice(first, first + 1), None)]
    return phi, places


def _averaged_share(
    fit: Fit,
    rows: CodedRows,
    question: Question,
    column: Array,
    parameter: Parameter,
    places: list[tuple[slice, Array | None]],
) -> tuple[Array, list[tuple[slice, Array | None]]]:
    """The logit of a zero part's probability averaged over its own random effects, and its derivatives.

    A mean is linear in that probability, and the effects are independent of those of the mean: the average of the mean
    over them is the mean at the average.
    """
    variance = _variance(fit, rows, question, parameter.name)
    if parameter.part != "zero" or variance is None:
        raise DataError(
            f"the mean of the response depends on the {parameter.part}, which has random effects of its own, and is "
            "not averaged over those: use random='zero' or 'conditional', or outcome='mean', which leaves it out"
        )
    share = averages("logit", column, variance, 2)
    spread = share[0] * (1.0 - share[0])
    found = [(at, (share[1] / spread)[:, None] * x) for at, x in places if x is not None]
    half = 0.5 * share[2] / spread
    for at, own in _variance_derivatives(fit, rows, rows, parameter.name):
        found.append((slice(at, at + 1), (half * own)[:, None]))
    return np.log(share[0]) - np.log1p(-share[0]), list(found)


def _slopes_by_differences(
    fit: Fit, rows: CodedRows, direction: CodedRows, questions: list[Question]
) -> list[RowMeans]:
    """The same where no derivative of the mean is at hand: differences of sixth order along the direction."""
    question, choices = questions[0], fit.design.choices is not None
    speed = choice_means.speed(fit, direction) if choices else np.abs(_eta(fit, direction, question))
    for k, term in enumerate(fit.design.random_terms if direction.z else ()):
        # random slopes move variances, at the speed of their standard deviation
        if not term.parameter or term.parameter in direction.parts:
            speed = np.maximum(
                speed, np.sqrt(np.einsum("ni,ij,nj->n", direction.z[k], fit.random_cov[k], direction.z[k]))
            )
    if question.sums is not None and not choices:
        speed = np.maximum(speed, np.abs(thresholds_of(fit, direction)).max(axis=1))
        of_scale = log_scale_of(fit, direction)
        speed = speed if of_scale is None else np.maximum(speed, np.abs(of_scale))
    for name, (x, _) in direction.parts.items() if question.sums is None else ():
        component = next(own for own in fit.components if own.parameter == name)
        speed = np.maximum(speed, np.abs(x @ fit.psi[component.first : component.first + len(component.names)]))
    step = 2.0 * STEP / np.maximum(speed, np.finfo(float).tiny ** 0.5)
    found = [RowMeans(np.zeros(rows.n), np.zeros((rows.n, len(fit.psi))), rows.missing, rows.places) for _ in questions]
    still = speed == 0.0
    step[still] = 1.0
    for point, weight in zip(POINTS, FIRST, strict=True):
        if point:
            at = all_means(fit, rows.moved(direction, point * step), questions)
            for own, moved in zip(found, at, strict=True):
                own.value[:] += weight / step * moved.value
                own.jacobian[:] += (weight / step)[:, None] * moved.jacobian
    return found
