"""Items, loadings and traits: quadrature over the traits alone, against other programs and sums from the definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import multilevel as ml
from multilevel import _core

FORMULA = "y ~ 0 + item + rr(0 + item | person, d=1)"


@pytest.fixture(scope="module")
def law(reference_data: Callable[[str], pd.DataFrame]) -> pd.DataFrame:
    return reference_data("LSAT6")


@pytest.fixture(scope="module")
def two_parameters(law: pd.DataFrame) -> Any:
    return ml.fit(FORMULA, law, "binomial", n_quadrature=15)


@pytest.fixture(scope="module")
def rasch(law: pd.DataFrame) -> Any:
    return ml.fit("y ~ 0 + item + (1 | person)", law, "binomial", n_quadrature=25)


def numbers_of(reference: dict[str, Any], fit: str, what: str = "estimate") -> np.ndarray:
    return np.array([own[what] for part in ("fixed", "loadings") for own in reference["fits"][fit][part]])


# ---- the likelihood -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 2])
def test_quadrature_takes_as_many_dimensions_as_there_are_traits(rank: int) -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"person": np.repeat(np.arange(12), 4), "item": np.tile(list("abcd"), 12)})
    data["y"] = rng.poisson(1.5, size=48)
    model = ml.MixedModel(f"y ~ 0 + item + rr(0 + item | person, d={rank})", data, "poisson")
    beta = np.array([0.3, 0.1, -0.2, 0.4])
    theta = np.array([0.5, 0.3, -0.2, 0.4, 0.3, 0.2, -0.4])[: 4 if rank == 1 else 7]
    psi = np.concatenate([beta, theta])
    y = data["y"].to_numpy(float)
    points = 31 if rank == 1 else 15
    value, gradient, _ = _core.evaluate(model._core, y, psi, points)

    loadings = np.zeros((4, rank))
    loadings[:, 0] = theta[:4]
    if rank == 2:
        loadings[1:, 1] = theta[4:]
    nodes, weights = special.roots_hermitenorm(60)
    grid = np.stack(np.meshgrid(*[nodes] * rank, indexing="ij"), -1).reshape(-1, rank)
    log_weight = np.log(np.prod(np.stack(np.meshgrid(*[weights] * rank, indexing="ij"), -1).reshape(-1, rank), 1))
    eta = beta[:, None] + loadings @ grid.T
    rows = y.reshape(12, 4, 1)
    log_density = (rows * eta - np.exp(eta) - special.gammaln(rows + 1)).sum(1)
    expected = special.logsumexp(log_density + log_weight - rank * np.log(2 * np.pi) / 2, axis=1).sum()
    assert value == pytest.approx(expected, abs=1e-6)  # what the points leave

    for k in range(len(psi)):
        step = np.zeros(len(psi))
        step[k] = 1e-4
        above, below = (_core.evaluate(model._core, y, psi + sign * step, points)[0] for sign in (1, -1))
        assert gradient[k] == pytest.approx((above - below) / 2e-4, abs=1e-5)  # of the differences


@pytest.mark.parametrize(
    ("formula", "family", "options"),
    [
        ("y ~ 0 + item + x + {}", "binomial", {"link": "probit", "weights": "w", "offset": "o"}),
        ("y ~ 0 + item + x + {}", "poisson", {"link": "sqrt"}),
        ("y ~ x + {}", "cumulative", {"nominal": "~ 0 + item"}),
        ("y ~ item + x + {}", "negative_binomial", {"dispersion": "~ 0 + item"}),
    ],
)
@pytest.mark.parametrize(("rank", "points"), [(1, 1), (1, 9), (2, 1), (2, 5), (3, 3)])
def test_derivatives_with_traits_are_those_of_the_approximation(
    formula: str, family: str, options: dict[str, str], rank: int, points: int
) -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"person": np.repeat(np.arange(15), 5), "item": np.tile(list("abcde"), 15)})
    data["x"], data["o"], data["w"] = rng.normal(size=75), rng.normal(size=75) / 3, rng.integers(1, 3, 75)
    data["y"] = rng.poisson(1.5, size=75)
    if family == "binomial":
        data["y"] = rng.integers(0, 2, 75)
    if family == "cumulative":
        data["y"] = 1 + (np.arange(75) // 5 + rng.integers(0, 2, 75)) % 3
    data = data.drop(index=[3, 17, 40])  # persons without some of the items
    model = ml.MixedModel(formula.format(f"rr(0 + item | person, d={rank})"), data, family, **options)
    y = data["y"].to_numpy(float)
    fixed = {"binomial": [0.9, 0.8, 1.2, 0.7, 0.5, 0.1], "poisson": [0.9, 0.8, 1.2, 0.7, 0.5, 0.1]}
    fixed |= {"cumulative": [0.1], "negative_binomial": [0.6, 0.3, 0.2, -0.1, 0.1, 0.3]}
    own = {"cumulative": [-0.8, 0.7, *[0.1, 0.4, -0.3, 0.2, 0.2, -0.1, 0.0, 0.3]], "negative_binomial": [0.2] * 5}
    loadings = np.array([0.5, 0.3, -0.2, 0.4, 0.6, 0.4, 0.2, -0.4, 0.3, 0.3, -0.5, 0.2])[: (5, 9, 12)[rank - 1]]
    psi = np.concatenate([fixed[family], loadings, own.get(family, [])])
    _, gradient, hessian = _core.evaluate(model._core, y, psi, points)
    for k, step in enumerate(1e-4 * np.eye(len(psi))):
        above, below = (_core.evaluate(model._core, y, psi + sign * step, points) for sign in (1, -1))
        # what differences of this step are wrong by
        assert gradient[k] == pytest.approx((above[0] - below[0]) / 2e-4, abs=1e-5)
        np.testing.assert_allclose(hessian[k], (above[1] - below[1]) / 2e-4, atol=5e-5)


def test_many_persons_have_the_same_bits_for_any_number_of_threads() -> None:
    """So many that the search begins with a part of them."""
    rng = np.random.default_rng(6)
    slope, easiness = np.array([0.8, 1.2, 1.6, 1.0]), np.array([0.5, -0.4, 0.0, 1.0])
    eta = easiness + rng.normal(size=(10_000, 1)) * slope
    data = pd.DataFrame({"person": np.repeat(np.arange(10_000), 4), "item": np.tile(list("abcd"), 10_000)})
    data["y"] = (rng.uniform(size=eta.shape) < special.expit(eta)).astype(int).ravel()
    model = ml.MixedModel(FORMULA, data, "binomial")
    one, two = (model.fit(n_quadrature=9, threads=threads) for threads in (1, 2))
    assert one.converged
    assert one.fit.psi.tobytes() == two.fit.psi.tobytes()
    assert one.fit.covariance.tobytes() == two.fit.covariance.tobytes()
    from_truth = model.fit(n_quadrature=9, start=np.append(easiness, slope))
    assert one.llf == pytest.approx(from_truth.llf, abs=1e-9)
    np.testing.assert_allclose(one.fit.psi, from_truth.fit.psi, atol=1e-6)
    np.testing.assert_allclose(one.fit.psi, np.append(easiness, slope), atol=0.25)


def test_an_intercept_changes_no_likelihood(law: pd.DataFrame, two_parameters: Any) -> None:
    """Columns of items stay as sparse beside it."""
    with_intercept = ml.fit("y ~ item + rr(0 + item | person, d=1)", law, "binomial", n_quadrature=15)
    assert with_intercept.llf == pytest.approx(two_parameters.llf, abs=1e-9)
    easiness = with_intercept.params.to_numpy()[0] + np.append(0.0, with_intercept.params.to_numpy()[1:])
    np.testing.assert_allclose(easiness, two_parameters.params.to_numpy(), atol=1e-6)


def test_nodes_are_counted_by_traits(law: pd.DataFrame) -> None:
    model = ml.MixedModel("y ~ 0 + item + rr(0 + item | person, d=2)", law, "binomial")
    with pytest.raises(ml.DataError, match=r"101 quadrature points for each of 2 random effects are 101\^2 = 10,201"):
        model.fit(n_quadrature=101)


def test_two_parameter_logistic_model(two_parameters: Any, reference_numbers: Callable[[str], dict[str, Any]]) -> None:
    reference = reference_numbers("LSAT6")
    assert two_parameters.converged
    assert two_parameters.llf == pytest.approx(reference["fits"]["twopl_agq25"]["logLik"], abs=1e-7)  # 15 and 25 points
    np.testing.assert_allclose(two_parameters.fit.psi, numbers_of(reference, "twopl_agq25"), rtol=1e-5)
    found = np.sqrt(np.diag(two_parameters.fit.covariance))
    np.testing.assert_allclose(found, numbers_of(reference, "twopl_agq25", "se"), rtol=1e-4)


@pytest.mark.parametrize(
    ("fit", "link", "points"), [("twopl_agq51", "logit", 51), ("twopl_probit_agq25", "probit", 25)]
)
def test_more_points_and_another_link(
    law: pd.DataFrame, reference_numbers: Callable[[str], dict[str, Any]], fit: str, link: str, points: int
) -> None:
    reference = reference_numbers("LSAT6")
    start = np.round(numbers_of(reference, fit), 3)
    found = ml.fit(FORMULA, law, "binomial", link=link, n_quadrature=points, start=start)
    assert found.llf == pytest.approx(reference["fits"][fit]["logLik"], abs=1e-8)
    np.testing.assert_allclose(found.fit.psi, numbers_of(reference, fit), rtol=1e-5)


def test_the_laplace_solution_is_said_to_be_none(law: pd.DataFrame) -> None:
    with pytest.warns(ml.QuadratureWarning, match="would move by about .* standard errors"):
        found = ml.fit(FORMULA, law, "binomial")
    assert found.item_parameters()["discrimination"].max() > 50  # where that approximation has its maximum


@pytest.mark.filterwarnings("ignore::multilevel.errors.SeveralMaximaWarning")  # a hundred persons; gone with 25 points
def test_automatic_numbers_of_points_do_not_begin_there(
    law: pd.DataFrame, reference_numbers: Callable[[str], dict[str, Any]]
) -> None:
    some = law[law["person"].isin(law["person"].unique()[::10])]
    found = ml.fit(FORMULA, some, "binomial", n_quadrature="auto")
    assert found.quadrature_table["n_points"].iloc[0] == 7
    assert found.item_parameters()["discrimination"].max() < 5


# ---- items --------------------------------------------------------------------------------------------------------


def test_item_parameters(two_parameters: Any, reference_numbers: Callable[[str], dict[str, Any]]) -> None:
    reference = reference_numbers("LSAT6")
    items = two_parameters.item_parameters()
    assert list(items.index) == [f"item[i{k}]" for k in range(1, 6)]
    # as ltm prints them, with what 21 points that do not move leave
    np.testing.assert_allclose(items["discrimination"], reference["published"]["twopl"]["discrimination"], atol=1e-3)
    np.testing.assert_allclose(items["difficulty"], reference["published"]["twopl"]["difficulty"], atol=3e-3)
    covariance = np.array(reference["fits"]["twopl_agq25"]["vcov_all"])
    values = numbers_of(reference, "twopl_agq25")
    for k, name in enumerate(items.index):
        d, a = values[k], values[5 + k]
        slope = np.zeros(10)
        slope[k], slope[5 + k] = -1 / a, d / a**2
        assert items.loc[name, "difficulty_std_error"] == pytest.approx(np.sqrt(slope @ covariance @ slope), rel=1e-4)
        assert items.loc[name, "easiness"] == pytest.approx(d, rel=1e-5)


def test_items_of_a_rasch_model(rasch: Any, reference_numbers: Callable[[str], dict[str, Any]]) -> None:
    reference = reference_numbers("LSAT6")
    items = rasch.item_parameters()
    assert rasch.llf == pytest.approx(reference["fits"]["rasch_agq25"]["logLik"], abs=1e-8)
    assert np.ptp(items["discrimination"]) == 0
    assert items["discrimination"].iloc[0] == pytest.approx(reference["published"]["rasch"]["discrimination"], abs=1e-4)
    np.testing.assert_allclose(items["difficulty"], -rasch.params / rasch.theta.item(), rtol=1e-12)


def test_item_curves(two_parameters: Any) -> None:
    items, curves = two_parameters.item_parameters(), two_parameters.item_curves([-1.0, 0.5])
    assert curves.shape == (10, 4)
    for row in curves.itertuples():
        a, b = items.loc[row.item, ["discrimination", "difficulty"]]
        p = special.expit(a * (row.ability - b))
        assert row.mean == pytest.approx(p, rel=1e-12)
        assert row.information == pytest.approx(a**2 * p * (1 - p), rel=1e-10)
    assert len(two_parameters.item_curves()) == 5 * 81
    with pytest.raises(ml.DataError, match="holds numbers"):
        two_parameters.item_curves([np.nan])


# ---- persons ------------------------------------------------------------------------------------------------------


def by_sums(data: pd.DataFrame, easiness: np.ndarray, loading: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means and standard deviations by sums over a fine grid."""
    y = data.pivot(index="person", columns="item", values="y").to_numpy(float)
    trait = np.linspace(-9, 9, 3001)
    eta = easiness[:, None] + loading[:, None] * trait
    log_posterior = y @ special.log_expit(eta) + (1 - y) @ special.log_expit(-eta) - trait**2 / 2
    share = np.exp(log_posterior - log_posterior.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    mean = share @ trait
    return mean, np.sqrt(share @ trait**2 - mean**2)


def test_abilities(two_parameters: Any, rasch: Any, law: pd.DataFrame) -> None:
    for results in (two_parameters, rasch):
        items, found = results.item_parameters(), results.abilities()
        mean, sd = by_sums(law, items["easiness"].to_numpy(), items["discrimination"].to_numpy())
        assert list(found.columns) == ["level", "mean", "sd"]
        by_person = found.set_index("level").loc[sorted(law["person"].unique())]
        np.testing.assert_allclose(by_person["mean"], mean, atol=1e-9)
        np.testing.assert_allclose(by_person["sd"], sd, atol=1e-8)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_what_each_person_adds(law: pd.DataFrame, two_parameters: Any, rank: int) -> None:
    """Traits have a likelihood of their own; without structure all columns are effects, some with zero variance."""
    some = law[law["person"].isin(law["person"].unique()[::40])]
    n = 5 + 4 * (rank > 1) + 3 * (rank > 2)
    terms = (f"rr(0 + item | person, d={rank})", "(0 + item | person)")
    one, all_columns = (ml.MixedModel(f"y ~ 0 + item + {term}", some, "binomial")._core for term in terms)
    psi, y = (
        np.append(two_parameters.fit.psi, [0.3, -0.2, 0.5, 0.1, 0.4, -0.3, 0.2][: n - 5]),
        some["y"].to_numpy(float),
    )
    found = _core.contributions(one, y, psi, 1, True, None, 0, 1)
    other = _core.contributions(all_columns, y, np.append(psi, np.zeros(15 - n)), 1, True, None, 0, 1)
    np.testing.assert_allclose(found.loglik, other.loglik, rtol=1e-10)
    np.testing.assert_allclose(found.gradient, other.gradient[:, : 5 + n], atol=1e-9)
    for moment in ("mean", "covariance", "third", "fourth"):
        for own, expected in zip(getattr(found, moment), getattr(other, moment), strict=True):
            np.testing.assert_allclose(own, expected, atol=1e-9, err_msg=moment)


def test_moments_of_two_traits_are_integrals(law: pd.DataFrame, two_parameters: Any) -> None:
    some = law[law["person"].isin(law["person"].unique()[::100])].sort_values("person", kind="stable")
    model = ml.MixedModel("y ~ 0 + item + rr(0 + item | person, d=2)", some, "binomial")
    psi, y = np.append(two_parameters.fit.psi, [0.3, -0.2, 0.5, 0.1]), some["y"].to_numpy(float)
    found = _core.contributions(model._core, y, psi, 21, True, None, 0, 1)
    loadings = np.zeros((5, 2))
    loadings[:, 0], loadings[1:, 1] = psi[5:10], psi[10:]
    line = np.linspace(-8, 8, 161)
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    eta = psi[:5, None] + loadings @ grid.T
    log_density = y.reshape(-1, 5) @ eta - np.log1p(np.exp(eta)).sum(0) - (grid**2).sum(1) / 2
    share = np.exp(log_density)
    np.testing.assert_allclose(found.loglik, np.log(share.sum(1) * 0.1**2 / (2 * np.pi)), atol=1e-8)
    share /= share.sum(1, keepdims=True)
    effects = grid @ loadings.T
    mean = share @ effects
    off = effects - mean[:, None]
    third, fourth = ((share[:, :, None] * off**power).sum(1) for power in (3, 4))
    np.testing.assert_allclose(np.reshape(found.mean[0], mean.shape), mean, atol=1e-8)
    np.testing.assert_allclose(np.reshape(found.third[0], mean.shape), third, atol=1e-6)
    np.testing.assert_allclose(np.reshape(found.fourth[0], mean.shape), fourth, atol=1e-5)
    covariance = np.einsum("ik,ika,ikb->iab", share, off, off)
    np.testing.assert_allclose(np.reshape(found.covariance[0], covariance.shape), covariance, atol=1e-7)


def test_two_traits() -> None:
    rng = np.random.default_rng(4)
    trait = rng.normal(size=(60, 2))
    loadings = np.array([[1.0, 0.0], [0.8, 0.5], [0.6, 1.0], [0.2, 0.9]])
    data = pd.DataFrame({"person": np.repeat(np.arange(60), 4), "item": np.tile(list("abcd"), 60)})
    data["y"] = rng.poisson(np.exp(0.5 + trait @ loadings.T)).ravel()
    results = ml.fit("y ~ 0 + item + rr(0 + item | person, d=2)", data, "poisson", n_quadrature=5)
    found = results.abilities()
    y, L = data["y"].to_numpy(float).reshape(60, 4), results.fit.theta[0][:, :2]
    line = np.linspace(-6, 6, 121)
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    eta = results.params.to_numpy()[:, None] + L @ grid.T
    log_posterior = y @ eta - np.exp(eta).sum(0) - (grid**2).sum(1) / 2
    share = np.exp(log_posterior - log_posterior.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    np.testing.assert_allclose(found["mean"].to_numpy().reshape(60, 2), share @ grid, atol=1e-6)
    assert list(found["trait"][:2]) == ["factor 1", "factor 2"]
    with pytest.raises(ml.DataError, match="covariance structure reduced rank 2"):
        results.item_parameters()


@pytest.mark.parametrize(
    ("formula", "method", "message"),
    [
        ("y ~ item + (1 | person)", "item_parameters", "no categorical variable of the fixed part"),
        ("y ~ 1 + rr(0 + item | person, d=1)", "item_parameters", "has a loading and no coefficient"),
        ("y ~ 0 + item", "item_parameters", "this model has 0 random-effects terms"),
        ("y ~ 0 + item", "abilities", "0 random-effects terms"),
        ("y ~ x + diag(1 + x | person)", "abilities", "are no traits that items share"),
    ],
)
def test_other_models_are_refused(formula: str, method: str, message: str) -> None:
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"person": np.repeat(np.arange(40), 6), "item": np.tile(list("abc"), 80)})
    data["x"] = rng.normal(size=240)
    data["y"] = rng.poisson(
        np.exp(rng.normal(size=40)[data["person"]] + rng.normal(size=40)[data["person"]] * data["x"])
    )
    results = ml.fit(formula, data, "poisson")
    with pytest.raises(ml.DataError, match=message):
        getattr(results, method)()


def test_too_few_items_for_their_loadings_are_refused(law: pd.DataFrame) -> None:
    two, three = (law[law["item"].isin(["i1", "i2", "i3"][:k])] for k in (2, 3))
    with pytest.raises(ml.DataError, match="1 are left for 2 loadings; use more items, or one loading for all"):
        ml.MixedModel(FORMULA, two, "binomial")
    with pytest.raises(ml.DataError, match="4 are left for 5 loadings; use more items, or fewer dimensions"):
        ml.MixedModel(FORMULA.replace("d=1", "d=2"), three, "binomial")
    ml.MixedModel(FORMULA, three, "binomial")


def test_an_item_that_all_have_right_is_named(law: pd.DataFrame) -> None:
    some = law[law["person"].isin(law["person"].unique()[::10])]
    easy = some.assign(y=np.where(some["item"] == "i2", 1, some["y"]))
    with pytest.warns(ml.SeparationWarning, match=r"'item\[i2\]' predicts some responses perfectly"):
        assert not ml.fit(FORMULA, easy, "binomial", n_quadrature=7).converged


def test_covariates_of_persons_and_of_items(law: pd.DataFrame) -> None:
    """An explanatory model is the integral over the trait with the covariates in the linear predictor."""
    some = law[law["person"].isin(law["person"].unique()[::50])].copy()
    some["age"] = some.groupby("person").ngroup() % 7 / 7
    some["long"] = some["item"].isin(["i2", "i5"]) * 1.0
    model = ml.MixedModel("y ~ age + long + rr(0 + item | person, d=1)", some, "binomial", link="probit")
    psi = np.array([1.2, 0.4, -0.3, 0.5, 0.8, 0.6, 0.3, 0.9])
    value = _core.evaluate(model._core, some["y"].to_numpy(float), psi, 41)[0]
    trait, weight = special.roots_hermitenorm(80)
    loading = some["item"].map(dict(zip(["i1", "i2", "i3", "i4", "i5"], psi[3:], strict=True))).to_numpy()
    eta = (psi[0] + psi[1] * some["age"] + psi[2] * some["long"]).to_numpy()[:, None] + loading[:, None] * trait
    rows = special.log_ndtr(np.where(some["y"].to_numpy()[:, None] == 1, eta, -eta))
    by_person = pd.DataFrame(rows).groupby(some["person"].to_numpy()).sum().to_numpy()
    expected = special.logsumexp(by_person + np.log(weight / np.sqrt(2 * np.pi)), axis=1).sum()
    assert value == pytest.approx(expected, abs=1e-8)


def test_equal_discriminations_are_tested(
    law: pd.DataFrame, rasch: Any, two_parameters: Any, reference_numbers: Callable[[str], dict[str, Any]]
) -> None:
    """The Rasch model is a case of the two-parameter model, with no loading at an edge."""
    logliks = reference_numbers("LSAT6")["fits"]
    expected = 2 * (logliks["twopl_agq25"]["logLik"] - logliks["rasch_agq25"]["logLik"])
    with_one = ml.fit("y ~ 0 + item + (1 | person)", law, "binomial", n_quadrature=15)
    table = ml.compare(with_one, two_parameters)
    assert table["chi2"].iloc[1] == pytest.approx(expected, abs=1e-5)  # 15 and 25 points
    assert table["df_diff"].iloc[1] == 4
    assert table["p_value"].iloc[1] == pytest.approx(stats.chi2.sf(expected, 4), abs=1e-5)
    assert not table["note"].iloc[1]
    names = law["item"].unique()
    factor = ml.fit(
        f"y ~ 0 + item + cfa(0 + item | person, f = {' + '.join(map(repr, map(str, names)))})",
        law,
        "binomial",
        n_quadrature=15,
    )
    assert ml.compare(with_one, factor)["chi2"].iloc[1] == pytest.approx(expected, abs=1e-5)
    data = law.assign(x=np.random.default_rng(2).normal(size=len(law)))
    slope = ml.fit("y ~ 0 + item + (0 + x | person)", data, "binomial", n_quadrature=15)
    assert "not nested" in ml.compare(slope, two_parameters)["note"].iloc[1]  # no weights of items make x


# ---- items that are keyed the other way ---------------------------------------------------------------------------


ONE_FACTOR = f"cfa(0 + item | person, f = {' + '.join(f'i{k:02d}' for k in range(12))})"


def keyed(kind: str, seed: int, reversed_items: list[int]) -> tuple[pd.DataFrame, np.ndarray]:
    """A hundred persons and twelve items of one trait, and the signs of the loadings."""
    r = np.random.default_rng(seed)
    n, m = 100, 12
    trait, easiness, signs = r.normal(size=n), r.normal(size=m), np.ones(m)
    signs[reversed_items] = -1
    eta = easiness + np.outer(trait, signs * 1.5 * r.uniform(0.5, 1.5, m))
    y = r.poisson(np.exp(eta)) if kind == "poisson" else (r.random((n, m)) < 1 / (1 + np.exp(-eta))) * 1
    items = np.tile([f"i{k:02d}" for k in range(m)], n)
    return pd.DataFrame({"y": y.ravel(), "item": items, "person": np.repeat(np.arange(n), m)}), signs


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("term", ["rr(0 + item | person, d=1)", ONE_FACTOR])
def test_counts_of_items_that_are_keyed_the_other_way(seed: int, term: str) -> None:
    """Those fits ended up to 4,872 lower, certified, where all loadings have one sign."""
    data, signs = keyed("poisson", seed, [1, 4, 7, 10])
    model = ml.MixedModel(f"y ~ 0 + item + {term}", data, "poisson")
    found = model.fit(n_quadrature=7)
    loadings = found.fit.psi[12:24]
    assert found.converged
    assert np.array_equal(np.sign(loadings * loadings[0]), signs)
    start = found.fit.psi.copy()
    start[12:24] = 1.5 * signs
    assert model.fit(n_quadrature=7, start=start).llf == pytest.approx(found.llf, abs=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_with_zeros_in_excess(seed: int) -> None:
    """They are small, too, though their scores hardly say so: 140 to 530 lower without that."""
    data, signs = keyed("poisson", seed, [1, 4, 7, 10])
    data["y"] = np.where(np.random.default_rng(seed).random(len(data)) < 0.2, 0, data["y"])
    model = ml.MixedModel("y ~ 0 + item + rr(0 + item | person, d=1)", data, "poisson", zero_inflation="~ 1")
    found = model.fit(n_quadrature=5)
    assert found.converged
    start = found.fit.psi.copy()
    start[12:24] = 1.5 * signs
    assert model.fit(n_quadrature=5, start=start).llf == pytest.approx(found.llf, abs=1e-6)


@pytest.mark.filterwarnings("ignore::multilevel.errors.SingularFitWarning")  # raters do not differ
def test_the_same_beside_crossed_raters() -> None:
    """It ended 4,680 lower."""
    data, signs = keyed("poisson", 2, [1, 4, 7, 10])
    data["rater"] = np.random.default_rng(2).integers(0, 12, len(data))
    found = ml.fit("y ~ 0 + item + rr(0 + item | person, d=1) + (1 | rater)", data, "poisson")
    assert found.converged
    assert found.llf > -2085.93
    assert np.array_equal(np.sign(found.fit.psi[12:24] * found.fit.psi[12]), signs)


@pytest.mark.parametrize("seed", [0, 1])
def test_answers_turned_round_turn_loadings_round(seed: int) -> None:
    turned = [2, 3, 8]
    data, _ = keyed("binomial", seed, [1, 4])
    found = ml.fit("y ~ 0 + item + rr(0 + item | person, d=1)", data, "binomial", n_quadrature=7)
    names = [f"i{k:02d}" for k in turned]
    other = data.assign(y=np.where(data["item"].isin(names), 1 - data["y"], data["y"]))
    again = ml.fit("y ~ 0 + item + rr(0 + item | person, d=1)", other, "binomial", n_quadrature=7)
    assert found.converged
    assert again.llf == pytest.approx(found.llf, abs=1e-7)
    ours, theirs = (fit.item_parameters()["discrimination"].to_numpy() for fit in (found, again))
    signs = np.ones(12)
    signs[turned] = -1
    np.testing.assert_allclose(theirs, signs * ours, atol=1e-4)
