"""Marginal means as a table that can be compared: contrasts of levels, within levels of others, and of contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..arguments import check_choice
from ..columns.levels import label_of
from ..errors import DataError
from ..inference.ratios import ratio_word
from .contrast_sets import ContrastSet, contrast_set
from .estimated import Estimated
from .multiplicity import METHODS
from .rows import unknown_combinations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class MarginalMeans(Estimated):
    """Marginal means, or slopes, which `contrasts` compares.

    Attributes
    ----------
    over, by : tuple of str
        The columns whose levels are compared, and those within whose levels they are.
    slopes : bool
        Whether they are slopes.
    logarithms : bool
        Whether means are ones whose logarithms make ratios.
    """

    over: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    slopes: bool = False
    logarithms: bool = False
    # before those that are not determined became NaN, since their differences may be
    whole_estimate: Array = field(default_factory=lambda: np.empty(0))
    whole_jacobian: Array = field(default_factory=lambda: np.empty(0))
    all_columns: Array | None = None

    def contrasts(
        self,
        kind: Any = "pairwise",
        *,
        adjust: str = "none",
        ratio: bool | None = None,
        reference: Any = None,
        by: str | Sequence[str] | None = None,
        level: float | None = None,
    ) -> Estimated:
        """Combinations of the means whose coefficients add up to zero.

        Parameters
        ----------
        kind : str, array_like, or mapping
            "pairwise", "consecutive", "reference" (each against one) or "effects" (each against the average of all);
            (m, k) coefficients of the k means; a mapping of names to (k,) coefficients; or, for contrasts of contrasts,
            a mapping of the columns to one of the words: ``{"a": "pairwise", "b": "reference"}``.
        adjust : {"none", "holm", "bonferroni", "bh", "by", "tukey", "dunnett", "single-step"}
            How p-values and intervals allow for several tests, those within one combination of `by`. "tukey" is for
            all pairs: exact for independent means of equal precision, and on the safe side for others. "dunnett" is for
            comparisons with a reference, "single-step" for any: by the joint distribution of the tests at hand.
        ratio : bool, optional
            Whether to show ratios: of odds, of means, as the link has it. Without it, where `kind` of the means is
            "response" and the link has ratios.
        reference : level, optional
            Of "reference"; the first without it.
        by : str or list of str, optional
            Columns within whose levels means are compared; those of the means without it.
        level : float, optional
            Of the intervals; that of the means without it.

        Returns
        -------
        Estimated

        Raises
        ------
        DataError
            For a word that is not known, coefficients that do not fit, or an adjustment that is for other contrasts.
        """
        ratios = self._are_ratios(ratio)
        factorial = isinstance(kind, Mapping) and bool(kind) and all(isinstance(own, str) for own in kind.values())
        over, within = self._compared(kind if factorial else None, by)
        check_choice("adjust", adjust, METHODS)
        tables, matrices, families, n_means = [], [], [], 0
        groups = _groups(self.labels, within)
        for at, (values, own) in enumerate(groups):
            inside = self.labels.iloc[own]
            names, rows, word = (
                _factorial(inside, kind, reference, ratios)
                if factorial
                else _simple(inside, over, kind, reference, ratios)
            )
            n_means = len(own)
            wide = np.zeros((len(rows), len(self.labels)))
            wide[:, own] = rows
            matrices.append(wide)
            families += [at] * len(rows)
            tables.append(names.assign(**dict(zip(within, values, strict=True))))
        _check_adjust(adjust, word)
        matrix = np.vstack(matrices)
        estimate, jacobian = self.whole_estimate, self.whole_jacobian
        if ratios and self.logarithms:
            with np.errstate(divide="ignore", invalid="ignore"):
                jacobian = jacobian / estimate[:, None]
                estimate = np.log(estimate)
        value, slope = _combine(matrix, estimate), _combine(matrix, jacobian)
        value[self._undetermined(matrix)] = np.nan
        unit = "ratio of probabilities" if self.shown == "probability" else ratio_word(self.fit, self.logarithms)
        what = _plural(unit).capitalize() if ratios else f"Differences of {self._unit()}"
        return Estimated(
            fit=self.fit,
            labels=pd.concat(tables, ignore_index=True),
            estimate=value,
            jacobian=slope,
            what=f"{what}{_within(within)}",
            level=self.level if level is None else level,
            df_method=self.df_method,
            shown="exp" if ratios else "as they are",
            families=np.array(families, dtype=np.intp),
            adjust=adjust,
            n_means=n_means,
            notes=self.notes,
        )

    def _compared(
        self, factors: Mapping[str, str] | None, by: str | Sequence[str] | None
    ) -> tuple[list[str], list[str]]:
        """The columns whose levels are compared, of contrasts of contrasts `factors`, and those within whose levels."""
        columns = list(self.labels.columns)
        within = list(self.by) if by is None else [by] if isinstance(by, str) else list(by)
        if "category" in self.by and "category" not in within:
            within.append("category")  # probabilities of different categories are compared when asked for by name
        for name in within:
            if name not in columns:
                raise DataError(f"by: the means are not by {name!r}; they are by {', '.join(map(repr, columns))}")
        if factors is not None:
            for name in factors:
                if name not in columns:
                    raise DataError(f"contrasts: the means are not by {name!r}; they are by {', '.join(columns)}")
            within = [name for name in columns if name not in factors]
        over = [name for name in (columns if factors is None else factors) if name not in within]
        if not over:
            raise DataError("contrasts compare the levels of at least one column; by= leaves none")
        return over, within

    def _are_ratios(self, ratio: bool | None) -> bool:
        """Whether contrasts are ratios."""
        possible = self.logarithms or bool(ratio_word(self.fit, False))
        if ratio is None:
            ratio = self.shown == "mean" and bool(ratio_word(self.fit, False))
        if ratio and (not possible or self.slopes):
            raise DataError(
                f"ratio=True: differences of {self._unit()} are no logarithms of ratios; means with average='response' "
                "have ratios of means"
            )
        return ratio

    def _unit(self) -> str:
        if self.slopes:
            return "slopes"
        if self.shown == "probability":
            return "probabilities"
        return "means" if self.logarithms or self.fit.is_linear else "linear predictors"

    def _undetermined(self, matrix: Array) -> NDArray[np.bool_]:
        """Contrasts that involve what the rows of the fit do not determine, (m,)."""
        if self.all_columns is not None:
            return unknown_combinations(self.fit, matrix @ self.all_columns)
        nothing = np.isnan(self.estimate)
        return np.asarray((np.abs(matrix[:, nothing]) > 0).any(axis=1))


def _combine(matrix: Array, values: Array) -> Array:
    """Combinations in which what has no coefficient does not count, and what is NaN makes NaN."""
    clean = np.where(np.isfinite(values), values, 0.0)
    result = np.asarray(matrix @ clean)
    lost = (matrix != 0).astype(float) @ (~np.isfinite(values)).astype(float) > 0
    result[lost] = np.nan
    return result


def _groups(labels: pd.DataFrame, within: list[str]) -> list[tuple[tuple[Any, ...], NDArray[np.intp]]]:
    """The means of each combination of levels, in order."""
    keys = [tuple(row) for row in labels[within].itertuples(index=False)] if within else [()] * len(labels)
    return [(key, np.flatnonzero([own == key for own in keys])) for key in dict.fromkeys(keys)]


def _simple(
    labels: pd.DataFrame, over: list[str], kind: Any, reference: Any, ratio: bool
) -> tuple[pd.DataFrame, Array, str]:
    texts = [" ".join(label_of(value) for value in row) for row in labels[over].itertuples(index=False)]
    found = contrast_set(kind, texts, reference, ratio)
    return pd.DataFrame({"contrast": found.names}), found.rows, found.kind


def _factorial(
    labels: pd.DataFrame, kinds: Mapping[str, str], reference: Any, ratio: bool
) -> tuple[pd.DataFrame, Array, str]:
    """Contrasts of one column of contrasts of another, and so on; the first column varies fastest."""
    levels = {name: list(dict.fromkeys(labels[name])) for name in kinds}
    sets: dict[str, ContrastSet] = {}
    for name, kind in kinds.items():
        own = reference if kind == "reference" and not isinstance(reference, Mapping) else None
        if isinstance(reference, Mapping):
            own = reference.get(name)
        sets[name] = contrast_set(kind, [label_of(value) for value in levels[name]], own, ratio)
    rows: Array = np.ones((1, 1))
    for found in sets.values():
        rows = np.asarray(np.kron(found.rows, rows), dtype=np.float64)
    places = np.ravel_multi_index(
        [[levels[name].index(value) for value in labels[name]] for name in kinds],
        [len(own) for own in levels.values()],
        order="F",
    )
    names = np.unravel_index(np.arange(len(rows)), [len(found.rows) for found in sets.values()], order="F")
    table = {name: [found.names[k] for k in own] for (name, found), own in zip(sets.items(), names, strict=True)}
    return pd.DataFrame(table), rows[:, places], "interaction" if len(kinds) > 1 else next(iter(kinds.values()))


def _check_adjust(adjust: str, word: str) -> None:
    needed = {"tukey": "pairwise", "dunnett": "reference"}.get(adjust)
    if needed is not None and word != needed:
        raise DataError(
            f"adjust={adjust!r} is for contrasts of kind {needed!r}, not {word!r}; 'single-step' is for any"
        )


def _plural(word: str) -> str:
    return word.replace("ratio", "ratios")


def _within(names: list[str]) -> str:
    return f", by {', '.join(names)}" if names else ""
