"""Families and links by name, and what the layers after a fit need of them. The core's registry is the one list."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from multilevel import _core

from ..errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

Support = Literal["numbers", "positive", "counts", "trials", "open unit", "closed unit"]
Scale = Literal["log", "reciprocal", "logit", "power", "plain"]

# other packages' names
ELSEWHERE = {
    "normal": "gaussian",
    "bernoulli": "binomial",
    "logistic": "binomial",
    "nbinom2": "negative_binomial",
    "negbin": "negative_binomial",
    "negativebinomial": "negative_binomial",
    "nb2": "negative_binomial",
    "nbinom1": "negative_binomial_1",
    "nb1": "negative_binomial_1",
    "genpois": "generalized_poisson",
    "generalizedpoisson": "generalized_poisson",
    "compois": "conway_maxwell_poisson",
    "cmp": "conway_maxwell_poisson",
    "com_poisson": "conway_maxwell_poisson",
    "conwaymaxwellpoisson": "conway_maxwell_poisson",
    "beta_family": "beta",
    "betareg": "beta",
    "ordbeta": "ordered_beta",
    "ordbetareg": "ordered_beta",
    "betabinomial": "beta_binomial",
    "betabin": "beta_binomial",
}
SYMMETRIC = ("logit", "probit", "cauchit")  # links of distribution functions that are symmetric around zero


@dataclass(frozen=True)
class Parameter:
    """A parameter of a family's own.

    Attributes
    ----------
    name : str
        As results have it, on its natural scale.
    meaning : str
    limit : float
        The phi from which on the density is for all purposes that of the family `becomes`; infinite without one.
    becomes : str
    scale : {"log", "reciprocal", "logit", "power", "plain"}
        How the parameter follows from the phi that the fit moves: exp(phi), exp(-phi), 1 / (1 + exp(-phi)), one more
        than that, or phi itself.
    part : str
        What a formula for it is called.
    """

    name: str
    meaning: str
    limit: float
    becomes: str
    scale: Scale
    part: str

    @property
    def internal(self) -> str:
        """The name of what is optimized."""
        prefix = {"plain": "", "log": "log_", "reciprocal": "minus_log_"}
        return prefix.get(self.scale, "logit_") + self.name

    def natural(self, phi: float) -> float:
        """The parameter at phi; infinite at its limit, or zero."""
        if phi >= self.limit:
            return 0.0 if self.scale == "reciprocal" else float("inf")
        if self.scale == "reciprocal":
            return float(np.exp(-phi))
        return float(phi if self.scale == "plain" else np.exp(phi) if self.scale == "log" else _logistic(self, phi))

    def at_limit(self, value: float) -> bool:
        """Whether the parameter has this value at its limit only."""
        return bool(value == 0.0 if self.scale == "reciprocal" else np.isinf(value))

    def slope(self, phi: float) -> float:
        """Derivative of the parameter with respect to phi."""
        if self.scale == "reciprocal":
            return float(-np.exp(-phi))
        if self.scale in ("log", "plain"):
            return float(np.exp(phi)) if self.scale == "log" else 1.0
        return float(0.25 / np.cosh(0.5 * phi) ** 2)

    def phi(self, value: float) -> float:
        """The phi of a value of the parameter; the limit's where it is there."""
        if self.scale == "plain":
            return min(value, self.limit)
        with np.errstate(divide="ignore"):
            if self.scale in ("log", "reciprocal"):
                sign = 1.0 if self.scale == "log" else -1.0
                return min(sign * float(np.log(value)), self.limit)
            share = value - 1.0 if self.scale == "power" else value
            return min(float(np.log(share) - np.log1p(-share)), self.limit)


def _logistic(parameter: Parameter, phi: float) -> float:
    share = 1.0 / (1.0 + np.exp(-phi)) if phi >= 0 else np.exp(phi) / (1.0 + np.exp(phi))
    return float(share + (1.0 if parameter.scale == "power" else 0.0))


class Family:
    """A family of densities with its link.

    Parameters
    ----------
    name : str
        One of the names that `multilevel.families()` lists.
    link : str, optional
        One of the family's links; without it, its default link.

    Raises
    ------
    DataError
        The family or the link does not exist; the message lists those that do.
    """

    def __init__(self, name: str, link: str | None = None) -> None:
        table = dict(_core.families())
        if not isinstance(name, str):
            raise DataError(f"family is a {type(name).__name__}; give its name, one of {', '.join(table)}, and link=")
        name, link = name.lower(), link.lower() if isinstance(link, str) else link
        if name not in table:
            word, call, _ = name.partition("(")
            near = [ELSEWHERE[word]] if word in ELSEWHERE else difflib.get_close_matches(word, table, n=1)
            hint = f"; did you mean {near[0]!r}{' with link=' if call else ''}?" if near else ""
            raise DataError(f"there is no family {name!r}; there are {', '.join(table)}{hint}")
        if link is None:
            link = table[name][0]
        if link not in table[name]:
            raise DataError(f"the {name} family has no link {link!r}; it has {', '.join(table[name])}")
        self.name = name
        self.link = link
        self._core = _core.Family(name, link)

    @property
    def support(self) -> Support:
        """What a response may be: any numbers, positive numbers, counts, successes out of trials, or numbers between
        zero and one, with these ends or without.
        """
        return self._core.support

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The family's own parameters."""
        return tuple(Parameter(**facts) for facts in self._core.parameters)

    @property
    def independent_trials(self) -> bool:
        """Whether a response is out of trials that are independent of each other."""
        return self.support == "trials" and not self._core.two_numbers

    @property
    def has_residual(self) -> bool:
        """Whether the one parameter is the standard deviation of a residual."""
        return self._core.has_residual

    @property
    def reference(self) -> str:
        """Where the density comes from."""
        return self._core.reference

    @property
    def is_linear(self) -> bool:
        """Whether the model is the linear mixed model, for which the Laplace approximation is exact."""
        return bool(self._core.is_linear)

    def mean(self, eta: ArrayLike) -> NDArray[np.float64]:
        """Mean of the response (of a binomial one: the probability) at the linear predictor `eta`."""
        return self._core.mean(np.ascontiguousarray(eta, dtype=np.float64))

    def link_of_mean(self, mu: ArrayLike) -> NDArray[np.float64]:
        """Linear predictor at the mean `mu`."""
        return self._core.link_of_mean(np.ascontiguousarray(mu, dtype=np.float64))

    def variance(self, mu: ArrayLike, phi: Mapping[str, float]) -> NDArray[np.float64]:
        """Variance function at `mu`: the variance of one observation or trial over the dispersion.

        `phi` holds the family's parameters by name, on their natural scale.
        """
        return self._core.variance(np.ascontiguousarray(mu, dtype=np.float64), self._phi(phi))

    def variance_ratio(self, trials: ArrayLike, phi: Mapping[str, float]) -> NDArray[np.float64]:
        """What the variance of a proportion of so many trials is times that of as many that are independent."""
        return self._core.variance_ratio(np.ascontiguousarray(trials, dtype=np.float64), self._phi(phi))

    def dispersion(self, phi: Mapping[str, float]) -> float:
        """What the variance function is multiplied by: sigma^2, 1 / shape; 1 for families without a dispersion."""
        return self._core.dispersion(self._phi(phi))

    def unit_deviance(self, y: ArrayLike, mu: ArrayLike, phi: Mapping[str, float]) -> NDArray[np.float64]:
        """Deviance of one observation (of a binomial one: of one trial, `y` a proportion), times the dispersion."""
        return self._core.unit_deviance(
            np.ascontiguousarray(y, dtype=np.float64),
            np.ascontiguousarray(mu, dtype=np.float64),
            self._phi(phi),
        )

    def log_density_lacks(
        self,
        eta: NDArray[np.float64],
        y: NDArray[np.float64],
        trials: NDArray[np.float64],
        phi: Mapping[str, float],
    ) -> NDArray[np.float64]:
        """What the log density of a response of unit weight lacks at `eta` to its largest."""
        one, own = np.ones_like(eta), self._phi(phi)
        return self._core.supremum(y, trials, one, own) - self._core.derivatives(eta, y, trials, one, own)["value"]

    def _phi(self, phi: Mapping[str, float]) -> list[float]:
        """As the core has them: a parameter at its limit, which results show as infinite, is a number there."""
        return [own.phi(phi[own.name]) for own in self.parameters]

    def log_probabilities(self, eta: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Logarithms of the probabilities of success and of failure of a trial at the linear predictor `eta`.

        They are exact where the probabilities themselves are 0 or 1 in floating-point numbers.
        """
        at = np.ascontiguousarray(eta, dtype=np.float64)
        one, zero, trial = np.ones_like(at), np.zeros_like(at), _core.Family("binomial", self.link)

        def log_density(eta: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
            return trial.derivatives(eta, y, one, one, [])["value"]

        # a success at eta is a failure at -eta, whose logarithm keeps its digits where it is close to zero
        return log_density(-at, zero) if self.link in SYMMETRIC else log_density(at, one), log_density(at, zero)

    def __repr__(self) -> str:
        return f"Family({self.name!r}, {self.link!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Family) and (self.name, self.link) == (other.name, other.link)

    def __hash__(self) -> int:
        return hash((self.name, self.link))

    def __reduce__(self) -> tuple[type[Family], tuple[str, str]]:
        return (Family, (self.name, self.link))


def families() -> pd.DataFrame:
    """What can be fitted: one row per family.

    Returns
    -------
    DataFrame
        family, links (the default first), response ("numbers", "positive", "counts", "trials", "open unit" or
        "closed unit"), parameters (the family's own, with their meaning) and reference.
    """
    import pandas as pd

    rows = []
    for name, links in _core.families():
        family = Family(name)
        parameters = "; ".join(f"{own.name}: {own.meaning}" for own in family.parameters)
        rows.append((name, ", ".join(links), family.support, parameters, family.reference))
    return pd.DataFrame(rows, columns=["family", "links", "response", "parameters", "reference"])
