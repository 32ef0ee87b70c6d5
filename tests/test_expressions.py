"""Calls in formulas: functions that are not there, functions of the user's own; offsets that are expressions."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.errors import DataError, FormulaError

from .design_data import DATA, build, fixed_matrix, matrix, names


def double(x: Any) -> Any:
    """Twice the values: a function that can be imported."""
    return 2 * x


# ---- functions that are not there ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "message", "mark"),
    [
        ("y ~ z + mean(x)", "there is no function 'mean'; center\\(x\\), scale\\(x\\) .* np.mean", "mean(x)"),
        ("y ~ I(x - mean(x))", "there is no function 'mean'", "mean(x)"),
        ("y ~ cut(x, 3)", r"no function 'cut'; make it a column .* pd\.cut\(", "cut("),
        ("y ~ te(x) + (1 | g)", r"no function 'te'; there are no smooth terms; ns\(x, 4\)", "te(x)"),
        ("y ~ x + as.character(f)", "no function 'as.character'; texts and categories are factors", "as.character"),
        ("y ~ x + lag(z)", "no function 'lag'; the order of rows", "lag("),
        ("lag(y) ~ x", "no function 'lag'", "lag("),
        ("y ~ x + offset(logg(z))", "no function 'logg'; did you mean 'log'", "logg("),
        ("y ~ x + (mean(x) | g)", "no function 'mean'", "mean("),
        ("y ~ pd.cut(x, 3)", r"'pd\.cut' is not available .* of modules only np is known;", "pd.cut"),
        ("y ~ exp(x) + e(x)", r"no function 'e'; .*functions=\{'e': e\}", "e(x)"),
    ],
)
def test_functions_that_are_not_there(formula: str, message: str, mark: str) -> None:
    with pytest.raises(FormulaError, match=message) as caught:
        build(formula)
    _, shown, caret = str(caught.value).split("\n")
    assert shown[caret.index("^") :].startswith(mark)


def test_the_mark_is_under_the_whole_word() -> None:
    with pytest.raises(FormulaError) as caught:
        build("y ~ exp(x) + e(x)")
    _, shown, caret = str(caught.value).split("\n")
    assert caret.index("^") == shown.index("+ e(x)") + 2


# ---- functions of the user's own -----------------------------------------------------------------------------------


def test_functions_of_the_users_own() -> None:
    own = {"double": double, "sinus": lambda x: np.sin(x)}
    right = "double(x) + sinus(log(z)) + offset(double(z)) + (1 + double(x) | g)"
    design = build(f"double(y) ~ {right}", functions=own)
    assert names(design) == ["(Intercept)", "double(x)", "sinus(log(z))"]
    np.testing.assert_array_equal(fixed_matrix(design)[:, 1], 2 * DATA["x"])
    np.testing.assert_allclose(fixed_matrix(design)[:, 2], np.sin(np.log(DATA["z"])))
    np.testing.assert_array_equal(design.response.values, 2 * DATA["y"])
    np.testing.assert_array_equal(design.offset, 2 * DATA["z"])
    new = design.code_new({"x": [3.0], "z": [1.0], "g": ["g0"]})
    assert matrix([c.values for c in new.fixed], 1).tolist() == [[1.0, 6.0, 0.0]]
    assert new.random_columns[0][1] is not None
    assert new.random_columns[0][1].tolist() == [6.0]


def test_functions_by_every_way_in() -> None:
    data = ml.datasets.sleepstudy()
    plain = ml.fit("Reaction ~ I(2 * Days) + (1 | Subject)", data)
    for results in (
        ml.fit("Reaction ~ double(Days) + (1 | Subject)", data, functions={"double": double}),
        ml.MixedModel("Reaction ~ double(Days) + (1 | Subject)", data, functions={"double": double}).fit(),
    ):
        assert results.llf == pytest.approx(plain.llf, abs=1e-8)
        new = {"Days": [4.0], "Subject": ["308"]}
        assert results.predict(new).item() == pytest.approx(plain.predict(new).item(), rel=1e-8)
    groups = ml.lm_list("Reaction ~ double(Days) | Subject", data, functions={"double": double})
    assert groups.coef().loc["308", "double(Days)"] == pytest.approx(21.764702 / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"log": np.log2}, "'log' is a function of formulas already; choose another name"),
        ({"cbind": double}, "'cbind' is a function of formulas already"),
        ({"my double": double}, "'my double' cannot be called in a formula"),
        ({"double": 2}, "functions: 'double' is 2, not a function"),
        ([double], "it maps names to functions, as in functions="),
    ],
)
def test_functions_that_cannot_be_used(functions: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build("y ~ x", functions=functions)


def test_functions_that_fail_are_named() -> None:
    with pytest.raises(FormulaError, match=r"'first\(x\)' gives 1 values for 60 rows"):
        build("y ~ first(x)", functions={"first": lambda x: x[:1]})
    with pytest.raises(FormulaError, match=r"'fails\(x\)' cannot be evaluated: out of order"):
        build("y ~ fails(x)", functions={"fails": lambda x: (_ for _ in ()).throw(ValueError("out of order"))})


def test_pickling_with_functions() -> None:
    data = ml.datasets.sleepstudy()
    formula = "Reaction ~ double(Days) + (1 | Subject)"
    results = ml.fit(formula, data, functions={"double": np.negative})
    new = {"Days": [3.0], "Subject": ["308"]}
    assert pickle.loads(pickle.dumps(results)).predict(new).item() == results.predict(new).item()
    local = ml.fit(formula, data, functions={"double": lambda x: 2 * x})
    assert copy.deepcopy(local).predict(new).item() == pytest.approx(results.predict(new).item())
    with pytest.raises(pickle.PicklingError, match=r"the function 'double' .* cannot be pickled: it is a lambda"):
        pickle.dumps(local)


# ---- offset= -------------------------------------------------------------------------------------------------------


def test_an_offset_may_be_an_expression() -> None:
    design = build("n ~ x + offset(x)", family="poisson", offset="log(z) + center(x)")
    x, z = DATA["x"], DATA["z"]
    np.testing.assert_allclose(design.offset, x + np.log(z) + x - x.mean())
    again = pickle.loads(pickle.dumps(design)).code_new({"x": [2.0], "z": [np.e]})
    np.testing.assert_allclose(again.offset, [2 + 1 + 2 - x.mean()])
    other = design.code_new({"x": [2.0], "z": [np.e]}, offset="2 * z")
    np.testing.assert_allclose(other.offset, [2 + 2 * np.e])
    assert build("n ~ x", DATA.assign(z=z.where(z > 2)), offset="log(z)").n_missing == int((z <= 2).sum())
    odd = DATA.assign(**{"log(z)": 1.0})  # a column of that name comes first
    np.testing.assert_array_equal(build("n ~ x", odd, offset="log(z)").offset, 1.0)
    own = build("n ~ x", offset="double(z)", functions={"double": double})
    np.testing.assert_array_equal(own.offset, 2 * z)


def test_the_fit_with_an_expression_is_that_with_the_formula() -> None:
    inside = ml.fit("n ~ x + offset(log(z)) + (1 | g)", DATA, family="poisson")
    argument = ml.fit("n ~ x + (1 | g)", DATA, family="poisson", offset="log(z)")
    assert argument.llf == inside.llf
    assert "With an offset" in str(argument)
    pd.testing.assert_series_equal(argument.predict(DATA[:5]), inside.predict(DATA[:5]))
    assert argument.predict(DATA[:2], kind="link", offset=0).tolist() == pytest.approx(
        (inside.predict(DATA[:2], kind="link") - np.log(DATA["z"][:2])).tolist()
    )


def test_a_number_is_the_offset_of_every_row() -> None:
    results = ml.fit("n ~ x", DATA, family="poisson", offset=np.log(DATA["z"].to_numpy()))
    link = results.predict(DATA[:3], kind="link", offset=np.log(10))
    assert link.tolist() == results.predict(DATA[:3], kind="link", offset=np.full(3, np.log(10))).tolist()


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        ("log(zz)", r"offset: the data have no column 'zz'.*\n    log\(zz\)\n        \^"),
        ("logg(z)", r"offset: there is no function 'logg'; did you mean 'log'"),
        ("log(z", "is never closed"),
        ("zz", "offset='zz': the data have no such column"),
        ("factor(f)", r"offset\(factor\(f\)\) is no column of numbers"),
        ("log(x)", r"'log\(x\)' is nan in row \d+ .*, where x = -"),
        ("", "an empty text is no expression"),
    ],
)
def test_offsets_that_cannot_be_used(offset: str, message: str) -> None:
    with pytest.raises((DataError, FormulaError), match=message):
        build("n ~ x", offset=offset)
