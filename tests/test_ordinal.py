"""Ordered categories: fits against other programs and brute force, what is read, predictions."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import multilevel as ml
from multilevel.family.distributions import distribution

from .family_cases import Array
from .reference_files import read_data, read_numbers
from .test_ordinal_density import LINKS

# ---- fits of other programs ----------------------------------------------------------------------------------------

FITS = [(name, key) for name in ("wine", "ordinal_sim", "VerbAgg_ordinal") for key in read_numbers(name)["fits"]]


def data_of(name: str) -> pd.DataFrame:
    """The data with the levels of the reference."""
    frame = read_data("VerbAgg" if name == "VerbAgg_ordinal" else name)
    for column, facts in read_numbers(name)["columns"].items():
        if "levels" in facts:
            ordered = facts["type"] == "ordered"
            frame[column] = pd.Categorical(frame[column].astype(str), categories=facts["levels"], ordered=ordered)
    return frame


@pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
@pytest.mark.parametrize(("name", "key"), FITS)
def test_fit_of_another_program(name: str, key: str) -> None:
    """clmm's Laplace fits stop some 1e-6 short, and their standard errors are of differences; "own" is optim() on the
    likelihood written out in R, whose 25 points are exact."""
    reference = read_numbers(name)["fits"][key]
    results = ml.fit(
        reference["formula"].partition(";")[0],
        data_of(name),
        family="cumulative",
        link=reference["link"],
        thresholds=reference.get("threshold", "flexible"),
        n_quadrature=reference.get("nAGQ") or 1,
    )
    assert results.converged
    assert results.llf == pytest.approx(reference["logLik"], abs=5e-6)
    assert results.df_model == reference["df"]
    se = results.bse.to_numpy()
    fixed = pd.DataFrame(reference["fixed"]).iloc[: len(se)]
    assert (np.abs(results.params.to_numpy() - fixed["estimate"]) / se).max() < 2e-4
    if reference.get("nAGQ") or 1 > 1:
        np.testing.assert_allclose(se, fixed["se"], rtol=2e-3 if (reference.get("nAGQ") or 1) > 1 else 0.3)
    if reference.get("thresholds"):
        table = pd.DataFrame(reference["thresholds"])
        own = results.tidy(component="thresholds")
        assert list(own["term"]) == list(table["name"])
        assert (np.abs(own["estimate"] - table["estimate"]) / own["std_error"]).max() < 2e-4
    if "fitted_prob_of_observed_first10" in reference:
        y = results.fit.design.response.values.astype(int) - 1
        own = results.predict(kind="probabilities").to_numpy()[np.arange(len(y)), y]
        np.testing.assert_allclose(own[:10], reference["fitted_prob_of_observed_first10"], atol=2e-4)


# ---- brute force ---------------------------------------------------------------------------------------------------


def simulated(seed: int, n: int, groups: int, categories: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.integers(0, 2, n), "g": np.arange(n) % groups})
    frame["k"] = frame["g"] * 2 + rng.integers(0, 2, n)
    eta = 0.8 * frame["x"] - 0.5 * frame["z"] + rng.normal(size=groups)[frame["g"]]
    latent = eta + 0.6 * rng.normal(size=2 * groups)[frame["k"]] + rng.logistic(size=n)
    cuts = np.quantile(latent, np.arange(1, categories) / categories)
    frame["y"] = np.searchsorted(cuts, latent) + 1
    return frame


def brute_force(
    frame: pd.DataFrame,
    thresholds: Array,
    eta: Array,
    sd: tuple[float, ...],
    cdf: Callable[[Array], Any],
    nodes: int = 41,
) -> float:
    """The marginal log-likelihood by Gauss-Hermite rules at the prior: `sd` of g, or of g and of k within it."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights = weights / weights.sum()
    y = frame["y"].to_numpy()
    ends = np.hstack([np.full((len(y), 1), -np.inf), thresholds, np.full((len(y), 1), np.inf)])
    upper, lower = ends[np.arange(len(y)), y], ends[np.arange(len(y)), y - 1]

    def density(shift: Array) -> Array:
        at = eta[:, None] + shift
        return cdf(upper[:, None] - at) - cdf(lower[:, None] - at)

    total = 0.0
    for _, rows in frame.groupby("g").groups.items():
        where = frame.index.get_indexer(rows)
        if len(sd) == 1:
            total += np.log(weights @ np.prod(density(sd[0] * points)[where], axis=0))
            continue
        inner = np.ones(len(points))
        for _, own in frame.iloc[where].groupby("k").groups.items():
            at = frame.index.get_indexer(own)
            shift = sd[0] * points[:, None] + sd[1] * points
            both = np.array([np.prod(density(row)[at], axis=0) for row in shift])
            inner = inner * (both @ weights)
        total += np.log(weights @ inner)
    return total


@pytest.mark.parametrize("structure", ["flexible", "equidistant", "symmetric"])
def test_likelihood_and_information_by_brute_force(structure: str) -> None:
    """With nominal effects and an offset: the likelihood, that it is flat at the estimates, and its bend there."""
    frame = simulated(5, 120, 12, 5)
    frame["o"] = np.linspace(-0.3, 0.3, 120)
    results = ml.fit(
        "y ~ x + offset(o) + (1 | g)", frame, family="cumulative", nominal="~ z", thresholds=structure, n_quadrature=35
    )
    assert results.converged
    matrix = results.fit.design.thresholds.matrix
    m = matrix.shape[1]

    def loglik(psi: Array) -> float:
        own = psi[2:].reshape(2, m) @ matrix.T
        thresholds = own[0] + frame["z"].to_numpy()[:, None] * own[1]
        eta = psi[0] * frame["x"].to_numpy() + frame["o"].to_numpy()
        return brute_force(frame, thresholds, eta, (psi[1],), special.expit, 151)

    psi = results.fit.psi
    assert results.llf == pytest.approx(loglik(psi), abs=1e-7)
    se = np.sqrt(np.diag(results.fit.covariance))
    step = 0.02 * se
    steps = np.diag(step)
    slope = np.array([(loglik(psi + s) - loglik(psi - s)) / 2 for s in steps]) / 0.02
    assert np.abs(slope).max() < 1e-3  # per standard error: what is left is the error of differences
    bend = np.array([(loglik(psi + s) - 2 * loglik(psi) + loglik(psi - s)) for s in steps]) / step**2
    np.testing.assert_allclose(bend, np.diag(results.fit.hessian), rtol=2e-3)


def test_nested_quadrature_by_brute_force() -> None:
    frame = simulated(7, 90, 9)
    results = ml.fit("y ~ x + (1 | g/k)", frame, family="cumulative", link="probit", n_quadrature=15)
    assert results.converged
    thresholds = np.tile(results.params_of("thresholds").to_numpy(), (90, 1))
    own = {group: float(np.sqrt(cov.iloc[0, 0])) for group, cov in results.random_cov.items()}
    sd = (own.pop("g"), own.popitem()[1])
    eta = results.params["x"] * frame["x"].to_numpy()
    assert results.llf == pytest.approx(brute_force(frame, thresholds, eta, sd, special.ndtr), abs=2e-6)


# ---- what must not matter ------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::multilevel.QuadratureWarning")
def test_categories_in_reverse() -> None:
    """The same model seen from the other side: coefficients and thresholds change sign, and loglog becomes cloglog."""
    frame = simulated(11, 200, 20)
    frame["r"] = 5 - frame["y"]
    for link, other in [("logit", "logit"), ("cloglog", "loglog"), ("cauchit", "cauchit")]:
        one = ml.fit("y ~ x + (1 | g)", frame, family="cumulative", link=link)
        two = ml.fit("r ~ x + (1 | g)", frame, family="cumulative", link=other)
        assert one.converged
        assert two.converged
        assert one.llf == pytest.approx(two.llf, abs=1e-8)
        np.testing.assert_allclose(one.params, -two.params, rtol=1e-5)
        np.testing.assert_allclose(
            one.params_of("thresholds"), -two.params_of("thresholds").to_numpy()[::-1], rtol=1e-5
        )


def test_what_stands_for_the_intercept() -> None:
    """The thresholds do, whatever the formula says; columns may lie anywhere, on any scale."""
    frame = simulated(13, 160, 16)
    frame["far"] = 1e6 + 1e3 * frame["x"]
    frame["f"] = np.array(["a", "b", "c"])[np.arange(160) % 3]
    one, two, far = (ml.fit(f"y ~ {own} + (1 | g)", frame, family="cumulative") for own in ("x", "0 + x", "far"))
    assert one.llf == two.llf
    assert list(one.params.index) == ["x"]
    assert far.llf == pytest.approx(one.llf, abs=1e-8)
    np.testing.assert_allclose(far.params.iloc[0] * 1e3, one.params.iloc[0], rtol=1e-6)
    shifted = one.params_of("thresholds") + 1e6 * far.params.iloc[0]
    np.testing.assert_allclose(far.params_of("thresholds"), shifted, rtol=1e-8)
    f = ml.fit("y ~ 0 + f + (1 | g)", frame, family="cumulative")
    assert list(f.params.index) == ["f[b]", "f[c]"]
    none = ml.fit("y ~ 1 + (1 | g)", frame, family="cumulative")
    assert none.params.empty
    assert none.converged
    assert "Thresholds" in str(none.summary())
    alone = ml.fit("y ~ 1", frame, family="cumulative")
    shares = np.cumsum(np.bincount(frame["y"])[1:])[:-1] / 160
    np.testing.assert_allclose(alone.params_of("thresholds"), special.logit(shares), rtol=1e-9)


def test_weights_are_rows() -> None:
    frame = simulated(17, 80, 8)
    frame["w"] = 1 + np.arange(80) % 3
    weighted = ml.fit("y ~ x + (1 | g)", frame, family="cumulative", weights="w", n_quadrature=5)
    repeated = ml.fit("y ~ x + (1 | g)", frame.loc[frame.index.repeat(frame["w"])], family="cumulative", n_quadrature=5)
    assert weighted.llf == pytest.approx(repeated.llf, rel=1e-12)
    np.testing.assert_allclose(weighted.bse, repeated.bse, rtol=1e-7)


def test_threads_change_no_bit() -> None:
    frame = simulated(19, 3000, 300, 6)
    one, two = (ml.fit("y ~ x + (1 | g)", frame, family="cumulative", threads=t) for t in (1, 2))
    assert one.llf == two.llf
    assert np.array_equal(one.fit.psi, two.fit.psi)


@pytest.mark.parametrize("categories", [3, 20])
def test_few_and_many_categories(categories: int) -> None:
    frame = simulated(23, 1500, 50, categories)
    results = ml.fit("y ~ x + z + (1 | g)", frame, family="cumulative")
    assert results.converged
    assert len(results.params_of("thresholds")) == categories - 1
    assert results.params["x"] == pytest.approx(0.8, abs=4 * results.bse["x"])


# ---- what is read --------------------------------------------------------------------------------------------------


def test_kinds_of_response() -> None:
    frame = simulated(29, 150, 15, 3)
    words = np.array(["low", "middle", "high"])[frame["y"] - 1]
    frame["text"] = words
    frame["ordered"] = pd.Categorical(words, categories=["low", "middle", "high"], ordered=True)
    base = ml.fit("y ~ x + (1 | g)", frame, family="cumulative")
    for formula, levels in [("ordered ~ x + (1 | g)", None), ("text ~ x + (1 | g)", ["low", "middle", "high"])]:
        own = ml.fit(formula, frame, family="cumulative", levels=levels)
        assert own.llf == base.llf
        assert list(own.params_of("thresholds").index) == ["low|middle", "middle|high"]
    turned = ml.fit("y ~ x + (1 | g)", frame, family="cumulative", levels=[3, 2, 1])
    np.testing.assert_allclose(turned.params, -base.params, rtol=1e-6)
    with pytest.raises(ml.DataError, match=r"have no order: give it as levels=\['high', 'low', 'middle'\]"):
        ml.fit("text ~ x + (1 | g)", frame, family="cumulative")


def test_polars() -> None:
    pl = pytest.importorskip("polars")
    frame = simulated(29, 150, 15, 3)
    words = np.array(["low", "middle", "high"])[frame["y"] - 1]
    own = pl.DataFrame(frame).with_columns(pl.Series("y", words, dtype=pl.Enum(["low", "middle", "high"])))
    assert ml.fit("y ~ x + (1 | g)", own, family="cumulative").llf == pytest.approx(
        ml.fit("y ~ x + (1 | g)", frame, family="cumulative").llf, rel=1e-12
    )


def test_bad_responses_and_arguments() -> None:
    frame = simulated(31, 60, 6)
    frame["two"], frame["half"], frame["truth"] = frame["y"] > 2, frame["y"] / 2, frame["y"] > 1
    frame["b"], frame["row"] = np.minimum(frame["y"], 2), np.arange(60)

    def fails(match: str, formula: str = "y ~ x + (1 | g)", family: str = "cumulative", **more: Any) -> None:
        with pytest.raises((ml.DataError, ml.FormulaError), match=match):
            ml.fit(formula, frame, family=family, **more)

    fails("two categories are family='binomial'", "truth ~ x + (1 | g)")
    fails("has 2 categories .* of two it is the binomial", "b ~ x + (1 | g)")
    fails("whole numbers", "half ~ x + (1 | g)")
    fails("not among levels=", levels=[1, 2, 3])
    fails("no different labels", levels=[1, 1, 2])
    fails("is not known; there are 'flexible'", thresholds="even")
    fails("no thresholds", "two ~ x + (1 | g)", "binomial", nominal="~ x")
    fails("go with ordered categories", "two ~ x + (1 | g)", "binomial", thresholds="flexible")
    fails("moves them all", nominal="~ x")
    fails("no random effects", nominal="~ x + (1 | g)")
    fails("60 rows of one category each", "y ~ x + (1 | row)")
    with pytest.raises(ml.DataError, match="thresholds differ"):
        ml.Family("cumulative", upper=1.0)
    with pytest.raises(ml.DataError, match="has no mean"):
        distribution(ml.Family("cumulative"), [0.0], {})
    fails("has no dispersion", dispersion="~ x")
    fails("no zero part", zero_inflation=True)
    fails("needs the gaussian", method="reml")
    fails("did you mean 'cumulative'", family="clmm")
    with pytest.warns(ml.DataWarning, match="no row has category 'never'"):
        results = ml.fit("y ~ x + (1 | g)", frame, family="cumulative", levels=[1, 2, "never", 3, 4])
    assert results.llf == ml.fit("y ~ x + (1 | g)", frame, family="cumulative").llf


def test_separation_is_said() -> None:
    frame = simulated(37, 120, 12)
    frame["s"] = (frame["y"] == 4).astype(float) * (frame["z"])
    with pytest.warns(ml.SeparationWarning, match="column 's' predicts"):
        results = ml.fit("y ~ x + s + (1 | g)", frame, family="cumulative")
    assert not results.converged
    # no row of s = 1 is in the categories from 2 to 4, which a threshold of its own finds out
    frame["t"] = (frame["y"] == 1) * frame["z"]
    with pytest.warns(ml.SeparationWarning, match="column 't' predicts"):
        results = ml.fit("y ~ x + (1 | g)", frame, family="cumulative", nominal="~ t")
    assert not results.converged


# ---- after the fit -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wine() -> ml.MixedModelResults:
    return ml.fit("rating ~ temp + contact + (1 | judge)", data_of("wine"), family="cumulative")


def test_predictions(wine: ml.MixedModelResults) -> None:
    frame = data_of("wine")
    eta = wine.predict(kind="link").to_numpy()
    below = special.expit(wine.params_of("thresholds").to_numpy() - eta[:, None])
    expected = np.diff(np.hstack([np.zeros((72, 1)), below, np.ones((72, 1))]), axis=1)
    own = wine.predict(kind="probabilities")
    assert list(own.columns) == ["1", "2", "3", "4", "5"]
    np.testing.assert_allclose(own, expected, atol=1e-14)
    np.testing.assert_allclose(wine.predict(), expected @ np.arange(1, 6), rtol=1e-13)
    assert list(wine.predict(kind="class")) == [str(k) for k in expected.argmax(axis=1) + 1]
    pd.testing.assert_frame_equal(wine.predict(frame, kind="probabilities"), own)
    variance = expected @ np.arange(1, 6) ** 2 - (expected @ np.arange(1, 6)) ** 2
    y = frame["rating"].astype(int)
    pearson = (y - expected @ np.arange(1, 6)) / np.sqrt(variance)
    np.testing.assert_allclose(wine.residuals(), pearson, rtol=1e-10)
    np.testing.assert_allclose(wine.residuals("response"), y - wine.fittedvalues, rtol=1e-12)
    with pytest.raises(ml.DataError, match="no deviance residuals"):
        wine.residuals("deviance")
    with pytest.raises(ValueError, match="'class', 'probabilities'"):
        wine.predict(kind="mean")
    frame.loc[0, "temp"] = None
    holes = wine.predict(frame, kind="probabilities")
    assert holes.iloc[0].isna().all()
    assert holes.iloc[1:].notna().all(axis=None)
    assert wine.predict(frame, kind="class").isna().sum() == 1


def test_probabilities_sum_to_one_far_out() -> None:
    eta = np.linspace(-40, 40, 81)
    thresholds = np.tile([-2.0, -1.0, -0.9999, 0.5, 3.0], (81, 1))
    for link in LINKS:
        p = ml.Family("cumulative", link).category_probabilities(eta, thresholds)
        assert np.abs(p.sum(axis=1) - 1).max() < 1e-14
        assert (p >= 0).all()
    logit = ml.Family("cumulative").category_probabilities(eta, thresholds)
    assert (logit > 0).all()  # not lost to differences of probabilities close to one


def test_nominal_effects_of_new_rows() -> None:
    frame = simulated(41, 200, 20)
    results = ml.fit("y ~ x + (1 | g)", frame, family="cumulative", nominal="~ z")
    assert list(results.params_of("thresholds").index[3:]) == ["z: 1|2", "z: 2|3", "z: 3|4"]
    own = results.params_of("thresholds").to_numpy().reshape(2, 3)
    new = pd.DataFrame({"x": [0.0, 1.0], "z": [0, 1], "g": [0, 3]})
    eta = results.params["x"] * new["x"].to_numpy()
    below = special.expit(np.array([own[0], own[0] + own[1]]) - eta[:, None])
    found = results.predict(new, kind="probabilities", random="zero").cumsum(axis=1).to_numpy()[:, :3]
    np.testing.assert_allclose(found, below, rtol=1e-12)


def test_saving_pickling_and_refitting(wine: ml.MixedModelResults, tmp_path: Path) -> None:
    wine.save(tmp_path / "wine.mlr")
    again = ml.load(tmp_path / "wine.mlr")
    for other in (again, pickle.loads(pickle.dumps(wine))):
        assert str(other.summary()) == str(wine.summary())
        pd.testing.assert_frame_equal(
            other.predict(data_of("wine"), kind="probabilities"),
            wine.predict(kind="probabilities"),
            check_index_type=False,
        )
    model = ml.MixedModel("rating ~ temp + contact + (1 | judge)", data_of("wine"), family="cumulative")
    y = data_of("wine")["rating"].astype(int).to_numpy()
    assert model.refit(y).llf == wine.llf
    turned = model.refit(6 - y)
    np.testing.assert_allclose(turned.params, -wine.params, rtol=1e-5)
    with pytest.raises(ml.DataError, match="numbered 1, 2"):
        model.refit(y - 1)
    with pytest.raises(ml.DataError, match=r"category|categories"):
        model.refit(np.minimum(y, 4))


def test_likelihood_ratio_and_tables(wine: ml.MixedModelResults) -> None:
    less = ml.fit("rating ~ temp + (1 | judge)", data_of("wine"), family="cumulative")
    chi2 = 2 * (wine.llf - less.llf)
    assert ml.compare(less, wine)["chi2"].dropna().iloc[0] == pytest.approx(chi2)
    assert set(wine.tidy()["effect"]) == {"fixed", "ran_pars", "thresholds"}
    assert wine.glance()["df_model"].iloc[0] == 7
    assert not wine.family_params
    assert wine.family_parameters().empty


def test_what_comes_after_a_fit() -> None:
    rng = np.random.default_rng(5)
    g, x = np.repeat(np.arange(30), 10), rng.normal(size=300)
    eta = 0.8 * x + rng.normal(0, 0.8, 30)[g] + rng.logistic(size=300)
    y = pd.Categorical.from_codes(np.digitize(eta, [-1, 0.5, 2]), ["lo", "mid", "hi", "top"], ordered=True)
    results = ml.fit("y ~ x + (1 | g)", {"y": y, "x": x, "g": g}, "cumulative")
    variance = results.random_cov["g"].iloc[0, 0]
    icc = results.icc()
    assert icc.loc["g", "estimate"] == pytest.approx(variance / (variance + np.pi**2 / 3), rel=1e-12)
    ratio = np.exp(np.sqrt(2 * variance) * 0.6744897501960817)
    assert results.median_odds_ratio().loc["g", "estimate"] == pytest.approx(ratio, rel=1e-12)
    assert 0 < results.r2()["estimate"].iloc[0] < 1
    assert list(results.linktest().index) == ["fitted", "fitted squared"]
    limits = results.conf_int(method="profile")
    assert limits.loc["x", "lower"] < results.params["x"] < limits.loc["x", "upper"]
    robust = results.bse / np.sqrt(np.diag(results.cov_params(robust="CR0")))
    assert robust.between(0.5, 2.0).all()


def test_quantile_residuals_and_checks(wine: ml.MixedModelResults) -> None:
    eta, y = wine.predict(kind="link").to_numpy(), data_of("wine")["rating"].astype(int).to_numpy()
    cuts = np.concatenate([[-np.inf], wine.params_of("thresholds"), [np.inf]])
    low, high = special.expit(cuts[y - 1] - eta), special.expit(cuts[y] - eta)
    share = np.random.default_rng(3).uniform(size=len(y))
    expected = special.ndtri(low + share * (high - low))
    np.testing.assert_allclose(wine.residuals("quantile", seed=3), expected, atol=1e-10)
    assert np.isfinite(wine.residuals("quantile", random="marginal")).all()
    assert not len(wine.check().suspicious)


def test_checks_see_a_predictor_that_is_missing() -> None:
    rng = np.random.default_rng(8)
    x, g = rng.normal(size=800), np.repeat(np.arange(40), 20)
    latent = x + 1.5 * x**2 + rng.normal(size=40)[g] + rng.logistic(size=800)
    own = pd.DataFrame({"y": np.digitize(latent, [0.0, 1.0, 2.5]) + 1, "x": x, "g": g})
    bent, right = (ml.fit(f"y ~ {part} + (1 | g)", own, family="cumulative") for part in ("x", "x + I(x^2)"))
    assert "quarters along the fixed part" in set(bent.check().suspicious["check"])
    assert not len(right.check().suspicious)
