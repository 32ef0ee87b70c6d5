"""Fits without a level or a row: against refits by glmmTMB and lme4, and against the definition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.checks import influence

from .reference_files import read_numbers

pytestmark = pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
REFERENCE = read_numbers("after_the_fit")["influence"]


@pytest.fixture(scope="module")
def herds() -> ml.MixedModelResults:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return ml.fit(formula, ml.datasets.cbpp(), family="binomial")


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"x": rng.normal(size=120), "g": np.repeat(np.arange(12), 10)})
    return frame.assign(y=rng.poisson(np.exp(0.4 + 0.3 * frame["x"] + 0.5 * rng.normal(size=12)[frame["g"]])))


def test_herds_fitted_again(herds: ml.MixedModelResults) -> None:
    reference = REFERENCE["cbpp_logit_laplace_herd"]
    found = herds.influence("herd", exact=True)
    assert found.exact
    assert list(found.cooks_distance.index) == reference["groups"]
    np.testing.assert_allclose(found.dfbeta, reference["dfbeta"], atol=1e-6)
    np.testing.assert_allclose(found.dfbetas, reference["dfbetas"], atol=1e-5)
    np.testing.assert_allclose(found.cooks_distance, reference["cooks_distance"], rtol=1e-5)
    np.testing.assert_allclose(found.loglik, reference["logLik_without"], atol=1e-7)
    variance = herds.random_cov["herd"].iloc[0, 0] - found.variance_change["herd: (Intercept)"]
    np.testing.assert_allclose(np.sqrt(variance), reference["sd_without"], atol=1e-6)
    assert (found.notes == "").all()


def test_one_step_is_near(herds: ml.MixedModelResults) -> None:
    exact, step = herds.influence("herd", exact=True), herds.influence("herd")
    assert not step.exact
    np.testing.assert_allclose(step.dfbetas, exact.dfbetas, atol=0.05)
    assert step.cooks_distance.idxmax() == exact.cooks_distance.idxmax() == "11"
    assert "Without each herd (one step)" in str(step)
    assert str(step).splitlines()[2].split()[0] == "11"


def test_sleep_by_reml() -> None:
    reference = REFERENCE["sleepstudy_slope_reml_subject"]
    results = ml.fit("Reaction ~ Days + (Days | Subject)", ml.datasets.sleepstudy())
    found = results.influence("Subject")
    assert found.exact  # linear models always are
    np.testing.assert_allclose(found.dfbeta, reference["dfbeta"], atol=1e-6)
    np.testing.assert_allclose(found.cooks_distance, reference["cooks_distance"], rtol=1e-5)
    np.testing.assert_allclose(found.dfbetas, reference["dfbetas"], atol=1e-6)
    variances = np.array(reference["sd_corr_sigma_without"])[:, [0, 1, 3]] ** 2
    whole = [*np.diag(results.random_cov["Subject"]), results.residual_sd**2]
    np.testing.assert_allclose(np.array(whole) - found.variance_change, variances, rtol=1e-5)


def test_rows_of_a_regression(counts: pd.DataFrame) -> None:
    """Without random effects the step and Cook's distance have closed forms."""
    results = ml.fit("y ~ x", counts, family="poisson")
    found = results.influence()
    x = np.column_stack([np.ones(120), counts["x"]])
    mu = results.fittedvalues.to_numpy()
    score, information = x * (counts["y"] - mu).to_numpy()[:, None], x.T @ (mu[:, None] * x)
    for k in (0, 17, 119):
        rest = information - mu[k] * np.outer(x[k], x[k])
        change = np.linalg.solve(rest, score[k] - score.sum(axis=0))
        np.testing.assert_allclose(found.dfbeta.iloc[k], change, rtol=1e-6)
        np.testing.assert_allclose(found.dfbetas.iloc[k], change / np.sqrt(np.diag(np.linalg.inv(rest))), rtol=1e-6)
        assert found.cooks_distance.iloc[k] == pytest.approx(change @ information @ change / 2, rel=1e-6)


def test_least_squares_as_cook(counts: pd.DataFrame) -> None:
    results = ml.fit("y ~ x", counts)
    x = np.column_stack([np.ones(120), counts["x"]])
    hat = np.einsum("np,np->n", x, np.linalg.solve(x.T @ x, x.T).T)
    residual = (counts["y"] - results.fittedvalues).to_numpy()
    expected = residual**2 * hat / (1 - hat) ** 2 / (2 * results.residual_sd**2)
    np.testing.assert_allclose(results.influence().cooks_distance, expected, rtol=1e-8)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ x + (1 | g)", {"family": "poisson", "n_quadrature": 7}),
        ("y ~ x + (1 | g)", {"family": "negative_binomial", "zero_inflation": "~ x"}),
        ("y ~ x + offset(0.1 * x) + (1 | g) + (1 | h)", {"family": "poisson", "weights": "w"}),
    ],
)
def test_the_same_as_without_the_rows(counts: pd.DataFrame, formula: str, options: dict[str, object]) -> None:
    frame = counts.assign(h=np.arange(120) % 6, w=1.0 + np.arange(120) % 2)
    results = ml.fit(formula, frame, **options)
    found = results.influence("g", exact=True)
    for level in (2, 9):
        other = ml.fit(formula, frame[frame["g"] != level], **options)
        np.testing.assert_allclose(found.dfbeta.loc[level], results.params - other.params, atol=1e-5)
        assert found.loglik.loc[level] == pytest.approx(other.llf, abs=1e-6)
        change = results.random_cov["g"].iloc[0, 0] - other.random_cov["g"].iloc[0, 0]
        assert found.variance_change.loc[level, "g: (Intercept)"] == pytest.approx(change, abs=1e-4)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ x + (x | g)", {"family": "poisson"}),
        ("y ~ x + (1 | g)", {"family": "negative_binomial", "n_quadrature": 5, "weights": "w"}),
        ("y ~ x + (1 | g/h)", {"family": "poisson"}),
        ("z ~ x + (1 | g)", {"family": "gaussian", "method": "ml", "dispersion": "~ 1 + (1 | g)"}),
        ("o ~ x + (1 | g)", {"family": "cumulative"}),
    ],
)
def test_one_step_is_newton_of_the_other_rows(
    counts: pd.DataFrame, formula: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Levels at once, of parts and within them, against the likelihood of a model that is made without the level."""
    frame = counts.assign(h=np.arange(120) // 3 % 3, w=1.0 + np.arange(120) % 2, o=np.minimum(counts["y"], 3))
    rng = np.random.default_rng(4)
    spread, shift = np.exp(0.8 * rng.normal(size=12)), rng.normal(size=12)
    frame["z"] = frame["x"] + shift[frame["g"]] + spread[frame["g"]] * rng.normal(size=120)
    results = ml.fit(formula, frame, **options)
    for group in results.n_groups:
        together = results.influence(group)
        with monkeypatch.context() as patch:
            patch.setattr(influence, "_without_levels", lambda fit, codes: None)
            one_by_one = results.influence(group)
        assert (together.notes == one_by_one.notes).all()
        np.testing.assert_allclose(together.dfbetas, one_by_one.dfbetas, atol=1e-5)
        np.testing.assert_allclose(together.loglik, one_by_one.loglik, atol=1e-8)
        np.testing.assert_allclose(together.variance_change, one_by_one.variance_change, rtol=1e-4, atol=1e-6)


def test_a_variance_of_zero_stays_in_one_step(counts: pd.DataFrame) -> None:
    flat = counts.assign(y=np.tile([0, 1, 2, 1, 1], 24))
    results = ml.fit("y ~ x + (1 | g)", flat, family="poisson")
    assert results.singular
    step = results.influence("g")
    assert (step.variance_change == 0).all().all()
    assert np.isfinite(step.dfbetas).all().all()
    np.testing.assert_allclose(step.dfbetas, results.influence("g", exact=True).dfbetas, atol=0.05)


def test_what_the_other_rows_do_not_determine(counts: pd.DataFrame) -> None:
    only = counts.assign(f=pd.Categorical(np.where(counts["g"] == 3, "b", "a")))
    results = ml.fit("y ~ x + f + (1 | g)", only, family="poisson")
    for exact in (False, True):
        found = results.influence("g", exact=exact)
        assert np.isnan(found.cooks_distance[3])
        assert "do not determine" in found.notes[3]
        assert found.cooks_distance.drop(3).notna().all()
        assert "1 without numbers" in str(found)


def test_what_is_refused(herds: ml.MixedModelResults) -> None:
    with pytest.raises(ml.DataError, match="no grouping factor 'Herd'; the model has 'herd'"):
        herds.influence("Herd")
    exact = pd.DataFrame({"x": np.arange(12.0), "g": np.repeat(list("abc"), 4)})
    with pytest.raises(ml.DataError, match="no covariance of its coefficients"):
        ml.fit("y ~ x + (1 | g)", exact.assign(y=1 + 2 * exact["x"])).influence("g")
