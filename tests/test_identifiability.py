"""Random effects that cannot be told apart are refused, with what was found and the remedy."""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multilevel.errors import DataError
from multilevel.family.registry import Family

from .design_data import DATA, build


@pytest.mark.parametrize(
    ("left", "family"), [("b", "poisson"), ("cbind(n, size - n)", "binomial"), ("n/size", "binomial")]
)
def test_a_level_per_row_is_allowed_without_residual_variance(left: str, family: str) -> None:
    weights = "size" if left == "n/size" else None
    design = build(f"{left} ~ x + (1 | g)", DATA.assign(g=np.arange(60)), family=family, weights=weights)
    assert len(design.grouping_factors[0].levels) == 60


@pytest.mark.parametrize("left", ["b", "s", "flag", "cbind(b, 1 - b)"])
def test_a_level_per_row_of_single_trials(left: str) -> None:
    with pytest.raises(DataError, match="60 levels in 60 rows of one trial each"):
        build(f"{left} ~ x + (1 | g)", DATA.assign(g=np.arange(60)), family="binomial")


def nested_data() -> pd.DataFrame:
    """240 rows: 24 classes of ten in 6 schools; 10 items that every class has, in every class."""
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"y": rng.normal(size=240), "class": np.repeat(np.arange(24), 10)})
    data["item"] = np.tile(np.arange(10), 24)
    data["school"] = data["class"] // 4
    data["within"] = data["class"] % 4  # numbers that start again in each school
    data["teacher"] = [f"t{23 - c:02d}" for c in data["class"]]
    data["x"], data["z"] = rng.normal(size=240), rng.normal(size=240)
    data["size"] = rng.normal(size=24)[data["class"]]
    data["kind"] = np.array(["public", "private", "free"])[data["class"] % 3]
    data["arm"] = rng.choice(["a", "b", "c"], 240)
    data["n"] = rng.poisson(3.0, 240)
    return data


NESTED = nested_data()


LEFT = {"gaussian": "y", "binomial": "y", "poisson": "n"}


def refused(right: str, *parts: str, family: str = "gaussian", data: pd.DataFrame = NESTED) -> None:
    """The terms are refused, with each part in the message, in this order."""
    with pytest.raises(DataError, match="(?s)" + ".*".join(map(re.escape, parts))):
        build(f"{LEFT[family]} ~ x + {right}", data, family=family)


def accepted(right: str, family: str = "gaussian", data: pd.DataFrame = NESTED) -> Any:
    return build(f"{LEFT[family]} ~ x + {right}", data, family=family)


# ---- grouping factors ---------------------------------------------------------------------------------------------


def test_the_same_groups_under_two_names() -> None:
    refused(
        "(1 | class) + (1 | teacher)",
        "the grouping factors 'class' and 'teacher' have the same 24 groups of rows (levels '0' and 't23' are one",
        "the effects of (1 | class) and (1 | teacher) cannot be told apart: keep one factor of the two",
    )
    refused("(1 | school) + (1 | class) + (0 + z | teacher)", "'class' and 'teacher'", "24 groups")
    refused("(1 | school:within) + (1 | within:school)", "'school:within' and 'within:school'", "24 groups")
    refused("(1 | class) + (1 | school:within)", "'class' and 'school:within'", "keep one factor")


def test_combinations_that_are_no_finer() -> None:
    refused(
        "(1 | school) + (1 | class) + (1 | school:class)",
        "'school:class' has the same 24 groups of rows as 'class': 'school' does not vary within 'class', so that "
        "'class' is nested in 'school', not crossed with it; leave (1 | school:class) out",
    )
    refused(
        "(1 | class/school)",
        "'class:school' has the same 24 groups of rows as 'class': 'school' does not vary within 'class'",
        "write (1 | school/class) for 'class' within 'school'",
    )
    refused("(1 | class:kind) + (1 | class)", "'class:kind' has the same 24 groups of rows as 'class': 'kind' does not")


@pytest.mark.parametrize(
    "right",
    [
        "(1 | school/class)",  # levels of class are unique, as they may be
        "(1 | school/within)",
        "(1 | school) + (1 | class)",
        "(1 | class) + (1 | item)",
        "(1 | school) + (1 | within)",  # crossing, as far as the labels tell
        "(1 | school:within) + (1 | item)",
    ],
)
def test_factors_that_can_be_told_apart(right: str) -> None:
    accepted(right)


# ---- terms of one factor ------------------------------------------------------------------------------------------


def test_the_same_column_in_two_terms() -> None:
    refused(
        "(1 | class) + (1 + z | class)",
        "'(Intercept)' is in both (1 | class) and (1 + z | class), and only the sum of the two random effects of "
        "'class' can be told; write (1 | class) + (0 + x | class) for uncorrelated effects, or one term, "
        "(1 + x | class)",
    )
    refused(
        "(z | class) + (0 + z | class)", "'z' is in both (z | class) and (0 + z | class)", "each column in one term"
    )
    refused("(1 | class) + (1 | class)", "(1 | class) is there twice: only the sum", "keep one of the two terms")
    refused("(1 | class) + diag(1 | class)", "(1 | class) and diag(1 | class) have the same columns: only the sum")
    refused(
        "(1 | school/class) + (1 | school)",
        "(1 | school/class) and (1 | school) have the same columns",
        "keep one of the two terms ((1 | school/class) has (1 | school) in it)",
    )
    refused("ar1(0 + item | class) + hetar1(0 + item | class)", "have the same columns", "'item[0]'", "(10 in all)")


def test_columns_that_add_up_to_the_intercept() -> None:
    for term in ("(0 + arm | class)", "homcs(0 + arm | class)"):
        refused(
            f"{term} + (1 | class)",
            f"(1 | class) adds nothing to {term}: the columns of the latter add up to the intercept, "
            "so the variance of '(Intercept)' cannot be told from theirs; leave (1 | class) out",
        )


@pytest.mark.parametrize(
    "right",
    [
        "(1 | class) + (0 + z | class)",
        "(1 | class) + (0 + arm || class)",
        "(1 | class) + ar1(0 + item | class)",
        "rr(0 + arm | class) + diag(0 + arm | class)",
        "rr(0 + arm | class, d=1) + homdiag(0 + arm | class)",
        "(1 + z | class) + (1 + z | item)",
    ],
)
def test_terms_that_can_be_told_apart(right: str) -> None:
    accepted(right)


# ---- slopes -------------------------------------------------------------------------------------------------------


def test_slopes_that_do_not_vary_within_groups() -> None:
    refused(
        "(1 + size | class)",
        "the random slope 'size' of (1 + size | class) does not vary within any group: 0 of the 24 levels of 'class' "
        "have more than one value of it",
        "write (1 | class), and keep it among the fixed effects",
    )
    refused("(size || class)", "the random slope 'size' of (size || class)", "write (1 | class)")
    refused("(1 + z + size | class)", "slope 'size'", "write the term without it, and keep it among the fixed effects")
    refused("cs(1 + size | class)", "slope 'size'", "0 of the 24 levels of 'class'")
    refused("(1 + kind | class)", "slope 'kind[private]'", "0 of the 24 levels")
    refused("(1 | school) + (size | school:within)", "0 of the 24 levels of 'school:within'")
    refused("(1 + z | item)", "0 of the 10 levels", data=NESTED.assign(z=2.0))


def test_categories_that_do_not_vary_within_groups() -> None:
    refused(
        "(0 + kind | class)",
        "(0 + kind | class): none of the 24 levels of 'class' has more than one of 'kind[free]', 'kind[private]', "
        "'kind[public]', so their correlations cannot be told; for a variance of each write diag(0 + kind | class)",
    )
    refused("rr(0 + kind | class)", "their correlations cannot be told", "write diag(0 + kind | class)")


@pytest.mark.parametrize(
    "right",
    [
        "(1 + size | school)",
        "(0 + size | class)",  # a variance that grows with the size
        "(1 | class) + (0 + size | class)",
        "(0 + kind || class)",  # one variance for each kind
        "diag(0 + kind | class)",
        "(1 + one | class)",  # varies within a single class
    ],
)
def test_slopes_that_can_be_told(right: str) -> None:
    accepted(right, data=NESTED.assign(one=np.arange(240) == 200))


def test_a_slope_that_varies_late() -> None:
    """The first glance is at some thousand rows."""
    n = 20_000
    data = pd.DataFrame({"y": np.arange(float(n)), "x": 0.5 + np.arange(n) % 2, "g": np.arange(n) // 100})
    data["z"] = np.where(data["g"] < 150, data["g"], np.arange(n))
    accepted("(1 + z | g)", data=data)
    refused("(1 + z | g)", "0 of the 200 levels", data=data.assign(z=data["g"] / 3))


# ---- how many -----------------------------------------------------------------------------------------------------


def test_as_many_effects_as_rows() -> None:
    data = NESTED.assign(pair=np.arange(240) // 2, row=np.arange(240))
    refused("(1 | row)", "(1 | row): 'row' has 240 levels in 240 rows", "cannot be told from the residuals", data=data)
    refused(
        "(1 | school) + (z | pair)",
        "(z | pair) has 240 random effects (120 levels of 'pair' times 2) for 240 rows",
        "use fewer columns before the bar",
        data=data,
    )
    refused("(0 + factor(item) | class)", "240 random effects (24 levels of 'class' times 10) for 240 rows")
    refused("homcs(0 + factor(item) | class)", "240 random effects", "write (1 | class), which together with the resid")
    holes = NESTED[NESTED["item"] != NESTED["class"] % 10]
    refused(
        "(0 + factor(item) | class)",
        "has 216 random effects (24 levels of 'class' times 10, 24 of them in no row) for 216 rows: they cannot",
        data=holes,
    )


@pytest.mark.parametrize(
    "right", ["cs(0 + factor(item) | class)", "ar1(0 + item | class)", "hetar1(0 + item | class)",
              "rr(0 + factor(item) | class)"],
)  # fmt: skip
def test_structures_that_leave_room_for_residuals(right: str) -> None:
    accepted(right)


def test_two_times_leave_no_room_for_residuals() -> None:
    refused("ar1(0 + item | class)", "48 random effects (24 levels of 'class' times 2) for 48 rows",
            data=NESTED[NESTED["item"] < 2])  # fmt: skip


def test_more_effects_than_rows_of_counts() -> None:
    data = NESTED.assign(row=np.arange(240), pair=np.arange(240) // 2)
    for right in ("(1 | row)", "(z | pair)", "(1 | class) + (1 | row)", "(0 + factor(item) | class)"):
        accepted(right, family="poisson", data=data)
    holes = data[data["item"] != data["class"] % 10]
    accepted("(0 + factor(item) | class)", family="poisson", data=holes)
    accepted("rr(0 + factor(item) | class)", family="poisson", data=holes)
    refused(
        "(0 + z + I(z^2) + I(z^3) | pair)",
        "has 360 random effects (120 levels of 'pair' times 3) for 240 rows: there are fewer rows than effects; "
        "use fewer columns before the bar",
        family="poisson",
        data=data,
    )


# ---- cost ---------------------------------------------------------------------------------------------------------


def test_checks_cost_little() -> None:
    """Next to nothing, of a design with a million rows and two crossed or nested factors; a generous bound."""
    from multilevel.design.identifiability import check_identifiable

    n = 1_000_000
    rng = np.random.default_rng(2)
    data = {"y": rng.normal(size=n), "x": rng.normal(size=n), "a": rng.integers(0, 10_000, n), "b": np.arange(n) // 50}
    design = build("y ~ x + (1 + x | a) + (1 + x | b)", data)
    bars = design.formula.bars

    def seconds() -> float:
        start = time.process_time()
        check_identifiable(bars, design.grouping_factors, design.random_terms, n, Family("gaussian"), True)
        return time.process_time() - start

    assert min(seconds() for _ in range(3)) < 0.01


# ---- fixed effects ------------------------------------------------------------------------------------------------


def held(right: str, *parts: str, family: str = "gaussian", data: pd.DataFrame = NESTED) -> None:
    refused(right, "the fixed part holds", *parts, family=family, data=data)


def test_the_fixed_part_holds_every_level() -> None:
    for family in ("gaussian", "poisson"):
        held(
            "teacher + (1 | class)",
            "every level of 'class' already (columns 'teacher[t01]', 'teacher[t02]', 'teacher[t03]', 'teacher[t04]', "
            "... (23 in all); 24 levels), so that nothing is left from which the variance of its random effects could",
            "leave (1 | class) out, or leave these columns out of the fixed part",
            family=family,
        )
    held("factor(school) + (1 | school) + (1 | class)", "every level of 'school' already", "leave (1 | school) out")
    held("0 + factor(school) + (1 | school)", "every level of 'school'", "'factor(school)[0]'", "(6 in all)")
    held("teacher + (1 | school)", "every level of 'school' already")  # what is finer holds what is coarser
    held("factor(school) * arm + (1 | school)", "every level of 'school' already")
    held("factor(school) : factor(within) + (1 | class)", "every level of 'class'")
    held("poly(school, 5) + (1 | school)", "(columns 'poly(school, 5)[1]'", "6 levels)")  # as many numbers as levels


def test_the_fixed_part_holds_a_column_for_every_level() -> None:
    held("teacher + (1 + z | class)", "every level of 'class'", "keep only 'z' before the bar of (1 + z | class)")
    held("z:teacher + (0 + z | class)", "'z' for every level of 'class' already", "leave (0 + z | class) out")
    held("z * teacher + (1 + z | class)", "'(Intercept)', 'z' for every level of 'class'", "leave (1 + z | class) out")
    held("teacher + (z || class)", "every level of 'class'", "leave")


@pytest.mark.parametrize(
    ("right", "family"),
    [
        ("arm + (1 | class)", "gaussian"),
        ("factor(school) + (1 | class)", "gaussian"),  # schools fixed, classes within them random
        ("factor(school) + (0 + z | school)", "gaussian"),
        ("teacher + (0 + z | class)", "gaussian"),
        ("teacher + homdiag(1 + z | class)", "gaussian"),  # one variance: the slopes tell it
        ("teacher + (1 + z | class)", "poisson"),  # where a correlation moves the origin of the slopes
        ("poly(school, 4) + (1 | school)", "gaussian"),  # one degree of freedom is left
        ("z:teacher + (1 | class)", "gaussian"),
    ],
)
def test_levels_that_the_fixed_part_does_not_hold(right: str, family: str) -> None:
    accepted(right, family=family)


def test_a_fixed_part_that_differs_in_one_row_of_many() -> None:
    """The first glance is at some thousand rows: what it lets pass is settled by all of them."""
    n = 20_000
    data = pd.DataFrame({"y": np.arange(float(n)), "x": np.arange(n) % 7, "g": np.arange(n) % 5})
    data["copy"] = "level " + data["g"].astype(str)
    held("copy + (1 | g)", "every level of 'g' already", "5 levels", data=data)
    data.loc[11, "copy"] = "level 0"
    accepted("copy + (1 | g)", data=data)
