"""Whether a likelihood has no maximum, decided from the data alone."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from .problem import Problem


def separated(problem: Problem) -> bool | None:
    """Whether the fixed part has a direction along which no row's density falls and some rise; None: cannot say.

    Rows at their upper end may only move up, those at zero only down, all others not at all.
    """
    if problem.part:
        return None
    if problem.family in ("gamma", "beta", "lognormal", "inverse_gaussian", "exponential", "weibull", "skew_normal"):
        return False
    if problem.family in ("gaussian", "student_t", "ordered_beta") or problem.link in ("sqrt", "identity"):
        return None
    top = (problem.y == problem.size) & (problem.family in ("binomial", "beta_binomial")) & (problem.link != "log")
    side = np.where(problem.y == 0, -1.0, np.where(top, 1.0, 0.0))
    X = np.linalg.qr(problem.X)[0]
    ends, inside = side != 0, side == 0
    if not ends.any():
        return False
    towards = X[ends] * side[ends][:, None]
    found = linprog(
        -towards.sum(0),
        A_ub=-towards,
        b_ub=np.zeros(len(towards)),
        A_eq=X[inside] if inside.any() else None,
        b_eq=np.zeros(int(inside.sum())) if inside.any() else None,
        bounds=(-1, 1),
        method="highs",
    )
    if found.status != 0:
        return None
    if -found.fun > 1e-6:
        return True
    return False if -found.fun < 1e-9 else None


def reproduced(problem: Problem) -> bool:
    """Whether fixed and random effects together can put all successes on one side and all failures on the other."""
    if problem.family != "binomial":
        return bool(problem.part)
    side = np.where(problem.y == problem.size, 1.0, np.where(problem.y == 0, -1.0, 0.0))
    if not side.all():
        return False
    columns = [problem.X / np.maximum(np.abs(problem.X).max(0), 1e-300)]
    for term in problem.terms:
        codes, Z = problem.codes[term.factor], term.Z / np.maximum(np.abs(term.Z).max(0), 1e-300)
        own = np.zeros((len(side), problem.levels(term.factor) * term.q))
        for a in range(term.q):
            own[np.arange(len(side)), codes * term.q + a] = Z[:, a]
        columns.append(own)
    signed = np.hstack(columns) * side[:, None]
    found = linprog(
        np.zeros(signed.shape[1]), A_ub=-signed, b_ub=-np.ones(len(side)), bounds=(None, None), method="highs"
    )
    return bool(found.status == 0)


def constant_groups(problem: Problem) -> bool:
    """Whether both ends occur, every group of a single factor is at one of them, and groups have several rows.

    Then the likelihood of a random intercept rises as its variance grows without bound.
    """
    if problem.family != "binomial" or problem.link in ("log", "cloglog") or len(problem.codes) != 1:
        return False
    if [t.q for t in problem.terms] != [1] or not np.all(problem.terms[0].Z == 1):
        return False
    codes = problem.codes[0]
    rows = np.bincount(codes)
    tops = np.bincount(codes, problem.y == problem.size) == rows
    zeros = np.bincount(codes, problem.y == 0) == rows
    return bool(np.all(tops | zeros) and min(tops.sum(), zeros.sum()) >= 3 and (rows > 1).all())
