"""Fits of ordered categories to the wine data; their predictors, thresholds and shares written from the definition."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

import multilevel as ml

from .family_cases import Array
from .reference_files import read_data, read_numbers

FORMULA = "rating ~ temp + contact + (1 | judge)"
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "nominal": {"formula": "rating ~ temp + (1 | judge)", "nominal": "~ contact"},
    "equidistant": {"thresholds": "equidistant", "link": "probit"},
}


def wine_data() -> pd.DataFrame:
    frame = read_data("wine")
    for column, facts in read_numbers("wine")["columns"].items():
        if "levels" in facts:
            ordered = facts["type"] == "ordered"
            frame[column] = pd.Categorical(frame[column].astype(str), categories=facts["levels"], ordered=ordered)
    return frame


def fitted(kind: str, **more: Any) -> ml.MixedModelResults:
    own = {"formula": FORMULA, **KINDS[kind], **more}
    return ml.fit(own.pop("formula"), wine_data(), family="cumulative", n_quadrature=5, **own)


@cache
def fits_of_every_kind() -> dict[str, ml.MixedModelResults]:
    return {kind: fitted(kind) for kind in KINDS}


def distribution_function(link: str, x: Array) -> Array:
    """Of the latent response around its predictor."""
    return {"logit": special.expit, "probit": special.ndtr}[link](x)


def columns_of(results: ml.MixedModelResults, frame: pd.DataFrame) -> tuple[Array, Array]:
    """The predictors without random effects, (n,), and the thresholds, (n, 4), written from the definition."""
    return predictor(results, frame, results.fit.psi)


def predictor(results: ml.MixedModelResults, frame: pd.DataFrame, psi: Array) -> tuple[Array, Array]:
    """The same at other parameters."""
    fit, p = results.fit, len(results.params)
    x = {
        "temp[warm]": (frame["temp"] == "warm").to_numpy(float),
        "contact[yes]": (frame["contact"] == "yes").to_numpy(float),
    }
    eta = sum((psi[k] * x[name] for k, name in enumerate(results.params.index)), np.zeros(len(frame)))
    matrix = fit.design.thresholds.matrix
    own = psi[p + 1 :].reshape(-1, matrix.shape[1]) @ matrix.T
    thresholds = np.tile(own[0], (len(frame), 1))
    if len(own) > 1:
        thresholds += x["contact[yes]"][:, None] * own[1]
    return eta, thresholds


NODES, SHARES = np.polynomial.hermite_e.hermegauss(61)
SHARES = SHARES / SHARES.sum()


def shares_at(results: ml.MixedModelResults, eta: Array, thresholds: Array) -> Array:
    below = distribution_function(results.fit.family.link, thresholds - eta[:, None])
    return np.diff(np.hstack([np.zeros((len(eta), 1)), below, np.ones((len(eta), 1))]))


def modes_at(results: ml.MixedModelResults, psi: Array) -> Array:
    """The most probable effect of each judge given the data, on their own scale, by Newton's method on differences."""
    eta, thresholds = predictor(results, wine_data(), psi)
    y, codes = results.fit.design.response.values.astype(int), results.fit.design.grouping_factors[0].codes
    sd = abs(psi[len(results.params)])

    def log_posterior(v: Array) -> Array:
        own = np.log(shares_at(results, eta + sd * v[codes], thresholds)[np.arange(72), y - 1])
        return np.bincount(codes, own) - v**2 / 2

    v, h = np.zeros(9), 1e-3
    for _ in range(12):
        up, here, down = (log_posterior(v + step) for step in (h, 0.0, -h))
        v = v - (up - down) / 2 / h / ((up - 2 * here + down) / h**2)
    return np.asarray(sd * v)


def shares_of(results: ml.MixedModelResults, frame: pd.DataFrame, psi: Array, random: str) -> Array:
    """Probabilities of categories from the definition."""
    eta, thresholds = predictor(results, frame, psi)
    if random == "zero":
        return shares_at(results, eta, thresholds)
    if random == "conditional":
        judges = list(results.fit.design.grouping_factors[0].levels)
        at = [judges.index(str(judge)) for judge in frame["judge"]]
        return shares_at(results, eta + modes_at(results, psi)[at], thresholds)
    sd = abs(psi[len(results.params)])
    return sum(w * shares_at(results, eta + sd * z, thresholds) for z, w in zip(NODES, SHARES, strict=True))


def jacobian(function: Any, psi: Array, h: float = 2e-3) -> Array:
    """Derivatives by differences of the fourth order, (..., P)."""
    steps = np.eye(len(psi)) * h
    return np.stack(
        [
            (8 * (function(psi + s) - function(psi - s)) - function(psi + 2 * s) + function(psi - 2 * s)) / (12 * h)
            for s in steps
        ],
        axis=-1,
    )


def error_of(results: ml.MixedModelResults, slopes: Array) -> Array:
    return np.sqrt(np.einsum("...p,pq,...q->...", slopes, results.fit.covariance, slopes))
