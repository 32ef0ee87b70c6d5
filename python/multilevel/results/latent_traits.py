"""Results: items and the latent traits of persons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..arguments import understands
from ..inference import latent_traits
from ..prediction import abilities
from .part import Part

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike


class LatentTraits(Part):
    """Of models such as ``y ~ 0 + item + rr(0 + item | person, d=1)``, or with factors, ``cfa(...)``."""

    def item_parameters(self) -> pd.DataFrame:
        """Discrimination, difficulty and easiness of each item with delta-method standard errors; index item.

        Of several factors, the loading on each and the easiness.
        """
        return latent_traits.item_parameters(self.fit)

    def factor_correlations(self) -> pd.DataFrame:
        """Correlations of the factors of ``cfa(...)`` with delta-method standard errors: factor, factor2, estimate,
        std_error.
        """
        return latent_traits.factor_correlations(self.fit)

    def item_curves(self, ability: ArrayLike | None = None) -> pd.DataFrame:
        """Expected response and information of each item along the trait: columns item, ability, mean, information.

        `ability` holds values of the trait in standard deviations; without it, from -4 to 4.
        """
        return latent_traits.item_curves(self.fit, ability)

    @understands
    def abilities(
        self,
        newdata: Any = None,
        *,
        offset: ArrayLike | str | None = None,
        weights: ArrayLike | str | None = None,
    ) -> pd.DataFrame:
        """Posterior mean and standard deviation of each level's trait, by quadrature: columns level, mean, sd.

        With `newdata`, of other persons from their answers, at the estimates of the fit: the response, the predictors
        and the grouping factor, a row per answer. Rows with a missing value are left out; `offset` and `weights` are
        theirs, where the fit had such. Estimates are taken for true values.
        """
        return abilities.abilities(self.fit, newdata, offset, weights)
