"""Data frames into arrays: columns, codes, responses, missing values, new data, and every complaint."""

from __future__ import annotations

import pickle
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multilevel.design import Design, build_design
from multilevel.errors import DataError, DataWarning, FormulaError

RNG = np.random.default_rng(20240229)


def make_data(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "b": rng.integers(0, 2, n),
            "n": rng.integers(0, 9, n),
            "size": rng.integers(9, 12, n),
            "x": rng.normal(size=n),
            "z": rng.uniform(1, 5, n),
            "k": rng.integers(1, 6, n),
            "flag": rng.random(n) < 0.4,
            "f": rng.choice(["low", "high", "mid"], n),
            "s": rng.choice(["u", "v"], n),
            "c": pd.Categorical(rng.choice(["no", "yes"], n), categories=["yes", "no", "never"]),
            "g": rng.choice([f"g{i}" for i in range(6)], n),
            "h": rng.integers(1, 5, n),
        }
    )


DATA = make_data()


def build(formula: str, data: Any = None, **more: Any) -> Design:
    more.setdefault("family", "gaussian")
    return build_design(formula, DATA if data is None else data, **more)


def names(design: Design) -> list[str]:
    return [column.name for column in design.fixed]


def matrix(columns: Any, n: int) -> np.ndarray:
    values = [np.ones(n) if c is None else np.asarray(c, dtype=float) for c in columns]
    return np.column_stack(values) if values else np.empty((n, 0))


def fixed_matrix(design: Any) -> np.ndarray:
    return matrix([c.values for c in design.fixed], design.n_rows)


# ---- the fixed part -----------------------------------------------------------------------------------------------


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


def test_ordered_categories_use_treatment_contrasts() -> None:
    data = DATA.assign(f=pd.Categorical(DATA["f"], categories=["low", "mid", "high"], ordered=True))
    assert names(build("y ~ f", data)) == ["(Intercept)", "f[mid]", "f[high]"]


def test_constant_columns_are_kept_for_the_core_to_drop() -> None:
    data = DATA.assign(one=1.0, same="a", yes=True)
    design = build("y ~ one + same + yes", data)
    assert names(design) == ["(Intercept)", "one", "same[a]", "yes[True]"]
    assert fixed_matrix(design).min() == 1.0


def test_unused_levels_are_dropped() -> None:
    data = DATA.assign(x=DATA["x"].where(DATA["f"] != "low"))
    design = build("y ~ x + f + (1 | f)", data)
    assert names(design) == ["(Intercept)", "x", "f[mid]"]
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


# ---- random terms and grouping factors ----------------------------------------------------------------------------


def test_random_terms() -> None:
    design = build("y ~ x + (1 + x | g) + (0 + s || g) + (1 | h)")
    first, second, third = design.random_terms
    assert (first.names, first.structure) == (("(Intercept)", "x"), "unstructured")
    assert first.columns[0] is None
    assert np.shares_memory(first.columns[1], design.fixed[1].values)
    assert (second.names, second.structure) == (("s[u]", "s[v]"), "diagonal")
    assert [t.grouping_factor for t in design.random_terms] == [0, 0, 1]
    assert [f.name for f in design.grouping_factors] == ["g", "h"]
    assert third.names == ("(Intercept)",)


def test_grouping_factor_codes() -> None:
    factor = build("y ~ (1 | g)").grouping_factors[0]
    assert factor.codes.dtype == np.int32
    assert list(factor.levels) == sorted(DATA["g"].unique())
    assert np.array_equal(np.asarray(factor.levels)[factor.codes], DATA["g"])


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (["b", "a", "b", "c"], ["a", "b", "c"]),
        ([3, 1, 3, 2], [1, 2, 3]),
        ([3.0, 1.0, 3.0, 2.0], [1, 2, 3]),
        ([10**12, 5, 10**12, -7], [-7, 5, 10**12]),
        (np.array([-100, 100, -100, 5], dtype=np.int8), [-100, 5, 100]),
        (np.array([2, 1, 2, 3], dtype=np.uint64), [1, 2, 3]),
        ([True, False, True, True], [False, True]),
        (pd.Categorical(["b", "a", "b", "c"], categories=["c", "b", "z", "a"]), ["c", "b", "a"]),
        (pd.to_datetime(["2020-01-02", "2020-01-01", "2020-01-02", "2021-01-01"]), None),
        (pd.array([3, 1, 3, 2], dtype="Int64"), [1, 2, 3]),
    ],
)
def test_kinds_of_grouping_factors(values: Any, levels: list[Any] | None) -> None:
    factor = build("y ~ (1 | g)", {"y": np.arange(4.0), "g": values}).grouping_factors[0]
    if levels is not None:
        assert factor.levels.tolist() == levels
    assert [factor.levels[c] for c in factor.codes] == list(values)


def test_combinations() -> None:
    nested = build("y ~ (1 | g/h)")
    assert [f.name for f in nested.grouping_factors] == ["g", "g:h"]
    factor = nested.grouping_factors[1]
    labels = (DATA["g"] + ":" + DATA["h"].astype(str)).tolist()
    assert [factor.levels[c] for c in factor.codes] == labels
    assert sorted(set(labels)) == list(factor.levels)
    large = {"y": np.arange(5.0), "a": [10**9, 1, 2, 1, 2], "b": [1, 1, 1, 2, 1]}
    assert build("y ~ (1 | a:b)", large).grouping_factors[0].levels.tolist() == ["1:1", "1:2", "2:1", "1000000000:1"]


# ---- the response -------------------------------------------------------------------------------------------------


def test_binomial_responses() -> None:
    numbers = build("b ~ x", family="binomial").response
    assert (numbers.size, numbers.levels) == (None, None)
    assert np.array_equal(numbers.values, DATA["b"])
    text = build("s ~ x", family="binomial").response
    assert text.levels == ("u", "v")
    assert np.array_equal(text.values, DATA["s"] == "v")
    category = build("c ~ x", family="binomial").response
    assert category.levels == ("yes", "no")
    assert np.array_equal(category.values, DATA["c"] == "no")
    truth = build("flag ~ x", family="binomial").response
    assert truth.levels == ("False", "True")
    expression = build("I(x > 0) ~ z", family="binomial").response
    assert np.array_equal(expression.values, DATA["x"] > 0)
    relabelled = build("factor(k2) ~ x", DATA.assign(k2=DATA["b"] + 1), family="binomial").response
    assert relabelled.levels == ("1", "2")


def test_successes_and_failures() -> None:
    design = build("cbind(n, size - n) ~ x", family="binomial", weights=np.full(60, 2.0))
    assert np.array_equal(design.response.values, DATA["n"])
    assert np.array_equal(design.response.size, DATA["size"])
    assert design.weights is not None
    assert design.response.name == "cbind(n, size - n)"
    assert design.response.values.dtype == np.float64
    single = build("cbind(b, 1 - b) ~ x", family="binomial").response
    assert single.size is None


def test_proportions() -> None:
    for formula, data in (("n/size ~ x", DATA), ("p ~ x", DATA.assign(p=DATA["n"] / DATA["size"]))):
        design = build(formula, data, family="binomial", weights="size")
        assert np.array_equal(design.response.values, DATA["n"])
        assert np.array_equal(design.response.size, DATA["size"])
        assert design.weights is None
    weighted = build("b ~ x", family="binomial", weights="z")
    assert weighted.response.size is None
    assert np.array_equal(weighted.weights, DATA["z"])
    with pytest.warns(DataWarning, match="give the trials as weights="):
        build("I(n/20) ~ x", family="binomial")
    with pytest.warns(DataWarning, match="is not whole"):
        build("I(n/20) ~ x", family="binomial", weights="size")


def test_counts() -> None:
    assert np.array_equal(build("n ~ x", family="poisson").response.values, DATA["n"])
    with pytest.warns(DataWarning, match="'z' is not whole"):
        build("z ~ x", family="poisson")
    with pytest.warns(DataWarning, match="'z' is not whole"):
        build("cbind(z, size) ~ x", family="binomial")


def test_expressions_on_the_left() -> None:
    np.testing.assert_allclose(build("log(z) ~ x").response.values, np.log(DATA["z"]))
    np.testing.assert_allclose(build("z^2 - x ~ f").response.values, DATA["z"] ** 2 - DATA["x"])
    assert np.array_equal(build("flag ~ x").response.values, DATA["flag"])


# ---- rows ---------------------------------------------------------------------------------------------------------


def test_missing_values_leave_jointly() -> None:
    data = DATA.copy()
    data.loc[0, "y"] = np.nan
    data.loc[1, "x"] = np.nan
    data.loc[2, "f"] = None
    data.loc[3, "c"] = np.nan
    data.loc[4, "g"] = None
    data.loc[5, "z"] = np.nan
    data["w"] = 1.0
    data.loc[6, "w"] = np.nan
    offset = np.zeros(60)
    offset[7] = np.nan
    data["unused"] = np.nan
    design = build("y ~ x + f + c + log(z) + (1 | g)", data, weights="w", offset=offset)
    assert (design.n_rows, design.n_missing) == (52, 8)
    assert design.rows is not None
    assert design.rows.tolist() == list(range(8, 60))
    assert design.index is not None
    assert design.index.tolist() == list(range(8, 60))
    assert np.array_equal(design.response.values, data["y"][8:])
    whole = build("y ~ x + f + c + log(z) + (1 | g)", DATA.iloc[8:])
    np.testing.assert_array_equal(fixed_matrix(design), fixed_matrix(whole))
    assert np.array_equal(design.grouping_factors[0].codes, whole.grouping_factors[0].codes)
    assert whole.rows is None


@pytest.mark.parametrize(
    "column",
    [
        pd.array([1, None, 3, 4], dtype="Int64"),
        pd.array([1.0, None, 3, 4], dtype="Float64"),
        pd.array([True, None, False, True], dtype="boolean"),
        pd.array(["a", pd.NA, "b", "c"], dtype="string"),
        [1, None, 3, 4],
        [1.5, float("nan"), 3, 4],
        ["a", None, "b", "c"],
        [True, None, False, True],
        np.ma.MaskedArray([1.0, 2.0, 3.0, 4.0], mask=[False, True, False, False]),
        pd.Categorical(["a", None, "b", "c"]),
    ],
)
def test_kinds_of_missing(column: Any) -> None:
    design = build("y ~ v", {"y": np.arange(4.0), "v": column})
    assert (design.n_rows, design.n_missing) == (3, 1)
    assert np.isfinite(fixed_matrix(design)).all()


def test_missing_raise() -> None:
    data = DATA.assign(x=DATA["x"].where(DATA["x"] < 1), f=DATA["f"].where(DATA["f"] != "low"))
    rows = np.flatnonzero(data["x"].isna())
    with pytest.raises(DataError, match=f"column 'x' has {len(rows)} missing values, in row {rows[0]}, {rows[1]}.*'f'"):
        build("y ~ x + f", data, missing="raise")
    assert build("y ~ x + f", missing="raise").n_missing == 0
    with pytest.raises(ValueError, match="'drop' or 'raise'"):
        build("y ~ x", missing="ignore")


def test_zero_weights_leave() -> None:
    weights = np.ones(60)
    weights[[3, 5]] = 0
    design = build("y ~ x + (1 | g)", weights=weights)
    assert (design.n_rows, design.n_zero_weight, design.n_missing) == (58, 2, 0)
    assert design.weights is not None
    assert len(design.weights) == 58
    trials = build("cbind(n, m) ~ x", DATA.assign(m=np.where(DATA["n"] == 0, 0, 3)), family="binomial", weights="z")
    assert trials.n_zero_weight == (DATA["n"] == 0).sum()
    assert trials.response.size is not None
    assert trials.response.size.min() > 0
    assert np.array_equal(trials.weights, DATA["z"][DATA["n"] > 0])


def test_offsets() -> None:
    design = build("n ~ x + offset(log(z)) + offset(x)", family="poisson", offset=np.arange(60.0))
    np.testing.assert_allclose(design.offset, np.log(DATA["z"]) + DATA["x"] + np.arange(60.0))
    np.testing.assert_allclose(build("n ~ x", family="poisson", offset="z").offset, DATA["z"])
    assert build("y ~ x").offset is None


def test_the_index_is_kept() -> None:
    data = DATA.set_index(pd.Index([f"r{i}" for i in range(60)]))
    assert build("y ~ x + f + I(f == 'low') + (1 | g)", data).index is data.index


# ---- kinds of frames ----------------------------------------------------------------------------------------------


FRAME_FORMULA = "y ~ x*f + flag + k + C(k) + I(x^2) + I(f == 'low') + c + (1 + f | g) + (1 | g:h)"


def frame_data() -> pd.DataFrame:
    data = DATA.assign(c=pd.Categorical(DATA["c"].astype(str)), k=DATA["k"].astype("float64"))
    data.loc[3, "x"] = np.nan
    data.loc[5, "f"] = None
    data.loc[9, "g"] = None
    data.loc[11, "c"] = np.nan
    return data


def as_polars(data: pd.DataFrame) -> Any:
    pl = pytest.importorskip("polars")
    return pl.DataFrame({k: [None if pd.isna(v) else v for v in data[k].tolist()] for k in data})


def as_polars_categories(data: pd.DataFrame) -> Any:
    pl = pytest.importorskip("polars")
    frame = as_polars(data)
    return frame.with_columns(
        pl.col("f").cast(pl.Categorical), pl.col("g").cast(pl.Enum(sorted(data["g"].dropna().unique())))
    )


def as_arrow(data: pd.DataFrame) -> Any:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({k: [None if pd.isna(v) else v for v in data[k].tolist()] for k in data})
    return table.set_column(table.column_names.index("f"), "f", table["f"].dictionary_encode())


FRAMES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "polars": as_polars,
    "polars with categories": as_polars_categories,
    "polars lazy": lambda d: as_polars(d).lazy(),
    "pyarrow": as_arrow,
    "dict of lists": lambda d: {k: [None if pd.isna(v) else v for v in d[k].tolist()] for k in d},
    "dict of arrays": lambda d: {k: d[k].to_numpy() for k in d},
    "dict of series": lambda d: {k: d[k] for k in d},
    "pandas objects": lambda d: d.astype({"f": object, "g": object, "s": object}),
    "pandas python strings": lambda d: d.astype({"f": "string[python]", "g": "string[python]"}),
    "pandas nullable": lambda d: d.convert_dtypes(),
    "pandas categories": lambda d: d.astype({"f": "category", "g": "category"}),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_kind_of_frame_gives_the_same_design(kind: str) -> None:
    data = frame_data()
    expected = build(FRAME_FORMULA, data)
    frame = FRAMES[kind](data)
    design = build(FRAME_FORMULA, frame)
    assert names(design) == names(expected)
    np.testing.assert_array_equal(fixed_matrix(design), fixed_matrix(expected))
    np.testing.assert_array_equal(design.response.values, expected.response.values)
    for ours, theirs in zip(design.grouping_factors, expected.grouping_factors, strict=True):
        assert list(ours.levels) == list(theirs.levels)
        np.testing.assert_array_equal(ours.codes, theirs.codes)
    assert (design.n_rows, design.n_missing) == (expected.n_rows, expected.n_missing) == (56, 4)
    for new in (design.code_new(data), expected.code_new(frame)):
        np.testing.assert_array_equal(matrix([c.values for c in new.fixed], 60)[~new.missing], fixed_matrix(expected))
        np.testing.assert_array_equal(new.codes[1][~new.missing], expected.grouping_factors[1].codes)
        assert new.missing.sum() == 4


def test_declared_order_of_polars() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"y": [1.0, 2.0, 3.0, 4.0], "f": ["b", "a", "c", "b"]})
    enum = frame.with_columns(pl.col("f").cast(pl.Enum(["c", "b", "a", "z"])))
    assert names(build("y ~ f", enum)) == ["(Intercept)", "f[b]", "f[a]"]
    by_appearance = frame.with_columns(pl.col("f").cast(pl.Categorical))
    assert names(build("y ~ f", by_appearance)) == ["(Intercept)", "f[b]", "f[c]"]


def test_polars_categories_that_share_a_pool() -> None:
    pl = pytest.importorskip("polars")
    first = pl.Series("f", ["q", "r", None, "q"], dtype=pl.Categorical)
    second = pl.Series("g", [None, "zz", "r", "zz"], dtype=pl.Categorical)
    frame = pl.DataFrame([pl.Series("y", [1.0, 2.0, 3.0, 4.0]), first, second])
    design = build("y ~ f", frame)
    assert fixed_matrix(design)[:, 1].tolist() == [0, 1, 0]
    assert list(build("y ~ (1 | g)", frame).grouping_factors[0].levels) == ["r", "zz"]


def test_polars_nan_is_missing() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"y": [1.0, 2.0, 3.0], "x": [1.0, float("nan"), None]})
    assert build("y ~ x", frame).n_missing == 2


def test_structured_arrays() -> None:
    records = np.array([(1.0, 2), (2.0, 3), (3.0, 5)], dtype=[("y", float), ("k", int)])
    assert fixed_matrix(build("y ~ k", records))[:, 1].tolist() == [2, 3, 5]


# ---- new data -----------------------------------------------------------------------------------------------------


RIGHT_SIDES = [
    "x", "f", "0 + f", "f*x", "f:s", "flag*x", "c", "factor(k)", "I(x^2)", "I(x > 0)", "scale(x)", "center(z)",
    "scale(x, center=False)", "standardize(x)", "poly(x, 3)", "bs(z, 5)", "ns(z, 3)", "cr(z, df=4)", "C(f, Sum)*s",
    "C(f, Helmert)", "relevel(f, 'mid')", "log(z) + scale(I(x^2))", "poly(x, 2):s", "scale(log(z))", "np.sin(x)",
]  # fmt: skip


@pytest.mark.parametrize("right", RIGHT_SIDES)
def test_new_data_are_coded_as_the_fit(right: str) -> None:
    design = build(f"y ~ {right} + offset(log(z)) + (1 + {right} | g) + (1 | g:h)")
    new = design.code_new(DATA.drop(columns="y"))
    np.testing.assert_array_equal(matrix([c.values for c in new.fixed], 60), fixed_matrix(design))
    assert [c.name for c in new.fixed] == names(design)
    np.testing.assert_array_equal(new.offset, design.offset)
    for term, columns in zip(design.random_terms, new.random_columns, strict=True):
        np.testing.assert_array_equal(matrix(columns, 60), matrix(term.columns, 60))
    for factor, codes in zip(design.grouping_factors, new.codes, strict=True):
        np.testing.assert_array_equal(codes, factor.codes)
    # a few rows, in another order, from a pickled design
    some = [40, 3, 17]
    part = pickle.loads(pickle.dumps(design)).code_new(DATA.iloc[some])
    rows = matrix([c.values for c in part.fixed], 3)
    np.testing.assert_allclose(rows, fixed_matrix(design)[some], rtol=1e-13, atol=1e-13)
    assert part.index.tolist() == some
    fixed_only = design.code_new(DATA.drop(columns=["y", "g", "h"]), need_random=False)
    assert (fixed_only.codes, fixed_only.random_columns, fixed_only.unseen) == ((), (), ())


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["x", "f", "s", "flag", "factor(k)", "poly(z, 2)", "I(x^2)"]), min_size=1, max_size=4),
    st.sampled_from(["+", "*", ":"]),
    st.booleans(),
)
def test_any_formula_is_coded_alike(parts: list[str], operator: str, intercept: bool) -> None:
    right = f" {operator} ".join(parts)
    design = build(f"y ~ {int(intercept)} + {right}")
    new = design.code_new(DATA)
    x = fixed_matrix(design)
    np.testing.assert_array_equal(matrix([c.values for c in new.fixed], 60), x)
    assert len(set(names(design))) == len(names(design)) == x.shape[1]


def test_new_levels_of_a_grouping_factor() -> None:
    design = build("y ~ x + (1 | g) + (1 | g:h)")
    new = design.code_new({"x": [0.0, 1.0, 2.0], "g": ["g0", "new", None], "h": [1, 1, 1]})
    assert new.codes[0].tolist() == [0, -1, -1]
    assert new.unseen[0].tolist() == ["new"]
    assert new.unseen[1].tolist() == ["new:1"]
    assert new.missing.tolist() == [False, False, True]
    assert new.index is None


def test_combinations_not_seen_in_the_fit() -> None:
    design = build("y ~ (1 | a:b)", {"y": np.arange(5.0), "a": list("xxyyy"), "b": list("12112")})
    new = design.code_new({"a": ["x", "y", "x", "z"], "b": ["2", "2", "3", "1"]})
    assert new.codes[0].tolist() == [1, 3, -1, -1]
    assert new.unseen[0].tolist() == ["x:3", "z:1"]


def test_new_data_with_missing_values_keep_their_rows() -> None:
    design = build("y ~ x + f + (1 | g)")
    new = design.code_new({"x": [np.nan, 1.0, 2.0], "f": ["low", None, "mid"], "g": ["g0", "g1", "g2"]})
    assert new.missing.tolist() == [True, True, False]
    assert new.n_rows == 3


def test_labels_agree_across_kinds() -> None:
    data = DATA.assign(period=DATA["k"].astype(str), herd=DATA["h"])
    design = build("y ~ period + (1 | herd)", data)
    new = design.code_new({"period": [1, 2, 5], "herd": ["1", "2", "4"]})
    np.testing.assert_array_equal(matrix([c.values for c in new.fixed], 3)[1], [1, 1, 0, 0, 0])
    assert new.codes[0].tolist() == [0, 1, 3]


def test_new_data_that_do_not_fit() -> None:
    design = build("y ~ f + x + (1 | g)")
    good = {"f": ["low", "mid"], "x": [1.0, 2.0], "g": ["g0", "g1"]}
    with pytest.raises(DataError, match=r"'f' has the level 'other' in row 1 .* the fit knows high, low, mid"):
        design.code_new({**good, "f": ["low", "other"]})
    with pytest.raises(DataError, match="no column 'x'"):
        design.code_new({"f": ["low"], "g": ["g0"]})
    with pytest.raises(DataError, match="no column 'g'"):
        design.code_new({"f": ["low"], "x": [1.0]})
    with pytest.raises(DataError, match="was a number in the fit"):
        design.code_new({**good, "x": ["a", "b"]})
    with pytest.raises(DataError, match="infinite"):
        design.code_new({**good, "x": [1.0, np.inf]})


def test_offset_arguments_for_new_data() -> None:
    by_name = build("n ~ x", family="poisson", offset="z")
    np.testing.assert_array_equal(by_name.code_new(DATA[:5]).offset, DATA["z"][:5])
    with pytest.raises(DataError, match="no such column"):
        by_name.code_new(DATA[["x"]])
    by_array = build("n ~ x", family="poisson", offset=np.ones(60))
    with pytest.raises(DataError, match="give the offsets of the new rows"):
        by_array.code_new(DATA[:5])
    np.testing.assert_array_equal(by_array.code_new(DATA[:2], offset=[1.0, 2.0]).offset, [1.0, 2.0])


def test_splines_go_on_beyond_the_data() -> None:
    design = build("y ~ bs(x, 4)")
    new = design.code_new({"x": [-50.0, 50.0]})
    assert np.isfinite(matrix([c.values for c in new.fixed], 2)).all()


# ---- complaints ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "message", "mark"),
    [
        ("y ~ xx", r"no column 'xx'; did you mean 'x'\?|no column 'xx'; the columns are", "xx"),
        ("y ~ Flag", "no column 'Flag'; did you mean 'flag'", "Flag"),
        ("yy ~ x", "no column 'yy'", "yy"),
        ("y ~ log(sise)", "no column 'sise'; did you mean 'size'", "sise"),
        ("y ~ x + (1 | gg)", "no column 'gg'", "gg"),
        ("y ~ x + (sise | g)", "no column 'sise'; did you mean 'size'", "sise"),
        ("y ~ offset(sise)", "did you mean 'size'", "sise"),
    ],
)
def test_unknown_columns(formula: str, message: str, mark: str) -> None:
    with pytest.raises(FormulaError, match=message) as caught:
        build(formula)
    _, shown, caret = str(caught.value).split("\n")
    assert shown[caret.index("^") :].startswith(mark)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ logg(z)", "there is no function 'logg'; did you mean 'log'"),
        ("y ~ foo(z)", "there is no function 'foo'"),
        ("y ~ log(f)", r"'log\(f\)' cannot be evaluated: column 'f' holds categories; a number is needed"),
        ("y ~ I(f^2)", "column 'f' holds categories; a number is needed"),
        ("y ~ I(c^2)", "column 'c' holds categories; a number is needed"),
        ("y ~ log(c)", "column 'c' holds categories; a number is needed"),
        ("y ~ poly(f, 2)", "column 'f' holds categories; a number is needed"),
        ("y ~ scale(f)", "column 'f' holds categories; a number is needed"),
        ("y ~ I(-f)", "column 'f' holds categories; a number is needed"),
        ("y ~ I(z.mean())", "methods of columns, such as x.mean"),
        ("y ~ I(z - z.mean())", "methods of columns, such as x.mean"),
        ("y ~ I(1 < z < 2)", "a condition on a whole column; write ifelse"),
        ("y ~ poly(x, 60)", "must be at least 1 and less than the number of different values"),
        ("y ~ I(3)", "is not a column"),
        ("y ~ C(f, Treatment('other'))", "is no level; the levels are high, low, mid"),
        ("y ~ C(f, levels=['low', 'mid'])", "leaves out high"),
        ("y ~ I(c(1, 2))", "gives 2 values for 60 rows"),
        ("y ~ ns(x, 0)", "df must be at least 1"),
    ],
)
def test_expressions_that_fail(formula: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        build(formula)


@pytest.mark.parametrize(
    ("contrasts", "message"),
    [
        ({"q": "sum"}, "the formula has no 'q'"),
        ({"f": "sums"}, "are not known; known are treatment, sum"),
        ({"x": "sum"}, r"'x' is a number; factor\(x\)"),
        ({"f": np.ones((2, 1))}, "a row for each of the 3 levels"),
    ],
)
def test_contrasts_that_fail(contrasts: dict[str, Any], message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        build("y ~ f + x", contrasts=contrasts)


@pytest.mark.parametrize("contrasts", [["sum"], "sum"])
def test_contrasts_are_a_mapping(contrasts: Any) -> None:
    with pytest.raises(DataError, match="contrasts must be a mapping of columns to codings"):
        build("y ~ f + x", contrasts=contrasts)


@pytest.mark.parametrize(
    ("formula", "family", "changes", "message"),
    [
        ("s ~ x", "gaussian", {}, "holds categories.*a number is needed for the gaussian family"),
        ("s ~ x", "poisson", {}, "a number is needed for the poisson family"),
        ("f ~ x", "binomial", {}, r"has 3 levels \('high', 'low', 'mid'\).*needs two"),
        ("s ~ x", "binomial", {"s": "u"}, r"has 1 level \('u'\)"),
        ("k ~ x", "binomial", {}, r"the response 'k' is \d in row \d+ .*cbind"),
        ("n ~ x", "poisson", {"n": DATA["n"] - 5}, "a count cannot be negative"),
        ("cbind(n, size) ~ x", "binomial", {"n": -1}, "'n' is -1 in row 0 .*a count cannot be negative"),
        ("cbind(n, k - n) ~ x", "binomial", {}, r"'k - n' is -\d in row \d+ .*more successes \(\d\) than trials"),
        ("cbind(f, k) ~ x", "binomial", {}, "'f' in cbind.* a number is needed"),
        ("cbind(n, k) ~ x", "gaussian", {}, "is a response of the binomial family"),
        ("cbind(n, k) ~ x", "binomial", {"n": 0, "k": 0}, "no trials in any row"),
        ("poly(x, 2) ~ z", "gaussian", {}, "has 2 columns"),
        ("y ~ x", "gaussian", {"x": np.where(DATA.index == 7, np.inf, 0.0)}, "'x' holds an infinite .* inf in row 7"),
        ("y ~ x", "gaussian", {"y": np.where(DATA.index > 7, -np.inf, 0.0)}, "-inf in row 8 .*and 51 more"),
        ("y ~ log(x)", "gaussian", {"x": np.where(DATA.index == 7, 0.0, 1.0)}, r"'log\(x\)' is -inf in row 7 .*x = 0"),
        ("y ~ log(x)", "gaussian", {"x": np.where(DATA.index == 7, -1.0, 1.0)}, r"'log\(x\)' is nan in row 7"),
        ("y ~ offset(log(x))", "gaussian", {"x": 0.0}, r"'log\(x\)' is -inf in row 0"),
        ("log(x) ~ z", "gaussian", {"x": 0.0}, r"'log\(x\)' is -inf in row 0"),
        ("y ~ offset(f)", "gaussian", {}, "is no column of numbers"),
        ("y ~ (1 | g)", "gaussian", {"g": "a"}, "the grouping factor 'g' has one level"),
        ("y ~ (1 | g:h)", "gaussian", {"g": "a", "h": 1}, "'g:h' has one level"),
        ("y ~ (1 | x)", "gaussian", {}, "numbers that are not whole"),
        ("y ~ (1 | g)", "gaussian", {"g": np.arange(60)}, "60 levels in 60 rows"),
        ("y ~ (1 + z | g)", "gaussian", {"z": 0.0}, r"column 'z' of \(1 \+ z \| g\) is zero in every row; remove it"),
        ("y ~ (x + z | g)", "gaussian", {"g": np.arange(60) // 3}, "60 random .* .20 levels of 'g' times 3. for 60"),
        ("y ~ x", "gaussian", {"x": np.nan}, "no rows are left .*'x' lacks 60 of 60"),
        ("y ~ x", "gaussian", {"x": pd.Timestamp("2020-01-01")}, "neither numbers nor categories"),
        ("y ~ x", "gaussian", {"x": 1j}, "complex"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_used(formula: str, family: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(formula, DATA.assign(**changes), family=family)


@pytest.mark.parametrize(
    ("left", "family"), [("b", "poisson"), ("cbind(n, size - n)", "binomial"), ("n/size", "binomial")]
)
def test_a_level_per_row_is_allowed_without_residual_variance(left: str, family: str) -> None:
    weights = "size" if left == "n/size" else None
    design = build(f"{left} ~ x + (1 | g)", DATA.assign(g=np.arange(60)), family=family, weights=weights)
    assert len(design.grouping_factors[0].levels) == 60


@pytest.mark.parametrize("left", ["b", "s", "flag", "cbind(b, 1 - b)"])
def test_a_level_per_row_of_single_trials(left: str) -> None:
    with pytest.raises(DataError, match="60 levels in 60 rows of one trial each"):
        build(f"{left} ~ x + (1 | g)", DATA.assign(g=np.arange(60)), family="binomial")


def test_weights_are_aligned_by_label() -> None:
    data = DATA.set_index(pd.Index([f"r{i}" for i in range(60)]))
    shuffled = data["z"].sample(frac=1.0, random_state=1)
    for values in (data["z"], shuffled, data["z"].to_numpy()):
        design = build("y ~ x", data, weights=values, offset=values)
        assert np.array_equal(design.weights, data["z"])
        assert np.array_equal(design.offset, data["z"])
    new = build("y ~ x", data, offset=shuffled).code_new(data[:5], offset=data["z"][:5][::-1])
    assert np.array_equal(new.offset, data["z"][:5])
    for bad in (DATA["z"], shuffled.set_axis(["r0"] * 60)):
        with pytest.raises(DataError, match=r"the index of weights differs from the frame's.*to_numpy"):
            build("y ~ x", data, weights=bad)
    assert np.array_equal(build("y ~ x", data.to_dict("list"), weights=DATA["z"]).weights, DATA["z"])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([[1, 2]] * 59 + [[1]], "list"),
        ([(1, 2)] * 59 + [(1,)], "tuple"),
        ([{"a": 1}] * 60, "dict"),
        ([object() for _ in range(60)], "object"),
        ([None, "a"] * 29 + [{1}, {2}], "set"),
    ],
)
def test_columns_of_objects(values: list[Any], kind: str) -> None:
    message = f"column 'q' holds values of type {kind}"
    for formula in ("y ~ q", "y ~ (1 | q)", "y ~ factor(q)"):
        for data in (DATA.assign(q=pd.Series(values)), {"y": list(DATA["y"]), "q": values}):
            with pytest.raises(DataError, match=message):
                build(formula, data)


def test_columns_of_lists_in_polars() -> None:
    data = pytest.importorskip("polars").DataFrame({"y": [1.0, 2.0, 3.0], "q": [[1, 2], [3, 4], [5, 6]]})
    with pytest.raises(DataError, match="column 'q' holds values of type list"):
        build("y ~ q", data)


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


def test_a_column_called_like_a_function_shows_the_missing_operator() -> None:
    with pytest.raises(FormulaError, match="'z' is a column, not a function") as caught:
        build("y ~ x + z (x | g)")
    _, shown, caret = str(caught.value).split("\n")
    assert shown[caret.index("^") :].startswith("(x | g)")


def test_odd_values_warn_at_the_line_of_the_user() -> None:
    with pytest.warns(DataWarning) as caught:
        build_design("z ~ x", DATA, family="poisson")
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"weights": "wait"}, "weights='wait': the data have no such column"),
        ({"weights": [1.0, 2.0]}, "weights has 2 values for 60 rows"),
        ({"weights": "f"}, "holds categories; a number is needed"),
        ({"weights": -np.ones(60)}, "is -1 in row 0 .*cannot be negative"),
        ({"weights": np.zeros(60)}, "every weight is zero"),
        ({"weights": np.full(60, np.inf)}, "infinite"),
        ({"offset": np.full(60, np.inf)}, "infinite"),
        ({"offset": "nope"}, "offset='nope'"),
        ({"offset": [0.0]}, "offset has 1 values for 60 rows"),
    ],
)
def test_weights_and_offsets_that_cannot_be_used(more: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        build("y ~ x", **more)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DATA[:0], "no rows"),
        ({}, "no columns"),
        (pd.DataFrame(index=[1, 2]), "no columns"),
        ([1, 2], "must be a data frame"),
        (np.ones((3, 2)), "must be a data frame"),
        ({"y": [1.0, 2.0], "x": [1.0]}, "differ in length: y has 2, x has 1"),
        ({"y": [1.0, 2.0], "x": 1.0}, "'x' of the data is a single value"),
        ({"y": [1.0, 2.0], "x": np.ones((2, 2))}, "has 2 dimensions"),
        (pd.concat([DATA[["y", "x"]], DATA[["x"]]], axis=1), "2 columns called 'x'"),
    ],
)
def test_frames_that_cannot_be_used(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build("y ~ x", data)


# ---- against R ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["cbpp", "bacteria", "Contraception", "epil", "hsb", "VerbAgg", "guImmun", "Owls", "grouseticks", "Exam"]
)
def test_columns_rows_and_groups_are_those_of_r(
    name: str, shared_reference: Callable[[str], Any], shared_data: Callable[[str], pd.DataFrame]
) -> None:
    """The names of R's coefficients, the rows used and the numbers of levels, for every reference fit."""
    reference, data = shared_reference(name), shared_data(name)
    data["obs"] = np.arange(len(data))
    compared = 0
    for fit in reference["fits"].values():
        formula, family = fit.get("formula", ""), str(fit.get("family", "")).lower()
        derived = any(word in formula for word in (";", "visit", "* ch", "cHEIGHT", "logit P"))
        if (
            derived
            or formula.startswith("~")
            or "fixed" not in fit
            or family not in ("binomial", "poisson", "gaussian")
        ):
            continue
        right = formula.split("~")[1].split("(")[0]
        ordered = [c for c, a in reference["columns"].items() if a["type"] == "ordered" and c in right]
        design = build(formula, data, family=family, contrasts=dict.fromkeys(ordered, "poly"))
        ours = [n.replace("[True]", "TRUE").replace("[", "").replace("]", "") for n in names(design)]
        assert ours == [row["name"] for row in fit["fixed"]], formula
        assert design.n_rows == fit["nobs"]
        groups = {factor.name: len(factor.levels) for factor in design.grouping_factors}
        assert sorted(groups.values()) == sorted(fit["ngroups"].values())
        compared += 1
    assert compared


# ---- cost ---------------------------------------------------------------------------------------------------------


def test_it_costs_less_than_the_fit() -> None:
    """Generous bounds: the figures on a quiet machine are five times smaller."""
    n = 300_000
    rng = np.random.default_rng(1)
    data = pd.DataFrame({f"x{i}": rng.normal(size=n) for i in range(5)})
    data["y"] = (rng.random(n) < 0.5).astype(float)
    data["g"] = np.array([f"g{i:04d}" for i in range(3000)])[rng.integers(0, 3000, n)]
    formula = "y ~ x0 + x1 + x2 + x3 + x4 + (1 | g)"

    def seconds(data: pd.DataFrame) -> float:
        start = time.process_time()
        build(formula, data, family="binomial")
        return time.process_time() - start

    few = data[:56].assign(g=np.repeat([f"g{i}" for i in range(8)], 7))
    seconds(data)
    assert min(seconds(data) for _ in range(3)) < 0.1
    assert min(seconds(few) for _ in range(5)) < 0.008


def test_plain_formulas_do_not_import_formulaic() -> None:
    import subprocess
    import sys

    code = (
        "import sys, numpy as np; from multilevel.design import build_design;"
        "d = {'y': np.arange(9.), 'x': np.arange(9.), 'g': list('aaabbbccc')};"
        "build_design('y ~ x*g + I(x^2) + scale(x) + (1 | g)', d, family='gaussian');"
        "assert not {'formulaic', 'scipy', 'narwhals'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
