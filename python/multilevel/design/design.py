"""The arrays of a model, with their names. No statistics here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..columns.grouping import GroupingFactor, Relation, relations
from ..formula.parse import Formula
from .choices import Choices, keep_fixed
from .fixed import FixedColumn, FixedTerm, without_intercept
from .new_data import DesignCoding, NewDesign, code_new
from .parts import DesignPart
from .random_terms import RandomTerm
from .response import Response
from .source import SourceColumn
from .thresholds import SCALE, Thresholds

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Design:
    """The arrays of a model, with their names.

    Attributes
    ----------
    formula : Formula
    response : Response
    fixed : tuple of FixedColumn
        Redundant columns included: the core finds them.
    fixed_terms : tuple of FixedTerm
        Which columns of `fixed` belong together.
    grouping_factors : tuple of GroupingFactor
    random_terms : tuple of RandomTerm
    offset, weights : ndarray of float64, or None
    n_rows : int
        Rows used.
    n_missing : int
        Rows left out for a missing value in a column used.
    n_zero_weight : int
        Rows left out for a weight of zero (or no trials).
    rows : ndarray of int64, or None
        Positions in the user's frame of the rows used; None is all.
    index : pandas.Index or None
        The index of the rows used, when the frame is pandas'.
    coding : DesignCoding
    parts : tuple of DesignPart
        Parts beside the mean that are more than a constant.
    thresholds : Thresholds or None
        Of a response of ordered categories. Its part "thresholds" has the columns of nominal effects, after a constant.
    source : tuple of SourceColumn
        Columns of the data that predictors and offsets were made from; empty in results that an older version saved.
    choices : Choices or None
        Of a response of categories without an order, whose columns stand here category by category; or of rows that
        are alternatives.
    """

    formula: Formula
    response: Response
    fixed: tuple[FixedColumn, ...]
    fixed_terms: tuple[FixedTerm, ...]
    grouping_factors: tuple[GroupingFactor, ...]
    random_terms: tuple[RandomTerm, ...]
    offset: NDArray[np.float64] | None
    weights: NDArray[np.float64] | None
    n_rows: int
    n_missing: int
    n_zero_weight: int
    rows: NDArray[np.int64] | None
    index: pd.Index | None
    coding: DesignCoding = field(repr=False)
    parts: tuple[DesignPart, ...] = ()
    thresholds: Thresholds | None = None
    source: tuple[SourceColumn, ...] = ()
    choices: Choices | None = None

    @cached_property
    def relations(self) -> tuple[Relation, ...]:
        """How each pair of grouping factors relates: equal, nested or crossed."""
        return relations(self.grouping_factors)

    def code_new(
        self,
        data: Any,
        *,
        need_random: bool | Collection[str] = True,
        offset: ArrayLike | str | None = None,
        need_parts: Collection[str] = (),
        need_mean: bool = True,
        need_levels: Collection[str] | None = None,
    ) -> NewDesign:
        """Code new rows as the rows of the fit were.

        Parameters
        ----------
        data : data frame or dict of columns
            The response is not needed.
        need_random : bool or collection of str
            Whether to code the random effects, too, or the grouping factors for which to; the columns of the others
            may be absent.
        offset : array, number, column name or expression, optional
            In place of the fit's ``offset=`` argument. Offsets in the formula are always evaluated.
        need_parts : collection of str
            Names of the parts to code; the columns of the others may be absent.
        need_mean : bool
            Whether to code the fixed part and the offset of the mean.
        need_levels : collection of str, optional
            Of the grouping factors needed those whose levels are; of the others only what stands before the bar is.

        Returns
        -------
        NewDesign

        Raises
        ------
        DataError
            A column is not there, a factor has a level that the fit did not see, a value is infinite.
        """
        parts = tuple((part.name, part.parameter, part.formula) for part in self.parts)
        new = code_new(self.formula, self.coding, data, need_random, offset, parts, need_parts, need_mean, need_levels)
        if self.choices is not None:
            return _of_choices(self.choices, new)
        if self.thresholds is None:
            return new
        fixed, fixed_terms = without_intercept(new.fixed, new.fixed_terms)
        coded = tuple(own.without_intercept() if own.name == SCALE else own for own in new.parts)
        return replace(new, fixed=fixed, fixed_terms=fixed_terms, parts=coded)


def _of_choices(choices: Choices, new: NewDesign) -> NewDesign:
    """The columns of all categories, or those that differ between alternatives."""
    if choices.by_category:
        fixed, fixed_terms = choices.spread_fixed(new.fixed, new.fixed_terms) if new.fixed else ((), ())
        columns = tuple(own * len(choices.others) for own in new.random_columns)
        return replace(new, fixed=fixed, fixed_terms=fixed_terms, random_columns=columns)
    fixed, fixed_terms = keep_fixed(new.fixed, new.fixed_terms, choices.kept[0]) if new.fixed else ((), ())
    kept = zip(new.random_columns, choices.kept[1:], strict=False)
    columns = tuple(tuple(own[k] for k in keep) if own else () for own, keep in kept)
    return replace(new, fixed=fixed, fixed_terms=fixed_terms, random_columns=columns)
