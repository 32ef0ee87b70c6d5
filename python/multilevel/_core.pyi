from typing import Any, Literal

from numpy import float64, int32
from numpy.typing import NDArray

SIMD: Literal["base", "v3"]

class Model:
    redundant: list[int]
    def __init__(
        self,
        family: str,
        link: str,
        response: NDArray[float64],
        size: NDArray[float64] | None,
        weights: NDArray[float64] | None,
        offset: NDArray[float64] | None,
        fixed: list[NDArray[Any] | None],
        codes: list[NDArray[int32]],
        n_levels: list[int],
        terms: list[tuple[int, list[NDArray[Any] | None], str]],
    ) -> None: ...
    def fit(self, **options: Any) -> Any: ...
    def evaluate(
        self, psi: NDArray[float64], n_quadrature: int, threads: int
    ) -> tuple[float, NDArray[float64], NDArray[float64]]: ...
    def linear_predictor(self, beta: NDArray[float64], modes: NDArray[float64] | None) -> NDArray[float64]: ...

class Family:
    name: str
    link_name: str
    def __init__(self, name: str, link: str) -> None: ...
    def mean(self, eta: NDArray[float64]) -> NDArray[float64]: ...
    def variance(self, mu: NDArray[float64]) -> NDArray[float64]: ...
    def unit_deviance(self, y: NDArray[float64], mu: NDArray[float64]) -> NDArray[float64]: ...
    def link(self, mu: NDArray[float64]) -> NDArray[float64]: ...

def families() -> dict[str, list[str]]: ...
