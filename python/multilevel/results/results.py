"""What a user holds after a fit. Every method is one call into a module that does the work; none computes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..arguments import understands
from ..storage import fits
from .checking import Checking
from .course import Course
from .dependence import Dependence
from .effects import Effects
from .estimates import Estimates
from .hypotheses import Hypotheses
from .latent_traits import LatentTraits
from .random_part import RandomPart
from .reports import Reports
from .resampling import Resampling
from .rows import RowValues
from .statistics import Statistics

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import ArrayLike

    from ..fitting.record import Fit
    from ..model import MixedModel

# What other packages call what results have.
NAMES = {
    "cov_re": "random_cov, the covariances of the random effects, or vcov_table()",
    "fe_params": "params",
    "bse_fe": "bse",
    "fixef": "params",
    "coefficients": "params",
    "ranef": "random_effects()",
    "VarCorr": "vcov_table()",
    "vcov": "cov_params()",
    "vcomp": "vcov_table()",
    "loglik": "llf",
    "logLik": "llf",
    "resid": "residuals()",
    "fitted": "fittedvalues",
    "confint": "conf_int()",
}


class MixedModelResults(
    Estimates,
    Hypotheses,
    RandomPart,
    Statistics,
    RowValues,
    Effects,
    Dependence,
    LatentTraits,
    Checking,
    Resampling,
    Course,
    Reports,
):
    """A fitted multilevel model: estimates, how far to trust them, predictions, residuals and tables.

    Parameters
    ----------
    fit : Fit
        The frozen record of the fit.
    model : MixedModel, optional
        The model that was fitted, needed by `refit`.

    Notes
    -----
    Attribute names follow statsmodels, formulas and the layout of `summary()` follow lme4, `tidy()`, `glance()` and
    `augment()` follow broom. With p fixed effects and n rows used, `params` has shape (p,), `fittedvalues` (n,).
    """

    def __init__(self, fit: Fit, model: MixedModel | None = None) -> None:
        self.fit = fit
        self.model = model

    def __getattr__(self, name: str) -> Any:
        if name in NAMES:
            raise AttributeError(f"{name!r} is {NAMES[name]} here", name=name, obj=self)
        return object.__getattribute__(self, name)  # the error that led here, of the property itself if there is one

    @understands
    def refit(
        self,
        y: ArrayLike,
        method: str | None = None,
        n_quadrature: int | str | None = None,
        *,
        start: ArrayLike | None = None,
        threads: int | None = None,
        progress: bool | None = None,
        tol: float = 1e-9,
        max_iter: int = 100,
    ) -> MixedModelResults:
        """The same model fitted to another response, on the scale of the model's own.

        `y` has one value per row used: successes of binomial models, and where the formula transforms the response, as
        ``log(y) ~ x`` does, the transformed values. `method` is that of this fit unless another is given,
        and so is `n_quadrature` with the same method; the other arguments are those of `model.refit`.
        """
        if self.model is None:
            raise ValueError("these results carry no model to fit again; fit the formula to the new data instead")
        method = self.fit.method if method is None else method
        if n_quadrature is None:
            n_quadrature = self.fit.n_quadrature if method == self.fit.method else 1
        return self.model.refit(
            y, method, n_quadrature, start=start, threads=threads, progress=progress, tol=tol, max_iter=max_iter
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the results to a file of plain data that `multilevel.load` reads, which is safe with any file.

        The file has the data that were used, in a zip archive of JSON and `.npy` members with checksums. Of functions
        passed by `functions=` it has the names alone: `load` takes them again. Pickling works as well, for those who
        trust what they read.

        Raises
        ------
        DataError
            Labels of rows or levels are objects that are no plain data, such as members of an Enum.
        """
        model = None if self.model is None else (self.model.family, self.model.design)
        fits.write(path, fits.Saved(self.fit, model))
