"""How long each file took to compile, from Ninja's log: ``python cmake/build_times.py build/dev``.

The times are wall times: build with ``ninja -j1`` on a machine that does nothing else. With ``--most 20`` it fails
where a file took longer.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--most", type=float, default=float("inf"), help="seconds that a file may take")
    arguments = parser.parse_args()
    seconds: dict[str, float] = {}
    for line in (arguments.build / ".ninja_log").read_text(encoding="utf-8").splitlines()[1:]:
        start, end, _, output, _ = line.split("\t")  # the last entry of an output is the newest
        if output.endswith((".o", ".gch", ".pch", ".so")) and (arguments.build / output).exists():
            seconds[output.removeprefix("CMakeFiles/")] = (int(end) - int(start)) / 1000
    for name, time in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"{time:7.1f}  {name}")
    print(f"{sum(seconds.values()):7.1f}  in all")
    slow = [name for name, time in seconds.items() if time > arguments.most]
    if slow:
        raise SystemExit(f"more than {arguments.most:g} seconds: {', '.join(slow)}")


if __name__ == "__main__":
    main()
