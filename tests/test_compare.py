"""Deviance tests: against lme4's anova, mixtures at the boundary, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import multilevel as ml
from multilevel.inference.compare import COLUMNS, compare, mixture_p_value

from .small_samples import REFERENCE, fitted, read

pytestmark = pytest.mark.filterwarnings("ignore::multilevel.FitWarning")
BASE = "Reaction ~ Days + (1 | Subject)"


def sleep(formula: str, method: str = "ml", **options: object) -> ml.MixedModelResults:
    return ml.fit(formula, read("sleepstudy"), method=method, **options)


@pytest.mark.parametrize("key", REFERENCE["compare"])
def test_as_lme4(key: str) -> None:
    reference = REFERENCE["compare"][key]
    fits = [fitted(reference["dataset"], formula, reference["method"]) for formula in reference["formulas"]]
    table = compare(*fits[::-1])  # any order
    assert list(table.columns) == COLUMNS
    assert list(table.index) == [str(results.formula) for results in fits]
    assert table["df"].tolist() == reference["npar"]
    for column in ("aic", "bic", "loglik", "deviance"):
        np.testing.assert_allclose(table[column], reference[column], rtol=1e-9)
    chi2, df = (np.array(reference[k][1:], dtype=float) for k in ("chi2", "df"))
    np.testing.assert_allclose(table["chi2"][1:], chi2, rtol=1e-6, atol=1e-6)
    assert table["df_diff"].tolist()[1:] == df.tolist()
    assert table.iloc[0][["chi2", "df_diff", "p_value"]].isna().all()
    for note, p_value, plain in zip(table["note"][1:], table["p_value"][1:], reference["p_value"][1:], strict=True):
        if note == "":
            assert p_value == pytest.approx(plain, rel=1e-4)
        else:  # lme4 does not know of the boundary
            assert "boundary" in note
            assert plain * (0.5 - 1e-4) <= p_value < plain


@pytest.mark.parametrize(
    ("smaller", "larger", "df"),
    [
        ("Reaction ~ Days", BASE, 1),
        (BASE, "Reaction ~ Days + (1 + Days || Subject)", 1),
        (BASE, "Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", 1),
        (BASE, "Reaction ~ Days + (1 + Days | Subject)", 2),
        ("Reaction ~ Days + (0 + Days | Subject)", "Reaction ~ Days + (1 + Days | Subject)", 2),
        ("Reaction ~ 1 + (1 | Subject)", "Reaction ~ Days + (1 + Days | Subject)", 3),
    ],
)
def test_one_variance_is_a_mixture(smaller: str, larger: str, df: int) -> None:
    row = compare(sleep(smaller), sleep(larger)).iloc[1]
    assert row["df_diff"] == df
    lower = stats.chi2.sf(row["chi2"], df - 1) if df > 1 else 0.0
    assert row["p_value"] == pytest.approx((lower + stats.chi2.sf(row["chi2"], df)) / 2, rel=1e-9)
    assert row["note"] == f"a variance on the boundary: mixture of chi-squares with {df - 1} and {df} df"


@pytest.mark.parametrize(
    ("smaller", "larger", "df"),
    [
        (BASE, "Reaction ~ Days + I(Days**2) + (1 | Subject)", 1),
        ("Reaction ~ Days + (1 + Days || Subject)", "Reaction ~ Days + (1 + Days | Subject)", 1),
        ("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", "Reaction ~ Days + (1 + Days | Subject)", 1),
    ],
)
def test_plain_chi_squares(smaller: str, larger: str, df: int) -> None:
    row = compare(sleep(smaller), sleep(larger)).iloc[1]
    assert row["df_diff"] == df
    assert row["p_value"] == pytest.approx(stats.chi2.sf(row["chi2"], df), rel=1e-6)
    assert row["note"] == ""


def test_the_mixture_has_the_size_it_says() -> None:
    """Under a variance of zero about 5 % of the tests are below 0.05; a plain chi-square would give half of that."""
    rng = np.random.default_rng(11)
    frame = pd.DataFrame({"g": np.repeat(np.arange(40), 5)})
    frame["y"] = rng.normal(size=200)
    larger, smaller = ml.MixedModel("y ~ 1 + (1 | g)", frame), ml.MixedModel("y ~ 1", frame)
    p_values = []
    for _ in range(400):
        y = rng.normal(size=200)
        p_values.append(compare(smaller.refit(y, method="ml"), larger.refit(y, method="ml"))["p_value"].iloc[1])
    rejected = np.mean(np.array(p_values) < 0.05)
    assert 0.025 < rejected < 0.08  # three standard errors are 0.033; the mixture of finite samples lies a little below


@pytest.mark.parametrize(
    ("larger", "smaller", "tested"),
    [
        ("y ~ x + (1 | g) + (1 | item)", "y ~ x", (["g", "item"],)),
        ("y ~ x + (1 + x | g)", "y ~ x", ("g",)),
        ("y ~ x + (1 + x + z || g)", "y ~ x + (1 | g)", ("g", "x", "z")),
        ("y ~ x + (1 | g) + (1 + z | item)", "y ~ x + (1 | g)", ("item",)),
    ],
)
@pytest.mark.parametrize("fixed", [False, True])
def test_several_variances_have_the_mixture_of_their_test(
    larger: str, smaller: str, tested: tuple[str, ...], fixed: bool
) -> None:
    """With a fixed effect more in the larger model, the mixture has a degree of freedom more everywhere."""
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"g": np.arange(120) % 12, "item": np.arange(120) // 12})
    for name in ("x", "z", "w"):
        frame[name] = rng.normal(size=120)
    u, v = rng.normal(size=(2, 12)), rng.normal(size=10)
    frame["y"] = 0.3 * u[0][frame["g"]] + 0.3 * u[1][frame["g"]] * frame["x"] + 0.2 * v[frame["item"]]
    frame["y"] += rng.normal(size=120)
    own = ml.fit(larger, frame, method="ml")
    by_itself = own.test_variance(*tested)
    large = ml.fit(larger + " + w", frame, method="ml") if fixed else own
    row = compare(ml.fit(smaller, frame, method="ml"), large).iloc[1]
    # with w in the model the information about variances is slightly another
    mixture = large.test_variance(*tested).mixture if fixed else by_itself.mixture
    df = [k + fixed for k in mixture]
    tails = [stats.chi2.sf(row["chi2"], k) if k else float(row["chi2"] <= 0) for k in df]
    expected = float(np.dot(tails, list(mixture.values())))
    assert row["p_value"] == pytest.approx(expected, rel=2e-2 if fixed else 1e-6)
    assert row["p_value"] <= stats.chi2.sf(row["chi2"], row["df_diff"])
    if not fixed:
        assert row["p_value"] == pytest.approx(by_itself.p_value, rel=1e-6)
    assert "in the shares" in row["note"] or by_itself.kind == "bound"


def test_mixture_at_zero() -> None:
    assert mixture_p_value(0.0, 1, 1) == 1.0
    assert mixture_p_value(2.705543454, 1, 1) == pytest.approx(0.05, rel=1e-6)
    assert mixture_p_value(5.138, 2, 1) == pytest.approx(0.05, abs=2e-5)  # Stram & Lee
    assert mixture_p_value(3.0, 2, 0) == pytest.approx(stats.chi2.sf(3.0, 2), rel=1e-12)


def test_models_that_are_not_nested_have_no_test() -> None:
    row = compare(
        sleep("Reaction ~ Days + (1 | Subject)"), sleep("Reaction ~ np.log(Days + 1) + (Days | Subject)")
    ).iloc[1]
    assert row["note"] == "not nested: fixed effects of the model before are not in this one"
    assert np.isnan(row["p_value"])
    crossed = read("crossed")
    a, b = (ml.fit(f"y ~ {rest}", crossed, method="ml") for rest in ("1 + (1 | item)", "age + (1 | subject)"))
    row = compare(a, b).iloc[1]
    assert row["note"] == "not nested: random effects of the model before are not in this one"
    same = compare(sleep("Reaction ~ Days + (1 | Subject)"), sleep("Reaction ~ I(Days**2) + (1 | Subject)")).iloc[1]
    assert (same["df_diff"], same["note"]) == (0, "as many parameters: no test")


def test_another_basis_of_the_same_columns_is_nested() -> None:
    row = compare(sleep(BASE), sleep("Reaction ~ poly(Days, 3) + (1 | Subject)")).iloc[1]
    assert row["note"] == ""
    assert row["df_diff"] == 2


def test_generalized_models() -> None:
    data = ml.datasets.contraception()
    fits = [
        ml.fit(f"use ~ age + urban + {bar}", data, family="binomial")
        for bar in ("(1 | district)", "(urban | district)")
    ]
    row = compare(*fits).iloc[1]
    assert row["df_diff"] == 2
    assert "boundary" in row["note"]
    assert row["chi2"] == pytest.approx(2 * (fits[1].llf - fits[0].llf), rel=1e-12)


def test_refusals() -> None:
    reml, ml_ = sleep(BASE, "reml"), sleep(BASE)
    with pytest.raises(ml.DataError, match="compare takes two or more fits; got 1"):
        compare(reml)
    with pytest.raises(ml.DataError, match="by method='reml' and 'ml': refit them with method='ml'"):
        compare(reml, sleep("Reaction ~ Days + (Days | Subject)"))
    with pytest.raises(ml.DataError, match=r"restricted likelihoods are of different data .* with method='ml'"):
        compare(reml, sleep("Reaction ~ Days + I(Days**2) + (1 | Subject)", "reml"))
    frame = read("sleepstudy")
    fewer = ml.fit(BASE, frame[frame["Days"] > 1], method="ml")
    with pytest.raises(
        ml.DataError, match=r"use 144 and 180 rows .* fit both to the rows that have every column of both"
    ):
        compare(fewer, sleep("Reaction ~ Days + (Days | Subject)"))
    frame["Reaction"] += frame["Days"]
    with pytest.raises(ml.DataError, match="different responses"):
        compare(ml_, ml.fit("Reaction ~ Days + (Days | Subject)", frame, method="ml"))
    with pytest.raises(ml.DataError, match="different weights"):
        compare(ml_, sleep("Reaction ~ Days + (Days | Subject)", weights="w"))
    data = ml.datasets.contraception()
    logit = ml.fit("use ~ age + (1 | district)", data, family="binomial")
    with pytest.raises(ml.DataError, match="n_quadrature=1 and 5 points"):
        compare(logit, ml.fit("use ~ age + urban + (1 | district)", data, family="binomial", n_quadrature=5))
    five = ml.fit("use ~ age + urban + (1 | district)", data, family="binomial", n_quadrature=5)
    fixed = ml.fit("use ~ age", data, family="binomial")
    with pytest.raises(ml.DataError, match="n_quadrature=1 and 5 points"):
        compare(fixed, logit, five)
    with pytest.raises(ml.DataError, match="n_quadrature=1 and 5 points"):
        ml.rank(fixed, logit, five)
    with pytest.raises(ml.DataError, match=r"binomial\(logit\) and binomial\(probit\)"):
        compare(logit, ml.fit("use ~ age + urban + (1 | district)", data, family="binomial", link="probit"))


@pytest.mark.parametrize("points", [1, 7])
def test_without_random_effects_the_likelihood_is_exact(points: int) -> None:
    """It stands beside any number of quadrature points."""
    data = ml.datasets.contraception()
    fixed = ml.fit("use ~ age", data, family="binomial")
    random = ml.fit("use ~ age + (1 | district)", data, family="binomial", n_quadrature=points)
    for fits in ((fixed, random), (random, fixed)):
        table = compare(*fits)
        chi2 = 2 * (random.llf - fixed.llf)
        assert table["chi2"].iloc[1] == pytest.approx(chi2, rel=1e-12)
        assert table["p_value"].iloc[1] == pytest.approx(stats.chi2.sf(chi2, 1) / 2, rel=1e-9)
        assert list(ml.rank(*fits).index) == [str(random.fit.design.formula), str(fixed.fit.design.formula)]


# ---- offsets -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exposed() -> pd.DataFrame:
    """Counts over times t; lo = log(t)."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(size=300), "t": rng.uniform(1, 5, 300), "z": rng.normal(size=300)})
    data["g"], data["lo"] = rng.integers(0, 20, 300), np.log(data["t"])
    data["y"] = rng.poisson(data["t"] * np.exp(0.3 * data["x"] + 0.4 * rng.normal(size=20)[data["g"]]))
    return data


def test_an_offset_is_a_coefficient_of_one(exposed: pd.DataFrame) -> None:
    larger = ml.fit("y ~ x + lo + (1 | g)", exposed, "poisson")
    for smaller in (
        ml.fit("y ~ x + offset(lo) + (1 | g)", exposed, "poisson"),
        ml.fit("y ~ x + (1 | g)", exposed, "poisson", offset="lo"),
        ml.fit("y ~ x + offset(lo + 3) + (1 | g)", exposed, "poisson"),  # the intercept takes the rest
    ):
        for table in (compare(smaller, larger), compare(larger, smaller)):
            row = table.iloc[1]
            assert (row["df_diff"], row["note"]) == (1, "")
            assert row["chi2"] == pytest.approx(2 * (larger.llf - smaller.llf), rel=1e-9)
            # close to the Wald test of a coefficient of one
            wald = ((larger.params["lo"] - 1) / larger.bse["lo"]) ** 2
            assert row["chi2"] == pytest.approx(wald, rel=0.02)
            assert row["p_value"] == pytest.approx(stats.chi2.sf(row["chi2"], 1), rel=1e-9)
    # an offset that the larger model has as well changes nothing
    both = ml.fit("y ~ x + lo + offset(lo) + (1 | g)", exposed, "poisson")
    none = ml.fit("y ~ x + (1 | g)", exposed, "poisson")
    assert compare(none, both)["chi2"].iloc[1] == pytest.approx(compare(none, larger)["chi2"].iloc[1], abs=1e-7)


def test_a_chain_with_an_offset(exposed: pd.DataFrame) -> None:
    formulas = ("y ~ x + offset(lo) + (1 | g)", "y ~ x + z + offset(lo) + (1 | g)", "y ~ x + z + lo + (1 | g)")
    table = compare(*(ml.fit(formula, exposed, "poisson") for formula in formulas))
    assert table["df_diff"].tolist()[1:] == [1, 1]
    assert table["p_value"].iloc[1:].notna().all()


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("y ~ x + (1 | g)", "y ~ x + offset(lo) + z + (1 | g)"),
        ("y ~ x + offset(lo) + (1 | g)", "y ~ x + z + (1 | g)"),
        ("y ~ x + offset(lo) + (1 | g)", "y ~ x + t + (1 | g)"),
        ("y ~ x + lo + (1 | g)", "y ~ x + offset(lo) + (1 + x | g)"),  # the offset is in the one with more parameters
        ("y ~ 0 + offset(lo) + (1 | g)", "y ~ 0 + (1 | g)"),
    ],
)
def test_other_offsets_are_refused(exposed: pd.DataFrame, one: str, two: str) -> None:
    fits = [ml.fit(formula, exposed, "poisson") for formula in (one, two)]
    for order in (fits, fits[::-1]):
        with pytest.raises(ml.DataError, match="have different offsets, and the difference is no combination"):
            compare(*order)


def test_reml_fits_with_an_offset(exposed: pd.DataFrame) -> None:
    fits = [ml.fit(f"y ~ x + {term} + (1 | g)", exposed) for term in ("offset(lo)", "lo")]
    with pytest.raises(ml.DataError, match=r"REML fits .* have different fixed effects"):
        compare(*fits)
    other = ml.fit("y ~ x + (1 + x | g)", exposed, offset="lo")
    with pytest.raises(ml.DataError, match="have different offsets"):
        compare(ml.fit("y ~ x + (1 | g)", exposed), other)
    # An offset of 2 x is the same model: its coefficient is less by 2.
    same = compare(ml.fit("y ~ x + offset(2 * x) + (1 | g)", exposed), ml.fit("y ~ x + (1 + x | g)", exposed))
    assert same["df_diff"].iloc[1] == 2


# ---- ranks -------------------------------------------------------------------------------------------------------


def test_ranks() -> None:
    small, large = sleep("Reaction ~ Days + (1 | Subject)"), sleep("Reaction ~ Days + (Days | Subject)")
    worse = sleep("Reaction ~ 1 + (1 | Subject)")
    table = ml.rank(small, worse, large)
    assert list(table.index) == [str(fit.formula) for fit in (large, small, worse)]
    aic = np.array([large.aic, small.aic, worse.aic])
    np.testing.assert_allclose(table["delta"], aic - aic[0], rtol=1e-12)
    weights = np.exp(-aic / 2 + aic[0] / 2)
    np.testing.assert_allclose(table["weight"], weights / weights.sum(), rtol=1e-10)
    np.testing.assert_allclose(table["evidence_ratio"], table["weight"].iloc[0] / table["weight"], rtol=1e-10)
    assert table["converged"].all()
    by_subjects = large.rank(small, by="bic", n="subjects")
    assert by_subjects["bic"].iloc[0] == large.information_criteria(n="subjects")["bic"]


def test_ranks_of_other_families() -> None:
    frame = pd.DataFrame({"y": np.random.default_rng(1).poisson(3, 80), "g": np.repeat(np.arange(8), 10)})
    poisson, nb = (ml.fit("y ~ 1 + (1 | g)", frame, family=name) for name in ("poisson", "geometric"))
    assert ml.rank(nb, poisson)["family"].tolist() == ["poisson", "geometric"]
    with pytest.raises(ml.DataError, match="densities change with the unit"):
        ml.rank(poisson, ml.fit("y ~ 1 + (1 | g)", frame, method="ml"))


def test_what_has_no_rank() -> None:
    one = sleep("Reaction ~ Days + (1 | Subject)")
    for arguments, options, message in (
        ((one,), {}, "two or more"),
        ((one, one), {"by": "dic"}, "by='dic' is not known"),
        ((one, sleep("Reaction ~ Days + (1 | Subject)", method="reml")), {}, "refit them"),
    ):
        with pytest.raises(ml.DataError, match=message):
            ml.rank(*arguments, **options)
