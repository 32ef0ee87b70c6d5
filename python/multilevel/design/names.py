"""The names that a formula and its arguments use: whether the data have them, and which columns are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..columns.coding import factor_column
from ..columns.expressions import check_names
from ..errors import DataError, FormulaError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..columns.frame import Frame
    from ..columns.transforms import UserFunctions
    from ..formula.parse import Formula
    from ..formula.terms import Atom, Bar


def columns_used(
    formula: Formula, atoms: Iterable[Atom], bars: Iterable[Bar], frame: Frame, functions: UserFunctions
) -> list[str]:
    """The columns that these atoms and the grouping factors of these bars need, each once; all must be there."""
    names = check_names(formula.source, tuple(dict.fromkeys(atoms)), frame, functions)
    groups = check_names(formula.source, formula.group_atoms(bars), frame)
    return list(dict.fromkeys((*names, *groups)))


def column_named(name: Any, argument: str, frame: Frame) -> str:
    """The name of a column that an argument gives.

    Raises
    ------
    DataError
        The data have no such column.
    """
    if name not in frame:
        raise DataError(f"{argument}={name!r} is no column of the data; there are {', '.join(map(str, frame.names))}")
    return str(name)


def checked_contrasts(contrasts: Mapping[str, Any] | None, formulas: Iterable[Formula]) -> Mapping[str, Any]:
    """The argument, when it is a mapping from variables of the formulas."""
    if contrasts is not None and not isinstance(contrasts, Mapping):
        raise DataError(
            "contrasts must be a mapping of columns to codings, such as {'column': 'sum'}; "
            f"got {contrasts!r:.60}, of type {type(contrasts).__name__}"
        )
    contrasts = dict(contrasts or {})
    atoms = dict.fromkeys(atom for formula in formulas for atom in formula.predictor_atoms)
    known = list(dict.fromkeys(atom.text for atom in atoms))
    names = {*known, *(factor_column(atom) for atom in atoms)}
    for name in contrasts:
        if name not in names:
            raise FormulaError(f"contrasts: the formula has no '{name}'; it has {', '.join(known) or 'no predictors'}")
    return contrasts
