"""Files of results that are something else, altered, cut or of another version: found, and said."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import multilevel as ml
from multilevel.errors import SavedFileError
from multilevel.storage import archive

from .design_data import DATA
from .test_saving import check_same


@pytest.fixture
def path(tmp_path: Path) -> Path:
    ml.fit("y ~ x + f + (1 | g)", DATA, method="ml").save(tmp_path / "fit")
    return tmp_path / "fit"


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def rewrite(path: Path, content: dict[str, bytes], *, sums: bool = True, **options: Any) -> None:
    """Write members as they are given, and with `sums` a manifest that agrees with them."""
    if sums:
        manifest = json.loads(content["manifest.json"])
        for entry in manifest["members"]:
            data = content[entry["name"]]
            entry.update(size=len(data), sha256=hashlib.sha256(data).hexdigest())
        content = {**content, "manifest.json": json.dumps(manifest).encode()}
    with zipfile.ZipFile(path, "w", **options) as file:
        for name, data in content.items():
            file.writestr(name, data)


def test_a_file_is_json_and_arrays(path: Path) -> None:
    content = members(path)
    assert {"manifest.json", "results.json", "arrays/0.npy"} <= set(content)
    manifest = json.loads(content["manifest.json"])
    assert (manifest["format"], manifest["version"]) == ("multilevel results", archive.VERSION)
    assert manifest["written_by"] == ml.__version__
    for name, data in content.items():
        if name.endswith(".npy"):
            with zipfile.ZipFile(path).open(name) as file:
                assert np.load(file, allow_pickle=False).dtype.kind in archive.PLAIN
        else:
            json.loads(data)


def test_files_that_are_something_else(path: Path, tmp_path: Path) -> None:
    for content in (b"", b"something else", b"PK\x05\x06" + bytes(18), pickle.dumps({"a": 1})):
        path.write_bytes(content)
        with pytest.raises(SavedFileError, match=r"damaged, cut short or was not written by results\.save\(\)"):
            ml.load(path)
    with pytest.raises(FileNotFoundError):
        ml.load(tmp_path / "nothing")


def test_pickles_of_earlier_versions(path: Path) -> None:
    results = ml.fit("y ~ x + (1 | g)", DATA)
    path.write_bytes(b'multilevel results\n{"format": 2, "version": "0.1.0"}\n' + pickle.dumps(results))
    with pytest.raises(SavedFileError, match=r"holds a pickle, .* can run any code") as caught:
        ml.load(path)
    advice = str(caught.value).rsplit("from, ", 1)[1].removesuffix(" converts it")
    eval(advice.replace("...", f"{str(path)!r}"), {"pickle": pickle, "Path": Path})
    assert ml.load(path).llf == results.llf


def test_versions(path: Path) -> None:
    content = members(path)
    manifest = json.loads(content["manifest.json"])
    manifest.update(version=archive.VERSION + 1, written_by="99.1")
    rewrite(path, {**content, "manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(SavedFileError, match=r"written by multilevel 99\.1, in version 5 .* update multilevel"):
        ml.load(path)
    for wrong in (0, "3", None, [3], True):
        manifest["version"] = wrong
        rewrite(path, {**content, "manifest.json": json.dumps(manifest).encode()})
        with pytest.raises(SavedFileError, match="it is no file of results"):
            ml.load(path)


def test_fields_that_an_older_version_did_not_have(path: Path) -> None:
    content = members(path)
    tree = json.loads(content["results.json"])
    del tree["fit"]["fields"]["quadrature_table"]
    rewrite(path, {**content, "results.json": json.dumps(tree).encode()})
    assert ml.load(path).fit.quadrature_table == ()
    del tree["fit"]["fields"]["psi"]
    rewrite(path, {**content, "results.json": json.dumps(tree).encode()})
    with pytest.raises(SavedFileError, match=r"damaged.*psi"):
        ml.load(path)


def bomb(content: dict[str, bytes]) -> dict[str, bytes]:
    """An array whose header says that it has a terabyte."""
    name = max((name for name in content if name.endswith(".npy")), key=lambda name: len(content[name]))
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (137438953472,), }"
    return {**content, name: b"\x93NUMPY\x01\x00\x76\x00" + header.ljust(117) + b"\n" + content[name][128:]}


def pickled_array(content: dict[str, bytes]) -> dict[str, bytes]:
    """An array of Python objects, which NumPy would unpickle."""
    data = pickle.dumps(np.array([print], dtype=object))
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    return {**content, "arrays/0.npy": b"\x93NUMPY\x01\x00\x76\x00" + header.ljust(117) + b"\n" + data}


def with_tree(content: dict[str, bytes], old: str, new: str) -> dict[str, bytes]:
    tree = content["results.json"].decode()
    assert old in tree
    return {**content, "results.json": tree.replace(old, new, 1).encode()}


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda c: {**c, "more": b"1"}, {}, "its members are not those of its manifest"),
        (lambda c: {k: v for k, v in c.items() if k != "results.json"}, {"sums": False}, "members are not those"),
        (lambda c: {k: v for k, v in c.items() if k != "manifest.json"}, {"sums": False}, "no manifest"),
        (lambda c: with_tree(c, "0", "1"), {"sums": False}, "checksum of the member 'results.json' is wrong"),
        (lambda c: {**c, "results.json": b"[" * 100_000}, {}, "damaged"),
        (lambda c: {**c, "results.json": b"9" * 10_000}, {}, "damaged"),
        (lambda c: {**c, "results.json": b"{}"}, {}, "'fit'"),
        (lambda c: {**c, "results.json": b"NaN"}, {}, "NaN is no JSON"),
        (lambda c: with_tree(c, '"$":"Fit"', '"$":"os.system"'), {}, "'os.system' is not known"),
        (lambda c: with_tree(c, '"$":"Fit"', '"$":"Family"'), {}, "Family has no field"),
        (lambda c: with_tree(c, '"n_rows":60', '"n_rows":61'), {}, "do not agree"),
        (lambda c: with_tree(c, '"n_rows":60', '"n_rows":"60"'), {}, "'n_rows' of Design has the wrong type"),
        (lambda c: with_tree(c, '"n_rows":60', '"n_rows":60,"model_core":1'), {}, "no field 'model_core'"),
        (lambda c: with_tree(c, '"$":"array","at":0', '"$":"array","at":-1'), {}, "is no position"),
        (lambda c: with_tree(c, '"$":"array","at":0', '"$":"array","at":9999'), {}, "damaged"),
        (lambda c: with_tree(c, '"name":"gaussian"', '"name":"gauss"'), {}, "there is no family"),
        (bomb, {}, "not what its manifest says"),
        (pickled_array, {}, "a header that cannot be read"),
        (lambda c: c, {"compression": zipfile.ZIP_DEFLATED}, "is compressed"),
    ],
)
def test_files_that_were_altered(path: Path, change: Any, options: dict[str, Any], message: str) -> None:
    rewrite(path, change(members(path)), **options)
    with pytest.raises(SavedFileError, match=message):
        ml.load(path)


def test_codes_without_a_level(path: Path) -> None:
    content = members(path)
    codes = [k for k, v in content.items() if k.endswith(".npy") and b"'<i4'" in v[:128]]
    assert codes
    for name in codes:
        for wrong in (-1, 1000):
            data = content[name][:-4] + np.int32(wrong).tobytes()
            rewrite(path, {**content, name: data})
            with pytest.raises(SavedFileError, match="a row has a level that is not there"):
                ml.load(path)


def test_two_members_of_one_name(path: Path) -> None:
    content = members(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("results.json", content["results.json"])
    with pytest.raises(SavedFileError, match="two members of one name"):
        ml.load(path)


def test_members_that_share_their_bytes(path: Path) -> None:
    """Many entries of one stretch of the file: each is within the file, and all together are not."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a", bytes(10_000))
        for k in range(50):
            info = copy.copy(file.filelist[0])
            info.filename = f"a{k}"
            file.filelist.append(info)
            file.NameToInfo[info.filename] = info
    with pytest.raises(SavedFileError, match="larger than the file"):
        ml.load(path)


def test_every_cut_and_every_changed_byte_is_found(path: Path) -> None:
    whole = path.read_bytes()
    for at in [*range(0, len(whole), len(whole) // 60), len(whole) - 1]:
        path.write_bytes(whole[:at])
        with pytest.raises(SavedFileError):
            ml.load(path)
    rng = np.random.default_rng(3)
    expected = ml.fit("y ~ x + f + (1 | g)", DATA, method="ml")
    for at in rng.choice(len(whole), 150, replace=False):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << rng.integers(8))]) + whole[at + 1 :])
        try:
            loaded = ml.load(path)
        except SavedFileError:
            continue
        check_same(loaded.fit.psi, expected.fit.psi)  # in what the archive says of dates and attributes of members
