"""What tests compare with: the data sets and numbers of tests/reference, and data that may lie beside the checkout."""

from __future__ import annotations

import os
import sys

# before NumPy is imported: with several tests at once threads of small matrices only wait for each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from .reference_files import read_data, read_numbers

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
NOT_KEPT = {"polls"}  # no licence is stated for these: tests want them beside the checkout, and are skipped without


@pytest.fixture(scope="session")
def reference_numbers() -> Callable[[str], dict[str, Any]]:
    """`reference_numbers("cbpp")`: what other programs make of a data set."""
    return read_numbers


@pytest.fixture(scope="session")
def reference_data() -> Callable[[str], pd.DataFrame]:
    """`reference_data("cbpp")`: a new data frame; skips the test where the data are not to be had."""

    @cache
    def read(name: str) -> pd.DataFrame:
        if name not in NOT_KEPT:
            return read_data(name)
        file = BESIDE / f"{name}.csv"
        if not file.is_file():
            pytest.skip(f"{name}.csv has no known licence: it is not kept here, and not beside the checkout")
        return pd.read_csv(file, na_values=["NA"], keep_default_na=False)

    return lambda name: read(name).copy()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that no process waits for another one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def no_figure_stays_open() -> Iterator[None]:
    """pyplot keeps what it made, and warns of too many."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
