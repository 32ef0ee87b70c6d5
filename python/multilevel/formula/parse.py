"""Reading a formula: text in, a frozen `Formula` out, or a complaint that marks the place. Knows nothing of the data.

A formula is data, not code: `syntax` says what it may hold, and anything else is refused here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..errors import FormulaError
from .algebra import parse_right_side
from .terms import Atom, Bar, Terms, atom_from_tokens
from .tokens import Token, complain, display, matching, split_arguments, tokenize

__all__ = ["Atom", "Bar", "Formula", "Terms", "parse_expression", "parse_formula", "parse_part"]


@dataclass(frozen=True)
class Formula:
    """A formula, read.

    Attributes
    ----------
    text : str
        The formula with white space normalized.
    source : str
        The formula as given; positions refer to it.
    response : tuple of Atom
        One atom, or two for ``cbind(successes, failures)``; none in the formula of a part without a response.
    response_text : str
        The left-hand side as written.
    fixed : Terms
    bars : tuple of Bar
        ``(1 | a/b)`` counts as two.
    offsets : tuple of Atom
    limits : tuple of str
        Of a response that is known in part: what the atoms after the first are, "left", "right", or, of
        ``interval(lower, upper)``, "upper". Empty for all others.
    """

    text: str
    source: str
    response: tuple[Atom, ...]
    response_text: str
    fixed: Terms
    bars: tuple[Bar, ...]
    offsets: tuple[Atom, ...]
    limits: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text

    @property
    def predictor_atoms(self) -> tuple[Atom, ...]:
        """Atoms of the fixed part, the offsets and the left sides of the bars, each once."""
        bars = (atom for bar in self.bars for atom in bar.terms.atoms)
        return tuple(dict.fromkeys((*self.fixed.atoms, *self.offsets, *bars)))

    def group_atoms(self, bars: Iterable[Bar]) -> tuple[Atom, ...]:
        """The columns of the grouping factors of some bars, where they stand in the source."""
        atoms = []
        for bar in bars:
            bar_at = self.source.find("|", bar.position)
            for name in bar.group:
                at = max(self.source.find(name, bar_at), bar.position)
                atoms.append(Atom(name, name=name, variables=(name,), position=at))
        return tuple(atoms)


def parse_formula(text: str) -> Formula:
    """Read ``response ~ fixed + (terms | group) + ...``.

    Parameters
    ----------
    text : str
        The formula, in lme4's syntax.

    Returns
    -------
    Formula

    Raises
    ------
    FormulaError
        With the place marked, where the text is not a formula.
    """
    if not isinstance(text, str):
        raise FormulaError(f"a formula is a string such as 'y ~ x + (1 | g)'; got {type(text).__name__}")
    return _parse(text)


@lru_cache(maxsize=256)
def _parse(text: str) -> Formula:
    tokens = tokenize(text)
    depth, tildes = 0, []
    for i, token in enumerate(tokens):
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}")) if token.kind == "op" else 0
        if token.text == "~" and token.kind == "op":
            if depth:
                complain(text, token.start, "'~' inside brackets")
            tildes.append(i)
    if not tildes:
        complain(text, len(text), "no '~' in the formula: expected 'response ~ terms', such as 'y ~ x + (1 | g)'")
    if len(tildes) > 1:
        complain(text, tokens[tildes[1]].start, "a formula has one '~'; this is the second")
    left, right = tokens[: tildes[0]], tokens[tildes[0] + 1 :]
    if not left:
        complain(text, tokens[tildes[0]].start, "nothing before '~': expected the response")
    if right[0].kind == "end":
        complain(text, right[0].start, "nothing after '~': expected terms; '1' is the intercept alone")
    response, limits = _response(text, left)
    parsed = parse_right_side(text, right)
    return Formula(
        text=display(tokens[:-1]),
        source=text,
        response=response,
        response_text=display(left),
        fixed=parsed.fixed,
        bars=parsed.bars,
        offsets=parsed.offsets,
        limits=limits,
    )


def parse_part(text: str) -> Formula:
    """Read the formula of a part of the model that has no response: ``~ x + offset(z)``, or the same without ``~``.

    Raises
    ------
    FormulaError
        With the place marked, where the text is no such formula.
    """
    if not isinstance(text, str):
        raise FormulaError(f"a formula is a string such as '~ x'; got {type(text).__name__}")
    return _parse_part(text)


@lru_cache(maxsize=256)
def _parse_part(text: str) -> Formula:
    tokens = tokenize(text)
    right = tokens[1:] if tokens[0].text == "~" else tokens
    for token in right:
        if token.text == "~" and token.kind == "op":
            complain(text, token.start, "this formula has no response: it is '~ terms'")
    if right[0].kind == "end":
        complain(text, right[0].start, "expected terms, as in '~ x'; '~ 1' is the intercept alone")
    parsed = parse_right_side(text, right)
    return Formula(
        text=f"~ {display(right[:-1])}",
        source=text,
        response=(),
        response_text="",
        fixed=parsed.fixed,
        bars=parsed.bars,
        offsets=parsed.offsets,
    )


def parse_expression(text: str) -> Atom:
    """Read a column or an expression of columns, such as ``log(t)``, that is no part of a formula.

    Raises
    ------
    FormulaError
        With the place marked, where the text is no expression.
    """
    tokens = tokenize(text)[:-1]
    if not tokens:
        raise FormulaError("an empty text is no expression; give the name of a column, or an expression of columns")
    return atom_from_tokens(text, tokens)


def _response(text: str, tokens: Sequence[Token]) -> tuple[tuple[Atom, ...], tuple[str, ...]]:
    """The atoms of the response, and what those after the first are of a response that is known in part."""
    first = tokens[0]
    depth = 0
    for token in tokens:
        if token.kind == "op":
            depth += (token.text in "([{") - (token.text in ")]}")
            if token.text in ("|", "||") and depth == 0:
                complain(text, token.start, "'|' on the left of '~': random terms belong to the right-hand side")
    is_call = len(tokens) > 2 and first.kind == "name" and tokens[1].text == "("
    whole = is_call and matching(text, tokens, 1) == len(tokens) - 1
    if whole and first.value == "c":
        complain(
            text, first.start, "c(...) is no response: for successes and failures write cbind(successes, failures)"
        )
    if whole and first.value == "cbind":
        parts = split_arguments(tokens[2:-1])
        if len(parts) != 2 or not all(parts):
            complain(text, first.start, f"cbind takes two arguments, successes and failures; got {len(parts)}")
        return tuple(atom_from_tokens(text, part) for part in parts), ()
    if whole and first.value in ("censored", "interval"):
        return _known_in_part(text, tokens)
    return (atom_from_tokens(text, tokens),), ()


def _known_in_part(text: str, tokens: Sequence[Token]) -> tuple[tuple[Atom, ...], tuple[str, ...]]:
    """``censored(y, left=0, right=limit)`` or ``interval(lower, upper)``."""
    name, parts = tokens[0], split_arguments(tokens[2:-1])
    if name.value == "interval":
        if len(parts) != 2 or not all(parts):
            complain(text, name.start, f"interval takes two arguments, lower and upper; got {len(parts)}")
        return tuple(atom_from_tokens(text, part) for part in parts), ("upper",)
    if not parts or not parts[0]:
        complain(text, name.start, "censored takes the response and its limits, as in censored(y, left=0)")
    atoms, limits = [atom_from_tokens(text, parts[0])], []
    for part in parts[1:]:
        side = part[0].value if len(part) > 2 and part[1].text == "=" else ""
        if side not in ("left", "right") or side in limits:
            start = part[0].start if part else name.start
            complain(text, start, "after the response censored takes left= and right=: a number, or a column")
        limits.append(side)
        atoms.append(atom_from_tokens(text, part[2:]))
    if not limits:
        complain(text, name.start, "censored needs a limit: left=, right= or both, as in censored(y, left=0)")
    return tuple(atoms), tuple(limits)
