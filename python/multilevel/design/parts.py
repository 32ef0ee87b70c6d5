"""Parts of the model beside the mean: columns that one of the family's parameters depends on, ``dispersion="~ x"``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import DataError, FormulaError
from ..formula.parse import Formula, parse_part
from .fixed import FixedColumn, FixedTerm, without_intercept

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from ..family.registry import Family, Zero


@dataclass(frozen=True)
class DesignPart:
    """The columns of a part, and the parameter of the family that they make.

    A part that is a constant alone has none: it is a parameter like others.

    Attributes
    ----------
    name : str
        "dispersion", "zero": what the part is called.
    parameter : str
        The parameter of the family, whose phi is the columns times their coefficients.
    formula : Formula
        Without a response.
    fixed : tuple of FixedColumn
        Redundant columns included: the core finds them.
    fixed_terms : tuple of FixedTerm
    offset : ndarray of float64, or None
    """

    name: str
    parameter: str
    formula: Formula
    fixed: tuple[FixedColumn, ...]
    fixed_terms: tuple[FixedTerm, ...]
    offset: NDArray[np.float64] | None

    def without_intercept(self) -> DesignPart:
        """The same without the constant column."""
        fixed, terms = without_intercept(self.fixed, self.fixed_terms)
        return replace(self, fixed=fixed, fixed_terms=terms)


def with_parts(
    family: Family, dispersion: str | None, zero_inflation: str | bool | None, hurdle: str | bool | None
) -> tuple[Family, dict[str, str]]:
    """The family with the zero part asked for, and the formulas of the parts beside the mean.

    Raises
    ------
    DataError
        Two zero parts are asked for, or the family has none.
    """
    parts = {} if dispersion is None else {"dispersion": dispersion}
    if zero_inflation not in (None, False) and hurdle not in (None, False):
        raise DataError("zero_inflation= and hurdle= are two ways to make zeros; give one of them")
    asked: tuple[tuple[Zero, str | bool | None], ...] = (("inflation", zero_inflation), ("hurdle", hurdle))
    for zero, formula in asked:
        if formula is None or formula is False:
            continue
        if family.zero not in ("", zero):
            raise DataError(f"{family!r} has a zero part of another kind; give it in one place")
        family = family.with_zero(zero)
        if formula is not True:
            parts["zero"] = formula
    return family, parts


def is_constant(formula: Formula) -> bool:
    """Whether the formula of a part is the intercept alone."""
    return formula.fixed.intercept and not (formula.fixed.atoms or formula.offsets or formula.bars)


def read_parts(given: Mapping[str, str], family: Family) -> tuple[tuple[str, str, Formula], ...]:
    """Name, parameter and formula of each part that is more than a constant."""
    read = []
    for name, text in given.items():
        if family.kinds:
            raise DataError(
                f"{name}={text!r}: where each kind of rows has a family of its own, its parameters are the same for "
                "all rows of the kind; rows that differ can be kinds of their own"
            )
        parameter = next((own for own in family.parameters if own.part == name), None)
        if parameter is None:
            own = ", ".join(repr(p.name) for p in family.parameters) or "none"
            raise DataError(f"{name}={text!r}: the {family.name} family has no {name} (its parameters: {own})")
        if parameter.name in family.given:
            raise DataError(f"{name}={text!r}: '{parameter.name}' of the {family.name} family is given already")
        try:
            formula = parse_part(text)
        except FormulaError as error:
            raise FormulaError(f"{name}: {error}") from None
        if name == "scale" or not is_constant(formula):
            read.append((name, parameter.name, formula))
    return tuple(read)
