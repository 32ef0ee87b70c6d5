"""What all pictures share: where they are drawn, their colours, and how names and intervals are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

# Okabe and Ito's colours: they differ for the colour-blind and in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK, FAINT = "#222222", "#9A9A9A"
LONGEST = 32  # characters of a name
MOST_NAMED = 60  # levels whose names are written


def new_axes(ax: Axes | None, width: float = 6.0, height: float = 4.0) -> Axes:
    """The Axes given, or those of a new figure, in inches."""
    if ax is not None:
        return ax
    panels = new_panels(1, 1, width, height)[1]
    only: Axes = panels[0, 0]
    return only


def new_panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, NDArray[np.object_]]:
    """A new figure with (rows, columns) Axes; the size is that of a panel."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install matplotlib") from error
    size = (width * columns, height * rows)
    figure, panels = pyplot.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    return figure, panels


def tidy_frame(ax: Axes) -> None:
    """No lines where nothing is read off."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="x", color="#E4E4E4", linewidth=0.6)
    ax.set_axisbelow(True)


def ratio_axis(ax: Axes) -> None:
    """A logarithmic axis with plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax.set_xscale("log")
    low, high = ax.get_xlim()
    subs = (1.0, 2.0, 5.0) if high / low < 1e3 else (1.0,)
    ax.xaxis.set_major_locator(LogLocator(subs=subs))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def short(name: object) -> str:
    """A name as it fits beside an axis."""
    text = str(name)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 8]}...{text[-5:]}"


def named_rows(ax: Axes, names: Sequence[object]) -> None:
    """Writes a name beside each row from the top, or where there are too many only says how many."""
    n = len(names)
    ax.set_ylim(n - 0.4, -0.6)
    if n <= MOST_NAMED:
        ax.set_yticks(np.arange(n), [short(name) for name in names])
    else:
        ax.set_yticks([])
        ax.set_ylabel(f"{n:,} levels")


def intervals(
    ax: Axes,
    centre: NDArray[np.float64],
    outer: tuple[NDArray[np.float64], NDArray[np.float64]],
    inner: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    colour: str = COLOURS[0],
) -> None:
    """Points with thin intervals and, inside them, thick ones, a row each from the top."""
    rows = np.arange(len(centre))
    few = len(centre) <= MOST_NAMED
    ax.hlines(rows, *outer, color=colour, linewidth=1.2 if few else 0.5, alpha=1.0 if few else 0.35)
    if inner is not None:
        ax.hlines(rows, *inner, color=colour, linewidth=3.2 if few else 0.7, alpha=1.0 if few else 0.5)
    ax.plot(centre, rows, "o", color=INK, markersize=4.0 if few else 1.5, zorder=3)


def height_of(n: int, most: float = 14.0) -> float:
    """Inches for so many rows."""
    return float(np.clip(1.1 + 0.24 * n, 2.0, most)) if n <= MOST_NAMED else 6.0
