"""Results read from files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .columns.transforms import UserFunctions
from .model import MixedModel
from .results.results import MixedModelResults
from .storage import archive, fits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike


def load(path: str | PathLike[str], *, functions: Mapping[str, Callable[..., Any]] | None = None) -> MixedModelResults:
    """Reads results that `MixedModelResults.save` wrote.

    Reading runs no code, whatever the file holds: it is safe with files from anywhere. (A pickle is not.) Numbers have
    the bits that they had, and the results do what they did.

    Parameters
    ----------
    path : str or path
    functions : mapping, optional
        The functions that were passed by `functions=` when the model was made, which a file cannot hold. They are
        needed for new data alone.

    Returns
    -------
    MixedModelResults

    Raises
    ------
    SavedFileError
        The file is something else, was written by a newer version of this library, is damaged, cut short or altered.
    DataError
        The formula calls none of the names in `functions`.
    """
    saved = fits.read(path, UserFunctions(functions))
    if saved.model is None:
        return MixedModelResults(saved.fit)
    family, design = saved.model
    model = MixedModel.__new__(MixedModel)
    try:
        model.__setstate__({"family": family, "design": design, "data": None})
    except Exception as error:  # of the core, which finds that arrays do not fit together
        raise archive.damaged(path, error) from error
    return MixedModelResults(replace(saved.fit, model_core=model._core), model)
