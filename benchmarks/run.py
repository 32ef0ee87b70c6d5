r"""Time multilevel against the packages a user would pick instead, all in one run.

From the repository's root, with multilevel installed::

    python -m pip install glmm==0.6.2 gpboost==1.8.0
    python benchmarks/run.py --rounds 5 --write benchmarks/RESULTS.md
    python benchmarks/run.py --cases verbagg,insteval_reml,threads --peers glmm --rounds 3

Every case knows its peers and multilevel's numbers of threads; ``--cases``, ``--peers`` and ``--threads`` (then of the
peers, too) choose others. Names for several cases: all, one_factor, several_factors, families, memory,
threads, nested_quadrature.

The time is that of the call from a pandas frame in memory, its grouping columns made of strings, to estimates with
standard errors. Every measurement has a process of its own, which builds the data, fits a small data set so that
imports and first-use costs are over, notes its memory and makes the call. The packages take turns (A B C A B C ...),
ratios are taken within a round, and medians over rounds are reported with the range. Log-likelihoods and the largest
difference of an estimate stand in the same table, so that one sees that the work was the same. A peer that fails or
runs into its time limit is reported as such; one that fails or takes long (``--long``) has no further rounds.

R's packages need ``Rscript`` on the path (Debian and Ubuntu: ``apt install r-cran-lme4 r-cran-glmmtmb
r-cran-ordinal``); they run ``--r-rounds`` times where a fit takes seconds, and where they take minutes only with
``--r``. The peers may live elsewhere (``--peer-python``; name ``--strings`` then, as pandas holds text according to
whether pyarrow is there), and another build of multilevel can be a peer (``--peers base --base-python PYTHON``).
Measurements are saved (``--json``), and ``--saved FILE FILE`` reports on several runs together, a case from its last
one. ``--small`` times the small data, to try all of it in a few minutes. A quiet machine is worth more than rounds.

Files: case.py what a case is, one_factor.py, several_factors.py, families.py and published.py the models and their
data, cases.py their names, packages.py the calls, child.py and r_packages.R one measurement, usage.py time and memory,
record.py what was measured, report.py the tables.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from case import Case, CaseData, shuffled
from cases import CASES, TOGETHER, expand
from packages import PACKAGES, Package
from record import Record, Run
from report import render

HERE = Path(__file__).resolve().parent
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


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
    known = ",".join([*CASES, *TOGETHER])
    parser.add_argument("--cases", "--case", type=names, default=["all"], help=f"of {known} (default: all)")
    peers = ",".join(list(PACKAGES)[1:])
    parser.add_argument("--peers", type=names, help=f"of {peers}, or none (default: those of each case)")
    threads = "such as 1,2 (default: those of each case)"
    parser.add_argument("--threads", type=lambda text: [int(n) for n in names(text)], help=threads)
    parser.add_argument("--rounds", "--repeats", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--r-rounds", type=int, default=1, help="rounds of R's packages (default: 1)")
    parser.add_argument("--r", action="store_true", help="run R's packages also where they take minutes")
    parser.add_argument("--time-limit", type=float, default=300, help="seconds for one measurement (default: 300)")
    parser.add_argument("--long", type=float, default=20, help="a peer that takes so many seconds runs once (20)")
    parser.add_argument("--small", action="store_true", help="time the small data instead, to try the program")
    parser.add_argument("--shuffle", action="store_true", help="rows in random order instead of group after group")
    strings = ("pandas", "python", "pyarrow", "object")
    parser.add_argument("--strings", choices=strings, default="pandas", help="how the frame holds text")
    parser.add_argument("--no-refit", action="store_true", help="leave out the timing of refits")
    parser.add_argument("--peer-python", default=sys.executable, help="the interpreter that has the peers")
    parser.add_argument("--base-python", default=sys.executable, help="the interpreter of the build named base")
    parser.add_argument("--write", type=Path, help="write the report to this file as well")
    kept = HERE / "output" / "latest.json"
    parser.add_argument("--json", type=Path, default=kept, help="write every measurement to this file")
    parser.add_argument("--saved", type=Path, nargs="+", help="measure nothing: report on what --json wrote before")
    arguments = parser.parse_args()
    try:
        arguments.cases = expand(arguments.cases)
    except KeyError as error:
        parser.error(f"unknown case: {error.args[0]}; known: {known}")
    if arguments.peers == ["none"]:
        arguments.peers = []
    unknown = [name for name in arguments.peers or [] if name not in list(PACKAGES)[1:]]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {peers}")
    return arguments


def _plan(arguments: argparse.Namespace) -> tuple[list[Job], list[str]]:
    """Give the jobs of one round in the order they take turns, and a sentence for each that is left out."""
    jobs, left_out = [], []
    for case in (CASES[name] for name in arguments.cases):
        peers = case.peers if arguments.peers is None else arguments.peers
        for package in (PACKAGES[name] for name in ["multilevel", *peers]):
            gap = package.gap(case)
            if gap is None and package.name in case.takes_minutes and not arguments.r:
                gap = "takes minutes; run with --r"
            if gap is not None:
                left_out.append(f"{case.name}: {package.name} left out ({gap}).")
                continue
            jobs += [Job(case, package, n) for n in _threads(case, package, arguments)]
    return jobs, left_out


def _threads(case: Case, package: Package, arguments: argparse.Namespace) -> list[int]:
    if not package.threaded:
        return [1]
    return list(arguments.threads or (case.threads if package.interpreter == "own" else [1]))


def _n_rounds(job: Job, arguments: argparse.Namespace) -> int:
    most = int(arguments.rounds) if job.case.n_rounds is None else min(job.case.n_rounds, arguments.rounds)
    takes_seconds = job.package.interpreter == "r" and job.case.n_r_calls == 1
    return min(most, int(arguments.r_rounds)) if takes_seconds else most


def _is_over(done: list[Record], arguments: argparse.Namespace) -> bool:
    """Whether a package is not asked again: it failed, or one call took long."""
    return any(record.error or max(record.answer["wall"]) > arguments.long for record in done)


def _build(case: Case, small: bool, shuffle: bool) -> CaseData:
    data = case.build(small)
    return shuffled(data) if shuffle else data


def _r_command(job: Job, arguments: argparse.Namespace, folder: Path) -> list[str]:
    full = _build(job.case, arguments.small, arguments.shuffle).frame
    frames = {"full": full, "small": _build(job.case, True, False).frame}
    for size, frame in frames.items():
        frame.to_csv(folder / f"{size}.csv", index=False)
    text = [str(name) for name, dtype in frames["full"].dtypes.items() if dtype.kind == "O"]
    numbers = [job.case.family, str(job.case.n_quadrature), str(job.case.n_r_calls)]
    paths = [str(folder / f"{size}.csv") for size in frames]
    script = str(HERE / "r_packages.R")
    parts = [f"~ {job.case.zero_inflation or 0}", f"~ {job.case.dispersion or 1}"]
    return [
        "Rscript",
        "--vanilla",
        script,
        job.package.name,
        job.case.formula,
        *numbers,
        *paths,
        ",".join(text),
        *parts,
    ]


def _read_r(output: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"versions": {}, "core_seconds": None, "bits": "", "converged": None, "note": ""}
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
            command = _r_command(job, arguments, folder)
        else:
            request = {"case": job.case.name, "package": job.package.name, "threads": job.threads}
            request |= {"shuffle": arguments.shuffle, "strings": arguments.strings, "kind": job.kind}
            request["small"] = arguments.small
            (folder / "request.json").write_text(json.dumps(request))
            child = [str(HERE / "child.py"), str(folder / "request.json"), str(answer_file)]
            command = [pythons[job.package.interpreter], *child]
        try:
            code, output, complaints = _run_alone(command, environment, arguments.time_limit)
        except subprocess.TimeoutExpired:
            return {}, f"over the time limit of {arguments.time_limit:g} s"
        except FileNotFoundError:
            return {}, f"{Path(command[0]).name} not found"
        if code != 0:
            said = [line.strip() for line in complaints.splitlines() if line.strip() not in ("", "Execution halted")]
            return {}, said[-1][:200] if said else f"exit code {code}"
        if job.package.interpreter == "r":
            return _read_r(output), ""
        return json.loads(answer_file.read_text()), ""


def _run_alone(command: list[str], environment: dict[str, str], time_limit: float) -> tuple[int, str, str]:
    """Run a command and give its exit code and what it said; at the time limit it ends with all it has started."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=os.name == "posix"
    ) as process:
        try:
            output, complaints = process.communicate(timeout=time_limit)
        except BaseException:  # an interrupt from the keyboard, too
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            raise
    return process.returncode, output, complaints


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


def _measure_all(arguments: argparse.Namespace) -> Run:
    """Let the packages take turns, case by case; what is there is saved after each case."""
    jobs, left_out = _plan(arguments)
    run = Run(_command(arguments), arguments.shuffle, arguments.small, left_out, [])
    for case in dict.fromkeys(job.case.name for job in jobs):
        turns = {job: list[Record]() for job in jobs if job.case.name == case}
        for turn in range(arguments.rounds):
            for job, done in turns.items():
                if turn < _n_rounds(job, arguments) and not _is_over(done, arguments):
                    done.append(_measure(job, turn, arguments))
        run.records.extend(record for done in turns.values() for record in done)
        if CASES[case].has_refit and not arguments.no_refit:
            own = PACKAGES["multilevel"]
            job = Job(CASES[case], own, _threads(CASES[case], own, arguments)[0], "refit")
            run.records.append(_measure(job, 0, arguments))
        run.save(arguments.json)
    return run


def main() -> None:
    """Run what was asked for and report."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the measurement ends with it
    text = render([Run.load(file) for file in arguments.saved] if arguments.saved else [_measure_all(arguments)])
    if arguments.write:
        arguments.write.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
