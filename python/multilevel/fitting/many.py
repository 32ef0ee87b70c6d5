"""Many responses of one design, fitted side by side in the core: what comes back, and what each fit says of itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from multilevel import _core

from ..errors import DataError
from .natural import Natural
from .parameters import is_exact, is_linear, parts
from .quadrature import check_points
from .resolved import resolved
from .run import named
from .spread import LARGE_SPREAD, large_limit, link_range, most_spread
from .vanishing_rows import NO_INFORMATION, SMALL, SUPPORTS
from .verdict import LEAST_EIGENVALUE, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..design.design import Design
    from ..family.registry import Family

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ManyFits:
    """m fits of one model.

    Attributes
    ----------
    natural : Natural
        Names of what is reported, and how it follows from psi.
    psi : ndarray, (m, P)
        NaN where a fit found nothing.
    covariance, beta_covariance : ndarray, (m, P, P) and (m, p, p)
    loglik, predicted_gain, largest_gradient : ndarray, (m,)
    converged : ndarray of bool, (m,)
        Whether the optimum is certified, as of a single fit.
    singular : ndarray of bool, (m,)
        Whether a variance is zero, or a correlation one.
    status, message : tuple of str
        How each fit ended, in a word or two; and why it did not converge, empty where it did.
    n_evaluations : ndarray of int, (m,)
    """

    natural: Natural
    psi: Array
    covariance: Array
    beta_covariance: Array
    loglik: Array
    predicted_gain: Array
    largest_gradient: Array
    converged: NDArray[np.bool_]
    singular: NDArray[np.bool_]
    status: tuple[str, ...]
    message: tuple[str, ...]
    n_evaluations: NDArray[np.int64]

    @property
    def estimates(self) -> Array:
        """What is reported of each fit, (m, K), in the order of `natural.quantities`."""
        return self.natural.values(self.psi)

    @property
    def errors(self) -> Array:
        """Standard errors of the estimates, (m, K)."""
        return self.natural.errors(self.psi, self.covariance, self.beta_covariance)

    def frame(self, names: pd.Index) -> pd.DataFrame:
        """A row for each response and parameter; `names` are those of the responses."""
        own, m = self.natural.quantities, len(self.psi)
        each = len(own)
        columns: dict[str, object] = {"response": names.repeat(each)}
        for key in ("effect", "group", "term"):
            columns[key] = np.tile(np.array([getattr(one, key) for one in own], dtype=object), m)
        columns["estimate"], columns["std_error"] = self.estimates.ravel(), self.errors.ravel()
        for key, values in (("llf", self.loglik), ("converged", self.converged), ("singular", self.singular)):
            columns[key] = np.repeat(values, each)
        columns["message"] = np.repeat(np.array(self.message, dtype=object), each)
        return pd.DataFrame(columns)


def fit_many(
    design: Design,
    family: Family,
    core: _core.Model,
    responses: Array,
    *,
    method: str = "ml",
    n_quadrature: int | str = 1,
    start: Array | None = None,
    threads: int = 0,
    tol: float = 1e-9,
    max_iter: int = 100,
) -> ManyFits:
    """Fits the columns of `responses`, (n, m), each on its own.

    Parameters
    ----------
    start : ndarray, (P,), optional
        Starting values of all fits; without it each has its own. A fit that looks odd is searched for from elsewhere,
        too, in either case.
    threads : int
        Fits made at a time. The numbers do not depend on it, to the last bit.

    A column with a value that is not finite is a fit that says so, and leaves the others alone.
    """
    if method not in ("ml", "reml"):
        raise DataError(f"method={method!r} is for a single fit; many responses are fitted by 'ml' or 'reml'")
    if isinstance(n_quadrature, str):
        raise DataError("n_quadrature='auto' is for a single fit; give the number of points for many")
    exact = is_exact(design, family)
    check_points(n_quadrature, design, exact)
    points = 1 if exact else int(n_quadrature)
    try:
        many = _core.fit_many(
            core,
            _for_core(design, responses),
            method,
            points,
            np.zeros(0) if start is None else start,
            True,
            threads,
            tol,
            max_iter,
            family.link == "sqrt",
        )
    except _core.TooLarge as error:
        raise DataError(f"{error}. Keep fewer of the grouping factors, or those with fewer levels") from None
    redundant = set(core.redundant)
    kept = tuple(column.name for k, column in enumerate(design.fixed) if k not in redundant)
    beside = {own.name: core.phi_redundant(r) for r, own in enumerate(family.parameters)}

    psi = many.psi.reshape(responses.shape[1], -1)
    names = parts(design, family, kept, np.zeros(core.n_beta + core.n_theta + core.n_phi), beside)
    natural = Natural(design, family, kept, names.components)
    asked = _to_be_judged(design, family, many, natural, psi, responses, np.array(many.ending, dtype=object), points)
    verdicts: dict[int, Verdict] = {}
    loglik = many.loglik.copy()
    for j in map(int, np.flatnonzero(asked)):
        here = replace(design, response=replace(design.response, values=responses[:, j]))
        unfit = many.refused[j] or _absent_category(design, responses[:, j])
        if unfit:
            verdicts[j] = Verdict(False, "not converged", unfit, ())
        else:
            fit = resolved(named(here, family, core, many.record(j), method, points, 1))
            verdicts[j] = fit.verdict
            if np.isnan(fit.loglik):
                loglik[j] = np.nan
    status = tuple(verdicts[j].status if j in verdicts else "converged" for j in range(len(psi)))
    return ManyFits(
        natural=natural,
        psi=psi,
        covariance=many.covariance,
        beta_covariance=many.beta_covariance,
        loglik=loglik,
        predicted_gain=many.predicted_gain,
        largest_gradient=np.abs(many.gradient).max(axis=1, initial=0.0),
        converged=np.array([own == "converged" for own in status], dtype=bool),
        singular=many.singular.astype(bool),
        status=status,
        message=tuple(verdicts[j].message if j in verdicts else "" for j in range(len(psi))),
        n_evaluations=many.n_evaluations.astype(np.int64),
    )


def _for_core(design: Design, responses: Array) -> Array:
    """A number for each row of the core."""
    choices = design.choices
    if choices is not None and choices.by_category:
        responses = np.column_stack([choices.response_of(own) for own in responses.T])
    return np.asfortranarray(responses, dtype=np.float64)


def _to_be_judged(
    design: Design,
    family: Family,
    many: _core.ManyRecords,
    natural: Natural,
    psi: Array,
    responses: Array,
    ending: NDArray[np.object_],
    points: int,
) -> NDArray[np.bool_]:
    """Fits of which the verdict may be another than "converged"; all others need no look."""
    if family.kinds:
        return np.ones(len(ending), dtype=bool)
    asked = (ending != "converged") | ~(many.least_eigenvalue > LEAST_EIGENVALUE) | (family.link == "sqrt")
    if not psi.shape[1]:
        asked = ending != "converged"
    in_rows = design.random_terms and design.parts and family.support in SUPPORTS
    if in_rows or family.support == "nonnegative":
        asked[:] = True  # a dispersion may vanish in some rows, a Tweedie power be next to 1
    elif design.random_terms and not design.parts:
        if is_linear(design, family):
            left = responses if design.offset is None else responses - design.offset[:, None]
            weight = np.sqrt(1.0 if design.weights is None else float(np.mean(design.weights)))
            with np.errstate(invalid="ignore"):
                asked |= ~(np.exp(psi[:, -1]) >= SMALL * np.std(left, axis=0) * weight)
        elif family.parameters:
            asked |= ~(many.last_information >= NO_INFORMATION)
    for parameter in dict.fromkeys(term.parameter for term in design.random_terms):
        width = link_range(family, parameter)
        limit = LARGE_SPREAD * width if width else large_limit(family)
        if width or (points > 1 and not parameter):
            sd = [part.values(psi)[:, : part.q] for part in natural.terms]
            asked |= ~(most_spread(design, sd, parameter) <= limit)
    if family.support in ("counts", "trials"):
        asked |= ~(responses != 0).any(axis=0)
    if family.support == "trials":
        size = 1.0 if design.response.size is None else design.response.size[:, None]
        asked |= (responses == size).all(axis=0)
    asked |= np.array([bool(_absent_category(design, column)) for column in responses.T], dtype=np.bool_)
    return asked


def _absent_category(design: Design, response: Array) -> str:
    """That an ordered category does not occur, whose thresholds have no maximum then; empty where all do."""
    if design.thresholds is None:
        return ""
    labels = design.thresholds.categories
    absent = ~np.isin(np.arange(1, len(labels) + 1), response)
    return f"no row has category {labels[int(np.argmax(absent))]!r}" if absent.any() else ""
