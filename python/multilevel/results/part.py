"""What every part of the results has: the record of the fit, and the model it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..fitting.record import Fit
    from ..model import MixedModel


class Part:
    """A part of the results: methods on one subject, each of them one call into the module that does the work."""

    fit: Fit
    model: MixedModel | None
