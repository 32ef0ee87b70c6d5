"""Rows, weights and offsets; the columns, rows and groups of R; what building a design costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multilevel.errors import DataError

from .design_data import DATA, build, fixed_matrix, names

# ---- rows ----------------------------------------------------------------------------------------------------------


def test_missing_values_leave_jointly() -> None:
    data = DATA.copy()
    data.loc[0, "y"] = np.nan
    data.loc[1, "x"] = np.nan
    data.loc[2, "f"] = None
    data.loc[3, "c"] = np.nan
    data.loc[4, "g"] = None
    data.loc[5, "z"] = np.nan
    data["w"] = 1.0
    data.loc[6, "w"] = np.nan
    offset = np.zeros(60)
    offset[7] = np.nan
    data["unused"] = np.nan
    design = build("y ~ x + f + c + log(z) + (1 | g)", data, weights="w", offset=offset)
    assert (design.n_rows, design.n_missing) == (52, 8)
    assert design.rows is not None
    assert design.rows.tolist() == list(range(8, 60))
    assert design.index is not None
    assert design.index.tolist() == list(range(8, 60))
    assert np.array_equal(design.response.values, data["y"][8:])
    whole = build("y ~ x + f + c + log(z) + (1 | g)", DATA.iloc[8:])
    np.testing.assert_array_equal(fixed_matrix(design), fixed_matrix(whole))
    assert np.array_equal(design.grouping_factors[0].codes, whole.grouping_factors[0].codes)
    assert whole.rows is None


@pytest.mark.parametrize(
    "column",
    [
        pd.array([1, None, 3, 4], dtype="Int64"),
        pd.array([1.0, None, 3, 4], dtype="Float64"),
        pd.array([True, None, False, True], dtype="boolean"),
        pd.array(["a", pd.NA, "b", "c"], dtype="string"),
        [1, None, 3, 4],
        [1.5, float("nan"), 3, 4],
        ["a", None, "b", "c"],
        [True, None, False, True],
        np.ma.MaskedArray([1.0, 2.0, 3.0, 4.0], mask=[False, True, False, False]),
        pd.Categorical(["a", None, "b", "c"]),
    ],
)
def test_kinds_of_missing(column: Any) -> None:
    design = build("y ~ v", {"y": np.arange(4.0), "v": column})
    assert (design.n_rows, design.n_missing) == (3, 1)
    assert np.isfinite(fixed_matrix(design)).all()


def test_missing_raise() -> None:
    data = DATA.assign(x=DATA["x"].where(DATA["x"] < 1), f=DATA["f"].where(DATA["f"] != "low"))
    rows = np.flatnonzero(data["x"].isna())
    with pytest.raises(DataError, match=f"column 'x' has {len(rows)} missing values, in row {rows[0]}, {rows[1]}.*'f'"):
        build("y ~ x + f", data, missing="raise")
    assert build("y ~ x + f", missing="raise").n_missing == 0
    with pytest.raises(ValueError, match="'drop' or 'raise'"):
        build("y ~ x", missing="ignore")


def test_zero_weights_leave() -> None:
    weights = np.ones(60)
    weights[[3, 5]] = 0
    design = build("y ~ x + (1 | g)", weights=weights)
    assert (design.n_rows, design.n_zero_weight, design.n_missing) == (58, 2, 0)
    assert design.weights is not None
    assert len(design.weights) == 58
    trials = build("cbind(n, m) ~ x", DATA.assign(m=np.where(DATA["n"] == 0, 0, 3)), family="binomial", weights="z")
    assert trials.n_zero_weight == (DATA["n"] == 0).sum()
    assert trials.response.size is not None
    assert trials.response.size.min() > 0
    assert np.array_equal(trials.weights, DATA["z"][DATA["n"] > 0])


def test_offsets() -> None:
    design = build("n ~ x + offset(log(z)) + offset(x)", family="poisson", offset=np.arange(60.0))
    np.testing.assert_allclose(design.offset, np.log(DATA["z"]) + DATA["x"] + np.arange(60.0))
    np.testing.assert_allclose(build("n ~ x", family="poisson", offset="z").offset, DATA["z"])
    assert build("y ~ x").offset is None


def test_the_index_is_kept() -> None:
    data = DATA.set_index(pd.Index([f"r{i}" for i in range(60)]))
    assert build("y ~ x + f + I(f == 'low') + (1 | g)", data).index is data.index


def test_weights_are_aligned_by_label() -> None:
    data = DATA.set_index(pd.Index([f"r{i}" for i in range(60)]))
    shuffled = data["z"].sample(frac=1.0, random_state=1)
    for values in (data["z"], shuffled, data["z"].to_numpy()):
        design = build("y ~ x", data, weights=values, offset=values)
        assert np.array_equal(design.weights, data["z"])
        assert np.array_equal(design.offset, data["z"])
    new = build("y ~ x", data, offset=shuffled).code_new(data[:5], offset=data["z"][:5][::-1])
    assert np.array_equal(new.offset, data["z"][:5])
    for bad in (DATA["z"], shuffled.set_axis(["r0"] * 60)):
        with pytest.raises(DataError, match=r"the index of weights differs from the frame's.*to_numpy"):
            build("y ~ x", data, weights=bad)
    assert np.array_equal(build("y ~ x", data.to_dict("list"), weights=DATA["z"]).weights, DATA["z"])


# ---- against R -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["cbpp", "bacteria", "Contraception", "epil", "hsb", "VerbAgg", "guImmun", "Owls", "grouseticks", "Exam"]
)
def test_columns_rows_and_groups_are_those_of_r(
    name: str, reference_numbers: Callable[[str], Any], reference_data: Callable[[str], pd.DataFrame]
) -> None:
    """The names of R's coefficients, the rows used and the numbers of levels, for every reference fit."""
    reference, data = reference_numbers(name), reference_data(name)
    data["obs"] = np.arange(len(data))
    compared = 0
    for fit in reference["fits"].values():
        formula, family = fit.get("formula", ""), str(fit.get("family", "")).lower()
        derived = any(word in formula for word in (";", "visit", "* ch", "cHEIGHT", "logit P"))
        if (
            derived
            or formula.startswith("~")
            or "fixed" not in fit
            or family not in ("binomial", "poisson", "gaussian")
        ):
            continue
        right = formula.split("~")[1].split("(")[0]
        ordered = [c for c, a in reference["columns"].items() if a["type"] == "ordered" and c in right]
        design = build(formula, data, family=family, contrasts=dict.fromkeys(ordered, "poly"))
        ours = [n.replace("[True]", "TRUE").replace("[", "").replace("]", "") for n in names(design)]
        assert ours == [row["name"] for row in fit["fixed"]], formula
        assert design.n_rows == fit["nobs"]
        groups = {factor.name: len(factor.levels) for factor in design.grouping_factors}
        assert sorted(groups.values()) == sorted(fit["ngroups"].values())
        compared += 1
    assert compared


# ---- cost ----------------------------------------------------------------------------------------------------------


def test_it_costs_less_than_the_fit() -> None:
    """Generous bounds: the figures on a quiet machine are five times smaller."""
    n = 300_000
    rng = np.random.default_rng(1)
    data = pd.DataFrame({f"x{i}": rng.normal(size=n) for i in range(5)})
    data["y"] = (rng.random(n) < 0.5).astype(float)
    data["g"] = np.array([f"g{i:04d}" for i in range(3000)])[rng.integers(0, 3000, n)]
    formula = "y ~ x0 + x1 + x2 + x3 + x4 + (1 | g)"

    def seconds(data: pd.DataFrame) -> float:
        start = time.process_time()
        build(formula, data, family="binomial")
        return time.process_time() - start

    few = data[:56].assign(g=np.repeat([f"g{i}" for i in range(8)], 7))
    seconds(data)
    assert min(seconds(data) for _ in range(3)) < 0.1
    assert min(seconds(few) for _ in range(5)) < 0.008


def test_plain_formulas_do_not_import_formulaic() -> None:
    import subprocess
    import sys

    code = (
        "import sys, numpy as np; from multilevel.design.build import build_design; from multilevel import Family;"
        "d = {'y': np.arange(9.), 'x': np.arange(9.), 'g': list('aabacbbcc'), 'h': list('pqpqppqqp')};"
        "build_design('y ~ x*h + I(x^2) + scale(x) + (1 | g)', d, family=Family('gaussian'));"
        "assert not {'formulaic', 'scipy', 'narwhals'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
