"""The command line: seeds to processes, outcomes to a table."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from . import recipe
from .outcome import BAD, Outcome
from .table import mark_slow, report

PER_RUN = 1_000_000  # seeds of a run


def seeds(first: int, only: str | None, most: int | None, families: list[str] | None = None) -> Iterator[int]:
    """Seeds of a run; those of other kinds than `only` and of other families are passed over."""
    seed, given = first * PER_RUN, 0
    while most is None or given < most:
        wanted = only is None or recipe.kind_of(seed) == only
        if wanted and (families is None or recipe.family_of(seed) in families):
            given += 1
            yield seed
        seed += 1


def work(seed: int, thorough: float) -> Outcome:
    from .checks import check_seed

    return check_seed(seed, thorough)


def replay(seed: int) -> None:
    """One seed with every check, in words."""
    from .checks import check_seed
    from .designs import design

    print(design(seed).describe())
    outcome = check_seed(seed, thorough=1.0)
    state = f"{outcome.status}{', singular' if outcome.singular else ''}, {outcome.evaluations} evaluations"
    print(f"{state}, {outcome.seconds:.3f} s, with the checks {outcome.checked_seconds:.2f} s")
    for label, detail in outcome.findings:
        print(f"{label}: {detail}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Random designs, fitted and checked.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=7, help="of the run")
    parser.add_argument("--fits", type=int, help="stop after so many")
    parser.add_argument("--only", choices=recipe.KINDS, help="one kind of design")
    parser.add_argument(
        "--family",
        action="append",
        choices=sorted({family for family, _ in recipe.LINKS}),
        help="one family; may be repeated",
    )
    parser.add_argument("--replay", type=int, help="one fit, by its own seed")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--thorough", type=float, default=0.1, help="share of fits that get the costly checks")
    parser.add_argument("--write", type=Path, help="the table as Markdown")
    options = parser.parse_args()
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    drawn = {family for family, _ in recipe.links_of(options.seed * PER_RUN)}
    if not set(options.family or ()) <= drawn:
        parser.error(f"runs below --seed {recipe.FULL // PER_RUN} draw from {', '.join(sorted(drawn))} alone")
    if options.replay is not None:
        replay(options.replay)
        return
    end = time.monotonic() + 60 * options.minutes
    outcomes: list[Outcome] = []
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.processes, maxtasksperchild=2000) as pool:
        todo = seeds(options.seed, options.only, options.fits, options.family)
        waiting = []
        for seed in todo:
            waiting.append(pool.apply_async(work, (seed, options.thorough)))
            while len(waiting) > 4 * options.processes:
                outcomes.append(waiting.pop(0).get())
                if len(outcomes) % 200 == 0:
                    bad = sum(bool(o.labels() & set(BAD)) for o in outcomes)
                    print(f"{len(outcomes)} fits, {bad} bad", file=sys.stderr, flush=True)
            if time.monotonic() > end:
                break
        outcomes += [w.get() for w in waiting]
    mark_slow(outcomes)
    text = report(outcomes)
    print(text)
    if options.write:
        options.write.write_text(text + "\n", encoding="utf-8")
