"""The folder of data and numbers from outside: every file is accounted for, whole, and packed the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .reference_files import FOLDER, names, read_data, read_numbers

README = (FOLDER / "README.md").read_text(encoding="utf-8")


def files() -> Iterator[Path]:
    return (path for path in FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def test_every_file_is_in_the_tables() -> None:
    rows = re.findall(r"^\| `([^`]+)`", README, re.MULTILINE)
    assert sorted(rows) == sorted(
        str(path.relative_to(FOLDER).as_posix()) for path in files() if path.suffix in (".gz", ".json")
    )


@pytest.mark.parametrize("name", [name for name in names() if name != "after_the_fit"])
def test_data_are_those_of_the_numbers(name: str) -> None:
    numbers = read_numbers(name)
    frame = read_data(Path(numbers["file"]).name.removesuffix(".csv.gz"))
    assert len(frame) == numbers["nrow"]
    assert list(frame.columns) == list(numbers["columns"])
    for column, about in numbers["columns"].items():
        values = frame[column]
        if about["type"] in ("factor", "ordered"):
            assert values.cat.categories.size == about["nlevels"]
            assert values.isna().sum() == about.get("na", 0)
        else:
            assert (values.dtype.kind == "i") == (about["type"] == "integer" and not about["na"])
            assert values.isna().sum() == about["na"]


def test_archives_hold_no_name_and_no_time() -> None:
    for path in files():
        if path.suffix == ".gz":
            flags_and_time = path.read_bytes()[3:8]
            assert flags_and_time == bytes(5), f"{path.name}: write it with tests/reference/pack.py"


def test_it_stays_small() -> None:
    assert sum(path.stat().st_size for path in files()) < 1_500_000
