"""The estimates where the fixed part reproduces the response: the likelihood has no maximum, least squares have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns.least_squares import dense, in_terms_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..design.design import Design
    from ..family.registry import Family


def exact_parameters(design: Design, family: Family, kept: tuple[str, ...], n_parameters: int) -> NDArray[np.float64]:
    """(beta, theta, phi) with coefficients that reproduce the response, no random effects, and a dispersion of zero.

    Parameters
    ----------
    design : Design
    family : Family
        With parameters of its own, on the logarithmic scale.
    kept : tuple of str
        Columns with a coefficient.
    n_parameters : int

    Returns
    -------
    ndarray, (n_parameters,)
    """
    if family.kinds:  # one kind's dispersion has vanished; nothing is known of the others
        return np.full(n_parameters, np.nan)
    n, names = design.n_rows, set(kept)
    columns = [column.values for column in design.fixed if column.name in names]
    eta = family.link_of_mean(design.response.values) - (0.0 if design.offset is None else design.offset)
    psi = np.zeros(n_parameters)
    # whichever way a parameter goes as the dispersion vanishes; one that does not change it stays where it is
    middle = {own.name: own.natural(0.0) for own in family.parameters}
    if design.parts:
        psi[len(columns) :] = np.nan
    for r, own in enumerate(family.parameters if not design.parts else ()):
        rise = family.dispersion(middle | {own.name: own.natural(1.0)}) - family.dispersion(middle)
        psi[n_parameters - len(family.parameters) + r] = -np.inf if rise > 0 else np.inf if rise < 0 else 0.0
    if columns:
        psi[: len(columns)] = _regression(columns, eta)
        psi[: len(columns)] += _regression(columns, eta - _product(columns, psi, n))  # the last digits
    return psi


def _regression(columns: list[NDArray[Any] | None], y: NDArray[np.float64]) -> NDArray[np.float64]:
    n = len(y)
    return in_terms_of(lambda rows: dense(columns, rows, n), lambda rows: y[rows, None], n)[0][:, 0]


def _product(columns: list[NDArray[Any] | None], beta: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    total = np.zeros(n)
    for column, coefficient in zip(columns, beta, strict=False):
        total += coefficient if column is None else coefficient * column
    return total
