"""What the core asks of a family that is written in Python: derivatives, bounds and moments of blocks of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from ..errors import DataError
from .series import derivatives, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

RATES = ("log", "identity", "sqrt", "inverse", "inverse_squared")
PROBABILITIES = ("logit", "probit", "cloglog", "cauchit", "log", "identity")
INSIDE = {"log": RATES, "identity": RATES, "sqrt": RATES, "inverse": RATES, "inverse_squared": RATES}
WITH_ZEROS = ("counts", "trials", "nonnegative")  # where a zero has a probability of its own
LONGEST_STEP = 3.0  # of the search for a row's largest density
SETTLED = 1e-8  # what is left to gain of a log density there, which is added
MOST_STEPS, MOST_HALVINGS = 100, 40
ROUNDING = 1e-6  # of a curvature, relative to the squared slope


@dataclass(frozen=True)
class OwnParameter:
    """A parameter of the density.

    Attributes
    ----------
    name : str
        On its natural scale.
    scale : {"log", "logit", "plain"}
        How it follows from what the density takes.
    start : float
        What the search begins with, as the density takes it.
    meaning, part, becomes : str
    lower_limit : float
        As of `registry.Parameter`.
    """

    name: str
    scale: str
    start: float
    meaning: str = "of the density in Python"
    part: str = "dispersion"
    becomes: str = ""
    lower_limit: float = -np.inf


@dataclass(frozen=True)
class Callbacks:
    """A density with its link and what else the user gave.

    Attributes
    ----------
    name, link, support : str
    written_for : str
        The link of the linear predictor that the functions take.
    log_density : callable
    parameters : tuple of OwnParameter
    own_mean, own_variance, own_start : callable, or None
    log_concave : bool
    zero : {"", "inflation", "hurdle"}
        What makes zeros beside the density; its log odds are the last of the parameters.
    """

    name: str
    link: str
    written_for: str
    support: str
    log_density: Callable[..., Any]
    parameters: tuple[OwnParameter, ...]
    own_mean: Callable[..., Any] | None
    own_variance: Callable[..., Any] | None
    own_start: Callable[..., Any] | None
    log_concave: bool
    zero: str = ""

    @property
    def has_zeros(self) -> bool:
        """Whether the density itself gives a zero a probability."""
        return self.support in WITH_ZEROS

    @property
    def has_start(self) -> bool:
        """Whether the user says where a row's linear predictor may start."""
        return self.own_start is not None and self.link == self.written_for

    def derivatives(
        self, y: Array, trials: Array | None, eta: Array, phi: Sequence[Any], degree: int, by_phi: bool
    ) -> Array:
        """All derivatives of the rows' log densities, (n_table, n): the table is that of `series.Space`.

        A row whose density is zero, or no number, has NaN for its value.

        Raises
        ------
        DataError
            The density uses what has no series, gives an array of another shape, or is not log-concave where it is
            said to be.
        """
        at, own, table_of = variables(eta, phi, degree, by_phi)
        with np.errstate(all="ignore"):
            found = self.density(y, trials, at, own)
            if np.shape(getattr(found, "value", found)) not in ((), (1,), eta.shape):
                raise DataError(
                    f"log_density of the family {self.name!r} gives an array of shape {np.shape(found)} for "
                    f"{len(eta)} rows; it gives one number for each"
                )
            table = derivatives(found, table_of, len(eta))
        table[0] = np.where(np.isfinite(table[0]), table[0], np.nan)
        if self.log_concave:
            self._check_concave(y, eta, table)
        return table

    def density(self, y: Array, trials: Array | None, eta: Any, phi: Sequence[Any]) -> Any:
        """The log density of responses, zero part and all; of numbers or of series, phi as the fit moves it."""
        if not self.zero:
            return self._call(self.log_density, y, trials, eta, phi)
        *own, odds = phi
        zero = y == 0
        here, not_here = special.log_expit(odds), special.log_expit(-odds)
        # where zero lies outside, what the density makes of another number is not used
        inside = y if self.has_zeros else np.where(zero, 0.5, y)
        rest = self._call(self.log_density, inside, trials, eta, own) + not_here
        if not self.has_zeros:
            return np.where(zero, here, rest)
        if self.zero == "inflation":
            return np.where(zero, np.logaddexp(here, rest), rest)
        at_zero = self._call(self.log_density, np.zeros_like(y), trials, eta, own)
        return np.where(zero, here, rest - np.log(-np.expm1(at_zero)))

    def _check_concave(self, y: Array, eta: Array, table: Array) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            rises = np.isfinite(table[0]) & (table[2] > ROUNDING * (1.0 + table[1] ** 2))
        if rises.any():
            row = int(np.argmax(rises))
            raise DataError(
                f"the family {self.name!r} is not log-concave: at y = {y[row]:g} and a linear predictor of "
                f"{eta[row]:.4g} its log density has the second derivative {table[2, row]:.3g}; make it with "
                "log_concave=False"
            )

    def _call(
        self, function: Callable[..., Any], y: Array | None, trials: Array | None, eta: Any, phi: Sequence[Any]
    ) -> Any:
        given = () if y is None else (y,)
        more = {"trials": trials} if self.support == "trials" else {}
        return function(*given, predictor(self.written_for, self.link, eta), *phi, **more)

    def suprema(self, y: Array, trials: Array | None, start: Array, phi: Sequence[Any]) -> Array:
        """The largest log density of each row over eta, by Newton's method in all rows at once, (n,)."""

        def at(eta: Array) -> Array:
            return self.derivatives(y, trials, eta, phi, 2, False)

        eta = np.where(np.isfinite(start), start, 0.0)
        best = at(eta)
        if np.isnan(best[0]).any():
            eta = np.where(np.isnan(best[0]), 0.0, eta)
            best = at(eta)
        settled = np.zeros(len(eta), dtype=bool)
        for _ in range(MOST_STEPS):
            value, slope, curvature = best
            concave = curvature < 0
            with np.errstate(divide="ignore", invalid="ignore"):
                step = np.where(concave, -slope / curvature, np.copysign(LONGEST_STEP, slope))
            settled |= (concave & (slope * step < SETTLED)) | (slope == 0) | np.isnan(value)
            if settled.all():
                break
            length = np.where(settled, 0.0, np.clip(step, -LONGEST_STEP, LONGEST_STEP))
            for _ in range(MOST_HALVINGS):
                following = at(eta + length)
                worse = ~settled & ~(following[0] >= value)
                if not worse.any():
                    break
                length = np.where(worse, 0.5 * length, length)
            settled |= worse
            eta = np.where(worse, eta, eta + length)
            best = np.where(worse, best, following)
        with np.errstate(divide="ignore", invalid="ignore"):
            rest = np.where(best[2] < 0, -0.5 * best[1] ** 2 / best[2], 0.0)
        return np.where(rest < SETTLED, best[0] + rest, best[0])

    def start_eta(self, y: float, trials: float) -> float:
        """Where a row's linear predictor may start, by the user's function."""
        assert self.own_start is not None
        more = {"trials": np.array([trials])} if self.support == "trials" else {}
        return float(np.ravel(self.own_start(np.array([y]), **more))[0])

    def mean(self, eta: Any, phi: Sequence[Any], trials: Any) -> Any:
        """Means of responses: without a function of the user's the inverse link, and zeros of a zero part."""
        return self._with_zeros(eta, phi, trials, square=False)

    def variance(self, eta: Any, phi: Sequence[Any], trials: Any) -> Any:
        """Variances of responses.

        Raises
        ------
        DataError
            The user gave no function for them.
        """
        if self.own_variance is None:
            raise DataError(
                f"the variance of a response of the family {self.name!r} is not known: give it as "
                "CustomFamily(..., variance=function of the linear predictor and the parameters)"
            )
        mean = self._with_zeros(eta, phi, trials, square=False)
        return self._with_zeros(eta, phi, trials, square=True) - mean**2

    def _with_zeros(self, eta: Any, phi: Sequence[Any], trials: Any, *, square: bool) -> Any:
        """The mean of a response, or that of its square."""
        own = phi[:-1] if self.zero else phi
        mean = mean_of(self.link, eta) if self.own_mean is None else self._call(self.own_mean, None, trials, eta, own)
        if square:
            assert self.own_variance is not None
            mean = self._call(self.own_variance, None, trials, eta, own) + mean**2
        if not self.zero:
            return mean
        share = special.expit(-phi[-1])
        if self.zero == "hurdle" and self.has_zeros:
            share = share / -np.expm1(self._call(self.log_density, np.zeros_like(eta), trials, eta, own))
        return share * mean


def other_links(link: str) -> tuple[str, ...]:
    """The links whose linear predictors can be turned into that of a link by `predictor`."""
    if link in ("logit", "cloglog"):
        return PROBABILITIES
    return INSIDE.get(link, (link,))


def predictor(written_for: str, link: str, eta: Any) -> Any:
    """The linear predictor that has the same mean under another link; of numbers or of series."""
    if written_for == link:
        return eta
    if written_for == "identity":
        return mean_of(link, eta)
    if written_for == "logit":
        return log_mean(link, eta) - log_rest(link, eta)
    if written_for == "cloglog":
        return np.log(-log_rest(link, eta))
    scale = {"log": 1.0, "sqrt": 0.5, "inverse": -1.0, "inverse_squared": -2.0}[written_for]
    logarithm = scale * log_mean(link, eta)
    return logarithm if written_for == "log" else np.exp(logarithm)


def mean_of(link: str, eta: Any) -> Any:
    """The mean that a link makes."""
    match link:
        case "identity":
            return eta
        case "sqrt":
            return eta * eta
        case "inverse":
            return 1.0 / eta
        case "logit":
            return special.expit(eta)
        case "probit":
            return special.ndtr(eta)
    return np.exp(log_mean(link, eta))


def log_mean(link: str, eta: Any) -> Any:
    """The logarithm of the mean, in a form that keeps its digits."""
    match link:
        case "log":
            return eta
        case "identity":
            return np.log(eta)
        case "sqrt":
            return np.log(eta * eta)
        case "inverse":
            return -np.log(eta)
        case "inverse_squared":
            return -0.5 * np.log(eta)
        case "logit":
            return special.log_expit(eta)
        case "probit":
            return special.log_ndtr(eta)
        case "cloglog":
            return np.log(-np.expm1(-np.exp(eta)))
    return np.log(0.5 + np.arctan(eta) / np.pi)


def log_rest(link: str, eta: Any) -> Any:
    """The logarithm of one minus the mean."""
    match link:
        case "log":
            return np.log(-np.expm1(eta))
        case "identity":
            return np.log1p(-eta)
        case "logit":
            return special.log_expit(-eta)
        case "probit":
            return special.log_ndtr(-eta)
        case "cloglog":
            return -np.exp(eta)
    return np.log(0.5 - np.arctan(eta) / np.pi)
