"""The bootstrap of a fit, against other programs and against fits to data that are put together by hand."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.errors import DataError, FitWarning
from multilevel.prediction.simulate import generator
from multilevel.resampling.bootstrap import Bootstrap, Replicate
from multilevel.resampling.draws import residuals

from .reference_files import FOLDER, read_numbers

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
SLEEP = "Reaction ~ Days + (1 + Days | Subject)"
REFERENCE = json.loads((FOLDER / "resampling.json").read_text())


@pytest.fixture(scope="module")
def cbpp() -> ml.MixedModelResults:
    return ml.fit(CBPP, ml.datasets.cbpp(), "binomial")


@pytest.fixture(scope="module")
def sleep() -> ml.MixedModelResults:
    return ml.fit(SLEEP, ml.datasets.sleepstudy())


def test_parametric_bootstrap_of_lme4(cbpp: ml.MixedModelResults) -> None:
    other = pd.DataFrame(read_numbers("after_the_fit")["bootstrap"]["cbpp_logit_laplace"]["summary"])
    found = cbpp.bootstrap(4000, seed=1)
    table = found.summary()
    for name in ("mean", "std_error"):
        error = {"mean": "mean", "std_error": "sd"}[name]
        own, theirs = table[name].to_numpy(), other[error].to_numpy()
        both = np.hypot(table[f"mc_error_{error}"].to_numpy(), other[f"mc_error_{error}"].to_numpy())
        assert (np.abs(own - theirs) < 3 * both).all()
    assert len(found.failed) <= 5  # one in three thousand has no case in a period
    ends = found.conf_int()
    # three of its errors: that of a tail quantile is about 2.7 times that of the mean, here and there
    assert (np.abs(ends["lower"].to_numpy() - other["q025"]) < 11 * other["mc_error_mean"]).all()
    assert (np.abs(ends["upper"].to_numpy() - other["q975"]) < 11 * other["mc_error_mean"]).all()


def test_the_same_bits_for_any_number_of_threads(cbpp: ml.MixedModelResults, sleep: ml.MixedModelResults) -> None:
    for results, kind in ((cbpp, "parametric"), (cbpp, "cases"), (sleep, "residual")):
        one, two = (results.bootstrap(30, seed=5, kind=kind, threads=threads) for threads in (1, 2))
        pd.testing.assert_frame_equal(one.replicates, two.replicates, check_exact=True)
        more = results.bootstrap(33, seed=5, kind=kind)
        pd.testing.assert_frame_equal(more.replicates.loc[: one.n - 1], one.replicates, check_exact=True)


def test_intervals_are_those_of_boot() -> None:
    own = REFERENCE["intervals"]
    bootstrap = Bootstrap(
        kind="cases",
        seed=1,
        estimates=pd.Series([own["estimate"]], index=["t"]),
        replicates=pd.DataFrame({"t": own["replicates"]}),
        failed=pd.Series([], dtype=object),
        n_singular=0,
        _without_each=lambda: np.array(own["jackknife"])[:, None],
    )
    for method, tolerance in (("percentile", 1e-12), ("basic", 1e-12), ("normal", 1e-3), ("bca", 2e-2)):
        # boot has variances over n in the normal interval, and interpolates ranks on the normal scale
        found = bootstrap.conf_int(method, own["level"]).iloc[0].to_numpy()
        np.testing.assert_allclose(found, own[method], rtol=tolerance)
    with pytest.raises(DataError, match="999 replicates have no quantile at 5e-05; draw at least 20000"):
        bootstrap.conf_int(level=0.9999)


def test_cases_are_data_with_new_levels(sleep: ml.MixedModelResults) -> None:
    found = sleep.bootstrap(3, seed=2, kind="cases")
    data = ml.datasets.sleepstudy()
    people = list(sleep.random_effects()["level"].drop_duplicates())
    for k in range(3):
        drawn = generator(2, k).integers(0, 18, 18)
        parts = [
            data[data["Subject"].astype(str) == str(people[who])].assign(Subject=at) for at, who in enumerate(drawn)
        ]
        other = ml.fit(SLEEP, pd.concat(parts))
        np.testing.assert_allclose(found.replicates.loc[k, ["(Intercept)", "Days"]], other.params, rtol=1e-6)
        assert found.replicates.loc[k, "sigma"] == pytest.approx(other.residual_sd, rel=1e-6)


def test_cases_of_nested_and_crossed_factors() -> None:
    nested = ml.fit("strength ~ 1 + (1 | batch/cask)", ml.datasets.pastes())
    found = nested.bootstrap(3, seed=1, kind="cases")
    data = ml.datasets.pastes()
    batches = sorted(data["batch"].unique())
    for k in range(3):
        drawn = generator(1, k).integers(0, 10, 10)
        again = pd.concat([data[data["batch"] == batches[who]].assign(batch=at) for at, who in enumerate(drawn)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            other = ml.fit("strength ~ 1 + (1 | batch/cask)", again)
        assert found.replicates.loc[k, "(Intercept)"] == pytest.approx(other.params.iloc[0], rel=1e-9)
        for name, matrix in other.random_cov.items():
            own = found.replicates.loc[k, f"{name}: sd__(Intercept)"]
            assert own == pytest.approx(np.sqrt(matrix.iloc[0, 0]), rel=1e-5, abs=1e-6)
    crossed = ml.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", ml.datasets.penicillin())
    with pytest.raises(DataError, match="'plate', 'sample' cross, so that no levels are independent"):
        crossed.bootstrap(5, kind="cases")
    with pytest.raises(DataError, match="group='plot' is no grouping factor"):
        crossed.bootstrap(5, kind="cases", group="plot")
    found = crossed.bootstrap(10, seed=1, kind="cases", group="plate")
    assert found.replicates["sample: sd__(Intercept)"].std() < 0.6  # the six samples are the same in all


def test_residuals_have_the_estimated_variances(sleep: ml.MixedModelResults) -> None:
    y = residuals(sleep.fit, 1)(0, 4000)
    z = np.column_stack([np.ones(10), np.arange(10)])
    expected = z @ sleep.random_cov["Subject"].to_numpy() @ z.T + sleep.residual_sd**2 * np.eye(10)
    people = y.reshape(18, 10, -1)
    mean = (z @ sleep.params.to_numpy())[:, None]
    own = np.einsum("sik,sjk->ij", people - mean, people - mean) / (18 * 4000)
    np.testing.assert_allclose(own, expected, rtol=0.06, atol=40)
    table, parametric = (sleep.bootstrap(600, seed=1, kind=kind).summary() for kind in ("residual", "parametric"))
    ratio = (table["std_error"] / parametric["std_error"]).iloc[:2]
    assert ratio.between(0.85, 1.15).all()


def test_statistics_of_ones_own(sleep: ml.MixedModelResults) -> None:
    def ends(one: Replicate) -> dict[str, float]:
        day = pd.DataFrame({"Days": [9.0]})
        variance = one.random_cov[0][0, 0]
        return {"day9": one.predict(day)[0], "icc": variance / (variance + one.family_params["sigma"] ** 2)}

    found = sleep.bootstrap(40, seed=1, statistic=ends)
    everything = sleep.bootstrap(40, seed=1)
    line = everything.replicates["(Intercept)"] + 9 * everything.replicates["Days"]
    np.testing.assert_allclose(found.replicates["day9"], line, rtol=1e-12)
    assert found.estimates["day9"] == pytest.approx(sleep.params @ [1, 9])
    share = everything.replicates["Subject: sd__(Intercept)"] ** 2
    np.testing.assert_allclose(found.replicates["icc"], share / (share + everything.replicates["sigma"] ** 2))
    again = pickle.loads(pickle.dumps(everything))
    pd.testing.assert_frame_equal(again.conf_int("normal"), everything.conf_int("normal"))
    one = sleep.bootstrap(10, seed=1, statistic=lambda own: own.llf)
    assert one.estimates.index.tolist() == ["statistic"]
    named = sleep.bootstrap(10, seed=1, statistic=["sigma"])
    pd.testing.assert_frame_equal(named.replicates, everything.replicates.loc[:9, ["sigma"]])
    with pytest.raises(DataError, match="there is no estimate 'tau'"):
        sleep.bootstrap(10, statistic="tau")
    with pytest.raises(DataError, match="the statistic 'statistic' is nan in replicate 0"):
        sleep.bootstrap(10, statistic=lambda own: np.nan)


def test_bca_takes_the_model_without_each_cluster(sleep: ml.MixedModelResults) -> None:
    found = sleep.bootstrap(400, seed=1, statistic=["Days", "sigma"])
    data = ml.datasets.sleepstudy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        fits = [ml.fit(SLEEP, data[data["Subject"] != who]) for who in data["Subject"].unique()]
    values = np.array([[one.params["Days"], one.residual_sd] for one in fits])
    distance = values.mean(axis=0) - values
    slope = (distance**3).sum(axis=0) / (6 * (distance**2).sum(axis=0) ** 1.5)
    np.testing.assert_allclose(found._acceleration, slope, rtol=1e-4)
    ends = found.conf_int("bca")
    assert (ends["lower"] < found.estimates).all()
    assert (ends["upper"] > found.estimates).all()


def test_failures_are_counted_and_shown() -> None:
    data = pd.DataFrame({"y": [0, 1, 0, 0, 1, 1, 0, 1], "x": [0, 0, 0, 0, 1, 1, 1, 1]})
    results = ml.fit("y ~ x", data, "binomial")
    with pytest.warns(ml.ConvergenceWarning, match=r"of 100 fits did not converge \(limit 5%\) and are left out"):
        found = results.bootstrap(100, seed=1)
    assert 5 < len(found.failed) < 60
    assert found.n == 100
    assert found.failed.str.contains("no maximum|is zero|no failure").all()
    assert f"{len(found.failed)} failed" in repr(found)
    assert not set(found.failed.index) & set(found.replicates.index)


def test_a_correlation_that_is_not_defined_leaves_its_own_row() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": np.tile(np.arange(5.0), 12), "g": np.repeat(np.arange(12), 5)})
    data["y"] = data["x"] + 0.5 * rng.normal(size=12)[data["g"]] + rng.normal(size=60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        results = ml.fit("y ~ x + (1 + x | g)", data)
    found = results.bootstrap(100, seed=1)
    table = found.summary()
    assert found.n_singular > 20
    assert table.loc["g: cor__(Intercept).x", "n"] < table.loc["x", "n"] == len(found.replicates)
    assert np.isfinite(table[["mean", "std_error"]]).all(axis=None)
    assert np.isfinite(found.conf_int()).all(axis=None)


def test_a_fit_that_did_not_converge_says_so() -> None:
    with pytest.warns(ml.ConvergenceWarning, match="stopped at the limit"):
        results = ml.fit(CBPP, ml.datasets.cbpp(), "binomial", max_iter=1)
    with pytest.warns(ml.ConvergenceWarning, match="rests on where it stopped"):
        results.bootstrap(5, seed=1)
    with pytest.warns(ml.ConvergenceWarning, match="rests on where it stopped"):
        results.bootstrap(5, seed=1, kind="cases")
    with pytest.warns(ml.ConvergenceWarning, match="rests on where it stopped"):
        results.simulate(seed=1)


def test_results_that_were_saved(sleep: ml.MixedModelResults, tmp_path: Path) -> None:
    sleep.save(tmp_path / "sleep.mlz")
    again = ml.load(tmp_path / "sleep.mlz")
    for kind in ("parametric", "cases", "residual"):
        one, two = (own.bootstrap(5, seed=1, kind=kind).replicates for own in (sleep, again))
        pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_intervals_of_results(cbpp: ml.MixedModelResults) -> None:
    found = cbpp.conf_int(0.9, method="bootstrap", n=200, seed=1)
    pd.testing.assert_frame_equal(found, cbpp.bootstrap(200, seed=1).conf_int(level=0.9).iloc[:4])


def test_what_cannot_be_bootstrapped(cbpp: ml.MixedModelResults) -> None:
    with pytest.raises(DataError, match="kind='residual' needs a linear model"):
        cbpp.bootstrap(10, kind="residual")
    with pytest.raises(DataError, match="n is 1; a standard error needs two"):
        cbpp.bootstrap(1)
    with pytest.raises(DataError, match="group= names what kind='cases' resamples"):
        cbpp.bootstrap(10, group="herd")
    with pytest.raises(DataError, match="kind='wild' is not available"):
        cbpp.bootstrap(10, kind="wild")
    quasi = ml.fit(CBPP, ml.datasets.cbpp(), "binomial", method="pql")
    with pytest.raises(DataError, match="a fit by method='pql' has no likelihood"):
        quasi.bootstrap(10, kind="cases")
    with pytest.raises(DataError, match="drawing from a fit: a fit by method='pql' has no likelihood"):
        quasi.simulate()
    with pytest.raises(DataError, match="method='pql' is for a single fit"):
        quasi.model.fit_many(np.zeros((56, 1)), method="pql")
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=200), "g": np.repeat(np.arange(20), 10)})
    data["y"] += 0.5 * rng.normal(size=20)[data["g"]]
    data["end"] = np.where(data["y"] > 0.5, np.inf, data["y"])
    in_part = ml.fit("interval(y, end) ~ 1 + (1 | g)", data.assign(y=np.minimum(data["y"], 0.5)))
    with pytest.raises(DataError, match=r"known by intervals.*kind='cases'"):
        in_part.bootstrap(10)
    assert len(in_part.bootstrap(10, seed=1, kind="cases").replicates) == 10


@pytest.mark.parametrize("limit", ["0.3", "column"])
def test_censored_responses_are_drawn_and_censored_again(limit: str) -> None:
    """A replicate is the fit to a simulated response, written as the data are."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.normal(size=120), "g": np.repeat(np.arange(12), 10)})
    data["y"] = 0.5 * data["x"] + 0.5 * rng.normal(size=12)[data["g"]] + rng.normal(size=120)
    data["column"] = np.where(data["g"] % 2 == 0, 0.3, -0.2)
    formula = f"censored(y, left={limit}) ~ x + (1 | g)"
    results = ml.fit(formula, data)
    found = results.bootstrap(3, seed=5)
    drawn = results.simulate(3, seed=5)
    for k in range(3):
        other = ml.fit(formula, data.assign(y=drawn[k].to_numpy()))
        np.testing.assert_allclose(found.replicates.loc[k, ["(Intercept)", "x"]], other.params, atol=1e-5)
        assert found.replicates.loc[k, "sigma"] == pytest.approx(other.residual_sd, abs=1e-5)
    small = ml.fit(formula.replace("x + ", "1 + "), data)
    tested = ml.compare(small, results, method="bootstrap", n=9, seed=1)
    assert tested["p_value"].iloc[1] == pytest.approx(0.1)  # no response of nine drawn without x tells as much


def test_progress_is_shown_when_it_is_wanted(cbpp: ml.MixedModelResults, capsys: pytest.CaptureFixture[str]) -> None:
    quiet = cbpp.bootstrap(40, seed=1)
    assert capsys.readouterr().err == ""
    shown = cbpp.bootstrap(40, seed=1, progress=True)
    assert "40 of 40 fits" in capsys.readouterr().err
    pd.testing.assert_frame_equal(quiet.replicates, shown.replicates, check_exact=True)
    cbpp.bootstrap(5, seed=1, kind="cases", progress=True)
    assert "5 of 5 fits" in capsys.readouterr().err


def test_a_parameter_that_is_infinite_in_replicates() -> None:
    """Counts that are Poisson: the size of the negative binomial is at its limit in half of the replicates."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": np.repeat(np.arange(10), 6)})
    data["y"] = rng.poisson(np.exp(1.0 + 0.4 * rng.normal(size=10)[data["g"]]))
    with pytest.warns(ml.FitWarning, match="at its limit"):
        results = ml.fit("y ~ 1 + (1 | g)", data, "negative_binomial")
    found = results.bootstrap(40, seed=1)
    infinite = np.isinf(found.replicates["size"])
    assert 0 < infinite.sum() < 40
    assert np.isnan(found.std_error["size"])
    assert np.isfinite(found.std_error.drop("size")).all()
    ends = found.conf_int(level=0.9)
    least = np.sort(found.replicates["size"])[1:3]  # around the rank 41 * 0.05
    assert least[0] < ends.loc["size", "lower"] < least[1]
    assert np.isinf(ends.loc["size", "upper"])
    for method in ("basic", "normal"):
        with pytest.warns(ml.NotEstimableWarning, match="no limits of 'size'.*method='percentile' has"):
            assert np.isfinite(found.conf_int(method, level=0.9).drop(index="size")).all(axis=None)
