"""A family for each kind of rows: joint models of outcomes of different kinds, one row per outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multilevel import _core

from ..errors import DataError
from .registry import Family, Zero

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

KIND = "kind"  # the parameter that holds the number of a row's kind
MOST_PARAMETERS = 7  # of all kinds together: the core's limit less the kind


class MixedFamily(Family):
    """A family for each kind of rows, for `fit` and `MixedModel` as any other.

    The data are in long form: a row for each outcome, and a column that says of which kind it is. Random effects that
    rows of several kinds have in common, or that are correlated, join the outcomes.

    Parameters
    ----------
    column : str
        The column with the kinds.
    families : mapping, optional
        The family of each kind, by its label in that column: a name, or a `Family` with link, zero part, values that
        are given.
    **kinds : str or Family
        The same for labels that are names of Python's.

    Raises
    ------
    DataError
        There are less than two kinds, one has a family that cannot be among others, or all of them have more than
        seven parameters.

    References
    ----------
    Rabe-Hesketh, Skrondal & Pickles (2004) Psychometrika 69:167-190.

    Examples
    --------
    >>> import multilevel as ml
    >>> ml.MixedFamily("kind", test="binomial", time=ml.Family("lognormal"))
    MixedFamily('kind', {'test': Family('binomial', 'logit'), 'time': Family('lognormal', 'log')})
    """

    def __init__(self, column: str, families: Mapping[Any, str | Family] | None = None, **kinds: str | Family) -> None:
        if not isinstance(column, str) or not column:
            raise DataError(f"column is {column!r}; it is the name of the column with the kinds of rows")
        if families is not None and not isinstance(families, Mapping):
            raise DataError(f"families is a {type(families).__name__}; give a mapping of kinds to their families")
        given = {**(families or {}), **kinds}
        self.column = column
        self.levels = pd.Index(list(given))
        self.kinds = tuple(_label(level) for level in given)
        if len(set(self.kinds)) < len(self.kinds):
            raise DataError(f"kinds {', '.join(map(repr, self.kinds))}: a label is there twice")
        if len(self.kinds) < 2:
            raise DataError(
                f"a family by kind of rows needs two kinds or more; here {len(self.kinds)} "
                f"{'has' if len(self.kinds) == 1 else 'have'} a family: of one kind it is that family itself"
            )
        self._members = tuple(_member(kind, own) for kind, own in zip(self.kinds, given.values(), strict=True))
        n_parameters = sum(len(own.parameters) for own in self.members)
        if n_parameters > MOST_PARAMETERS:
            raise DataError(
                f"the families of all kinds have {n_parameters} parameters of their own, and at most "
                f"{MOST_PARAMETERS} can be: kinds that may share a dispersion can be one kind, told apart by another "
                "column"
            )
        self.name, self.link, self.zero = "mixed", "by kind", ""
        self.censored = any(own.censored for own in self.members)
        self._core = _core.Family.by_row(list(self.kinds), [own._core for own in self.members])
        self.given = {KIND: 0.0}
        for kind, own in zip(self.kinds, self.members, strict=True):
            self.given |= {f"{kind}: {name}": value for name, value in own.given.items()}

    @property
    def members(self) -> tuple[Family, ...]:
        """The families of the kinds, in their order."""
        return self._members

    @property
    def label(self) -> str:
        """The families of the kinds with their links."""
        return ", ".join(f"{kind}: {own.label}" for kind, own in zip(self.kinds, self.members, strict=True))

    def split(self, phi: Array) -> Iterator[tuple[str, Family, NDArray[np.int64], Array]]:
        """Of each kind that has rows: its label, its family, the rows, and their parameters of it.

        `phi` is (n, n_phi), as `Fit.row_phi` has it.
        """
        kinds, first = np.rint(phi[:, 0]).astype(np.int64), 1
        for code, (kind, own) in enumerate(zip(self.kinds, self.members, strict=True)):
            columns = slice(first, first + len(own.parameters))
            first = columns.stop
            rows = np.flatnonzero(kinds == code)
            if len(rows):
                yield kind, own, rows, np.ascontiguousarray(phi[rows, columns])

    def with_link(self, link: str) -> Family:
        """Refused: each kind has a link of its own.

        Raises
        ------
        DataError
            Always.
        """
        raise DataError(
            f"link={link!r}: each kind of rows has a link of its own; give it there, as in "
            f"{{{self.kinds[0]!r}: ml.Family({self.members[0].name!r}, {link!r})}}"
        )

    def with_given(self, name: str, value: float) -> Family:
        """The same with a parameter of a kind given, by its name here, such as "time: sigma"."""
        kind = next((own for own in self.kinds if name.startswith(f"{own}: ")), None)
        if kind is None:
            raise DataError(f"no kind of rows has a parameter {name!r}")
        families = self.families
        level = self.levels[self.kinds.index(kind)]
        families[level] = families[level].with_given(name.removeprefix(f"{kind}: "), value)
        return MixedFamily(self.column, families)

    def with_zero(self, zero: Zero) -> Family:
        """Refused: a zero part is that of a kind.

        Raises
        ------
        DataError
            Always.
        """
        raise DataError(
            f"{'zero_inflation' if zero == 'inflation' else zero}=: a zero part belongs to the family of a kind; give "
            f"it there, as in {{{self.kinds[0]!r}: ml.Family('poisson', zero={zero!r})}}"
        )

    def with_censoring(self) -> Family:
        """The same where responses of those kinds whose families can be known in part may be.

        Raises
        ------
        DataError
            No family can.
        """
        able = [own.censored or ("censored" in own.modifiers and not own.zero) for own in self.members]
        if not any(able):
            raise DataError(
                f"no kind of rows has a family whose response can be known in part ({self.label}): one needs a "
                "distribution function"
            )
        kinds = zip(self.levels, self.members, able, strict=True)
        return MixedFamily(self.column, {level: own.with_censoring() if can else own for level, own, can in kinds})

    @property
    def mean_is_response(self) -> bool:
        """False: which mean a linear predictor makes depends on the row's kind, which `response_mean` knows."""
        return False

    @property
    def modifiers(self) -> tuple[str, ...]:
        """None: the families of the kinds have theirs."""
        return ()

    def mean(self, eta: ArrayLike) -> Array:  # noqa: ARG002
        """Refused: see `response_mean`.

        Raises
        ------
        DataError
            Always.
        """
        raise DataError(_needs_kinds("the mean at a linear predictor"))

    def link_of_mean(self, mu: ArrayLike) -> Array:  # noqa: ARG002
        """Refused: see `mean`.

        Raises
        ------
        DataError
            Always.
        """
        raise DataError(_needs_kinds("the link of a mean"))

    def log_probabilities(self, eta: ArrayLike) -> tuple[Array, Array]:  # noqa: ARG002
        """Refused: see `mean`.

        Raises
        ------
        DataError
            Always.
        """
        raise DataError(_needs_kinds("the probability of a success"))

    @property
    def families(self) -> dict[Any, Family]:
        """The families of the kinds, by the values of the column."""
        return dict(zip(self.levels, self.members, strict=True))

    def __repr__(self) -> str:
        own = ", ".join(f"{kind!r}: {family!r}" for kind, family in self.families.items())
        return f"MixedFamily({self.column!r}, {{{own}}})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, MixedFamily)
            and self.column == other.column
            and (self.kinds, self.members) == (other.kinds, other.members)
        )

    def __hash__(self) -> int:
        return hash((self.column, self.kinds, self.members))

    def __reduce__(self) -> tuple[Any, ...]:
        return (MixedFamily, (self.column, self.families))


def _label(level: Any) -> str:
    return str(int(level)) if isinstance(level, (float, np.floating)) and float(level).is_integer() else str(level)


def _member(kind: str, family: object) -> Family:
    own = family if isinstance(family, Family) else Family(family)  # type: ignore[arg-type]
    if own.kinds:
        raise DataError(f"kind {kind!r} has a family by kind of rows itself; each kind has one family")
    if own.in_python:
        raise DataError(
            f"kind {kind!r} has the family {own.name!r}, whose density is in Python: rows of several kinds are worked "
            "on by the core's families alone"
        )
    if own.support == "categories":
        raise DataError(
            f"kind {kind!r} has the {own.name} family: thresholds between ordered categories are one set for all rows "
            "of a model, and rows of other kinds have none. Two categories are the binomial family; of more, "
            "'y > k' for each threshold can be binary outcomes, a kind each"
        )
    if own._core.mean(np.array([0.5]))[0] == own._core.mean(np.array([-0.5]))[0]:
        raise DataError(
            f"kind {kind!r} has the {own.link} link, which gives linear predictors of either sign one mean: their "
            "random effects, which other kinds share, have no sign. Use another link"
        )
    return own


def _needs_kinds(what: str) -> str:
    return f"{what} depends on the kind of a row: each kind has a link of its own"


def as_family(family: Any, link: str | None) -> Family:
    """The family that an argument `family=` means: one, a name, or ``{column: {kind: family, ...}}``.

    Raises
    ------
    DataError
        It is neither, or contradicts `link`.
    """
    if isinstance(family, Mapping):
        if len(family) != 1 or not isinstance(next(iter(family.values())), Mapping):
            raise DataError(
                "family= as a mapping has one key, the column with the kinds of rows, and their families in it: "
                "{'kind': {'test': 'binomial', 'time': 'lognormal'}}"
            )
        column, kinds = next(iter(family.items()))
        family = MixedFamily(column, kinds)
    if isinstance(family, Family):
        return family if link is None else family.with_link(link)
    return Family(family, link)
