"""A formula is data: what it may hold, what is refused where it stands, and limits that keep it from growing."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from multilevel.columns import numpy_functions
from multilevel.columns.expressions import Rows, evaluate
from multilevel.columns.frame import Frame
from multilevel.errors import FormulaError
from multilevel.formula import syntax
from multilevel.formula.parse import parse_expression, parse_formula
from multilevel.formula.terms import Atom

from .design_data import DATA, build, fixed_matrix

MANY = [f"v{i}" for i in range(400)]


def marked(error: pytest.ExceptionInfo[FormulaError]) -> str:
    """The formula from the mark on."""
    _, shown, caret = str(error.value).split("\n")
    assert caret.strip() == "^"
    return shown[caret.index("^") :]


# ---- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "message", "mark"),
    [
        ("I(().__class__.__base__.__subclasses__())", r"'\.__subclasses__' of a value is not available", "()."),
        ("I(z.mean())", r"'z\.mean' is not available in a formula: methods of columns", "z.mean"),
        ("I(x.__class__())", r"'x\.__class__' is not available", "x.__class__"),
        ("log(x) + np.load('a.npy')", r"'np\.load' is not available.*functions=\{'load': np\.load\}", "np.load"),
        ("numpy.fromfile('a')", r"'numpy\.fromfile' is not available", "numpy.fromfile"),
        ("np.linalg.norm(x)", r"'\.norm' of a value is not available", "np.linalg"),
        ("C(f, contr.mro)", r"there are no contrasts 'contr\.mro'", "contr.mro"),
        ("I(x + [a for a in z])", "'for' is not available in a formula; a function of yours", "[a for"),
        ("I(sum(a for a in x))", "'for' is not available", "(a for"),
        ("I(x * (lambda: 1)())", "only a function that has a name can be called", "lambda"),
        ("f(z, lambda a: a)", "'lambda' is not available", "lambda"),
        ("log(x[0])", r"'\[' after a value is not available", "x[0]"),
        ("I((x := 3))", "':=' is not available", ":="),
        ("I(f'{x}')", "a text with a prefix is not available in a formula: write '", "f'{x}'"),
        ("c(*[1, 2])", r"'\*' before an argument is not available", "*[1"),
        ("center(**x)", r"'\*\*' before an argument is not available", "**x"),
        ("center(x, _state=z)", "there is no argument '_state'", "_state"),
        ("I(x @ z)", "'@' is not available inside an expression", "@"),
        ("I(x) + log(log(x)(z))", "only a function that has a name", "log(x)(z)"),
        ("I(x + " + "9" * 400 + ")", "a number of so many digits", "999"),
    ],
)
def test_what_is_no_formula_is_marked(term: str, message: str, mark: str) -> None:
    with pytest.raises(FormulaError, match=message) as caught:
        parse_formula(f"y ~ z + {term}")
    assert marked(caught).startswith(mark)
    with pytest.raises(FormulaError, match=message):
        parse_expression(term)


@pytest.mark.parametrize(
    "name",
    [
        *("open", "eval", "exec", "compile", "getattr", "vars", "globals", "input", "type", "object", "list"),
        *("__import__", "__builtins__", "breakpoint", "range", "memoryview", "pow", "str"),
    ],
)
def test_pythons_own_functions_are_out_of_reach(name: str) -> None:
    with pytest.raises(FormulaError, match=f"there is no function '{name}'; .* functions=") as caught:
        build(f"y ~ x + {name}(z)")
    assert marked(caught).startswith(name)
    with pytest.raises(FormulaError, match=f"the data have no column '{name}'"):
        build(f"y ~ log({name})")


def test_what_was_read_from_elsewhere_is_refused_too() -> None:
    rows = Rows(Frame({"x": [1.0, 2.0]}), None)
    for expression in ("().__class__", "x.tofile('a')", "(lambda: x)()", "open('a')", "x" * 40_000, "-" * 40_000):
        with pytest.raises(FormulaError):
            evaluate(Atom("x", expression=expression, variables=("x",)), rows, {})


def test_columns_cannot_be_written_to() -> None:
    data = {"y": np.arange(4.0), "x": np.array([1.0, 2.0, 4.0, 8.0]), "k": np.arange(4)}
    for term in ("log2(x, x)", "np.log(x, x)", "np.add(y, x, x)", "np.log(x, out=x)", "np.clip(x, 2, 3, x)"):
        with pytest.raises(FormulaError, match="argument"):
            build(f"y ~ {term}", data)

    def spoil(x: Any) -> Any:
        x[:] = 0
        return x

    with pytest.raises(FormulaError, match="read-only"):
        build("y ~ spoil(x)", data, functions={"spoil": spoil})
    assert data["x"].tolist() == [1.0, 2.0, 4.0, 8.0]


# ---- what must not grow --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("I(9**9**9)", "9 to the power of 387420489 is larger than any number"),
        ("I(x + 9^9^9^9)", "is larger than any number"),
        ("I('a' * 10^9)", "a text is no number"),
        ("I('%1000000000d' % 5)", "a text is no number"),
        ("I(c(NULL, 9)^999999999)", "a column of numbers is needed"),
        ("np.power(c(NULL, 9), 999999999)", "a column of numbers is needed"),
        ("I(big^999999999)", "holds no numbers"),
        ("bs(x, 1000000000)", "1000000000 columns are too many"),
        ("ns(x, 1000000000)", "1000000000 columns are too many"),
        ("cr(x, df=1000000000)", "1000000000 columns are too many"),
        ("poly(x, 1000000000, raw=True)", "1000000000 columns are too many"),
    ],
)
def test_numbers_and_texts_that_would_explode(term: str, message: str) -> None:
    big = [10**30 + i for i in range(60)]
    begun = time.process_time()
    with pytest.raises(FormulaError, match=message):
        build(f"y ~ {term}", {**{name: DATA[name] for name in ("y", "x")}, "big": big})
    assert time.process_time() - begun < 5.0


@pytest.mark.parametrize(
    ("right", "message"),
    [
        ("(" + " + ".join(MANY[:20]) + ")^20", "'^' makes too many terms here; a formula has at most 5,000"),
        ("(" + " + ".join(MANY) + ")^2", "'^' makes too many terms"),
        ("(" + " + ".join(MANY[:12]) + ")^12", "'^' makes too many terms"),
        ("(" + " + ".join(MANY[:8]) + ")" + "^8" * 3000, "'^' makes too many terms"),
        ("*".join(MANY[:13]), "'*' makes too many terms"),
        ("/".join(MANY), "'/' makes too many terms"),
        ("(" + " + ".join(MANY[:80]) + "):(" + " + ".join(MANY[80:180]) + ")", "':' makes too many terms"),
        (" + ".join(["(1 | g)"] * 101), "a formula has at most 100"),
        ("(1 | " + "/".join(MANY) + ")", "a formula has at most 100"),
        ("x^" + "9" * 5000, "expected a whole number after '^'"),
        ("x + " + "9" * 5000, "is no term"),
        ("(" * 51 + "x" + ")" * 51, "nested 50 deep"),
        ("I(" + "-" * 900 + "x)", "nested too deeply"),
        ("I(" + "x^" * 400 + "x)", "nested too deeply"),
        ("I(" + "not " * 400 + "x)", "not an expression|nested too deeply"),
        ("I(" + "x + " * 600 + "x)", "at most 1,000 words"),
        ("x" * 10_000, "at most 10,000 characters; this one has 10,004"),
    ],
)
def test_limits(right: str, message: str) -> None:
    begun = time.process_time()
    with pytest.raises(FormulaError) as caught:
        parse_formula(f"y ~ {right}")
    assert any(part in str(caught.value) for part in message.split("|"))
    assert time.process_time() - begun < 10.0


def test_what_is_large_and_still_a_formula() -> None:
    assert len(parse_formula("y ~ (" + " + ".join(MANY[:30]) + ")^3").fixed.products) == 30 + 435 + 4060
    assert len(parse_formula("y ~ " + "*".join(MANY[:12])).fixed.products) == 4095
    assert len(parse_formula("y ~ " + " + ".join(MANY)).fixed.products) == 400
    assert parse_formula("y ~ x + " + "-" * 1001 + "1").fixed.intercept is False
    many = build("y ~ I(" + " + ".join(["x"] * 400) + ")")
    np.testing.assert_allclose(fixed_matrix(many)[:, 1], 400 * DATA["x"])
    with pytest.raises(FormulaError, match="at most 10,000 characters"):
        parse_expression("x + " * 5_000)


def test_whole_numbers_are_as_large_as_those_of_r() -> None:
    for term, expected in {
        "I(x / 10^22)": DATA["x"] / 1e22,
        "I(x / 10000000000000000000000)": DATA["x"] / 1e22,
        "I(x * 2^62 * 2^62)": DATA["x"] * 2.0**124,
        "I(x * 4611686018427387904 * 4611686018427387904)": DATA["x"] * 2.0**124,
        "I(x + 18446744073709551615 + 0)": DATA["x"] + 2.0**64,
    }.items():
        np.testing.assert_allclose(fixed_matrix(build(f"y ~ {term}"))[:, 1], expected, rtol=1e-15)


# ---- what a formula may hold ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("np.log1p(z)", np.log1p(DATA["z"])),
        ("numpy.log(z)", np.log(DATA["z"])),
        ("np.where(x > 0, x, 0)", np.maximum(DATA["x"], 0)),
        ("np.clip(x, -1, 1)", np.clip(DATA["x"], -1, 1)),
        ("np.clip(x, a_max=1)", np.minimum(DATA["x"], 1)),
        ("np.round(x, decimals=1)", np.round(DATA["x"], 1)),
        ("round(x, 1)", np.round(DATA["x"], 1)),
        ("np.arctan2(x, numpy.pi)", np.arctan2(DATA["x"], np.pi)),
        ("I((x - np.mean(x)) / np.std(x, ddof=1))", (DATA["x"] - DATA["x"].mean()) / DATA["x"].std()),
        ("I(x / max(z))", DATA["x"] / DATA["z"].max()),
        ("I(x / len(x) + int(3.7) + float(1))", DATA["x"] / 60 + 4),
        ("I(np.isin(k, [1, 2]) + 0)", np.isin(DATA["k"], [1, 2]) + 0),
        ("np.digitize(x, [-1, 0, 1])", np.digitize(DATA["x"], [-1, 0, 1])),
        ("I(x if True else 0)", DATA["x"]),
        ("I(-(+x) ** 2 // 1 % 3)", -(DATA["x"] ** 2) // 1 % 3),
        ("I((x > 0) & !(z < 2) | (k == 1) + 0)", ((DATA["x"] > 0) & ~(DATA["z"] < 2)) | (DATA["k"] == 1)),
        ("ifelse(f == 'low', 1, 2)", np.where(DATA["f"] == "low", 1, 2)),
    ],
)
def test_values(term: str, expected: Any) -> None:
    np.testing.assert_allclose(fixed_matrix(build(f"y ~ {term}"))[:, 1], np.asarray(expected, dtype=float), rtol=1e-14)


def test_contrasts_by_their_names_in_formulaic() -> None:
    for term in ("C(f, contr.sum)", "C(f, contr.sum())", "C(f, Sum)", "C(f, Sum())"):
        assert fixed_matrix(build(f"y ~ {term}")).tolist() == fixed_matrix(build("y ~ C(f, 'sum')")).tolist()
    with pytest.raises(FormulaError, match=r"'C\(f, contr\.custom\)': contrasts cannot be made"):
        build("y ~ C(f, contr.custom)")


def test_every_name_of_numpy_has_its_function() -> None:
    assert set(numpy_functions.BY_NAME) == syntax.NUMPY
    for name in syntax.NUMPY_UFUNCS:
        assert isinstance(numpy_functions.BY_NAME[name], np.ufunc), name
        assert numpy_functions.BY_NAME[name].nout == 1, name


def test_columns_with_odd_names_have_their_own_memory() -> None:
    data = {"y": np.arange(5.0), "a b": [1.0, 2.0, 3.0, 4.0, 5.0], "c d": [10.0, 30.0, 20.0, 50.0, 40.0]}
    design = build("y ~ center(`a b`) + center(`c d`)", data)
    assert [np.mean(column.values) for column in design.fixed[1:]] == [0.0, 0.0]
    new = design.code_new({"a b": [3.0], "c d": [31.0]})
    assert [np.asarray(column.values).item() for column in new.fixed[1:]] == [0.0, 1.0]


def test_columns_whose_names_python_would_change() -> None:
    data = {"y": np.arange(3.0), "\ufb01": [1.0, 2.0, 4.0], "class": [1.0, 3.0, 2.0], "_column_0": [5.0, 5.0, 7.0]}
    design = build("y ~ log(\ufb01) + log(`class`) + I(_column_0 + `class`)", data)
    assert [np.asarray(c.values).tolist() for c in design.fixed[3:]] == [[6.0, 8.0, 9.0]]
    np.testing.assert_allclose(design.fixed[1].values, np.log([1.0, 2.0, 4.0]))
