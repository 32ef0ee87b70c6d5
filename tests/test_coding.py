"""Formulas into columns: names, factors, contrasts, expressions, splines; against formulaic."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multilevel.errors import DataError, FormulaError

from .design_data import DATA, build, fixed_matrix, matrix, names

RNG = np.random.default_rng(20240229)


def test_numbers_are_not_copied() -> None:
    wide = np.asfortranarray(RNG.normal(size=(20, 3)))
    data = {
        "y": np.arange(20.0),
        "a": wide[:, 0],
        "b": np.ascontiguousarray(wide)[:, 1],
        "i": np.arange(20, dtype=np.int16),
        "f": wide[:, 2].astype(np.float32)[::-1],
    }
    design = build("y ~ a + b + i + f", data)
    for column in design.fixed[1:]:
        assert np.shares_memory(column.values, data[column.name])
        assert column.values is not None
        assert column.values.dtype == data[column.name].dtype
    assert design.fixed[0].values is None
    frame = pd.DataFrame({"y": data["y"], "a": data["a"]})
    assert np.shares_memory(build("y ~ a", frame).fixed[1].values, frame["a"].to_numpy())


def test_data_are_not_modified() -> None:
    before = DATA.copy(deep=True)
    build("n ~ f*x + poly(z, 2) + (1 + flag | g/c)", family="poisson", weights="size", offset="x")
    pd.testing.assert_frame_equal(DATA, before)


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        ("x", ["(Intercept)", "x"]),
        ("0 + x", ["x"]),
        ("f", ["(Intercept)", "f[low]", "f[mid]"]),
        ("0 + f", ["f[high]", "f[low]", "f[mid]"]),
        ("0 + f + s", ["f[high]", "f[low]", "f[mid]", "s[v]"]),
        ("c", ["(Intercept)", "c[no]"]),
        ("flag", ["(Intercept)", "flag[True]"]),
        ("0 + flag", ["flag[False]", "flag[True]"]),
        ("factor(k)", ["(Intercept)", *(f"factor(k)[{i}]" for i in range(2, 6))]),
        ("s*x", ["(Intercept)", "s[v]", "x", "s[v]:x"]),
        ("s + s:x", ["(Intercept)", "s[v]", "s[u]:x", "s[v]:x"]),
        ("f:s", ["(Intercept)", *(f"f[{a}]:s[{b}]" for b in "uv" for a in ("high", "low", "mid"))]),
        ("f*s", ["(Intercept)", "f[low]", "f[mid]", "s[v]", "f[low]:s[v]", "f[mid]:s[v]"]),
        ("I(x^2)", ["(Intercept)", "I(x^2)"]),
        ("I(x > 0)", ["(Intercept)", "I(x > 0)[True]"]),
        ("poly(x, 2)", ["(Intercept)", "poly(x, 2)[1]", "poly(x, 2)[2]"]),
        ("bs(x, 4)", ["(Intercept)", *(f"bs(x, 4)[{i}]" for i in range(1, 5))]),
        ("C(s, Treatment('v'))", ["(Intercept)", "C(s, Treatment('v'))[u]"]),
        ("C(f, Sum)", ["(Intercept)", "C(f, Sum)[S.high]", "C(f, Sum)[S.low]"]),
        ("C(f, contr.sum)", ["(Intercept)", "C(f, contr.sum)[S.high]", "C(f, contr.sum)[S.low]"]),
        ("relevel(f, ref='mid')", ["(Intercept)", "relevel(f, ref='mid')[high]", "relevel(f, ref='mid')[low]"]),
        ("C(f, levels=c('mid', 'low', 'high'))", None),
    ],
)
def test_names(right: str, expected: list[str] | None) -> None:
    found = names(build(f"y ~ {right}"))
    if expected is None:
        assert [n.rsplit("[", 1)[1] for n in found[1:]] == ["low]", "high]"]
    else:
        assert found == expected


def test_factor_products_without_margins_keep_every_combination() -> None:
    """As R: 2 x 3 indicators beside the intercept, one of them redundant, which the core then drops."""
    design = build("y ~ f:s")
    x = fixed_matrix(design)
    assert x.shape == (60, 7)
    assert np.linalg.matrix_rank(x) == 6
    assert np.array_equal(x[:, 1:].sum(axis=1), np.ones(60))


@pytest.mark.parametrize(
    "right",
    [
        "x", "x*z", "f", "f*x", "f*s", "0 + f", "0 + f + s", "f*s*x", "s + s:x", "poly(x, 3) + z", "bs(z, 5)",
        "cr(z, 4)", "scale(x) + center(z)", "C(f, Sum)*x", "C(f, Helmert)", "C(k, Poly)",
        "np.log(z) + I(x**2)", "(f + s + x)**2",
    ],
)  # fmt: skip
def test_agrees_with_formulaic(right: str) -> None:
    """Where its rules and R's agree, formulaic's matrix is ours, in the same order."""
    formulaic = pytest.importorskip("formulaic")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = formulaic.model_matrix(right, DATA)
    design = build(f"y ~ {right}")
    ours = {
        n.replace("(Intercept)", "Intercept"): c for n, c in zip(names(design), fixed_matrix(design).T, strict=True)
    }
    theirs = {str(n).replace("[T.", "["): expected[n].to_numpy(float) for n in expected.columns}
    if "poly" in right or "**2" in right:
        ours = dict(enumerate(ours.values()))
        theirs = dict(enumerate(theirs.values()))
    assert list(ours) == list(theirs)
    for name, column in ours.items():
        np.testing.assert_allclose(column, theirs[name], rtol=1e-12, atol=1e-12, err_msg=str(name))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("treatment", [[0, 0], [1, 0], [0, 1]]),
        ("sum", [[1, 0], [0, 1], [-1, -1]]),
        ("helmert", [[-1, -1], [1, -1], [0, 2]]),
        ("poly", [[-(0.5**0.5), 6**-0.5], [0, -2 * 6**-0.5], [0.5**0.5, 6**-0.5]]),
        (np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 3.0]]), [[1, 0], [1, 1], [0, 3]]),
    ],
)
def test_contrasts(kind: Any, expected: list[list[float]]) -> None:
    design = build("y ~ f", contrasts={"f": kind})
    rows = DATA["f"].map({"high": 0, "low": 1, "mid": 2}).to_numpy()
    np.testing.assert_allclose(fixed_matrix(design)[:, 1:], np.array(expected)[rows], atol=1e-15)
    inside = build("y ~ factor(f)", contrasts={"f": kind})
    np.testing.assert_allclose(fixed_matrix(inside), fixed_matrix(design))


@pytest.mark.parametrize(
    "kind",
    [
        {"u": -0.5, "v": 0.5},
        {"v": 0.5, "u": -0.5},
        [-0.5, 0.5],
        (-0.5, 0.5),
        np.array([-0.5, 0.5]),
        [[-0.5], [0.5]],
        {"u": [-0.5], "v": [0.5]},
        pd.Series({"v": 0.5, "u": -0.5}),
        pd.DataFrame({"code": [0.5, -0.5]}, index=["v", "u"]),
    ],
)
def test_codes_of_two_levels(kind: Any) -> None:
    design = build("y ~ s", contrasts={"s": kind})
    assert names(design) == ["(Intercept)", "s[1]"]
    np.testing.assert_array_equal(fixed_matrix(design)[:, 1], np.where(DATA["s"] == "v", 0.5, -0.5))
    means = DATA.groupby("s")["y"].mean()
    beta = np.linalg.lstsq(fixed_matrix(design), DATA["y"], rcond=None)[0]
    np.testing.assert_allclose(beta, [means.mean(), means["v"] - means["u"]])
    new = design.code_new({"s": ["v", "u"]})
    assert matrix([c.values for c in new.fixed], 2)[:, 1].tolist() == [0.5, -0.5]


def test_codes_of_more_levels() -> None:
    codes = DATA["f"].map({"low": -1, "mid": 0, "high": 1})
    one = build("y ~ f", contrasts={"f": {"low": -1, "mid": 0, "high": 1}})
    np.testing.assert_array_equal(fixed_matrix(one)[:, 1], codes)
    rows = build("y ~ f", contrasts={"f": {"low": [-1, 1], "mid": [0, -2], "high": [1, 1]}})
    np.testing.assert_array_equal(fixed_matrix(rows)[:, 1:], np.column_stack([codes, 3 * codes**2 - 2]))
    numbers = build("y ~ factor(b)", contrasts={"b": {0: -0.5, 1: 0.5}})
    np.testing.assert_array_equal(fixed_matrix(numbers)[:, 1], DATA["b"] - 0.5)
    named = build("y ~ f", contrasts={"f": {"linear": [1, -1, 0]}})  # a name, and a code for each level in order
    assert names(named)[1] == "f[linear]"
    np.testing.assert_array_equal(fixed_matrix(named)[:, 1], codes)
    assert names(build("y ~ f", contrasts={"f": "contr.Sum"})) == names(build("y ~ f", contrasts={"f": "sum"}))


def test_ordered_categories_use_treatment_contrasts() -> None:
    data = DATA.assign(f=pd.Categorical(DATA["f"], categories=["low", "mid", "high"], ordered=True))
    assert names(build("y ~ f", data)) == ["(Intercept)", "f[mid]", "f[high]"]
    # R 4.2.2: contr.poly(3)
    polynomials = build("y ~ f", data, contrasts={"f": "poly"})
    assert names(polynomials) == ["(Intercept)", "f[.L]", "f[.Q]"]
    table = {"low": [-0.7071068, 0.4082483], "mid": [0.0, -0.8164966], "high": [0.7071068, 0.4082483]}
    np.testing.assert_allclose(fixed_matrix(polynomials)[:, 1:], [table[v] for v in data["f"]], atol=1e-7)


def test_constant_columns_are_kept_for_the_core_to_drop() -> None:
    data = DATA.assign(one=1.0, same="a", yes=True)
    design = build("y ~ one + same + yes", data)
    assert names(design) == ["(Intercept)", "one", "same[a]", "yes[True]"]
    assert fixed_matrix(design).min() == 1.0


def test_unused_levels_are_dropped() -> None:
    data = DATA.assign(x=DATA["x"].where(DATA["f"] != "low"))
    assert names(build("y ~ x + f", data)) == ["(Intercept)", "x", "f[mid]"]
    design = build("y ~ x + (1 | f)", data)
    assert list(design.grouping_factors[0].levels) == ["high", "mid"]
    assert set(design.grouping_factors[0].codes) == {0, 1}


def test_expressions() -> None:
    design = build(
        "y ~ I(x^2) + log(z) + I(x > 0 & z < 3) + I(f == 'low') + sqrt(z) + pmin(x, 0) + ifelse(x > 0, x, 0)"
    )
    x, z = DATA["x"].to_numpy(), DATA["z"].to_numpy()
    expected = [x**2, np.log(z), (x > 0) & (z < 3), DATA["f"] == "low", np.sqrt(z), np.minimum(x, 0), x * (x > 0)]
    np.testing.assert_allclose(fixed_matrix(design)[:, 1:], np.column_stack(expected).astype(float))


def test_small_integers_do_not_overflow() -> None:
    data = {"y": np.arange(4.0), "a": np.array([1, 50, 100, 200], dtype=np.uint8)}
    design = build("y ~ I(a^2) + a:a2", {**data, "a2": data["a"]})
    assert fixed_matrix(design)[:, 1].tolist() == [1, 2500, 10000, 40000]
    assert fixed_matrix(design)[:, 2].tolist() == [1, 2500, 10000, 40000]


def test_a_column_may_share_its_name_with_a_function() -> None:
    data = DATA.assign(scale=DATA["x"], c=DATA["z"], log=DATA["x"])
    design = build("y ~ scale(scale) + c + log", data)
    np.testing.assert_allclose(fixed_matrix(design)[:, 1].std(ddof=1), 1.0)


def test_unusual_column_names() -> None:
    data = DATA.rename(columns={"x": "my x", "z": "z.1", "f": "class"})
    design = build("y ~ `my x` + log(z.1) + I(`my x`^2) + `class` + (1 | `g`)", data)
    assert names(design) == ["(Intercept)", "my x", "log(z.1)", "I(`my x`^2)", "class[low]", "class[mid]"]
    plain = build("y ~ x + log(z) + I(x^2) + f")
    np.testing.assert_allclose(fixed_matrix(design), fixed_matrix(plain))


def test_natural_splines_span_natural_cubics() -> None:
    """Columns are linear beyond the boundary, smooth at the knots, and as many as asked for."""
    x = np.linspace(0, 10, 400)
    design = build("y ~ ns(x, 4)", {"y": x, "x": x})
    basis = fixed_matrix(design)
    assert basis.shape == (400, 5)
    assert np.linalg.matrix_rank(basis) == 5
    # a straight line lies in the span, and so does a natural spline through other values at the same knots
    from scipy.interpolate import CubicSpline

    knots = np.concatenate([[0], np.quantile(x, [0.25, 0.5, 0.75]), [10]])
    for target in (3 - 2 * x, CubicSpline(knots, [0.0, 2.0, -1.0, 0.5, 4.0], bc_type="natural")(x)):
        fit, *_ = np.linalg.lstsq(basis, target, rcond=None)
        np.testing.assert_allclose(basis @ fit, target, atol=1e-8)
    beyond = design.code_new({"x": np.array([10.0, 11.0, 12.0, -3.0, -2.0, -1.0])})
    new = matrix([c.values for c in beyond.fixed], 6)
    np.testing.assert_allclose(new[2] - new[1], new[1] - new[0], atol=1e-10)
    np.testing.assert_allclose(new[5] - new[4], new[4] - new[3], atol=1e-10)


@pytest.mark.parametrize(
    ("contrasts", "message"),
    [
        ({"q": "sum"}, "the formula has no 'q'"),
        ({"f": "sums"}, "are not known; known are treatment, sum"),
        ({"x": "sum"}, r"'x' is a number; factor\(x\)"),
        ({"f": np.ones((2, 1))}, "a row for each of the 3 levels"),
        ({"f": [-0.5, 0.5]}, r"a number or a row for each of the 3 levels \(high, low, mid\); their shape is \(2,\)"),
        ({"f": {"low": 1, "mid": 0}}, "give each level its code, and 'high' lacks; the levels are high, low, mid"),
        ({"f": {"low": 1, "mid": 0, "hi": 2}}, "give each level its code, and 'hi' is no level"),
        ({"f": {"low": 1, "mid": 0, "high": "a"}}, "contrasts are numbers; got"),
        ({"f": {"low": 1, "mid": 0, "high": np.nan}}, "contrasts must be finite numbers"),
        ({"f": {}}, "give each level its code, and 'high' lacks"),
        ({"f": 3}, r"a row for each of the 3 levels .* their shape is \(\)"),
        ({"f": {"linear": [1, 2]}}, "contrast 'linear': contrasts need a number or a row for each of the 3 levels"),
    ],
)
def test_contrasts_that_fail(contrasts: dict[str, Any], message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        build("y ~ f + x", contrasts=contrasts)


@pytest.mark.parametrize("contrasts", [["sum"], "sum"])
def test_contrasts_are_a_mapping(contrasts: Any) -> None:
    with pytest.raises(DataError, match="contrasts must be a mapping of columns to codings"):
        build("y ~ f + x", contrasts=contrasts)


def test_words_of_python_in_expressions() -> None:
    data = DATA.assign(flag=DATA["x"] > 0)
    for text, expected in (
        ("I(x if True else 0)", data["x"]),
        ("I(x > 1 or not z > 3)", (data["x"] > 1) | ~(data["z"] > 3)),
        ("I(x > -1 and x < 1)", (data["x"] > -1) & (data["x"] < 1)),
        ("I(not b)", data["b"] == 0),
        ("I(!flag)", ~data["flag"]),
    ):
        design = build(f"y ~ {text}", data)
        again = build(str(design.formula), data)
        assert names(again) == names(design)
        assert names(design)[1].startswith(text)
        assert np.array_equal(fixed_matrix(design)[:, 1], expected)
        assert np.array_equal(fixed_matrix(again), fixed_matrix(design))


# ---- terms --------------------------------------------------------------------------------------------------------


def test_terms_and_their_columns() -> None:
    terms = build("y ~ x:f + f*s + poly(z, 2)").fixed_terms
    assert [(t.label, t.columns) for t in terms] == [
        ("(Intercept)", (0,)),
        ("f", (1, 2)),
        ("s", (3,)),
        ("poly(z, 2)", (4, 5)),
        ("x:f", (6, 7, 8)),
        ("f:s", (9, 10)),
    ]
    product = terms[4]
    assert (product.factors, product.numbers) == ({"f"}, {"x"})
    number, factor = product.parts
    assert (number.text, number.levels, number.coding, number.n_columns) == ("x", None, None, 1)
    assert (factor.text, factor.is_factor, factor.n_columns) == ("f", True, 3)
    assert list(factor.levels) == ["high", "low", "mid"]
    # without a term of x alone, as R has it: an indicator for each level of f
    np.testing.assert_array_equal(factor.coding, np.eye(3))
    assert terms[3].parts[0].n_columns == 2


def test_margins() -> None:
    intercept, a, b, product = build("y ~ f*x").fixed_terms
    assert [t.is_margin_of(product) for t in (intercept, a, b, product)] == [True, True, True, False]
    assert not a.is_margin_of(b)
    assert [t.label for t in build("y ~ 0 + x").fixed_terms] == ["x"]


@pytest.mark.parametrize("kind", ["treatment", "sum", "helmert", "poly"])
@pytest.mark.parametrize("right", ["f*s", "f:s", "0 + f", "f*x + s:x", "flag*factor(k)"])
def test_codings_of_levels_give_the_columns(right: str, kind: str) -> None:
    """The rows of `coding`, multiplied over the parts, are the columns of the term."""
    contrasts = dict.fromkeys({"f", "s", "k"} & set(re.findall(r"\w+", right)), kind)
    design = build(f"y ~ {right}", contrasts=contrasts)
    labels = {"f": DATA["f"], "s": DATA["s"], "flag": DATA["flag"], "factor(k)": DATA["k"]}
    for term in design.fixed_terms:
        expected = np.ones((60, 1))
        for part in term.parts:
            if part.is_factor:
                columns = part.coding[part.levels.get_indexer(labels[part.text])]
                np.testing.assert_array_equal(part.coding[part.values[0]], columns)
            else:
                columns = DATA[[part.text]].to_numpy()
                np.testing.assert_array_equal(np.column_stack(part.values), columns)
            expected = np.einsum("ia,ib->iba", expected, columns).reshape(60, -1)
        np.testing.assert_allclose(fixed_matrix(design)[:, list(term.columns)], expected, atol=1e-15)
