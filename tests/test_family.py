"""Every family of the registry against its own density: total probability, mean, variance, deviance, link."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

import multilevel as ml
from multilevel import _core

from .family_cases import CASES, FAMILIES, PAIRS, Phi, name_of, settings


def test_every_family_of_the_registry_has_its_case() -> None:
    """Without one the tests that run over the registry would have nothing to compare with."""
    assert set(CASES) == set(FAMILIES)
    for name, links in ((own, [link for family, link in PAIRS if family == own]) for own in FAMILIES):
        case, family = CASES[name], ml.Family(name)
        assert set(case.grids) == set(case.tails) == set(case.starts) == set(links), name
        assert {len(phi) for phi in case.phi + case.extreme} == {len(family.parameters)}, name
        assert bool(case.extreme) == bool(family.parameters), name
        assert case.trials == (family.support == "trials"), name


def test_what_the_registry_says() -> None:
    table = ml.families().set_index("family")
    assert table["response"].to_dict() == {
        "binomial": "trials",
        "poisson": "counts",
        "gaussian": "numbers",
        "gamma": "positive",
        "negative_binomial": "counts",
        "truncated_poisson": "positive counts",
        "truncated_negative_binomial": "positive counts",
        "truncated_negative_binomial_1": "positive counts",
        "truncated_geometric": "positive counts",
        "truncated_generalized_poisson": "positive counts",
        "truncated_conway_maxwell_poisson": "positive counts",
        "lognormal": "positive",
        "inverse_gaussian": "positive",
        "exponential": "positive",
        "weibull": "positive",
        "student_t": "numbers",
        "skew_normal": "numbers",
        "tweedie": "nonnegative",
        "negative_binomial_1": "counts",
        "geometric": "counts",
        "beta": "open unit",
        "beta_binomial": "trials",
        "generalized_poisson": "counts",
        "conway_maxwell_poisson": "counts",
        "ordered_beta": "closed unit",
        "cumulative": "categories",
        "multinomial": "choices",
        "conditional": "choices",
        "adjacent": "categories",
        "continuation": "categories",
        "reverse_continuation": "categories",
    }
    assert table.loc["gamma", "links"] == "log, inverse, identity"
    assert table.loc["negative_binomial", "parameters"] == "size: the variance is mu + mu^2 / size"
    assert (table["reference"] != "").all()
    (size,) = ml.Family("negative_binomial").parameters
    assert (size.internal, size.becomes) == ("log_size", "poisson")
    assert 25 < size.limit < 35
    (dispersion,) = ml.Family("negative_binomial_1").parameters
    assert (dispersion.internal, dispersion.becomes) == ("minus_log_dispersion", "poisson")
    assert dispersion.natural(dispersion.limit) == 0.0
    assert dispersion.natural(dispersion.phi(1.4)) == pytest.approx(1.4)
    (shape,) = ml.Family("gamma").parameters
    assert (shape.internal, shape.limit, shape.becomes) == ("log_shape", np.inf, "")
    assert [name for name in FAMILIES if ml.Family(name).has_residual] == ["gaussian"]


@pytest.mark.parametrize(("name", "link", "phi"), settings(extreme=True), ids=name_of)
@pytest.mark.parametrize("mean", [0.07, 0.4, 0.93])
def test_density_mean_and_variance(name: str, link: str, phi: Phi, mean: float) -> None:
    family = _core.Family(name, link)
    eta = float(family.link_of_mean(np.array([mean]))[0])
    assert family.mean(np.array([eta]))[0] == pytest.approx(mean, rel=1e-12)
    all_of = CASES[name].outcomes(mean, phi)
    y, size = all_of.y, np.full(len(all_of.y), all_of.size)
    rows = family.derivatives(np.full(len(y), eta), y, size, np.ones(len(y)), list(phi))
    probability = all_of.weight * np.exp(rows["value"] + rows["constant"])
    assert probability.sum() == pytest.approx(1.0, abs=1e-10)
    proportion = y / size
    # where the spread is far from one, relative to it
    spread = float(family.dispersion(list(phi))[0] * family.variance(np.array([mean]), list(phi))[0]) / size[0]
    spread *= float(family.variance_ratio(size[:1], list(phi))[0])
    scale = max(1.0, np.sqrt(spread))
    if np.isfinite(spread):
        if CASES[name].mean_of_all:
            assert probability @ proportion == pytest.approx(mean, abs=1e-10 * scale)
        assert probability @ (proportion - mean) ** 2 == pytest.approx(spread, abs=1e-10 * scale**2)
    if all_of.lost > 1e-12 and ml.Family(name).support in ("open unit", "closed unit"):
        return  # the score has logarithms, which what is lost has without bound
    # The score has mean zero, and its variance is the expected information.
    information = rows["expected_information"][0]
    assert probability @ rows["d1"] == pytest.approx(0.0, abs=1e-9 * max(1.0, np.sqrt(information)))
    if not CASES[name].expected:
        return
    if not CASES[name].mean_of_all:
        assert probability @ rows["d1"] ** 2 > information * (1 - 1e-9)
    elif CASES[name].exact_information:
        assert probability @ rows["d1"] ** 2 == pytest.approx(information, rel=1e-8)
    else:  # what a linear function of the response knows
        slope = (probability @ (rows["d1"] * (proportion - mean))) ** 2 / spread
        assert information == pytest.approx(slope, rel=1e-8)
        assert probability @ rows["d1"] ** 2 > information * (1 - 1e-9)


UNIT = ("trials", "open unit", "closed unit")  # whose means are between zero and one
WITH_PARAMETERS = [
    (name, link, phi)
    for name, link, phi in settings(extreme=True)
    if phi and CASES[name].outcomes(0.4, phi).lost < 1e-12  # what is lost has logarithms without bound
]


@pytest.mark.parametrize(("name", "link", "phi"), WITH_PARAMETERS, ids=name_of)
@pytest.mark.parametrize("mean", [0.4, 3.0])
def test_scores_of_the_parameters(name: str, link: str, phi: Phi, mean: float) -> None:
    """Those of log phi have mean zero, and their variance is minus the mean of the second derivative."""
    family = _core.Family(name, link)
    if ml.Family(name).support in UNIT:
        mean = min(mean, 0.2 + 0.2 * (mean < 1))
    all_of = CASES[name].outcomes(mean, phi)
    y, one = all_of.y, np.ones(len(all_of.y))
    eta = float(family.link_of_mean(np.array([mean]))[0])
    rows = family.derivatives(eta * one, y, all_of.size * one, one, list(phi))
    probability = all_of.weight * np.exp(rows["value"] + rows["constant"])
    for r in range(len(phi)):
        score, second = rows[f"phi{r}_d0"], rows[f"phi{r}_{r}_d0"]
        variance = probability @ score**2
        assert probability @ score == pytest.approx(0.0, abs=1e-9 * max(1.0, np.sqrt(variance)))
        assert -(probability @ second) == pytest.approx(variance, rel=1e-7, abs=1e-9)
        cross = probability @ (score * rows["d1"])
        assert -(probability @ rows[f"phi{r}_d1"]) == pytest.approx(cross, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize(("name", "link", "phi"), settings(), ids=name_of)
def test_deviance_is_twice_the_distance_to_the_best_fit(name: str, link: str, phi: Phi) -> None:
    """In units of the dispersion."""
    family = _core.Family(name, link)
    y, mu = np.array([0.3, 0.6]), np.array([0.5, 0.2])
    one, own = np.ones(2), CASES[name].best(y, phi)
    at = [family.derivatives(family.link_of_mean(mean), y, one, one, list(phi))["value"] for mean in (own, mu)]
    if not CASES[name].own_mean_is_best:
        at[0] = np.array([best(family, value, list(phi)) for value in y])
    expected = 2 * (at[0] - at[1]) * family.dispersion(list(phi))
    np.testing.assert_allclose(family.unit_deviance(y, mu, list(phi)), expected, rtol=1e-9)
    if CASES[name].own_mean_is_best:
        assert np.abs(family.unit_deviance(y, own, list(phi))).max() < 1e-15
    else:
        assert (family.unit_deviance(y, y, list(phi)) >= 0).all()


def best(family: _core.Family, y: float, phi: list[float]) -> float:
    """The largest log density over the linear predictor."""
    one = np.ones(1)

    def lacks(eta: float) -> float:
        return -family.derivatives(eta * one, y * one, one, one, phi)["value"][0]

    return -optimize.minimize_scalar(lacks, bounds=(-8, 8), method="bounded", options={"xatol": 1e-9}).fun


@pytest.mark.parametrize(("name", "link"), PAIRS)
def test_deviance_of_zero_is_the_limit(name: str, link: str) -> None:
    if ml.Family(name).support in ("positive", "open unit", "closed unit"):
        return  # where zero cannot be observed there is none
    family, phi = _core.Family(name, link), list(CASES[name].phi[0])
    at = [family.unit_deviance(np.array([y]), np.array([0.4]), phi)[0] for y in (0.0, 1e-40)]
    # where the best mean is another one the deviance has a root in the response
    assert at[0] == pytest.approx(at[1], abs=1e-10 if CASES[name].own_mean_is_best else 1e-5)
    assert at[0] > 0
