"""The printed numbers of four courses: a survey (glmer), pupils in schools (SAS), small tables (SPSS), formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.errors import DataWarning, FormulaError
from multilevel.inference.mixtures import tail


def variance_of(fit: Any) -> float:
    """Of the one random intercept."""
    return float(next(iter(fit.random_cov.values())).to_numpy()[0, 0])


def block(page: Any, title: str) -> str:
    """A block of a summary by its title."""
    return str(next(own.text() for own in page.blocks if getattr(own, "title", "") == title))


# ---- (a) a survey before an election, as glmer prints it ------------------------------------------------------------


@pytest.fixture(scope="module")
def survey(reference_data: Any) -> Any:
    return ml.fit("bush ~ black + female + (1 | state_label)", reference_data("polls"), family="binomial")


def test_the_printout_of_glmer(survey: Any) -> None:
    assert f"{survey.aic:.1f} {survey.bic:.1f} {survey.llf:.1f} {-2 * survey.llf:.1f}" == "2666.7 2689.1 -1329.3 2658.7"
    assert (survey.nobs, survey.df_resid, survey.n_groups["state_label"]) == (2015, 2011, 49)
    residuals = np.quantile(survey.residuals("pearson"), [0, 0.25, 0.5, 0.75, 1])
    # lme4's default tolerances: printed estimates within 3e-5, standard errors within 0.1 percent
    np.testing.assert_allclose(residuals, [-1.7276, -1.0871, 0.6673, 0.8422, 2.5271], atol=1e-4)
    variance, deviation = survey.vcov_table()["estimate"]
    assert f"{variance:.4f} {deviation:.4f}" == "0.1692 0.4113"
    np.testing.assert_allclose(survey.params, [0.44523, -1.74161, -0.09705], atol=3e-5)
    np.testing.assert_allclose(survey.bse, [0.10139, 0.20954, 0.09511], rtol=1e-3)
    np.testing.assert_allclose(survey.tvalues, [4.391, -8.312, -1.020], atol=4e-3)


def test_profile_intervals_as_printed(survey: Any) -> None:
    found = pd.concat([survey.conf_int(method="profile", which="random"), survey.conf_int(method="profile")])
    printed = [[0.2608567, 0.60403428], [0.2452467, 0.64871247], [-2.1666001, -1.34322366], [-0.28371, 0.08919986]]
    # lme4 interpolates its profile between a few points
    np.testing.assert_allclose(found, printed, atol=1e-4)


def test_odds_ratios_in_words(survey: Any) -> None:
    words = " ".join(str(survey.interpret()).split())
    assert "with black 1 rather than 0, the odds of bush are 0.1752 times as large, 82.5 % lower" in words
    assert "the odds of bush are 1.561 (95 % interval 1.279 to 1.904) where black is 0, female is 0" in words
    table = survey.tidy(exponentiate=True).set_index("term")
    # exp(-1.7416) = 1 / 5.71
    assert 1 / table.loc["black", "estimate"] == pytest.approx(np.exp(1.74161), rel=1e-4)
    assert table.loc["black", "quantity"] == "odds ratio"


# ---- (c) pupils in schools, on simulated data of the size of a lecture's ---------------------------------------------


@pytest.fixture(scope="module")
def schools() -> pd.DataFrame:
    rng = np.random.default_rng(94)
    school = np.sort(np.concatenate([np.arange(94), rng.integers(0, 94, 13_082 - 94)]))
    effect, slope = rng.multivariate_normal([0.0, 0.0], [[0.84, 0.05], [0.05, 0.06]], 94).T
    ses = rng.normal(size=len(school)) + 0.9 * rng.normal(size=94)[school]
    girl = rng.integers(0, 2, len(school))
    eta = -1.0 + effect[school] + (0.8 + slope[school]) * ses + 0.3 * girl
    passed = rng.uniform(size=len(school)) < 1.0 / (1.0 + np.exp(-eta))
    return pd.DataFrame({"passed": passed.astype(int), "ses": ses, "girl": girl, "school": school})


@pytest.fixture(scope="module")
def ladder(schools: pd.DataFrame) -> list[Any]:
    parts = ["1 + (1 | school)", "ses + girl + (1 | school)", "ses + girl + (ses | school)"]
    return [ml.fit(f"passed ~ {part}", schools, family="binomial") for part in parts]


def test_the_tables_of_a_ladder_of_models(ladder: list[Any], schools: pd.DataFrame) -> None:
    null, full, slope = ladder
    assert (full.nobs, full.n_groups["school"]) == (13_082, 94)
    for fit in ladder:
        assert fit.deviance == pytest.approx(-2 * fit.llf, rel=1e-14)
        assert fit.aic == pytest.approx(fit.deviance + 2 * len(fit.fit.psi), rel=1e-14)
        assert fit.bic == pytest.approx(fit.deviance + len(fit.fit.psi) * np.log(13_082), rel=1e-14)
        np.testing.assert_allclose(fit.tvalues, fit.params / fit.bse, rtol=1e-14)
        low, high = fit.conf_int().to_numpy().T
        np.testing.assert_allclose(high - fit.params, 1.959964 * fit.bse, rtol=1e-6)
        np.testing.assert_allclose(fit.params - low, 1.959964 * fit.bse, rtol=1e-6)
        ratios = fit.tidy(exponentiate=True).query("effect == 'fixed'")
        np.testing.assert_allclose(ratios["estimate"], np.exp(fit.params), rtol=1e-14)
        np.testing.assert_allclose(ratios[["conf_low", "conf_high"]], np.exp(np.column_stack([low, high])), rtol=1e-14)
    assert null.llf < full.llf < slope.llf


def test_shares_of_variance_on_the_latent_scale(ladder: list[Any]) -> None:
    null, full, _ = ladder
    latent = np.pi**2 / 3
    own = [variance_of(fit) for fit in (null, full)]
    for fit, variance in zip((null, full), own, strict=True):
        assert fit.icc()["estimate"].item() == pytest.approx(variance / (variance + latent), rel=1e-10)
    explained = full.variance_explained(null)["explained"].item()
    assert explained == pytest.approx(1 - own[1] / own[0], rel=1e-10)
    # the lecture's own variances
    assert [round(v / (v + latent), 3) for v in (1.9434, 0.8361)] == [0.371, 0.203]
    assert round(1 - 0.8361 / 1.9434, 3) == 0.570


def test_the_scale_factor_between_models(ladder: list[Any], schools: pd.DataFrame) -> None:
    null, full, _ = ladder
    of_null, of_full = (variance_of(fit) for fit in (null, full))
    fixed = np.var(full.params["ses"] * schools["ses"] + full.params["girl"] * schools["girl"])
    latent = np.pi**2 / 3
    table = full.rescale_to(null)
    assert table.attrs["factor"] == pytest.approx(np.sqrt((of_null + latent) / (of_full + fixed + latent)), rel=1e-4)
    np.testing.assert_allclose(table["estimate"], table.attrs["factor"] * full.params, rtol=1e-12)


def test_degrees_of_freedom_as_sas_counts_them(schools: pd.DataFrame) -> None:
    data = schools.assign(score=schools["passed"] + 0.1 * schools["ses"] + np.sin(np.arange(len(schools))))
    fit = ml.fit("score ~ ses + girl + (1 | school)", data)
    assert fit.degrees_of_freedom("containment-sas").tolist() == [93, 12_986, 12_986]
    slope = ml.fit("score ~ ses + girl + (ses | school)", data)
    assert slope.degrees_of_freedom("containment-sas").tolist() == [93, 93, 12_893]
    assert slope.summary(df_method="containment-sas") is not None
    assert slope.anova(type=3, df_method="containment-sas")["den_df"].tolist() == [93, 12_893]


def test_the_p_value_of_a_random_slope_is_of_a_mixture(ladder: list[Any]) -> None:
    from scipy.stats import chi2

    _, full, slope = ladder
    assert float(f"{tail(38.34, {1: 0.5, 2: 0.5}):.2e}") == 2.66e-9  # as the lecture prints it
    found = slope.test_variance("school", "ses")
    expected = 2 * (slope.llf - full.llf)
    assert found.chi2 == pytest.approx(expected, rel=1e-7)
    assert found.p_value == pytest.approx(0.5 * chi2.sf(expected, 1) + 0.5 * chi2.sf(expected, 2), rel=1e-5)
    assert ml.compare(full, slope)["p_value"].iloc[1] == pytest.approx(found.p_value, rel=1e-6)


# ---- (d) small tables, as SPSS prints them ---------------------------------------------------------------------------


def test_the_table_of_admissions() -> None:
    people = pd.DataFrame({"admitted": [1] * 7 + [0] * 3 + [1] * 3 + [0] * 7, "man": [1] * 10 + [0] * 10})
    model = ml.MixedModel("admitted ~ man", people, family="binomial")
    assert model.crosstab("admitted", "man").counts.to_numpy().tolist() == [[7, 3], [3, 7]]
    fit = model.fit()
    rows = [line.split() for line in block(fit.summary(style="spss"), "Fixed effects:").splitlines()]
    shown = {row[0]: [float(cell) for cell in row[1:7]] for row in rows if row[0] in ("man", "(Intercept)")}
    np.testing.assert_allclose(shown["man"], [1.695, 0.976, 3.015, 1, 0.082, 5.444], atol=5.1e-4)
    np.testing.assert_allclose(shown["(Intercept)"], [-0.847, 0.690, 1.508, 1, 0.220, 0.429], atol=5.1e-4)
    np.testing.assert_allclose(fit.predict(pd.DataFrame({"man": [1, 0]})), [0.7, 0.3], rtol=1e-7)


def test_probabilities_and_odds_at_chosen_values() -> None:
    # shares that lie on the printed line, so that the line is found again
    points = np.arange(0, 11)
    share = 1 / (1 + np.exp(-(1.776 - 0.275 * points)))
    data = pd.DataFrame({"share": share, "above": points, "n": 50})
    with pytest.warns(DataWarning, match="whole"):
        fit = ml.fit("share ~ above", data, family="binomial", weights="n")
    np.testing.assert_allclose(fit.params, [1.776, -0.275], rtol=1e-6)
    at = pd.DataFrame({"above": [0, 1, 6, 7]})
    assert fit.predict(at).round(2).tolist() == [0.86, 0.82, 0.53, 0.46]
    odds = np.exp(fit.predict(at, kind="link"))
    np.testing.assert_allclose(odds, fit.predict(at) / (1 - fit.predict(at)), rtol=1e-12)
    assert odds[1] / odds[0] == pytest.approx(np.exp(-0.275), rel=1e-6)


# ---- formulas of a lecture -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "mark"),
    [
        ("read ~ gender + ses (1 | school)", "(1 | school)"),
        ("read ~ gender ses + (1 | school)", "ses"),
    ],
)
def test_a_missing_plus_is_found(formula: str, mark: str) -> None:
    data = pd.DataFrame({"read": [1.0, 2.0], "gender": [0, 1], "ses": [0.1, 0.2], "school": ["a", "b"]})
    with pytest.raises(FormulaError, match=r"is a '\+' missing\?") as caught:
        ml.MixedModel(formula, data)
    _, shown, caret = str(caught.value).split("\n")
    assert shown[caret.index("^") :].startswith(mark)


def test_three_correlated_effects_by_teacher() -> None:
    rng = np.random.default_rng(5)
    factor = np.array([[1.0, 0.0, 0.0], [0.3, 0.6, 0.0], [-0.2, 0.2, 0.5]])
    teacher = np.repeat(np.arange(30), 80)
    x, z = rng.normal(size=(2, len(teacher)))
    effects = (rng.normal(size=(30, 3)) @ factor.T)[teacher]
    eta = 0.2 + effects[:, 0] + (0.5 + effects[:, 1]) * x + (-0.4 + effects[:, 2]) * z
    data = pd.DataFrame({"passed": rng.binomial(1, 1 / (1 + np.exp(-eta))), "x": x, "z": z, "teacher": teacher})
    fit = ml.fit("passed ~ x + z + (1 + x + z | teacher)", data, family="binomial")
    covariance = np.asarray(fit.random_cov["teacher"])
    assert np.linalg.eigvalsh(covariance).min() > 0.01
    columns, passed = np.column_stack([np.ones(len(data)), x, z]), data["passed"].to_numpy()
    blocks = [(columns[teacher == t], passed[teacher == t]) for t in range(30)]
    at = laplace(blocks, np.asarray(fit.params), covariance)
    assert fit.llf == pytest.approx(at, abs=1e-8)
    for k in range(3):  # a maximum: less to both sides of every coefficient and every variance
        for step in (-0.03, 0.03):
            beta, other = np.array(fit.params), covariance.copy()
            beta[k] += step
            other[k, k] *= 1 + 3 * step
            assert laplace(blocks, beta, covariance) < at
            assert laplace(blocks, np.asarray(fit.params), other) < at


def laplace(blocks: list[tuple[Any, Any]], beta: Any, covariance: Any) -> float:
    """The Laplace approximation from its definition: the mode of each group by Newton steps, the curvature there."""
    precision, total = np.linalg.inv(covariance), 0.0
    for columns, y in blocks:
        u = np.zeros(len(beta))
        for _ in range(30):
            p = 1 / (1 + np.exp(-columns @ (beta + u)))
            hessian = columns.T @ ((p * (1 - p))[:, None] * columns) + precision
            u = u + np.linalg.solve(hessian, columns.T @ (y - p) - precision @ u)
        eta = columns @ (beta + u)
        joint = np.sum(y * eta - np.log1p(np.exp(eta))) - 0.5 * u @ precision @ u
        total += joint - 0.5 * (np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(hessian)[1])
    return float(total)
