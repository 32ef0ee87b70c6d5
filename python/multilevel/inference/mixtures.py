"""Mixtures of chi-square distributions: likelihood ratios where parameters are at the boundary of their range.

Near the hypothesis the likelihood ratio is the squared length, in the metric of the information J, of the projection of
a normal vector on the cone of what the parameters may be. It is chi-square with k degrees of freedom with the
probability that is the k-th share of the cone. Shares with k even, and those with k odd, add up to one half each, so
that in two or three dimensions the probabilities of the cone and of its polar cone tell the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ANGLES = 720  # of a periodic integral of an analytic function: its error falls faster than any power
Mixture = dict[int, float]  # degrees of freedom: share


def tail(chi2: float, mixture: Mixture) -> float:
    """Probability of more than `chi2`; chi-square with zero degrees of freedom is zero."""
    from scipy.special import chdtrc

    return float(sum(share * (chdtrc(df, chi2) if df else float(chi2 <= 0)) for df, share in mixture.items()))


def upper_bound(df: int) -> Mixture:
    """The mixture whose tail is at least that of any other cone of this dimension that is no linear space.

    References
    ----------
    Kodde & Palm (1986) Econometrica 54:1243-1248.
    """
    return {df - 1: 0.5, df: 0.5}


def shifted(mixture: Mixture, free: int) -> Mixture:
    """The same with `free` more parameters that are not at a boundary."""
    return {df + free: share for df, share in mixture.items() if share}


def of_variances(information: NDArray[np.float64]) -> Mixture | None:
    """Variances that are all zero: the cone of vectors without negative elements; None for more than three.

    Parameters
    ----------
    information : (k, k) ndarray
        Of the variances, that of the other parameters taken out.
    """
    k = len(information)
    if k == 1:
        return {0: 0.5, 1: 0.5}
    inside = _orthant(_inverse(information))
    if k == 2:
        return {0: 0.5 - inside, 1: 0.5, 2: inside}
    if k == 3:
        outside = _orthant(information)
        return {0: outside, 1: 0.5 - inside, 2: 0.5 - outside, 3: inside}
    return None


def of_covariance_matrix(information: NDArray[np.float64]) -> Mixture:
    """A covariance matrix of two effects that is zero: the cone of (variance, covariance, variance) of such matrices.

    Parameters
    ----------
    information : (3, 3) ndarray
        Of these, that of the other parameters taken out.
    """
    # the polar cone: [[a, b / 2], [b / 2, c]] negative semidefinite
    inside = _cone(_inverse(information), np.array([[0, 0, 0.5], [0, -1.0, 0], [0.5, 0, 0]]))
    outside = _cone(information, np.array([[0, 0, 0.5], [0, -0.25, 0], [0.5, 0, 0]]))
    return {0: outside, 1: 0.5 - inside, 2: 0.5 - outside, 3: inside}


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def _orthant(covariance: NDArray[np.float64]) -> float:
    """Probability that all of two or three normal variables are positive."""
    sd = np.sqrt(np.diag(covariance))
    pairs = np.triu_indices(len(sd), 1)
    angles = np.arcsin(np.clip((covariance / np.outer(sd, sd))[pairs], -1.0, 1.0)).sum()
    return float(0.25 + angles / (2 * np.pi)) if len(sd) == 2 else float(0.125 + angles / (4 * np.pi))


def _cone(covariance: NDArray[np.float64], form: NDArray[np.float64]) -> float:
    """Probability that three normal variables lie in one half of the double cone x' form x > 0."""
    root = np.linalg.cholesky(covariance)
    values = np.sort(np.linalg.eigvalsh(root.T @ form @ root))[::-1]  # one is positive
    angle = (np.arange(ANGLES) + 0.5) * (2 * np.pi / ANGLES)
    slope = (-values[1] * np.cos(angle) ** 2 - values[2] * np.sin(angle) ** 2) / values[0]
    return float(0.5 * np.mean(1.0 - np.sqrt(slope / (1.0 + slope))))
