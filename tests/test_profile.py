"""Profile likelihood: what is made of parameters, ends that are reached exactly, how it is used, what is refused."""

from __future__ import annotations

import dataclasses
import pickle
import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import multilevel as ml
from multilevel import _core
from multilevel.inference.profile import profile
from multilevel.inference.quantities import quantities

from .reference_files import read_data
from .test_profile_limits import Z, small

# ---- what is made of parameters -----------------------------------------------------------------------------------


@cache
def counts() -> ml.MixedModelResults:
    g, x, eta = small(9)
    y = np.random.default_rng(2).poisson(np.exp(eta))
    data = pd.DataFrame({"y": y, "x": x, "g": g, "f": pd.Categorical(np.array(["a", "b", "c"])[np.arange(len(g)) % 3])})
    return ml.fit("y ~ x + f + (1 | g)", data, "poisson")


def test_a_contrast_is_the_coefficient_of_another_coding() -> None:
    results = counts()
    contrast = results.profile({"c - b": {"f[c]": 1, "f[b]": -1}}, level=0.95).conf_int().iloc[0]
    data = pd.DataFrame(
        {"y": results.fit.design.response.values, "x": small(9)[1], "g": small(9)[0]},
    )
    data["f"] = pd.Categorical(np.array(["a", "b", "c"])[np.arange(len(data)) % 3], ["b", "a", "c"])
    again = ml.fit("y ~ x + f + (1 | g)", data, "poisson").conf_int(method="profile", which="f[c]").iloc[0]
    np.testing.assert_allclose(contrast, again, atol=1e-8)


def test_a_function_of_one_coefficient_moves_its_limits() -> None:
    results = counts()
    by_function = results.profile(lambda p: np.exp(p["x"]), level=0.95)
    limits = results.conf_int(method="profile", which="x").to_numpy()
    np.testing.assert_allclose(by_function.conf_int().to_numpy(), np.exp(limits), rtol=1e-7)
    assert by_function.estimates["function"] == pytest.approx(np.exp(results.params["x"]))


def test_the_icc() -> None:
    """Of a binomial model it follows from the standard deviation; of a linear one it is held itself."""
    linear = ml.fit("y ~ 1 + (1 | g)", pd.DataFrame({"y": small()[2], "g": small()[0]}), method="ml")
    found = linear.profile("icc", level=0.95)
    (lower, upper) = found.conf_int().iloc[0]
    y, g = linear.fit.design.response.values, small()[0]

    def lost(share: float) -> float:
        block = share * np.ones((6, 6)) + (1 - share) * np.eye(6)
        inverse, rows = np.linalg.inv(block), y.reshape(-1, 6)
        mean = (rows @ inverse).sum() / (len(rows) * inverse.sum())
        square = np.einsum("ij,jk,ik->", rows - mean, inverse, rows - mean) / len(y)
        value = -0.5 * (len(y) * (1 + np.log(2 * np.pi * square)) + len(rows) * np.linalg.slogdet(block)[1])
        return float(np.sqrt(2 * (linear.llf - value)))

    assert len(np.unique(g)) == 14
    assert lost(lower) == pytest.approx(Z, abs=1e-6)
    assert lost(upper) == pytest.approx(Z, abs=1e-6)
    data = ml.datasets.cbpp()
    binomial = ml.fit("cbind(incidence, size - incidence) ~ period + (1 | herd)", data, "binomial")
    sd = binomial.profile("herd: sd (Intercept)", level=0.95).conf_int().to_numpy()
    icc = binomial.profile("icc", level=0.95).conf_int().to_numpy()
    np.testing.assert_allclose(icc, sd**2 / (sd**2 + np.pi**2 / 3), rtol=1e-12)


# ---- ends ---------------------------------------------------------------------------------------------------------


def test_a_standard_deviation_of_zero() -> None:
    """No cluster differs: the lower limit is zero, the upper one where the likelihood has fallen enough."""
    x = np.random.default_rng(3).normal(size=60)
    y = x + np.tile([1.0, -1.0, 0.4, -0.4, 0.2, -0.2], 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        results = ml.fit(
            "y ~ x + (1 | g)", pd.DataFrame({"y": y, "x": x, "g": np.repeat(np.arange(10), 6)}), method="ml"
        )
    assert results.singular
    found = results.profile("g: sd (Intercept)", level=0.95)
    lower, upper = found.conf_int().iloc[0]
    assert lower == 0.0
    assert 0.0 < upper < 1.0
    assert found["g: sd (Intercept)"]["zeta"].is_monotonic_increasing
    assert found["g: sd (Intercept)"]["zeta"].iloc[-1] == pytest.approx(Z, abs=1e-2)


def test_a_correlation_that_is_one() -> None:
    rng = np.random.default_rng(8)
    g, x = np.repeat(np.arange(12), 8), rng.normal(size=96)
    u = rng.normal(size=12)[g]
    data = pd.DataFrame({"y": u + 0.6 * u * x + rng.normal(size=96), "x": x, "g": g})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        results = ml.fit("y ~ x + (x | g)", data, method="ml")
    name = "g: correlation x, (Intercept)"
    found = results.profile(name, level=0.95)
    lower, upper = found.conf_int().loc[name]
    assert upper == 1.0
    assert found.estimates[name] == 1.0
    assert -1.0 < lower < 1.0
    held = found[name].set_index("zeta")["value"]
    assert held.loc[:0.0].is_monotonic_increasing


def test_a_parameter_without_an_upper_limit() -> None:
    """Counts that vary as the Poisson's say nothing against an infinite size."""
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(20), 10)
    data = pd.DataFrame({"y": rng.poisson(np.exp(0.5 + 0.4 * rng.normal(size=20)[g])), "g": g})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        results = ml.fit("y ~ 1 + (1 | g)", data, "negative_binomial")
    lower, upper = results.profile("size", level=0.95).conf_int().iloc[0]
    assert np.isinf(upper)
    assert 0.0 < lower < 100.0


def test_a_function_whose_values_have_an_end() -> None:
    found = counts().profile({"bounded": lambda p: np.tanh(p["x"])}, level=0.95)
    np.testing.assert_allclose(
        found.conf_int().to_numpy(), np.tanh(counts().conf_int(method="profile", which="x").to_numpy()), rtol=1e-6
    )


# ---- how it is used -----------------------------------------------------------------------------------------------


def test_the_table_has_everything_at_every_point() -> None:
    results = counts()
    found = results.profile(level=0.95)
    names = list(quantities(results.fit))
    assert list(found.table.columns) == ["parameter", "value", "zeta", "slope", *names]
    assert list(found.estimates.index) == names
    for name in names:
        own = found[name]
        np.testing.assert_allclose(own["value"], own[name], rtol=1e-9, atol=1e-9)
        assert own["value"].is_monotonic_increasing
        assert own["zeta"].is_monotonic_increasing
        at_maximum = own[own["zeta"] == 0.0].iloc[0]
        assert at_maximum[names].to_numpy(dtype=float) == pytest.approx(found.estimates.to_numpy(), abs=1e-12)
        # the slopes are those of zeta
        inner = own[(own["zeta"].abs() > 0.3) & own["slope"].notna()]
        assert (inner["slope"] > 0).all()
    assert "Profile likelihood, 0.95 intervals" in repr(found)
    assert "<table" in found._repr_html_()
    with pytest.raises(KeyError, match="'z' was not profiled"):
        found["z"]


def test_slopes_are_those_of_zeta() -> None:
    """Differences of zeta across two levels that are close to each other."""
    results = counts()
    one, two = (results.profile("x", level=level).conf_int(level).iloc[0, 1] for level in (0.95, 0.9501))
    rise = (stats.norm.ppf(0.97505) - stats.norm.ppf(0.975)) / (two - one)
    own = results.profile("x", level=0.95)["x"]
    assert own["slope"].iloc[-1] == pytest.approx(rise, rel=1e-3)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    fit = counts().fit
    held = [own.held for own in quantities(fit).values()]
    one, two, three = (
        _core.profile(fit.model_core, fit.design.response.values, fit.psi, held, 1.96, threads=threads)
        for threads in (1, 2, 3)
    )
    for a, b, c in zip(one.profiles, two.profiles, three.profiles, strict=True):
        assert a.psi.tobytes() == b.psi.tobytes() == c.psi.tobytes()
        assert a.limits == b.limits == c.limits


def test_another_level_and_a_fit_without_its_core() -> None:
    results = counts()
    wide = results.profile(level=0.99)
    np.testing.assert_allclose(wide.conf_int(0.8), results.profile(level=0.8).conf_int(), atol=1e-9)
    again = pickle.loads(pickle.dumps(results))
    np.testing.assert_allclose(again.profile("x").conf_int(), wide.conf_int().loc[["x"]], atol=1e-12)


def test_fits_by_reml_are_profiled_by_ml() -> None:
    data = ml.datasets.sleepstudy()
    formula = "Reaction ~ Days + (1 | Subject)"
    reml, by_ml = (ml.fit(formula, data, method=method) for method in ("reml", "ml"))
    np.testing.assert_allclose(reml.profile().conf_int(), by_ml.profile().conf_int(), rtol=1e-7)
    assert reml.profile().estimates["sigma"] == pytest.approx(by_ml.residual_sd, rel=1e-7)


def test_least_squares() -> None:
    """Of a linear model zeta is known: n log(1 + t^2 / (n - p))."""
    data = ml.datasets.sleepstudy()
    results = ml.fit("Reaction ~ Days", data)
    n, p = len(data), 2
    t = np.sqrt((n - p) * np.expm1(Z**2 / n))
    found = results.conf_int(method="profile")
    np.testing.assert_allclose(found["upper"], results.params + t * results.bse, rtol=1e-9)
    np.testing.assert_allclose(found["lower"], results.params - t * results.bse, rtol=1e-9)


def test_what_is_higher_than_the_fit_is_said() -> None:
    fit = counts().fit
    moved = dataclasses.replace(fit, psi=fit.psi + 0.2 * np.eye(len(fit.psi))[0])
    with pytest.warns(ml.ConvergenceWarning, match="not the maximum: on the way the log-likelihood was"):
        profile(moved)


def test_what_cannot_be() -> None:
    results = counts()
    with pytest.raises(ml.DataError, match=r"there is no parameter 'z'; there are '.Intercept.', 'x'"):
        results.profile("z")
    with pytest.raises(ml.DataError, match=r"has a weight of 'g: sd .Intercept.', which is no coefficient"):
        results.profile({"sum": {"x": 1, "g: sd (Intercept)": 1}})
    with pytest.raises(ml.DataError, match="must be finite numbers that are not all zero"):
        results.profile({"none": {"x": 0}})
    with pytest.raises(ml.DataError, match="is not finite at the estimates"):
        results.profile(lambda p: np.nan * p["x"])
    with pytest.raises(ml.DataError, match="'icc' is for linear and binomial"):
        results.profile("icc")
    with pytest.raises(ValueError, match="level=2"):
        results.profile(level=2)
    with pytest.raises(ValueError, match=r"did you mean level=0[.]95"):
        results.conf_int(0.05, method="profile")
    with pytest.raises(ValueError, match="df_method is for Wald intervals"):
        results.conf_int(method="profile", df_method="normal")
    with pytest.raises(ml.DataError, match=r"there is no fixed effect 'sigma'.* use method='profile'"):
        results.conf_int(which="sigma")
    with pytest.raises(ml.ArgumentError, match="'parm' is which here"):
        results.conf_int(parm="x")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="available: 'wald', 'profile' and 'bootstrap'"):
        results.conf_int(method="other")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        stopped = ml.fit("Reaction ~ Days + (Days | Subject)", ml.datasets.sleepstudy(), max_iter=1)
    with pytest.raises(ml.DataError, match="a profile starts from a maximum"):
        stopped.profile()


def test_what_a_function_raises_comes_out() -> None:
    def fragile(p: dict[str, float]) -> float:
        if p["x"] > counts().params["x"] + 0.01:
            raise RuntimeError("too large")
        return p["x"]

    with pytest.raises(RuntimeError, match="too large"):
        counts().profile(fragile)


def test_quasi_likelihood_has_no_profile() -> None:
    data = pd.DataFrame({"y": counts().fit.design.response.values, "g": small(9)[0]})
    results = ml.fit("y ~ 1 + (1 | g)", data, "poisson", method="pql")
    with pytest.raises(ml.DataError, match="a profile: a fit by method='pql' has no likelihood"):
        results.profile()


def test_a_family_of_the_users_own() -> None:
    data = pd.DataFrame({"y": counts().fit.design.response.values, "x": small(9)[1], "g": small(9)[0]})
    own = ml.CustomFamily(
        "own_poisson",
        lambda y, eta: y * eta - np.exp(eta) - special.gammaln(y + 1),
        support="counts",
        log_concave=True,
    )
    mine, theirs = (
        ml.fit("y ~ x + (1 | g)", data, family, threads=1).conf_int(method="profile", which="x")
        for family in (own, "poisson")
    )
    np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_wald_intervals_of_some_coefficients() -> None:
    results = counts()
    pd.testing.assert_frame_equal(results.conf_int(which="x"), results.conf_int().loc[["x"]])


# ---- limits of ordered categories ---------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [1, 7])
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_a_step_that_falls_short_of_the_limit_by_rounding_has_reached_it(points: int, level: float) -> None:
    """It was repeated until there were too many points, and the limit called infinite. By the definition, with the
    coefficient held by an offset."""
    data = read_data("wine")
    how: dict[str, Any] = {"family": "cumulative", "levels": [1, 2, 3, 4, 5], "n_quadrature": points}
    results = ml.fit("rating ~ temp + contact + (1 | judge)", data, **how)
    found = results.profile("temp[warm]", level=level)
    assert not found.messages
    assert len(found.table) < 20
    for limit in found.conf_int().loc["temp[warm]"]:
        held = data.assign(o=limit * (data["temp"] == "warm"))
        without = ml.fit("rating ~ contact + offset(o) + (1 | judge)", held, **how)
        assert 2 * (results.llf - without.llf) == pytest.approx(stats.chi2.ppf(level, 1), abs=1e-5)


def test_limits_that_rest_on_too_few_points_are_named() -> None:
    """Where a loading grows without bound 9 points make a likelihood that is 4 above the maximum."""
    rng = np.random.default_rng(2)
    slope, steps = rng.uniform(0.7, 1.5, 3), np.sort(rng.normal(size=(3, 3)), 1)
    up = np.cumsum(slope * rng.normal(size=(200, 1)) - steps.T[:, None, :], axis=0)
    utility = np.concatenate([np.zeros((1, 200, 3)), up]) + rng.gumbel(size=(4, 200, 3))
    data = pd.DataFrame(
        {
            "person": np.repeat(np.arange(200), 3),
            "item": np.tile(list("abc"), 200),
            "answer": utility.argmax(0).ravel() + 1,
        }
    )
    formula = "answer ~ 0 + rr(0 + item | person, d=1)"
    results = ml.fit(formula, data, "adjacent", nominal="~ 0 + item", n_quadrature=9)
    with pytest.warns(ml.ConvergenceWarning, match="9 quadrature points do not resolve the likelihood"):
        found = results.profile(["thresholds: item[c]: 2|3", "thresholds: 2|3"])
    assert [message.split(": 9 ")[0] for message in found.messages if "resolve" in message] == [
        "thresholds: item[c]: 2|3"
    ]
    assert not any(message.startswith("not the maximum") for message in found.messages)
