"""Fits without single rows in one step: against lme4's fits without them, and against the definition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel import _core
from multilevel.checks import rows_of_joint, rows_of_linear, rows_of_parts, stencil
from multilevel.checks.left_out import LeftOut
from multilevel.checks.rows_of_parts import copied_rows, outermost
from multilevel.fitting.core_model import build_core, core_response
from multilevel.fitting.refit import of_rows

pytestmark = pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
REFERENCE = json.loads((Path(__file__).parent / "reference" / "influence_rows.json").read_text(encoding="utf-8"))
HERDS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"x": rng.normal(size=96), "g": np.repeat(np.arange(8), 12)})
    frame["h"], frame["c"] = np.arange(96) // 4, np.arange(96) % 6
    eta = 0.4 + 0.3 * frame["x"] + 0.5 * rng.normal(size=8)[frame["g"]] + 0.4 * rng.normal(size=6)[frame["c"]]
    frame["y"], frame["w"] = rng.poisson(np.exp(eta)), 1.0 + np.arange(96) % 3
    frame["z"] = eta + rng.normal(size=96)
    return frame.assign(o=np.searchsorted([0.0, 1.0], frame["z"]))


@pytest.mark.parametrize(
    ("name", "formula", "family", "near"),
    [
        # errors of the changes: of the coefficients in standard errors of them, of the variances relative to these
        ("sleepstudy", "Reaction ~ Days + (Days | Subject)", "gaussian", (4e-4, 0.03)),
        ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", "gaussian", (2e-6, 6e-4)),
        ("cbpp", HERDS, "binomial", (0.05, 0.09)),
    ],
)
def test_near_fits_by_lme4(name: str, formula: str, family: str, near: tuple[float, float]) -> None:
    results = ml.fit(formula, getattr(ml.datasets, name)(), family)
    found = results.influence()
    assert not found.exact
    assert (found.notes == "").all()
    expected = REFERENCE[name]
    whole, scale = expected["whole"], np.array(expected["whole"]["std_error"])
    for row, without in zip(expected["rows"], expected["without"], strict=True):
        change = np.subtract(whole["beta"], without["beta"])
        np.testing.assert_allclose(found.dfbeta.iloc[row] / scale, change / scale, atol=near[0])
        of_variances = np.subtract(whole["variances"], without["variances"]) / whole["variances"]
        np.testing.assert_allclose(found.variance_change.iloc[row] / whole["variances"], of_variances, atol=near[1])
        assert found.loglik.iloc[row] < without["loglik"][0] + 1e-6  # at the estimates of the whole


def test_the_most_influential_row_is_the_same() -> None:
    results = ml.fit(HERDS, ml.datasets.cbpp(), "binomial")
    step, exact = results.influence(), results.influence(exact=True)
    assert step.cooks_distance.idxmax() == exact.cooks_distance.idxmax()
    assert np.corrcoef(step.cooks_distance, exact.cooks_distance)[0, 1] > 0.99
    assert "Without each row (one step)" in str(step)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("z ~ x + (1 | g)", {"method": "ml", "weights": "w"}),
        ("z ~ x + (1 | g/h)", {}),
        ("z ~ x + offset(0.1 * x) + (x | g) + (1 | c)", {}),
        ("z ~ x + homcs(0 + half | g)", {}),
    ],
)
def test_linear_models_near_refits(counts: pd.DataFrame, formula: str, options: dict[str, Any]) -> None:
    """Their closed form is exact given the relative variances, so that coefficients are nearly those of the fits."""
    counts = counts.assign(half=pd.Categorical(np.where(counts["c"] < 3, "a", "b")))
    results = ml.fit(formula, counts, **options)
    step, errors = results.influence(), np.sqrt(np.diag(results.cov_params()))
    for row in (0, 47, 60):
        other = ml.fit(formula, counts.drop(index=row), **options)
        np.testing.assert_allclose(step.dfbeta.loc[row] / errors, (results.params - other.params) / errors, atol=5e-3)
        exact = results.residual_sd**2 - other.residual_sd**2
        assert step.variance_change["Residual"][row] == pytest.approx(exact, abs=6e-3)


def test_a_linear_model_without_a_row_by_definition(counts: pd.DataFrame) -> None:
    """The log-likelihood, coefficients and scale given theta, with V of the other rows in full."""
    results = ml.fit("z ~ x + (x | g) + (1 | c)", counts, weights="w")
    fit, x = results.fit, np.column_stack([np.ones(96), counts["x"]])
    z, d = x.copy(), np.equal.outer(counts["g"].to_numpy(), counts["g"].to_numpy())
    crossed = np.equal.outer(counts["c"].to_numpy(), counts["c"].to_numpy())
    cov = fit.random_cov
    v = d * (z @ cov[0] @ z.T) + crossed * cov[1][0, 0] + np.diag(fit.sigma**2 / counts["w"])
    columns, residual = rows_of_linear._fixed_part(fit)
    np.testing.assert_array_equal(columns, x)
    found = rows_of_linear._at(fit, columns, residual, np.concatenate(fit.theta_values))
    for k in (0, 40, 95):
        rest = np.arange(96) != k
        own, inverse = x[rest], np.linalg.inv(v[np.ix_(rest, rest)])
        cross = own.T @ inverse @ own
        beta = np.linalg.solve(cross, own.T @ inverse @ counts["z"][rest])
        left = counts["z"].to_numpy()[rest] - own @ beta
        np.testing.assert_allclose(fit.beta + found.beta[k], beta, rtol=1e-9)
        squares = left @ inverse @ left
        assert found.squares[k] == pytest.approx(squares, rel=1e-9)
        log_det = np.linalg.slogdet(v[np.ix_(rest, rest)])[1] + np.linalg.slogdet(cross)[1]
        assert found.others[k] == pytest.approx(log_det, rel=1e-9)
        assert found.given[k] == pytest.approx(-0.5 * (93 * np.log(2 * np.pi) + log_det + squares), rel=1e-9)
        np.testing.assert_allclose(np.exp(2 * found.log_errors[k]), np.diag(np.linalg.inv(cross)), rtol=1e-9)


def test_least_squares_is_exact(counts: pd.DataFrame) -> None:
    results = ml.fit("z ~ x", counts, weights="w")
    found, exact = results.influence(), results.influence(exact=True)
    assert found.exact
    for name in ("dfbeta", "dfbetas", "cooks_distance", "variance_change", "loglik"):
        np.testing.assert_allclose(getattr(found, name), getattr(exact, name), rtol=1e-7, atol=1e-10)


def test_a_variance_of_zero_stays(counts: pd.DataFrame) -> None:
    results = ml.fit("z ~ x + (1 | g)", counts.assign(z=np.tile([0.0, 1.0, 2.0, 1.0], 24) + counts["x"]))
    assert results.singular
    found = results.influence()
    assert (found.variance_change["g: (Intercept)"] == 0).all()
    assert np.isfinite(found.dfbetas).all().all()


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ x + (x | g)", {"family": "poisson", "weights": "w"}),
        ("y ~ x + (1 | g/h)", {"family": "poisson", "n_quadrature": 5}),
        ("o ~ x + (1 | g)", {"family": "cumulative"}),
        ("z ~ x + (1 | g)", {"method": "ml", "dispersion": "~ x"}),
        ("y ~ x", {"family": "negative_binomial"}),
    ],
)
def test_parts_are_the_step_by_definition(counts: pd.DataFrame, formula: str, options: dict[str, Any]) -> None:
    """Gradient and Hessian are those of the data without the row."""
    fit = ml.fit(formula, counts, **options).fit
    at = outermost(fit.design)
    assert at is not None
    assert copied_rows(fit.design, at) == (0 if at < 0 else 8 * 12 * 11)
    found = rows_of_parts.without_rows(fit, at)
    _same_as_evaluated(fit, found, beta=1e-6, loglik=1e-9)


def _same_as_evaluated(fit: Any, found: LeftOut, beta: float, loglik: float) -> None:
    free = np.isfinite(np.diag(fit.covariance))
    sd = np.sqrt(np.diag(fit.beta_covariance))
    for k in (0, 11, 50):
        design = of_rows(fit.design, np.delete(np.arange(fit.n_rows), k))
        core = build_core(design, fit.family)
        value, gradient, hessian = _core.evaluate(core, core_response(design), fit.psi, fit.n_quadrature)
        psi = fit.psi.copy()
        psi[free] -= np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        np.testing.assert_allclose(found.beta[k] / sd, psi[: len(sd)] / sd, atol=beta)
        assert found.loglik[k] == pytest.approx(value, abs=loglik)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ x + (1 | g) + (1 | c)", {"family": "poisson", "weights": "w"}),
        ("y ~ x + (x | g) + (1 | c)", {"family": "negative_binomial"}),
        ("o ~ x + (1 | g) + (1 | c)", {"family": "cumulative"}),
    ],
)
def test_crossed_factors_are_near_the_definition(counts: pd.DataFrame, formula: str, options: dict[str, Any]) -> None:
    fit = ml.fit(formula, counts, **options).fit
    assert outermost(fit.design) is None
    # changes are up to 0.3 standard errors; what is neglected is of the second order in one row
    _same_as_evaluated(fit, rows_of_joint.without_rows(fit), beta=6e-3, loglik=0.02)


def test_a_part_too_large_to_be_copied(counts: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    results = ml.fit("y ~ x + (1 | g)", counts, "poisson")
    own = results.influence()
    monkeypatch.setattr("multilevel.checks.influence.MOST_COPIES", 1)
    np.testing.assert_allclose(results.influence().dfbetas, own.dfbetas, atol=0.02)
    monkeypatch.undo()
    monkeypatch.setattr(rows_of_parts, "AT_ONCE", 100)  # several rounds
    np.testing.assert_allclose(results.influence().dfbetas, own.dfbetas, atol=1e-7)


@pytest.mark.parametrize(("response", "family"), [("z", "gaussian"), ("y", "poisson")])
def test_a_row_that_alone_determines_a_coefficient(counts: pd.DataFrame, response: str, family: str) -> None:
    frame = counts.assign(f=pd.Categorical(np.where(np.arange(96) == 3, "b", "a")))
    found = ml.fit(f"{response} ~ x + f + (1 | g)", frame, family).influence()
    assert np.isnan(found.cooks_distance[3])
    assert "do not determine" in found.notes[3]
    assert found.cooks_distance.drop(3).notna().all()


def test_groups_of_one_row(counts: pd.DataFrame) -> None:
    results = ml.fit("y ~ x + (1 | k)", counts.assign(k=np.minimum(np.arange(96), 60)), "poisson")
    step, exact = results.influence(), results.influence(exact=True)
    np.testing.assert_allclose(step.dfbetas, exact.dfbetas, atol=0.05)


def test_taylor_is_exact_for_a_quadratic() -> None:
    rng = np.random.default_rng(2)
    half, slope, steps = rng.normal(size=(3, 3)), rng.normal(size=3), np.array([0.1, 0.02, 0.5])

    def value(at: np.ndarray) -> float:
        return float(1.0 + slope @ at + at @ half @ half.T @ at)

    values = np.array([[value(at)] for at in stencil.points(steps)])
    gradient, hessian = stencil.derivatives(values, steps)
    np.testing.assert_allclose(gradient[0], slope, atol=1e-10)
    np.testing.assert_allclose(hessian[0], 2 * half @ half.T, atol=1e-9)
    change = np.array([[1.0, -2.0, 0.5]])
    assert stencil.taylor(values, steps, change)[0] == pytest.approx(value(change[0]), rel=1e-9)
