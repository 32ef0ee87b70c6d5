"""The left-hand side: trials, proportions, counts, expressions."""

from __future__ import annotations

import numpy as np
import pytest

from multilevel.design import build_design
from multilevel.errors import DataWarning

from .design_data import DATA, build


def test_binomial_responses() -> None:
    numbers = build("b ~ x", family="binomial").response
    assert (numbers.size, numbers.levels) == (None, None)
    assert np.array_equal(numbers.values, DATA["b"])
    text = build("s ~ x", family="binomial").response
    assert text.levels == ("u", "v")
    assert np.array_equal(text.values, DATA["s"] == "v")
    category = build("c ~ x", family="binomial").response
    assert category.levels == ("yes", "no")
    assert np.array_equal(category.values, DATA["c"] == "no")
    truth = build("flag ~ x", family="binomial").response
    assert truth.levels == ("False", "True")
    expression = build("I(x > 0) ~ z", family="binomial").response
    assert np.array_equal(expression.values, DATA["x"] > 0)
    relabelled = build("factor(k2) ~ x", DATA.assign(k2=DATA["b"] + 1), family="binomial").response
    assert relabelled.levels == ("1", "2")


def test_successes_and_failures() -> None:
    design = build("cbind(n, size - n) ~ x", family="binomial", weights=np.full(60, 2.0))
    assert np.array_equal(design.response.values, DATA["n"])
    assert np.array_equal(design.response.size, DATA["size"])
    assert design.weights is not None
    assert design.response.name == "cbind(n, size - n)"
    assert design.response.values.dtype == np.float64
    single = build("cbind(b, 1 - b) ~ x", family="binomial").response
    assert single.size is None


def test_proportions() -> None:
    for formula, data in (("n/size ~ x", DATA), ("p ~ x", DATA.assign(p=DATA["n"] / DATA["size"]))):
        design = build(formula, data, family="binomial", weights="size")
        assert np.array_equal(design.response.values, DATA["n"])
        assert np.array_equal(design.response.size, DATA["size"])
        assert design.weights is None
    weighted = build("b ~ x", family="binomial", weights="z")
    assert weighted.response.size is None
    assert np.array_equal(weighted.weights, DATA["z"])
    with pytest.warns(DataWarning, match="give the trials as weights="):
        build("I(n/20) ~ x", family="binomial")
    with pytest.warns(DataWarning, match="is not whole"):
        build("I(n/20) ~ x", family="binomial", weights="size")


def test_counts() -> None:
    assert np.array_equal(build("n ~ x", family="poisson").response.values, DATA["n"])
    with pytest.warns(DataWarning, match="'z' is not whole"):
        build("z ~ x", family="poisson")
    with pytest.warns(DataWarning, match="'z' is not whole"):
        build("cbind(z, size) ~ x", family="binomial")


def test_expressions_on_the_left() -> None:
    np.testing.assert_allclose(build("log(z) ~ x").response.values, np.log(DATA["z"]))
    np.testing.assert_allclose(build("z^2 - x ~ f").response.values, DATA["z"] ** 2 - DATA["x"])
    assert np.array_equal(build("flag ~ x").response.values, DATA["flag"])


def test_odd_values_warn_at_the_line_of_the_user() -> None:
    with pytest.warns(DataWarning) as caught:
        build_design("z ~ x", DATA, family="poisson")
    assert caught[0].filename == __file__
