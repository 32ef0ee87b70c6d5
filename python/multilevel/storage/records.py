"""The classes whose instances a file may hold, by name. A class is added by one line in `RECORDS`.

A file names a class, and the name is looked up here: nothing is imported because a file says so. Fields have the types
that the class annotates, when they are written and when they are read.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .. import errors
from ..columns.coding import Coding, TermPart, Variable
from ..columns.grouping import GroupCoding, GroupingFactor
from ..columns.transforms import Contrast, UserFunctions
from ..design.choices import Choices
from ..design.design import Design
from ..design.fixed import FixedColumn, FixedTerm
from ..design.new_data import DesignCoding
from ..design.offset import OffsetCoding
from ..design.parts import DesignPart
from ..design.random_terms import RandomCoding, RandomTerm
from ..design.response import Response
from ..design.source import SourceColumn
from ..design.thresholds import Thresholds
from ..design.times import Times
from ..errors import DataError
from ..family.mixed import MixedFamily
from ..family.registry import Family
from ..fitting.certificate import BoundaryScore, Certificate, Optimization, QuadratureCheck
from ..fitting.parameters import Component
from ..fitting.record import Fit
from ..fitting.verdict import Verdict
from ..formula.parse import Formula
from ..formula.terms import Atom, Bar, Terms


class Kind:
    """A class and what a file holds of its instances.

    Parameters
    ----------
    cls : type
        A dataclass, or a class that is made from the `fields` given.
    omitted : mapping, optional
        Fields that no file has, and what they are after reading.
    fields : mapping of str to type, optional
        What is written, of a class that is no dataclass.
    """

    def __init__(
        self, cls: type, omitted: Mapping[str, Any] | None = None, fields: Mapping[str, Any] | None = None
    ) -> None:
        self.cls, self.name, self.omitted, self._given = cls, cls.__name__, omitted or {}, fields

    @cached_property
    def hints(self) -> Mapping[str, Any]:
        """Types of the fields."""
        if self._given is not None:
            return self._given
        known = {**{kind.name: kind.cls for kind in RECORDS.values()}, **_NAMES}
        hints = typing.get_type_hints(self.cls, localns=known)
        return {field.name: hints[field.name] for field in dataclasses.fields(self.cls)}

    @property
    def fields(self) -> list[str]:
        """Names of the fields that are written."""
        return [name for name in self.hints if name not in self.omitted]

    def allows(self, name: str, value: Any) -> bool:
        """Whether a field may have a value; `ValueError` if there is no such field."""
        if name not in self.hints or name in self.omitted:
            raise ValueError(f"{self.name} has no field {name!r:.40}")
        return has_type(value, self.hints[name])

    def make(self, values: Mapping[str, Any]) -> Any:
        """An instance; fields that an older version did not have get their defaults."""
        return self.cls(**values, **self.omitted)


RECORDS = {
    kind.name: kind
    for kind in (
        Kind(Fit, omitted={"model_core": None}),  # built again from the design
        Kind(
            Family,
            fields={
                "name": str,
                "link": str,
                "zero": str,
                "given": Mapping[str, float],
                "censored": bool,
                "scaled": bool,
            },
        ),
        Kind(MixedFamily, fields={"column": str, "families": Mapping[Any, Family]}),
        Kind(DesignPart),
        Kind(Component),
        Kind(Design),
        Kind(FixedColumn),
        Kind(FixedTerm),
        Kind(TermPart),
        Kind(DesignCoding),
        Kind(OffsetCoding),
        Kind(Coding, omitted={"contrasts": {}}),  # as asked for; `Variable` has what became of them
        Kind(Variable),
        Kind(Contrast),
        Kind(GroupingFactor),
        Kind(GroupCoding),
        Kind(RandomTerm),
        Kind(RandomCoding),
        Kind(Times),
        Kind(Response),
        Kind(Thresholds),
        Kind(Choices),
        Kind(SourceColumn),
        Kind(Formula),
        Kind(Terms),
        Kind(Bar),
        Kind(Atom),
        Kind(Verdict),
        Kind(Certificate),
        Kind(BoundaryScore),
        Kind(QuadratureCheck),
        Kind(Optimization),
    )
}
_NAMES = {"NDArray": NDArray, "ArrayLike": ArrayLike, "Any": Any, "np": np, "pd": pd, "Mapping": Mapping}
REMARKS = {
    name: cls for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, errors.FitWarning)
}


def kind_of(value: Any) -> Kind | None:
    """The kind of a record; None of any other value."""
    kind = RECORDS.get(type(value).__name__)
    return kind if kind is not None and kind.cls is type(value) else None


class AbsentFunction:
    """Stands for a function of the user's that a file of results cannot hold, and says so when it is called."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Complain."""
        raise DataError(
            f"the formula calls your function '{self.name}', and a file of results holds no functions: give it again, "
            f"as in ml.load(path, functions={{'{self.name}': {self.name}}})"
        )


def functions_from_names(names: Iterable[str], given: Mapping[str, Callable[..., Any]]) -> UserFunctions:
    """The user's functions: those given again, and for the others what says that they are needed."""
    return UserFunctions({name: given[name] if name in given else AbsentFunction(name) for name in names})


def has_type(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type, down to the items of tuples and mappings."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(has_type(value, option) for option in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return all(has_type(item, arguments[0]) for item in value)
        return len(value) == len(arguments) and all(map(has_type, value, arguments))
    if origin is np.ndarray:
        (scalar,) = typing.get_args(arguments[1]) or (Any,)
        return isinstance(value, np.ndarray) and (scalar is Any or value.dtype == scalar)
    if origin is type:
        return isinstance(value, type) and issubclass(value, arguments[0])
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            has_type(key, arguments[0]) and has_type(item, arguments[1]) for key, item in value.items()
        )
    if hint in (bool, int, float):
        if isinstance(value, (bool, np.bool_)):
            return hint is bool
        return hint is not bool and isinstance(value, Integral if hint is int else Real)
    return isinstance(value, types.NoneType if hint is None else hint)
