"""`MixedModel`: the formula, the data and the family, checked and ready to fit; and `fit`, the same in one call."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .arguments import finite_numbers, understands, whole_number
from .design.build import build_design
from .design.parts import with_parts
from .design.response import another_response, several_responses
from .errors import DataError
from .family.mixed import as_family
from .family.registry import Family
from .fitting.core_model import build_core
from .fitting.many import fit_many
from .fitting.methods import check_quasi, method_of
from .fitting.progress import Progress
from .fitting.quasi import QUASI, quasi
from .fitting.run import run
from .formula.parse import parse_formula
from .report import crosstab, describe
from .results.results import MixedModelResults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from .design.design import Design
    from .design.random_terms import RandomTerm
    from .report.crosstab import Crosstab
    from .report.describe import Description


class MixedModel:
    """A generalized linear mixed model before it is fitted.

    Parameters
    ----------
    formula : str
        As in lme4: ``"y ~ x + (1 + x | g)"``, ``"y ~ x + (1 | person) + (1 | item)"``,
        ``"cbind(successes, failures) ~ x + (1 | school/pupil)"``; any number of terms on any number of grouping
        factors. Without a random-effects term it is a generalized linear model. A formula can call the functions that
        the guide lists and those in `functions`, and no others.
    data : data frame or dict of columns
        pandas, polars, pyarrow, or anything that narwhals reads. It is not modified.
    family : str, Family or mapping
        ``"gaussian"``, ``"binomial"``, ``"poisson"``, ``"gamma"``, ``"negative_binomial"``, ``"beta"``, ...;
        `multilevel.families()` lists them with their links, parameters and references. `CustomFamily` makes others.
        `MixedFamily`, or ``{"kind": {"test": "binomial", "time": "lognormal"}}``, has a family for each kind of rows.
    link : str, optional
        The family's default link without it.
    weights : str or array_like, optional
        Prior weights, a column name or one value per row of the frame, as in R: for Gaussian models the precision of a
        row, for a binomial proportion its number of trials; otherwise they multiply the row's log density, so that a
        whole number is that many rows. Rows with weight zero are left out.
    offset : str or array_like, optional
        Added to the linear predictor, besides any ``offset()`` in the formula: a column name, an expression of columns
        such as "log(t)", or one value per row of the frame.
    dispersion : str, optional
        A formula without a response, such as "~ x + offset(z)", for the family's dispersion: the logarithm of `sigma`
        (heteroscedastic residuals), `size`, `shape`, ... is then a linear predictor with columns of its own.
    zero_inflation : str or bool, optional
        More zeros than the family has: a row is zero with a probability of its own, and otherwise of the family. A
        formula such as "~ x" makes the logit of that probability a linear predictor; True, or "~ 1", is one probability
        for all rows.
    hurdle : str or bool, optional
        The same, where a part of its own decides between zero and more, and the family, without its zeros, how much
        more.
    levels : sequence, optional
        Of a response of ordered categories (``family="cumulative"``, ``"adjacent"``, ...), its labels in their order,
        lowest first. An ordered categorical column and whole numbers have theirs already. Of categories without an
        order, their labels.
    thresholds : {"flexible", "equidistant", "symmetric"}, optional
        Whether the thresholds between ordered categories are free (as without it), equally far apart, or the same to
        either side of the middle.
    nominal : str, optional
        A formula without a response, such as "~ x", of what moves each threshold by itself (partial proportional odds).
    base : label, optional
        Of a response of categories without an order (``family="multinomial"``), the one that the others are compared
        with; the first of `levels`, of the categorical column or of the sorted values without it.
    choice_set : str, optional
        Where rows are alternatives (``family="conditional"``), the column whose values tell which rows are those of one
        choice. The response is 1, or true, in the row that was chosen.
    scale : str, optional
        A formula without a response, such as "~ x", of the logarithm of what the distances of the linear predictor from
        the thresholds are divided by, with random effects in them. It has no intercept; the family is "cumulative".
    contrasts : mapping, optional
        Coding of categorical columns by name: "treatment" (the default, of ordered columns too), "sum", "helmert",
        "poly" (R's default for ordered ones), "diff"; or codes: a list for two levels, a mapping of levels to their
        codes such as ``{"f": {"a": -0.5, "b": 0.5}}``, a matrix with a row per level.
    functions : mapping, optional
        Functions of your own that the formula calls, by name: ``functions={"double": double}``. They get columns as
        arrays, once for the fit and again for new data.
    missing : {"drop", "raise"}
        Rows with a missing value in any used column leave (and are counted), or raise an error.
    threads : int, optional
        For sorting the rows; all processors without it.

    Raises
    ------
    FormulaError
        The formula cannot be read, or names a column that is not there.
    DataError
        A column holds values that the model cannot use, or an argument is not one of those known.

    Examples
    --------
    >>> import multilevel as ml
    >>> model = ml.MixedModel("Reaction ~ Days + (1 + Days | Subject)", ml.datasets.sleepstudy())
    >>> model.fit().llf
    -871.814...
    >>> model.fit(method="ml").llf
    -875.969...
    """

    @understands
    def __init__(
        self,
        formula: str,
        data: Any,
        family: str | Family | Mapping[str, Any] = "gaussian",
        *,
        link: str | None = None,
        weights: str | ArrayLike | None = None,
        offset: str | ArrayLike | None = None,
        dispersion: str | None = None,
        zero_inflation: str | bool | None = None,
        hurdle: str | bool | None = None,
        levels: Sequence[Any] | None = None,
        thresholds: str | None = None,
        nominal: str | None = None,
        base: Any = None,
        choice_set: str | None = None,
        scale: str | None = None,
        contrasts: Mapping[str, Any] | None = None,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        missing: str = "drop",
        threads: int | None = None,
    ) -> None:
        self.family: Family = as_family(family, link)
        self.family, parts = with_parts(self.family, dispersion, zero_inflation, hurdle)
        if scale is not None:
            self.family, parts["scale"] = self.family.with_scale(), scale
        elif self.family.scaled:
            raise DataError(f"{self.family!r} needs scale= the formula of its scale")
        if parse_formula(formula).limits:
            self.family = self.family.with_censoring()
        self.design: Design = build_design(
            formula,
            data,
            family=self.family,
            weights=weights,
            offset=offset,
            contrasts=contrasts,
            functions=functions,
            missing=missing,
            parts=parts,
            levels=levels,
            thresholds=thresholds,
            nominal=nominal,
            base=base,
            choice_set=choice_set,
        )
        self.data: Any = data  # as it was given, for columns that the formula does not name
        self._core: Any = build_core(self.design, self.family, whole_number(threads, "threads"))

    @property
    def formula(self) -> str:
        """The formula, normalized."""
        return str(self.design.formula)

    @property
    def fixed_design(self) -> pd.DataFrame:
        """The columns of the fixed part, redundant ones included, one row per row used. A copy."""
        n = self.design.n_rows
        columns = {c.name: np.ones(n) if c.values is None else c.values for c in self.design.fixed}
        return pd.DataFrame(columns, index=self.design.index)

    @property
    def random_terms(self) -> tuple[RandomTerm, ...]:
        """The random-effects terms."""
        return self.design.random_terms

    @property
    def n_groups(self) -> dict[str, int]:
        """Levels of each grouping factor."""
        return {factor.name: len(factor.levels) for factor in self.design.grouping_factors}

    def describe(self) -> Description:
        """The columns of the model at the rows used: how they vary, between the levels of grouping factors and within.

        Returns
        -------
        Description
            Prints as two tables; `columns` (n, missing, distinct, mean, sd, min, max), `levels` (standard deviations
            between and within, as Stata's xtsum has them, and in how many levels a column varies), `notes` on columns
            that are constant in nearly all levels.
        """
        return describe.describe(self.design, self.data)

    def not_constant(self, column: str, group: str) -> pd.DataFrame:
        """The levels of a grouping factor in which a column has several values: of a column of the level itself, none.

        Returns
        -------
        DataFrame
            level, n (rows), distinct, values (with their counts).
        """
        return describe.not_constant(self.design, column, group)

    def crosstab(self, outcome: str, factor: str) -> Crosstab:
        """Counts of the values of a column, such as the response, for those of another, with percentages of each row.

        Parameters
        ----------
        outcome, factor : str
            Columns that the model uses; `outcome` is across, `factor` down. A response of trials counts successes and
            failures.

        Returns
        -------
        Crosstab
            `counts`, `percent` and `total`.

        Raises
        ------
        DataError
            The model does not use such a column, or it has more than 50 values.
        """
        return crosstab.crosstab(self.design, outcome, factor)

    @understands
    def fit(
        self,
        method: str | None = None,
        n_quadrature: int | str = 1,
        *,
        start: ArrayLike | None = None,
        threads: int | None = None,
        progress: bool | None = None,
        tol: float = 1e-9,
        max_iter: int = 100,
    ) -> MixedModelResults:
        """Fits the model by maximum likelihood, or a linear mixed model by REML.

        Parameters
        ----------
        method : {"ml", "reml", "pql", "pql-reml", "mql", "mql-reml", "mspl", "rspl", "mmpl", "rmpl"}, optional
            Maximum likelihood, or restricted maximum likelihood, which allows for the fixed effects in the variances.
            REML is the default of linear mixed models (Gaussian with the identity link and random effects), and there
            alone it exists. All others have "ml". "pql" and "mql" are first-order penalized and marginal
            quasi-likelihood with a scale that is estimated, for comparison with older work: their variances are too
            small where groups are, and they have no likelihood. With the scale at one they have the names of SAS,
            "mspl" and "rspl" (penalized, by ML and REML), "mmpl" and "rmpl" (marginal). Linear models without random
            effects are least squares:
            the log-likelihood is at its maximum, and the residual variance is over n - p, as in lm().
        n_quadrature : int or "auto"
            Points of adaptive Gauss-Hermite quadrature per random effect; 1 is the Laplace approximation. "auto" raises
            the number until more points would move no estimate by more than 0.001 standard errors, and the table of
            what it saw is `results.quadrature_table`. More than one needs a single grouping factor or two that nest,
            as pupils in schools in towns; the nodes per row, points to the power of the number of random effects
            above it, are limited to 10,000. In linear mixed models one point is exact, whatever the number.
        start : array_like, (P,), optional
            Starting values of all parameters, in the order of `results.parameter_names`.
        threads : int, optional
            All processors that this process may use without it. The numbers do not depend on it, to the last bit.
        progress : bool, optional
            Iterations on stderr: always, never, or (None) after two seconds when stderr is a terminal.
        tol : float
            The fit ends when a further Newton step would gain less than this in log-likelihood.
        max_iter : int

        Returns
        -------
        MixedModelResults
            Also when the fit did not converge: `results.converged` and `results.summary()` say so, and a warning does.

        Raises
        ------
        DataError
            An argument is not one of those known, or quadrature would cost more than its limit.

        References
        ----------
        Pinheiro & Bates (1995) J. Comput. Graph. Statist. 4:12-35 for the approximations. The derivatives are those of
        the approximated likelihood itself, see docs/theory.md. Breslow & Clayton (1993) J. Amer. Statist. Assoc.
        88:9-25 for quasi-likelihood.
        """
        return self._fit(self.design, method, n_quadrature, start, threads, progress, tol, max_iter)

    @understands
    def refit(
        self,
        y: ArrayLike,
        method: str | None = None,
        n_quadrature: int | str = 1,
        *,
        start: ArrayLike | None = None,
        threads: int | None = None,
        progress: bool | None = None,
        tol: float = 1e-9,
        max_iter: int = 100,
    ) -> MixedModelResults:
        """Fits the same model to another response, without reading formula or data again.

        Parameters
        ----------
        y : array_like, (n,)
            One number per row used (`results.nobs`), on the scale of the model's response: for binomial models the
            successes, out of the trials of the fit, and not proportions; where the formula transforms the response, as
            ``log(y) ~ x`` does, the transformed values, which are taken as they are. The other parameters are those of
            `fit`.

        Warns
        -----
        DataWarning
            Successes or counts that are not whole, as in the first fit.

        Raises
        ------
        DataError
            `y` has the wrong length, or values that the family cannot take.
        """
        response = another_response(self.design.response, y, self.design.index, self.family, self._sets)
        design = replace(self.design, response=response)
        return self._fit(design, method, n_quadrature, start, threads, progress, tol, max_iter)

    @property
    def _sets(self) -> NDArray[np.int32] | None:
        """The set of each row, where rows are alternatives."""
        return None if self.design.choices is None else self.design.choices.sets

    @understands
    def fit_many(
        self,
        y: Any,
        method: str | None = None,
        n_quadrature: int = 1,
        *,
        start: ArrayLike | None = None,
        threads: int | None = None,
        tol: float = 1e-9,
        max_iter: int = 100,
    ) -> pd.DataFrame:
        """Fits the same model to many responses, side by side in the core.

        Parameters
        ----------
        y : data frame or array_like, (n, m)
            A column for each response, with one value per row used, on the scale of the model's response, as `refit`
            takes them.
        start : array_like, (P,), optional
            Starting values of all fits; without it each finds its own.
        threads : int, optional
            Fits made at a time; all processors without it. The numbers do not depend on it, to the last bit. The other
            parameters are those of `fit`; `n_quadrature` is a number.

        Returns
        -------
        DataFrame, one row for each response and parameter
            response (the name of its column, or its number), effect, group, term (as `tidy()` has them), estimate,
            std_error (NaN at a boundary), and of the fit of this response llf, converged, singular and message (why it
            did not converge; else empty). A response that the family cannot take, or whose fit fails, says so in its
            own rows and leaves the others alone.

        Raises
        ------
        DataError
            `y` has not one row for each row used, or the model's response is known in part.

        Examples
        --------
        >>> import multilevel as ml
        >>> model = ml.MixedModel("Reaction ~ Days + (1 | Subject)", ml.datasets.sleepstudy())
        >>> responses = model.fit().simulate(100, seed=1)
        >>> print(round(model.fit_many(responses).query("term == 'Days'")["estimate"].mean()))
        11
        """
        values, names, refused = several_responses(self.design.response, y, self.design.index, self.family, self._sets)
        n_parameters = self._core.n_beta + self._core.n_theta + self._core.n_phi
        psi = None if start is None else finite_numbers(start, "start")
        if psi is not None and psi.shape != (n_parameters,):
            raise DataError(f"start has shape {psi.shape}; the model has {n_parameters} parameters")
        many = fit_many(
            self.design,
            self.family,
            self._core,
            values,
            method=method_of(method, self.design, self.family),
            n_quadrature=n_quadrature,
            start=psi,
            threads=whole_number(threads, "threads"),
            tol=float(tol),
            max_iter=whole_number(max_iter, "max_iter"),
        )
        message = tuple(refused.get(j, text) for j, text in enumerate(many.message))
        return replace(many, message=message).frame(names)

    def _fit(
        self,
        design: Design,
        method: str | None,
        n_quadrature: int | str,
        start: ArrayLike | None,
        threads: int | None,
        progress: bool | None,
        tol: float,
        max_iter: int,
    ) -> MixedModelResults:
        method = method_of(method, self.design, self.family)
        if isinstance(tol, bool) or not isinstance(tol, (int, float, np.number)) or not tol > 0:
            raise DataError(f"tol is {tol!r}; it is a positive number")
        if progress not in (None, True, False):
            raise DataError(f"progress is {progress!r}; it is True, False or None")
        report = Progress(progress)
        limits: dict[str, Any] = {
            "method": method,
            "threads": whole_number(threads, "threads"),
            "max_iter": whole_number(max_iter, "max_iter"),
            "report": report if report.wanted else None,
        }
        try:
            if method in QUASI:
                check_quasi(self.family, n_quadrature, start)
                fit = quasi(design, self.family, **limits)
            else:
                fit = run(
                    design, self.family, self._core, n_quadrature=n_quadrature, start=start, tol=float(tol), **limits
                )
        finally:
            report.close()
        fit.verdict.announce()
        return MixedModelResults(fit, self)

    def __repr__(self) -> str:
        groups = ", ".join(f"{name} ({count})" for name, count in self.n_groups.items()) or "none"
        return (
            f"<MixedModel: {self.formula}, {self.family.label}, {self.design.n_rows} rows, grouping factors: {groups}>"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_core": None, "data": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._core = build_core(self.design, self.family)


@understands
def fit(
    formula: str,
    data: Any,
    family: str | Family | Mapping[str, Any] = "gaussian",
    *,
    link: str | None = None,
    weights: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    dispersion: str | None = None,
    zero_inflation: str | bool | None = None,
    hurdle: str | bool | None = None,
    levels: Sequence[Any] | None = None,
    thresholds: str | None = None,
    nominal: str | None = None,
    base: Any = None,
    choice_set: str | None = None,
    scale: str | None = None,
    contrasts: Mapping[str, Any] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    missing: str = "drop",
    method: str | None = None,
    n_quadrature: int | str = 1,
    start: ArrayLike | None = None,
    threads: int | None = None,
    progress: bool | None = None,
    tol: float = 1e-9,
    max_iter: int = 100,
) -> MixedModelResults:
    """Fits a generalized linear mixed model: `MixedModel(formula, data, family, ...).fit(...)` in one call.

    Parameters, errors and references are those of `MixedModel` and `MixedModel.fit`.

    Returns
    -------
    MixedModelResults

    Examples
    --------
    >>> import multilevel as ml
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> results = ml.fit(formula, ml.datasets.cbpp(), family="binomial")
    >>> results.llf
    -92.0262...
    """
    model = MixedModel(
        formula,
        data,
        family,
        link=link,
        weights=weights,
        offset=offset,
        dispersion=dispersion,
        zero_inflation=zero_inflation,
        hurdle=hurdle,
        levels=levels,
        thresholds=thresholds,
        nominal=nominal,
        base=base,
        choice_set=choice_set,
        scale=scale,
        contrasts=contrasts,
        functions=functions,
        missing=missing,
        threads=threads,
    )
    return model.fit(method, n_quadrature, start=start, threads=threads, progress=progress, tol=tol, max_iter=max_iter)
