"""Data and reference numbers that may lie beside the checkout; tests that want them are skipped where they do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _find(kind: str, file: str) -> Path:
    path = SHARED / kind / file
    if not path.is_file():
        pytest.skip(f"no shared {kind}: {file} is not beside the checkout")
    return path


@pytest.fixture(scope="session")
def shared_reference() -> Callable[[str], dict[str, Any]]:
    """`shared_reference("cbpp")`: the reference numbers of a data set, as read from its file; skips without it."""

    def read(name: str) -> dict[str, Any]:
        return json.loads(_find("reference", f"{name}.json").read_text(encoding="utf-8"))

    return read


@pytest.fixture(scope="session")
def shared_data(shared_reference: Callable[[str], dict[str, Any]]) -> Callable[[str], pd.DataFrame]:
    """`shared_data("cbpp")`: a new data frame, factors as categoricals with their declared levels; skips without it."""
    frames: dict[str, pd.DataFrame] = {}

    def read(name: str) -> pd.DataFrame:
        if name not in frames:
            path = _find("data", f"{name}.csv")
            columns = _columns(name)
            factors = {c: str for c, about in columns.items() if about["type"] in ("factor", "ordered")}
            frame = pd.read_csv(path, dtype=factors, na_values=["NA"], keep_default_na=False)
            for column in factors:
                labels = columns[column].get("levels") or frame[column].dropna().unique()
                ordered = columns[column]["type"] == "ordered" and "levels" in columns[column]
                frame[column] = pd.Categorical(frame[column], categories=list(labels), ordered=ordered)
            frames[name] = frame
        return frames[name].copy()

    def _columns(name: str) -> dict[str, Any]:
        return shared_reference(name).get("columns", {})

    return read
