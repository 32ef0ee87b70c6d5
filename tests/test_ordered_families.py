"""Ordered categories beside cumulative probabilities: a scale, adjacent categories, categories one after the other."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import multilevel as ml
from multilevel import _core

from .family_cases import Array
from .reference_files import FOLDER, read_data

LINKS = ["logit", "probit", "cloglog", "loglog", "cauchit"]
SEQUENTIAL = ["continuation", "reverse_continuation"]
FAMILIES = [("adjacent", "logit"), *((name, link) for name in SEQUENTIAL for link in LINKS)]
DIFFERENCES = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 0, 4 / 5, -1 / 5, 4 / 105, -1 / 280])


def below(link: str, x: Array) -> Array:
    """The distribution function."""
    with np.errstate(over="ignore"):
        return {
            "logit": lambda: special.expit(x),
            "probit": lambda: special.ndtr(x),
            "cloglog": lambda: -np.expm1(-np.exp(x)),
            "loglog": lambda: np.exp(-np.exp(-x)),
            "cauchit": lambda: np.arctan2(1.0, -x) / np.pi,
        }[link]()


def probabilities(family: str, link: str, eta: Array, thresholds: Array) -> Array:
    """Of all categories, (n, C), from the definition."""
    if family == "adjacent":
        weights = np.hstack([np.zeros((len(eta), 1)), np.cumsum(eta[:, None] - thresholds, axis=1)])
        return special.softmax(weights, axis=1)
    low, high = (
        below(link, thresholds - eta[:, None]),
        below({"cloglog": "loglog", "loglog": "cloglog"}.get(link, link), eta[:, None] - thresholds),
    )
    one, n = np.ones((len(eta), 1)), thresholds.shape[1]
    if family == "continuation":
        return np.hstack([np.cumprod(np.hstack([one, high]), axis=1)[:, :n] * low, high.prod(axis=1)[:, None]])
    if family == "reverse_continuation":
        reached = np.cumprod(np.hstack([one, low[:, ::-1]]), axis=1)[:, ::-1]
        return np.hstack([low.prod(axis=1)[:, None], reached[:, 1:] * high])
    return np.diff(np.hstack([0 * one, low, one]), axis=1)


def points(categories: int, seed: int = 1) -> tuple[Array, Array, Array]:
    """Categories, linear predictors and thresholds in any order, (n, C - 1)."""
    rng, n = np.random.default_rng(seed), 61
    return rng.integers(1, categories + 1, n), rng.normal(size=n), 0.8 * rng.normal(size=(n, categories - 1))


@pytest.mark.parametrize("categories", [3, 5, 12])
@pytest.mark.parametrize(("family", "link"), FAMILIES)
def test_log_density(family: str, link: str, categories: int) -> None:
    y, eta, thresholds = points(categories)
    core, one = _core.Family(family, link, "", categories), np.ones(len(y))
    value = core.derivatives(eta, y.astype(float), one, one, thresholds)["value"]
    expected = np.log(probabilities(family, link, eta, thresholds)[np.arange(len(y)), y - 1])
    np.testing.assert_allclose(value, expected, rtol=1e-11, atol=1e-12)
    own = ml.Family(family, link).category_probabilities(eta, thresholds)
    np.testing.assert_allclose(own[np.arange(len(y)), y - 1], np.exp(value), rtol=1e-14)
    np.testing.assert_allclose(own.sum(axis=1), 1.0, atol=2e-15)


@pytest.mark.parametrize("family", ["adjacent", *SEQUENTIAL])
def test_far_out(family: str) -> None:
    """Nothing is lost to differences, and nothing is infinite that is a number."""
    eta = np.linspace(-40, 40, 41)
    p = ml.Family(family).category_probabilities(eta, np.tile([-2.0, 1.0, -0.5, 3.0], (41, 1)))
    assert (p > 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=2e-15)
    y, one = np.full(41, 3.0), np.ones(41)
    d = _core.Family(family, "logit", "", 5).derivatives(eta, y, one, one, np.tile([-2.0, 1.0, -0.5, 3.0], (41, 1)))
    assert all(np.isfinite(values).all() for values in d.values())
    far = _core.Family(family, "logit", "", 5).derivatives(800 * eta, y, one, one, np.zeros((41, 4)))
    assert np.isfinite(far["value"]).all()


def check_derivatives(core: Any, y: Array, eta: Array, phi: Array, tolerance: float) -> None:
    one, step, size = np.ones(len(y)), 0.01, phi.shape[1]

    def at(eta: Array, phi: Array) -> dict[str, Array]:
        return core.derivatives(eta, y.astype(float), one, one, phi)

    moved = [[at(eta + k * step, phi) for k in range(-4, 5)]]
    moved += [[at(eta, phi + k * step * np.eye(size)[r]) for k in range(-4, 5)] for r in range(size)]
    d = at(eta, phi)
    pairs = [(f"d{k + 1}", "value" if k == 0 else f"d{k}", 0) for k in range(4)]
    pairs += [(f"phi{r}_d{k}", "value" if k == 0 else f"d{k}", r + 1) for r in range(size) for k in range(4)]
    pairs += [(f"phi{r}_{s}_d{k}", f"phi{r}_d{k}", s + 1) for r in range(size) for s in range(r + 1) for k in range(3)]
    for name, lower, by in pairs:
        expected = sum(w * own[lower] for w, own in zip(DIFFERENCES, moved[by], strict=True)) / step
        error = np.abs(d[name] - expected) / (np.abs(expected) + 1e-3 * np.abs(d[lower]) + 1e-4)
        assert error.max() < tolerance, f"{name}: {error.max():.2g} at {int(error.argmax())}"


@pytest.mark.parametrize(("family", "link"), FAMILIES)
def test_derivatives_against_differences(family: str, link: str) -> None:
    y, eta, thresholds = points(4)
    check_derivatives(_core.Family(family, link, "", 4), y, eta, thresholds, 4e-7)


@pytest.mark.parametrize("link", LINKS)
def test_derivatives_with_a_scale(link: str) -> None:
    rng, n = np.random.default_rng(3), 60
    ends = np.tile([-np.inf, -0.8, 0.1, 1.3, np.inf], (n, 1))
    y, scale = rng.integers(1, 5, n), 0.4 * rng.normal(size=n)
    phi = np.column_stack([ends[np.arange(n), y], ends[np.arange(n), y - 1], scale])
    eta = np.clip(rng.normal(size=n), -1.5, 1.5)
    inside = np.isfinite(phi).all(axis=1)
    core = _core.Family("scaled_cumulative", link)
    check_derivatives(core, y[inside], eta[inside], phi[inside], 4e-7)
    found = core.derivatives(eta, y.astype(float), np.ones(n), np.ones(n), phi)
    upper, lower = ((phi[:, k] - eta) / np.exp(scale) for k in (0, 1))
    np.testing.assert_allclose(np.exp(found["value"]), below(link, upper) - below(link, lower), rtol=1e-11, atol=1e-15)
    h = 1e-4  # of the first and the last category, whose infinite ends stay where they are
    one, up = np.ones(n), np.array([0, 0, h])
    moved = [core.derivatives(eta, y.astype(float), one, one, at)["value"] for at in (phi + up, phi - up)]
    np.testing.assert_allclose(found["phi2_d0"], (moved[0] - moved[1]) / (2 * h), rtol=1e-5, atol=1e-7)


# ---- fits of other programs ------------------------------------------------------------------------------------------

REFERENCE: dict[str, Any] = json.loads((FOLDER / "ordered_families.json").read_text())


def wine() -> pd.DataFrame:
    return read_data("wine")


def compare(results: ml.MixedModelResults, key: str, thresholds: float, coefficients: float, se: bool) -> None:
    """`thresholds` and `coefficients`: the signs that the other program's have here."""
    reference = REFERENCE[key]
    estimate, n = np.array(reference["estimate"]), len(results.params_of("thresholds"))
    assert results.converged
    assert results.llf == pytest.approx(reference["logLik"], abs=1e-8)
    own = np.concatenate([results.params_of("thresholds"), results.params])
    np.testing.assert_allclose(own[:n], thresholds * estimate[:n], rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(own[n:], coefficients * estimate[n : len(own)], rtol=2e-5, atol=2e-6)
    if se:
        errors = np.concatenate([results.tidy(component="thresholds")["std_error"], results.bse])
        np.testing.assert_allclose(errors, np.array(reference["se"])[: len(own)], rtol=2e-5)


@pytest.mark.parametrize("link", LINKS)
def test_scale_as_clm(link: str) -> None:
    results = ml.fit("rating ~ temp + contact", wine(), "cumulative", link=link, scale="~ contact")
    reference = REFERENCE[f"scale_{link}"]
    if link == "cauchit":  # clm stops short of the maximum
        assert reference["logLik"] < results.llf < reference["logLik"] + 1e-3
        return
    compare(results, f"scale_{link}", 1.0, 1.0, True)
    own = results.tidy(component="scale")
    assert list(own["term"]) == ["contact[yes]"]
    assert own["estimate"].iloc[0] == pytest.approx(reference["estimate"][-1], rel=1e-5)
    assert own["std_error"].iloc[0] == pytest.approx(reference["se"][-1], rel=1e-5)


def test_scale_with_tied_and_nominal_thresholds() -> None:
    tied = ml.fit("rating ~ contact", wine(), "cumulative", scale="~ temp", thresholds="equidistant")
    compare(tied, "scale_equidistant", 1.0, 1.0, True)
    reference = REFERENCE["scale_nominal"]
    both = ml.fit("rating ~ temp", wine(), "cumulative", scale="~ temp + contact", nominal="~ contact")
    assert both.llf == pytest.approx(reference["logLik"], abs=1e-8)
    own = np.concatenate([both.params_of("thresholds"), both.params_of("scale")])
    np.testing.assert_allclose(own, np.delete(reference["estimate"], 8), rtol=1e-4, atol=1e-5)
    assert both.params.iloc[0] == pytest.approx(reference["estimate"][8], rel=1e-5)


def test_families_as_vglm() -> None:
    """acat models P(k + 1) / P(k); sratio, at a symmetric link, stopping; reverse ones going on downwards."""
    formula = "rating ~ temp + contact"
    compare(ml.fit(formula, wine(), "adjacent"), "acat", -1.0, 1.0, True)
    links = {"logit": "logitlink", "probit": "probitlink", "cloglog": "clogloglink", "cauchit": "cauchitlink"}
    for link, other in links.items():
        compare(ml.fit(formula, wine(), "continuation", link=link), f"sratio_{other}", 1.0, -1.0, False)
        mirrored = "loglog" if link == "cloglog" else link
        compare(ml.fit(formula, wine(), "reverse_continuation", link=mirrored), f"reverse_{other}", -1.0, 1.0, False)
    compare(ml.fit(formula, wine(), "continuation", link="loglog"), "cratio_clogloglink", -1.0, 1.0, False)


@pytest.mark.parametrize(("family", "key"), [("adjacent", "acat_nominal"), ("continuation", "sratio_nominal")])
def test_nominal_effects_as_vglm(family: str, key: str) -> None:
    results, reference = ml.fit("rating ~ temp", wine(), family, nominal="~ contact"), REFERENCE[key]
    assert results.llf == pytest.approx(reference["logLik"], abs=1e-8)
    sign = -1.0 if family == "adjacent" else 1.0
    estimate = np.array(reference["estimate"])
    np.testing.assert_allclose(results.params_of("thresholds"), sign * np.delete(estimate, 4), rtol=1e-4, atol=1e-5)
    assert results.params.iloc[0] == pytest.approx(-sign * estimate[4], rel=1e-5)


# ---- random effects --------------------------------------------------------------------------------------------------


def simulated(seed: int, n: int, groups: int, categories: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.integers(0, 2, n), "g": np.arange(n) % groups})
    frame["h"] = rng.integers(0, 5, n)
    g, h = frame["g"], frame["h"]
    eta = (0.8 + rng.normal(size=groups)[g]) * frame["x"] - 0.5 * frame["z"] + rng.normal(size=groups)[g]
    eta += rng.normal(size=5)[h] + rng.normal(size=2 * groups)[2 * g + frame["z"]]
    latent = eta + np.exp(0.3 * frame["z"]) * rng.logistic(size=n)
    cuts = np.quantile(latent, np.arange(1, categories) / categories)
    frame["y"] = np.searchsorted(cuts, latent) + 1
    return frame


def marginal(frame: pd.DataFrame, family: str, link: str, eta: Array, cuts: Array, sd: float, scale: Array) -> float:
    """The log-likelihood by a Gauss-Hermite rule at the prior."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    rows, y = np.arange(len(frame)), frame["y"].to_numpy() - 1
    at = [probabilities(family, link, (eta + sd * node) / scale, cuts / scale[:, None])[rows, y] for node in nodes]
    with np.errstate(divide="ignore"):  # far out, where nothing is left of a probability
        logs = pd.DataFrame(np.log(np.array(at).T)).groupby(frame["g"].to_numpy()).sum().to_numpy()
    return float(special.logsumexp(logs, axis=1, b=weights / weights.sum()).sum())


@pytest.mark.parametrize(
    ("family", "link", "scale", "structure"),
    [
        ("cumulative", "logit", "~ z + x", "flexible"),
        ("cumulative", "loglog", "~ z", "equidistant"),
        ("adjacent", "logit", None, "flexible"),
        ("adjacent", "logit", None, "symmetric"),
        ("continuation", "cloglog", None, "flexible"),
        ("reverse_continuation", "probit", None, "equidistant"),
    ],
)
def test_likelihood_and_information_by_brute_force(family: str, link: str, scale: str | None, structure: str) -> None:
    """With nominal effects and an offset: the likelihood, that it is flat at the estimates, and its bend there."""
    frame = simulated(5, 100, 10)
    frame["o"] = np.linspace(-0.3, 0.3, 100)
    nominal = "~ z" if scale is None else None
    results = ml.fit(
        "y ~ x + offset(o) + (1 | g)",
        frame,
        family,
        link=link,
        scale=scale,
        nominal=nominal,
        thresholds=structure,
        n_quadrature=25,
    )
    assert results.converged
    matrix = results.fit.design.thresholds.matrix
    m, x, z = matrix.shape[1], frame["x"].to_numpy(), frame["z"].to_numpy()

    def loglik(psi: Array) -> float:
        cuts = np.tile(matrix @ psi[2 : 2 + m], (100, 1))
        if nominal:
            cuts = cuts + np.outer(z, matrix @ psi[2 + m :])
        of_scale = {"~ z + x": [z, x], "~ z": [z]}.get(scale or "", [])
        factor = np.exp(sum((a * c for a, c in zip(psi[2 + m :], of_scale, strict=False)), np.zeros(100)))
        return marginal(frame, family, link, psi[0] * x + frame["o"].to_numpy(), cuts, psi[1], factor)

    psi = results.fit.psi
    assert results.llf == pytest.approx(loglik(psi), abs=1e-7)
    se = np.sqrt(np.diag(results.fit.covariance))
    step = 0.02 * se
    steps = np.diag(step)
    slope = np.array([(loglik(psi + s) - loglik(psi - s)) / 2 for s in steps]) / 0.02
    assert np.abs(slope).max() < 2e-3  # per standard error: what is left is the error of differences
    bend = np.array([(loglik(psi + s) - 2 * loglik(psi) + loglik(psi - s)) for s in steps]) / step**2
    np.testing.assert_allclose(bend, np.diag(results.fit.hessian), rtol=3e-3)


def expanded(frame: pd.DataFrame, up: bool) -> pd.DataFrame:
    """A row for each threshold that a row meets, and whether it stays below."""
    rows = []
    for k in range(1, int(frame["y"].max())):
        meets = frame["y"] >= k if up else frame["y"] <= k + 1
        own = frame[meets].assign(k=f"k{k}")
        rows.append(own.assign(b=(own["y"] <= k).astype(int)))
    return pd.concat(rows)


@pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
@pytest.mark.parametrize("random", ["(1 + x | g)", "(1 | g) + (1 | h)", "(1 | g/z)"])
@pytest.mark.parametrize("family", SEQUENTIAL)
def test_categories_one_after_the_other_are_binary(family: str, random: str) -> None:
    """The same likelihood as that of a binomial model of expanded rows, whose signs are the other way round."""
    frame = simulated(7, 240, 12)
    points = 5 if random == "(1 | g/z)" else 1
    own = ml.fit(f"y ~ x + {random}", frame, family, n_quadrature=points)
    binary = ml.fit(
        f"b ~ 0 + k + x + {random}", expanded(frame, family == "continuation"), "binomial", n_quadrature=points
    )
    assert own.converged
    assert binary.converged
    assert own.llf == pytest.approx(binary.llf, abs=2e-8)
    assert own.params["x"] == pytest.approx(-binary.params["x"], rel=1e-5)
    np.testing.assert_allclose(own.params_of("thresholds"), binary.params.to_numpy()[:3], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(own.bse["x"], binary.bse["x"], rtol=1e-5)
    for group, covariance in binary.random_cov.items():
        np.testing.assert_allclose(own.random_cov[group], covariance, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
@pytest.mark.parametrize("random", ["(1 | g)", "(1 | g) + (1 | h)"])
def test_categories_in_reverse(random: str) -> None:
    frame = simulated(11, 160, 16)
    frame["r"] = 5 - frame["y"]
    pairs = [
        ("adjacent", "logit", "adjacent", "logit"),
        ("continuation", "cloglog", "reverse_continuation", "loglog"),
        ("continuation", "cauchit", "reverse_continuation", "cauchit"),
    ]
    for family, link, other, mirrored in pairs[: 3 if random == "(1 | g)" else 2]:
        one = ml.fit(f"y ~ x + {random}", frame, family, link=link)
        two = ml.fit(f"r ~ x + {random}", frame, other, link=mirrored)
        assert one.converged
        assert one.llf == pytest.approx(two.llf, abs=2e-8)
        np.testing.assert_allclose(one.params, -two.params, rtol=1e-4)
        turned = -two.params_of("thresholds").to_numpy()[::-1]
        np.testing.assert_allclose(one.params_of("thresholds"), turned, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"family": "adjacent"}, {"family": "cumulative", "scale": "~ z"}])
def test_weights_rows_and_threads(options: dict[str, Any]) -> None:
    frame = simulated(17, 80, 8)
    frame["w"] = 1 + np.arange(80) % 3
    weighted = ml.fit("y ~ x + (1 | g)", frame, weights="w", n_quadrature=5, threads=1, **options)
    repeated = ml.fit("y ~ x + (1 | g)", frame.loc[frame.index.repeat(frame["w"])], n_quadrature=5, **options)
    assert weighted.llf == pytest.approx(repeated.llf, rel=1e-12)
    np.testing.assert_allclose(weighted.bse, repeated.bse, rtol=1e-7)
    two = ml.fit("y ~ x + (1 | g)", frame, weights="w", n_quadrature=5, threads=2, **options)
    assert np.array_equal(two.fit.psi, weighted.fit.psi)


# ---- after the fit ---------------------------------------------------------------------------------------------------


def test_what_is_said_of_a_scale(tmp_path: Path) -> None:
    frame = simulated(23, 300, 20)
    results = ml.fit("y ~ x + (1 | g)", frame, "cumulative", scale="~ z")
    text = str(results.summary())
    assert "Scale: ~ z" in text
    assert "P(y <= k) = F((threshold k - eta) / scale): positive" in " ".join(text.split())
    assert list(results.params_of("scale").index) == ["z"]
    assert set(results.tidy()["effect"]) == {"fixed", "ran_pars", "thresholds", "scale"}
    factor = np.exp(results.params_of("scale")["z"] * frame["z"].to_numpy())[:, None]
    eta = results.predict(kind="link").to_numpy()[:, None]
    cuts = special.expit((results.params_of("thresholds").to_numpy() - eta) / factor)
    own = results.predict(kind="probabilities")
    np.testing.assert_allclose(own.cumsum(axis=1).to_numpy()[:, :3], cuts, rtol=1e-12)
    again = results.predict(frame, kind="probabilities")
    pd.testing.assert_frame_equal(again, own, rtol=1e-13)
    results.save(tmp_path / "scale.mlr")
    for other in (ml.load(tmp_path / "scale.mlr"), pickle.loads(pickle.dumps(results))):
        assert str(other.summary()) == text
        np.testing.assert_array_equal(other.predict(frame, kind="probabilities"), again)
    less = ml.fit("y ~ x + (1 | g)", frame, "cumulative")
    assert ml.compare(less, results)["chi2"].iloc[-1] == pytest.approx(2 * (results.llf - less.llf))
    with pytest.raises(ml.DataError, match="no latent response of one variance"):
        results.icc()


@pytest.mark.parametrize("family", ["adjacent", *SEQUENTIAL])
def test_predictions(family: str, tmp_path: Path) -> None:
    frame = simulated(29, 200, 20)
    results = ml.fit("y ~ x + (1 | g)", frame, family, nominal="~ z")
    cuts = results.params_of("thresholds").to_numpy().reshape(2, 3)
    eta = results.predict(kind="link").to_numpy()
    expected = probabilities(family, "logit", eta, cuts[0] + np.outer(frame["z"], cuts[1]))
    own = results.predict(kind="probabilities")
    np.testing.assert_allclose(own, expected, rtol=1e-12)
    np.testing.assert_allclose(results.fittedvalues, expected @ np.arange(1, 5), rtol=1e-12)
    assert list(results.predict(kind="class")) == [str(k) for k in expected.argmax(axis=1) + 1]
    pd.testing.assert_frame_equal(results.predict(frame, kind="probabilities"), own)
    results.save(tmp_path / "own.mlr")
    np.testing.assert_array_equal(ml.load(tmp_path / "own.mlr").predict(kind="probabilities"), own)
    assert "positive coefficients move to higher" in " ".join(str(results.summary()).split())
    higher = results.predict(frame.assign(x=5.0), kind="response").mean()
    assert higher > results.predict(frame.assign(x=-5.0), kind="response").mean()
    shown = results.predict(frame.head(3), kind="probabilities", se=True)
    assert (shown["std_error"] > 0).all()
    drawn = results.simulate(2, seed=1).to_numpy()
    assert set(np.unique(drawn)) == {1.0, 2.0, 3.0, 4.0}
    assert np.isfinite(results.residuals("quantile")).all()
    limits = results.conf_int(method="profile")
    assert limits.loc["x", "lower"] < results.params["x"] < limits.loc["x", "upper"]
    with pytest.raises(ml.DataError, match="no latent response of one variance"):
        results.icc()


# ---- what cannot be --------------------------------------------------------------------------------------------------


def test_bad_arguments() -> None:
    frame = simulated(31, 120, 6)
    frame["b"], frame["t"] = np.minimum(frame["y"], 2), 2.0
    frame["word"] = np.array(["a", "b", "c", "d"])[frame["y"] - 1]
    frame["many"] = np.arange(120) % 13 + 1

    def fails(match: str, formula: str = "y ~ x + (1 | g)", family: str = "cumulative", **more: Any) -> None:
        with pytest.raises((ml.DataError, ml.FormulaError, ml.ArgumentError), match=match):
            ml.fit(formula, frame, family=family, **more)

    fails("the same for all rows", scale="~ 1")
    fails("the same for all rows", scale="~ 0")
    fails("column 't' is 2 in all rows", scale="~ t")
    fails("the scale has no random effects", scale="~ x + (1 | g)")
    fails("scale= is of the cumulative family", family="adjacent", scale="~ x")
    fails("scale= is of the cumulative family", "x ~ z + (1 | g)", "gaussian", scale="~ z")
    fails("needs scale=", family=ml.Family("cumulative").with_scale())
    for family in ("adjacent", *SEQUENTIAL):
        fails("has 2 categories .* of two it is the binomial", "b ~ x + (1 | g)", family)
        fails("have no order: give it as levels=", "word ~ x + (1 | g)", family)
        fails("13 categories.* at most 11", "many ~ x + (1 | g)", family)
    fails("has no link 'probit'", family="adjacent", link="probit")
    fails("did you mean 'adjacent'", family="acat")
    fails("did you mean 'continuation'", family="sratio")
    fails("random effects are normal.*latent classes", n_mass_points=3)


@pytest.mark.parametrize("family", ["cumulative", "adjacent", *SEQUENTIAL])
def test_separation_is_said(family: str) -> None:
    frame = simulated(37, 120, 12)
    frame["s"] = (frame["y"] == 4).astype(float) * frame["z"]
    with pytest.warns(ml.SeparationWarning, match="column 's' predicts"):
        results = ml.fit("y ~ x + s + (1 | g)", frame, family=family)
    assert not results.converged
    frame["t"] = (frame["y"] == 1) * frame["z"]
    with pytest.warns(ml.SeparationWarning, match="column 't' predicts"):
        results = ml.fit("y ~ x + (1 | g)", frame, family=family, nominal="~ t")
    assert not results.converged
