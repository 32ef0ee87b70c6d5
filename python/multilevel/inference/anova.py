"""Tests of the terms of the fixed part: F tests for linear models, Wald chi-square tests for all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ..errors import DataError, NotEstimableWarning, warn_caller
from .degrees_of_freedom import containment
from .degrees_of_freedom.methods import check_method, default_method, denominator_df, independent_rows
from .multiplicity import check_adjustment, with_adjusted
from .robust import check_df_method
from .term_contrasts import TYPES, kept_columns, term_contrasts

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..fitting.record import Fit
    from .robust import Robust


class FTest(NamedTuple):
    """An F statistic, its degrees of freedom (`den_df` is infinite for a Wald test), its p-value, and Kenward and
    Roger's scale, which is in `f_value` and 1 for other methods.
    """

    f_value: float
    num_df: int
    den_df: float
    p_value: float
    scale: float


def f_test(fit: Fit, contrasts: ArrayLike, df_method: str | None = None, null: ArrayLike | None = None) -> FTest:
    """The F test of ``contrasts @ beta = 0``; with infinite degrees of freedom, num_df * f_value is a chi-square.

    Parameters
    ----------
    fit : Fit
    contrasts : (k, p) array_like
    df_method : {"satterthwaite", "kenward-roger", "containment", "containment-sas", "residual", "normal"}, optional
        The model's default without it.
    null : (p,) array_like, optional
        The test is then one of ``contrasts @ (beta - null) = 0``.
    """
    rows = np.atleast_2d(np.asarray(contrasts, dtype=np.float64))
    df, scale, covariance = denominator_df(fit, rows, df_method or default_method(fit))
    return quadratic_test(rows, fit.beta if null is None else fit.beta - np.asarray(null), df, scale, covariance)


def anova(
    fit: Fit,
    type: int = 3,  # noqa: A002
    df_method: str | None = None,
    robust: Robust | None = None,
    adjust: str | None = None,
) -> pd.DataFrame:
    """Tests every term of the fixed part.

    Parameters
    ----------
    fit : Fit
    type : {3, 2, 1}
        The hypotheses: each term given all others, averaged over levels with equal weights (3, as SAS and lmerTest);
        given all terms that do not contain it (2); given the terms before it (1). Neither they nor the degrees of
        freedom depend on how factors are coded: those of Satterthwaite's method, which turn with the rows that stand
        for a hypothesis of several, are of the rows in treatment coding with the first level as reference, as in
        lmerTest's tests of type 3.
    df_method : {"satterthwaite", "kenward-roger", "containment", "containment-sas", "residual", "normal"}, optional
        Denominators of F. The default is Satterthwaite's for linear mixed models, "residual" for linear models without
        random effects and "normal" (chi-square tests) for everything else, which has no other.
    robust : Robust, optional
        A robust covariance in place of the model's: all tests are then chi-square tests, and with CR2 and CR3 F tests
        with Hotelling's approximation.
    adjust : {"holm", "bonferroni", "bh", "by"}, optional
        The tests of all terms together: adds `p_adjusted`.

    Returns
    -------
    DataFrame, index = labels of the terms
        sum_sq, mean_sq (on the scale of the residual variance), num_df, den_df, f_value, p_value; or chi2, df, p_value
        for chi-square tests. A term without a testable hypothesis has zero degrees of freedom and NaN.

    Raises
    ------
    DataError
        For another type or method, or a method that does not go with the fit.

    References
    ----------
    SAS/STAT User's Guide, "The Four Types of Estimable Functions"; Kuznetsova, Brockhoff & Christensen (2017) J. Stat.
    Softw. 82(13).
    """
    if type not in TYPES:
        raise DataError(f"type={type!r} is not known; the types are 1, 2 and 3")
    if robust is not None:
        check_df_method(df_method)
        df_method, fit = "normal", robust.fit
    method = df_method or default_method(fit)
    check_method(fit, method)
    check_adjustment(adjust)
    tests: dict[str, FTest] = {}
    for label, rows in term_contrasts(fit, int(type)).items():
        if robust is not None and robust.hotelling_df is not None:
            tests[label] = hotelling_test(robust, rows)
        elif method == "containment" and fit.design.random_terms and len(rows):
            df = _own_stratum(fit, label)
            tests[label] = quadratic_test(rows, fit.beta, df, 1.0, fit.beta_covariance)
        else:
            tests[label] = f_test(fit, rows, method)
    index = pd.Index(list(tests), dtype=object, name="term")
    table = pd.DataFrame(list(tests.values()), columns=FTest._fields, index=index)
    if robust is not None and robust.hotelling_df is not None:
        _tell_of_few_clusters(table, robust)
        table = table[["num_df", "den_df", "f_value", "p_value"]]
        table.attrs["robust"] = robust.definition
        return with_adjusted(table, adjust)
    if method == "normal":
        chi2 = {"chi2": table["f_value"] * table["num_df"], "df": table["num_df"], "p_value": table["p_value"]}
        tested = pd.DataFrame(chi2)
        if robust is not None:
            tested.attrs["robust"] = robust.definition
        return with_adjusted(tested, adjust)
    mean_sq = table["f_value"] / table["scale"] * fit.phi["sigma"] ** 2
    table.insert(0, "mean_sq", mean_sq)
    table.insert(0, "sum_sq", mean_sq * table["num_df"])
    return with_adjusted(table[["sum_sq", "mean_sq", "num_df", "den_df", "f_value", "p_value"]], adjust)


def quadratic_test(
    contrasts: NDArray[np.float64],
    estimate: NDArray[np.float64],
    df: float,
    scale: float,
    covariance: NDArray[np.float64],
) -> FTest:
    """The F test of ``contrasts @ coefficients = 0`` from their estimates and covariance, `df` of the denominator and
    Kenward and Roger's `scale`.
    """
    from scipy.special import chdtrc, fdtrc

    rows = independent_rows(contrasts)
    rank = len(rows)
    if not rank:
        return FTest(np.nan, 0, np.nan, np.nan, 1.0)
    shift = rows @ estimate
    f_value = scale * float(shift @ np.linalg.solve(rows @ covariance @ rows.T, shift)) / rank
    p_value = chdtrc(rank, rank * f_value) if np.isinf(df) else fdtrc(rank, df, f_value)
    return FTest(f_value, rank, float(df), float(p_value), scale)


def hotelling_test(robust: Robust, contrasts: ArrayLike, null: ArrayLike | None = None) -> FTest:
    """The F test of ``contrasts @ (beta - null) = 0`` by a robust covariance of few clusters.

    With eta degrees of freedom of the covariance of q rows (`bias_reduced.hotelling_df`), the Wald statistic times
    (eta - q + 1) / (eta q) is compared with F(q, eta - q + 1), as clubSandwich's HTZ. Where eta is less than q the
    clusters are too few, and all but `num_df` is NaN.

    References
    ----------
    Pustejovsky & Tipton (2018) J. Bus. Econ. Stat. 36:672-683.
    """
    assert robust.hotelling_df is not None
    fit, rows = robust.fit, independent_rows(np.atleast_2d(np.asarray(contrasts, dtype=np.float64)))
    q = len(rows)
    if not q:
        return FTest(np.nan, 0, np.nan, np.nan, 1.0)
    eta = robust.hotelling_df(rows)
    if not eta > q - 1:
        return FTest(np.nan, q, np.nan, np.nan, 1.0)
    estimate = fit.beta if null is None else fit.beta - np.asarray(null)
    return quadratic_test(rows, estimate, eta - q + 1, (eta - q + 1) / eta, fit.beta_covariance)


def _tell_of_few_clusters(table: pd.DataFrame, robust: Robust) -> None:
    few = table.index[table["f_value"].isna() & (table["num_df"] > 0)]
    if len(few):
        warn_caller(f"{', '.join(map(repr, few))}: no test. {few_clusters(robust)}", NotEstimableWarning)


def few_clusters(robust: Robust) -> str:
    """Why there is no joint test of several rows."""
    return (
        f"With {robust.definition.split(';')[0]}, the clusters are too few to tell how the estimates vary together: "
        "test fewer coefficients at a time, or use robust='CR1' or 'MBN'"
    )


def _own_stratum(fit: Fit, label: str) -> float:
    """Containment: the smallest degrees of freedom among the term's own columns."""
    columns = kept_columns(fit)
    of_columns = containment.of_columns(fit)
    term = next(term for term in fit.design.fixed_terms if term.label == label)
    return float(min(of_columns[columns.index(k)] for k in term.columns if k in columns))
