"""How often intervals cover the truth, over simulated data.

From the repository's root, with multilevel installed::

    python benchmarks/coverage.py --sets 2000 --replicates 0
    python benchmarks/coverage.py --sets 1600 --replicates 999
    python benchmarks/coverage.py --design linear --sets 2000 --groups 12 --rows 10

A set of the design ``binary`` is a binary response with a random intercept, and its intervals are those of Wald, of the
profile and of the bootstrap (none with ``--replicates 0``); Wald's of the standard deviation is the estimate and its
standard error. A set of the design ``linear`` is a response with a random intercept and slope that is fitted with an
intercept alone, so that the model's own standard error of the slope is wrong, and its intervals are the model's, those
of CR1 and of CR2; ``w`` is one value per group. Of every parameter the table has the share of intervals with the true
value in them, and its Monte Carlo error.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd

import multilevel as ml

SD = "g: sd__(Intercept)"
BINARY = {"(Intercept)": -0.5, "x": 0.5, SD: 0.8}
LINEAR = {"(Intercept)": 1.0, "x": 0.5, "w": -0.3}
SLOPE_SD = 0.5  # of the slopes that the fitted model leaves out

Intervals = dict[str, pd.DataFrame]  # by method


def wald(results: ml.MixedModelResults, level: float) -> pd.DataFrame:
    """Of the coefficients, and of the standard deviation."""
    from scipy.stats import norm

    table = results.vcov_table().query("quantity == 'sd'").iloc[0]
    half = norm.ppf(0.5 + level / 2) * table["std_error"]
    own = results.conf_int(level)
    own.loc[SD] = [table["estimate"] - half, table["estimate"] + half]
    return own


def binary(given: argparse.Namespace) -> Iterator[Intervals | None]:
    """Of one set after the other; None where the model has no fit."""
    data = pd.DataFrame({"g": np.repeat(np.arange(given.groups), given.rows)})
    data["x"] = np.random.default_rng(given.seed).normal(size=len(data))
    formula = "~ x + (1 | g)"
    y = ml.simulate(formula, data, "binomial", params=BINARY, n=given.sets, seed=given.seed)
    for k in range(given.sets):
        results = ml.MixedModel(f"y {formula}", data.assign(y=y[k]), "binomial").fit(n_quadrature=given.n_quadrature)
        if not results.converged:
            yield None
            continue
        found = {"wald": wald(results, given.level)}
        names = {"(Intercept)": "(Intercept)", "x": "x", "g: sd (Intercept)": SD}
        found["profile"] = results.profile(list(names), given.level).conf_int().rename(index=names)
        if given.replicates:
            bootstrap = results.bootstrap(given.replicates, seed=given.seed + k, threads=given.threads)
            for method in ("percentile", "basic"):
                found[method] = bootstrap.conf_int(method, given.level)
        yield found


def linear(given: argparse.Namespace) -> Iterator[Intervals | None]:
    """Of one set after the other; None where the model has no fit."""
    rng = np.random.default_rng(given.seed)
    group = np.repeat(np.arange(given.groups), given.rows)
    data = pd.DataFrame({"g": group, "x": rng.normal(size=len(group)), "w": rng.normal(size=given.groups)[group]})
    mean = LINEAR["(Intercept)"] + LINEAR["x"] * data["x"] + LINEAR["w"] * data["w"]
    for _ in range(given.sets):
        intercept, slope = rng.normal(size=(2, given.groups)) * [[1.0], [SLOPE_SD]]
        y = mean + intercept[group] + slope[group] * data["x"] + rng.normal(size=len(group))
        results = ml.fit("y ~ x + w + (1 | g)", data.assign(y=y))
        if not results.converged:
            yield None
            continue
        found = {"model": results.conf_int(given.level)}
        found |= {kind: results.conf_int(given.level, robust=kind) for kind in ("CR1", "CR2")}
        yield found


DESIGNS = {"binary": (binary, BINARY), "linear": (linear, LINEAR)}


def covers(ends: pd.DataFrame, truth: dict[str, float]) -> np.ndarray:
    """Which intervals have the truth in them; one without ends has not."""
    own = ends.loc[list(truth)]
    values = np.array(list(truth.values()))
    return ((own["lower"] <= values) & (values <= own["upper"])).to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--design", choices=list(DESIGNS), default="binary")
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--replicates", type=int, default=999, help="of the bootstrap; 0: none")
    parser.add_argument("--groups", type=int, default=50)
    parser.add_argument("--rows", type=int, default=6, help="in each group")
    parser.add_argument("--level", type=float, default=0.95)
    parser.add_argument("--n-quadrature", type=int, default=9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=None)
    given = parser.parse_args()
    begin = time.perf_counter()
    sets, truth = DESIGNS[given.design]
    found: dict[str, list[np.ndarray]] = {}
    failed = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        for own in sets(given):
            failed += own is None
            for method, ends in (own or {}).items():
                found.setdefault(method, []).append(covers(ends, truth))
    shares = pd.DataFrame({method: np.mean(own, axis=0) for method, own in found.items()}, index=list(truth))
    error = np.sqrt(given.level * (1 - given.level) / max(given.sets - failed, 1))
    print(f"{given.design}: {given.sets} sets of {given.groups} groups of {given.rows} rows, {failed} without a fit")
    print(f"coverage of intervals of {given.level:g}; Monte Carlo error {error:.4f}\n{shares.to_string()}")
    print(f"{time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()
