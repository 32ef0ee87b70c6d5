"""The fitted model as equations, level by level or in one, as text or LaTeX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import check_choice
from ..errors import DataError
from ..formula.structures import factor_names
from ..inference.wald import standard_errors
from ..tables.page import WIDTH, format_numbers
from .levels import Levels, products
from .summary import PART_TITLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..design.parts import DesignPart
    from ..fitting.parameters import Component
    from ..fitting.record import Fit
    from .levels import RandomEffect, Variable

STYLES, FORMATS = ("levels", "combined"), ("text", "latex")
COEFFICIENTS = ("alpha", "pi", "beta", "gamma")  # of the levels, the last of the highest
EFFECTS = ("u", "v", "w")  # of grouping factors, the inner first; further ones are numbered
DIGITS = 3  # of the standard error of an estimate
PER_LINE = 5  # terms in a line of LaTeX
INVERSE = {"inverse": "1 / mu", "inverse_squared": "1 / mu^2"}  # links that are no functions with a name


class Equation(str):
    """Text, or LaTeX that a notebook sets; prints as it is."""

    latex = False

    def __repr__(self) -> str:
        return str(self)

    def _repr_latex_(self) -> str | None:
        return f"$${self}$$" if self.latex else None


def equation(fit: Fit, style: str = "levels", format: str = "text", estimates: bool = False) -> Equation:  # noqa: A002
    """The model in equations.

    Parameters
    ----------
    fit : Fit
    style : {"levels", "combined"}
        An equation for the rows, and for each of their coefficients one for the groups (Raudenbush and Bryk 2002); or
        all in one.
    format : {"text", "latex"}
    estimates : bool
        Whether numbers stand in place of symbols.

    Returns
    -------
    Equation
        A str.
    """
    fit.need_one_family("equation", "each kind has equations of its own")
    if fit.design.choices is not None:
        raise DataError("equations of choices are not written out; summary() has the coefficients of each category")
    check_choice("style", style, STYLES)
    check_choice("format", format, FORMATS)
    words = Latex() if format == "latex" else Text()
    found = Equation(words.page(list(Writer(fit, words, estimates).lines(style))))
    found.latex = format == "latex"
    return found


# ---- text and LaTeX --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """Left side, relation and terms with their signs; or a heading alone."""

    left: str
    relation: str = "="
    terms: tuple[tuple[str, str], ...] = ()
    heading: bool = False


class Text:
    """How things are written as text."""

    times, distributed, has, at_most = " * ", "~", "has", "<="

    def symbol(self, name: str, index: str = "", subscript: str = "") -> str:
        """A parameter or a random effect."""
        return f"{name}_{index}{subscript}" if index or subscript else name

    def variable(self, name: str, subscript: str) -> str:
        """A column of the data."""
        return f"{name}_{subscript}" if subscript else name

    def call(self, function: str, argument: str) -> str:
        """A function of something."""
        return f"{function}({argument})"

    def link(self, link: str, mean: str) -> str:
        """The link function of a mean."""
        if link == "identity":
            return mean
        return INVERSE[link].replace("mu", mean) if link in INVERSE else self.call(link, mean)

    def square(self, symbol: str) -> str:
        """A symbol squared."""
        return f"{symbol}^2"

    def normal(self, variance: str) -> str:
        """A normal distribution of mean zero."""
        return f"N(0, {variance})"

    def vector(self, symbols: Sequence[str]) -> str:
        """Several random effects."""
        return symbols[0] if len(symbols) == 1 else f"({', '.join(symbols)})"

    def matrix(self, rows: Sequence[Sequence[str]]) -> str:
        """A matrix of numbers, in lines of its own where it is large."""
        lines = [", ".join(row) for row in rows]
        short = sum(map(len, lines)) < WIDTH // 2
        return f"[{'; '.join(lines)}]" if short else "[" + ";".join(f"\n      {line}" for line in lines) + "]"

    def word(self, text: str) -> str:
        """Words in a formula."""
        return text

    def page(self, lines: Sequence[Line]) -> str:
        """All lines, broken before a sign where they are long."""
        written: list[str] = []
        for line in lines:
            if line.heading:
                written.append(line.left)
                continue
            text = f"  {line.left} {line.relation}"
            hang = " " * (len(text) + 1)
            for k, (sign, term) in enumerate(line.terms):
                piece = f" {'-' if sign == '-' else ''}{term}" if k == 0 else f" {sign} {term}"
                if len(text) + len(piece) > WIDTH and k > 0:
                    written.append(text)
                    text = hang[: WIDTH // 3] + piece.lstrip()
                else:
                    text += piece
            written.append(text)
        return "\n".join(written)


class Latex(Text):
    """How things are written in LaTeX, for an `aligned` environment."""

    times, distributed, has, at_most = r"\,", r"\sim", r"\text{ has }", r"\leq"

    def symbol(self, name: str, index: str = "", subscript: str = "") -> str:
        """Greek letters by their commands, other words upright."""
        base, _, part = name.partition("[")
        greek = ("alpha", "pi", "beta", "gamma", "delta", "tau", "sigma", "mu", "eta")
        written = rf"\{base}" if base in greek else base if len(base) == 1 else self.word(base)
        if part:
            written += f"^{{{self.word(part.rstrip(']'))}}}"
        return f"{written}_{{{index}{subscript}}}" if index or subscript else written

    def variable(self, name: str, subscript: str) -> str:
        """A column, upright."""
        return f"{self.word(name)}_{{{subscript}}}" if subscript else self.word(name)

    def call(self, function: str, argument: str) -> str:
        """Functions upright."""
        named = rf"\{function}" if function in ("log", "exp") else rf"\operatorname{{{_escaped(function)}}}"
        return rf"{named}\left({argument}\right)"

    def link(self, link: str, mean: str) -> str:
        """Roots and fractions as such."""
        if link == "sqrt":
            return rf"\sqrt{{{mean}}}"
        if link in INVERSE:
            return rf"\frac{{1}}{{{mean}{'^2' if link == 'inverse_squared' else ''}}}"
        return super().link(link, mean)

    def normal(self, variance: str) -> str:
        """With brackets that grow."""
        return rf"N\left(0, {variance}\right)"

    def vector(self, symbols: Sequence[str]) -> str:
        """With brackets that grow."""
        return symbols[0] if len(symbols) == 1 else rf"\left({', '.join(symbols)}\right)"

    def matrix(self, rows: Sequence[Sequence[str]]) -> str:
        """With round brackets."""
        return r"\begin{pmatrix}" + r" \\ ".join(" & ".join(row) for row in rows) + r"\end{pmatrix}"

    def word(self, text: str) -> str:
        """Upright."""
        return rf"\text{{{_escaped(text)}}}"

    def page(self, lines: Sequence[Line]) -> str:
        """Aligned at the relations, a new line after some terms."""
        written = []
        for line in lines:
            if line.heading:
                written.append(rf"&{self.word(line.left)}")
                continue
            text = f"{line.left} &{line.relation}" if line.relation else f"&{line.left}"
            for k, (sign, term) in enumerate(line.terms):
                if k and k % PER_LINE == 0:
                    text += " \\\\\n&\\quad"
                text += f" {'-' if sign == '-' else ''}{term}" if k == 0 else f" {sign} {term}"
            written.append(text)
        body = " \\\\\n".join(written)
        return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def _escaped(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


# ---- equations -------------------------------------------------------------------------------------------------------

Term = tuple[str, str]  # a sign and what follows it


class Writer:
    """Writes the lines of a fit."""

    def __init__(self, fit: Fit, words: Text, estimates: bool) -> None:
        self.fit, self.words, self.estimates = fit, words, estimates
        self.levels = Levels(fit)
        errors = standard_errors(fit.beta_covariance)
        self.numbers = {
            name: format_numbers([value], DIGITS, decimals_of=[error])[0]
            for name, value, error in zip(fit.fixed_names, fit.beta, errors, strict=True)
        }
        self.names = COEFFICIENTS[-(self.levels.n + 1) :] if self.levels.n else ("beta",)
        self.residual = fit.is_linear or (fit.family.name == "gaussian" and fit.family.link == "identity")
        self.residual = self.residual and not fit.family.censored

    def lines(self, style: str) -> Iterator[Line]:
        """All equations, then the distributions."""
        n = self.levels.n
        if style == "combined" or n == 0:
            yield from self._response()
            yield self._predictor([*self._combined(), *self._offsets()])
        else:
            yield Line("Level 1 (rows):", heading=True)
            yield from self._response()
            yield self._predictor([*self._at((), 0), *self._offsets()])
            for level in range(1, n + 1):
                names = [self.fit.design.grouping_factors[k].name for k in self.levels.groups[level - 1]]
                yield Line(f"Level {level + 1} ({', '.join(names)}):", heading=True)
                for path in self._paths(level):
                    left = self.words.symbol(self.names[level - 1], _index(path), self.levels.of_level(level))
                    yield Line(left, "=", tuple(self._at(path, level)))
        yield from self._parts()
        if self.fit.phi or self.residual or self.fit.design.random_terms:
            yield Line("With:", heading=True)
        yield from self._residual()
        yield from self._distributions()
        yield from self._family()

    # ---- the mean --------------------------------------------------------------------------------------------------

    def _response(self) -> Iterator[Line]:
        """The distribution of the response, unless it is a mean and a residual."""
        fit, words, row = self.fit, self.words, self.levels.row
        if self.residual:
            return
        if fit.design.thresholds is not None:
            return
        atoms = fit.design.formula.response
        name = words.variable(atoms[0].text if len(atoms) > 0 else fit.design.response.name, row)
        arguments = [words.symbol("mu", "", row)]
        if fit.family.support == "trials":
            trials = words.variable("n", row) if fit.design.response.size is not None else "1"
            arguments.insert(0, trials)
            if fit.design.response.size is not None and len(atoms) == 1:
                name = f"{trials}{words.times}{name}"
        arguments += [words.word(own.name) for own in fit.family.parameters if own.part != "zero"]
        family = words.word(fit.family.name)
        yield Line(name, words.distributed, (("+", f"{family}({', '.join(arguments)})"),))

    def _predictor(self, terms: Sequence[Term]) -> Line:
        """The link of the mean, or the response itself where there is a residual."""
        fit, words, row = self.fit, self.words, self.levels.row
        response = fit.design.formula.response[0].text
        if self.residual:
            terms = [*terms, ("+", words.symbol("e", "", row))]
            return Line(words.variable(fit.design.formula.response_text, row), "=", tuple(terms))
        if fit.design.thresholds is not None:
            threshold = words.symbol("tau", "k", row if len(fit.design.parts[0].fixed) > 1 else "")
            inside = f"{words.variable(response, row)} {words.at_most} k"
            flipped = tuple(("-" if sign == "+" else "+", term) for sign, term in terms if term != "0")
            return Line(words.link(fit.family.link, words.call("P", inside)), "=", (("+", threshold), *flipped))
        return Line(words.link(fit.family.link, words.symbol("mu", "", row)), "=", tuple(terms or [("+", "0")]))

    def _paths(self, level: int) -> list[tuple[int, ...]]:
        """Places of the coefficients that have an equation at a level."""
        paths: list[tuple[int, ...]] = [()]
        for _ in range(level):
            paths = [(*path, child) for path in paths for child in self.levels.children(path)]
        return paths

    def _at(self, path: tuple[int, ...], level: int) -> list[Term]:
        """What a coefficient of the level below is made of."""
        terms = []
        for child in self.levels.children(path):
            place = (*path, child)
            variables = self.levels.variables_at(place)
            if level == self.levels.n:
                name = next(own.name for own in self.levels.fixed if own.path == place)
                terms.append(self._fixed(name, place, variables))
            else:
                symbol = self.words.symbol(self.names[level], _index(place), self.levels.of_level(level + 1))
                terms.append(self._times("+", symbol, variables))
        for effect in self.levels.random:
            if effect.level == level and effect.path == path:
                terms.append(self._times("+", self._effect(effect), [v for p in effect.portions[level:] for v in p]))
        return terms or [("+", "0")]

    def _combined(self) -> list[Term]:
        terms = [self._fixed(own.name, own.path, [v for p in own.portions for v in p]) for own in self.levels.fixed]
        for effect in self.levels.random:
            terms.append(self._times("+", self._effect(effect), [v for p in effect.portions for v in p]))
        return terms or [("+", "0")]

    def _fixed(self, name: str, path: tuple[int, ...], variables: Sequence[Variable]) -> Term:
        if self.estimates:
            number = self.numbers[name]
            return self._times("-" if number.startswith("-") else "+", number.lstrip("-"), variables)
        return self._times("+", self.words.symbol(self.names[-1], _index(path)), variables)

    def _effect(self, own: RandomEffect) -> str:
        return self.words.symbol(self._letter(own.factor), _index(own.index), own.subscript)

    def _letter(self, factor: int) -> str:
        at = self.levels.factors.index(factor)
        return EFFECTS[at] if at < len(EFFECTS) else f"u{at + 1}"

    def _times(self, sign: str, first: str, variables: Sequence[Variable]) -> Term:
        own = [self.words.variable(variable.name, variable.subscript) for variable in variables]
        return sign, self.words.times.join([first, *own])

    def _offsets(self) -> list[Term]:
        fit, row = self.fit, self.levels.row
        names = [atom.text for atom in fit.design.formula.offsets]
        names += ["offset"] if fit.design.coding.offset.given else []
        return [("+", self.words.variable(name, row)) for name in names]

    # ---- the other parts -------------------------------------------------------------------------------------------

    def _parts(self) -> Iterator[Line]:
        """Equations of the parameters that have a formula."""
        for component in self.fit.components:
            if self.fit.design.thresholds is not None and len(self.fit.design.parts[0].fixed) == 1:
                continue
            yield Line(f"{PART_TITLES.get(component.name, component.name.capitalize())}:", heading=True)
            yield from self._part(component)

    def _part(self, component: Component) -> Iterator[Line]:
        fit, words, row = self.fit, self.words, self.levels.row
        part = next(own for own in fit.design.parts if own.name == component.name)
        at = slice(component.first, component.first + len(component.names))
        values, errors = fit.psi[at], standard_errors(fit.covariance[at, at])
        numbers = [
            format_numbers([value], DIGITS, decimals_of=[error])[0] for value, error in zip(values, errors, strict=True)
        ]
        if fit.design.thresholds is not None:
            yield from self._thresholds(component, part, numbers)
            return
        own = next(parameter for parameter in fit.family.parameters if parameter.name == component.parameter)
        terms = []
        for k, (_, variables) in enumerate(products(part.fixed, part.fixed_terms, component.names)):
            columns = [self.levels.variable(*variable) for variable in variables]
            terms.append(self._number_or(words.symbol("delta", str(k)), numbers[k], columns))
        for t, term in enumerate(fit.design.random_terms):
            if term.parameter == component.parameter:
                for k, values_of in enumerate(term.columns):
                    name = term.names[k].removeprefix(f"{component.name}: ")
                    columns = []
                    if values_of is not None:
                        columns = [self.levels.variable(name, np.asarray(values_of, dtype=np.float64))]
                    terms.append(self._times("+", self._effect_of_part(t, k), columns))
        terms += [("+", words.variable(atom.text, row)) for atom in part.formula.offsets]
        scale, _, name = own.scale_in_words.rpartition(" ")
        parameter = words.variable(name, row)
        yield Line(words.call(scale, parameter) if scale else parameter, "=", tuple(terms))

    def _thresholds(self, component: Component, part: DesignPart, numbers: Sequence[str]) -> Iterator[Line]:
        """What nominal effects add to each threshold."""
        thresholds, words = self.fit.design.thresholds, self.words
        assert thresholds is not None
        kept = [own for own in part.fixed if own.name not in component.redundant]
        n = len(thresholds.coefficients)
        for k, name in enumerate(thresholds.coefficients):
            terms = []
            for c, column in enumerate(kept):
                values = column.values
                variables = [] if values is None else [self.levels.variable(column.name, np.asarray(values, float))]
                terms.append(self._number_or(words.symbol("delta", f"{k + 1}{c}"), numbers[c * n + k], variables))
            flexible, row = thresholds.structure == "flexible", self.levels.row
            yield Line(
                words.symbol("tau", str(k + 1), row) if flexible else words.variable(name, row), "=", tuple(terms)
            )

    def _number_or(self, symbol: str, number: str, variables: Sequence[Variable]) -> Term:
        if not self.estimates:
            return self._times("+", symbol, variables)
        return self._times("-" if number.startswith("-") else "+", number.lstrip("-"), variables)

    def _effect_of_part(self, term: int, column: int) -> str:
        own = self.fit.design.random_terms[term]
        part = next(p.name for p in self.fit.design.parts if p.parameter == own.parameter)
        letter = f"{self._letter(own.grouping_factor)}[{part}]"
        return self.words.symbol(letter, str(column), self.levels.of_factor(own.grouping_factor))

    # ---- distributions ---------------------------------------------------------------------------------------------

    def _residual(self) -> Iterator[Line]:
        fit, words, row = self.fit, self.words, self.levels.row
        if not self.residual:
            return
        sigma = fit.phi.get(fit.family.parameters[0].name)
        if fit.components:
            variance = words.square(words.variable(fit.family.parameters[0].name, row))
        elif self.estimates and sigma is not None:
            variance = format_numbers([sigma**2], 4)[0]
        else:
            variance = words.square(words.symbol("sigma"))
        if fit.design.weights is not None:
            variance += f" / {words.variable('weight', row)}"
        yield Line(words.symbol("e", "", row), words.distributed, (("+", words.normal(variance)),))

    def _distributions(self) -> Iterator[Line]:
        """Of the random effects, term by term."""
        fit, words = self.fit, self.words
        effects = {(own.term, own.column): self._effect(own) for own in self.levels.random}
        several = len(fit.design.random_terms) > 1
        for t, (term, covariance) in enumerate(zip(fit.design.random_terms, fit.random_cov, strict=True)):
            symbols = [effects.get((t, k)) or self._effect_of_part(t, k) for k in range(len(term.names))]
            number = str(t + 1) if several else ""
            if self.estimates:
                cells = [[format_numbers([value], 4)[0] for value in row] for row in covariance]
                matrix = cells[0][0] if len(symbols) == 1 else words.matrix(cells)
            elif len(symbols) == 1:
                matrix = words.square(words.symbol("tau", number))
            else:
                matrix = words.symbol("T", number)
            yield Line(words.vector(symbols), words.distributed, (("+", words.normal(matrix)),))
            if not self.estimates and len(symbols) > 1 and term.structure != "unstructured":
                factors = ", ".join(factor_names(term.structure))
                text = words.word(f"the structure of factors {factors}" if factors else f"{term.structure} structure")
                yield Line(words.symbol("T", number), words.has, (("+", text),))

    def _family(self) -> Iterator[Line]:
        """The family's own parameters, and thresholds, where estimates are shown."""
        fit, words = self.fit, self.words
        if not self.estimates:
            return
        if fit.design.thresholds is not None and len(fit.design.parts[0].fixed) == 1:
            component = fit.components[0]
            for k, name in enumerate(component.names):
                at = component.first + k
                error = float(np.sqrt(fit.covariance[at, at]))
                number = format_numbers([fit.psi[at]], DIGITS, decimals_of=[error])[0]
                flexible = fit.design.thresholds.structure == "flexible"
                left = words.symbol("tau", str(k + 1)) if flexible else words.word(name)
                yield Line(left, "=", (("-" if number.startswith("-") else "+", number.lstrip("-")),))
        for name, value in fit.phi.items():
            if not self.residual and np.isfinite(value):
                yield Line(words.word(name), "=", (("+", format_numbers([value], 4)[0]),))


def _index(path: Sequence[int]) -> str:
    return ("," if any(own > 9 for own in path) else "").join(map(str, path))
