"""Grouping factors: codes, levels, combinations; and how two factors relate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import multilevel as ml
from multilevel.columns.grouping import GroupingFactor, Relation, relations
from multilevel.errors import DataError

from .design_data import DATA, build


def test_grouping_factor_codes() -> None:
    factor = build("y ~ (1 | g)").grouping_factors[0]
    assert factor.codes.dtype == np.int32
    assert list(factor.levels) == sorted(DATA["g"].unique())
    assert np.array_equal(np.asarray(factor.levels)[factor.codes], DATA["g"])


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (["b", "a", "b", "c"], ["a", "b", "c"]),
        ([3, 1, 3, 2], [1, 2, 3]),
        ([3.0, 1.0, 3.0, 2.0], [1, 2, 3]),
        ([10**12, 5, 10**12, -7], [-7, 5, 10**12]),
        (np.array([-100, 100, -100, 5], dtype=np.int8), [-100, 5, 100]),
        (np.array([2, 1, 2, 3], dtype=np.uint64), [1, 2, 3]),
        ([True, False, True, True], [False, True]),
        (pd.Categorical(["b", "a", "b", "c"], categories=["c", "b", "z", "a"]), ["c", "b", "a"]),
        (pd.to_datetime(["2020-01-02", "2020-01-01", "2020-01-02", "2021-01-01"]), None),
        (pd.array([3, 1, 3, 2], dtype="Int64"), [1, 2, 3]),
    ],
)
def test_kinds_of_grouping_factors(values: Any, levels: list[Any] | None) -> None:
    factor = build("y ~ (1 | g)", {"y": np.arange(4.0), "g": values}).grouping_factors[0]
    if levels is not None:
        assert factor.levels.tolist() == levels
    assert [factor.levels[c] for c in factor.codes] == list(values)


BIG = 2**63 + 5


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (np.array([BIG + 2, BIG, BIG + 2, BIG + 1], dtype=np.uint64), [BIG, BIG + 1, BIG + 2]),
        (np.array([BIG + 2, BIG, BIG + 2, BIG + 2], dtype=np.uint64), [BIG, BIG + 2]),
        (np.array([BIG, 7, BIG, 2**62], dtype=np.uint64), [7, 2**62, BIG]),
        ([BIG + 2, BIG, BIG + 2, 7], [7, BIG, BIG + 2]),
        ([2**53, 2**53 + 1, -(2**60), 2**53], [-(2**60), 2**53, 2**53 + 1]),
        ([2**70 + 1, 2**70, -5, 2**70], [-5, 2**70, 2**70 + 1]),
        (pd.Series([BIG + 1, BIG, BIG, BIG + 1], dtype=object), [BIG, BIG + 1]),
        (pd.array([BIG + 1, BIG, BIG, BIG + 1], dtype="UInt64"), [BIG, BIG + 1]),
    ],
)
def test_identifiers_of_many_digits(values: Any, levels: list[int]) -> None:
    data = {"y": np.arange(4.0), "g": values}
    design = build("y ~ (1 | g)", data)
    factor = design.grouping_factors[0]
    assert factor.levels.tolist() == levels
    assert [factor.levels[c] for c in factor.codes] == list(values)
    new = design.code_new({"g": values[::-1]})
    assert [levels[c] for c in new.codes[0]] == list(values)[::-1]
    other = design.code_new({"g": [8, levels[-1]]})
    assert other.codes[0].tolist() == [-1, len(levels) - 1]
    pairs = build("y ~ (1 | g:h)", {**data, "h": list("abab")}, family="poisson").grouping_factors[0]
    assert pairs.levels[pairs.codes[0]] == f"{values[0]}:a"


def test_identifiers_of_many_digits_with_missing_values() -> None:
    """They do not become floats on the way, which would merge neighbours."""
    values = [2**53 + 1, None, 2**53, 2**53 + 1, 2**53 + 2]
    frames: list[Any] = [
        {"y": np.arange(5.0), "g": values},
        pd.DataFrame({"y": np.arange(5.0), "g": pd.array(values, dtype="Int64")}),
        pytest.importorskip("polars").DataFrame({"y": np.arange(5.0), "g": values}),
        pytest.importorskip("pyarrow").table({"y": np.arange(5.0), "g": values}),
    ]
    for frame in frames:
        design = build("y ~ (1 | g)", frame)
        assert design.grouping_factors[0].levels.tolist() == [2**53, 2**53 + 1, 2**53 + 2]
        assert design.grouping_factors[0].codes.tolist() == [1, 0, 1, 2]
        assert design.n_missing == 1
        new = design.code_new(frame)
        assert new.codes[0][~new.missing].tolist() == [1, 0, 1, 2]


def test_numbers_that_are_not_whole() -> None:
    data = {"y": np.arange(6.0), "dose": [0.5, 1.0, 2.5, 0.5, 1.0, 2.5], "s": list("abaabb")}
    with pytest.raises(DataError, match=r"'dose' is a grouping factor but .* such as 0\.5; .* write factor\(dose\)"):
        build("y ~ (1 | dose)", data)
    for text in ("factor(dose)", "as.factor(dose)", "C(dose)"):
        design = build(f"y ~ (1 | {text})", data)
        assert design.grouping_factors[0].name == "dose"
        assert design.grouping_factors[0].levels.tolist() == [0.5, 1.0, 2.5]
        assert design.grouping_factors[0].codes.tolist() == [0, 1, 2, 0, 1, 2]
    new = design.code_new({"dose": [1.0, 0.7, np.nan, 1]})
    assert new.codes[0].tolist() == [1, -1, -1, 1]
    assert new.unseen[0].tolist() == [0.7]
    assert new.missing.tolist() == [False, False, True, False]
    nested = build("y ~ (1 | factor(dose)/s)", data).grouping_factors
    assert [factor.levels.tolist() for factor in nested] == [[0.5, 1.0, 2.5], ["0.5:a", "1:b", "2.5:a", "2.5:b"]]
    whole = build("y ~ (1 | factor(dose))", {**data, "dose": [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]})
    assert whole.grouping_factors[0].levels.tolist() == [1, 2, 3]


def test_labels_with_colons_stay_apart() -> None:
    data = pd.DataFrame({"a": ["x:y", "x", "x:y", "x", "x"], "b": ["z", "y:z", "z", "y:z", "z"], "y": np.arange(5.0)})
    design = build("y ~ (1 | a:b)", data)
    factor = design.grouping_factors[0]
    assert [factor.levels[c] for c in factor.codes] == ["`x:y`:z", "x:`y:z`", "`x:y`:z", "x:`y:z`", "x:z"]
    new = design.code_new({"a": ["x", "x:y", "x:y"], "b": ["y:z", "z", "y:z"]})
    assert [factor.levels[c] for c in new.codes[0][:2]] == ["x:`y:z`", "`x:y`:z"]
    assert new.unseen[0].tolist() == ["`x:y`:`y:z`"]
    many = pd.concat([data.iloc[[0, 1, 4]]] * 6, ignore_index=True)
    many["y"] = np.sin(np.arange(18.0)) + np.tile([0.0, 5.0, 9.0], 6)
    results = ml.fit("y ~ 1 + (1 | a:b)", many)
    table = results.coef()["a:b"]
    assert sorted(table.index) == sorted(["x:`y:z`", "x:z", "`x:y`:z"])
    assert sorted(results.random_effects()["level"]) == sorted(table.index)
    assert results.predict({"a": ["x"], "b": ["y:z"]}).item() == pytest.approx(table.loc["x:`y:z`"].item())


def test_truth_values_as_groups() -> None:
    data = {"y": np.arange(6.0), "g": np.array([True, False, True, True, False, False])}
    design = build("y ~ (1 | g)", data)
    for new in ([1, 0], [1.0, 0.0], np.array([True, False]), [np.True_, np.False_]):
        assert design.code_new({"g": new}).codes[0].tolist() == [1, 0]
    assert design.code_new({"g": [2]}).codes[0].tolist() == [-1]
    with pytest.raises(DataError, match="'g' held truth values in the fit, and the new data hold texts, such as"):
        design.code_new({"g": ["True"]})
    counted = build("y ~ (1 | g)", {**data, "g": [1, 0, 1, 1, 0, 0]})
    assert counted.code_new({"g": [True, False]}).codes[0].tolist() == [1, 0]


def test_combinations() -> None:
    nested = build("y ~ (1 | g/h)")
    assert [f.name for f in nested.grouping_factors] == ["g", "g:h"]
    factor = nested.grouping_factors[1]
    labels = (DATA["g"] + ":" + DATA["h"].astype(str)).tolist()
    assert [factor.levels[c] for c in factor.codes] == labels
    assert sorted(set(labels)) == list(factor.levels)
    large = {"y": np.arange(5.0), "a": [10**9, 1, 2, 1, 2], "b": [1, 1, 1, 2, 1]}
    assert build("y ~ (1 | a:b)", large).grouping_factors[0].levels.tolist() == ["1:1", "1:2", "2:1", "1000000000:1"]


# ---- how factors relate -------------------------------------------------------------------------------------------


def factor(name: str, codes: Any) -> GroupingFactor:
    unique, at = np.unique(codes, return_inverse=True)
    return GroupingFactor(name, pd.Index(unique), at.astype(np.int32))


def relation(first: Any, second: Any) -> Relation:
    (found,) = relations([factor("a", first), factor("b", second)])
    return found


def test_crossed_factors() -> None:
    found = relation([0, 0, 1, 1, 2, 3], [0, 1, 0, 1, 1, 2])
    assert (found.kind, found.inner, found.outer) == ("crossed", None, None)
    assert found.n_shared == (2, 2)
    assert found.n_pairs == 6
    assert str(found) == (
        "'a' and 'b' are crossed: 2 of the 4 levels of 'a' occur with several levels of 'b', "
        "2 of the 3 levels of 'b' with several of 'a'"
    )


def test_nested_factors() -> None:
    classes, schools = [0, 0, 1, 1, 2, 3], [5, 5, 5, 5, 7, 7]
    for found in (relation(classes, schools), relation(schools, classes)):
        assert found.kind == "nested"
        assert found.inner is not None
        assert found.outer is not None
        assert (len(found.inner.levels), len(found.outer.levels)) == (4, 2)
        assert found.n_pairs == 4
    assert relation(classes, schools).n_shared == (0, 2)
    assert relation(schools, classes).n_shared == (2, 0)
    assert str(relation(schools, classes)) == (
        "'b' is nested in 'a': each of its 4 levels occurs within one of the 2 levels of 'a'"
    )


def test_equal_factors() -> None:
    found = relation([0, 0, 1, 2, 2], [9, 9, 4, 6, 6])
    assert (found.kind, found.inner, found.n_shared, found.n_pairs) == ("equal", None, (0, 0), 3)
    assert str(found) == "'a' and 'b' have the same 3 groups of rows"


def test_relations_of_several() -> None:
    design = build("y ~ (1 | g/h) + (1 | s)")
    assert [(r.first.name, r.second.name, r.positions, r.kind) for r in design.relations] == [
        ("g", "g:h", (0, 1), "nested"),
        ("g", "s", (0, 2), "crossed"),
        ("g:h", "s", (1, 2), "crossed"),
    ]
    assert relations(design.grouping_factors[:1]) == relations([]) == ()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12), st.booleans())
def test_relations_of_any_factors(pairs: list[tuple[int, int]], late: bool) -> None:
    """Against sets; `late` puts what matters behind the first glance."""
    a, b = (np.array(values) for values in zip(*pairs, strict=True))
    if late:
        a, b = np.concatenate([np.full(5000, a[0]), a]), np.concatenate([np.full(5000, b[0]), b])
    found = relation(a, b)
    distinct = set(pairs)
    with_several = [
        sum(len({q[1 - side] for q in distinct if q[side] == level}) > 1 for level in {q[side] for q in distinct})
        for side in (0, 1)
    ]
    kind = {0: "equal", 1: "nested", 2: "crossed"}[sum(n > 0 for n in with_several)]
    assert (found.kind, found.n_shared, found.n_pairs) == (kind, tuple(with_several), len(distinct))


def test_pairs_of_many_levels() -> None:
    """More possible pairs than a table could hold."""
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 3000, 20_000), rng.integers(0, 3000, 20_000)
    assert relation(a, b).n_pairs == len(set(zip(a.tolist(), b.tolist(), strict=True)))


def test_combinations_of_nested_columns() -> None:
    """The short way, where one column tells the combination, and the long one agree."""
    rng = np.random.default_rng(4)
    inner = rng.permutation(np.repeat(np.arange(300), 2))
    data = {"y": np.arange(600.0), "outer": (inner * 7) % 11, "inner": inner}
    short = build("y ~ (1 | outer:inner)", data).grouping_factors[0]
    expected = [f"{o}:{i}" for o, i in zip(data["outer"], data["inner"], strict=True)]
    assert [short.levels[c] for c in short.codes] == expected
    order = [tuple(map(int, label.split(":"))) for label in short.levels]
    assert order == sorted(order)
    new = build("y ~ (1 | outer:inner)", data).code_new({"outer": data["outer"][:5], "inner": inner[:5]})
    np.testing.assert_array_equal(new.codes[0], short.codes[:5])
