"""Whether the points of a rule resolve the likelihood where random effects are enormous.

A rule of Gauss-Hermite has its nodes where a normal density has its weight. Where effects are enormous the density of
one given the data is half of a normal one, cut off where its responses begin to be impossible: it takes hundreds of
points to resolve that edge, and until then a rule with a few more looks the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConvergenceWarning, FewRowsWarning, QuadratureWarning, SeveralMaximaWarning
from .drawn_integral import by_draws
from .one_integral import by_panels
from .spread import large_spread
from .verdict import Verdict

if TYPE_CHECKING:
    from .record import Fit

# Of the log-likelihood, between rule and integral.
CLOSE, WORTH_A_WORD, TOO_MUCH = 0.01, 0.05, 1.0  # the last: what AIC charges for a parameter
ERRORS = 3.0  # of an integral by draws, which is no closer than that


def is_close(fit: Fit) -> bool:
    """Whether a rule gives the log-likelihood, as far as that is asked."""
    exact = integrated(fit)
    return exact is None or abs(exact[0] - fit.loglik) < CLOSE + ERRORS * exact[1]


def resolved(fit: Fit) -> Fit:
    """The fit, or one that says that its rule is off, and that is no maximum of a likelihood where it is far off."""
    exact = integrated(fit) if fit.converged else None
    if exact is None:
        return fit
    value, error = exact
    off = abs(value - fit.loglik) - ERRORS * error
    if not off > WORTH_A_WORD:
        return fit
    sd = large_spread(fit.design, fit.family, fit.random_cov)
    how = f"by draws at the same parameters {value:.6g} (error {error:.2g})"
    measured = (
        f"with {fit.n_quadrature} quadrature points the log-likelihood is {fit.loglik:.6g}, and "
        f"{how if error else f'integrated in small steps at the same parameters {value:.6g}'}: random effects with a "
        f"standard deviation of {sd:.3g} on the scale of the link have densities given the data that such points do "
        "not resolve"
    )
    kept = tuple(own for own in fit.verdict.remarks if own[0] is not QuadratureWarning)
    if off < TOO_MUCH:
        text = f"{measured}. More points may come closer; a term less, or more rows for each group, would"
        return replace(fit, verdict=replace(fit.verdict, remarks=(*kept, (QuadratureWarning, text))))
    message = (
        f"{measured}. The maximum found is one of the rule and not of the likelihood, which is reported as NaN; use "
        "n_quadrature='auto', leave random effects out, or collect more rows for each group"
    )
    of_certified = (SeveralMaximaWarning, FewRowsWarning)
    remarks = ((ConvergenceWarning, message), *(own for own in kept if own[0] not in of_certified))
    verdict = Verdict(False, "not resolved", message, remarks)
    return replace(fit, verdict=verdict, loglik=np.nan)


def integrated(fit: Fit) -> tuple[float, float] | None:
    """The log-likelihood at the parameters of a fit, and its error; None where that is no question, or cannot be had.

    It is a question where a rule of several points stands for the integral over random effects of the mean for each
    group whose standard deviation is large beside the range of the link.
    """
    design = fit.design
    if fit.n_quadrature == 1 or len(design.grouping_factors) != 1 or design.choices is not None or fit.family.in_python:
        return None
    if any(term.parameter for term in design.random_terms) or not np.isfinite(fit.psi).all():
        return None
    if not large_spread(design, fit.family, fit.random_cov):
        return None
    if sum(len(term.columns) for term in design.random_terms) > 1:
        return by_draws(fit)
    value = by_panels(fit)
    return None if value is None else (value, 0.0)
