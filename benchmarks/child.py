"""One measurement in a process of its own: ``child.py REQUEST ANSWER``, both JSON files of run.py's."""

from __future__ import annotations

import hashlib
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
from cases import CASES, Case, CaseData, shuffled, with_strings
from packages import PACKAGES, Fit, Fitted
from usage import measure


def _versions(package: str) -> dict[str, str]:
    distribution = "multilevel" if package == "base" else package
    return {
        "package": importlib.metadata.version(distribution),
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
        "core_seconds": fitted.core_seconds,
        "bits": _bits(fitted),
    }


def _time_fit(case: Case, data: CaseData, fit: Fit, threads: int) -> dict[str, Any]:
    fitted, usage = measure(lambda: fit(case, data.frame, threads), case.n_calls)
    return {**_describe(fitted), **asdict(usage)}


def _time_refit(case: Case, data: CaseData, fit: Fit, threads: int, n_rounds: int) -> dict[str, Any]:
    """Time a new response in a model that is there against the whole call with that response, in turn."""
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
    data = with_strings(case.build(False), request["strings"])
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
    answer["strings"] = str(getattr(data.frame[case.group].dtype, "storage", data.frame[case.group].dtype))
    Path(sys.argv[2]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
