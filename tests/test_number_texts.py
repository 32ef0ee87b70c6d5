"""Texts that are numbers: refused or remarked upon as predictors, fine as labels."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.errors import DataError, DataWarning

from .design_data import build, names

N = 24


def data(labels: list[str]) -> dict[str, object]:
    return {"y": np.arange(float(N)), "x": (labels * N)[:N], "z": np.sin(np.arange(N)), "g": list("abcd" * 6)}


@pytest.mark.parametrize("right", ["x", "x + (1 | g)", "z*x", "z + (x | g)"])
def test_fractions_are_refused(right: str) -> None:
    with pytest.raises(DataError) as caught:
        build(f"y ~ {right}", data(["1.5", "2", "-3e2"]))
    assert str(caught.value) == (
        "column 'x' holds numbers written as text ('-3e2', '1.5', ...) which would be a factor with 3 levels: "
        "pd.to_numeric(data['x']) makes numbers of them; if they are labels, write factor(x)"
    )


def test_the_remedies_work() -> None:
    frame = pd.DataFrame(data(["1.5", "2", "3"]))
    assert names(build("y ~ factor(x)", frame)) == ["(Intercept)", "factor(x)[2]", "factor(x)[3]"]
    frame["x"] = pd.to_numeric(frame["x"])
    assert names(build("y ~ x", frame)) == ["(Intercept)", "x"]
    frame["x"] = frame["x"].astype(str).astype("category")  # declared: it was meant
    assert len(names(build("y ~ x", frame))) == 3


def test_decimal_commas_and_strays() -> None:
    with pytest.raises(DataError, match=r"pd\.to_numeric\(data\['x'\]\.str\.replace\(\",\", \"\.\"\)\) makes"):
        build("y ~ x", data(["1,5", "2"]))
    with pytest.raises(DataError, match=r"\.str\.replace\(\",\", \"\"\)\) makes .*, where commas separate thousands"):
        build("y ~ x", data(["1,500", "2,000,000.5", "300"]))
    labels = [f"{k}.5" for k in range(11)] + ["n/a"]
    with pytest.raises(DataError, match=r"and others, such as 'n/a', which.*errors='coerce'\) makes .* others missing"):
        build("y ~ x", data(labels))


def test_whole_numbers_are_remarked_upon() -> None:
    with pytest.warns(DataWarning, match=r"'x' holds numbers written as text \('1', '2', \.\.\.\) taken as") as said:
        design = build("y ~ x", data(["1", "2", "3"]))
    assert names(design) == ["(Intercept)", "x[2]", "x[3]"]
    assert len(said) == 1
    with pytest.warns(DataWarning) as said:
        ml.fit("y ~ x", data(["1", "2", "3"]))
    assert said[0].filename == __file__


@pytest.mark.parametrize(
    "labels", [["0", "1", "2", "3+"], ["a1", "a2"], ["1 mg", "2.5 mg"], ["low", "high"], ["", "b"]]
)
def test_other_texts_are_factors(labels: list[str]) -> None:
    assert len(names(build("y ~ x", data(labels)))) == len(labels)


def test_labels_may_be_numbers() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert build("y ~ z + (1 | x)", data(["1.5", "2.5", "10"])).grouping_factors[0].levels.tolist() == [
            *("1.5", "10", "2.5"),
        ]
        assert build("y ~ x", data(["1.5", "2.5"]), contrasts={"x": "sum"}).fixed[1].name == "x[S.1.5]"
        assert build("x ~ z", data(["0", "1"]), family="binomial").response.levels == ("0", "1")
