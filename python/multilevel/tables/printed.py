"""Tables that print whole on a page: data frames with every digit, shown in text of `page.WIDTH` columns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .page import Page, Paragraph, Table, format_fixed, format_numbers, format_p


class PrintedFrame(pd.DataFrame):
    """A data frame that prints as a page; whatever is made of it is a plain data frame.

    Subclasses say which columns they know how to print, and how. With other columns it prints as pandas has it.
    """

    LAYOUT: tuple[str, ...] = ()

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def _page(self) -> Page:
        raise NotImplementedError

    def _fits(self) -> bool:
        """Whether it still has the form that it knows how to print."""
        return tuple(self.columns) == self.LAYOUT and len(self) > 0

    def __repr__(self) -> str:
        if not self._fits():
            return super().__repr__()
        return self._page().as_text().rstrip("\n")

    def _repr_html_(self) -> str | None:
        if not self._fits():
            return pd.DataFrame(self).to_html()
        return self._page().as_html()


class Comparison(PrintedFrame):
    """Fits below each other: their formulas by number, then the table, then the notes."""

    LAYOUT = ("df", "aic", "bic", "loglik", "deviance", "chi2", "df_diff", "p_value", "note")

    def _page(self) -> Page:
        numbers = [str(k + 1) for k in range(len(self))]
        cells = [
            numbers,
            *(_blank(format_fixed(self[name], decimals)) for name, decimals in (("df", 0), ("aic", 2), ("bic", 2))),
            *(_blank(format_fixed(self[name], 2)) for name in ("loglik", "deviance")),
            _blank(format_fixed(self["chi2"], 4)),
            _blank(format_fixed(self["df_diff"], 0)),
            _blank(format_p(self["p_value"])),
        ]
        models = tuple(f"{k}: {model}" for k, model in zip(numbers, self.index, strict=True))
        notes = tuple(f"{k}: {note}" for k, note in zip(numbers, self["note"], strict=True) if note)
        table = Table(("", *self.LAYOUT[:-1]), tuple(zip(*cells, strict=True)), n_labels=1, notes=notes)
        return Page((Paragraph(models, title="Models:", hanging=3), table))


class Parameters(PrintedFrame):
    """A row per parameter: estimates with as many digits as their errors tell."""

    LAYOUT: tuple[str, ...] = (
        *("effect", "group", "term", "estimate", "std_error", "df", "statistic", "p_value", "conf_low", "conf_high"),
    )

    def _page(self) -> Page:
        errors = self["std_error"].to_numpy(dtype=float)
        each = [
            [_text(value) for value in self["effect"]],
            [_text(value) for value in self["group"]],
            [_text(value) for value in self["term"]],
            _by_error(self["estimate"].to_numpy(dtype=float), errors),
            [_one(value) for value in errors],
            _blank(_short_df(self["df"].to_numpy(dtype=float))),
            _blank(format_fixed(self["statistic"], 3)),
            _blank(format_p(self["p_value"])),
            *(_by_error(self[name].to_numpy(dtype=float), errors) for name in ("conf_low", "conf_high")),
        ]
        if "quantity" in self.LAYOUT:
            each.insert(3, [_text(value) for value in self["quantity"]])
        n_labels = self.LAYOUT.index("estimate")
        return Page((Table(self.LAYOUT, tuple(zip(*each, strict=True)), n_labels=n_labels, gap=" "),))


class Exponentiated(Parameters):
    """The same with exponentials of coefficients, and what these are."""

    LAYOUT = (*Parameters.LAYOUT[:3], "quantity", *Parameters.LAYOUT[3:])


class SideBySide(PrintedFrame):
    """Fits in columns, text in every cell, below headings of their parts."""

    def _fits(self) -> bool:
        return self.index.nlevels == 2 and len(self) > 0

    def _page(self) -> Page:
        rows, before = [], None
        for (part, term), cells in zip(self.index, self.itertuples(index=False), strict=True):
            rows.append((str(part) if part != before else "", str(term), *map(str, cells)))
            before = part
        return Page((Table(("", "", *map(str, self.columns)), tuple(rows), n_labels=2),))


def _blank(cells: list[str]) -> list[str]:
    """Empty where there is no number."""
    return ["" if cell == "NaN" else cell for cell in cells]


def _text(value: object) -> str:
    return "" if value is None or value != value else str(value)


def _one(value: float) -> str:
    return format_numbers([value], 4)[0] if np.isfinite(value) else ""


def _by_error(values: np.ndarray, errors: np.ndarray) -> list[str]:
    """Each number with the decimals of its own error, since parameters have scales of their own."""
    pairs = zip(values, errors, strict=True)
    guides = [(value, error if np.isfinite(error) and error > 0 else value) for value, error in pairs]
    return ["" if np.isnan(value) else format_numbers([value], 4, decimals_of=[guide])[0] for value, guide in guides]


def _short_df(df: np.ndarray) -> list[str]:
    return format_fixed(df, 2 if np.isfinite(df).any() else 0)
