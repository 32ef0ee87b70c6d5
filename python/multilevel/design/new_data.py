"""New rows, coded as the rows of the fit were: nothing is learned from them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..columns.coding import Coding, code_terms
from ..columns.expressions import Rows
from ..columns.frame import Frame
from ..errors import DataError, FormulaError
from ..formula.parse import Formula
from .fixed import FixedColumn, FixedTerm, fixed_part
from .names import columns_used
from .offset import Offset, OffsetCoding, offset_values, read_new_offset
from .parts import DesignPart
from .random_terms import RandomCoding, all_bars, bar_atoms, code_new_random

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class DesignCoding:
    """All that is needed to code new data: levels and transforms' parameters, but none of the fit's data."""

    terms: Coding
    random: RandomCoding
    offset: OffsetCoding


@dataclass(frozen=True)
class NewDesign:
    """New rows, coded as the rows of the fit were. All rows are kept.

    Attributes
    ----------
    fixed : tuple of FixedColumn
    fixed_terms : tuple of FixedTerm
        With the values of the new rows in their parts.
    offset : ndarray of float64, or None
    codes : tuple of ndarray of int32
        Per grouping factor; -1 where the level was not seen in the fit, or is missing. Empty without `need_random`, or
        where its levels are not needed; the first holds of single factors, too, and of the terms below.
    unseen : tuple of pandas.Index
        Per grouping factor, the labels of levels not seen in the fit.
    random_columns : tuple of tuple of (ndarray or None)
        Per random-effects term.
    missing : ndarray of bool
        Rows with a missing value in a column needed: their other values mean nothing.
    n_rows : int
    index : pandas.Index or None
    parts : tuple of DesignPart
        Those that were asked for.
    """

    fixed: tuple[FixedColumn, ...]
    fixed_terms: tuple[FixedTerm, ...]
    offset: NDArray[np.float64] | None
    codes: tuple[NDArray[np.int32], ...]
    unseen: tuple[pd.Index, ...]
    random_columns: tuple[tuple[NDArray[Any] | None, ...], ...]
    missing: NDArray[np.bool_]
    n_rows: int
    index: pd.Index | None
    parts: tuple[DesignPart, ...] = ()


def code_new(
    formula: Formula,
    coding: DesignCoding,
    data: Any,
    need_random: bool | Collection[str],
    offset: ArrayLike | str | None,
    parts: tuple[tuple[str, str, Formula], ...] = (),
    need_parts: Collection[str] = (),
    need_mean: bool = True,
    need_levels: Collection[str] | None = None,
) -> NewDesign:
    """What `Design.code_new` returns; `parts` are name, parameter and formula of all parts beside the mean."""
    terms = coding.terms
    frame = Frame(data)
    wanted = _wanted_factors(coding.random, need_random)
    named = wanted if need_levels is None else tuple(name for name in wanted if name in need_levels)
    chosen = [part for part in parts if part[0] in need_parts]
    needed_parts = {"", *need_parts} if need_mean else set(need_parts)
    every = tuple((own, own.bar.group_name in wanted and own.part in needed_parts) for own in all_bars(formula, parts))
    bars = tuple(own.bar for own, needed in every if needed)
    formulas = (*((formula,) if need_mean else ()), *(part for _, _, part in chosen))
    try:
        used = []
        for each in formulas:
            own_bars = tuple(bar for bar in each.bars if bar.group_name in wanted)
            atoms = (*each.fixed.atoms, *each.offsets, *(atom for bar in own_bars for atom in bar.terms.atoms))
            levels_of = tuple(bar for bar in own_bars if bar.group_name in named)
            used += columns_used(each, atoms, levels_of, frame, terms.functions)
    except FormulaError as error:
        raise DataError(f"new data: {error}") from None
    given = read_new_offset(coding.offset, offset, frame, terms.functions) if need_mean else Offset()
    missing = np.zeros(frame.n_rows, dtype=bool)
    for column in (*(frame[name] for name in dict.fromkeys((*used, *given.needs))), given.column):
        if column is not None and column.missing is not None:
            missing |= column.missing
    rows = Rows(frame, None, terms.functions)
    needed = (*(atom for each in formulas for atom in each.fixed.atoms), *bar_atoms(bars))
    values = {atom: terms.apply(atom, rows, missing) for atom in dict.fromkeys(needed)}
    fixed, fixed_terms = fixed_part(code_terms(formula.fixed, values, terms.variables)) if need_mean else ((), ())
    random = code_new_random(every, coding.random, values, terms, rows, missing, named)
    codes, unseen, random_columns = random if wanted else ((), (), ())
    return NewDesign(
        fixed=fixed,
        fixed_terms=fixed_terms,
        offset=offset_values(formula, given, rows, terms.state, missing) if need_mean else None,
        codes=codes,
        unseen=unseen,
        random_columns=random_columns,
        missing=missing,
        n_rows=frame.n_rows,
        index=frame.index,
        parts=tuple(
            DesignPart(
                name,
                parameter,
                part,
                *fixed_part(code_terms(part.fixed, values, terms.variables)),
                offset_values(part, Offset(), rows, terms.state, missing),
            )
            for name, parameter, part in chosen
        ),
    )


def _wanted_factors(random: RandomCoding, need_random: bool | Collection[str]) -> tuple[str, ...]:
    """Names of the grouping factors that are to be coded."""
    names = tuple(group.name for group in random.groups)
    if isinstance(need_random, bool):
        return names if need_random else ()
    for name in need_random:
        if name not in names:
            raise DataError(f"there is no grouping factor '{name}'; there are {', '.join(names) or 'none'}")
    return tuple(need_random)
