"""The tables: one per case, then threads and refits, in Markdown."""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cases import CASES

_REFERENCE = "multilevel"


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


def _unit(seconds: float) -> tuple[str, float]:
    if seconds >= 0.1:
        return "s", 1.0
    return ("ms", 1e3) if seconds >= 1e-4 else ("us", 1e6)


def _seconds(*values: float) -> str:
    """Give the median, and the range when there is one."""
    unit, scale = _unit(statistics.median(values))
    return f"{_middle([value * scale for value in values])} {unit}"


def _middle(values: list[float]) -> str:
    middle = f"{statistics.median(values):.3g}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.3g} to {max(values):.3g})"


def _of_call(record: Record, clock: str) -> float:
    """Give the seconds of a call; the processor's clock is too coarse for one short call, so those are averaged."""
    times = record.answer[clock]
    return float(statistics.median(times) if clock == "wall" else statistics.fmean(times))


def _ratio(rows: list[Record], reference: list[Record], clock: str) -> str:
    """Divide within each round, then take the median."""
    ours = {record.turn: _of_call(record, clock) for record in reference}
    ratios = [_of_call(record, clock) / ours[record.turn] for record in rows if record.turn in ours]
    return _middle(ratios) if ratios else ""


def _evaluations(answer: dict[str, Any]) -> str:
    if answer["n_evaluations"] is None:
        return ""
    gradients = answer["n_gradients"]
    return f"{answer['n_evaluations']}" + (f" + {gradients} gradients" if gradients else "")


def _shift(answer: dict[str, Any], reference: dict[str, Any] | None) -> str:
    """Give the largest difference of an estimate from the reference's, in standard errors."""
    if reference is None:
        return ""
    rows = zip(answer["estimates"], reference["estimates"], reference["standard_errors"], strict=True)
    return f"{max(abs(theirs - ours) / error for theirs, ours, error in rows):.1e}"


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _done(records: list[Record], case: str, package: str, threads: int) -> list[Record]:
    wanted = (case, package, threads, "fit")
    return [r for r in records if (r.case, r.package, r.threads, r.kind) == wanted and r.answer]


def _row(done: list[Record], reference: list[Record]) -> list[str]:
    """Give the cells of a package's row; there is at least one measurement."""
    answer = done[0].answer
    peak = [record.answer["memory_peak"] for record in done]
    call = [record.answer["memory_peak"] - record.answer["memory_before"] for record in done]
    return [
        f"{done[0].package} {answer['versions']['package']}",
        str(done[0].threads),
        _seconds(*(_of_call(record, "wall") for record in done)),
        _seconds(*(_of_call(record, "cpu") for record in done)),
        f"{statistics.median(peak):.0f}",
        f"{statistics.median(call):.0f}",
        f"{answer['loglik']:.6f}",
        _shift(answer, reference[0].answer if reference else None),
        _evaluations(answer),
        _ratio(done, reference, "wall"),
        _ratio(done, reference, "cpu"),
    ]


def _case_section(records: list[Record], case: str, left_out: list[str]) -> list[str]:
    header = ["package", "threads", "wall", "processor", "peak MB", "of it the call's MB", "log-likelihood"]
    header += ["largest shift (SE)", "evaluations", "wall / multilevel", "processor / multilevel"]
    fits = [record for record in records if record.case == case and record.kind == "fit"]
    kinds = list(dict.fromkeys((record.package, record.threads) for record in fits))
    first = next((threads for package, threads in kinds if package == _REFERENCE), 1)
    reference = _done(records, case, _REFERENCE, first)
    groups = [_done(records, case, *kind) for kind in kinds]
    failed = {f"{case}: {record.package} failed ({record.error})." for record in fits if record.error}
    notes = [sentence for sentence in left_out if sentence.startswith(f"{case}:")] + sorted(failed)
    if reference:
        core = _seconds(*(record.answer["core_seconds"] for record in reference))
        notes.insert(0, f"multilevel's optimization alone, with {first} thread{'s' * (first > 1)}: {core}.")
    table = _table(header, [_row(done, reference) for done in groups if done])
    return [f"## {CASES[case].title}", "", *table, "", *(f"- {note}" for note in notes), ""]


def _threads_section(records: list[Record], cases: list[str]) -> list[str]:
    rows = []
    for case in cases:
        counts = sorted({r.threads for r in records if (r.case, r.package, r.kind) == (case, _REFERENCE, "fit")})
        base = _done(records, case, _REFERENCE, counts[0]) if counts else []
        for count in counts[1:]:
            done = _done(records, case, _REFERENCE, count)
            if base and done:
                same = len({record.answer["bits"] for record in base + done}) == 1
                gains = [_ratio(base, done, "wall"), _core_ratio(base, done)]
                rows.append([case, f"{counts[0]} and {count}", *gains, "yes" if same else "NO"])
    header = ["case", "threads", "times faster (whole call)", "times faster (optimization)", "same bits"]
    return ["## Threads", "", *_table(header, rows), ""] if rows else []


def _core_ratio(base: list[Record], done: list[Record]) -> str:
    times = {record.turn: record.answer["core_seconds"] for record in done}
    return _middle([record.answer["core_seconds"] / times[record.turn] for record in base if record.turn in times])


def _refit_section(records: list[Record]) -> list[str]:
    header = ["case", "whole call", "of it the optimization", "`model.refit(y)`", "of it the optimization"]
    header += ["whole call / refit", "evaluations", "difference in log-likelihood", "largest shift (SE)"]
    rows, notes = [], []
    for record in records:
        if record.kind != "refit":
            continue
        if not record.answer:
            notes.append(f"- {record.case}: {record.error}.")
            continue
        times = [record.answer[key] for key in ("full_wall", "full_core", "refit_wall", "refit_core")]
        tail = [f"{record.answer[key]:.1e}" for key in ("loglik_difference", "largest_shift_se")]
        gain = f"{times[0] / times[2]:.3g}"
        rows.append([record.case, *map(_seconds, times), gain, str(record.answer["n_evaluations"]), *tail])
    table = [*_table(header, rows), ""] if rows else []
    return ["## Refit with a new response", "", *table, *notes, ""] if table or notes else []


def _machine() -> str:
    model = platform.processor() or platform.machine()
    memory = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        memory = f", {pages / 2**30:.0f} GB of memory"
    return f"{model}, {os.cpu_count()} processors{memory}, {platform.system()}"


def _versions(records: list[Record]) -> str:
    """Give the versions of what the packages ran on."""
    found: dict[str, set[str]] = {}
    for record in records:
        for name, version in record.answer.get("versions", {}).items():
            if name != "package":
                found.setdefault(name, set()).add(version)
        if "strings" in record.answer:
            found.setdefault("strings held by", set()).add(record.answer["strings"])
    return "; ".join(f"{name} {', '.join(sorted(versions))}" for name, versions in found.items())


def render(records: list[Record], left_out: list[str], command: str, shuffle: bool) -> str:
    """Put everything into one Markdown document.

    Parameters
    ----------
    records : list of Record
        All measurements.
    left_out : list of str
        Sentences on what was not run, each beginning with the case's name.
    command : str
        What made the report.
    shuffle : bool
        Whether the rows were in random order.

    Returns
    -------
    str
        The document.
    """
    cases = list(dict.fromkeys(record.case for record in records))
    order = "Rows in random order." if shuffle else "The rows of a group lie together."
    lines = [
        "# Benchmarks",
        "",
        f"Made by `{command}`.",
        "",
        f"- {_machine()}",
        f"- {_versions(records)}",
        "- From a pandas frame in memory, its grouping column strings, to estimates with standard errors.",
        f"  {order}",
        "- Every measurement in a new process after a warm-up on small data; packages take turns; medians over",
        "  rounds (range), ratios within a round. Peak memory counts Python, the packages and the data.",
        "- Ratios compare with multilevel's first row of the table; above 1 multilevel is faster. A shift is the",
        "  difference of an estimate from multilevel's, in standard errors.",
        "",
    ]
    for case in cases:
        lines += _case_section(records, case, left_out)
    return "\n".join(lines + _threads_section(records, cases) + _refit_section(records)).rstrip() + "\n"
