"""Who uses whom: every `#include` and `import` must be an arrow of docs/architecture.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CPP = ROOT / "cpp"
PYTHON = ROOT / "python" / "multilevel"
FRONT_DOOR = {"__init__", "__main__"}  # may use everything
FOR_ALL = {"errors", "__version__"}  # may be used by everything


def arrows(heading: str) -> dict[str, set[str]]:
    """The table `name -> names` under a heading of the architecture document."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.split(f"### {heading}\n", 1)[1].split("\n#", 1)[0]
    found = re.findall(r"^    ([\w/]+) *->(.*)$", section, flags=re.MULTILINE)
    assert found, f"no arrows under {heading!r}"
    return {name: set(used.split()) for name, used in found}


# ---- C++ ----------------------------------------------------------------------------------------------------------


def cpp_sources() -> list[Path]:
    return sorted(p for p in CPP.rglob("*") if p.suffix in (".cpp", ".hpp"))


def room(path: Path) -> str:
    return path.relative_to(CPP).parent.as_posix()


def includes(path: Path) -> Iterator[str]:
    return (
        m[1] for m in re.finditer(r'^\s*#\s*include\s*([<"][^>"]+[>"])', path.read_text(encoding="utf-8"), re.MULTILINE)
    )


def test_every_cpp_folder_is_in_the_table() -> None:
    allowed = arrows("C++ folders")
    assert {room(p) for p in cpp_sources()} <= set(allowed)


@pytest.mark.parametrize("path", cpp_sources(), ids=lambda p: str(p.relative_to(CPP)))
def test_includes(path: Path) -> None:
    here = room(path)
    allowed = arrows("C++ folders")[here] | {here}
    for include in includes(path):
        name = include[1:-1]
        if include.startswith('"'):
            assert (CPP / name).is_file(), f"{path.name} includes {include}: write it relative to cpp/"
            assert name.rpartition("/")[0] in allowed, f"cpp/{here} must not include {include}"
        else:
            assert name != "iostream", "the core never prints"
            assert here == "bind" or not name.startswith("pybind11/"), "only cpp/bind includes pybind11"
            assert here in ("bind", "cpu") or name != "Python.h", "no Python inside the core"
            decomposes = name.startswith("Eigen/") and name != "Eigen/Core"
            assert here in ("linear_algebra", "numeric") or not decomposes, "linear_algebra/dense.hpp has it compiled"


# ---- Python -------------------------------------------------------------------------------------------------------


def python_sources() -> list[Path]:
    return sorted(PYTHON.rglob("*.py"))


def module(path: Path) -> str:
    return path.relative_to(PYTHON).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Modules of this package that a file imports, each with whether only annotations need it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_annotations = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    package = ["multilevel", *path.relative_to(PYTHON).parent.parts]
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = [*base, *(node.module.split(".") if node.module else [])]
            names = [".".join([*origin, alias.name]) for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "multilevel" and len(parts) > 1:
                yield parts[1], id(node) in for_annotations


def test_every_module_is_in_the_table() -> None:
    assert {module(p) for p in python_sources()} - FRONT_DOOR <= set(arrows("Python modules"))


def test_arrows_make_no_circle() -> None:
    for heading in ("C++ folders", "Python modules"):
        TopologicalSorter(arrows(heading)).prepare()


@pytest.mark.parametrize("path", python_sources(), ids=lambda p: str(p.relative_to(PYTHON)))
def test_imports(path: Path) -> None:
    here = module(path)
    if here in FRONT_DOOR and path.parent == PYTHON:
        return
    always = arrows("Python modules")[here] | FOR_ALL | {here}
    in_annotations = always | arrows("Python modules, in annotations only").get(here, set())
    for used, only_annotations in imports(path):
        assert used in (in_annotations if only_annotations else always), f"{here} must not import {used}"
