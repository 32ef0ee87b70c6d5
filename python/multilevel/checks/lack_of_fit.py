"""Whether the probabilities of a binary model are right, without groups of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..columns.least_squares import dense, in_terms_of
from ..errors import DataError
from .drawn_effects import drawn_effects
from .row_tests import RowTest

if TYPE_CHECKING:
    from ..fitting.record import Fit


def is_binary(fit: Fit) -> bool:
    """Whether each response is one trial without a zero part."""
    size = fit.design.response.size
    return fit.family.independent_trials and not fit.family.zero and (size is None or bool((size == 1).all()))


def lack_of_fit(fit: Fit, seed: int | None = 0) -> RowTest:
    """The unweighted sum of squares of a binary model: sum of (y - mu)^2 against its expectation.

    The random effects are drawn from their distribution given the data, so that rows are independent; that coefficients
    were estimated is taken out of the variance. Tests on bins of predicted probabilities, Hosmer and Lemeshow's among
    them, depend on how the bins are made; deviance and Pearson's sum say nothing where there is one trial per row.

    Returns
    -------
    RowTest
        z, its two-sided p-value, and the two sums in words.

    Raises
    ------
    DataError
        The response is not one trial per row.

    References
    ----------
    Hosmer, Hosmer, le Cessie & Lemeshow (1997) Statist. Med. 16:965-980; Copas (1989) Appl. Statist. 38:71-80.
    """
    from scipy.special import ndtr

    if not is_binary(fit):
        raise DataError(
            f"lack_of_fit is for binary responses, one trial per row; this one is {fit.family.name} "
            "(check() tests dispersion and residuals of all families)"
        )
    fit.need_likelihood("lack_of_fit()")
    fit.need_rows("lack_of_fit()")
    if not np.isfinite(fit.loglik):
        raise DataError(f"the fit has no probabilities to test ({fit.message or fit.status})")
    eta = fit.linear_predictor(drawn_effects(fit, np.random.default_rng(seed)))
    mu = fit.family.mean(eta)
    variance = mu * (1.0 - mu)
    given = fit.design.weights
    weights = np.ones_like(mu) if given is None else given
    observed = float(np.sum(weights * (fit.design.response.values - mu) ** 2))
    expected = float(np.sum(weights * variance))
    step = 1e-5
    slope = (fit.family.mean(eta + step) - fit.family.mean(eta - step)) / (2 * step)
    # sum of (1 - 2 mu)(y - mu), less its regression on what the score of the coefficients sees
    root = np.sqrt(np.maximum(variance, np.finfo(float).tiny))
    target = weights * (1.0 - 2.0 * mu) * root
    fixed = [column.values for column in fit.design.fixed if column.name in set(fit.fixed_names)]
    n = fit.n_rows
    _, left = in_terms_of(
        lambda rows: dense(fixed, rows, n) * (slope / root)[rows, None], lambda rows: target[rows, None], n
    )
    sd = float(np.sqrt(np.sum(target**2) * left[0]))
    if not sd > 1e-8 * expected:
        return RowTest(np.nan, np.nan, "all probabilities are nearly one half: nothing to test")
    z = (observed - expected) / sd
    return RowTest(z, float(2.0 * ndtr(-abs(z))), f"{observed:.2f}, expected {expected:.2f}")
