"""The summary of a fit: one list of blocks, in the order that readers of lme4's `glmer` know, as text or HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..fitting.few_rows import few_rows
from ..fitting.kinds import rows_by_kind
from ..fitting.parameters import is_exact
from ..fitting.quasi import KINDS
from ..formula.structures import factor_names
from ..inference import wald
from ..inference.ratios import ratio_word
from ..tables.page import Paragraph, Table, abbreviate, format_fixed, format_numbers, format_p, format_small
from .numbers import DF_NAMES, HOMOGENEOUS, ONE_CORRELATION, Numbers

if TYPE_CHECKING:
    import pandas as pd

    from ..fitting.parameters import Component
    from ..fitting.record import Fit

NEGLIGIBLE_GAIN = 1e-9  # below it the digits are rounding
PART_TITLES = {"dispersion": "Dispersion model", "zero": "Zero part", "thresholds": "Thresholds", "scale": "Scale"}
HIGHER = "positive coefficients move to higher categories"
DIRECTION = {
    "cumulative": "P(y <= k) = F(threshold k - eta)",
    "adjacent": "log P(y = k + 1) / P(y = k) = eta - threshold k",
    "continuation": "P(y = k | y >= k) = F(threshold k - eta)",
    "reverse_continuation": "P(y <= k | y <= k + 1) = F(threshold k - eta)",
}
SCALED = "P(y <= k) = F((threshold k - eta) / scale)"
LONGEST_ABBREVIATED = 20  # letters: of a longer name an abbreviation tells too little
MOST_CORRELATIONS = 20  # with more coefficients than this their correlations are left out, as lme4 does


Layout: TypeAlias = Callable[["pd.DataFrame", bool, bool], tuple[tuple[str, ...], list[list[str]]]]


def page(numbers: Numbers) -> Iterator[Paragraph | Table]:
    """The blocks of the page."""
    fit = numbers.fit
    yield heading(fit)
    if fit.has_likelihood:
        yield _fit_statistics(fit, numbers.criteria)
    if fit.family.kinds:
        yield _kinds(fit)
    if numbers.residuals is not None:
        yield _scaled_residuals(numbers.residuals)
    if fit.design.random_terms or fit.sigma is not None:
        yield _random_effects(fit)
    else:
        yield Paragraph((counts(fit),))
    yield from own_parameters(numbers)
    yield from coefficients(numbers, _coefficients)
    yield from correlations(numbers)
    yield from closing(fit)


def own_parameters(numbers: Numbers) -> Iterator[Table]:
    """The family's own parameters, where it has other ones than a residual standard deviation."""
    if numbers.fit.phi and numbers.fit.sigma is None:
        yield _family_parameters(numbers.fit, numbers.of_family)


def coefficients(numbers: Numbers, layout: Layout, title: str = "Fixed effects:") -> Iterator[Table]:
    """Coefficients of the mean and of the other parts.

    `layout` makes headings and columns of cells of a table of coefficients; its other arguments are whether
    exponentials of coefficients have a meaning, and whether degrees of freedom are shown.
    """
    fit = numbers.fit
    if fit.fixed_names or fit.redundant or fit.design.thresholds is None:
        yield from _by_category(fit, _fixed_effects(numbers, layout, title))
    for component in fit.components:
        yield _component(fit, component, numbers.of_component(component), layout)


def correlations(numbers: Numbers, title: str = "Correlation of Fixed Effects:") -> Iterator[Paragraph | Table]:
    """Correlations of the fixed effects, where they are not too many."""
    names, choices = numbers.fit.fixed_names, numbers.fit.design.choices
    by_category = choices is not None and choices.by_category
    if 1 < len(names) <= MOST_CORRELATIONS and not by_category:
        yield _correlations(names, numbers.correlation, title)
    elif len(names) > 1:
        text = f"Correlations of the {len(names)} fixed effects are not shown; cov_params() has their covariance."
        yield Paragraph((text,))


def closing(fit: Fit) -> Iterator[Paragraph]:
    """How the fit went, and its warnings: on every page, whatever the layout."""
    yield Paragraph((*_certificate(fit), *_unproved_modes(fit), *_few_rows(fit)))
    others = [warning for warning in fit.warnings if warning != fit.message]
    if others:
        yield Paragraph(tuple(f"- {warning}" for warning in others), title="Warnings:")


# ---- what was fitted -----------------------------------------------------------------------------------------------


def title(fit: Fit) -> str:
    """The model, the method and the approximation, in one line."""
    if not fit.has_likelihood:
        kind = KINDS[fit.method]
        own = "REML" if kind.restricted else "ML"
        of = "penalized" if kind.penalized else "marginal"
        scale = "" if kind.scaled else ", scale 1"
        return f"Generalized linear mixed model fit by {of} quasi-likelihood ({own}{scale})"
    method = {"ml": "maximum likelihood", "reml": "REML"}[fit.method]
    if fit.is_least_squares:
        return "Linear model fit by least squares"
    if not fit.design.random_terms and fit.family.is_linear and fit.components:
        return f"Linear model with a model of its dispersion, fit by {method}"
    if not fit.design.random_terms:
        return f"Generalized linear model fit by {method}"
    if fit.is_linear:
        return f"Linear mixed model fit by {method}"
    if is_exact(fit.design, fit.family) and fit.components:
        return f"Linear mixed model with a model of its dispersion, fit by {method}"
    if is_exact(fit.design, fit.family):
        return f"Linear mixed model with a given residual variance, fit by {method}"
    approximation = (
        "Laplace approximation"
        if fit.n_quadrature == 1
        else f"adaptive Gauss-Hermite quadrature, {fit.n_quadrature} points"
        + (" per random effect" if len(fit.design.grouping_factors) > 1 else "")
    )
    return f"Generalized linear mixed model fit by {method} ({approximation})"


def one_line(fit: Fit) -> str:
    """The formula, the family, the log-likelihood and how it went."""
    status = "" if fit.status == "converged" else f", {fit.status}"
    likelihood = f"logLik {fit.loglik:.6g}" if fit.has_likelihood else fit.method
    return f"{fit.design.formula}, {fit.family.label}, {likelihood}{status}"


def heading(fit: Fit) -> Paragraph:
    """What was fitted."""
    return Paragraph(tuple(_heading(fit)), hanging=4)


def _heading(fit: Fit) -> Iterator[str]:
    yield title(fit)
    python = ", a density in Python" if fit.family.in_python else ""
    if fit.family.kinds:
        yield " Family: one for each kind of rows"
    else:
        yield f" Family: {fit.family.name} ( {fit.family.link} ){python}"
    yield f"Formula: {fit.design.formula}"
    thresholds = fit.design.thresholds
    if thresholds is not None:
        yield f"Categories: {' < '.join(thresholds.categories)} ({thresholds.structure} thresholds)"
    for part in fit.design.parts:
        if thresholds is None or part.name != "thresholds":
            yield f"{part.name.capitalize()}: {part.formula}"
        elif len(part.fixed) > 1:
            yield f"Nominal: {part.formula}"
    other = fit.design.response.other_end
    if other is not None:
        n = int(np.sum((other != fit.design.response.values) & ~np.isnan(other)))
        yield f"Known in part: {n} of {fit.n_rows} responses"
    levels = fit.design.response.levels
    choices = fit.design.choices
    if choices is not None and choices.by_category:
        named = [f"{own} (base)" if k == choices.base else own for k, own in enumerate(choices.categories)]
        yield f"Categories: {', '.join(named)}"
    elif choices is not None:
        yield f"Choices: sets of alternatives with the same '{choices.name}'"
    elif levels is not None and thresholds is None:
        yield f"Success: {levels[1]} (failure: {levels[0]})"
    given = ["prior weights"] if fit.design.weights is not None else []
    if fit.design.coding.offset.given:
        given.append("an offset")  # those in the formula can be seen there
    if given:
        yield f"With {' and '.join(given)}"


def _kinds(fit: Fit) -> Table:
    """The families of kinds of rows, each with its rows."""
    rows = []
    for kind, at, own in rows_by_kind(fit):
        zero = f" (zero {own.family.zero})" if own.family.zero else ""
        rows.append((kind, f"{own.family.name} ( {own.family.link} ){zero}", str(len(at))))
    return Table(("", "Family", "Rows"), tuple(rows), title="Kinds of rows:", n_labels=2)


def _fit_statistics(fit: Fit, criteria: Mapping[str, float]) -> Table:
    aic, bic, deviance = format_fixed([criteria["aic"], criteria["bic"], -2 * fit.loglik], 2)
    # all the digits that an optimum this tight has, so that fits can be compared across programs
    (loglik,) = format_fixed([fit.loglik], 8)
    cells = (aic, bic, loglik, deviance, str(fit.df_resid))
    restricted = fit.method == "reml"
    names = ("REML logLik", "REML criterion") if restricted else ("logLik", "-2*log(L)")
    return Table(("AIC", "BIC", *names, "df.resid"), (cells,))


def _scaled_residuals(quantiles: np.ndarray) -> Table:
    cells = tuple(format_fixed(quantiles, 5))
    return Table(("Min", "1Q", "Median", "3Q", "Max"), (cells,), title="Scaled residuals:")


def counts(fit: Fit) -> str:
    """Rows, levels, and what was left out."""
    text = f"Number of obs: {fit.n_observations}"
    if fit.n_observations != fit.n_rows:
        text = f"Number of choices: {fit.n_observations}, of {fit.n_rows} alternatives"
    if fit.n_groups:
        text += ", groups: " + "; ".join(f"{name}, {count}" for name, count in fit.n_groups.items())
    left = left_out(fit)
    return f"{text}; {left}" if left else text


def left_out(fit: Fit) -> str:
    """Rows that were not used; empty where there are none."""
    reasons = ((fit.design.n_missing, "missing values"), (fit.design.n_zero_weight, "weight zero"))
    return "; ".join(f"{count} row{'s' if count > 1 else ''} with {what} dropped" for count, what in reasons if count)


# ---- estimates -----------------------------------------------------------------------------------------------------


def _random_effects(fit: Fit) -> Table:
    labels: list[tuple[str, str]] = []
    variances: list[float] = []
    correlations: list[list[str]] = []
    notes = []
    for term, covariance in zip(fit.design.random_terms, fit.random_cov, strict=True):
        group = fit.design.grouping_factors[term.grouping_factor].name
        names, cells = term_rows(term.names, term.structure, covariance)
        labels += [(group if k == 0 else "", name) for k, name in enumerate(names)]
        variances += list(np.diag(covariance)[: len(names)])
        correlations += cells
        if len(term.names) > 1 and term.structure != "unstructured":
            notes.append(structure_note(group, term.names, term.structure))
    if fit.sigma is not None:
        labels.append(("Residual", ""))
        variances.append(fit.sigma**2)
        correlations.append([])
    n_corr = max(len(row) for row in correlations)
    columns = ("Groups", "Name", "Variance", "Std.Dev.", *(["Corr"] + [""] * (n_corr - 1) if n_corr else []))
    rows = tuple(
        (*label, variance, sd, *corr, *[""] * (n_corr - len(corr)))
        for label, variance, sd, corr in zip(
            labels, format_numbers(variances, 6), format_numbers(np.sqrt(variances), 6), correlations, strict=True
        )
    )
    title = "Random effects:" if fit.design.random_terms else "Residual:"
    return Table(columns, rows, title=title, n_labels=2, notes=(*notes, counts(fit)))


def _family_parameters(fit: Fit, table: pd.DataFrame) -> Table:
    meaning = {own.name: own.meaning for own in fit.family.parameters}
    rows = tuple(
        (str(name), *cells, meaning[str(name)])
        for name, *cells in zip(
            table.index,
            format_numbers(list(table["estimate"]), 6),
            format_numbers(list(table["std_error"]), 4),
            strict=True,
        )
    )
    return Table(
        ("", "Estimate", "Std. Error", "Meaning"),
        rows,
        title="Parameters of the families:" if fit.family.kinds else f"Parameters of the {fit.family.name} family:",
        n_labels=1,
    )


def term_rows(
    names: tuple[str, ...], structure: str, covariance: np.ndarray
) -> tuple[tuple[str, ...], list[list[str]]]:
    """Names and correlations of the rows of a term: one row where all variances are equal by the structure."""
    q = len(names)
    correlation = wald.correlation(covariance)
    if q == 1:
        return names, [[]]
    if structure in ONE_CORRELATION:
        (one,) = format_fixed([correlation[1, 0]], 3)
        if structure in HOMOGENEOUS:
            return (_in_short(names),), [[one]]
        return names, [[], [one], *[[] for _ in names[2:]]]
    if structure in HOMOGENEOUS:
        return (_in_short(names),), [[]]
    if structure == "diagonal":
        return names, [[] for _ in names]
    return names, [format_fixed(correlation[k, :k], 3) for k in range(q)]


def structure_note(group: str, names: tuple[str, ...], structure: str) -> str:
    """What the structure says of the random effects, in one line."""
    subject = f"The random effects of {group} ({_in_short(names)})"
    if structure == "diagonal":
        return f"{subject} are independent of each other."
    if structure == "homogeneous diagonal":
        return f"{subject} are independent of each other, with one variance."
    if structure in ("ar1", "heterogeneous ar1"):
        return f"{subject} have covariance structure {structure}; Corr is that of neighbours in time."
    if factors := factor_names(structure):
        return f"{subject} are loadings times the factors {', '.join(factors)}."
    return f"{subject} have covariance structure {structure}."


def _in_short(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]}, {names[1]}, ..., {names[-1]}"


def _coefficients(table: pd.DataFrame, _: bool, df_shown: bool) -> tuple[tuple[str, ...], list[list[str]]]:
    """Headings and columns of cells of a table of coefficients, without the names."""
    columns = [
        format_numbers(table["estimate"], 5, decimals_of=table["std_error"]),
        format_numbers(table["std_error"], 5),
        *([format_fixed(table["df"], 2)] if df_shown else []),
        format_fixed(table["statistic"], 3),
        format_p(table["p_value"]),
    ]
    headings = ("df", "t value", "Pr(>|t|)") if df_shown else ("z value", "Pr(>|z|)")
    return ("Estimate", "Std. Error", *headings), columns


def _fixed_effects(numbers: Numbers, layout: Layout, title: str) -> Table:
    fit, method = numbers.fit, numbers.method
    headings, cells = layout(numbers.coefficients, bool(ratio_word(fit, False)), numbers.tested_by_t)
    notes = []
    if numbers.robust is not None:
        notes.append(f"robust standard errors: {numbers.robust.definition}")
    elif method in DF_NAMES:
        notes.append(f"t tests with {DF_NAMES[method]}")
        if numbers.unasked and method == "containment" and wald.default_method(fit) == "containment":
            notes[-1] += ": Satterthwaite's cannot be had for this fit"
    if fit.redundant:
        some = "columns" if len(fit.redundant) > 1 else "column"
        reason = "dropped as a linear combination of earlier columns"
        notes.append(f"{len(fit.redundant)} {some} {reason}: {', '.join(fit.redundant)}")
    ordered = _ordered_by_treatment(fit)
    if ordered:
        is_ordered = "is ordered and has" if len(ordered) == 1 else "are ordered and have"
        polynomials = f"contrasts={{{ordered[0]!r}: 'poly'}} has polynomials, as R"
        notes.append(f"{', '.join(ordered)} {is_ordered} treatment contrasts; {polynomials}")
    rows = tuple(zip(numbers.coefficients.index, *cells, strict=True))
    return Table(("", *headings), rows, title=title, n_labels=1, notes=tuple(notes))


def _by_category(fit: Fit, table: Table) -> Iterator[Table]:
    """The coefficients of each category without an order in a table of their own."""
    choices = fit.design.choices
    if choices is None or not choices.by_category:
        yield table
        return
    place = {column.name: k for k, column in enumerate(fit.design.fixed)}
    owners = [choices.owner(place[name], len(place)) for name in fit.fixed_names]
    base = choices.categories[choices.base]
    for owner in choices.others:
        name = choices.categories[owner]
        rows = tuple(
            (choices.own_name(str(row[0]), owner), *row[1:])
            for row, own in zip(table.rows, owners, strict=True)
            if own == owner
        )
        last = owner == choices.others[-1]
        own_title = f"{table.title.removesuffix(':')}, {name} against {base}:"
        yield Table(table.columns, rows, title=own_title, n_labels=1, notes=table.notes if last else ())


def _component(fit: Fit, component: Component, table: pd.DataFrame, layout: Layout) -> Table:
    parameter = next(own for own in fit.family.parameters if own.name == component.parameter)
    ratios = parameter.scale in ("logit", "log")
    headings, cells = layout(table, ratios, False)
    of_thresholds = parameter.part == "thresholds"
    direction = SCALED if fit.family.scaled else DIRECTION.get(fit.family.name, "")
    notes = [
        f"{direction}: {HIGHER}"
        if of_thresholds
        else f"on the scale of {parameter.scale_in_words}: {parameter.meaning}"
    ]
    if component.redundant:
        notes.append(f"dropped as linear combinations of earlier columns: {', '.join(component.redundant)}")
    title = f"{PART_TITLES.get(component.name, component.name.capitalize())}:"
    rows = tuple(zip(table.index, *cells, strict=True))
    return Table(("", *headings), rows, title=title, n_labels=1, notes=tuple(notes))


def _ordered_by_treatment(fit: Fit) -> list[str]:
    """Ordered factors of the fixed part for which no contrasts were asked."""
    variables = fit.design.coding.terms.variables
    parts = {part.text: None for term in fit.design.fixed_terms for part in term.parts}
    return [text for text in parts if variables[text].ordered]


def _correlations(full_names: tuple[str, ...], correlation: np.ndarray, title: str) -> Table:
    if max(map(len, full_names)) > LONGEST_ABBREVIATED:
        return _numbered_correlations(full_names, correlation, title)
    names = abbreviate(full_names, 11)
    p = len(names)
    rows = tuple((names[k], *format_fixed(correlation[k, :k], 3), *[""] * (p - 1 - k)) for k in range(1, p))
    short = abbreviate(full_names[:-1], 6)
    columns = ("", *(short if len(set(short)) == len(short) else names[:-1]))
    return Table(columns, rows, title=title, n_labels=1)


def _numbered_correlations(names: tuple[str, ...], correlation: np.ndarray, title: str) -> Table:
    """Names in full, with numbers that stand for them in the headings."""
    p = len(names)
    rows = tuple(
        (str(k + 1), names[k], *format_fixed(correlation[k, :k], 3), "1", *[""] * (p - 1 - k)) for k in range(p)
    )
    columns = ("", "", *(str(k + 1) for k in range(p)))
    return Table(columns, rows, title=title, n_labels=2)


# ---- how it went ---------------------------------------------------------------------------------------------------


def _unproved_modes(fit: Fit) -> Iterator[str]:
    """Several modes of several grouping factors together can only be searched: Laplace's approximation rests on one."""
    beside = any(term.parameter for term in fit.design.random_terms)
    concave = fit.family.log_concave and not beside
    if fit.converged and len(fit.design.grouping_factors) > 1 and not concave and fit.has_likelihood:
        yield (
            "Conditional modes: the largest that were found. With several grouping factors and a density that is not "
            "log-concave there can be others, and nothing proves that none is larger."
        )


def _few_rows(fit: Fit) -> Iterator[str]:
    """What to think of a model with many parameters, where no warning says it."""
    told = few_rows(fit.design, fit.df_model)
    if told and not any(warning.startswith(told) for warning in fit.warnings):
        yield f"{told}: standard errors mean little."


def _certificate(fit: Fit) -> Iterator[str]:
    certificate = fit.certificate
    if not fit.converged:
        why = "" if fit.status == "not converged" else f" ({fit.status})"
        yield f"NOT CONVERGED{why}: {fit.message}"
    if np.isnan(certificate.predicted_gain):
        return
    if not fit.has_likelihood:
        if fit.converged:
            yield "Converged: the working linear model no longer changes. It has no likelihood of the response."
        return
    outcome = "Converged: the" if fit.converged else "At the point returned the"
    gain = certificate.predicted_gain
    left = f"below {NEGLIGIBLE_GAIN:g}" if gain < NEGLIGIBLE_GAIN else format_small(gain)
    text = f"{outcome} predicted gain left in the log-likelihood is {left}"
    eigenvalues = np.asarray(certificate.eigenvalues)
    if eigenvalues.size:
        text += f", the smallest eigenvalue of the information {format_small(eigenvalues.min())}"
    yield text + "."
    check = certificate.quadrature
    if check is not None:
        shift = np.abs(np.asarray(check.shift_se))
        k = int(np.nanargmax(shift)) if np.isfinite(shift).any() else None
        largest = "" if k is None else f" and no estimate by more than {format_small(shift[k])} standard errors"
        where = "" if k is None else f" ({fit.parameter_names[k]})"
        yield (
            f"Quadrature check: with {check.n_points} points -2*log(L) changes by "
            f"{format_small(check.change_deviance + 0.0)}{largest}{where}."
        )
    for score in certificate.boundary:
        of = f"{score.name} in {score.term}"
        if score.kind == "limit":
            text = f"Boundary (singular) fit: the correlation of {of} is at an end of its range; its score there is "
            text += format_small(score.score)
            inside = ", so a correlation inside of it does not raise the likelihood"
        else:
            what = "variance" if score.kind == "variance" else "conditional variance (correlation 1 or -1)"
            text = f"Boundary (singular) fit: the {what} of {of} is zero; its score there is "
            text += format_small(score.score)
            inside = ", so a larger variance does not raise the likelihood"
        yield f"{text}{inside if score.score <= 0 else ''}."
