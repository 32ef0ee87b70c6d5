"""The algebra of a right-hand side: ``+ - * : / ^``, parentheses, random terms. Used by `parse` alone.

The grammar is R's, with lme4's random terms. What it makes of a text are the `Atom`, `Terms` and `Bar` of `terms`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .factors import read_factors
from .structures import ORDERED, OTHER_STRUCTURES, STRUCTURES, no_times, structure_name
from .terms import Atom, Bar, Terms, atom_from_tokens
from .tokens import Token, complain, display, matching, split_arguments

GROUP_ADVICE = "a grouping factor is a column, a:b or a/b; make any other grouping a column of the data first"
FACTOR_CALLS = ("factor", "as.factor", "C")
# What a formula may be multiplied out to. The work is counted in variables of terms, equal terms included.
MOST_TERMS = 5_000
MOST_WORK = 1_000_000
MOST_BARS = 100  # random-effects terms


@dataclass(frozen=True)
class RightSide:
    """What a right-hand side says."""

    fixed: Terms
    bars: tuple[Bar, ...]
    offsets: tuple[Atom, ...]


def parse_right_side(text: str, tokens: Sequence[Token]) -> RightSide:
    """Read the tokens after ``~`` (the last of kind "end"); `text` is the formula that complaints show."""
    parsed = _Parser(text, tokens).parse()
    return RightSide(
        Terms(parsed.intercept is not False, sorted_products(parsed)), tuple(parsed.bars), tuple(parsed.offsets)
    )


class _Sum:
    """What part of a right-hand side stands for; `intercept` is None where nothing is said of it."""

    def __init__(self, products: Iterable[tuple[Atom, ...]] = ()) -> None:
        self.products: dict[frozenset[Atom], tuple[Atom, ...]] = {}
        self.intercept: bool | None = None
        self.bars: list[Bar] = []
        self.offsets: list[Atom] = []
        self.literal: int | None = None
        self.start = 0
        for product in products:
            self.add(product)

    def add(self, product: tuple[Atom, ...]) -> None:
        product = tuple(dict.fromkeys(product))
        self.products.setdefault(frozenset(product), product)

    def plain(self) -> bool:
        return not self.bars and not self.offsets and self.intercept is None


def sorted_products(part: _Sum) -> tuple[tuple[Atom, ...], ...]:
    """Products by their number of factors, factors in the order in which the formula first names them, as R has it."""
    order: dict[Atom, int] = {}
    for product in part.products.values():
        for atom in product:
            order[atom] = min(atom.position, order.get(atom, atom.position))
    products = [tuple(sorted(p, key=order.__getitem__)) for p in part.products.values()]
    return tuple(sorted(products, key=len))


_BINARY = {":": 4, "%in%": 3, "*": 2, "/": 2}  # how tightly the operators of terms bind


class _Parser:
    """Operator precedence over the algebra of terms: ``^`` binds tightest, then ``:``, ``%in%``, ``* /``, ``+ -``."""

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.text, self.tokens, self.i = text, tokens, 0
        self.in_bar = False
        self.work = 0
        self.n_bars = 0
        self.labels: list[str] = []  # columns of a grouping factor that are written factor(column)

    @property
    def token(self) -> Token:
        return self.tokens[self.i]

    def fail(self, message: str, token: Token | None = None) -> None:
        complain(self.text, (token or self.token).start, message)

    def parse(self) -> _Sum:
        result = self.sum()
        token = self.token
        if token.kind == "end":
            return result
        if token.text in ("|", "||"):
            self.bare_bar()
        if token.text in (")", "]", "}"):
            self.fail(f"'{token.text}' without an opening bracket")
        self.unexpected()
        return result

    def bare_bar(self) -> None:
        """Complain of ``x + 1 | g``, and show where the parentheses would most likely go."""
        depth, last = 0, 0
        for k in range(self.i):
            text = self.tokens[k].text if self.tokens[k].kind == "op" else ""
            depth += (text in ("(", "[")) - (text in (")", "]"))
            last = k + 1 if depth == 0 and text == "+" else last
        before, inside = display(self.tokens[:last]).strip(), display(self.tokens[last : self.i])
        group = display([t for t in self.tokens[self.i + 1 :] if t.kind != "end"]) or "g"
        self.fail(
            f"a random term needs parentheses: write {before} ({inside} {self.token.text} {group})".replace("  ", " ")
        )

    def unexpected(self) -> None:
        token = self.token
        if token.text == "(" and token.kind == "op":
            self.no_operator(self.i)
        if token.kind in ("name", "quoted", "number", "string"):
            self.fail(f"expected an operator before '{token.text}' (is a '+' missing?)")
        self.fail(f"'{token.text}' has no meaning between terms; put arithmetic inside I(...)")

    def no_operator(self, opening: int) -> None:
        """Complain of ``x (1 | g)``."""
        bracket = display(self.tokens[opening : matching(self.text, self.tokens, opening) + 1])
        self.fail(f"expected an operator before '{bracket}' (is a '+' missing?)", self.tokens[opening])

    def sum(self) -> _Sum:
        token = self.token
        total = _Sum()
        total.start = token.start
        sign = "+"
        if token.text in ("+", "-") and token.kind == "op":
            sign = token.text
            self.i += 1
        self.combine(total, sign, self.operand(2), token)
        while self.token.text in ("+", "-") and self.token.kind == "op":
            operator = self.token
            self.i += 1
            self.combine(total, operator.text, self.operand(2), operator)
        return total

    def combine(self, total: _Sum, sign: str, part: _Sum, token: Token) -> None:
        if part.literal is not None:
            if part.literal not in (0, 1):
                complain(
                    self.text,
                    part.start,
                    f"the number {part.literal} is no term; only 1 and 0 (with or without intercept) are",
                )
            total.intercept = (part.literal == 1) == (sign == "+")
            return
        if sign == "-":
            if part.bars or part.offsets:
                self.fail("a random term or an offset can only be added", token)
            for key in part.products:
                total.products.pop(key, None)
            return
        for product in part.products.values():
            total.add(product)
        total.bars += part.bars
        total.offsets += part.offsets
        if part.intercept is not None:
            total.intercept = part.intercept

    def operand(self, level: int) -> _Sum:
        left = self.power()
        while self.token.kind == "op" and _BINARY.get(self.token.text, 0) >= level:
            operator = self.token
            self.i += 1
            right = self.operand(_BINARY[operator.text] + 1)
            left = self.product(operator, left, right)
        return left

    def product(self, operator: Token, left: _Sum, right: _Sum) -> _Sum:
        for part in (left, right):
            if part.bars:
                self.fail(f"a random term can only be added, not combined by '{operator.text}'", operator)
            if part.offsets:
                self.fail(f"an offset can only be added, not combined by '{operator.text}'", operator)
            if part.literal is not None or part.intercept is not None:
                self.fail(f"a number cannot be combined by '{operator.text}'; put arithmetic inside I(...)", operator)
        a, b = list(left.products.values()), list(right.products.values())
        if operator.text == "/":
            everything = tuple(dict.fromkeys(atom for p in a for atom in p))
            self.spend(_size(a) + len(b) * len(everything) + _size(b), operator)
            return self.at(left, self.checked(_Sum([*a, *(everything + q for q in b)]), operator))
        crossed = self.crossed(a, b, operator)
        total = _Sum([*a, *b, *crossed] if operator.text == "*" else crossed)
        return self.at(left, self.checked(total, operator))

    def crossed(
        self, a: Sequence[tuple[Atom, ...]], b: Sequence[tuple[Atom, ...]], operator: Token
    ) -> list[tuple[Atom, ...]]:
        """Every product of one of `a` and one of `b`."""
        self.spend(len(a) * _size(b) + len(b) * _size(a), operator)
        return [p + q for q in b for p in a]

    def spend(self, work: int, operator: Token) -> None:
        """Count the work of multiplying out before it is done, and refuse what would take too long."""
        self.work += work
        if self.work > MOST_WORK:
            self.too_many(operator)

    def checked(self, total: _Sum, operator: Token) -> _Sum:
        if len(total.products) > MOST_TERMS:
            self.too_many(operator)
        return total

    def too_many(self, operator: Token) -> None:
        self.fail(f"'{operator.text}' makes too many terms here; a formula has at most {MOST_TERMS:,}", operator)

    @staticmethod
    def at(origin: _Sum, result: _Sum) -> _Sum:
        result.start = origin.start
        return result

    def power(self) -> _Sum:
        base = self.primary()
        while self.token.kind == "op" and self.token.text in ("^", "**"):
            operator = self.token
            self.i += 1
            exponent = self.token
            if exponent.kind != "number" or not _is_small(exponent.text) or int(exponent.text) < 1:
                self.fail(
                    f"expected a whole number after '{operator.text}'; to raise a column to a power write I(x^2)",
                    exponent,
                )
            if not base.plain() or base.literal is not None:
                self.fail(f"'{operator.text}' crosses columns; this is not one", operator)
            self.i += 1
            products = list(base.products.values())
            result = base
            for _ in range(min(int(exponent.text), max(len(products), 1)) - 1):
                before = list(result.products.values())
                crossed = self.crossed(products, before, operator)
                result = self.checked(_Sum([*before, *crossed]), operator)
                if len(result.products) == len(before):
                    break
            base = self.at(base, result)
        return base

    def primary(self) -> _Sum:
        token = self.token
        result = _Sum()
        if token.kind == "end":
            self.fail("the formula ends where a term is expected")
        elif token.kind == "number":
            self.i += 1
            if not _is_small(token.text):
                self.fail(
                    f"the number {token.text:.20} is no term; only 1 and 0 (with or without intercept) are", token
                )
            result.literal = int(token.text)
        elif token.kind == "string":
            self.fail(f"{token.text} is a text, not a column; quote unusual column names with backticks")
        elif token.kind in ("name", "quoted"):
            result = self.name()
        elif token.text == "(":
            result = self.parenthesis()
        elif token.text == ".":
            self.fail("'.' for all other columns is not available: name the columns")
        elif token.text in ("+", "-"):
            # `x + -1` and `x - -1`: only the intercept may carry signs of its own.
            minus = 0
            while self.token.text in ("+", "-") and self.token.kind == "op":
                minus += self.token.text == "-"
                self.i += 1
            result = self.primary()
            if result.literal is None:
                self.fail("expected a term after the operator", token)
            if minus % 2:
                result.literal = 1 - int(result.literal or 0)
        else:
            self.fail(f"expected a term before '{token.text}'")
        result.start = token.start
        return result

    def parenthesis(self) -> _Sum:
        opening = self.token
        close = matching(self.text, self.tokens, self.i)
        if close == self.i + 1:
            self.fail("nothing between the parentheses")
        self.i += 1
        if self.token.text in ("|", "||"):
            self.fail(f"nothing before '{self.token.text}': write (1 | group) for a random intercept")
        inside = self.sum()
        if self.token.kind == "op" and self.token.text in ("|", "||"):
            return self.bar(opening, inside, close)
        if self.i != close:
            self.unexpected()
        self.i = close + 1
        return inside

    def name(self) -> _Sum:
        token = self.token
        result = _Sum()
        following = self.tokens[self.i + 1]
        if token.kind == "quoted" or following.text != "(" or following.kind != "op":
            self.i += 1
            if token.value in ("TRUE", "FALSE", "NULL", "NA", "True", "False", "None"):
                self.fail(f"{token.text} is no term", token)
            result.add((atom_from_tokens(self.text, [token]),))
            return result
        close = matching(self.text, self.tokens, self.i + 1)
        inside = self.tokens[self.i + 2 : close]
        if not inside:
            self.fail(f"{token.text}() has no argument")
        bar_at = _top_level_bar(inside)
        if bar_at is not None and token.value in STRUCTURES.keys() | OTHER_STRUCTURES:
            if token.value not in STRUCTURES:
                if token.value in ("exp",) and not self.looks_like_bar(inside[bar_at + 1 :]):
                    bar_at = None
                else:
                    names = ", ".join(f"{s}(...)" for s in STRUCTURES)
                    self.fail(f"the covariance structure {token.value}(...) is not available; available are {names}")
            if bar_at is not None:
                return self.structured(token, close)
        elif (
            bar_at is not None
            and (inside[0].text in ("0", "1") and inside[1].text in ("|", "||", "+"))
            and self.looks_like_bar(inside[bar_at + 1 :])
        ):
            self.no_operator(self.i + 1)
        if token.value == "offset":
            if self.in_bar:
                self.fail("an offset belongs outside the random terms")
            result.offsets.append(atom_from_tokens(self.text, inside))
        else:
            if token.value == "cbind":
                self.fail("cbind(...) belongs to the left of '~'")
            result.add((atom_from_tokens(self.text, self.tokens[self.i : close + 1]),))
        self.i = close + 1
        return result

    @staticmethod
    def looks_like_bar(tokens: Sequence[Token]) -> bool:
        return all(t.kind in ("name", "quoted") or t.text in (":", "/") for t in tokens)

    def structured(self, call: Token, close: int) -> _Sum:
        """``cs(terms | group)`` and ``rr(terms | group, d=2)``."""
        self.i += 2
        if self.token.text in ("|", "||"):
            self.fail(f"nothing before '{self.token.text}': write (1 | group) for a random intercept")
        inside = self.sum()
        if self.token.text not in ("|", "||"):
            self.unexpected()
        end = self.i + len(split_arguments(self.tokens[self.i : close])[0])
        if end + 1 == close:
            self.fail("nothing after ','", self.tokens[end])
        arguments = self.tokens[end + 1 : close]
        structure = structure_name(self.text, call, arguments, self.token.text)
        factors = read_factors(self.text, call, arguments) if call.value == "cfa" else ()
        result = self.bar(call, inside, close, structure, end)
        result.bars = [replace(bar, factors=factors) for bar in result.bars]
        return result

    def bar(
        self, opening: Token, inside: _Sum, close: int, structure: str | None = None, end: int | None = None
    ) -> _Sum:
        """Read from the bar on; the grouping factor ends before `end`, the term with the bracket at `close`."""
        bar, end = self.token, close if end is None else end
        if self.in_bar or inside.bars:
            self.fail("a random term inside a random term", opening)
        if inside.offsets:
            self.fail("an offset belongs outside the random terms", opening)
        terms = Terms(inside.intercept is not False, sorted_products(inside))
        if not terms.intercept and not terms.products:
            self.fail("nothing is left before the bar: write (1 | group) for a random intercept", opening)
        if structure in ORDERED:
            products = [[atom.text for atom in product] for product in terms.products]
            problem = no_times(opening.value, terms.intercept, products, display(self.tokens[self.i + 1 : end]))
            if problem is not None:
                self.fail(problem, opening)
        self.i += 1
        if self.i == end:
            self.fail(f"nothing after '{bar.text}': expected a grouping factor")
        self.labels = []
        groups = self.grouping(end)
        if self.i != end:
            self.group_fails()
        self.i = close + 1
        if structure is None:
            structure = "diagonal" if bar.text == "||" else "unstructured"
        text = display(self.tokens[self.tokens.index(opening) : close + 1])
        result = _Sum()
        labels = tuple(self.labels)
        self.n_bars += len(groups)
        if self.n_bars > MOST_BARS:
            self.fail(f"there are too many random terms; a formula has at most {MOST_BARS}", opening)
        result.bars = [Bar(terms, group, structure, text, opening.start, labels) for group in groups]
        return result

    def group_fails(self) -> None:
        token = self.token
        if token.text in ("|", "||"):
            self.fail("a second bar in one random term")
        if token.text in ("+", "*"):
            self.fail(f"'{token.text}' in a grouping factor: write two terms, or a:b for combinations, a/b for nesting")
        if token.kind in ("name", "quoted"):
            self.fail(f"expected an operator before '{token.text}' (':' for combinations, '/' for nesting)")
        self.fail(GROUP_ADVICE)

    def grouping(self, close: int) -> list[tuple[str, ...]]:
        """``a/b`` is ``a`` and ``a:b``, from the left: ``a/b/c`` is ``a``, ``a:b``, ``a:b:c``."""
        groups = [self.group_product()]
        while self.i < close and self.token.text == "/":
            self.i += 1
            nested = self.group_product()
            groups.append(tuple(dict.fromkeys(groups[-1] + nested)))
        return groups

    def group_product(self) -> tuple[str, ...]:
        names = self.group_primary()
        while self.token.kind == "op" and self.token.text == ":":
            self.i += 1
            names = tuple(dict.fromkeys(names + self.group_primary()))
        return names

    def group_primary(self) -> tuple[str, ...]:
        token = self.token
        if token.text == "(" and token.kind == "op":
            self.i += 1
            names = self.group_product()
            if self.token.text != ")":
                self.group_fails()
            self.i += 1
            return names
        if token.kind not in ("name", "quoted"):
            self.group_fails()
        following = self.tokens[self.i + 1]
        if token.kind == "name" and following.kind == "op" and following.text == "(":
            close = matching(self.text, self.tokens, self.i + 1)
            inside = self.tokens[self.i + 2 : close]
            if token.value not in FACTOR_CALLS or len(inside) != 1 or inside[0].kind not in ("name", "quoted"):
                self.fail(GROUP_ADVICE)
            self.i = close + 1
            self.labels.append(inside[0].value)
            return (inside[0].value,)
        self.i += 1
        return (token.value,)


def _size(products: Sequence[tuple[Atom, ...]]) -> int:
    return sum(map(len, products))


def _is_small(text: str) -> bool:
    """Whether a text is a whole number that one can count to."""
    return text.isdigit() and len(text) < 7


def _top_level_bar(tokens: Sequence[Token]) -> int | None:
    depth = 0
    for i, token in enumerate(tokens):
        if token.kind == "op":
            depth += (token.text in "([{") - (token.text in ")]}")
            if depth == 0 and token.text in ("|", "||"):
                return i
    return None
