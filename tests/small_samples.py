"""References of tests/reference/degrees_of_freedom.json: their data, and their models fitted here, each once."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

import multilevel as ml

REFERENCE: dict[str, Any] = json.loads(
    (Path(__file__).parent / "reference" / "degrees_of_freedom.json").read_text(encoding="utf-8")
)


def read(name: str) -> pd.DataFrame:
    """A data set of the references, factors as categoricals in R's order of levels."""
    if name in ml.datasets.names():
        frame = getattr(ml.datasets, name)()
        if name == "sleepstudy":
            frame["w"] = 1.0 + frame["Days"] % 3
        return frame
    stored = REFERENCE["data"][name]
    frame = pd.DataFrame(stored["columns"])
    for column, levels in stored["levels"].items():
        frame[column] = pd.Categorical(frame[column], categories=levels)
    return frame


@cache
def fitted(dataset: str, formula: str, method: str = "reml", weights: str | None = None) -> ml.MixedModelResults:
    """The model, without its warnings (of singular fits and empty cells)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        return ml.fit(formula.replace("^", "**"), read(dataset), method=method, weights=weights)


def refitted(key: str) -> ml.MixedModelResults:
    """The model of a reference fit."""
    fit = REFERENCE["fits"][key]
    return fitted(fit["dataset"], fit["formula"], fit["method"], fit.get("weights"))
