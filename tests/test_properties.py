"""What must hold for any data: invariances, weights and shapes of responses, the contract of the optimizer."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

import multilevel as ml
from multilevel import _core

from .family_cases import CASES, FAMILIES, QUICK

Array = NDArray[np.float64]
FEW = settings(max_examples=6, deadline=None, derandomize=True)

pytestmark = pytest.mark.filterwarnings("ignore::multilevel.QuadratureWarning")


def simulate(
    seed: int,
    family: str,
    *,
    groups: int = 30,
    per_group: int = 8,
    sd: float = 0.7,
    sd_x: float = 0.4,
    noise: float = 0.8,
) -> pd.DataFrame:
    """Rows with a covariate `x`, a grouping column `g` of text, trials `n` and a response `y`."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), per_group)
    rows = len(g)
    x = rng.normal(size=rows)
    u, v = rng.normal(size=(2, groups)) * [[sd], [sd_x]]
    eta = 0.2 + 0.5 * x + u[g] + v[g] * x
    n = rng.integers(1, 6, rows)
    default = ml.Family(family)
    phi = (np.log(noise),) if default.has_residual else CASES[family].phi[0]
    y = CASES[family].draw(rng, default.mean(eta), n, phi)
    return pd.DataFrame({"g": [f"g{i:03d}" for i in g], "x": x, "n": n, "y": y})


FORMULA = {family: "cbind(y, n - y)" if CASES[family].trials else "y" for family in FAMILIES}


def fit(data: pd.DataFrame, family: str, right: str, **options: object) -> ml.MixedModelResults:
    """`right` is the right-hand side of the formula."""
    with warnings.catch_warnings():
        if family == "geometric":  # whose spread hides a random slope
            warnings.simplefilter("ignore", ml.SingularFitWarning)
        return ml.fit(f"{FORMULA[family]} ~ {right}", data, family, **options)


def assert_same_fit(a: ml.MixedModelResults, b: ml.MixedModelResults, se: float = 1e-6) -> None:
    """The same maximum: log-likelihood, estimates within `se` standard errors, standard errors."""
    assert a.converged
    assert b.converged
    assert a.llf == pytest.approx(b.llf, rel=1e-11, abs=1e-8)
    assert np.abs((a.params.to_numpy() - b.params.to_numpy()) / a.bse.to_numpy()).max() < se
    np.testing.assert_allclose(a.bse, b.bse, rtol=se)
    for group in a.random_cov:
        np.testing.assert_allclose(a.random_cov[group], b.random_cov[group], rtol=se, atol=se * 0.01)


# ---- invariances ----


@pytest.mark.parametrize("family", QUICK)
@pytest.mark.parametrize(("seed", "points"), [(1, 1), (2, 4)])
def test_row_order_and_level_names_do_not_matter(family: str, seed: int, points: int) -> None:
    data = simulate(11, family, groups=60)
    base = fit(data, family, "x + (1 + x | g)", n_quadrature=points)
    rng = np.random.default_rng(seed)
    labels = sorted(set(data["g"]))
    renamed = dict(zip(labels, (f"name {k}" for k in rng.permutation(len(labels))), strict=True))
    shuffled = data.assign(g=data["g"].map(renamed)).iloc[rng.permutation(len(data))]
    other = fit(shuffled, family, "x + (1 + x | g)", n_quadrature=points)
    assert_same_fit(base, other)
    modes = base.random_effects().set_index(["level", "term"])["mode"]
    moved = other.random_effects().set_index(["level", "term"])["mode"]
    for label in labels[:5]:
        assert modes[label, "x"] == pytest.approx(moved[renamed[label], "x"], abs=1e-6)


@cache
def unscaled(family: str) -> tuple[pd.DataFrame, ml.MixedModelResults]:
    data = simulate(12, family)
    return data, fit(data, family, "x + (1 + x | g)")


@pytest.mark.parametrize("family", QUICK)
@pytest.mark.parametrize("power", [-8, -3, 5, 8])
def test_rescaled_covariates(family: str, power: int) -> None:
    data, base = unscaled(family)
    scale = 10.0**power
    other = fit(data.assign(x=data["x"] * scale), family, "x + (1 + x | g)")
    assert other.converged
    shift = -np.log(scale) if base.method == "reml" else 0.0  # the criterion has log |X'V^-1 X|
    assert other.llf == pytest.approx(base.llf + shift, abs=1e-8)
    np.testing.assert_allclose(other.params.to_numpy() * [1, scale], base.params, rtol=1e-6)
    np.testing.assert_allclose(other.bse.to_numpy() * [1, scale], base.bse, rtol=1e-6)
    unit = np.array([1, scale])
    cov = other.random_cov["g"].to_numpy() * np.outer(unit, unit)
    np.testing.assert_allclose(cov, base.random_cov["g"], rtol=1e-5, atol=1e-7)
    # Columns are scaled by powers of two inside, so that the path may differ a little.
    assert abs(other.optimization.n_evaluations - base.optimization.n_evaluations) <= 2


@cache
def unshifted(family: str) -> tuple[pd.DataFrame, ml.MixedModelResults]:
    data = simulate(13, family)
    return data, fit(data, family, "x + (1 | g)")


@pytest.mark.parametrize("family", QUICK)
@FEW
@given(shift=st.floats(-1e4, 1e4))
def test_shifted_covariates(family: str, shift: float) -> None:
    data, base = unshifted(family)
    other = fit(data.assign(x=data["x"] + shift), family, "x + (1 | g)")
    assert other.converged
    assert other.llf == pytest.approx(base.llf, abs=1e-7)
    assert other.params["x"] == pytest.approx(base.params["x"], abs=1e-5 * base.bse["x"])
    assert other.bse["x"] == pytest.approx(base.bse["x"], rel=1e-5)
    assert other.params["(Intercept)"] + shift * other.params["x"] == pytest.approx(
        base.params["(Intercept)"], abs=1e-6
    )


@pytest.mark.parametrize("family", QUICK)
def test_shifted_covariate_with_a_random_slope(family: str) -> None:
    # With intercept and slope both random and correlated, a shift is a change of coordinates.
    data = simulate(14, family, groups=60, sd_x=0.7)
    base = fit(data, family, "x + (1 + x | g)")
    other = fit(data.assign(x=data["x"] + 5), family, "x + (1 + x | g)")
    assert other.converged
    assert other.llf == pytest.approx(base.llf, abs=1e-8)
    assert other.random_cov["g"].loc["x", "x"] == pytest.approx(base.random_cov["g"].loc["x", "x"], rel=1e-5)


def test_threads_give_the_same_bits() -> None:
    data = simulate(15, "binomial", groups=3000, per_group=50)
    data["y"] = (data["y"] > 0).astype(float)
    model = ml.MixedModel("y ~ x + (1 | g)", data, "binomial")
    for points in (1, 5):
        one, two, three = (model.fit(n_quadrature=points, threads=k) for k in (1, 2, 3))
        for other in (two, three):
            assert other.llf == one.llf
            assert np.array_equal(other.fit.psi, one.fit.psi)
            assert np.array_equal(other.bse, one.bse)
            assert np.array_equal(other.fit.modes, one.fit.modes)
            assert np.array_equal(other.fit.hessian, one.fit.hessian)


# ---- weights and shapes of the response ----


@pytest.mark.parametrize("family", [family for family in QUICK if not CASES[family].precision_weights])
@pytest.mark.parametrize("right", ["x", "x + (1 | g)", "x + (1 + x | g)"])
def test_an_integer_weight_is_that_many_rows(family: str, right: str) -> None:
    data = simulate(16, family)
    if family == "binomial":
        data["y"] = (data["y"] > 0).astype(float)
    data["w"] = np.random.default_rng(1).integers(0, 4, len(data))
    left = "y" if family == "binomial" else FORMULA[family]
    weighted = ml.fit(f"{left} ~ {right}", data, family, weights="w")
    repeated = ml.fit(f"{left} ~ {right}", data.loc[data.index.repeat(data["w"])], family)
    assert_same_fit(weighted, repeated)


def test_gaussian_weights_are_precisions() -> None:
    # Two rows of one cluster with the same covariate tell of the mean what their average tells with weight two.
    data = simulate(17, "gaussian")
    twin = data.assign(y=data["y"] + 0.3)
    both = fit(pd.concat([data, twin]), "gaussian", "x + (1 | g)")
    assert both.converged
    mean = data.assign(y=data["y"] + 0.15, w=2.0)
    x = fit(mean, "gaussian", "x + (1 | g)", weights="w")
    y = fit(mean.assign(y=mean["y"]), "gaussian", "x + (1 | g)")
    # A common weight rescales sigma alone.
    assert x.family_params["sigma"] == pytest.approx(np.sqrt(2) * y.family_params["sigma"], rel=1e-7)
    np.testing.assert_allclose(x.params, y.params, rtol=1e-7)
    assert x.llf == pytest.approx(y.llf, abs=1e-8)


@pytest.mark.parametrize("points", [1, 7])
def test_shapes_of_a_binomial_response(points: int) -> None:
    data = simulate(18, "binomial")
    data["p"] = data["y"] / data["n"]
    pair = ml.fit("cbind(y, n - y) ~ x + (1 | g)", data, "binomial", n_quadrature=points)
    proportion = ml.fit("p ~ x + (1 | g)", data, "binomial", weights="n", n_quadrature=points)
    assert_same_fit(pair, proportion)
    rows = data.loc[data.index.repeat(data["n"])].reset_index(drop=True)
    within = rows.groupby(data.index.repeat(data["n"])).cumcount()
    rows["s"] = (within < rows["y"]).astype(int)
    single = ml.fit("s ~ x + (1 | g)", rows, "binomial", n_quadrature=points)
    constant = np.log(special.comb(data["n"], data["y"])).sum()
    assert single.llf + constant == pytest.approx(pair.llf, abs=1e-9)
    np.testing.assert_allclose(single.params, pair.params, rtol=0, atol=1e-7)
    np.testing.assert_allclose(single.bse, pair.bse, rtol=1e-6)


@pytest.mark.parametrize("family", QUICK)
def test_terms_on_one_factor_are_independent_effects(family: str) -> None:
    data = simulate(19, family, groups=60)
    bars = fit(data, family, "x + (1 + x || g)")
    terms = fit(data, family, "x + (1 | g) + (0 + x | g)")
    assert_same_fit(bars, terms)
    assert bars.df_model == terms.df_model == 4 + len(ml.Family(family).parameters)


def test_missing_and_unused_rows_are_left_out() -> None:
    data = simulate(20, "poisson")
    holes = data.copy()
    holes.loc[[3, 50], "x"] = np.nan
    kept = data.drop(index=[3, 50])
    assert fit(holes, "poisson", "x + (1 | g)").llf == fit(kept, "poisson", "x + (1 | g)").llf


# ---- the optimizer's contract ----


@pytest.mark.parametrize("family", QUICK)
@pytest.mark.parametrize("points", [1, 5])
def test_start_at_the_optimum(family: str, points: int) -> None:
    model = ml.MixedModel(f"{FORMULA[family]} ~ x + (1 + x | g)", simulate(21, family, groups=40, sd_x=0.7), family)
    first = model.fit(n_quadrature=points)
    again = model.fit(n_quadrature=points, start=first.fit.psi)
    assert_same_fit(first, again)
    assert again.optimization.n_iterations == 0
    assert again.optimization.n_evaluations <= 2


@pytest.mark.filterwarnings("ignore::multilevel.SingularFitWarning")
@pytest.mark.parametrize("family", QUICK)
def test_refit_is_a_new_fit(family: str) -> None:
    data = simulate(22, family)
    y = data["y"].to_numpy()[::-1].copy()
    if CASES[family].trials:
        y = np.minimum(y, data["n"])
    model = ml.MixedModel(f"{FORMULA[family]} ~ x + (1 | g)", data, family)
    model.fit()
    with_new_response = model.refit(y)
    new = fit(data.assign(y=y), family, "x + (1 | g)")
    assert with_new_response.llf == new.llf
    assert np.array_equal(with_new_response.fit.psi, new.fit.psi)
    assert np.array_equal(with_new_response.bse, new.bse)


@pytest.mark.parametrize(("family", "right"), [("binomial", "x + (1 | g)"), ("poisson", "x + (1 | g)")])
def test_automatic_points(family: str, right: str) -> None:
    data = simulate(23, family, per_group=4, sd=1.5, sd_x=0.0)
    if family == "binomial":
        data["n"] = 1
        data["y"] = (data["y"] > 0).astype(float)
    automatic = fit(data, family, right, n_quadrature="auto")
    fine = fit(data, family, right, n_quadrature=51)
    assert automatic.fit.n_quadrature < 51
    # All parameters, those of the covariance matrix included.
    se = np.sqrt(np.diag(fine.fit.covariance))
    assert np.abs((automatic.fit.psi - fine.fit.psi) / se).max() < 1e-3
    table = automatic.fit.quadrature_table
    assert [row[0] for row in table] == sorted(row[0] for row in table)
    assert table[-1][0] == automatic.fit.n_quadrature
    assert table[-1][2] < 1e-3 <= table[0][2]


def test_quadrature_check_predicts_the_move() -> None:
    data = simulate(24, "binomial", per_group=6, sd=1.2, sd_x=0.0)
    laplace_fit = fit(data, "binomial", "x + (1 | g)")
    fine = fit(data, "binomial", "x + (1 | g)", n_quadrature=25)
    check = laplace_fit.certificate.quadrature
    assert check is not None
    moved = (fine.fit.psi - laplace_fit.fit.psi) / np.sqrt(np.diag(laplace_fit.fit.covariance))
    assert check.largest_shift == pytest.approx(np.abs(moved).max(), rel=0.3)
    value = _core.evaluate(laplace_fit.fit.model_core, data["y"].to_numpy(), laplace_fit.fit.psi, check.n_points, 1)[0]
    assert check.change_deviance == pytest.approx(-2 * (value - laplace_fit.llf), abs=1e-9)


@pytest.mark.parametrize("family", QUICK)
def test_certificate(family: str) -> None:
    results = fit(simulate(25, family, groups=60), family, "x + (1 | g)")
    record = results.fit
    assert 0 <= results.certificate.predicted_gain < 1e-9
    assert results.certificate.eigenvalues.min() > 0
    step = np.linalg.solve(-record.hessian, record.gradient)
    assert 0.5 * record.gradient @ step < 1e-9
    np.testing.assert_allclose(record.covariance, np.linalg.inv(-record.hessian), rtol=1e-6)


def test_both_builds_agree() -> None:
    built = [name for name in ("base", "v3") if importlib.util.find_spec(f"multilevel._core_{name}") is not None]
    if built != ["base", "v3"]:
        pytest.skip("only one build of the core is installed")
    code = """
import json, numpy as np, multilevel as ml
from multilevel import _core
d = ml.datasets.cbpp()
out = {"build": _core.SIMD}
for link in ("logit", "probit", "cloglog", "cauchit"):
    for points in (1, 9):
        formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        r = ml.fit(formula, d, "binomial", link=link, n_quadrature=points)
        out[f"{link} {points}"] = [r.llf, *map(float, r.fit.psi), *map(float, r.bse)]
r = ml.fit("Reaction ~ Days + (Days | Subject)", ml.datasets.sleepstudy())
out["sleepstudy"] = [r.llf, *map(float, r.fit.psi), *map(float, r.bse)]
print(json.dumps(out))
"""
    found = []
    for build in built:
        environment = {**os.environ, "MULTILEVEL_SIMD": build, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        run = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        if "this processor lacks it" in run.stderr:
            pytest.skip("this processor runs one build only")
        assert run.returncode == 0, run.stderr
        found.append(json.loads(run.stdout))
    base, v3 = found
    assert (base.pop("build"), v3.pop("build")) == ("base", "v3")
    for key, values in base.items():
        np.testing.assert_allclose(v3[key], values, rtol=1e-10, err_msg=key)
