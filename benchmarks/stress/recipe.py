"""Which kinds of design there are, and what is drawn for one: everything follows from the seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

KINDS = {  # share of the fits
    "intercept": 12,
    "slope": 12,
    "independent slope": 8,
    "slope alone": 3,
    "two slopes": 4,
    "two terms": 3,
    "crossed": 8,
    "crossed slopes": 4,
    "three factors": 3,
    "nested": 6,
    "nested slopes": 3,
    "levels": 3,
    "levels diag": 2,
    "levels homdiag": 2,
    "levels cs": 3,
    "levels homcs": 2,
    "levels rr": 2,
    "ar1": 6,
    "hetar1": 3,
    "cs over time": 3,
    "intercept + ar1": 3,
    "no groups": 2,
    "constant groups": 2,
    "separation": 2,
}
LATENT = 5 * 10**8  # seeds from here on draw latent traits as well
TRAITS = {"one trait": 7, "factors": 4}  # shares beside those of KINDS: about one fit in ten
TIMES = ("ar1", "hetar1", "cs over time", "intercept + ar1")
SEVERAL = ("crossed", "crossed slopes", "three factors", "nested", "nested slopes")
SLOPES = ("slope", "independent slope", "two slopes", "two terms", "crossed slopes", "nested slopes")
LINKS = {
    ("gaussian", "identity"): 25,
    ("binomial", "logit"): 14,
    ("binomial", "probit"): 7,
    ("binomial", "cloglog"): 7,
    ("binomial", "cauchit"): 7,
    ("binomial", "log"): 6,
    ("poisson", "log"): 14,
    ("poisson", "sqrt"): 7,
    ("poisson", "identity"): 5,
    ("gaussian", "log"): 6,
    ("gamma", "log"): 10,
    ("gamma", "inverse"): 5,
    ("gamma", "identity"): 5,
    ("negative_binomial", "log"): 14,
    ("negative_binomial", "identity"): 5,
    ("lognormal", "log"): 6,
    ("inverse_gaussian", "log"): 6,
    ("inverse_gaussian", "inverse_squared"): 3,
    ("inverse_gaussian", "inverse"): 3,
    ("inverse_gaussian", "identity"): 3,
    ("exponential", "log"): 4,
    ("weibull", "log"): 6,
    ("student_t", "identity"): 8,
    ("student_t", "log"): 4,
    ("skew_normal", "identity"): 6,
    ("tweedie", "log"): 6,
    ("negative_binomial_1", "log"): 10,
    ("geometric", "log"): 5,
    ("generalized_poisson", "log"): 8,
    ("beta", "logit"): 8,
    ("beta", "probit"): 4,
    ("beta", "cloglog"): 4,
    ("beta_binomial", "logit"): 8,
    ("beta_binomial", "probit"): 4,
    ("beta_binomial", "cloglog"): 4,
}
N_FIRST = 15  # of the links, which seeds below FULL draw from: what they once found they find again
FULL = 10**8
BOUNDED = (  # links whose linear predictor is not any number
    ("binomial", "log"),
    ("poisson", "identity"),
    ("gaussian", "log"),
    *((family, link) for family, link in LINKS if family in ("gamma", "inverse_gaussian") and link != "log"),
    ("negative_binomial", "identity"),
    ("student_t", "log"),
)
RATES = ("poisson", "gamma", "negative_binomial", "negative_binomial_1", "geometric", "generalized_poisson")
PARTIAL = 2 * 10**8  # seeds from here on draw what modifies a family, or ordered categories
PARTS = {  # families and links that each may modify
    "inflation": (
        ("poisson", "log"),
        ("negative_binomial", "log"),
        ("negative_binomial_1", "log"),
        ("geometric", "log"),
    ),
    "hurdle": (("poisson", "log"), ("negative_binomial", "log"), ("gamma", "log"), ("lognormal", "log")),
    "zero formula": (("poisson", "log"), ("negative_binomial", "log"), ("geometric", "log")),
    "truncated": (("poisson", "log"), ("negative_binomial", "log")),
    "dispersion": (
        ("gaussian", "identity"),
        ("gamma", "log"),
        ("negative_binomial", "log"),
        ("lognormal", "log"),
        ("weibull", "log"),
        ("beta", "logit"),
        ("negative_binomial_1", "log"),
    ),
    "censored": (
        ("gaussian", "identity"),
        ("lognormal", "log"),
        ("weibull", "log"),
        ("exponential", "log"),
        ("gamma", "log"),
        ("student_t", "identity"),
    ),
    "categories": tuple(("cumulative", link) for link in ("logit", "probit", "cloglog", "loglog", "cauchit")),
}
WIDER = 3 * 10**8  # seeds from here on draw more families and several predictors, and fewer Gaussian series in time
MORE = 6 * 10**8  # seeds from here on draw every family, and modify each that can be
SHARE_OF_LARGE = 0.05  # with thousands of rows, of which a search looks around less
MORE_LINKS = {("conway_maxwell_poisson", "log"): 12, ("ordered_beta", "logit"): 12}
OF_COUNTS = tuple(
    (family, "log")
    for family in (
        "poisson",
        "negative_binomial",
        "negative_binomial_1",
        "geometric",
        "generalized_poisson",
        "conway_maxwell_poisson",
    )
)
OF_SHARES = (("binomial", "logit"), ("beta_binomial", "logit"))
OF_SIZES = tuple((family, "log") for family in ("gamma", "lognormal", "weibull", "exponential", "inverse_gaussian"))
MORE_PARTS = {
    "inflation": (*OF_COUNTS, *OF_SHARES, ("tweedie", "log")),
    "hurdle": (*OF_COUNTS, *OF_SHARES, *OF_SIZES, ("beta", "logit")),
    "zero formula": (*OF_COUNTS, *OF_SHARES),
    "truncated": OF_COUNTS,
    "dispersion": (
        *PARTS["dispersion"],
        ("student_t", "identity"),
        ("skew_normal", "identity"),
        ("inverse_gaussian", "log"),
        ("generalized_poisson", "log"),
        ("conway_maxwell_poisson", "log"),
        ("beta_binomial", "logit"),
        ("tweedie", "log"),
        ("ordered_beta", "logit"),
    ),
    "censored": PARTS["censored"],
    "interval": (("gaussian", "identity"), ("lognormal", "log"), ("weibull", "log")),
    "categories": PARTS["categories"],
}
LINKS_OF_ORDER = ("logit", "probit", "cloglog", "loglog", "cauchit")
STAGES = ("adjacent", "continuation", "reverse_continuation")
WIDER_PARTS = {
    "adjacent": (("adjacent", "logit"),),
    **{name: tuple((name, link) for link in LINKS_OF_ORDER) for name in STAGES[1:]},
    "scale": tuple(("cumulative", link) for link in LINKS_OF_ORDER),
    "two kinds": (("mixed", "logit"),),
    "custom": (("log_logistic", "log"),),
    "restricted": (("gaussian", "identity"),),  # a formula for the dispersion, by REML
}
SEVERAL_PREDICTORS = {
    "multinomial": (("multinomial", "logit"),),
    "conditional": (("conditional", "logit"),),
    "random zero": (("poisson", "log"), ("negative_binomial", "log"), ("geometric", "log")),
    "random dispersion": (("gaussian", "identity"),),
    "brands": (("conditional", "logit"),),  # alternatives that come back, with random effects of their own
}
CHOICES = ("conditional", "brands")  # parts whose rows are alternatives

SHARE_OF_SEVERAL = {"intercept": 0.6, "slope": 0.6, "independent slope": 0.6, "slope alone": 0.6, "two terms": 0.6}
SHARE_OF_SEVERAL |= {"crossed": 0.3, "three factors": 0.3, "nested": 0.3, "crossed slopes": 0.2, "nested slopes": 0.2}
OF_TRAITS = (  # families, links, and what is drawn for items
    ("binomial", "logit", ""),
    ("binomial", "logit", ""),
    ("binomial", "probit", ""),
    ("binomial", "cloglog", ""),
    ("cumulative", "logit", "graded"),
    ("cumulative", "probit", "graded"),
    ("adjacent", "logit", "credit"),
    ("poisson", "log", ""),
    ("gaussian", "identity", "dispersion of items"),
)
CATEGORIES = ("cumulative", *STAGES, "multinomial", "conditional")
# What a fit is about: the mean alone; other distributions, and what modifies a family; categories, latent traits, and
# rows with families of their own or in Python.
SUBJECTS = ("means", "distributions", "categories")
UNSHIFTED = (*CATEGORIES, "mixed")  # without an intercept, or one near zero
WIDE = tuple((family, "log") for family in RATES)  # links of a mean without a domain


@dataclass
class Recipe:
    """What was drawn; the data follow from it and the generator."""

    seed: int
    kind: str
    family: str
    link: str
    method: str
    points: int | str
    n_groups: int
    size: int
    unbalanced: bool
    shift: float
    scale: float
    sds: tuple[float, ...]
    correlation: float
    intercept: float
    slope: float
    sigma: float
    trials: int
    weighted: bool
    offset: bool
    deficient: bool
    extra: bool
    group_level: bool
    shuffled: bool
    binary: bool
    response_scale: float
    variant: int
    part: str = ""  # of PARTS


def kind_of(seed: int) -> str:
    """The kind of a seed, without drawing the rest."""
    return _pick(np.random.default_rng(seed), kinds_of(seed))


def kinds_of(seed: int) -> dict[str, int]:
    """The kinds that a seed draws from, with their shares."""
    return KINDS | TRAITS if seed >= LATENT else KINDS


def links_of(seed: int) -> dict[tuple[str, str], int]:
    """The families and links that a seed draws from, with their shares."""
    drawn = dict(list(LINKS.items())[: None if seed >= FULL else N_FIRST])
    return drawn | MORE_LINKS if seed >= MORE else drawn


def several_of(seed: int) -> dict[str, tuple[tuple[str, str], ...]]:
    """The parts with several predictors of a row that a seed draws from, with their families and links."""
    return {part: own for part, own in SEVERAL_PREDICTORS.items() if part != "brands" or seed >= MORE}


def family_of(seed: int) -> str:
    """The family of a seed."""
    return draw(np.random.default_rng(seed), seed).family


def subject(kind: str, family: str, _: str = "", part: str = "") -> str:
    """Which of `SUBJECTS` a kind of design, a family, a link and a part are."""
    if family in (*CATEGORIES, "mixed", "log_logistic") or kind in TRAITS:
        return "categories"
    return "means" if family in ("gaussian", "binomial", "poisson") and not part else "distributions"


def subject_of(seed: int) -> str:
    """The subject of a seed."""
    drawn = draw(np.random.default_rng(seed), seed)
    return subject(drawn.kind, drawn.family, drawn.link, drawn.part)


def _pick(rng: np.random.Generator, shares: dict[Any, float]) -> Any:
    keys = list(shares)
    p = np.array(list(shares.values()), dtype=float)
    return keys[int(rng.choice(len(keys), p=p / p.sum()))]


def draw(rng: np.random.Generator, seed: int) -> Recipe:
    """The recipe of a seed."""
    kind = _pick(rng, kinds_of(seed))
    if kind in TRAITS:
        return _of_traits(rng, seed, kind)
    links = links_of(seed)
    if kind in TIMES and seed < WIDER:
        links["gaussian", "identity"] = 200
    if kind in ("constant groups", "separation"):
        links = {k: v for k, v in links.items() if k[0] == "binomial"}
    if kind == "separation":
        links["poisson", "log"] = links["negative_binomial", "log"] = 8
    family, link = _pick(rng, links)
    part = ""
    if seed >= PARTIAL and kind not in ("constant groups", "separation") and rng.random() < 0.8:
        parts = MORE_PARTS if seed >= MORE else PARTS
        part = _pick(rng, dict.fromkeys(parts, 1) | {"categories": 1 if seed >= MORE else 3})
        family, link = parts[part][int(rng.integers(len(parts[part])))]
    share = 0.4 if seed >= MORE else 0.75
    if seed >= WIDER and kind not in ("constant groups", "separation", "no groups") and rng.random() < share:
        drawn = several_of(seed) if rng.random() < SHARE_OF_SEVERAL.get(kind, 0.0) else WIDER_PARTS
        part = _pick(rng, {name: 0.3 if name == "custom" else 1.0 for name in drawn})  # a density in Python is slow
        family, link = drawn[part][int(rng.integers(len(drawn[part])))]
    linear = (family, link) == ("gaussian", "identity") and not part
    n_groups, size = _sizes(rng, kind)
    if seed >= MORE and kind not in TIMES and rng.random() < SHARE_OF_LARGE:
        n_groups, size = int(rng.integers(40, 150)), int(rng.integers(25, 60))
    several = part in SEVERAL_PREDICTORS
    narrow = (family, link) in BOUNDED or family == "conway_maxwell_poisson"  # whose series grow with the mean
    sds = rng.choice([0.05, 0.2, 0.4] if narrow else [0.0, 0.1, 0.3, 0.5, 1.0, 1.0, 2.0, 3.0, 5.0], 4)
    if kind in TIMES:
        n_groups, size = int(rng.choice([3, 5, 10, 20, 30, 60])), int(rng.integers(3, 11))
    return Recipe(
        seed=seed,
        kind=kind,
        family=family,
        link=link,
        method="reml"
        if part == "restricted"
        else str(rng.choice(["ml", "reml"]))
        if linear and kind != "no groups"
        else "ml",
        points=1
        if linear or part in ("restricted", "brands") or (several and kind in SEVERAL)
        else _points(rng, "two slopes" if several and kind != "intercept" else kind),
        n_groups=n_groups,
        size=size,
        unbalanced=bool(rng.random() < 0.5),
        shift=float(rng.choice([0.0, 10.0, 100.0, 1e4], p=[0.55, 0.2, 0.15, 0.1])),
        scale=float(rng.choice([1.0, 1e-4, 1e-2, 1e2, 1e4], p=[0.6, 0.1, 0.1, 0.1, 0.1])),
        sds=tuple(float(s) for s in sds),
        correlation=float(rng.choice([0.0, 0.3, -0.5, 0.8, 0.95, -0.95, 1.0, -1.0])),
        intercept=_intercept(rng, family, link),
        slope=float(rng.choice([0.0, 0.1] if narrow else [0.0, 0.5, 0.5, -1.0, 2.0])),
        sigma=float(rng.choice([0.05, 0.3, 1.0, 3.0])),
        trials=int(rng.choice([1, 1, 1, 5, 20, 1000])),
        weighted=bool(rng.random() < 0.15) and part not in ("censored", "interval", "two kinds", *CHOICES),
        offset=bool(rng.random() < 0.15) and part != "multinomial",
        deficient=bool(rng.random() < 0.06),
        extra=bool(rng.random() < 0.3),
        group_level=bool(rng.random() < 0.15),
        shuffled=bool(rng.random() < 0.5) and part not in CHOICES,
        binary=bool(rng.random() < 0.12),
        response_scale=float(rng.choice([1.0, 1e-4, 1e5], p=[0.8, 0.1, 0.1])) if linear else 1.0,
        variant=int(rng.integers(3)),
        part=part,
    )


def _of_traits(rng: np.random.Generator, seed: int, kind: str) -> Recipe:
    """Persons are groups and items the rows of each; `sds` are loadings, and `variant` counts the factors."""
    one = kind == "one trait"
    among = [own for own in OF_TRAITS if one or own[0] not in ("cumulative", "adjacent")]
    family, link, part = among[int(rng.integers(len(among)))]
    n_factors = 1 if one else int(rng.choice([1, 2, 2, 3]))
    low, high = [(5, 15), (15, 60), (60, 200), (200, 501)][int(rng.choice(4, p=[0.2, 0.4, 0.3, 0.1]))]
    n_groups = int(rng.integers(low, high))
    fewest = (3, 3, 5, 7)[n_factors]
    size = min(int(rng.integers(fewest, 11)), max(fewest, 1500 // n_groups))
    points = [1, 1, 3, 5, 7, 11, 15] if n_factors == 1 else [1, 1, 3, 5]
    return Recipe(
        seed=seed,
        kind=kind,
        family=family,
        link=link,
        method="ml",
        points=1 if family == "gaussian" else int(rng.choice(points)),
        n_groups=n_groups,
        size=size,
        unbalanced=bool(rng.random() < 0.3),
        shift=0.0,
        scale=float(rng.choice([1.0, 1e-2, 1e2], p=[0.8, 0.1, 0.1])),
        sds=tuple(float(s) for s in rng.choice([0.1, 0.5, 1.0, 1.0, 1.5, 3.0], 10)),
        correlation=float(rng.choice([0.0, 0.3, 0.6, 0.9])),
        intercept=float(rng.choice([0.0, 0.0, -1.0, 1.0])),
        slope=float(rng.choice([0.0, 0.5, -1.0])),
        sigma=float(rng.choice([0.3, 1.0, 2.0])),
        trials=1,
        weighted=bool(rng.random() < 0.15),
        offset=bool(rng.random() < 0.15),
        deficient=False,
        extra=bool(rng.random() < 0.4),
        group_level=bool(rng.random() < 0.5),
        shuffled=bool(rng.random() < 0.5),
        binary=bool(rng.random() < 0.2),
        response_scale=1.0,
        variant=n_factors,
        part=part,
    )


def _sizes(rng: np.random.Generator, kind: str) -> tuple[int, int]:
    """Groups, and rows in each."""
    band = int(rng.choice(4, p=[0.3, 0.45, 0.18, 0.07]))
    low, high = [(3, 10), (10, 30), (30, 80), (100, 501)][band]
    n_groups = int(rng.integers(low, high))
    low, high = [(1, 5), (5, 15), (15, 51)][int(rng.choice(3, p=[0.35, 0.45, 0.2]))]
    size = int(rng.integers(low, high))
    most = 250 if kind in SEVERAL else 400
    if band == 3 and kind not in SEVERAL:
        most = 1500
    if kind in SEVERAL:
        n_groups = min(n_groups, 40)
    size = max(1, min(size, most // n_groups))
    if kind in SLOPES and rng.random() < 0.85:  # with fewer rows than effects most are refused
        size = max(size, 4)
    return n_groups, size


def _points(rng: np.random.Generator, kind: str) -> int | str:
    if kind in ("crossed", "crossed slopes", "three factors", "no groups"):
        return 1
    if kind in ("nested", "nested slopes"):
        return int(rng.choice([1, 1, 3, 5, 7]))
    if kind in ("two slopes", *TIMES) or kind.startswith("levels"):
        return int(rng.choice([1, 1, 1, 3]))
    chosen = str(rng.choice(["1", "1", "1", "1", "3", "5", "7", "9", "11", "auto"]))
    return chosen if chosen == "auto" else int(chosen)


def _intercept(rng: np.random.Generator, family: str, link: str) -> float:
    if family in UNSHIFTED:
        return 0.0
    if family in ("gaussian", "student_t", "skew_normal"):
        return float(rng.choice([0.5, 2.0])) if link == "log" else float(rng.choice([0.0, 2.0, 1e3]))
    if family == "ordered_beta":
        return float(rng.choice([0.0, -1.0, 2.0]))
    if family == "binomial":
        return float(rng.choice([-1.5, -0.7, -4.0] if link == "log" else [0.0, 0.5, -1.0, -4.0, 3.0]))
    if family == "conway_maxwell_poisson":
        return float(rng.choice([0.0, 1.0, 2.0]))
    if link == "log":
        return float(rng.choice([0.0, 1.0, -2.0, 4.0, 9.0, 13.0], p=[0.3, 0.25, 0.15, 0.15, 0.1, 0.05]))
    return float(rng.choice([0.5, 1.5, 5.0, 30.0]))
