"""Data frames of every kind give the same design."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from .design_data import DATA, build, fixed_matrix, matrix, names

FRAME_FORMULA = "y ~ x*f + flag + k + C(k) + I(x^2) + I(f == 'low') + c + (1 + f | g) + (1 | g:h)"


def frame_data() -> pd.DataFrame:
    data = DATA.assign(c=pd.Categorical(DATA["c"].astype(str)), k=DATA["k"].astype("float64"))
    data.loc[3, "x"] = np.nan
    data.loc[5, "f"] = None
    data.loc[9, "g"] = None
    data.loc[11, "c"] = np.nan
    return data


def as_polars(data: pd.DataFrame) -> Any:
    pl = pytest.importorskip("polars")
    return pl.DataFrame({k: [None if pd.isna(v) else v for v in data[k].tolist()] for k in data})


def as_polars_categories(data: pd.DataFrame) -> Any:
    pl = pytest.importorskip("polars")
    frame = as_polars(data)
    return frame.with_columns(
        pl.col("f").cast(pl.Categorical), pl.col("g").cast(pl.Enum(sorted(data["g"].dropna().unique())))
    )


def as_arrow(data: pd.DataFrame) -> Any:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({k: [None if pd.isna(v) else v for v in data[k].tolist()] for k in data})
    return table.set_column(table.column_names.index("f"), "f", table["f"].dictionary_encode())


FRAMES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "polars": as_polars,
    "polars with categories": as_polars_categories,
    "polars lazy": lambda d: as_polars(d).lazy(),
    "pyarrow": as_arrow,
    "dict of lists": lambda d: {k: [None if pd.isna(v) else v for v in d[k].tolist()] for k in d},
    "dict of arrays": lambda d: {k: d[k].to_numpy() for k in d},
    "dict of series": lambda d: {k: d[k] for k in d},
    "pandas objects": lambda d: d.astype({"f": object, "g": object, "s": object}),
    "pandas python strings": lambda d: d.astype({"f": "string[python]", "g": "string[python]"}),
    "pandas nullable": lambda d: d.convert_dtypes(),
    "pandas categories": lambda d: d.astype({"f": "category", "g": "category"}),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_kind_of_frame_gives_the_same_design(kind: str) -> None:
    data = frame_data()
    expected = build(FRAME_FORMULA, data)
    frame = FRAMES[kind](data)
    design = build(FRAME_FORMULA, frame)
    assert names(design) == names(expected)
    np.testing.assert_array_equal(fixed_matrix(design), fixed_matrix(expected))
    np.testing.assert_array_equal(design.response.values, expected.response.values)
    for ours, theirs in zip(design.grouping_factors, expected.grouping_factors, strict=True):
        assert list(ours.levels) == list(theirs.levels)
        np.testing.assert_array_equal(ours.codes, theirs.codes)
    assert (design.n_rows, design.n_missing) == (expected.n_rows, expected.n_missing) == (56, 4)
    for new in (design.code_new(data), expected.code_new(frame)):
        np.testing.assert_array_equal(matrix([c.values for c in new.fixed], 60)[~new.missing], fixed_matrix(expected))
        np.testing.assert_array_equal(new.codes[1][~new.missing], expected.grouping_factors[1].codes)
        assert new.missing.sum() == 4


def test_declared_order_of_polars() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"y": [1.0, 2.0, 3.0, 4.0], "f": ["b", "a", "c", "b"]})
    enum = frame.with_columns(pl.col("f").cast(pl.Enum(["c", "b", "a", "z"])))
    assert names(build("y ~ f", enum)) == ["(Intercept)", "f[b]", "f[a]"]
    by_appearance = frame.with_columns(pl.col("f").cast(pl.Categorical))
    assert names(build("y ~ f", by_appearance)) == ["(Intercept)", "f[b]", "f[c]"]


def test_polars_categories_that_share_a_pool() -> None:
    pl = pytest.importorskip("polars")
    first = pl.Series("f", ["q", "r", None, "q"], dtype=pl.Categorical)
    second = pl.Series("g", [None, "zz", "r", "zz"], dtype=pl.Categorical)
    frame = pl.DataFrame([pl.Series("y", [1.0, 2.0, 3.0, 4.0]), first, second])
    design = build("y ~ f", frame)
    assert fixed_matrix(design)[:, 1].tolist() == [0, 1, 0]
    assert list(build("y ~ (1 | g)", frame).grouping_factors[0].levels) == ["r", "zz"]


def test_polars_nan_is_missing() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"y": [1.0, 2.0, 3.0], "x": [1.0, float("nan"), None]})
    assert build("y ~ x", frame).n_missing == 2


def test_structured_arrays() -> None:
    records = np.array([(1.0, 2), (2.0, 3), (3.0, 5)], dtype=[("y", float), ("k", int)])
    assert fixed_matrix(build("y ~ k", records))[:, 1].tolist() == [2, 3, 5]
