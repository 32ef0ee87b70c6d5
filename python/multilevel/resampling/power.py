"""The power of a test under a design: how often it rejects in responses that were drawn with the effect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..arguments import check_choice, whole_number
from ..design.subset import n_units, rows_of_levels, take_rows, unit_of_resampling
from ..errors import DataError
from ..fitting.core_model import build_core
from ..fitting.many import ManyFits, fit_many
from ..prediction.simulate import Law, checked_seed, responses

if TYPE_CHECKING:
    from ..design.design import Design
    from ..family.registry import Family

COLUMNS = ["size", "n_rows", "effect", "power", "mc_error", "conf_low", "conf_high", "n", "failed"]
BATCH = 100  # replicates between two looks at the Monte Carlo error
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Study:
    """A law, how its model is fitted, and its fixed effects by name."""

    law: Law
    family: Family
    method: str
    n_quadrature: int
    beta: dict[str, float]


def power_table(
    study: Study,
    test: str,
    effect: float | Sequence[float] | None,
    n: int,
    alpha: float,
    sizes: Iterable[int] | None,
    group: str | None,
    method: str,
    precision: float | None,
    seed: int | None,
    threads: int | None,
) -> pd.DataFrame:
    """A row for each size and effect, see `multilevel.power`."""
    check_choice("method", method, ("wald", "lrt"))
    if test not in study.beta:
        raise DataError(f"test={test!r} is no coefficient; there are {', '.join(map(repr, study.beta))}")
    if not 0.0 < alpha < 1.0:
        raise DataError(f"alpha is {alpha!r}; it is a probability between 0 and 1, such as 0.05")
    if precision is not None and not precision > 0:
        raise DataError(f"precision is {precision!r}; it is a Monte Carlo error above zero, such as 0.01")
    count, workers, key = whole_number(n, "n"), whole_number(threads, "threads"), checked_seed(seed)
    if count < 1:
        raise DataError("n is 0; give the number of replicates")
    effects = [study.beta[test]] if effect is None else [float(value) for value in np.atleast_1d(effect)]
    design = study.law.design
    if method == "lrt" and design.choices is not None and design.choices.by_category:
        raise DataError(
            "method='lrt' tests a term in all categories together, and a coefficient is one category's; take 'wald'"
        )
    at = unit_of_resampling(design, group) if sizes is not None or group is not None else -1
    there = n_units(design, at)
    if sizes is None and design.grouping_factors:
        there = max(len(factor.levels) for factor in design.grouping_factors)
    rows = []
    for size in [None] if sizes is None else list(sizes):
        law = study.law if size is None else _of_size(study.law, at, there, whole_number(size, "sizes"))
        for value in effects:
            moved = _moved(law, test, value - study.beta[test])
            rejected, failed, done = _replicates(study, moved, test, alpha, count, method, precision, key, workers)
            rows.append(
                [there if size is None else size, law.design.n_rows, value, *_share(rejected, done), done, failed]
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_size(law: Law, at: int, there: int, size: int) -> Law:
    """The same of so many levels."""
    if size < 2:
        raise DataError(f"sizes has {size}; a design needs two levels at least")
    rows, drawn = rows_of_levels(law.design, at, np.arange(size) % there)
    design = take_rows(law.design, rows, drawn, at)
    return replace(law, design=design, eta=law.eta[rows], phi=law.phi if law.phi.ndim == 1 else law.phi[rows])


def _moved(law: Law, test: str, by: float) -> Law:
    """The law with another value of a coefficient."""
    place = next(k for k, column in enumerate(law.design.fixed) if column.name == test)
    values, choices, eta = law.design.fixed[place].values, law.design.choices, law.eta.copy()
    to = eta[:, choices.owner(place, len(law.design.fixed))] if choices is not None and choices.by_category else eta
    to += by if values is None else by * values
    return replace(law, eta=eta)


def _replicates(
    study: Study,
    law: Law,
    test: str,
    alpha: float,
    n: int,
    method: str,
    precision: float | None,
    seed: int,
    threads: int,
) -> tuple[int, int, int]:
    """Rejections, failed fits, replicates."""
    from scipy.special import chdtri, ndtri

    # likelihoods of different fixed effects are compared, which restricted ones cannot be
    how = "ml" if method == "lrt" else study.method
    models = [(law.design, build_core(law.design, study.family))]
    if method == "lrt":
        without = replace(law.design, fixed=tuple(own for own in law.design.fixed if own.name != test))
        models.append((without, build_core(without, study.family)))
    rejected = failed = done = 0
    while done < n:
        last = min(done + BATCH, n)
        y = responses(law, seed, done, last)
        found = [_fitted(study, design, core, y, how, threads) for design, core in models]
        good = np.all([own.converged for own in found], axis=0)
        if method == "wald":
            large = _statistics(found[0], test) > ndtri(1.0 - alpha / 2.0)
        else:
            large = 2.0 * (found[0].loglik - found[1].loglik) > chdtri(1.0, alpha)
        rejected, failed, done = rejected + int(np.sum(good & large)), failed + int(np.sum(~good)), last
        if precision is not None and _share(rejected, done)[1] <= precision:
            break
    return rejected, failed, done


def _fitted(study: Study, design: Design, core: Any, y: Any, how: str, threads: int) -> ManyFits:
    return fit_many(design, study.family, core, y, method=how, n_quadrature=study.n_quadrature, threads=threads)


def _statistics(found: ManyFits, test: str) -> Any:
    labels = found.natural.labels
    if test not in labels[: found.natural.n_fixed]:
        raise DataError(f"a design of this size does not determine '{test}'; give larger sizes")
    at = labels.index(test)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.abs(found.estimates[:, at] / found.errors[:, at])


def _share(count: int, n: int) -> tuple[float, float, float, float]:
    """A share, its Monte Carlo error, and Wilson's interval, from whose width the error comes: none is zero."""
    share, square = count / n, NORMAL_95**2
    center = (count + square / 2.0) / (n + square)
    half = NORMAL_95 * np.sqrt(share * (1.0 - share) / n + square / (4.0 * n**2)) / (1.0 + square / n)
    return share, float(half / NORMAL_95), float(center - half), float(center + half)
