"""Fits against those of other programs, kept in tests/reference (made by the script of the same name)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml

FITS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "reference" / "one_grouping_factor.json").read_text(encoding="utf-8")
)["fits"]

LOGLIK = 1e-6  # absolute
ESTIMATE = 1e-4  # standard errors
STANDARD_ERROR = 1e-3  # relative: the programs difference an objective that is itself iterated
EVALUATIONS = 10


def read(name: str, reference_data: Callable[[str], pd.DataFrame]) -> pd.DataFrame:
    """The data set as shipped, or as it lies beside the checkout, with the columns that the formulas want."""
    frame = getattr(ml.datasets, name)() if name in ml.datasets.names() else reference_data(name)
    if name == "sleepstudy":
        frame["w"] = 1.0 + frame["Days"] % 3
    if name == "epil":
        frame["visit"] = (frame["period"] - 2.5) / 5
    if name == "bacteria":
        frame["late"] = (frame["week"] > 2).astype(float)
    if name == "polls":
        for label, code in (("edu_label", "edu"), ("age_label", "age")):
            order = frame[[label, code]].drop_duplicates().sort_values(code)[label]
            frame[label] = pd.Categorical(frame[label], categories=list(order))
    return frame


@pytest.mark.filterwarnings("ignore::multilevel.FitWarning")  # Laplace where quadrature would move the estimates
@pytest.mark.parametrize("key", FITS)
def test_fit(key: str, reference_data: Callable[[str], pd.DataFrame]) -> None:
    reference = FITS[key]
    results = ml.fit(
        reference["formula"],
        read(reference["dataset"], reference_data),
        family=reference["family"],
        link=reference["link"],
        weights=reference.get("weights"),
        method="ml",
        n_quadrature=reference["n_quadrature"],
    )
    fixed = reference["fixed"]
    se = np.array(fixed["se"])
    assert results.converged
    assert results.llf == pytest.approx(reference["loglik"], rel=0, abs=LOGLIK)
    assert list(results.params.index) == fixed["names"]
    assert np.abs((results.params.to_numpy() - fixed["estimate"]) / se).max() < ESTIMATE
    np.testing.assert_allclose(results.bse, se, rtol=STANDARD_ERROR)
    assert results.optimization.n_evaluations <= EVALUATIONS

    blocks = reference["random"]
    group = blocks[0]["group"]
    cov = results.random_cov[group].to_numpy()
    sd = np.sqrt(np.diag(cov))
    names = [name for block in blocks for name in block["names"]]
    assert list(results.random_cov[group].index) == names
    np.testing.assert_allclose(sd, [s for block in blocks for s in block["sd"]], rtol=1e-5)
    first = 0
    for block in blocks:
        last = first + len(block["sd"])
        corr = cov[first:last, first:last] / np.outer(sd[first:last], sd[first:last])
        np.testing.assert_allclose(corr, np.atleast_2d(block["corr"]), atol=2e-5)
        first = last
    if "sigma" in reference:
        assert results.family_params["sigma"] == pytest.approx(reference["sigma"], rel=1e-6)


def test_cbpp_at_full_quadrature() -> None:
    results = ml.fit(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", ml.datasets.cbpp(), "binomial", n_quadrature=51
    )
    expected = [-1.39923044, -0.99140367, -1.12781947, -1.57947075]
    np.testing.assert_allclose(results.params, expected, rtol=0, atol=1e-8)
    assert results.theta.iloc[0] == pytest.approx(0.64751848, abs=1e-8)


def polls(reference_data: Callable[[str], pd.DataFrame]) -> pd.DataFrame:
    """The 1988 survey, rows with a missing answer included."""
    return read("polls", reference_data)


@pytest.mark.parametrize(
    ("formula", "loglik", "aic", "bic"),
    [
        ("bush ~ black + female + (1 | state_label)", -1329.32998878, 2666.66, 2689.09),
        ("bush ~ black + female + edu_label + age_label + (1 | state_label)", -1321.104476, 2662.2, 2718.3),
        ("bush ~ black + female + edu_label * age_label + (1 | state_label)", -1314.930436, None, None),
    ],
)
def test_polls_log_likelihood(
    formula: str, loglik: float, aic: float | None, bic: float | None, reference_data: Callable[[str], pd.DataFrame]
) -> None:
    results = ml.fit(formula, polls(reference_data), family="binomial")
    assert (results.nobs, results.n_groups) == (2015, {"state_label": 49})
    assert results.llf == pytest.approx(loglik, abs=1e-6)
    if aic is not None:
        assert results.aic == pytest.approx(aic, abs=0.05)
        assert results.bic == pytest.approx(bic, abs=0.05)


def test_polls_figures(reference_data: Callable[[str], pd.DataFrame]) -> None:
    results = ml.fit("bush ~ black + female + (1 | state_label)", polls(reference_data), family="binomial")
    np.testing.assert_allclose(results.params, [0.445235, -1.741584, -0.097046], atol=3e-6)
    np.testing.assert_allclose(results.bse, [0.101418, 0.209452, 0.095133], atol=1e-5)
    assert results.theta.iloc[0] == pytest.approx(0.411335, abs=1e-6)
    quantiles = np.quantile(results.residuals("pearson"), [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(quantiles, [-1.7276, -1.0871, 0.6673, 0.8422, 2.5271], atol=1e-4)
    corr = results.cov_params().to_numpy() / np.outer(results.bse, results.bse)
    np.testing.assert_allclose([corr[1, 0], corr[2, 0], corr[2, 1]], [-0.119, -0.551, -0.005], atol=6e-4)


def test_polls_redundant_column(reference_data: Callable[[str], pd.DataFrame]) -> None:
    # All sixteen cells of the two factors beside an intercept: one of them is redundant.
    with pytest.warns(ml.RedundantColumnWarning, match="dropped 1 redundant fixed-effect column: 'edu_label"):
        results = ml.fit(
            "bush ~ black + female + edu_label:age_label + (1 | state_label)", polls(reference_data), family="binomial"
        )
    assert len(results.fit.redundant) == 1
    assert results.llf == pytest.approx(-1314.930436, abs=1e-6)
