"""Outcomes as a table, and the seeds of the bad ones."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import numpy as np

from .outcome import BAD, Outcome
from .recipe import KINDS, SUBJECTS, TRAITS, subject

LEAST_SECONDS = 0.002  # clocks of processes are coarse
OUT_OF_TIME = ("fit out of time", "checks out of time")
COLUMNS = {
    "fits": lambda o: o is not None,
    "certified": lambda o: o.status == "converged",
    "singular": lambda o: o.status == "converged" and o.singular,
    "no maximum": lambda o: unbounded(o),
    "refused": lambda o: o.status == "refused",
    "not converged": lambda o: o.status in ("not converged", "not identified", "timeout") and not unbounded(o),
    "false alarm": lambda o: "FALSE ALARM" in o.labels(),
    "silent wrong": lambda o: bool({"SILENT WRONG", "NO MAXIMUM"} & o.labels()),
    "wrong, told": lambda o: "WRONG BUT TOLD" in o.labels(),
    "llf wrong": lambda o: bool({"LLF WRONG", "MODES WRONG", "NOT REPEATED"} & o.labels()),
    "SE wrong": lambda o: bool({"SE WRONG", "NOT FINITE"} & o.labels()),
    "variant": lambda o: "NOT INVARIANT" in o.labels(),
    "after wrong": lambda o: "AFTER WRONG" in o.labels(),
    "crash": lambda o: "CRASH" in o.labels(),
    "slow": lambda o: "SLOW" in o.labels(),
}


def unbounded(o: Outcome) -> bool:
    """Whether the fit says that there is no maximum."""
    return o.status == "separation" or "no maximum" in o.message or "without bound" in o.message


def mark_slow(outcomes: list[Outcome]) -> None:
    """More than 60 evaluations and 20 times the median time of its kind and size."""
    classes: dict[tuple[str, int], list[Outcome]] = defaultdict(list)
    for o in outcomes:
        if o.status not in ("refused", "crash"):
            classes[o.kind, int(np.log2(o.rows))].append(o)
    for members in classes.values():
        median = np.median([o.seconds for o in members])
        for o in members:
            if o.evaluations > 60 and o.seconds > 20 * max(median, LEAST_SECONDS) and len(members) > 4:
                o.add(
                    "SLOW",
                    f"{1e3 * o.seconds:.1f} ms, {o.evaluations} evaluations; median of its size {1e3 * median:.1f} ms",
                )


def row(name: str, outcomes: list[Outcome]) -> str:
    counts = [sum(test(o) for o in outcomes) for test in COLUMNS.values()]
    evaluations = [o.evaluations for o in outcomes if o.evaluations] or [0]
    cells = [name, *counts, f"{np.median(evaluations):.0f}", max(evaluations)]
    return "| " + " | ".join([*map(str, cells), f"{max((o.gap for o in outcomes), default=0.0):.3g}"]) + " |"


def report(outcomes: list[Outcome]) -> str:
    """Markdown: the table, other remarks, and every bad outcome."""
    head = ["design", *COLUMNS, "median evaluations", "most", "worst gap"]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
    for kind in (*KINDS, *TRAITS):
        own = [o for o in outcomes if o.kind == kind]
        if own:
            lines.append(row(kind, own))
    lines.append(row("all", outcomes))
    for about in SUBJECTS:
        own = [o for o in outcomes if subject(o.kind, *o.model.split(maxsplit=2)) == about]
        if own:
            lines.append(row(f"about {about}", own))
    lines += [row(model, [o for o in outcomes if o.model == model]) for model in sorted({o.model for o in outcomes})]
    compared = sum(o.compared for o in outcomes)
    seconds = sum(o.checked_seconds for o in outcomes) / max(1, len(outcomes))
    errors = sum(o.errors_checked for o in outcomes)
    text = f"{compared} compared with the plain implementation, {errors} of them with curvatures by differences"
    lines += ["", f"{text}; {seconds:.3f} s per fit and its checks."]
    checks = Counter(name for o in outcomes for name in o.done)
    lines += ["", *(f"- checked, {name}: {count}" for name, count in checks.most_common())]
    lines += ["", *_tally(outcomes), *_out_of_time(outcomes), "", *_bad(outcomes)]
    return "\n".join(lines)


def _out_of_time(outcomes: list[Outcome]) -> list[str]:
    """Seeds whose fit or checks were cut, to be run again with more seconds."""
    lines = []
    for label in OUT_OF_TIME:
        own = [str(o.seed) for o in outcomes if label in o.labels()]
        lines += [f"- {label}: {' '.join(own)}"] * bool(own)
    return lines


def _tally(outcomes: list[Outcome]) -> list[str]:
    """Remarks that are no faults, and refusals by their messages without names and numbers."""
    quiet = Counter(label for o in outcomes for label in o.labels() if label not in (*BAD, *OUT_OF_TIME))
    lines = [f"- {label}: {count}" for label, count in quiet.most_common()]
    refused = [detail for o in outcomes for label, detail in o.findings if label == "refused"]
    plain = Counter(re.sub(r"'[^']*'|[a-z0-9]*\([^)]*\)|[\d.]+", "*", text.split(";")[0])[:110] for text in refused)
    return lines + [f"  - {message}: {count}" for message, count in plain.most_common()]


def _bad(outcomes: list[Outcome]) -> list[str]:
    lines = []
    for label in BAD:
        own = [(o, detail) for o in outcomes for name, detail in o.findings if name == label]
        if own:
            lines.append(f"\n### {label}: {len(own)}\n")
            for o, detail in sorted(own, key=lambda pair: pair[0].kind):
                lines.append(f"- `{o.seed}` {o.kind}, {o.model}, {o.rows} rows: {detail[:400]}")
    return lines
