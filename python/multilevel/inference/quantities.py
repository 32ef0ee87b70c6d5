"""What of a model can be profiled: every parameter on its natural scale, by name, as a function of psi."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from multilevel import _core

from ..errors import DataError
from ..fitting import covariance as structures
from ..formula.structures import factor_names
from .variance_components import theta_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..design.random_terms import RandomTerm
    from ..family.parameters import Parameter
    from ..fitting.record import Fit

LARGEST_TAU = 12.0  # where the core takes a correlation to have reached its end
AT_END = 1e-8  # a correlation this close to +-1 is there
LONGEST_FIRST = 1.0  # step of a logarithm, a logit or a tau
OF_GRADIENT, OF_HESSIAN = 1e-4, 3e-3  # steps of differences, in standard errors
LEAST_STEP = 1e-6
LATENT_VARIANCE = {"logit": np.pi**2 / 3.0, "probit": 1.0, "cloglog": np.pi**2 / 6.0}

Function = Callable[[dict[str, float]], float]


def _same(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values


def _ones(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ones_like(values)


@dataclass(frozen=True, eq=False)
class Quantity:
    """A parameter on its natural scale, or something made of parameters.

    Attributes
    ----------
    name, kind : str
        "fixed", "random", "family", "component" (a coefficient of a part beside the mean) or "derived".
    held : dict
        What the core holds, as it is told: a function of psi that `natural` makes the quantity of.
    at : callable
        The quantity at psi, (P,).
    natural, slope : callable
        From what the core holds to the quantity, of arrays; the derivative.
    undefined : str
        Why there is no profile; empty when there is one.
    """

    name: str
    kind: str
    held: dict[str, Any]
    at: Callable[[NDArray[np.float64]], float]
    natural: Callable[[NDArray[np.float64]], NDArray[np.float64]] = field(default=_same)
    slope: Callable[[NDArray[np.float64]], NDArray[np.float64]] = field(default=_ones)
    undefined: str = ""


def quantities(fit: Fit) -> dict[str, Quantity]:
    """All parameters of a fit by name: fixed effects, standard deviations and correlations, parts, the family's own."""
    found = [_coefficient(fit, name, "fixed", at) for at, name in enumerate(fit.fixed_names)]
    for term, at in zip(fit.design.random_terms, theta_positions(fit), strict=True):
        found += _of_term(fit, term, at)
    for part in fit.components:
        found += [
            _coefficient(fit, f"{part.name}: {name}", "component", part.first + k) for k, name in enumerate(part.names)
        ]
    own = {parameter.name: parameter for parameter in fit.family.parameters}
    found += [_family_parameter(fit, own[name], at) for name, at in fit.phi_places.items()]
    return {quantity.name: quantity for quantity in found}


def _unit(fit: Fit, at: int) -> NDArray[np.float64]:
    weights = np.zeros(len(fit.psi))
    weights[at] = 1.0
    return weights


def _length(row: NDArray[np.int64], psi: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.sum(psi[row] ** 2)))


def _through(
    natural: Callable[[NDArray[np.float64]], NDArray[np.float64]], place: int, psi: NDArray[np.float64]
) -> float:
    return float(natural(psi[[place]])[0])


def _coefficient(fit: Fit, name: str, kind: str, at: int) -> Quantity:
    return Quantity(name, kind, {"weights": _unit(fit, at)}, lambda psi: float(psi[at]))


def _family_parameter(fit: Fit, parameter: Parameter, at: int) -> Quantity:
    held = {"weights": _unit(fit, at), "longest_first": LONGEST_FIRST}
    held |= {"lower": parameter.lower_limit, "upper": parameter.limit}

    def slope(phi: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([parameter.slope(own) for own in phi])

    return Quantity(parameter.name, "family", held, lambda psi: parameter.natural(psi[at]), parameter.naturals, slope)


def _of_term(fit: Fit, term: RandomTerm, at: NDArray[np.int64]) -> list[Quantity]:
    """Standard deviations, then correlations, of a random-effects term."""
    group = fit.design.grouping_factors[term.grouping_factor].name
    labels = _core.Structure(term.structure, len(term.names)).labels
    if factor_names(term.structure):
        return _of_factors(fit, term, at, labels, group)
    by_entries = all(label.startswith("entry") for label in labels)
    return (_of_entries if by_entries else _of_scales)(fit, term, at, labels, group)


def _of_scales(fit: Fit, term: RandomTerm, at: NDArray[np.int64], labels: list[str], group: str) -> list[Quantity]:
    """Where theta holds standard deviations, and perhaps what makes their correlation."""
    found, scales = [], [int(place) for label, place in zip(labels, at, strict=True) if label.startswith("sd")]
    for label, place in zip(labels, at, strict=True):
        if label.startswith("sd"):
            _, *column = label.split(" ")
            name = f"{group}: sd {term.names[int(column[0])]}" if column else f"{group}: sd"
            held = {"weights": _unit(fit, int(place)), "lower": 0.0}
            found.append(Quantity(name, "random", held, partial(_length, np.array([place]))))
            continue
        correlation = _Correlation(term.structure, len(term.names), labels)
        held = {"weights": _unit(fit, int(place)), "lower": -LARGEST_TAU, "upper": LARGEST_TAU}
        held |= {"longest_first": LONGEST_FIRST, "undefined_at_zeros": [[own] for own in scales]}
        gone = not all(fit.psi[own] != 0.0 for own in scales) or len(term.names) < 2
        found.append(
            Quantity(
                f"{group}: correlation",
                "random",
                held,
                partial(_through, correlation.values, int(place)),
                correlation.values,
                correlation.slopes,
                "a standard deviation is zero" if gone else "",
            )
        )
    return found


def _of_factors(fit: Fit, term: RandomTerm, at: NDArray[np.int64], labels: list[str], group: str) -> list[Quantity]:
    """Loadings, and the correlation of the first two factors; others are made of several parameters."""
    found = []
    for label, place, name in zip(labels, at, structures.parameter_names(term.structure, term.names), strict=True):
        held: dict[str, Any] = {"weights": _unit(fit, int(place))}
        if label.startswith("loading"):
            natural = partial(_through, np.asarray, int(place))
            found.append(Quantity(f"{group}: {name}", "random", held, natural))
        elif label == "factors 1 0":
            held["longest_first"] = LONGEST_FIRST
            natural = partial(_through, _bounded, int(place))
            found.append(Quantity(f"{group}: {name}", "random", held, natural, _bounded, _bounded_slope))
    return found


def _bounded(c: NDArray[np.float64]) -> NDArray[np.float64]:
    """The correlation that c makes."""
    return c / np.hypot(c, 1.0)


def _bounded_slope(c: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hypot(c, 1.0) ** -3.0


class _Correlation:
    """The correlation of neighbours as a function of tau."""

    def __init__(self, structure: str, q: int, labels: list[str]) -> None:
        self.core, self.theta = _core.Structure(structure, q), np.ones(len(labels))
        self.place = labels.index("correlation")

    def values(self, tau: NDArray[np.float64]) -> NDArray[np.float64]:
        """At each tau; exactly +-1 at an end that is there."""
        found = np.empty(len(tau))
        for k, own in enumerate(tau):
            theta = self.theta.copy()
            theta[self.place] = own
            half = self.core.factor(theta)
            found[k] = (half @ half.T)[1, 0]
        return _at_ends(found)

    def slopes(self, tau: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivatives there."""
        found = np.empty(len(tau))
        for k, own in enumerate(tau):
            theta = self.theta.copy()
            theta[self.place] = own
            change = self.core.jacobian(theta)[self.place] @ self.core.factor(theta).T
            found[k] = (change + change.T)[1, 0]
        return found


def _at_ends(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.abs(values) > 1.0 - AT_END, np.sign(values), values)


def _of_entries(fit: Fit, term: RandomTerm, at: NDArray[np.int64], labels: list[str], group: str) -> list[Quantity]:
    """Where theta holds the entries of a lower factor: lengths of its rows, and angles between them."""
    q = len(term.names)
    places = np.full((q, q), -1)
    for label, place in zip(labels, at, strict=True):
        _, row, column = label.split(" ")
        places[int(row), int(column)] = place
    rows = [own[own >= 0] for own in places]
    # Without a coefficient its column has nothing to do, either; where columns are loadings every row uses all.
    full = term.structure == "unstructured"
    zeros = [sorted({int(own) for own in (*rows[i], *(places[i:, i] if full else ())) if own >= 0}) for i in range(q)]
    found = []
    for i in range(q):
        name = f"{group}: sd {term.names[i]}"
        held: dict[str, Any] = (
            {"weights": _unit(fit, int(rows[i][0])), "lower": 0.0}
            if len(rows[i]) == 1
            else {"row": [int(own) for own in rows[i]]}
        )
        if len(zeros[i]) > 1:
            held["zeros_at_lower"] = zeros[i]
        found.append(Quantity(name, "random", held, partial(_length, rows[i])))
    if term.structure in structures.INDEPENDENT or max(map(len, rows)) < 2:
        return found
    for j in range(q):
        for i in range(j + 1, q):
            gone = not (fit.psi[rows[i]].any() and fit.psi[rows[j]].any())
            found.append(
                Quantity(
                    f"{group}: correlation {term.names[i]}, {term.names[j]}",
                    "random",
                    {
                        "rows": (list(map(int, places[i])), list(map(int, places[j]))),
                        "undefined_at_zeros": [zeros[i], zeros[j]],
                    },
                    partial(_cosine, places[i], places[j]),
                    _at_ends,
                    undefined="a standard deviation is zero" if gone else "",
                )
            )
    return found


def _cosine(first: NDArray[np.int64], second: NDArray[np.int64], psi: NDArray[np.float64]) -> float:
    one, two = (np.where(own >= 0, psi[own], 0.0) for own in (first, second))
    size = np.sqrt(np.sum(one**2) * np.sum(two**2))
    return float(_at_ends(np.array([one @ two / size]))[0]) if size > 0 else np.nan


# ---- made of parameters ------------------------------------------------------------------------------------------


def derived(fit: Fit, name: str, meaning: Function | Mapping[str, float], known: Mapping[str, Quantity]) -> Quantity:
    """A function of the parameters by name, or a sum of coefficients with weights.

    Raises
    ------
    DataError
        Weights are of something that is no coefficient, or the function gives no finite number at the estimates.
    """
    if not callable(meaning):
        weights = np.zeros(len(fit.psi))
        for term, weight in meaning.items():
            if term not in known or known[term].kind not in ("fixed", "component"):
                raise DataError(
                    f"the contrast {name!r} has a weight of {term!r}, which is no coefficient; for other parameters "
                    "give a function of them"
                )
            weights += float(weight) * known[term].held["weights"]
        if not np.isfinite(weights).all() or not weights.any():
            raise DataError(f"the weights of the contrast {name!r} must be finite numbers that are not all zero")
        return Quantity(name, "derived", {"weights": weights}, lambda psi: float(weights @ psi))

    def at(psi: NDArray[np.float64]) -> float:
        return float(meaning({own.name: own.at(psi) for own in known.values()}))

    if not np.isfinite(at(fit.psi)):
        raise DataError(f"the function {name!r} is not finite at the estimates")
    return Quantity(name, "derived", {"function": _differentiated(fit, at)}, at)


def _differentiated(
    fit: Fit, at: Callable[[NDArray[np.float64]], float]
) -> Callable[[NDArray[np.float64], int], tuple[float, NDArray[np.float64], NDArray[np.float64]]]:
    """Value, gradient and Hessian by central differences."""
    variances = np.diag(fit.covariance)
    errors = np.sqrt(np.where(variances > 0, variances, LEAST_STEP + 1e-4 * fit.psi**2))

    def gradient(psi: NDArray[np.float64]) -> NDArray[np.float64]:
        steps = np.diag(OF_GRADIENT * errors)
        return np.array([(at(psi + step) - at(psi - step)) / (2.0 * step.sum()) for step in steps])

    def differentiated(psi: NDArray[np.float64], order: int) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        slopes = gradient(psi) if order > 0 else np.zeros(len(psi))
        curvature = np.zeros((len(psi), len(psi)))
        if order > 1:
            steps = np.diag(OF_HESSIAN * errors)
            curvature = np.array([(gradient(psi + s) - gradient(psi - s)) / (2.0 * s.sum()) for s in steps])
            curvature = 0.5 * (curvature + curvature.T)
        return at(psi), slopes, curvature

    return differentiated


def icc(fit: Fit, known: Mapping[str, Quantity]) -> Quantity:
    """The share of the variance that is between the levels of the one grouping factor.

    Of linear models the residual is sigma^2, of binomial ones that of the latent variable: pi^2 / 3 (logit), 1
    (probit), pi^2 / 6 (cloglog).

    Raises
    ------
    DataError
        The model has more than one random intercept, or its family no such residual.
    """
    sds = [own.name for own in known.values() if own.kind == "random"]
    intercept = len(sds) == 1 and fit.design.random_terms[0].names == ("(Intercept)",)
    binary = fit.family.name in ("binomial", "bernoulli") and fit.family.link in LATENT_VARIANCE
    if not intercept or fit.design.random_terms[0].parameter or not (fit.is_linear or binary):
        raise DataError(
            "'icc' is for linear and binomial (logit, probit, cloglog) models with a single random intercept; of "
            "others give a function of the parameters that says what is meant"
        )
    (sd,) = sds
    residual = fit.family.parameters[0].name if fit.is_linear else ""

    def share(values: dict[str, float]) -> float:
        rest = values[residual] ** 2 if residual else LATENT_VARIANCE[fit.family.link]
        return values[sd] ** 2 / (values[sd] ** 2 + rest)

    if fit.is_linear:
        made = derived(fit, "icc", share, known)
        made.held["lower"] = 0.0
        made.held["zeros_at_lower"] = [int(np.flatnonzero(known[sd].held["weights"])[0])]
        return made
    rest = LATENT_VARIANCE[fit.family.link]
    return Quantity(
        "icc",
        "derived",
        known[sd].held,
        lambda psi: share({sd: known[sd].at(psi)}),
        lambda values: values**2 / (values**2 + rest),
        lambda values: 2.0 * values * rest / (values**2 + rest) ** 2,
    )
