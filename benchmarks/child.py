"""One measurement in a process of its own: ``child.py REQUEST ANSWER``, both JSON files of run.py's."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import platform
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from case import Case, CaseData, shuffled, with_strings
from cases import CASES
from packages import PACKAGES, Fit, Fitted
from usage import measure


def _versions(package: str) -> dict[str, str]:
    own = package in ("multilevel", "base")
    return {
        "package": importlib.import_module("multilevel").__version__ if own else importlib.metadata.version(package),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pandas": pd.__version__,
    }


def _bits(fitted: Fitted) -> str:
    """Digest every bit of the answer, to tell whether two runs gave the same one."""
    answer = np.concatenate([fitted.estimates, fitted.standard_errors, [fitted.loglik]])
    return hashlib.sha256(answer.astype(np.float64).tobytes()).hexdigest()


def _describe(fitted: Fitted) -> dict[str, Any]:
    return {
        "loglik": float(fitted.loglik),
        "estimates": fitted.estimates.tolist(),
        "standard_errors": fitted.standard_errors.tolist(),
        "n_evaluations": fitted.n_evaluations,
        "n_gradients": fitted.n_gradients,
        "converged": fitted.converged,
        "bits": _bits(fitted),
    }


def _time_fit(case: Case, data: CaseData, fit: Fit, threads: int) -> dict[str, Any]:
    core: list[float] = []

    def call() -> Fitted:
        fitted = fit(case, data.frame, threads)
        if fitted.core_seconds is not None:
            core.append(fitted.core_seconds)
        return fitted

    fitted, usage = measure(call, case.n_calls)
    size = {"n_rows": len(data.frame), "frame_megabytes": float(data.frame.memory_usage().sum()) / 2**20}
    answer = {**_describe(fitted), **asdict(usage), **size}
    return answer | {"core_seconds": statistics.median(core) if core else None}


def _time_refit(case: Case, data: CaseData, fit: Fit, threads: int, n_rounds: int) -> dict[str, Any]:
    """Time a new response in a model that is there against the whole call with that response, in turn."""
    if data.second_response is None:
        raise ValueError(f"{case.name} has no second response")
    frame = data.frame.copy()
    frame[case.response] = data.second_response
    if case.size is not None:
        frame["healthy"] = frame[case.size] - data.second_response
    model = fit(case, data.frame, threads).results.model
    full_wall, refit_wall, full_core, refit_core = [], [], [], []
    for _ in range(n_rounds):
        start = time.perf_counter()
        full = fit(case, frame, threads)
        full_wall.append(time.perf_counter() - start)
        full_core.append(full.results.optimization.seconds)
        start = time.perf_counter()
        again = model.refit(data.second_response)
        refit_wall.append(time.perf_counter() - start)
        refit_core.append(again.optimization.seconds)
    return {
        "full_wall": statistics.median(full_wall),
        "full_core": statistics.median(full_core),
        "refit_wall": statistics.median(refit_wall),
        "refit_core": statistics.median(refit_core),
        "n_evaluations": again.optimization.n_evaluations,
        "loglik_difference": float(again.llf - full.loglik),
        "largest_shift_se": float(np.max(np.abs(np.asarray(again.params) - full.estimates) / full.standard_errors)),
    }


def main() -> None:
    """Read what to measure, measure it, write the answer."""
    request = json.loads(Path(sys.argv[1]).read_text())
    case, package = CASES[request["case"]], PACKAGES[request["package"]]
    if package.fit is None:
        raise ValueError(f"{package.name} runs in R")
    data = with_strings(case.build(request["small"]), request["strings"])
    if request["shuffle"]:
        data = shuffled(data)
    small = with_strings(case.build(True), request["strings"])
    fit = package.fit()
    fit(case, small.frame, request["threads"])  # imports and first-use costs are not what is timed
    if request["kind"] == "refit":
        answer = _time_refit(case, data, fit, request["threads"], 50 if case.n_calls > 1 else 3)
    else:
        answer = _time_fit(case, data, fit, request["threads"])
    answer["versions"] = _versions(request["package"])
    answer["strings"] = str(getattr(data.frame[case.groups[0]].dtype, "storage", data.frame[case.groups[0]].dtype))
    Path(sys.argv[2]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
