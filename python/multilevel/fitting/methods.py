"""Which method a model is fitted by, and what each of them asks of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import DataError
from .parameters import is_exact, is_linear
from .quasi import QUASI

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..design.design import Design
    from ..family.registry import Family


def method_of(asked: str | None, design: Design, family: Family) -> str:
    """The method asked for, or the default of the model.

    Raises
    ------
    DataError
        There is no such method, or the model cannot be fitted by it.
    """
    if asked not in (None, "ml", "reml", *QUASI):
        raise DataError(
            f"method={asked!r} is not known; there are 'ml' (maximum likelihood), 'reml' (restricted maximum "
            f"likelihood), and quasi-likelihood ({', '.join(map(repr, QUASI))})"
        )
    if asked is None:
        return "reml" if is_linear(design, family) and design.random_terms else "ml"
    if asked == "reml":
        _check_restricted(design, family)
    return asked


def _check_restricted(design: Design, family: Family) -> None:
    exact = is_exact(design, family)
    if family.is_linear and not exact:
        raise DataError(
            "method='reml' needs a dispersion without random effects: given those the fixed effects cannot be "
            "integrated out of the likelihood exactly. Use method='ml'"
        )
    if not exact:
        raise DataError(
            f"method='reml' needs the gaussian family with the identity link, and this model is "
            f"{family.name}({family.link}): only there can the fixed effects be integrated out of the "
            "likelihood exactly. Use method='ml'"
        )
    if not design.random_terms:
        raise DataError(
            "method='reml' needs a random-effects term, and the formula has none: it is fitted by least squares, "
            "with the residual variance over rows minus coefficients, as REML has it. Leave method= out"
        )


def check_quasi(family: Family, n_quadrature: int | str, start: ArrayLike | None) -> None:
    """Refuses of quasi-likelihood what it has not.

    Raises
    ------
    DataError
        The family has no mean and variance in each row, or an argument is that of maximum likelihood.
    """
    if family.support == "choices":
        raise DataError("quasi-likelihood needs a mean and a variance in each row, which choices have not; use 'ml'")
    if n_quadrature != 1:
        raise DataError(
            "n_quadrature= goes with method='ml'; quasi-likelihood has no integral that points could approximate"
        )
    if start is not None:
        raise DataError("start= goes with method='ml'; quasi-likelihood starts from the fit without random effects")
