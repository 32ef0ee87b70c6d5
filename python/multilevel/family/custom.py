"""A family of the user's own: a log density written in Python with NumPy's and SciPy's functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from multilevel import _core

from ..errors import DataError, and_more
from .callbacks import WITH_ZEROS, Callbacks, OwnParameter, other_links
from .density import rows_for_core
from .names import names_and_links
from .registry import Family, Zero

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

SUPPORTS = ("numbers", "positive", "nonnegative", "counts", "positive counts", "trials", "open unit")
LINKS = ("log", "identity", "sqrt", "inverse", "inverse_squared", "logit", "probit", "cloglog", "cauchit")
MOST_PARAMETERS = 4  # a zero part takes one of them
NO_ZEROS = -30.0  # log odds from which on a zero part adds nothing to a zero of the density


class CustomFamily(Family):
    """A family by its log density, for `fit` and `MixedModel` as any other.

    The density is written once, for numbers. The fit calls it with truncated Taylor series in their place, which
    NumPy's functions and those of `scipy.special` take as they take arrays; the derivatives that come out are exact.

    Parameters
    ----------
    name : str
        As summaries have it; not the name of a family that is built in.
    log_density : callable
        ``log_density(y, eta, *parameters)``: the logarithm of the density or probability of each response, with all
        constants, (n,). `y` is an array; `eta`, the linear predictor, and the parameters may be series: a choice is
        ``np.where``, and what has no series is refused by name. With ``support="trials"`` the response is the number
        of successes, and `trials` is a keyword argument.
    links : sequence of str
        The links that the family may have. The functions are written for the linear predictor of the first one; with
        another they get the one that has the same mean.
    link : str, optional
        The one to use; the first without it.
    support : {"numbers", "positive", "nonnegative", "counts", "positive counts", "trials", "open unit"}
        What a response may be.
    parameters : sequence of str, or mapping of str to float
        What the density takes after `eta`, numbers without bounds, and where the search begins (0 without it). A name
        that begins with ``log_`` or ``logit_`` is that of the logarithm or logit of a parameter, and results show the
        parameter itself. At most four; three with a zero part.
    mean : callable, optional
        ``mean(eta, *parameters)``: the mean of a response, (n,), as `log_density` is called, with numbers; of trials,
        that of the proportion. Without it the mean is what the link makes of `eta`.
    variance : callable, optional
        The same for the variance. Pearson residuals need it.
    start : callable, optional
        ``start(y)``: a linear predictor to begin with for a row, (n,), as `links[0]` has it with one link. Without it,
        the link of the response, where counts of zero are taken for 0.5.
    log_concave : bool, default False
        Whether the log density is concave in `eta` for every response and all parameters, under the first link. Then
        a group has one conditional mode, and the search is several times faster. Where it is not so after all, the fit
        ends with an error. Otherwise a row's density should have one peak over `eta`.
    given : mapping of str to float, optional
        Values of parameters that are not to be estimated, by name, on their natural scale.
    zero : {"", "inflation", "hurdle"}
        As of `Family`.

    Raises
    ------
    DataError
        An argument is not one of those.

    Examples
    --------
    >>> import multilevel as ml
    >>> from scipy.special import gammaln
    >>> poisson = ml.CustomFamily(
    ...     "own_poisson", lambda y, eta: y * eta - np.exp(eta) - gammaln(y + 1), support="counts", log_concave=True
    ... )
    >>> poisson
    CustomFamily('own_poisson', 'log')
    """

    in_python = True

    def __init__(
        self,
        name: str,
        log_density: Callable[..., Any],
        *,
        links: Sequence[str] = ("log",),
        link: str | None = None,
        support: str = "numbers",
        parameters: Sequence[str] | Mapping[str, float] = (),
        mean: Callable[..., Any] | None = None,
        variance: Callable[..., Any] | None = None,
        start: Callable[..., Any] | None = None,
        log_concave: bool = False,
        given: Mapping[str, float] | None = None,
        zero: Zero = "",
    ) -> None:
        links = (links,) if isinstance(links, str) else tuple(links)
        link = links[0] if link is None and links else link
        _check_name(name)
        functions = {"log_density": log_density, "mean": mean, "variance": variance, "start": start}
        for word, function in functions.items():
            if not callable(function) and (function is not None or word == "log_density"):
                raise DataError(f"{word}= is a {type(function).__name__}; it is a function")
        if support not in SUPPORTS:
            raise DataError(f"support={support!r} is not known; there are {', '.join(map(repr, SUPPORTS))}")
        _check_links(name, links, link)
        own = _parameters(name, parameters)
        if zero:
            own += (_zero_parameter(name, support, zero),)
        if len(own) > MOST_PARAMETERS:
            raise DataError(f"the family {name!r} has {len(own)} parameters with its zero part; at most 4 can be")
        self._callbacks = Callbacks(
            name=name,
            link=str(link),
            written_for=links[0],
            support=support,
            log_density=log_density,
            parameters=own,
            own_mean=mean,
            own_variance=variance,
            own_start=start,
            log_concave=bool(log_concave) and link == links[0] and (not zero or support not in WITH_ZEROS),
            zero=zero,
        )
        self._options: dict[str, Any] = {
            "name": name,
            **functions,
            "links": links,
            "link": link,
            "support": support,
            "parameters": dict(parameters) if isinstance(parameters, Mapping) else tuple(parameters),
            "log_concave": log_concave,
            "given": dict(given or {}),
            "zero": zero,
        }
        self.name, self.link, self.zero, self.censored = name, str(link), zero, False
        self._core = _core.Family.of(self._callbacks)
        self.given = {own: self._checked(own, value) for own, value in (given or {}).items()}

    def _with(self, **changed: Any) -> CustomFamily:
        return CustomFamily(**{**self._options, **changed})

    def with_zero(self, zero: Zero) -> CustomFamily:
        """The same family with a zero part."""
        return self._with(zero=zero)

    def with_link(self, link: str) -> CustomFamily:
        """The same family with another of its links."""
        return self._with(link=str(link).lower())

    def with_censoring(self) -> CustomFamily:
        """Refused: that needs a distribution function.

        Raises
        ------
        DataError
            Always.
        """
        raise DataError(
            f"a response of the family {self.name!r} cannot be known in part: it has a density and no distribution "
            "function. Its log_density may have an argument more in its place: write the density of what is known"
        )

    @property
    def independent_trials(self) -> bool:
        """Whether single trials are no reason to refuse a response of the family."""
        return self.support == "trials"

    @property
    def has_variance(self) -> bool:
        """Whether the variance of a response is known."""
        return self._callbacks.own_variance is not None

    @property
    def mean_is_response(self) -> bool:
        """Whether the mean that the link makes is that of the response: not with a function for it, or a zero part."""
        return self._callbacks.own_mean is None and not self.zero

    def response_mean(self, eta: ArrayLike, phi: ArrayLike, trials: ArrayLike | None = None) -> NDArray[np.float64]:
        """Mean of the response; see `Family.response_mean`."""
        return self._moment("mean", eta, phi, trials)

    def response_variance(self, eta: ArrayLike, phi: ArrayLike, trials: ArrayLike | None = None) -> NDArray[np.float64]:
        """Variance of the response; see `Family.response_mean`.

        Raises
        ------
        DataError
            It is not known.
        """
        return self._moment("variance", eta, phi, trials)

    def _moment(self, which: str, eta: ArrayLike, phi: ArrayLike, trials: ArrayLike | None) -> NDArray[np.float64]:
        at, own, second = rows_for_core(eta, phi, trials)
        columns = [own[..., r] for r in range(own.shape[-1])]
        with np.errstate(all="ignore"):
            found = getattr(self._callbacks, which)(at, columns, np.ones_like(at) if second is None else second)
        return np.broadcast_to(np.asarray(found, dtype=np.float64), at.shape).copy()

    def log_density_lacks(
        self,
        eta: NDArray[np.float64],
        y: NDArray[np.float64],
        trials: NDArray[np.float64],
        phi: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """What the log density of a response of unit weight lacks at `eta` to its largest; see `Family`."""
        own = [phi[..., r] for r in range(phi.shape[-1])]
        best = self._callbacks.suprema(y, trials, eta, own)
        return best - self._callbacks.derivatives(y, trials, eta, own, 2, False)[0]

    def check_rows(self, y: NDArray[np.float64], trials: NDArray[np.float64] | None) -> None:
        """Refuses responses whose density is zero wherever a search would begin.

        Raises
        ------
        DataError
            There are such; the message has the first.
        """
        one = np.ones_like(y)
        size = one if trials is None else trials
        phi = [own.start for own in self._callbacks.parameters]
        found = np.zeros(len(y), dtype=bool)
        starts = [np.zeros_like(y), one, -one]
        if self._callbacks.has_start or self.support != "trials":
            with np.errstate(all="ignore"):
                starts.append(self._starts(y, size))
        for eta in starts:
            found |= np.isfinite(self._callbacks.derivatives(y, size, eta, phi, 2, False)[0])
        if not found.all():
            row = int(np.argmin(found))
            raise DataError(
                f"the log density of the family {self.name!r} is not finite for the response {y[row]:g}"
                f"{and_more(int((~found).sum()) - 1, ', nor for {} others,')} at linear predictors of -1, 0 and 1 and "
                "where a search would begin: is support= what the density takes? start= says where else it may begin"
            )

    def _starts(self, y: NDArray[np.float64], trials: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self._callbacks.has_start:
            return self.link_of_mean(np.where(y > 0, y, 0.5) if self.support != "numbers" else y)
        return np.array([self._callbacks.start_eta(*row) for row in zip(y, trials, strict=True)])

    def __repr__(self) -> str:
        zero = f", zero={self.zero!r}" if self.zero else ""
        given = f", given={self.given}" if self.given else ""
        return f"CustomFamily({self.name!r}, {self.link!r}{zero}{given})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CustomFamily) and self._options == other._options

    def __hash__(self) -> int:
        return hash((self.name, self.link, self.zero, self._options["log_density"]))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_made, (self._options,))


def _made(options: dict[str, Any]) -> CustomFamily:
    return CustomFamily(**options)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise DataError(f"the name of a family is {name!r}; it is a text")
    if name.lower() in names_and_links():
        raise DataError(f"there is a family {name!r} already: give yours another name")


def _check_links(name: str, links: tuple[str, ...], link: object) -> None:
    unknown = [own for own in links if own not in LINKS]
    if unknown or not links:
        what = repr(unknown[0]) if unknown else "()"
        raise DataError(f"links={what}: there are {', '.join(map(repr, LINKS))}")
    if link not in links:
        raise DataError(f"the {name} family has no link {link!r}; it has {', '.join(links)}")
    apart = [own for own in links if own not in other_links(links[0])]
    if apart:
        raise DataError(
            f"a density written for the {links[0]} link has no {apart[0]!r} link: it can have "
            f"{', '.join(other_links(links[0]))}"
        )


def _zero_parameter(name: str, support: str, zero: str) -> OwnParameter:
    may = {"counts": ("inflation", "hurdle"), "trials": ("inflation", "hurdle"), "nonnegative": ("inflation",)}
    may |= {"positive": may["counts"], "open unit": may["counts"]}
    if zero not in may.get(support, ()):
        raise DataError(
            f"zero={zero!r}: the family {name!r}, whose responses are {support}, has no such part; "
            f"it may have {' or '.join(map(repr, may.get(support, ()))) or 'none'}"
        )
    if support in WITH_ZEROS and zero == "inflation":
        meaning = "the probability of a zero beside those of the family itself"
        return OwnParameter("zero_probability", "logit", 0.0, meaning, "zero", name, NO_ZEROS)
    return OwnParameter("zero_probability", "logit", 0.0, "the probability of a zero", "zero")


def _parameters(name: str, given: object) -> tuple[OwnParameter, ...]:
    if isinstance(given, str):
        given = (given,)
    items = list(given.items()) if isinstance(given, Mapping) else [(own, 0.0) for own in given]  # type: ignore[attr-defined]
    parameters = []
    for own, start in items:
        if not isinstance(own, str) or not own.isidentifier():
            raise DataError(f"parameters: {own!r} is no name")
        if isinstance(start, bool) or not isinstance(start, (int, float, np.number)) or not np.isfinite(start):
            raise DataError(f"parameters: {own!r} begins with {start!r}; it begins with a number")
        scale, _, rest = own.partition("_")
        natural = scale in ("log", "logit") and rest
        parameters.append(
            OwnParameter(rest, scale, float(start)) if natural else OwnParameter(own, "plain", float(start))
        )
    names = [own.name for own in parameters]
    if len(set(names)) < len(names) or len(names) > MOST_PARAMETERS:
        raise DataError(f"parameters={names} of the family {name!r}: at most {MOST_PARAMETERS}, each once")
    return tuple(parameters)
