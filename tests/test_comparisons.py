"""Comparisons and marginal effects against quadrature in R and against brute force written from the definitions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import multilevel as ml

from .family_cases import CASES, QUICK_PAIRS

SECTIONS = {
    "zero": ("random_zero", "se"),
    "conditional": ("averaged_over_modes", "se_modes_fixed"),
    "marginal": ("integrated", "se"),
}


@pytest.fixture(scope="module")
def effects(reference_numbers: Any) -> dict[str, Any]:
    return reference_numbers("after_the_fit")["effects"]


@pytest.fixture(scope="module")
def contraception(reference_data: Any) -> ml.MixedModelResults:
    formula = "use ~ age + I(age^2) + urban + livch + (1 + urban | district)"
    return ml.fit(formula, reference_data("Contraception"), family="binomial", n_quadrature=15)


@pytest.fixture(scope="module")
def epil(reference_data: Any) -> ml.MixedModelResults:
    data = reference_data("epil")
    data["visit"] = (data["period"] - 2.5) / 5
    return ml.fit("y ~ lbase * trt + lage + visit + (visit | subject)", data, family="poisson", n_quadrature=15)


def agree(table: pd.DataFrame, row: int, expected: list[dict[str, Any]], name: str, error: str, shown: float) -> None:
    own = next(one for one in expected if one["name"] == name)
    # an average that is small beside its error is known to a share of that
    assert table["estimate"][row] == pytest.approx(own["estimate"], rel=shown, abs=shown * own[error])
    assert table["std_error"][row] == pytest.approx(own[error], rel=1e-5)


@pytest.mark.parametrize("random", list(SECTIONS))
@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_factor(reference_data: Any, effects: dict[str, Any], link: str, random: str) -> None:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    fit = ml.fit(formula, reference_data("cbpp"), family=ml.Family("binomial", link), n_quadrature=25)
    section, error = SECTIONS[random]
    table = fit.comparisons("period", random=random).table
    for row, period in enumerate((2, 3, 4)):
        name = f"AME period {period}-1 (rows equally weighted)"
        agree(table, row, effects[f"cbpp_{link}_agq25"][section], name, error, 1e-7)


@pytest.mark.parametrize("random", list(SECTIONS))
def test_random_slopes(contraception: ml.MixedModelResults, effects: dict[str, Any], random: str) -> None:
    section, error = SECTIONS[random]
    expected = effects["contraception_slope_agq15"][section]
    table = contraception.marginal_effects(random=random).table
    assert list(table["contrast"]) == ["slope", "Y - N", "1 - 0", "2 - 0", "3+ - 0"]
    agree(table, 0, expected, "AME age (through age and age^2)", error, 1e-7)
    agree(table, 1, expected, "AME urban Y-N", error, 1e-7)
    agree(table, 2, expected, "AME livch 1-0", error, 1e-7)
    agree(table, 4, expected, "AME livch 3+-0", error, 1e-7)


@pytest.mark.parametrize("random", list(SECTIONS))
def test_counts(epil: ml.MixedModelResults, effects: dict[str, Any], random: str) -> None:
    section, error = SECTIONS[random]
    expected = effects["epil_slope_agq15"][section]
    # the reference's random slopes are known to 1e-7
    agree(epil.comparisons("trt", random=random).table, 0, expected, "AME trt progabide-placebo", error, 2e-7)
    agree(epil.comparisons("trt", kind="ratio", random=random).table, 0, expected, "rate ratio trt", error, 2e-7)
    agree(epil.marginal_effects("lbase", random=random).table, 0, expected, "AME lbase", error, 2e-7)
    agree(epil.marginal_effects("visit", random=random).table, 0, expected, "AME visit", error, 2e-7)


def test_definitions(reference_data: Any) -> None:
    """Without random effects: the numbers of the package marginaleffects."""
    fit = ml.fit("use ~ age + urban * livch", reference_data("Contraception"), family="binomial")
    expected = json.loads((Path(__file__).parent / "reference" / "comparisons.json").read_text(encoding="utf-8"))
    tables = {
        "livch": fit.comparisons("livch"),
        "livch_pairwise": fit.comparisons("livch", contrast="pairwise"),
        "urban_ratio": fit.comparisons("urban", kind="ratio"),
        "urban_by_livch": fit.comparisons("urban", by="livch"),
        "age_iqr": fit.comparisons("age", change="iqr"),
        "age_range": fit.comparisons("age", change="range"),
        "age_two_values": fit.comparisons("age", change=(-5, 5)),
        "age_rows": fit.comparisons(
            "age", change=(-5, 5), newdata=reference_data("Contraception").head(6), average=False
        ),
        "age_slope": fit.marginal_effects("age"),
    }
    for name, result in tables.items():
        for own in ("estimate", "std_error"):
            # its derivatives are differences: 1e-6 of errors, and of the error of a slope, which is one already, 1e-3
            rtol = 1e-3 if name == "age_slope" else 2e-6
            assert np.allclose(result.table[own], expected[name][own], rtol=rtol), (name, own)
    odds = fit.comparisons("urban", kind="odds_ratio")
    assert odds.estimate[0] == pytest.approx(expected["urban_log_odds_ratio"]["estimate"][0], rel=1e-6)


# ---- against brute force -----------------------------------------------------------------------------------------


def delta(fit: Any, function: Callable[[NDArray[np.float64]], float]) -> tuple[float, float]:
    """A function of psi and its standard error, by differences."""
    psi, step = fit.psi, 1e-4
    units = step * np.eye(len(psi))
    gradient = np.array(
        [(8 * (function(psi + u) - function(psi - u)) - function(psi + 2 * u) + function(psi - 2 * u)) for u in units]
    ) / (12 * step)
    return function(psi), float(np.sqrt(gradient @ fit.covariance @ gradient))


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    n, groups = 600, 60
    data = pd.DataFrame(
        {"g": np.repeat(np.arange(groups), n // groups), "x": rng.normal(size=n), "b": rng.random(n) < 0.4}
    )
    u = rng.normal(size=(groups, 2)) @ np.array([[0.6, 0.1], [0.0, 0.3]])
    data["t"] = rng.uniform(0.5, 3.0, n)
    eta = 0.8 + 0.3 * data["x"] + 0.4 * data["b"] + u[data["g"], 0] + u[data["g"], 1] * data["x"] + np.log(data["t"])
    data["y"] = np.where(rng.random(n) < 0.25 + 0.15 * data["b"], 0, rng.poisson(np.exp(eta)))
    return data


def integral(
    mean: Callable[[NDArray[np.float64]], NDArray[np.float64]], variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return sum(w * mean(np.sqrt(variance) * t) for t, w in zip(nodes, weights, strict=True)) / np.sqrt(2 * np.pi)


@pytest.mark.parametrize("zero", ["inflation", "hurdle"])
def test_zero_parts(counts: pd.DataFrame, zero: str) -> None:
    results = ml.fit(
        "y ~ x + b + offset(log(t)) + (x | g)",
        counts,
        family="poisson",
        **{"zero_inflation" if zero == "inflation" else "hurdle": "~ b"},
    )
    fit, x, log_t = results.fit, counts["x"].to_numpy(), np.log(counts["t"].to_numpy())

    def mean(psi: NDArray[np.float64], x: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        eta = psi[0] + psi[1] * x + psi[2] * b + log_t
        half = np.array([[psi[3], 0.0], [psi[4], psi[5]]])
        z = np.column_stack([np.ones_like(x), x])
        variance = np.square(z @ half).sum(axis=1)
        share = 1.0 / (1.0 + np.exp(-(psi[6] + psi[7] * b)))

        def response(shift: NDArray[np.float64]) -> NDArray[np.float64]:
            rate = np.exp(eta + shift)
            return (1.0 - share) * (rate if zero == "inflation" else rate / -np.expm1(-rate))

        return integral(response, variance)

    ones = np.ones(len(x))
    value, error = delta(fit, lambda psi: float(np.mean(mean(psi, x, ones) - mean(psi, x, 0 * ones))))
    table = results.comparisons("b").table
    assert table["estimate"][0] == pytest.approx(value, rel=1e-8)
    assert table["std_error"][0] == pytest.approx(error, rel=1e-6)
    b, h = counts["b"].to_numpy(dtype=float), 1e-3
    value, error = delta(fit, lambda psi: float(np.mean(mean(psi, x + h, b) - mean(psi, x - h, b))) / (2 * h))
    table = results.marginal_effects("x").table
    assert table["estimate"][0] == pytest.approx(value, rel=1e-5)
    assert table["std_error"][0] == pytest.approx(error, rel=1e-4)
    # what the zero part leaves alone
    plain = results.comparisons("b", outcome="mean", kind="ratio").table
    assert plain["estimate"][0] == pytest.approx(np.exp(fit.beta[2]), rel=1e-10)


def test_random_effects_of_a_zero_part(counts: pd.DataFrame) -> None:
    """The average over both kinds of random effects, as a double integral."""
    rng = np.random.default_rng(1)
    zeros = rng.random(len(counts)) < 1 / (1 + np.exp(1.0 - 1.2 * rng.normal(size=60)[counts["g"]]))
    data = counts.assign(y=np.where(zeros, 0, counts["y"] + 1))
    results = ml.fit("y ~ x + b + (1 | g)", data, family="poisson", zero_inflation="~ b + (1 | g)")
    x = data["x"].to_numpy()
    names = list(results.fit.parameter_names)
    order = [names.index(own) for own in ("zero: (Intercept)", "zero: b[True]")]
    theta = [k for k, name in enumerate(names) if name.startswith("g: ")]
    assert len(theta) == 2

    def mean(psi: NDArray[np.float64], b: float) -> float:
        eta, variance = psi[0] + psi[1] * x + psi[2] * b, np.full(len(x), psi[theta[0]] ** 2)
        own = psi[order[0]] + psi[order[1]] * b
        share = integral(lambda t: 1 / (1 + np.exp(own + t)), np.array([psi[theta[1]] ** 2]))
        return float((share * integral(lambda t: np.exp(eta + t), variance)).mean())

    value, error = delta(results.fit, lambda psi: mean(psi, 1.0) - mean(psi, 0.0))
    table = results.comparisons("b").table
    assert table["estimate"][0] == pytest.approx(value, rel=1e-8)
    assert table["std_error"][0] == pytest.approx(error, rel=1e-6)


def test_truncation_and_a_parameter(counts: pd.DataFrame) -> None:
    data = counts[counts["y"] > 0]
    results = ml.fit("y ~ x + b + (1 | g)", data, family="truncated_negative_binomial")
    x = data["x"].to_numpy()

    def mean(psi: NDArray[np.float64], b: float) -> float:
        size = np.exp(psi[4])

        def response(shift: NDArray[np.float64]) -> NDArray[np.float64]:
            rate = np.exp(psi[0] + psi[1] * x + psi[2] * b + shift)
            return rate / -np.expm1(-size * np.log1p(rate / size))

        return float(integral(response, np.full(len(x), psi[3] ** 2)).mean())

    value, error = delta(results.fit, lambda psi: np.log(mean(psi, 1.0) / mean(psi, 0.0)))
    table = results.comparisons("b", kind="ratio").table
    assert table["estimate"][0] == pytest.approx(np.exp(value), rel=1e-7)
    assert table["std_error"][0] == pytest.approx(np.exp(value) * error, rel=1e-5)
    assert table["statistic"][0] == pytest.approx(value / error, rel=1e-5)


@pytest.mark.parametrize(("name", "link"), QUICK_PAIRS)
@pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
def test_every_family_and_link(name: str, link: str) -> None:
    """Averages are those of predictions, or of their integral; errors those of differences of the parameters."""
    case, rng = CASES[name], np.random.default_rng(5)
    groups, n, start = 12, 96, CASES[name].starts[link]
    data = pd.DataFrame({"g": np.repeat(np.arange(groups), n // groups), "x": rng.normal(size=n)})
    eta = start.intercept + start.scale * (0.4 * data["x"] + 0.4 * rng.normal(size=groups)[data["g"]]).clip(-1.5, 1.5)
    family, size = ml.Family(name, link), np.full(n, 5.0 if case.trials else 1.0)
    data["y"] = case.draw(rng, family.mean(eta.to_numpy()), size, case.phi[0])
    data["rest"] = size - data["y"]
    fit = ml.fit(f"{'cbind(y, rest)' if case.trials else 'y'} ~ x + (1 | g)", data, family=family)
    there, here = (fit.predict(data.assign(x=data["x"] + k), random="conditional").mean() for k in (0.5, 0.0))
    table = fit.comparisons("x", change=0.5, random="conditional").table
    assert table["estimate"][0] == pytest.approx(there - here, rel=1e-9, abs=1e-12)
    if link in ("inverse", "inverse_squared") and not fit.fit.singular:
        with pytest.raises(ml.DataError, match="no mean over normally distributed random effects"):
            fit.comparisons("x", change=0.5)
        return
    x = data["x"].to_numpy()

    def average(psi: NDArray[np.float64]) -> float:
        eta, variance = psi[0] + psi[1] * x, np.full(n, psi[2] ** 2)
        means = (integral(lambda t, k=k: family.mean(eta + 0.5 * k * psi[1] + t), variance).mean() for k in (1, 0))
        return float(next(means) - next(means))

    table = fit.comparisons("x", change=0.5).table
    if np.isnan(fit.fit.covariance[:3, :3]).any():
        assert table["estimate"][0] == pytest.approx(average(fit.fit.psi), rel=1e-8)
        return
    value, error = delta(fit.fit, average)
    assert table["estimate"][0] == pytest.approx(value, rel=1e-8)
    assert table["std_error"][0] == pytest.approx(error, rel=1e-6)


def test_rows_one_by_one(contraception: ml.MixedModelResults, reference_data: Any) -> None:
    data = reference_data("Contraception").head(40)
    for random in ("zero", "conditional"):
        table = contraception.comparisons("urban", newdata=data, average=False, random=random).table
        there = contraception.predict(data.assign(urban="Y"), random=random)
        here = contraception.predict(data.assign(urban="N"), random=random)
        assert np.allclose(table["estimate"], there - here, rtol=0, atol=1e-14)
        assert list(table["row"]) == list(data.index)
    odds = contraception.comparisons("urban", newdata=data, average=False, random="zero", kind="odds_ratio").table
    beta = contraception.params["urban[Y]"]
    assert np.allclose(odds["estimate"], np.exp(beta), rtol=1e-12)
    assert np.allclose(odds["std_error"], np.exp(beta) * contraception.bse["urban[Y]"], rtol=1e-10)


def test_groups_and_values(contraception: ml.MixedModelResults, reference_data: Any) -> None:
    data = reference_data("Contraception")
    by = contraception.comparisons("urban", by="livch", random="zero").table
    for level, estimate in zip(by["livch"], by["estimate"], strict=True):
        rows = data[data["livch"] == level]
        there, here = (contraception.predict(rows.assign(urban=u), random="zero").mean() for u in "YN")
        assert estimate == pytest.approx(there - here, rel=1e-12)
    at = contraception.comparisons("age", change=(-5, 5), at={"urban": ["N", "Y"], "livch": "2"}, random="zero").table
    assert list(at["urban"]) == ["N", "Y"]
    rows = data.assign(urban="Y", livch="2")
    there, here = (contraception.predict(rows.assign(age=float(a)), random="zero").mean() for a in (5, -5))
    assert at["estimate"][1] == pytest.approx(there - here, rel=1e-12)
    pairs = contraception.comparisons("livch", contrast="pairwise", random="zero").table
    assert list(pairs["contrast"]) == ["1 - 0", "2 - 0", "3+ - 0", "2 - 1", "3+ - 1", "3+ - 2"]
    first = pairs["estimate"]
    assert np.allclose(first[3:], [first[1] - first[0], first[2] - first[0], first[2] - first[1]], rtol=1e-12)
    assert at["contrast"][0] == "5 - (-5)"
    districts = contraception.comparisons("urban", by="district", random="conditional").table
    assert len(districts) == data["district"].nunique()
    weights = np.arange(len(data), dtype=float)
    weighted = contraception.comparisons("urban", weights=weights, random="zero").table["estimate"][0]
    there, here = (contraception.predict(data.assign(urban=u), random="zero") for u in "YN")
    assert weighted == pytest.approx(np.average(there - here, weights=weights), rel=1e-12)


def test_other_frames(contraception: ml.MixedModelResults, reference_data: Any) -> None:
    polars = pytest.importorskip("polars")
    data = reference_data("Contraception").head(60)
    expected = contraception.comparisons("urban", newdata=data).table
    for frame in (polars.from_pandas(data.astype({"urban": str, "livch": str})), data.to_dict(orient="list")):
        assert contraception.comparisons("urban", newdata=frame).table.equals(expected)
    # the column that is set need not be there, and rows that lack another do not count
    gaps = data.drop(columns="urban")
    gaps.loc[gaps.index[3], "age"] = np.nan
    without = contraception.comparisons("urban", newdata=data.drop(index=data.index[3])).table
    assert np.allclose(
        contraception.comparisons("urban", newdata=gaps).table["estimate"], without["estimate"], rtol=1e-14
    )
    rows = contraception.comparisons("urban", newdata=gaps, average=False).table["estimate"]
    assert list(np.flatnonzero(np.isnan(rows))) == [3]
    with pytest.raises(ml.DataError, match="newdata has no column 'age'"):
        contraception.comparisons("age", newdata=data.drop(columns="age"))


def test_changes_of_numbers(epil: ml.MixedModelResults, reference_data: Any) -> None:
    lbase = reference_data("epil")["lbase"]
    sd = epil.comparisons("lbase", change="sd", outcome="link", random="zero", at={"trt": "placebo"}).table
    assert sd["estimate"][0] == pytest.approx(lbase.std() * epil.params["lbase"], rel=1e-12)
    span = epil.comparisons("lbase", change="range", outcome="link", random="zero", at={"trt": "placebo"}).table
    assert span["estimate"][0] == pytest.approx((lbase.max() - lbase.min()) * epil.params["lbase"], rel=1e-12)
    one = epil.comparisons("lage", kind="ratio").table
    assert one["estimate"][0] == pytest.approx(np.exp(epil.params["lage"]), rel=1e-10)
    assert one["contrast"][0] == "+ 1"


def test_linear_models(reference_data: Any) -> None:
    fit = ml.fit("Reaction ~ Days + (Days | Subject)", reference_data("sleepstudy"))
    own = fit.tidy().iloc[1]
    for table in (fit.marginal_effects("Days").table, fit.comparisons("Days", random="zero").table):
        for name in ("estimate", "std_error", "df", "p_value", "conf_low"):
            assert table[name][0] == pytest.approx(own[name], rel=1e-9), name
    kenward = fit.marginal_effects("Days", df_method="kenward-roger").table
    assert kenward["df"][0] == pytest.approx(17.0, rel=1e-6)


def test_robust_errors(reference_data: Any) -> None:
    fit = ml.fit("y ~ lbase * trt + lage + V4 + (1 | subject)", reference_data("epil"), family="poisson")
    table = fit.comparisons("lage", outcome="link", robust="CR1").table
    assert table["std_error"][0] == pytest.approx(np.sqrt(fit.cov_params(robust="CR1").loc["lage", "lage"]))
    means = fit.marginal_means("trt", robust="CR1")
    contrast = means.contrasts()
    row = np.array([0.0, 0.0, -1.0, 0.0, 0.0, -fit.fit.design.source[0].values.mean()])
    covariance = fit.cov_params(robust="CR1").to_numpy()
    assert contrast.table["std_error"][0] == pytest.approx(np.sqrt(row @ covariance @ row), rel=1e-10)
    assert "standard errors: CR1, 59 clusters of subject" in repr(contrast)
    linear = ml.fit("Reaction ~ Days + (1 | Subject)", reference_data("sleepstudy"))
    assert np.isinf(linear.marginal_effects("Days", robust="CR1").table["df"][0])
    with pytest.raises(ml.DataError, match="CR2 has degrees of freedom for the coefficients alone"):
        linear.marginal_effects("Days", robust="CR2")
    with pytest.raises(ml.DataError, match="goes with the model's own covariance"):
        linear.marginal_effects("Days", robust="CR1", df_method="satterthwaite")


def test_functions_of_a_number(reference_data: Any) -> None:
    data = reference_data("epil")
    fit = ml.fit("y ~ log(base) + np.sqrt(age) * trt + (1 | subject)", data, family="poisson")
    slopes = fit.marginal_effects(["base", "age"], random="zero", average=False).table
    mean = fit.predict(random="zero").to_numpy()
    assert np.allclose(slopes["estimate"][: len(data)], mean * fit.params["log(base)"] / data["base"], rtol=1e-9)
    rise = fit.params["np.sqrt(age)"] + fit.params.iloc[-1] * (data["trt"] == "progabide")
    expected = mean * rise / (2 * np.sqrt(data["age"]))
    assert np.allclose(slopes["estimate"][len(data) :], expected, rtol=1e-9)


def test_offsets_given_as_arrays(counts: pd.DataFrame) -> None:
    named = ml.fit("y ~ x + b + offset(log(t)) + (1 | g)", counts, family="poisson")
    array = ml.fit("y ~ x + b + (1 | g)", counts, family="poisson", offset=np.log(counts["t"]))
    both = ml.fit(
        "y ~ x + b + offset(0.5 * log(t)) + (1 | g)",
        counts,
        family="poisson",
        offset=0.5 * np.log(counts["t"].to_numpy()),
    )
    expected = named.comparisons("b").table
    for fit in (array, both):
        found = fit.comparisons("b").table
        assert np.allclose(found["estimate"], expected["estimate"], rtol=1e-7)
        assert np.allclose(found["std_error"], expected["std_error"], rtol=1e-5)
    # on a grid an array is at its mean; a column of a formula's offset is
    grid = array.marginal_means("b").estimate - named.marginal_means("b").estimate
    assert np.allclose(grid, np.log(counts["t"]).mean() - np.log(counts["t"].mean()), rtol=1e-5)


def test_variance_of_zero(counts: pd.DataFrame) -> None:
    """At the end of its range a variance counts as known, and nothing is NaN."""
    rng = np.random.default_rng(3)
    data = counts.assign(y=rng.poisson(2.0, len(counts)))
    with pytest.warns(ml.SingularFitWarning):
        fit = ml.fit("y ~ x + b + (1 | g)", data, family="poisson")
    table = fit.comparisons("b").table
    zero = fit.comparisons("b", random="zero").table
    assert np.isfinite(table["std_error"]).all()
    assert np.allclose(table["std_error"], zero["std_error"], rtol=1e-12)


def test_saved(contraception: ml.MixedModelResults, tmp_path: Any) -> None:
    contraception.save(tmp_path / "fit.ml")
    again = ml.load(tmp_path / "fit.ml")
    assert again.comparisons("urban").table.equals(contraception.comparisons("urban").table)


def test_refused(contraception: ml.MixedModelResults, reference_data: Any, counts: pd.DataFrame) -> None:
    fit, data = contraception, reference_data("Contraception")
    with pytest.raises(ml.DataError, match="no predictor 'ages'"):
        fit.comparisons("ages")
    with pytest.raises(ml.DataError, match=r"'I\(age\^2\)' is made of 'age'"):
        fit.comparisons("I(age^2)")
    with pytest.raises(ml.DataError, match="random='typical' is not available"):
        fit.comparisons("urban", random="typical")
    with pytest.raises(ml.DataError, match="kind='ratio' compares means"):
        fit.comparisons("urban", kind="ratio", outcome="link")
    with pytest.raises(ml.DataError, match="change=2 is for numbers"):
        fit.comparisons("urban", change=2)
    with pytest.raises(ml.DataError, match="contrast='effects' is not available"):
        fit.comparisons("livch", contrast="effects")
    with pytest.raises(ml.DataError, match="levels of 'district' that the fit has not seen: '999'"):
        fit.comparisons("urban", newdata=data.head(3).assign(district=999), random="conditional")
    assert np.isfinite(fit.comparisons("urban", newdata=data.head(3).assign(district=999)).table["estimate"][0])
    with pytest.raises(ml.DataError, match="weights: 1934 numbers are needed"):
        fit.comparisons("urban", weights=[1.0])
    with pytest.raises(ml.ArgumentError, match="'type' is"):
        fit.comparisons("urban", type="link")
    gamma = ml.fit("y ~ x + (1 | g)", counts.assign(y=counts["y"] + 1.0), family=ml.Family("gamma", "inverse"))
    with pytest.raises(ml.DataError, match="the inverse link has no mean over normally distributed random effects"):
        gamma.comparisons("x")
    assert np.isfinite(gamma.comparisons("x", random="conditional").table["std_error"][0])
    with pytest.raises(ml.DataError, match="kind='odds_ratio' is for means between zero and one"):
        gamma.comparisons("x", kind="odds_ratio", random="zero")


def test_not_determined(reference_data: Any) -> None:
    data = reference_data("Contraception")
    data = data[(data["urban"] != "Y") | (data["livch"] != "2")]
    with pytest.warns(ml.RedundantColumnWarning):
        fit = ml.fit("use ~ age + urban * livch + (1 | district)", data, family="binomial")
    with pytest.warns(ml.NotEstimableWarning, match="do not determine the mean at urban = 'Y', livch = '2'"):
        assert np.isnan(fit.comparisons("urban").table["estimate"][0])
    there = data[data["livch"] != "2"]
    assert np.isfinite(fit.comparisons("urban", newdata=there).table["estimate"][0])
