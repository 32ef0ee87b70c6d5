"""The law of responses at parameters that are given by name, not found by a fit."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from ..family.draws import check_weights
from ..fitting.natural import Natural
from ..fitting.parameters import parts
from .simulate import Law

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from multilevel import _core

    from ..design.design import Design
    from ..design.random_terms import RandomTerm
    from ..family.registry import Family
    from ..fitting.parameters import Component

    Array = NDArray[np.float64]

THRESHOLDS = "thresholds"  # the part of a model, and a name for all of its numbers
LEAST = -1e-9  # an eigenvalue of a correlation matrix below it is no rounding


def law_at(design: Design, family: Family, core: _core.Model, params: Mapping[str, Any]) -> Law:
    """The law of a design at these parameters.

    Parameters
    ----------
    params : mapping of str to float
        By the names that `tidy()` has, in natural units: "x", "g: sd__(Intercept)", "g: cor__(Intercept).x", "sigma",
        "zero: x", "thresholds: 1|2". Of a term "g: sd" is one standard deviation for all its columns, and "g: cor" one
        correlation: of neighbours where the structure is autoregressive, else of each pair. "thresholds" is a sequence
        of all numbers that make the thresholds.

    Raises
    ------
    DataError
        A parameter lacks, is not of this model, or cannot have its value.
    """
    check_weights(family, design.weights)
    redundant = set(core.redundant)
    kept = tuple(column.name for k, column in enumerate(design.fixed) if k not in redundant)
    beside = {own.name: core.phi_redundant(r) for r, own in enumerate(family.parameters)}
    components = parts(design, family, kept, np.zeros(core.n_beta + core.n_theta + core.n_phi), beside).components
    labels = Natural(design, family, kept, components).labels
    given = _checked(design, params, labels)
    beta = np.array([given[name] for name in kept])
    eta = core.linear_predictor(beta, None)
    if design.choices is not None and design.choices.by_category:
        eta = eta.reshape(design.n_rows, -1)
    return Law(
        design,
        family,
        eta,
        _phi(design, family, components, given),
        tuple(_factor(design, term, given) for term in design.random_terms),
    )


def _checked(design: Design, params: Mapping[str, Any], labels: list[str]) -> dict[str, float]:
    """All parameters, those that stand for several written out."""
    if not isinstance(params, Mapping):
        raise DataError(f"params is a {type(params).__name__}; give a mapping of names to numbers")
    given = dict(params)
    if design.thresholds is not None and THRESHOLDS in given:
        own = design.thresholds.coefficients
        values = np.atleast_1d(np.asarray(given.pop(THRESHOLDS), dtype=object)).tolist()
        if len(values) != len(own):
            raise DataError(f"params: {THRESHOLDS!r} has {len(values)} numbers; there are {len(own)}: {', '.join(own)}")
        given |= {f"{THRESHOLDS}: {name}": value for name, value in zip(own, values, strict=True)}
    for name, value in given.items():
        real = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not real or np.isnan(value):
            raise DataError(f"params: {name!r} is {value!r}; it must be a number")
    for term in design.random_terms:
        group = design.grouping_factors[term.grouping_factor].name
        for short, kind in ((f"{group}: sd", "sd__"), (f"{group}: cor", "cor__")):
            if short in given:
                value = given.pop(short)
                for label, steps in _pairs(group, term) if kind == "cor__" else _sds(group, term):
                    given.setdefault(label, value**steps if "ar1" in term.structure else value)
    lacking = [label for label in labels if label not in given]
    if lacking:
        raise DataError(f"params lacks {', '.join(map(repr, lacking))}; the model has {', '.join(map(repr, labels))}")
    for name in given:
        if name not in labels:
            near = difflib.get_close_matches(name, labels, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(map(repr, labels))}"
            raise DataError(f"params: the model has no parameter {name!r}{hint}")
    return {name: float(value) for name, value in given.items()}


def _sds(group: str, term: RandomTerm) -> list[tuple[str, int]]:
    return [(f"{group}: sd__{name}", 1) for name in term.names]


def _pairs(group: str, term: RandomTerm) -> list[tuple[str, int]]:
    """Labels of the correlations, and how many steps apart the columns are."""
    q = len(term.names)
    return [(f"{group}: cor__{term.names[b]}.{term.names[a]}", a - b) for b in range(q) for a in range(b + 1, q)]


def _factor(design: Design, term: RandomTerm, given: Mapping[str, float]) -> Array:
    group, q = design.grouping_factors[term.grouping_factor].name, len(term.names)
    sd = np.array([given[label] for label, _ in _sds(group, term)])
    if not np.all((sd >= 0) & np.isfinite(sd)):
        raise DataError(f"params: standard deviations of '{group}' are {sd.tolist()}; they are not negative")
    correlation = np.eye(q)
    at = [(a, b) for b in range(q) for a in range(b + 1, q)]
    for (a, b), (label, _) in zip(at, _pairs(group, term), strict=True):
        value = given.get(label, 0.0)
        if not -1.0 <= value <= 1.0:
            raise DataError(f"params: {label!r} is {value:g}; a correlation is between -1 and 1")
        correlation[a, b] = correlation[b, a] = value
    values, vectors = np.linalg.eigh(correlation)
    if values[0] < LEAST:
        raise DataError(
            f"params: the correlations of '{group}' are not those of any random effects (the smallest eigenvalue of "
            f"their matrix is {values[0]:.2g}); bring them closer to zero"
        )
    if values[0] > -LEAST:
        return sd[:, None] * np.linalg.cholesky(correlation)
    return sd[:, None] * (vectors * np.sqrt(np.maximum(values, 0.0)))


def _phi(design: Design, family: Family, components: tuple[Component, ...], given: Mapping[str, float]) -> Array:
    """The family's parameters as a fit moves them, for all rows or row by row."""
    beside = {own.parameter: own for own in components}
    if design.thresholds is not None:
        found = _thresholds(design, components[0], given)
        return np.column_stack([found, _log_scale(design, components[-1], given)]) if family.scaled else found
    rows = np.zeros((design.n_rows, len(family.parameters)))
    for at, parameter in enumerate(family.parameters):
        if parameter.name in beside:
            component = beside[parameter.name]
            part = next(own for own in design.parts if own.parameter == parameter.name)
            if part.offset is not None:
                rows[:, at] = part.offset
            for column in part.fixed:
                if column.name in component.names:
                    value = given[f"{component.name}: {column.name}"]
                    rows[:, at] += value if column.values is None else value * column.values
            continue
        if parameter.part == "kind":
            assert design.response.kinds is not None
            rows[:, at] = design.response.kinds
            continue
        value = family.given[parameter.name] if parameter.name in family.given else given[parameter.name]
        family.with_given(parameter.name, value)  # refuses what cannot be
        rows[:, at] = parameter.phi(value)
    return rows if beside or family.kinds else rows[0]


def _log_scale(design: Design, component: Component, given: Mapping[str, float]) -> Array:
    """Logarithm of what distances from thresholds are divided by, (n,)."""
    part, found = design.parts[-1], np.zeros(design.n_rows)
    if part.offset is not None:
        found += part.offset
    for column in part.fixed:
        if column.name in component.names:
            value = given[f"{component.name}: {column.name}"]
            found += value if column.values is None else value * column.values
    return found


def _thresholds(design: Design, component: Component, given: Mapping[str, float]) -> Array:
    """Thresholds of each row, (n, C - 1), lowest first."""
    assert design.thresholds is not None
    coefficients = np.array([given[f"{component.name}: {name}"] for name in component.names])
    columns = [column for column in design.parts[0].fixed if column.name not in component.redundant]
    found = design.thresholds.at(columns, coefficients, design.n_rows)
    wrong = ~(np.diff(found, axis=1) > 0).all(axis=1) | ~np.isfinite(found).all(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        shown = ", ".join(f"{own:.6g}" for own in found[row])
        raise DataError(f"params: the thresholds of row {row} are {shown}; each must be above the one before")
    return found
