"""What each independent part of the data contributes: against the log-likelihood and gradient of a part by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel import _core
from multilevel.errors import DataError
from multilevel.fitting.contributions import contributions, posterior_moments

from .family_cases import CASES as CASES_OF
from .family_cases import PAIRS, mean_of

rng = np.random.default_rng(5)
N = 240
DATA = pd.DataFrame(
    {
        "x": rng.normal(size=N),
        "w": rng.uniform(0.5, 2.0, N),
        "o": rng.normal(size=N) * 0.1,
        "g": np.repeat(np.arange(12), 20),
        "inner": np.repeat(np.arange(48), 5),
        "other": np.repeat(np.arange(12) // 4, 20) * 5 + rng.integers(0, 5, N),  # crossed with g within three regions
        "region": np.repeat(np.arange(12) // 4, 20),
    }
)
EFFECT = rng.normal(size=12)[DATA["g"]] * 0.5 + rng.normal(size=48)[DATA["inner"]] * 0.4
DATA["y"] = 1.0 + 0.5 * DATA["x"] + EFFECT + rng.normal(size=N)
DATA["count"] = rng.poisson(np.exp(0.5 + 0.3 * DATA["x"] + EFFECT))
DATA["dispersed"] = rng.negative_binomial(2, 2 / (2 + np.exp(0.5 + 0.3 * DATA["x"] + EFFECT)))
DATA["positive"] = rng.gamma(3.0, np.exp(0.3 * DATA["x"] + EFFECT) / 3.0)

CASES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "one factor, Laplace": ("count ~ x + (1 | g)", "poisson", "g", {}),
    "one factor, quadrature": ("count ~ x + (1 + x | g)", "poisson", "g", {"n_quadrature": 7}),
    "three effects": ("count ~ x + (1 + x | g) + (0 + w | g)", "poisson", "g", {"n_quadrature": 3}),
    "family's own parameter": ("dispersed ~ x + (1 | g)", "negative_binomial", "g", {"n_quadrature": 9}),
    "weights and offset": ("positive ~ x + (1 | g)", "gamma", "g", {"weights": "w", "offset": "o", "n_quadrature": 5}),
    "zero part": ("dispersed ~ x + (1 | g)", "poisson", "g", {"zero_inflation": "~ x", "n_quadrature": 5}),
    "hurdle": ("dispersed ~ x + (1 | g)", "negative_binomial", "g", {"hurdle": True}),
    "dispersion formula": ("dispersed ~ x + (1 | g)", "negative_binomial", "g", {"dispersion": "~ x"}),
    "several predictors": ("y ~ x + (1 | g)", "gaussian", "g", {"dispersion": "~ 1 + (1 | g)", "n_quadrature": 5}),
    "nested, quadrature": ("count ~ x + (1 | g) + (1 | inner)", "poisson", "g", {"n_quadrature": 5}),
    "nested, slopes": ("count ~ x + (1 + x | g) + (1 + x | inner)", "poisson", "g", {"n_quadrature": 3}),
    "nested, Laplace": ("dispersed ~ x + (1 | g) + (1 + x | inner)", "negative_binomial", "g", {}),
    "crossed within regions": ("count ~ x + (1 | g) + (1 + x | other)", "poisson", "region", {}),
    "several predictors, nested": (
        "y ~ x + (1 | g) + (1 | inner)",
        "gaussian",
        "g",
        {"dispersion": "~ w + (1 | inner)"},
    ),
    "zero part, crossed within regions": (
        "count ~ x + (1 | g) + (1 | other)",
        "poisson",
        "region",
        {"hurdle": "~ x + (1 | other)"},
    ),
    "linear": ("y ~ x + (1 + x | g)", "gaussian", "g", {"method": "ml", "weights": "w"}),
    "linear, REML": ("y ~ x + (1 | g)", "gaussian", "g", {"offset": "o"}),
    "linear, nested": ("y ~ x + (1 | g) + (1 | inner)", "gaussian", "g", {"method": "ml"}),
}


@pytest.mark.filterwarnings("ignore::multilevel.errors.FitWarning")
@pytest.mark.parametrize("case", CASES)
def test_a_part_contributes_what_it_has_by_itself(case: str) -> None:
    formula, family, group, options = CASES[case]
    fit_options = {k: v for k, v in options.items() if k in ("method", "n_quadrature")}
    model_options = {k: v for k, v in options.items() if k not in fit_options}
    fit = ml.MixedModel(formula, DATA, family, **model_options).fit(**fit_options).fit
    own = contributions(fit)
    labels = DATA[group].to_numpy()
    assert len(own.loglik) == len(np.unique(labels))
    for chosen in ([0, 1], [1, 2]):
        rows = np.isin(labels, chosen)
        parts = np.unique(own.row_part[rows])
        assert len(parts) == len(chosen)
        alone = ml.MixedModel(formula, DATA[rows], family, **model_options)
        value, gradient, _ = _core.evaluate(alone._core, alone.design.response.values, fit.psi, own.n_quadrature, 1)
        assert own.loglik[parts].sum() == pytest.approx(value, rel=1e-11)
        # modes are found to about 1e-9, which is what the gradient of an approximation depends on
        assert own.scores[parts].sum(axis=0) == pytest.approx(gradient, rel=1e-7, abs=2e-7)


@pytest.mark.filterwarnings("ignore::multilevel.errors.FitWarning")
@pytest.mark.parametrize("case", CASES)
def test_parts_add_up_to_the_fit(case: str) -> None:
    formula, family, _, options = CASES[case]
    results = ml.fit(formula, DATA, family, **options)
    own = contributions(results.fit)
    if results.method == "ml":
        assert own.loglik.sum() == pytest.approx(results.llf, rel=1e-11)
        assert own.scores.sum(axis=0) == pytest.approx(results.fit.gradient, abs=1e-4)


def test_without_random_effects_rows_are_parts() -> None:
    results = ml.fit("dispersed ~ x", DATA, "negative_binomial")
    own = contributions(results.fit)
    assert own.scores.shape == (N, 3)
    assert own.loglik.sum() == pytest.approx(results.llf, rel=1e-12)
    assert own.scores.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-5)
    by_region = contributions(results.fit, DATA["region"].to_numpy().astype(np.int32))
    for region in range(3):
        rows = (DATA["region"] == region).to_numpy()
        assert by_region.scores[region] == pytest.approx(own.scores[rows].sum(axis=0), rel=1e-10)


def test_the_same_bits_for_any_number_of_threads() -> None:
    fits = [ml.fit("count ~ x + (1 | g)", DATA, "poisson", n_quadrature=25, threads=threads) for threads in (1, 2)]
    one, two = (contributions(results.fit) for results in fits)
    assert np.array_equal(one.scores, two.scores)
    assert np.array_equal(one.loglik, two.loglik)


# ---- posterior moments against brute force over a grid


def grid_moments(fit: Any, g: int, inner: bool) -> tuple[float, ...]:
    """Mean, variance, third and fourth central moments of the effect of g, or of its first unit, by plain sums."""
    beta, theta = fit.beta, [float(own[0]) for own in fit.theta_values]
    rows = DATA[DATA["g"] == g]
    z, step = np.linspace(-8, 8, 801, retstep=True)
    weight = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) * step
    o = beta[0] + beta[1] * rows["x"].to_numpy()
    y = rows["count"].to_numpy()
    if len(theta) == 1:
        u = theta[0] * z
        eta = o[:, None] + u
        density = np.exp((y[:, None] * eta - np.exp(eta)).sum(axis=0)) * weight
    else:
        names = list(fit.n_groups)
        outer_sd, inner_sd = (theta[names.index(name)] for name in ("g", "inner"))
        outer, within = outer_sd * z, inner_sd * z
        units = []
        for unit in np.unique(rows["inner"]):
            of = (rows["inner"] == unit).to_numpy()
            eta = outer[None, :, None] + within[None, None, :] + o[of][:, None, None]
            units.append(np.exp((y[of][:, None, None] * eta - np.exp(eta)).sum(axis=0)) * weight)  # (outer, inner)
        if inner:
            others = np.prod([unit.sum(axis=1) for unit in units[1:]], axis=0)
            density, u = (units[0] * (others * weight)[:, None]).sum(axis=0), within
        else:
            density, u = np.prod([unit.sum(axis=1) for unit in units], axis=0) * weight, outer
    share = density / density.sum()
    mean = float(share @ u)
    return (mean, *(float(share @ (u - mean) ** k) for k in (2, 3, 4)))


def test_moments_of_one_factor_by_brute_force() -> None:
    fit = ml.fit("count ~ x + (1 | g)", DATA, "poisson").fit
    moments = posterior_moments(fit)
    assert moments.n_quadrature == 25
    laplace = posterior_moments(fit, 1)
    for g in (0, 5, 11):
        exact = grid_moments(fit, g, inner=False)
        found = (moments.mean[0][g, 0], moments.covariance[0][g, 0, 0], moments.third[0][g, 0], moments.fourth[0][g, 0])
        assert found == pytest.approx(exact, rel=1e-8, abs=1e-12)
        # Laplace's mean is nearer than the mode, and its skewness is that of the first order
        assert abs(laplace.mean[0][g, 0] - exact[0]) < 0.1 * abs(fit.modes[0][g, 0] - exact[0])
        assert laplace.third[0][g, 0] == pytest.approx(exact[2], rel=0.2)


def test_moments_of_nested_factors_by_brute_force() -> None:
    fit = ml.fit("count ~ x + (1 | g) + (1 | inner)", DATA, "poisson", n_quadrature=9).fit
    moments = posterior_moments(fit, 21)
    names = list(fit.n_groups)
    outer, inner = names.index("g"), names.index("inner")
    for g in (0, 7):
        exact = grid_moments(fit, g, inner=False)
        found = [own[outer][g, 0] for own in (moments.mean, moments.third, moments.fourth)]
        assert found == pytest.approx([exact[0], exact[2], exact[3]], rel=1e-6, abs=1e-10)
        assert moments.covariance[outer][g, 0, 0] == pytest.approx(exact[1], rel=1e-7)
        exact = grid_moments(fit, g, inner=True)
        unit = int(np.unique(DATA["inner"][DATA["g"] == g])[0])
        assert moments.mean[inner][unit, 0] == pytest.approx(exact[0], rel=1e-6)
        assert moments.covariance[inner][unit, 0, 0] == pytest.approx(exact[1], rel=1e-7)


@pytest.mark.filterwarnings("ignore::multilevel.errors.FitWarning")  # a variance is zero
def test_moments_of_a_linear_model_are_its_modes() -> None:
    fit = ml.fit("y ~ x + (1 + x | g) + (1 | other)", DATA).fit
    moments = posterior_moments(fit)
    for f in range(2):
        assert moments.mean[f] == pytest.approx(fit.modes[f], abs=1e-8)
        assert moments.covariance[f] == pytest.approx(fit.mode_cov[f], rel=1e-7, abs=1e-10)


def test_several_predictors_have_moments_too() -> None:
    fit = ml.fit("y ~ x + (1 | g)", DATA, dispersion="~ 1 + (1 | g)", n_quadrature=15).fit
    moments = posterior_moments(fit, 25)
    assert moments.mean[0] == pytest.approx(fit.modes[0], abs=0.2)
    assert np.isfinite(moments.third[0]).all()


def test_a_fit_without_estimates_is_refused() -> None:
    data = pd.DataFrame(
        {"y": [1.0, 2.0, 3.0, 4.0, 1.0, 2.0], "x": [1.0, 2.0, 3.0, 4.0, 1.0, 2.0], "g": [0, 0, 1, 1, 2, 2]}
    )
    with pytest.warns(ml.errors.FitWarning):
        results = ml.fit("y ~ x + (1 | g)", data)
    with pytest.raises(DataError, match="no estimates"):
        contributions(results.fit)


# ---- every family and link, at parameters that are nobody's estimates


@pytest.mark.parametrize(("family", "link"), PAIRS, ids=lambda pair: str(pair))
@pytest.mark.parametrize("points", [1, 3])
def test_every_family_part_by_part(family: str, link: str, points: int) -> None:
    """Whole data against two of their parts by themselves, with the same columns."""
    case, start = CASES_OF[family], CASES_OF[family].starts[link]
    random = np.random.default_rng(11)
    m, size = 6, 8
    codes = np.repeat(np.arange(m, dtype=np.int32), size)
    x = random.normal(size=m * size)
    trials = np.full(m * size, 8.0 if case.trials else 1.0)
    eta = start.intercept + start.scale * 0.3 * (x + random.normal(size=m)[codes])
    y = case.draw(random, mean_of(family, link, eta), trials, case.phi[0])
    psi = np.array([start.intercept, 0.2 * start.scale, 0.4 * start.scale, *case.phi[0]])

    def model(rows: np.ndarray) -> tuple[_core.Model, np.ndarray]:
        levels, own = np.unique(codes[rows], return_inverse=True)
        second = trials[rows] if case.trials else None
        return _core.Model(
            family,
            link,
            int(rows.sum()),
            second,
            None,
            None,
            [None, x[rows]],
            [own.astype(np.int32)],
            [len(levels)],
            [(0, [None], "unstructured")],
            1,
        ), np.ascontiguousarray(y[rows])

    whole = _core.contributions(*model(np.ones(len(y), dtype=bool)), psi, points, True, threads=1)
    assert whole.good
    assert np.isfinite(whole.mean[0]).all()
    assert (whole.covariance[0] > 0).all()
    for chosen in ([0, 1], [3, 5]):
        value, gradient, _ = _core.evaluate(*model(np.isin(codes, chosen)), psi, points, 1)
        parts = [whole.level_part[level] for level in chosen]
        assert whole.loglik[parts].sum() == pytest.approx(value, rel=1e-10, abs=1e-10)
        scale = np.abs(whole.gradient[parts]).max()
        assert whole.gradient[parts].sum(axis=0) == pytest.approx(gradient, rel=1e-7, abs=1e-7 * scale)
