"""The likelihood of one random effect for each group, integrated in steps as small as it takes.

A rule of Gauss-Hermite has its nodes where a normal density has its weight. Where effects are enormous the density of
one given the data is half of a normal one, cut off where its responses begin to be impossible: it takes hundreds of
points to resolve that edge, and until then a rule with a few more looks the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConvergenceWarning, FewRowsWarning, QuadratureWarning, SeveralMaximaWarning
from .spread import large_spread
from .verdict import Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .record import Fit

    Array = NDArray[np.float64]

MOST_VALUES = 5e7  # log densities of rows: a second or two
AT_ONCE = 2_000_000
REACH, PANEL = 12.0, 0.5  # in standard deviations of the effect
ORDER = 10
ERROR = 1e-9  # of a group's integral, panel by panel
# Of the log-likelihood, between rule and integral.
CLOSE, WORTH_A_WORD, TOO_MUCH = 0.01, 0.05, 0.5


def is_close(fit: Fit) -> bool:
    """Whether a rule gives the log-likelihood, as far as that is asked."""
    exact = integrated(fit)
    return exact is None or abs(exact - fit.loglik) < CLOSE


def resolved(fit: Fit) -> Fit:
    """The fit, or one that says that its rule is off, and that is no maximum of a likelihood where it is far off."""
    exact = integrated(fit) if fit.converged else None
    if exact is None or not abs(exact - fit.loglik) > WORTH_A_WORD:
        return fit
    sd = large_spread(fit.design, fit.family, fit.random_cov)
    measured = (
        f"with {fit.n_quadrature} quadrature points the log-likelihood is {fit.loglik:.6g}, and integrated in small "
        f"steps at the same parameters {exact:.6g}: random effects with a standard deviation of {sd:.3g} on the scale "
        "of the link have densities given the data that such points do not resolve"
    )
    kept = tuple(own for own in fit.verdict.remarks if own[0] is not QuadratureWarning)
    if abs(exact - fit.loglik) < TOO_MUCH:
        text = f"{measured}. More points may come closer; a term less, or more rows for each group, would"
        return replace(fit, verdict=replace(fit.verdict, remarks=(*kept, (QuadratureWarning, text))))
    message = (
        f"{measured}. The maximum found is one of the rule and not of the likelihood, which is reported as NaN; use "
        "n_quadrature='auto', leave the random effect out, or collect more rows for each group"
    )
    of_certified = (SeveralMaximaWarning, FewRowsWarning)
    remarks = ((ConvergenceWarning, message), *(own for own in kept if own[0] not in of_certified))
    verdict = Verdict(False, "not resolved", message, remarks, no_likelihood=True)
    return replace(fit, verdict=verdict, loglik=np.nan)


def integrated(fit: Fit) -> float | None:
    """The log-likelihood at the parameters of a fit; None where this is no question, or would cost too much.

    It is one where a rule of several points stands for the integral over one random effect of the mean for each group
    whose standard deviation is large beside the range of the link.
    """
    design = fit.design
    if fit.n_quadrature == 1 or len(design.random_terms) != 1 or len(design.random_terms[0].columns) != 1:
        return None
    term = design.random_terms[0]
    if term.parameter or design.choices is not None or fit.family.in_python or not np.isfinite(fit.psi).all():
        return None
    if not large_spread(design, fit.family, fit.random_cov):
        return None
    return _Panels(fit).integrate()


class _Panels:
    """Panels between the same ends for all groups, halved where one group's integral still changes."""

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        term, factor = fit.design.random_terms[0], fit.design.grouping_factors[0]
        self.codes, self.n_groups = factor.codes, len(factor.levels)
        column = term.columns[0]
        z = np.ones(fit.n_rows) if column is None else np.asarray(column, dtype=float)
        self.slope = z * float(np.sqrt(fit.random_cov[0][0, 0]))
        self.fixed = fit.linear_predictor((np.zeros((self.n_groups, 1)),))
        self.spent = 0.0

    def log_density(self, v: Array) -> Array:
        """Log density of the rows of each group and of its effect at values of it, (m, groups)."""
        fit, n = self.fit, len(v)
        response, weights, phi = fit.design.response, fit.design.weights, fit.row_phi
        with np.errstate(all="ignore"):
            rows = fit.family.log_density(
                (self.fixed + v[:, None] * self.slope).ravel(),
                np.tile(response.values, n),
                None if response.second is None else np.tile(response.second, n),
                None if weights is None else np.tile(weights, n),
                phi if phi.ndim == 1 else np.tile(phi, (n, 1)),
            ).reshape(n, -1)
        sums = np.stack([np.bincount(self.codes, own, self.n_groups) for own in rows])
        return sums - 0.5 * v[:, None] ** 2 - 0.5 * np.log(2.0 * np.pi)

    def values(self, low: Array, high: Array) -> Array:
        """Logarithms of the integrals over panels, (panels, groups)."""
        nodes, weights = np.polynomial.legendre.leggauss(ORDER)
        half = 0.5 * (high - low)
        v = (0.5 * (low + high))[:, None] + half[:, None] * nodes
        found = np.empty((len(low), self.n_groups))
        step = max(1, AT_ONCE // (ORDER * len(self.codes)))
        for k in range(0, len(low), step):
            density = self.log_density(v[k : k + step].ravel()).reshape(-1, ORDER, self.n_groups)
            found[k : k + step] = np.logaddexp.reduce(density + np.log(weights)[:, None], axis=1)
        self.spent += ORDER * len(low) * len(self.codes)
        return found + np.log(half)[:, None]

    def integrate(self) -> float | None:
        """None where it costs too much, or is not finite."""
        low = np.arange(-REACH, REACH, PANEL)
        if 3.0 * ORDER * len(low) * len(self.codes) > MOST_VALUES:
            return None
        high = low + PANEL
        whole, done = self.values(low, high), np.full((1, self.n_groups), -np.inf)
        while len(low):
            middle = 0.5 * (low + high)
            left, right = self.values(low, middle), self.values(middle, high)
            both = np.logaddexp(left, right)
            total = np.logaddexp.reduce(np.concatenate([done, both]))
            if not np.isfinite(total).all():
                return None
            moves = ~(np.abs(np.exp(both - total) - np.exp(whole - total)) <= ERROR).all(axis=1)
            done = np.logaddexp.reduce(np.concatenate([done, both[~moves]]), keepdims=True)
            low, high = np.concatenate([low[moves], middle[moves]]), np.concatenate([middle[moves], high[moves]])
            whole = np.concatenate([left[moves], right[moves]])
            if self.spent + 2.0 * ORDER * len(low) * len(self.codes) > MOST_VALUES:
                return None
        return float(done.sum())
