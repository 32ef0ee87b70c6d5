"""Data sets from the literature: of tests/reference, and one that comes with multilevel."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

_ROOT = Path(__file__).resolve().parents[1]
_REFERENCE = _ROOT / "tests" / "reference" / "data"
_SHIPPED = _ROOT / "python" / "multilevel" / "datasets"


def read(name: str, text: tuple[str, ...]) -> pd.DataFrame:
    """Read a data set of tests/reference; `text` are its columns of labels."""
    return pd.read_csv(_REFERENCE / f"{name}.csv.gz", dtype=dict.fromkeys(text, "str"), keep_default_na=False)


def high_school_and_beyond() -> pd.DataFrame:
    """Read the data set that comes with multilevel, without importing it: peers may live where it is not."""
    schools = pd.read_csv(_SHIPPED / "hsb_schools.csv", dtype={"school": "str", "sector": "str"})
    pupils = pd.read_csv(_SHIPPED / "hsb_pupils.csv", dtype={"school": "str", "minority": "str", "sex": "str"})
    frame = pupils.merge(schools, on="school", how="left")
    frame["meanses"] = frame.groupby("school")["ses"].transform("mean")
    frame["cses"] = frame["ses"] - frame["meanses"]
    return frame[["school", "mathach", "meanses", "cses", "sector"]]
