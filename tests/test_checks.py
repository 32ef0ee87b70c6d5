"""Quantile residuals and what is tested of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import multilevel as ml
from multilevel.checks import row_tests
from multilevel.checks.drawn_effects import drawn_effects
from multilevel.checks.quantile import normal_scores, row_intervals
from multilevel.family.cumulative import interval

from .reference_files import read_data, read_numbers

pytestmark = pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
PIT = read_numbers("after_the_fit")["pit"]


def reference_fit(key: str) -> ml.MixedModelResults:
    if key.startswith("cbpp"):
        formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        return ml.fit(formula, ml.datasets.cbpp(), family="binomial", n_quadrature=25)
    epil = read_data("epil")
    epil["visit"] = (epil["period"] - 2.5) / 5
    slope = key.startswith("epil_slope")
    formula = "y ~ lbase * trt + lage + " + ("visit + (visit | subject)" if slope else "V4 + (1 | subject)")
    return ml.fit(formula, epil, family="poisson", n_quadrature=15 if slope else 25)


# ---- residuals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", PIT)
def test_intervals_of_direct_quadrature(key: str) -> None:
    fit = reference_fit(key).fit
    rows = PIT[key]["rows"]
    at = [row["row"] - 1 for row in rows]
    names = (("conditional", "conditional"), ("marginal", "integrated"), ("zero", "zero"))
    for random, name in names:
        found = row_intervals(fit, random, np.random.default_rng(0))
        for ends, part in ((found.below, "below"), (found.to, "at")):
            np.testing.assert_allclose(ends[at], [row[f"F_{part}_{name}"] for row in rows], atol=2e-8)


def test_gaussian_residuals_need_no_random_numbers() -> None:
    results = ml.fit("Reaction ~ Days + (Days | Subject)", ml.datasets.sleepstudy())
    scaled = results.residuals("response") / results.residual_sd
    quantile = results.residuals("quantile")
    np.testing.assert_allclose(quantile, scaled, rtol=1e-9)
    assert quantile.equals(results.residuals("quantile", seed=5))
    marginal = results.residuals("quantile", random="marginal")
    z = np.column_stack([np.ones(180), ml.datasets.sleepstudy()["Days"]])
    covariance = results.random_cov["Subject"].to_numpy()
    sd = np.sqrt(results.residual_sd**2 + np.einsum("na,ab,nb->n", z, covariance, z))
    fixed = ml.datasets.sleepstudy()["Reaction"] - results.predict(random="zero")
    np.testing.assert_allclose(marginal, fixed / sd, atol=1e-7)


@pytest.mark.parametrize("shift", [30.0, -30.0, 1e3])
def test_far_out_residuals_keep_their_digits(shift: float) -> None:
    found = interval(ml.Family("gaussian"), np.zeros(1), np.zeros(1), np.array([shift]))
    scores = normal_scores(*found.at(np.array([0.5])))
    assert scores[0] == pytest.approx(shift if abs(shift) < 38 else 38.47, rel=1e-3 if shift > 100 else 1e-9)


def test_seeds() -> None:
    results = reference_fit("cbpp_logit_agq25")
    one = results.residuals("quantile")
    assert one.equals(results.residuals("quantile", seed=0))
    assert not one.equals(results.residuals("quantile", seed=1))
    assert not results.residuals("quantile", seed=None).equals(one)


def test_what_is_refused() -> None:
    results = reference_fit("cbpp_logit_agq25")
    with pytest.raises(ml.DataError, match="random='drawn' goes with kind='quantile'"):
        results.residuals(random="drawn")
    with pytest.raises(ml.DataError, match="random='modes' is not known"):
        results.residuals("quantile", random="modes")
    with pytest.raises(ValueError, match=r"residuals of kind 'working' are not available.*'quantile'"):
        results.residuals("working")
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": np.repeat(np.arange(20), 10), "y": rng.normal(size=200)})
    spread = ml.fit("y ~ 1", frame, dispersion="~ 1 + (1 | g)")
    with pytest.raises(ml.DataError, match="random effects in the mean alone"):
        spread.residuals("quantile", random="marginal")
    assert np.isfinite(spread.residuals("quantile", random="drawn")).all()


# ---- drawn effects -----------------------------------------------------------------------------------------------


class Given:
    """In place of a generator: the next of some normal numbers."""

    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers, self.at = numbers, 0

    def standard_normal(self, size: int | tuple[int, ...]) -> np.ndarray:
        first, self.at = self.at, self.at + int(np.prod(size))
        return self.numbers[first : self.at].reshape(size)


@pytest.mark.parametrize(
    "formula", ["y ~ x + (x | g)", "y ~ x + (1 | g) + (1 | h)", "y ~ x + (x | g) + (0 + x | h) + (1 | h)"]
)
def test_draws_have_the_conditional_distribution(formula: str) -> None:
    """The covariance of draws of a linear model against the dense formula."""
    rng = np.random.default_rng(6)
    n = 60
    frame = pd.DataFrame({"x": rng.normal(size=n), "g": np.arange(n) % 5, "h": np.arange(n) // 15})
    frame["y"] = rng.normal(size=5)[frame["g"]] + rng.normal(size=4)[frame["h"]] * (1 + frame["x"]) + rng.normal(size=n)
    fit = ml.fit(formula, frame, method="ml").fit
    blocks, prior = [], []
    for index, factor in enumerate(fit.design.grouping_factors):
        terms = [t for t in fit.design.random_terms if t.grouping_factor == index]
        covariances = [
            c for t, c in zip(fit.design.random_terms, fit.random_cov, strict=True) if t.grouping_factor == index
        ]
        columns = [np.ones(n) if c is None else c for t in terms for c in t.columns]
        sigma = np.zeros((len(columns), len(columns)))
        end = 0
        for own in covariances:
            sigma[end : end + len(own), end : end + len(own)] = own
            end += len(own)
        indicator = (factor.codes[:, None] == np.arange(len(factor.levels))).astype(float)
        for level in range(len(factor.levels)):
            blocks += [indicator[:, level] * column for column in columns]
            prior.append(sigma)
    z = np.column_stack(blocks)
    whole = np.zeros((z.shape[1], z.shape[1]))
    end = 0
    for own in prior:
        whole[end : end + len(own), end : end + len(own)] = own
        end += len(own)
    v = fit.sigma**2 * np.eye(n) + z @ whole @ z.T
    expected = whole - whole @ z.T @ np.linalg.solve(v, z @ whole)
    modes = np.concatenate([own.ravel() for own in fit.modes])

    def draw(normal: np.ndarray) -> np.ndarray:
        return np.concatenate([own.ravel() for own in drawn_effects(fit, Given(normal))]) - modes

    most = n + len(modes)
    np.testing.assert_array_equal(draw(np.zeros(most)), 0.0)
    by_number = np.array([draw(own) for own in np.eye(most)])  # a draw is linear in its normal numbers
    np.testing.assert_allclose(by_number.T @ by_number, expected, atol=1e-7 * np.abs(expected).max())


# ---- tests of rows -----------------------------------------------------------------------------------------------


def test_number_of_zeros_by_convolution() -> None:
    p = np.array([0.1, 0.5, 0.3, 0.8])
    observed = np.array([True, True, True, False])
    total = dict.fromkeys(range(5), 0.0)
    for code in range(16):
        bits = np.array([code >> k & 1 for k in range(4)])
        total[bits.sum()] += np.prod(np.where(bits == 1, p, 1 - p))
    test = row_tests.zeros(observed, p)
    assert test.p_value == pytest.approx(min(1, 2 * min(sum(total[k] for k in range(4)), total[3] + total[4])))
    many = row_tests.zeros(np.arange(4000) < 1450, np.full(4000, 0.35))
    exact = 2 * stats.binom.sf(1449, 4000, 0.35)
    assert many.p_value == pytest.approx(exact, rel=0.02)


def test_single_tests_against_scipy() -> None:
    scores = np.random.default_rng(2).normal(size=200) * 1.2
    assert row_tests.spread(scores, 3).p_value == pytest.approx(2 * stats.chi2.sf(np.sum(scores**2), 197))
    codes = (np.arange(200) % 8).astype(np.int32)
    found = row_tests.spread_by_level(scores, codes, 8)
    expected = stats.f_oneway(*(np.abs(scores[codes == k]) for k in range(8)))
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert row_tests.farthest(np.array([1.0, -3.0]), "b").p_value == pytest.approx(1 - (1 - 2 * stats.norm.sf(3)) ** 2)
    assert row_tests.farthest(np.array([0.0, 38.0]), "b").p_value < 1e-300


def test_quarters_along_a_predictor() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=400)
    wrong, right = row_tests.along(x**2 - 1, x), row_tests.along(rng.normal(size=400), x)
    assert wrong.p_value < 1e-20 < 0.001 < right.p_value
    assert row_tests.along(x, np.zeros(400)) is None
    assert row_tests.along(x[:20], x[:20]) is None


# ---- the page ----------------------------------------------------------------------------------------------------


def frame_of(seed: int, n: int = 400, m: int = 40) -> tuple[pd.DataFrame, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=n), "g": np.arange(n) % m})
    return frame, 0.5 + 0.3 * frame["x"].to_numpy() + 0.5 * rng.normal(size=m)[frame["g"]], rng


def test_the_right_model_passes() -> None:
    frame, eta, rng = frame_of(1)
    frame["y"] = rng.poisson(np.exp(eta))
    found = ml.fit("y ~ x + (1 | g)", frame, family="poisson").check()
    assert not len(found.suspicious)
    assert found.notes[0].startswith("No test speaks against the model")
    assert set(found.table["check"]) >= {
        "uniformity",
        "dispersion",
        "zeros",
        "farthest row",
        "equal spread",
        "normality",
    }
    assert found.table["p_value"].between(0, 1).all()


def test_what_is_wrong_is_seen() -> None:
    frame, eta, rng = frame_of(2)
    frame["y"] = rng.negative_binomial(1, 1 / (1 + np.exp(eta)))
    found = ml.fit("y ~ x + (1 | g)", frame, family="poisson").check()
    assert "dispersion" in set(found.suspicious["check"])
    frame["y"] = rng.poisson(np.exp(eta)) * rng.binomial(1, 0.6, 400)
    found = ml.fit("y ~ x + (1 | g)", frame, family="poisson").check()
    assert "zeros" in set(found.suspicious["check"])
    frame["y"] = eta + frame["x"] ** 2 + 0.3 * rng.normal(size=400)
    found = ml.fit("y ~ x + (1 | g)", frame).check()
    assert "quarters along the fixed part" in set(found.suspicious["check"])
    frame["y"] = eta + rng.normal(size=400) * np.where(frame["g"] % 2, 0.3, 1.5)
    found = ml.fit("y ~ x + (1 | g)", frame).check()
    assert "equal spread" in set(found.suspicious["check"])
    frame["y"] = eta + 0.3 * rng.normal(size=400)
    frame.loc[17, "y"] += 4
    found = ml.fit("y ~ x + (1 | g)", frame).check()
    assert "row 17" in found.suspicious.set_index("check").loc["farthest row", "seen"]
    two_kinds = np.where(np.arange(40) % 8 == 0, 4.0, 0.0)[frame["g"]]
    found = ml.fit("y ~ x + (1 | g)", frame.assign(y=eta - 0.5 + two_kinds + 0.3 * rng.normal(size=400))).check()
    assert "normality" in set(found.suspicious["check"])
    assert "random effects are not normal" in str(found)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("binomial", {}),
        ("gamma", {"zero_inflation": "~ x"}),
        ("negative_binomial", {"hurdle": True}),
        ("truncated_poisson", {}),
        ("beta", {}),
        ("tweedie", {}),
        ("student_t", {"dispersion": "~ x"}),
    ],
)
def test_every_kind_of_model(family: str, options: dict[str, object]) -> None:
    frame, eta, rng = frame_of(3, 120, 12)
    own = {
        "binomial": lambda: rng.binomial(1, 1 / (1 + np.exp(-eta))),
        "gamma": lambda: rng.gamma(2, np.exp(eta) / 2) * rng.binomial(1, 0.7, 120),
        "negative_binomial": lambda: rng.negative_binomial(2, 2 / (2 + np.exp(eta))),
        "truncated_poisson": lambda: stats.poisson.ppf(
            1 - rng.uniform(size=120) * -np.expm1(-np.exp(eta)), np.exp(eta)
        ),
        "beta": lambda: rng.beta(3 / (1 + np.exp(-eta)), 3 / (1 + np.exp(eta))),
        "tweedie": lambda: rng.poisson(np.exp(eta)) * rng.gamma(2, 1, 120),
        "student_t": lambda: eta + rng.standard_t(5, 120),
    }
    results = ml.fit("y ~ x + (1 | g)", frame.assign(y=own[family]()), family=family, **options)
    found = results.check()
    assert found.table["p_value"].between(0, 1).all()
    for random in ("conditional", "drawn", "marginal"):
        values = results.residuals("quantile", random=random)
        assert np.isfinite(values).all()
        assert abs(values.mean()) < 0.35
        assert 0.6 < values.std() < 1.4


def test_no_page_without_a_distribution() -> None:
    exact = pd.DataFrame({"x": np.arange(12.0), "g": np.repeat(list("abc"), 4)})
    results = ml.fit("y ~ x + (1 | g)", exact.assign(y=1 + 2 * exact["x"]))
    for call in (results.check, lambda: results.residuals("quantile")):
        with pytest.raises(ml.DataError, match="no distribution of its rows"):
            call()


# ---- collinearity, link, probabilities ---------------------------------------------------------------------------


def test_collinearity_as_car() -> None:
    # car 3.1-1: vif(lmer(age ~ urban + livch + use + (1 | district), Contraception))
    results = ml.fit("age ~ urban + livch + use + (1 | district)", read_data("Contraception"))
    table = results.collinearity()
    assert table["df"].tolist() == [1, 3, 1]
    np.testing.assert_allclose(table["gvif"], [1.024605073, 1.043092808, 1.059305942], rtol=1e-6)
    np.testing.assert_allclose(table["per_coefficient"], [1.012227777, 1.007056473, 1.029225895], rtol=1e-6)
    one = ml.fit("Reaction ~ Days + (1 | Subject)", ml.datasets.sleepstudy())
    assert not len(one.collinearity())


def test_collinearity_is_noted() -> None:
    frame, eta, rng = frame_of(4)
    frame["z"] = frame["x"] + 0.05 * rng.normal(size=400)
    results = ml.fit("y ~ x + z + (1 | g)", frame.assign(y=eta + rng.normal(size=400)))
    assert any(note.startswith("Collinearity") for note in results.check().notes)


def test_link_test() -> None:
    frame, eta, rng = frame_of(5, 3000, 60)
    counts = frame.assign(y=rng.poisson((2 + eta) ** 2))
    wrong = ml.fit("y ~ x + (1 | g)", counts, family="poisson").linktest()
    right = ml.fit("y ~ x + (1 | g)", counts, family="poisson", link="sqrt").linktest()
    assert wrong.loc["fitted squared", "p_value"] < 0.005 < 0.05 < right.loc["fitted squared", "p_value"]
    by_hand = ml.fit("y ~ x + (1 | g)", frame.assign(y=eta + rng.normal(size=3000)))
    fixed = by_hand.predict(random="zero")
    again = ml.fit("y ~ f + I(f**2) + (1 | g)", frame.assign(y=by_hand.fit.design.response.values, f=fixed))
    assert by_hand.linktest().loc["fitted squared", "statistic"] == pytest.approx(again.tvalues.iloc[-1], rel=1e-6)
    with pytest.raises(ml.DataError, match="the same in all rows"):
        ml.fit("y ~ 1 + (1 | g)", frame.assign(y=eta)).linktest()
    with pytest.raises(ml.DataError, match="two values only"):
        ml.fit("y ~ I(x > 0) + (1 | g)", frame.assign(y=eta)).linktest()


def test_probabilities() -> None:
    frame, eta, rng = frame_of(6, 2000, 50)
    good = ml.fit("y ~ x + (1 | g)", frame.assign(y=rng.binomial(1, 1 / (1 + np.exp(-eta)))), family="binomial")
    curve = 1 / (1 + np.exp(-2 * frame["x"] ** 2 + 1))
    bad = ml.fit("y ~ x + (1 | g)", frame.assign(y=rng.binomial(1, curve)), family="binomial")
    assert good.lack_of_fit().p_value > 0.01
    assert bad.check().table["p_adjusted"].min() < 1e-6
    with pytest.raises(ml.DataError, match="one trial per row"):
        reference_fit("cbpp_logit_agq25").lack_of_fit()


def test_sum_of_squares_by_hand() -> None:
    """Without random effects: Hosmer and others' z from weighted regression, written from its definition."""
    frame, eta, rng = frame_of(7)
    results = ml.fit("y ~ x", frame.assign(y=rng.binomial(1, 1 / (1 + np.exp(-eta)))), family="binomial")
    y, mu = results.fit.design.response.values, results.fittedvalues.to_numpy()
    w = mu * (1 - mu)
    x = np.column_stack([np.ones(400), frame["x"]])
    c = 1 - 2 * mu
    left = c - x @ np.linalg.solve(x.T @ (w[:, None] * x), x.T @ (w * c))
    z = (np.sum((y - mu) ** 2) - w.sum()) / np.sqrt(np.sum(w * left**2))
    assert results.lack_of_fit().statistic == pytest.approx(z, rel=1e-8)


def test_quasi_likelihood_has_no_distribution() -> None:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    results = ml.fit(formula, ml.datasets.cbpp(), family="binomial", method="pql")
    for call in (
        results.check,
        results.drop1,
        lambda: results.residuals("quantile"),
        lambda: results.test_variance("herd"),
        lambda: results.rank(results),
    ):
        with pytest.raises(ml.DataError, match="likelihood"):
            call()
    assert results.wald_test("period[2] = 0").p_value < 0.05
    found = results.influence("herd")
    without = ml.datasets.cbpp().query("herd != '11'")
    again = ml.fit(formula, without, family="binomial", method="pql")
    np.testing.assert_allclose(found.dfbeta.loc["11"], results.params - again.params, atol=1e-6)
    assert np.isfinite(results.linktest()["statistic"]).all()


def test_a_family_of_the_users_own() -> None:
    """What needs the likelihood alone is there, and the same as for the twin of the library."""
    frame, eta, rng = frame_of(9, 160, 16)
    frame = frame.assign(y=rng.poisson(np.exp(eta)), h=np.arange(160) // 20)
    own = ml.CustomFamily(
        "own", lambda y, eta: y * eta - np.exp(eta) - special.gammaln(y + 1), support="counts", log_concave=True
    )
    one, two = (ml.fit("y ~ x + (1 | g) + (1 | h)", frame, family=family) for family in (own, "poisson"))
    np.testing.assert_allclose(one.drop1()["loglik"], two.drop1()["loglik"], atol=1e-6)
    np.testing.assert_allclose(one.influence("h").dfbetas, two.influence("h").dfbetas, atol=1e-3)
    first, second = (results.test_variance(["g", "h"]) for results in (one, two))
    np.testing.assert_allclose(list(first.mixture.values()), list(second.mixture.values()), atol=1e-3)
    assert one.linktest()["p_value"].iloc[-1] == pytest.approx(two.linktest()["p_value"].iloc[-1], abs=1e-3)
    for call in (one.check, lambda: one.residuals("quantile", random="marginal")):
        with pytest.raises(ml.DataError, match="no cumulative probabilities"):
            call()
