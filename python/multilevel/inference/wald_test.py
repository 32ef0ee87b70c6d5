"""Wald tests of linear hypotheses about the coefficients of one part of the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import DataError
from ..tables.page import OnPage, Page, Paragraph, Table, format_fixed, format_numbers, format_p
from .anova import FTest, f_test, few_clusters, hotelling_test, quadratic_test
from .degrees_of_freedom.methods import adjusted_covariance, check_method, default_method, degrees_of_freedom
from .multiplicity import with_adjusted
from .restrictions import null_coefficients, read_restrictions
from .robust import check_df_method
from .wald import p_values

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..fitting.record import Fit
    from .restrictions import Restrictions
    from .robust import Robust


@dataclass(frozen=True, eq=False, repr=False)
class WaldTest(OnPage):
    """A hypothesis of one or several equations, tested together and one by one; prints as a page.

    Attributes
    ----------
    statistic : float
        F where `den_df` is finite, else chi-square.
    num_df : int
        Independent equations.
    den_df : float
        Of the denominator of F; infinite for chi-square.
    p_value : float
        Of all equations together.
    table : DataFrame, index = the equations
        estimate (left side minus right side), std_error, df, statistic (t or z), p_value, and p_adjusted where an
        adjustment was asked for.
    df_method : str
    adjust : str or None
    covariance : str
        Which robust covariance it is by; empty for the model's own.
    """

    statistic: float
    num_df: int
    den_df: float
    p_value: float
    table: pd.DataFrame
    df_method: str
    adjust: str | None = None
    covariance: str = ""

    @property
    def page(self) -> Page:
        """The tests as text or HTML."""
        by_t = bool(np.isfinite(self.table["df"]).any())
        own = self.table
        cells = {
            "": [str(label) for label in own.index],
            "estimate": format_numbers(own["estimate"], 4, decimals_of=own["std_error"]),
            "std_error": format_numbers(own["std_error"], 4),
            **({"df": format_fixed(own["df"], 2)} if by_t else {}),
            "t" if by_t else "z": format_fixed(own["statistic"], 3),
            "p_value": format_p(own["p_value"]),
        }
        if "p_adjusted" in own:
            cells["p_adjusted"] = format_p(own["p_adjusted"])
        p_value = format_p([self.p_value])[0]
        if np.isfinite(self.den_df):
            joint = f"F({self.num_df}, {self.den_df:.2f}) = {self.statistic:.4f}, p = {p_value} ({self.df_method})"
        else:
            joint = f"chi-square({self.num_df}) = {self.statistic:.4f}, p = {p_value}"
        notes = [] if self.adjust is None else [f"p_adjusted: {self.adjust}, of {len(own)} tests"]
        if self.covariance:
            notes.append(f"robust covariance: {self.covariance}")
        table = Table(tuple(cells), tuple(zip(*cells.values(), strict=True)), n_labels=1, notes=tuple(notes))
        title = "Hypothesis:" if self.num_df == 1 else "All together:"
        return Page((table, Paragraph((joint,), title=title)))


def wald_test(
    fit: Fit,
    hypothesis: str | ArrayLike,
    values: ArrayLike | None = None,
    df_method: str | None = None,
    part: str = "mean",
    adjust: str | None = None,
    robust: Robust | None = None,
) -> WaldTest:
    """Tests linear hypotheses, together and one by one.

    Parameters
    ----------
    fit : Fit
    hypothesis : str or (k, p) array_like
        As in `read_restrictions`.
    values : (k,) array_like, optional
        Right-hand sides of a matrix.
    df_method : str, optional
        Degrees of freedom of F and t tests of linear models; the model's default without it.
    part : str
        "mean", or a part with a formula of its own, whose tests are by chi-square.
    adjust : {"holm", "bonferroni", "bh", "by"}, optional
        For the number of the single tests.
    robust : Robust, optional
        A robust covariance in place of the model's: all tests are then by the normal distribution, and with CR2 and CR3
        by t and F with their own degrees of freedom.

    Returns
    -------
    WaldTest

    Raises
    ------
    DataError
        As `read_restrictions`; a part that the model does not have; a method that does not go with the model; a
        combination of coefficients whose standard error is not known; clusters that are too few for a joint test.
    """
    if robust is not None:
        check_df_method(df_method)
        if robust.hotelling_df is not None:
            return _with_few_clusters(robust, hypothesis, values, part, adjust)
        own = wald_test(robust.fit, hypothesis, values, "normal", part, adjust)
        return replace(own, covariance=robust.definition)
    if part != "mean":
        return _of_part(fit, hypothesis, values, df_method, part, adjust)
    found = read_restrictions(hypothesis, fit.fixed_names, fit.redundant, values)
    method = df_method or default_method(fit)
    check_method(fit, method)
    covariance = adjusted_covariance(fit, method)
    _check_known(found, covariance, fit.message)
    joint = f_test(fit, found.rows, method, null=null_coefficients(found))
    df = degrees_of_freedom(fit, method, found.rows)
    table = _rows(found, fit.beta, covariance, df)
    return _result(joint, table, method, adjust)


def _with_few_clusters(
    robust: Robust, hypothesis: str | ArrayLike, values: ArrayLike | None, part: str, adjust: str | None
) -> WaldTest:
    if part != "mean":
        raise DataError(f"{robust.definition.split(',')[0]} is of the coefficients of the mean alone; use robust='CR1'")
    assert robust.hotelling_df is not None
    fit = robust.fit
    found = read_restrictions(hypothesis, fit.fixed_names, fit.redundant, values)
    _check_known(found, fit.beta_covariance, fit.message)
    joint = hotelling_test(robust, found.rows, null_coefficients(found))
    if np.isnan(joint.f_value):
        raise DataError(f"all {joint.num_df} equations together cannot be tested. {few_clusters(robust)}")
    df = np.array([robust.hotelling_df(row[None]) for row in found.rows])
    result = _result(joint, _rows(found, fit.beta, fit.beta_covariance, df), "hotelling", adjust)
    return replace(result, covariance=robust.definition)


def _of_part(
    fit: Fit,
    hypothesis: str | ArrayLike,
    values: ArrayLike | None,
    df_method: str | None,
    part: str,
    adjust: str | None,
) -> WaldTest:
    if df_method not in (None, "normal"):
        raise DataError(f"df_method={df_method!r} is for the mean; tests of another part are by chi-square")
    component = fit.component(part)
    at = slice(component.first, component.first + len(component.names))
    found = read_restrictions(hypothesis, component.names, component.redundant, values)
    estimate, covariance = fit.psi[at], fit.covariance[at, at]
    _check_known(found, covariance, fit.message)
    joint = quadratic_test(found.rows, estimate - null_coefficients(found), np.inf, 1.0, covariance)
    return _result(joint, _rows(found, estimate, covariance, np.inf), "normal", adjust)


def _check_known(found: Restrictions, covariance: NDArray[np.float64], message: str) -> None:
    """No test where a coefficient of the hypothesis has no standard error."""
    unknown = np.isnan(np.diag(covariance))
    if (found.rows[:, unknown] != 0).any():
        why = f" ({message})" if message else ""
        raise DataError(f"the hypothesis holds a coefficient that has no standard error{why}: it cannot be tested")


def _rows(
    found: Restrictions, estimate: NDArray[np.float64], covariance: NDArray[np.float64], df: NDArray[np.float64] | float
) -> pd.DataFrame:
    known = np.where(np.isnan(covariance), 0.0, covariance)
    difference = found.rows @ estimate - found.values
    std_error = np.sqrt(np.einsum("ka,ab,kb->k", found.rows, known, found.rows))
    statistic = difference / std_error
    columns = {
        "estimate": difference,
        "std_error": std_error,
        "df": np.broadcast_to(df, difference.shape),
        "statistic": statistic,
        "p_value": p_values(statistic, df),
    }
    return pd.DataFrame(columns, index=pd.Index(found.labels, dtype=object, name="hypothesis"))


def _result(joint: FTest, table: pd.DataFrame, method: str, adjust: str | None) -> WaldTest:
    by_f = np.isfinite(joint.den_df)
    statistic = joint.f_value if by_f else joint.f_value * joint.num_df
    return WaldTest(
        float(statistic), joint.num_df, joint.den_df, joint.p_value, with_adjusted(table, adjust), method, adjust
    )
