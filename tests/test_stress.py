"""The stress harness of benchmarks/stress: it finds planted faults, and a short run."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.fitting.verdict import Verdict

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
if not (BENCHMARKS / "stress").is_dir():
    pytest.skip("the benchmarks are not beside the tests", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))

from stress import after, checks, designs, invariance, restarts, workers  # noqa: E402
from stress.densities import Density  # noqa: E402
from stress.designs import Bar, Design, design  # noqa: E402
from stress.modes import Clusters, starts  # noqa: E402
from stress.outcome import Outcome  # noqa: E402
from stress.recipe import (  # noqa: E402
    FULL,
    KINDS,
    LATENT,
    LINKS,
    OF_TRAITS,
    SEVERAL_PREDICTORS,
    TRAITS,
    WIDER,
    WIDER_PARTS,
    Recipe,
    draw,
)
from stress.traits import ItemDesign  # noqa: E402

from .test_stress_definitions import small  # noqa: E402

# ---- planted faults -----------------------------------------------------------------------------------------------


def example(points: int = 5) -> tuple[Design, Any, Any]:
    """A healthy fit of an intercept and a slope."""
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(50), 8), rng.normal(size=400)
    u = rng.normal(size=(50, 2)) * (1.5, 0.9)
    y = (rng.random(400) < 1 / (1 + np.exp(-(u[g, 0] + (1 + u[g, 1]) * x)))).astype(int)
    recipe = replace(a_recipe(), family="binomial", link="logit", points=points)
    made = Design(recipe, pd.DataFrame({"y": y, "x": x, "g": g}), "y", ["x"], [Bar("(1 + x | g)", ("g",), ("1", "x"))])
    model = ml.MixedModel(**made.arguments())
    return made, model, model.fit(**made.options())


def a_recipe() -> Recipe:
    return draw(np.random.default_rng(0), 0)


def planted(results: Any, **changes: Any) -> Any:
    verdict = Verdict(True, "converged", "", ())
    return ml.MixedModelResults(replace(results.fit, verdict=verdict, **changes), results.model)


def labels(made: Design, model: Any, results: Any, restarts: bool = False) -> set[str]:
    outcome = Outcome(0, "slope", seconds=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = checks.plain_of(made, results)
        rng = np.random.default_rng(0)
        checks.judge(made, model, results, plain, outcome, rng)
        if restarts:
            checks.check_restarts(made, model, results, plain, outcome, rng)
    return outcome.labels()


def test_a_healthy_fit_passes() -> None:
    assert labels(*example(), restarts=True) == set()


def test_exchanged_variances_are_found() -> None:
    made, model, results = example()
    cov = results.fit.random_cov[0][::-1, ::-1]
    lower = np.linalg.cholesky(cov)
    theta = np.array([lower[0, 0], lower[1, 0], lower[1, 1]])
    psi = np.concatenate([results.fit.beta, theta])
    wrong = planted(results, psi=psi, random_cov=(cov,), theta=(lower,), theta_values=(theta,))
    assert {"LLF WRONG", "NOT REPEATED"} <= labels(made, model, wrong)


def test_wrong_standard_errors_are_found() -> None:
    made, model, results = example()
    fit = results.fit
    wrong = planted(results, covariance=1.01 * fit.covariance, beta_covariance=1.01 * fit.beta_covariance)
    assert "SE WRONG" in labels(made, model, wrong)


def test_a_point_that_is_no_maximum_is_found() -> None:
    made, model, results = example()
    moved = results.fit.psi * np.array([1, 1, 1, 1, 1.05])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        there = model.fit(**made.options(), start=moved, max_iter=0)
    assert there.llf < results.llf - 1e-3
    assert "SILENT WRONG" in labels(made, model, planted(there))
    assert "SILENT WRONG" in labels(made, model, planted(there), restarts=True)


def test_missing_standard_errors_are_found() -> None:
    made, model, results = example()
    covariance = results.fit.covariance.copy()
    covariance[4] = covariance[:, 4] = np.nan
    assert "NOT FINITE" in labels(made, model, planted(results, covariance=covariance))


def after_labels(look: Callable[[after.Fitted], bool], made: Design, results: Any) -> set[str]:
    outcome = Outcome(0, "slope")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = after.Fitted(made, results, checks.plain_of(made, results), outcome, np.random.default_rng(0))
        assert look(fitted)
    return outcome.labels()


@pytest.fixture(scope="module")
def healthy() -> tuple[Design, Any]:
    made, _, results = example()
    return made, results


@pytest.mark.parametrize("look", [after.saved, after.predicted, after.drawn, after.many, after.profiled])
def test_what_comes_after_a_healthy_fit_passes(look: Callable[[after.Fitted], bool], healthy: tuple) -> None:
    assert after_labels(look, *healthy) == set()


def test_wrong_predictions_files_and_limits_are_found(healthy: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    made, results = healthy
    kind = type(results)
    predict, profile, many = kind.predict, kind.profile, ml.MixedModel.fit_many
    monkeypatch.setattr(kind, "predict", lambda self, *a, **k: predict(self, *a, **k) + 1e-6)
    assert after_labels(after.predicted, made, results) == {"AFTER WRONG"}
    monkeypatch.setattr(ml, "load", lambda path: replace_psi(results, results.fit.psi * (1 + 1e-15)))
    assert after_labels(after.saved, made, results) == {"AFTER WRONG"}
    monkeypatch.setattr(kind, "profile", lambda self, *a, **k: profile(self, *a, level=0.949))
    assert after_labels(after.profiled, made, results) == {"AFTER WRONG"}
    monkeypatch.setattr(
        ml.MixedModel, "fit_many", lambda self, *a, **k: many(self, *a, **k).eval("llf = llf + 0.01", engine="python")
    )
    assert after_labels(after.many, made, results) == {"AFTER WRONG"}


@pytest.mark.parametrize(("change", "label"), [("rows", "other optimum of a coarse rule"), ("scaled", "SILENT WRONG")])
def test_a_better_optimum_that_more_nodes_do_not_have(
    change: str, label: str, healthy: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked where both fits have the same parameters."""
    made, results = healthy
    other = SimpleNamespace(converged=True, llf=results.llf - 1.0, fit=results.fit)
    for better_with_more in (True, False):
        monkeypatch.setattr(invariance, "survives", lambda *_, answer=better_with_more: answer)
        outcome = Outcome(0, made.recipe.kind)
        invariance._compare(made, getattr(invariance, change), results, other, checks.plain_of(made, results), outcome)
        assert outcome.labels() == {"SILENT WRONG" if better_with_more else label}


def test_a_better_optimum_of_an_approximation_alone() -> None:
    """An effect for each row, known as a range: by Laplace's approximation 100 higher, by the likelihood 140 lower."""
    made = design(744000600)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ml.MixedModel(**made.arguments())
        results = model.fit(**made.options())
        start = np.concatenate([[3.6], np.full(10, 2.2), [0.0, -2.2]])
        better = model.fit(**made.options(), start=start)
    plain = checks.plain_of(made, results)
    value, error = plain.sampled(results.fit.psi)
    assert results.converged
    assert abs(value - results.llf) < 0.1
    assert error < 0.01
    assert better.llf > results.llf + 90
    assert restarts.falls(plain, results.fit.psi, better.fit.psi)
    assert not restarts.falls(plain, better.fit.psi, results.fit.psi)


def test_a_lower_maximum_is_silent_unless_the_fit_tells_of_several(healthy: tuple) -> None:
    _, results = healthy
    assert restarts.lower_label(results) == "SILENT WRONG"
    for category in (ml.SeveralMaximaWarning, ml.FewRowsWarning):
        told = replace(results.fit.verdict, remarks=((category, "another maximum"),))
        assert restarts.lower_label(SimpleNamespace(fit=SimpleNamespace(verdict=told))) == "WRONG BUT TOLD"
    coarse = replace(told, remarks=((ml.QuadratureWarning, "more points"),))
    assert restarts.lower_label(SimpleNamespace(fit=SimpleNamespace(verdict=coarse))) == "SILENT WRONG"


def replace_psi(results: Any, psi: np.ndarray) -> Any:
    return ml.MixedModelResults(replace(results.fit, psi=psi), results.model)


# ---- designs with several maxima ----------------------------------------------------------------------------------

HIGHEST = {
    97000258: -472.135768,  # negative binomial: no dispersion and a large variance, or the other way round
    97000798: -130.147006,
    97000216: -9.202113,  # binary data that random effects almost reproduce: much larger variances
    97001026: -84.917558,
    97001350: -7.953373,
    96000069: -73.309683,  # cs: a standard deviation that is almost zero where another is not
    95000584: 253.037001,  # Gamma: a variance of zero
    171000422: -11.147849,  # large effects, whose maxima are close together
    698003285: -150.309148,  # ranges: a residual, or effects of as many times as there are rows
    698002951: -87.721835,  # one count of half a million: the regression runs off, and ordinary values do not
    521000224: -387.565425,  # categories: effects of 36 on the link's scale, 36 above ordinary ones by 41 points too
    641000559: -293.185769,  # generalized Poisson: ordinary effects, or none of the counts spread by the family
    662000743: -101.780370,  # negative binomial: a small variance, or none, less than 1e-4 apart
    671000267: 16.203893,  # an autoregression beside intercepts: none, or a small one
    673001451: 87.435960,  # skew-normal: the first search runs off along the slant
    674001641: -1125.069271,  # truncated counts: no random effects and an enormous dispersion, or effects
    674002169: -42.654733,  # ranges: effects, or a residual
    705000239: -15.102203,  # three factors in 16 rows: a start that leads there takes hundreds of evaluations
    693000090: -17.739266,  # rows of two kinds, 23 for 11 parameters
    707000459: 118.451181,  # skew-normal with a dispersion formula: a slant of 20, or none to speak of
    708000035: 226.534132,  # skew-normal: the search stood where no slant leaves every likelihood level
    709002739: -128.029369,  # two counts of thousands among zeros: the regression ran off, and scores of it said 1e16
    768001449: -208.860737,  # three effects: a combination does not vary, no two have a correlation of 1
    765003729: -75.090540,  # three categories without an order, nested: 152 random effects of 74 responses
    761009481: -1029.289773,  # two factors of ten items, 46 persons: few searches miss it (-1029.380061)
    794000962: -1934.181593,  # dispersions of two kinds of rows: one of them tells the means (-2042.116647)
    97000265: -1567.232837,  # hetar1: deviations of zero and a correlation of one, or no residual
}


# Eigenvectors of one correlation between three effects depend on the processor: the two designs have those of this one.
THIRD, TENTH = 0.08164965809277246, 0.49833054625753515
ROOT = [[THIRD, -2 * TENTH, 0.0], [THIRD, TENTH, -np.sqrt(3) * TENTH], [THIRD, TENTH, np.sqrt(3) * TENTH]]
DRAWN_OTHERWISE = (693000090, 768001449)


@pytest.mark.parametrize("seed", HIGHEST)
def test_the_highest_of_several_maxima(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value is the plain implementation's at the highest maximum that any search of many has found."""
    if seed in DRAWN_OTHERWISE:
        monkeypatch.setattr(designs, "exchangeable_root", lambda q, rho: np.array(ROOT))
    made = design(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = ml.MixedModel(**made.arguments()).fit(**made.options())
    assert results.converged
    assert checks.plain_of(made, results).loglik(results.fit.psi) == pytest.approx(HIGHEST[seed], abs=1e-5)


def test_a_maximum_of_few_rows_that_may_be_missed_is_told() -> None:
    """Skew-normal, 28 rows for ten parameters: rounding decides which of three maxima (-62.2489, -62.2347) is found."""
    made = design(690000560)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = ml.MixedModel(**made.arguments()).fit(**made.options())
    assert results.converged
    assert results.llf > -62.4248
    assert {ml.SeveralMaximaWarning, ml.FewRowsWarning} <= {warning.category for warning in caught}


def test_categories_that_come_near_to_certain_as_their_scale_grows() -> None:
    """Coefficients, thresholds, the standard deviation and the scale grow together, from -35.73 by three units."""
    made = design(681001256)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = ml.MixedModel(**made.arguments()).fit(**made.options())
    assert checks.plain_of(made, results).loglik(results.fit.psi) > -32.36


RIDGES = {
    745004164: [8.6634, -2.3776, 1.3993, 2.4383, 1.7633, 5.356, -0.8839, 1.1744],  # peaks of a scan between its points
    678001135: [367.166682, -3.70174495, 211.598512, -2.17413058, 0.0424700008, -9.4838461, -0.797691036],
    674001298: [32.2058494, -5253.53684, 0.012377033, 354.349243, 35480.1054, -1.28658505],
    687000503: [
        -7.5085,
        -13369.6077,
        8.8838,
        29084.69,
        0.0,
        -11.5651,
    ],  # a ridge in one of two effects: truncated counts
    # truncated counts of nested factors, some of whose groups are larger only together with their units
    740009966: [-0.755885471, 3.09830153e-03, 7.68375960, 4.44237061, -8.34811381],
    # zeros that are the counts' own where the effect of the mean is between zero and where searches beside it began
    740006283: [-2.13255320, 5.00084128e-05, 4.85587898, 0.354639498, -1.22359868, 1.44413748],
}


@pytest.mark.parametrize("seed", RIDGES)
def test_modes_on_narrow_ridges(seed: int) -> None:
    """Large effects: searches that begin at zero and at the responses ended as much as four below the largest mode."""
    made = design(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = made.options() | {"n_quadrature": 1, "max_iter": 0}
        results = ml.MixedModel(**made.arguments()).fit(**options, start=np.array(RIDGES[seed]))
    value = checks.plain_of(made, results).loglik(results.fit.psi)
    assert results.llf == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize("seed", [850000000, 850000012, 850000024, 850000028])
def test_modes_of_levels_with_what_is_nested_in_them(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zero parts with random effects: a level has no better peak with the others held, and one with them following."""
    size = 6 if seed == 850000012 else 4
    drawn = {"kind": "nested", "family": "poisson", "link": "log", "part": "random zero", "method": "ml", "points": 1}
    drawn |= {"weighted": False, "offset": False, "deficient": False, "shift": 0.0, "scale": 1.0, "response_scale": 1.0}
    drawn |= {"n_groups": 6 if size == 4 else 5, "size": size, "sds": (2.0, 2.0, 4.0, 1.0), "intercept": 1.0}
    draw = designs.draw
    monkeypatch.setattr(designs, "draw", lambda rng, seed: replace(draw(rng, seed), **drawn))
    made = design(seed)
    model = ml.MixedModel(**made.arguments())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = model.fit(**made.options(), max_iter=0).fit.parameter_names
        start = [{"(Intercept)": 0.5, "x": 0.5, "zero: (Intercept)": -0.5}.get(name, 3.0) for name in names]
        results = model.fit(**made.options(), start=start, max_iter=0)
    assert results.llf == pytest.approx(checks.plain_of(made, results).loglik(results.fit.psi), abs=1e-5)


def test_where_no_distribution_is_a_zero_has_no_density() -> None:
    """Inflated counts with a dispersion below 1 and nodes at small means: not the probability of a zero beside them."""
    made = design(793003274)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = ml.MixedModel(**made.arguments()).fit(**made.options())
    assert results.converged
    assert np.exp(results.fit.psi[3]) < 1
    assert results.llf == pytest.approx(checks.plain_of(made, results).loglik(results.fit.psi), abs=1e-8)


def test_nothing_is_certified_that_the_last_digits_of_the_parameters_move() -> None:
    """Effects with a standard deviation of 1e5 on the scale of the logit: the log-likelihood has six digits."""
    made = design(745000677)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = ml.MixedModel(**made.arguments()).fit(**made.options())
    assert not results.converged
    assert "last digits of the parameters" in results.fit.message
    assert results.llf == pytest.approx(checks.plain_of(made, results).loglik(results.fit.psi), abs=1e-5)


# Two have rows with an information of 1e9 and 6e5 on the linear predictor, whose last digit moves the gradient: errors
# were 1.3 % and .2 %. The last but one has nearly confounded parameters, where short steps neglect too much: 1.1 %.
@pytest.mark.parametrize("seed", [97001521, 706000032, 743000426, 743000880])
def test_standard_errors_where_a_variance_is_large_and_data_are_few(seed: int) -> None:
    """Their Hessian is made of differences, as good as the modes on either side are."""
    outcome = checks.check_seed(seed, checks.Effort(thorough=0.0, hessians=1.0))
    assert outcome.errors_checked
    assert "SE WRONG" not in outcome.labels()


def fitted_and_evaluated_again(
    seed: int, last: tuple[float, ...] = ()
) -> tuple[ml.MixedModelResults, ml.MixedModelResults]:
    """The fit of a seed, or what is there with other `last` parameters, and the verdict on what it reports."""
    made = design(seed)
    model = ml.MixedModel(**made.arguments())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = model.fit(**made.options())
        if last:
            start = [*results.fit.psi[: -len(last)], *last]
            results = model.fit(**made.options(), start=start, max_iter=0)
        points = {"n_quadrature": results.n_quadrature}
        return results, model.fit(**made.options() | points, start=results.fit.psi, max_iter=0)


@pytest.mark.parametrize("seed", [643002459, 643002681, 644000284])
def test_columns_separate_though_probabilities_of_one_leave_nothing_to_gain(seed: int) -> None:
    results, again = fitted_and_evaluated_again(seed)
    assert results.fit.status == again.fit.status == "separation"


@pytest.mark.parametrize("seed", [97000522, 97000860, 97001155, 431000968])
def test_no_maximum_without_a_residual_whatever_rounding_shows(seed: int) -> None:
    results, again = fitted_and_evaluated_again(seed)
    for one in (results, again):
        assert not one.converged
        assert "the residual standard deviation goes to zero" in one.fit.message
    if seed != 97001155:  # whose residuals are rounding alone when it ends: so is the log-likelihood
        assert again.llf == pytest.approx(results.llf, abs=1e-5)


# ---- a short run --------------------------------------------------------------------------------------------------


def test_a_seed_is_a_design() -> None:
    one, two = design(7000001), design(7000001)
    pd.testing.assert_frame_equal(one.frame, two.frame)
    assert one.formula == two.formula
    assert {design(seed).recipe.kind for seed in range(300)} == set(KINDS)
    recipes = [draw(np.random.default_rng(FULL + seed), FULL + seed) for seed in range(2000)]
    wider = [draw(np.random.default_rng(WIDER + seed), WIDER + seed).part for seed in range(400)]
    assert set(wider) >= {*WIDER_PARTS, *SEVERAL_PREDICTORS} - {"brands"}
    assert "brands" not in wider
    everything = {(recipe.family, recipe.link) for recipe in recipes}
    assert everything == set(LINKS)
    latent = [draw(np.random.default_rng(LATENT + seed), LATENT + seed) for seed in range(2000)]
    traits = [recipe for recipe in latent if recipe.kind in TRAITS]
    assert {(r.family, r.link, r.part) for r in traits} == set(OF_TRAITS)
    assert 150 < len(traits) < 250
    assert all(ItemDesign is type(design(recipe.seed)) for recipe in traits[:5])
    assert {draw(np.random.default_rng(seed), seed).family for seed in range(300)} < {
        family for family, _ in everything
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", [601_000_275, 601_001_025, 602_001_563, 674_002_282, 675_000_440])
def test_a_verdict_does_not_depend_on_who_asks(seed: int) -> None:
    """A step that is long and gains what rounding hides; a dispersion about which large counts say nothing."""
    outcome = checks.check_seed(seed, checks.Effort(thorough=0.0, hessians=0.0, after=0.0, starts=0))
    assert not any(label.isupper() for label in outcome.labels()), outcome.findings


@pytest.mark.parametrize(
    ("seed", "last", "unknown"),
    [
        # At the Poisson limit: standard errors of 5e6.
        (674_002_282, (36.7, 1.64), ["dispersion: (Intercept)", "dispersion: v"]),
        (675_000_440, (), ["(Intercept)", "x"]),  # ranges wider than the residual
    ],
)
def test_what_differences_cannot_tell_from_flat_is_not_certified(
    seed: int, last: tuple[float, ...], unknown: list[str]
) -> None:
    results, again = fitted_and_evaluated_again(seed, last)
    assert results.fit.status == again.fit.status == "not identified"
    assert ", ".join(map(repr, unknown)) in results.fit.message
    table = results.tidy()
    effect = "dispersion" if unknown[0].startswith("dispersion") else "fixed"
    terms = [name.removeprefix("dispersion: ") for name in unknown]
    own = table[(table["effect"] == effect) & table["term"].isin(terms)]
    assert len(own) == 2
    assert own["std_error"].isna().all()


def test_longer_steps_that_disagree_more_do_not_give_the_hessian() -> None:
    """Standard errors of 1e4 of the dispersion's logarithm: longer steps curved it, some evaluations took them."""
    results, again = fitted_and_evaluated_again(793_002_913, ())
    assert not results.converged
    assert not again.fit.converged
    known = len(results.params)
    np.testing.assert_allclose(
        np.diag(results.fit.covariance)[:known], np.diag(again.fit.covariance)[:known], rtol=1e-6
    )


def test_a_process_that_dies_costs_its_own_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[workers.Worker] = []
    begin = workers.Worker.__init__

    def remembered(self: workers.Worker, effort: checks.Effort) -> None:
        begin(self, effort)
        made.append(self)

    monkeypatch.setattr(workers.Worker, "__init__", remembered)
    outcomes = []
    for outcome in workers.run(iter([1, 2, 3, 4]), 1, checks.Effort(thorough=0.0), float("inf")):
        outcomes.append(outcome)
        if len(outcomes) == 1:
            made[0].process.kill()
    assert [o.seed for o in outcomes] == [1, 2, 3, 4]
    assert ["CRASH" in o.labels() for o in outcomes] == [False, True, False, False]
    assert len(made) == 2


def test_many_clusters_at_once_have_the_modes_of_each() -> None:
    """Of densities with several modes: starts side by side, finished ones left out, against one after another."""
    rng = np.random.default_rng(3)
    sizes = np.array([1, 4, 2, 7, 3, 1])
    n = sizes.sum()
    problem, psi = small("student_t", "identity", n=n, codes=(np.repeat(np.arange(6), sizes),))
    problem = replace(problem, y=rng.normal(0, 8, n))
    density, fixed, S = Density(problem, psi[3:]), problem.X @ psi[:2], rng.normal(size=(n, 2))
    together = Clusters(density, fixed, S, sizes)
    v, f = together.best(starts(together, None, True))
    for k in range(6):
        alone = together.some(np.arange(6) == k)
        found = [alone.newton(start[k : k + 1]) for start in starts(together, None, True)]
        best = max(found, key=lambda pair: pair[1][0])
        assert f[k] == pytest.approx(best[1][0], abs=1e-9)
        assert alone.value(v[k : k + 1])[0] == pytest.approx(f[k], abs=1e-9)


SHORT = range(1, 46)


@pytest.mark.slow
def test_short_run() -> None:
    """Consecutive seeds, none chosen: no silent wrong answer, no wrong likelihood or standard error, no crash."""
    wrong = {
        "SILENT WRONG",
        "NO MAXIMUM",
        "LLF WRONG",
        "MODES WRONG",
        "SE WRONG",
        "NOT FINITE",
        "NOT REPEATED",
        "CRASH",
    }
    outcomes = [checks.check_seed(seed, checks.Effort(thorough=0.0)) for seed in SHORT]
    bad = {o.seed: o.findings for o in outcomes if o.labels() & wrong}
    assert not bad
    assert sum(o.compared for o in outcomes) > 0.7 * len(outcomes)
    assert sum(o.errors_checked for o in outcomes) > 0.4 * len(outcomes)


def test_parameters_of_another_maximum_lead_there() -> None:
    """An intercept and an ar1 term, of censored responses."""
    made = design(671_000_267)
    model, options = ml.MixedModel(**made.arguments()), made.options()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml.FitWarning)
        results = model.fit(**options)
        assert results.optimization.other_maxima
        for value, psi in results.optimization.other_maxima:
            there = model.fit(**options, start=psi, max_iter=0)
            assert there.converged
            assert there.llf == pytest.approx(value, abs=1e-9)
            assert results.llf - 1.92 < value < results.llf - 1e-4
            assert np.abs(there.fit.psi - results.fit.psi).max() > 0.1
    assert ml.SeveralMaximaWarning in {category for category, _ in results.fit.verdict.remarks}
