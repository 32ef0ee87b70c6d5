"""The formula's text: what is read, and how mistakes are shown."""

from __future__ import annotations

import pytest

from multilevel.errors import FormulaError
from multilevel.formula.parse import Formula, parse_formula


def products(formula: Formula) -> list[str]:
    names = ["1"] if formula.fixed.intercept else []
    return names + [":".join(atom.text for atom in product) for product in formula.fixed.products]


def bars(formula: Formula) -> list[tuple[str, str, str]]:
    found = []
    for bar in formula.bars:
        left = ["1"] if bar.terms.intercept else []
        left += [":".join(a.text for a in product) for product in bar.terms.products]
        found.append((" ".join(left), bar.group_name, bar.structure))
    return found


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        ("x", "1 x"),
        ("1", "1"),
        ("0", ""),
        ("-1", ""),
        ("0 + x", "x"),
        ("x - 1", "x"),
        ("x + 0", "x"),
        ("x + -1", "x"),
        ("-1 + x + 1", "1 x"),
        ("1 + x + z", "1 x z"),
        ("x + x", "1 x"),
        ("x*z", "1 x z x:z"),
        ("x:z + x", "1 x x:z"),
        ("z + x + x:z", "1 z x z:x"),
        ("a*b*c", "1 a b c a:b a:c b:c a:b:c"),
        ("a*b*c - a:b:c", "1 a b c a:b a:c b:c"),
        ("(a + b + c)^2", "1 a b c a:b a:c b:c"),
        ("(a + b)**2", "1 a b a:b"),
        ("(a + b)^3", "1 a b a:b"),
        ("a/b", "1 a a:b"),
        ("a/b/c", "1 a a:b a:b:c"),
        ("(a + b)/c", "1 a b a:b:c"),
        ("b %in% a", "1 b:a"),
        ("(a + b):c", "1 a:c b:c"),
        ("(a + b)*c", "1 a b c a:c b:c"),
        ("a:a", "1 a"),
        ("poly(x,2) + log( x+1 )", "1 poly(x, 2) log(x + 1)"),
        ("I(x^2) + I( x ** 2 )", "1 I(x^2) I(x**2)"),
        ("I(week>2)", "1 I(week > 2)"),
        ("`my column`:x", "1 my column:x"),
        ("x.1 + é", "1 x.1 é"),
        ("np.log(x)", "1 np.log(x)"),
        ("cs(x, df=3)", "1 cs(x, df=3)"),
        ("I(a | b) + log('x | y' == z)", "1 I(a | b) log('x | y' == z)"),
        ("offset(log(t)) + x", "1 x"),
    ],
)
def test_fixed_part(right: str, expected: str) -> None:
    assert " ".join(products(parse_formula(f"y ~ {right}"))) == expected


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("(1 | g)", [("1", "g", "unstructured")]),
        ("(1|g)", [("1", "g", "unstructured")]),
        ("(x | g)", [("1 x", "g", "unstructured")]),
        ("(1 + x | g)", [("1 x", "g", "unstructured")]),
        ("(0 + x | g)", [("x", "g", "unstructured")]),
        ("(x - 1 | g)", [("x", "g", "unstructured")]),
        ("(x || g)", [("1 x", "g", "diagonal")]),
        ("(0 + f || g)", [("f", "g", "diagonal")]),
        ("diag(1 + x | g)", [("1 x", "g", "diagonal")]),
        ("us(1 + x | g)", [("1 x", "g", "unstructured")]),
        ("diag(x || g)", [("1 x", "g", "diagonal")]),
        ("homdiag(1 + x | g)", [("1 x", "g", "homogeneous diagonal")]),
        ("cs(1 + x | g)", [("1 x", "g", "compound symmetry")]),
        ("homcs(0 + f | g)", [("f", "g", "homogeneous compound symmetry")]),
        ("ar1(0 + time | g)", [("time", "g", "ar1")]),
        ("ar1(time + 0 | g)", [("time", "g", "ar1")]),
        ("ar1(0 + factor(time) | g)", [("factor(time)", "g", "ar1")]),
        ("ar1(0 + `the week` | g)", [("the week", "g", "ar1")]),
        ("hetar1(time - 1 | a/b)", [("time", "a", "heterogeneous ar1"), ("time", "a:b", "heterogeneous ar1")]),
        ("rr(0 + item | g)", [("item", "g", "reduced rank 2")]),
        ("rr(0 + item | g, d = 3)", [("item", "g", "reduced rank 3")]),
        ("rr(0 + item | g, 1)", [("item", "g", "reduced rank 1")]),
        ("rr(0 + f:s | a:b, d=2)", [("f:s", "a:b", "reduced rank 2")]),
        ("(x*z | g)", [("1 x z x:z", "g", "unstructured")]),
        ("(poly(x, 2) | g)", [("1 poly(x, 2)", "g", "unstructured")]),
        ("(I(a | b) | g)", [("1 I(a | b)", "g", "unstructured")]),
        ("(1 | a:b)", [("1", "a:b", "unstructured")]),
        ("(1 | a/b)", [("1", "a", "unstructured"), ("1", "a:b", "unstructured")]),
        (
            "(x || a/b/c)",
            [("1 x", "a", "diagonal"), ("1 x", "a:b", "diagonal"), ("1 x", "a:b:c", "diagonal")],
        ),
        ("(1 | a/(b:c))", [("1", "a", "unstructured"), ("1", "a:b:c", "unstructured")]),
        ("(1 | factor(g))", [("1", "g", "unstructured")]),
        ("(1 | `the group`)", [("1", "the group", "unstructured")]),
        ("(1 | g) + (0 + x | g)", [("1", "g", "unstructured"), ("x", "g", "unstructured")]),
        ("((1 | g) + (0 + x | g))", [("1", "g", "unstructured"), ("x", "g", "unstructured")]),
        ("(1 | g) + (1 | h)", [("1", "g", "unstructured"), ("1", "h", "unstructured")]),
    ],
)
def test_random_terms(term: str, expected: list[tuple[str, str, str]]) -> None:
    formula = parse_formula(f"y ~ x + {term}")
    assert bars(formula) == expected
    assert products(formula) == ["1", "x"]
    assert bars(parse_formula(f"y ~ {term} + x")) == expected


def test_bar_texts() -> None:
    formula = parse_formula("y ~ (1+x|g) + diag( x | h )")
    assert [bar.text for bar in formula.bars] == ["(1 + x | g)", "diag(x | h)"]
    assert [bar.text for bar in parse_formula("y ~ rr( 0+f|g,d = 2 )").bars] == ["rr(0 + f | g, d=2)"]


def test_left_side() -> None:
    assert parse_formula("y ~ x").response_text == "y"
    two = parse_formula("cbind(incidence, size-incidence) ~ x")
    assert two.response_text == "cbind(incidence, size - incidence)"
    assert [a.text for a in two.response] == ["incidence", "size - incidence"]
    assert two.response[1].variables == ("size", "incidence")
    assert [a.text for a in parse_formula("log(y + 1) ~ x").response] == ["log(y + 1)"]
    ratio = parse_formula("incidence/size ~ x").response[0]
    assert (ratio.text, ratio.variables) == ("incidence/size", ("incidence", "size"))
    assert parse_formula("`the answer` ~ x").response[0].name == "the answer"


def test_offsets_add_up() -> None:
    formula = parse_formula("y ~ offset(log(t)) + x + offset(z)")
    assert [a.text for a in formula.offsets] == ["log(t)", "z"]


def test_white_space_and_lines() -> None:
    a = parse_formula("y ~ x*z +\n   (1 + x\t| g)")
    b = parse_formula("y~x*z+(1+x|g)")
    assert a.text == b.text == str(a) == "y ~ x * z + (1 + x | g)"
    assert a.fixed == b.fixed
    assert bars(a) == bars(b)


@pytest.mark.parametrize(
    "text",
    [
        "I(Days if True else 0)",
        "I(Days > 3 or Days < 1)",
        "I(Days > 3 and not Days < 1)",
        "I(not x)",
        "I(not (x) and (z) or x)",
        "I((x) if (z) else -x)",
        "I(x in [1, 2])",
        "I(x not in [1, 2])",
        "is:x",
    ],
)
def test_words_keep_their_spaces(text: str) -> None:
    formula = parse_formula(f"y ~ {text}")
    assert str(formula) == f"y ~ {text}"
    if not text.startswith("is"):
        assert formula.fixed.atoms[0].text == text
        assert parse_formula(str(formula)).fixed.atoms[0].expression == formula.fixed.atoms[0].expression


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("I(x^2)", "x ** 2"),
        ("I(x > 2 & z < 3)", "(x > 2) & (z < 3)"),
        ("I(x == 1 | z)", "(x == 1) | (z)"),
        ("I(!x)", "logical_not( x)"),
        ("I(!x > 1 & !z)", "(logical_not( x > 1)) & (logical_not( z))"),
        ("I(x > 3 or not z)", "(x > 3) | (logical_not( z))"),
        ("I(x if True else 0)", "(x) if (True) else (0)"),
        ("scale(x, center = TRUE)", "x, center=True"),
        ("I(x %% 2)", "x % 2"),
        ("I(x %/% 2L)", "x // 2"),
        ("f(NULL, Inf)", "None, np.inf"),
    ],
)
def test_translation_of_r(text: str, expression: str) -> None:
    atom = parse_formula(f"y ~ {text}").fixed.atoms[0]
    assert atom.expression.split("(", 1)[1][:-1] == expression


def test_functions_of_r() -> None:
    assert parse_formula("y ~ as.factor(x)").fixed.atoms[0].expression == "factor (x)"
    assert parse_formula("y ~ as.factor(x)").fixed.atoms[0].text == "as.factor(x)"


def test_columns_with_dots_inside_calls() -> None:
    atom = parse_formula("y ~ log(x.1 + `a b`) + np.log(np.pi * x)").fixed.atoms[0]
    assert atom.variables == ("x.1", "a b")
    assert dict(atom.aliases) == {"_column_0": "x.1", "_column_1": "a b"}


@pytest.mark.parametrize(
    ("formula", "message", "mark"),
    [
        ("y ~ x student_re_black + (1 | g)", "expected an operator before 'student_re_black'", "student"),
        ("y ~ x + (1 | g) (1 | h)", r"expected an operator before '\(1 \| h\)'", "(1 | h"),
        ("y ~ x + z (1 | g)", r"expected an operator before '\(1 \| g\)'", "(1 | g"),
        ("y ~ z (1 + x | g:h) + w", r"expected an operator before '\(1 \+ x \| g:h\)'", "(1 + x"),
        ("y ~ (x z | g)", "expected an operator before 'z'", "z"),
        ("y ~ x 2", "expected an operator before '2'", "2"),
        ("y ~ x + 1 | g", r"needs parentheses: write x \+ \(1 \| g\)", "| g"),
        ("y ~ 1 | g", r"needs parentheses: write \(1 \| g\)", "| g"),
        ("y ~ (x", r"'\(' is never closed", "(x"),
        ("y ~ x)", "without an opening bracket", ")"),
        ("y ~ (x]", r"'\(' is closed by '\]'", "]"),
        ("y ~ 'x", "never closed", "'x"),
        ("y ~ `x", "never closed", "`x"),
        (" ~ x", "nothing before '~'", "~"),
        ("y ~ ", "nothing after '~'", None),
        ("y", "no '~'", None),
        ("", "no '~'", None),
        ("y ~ x ~ z", "one '~'", "~ z"),
        ("y ~ f(a ~ b)", "inside brackets", "~ b"),
        ("y ~ x +", "ends where a term is expected", None),
        ("y ~ * x", r"expected a term before '\*'", "* x"),
        ("y ~ x + * z", r"expected a term before '\*'", "* z"),
        ("y ~ x ; z", "no meaning", ";"),
        ("y ~ x = 3", "'=' has no meaning between terms", "="),
        ("y ~ x > 3", "'>' has no meaning between terms; put arithmetic inside I", ">"),
        ("y ~ 2", "the number 2 is no term", "2"),
        ("y ~ 0.5 + x", "the number 0.5 is no term", "0.5"),
        ("y ~ 2*x", "a number cannot be combined by", "*"),
        ("y ~ x^2.5", r"write I\(x\^2\)", "2.5"),
        ("y ~ x^z", "expected a whole number", "z"),
        ("y ~ 'x'", "a text, not a column", "'x'"),
        ("y ~ .", "all other columns", "."),
        ("y ~ TRUE", "is no term", "TRUE"),
        ("y ~ log()", "has no argument", "log"),
        ("y ~ ()", "nothing between the parentheses", "("),
        ("y ~ log(x +)", "not an expression", "log"),
        ("y ~ cbind(a, b)", "belongs to the left", "cbind"),
        ("cbind(a, b, c) ~ x", "two arguments", "cbind"),
        ("cbind(a) ~ x", "two arguments", "cbind"),
        ("c(a, b) ~ x", "write cbind", "c("),
        ("y | g ~ x", "belong to the right-hand side", "| g"),
        ("y ~ (| g)", "nothing before '|'", "| g"),
        ("y ~ (1 | )", "nothing after '|'", None),
        ("y ~ (0 | g)", "nothing is left before the bar", "(0"),
        ("y ~ (1 | g + h)", "in a grouping factor", "+ h"),
        ("y ~ (1 | g * h)", "in a grouping factor", "* h"),
        ("y ~ (1 | g h)", "expected an operator before 'h'", "h"),
        ("y ~ (1 | 3)", "a grouping factor is a column", "3"),
        ("y ~ (1 | log(g))", "a grouping factor is a column", "log"),
        ("y ~ (1 | g | h)", "second bar", "| h"),
        ("y ~ ((1 | g) | h)", "inside a random term", "((1"),
        ("y ~ x * (1 | g)", "can only be added", "*"),
        ("y ~ x - (1 | g)", "can only be added", "-"),
        ("y ~ x:(1 | g)", "can only be added", ":"),
        ("y ~ x * offset(z)", "offset can only be added", "*"),
        ("y ~ (1 + offset(z) | g)", "outside the random terms", "(1"),
        (
            "y ~ toep(0 + t | g)",
            r"toep\(...\) is not available; available are us\(...\), diag.*, hetar1.*, rr\(...\), cfa\(...\)\n",
            "toep",
        ),
        ("y ~ exp(0 + t | g)", r"exp\(...\) is not available", "exp"),
        ("y ~ x + hcs(1 + x | g)", r"hcs\(...\) is not available", "hcs"),
        ("y ~ cs(1 + x || g)", r"'\|\|' means .* no correlations, which cs\(...\) has: write '\|', or diag", "cs"),
        ("y ~ us(x || g)", r"no correlations, which us\(...\) has", "us"),
        ("y ~ cs(1 + x | g, 2)", r"cs\(...\) takes a random term and nothing else", "cs"),
        ("y ~ cs(| g)", "nothing before '|'", "| g"),
        ("y ~ cs(x > 3 | g)", "'>' has no meaning between terms", ">"),
        ("y ~ rr(x, z | g)", "',' has no meaning between terms", ","),
        ("y ~ rr(0 + f | , 2)", "nothing after '|'", ","),
        ("y ~ rr(0 + f | g, )", "nothing after ','", ","),
        ("y ~ rr(0 + f | g h, 2)", "expected an operator before 'h'", "h"),
        ("y ~ rr(0 + f | g, d=0)", "number of dimensions, such as d=2; got 'd = 0'", "rr"),
        ("y ~ rr(0 + f | g, k=2)", "number of dimensions, such as d=2; got 'k = 2'", "rr"),
        ("y ~ rr(0 + f | g, 2, 3)", "number of dimensions, such as d=2; got '2, 3'", "rr"),
        (
            "y ~ ar1(1 | g)",
            r"one column and no intercept: write ar1\(0 \+ time \| g\), with 'time' a .*whole.*; found an intercept\n",
            "ar1",
        ),
        ("y ~ ar1(week | g)", r"write ar1\(0 \+ week \| g\); found an intercept and 'week'", "ar1"),
        ("y ~ hetar1(0 + x + z | a:b)", r"write hetar1\(0 \+ time \| a:b\).*; found 'x' and 'z'", "hetar1"),
        ("y ~ ar1(0 + x:z | g)", r"write ar1\(0 \+ time \| g\).*; found 'x:z'", "ar1"),
        ("y ~ I(x %in% z)", "not available inside an expression", "%in%"),
    ],
)
def test_mistakes_are_marked(formula: str, message: str, mark: str | None) -> None:
    with pytest.raises(FormulaError, match=message) as caught:
        parse_formula(formula)
    _, shown, caret = str(caught.value).split("\n")
    assert caret.strip() == "^"
    if mark is not None:
        assert shown[caret.index("^") :].startswith(mark)


def test_mistake_in_a_long_formula() -> None:
    formula = "y ~ " + " + ".join(f"x{i}" for i in range(60)) + " oops + " + " + ".join(f"z{i}" for i in range(60))
    with pytest.raises(FormulaError) as caught:
        parse_formula(formula)
    _, shown, caret = str(caught.value).split("\n")
    assert len(shown) < 140
    assert shown[caret.index("^") :].startswith("oops")


def test_not_a_string() -> None:
    with pytest.raises(FormulaError, match="a formula is a string"):
        parse_formula(3)  # type: ignore[arg-type]


def test_formulas_are_read_once() -> None:
    assert parse_formula("y ~ x + (1 | g)") is parse_formula("y ~ x + (1 | g)")
