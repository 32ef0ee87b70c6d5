"""Truncated and zero-inflated families and hurdles, over every family of the registry that can be modified."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import multilevel as ml
from multilevel import _core
from multilevel.family.parameters import Parameter
from multilevel.family.response_kinds import check_response, check_values

from .family_cases import CASES, Phi
from .modified_cases import Modified, all_modified, modified_settings
from .test_derivatives import assert_near, differences

Array = NDArray[np.float64]
Rows = tuple[Array, Array, Array, Array]


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


@pytest.mark.parametrize("nu", [0.3, 1.0, 3.0])
def test_conway_maxwell_poisson_of_small_means_without_zeros(nu: float) -> None:
    """With lambda = mu + O(mu^2) the mean is 1 + lambda 2^-nu + ..., and log P(1) what it is above one, negative."""
    f = _core.Family("truncated_conway_maxwell_poisson", "log")
    eta = np.array([-700.0, -300.0, -60.0, -40.0, -37.0, -36.0, -35.0, -34.0, -30.0, -25.0])
    phi = np.array([-np.log(nu)])
    one = np.ones_like(eta)
    above = np.exp(eta) * 2.0**-nu
    np.testing.assert_allclose(f.response_mean(eta, phi, one), 1.0 + above, rtol=5e-16)
    d = f.derivatives(eta, one, one, one, phi)
    np.testing.assert_allclose(d["value"], -above, atol=2e-14)
    np.testing.assert_allclose(d["d1"], -above, atol=1e-14)
    np.testing.assert_allclose(f.response_variance(eta, phi, one), above, atol=4e-15)


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
