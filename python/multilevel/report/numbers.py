"""What a page about a fit is made of: each number once, from the module that has it, whatever the layout."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import DataError
from ..fitting.covariance import INDEPENDENT
from ..inference import anova, wald
from ..inference.components import component_table
from ..inference.family_parameters import family_parameters
from ..inference.information_criteria import criteria, information_criteria, n_subjects
from ..inference.variance_components import vcov_table
from ..inference.variance_test import VarianceTest, variance_test
from ..prediction.residuals import pearson_chi2, scaled

if TYPE_CHECKING:
    import pandas as pd

    from ..design.random_terms import RandomTerm
    from ..fitting.parameters import Component
    from ..fitting.record import Fit
    from ..inference.anova import FTest
    from ..inference.robust import Robust

DF_NAMES = {
    "satterthwaite": "Satterthwaite's degrees of freedom",
    "kenward-roger": "Kenward and Roger's degrees of freedom and standard errors",
    "containment": "containment degrees of freedom",
    "containment-sas": "containment degrees of freedom as SAS counts them",
    "residual": "residual degrees of freedom",
}
HOMOGENEOUS = ("homogeneous diagonal", "homogeneous compound symmetry", "ar1")  # one variance for all
ONE_CORRELATION = ("compound symmetry", "homogeneous compound symmetry", "ar1", "heterogeneous ar1")


class CovarianceParameter(NamedTuple):
    """A variance, covariance or correlation of random effects, or the residual variance, with its Wald interval.

    `names` are those of both effects, `place` their positions from one; the residual has neither, and the group
    "Residual"; `alone` is whether the term has one effect. Intervals of variances are made of their logarithms, those
    of correlations of their inverse hyperbolic tangents, so that they stay in their ranges.
    """

    group: str
    structure: str
    kind: str
    names: tuple[str, ...]
    place: tuple[int, int]
    estimate: float
    std_error: float
    conf_low: float
    conf_high: float
    alone: bool = False


class Numbers:
    """The numbers of a fit, each computed when a page first asks for it.

    Parameters
    ----------
    fit : Fit
    df_method : str, optional
        Degrees of freedom, as in `wald.coefficient_table`.
    robust : Robust, optional
        A robust covariance for all standard errors.
    prefer : str
        Degrees of freedom where none are asked for and these go with the fit; otherwise the fit's default.
    """

    def __init__(self, fit: Fit, df_method: str | None = None, robust: Robust | None = None, prefer: str = "") -> None:
        self.fit, self.robust = fit, robust
        self.unasked = df_method is None
        if df_method is None and prefer and robust is None and _is_nested(fit):
            df_method = prefer
        self._df_method = df_method
        self.judged = fit if robust is None else robust.fit  # where standard errors come from

    @cached_property
    def method(self) -> str:
        """Degrees of freedom of the tests of coefficients; "normal" where they are z tests."""
        if self.robust is not None:
            return "satterthwaite" if np.isfinite(self.coefficients["df"]).all() else "normal"
        return self._df_method or wald.default_method(self.fit)

    @property
    def tested_by_t(self) -> bool:
        """Whether coefficients have t tests."""
        return self.method in DF_NAMES

    @cached_property
    def coefficients(self) -> pd.DataFrame:
        """Of the mean, `wald.coefficient_table`."""
        return wald.coefficient_table(self.fit, df_method=self._df_method, robust=self.robust)

    @property
    def correlation(self) -> np.ndarray:
        """Of the coefficients of the mean, (p, p)."""
        return wald.correlation(self.judged.beta_covariance)

    def of_component(self, component: Component) -> pd.DataFrame:
        """Coefficients of a part beside the mean."""
        return component_table(self.judged, component)

    @cached_property
    def of_family(self) -> pd.DataFrame:
        """The family's own parameters."""
        return family_parameters(self.judged)

    @cached_property
    def residuals(self) -> np.ndarray | None:
        """Five quantiles of the scaled residuals; None where the family's variance is not known."""
        if not self.fit.family.has_variance:
            return None
        residual = scaled(self.fit)
        residual = residual[np.isfinite(residual)]
        return np.quantile(residual, [0, 0.25, 0.5, 0.75, 1]) if len(residual) else np.full(5, np.nan)

    @property
    def pearson_chi2(self) -> float:
        """Sum of squared Pearson residuals."""
        return pearson_chi2(self.fit)

    # ---- criteria --------------------------------------------------------------------------------------------------

    @cached_property
    def criteria(self) -> dict[str, float]:
        """With all parameters and all rows."""
        return information_criteria(self.fit)

    @property
    def n_contrasts(self) -> int:
        """What counts as the sample size after REML in other programs: rows minus coefficients; rows after ML."""
        return self.fit.n_rows - (len(self.fit.beta) if self.fit.method == "reml" else 0)

    @property
    def n_counted(self) -> int:
        """Parameters that other programs count: after REML those of the covariance alone."""
        return self.fit.df_model - (len(self.fit.beta) if self.fit.method == "reml" else 0)

    def criteria_elsewhere(self, subjects: bool) -> dict[str, float]:
        """As SAS and SPSS count: with `n_counted` and `n_contrasts`, or in BIC and its kin with `n_subjects`."""
        rows = self.n_contrasts
        return criteria(self.fit.loglik, self.n_counted, rows, n_subjects(self.fit) if subjects else rows)

    # ---- covariance ------------------------------------------------------------------------------------------------

    @cached_property
    def covariance(self) -> list[CovarianceParameter]:
        """What the structures leave free, lower triangles row by row, then the residual variance."""
        table = vcov_table(self.judged)
        estimates, errors = table["estimate"].to_numpy(dtype=float), table["std_error"].to_numpy(dtype=float)
        found: list[CovarianceParameter] = []
        first = 0
        for term in self.fit.design.random_terms:
            group = self.fit.design.grouping_factors[term.grouping_factor].name
            q = len(term.names)
            n_pairs = 0 if term.structure in INDEPENDENT else q * (q - 1) // 2
            pairs = {pair: k for k, pair in enumerate((a, b) for b in range(q) for a in range(b + 1, q))}
            for kind, i, j in _free(term):
                at = (
                    first
                    + {
                        "variance": i,
                        "covariance": 2 * q + pairs.get((i, j), 0),
                        "correlation": 2 * q + n_pairs + pairs.get((i, j), 0),
                    }[kind]
                )
                names = (term.names[i],) if i == j else (term.names[i], term.names[j])
                ends = _interval(kind, estimates[at], errors[at])
                found.append(
                    CovarianceParameter(
                        group, term.structure, kind, names, (i + 1, j + 1), estimates[at], errors[at], *ends, q == 1
                    )
                )
            first += 2 * q + 2 * n_pairs
        if self.fit.sigma is not None:
            ends = _interval("variance", estimates[first], errors[first])
            found.append(
                CovarianceParameter("Residual", "", "variance", (), (1, 1), estimates[first], errors[first], *ends)
            )
        return found

    # ---- tests -----------------------------------------------------------------------------------------------------

    @cached_property
    def slopes(self) -> FTest | None:
        """That all coefficients of the mean but the intercept are zero; None without any, or their covariance."""
        constant = {column.name for column in self.fit.design.fixed if column.values is None}
        rows = np.eye(len(self.fit.beta))[[name not in constant for name in self.fit.fixed_names]]
        if not len(rows) or not np.isfinite(self.judged.beta_covariance).all():
            return None
        if self.robust is not None and self.robust.hotelling_df is not None:
            return anova.hotelling_test(self.robust, rows)
        return anova.f_test(self.judged, rows, "normal" if self.robust is not None else self.method)

    @cached_property
    def terms(self) -> pd.DataFrame | None:
        """Tests of type III: f_value, num_df, den_df (infinite for chi-square tests), p_value; None without any."""
        if not self.fit.fixed_names or not np.isfinite(self.judged.beta_covariance).all():
            return None
        method = self._df_method if self.robust is not None else self.method
        table = anova.anova(self.fit, 3, method, self.robust)
        table = table[table.index != "(Intercept)"]
        if not len(table):
            return None
        if "chi2" in table:
            with np.errstate(invalid="ignore"):
                table = table.assign(f_value=table["chi2"] / table["df"], num_df=table["df"], den_df=np.inf)
        return table[["f_value", "num_df", "den_df", "p_value"]]

    @cached_property
    def without_random_effects(self) -> VarianceTest | str:
        """Likelihood ratio against the model without random effects; or why there is none."""
        if any(term.parameter for term in self.fit.design.random_terms):
            return "random effects stand in other parts than the mean, too"
        return self.without(*self.fit.n_groups)

    def without(self, *groups: str) -> VarianceTest | str:
        """The same of some grouping factors."""
        if not self.fit.has_likelihood:
            return "quasi-likelihood has no likelihood of the response"
        try:
            return variance_test(self.fit, list(groups))
        except DataError as error:
            return str(error)


def _is_nested(fit: Fit) -> bool:
    crossed = any(relation.kind == "crossed" for relation in fit.design.relations)
    return fit.is_linear and bool(fit.design.random_terms) and not crossed


def _free(term: RandomTerm) -> list[tuple[str, int, int]]:
    """Kind and place of what the structure of a term leaves free."""
    q = len(term.names)
    variances = [("variance", i, i) for i in range(1 if term.structure in HOMOGENEOUS else q)]
    if q > 1 and term.structure in ONE_CORRELATION:
        return [*variances, ("correlation", 1, 0)]
    if q == 1 or term.structure in ("diagonal", "homogeneous diagonal"):
        return variances
    return [("variance" if i == j else "covariance", i, j) for i in range(q) for j in range(i + 1)]


def _interval(kind: str, estimate: float, error: float) -> tuple[float, float]:
    reach = float(wald.quantile(0.95)) * error
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if kind == "variance":
            factor = np.exp(reach / estimate)
            return float(estimate / factor), float(estimate * factor)
        if kind == "correlation":
            centre, half = np.arctanh(estimate), reach / (1.0 - estimate**2)
            return float(np.tanh(centre - half)), float(np.tanh(centre + half))
    return estimate - reach, estimate + reach
