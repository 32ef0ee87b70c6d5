"""How often intervals cover the truth: those of Wald and of the bootstrap, over simulated data.

From the repository's root, with multilevel installed::

    python benchmarks/coverage.py --sets 1000 --replicates 999
    python benchmarks/coverage.py --sets 20 --replicates 199 --groups 50 --rows 6

A set is a binary response of ``--groups`` groups with ``--rows`` rows each; of every parameter the table has the share
of intervals with the true value in them, and its Monte Carlo error. Wald intervals are those of the coefficients and,
of the standard deviation, the estimate and its standard error.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import pandas as pd

import multilevel as ml

TRUTH = {"(Intercept)": -0.5, "x": 0.5, "g: sd__(Intercept)": 0.8}
FORMULA = "~ x + (1 | g)"


def wald(results: ml.MixedModelResults, level: float) -> pd.DataFrame:
    """Of the coefficients, and of the standard deviation."""
    from scipy.stats import norm

    table = results.vcov_table().query("quantity == 'sd'").iloc[0]
    half = norm.ppf(0.5 + level / 2) * table["std_error"]
    own = results.conf_int(level)
    own.loc["g: sd__(Intercept)"] = [table["estimate"] - half, table["estimate"] + half]
    return own


def covers(ends: pd.DataFrame) -> np.ndarray:
    """Which intervals have the truth in them; one without ends has not."""
    truth = np.array([TRUTH[name] for name in ends.index])
    return ((ends["lower"] <= truth) & (truth <= ends["upper"])).to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--replicates", type=int, default=999)
    parser.add_argument("--groups", type=int, default=50)
    parser.add_argument("--rows", type=int, default=6, help="in each group")
    parser.add_argument("--level", type=float, default=0.95)
    parser.add_argument("--n-quadrature", type=int, default=9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=None)
    given = parser.parse_args()
    begin = time.perf_counter()
    rows = given.groups * given.rows
    data = pd.DataFrame({"g": np.repeat(np.arange(given.groups), given.rows)})
    data["x"] = np.random.default_rng(given.seed).normal(size=rows)
    y = ml.simulate(FORMULA, data, "binomial", params=TRUTH, n=given.sets, seed=given.seed)
    found: dict[str, list[np.ndarray]] = {"wald": [], "percentile": [], "basic": []}
    failed = 0
    for k in range(given.sets):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ml.FitWarning)
            model = ml.MixedModel(f"y {FORMULA}", data.assign(y=y[k]), "binomial")
            results = model.fit(n_quadrature=given.n_quadrature)
        if not results.converged:
            failed += 1
            continue
        bootstrap = results.bootstrap(given.replicates, seed=given.seed + k, threads=given.threads)
        found["wald"].append(covers(wald(results, given.level)))
        for method in ("percentile", "basic"):
            found[method].append(covers(bootstrap.conf_int(method, given.level)))
    shares = pd.DataFrame({method: np.mean(own, axis=0) for method, own in found.items()}, index=list(TRUTH))
    error = np.sqrt(given.level * (1 - given.level) / max(given.sets - failed, 1))
    print(
        f"{given.sets} sets of {rows} rows in {given.groups} groups, {failed} without a fit, "
        f"{given.replicates} replicates"
    )
    print(f"coverage of intervals of {given.level:g}; Monte Carlo error {error:.4f}\n{shares.to_string()}")
    print(f"{time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()
