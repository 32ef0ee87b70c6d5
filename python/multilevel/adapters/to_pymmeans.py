"""A fit as a model of `pymmeans`: the fixed effects with their covariance, and patsy's coding of the same columns."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..effects.rows import dense
from ..effects.variables import columns_by_name
from ..errors import DataError
from ..inference.degrees_of_freedom.methods import adjusted_covariance, default_method

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit

    Array = NDArray[np.float64]

SAME = 1e-10  # columns of two programs, relative to the largest number
# links by their names in statsmodels, which pymmeans reads them from
LINKS = {"logit": "Logit", "probit": "Probit", "cloglog": "CLogLog", "log": "Log", "inverse": "InversePower"}


def pymmeans_model(fit: Fit, df_method: str | None) -> Any:
    """What `pymmeans.emmeans` and its other functions take, once this has been called.

    Parameters
    ----------
    fit : Fit
    df_method : str, optional
        Whose covariance of the fixed effects is meant; tests are normal in that package.

    Raises
    ------
    ImportError
        The package is not installed.
    DataError
        patsy does not code the fixed part as the fit does, or columns are redundant.
    """
    if fit.design.choices is not None:
        instead = "results.marginal_means(kind='probabilities') has the means of each category"
        fit.need_rows("to_pymmeans()", instead if fit.design.choices.by_category else "")
    try:
        import patsy
        from pymmeans.utils import ModelInfo
    except ImportError as error:
        raise ImportError(f'{error}: pip install "multilevel[adapters]" has the versions that fit together') from error
    if fit.redundant:
        raise DataError(
            "the model has redundant columns, which patsy would not drop; results.marginal_means() knows them"
        )
    formula = _right_hand_side(fit)
    frame = pd.DataFrame({name: _used(column.as_given()) for name, column in columns_by_name(fit).items()})
    if frame.empty:
        frame = pd.DataFrame(index=range(fit.n_rows))
    try:
        coded = patsy.dmatrix(formula, frame, return_type="dataframe")
    except Exception as error:
        raise DataError(f"patsy cannot code '{formula}': {error}") from error
    order = _matched(fit, np.asarray(coded), formula)
    _register()
    design_info = coded.design_info
    factors: dict[str, list[Any]] = {}
    means: dict[str, float] = {}
    aliases: dict[str, str] = {}
    # "C(x)" is asked for by the name of its column
    written = {atom.text: atom.variables[0] for atom in fit.design.formula.fixed.atoms if len(atom.variables) == 1}
    for factor, own in design_info.factor_infos.items():
        name = factor.name()
        if own.type == "categorical":
            factors[name] = list(own.categories)
        elif name in frame:
            means[name] = float(frame[name].mean())
        else:
            raise DataError(
                f"'{name}' is no column: pymmeans is given columns alone; results.marginal_means() has them"
            )
        if name in written and name not in frame:
            aliases[written[name]] = name
    covariance = adjusted_covariance(fit, df_method or default_method(fit))
    offset = fit.design.offset
    return ModelInfo(
        beta=fit.beta[order],
        vcov=covariance[np.ix_(order, order)],
        param_names=list(design_info.column_names),
        factors=factors,
        numeric_means=means,
        df_resid=float("inf"),
        design_info=design_info,
        data=frame,
        response_name=fit.design.response.name,
        family=_family(fit),
        is_mixed=bool(fit.design.random_terms),
        aliases=aliases,
        estimability_basis=np.eye(len(order)),  # no column is redundant: everything is estimable
        offset_mean=0.0 if offset is None else float(np.mean(offset)),
    )


def _right_hand_side(fit: Fit) -> str:
    fixed = fit.design.formula.fixed
    terms = [":".join(atom.text for atom in product) for product in fixed.products]
    return " + ".join(["1" if fixed.intercept else "0", *terms])


def _used(values: Any) -> Any:
    return values.remove_unused_categories() if isinstance(values, pd.Categorical) else values


def _matched(fit: Fit, coded: Array, formula: str) -> list[int]:
    """Which of the fit's columns each of patsy's is."""
    own = dense(fit.design.fixed, fit.n_rows)
    size = np.abs(own).max(initial=1.0)
    order = []
    for column in coded.T:
        same = np.flatnonzero(np.abs(own - column[:, None]).max(axis=0) <= SAME * size)
        if len(same) != 1:
            break
        order.append(int(same[0]))
    if len(order) != coded.shape[1] or sorted(order) != list(range(own.shape[1])):
        raise DataError(
            f"patsy codes '{formula}' in other columns than the fit has; results.marginal_means() has the same means"
        )
    return order


def _family(fit: Fit) -> Any:
    """What makes means of linear predictors, where the link alone does."""
    if fit.is_linear or not fit.family.mean_is_response or fit.family.link not in LINKS:
        return None
    from statsmodels.genmod import families

    link = getattr(families.links, LINKS[fit.family.link])()
    return families.Binomial(link) if fit.family.support == "trials" else families.Poisson(link)


@cache
def _register() -> None:
    """Once: pymmeans finds by an adapter what `pymmeans_model` made."""
    from pymmeans.adapters import register_adapter
    from pymmeans.utils import ModelInfo

    class Adapter:
        """What is a description already."""

        name = "multilevel"

        @staticmethod
        def detects(result: Any) -> bool:
            return isinstance(result, ModelInfo)

        @staticmethod
        def build(result: Any, **_: Any) -> Any:
            return result

    register_adapter(Adapter)
