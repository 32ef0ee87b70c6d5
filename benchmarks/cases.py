"""The cases by name, and names for several of them together."""

from __future__ import annotations

from case import Case
from families import FAMILIES
from one_factor import ONE_FACTOR
from several_factors import SEVERAL_FACTORS

CASES: dict[str, Case] = {case.name: case for case in (*ONE_FACTOR, *SEVERAL_FACTORS, *FAMILIES)}

MEMORY = tuple(name for name in CASES if name.startswith("memory"))

TOGETHER: dict[str, tuple[str, ...]] = {
    "all": tuple(CASES),
    "one_factor": tuple(case.name for case in ONE_FACTOR),
    "families": tuple(case.name for case in FAMILIES),
    "several_factors": tuple(case.name for case in SEVERAL_FACTORS),
    "memory": MEMORY,
    "threads": tuple(case.name for case in SEVERAL_FACTORS if len(case.threads) > 1 and case.n_quadrature == 1),
    "nested_quadrature": tuple(name for name in CASES if name.startswith("quadrature")),
}


def expand(names: list[str]) -> list[str]:
    """Put the cases in the place of a name for several; each case once.

    Raises
    ------
    KeyError
        A name is not known.
    """
    return list(dict.fromkeys(case for name in names for case in (TOGETHER.get(name) or (CASES[name].name,))))
