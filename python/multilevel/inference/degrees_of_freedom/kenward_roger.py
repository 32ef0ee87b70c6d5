"""Kenward and Roger's small-sample inference for the fixed effects of a REML fit.

With Phi = (X' V^-1 X)^-1 and V linear in its parameters with derivatives G_r,

    P_r  = -X' V^-1 G_r V^-1 X          Q_rs = X' V^-1 G_r V^-1 G_s V^-1 X
    W    = inverse of the expected REML information, 1/2 tr(P G_r P G_s)
    Phi_adjusted = Phi + 2 Phi [ sum_rs W_rs (Q_rs - P_r Phi P_s) ] Phi

None of this depends on the basis of the directions G_r, so V itself takes the place of the residual variance: its terms
need no sum over rows. G_r = Z g_r Z' is a change of a random-effects covariance, hence all that is needed besides
F = Z' V^-1 X is M = Z' V^-1 Z (random_cross_products.py). For structures that are not linear (AR(1) and others) G_r is
the first derivative at the estimate and second derivatives are left out, as SAS does with
DDFM=KENWARDROGER(FIRSTORDER).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from ...errors import DataError
from .random_cross_products import parts
from .variance_directions import linear_directions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...fitting.record import Fit

NULL_INFORMATION = 1e-10  # eigenvalues of the information below this share of the largest are none


@dataclass(frozen=True)
class Adjustment:
    """`weight` W, `phi_p` Phi P_r Phi (k, p, p), and the adjusted covariance (p, p)."""

    weight: NDArray[np.float64]
    phi_p: NDArray[np.float64]
    covariance: NDArray[np.float64]


_known: WeakKeyDictionary[Fit, Adjustment] = WeakKeyDictionary()


def check_fit(fit: Fit) -> None:
    """Refuses fits that the method is not for."""
    if fit.method != "reml":
        raise DataError(
            "df_method='kenward-roger' corrects REML estimates and this fit is by maximum likelihood; "
            "refit with method='reml', or use df_method='satterthwaite'"
        )


def covariance(fit: Fit) -> NDArray[np.float64]:
    """The adjusted covariance of the fixed effects, (p, p)."""
    return adjustment(fit).covariance


def of_rows(fit: Fit, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees of freedom of each row by itself, (k,); the scale of F is 1 then."""
    found = adjustment(fit)
    slopes = np.einsum("kp,rpq,kq->kr", rows, found.phi_p, rows)
    v = np.einsum("kp,pr,kr->k", rows, fit.beta_covariance, rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = 2.0 * v**2 / np.einsum("kr,rs,ks->k", slopes, found.weight, slopes)
    return np.where(df > 0, df, np.nan)


def of_hypothesis(fit: Fit, rows: NDArray[np.float64]) -> tuple[float, float]:
    """Degrees of freedom and scale of the F test of independent rows."""
    found, q = adjustment(fit), len(rows)
    middle = np.linalg.inv(rows @ fit.beta_covariance @ rows.T)
    # Theta Phi P_r Phi, with Theta = L' (L Phi L')^-1 L, seen in the q dimensions of the hypothesis
    seen = middle @ (rows @ found.phi_p @ rows.T)
    trace = np.einsum("raa->r", seen)
    a1 = float(trace @ found.weight @ trace)
    a2 = float(np.einsum("rs,rab,sba->", found.weight, seen, seen))
    if not a2 > 0:
        return np.nan, 1.0
    b = (a1 + 6 * a2) / (2 * q)
    g = ((q + 1) * a1 - (q + 4) * a2) / ((q + 2) * a2)
    below = 3 * q + 2 * (1 - g)
    c1, c2, c3 = g / below, (q - g) / below, (q + 2 - g) / below
    v0, v1, v2 = max(0.0, 1 + c1 * b), 1 - c2 * b, 1 - c3 * b
    # twice the variance over the squared expectation of F; for q = 1 the squares of v1 and of 1 - a2 / q cancel
    ratio = 1.0 if q == 1 else (1 - a2 / q) / v1
    rho = ratio**2 * v0 / (q * v2)
    if not q * rho > 1:
        return np.inf, 1 - a2 / q
    df = 4 + (q + 2) / (q * rho - 1)
    scale = 1.0 if abs(df - 2) < 1e-2 else df * (1 - a2 / q) / (df - 2)
    return float(df), float(scale)


def adjustment(fit: Fit) -> Adjustment:
    """All that the tests of a fit need, computed once."""
    found = _known.get(fit)
    if found is None:
        found = _known[fit] = _adjustment(fit)
    return found


def _adjustment(fit: Fit) -> Adjustment:
    check_fit(fit)
    phi, p = fit.beta_covariance, len(fit.beta)
    directions = [
        (term.grouping_factor, _on_factor(fit, t, change))
        for t, term in enumerate(fit.design.random_terms)
        for change in linear_directions(fit, t)
    ]
    k = len(directions)
    if not p:
        return Adjustment(np.zeros((k + 1, k + 1)), np.zeros((k + 1, 0, 0)), phi)
    trace = np.zeros((k + 1, k + 1))  # of V^-1 G_r V^-1 G_s
    minus_p, q = np.zeros((k + 1, p, p)), np.zeros((k + 1, k + 1, p, p))
    of_factor = [[r for r, (factor, _) in enumerate(directions) if factor == f] for f in range(len(fit.projection))]
    widths = [own.shape[1] for own in fit.projection]
    changes = [
        np.array([directions[r][1] for r in here]).reshape(len(here), width, width)
        for here, width in zip(of_factor, widths, strict=True)
    ]
    flat = [change.reshape(len(change), width**2) for change, width in zip(changes, widths, strict=True)]
    for part in parts(fit):
        # g_r F per direction, (m_f, q_f, k_f * p)
        effects = [
            np.matmul(change, own[:, None]).transpose(0, 2, 1, 3).reshape(*own.shape[:2], len(change) * p)
            for change, own in zip(changes, part.projection, strict=True)
        ]
        for f, here in enumerate(of_factor):
            if not here:
                continue
            trace[here, k] += flat[f] @ part.diagonal(f).ravel()
            rows = effects[f].reshape(-1, len(here) * p)
            minus_p[here] += (part.projection[f].reshape(-1, p).T @ rows).reshape(p, len(here), p).transpose(1, 0, 2)
            for g, there in enumerate(of_factor):
                if not there:
                    continue
                pair = np.ix_(here, there)
                trace[pair] += flat[f] @ part.products(f, g) @ flat[g].T
                columns = part.times(f, g, effects[g]).reshape(len(rows), -1)
                q[pair] += (rows.T @ columns).reshape(len(here), p, len(there), p).transpose(0, 2, 1, 3)
    trace[k, :k] = trace[:k, k]
    # the direction V: P V P = P
    minus_p[k] = np.linalg.inv(phi)
    trace[k, k] = fit.n_rows
    q[k] = q[:, k] = minus_p
    phi_p = phi @ minus_p @ phi
    information = trace - 2 * np.einsum("pr,abpr->ab", phi, q) + np.einsum("apr,brp->ab", phi_p, minus_p)
    weight = 2.0 * _inverse(information)
    total = np.einsum("ab,abpr->pr", weight, q) - np.einsum("ab,apr,brs->ps", weight, minus_p @ phi, minus_p)
    larger = phi + 2.0 * phi @ total @ phi
    return Adjustment(weight, phi_p, (larger + larger.T) / 2)


def _on_factor(fit: Fit, t: int, change: NDArray[np.float64]) -> NDArray[np.float64]:
    """A change of one term's covariance in the coordinates of its grouping factor's random effects."""
    factor = fit.design.random_terms[t].grouping_factor
    size = fit.projection[factor].shape[1]
    whole = np.zeros((size, size))
    at = np.asarray(fit.term_columns[t])
    whole[at[:, None], at[None, :]] = change
    return whole


def _inverse(information: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a symmetric matrix whose rows differ in scale; directions without information count as known."""
    size = np.sqrt(np.diag(information))
    size[~(size > 0)] = 1.0
    values, vectors = np.linalg.eigh(information / np.outer(size, size))
    kept = values > NULL_INFORMATION * values.max()
    half = vectors[:, kept] / np.sqrt(values[kept])
    return half @ half.T / np.outer(size, size)
