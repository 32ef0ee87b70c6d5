"""Coefficients in words: a sentence for each, with what it compares, how large it is, and what is held fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..columns.levels import label_of
from ..inference import wald
from ..inference.components import component_table
from ..tables.page import Page, Paragraph

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from ..columns.coding import TermPart
    from ..design.choices import Choices
    from ..design.fixed import FixedColumn, FixedTerm
    from ..fitting.record import Fit


# With the logit link: what linear predictors of ordered categories move the odds of, and what thresholds have odds of.
ODDS = {
    "cumulative": ("a higher category of {}", "{0} above {1}"),
    "adjacent": ("each category of {} against the one below it", "{0} being {2} rather than {1}"),
    "continuation": ("going beyond a category of {} that was reached", "{0} above {1} where it is {1} or above"),
    "reverse_continuation": ("a category of {} against all below it", "{0} being {2} rather than {1} or below"),
}


class Scale(NamedTuple):
    """What a coefficient changes, in words, and how: by a factor (its exponential), or by so much; and whether random
    effects are in it.
    """

    subject: str
    times: bool
    grouped: bool


def interpret(fit: Fit, level: float = 0.95, df_method: str | None = None) -> Page:
    """A sentence for every coefficient.

    Parameters
    ----------
    fit : Fit
    level : float
        Of the intervals.
    df_method : str, optional
        Degrees of freedom of the intervals of linear models.

    Returns
    -------
    Page
        A paragraph for the mean and one for each other part with a formula; of categories without an order one for
        each but the base. Before them, where the fit has not converged, that it has not.
    """
    fit.need_one_family("interpret", "read the coefficients of each kind on the scale of its link")
    table = wald.coefficient_table(fit, level, df_method)
    choices = fit.design.choices
    if choices is not None and choices.by_category:
        return Page((*_not_converged(fit), *_of_categories(fit, choices, table, level)))
    lines = _sentences(fit.design.fixed, fit.design.fixed_terms, table, _of_mean(fit), level)
    blocks = [*_not_converged(fit), Paragraph(tuple(lines))]
    for component in fit.components:
        part = next(own for own in fit.design.parts if own.name == component.name)
        own_table = component_table(fit, component, level)
        if component.name == "thresholds":
            lines = _of_thresholds(fit, own_table, level)
        else:
            lines = _sentences(part.fixed, part.fixed_terms, own_table, _of_part(fit, component.parameter), level)
        blocks.append(Paragraph(tuple(lines), title=f"{component.name}:"))
    return Page(tuple(blocks))


def _not_converged(fit: Fit) -> Iterator[Paragraph]:
    """What must be read first: sentences are about estimates, and these are none."""
    if not fit.converged:
        why = "not converged" if fit.status == "not converged" else f"not converged ({fit.status})"
        yield Paragraph((f"The fit has {why}: what follows describes where the search ended. {fit.message}",))


def _of_categories(fit: Fit, choices: Choices, table: pd.DataFrame, level: float) -> Iterator[Paragraph]:
    """Of each category against the base."""
    columns, terms = choices.of_one(fit.design.fixed), choices.terms_of_one(fit.design.fixed_terms)
    base, response = choices.categories[choices.base], fit.design.response.name
    owner = {column.name: choices.owner(k, len(fit.design.fixed)) for k, column in enumerate(fit.design.fixed)}
    for k in choices.others:
        own = table.loc[[name for name in table.index if owner[str(name)] == k]]
        own = own.set_axis([choices.own_name(str(name), k) for name in own.index])
        scale = Scale(f"the odds of {response} {choices.categories[k]} against {base}", True, _grouped(fit, ""))
        yield Paragraph(tuple(_sentences(columns, terms, own, scale, level)), title=f"{choices.categories[k]}:")


def _of_mean(fit: Fit) -> Scale:
    response = fit.design.formula.response[0].text
    if fit.design.choices is not None:
        return Scale("the odds of an alternative against any other of its set", True, _grouped(fit, ""))
    mean = f"the mean of {response}"
    if fit.family.zero:
        mean += " without the zero part"
    elif fit.family.name.startswith("truncated"):
        mean += " before truncation"
    link, trials = fit.family.link, fit.family.support == "trials"
    if fit.design.thresholds is not None:
        if link == "logit" and not fit.family.scaled:
            return Scale(f"the odds of {ODDS[fit.family.name][0].format(response)}", True, _grouped(fit, ""))
        return Scale(f"the latent {response}, on the scale of the {link} link,", False, _grouped(fit, ""))
    subject, times = f"the linear predictor of {response}, on the scale of the {link} link,", False
    if link == "logit":
        subject, times = f"the odds of {response if trials else mean}", True
    elif link == "cloglog" and trials:
        subject, times = f"the hazard of {response}", True
    elif link == "log":
        subject, times = f"the probability of {response}" if trials else mean, True
    elif link == "identity":
        subject = mean
    return Scale(subject, times, _grouped(fit, ""))


def _of_part(fit: Fit, name: str) -> Scale:
    if fit.design.thresholds is not None:
        return Scale(f"the spread of the latent {fit.design.formula.response[0].text}", True, False)
    parameter = next(own for own in fit.family.parameters if own.name == name)
    grouped = _grouped(fit, name)
    if parameter.scale == "logit":
        return Scale(
            "the odds of a zero by the zero part" if parameter.part == "zero" else f"the odds of {name}", True, grouped
        )
    if parameter.scale == "log":
        return Scale(name, True, grouped)
    return Scale(f"what the fit moves {name} by", False, grouped)


def _of_thresholds(fit: Fit, table: pd.DataFrame, level: float) -> list[str]:
    """A sentence for each threshold: of logit models the odds of a category above it, else where it lies."""
    made, part, response = fit.design.thresholds, fit.design.parts[0], fit.design.formula.response[0].text
    assert made is not None
    component, terms = fit.component(part.name), (*fit.design.fixed_terms, *part.fixed_terms)
    term_of = {k: term for term in part.fixed_terms for k in term.columns}
    odds = fit.family.link == "logit" and made.structure == "flexible" and not fit.family.scaled
    sizes = iter(table[["estimate", "conf_low", "conf_high"]].to_numpy(dtype=np.float64).tolist())
    names, lines = iter(table.index), []
    pairs = list(zip(made.categories, made.categories[1:], strict=False))
    for k, column in enumerate(part.fixed):
        if column.name in component.redundant:
            continue
        for own, (lower, upper) in zip(made.coefficients, pairs, strict=False):
            size, name = next(sizes), next(names)
            if odds:
                about = ODDS[fit.family.name][1].format(response, lower, upper)
                scale = Scale(f"the odds of {about}", True, _grouped(fit, ""))
                size = [-size[0], -size[2], -size[1]]
            else:
                what = f"{own} of the thresholds" if made.structure != "flexible" else f"the threshold {own}"
                scale = Scale(f"{what} of the latent {response}", False, False)
            lines.append(f"{name}: {_sentence(term_of[k], k, terms, scale, size, level)}")
    return lines


def _grouped(fit: Fit, parameter: str) -> bool:
    return any(term.parameter == parameter for term in fit.design.random_terms)


def _sentences(
    columns: Sequence[FixedColumn],
    terms: Sequence[FixedTerm],
    table: pd.DataFrame,
    scale: Scale,
    level: float,
) -> list[str]:
    term_of = {k: term for term in terms for k in term.columns}
    lines = []
    for k, column in enumerate(columns):
        if column.name not in table.index:
            continue
        size = table.loc[[column.name], ["estimate", "conf_low", "conf_high"]].to_numpy(dtype=np.float64)[0].tolist()
        lines.append(f"{column.name}: {_sentence(term_of[k], k, terms, scale, size, level)}")
    return lines


def _sentence(
    term: FixedTerm, column: int, terms: Sequence[FixedTerm], scale: Scale, size: list[float], level: float
) -> str:
    verb = "are" if scale.subject.startswith("the odds") else "is"
    interval = _interval(size, scale.times, level)
    if not term.parts:
        value = np.exp(size[0]) if scale.times else size[0]
        interval = interval.replace(" of the difference", "")
        return f"{scale.subject} {verb} {value:.4g} {interval} where {_where_all(terms, scale.grouped)}."
    changes = _changes(term, column)
    held = _held(terms, scale.grouped)
    if len(changes) == 1:
        where = _where(term, terms)
        return f"with {changes[0]}, {scale.subject} {verb} {_amount(size[0], scale.times)} {interval}{where}{held}."
    first, rest = changes[0], " and ".join(changes[1:])
    subject = scale.subject.removesuffix(",")
    what = (
        f"factor by which {first} multiplies {subject}"
        if scale.times
        else f"difference that {first} makes in {subject}"
    )
    if len(changes) > 2:
        what = f"{what}, as it depends on {' and '.join(changes[1:-1])},"
        rest = changes[-1]
    value = f"{np.exp(size[0]):.4g} times as large" if scale.times else _amount(size[0], False)
    return f"the {what} is {value} {interval} with {rest}{held}."


def _amount(size: float, times: bool) -> str:
    if not times:
        return f"{abs(size):.4g} {'higher' if size >= 0 else 'lower'}"
    ratio = float(np.exp(size))
    percent = f", {abs(ratio - 1.0) * 100:.3g} % {'higher' if ratio >= 1 else 'lower'}" if ratio < 2.0 else ""
    return f"{ratio:.4g} times as large{percent}"


def _interval(size: list[float], times: bool, level: float) -> str:
    low, high = np.exp(size[1:]) if times else size[1:]
    if not np.isfinite([low, high]).all():
        return "(without an interval)"
    return f"({100 * level:g} % interval{'' if times else ' of the difference'} {low:.4g} to {high:.4g})"


def _changes(term: FixedTerm, column: int) -> list[str]:
    """What differs between the means that a column compares, one text for each of its variables."""
    place = term.columns.index(column)
    texts = []
    for part in term.parts:
        place, own = divmod(place, part.n_columns)
        texts.append(_change(part, own))
    return texts


def _change(part: TermPart, column: int) -> str:
    if part.levels is None:
        if part.n_columns > 1:
            return f"column {column + 1} of {part.text} one higher"
        values = part.values[0]
        if np.isin(values[:1000], (0, 1)).all() and np.isin(values, (0, 1)).all():
            return f"{part.text} 1 rather than 0"
        return f"{part.text} one higher"
    reference = _reference(part)
    if reference is None:
        return f"column {column + 1} of the contrasts of {part.text} one higher"
    assert part.coding is not None
    level = int(np.argmax(part.coding[:, column]))
    own = label_of(part.levels[level])
    return (
        f"{part.text} {own}" if reference < 0 else f"{part.text} {own} rather than {label_of(part.levels[reference])}"
    )


def _reference(part: TermPart) -> int | None:
    """The level that others are compared with: -1 where each has a column of its own, None for other contrasts."""
    coding = part.coding
    assert coding is not None
    if not np.isin(coding, (0.0, 1.0)).all() or not (coding.sum(axis=0) == 1).all() or (coding.sum(axis=1) > 1).any():
        return None
    left = np.flatnonzero(coding.sum(axis=1) == 0)
    return -1 if not len(left) else int(left[0]) if len(left) == 1 else None


def _where(term: FixedTerm, terms: Sequence[FixedTerm]) -> str:
    """Of a variable that is in products, too: where the others are when its own coefficient counts alone."""
    others = {part.text: part for other in terms if term.is_margin_of(other) for part in other.parts}
    own = {part.text for part in term.parts}
    places = [_zero(part) for text, part in others.items() if text not in own]
    return f" where {' and '.join(places)}" if places else ""


def _where_all(terms: Sequence[FixedTerm], grouped: bool) -> str:
    parts = {part.text: part for term in terms for part in term.parts}
    places = [_zero(part) for part in parts.values()]
    if grouped:
        places.append("random effects are zero")
    return " and ".join([", ".join(places[:-1]), places[-1]] if len(places) > 1 else places) or "nothing else is"


def _zero(part: TermPart) -> str:
    """Where all columns of a variable are zero."""
    if part.levels is None:
        return f"{part.text} is 0"
    reference = _reference(part)
    if reference is None:
        return f"the contrasts of {part.text} are 0"
    return f"{part.text} is {label_of(part.levels[max(reference, 0)])}"


def _held(terms: Sequence[FixedTerm], grouped: bool) -> str:
    several = len({part.text for term in terms for part in term.parts}) > 1
    words = [*(["the other columns"] if several else []), *(["the group"] if grouped else [])]
    return f", holding {' and '.join(words)} fixed" if words else ""
