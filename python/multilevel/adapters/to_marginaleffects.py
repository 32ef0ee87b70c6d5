"""A fit as a model of `marginaleffects` (Arel-Bundock, Greifer & Heiss 2024), whose functions then take it.

That package differences predictions by the coefficients. What it is given as coefficients are all parameters of the
model, variances included, and as predictions our means plus their exact derivatives times what the parameters were
moved by: its standard errors are then those of our own delta method.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..effects.estimated import covariance_of_estimates
from ..effects.means import row_means
from ..effects.question import Question, needs_of
from ..effects.rows import array_offset, check_levels, others
from ..effects.variables import columns_by_name, is_number
from ..errors import DataError
from ..inference.degrees_of_freedom.methods import default_method

if TYPE_CHECKING:
    from ..design.source import SourceColumn
    from ..fitting.record import Fit


def marginaleffects_model(fit: Fit, random: str, outcome: str, df_method: str | None, names: list[str]) -> Any:
    """A model that `marginaleffects` takes.

    Parameters
    ----------
    fit : Fit
    random : {"marginal", "conditional", "zero"}
    outcome : {"response", "mean", "link"}
    df_method : str, optional
        Whose covariance of the fixed effects is meant; tests are normal in that package.
    names : list of str
        Of all parameters.

    Raises
    ------
    ImportError
        The package, or its polars, is not installed.
    DataError
        An offset that no column has, parameters without a value, a mean that does not exist.
    """
    if fit.design.choices is not None:
        instead = "results.comparisons() and marginal_means() have the probabilities of each category"
        fit.need_rows("to_marginaleffects()", instead if fit.design.choices.by_category else "")
    try:
        import polars as pl
        from marginaleffects.classes import ModelVault
    except ImportError as error:
        raise ImportError(f'{error}: pip install "multilevel[adapters]" has the versions that fit together') from error
    question = Question(outcome=outcome, random=random)
    question.check(fit)
    asked = question.each(fit)
    if len(asked) != 1:
        raise DataError(f"outcome={outcome!r} is several numbers of a row, and that package takes one: 'response' is")
    if array_offset(fit) is not None:
        raise DataError("the offset was given as an array, which no new rows have; make it a column, offset='name'")
    if not np.isfinite(fit.psi).all():
        raise DataError("a parameter lies at infinity, and nothing can be differenced by it: use results.comparisons()")
    data = _data(fit)
    labels = {str(name): own.dtype for name, own in data.items() if isinstance(own.dtype, pd.CategoricalDtype)}
    enums = [pl.col(name).cast(pl.Enum(list(dtype.categories))) for name, dtype in labels.items()]
    vault = ModelVault(
        coef=np.array(fit.psi),
        coefnames=np.array(names),
        formula=_no_formula,
        modeldata=pl.from_pandas(data).with_columns(enums),
        package="multilevel",
        vcov=covariance_of_estimates(fit, df_method or default_method(fit)),
        variable_names=[fit.design.response.name, *columns_by_name(fit)],
    )
    return _model_class()(fit, vault, asked[0])


def _no_formula(data: Any) -> tuple[None, Any]:
    """Stands where other models have a formula: rows are coded by the fit."""
    return None, data


def _data(fit: Fit) -> pd.DataFrame:
    """The rows of the fit: the response, and the columns of the predictors and grouping factors."""
    response = fit.design.response
    values = np.asarray(response.values, dtype=np.float64)
    columns: dict[str, Any] = {response.name: values if response.size is None else values / response.size}
    for name, column in columns_by_name(fit).items():
        columns[name] = column.as_given() if is_number(fit, column) or column.kind == "bool" else _labels(column)
    for factor in fit.design.grouping_factors:
        columns.setdefault(factor.name, _categories(factor.codes, factor.levels))
    return pd.DataFrame(columns)


def _labels(column: SourceColumn) -> pd.Categorical:
    """Categories as texts, which polars has them as; numbers that the formula makes a factor of, too."""
    codes, levels = np.asarray(column.values), column.levels
    if levels is None:
        unique, codes = np.unique(codes, return_inverse=True)
        levels = pd.Index([f"{value:g}" for value in unique])
    return _categories(codes, levels)


def _categories(codes: Any, levels: pd.Index) -> pd.Categorical:
    dtype = pd.CategoricalDtype([str(level) for level in levels])
    return pd.Categorical.from_codes(codes, dtype=dtype)


@cache
def _model_class() -> type:
    """Made when the package is there."""
    import polars as pl
    from marginaleffects.classes import ModelAbstract

    class Model(ModelAbstract):
        """A fit, asked for means at rows."""

        df_resid = float("inf")  # normal tests

        def __init__(self, fit: Fit, vault: Any, question: Question) -> None:
            self.question = question
            super().__init__(fit, vault)

        def get_df(self) -> float:
            return self.df_resid

        def get_vcov(self, vcov: Any = True) -> Any:
            if isinstance(vcov, str):
                raise DataError(f"vcov={vcov!r}: robust covariances are chosen by to_marginaleffects(robust={vcov!r})")
            return self.vault.vcov if vcov is True else None

        def get_exog(self, newdata: Any) -> Any:
            """Means at rows and their derivatives, (n, 1 + P)."""
            rows, new = others(self.model, newdata, needs_of(self.model, self.question))
            if self.question.random == "conditional":
                check_levels(self.model, new)
            found = row_means(self.model, rows, self.question)
            return np.column_stack([found.value, found.jacobian])

        def get_predict(self, params: Any, newdata: Any) -> Any:
            """Means where the parameters are moved, to first order."""
            found = self.get_exog(newdata) if isinstance(newdata, pl.DataFrame) else newdata
            moved = np.asarray(params, dtype=np.float64) - self.model.psi
            estimate = found[:, 0] + found[:, 1:] @ moved
            rowid = pl.Series("rowid", np.arange(len(estimate)), dtype=pl.Int32)
            return pl.DataFrame([rowid, pl.Series("estimate", estimate)])

    return Model
