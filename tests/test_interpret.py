"""Coefficients as exponentials and in words."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml


@pytest.fixture(scope="module")
def cbpp(reference_data: Any) -> ml.MixedModelResults:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return ml.fit(formula, reference_data("cbpp"), family="binomial")


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    n = 400
    data = pd.DataFrame({"g": np.repeat(np.arange(40), 10), "x": rng.normal(size=n), "f": rng.choice(list("abc"), n)})
    data["b"] = (rng.random(n) < 0.5).astype(int)
    mean = np.exp(1.0 + 0.3 * data["x"] - 0.5 * data["b"] * data["x"] + 0.4 * rng.normal(size=40)[data["g"]])
    data["y"] = np.where(rng.random(n) < 0.2, 0, rng.poisson(mean))
    return data


def sentences(results: ml.MixedModelResults, **options: Any) -> dict[str, str]:
    """By coefficient, unwrapped."""
    text = str(results.interpret(**options)).replace("\n  ", " ")
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def test_odds_ratios(cbpp: ml.MixedModelResults) -> None:
    plain, table = cbpp.tidy(), cbpp.tidy(exponentiate=True)
    assert list(table["quantity"]) == ["odds", "odds ratio", "odds ratio", "odds ratio", ""]
    for name in ("estimate", "conf_low", "conf_high"):
        assert np.array_equal(table[name][:4], np.exp(plain[name][:4]))
    assert np.allclose(table["std_error"][:4], np.exp(plain["estimate"][:4]) * plain["std_error"][:4], rtol=1e-15)
    assert table["statistic"][:4].equals(plain["statistic"][:4])
    assert table["p_value"][:4].equals(plain["p_value"][:4])
    assert table["estimate"][4] == plain["estimate"][4]
    assert max(map(len, repr(table).splitlines())) <= 80


def test_words_about_a_fit_that_has_not_converged() -> None:
    data = pd.DataFrame({"g": np.repeat(np.arange(10), 4), "x": np.tile([-2.0, -1.0, 1.0, 2.0], 10)})
    data["y"] = (data["x"] > 0) * 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        separated = ml.fit("y ~ x + (1 | g)", data, "binomial")
        data["y"] = np.tile([0, 1, 0, 1], 10)
        overlapping = ml.fit("y ~ x + (1 | g)", data, "binomial")
    assert str(separated.interpret()).startswith("The fit has not converged (separation): what follows describes")
    assert overlapping.converged
    assert "converged" not in str(overlapping.interpret())


def test_ratios_of_parts(counts: pd.DataFrame) -> None:
    with pytest.warns(ml.SeveralMaximaWarning, match="'dispersion: x' is"):  # the counts are Poisson on either side
        fit = ml.fit("y ~ x + (1 | g)", counts, family="negative_binomial", zero_inflation="~ b", dispersion="~ x")
    table = fit.tidy(exponentiate=True).set_index(["effect", "term"])
    assert table["quantity"]["fixed", "x"] == "rate ratio"
    assert table["quantity"]["zero", "b"] == "odds ratio"
    assert table["quantity"]["dispersion", "(Intercept)"] == "value"
    assert table["estimate"]["zero", "b"] == np.exp(fit.params_of("zero")["b"])
    assert list(fit.tidy(component="zero", exponentiate=True)["quantity"]) == ["odds", "odds ratio"]
    assert "with x one higher, the mean of y without the zero part is" in str(fit.interpret()).replace("\n  ", " ")


@pytest.mark.parametrize(
    ("family", "word"),
    [
        (ml.Family("binomial", "cloglog"), "hazard ratio"),
        (ml.Family("poisson"), "rate ratio"),
        (ml.Family("gamma", "log"), "ratio of means"),
        (ml.Family("beta"), "odds ratio"),
    ],
)
def test_what_exponentials_are(counts: pd.DataFrame, family: ml.Family, word: str) -> None:
    y = {
        "binomial": counts["y"] > 1,
        "poisson": counts["y"],
        "gamma": counts["y"] + 0.5,
        "beta": (counts["y"] + 1) / 50,
    }
    fit = ml.fit("y ~ x + (1 | g)", counts.assign(y=y[family.name].astype(float)), family=family)
    assert fit.tidy(exponentiate=True)["quantity"][1] == word


def test_refused_where_they_mean_nothing(counts: pd.DataFrame) -> None:
    fit = ml.fit("y ~ x + (1 | g)", counts)
    with pytest.raises(
        ml.DataError, match="exponentials of the coefficients of the mean have no meaning with the ident"
    ):
        fit.tidy(exponentiate=True)
    probit = ml.fit("b ~ x + (1 | g)", counts, family=ml.Family("binomial", "probit"))
    with pytest.raises(ml.DataError, match=r"comparisons\(\) has ratios of means with any link"):
        probit.tidy(exponentiate=True)
    assert "the linear predictor of b, on the scale of the probit link, is" in sentences(probit)["x"]


def test_words_of_a_factor(cbpp: ml.MixedModelResults) -> None:
    words, table = sentences(cbpp), cbpp.tidy(exponentiate=True)
    low, high = table["conf_low"][1], table["conf_high"][1]
    assert words["period[2]"] == (
        f"with period 2 rather than 1, the odds of incidence are {table['estimate'][1]:.4g} times as large, "
        f"{100 - 100 * table['estimate'][1]:.3g} % lower (95 % interval {low:.4g} to {high:.4g}), holding the group "
        "fixed."
    )
    assert words["(Intercept)"].endswith("where period is 1 and random effects are zero.")
    assert "(90 % interval" in sentences(cbpp, level=0.9)["period[2]"]
    assert "<p>" in cbpp.interpret()._repr_html_()


def test_words_of_products(counts: pd.DataFrame) -> None:
    words = sentences(ml.fit("y ~ x * b + f + (1 | g)", counts, family="poisson"))
    assert "with x one higher, the mean of y is" in words["x"]
    assert words["x"].endswith("where b is 0, holding the other columns and the group fixed.")
    assert "with b 1 rather than 0" in words["b"]
    assert "where" not in words["f[b]"]
    assert words["x:b"].startswith("the factor by which x one higher multiplies the mean of y is")
    assert "with b 1 rather than 0, holding" in words["x:b"]
    linear = sentences(ml.fit("y ~ x * b * f", counts))
    assert "x one higher makes in the mean of y, as it depends on b 1 rather than 0," in linear["x:b:f[c]"]
    assert linear["(Intercept)"].endswith("where x is 0, b is 0 and f is a.")


def test_words_of_other_codings(counts: pd.DataFrame) -> None:
    words = sentences(ml.fit("y ~ f + poly(x, 2)", counts, contrasts={"f": "sum"}))
    assert any("column 1 of the contrasts of f one higher" in text for text in words.values())
    assert any("column 2 of poly(x, 2) one higher" in text for text in words.values())
    assert "where the contrasts of f are 0" in words["(Intercept)"]
    cells = sentences(ml.fit("y ~ 0 + f", counts))
    assert "with f a, the mean of y is" in cells["f[a]"]
