"""Models ranked by a criterion: differences, weights and evidence ratios. They need not be nested."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import DataError
from .compare import check_comparable
from .information_criteria import information_criteria

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit

DISCRETE = ("counts", "positive counts", "trials")


def rank(*fits: Any, by: str = "aic", n: str = "rows") -> pd.DataFrame:
    """Ranks fits to the same response by an information criterion, the best first.

    Parameters
    ----------
    *fits : Fit or results
        Two or more, of any families: all log-likelihoods include every constant.
    by : {"aic", "aicc", "bic", "caic", "hqic"}
    n : {"rows", "subjects"}
        As in `information_criteria`.

    Returns
    -------
    DataFrame, index = formulas
        family, df, loglik, the criterion under its name, delta (what it exceeds the best by), weight (exp(-delta / 2),
        scaled to the sum one: with "aic" Akaike weights, with "bic" approximate posterior probabilities of models that
        are equally probable beforehand), evidence_ratio (weight of the best over the model's own),
        converged (the log-likelihood of a fit that did not is no maximum, and its place is none).

    Raises
    ------
    DataError
        Other rows, responses or weights, methods or numbers of quadrature points; REML fits with different fixed
        effects; densities and probabilities together; fewer than two fits; a log-likelihood that is not finite; another
        criterion.

    References
    ----------
    Akaike (1978) The Statistician 27:217-235; Burnham & Anderson (2002) Model Selection and Multimodel Inference, 2.9.
    """
    records: list[Fit] = [getattr(item, "fit", item) for item in fits]
    if len(records) < 2:
        raise DataError(f"rank takes two or more fits; got {len(records)}")
    for fit in records:
        fit.need_likelihood("ranking fits")
    check_rankable(records)
    criteria = [information_criteria(fit, n) for fit in records]
    if by not in criteria[0]:
        raise DataError(f"by={by!r} is not known; there are {', '.join(map(repr, criteria[0]))}")
    values = np.array([own[by] for own in criteria])
    if not np.isfinite(values).all():
        worst = records[int(np.argmin(np.isfinite(values)))]
        raise DataError(f"the fit '{worst.design.formula}' has no finite {by}: it cannot be ranked")
    delta = values - values.min()
    relative = np.exp(-0.5 * delta)
    table = pd.DataFrame(
        {
            "family": [fit.family.name for fit in records],
            "df": [fit.df_model for fit in records],
            "loglik": [fit.loglik for fit in records],
            by: values,
            "delta": delta,
            "weight": relative / relative.sum(),
            "evidence_ratio": _exp(0.5 * delta),
            "converged": [fit.converged for fit in records],
        },
        index=pd.Index([str(fit.design.formula) for fit in records], dtype=object, name="model"),
    )
    return table.iloc[np.argsort(delta, kind="stable")]


def _exp(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Infinite where it is too large for a number."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(values), dtype=np.float64)


def check_rankable(fits: list[Fit]) -> None:
    """Refuses fits whose log-likelihoods are not of the same data, on one scale; families may differ.

    Raises
    ------
    DataError
    """
    for one, other in combinations(fits, 2):
        check_comparable(one, other, any_family=True)
        if _discrete(one) != _discrete(other):
            raise DataError(
                f"{one.family.name} has probabilities and {other.family.name} densities, or the other way round: "
                "densities change with the unit of the response, so their criteria cannot be compared"
            )


def _discrete(fit: Fit) -> tuple[bool, ...]:
    """Whether a response has probabilities, and not densities; of each kind where rows are of several."""
    return tuple(own.support in DISCRETE for own in fit.family.members)
