"""Results: responses drawn from the fit, and fits to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from ..arguments import understands
from ..prediction import simulate
from ..resampling import bootstrap
from .part import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..resampling.bootstrap import Bootstrap, Replicate


class Resampling(Part):
    """Simulation and bootstrap."""

    @understands
    def simulate(self, n: int = 1, seed: int | None = None, random: str = "new") -> pd.DataFrame:
        """Responses drawn from the fit.

        Parameters
        ----------
        n : int
            Replicates.
        seed : int, optional
            From 0 on; without it the operating system gives one. Replicate k of a seed is the same whatever `n`.
        random : {"new", "conditional"}
            New random effects in each replicate, or those of the fit at their conditional modes.

        Returns
        -------
        DataFrame, (n_rows, n)
            A column for each replicate, as `refit` and `model.fit_many` take it: successes out of the trials of the
            fit, values of a response that the formula transforms. Zero parts, truncation, offsets and formulas of the
            family's parameters are in it. Prior weights of Gaussian models are precisions; those of other families are
            refused. Censored responses are at a row's limit where they are beyond it; those of intervals are drawn
            as if all had been seen.

        Warns
        -----
        ConvergenceWarning
            The fit did not converge.

        Raises
        ------
        DataError
            The fit has no estimates, prior weights that say how often a row counts, or a link that takes means out of
            the family's range.
        """
        return simulate.simulate(self.fit, n, seed, random)

    @understands
    def bootstrap(
        self,
        n: int = 1000,
        seed: int | None = None,
        statistic: Callable[[Replicate], Any] | str | Sequence[str] | None = None,
        kind: str = "parametric",
        *,
        group: str | None = None,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> Bootstrap:
        """Fits the model again to replicates of its data.

        Parameters
        ----------
        n : int
            Replicates.
        seed : int, optional
            From 0 on; the same seed gives the same bits, whatever `threads`.
        statistic : callable or names, optional
            A function of a `Replicate` (estimates, params, random_cov, family_params, llf, predict()) that gives a
            number, several, or a mapping of names to numbers; or names of estimates. Without it all parameters:
            fixed effects, standard deviations and correlations of the random effects, the family's own.
        kind : {"parametric", "cases", "residual"}
            New random effects and responses from the fitted model; levels of a grouping factor drawn with repetition,
            each draw as a level of its own; or, of linear models, conditional modes and residuals drawn with
            repetition, after they were given the variances that the model has estimated.
        group : str, optional
            The grouping factor whose levels "cases" draws: by default the one that all others are nested in. Without a
            grouping factor rows are drawn.
        threads : int, optional
            All processors without it.
        progress : bool, optional
            Fits done on stderr: always, never, or (None) after two seconds when stderr is a terminal.

        Returns
        -------
        Bootstrap
            `summary()`, `conf_int()`, `bias`, `std_error`, `replicates`, and `failed`: the fits that did not converge
            and why, which are counted, shown, and left out.

        Warns
        -----
        ConvergenceWarning
            More than 5% of the fits failed, or the fit itself did not converge.

        Raises
        ------
        DataError
            The kind needs another model, factors cross and `group` is not given, or a statistic is not finite.

        References
        ----------
        Davison & Hinkley (1997) Bootstrap Methods and their Application; Carpenter, Goldstein & Rasbash (2003) Appl.
        Statist. 52:431-443 for residuals.

        Examples
        --------
        >>> import multilevel as ml
        >>> results = ml.fit("Reaction ~ Days + (1 | Subject)", ml.datasets.sleepstudy())
        >>> print(round(results.bootstrap(200, seed=1).std_error["Subject: sd__(Intercept)"]))
        7
        """
        return bootstrap.bootstrap(self.fit, n, seed, statistic, kind, group, threads, progress)
