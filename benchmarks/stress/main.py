"""The command line: seeds to processes, outcomes to a table."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from . import recipe
from .checks import EVERYTHING, Effort, check_seed
from .designs import design
from .outcome import BAD, Outcome
from .table import mark_slow, report
from .workers import run

PER_RUN = 1_000_000  # seeds of a run


def seeds(
    first: int, only: str | None, most: int | None, families: list[str] | None = None, about: str | None = None
) -> Iterator[int]:
    """Seeds of a run; those of other kinds than `only`, of other families and subjects are passed over."""
    seed, given = first * PER_RUN, 0
    while most is None or given < most:
        wanted = only is None or recipe.kind_of(seed) == only
        wanted = wanted and (about is None or recipe.subject_of(seed) == about)
        if wanted and (families is None or recipe.family_of(seed) in families):
            given += 1
            yield seed
        seed += 1


def replay(seed: int) -> None:
    """One seed with every check, in words."""
    print(design(seed).describe())
    outcome = check_seed(seed, EVERYTHING)
    state = f"{outcome.status}{', singular' if outcome.singular else ''}, {outcome.evaluations} evaluations"
    print(f"{state}, {outcome.seconds:.3f} s, with the checks {outcome.checked_seconds:.2f} s")
    print(f"checked: {', '.join(outcome.done)}")
    for label, detail in outcome.findings:
        print(f"{label}: {detail}")


def arguments() -> argparse.ArgumentParser:
    effort = Effort()
    parser = argparse.ArgumentParser(description="Random designs, fitted and checked.")
    parser.add_argument("--minutes", type=float, help="stop after so many; 10 without --fits")
    parser.add_argument("--fits", type=int, help="stop after so many")
    parser.add_argument("--seed", type=int, default=7, help="of the run")
    parser.add_argument("--only", choices=(*recipe.KINDS, *recipe.TRAITS), help="one kind of design")
    parser.add_argument(
        "--family",
        action="append",
        choices=sorted({family for family, _ in (*recipe.LINKS, *recipe.MORE_LINKS)}),
        help="one family; may be repeated",
    )
    parser.add_argument("--about", choices=recipe.SUBJECTS, help="one subject: see `recipe.SUBJECTS`")
    parser.add_argument("--replay", type=int, help="one fit, by its own seed, with every check")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of a fit, for tools that watch threads")
    parser.add_argument("--thorough", type=float, default=effort.thorough, help="share with the costly checks")
    parser.add_argument(
        "--seconds", type=float, default=effort.seconds, help="of a processor, for a fit and for its checks"
    )
    parser.add_argument("--alone", action="store_true", help="without the plain implementation, for sanitizers")
    parser.add_argument("--write", type=Path, help="the table as Markdown, now and then and at the end")
    return parser


def progress(outcomes: list[Outcome], write: Path | None) -> None:
    """A line, and with many fits the table so far."""
    bad = sum(bool(o.labels() & set(BAD)) for o in outcomes)
    print(f"{len(outcomes)} fits, {bad} bad", file=sys.stderr, flush=True)
    if write and len(outcomes) % 1000 == 0:
        write.write_text(report(outcomes) + "\n", encoding="utf-8")


def found(outcome: Outcome) -> None:
    """A line for each fault as soon as it is found: a run that is ended from outside leaves them."""
    for label, detail in outcome.findings:
        if label in BAD:
            print(f"{label} {outcome.seed} {outcome.kind}, {outcome.model}: {detail}", file=sys.stderr, flush=True)


def _stopped(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Outcomes come in any order and are shown by seed: with `--fits` the table is that of one process."""
    parser = arguments()
    options = parser.parse_args()
    drawn = {family for family, _ in recipe.links_of(options.seed * PER_RUN)}
    if not set(options.family or ()) <= drawn:
        parser.error(f"runs below --seed {recipe.FULL // PER_RUN} draw from {', '.join(sorted(drawn))} alone")
    if options.only in recipe.TRAITS and options.seed * PER_RUN < recipe.LATENT:
        parser.error(f"runs below --seed {recipe.LATENT // PER_RUN} draw no latent traits")
    if options.replay is not None:
        replay(options.replay)
        return
    minutes = options.minutes or (10.0 if options.fits is None else float("inf"))
    effort = Effort(options.thorough, seconds=options.seconds, threads=options.threads, alone=options.alone)
    todo = seeds(options.seed, options.only, options.fits, options.family, options.about)
    outcomes: list[Outcome] = []
    signal.signal(signal.SIGTERM, _stopped)
    try:
        for outcome in run(todo, options.processes, effort, time.monotonic() + 60 * minutes):
            outcomes.append(outcome)
            found(outcome)
            if len(outcomes) % 200 == 0:
                progress(outcomes, options.write)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    outcomes.sort(key=lambda o: o.seed)
    mark_slow(outcomes)
    text = report(outcomes)
    print(text)
    if options.write:
        options.write.write_text(text + "\n", encoding="utf-8")
