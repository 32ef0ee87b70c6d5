"""Truncated and zero-inflated families and hurdles, over every family of the registry that can be modified."""

from __future__ import annotations

import itertools
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import multilevel as ml
from multilevel import _core
from multilevel.family.parameters import Parameter
from multilevel.family.response_kinds import check_response, check_values

from .family_cases import CASES, Phi
from .modified_cases import Modified, all_modified, modified_settings
from .reference_files import read_data, read_numbers
from .test_derivatives import assert_near, difference, differences

Array = NDArray[np.float64]
Rows = tuple[Array, Array, Array, Array]
REFERENCE: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "reference" / "modified_families.json").read_text(encoding="utf-8")
)["fits"]


ORDINARY = modified_settings()
EVERYWHERE = modified_settings(extreme=True)
EACH = pytest.mark.parametrize("own", all_modified(), ids=str)


def everywhere(own: Modified) -> list[Phi]:
    """Ordinary and extreme values of its parameters."""
    return [phi for other, phi in EVERYWHERE if other == own]


def rows(own: Modified, points: Array) -> Rows:
    """Every linear predictor with several responses; trials and weights."""
    responses = own.responses()
    eta = np.tile(points, len(responses))
    y = np.repeat([r[0] for r in responses], len(points))
    size = np.repeat([r[1] for r in responses], len(points))
    return eta, y, size, np.linspace(0.5, 2.5, len(eta))


def derivatives(own: Modified, at: Rows, phi: Phi, order: str = "full") -> dict[str, Array]:
    return own.core.derivatives(*at, list(phi), order)


def tails(own: Modified) -> Array:
    """Linear predictors far out, but where all that is left without zeros is itself a number with all its digits."""
    points = np.array(CASES[own.base].tails[own.link])
    if own.by == "inflation" or not own.discrete:
        return points
    if own.rough:
        return np.append(CASES[own.base].grids[own.link], [] if own.link == "log" else 30.0)
    return np.maximum(points, -600)


def tolerance(own: Modified, ordinary: float) -> float:
    return 1e3 * ordinary if own.rough else ordinary


# ---- the density and its derivatives ----


@EACH
def test_density(own: Modified) -> None:
    at = rows(own, CASES[own.base].grids[own.link])
    for phi in everywhere(own):
        d, expected = derivatives(own, at, phi), own.log_density(*at, phi)
        np.testing.assert_allclose(
            d["value"] + d["constant"], expected, rtol=tolerance(own, 1e-11), atol=2e-13, err_msg=str(phi)
        )


@EACH
def test_tails(own: Modified) -> None:
    """Means as good as zero or without bound: the density keeps its digits, and every derivative is finite."""
    at = rows(own, tails(own))
    for phi in everywhere(own):
        d, expected = derivatives(own, at, phi), own.log_density(*at, phi)
        np.testing.assert_allclose(
            d["value"] + d["constant"], expected, rtol=tolerance(own, 1e-11), atol=2e-12, err_msg=str(phi)
        )
        for name, values in d.items():
            assert np.isfinite(values).all(), f"{phi}, {name}: {values}"
        assert (d["expected_information"] >= 0).all(), phi


@EACH
def test_derivatives_by_eta(own: Modified) -> None:
    eta, *rest = rows(own, CASES[own.base].grids[own.link])
    for phi in everywhere(own):
        most = tolerance(own, 3e-8 if (own, phi) in ORDINARY else 1e-6)
        d = derivatives(own, (eta, *rest), phi)
        near = differences(lambda h, phi=phi: derivatives(own, (eta + h, *rest), phi), 0.0, 0.006)
        for order, lower in enumerate(("value", "d1", "d2", "d3"), start=1):
            assert_near(d[f"d{order}"], near[lower], most, f"{phi}, d{order}", size=d[lower])


@EACH
def test_derivatives_by_phi(own: Modified) -> None:
    for phi in everywhere(own):
        check_derivatives_by_phi(own, phi)


def check_derivatives_by_phi(own: Modified, phi: Phi) -> None:
    at = rows(own, CASES[own.base].grids[own.link])
    d = derivatives(own, at, phi)
    # with as good as no zeros of its part a density turns sharply where the family has none either
    sharp = (own, phi) not in ORDINARY
    step = getattr(CASES[own.base], "step", 0.015) / (3.0 if sharp else 1.0)
    most = tolerance(own, 1e-7 if sharp else 1e-9)

    by = [
        differences(lambda p, r=r: derivatives(own, at, (*phi[:r], p, *phi[r + 1 :])), phi[r], step)
        for r in range(len(phi))
    ]

    # what differences lose is relative to the size of what depends on eta alone, as in test_derivatives
    for r in range(len(phi)):
        for order, name in enumerate(("value", "d1", "d2", "d3")):
            assert_near(d[f"phi{r}_d{order}"], by[r][name], most, f"{phi}, phi{r}_d{order}", size=d[name])
        for other in range(r + 1):
            for order, name in enumerate(("value", "d1", "d2")):
                second = f"phi{r}_{other}_d{order}"
                assert_near(d[second], by[other][f"phi{r}_d{order}"], most, f"{phi}, {second}", size=d[name])


@EACH
def test_orders_agree(own: Modified) -> None:
    at = rows(own, CASES[own.base].grids[own.link])
    for phi in everywhere(own):
        full = derivatives(own, at, phi)
        for order in ("step", "node"):
            for name, values in derivatives(own, at, phi, order).items():
                assert_near(values, full[name], tolerance(own, 1e-10), f"{phi}, {order}: {name}", size=full["value"])


@EACH
def test_blocks_of_rows(own: Modified) -> None:
    """Rows are worked on in blocks, zeros apart: their place does not matter, nor do rows without weight."""
    phi = next(phi for other, phi in ORDINARY if other == own)
    eta, y, size, weights = rows(own, CASES[own.base].grids[own.link])
    one = derivatives(own, (eta, y, size, weights), phi)
    order = np.random.default_rng(1).permutation(np.tile(np.arange(len(eta)), 7))
    weightless = np.arange(len(order)) % 5 == 0
    many = derivatives(own, (eta[order], y[order], size[order], np.where(weightless, 0, weights[order])), phi)
    for name, values in many.items():
        np.testing.assert_allclose(values, np.where(weightless, 0.0, one[name][order]), rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("own", [own for own in all_modified() if own.link in CASES[own.base].outside], ids=str)
def test_outside_the_domain_there_is_no_density(own: Modified) -> None:
    phi = next(phi for other, phi in ORDINARY if other == own)
    at = rows(own, np.array([CASES[own.base].outside[own.link]]))
    says_nothing = (at[1] == 0) & (own.by == "hurdle" or not own.discrete)
    assert (np.isfinite(derivatives(own, at, phi)["value"]) == says_nothing).all()


# ---- what follows from the density ----


@EACH
@pytest.mark.parametrize("mean", [0.07, 0.4, 0.93])
def test_total_mean_variance_and_information(own: Modified, mean: float) -> None:
    for phi in [phi for other, phi in ORDINARY if other == own]:
        check_total_mean_variance_and_information(own, phi, mean)


def check_total_mean_variance_and_information(own: Modified, phi: Phi, mean: float) -> None:
    f = own.core
    eta = f.link_of_mean(np.array([mean]))
    assert f.mean(eta)[0] == pytest.approx(mean, rel=1e-12)
    all_of = own.outcomes(mean, phi)
    y, size = all_of.y, np.full(len(all_of.y), all_of.size)
    at = f.derivatives(np.repeat(eta, len(y)), y, size, np.ones(len(y)), list(phi))
    probability = all_of.weight * np.exp(at["value"] + at["constant"])
    assert probability.sum() == pytest.approx(1.0, abs=1e-10)
    expected = probability @ (y / size)
    near = 1e-8 if own.discrete else 1e-4  # sums over numbers between which there are others
    trials = np.array([all_of.size])
    for parameters in (np.array(phi), np.array([phi])):  # for all rows, for each
        assert f.response_mean(eta, parameters, trials)[0] == pytest.approx(expected, abs=near)
        variance = f.response_variance(eta, parameters, trials)[0]
        assert variance == pytest.approx(probability @ (y / size - expected) ** 2, rel=near)
    # the score has mean zero, and its variance is the expected information
    if not own.discrete:  # the scores of the family itself are test_family's
        score = probability @ at[f"phi{own.n_base}_d0"]
        assert score == pytest.approx(0.0, abs=near)
        return
    assert probability @ at["d1"] == pytest.approx(0.0, abs=near)
    if getattr(CASES[own.base], "exact_information", True):
        assert probability @ at["expected_information"] == pytest.approx(probability @ at["d1"] ** 2, rel=near)
    for r in range(len(phi)):
        assert probability @ at[f"phi{r}_d0"] == pytest.approx(0.0, abs=near)
        assert -(probability @ at[f"phi{r}_{r}_d0"]) == pytest.approx(
            probability @ at[f"phi{r}_d0"] ** 2, rel=10 * near
        )


@pytest.mark.parametrize("own", [own for own in all_modified() if not own.core.log_concave], ids=str)
def test_supremum(own: Modified) -> None:
    """No value lies above it, and hardly more than the best of a fine grid below it."""
    grid = CASES[own.base].grids[own.link]
    fine = np.linspace(grid.min() - 4 * (own.link not in CASES[own.base].outside), grid.max() + 4, 1001)
    f, full = own.core, np.ones(1001)
    for phi, (y, size) in itertools.product(everywhere(own), own.responses()):
        one = np.ones(1)
        bound = f.supremum(y * one, size * one, 2.0 * one, list(phi))[0]
        value = f.derivatives(fine, y * full, size * full, 2.0 * full, list(phi))["value"]
        best = np.nanmax(value)
        assert bound >= best - 1e-9, (phi, y, size)
        inside = 0 < np.nanargmax(value) < len(fine) - 1
        if inside and 1e-2 < np.exp(phi[0] if own.n_base else 0.0) < 1e3:
            assert bound < best + 0.05, (phi, y, size)


@pytest.mark.parametrize("own", [own for own in all_modified() if own.core.log_concave], ids=str)
def test_log_concave_where_it_is_said(own: Modified) -> None:
    for phi in everywhere(own):
        assert (derivatives(own, rows(own, CASES[own.base].grids[own.link]), phi)["d2"] <= 1e-12).all(), phi


def test_which_are_log_concave() -> None:
    """A truncated family is, where eta is the canonical parameter."""
    concave = {(own.by, own.base, own.link) for own in all_modified() if own.core.log_concave}
    assert ("truncated", "poisson", "log") in concave
    assert ("hurdle", "poisson", "log") in concave
    assert ("hurdle", "gamma", "log") in concave
    assert not {found for found in concave if found[1] == "negative_binomial"}
    # what has no zeros of its own keeps its shape beside a share of zeros
    mixed = {(own.by, own.base, own.link) for own in all_modified() if own.by == "inflation" and own.discrete}
    assert mixed
    assert not mixed & concave


@EACH
def test_deviance_is_twice_the_distance_to_the_best_fit(own: Modified) -> None:
    phi = next(phi for other, phi in ORDINARY if other == own)
    f, one = own.core, np.ones(1)
    y = 1.0 if own.by == "truncated" or own.base == "binomial" else 0.0
    mu = np.array([0.3])
    value = f.derivatives(f.link_of_mean(mu), y * one, one, one, list(phi))["value"]
    bound = f.supremum(y * one, one, one, list(phi))
    expected = 2 * (bound - value) * f.dispersion(list(phi))
    np.testing.assert_allclose(f.unit_deviance(y * one, mu, list(phi)), expected, rtol=1e-10)


# ---- limits ----


@pytest.mark.parametrize("own", [own for own in all_modified() if own.by == "inflation" and own.discrete], ids=str)
def test_without_extra_zeros_it_is_the_family(own: Modified) -> None:
    case = CASES[own.base]
    (*_, zero) = own.family.parameters
    assert (zero.becomes, zero.limit) == (own.base, np.inf)
    at = rows(own, case.grids[own.link])
    d = derivatives(own, at, (*case.phi[0], zero.lower_limit))
    plain = _core.Family(own.base, own.link)
    expected = plain.derivatives(*at, list(case.phi[0]))
    for name in ("value", "d1", "d2", "d3", "d4"):
        largest = (1 + np.abs(expected[name])) * (1 + np.abs(expected["value"])) ** 2
        share = np.exp(-expected["value"] / at[3]) * (at[1] == 0)  # of a zero that the family makes unlikely
        assert (np.abs(d[name] - expected[name]) < largest * (1e-12 + 1e-11 * share)).all(), name


def test_parameter_at_a_lower_limit() -> None:
    (zero,) = ml.Family("poisson", zero="inflation").parameters
    assert (zero.name, zero.part, zero.scale) == ("zero_probability", "zero", "logit")
    assert zero.natural(zero.lower_limit) == 0.0
    assert zero.phi(0.0) == zero.lower_limit
    assert zero.is_at_limit(0.0)
    assert not zero.is_at_limit(0.2)
    assert zero.natural(zero.phi(0.2)) == pytest.approx(0.2)
    size, _ = ml.Family("negative_binomial", zero="inflation").parameters
    assert size.is_at_limit(np.inf)
    assert not size.is_at_limit(2.0)
    plain = Parameter("df", "", np.inf, "", "plain", "df")
    assert not plain.is_at_limit(np.inf)


# ---- the family object ----


def test_names() -> None:
    inflated = ml.Family("poisson", zero="inflation")
    assert repr(inflated) == "Family('poisson', 'log', zero='inflation')"
    assert pickle.loads(pickle.dumps(inflated)) == inflated
    assert hash(pickle.loads(pickle.dumps(inflated))) == hash(inflated)
    assert inflated != ml.Family("poisson")
    assert inflated != ml.Family("poisson", zero="hurdle")
    assert (inflated.support, inflated.takes_zeros) == ("counts", True)
    assert ml.Family("truncated_poisson").support == "positive counts"
    assert not ml.Family("truncated_poisson").takes_zeros
    assert (ml.Family("gamma").takes_zeros, ml.Family("gamma", zero="hurdle").takes_zeros) == (False, True)
    (size,) = ml.Family("truncated_negative_binomial").parameters
    assert size.becomes == "truncated_poisson"
    table = ml.families().set_index("family")
    assert table.loc["poisson", "modified_by"] == "inflation, hurdle"
    assert table.loc["gamma", "modified_by"] == "inflation, hurdle"
    assert table.loc["gaussian", "modified_by"] == table.loc["truncated_poisson", "modified_by"] == ""
    assert table.loc["truncated_poisson", ["links", "response"]].tolist() == ["log, identity", "positive counts"]


@pytest.mark.parametrize(
    ("name", "link", "zero", "message"),
    [
        ("gaussian", None, "inflation", "the gaussian family has no zero part .* any number"),
        ("truncated_poisson", None, "hurdle", "has no zeros: .* family='poisson' with a hurdle"),
        ("poisson", "sqrt", "inflation", "with the sqrt link has no zero part"),
        ("truncated_poisson", "sqrt", "", "has no link 'sqrt'; it has log, identity"),
        ("truncated_nbinom2", None, "", "did you mean 'truncated_negative_binomial'"),
        ("truncated_gamma", None, "", "there is no family 'truncated_gamma'"),
        ("poisson", None, "zip", "zero='zip' is no zero part"),
    ],
)
def test_families_that_there_are_not(name: str, link: str | None, zero: Any, message: str) -> None:
    with pytest.raises(ml.DataError, match=message):
        ml.Family(name, link, zero)


@pytest.mark.parametrize(
    ("family", "values", "message"),
    [
        (("poisson", "inflation"), [1, 2, 3], "y has no zero in any of 3 rows, and zero_inflation= needs some; leave"),
        (("poisson", "hurdle"), [1, 2, 3], "hurdle= needs some; family='truncated_poisson'"),
        (("gamma", "hurdle"), [1, 2, 3], "hurdle= needs some; leave hurdle= out"),
        (("gamma", "hurdle"), [0, -2, 3], "y is -2 at 1; with a zero part this family needs zeros and numbers above"),
        (("poisson", "inflation"), [0, 0, 0], "y is zero in all 3 rows: nothing is left for the poisson family"),
        (("poisson", "hurdle"), [0, 2, 2], r"y has one value besides zero \(2 at 1 and in 1 more\)"),
        (("poisson", "hurdle"), [0, -2, 2], "y is -2 at 1; a count cannot be negative"),
        (("binomial", "inflation"), [0, 1, 1], r"y has single trials: a success \(1 at 1 and in 1 more\)"),
        (("truncated_poisson", ""), [1, 0, 2, 0], "y is 0 at 1 and 1 more; a truncated family has no zeros"),
    ],
)
def test_responses_that_cannot_be(family: tuple[str, Any], values: list[float], message: str) -> None:
    with pytest.raises(ml.DataError, match=message):
        check_response(ml.Family(family[0], zero=family[1]), "y", np.array(values, float), None, "at {}".format)


def test_responses_that_can() -> None:
    place = "at {}".format
    check_response(ml.Family("gamma", zero="hurdle"), "y", np.array([0.0, 1.5, 2.0]), None, place)
    check_response(ml.Family("poisson", zero="inflation"), "y", np.array([0.0, 1.0]), None, place)
    check_response(ml.Family("binomial", zero="hurdle"), "y", np.array([0.0, 1.0, 2.0]), np.full(3, 3.0), place)
    check_values("positive counts", "y", np.array([1.0, 2.0]), None, place)


# ---- fits ----


def marginal(own: Modified, data: pd.DataFrame, beta: Array, sd: float, phi: Phi) -> float:
    """By Gauss-Hermite quadrature with very many points, in plain NumPy."""
    x, w = np.polynomial.hermite_e.hermegauss(151)
    total = 0.0
    for _, cluster in data.groupby("g"):
        log_f = np.zeros(len(x))
        for row in cluster.itertuples():
            eta = beta[0] + beta[1] * row.x + sd * x
            full = np.ones_like(eta)
            with np.errstate(invalid="ignore", divide="ignore"):
                log_f += own.log_density(eta, row.y * full, row.size_ * full, row.w * full, phi)
        log_f = np.where(np.isnan(log_f), -np.inf, log_f)  # outside the domain
        total += np.logaddexp.reduce(log_f + np.log(w)) - 0.5 * np.log(2 * np.pi)
    return total


def simulated(own: Modified) -> pd.DataFrame:
    case, rng = CASES[own.base], np.random.default_rng([3, len(own.base), len(own.by)])
    n, groups = 120, 12
    start = case.starts[own.link]
    data = pd.DataFrame({"g": np.repeat(np.arange(groups), n // groups), "x": rng.normal(size=n)})
    u = rng.normal(size=groups)[data["g"]]
    eta = start.intercept + start.scale * (0.3 * data["x"] + 0.4 * u).to_numpy()
    data["size_"] = rng.integers(2, 6, n).astype(float) if case.trials else 1.0
    data["w"] = rng.integers(1, 4, n).astype(float)
    mean = np.asarray(own.core.mean(eta))
    y = case.draw(rng, mean, data["size_"].to_numpy(), case.phi[0])
    if own.by == "truncated":
        y = np.maximum(y, 1.0)
    elif own.by == "hurdle" or not own.discrete:
        y = np.where(rng.uniform(size=n) < 0.3, 0.0, np.maximum(y, 1.0) if own.discrete else y)
    else:
        y = np.where(rng.uniform(size=n) < 0.3, 0.0, y)
    data["y"] = y
    return data


def core_model(own: Modified, data: pd.DataFrame, **more: Any) -> _core.Model:
    f = own.core
    n = len(data)
    size = data["size_"].to_numpy() if f.support == "trials" else None
    codes, levels = [data["g"].to_numpy(np.int32)], [int(data["g"].max()) + 1]
    columns = [None, data["x"].to_numpy()]
    return _core.Model(
        f.name, f.link, n, size, data["w"].to_numpy(), None, columns, codes, levels, [(0, [None], "unstructured")], 1,
        zero=f.zero, **more,
    )  # fmt: skip


@EACH
def test_likelihood_against_brute_force(own: Modified) -> None:
    data = simulated(own)
    start, phi = CASES[own.base].starts[own.link], next(phi for other, phi in ORDINARY if other == own)
    psi = np.array([start.intercept, 0.2 * start.scale, 0.5 * start.scale, *phi])
    value, gradient, hessian = _core.evaluate(core_model(own, data), data["y"].to_numpy(), psi, 25, 1)
    assert value == pytest.approx(marginal(own, data, psi[:2], psi[2], phi), abs=2e-6)
    for points in (1, 3):
        value, gradient, hessian = _core.evaluate(core_model(own, data), data["y"].to_numpy(), psi, points, 1)
        for k in range(len(psi)):

            def at(v: float, k: int = k, points: int = points) -> Array:
                moved = psi.copy()
                moved[k] = v
                f, g, _ = _core.evaluate(core_model(own, data), data["y"].to_numpy(), moved, points, 1)
                return np.array([f, *g])

            expected = difference(at, psi[k], 1e-3)
            assert abs(gradient[k] - expected[0]) < 1e-7 * (1 + np.abs(gradient).max())
            assert np.abs(hessian[:, k] - expected[1:]).max() < 1e-7 * (1 + np.abs(hessian).max())


def design(data: pd.DataFrame, names: list[str]) -> list[Any]:
    """An intercept and treatment contrasts."""
    columns: list[Any] = [None]
    for name in names:
        values = data[name]
        if values.dtype == "category":
            columns += [(values == level).to_numpy(float) for level in values.cat.categories[1:]]
        else:
            columns.append(values.to_numpy(float))
    return columns


def fitted(name: str, zero: str, data: pd.DataFrame, y: str, fixed: list[str], group: str, phi: list[Any]) -> Any:
    codes, labels = pd.factorize(data[group])
    model = _core.Model(
        name, "log", len(data), None, None, None, design(data, fixed), [codes.astype(np.int32)], [len(labels)],
        [(0, [None], "unstructured")], 1, [(*part, None) for part in phi], zero=zero,
    )  # fmt: skip
    return _core.fit(model, data[y].to_numpy(float), threads=1, check_quadrature=False)


NAMES = {"poisson": "poisson", "nbinom2": "negative_binomial", "nbinom1": "negative_binomial_1", "Gamma": "gamma"}


@pytest.mark.parametrize("key", list(REFERENCE))
def test_fits_of_glmmtmb(key: str) -> None:
    """Salamanders and gamma_sim, with one number for the zero part."""
    theirs = REFERENCE[key]
    truncated = key.startswith("truncated_")
    base = NAMES[theirs["family"].removeprefix("truncated_")]
    if base not in CASES:
        pytest.skip("not a family here")
    data = read_data(theirs["dataset"].partition(",")[0])
    if key == "hurdle_gamma":
        data.loc[np.arange(len(data)) % 4 == 0, "y"] = 0.0
        y, fixed, group = "y", ["x"], "g"
    else:
        y, fixed, group = "count", ["mined"] if key == "zinb2" else ["spp", "mined"], "site"
    if truncated:
        data = data[data["count"] > 0]
    ours = fitted(f"truncated_{base}" if truncated else base, theirs["zero"], data, y, fixed, group, [])
    p = len(theirs["fixed"])
    assert ours.ending == "converged"
    assert ours.loglik == pytest.approx(theirs["loglik"], abs=2e-7)
    np.testing.assert_allclose(ours.psi[:p], theirs["fixed"], atol=2e-5)
    assert abs(ours.psi[p]) == pytest.approx(theirs["sd"], abs=2e-5)
    if theirs["zero"]:
        assert ours.psi[-1] == pytest.approx(theirs["zeta"][0], abs=2e-5)


@pytest.mark.parametrize(
    ("key", "base", "zero", "abs_tol"),
    [
        ("zip", "poisson", "inflation", 1e-6),
        ("zip_mined", "poisson", "inflation", 1e-6),
        ("zinb2_mined", "negative_binomial", "inflation", 1e-6),
        ("hurdle_poisson", "poisson", "hurdle", 1e-6),
        ("hurdle_nbinom2", "negative_binomial", "hurdle", 1e-6),
    ],
)
def test_fits_with_a_formula_for_the_zeros(key: str, base: str, zero: str, abs_tol: float) -> None:
    """Of Salamanders, by glmmTMB."""
    theirs = read_numbers("Salamanders")["fits"][key]
    data = read_data("Salamanders")
    fixed = ["spp", "mined"] if "spp" in theirs["formula"] else ["mined"]
    names = ["spp", "mined"] if "spp" in theirs["ziformula"] else ["mined"]
    columns = design(data, names)
    phi: list[Any] = [([None], None)] * len(CASES[base].phi[0]) + [(columns, None)]
    ours = fitted(base, zero, data, "count", fixed, "site", phi)
    assert ours.ending == "converged"
    assert ours.loglik == pytest.approx(theirs["logLik"], abs=abs_tol)
    np.testing.assert_allclose(
        ours.psi[: len(theirs["fixed"])], [row["estimate"] for row in theirs["fixed"]], atol=1e-4
    )
    expected = [row["estimate"] for row in theirs["fixed_zi"]]
    np.testing.assert_allclose(ours.psi[-len(columns) :], expected, atol=1e-3)


def test_counts_without_more_zeros_come_to_the_limit() -> None:
    """Fewer zeros than a Poisson has: the fit ends at the lower limit and is the Poisson's."""
    rng = np.random.default_rng(5)
    n = 400
    data = pd.DataFrame({"g": np.arange(n) % 20, "x": rng.normal(size=n)})
    data["y"] = rng.poisson(np.exp(0.3 + 0.3 * data["x"] + 0.3 * rng.normal(size=20)[data["g"]]))
    few = data["y"] == 0
    data.loc[few & (rng.uniform(size=n) < 0.5), "y"] = 1
    plain = fitted("poisson", "", data, "y", ["x"], "g", [])
    ours = fitted("poisson", "inflation", data, "y", ["x"], "g", [])
    (zero,) = ml.Family("poisson", zero="inflation").parameters
    assert ours.ending == "converged"
    assert ours.psi[-1] == zero.lower_limit
    assert ours.loglik == pytest.approx(plain.loglik, abs=1e-8)
    np.testing.assert_allclose(ours.psi[:-1], plain.psi, atol=1e-6)


def two_factors(name: str, zero: str, nested: bool) -> tuple[_core.Model, Array]:
    rng = np.random.default_rng([2, len(name)])
    n = 240
    outer, inner = (np.arange(n) % 12).astype(np.int32), (np.arange(n) % 48).astype(np.int32)
    codes, levels = [outer, rng.integers(0, 8, n).astype(np.int32)], [12, 8]
    if nested:
        codes, levels = [inner, (inner % 12).astype(np.int32)], [48, 12]
    x = rng.normal(size=n)
    mean = np.exp(0.8 + 0.3 * x + 0.4 * rng.normal(size=12)[outer])
    y = rng.gamma(2, mean / 2) if name == "gamma" else rng.poisson(mean).astype(float)
    if zero:
        y[rng.uniform(size=n) < 0.3] = 0
    else:
        y = np.maximum(y, 1)
    terms: list[Any] = [(k, [None], "unstructured") for k in (0, 1)]
    return _core.Model(name, "log", n, None, None, None, [None, x], codes, levels, terms, 1, zero=zero), y


@pytest.mark.parametrize(("nested", "points"), [(False, 1), (True, 1), (True, 5)])
@pytest.mark.parametrize(
    ("name", "zero", "phi"),
    [
        ("poisson", "inflation", [-0.8]),
        ("negative_binomial", "hurdle", [0.5, -0.8]),
        ("gamma", "hurdle", [0.7, -0.8]),
        ("truncated_negative_binomial", "", [0.5]),
    ],
)
def test_two_grouping_factors(name: str, zero: str, phi: list[float], nested: bool, points: int) -> None:
    model, y = two_factors(name, zero, nested)
    psi = np.array([0.7, 0.2, 0.5, 0.3, *phi])
    _, gradient, _ = _core.evaluate(model, y, psi, points, 1)
    for k in range(len(psi)):

        def at(v: float, k: int = k) -> float:
            moved = psi.copy()
            moved[k] = v
            return _core.evaluate(model, y, moved, points, 1)[0]

        assert gradient[k] == pytest.approx(difference(at, psi[k], 2e-3), abs=1e-7 * (1 + np.abs(gradient).max()))
    assert _core.fit(model, y, n_quadrature=points, threads=1, check_quadrature=False).ending == "converged"


@pytest.mark.parametrize("name", ["poisson", "negative_binomial"])
def test_ones_that_a_column_marks_separate(name: str) -> None:
    """Where all that is not zero is one, the mean may vanish: zeros of a hurdle say nothing against it."""
    rng = np.random.default_rng(3)
    n = 240
    data = pd.DataFrame({"g": np.arange(n) % 12, "f": (np.arange(n) // 12 % 4 == 0).astype(float)})
    data["y"] = np.where(rng.uniform(size=n) < 0.3, 0, rng.poisson(3.0, n)).astype(float)
    data.loc[(data["f"] > 0) & (data["y"] > 0), "y"] = 1.0
    assert fitted(name, "hurdle", data, "y", ["f"], "g", []).ending == "separation"
    assert fitted(f"truncated_{name}", "", data[data["y"] > 0], "y", ["f"], "g", []).ending == "separation"
    # where all are zero nothing is known of a hurdle's mean, and an inflated one may vanish
    data.loc[data["f"] > 0, "y"] = 0.0
    unknown = fitted(name, "hurdle", data, "y", ["f"], "g", [])
    assert unknown.eigenvalues.min() < 1e-8
    assert fitted(name, "inflation", data, "y", ["f"], "g", []).ending == "separation"
