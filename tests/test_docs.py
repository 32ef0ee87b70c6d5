"""The pages run: every Python block of a page, in order, in one namespace, with warnings as errors.

A block with ``>>>`` is a doctest. Any other ``python`` block is executed, and what it prints must be the ``text`` block
that follows it, if there is one; ``...`` stands for anything, and white space is not compared.

``python tests/test_docs.py`` writes the ``text`` blocks anew where they differ. Read the difference before you keep it.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
GUIDES = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs" / "guide").glob("*.md"))
RUN = ("README.md", "docs/guide.md", *GUIDES)
PAGES = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# The gain left at an optimum is rounding: its digits differ between processors, and with them where the line breaks.
GAIN = re.compile(r"(predicted\s+gain\s+left\s+in\s+the\s+log-likelihood\s+is\s+)(?:below\s+)?[^\s,]+(?=[,.]\s)")


@dataclass(frozen=True)
class Example:
    """A Python block, where its code begins, and the text block that shows what it prints, with its place."""

    code: str
    line: int
    output: str | None
    span: tuple[int, int]


def examples(text: str) -> Iterator[Example]:
    blocks = list(BLOCK.finditer(text))
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if block[1] != "python":
            continue
        shown = None
        if following is not None and following[1] == "text" and not text[block.end() : following.start()].strip():
            shown = following
        line = text.count("\n", 0, block.start(2)) + 1
        yield Example(block[2], line, shown and shown[2], shown.span(2) if shown else (0, 0))


def run(example: Example, page: str, namespace: dict[str, Any]) -> str:
    """What the block prints; a doctest's complaints are an assertion."""
    if ">>>" in example.code:
        test = doctest.DocTestParser().get_doctest(example.code, namespace, page, page, example.line - 1)
        complaints = io.StringIO()
        doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=complaints.write, clear_globs=False)
        namespace.update(test.globs)
        assert not complaints.getvalue(), complaints.getvalue()
        return ""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * (example.line - 1) + example.code, page, "exec"), namespace)
    return printed.getvalue()


def agrees(shown: str, printed: str) -> bool:
    return doctest.OutputChecker().check_output(GAIN.sub(r"\1...", shown), printed, FLAGS)


@pytest.mark.parametrize("page", RUN)
def test_the_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "page"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for example in examples((ROOT / page).read_text(encoding="utf-8")):
            printed = run(example, page, namespace)
            if example.output is not None:
                where = f"{page}:{example.line}"
                assert agrees(example.output, printed), f"{where} prints\n{printed}\nand not\n{example.output}"


def settled(page: str) -> str:
    """A summary to the character, except for the gain that is left and the line breaks after it."""
    tables, _, certificate = page.partition("Converged:")
    return tables + GAIN.sub(r"\1...", " ".join(certificate.split()))


def test_the_readme_shows_the_summary_as_it_is() -> None:
    example = next(examples((ROOT / "README.md").read_text(encoding="utf-8")))
    namespace: dict[str, Any] = {}
    run(example, "README.md", namespace)
    assert example.output is not None
    assert settled(example.output) == settled(f"{namespace['results'].summary()}\n")


def test_the_readme_has_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "pip install . && python -m multilevel" in text
    assert 'pip install ".[test]" && pytest' in text


def test_the_readme_lists_the_families_and_links() -> None:
    import multilevel as ml

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for family, links in ml.families()[["family", "links"]].itertuples(index=False):
        if family.startswith("truncated_"):  # one row for all
            assert "| `truncated_poisson` and so on" in text
            continue
        row = re.search(rf"^\| `{family}` \|.*$", text, flags=re.MULTILINE)
        assert row, f"no row for {family}"
        assert all(f"`{link}`" in row[0] for link in links.split(", ")), row[0]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", path.read_text(encoding="utf-8"))
    for link in links:
        if "://" in link or link == "benchmarks/RESULTS.md":  # made by hand, by running the benchmarks
            continue
        assert (path.parent / link).exists(), f"{page} links to {link}"


def write(page: str) -> None:
    """Put what the blocks print into their text blocks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "page"}
    pieces, at = [], 0
    for example in examples(text):
        printed = run(example, page, namespace)
        if example.output is not None and not agrees(example.output, printed):
            lines = "".join(f"{line.rstrip()}\n" for line in printed.rstrip("\n").split("\n"))
            pieces += [text[at : example.span[0]], lines]
            at = example.span[1]
            print(f"{page}:{example.line}: written anew")
    (ROOT / page).write_text("".join([*pieces, text[at:]]), encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in RUN:
            write(name)
