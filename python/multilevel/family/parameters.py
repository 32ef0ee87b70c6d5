"""A parameter of a family's own: its names, its natural scale and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scale = Literal["log", "reciprocal", "logit", "power", "plain", "slant"]
LEAST_SLOPE = 0.02  # of the scale "slant"


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
    scale : {"log", "reciprocal", "logit", "power", "plain", "slant"}
        How the parameter follows from the phi that the fit moves: exp(phi), exp(-phi), 1 / (1 + exp(-phi)), one more
        than that, phi itself, or the alpha with 1.02 alpha - alpha / (1 + alpha^2) = phi.
    part : str
        What a formula for it is called.
    lower_limit : float
        The same as `limit` at the other end; minus infinity without one.
    """

    name: str
    meaning: str
    limit: float
    becomes: str
    scale: Scale
    part: str
    lower_limit: float = float("-inf")

    @property
    def internal(self) -> str:
        """The name of what is optimized."""
        prefix = {"plain": "", "log": "log_", "reciprocal": "minus_log_", "slant": "slant_"}
        return prefix.get(self.scale, "logit_") + self.name

    def natural(self, phi: float) -> float:
        """The parameter at phi; at its limits infinite, or the value that it has there."""
        return float(self.naturals(np.array([phi]))[0])

    def naturals(self, phi: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same of an array."""
        with np.errstate(over="ignore"):
            if self.scale in ("log", "reciprocal"):
                values = np.exp(phi if self.scale == "log" else -np.asarray(phi))
            elif self.scale == "plain":
                values = np.array(phi)
            elif self.scale == "slant":
                values = np.array([_slant(own) for own in np.ravel(phi)]).reshape(np.shape(phi))
            else:
                least = np.exp(-np.abs(phi))
                values = np.where(phi >= 0, 1.0, least) / (1.0 + least) + (1.0 if self.scale == "power" else 0.0)
        values = np.where(phi <= self.lower_limit, {"plain": -np.inf, "power": 1.0}.get(self.scale, 0.0), values)
        return np.where(phi >= self.limit, {"power": 2.0, "reciprocal": 0.0}.get(self.scale, np.inf), values)

    def slope(self, phi: float) -> float:
        """Derivative of the parameter with respect to phi."""
        if self.scale == "reciprocal":
            return float(-np.exp(-phi))
        if self.scale == "slant":
            square = _slant(phi) ** 2
            return float(1.0 / (1.0 + LEAST_SLOPE - (1.0 - square) / (1.0 + square) ** 2))
        if self.scale in ("log", "plain"):
            return float(np.exp(phi)) if self.scale == "log" else 1.0
        return float(0.25 / np.cosh(0.5 * phi) ** 2)

    @property
    def scale_in_words(self) -> str:
        """What a formula for it is a model of."""
        return {"log": "log ", "plain": "", "slant": ""}.get(self.scale, "logit ") + self.name

    @property
    def range(self) -> str:
        """The values that it may have, in words."""
        return {
            "log": "it is a number above zero",
            "logit": "it is a number between zero and one",
            "power": "it is a number between one and two",
            "plain": "it is a number",
            "slant": "it is a number",
        }[self.scale]

    def phi(self, value: float) -> float:
        """The phi of a value of the parameter; the limit's where it is there."""
        if self.scale == "slant":
            return float((1.0 + LEAST_SLOPE) * value - value / (1.0 + value**2))
        with np.errstate(divide="ignore"):
            if self.scale == "plain":
                phi = value
            elif self.scale in ("log", "reciprocal"):
                phi = float(np.log(value)) * (1.0 if self.scale == "log" else -1.0)
            else:
                share = value - 1.0 if self.scale == "power" else value
                phi = float(np.log(share) - np.log1p(-share)) if share < np.inf else np.inf
        return max(min(phi, self.limit), self.lower_limit)

    def is_at_limit(self, value: float) -> bool:
        """Whether a value of the parameter makes the family the one that it `becomes`."""
        return bool(self.becomes) and not self.lower_limit < self.phi(value) < self.limit


def _slant(phi: float) -> float:
    """The one real root of a cubic equation that rises."""
    if phi == 0 or not np.isfinite(phi):
        return float(phi)
    roots = np.roots([1.0 + LEAST_SLOPE, -phi, LEAST_SLOPE, -phi])
    return float(roots[np.argmin(np.abs(roots.imag))].real)
