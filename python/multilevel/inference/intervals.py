"""Confidence intervals, by whichever method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import wald
from .profile import profile_intervals

if TYPE_CHECKING:
    import pandas as pd

    from ..fitting.record import Fit
    from .profile import Which
    from .robust import Robust


def confidence_intervals(
    fit: Fit,
    level: float = 0.95,
    method: str = "wald",
    df_method: str | None = None,
    which: Which = None,
    robust: Robust | None = None,
) -> pd.DataFrame:
    """Confidence intervals of the fixed effects, or by profile likelihood of what is asked for.

    Parameters
    ----------
    fit : Fit
    level : float
        Coverage, between 0 and 1.
    method : {"wald", "profile"}
        Estimate plus and minus a quantile, of t for linear models and else of the normal distribution, of standard
        errors; or where the profile of the likelihood has not fallen by more than the level allows.
    df_method : str, optional
        Degrees of freedom of Wald intervals.
    which : optional
        As of `profile.profile`; of Wald intervals names of fixed effects.
    robust : Robust, optional
        The covariance that Wald intervals come from.

    Returns
    -------
    DataFrame, index = names; columns "lower", "upper".

    Raises
    ------
    ValueError
        For another method, or a level outside (0, 1).
    DataError
        A name is not there.
    """
    if method != "profile":
        return wald.confidence_intervals(fit, level, method, df_method, which, robust)
    if df_method is not None:
        raise ValueError("df_method is for Wald intervals; profile intervals are of the likelihood and have no degrees")
    if robust is not None:
        raise ValueError("robust= is for Wald intervals; a profile is of the likelihood that robust errors distrust")
    wald.complain_of_level(level)
    return profile_intervals(fit, level, which)
