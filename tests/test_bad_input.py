"""Data and arguments that cannot be used: every complaint names the place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from multilevel.errors import DataError, FormulaError

from .design_data import DATA, build


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


def test_a_column_called_like_a_function_shows_the_missing_operator() -> None:
    with pytest.raises(FormulaError, match="'z' is a column, not a function") as caught:
        build("y ~ x + z (x | g)")
    _, shown, caret = str(caught.value).split("\n")
    assert shown[caret.index("^") :].startswith("(x | g)")


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
        ({"offset": 1.0}, "offset is 1.0; give the name of a column, or one value per row"),
        ({"weights": "1 / z"}, "weights='1 / z': the data have no such column; an expression must be made a column"),
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
