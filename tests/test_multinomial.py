"""Categories without an order: against a likelihood from its definition, other programs, and the literature."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel import _core
from multilevel.errors import DataError, SeparationWarning
from multilevel.fitting.core_model import core_response

from .choice_likelihood import Array, Effects, category_sets, differences, loglik, several_factors

pytestmark = pytest.mark.filterwarnings("ignore::multilevel.errors.QuadratureWarning")  # groups are small

FOODS = ["fish", "invertebrates", "reptiles", "birds", "other"]
# Agresti (2002), Categorical Data Analysis, 2nd edition, table 7.1 over both sexes
COUNTS = {
    ("Hancock", "small"): [23, 4, 2, 2, 8],
    ("Hancock", "large"): [7, 0, 1, 3, 5],
    ("Oklawaha", "small"): [5, 11, 1, 0, 3],
    ("Oklawaha", "large"): [13, 8, 6, 1, 0],
    ("Trafford", "small"): [5, 11, 2, 1, 5],
    ("Trafford", "large"): [8, 7, 6, 3, 5],
    ("George", "small"): [16, 19, 1, 2, 3],
    ("George", "large"): [17, 1, 0, 1, 3],
}
# the same, table 7.2: intercept, small, Hancock, Oklawaha, Trafford, each against fish; and their standard errors
PUBLISHED = [
    [-1.55, 1.46, -1.66, 0.94, 1.12],
    [-3.31, -0.35, 1.24, 2.46, 2.94],
    [-2.09, -0.63, 0.70, -0.65, 1.09],
    [-1.90, 0.33, 0.83, 0.01, 1.52],
]
ERRORS = [[0.40, 0.61, 0.47, 0.49], [0.58, 1.19, 1.12, 1.12], [0.64, 0.78, 1.20, 0.84], [0.45, 0.56, 0.78, 0.62]]


def alligators() -> pd.DataFrame:
    rows = [(lake, size, food, n) for (lake, size), own in COUNTS.items() for food, n in zip(FOODS, own, strict=True)]
    frame = pd.DataFrame(rows, columns=["lake", "size", "food", "n"])
    frame["lake"] = pd.Categorical(frame["lake"], ["George", "Hancock", "Oklawaha", "Trafford"])
    frame["size"] = pd.Categorical(frame["size"], ["large", "small"])
    return frame


def drawn(seed: int, n: int = 40, k: int = 4, groups: int = 4) -> pd.DataFrame:
    """Every category occurs, and groups differ."""
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=n), rng.integers(0, groups, n)
    eta = np.outer(x, 0.4 * np.arange(k)) + rng.normal(size=(groups, k))[g] + rng.gumbel(size=(n, k))
    y = np.argmax(eta, axis=1)
    y[:k] = np.arange(k)
    return pd.DataFrame({"y": y, "x": x + 3.0, "g": g})


def full_factor(theta: Array, q: int) -> Array:
    """Lower triangle, column by column."""
    factor, at = np.zeros((q, q)), 0
    for c in range(q):
        factor[c:, c] = theta[at : at + q - c]
        at += q - c
    return factor


def evaluated(model: ml.MixedModel, psi: Array, points: int, threads: int = 1) -> tuple[float, Array, Array]:
    return _core.evaluate(model._core, core_response(model.design), psi, points, threads)


# ---- the likelihood ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("base", "slopes"), [(0, True), (2, False)])
def test_laplace_is_that_of_the_definition(base: int, slopes: bool) -> None:
    data = drawn(1, n=24, groups=2)
    model = ml.MixedModel(f"y ~ x + ({'1 + x' if slopes else '1'} | g)", data, "multinomial", base=base)
    x = np.column_stack([np.ones(len(data)), data["x"]])
    sets = category_sets(x, x if slopes else x[:, :1], data["y"].to_numpy(), data["g"].to_numpy(), 4, base)
    p, q = 6, 6 if slopes else 3
    psi = np.random.default_rng(2).normal(size=p + q * (q + 1) // 2) * 0.5

    def expected(at: Array) -> float:
        return loglik(sets, at[:p], full_factor(at[p:], q))

    value, gradient, _ = evaluated(model, psi, 1)
    assert value == pytest.approx(expected(psi), abs=1e-10)
    np.testing.assert_allclose(gradient, differences(expected, psi), atol=2e-7)


@pytest.mark.parametrize("nested", [False, True])
def test_several_factors(nested: bool) -> None:
    """Crossed and nested grouping factors: the definition, with all random effects at once."""
    data = drawn(21, n=48, k=3, groups=6)
    data["h"] = data["g"] % 2 if nested else np.arange(48) % 5
    model = ml.MixedModel("y ~ x + (1 | g) + (1 + x || h)", data, "multinomial")
    x = np.column_stack([np.ones(len(data)), data["x"]])
    g, h = data["g"].to_numpy(), data["h"].to_numpy()
    sets = category_sets(x, x, data["y"].to_numpy(), g, 3)
    of_g = [own.z for own in category_sets(x, x[:, :1], data["y"].to_numpy(), g, 3)]
    of_h = [own.z for own in sets]
    psi = np.array([0.3, -0.2, -0.4, 0.1, 0.9, -0.5, 0.7, 0.4, 0.2, 0.6, 0.3])

    def expected(at: Array) -> float:
        effects = [Effects(g, of_g, full_factor(at[4:7], 2)), Effects(h, of_h, np.diag(at[7:]))]
        return several_factors(sets, at[:4], effects)

    value, gradient, _ = evaluated(model, psi, 1)
    assert value == pytest.approx(expected(psi), abs=1e-10)
    np.testing.assert_allclose(gradient, differences(expected, psi), atol=2e-7)
    for threads in (2, 3):
        again = evaluated(model, psi, 1, threads)
        assert again[0] == value
        np.testing.assert_array_equal(again[1], gradient)


@pytest.mark.parametrize("points", [3, 8])
def test_quadrature_is_that_of_the_definition(points: int) -> None:
    data = drawn(3, k=3)
    model = ml.MixedModel("y ~ x + (1 | g)", data, "multinomial")
    x = np.column_stack([np.ones(len(data)), data["x"]])
    sets = category_sets(x, x[:, :1], data["y"].to_numpy(), data["g"].to_numpy(), 3)
    psi = np.array([0.3, -0.2, -0.4, 0.1, 0.9, -0.5, 0.7])

    def expected(at: Array) -> float:
        return loglik(sets, at[:4], full_factor(at[4:], 2), points)

    value, gradient, hessian = evaluated(model, psi, points)
    assert value == pytest.approx(expected(psi), abs=1e-10)
    np.testing.assert_allclose(gradient, differences(expected, psi), atol=2e-7)
    by_differences = [differences(lambda at, k=k: evaluated(model, at, points)[1][k], psi, 1e-4) for k in range(7)]
    np.testing.assert_allclose(hessian, by_differences, atol=1e-5)


def test_columns_far_from_zero_are_shifted_inside() -> None:
    data = drawn(5, n=200, k=3, groups=12)
    near = ml.fit("y ~ x + (1 | g)", data, "multinomial")
    far = ml.fit("y ~ x + (1 | g)", data.assign(x=data["x"] + 1e6), "multinomial")
    assert far.converged
    assert far.llf == pytest.approx(near.llf, abs=1e-7)
    slopes = [name for name in near.params.index if name.endswith(": x")]
    np.testing.assert_allclose(far.params[slopes], near.params[slopes], rtol=1e-5)
    np.testing.assert_allclose(far.predict(kind="probabilities"), near.predict(kind="probabilities"), atol=1e-6)


# ---- numbers from elsewhere ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "points", "bar"),
    [
        ("laplace", 1, "(1 | g)"),
        ("agq11", 11, "(1 | g)"),
        ("agq21", 21, "(1 | g)"),
        ("independent_agq11", 11, "(1 || g)"),
    ],
)
def test_simulated_data(
    reference_data: Callable[[str], pd.DataFrame],
    reference_numbers: Callable[[str], dict[str, Any]],
    name: str,
    points: int,
    bar: str,
) -> None:
    expected = reference_numbers("multinom_sim")["fits"][name]
    results = ml.fit(f"y ~ x + trt + {bar}", reference_data("multinom_sim"), "multinomial", n_quadrature=points)
    assert results.converged
    assert results.llf == pytest.approx(expected["logLik"], rel=1e-8)
    errors = np.array([own["se"] for own in expected["fixed"]])
    estimates = np.array([own["estimate"] for own in expected["fixed"]])
    np.testing.assert_allclose(results.params, estimates, rtol=0, atol=1e-4 * errors.min())
    np.testing.assert_allclose(results.bse, errors, rtol=1e-4)
    np.testing.assert_allclose(results.fit.random_cov[0], expected["random"][0]["cov"], rtol=2e-5, atol=1e-7)
    modes = results.random_effects()["mode"].to_numpy().reshape(2, -1).T[:10]
    np.testing.assert_allclose(modes, expected["ranef_mode_first10"], atol=1e-5)
    assert results.bic == pytest.approx(expected["BIC"], rel=1e-8)
    assert list(results.params.index[:2]) == ["B: (Intercept)", "B: x"]


def test_alligators_as_published() -> None:
    results = ml.fit("food ~ size + lake", alligators(), "multinomial", levels=FOODS, weights="n")
    np.testing.assert_allclose(results.params.to_numpy().reshape(4, 5), PUBLISHED, atol=0.0051)
    np.testing.assert_allclose(results.bse.to_numpy().reshape(4, 5)[:, 1:], ERRORS, atol=0.0051)
    # its deviance against the saturated model: G2 = 17.08 with 12 degrees of freedom
    counts = np.array(list(COUNTS.values()), dtype=float)
    share = counts / counts.sum(axis=1, keepdims=True)
    saturated = np.sum(counts[counts > 0] * np.log(share[counts > 0]))
    assert 2 * (saturated - results.llf) == pytest.approx(17.08, abs=0.006)


def test_a_weight_is_that_many_rows() -> None:
    data = alligators().query("n > 0")
    weighted = ml.fit("food ~ size + lake", data, "multinomial", weights="n")
    repeated = ml.fit("food ~ size + lake", data.loc[data.index.repeat(data["n"])], "multinomial")
    assert weighted.llf == pytest.approx(repeated.llf, abs=1e-9)
    np.testing.assert_allclose(weighted.params, repeated.params, atol=1e-6)
    assert repeated.nobs == 219


def test_anova_tests_a_term_in_all_categories() -> None:
    results = ml.fit("food ~ size + lake", alligators(), "multinomial", levels=FOODS, weights="n")
    at = [name for name in results.params.index if "size" in name]
    covariance = results.cov_params().loc[at, at].to_numpy()
    wald = results.params[at] @ np.linalg.solve(covariance, results.params[at])
    table = results.anova(type=3)
    assert table.loc["size", "df"] == 4
    assert table.loc["size", "chi2"] == pytest.approx(wald)
    assert table.loc["lake", "df"] == 12


# ---- invariances ---------------------------------------------------------------------------------------------------


def test_any_base_is_the_same_model() -> None:
    data = drawn(7, n=240, k=3, groups=16)
    first, second, third = (ml.fit("y ~ x + (1 | g)", data, "multinomial", base=base) for base in (0, 1, 2))
    assert second.llf == pytest.approx(first.llf, abs=1e-8)
    assert third.llf == pytest.approx(first.llf, abs=1e-8)
    assert third.params["0: x"] == pytest.approx(-first.params["2: x"], abs=1e-6)
    assert third.params["1: x"] == pytest.approx(first.params["1: x"] - first.params["2: x"], abs=1e-6)
    np.testing.assert_allclose(third.predict(), first.predict(), atol=1e-6)


@pytest.mark.parametrize("points", [1, 3])
def test_the_same_bits_for_any_number_of_threads(points: int) -> None:
    model = ml.MixedModel("y ~ x + (1 | g)", drawn(9, n=6000, k=4, groups=300), "multinomial")
    psi = np.array([0.2, 0.1, -0.3, 0.4, 0.1, 0.2, 0.9, -0.2, 0.1, 1.1, 0.3, 0.8])
    one, two = (evaluated(model, psi, points, threads) for threads in (1, 2))
    assert one[0] == two[0]
    assert np.array_equal(one[1], two[1])
    assert np.array_equal(one[2], two[2])


# ---- after the fit -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results() -> ml.MixedModelResults:
    return ml.fit("y ~ x + (1 | g)", drawn(11, n=240, k=3, groups=16), "multinomial")


def test_probabilities(results: ml.MixedModelResults) -> None:
    probabilities = results.predict(kind="probabilities")
    assert list(probabilities.columns) == ["0", "1", "2"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-14)
    eta = results.predict(kind="link").to_numpy()
    assert not eta[:, 0].any()
    np.testing.assert_allclose(probabilities, np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(eta, results.fit.eta, atol=1e-12)
    again = drawn(11, n=240, k=3, groups=16)
    np.testing.assert_allclose(results.predict(again, kind="link"), eta, atol=1e-12)
    chosen = results.predict(kind="class")
    assert (chosen == probabilities.idxmax(axis=1)).all()
    fixed = results.predict(again, kind="link", random="zero").to_numpy()
    coefficients = results.params.to_numpy().reshape(2, 2)
    np.testing.assert_allclose(fixed[:, 1:], coefficients[:, :1].T + np.outer(again["x"], coefficients[:, 1]))


def test_probabilities_far_out(results: ml.MixedModelResults) -> None:
    slope = np.abs(results.params.filter(like=": x")).max()
    new = pd.DataFrame({"x": np.array([-800.0, 800.0, np.nan]) / slope, "g": [0, 1, 2]})
    found = results.predict(new, kind="probabilities")
    np.testing.assert_allclose(found.iloc[:2].sum(axis=1), 1.0, atol=1e-14)
    assert found.iloc[2].isna().all()
    assert pd.isna(results.predict(new, kind="class")[2])


def test_random_effects_and_tables(results: ml.MixedModelResults) -> None:
    assert set(results.random_effects()["term"]) == {"1: (Intercept)", "2: (Intercept)"}
    assert list(results.coef()["g"].columns) == list(results.params.index)
    assert results.random_effects("mean")["sd"].notna().all()
    assert "cor__1: (Intercept).2: (Intercept)" in set(results.tidy()["term"])
    text = str(results.summary())
    for line in ("Categories: 0 (base), 1, 2", "Fixed effects, 1 against 0:", "Fixed effects, 2 against 0:"):
        assert line in text


def test_saving(results: ml.MixedModelResults, tmp_path: Path) -> None:
    results.save(tmp_path / "fit.zip")
    again = ml.load(tmp_path / "fit.zip")
    pd.testing.assert_frame_equal(again.predict(kind="probabilities"), results.predict(kind="probabilities"))
    pd.testing.assert_frame_equal(
        again.predict(drawn(12, k=3), kind="link"), results.predict(drawn(12, k=3), kind="link")
    )
    assert str(again.summary()) == str(results.summary())


def test_other_responses(results: ml.MixedModelResults) -> None:
    y = results.fit.design.response.values
    again = results.model.refit(y)
    assert again.llf == pytest.approx(results.llf, abs=1e-9)
    many = results.model.fit_many(np.column_stack([y, y[::-1]]))
    assert many["llf"].iloc[0] == pytest.approx(results.llf, abs=1e-8)


def test_drop1_leaves_a_term_out_of_all_categories(results: ml.MixedModelResults) -> None:
    without = ml.fit("y ~ 1 + (1 | g)", drawn(11, n=240, k=3, groups=16), "multinomial")
    table = results.drop1()
    assert table.loc["x", "df_diff"] == 2
    assert table.loc["x", "loglik"] == pytest.approx(without.llf, abs=1e-7)
    assert results.anova().loc["x", "df"] == 2


def test_parts_of_the_data(results: ml.MixedModelResults) -> None:
    data = drawn(11, n=240, k=3, groups=16)
    assert results.cluster_contributions()["llf"].sum() == pytest.approx(results.llf, abs=1e-9)
    alone = ml.fit("y ~ x", data, "multinomial")
    x = np.column_stack([np.ones(240), data["x"]])
    found = alone.predict(kind="probabilities").to_numpy()
    scores = (np.eye(3)[data["y"]] - found)[:, 1:, None] * x[:, None, :]
    by_group = np.zeros((16, 4))
    np.add.at(by_group, data["g"], scores.reshape(240, 4))
    sandwich = alone.cov_params() @ (by_group.T @ by_group) @ alone.cov_params().to_numpy()
    robust = alone.cov_params(robust="CR0", cluster=data["g"])
    np.testing.assert_allclose(robust, sandwich, rtol=1e-6)
    rows = scores.reshape(240, 4)
    sandwich = alone.cov_params() @ (rows.T @ rows) @ alone.cov_params().to_numpy()
    np.testing.assert_allclose(alone.cov_params(robust="CR0"), sandwich, rtol=1e-6)
    test = results.wald_test("1: x = 2: x")
    difference = results.params["1: x"] - results.params["2: x"]
    assert test.table["estimate"].iloc[0] == pytest.approx(difference)


@pytest.mark.parametrize(
    "ask",
    [
        lambda r: r.residuals(),
        lambda r: r.icc(),
        lambda r: r.r2(),
        lambda r: r.lack_of_fit(),
        lambda r: r.linktest(),
        lambda r: r.augment(),
        lambda r: r.pearson_chi2,
        lambda r: r.fittedvalues,
        lambda r: r.median_odds_ratio(),
        lambda r: r.equation(),
        lambda r: r.cov_params(robust="CR2"),
        lambda r: r.test_variance("g", "1: (Intercept)"),
        lambda r: r.predict(interval="prediction"),
        lambda r: r.model.fit(method="pql"),
    ],
)
def test_what_choices_do_not_have(results: ml.MixedModelResults, ask: Callable[[ml.MixedModelResults], Any]) -> None:
    with pytest.raises(DataError):
        ask(results)


# ---- wrong input ---------------------------------------------------------------------------------------------------


def test_a_response_without_three_categories() -> None:
    data = drawn(13, k=3).query("y < 2")
    with pytest.raises(DataError, match="binomial"):
        ml.fit("y ~ x", data, "multinomial")


def test_a_category_that_never_occurs() -> None:
    data = drawn(14, k=3)
    with pytest.raises(DataError, match="no row has category '3'"):
        ml.fit("y ~ x", data, "multinomial", levels=[0, 1, 2, 3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base": "a"}, "no category"),
        ({"offset": "x"}, "offset"),
        ({"choice_set": "g"}, "conditional"),
        ({"levels": [0, 1]}, "not among levels"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ml.fit("y ~ x", drawn(15), "multinomial", **arguments)


def test_arguments_of_other_families() -> None:
    data = drawn(16)
    with pytest.raises(DataError, match="multinomial"):
        ml.fit("y ~ x", data, base=1)
    with pytest.raises(DataError, match="rows that share the probabilities of a choice needs one grouping factor"):
        ml.fit("y ~ x + (1 | g) + (1 | h)", data.assign(h=data["g"] % 3), "multinomial", n_quadrature=3)


def test_separation_in_one_category() -> None:
    data = drawn(17, n=300, k=3)
    data["z"] = ((data["y"] == 2) & (data["x"] > 3)).astype(float)
    with pytest.warns(SeparationWarning, match="'2: z'"):
        results = ml.fit("y ~ x + z + (1 | g)", data, "multinomial")
    assert results.fit.status == "separation"
