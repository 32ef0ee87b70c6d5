"""What a formula is made of: atoms, which are multiplied to terms, and terms with a bar, which are random.

Every factor of a term (a column, or a call such as ``log(x)``) is an `Atom`: its text as the user wrote it, which names
the columns, and the Python expression that evaluates it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .factors import Factors
from .syntax import check_expression
from .tokens import Token, display, to_python


@dataclass(frozen=True)
class Atom:
    """One factor of a term.

    Attributes
    ----------
    text : str
        As written (white space normalized); names the columns it makes.
    name : str or None
        The column, when the atom is nothing but a column.
    expression : str
        The Python expression to evaluate otherwise.
    variables : tuple of str
        Columns that the expression needs, in order of appearance.
    aliases : tuple of (str, str)
        Identifiers in `expression` that stand for columns whose names are no Python identifiers.
    position : int
        Where it stands in the formula's text.
    """

    text: str
    name: str | None = field(compare=False, default=None)
    expression: str = field(compare=False, default="")
    variables: tuple[str, ...] = field(compare=False, default=())
    aliases: tuple[tuple[str, str], ...] = field(compare=False, default=())
    position: int = field(compare=False, default=0)


@dataclass(frozen=True)
class Terms:
    """A right-hand side: whether there is an intercept, and products of atoms sorted by their number of factors."""

    intercept: bool
    products: tuple[tuple[Atom, ...], ...]

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """Every atom, once."""
        return tuple(dict.fromkeys(atom for product in self.products for atom in product))


@dataclass(frozen=True)
class Bar:
    """One random-effects term, ``(terms | group)``.

    `group` lists the columns whose combinations are the levels; `labels` are those written ``factor(column)``;
    `factors` are those of ``cfa(...)`` with what loads on each.
    """

    terms: Terms
    group: tuple[str, ...]
    structure: str
    text: str
    position: int = field(compare=False, default=0)
    labels: tuple[str, ...] = field(compare=False, default=())
    factors: Factors = ()

    @property
    def group_name(self) -> str:
        """The grouping factor as reports name it."""
        return ":".join(self.group)


def atom_from_tokens(text: str, tokens: Sequence[Token]) -> Atom:
    """Make the atom of an expression."""
    if len(tokens) == 1 and tokens[0].kind in ("name", "quoted"):
        name = tokens[0].value
        return Atom(name, name=name, variables=(name,), position=tokens[0].start)
    aliases: dict[str, str] = {}
    expression, names = check_expression(text, tokens, to_python(text, tokens, aliases))
    columns = {alias: name for name, alias in aliases.items()}
    variables = tuple(dict.fromkeys(columns.get(name, name) for name in names))
    pairs = tuple((alias, name) for alias, name in columns.items())
    return Atom(display(tokens), expression=expression, variables=variables, aliases=pairs, position=tokens[0].start)
