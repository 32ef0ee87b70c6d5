"""Results in files: the same bits after reading, nothing but plain data in them, and damage that is found."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import enum
import math
import pickle
import typing
import uuid
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.errors import DataError
from multilevel.storage import archive, records
from multilevel.storage.codec import Decoder, Encoder

from .design_data import DATA


def there_and_back(value: Any, tmp_path: Path) -> Any:
    encoder = Encoder()
    archive.write(tmp_path / "value", archive.Content(encoder.encode(value), encoder.arrays, "1"))
    content = archive.read(tmp_path / "value")
    return Decoder(content.arrays, {}).decode(content.tree)


def check_same(one: Any, other: Any) -> None:
    """The same types and bits, in records, too."""
    kind = records.kind_of(one)
    assert type(one) is type(other) or isinstance(one, type)
    if kind is not None:
        for name in kind.fields:
            check_same(getattr(one, name), getattr(other, name))
    elif isinstance(one, np.ndarray) and one.dtype.kind != "O":
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
        assert one.flags.f_contiguous == other.flags.f_contiguous or one.ndim < 2 or not one.flags.c_contiguous
    elif isinstance(one, pd.Index):
        pd.testing.assert_index_equal(one, other, exact=True)
        assert getattr(one, "freq", None) == getattr(other, "freq", None)
    elif isinstance(one, (tuple, list, np.ndarray)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            check_same(a, b)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            check_same(one[key], other[key])
    elif isinstance(one, (pd.DataFrame, pd.Series)):
        compare = pd.testing.assert_frame_equal if isinstance(one, pd.DataFrame) else pd.testing.assert_series_equal
        compare(one, other, check_exact=True)
    elif isinstance(one, (float, complex, np.generic)):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
    elif not callable(one) or isinstance(one, type):
        assert one is other or one == other


# ---- values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, -1, 2**63, 10**40, "", 'text "with" \n \u00e9 \U0001f600 \ud800', b"\0\xff"),
        *(0.0, -0.0, 0.1, 1e-320, 5e-324, 1.7976931348623157e308, math.nan, math.inf, -math.inf),
        [],
        [1, [2.5, "a"], ()],
        (1, (2,), {"a": 1, 3: None, ("b", 1): [2]}),
        *(np.float64(-0.0), np.float32(0.1), np.int64(-(2**63)), np.uint64(2**64 - 1), np.bool_(True), np.str_("a")),
        *(np.datetime64("2020-02-29T12:00", "m"), np.timedelta64(3, "D"), np.datetime64("NaT", "ns")),
        *(np.array([math.nan, -0.0, math.inf, 0.1]), np.array([1.5, 2.5], dtype=np.float32), np.zeros((0, 3))),
        *(np.array([2**63 - 1, -(2**63)]), np.array([2**64 - 1], dtype=np.uint64), np.array(3)),
        np.array([1, 0], np.int8),
        *(np.array([True, False]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], order="F"), np.arange(12.0)[::-3]),
        *(np.array(["2020-01-01", "NaT"], "M8[us]"), np.array([1, 2], "m8[h]"), np.array([1, "a", None], dtype=object)),
        np.frombuffer(b"\x01\x00\x00\x00\x00\x00\xf8\x7f", np.float64),  # a NaN with a payload
        *(pd.NaT, pd.NA, pd.Timestamp("2020-03-01 12:00", tz="Europe/Berlin"), pd.Timestamp("2020-03-01")),
        *(pd.Timedelta("3h"), pd.Period("2020-03", "M"), pd.Interval(0.0, 1.5, closed="left"), complex(1, math.nan)),
        *(datetime.datetime(2020, 1, 1, 3, tzinfo=datetime.timezone.utc), datetime.datetime(2020, 1, 1, 3, 4, 5, 6)),
        datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=-3, minutes=-30))),
        *(datetime.date(2020, 1, 1), datetime.time(3, 4, fold=1), datetime.timedelta(-1, 3, 5), Decimal("1.10")),
        *(Fraction(1, 3), uuid.UUID(int=7)),
    ],
    ids=lambda value: f"{type(value).__name__}-{str(value)[:12]!a}",
)  # fmt: skip
def test_values(value: Any, tmp_path: Path) -> None:
    check_same(value, there_and_back(value, tmp_path))


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(3, 30, 5, name="row"),
        pd.Index([3, 1, 2], name=("a", 1)),
        pd.Index([2**64 - 1, 0], dtype=np.uint64),
        pd.Index([0.1, -0.0, math.nan]),
        pd.Index([1.5], dtype=np.float32),
        pd.Index([True, False]),
        pd.Index([False, True], dtype=object),
        pd.Index(["b", "a", "\u00e9"]),
        pd.Index(["b", None, "a"], dtype=object),
        pd.Index(["b", "a"], dtype="string[python]"),
        pd.Index(["b", None], dtype="string[python]", name="s"),
        pd.Index([1, "a", (2, 3)], dtype=object),
        pd.Index([10**30, 5], dtype=object),
        pd.Index([]),
        pd.Index([1, None], dtype="Int64"),
        pd.Index([1.5, None], dtype="Float32"),
        pd.Index([True, None], dtype="boolean"),
        pd.CategoricalIndex(["lo", "hi", None], categories=["lo", "mid", "hi"], ordered=True, name="c"),
        pd.CategoricalIndex([1, 2], categories=[2, 1]),
        pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", None]),
        pd.date_range("2020-01-01", periods=3, freq="MS", name="t"),
        pd.date_range("2020-10-24", periods=3, freq="D", tz="Europe/Berlin"),
        pd.DatetimeIndex(["2020-01-01", None], tz="UTC"),
        pd.DatetimeIndex(np.array(["2020-01-01"], "M8[s]")),
        pd.timedelta_range("1h", periods=3, freq="30min"),
        pd.period_range("2020-01", periods=3, freq="Q-NOV"),
        pd.interval_range(0.0, 3.0, periods=3, closed="both"),
    ],
    ids=lambda index: f"{type(index).__name__}-{index.dtype}",
)
def test_indexes(index: pd.Index, tmp_path: Path) -> None:
    check_same(index, there_and_back(index, tmp_path))


def test_what_is_no_plain_data(tmp_path: Path) -> None:
    class Colour(enum.Enum):
        RED = 1

    for value in (Colour.RED, object(), len, lambda: 1, {1, 2}, int, ml):
        with pytest.raises(DataError, match=r"results cannot be saved: they hold .* which is no plain data"):
            Encoder().encode(value)


# ---- results -------------------------------------------------------------------------------------------------------


def fits() -> dict[str, Callable[[], ml.MixedModelResults]]:
    polars = pytest.importorskip("polars")
    ordered = pd.Categorical(np.resize(["lo", "mid", "hi"], 60), ["lo", "mid", "hi"], ordered=True)
    dated = DATA.set_index(pd.date_range("2020-01-01", periods=60, freq="h", tz="Europe/Berlin")).assign(o=ordered)
    gaps = DATA.assign(x=DATA["x"].where(DATA.index != 3), w=np.resize([1.0, 2.0, 0.0], 60))
    arrow = polars.from_pandas(DATA.assign(o=ordered.astype(str)))
    cows = ml.datasets.cbpp()
    sleep = ml.datasets.sleepstudy()
    timed = DATA.assign(t=np.resize([0, 1, 3], 60))
    return {
        "binomial": lambda: ml.fit("cbind(incidence, size - incidence) ~ period + (1 | herd)", cows, "binomial"),
        "quadrature": lambda: ml.MixedModel("b ~ x + (1 | g)", DATA, "binomial").fit(n_quadrature="auto"),
        "reml": lambda: ml.fit("Reaction ~ Days + (1 + Days | Subject)", sleep),
        "least squares": lambda: ml.fit("y ~ x * f + offset(z)", DATA, weights="z"),
        "splines": lambda: ml.fit("y ~ bs(x, 5) + ns(z, 3) + poly(k, 2) + scale(n) + (1 | g)", DATA),
        "more splines": lambda: ml.fit("y ~ cr(x, df=4) + cc(z, df=3) + (1 | g)", DATA),
        "dates": lambda: ml.fit("y ~ o + center(x) + C(f, Sum) + flag + (1 | g)", dated, contrasts={"o": "poly"}),
        "polars": lambda: ml.fit("y ~ o + x + flag + (1 | g)", arrow),
        "gaps": lambda: ml.fit("n ~ x + s:flag + (1 | g)", gaps, "poisson", weights="w", offset="log(z)"),
        "nested": lambda: ml.fit("n ~ x + (1 | h/g)", DATA, "poisson"),
        "gamma": lambda: ml.fit("z ~ x + (1 | g)", DATA, "gamma"),
        "negative binomial": lambda: ml.fit("n ~ x + (1 | g)", DATA, "negative_binomial"),
        "structures": lambda: ml.fit("y ~ ar1(0 + t | g) + diag(1 + x | h)", timed),
        "array offset": lambda: ml.fit("n ~ x", DATA, "poisson", offset=np.log(DATA["z"].to_numpy())),
        "codes": lambda: ml.fit("y ~ f + (1 | g)", DATA, contrasts={"f": {"low": -1, "mid": 0, "high": 1}}),
    }


@pytest.fixture(params=list(fits()))
def fitted(request: pytest.FixtureRequest) -> ml.MixedModelResults:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return fits()[request.param]()


@pytest.mark.filterwarnings("ignore::multilevel.errors.FitWarning")
def test_results_do_what_they_did(fitted: ml.MixedModelResults, tmp_path: Path) -> None:
    path = tmp_path / "results.fit"
    fitted.save(path)
    loaded = ml.load(path)
    check_same(fitted.fit, loaded.fit)
    assert loaded.model is not None
    assert loaded.fit.design is loaded.model.design
    assert str(loaded) == str(fitted)
    for table in (
        lambda r: r.tidy(),
        lambda r: r.glance(),
        lambda r: r.augment(),
        lambda r: r.vcov_table() if r.n_groups else r.params,
        lambda r: r.random_effects(),
        lambda r: r.coef(),
        lambda r: r.anova(),
        lambda r: r.conf_int(),
        lambda r: r.residuals("deviance"),
        lambda r: r.predict(),
        lambda r: r.predict(random="zero", kind="link"),
        lambda r: r.information_criteria(),
        lambda r: r.compare(r.refit(r.fit.design.response.values, method="ml")) if r.fit.method == "ml" else None,
    ):
        check_same(table(fitted), table(loaded))
    again = loaded.refit(loaded.fit.design.response.values, method=loaded.method)
    assert again.llf == fitted.refit(fitted.fit.design.response.values, method=fitted.method).llf
    loaded.save(tmp_path / "twice.fit")
    assert (tmp_path / "twice.fit").read_bytes() == path.read_bytes()
    check_same(pickle.loads(pickle.dumps(loaded)).fit, fitted.fit)


NEW = DATA.iloc[[5, 2, 40]].assign(
    o=["hi", "lo", "mid"], t=[1, 2, 3], Days=4.5, Subject="308", period="2", herd="3", size=9, incidence=1
)


def test_new_data_after_loading(fitted: ml.MixedModelResults, tmp_path: Path) -> None:
    fitted.save(tmp_path / "results.fit")
    loaded = ml.load(tmp_path / "results.fit")
    options = {"offset": 0.5} if fitted.fit.design.coding.offset.array else {}
    expected = fitted.predict(NEW, **options)
    assert expected.notna().all()
    pd.testing.assert_series_equal(loaded.predict(NEW, **options), expected, check_exact=True)


def test_results_without_a_model(tmp_path: Path) -> None:
    results = ml.fit("y ~ x + (1 | g)", DATA, method="ml")
    ml.MixedModelResults(results.fit).save(str(tmp_path / "fit"))
    loaded = ml.load(str(tmp_path / "fit"))
    assert loaded.model is None
    pd.testing.assert_series_equal(loaded.fittedvalues, results.fittedvalues, check_exact=True)
    with pytest.raises(ValueError, match="carry no model"):
        loaded.refit(DATA["y"])


def test_labels_that_cannot_be_saved(tmp_path: Path) -> None:
    class Colour(enum.Enum):
        RED = 1
        BLUE = 2

    data = DATA.assign(colour=[Colour.RED, Colour.BLUE] * 30)
    with pytest.raises(DataError, match=r"hold <Colour\.BLUE: 2>, of type Colour, .* make texts or numbers"):
        ml.fit("y ~ colour", data).save(tmp_path / "fit")
    assert not (tmp_path / "fit").exists()


# ---- functions of the user's own -----------------------------------------------------------------------------------


def test_functions_are_given_again(tmp_path: Path) -> None:
    path, new = tmp_path / "fit", {"x": [3.0], "g": ["g1"]}
    results = ml.fit("y ~ double(x) + (1 | g)", DATA, functions={"double": lambda x: 2 * x})
    results.save(path)
    loaded = ml.load(path)
    assert str(loaded) == str(results)
    pd.testing.assert_series_equal(loaded.fittedvalues, results.fittedvalues)
    with pytest.raises(DataError, match=r"your function 'double', .* ml\.load\(path, functions=\{'double': double\}\)"):
        loaded.predict(new)
    with_function = ml.load(path, functions={"double": lambda x: 2 * x})
    assert with_function.predict(new).item() == results.predict(new).item()
    for later in (copy.deepcopy(loaded), pickle.loads(pickle.dumps(loaded))):
        with pytest.raises(DataError, match="your function 'double'"):
            later.predict(new)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    with pytest.raises(DataError, match="calls no function of yours 'triple'; those it calls: 'double'"):
        ml.load(path, functions={"triple": np.log})
    with pytest.raises(DataError, match="'double' is 3, not a function"):
        ml.load(path, functions={"double": 3})  # type: ignore[dict-item]


# ---- what may be in a file -----------------------------------------------------------------------------------------


def reachable(value: Any, seen: set[int]) -> Iterator[Any]:
    """Objects of this package that can be reached from a value."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if type(value).__module__.startswith("multilevel"):
        yield value
    inside: list[Any] = []
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        inside = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif isinstance(value, dict):
        inside = [*value, *value.values()]
    elif isinstance(value, (tuple, list)):
        inside = list(value)
    for item in inside:
        yield from reachable(item, seen)


def test_every_class_of_a_fit_is_registered(fitted: ml.MixedModelResults) -> None:
    found = {type(value) for value in reachable(fitted.fit, set())} - {records.UserFunctions}
    found = {cls for cls in found if not cls.__module__.startswith("multilevel._core")}
    assert found <= {kind.cls for kind in records.RECORDS.values()}
    assert {"Fit", "Design", "Coding", "Atom"} <= {cls.__name__ for cls in found}


def test_every_class_that_annotations_name_is_registered() -> None:
    def classes(hint: Any) -> Iterator[type]:
        if isinstance(hint, type) and hint.__module__.startswith("multilevel"):
            yield hint
        for inner in typing.get_args(hint):
            yield from classes(inner)

    known = {kind.cls for kind in records.RECORDS.values()} | {records.UserFunctions, *records.REMARKS.values()}
    for kind in records.RECORDS.values():
        for hint in kind.hints.values():
            assert set(classes(hint)) <= known, kind.name


def test_types_of_fields() -> None:
    assert records.has_type((1, 2.0, "a"), tuple[int, float, str])
    assert not records.has_type((1, 2.0), tuple[int, float, str])
    assert records.has_type((1, np.int8(2)), tuple[int, ...])
    assert not records.has_type(True, int)
    assert not records.has_type(1, bool)
    assert records.has_type(1, float | None)
    assert not records.has_type("1", float | None)
    assert records.has_type({"a": {"b": 1}}, dict[str, dict[str, Any]])
    assert not records.has_type({1: {}}, dict[str, dict[str, Any]])
    assert not records.has_type([1], tuple[int, ...])
    assert not records.has_type(np.zeros(2), np.ndarray[Any, np.dtype[np.int32]])
    assert not records.has_type(ValueError, type[ml.FitWarning])
