"""Models as equations: those of books, and that they say what was fitted."""

from __future__ import annotations

import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import multilevel as ml

from .kinds import KINDS, fitted, frame

mpl.use("Agg")

Terms = dict[tuple[str, ...], float]


@pytest.fixture(scope="module")
def schools() -> ml.MixedModelResults:
    formula = "mathach ~ meanses * cses + sector * cses + (cses | school)"
    return ml.fit(formula, ml.datasets.hsb())


def test_schools_as_raudenbush_and_bryk_write_them(schools: ml.MixedModelResults) -> None:
    """Hierarchical Linear Models (2002), chapter 4: intercepts and slopes as outcomes."""
    assert re.sub(r"\n {4,}", " ", str(schools.equation())).splitlines() == [
        "Level 1 (rows):",
        "  mathach_ij = beta_0j + beta_1j * cses_ij + e_ij",
        "Level 2 (school):",
        "  beta_0j = gamma_00 + gamma_01 * meanses_j + gamma_02 * sector[Catholic]_j + u_0j",
        "  beta_1j = gamma_10 + gamma_11 * meanses_j + gamma_12 * sector[Catholic]_j + u_1j",
        "With:",
        "  e_ij ~ N(0, sigma^2)",
        "  (u_0j, u_1j) ~ N(0, T)",
    ]
    numbers = str(schools.equation(estimates=True))
    # table 4.5 of the book: 12.10, 5.33, 1.23; 2.94, 1.03, -1.64
    assert re.search(r"beta_0j = 12\.\d+ \+ 5\.3\d+ \* meanses_j \+ 1\.2\d+ \* sector\[Catholic\]_j \+ u_0j", numbers)
    assert re.search(r"beta_1j = 2\.9\d+ \+ 1\.0\d+ \* meanses_j - 1\.6\d+ \* sector\[Catholic\]_j \+ u_1j", numbers)


@pytest.mark.filterwarnings("ignore::multilevel.SingularFitWarning")
def test_three_levels_and_factors_that_cross() -> None:
    rng = np.random.default_rng(3)
    n, g = 120, np.repeat(np.arange(24), 5)
    data = pd.DataFrame({"class_": g, "school": g // 4, "item": np.tile(np.arange(5), 24), "x": rng.normal(size=n)})
    data["size"], data["town"] = rng.normal(size=24)[g], rng.normal(size=6)[g // 4]
    data["hard"] = rng.normal(size=5)[data["item"]]
    data["y"] = data["x"] + rng.normal(size=24)[g] + rng.normal(size=6)[g // 4] + rng.normal(size=n)
    nested = ml.fit("y ~ x * size * town + (x | school) + (1 | class_)", data)
    text = str(nested.equation())
    for line in (
        "y_ijk = pi_0jk + pi_1jk * x_ijk + e_ijk",
        "Level 2 (class_):",
        "pi_0jk = beta_00k + beta_01k * size_jk + u_0jk",
        "pi_1jk = beta_10k + beta_11k * size_jk",
        "Level 3 (school):",
        "beta_00k = gamma_000 + gamma_001 * town_k + v_00k",
        "beta_10k = gamma_100 + gamma_101 * town_k + v_10k",
        "beta_11k = gamma_110 + gamma_111 * town_k",
    ):
        assert line in text
    assert expanded(nested) == combined(nested)
    crossed = ml.fit("y ~ x + size + hard + (1 | class_) + (hard | school) + (1 | item)", data)
    text = str(crossed.equation())
    assert "Level 2 (class_, school, item):" in text
    assert "beta_0jkl = gamma_00 + gamma_01 * size_j + gamma_02 * hard_l + u_0j" in " ".join(text.split())
    assert expanded(crossed) == combined(crossed)


def test_means_of_groups_stand_at_their_level() -> None:
    text = str(ml.fit("y ~ within(x, g) * w + between(x, g) + (1 | g)", frame()).equation())
    assert "y_ij = beta_0j + beta_1j * within(x, g)_ij + e_ij" in text
    assert "beta_0j = gamma_00 + gamma_01 * w_j + gamma_02 * between(x, g)_j + u_0j" in text


# ---- they say what was fitted ----------------------------------------------------------------------------------------


def lines_of(text: str) -> dict[str, str]:
    """Right-hand sides by left-hand sides, lines joined."""
    joined = re.sub(r"\n {4,}", " ", text)
    return dict(own.strip().split(" = ", 1) for own in joined.splitlines() if " = " in own)


def terms_of(right: str) -> Terms:
    """Sums of products, signs and numbers apart."""
    found: Terms = {}
    for sign, term in re.findall(r"(^-?|[+-] )((?:[^ ]+ \* )*[^ ]+)", right.strip()):
        factors = term.split(" * ")
        numbers = [float(own) for own in factors if re.fullmatch(r"-?[\d.]+(e-?\d+)?", own)]
        key = tuple(sorted(own for own in factors if not re.fullmatch(r"-?[\d.]+(e-?\d+)?", own)))
        found[key] = found.get(key, 0.0) + float(np.prod(numbers)) * (-1.0 if "-" in sign else 1.0)
    return found


def predictor(lines: dict[str, str]) -> str:
    """The first equation: that of the response or its link."""
    return next(iter(lines))


def expanded(results: ml.MixedModelResults) -> Terms:
    """The equations of the levels put into each other."""
    lines = lines_of(str(results.equation("levels")))
    own = {left: terms_of(right) for left, right in lines.items()}
    result = own[predictor(lines)]
    while any(name in own for key in result for name in key):
        step: Terms = {}
        for key, value in result.items():
            name = next((n for n in key if n in own), None)
            rest = tuple(n for n in key if n != name)
            for inner, factor in own[name].items() if name else [((), 1.0)]:
                whole = tuple(sorted((*rest, *inner)))
                step[whole] = step.get(whole, 0.0) + value * factor
        result = step
    return {key: value for key, value in result.items() if key != () or value}


def combined(results: ml.MixedModelResults) -> Terms:
    lines = lines_of(str(results.equation("combined")))
    return terms_of(lines[predictor(lines)])


@pytest.mark.parametrize("kind", KINDS)
def test_levels_make_the_combined_equation(kind: str) -> None:
    results = fitted(kind)
    assert {k: v for k, v in expanded(results).items() if v} == combined(results)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "effects" not in kind or kind == "no fixed effects"])
def test_estimates_give_the_linear_predictor(kind: str) -> None:
    """The equation with its rounded numbers and the modes, row by row."""
    results = fitted(kind)
    fit, design = results.fit, results.fit.design
    text = str(results.equation("combined", estimates=True))
    lines = lines_of(text)
    values: dict[str, np.ndarray] = {}
    columns = {own.name: own.values for own in design.fixed}
    for term in design.random_terms:
        columns |= dict(zip(term.names, term.columns, strict=True))
    joined = [own for own in re.sub(r"\n {4,}", " ", text).splitlines() if "~ N(0, " in own and " e_" not in own]
    for own, term, at in zip(joined, design.random_terms, fit.term_columns, strict=True):
        symbols = own.split(" ~ ")[0].strip(" ()").split(", ")
        codes = design.grouping_factors[term.grouping_factor].codes
        for symbol, column in zip(symbols, at, strict=True):
            values[symbol] = fit.modes[term.grouping_factor][codes, column]
    offset = 0.0 if design.offset is None else design.offset
    total = np.zeros(fit.n_rows)
    sign = -1.0 if design.thresholds is not None else 1.0
    for key, number in terms_of(lines[predictor(lines)]).items():
        if any(re.match(r"e_i|tau_|w_ij$", name) for name in key):
            continue  # the residual, thresholds, the offset of one of the kinds
        product = np.full(fit.n_rows, sign * number)
        for name in key:
            product = product * (values[name] if name in values else np.asarray(columns[name.rsplit("_", 1)[0]], float))
        total += product
    np.testing.assert_allclose(total + offset, fit.eta, atol=6e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_latex_can_be_set(kind: str) -> None:
    """Each line is read by matplotlib's reader of formulas, but for environments, which it does not know."""
    from matplotlib.mathtext import MathTextParser

    parser = MathTextParser("agg")
    for style, estimates in (("levels", False), ("combined", True)):
        latex = fitted(kind).equation(style, "latex", estimates)
        assert latex._repr_latex_() == f"$${latex}$$"
        assert latex.startswith("\\begin{aligned}\n")
        assert latex.endswith("\n\\end{aligned}")
        body = re.sub(r"\\begin{pmatrix}.*?\\end{pmatrix}", "A", latex).splitlines()[1:-1]
        for line in body:
            plain = line.removesuffix(" \\\\").replace("&", "").replace(r"\text", r"\mathrm")
            parser.parse(f"${re.sub(r'.left|.right', '', plain)}$")


def test_names_are_escaped_in_latex() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"a_b": rng.normal(size=40), "y": rng.normal(size=40), "g": np.repeat(np.arange(8), 5)})
    data["f"] = rng.choice(["50%", "m&m"], 40)
    latex = str(ml.fit("y ~ a_b + f + (1 | g)", data).equation("combined", "latex"))
    assert r"\text{a\_b}_{ij}" in latex
    assert r"\text{f[m\&m]}_{ij}" in latex


def test_bad_words_are_refused(schools: ml.MixedModelResults) -> None:
    with pytest.raises(ValueError, match="'levels', 'combined'"):
        schools.equation("mixed")
    with pytest.raises(ValueError, match="'text', 'latex'"):
        schools.equation(format="html")
