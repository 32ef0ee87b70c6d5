"""F tests of terms: against lmerTest, and the properties that define the types."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

import multilevel as ml
from multilevel.inference.anova import anova, f_test
from multilevel.inference.degrees_of_freedom.methods import denominator_df
from multilevel.inference.term_contrasts import cross_products, term_contrasts

from .small_samples import REFERENCE, fitted, read, refitted

FITS = REFERENCE["fits"]
TABLES = [
    (key, method, int(type_))
    for key, fit in FITS.items()
    for method, tables in fit.get("anova", {}).items()
    for type_ in tables
    # lmerTest does not see that a:b contains a when there is no b: test_nesting_is_no_other_hypothesis
    if key != "factorial nested terms" or type_ == "1"
]
DENOMINATOR = {"satterthwaite": 1e-5, "kenward-roger": 1e-6}  # relative; lmerTest differences the deviance


def fit_of(formula: str, dataset: str = "factorial", **options: object) -> ml.MixedModelResults:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return ml.fit(formula, read(dataset), **options)


@pytest.mark.parametrize(("key", "method", "type_"), TABLES)
def test_as_lmer_test(key: str, method: str, type_: int) -> None:
    reference = FITS[key]["anova"][method][str(type_)]
    table = anova(refitted(key).fit, type_, method)
    assert list(table.index) == [term.replace("^", "**") for term in reference["terms"]]
    assert list(table.columns) == ["sum_sq", "mean_sq", "num_df", "den_df", "f_value", "p_value"]
    assert table["num_df"].tolist() == reference["num_df"]
    np.testing.assert_allclose(table["den_df"], reference["den_df"], rtol=DENOMINATOR[method])
    for column in ("sum_sq", "mean_sq", "f_value"):
        np.testing.assert_allclose(table[column], reference[column], rtol=1e-5)
    np.testing.assert_allclose(table["p_value"], reference["p_value"], rtol=1e-3, atol=1e-6)


def test_containment_has_the_strata_of_the_terms() -> None:
    table = anova(refitted("hsb slope").fit, 3, "containment")
    assert table["den_df"].to_dict() == {
        "meanses": 157, "cses": 7022, "sector": 157, "meanses:cses": 7022, "cses:sector": 7022,
    }  # fmt: skip
    split_plot = fitted("oats", "yield ~ Variety * nitro + (1 | Block / Variety)").fit
    for type_ in (1, 2, 3):
        assert anova(split_plot, type_, "containment")["den_df"].tolist() == [10, 51, 51]


@pytest.mark.parametrize("type_", [1, 2, 3])
@pytest.mark.parametrize("dataset", ["factorial", "empty"])
def test_no_type_depends_on_the_coding(type_: int, dataset: str) -> None:
    formula = "y ~ a * b + a * x + (1 | subject)"
    treatment = anova(fit_of(formula, dataset).fit, type_)
    for a, b in (("sum", "sum"), ("helmert", "treatment"), ("poly", "sum")):
        other = anova(fit_of(formula, dataset, contrasts={"a": a, "b": b}).fit, type_)
        np.testing.assert_allclose(other["f_value"], treatment["f_value"], rtol=1e-5)
        np.testing.assert_allclose(other["den_df"], treatment["den_df"], rtol=1e-5)
        assert other["num_df"].tolist() == treatment["num_df"].tolist()


# anova(lmer(y ~ a * b + a * x + (1 | subject)), type = 3) of lmerTest 3.1.3 (lme4 1.1.31, R 4.2.2), where
# options(contrasts =) of contr.treatment, contr.sum and contr.helmert give the same.
LMER_TEST_TYPE_3 = {
    "a": (2, 76.70578251, 7.814887178),
    "b": (1, 76.56930459, 0.139015890),
    "x": (1, 78.25202347, 4.103529673),
    "a:b": (2, 76.00757030, 3.959948355),
    "a:x": (2, 79.18574739, 0.001805685),
}


@pytest.mark.parametrize(
    ("a", "b"), [("treatment", "treatment"), ("sum", "sum"), ("helmert", "sum"), ("poly", "helmert")]
)
def test_type_3_of_lmer_test_in_any_coding(a: str, b: str) -> None:
    table = anova(fit_of("y ~ a * b + a * x + (1 | subject)", contrasts={"a": a, "b": b}).fit)
    for term, (num_df, den_df, f_value) in LMER_TEST_TYPE_3.items():
        assert table.loc[term, "num_df"] == num_df
        assert table.loc[term, "den_df"] == pytest.approx(den_df, rel=1e-6)
        assert table.loc[term, "f_value"] == pytest.approx(f_value, rel=1e-6)


@pytest.mark.parametrize(
    "formula", ["y ~ a + b + x + (1 | subject)", "y ~ a / b + a:x + (1 | subject)", "y ~ 0 + a * b"]
)
@pytest.mark.parametrize("method", ["satterthwaite", "kenward-roger"])
def test_no_method_depends_on_the_coding(formula: str, method: str) -> None:
    matrix = [[1.0, 0.3], [0.0, 1.0], [-1.0, 2.0]]
    for type_ in (1, 2, 3):
        treatment = anova(fit_of(formula).fit, type_, method)
        for coding in ("sum", "diff", matrix):
            other = anova(fit_of(formula, contrasts={"a": coding}).fit, type_, method)
            np.testing.assert_allclose(other.to_numpy(float), treatment.to_numpy(float), rtol=1e-6, atol=1e-12)


def test_codings_with_too_few_columns_are_their_own_hypothesis() -> None:
    """A coding of three levels by one column is a number, and there is nothing to compare it with."""
    results = fit_of("y ~ a + x + (1 | subject)", contrasts={"a": [[-1.0], [0.0], [1.0]]})
    table = anova(results.fit)
    assert table["num_df"].to_dict() == {"a": 1, "x": 1}
    wanted = f_test(results.fit, np.eye(3)[1:2])
    assert table.loc["a", "den_df"] == pytest.approx(wanted.den_df, rel=1e-9)


def test_type_3_compares_averages_of_cell_means() -> None:
    results = fit_of("y ~ a * b + (1 | subject)")
    fit = results.fit
    # rows of the design: (Intercept), a[mid], a[high], b[yes], a[mid]:b[yes], a[high]:b[yes]
    cell = {
        (a, b): np.array([1, a == 1, a == 2, b, (a == 1) * b, (a == 2) * b], dtype=float)
        for a in range(3)
        for b in range(2)
    }
    of_a = [sum(cell[a, b] for b in range(2)) / 2 for a in range(3)]
    of_b = [sum(cell[a, b] for a in range(3)) / 3 for b in range(2)]
    table = anova(fit)
    for term, rows in (("a", [of_a[1] - of_a[0], of_a[2] - of_a[0]]), ("b", [of_b[1] - of_b[0]])):
        wanted = f_test(fit, rows, "satterthwaite")
        assert table.loc[term, "f_value"] == pytest.approx(wanted.f_value, rel=1e-9)
        assert table.loc[term, "den_df"] == pytest.approx(wanted.den_df, rel=1e-9)
        assert table.loc[term, "p_value"] == pytest.approx(
            stats.f.sf(wanted.f_value, wanted.num_df, wanted.den_df), rel=1e-9
        )


def test_nesting_is_no_other_hypothesis() -> None:
    crossed, nested = fit_of("y ~ a * b + (1 | subject)").fit, fit_of("y ~ a / b + (1 | subject)").fit
    assert anova(nested).loc["a", "f_value"] == pytest.approx(anova(crossed).loc["a", "f_value"], rel=1e-6)
    both = f_test(crossed, np.eye(6)[3:])  # b and a:b together
    assert anova(nested).loc["a:b", "f_value"] == pytest.approx(both.f_value, rel=1e-6)


def test_types_1_and_2_are_what_a_term_adds() -> None:
    """With no grouping to speak of, F is the reduction of the residual sum of squares, over the residual variance."""
    frame = read("factorial")
    results = ml.fit("y ~ a * b + x", frame)
    table = {k: anova(results.fit, k) for k in (1, 2)}

    def rss(formula: str) -> float:
        fit = ml.fit(formula, frame).fit
        return fit.phi["sigma"] ** 2 * fit.df_resid

    variance = results.fit.phi["sigma"] ** 2
    steps = {
        (1, "a"): ("y ~ 1", "y ~ a"),
        (1, "b"): ("y ~ a", "y ~ a + b"),
        (1, "x"): ("y ~ a + b", "y ~ a + b + x"),
        (1, "a:b"): ("y ~ a + b + x", "y ~ a * b + x"),
        (2, "a"): ("y ~ b + x", "y ~ a + b + x"),
        (2, "b"): ("y ~ a + x", "y ~ a + b + x"),
        (2, "x"): ("y ~ a * b", "y ~ a * b + x"),
        (2, "a:b"): ("y ~ a + b + x", "y ~ a * b + x"),
    }
    for (type_, term), (smaller, larger) in steps.items():
        wanted = (rss(smaller) - rss(larger)) / variance
        row = table[type_].loc[term]
        assert row["f_value"] * row["num_df"] == pytest.approx(wanted, rel=1e-7)
        assert row["den_df"] == len(frame) - 7


def test_other_families_have_chi_squares() -> None:
    fit = ml.fit("use ~ age + urban * livch + (1 | district)", ml.datasets.contraception(), family="binomial").fit
    table = anova(fit)
    assert list(table.columns) == ["chi2", "df", "p_value"]
    assert list(table.index) == ["age", "urban", "livch", "urban:livch"]
    z = fit.beta[1] / np.sqrt(fit.beta_covariance[1, 1])
    assert table.loc["age", "chi2"] == pytest.approx(z**2, rel=1e-9)
    np.testing.assert_allclose(table["p_value"], stats.chi2.sf(table["chi2"], table["df"]), rtol=1e-9)
    interaction = [name.startswith("urban") and ":" in name for name in fit.fixed_names]
    wanted = fit.beta[interaction] @ np.linalg.solve(
        fit.beta_covariance[np.ix_(interaction, interaction)], fit.beta[interaction]
    )
    assert table.loc["urban:livch", "chi2"] == pytest.approx(wanted, rel=1e-9)
    with pytest.raises(ml.DataError, match="whose tests are asymptotic"):
        anova(fit, df_method="satterthwaite")


@pytest.mark.parametrize("type_", [1, 2, 3])
def test_a_redundant_term_has_no_hypothesis(type_: int) -> None:
    fit = fit_of("y ~ a + x + I(2 * x + 1) + (1 | subject)").fit
    table = anova(fit, type_)
    assert table["num_df"].to_dict()["I(2 * x + 1)"] == 0
    assert np.isnan(table.loc["I(2 * x + 1)", ["f_value", "den_df", "p_value"]].astype(float)).all()
    assert table.loc["a", "num_df"] == 2


@pytest.mark.parametrize("formula", ["y ~ 1 + (1 | subject)", "y ~ 0 + (1 | subject)"])
def test_a_model_without_terms(formula: str) -> None:
    fit = fit_of(formula).fit
    for type_ in (1, 2, 3):
        for method in ("satterthwaite", "kenward-roger"):
            table = anova(fit, type_, method)
            assert table.empty
            assert list(table.columns)[2:4] == ["num_df", "den_df"]


def test_a_model_without_intercept() -> None:
    fit = fit_of("y ~ 0 + a + x + (1 | subject)").fit
    table = anova(fit, 3)
    assert table["num_df"].tolist() == [3, 1]
    means = f_test(fit, np.eye(4)[:3])
    assert table.loc["a", "f_value"] == pytest.approx(means.f_value, rel=1e-9)


def test_numbers_of_several_columns_and_logical_columns() -> None:
    frame = read("factorial")
    frame["late"] = np.arange(len(frame)) % 3 == 0
    fit = ml.fit("y ~ poly(x, 2) * late + a:late + a + (1 | subject)", frame).fit
    table = anova(fit)
    assert table["num_df"].to_dict() == {"poly(x, 2)": 2, "late": 1, "a": 2, "poly(x, 2):late": 2, "late:a": 2}
    rows = term_contrasts(fit, 3)
    assert all(row.shape == (df, len(fit.beta)) for row, df in zip(rows.values(), table["num_df"], strict=True))


def test_large_designs_are_read_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = fit_of("y ~ a * b + x + (1 | subject)").fit
    whole = cross_products(fit.design)
    monkeypatch.setattr("multilevel.inference.term_contrasts.CHUNK", 10)
    np.testing.assert_allclose(cross_products(fit.design), whole, rtol=1e-13)


def test_refusals() -> None:
    fit = fit_of("y ~ a + (1 | subject)").fit
    with pytest.raises(ml.DataError, match="type=4 is not known; the types are 1, 2 and 3"):
        anova(fit, 4)
    with pytest.raises(ml.DataError, match="df_method='f' is not known"):
        anova(fit, df_method="f")
    df, scale, _ = denominator_df(fit, np.zeros((1, 3)), "satterthwaite")
    assert np.isnan(df)
    assert scale == 1.0
