r"""Time multilevel against the packages a user would pick instead, all in one run.

From the repository's root, with multilevel installed::

    python -m pip install glmm==0.6.2 gpboost==1.8.0
    python benchmarks/run.py --case cbpp,slopes,million,million9 --peers glmm,gpboost --threads 1,2 \
        --repeats 5 --write benchmarks/RESULTS.md

The time is that of the call from a pandas frame in memory, its grouping column made of strings, to estimates with
standard errors. Every measurement has a process of its own, which builds the data, fits a small data set so that
imports and first-use costs are over, notes its memory and makes the call. The packages take turns (A B C A B C ...),
ratios are taken within a round, and medians over rounds are reported with the range. Log-likelihoods and the largest
difference of an estimate stand in the same table, so that one sees that the work was the same.

R's packages take part when they are named: ``--peers glmm,lme4,glmmTMB`` (``Rscript`` on the path; Debian and Ubuntu:
``apt install r-cran-lme4 r-cran-glmmtmb``). Outside cbpp they run once, and where they take minutes only with ``--r``.
The peers may live elsewhere (``--peer-python``; name ``--strings`` then, as pandas holds text according to whether
pyarrow is there), and another build of multilevel can be a peer (``--peers base --base-python PYTHON``). A
quiet machine is worth more than many repeats.

Files: cases.py the models and their data, packages.py the calls, child.py and r_packages.R one measurement,
usage.py time and memory, report.py the tables.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cases import CASES, Case, CaseData, shuffled
from packages import PACKAGES, Package
from report import Record, render

HERE = Path(__file__).resolve().parent
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
_MOST_R_CALLS = 20  # R's clock ticks in milliseconds and its fits take dozens of them


@dataclass(frozen=True)
class Job:
    """A case, a package and a number of threads; the kind is ``"fit"`` or ``"refit"``."""

    case: Case
    package: Package
    threads: int
    kind: str = "fit"


def _arguments() -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return [name for name in text.split(",") if name]

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", type=names, default=list(CASES), help=f"of {','.join(CASES)} (default: all)")
    parser.add_argument("--peers", type=names, default=["glmm", "gpboost"], help=f"of {','.join(list(PACKAGES)[1:])}")
    parser.add_argument("--threads", type=lambda text: [int(n) for n in names(text)], default=[1], help="such as 1,2")
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--r", action="store_true", help="run R's packages also where they take minutes")
    parser.add_argument("--time-limit", type=float, default=1800, help="seconds for one measurement (default: 1800)")
    parser.add_argument("--shuffle", action="store_true", help="rows in random order instead of group after group")
    strings = ("pandas", "python", "pyarrow", "object")
    parser.add_argument("--strings", choices=strings, default="pandas", help="how the frame holds text")
    parser.add_argument("--no-refit", action="store_true", help="leave out the timing of refits")
    parser.add_argument("--peer-python", default=sys.executable, help="the interpreter that has the peers")
    parser.add_argument("--base-python", default=sys.executable, help="the interpreter of the build named base")
    parser.add_argument("--write", type=Path, help="write the report to this file as well")
    parser.add_argument("--json", type=Path, help="write every measurement to this file")
    arguments = parser.parse_args()
    for given, known in ((arguments.case, CASES), (arguments.peers, list(PACKAGES)[1:])):
        unknown = [name for name in given if name not in known]
        if unknown:
            parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    return arguments


def _plan(arguments: argparse.Namespace) -> tuple[list[Job], list[str]]:
    """Give the jobs of one round in the order they take turns, and a sentence for each that is left out."""
    jobs, left_out = [], []
    for case in (CASES[name] for name in arguments.case):
        for package in (PACKAGES[name] for name in ["multilevel", *arguments.peers]):
            gap = package.gap(case)
            if gap is None and package.name in case.takes_minutes and not arguments.r:
                gap = "takes minutes; run with --r"
            if gap is not None:
                left_out.append(f"{case.name}: {package.name} left out ({gap}).")
                continue
            jobs += [Job(case, package, n) for n in (arguments.threads if package.threaded else [1])]
    return jobs, left_out


def _n_rounds(job: Job, arguments: argparse.Namespace) -> int:
    runs_once = job.package.interpreter == "r" and job.case.n_calls == 1
    return 1 if runs_once else int(arguments.repeats)


def _build(case: Case, small: bool, shuffle: bool) -> CaseData:
    data = case.build(small)
    return shuffled(data) if shuffle and not small else data


def _r_command(job: Job, shuffle: bool, folder: Path) -> list[str]:
    frames = {size: _build(job.case, size == "small", shuffle).frame for size in ("full", "small")}
    for size, frame in frames.items():
        frame.to_csv(folder / f"{size}.csv", index=False)
    text = [str(name) for name, dtype in frames["full"].dtypes.items() if dtype.kind == "O"]
    numbers = [str(job.case.n_quadrature), str(min(job.case.n_calls, _MOST_R_CALLS))]
    paths = [str(folder / f"{size}.csv") for size in frames]
    script = str(HERE / "r_packages.R")
    return ["Rscript", "--vanilla", script, job.package.name, job.case.formula, *numbers, *paths, ",".join(text)]


def _read_r(output: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"versions": {}, "core_seconds": None, "bits": ""}
    for line in output.split("RESULT\n", 1)[1].splitlines():
        key, *values = line.split()
        if key == "version":
            answer["versions"]["package"] = values[0]
        elif key == "r_version":
            answer["versions"]["R"] = values[0]
        elif key in ("wall", "cpu", "estimates", "standard_errors"):
            answer[key] = [float(value) for value in values]
        elif key.startswith("n_"):
            answer[key] = None if values[0] == "NA" else int(values[0])
        else:
            answer[key] = float(values[0])
    return answer


def _run(job: Job, arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Measure once; give the answer, empty when it failed, and what went wrong."""
    pythons = {"own": sys.executable, "peer": arguments.peer_python, "base": arguments.base_python}
    environment = os.environ | dict.fromkeys(_THREAD_VARIABLES, str(job.threads))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        answer_file = folder / "answer.json"
        if job.package.interpreter == "r":
            command = _r_command(job, arguments.shuffle, folder)
        else:
            request = {"case": job.case.name, "package": job.package.name, "threads": job.threads}
            request |= {"shuffle": arguments.shuffle, "strings": arguments.strings, "kind": job.kind}
            (folder / "request.json").write_text(json.dumps(request))
            child = [str(HERE / "child.py"), str(folder / "request.json"), str(answer_file)]
            command = [pythons[job.package.interpreter], *child]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=arguments.time_limit, check=False
            )
        except subprocess.TimeoutExpired:
            return {}, f"stopped after {arguments.time_limit:g} s"
        except FileNotFoundError:
            return {}, f"{Path(command[0]).name} not found"
        if done.returncode != 0:
            return {}, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        if job.package.interpreter == "r":
            return _read_r(done.stdout), ""
        return json.loads(answer_file.read_text()), ""


def _measure(job: Job, turn: int, arguments: argparse.Namespace) -> Record:
    answer, error = _run(job, arguments)
    record = Record(job.case.name, job.package.name, job.threads, turn, job.kind, answer, error)
    seconds = f"{statistics.median(answer['wall']):.4g} s" if "wall" in answer else "done"
    print(job.case.name, job.package.name, f"x{job.threads}", job.kind, turn + 1, error or seconds, file=sys.stderr)
    return record


def _command(arguments: argparse.Namespace) -> str:
    """Give the command line without the places where things are on this machine."""
    places = {arguments.peer_python: "PEER_PYTHON", arguments.base_python: "BASE_PYTHON"}
    places |= {str(file): file.name for file in (arguments.write, arguments.json) if file and file.is_absolute()}
    return " ".join(["python benchmarks/run.py", *(places.get(word, word) for word in sys.argv[1:])])


def main() -> None:
    """Run what was asked for and report."""
    arguments = _arguments()
    jobs, left_out = _plan(arguments)
    records: list[Record] = []
    for case in dict.fromkeys(job.case.name for job in jobs):
        turns = [job for job in jobs if job.case.name == case]
        for turn in range(arguments.repeats):
            records += [_measure(job, turn, arguments) for job in turns if turn < _n_rounds(job, arguments)]
        if not arguments.no_refit:
            job = Job(CASES[case], PACKAGES["multilevel"], arguments.threads[0], "refit")
            records.append(_measure(job, 0, arguments))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(record) for record in records], indent=1))
    text = render(records, left_out, _command(arguments), arguments.shuffle)
    if arguments.write:
        arguments.write.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
