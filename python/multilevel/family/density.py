"""What the density of a family says of rows: moments, deviances, derivatives, probabilities. The core computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multilevel._core import Family as CoreFamily

from .parameters import Parameter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

SYMMETRIC = ("logit", "probit", "cauchit")  # links of distribution functions that are symmetric around zero


class Density:
    """The density of a `Family`, at linear predictors and the family's parameters."""

    name: str
    link: str
    _core: CoreFamily

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The family's own parameters."""
        return tuple(Parameter(**facts) for facts in self._core.parameters)

    @property
    def log_concave(self) -> bool:
        """Whether the log density of every response is concave in its linear predictor: one conditional mode then."""
        return bool(self._core.log_concave)

    @property
    def all_thresholds(self) -> bool:
        """Whether the probability of an ordered category depends on all thresholds, and not on its two ends alone."""
        return bool(self._core.all_thresholds)

    def core_of(self, phi: Array) -> CoreFamily:
        """The core's family, of as many thresholds as there are where these are its parameters."""
        return CoreFamily(self.name, self.link, "", phi.shape[-1] + 1) if self.all_thresholds else self._core

    def mean(self, eta: ArrayLike) -> Array:
        """Mean of the response (of a binomial one: the probability) at the linear predictor `eta`."""
        return self._core.mean(np.ascontiguousarray(eta, dtype=np.float64))

    @property
    def mean_is_response(self) -> bool:
        """Whether the mean that the link makes is that of the response: not with a zero part, or truncation."""
        eta, phi = np.array([0.3, 0.7]), np.full(len(self.parameters), 0.3)
        return bool(np.array_equal(self._core.response_mean(eta, phi, None), self._core.mean(eta)))

    def response_mean(self, eta: ArrayLike, phi: ArrayLike, trials: ArrayLike | None = None) -> Array:
        """Mean of the response itself, of trials of the proportion: zeros and what is cut off are in it.

        Parameters
        ----------
        eta : array_like, (n,)
        phi : array_like, (n_phi,) or (n, n_phi)
            The family's parameters as the fit moves them (their logarithms, logits, ...), for all rows or for each.
        trials : array_like, (n,), optional
        """
        return self._core.response_mean(*rows_for_core(eta, phi, trials))

    def response_variance(self, eta: ArrayLike, phi: ArrayLike, trials: ArrayLike | None = None) -> Array:
        """Variance of the response itself, of a row of unit weight; arguments as of `response_mean`."""
        return self._core.response_variance(*rows_for_core(eta, phi, trials))

    def link_of_mean(self, mu: ArrayLike) -> Array:
        """Linear predictor at the mean `mu`."""
        return self._core.link_of_mean(np.ascontiguousarray(mu, dtype=np.float64))

    def variance(self, mu: ArrayLike, phi: Mapping[str, float] | Array) -> Array:
        """Variance function at `mu`: the variance of one observation or trial over the dispersion.

        `phi` holds the family's parameters by name, on their natural scale; or as `Fit.row_phi` has them.
        """
        return self._core.variance(np.ascontiguousarray(mu, dtype=np.float64), self._phi(phi))

    def variance_ratio(self, trials: ArrayLike, phi: Mapping[str, float] | Array) -> Array:
        """What the variance of a proportion of so many trials is times that of as many that are independent."""
        return self._core.variance_ratio(np.ascontiguousarray(trials, dtype=np.float64), self._phi(phi))

    def dispersion(self, phi: Mapping[str, float] | Array) -> Array:
        """What the variance function is multiplied by: sigma^2, 1 / shape; 1 for families without a dispersion.

        One number, (1,), or one for each row of `phi`.
        """
        given = self._phi(phi)
        return (self.core_of(given) if isinstance(given, np.ndarray) else self._core).dispersion(given)

    def unit_deviance(self, y: ArrayLike, mu: ArrayLike, phi: Mapping[str, float] | Array) -> Array:
        """Deviance of one observation (of a binomial one: of one trial, `y` a proportion), times the dispersion."""
        return self._core.unit_deviance(
            np.ascontiguousarray(y, dtype=np.float64),
            np.ascontiguousarray(mu, dtype=np.float64),
            self._phi(phi),
        )

    def log_density(self, eta: Array, y: Array, second: Array | None, weights: Array | None, phi: Array) -> Array:
        """The log density of responses at linear predictors, with every constant, (n,).

        `second` is what else a response consists of: trials, or the other end of one that is known in part. `phi` has
        shape (n_phi,), or a row of parameters for each.
        """
        at = self._derivatives(eta, y, second, weights, phi)
        return at["value"] + at["constant"]

    def score(
        self, eta: Array, y: Array, second: Array | None, weights: Array | None, phi: Array
    ) -> tuple[Array, Array]:
        """Derivative of the log density by eta and the expected information on eta, (n,) each; as `log_density`."""
        at = self._derivatives(eta, y, second, weights, phi)
        return at["d1"], at["expected_information"]

    def information(
        self, eta: Array, y: Array, second: Array | None, weights: Array | None, phi: Array, expected: bool = True
    ) -> Array:
        """Information about the linear predictor of each row, expected or observed, its weight included, (n,).

        `second` are the trials, or the other end of what is known of the response; `phi` as of `response_mean`.
        """
        at = self._derivatives(eta, y, second, weights, phi)
        return at["expected_information"] if expected else -at["d2"]

    def cumulants(self, eta: Array, y: Array, trials: Array | None, weights: Array | None) -> tuple[Array, Array]:
        """Third and fourth cumulants of the score of each row, (n,), of families with a canonical link and without
        parameters: there they are derivatives of the log density.
        """
        at = self._derivatives(eta, y, trials, weights, np.empty(0))
        return -at["d3"], -at["d4"]

    def _derivatives(
        self, eta: Array, y: Array, second: Array | None, weights: Array | None, phi: Array
    ) -> dict[str, Array]:
        """The log density of each row with its derivatives by eta, as `log_density` takes the arguments."""
        one = np.ones_like(eta)
        second, weights = one if second is None else second, one if weights is None else weights
        return self.core_of(phi).derivatives(eta, y, second, weights, phi)

    def log_density_lacks(self, eta: Array, y: Array, trials: Array, phi: Array) -> Array:
        """What the log density of a response of unit weight lacks at `eta` to its largest.

        `phi`: (n_phi,), or a row of parameters for each.
        """
        one = np.ones_like(eta)
        return self._core.supremum(y, trials, one, phi) - self._core.derivatives(eta, y, trials, one, phi)["value"]

    def log_probabilities(self, eta: ArrayLike) -> tuple[Array, Array]:
        """Logarithms of the probabilities of success and of failure of a trial at the linear predictor `eta`.

        They are exact where the probabilities themselves are 0 or 1 in floating-point numbers.
        """
        at = np.ascontiguousarray(eta, dtype=np.float64)
        one, zero, trial = np.ones_like(at), np.zeros_like(at), CoreFamily("binomial", self.link)

        def log_density(eta: Array, y: Array) -> Array:
            return trial.derivatives(eta, y, one, one, [])["value"]

        # a success at eta is a failure at -eta, whose logarithm keeps its digits where it is close to zero
        return log_density(-at, zero) if self.link in SYMMETRIC else log_density(at, one), log_density(at, zero)

    def category_probabilities(self, eta: ArrayLike, thresholds: Array, log_scale: Array | None = None) -> Array:
        """Probabilities of ordered categories, (n, C), with their digits where they are close to zero.

        Parameters
        ----------
        eta : array_like, (n,)
        thresholds : ndarray, (n, C - 1)
        log_scale : ndarray, (n,), optional
            Logarithm of what the distances of eta from the thresholds are divided by.
        """
        at = np.ascontiguousarray(eta, dtype=np.float64)
        if log_scale is not None:
            per = np.exp(-log_scale)
            at, thresholds = at * per, thresholds * per[:, None]
        return np.exp(np.column_stack([own["value"] for own in self.category_derivatives(at, thresholds)]))

    def category_derivatives(self, eta: Array, thresholds: Array) -> list[dict[str, Array]]:
        """Of each ordered category, without a scale, its log probability with the core's derivatives.

        They are by eta, and by all thresholds, (n, C - 1), or by the two ends of a category, the upper one first.
        """
        n, one = len(eta), np.ones(len(eta))
        categories = range(thresholds.shape[1] + 1)
        if self.all_thresholds:
            core = self.core_of(thresholds)
            phi = [np.ascontiguousarray(thresholds) for _ in categories]
        else:
            core = CoreFamily(self.name, self.link)
            ends = np.hstack([np.full((n, 1), -np.inf), thresholds, np.full((n, 1), np.inf)])
            phi = [np.ascontiguousarray(ends[:, [k + 1, k]]) for k in categories]
        return [core.derivatives(eta, one + k, one, one, phi[k]) for k in categories]

    def _phi(self, phi: Mapping[str, float] | Array) -> Array | list[float]:
        """As the core has them: a parameter at its limit, which results show as infinite, is a number there."""
        if isinstance(phi, np.ndarray):
            return phi
        return [own.phi(phi[own.name]) for own in self.parameters]


def rows_for_core(eta: ArrayLike, phi: ArrayLike, trials: ArrayLike | None) -> tuple[Array, Array, Array | None]:
    """As the core takes them."""
    second = None if trials is None else np.ascontiguousarray(trials, dtype=np.float64)
    return np.ascontiguousarray(eta, dtype=np.float64), np.ascontiguousarray(phi, dtype=np.float64), second
