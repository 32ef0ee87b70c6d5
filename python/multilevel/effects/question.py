"""Which means are asked for: of what, with what become of the random effects, and what rows must have for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import check_choice
from ..errors import DataError
from ..prediction.categories import TABLES, outcomes
from .rows import Needs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit

    Array = NDArray[np.float64]

RANDOM = ("zero", "conditional", "marginal")
OUTCOMES = ("response", "mean", "link")
LINEAR = ("link", "latent", "cuts")  # in the parameters
OF_CATEGORIES = ("response", *LINEAR, *TABLES)
OF_CHOICES = ("response", "probabilities", "link")


@dataclass(frozen=True, eq=False)
class Question:
    """Which mean: its scale, and what becomes of the random effects.

    Of ordered categories `sums` is what the probabilities, (C,), or the thresholds, (C - 1,), are multiplied by and
    added, and `label` says what of them that is; without it the mean is that of one predictor. Of categories without an
    order probabilities and linear predictors are (K,).
    """

    outcome: str
    random: str
    label: str = ""
    sums: Array | None = None

    def check(self, fit: Fit) -> None:
        """Refuses words that are none of the choices."""
        check_rows(fit)
        check_choice("outcome", self.outcome, outcomes_of(fit))
        check_choice("random", self.random, RANDOM)

    def each(self, fit: Fit) -> list[Question]:
        """The question of each outcome: of ordered categories there may be several."""
        made, choices = fit.design.thresholds, fit.design.choices
        if choices is not None:
            asked = choices.others if self.outcome == "link" else range(len(choices.categories))
            every = np.eye(len(choices.categories))
            return [replace(self, label=choices.categories[k], sums=every[k]) for k in asked]
        if made is None or self.outcome in ("link", "latent"):
            return [self]
        if self.outcome == "cuts":
            cuts = zip(made.names, np.eye(len(made.names)), strict=True)
            return [replace(self, label=name, sums=own) for name, own in cuts]
        sign = {"cumulative": "<= ", "exceedance": "> "}.get(self.outcome, "")
        names, sums = outcomes(fit, self.outcome)
        return [replace(self, label=f"{sign}{name}", sums=own) for name, own in zip(names, sums, strict=True)]


def outcomes_of(fit: Fit) -> tuple[str, ...]:
    """The words for what means are of."""
    if fit.design.choices is not None:
        return OF_CHOICES
    return OF_CATEGORIES if fit.design.thresholds is not None else OUTCOMES


def check_rows(fit: Fit) -> None:
    """Refuses rows that are alternatives."""
    choices = fit.design.choices
    if choices is not None and not choices.by_category:
        raise DataError(
            "what a column does to the probabilities of alternatives depends on the alternative that it changes for, "
            "and on the others of the set: predict(newdata, kind='probabilities', se=True) has those of the sets as "
            "they are, and of the same sets with the column changed where it is to be"
        )


def needs_of(fit: Fit, question: Question) -> Needs:
    """What rows must have for a question."""
    check_rows(fit)
    has_random = bool(fit.design.random_terms)
    conditional = question.random == "conditional" and has_random
    marginal = question.random == "marginal" and has_random and not is_plain(fit, question)
    smooth = question.outcome == "link" if fit.design.thresholds is not None else is_smooth(fit, question)
    parts = () if smooth else tuple(own.name for own in fit.components)
    return Needs(random=conditional or marginal, levels=conditional, parts=parts)


def is_plain(fit: Fit, question: Question) -> bool:
    """Whether random effects of mean zero leave the mean as it is."""
    return question.outcome in LINEAR or (fit.family.link == "identity" and is_smooth(fit, question))


def is_smooth(fit: Fit, question: Question) -> bool:
    """Whether the mean is that of the link, and no parameter of the family has a part in it."""
    return fit.design.choices is not None or question.outcome != "response" or fit.family.mean_is_response
