"""What a fit has to say about itself: converged or not, and warnings, each with the number measured and its limit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import (
    ConvergenceWarning,
    FitWarning,
    QuadratureWarning,
    RedundantColumnWarning,
    SeparationWarning,
    SingularFitWarning,
)

if TYPE_CHECKING:
    from .design import Design
    from .family import Family
    from .fit import Certificate

LARGEST_SHIFT = 0.1  # standard errors: beyond it the Laplace approximation (or the rule) is worth a warning


@dataclass(frozen=True)
class Verdict:
    """`converged`, `status` (a word or two), `message` (why not; else empty), and `warnings` with their categories."""

    converged: bool
    status: str
    message: str
    remarks: tuple[tuple[type[FitWarning], str], ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentences alone."""
        return tuple(text for _, text in self.remarks)

    def announce(self) -> None:
        """Issues the warnings, as seen from the user's own line."""
        import os

        package = os.path.dirname(__file__)
        for category, text in self.remarks:
            warnings.warn(text, category, stacklevel=_frames_within(package))


def _frames_within(package: str) -> int:
    import sys

    level, frame = 1, sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(package):
        level += 1
        frame = frame.f_back  # type: ignore[assignment]
    return level


def judge(
    design: Design, family: Family, record: Any, certificate: Certificate, names: tuple[str, ...], dropped: tuple[str, ...]
) -> Verdict:
    """Reads the record of a fit; `names` are those of all parameters, `dropped` those of redundant columns."""
    remarks: list[tuple[type[FitWarning], str]] = []
    if dropped:
        columns = ", ".join(repr(name) for name in dropped)
        text = f"dropped {len(dropped)} redundant fixed-effect column{'s' if len(dropped) > 1 else ''}: {columns}"
        remarks.append((RedundantColumnWarning, f"{text} (linear combinations of earlier columns)"))
    ending = record.ending
    if ending == "converged":
        status, message = "converged", ""
    elif ending == "separation":
        status, message = "separation", _separation(design, family, record, names)
        remarks.append((SeparationWarning, message))
    else:
        status, message = "not converged", _reason(design, record, names)
        remarks.append((ConvergenceWarning, message))
    if certificate.boundary:
        remarks.append((SingularFitWarning, _singular(certificate)))
    check = certificate.quadrature
    if ending == "converged" and check is not None and check.largest_shift > LARGEST_SHIFT:
        k = int(np.nanargmax(np.abs(check.shift_se)))
        remarks.append(
            (
                QuadratureWarning,
                f"with {check.n_points} quadrature points the estimate of '{names[k]}' would move by about "
                f"{check.largest_shift:.2g} standard errors (limit {LARGEST_SHIFT}): use n_quadrature='auto' or more points",
            )
        )
    return Verdict(ending == "converged", status, message, tuple(remarks))


def _separation(design: Design, family: Family, record: Any, names: tuple[str, ...]) -> str:
    values = design.response.values
    name = design.response.name
    size = 1.0 if design.response.size is None else design.response.size
    trials = family.name == "binomial"
    if np.all(values == 0):
        return f"the response '{name}' is zero in all {len(values)} rows: the likelihood has no maximum (the intercept runs off)"
    if trials and np.all(values == size):
        return f"the response '{name}' has no failure in any of {len(values)} rows: the likelihood has no maximum (the intercept runs off)"
    from .separation import separating_columns

    columns = separating_columns(design, trials, names, record.step)
    several = len(columns) > 1
    furthest = float(np.abs(record.step[: sum(column.name in names for column in design.fixed)]).max())
    return (
        f"separation: the fixed-effect column{'s' if several else ''} {', '.join(map(repr, columns))} "
        f"predict{'' if several else 's'} some responses perfectly, so the likelihood has no maximum and the fit stopped "
        f"(a further step would gain {record.predicted_gain:.1g} in log-likelihood and still change a coefficient by "
        f"{furthest:.2g}); drop or merge levels, or collect more data there"
    )


def _reason(design: Design, record: Any, names: tuple[str, ...]) -> str:
    ending = record.ending
    if ending == "no_start":
        if record.failed_cluster >= 0 and design.grouping_factors:
            factor = design.grouping_factors[0]
            level = factor.levels[record.failed_cluster]
            return f"no finite log-likelihood at the starting values: group {level!r} of '{factor.name}' has no conditional mode there"
        return "no starting values with a finite log-likelihood were found: the link cannot take these means; try another link, or start="
    if ending == "exact_fit":
        name, values = design.response.name, design.response.values
        what = f"'{name}' is {values[0]:g} in all {len(values)} rows" if np.ptp(values) == 0 else f"the model fits '{name}' exactly"
        return f"{what}: the residual standard deviation goes to zero and the likelihood has no maximum"
    gain = f"a further step would gain {record.predicted_gain:.3g} in log-likelihood (limit 1e-06)"
    least = float(record.eigenvalues.min()) if len(record.eigenvalues) else 0.0
    curvature = f"the smallest eigenvalue of the scaled information is {least:.3g}"
    if ending == "divergence":
        step = np.abs(record.step)
        k = int(np.argmax(step / (np.abs(record.psi) + 1e-8)))
        return f"the log-likelihood keeps rising as '{names[k]}' grows without bound ({record.psi[k]:.4g} now): {gain}; {curvature}"
    if ending == "iteration_limit":
        return f"stopped after {len(record.trace) - 1} iterations: {gain}; {curvature}; raise max_iter, or rescale the covariates"
    return f"no step raises the log-likelihood further although {gain}; {curvature}: the maximum may lie on the edge of the link's domain"


def _singular(certificate: Certificate) -> str:
    parts = []
    for b in certificate.boundary:
        what = "the variance of" if b.kind == "variance" else "the conditional variance (a correlation is exactly 1 or -1) of"
        parts.append(f"{what} '{b.name}' in '{b.term}' is exactly zero, score {b.score:.4g}")
    return (
        f"singular fit: {'; '.join(parts)} (d log-likelihood / d variance: negative means that the log-likelihood falls as "
        "the variance rises from zero)"
    )
