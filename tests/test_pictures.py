"""Pictures, by the data that are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import multilevel as ml

from .reference_files import read_data

mpl.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def cbpp() -> ml.MixedModelResults:
    return ml.fit(CBPP, ml.datasets.cbpp(), "binomial", n_quadrature=9)


@pytest.fixture(scope="module")
def sleep() -> ml.MixedModelResults:
    return ml.fit("Reaction ~ Days + (1 + Days | Subject)", ml.datasets.sleepstudy())


def points(ax: Axes) -> list[Any]:
    """What is drawn as points."""
    return [np.column_stack(line.get_data()) for line in ax.lines if line.get_marker() == "o"]


def segments(ax: Axes, at: int = 0) -> np.ndarray:
    """Ends of horizontal lines, (n, 2)."""
    return np.array([[p[0, 0], p[1, 0]] for p in ax.collections[at].get_segments()])


def labels(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_yticklabels()]


def test_caterpillar(cbpp: ml.MixedModelResults) -> None:
    ax = cbpp.plot.random_effects()
    assert isinstance(ax, Axes)
    table = cbpp.random_effects().sort_values("mode", ascending=False)
    np.testing.assert_allclose(points(ax)[0][:, 0], table["mode"])
    assert labels(ax) == [str(level) for level in table["level"]]
    outer, inner = segments(ax, 0), segments(ax, 1)
    np.testing.assert_allclose(outer[:, 1] - outer[:, 0], 2 * stats.norm.ppf(0.975) * table["sd"])
    np.testing.assert_allclose((outer[:, 1] - outer[:, 0]) / (inner[:, 1] - inner[:, 0]), np.sqrt(2))


def test_caterpillar_of_several_effects(sleep: ml.MixedModelResults) -> None:
    figure = sleep.plot.random_effects()
    assert isinstance(figure, Figure)
    assert [ax.get_title() for ax in figure.axes] == ["Subject: (Intercept)", "Subject: Days"]
    mine = pyplot.subplots()[1]
    assert sleep.plot.random_effects(term="Days", ax=mine) is mine
    with pytest.raises(ml.DataError, match="several random effects: choose one with term="):
        sleep.plot.random_effects(ax=mine)
    with pytest.raises(ml.DataError, match="group='herd' is not there; there are 'Subject'"):
        sleep.plot.random_effects("herd")


def test_many_levels_have_no_names() -> None:
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(200), 3)
    results = ml.fit("y ~ 1 + (1 | g)", {"y": rng.normal(size=600) + rng.normal(size=200)[g], "g": g})
    ax = results.plot.random_effects()
    assert isinstance(ax, Axes)
    assert labels(ax) == []
    assert ax.get_ylabel() == "200 levels"
    one = ml.fit("y ~ 1", {"y": rng.normal(size=9)})
    with pytest.raises(ml.DataError, match="no random effects to draw"):
        one.plot.random_effects()


def test_forest(cbpp: ml.MixedModelResults, sleep: ml.MixedModelResults) -> None:
    ax = cbpp.plot.fixed(exponentiate=True)
    np.testing.assert_allclose(points(ax)[0][:, 0], np.exp(cbpp.params.iloc[1:]))
    np.testing.assert_allclose(segments(ax), np.exp(cbpp.conf_int().iloc[1:]))
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "odds ratio, 95% interval"
    ax = sleep.plot.fixed(level=0.9, intercept=True)
    np.testing.assert_allclose(segments(ax), sleep.conf_int(0.9))
    assert labels(ax) == ["(Intercept)", "Days"]
    with pytest.raises(ml.DataError, match="this one is 'identity'"):
        sleep.plot.fixed(exponentiate=True)
    with pytest.raises(ml.DataError, match="no fixed effects beside the intercept"):
        ml.fit("Reaction ~ 1 + (1 | Subject)", ml.datasets.sleepstudy()).plot.fixed()


def test_long_names_are_shortened() -> None:
    rng = np.random.default_rng(1)
    name = "a_predictor_whose_name_does_not_end_so_soon"
    ax = ml.fit(f"y ~ {name}", {"y": rng.normal(size=30), name: rng.normal(size=30)}).plot.fixed()
    assert labels(ax) == ["a_predictor_whose_name_d..._soon"]


def test_predictions(sleep: ml.MixedModelResults) -> None:
    ax = sleep.plot.predictions("Days")
    curves = {line.get_linewidth(): np.column_stack(line.get_data()) for line in ax.lines}
    zero = sleep.predict({"Days": curves[2.2][:, 0]}, random="zero")
    np.testing.assert_allclose(curves[2.2][:, 1], zero, rtol=1e-12)
    thin = [np.column_stack(line.get_data()) for line in ax.lines if line.get_linewidth() == 0.6]
    assert len(thin) == 18
    first = sleep.predict({"Days": thin[0][:, 0], "Subject": ["308"] * len(thin[0])})
    np.testing.assert_allclose(thin[0][:, 1], first, rtol=1e-12)
    (crosses,) = [np.column_stack(line.get_data()) for line in ax.lines if line.get_marker() == "x"]
    np.testing.assert_allclose(crosses[:, 1], ml.datasets.sleepstudy().groupby("Days")["Reaction"].mean())


def test_predictions_of_a_factor_and_of_several_curves(cbpp: ml.MixedModelResults) -> None:
    ax = cbpp.plot.predictions("period")
    typical, population = points(ax)
    np.testing.assert_allclose(typical[:, 1], cbpp.predict({"period": ["1", "2", "3", "4"]}, random="zero"))
    assert (population[:, 1] > typical[:, 1]).all()
    rng = np.random.default_rng(2)
    data = {"x": rng.normal(size=120), "g": np.repeat(range(12), 10), "f": ["a", "b"] * 60}
    data["y"] = rng.poisson(np.exp(1 + rng.normal(size=(12, 2))[data["g"], np.tile([0, 1], 60)]))
    counts = ml.fit("y ~ x * f + (0 + f | g)", data, "poisson")
    ax = counts.plot.predictions("x", by="f")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert not [line for line in ax.lines if line.get_linewidth() == 0.6]
    assert counts.plot.predictions("x", kind="link").get_ylabel() == "linear predictor (log)"
    with pytest.raises(ml.DataError, match="by='x' is a number with many values"):
        counts.plot.predictions("f", by="x")
    with pytest.raises(ml.DataError, match="the model has no predictor 'z'"):
        counts.plot.predictions("z")


def test_profiles(sleep: ml.MixedModelResults) -> None:
    figure = sleep.plot.profile(["Days", "sigma"])
    assert isinstance(figure, Figure)
    limits = sleep.conf_int(method="profile", which=["Days", "sigma"])
    for ax, name in zip(figure.axes, ["Days", "sigma"], strict=False):
        ends = sorted(line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--")
        np.testing.assert_allclose(ends, limits.loc[name], rtol=1e-6)
        assert ax.get_title() == name
    assert isinstance(sleep.plot.profile("Days"), Axes)


def test_residuals(cbpp: ml.MixedModelResults) -> None:
    ax = cbpp.plot.residuals("deviance")
    single, means = points(ax)
    assert len(single) == cbpp.nobs
    np.testing.assert_allclose(np.sort(single[:, 1]), np.sort(cbpp.residuals("deviance")))
    assert len(means) == cbpp.nobs // 5
    np.testing.assert_allclose(means[0], single[np.argsort(single[:, 0])[:5]].mean(axis=0))


def test_quantiles(cbpp: ml.MixedModelResults, sleep: ml.MixedModelResults) -> None:
    drawn = points(cbpp.plot.qq())[0]
    np.testing.assert_allclose(drawn[:, 1], np.sort(cbpp.residuals("deviance")))
    np.testing.assert_allclose(drawn[:, 0], stats.norm.ppf((np.arange(1, 57) - 0.375) / 56.25))
    ax = sleep.plot.qq("Subject")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["(Intercept)", "Days"]
    with pytest.raises(ml.DataError, match="there are 'residuals', 'Subject'"):
        sleep.plot.qq("herd")


def test_check_and_influence(sleep: ml.MixedModelResults, cbpp: ml.MixedModelResults) -> None:
    figure = cbpp.plot.check()
    assert [ax.get_title() for ax in figure.axes] == [
        "quantile residuals", "means of classes", "random effects of herd", "without each herd, 12 of 15",
    ]  # fmt: skip
    drawn = points(figure.axes[0])[0][:, 1]
    np.testing.assert_allclose(drawn, np.sort(cbpp.residuals("quantile", random="drawn", seed=0)))
    plain = ml.fit("Reaction ~ Days", ml.datasets.sleepstudy())
    assert len(plain.plot.check().axes) == 2
    ax = sleep.plot.influence("Subject")
    expected = sleep.influence("Subject").cooks_distance.sort_values(ascending=False)
    np.testing.assert_allclose(points(ax)[0][:, 0], expected)
    assert labels(ax) == [str(level) for level in expected.index]


def test_items() -> None:
    data = read_data("LSAT6")
    results = ml.fit("y ~ 0 + item + rr(0 + item | person, d=1)", data, "binomial", n_quadrature=15)
    figure = results.plot.items()
    curves = results.item_curves()
    first = curves[curves["item"] == curves["item"].iloc[0]]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), first["mean"])
    total = figure.axes[1].lines[-1].get_ydata()
    np.testing.assert_allclose(total, curves.groupby("ability")["information"].sum())


def test_quadrature_over_a_likelihood(cbpp: ml.MixedModelResults) -> None:
    ax = cbpp.plot.quadrature("3")
    nodes = points(ax)[0]
    data = ml.datasets.cbpp()
    rows = data[data["herd"].astype(str) == "3"]
    sd = np.sqrt(cbpp.random_cov["herd"].iloc[0, 0])
    period = rows["period"].astype(str)
    fixed = cbpp.params["(Intercept)"] + np.array([cbpp.params.get(f"period[{p}]", 0.0) for p in period])

    def density(u: float) -> float:
        p = 1 / (1 + np.exp(-(fixed + u)))
        return float(stats.binom.pmf(rows["incidence"], rows["size"], p).prod() * stats.norm.pdf(u, 0, sd))

    table = cbpp.random_effects().set_index("level")
    mode, spread = table["mode"].loc["3"], table["sd"].loc["3"]
    np.testing.assert_allclose(nodes[:, 0], mode + spread * np.sqrt(2) * np.polynomial.hermite.hermgauss(9)[0])
    np.testing.assert_allclose(nodes[:, 1], [density(u) / density(mode) for u in nodes[:, 0]], rtol=1e-8)
    assert len(points(cbpp.plot.quadrature("3", n_points=1))[0]) == 1


def test_quadrature_needs_one_random_effect(sleep: ml.MixedModelResults, cbpp: ml.MixedModelResults) -> None:
    with pytest.raises(ml.DataError, match="1 grouping factors and 2 random effects"):
        sleep.plot.quadrature()
    with pytest.raises(ml.DataError, match="level='99' is not a level of 'herd'"):
        cbpp.plot.quadrature("99")
    with pytest.warns(ml.SingularFitWarning):
        same = ml.fit(
            "y ~ 1 + (1 | g)", pd.DataFrame({"y": [1.0, 2.0] * 10, "g": np.repeat(range(10), 2)}), method="ml"
        )
    with pytest.raises(ml.DataError, match="variance of the random effects is zero"):
        same.plot.quadrature()


def test_words_of_other_packages(cbpp: ml.MixedModelResults) -> None:
    with pytest.raises(ml.ArgumentError, match="'alpha' is level here"):
        cbpp.plot.fixed(alpha=0.1)
