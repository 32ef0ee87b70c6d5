"""Degrees of freedom: against lmerTest, pbkrtest and nlme, and against dense matrices of the order of the data."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.fitting.record import Fit
from multilevel.inference.degrees_of_freedom import random_cross_products
from multilevel.inference.degrees_of_freedom.kenward_roger import _adjustment, adjustment
from multilevel.inference.degrees_of_freedom.methods import (
    METHODS,
    adjusted_covariance,
    default_method,
    degrees_of_freedom,
    denominator_df,
)
from multilevel.inference.degrees_of_freedom.variance_directions import linear_directions

from .small_samples import REFERENCE, fitted, read, refitted

FITS = REFERENCE["fits"]
KENWARD_ROGER = [key for key, fit in FITS.items() if "kenward_roger" in fit]
SATTERTHWAITE = 1e-5  # relative: lmerTest differences the deviance numerically


# ---- against other programs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", FITS)
def test_satterthwaite_as_lmer_test(key: str) -> None:
    fit = refitted(key).fit
    np.testing.assert_allclose(fit.loglik, FITS[key]["loglik"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(degrees_of_freedom(fit, "satterthwaite"), FITS[key]["satterthwaite"], rtol=SATTERTHWAITE)


@pytest.mark.parametrize("key", KENWARD_ROGER)
def test_kenward_roger_as_pbkrtest(key: str) -> None:
    fit, reference = refitted(key).fit, FITS[key]
    np.testing.assert_allclose(degrees_of_freedom(fit, "kenward-roger"), reference["kenward_roger"], rtol=1e-6)
    covariance = np.array(reference["vcov_kenward_roger"])
    sd = np.sqrt(np.diag(covariance))
    assert np.abs((adjusted_covariance(fit) - covariance) / np.outer(sd, sd)).max() < 1e-5
    np.testing.assert_allclose(np.sqrt(np.diag(adjusted_covariance(fit))), reference["se_kenward_roger"], rtol=1e-6)
    table = refitted(key).cov_params(df_method="kenward-roger")
    assert list(table.index) == list(table.columns) == list(fit.fixed_names)
    np.testing.assert_array_equal(table, adjusted_covariance(fit))
    np.testing.assert_array_equal(refitted(key).cov_params(df_method="satterthwaite"), fit.beta_covariance)


@pytest.mark.parametrize("key", REFERENCE["containment"])
def test_containment_as_nlme(key: str) -> None:
    reference = REFERENCE["containment"][key]
    fit = fitted(reference["dataset"], reference["formula"]).fit
    wanted = np.array(reference["df"], dtype=float)
    if key.endswith("without intercept"):  # nlme counts one too many in all strata but the outermost
        outermost = np.array([name.startswith("public") and ":" not in name for name in reference["names"]])
        wanted -= ~outermost
    np.testing.assert_array_equal(degrees_of_freedom(fit, "containment"), wanted)


def test_high_school_and_beyond() -> None:
    fit = refitted("hsb slope").fit
    assert degrees_of_freedom(fit, "containment").tolist() == [7022, 157, 7022, 157, 7022, 7022]
    assert degrees_of_freedom(fit, "residual").tolist() == [7179] * 6
    np.testing.assert_allclose(
        degrees_of_freedom(fit, "satterthwaite"), FITS["hsb slope"]["satterthwaite"], rtol=0, atol=1e-3
    )
    np.testing.assert_allclose(
        degrees_of_freedom(fit, "kenward-roger"), FITS["hsb slope"]["kenward_roger"], rtol=0, atol=1e-3
    )


# ---- against dense matrices --------------------------------------------------------------------------------------


def dense(fit: Fit) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """X, the Z of each term (n, levels, q) and the covariance of the residuals without sigma^2."""
    design, n = fit.design, fit.n_rows
    named = {column.name: column.values for column in design.fixed}
    x = np.column_stack([np.ones(n) if named[k] is None else named[k] for k in fit.fixed_names]).astype(float)
    z = []
    for term in design.random_terms:
        factor = design.grouping_factors[term.grouping_factor]
        one = np.zeros((n, len(factor.levels), len(term.names)))
        for k, column in enumerate(term.columns):
            one[np.arange(n), factor.codes, k] = 1.0 if column is None else column
        z.append(one)
    return x, z, np.eye(n) if design.weights is None else np.diag(1.0 / design.weights)


def response_covariance(z: list[np.ndarray], change: list[np.ndarray]) -> np.ndarray:
    """Sum over terms of Z (I x change) Z'."""
    return sum(np.einsum("nla,ab,mlb->nm", one, c, one, optimize=True) for one, c in zip(z, change, strict=True))


def root_of(structure: str, theta: np.ndarray, q: int) -> np.ndarray:
    """The lower factor of a term's covariance."""
    if structure not in ("unstructured", "diagonal"):
        from multilevel.fitting.covariance import factor

        return factor(structure, theta, q)
    root = np.zeros((q, q))
    root[np.diag_indices(q) if structure == "diagonal" else np.triu_indices(q)[::-1]] = theta
    return root


CASES = [
    ("factorial", "y ~ a * b + x + (1 + x | subject)", None),
    ("factorial", "y ~ a + x + (1 | subject) + (0 + x | subject)", "size"),
    ("crossed", "y ~ kind * age + (1 + kind | subject) + (1 | item)", "size"),
    ("nested", "y ~ public * x + size + (1 + x || school) + (1 | class)", None),
    ("nested", "y ~ x + (1 | class) + (1 + x | school)", "size"),
    ("singular", "y ~ x + (1 + x | subject)", None),
]
STRUCTURES = [
    ("nested", "y ~ x + size + homcs(1 + x | school)", None),
    ("nested", "y ~ x + size + cs(1 + x | school) + homdiag(1 + x | class)", None),
    ("crossed", "y ~ age + kind + ar1(0 + kind | subject) + (1 | item)", None),
    ("sleepstudy", "Reaction ~ Days + ar1(0 + Days | Subject)", "w"),
]


def case(dataset: str, formula: str, weights: str | None) -> Fit:
    frame = read(dataset)
    frame["size"] = frame.get("size", 1.0 + np.arange(len(frame)) % 4)
    return ml.fit(formula, frame, weights=weights, method="reml").fit


@pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
@pytest.mark.parametrize("given", CASES + STRUCTURES)
def test_kenward_roger_by_dense_matrices(given: tuple[str, str, str | None]) -> None:
    fit = case(*given)
    x, z, residual = dense(fit)
    zero = [np.zeros_like(s) for s in fit.random_cov]
    changes = []
    for t in range(len(z)):
        for direction in linear_directions(fit, t):
            changes.append(response_covariance(z, [*zero[:t], direction, *zero[t + 1 :]]))
    changes.append(residual)
    v = response_covariance(z, list(fit.random_cov)) + fit.phi["sigma"] ** 2 * residual
    inverse = np.linalg.inv(v)
    phi = np.linalg.inv(x.T @ inverse @ x)
    projector = inverse - inverse @ x @ phi @ x.T @ inverse
    moved = [projector @ g for g in changes]
    w = np.linalg.pinv(0.5 * np.array([[np.sum(a * b.T) for b in moved] for a in moved]), rcond=1e-12, hermitian=True)
    half = [inverse @ g @ inverse @ x for g in changes]
    p = [-x.T @ h for h in half]
    total = sum(w[r, s] * (half[r].T @ v @ half[s] - p[r] @ phi @ p[s]) for r in range(len(p)) for s in range(len(p)))
    np.testing.assert_allclose(fit.beta_covariance, phi, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(adjusted_covariance(fit), phi + 2 * phi @ total @ phi, rtol=1e-6, atol=1e-10)
    slopes = np.array([np.diag(phi @ one @ phi) for one in p])
    df = 2 * np.diag(phi) ** 2 / np.einsum("rk,rs,sk->k", slopes, w, slopes)
    np.testing.assert_allclose(degrees_of_freedom(fit, "kenward-roger"), df, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
@pytest.mark.parametrize("given", CASES + STRUCTURES)
def test_satterthwaite_by_differences_of_dense_matrices(given: tuple[str, str, str | None]) -> None:
    fit = case(*given)
    x, z, residual = dense(fit)
    p = len(fit.beta)

    def variances(parameters: np.ndarray) -> np.ndarray:
        covariances, at = [], 0
        for term, root in zip(fit.design.random_terms, fit.theta, strict=True):
            size = len(fit.theta_values[len(covariances)])
            new = root_of(term.structure, parameters[at : at + size], len(root))
            at += size
            covariances.append(new @ new.T)
        v = response_covariance(z, covariances) + np.exp(2 * parameters[-1]) * residual
        return np.diag(np.linalg.inv(x.T @ np.linalg.solve(v, x)))

    parameters, columns = fit.psi[p:], []
    for k in range(len(parameters)):
        h = 1e-4 * max(1.0, abs(parameters[k]))
        step = h * np.eye(len(parameters))[k]
        d1 = (variances(parameters + step) - variances(parameters - step)) / (2 * h)
        d2 = (variances(parameters + 2 * step) - variances(parameters - 2 * step)) / (4 * h)
        columns.append((4 * d1 - d2) / 3)
    gradient = np.column_stack(columns)
    known = np.isfinite(np.diag(fit.covariance)[p:])
    a = fit.covariance[p:, p:][np.ix_(known, known)]
    df = 2 * variances(parameters) ** 2 / np.einsum("kr,rs,ks->k", gradient[:, known], a, gradient[:, known])
    np.testing.assert_allclose(degrees_of_freedom(fit, "satterthwaite"), df, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
def test_one_factor_as_several(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = case("factorial", "y ~ a + x + (1 + x | subject)", "size")
    by_level = adjustment(fit)
    monkeypatch.setattr("multilevel.inference.degrees_of_freedom.kenward_roger.parts", random_cross_products._connected)
    connected = _adjustment(fit)
    monkeypatch.undo()
    monkeypatch.setattr(random_cross_products, "LEVELS", 5)
    for other in (connected, _adjustment(fit)):
        np.testing.assert_allclose(other.covariance, by_level.covariance, rtol=1e-10)
        np.testing.assert_allclose(other.weight, by_level.weight, rtol=1e-8)


def test_compound_symmetry_of_two_columns_is_unstructured() -> None:
    fit = ml.fit("Reaction ~ Days + cs(1 + Days | Subject)", read("sleepstudy")).fit
    same = refitted("sleepstudy slope").fit
    assert fit.loglik == pytest.approx(same.loglik, abs=1e-7)
    for method in ("satterthwaite", "kenward-roger"):
        np.testing.assert_allclose(degrees_of_freedom(fit, method), degrees_of_freedom(same, method), rtol=1e-4)
        np.testing.assert_allclose(adjusted_covariance(fit, method), adjusted_covariance(same, method), rtol=1e-3)


# ---- what must hold ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["satterthwaite", "kenward-roger"])
def test_contrasts_as_another_origin(method: str) -> None:
    frame = read("sleepstudy")
    frame["late"] = frame["Days"] - 5.0
    moved = ml.fit("Reaction ~ late + (1 + late | Subject)", frame).fit
    fit = refitted("sleepstudy slope").fit
    found = degrees_of_freedom(fit, method, [[1.0, 5.0], [0.0, 1.0]])
    np.testing.assert_allclose(found, degrees_of_freedom(moved, method), rtol=1e-5)
    df, scale, _ = denominator_df(fit, [1.0, 5.0], method)
    assert (df, scale) == (pytest.approx(found[0], rel=1e-9), pytest.approx(1.0, rel=1e-9))


def test_a_balanced_split_plot_has_its_exact_degrees_of_freedom() -> None:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"block": np.repeat(np.arange(12), 4), "within": np.tile(np.arange(4.0), 12)})
    frame["between"] = (frame["block"] % 2).astype(float)
    frame["y"] = 3 * rng.normal(size=12)[frame["block"]] + frame["within"] + rng.normal(size=48)
    fit = ml.fit("y ~ between + within + (1 | block)", frame).fit
    for method in ("satterthwaite", "kenward-roger"):
        df = degrees_of_freedom(fit, method)
        np.testing.assert_allclose(df[1:], [10, 35], rtol=1e-6)
    np.testing.assert_array_equal(degrees_of_freedom(fit, "containment"), [35, 10, 35])
    np.testing.assert_allclose(adjusted_covariance(fit), fit.beta_covariance, rtol=1e-8, atol=1e-12)


def test_several_rows_at_once() -> None:
    fit = refitted("factorial").fit
    rows = np.eye(6)[4:]
    df, scale, covariance = denominator_df(fit, rows, "satterthwaite")
    one, two = degrees_of_freedom(fit, "satterthwaite")[4:]
    assert min(one, two) - 1 < df < max(one, two) + 1
    assert scale == 1.0
    np.testing.assert_array_equal(covariance, fit.beta_covariance)
    # rows that depend on each other are no more than those that do not
    twice = np.vstack([rows, rows[:1] + rows[1:]])
    assert denominator_df(fit, twice, "kenward-roger")[:2] == pytest.approx(
        denominator_df(fit, rows, "kenward-roger")[:2], rel=1e-9
    )


def test_defaults_and_infinity() -> None:
    linear = refitted("sleepstudy slope").fit
    assert default_method(linear) == "satterthwaite"
    assert np.isposinf(degrees_of_freedom(linear, "normal")).all()
    without = ml.fit("Reaction ~ Days", ml.datasets.sleepstudy(), method="ml").fit
    assert default_method(without) == "residual"
    for method in METHODS[:-1]:
        if method != "kenward-roger":
            assert degrees_of_freedom(without, method).tolist() == [178, 178]
    binomial = ml.fit("use ~ age + (1 | district)", ml.datasets.contraception(), family="binomial").fit
    assert default_method(binomial) == "normal"
    assert np.isposinf(degrees_of_freedom(binomial, "normal")).all()
    for method in METHODS[:-1]:
        with pytest.raises(ValueError, match=r"binomial\(logit\), whose tests are asymptotic: use df_method='normal'"):
            degrees_of_freedom(binomial, method)


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = refitted("sleepstudy ml").fit
    with pytest.raises(ml.DataError, match="this fit is by maximum likelihood; refit with method='reml'"):
        degrees_of_freedom(fit, "kenward-roger")
    with pytest.raises(ml.DataError, match="df_method='kr' is not known; there are 'satterthwaite', "):
        degrees_of_freedom(fit, "kr")
    with pytest.raises(ml.DataError, match=r"contrasts have shape \(1, 3\); .* 2 coefficients: \(Intercept\), Days"):
        degrees_of_freedom(fit, "satterthwaite", [1.0, 2.0, 3.0])
    with pytest.raises(ml.DataError, match="not finite in row 1"):
        degrees_of_freedom(fit, "satterthwaite", [[1.0, 2.0], [np.nan, 3.0]])
    crossed = refitted("crossed intercepts").fit
    with pytest.raises(ml.DataError, match="needs nested grouping factors, and 'subject' and 'item' are crossed"):
        degrees_of_freedom(crossed, "containment")
    monkeypatch.setattr(random_cross_products, "MOST_CONNECTED", 10)
    again = ml.fit(str(crossed.design.formula), read("crossed")).fit
    with pytest.raises(ml.DataError, match=r"22 random effects of 'subject', 'item' .* GB and its limit is 10 effects"):
        degrees_of_freedom(again, "kenward-roger")
    assert np.isfinite(degrees_of_freedom(again, "satterthwaite")).all()


# ---- containment as SAS counts it ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        # Singer (1998) J. Educ. Behav. Statist. 23:323-355 prints the first two
        ("mathach ~ 1 + (1 | school)", [159]),
        ("mathach ~ meanses + (1 | school)", [158, 7025]),
        ("mathach ~ cses + (cses | school)", [159, 159]),
    ],
)
def test_containment_as_sas(reference_data: Any, formula: str, wanted: list[int]) -> None:
    fit = ml.fit(formula, reference_data("hsb")).fit
    assert degrees_of_freedom(fit, "containment-sas").tolist() == wanted


@pytest.mark.parametrize("random", ["(1 + x + f | g)", "(1 | g) + (0 + x | g)", "(0 + f | g)"])
def test_containment_as_sas_is_of_ranks(random: str) -> None:
    rng = np.random.default_rng(11)
    g = np.repeat(np.arange(9), [1, 2, 3, 4, 6, 8, 8, 10, 12])
    data = pd.DataFrame({"g": g, "x": rng.normal(size=len(g)), "f": rng.choice(list("abc"), len(g)), "w": g % 4})
    data["y"] = rng.normal(size=len(g)) + rng.normal(size=9)[g] + rng.normal(size=9)[g] * data["x"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = ml.fit(f"y ~ x * f + w + {random}", data)
    levels = np.eye(9)[g]
    indicators = pd.get_dummies(data["f"], dtype=float).to_numpy()[:, 0 if random.startswith("(0") else 1 :]
    columns = {"": np.ones((len(g), 1)), "x": data[["x"]].to_numpy(), "f": indicators}
    parts = {"(1 + x + f | g)": ["", "x", "f"], "(1 | g) + (0 + x | g)": ["", "x"], "(0 + f | g)": ["f"]}[random]
    matrix, added = fit.model.fixed_design.to_numpy(dtype=float), {}
    for part in parts:
        block = np.hstack([levels * column[:, None] for column in columns[part].T])
        wider = np.hstack([matrix, block])
        added[part] = np.linalg.matrix_rank(wider) - np.linalg.matrix_rank(matrix)
        matrix = wider
    left = len(g) - np.linalg.matrix_rank(matrix)
    wanted = [min(added.values()), added.get("x", left), *2 * [added.get("f", left)], left, left, left]
    found = fit.degrees_of_freedom("containment-sas")
    assert list(found.index) == ["(Intercept)", "x", "f[b]", "f[c]", "w", "x:f[b]", "x:f[c]"]
    np.testing.assert_array_equal(found, np.where(np.array(wanted) > 0, wanted, np.nan))


def test_containment_as_sas_needs_one_grouping_factor() -> None:
    fit = ml.fit("strength ~ 1 + (1 | batch/cask)", ml.datasets.pastes())
    with pytest.raises(ml.DataError, match="counts for one grouping factor"):
        fit.degrees_of_freedom("containment-sas")
