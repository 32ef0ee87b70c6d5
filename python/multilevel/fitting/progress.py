"""Progress of a long fit on stderr, when somebody is looking."""

from __future__ import annotations

import sys
import time

PATIENCE = 2.0  # seconds before the first line


class Progress:
    """Called after every iteration; writes one line that is overwritten, and only when stderr is a terminal."""

    def __init__(self, wanted: bool | None) -> None:
        self.wanted = wanted is True or (wanted is None and sys.stderr.isatty())
        self._always = wanted is True
        self._begin = time.monotonic()
        self._shown = False

    def __call__(self, iteration: int, loglik: float, gain: float) -> None:
        """One line: iteration, log-likelihood, predicted gain."""
        elapsed = time.monotonic() - self._begin
        if not self.wanted or (not self._always and elapsed < PATIENCE):
            return
        text = (
            f"\r{elapsed:7.1f} s  iteration {iteration:3d}  log-likelihood {loglik:.6f}  predicted gain {gain:.2g}   "
        )
        sys.stderr.write(text)
        sys.stderr.flush()
        self._shown = True

    def close(self) -> None:
        """Ends the line."""
        if self._shown:
            sys.stderr.write("\n")


class Count(Progress):
    """The same of many fits: how many are done."""

    def advance(self, done: int, total: int) -> None:
        """One line: fits done, of all."""
        elapsed = time.monotonic() - self._begin
        if not self.wanted or (not self._always and elapsed < PATIENCE):
            return
        sys.stderr.write(f"\r{elapsed:7.1f} s  {done:,} of {total:,} fits   ")
        sys.stderr.flush()
        self._shown = True
