"""Factors of a confirmatory model as formulas spell them: ``cfa(0 + item | person, math = i1 + i2, verbal = i3)``."""

from __future__ import annotations

from collections.abc import Sequence

from .tokens import Token, complain, display, split_arguments

Factors = tuple[tuple[str, tuple[str, ...]], ...]


def read_factors(text: str, call: Token, arguments: Sequence[Token]) -> Factors:
    """The factors by name, and of each what loads on it: a level of the items' variable, or a column."""
    if not arguments:
        complain(text, call.start, "cfa(...) needs its factors: write cfa(0 + item | person, name = i1 + i2 + i3)")
    found: dict[str, tuple[str, ...]] = {}
    for piece in split_arguments(arguments):
        if len(piece) < 3 or piece[0].kind not in ("name", "quoted") or piece[1].text != "=":
            place = piece[0].start if piece else arguments[-1].start
            complain(text, place, f"a factor is written name = i1 + i2 + i3; got '{display(piece)}'")
        name = piece[0].value
        if any(letter.isspace() or letter == "=" for letter in name):
            complain(text, piece[0].start, f"the name of a factor has no spaces and no '=': '{name}'")
        if name in found:
            complain(text, piece[0].start, f"there are two factors called '{name}'")
        found[name] = _items(text, piece[2:])
    return tuple(found.items())


def _items(text: str, tokens: Sequence[Token]) -> tuple[str, ...]:
    """What stands between the signs."""
    items: list[str] = []
    for k, token in enumerate(tokens):
        if k % 2:
            if token.text != "+":
                complain(text, token.start, f"expected '+' before '{token.text}': items are added, i1 + i2")
            continue
        if token.kind not in ("name", "quoted", "number", "string"):
            complain(text, token.start, f"expected an item, got '{token.text}'; quote an unusual name with backticks")
        item = token.text[1:-1] if token.kind == "string" else token.value
        if item in items:
            complain(text, token.start, f"'{item}' is there twice")
        items.append(item)
    if len(tokens) % 2 == 0:
        complain(text, tokens[-1].start, "expected an item after '+'")
    return tuple(items)
