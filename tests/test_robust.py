"""Robust covariances, against clubSandwich, sandwich, scores by another quadrature in R, and plain algebra."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.errors import DataError
from multilevel.fitting.contributions import contributions
from multilevel.inference.robust import robust

REFERENCE = json.loads((Path(__file__).parent / "reference" / "robust.json").read_text(encoding="utf-8"))
DATA = pd.DataFrame(REFERENCE["data"])
AFTER = (  # those of after_the_fit that are of one kind
    ("cbpp_logit_laplace", 1),
    ("cbpp_logit_agq25", 25),
    ("contraception_slope_laplace", 1),
    ("contraception_slope_agq15", 15),
    ("epil_intercept_agq25", 25),
    ("grouseticks_brood_agq25", 25),
    ("grouseticks_brood_agq25_clustered_on_LOCATION", 25),
    ("sleepstudy_slope_ml", 1),
    ("hsb_slope_ml", 1),
)
SMALL = ("sleepstudy_slope_reml_clubSandwich", "hsb_slope_reml_clubSandwich")


def se(results: Any, kind: str, cluster: Any = None) -> np.ndarray:
    return np.sqrt(np.diag(results.cov_params(robust=kind, cluster=cluster)))


@pytest.fixture(scope="module")
def fitted(
    reference_data: Callable[[str], pd.DataFrame], reference_numbers: Callable[[str], dict[str, Any]]
) -> Callable[..., tuple[Any, dict[str, Any]]]:
    numbers = reference_numbers("after_the_fit")["robust"]

    def fit(key: str, points: int = 1) -> tuple[Any, dict[str, Any]]:
        about = numbers[key]
        data = reference_data(about["dataset"])
        if about["dataset"] == "grouseticks":
            data["sHEIGHT"] = (data["HEIGHT"] - data["HEIGHT"].mean()) / data["HEIGHT"].std()
        family = about["family"].split()[0]
        options = {"method": about["method"].lower()} if family == "gaussian" else {"n_quadrature": points}
        return ml.fit(about["formula"], data, family=family, **options), about

    return fit


@pytest.mark.parametrize(("key", "points"), AFTER)
def test_scores_of_all_parameters(key: str, points: int, fitted: Callable[..., Any]) -> None:
    results, about = fitted(key, points)
    cluster = "LOCATION" if "LOCATION" in key else None
    for kind in ("CR0", "CR1"):
        assert se(results, kind, cluster) == pytest.approx(about[f"se_{kind}"], rel=1e-7)
    if "vcov_CR0" in about:
        assert results.cov_params(robust="CR0").to_numpy() == pytest.approx(
            np.array(about["vcov_CR0"]), rel=1e-6, abs=1e-7
        )
    if "scores_first5" in about:
        own = contributions(results.fit).scores
        levels = [str(level) for level in results.fit.design.grouping_factors[0].levels]
        at = [levels.index(str(group)) for group in about["groups_first5"]]
        p = len(about["names"])
        assert own[at, :p] == pytest.approx(np.array(about["scores_first5"])[:, :p], rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("key", SMALL)
def test_linear_models_as_clubsandwich(key: str, fitted: Callable[..., Any]) -> None:
    results, about = fitted(key)
    for kind, expected in about["se"].items():
        assert se(results, kind) == pytest.approx(expected, rel=1e-9)
    table = results.tidy(robust="CR2").query("effect == 'fixed'")
    assert table["df"].to_numpy() == pytest.approx(about["CR2_satterthwaite_df"], rel=1e-8)
    assert table["p_value"].to_numpy() == pytest.approx(about["CR2_p"], rel=1e-6)


@pytest.mark.parametrize("case", REFERENCE["models"])
def test_few_uneven_clusters_as_clubsandwich(case: str) -> None:
    about = REFERENCE["models"][case]
    results = ml.fit(about["formula"], DATA, weights=about.get("weights"))
    assert results.params.to_numpy() == pytest.approx(about["estimate"], rel=1e-6)
    # lme4 ends within about 1e-7 of the variances
    for kind, expected in about["se"].items():
        assert se(results, kind, about["cluster"]) == pytest.approx(expected, rel=1e-5)
    df = robust(results.fit, "CR2", about["cluster"], DATA).df
    assert df == pytest.approx(about["df"], rel=1e-5)
    for kind, expected in about["joint"].items():
        test = results.wald_test("x = 0, treated = 0", robust=kind, cluster=about["cluster"])
        assert [test.statistic, test.den_df, test.p_value] == pytest.approx(expected, rel=1e-6)
        assert test.num_df == 2


def test_without_random_effects_as_sandwich() -> None:
    about = REFERENCE["poisson"]
    results = ml.fit(about["formula"], DATA, "poisson")
    assert se(results, "CR0") == pytest.approx(about["rows"], rel=1e-7)
    for kind in ("CR0", "CR1"):
        assert se(results, kind, "school") == pytest.approx(about[kind], rel=1e-7)


def test_adjusted_without_random_effects_as_clubsandwich() -> None:
    about = REFERENCE["poisson"]["adjusted"]
    results = ml.fit("count ~ x + treated", DATA, "poisson")
    for kind, expected in about["se"].items():
        assert se(results, kind, "school") == pytest.approx(expected, rel=1e-8)
    assert results.tidy(robust="CR2", cluster="school")["df"].to_numpy() == pytest.approx(about["df"], rel=1e-8)
    for kind, expected in about["joint"].items():
        test = results.wald_test("x = 0, treated = 0", robust=kind, cluster="school")
        assert [test.statistic, test.den_df, test.p_value] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("kind", ["CR2", "CR3"])
def test_joint_tests_by_few_clusters(kind: str) -> None:
    """Degrees of freedom by their definition: variances of the entries of the covariance, all pairs of rows."""
    results = ml.fit("y ~ x * treated + (1 | school)", DATA)
    rows = np.array([[0.0, 1, 0, 0], [0, 0, 1, 0.5]])
    M, sigma = results.fit.beta_covariance, results.fit.phi["sigma"]
    X = np.column_stack([np.ones(len(DATA)), DATA["x"], DATA["treated"], DATA["x"] * DATA["treated"]])
    school = DATA["school"].to_numpy()
    V = sigma**2 * np.eye(len(DATA)) + results.fit.theta[0][0, 0] ** 2 * (school[:, None] == school)
    left = V - X @ M @ X.T
    T = np.zeros((12, 2, len(DATA)))  # the part of each cluster of the estimates, of the residuals
    for g in range(12):
        at = np.flatnonzero(school == g + 1)
        own, own_left = V[np.ix_(at, at)], left[np.ix_(at, at)]
        D = np.linalg.cholesky(own).T
        A = np.linalg.inv(own_left @ np.linalg.inv(own))
        if kind == "CR2":
            values, vectors = np.linalg.eigh(D @ own_left @ D.T)
            A = D.T @ (vectors / np.sqrt(values)) @ vectors.T @ D
        T[g][:, at] = rows @ M @ X[at].T @ np.linalg.inv(own) @ A
    K = np.einsum("gai,ij,hbj->gahb", T, left, T)
    omega = np.einsum("gagb->ab", K)
    values, vectors = np.linalg.eigh(omega)
    root = vectors.T / np.sqrt(values)[:, None]
    K = np.einsum("sa,gahb,tb->gsht", root, K, root)
    variance = sum(
        np.sum(K[:, s, :, s] * K[:, t, :, t] + K[:, s, :, t] * K[:, t, :, s]) for s in range(2) for t in range(2)
    )
    eta = 6 / variance
    test = results.wald_test(rows, robust=kind)
    C = results.cov_params(robust=kind).to_numpy()
    b = rows @ results.params.to_numpy()
    assert test.den_df == pytest.approx(eta - 1, rel=1e-10)
    assert test.statistic == pytest.approx((eta - 1) / (2 * eta) * b @ np.linalg.solve(rows @ C @ rows.T, b), rel=1e-10)
    one = results.wald_test(rows[1], robust=kind)
    assert one.statistic == pytest.approx(float(one.table["statistic"].iloc[0]) ** 2)
    assert one.p_value == pytest.approx(float(one.table["p_value"].iloc[0]))


def test_anova_by_few_clusters() -> None:
    data = DATA.assign(kind=np.array(["a", "b", "c"])[np.arange(66) % 3])
    results = ml.fit("y ~ x + kind + (1 | school)", data)
    table = results.anova(robust="CR2")
    assert list(table.columns) == ["num_df", "den_df", "f_value", "p_value"]
    joint = results.wald_test("kind[b] = 0, kind[c] = 0", robust="CR2")
    assert table.loc["kind"].to_numpy() == pytest.approx([2, joint.den_df, joint.statistic, joint.p_value])
    single = results.tidy(robust="CR2").set_index("term").loc["x"]
    assert table.loc["x", ["den_df", "p_value"]].to_numpy() == pytest.approx(single[["df", "p_value"]].to_numpy(float))


def test_too_few_clusters_for_a_joint_test() -> None:
    data = DATA.assign(kind=np.array(list("abcde"))[np.arange(66) % 5], half=(DATA["town"] > 2).astype(int))
    results = ml.fit("y ~ kind", data)
    names = ", ".join(f"kind[{letter}] = 0" for letter in "bcde")
    with pytest.raises(DataError, match="4 equations together cannot be tested"):
        results.wald_test(names, robust="CR2", cluster="half")
    with pytest.warns(ml.errors.NotEstimableWarning, match="'kind': no test"):
        assert np.isnan(results.anova(robust="CR2", cluster="half").loc["kind", "p_value"])
    mixed = ml.fit("y ~ x + (1 | school)", data, dispersion="~ treated")
    with pytest.raises(DataError, match="CR"):
        mixed.wald_test("treated = 0", part="dispersion", robust="CR2")


@pytest.mark.parametrize(("family", "weights"), [("gaussian", None), ("gaussian", "w"), ("poisson", "w")])
def test_rows_as_clusters_have_the_scores_of_the_core(family: str, weights: str | None) -> None:
    """Without random effects their squares are summed here, row by row."""
    results = ml.fit("count ~ x + treated", DATA, family, weights=weights)
    own = results.fit
    scores = contributions(own).scores
    M = own.covariance * (63 / 66 if family == "gaussian" else 1.0)  # least squares: n - p is n by maximum likelihood
    assert robust(own, "CR0").fit.covariance == pytest.approx(M @ scores.T @ scores @ M, rel=1e-9, abs=1e-12)


def test_rows_are_clusters_of_linear_models() -> None:
    """HC0, HC2 and HC3 by their definitions."""
    results = ml.fit("y ~ x + treated", DATA)
    X = np.column_stack([np.ones(len(DATA)), DATA["x"], DATA["treated"]])
    inverse = np.linalg.inv(X.T @ X)
    e, h = DATA["y"] - X @ results.params, np.einsum("ij,jk,ik->i", X, inverse, X)
    for kind, scale in (("CR0", 1.0), ("CR2", 1 - h), ("CR3", (1 - h) ** 2)):
        expected = inverse @ (X.T * (e**2 / scale).to_numpy()) @ X @ inverse
        assert results.cov_params(robust=kind).to_numpy() == pytest.approx(expected, rel=1e-10)


def test_cr3_is_what_leaving_out_clusters_gives() -> None:
    """Of a linear model without random effects it is the jackknife around the estimate."""
    results = ml.fit("y ~ x + treated", DATA)
    moved = [
        ml.fit("y ~ x + treated", DATA[DATA["school"] != school]).params - results.params
        for school in DATA["school"].unique()
    ]
    expected = np.sum([np.outer(move, move) for move in moved], axis=0)
    assert results.cov_params(robust="CR3", cluster="school").to_numpy() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("cluster", ["school", "town"])
def test_mbn_by_its_definition(cluster: str) -> None:
    results = ml.fit("count ~ x + treated + (1 | school)", DATA, "poisson", n_quadrature=9)
    own = contributions(results.fit)
    of_part = DATA.groupby("school")[cluster].first().to_numpy()
    scores = pd.DataFrame(own.scores).groupby(of_part).sum().to_numpy()
    V = np.linalg.inv(-results.fit.hessian)
    n, k, m = len(DATA), len(V), len(scores)
    M = scores.T @ scores
    rank = k if m >= k else np.linalg.matrix_rank(V @ M)
    c = (n - 1) / (n - k) * m / (m - 1)
    delta = k / (m - k) if m > 3 * k else 0.5
    expected = c * V @ M @ V + delta * max(1.0, np.trace(V @ M) / rank) * V
    assert results.cov_params(robust="MBN", cluster=cluster).to_numpy() == pytest.approx(expected[:3, :3], rel=1e-6)


def test_a_cluster_is_a_name_or_a_value_per_row() -> None:
    results = ml.fit("y ~ x + treated + (1 | school)", DATA)
    by_name = results.cov_params(robust="CR1", cluster="town")
    for values in (
        DATA["town"],
        DATA["town"].to_numpy(),
        DATA["town"].map(lambda town: f"town {town}"),
        list(DATA["town"]),
    ):
        pd.testing.assert_frame_equal(results.cov_params(robust="CR1", cluster=values), by_name)
    assert results.cov_params(robust="CR1", cluster="school").equals(results.cov_params(robust="cr1"))
    missing = DATA.assign(x=DATA["x"].where(DATA.index != 7))
    fewer = ml.fit("y ~ x + treated + (1 | school)", missing)
    assert fewer.cov_params(robust="CR0", cluster=missing["town"]).equals(
        fewer.cov_params(robust="CR0", cluster=missing["town"].drop(index=7))
    )


def test_tables_have_the_robust_errors_and_say_so() -> None:
    positive = DATA.assign(z=np.exp(0.3 * DATA["y"]))
    results = ml.fit("z ~ x + treated + (1 | school)", positive, "gamma", link="log")
    errors = se(results, "CR1")
    tidy = results.tidy(robust="CR1")
    assert tidy["std_error"][:3].to_numpy() == pytest.approx(errors)
    assert not np.allclose(tidy["std_error"][3:], results.tidy()["std_error"][3:])  # of the variance and the size, too
    interval = results.conf_int(robust="CR1")
    assert (interval["upper"] - interval["lower"]).to_numpy() == pytest.approx(2 * 1.959963984540054 * errors)
    assert "robust standard errors: CR1, 12 clusters of school, all parameters" in str(results.summary(robust="CR1"))
    tests = results.anova(robust="CR1")
    for table in (tidy, interval, tests, results.cov_params(robust="CR1")):
        assert table.attrs["robust"] == "CR1, 12 clusters of school, all parameters"
    assert tests["chi2"].to_numpy() == pytest.approx((results.params[1:].to_numpy() / errors[1:]) ** 2)


def test_linear_tables_hold_the_variances() -> None:
    results = ml.fit("y ~ x + treated + (1 | school)", DATA)
    page = str(results.summary(robust="CR2", cluster="town"))
    assert "CR2, 6 clusters of town, variances held fixed; Satterthwaite's degrees of freedom" in " ".join(page.split())
    tidy = results.tidy(robust="CR2", cluster="town")
    assert tidy["std_error"][3:].isna().all()
    assert np.isfinite(tidy["df"][:3]).all()


def test_singular_fits_leave_the_boundary_out() -> None:
    data = DATA.assign(flat=np.tile([1.0, 2.0, 3.0], 22))
    with pytest.warns(ml.errors.SingularFitWarning):
        results = ml.fit("flat ~ x + (1 | school)", data, method="ml")
    plain = ml.fit("flat ~ x", data)
    assert se(results, "CR0") == pytest.approx(se(plain, "CR0", "school"), rel=1e-6)


def test_saved_results_still_have_it(tmp_path: Path) -> None:
    results = ml.fit("count ~ x + (1 | school)", DATA, "poisson")
    results.save(tmp_path / "fit.ml")
    again = ml.load(tmp_path / "fit.ml")
    assert again.cov_params(robust="CR1").to_numpy() == pytest.approx(results.cov_params(robust="CR1").to_numpy())
    with pytest.raises(DataError, match="no longer know their data"):
        again.cov_params(robust="CR1", cluster="town")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"robust": "HC4"}, "not known; there are 'CR0'"),
        ({"robust": "CR2"}, "known for linear models, and for others without random effects"),
        ({"cluster": "town"}, "say which with robust="),
        ({"robust": "CR1", "cluster": "nowhere"}, "no column of this name"),
        ({"robust": "CR1", "cluster": "class"}, "cut through"),
        ({"robust": "CR1", "cluster": [1, 2, 3]}, "one for each of the 66 rows"),
        ({"robust": "CR1", "cluster": np.ones((66, 2))}, "one value per row"),
        ({"robust": "CR1", "cluster": np.ones(66)}, "has one value"),
        ({"robust": "CR1", "cluster": [None] * 12 + [1] * 54}, "missing in 12"),
        ({"robust": "CR1", "df_method": "satterthwaite"}, "leave df_method= out"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    results = ml.fit("count ~ x + treated + (1 | school)", DATA, "poisson")
    with pytest.raises(DataError, match=message):
        results.cov_params(**options)


def test_crossed_factors_without_independent_parts_are_refused() -> None:
    data = DATA.assign(item=np.arange(len(DATA)) % 5)
    data["y"] = data["y"] + data["item"]
    results = ml.fit("y ~ x + (1 | school) + (1 | item)", data)
    with pytest.raises(DataError, match="no part of these data is independent of the rest, since 'school' and 'item'"):
        results.cov_params(robust="CR1")


def test_quasi_likelihood_has_no_scores() -> None:
    results = ml.fit("count ~ x + (1 | school)", DATA, "poisson", method="pql")
    for call in (lambda: results.cov_params(robust="CR1"), lambda: results.random_effects(kind="mean")):
        with pytest.raises(DataError, match="has no likelihood"):
            call()
