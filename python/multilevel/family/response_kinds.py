"""What the response of each family may be, and what is said of values that it may not be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError, DataWarning, and_more, warn_caller

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .registry import Family, Support

    Place = Callable[[int], str]  # where the value at a position came from: "in row 3", "at position 3"

TOLERANCE = 1e-3  # as R: how far from a whole number a count may be before it is remarked upon


def check_values(
    support: Support, what: str, values: NDArray[np.float64], size: NDArray[np.float64] | None, place: Place
) -> None:
    """Checks the numbers of a response as the core takes them.

    Parameters
    ----------
    support : {"numbers", "positive", "nonnegative", "counts", "positive counts", "trials", "open unit", "closed unit",
        "categories", "choices"}
    what : str
        The response, as messages call it.
    values : ndarray of float64
        Successes, of trials.
    size : ndarray of float64, or None
        Trials; None is one each.
    place : callable

    Warns
    -----
    DataWarning
        Counts or successes that are not whole.

    Raises
    ------
    DataError
        Values that the family cannot take.
    """
    if support == "numbers":
        return
    if support in ("categories", "choices"):
        row = first((values < 1) | (values != np.floor(values)))
        if row is not None:
            raise DataError(f"{what} is {values[row]:g} {place(row)}; categories are numbered 1, 2, ...")
        return
    if support == "positive":
        row = first(~(values > 0))
        if row is not None:
            advice = "; family='tweedie' takes zeros" if values[row] == 0 else ""
            raise DataError(f"{what} is {values[row]:g} {place(row)}; this family needs numbers above zero{advice}")
        return
    if support == "nonnegative":
        row = first(~(values >= 0))
        if row is not None:
            raise DataError(f"{what} is {values[row]:g} {place(row)}; this family needs zeros or numbers above zero")
        return
    if support in ("open unit", "closed unit"):
        check_unit(what, values, place, ends=support == "closed unit")
        return
    check_not_negative(what, values, place)
    if support == "positive counts":
        row = first(values == 0)
        if row is not None:
            raise DataError(
                f"{what} is 0 {place(row)}{and_more(int((values == 0).sum()) - 1)}; a truncated family has no zeros: "
                "leave these rows out, or take the family itself with hurdle="
            )
    if support == "trials":
        trials = np.ones(len(values)) if size is None else size
        row = first(values > trials)
        if row is not None:
            raise DataError(f"{what} is {values[row]:g} {place(row)}: more successes than trials ({trials[row]:g})")
    warn_not_whole(what, values, place)


def check_response(
    family: Family, what: str, values: NDArray[np.float64], size: NDArray[np.float64] | None, place: Place
) -> None:
    """Checks the numbers of a response of a family that may have a zero part; otherwise as `check_values`.

    Raises
    ------
    DataError
        Values that the family cannot take, or that say nothing of its zero part or of the rest.
    """
    if not family.zero:
        return check_values(family.support, what, values, size, place)
    zeros = values == 0
    some = np.flatnonzero(~zeros)
    continuous = not family.has_own_zeros
    row = first(values < 0) if continuous else None
    if row is not None:
        raise DataError(
            f"{what} is {values[row]:g} {place(row)}; with a zero part this family needs zeros and numbers above zero"
        )
    if continuous:
        check_values(family.support, what, values[some], None, lambda row: place(int(some[row])))
    else:
        check_values(family.support, what, values, size, place)
    part = "zero_inflation=" if family.zero == "inflation" else "hurdle="
    if not zeros.any():
        otherwise = (
            f"family='truncated_{family.name}' without it says that there could be none"
            if family.support == "counts" and family.zero == "hurdle"
            else f"leave {part} out"
        )
        raise DataError(f"{what} has no zero in any of {len(values)} rows, and {part} needs some; {otherwise}")
    if not len(some):
        raise DataError(f"{what} is zero in all {len(values)} rows: nothing is left for the {family.name} family")
    rest = values[some]
    where = f"({rest[0]:g} {place(int(some[0]))}{and_more(len(some) - 1, ' and in {} more')})"
    trials = np.ones(len(some)) if size is None else size[some]
    if family.support == "trials" and np.all(trials == 1.0):
        raise DataError(
            f"{what} has single trials: a success {where} says nothing more where zeros have a part of their own; "
            f"leave {part} out, or give trials of more than one"
        )
    if family.zero == "hurdle" and np.ptp(rest) == 0 and np.ptp(trials) == 0:
        raise DataError(
            f"{what} has one value besides zero {where}: with a hurdle nothing is left for the {family.name} family; "
            f"family='binomial' of '{what} > 0' is what these data can tell"
        )
    return None


def check_unit(what: str, values: NDArray[np.float64], place: Place, *, ends: bool) -> None:
    """Refuses what is not between zero and one; these themselves as well, unless `ends`."""
    row = first(~((values >= 0) & (values <= 1)))
    if row is not None:
        advice = "; divide percentages by 100" if 1 < values[row] <= 100 and values.min() >= 0 else ""
        raise DataError(f"{what} is {values[row]:g} {place(row)}; this family needs numbers between 0 and 1{advice}")
    if ends:
        for end in (0.0, 1.0):
            if not (values == end).any():
                raise DataError(
                    f"no value of {what} is {end:g}, so that nothing tells where that begins; this family needs values "
                    "that are 0 and values that are 1: family='beta' is for numbers between them"
                )
        return
    at_end = (values == 0) | (values == 1)
    row = first(at_end)
    if row is not None:
        more = f" and {int(at_end.sum()) - 1} more at 0 or 1" if at_end.sum() > 1 else ""
        raise DataError(
            f"{what} is exactly {values[row]:g} {place(row)}{more}; this family needs numbers between 0 and 1 without "
            "these: family='ordered_beta' has both ends"
        )


def check_not_negative(what: str, values: NDArray[np.float64], place: Place) -> None:
    """Refuses counts below zero."""
    row = first(values < 0)
    if row is not None:
        raise DataError(f"{what} is {values[row]:g} {place(row)}; a count cannot be negative")


def check_trials(family: Family, what: str, size: NDArray[np.float64] | None) -> None:
    """Refuses single trials where nothing but how they go together in a row makes the family."""
    if family.support == "trials" and not family.independent_trials and (size is None or np.all(size <= 1.0)):
        raise DataError(
            f"{what} has one trial in every row; the {family.name} family needs several, which are alike within a row: "
            "cbind(successes, failures), or a proportion with weights= the trials. Of single trials it is the binomial"
        )


def warn_not_whole(what: str, values: NDArray[np.float64], place: Place) -> None:
    """Remarks upon counts that are not whole, and are used as they are."""
    far = np.abs(values - np.round(values)) > TOLERANCE
    row = first(far)
    if row is not None:
        text = f"{what} is not whole: {values[row]:g} {place(row)}{and_more(int(far.sum()) - 1)}"
        warn_caller(text, DataWarning)


def first(condition: NDArray[np.bool_]) -> int | None:
    """Position of the first value for which a condition holds."""
    return int(np.argmax(condition)) if condition.any() else None
