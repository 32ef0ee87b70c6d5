"""New data are coded as the rows of the fit were."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multilevel.errors import DataError, DataWarning

from .design_data import DATA, build, fixed_matrix, matrix, names

RIGHT_SIDES = [
    "x", "f", "0 + f", "f*x", "f:s", "flag*x", "c", "factor(k)", "I(x^2)", "I(x > 0)", "scale(x)", "center(z)",
    "scale(x, center=False)", "standardize(x)", "poly(x, 3)", "bs(z, 5)", "ns(z, 3)", "cr(z, df=4)", "C(f, Sum)*s",
    "I(x - np.mean(x))", "I(z / max(z))", "I(x > np.quantile(x, 0.3))", "I(x - (min(x) + np.std(x, ddof=1)) / len(x))",
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
    with pytest.warns(DataWarning, match="'period' holds numbers written as text"):
        design = build("y ~ period + (1 | herd)", data)
    new = design.code_new({"period": [1, 2, 5], "herd": ["1", "2", "4"]})
    np.testing.assert_array_equal(matrix([c.values for c in new.fixed], 3)[1], [1, 1, 0, 0, 0])
    assert new.codes[0].tolist() == [0, 1, 3]


@pytest.mark.parametrize("right", ["flag", "flag*x", "factor(flag)", "C(flag, Sum)"])
def test_truth_values_agree_with_zero_and_one(right: str) -> None:
    design = build(f"y ~ {right}")
    expected = matrix([c.values for c in design.code_new({"flag": [True, False], "x": [1.0, 2.0]}).fixed], 2)
    objects = np.array([np.True_, np.False_], dtype=object)
    mixed = np.array([True, 0], dtype=object)
    for new in ([1, 0], mixed, np.array([1, 0], dtype=np.uint8), [1.0, 0.0], np.array([True, False]), objects):
        coded = design.code_new({"flag": new, "x": [1.0, 2.0]})
        np.testing.assert_array_equal(matrix([c.values for c in coded.fixed], 2), expected)
    for bad, level in ((["True", "False"], "True"), ([2, 0], "2"), (["1", "0"], "1")):
        message = rf"has the level '{level}' in row 0 .* the fit knows False, True as truth values \(or 1 and 0\)"
        message += "$" if level == "2" else r", not as texts \(column == 'True' makes them\)$"
        with pytest.raises(DataError, match=message):
            design.code_new({"flag": bad, "x": [1.0, 2.0]})


def test_zero_and_one_agree_with_truth_values() -> None:
    for right in ("b", "factor(b)"):
        coded = build(f"y ~ {right}").code_new({"b": [True, False]})
        assert matrix([c.values for c in coded.fixed], 2)[:, 1].tolist() == [1, 0]


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
    by_expression = build("n ~ x", family="poisson", offset="2 * z")
    with_column_of_that_name = DATA[:5].assign(**{"2 * z": -1.0})
    np.testing.assert_array_equal(by_expression.code_new(with_column_of_that_name).offset, 2 * DATA["z"][:5])


def test_splines_go_on_beyond_the_data() -> None:
    design = build("y ~ bs(x, 4)")
    new = design.code_new({"x": [-50.0, 50.0]})
    assert np.isfinite(matrix([c.values for c in new.fixed], 2)).all()


def test_columns_of_random_effects_without_levels() -> None:
    design = build("y ~ x + (x | g)")
    new = design.code_new(DATA[["x"]][:7], need_levels=())
    assert all(len(codes) == 0 for codes in new.codes)
    assert new.random_columns[0][0] is None
    np.testing.assert_array_equal(new.random_columns[0][1], DATA["x"][:7])


def test_the_columns_that_predictors_were_made_from() -> None:
    data = DATA.assign(b=DATA["x"] > 0)
    data.loc[data.index[3], "z"] = np.nan
    design = build("y ~ log(abs(x) + 1) + f + b + offset(z) + (0 + n | g)", data)
    kept = data.drop(index=data.index[3])
    assert [(own.name, own.kind) for own in design.source] == [
        ("x", "number"), ("f", "category"), ("b", "bool"), ("z", "number"), ("n", "number"),
    ]  # fmt: skip
    for own in design.source:
        assert list(own.as_given()) == list(kept[own.name])
    whole = build("y ~ x", DATA)
    assert whole.source[0].values is whole.fixed[1].values  # no copy
