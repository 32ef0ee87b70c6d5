"""Linear hypotheses about coefficients, read from text: ``x = 0, 2*z - w = 1, a[2] = a[3] = a[4]``.

The text is data, not code: it holds names of coefficients, numbers, ``+ - * / ( )``, and equations. Names are taken as
they are printed, brackets and colons included, the longest that fits; quotation marks or backticks set off any other.
"""

from __future__ import annotations

import difflib
import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import ArrayLike, NDArray

_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"[^\W\d][\w.]*(?:[:\[(][^\s=+*/]*)*")
_MARKS = "`\"'"
MOST_CHARACTERS = 10_000
MOST_NESTED = 50  # brackets within brackets


class Restrictions(NamedTuple):
    """The hypothesis ``rows @ beta = values``, and each row in words.

    Attributes
    ----------
    labels : tuple of str
    rows : (k, p) ndarray
    values : (k,) ndarray
    """

    labels: tuple[str, ...]
    rows: NDArray[np.float64]
    values: NDArray[np.float64]


def read_restrictions(
    hypothesis: str | ArrayLike, names: Sequence[str], redundant: Collection[str] = (), values: ArrayLike | None = None
) -> Restrictions:
    """Equations in the names of coefficients, or a matrix, as rows.

    Parameters
    ----------
    hypothesis : str or (k, p) array_like
        Equations separated by commas. One may have several equality signs, and an expression without one is compared
        with zero.
    names : sequence of str
        Of the p coefficients.
    redundant : collection of str
        Columns that were dropped, which have none.
    values : (k,) array_like, optional
        What the rows of a matrix times the coefficients are equal to; zero without it.

    Raises
    ------
    DataError
        The text is not one of linear equations in these names, with the place marked; a matrix has the wrong shape; an
        equation holds no coefficient, or the equations contradict each other.
    """
    if isinstance(hypothesis, str):
        if values is not None:
            raise DataError("values= goes with a matrix; an equation has its own right-hand side, as in 'x = 1'")
        found = _Reader(hypothesis, names, redundant).equations()
    else:
        found = _of_matrix(hypothesis, names, values)
    if not len(found.rows):
        raise DataError("the hypothesis is empty; write equations such as 'x = 0, z = w'")
    for label, row in zip(found.labels, found.rows, strict=True):
        if not row.any():
            raise DataError(f"the hypothesis '{label}' does not depend on any coefficient")
    _solution(found)
    return found


def null_coefficients(restrictions: Restrictions) -> NDArray[np.float64]:
    """The shortest coefficients for which the hypothesis holds, (p,)."""
    return _solution(restrictions)


def _solution(found: Restrictions) -> NDArray[np.float64]:
    size = np.sqrt((found.rows**2).sum(axis=1))
    rows, values = found.rows / size[:, None], found.values / size
    solution = np.asarray(np.linalg.lstsq(rows, values, rcond=None)[0], dtype=np.float64)
    wrong = np.abs(rows @ solution - values) > 1e-9 * (1.0 + np.abs(values).max())
    if wrong.any():
        raise DataError(
            f"the equations contradict each other: no coefficients fulfil {', '.join(map(repr, found.labels))}"
        )
    return solution


def _of_matrix(hypothesis: ArrayLike, names: Sequence[str], values: ArrayLike | None) -> Restrictions:
    try:
        rows = np.atleast_2d(np.asarray(hypothesis, dtype=np.float64))
        right = np.zeros(len(rows)) if values is None else np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError):
        raise DataError("a hypothesis is a text such as 'x = 0, z = w', or a matrix of numbers") from None
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise DataError(
            f"the hypothesis has shape {rows.shape}; a row has one number for each of the {len(names)} coefficients: "
            f"{', '.join(names)}"
        )
    if right.shape != (len(rows),):
        raise DataError(f"values has shape {right.shape}; there is one for each of the {len(rows)} rows")
    if not (np.isfinite(rows).all() and np.isfinite(right).all()):
        raise DataError("the hypothesis holds a number that is not finite")
    return Restrictions(
        tuple(_in_words(row, value, names) for row, value in zip(rows, right, strict=True)), rows, right
    )


def _in_words(row: NDArray[np.float64], value: float, names: Sequence[str]) -> str:
    """A row as an equation, "x - 2*z = 0"."""
    text = ""
    for share, name in zip(row, names, strict=True):
        if share:
            sign = ("-" if share < 0 else "") if not text else (" - " if share < 0 else " + ")
            text += f"{sign}{'' if abs(share) == 1 else f'{abs(share):g}*'}{name}"
    return f"{text or '0'} = {value:g}"


class _Reader:
    """Recursive descent; an expression is a vector of shares of the coefficients, its last number the constant."""

    def __init__(self, text: str, names: Sequence[str], redundant: Collection[str]) -> None:
        if len(text) > MOST_CHARACTERS:
            raise DataError(f"a hypothesis has at most {MOST_CHARACTERS:,} characters; this one has {len(text):,}")
        self.text, self.names, self.redundant = text, list(names), redundant
        self.at = self.depth = 0
        self._longest_first = sorted(range(len(self.names)), key=lambda k: -len(self.names[k]))

    def equations(self) -> Restrictions:
        labels: list[str] = []
        rows: list[NDArray[np.float64]] = []
        while True:
            start = self._skip()
            sides = [(self.expression(), start, self.at)]
            while self._take("="):
                self._take("=")  # "==", as in programs
                start = self._skip()
                sides.append((self.expression(), start, self.at))
            texts = [" ".join(self.text[a:b].split()) for _, a, b in sides]
            if len(sides) == 1:
                labels.append(f"{texts[0]} = 0")
                rows.append(sides[0][0])
            for (left, right), (one, two) in zip(pairwise(sides), pairwise(texts), strict=True):
                labels.append(f"{one} = {two}")
                rows.append(left[0] - right[0])
            if not self._take(","):
                break
            if self._skip() == len(self.text):
                break
        if self._skip() < len(self.text):
            self._complain("expected '=', ',' or an operator here")
        matrix = np.array(rows)
        if not np.isfinite(matrix).all():
            raise DataError(f"the hypothesis {self.text!r} holds a number that is not finite")
        return Restrictions(tuple(labels), matrix[:, :-1], -matrix[:, -1])

    def expression(self) -> NDArray[np.float64]:
        total = self.product()
        while (operator := self._take_any("+-")) is not None:
            other = self.product()
            total = total + other if operator == "+" else total - other
        return total

    def product(self) -> NDArray[np.float64]:
        value = self.signed()
        while True:
            place = self._skip()
            operator = self._take_any("*/")
            if operator is None:
                return value
            other = self.signed()
            if operator == "/":
                if other[:-1].any() or other[-1] == 0:
                    self._complain("division by something that is no number other than zero", place)
                value = value / other[-1]
            elif other[:-1].any() and value[:-1].any():
                self._complain("a product of coefficients: the hypothesis must be linear in them", place)
            else:
                value = other * value[-1] if other[:-1].any() else value * other[-1]

    def signed(self) -> NDArray[np.float64]:
        sign = 1.0
        while (operator := self._take_any("+-")) is not None:
            sign = -sign if operator == "-" else sign
        return sign * self.operand()

    def operand(self) -> NDArray[np.float64]:
        start = self._skip()
        value = np.zeros(len(self.names) + 1)
        if start == len(self.text):
            self._complain("the hypothesis ends where a coefficient or a number was expected")
        first = self.text[start]
        position = self._quoted() if first in _MARKS else self._name()
        number = _NUMBER.match(self.text, start)
        if position is not None:
            value[position] = 1.0
        elif number is not None:
            self.at = number.end()
            value[-1] = float(number.group())
        elif first == "(":
            value = self._bracketed(start)
        else:
            word = _WORD.match(self.text, start)
            if word is not None:
                self._unknown(word.group(), start)
            self._complain("expected the name of a coefficient or a number here", start)
        return value

    def _bracketed(self, start: int) -> NDArray[np.float64]:
        self.at += 1
        self.depth += 1
        if self.depth > MOST_NESTED:
            self._complain(f"brackets can be nested {MOST_NESTED} deep, and no deeper", start)
        value = self.expression()
        if not self._take(")"):
            self._complain("expected ')' here")
        self.depth -= 1
        return value

    def _name(self) -> int | None:
        for k in self._longest_first:
            name = self.names[k]
            end = self.at + len(name)
            if not self.text.startswith(name, self.at):
                continue
            after = self.text[end : end + 1]
            in_word = name[-1:].isalnum() or name[-1:] == "_"
            if after and (after in "[:" or (in_word and (after.isalnum() or after in "_."))):
                continue  # another name that begins like this one
            self.at = end
            return k
        return None

    def _quoted(self) -> int:
        start, mark = self.at, self.text[self.at]
        end = self.text.find(mark, start + 1)
        if end < 0:
            self._complain(f"the quotation mark {mark} is never closed", start)
        name = self.text[start + 1 : end]
        if name not in self.names:
            self._unknown(name, start)
        self.at = end + 1
        return self.names.index(name)

    def _unknown(self, name: str, place: int) -> NoReturn:
        if name in self.redundant:
            self._complain(
                f"'{name}' has no coefficient: its column is a linear combination of others and was dropped", place
            )
        near = difflib.get_close_matches(name, self.names, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(self.names)}"
        self._complain(f"there is no coefficient '{name}'; {hint}", place)

    def _skip(self) -> int:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at

    def _take(self, character: str) -> bool:
        return self._take_any(character) is not None

    def _take_any(self, characters: str) -> str | None:
        self._skip()
        if self.at < len(self.text) and self.text[self.at] in characters:
            self.at += 1
            return self.text[self.at - 1]
        return None

    def _complain(self, message: str, place: int | None = None) -> NoReturn:
        at = self.at if place is None else place
        line = re.sub(r"\s", " ", self.text)
        start, end = max(0, at - 70), min(len(line), at + 50)
        before, after = "..." if start else "", "..." if end < len(line) else ""
        mark = " " * (len(before) + at - start) + "^"
        raise DataError(f"{message}\n    {before}{line[start:end]}{after}\n    {mark}")
