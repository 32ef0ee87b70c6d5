"""The columns of the data that predictors were made from: which there are, their kinds, and the values they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..columns.expressions import groups_in, takes_as_labels
from ..columns.levels import label_of, positions
from ..errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..design.source import SourceColumn
    from ..fitting.record import Fit
    from ..formula.terms import Atom


def columns_by_name(fit: Fit) -> dict[str, SourceColumn]:
    """The columns of the data that any predictor or offset was made from."""
    columns = {column.name: column for column in fit.design.source}
    if not columns and any(atom.variables for atom in fit.design.formula.predictor_atoms):
        raise DataError(
            "these results were saved by a version that did not keep the columns of the data; fit the model again"
        )
    return columns


def column_of(fit: Fit, name: str) -> SourceColumn:
    """The column of this name.

    Raises
    ------
    DataError
        The model has no such predictor.
    """
    columns = columns_by_name(fit)
    if name in columns:
        return columns[name]
    known = ", ".join(map(repr, columns)) or "none"
    atoms = {atom.text: atom for atom in fit.design.formula.predictor_atoms}
    if isinstance(name, str) and name in atoms and atoms[name].variables:
        raise DataError(f"{name!r} is made of {', '.join(map(repr, atoms[name].variables))}: name the column itself")
    raise DataError(f"the model has no predictor {name!r}; its predictors are {known}")


def fixed_atoms(fit: Fit, parts: Iterable[str] = ()) -> tuple[Atom, ...]:
    """The variables of the fixed part and the offsets of the mean, and of the parts named."""
    formula, offset = fit.design.formula, fit.design.coding.offset.expression
    atoms = [*formula.fixed.atoms, *formula.offsets, *(() if offset is None else (offset,))]
    for part in fit.design.parts:
        if part.name in parts:
            atoms += [*part.formula.fixed.atoms, *part.formula.offsets]
    return tuple(dict.fromkeys(atoms))


def names_in(atoms: Iterable[Atom], fit: Fit) -> list[str]:
    """The columns that variables are made of, in the order of the formula."""
    columns = columns_by_name(fit)
    return list(dict.fromkeys(name for atom in atoms for name in atom.variables if name in columns))


def is_number(fit: Fit, column: SourceColumn) -> bool:
    """Whether a column counts as a number: not truth values, nor numbers that the formula makes a factor of."""
    if column.kind != "number":
        return False
    atoms = [atom for atom in all_atoms(fit) if column.name in atom.variables]
    return not atoms or not all(takes_as_labels(atom, column.name) for atom in atoms)


def is_grouping(fit: Fit, name: str) -> bool:
    """Whether a column stands in the predictors as groups alone, those of ``within(x, g)`` and ``between(x, g)``."""
    atoms = [atom for atom in all_atoms(fit) if name in atom.variables]
    return bool(atoms) and all(name in groups_in(atom) for atom in atoms)


def all_atoms(fit: Fit) -> list[Atom]:
    """The variables of all formulas, of random effects and offsets, too."""
    formulas = (fit.design.formula, *(part.formula for part in fit.design.parts))
    offset = fit.design.coding.offset.expression
    return [*(atom for own in formulas for atom in own.predictor_atoms), *(() if offset is None else (offset,))]


def levels_of(column: SourceColumn) -> list[Any]:
    """The values that occur in the rows used: of categories in the order of their levels, else sorted."""
    if column.levels is not None:
        used = np.bincount(column.values, minlength=len(column.levels)) > 0
        return list(column.levels[used])
    return list(np.unique(column.values).tolist())


def has_two_values(column: SourceColumn) -> bool:
    """Whether a column of numbers has two values, as one of zeros and ones."""
    return len(np.unique(column.values[:1000])) <= 2 and len(np.unique(column.values)) == 2


def checked_values(fit: Fit, column: SourceColumn, values: Any, argument: str) -> list[Any]:
    """Values given for a column, one or several, as the column has them.

    Raises
    ------
    DataError
        A level that does not occur, or no number where numbers are needed.
    """
    several = isinstance(values, (list, tuple, range, np.ndarray, pd.Series, pd.Index))
    given = list(values) if several else [values]
    if not given:
        raise DataError(f"{argument}: no value for {column.name!r}")
    if column.kind == "number" and is_number(fit, column):
        for value in given:
            if isinstance(value, str) or not np.isreal(value) or not np.isfinite(value):
                raise DataError(f"{argument}: {column.name!r} is a number; got {value!r}")
        return [float(value) for value in given]
    known = levels_of(column)
    found = positions(pd.Index(known), pd.Index(given))
    for value, at in zip(given, found, strict=True):
        if at < 0:
            shown = ", ".join(label_of(own) for own in known[:20]) + (", ..." if len(known) > 20 else "")
            raise DataError(
                f"{argument}: {column.name!r} has no level {value!r} in the rows of the fit; it has {shown}"
            )
    return [known[at] for at in found]


def constant(column: SourceColumn, value: Any, n: int) -> Any:
    """A column of one value in all rows, of the kind of another."""
    return repeated(column, [value], np.zeros(n, dtype=np.intp))


def repeated(column: SourceColumn, values: list[Any], which: np.ndarray) -> Any:
    """A column that has the values at these positions."""
    if column.levels is not None:
        codes = positions(column.levels, pd.Index(values))[which]
        return pd.Categorical.from_codes(codes, categories=column.levels, ordered=column.ordered)
    if column.kind == "bool":
        return np.array([bool(value) for value in values])[which]
    return np.asarray(values, dtype=np.float64)[which]
