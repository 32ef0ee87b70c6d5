"""Data sets from the literature that are not shipped here: beside the checkout, else from R, else simulated instead."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
_BESIDE = HERE.parents[1] / "shared" / "data"
_KEPT = HERE / "output" / "data"
_SHIPPED = HERE.parent / "python" / "multilevel" / "datasets"
_R_PACKAGES = {"VerbAgg": "lme4", "guImmun": "mlmRev"}


def find(name: str, text: tuple[str, ...]) -> pd.DataFrame | None:
    """Read a data set of an R package; `text` are its columns of labels. None where it cannot be had.

    What R gives is kept in ``output/``, so that later processes need not ask again.
    """
    kept = _KEPT / f"{name}.csv"
    file = next((path for path in (_BESIDE / f"{name}.csv", kept) if path.is_file()), kept)
    if not file.is_file() and not _export(name, kept):
        return None
    return pd.read_csv(file, dtype=dict.fromkeys(text, "str"), keep_default_na=False)


def _export(name: str, file: Path) -> bool:
    """Let R write the data set into a file; say whether it did."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    code = (
        f"data({name}, package = '{_R_PACKAGES[name]}'); write.csv({name}, '{part}', row.names = FALSE, quote = FALSE)"
    )
    try:
        done = subprocess.run(["Rscript", "--vanilla", "-e", code], capture_output=True, timeout=120, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    if done.returncode != 0 or not part.is_file():
        return False
    part.replace(file)
    return True


def high_school_and_beyond() -> pd.DataFrame:
    """Read the data set that comes with multilevel, without importing it: peers may live where it is not."""
    schools = pd.read_csv(_SHIPPED / "hsb_schools.csv", dtype={"school": "str", "sector": "str"})
    pupils = pd.read_csv(_SHIPPED / "hsb_pupils.csv", dtype={"school": "str", "minority": "str", "sex": "str"})
    frame = pupils.merge(schools, on="school", how="left")
    frame["meanses"] = frame.groupby("school")["ses"].transform("mean")
    frame["cses"] = frame["ses"] - frame["meanses"]
    return frame[["school", "mathach", "meanses", "cses", "sector"]]
