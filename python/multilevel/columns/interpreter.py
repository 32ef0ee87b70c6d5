"""The value of an expression, computed node by node on whole columns. Nothing of Python's own is within its reach.

Names mean columns and the functions that are handed over; a function is called by its name alone. What could grow
without bound does not: whole numbers of more than 64 bits become floating-point numbers, and texts and lists are not
added or multiplied.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import FormulaError
from ..formula.syntax import Syntax
from .numpy_functions import BY_NAME, SUMMARIES
from .transforms import STATEFUL, State, function

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
}
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


class Interpreter:
    """Computes expressions.

    Parameters
    ----------
    data : mapping
        Columns by the names that the expression has for them.
    aliases : mapping
        Column names by their aliases in the expression.
    state : dict
        What stateful transforms remember, by the text of their calls.
    functions : mapping
        The user's own.
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        aliases: Mapping[str, str],
        state: dict[str, State],
        functions: Mapping[str, Callable[..., Any]],
    ) -> None:
        self.data, self.aliases, self.state, self.functions = data, aliases, state, functions
        self.syntax: Syntax | None = None

    def run(self, syntax: Syntax) -> Any:
        """The value of an expression."""
        self.syntax = syntax
        return self.value(syntax.body)

    def value(self, node: ast.expr) -> Any:
        """The value of a part of it."""
        match node:
            case ast.Constant(value=value):
                return _bounded(value)
            case ast.Name(id=name):
                return self.data[name] if name in self.data else self.function(name)
            case ast.Attribute():
                return self.member(node)
            case ast.BinOp():
                return self.binary(node)
            case ast.UnaryOp(op=op, operand=operand):
                return _bounded(_UNARY[type(op)](_operand(self.value(operand))))
            case ast.Compare():
                return self.comparison(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.value(body if self.value(test) else orelse)
            case ast.List(elts=elements):
                return [self.value(element) for element in elements]
            case ast.Tuple(elts=elements):
                return tuple(self.value(element) for element in elements)
            case ast.Call():
                return self.call(node)
        raise FormulaError(f"{type(node).__name__} is not available in a formula")

    def function(self, name: str) -> Any:
        """What a name means that is called, or that is no column."""
        if name in self.functions:
            return self.functions[name]
        try:
            return function(name)
        except KeyError:
            raise NameError(f"name {name!r} is not defined", name=name) from None

    def member(self, node: ast.Attribute) -> Any:
        """``np.log`` and ``contr.sum``."""
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        if owner in ("np", "numpy"):
            return BY_NAME[node.attr]
        return function(f"{owner}.{node.attr}")

    def binary(self, node: ast.BinOp) -> Any:
        """Left operands of left operands are not nested calls here: a sum may have hundreds of columns."""
        chain = [node]
        while isinstance(chain[-1].left, ast.BinOp):
            chain.append(chain[-1].left)
        result = self.value(chain[-1].left)
        for step in reversed(chain):
            result = _arithmetic(type(step.op), result, self.value(step.right))
        return result

    def comparison(self, node: ast.Compare) -> Any:
        """``a < b``; of ``a < b < c`` both must hold, which whole columns cannot say."""
        left, result = self.value(node.left), True
        for k, (op, other) in enumerate(zip(node.ops, node.comparators, strict=True), 1):
            right = self.value(other)
            result = _COMPARED[type(op)](left, right)
            if k < len(node.ops) and not result:
                break
            left = right
        return result

    def call(self, node: ast.Call) -> Any:
        """Calls are by name, so that a column called `scale` does not hide the function."""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        called = self.function(name) if name else self.value(node.func)
        arguments = [self.value(argument) for argument in node.args]
        options = {str(keyword.arg): self.value(keyword.value) for keyword in node.keywords}
        if name in STATEFUL:
            options["_state"] = self.state.setdefault(self.key(node), {})
        if isinstance(called, np.ufunc):
            if options or len(arguments) != called.nin:
                # More arguments would be arrays to write into, such as the user's own columns.
                given = f"{called.nin} argument{'s' * (called.nin > 1)}"
                raise TypeError(f"{ast.unparse(node.func)}() takes {given}")
            arguments = [_operand(argument) for argument in arguments]
        if name in SUMMARIES or (isinstance(node.func, ast.Attribute) and node.func.attr in SUMMARIES):
            return self.summary(self.key(node), lambda: _bounded(called(*arguments, **options)))
        return _bounded(called(*arguments, **options))

    def summary(self, key: str, compute: Callable[[], Any]) -> Any:
        """A number made of all rows is that of the rows of the fit, whatever rows come later."""
        known = self.state.get(key, {})
        if "value" in known:
            return known["value"]
        value = compute()
        if np.ndim(value) <= 1 and np.asarray(value).dtype.kind in "biuf":
            self.state[key] = {"value": value}
        return value

    def key(self, node: ast.Call) -> str:
        """The text of a call, with the names of its columns."""
        assert self.syntax is not None
        text = self.syntax.segment(node)
        if not self.aliases:
            return text
        return re.sub(r"\b_column_\d+\b", lambda found: f"`{self.aliases.get(found[0], found[0])}`", text)


def _is_whole(value: Any) -> bool:
    return type(value) is int or type(value) is bool


def _bounded(value: Any) -> Any:
    """Whole numbers that do not fit into 64 bits as floating-point numbers, which all numbers of R are."""
    return float(value) if type(value) is int and not -(2**63) <= value < 2**64 else value


def _operand(value: Any) -> Any:
    """An operand of arithmetic: a number or a column of numbers, of which none is an object of Python's."""
    if isinstance(value, (str, bytes, list, tuple)):
        kind = "text" if isinstance(value, (str, bytes)) else "list"
        value = np.asarray(value) if kind == "list" else value
        if kind == "text" or value.dtype.kind not in "biuf":
            raise TypeError(f"a {kind} is no number; a number is needed")
    if getattr(value, "dtype", None) == np.dtype(object):
        raise TypeError("a column of numbers is needed")
    return value


def _arithmetic(op: type[ast.operator], a: Any, b: Any) -> Any:
    if op is ast.Pow and _is_whole(a) and _is_whole(b) and a.bit_length() * abs(b) > 64:
        try:
            return float(a) ** float(b)
        except OverflowError:
            raise ValueError(f"{a} to the power of {b} is larger than any number") from None
    return _bounded(_BINARY[op](_operand(a), _operand(b)))
