"""Models of truncated and zero-inflated families and hurdles: likelihoods by brute force, fits of other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel import _core

from .family_cases import CASES, Phi
from .modified_cases import Modified
from .reference_files import read_data, read_numbers
from .test_derivatives import difference
from .test_modified_families import EACH, ORDINARY, Array

REFERENCE: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "reference" / "modified_families.json").read_text(encoding="utf-8")
)["fits"]


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
