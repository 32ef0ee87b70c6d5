"""What was measured at the optimum, and how it was reached, read from the core's record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .covariance import boundary_place

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .._core import FitRecord
    from ..design.design import Design


@dataclass(frozen=True)
class BoundaryScore:
    """d log-likelihood / d variance at a variance that is exactly zero: negative where zero is the maximum.

    Attributes
    ----------
    term, name : str
        Grouping factor and random effect.
    score : float
    kind : {"variance", "correlation", "limit"}
        Whether the effect's own variance is zero, or only what earlier effects of its term leave of it: then its
        correlation with them is exactly 1 or -1. "limit": the one correlation of a structure is at an end of its range,
        and the score is d log-likelihood / d correlation towards the inside.
    """

    term: str
    name: str
    score: float
    kind: str = "variance"


@dataclass(frozen=True)
class QuadratureCheck:
    """What more quadrature points would change, at the estimates.

    Attributes
    ----------
    n_points : int
        Points per dimension of the check.
    change_deviance : float
        Change of -2 log-likelihood.
    shift_se : ndarray, (P,)
        Change of each estimate in standard errors, to first order; NaN at the boundary.
    """

    n_points: int
    change_deviance: float
    shift_se: NDArray[np.float64]

    @property
    def largest_shift(self) -> float:
        """The largest of `shift_se` in absolute value."""
        finite = np.abs(self.shift_se[np.isfinite(self.shift_se)])
        return float(finite.max()) if finite.size else 0.0


@dataclass(frozen=True)
class Certificate:
    """What was measured at the optimum.

    Attributes
    ----------
    predicted_gain : float
        Log-likelihood that one more Newton step would gain.
    eigenvalues : ndarray
        Of the observed information scaled to a unit diagonal, ascending; all positive at a regular maximum.
    gradient : ndarray, (P,)
        Of the log-likelihood, per parameter.
    boundary : tuple of BoundaryScore
        One for each variance that is exactly zero.
    quadrature : QuadratureCheck or None
        None where the approximation is exact, or a check would pass the cost limit.
    """

    predicted_gain: float
    eigenvalues: NDArray[np.float64]
    gradient: NDArray[np.float64]
    boundary: tuple[BoundaryScore, ...]
    quadrature: QuadratureCheck | None


@dataclass(frozen=True)
class Optimization:
    """How the optimum was reached.

    Attributes
    ----------
    n_iterations : int
    n_evaluations : int
        Of log-likelihood, gradient and Hessian together, on all rows.
    n_start_evaluations : int
        Evaluations for starting values: on part of the rows, or of the Laplace approximation before quadrature.
    n_other_evaluations : int
        Evaluations of the searches in `other_starts`.
    seconds : float
        In the core.
    threads : int
        As asked for; 0 is all. The numbers do not depend on it.
    trace : tuple of (float, float, str)
        Log-likelihood, predicted gain, kind of step that led there.
    other_starts : tuple of (str, float)
        Where anything looked odd the search was run from elsewhere as well: from where, and the log-likelihood reached.
        The best of all is what is reported.
    other_maxima : tuple of (float, ndarray)
        Certified maxima that these searches found below what is reported, by less than 1.92 (half of the 95 % point of
        chi-square with one degree of freedom), the highest first: log-likelihood, and the parameters as in `fit.psi`,
        from where `model.fit(start=)` looks at such a maximum.
    """

    n_iterations: int
    n_evaluations: int
    n_start_evaluations: int
    seconds: float
    threads: int
    trace: tuple[tuple[float, float, str], ...]
    other_starts: tuple[tuple[str, float], ...] = ()
    n_other_evaluations: int = 0
    other_maxima: tuple[tuple[float, NDArray[np.float64]], ...] = ()


def certificate(record: FitRecord, design: Design, random_cov: tuple[NDArray[np.float64], ...]) -> Certificate:
    """What the core measured, with the names of the random effects."""
    boundary = []
    for k, position, score in record.boundary:
        term = design.random_terms[k]
        name, kind = boundary_place(term.structure, term.names, random_cov[k], position)
        boundary.append(BoundaryScore(design.grouping_factors[term.grouping_factor].name, name, score, kind))
    return Certificate(
        predicted_gain=record.predicted_gain,
        eigenvalues=record.eigenvalues,
        gradient=record.gradient,
        boundary=tuple(boundary),
        quadrature=quadrature_check(record),
    )


def quadrature_check(record: FitRecord) -> QuadratureCheck | None:
    """What the core found with more points; None where it did not look."""
    n_points, exact, change, shift = record.quadrature
    return None if exact or n_points == 0 else QuadratureCheck(n_points, change, shift)


def optimization(record: FitRecord, threads: int) -> Optimization:
    """How the core got there."""
    return Optimization(
        n_iterations=max(0, len(record.trace) - 1),
        n_evaluations=record.n_evaluations,
        n_start_evaluations=record.n_start_evaluations,
        n_other_evaluations=record.n_other_evaluations,
        seconds=record.seconds,
        threads=threads,
        trace=tuple(record.trace),
        other_starts=tuple(record.other_starts),
        other_maxima=tuple(record.other_maxima),
    )
