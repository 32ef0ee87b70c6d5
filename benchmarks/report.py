"""The tables: one per case, then memory, threads and refits, in Markdown."""

from __future__ import annotations

import os
import platform
import statistics
from pathlib import Path

from cases import CASES, MEMORY
from packages import PACKAGES
from record import Record, Run, evaluations_text, fits_of, ratio_text, seconds_of, shift_text, time_text

_REFERENCE = "multilevel"
_MANY_ROWS = 50_000


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _kinds(records: list[Record], case: str) -> list[tuple[str, int]]:
    """Give the packages of a case with their numbers of threads, in the order they took turns."""
    return list(dict.fromkeys((r.package, r.threads) for r in records if r.case == case and r.kind == "fit"))


def _row(done: list[Record], reference: list[Record]) -> list[str]:
    """Give the cells of a package's row; there is at least one measurement."""
    answer = done[0].answer
    peak = [record.answer["memory_peak"] for record in done]
    call = [record.answer["memory_peak"] - record.answer["memory_before"] for record in done]
    comparable = reference and PACKAGES[done[0].package].caveat(CASES[done[0].case]) is None
    return [
        f"{done[0].package} {answer['versions']['package']}",
        str(done[0].threads),
        time_text(*(seconds_of(record, "wall") for record in done)),
        time_text(*(seconds_of(record, "cpu") for record in done)),
        f"{statistics.median(peak):.0f}",
        f"{statistics.median(call):.0f}",
        f"{answer['loglik']:.6f}",
        f"{answer['loglik'] - reference[0].answer['loglik']:+.1e}" if comparable else "",
        shift_text(answer, reference[0].answer if reference else None),
        evaluations_text(answer),
        ratio_text(done, reference, "wall"),
        ratio_text(done, reference, "cpu"),
    ]


def _alone(reference: list[Record]) -> str:
    """Say how long multilevel's optimization takes, and per row where there are many."""
    threads, n_rows = reference[0].threads, reference[0].answer["n_rows"]
    core = [record.answer["core_seconds"] for record in reference]
    sentence = f"multilevel's optimization alone, with {threads} thread{'s' * (threads > 1)}: {time_text(*core)}."
    if n_rows >= _MANY_ROWS:
        call = statistics.median(seconds_of(record, "wall") for record in reference)
        per_row = [f"{1e6 * value / n_rows:.3g} us" for value in (statistics.median(core), call)]
        sentence += f" Per row: optimization {per_row[0]}, whole call {per_row[1]}."
    return sentence


def _notes(records: list[Record], case: str, left_out: list[str]) -> list[str]:
    """Give what else has to be said of a case: who is missing, and what the numbers do not show."""
    fits = [record for record in records if record.case == case and record.kind == "fit"]
    notes = [sentence for sentence in left_out if sentence.startswith(f"{case}:")]
    notes += sorted({f"{case}: {record.package} failed ({record.error})." for record in fits if record.error})
    done = [record for record in fits if record.answer]
    stuck = {record.package for record in done if record.answer["converged"] is False}
    notes += [f"{case}: {package} says that it did not converge." for package in sorted(stuck)]
    for package in dict.fromkeys(record.package for record in done):
        caveat = PACKAGES[package].caveat(CASES[case])
        notes += [] if caveat is None else [f"{case}: {package}: {caveat}."]
    return notes


def _case_section(records: list[Record], case: str, left_out: list[str]) -> list[str]:
    header = ["package", "threads", "wall", "processor", "peak MB", "of it the call's MB", "log-likelihood"]
    header += ["difference", "largest shift (SE)", "evaluations", "wall / multilevel", "processor / multilevel"]
    kinds = _kinds(records, case)
    first = next((threads for package, threads in kinds if package == _REFERENCE), 1)
    reference = fits_of(records, case, _REFERENCE, first)
    groups = [fits_of(records, case, *kind) for kind in kinds]
    notes = [_alone(reference)] if reference else []
    notes += _notes(records, case, left_out)
    rows = [_row(done, reference) for done in groups if done]
    table = [*_table(header, rows), ""] if rows else []
    return [f"## {CASES[case].title}", "", *table, *(f"- {note}" for note in notes), ""]


def _memory_section(records: list[Record], cases: list[str], left_out: list[str]) -> list[str]:
    """Show how memory grows; the rows of the frame are there before the call, and not counted."""
    header = ["rows", "non-zeros of the factor", "package", "threads", "wall", "us per row", "the frame's MB"]
    header += ["peak above the frame, MB", "bytes per row", "bytes per row and non-zero", "log-likelihood"]
    rows, notes = [], []
    for case in cases:
        for kind in _kinds(records, case):
            done = fits_of(records, case, *kind)
            if done:
                rows.append(_memory_row(done, CASES[case].n_nonzeros or 0))
        notes += [f"- {note}" for note in _notes(records, case, left_out)]
    if not rows and not notes:
        return []
    text = [
        "Patients of doctors in hospitals, 10 a doctor and 100 doctors a hospital, binary, Laplace. The factor is the",
        "sparse Cholesky factor of the random effects' Hessian. The peak is that of the call, above what was there",
        "before it: Python, the packages and the frame.",
    ]
    return ["## Memory", "", *text, "", *_table(header, rows), "", *notes, *([""] if notes else [])]


def _memory_row(done: list[Record], n_nonzeros: int) -> list[str]:
    answer = done[0].answer
    n_rows = answer["n_rows"]
    above = statistics.median(record.answer["memory_peak"] - record.answer["memory_before"] for record in done)
    wall = statistics.median(seconds_of(record, "wall") for record in done)
    return [
        f"{n_rows:,}",
        f"{n_nonzeros:,}",
        f"{done[0].package} {answer['versions']['package']}",
        str(done[0].threads),
        time_text(wall),
        f"{1e6 * wall / n_rows:.3g}",
        f"{answer['frame_megabytes']:.1f}" if "frame_megabytes" in answer else "",
        f"{above:.1f}",
        f"{above * 2**20 / n_rows:.0f}",
        f"{above * 2**20 / (n_rows + n_nonzeros):.0f}",
        f"{answer['loglik']:.6f}",
    ]


def _threads_section(records: list[Record], cases: list[str]) -> list[str]:
    rows = []
    for case in cases:
        counts = sorted({threads for package, threads in _kinds(records, case) if package == _REFERENCE})
        base = fits_of(records, case, _REFERENCE, counts[0]) if counts else []
        for count in counts[1:]:
            done = fits_of(records, case, _REFERENCE, count)
            if base and done:
                same = len({record.answer["bits"] for record in base + done}) == 1
                gains = [ratio_text(base, done, clock) for clock in ("wall", "core")]
                rows.append([case, f"{counts[0]} and {count}", *gains, "yes" if same else "NO"])
    header = ["case", "threads", "times faster (whole call)", "times faster (optimization)", "same bits"]
    return ["## Threads", "", *_table(header, rows), ""] if rows else []


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
        rows.append([record.case, *map(time_text, times), gain, str(record.answer["n_evaluations"]), *tail])
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


def render(runs: list[Run]) -> str:
    """Put everything into one Markdown document.

    Parameters
    ----------
    runs : list of Run
        One, or several to be shown together.

    Returns
    -------
    str
        The document. A case that was measured in several runs is shown from the last of them.
    """
    last = {record.case: i for i, run in enumerate(runs) for record in run.records}
    records = [record for i, run in enumerate(runs) for record in run.records if last[record.case] == i]
    left_out = [line for i, run in enumerate(runs) for line in run.left_out if last.get(line.split(":")[0]) == i]
    cases = [case for case in CASES if case in last]
    order = "Rows in random order." if any(run.shuffle for run in runs) else "The rows of a group lie together."
    small = "**Small data, whatever the titles say: these numbers mean nothing.**"
    lines = [
        "# Benchmarks",
        "",
        f"Made by {', then '.join(f'`{run.command}`' for run in runs)}.",
        "",
        *([small, ""] if any(run.small for run in runs) else []),
        f"- {_machine()}",
        f"- {_versions(records)}",
        "- From a pandas frame in memory, its grouping columns strings, to estimates with standard errors.",
        f"  {order}",
        "- Every measurement in a new process after a warm-up on small data; packages take turns; medians over",
        "  rounds (range), ratios within a round; who took long, and R, ran once. Peak memory counts Python, the",
        "  packages and the data.",
        "- Ratios compare with multilevel's first row of the table; above 1 multilevel is faster. The difference is",
        "  that of the log-likelihood from multilevel's; a shift is that of an estimate, in standard errors.",
        "",
    ]
    for case in cases:
        if case not in MEMORY:
            lines += _case_section(records, case, left_out)
    lines += _memory_section(records, [case for case in cases if case in MEMORY], left_out)
    return "\n".join(lines + _threads_section(records, cases) + _refit_section(records)).rstrip() + "\n"
