"""What a case is: a model, the data it is fitted to and who is compared on it; and helpers that make data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class CaseData:
    """What a package is given.

    Attributes
    ----------
    frame : DataFrame
        The response, the covariates and the grouping columns.
    second_response : ndarray or None
        Another response (successes) drawn for the same rows, for timing a refit.
    """

    frame: pd.DataFrame
    second_response: np.ndarray | None = None


@dataclass(frozen=True)
class Case:
    """A model to time.

    Attributes
    ----------
    name, title : str
        The name on the command line, and the line above the table.
    formula : str
        lme4 syntax; every package reads it but gpboost, which takes columns.
    response : str
        The column the response is in (successes for a binomial with trials).
    groups : tuple of str
        The grouping columns.
    build : callable
        ``build(small)`` gives the data; small ones are for the call that warms up.
    family : str
        As `ml.fit` has it; ``"gaussian"`` means REML here.
    zero_inflation, dispersion : str or None
        The covariate of the zero part and of the dispersion.
    size, slope : str or None
        The column with the number of trials, and the covariate with a random slope.
    n_quadrature : int
        Points per random effect; 1 is the Laplace approximation.
    n_calls, n_r_calls : int
        Calls timed in one process, of which the median is taken, and the same for R, whose fits take longer.
    peers : tuple of str
        Who is compared when nobody is named on the command line.
    threads : tuple of int
        Numbers of threads that multilevel gets when none are named on the command line; its peers get one then.
    takes_minutes : frozenset of str
        Packages that are left out unless they are asked for.
    has_refit : bool
        Whether a refit with a second response is timed, too.
    n_rounds : int or None
        At most so many rounds, where one tells it all.
    n_nonzeros : int or None
        Entries of the sparse Cholesky factor of the random effects' Hessian, where they are known beforehand.
    """

    name: str
    title: str
    formula: str
    response: str
    groups: tuple[str, ...]
    build: Callable[[bool], CaseData]
    family: str = "binomial"
    zero_inflation: str | None = None
    dispersion: str | None = None
    size: str | None = None
    slope: str | None = None
    n_quadrature: int = 1
    n_calls: int = 1
    n_r_calls: int = 1
    peers: tuple[str, ...] = ("glmm", "gpboost")
    threads: tuple[int, ...] = (1,)
    takes_minutes: frozenset[str] = frozenset()
    has_refit: bool = False
    n_rounds: int | None = None
    n_nonzeros: int | None = None

    @property
    def is_linear(self) -> bool:
        """Whether it is a linear mixed model."""
        return self.family == "gaussian"


def labels(codes: np.ndarray, prefix: str) -> pd.Series:
    """Give a column of strings, one label per code."""
    levels = np.array([f"{prefix}{code:06d}" for code in range(int(codes.max()) + 1)], dtype=object)
    return pd.Series(levels[codes])


def bernoulli(eta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw zeros and ones whose log odds are `eta`."""
    mean = 1.0 / (1.0 + np.exp(-eta))
    return np.asarray(rng.random(eta.size) < mean, dtype=np.int64)


def shuffled(data: CaseData) -> CaseData:
    """Give the same rows in random order, so that the rows of a group do not lie together."""
    order = np.random.default_rng(3).permutation(len(data.frame))
    second = None if data.second_response is None else data.second_response[order]
    return replace(data, frame=data.frame.iloc[order].reset_index(drop=True), second_response=second)


def with_strings(data: CaseData, storage: str) -> CaseData:
    """Give the same data with its text columns held as ``"python"``, ``"pyarrow"`` or ``"object"`` strings.

    With ``"pandas"`` they stay as pandas made them: pyarrow's where it is installed.
    """
    if storage == "pandas":
        return data
    if storage not in ("python", "pyarrow", "object"):
        raise ValueError(f"unknown storage of strings: {storage}")
    dtype: Any = object if storage == "object" else pd.StringDtype(storage, na_value=np.nan)
    text = [name for name, column in data.frame.items() if column.dtype.kind == "O"]
    return replace(data, frame=data.frame.astype(dict.fromkeys(text, dtype)))
