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
PYTHON_TABLES = ("Python folders", "Python modules inside the folders")


def arrows(heading: str, *, in_annotations: bool = False) -> dict[str, set[str]]:
    """The table `name -> names (names)` under a heading of the architecture document.

    Those in parentheses are needed by annotations alone.
    """
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.split(f"### {heading}\n", 1)[1].split("\n#", 1)[0]
    found = re.findall(r"^    ([\w/]+) *->([^(\n]*)(?:\((.*)\))?$", section, flags=re.MULTILINE)
    assert found, f"no arrows under {heading!r}"
    return {name: set(annotations.split() if in_annotations else used.split()) for name, used, annotations in found}


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


# ---- Python -------------------------------------------------------------------------------------------------------


def python_sources() -> list[Path]:
    return sorted(PYTHON.rglob("*.py"))


def place(path: Path) -> tuple[str, ...]:
    """Folders and name of a module; a folder's own file is the folder."""
    parts = path.relative_to(PYTHON).with_suffix("").parts
    return parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts


def rooms() -> set[str]:
    """Every folder and module, as the tables name them: `design`, `design/response`."""
    places = [place(path) for path in python_sources()]
    return {"/".join(parts[:depth]) for parts in places for depth in range(1, len(parts) + 1)} - FRONT_DOOR


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """What a file imports of this package, each with whether only annotations need it."""
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
            if name.startswith("multilevel."):
                yield name, id(node) in for_annotations


def arrows_drawn(path: Path) -> Iterator[tuple[str, str, bool]]:
    """Who uses whom, in the first folder that the two do not share, and whether only annotations need it."""
    here = place(path)
    for name, only_annotations in imports(path):
        used = name.split(".")[1:]
        shared = 0
        while shared < min(len(here), len(used)) and here[shared] == used[shared]:
            shared += 1
        assert shared < min(len(here), len(used)), f"{path.name} imports {name}: name the module that has it"
        yield "/".join(here[: shared + 1]), used[shared], only_annotations


def python_arrows(*, in_annotations: bool) -> dict[str, set[str]]:
    """Both tables: the one of folders has single names, the other has `folder/module`."""
    folders, inside = (arrows(heading, in_annotations=in_annotations) for heading in PYTHON_TABLES)
    return folders | inside


def test_every_python_room_is_in_a_table() -> None:
    folders, inside = (set(arrows(heading)) for heading in PYTHON_TABLES)
    assert all("/" not in name for name in folders)
    assert all("/" in name for name in inside)
    assert rooms() <= folders | inside


def test_arrows_make_no_circle() -> None:
    TopologicalSorter(arrows("C++ folders")).prepare()
    folders, inside = (arrows(heading) for heading in PYTHON_TABLES)
    TopologicalSorter(folders).prepare()
    of_folder: dict[str, dict[str, set[str]]] = {}
    for name, used in inside.items():
        folder, _, module = name.rpartition("/")
        of_folder.setdefault(folder, {})[module] = used
    for modules in of_folder.values():
        TopologicalSorter(modules).prepare()


@pytest.mark.parametrize("path", python_sources(), ids=lambda p: str(p.relative_to(PYTHON)))
def test_imports(path: Path) -> None:
    if set(place(path)) & FRONT_DOOR:
        return
    always, in_annotations = python_arrows(in_annotations=False), python_arrows(in_annotations=True)
    for here, used, only_annotations in arrows_drawn(path):
        allowed = always[here] | FOR_ALL | (in_annotations[here] if only_annotations else set())
        assert used in allowed, f"{here} must not import {used}"


def test_every_python_arrow_is_used() -> None:
    there = rooms()
    drawn = [arrow for path in python_sources() if not set(place(path)) & FRONT_DOOR for arrow in arrows_drawn(path)]
    for in_annotations in (False, True):
        seen = {(here, used) for here, used, only_annotations in drawn if only_annotations == in_annotations}
        for here, names in python_arrows(in_annotations=in_annotations).items():
            folder = here.rpartition("/")[0]
            existing = {name for name in names if here in there and f"{folder}/{name}".lstrip("/") in there}
            idle = {name for name in existing if (here, name) not in seen}
            assert not idle, f"{here} does not import {', '.join(sorted(idle))}: take the arrow out of the table"


def test_folders_hold_modules_alone() -> None:
    for path in PYTHON.glob("*/**/__init__.py"):
        if path.parent.name != "datasets":
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert len(body) == 1, f"{path} has more than a docstring"
            assert ast.get_docstring(ast.Module(body, [])), f"{path} does not say what lives there"
