"""Draws, residuals, averages, words and pictures of fits of choices."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import multilevel as ml
from multilevel.errors import DataError

from .test_category_effects import by_definition, drawn

pytestmark = pytest.mark.filterwarnings("ignore::multilevel.errors.FitWarning")  # groups are small


def trips(seed: int = 3, persons: int = 25, each: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    trip = np.repeat(np.arange(persons * each), 3)
    data = pd.DataFrame({"trip": trip, "person": trip // each, "by": ["bike", "bus", "car"] * (persons * each)})
    data["price"] = rng.normal(size=len(data)).round(3)
    eta = -0.8 * data["price"] + 0.5 * (data["by"] == "car") + rng.gumbel(size=len(data))
    return data.assign(chosen=eta == eta.groupby(trip).transform("max"))


@pytest.fixture(scope="module")
def nominal() -> ml.MixedModelResults:
    return ml.fit("y ~ x + f + (1 | g)", drawn(), "multinomial")


@pytest.fixture(scope="module")
def sets() -> ml.MixedModelResults:
    return ml.fit("chosen ~ price + by + (price | person)", trips(), "conditional", choice_set="trip")


# ---- draws -----------------------------------------------------------------------------------------------------------


def test_draws_have_the_probabilities(nominal: ml.MixedModelResults, sets: ml.MixedModelResults) -> None:
    n = 2000
    y = nominal.simulate(n, seed=1)
    assert set(np.unique(y)) == {1, 2, 3}
    expected = nominal.predict(random="marginal").to_numpy()
    for k in range(3):
        share = (y == k + 1).mean(axis=1)
        error = np.sqrt(expected[:, k] * (1 - expected[:, k]) / n)
        assert stats.kstest((share - expected[:, k]) / error, "norm").pvalue > 1e-3
    assert (y[[0, 1]] == nominal.simulate(2, seed=1)).all(axis=None)
    at_modes = nominal.simulate(n, seed=2, random="conditional")
    np.testing.assert_allclose((at_modes == 3).mean(axis=1), nominal.predict()["car"], atol=0.05)
    chosen = sets.simulate(n, seed=1)
    assert (chosen.groupby(trips()["trip"]).sum() == 1).all(axis=None)
    np.testing.assert_allclose(chosen.mean(axis=1), sets.predict(random="marginal"), atol=0.05)


def test_a_bootstrap_finds_the_errors() -> None:
    data = drawn(7, 20, 12)
    results = ml.fit("y ~ x + f", data, "multinomial")
    parametric = results.bootstrap(300, seed=1)
    np.testing.assert_allclose(parametric.std_error[results.params.index], results.bse, rtol=0.25)
    cases = results.bootstrap(200, seed=1, kind="cases")
    np.testing.assert_allclose(cases.std_error[results.params.index], results.bse, rtol=0.35)


def test_cases_of_alternatives_are_sets() -> None:
    results = ml.fit("chosen ~ price + by", trips(), "conditional", choice_set="trip")
    own = results.bootstrap(200, seed=1, kind="cases")
    assert not len(own.failed)
    np.testing.assert_allclose(own.std_error, results.bse, rtol=0.3)
    table = ml.power(results, test="price", effect=[0.0, 0.6], n=60, sizes=[90], seed=1)
    assert table["n_rows"].tolist() == [270, 270]
    assert table["power"].iloc[0] < 0.25 < 0.9 < table["power"].iloc[1]


def test_power_moves_the_coefficient_of_its_category(nominal: ml.MixedModelResults) -> None:
    table = ml.power(nominal, test="car: f[yes]", effect=[0.0, 2.5], n=20, seed=1)
    assert table["power"].iloc[0] < 0.3 < 0.8 < table["power"].iloc[1]
    with pytest.raises(DataError, match="one category's"):
        ml.power(nominal, test="car: x", method="lrt", n=10)


def test_weights_are_no_draws() -> None:
    data = drawn().assign(w=2.0)
    with pytest.raises(DataError, match="prior weights"):
        ml.fit("y ~ x", data, "multinomial", weights="w").simulate()


# ---- residuals and checks --------------------------------------------------------------------------------------------


def test_quantile_residuals_lie_where_the_category_does(nominal: ml.MixedModelResults) -> None:
    p = nominal.predict().to_numpy()
    below = np.hstack([np.zeros((len(p), 1)), np.cumsum(p, axis=1)])
    y = nominal.fit.design.response.values.astype(int)
    score = stats.norm.cdf(nominal.residuals("quantile", seed=3))
    rows = np.arange(len(p))
    assert ((below[rows, y - 1] <= score) & (score <= below[rows, y])).all()
    drawn_ones = nominal.residuals("quantile", random="drawn")
    assert stats.kstest(drawn_ones, "norm").pvalue > 0.01
    integrated = stats.norm.cdf(nominal.residuals("quantile", random="marginal", seed=3))
    p = nominal.predict(random="marginal").to_numpy()
    below = np.hstack([np.zeros((len(p), 1)), np.cumsum(p, axis=1)])
    assert ((below[rows, y - 1] <= integrated) & (integrated <= below[rows, y])).all()


def test_a_page_of_checks(nominal: ml.MixedModelResults, sets: ml.MixedModelResults) -> None:
    page = nominal.check()
    assert not len(page.suspicious)
    along = page.table[page.table["check"] == "quarters along the fixed part"]
    assert along["of"].tolist() == ["bus", "car"]
    bent = drawn(8, 40, 20)
    bent["y"] = np.where(np.abs(bent["x"]) > 1.2, "car", bent["y"])
    assert len(ml.fit("y ~ x", bent, "multinomial").check().suspicious)
    for ask in (sets.check, lambda: sets.residuals("quantile"), lambda: sets.residuals()):
        with pytest.raises(DataError, match="no number with a mean"):
            ask()


# ---- averages --------------------------------------------------------------------------------------------------------


def test_averages_over_the_population(nominal: ml.MixedModelResults, sets: ml.MixedModelResults) -> None:
    average = nominal.population_average("probabilities")
    np.testing.assert_allclose(average["estimate"], nominal.predict(random="marginal").mean(), atol=1e-12)
    expected = by_definition(nominal, lambda r: r.predict(random="marginal").mean().to_numpy())
    np.testing.assert_allclose(average["std_error"], expected, rtol=1e-5)
    new = drawn(9).head(30)
    by = nominal.population_average("probabilities", new, by="f")
    assert by.loc["yes"].index.tolist() == ["bike", "bus", "car"]
    np.testing.assert_allclose(by["estimate"].groupby(level=0).sum(), 1.0)
    alternatives = sets.population_average("probabilities", trips(4).head(90), by="by")
    assert alternatives["estimate"].sum() == pytest.approx(1.0)
    assert (alternatives["lower"] < alternatives["estimate"]).all()
    expected = by_definition(
        sets, lambda r: r.predict(trips(4).head(90), random="marginal").groupby(trips(4).head(90)["by"]).mean()
    )
    np.testing.assert_allclose(alternatives["std_error"], expected, rtol=1e-5)


def test_coefficients_of_the_population(nominal: ml.MixedModelResults) -> None:
    def by_least_squares(r: ml.MixedModelResults) -> np.ndarray:
        p = r.predict(random="marginal").to_numpy()
        x = np.column_stack([np.ones(len(p)), drawn()["x"], drawn()["f"] == "yes"])
        return np.linalg.lstsq(x, np.log(p[:, 1:] / p[:, :1]), rcond=None)[0].T.ravel()

    found = nominal.population_average()
    assert found.index.equals(nominal.params.index)
    np.testing.assert_allclose(found["estimate"], by_least_squares(nominal), atol=1e-9)
    np.testing.assert_allclose(found["std_error"], by_definition(nominal, by_least_squares), rtol=1e-5)
    without = ml.fit("y ~ x + f", drawn(), "multinomial")
    np.testing.assert_allclose(without.population_average()["estimate"], without.params, atol=1e-9)


def test_averages_that_are_refused(nominal: ml.MixedModelResults, sets: ml.MixedModelResults) -> None:
    with pytest.raises(DataError, match="follow no linear predictors"):
        sets.population_average()
    with pytest.raises(ValueError, match="'mean' is not available"):
        nominal.population_average("mean")
    with pytest.raises(ValueError, match='kind="probabilities"'):
        nominal.population_average(by=np.zeros(160))


# ---- words and pictures ----------------------------------------------------------------------------------------------


def test_coefficients_in_words(nominal: ml.MixedModelResults, sets: ml.MixedModelResults) -> None:
    text = " ".join(str(nominal.interpret()).split())
    ratio = np.exp(nominal.params["car: f[yes]"])
    assert f"with f yes rather than no, the odds of y car against bike are {ratio:.4g} times as large" in text
    assert "bus: (Intercept): the odds of y bus against bike are" in text
    text = " ".join(str(sets.interpret()).split())
    ratio = np.exp(sets.params["price"])
    assert f"the odds of an alternative against any other of its set are {ratio:.4g} times as large" in text


def test_pictures(nominal: ml.MixedModelResults, sets: ml.MixedModelResults) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib import pyplot

    for x, style, random in (("x", "stacked", "zero"), ("f", "stacked", "zero"), ("x", "lines", "marginal")):
        ax = nominal.plot.categories(x, style=style, random=random)
        assert ax.get_legend_handles_labels()[1] == ["bike", "bus", "car"]
    bars = nominal.plot.categories("f").patches
    means = nominal.marginal_means("f", kind="probabilities").table["estimate"]
    heights = [bar.get_height() for bar in bars]
    np.testing.assert_allclose(np.reshape(heights, (3, 2)).T.ravel(), means)
    assert len(nominal.plot.check().axes) == 4
    assert nominal.plot.residuals("quantile").get_xlabel() == "mean of the categories' numbers"
    shown = nominal.plot.qq().lines[0].get_ydata()
    np.testing.assert_allclose(shown, np.sort(nominal.residuals("quantile")))
    with pytest.raises(DataError, match=r"residuals\('quantile'\)"):
        nominal.plot.residuals()
    with pytest.raises(DataError, match=r"plot\.categories"):
        nominal.plot.predictions("x")
    with pytest.raises(DataError, match="all that are in a set"):
        sets.plot.categories("price")
    pyplot.close("all")
