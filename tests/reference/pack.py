"""Put files into this folder: `python tests/reference/pack.py NAME.csv NAME.json`.

A .csv becomes data/NAME.csv.gz, a .json numbers/NAME.json.gz. The same contents give the same bytes: the archives
hold no name and no time. Numbers are written without blanks.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def pack(source: Path) -> Path:
    """Compress one file into the place that its ending names."""
    if source.suffix == ".csv":
        folder, content = "data", source.read_bytes()
    elif source.suffix == ".json":
        numbers = json.loads(source.read_text(encoding="utf-8"))
        folder, content = "numbers", json.dumps(numbers, ensure_ascii=False, separators=(",", ":")).encode()
    else:
        raise SystemExit(f"{source}: data are .csv, numbers .json")
    target = HERE / folder / f"{source.name}.gz"
    # not gzip.compress: its header depends on the version of Python
    with target.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=9, fileobj=raw, mtime=0) as archive:
        archive.write(content)
    return target


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(pack(Path(name)))
