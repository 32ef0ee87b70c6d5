"""The archive: a tree of JSON and its arrays, with a manifest of every member's size and checksum.

    manifest.json     format, version, and for each other member its size, SHA-256, and an array's type and shape
    results.json      the tree; where it has an array it has the array's number
    arrays/0.npy ...  numbers, truth values, dates; never Python objects

Members are stored, not compressed, so that nothing read is larger than the file. Headers of arrays are read by a
pattern and by no parser of Python.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import struct
import zipfile
from os import PathLike
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ..errors import SavedFileError

NAME = "multilevel results"
VERSION = 4
OLDEST = 4  # that can be read; those before were pickles
MANIFEST, TREE = "manifest.json", "results.json"
PLAIN = "biufmM"  # kinds of arrays: bool, int, unsigned, float, time spans, times
_PICKLED = b"multilevel results\n"  # how files of earlier versions begin
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    r"\{'descr': '([<>|=]?[biufmM]\d{1,2}(?:\[\d{0,6}[a-zA-Z]{1,2}\])?)', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,19}, ?)*(?:\d{1,19})?)\), \} *\n"
)
# What reading a damaged archive, or one made to do harm, may raise.
_DAMAGE = (
    *(zipfile.BadZipFile, struct.error, EOFError, KeyError, IndexError, TypeError, ValueError, AttributeError),
    *(OverflowError, RecursionError, MemoryError, NotImplementedError, RuntimeError, OSError),
)


class Content(NamedTuple):
    """What a file holds, and the version of the library that wrote it."""

    tree: Any
    arrays: list[np.ndarray]
    written_by: str


def write(path: str | PathLike[str], content: Content) -> None:
    """Write a file; the same content gives the same bytes."""
    tree = json.dumps(content.tree, allow_nan=False, separators=(",", ":")).encode("ascii")
    members: list[dict[str, Any]] = [_entry(TREE, tree)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, TREE, tree)
        for k, array in enumerate(content.arrays):
            data = _npy(array)
            members.append({**_entry(f"arrays/{k}.npy", data), "dtype": array.dtype.str, "shape": list(array.shape)})
            _add(archive, f"arrays/{k}.npy", data)
        manifest = {"format": NAME, "version": VERSION, "written_by": content.written_by, "members": members}
        _add(archive, MANIFEST, json.dumps(manifest, indent=1).encode("ascii"))


def read(path: str | PathLike[str]) -> Content:
    """Read a file that `write` wrote.

    Raises
    ------
    SavedFileError
        It is something else, from a newer version, cut short or altered.
    """
    with Path(path).open("rb") as file:
        if file.read(len(_PICKLED)) == _PICKLED:
            raise SavedFileError(
                f"{path} holds a pickle, as results.save() wrote before format {VERSION}; reading a pickle can run any "
                "code. Fit the model again, or, if you know where the file is from, "
                f"pickle.loads(Path({str(path)!r}).read_bytes().split(b'\\n', 2)[2]).save(...) converts it"
            )
        try:
            return _read(file, str(path))
        except SavedFileError:
            raise
        except _DAMAGE as error:
            raise damaged(path, error) from None


def damaged(path: str | PathLike[str], why: object) -> SavedFileError:
    """The error that says that a file is not as it was written."""
    return SavedFileError(f"{path} is damaged, cut short or was not written by results.save(): {why}")


def _read(file: IO[bytes], path: str) -> Content:
    length = file.seek(0, io.SEEK_END)
    if length == 0:
        raise damaged(path, "it is empty")
    with zipfile.ZipFile(file) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        if len(infos) != len(archive.infolist()):
            raise damaged(path, "it has two members of one name")
        for info in infos.values():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or info.flag_bits & 1:
                raise damaged(path, f"the member {info.filename!r} is compressed")
        if sum(info.file_size for info in infos.values()) > length:
            raise damaged(path, "its members are larger than the file")
        if MANIFEST not in infos:
            raise damaged(path, "it has no manifest")
        manifest = parse_json(archive.read(MANIFEST))
        _check_version(manifest, path)
        members = {member["name"]: member for member in manifest["members"]}
        if infos.keys() != {MANIFEST, TREE, *members}:
            raise damaged(path, "its members are not those of its manifest")
        tree: Any = None
        arrays: list[np.ndarray] = []
        for name, member in members.items():
            if infos[name].file_size != member["size"]:
                raise damaged(path, f"the member {name!r} has another size than its manifest says")
            data = archive.read(name)
            if hashlib.sha256(data).hexdigest() != member["sha256"]:
                raise damaged(path, f"the checksum of the member {name!r} is wrong")
            if name == TREE:
                tree = parse_json(data)
            elif name == f"arrays/{len(arrays)}.npy":
                arrays.append(_array(data, member["dtype"], tuple(member["shape"])))
            else:
                raise damaged(path, f"the member {name!r} has no place")
    return Content(tree, arrays, str(manifest["written_by"]))


def _check_version(manifest: dict[str, Any], path: str) -> None:
    version = manifest["version"]
    if manifest["format"] != NAME or type(version) is not int or version < OLDEST:
        raise damaged(path, f"it is no file of results ({manifest['format']!r:.40}, version {version!r:.20})")
    if version > VERSION:
        raise SavedFileError(
            f"{path} was written by multilevel {manifest['written_by']!s:.20}, in version {version} of the format, and "
            f"this one reads version {VERSION}: update multilevel, or fit the model again"
        )


def parse_json(data: bytes) -> Any:
    """JSON without the numbers that JSON does not have."""

    def refuse(text: str) -> Any:
        raise ValueError(f"{text} is no JSON")

    return json.loads(data.decode("ascii"), parse_constant=refuse)


def _entry(name: str, data: bytes) -> dict[str, Any]:
    return {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.external_attr = 0o644 << 16
    archive.writestr(info, data)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _array(data: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array of a `.npy` member, whose header must say what the manifest says and what its size allows."""
    start = len(_MAGIC) + 2
    if not data.startswith(_MAGIC) or len(data) < start:
        raise ValueError("an array has no header")
    end = start + int.from_bytes(data[len(_MAGIC) : start], "little")
    header = _HEADER.fullmatch(data[start:end].decode("latin-1"))
    if header is None:
        raise ValueError("an array has a header that cannot be read")
    kind = np.dtype(header[1])
    found = tuple(int(n) for n in header[3].split(",") if n.strip())
    if kind.str != dtype or found != shape or kind.kind not in PLAIN:
        raise ValueError("an array is not what its manifest says")
    if len(data) - end != math.prod(shape) * kind.itemsize:
        raise ValueError("an array has another size than its header says")
    array = np.frombuffer(data, kind, offset=end)
    if kind.kind == "b" and array.view(np.uint8).max(initial=0) > 1:
        raise ValueError("an array of truth values holds something else")
    return array.reshape(shape, order="F" if header[2] == "True" else "C").copy(order="K")
