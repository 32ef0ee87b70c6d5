"""What was measured, and its numbers as they stand in tables: medians, ranges, and ratios within rounds."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Record:
    """One measurement, or the reason there is none.

    Attributes
    ----------
    case, package, threads, turn, kind
        What was measured, and in which round.
    answer : dict
        What the measuring process wrote; empty when it failed.
    error : str
        What went wrong, if anything.
    """

    case: str
    package: str
    threads: int
    turn: int
    kind: str
    answer: dict[str, Any]
    error: str


@dataclass(frozen=True)
class Run:
    """Everything that one command measured.

    Attributes
    ----------
    command : str
        The command line.
    shuffle, small : bool
        Whether the rows were in random order, and whether it was the small data.
    left_out : list of str
        Sentences on what was not run, each beginning with the case's name.
    records : list of Record
        The measurements.
    """

    command: str
    shuffle: bool
    small: bool
    left_out: list[str]
    records: list[Record]

    def save(self, file: Path) -> None:
        """Write it as JSON."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, file: Path) -> Run:
        """Read what `save` wrote."""
        saved = json.loads(file.read_text())
        return cls(**saved | {"records": [Record(**record) for record in saved["records"]]})


def fits_of(records: list[Record], case: str, package: str, threads: int) -> list[Record]:
    """Give the measurements that succeeded, one per round."""
    wanted = (case, package, threads, "fit")
    return [r for r in records if (r.case, r.package, r.threads, r.kind) == wanted and r.answer]


def seconds_of(record: Record, clock: str) -> float:
    """Give the seconds of a call; the processor's clock is too coarse for one short call, so those are averaged."""
    times = record.answer[clock]
    return float(statistics.median(times) if clock == "wall" else statistics.fmean(times))


def time_text(*seconds: float) -> str:
    """Give the median, and the range when there is one, in a unit that suits."""
    middle = statistics.median(seconds)
    unit, scale = ("s", 1.0) if middle >= 0.1 else ("ms", 1e3) if middle >= 1e-4 else ("us", 1e6)
    return f"{middle_text([value * scale for value in seconds])} {unit}"


def middle_text(values: list[float]) -> str:
    """Give the median, and the range when there is one."""
    middle = f"{statistics.median(values):.3g}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.3g} to {max(values):.3g})"


def ratio_text(rows: list[Record], reference: list[Record], clock: str) -> str:
    """Divide within each round, then take the median; `clock` is ``"wall"``, ``"cpu"`` or ``"core"``."""

    def seconds(record: Record) -> float:
        return float(record.answer["core_seconds"]) if clock == "core" else seconds_of(record, clock)

    ours = {record.turn: seconds(record) for record in reference}
    ratios = [seconds(record) / ours[record.turn] for record in rows if record.turn in ours]
    return middle_text(ratios) if ratios else ""


def evaluations_text(answer: dict[str, Any]) -> str:
    """Give how often the likelihood was evaluated."""
    if answer["n_evaluations"] is None:
        return ""
    gradients = answer["n_gradients"]
    return f"{answer['n_evaluations']}" + (f" + {gradients} gradients" if gradients else "")


def shift_text(answer: dict[str, Any], reference: dict[str, Any] | None) -> str:
    """Give the largest difference of an estimate from the reference's, in standard errors."""
    if reference is None or len(answer["estimates"]) != len(reference["estimates"]):
        return ""
    rows = zip(answer["estimates"], reference["estimates"], reference["standard_errors"], strict=True)
    return f"{max(abs(theirs - ours) / error for theirs, ours, error in rows):.1e}"
