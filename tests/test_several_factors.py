"""Crossed, nested and multiple terms, REML and ML, against each other; against R: test_reference_fits.py."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel import _core

from .family_cases import CASES, QUICK_COLUMN, drawn

SCHOOLS = "mathach ~ meanses * cses + sector * cses + (cses | school)"

Read = Callable[[str], Any]


def quietly(*args: Any, **options: Any) -> ml.MixedModelResults:
    """A fit that may have something to say: Laplace where quadrature would move the estimates, a zero variance."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return ml.fit(*args, **options)


def test_schools_as_published(reference_data: Read) -> None:
    results = ml.fit(SCHOOLS, reference_data("hsb"))
    assert -2 * results.llf == pytest.approx(46503.66287, abs=1e-5)
    np.testing.assert_allclose(np.sqrt(np.diag(results.random_cov["school"])), [1.5425883, 0.3181451], rtol=3e-5)
    assert results.vcov_table().query("quantity == 'correlation'")["estimate"].item() == pytest.approx(
        0.390871, abs=1e-4
    )
    assert results.family_params["sigma"] == pytest.approx(6.0597983, rel=1e-6)
    names = ["(Intercept)", "meanses", "cses", "sector[Catholic]", "meanses:cses", "cses:sector[Catholic]"]
    expected = [12.127931, 5.332875, 2.945041, 1.226579, 1.039229, -1.642674]
    np.testing.assert_allclose(results.params[names], expected, atol=3e-5)


# ---- the same model, said otherwise ----


def crossed(seed: int = 1, n: int = 600, family: str = "poisson") -> pd.DataFrame:
    """Rows on two crossed factors and one that nests in the first; some levels have one row."""
    rng = np.random.default_rng(seed)
    g, h = rng.integers(0, 30, n), rng.integers(0, 12, n)
    g[:5] = np.arange(100, 105)
    k = 2 * g + rng.integers(0, 2, n)
    x = rng.normal(size=n)
    u, v, w = rng.normal(0, 0.5, 200), rng.normal(0, 0.4, 12), rng.normal(0, 0.3, 400)
    eta = 0.5 + 0.3 * x + u[g] + v[h] + w[k] + rng.normal(0, 0.3, 200)[g] * x
    phi = (0.0,) if ml.Family(family).has_residual else None
    y = drawn(rng, family, eta, phi=phi)
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "k": k})


TERMS = {
    "crossed": "(1 + x | g) + (1 | h)",
    "nested": "(1 | g) + (1 | k)",
    "both": "(1 | g) + (0 + x | g) + (1 | k) + (1 | h)",
}


@pytest.mark.parametrize("family", QUICK_COLUMN)
@pytest.mark.parametrize("right", TERMS.values(), ids=TERMS)
def test_order_of_rows_and_terms(family: str, right: str) -> None:
    """Rows in another order, terms turned round, levels renamed so that they sort otherwise: all at once."""
    data = crossed(n=300 if ml.Family(family)._core.log_concave else 200, family=family)
    base = quietly(f"y ~ x + {right}", data, family)
    turned = " + ".join(f"({term}" for term in reversed([t.strip(" +") for t in right.split("(")[1:]]))
    frame = data.sample(frac=1, random_state=3).assign(g=lambda d: 1000 - d["g"], k=lambda d: 5 * d["k"])
    other = quietly(f"y ~ x + {turned}", frame, family)
    assert other.converged
    assert other.llf == pytest.approx(base.llf, abs=1e-8)
    np.testing.assert_allclose(other.params, base.params, atol=1e-6)
    np.testing.assert_allclose(other.bse, base.bse, rtol=1e-5)
    for group, covariance in base.random_cov.items():
        names = list(covariance.index)
        np.testing.assert_allclose(other.random_cov[group].loc[names, names], covariance, atol=1e-5)


@pytest.mark.parametrize("family", QUICK_COLUMN)
def test_threads_give_the_same_bits(family: str) -> None:
    # threads share the rows from 20,000 on, which takes other families long
    many = family in ("gaussian", "binomial", "poisson", "gamma", "weibull", "negative_binomial")
    data = crossed(n=21_000 if many else 300, family=family)
    model = ml.MixedModel("y ~ x + (1 + x | g) + (1 | h) + (1 | k)", data, family)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        one, two = model.fit(threads=1), model.fit(threads=2)
    assert one.llf == two.llf
    for name in ("psi", "hessian", "covariance", "beta_covariance", "eta"):
        assert np.array_equal(getattr(one.fit, name), getattr(two.fit, name), equal_nan=True), name
    for name in ("modes", "mode_cov", "projection"):
        assert all(map(np.array_equal, getattr(one.fit, name), getattr(two.fit, name))), name


def test_bits_do_not_depend_on_where_memory_is() -> None:
    """Small products are summed in another order where their result is not aligned; four effects each."""
    rng = np.random.default_rng(5)
    data = crossed(n=300).assign(z=rng.normal(size=300), w=rng.normal(size=300))
    model = ml.MixedModel("y ~ x + (1 + x + z + w | g) + (1 + x + z + w | h)", data, "poisson")
    start = np.concatenate([[0.3, 0.2], rng.uniform(0.1, 0.4, 20)])
    kept, seen = [], set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        for _ in range(30):
            kept.append(np.zeros(rng.integers(1, 2000)))
            fit = model.fit(start=start, max_iter=0).fit
            seen.add((fit.loglik, fit.gradient.tobytes(), fit.hessian.tobytes()))
    assert len(seen) == 1


def test_weights_are_copies_of_a_row() -> None:
    data = crossed()
    times = np.random.default_rng(4).integers(1, 4, len(data))
    long = data.loc[data.index.repeat(times)]
    weighted = quietly("y ~ x + (1 | g) + (1 | h)", data, "poisson", weights=times)
    copied = quietly("y ~ x + (1 | g) + (1 | h)", long, "poisson")
    assert weighted.llf == pytest.approx(copied.llf, abs=1e-7)
    np.testing.assert_allclose(weighted.bse, copied.bse, rtol=1e-6)


def test_weights_of_zero_and_missing_values_leave() -> None:
    data = crossed(family="gaussian")
    weights = np.where(np.arange(len(data)) % 7 == 0, 0.0, 2.0)
    base = quietly("y ~ x + (1 | g) + (1 | h)", data[weights > 0], weights=weights[weights > 0])
    assert quietly("y ~ x + (1 | g) + (1 | h)", data, weights=weights).llf == base.llf
    holes = data.assign(x=np.where(weights == 0, np.nan, data["x"]))
    dropped = quietly("y ~ x + (1 | g) + (1 | h)", holes, weights=np.full(len(data), 2.0))
    assert dropped.llf == base.llf
    assert dropped.fit.design.n_missing == int((weights == 0).sum())


# ---- linear models, from their covariance matrix ----


def marginal(results: ml.MixedModelResults, data: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Response, fixed part and covariance of the response, written out."""
    fit = results.fit
    n = len(data)
    columns = [c.values for c in fit.design.fixed]
    x = np.column_stack([np.ones(n) if c is None else np.asarray(c, float) for c in columns])
    weights = np.ones(n) if fit.design.weights is None else fit.design.weights
    v = np.diag(fit.phi["sigma"] ** 2 / weights)
    for term, covariance in zip(fit.design.random_terms, fit.random_cov, strict=True):
        z = np.column_stack([np.ones(n) if c is None else np.asarray(c, float) for c in term.columns])
        codes = fit.design.grouping_factors[term.grouping_factor].codes
        v += (z @ covariance @ z.T) * (codes[:, None] == codes)
    return fit.design.response.values, x, v


@pytest.mark.parametrize("method", ["ml", "reml"])
@pytest.mark.parametrize("right", TERMS.values(), ids=TERMS)
def test_linear_models_from_the_covariance_matrix(right: str, method: str) -> None:
    data = crossed(n=250, family="gaussian")
    weights = np.random.default_rng(6).uniform(0.5, 2, len(data))
    results = quietly(f"y ~ x + {right}", data, weights=weights, method=method)
    y, x, v = marginal(results, data)
    inverse = np.linalg.inv(v)
    information = x.T @ inverse @ x
    beta = np.linalg.solve(information, x.T @ inverse @ y)
    residual = y - x @ beta
    p = x.shape[1] if method == "reml" else 0
    deviance = (len(y) - p) * np.log(2 * np.pi) + np.linalg.slogdet(v)[1] + residual @ inverse @ residual
    if method == "reml":
        deviance += np.linalg.slogdet(information)[1]
    assert results.deviance == pytest.approx(deviance, abs=1e-7)
    np.testing.assert_allclose(results.params, beta, atol=1e-8)
    np.testing.assert_allclose(results.cov_params(), np.linalg.inv(information), rtol=1e-8, atol=1e-14)

    fit = results.fit
    whole = inverse - inverse @ x @ np.linalg.solve(information, x.T @ inverse) if method == "reml" else inverse
    for f, factor in enumerate(fit.design.grouping_factors):
        names = [name for term in fit.design.random_terms if term.grouping_factor == f for name in term.names]
        z = [np.ones(len(y)) if name == "(Intercept)" else data[name].to_numpy() for name in names]
        sigma = results.random_cov[factor.name].to_numpy()
        for level in (0, len(factor.levels) - 1):
            own = np.column_stack(z) * (factor.codes == level)[:, None]
            np.testing.assert_allclose(fit.modes[f][level], sigma @ own.T @ inverse @ residual, atol=1e-8)
            given = sigma - sigma @ own.T @ inverse @ own @ sigma  # at the estimates, the fixed effects included
            np.testing.assert_allclose(fit.mode_cov[f][level], given, atol=1e-8)
            np.testing.assert_allclose(fit.projection[f][level], own.T @ inverse @ x, rtol=1e-7, atol=1e-9)
    # no variance can move without loss: the score of log sigma is exact
    score = residual @ inverse @ np.diag(np.diag(v) * 0 + fit.phi["sigma"] ** 2 / weights) @ inverse @ residual
    trace = np.trace(whole @ np.diag(fit.phi["sigma"] ** 2 / weights))
    assert score == pytest.approx(trace, rel=1e-5)


# ---- the Laplace approximation, written out ----


FIRST = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 0, 4 / 5, -1 / 5, 4 / 105, -1 / 280])
SECOND = np.array([-1 / 560, 8 / 315, -1 / 5, 8 / 5, -205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560])


def slopes(family: str, eta: np.ndarray, y: np.ndarray, phi: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """First derivative of the log density with the default link, and minus the second."""
    if family == "binomial":
        mu = 1 / (1 + np.exp(-eta))
        return y - mu, mu * (1 - mu)
    mu = np.exp(eta)
    if family == "poisson":
        return y - mu, mu
    if family not in ("gamma", "negative_binomial"):  # by differences of the density
        ones, h, link = np.ones(len(y)), CASES[family].step, dict(_core.families())[family][0]
        at = [CASES[family].log_density(link, eta + k * h, y, ones, ones, phi) for k in range(-4, 5)]
        return np.tensordot(FIRST, at, 1) / h, -np.tensordot(SECOND, at, 1) / h**2
    k = np.exp(phi[0])
    if family == "gamma":
        return k * (y / mu - 1), k * y / mu
    return (y - mu) / (1 + mu / k), mu * (1 + y / k) / (1 + mu / k) ** 2


def laplace(results: ml.MixedModelResults, data: pd.DataFrame, psi: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Log-likelihood, modes and their covariance (all levels in one vector) with one dense matrix for all."""
    fit = results.fit
    p = len(fit.beta)
    blocks, at = [], p
    for term, values in zip(fit.design.random_terms, fit.theta_values, strict=True):
        q = len(term.names)
        half = np.zeros((q, q))
        half.T[np.triu_indices(q)] = psi[at : at + len(values)]
        at += len(values)
        codes = fit.design.grouping_factors[term.grouping_factor].codes
        z = np.column_stack([np.ones(len(data)) if c is None else np.asarray(c, float) for c in term.columns]) @ half
        for level in range(codes.max() + 1):
            blocks.append(z * (codes == level)[:, None])
    s = np.column_stack(blocks)
    x = np.column_stack([np.ones(len(data)), data["x"]])
    y, v, phi, ones = data["y"].to_numpy(), np.zeros(s.shape[1]), tuple(psi[at:]), np.ones(len(data))
    for _ in range(60):
        eta = x @ psi[:p] + s @ v
        value = CASES[fit.family.name].log_density(fit.family.link, eta, y, ones, ones, phi).sum()
        slope, weight = slopes(fit.family.name, eta, y, phi)
        hessian = np.eye(len(v)) + s.T @ (weight[:, None] * s)
        step = np.linalg.solve(hessian, s.T @ slope - v)
        v = v + step
        if np.abs(step).max() < 1e-10:
            break
    return value - v @ v / 2 - np.linalg.slogdet(hessian)[1] / 2, v, np.linalg.inv(hessian)


@pytest.mark.parametrize("family", [family for family in QUICK_COLUMN if not ml.Family(family).is_linear])
@pytest.mark.parametrize("right", TERMS.values(), ids=TERMS)
def test_laplace_written_out(right: str, family: str) -> None:
    data = crossed(n=140, family=family)
    results = quietly(f"y ~ x + {right}", data, family)
    fit = results.fit
    value, v, spread = laplace(results, data, fit.psi)
    assert results.llf == pytest.approx(value, abs=1e-9)
    at = 0
    for term, half, columns in zip(fit.design.random_terms, fit.theta, fit.term_columns, strict=True):
        f, q = term.grouping_factor, len(term.names)
        for level in range(len(fit.design.grouping_factors[f].levels)):
            own = slice(at, at + q)
            np.testing.assert_allclose(fit.modes[f][level, columns], half @ v[own], atol=1e-7)
            given = half @ spread[own, own] @ half.T
            np.testing.assert_allclose(fit.mode_cov[f][level][np.ix_(columns, columns)], given, atol=1e-7)
            at += q
    information = -fit.hessian
    for k in np.flatnonzero(np.isfinite(np.diag(fit.covariance))):
        h = 1e-3 / np.sqrt(information[k, k])
        unit = np.eye(len(fit.psi))[k] * h
        above, below = (laplace(results, data, fit.psi + sign * unit)[0] for sign in (1, -1))
        assert (above - below) / 2 == pytest.approx(0, abs=1e-7)  # the gain of a step of 0.001 standard errors
        assert (above - 2 * value + below) / h**2 == pytest.approx(fit.hessian[k, k], rel=1e-2)


# ---- predictions and tables ----


@pytest.fixture(scope="module")
def assay() -> ml.MixedModelResults:
    return ml.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", ml.datasets.penicillin())


def test_predictions_with_some_factors(assay: ml.MixedModelResults) -> None:
    data = ml.datasets.penicillin()
    modes = assay.random_effects().set_index(["group", "level"])["mode"]
    base = assay.params.iloc[0]
    plate = np.array([modes["plate", level] for level in data["plate"]])
    sample = np.array([modes["sample", level] for level in data["sample"]])
    for random, effect in (
        ("conditional", plate + sample),
        (["plate"], plate),
        (("sample",), sample),
        (["sample", "plate"], plate + sample),
        ([], 0 * plate),
        ("zero", 0 * plate),
    ):
        np.testing.assert_allclose(assay.predict(random=random), base + effect, atol=1e-10)
        np.testing.assert_allclose(assay.predict(data, random=random), base + effect, atol=1e-10)
    np.testing.assert_allclose(assay.predict({"sample": ["B"]}, random=["sample"]), [base + modes["sample", "B"]])
    with pytest.raises(ml.DataError, match=r"1 level of 'plate'.*'zz'"):
        assay.predict({"plate": ["zz"], "sample": ["B"]})
    new = assay.predict({"plate": ["zz"], "sample": ["B"]}, new_levels="zero")
    np.testing.assert_allclose(new, [base + modes["sample", "B"]])
    np.testing.assert_allclose(assay.predict({"plate": ["zz"], "sample": ["B"]}, random=["sample"]), new)
    with pytest.raises(ValueError, match="no grouping factor 'plates'; the model has 'plate', 'sample'"):
        assay.predict(random=["plates"])
    with pytest.raises(ValueError, match=r"random='plate' is not available; .* or random=\['plate'\]"):
        assay.predict(random="plate")


def test_tables_of_several_factors(assay: ml.MixedModelResults) -> None:
    effects = assay.random_effects()
    assert effects["group"].value_counts().to_dict() == {"plate": 24, "sample": 6}
    coef = assay.coef()
    assert {name: table.shape for name, table in coef.items()} == {"plate": (24, 1), "sample": (6, 1)}
    assert list(assay.random_cov) == ["plate", "sample"]
    assert list(assay.tidy()["group"][1:]) == ["plate", "sample", "Residual"]
    row = assay.glance().iloc[0]
    assert (row["method"], row["n_plate"], row["n_sample"]) == ("reml", 24, 6)
    assert row["deviance"] == assay.deviance == pytest.approx(330.860588990, abs=1e-7)
    np.testing.assert_allclose(assay.augment()[".fitted"], assay.fittedvalues)
    text = str(assay.summary())
    assert text.startswith("Linear mixed model fit by REML\n")
    assert "REML criterion" in text
    assert "Number of obs: 144, groups: plate, 24; sample, 6" in text


def test_terms_of_one_factor_stand_side_by_side() -> None:
    data = crossed()
    apart = quietly("y ~ x + (1 | g) + (1 | h) + (0 + x | g)", data, "poisson")
    together = quietly("y ~ x + (1 + x || g) + (1 | h)", data, "poisson")
    assert apart.llf == pytest.approx(together.llf, abs=1e-8)
    assert [list(at) for at in apart.fit.term_columns] == [[0], [0], [1]]
    assert [own.shape[1] for own in apart.fit.modes] == [2, 1]
    for one, other in zip(apart.fit.modes, together.fit.modes, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(apart.coef()["g"], together.coef()["g"], atol=1e-5)
    np.testing.assert_allclose(apart.predict(data), apart.predict(), rtol=1e-10)


# ---- edges ----


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_a_zero_variance_is_zero(family: str) -> None:
    data = crossed(family=family)
    data["noise"] = np.random.default_rng(9).integers(0, 40, len(data))
    data["y"] = data["y"] if family == "poisson" else data["y"] - data.groupby("noise")["y"].transform("mean")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = ml.fit("y ~ x + (1 | g) + (1 | noise)", data, family)
    without = quietly("y ~ x + (1 | g)", data, family)
    if family == "gaussian":  # the means of the levels are equal by construction
        assert results.random_cov["noise"].to_numpy().item() == 0
        assert [w.category for w in caught] == [ml.SingularFitWarning]
        assert "the variance of '(Intercept)' in 'noise' is exactly zero" in str(caught[0].message)
        assert results.certificate.boundary[0].score < 0
        assert results.llf == pytest.approx(without.llf, abs=1e-7)
        np.testing.assert_allclose(results.bse, without.bse, rtol=1e-6)
        assert (results.random_effects().query("group == 'noise'")["mode"] == 0).all()
    assert results.converged
    assert results.llf >= without.llf - 1e-8


def test_pickle_and_refit() -> None:
    data = crossed()
    results = quietly("y ~ x + (1 + x | g) + (1 | h)", data, "poisson")
    again = pickle.loads(pickle.dumps(results))
    assert str(again.summary()) == str(results.summary())
    np.testing.assert_array_equal(again.predict(random=["h"]), results.predict(random=["h"]))
    other = np.random.default_rng(2).poisson(2.0, len(data)).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        assert again.refit(other).llf == results.refit(other).llf
        fresh = ml.fit("y ~ x + (1 + x | g) + (1 | h)", data.assign(y=other), "poisson")
    assert results.refit is not None
    assert again.model is not None
    assert fresh.llf == quietly_refit(results, other).llf


def quietly_refit(results: ml.MixedModelResults, y: np.ndarray) -> ml.MixedModelResults:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return results.refit(y)


@pytest.mark.parametrize("family", QUICK_COLUMN)
def test_starting_values_do_not_matter(family: str) -> None:
    data = crossed(family=family)
    results = quietly("y ~ x + (1 | g) + (1 | h)", data, family)
    for start in (results.fit.psi, 0.5 * results.fit.psi):
        other = quietly("y ~ x + (1 | g) + (1 | h)", data, family, start=start)
        assert other.llf == pytest.approx(results.llf, abs=1e-8)
        np.testing.assert_allclose(other.params, results.params, atol=1e-6)


def test_comparisons_of_several_factors() -> None:
    data = ml.datasets.penicillin()
    both = ml.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", data)
    one = ml.fit("diameter ~ 1 + (1 | plate)", data)
    table = both.compare(one)
    pd.testing.assert_frame_equal(table, ml.compare(one, both))
    assert table["chi2"].iloc[1] == pytest.approx(one.deviance - both.deviance)
    assert list(table["df"]) == [3, 4]
    with pytest.raises(ml.DataError, match="fixed effects"):
        both.compare(ml.fit("diameter ~ 0 + (1 | plate) + (1 | sample)", data))


def test_edges_of_small_data() -> None:
    data = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0, 7.0, 5.0], "g": list("aabbcc"), "h": list("xyxyxy")})
    results = quietly("y ~ 1 + (1 | g) + (1 | h)", data)
    y, x, v = marginal(results, data)
    inverse = np.linalg.inv(v)
    information = x.T @ inverse @ x
    residual = y - x @ np.linalg.solve(information, x.T @ inverse @ y)
    deviance = (len(y) - 1) * np.log(2 * np.pi) + np.linalg.slogdet(v)[1] + residual @ inverse @ residual
    assert results.deviance == pytest.approx(deviance + np.log(information[0, 0]), abs=1e-8)
    assert np.isfinite(results.bse).all()
    assert "Number of obs: 6, groups: g, 3; h, 2" in str(results.summary())
