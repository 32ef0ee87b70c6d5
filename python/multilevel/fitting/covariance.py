"""Covariance structures of random-effects terms: names of their parameters, and what these make of the covariance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multilevel import _core

from ..formula.structures import factor_names, rank_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

INDEPENDENT = ("diagonal", "homogeneous diagonal")


def parameter_names(structure: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """What each parameter of a term is called, given the names of its columns.

    Entries of a Cholesky factor are called "x" on the diagonal and "x, (Intercept)" below it, loadings "x, factor 1",
    or "x, math" where factors have names, with "math, verbal" for what makes their correlation;
    else "sd x", "sd" (one for all columns) and "correlation".
    """
    return tuple(_name(label, names, structure) for label in _core.Structure(structure, len(names)).labels)


def _name(label: str, names: tuple[str, ...], structure: str) -> str:
    kind, *places = label.split(" ")
    at = [int(place) for place in places]
    if kind == "sd":
        return f"sd {names[at[0]]}" if at else "sd"
    if kind in ("loading", "factors"):
        factors = factor_names(structure)
        return f"{names[at[0]] if kind == 'loading' else factors[at[0]]}, {factors[at[1]]}"
    if kind != "entry":
        return label
    row, column = at
    if structure.startswith("reduced rank"):
        return f"{names[row]}, factor {column + 1}"
    return names[row] if row == column else f"{names[row]}, {names[column]}"


def rank(structure: str, q: int) -> int:
    """The most independent effects that the effects of a term are made of."""
    found = rank_of(structure)
    return q if found is None else found


def scales(structure: str, q: int) -> NDArray[np.float64]:
    """Which parameters grow with the factor when all of it is multiplied by a number: 1, and 0 of the others."""
    labels = _core.Structure(structure, q).labels
    return np.array([float(label.split(" ")[0] not in ("correlation", "factors")) for label in labels])


def correlation_position(structure: str, q: int) -> int | None:
    """Where the parameter of the one correlation stands among those of the term; None if there is no such thing."""
    labels = _core.Structure(structure, q).labels
    return labels.index("correlation") if "correlation" in labels else None


def factor(structure: str, theta: NDArray[np.float64], q: int) -> NDArray[np.float64]:
    """The lower factor L of the covariance L L' of a term with q columns, (q, q)."""
    return _core.Structure(structure, q).factor(theta)


def factor_correlations(
    structure: str, theta: NDArray[np.float64], q: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correlations of the factors of a confirmatory structure, (d, d), and their derivatives by c, (n_c, d, d).

    Row m of their Cholesky factor is (c_m0, ..., c_m(m-1), 1) over its length; c is the end of theta.
    """
    d = rank(structure, q)
    rows, columns = np.tril_indices(d, -1)
    half = np.eye(d)
    half[rows, columns] = theta[len(theta) - len(rows) :]
    length = np.linalg.norm(half, axis=1)
    half /= length[:, None]
    found = half @ half.T
    slopes = np.zeros((len(rows), d, d))
    for own, m, a in zip(slopes, rows, columns, strict=True):
        own[m] = (half[:, a] - found[m] * half[m, a]) / length[m]
        own[m, m] = 0.0
        own[:, m] = own[m]
    return found, slopes


def jacobian(structure: str, theta: NDArray[np.float64], q: int) -> NDArray[np.float64]:
    """Derivatives of the covariance, (n_theta, q, q)."""
    own = _core.Structure(structure, q)
    half = own.jacobian(theta) @ own.factor(theta).T
    return half + half.transpose(0, 2, 1)


def boundary_place(
    structure: str, names: tuple[str, ...], covariance: NDArray[np.float64], position: int
) -> tuple[str, str]:
    """Name and kind of what the core reports at a boundary.

    Parameters
    ----------
    structure : str
    names : tuple of str
        Of the term's columns.
    covariance : ndarray, (q, q)
    position : int
        Column of the term, or -1 for the one correlation of its structure.

    Returns
    -------
    tuple of str
        The column, or all of them where they share what is reported, as those of reduced rank do when all variances are
        zero; and "variance" (it is zero), "correlation" (only
        what other columns leave of the variance is zero) or "limit" (the structure's correlation is at an end of its
        range).
    """
    shared = names[0] if len(names) == 1 else f"{names[0]}, ..., {names[-1]}"
    if position < 0:
        return shared, "limit"
    nothing_left = structure.startswith("reduced rank") and not covariance.any()
    if nothing_left or "sd" in _core.Structure(structure, len(names)).labels:
        return shared, "variance"
    return names[position], "correlation" if covariance[position, position] > 0 else "variance"
