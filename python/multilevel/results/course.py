"""Results: how the fit went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from .part import Part

if TYPE_CHECKING:
    from ..family.registry import Family
    from ..fitting.certificate import Certificate, Optimization


class Course(Part):
    """The search, its certificate, and what the fit says of itself."""

    @property
    def converged(self) -> bool:
        """Whether the point reported is a certified maximum of the (approximated) likelihood.

        It does not say that no other maximum is higher (`SeveralMaximaWarning`, `FewRowsWarning`), nor that the
        approximation is close (`QuadratureWarning`).
        """
        return self.fit.converged

    @property
    def status(self) -> str:
        """How the fit ended: "converged", "separation", "not identified", "not resolved" (by the quadrature points),
        "several maxima" or "not converged".
        """
        return self.fit.status

    @property
    def message(self) -> str:
        """Why the fit did not converge; empty when it did."""
        return self.fit.message

    @property
    def optimization(self) -> Optimization:
        """Iterations, evaluations, seconds, threads and trace."""
        return self.fit.optimization

    @property
    def certificate(self) -> Certificate:
        """What was measured at the optimum: predicted gain, eigenvalues, gradient, boundary scores, quadrature."""
        return self.fit.certificate

    @property
    def singular(self) -> bool:
        """Whether a variance is exactly zero or a correlation exactly plus or minus one."""
        return self.fit.singular

    @property
    def n_quadrature(self) -> int:
        """Quadrature points per random effect; 1 is the Laplace approximation."""
        return self.fit.n_quadrature

    @property
    def quadrature_table(self) -> pd.DataFrame:
        """What n_quadrature="auto" saw: points, log-likelihood, and the largest shift to be expected in SEs."""
        return pd.DataFrame(self.fit.quadrature_table, columns=["n_points", "loglik", "largest_shift"])

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of all parameters (beta, theta, phi), in the order of `certificate.gradient` and of `start=`."""
        return self.fit.parameter_names

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the fit has to say about itself."""
        return self.fit.warnings

    @property
    def family(self) -> Family:
        """Family and link."""
        return self.fit.family

    @property
    def formula(self) -> str:
        """The formula as written."""
        return str(self.fit.design.formula)
