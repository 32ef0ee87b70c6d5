"""Pictures of latent responses, of two scales, of each group's regression and of power, by the data that are drawn."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import integrate, special, stats

import multilevel as ml

from .kinds import fitted, frame

mpl.use("Agg")

from matplotlib import pyplot


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def use() -> ml.MixedModelResults:
    formula = "use ~ age + urban + (1 | district)"
    return ml.fit(formula, ml.datasets.contraception(), family="binomial")


@pytest.fixture(scope="module")
def sleep() -> ml.MixedModelResults:
    return ml.fit("Reaction ~ Days + (1 + Days | Subject)", ml.datasets.sleepstudy())


def curves(ax: Axes) -> dict[str, np.ndarray]:
    """Lines with a label, (n, 2) each."""
    return {
        str(x.get_label()): np.column_stack(x.get_data()) for x in ax.lines if not str(x.get_label()).startswith("_")
    }


def thin(ax: Axes) -> list[np.ndarray]:
    return [np.column_stack(line.get_data()) for line in ax.lines if line.get_linewidth() == 0.6]


def above_zero(curve: np.ndarray) -> float:
    """The area of what is drawn above zero."""
    fine = np.linspace(0.0, curve[-1, 0], 20_001)
    return float(integrate.trapezoid(np.interp(fine, *curve.T), fine))


# ---- latent responses ------------------------------------------------------------------------------------------------


def test_latent_response_of_a_typical_group_and_of_the_population(use: ml.MixedModelResults) -> None:
    ax = use.plot.latent()
    drawn = curves(ax)
    centre = use.marginal_means([]).table["estimate"].iloc[0]
    sd = float(np.sqrt(use.random_cov["district"].iloc[0, 0]))
    averaged = integrate.quad(lambda u: special.expit(centre + sd * u) * stats.norm.pdf(u), -9, 9)[0]
    for name, probability in (("typical group", special.expit(centre)), ("population", averaged)):
        (label,) = (own for own in drawn if own.startswith(name))
        assert float(label.split(": ")[1]) == pytest.approx(probability, abs=5.1e-4)
        # but for what lies beyond the range that is drawn
        assert above_zero(drawn[label]) == pytest.approx(probability, abs=6e-3)
    assert len(thin(ax)) == use.n_groups["district"]
    assert not thin(use.plot.latent(groups=False))
    mine = pyplot.subplots()[1]
    assert use.plot.latent(ax=mine) is mine


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "cauchit"])
def test_the_area_above_zero_is_the_probability_for_each_link(link: str) -> None:
    results = ml.fit("b ~ x + f", frame(), family=ml.Family("binomial", link))
    drawn = curves(results.plot.latent("f"))
    means = results.marginal_means("f", kind="response").table.set_index("f")["estimate"]
    for label, curve in drawn.items():
        name, _ = label.split(": ")
        # Cauchy's tail beyond the range that is drawn
        assert above_zero(curve) == pytest.approx(means[name], abs=0.05 if link == "cauchit" else 6e-3)


def test_latent_responses_by_numbers_and_by_groups(use: ml.MixedModelResults) -> None:
    ages = np.quantile(ml.datasets.contraception()["age"], [0.1, 0.5, 0.9])
    assert [own.split(": ")[0] for own in curves(use.plot.latent("age"))] == [f"{own:.4g}" for own in ages]
    assert [own.split(": ")[0] for own in curves(use.plot.latent("age", at={"age": [-5, 5]}))] == ["-5", "5"]
    labels = list(curves(use.plot.latent("district")))
    modes = use.random_effects().set_index("level")["mode"]
    shown = [modes[own.split(": ")[0]] for own in labels]
    assert len(shown) == 7
    assert shown == sorted(shown)
    assert (shown[0], shown[-1]) == (modes.min(), modes.max())


def test_what_has_no_latent_response_is_refused(sleep: ml.MixedModelResults, use: ml.MixedModelResults) -> None:
    with pytest.raises(ml.DataError, match="the gaussian family has no latent response"):
        sleep.plot.latent()
    with pytest.raises(ml.DataError, match="thresholds of their own"):
        fitted("ordered").plot.latent()
    risk = ml.fit("b ~ 1", frame(), family=ml.Family("binomial", "log"))
    with pytest.raises(ml.DataError, match="the log link is that of no latent response"):
        risk.plot.latent()
    with pytest.raises(ml.DataError, match="no predictor 'nothing'"):
        use.plot.latent("nothing")


# ---- two scales ------------------------------------------------------------------------------------------------------


def test_both_scales_have_the_same_curve(use: ml.MixedModelResults) -> None:
    figure = use.plot.probability("age")
    assert isinstance(figure, Figure)
    left, right = figure.axes
    link, response = (
        next(
            np.column_stack(own.get_data())
            for own in ax.lines
            if own.get_linewidth() == 2.2 and own.get_linestyle() == "-"
        )
        for ax in (left, right)
    )
    np.testing.assert_allclose(1.0 / (1.0 + np.exp(-link[:, 1])), response[:, 1], rtol=1e-12)
    means = use.marginal_means("age", at={"age": link[:, 0].tolist()}).table["estimate"]
    np.testing.assert_allclose(link[:, 1], means, rtol=1e-12)
    assert left.get_legend() is None


def test_one_scale_is_refused(sleep: ml.MixedModelResults) -> None:
    with pytest.raises(ml.DataError, match="both scales are one"):
        sleep.plot.probability("Days")
    with pytest.raises(ml.DataError, match="a probability each"):
        fitted("ordered").plot.probability("x")
    assert isinstance(fitted("glm").plot.probability("x"), Figure)


# ---- regressions of groups -------------------------------------------------------------------------------------------


def test_regressions_of_groups(sleep: ml.MixedModelResults) -> None:
    fits = ml.lm_list("Reaction ~ Days | Subject", ml.datasets.sleepstudy())
    figure = fits.plot(sleep, level=0.9)
    assert isinstance(figure, Figure)
    assert [ax.get_title() for ax in figure.axes] == ["(Intercept)", "Days"]
    order = fits.coef()["(Intercept)"].sort_values(ascending=False).index
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [str(own) for own in order]
    intervals = fits.conf_int(0.9)
    for ax in figure.axes:
        term = ax.get_title()
        by_marker = {line.get_marker(): line.get_xdata() for line in ax.lines}
        np.testing.assert_allclose(by_marker["o"], fits.coef().loc[order, term])
        np.testing.assert_allclose(by_marker["D"], sleep.coef()["Subject"].loc[order, term])
        segments = np.array([[p[0, 0], p[1, 0]] for p in ax.collections[0].get_segments()])
        np.testing.assert_allclose(segments, intervals.xs(term, level="term").loc[order])
    alone = fits.plot(term="Days")
    assert isinstance(alone, Axes)
    assert alone.get_yticklabels()[0].get_text() == str(fits.coef()["Days"].idxmax())


def test_wrong_regressions_are_refused(sleep: ml.MixedModelResults) -> None:
    fits = ml.lm_list("Reaction ~ Days | Subject", ml.datasets.sleepstudy())
    with pytest.raises(ml.DataError, match="term='days' is not there"):
        fits.plot(term="days")
    with pytest.raises(ml.DataError, match="choose a coefficient"):
        fits.plot(ax=pyplot.subplots()[1])
    with pytest.raises(ml.DataError, match="no grouping factor 'Subject'; it has 'g'"):
        fits.plot(fitted("slopes"))


def test_groups_without_a_regression_stand_last() -> None:
    data = pd.DataFrame({"y": [1.0, 2.0, 4.0, 0.5, 1.0, 3.0, 7.0], "x": [0, 1, 2, 0, 1, 2, 1], "g": list("aaabbbc")})
    with pytest.warns(ml.DataWarning):
        fits = ml.lm_list("y ~ x | g", data)
    figure = fits.plot()
    assert isinstance(figure, Figure)
    assert figure.axes[0].get_yticklabels()[-1].get_text() == "c"
    figure.canvas.draw()


# ---- power -----------------------------------------------------------------------------------------------------------


def test_power_curves(sleep: ml.MixedModelResults) -> None:
    table = ml.power(sleep, test="Days", effect=[2.0, 5.0], sizes=[6, 12], n=20, seed=1)
    ax = ml.plot_power(table)
    drawn = curves(ax)
    assert list(drawn) == ["2", "5"]
    for label, curve in drawn.items():
        rows = table[table["effect"] == float(label)]
        np.testing.assert_allclose(curve, rows[["size", "power"]])
    band = ax.collections[0].get_paths()[0].vertices
    assert {*np.round(band[:, 1], 9)} == {
        *np.round(table[table["effect"] == 2.0][["conf_low", "conf_high"]].to_numpy().ravel(), 9)
    }
    assert ax.get_xlabel() == "number of levels"
    assert ml.plot_power(table[table["size"] == 6], target=0.9).get_xlabel() == "effect"
    ml.plot_power(table[:1])


def test_other_tables_are_no_power() -> None:
    with pytest.raises(ml.DataError, match="no 'size', 'effect'"):
        ml.plot_power(pd.DataFrame({"power": [0.5], "conf_low": [0.4], "conf_high": [0.6]}))
    table = pd.DataFrame({"size": [5], "effect": [1.0], "power": [0.5], "conf_low": [0.4], "conf_high": [0.6]})
    with pytest.raises(ml.DataError, match="target is 80"):
        ml.plot_power(table, target=80)
