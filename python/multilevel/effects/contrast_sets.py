"""Sets of contrasts by name: which combinations of several means, and what each is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..columns.levels import label_of
from ..errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

KINDS = ("pairwise", "consecutive", "reference", "effects")


class ContrastSet(NamedTuple):
    """Contrasts of some means: their names, and a row of coefficients each, (m, k)."""

    names: list[str]
    rows: Array
    kind: str


def contrast_set(kind: Any, labels: Sequence[str], reference: Any = None, ratio: bool = False) -> ContrastSet:
    """Contrasts of means with these labels.

    Parameters
    ----------
    kind : str, (m, k) array_like, or mapping of names to (k,) array_like
        "pairwise", each with each of the following; "consecutive", each with the one before; "reference", each with
        one of them; "effects", each with the average of all; or the coefficients.
    labels : sequence of str, (k,)
    reference : label, optional
        For "reference"; without it the first.
    ratio : bool
        Whether names are of ratios.

    Raises
    ------
    DataError
        Another word, coefficients of another number of means, or that do not add up to zero.
    """
    k, sign = len(labels), " / " if ratio else " - "
    if not isinstance(kind, str):
        return _custom(kind, labels)
    if kind not in KINDS:
        raise DataError(
            f"contrasts of kind {kind!r} are not known; there are {', '.join(map(repr, KINDS))}, a matrix of "
            "coefficients, or a mapping of names to coefficients"
        )
    if k < 2:
        raise DataError(f"contrasts compare several means; there is {'one' if k else 'none'} (in each group)")
    if reference is not None and kind != "reference":
        raise DataError(f"reference={reference!r} goes with contrasts of kind 'reference'")
    if kind == "effects":
        return ContrastSet([f"{own} effect" for own in labels], np.eye(k) - 1.0 / k, kind)
    if kind == "pairwise":
        pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
    elif kind == "consecutive":
        pairs = [(i + 1, i) for i in range(k - 1)]
    else:
        first = 0 if reference is None else _position(reference, labels)
        pairs = [(i, first) for i in range(k) if i != first]
    rows = np.zeros((len(pairs), k))
    for row, (plus, minus) in zip(rows, pairs, strict=True):
        row[plus], row[minus] = 1.0, -1.0
    return ContrastSet([f"{labels[i]}{sign}{labels[j]}" for i, j in pairs], rows, kind)


def _position(reference: Any, labels: Sequence[str]) -> int:
    wanted = reference if isinstance(reference, str) else label_of(reference)
    if wanted not in labels:
        raise DataError(f"reference={reference!r} is none of the means: {', '.join(labels)}")
    return list(labels).index(wanted)


def _custom(kind: Any, labels: Sequence[str]) -> ContrastSet:
    names = None
    if isinstance(kind, Mapping):
        names, kind = [str(name) for name in kind], list(kind.values())
    try:
        rows = np.atleast_2d(np.asarray(kind, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise DataError(f"the coefficients of the contrasts are no numbers: {error}") from None
    if rows.ndim != 2 or rows.shape[1] != len(labels) or not len(rows):
        raise DataError(
            f"the coefficients of contrasts have shape {rows.shape}; each has {len(labels)}, one for each mean: "
            f"{', '.join(labels)}"
        )
    if not np.isfinite(rows).all():
        raise DataError("the coefficients of the contrasts are not all finite")
    off = np.flatnonzero(np.abs(rows.sum(axis=1)) > 1e-8 * np.abs(rows).sum(axis=1))
    if len(off):
        which = names[off[0]] if names else f"number {off[0] + 1}"
        raise DataError(f"the coefficients of contrast {which} add up to {rows[off[0]].sum():g}; a contrast's are zero")
    return ContrastSet(names or [str(k + 1) for k in range(len(rows))], rows, "custom")
