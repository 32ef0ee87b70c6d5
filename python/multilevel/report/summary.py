"""The summary of a fit: one list of blocks, in the order that readers of lme4's `glmer` know, as text or HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..fitting.parameters import is_exact
from ..inference import wald
from ..inference.components import component_table
from ..inference.family_parameters import family_parameters
from ..inference.information_criteria import information_criteria
from ..inference.ratios import ratio_word
from ..prediction.residuals import scaled
from ..tables.page import Page, Paragraph, Table, abbreviate, format_fixed, format_numbers, format_p, format_small
from . import spss, stata

if TYPE_CHECKING:
    import pandas as pd

    from ..fitting.parameters import Component
    from ..fitting.record import Fit
    from ..inference.robust import Robust

STYLES = ("glmer", "spss", "stata")
NEGLIGIBLE_GAIN = 1e-9  # below it the digits are rounding
HOMOGENEOUS = ("homogeneous diagonal", "homogeneous compound symmetry", "ar1")  # one variance for all
ONE_CORRELATION = ("compound symmetry", "homogeneous compound symmetry", "ar1", "heterogeneous ar1")
DF_NAMES = {
    "satterthwaite": "Satterthwaite's degrees of freedom",
    "kenward-roger": "Kenward and Roger's degrees of freedom and standard errors",
    "containment": "containment degrees of freedom",
    "residual": "residual degrees of freedom",
}
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


def summarize(fit: Fit, df_method: str | None = None, robust: Robust | None = None, style: str = "glmer") -> Page:
    """The page that `print(results.summary())` shows; `df_method` and `robust` as in `wald.coefficient_table`.

    `style` is the layout of the tables of coefficients, one of `STYLES`; another is a ValueError.
    """
    if style not in STYLES:
        raise ValueError(f"style={style!r}: the layouts are {', '.join(map(repr, STYLES))}")
    return Page(tuple(_blocks(fit, df_method, robust, style)))


def _blocks(fit: Fit, df_method: str | None, robust: Robust | None, style: str) -> Iterator[Paragraph | Table]:
    # The numbers first, each from the module that has them; all below is layout.
    residual = scaled(fit) if fit.family.has_variance else None
    method = wald.default_method(fit) if df_method is None else df_method
    coefficients = wald.coefficient_table(fit, df_method=method if robust is None else df_method, robust=robust)
    judged = fit if robust is None else robust.fit  # where standard errors come from
    note = ""
    if robust is not None:
        method = "satterthwaite" if np.isfinite(coefficients["df"]).all() else "normal"
        note = f"robust standard errors: {robust.definition}"

    yield Paragraph(tuple(_heading(fit)), hanging=4)
    if fit.has_likelihood:
        yield _fit_statistics(fit, information_criteria(fit))
    if residual is not None:
        yield _scaled_residuals(residual)
    if fit.design.random_terms or fit.sigma is not None:
        yield _random_effects(fit)
    else:
        yield Paragraph((_counts(fit),))
    if fit.phi and fit.sigma is None:
        yield _family_parameters(fit, family_parameters(judged))
    if fit.fixed_names or fit.redundant or fit.design.thresholds is None:
        yield _fixed_effects(fit, coefficients, method, unasked=df_method is None, note=note, style=style)
    for component in fit.components:
        yield _component(fit, component, component_table(judged, component), style)
    p = len(fit.fixed_names)
    if 1 < p <= MOST_CORRELATIONS:
        yield _correlations(fit.fixed_names, wald.correlation(judged.beta_covariance))
    elif p > MOST_CORRELATIONS:
        yield Paragraph((f"Correlations of the {p} fixed effects are not shown; cov_params() has their covariance.",))
    yield Paragraph(tuple(_certificate(fit)))
    others = [warning for warning in fit.warnings if warning != fit.message]
    if others:
        yield Paragraph(tuple(f"- {warning}" for warning in others), title="Warnings:")


# ---- what was fitted -----------------------------------------------------------------------------------------------


def title(fit: Fit) -> str:
    """The model, the method and the approximation, in one line."""
    if not fit.has_likelihood:
        kind, _, restricted = fit.method.partition("-")
        of = {"pql": "penalized", "mql": "marginal"}[kind]
        return f"Generalized linear mixed model fit by {of} quasi-likelihood ({'REML' if restricted else 'ML'})"
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
    return f"{fit.design.formula}, {fit.family.name}({fit.family.link}), {likelihood}{status}"


def _heading(fit: Fit) -> Iterator[str]:
    yield title(fit)
    python = ", a density in Python" if fit.family.in_python else ""
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
        n = int(np.sum(other != fit.design.response.values))
        yield f"Known in part: {n} of {fit.n_rows} responses"
    levels = fit.design.response.levels
    if levels is not None and thresholds is None:
        yield f"Success: {levels[1]} (failure: {levels[0]})"
    given = ["prior weights"] if fit.design.weights is not None else []
    if fit.design.coding.offset.given:
        given.append("an offset")  # those in the formula can be seen there
    if given:
        yield f"With {' and '.join(given)}"


def _fit_statistics(fit: Fit, criteria: Mapping[str, float]) -> Table:
    aic, bic, deviance = format_fixed([criteria["aic"], criteria["bic"], -2 * fit.loglik], 2)
    # all the digits that an optimum this tight has, so that fits can be compared across programs
    (loglik,) = format_fixed([fit.loglik], 8)
    cells = (aic, bic, loglik, deviance, str(fit.df_resid))
    restricted = fit.method == "reml"
    names = ("REML logLik", "REML criterion") if restricted else ("logLik", "-2*log(L)")
    return Table(("AIC", "BIC", *names, "df.resid"), (cells,))


def _scaled_residuals(residual: np.ndarray) -> Table:
    residual = residual[np.isfinite(residual)]
    quantiles = np.quantile(residual, [0, 0.25, 0.5, 0.75, 1]) if len(residual) else np.full(5, np.nan)
    cells = tuple(format_fixed(quantiles, 5))
    return Table(("Min", "1Q", "Median", "3Q", "Max"), (cells,), title="Scaled residuals:")


def _counts(fit: Fit) -> str:
    design = fit.design
    text = f"Number of obs: {fit.n_rows}"
    if fit.n_groups:
        text += ", groups: " + "; ".join(f"{name}, {count}" for name, count in fit.n_groups.items())
    for count, what in ((design.n_missing, "missing values"), (design.n_zero_weight, "weight zero")):
        if count:
            text += f"; {count} row{'s' if count > 1 else ''} with {what} dropped"
    return text


# ---- estimates -----------------------------------------------------------------------------------------------------


def _random_effects(fit: Fit) -> Table:
    labels: list[tuple[str, str]] = []
    variances: list[float] = []
    correlations: list[list[str]] = []
    notes = []
    for term, covariance in zip(fit.design.random_terms, fit.random_cov, strict=True):
        group = fit.design.grouping_factors[term.grouping_factor].name
        names, cells = _term_rows(term.names, term.structure, covariance)
        labels += [(group if k == 0 else "", name) for k, name in enumerate(names)]
        variances += list(np.diag(covariance)[: len(names)])
        correlations += cells
        if len(term.names) > 1 and term.structure != "unstructured":
            notes.append(_structure(group, term.names, term.structure))
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
    return Table(columns, rows, title=title, n_labels=2, notes=(*notes, _counts(fit)))


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
        title=f"Parameters of the {fit.family.name} family:",
        n_labels=1,
    )


def _term_rows(
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


def _structure(group: str, names: tuple[str, ...], structure: str) -> str:
    """What the structure says of the random effects, in one line."""
    subject = f"The random effects of {group} ({_in_short(names)})"
    if structure == "diagonal":
        return f"{subject} are independent of each other."
    if structure == "homogeneous diagonal":
        return f"{subject} are independent of each other, with one variance."
    if structure in ("ar1", "heterogeneous ar1"):
        return f"{subject} have covariance structure {structure}; Corr is that of neighbours in time."
    return f"{subject} have covariance structure {structure}."


def _in_short(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]}, {names[1]}, ..., {names[-1]}"


def _coefficients(
    table: pd.DataFrame, style: str, *, exponentials: bool, df_shown: bool
) -> tuple[tuple[str, ...], list[list[str]]]:
    """Headings and columns of cells of a table of coefficients, without the names."""
    if style == "spss":
        return spss.coefficients(table, exponentials)
    if style == "stata":
        return stata.coefficients(table)
    columns = [
        format_numbers(table["estimate"], 5, decimals_of=table["std_error"]),
        format_numbers(table["std_error"], 5),
        *([format_fixed(table["df"], 2)] if df_shown else []),
        format_fixed(table["statistic"], 3),
        format_p(table["p_value"]),
    ]
    headings = ("df", "t value", "Pr(>|t|)") if df_shown else ("z value", "Pr(>|z|)")
    return ("Estimate", "Std. Error", *headings), columns


def _fixed_effects(fit: Fit, table: pd.DataFrame, method: str, *, unasked: bool, note: str, style: str) -> Table:
    headings, cells = _coefficients(
        table, style, exponentials=bool(ratio_word(fit, False)), df_shown=method in DF_NAMES
    )
    notes = [note] if note else []
    if method in DF_NAMES:
        if not note:
            notes.append(f"t tests with {DF_NAMES[method]}")
        if unasked and method == "containment":
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
    rows = tuple(zip(table.index, *cells, strict=True))
    return Table(("", *headings), rows, title="Fixed effects:", n_labels=1, notes=tuple(notes))


def _component(fit: Fit, component: Component, table: pd.DataFrame, style: str) -> Table:
    parameter = next(own for own in fit.family.parameters if own.name == component.parameter)
    ratios = parameter.scale in ("logit", "log")
    headings, cells = _coefficients(table, style, exponentials=ratios, df_shown=False)
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


def _correlations(full_names: tuple[str, ...], correlation: np.ndarray) -> Table:
    if max(map(len, full_names)) > LONGEST_ABBREVIATED:
        return _numbered_correlations(full_names, correlation)
    names = abbreviate(full_names, 11)
    p = len(names)
    rows = tuple((names[k], *format_fixed(correlation[k, :k], 3), *[""] * (p - 1 - k)) for k in range(1, p))
    short = abbreviate(full_names[:-1], 6)
    columns = ("", *(short if len(set(short)) == len(short) else names[:-1]))
    return Table(columns, rows, title="Correlation of Fixed Effects:", n_labels=1)


def _numbered_correlations(names: tuple[str, ...], correlation: np.ndarray) -> Table:
    """Names in full, with numbers that stand for them in the headings."""
    p = len(names)
    rows = tuple(
        (str(k + 1), names[k], *format_fixed(correlation[k, :k], 3), "1", *[""] * (p - 1 - k)) for k in range(p)
    )
    columns = ("", "", *(str(k + 1) for k in range(p)))
    return Table(columns, rows, title="Correlation of Fixed Effects:", n_labels=2)


# ---- how it went ---------------------------------------------------------------------------------------------------


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
