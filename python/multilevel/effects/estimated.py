"""Numbers that follow from the estimates, with their errors by the delta method: what tables of effects are made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from ..errors import DataError
from ..inference.anova import f_test
from ..inference.degrees_of_freedom.methods import adjusted_covariance, check_method, default_method, degrees_of_freedom
from ..inference.wald import correlation
from ..prediction.links import derivatives
from ..tables.page import Page, Paragraph, Table, format_fixed, format_numbers, format_p
from .multiplicity import adjusted_p, reaches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit

    Array = NDArray[np.float64]

E = TypeVar("E", bound="Estimated")
RANK = 1e-10  # of the largest eigenvalue of a covariance: directions below are combinations of others


def covariance_of_estimates(fit: Fit, df_method: str) -> Array:
    """Joint covariance of all parameters, (P, P).

    A parameter at the end of its range (a variance of zero) has no error there and counts as known. Of linear models
    the block of the fixed effects is the one that goes with the degrees of freedom.
    """
    p = len(fit.beta)
    covariance = fit.covariance.copy()
    held = np.flatnonzero(np.isnan(np.diag(covariance)))
    held = held[held >= p]
    covariance[held] = covariance[:, held] = 0.0
    covariance[:p, :p] = adjusted_covariance(fit, df_method)
    return covariance


@dataclass(frozen=True, eq=False)
class Estimated:
    """Estimates that are functions of the parameters; prints as a table, which `table` has with every digit.

    Attributes
    ----------
    labels : DataFrame
        What each is, a row each: levels, or the names of contrasts.
    estimate : ndarray, (k,)
        On the scale on which intervals and tests are made.
    jacobian : ndarray, (k, P)
        Their derivatives by the parameters of the model.
    shown : {"as they are", "exp", "mean", "probability"}
        How estimates and the ends of intervals are shown: as they are, their exponentials, the means that the link
        makes of them, or the probabilities that they are the logits of.
    what : str
        What the numbers are, in words.
    notes : tuple of str
    families : ndarray, (k,)
        Which tests are adjusted together.
    adjust : str
    n_means : int
        Of how many means the contrasts of one family are.
    tested : bool
        Whether the table has tests of zero.
    """

    fit: Fit = field(repr=False)
    labels: pd.DataFrame
    estimate: Array
    jacobian: Array = field(repr=False)
    what: str
    level: float = 0.95
    df_method: str | None = None
    shown: str = "as they are"
    notes: tuple[str, ...] = ()
    families: NDArray[np.intp] | None = None
    adjust: str = "none"
    n_means: int = 0
    tested: bool = True

    @property
    def covariance(self) -> Array:
        """Of the estimates, on the scale on which tests are made, (k, k)."""
        own = np.where(np.isfinite(self.jacobian), self.jacobian, 0.0)
        covariance = own @ covariance_of_estimates(self.fit, self._method()) @ own.T
        nothing = ~np.isfinite(self.estimate)
        covariance[nothing] = covariance[:, nothing] = np.nan
        return np.asarray(covariance)

    def _method(self) -> str:
        method = self.df_method or default_method(self.fit)
        check_method(self.fit, method)
        return method

    def _errors(self, there: NDArray[np.bool_]) -> Array:
        """Standard errors, (k,)."""
        own = np.where(there[:, None], self.jacobian, 0.0)
        square = np.einsum("ka,ka->k", own @ covariance_of_estimates(self.fit, self._method()), own)
        return np.where(there, np.sqrt(np.where(square >= 0, square, np.nan)), np.nan)

    def _df(self, there: NDArray[np.bool_]) -> Array:
        """Degrees of freedom of each, (k,); infinite but for linear models."""
        df = np.full(len(self.estimate), np.inf)
        method = self._method()
        if self.fit.is_linear and method != "normal":
            rows = np.where(there[:, None], self.jacobian[:, : len(self.fit.beta)], 0.0)
            df = degrees_of_freedom(self.fit, method, rows)
        return np.where(there, df, np.nan)

    @property
    def table(self) -> pd.DataFrame:
        """Labels, estimate, std_error, df (infinite for normal tests), statistic, p_value, conf_low, conf_high.

        The standard error is that of the number shown; statistic, p-value and interval are made on the scale of the
        link or the logarithm where the number is a mean or a ratio made from there.
        """
        there = np.isfinite(self.estimate)
        error, df = self._errors(there), self._df(there)
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = self.estimate / error
        p_value, reach = np.full(len(error), np.nan), np.full(len(error), np.nan)
        families = np.zeros(len(error), dtype=np.intp) if self.families is None else self.families
        depend = self.adjust in ("tukey", "dunnett", "single-step")
        among = correlation(self.covariance) if depend else np.empty((0, 0))
        for one in np.unique(families):
            own = np.flatnonzero((families == one) & there)
            inside = among[np.ix_(own, own)] if depend else among
            if self.tested:
                p_value[own] = adjusted_p(self.adjust, statistic[own], df[own], inside, self.n_means)
            reach[own] = reaches(self.adjust, self.level, df[own], inside, self.n_means)
        low, high = self.estimate - reach * error, self.estimate + reach * error
        value, slope = self._show(self.estimate), self._slope(self.estimate)
        ends = np.sort(np.array([self._show(low), self._show(high)]), axis=0)
        columns = {"estimate": value, "std_error": np.abs(slope) * error, "df": df}
        if self.tested:
            columns |= {"statistic": statistic, "p_value": p_value}
        columns |= {"conf_low": ends[0], "conf_high": ends[1]}
        return pd.concat([self.labels, pd.DataFrame(columns)], axis=1)

    def joint_test(self) -> pd.DataFrame:
        """The test that all of them are zero at once, or one, where they are ratios; one for each group of `by`.

        F with the degrees of freedom of `df_method` for linear models, else Wald's chi-square.

        Returns
        -------
        DataFrame, a row per group
            Labels that tell the groups apart, then num_df, den_df, f_value, p_value, or df, chi2, p_value.

        Raises
        ------
        DataError
            Some of them are not determined by the data.
        """
        families = np.zeros(len(self.estimate), dtype=np.intp) if self.families is None else self.families
        groups = [np.flatnonzero(families == one) for one in np.unique(families)]
        if not np.isfinite(self.estimate).all():
            raise DataError("joint_test: some of the estimates are NaN; leave those out that have no data")
        table = pd.DataFrame([self._joint(own) for own in groups])
        labels = self.labels.iloc[[own[0] for own in groups]].reset_index(drop=True)
        inside = [name for name in labels if all(self.labels[name].iloc[own].nunique() == 1 for own in groups)]
        telling = [name for name in inside if labels[name].nunique() > 1]
        return pd.concat([labels[telling], table], axis=1)

    def _joint(self, own: NDArray[np.intp]) -> dict[str, float]:
        from scipy.special import chdtrc

        method = self._method()
        if self.fit.is_linear:
            test = f_test(self.fit, self.jacobian[own][:, : len(self.fit.beta)], method)
            if method != "normal":
                return {"num_df": test.num_df, "den_df": test.den_df, "f_value": test.f_value, "p_value": test.p_value}
            return {"df": test.num_df, "chi2": test.num_df * test.f_value, "p_value": test.p_value}
        covariance = self.covariance[np.ix_(own, own)]
        values, vectors = np.linalg.eigh(covariance)
        kept = values > RANK * max(values.max(initial=0.0), np.finfo(float).tiny)
        along = vectors[:, kept].T @ self.estimate[own]
        chi2 = float(np.sum(along**2 / values[kept]))
        return {"df": int(kept.sum()), "chi2": chi2, "p_value": float(chdtrc(kept.sum(), chi2))}

    def _show(self, values: Array) -> Array:
        if self.shown == "exp":
            return np.exp(values)
        if self.shown == "probability":
            return derivatives("logit", values, 0)[0]
        return self.fit.family.mean(values) if self.shown == "mean" else values

    def _slope(self, values: Array) -> Array:
        if self.shown == "exp":
            return np.exp(values)
        if self.shown == "probability":
            return derivatives("logit", values, 1)[1]
        return derivatives(self.fit.family.link, values, 1)[1] if self.shown == "mean" else np.ones_like(values)

    # ---- how it is shown ------------------------------------------------------------------------------------------

    def _page(self) -> Page:
        table = self.table
        names = [str(name) for name in self.labels.columns]
        cells = [[_label(value) for value in self.labels.iloc[:, k]] for k in range(len(names))]
        errors = table["std_error"].to_numpy()
        headings = [*names]
        for name in table.columns[len(names) :]:
            values = table[name].to_numpy(dtype=np.float64)
            if name == "df":
                if np.isfinite(values).any():
                    headings.append(name)
                    cells.append(_blank(format_fixed(values, 2)))
                continue
            headings.append(str(name))
            if name == "p_value":
                cells.append(_blank(format_p(values)))
            elif name == "statistic":
                cells.append(_blank(format_fixed(values, 3)))
            elif name == "std_error":
                cells.append(_blank(format_numbers(values, 4)))
            else:
                guide = np.where(np.isfinite(errors) & (errors > 0), errors, np.nan)
                cells.append(_blank(format_numbers(values, 4, decimals_of=guide)))
        rows = tuple(zip(*cells, strict=True))
        body = Table(tuple(headings), rows, n_labels=len(names), notes=self._all_notes(), gap=" ")
        return Page((Paragraph((self.what,)), body))

    def _all_notes(self) -> tuple[str, ...]:
        notes = list(self.notes)
        if (np.isfinite(self.estimate) & ~np.isfinite(self._errors(np.isfinite(self.estimate)))).any():
            notes.append(f"without standard errors: the fit has no covariance of its parameters ({self.fit.status})")
        if self.adjust != "none":
            size = len(self.estimate) // max(1, len(np.unique(self.families)) if self.families is not None else 1)
            of = f"intervals by {'bonferroni' if self.adjust == 'holm' else self.adjust}"
            notes.append(f"p-values adjusted by {self.adjust} for {size} tests, {of}")
            if self.adjust in ("bh", "by"):
                notes[-1] = f"p-values adjusted by bh for {size} tests; intervals hold one by one"
        return tuple(notes)

    def __len__(self) -> int:
        return len(self.estimate)

    def __repr__(self) -> str:
        return self._page().as_text().rstrip("\n") if len(self) else f"<{type(self).__name__}: nothing>"

    def _repr_html_(self) -> str:
        return self._page().as_html()


def noted(result: E, note: str) -> E:
    """The same with one more line below its table."""
    return replace(result, notes=(*result.notes, note)) if note else result


def _label(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.6g}"
    return str(value)


def _blank(cells: list[str]) -> list[str]:
    return ["" if cell == "NaN" else cell for cell in cells]
