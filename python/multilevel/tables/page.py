"""How tables look: numbers as text, tables and paragraphs as text or HTML. Nothing here knows what the numbers mean."""

from __future__ import annotations

import html
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 80  # columns of a text page: that of a terminal
GAP = "  "  # between columns
LABEL_WIDTH = 36  # a longer label gets a line of its own, so that nothing is cut and the numbers stay on the page


# ---- numbers -------------------------------------------------------------------------------------------------------


Numbers: TypeAlias = "Sequence[float] | np.ndarray | pd.Series"


def format_numbers(values: Numbers, digits: int, decimals_of: Numbers | None = None) -> list[str]:
    """One column of numbers with common decimals, as R's `format` lays them out.

    Parameters
    ----------
    values : (n,) floats
        NaN and infinities are printed by name and do not influence the layout.
    digits : int
        Significant digits that the smallest nonzero number shows. When this needs more room than scientific
        notation does, the whole column is printed in scientific notation.
    decimals_of : (n,) floats, optional
        Numbers that decide on the layout instead of `values`: estimates are worth as many decimals as their errors.
    """
    column = np.asarray(values, dtype=float)
    guide = column if decimals_of is None else np.asarray(decimals_of, dtype=float)
    finite = np.abs(guide[np.isfinite(guide) & (guide != 0)])
    if finite.size == 0:
        return format_numbers(values, digits) if decimals_of is not None else [_special(v) or "0" for v in column]
    smallest, largest = (_exponent(v, digits) for v in (finite.min(), finite.max()))
    decimals = max(0, digits - 1 - smallest)
    room = max(largest, 0) + 1 + (decimals + 1 if decimals else 0)
    scientific = room > digits + 5 + (max(abs(smallest), abs(largest)) > 99)
    spec = f".{digits - 1}e" if scientific else f".{decimals}f"
    return [_special(v) or _without_sign_of_zero(f"{v + 0.0:{spec}}") for v in column]


def format_fixed(values: Numbers, decimals: int) -> list[str]:
    """Numbers with a given count of decimals; what rounds to zero has no sign."""
    return [_special(v) or _without_sign_of_zero(f"{v + 0.0:.{decimals}f}") for v in np.asarray(values, dtype=float)]


def format_p(values: Numbers, digits: int = 3) -> list[str]:
    """P-values as R prints them: three digits, scientific below 0.0001, and `<2e-16` below double precision."""
    column = np.asarray(values, dtype=float)
    plain = column[column >= 1e-4]
    decimals = digits - 1 - _exponent(plain.min(), digits) if plain.size else digits

    def one(p: float) -> str:
        if np.isnan(p):
            return "NaN"
        if p < 2.220446049250313e-16:
            return "<2e-16"
        return f"{p:.{decimals}f}" if p >= 1e-4 else f"{p:.{digits - 1}e}"

    return [one(p) for p in column]


def format_small(value: float) -> str:
    """One number in running text, with three significant digits."""
    return _special(value) or f"{value:.3g}"


def _exponent(value: float, digits: int) -> int:
    return int(f"{value:.{digits - 1}e}".split("e")[1])


def _without_sign_of_zero(text: str) -> str:
    return text if text.strip("-0.") else text.lstrip("-")


def _special(value: float) -> str:
    if np.isnan(value):
        return "NaN"
    return "" if np.isfinite(value) else ("Inf" if value > 0 else "-Inf")


def abbreviate(names: Sequence[str], length: int) -> list[str]:
    """Names of about `length` characters that stay distinct, by R's rule.

    Spaces go first, then lower-case vowels, then other lower-case letters, each from the right and never the first
    letter of a word; what is still too long is cut. A name that would repeat an earlier one gets more characters.
    """
    result: list[str] = []
    for name in names:
        short = next((s for n in range(length, len(name) + 1) if (s := _shorten(name, n)) not in result), name)
        result.append(short)
    return result


def _shorten(name: str, length: int) -> str:
    if len(name) <= length:
        return name
    words = [list(word) for word in name.split()]
    excess = sum(map(len, words)) - length
    for droppable in ("aeiou", "abcdefghijklmnopqrstuvwxyz"):
        for word in reversed(words):
            for i in range(len(word) - 1, 0, -1):
                if excess > 0 and word[i] in droppable:
                    del word[i]
                    excess -= 1
    return "".join("".join(word) for word in words)[:length]


# ---- blocks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Paragraph:
    """Lines of running text. `title` is the heading above them; `hanging` indents what a long line wraps into."""

    lines: tuple[str, ...]
    title: str = ""
    hanging: int = 2

    def text(self) -> str:
        """Wrapped at `WIDTH`."""
        wrapped = [
            textwrap.fill(
                line, WIDTH, subsequent_indent=" " * self.hanging, break_long_words=False, break_on_hyphens=False
            )
            for line in self.lines
        ]
        return "\n".join([self.title, *wrapped] if self.title else wrapped)

    def html(self) -> str:
        """One `<p>`."""
        title = f"<strong>{html.escape(self.title)}</strong><br>" if self.title else ""
        return f"<p>{title}{'<br>'.join(html.escape(line.strip()) for line in self.lines)}</p>"


@dataclass(frozen=True)
class Table:
    """Cells that are text already.

    Attributes
    ----------
    columns : headings, one per column
    rows : one tuple of cells per row
    title : the heading above, of one or more lines
    n_labels : how many leading columns are labels (left-aligned); the others are numbers (right-aligned)
    notes : lines of running text below the table
    gap : what stands between columns
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    n_labels: int = 0
    notes: tuple[str, ...] = ()
    gap: str = GAP

    def text(self) -> str:
        """Aligned columns; columns that do not fit on the page follow in further panels, as R prints a wide matrix."""
        widths = [
            max(
                [len(self.columns[j]), *(len(row[j]) for row in self.rows if j >= self.n_labels or not self._long(row))]
            )
            for j in range(len(self.columns))
        ]
        lines = [self.title] if self.title else []
        for panel in self._panels(widths):
            if self.columns != ("",) * len(self.columns):
                lines.append(self._line(self.columns, panel, widths))
            for row in self.rows:
                if self._long(row):
                    lines.append(self.gap.join(cell for cell in row[: self.n_labels] if cell))
                    row = ("",) * self.n_labels + row[self.n_labels :]
                if any(row[j] for j in panel if j >= self.n_labels) or len(panel) == self.n_labels:
                    lines.append(self._line(row, panel, widths))
        return "\n".join([*lines, *(textwrap.fill(note, WIDTH, subsequent_indent="  ") for note in self.notes)])

    def _long(self, row: tuple[str, ...]) -> bool:
        return sum(len(cell) for cell in row[: self.n_labels]) > LABEL_WIDTH

    def _panels(self, widths: list[int]) -> list[list[int]]:
        labels = list(range(self.n_labels))
        used = sum(widths[j] + len(self.gap) for j in labels)
        panels, room = [list(labels)], WIDTH - used
        for j in range(self.n_labels, len(widths)):
            if widths[j] + len(self.gap) > room and len(panels[-1]) > self.n_labels:
                panels.append(list(labels))
                room = WIDTH - used
            panels[-1].append(j)
            room -= widths[j] + len(self.gap)
        return panels

    def _line(self, cells: Sequence[str], panel: list[int], widths: list[int]) -> str:
        parts = [cells[j].ljust(widths[j]) if j < self.n_labels else cells[j].rjust(widths[j]) for j in panel]
        return self.gap.join(parts).rstrip()

    def html(self) -> str:
        """One `<table>`: the title is its caption, the label cells are row headers."""

        def cell(j: int, text: str, head: bool = False) -> str:
            side = "left" if j < self.n_labels else "right"
            tag = "th" if head or j < self.n_labels else "td"
            scope = ' scope="col"' if head else ' scope="row"' if tag == "th" else ""
            return f'<{tag}{scope} style="text-align: {side}; padding: 0 0.9em 0 0">{html.escape(text)}</{tag}>'

        def line(cells: Sequence[str], head: bool = False) -> str:
            return "<tr>" + "".join(cell(j, text, head) for j, text in enumerate(cells)) + "</tr>"

        style = "caption-side: top; text-align: left; white-space: nowrap; padding: 0"
        title = "<br>".join(html.escape(line.strip()) for line in self.title.split("\n"))
        parts = [
            '<div style="overflow-x: auto">',  # a wide table scrolls inside the page
            '<table style="margin: 0.8em 0; border-spacing: 0; font-variant-numeric: tabular-nums">',
            f'<caption style="{style}"><strong>{title}</strong></caption>' if self.title else "",
            f"<thead>{line(self.columns, head=True)}</thead>",
            f"<tbody>{''.join(line(row) for row in self.rows)}</tbody>",
            "</table>",
            "</div>",
            *(f"<p>{html.escape(note.strip())}</p>" for note in self.notes),
        ]
        return "\n".join(part for part in parts if part)


@dataclass(frozen=True)
class Page:
    """Blocks one below the other; prints as text and shows as HTML in a notebook."""

    blocks: tuple[Paragraph | Table, ...]

    def as_text(self) -> str:
        """Plain text, blocks separated by an empty line."""
        return "\n\n".join(block.text() for block in self.blocks) + "\n"

    def as_html(self) -> str:
        """Self-contained markup without scripts; every name is escaped."""
        return "<div>\n" + "\n".join(block.html() for block in self.blocks) + "\n</div>"

    def __str__(self) -> str:
        return self.as_text()

    def __repr__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        return self.as_html()


class OnPage(ABC):
    """A result that is shown as a page, in print and in notebooks."""

    @property
    @abstractmethod
    def page(self) -> Page:
        """The result as text or HTML."""

    def __str__(self) -> str:
        return self.page.as_text()

    def __repr__(self) -> str:
        return self.page.as_text().rstrip("\n")

    def _repr_html_(self) -> str:
        return self.page.as_html()
