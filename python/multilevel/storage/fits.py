"""A fit and the model that it is of, to a file and back, with what must agree between their arrays checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from .. import __version__
from ..design.choices import Choices
from ..design.design import Design
from ..design.thresholds import Thresholds
from ..errors import DataError
from ..family.registry import Family
from ..fitting.record import Fit
from . import archive
from .codec import Decoder, Encoder

MOST_THREADS = 1_000_000


class Saved(NamedTuple):
    """A fit, and the family and design of the model that fits it again, where there is one."""

    fit: Fit
    model: tuple[Family, Design] | None


def write(path: str | PathLike[str], saved: Saved) -> None:
    """Write a fit to a file.

    Raises
    ------
    DataError
        Labels of rows or levels are objects that are no plain data; or the family is one in Python.
    """
    if saved.fit.family.in_python:
        raise DataError(
            f"results of the family {saved.fit.family.name!r} cannot be saved: its density is a function, and a file "
            "of results holds none. Pickle them, with the function in a module of yours"
        )
    encoder = Encoder()
    tree = {"fit": encoder.encode(saved.fit), "model": encoder.encode(saved.model)}
    archive.write(path, archive.Content(tree, encoder.arrays, __version__))


def read(path: str | PathLike[str], functions: Mapping[str, Callable[..., Any]]) -> Saved:
    """Read a fit from a file; the user's functions are those of `functions`.

    Raises
    ------
    SavedFileError
        It is no such file, from a newer version, cut short or altered.
    DataError
        The formula calls none of the names in `functions`.
    """
    content = archive.read(path)
    decoder = Decoder(content.arrays, functions)
    try:
        fit, model = (decoder.decode(content.tree[part]) for part in ("fit", "model"))
        if not isinstance(fit, Fit):
            raise ValueError("it holds no fit")
        _check(fit, fit.design)
        if model is not None:
            family, design = model
            if not isinstance(family, Family) or not isinstance(design, Design):
                raise ValueError("it holds no model")
            _check(fit, design)
    except Exception as error:
        raise archive.damaged(path, error) from error
    _check_functions(fit.design.coding.terms.functions, functions)
    return Saved(fit, None if model is None else (model[0], model[1]))


def _check_functions(needed: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in needed:
            known = ", ".join(f"'{own}'" for own in needed) or "none"
            raise DataError(f"functions: the formula calls no function of yours '{name}'; those it calls: {known}")


def _check(fit: Fit, design: Design) -> None:
    """Lengths that must agree, and codes that must have a level: arrays are read by position from here on."""
    _check_rows(design)
    if design.thresholds is not None:
        _check_thresholds(fit, design, design.thresholds)
    if design.choices is not None:
        _check_choices(design, design.choices)
    _check_kinds(fit, design)
    _check_terms(design)
    _check_random_effects(fit, design)
    _check_parameters(fit, design)


def _check_rows(design: Design) -> None:
    n = design.n_rows
    _agree(len(design.response.values), n)
    for rows in (
        design.response.size,
        design.response.other_end,
        design.offset,
        design.weights,
        design.rows,
        design.index,
    ):
        _agree(n if rows is None else len(rows), n)
    for column in design.fixed:
        _column(column.values, n)
    for beside in design.parts:
        _agree(n if beside.offset is None else len(beside.offset), n)
        for column in beside.fixed:
            _column(column.values, n)
    for own in design.source:
        _column(own.values, n)
        if own.levels is not None:
            _codes(own.values, len(own.levels))


def _check_thresholds(fit: Fit, design: Design, thresholds: Thresholds) -> None:
    categories, matrix = len(thresholds.categories), thresholds.matrix
    _agree(matrix.shape, (categories - 1, len(thresholds.coefficients)))
    _codes(np.asarray(design.response.values - 1.0, dtype=np.int64), categories)
    if not design.parts or not fit.components or fit.components[0].parameter != design.parts[0].parameter:
        raise ValueError("its thresholds have no coefficients")


def _check_choices(design: Design, choices: Choices) -> None:
    values = np.asarray(design.response.values, dtype=np.int64)
    blocks = max(1, len(choices.categories) - 1)
    if choices.by_category:
        _codes(values - 1, len(choices.categories))
    elif choices.sets is None or len(choices.kept) != 1 + len(design.random_terms):
        raise ValueError("its rows are in no sets")
    else:
        _column(choices.sets, design.n_rows)
    if not 0 <= choices.base < max(1, len(choices.categories)):
        raise ValueError("its base is no category")
    for columns in (design.fixed, *(term.names for term in design.random_terms)):
        _agree(len(columns) % blocks, 0)


def _check_kinds(fit: Fit, design: Design) -> None:
    kinds = design.response.kinds
    if (kinds is not None) != bool(fit.family.kinds):
        raise ValueError("kinds of rows and families do not agree")
    if kinds is not None:
        _column(kinds, design.n_rows)
        _codes(kinds, len(fit.family.kinds))


def _check_terms(design: Design) -> None:
    for term in design.fixed_terms:
        for part in term.parts:
            for values in part.values:
                _column(values, design.n_rows)
            if part.levels is not None:
                _codes(part.values[0], len(part.levels))
        if not all(0 <= k < len(design.fixed) for k in term.columns):
            raise ValueError("a term has columns that are not there")


def _check_random_effects(fit: Fit, design: Design) -> None:
    for factor in design.grouping_factors:
        _column(factor.codes, design.n_rows)
        _codes(factor.codes, len(factor.levels))
    if not len(fit.random_cov) == len(fit.theta) == len(fit.theta_values) == len(design.random_terms):
        raise ValueError("its terms do not agree")
    effects = [0] * len(design.grouping_factors)
    for random, covariance in zip(design.random_terms, fit.random_cov, strict=True):
        if not 0 <= random.grouping_factor < len(effects):
            raise ValueError("a term has no grouping factor")
        effects[random.grouping_factor] += len(random.names)
        _agree(len(random.columns), len(random.names))
        _agree(covariance.shape, (len(random.names),) * 2)
        for of_random in random.columns:
            _column(of_random, design.n_rows)
    for factor, q, modes, spread in zip(design.grouping_factors, effects, fit.modes, fit.mode_cov, strict=True):
        _agree(modes.shape, (len(factor.levels), q))
        _agree(spread.shape, (len(factor.levels), q, q))


def _check_parameters(fit: Fit, design: Design) -> None:
    for component in fit.components:
        if component.parameter not in {own.parameter for own in design.parts}:
            raise ValueError("a part of it has no columns")
        if not 0 <= component.first <= len(fit.psi) - len(component.names):
            raise ValueError("a part of it has no coefficients")
    p = len(fit.fixed_names)
    _agree(fit.beta.shape, (p,))
    _agree(fit.beta_covariance.shape, (p, p))
    _agree(fit.psi.shape, (len(fit.parameter_names),))
    _agree(fit.covariance.shape, (len(fit.psi),) * 2)
    if not 0 <= fit.optimization.threads < MOST_THREADS:
        raise ValueError("it has no number of threads")


def _agree(found: Any, expected: Any) -> None:
    if found != expected:
        raise ValueError(f"its arrays do not agree ({found} for {expected})")


def _column(values: np.ndarray | None, n_rows: int) -> None:
    if values is not None:
        _agree(values.shape, (n_rows,))


def _codes(codes: np.ndarray, n_levels: int) -> None:
    if codes.dtype.kind not in "iu" or codes.min(initial=0) < 0 or codes.max(initial=-1) >= n_levels:
        raise ValueError("a row has a level that is not there")
