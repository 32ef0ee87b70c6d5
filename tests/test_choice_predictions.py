"""Predicted probabilities of choices with their errors: against modes and integrals from their definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.checks.drawn_effects import drawn_effects
from multilevel.errors import DataError, FitWarning
from multilevel.prediction.choice_joint import ChoiceJoint
from multilevel.prediction.choice_law import choice_law, softmax

from .choice_likelihood import Array

pytestmark = [
    pytest.mark.filterwarnings("ignore::multilevel.errors.QuadratureWarning"),  # groups are small
    pytest.mark.filterwarnings("ignore::multilevel.errors.SingularFitWarning"),
]
GRID = {1: 0.05, 2: 0.1, 3: 0.3}  # steps of a grid in so many directions, in standard deviations


def by_grid(eta: Array, half: Array) -> Array:
    """Mean probabilities of one set, whose predictors are eta + half z."""
    nodes = np.arange(-9.0, 9.0, GRID[half.shape[1]])
    weights = np.exp(-0.5 * nodes**2)
    weights = weights / weights.sum()
    mesh = np.stack(np.meshgrid(*[nodes] * half.shape[1], indexing="ij"), -1).reshape(-1, half.shape[1])
    mass = np.prod(np.stack(np.meshgrid(*[weights] * half.shape[1], indexing="ij"), -1).reshape(len(mesh), -1), axis=1)
    return np.asarray(mass @ softmax(eta + mesh @ half.T))


def drawn(seed: int = 2, groups: int = 12, each: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), each)
    n = len(g)
    x, f = rng.normal(size=n), rng.integers(0, 2, n)
    effects = rng.multivariate_normal([0, 0], [[1.0, 0.4], [0.4, 0.8]], groups)[g]
    eta = np.column_stack([np.zeros(n), 0.3 + 0.8 * x + effects[:, 0], -0.2 + 0.6 * f + 0.4 * x + effects[:, 1]])
    y = np.argmax(eta + rng.gumbel(size=eta.shape), axis=1)
    return pd.DataFrame({"y": np.array(["bike", "bus", "car"])[y], "x": x, "f": np.array(["no", "yes"])[f], "g": g})


def trips(seed: int = 3, persons: int = 20, each: int = 6) -> pd.DataFrame:
    """Two or three alternatives in each set, rows in any order."""
    rng = np.random.default_rng(seed)
    rows = []
    for trip in range(persons * each):
        alternatives = rng.permutation(3)[: rng.integers(2, 4)]
        price = rng.normal(size=3)
        slope = -1.0 + 0.8 * np.sin(3.0 * (trip // each))
        chosen = np.argmax((slope * price + 0.4 * np.arange(3))[alternatives] + rng.gumbel(size=len(alternatives)))
        rows += [(trip, trip // each, "abc"[a], price[a], k == chosen) for k, a in enumerate(alternatives)]
    frame = pd.DataFrame(rows, columns=["trip", "person", "by", "price", "chosen"])
    return frame.sample(frac=1, random_state=seed).reset_index(drop=True)


@pytest.fixture(scope="module")
def of_categories() -> ml.MixedModelResults:
    return ml.fit("y ~ x + f + (1 | g)", drawn(), "multinomial", base="bus")


@pytest.fixture(scope="module")
def of_alternatives() -> ml.MixedModelResults:
    return ml.fit("chosen ~ price + by + (price | person)", trips(), "conditional", choice_set="trip")


# ---- the law ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "size"), [(2, 1.0), (3, 1.0), (3, 3.0), (4, 1.2)])
def test_averages_and_their_derivatives_are_those_of_a_grid(k: int, size: float) -> None:
    rng = np.random.default_rng(k)
    half = np.vstack([np.zeros(k - 1), size * np.tril(rng.normal(size=(k - 1, k - 1)))])
    eta = rng.normal(size=k)
    law = choice_law(eta[None], (half @ half.T)[None], 1)
    assert law.accuracy <= 1e-10
    np.testing.assert_allclose(law.value[0], by_grid(eta, half), atol=3e-10)
    assert law.value.sum() == pytest.approx(1.0, abs=1e-14)
    assert law.by_eta is not None
    assert law.by_covariance is not None
    h = 1e-4
    for j in range(k):
        step = h * np.eye(k)[j]
        slope = (by_grid(eta + step, half) - by_grid(eta - step, half)) / (2 * h)
        np.testing.assert_allclose(law.by_eta[0][:, j], slope, atol=1e-8)
    change = rng.normal(size=(k - 1, k - 1))
    change = change + change.T
    inner = half[1:] @ half[1:].T
    ends = [by_grid(eta, np.vstack([np.zeros(k - 1), np.linalg.cholesky(inner + s * 1e-5 * change)])) for s in (1, -1)]
    wide = np.zeros((k, k))
    wide[1:, 1:] = change
    found = np.einsum("ijk,jk->i", law.by_covariance[0], wide)
    np.testing.assert_allclose(found, (ends[0] - ends[1]) / 2e-5, atol=1e-7)


def test_rows_of_their_own_and_rows_that_share_effects_agree() -> None:
    """Far predictors, and effects that differ from row to row, take another route."""
    rng = np.random.default_rng(1)
    half = rng.normal(size=(4, 2))
    eta = np.vstack([rng.normal(size=(40, 4)), [[0.0, 900.0, -900.0, 0.0]]])
    same = choice_law(eta, np.broadcast_to(half @ half.T, (41, 4, 4)), 1)
    scaled = half * np.linspace(1.0, 1.0 + 1e-9, 41)[:, None, None]
    apart = choice_law(eta, scaled @ scaled.transpose(0, 2, 1), 1)
    np.testing.assert_allclose(same.value, apart.value, atol=1e-8)
    np.testing.assert_allclose(np.array(same.by_eta), np.array(apart.by_eta), atol=1e-8)
    np.testing.assert_allclose(np.array(same.by_covariance), np.array(apart.by_covariance), atol=1e-8)
    np.testing.assert_allclose(same.value[-1], [0, 1, 0, 0], atol=1e-12)


def test_many_directions_say_how_accurate_they_are() -> None:
    rng = np.random.default_rng(3)
    half = 2.0 * rng.normal(size=(8, 8))
    with pytest.warns(FitWarning, match="accurate to about"):
        law = choice_law(rng.normal(size=(1, 8)), (half @ half.T)[None])
    assert 1e-4 < law.accuracy < 3e-3
    assert law.value.sum() == pytest.approx(1.0)


def test_variances_of_zero_are_no_average() -> None:
    eta = np.array([[0.3, -1.0, 2.0]])
    law = choice_law(eta, np.zeros((1, 3, 3)), 1)
    np.testing.assert_allclose(law.value, softmax(eta), rtol=1e-14)
    assert law.by_covariance is not None
    tiny = choice_law(eta, 1e-6 * np.eye(3)[None])
    np.testing.assert_allclose((tiny.value - law.value) / 1e-6, np.einsum("nijj->ni", law.by_covariance), rtol=1e-5)


# ---- errors ----------------------------------------------------------------------------------------------------------


def numbers_of(results: ml.MixedModelResults, psi: Array, modes: tuple[Array, ...]) -> ml.MixedModelResults:
    """The results with other parameters."""
    fit, p = results.fit, len(results.fit.beta)
    q = len(fit.theta[0])
    factor, at = np.zeros((q, q)), p
    for c in range(q):
        factor[c:, c] = psi[at : at + q - c]
        at += q - c
    moved = replace(
        fit,
        psi=psi,
        beta=psi[:p],
        theta_values=(psi[p:],),
        theta=(factor,),
        random_cov=(factor @ factor.T,),
        modes=modes,
    )
    return ml.MixedModelResults(moved, results.model)


def modes_at(results: ml.MixedModelResults, psi: Array) -> Array:
    """Conditional modes by Newton's method, from the definition."""
    fit, design = results.fit, results.fit.design
    other, choices = numbers_of(results, psi, fit.modes).fit, fit.design.choices
    sets = choices.sets_of(fit.n_rows)
    chosen = choices.response_of(design.response.values)
    columns = choices.columns_of(design.random_terms[0].columns, fit.n_rows)
    z = np.column_stack([np.ones(len(sets)) if c is None else c for c in columns])
    x = choices.columns_of([c.values for c in design.fixed], fit.n_rows)
    fixed = sum(b * (1.0 if c is None else c) for b, c in zip(other.beta, x, strict=True))
    codes = choices.rows_of(design.grouping_factors[0].codes)
    precision, found = np.linalg.inv(other.random_cov[0]), np.zeros_like(fit.modes[0])
    for level in range(len(found)):
        at, u = codes == level, fit.modes[0][level]
        own_sets = np.unique(sets[at])
        for _ in range(4):
            slope, curvature = -precision @ u, precision.copy()
            for own in own_sets:
                rows = at & (sets == own)
                p = softmax(fixed[rows] + z[rows] @ u)
                slope += z[rows].T @ (chosen[rows] - p)
                curvature += z[rows].T @ (np.diag(p) - np.outer(p, p)) @ z[rows]
            u = u + np.linalg.solve(curvature, slope)
        found[level] = u
    return found


@pytest.mark.parametrize("name", ["of_categories", "of_alternatives"])
def test_errors_at_the_modes_are_those_of_the_definition(name: str, request: pytest.FixtureRequest) -> None:
    results: ml.MixedModelResults = request.getfixturevalue(name)
    fit = results.fit
    np.testing.assert_allclose(modes_at(results, fit.psi), fit.modes[0], atol=1e-7)

    def at(psi: Array) -> Array:
        return np.asarray(numbers_of(results, psi, (modes_at(results, psi),)).predict(kind="probabilities")).ravel()

    gradient, h = np.empty((len(at(fit.psi)), len(fit.psi))), 1e-4
    for k in range(len(fit.psi)):
        step = h * np.eye(len(fit.psi))[k]
        gradient[:, k] = (at(fit.psi + step) - at(fit.psi - step)) / (2 * h)
    total = np.einsum("na,ab,nb->n", gradient, fit.covariance, gradient)
    codes, p = fit.design.grouping_factors[0].codes, at(fit.psi)
    for column in range(fit.modes[0].shape[1]):
        for other in range(fit.modes[0].shape[1]):
            ends = []
            for c in (column, other):
                moved = fit.modes[0].copy()
                moved[:, c] += h
                ends.append((np.ravel(numbers_of(results, fit.psi, (moved,)).predict(kind="probabilities")) - p) / h)
            each = np.repeat(fit.mode_cov[0][codes, column, other], len(p) // len(codes))
            total += ends[0] * ends[1] * each
    found = results.predict(kind="probabilities", se=True, interval="confidence")
    np.testing.assert_allclose(found["estimate"], p, atol=1e-12)
    np.testing.assert_allclose(found["std_error"], np.sqrt(total), rtol=2e-4)
    size = 1.959964 * found["std_error"] / (p * (1 - p))
    np.testing.assert_allclose(found["upper"], 1 / (1 + np.exp(-np.log(p / (1 - p)) - size)), rtol=1e-6)


def new_rows(results: ml.MixedModelResults) -> pd.DataFrame:
    own = drawn(5) if results.fit.design.choices.by_category else trips(5)
    return own.iloc[:40].rename(columns={"g": "g", "person": "person"})


@pytest.mark.parametrize("name", ["of_categories", "of_alternatives"])
@pytest.mark.parametrize("random", ["zero", "marginal"])
def test_errors_of_new_groups_are_those_of_the_definition(
    name: str, random: str, request: pytest.FixtureRequest
) -> None:
    results: ml.MixedModelResults = request.getfixturevalue(name)
    fit, new, h = results.fit, new_rows(results), 1e-4

    def at(psi: Array) -> Array:
        return np.ravel(numbers_of(results, psi, fit.modes).predict(new, kind="probabilities", random=random))

    gradient = np.empty((len(at(fit.psi)), len(fit.psi)))
    for k in range(len(fit.psi)):
        step = h * np.eye(len(fit.psi))[k]
        gradient[:, k] = (at(fit.psi + step) - at(fit.psi - step)) / (2 * h)
    expected = np.sqrt(np.einsum("na,ab,nb->n", gradient, fit.covariance, gradient))
    found = results.predict(new, kind="probabilities", random=random, se=True)
    np.testing.assert_allclose(found["std_error"], expected, rtol=1e-5)
    if random == "zero":
        return
    link = results.predict(new, kind="link", random="zero")
    if fit.design.choices.by_category:
        half = np.insert(fit.theta[0], fit.design.choices.base, 0.0, axis=0)
        rows = [by_grid(eta, half) for eta in link.to_numpy()]
        np.testing.assert_allclose(at(fit.psi), np.ravel(rows), atol=1e-8)
        return
    for _, own in new.groupby("trip"):
        rows = by_grid(link[own.index].to_numpy(), own[["price"]].to_numpy() @ fit.theta[0])
        np.testing.assert_allclose(found.loc[own.index, "estimate"], rows, atol=1e-8)


def test_errors_without_random_effects_are_those_of_statsmodels(reference_numbers: Callable[[str], Any]) -> None:
    discrete = pytest.importorskip("statsmodels.discrete.discrete_model")

    data = drawn()
    results = ml.fit("y ~ x + f", data, "multinomial")
    x = np.column_stack([np.ones(len(data)), data["x"], data["f"] == "yes"])
    other = discrete.MNLogit(pd.Categorical(data["y"]).codes, x).fit(disp=0, tol=1e-12)
    np.testing.assert_allclose(results.predict(kind="probabilities"), other.predict(), atol=1e-7)
    covariance = np.asarray(other.cov_params())
    p = other.predict()
    # d p_i = p_i (d eta_i - sum_j p_j d eta_j)
    blocks = np.einsum("nij,na->nija", np.eye(3)[None] * p[:, :, None] - p[:, :, None] * p[:, None, :], x)[:, :, 1:]
    gradient = blocks.reshape(len(data), 3, -1)
    expected = np.sqrt(np.einsum("nia,ab,nib->ni", gradient, covariance, gradient))
    found = results.predict(kind="probabilities", se=True)
    np.testing.assert_allclose(found["std_error"], expected.ravel(), rtol=1e-4)


def test_several_groups_go_by_the_sparse_system(of_categories: ml.MixedModelResults) -> None:
    """The covariance from the factorized joint Hessian is that of the levels, one by one."""
    fit = of_categories.fit
    joint = ChoiceJoint(fit)
    codes = np.repeat(fit.design.grouping_factors[0].codes[:, None], 3, axis=1)
    loads = np.zeros((fit.n_rows, 3, 2))
    loads[:, 0, 0] = loads[:, 2, 1] = 1.0
    within = joint.covariance_of({0: codes}, {0: loads})
    across = joint.covariance_across({0: codes}, {0: loads})
    np.testing.assert_allclose(across, within, atol=1e-8)


# ---- shapes, words, missing values -----------------------------------------------------------------------------------


def test_what_stands_where(of_categories: ml.MixedModelResults, of_alternatives: ml.MixedModelResults) -> None:
    found = of_categories.predict(kind="probabilities", se=True)
    assert list(found.loc[0].index) == ["bike", "bus", "car"]
    link = of_categories.predict(kind="link", se=True)
    assert (link.xs("bus", level=1)[["estimate", "std_error"]] == 0).all(axis=None)
    known = of_categories.predict(kind="probabilities", se=True, variances="known", random="zero")
    assert (known["std_error"] > 0).all()
    rows = of_alternatives.predict(se=True, interval="confidence")
    assert rows.index.equals(pd.RangeIndex(len(trips())))
    totals = rows["estimate"].groupby(trips()["trip"]).sum()
    np.testing.assert_allclose(totals, 1.0, atol=1e-12)


def test_missing_values_and_new_groups(
    of_categories: ml.MixedModelResults, of_alternatives: ml.MixedModelResults
) -> None:
    new = drawn(6).head(4).assign(g=99)
    with pytest.raises(DataError, match="has not seen"):
        of_categories.predict(new, se=True)
    anew = of_categories.predict(new, se=True, new_levels="marginal")
    pd.testing.assert_frame_equal(anew, of_categories.predict(new, se=True, random="marginal"))
    new.loc[new.index[1], "x"] = np.nan
    found = of_categories.predict(new, se=True, new_levels="zero", interval="confidence")
    assert found.loc[new.index[1]].isna().all(axis=None)
    assert found.drop(new.index[1]).notna().all(axis=None)
    sets = trips(7).sort_values("trip").head(9).reset_index(drop=True)
    sets.loc[0, "price"] = np.nan
    found = of_alternatives.predict(sets, se=True)
    assert found["estimate"].isna().equals(sets["trip"] == sets.loc[0, "trip"])
    assert found["std_error"].isna().equals(found["estimate"].isna())
    with pytest.raises(DataError, match="belongs to one level"):
        of_alternatives.predict(sets.fillna(0.0).assign(person=range(9)))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"interval": "prediction"}, "no order"),
        ({"kind": "class", "se": True}, "no standard error"),
        ({"trials": 3}, "no trials"),
        ({"weights": 3}, "no weights"),
        ({"kind": "cumulative"}, "not available"),
        ({"new_levels": "draw"}, "not available"),
    ],
)
def test_what_is_refused(of_categories: ml.MixedModelResults, how: dict[str, Any], message: str) -> None:
    with pytest.raises((DataError, ValueError), match=message):
        of_categories.predict(**how)


# ---- several grouping factors ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crossed() -> ml.MixedModelResults:
    rng = np.random.default_rng(12)
    n, shape = 150, (6, 5)
    g, h, x = rng.integers(0, shape[0], n), rng.integers(0, shape[1], n), rng.normal(size=n)
    effects = 0.9 * rng.normal(size=(shape[0], 2))[g] + 0.7 * rng.normal(size=(shape[1], 2))[h]
    eta = np.column_stack([np.zeros(n), 0.2 + 0.6 * x, -0.1 - 0.4 * x]) + np.insert(effects, 0, 0.0, axis=1)
    data = pd.DataFrame({"y": np.argmax(eta + rng.gumbel(size=eta.shape), axis=1), "x": x, "g": g, "h": h})
    return ml.fit("y ~ x + (1 | g) + (1 | h)", data, "multinomial")


def test_several_factors_are_those_of_the_definition(crossed: ml.MixedModelResults) -> None:
    """All random effects at once, with dense matrices: modes, how they move, and what varies around them."""
    fit, p = crossed.fit, len(crossed.fit.beta)
    codes = [factor.codes for factor in fit.design.grouping_factors]
    x = np.column_stack([np.ones(fit.n_rows), fit.design.fixed[1].values])
    places = [np.eye(len(factor.levels))[own] for factor, own in zip(fit.design.grouping_factors, codes, strict=True)]

    def factors(psi: Array) -> list[Array]:
        return [np.array([[psi[at], 0.0], [psi[at + 1], psi[at + 2]]]) for at in (p, p + 3)]

    def predictors(psi: Array, v: Array) -> tuple[Array, Array]:
        """Of categories 1 and 2, (n, 2), and their derivatives by v, (n, 2, size)."""
        m = np.concatenate(
            [
                np.einsum("nl,kq->nklq", own, half).reshape(fit.n_rows, 2, -1)
                for own, half in zip(places, factors(psi), strict=True)
            ],
            axis=2,
        )
        return x @ psi[:p].reshape(2, 2).T + m @ v, m

    y = np.eye(3)[fit.design.response.values.astype(int) - 1][:, 1:]

    def solved(psi: Array) -> tuple[Array, Array]:
        """The modes, and the curvature there."""
        v = np.zeros(2 * sum(own.shape[1] for own in places))
        for _ in range(7):
            eta, m = predictors(psi, v)
            prob = softmax(np.insert(eta, 0, 0.0, axis=1))[:, 1:]
            curved = np.einsum("nk,kj->nkj", prob, np.eye(2)) - prob[:, :, None] * prob[:, None, :]
            hessian = np.eye(len(v)) + np.einsum("nka,nkj,njb->ab", m, curved, m)
            v = v + np.linalg.solve(hessian, np.einsum("nk,nka->a", y - prob, m) - v)
        return v, hessian

    def at(psi: Array, v: Array | None = None) -> Array:
        eta, _ = predictors(psi, solved(psi)[0] if v is None else v)
        return softmax(np.insert(eta, 0, 0.0, axis=1)).ravel()

    v, hessian = solved(fit.psi)
    found = crossed.predict(kind="probabilities", se=True)
    np.testing.assert_allclose(found["estimate"], at(fit.psi), atol=1e-7)
    gradient = differences_of(at, fit.psi)
    by_v = differences_of(lambda own: at(fit.psi, own), v)
    variance = np.einsum("na,ab,nb->n", gradient, fit.covariance, gradient)
    variance += np.einsum("na,ab,nb->n", by_v, np.linalg.inv(hessian), by_v)
    np.testing.assert_allclose(found["std_error"], np.sqrt(variance), rtol=1e-5)
    rng = np.random.default_rng(1)
    draws = np.array([np.concatenate([own.ravel() for own in drawn_effects(fit, rng)]) for _ in range(500)])
    wide = np.zeros((len(v), len(v)))
    halves = factors(fit.psi)
    wide[:12, :12], wide[12:, 12:] = np.kron(np.eye(6), halves[0]), np.kron(np.eye(5), halves[1])
    expected = wide @ np.linalg.inv(hessian) @ wide.T
    error = np.sqrt((expected**2 + np.outer(np.diag(expected), np.diag(expected))) / len(draws))
    assert np.abs((np.cov(draws.T) - expected) / error).max() < 5.0
    assert not len(crossed.check().suspicious)


def differences_of(function: Callable[[Array], Array], at: Array) -> Array:
    """Derivatives by central differences, (n, P)."""
    h = 1e-4
    return np.column_stack([(function(at + h * e) - function(at - h * e)) / (2 * h) for e in np.eye(len(at))])


def test_new_groups_of_one_of_several_factors(crossed: ml.MixedModelResults) -> None:
    new = pd.DataFrame({"x": [0.5, -1.0], "g": [0, 99], "h": [1, 2]})
    found = crossed.predict(new, kind="probabilities", new_levels="marginal", se=True)
    assert (found["std_error"] > 0).all()
    whole = crossed.predict(new, kind="probabilities", random={"g": "marginal", "h": "conditional"})
    np.testing.assert_allclose(found["estimate"].loc[1], whole.loc[1], atol=1e-12)
    link = crossed.predict(new, kind="link", random=["h"]).to_numpy()[1]
    expected = by_grid(link, np.vstack([np.zeros(2), crossed.fit.theta[0]]))
    np.testing.assert_allclose(whole.loc[1], expected, atol=1e-9)
