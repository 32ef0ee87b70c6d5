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
    from .fit import Certificate

LARGEST_SHIFT = 0.1  # standard errors: beyond it the Laplace approximation (or the rule) is worth a warning
MOVING_SHARE = 0.01  # of the largest movement: columns that move less are not the ones that separate


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
    design: Design, record: Any, certificate: Certificate, names: tuple[str, ...], dropped: tuple[str, ...]
) -> Verdict:
    """Reads the record of a fit."""
    remarks: list[tuple[type[FitWarning], str]] = []
    if dropped:
        columns = ", ".join(repr(name) for name in dropped)
        text = f"dropped {len(dropped)} redundant fixed-effect column{'s' if len(dropped) > 1 else ''}: {columns}"
        remarks.append((RedundantColumnWarning, f"{text} (linear combinations of earlier columns)"))
    ending = record.ending
    if ending == "converged":
        status, message = "converged", ""
    elif ending == "separation":
        status, message = "separation", _separation(design, record, names)
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


def _separation(design: Design, record: Any, names: tuple[str, ...]) -> str:
    values = design.response.values
    name = design.response.name
    size = 1.0 if design.response.size is None else design.response.size
    for state, holds in (("0", bool(np.all(values == 0))), ("a success", bool(np.all(values == size)))):
        if holds:
            return f"the response '{name}' is {state} in all {len(values)} rows: the likelihood has no maximum (the intercept runs off)"
    kept = [column for column in design.fixed if column.name in set(names)]
    step = record.step[: len(kept)]
    # How far each column carries the linear predictor, beside the one that carries it furthest.
    reach = np.array(
        [abs(b) * (1.0 if c.values is None else float(np.std(c.values))) for b, c in zip(step, kept, strict=True)]
    )
    varying = np.array([c.values is not None for c in kept])
    largest = reach[varying].max() if varying.any() else reach.max()
    moving = [c.name for c, r, v in zip(kept, reach, varying, strict=True) if v and r >= MOVING_SHARE * largest]
    if not moving:
        moving = ["(Intercept)"]
    columns = ", ".join(repr(m) for m in moving)
    return (
        f"separation: the fixed-effect column{'s' if len(moving) > 1 else ''} {columns} predict{'' if len(moving) > 1 else 's'} "
        "some responses perfectly, so the likelihood has no maximum and the fit stopped "
        f"(a further step would gain {record.predicted_gain:.1g} in log-likelihood and still move the linear predictor by "
        f"{largest:.2g}); drop or merge levels, or collect more data there"
    )


def _reason(design: Design, record: Any, names: tuple[str, ...]) -> str:
    ending = record.ending
    if ending == "no_start":
        if record.failed_cluster >= 0 and design.grouping_factors:
            factor = design.grouping_factors[0]
            level = factor.levels[record.failed_cluster]
            return f"no finite log-likelihood at the starting values: group {level!r} of '{factor.name}' has no conditional mode there"
        return "no starting values with a finite log-likelihood were found: the link cannot take these means; try another link, or start="
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
    parts = [f"'{b.name}' in '{b.term}' (score {b.score:.4g})" for b in certificate.boundary]
    return (
        f"singular fit: {len(parts)} variance component{'s are' if len(parts) > 1 else ' is'} exactly zero given the others: "
        f"{', '.join(parts)}; a negative score means that the log-likelihood falls as the variance rises from zero"
    )
