"""Ordered categories: the density, its derivatives, fits against other programs and brute force, predictions."""

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
from multilevel import _core
from multilevel.family.distributions import distribution

from .family_cases import Array
from .reference_files import read_data, read_numbers

LINKS = ["logit", "probit", "cloglog", "loglog", "cauchit"]
NODES, WEIGHTS = np.polynomial.legendre.leggauss(80)


def log_density_of(link: str, x: Array) -> Array:
    """Of the distribution that the link names."""
    with np.errstate(over="ignore"):
        return {
            "logit": lambda: special.log_expit(x) + special.log_expit(-x),
            "probit": lambda: -(x**2) / 2 - np.log(2 * np.pi) / 2,
            "cloglog": lambda: x - np.exp(x),
            "loglog": lambda: -x - np.exp(-x),
            "cauchit": lambda: -np.log1p(x**2) - np.log(np.pi),
        }[link]()


def log_below(link: str, x: Array) -> Array:
    """Logarithm of the distribution function."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return {
            "logit": lambda: special.log_expit(x),
            "probit": lambda: special.log_ndtr(x),
            "cloglog": lambda: np.where(x < -15, x - np.exp(x) / 2, np.log(-np.expm1(-np.exp(x)))),
            "loglog": lambda: -np.exp(-x),
            "cauchit": lambda: np.log(np.arctan2(1.0, -x) / np.pi),
        }[link]()


def log_above(link: str, x: Array) -> Array:
    """Logarithm of what is left of one."""
    mirrored = {"cloglog": "loglog", "loglog": "cloglog"}.get(link, link)
    return log_below(mirrored, -x)


def log_between(link: str, upper: Array, lower: Array) -> Array:
    """Of an interval that is not wide: the integral of the density, relative to its largest value."""
    middle, half = (upper + lower) / 2, (upper - lower) / 2
    values = log_density_of(link, middle[:, None] + half[:, None] * NODES)
    largest = values.max(axis=1)
    return largest + np.log(half * (np.exp(values - largest[:, None]) @ WEIGHTS))


def rows_of(link: str) -> tuple[Array, Array, Array]:
    """Linear predictors, upper and lower ends: ordinary ones, far out, narrow; the first and the last category."""
    ends = [(0.5, -0.7), (3.0, 2.0), (0.2, 0.1999), (-1.0, -1.0 - 1e-7), (np.inf, 0.4), (0.3, -np.inf)]
    far = {"cloglog": [-4.0, -1.0, 0.0, 8.0, 30.0], "loglog": [-30.0, -8.0, 0.0, 1.0, 4.0]}
    eta = far.get(link, [-40.0, -6.0, 0.0, 0.3, 5.0, 40.0])
    at = np.array([(e, *own) for e in eta for own in ends])
    return at[:, 0], at[:, 1], at[:, 2]


def derivatives(link: str, eta: Array, upper: Array, lower: Array) -> dict[str, Array]:
    one = np.ones(len(eta))
    return _core.Family("cumulative", link).derivatives(eta, one, one, one, np.column_stack([upper, lower]))


@pytest.mark.parametrize("link", LINKS)
def test_log_density(link: str) -> None:
    eta, upper, lower = rows_of(link)
    first, last = np.isinf(lower), np.isinf(upper)
    expected = np.where(first, log_below(link, upper - eta), log_above(link, lower - eta))
    inside = ~first & ~last
    expected[inside] = log_between(link, (upper - eta)[inside], (lower - eta)[inside])
    width = np.where(inside, upper - lower, 1.0)
    # the ends are rounded: a narrow interval has that of its width
    tolerance = 1e-12 * (1 + np.abs(expected)) + 4e-16 * (1 + np.abs(eta)) / width
    assert (np.abs(derivatives(link, eta, upper, lower)["value"] - expected) < tolerance).all()


@pytest.mark.parametrize("link", LINKS)
def test_derivatives_against_differences(link: str) -> None:
    eta, upper, lower = (own[np.abs(rows_of(link)[0]) < 7] for own in rows_of(link))
    wide = ~(upper - lower < 0.05)  # of narrow categories, whose differences lose their digits, see below
    eta, upper, lower, step = eta[wide], upper[wide], lower[wide], 0.01
    if link in ("cloglog", "loglog"):
        eta = np.clip(eta, -3, 3)  # beyond, a density that falls as exp(-exp(x)) leaves no digits to differences
    weights = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 0, 4 / 5, -1 / 5, 4 / 105, -1 / 280])
    d = derivatives(link, eta, upper, lower)

    def slope(name: str, by: int) -> Array:
        total = np.zeros(len(eta))
        for k, w in zip(range(-4, 5), weights, strict=True):
            at = [eta, upper, lower]
            at[by] = at[by] + k * step
            total += w * derivatives(link, *at)[name] / step
        return total

    pairs = [(f"d{k + 1}", "value" if k == 0 else f"d{k}", 0) for k in range(4)]
    pairs += [(f"phi{r}_d{k}", "value" if k == 0 else f"d{k}", r + 1) for r in range(2) for k in range(4)]
    pairs += [(f"phi{r}_{s}_d{k}", f"phi{r}_d{k}", s + 1) for r in range(2) for s in range(r + 1) for k in range(3)]
    for name, lower_name, by in pairs:
        expected = slope(lower_name, by)
        error = np.abs(d[name] - expected) / (np.abs(expected) + 1e-3 * np.abs(d[lower_name]) + 1e-4)
        assert error.max() < 4e-7, f"{name}: {error.max():.2g} at {int(error.argmax())}"


@pytest.mark.parametrize("link", LINKS)
def test_narrow_categories(link: str) -> None:
    """log P = log f(m) + log w + w^2 f''(m) / (24 f(m)) + ... of width w around m, whose derivatives are known."""
    middle, width = np.array([-2.0, -0.4, 0.0, 0.7, 1.5]), 1e-5
    d = derivatives(link, np.zeros(5), middle + width / 2, middle - width / 2)
    h = 1e-3
    log_f = [log_density_of(link, middle + k * h) for k in (-2, -1, 0, 1, 2)]
    slope = (log_f[0] - 8 * log_f[1] + 8 * log_f[3] - log_f[4]) / (12 * h)
    bend = (-log_f[0] + 16 * log_f[1] - 30 * log_f[2] + 16 * log_f[3] - log_f[4]) / (12 * h**2)
    np.testing.assert_allclose(d["value"], log_f[2] + np.log(width), rtol=1e-10)
    np.testing.assert_allclose(d["d1"], -slope, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(d["d2"], bend, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(d["phi0_d0"] - 1 / width, slope / 2, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(d["phi1_d0"] + 1 / width, slope / 2, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(d["phi0_0_d0"] * width**2, -1.0, rtol=1e-8)
    np.testing.assert_allclose(d["phi1_0_d0"] * width**2, 1.0, rtol=1e-8)


def test_thresholds_out_of_order_have_no_density() -> None:
    for link in LINKS:
        d = derivatives(link, np.zeros(2), np.array([0.0, 1.0]), np.array([0.5, 1.0]))
        assert np.isnan(d["value"]).all()


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


@pytest.mark.parametrize(("link", "side"), [("cloglog", 1.0), ("loglog", -1.0)])
def test_rates_far_out_keep_their_digits(link: str, side: float) -> None:
    """Beyond the last threshold log P is -exp(threshold - eta), and so are its derivatives, at any rate."""
    family, one = _core.Family("cumulative", link), np.ones(1)
    for end in (-5.0, 1.0, 7.0, 39.0, 200.0):
        ends = [np.inf, end] if side > 0 else [-end, -np.inf]
        d = family.derivatives(0 * one, 3 * one, one, one, ends)
        expected = [-np.exp(end) * (-side) ** k for k in range(5)]
        np.testing.assert_allclose([d[k][0] for k in ("value", "d1", "d2", "d3", "d4")], expected, rtol=1e-13)
    ends = [-40.0, -50.0] if side > 0 else [50.0, 40.0]
    d = family.derivatives(0 * one, 2 * one, one, one, ends)
    assert d["value"][0] == pytest.approx(-40 + np.log(-np.expm1(-10.0)), rel=1e-14)
    assert d["d2"][0] == pytest.approx(-0.5 * (np.exp(-40.0) + np.exp(-50.0)), rel=1e-12)
