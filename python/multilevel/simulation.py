"""`simulate` and `power`: responses of a model whose parameters are given, and what a study of it would show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .arguments import understands
from .columns.expressions import Rows
from .columns.frame import Frame
from .design.kinds import codes_of_rows
from .errors import DataError
from .family.mixed import as_family
from .family.registry import Family
from .fitting.methods import method_of
from .model import MixedModel
from .prediction.given import law_at
from .prediction.simulate import frame, law
from .resampling.power import Study, power_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from .results.results import MixedModelResults

RESPONSE, REST = "response_to_be_drawn", "failures_to_be_drawn"
SOME_VALUES = {  # that a family can take
    "trials": (0.0, 1.0),
    "open unit": (0.5, 0.25),
    "closed unit": (0.0, 1.0, 0.5),
}


@understands
def simulate(
    formula: str,
    data: Any,
    family: str | Family | Mapping[str, Any] = "gaussian",
    *,
    params: Mapping[str, Any],
    n: int = 1,
    seed: int | None = None,
    trials: ArrayLike | str | None = None,
    link: str | None = None,
    weights: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    dispersion: str | None = None,
    zero_inflation: str | bool | None = None,
    hurdle: str | bool | None = None,
    levels: Sequence[Any] | None = None,
    thresholds: str | None = None,
    nominal: str | None = None,
    scale: str | None = None,
    choice_set: str | None = None,
    base: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    missing: str = "drop",
) -> pd.DataFrame:
    """Draws responses from a model that was not fitted.

    Parameters
    ----------
    formula : str
        As of `fit`. What stands left of ``~`` is not looked at, and may be absent.
    data : data frame or dict of columns
        The predictors, grouping factors and offsets.
    params : mapping of str to float
        All parameters by name, in natural units, named as in `tidy()`: "(Intercept)", "x"; "g: sd__(Intercept)",
        "g: cor__(Intercept).x"; "sigma", "size", ...; "dispersion: x", "zero: x"; "thresholds: 1|2". "g: sd" and
        "g: cor" stand for all standard deviations and correlations of the term; "thresholds" has a sequence of numbers,
        which also says how many ordered categories there are. Of categories without an order "bus: x" for each but the
        base; `levels` says which there are.
    n : int
        Replicates.
    seed : int, optional
        Replicate k of a seed is the same whatever `n`.
    trials : str or array_like, optional
        Of families of trials: a column, a number, or one number per row of the frame. One each without it.

    The other parameters are those of `fit`; weights are precisions, of Gaussian models alone.

    Returns
    -------
    DataFrame, (n_rows, n)
        A column for each replicate; rows with a missing value in any used column are left out. Of categories they are
        the numbers of these, from 1; of alternatives 1 where a row was chosen.

    Raises
    ------
    FormulaError, DataError
        As of `fit`; and where a parameter lacks, is not of the model, or cannot have its value.

    Examples
    --------
    >>> import multilevel as ml
    >>> data = {"x": [0, 1, 2] * 20, "g": [k // 3 for k in range(60)]}
    >>> params = {"(Intercept)": 0.5, "x": 0.2, "g: sd__(Intercept)": 0.4}
    >>> y = ml.simulate("~ x + (1 | g)", data, "poisson", params=params, n=3, seed=1)
    >>> y.shape
    (60, 3)
    """
    model = _without_response(
        formula,
        data,
        family,
        trials,
        link=link,
        weights=weights,
        offset=offset,
        dispersion=dispersion,
        zero_inflation=zero_inflation,
        hurdle=hurdle,
        thresholds=thresholds,
        nominal=nominal,
        scale=scale,
        choice_set=choice_set,
        base=base,
        levels=_levels(levels, thresholds, params),
        contrasts=contrasts,
        functions=functions,
        missing=missing,
    )
    return frame(law_at(model.design, model.family, model._core, params), n, seed)


def power(
    model: MixedModelResults | str,
    data: Any = None,
    family: str | Family | Mapping[str, Any] = "gaussian",
    *,
    test: str,
    effect: float | Sequence[float] | None = None,
    params: Mapping[str, Any] | None = None,
    n: int = 1000,
    alpha: float = 0.05,
    sizes: Sequence[int] | None = None,
    group: str | None = None,
    method: str = "wald",
    precision: float | None = None,
    seed: int | None = None,
    threads: int | None = None,
    trials: ArrayLike | str | None = None,
    **options: Any,
) -> pd.DataFrame:
    """The power of the test of a coefficient, by fits to responses that are drawn with a given effect.

    Parameters
    ----------
    model : results or str
        A fit, whose estimates the responses are drawn from; or a formula, with `data`, `family` and `params` as of
        `simulate`, and its other arguments in `options`.
    test : str
        The coefficient, as `results.params` names it.
    effect : float or sequence of float, optional
        Its true value, or several, each with a row of its own; without it the model's. With 0 the size of the test.
    n : int
        Replicates at most.
    alpha : float
        Level of the two-sided test.
    sizes : sequence of int, optional
        Numbers of levels of the grouping factor `group` (of rows, where there is none), each with rows of its own: the
        levels of the data are taken in turn, again and again where more are asked for. Without it the data as they are.
    group : str, optional
        By default the factor that all others are nested in.
    method : {"wald", "lrt"}
        The estimate over its standard error against the normal distribution, or the likelihood-ratio test, for which
        the model is fitted without the coefficient, too.
    precision : float, optional
        Replicates end, in batches of 100, when the Monte Carlo error of the power is no more than this.
    seed, threads : int, optional
        The same seed gives the same table, whatever the threads.

    Returns
    -------
    DataFrame
        size, n_rows, effect, power, mc_error, conf_low, conf_high (Wilson's interval of 95%), n (replicates), failed:
        fits that did not converge; they count as tests that show nothing.

    Raises
    ------
    DataError
        There is no such coefficient, or an argument cannot be.
    """
    if isinstance(model, str):
        if data is None or params is None:
            raise DataError("a formula needs data= and params= to draw responses from; or give results of a fit")
        options["levels"] = _levels(options.get("levels"), options.get("thresholds"), params)
        own = _without_response(model, data, family, trials, **options)
        given = law_at(own.design, own.family, own._core, params)
        study = Study(given, own.family, method_of(None, own.design, own.family), 1, _beta(own, params))
    else:
        if data is not None or params is not None or options or trials is not None:
            raise DataError("results bring their own data and parameters; data=, params= and others go with a formula")
        fit = model.fit
        beta = dict(zip(fit.fixed_names, fit.beta, strict=True))
        study = Study(law(fit), fit.family, fit.method, fit.n_quadrature, beta)
    return power_table(study, test, effect, n, alpha, sizes, group, method, precision, seed, threads)


def _levels(levels: Sequence[Any] | None, structure: str | None, params: Any) -> list[Any] | None:
    """Labels of ordered categories: those given, else numbers, as many as free thresholds ask for."""
    if levels is not None or structure not in (None, "flexible") or not isinstance(params, Mapping):
        return None if levels is None else list(levels)
    if "thresholds" in params:
        return list(range(1, np.size(params["thresholds"]) + 2))
    between = [name.removeprefix("thresholds: ") for name in params if str(name).startswith("thresholds: ")]
    numbers = [int(part) for name in between for part in name.split("|") if part.isdecimal()]
    return list(range(1, max(numbers) + 1)) if numbers else None


def _beta(model: MixedModel, params: Mapping[str, Any]) -> dict[str, float]:
    redundant = set(model._core.redundant)
    kept = [column.name for k, column in enumerate(model.design.fixed) if k not in redundant]
    return {name: float(params[name]) for name in kept}


def _without_response(
    formula: str, data: Any, family: str | Family | Mapping[str, Any], trials: ArrayLike | str | None, **options: Any
) -> MixedModel:
    """The model of a formula whose response is yet to be drawn."""
    _, tilde, right = formula.partition("~")
    if not tilde:
        raise DataError(f"the formula {formula!r} has no '~'; write '~ x + (1 | g)'")
    link = options.pop("link", None)
    own = as_family(family, link)
    columns, n_rows = _columns(data)
    for name in (RESPONSE, REST):
        if name in columns:
            raise DataError(f"the data have a column '{name}', a name that is needed here; rename it")
    if trials is not None and not any(member.support == "trials" for member in own.members):
        raise DataError(f"trials= is for families of trials; the family is {own.name}")
    if own.kinds:
        some, of_trials = _values_by_kind(own, columns, n_rows)
    elif own.name == "conditional":
        some, of_trials = _first_of_sets(columns, options.get("choice_set")), np.zeros(n_rows, dtype=bool)
    else:
        some, of_trials = _values(own, options, n_rows), np.full(n_rows, own.support == "trials")
    if trials is not None:
        given = columns[trials] if isinstance(trials, str) and trials in columns else trials
        if isinstance(given, str):
            raise DataError(f"trials={given!r}: the data have no such column")
        size = np.broadcast_to(np.asarray(given, dtype=np.float64), n_rows)
        columns[RESPONSE] = np.where(of_trials, some * size, some)
        columns[REST] = np.where(of_trials, size - columns[RESPONSE], 0.0)
        left = f"cbind({RESPONSE}, {REST})"
    else:
        columns[RESPONSE], left = some, RESPONSE
    table = pd.DataFrame(columns, index=data.index) if isinstance(data, pd.DataFrame) else columns
    return MixedModel(f"{left} ~ {right}", table, own, **options)


def _values(own: Family, options: dict[str, Any], n_rows: int) -> Any:
    """Some responses that a family can take; the levels of ordered categories are taken from the options and back."""
    levels = options.pop("levels", None)
    values: tuple[Any, ...] = SOME_VALUES.get(own.support, (1.0, 2.0))
    if own.support in ("categories", "choices"):
        if levels is None and own.support == "choices":
            raise DataError("categories without an order: give levels= their labels, the base first")
        if levels is None:
            raise DataError(
                "ordered categories: give levels= their labels, or params={'thresholds': [...]} as many numbers as "
                "there are thresholds between them"
            )
        values, options["levels"] = tuple(levels), levels
        if n_rows < len(levels):
            raise DataError(f"the data have {n_rows} rows, fewer than the {len(levels)} categories")
    if own.zero or any(options.get(name) for name in ("zero_inflation", "hurdle")):
        values = (0.0, *values)
    return np.resize(values, n_rows)


def _first_of_sets(columns: dict[str, Any], choice_set: Any) -> NDArray[np.float64]:
    """One where a row is the first of its set of alternatives."""
    if choice_set is None or choice_set not in columns:
        raise DataError(
            f"choice_set={choice_set!r}: the conditional family needs the column of the data that tells which rows are "
            "alternatives of one choice"
        )
    return np.asarray(~pd.Series(np.asarray(columns[choice_set])).duplicated(), dtype=np.float64)


def _values_by_kind(own: Family, columns: dict[str, Any], n_rows: int) -> tuple[Any, Any]:
    """The same where each kind of rows has a family of its own, and which rows are of trials."""
    kinds = codes_of_rows(own, Rows(Frame(columns), None))
    some, of_trials = np.ones(n_rows), np.zeros(n_rows, dtype=bool)
    for code, member in enumerate(own.members):
        at = kinds == code
        some[at] = _values(member, {}, int(at.sum()))
        of_trials[at] = member.support == "trials"
    return some, of_trials


def _columns(data: Any) -> tuple[dict[str, Any], int]:
    """The columns of a frame of any kind, in a mapping, and the number of rows."""
    if isinstance(data, (pd.DataFrame, Mapping)):
        columns: dict[str, Any] = {str(name): data[name] for name in data}
    elif isinstance(data, np.ndarray) and data.dtype.names:
        columns = {name: data[name] for name in data.dtype.names}
    else:
        import narwhals as nw

        try:
            native = nw.from_native(data, eager_only=True)
        except TypeError:
            raise DataError(
                f"data is a {type(data).__name__}; a data frame or a mapping of columns is needed"
            ) from None
        columns = {name: native[name].to_native() for name in native.columns}
    if not columns:
        raise DataError("the data have no columns")
    return columns, len(next(iter(columns.values())))
