"""What the plain implementation is given: arrays, and nothing of the package."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
OF_ITEMS = ("graded", "credit", "dispersion of items")  # parts with parameters of each item, which `split` names


@dataclass(frozen=True)
class Term:
    """A random-effects term: which factor, its columns, and the structure of their covariance."""

    factor: int
    Z: Array
    structure: str
    rank: int = 0
    loads: tuple[tuple[int, ...], ...] = ()  # of cfa: the columns that load on each factor

    @property
    def q(self) -> int:
        return self.Z.shape[1]

    @property
    def width(self) -> int:
        """Of the factor of its covariance: how many of its columns are not zero."""
        return self.rank or self.q


@dataclass(frozen=True)
class Problem:
    """A model with its data. `codes` has one array of level numbers per grouping factor."""

    family: str
    link: str
    y: Array
    size: Array  # trials, or upper ends of intervals
    weights: Array
    offset: Array
    X: Array
    names: tuple[str, ...]
    codes: tuple[NDArray[np.int64], ...]
    terms: tuple[Term, ...]
    method: str = "ml"
    points: int = 1
    part: str = ""  # what modifies the family
    split: Array | None = None  # the column of its formula
    variant: int = 0
    categories: int = 0
    predictors: int = 1  # of a row, which stand one after the other

    @property
    def linear(self) -> bool:
        return (self.family, self.link) == ("gaussian", "identity") and self.part in ("", "restricted")

    @property
    def n_phi(self) -> int:
        """Parameters of the family's own."""
        own = {"binomial": 0, "poisson": 0, "geometric": 0, "exponential": 0}
        own |= {"student_t": 2, "skew_normal": 2, "tweedie": 2, "cumulative": 0, "ordered_beta": 3}
        if self.part in OF_ITEMS:
            return (self.n_items - 1) * (self.categories - 1) + self.categories - 1 if self.categories else self.n_items
        more = {"inflation": 1, "hurdle": 1, "zero formula": 2, "dispersion": 1}
        return own.get(self.family, 1) + more.get(self.part, 0)

    @property
    def n_items(self) -> int:
        assert self.split is not None
        return int(self.split.max()) + 1

    @property
    def p(self) -> int:
        return self.X.shape[1]

    @property
    def crossed_sets(self) -> bool:
        """Whether the predictors of a row belong to different levels: its alternatives, of a factor of theirs."""
        deep = [codes.reshape(-1, self.predictors) for codes in self.codes]
        return any(bool((own != own[:, :1]).any()) for own in deep)

    def levels(self, factor: int) -> int:
        return int(self.codes[factor].max()) + 1

    def rows(self, order: NDArray[np.int64]) -> Problem:
        """The rows of `order`."""
        return replace(
            self,
            y=self.y[order],
            size=self.size[order],
            weights=self.weights[order],
            offset=self.offset[order],
            X=self.X[order],
            split=None if self.split is None else self.split[order],
            codes=tuple(c[order] for c in self.codes),
            terms=tuple(replace(t, Z=t.Z[order]) for t in self.terms),
        )

    def in_order(self) -> Problem:
        """Rows sorted by the levels of the first factor, then the second; alternatives of different levels stay."""
        if not self.codes or self.crossed_sets:
            return self
        return self.rows(np.lexsort(self.codes[::-1]))

    def columns(self, kept: tuple[str, ...]) -> Problem:
        """The fixed columns of these names."""
        at = [self.names.index(name) for name in kept]
        return replace(self, X=self.X[:, at], names=kept)
