"""Seeds to processes, one fit at a time in each; a process that dies or hangs costs its own seed alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from .checks import Effort, check_seed
from .outcome import Outcome

PER_PROCESS = 2000  # fits; then a new one takes over
MOST_WAITING = 300.0  # seconds by the clock, for one seed


def _serve(pipe: Connection, effort: Effort) -> None:
    """In a worker: seeds in, outcomes out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    while (seed := pipe.recv()) is not None:
        pipe.send(check_seed(seed, effort))


class Worker:
    """A process, and what it works on."""

    def __init__(self, effort: Effort) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, effort), daemon=True)
        self.process.start()
        other.close()
        self.seed, self.since, self.given = -1, 0.0, 0

    def give(self, seed: int) -> None:
        self.seed, self.since, self.given = seed, time.monotonic(), self.given + 1
        with suppress(OSError):  # of a process that is gone, which the next look at its pipe shows
            self.pipe.send(seed)

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def lost(seed: int, why: str) -> Outcome:
    """The outcome of a seed whose process is gone."""
    from .designs import design

    recipe = design(seed).recipe
    outcome = Outcome(seed, recipe.kind, "crash", model=f"{recipe.family} {recipe.link} {recipe.part}".strip())
    outcome.add("CRASH", why)
    return outcome


def run(seeds: Iterator[int], processes: int, effort: Effort, until: float) -> Iterator[Outcome]:
    """Outcomes as they come, of seeds that were begun before `until` (of `time.monotonic`)."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    busy: list[Worker] = []
    try:
        for _ in range(processes):
            if (seed := next(seeds, None)) is not None:
                busy.append(Worker(effort))
                busy[-1].give(seed)
        while busy:
            ready = wait([worker.pipe for worker in busy], timeout=5.0)
            for worker in list(busy):
                if worker.pipe in ready:
                    try:
                        found, alive = worker.pipe.recv(), True
                    except (EOFError, OSError):
                        worker.process.join()
                        found, alive = lost(worker.seed, f"the process ended with {worker.process.exitcode}"), False
                elif time.monotonic() - worker.since > MOST_WAITING:
                    found, alive = lost(worker.seed, f"no answer in {MOST_WAITING} s"), False
                else:
                    continue
                yield found
                seed = next(seeds, None) if time.monotonic() < until else None
                if seed is None or not alive or worker.given >= PER_PROCESS:
                    busy.remove(worker)
                    worker.stop()
                    if seed is None:
                        continue
                    worker = Worker(effort)
                    busy.append(worker)
                worker.give(seed)
    finally:
        for worker in busy:
            worker.stop()
