"""Errors name the place and the remedy; warnings state what was measured and the limit it passed."""

from __future__ import annotations

import sys
import warnings


class FormulaError(ValueError):
    """The formula cannot be read, or names something that is not there."""


class DataError(ValueError):
    """A column, a row or an argument holds values that the model cannot use."""


class ArgumentError(TypeError):
    """A keyword argument that a function does not have; the message says what it is called here."""


class SavedFileError(ValueError):
    """A file is not one that `results.save()` wrote, comes from a newer version, or is not as it was written."""


class FitWarning(UserWarning):
    """Base class of what a fit has to say about itself."""


class DataWarning(FitWarning):
    """Values that are used as they are, but look odd, such as counts that are not whole."""


class ConvergenceWarning(FitWarning):
    """The optimum was not certified: the predicted gain or the curvature missed its limit."""


class SingularFitWarning(FitWarning):
    """A variance is exactly zero, or a correlation exactly plus or minus one."""


class SeparationWarning(FitWarning):
    """A combination of fixed-effect columns predicts the response perfectly: their coefficients are infinite."""


class QuadratureWarning(FitWarning):
    """More quadrature points would move the estimates by more than the stated share of a standard error."""


class SeveralMaximaWarning(FitWarning):
    """The log-likelihood has another maximum nearly as high as the one reported: standard errors describe one peak."""


class FewRowsWarning(FitWarning):
    """So few rows for each parameter that the likelihood may have a higher maximum which no search has met."""


class RedundantColumnWarning(FitWarning):
    """Fixed-effect columns that are linear combinations of earlier ones were dropped."""


class NotEstimableWarning(FitWarning):
    """Predictions at which the rows of the fit say nothing, because columns were dropped there: they are NaN."""


def and_more(others: int, words: str = " and {} more") -> str:
    """What to add where other rows are alike; empty if none is."""
    return words.format(others) if others else ""


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn at the line outside this package that led here."""
    package, level, frame = __name__.rpartition(".")[0] + ".", 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(package):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
