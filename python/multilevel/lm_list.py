"""A least-squares regression for every level of a grouping factor: what to look at before a mixed model is fitted."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .arguments import understands
from .design.build import build_design
from .errors import DataError, DataWarning, FormulaError, warn_caller
from .family.registry import Family
from .formula.tokens import tokenize
from .inference.wald import p_values, quantile
from .pictures.group_fits import group_fits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from .design.design import Design
    from .results.results import MixedModelResults

FULL_RANK = 1e-7  # of its length: a column with less left after the columns before it adds nothing (as R's lm)
MOST_NAMED = 10  # groups in a warning


@understands
def lm_list(
    formula: str,
    data: Any,
    *,
    weights: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    contrasts: Mapping[str, Any] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    missing: str = "drop",
) -> LmList:
    """Fits ``y ~ x | g`` by least squares, separately for every level of g.

    Parameters
    ----------
    formula : str
        ``"y ~ x | g"``: the regression, a bar, the grouping factor (a column or ``a:b``).
    data : data frame or dict of columns
        It is not modified.
    weights : str or array_like, optional
        Precision of the rows, a column name or one value per row of the frame; rows with weight zero are left out.
    offset : str or array_like, optional
        Subtracted from the response, besides any ``offset()`` in the formula: a column name, an expression of columns,
        or one value per row of the frame.
    contrasts : mapping, optional
        Coding of categorical columns by name, as for `MixedModel`; it is the same for all groups.
    functions : mapping, optional
        Functions of your own that the formula calls, by name.
    missing : {"drop", "raise"}
        Rows with a missing value in any used column leave (and are counted), or raise an error.

    Returns
    -------
    LmList

    Warns
    -----
    DataWarning
        Groups that have fewer rows than coefficients, or whose columns are not independent; they have NaN.

    Raises
    ------
    FormulaError, DataError
        The formula or the data cannot be used, or no group determines the coefficients.

    Examples
    --------
    >>> import multilevel as ml
    >>> fits = ml.lm_list("Reaction ~ Days | Subject", ml.datasets.sleepstudy())
    >>> fits.sigma
    25.59...

    References
    ----------
    Pinheiro & Bates (2000) Mixed-Effects Models in S and S-PLUS, section 4.1.
    """
    design = build_design(
        _with_random_intercept(formula),
        data,
        family=Family("gaussian"),
        weights=weights,
        offset=offset,
        contrasts=contrasts,
        functions=functions,
        missing=missing,
    )
    if len(design.grouping_factors) != 1:
        raise FormulaError(f"'{formula}' has several grouping factors; lm_list takes one: a column, or a:b")
    return LmList(" ".join(formula.split()), design)


class LmList:
    """Regressions per group, with m groups and p coefficients.

    Attributes
    ----------
    formula : str
    groups : pandas.Index
        Levels of the grouping factor, (m,).
    group_name : str
    terms : tuple of str
        Names of the coefficients, (p,).
    nobs, n_missing : int
        Rows used; rows left out for a missing value.
    group_size, df_resid : Series, (m,)
        Rows, and rows minus coefficients, of each group; the latter zero where there is no regression.
    """

    def __init__(self, formula: str, design: Design) -> None:
        factor = design.grouping_factors[0]
        self.formula, self.group_name, self.groups = formula, factor.name, factor.levels
        self.terms = tuple(column.name for column in design.fixed)
        self.nobs, self.n_missing = design.n_rows, design.n_missing
        if not self.terms:
            raise FormulaError(f"'{formula}' has no terms: write y ~ 1 | {factor.name} for means")
        codes, m, p = factor.codes, len(factor.levels), len(self.terms)
        y = np.asarray(design.response.values, dtype=np.float64)
        if design.offset is not None:
            y = y - design.offset
        columns = [np.ones(len(y)) if c.values is None else np.asarray(c.values, np.float64) for c in design.fixed]
        root = None if design.weights is None else np.sqrt(design.weights)
        regression = _regressions(columns, y, codes, m, root)
        size = np.bincount(codes, minlength=m)
        determined = regression.full_rank & (size >= p)
        if not determined.any():
            self._refuse(regression, size)
        self._beta = np.where(determined[:, None], regression.beta, np.nan)
        self._unscaled = np.where(determined[:, None], regression.unscaled, np.nan)
        self._rss = np.where(determined, regression.rss, np.nan)
        self.group_size = self._per_group(size, "n")
        self.df_resid = self._per_group(np.where(determined, size - p, 0), "df_resid")
        residuals = regression.residuals if root is None else regression.residuals / root
        self._residuals = np.where(determined[codes], residuals, np.nan)
        self._index = pd.RangeIndex(design.n_rows) if design.index is None else design.index
        self._response = np.asarray(design.response.values, dtype=np.float64)
        if not determined.all():
            self._warn(np.flatnonzero(~determined))

    # ---- estimates ----

    def coef(self) -> pd.DataFrame:
        """Coefficients, one row per group and one column per term, (m, p)."""
        return pd.DataFrame(self._beta, index=self._group_index, columns=list(self.terms))

    @cached_property
    def sigma(self) -> float:
        """Residual standard deviation, pooled over the groups."""
        df = self.df
        return float(np.sqrt(np.nansum(self._rss) / df)) if df else float("nan")

    @property
    def df(self) -> int:
        """Residual degrees of freedom of all groups together."""
        return int(self.df_resid.sum())

    @property
    def group_sigma(self) -> pd.Series:
        """Residual standard deviation of each group by itself, (m,); NaN without residual degrees of freedom."""
        df = self.df_resid.to_numpy()
        return self._per_group(np.sqrt(np.where(df > 0, self._rss, np.nan) / np.maximum(df, 1)), "sigma")

    @understands
    def table(self, level: float = 0.95, pool: bool = True) -> pd.DataFrame:
        """Every coefficient of every group in a row of its own, (m * p rows).

        Parameters
        ----------
        level : float
            Coverage of the confidence intervals.
        pool : bool
            Whether standard errors come from the pooled residual standard deviation and its degrees of freedom, or from
            the group's own.

        Returns
        -------
        DataFrame
            level (of the grouping factor), term, estimate, std_error, df, statistic, p_value, conf_low, conf_high.
        """
        m, p = self._beta.shape
        sigma = np.full(m, self.sigma) if pool else self.group_sigma.to_numpy()
        df = np.full(m, float(self.df)) if pool else self.df_resid.to_numpy().astype(np.float64)
        estimate, std_error = self._beta.ravel(), (self._unscaled * sigma[:, None]).ravel()
        each_df = np.repeat(np.where(df > 0, df, np.nan), p)
        each_df[np.isnan(estimate)] = np.nan
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = estimate / std_error
        margin = quantile(level, each_df) * std_error
        return pd.DataFrame(
            {
                "level": np.repeat(self._group_index.to_numpy(dtype=object), p),
                "term": np.tile(np.array(self.terms, dtype=object), m),
                "estimate": estimate,
                "std_error": std_error,
                "df": each_df,
                "statistic": statistic,
                "p_value": p_values(statistic, each_df),
                "conf_low": estimate - margin,
                "conf_high": estimate + margin,
            }
        )

    @understands
    def conf_int(self, level: float = 0.95, pool: bool = True) -> pd.DataFrame:
        """Confidence intervals, columns "lower" and "upper", rows by group and term, (m * p, 2)."""
        table = self.table(level, pool)
        index = pd.MultiIndex.from_arrays([table["level"], table["term"]], names=[self.group_name, "term"])
        return pd.DataFrame(
            {"lower": table["conf_low"].to_numpy(), "upper": table["conf_high"].to_numpy()}, index=index
        )

    @understands
    def plot(
        self,
        mixed: MixedModelResults | None = None,
        term: str | None = None,
        level: float = 0.95,
        pool: bool = True,
        ax: Axes | None = None,
    ) -> Axes | Figure:
        """Intervals of the coefficients, a panel for each, groups sorted by the first (nlme's `plot(intervals(f))`).

        Parameters
        ----------
        mixed : results, optional
            A mixed model of the same groups: its coefficients of the groups stand beside, drawn towards the fixed
            effect, which is a line.
        term : str, optional
            One coefficient; all without it.
        level, pool
            As in `table`.
        ax : Axes, optional
            For one coefficient; it needs matplotlib.
        """
        if term is not None and term not in self.terms:
            raise DataError(f"term={term!r} is not there; there are {', '.join(map(repr, self.terms))}")
        terms = self.terms if term is None else (term,)
        fit = None if mixed is None else mixed.fit
        return group_fits(self.table(level, pool), self.group_name, terms, fit, level, ax)

    # ---- rows ----

    def residuals(self) -> pd.Series:
        """Response minus fitted values of the rows used, (n,); NaN in groups without a regression."""
        return pd.Series(self._residuals, index=self._index, name="residuals")

    @property
    def fittedvalues(self) -> pd.Series:
        """Fitted values of the rows used, offset included, (n,)."""
        return pd.Series(self._response - self._residuals, index=self._index, name="fittedvalues")

    def __len__(self) -> int:
        return len(self.groups)

    def __repr__(self) -> str:
        left = f", {self.n_missing} left out" if self.n_missing else ""
        return (
            f"<LmList: {self.formula}, {len(self)} groups, {self.nobs} rows{left}, pooled residual SD {self.sigma:.6g} "
            f"on {self.df} degrees of freedom>"
        )

    def _repr_html_(self) -> str:
        html: str = self.table().to_html(index=False)
        return html

    # ---- inside ----

    @property
    def _group_index(self) -> pd.Index:
        return self.groups.rename(self.group_name)

    def _per_group(self, values: NDArray[Any], name: str) -> pd.Series:
        return pd.Series(values, index=self._group_index, name=name)

    def _refuse(self, regression: _Regressions, size: NDArray[np.int64]) -> None:
        p = len(self.terms)
        if size.max() < p:
            raise DataError(
                f"no level of '{self.group_name}' has as many rows as there are coefficients ({p}); "
                f"the largest has {size.max()}"
            )
        never = [term for k, term in enumerate(self.terms) if not regression.adds[size >= p, k].any()]
        if never:
            raise DataError(
                f"{', '.join(map(repr, never))} adds nothing to the columns before it within any level of "
                f"'{self.group_name}' (is it constant there?); remove it"
            )
        raise DataError(
            f"no level of '{self.group_name}' determines all of {', '.join(map(repr, self.terms))}; use fewer terms"
        )

    def _warn(self, without: NDArray[np.intp]) -> None:
        names = ", ".join(f"'{self.groups[k]}'" for k in without[:MOST_NAMED])
        more = f" and {len(without) - MOST_NAMED} more" if len(without) > MOST_NAMED else ""
        warn_caller(
            f"{len(without)} of the {len(self)} levels of '{self.group_name}' have fewer rows than the "
            f"{len(self.terms)} coefficients, or columns that depend on each other; theirs are NaN: {names}{more}",
            DataWarning,
        )


class _Regressions:
    """Least squares in all groups at once: `beta`, `unscaled` (standard errors over sigma) and `adds` (whether a column
    adds to those before it) are (m, p), `rss` and `full_rank` (m,), `residuals` (n,).
    """

    def __init__(self, m: int, p: int, n: int) -> None:
        self.beta, self.unscaled = np.zeros((m, p)), np.zeros((m, p))
        self.adds = np.ones((m, p), dtype=bool)
        self.rss, self.residuals = np.zeros(m), np.zeros(n)

    @property
    def full_rank(self) -> NDArray[np.bool_]:
        return np.asarray(self.adds.all(axis=1), dtype=np.bool_)


def _regressions(
    columns: list[NDArray[np.float64]],
    y: NDArray[np.float64],
    codes: NDArray[np.int32],
    m: int,
    root: NDArray[np.float64] | None,
) -> _Regressions:
    """Gram-Schmidt orthogonalization by group, every column twice so that it is as accurate as Householder's.

    `root` holds square roots of weights; residuals are multiplied by them.
    """
    p = len(columns)
    result = _Regressions(m, p, len(y))

    def sums(product: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(codes, product, m), dtype=np.float64)

    triangle = np.zeros((m, p + 1, p + 1))  # columns = orthogonal columns @ triangle, with a unit diagonal
    triangle[:, np.arange(p + 1), np.arange(p + 1)] = 1.0
    orthogonal: list[NDArray[np.float64]] = []
    lengths = np.empty((m, p))  # squared
    for j, column in enumerate([*columns, y]):
        rest = column if root is None else column * root
        before = sums(rest * rest)
        for _ in range(2):
            for k, other in enumerate(orthogonal):
                share = np.where(result.adds[:, k], sums(other * rest) / lengths[:, k], 0.0)
                triangle[:, k, j] += share
                rest = rest - share[codes] * other
        after = sums(rest * rest)
        if j == p:
            result.rss, result.residuals = after, rest
            break
        result.adds[:, j] = after > FULL_RANK**2 * before
        lengths[:, j] = np.where(result.adds[:, j], after, 1.0)
        orthogonal.append(rest)
    inverse = np.linalg.inv(triangle[:, :p, :p])
    result.beta = np.einsum("mij,mj->mi", inverse, triangle[:, :p, p])
    result.unscaled = np.sqrt(np.einsum("mij,mj->mi", inverse**2, 1.0 / lengths))
    return result


def _with_random_intercept(formula: str) -> str:
    """``y ~ x | g`` as the formula of a mixed model, which has the same columns and groups."""
    if not isinstance(formula, str):
        raise FormulaError(f"a formula is a string such as 'y ~ x | g'; got {type(formula).__name__}")
    depth, bars, right = 0, [], False
    for token in tokenize(formula):
        if token.kind == "op":
            depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
            right = right or token.text == "~"
            if token.text in ("|", "||"):
                bars.append((token, depth == 0 and right and token.text == "|"))
    if len(bars) != 1 or not bars[0][1]:
        raise FormulaError(
            f"'{formula}' is not of the form 'y ~ x | g': one bar, outside parentheses, before the groups"
        )
    at = bars[0][0].start
    return f"{formula[:at]} + (1 | {formula[at + 1 :].strip()})"
