"""Numbers written as text: columns that a file's reader did not take for numbers, and that would become factors."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import DataError, DataWarning, warn_caller

NUMBER = re.compile(r"\s*[-+]?(\d+[.,]?\d*|[.,]\d+|\d{1,3}(,\d{3})+(\.\d*)?)([eE][-+]?\d+)?\s*")
THOUSANDS = re.compile(r"\s*[-+]?\d{1,3}(,\d{3})+(\.\d*)?\s*")
WHOLE = re.compile(r"\s*[-+]?\d+\s*")
STRAY = 0.1  # share of the labels that may be something else, such as "n/a" or "."


def check_number_texts(name: str, labels: Sequence[str]) -> None:
    """Refuses a predictor whose labels are numbers with fractions; warns of one whose labels are whole numbers.

    Parameters
    ----------
    name : str
        The column.
    labels : sequence of str
        The texts that occur in it, each once.

    Raises
    ------
    DataError
        At most a tenth of the labels are no numbers, and some have fractions: they are measurements.
    """
    numbers = [label for label in labels if NUMBER.fullmatch(label)]
    others = [label for label in labels if not NUMBER.fullmatch(label)]
    if not numbers or len(others) > STRAY * len(labels):
        return
    fractions = any(not WHOLE.fullmatch(label) for label in numbers)
    shown = ", ".join(repr(label) for label in numbers[:2]) + (", ..." if len(numbers) > 2 else "")
    stray = f" and others, such as {others[0]!r}," if others else ""
    values, reading = f"data[{name!r}]", ""
    with_commas = [label for label in numbers if "," in label]
    if with_commas:
        thousands = all(THOUSANDS.fullmatch(label) for label in with_commas)
        values += f'.str.replace(",", "{"" if thousands else "."}")'
        reading = f", where commas {'separate thousands' if thousands else 'are decimal points'}"
    convert = f"pd.to_numeric({values}, errors='coerce')" if others else f"pd.to_numeric({values})"
    remedy = f"{convert} makes numbers of them" + (" and the others missing" if others else "") + reading
    what = f"column '{name}' holds numbers written as text ({shown}){stray}"
    if fractions:
        raise DataError(
            f"{what} which would be a factor with {len(labels)} levels: {remedy}; if they are labels, write "
            f"factor({name})"
        )
    warn_caller(
        f"{what} taken as a factor with {len(labels)} levels: {remedy}; if they are labels, write factor({name}), "
        "which says so",
        DataWarning,
    )
