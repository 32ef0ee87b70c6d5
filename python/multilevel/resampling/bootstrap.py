"""The bootstrap of a fit: estimates of replicates, their bias and error, intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..arguments import check_choice, understands, whole_number
from ..design.subset import n_units, unit_of_resampling
from ..errors import ConvergenceWarning, DataError, NotEstimableWarning, warn_caller
from ..fitting.parameters import parts
from ..prediction.predict import predict
from ..prediction.simulate import block_size, checked_seed, warn_not_converged
from . import draws
from .refits import Refits, core_of, n_workers, natural_of, to_designs, to_responses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.record import Fit

    Array = NDArray[np.float64]
    Statistic = Callable[["Replicate"], Any]

KINDS = ("parametric", "cases", "residual")
METHODS = ("percentile", "basic", "normal", "bca")
MANY_FAILED = 0.05  # the share of fits from which on a warning says so


@dataclass(frozen=True, eq=False)
class Replicate:
    """What a statistic sees of one fit.

    Attributes
    ----------
    estimates : pandas.Series
        All parameters under their names in `Bootstrap.estimates`.
    params : pandas.Series
        The fixed effects.
    random_cov : tuple of ndarray
        The covariance of each random-effects term.
    family_params : dict
    llf : float
    """

    estimates: pd.Series
    params: pd.Series
    random_cov: tuple[Array, ...]
    family_params: dict[str, float]
    llf: float
    fit: Fit = field(repr=False)

    def predict(self, newdata: Any = None, kind: str = "response") -> pd.Series | pd.DataFrame:
        """Means or linear predictors with the random effects at zero, as `results.predict(random="zero")`; of
        probabilities of categories a column for each.
        """
        return predict(self.fit, newdata, kind, "zero")


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Estimates of the replicates of a fit.

    Attributes
    ----------
    kind : {"parametric", "cases", "residual"}
    seed : int
        Gives the same replicates again.
    estimates : pandas.Series, (K,)
        Of the fit itself.
    replicates : pandas.DataFrame, (n_used, K)
        A row for each replicate whose fit converged, under its number.
    failed : pandas.Series
        Why the others did not, under their numbers. They are left out of all that is computed.
    n_singular : int
        Replicates used whose fit has a variance of zero, or a correlation of one.
    """

    kind: str
    seed: int
    estimates: pd.Series
    replicates: pd.DataFrame
    failed: pd.Series
    n_singular: int
    _without_each: Callable[[], Array] = field(repr=False)

    @property
    def n(self) -> int:
        """Replicates drawn, those that failed among them."""
        return len(self.replicates) + len(self.failed)

    @property
    def bias(self) -> pd.Series:
        """Mean of the replicates minus the estimate, (K,); NaN of a parameter that is infinite in both."""
        with np.errstate(invalid="ignore"):
            return (self.replicates.mean() - self.estimates).rename("bias")

    @property
    def std_error(self) -> pd.Series:
        """Standard deviation of the replicates, (K,); NaN of a parameter that is infinite in one, at its limit."""
        with np.errstate(invalid="ignore"):
            return self.replicates.std(ddof=1).rename("std_error")

    def summary(self) -> pd.DataFrame:
        """A row for each statistic: estimate, mean, bias, std_error, the Monte Carlo errors of the two, and n.

        These are the replicates that count: a correlation is not defined where a variance is zero.
        """
        values = self.replicates.to_numpy()
        n, sd = np.isfinite(values).sum(axis=0), self.std_error.to_numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            fourth = np.nanmean((values - np.nanmean(values, axis=0)) ** 4, axis=0)
            of_sd = np.sqrt(np.maximum(fourth - sd**4 * (n - 3) / (n - 1), 0.0) / n) / (2.0 * sd)
        columns = {
            "estimate": self.estimates,
            "mean": self.replicates.mean(),
            "bias": self.bias,
            "std_error": sd,
            "mc_error_mean": sd / np.sqrt(n),
            "mc_error_sd": of_sd,
            "n": n,
        }
        return pd.DataFrame(columns, index=self.estimates.index)

    @understands
    def conf_int(self, method: str = "percentile", level: float = 0.95) -> pd.DataFrame:
        """Confidence intervals, columns "lower" and "upper".

        Parameters
        ----------
        method : {"percentile", "basic", "normal", "bca"}
            Quantiles of the replicates; those reflected at the estimate; the estimate without its bias and normal
            quantiles of the standard error; or quantiles corrected for bias and acceleration, for which the model is
            fitted again without each cluster (without each row where it has no grouping factor).
        level : float
            Coverage.

        Raises
        ------
        DataError
            No replicate lies on one side of an estimate, so that BCa has no correction for bias; or too few are there
            for the level.

        References
        ----------
        Davison & Hinkley (1997) Bootstrap Methods and their Application, chapter 5; Efron (1987) J. Amer. Statist.
        Assoc. 82:171-185. Quantile p of n replicates is at the rank (n + 1) p.
        """
        check_choice("method", method, METHODS)
        if not 0.0 < level < 1.0:
            raise DataError(f"level is {level!r}; it is a coverage between 0 and 1, such as 0.95")
        from scipy.special import ndtri

        tail = (1.0 - level) / 2.0
        estimates, values = self.estimates.to_numpy(), self.replicates.to_numpy()
        shares = np.array([[tail], [1.0 - tail]]) * np.ones(len(estimates))
        if method == "normal":
            center, half = estimates - self.bias.to_numpy(), ndtri(1.0 - tail) * self.std_error.to_numpy()
            ends = np.stack([center - half, center + half])
        else:
            if method == "bca":
                shares = self._corrected(shares)
            self._check_count(shares)
            ends = np.stack([[_quantile(values[:, k], share) for k, share in enumerate(own)] for own in shares])
            if method == "basic":
                with np.errstate(invalid="ignore"):
                    ends = 2.0 * estimates - ends[::-1]
        lost = self.estimates.index[np.isnan(ends).any(axis=0)]
        if len(lost):
            warn_caller(
                f"method={method!r} has no limits of {', '.join(map(repr, lost))}, as replicates at the limit of a "
                "parameter are infinite; method='percentile' has",
                NotEstimableWarning,
            )
        return pd.DataFrame({"lower": ends[0], "upper": ends[1]}, index=self.estimates.index)

    def _check_count(self, shares: Array) -> None:
        n = int((~np.isnan(self.replicates.to_numpy())).sum(axis=0).min())
        least = float(np.minimum(shares, 1.0 - shares).min())
        if (n + 1) * least < 1.0:
            needed = int(np.ceil(1.0 / least - 1e-6))
            raise DataError(
                f"{n} replicates have no quantile at {least:.2g}; draw at least {needed}, or use method='normal'"
            )

    def _corrected(self, shares: Array) -> Array:
        """The shares that BCa takes in place of these."""
        from scipy.special import ndtr, ndtri

        values, estimates = self.replicates.to_numpy(), self.estimates.to_numpy()
        less, equal = values < estimates, values == estimates
        below = (less.sum(axis=0) + 0.5 * equal.sum(axis=0)) / (~np.isnan(values)).sum(axis=0)
        if np.any((below == 0.0) | (below == 1.0)):
            name = self.estimates.index[int(np.argmax((below == 0.0) | (below == 1.0)))]
            raise DataError(
                f"all replicates of '{name}' lie on one side of its estimate, so that BCa has no correction for bias; "
                "use method='percentile' or 'basic'"
            )
        bias, slope = ndtri(below), self._acceleration
        z = bias + ndtri(shares)
        return ndtr(bias + z / (1.0 - slope * z))

    @cached_property
    def _acceleration(self) -> Array:
        values = self._without_each()
        distance = values.mean(axis=0) - values
        squares = np.sum(distance**2, axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.sum(distance**3, axis=0) / (6.0 * squares**1.5)
        return np.where(squares > 0, found, 0.0)

    def __repr__(self) -> str:
        failed = f"{len(self.failed)} failed" if len(self.failed) else "none failed"
        head = f"{self.kind} bootstrap: {self.n} replicates, {failed}, {self.n_singular} singular, seed {self.seed}"
        return f"{head}\n\n{self.summary().to_string(float_format='{:.4f}'.format)}"


def _quantile(values: Array, share: float) -> float:
    """Between the two replicates around the rank (n + 1) share; infinite where one of them is."""
    with np.errstate(invalid="ignore"):
        found = float(np.nanquantile(values, share, method="weibull"))
    return found if np.isfinite(found) else float(np.nanquantile(values, share, method="higher"))


def bootstrap(
    fit: Fit,
    n: int = 1000,
    seed: int | None = None,
    statistic: Statistic | str | Sequence[str] | None = None,
    kind: str = "parametric",
    group: str | None = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Bootstrap:
    """The bootstrap of a fit, see `results.bootstrap`."""
    check_choice("kind", kind, KINDS)
    fit.need_likelihood("the bootstrap")
    count, workers = whole_number(n, "n"), whole_number(threads, "threads")
    if count < 2:
        raise DataError(f"n is {count}; a standard error needs two replicates, and intervals a thousand")
    if group is not None and kind != "cases":
        raise DataError(f"group= names what kind='cases' resamples; kind is {kind!r}")
    key = checked_seed(seed)
    chosen = _chosen(fit, statistic)
    if kind == "cases":
        at = unit_of_resampling(fit.design, group)
        own = to_designs(fit, draws.clusters(fit, at, key, count), count, n_workers(workers), progress)
    else:
        draw = draws.from_law(fit, key) if kind == "parametric" else draws.residuals(fit, key)
        own = to_responses(fit, draw, count, block_size(fit.n_rows), workers, progress)

    if kind != "parametric":
        warn_not_converged(fit)
    if np.sum(~own.converged) > MANY_FAILED * count:
        first = next(message for message in own.message if message)
        warn_caller(
            f"{np.sum(~own.converged)} of {count} fits did not converge (limit {MANY_FAILED:.0%}) and are left out, so "
            f"that what remains may be too narrow; the first of them: {first}",
            ConvergenceWarning,
        )
    estimates = _of_each(fit, _itself(fit), chosen).iloc[0].rename("estimate")
    replicates = _of_each(fit, own, chosen)
    used = np.flatnonzero(own.converged)
    if len(used) < 2:
        raise DataError(f"{count - len(used)} of {count} fits failed: {next(filter(None, own.message), '')}")
    lost = np.flatnonzero(~own.converged)
    numbers = pd.Index(used, name="replicate")
    return Bootstrap(
        kind=kind,
        seed=key,
        estimates=estimates,
        replicates=replicates.set_axis(numbers, axis=0),
        failed=pd.Series([own.message[k] for k in lost], index=pd.Index(lost, name="replicate"), dtype=object),
        n_singular=int(own.singular[used].sum()),
        _without_each=partial(_without_each, fit, group, workers, chosen),
    )


def _without_each(fit: Fit, group: str | None, workers: int, chosen: Statistic | list[str]) -> Array:
    """The statistics of the fits without each cluster, a row each."""
    at = unit_of_resampling(fit.design, group)
    left = to_designs(fit, draws.without_each(fit, at), n_units(fit.design, at), n_workers(workers))
    if not left.converged.all():
        bad = int(np.argmin(left.converged))
        raise DataError(
            f"BCa fits the model without each cluster, and without number {bad} it did not converge: "
            f"{left.message[bad]}; use another method"
        )
    return _of_each(fit, left, chosen).to_numpy()


def _chosen(fit: Fit, statistic: Statistic | str | Sequence[str] | None) -> Statistic | list[str]:
    """A function, or names of estimates."""
    labels = natural_of(fit).labels
    if statistic is None:
        return labels
    if callable(statistic):
        return statistic
    names = [statistic] if isinstance(statistic, str) else list(statistic)
    for name in names:
        if name not in labels:
            raise DataError(f"statistic: there is no estimate {name!r}; there are {', '.join(map(repr, labels))}")
    return names


def _itself(fit: Fit) -> Refits:
    """The fit as one of many."""
    psi, one = fit.psi[None, :], np.ones(1, dtype=bool)
    return Refits(psi, natural_of(fit).values(psi), np.array([fit.loglik]), one, ~one, ("",))


def _of_each(fit: Fit, own: Refits, chosen: Statistic | list[str]) -> pd.DataFrame:
    """The statistics of the fits that converged, a row each."""
    labels = natural_of(fit).labels
    used = np.flatnonzero(own.converged)
    if isinstance(chosen, list):
        return pd.DataFrame(own.estimates[used], columns=labels)[chosen]
    rows = []
    for k in used:
        value = chosen(_replicate(fit, own, int(k), labels))
        if isinstance(value, (Mapping, pd.Series)):
            rows.append(dict(value))
        else:
            flat = np.ravel(np.asarray(value, dtype=np.float64))
            rows.append({"statistic" if len(flat) == 1 else f"statistic[{j}]": v for j, v in enumerate(flat)})
    table = pd.DataFrame(rows).astype(np.float64)
    values = table.to_numpy()
    if not np.isfinite(values).all():
        row, column = (int(at[0]) for at in np.nonzero(~np.isfinite(values)))
        raise DataError(
            f"the statistic '{table.columns[column]}' is {values[row, column]} in replicate {used[row]}; it must be a "
            "finite number in each"
        )
    return table


def _replicate(fit: Fit, own: Refits, k: int, labels: list[str]) -> Replicate:
    psi, core = own.psi[k], core_of(fit)
    dropped = {parameter.name: core.phi_redundant(r) for r, parameter in enumerate(fit.family.parameters)}
    cut = parts(fit.design, fit.family, fit.fixed_names, psi, dropped)
    estimates = pd.Series(own.estimates[k], index=labels)
    there = replace(
        fit,
        psi=psi,
        beta=cut.beta,
        theta_values=cut.theta_values,
        theta=cut.theta,
        random_cov=cut.random_cov,
        phi=cut.phi,
        components=cut.components,
        loglik=float(own.loglik[k]),
    )
    params = estimates.iloc[: len(cut.beta)]
    return Replicate(estimates, params, cut.random_cov, dict(cut.phi), float(own.loglik[k]), there)
