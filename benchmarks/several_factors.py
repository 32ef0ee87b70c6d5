"""The cases with several grouping factors, crossed or nested, and linear mixed models by REML."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from case import Case, CaseData, bernoulli, labels
from published import high_school_and_beyond, read

_N_DEPARTMENTS = 14


def _verbal_aggression(small: bool) -> CaseData:
    """Give 24 items answered by 316 persons (Vansteelandt 2000, in De Boeck & Wilson 2004)."""
    frame = read("VerbAgg", ("Gender", "item", "resp", "id", "btype", "situ", "mode", "r2"))
    frame["r2"] = (frame["r2"] == "Y").astype("int64")
    frame = frame[["r2", "Anger", "Gender", "btype", "situ", "id", "item"]]
    if small:
        frame = frame[frame["id"].isin(frame["id"].unique()[:60])].reset_index(drop=True)
    return CaseData(frame)


def _ratings(small: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.random.Generator]:
    """Simulate who rates whom: students, lecturers and, for each rating, the department and whether it is a service.

    In the shape of lme4's InstEval: about 25 different lecturers a student, more than half of them of one of 14
    departments, the others of related ones; few lecturers rated by many, many by few; a lecturer is rated by students
    of some years only. With the students eliminated, a quarter of the pairs of lecturers fill in (there a fifth).

    Returns
    -------
    student, lecturer : ndarray
        Codes, one per rating.
    department : ndarray
        14 departments, times two for lectures to students of other departments: 28 levels.
    rng : Generator
        To go on with.
    """
    rng = np.random.default_rng(2972)
    n_rows, n_students, n_lecturers = (1_500, 100, 60) if small else (73_421, 2_972, 1_128)
    home = np.sort(rng.choice(_N_DEPARTMENTS, n_lecturers, p=rng.dirichlet(np.full(_N_DEPARTMENTS, 8.0))))
    fame = np.maximum(rng.lognormal(0.0, 1.5, n_lecturers), 0.15)
    year = rng.uniform(0.0, 1.0, n_lecturers)
    counts = np.clip(rng.gamma(3.0, 1.0, n_students), 0.1, 12.0)
    counts = np.maximum(np.floor(counts * (n_rows / counts.sum())).astype(int), 1)
    short = n_rows - int(counts.sum())  # what rounding left over
    counts[rng.choice(n_students, abs(short), replace=abs(short) > n_students)] += np.sign(short)
    own = rng.choice(_N_DEPARTMENTS, n_students, p=np.bincount(home, minlength=_N_DEPARTMENTS) / n_lecturers)
    lecturers = []
    for student in range(n_students):
        distance = np.abs(np.arange(_N_DEPARTMENTS) - own[student])
        distance = np.minimum(distance, _N_DEPARTMENTS - distance)
        liking = np.where(distance == 0, 1.0, rng.gamma(0.5, size=_N_DEPARTMENTS) * np.exp(-1.2 * distance))
        chance = fame * liking[home] * np.maximum(1.0 - np.abs(year - rng.uniform()) / 0.13, 1e-7)
        # the largest of log chance plus Gumbel noise: a draw without replacement with these chances
        scores = np.log(chance) + rng.gumbel(size=n_lecturers)
        lecturers.append(np.argpartition(-scores, counts[student] - 1)[: counts[student]])
    students = np.repeat(np.arange(n_students), counts)
    lecturer = np.concatenate(lecturers)
    is_service = rng.random(n_rows) < np.where(home[lecturer] == own[students], 0.15, 0.85)
    return students, lecturer, 2 * home[lecturer] + is_service, rng


def _rated(small: bool, binary: bool) -> CaseData:
    student, lecturer, department, rng = _ratings(small)
    service = (department % 2).astype(float)
    effect = [
        scale * rng.normal(size=int(codes.max()) + 1)[codes] for scale, codes in ((0.33, student), (0.52, lecturer))
    ]
    groups = {"s": labels(student, "student"), "d": labels(lecturer, "lecturer")}
    if binary:
        y = bernoulli(0.4 - 0.15 * service + 2.0 * (effect[0] + effect[1]), rng)
        return CaseData(pd.DataFrame({"y": y, "service": service, **groups}))
    third = 0.08 * rng.normal(size=2 * _N_DEPARTMENTS)[department]
    y = 3.28 - 0.07 * service + effect[0] + effect[1] + third + 1.18 * rng.normal(size=service.size)
    return CaseData(pd.DataFrame({"y": y, "service": service, **groups, "dept": labels(department, "dept")}))


def _high_school(small: bool) -> CaseData:
    frame = high_school_and_beyond()
    if small:
        frame = frame[frame["school"].isin(frame["school"].unique()[:40])].reset_index(drop=True)
    return CaseData(frame)


def _nested(small: bool, n_rows: int) -> CaseData:
    """Simulate 10 patients a doctor and 100 doctors a hospital."""
    rng = np.random.default_rng(9)
    n_doctors, per_hospital = (200, 10) if small else (n_rows // 10, 100)
    doctor = np.repeat(np.arange(n_doctors), 10)
    hospital = doctor // per_hospital
    x1, x2 = rng.normal(size=(2, doctor.size))
    eta = -0.4 + 0.5 * x1 - 0.3 * x2 + 0.8 * rng.normal(size=n_doctors)[doctor]
    eta += 0.6 * rng.normal(size=n_doctors // per_hospital)[hospital]
    groups = {"doctor": labels(doctor, "doctor"), "hospital": labels(hospital, "hospital")}
    return CaseData(pd.DataFrame({"y": bernoulli(eta, rng), "x1": x1, "x2": x2, **groups}))


def _immunization(small: bool) -> CaseData:
    """Give 2,159 children of 1,595 mothers in 161 communities (Pebley, Goldman & Rodriguez 1996)."""
    del small
    text = ("mom", "comm", "immun", "kid2p", "mom25p", "ord", "ethn", "momEd", "husEd", "momWork", "rural")
    frame = read("guImmun", text)
    frame["immun"] = (frame["immun"] == "Y").astype("int64")
    return CaseData(frame[[*text, "pcInd81"]])


def _nested_case(name: str, title: str, n_rows: int, **options: object) -> Case:
    n_doctors = n_rows // 10
    return Case(
        name,
        f"{n_rows:,} patients of {n_doctors:,} doctors in {n_doctors // 100:,} hospitals, binary, Laplace{title}",
        "y ~ x1 + x2 + (1 | doctor) + (1 | hospital)",
        "y",
        ("doctor", "hospital"),
        partial(_nested, n_rows=n_rows),
        # a diagonal entry per level, and one that joins each doctor to the hospital
        n_nonzeros=2 * n_doctors + n_doctors // 100,
        **options,  # type: ignore[arg-type]
    )


def _immunization_case(n_quadrature: int) -> Case:
    return Case(
        f"quadrature{n_quadrature}",
        "guImmun: 2,159 children of 1,595 mothers in 161 communities, binary, adaptive Gauss-Hermite quadrature with "
        f"{n_quadrature} points per level",
        "immun ~ kid2p + mom25p + ord + ethn + momEd + husEd + momWork + rural + pcInd81 + (1 | mom) + (1 | comm)",
        "immun",
        ("mom", "comm"),
        _immunization,
        n_quadrature=n_quadrature,
        peers=(),
        threads=(1, 2),
        n_rounds=3,
    )


SEVERAL_FACTORS = (
    Case(
        "verbagg",
        "VerbAgg: 7,584 answers of 316 persons to 24 items, binary, crossed, Laplace",
        "r2 ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)",
        "r2",
        ("id", "item"),
        _verbal_aggression,
        n_calls=5,
        peers=("glmm", "gpboost", "lme4", "glmmTMB"),
    ),
    Case(
        "insteval_reml",
        "73,421 ratings of 1,128 lecturers by 2,972 students, crossed, and a third factor with 28 levels, linear, REML",
        "y ~ service + (1 | s) + (1 | d) + (1 | dept)",
        "y",
        ("s", "d", "dept"),
        partial(_rated, binary=False),
        family="gaussian",
        peers=("glmm", "gpboost", "lme4"),
    ),
    Case(
        "crossed_binary",
        "73,421 binary ratings of 1,128 lecturers by 2,972 students, crossed, Laplace",
        "y ~ service + (1 | s) + (1 | d)",
        "y",
        ("s", "d"),
        partial(_rated, binary=True),
        peers=("glmm", "gpboost", "lme4nAGQ0", "lme4", "glmmTMB"),
        threads=(1, 2),
    ),
    Case(
        "hsb_reml",
        "High School and Beyond: 7,185 pupils in 160 schools, correlated intercept and slope, linear, REML",
        "mathach ~ meanses*cses + sector*cses + (1 + cses | school)",
        "mathach",
        ("school",),
        _high_school,
        family="gaussian",
        slope="cses",
        n_calls=20,
        n_r_calls=5,
        peers=("glmm", "lme4"),
    ),
    _nested_case("nested_million", "", 1_000_000, threads=(1, 2)),
    *(_immunization_case(n_quadrature) for n_quadrature in (7, 15)),
    *(
        _nested_case(f"memory{n_rows}", ": memory", n_rows, peers=(), n_rounds=1)
        for n_rows in (100_000, 1_000_000, 4_000_000)
    ),
)
