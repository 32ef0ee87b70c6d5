"""Covariance structures: closed forms, derivatives, recovery, boundaries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from multilevel import _core
from multilevel.fitting import covariance

SIMPLE = ["unstructured", "diagonal", "homogeneous diagonal"]
CORRELATED = ["compound symmetry", "homogeneous compound symmetry", "ar1", "heterogeneous ar1"]
LOADINGS = ["reduced rank 1", "reduced rank 2", "reduced rank 3"]
ALL = SIMPLE + CORRELATED + LOADINGS
LIMIT = 12.0  # tau from which on a correlation counts as being at its end


def correlation(structure: str, tau: float, q: int) -> np.ndarray:
    """The closed form."""
    lag = np.abs(np.subtract.outer(np.arange(q), np.arange(q)))
    if "ar1" in structure:
        return np.tanh(tau) ** lag
    rho = (np.exp(2 * tau) - 1) / (np.exp(2 * tau) + q - 1)
    return np.where(lag == 0, 1.0, rho)


def closed_form(structure: str, theta: np.ndarray, q: int) -> np.ndarray:
    """The covariance that theta stands for, without a Cholesky factor where there is another way."""
    if structure in CORRELATED:
        sd = theta[:-1] * np.ones(q)
        return np.outer(sd, sd) * correlation(structure, theta[-1], q)
    if structure == "homogeneous diagonal":
        return theta[0] ** 2 * np.eye(q)
    if structure == "diagonal":
        return np.diag(theta**2)
    columns = int(structure.split()[-1]) if structure in LOADINGS else q
    factor = np.zeros((q, columns))
    at = 0
    for column in range(columns):
        factor[column:, column] = theta[at : at + q - column]
        at += q - column
    return factor @ factor.T


@pytest.mark.parametrize("q", [3, 5])
@pytest.mark.parametrize("structure", ALL)
def test_factor_gives_the_closed_form(structure: str, q: int) -> None:
    own = _core.Structure(structure, q)
    rng = np.random.default_rng(q)
    for tau in (-2.5, -0.3, 0.0, 1.7):
        theta = rng.normal(size=own.n_theta)
        if structure in CORRELATED:
            theta[-1] = tau
        factor = own.factor(theta)
        assert np.array_equal(factor, np.tril(factor))
        np.testing.assert_allclose(factor @ factor.T, closed_form(structure, theta, q), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("tau", [-11.9, -6.0, 6.0, 11.9])
@pytest.mark.parametrize("structure", CORRELATED)
def test_factor_keeps_its_digits_near_the_end(structure: str, tau: float) -> None:
    own = _core.Structure(structure, 4)
    factor = own.factor(np.r_[np.ones(own.n_theta - 1), tau])
    np.testing.assert_allclose(factor @ factor.T, correlation(structure, tau, 4), atol=1e-14)
    pivots = np.diag(factor)
    if "ar1" in structure:
        np.testing.assert_allclose(pivots[1:], 1 / np.cosh(tau), rtol=1e-11)
    else:
        j, e = np.arange(4), np.exp(2 * tau)
        np.testing.assert_allclose(pivots**2, 4 * ((j + 1) * e + (3 - j)) / ((e + 3) * (j * e + (4 - j))), rtol=1e-11)


@pytest.mark.parametrize("structure", ALL)
def test_jacobians_against_differences(structure: str) -> None:
    q, h = 4, 1e-5
    own = _core.Structure(structure, q)
    theta = np.random.default_rng(1).normal(size=own.n_theta)
    steps = h * np.eye(own.n_theta)
    factor = [(own.factor(theta + d) - own.factor(theta - d)) / (2 * h) for d in steps]
    np.testing.assert_allclose(own.jacobian(theta), factor, atol=1e-8)
    sigma = [(closed_form(structure, theta + d, q) - closed_form(structure, theta - d, q)) / (2 * h) for d in steps]
    np.testing.assert_allclose(covariance.jacobian(structure, theta, q), sigma, atol=1e-8)
    np.testing.assert_allclose(covariance.factor(structure, theta, q), own.factor(theta))


def test_names() -> None:
    names = ("a", "b", "c")
    known = {
        "unstructured": ("a", "b, a", "c, a", "b", "c, b", "c"),
        "diagonal": names,
        "homogeneous diagonal": ("sd",),
        "compound symmetry": ("sd a", "sd b", "sd c", "correlation"),
        "ar1": ("sd", "correlation"),
        "reduced rank 2": ("a, factor 1", "b, factor 1", "c, factor 1", "b, factor 2", "c, factor 2"),
    }
    for structure, expected in known.items():
        assert covariance.parameter_names(structure, names) == expected
        assert _core.Structure(structure, 3).n_theta == len(expected)
    assert covariance.correlation_position("compound symmetry", 3) == 3
    assert covariance.correlation_position("unstructured", 3) is None


@pytest.mark.parametrize(
    ("structure", "q", "message"),
    [
        ("toeplitz", 3, "unknown covariance structure 'toeplitz'; there are unstructured, diagonal"),
        ("reduced rank", 3, "unknown covariance structure"),
        ("reduced rank 0", 3, "rank must lie between 1"),
        ("reduced rank 4", 3, "has 3 columns: the rank must lie between 1"),
        ("ar1", 1, "needs two columns"),
    ],
)
def test_what_makes_no_sense_is_refused(structure: str, q: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.Structure(structure, q)
    with pytest.raises(ValueError, match="theta has 1 entries; 'ar1' with 3 columns has 2"):
        _core.Structure("ar1", 3).factor(np.ones(1))


class Simulated:
    """Groups with `repeats` responses at each of `q` places; random effects of the places have covariance `sigma`."""

    def __init__(self, sigma: np.ndarray, family: str = "gaussian", groups: int = 60, repeats: int = 2, seed: int = 1):
        rng = np.random.default_rng(seed)
        self.q = q = len(sigma)
        self.family, self.groups = family, groups
        self.code = np.repeat(np.arange(groups, dtype=np.int32), q * repeats)
        self.place = np.tile(np.repeat(np.arange(q), repeats), groups)
        self.x = rng.normal(size=len(self.code))
        values, vectors = np.linalg.eigh(sigma)
        u = rng.normal(size=(groups, q)) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
        eta = 0.5 + 0.3 * self.x + u[self.code, self.place]
        noise = rng.normal(size=len(eta))
        self.y = {"gaussian": eta + noise, "binomial": (noise < eta).astype(float)}[family]

    def model(self, structure: str, scale: float = 1.0) -> _core.Model:
        """With random columns that are `scale` instead of one."""
        columns = [scale * (self.place == k) for k in range(self.q)]
        link = {"gaussian": "identity", "binomial": "probit"}[self.family]
        n = len(self.y)
        term = (0, columns, structure)
        return _core.Model(
            self.family, link, n, None, None, None, [None, self.x], [self.code], [self.groups], [term], 1
        )

    def fit(self, structure: str, method: str = "ml", **options: Any) -> Any:
        """The core's record."""
        return _core.fit(self.model(structure), self.y, method, check_quadrature=False, threads=1, **options)


def theta_of(record: Any, structure: str, q: int) -> np.ndarray:
    return record.psi[2 : 2 + _core.Structure(structure, q).n_theta]


def sigma_of(record: Any, structure: str, q: int) -> np.ndarray:
    factor = _core.Structure(structure, q).factor(theta_of(record, structure, q))
    return factor @ factor.T


@pytest.mark.parametrize("n_quadrature", [1, 3])
@pytest.mark.parametrize("family", ["gaussian", "binomial"])
@pytest.mark.parametrize("structure", [s for s in ALL if s != "reduced rank 3"])
def test_derivatives_of_the_likelihood(structure: str, family: str, n_quadrature: int) -> None:
    data = Simulated(np.eye(3), family, groups=12)
    model = data.model(structure)
    rng = np.random.default_rng(3)
    psi = np.r_[0.3, 0.2, 0.5 * rng.normal(size=model.n_theta), [0.1] * model.n_phi]
    _, gradient, hessian = _core.evaluate(model, data.y, psi, n_quadrature, 1)
    h = 1e-4

    def differences(part: int) -> np.ndarray:
        steps = h * np.eye(len(psi))

        def at(d: np.ndarray) -> Any:
            return np.asarray(_core.evaluate(model, data.y, psi + d, n_quadrature, 1)[part])

        return np.array([(8 * (at(d) - at(-d)) - (at(2 * d) - at(-2 * d))) / (12 * h) for d in steps])

    np.testing.assert_allclose(gradient, differences(0), rtol=1e-7, atol=1e-8 * np.abs(gradient).max())
    np.testing.assert_allclose(hessian, differences(1), rtol=1e-7, atol=1e-8 * np.abs(hessian).max())


@pytest.mark.parametrize("structure", [s for s in ALL if s != "reduced rank 3"])
def test_crossed_gradient_against_differences(structure: str) -> None:
    data = Simulated(np.eye(3), "binomial", groups=10)
    rng = np.random.default_rng(5)
    other = rng.integers(0, 6, size=len(data.y)).astype(np.int32)
    columns = [1.0 * (data.place == k) for k in range(3)]
    terms = [(0, columns, structure), (1, [None], "unstructured")]
    model = _core.Model(
        "binomial", "logit", len(data.y), None, None, None, [None, data.x], [data.code, other], [10, 6], terms, 1
    )
    psi = np.r_[0.3, 0.2, 0.5 * rng.normal(size=model.n_theta)]
    gradient = _core.evaluate(model, data.y, psi, 1, 1)[1]
    h = 1e-4
    value = [[_core.evaluate(model, data.y, psi + k * d, 1, 1)[0] for k in (1, -1)] for d in h * np.eye(len(psi))]
    np.testing.assert_allclose(gradient, np.subtract(*np.transpose(value)) / (2 * h), rtol=1e-5, atol=1e-5)


SD = np.array([0.6, 1.0, 1.4, 0.8])
RECOVERED = {
    "homogeneous diagonal": 0.8 * np.eye(4),
    "diagonal": np.diag(SD**2),
    "compound symmetry": np.outer(SD, SD) * np.where(np.eye(4), 1.0, 0.4),
    "homogeneous compound symmetry": np.where(np.eye(4), 1.0, -0.2),
    "ar1": correlation("ar1", 0.8, 4),
    "heterogeneous ar1": np.outer(SD, SD) * correlation("ar1", -0.8, 4),
    "reduced rank 1": np.outer(SD, SD),
    "reduced rank 2": np.outer(SD, SD) + np.outer([0, 1, 0.5, -0.5], [0, 1, 0.5, -0.5]),
    "unstructured": np.outer(SD, SD)
    * np.where(np.eye(4), 1.0, [[0, 0.5, 0.2, 0], [0.5, 0, 0.3, 0], [0.2, 0.3, 0, 0.6], [0, 0, 0.6, 0]]),
}


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
@pytest.mark.parametrize("structure", RECOVERED)
def test_recovers_what_made_the_data(structure: str, family: str) -> None:
    data = Simulated(RECOVERED[structure], family, groups=600, repeats=3, seed=11)
    record = data.fit(structure)
    assert record.ending == "converged"
    assert record.eigenvalues.min() > 1e-3
    estimate = sigma_of(record, structure, 4)
    if family == "gaussian":
        np.testing.assert_allclose(estimate, RECOVERED[structure], atol=0.25)
    else:  # the Laplace approximation shrinks variances, correlations less so
        sd = np.sqrt(np.diag(estimate))
        true = RECOVERED[structure]
        expected = true / np.sqrt(np.outer(np.diag(true), np.diag(true)))
        np.testing.assert_allclose(estimate / np.outer(sd, sd), expected, atol=0.35)
    # The estimates lie within what their standard errors allow.
    true_theta = {
        "ar1": [1.0, 0.8],
        "homogeneous diagonal": [np.sqrt(0.8)],
        "heterogeneous ar1": [*SD, -0.8],
    }.get(structure)
    if true_theta is not None and family == "gaussian":
        se = np.sqrt(np.diag(record.covariance))[2 : 2 + len(true_theta)]
        assert np.abs((theta_of(record, structure, 4) - true_theta) / se).max() < 3.5


@pytest.mark.parametrize("method", ["ml", "reml"])
def test_larger_models_fit_better(method: str) -> None:
    data = Simulated(RECOVERED["unstructured"], groups=100)
    loglik = {}
    for structure in [*SIMPLE, *CORRELATED, "reduced rank 1", "reduced rank 2", "reduced rank 4"]:
        record = data.fit(structure, method)
        assert record.ending == "converged"
        loglik[structure] = record.loglik
    for chain in (
        ["homogeneous diagonal", "diagonal", "unstructured"],
        ["homogeneous diagonal", "homogeneous compound symmetry", "compound symmetry", "unstructured"],
        ["homogeneous diagonal", "ar1", "heterogeneous ar1", "unstructured"],
        ["diagonal", "compound symmetry"],
        ["diagonal", "heterogeneous ar1"],
        ["reduced rank 1", "reduced rank 2", "unstructured"],
    ):
        values = [loglik[structure] for structure in chain]
        assert values == sorted(values), chain
    assert loglik["reduced rank 4"] == pytest.approx(loglik["unstructured"], abs=1e-7)


@pytest.mark.parametrize("structure", [*CORRELATED, "homogeneous diagonal", "reduced rank 2"])
def test_linear_and_general_objectives_agree(structure: str) -> None:
    data = Simulated(RECOVERED["compound symmetry"], groups=40)
    record = data.fit(structure)
    value, gradient, hessian = _core.evaluate(data.model(structure), data.y, record.psi, 1, 1)
    assert value == pytest.approx(record.loglik, abs=1e-8)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-4)
    np.testing.assert_allclose(record.hessian, hessian, rtol=1e-5, atol=1e-6 * np.abs(hessian).max())


@pytest.mark.parametrize("structure", ALL)
def test_units_do_not_matter(structure: str) -> None:
    data = Simulated(RECOVERED["ar1"], groups=40)
    record = data.fit(structure)
    scaled = _core.fit(data.model(structure, 0.003), 50.0 * data.y, "ml", check_quadrature=False, threads=1)
    assert scaled.ending == record.ending == "converged"
    assert scaled.loglik == pytest.approx(record.loglik - len(data.y) * np.log(50.0), abs=1e-6)
    ratio = 50.0 / 0.003
    theta, other = theta_of(record, structure, 4), theta_of(scaled, structure, 4)
    units = np.full(len(theta), ratio)
    if structure in CORRELATED:
        units[-1] = 1.0
    np.testing.assert_allclose(other, units * theta, rtol=1e-6, atol=1e-6 * ratio)


# ---- boundaries -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
@pytest.mark.parametrize("structure", CORRELATED)
def test_correlation_of_one(structure: str, family: str) -> None:
    data = Simulated(np.ones((4, 4)), family, groups=150, seed=2)
    record = data.fit(structure)
    theta = theta_of(record, structure, 4)
    assert record.ending == "converged"
    one = data.fit("reduced rank 1")
    if theta[-1] >= LIMIT:
        assert [(term, place) for term, place, _ in record.boundary] == [(0, -1)]
        assert record.boundary[0][2] < 0  # the log-likelihood falls towards smaller correlations
        assert np.isnan(record.covariance[1 + len(theta), 1 + len(theta)])
        assert np.isfinite(np.diag(record.covariance)[: 1 + len(theta)]).all()
    if len(theta) > 2:
        assert record.loglik >= one.loglik - 1e-5  # which is the same model at a correlation of one
        if theta[-1] >= LIMIT:
            assert record.loglik == pytest.approx(one.loglik, abs=1e-5)


def test_least_correlation_of_compound_symmetry() -> None:
    data = Simulated(np.where(np.eye(4), 1.0, -1 / 3), groups=200, seed=1)
    record = data.fit("homogeneous compound symmetry")
    sd, tau = theta_of(record, "homogeneous compound symmetry", 4)
    assert record.ending == "converged"
    rho = (np.exp(2 * tau) - 1) / (np.exp(2 * tau) + 3)
    assert -1 / 3 - 1e-9 <= rho < -0.25
    assert sd == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
@pytest.mark.parametrize("structure", ["homogeneous diagonal", "homogeneous compound symmetry", "ar1"])
def test_no_variance_at_all(structure: str, family: str) -> None:
    found = 0
    for seed in range(3):
        data = Simulated(np.zeros((3, 3)), family, groups=25, seed=seed)
        record = data.fit(structure)
        assert record.ending == "converged"
        theta = theta_of(record, structure, 3)
        if theta[0] == 0.0:
            found += 1
            assert record.boundary[0][:2] == (0, 0)
            assert record.boundary[0][2] < 1e-6
            assert np.isnan(np.diag(record.covariance)[2 : 2 + len(theta)]).all()
            fixed = _core.evaluate(
                data.model("diagonal"), data.y, np.r_[record.psi[:2], 0, 0, 0, record.psi[2 + len(theta) :]]
            )
            assert record.loglik == pytest.approx(fixed[0], abs=1e-9)
    assert found > 0


@pytest.mark.parametrize("structure", ["compound symmetry", "heterogeneous ar1"])
def test_a_negative_loading_stops_at_zero(structure: str) -> None:
    # The last place varies against the others, which these structures cannot say: its standard deviation is zero, and
    # the log-likelihood falls from there.
    loading = np.array([1.0, 1.0, 1.0, -0.5])
    data = Simulated(np.outer(loading, loading) + 0.3 * np.eye(4), groups=120, seed=3)
    record = data.fit(structure)
    theta = theta_of(record, structure, 4)
    assert record.ending == "converged"
    assert (theta[:-1] >= 0).all()
    assert theta[3] == 0.0
    places = {place: score for _, place, score in record.boundary}
    assert places[3] < -1.0
    slope = record.gradient[2 + 3]
    assert slope == pytest.approx(places[3], rel=1e-6)
    # Nothing with this standard deviation above zero is better.
    for s in (0.05, 0.2):
        psi = record.psi.copy()
        psi[2 + 3] = s
        assert _core.evaluate(data.model(structure), data.y, psi, 1, 1)[0] < record.loglik


def test_a_factor_too_many_vanishes() -> None:
    data = Simulated(np.outer(SD, SD), "binomial", groups=150, seed=4)
    one, two = data.fit("reduced rank 1"), data.fit("reduced rank 2")
    assert two.ending == "converged"
    assert two.loglik >= one.loglik - 1e-8
    second = theta_of(two, "reduced rank 2", 4)[4:]
    if not second.any():
        assert two.loglik == pytest.approx(one.loglik, abs=1e-7)
        assert np.isnan(np.diag(two.covariance)[2 + 4 : 2 + 7]).all()
