"""The printed summary: figures, layout and the cases that strain it."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.fitting.certificate import BoundaryScore
from multilevel.fitting.verdict import Verdict, _singular
from multilevel.inference import wald
from multilevel.report.layouts import summarize
from multilevel.report.summary import _random_effects
from multilevel.tables import page as tables

POLLS = """\
Generalized linear mixed model fit by maximum likelihood (Laplace approximation)
 Family: binomial ( logit )
Formula: bush ~ black + female + (1 | state_label)

    AIC      BIC          logLik  -2*log(L)  df.resid
2666.66  2689.09  -1329.32998878    2658.66      2011

Scaled residuals:
     Min        1Q   Median       3Q      Max
-1.72762  -1.08710  0.66735  0.84224  2.52711

Random effects:
Groups       Name         Variance  Std.Dev.
state_label  (Intercept)  0.169197  0.411335
Number of obs: 2015, groups: state_label, 49; 178 rows with missing values
  dropped

Fixed effects:
              Estimate  Std. Error  z value  Pr(>|z|)
(Intercept)   0.445235    0.101418    4.390  1.13e-05
black        -1.741584    0.209452   -8.315    <2e-16
female       -0.097046    0.095133   -1.020     0.308

Correlation of Fixed Effects:
        (Intr)   black
black   -0.119
female  -0.551  -0.005

Converged: the predicted gain left in the log-likelihood is """


@pytest.fixture(scope="module")
def sleep() -> ml.MixedModelResults:
    formula = "Reaction ~ Days + (1 + Days | Subject)"
    return ml.fit(formula, ml.datasets.sleepstudy(), family="gaussian", method="ml")


@pytest.fixture(scope="module")
def cbpp() -> ml.MixedModelResults:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return ml.fit(formula, ml.datasets.cbpp(), family="binomial")


def summary_of(results: ml.MixedModelResults, **changes: Any) -> str:
    """The summary of a fit that ended with other numbers."""
    return str(summarize(dataclasses.replace(results.fit, **changes)))


# ---- figures -------------------------------------------------------------------------------------------------------


def test_polls(reference_data: Callable[[str], pd.DataFrame]) -> None:
    results = ml.fit("bush ~ black + female + (1 | state_label)", reference_data("polls"), family="binomial")
    assert str(results.summary()).startswith(POLLS)


def test_sleepstudy(sleep: ml.MixedModelResults) -> None:
    text = str(sleep.summary())
    assert text.startswith(
        "Linear mixed model fit by maximum likelihood\n"
        " Family: gaussian ( identity )\n"
        "Formula: Reaction ~ Days + (1 + Days | Subject)\n"
    )
    assert "1763.94  1783.10  -875.96967223    1751.94       174" in text
    assert "-3.94157  -0.46559  0.02895  0.46361  5.17934" in text
    assert re.search(r"^Subject   \(Intercept\)  565\.51\d+  23\.780\d+ *$", text, re.MULTILINE)
    assert re.search(r"^          Days          32\.682\d*   5\.7168\d*  0\.081$", text, re.MULTILINE)
    assert re.search(r"^Residual               654\.941\d*  25\.591\d+$", text, re.MULTILINE)
    assert re.search(r"^Days +10\.4673 +1\.5022 +18\.00 +6\.968  1\.65e-06$", text, re.MULTILINE)
    assert "Quadrature check" not in text


SLEEP_REML = """\
Linear mixed model fit by REML
 Family: gaussian ( identity )
Formula: Reaction ~ Days + (1 + Days | Subject)

    AIC      BIC    REML logLik  REML criterion  df.resid
1755.63  1774.79  -871.81413598         1743.63       174

Scaled residuals:
     Min        1Q   Median       3Q      Max
-3.95356  -0.46340  0.02312  0.46340  5.17926

Random effects:
Groups    Name         Variance  Std.Dev.   Corr
Subject   (Intercept)  612.0899  24.74045
          Days          35.0717   5.92213  0.066
Residual               654.9410  25.59182
Number of obs: 180, groups: Subject, 18

Fixed effects:
             Estimate  Std. Error     df  t value  Pr(>|t|)
(Intercept)  251.4051      6.8246  17.00   36.838    <2e-16
Days          10.4673      1.5458  17.00    6.771  3.26e-06
t tests with Satterthwaite's degrees of freedom

Correlation of Fixed Effects:
      (Intr)
Days  -0.138

Converged: the predicted gain left in the log-likelihood is """


def test_reml() -> None:
    results = ml.fit("Reaction ~ Days + (1 + Days | Subject)", ml.datasets.sleepstudy())
    assert str(results.summary()).startswith(SLEEP_REML)


def test_the_degrees_of_freedom_are_named(sleep: ml.MixedModelResults, cbpp: ml.MixedModelResults) -> None:
    text = str(sleep.summary(df_method="containment"))
    assert re.search(r"^Days +10\.4673 +1\.5022 +161\.00 +6\.968  ", text, re.MULTILINE)
    assert "\nt tests with containment degrees of freedom\n" in text
    normal = str(sleep.summary(df_method="normal"))
    assert re.search(r"^Days +10\.4673 +1\.5022 +6\.968  3\.22e-12$", normal, re.MULTILINE)
    assert "t tests" not in normal
    plain = str(ml.fit("Reaction ~ Days", ml.datasets.sleepstudy()).summary())
    assert plain.startswith("Linear model fit by least squares\n")
    assert "\nt tests with residual degrees of freedom\n" in plain
    with pytest.raises(ml.DataError, match=r"df_method='satterthwaite' is for Gaussian models"):
        cbpp.summary(df_method="satterthwaite")


SUBJECT = "The random effects of Subject (a, b, ..., d)"
STRUCTURES = {
    "compound symmetry": (
        ["a", "b", "c", "d"],
        ["", "0.500", "", ""],
        f"{SUBJECT} have covariance structure compound symmetry.",
    ),
    "homogeneous compound symmetry": (
        ["a, b, ..., d"],
        ["0.500"],
        f"{SUBJECT} have covariance structure homogeneous compound symmetry.",
    ),
    "ar1": (
        ["a, b, ..., d"],
        ["0.500"],
        f"{SUBJECT} have covariance structure ar1; Corr is that of neighbours in time.",
    ),
    "homogeneous diagonal": (
        ["a, b, ..., d"],
        [""],
        f"{SUBJECT} are independent of each other, with one variance.",
    ),
    "reduced rank 2": (
        ["a", "b", "c", "d"],
        ["", "0.500", "0.250", "0.125"],
        f"{SUBJECT} have covariance structure reduced rank 2.",
    ),
}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_structures_are_named(sleep: ml.MixedModelResults, structure: str) -> None:
    names, correlations, note = STRUCTURES[structure]
    term = dataclasses.replace(sleep.fit.design.random_terms[0], names=tuple("abcd"), structure=structure)
    design = dataclasses.replace(sleep.fit.design, random_terms=(term,))
    covariance = 9.0 * (np.eye(4) if "diagonal" in structure else 0.5 ** np.abs(np.subtract.outer(range(4), range(4))))
    table = _random_effects(dataclasses.replace(sleep.fit, design=design, random_cov=(covariance,)))
    assert [row[1] for row in table.rows[:-1]] == names
    assert [row[0] for row in table.rows] == ["Subject", *[""] * (len(names) - 1), "Residual"]
    assert all(float(row[3]) == 3 for row in table.rows[:-1])
    first = [row[4] if len(row) > 4 else "" for row in table.rows[:-1]]
    assert first == correlations
    assert note in table.notes


def test_quadrature_is_named() -> None:
    data = ml.datasets.cbpp()
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    results = ml.fit(formula, data, family="binomial", n_quadrature=9)
    assert str(results.summary()).startswith(
        "Generalized linear mixed model fit by maximum likelihood (adaptive Gauss-Hermite\n    quadrature, 9 points)\n"
    )
    assert "Quadrature check: with " in str(results.summary())


def test_generalized_linear_model() -> None:
    results = ml.fit("cbind(incidence, size - incidence) ~ period", ml.datasets.cbpp(), family="binomial")
    text = str(results.summary())
    assert text.startswith("Generalized linear model fit by maximum likelihood\n Family: binomial ( logit )\n")
    assert "\nNumber of obs: 56\n" in text


def test_text_response_names_the_success() -> None:
    data = ml.datasets.contraception()
    results = ml.fit("use ~ 1 + (1 | district)", data.assign(use=data["use"].astype(str)), family="binomial")
    failure, success = sorted(set(data["use"].astype(str)))
    assert f"\nSuccess: {success} (failure: {failure})\n" in str(results.summary())


# ---- layout --------------------------------------------------------------------------------------------------------


def test_repr_is_the_text(cbpp: ml.MixedModelResults) -> None:
    page = cbpp.summary()
    assert repr(page) == str(page) == page.as_text()
    assert cbpp._repr_html_() == page._repr_html_() == page.as_html()


def test_redundant_columns_are_named(cbpp: ml.MixedModelResults) -> None:
    text = summary_of(cbpp, redundant=("a[x]:b[y]", "c"))
    assert "\n2 columns dropped as a linear combination of earlier columns: a[x]:b[y], c\n" in text


def test_long_names_get_their_own_line(cbpp: ml.MixedModelResults) -> None:
    long = "edu_label[Some College]:age_label[between 30 and 44]"
    text = summary_of(cbpp, fixed_names=("(Intercept)", long, "b", "c"))
    assert re.search(rf"^{re.escape(long)}\n {{13}}-0\.99233 ", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= tables.WIDTH


def test_wide_correlations_are_printed_in_panels() -> None:
    def page(p: int) -> str:
        generator = np.random.default_rng(3)
        data = {f"column_number_{k}": generator.normal(size=300) for k in range(p - 1)}
        data["y"] = generator.normal(size=300)
        return str(ml.fit("y ~ " + " + ".join(name for name in data if name != "y"), data).summary())

    text = page(15)
    assert len(re.findall(r"^clmn_nmb_13 ", text, re.MULTILINE)) > 1
    assert max(map(len, text.splitlines())) <= tables.WIDTH
    assert "Correlations of the 30 fixed effects are not shown" in page(30)


def test_singular_fit(sleep: ml.MixedModelResults) -> None:
    factor = np.array([[20.0, 0.0], [0.0, 0.0]])
    score = BoundaryScore("Subject", "Days", -1.25)
    certificate = dataclasses.replace(sleep.certificate, boundary=(score,))
    changes = {"theta": (factor,), "random_cov": (factor @ factor.T,), "certificate": certificate}
    remark = (ml.SingularFitWarning, "singular fit: look")
    text = summary_of(sleep, **changes, verdict=dataclasses.replace(sleep.fit.verdict, remarks=(remark,)))
    assert re.search(r"^          Days +0\.000 +0\.0000 +NaN$", text, re.MULTILINE)
    boundary = "Boundary (singular) fit: the variance of Days in Subject is zero; its score there is -1.25, so"
    assert boundary in " ".join(text.split())
    assert "Warnings:\n- singular fit: look\n" in text


def test_the_end_of_a_range(sleep: ml.MixedModelResults) -> None:
    score = BoundaryScore("Subject", "day[0], ..., day[9]", -0.5, "limit")
    text = summary_of(sleep, certificate=dataclasses.replace(sleep.certificate, boundary=(score,)))
    end = "the correlation of day[0], ..., day[9] in Subject is at an end of its range; its score there is -0.5, so a"
    assert end in " ".join(text.split())
    both = _singular((score, BoundaryScore("g", "x", -2.0)))
    assert "is at an end of its range, score -0.5; the variance of 'x' in 'g' is exactly zero, score -2." in both
    assert "rises from zero. The score at the end of a range is d log-likelihood / d correlation" in both


def test_failure_says_so(cbpp: ml.MixedModelResults) -> None:
    verdict = Verdict(False, "separation", "period separates the outcomes", ())
    text = summary_of(cbpp, verdict=verdict)
    assert "\nNOT CONVERGED (separation): period separates the outcomes\n" in text
    nothing_known = np.full((4, 4), np.nan)
    text = summary_of(cbpp, beta_covariance=nothing_known)
    assert re.search(r"^\(Intercept\) +-1\.3985\d* +NaN +NaN +NaN$", text, re.MULTILINE)


def test_independent_random_effects_are_noted() -> None:
    results = ml.fit("Reaction ~ Days + (Days || Subject)", ml.datasets.sleepstudy(), family="gaussian", method="ml")
    text = str(results.summary())
    assert "Corr\n" not in text
    assert len(re.findall(r"\d  ?-?[01]\.\d{3}$", text.split("Fixed effects")[0], re.MULTILINE)) == 0


class Tags(HTMLParser):
    """Checks that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html(cbpp: ml.MixedModelResults) -> None:
    names = ("(Intercept)", "<script>alert(1)</script>", "a & b", 'x "y"')
    page = summarize(dataclasses.replace(cbpp.fit, fixed_names=names)).as_html()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "a &amp; b" in page
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.seen == {"div", "p", "br", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td"}


# ---- numbers as text -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "digits", "expected"),
    [
        ([0.445234656, -1.74158, -0.0970456], 5, ["0.445235", "-1.741580", "-0.097046"]),
        ([565.5154, 32.68219, 654.941], 4, ["565.52", "32.68", "654.94"]),
        ([0.0, 0.0], 6, ["0", "0"]),
        ([0.0, np.nan, 12.345, np.inf, -np.inf], 3, ["0.0", "NaN", "12.3", "Inf", "-Inf"]),
        ([1e8, 0.1], 5, ["1.0000e+08", "1.0000e-01"]),
        ([1234567.0], 3, ["1234567"]),
        ([9.99999], 3, ["10.0"]),
        ([], 3, []),
    ],
)
def test_numbers(values: list[float], digits: int, expected: list[str]) -> None:
    assert tables.format_numbers(values, digits) == expected


def test_estimates_have_the_decimals_of_their_errors() -> None:
    assert tables.format_numbers([1e-9, 2.0], 3, decimals_of=[0.0123, 0.5]) == ["0.0000", "2.0000"]
    assert tables.format_numbers([1e-9, 2e-9], 3, decimals_of=[np.nan, np.nan]) == ["1.00e-09", "2.00e-09"]


def test_p_values_as_r_prints_them() -> None:
    values = [1.79e-9, 0.0012116, 0.000549, 1e-20, 0.5, np.nan]
    assert tables.format_p(values) == ["1.79e-09", "0.001212", "0.000549", "<2e-16", "0.500000", "NaN"]
    assert tables.format_p([0.307684]) == ["0.308"]
    assert tables.format_p([1e-5, 0.0]) == ["1.00e-05", "<2e-16"]


def test_no_negative_zero() -> None:
    assert tables.format_fixed([-0.0, -0.0001, -0.0006, 1.23456], 3) == ["0.000", "0.000", "-0.001", "1.235"]
    assert tables.format_numbers([-0.0001, -2.5], 3, decimals_of=[0.1, 0.2]) == ["0.000", "-2.500"]
    assert tables.format_numbers([-1e-20, 2.0], 3) == ["-1.00e-20", "2.00e+00"]


def test_abbreviations() -> None:
    # abbreviate() of R 4.2.2
    names = ["(Intercept)", "black", "female", "period[2]", "edu_label[Some College]", "a very long name"]
    assert tables.abbreviate(names, 6) == ["(Intr)", "black", "female", "prd[2]", "e_[SC]", "avryln"]
    assert tables.abbreviate([names[3], names[5]], 11) == ["period[2]", "averylongnm"]
    distinct = tables.abbreviate([f"x[{'ABC' * 5}{k}]" for k in range(12)], 6)
    assert len(set(distinct)) == 12


def test_long_names_are_numbered_in_the_correlations(cbpp: ml.MixedModelResults) -> None:
    names = ("(Intercept)", "treatment_group[drug_high]", "treatment_group[drug_low]", "treatment_group[placebo]:time")
    text = summary_of(cbpp, fixed_names=names)
    block = text.split("Correlation of Fixed Effects:\n")[1].split("\n\n")[0].split("\n")
    r = wald.correlation(cbpp.fit.beta_covariance)
    assert [line.split() for line in block] == [
        ["1", "2", "3", "4"],
        *([str(k + 1), name, *(f"{r[k, j]:.3f}" for j in range(k)), "1"] for k, name in enumerate(names)),
    ]
    assert max(map(len, block)) <= 80


def test_many_long_names_wrap() -> None:
    generator = np.random.default_rng(3)
    data = {f"a_rather_long_name_of_column_{k}": generator.normal(size=300) for k in range(14)}
    results = ml.fit("y ~ " + " + ".join(data), {**data, "y": generator.normal(size=300)})
    text = str(results)
    assert max(map(len, text.splitlines())) <= tables.WIDTH == 80
    block = text.split("Correlation of Fixed Effects:\n")[1].split("\n\n")[0].split("\n")
    last = [line.split()[2:] for line in block if line.split()[:2] == ["15", "a_rather_long_name_of_column_13"]]
    r = wald.correlation(results.fit.beta_covariance)
    assert list(chain.from_iterable(last)) == [*(f"{v:.3f}" for v in r[14, :14]), "1"]


@pytest.mark.parametrize(("n", "told"), [(8, True), (9, False)])
def test_few_rows_for_the_parameters_are_noted(n: int, told: bool) -> None:
    generator = np.random.default_rng(2)
    data = pd.DataFrame({"x": np.arange(n), "y": generator.normal(size=n)})
    assert ("3 parameters for 8 rows, fewer than 3 for each" in str(ml.fit("y ~ x", data))) is told
    # Of trials each counts.
    data["k"], data["l"] = generator.integers(1, 9, (2, n))
    assert "fewer than 3 for each" not in str(ml.fit("cbind(k, l) ~ x", data, "binomial"))


@pytest.mark.parametrize(("n", "told"), [(11, True), (12, False)])
def test_few_rows_are_a_warning_where_the_likelihood_may_have_several_maxima(n: int, told: bool) -> None:
    generator = np.random.default_rng(2)
    data = pd.DataFrame({"x": np.arange(n), "y": generator.normal(size=n), "g": np.arange(n) % 3})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = ml.fit("y ~ x + (1 | g)", data)
    said = [str(w.message) for w in caught if w.category is ml.FewRowsWarning]
    assert len(said) == told
    text = " ".join(str(results).split())
    assert text.count("fewer than 3 for each") == told
    if told:
        n_others = len(results.optimization.other_starts)
        assert said[0].startswith("4 parameters for 11 rows, fewer than 3 for each: the likelihood")
        assert f"a search, and {n_others} others from elsewhere came to" in said[0]


def test_modes_of_several_factors_that_nothing_proves_are_said_to_be_so() -> None:
    rng = np.random.default_rng(0)
    g, h, x = rng.integers(0, 10, 300), rng.integers(0, 8, 300), rng.normal(size=300)
    eta = rng.normal(size=10)[g] + rng.normal(size=8)[h] + x
    data = pd.DataFrame({"y": (eta + rng.standard_cauchy(300) > 0) * 1, "x": x, "g": g, "h": h})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.QuadratureWarning)
        crossed = ml.fit("y ~ x + (1 | g) + (1 | h)", data, "binomial", link="cauchit")
        one = ml.fit("y ~ x + (1 | g)", data, "binomial", link="cauchit")
        logit = ml.fit("y ~ x + (1 | g) + (1 | h)", data, "binomial")
    told = "Conditional modes: the largest that were found."
    assert [told in str(fit.summary()) for fit in (crossed, one, logit)] == [True, False, False]


def test_few_rows_are_no_warning_where_there_is_one_maximum() -> None:
    data = pd.DataFrame({"x": np.arange(5.0), "y": [1, 0, 2, 3, 1]})
    with warnings.catch_warnings():
        warnings.simplefilter("error", ml.FewRowsWarning)
        for family in ("gaussian", "poisson"):
            ml.fit("y ~ x", data, family)
    with pytest.warns(ml.FewRowsWarning, match="3 parameters for 5 rows"):
        ml.fit("y ~ x", pd.DataFrame({"x": np.arange(5.0), "y": [0.3, 1.9, 0.8, 4.0, 1.3]}), "gamma")


def test_ordered_factors_have_a_hint() -> None:
    data = ml.datasets.contraception()
    data["livch"] = pd.Categorical(data["livch"], ordered=True)
    formula = "use ~ age + livch + (1 | district)"
    note = "livch is ordered and has treatment contrasts; contrasts={'livch': 'poly'} has polynomials, as R"
    results = ml.fit(formula, data, family="binomial")
    assert note in " ".join(str(results).split())
    chosen = [{"livch": "poly"}, {"livch": "treatment"}]
    for contrasts in chosen:
        assert "is ordered" not in str(ml.fit(formula, data, family="binomial", contrasts=contrasts))
    polynomials = ml.fit(formula, data, family="binomial", contrasts=chosen[0])
    assert polynomials.llf == pytest.approx(results.llf, abs=1e-8)
