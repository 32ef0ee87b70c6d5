"""What every part of the results has: the record of the fit, and the model it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..inference import robust as sandwich

if TYPE_CHECKING:
    from ..fitting.record import Fit
    from ..model import MixedModel


class Part:
    """A part of the results: methods on one subject, each of them one call into the module that does the work."""

    fit: Fit
    model: MixedModel | None

    def _robust(self, kind: str | None, cluster: Any) -> sandwich.Robust | None:
        """The fit with the robust covariance that was asked for, if one was."""
        return sandwich.asked_for(self.fit, kind, cluster, None if self.model is None else self.model.data)
