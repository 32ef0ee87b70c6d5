"""Families and links by name, and what the layers after a fit need of them. The core's registry is the one list."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from multilevel import _core

from ..errors import DataError
from .density import Density
from .names import known_elsewhere, names_and_links

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from numpy.typing import NDArray

Support = Literal[
    "numbers",
    "positive",
    "nonnegative",
    "counts",
    "positive counts",
    "trials",
    "open unit",
    "closed unit",
    "categories",
    "by row",
    "choices",
]
Zero = Literal["", "inflation", "hurdle"]

MOST_THRESHOLDS = 10  # of families that have all as parameters, in the core


class Family(Density):
    """A family of densities with its link.

    Parameters
    ----------
    name : str
        One of the names that `multilevel.families()` lists.
    link : str, optional
        One of the family's links; without it, its default link.
    zero : {"", "inflation", "hurdle"}, default ""
        What makes zeros beside the family: nothing; a share of the rows that are zero whatever the family says; or a
        part that decides between zero and the rest, which then is the family without its zeros.
    given : mapping, optional
        Values of parameters of the family that are not to be estimated, by name, on their natural scale.
    censored : bool, default False
        Whether some responses are known to lie in a range only; ``censored()`` and ``interval()`` in a formula set it.
    scaled : bool, default False
        Whether the distances of eta from thresholds are divided by a scale; ``scale=`` of a model sets it.
    **values : float
        The same as arguments: ``Family("gaussian", sigma=1)``.

    Raises
    ------
    DataError
        The family, the link, the zero part or a parameter does not exist, or cannot have the value; the message lists
        what does.
    """

    def __init__(
        self,
        name: str,
        link: str | None = None,
        zero: Zero = "",
        given: Mapping[str, float] | None = None,
        censored: bool = False,
        scaled: bool = False,
        **values: float,
    ) -> None:
        table = names_and_links()
        if not isinstance(name, str):
            raise DataError(f"family is a {type(name).__name__}; give its name, one of {', '.join(table)}, and link=")
        name, link = name.lower(), link.lower() if isinstance(link, str) else link
        if name not in table:
            word, call, _ = name.partition("(")
            near = known_elsewhere(word) or difflib.get_close_matches(word, table, n=1)
            hint = f"did you mean {near[0]!r}{' with link=' if call else ''}? There" if near else "there"
            raise DataError(
                f"there is no family {name!r}; {hint} are {', '.join(table)} (ml.families() describes them)"
            )
        if link is None:
            link = table[name][0]
        if link not in table[name]:
            raise DataError(f"the {name} family has no link {link!r}; it has {', '.join(table[name])}")
        if zero not in ("", "inflation", "hurdle"):
            raise DataError(f"zero={zero!r} is no zero part of a family; there are 'inflation' and 'hurdle'")
        if zero and zero not in _core.Family(name, link).modifiers:
            raise DataError(_no_zero_part(name, link, zero))
        self.name = name
        self.link = link
        self.zero: Zero = zero
        self.censored = censored
        self.scaled = scaled
        if scaled and name != "cumulative":
            raise DataError(f"scale= is of the cumulative family, whose thresholds cut one variable; this is {name}")
        if censored and (zero or "censored" not in _core.Family(name, link).modifiers):
            able = [own for own, links in table.items() if "censored" in _core.Family(own, links[0]).modifiers]
            what = "with a zero part" if zero else f"of the {name} family"
            raise DataError(f"a response {what} cannot be known in part; families that can: {', '.join(able)}")
        self._core = _core.Family(self.core_name, link, zero)
        self.given = {own: self._checked(own, value) for own, value in {**(given or {}), **values}.items()}

    def _checked(self, name: str, value: float) -> float:
        own = {parameter.name: parameter for parameter in self.parameters}
        if name not in own:
            raise DataError(
                f"the {self.name} family has no parameter {name!r}; it has {', '.join(map(repr, own)) or 'none'}"
            )
        if self.support == "categories":
            raise DataError(f"{name}={value!r} cannot be: thresholds differ from category to category")
        real = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        with np.errstate(invalid="ignore"):
            if not real or not np.isfinite(own[name].phi(float(value))):
                raise DataError(f"{name}={value!r} cannot be: {own[name].range}")
        return float(value)

    @property
    def members(self) -> tuple[Family, ...]:
        """The families of the kinds of rows; without kinds this one."""
        return (self,)

    @property
    def label(self) -> str:
        """The family with its link, in a word."""
        return f"{self.name}({self.link})"

    in_python = False  # whether the density is the user's, computed in Python
    scaled = False
    kinds: tuple[str, ...] = ()  # labels of kinds of rows, of `MixedFamily`, where each has a family of its own

    @property
    def has_variance(self) -> bool:
        """Whether the variance of a response is known: choices have none."""
        return self.support != "choices"

    def split(self, phi: NDArray[np.float64]) -> Iterator[tuple[str, Family, NDArray[np.int64], NDArray[np.float64]]]:
        """Of each kind that has rows: its label, its family, the rows, and their parameters of it, (rows, n_phi).

        `phi` is (n, n_phi), as `Fit.row_phi` has it. Without kinds all rows are of one.
        """
        yield "", self, np.arange(len(phi)), phi

    def with_link(self, link: str) -> Family:
        """The same family, where that is its link.

        Raises
        ------
        DataError
            It has another.
        """
        if str(link).lower() != self.link:
            raise DataError(f"link={link!r} contradicts {self!r}; give the link in one place")
        return self

    def check_rows(self, y: NDArray[np.float64], trials: NDArray[np.float64] | None) -> None:
        """Refuses responses that the density is not for: of families that are built in, `response_kinds` has them."""

    def with_given(self, name: str, value: float) -> Family:
        """The same family with a parameter given."""
        return Family(self.name, self.link, self.zero, {name: value}, self.censored)

    def with_zero(self, zero: Zero) -> Family:
        """The same family with a zero part."""
        return Family(self.name, self.link, zero, self.given, self.censored, self.scaled)

    def with_censoring(self) -> Family:
        """The same family for responses of which some are known to lie in a range only."""
        return Family(self.name, self.link, self.zero, self.given, True)

    def with_scale(self) -> Family:
        """The same family with a scale that the distances of eta from thresholds are divided by.

        Raises
        ------
        DataError
            It is not that of cumulative probabilities.
        """
        return Family(self.name, self.link, self.zero, self.given, self.censored, True)

    @property
    def core_name(self) -> str:
        """What the core calls it."""
        return f"censored_{self.name}" if self.censored else f"scaled_{self.name}" if self.scaled else self.name

    @property
    def support(self) -> Support:
        """What a response may be: any numbers, positive ones, those and zero, counts, counts above zero, successes out
        of trials, numbers between zero and one, with these ends or without, ordered categories, or choices: categories
        without an order, and alternatives; or that of the family of each row. A zero part adds zero (`takes_zeros`).
        """
        return self._core.support

    @property
    def takes_zeros(self) -> bool:
        """Whether a response may be zero."""
        return bool(self.zero) or self.has_own_zeros or self.support == "numbers"

    @property
    def has_own_zeros(self) -> bool:
        """Whether a zero has a probability of its own, without a zero part, as counts have."""
        return self._core.mass_at_zero

    @property
    def modifiers(self) -> tuple[str, ...]:
        """What may modify the family: of "truncated", "inflation", "hurdle" and "censored"."""
        return tuple(self._core.modifiers)

    @property
    def most_thresholds(self) -> int:
        """The most thresholds between ordered categories."""
        return MOST_THRESHOLDS if self.all_thresholds else 10**6

    @property
    def independent_trials(self) -> bool:
        """Whether a response is out of trials that are independent of each other."""
        return self.support == "trials" and not self._core.two_numbers

    @property
    def has_residual(self) -> bool:
        """Whether the one parameter is the standard deviation of a residual."""
        return self._core.has_residual

    @property
    def reference(self) -> str:
        """Where the density comes from."""
        return self._core.reference

    @property
    def is_linear(self) -> bool:
        """Whether the model is the linear mixed model, for which the Laplace approximation is exact."""
        return bool(self._core.is_linear)

    def __repr__(self) -> str:
        zero = f", zero={self.zero!r}" if self.zero else ""
        given = "".join(f", {name}={value:g}" for name, value in self.given.items())
        censored = ", censored=True" if self.censored else ", scaled=True" if self.scaled else ""
        return f"Family({self.name!r}, {self.link!r}{zero}{censored}{given})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Family) and self._key == other._key

    def __hash__(self) -> int:
        return hash((*self._key[:3], self.censored, self.scaled, *self.given.items()))

    def __reduce__(self) -> tuple[type[Family], tuple[Any, ...]]:
        return (Family, self._key)

    @property
    def _key(self) -> tuple[str, str, Zero, dict[str, float], bool, bool]:
        return (self.name, self.link, self.zero, self.given, self.censored, self.scaled)


def _no_zero_part(name: str, link: str, zero: str) -> str:
    base = name.removeprefix("truncated_")
    if base != name:
        return (
            f"the {name} family has no zeros: with a part for zeros it is family={base!r} with a hurdle, "
            "whose positive counts are truncated"
        )
    if _core.Family(name, link).mass_at_zero:
        return f"the {name} family with the {link} link has no zero part; another link has"
    return (
        f"the {name} family has no zero part ({zero}): its response may be any number, "
        "and a zero among them is nothing special"
    )


def families() -> pd.DataFrame:
    """What can be fitted: one row per family.

    Returns
    -------
    DataFrame
        family, links (the default first), response ("numbers", "positive", "nonnegative", "counts", "positive counts",
        "trials", "open unit", "closed unit", "categories" or "choices"), parameters (the family's own, with their
        meaning), modified_by (which zero parts it may have) and reference.
    """
    import pandas as pd

    rows = []
    for name, links in names_and_links().items():
        family = Family(name)
        zero_parts = ", ".join(own for own in family.modifiers if own in ("inflation", "hurdle"))
        parameters = "; ".join(f"{own.name}: {own.meaning}" for own in family.parameters)
        rows.append((name, ", ".join(links), family.support, parameters, zero_parts, family.reference))
    return pd.DataFrame(rows, columns=["family", "links", "response", "parameters", "modified_by", "reference"])
