"""Covariance structures: what fits report of them, and fits of other programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml

from .test_covariance import SD, Simulated, closed_form, correlation

REFERENCE: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "reference" / "covariance_structures.json").read_text(encoding="utf-8")
)["fits"]

BARS = {
    "us": "unstructured",
    "diag": "diagonal",
    "homdiag": "homogeneous diagonal",
    "cs": "compound symmetry",
    "homcs": "homogeneous compound symmetry",
    "ar1": "ar1",
    "hetar1": "heterogeneous ar1",
    "rr": "reduced rank 2",
}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    data = Simulated(np.outer(SD, SD) * correlation("ar1", 0.6, 4), groups=150, seed=6)
    place = pd.Categorical.from_codes(data.place, ["p", "q", "r", "s"])
    return pd.DataFrame({"y": data.y, "x": data.x, "t": place, "g": data.code})


def bar(word: str) -> str:
    return f"{word}(0 + t | g{', d=2' if word == 'rr' else ''})"


@pytest.mark.parametrize("word", BARS)
def test_table_of_variances(word: str, frame: pd.DataFrame) -> None:
    results = ml.fit(f"y ~ x + {bar(word)}", frame, method="ml")
    structure = BARS[word]
    fit = results.fit
    assert fit.design.random_terms[0].structure == structure
    table = results.vcov_table().query("group == 'g'").set_index(["quantity", "term", "term2"])
    sigma = fit.random_cov[0]
    np.testing.assert_allclose(sigma, closed_form(structure, fit.theta_values[0], 4), rtol=1e-12, atol=1e-14)
    names = fit.design.random_terms[0].names
    n_theta = len(fit.theta_values[0])
    assert len(results.theta) == n_theta

    def quantities(theta: np.ndarray) -> dict[tuple[str, str, str], float]:
        s = closed_form(structure, theta, 4)
        sd = np.sqrt(np.diag(s))
        found = {("variance", names[k], ""): s[k, k] for k in range(4)}
        found |= {("sd", names[k], ""): sd[k] for k in range(4)}
        if word not in ("diag", "homdiag"):
            for b in range(4):
                for a in range(b + 1, 4):
                    found["covariance", names[b], names[a]] = s[a, b]
                    found["correlation", names[b], names[a]] = s[a, b] / (sd[a] * sd[b])
        return found

    h = 1e-5
    theta = fit.theta_values[0]
    up = [quantities(theta + d) for d in h * np.eye(n_theta)]
    down = [quantities(theta - d) for d in h * np.eye(n_theta)]
    covariance_of_theta = fit.covariance[2 : 2 + n_theta, 2 : 2 + n_theta]
    expected = quantities(theta)
    assert set(table.index) == set(expected)
    for key, value in expected.items():
        row = table.loc[key]
        assert row["estimate"] == pytest.approx(value, rel=1e-10, abs=1e-12)
        slope = np.array([(u[key] - d[key]) / (2 * h) for u, d in zip(up, down, strict=True)])
        assert row["std_error"] == pytest.approx(np.sqrt(slope @ covariance_of_theta @ slope), rel=1e-5, abs=1e-9)


def test_table_at_the_ends() -> None:
    data = Simulated(np.ones((3, 3)), groups=80, seed=0)
    frame = pd.DataFrame({"y": data.y, "t": pd.Categorical.from_codes(data.place, list("abc")), "g": data.code})
    with pytest.warns(ml.SingularFitWarning):
        results = ml.fit("y ~ 1 + homcs(0 + t | g)", frame)
    assert results.fit.certificate.boundary[0].kind == "limit"
    table = results.vcov_table().query("group == 'g'").set_index("quantity")
    assert table.loc["correlation", "estimate"].to_numpy() == pytest.approx(1.0, abs=1e-9)
    assert table.loc["correlation", "std_error"].isna().all()
    assert table.loc[["variance", "sd", "covariance"], "std_error"].notna().all()


# ---- other programs -------------------------------------------------------------------------------------------------


def read(name: str, reference_data: Callable[[str], pd.DataFrame]) -> pd.DataFrame:
    frame = getattr(ml.datasets, name)() if name in ml.datasets.names() else reference_data(name)
    if name == "sleepstudy":
        frame["window"] = pd.Categorical(frame["Days"] // 2)
    if name == "epil":
        frame["occasion"] = pd.Categorical(frame["period"])
    if name == "Salamanders":
        frame["present"] = (frame["count"] > 0).astype(float)
    return frame


@pytest.mark.filterwarnings("ignore::multilevel.FitWarning")  # Laplace where quadrature would move the estimates
@pytest.mark.parametrize("key", REFERENCE)
def test_reference(key: str, reference_data: Callable[[str], pd.DataFrame]) -> None:
    reference = REFERENCE[key]
    data = read(reference["dataset"], reference_data)
    results = ml.fit(reference["formula"], data, family=reference["family"], method=reference["method"])
    assert results.converged
    assert results.fit.design.random_terms[0].structure == reference["structure"]
    assert results.llf == pytest.approx(reference["loglik"], rel=1e-8, abs=1e-6)
    np.testing.assert_allclose((results.params - reference["fixed"]) / results.bse, 0.0, atol=1e-4)
    sigma = results.fit.random_cov[0]
    sd = np.sqrt(np.diag(sigma))
    np.testing.assert_allclose(sd, reference["sd"], rtol=2e-4, atol=2e-4 * sd.max())
    np.testing.assert_allclose(
        sigma, np.outer(reference["sd"], reference["sd"]) * reference["corr"], atol=2e-4 * sd.max() ** 2
    )
    if "sigma" in reference:
        assert results.family_params["sigma"] == pytest.approx(reference["sigma"], rel=1e-5)


def test_a_reduced_rank_without_variance_names_all_its_columns() -> None:
    """Residuals of cell means have no variance between cells; one pivot of zero is then the whole term."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame(
        {"y": rng.normal(size=180), "g": np.repeat(np.arange(15), 12), "t": np.tile(list("aaabbbcccddd"), 15)}
    )
    data["y"] -= data.groupby(["g", "t"])["y"].transform("mean")
    with pytest.warns(ml.SingularFitWarning, match=r"the variance of 't\[a\], ..., t\[d\]' in 'g' is exactly zero"):
        results = ml.fit("y ~ 1 + rr(0 + t | g, d=1)", data)
    table = results.vcov_table().query("group == 'g'")
    assert (table.query("quantity in ('variance', 'sd')")["estimate"] == 0).all()
    assert table["std_error"].isna().all()
