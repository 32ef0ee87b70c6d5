"""zero_inflation= and hurdle=: the formulas, what the parts say and predict, and what is refused. The densities and the
numbers of other programs: test_modified_fits.py, test_reference_fits.py."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import optimize, special, stats

import multilevel as ml
from multilevel import _core

Array = NDArray[np.float64]


def counts(seed: int, n_groups: int = 40, per_group: int = 10) -> pd.DataFrame:
    """Counts with zeros of their own, more of them where x is large; groups differ in both."""
    r = np.random.default_rng(seed)
    n = n_groups * per_group
    g = np.repeat(np.arange(n_groups), per_group)
    x, w = r.normal(size=n), r.normal(size=n)
    rate = np.exp(1.0 + 0.3 * w + r.normal(0, 0.5, n_groups)[g])
    none = r.random(n) < special.expit(-0.6 + 0.8 * x + r.normal(0, 0.7, n_groups)[g])
    y = np.where(none, 0, r.poisson(rate))
    return pd.DataFrame({"y": y, "x": x, "w": w, "g": g, "h": g // 8, "c": r.integers(0, 6, n)})


MODELS = [
    ("y ~ w", "~ x", 1),
    ("y ~ w + (1 | g)", "~ x", 1),
    ("y ~ w + (1 | g)", "~ x", 5),
    ("y ~ w + (1 + w | g)", "~ x", 3),
    ("y ~ w + (1 | h/g)", "~ x", 3),
    ("y ~ w + (1 | g) + (1 | c)", "~ x", 1),
    ("y ~ w + (1 | g)", "~ x + (1 | g)", 1),
    ("y ~ w + (1 | g)", "~ x + (x | g)", 3),
]


@pytest.mark.parametrize("part", ["zero_inflation", "hurdle"])
@pytest.mark.parametrize("family", ["poisson", "negative_binomial"])
@pytest.mark.parametrize(("mean", "zero", "points"), MODELS)
def test_gradient(family: str, part: str, mean: str, zero: str, points: int) -> None:
    model = ml.MixedModel(mean, counts(3, 16), family, **{part: zero})
    core, y = model._core, model.design.response.values
    theta = np.tile([0.6, 0.2, 0.4], 3)[: core.n_theta]
    psi = np.concatenate([[0.9, 0.3], theta, [0.7, -0.5, 0.6][3 - core.n_phi :]])
    _, gradient, _ = _core.evaluate(core, y, psi, points)
    step = 1e-5

    def value(moved: Array) -> float:
        return _core.evaluate(core, y, moved, points)[0]

    slopes = np.array([(value(psi + step * e) - value(psi - step * e)) / (2 * step) for e in np.eye(len(psi))])
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-6 * np.abs(gradient).max())


def test_without_random_effects() -> None:
    """Against SciPy's optimizer on the density written out."""
    data = counts(1)
    y, x, w = (data[c].to_numpy(dtype=float) for c in ("y", "x", "w"))
    results = ml.fit("y ~ w", data, "poisson", zero_inflation="~ x")

    def deviance(psi: Array) -> float:
        mu, pi = np.exp(psi[0] + psi[1] * w), special.expit(psi[2] + psi[3] * x)
        return -float(np.log(pi * (y == 0) + (1 - pi) * stats.poisson.pmf(y, mu)).sum())

    best = optimize.minimize(deviance, [1.0, 0.3, -0.6, 0.8], tol=1e-12)
    assert results.llf == pytest.approx(-best.fun, rel=1e-10)
    np.testing.assert_allclose(results.fit.psi, best.x, atol=2e-5)


def test_a_hurdle_is_two_models() -> None:
    """Whether there is anything, and how much where there is: their likelihoods multiply."""
    data = counts(2)
    both = ml.fit("y ~ w + (1 | g)", data, "poisson", hurdle="~ x", n_quadrature=5)
    zero = ml.fit("none ~ x", data.assign(none=(data["y"] == 0) * 1), "binomial")
    some = ml.fit("y ~ w + (1 | g)", data[data["y"] > 0], "truncated_poisson", n_quadrature=5)
    assert both.llf == pytest.approx(zero.llf + some.llf, rel=1e-10)
    np.testing.assert_allclose(both.params, some.params, rtol=1e-5)
    np.testing.assert_allclose(both.params_of("zero"), zero.params, rtol=1e-5)
    np.testing.assert_allclose(both.tidy(component="zero")["std_error"], zero.bse, rtol=1e-5)


@pytest.fixture(scope="module")
def results() -> ml.MixedModelResults:
    return ml.fit("y ~ w + (1 | g)", counts(4), "poisson", zero_inflation="~ x + (1 | g)", n_quadrature=5)


def test_predictions(results: ml.MixedModelResults) -> None:
    data = counts(4)
    own = results.random_effects().pivot_table(index="level", columns="term", values="mode").loc[data["g"]].to_numpy()
    names = sorted(["(Intercept)", "zero: (Intercept)"])
    mean = np.exp(results.params["(Intercept)"] + results.params["w"] * data["w"] + own[:, names.index("(Intercept)")])
    at = results.params_of("zero")
    none = special.expit(at["(Intercept)"] + at["x"] * data["x"] + own[:, names.index("zero: (Intercept)")])
    for new in (None, data):
        np.testing.assert_allclose(results.predict(new, kind="mean"), mean)
        np.testing.assert_allclose(results.predict(new, kind="zero"), none)
        np.testing.assert_allclose(results.predict(new), (1 - none) * mean)
    np.testing.assert_allclose(results.fittedvalues, (1 - none) * mean)
    np.testing.assert_allclose(results.residuals("response"), data["y"] - (1 - none) * mean)
    variance = (1 - none) * (mean + none * mean**2)
    np.testing.assert_allclose(results.residuals("pearson"), (data["y"] - (1 - none) * mean) / np.sqrt(variance))
    typical = results.predict(data, random="zero")
    fixed = special.expit(at["(Intercept)"] + at["x"] * data["x"])
    np.testing.assert_allclose(
        typical, (1 - fixed) * np.exp(results.params["(Intercept)"] + results.params["w"] * data["w"])
    )


def test_tables(results: ml.MixedModelResults, tmp_path: Path) -> None:
    text = str(results.summary())
    for words in ("Zero: ~ x + (1 | g)", "Zero part:", "logit zero_probability", "zero: (Intercept)"):
        assert words in text
    assert list(results.tidy(component="zero")["term"]) == ["(Intercept)", "x"]
    results.save(tmp_path / "fit.ml")
    for other in (ml.load(tmp_path / "fit.ml"), pickle.loads(pickle.dumps(results))):
        assert other.family == results.family
        np.testing.assert_array_equal(other.predict(counts(4)), results.predict(counts(4)))


def test_rows_without_zeros_separate_the_zero_part() -> None:
    """Its coefficient runs off; the rest is two models, of which the zeros have their own share where there are any."""
    r = np.random.default_rng(1)
    x = np.repeat([0.0, 1.0], 60)
    y = 1 + r.poisson(4.0, 120)
    y[:25] = 0
    above = ml.fit("y ~ 1", pd.DataFrame({"y": y[y > 0]}), "truncated_poisson")
    most = above.llf + 25 * np.log(25 / 60) + 35 * np.log(35 / 60)
    with pytest.warns(ml.ConvergenceWarning, match="'zero: x' grows without bound"):
        results = ml.fit("y ~ 1", pd.DataFrame({"y": y, "x": x}), "poisson", hurdle="~ x")
    assert not results.converged
    assert most - 1e-7 < results.llf < most + 1e-10


def test_one_probability() -> None:
    data = counts(5)
    texts = [ml.fit("y ~ w + (1 | g)", data, "poisson", zero_inflation=own) for own in (True, "~ 1", "1")]
    assert len({own.llf for own in texts}) == 1
    (row,) = texts[0].family_parameters().itertuples()
    assert 0 < row.conf_low < row.estimate < row.conf_high < 1
    family = ml.Family("poisson", zero="inflation")
    assert ml.fit("y ~ w + (1 | g)", data, family).llf == texts[0].llf
    given = ml.fit("y ~ w + (1 | g)", data, ml.Family("poisson", zero="inflation", zero_probability=row.estimate))
    assert given.llf == pytest.approx(texts[0].llf, rel=1e-10)


def test_no_zeros_to_explain() -> None:
    """Counts with no more zeros than the family has: the probability is zero, and the fit the family's own."""
    r = np.random.default_rng(6)
    data = pd.DataFrame({"y": r.binomial(12, 0.2, 300), "g": np.repeat(np.arange(30), 10)})
    with pytest.warns(ml.SingularFitWarning) as caught:
        results = ml.fit("y ~ 1 + (1 | g)", data, "poisson", zero_inflation=True)
    assert any("'zero_probability' of the poisson family is at its limit" in str(own.message) for own in caught)
    with pytest.warns(ml.SingularFitWarning):
        plain = ml.fit("y ~ 1 + (1 | g)", data, "poisson")
    assert results.llf == pytest.approx(plain.llf, abs=1e-8)
    assert results.family_params == {"zero_probability": 0.0}


@pytest.mark.parametrize(
    ("change", "arguments", "error", "message"),
    [
        ({}, {"zero_inflation": "~ x", "hurdle": "~ x"}, ml.DataError, "give one of them"),
        ({}, {"zero_inflation": "y ~ x"}, ml.FormulaError, "zero: .*has no response"),
        ({}, {"zero_inflation": 2}, ml.FormulaError, "a formula is a string"),
        ({}, {"zero_inflation": "~ nothing"}, ml.FormulaError, "nothing"),
        ({}, {"family": "gaussian", "zero_inflation": "~ x"}, ml.DataError, "gaussian family has no zero part"),
        ({"y": 1}, {"hurdle": True}, ml.DataError, "no zero in any of 400 rows"),
        ({"y": 0}, {"zero_inflation": True}, ml.DataError, "is zero in all 400 rows"),
        ({}, {"family": "truncated_poisson"}, ml.DataError, "a truncated family has no zeros"),
        ({}, {"ziformula": "~ x"}, ml.ArgumentError, "zero_inflation"),
    ],
)
def test_refused(change: dict[str, Any], arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    data = counts(7).assign(**change)
    with pytest.raises(error, match=message):
        ml.fit("y ~ w + (1 | g)", data, **{"family": "poisson", **arguments})
