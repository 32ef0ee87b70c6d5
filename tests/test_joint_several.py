"""Several grouping factors with random effects in several predictors of a row: against the definition, one factor,
glmmTMB; derivatives, threads, hard cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import multilevel as ml
from multilevel import _core
from multilevel.checks.drawn_effects import drawn_effects
from multilevel.fitting.core_model import core_response
from multilevel.fitting.refit import of_rows, refit
from multilevel.prediction.choice_joint import joint_of
from multilevel.prediction.joint import Joint

from .dense_laplace import Array, indicators, laplace
from .reference_files import read_data

N, G, H = 120, 6, 4
REFERENCE = json.loads((Path(__file__).parent / "reference" / "joint_several.json").read_text(encoding="utf-8"))["fits"]


def crossed(family: str, zeros: bool, seed: int = 3) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    g, h, x = r.integers(0, G, N), r.integers(0, H, N), r.normal(size=N)
    eta = 0.5 + 0.3 * x + r.normal(0, 0.5, G)[g] + r.normal(0, 0.4, H)[h]
    y = {
        "gaussian": lambda: r.normal(eta, 0.5),
        "gamma": lambda: r.gamma(2, np.exp(eta) / 2),
        "beta": lambda: r.beta(2, 3, N),
    }.get(family, lambda: r.poisson(np.exp(eta)))()
    if zeros:
        y = np.where(r.random(N) < 0.3, 0, y)
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "w": r.uniform(0.5, 2, N), "o": r.normal(0, 0.3, N)})


def base_density(family: str, y: Array, eta: Array, phi: Array | float) -> Array:
    """By SciPy, with a phi for each row."""
    if family == "poisson":
        return stats.poisson.logpmf(y, np.exp(eta))
    if family == "gaussian":
        return stats.norm.logpdf(y, eta, np.exp(phi))
    if family == "gamma":
        return stats.gamma.logpdf(y, np.exp(phi), scale=np.exp(eta - phi))
    if family == "beta":
        return stats.beta.logpdf(y, np.exp(phi) * special.expit(eta), np.exp(phi) * special.expit(-eta))
    return stats.nbinom.logpmf(y, np.exp(phi), special.expit(phi - eta))


def zero_density(by: str, family: str, y: Array, eta: Array, phi: float, zeta: Array) -> Array:
    none, some = special.log_expit(zeta), special.log_expit(-zeta)
    zero, own = base_density(family, 0 * y, eta, phi), base_density(family, y, eta, phi)
    if by == "zero_inflation":
        return np.where(y == 0, np.logaddexp(none, some + zero), some + own)
    return np.where(y == 0, none, some + own - np.log(-np.expm1(zero)))


def evaluated(model: ml.MixedModel, psi: Array, threads: int = 1) -> tuple[float, Array, Array]:
    return _core.evaluate(model._core, model.design.response.values, psi, 1, threads)


def agrees(model: ml.MixedModel, psi: Array, expected: float) -> None:
    """The value with the definition's, the gradient with differences of the value, the same bits by any threads."""
    value, gradient, hessian = evaluated(model, psi)
    assert value == pytest.approx(expected, rel=3e-9, abs=3e-9)  # differences of densities have no more digits
    step = 1e-5
    slopes = [
        (evaluated(model, psi + step * e)[0] - evaluated(model, psi - step * e)[0]) / (2 * step)
        for e in np.eye(len(psi))
    ]
    np.testing.assert_allclose(gradient, slopes, rtol=0, atol=1e-7 * np.abs(gradient).max())
    np.testing.assert_allclose(hessian, hessian.T)
    for threads in (2, 3):
        again = evaluated(model, psi, threads)
        assert again[0] == value
        np.testing.assert_array_equal(again[1], gradient)


@pytest.mark.parametrize(
    ("family", "by"),
    [
        ("poisson", "zero_inflation"),
        ("negative_binomial", "zero_inflation"),
        ("poisson", "hurdle"),
    ],
)
def test_zero_parts(family: str, by: str) -> None:
    data = crossed(family, zeros=True)
    arguments: Any = {by: "~ x + (1 | g)"}
    model = ml.MixedModel("y ~ x + (1 | g) + (1 | h)", data, family, **arguments)
    size = [] if family == "poisson" else [0.4]
    psi = np.array([0.5, 0.3, 0.6, 0.4, 0.5, *size, -0.8, 0.2])
    y, x, g, h = (data[name].to_numpy() for name in ("y", "x", "g", "h"))
    scaled = [
        np.hstack([0.6 * indicators(g), 0.4 * indicators(h), np.zeros((N, G))]),
        np.hstack([np.zeros((N, G + H)), 0.5 * indicators(g)]),
    ]
    expected, _ = laplace(
        lambda at: zero_density(by, family, y, at[0], 0.4, at[1]), [0.5 + 0.3 * x, -0.8 + 0.2 * x], scaled
    )
    agrees(model, psi, expected)


@pytest.mark.parametrize("family", ["gaussian", "gamma", "beta", "negative_binomial"])
def test_dispersions(family: str) -> None:
    """The mean on one factor, the dispersion on both."""
    data = crossed(family, zeros=False)
    model = ml.MixedModel("y ~ x + (1 + x | g)", data, family, dispersion="~ x + (1 | h) + (1 | g)")
    psi = np.array([0.5, 0.3, 0.6, 0.1, 0.2, 0.4, 0.5, 0.2, 0.1])
    y, x, g, h = (data[name].to_numpy() for name in ("y", "x", "g", "h"))
    groups = indicators(g)
    scaled = [
        np.hstack([(0.6 + 0.1 * x)[:, None] * groups, 0.2 * x[:, None] * groups, np.zeros((N, G + H))]),
        np.hstack([np.zeros((N, 2 * G)), 0.5 * groups, 0.4 * indicators(h)]),
    ]
    expected, _ = laplace(lambda at: base_density(family, y, at[0], at[1]), [0.5 + 0.3 * x, 0.2 + 0.1 * x], scaled)
    agrees(model, psi, expected)


def test_weights_and_offset() -> None:
    data = crossed("poisson", zeros=True)
    model = ml.MixedModel(
        "y ~ x + offset(o) + (1 | h)", data, "poisson", weights="w", zero_inflation="~ offset(o) + (1 | g)"
    )
    y, x, g, h, w, o = (data[name].to_numpy() for name in ("y", "x", "g", "h", "w", "o"))
    scaled = [
        np.hstack([0.4 * indicators(h), np.zeros((N, G))]),
        np.hstack([np.zeros((N, H)), 0.5 * indicators(g)]),
    ]
    expected, _ = laplace(
        lambda at: w * zero_density("zero_inflation", "poisson", y, at[0], 0.0, at[1]),
        [0.5 + 0.3 * x + o, -0.8 + o],
        scaled,
    )
    agrees(model, np.array([0.5, 0.3, 0.4, 0.5, -0.8]), expected)


@pytest.mark.parametrize(
    ("family", "parts"),
    [("negative_binomial", {"zero_inflation": "~ x + (1 | g)"}), ("gaussian", {"dispersion": "~ (1 + x | g)"})],
)
def test_one_factor_of_two(family: str, parts: dict[str, str]) -> None:
    """A factor whose variance is zero: what one factor gives, by code of its own."""
    data = crossed(family, zeros=family != "gaussian")
    data["few"] = data["g"] % 2  # g is nested in it
    one = ml.MixedModel("y ~ x + (1 | g)", data, family, **parts)
    n = one._core.n_beta + one._core.n_theta + one._core.n_phi
    psi = np.linspace(0.3, 0.7, n)
    value, gradient, hessian = evaluated(one, psi)
    for other in ("h", "few"):
        two = ml.MixedModel(f"y ~ x + (1 | g) + (1 | {other})", data, family, **parts)
        there = np.arange(n + 1) != 3
        at = np.zeros(n + 1)
        at[there] = psi
        found = evaluated(two, at)
        assert found[0] == pytest.approx(value, rel=1e-11)
        np.testing.assert_allclose(found[1][there], gradient, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(found[2][np.ix_(there, there)], hessian, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("family", ["poisson", "multinomial"])
def test_the_same_bits_for_any_number_of_threads(family: str) -> None:
    """With enough rows for several threads."""
    r = np.random.default_rng(9)
    n = 6000
    data = pd.DataFrame({"x": r.normal(size=n), "g": r.integers(0, 20, n), "h": r.integers(0, 9, n)})
    if family == "poisson":
        data["y"] = np.where(r.random(n) < 0.3, 0, r.poisson(np.exp(0.5 + 0.3 * data["x"])))
        model = ml.MixedModel("y ~ x + (1 | g) + (1 | h)", data, family, zero_inflation="~ (1 | g)")
        psi = np.array([0.5, 0.3, 0.4, 0.3, 0.5, -0.8])
    else:
        data["y"] = r.integers(0, 3, n)
        model = ml.MixedModel("y ~ x + (1 || g) + (1 || h)", data, family)
        psi = np.array([0.1, 0.2, -0.1, 0.3, 0.4, 0.3, 0.5, 0.2])
    y = core_response(model.design)
    one = _core.evaluate(model._core, y, psi, 1, 1)
    for threads in (2, 3):
        again = _core.evaluate(model._core, y, psi, 1, threads)
        assert again[0] == one[0]
        np.testing.assert_array_equal(again[1], one[1])
        np.testing.assert_array_equal(again[2], one[2])


@pytest.mark.parametrize("key", list(REFERENCE))
def test_glmmtmb(key: str) -> None:
    """Salamanders, species crossed with sites."""
    theirs = REFERENCE[key]
    data = read_data("Salamanders")
    data["mined"] = pd.Categorical(data["mined"], ["yes", "no"])
    hurdle = theirs["family"].startswith("truncated")
    results = ml.fit(
        theirs["formula"],
        data,
        "negative_binomial" if "nbinom2" in theirs["family"] else "poisson",
        **{"hurdle" if hurdle else "zero_inflation": theirs["zero"]},
    )
    assert results.converged
    assert results.llf == pytest.approx(theirs["loglik"], abs=1e-7)
    p, q, size = len(theirs["fixed"]), len(theirs["sd"] + theirs["zero_sd"]), len(theirs["log_dispersion"])
    psi, errors = results.fit.psi, np.sqrt(np.diag(results.fit.covariance))
    np.testing.assert_allclose(psi[:p], theirs["fixed"], atol=2e-5)
    np.testing.assert_allclose(np.abs(psi[p : p + q]), theirs["sd"] + theirs["zero_sd"], atol=2e-5)
    np.testing.assert_allclose(psi[p + q + size :], theirs["zero_fixed"], atol=2e-5)
    n_zero = len(theirs["zero_fixed"])
    np.testing.assert_allclose(errors[:p], theirs["se"][:p], rtol=1e-4)
    np.testing.assert_allclose(errors[p + q + size :], theirs["se"][p : p + n_zero], rtol=1e-4)
    modes = results.random_effects()
    for part, own in (("", "modes"), ("zero: ", "zero_modes")):
        if part and "site" not in theirs["zero"]:
            continue
        found = modes.query("group == 'site' and term == @part + '(Intercept)'").set_index("level")["mode"]
        expected = np.array(theirs[own][: len(found)])
        order = sorted(found.index)  # glmmTMB's levels are in the order of the alphabet
        np.testing.assert_allclose(found[order], expected, atol=2e-4)


# ---- after the fit ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zeros() -> ml.MixedModelResults:
    data = read_data("Salamanders")
    return ml.fit("count ~ mined + (1 | site)", data, "poisson", zero_inflation="~ mined + (1 | spp)")


@pytest.fixture(scope="module")
def dispersed() -> ml.MixedModelResults:
    r = np.random.default_rng(7)
    n = 300
    x, g, h = r.normal(size=n), r.integers(0, 15, n), r.integers(0, 8, n)
    spread = np.exp(0.1 + r.normal(0, 0.5, 15)[g] + r.normal(0, 0.5, 8)[h])
    y = 1 + 0.5 * x + r.normal(0, 0.9, 15)[g] + r.normal(size=n) * spread
    data = pd.DataFrame({"y": y, "x": x, "g": g, "h": h})
    return ml.fit("y ~ x + (1 | g)", data, dispersion="~ x + (1 | g) + (1 | h)")


@pytest.fixture(scope="module")
def chosen() -> ml.MixedModelResults:
    r = np.random.default_rng(4)
    n = 600
    x, g, h = r.normal(size=n), r.integers(0, 12, n), r.integers(0, 10, n)
    eta = np.column_stack([0 * x, 0.3 + 0.5 * x, -0.2 - 0.5 * x])
    for codes, sd in ((g, 0.9), (h, 0.8)):
        eta[:, 1:] += r.normal(0, sd, (12, 2))[codes]
    y = np.argmax(eta + r.gumbel(size=(n, 3)), axis=1)
    return ml.fit("y ~ x + (1 | g) + (1 | h)", pd.DataFrame({"y": y, "x": x, "g": g, "h": h}), "multinomial")


@pytest.mark.parametrize("which", ["zeros", "dispersed", "chosen"])
def test_modes_and_draws(which: str, request: pytest.FixtureRequest) -> None:
    """Modes, their covariances and draws given the data: a dense inverse of H, whose rows Python puts together."""
    fit = request.getfixturevalue(which).fit
    joint = joint_of(fit)
    inverse = np.linalg.inv(joint.hessian.toarray())
    assert np.abs(joint.modes).max() > 0.1
    for modes, own in zip(joint.effects(joint.modes), fit.modes, strict=True):
        np.testing.assert_allclose(modes, own, atol=1e-8)
    effects = np.stack([np.concatenate([u.ravel() for u in joint.effects(v)]) for v in np.eye(joint.size)], axis=1)
    covariance = effects @ inverse @ effects.T
    at = 0
    for own in fit.mode_cov:
        for level in own:
            end = at + len(level)
            np.testing.assert_allclose(level, covariance[at:end, at:end], atol=1e-10)
            at = end

    class Column:
        """As a source of normal numbers, a column of the unit matrix: the draws are linear in them."""

        def __init__(self, k: int) -> None:
            self.k = k

        def standard_normal(self, n: int) -> Array:
            return np.eye(n)[self.k]

    rows = []
    for k in range(joint.size):
        drawn = drawn_effects(fit, Column(k))  # type: ignore[arg-type]
        rows.append(np.concatenate([(u - own).ravel() for u, own in zip(drawn, fit.modes, strict=True)]))
    root = np.stack(rows)
    np.testing.assert_allclose(root.T @ root, covariance, atol=1e-12)


def test_predictions(zeros: ml.MixedModelResults, tmp_path: Path) -> None:
    data = read_data("Salamanders")
    modes = zeros.random_effects().set_index(["group", "term", "level"])["mode"]
    of_site = modes["site", "(Intercept)"].loc[data["site"]].to_numpy()
    of_species = modes["spp", "zero: (Intercept)"].loc[data["spp"]].to_numpy()
    mined = data["mined"] == "yes"
    at, zero = zeros.params, zeros.params_of("zero")
    slope, other = ("mined[yes]", 1.0) if "mined[yes]" in at.index else ("mined[no]", 0.0)
    indicator = mined if other else ~mined
    none = special.expit(zero["(Intercept)"] + zero[slope] * indicator + of_species)
    mean = np.exp(at["(Intercept)"] + at[slope] * indicator + of_site)
    np.testing.assert_allclose(zeros.predict(kind="zero"), none)
    np.testing.assert_allclose(zeros.predict(kind="mean"), mean)
    np.testing.assert_allclose(zeros.predict(), (1 - none) * mean)
    np.testing.assert_allclose(zeros.predict(data), zeros.fittedvalues)
    typical = special.expit(zero["(Intercept)"] + zero[slope] * indicator)
    np.testing.assert_allclose(zeros.predict(data, kind="zero", random="zero"), typical)
    band = zeros.predict(data.head(20), interval="confidence")
    assert np.isfinite(band.to_numpy()).all()
    zeros.save(tmp_path / "fit.ml")
    np.testing.assert_array_equal(ml.load(tmp_path / "fit.ml").predict(kind="zero"), zeros.predict(kind="zero"))


def test_conditional_errors(dispersed: ml.MixedModelResults) -> None:
    """Of the dispersion, whose random effects belong to both factors: the delta method with the dense inverse of H."""
    fit = dispersed.fit
    joint = Joint(fit)
    rows = dispersed.model.design.grouping_factors
    g, h = (own.codes[:5] for own in rows)
    inverse = np.linalg.inv(joint.hessian.toarray())
    load = np.zeros((5, joint.size))
    for term, codes in ((1, g), (2, h)):
        load[np.arange(5), joint.first[term] + codes] = fit.theta[term][0, 0]
    by_psi = load @ joint.v_by_psi
    at = fit.components[0].first
    by_psi[:, at] += 1.0
    by_psi[:, at + 1] += np.asarray(dispersed.model.design.fixed[1].values)[:5]
    for term, codes in ((1, g), (2, h)):
        by_psi[np.arange(5), len(fit.beta) + term] += joint.modes[joint.first[term] + codes]
    error = np.sqrt(np.einsum("ni,ij,nj->n", by_psi, fit.covariance, by_psi) + np.diag(load @ inverse @ load.T))
    found = dispersed.predict(kind="dispersion", interval="confidence").iloc[:5]
    reach = np.log(found["upper"] / found["lower"]) / (2 * stats.norm.ppf(0.975))
    np.testing.assert_allclose(reach, error, rtol=1e-6)


def test_what_follows(zeros: ml.MixedModelResults, dispersed: ml.MixedModelResults) -> None:
    drawn = zeros.simulate(200, seed=1)
    shares = (drawn == 0).to_numpy().mean()
    assert shares == pytest.approx((read_data("Salamanders")["count"] == 0).mean(), abs=0.05)
    for results in (zeros, dispersed):
        residuals = results.residuals("quantile", random="drawn", seed=2)
        assert np.isfinite(residuals).all()
        assert stats.kstest(residuals, "norm").pvalue > 0.001
        assert results.check(seed=1).table["p_adjusted"].notna().any()
    assert list(zeros.icc().index) == ["site"]  # species are not in the mean
    assert zeros.certificate.predicted_gain < 1e-8
    assert dispersed.certificate.eigenvalues.min() > 0


def test_influence_of_rows(dispersed: ml.MixedModelResults) -> None:
    """One step for a row is near what a fit without it gives."""
    found = dispersed.influence().cooks_distance
    row = int(np.argmax(found))
    assert np.isfinite(found).all()
    data = dispersed.model.design
    rest = np.arange(len(found)) != row
    own = refit(dispersed.fit, of_rows(data, np.flatnonzero(rest)))
    moved = own.beta - dispersed.fit.beta
    exact = moved @ np.linalg.solve(dispersed.fit.beta_covariance, moved) / len(moved)
    assert found.iloc[row] == pytest.approx(exact, rel=0.15)


def test_nested_factors_have_no_quadrature_then() -> None:
    """Two factors that nest have it with one predictor: what takes it by itself does not here."""
    r = np.random.default_rng(17)
    g, x = np.repeat(np.arange(30), 8), r.normal(size=240)
    y = x + r.normal(0, 0.8, 6)[g % 6] + r.normal(0, 0.6, 30)[g] + r.normal(size=240) * np.exp(r.normal(0, 0.5, 30)[g])
    frame = pd.DataFrame({"y": y, "x": x, "g": g, "outer": g % 6})
    results = ml.fit("y ~ x + (1 | outer) + (1 | g)", frame, dispersion="~ (1 | g)")
    means = results.random_effects("mean")
    assert set(means["method"]) == {"Laplace"}
    assert np.isfinite(means["mean"]).all()
    parts = results.cluster_contributions()
    assert parts["llf"].sum() == pytest.approx(results.llf, rel=1e-11)
    with pytest.raises(ml.DataError, match="random effects in the dispersion formula needs one grouping factor"):
        results.random_effects("mean", n_quadrature=5)


# ---- hard cases ---------------------------------------------------------------------------------------------------


def test_levels_of_zeros_and_of_one_row() -> None:
    """A level whose counts are all zero, one row in a level, variances of zero: finite, and the definition's value."""
    data = crossed("poisson", zeros=True)
    data.loc[data["g"] == 2, "y"] = 0
    data.loc[0, "h"] = 9
    model = ml.MixedModel("y ~ x + (1 | g) + (1 | h)", data, "poisson", zero_inflation="~ x + (1 | g) + (1 | h)")
    y, x, g, h = (data[name].to_numpy() for name in ("y", "x", "g", "h"))
    groups, others = indicators(g), indicators(h)

    def density(at: list[Array]) -> Array:
        return zero_density("zero_inflation", "poisson", y, at[0], 0.0, at[1])

    for sds in ([0.6, 0.4, 0.5, 0.3], [2.0, 1.0, 3.0, 0.7], [0.6, 0.0, 0.0, 0.3], [0.0, 0.0, 0.0, 0.0]):
        scaled = [
            np.hstack([sds[0] * groups, sds[1] * others, 0 * groups, 0 * others]),
            np.hstack([0 * groups, 0 * others, sds[2] * groups, sds[3] * others]),
        ]
        expected, _ = laplace(density, [0.5 + 0.3 * x, -0.8 + 0.2 * x], scaled)
        agrees(model, np.array([0.5, 0.3, *sds, -0.8, 0.2]), expected)


def test_no_variance_to_find() -> None:
    """Nothing in the zero part differs by species: its variance is zero, and the fit is that without it."""
    r = np.random.default_rng(11)
    g, h, x = r.integers(0, 10, 300), np.arange(300) % 6, r.normal(size=300)
    y = r.poisson(np.exp(1 + 0.3 * x + r.normal(0, 0.6, 10)[g]))
    y = np.where(np.arange(300) // 6 % 3 == 0, 0, y)  # as many zeros in each level of h
    data = pd.DataFrame({"y": y, "x": x, "g": g, "h": h})
    plain = ml.fit("y ~ x + (1 | g)", data, "poisson", zero_inflation="~ 1")
    with pytest.warns(ml.SingularFitWarning):
        results = ml.fit("y ~ x + (1 | g)", data, "poisson", zero_inflation="~ 1 + (1 | h)")
    assert results.llf == pytest.approx(plain.llf, abs=1e-7)
    assert results.random_cov["h"].iloc[0, 0] == 0.0


# ---- refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "points", "message"),
    [
        ("~ (1 | h)", 5, r"random effects in the zero formula needs one grouping factor.*'g', 'h'. Use n_quadrature=1"),
        ("~ (1 | g) + (1 | same)", 1, "'g' and 'same' have the same 6 groups"),
        ("~ (1 | g) + (1 + x | g)", 1, "can be told"),
    ],
)
def test_refused(parts: str, points: int, message: str) -> None:
    data = crossed("poisson", zeros=True)
    data["same"] = data["g"].map("abcdef".__getitem__)
    with pytest.raises(ml.DataError, match=message):
        ml.fit("y ~ x + (1 | g)", data, "poisson", zero_inflation=parts, n_quadrature=points)
