"""Vuong's tests of two models of which neither need be a special case of the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from ..fitting.contributions import contributions
from ..fitting.parameters import variance_share
from ..tables.page import OnPage, Page, Paragraph, Table, format_fixed, format_p
from . import weighted_chi_squares
from .clusters import sums_by
from .ranking import check_rankable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.contributions import Contributions
    from ..fitting.record import Fit

NOTHING = 1e-12  # of a squared log-likelihood: a variance below this is none


@dataclass(frozen=True, eq=False, repr=False)
class VuongTest(OnPage):
    """Vuong's tests of two models; prints as a page.

    Attributes
    ----------
    models : tuple of str
        The formulas, first and second.
    n : int
        Independent parts of the data: clusters of both models, or rows.
    variance : float
        Of the difference of the parts' log-likelihoods.
    p_distinguishable : float
        Of the hypothesis that this variance is zero: that both models, at their best, say the same of the data.
    z, z_aic, z_bic : float
        The sum of the differences over its standard error, as it is, and corrected for the numbers of parameters by AIC
        and BIC. Above zero the first model is closer to the data.
    p_first, p_first_aic, p_first_bic : float
        Of the hypothesis that both are equally close, against the first being closer: the upper tail of z.
    p_second, p_second_aic, p_second_bic : float
        Against the second being closer.
    note : str
    """

    models: tuple[str, str]
    n: int
    variance: float
    p_distinguishable: float
    z: float
    z_aic: float
    z_bic: float
    p_first: float
    p_first_aic: float
    p_first_bic: float
    p_second: float
    p_second_aic: float
    p_second_bic: float
    note: str = ""

    @property
    def page(self) -> Page:
        """The tests as text or HTML."""
        z = (self.z, self.z_aic, self.z_bic)
        first = (self.p_first, self.p_first_aic, self.p_first_bic)
        second = (self.p_second, self.p_second_aic, self.p_second_bic)
        rows = zip(("none", "aic", "bic"), format_fixed(z, 4), format_p(first), format_p(second), strict=True)
        notes = (self.note,) if self.note else ()
        table = Table(("correction", "z", "p: first closer", "p: second closer"), tuple(rows), n_labels=1, notes=notes)
        lines = (f"first: {self.models[0]}", f"second: {self.models[1]}", f"{self.n:,} independent parts of the data")
        distinguishable = (
            f"variance of the differences {self.variance:.4g}, p = {format_p([self.p_distinguishable])[0]} (of zero)"
        )
        return Page(
            (
                Paragraph(lines, title="Vuong tests:"),
                Paragraph((distinguishable,), title="Can the models be told apart?"),
                table,
            )
        )


def vuong(first: Any, second: Any) -> VuongTest:
    """Tests which of two models is closer to the truth, in the sense of Kullback and Leibler, and whether they differ.

    Parameters
    ----------
    first, second : Fit or results
        By maximum likelihood, to the same response; of any families and random effects. What is summed is the
        log-likelihood of the parts of the data that are independent in both models.

    Returns
    -------
    VuongTest
        First the test that the models can be told apart at all; only where they can is z normal. For models of which
        one is a special case of the other use `compare`.

    Raises
    ------
    DataError
        Other rows, responses or weights, numbers of quadrature points; REML, or no likelihood; densities and
        probabilities; no converged fit; fewer than two independent parts; equal models.

    References
    ----------
    Vuong (1989) Econometrica 57:307-333; Merkle, You & Preacher (2016) Psychol. Methods 21:151-163; Merkle, You,
    Schneider & Bae, R package nonnest2, for scores of clusters.
    """
    fits: list[Fit] = [getattr(item, "fit", item) for item in (first, second)]
    _check(fits)
    own = [contributions(fit) for fit in fits]
    of_row = _common_parts(own[0].row_part, own[1].row_part)
    n = int(of_row.max()) + 1
    if n < 2:
        raise DataError(
            "no part of these data is independent of the rest in both models, and the differences of one part have no "
            "variance; Vuong's test needs many"
        )
    one, two = (_summed(each, of_row, n) for each in own)
    difference = one[0] - two[0]
    variance = float(difference.var())
    if not variance > NOTHING * float(np.mean(one[0] ** 2)):
        raise DataError("both models have the same log-likelihood in every part of the data: there is nothing to test")
    squares = _weights(fits, (one[1], two[1])) ** 2
    k = np.array([fit.df_model for fit in fits])
    lead = float(difference.sum())
    z = [
        float((lead - correction) / np.sqrt(n * variance))
        for correction in (0.0, float(k[0] - k[1]), 0.5 * np.log(n) * float(k[0] - k[1]))
    ]
    first_closer, second_closer = _upper_tail(np.array(z)), _upper_tail(-np.array(z))
    return VuongTest(
        models=(str(fits[0].design.formula), str(fits[1].design.formula)),
        n=n,
        variance=variance,
        p_distinguishable=weighted_chi_squares.tail(n * variance, squares),
        z=z[0],
        z_aic=z[1],
        z_bic=z[2],
        p_first=first_closer[0],
        p_first_aic=first_closer[1],
        p_first_bic=first_closer[2],
        p_second=second_closer[0],
        p_second_aic=second_closer[1],
        p_second_bic=second_closer[2],
        note=_note(fits),
    )


def _check(fits: list[Fit]) -> None:
    for fit in fits:
        fit.need_likelihood("Vuong's test")
        if fit.method == "reml":
            raise DataError(
                f"Vuong's test compares likelihoods part by part, and the restricted one of '{fit.design.formula}' is "
                "no sum over them: fit both models with method='ml'"
            )
        if not fit.converged:
            raise DataError(f"the fit '{fit.design.formula}' did not converge ({fit.message}); the test is of maxima")
        if not np.isfinite(fit.beta_covariance).all():
            raise DataError(f"the fit '{fit.design.formula}' has no standard errors, which the test's weights need")
    check_rankable(fits)


def _common_parts(one: NDArray[np.int32], two: NDArray[np.int32]) -> NDArray[np.int32]:
    """The part of each row, where parts are sets of rows that neither model ties to others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first = int(one.max()) + 1
    size = first + int(two.max()) + 1
    graph = coo_array((np.ones(len(one), dtype=np.int8), (one, first + two.astype(np.int64))), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    return np.unique(labels[one], return_inverse=True)[1].astype(np.int32)


def _summed(own: Contributions, of_row: NDArray[np.int32], n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log-likelihoods (n,) and scores (n, P) of the parts of both models."""
    of_part = np.empty(len(own.loglik), dtype=np.int32)
    of_part[own.row_part] = of_row
    return sums_by(of_part, n, own.loglik[:, None])[:, 0], sums_by(of_part, n, own.scores)


def _weights(fits: list[Fit], scores: tuple[NDArray[np.float64], NDArray[np.float64]]) -> NDArray[np.float64]:
    """Vuong's weights: eigenvalues of [[-B1 V1, -C V2], [C' V1, B2 V2]], with V the inverse information, B the sums of
    the squares of scores and C that of the products.
    """
    inverse, used = [], []
    for fit, own in zip(fits, scores, strict=True):
        free = np.flatnonzero(np.isfinite(np.diag(fit.covariance)))  # not those at the boundary
        share = variance_share(fit.design, fit.family, len(fit.beta))
        inverse.append(fit.covariance[np.ix_(free, free)] / share)
        used.append(own[:, free])
    (v1, v2), (s1, s2) = inverse, used
    w = np.block([[-s1.T @ s1 @ v1, -s1.T @ s2 @ v2], [s2.T @ s1 @ v1, s2.T @ s2 @ v2]])
    return np.real(np.linalg.eigvals(w))


def _upper_tail(z: NDArray[np.float64]) -> list[float]:
    from scipy.special import ndtr

    return [float(own) for own in ndtr(-z)]


def _note(fits: list[Fit]) -> str:
    boundary = [fit for fit in fits if np.isnan(np.diag(fit.covariance)).any()]
    if not boundary:
        return ""
    return f"parameters of '{boundary[0].design.formula}' at the boundary are held there"
