"""What an expression in a formula may be made of, and how long it may be: all else is refused, where it stands.

An expression is read into Python's syntax tree and never handed to Python to run: `columns` computes it node by
node. Only what is listed here is a node of a formula.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from ..errors import FormulaError
from .tokens import MOST_CHARACTERS, Pieces, Token, complain, display

MOST_WORDS = 1_000  # tokens of one expression
MOST_DEEP = 150  # nodes within nodes
MOST_BITS = 1_024  # of a whole number: what a floating-point number can hold


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Functions and numbers of NumPy by these names: what they give has a row for each row, or is one number.
NUMPY_UFUNCS = _words(
    """
    abs absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt ceil copysign cos cosh deg2rad degrees
    divide equal exp exp2 expm1 fabs float_power floor floor_divide fmax fmin fmod greater greater_equal heaviside hypot
    invert isfinite isinf isnan less less_equal log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not
    logical_or logical_xor maximum minimum mod multiply negative not_equal positive power rad2deg radians reciprocal
    remainder rint sign signbit sin sinh sqrt square subtract tan tanh true_divide trunc
    """
)
NUMPY_FUNCTIONS = _words(
    """
    around array asarray clip digitize interp isclose isin max mean median min nan_to_num nanmax nanmean nanmedian
    nanmin nanstd nansum nanvar ptp quantile round std sum var where
    """
)
NUMPY_CONSTANTS = frozenset(("e", "inf", "nan", "pi"))
NUMPY = NUMPY_UFUNCS | NUMPY_FUNCTIONS | NUMPY_CONSTANTS
CONTRASTS = frozenset(("SAS", "custom", "diff", "helmert", "poly", "sum", "treatment"))  # of `contr.sum` and the like
MODULES = {"np": NUMPY, "numpy": NUMPY, "contr": CONTRASTS}

OPERATORS = (
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.BitAnd, ast.BitOr, ast.BitXor),
    *(ast.UAdd, ast.USub, ast.Invert),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot),
)
_WORD = re.compile(r"\w+|[^\w\s]")
_REFUSED = {
    **dict.fromkeys((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), "'for' is"),
    ast.Lambda: "'lambda' is",
    ast.Subscript: "'[' after a value is",
    ast.NamedExpr: "':=' is",
    ast.Starred: "'*' before an argument is",
    ast.JoinedStr: "a text with a prefix is",
}
_REMEDY = "a function of yours is passed by functions=, or make a column of the data first"


@dataclass(frozen=True)
class Syntax:
    """An expression that holds nothing but what formulas may hold.

    Attributes
    ----------
    text : str
        In Python's spelling.
    body : ast.expr
    called : frozenset of str
        Names of the functions that it calls, those of modules left out.
    names : tuple of str
        Names that stand for values, in order of appearance.
    """

    text: str
    body: ast.expr
    called: frozenset[str]
    names: tuple[str, ...]

    def segment(self, node: ast.expr) -> str:
        """The text of a part."""
        return self.text.encode()[node.col_offset : node.end_col_offset].decode()


class _Refused(Exception):
    """Something that is no part of a formula, and how many bytes of the text stand before it."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


def read_syntax(expression: str) -> Syntax:
    """The syntax of an expression in Python's spelling.

    Raises
    ------
    FormulaError
        It is no expression, or not one that a formula may hold.
    """
    try:
        return _read(expression)
    except _Refused as refused:
        raise FormulaError(f"'{expression:.80}': {refused}") from None


def check_expression(text: str, tokens: Sequence[Token], pieces: Pieces) -> tuple[str, tuple[str, ...]]:
    """The Python of an expression in a formula, and the names in it that stand for values.

    Parameters
    ----------
    text : str
        The formula.
    tokens : sequence of Token
        The expression's.
    pieces : list of (str, int)
        What `to_python` makes of them.

    Raises
    ------
    FormulaError
        With the place marked, where the expression holds what a formula may not.
    """
    if len(tokens) > MOST_WORDS:
        complain(text, tokens[MOST_WORDS].start, f"an expression has at most {MOST_WORDS:,} words and operators")
    for token, following in pairwise(tokens):
        if token.kind == "name" and following.kind == "string" and token.start + len(token.text) == following.start:
            complain(text, token.start, f"a text with a prefix is not available in a formula: write {following.text}")
        if token.text == ":" and following.text == "=":
            complain(text, token.start, "':=' is not available in a formula")
    expression = "".join(piece for piece, _ in pieces)
    try:
        return expression, _read(expression).names
    except _Refused as refused:
        at = tokens[0].start
        if refused.at >= 0:
            before = 0
            for piece, place in pieces:
                if before > refused.at:
                    break
                at, before = place, before + len(piece.encode())
        problem = str(refused)
        complain(text, at, f"'{display(tokens):.80}' {problem}" if refused.at < 0 else problem)


@lru_cache(maxsize=512)
def _read(expression: str) -> Syntax:
    # What comes from a formula is shorter; what comes from a file need not be.
    if len(expression) > 3 * MOST_CHARACTERS or len(_WORD.findall(expression)) > 4 * MOST_WORDS:
        raise _Refused("is too long", -1)
    try:
        body = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise _Refused(f"is not an expression ({getattr(error, 'msg', error)})", -1) from None
    except (RecursionError, MemoryError):
        raise _Refused("is nested too deeply", -1) from None
    called, names = set(), []
    for node in _nodes(body):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called.add(node.func.id)
        elif isinstance(node, ast.Name):
            names.append((node.col_offset, node.id))
    return Syntax(expression, body, frozenset(called), tuple(name for _, name in sorted(names)))


def _nodes(body: ast.expr) -> Iterator[ast.expr]:
    """Calls, names and all other nodes, checked; what is called is part of its call."""
    waiting = [(body, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MOST_DEEP:
            raise _Refused("the expression is nested too deeply", node.col_offset)
        # The left operand is no deeper: a sum of many columns is computed from the left, one after the other.
        waiting += [(part, depth + (part is not getattr(node, "left", None))) for part in _parts(node)]
        yield node


def _parts(node: ast.expr) -> list[ast.expr]:
    """The expressions that a node is made of, if it is one that formulas may hold."""
    at = node.col_offset
    match node:
        case ast.Constant(value=value):
            if value is not None and not isinstance(value, (bool, int, float, str)):
                raise _Refused(f"{value!r:.40} is not available in a formula", at)
            if isinstance(value, int) and value.bit_length() > MOST_BITS:
                raise _Refused("a number of so many digits is not available in a formula", at)
            return []
        case ast.Name():
            return []
        case ast.Attribute(value=ast.Name(id=owner), attr=name) if name in MODULES.get(owner, ()):
            return []
        case ast.Attribute():
            raise _Refused(_no_attribute(node), at)
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, OPERATORS):
            return [left, right]
        case ast.UnaryOp(op=op, operand=operand) if isinstance(op, OPERATORS):
            return [operand]
        case ast.Compare(left=left, ops=ops, comparators=others) if all(isinstance(op, OPERATORS) for op in ops):
            return [left, *others]
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return [test, body, orelse]
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return elements
        case ast.Call():
            return _call_parts(node)
    what = _REFUSED.get(type(node), f"this ({type(node).__name__}) is")
    raise _Refused(f"{what} not available in a formula; {_REMEDY}", at)


def _call_parts(node: ast.Call) -> list[ast.expr]:
    if isinstance(node.func, ast.Attribute):
        _parts(node.func)
    elif not isinstance(node.func, ast.Name):
        raise _Refused("only a function that has a name can be called in a formula", node.func.col_offset)
    for keyword in node.keywords:
        if keyword.arg is None:
            raise _Refused("'**' before an argument is not available in a formula", keyword.col_offset)
        if keyword.arg.startswith("_"):
            raise _Refused(f"there is no argument '{keyword.arg}'", keyword.col_offset)
    return [*node.args, *(keyword.value for keyword in node.keywords)]


def _no_attribute(node: ast.Attribute) -> str:
    if not isinstance(node.value, ast.Name):
        return f"'.{node.attr}' of a value is not available in a formula; {_REMEDY}"
    owner, whole = node.value.id, f"{node.value.id}.{node.attr}"
    if owner == "contr":
        return f"there are no contrasts '{whole}'; there are {', '.join(f'contr.{name}' for name in sorted(CONTRASTS))}"
    if owner in MODULES:
        return (
            f"'{whole}' is not available in a formula, where NumPy has functions of a row and summaries; "
            f"pass it by functions={{'{node.attr}': {whole}}}, or make a column of the data first"
        )
    return (
        f"'{whole}' is not available in a formula: methods of columns, such as x.mean(), are not, and of modules only "
        "np is known; use functions, such as center(x) or np.log(x), or make a column of the data first"
    )
