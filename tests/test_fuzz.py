"""Random and altered formulas and files: errors of our own and nothing else, soon, and no code of anybody's is run.

An audit hook watches what Python itself reports: code that is run, files that are opened, modules that are imported,
processes that are started. It is on while a formula or a file is read, after one of each kind has imported what is
imported when it is needed.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import multilevel as ml
from multilevel.errors import DataError, FormulaError, SavedFileError
from multilevel.formula.parse import parse_formula
from multilevel.storage import archive

from .design_data import DATA, build

SEED = 20
LONGEST = 10.0  # seconds for one formula or file, on a busy machine
WATCHED = ("exec", "open", "import", "pickle", "marshal", "os.", "subprocess", "socket", "ctypes", "shutil", "urllib")
SMALL = {name: DATA[name].to_numpy()[:30] for name in ("y", "x", "z", "k", "n", "flag", "f", "g", "h")}

_seen: list[str] = []
_watching = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event.startswith(WATCHED):
        _seen.append(f"{event}{arguments!r:.200}")


sys.addaudithook(_hook)


@contextlib.contextmanager
def watched(*, may_open: Path | None = None) -> Iterator[None]:
    """Fails when something is run, opened or imported other than the file named, or takes too long."""
    global _watching
    _seen.clear()
    begun = time.process_time()
    _watching = True
    try:
        yield
    finally:
        _watching = False
    allowed = "" if may_open is None else f"open({str(may_open)!r}"
    assert [event for event in _seen if not (allowed and event.startswith(allowed))] == []
    assert time.process_time() - begun < LONGEST


def test_the_hook_sees() -> None:
    for code in ("eval('1 + 1')", "open('/dev/null').close()", "__import__('this_is_nothing')"):
        with pytest.raises(AssertionError), watched(), contextlib.suppress(ImportError):
            exec(code)


# ---- formulas ------------------------------------------------------------------------------------------------------

VALID = [
    "y ~ x + z + (1 | g)",
    "y ~ x * f + (1 + x || g) + (1 | h)",
    "log(z) ~ poly(x, 2) + bs(z, 4) + ns(x, 3) + offset(k) + (1 | g/h)",
    "cbind(k, n) ~ scale(x) + center(z) + C(f, Sum) + factor(k) + (x | g:h)",
    "y ~ I(x^2 + 2 * z) + np.where(x > 0, x, 0) + ifelse(z > 2 & !flag, 1, 0) + diag(1 + x | g)",
    "y ~ (x + z + k)^2 - x:z + relevel(f, 'low') + C(f, Treatment('mid'), levels=['low', 'mid', 'high'])",
    "y ~ C(Helmert)",
    "y ~ cr(x, df=4) + as.numeric(k) + round(x, 1) + pmin(z, 3) + ar1(0 + k | g) + rr(0 + f | h, d=1)",
]
PIECES = [
    *(" ", "+", "-", "*", "/", ":", "^", "**", "~", "(", ")", "[", "]", "{", "}", "|", "||", "&", "!", "==", "<", "="),
    *(":=", ",", ".", "%in%", "%%", "@", "$", "'", '"', "`", "\\", "\n", "\t", "\0", "#", ";", "\u00e9", "\u0665"),
    *("\ufb01", "\ud800", "x", "y", "z", "k", "n", "f", "g", "h", "flag", "0", "1", "2", "9", "1e9", "1e999", "TRUE"),
    *("np", "np.log", "np.load", "numpy.power", "np.exp", "contr.sum", "contr.mro", "x.mean", ".__class__", "NULL"),
    *("open(", "eval(", "exec(", "print(", "getattr(", "lambda: ", "lambda x: x", " for x in z", " if x else ", " is "),
    *(
        " in ",
        "not ",
        " and ",
        "await ",
        "yield ",
        "f'{x}'",
        "b'x'",
        "'%999999999d' % 1",
        "9**9**9",
        "[0]",
        "*x",
        "**x",
    ),
    *("_state=x", "I(", "log(", "factor(", "C(", "poly(", "bs(", "ns(", "cr(", "scale(", "center(", "offset(", "c("),
    *("cbind(", "ar1(", "max(", "sum(", "int(", "float(", "len(", "np.quantile(", "np.clip(", "(1 | g)", "(x || h)"),
    *("out=x", "__import__", "x" * 300, "(" * 60, "-" * 60, "x^" * 60, "9" * 200, "+ x" * 80, "(x + z + k + n)^9"),
    "*(x + z + k + n)" * 3,
]
CALLS = ["I", "log", "exp", "abs", "round", "factor", "C", "relevel", "poly", "bs", "ns", "cr", "cc", "cs", "scale"]
CALLS += ["center", "standardize", "c", "pmin", "ifelse", "as.numeric", "as.integer", "is.na", "max", "sum", "len"]
CALLS += ["int", "float", "Treatment", "Sum", "Poly", "contr.sum", "np.log1p", "np.where", "np.clip", "np.isin"]
CALLS += ["np.power", "np.digitize", "np.quantile", "np.std", "np.interp", "np.array", "np.round", "numpy.maximum"]
ATOMS = [
    "x",
    "y",
    "z",
    "k",
    "n",
    "flag",
    "f",
    "g",
    "h",
    "`x`",
    "2",
    "0",
    "3.5",
    "1e300",
    "99999999999999999999",
    "'low'",
]
ATOMS += ["TRUE", "NULL", "Inf", "pi", "np.nan", "Sum", "Helmert", "log", "contr.poly", "[1, 2]", "[x, z]", "-1", "[]"]
OPERATORS = ["+", "-", "*", "/", "^", "%%", "%/%", "//", "&", "|", "==", "!=", "<", ">=", " in ", " is ", " if x else "]
OPTIONS = ["df=", "degree=", "levels=", "ref=", "knots=", "raw=", "center=", "ddof=", "decimals=", "base=", "a_max="]


def expression(rng: random.Random, depth: int = 0) -> str:
    """What looks like an expression: calls, operators, columns, with any arguments."""
    how = rng.random()
    if depth > 3 or how < 0.3:
        return rng.choice(ATOMS)
    if how < 0.55:
        return f"({expression(rng, depth + 1)} {rng.choice(OPERATORS)} {expression(rng, depth + 1)})"
    if how < 0.6:
        return f"{rng.choice('-!+')}{expression(rng, depth + 1)}"
    arguments = [expression(rng, depth + 1) for _ in range(rng.choice((1, 1, 1, 2, 2, 3)))]
    if len(arguments) > 1 and rng.random() < 0.5:
        arguments[-1] = rng.choice(OPTIONS) + arguments[-1]
    return f"{rng.choice(CALLS)}({', '.join(arguments)})"


def term(rng: random.Random) -> str:
    """A call of one column, as formulas have it, or something that only looks like one."""
    if rng.random() < 0.5:
        return f"{rng.choice(CALLS[:24])}({rng.choice(ATOMS[:7])}{rng.choice(('', '', ', 2', ', 4', ', df=4', ', z'))})"
    return f"I({expression(rng)})" if rng.random() < 0.5 else f"{rng.choice(CALLS)}({expression(rng)})"


def altered(text: str, rng: random.Random) -> str:
    """A few changes: pieces put in or in place of others, parts cut, doubled or exchanged."""
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        a, b = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        b = min(b, a + rng.choice((0, 0, 1, 3, 12)))
        piece = rng.choice((rng.choice(PIECES), text[b : b + 8], chr(rng.randrange(1, 0x2FF)), ""))
        text = text[:a] + piece * rng.choice((1, 1, 1, 1, 2, 5)) + text[b:]
    return text


def formulas(n: int) -> Iterator[str]:
    rng = random.Random(SEED)
    for _ in range(n):
        how = rng.random()
        if how < 0.15:
            yield "y ~ " + "".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 15)))
        elif how < 0.5:
            yield altered(rng.choice(VALID), rng)
        elif how < 0.6:
            yield f"{term(rng)} ~ ({term(rng)} | {rng.choice('fgh')})"
        else:
            yield f"{rng.choice(('y', 'z'))} ~ " + rng.choice("+*:/").join(
                term(rng) for _ in range(rng.choice((1, 1, 2)))
            )


def read(formula: str) -> str:
    """What becomes of a formula; all but errors of our own are raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            design = build(formula, SMALL, family="binomial" if "cbind" in formula else "gaussian")
            design.code_new({name: values[:3] for name, values in SMALL.items()})
        except (FormulaError, DataError) as error:
            return type(error).__name__
    return "read"


def test_formulas() -> None:
    for formula in VALID:
        parse_formula(formula)
        read(formula)
    found = {"FormulaError": 0, "DataError": 0, "read": 0}
    for formula in formulas(2000):
        with watched():
            try:
                found[read(formula)] += 1
            except Exception as error:
                raise AssertionError(f"{formula!r} raises {error!r}") from error
    assert min(found.values()) > 50, found


# ---- files ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzz") / "fit"
    formula = "y ~ f + center(x) + double(z) + poly(x, 2) + I(log(z) + 1) + (1 | g)"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ml.fit(formula, DATA, functions={"double": lambda x: 2 * x}, method="ml").save(path)
        use(ml.load(path))
    return path


def use(results: ml.MixedModelResults) -> None:
    """Everything that reads what a file holds; of a file that was altered by hand it may fail, but not run anything."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for step in (str, lambda r: r.tidy(), lambda r: r.fittedvalues, lambda r: r.predict(DATA[:3])):
            with contextlib.suppress(Exception):
                step(results)


def load(path: Path) -> ml.MixedModelResults | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ml.load(path)
    except SavedFileError:
        return None


def test_files(saved: Path, tmp_path: Path) -> None:
    """Bytes changed, put in, taken out."""
    whole, path, rng = saved.read_bytes(), tmp_path / "fit", random.Random(SEED)
    refused = 0
    for _ in range(250):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 1, 4, 40))):
            # The ends of the archive hold its table of contents: change them as often as all the rest.
            at = rng.choice((rng.randrange(len(data) + 1), max(0, len(data) - rng.randrange(4000))))
            data[at : at + rng.choice((0, 1, 1, 8, 500))] = rng.randbytes(rng.choice((0, 1, 1, 8)))
        path.write_bytes(data)
        with watched(may_open=path):
            refused += load(path) is None
    assert refused > 200


HOSTILE: list[Any] = [
    *(None, True, 0, -1, 10**30, 2**31, 0.5, "", "x", "os.system", "__import__", [], {}, [[[]]], {"$": "Fit"}),
    *({"$": "array", "at": 0}, {"$": "array", "at": 3}, {"$": "same", "as": 0}, {"$": "float", "text": "nan"}),
    *({"$": "functions", "names": ["open", "exec"]}, {"$": "functions", "names": ["log"]}, {"$": "tuple", "items": []}),
    *(
        {"$": "number", "dtype": "O", "bytes": "00" * 8},
        {"$": "number", "dtype": "<f8", "bytes": "00" * 8},
        {"$": "dict"},
    ),
    *({"$": "timestamp", "value": 3, "zone": "dateutil//etc/passwd"}, {"$": "index", "kind": "objects", "items": [1]}),
    *("open('a')", "().__class__.__base__.__subclasses__()", "np.load('a')", "x.tofile('a')", "9**9**9", "-" * 5000),
]


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every list or object with every key that it has."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else []
    for key in keys:
        yield tree, key
        yield from places(tree[key])


def test_trees(saved: Path, tmp_path: Path) -> None:
    """Files as whoever knows the format may make them: any value in any place, and checksums that are right."""
    content, path, rng = archive.read(saved), tmp_path / "fit", random.Random(SEED)
    text, used = json.dumps(content.tree), 0
    for _ in range(250):
        tree, arrays = json.loads(text), list(content.arrays)
        for _ in range(rng.choice((1, 1, 3))):
            if rng.random() < 0.2:
                at = rng.randrange(len(arrays))
                arrays[at] = rng.choice(
                    (arrays[at][:1], arrays[at].astype(np.int8), arrays[at] * -3, rng.choice(arrays))
                )
                continue
            container, key = rng.choice(list(places(tree)))
            container[key] = rng.choice((rng.choice(HOSTILE), rng.choice(list(places(tree)))[0]))
            container[key] = json.loads(json.dumps(container[key])) if not _circular(container[key]) else None
        archive.write(path, archive.Content(tree, arrays, "1"))
        with watched(may_open=path):
            results = load(path)
            if results is not None:
                use(results)
                used += 1
    assert used > 10


def _circular(tree: Any) -> bool:
    try:
        json.dumps(tree)
    except (ValueError, RecursionError):
        return True
    return False
