"""The data sets shipped: their shape, types and levels, and their agreement with the published files."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

from multilevel import datasets

SHAPES = {
    "cbpp": (56, 4),
    "contraception": (1934, 5),
    "hsb": (7185, 10),
    "pastes": (60, 4),
    "penicillin": (144, 3),
    "sleepstudy": (180, 3),
}
FILES = {"contraception": "Contraception", "pastes": "Pastes", "penicillin": "Penicillin"}  # others as named here
LEVELS = {
    ("cbpp", "herd"): [str(i) for i in range(1, 16)],
    ("cbpp", "period"): ["1", "2", "3", "4"],
    ("contraception", "use"): ["N", "Y"],
    ("contraception", "livch"): ["0", "1", "2", "3+"],
    ("hsb", "sex"): ["Male", "Female"],
    ("hsb", "sector"): ["Public", "Catholic"],
}


def test_names() -> None:
    assert datasets.names() == sorted(SHAPES)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_shape_types_and_documentation(name: str) -> None:
    load = getattr(datasets, name)
    frame = load()
    assert frame.shape == SHAPES[name]
    assert not frame.isna().any().any()
    for column in frame.columns:
        assert isinstance(frame[column].dtype, pd.CategoricalDtype) or frame[column].dtype in (np.float64, np.int64)
    documentation = inspect.getdoc(load)
    assert documentation is not None
    assert "Source: " in documentation
    assert f"{len(frame)} rows" in documentation
    for column in frame.columns:
        assert f"\n{column} " in documentation, f"the docstring of {name} does not describe {column}"


@pytest.mark.parametrize(("name", "column"), sorted(LEVELS))
def test_levels(name: str, column: str) -> None:
    dtype = getattr(datasets, name)()[column].dtype
    assert list(dtype.categories) == LEVELS[name, column]
    assert not dtype.ordered


def test_every_level_of_a_grouping_factor_occurs() -> None:
    for name, column, n in [
        ("cbpp", "herd", 15),
        ("contraception", "district", 60),
        ("hsb", "school", 160),
        ("pastes", "batch", 10),
        ("pastes", "sample", 30),
        ("penicillin", "plate", 24),
        ("penicillin", "sample", 6),
        ("sleepstudy", "Subject", 18),
    ]:
        labels = getattr(datasets, name)()[column]
        assert labels.nunique() == len(labels.cat.categories) == n


def test_each_call_returns_a_new_frame() -> None:
    first = datasets.cbpp()
    first.loc[0, "size"] = -1
    assert datasets.cbpp().loc[0, "size"] == 14


def test_computed_columns_of_hsb() -> None:
    pupils = datasets.hsb()
    means = pupils.groupby("school", observed=True)["ses"].mean()
    assert np.allclose(pupils["meanses"], means.loc[pupils["school"]].to_numpy(), rtol=0, atol=1e-15)
    assert pupils.groupby("school", observed=True)["cses"].mean().abs().max() < 1e-14
    assert pupils["mathhigh"].sum() == 3591
    assert pupils.groupby("school", observed=True)["size"].nunique().max() == 1


@pytest.mark.parametrize(("name", "file"), [(n, FILES.get(n, n)) for n in sorted(SHAPES)])
def test_agreement_with_the_published_files(name: str, file: str, reference_data) -> None:
    expected = reference_data(file)
    frame = getattr(datasets, name)()[list(expected.columns)]
    pd.testing.assert_frame_equal(frame, expected, check_exact=False, rtol=0, atol=1e-15, check_categorical=False)
    for column in expected.columns:
        assert list(frame[column].astype(str).iloc[:50]) == list(expected[column].astype(str).iloc[:50]) or (
            frame[column].dtype == np.float64
        )
