"""What was found about one fit."""

from __future__ import annotations

from dataclasses import dataclass, field

BAD = ("SILENT WRONG", "NO MAXIMUM", "LLF WRONG", "MODES WRONG", "SE WRONG", "NOT FINITE", "CRASH")
# A higher maximum was found elsewhere, of a fit that warns of another one nearly as high.
BAD += ("WRONG BUT TOLD",)
BAD += ("FALSE ALARM", "NOT REPEATED", "NOT INVARIANT", "AFTER WRONG", "SLOW")


@dataclass
class Outcome:
    """One fit: how it ended, what was found, and what it cost."""

    seed: int
    kind: str
    status: str = ""
    singular: bool = False
    rows: int = 0
    model: str = ""
    evaluations: int = 0
    seconds: float = 0.0
    checked_seconds: float = 0.0
    gap: float = 0.0
    compared: bool = False
    errors_checked: bool = False
    message: str = ""
    done: list[str] = field(default_factory=list)
    findings: list[tuple[str, str]] = field(default_factory=list)

    def add(self, label: str, detail: str) -> None:
        self.findings.append((label, detail))

    def labels(self) -> set[str]:
        return {label for label, _ in self.findings}
