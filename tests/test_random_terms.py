"""Random-effects terms: columns, covariance structures, times."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multilevel.design.design import Design
from multilevel.design.random_terms import RandomTerm
from multilevel.errors import DataError, FormulaError

from .design_data import DATA, build, matrix, names


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


# ---- covariance structures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "structure", "expected"),
    [
        ("us(1 + x | g)", "unstructured", ("(Intercept)", "x")),
        ("homdiag(1 + x | g)", "homogeneous diagonal", ("(Intercept)", "x")),
        ("homdiag(1 | g)", "homogeneous diagonal", ("(Intercept)",)),
        ("cs(1 + x | g)", "compound symmetry", ("(Intercept)", "x")),
        ("homcs(0 + f | g)", "homogeneous compound symmetry", ("f[high]", "f[low]", "f[mid]")),
        ("rr(0 + f | g)", "reduced rank 2", ("f[high]", "f[low]", "f[mid]")),
        ("rr(0 + f | g, d = 1)", "reduced rank 1", ("f[high]", "f[low]", "f[mid]")),
        ("ar1(0 + k | g)", "ar1", tuple(f"k[{i}]" for i in range(1, 6))),
        ("hetar1(k + 0 | g)", "heterogeneous ar1", tuple(f"k[{i}]" for i in range(1, 6))),
    ],
)
def test_structures(term: str, structure: str, expected: tuple[str, ...]) -> None:
    (found,) = build(f"y ~ x + {term}").random_terms
    assert (found.structure, found.names) == (structure, expected)
    assert len(found.columns) == len(expected)


def test_columns_of_structures_are_those_of_plain_terms() -> None:
    plain, structured = (build(f"y ~ {term}").random_terms[0] for term in ("(0 + f | g)", "cs(0 + f | g)"))
    np.testing.assert_array_equal(matrix(structured.columns, 60), matrix(plain.columns, 60))


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("cs(1 | g)", r"cs\(1 \| g\) has one column, '\(Intercept\)': .* at least two; for one write \(1 \| g\)"),
        ("homcs(0 + x | a)", r"has one column, 'x': .* for one write \(0 \+ x \| a\)"),
        ("rr(0 + x | g)", r"has one column, 'x': a structure of correlations needs at least two"),
        ("rr(x | g)", r"has 2 dimensions for 2 columns: d must be less, such as d=1; .* write \(1 \+ x \| g\)"),
        ("rr(0 + f | g, d=5)", r"has 5 dimensions for 3 columns: d must be less, such as d=2; .* \(0 \+ f \| g\)"),
    ],
)
def test_structures_that_ask_for_more_columns(term: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message) as caught:
        build(f"y ~ z + {term}", DATA.assign(a=DATA["g"]))
    _, shown, caret = str(caught.value).split("\n")
    assert shown[caret.index("^") :].startswith(term)


# ---- times --------------------------------------------------------------------------------------------------------


def timed(term: str, times: Any) -> tuple[Design, RandomTerm]:
    """The design of two subjects that have the same times, and its term."""
    n = len(times)
    time = pd.concat([pd.Series(times)] * 2, ignore_index=True)
    if isinstance(times, np.ndarray):
        time = np.tile(times, 2)
    design = build(f"y ~ {term}", {"y": np.arange(2.0 * n), "g": ["a"] * n + ["b"] * n, "time": time})
    return design, design.random_terms[0]


@pytest.mark.parametrize("kind", [int, float, np.int8, np.uint8, np.float32])
def test_whole_times_fill_the_gaps(kind: Any) -> None:
    _, term = timed("ar1(0 + time | g)", np.array([7, 3, 4, 9], dtype=kind))
    assert term.names == tuple(f"time[{t}]" for t in range(3, 10))
    columns = matrix(term.columns, 8)
    assert columns.sum(axis=0).tolist() == [2, 2, 0, 0, 2, 0, 2]
    assert columns[:4].argmax(axis=1).tolist() == [4, 0, 1, 6]
    assert columns.sum(axis=1).tolist() == [1] * 8


def test_negative_times_and_expressions() -> None:
    _, term = timed("ar1(0 + I(time - 5) | g)", [3, 5, 4])
    assert term.names == ("I(time - 5)[-2]", "I(time - 5)[-1]", "I(time - 5)[0]")
    assert matrix(term.columns, 6)[:3].argmax(axis=1).tolist() == [0, 2, 1]


def test_levels_are_times_in_their_order() -> None:
    declared = pd.Categorical(["Feb", "Apr", "Jan"], categories=["Dec", "Jan", "Feb", "Mar", "Apr", "May"])
    _, term = timed("ar1(0 + time | g)", declared)
    # March is a gap; December and May lie outside.
    assert term.names == ("time[Jan]", "time[Feb]", "time[Mar]", "time[Apr]")
    assert matrix(term.columns, 6)[:3].argmax(axis=1).tolist() == [1, 3, 0]
    assert matrix(term.columns, 6).sum(axis=0).tolist() == [2, 2, 0, 2]


def test_factors_of_numbers_have_no_gaps() -> None:
    _, term = timed("ar1(0 + factor(time) | g)", [10, 2, 30])
    assert term.names == ("factor(time)[2]", "factor(time)[10]", "factor(time)[30]")
    assert matrix(term.columns, 6)[:3].argmax(axis=1).tolist() == [1, 0, 2]


def test_numbered_texts_in_order() -> None:
    _, term = timed("ar1(0 + time | g)", ["week 2", "week 1", "week 4"])
    assert term.names == ("time[week 1]", "time[week 2]", "time[week 4]")


def test_times_of_rows_left_out_still_count() -> None:
    data = pd.DataFrame({"y": [1.0, np.nan, 3.0, 4.0, np.nan, 6.0], "g": list("aaabbb"), "time": list("123123")})
    design = build("y ~ ar1(0 + time | g)", data, family="poisson")
    assert design.random_terms[0].names == ("time[1]", "time[2]", "time[3]")
    assert matrix(design.random_terms[0].columns, 4).tolist() == [[1, 0, 0], [0, 0, 1]] * 2


def test_a_single_series() -> None:
    data = DATA.assign(one="all", t=np.arange(60))
    design = build("y ~ x + ar1(0 + t | one)", data)
    assert len(design.grouping_factors[0].levels) == 1
    assert len(design.random_terms[0].names) == 60
    for term in ("hetar1(0 + t | one)", "ar1(0 + t | one) + (1 | one)"):
        with pytest.raises(DataError, match=r"the grouping factor 'one' has one level \('all'\)"):
            build(f"y ~ x + {term}", data)


def test_times_may_be_fixed_effects_too() -> None:
    design = build("y ~ k + (1 | h) + ar1(0 + k | g)")
    assert names(design) == ["(Intercept)", "k"]
    assert design.random_terms[1].names == tuple(f"k[{i}]" for i in range(1, 6))
    assert names(build("y ~ factor(k) + ar1(0 + factor(k) | g)"))[1] == "factor(k)[2]"


@pytest.mark.parametrize(
    ("term", "times", "message"),
    [
        (
            "ar1(0 + time | g)",
            [1.0, 2.5, 3.5, 4.0],
            r"must be whole numbers, equally spaced; found 2.5 in row 1 .*and fractions in 4 of 8 rows: round them, or",
        ),
        ("ar1(0 + time | g)", [3, 3, 3], r"are 3 in every row; a correlation over time needs several"),
        ("ar1(0 + time | g)", [0, 200], "are 201 whole numbers from 0 to 200; up to 200 can be fitted: use coarser"),
        ("ar1(0 + time | g)", [0, 10**15], "whole numbers from 0 to 1000000000000000; up to 200"),
        (
            "ar1(0 + time | g)",
            [f"t{i}" for i in range(100, 301)],
            "are 201 levels from 't100' to 't300'; up to 200 can be fitted",
        ),
        (
            "ar1(0 + time | g)",
            ["Jan", "Feb", "Mar"],
            r"are texts, whose alphabetical order is 'Feb', 'Jan', 'Mar'; declare their order, as in pd.Categorical\(",
        ),
        (
            "hetar1(0 + time | g)",
            [f"week {i}" for i in range(1, 12)],
            "whose alphabetical order is 'week 1', 'week 10', 'week 11', 'week 2', ...; declare their order",
        ),
        (
            "ar1(0 + time | g)",
            list(pd.date_range("2020-01-01", periods=3)),
            "are dates or the like; count the visits, days or weeks as whole numbers instead",
        ),
        ("ar1(0 + poly(time, 2) | g)", [1, 2, 3, 4], r"'poly\(time, 2\)' of .* have 2 columns; one column of times"),
    ],
)
def test_times_that_cannot_be_used(term: str, times: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        timed(term, times)


# ---- new data -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "term",
    ["cs(1 + x | g)", "rr(0 + f | g, d=2)", "homcs(0 + f | g)", "ar1(0 + k | g)", "hetar1(0 + factor(k) | g)"],
)
def test_structured_terms_of_new_data(term: str) -> None:
    design = pickle.loads(pickle.dumps(build(f"y ~ x + {term}")))
    some = [40, 3, 17]
    new = design.code_new(DATA.iloc[some])
    np.testing.assert_array_equal(matrix(new.random_columns[0], 3), matrix(design.random_terms[0].columns, 60)[some])


def test_new_times() -> None:
    design, _ = timed("ar1(0 + time | g)", [7, 3, 4, 9])
    new = design.code_new({"g": ["a", "b", "z", "a"], "time": [5.0, 9.0, 3.0, np.nan]})
    assert matrix(new.random_columns[0], 4).tolist() == [
        [0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [1, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ]
    assert new.missing.tolist() == [False, False, False, True]
    spelled = design.code_new({"g": ["a"], "time": ["5"]})
    assert matrix(spelled.random_columns[0], 1).tolist() == [[0, 0, 1, 0, 0, 0, 0]]
    for time in (10, 2, 4.5):
        message = (
            rf"ar1\(0 \+ time \| g\): 'time' is {time} in row 1 \(counted from 0\) of the new data; "
            "the times of the fit go from 3 to 9; leave such rows out, or predict without this random effect"
        )
        with pytest.raises(DataError, match=message):
            design.code_new({"g": ["a", "a"], "time": [5, time]})
    fixed_only = design.code_new({"g": ["a"]}, need_random=False)
    assert fixed_only.random_columns == ()
    with pytest.raises(DataError, match="no column 'time'"):
        design.code_new({"g": ["a"]})


def test_new_data_for_some_grouping_factors() -> None:
    design = build("y ~ x + (1 + z | g) + ar1(0 + k | h)")
    new = design.code_new(DATA[["x", "z", "g"]], need_random=["g"])
    np.testing.assert_array_equal(new.codes[0], design.grouping_factors[0].codes)
    np.testing.assert_array_equal(matrix(new.random_columns[0], 60)[:, 1], DATA["z"])
    assert (len(new.codes[1]), list(new.unseen[1]), new.random_columns[1]) == (0, [], ())
    with pytest.raises(DataError, match="no grouping factor 'k'; there are g, h"):
        design.code_new(DATA, need_random=["k"])
