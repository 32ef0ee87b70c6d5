"""All parameters on the scale on which they are reported, of many fits at once.

The names are those of `tidy()`: coefficients, standard deviations and correlations of the random effects, the family's
own parameters. Of one fit the tables of `inference` have the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import covariance as structures
from .parameters import variance_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..design.design import Design
    from ..family.parameters import Parameter
    from ..family.registry import Family
    from .parameters import Component

    Array = NDArray[np.float64]

AT_BOUNDARY = 1e-12  # a correlation this close to +-1 is there


@dataclass(frozen=True)
class Quantity:
    """A parameter that is reported.

    Attributes
    ----------
    effect, group, term : str
        As in `tidy()`; the group is empty but for random effects.
    label : str
        One name for all of it: "x", "herd: sd__(Intercept)", "sigma", "zero: x".
    """

    effect: str
    group: str
    term: str
    label: str


class Natural:
    """From psi to what is reported.

    Parameters
    ----------
    design : Design
    family : Family
    kept : tuple of str
        The columns of the fixed part that take part.
    components : tuple of Component
        Parts of the model beside the mean.
    """

    def __init__(
        self, design: Design, family: Family, kept: tuple[str, ...], components: tuple[Component, ...]
    ) -> None:
        self.n_fixed = len(kept)
        self.quantities = [Quantity("fixed", "", name, name) for name in kept]
        self.terms: list[_TermPart] = []
        at = len(kept)
        for term in design.random_terms:
            group = design.grouping_factors[term.grouping_factor].name
            part = _TermPart(term.structure, term.names, at)
            self.terms.append(part)
            self.quantities += [Quantity("ran_pars", group, name, f"{group}: {name}") for name in part.names]
            at += part.n_theta
        self.share = float(np.sqrt(variance_share(design, family, len(kept))))
        beside = {own.parameter: own for own in components}
        self.phi: list[tuple[int, Parameter | None]] = []
        for parameter in family.parameters:
            if parameter.name in family.given:
                continue
            if parameter.name in beside:
                own = beside[parameter.name]
                self.quantities += [Quantity(own.name, "", name, f"{own.name}: {name}") for name in own.names]
                self.phi += [(at + k, None) for k in range(len(own.names))]
                at += len(own.names)
                continue
            if design.thresholds is not None and parameter.part == "thresholds":
                continue  # the thresholds again, seen from above
            self.quantities.append(Quantity("family", "", parameter.name, parameter.name))
            self.phi.append((at, parameter))
            at += 1

    @property
    def labels(self) -> list[str]:
        """The names, one for each quantity."""
        return [own.label for own in self.quantities]

    def values(self, psi: Array) -> Array:
        """Of psi (m, P) the quantities, (m, K)."""
        columns = [psi[:, : self.n_fixed]]
        columns += [part.values(psi) for part in self.terms]
        for at, parameter in self.phi:
            own = psi[:, at]
            columns.append((own if parameter is None else parameter.naturals(own) * self.share)[:, None])
        return np.concatenate(columns, axis=1)

    def errors(self, psi: Array, covariance: Array, beta_covariance: Array) -> Array:
        """Standard errors of the quantities by the delta method, (m, K); NaN at a boundary.

        Parameters
        ----------
        psi : ndarray, (m, P)
        covariance : ndarray, (m, P, P)
            Of psi.
        beta_covariance : ndarray, (m, p, p)
            What standard errors of the fixed effects come from.
        """
        with np.errstate(invalid="ignore"):
            columns = [np.sqrt(np.diagonal(beta_covariance, axis1=1, axis2=2)) * self.share]
            columns += [part.errors(psi, covariance) for part in self.terms]
            for at, parameter in self.phi:
                own = np.sqrt(covariance[:, at, at]) * self.share
                if parameter is not None:
                    slope = np.array([parameter.slope(value) if np.isfinite(value) else np.nan for value in psi[:, at]])
                    own = own * np.abs(slope) * self.share
                columns.append(own[:, None])
        return np.concatenate(columns, axis=1)


class _TermPart:
    """Standard deviations and correlations of one random-effects term."""

    def __init__(self, structure: str, names: tuple[str, ...], at: int) -> None:
        q = len(names)
        self.structure, self.q = structure, q
        self.n_theta = len(structures.parameter_names(structure, names))
        self.at = slice(at, at + self.n_theta)
        pairs = [] if structure in structures.INDEPENDENT else [(a, b) for b in range(q) for a in range(b + 1, q)]
        self.first = np.array([a for a, _ in pairs], dtype=int)
        self.second = np.array([b for _, b in pairs], dtype=int)
        self.names = [f"sd__{name}" for name in names]
        self.names += [f"cor__{names[b]}.{names[a]}" for a, b in pairs]

    def covariances(self, psi: Array) -> Array:
        """(m, q, q); NaN where theta is not finite."""
        result = np.full((len(psi), self.q, self.q), np.nan)
        for own, theta in zip(result, psi[:, self.at], strict=True):
            if np.isfinite(theta).all():
                half = structures.factor(self.structure, theta, self.q)
                own[:] = half @ half.T
        return result

    def values(self, psi: Array) -> Array:
        sigma = self.covariances(psi)
        sd = np.sqrt(np.diagonal(sigma, axis1=1, axis2=2))
        with np.errstate(divide="ignore", invalid="ignore"):
            pairs = sigma[:, self.first, self.second] / (sd[:, self.first] * sd[:, self.second])
        return np.concatenate([sd, pairs], axis=1)

    def errors(self, psi: Array, covariance: Array) -> Array:
        values = self.values(psi)
        result = np.full(values.shape, np.nan)
        for k, theta in enumerate(psi[:, self.at]):
            own = covariance[k, self.at, self.at]
            known = ~np.isnan(np.diagonal(own))
            if not (np.isfinite(theta).all() and known.any()):
                continue
            slope = structures.jacobian(self.structure, theta, self.q)  # (n_theta, q, q)
            sd = values[k, : self.q]
            with np.errstate(divide="ignore", invalid="ignore"):
                d_sd = np.diagonal(slope, axis1=1, axis2=2) / (2.0 * sd)
                a, b = self.first, self.second
                relative = d_sd / sd
                correlation = values[k, self.q :]
                d_pair = slope[:, a, b] / (sd[a] * sd[b]) - correlation * (relative[:, a] + relative[:, b])
            d_pair[:, np.abs(correlation) >= 1.0 - AT_BOUNDARY] = np.nan
            d = np.concatenate([d_sd, d_pair], axis=1)
            variance = np.einsum("ak,ab,bk->k", d[known], own[np.ix_(known, known)], d[known])
            depends = (d[~known] != 0).any(axis=0)
            with np.errstate(invalid="ignore"):
                result[k] = np.sqrt(np.where(depends | ~(variance >= 0), np.nan, variance))
        return result
