"""The table of covariance parameters that programs with such a table share: a row each, with a standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..tables.page import format_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .numbers import CovarianceParameter


def short_label(parameter: CovarianceParameter) -> str:
    """What SAS and SPSS call a parameter within its group: "UN(2,1)", "Intercept", "AR(1)"."""
    if parameter.group == "Residual" and not parameter.structure:
        return "Residual"
    structure, (i, j) = parameter.structure, parameter.place
    heterogeneous = structure in ("compound symmetry", "heterogeneous ar1")
    if parameter.kind == "correlation":
        kind = "AR(1)" if "ar1" in structure else "CS"
        return f"{'ARH(1)' if 'ar1' in structure else 'CSH'} rho" if heterogeneous else f"{kind} rho"
    if structure == "diagonal" or (structure == "unstructured" and i == j == 1 and parameter.alone):
        return effect(parameter.names[0])
    if heterogeneous:
        return f"Var({i})"
    if structure in ("homogeneous diagonal", "homogeneous compound symmetry", "ar1"):
        return "Variance"
    return f"UN({i},{j})"


def effect(name: str) -> str:
    """A random effect without the parentheses of the intercept."""
    return name.replace("(Intercept)", "Intercept")


def each(values: Sequence[float], digits: int = 4) -> list[str]:
    """Numbers on scales of their own, each with its digits; a dot where there is none."""
    return ["." if text == "NaN" else text for value in values for text in format_numbers([value], digits)]
