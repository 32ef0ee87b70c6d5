"""Tests of variances: references, the mixtures against projections drawn at random, what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import multilevel as ml
from multilevel.inference import mixtures
from multilevel.inference.information_criteria import information_criteria
from multilevel.inference.variance_information import Direction, efficient_information

from .reference_files import read_data, read_numbers

pytestmark = pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
REFERENCE = read_numbers("after_the_fit")["variance_tests"]
SLEEP = {
    "intercept_vs_none": ("Reaction ~ Days + (1 | Subject)", ("Subject",)),
    "slope_and_corr_vs_intercept": ("Reaction ~ Days + (Days | Subject)", ("Subject", "Days")),
    "independent_slope_vs_intercept": ("Reaction ~ Days + (Days || Subject)", ("Subject", "Days")),
}


@pytest.mark.parametrize(
    ("method", "key"), [(m, k) for m in ("reml", "ml") for k in REFERENCE["sleepstudy"][m] if k in SLEEP]
)
def test_sleep(method: str, key: str) -> None:
    formula, tested = SLEEP[key]
    reference = REFERENCE["sleepstudy"][method][key]
    test = ml.fit(formula, ml.datasets.sleepstudy(), method=method).test_variance(*tested)
    assert test.chi2 == pytest.approx(reference["chisq"], abs=1e-6)
    assert test.p_value == pytest.approx(reference["p"], rel=1e-5)
    assert test.kind == "mixture"


@pytest.mark.parametrize(
    ("data", "formula", "family", "tested", "points", "key", "entry"),
    [
        ("cbpp", "cbind(incidence, size - incidence) ~ period + (1 | herd)", "binomial", ("herd",), 1, "cbpp_logit",
         "laplace"),
        ("cbpp", "cbind(incidence, size - incidence) ~ period + (1 | herd)", "binomial", ("herd",), 25, "cbpp_logit",
         "agq25"),
        ("hsb", "mathach ~ meanses * cses + sector * cses + (cses | school)", "gaussian", ("school", "cses"), 1,
         "hsb_slope", "reml"),
    ],
)  # fmt: skip
def test_others(
    data: str, formula: str, family: str, tested: tuple[str, ...], points: int, key: str, entry: str
) -> None:
    reference = REFERENCE[key][entry]
    test = ml.fit(formula, read_data(data), family=family, n_quadrature=points).test_variance(*tested)
    assert test.chi2 == pytest.approx(reference["chisq"], abs=1e-5)
    assert test.p_value == pytest.approx(reference["p"], rel=1e-5)


def test_published_mixture() -> None:
    assert mixtures.tail(38.34, {1: 0.5, 2: 0.5}) == pytest.approx(2.6606004114570717e-09, rel=1e-10)
    assert mixtures.tail(0.0, {0: 0.5, 1: 0.5}) == 1.0


def test_criteria_as_sas() -> None:
    """PROC GLIMMIX: -2 log L 13173.52 with two parameters, 94 schools, 13,082 rows; see its documentation."""

    design = SimpleNamespace(grouping_factors=(SimpleNamespace(levels=range(94)),))
    record = SimpleNamespace(
        design=design, n_observations=13_082, df_model=2, loglik=-13173.52 / 2, need_likelihood=lambda what: None
    )
    found = information_criteria(record, n="subjects")  # type: ignore[arg-type]
    expected = {"aic": 13177.52, "aicc": 13177.52, "bic": 13182.61, "caic": 13184.61, "hqic": 13179.58}
    for name, value in expected.items():  # all are rounded, the log-likelihood, too
        assert found[name] == pytest.approx(value, abs=0.011)


# ---- mixtures ----------------------------------------------------------------------------------------------------


def information(k: int, seed: int) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(k, k + 1))
    return root @ root.T


@pytest.mark.parametrize(("k", "seed"), [(2, 1), (2, 2), (3, 3)])
def test_orthants(k: int, seed: int) -> None:
    """The share with j degrees of freedom is the chance that j variances are above zero at the projection."""
    j = information(k, seed)
    root = np.linalg.cholesky(j)
    draws = np.random.default_rng(seed).multivariate_normal(np.zeros(k), np.linalg.inv(j), 3000)
    positive = [int((optimize.nnls(root.T, root.T @ draw)[0] > 0).sum()) for draw in draws]
    found = mixtures.of_variances(j)
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-12)
    for df, share in found.items():  # four standard errors of a share of 3000
        assert np.mean(np.array(positive) == df) == pytest.approx(share, abs=4 * np.sqrt(0.25 / 3000))


def test_covariance_matrix_in_the_plain_metric() -> None:
    """Independent entries, sqrt(2) on the covariance: a circular cone of 45 degrees, whose shares are known."""
    found = mixtures.of_covariance_matrix(np.diag([1.0, 2.0, 1.0]))
    solid = (1 - np.sqrt(0.5)) / 2
    np.testing.assert_allclose(list(found.values()), [solid, 0.5 - solid, 0.5 - solid, solid], rtol=1e-12)


def test_covariance_matrix_in_another_metric() -> None:
    j = information(3, 8)
    found = mixtures.of_covariance_matrix(j)
    a, b, c = np.random.default_rng(0).multivariate_normal(np.zeros(3), np.linalg.inv(j), 400_000).T
    assert found[3] == pytest.approx(np.mean((a > 0) & (a * c > b**2)), abs=4 * np.sqrt(0.25 / 400_000))
    s, t, u = np.random.default_rng(1).multivariate_normal(np.zeros(3), j, 400_000).T
    assert found[0] == pytest.approx(np.mean((s < 0) & (4 * s * u > t**2)), abs=4 * np.sqrt(0.25 / 400_000))


def test_information_from_the_definition() -> None:
    """tr(P V_a P V_b) / 2 with matrices of all rows, the residual variance and the kept variances taken out."""
    sleep = ml.datasets.sleepstudy().iloc[:90]
    sleep = sleep.assign(h=np.arange(90) % 7)
    small = ml.fit("Reaction ~ Days + (1 | Subject)", sleep).fit
    large = ml.fit("Reaction ~ Days + (Days || Subject) + (1 | h)", sleep).fit
    z = pd.get_dummies(sleep["Subject"].astype(str)).to_numpy(float)
    crossed = pd.get_dummies(sleep["h"]).to_numpy(float)
    days = sleep["Days"].to_numpy(float)
    x = np.column_stack([np.ones(90), days])
    v = small.sigma**2 * np.eye(90) + small.random_cov[0][0, 0] * z @ z.T
    inverse = np.linalg.inv(v)
    p = inverse - inverse @ x @ np.linalg.solve(x.T @ inverse @ x, x.T @ inverse)
    slopes = z * days[:, None]
    directions = [slopes @ slopes.T, crossed @ crossed.T, z @ z.T, np.eye(90)]
    j = np.array([[0.5 * np.trace(p @ a @ p @ b) for b in directions] for a in directions])
    expected = j[:2, :2] - j[:2, 2:] @ np.linalg.solve(j[2:, 2:], j[2:, :2])
    slope, one = np.zeros((2, 2)), np.ones((1, 1))
    slope[1, 1] = 1
    names = [large.design.grouping_factors[term.grouping_factor].name for term in large.design.random_terms]
    assert names == ["Subject", "h"]
    found = efficient_information(small, large.design, [Direction(0, slope), Direction(1, one)], [[0], []])
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.slow
def test_several_variances_hold_their_level() -> None:
    """Under the hypothesis p-values of the mixture are uniform below one half; plain ones would be far too large."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"g": np.repeat(np.arange(12), 10), "h": np.tile(np.arange(10), 12)})
    model = ml.MixedModel("y ~ 1 + (1 | g) + (1 | h)", frame.assign(y=rng.normal(size=120)))
    tests = [model.refit(rng.normal(size=120)).test_variance(["g", "h"]) for _ in range(150)]
    assert tests[0].mixture[2] == pytest.approx(0.25, abs=0.02)  # balanced: nearly independent
    p = np.array([test.p_value for test in tests])
    assert stats.binomtest(int((p < 0.2).sum()), len(p), 0.2).pvalue > 1e-3
    assert stats.binomtest(int((p < 0.05).sum()), len(p), 0.05).pvalue > 1e-3


# ---- what is tested, and what is not -----------------------------------------------------------------------------


def test_several_factors_at_once() -> None:
    results = ml.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", ml.datasets.penicillin())
    test = results.test_variance(["plate", "sample"])
    assert test.df == 2
    assert sum(test.mixture.values()) == pytest.approx(1.0)
    assert "without plate: (Intercept), sample: (Intercept)" in str(test)
    alone = results.test_variance("plate")
    smaller = ml.fit("diameter ~ 1 + (1 | sample)", ml.datasets.penicillin())
    assert alone.loglik_without == pytest.approx(smaller.llf, abs=1e-8)


def test_bounds_and_approximations() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {"g": np.repeat(np.arange(20), 10), "x": rng.normal(size=200), "t": np.tile(np.arange(10), 20) // 2}
    )
    frame["y"] = frame["x"] * rng.normal(size=20)[frame["g"]] + rng.normal(size=200)
    three = ml.fit("y ~ x + t + (x + t | g)", frame).test_variance("g")
    assert (three.kind, three.df, three.mixture) == ("bound", 6, {5: 0.5, 6: 0.5})
    shared = ml.fit("y ~ x + cs(factor(t) + 0 | g)", frame).test_variance("g")
    assert shared.kind == "approximate"
    assert shared.p_value == pytest.approx(stats.chi2.sf(shared.chi2, shared.df))
    zero = ml.fit("z ~ 1 + (1 | g)", frame.assign(z=np.tile([0.0, 1.0], 100)), method="ml").test_variance("g")
    assert (zero.chi2, zero.p_value) == (0.0, 1.0)


def test_a_part_beside_the_mean() -> None:
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(30), 12)
    frame = pd.DataFrame({"g": g, "y": rng.normal(size=360) * np.exp(0.6 * rng.normal(size=30))[g]})
    results = ml.fit("y ~ 1", frame, dispersion="~ 1 + (1 | g)")
    test = results.test_variance("g", part="dispersion")
    assert test.loglik_without == pytest.approx(ml.fit("y ~ 1", frame).llf, abs=1e-7)
    assert test.p_value < 1e-6
    with pytest.raises(ml.DataError, match="in the mean; there are none"):
        results.test_variance("g")


def test_what_is_refused() -> None:
    results = ml.fit("Reaction ~ Days + (Days | Subject)", ml.datasets.sleepstudy())
    for tested, message in (
        (("Subject", "(Intercept)"), "cannot be tested while its effect of 'Days' stays"),
        (("Subject", "days"), "no random effect 'days'"),
        (("Dog",), "no random effects of a grouping factor 'Dog'"),
        (([],), "name a grouping factor"),
        ((["Subject", "Dog"], "Days"), "one grouping factor"),
    ):
        with pytest.raises(ml.DataError, match=message):
            results.test_variance(*tested)
    shared = ml.fit("Reaction ~ Days + homdiag(Days | Subject)", ml.datasets.sleepstudy())
    with pytest.raises(ml.DataError, match="no effect has a variance of its own"):
        shared.test_variance("Subject", "Days")
