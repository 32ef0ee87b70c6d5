"""Profile likelihood: how the log-likelihood falls on both sides of an estimate, all other parameters following.

For a quantity g with the maximum of the log-likelihood l at g = g_hat, the profile is
``zeta(c) = sign(c - g_hat) sqrt(2 (l_max - max l given g = c))``. A confidence interval is where ``|zeta|`` is below a
quantile of the normal distribution: no quadratic shape is assumed, and the same interval comes on any scale of g.
Venzon and Moolgavkar (1988); Bates and Watts (1988) for zeta.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multilevel import _core

from ..errors import ConvergenceWarning, DataError, warn_caller
from ..fitting.core_model import build_core, core_response
from ..fitting.parameters import is_exact
from ..fitting.quadrature import n_nodes
from ..fitting.run import run
from .quantities import Function, Quantity, derived, icc, quantities
from .wald import quantile

if TYPE_CHECKING:
    from ..fitting.record import Fit

STEPS = 4  # points to each side, besides those that find the limits
HIGHER = 1e-6  # of the log-likelihood: a maximum that is higher by more is another one
RESOLVED = 0.02  # of the squared quantile: how far more points may move what a limit is found by
COARSE = "quadrature points do not resolve"
KINDS = ("fixed", "random", "family", "component")

Which = str | Callable[..., Any] | Iterable[str] | Mapping[str, Any] | None


@dataclass(frozen=True, eq=False)
class LikelihoodProfile:
    """Profiles of some quantities of a fit.

    Attributes
    ----------
    level : float
        Coverage of the intervals at whose limits the profiles end.
    estimates : Series
        The estimates by maximum likelihood, index = names of the quantities.
    table : DataFrame
        One row per point: `parameter`, its `value`, `zeta` (the signed square root of what twice the log-likelihood
        lost), `slope` (d zeta / d value; NaN at the maximum and at ends), then all parameters of the model at their
        estimates given that value, each in a column of its name.
    messages : tuple of str
        What there is to say: limits that do not exist, or rest on too few quadrature points, parameters without a
        profile, a log-likelihood above the fit's.
    """

    level: float
    estimates: pd.Series
    table: pd.DataFrame
    messages: tuple[str, ...]
    _fit: Fit
    _quantities: tuple[Quantity, ...]
    _limits: pd.DataFrame

    def conf_int(self, level: float | None = None) -> pd.DataFrame:
        """Confidence intervals, columns "lower" and "upper", index = names of the quantities.

        Parameters
        ----------
        level : float, optional
            Coverage; another than that of the profile is found anew, to the same digits.

        Returns
        -------
        DataFrame
            A limit is exactly the end of what the quantity may be (zero, +-1) where zeta there is still inside,
            infinite where the likelihood does not fall enough however far the quantity goes, NaN where no limit could
            be found.
        """
        if level is None or level == self.level:
            return self._limits.copy()
        limits, _, _, _ = _traced(self._fit, self._quantities, level, 1)
        return limits

    def __getitem__(self, name: str) -> pd.DataFrame:
        """The points of one quantity."""
        if name not in self.estimates.index:
            raise KeyError(f"{name!r} was not profiled; there are {', '.join(map(repr, self.estimates.index))}")
        own = self.table[self.table["parameter"] == name]
        return own.drop(columns="parameter").reset_index(drop=True)

    def __repr__(self) -> str:
        shown = self._limits.copy()
        shown.insert(0, "estimate", self.estimates)
        return f"Profile likelihood, {self.level:.6g} intervals\n{shown}" + "".join(f"\n{m}" for m in self.messages)

    def _repr_html_(self) -> str:
        shown = self._limits.copy()
        shown.insert(0, "estimate", self.estimates)
        notes = "".join(f"<p>{message}</p>" for message in self.messages)
        return f"<p>Profile likelihood, {self.level:.6g} intervals</p>{shown.to_html()}{notes}"


def profile(fit: Fit, which: Which = None, level: float = 0.99) -> LikelihoodProfile:
    """Profiles the likelihood of parameters, or of what is made of them.

    Parameters
    ----------
    fit : Fit
        Converged. One by REML is fitted again by ML first, as R's lme4 does: restricted likelihoods of different fixed
        effects do not compare.
    which : str, function, list or mapping, optional
        A name, or a list of names: of fixed effects, "Subject: sd Days", "Subject: correlation Days, (Intercept)",
        "sigma", "zero: x"; one of "fixed", "random", "family", "component" (coefficients of the parts beside the mean)
        for all of a kind; "icc"; a function of the parameters by name (``lambda p: np.exp(p["x"])``); or a mapping of
        names to such functions and to contrasts, which are weights by coefficient (``{"a - b": {"a": 1, "b": -1}}``).
        All parameters without it.
    level : float
        Coverage of the intervals to whose limits the profiles go.

    Raises
    ------
    DataError
        The fit has not converged, there is no parameter of that name, or a function cannot be used.
    """
    quantile(level)  # complains
    fit = _by_ml(fit)
    chosen = _chosen(fit, which)
    limits, rows, messages, estimates = _traced(fit, chosen, level, STEPS)
    for message in messages:
        if message.startswith("not the maximum") or COARSE in message:
            warn_caller(message, ConvergenceWarning)
    return LikelihoodProfile(level, estimates, rows, messages, fit, chosen, limits)


def profile_intervals(fit: Fit, level: float = 0.95, which: Which = None) -> pd.DataFrame:
    """Confidence intervals by profile likelihood, of the fixed effects without `which`; columns "lower" and "upper".

    Raises
    ------
    DataError
        As `profile`.
    """
    quantile(level)
    fit = _by_ml(fit)
    limits, _, messages, _ = _traced(fit, _chosen(fit, "fixed" if which is None else which), level, 1)
    for message in messages:
        if message.startswith("not the maximum") or "was not found" in message or COARSE in message:
            warn_caller(message, ConvergenceWarning)
    return limits


def _by_ml(fit: Fit) -> Fit:
    fit.need_likelihood("a profile")
    fit.need_likelihood("profiles")
    if not fit.converged or not np.isfinite(fit.loglik):
        raise DataError(
            "a profile starts from a maximum, and this fit has none that is certified"
            f"{': ' + fit.message if fit.message else ''}; see results.warnings"
        )
    if fit.method == "ml":
        return fit
    core = fit.model_core if fit.model_core is not None else build_core(fit.design, fit.family)
    by_ml = run(fit.design, fit.family, core, method="ml", threads=fit.optimization.threads)
    if not by_ml.converged:
        raise DataError(f"a profile is by ML, and the fit by ML has not converged: {by_ml.message}")
    return by_ml


def _chosen(fit: Fit, which: Which) -> tuple[Quantity, ...]:
    known = quantities(fit)
    if which is None:
        return tuple(known.values())
    if callable(which):
        name = getattr(which, "__name__", "function")
        return (derived(fit, "function" if name == "<lambda>" else name, which, known),)
    if isinstance(which, Mapping):
        meanings: Mapping[str, Function | Mapping[str, float]] = which
        return tuple(derived(fit, name, meaning, known) for name, meaning in meanings.items())
    chosen: dict[str, Quantity] = {}
    for name in [which] if isinstance(which, str) else which:
        if name in known:
            chosen[name] = known[name]
        elif name == "icc":
            chosen[name] = icc(fit, known)
        elif name in KINDS:
            chosen |= {own.name: own for own in known.values() if own.kind == name}
        else:
            raise DataError(f"there is no parameter {name!r}; there are {', '.join(map(repr, known))}, and {KINDS}")
    return tuple(chosen.values())


def _traced(
    fit: Fit, chosen: tuple[Quantity, ...], level: float, steps: int
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...], pd.Series]:
    """Limits, points, messages and estimates."""
    known = quantities(fit)
    core = fit.model_core if fit.model_core is not None else build_core(fit.design, fit.family)
    defined = [own for own in chosen if not own.undefined]
    record = _core.profile(
        core,
        core_response(fit.design),
        fit.psi,
        [own.held for own in defined],
        float(quantile(level)),
        fit.n_quadrature if not fit.is_linear else 1,
        steps,
        fit.optimization.threads,
        others=[psi for _, psi in fit.optimization.other_maxima],
    )
    if not record.measured:
        raise DataError("the log-likelihood cannot be evaluated at the estimates")
    messages = [f"{own.name} has no profile: {own.undefined}" for own in chosen if own.undefined]
    limits = {own.name: (np.nan, np.nan) for own in chosen}
    columns: dict[str, list[Any]] = {name: [] for name in ("parameter", "value", "zeta", "slope", *known)}
    for own, found in zip(defined, record.profiles, strict=True):
        ends = own.natural(np.array(found.limits, dtype=np.float64))
        falling = bool((np.diff(own.natural(found.values[[0, -1]])) < 0).all()) and len(found.values) > 1
        order = slice(None, None, -1 if falling else 1)
        lower, upper = ends[order]
        limits[own.name] = (float(lower), float(upper))
        messages += _said(own.name, list(found.ends)[order], limits[own.name], level)
        sign = -1.0 if falling else 1.0
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes = found.slopes / np.abs(own.slope(found.values))
        columns["parameter"] += [own.name] * len(found.values)
        columns["value"] += list(own.natural(found.values)[order])
        columns["zeta"] += list((sign * found.zeta)[order])
        columns["slope"] += list(slopes[order])
        for name, other in known.items():
            columns[name] += [other.at(psi) if np.isfinite(psi).all() else np.nan for psi in found.psi[order]]
    coarse = _coarse(fit, core, record, defined, level)
    messages += coarse
    if record.largest_loglik > record.loglik + HIGHER and not coarse:
        messages.append(
            f"not the maximum: on the way the log-likelihood was {record.largest_loglik - record.loglik:.3g} above the "
            "fit's; fit again from other starting values"
        )
    table = pd.DataFrame.from_dict(limits, orient="index", columns=["lower", "upper"], dtype=np.float64)
    estimates = pd.Series({own.name: own.at(fit.psi) for own in chosen}, name="estimate", dtype=np.float64)
    return table, pd.DataFrame(columns), tuple(messages), estimates


def _coarse(fit: Fit, core: Any, record: Any, defined: list[Quantity], level: float) -> list[str]:
    """Of quantities whose outermost points more quadrature points evaluate otherwise, as compared with the estimates.

    Far from the estimates a likelihood may be too narrow for its points, as with large loadings; then a rule can find
    maxima that are not there.
    """
    points = fit.n_quadrature
    more = 2 * points + 1
    while more > points and n_nodes(more, fit.design) > _core.most_nodes:
        more -= 1
    if points == 1 or more == points or is_exact(fit.design, fit.family):
        return []
    response, threads = core_response(fit.design), fit.optimization.threads

    def gained(psi: np.ndarray) -> float:
        finer, own = (_core.evaluate(core, response, psi, own, threads)[0] for own in (more, points))
        return finer - own

    at_estimates, limit = gained(fit.psi), RESOLVED * float(quantile(level)) ** 2
    said = []
    for own, found in zip(defined, record.profiles, strict=True):
        ends = [psi for psi in found.psi[[0, -1]] if np.isfinite(psi).all()]
        moved = max((abs(2.0 * (gained(psi) - at_estimates)) for psi in ends), default=0.0)
        if not moved <= limit:
            said.append(
                f"{own.name}: {points} {COARSE} the likelihood where its profile ends: with {more} it lies {moved:.3g} "
                "apart there on the scale of -2 log L; the limits are not to be relied on, use more (n_quadrature=)"
            )
    return said


def _said(name: str, ends: list[str], limits: tuple[float, ...], level: float) -> list[str]:
    said = []
    for side, end, limit in zip(("lower", "upper"), ends, limits, strict=True):
        if end == "unbounded":
            said.append(
                f"{name} has no {side} limit at level {level:g}: the likelihood does not fall enough however far it "
                f"goes (to {limit:g})"
            )
        elif end == "failed":
            said.append(
                f"the {side} limit of {name} at level {level:g} was not found: no maximum of the rest further out"
            )
    return said
