"""The words of a formula: tokens with their places, the text that names a column, the Python that evaluates it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import NoReturn

from ..errors import FormulaError
from .hints import no_function

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?L?)
      | (?P<name>[^\W\d](?:\w|\.(?=\w))*)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<quoted>`[^`]+`)
      | (?P<op>%in%|%%|%/%|\*\*|\|\||&&|==|!=|<=|>=|//|[-+*/:^(){}\[\],|&<>=!~.@%$])""",
    re.VERBOSE,
)
MOST_CHARACTERS = 10_000
MOST_NESTED = 50  # brackets within brackets
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_CONSTANTS = {"TRUE": "True", "FALSE": "False", "NULL": "None", "Inf": "np.inf", "pi": "np.pi"}
_OPERATORS = {"^": "**", "%%": "%", "%/%": "//"}
# Functions of R that have a dot in their names; the others are looked up when the expression is evaluated.
_FUNCTIONS = {"as.factor": "factor", "as.numeric": "as_numeric", "as.integer": "as_integer", "is.na": "is_na"}
# Words of Python that stand between operands, or before one; those that work on whole columns are translated.
_WORDS = frozenset(("if", "else", "and", "or", "not", "in", "is", "for", "lambda"))
_LOGICAL = {"&": "&", "&&": "&", "and": "&", "|": "|", "||": "|", "or": "|", "if": "if", "else": "else"}
# Operators shown with spaces around.
_SPACED = frozenset(
    ("%in%", "%%", "%/%", "%", "*", "+", "-", "~", "|", "||", "&", "&&", "==", "!=", "<", ">", "<=", ">=")
)


# The text of an expression in Python, in pieces, each with the place in the formula that it comes from.
Pieces = list[tuple[str, int]]


@dataclass(frozen=True)
class Token:
    """A word of the formula and where it starts."""

    kind: str  # name, quoted (in backticks), number, string, op, end
    text: str
    start: int

    @property
    def value(self) -> str:
        """The name meant, without backticks."""
        return self.text[1:-1] if self.kind == "quoted" else self.text


def complain(text: str, position: int, message: str) -> NoReturn:
    """Raise a `FormulaError` that shows the formula with a mark under the place."""
    line = re.sub(r"[\r\n\t]", " ", text)
    start = max(0, position - 70)
    end = min(len(line), position + 50)
    before, after = "..." if start else "", "..." if end < len(line) else ""
    mark = " " * (len(before) + position - start) + "^"
    raise FormulaError(f"{message}\n    {before}{line[start:end]}{after}\n    {mark}")


def tokenize(text: str) -> list[Token]:
    """Split a formula into tokens, the last of kind "end"; checks its length, and that brackets match."""
    if len(text) > MOST_CHARACTERS:
        raise FormulaError(f"a formula has at most {MOST_CHARACTERS:,} characters; this one has {len(text):,}")
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            character = text[position]
            if character in "\"'`":
                complain(text, position, f"the quotation mark {character} is never closed")
            complain(text, position, f"the character {character!r} has no meaning in a formula")
        kind = str(match.lastgroup)
        if kind != "space":
            tokens.append(Token(kind, match.group(), position))
        position = match.end()
    tokens.append(Token("end", "", len(text.rstrip())))
    open_brackets: list[Token] = []
    for token in tokens:
        if token.kind != "op":
            continue
        if token.text in _CLOSING:
            open_brackets.append(token)
            if len(open_brackets) > MOST_NESTED:
                complain(text, token.start, f"brackets can be nested {MOST_NESTED} deep, and no deeper")
        elif token.text in _CLOSING.values():
            if not open_brackets:
                complain(text, token.start, f"'{token.text}' without an opening bracket")
            opening = open_brackets.pop()
            if _CLOSING[opening.text] != token.text:
                complain(text, token.start, f"'{opening.text}' is closed by '{token.text}'")
    if open_brackets:
        complain(text, open_brackets[-1].start, f"'{open_brackets[-1].text}' is never closed")
    return tokens


def matching(text: str, tokens: Sequence[Token], opening: int) -> int:
    """Index of the bracket that closes the one at index `opening`."""
    depth = 0
    for i in range(opening, len(tokens)):
        if tokens[i].kind == "op":
            depth += (tokens[i].text in _CLOSING) - (tokens[i].text in _CLOSING.values())
            if depth == 0:
                return i
    complain(text, tokens[opening].start, f"'{tokens[opening].text}' is never closed")


def display(tokens: Sequence[Token]) -> str:
    """The text of an expression with its white space normalized: what names columns, whatever the user's spacing."""
    out: list[str] = []
    previous: Token | None = None
    depth = 0
    for token in tokens:
        text = token.text
        if token.kind == "op":
            depth -= text in _CLOSING.values()
            after_word = previous is not None and previous.kind == "name" and previous.text in _WORDS and depth > 0
            unary = text in "+-!" and (
                previous is None or (previous.kind == "op" and previous.text not in _CLOSING.values()) or after_word
            )
            if after_word and (text in _CLOSING or unary):
                out.append(" ")
            if text == ",":
                text = ", "
            elif (text in _SPACED and not unary) or (text == "=" and depth == 0):
                text = f" {text} "
            depth += token.text in _CLOSING
        elif previous is not None and (
            previous.kind not in ("op", "end") or (previous.text in _CLOSING.values() and text in _WORDS)
        ):
            out.append(" ")
        out.append(text)
        previous = token
    return "".join(out)


def to_python(text: str, tokens: Sequence[Token], aliases: dict[str, str]) -> Pieces:
    """Translate an expression to Python.

    ``&`` and ``|`` bind looser than comparisons in R and tighter in Python, so their operands get parentheses; so does
    what follows ``!``. Python's ``and``, ``or``, ``not`` are taken for these, since they fail on whole columns. Column
    names that are no Python identifiers are replaced by aliases, which `aliases` (name to alias) collects.
    """
    parts: list[Pieces] = []  # the operand being read
    out: list[Pieces] = []  # operands and operators already read
    logical = False
    negated = 0
    i = 0

    def close_operand(at: int) -> None:
        nonlocal parts, negated
        joined = [*_joined(" ", parts), (")" * negated, at)]
        negated = 0
        out.append([("(", at), *joined, (")", at)] if logical else joined)
        parts = []

    depth = 0
    for token in tokens:
        if token.kind == "op":
            depth += (token.text in _CLOSING) - (token.text in _CLOSING.values())
        logical = logical or (depth == 0 and token.kind in ("op", "name") and token.text in _LOGICAL)
    while i < len(tokens):
        token = tokens[i]
        at = token.start
        following = tokens[i + 1] if i + 1 < len(tokens) else None
        if token.kind == "op" and token.text in _CLOSING:
            close = matching(text, tokens, i)
            inside = [_argument(text, piece, aliases) for piece in split_arguments(tokens[i + 1 : close])]
            parts.append([(token.text, at), *_joined(", ", inside), (tokens[close].text, tokens[close].start)])
            i = close + 1
            continue
        if token.kind in ("op", "name") and token.text in _LOGICAL:
            if not parts:
                complain(text, at, f"expected an operand before '{token.text}'")
            close_operand(at)
            out.append([(_LOGICAL[token.text], at)])
        elif token.text in ("!", "not") and (following is None or following.text != "in"):
            parts.append([("logical_not(", at)])
            negated += 1
        elif token.kind == "op":
            if token.text in ("%in%", "$", "@", "~", "{"):
                complain(text, at, f"'{token.text}' is not available inside an expression")
            parts.append([(_OPERATORS.get(token.text, token.text), at)])
        elif token.kind == "number":
            parts.append([(token.text.rstrip("L"), at)])
        elif token.kind == "quoted":
            parts.append([(_alias(token.value, aliases), at)])
        elif token.kind == "name":
            called = following is not None and following.kind == "op" and following.text == "("
            if called and iskeyword(token.text.partition(".")[0]) and token.text not in _FUNCTIONS:  # as.character(x)
                complain(text, at, no_function(token.text, _FUNCTIONS))
            parts.append([(_name(token.text, called, aliases), at)])
        elif token.kind == "string":
            parts.append([(token.text, at)])
        i += 1
    close_operand(tokens[-1].start if tokens else 0)
    return _joined(" ", out)


def _joined(separator: str, groups: Sequence[Pieces]) -> Pieces:
    """Pieces one after the other, with `separator` between the groups."""
    pieces: Pieces = []
    for k, group in enumerate(groups):
        if k:
            pieces.append((separator, (group or pieces or [("", 0)])[0 if group else -1][1]))
        pieces += group
    return pieces


def _argument(text: str, tokens: Sequence[Token], aliases: dict[str, str]) -> Pieces:
    """One argument of a call, ``keyword = value`` or a value."""
    if len(tokens) > 2 and tokens[0].kind == "name" and tokens[1].kind == "op" and tokens[1].text == "=":
        word = (f"{tokens[0].text.replace('.', '_')}=", tokens[0].start)
        return [word, *to_python(text, tokens[2:], aliases)]
    return to_python(text, tokens, aliases) if tokens else []


def split_arguments(tokens: Sequence[Token]) -> list[list[Token]]:
    """The arguments of a call: what stands between the commas."""
    pieces: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind == "op":
            depth += (token.text in _CLOSING) - (token.text in _CLOSING.values())
            if token.text == "," and depth == 0:
                pieces.append([])
                continue
        pieces[-1].append(token)
    return pieces


def _name(name: str, called: bool, aliases: dict[str, str]) -> str:
    if called:
        return _FUNCTIONS.get(name, name)
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    if iskeyword(name) or name.startswith(("np.", "numpy.", "contr.")):
        return name
    return _alias(name, aliases)


def _alias(name: str, aliases: dict[str, str]) -> str:
    # Python takes compatible characters, such as ligatures, for their plain forms, and would find another column.
    plain = name.isidentifier() and not iskeyword(name) and unicodedata.normalize("NFKC", name) == name
    return name if plain and not name.startswith("_column_") else aliases.setdefault(name, f"_column_{len(aliases)}")
