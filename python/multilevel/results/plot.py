"""Results: pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..arguments import understands
from ..pictures import categories, caterpillar, check_panels, curves, forest, profiles, residual_plots, two_scales
from ..pictures import items as item_pictures
from ..pictures import latent as latent_picture
from ..pictures import quadrature as quadrature_picture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..fitting.record import Fit
    from ..inference.profile import Which


class Plot:
    """Pictures of a fit, as `results.plot`: each method draws one and returns its matplotlib Axes.

    Where a picture has several panels it is a Figure. All take `ax=`, Axes of your own to draw on, and need matplotlib
    (``pip install matplotlib``).
    """

    def __init__(self, fit: Fit) -> None:
        self.fit = fit

    @understands
    def random_effects(
        self, group: str | None = None, term: str | None = None, level: float = 0.95, ax: Axes | None = None
    ) -> Axes | Figure:
        """Random effects at their conditional modes, sorted, with intervals ("caterpillar plot").

        Thin lines are intervals of coverage `level` from the conditional standard deviations; where the thick ones of
        two levels do not overlap, the two differ at about 1 - level (Goldstein & Healy 1995, J. R. Statist. Soc. A
        158:175-177).

        Parameters
        ----------
        group : str, optional
            A grouping factor; the first without it.
        term : str, optional
            One random effect of it; all of them, a panel each, without it.
        level : float
        ax : Axes, optional
            For one panel.
        """
        return caterpillar.random_effects(self.fit, group, term, level, ax)

    @understands
    def fixed(
        self, level: float = 0.95, exponentiate: bool = False, intercept: bool = False, ax: Axes | None = None
    ) -> Axes:
        """Fixed effects with Wald intervals ("forest plot").

        Parameters
        ----------
        level : float
            Coverage.
        exponentiate : bool
            Odds ratios (logit link), ratios of means (log) or hazard ratios (cloglog) on a logarithmic axis.
        intercept : bool
            Whether the intercept has a row.
        ax : Axes, optional
        """
        return forest.fixed(self.fit, level, exponentiate, intercept, ax)

    @understands
    def residuals(self, kind: str = "pearson", ax: Axes | None = None) -> Axes:
        """Residuals over linear predictors, with their means in up to 40 classes of as many rows.

        The band is two standard errors of such a mean about zero: the means are what to look at where residuals of
        binary responses or small counts fall on lines (Gelman & Hill 2007, section 5.6).

        Parameters
        ----------
        kind : {"pearson", "deviance", "response", "quantile"}
            Categories without an order have quantile residuals alone.
        ax : Axes, optional
        """
        return residual_plots.residuals(self.fit, kind, ax)

    @understands
    def qq(self, what: str = "residuals", ax: Axes | None = None) -> Axes:
        """Sorted deviance residuals (of categories quantile residuals), or conditional modes of a grouping factor, over
        normal quantiles.

        The line goes through the quartiles. Modes are drawn towards zero, each by as much as its level has few rows:
        that they look normal is no proof that the random effects are (Verbeke & Lesaffre 1996).

        Parameters
        ----------
        what : str
            "residuals", or a grouping factor.
        ax : Axes, optional
        """
        return residual_plots.qq(self.fit, what, ax)

    @understands
    def quadrature(self, level: object = None, n_points: int | None = None, ax: Axes | None = None) -> Axes:
        """The likelihood of one level over its random effect, with the quadrature points on it.

        The dashed curve is what the Laplace approximation puts in its place. For models with one grouping factor and
        one random effect per level.

        Parameters
        ----------
        level : optional
            A level of the grouping factor; the first without it.
        n_points : int, optional
            The number of points of the fit without it.
        ax : Axes, optional
        """
        return quadrature_picture.quadrature(self.fit, level, n_points, ax)

    @understands
    def predictions(
        self,
        x: str,
        by: str | None = None,
        at: Mapping[str, Any] | None = None,
        level: float = 0.95,
        kind: str = "response",
        groups: bool = True,
        data: bool = True,
        ax: Axes | None = None,
    ) -> Axes:
        """Means over a predictor: of a typical group, of the population, and of each group.

        Solid, with its band, is the mean with random effects of zero; dashed the average over the random effects, where
        the two differ. Other columns are at their means, factors averaged over, as in `marginal_means`. Thin curves are
        the levels of the first grouping factor at their conditional modes, where its random effects are an intercept
        and a slope of `x` or one of them. Crosses are means of the response in classes of as many rows.

        Parameters
        ----------
        x : str
            A column of the data, a number or a factor.
        by : str, optional
            A factor: curves for each of its levels, without those of groups and without data.
        at : mapping, optional
            Values of other columns, as in `marginal_means`.
        level : float
            Of the band.
        kind : {"response", "link"}
            Of ordered categories "response" is the mean of their numbers; `probabilities` has the categories.
        groups, data : bool
            Whether curves of groups, and means of the data, are drawn.
        ax : Axes, optional
        """
        return curves.predictions(self.fit, x, by, at, level, kind, groups, data, ax)

    @understands
    def categories(
        self,
        x: str,
        at: Mapping[str, Any] | None = None,
        level: float = 0.95,
        random: str = "zero",
        style: str = "stacked",
        ax: Axes | None = None,
    ) -> Axes:
        """Probabilities of categories over a predictor.

        Parameters
        ----------
        x : str
            A column of the data, a number or a factor.
        at : mapping, optional
            Values of other columns, as in `marginal_means`.
        level : float
            Of the bands.
        random : {"zero", "marginal", "conditional"}
            A typical group, the population, or the average of the groups of the fit.
        style : {"stacked", "lines"}
            Areas (bars of a factor) on top of each other that fill the picture; or a line with a band for each.
        ax : Axes, optional
        """
        return categories.probabilities(self.fit, x, at, level, random, style, ax)

    @understands
    def thresholds(self, at: Mapping[str, Any] | None = None, level: float = 0.95, ax: Axes | None = None) -> Axes:
        """The density of the latent response around its predictor, cut by the thresholds into the categories.

        Random effects are zero, other columns at their means, factors averaged over: areas are the probabilities there.
        Short bars at the top are intervals of the thresholds beside the predictor.

        Parameters
        ----------
        at : mapping, optional
            A value for each of some columns, as in `marginal_means`.
        level : float
            Of the intervals.
        ax : Axes, optional
        """
        return categories.thresholds(self.fit, at, level, ax)

    @understands
    def profile(self, which: Which = None, level: float = 0.95, ax: Axes | None = None) -> Axes | Figure:
        """Profiles of the likelihood, a panel per parameter: zeta, the signed root of twice what it loses.

        A straight line is a likelihood of a normal distribution's shape, whose Wald interval is right. Dashed are the
        limits of the profile interval, where zeta leaves the band.

        Parameters
        ----------
        which : optional
            As in `results.profile`; all parameters without it.
        level : float
        ax : Axes, optional
            For one parameter.
        """
        return profiles.profile(self.fit, which, level, ax)

    @understands
    def check(self, seed: int | None = 0) -> Figure:
        """What to look at before a model is believed, in one figure; `results.check()` has the tests.

        Quantile residuals over normal quantiles, and their means over the linear predictor with a band of two standard
        errors; the random effects of the first grouping factor over normal quantiles; Cook's distances of its levels.

        Parameters
        ----------
        seed : int or None
            Of the random effects drawn given the data, and of where responses with a probability are put.
        """
        return check_panels.check(self.fit, seed)

    @understands
    def influence(self, group: str | None = None, exact: bool = False, ax: Axes | None = None) -> Axes:
        """Cook's distances without each level of a grouping factor, or without each row, the 25 largest.

        Parameters
        ----------
        group : str, optional
            A grouping factor; rows without it.
        exact : bool
            Whether to fit again without each, as in `results.influence`.
        ax : Axes, optional
        """
        return check_panels.influence(self.fit, group, exact, ax)

    @understands
    def probability(
        self,
        x: str,
        by: str | None = None,
        at: Mapping[str, Any] | None = None,
        level: float = 0.95,
        groups: bool = True,
        data: bool = True,
    ) -> Figure:
        """The curves of `predictions` over a predictor twice: of linear predictors, and of probabilities or means.

        Parameters
        ----------
        x, by, at, level, groups, data
            As in `predictions`. Lines mark the probability of one half.
        """
        return two_scales.probability(self.fit, x, by, at, level, groups, data)

    @understands
    def latent(
        self, by: str | None = None, at: Mapping[str, Any] | None = None, groups: bool = True, ax: Axes | None = None
    ) -> Axes:
        """The density of the latent response of a binary model: the part above zero is the probability of success.

        The latent response is the linear predictor and a logistic (logit), normal (probit), extreme-value (cloglog)
        or Cauchy variable (cauchit). Solid is a group whose random effects are zero; dashed, without `by`, the
        population, whose random effects are in the density, too; thin the levels of the first grouping factor.

        Parameters
        ----------
        by : str, optional
            A column of the data, a density for each level or (of many numbers) for its 10 %, 50 % and 90 % quantiles;
            or a grouping factor, for seven of its levels from the lowest to the highest.
        at : mapping, optional
            Values of columns, in place of all levels of a factor and of the mean of a number. Random slopes are at the
            means of their columns.
        groups : bool
            Whether to draw the levels of the first grouping factor, without `by`.
        ax : Axes, optional
        """
        return latent_picture.latent(self.fit, by, at, groups, ax)

    def items(self) -> Figure:
        """Characteristic and information curves of the items of a latent trait, see `results.item_curves`."""
        return item_pictures.items(self.fit)
