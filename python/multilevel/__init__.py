"""Multilevel models: generalized linear mixed models by maximum likelihood, linear ones by REML, too.

>>> import multilevel as ml
>>> results = ml.fit("cbind(incidence, size - incidence) ~ period + (1 | herd)", ml.datasets.cbpp(), family="binomial")
>>> print(results.summary())

``fit`` is the one call; ``MixedModel`` is the same in two steps. The names below are imported when first used, so that
``import multilevel`` costs next to nothing.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

__version__ = "0.1.0"  # the one place; the packaging reads it from here

if TYPE_CHECKING:
    from multilevel import datasets
    from multilevel.errors import (
        ArgumentError,
        ConvergenceWarning,
        DataError,
        DataWarning,
        FewRowsWarning,
        FitWarning,
        FormulaError,
        NotEstimableWarning,
        QuadratureWarning,
        RedundantColumnWarning,
        SavedFileError,
        SeparationWarning,
        SeveralMaximaWarning,
        SingularFitWarning,
    )
    from multilevel.family.custom import CustomFamily
    from multilevel.family.mixed import MixedFamily
    from multilevel.family.registry import Family, families
    from multilevel.inference.compare import compare
    from multilevel.inference.pool import pool
    from multilevel.inference.ranking import rank
    from multilevel.inference.vuong import vuong
    from multilevel.lm_list import LmList, lm_list
    from multilevel.model import MixedModel, fit
    from multilevel.pictures.power_curves import plot_power
    from multilevel.report.side_by_side import table
    from multilevel.results.results import MixedModelResults
    from multilevel.saved import load
    from multilevel.simulation import power, simulate

__all__ = [
    "ArgumentError",
    "ConvergenceWarning",
    "CustomFamily",
    "DataError",
    "DataWarning",
    "Family",
    "FewRowsWarning",
    "FitWarning",
    "FormulaError",
    "LmList",
    "MixedFamily",
    "MixedModel",
    "MixedModelResults",
    "NotEstimableWarning",
    "QuadratureWarning",
    "RedundantColumnWarning",
    "SavedFileError",
    "SeparationWarning",
    "SeveralMaximaWarning",
    "SingularFitWarning",
    "__version__",
    "compare",
    "datasets",
    "families",
    "fit",
    "lm_list",
    "load",
    "plot_power",
    "pool",
    "power",
    "rank",
    "simulate",
    "table",
    "vuong",
]

_MODULE_OF = {  # where each name lives; the submodule named in the value, or the name itself for a submodule
    "ArgumentError": "errors",
    "ConvergenceWarning": "errors",
    "CustomFamily": "family.custom",
    "DataError": "errors",
    "DataWarning": "errors",
    "FewRowsWarning": "errors",
    "Family": "family.registry",
    "FitWarning": "errors",
    "FormulaError": "errors",
    "LmList": "lm_list",
    "MixedFamily": "family.mixed",
    "MixedModel": "model",
    "MixedModelResults": "results.results",
    "NotEstimableWarning": "errors",
    "QuadratureWarning": "errors",
    "RedundantColumnWarning": "errors",
    "SavedFileError": "errors",
    "SeparationWarning": "errors",
    "SeveralMaximaWarning": "errors",
    "SingularFitWarning": "errors",
    "compare": "inference.compare",
    "families": "family.registry",
    "fit": "model",
    "lm_list": "lm_list",
    "load": "saved",
    "plot_power": "pictures.power_curves",
    "pool": "inference.pool",
    "power": "simulation",
    "simulate": "simulation",
    "rank": "inference.ranking",
    "vuong": "inference.vuong",
    "table": "report.side_by_side",
}


def __getattr__(name: str) -> object:
    import importlib

    if name == "datasets":
        return importlib.import_module("multilevel.datasets")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'multilevel' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"multilevel.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


class _Package(ModuleType):
    """Keeps ``lm_list`` the function, which importing the submodule of this name would overwrite."""

    def __setattr__(self, name: str, value: object) -> None:
        if name != "lm_list" or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted(__all__)
