"""Data sets and numbers of other programs in tests/reference; its README.md says where they come from."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd

FOLDER = Path(__file__).resolve().parent / "reference"


def names() -> list[str]:
    """The files of numbers."""
    return sorted(file.name.removesuffix(".json.gz") for file in (FOLDER / "numbers").iterdir())


def read_numbers(name: str) -> dict[str, Any]:
    """What other programs make of a data set."""
    return json.loads(gzip.decompress((FOLDER / "numbers" / f"{name}.json.gz").read_bytes()))


def read_data(name: str) -> pd.DataFrame:
    """A data set, factors as categoricals with their declared levels."""
    columns = read_numbers(name)["columns"]
    factors = {column: str for column, about in columns.items() if about["type"] in ("factor", "ordered")}
    file = FOLDER / "data" / f"{name}.csv.gz"
    frame = pd.read_csv(file, dtype=factors, na_values=["NA"], keep_default_na=False)
    for column in factors:
        labels = columns[column].get("levels") or frame[column].dropna().unique()
        ordered = columns[column]["type"] == "ordered" and "levels" in columns[column]
        frame[column] = pd.Categorical(frame[column], categories=list(labels), ordered=ordered)
    return frame
