"""Time item response models against girth: the two-parameter logistic model and the graded response model.

From the repository's root, with multilevel installed::

    python -m pip install girth==0.8.0
    python benchmarks/traits.py --persons 5000

The time is that of one call, from responses in memory to estimates, the best of ``--rounds`` after a call with few
persons; processor time stands beside it, which other work on the machine changes less. multilevel takes a data frame of
one row per answer, has standard errors and certifies its optimum; girth takes a matrix, goes from items to the trait's
distribution and back until estimates move little, and has no standard errors. Log-likelihoods are multilevel's, at the
estimates of either. With ``--own``, girth is left out.
"""

from __future__ import annotations

import argparse
import importlib
import time
import warnings
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pandas as pd

import multilevel as ml

Result = TypeVar("Result")


def best(call: Callable[[], Result], rounds: int) -> tuple[float, float, Result]:
    """Seconds, and seconds of processor time, the least of all calls; what the last one gave."""
    seconds = []
    for _ in range(rounds):
        begin, processor = time.perf_counter(), time.process_time()
        result = call()
        seconds.append((time.perf_counter() - begin, time.process_time() - processor))
    return min(own[0] for own in seconds), min(own[1] for own in seconds), result


def long(answers: np.ndarray) -> pd.DataFrame:
    """A row per answer, of a matrix (persons, items)."""
    n, items = answers.shape
    names = [f"i{k:02d}" for k in range(items)]
    return pd.DataFrame({"person": np.repeat(np.arange(n), items), "item": np.tile(names, n), "y": answers.ravel()})


def binary(n: int, seed: int) -> np.ndarray:
    """Answers to 20 items, 0 or 1."""
    rng = np.random.default_rng(seed)
    slope, place = rng.uniform(0.7, 2, 20), rng.normal(size=20)
    eta = slope * (rng.normal(size=(n, 1)) - place)
    return (rng.uniform(size=eta.shape) < 1 / (1 + np.exp(-eta))).astype(int)


def graded(n: int, seed: int) -> np.ndarray:
    """Answers to ten items, 1 to 5."""
    rng = np.random.default_rng(seed)
    slope = rng.uniform(0.8, 2, 10)
    cuts = np.sort(rng.normal(size=(10, 4)) * 1.2, axis=1) + np.arange(4) * 0.3
    latent = slope * rng.normal(size=(n, 1)) + rng.logistic(size=(n, 10))
    return 1 + (latent[:, :, None] > cuts).sum(2)


def two_factors(n: int, seed: int) -> np.ndarray:
    """Answers to ten items, 0 or 1, five of each of two correlated traits."""
    rng = np.random.default_rng(seed)
    traits = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=n)
    eta = traits[:, np.arange(10) // 5] * rng.uniform(0.8, 2, 10) + rng.normal(size=10) * 0.7
    return (rng.uniform(size=eta.shape) < 1 / (1 + np.exp(-eta))).astype(int)


def loglik_at(model: ml.MixedModel, slopes: np.ndarray, places: np.ndarray, points: int) -> float:
    """Of the two-parameter model at these estimates: easiness, then loadings."""
    start = np.concatenate([-slopes * places, slopes])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.ConvergenceWarning)
        return float(model.fit(n_quadrature=points, start=start, max_iter=0, threads=1).llf)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--persons", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--own", action="store_true", help="without girth")
    given = parser.parse_args()
    n, rounds = given.persons, given.rounds
    ml.fit("y ~ 0 + item + (1 | person)", long(binary(100, 1)), "binomial")

    answers = binary(n, given.seed)
    data = long(answers)
    formula = "y ~ 0 + item + rr(0 + item | person, d=1)"
    wall, processor, own = best(lambda: ml.fit(formula, data, "binomial", n_quadrature=21, threads=1), rounds)
    print(f"2PL, 20 items, {n} persons, 21 points: {wall:.3f} s, processor {processor:.3f} s, {own.llf:.6f}")
    if not given.own:
        girth = importlib.import_module("girth")

        options = {"quadrature_n": 21}
        wall, other, found = best(lambda: girth.twopl_mml(answers.T, options), rounds)
        slopes, places = found["Discrimination"], found["Difficulty"]
        value = loglik_at(ml.MixedModel(formula, data, "binomial"), slopes, places, 21)
        print(f"  girth: {wall:.3f} s, processor {other:.3f} s, {other / processor:.1f} times as long, {value:.6f}")

    answers = graded(n, given.seed + 1)
    data = long(answers)
    formula = "y ~ 0 + rr(0 + item | person, d=1)"

    def graded_response() -> ml.MixedModelResults:
        return ml.fit(formula, data, "cumulative", nominal="~ 0 + item", n_quadrature=21, threads=1)

    wall, processor, own = best(graded_response, rounds)
    print(f"graded, 10 items of 5 categories, {n} persons, 21 points: {wall:.3f} s, processor {processor:.3f} s")
    if not given.own:
        wall, other, found = best(lambda: girth.grm_mml(answers.T, {"quadrature_n": 21}), rounds)
        shift = np.abs(found["Discrimination"] - own.item_parameters()["discrimination"].to_numpy()).max()
        print(f"  girth: {wall:.3f} s, processor {other:.3f} s, {other / processor:.1f} times as long")
        print(f"  largest difference of a discrimination {shift:.4f}")

    data = long(two_factors(n, given.seed + 2))
    items = [f"i{k:02d}" for k in range(10)]
    term = f"cfa(0 + item | person, f = {' + '.join(items[:5])}, g = {' + '.join(items[5:])})"
    formula = f"y ~ 0 + item + {term}"
    wall, processor, own = best(lambda: ml.fit(formula, data, "binomial", n_quadrature=7, threads=1), rounds)
    print(f"two correlated traits, 10 items, {n} persons, 7 points: {wall:.3f} s, processor {processor:.3f} s")


if __name__ == "__main__":
    main()
