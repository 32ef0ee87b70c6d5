"""What a call costs the process it runs in: wall and processor seconds, and memory."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Answer = TypeVar("Answer")

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Usage:
    """Seconds per call, and megabytes (2**20 bytes) over all of them.

    Attributes
    ----------
    wall, cpu : list of float
        One entry per call; `cpu` counts every thread.
    memory_before : float
        Resident memory just before the first call.
    memory_peak : float
        Highest resident memory during the calls.
    """

    wall: list[float]
    cpu: list[float]
    memory_before: float
    memory_peak: float


def _status(field: str) -> float:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return float(line.split()[1]) / 1024
    raise KeyError(field)


def _settle() -> None:
    """Give freed memory back, so that the calls cannot hide in what building the data left behind."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _reset_peak() -> bool:
    """Start the high-water mark again from the memory in use; only Linux can."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def measure(call: Callable[[], Answer], n_calls: int = 1) -> tuple[Answer, Usage]:
    """Make the call `n_calls` times and say what it cost.

    Returns
    -------
    answer : object
        What the last call gave.
    usage : Usage
        The cost.
    """
    _settle()
    has_reset = _reset_peak()
    before = _status("VmRSS") if has_reset else float("nan")
    wall, cpu = [], []
    for _ in range(n_calls):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        answer = call()
        cpu.append(time.process_time() - cpu_start)
        wall.append(time.perf_counter() - wall_start)
    if has_reset:
        peak = _status("VmHWM")
    else:
        # the highest since the process began: kilobytes on Linux, bytes on macOS
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return answer, Usage(wall, cpu, before, peak)
