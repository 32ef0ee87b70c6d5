"""One small frame with a column of every kind, and the shorthands of the tests of the front end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from multilevel.design.build import build_design
from multilevel.design.design import Design
from multilevel.family.registry import Family


def make_data(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "b": rng.integers(0, 2, n),
            "n": rng.integers(0, 9, n),
            "size": rng.integers(9, 12, n),
            "x": rng.normal(size=n),
            "z": rng.uniform(1, 5, n),
            "k": rng.integers(1, 6, n),
            "flag": rng.random(n) < 0.4,
            "f": rng.choice(["low", "high", "mid"], n),
            "s": rng.choice(["u", "v"], n),
            "c": pd.Categorical(rng.choice(["no", "yes"], n), categories=["yes", "no", "never"]),
            "g": rng.choice([f"g{i}" for i in range(6)], n),
            "h": rng.integers(1, 5, n),
        }
    )


DATA = make_data()


def build(formula: str, data: Any = None, **more: Any) -> Design:
    family = Family(more.pop("family", "gaussian"))
    return build_design(formula, DATA if data is None else data, family=family, **more)


def names(design: Design) -> list[str]:
    return [column.name for column in design.fixed]


def matrix(columns: Any, n: int) -> np.ndarray:
    values = [np.ones(n) if c is None else np.asarray(c, dtype=float) for c in columns]
    return np.column_stack(values) if values else np.empty((n, 0))


def fixed_matrix(design: Any) -> np.ndarray:
    return matrix([c.values for c in design.fixed], design.n_rows)
