"""The same model written in another way has the same maximum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import multilevel as ml

from .designs import Design
from .outcome import Outcome
from .plain import Plain
from .restarts import lower_label, survives, warned

LIMIT = 1e-5


def check_invariance(made: Design, results: Any, plain: Plain, outcome: Outcome, rng: np.random.Generator) -> None:
    """Threads, and one of: the order of rows, names of levels, the order of terms, shift and scale of a predictor."""
    options = made.options()
    if made.recipe.points == "auto":  # which starts from other points
        return
    two = results.model.fit(**options | {"threads": 2})
    if not np.array_equal(two.llf, results.llf, equal_nan=True) or not np.array_equal(
        two.fit.psi, results.fit.psi, equal_nan=True
    ):
        outcome.add("NOT INVARIANT", f"threads: llf {results.llf!r} and {two.llf!r}")
    changes = [rows, names, swapped, shifted, scaled]
    for k in rng.permutation(len(changes))[:2]:
        other = changes[k](made, rng)
        if other is None:
            continue
        try:
            fit = ml.fit(**other.arguments(), **options)
        except (ml.DataError, ml.FormulaError) as error:
            outcome.add("NOT INVARIANT", f"{changes[k].__name__}: refused, {error}")
            continue
        _compare(made, changes[k], results, fit, plain, outcome)


def _compare(
    made: Design, change: Callable[..., Any], results: Any, other: Any, plain: Plain, outcome: Outcome
) -> None:
    gap, how = other.llf - results.llf, change.__name__
    if results.converged and other.converged and abs(gap) > max(LIMIT, 1e-9 * abs(results.llf)):
        worse, better = (results, other) if gap > 0 else (other, results)
        text = f"{how}: llf {results.llf:.9g} and {other.llf:.9g}, {'this' if gap > 0 else 'the other'} is worse"
        same_parameters = change in (rows, names)
        if warned(worse) or (same_parameters and not survives(made, results.model, worse, better, plain)):
            outcome.add("other optimum of a coarse rule", text)
            return
        outcome.gap = max(outcome.gap, abs(gap))
        outcome.add(lower_label(worse), text)
    elif results.fit.status in ("not converged", "not identified") and other.converged and gap > -1e-6:
        outcome.add("FALSE ALARM", f"{how}: certified at {other.llf:.9g}, and here {results.llf:.9g}")


def rows(made: Design, rng: np.random.Generator) -> Design:
    order = rng.permutation(len(made.frame))
    return replace(made, frame=made.frame.iloc[order].reset_index(drop=True))


def names(made: Design, rng: np.random.Generator) -> Design:
    """Levels of g as texts whose order is another."""
    frame = made.frame.copy()
    label = rng.permutation(int(frame["g"].max()) + 1)
    frame["g"] = np.array([f"level {k}" for k in label])[frame["g"]]
    return replace(made, frame=frame)


def swapped(made: Design, _: np.random.Generator) -> Design | None:
    """Terms in reverse; quadrature rules of several effects depend on their order."""
    if len(made.bars) < 2 or made.recipe.points != 1 or any("/" in bar.text for bar in made.bars):
        return None
    return replace(made, bars=made.bars[::-1])


def shifted(made: Design, rng: np.random.Generator) -> Design | None:
    """x + c, where unstructured terms and an intercept take it up; quadrature rules may depend on it."""
    slopes = [bar for bar in made.bars if "x" in bar.columns]
    if any(bar.structure != "us" or "1" not in bar.columns for bar in slopes):
        return None
    if "x2" in made.fixed or "x" not in made.fixed or (slopes and made.recipe.points != 1):
        return None
    frame = made.frame.copy()
    frame["x"] = frame["x"] + 3 * frame["x"].std() * rng.choice([-1, 1])
    return replace(made, frame=frame)


def scaled(made: Design, rng: np.random.Generator) -> Design | None:
    """c x; REML depends on it."""
    if "x" not in made.fixed or made.recipe.method == "reml" or "x2" in made.fixed:
        return None
    frame = made.frame.copy()
    frame["x"] = frame["x"] * float(rng.choice([-10.0, 0.1, 1000.0]))
    return replace(made, frame=frame)
