"""The installed package: version, licence, types, light import, and both builds of the core."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.resources import files

import pytest

import multilevel as ml
from multilevel import _core, _cpu


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter: a process can hold one build of the core only."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def distribution() -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution("multilevel")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("imported from the sources, not installed")


def test_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", ml.__version__)
    assert distribution().version == ml.__version__


def test_licences_are_installed() -> None:
    metadata = distribution().metadata
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata.get_all("License-File") == [
        "LICENSE",
        "LICENSES/Eigen-MPL-2.0.txt",
        "LICENSES/pybind11-BSD-3-Clause.txt",
    ]
    text = distribution().read_text("licenses/LICENSE")
    assert text is not None
    assert "The multilevel authors" in text


def test_types_are_declared() -> None:
    assert files("multilevel").joinpath("py.typed").is_file()
    assert files("multilevel").joinpath("_core.pyi").is_file()


def test_import_is_light() -> None:
    heavy = ["numpy", "pandas", "scipy", "formulaic", "narwhals", "multilevel._core"]
    ran = run(f"import sys, multilevel; print([name for name in {heavy} if name in sys.modules])")
    assert ran.stdout.strip() == "[]", ran.stderr


def test_every_public_name_is_there() -> None:
    for name in ml.__all__:
        assert getattr(ml, name) is not None
    assert set(dir(ml)) >= set(ml.__all__)
    with pytest.raises(AttributeError, match="no attribute 'regression'"):
        _ = ml.regression


@pytest.mark.parametrize(
    "first", ["import multilevel.lm_list", "multilevel.LmList", "from multilevel import lm_list", ""]
)
def test_lm_list_is_the_function_whatever_came_first(first: str) -> None:
    ran = run(f"import multilevel\n{first}\nprint(callable(multilevel.lm_list))")
    assert ran.stdout.strip() == "True", ran.stderr


# ---- builds of the core ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", ["base", "v3"])
def test_each_build_can_be_forced(build: str) -> None:
    if build not in _cpu.supported():
        pytest.skip(f"this processor cannot run {build}")
    if importlib.util.find_spec(f"multilevel._core_{build}") is None:
        pytest.skip(f"{build} was not built")
    ran = run("from multilevel import _core; print(_core.SIMD)", MULTILEVEL_SIMD=build)
    assert ran.stdout.strip() == build, ran.stderr


def test_the_base_build_is_always_there() -> None:
    assert run("from multilevel import _core", MULTILEVEL_SIMD="base").returncode == 0
    assert _cpu.supported()[-1] == "base"


def test_an_unknown_build_is_refused() -> None:
    ran = run("from multilevel import _core", MULTILEVEL_SIMD="avx9")
    assert "MULTILEVEL_SIMD is 'avx9': it can be 'base' or 'v3', or be left unset" in ran.stderr


def test_choice_of_the_build() -> None:
    assert _core._choose(None, ("v3", "base"), ("v3", "base")) == "v3"
    assert _core._choose(None, ("v3", "base"), ("base",)) == "base"
    assert _core._choose(None, ("base",), ("v3", "base")) == "base"
    assert _core._choose("base", ("v3", "base"), ("v3", "base")) == "base"
    with pytest.raises(ImportError, match="this processor lacks it; it can run: base"):
        _core._choose("v3", ("base",), ("v3", "base"))
    with pytest.raises(ImportError, match="this installation has only: base"):
        _core._choose("v3", ("v3", "base"), ("base",))


# ---- typed stub --------------------------------------------------------------------------------------------------


def test_stub_names_what_the_core_has() -> None:
    stub = ast.parse(files("multilevel").joinpath("_core.pyi").read_text(encoding="utf-8"))
    declared: dict[str, set[str]] = {}
    for node in stub.body:
        if isinstance(node, ast.ClassDef):
            declared[node.name] = _public(_name(inner) for inner in node.body)
        elif _name(node):
            declared[_name(node)] = set()
    declared = {name: members for name, members in declared.items() if not name.startswith("_")}
    core = importlib.import_module(f"multilevel._core_{_core.SIMD}")
    present = {
        name: _public(vars(value)) if isinstance(value, type) else set()
        for name, value in vars(core).items()
        if not name.startswith("_")
    }
    assert declared == {**present, "SIMD": set()}


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.FunctionDef):
        return node.name
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    return ""


def _public(names: Iterable[str]) -> set[str]:
    return {name for name in names if name and not name.startswith("_")}
