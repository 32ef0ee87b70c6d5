"""Arguments: what those of other packages are called here, values that are written in another way, and numbers checked.

One table of arguments, one of values; `understands` makes a function use both.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from .errors import ArgumentError, DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

P = ParamSpec("P")
R = TypeVar("R")

MOST = 1_000_000  # threads or iterations: more is a slip

_TERM = "a term of the formula: (1 | g) for a random intercept, (1 + x | g) for a slope, too"
_POINTS = "n_quadrature: 1 is the Laplace approximation, 9 are nine points, 'auto' as many as it takes"
_ROWS = "no argument: leave rows out of the data first"
_TRIALS = "part of the response: cbind(successes, failures), or a proportion with weights= the trials"
_OPTIMIZER = "no argument: there is one optimizer; tol=, max_iter= and start= can be set"
_ERRORS = "robust='CR1' (or CR0, CR2, CR3, MBN) of cov_params, conf_int, summary, tidy and anova"
_RANDOM = (
    "random: 'conditional' with random effects, 'zero' without, 'marginal' over them, or a list of grouping factors"
)
_NOT_YET = "not offered"
_NORMAL = (
    "no argument: random effects are normal and have no mass points (no nonparametric maximum likelihood); "
    "n_quadrature='auto' has as many points as the integral takes, check() looks at the distribution of the random "
    "effects, and software for latent classes fits discrete ones"
)

# What an argument of another package is here: its name, a colon, and more. `{value}` is what was given, `{rest}` what
# is left of one.
WORDS: dict[str, str] = {
    **dict.fromkeys(("nAGQ", "nagq", "n_agq", "qpoints", "quadpoints", "intpoints", "n_quad", "quad_points"), _POINTS),
    **dict.fromkeys(("REML", "reml"), "method: 'reml', the default of linear mixed models, or 'ml'"),
    **dict.fromkeys(("groups", "group", "subject", "re_formula", "vc_formula", "exog_re", "cluster"), _TERM),
    **dict.fromkeys(("subset", "na_rm", "drop_na"), _ROWS),
    **dict.fromkeys(("na_action", "missing_values"), "missing: 'drop' or 'raise'"),
    **dict.fromkeys(("trials", "size", "n_trials"), _TRIALS),
    **dict.fromkeys(("control", "optimizer", "optim", "solver", "algorithm"), _OPTIMIZER),
    **dict.fromkeys(("maxiter", "max_iterations", "n_iter"), "max_iter"),
    **dict.fromkeys(("gtol", "ftol", "tolerance", "rtol"), "tol: the gain in log-likelihood at which to stop"),
    **dict.fromkeys(("start_params", "init", "inits"), "start: values in the order of results.parameter_names"),
    **dict.fromkeys(("verbose", "disp", "trace"), "progress: True, False, or None"),
    **dict.fromkeys(("n_jobs", "num_threads", "nthreads", "cores"), "threads"),
    **dict.fromkeys(("freq_weights", "var_weights", "prior_weights", "case_weights"), "weights: prior weights"),
    **dict.fromkeys(("dist", "distribution", "response_family"), "family"),
    **dict.fromkeys(("cov_type", "robust", "vcov", "vce"), _ERRORS),
    **dict.fromkeys(("cov_kwds", "clusters"), "cluster: a column or a value per row, with robust="),
    **dict.fromkeys(("ziformula", "zi", "zi_fixed", "zero"), "zero_inflation: a formula such as '~ x', or True"),
    **dict.fromkeys(("dispformula", "disp", "sigma", "varIdent"), "dispersion: a formula such as '~ x'"),
    **dict.fromkeys(("baseline", "baseoutcome", "refLevel"), "base: the category that the others are compared with"),
    **dict.fromkeys(("chid_var", "ids", "choice"), "choice_set: the column that tells which rows are one choice"),
    **dict.fromkeys(("n_mass_points", "mass_points", "n_classes", "nclass", "random_distribution", "nip"), _NORMAL),
    "correlation": _NOT_YET,
    "exposure": "offset: it is not transformed, so write offset='log(t)'",
    "random": _TERM,
    "fixed": "part of the formula: 'y ~ x + (1 | g)' has both",
    **dict.fromkeys(("re_form", "reform", "which_random", "conditional", "marginal"), _RANDOM),
    **dict.fromkeys(("new_data", "exog", "X", "data", "df"), "newdata"),
    "allow_new_levels": "new_levels: 'error', 'zero' or 'marginal'",
    "se_fit": "se: True for standard errors",
    **dict.fromkeys(("parm", "parameters", "params"), "which: names of parameters"),
    "type": "kind: kind={value!r}",
    **dict.fromkeys(("specs", "variables"), "columns: names of columns of the data"),
    "comparison": "kind: 'difference', 'ratio' or 'odds_ratio'",
    "wts": "weights",
    **dict.fromkeys(("typ", "test_type", "ss_type"), "type: 1, 2 or 3"),
    **dict.fromkeys(("p_adjust", "p_adjust_method", "multiplicity"), "adjust: 'holm', 'bonferroni', 'bh' or 'by'"),
    "alpha": "level: the coverage, level={rest}",
    **dict.fromkeys(("conf_level", "ci", "prob"), "level: the coverage, level=0.95"),
    **dict.fromkeys(("ddf", "ddfm", "lmer_df", "dfmethod"), "df_method: 'satterthwaite', 'kenward-roger', ..."),
    "refit": "no argument: compare tests by likelihood ratio, and fits again with method='bootstrap' alone",
    "test": "method: 'chi-square' or 'bootstrap', of likelihood ratios",
    **dict.fromkeys(("nsim", "n_sim", "n_boot", "reps", "replicates", "B", "R"), "n: replicates"),
    **dict.fromkeys(("random_state", "rng", "set_seed"), "seed: a whole number from 0 on"),
    **dict.fromkeys(("FUN", "func", "fun", "stat"), "statistic: a function of a replicate, or names of estimates"),
    **dict.fromkeys(("newresp", "new_response", "endog"), "y: the response, one number per row used"),
    "use_u": "random: 'conditional' or 'new' where responses are drawn; a bootstrap draws new random effects",
    **dict.fromkeys(("newparams", "true_params"), "params: numbers by the names of tidy()"),
    **dict.fromkeys(("along", "within", "resample"), "group: a grouping factor"),
    "ncpus": "threads",
    "dfcom": "df_complete: degrees of freedom that complete data would have",
}

# Values that mean one of ours, whatever their case.
_LOWER = (
    *("adjust", "method", "df_method", "kind", "new_levels", "interval", "variances", "missing", "n_quadrature", "n"),
)
_VALUES: dict[str, dict[object, int]] = {
    "type": {
        word: number
        for number, roman in enumerate(("i", "ii", "iii"), 1)
        for word in (roman, str(number), f"type {roman}", f"type {number}")
    }
}


def understands(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a function answer arguments of other packages, and take values in any case and Roman numerals.

    Parameters
    ----------
    function : callable
        Without ``**`` parameters.

    Returns
    -------
    callable
        The same; an argument that it does not have is an `ArgumentError`.
    """
    parameters = inspect.signature(function).parameters
    positions = {name: at for at, (name, p) in enumerate(parameters.items()) if p.kind is not p.VAR_POSITIONAL}
    known = [name for name in positions if name != "self"]

    @functools.wraps(function)
    def understanding(*args: P.args, **kwargs: P.kwargs) -> R:
        for word, value in kwargs.items():
            if word not in positions:
                # a method may come from one of the classes that make the user's
                owner = f"{type(args[0]).__name__}." if "self" in positions and args else ""
                raise ArgumentError(_unknown(f"{owner}{function.__name__}", word, value, known))
        given: list[Any] = list(args)
        for name in (*_LOWER, *_VALUES):
            at = positions.get(name, len(given))
            if at < len(given):
                given[at] = _plain(name, given[at])
            elif name in kwargs:
                kwargs[name] = _plain(name, kwargs[name])
        return function(*given, **kwargs)

    return understanding


def _plain(name: str, value: object) -> object:
    """A value as we write it."""
    if not isinstance(value, str):
        return value
    lower = value.lower()
    return lower if name in _LOWER else _VALUES[name].get(lower, value)


def _unknown(function: str, word: str, value: object, known: list[str]) -> str:
    where = function.removesuffix(".__init__")
    shown = f"{where} has {', '.join(known) if known else 'no arguments'}"
    if word not in WORDS:
        near = difflib.get_close_matches(word.lower(), known, n=1)
        return f"{where} has no argument {word!r}; " + (f"did you mean {near[0]!r}?" if near else shown)
    rest = f"{1 - value:g}" if isinstance(value, (int, float)) else "1 - alpha"
    name, colon, more = WORDS[word].format(value=value, rest=rest).partition(":")
    other = f" ({shown})" if name.isidentifier() and name not in known else ""
    return f"{word!r} is {name} here{colon}{more}{other}"


# ---- numbers -----------------------------------------------------------------------------------------------------


def finite_numbers(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """An argument as an array of finite numbers."""
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must hold numbers: {error}") from None
    if not np.isfinite(array).all():
        raise DataError(f"{name} is not finite at position {int(np.argmin(np.isfinite(array.ravel())))}")
    return array


def whole_number(value: object, name: str) -> int:
    """A whole number from 0 on, of a size that makes sense; None is 0."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < MOST:
        raise DataError(f"{name} is {value!r}; it is a whole number from 0 to {MOST - 1:,}")
    return int(value)


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuses a word that is none of the choices."""
    if value not in choices:
        raise DataError(f"{name}={value!r} is not available; choose one of {', '.join(map(repr, choices))}")
