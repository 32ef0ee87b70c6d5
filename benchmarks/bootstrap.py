r"""Time many fits of one model: the parametric bootstrap against lme4's bootMer, and 1,000 responses of 2,000 rows
against glmmTMB in a loop.

From the repository's root, with multilevel installed, and R with lme4 and glmmTMB on the path for the comparison::

    python benchmarks/bootstrap.py --n 1000 --threads 2
    python benchmarks/bootstrap.py --r-n 200 --r-fits 20   # so many of R's, whose time is in proportion to them

The time is that of one call, simulation and tables with it, the best of ``--rounds``; R is called once. Processor time
stands beside it, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import multilevel as ml

BOOT_MER = """
suppressPackageStartupMessages(library(lme4))
fit <- glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial)
seconds <- system.time(
  suppressWarnings(suppressMessages(bootMer(fit, function(f) c(fixef(f), getME(f, "theta")), nsim = {n}, seed = 1)))
)
cat(seconds[["elapsed"]], seconds[["user.self"]] + seconds[["sys.self"]])
"""

# The first fit is not counted: packages are loaded with it.
GLMM_TMB = """
suppressPackageStartupMessages(library(glmmTMB))
data <- read.csv("{folder}/data.csv")
y <- read.csv("{folder}/y.csv")
one <- function(k) {{
  data$y <- y[[k]]
  own <- glmmTMB(y ~ x + z + (1 | g), data, binomial)
  c(fixef(own)$cond, sqrt(VarCorr(own)$cond$g[1, 1]))
}}
invisible(one(1))
seconds <- system.time(found <- sapply(seq_along(y), one))
write.csv(t(found), "{folder}/found.csv", row.names = FALSE)
cat(seconds[["elapsed"]], seconds[["user.self"]] + seconds[["sys.self"]])
"""


def best(call: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Seconds, and seconds of processor time, the least of all calls."""
    seconds = []
    for _ in range(rounds):
        begin, processor = time.perf_counter(), time.process_time()
        call()
        seconds.append((time.perf_counter() - begin, time.process_time() - processor))
    return min(own[0] for own in seconds), min(own[1] for own in seconds)


def two_thousand_rows() -> tuple[ml.MixedModel, pd.DataFrame]:
    """Binary responses of 100 groups of 20 rows, and 1,000 of them."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.normal(size=2000), "z": rng.normal(size=2000), "g": np.repeat(np.arange(100), 20)})
    params = {"(Intercept)": -0.5, "x": 0.5, "z": 0.3, "g: sd__(Intercept)": 0.8}
    y = ml.simulate("~ x + z + (1 | g)", data, "binomial", params=params, n=1000, seed=1)
    return ml.MixedModel("y ~ x + z + (1 | g)", data.assign(y=y[0]), "binomial"), y


def glmm_tmb(model: ml.MixedModel, y: pd.DataFrame, n: int) -> tuple[float, float]:
    """Seconds, and seconds of the processor, of the first `n` responses; says how far the estimates are apart."""
    with tempfile.TemporaryDirectory() as folder:
        model.data.to_csv(f"{folder}/data.csv", index=False)
        pd.DataFrame(y).iloc[:, :n].to_csv(f"{folder}/y.csv", index=False)
        ran = subprocess.run(
            ["Rscript", "-e", GLMM_TMB.format(folder=folder)], capture_output=True, text=True, check=True
        )
        theirs = pd.read_csv(Path(folder) / "found.csv").to_numpy()
    many = model.fit_many(y)
    k = theirs.shape[1]  # coefficients and the standard deviation are the first of each response, and all
    ours, errors = (many[name].to_numpy().reshape(-1, k)[: len(theirs)] for name in ("estimate", "std_error"))
    print(f"largest difference of an estimate: {np.nanmax(np.abs(ours - theirs) / errors):.1e} standard errors")
    wall, processor = (float(word) for word in ran.stdout.split())
    return wall, processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1000, help="replicates")
    parser.add_argument("--r-n", type=int, default=0, help="replicates of bootMer; as many without it")
    parser.add_argument("--r-fits", type=int, default=20, help="responses that glmmTMB fits")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    cbpp = ml.fit(formula, ml.datasets.cbpp(), "binomial")
    for threads in sorted({1, given.threads}):
        wall, processor = best(lambda threads=threads: cbpp.bootstrap(given.n, seed=1, threads=threads), given.rounds)
        print(f"cbpp, {given.n} replicates, {threads} threads: {wall:.3f} s, {processor:.3f} s of processors")
    model, y = two_thousand_rows()
    many = best(lambda: model.fit_many(y, threads=given.threads), given.rounds)
    print(f"1,000 responses of 2,000 rows, {given.threads} threads: {many[0]:.3f} s, {many[1]:.3f} s of processors")
    if shutil.which("Rscript") is None:
        print("Rscript is not there: nothing to compare with")
        return
    fits = given.r_fits
    wall_of_fits, own_of_fits = glmm_tmb(model, y, fits)
    print(f"glmmTMB, {fits} of these responses in a loop: {wall_of_fits:.1f} s, {own_of_fits:.1f} s of the processor")
    print(
        f"for as many {wall_of_fits * 1000 / fits / many[0]:.0f} times as long, "
        f"{own_of_fits * 1000 / fits / many[1]:.0f} times the processor time"
    )
    n = given.r_n or given.n
    ran = subprocess.run(["Rscript", "-e", BOOT_MER.format(n=n)], capture_output=True, text=True, check=True)
    other, own = (float(word) for word in ran.stdout.split())
    share = given.n / n
    print(f"bootMer, {n} replicates: {other:.1f} s, {own:.1f} s of the processor")
    print(
        f"for as many {other * share / wall:.0f} times as long, {own * share / processor:.0f} times the processor time"
    )


if __name__ == "__main__":
    main()
