"""Distributions of counts that have no closed form but their probabilities, which are summed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]
    Places = NDArray[np.intp]
    LogDensity = Callable[[Array, Places], Array]


SPREAD, MARGIN = 20.0, 30.0  # standard deviations, and counts, around a mean: outside a probability is nothing
FAR = 3.0  # times as far there may be a tail, and nothing else
ONE_BY_ONE = 20_000  # counts of a mean; of what is left, where probabilities change little from one to the next, the
STEPS = 20_000  # middle one stands for its neighbours
MOST_DOUBLINGS = 12  # of what the sums reach, for a quantile far out
GROWTH = 1e-3  # of steps in a tail, beside the distance
CELLS = 2_000_000  # probabilities held at once
LEAST_MASS = 0.9  # of all counts together; a generalized Poisson distribution may lack half a percent


class Counts:
    """Counts from zero on, each of a mean of its own, by the logarithms of their probabilities.

    Parameters
    ----------
    log_density : callable
        Of counts and the places in `mu` (as one row of numbers) of their means, arrays of one shape.
    mu, var : ndarray of float64
        Means and variances.
    """

    def __init__(self, log_density: LogDensity, mu: ArrayLike, var: ArrayLike) -> None:
        self._log_density = log_density
        self._mu, self._var = np.asarray(mu, dtype=np.float64), np.asarray(var, dtype=np.float64)

    def mean(self) -> Array:
        """Means."""
        return self._mu

    def var(self) -> Array:
        """Variances."""
        return self._var

    def std(self) -> Array:
        """Standard deviations."""
        return np.sqrt(self._var)

    def logpmf(self, y: ArrayLike) -> Array:
        """Logarithms of probabilities."""
        at, places = self._with_places(y)
        return self._log_density(at, places)

    def pmf(self, y: ArrayLike) -> Array:
        """Probabilities."""
        return np.exp(self.logpmf(y))

    def cdf(self, y: ArrayLike) -> Array:
        """Probabilities of no more than `y`."""
        at, places = self._with_places(y)
        found = np.zeros(at.shape)
        for asked, table in self._tables(np.floor(at), places):
            found.flat[asked] = np.minimum(table.below(np.floor(at.flat[asked]), places.flat[asked]), 1.0)
        return found

    def ppf(self, q: ArrayLike) -> Array:
        """The least counts whose cdf reaches `q`; the largest there is, where probabilities sum to less.

        Raises
        ------
        DataError
            There is no distribution with one of the means.
        """
        want, places = self._with_places(q)
        found = np.zeros(want.shape)
        for asked, table in self._tables(None, places):
            wanted, own = want.flat[asked], places.flat[asked]
            found.flat[asked], mass = table.reaching(wanted, own), table.mass(own)
            lacks, doubled = np.flatnonzero(mass < wanted), 0
            while len(lacks) and doubled < MOST_DOUBLINGS:
                doubled += 1
                means = np.unique(own[lacks])
                first, _ = self._window(means)
                table = self._table(means, first, first + 2.0 * table.reach)
                before, mass[lacks] = mass[lacks], table.mass(own[lacks])
                found.flat[asked[lacks]] = table.reaching(wanted[lacks], own[lacks])
                lacks = lacks[(mass[lacks] < wanted[lacks]) & (mass[lacks] > before)]
            none = mass < LEAST_MASS
            if np.any(none):
                raise DataError(
                    f"there is no distribution of counts with the mean {self._mu.flat[own[none][0]]:.4g} and these "
                    "parameters: a generalized Poisson one with a dispersion below one needs a mean at which counts "
                    "up to four have a probability. The family 'conway_maxwell_poisson' has less variance than the "
                    "Poisson at any mean"
                )
        return found

    def rvs(self, size: Any = None, random_state: np.random.Generator | None = None) -> Array:
        """Random counts, by inversion."""
        rng = np.random.default_rng() if random_state is None else random_state
        return self.ppf(rng.uniform(size=self._mu.shape if size is None else size))

    def _with_places(self, values: ArrayLike) -> tuple[Array, Places]:
        """Values and the places of their means, in one shape."""
        places = np.arange(self._mu.size).reshape(self._mu.shape)
        at, own = np.broadcast_arrays(np.asarray(values, dtype=np.float64), places)
        return at, own

    def _window(self, places: Places, far: float = 1.0) -> tuple[Array, Array]:
        """The first and the last count of each mean that is not nothing."""
        mu, sd = self._mu.flat[places], np.sqrt(self._var.flat[places])
        first = np.maximum(np.floor(mu - SPREAD * sd - MARGIN), 0.0)
        return first, np.ceil(mu + far * (SPREAD * sd + MARGIN))

    def _tables(self, at: Array | None, places: Places) -> Iterator[tuple[Places, _Table]]:
        """Means in portions, those alike in length together: the values that ask for them, and a table of each.

        Tables reach as far as `at` where that is given, or to where nothing is left.
        """
        if not places.size:
            return
        means = np.unique(places)
        first, last = self._window(means)
        if at is not None:
            most = np.full(self._mu.size, -np.inf)
            np.maximum.at(most, places.ravel(), at.ravel())
            last = np.maximum(most[means], first)
        length = np.minimum(last - first + 1.0, ONE_BY_ONE + STEPS)
        order = np.argsort(length, kind="stable")
        begins = _portions(length[order])
        portion = np.zeros(self._mu.size, dtype=np.intp)
        portion[means[order]] = np.searchsorted(begins, np.arange(len(order)), side="right") - 1
        asking = portion[places.ravel()]
        values = np.split(np.argsort(asking, kind="stable"), np.cumsum(np.bincount(asking))[:-1])
        for asked, begin, end in zip(values, begins, [*begins[1:], len(order)], strict=True):
            own = order[begin:end]
            yield asked, self._table(means[own], first[own], last[own])

    def _table(self, places: Places, first: Array, last: Array) -> _Table:
        """Sums of the probabilities between two counts of each mean."""
        far = self._window(places, FAR)[1]
        begin, width = _cells(int(np.max(last - first)) + 1, int(np.max(far - first)) + 1)
        middle = first[:, None] + begin + 0.5 * (width - 1.0)
        share = np.exp(self._log_density(middle, np.broadcast_to(places[:, None], middle.shape))) * width
        return _Table(places, first, begin, width, np.cumsum(share, axis=1))


def _cells(length: int, near: int) -> tuple[Array, Array]:
    """Where cells begin that cover so many counts, and their widths, which are odd: there is a middle one. Up to `near`
    in equal steps, if not one by one; beyond, where a tail is all that is left, in steps that grow with the distance.
    """
    near = min(near, length)
    single = min(near, ONE_BY_ONE)
    step = max(int(np.ceil((near - single) / STEPS)), 1) // 2 * 2 + 1
    begins = [np.arange(float(single)), np.arange(single, near, step, dtype=np.float64)]
    widths = [np.ones(single), np.full(len(begins[1]), float(step))]
    at = int(begins[1][-1]) + step if len(begins[1]) else single
    tail = []
    while at < length:
        tail.append((at, int(GROWTH * at) // 2 * 2 + 1))
        at += tail[-1][1]
    far = np.array(tail, dtype=np.float64).reshape(-1, 2)
    return np.concatenate([*begins, far[:, 0]]), np.concatenate([*widths, far[:, 1]])


def _portions(length: Array) -> list[int]:
    """Where portions begin of tables whose lengths ascend, each of as many as may be held at once."""
    begins = [0]
    while begins[-1] < len(length):
        # The last of a portion is the longest.
        cells = length[begins[-1] :] * np.arange(1, len(length) - begins[-1] + 1)
        begins.append(begins[-1] + max(int(np.searchsorted(cells, CELLS, side="right")), 1))
    return begins[:-1]


class _Table:
    """Of some means, the sums of probabilities over cells of one count or several."""

    def __init__(self, places: Places, first: Array, begin: Array, width: Array, sums: Array) -> None:
        self._places, self._first, self._begin, self._width, self._sums = places, first, begin, width, sums
        self._order = np.argsort(places)
        self.reach = begin[-1] + width[-1]  # counts, from the first one of a mean

    def _rows(self, places: Places) -> Places:
        return self._order[np.searchsorted(self._places, places, sorter=self._order)]

    def mass(self, places: Places) -> Array:
        """Of all counts of these means."""
        return self._sums[self._rows(places), -1]

    def below(self, at: Array, places: Places) -> Array:
        """Of the counts up to these."""
        rows = self._rows(places)
        beyond = at - self._first[rows]
        cell = np.clip(np.searchsorted(self._begin, beyond, side="right") - 1, 0, len(self._begin) - 1)
        after = self._sums[rows, cell]
        before = np.where(cell > 0, self._sums[rows, np.maximum(cell - 1, 0)], 0.0)
        part = np.clip((beyond - self._begin[cell] + 1.0) / self._width[cell], 0.0, 1.0)
        return np.where(part == 1.0, after, before + part * (after - before))

    def reaching(self, want: Array, places: Places) -> Array:
        """The least counts whose sum is as much, or the last ones."""
        rows = self._rows(places)
        want = np.minimum(want, self._sums[rows, -1])
        low, high = np.full(rows.shape, -1), np.full(rows.shape, len(self._begin) - 1)
        while np.any(high - low > 1):
            middle = np.maximum((low + high) // 2, 0)
            enough = self._sums[rows, middle] >= want
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        before = np.where(high > 0, self._sums[rows, np.maximum(high - 1, 0)], 0.0)
        width = self._width[high]
        with np.errstate(divide="ignore", invalid="ignore"):
            into = np.ceil(width * (want - before) / (self._sums[rows, high] - before))
        into = np.clip(np.where(np.isfinite(into), into, 1.0), 1.0, width)
        return self._first[rows] + self._begin[high] + into - 1.0
