"""Quasi-likelihood, against fixed points of the iteration that R's glmmPQL makes, computed in R."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml

from .reference_files import read_data, read_numbers

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
METHODS = {
    "pql": "pql_ml_scale_free",
    "pql-reml": "pql_reml_scale_free",
    "mql": "mql_ml_scale_free",
    "mql-reml": "mql_reml_scale_free",
    "mspl": "pql_ml_scale1",
    "rspl": "pql_reml_scale1",
    "mmpl": "mql_ml_scale1",
    "rmpl": "mql_reml_scale1",
}


def bacteria() -> pd.DataFrame:
    data = read_data("bacteria")
    data["late"] = 1 * (data["week"] > 2)
    data["trt"] = pd.Categorical(data["trt"], ["placebo", "drug", "drug+"])
    return data


MODELS = {
    "bacteria": ("y ~ trt + late + (1 | ID)", "binomial", 1e-6),
    "cbpp": (CBPP, "binomial", 1e-6),
    "contraception_slope": ("use ~ age + I(age ** 2) + urban + livch + (1 + urban | district)", "binomial", 1e-5),
    "epil": ("y ~ lbase * trt + lage + V4 + (1 | subject)", "poisson", 1e-6),
}


def data_of(name: str) -> pd.DataFrame:
    if name == "bacteria":
        return bacteria()
    return read_data("Contraception" if name.startswith("contraception") else name)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MODELS)
def test_fixed_points(name: str, method: str) -> None:
    formula, family, tolerance = MODELS[name]
    reference = read_numbers("after_the_fit")["pql"][name][METHODS[method]]
    results = ml.fit(formula, data_of(name), family, method=method)
    assert results.converged
    assert results.method == method
    fixed, random = reference["fixed"], reference["random"][0]
    # the interaction comes last here and before the two covariates there; nothing else is in another order
    ours, theirs = np.sort(results.params.to_numpy()), np.sort([own["estimate"] for own in fixed])
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(np.sort(results.bse), np.sort([own["se"] for own in fixed]), rtol=10 * tolerance)
    (covariance,) = results.random_cov.values()
    np.testing.assert_allclose(covariance, random["cov"], rtol=10 * tolerance)
    if METHODS[method].endswith("free"):
        assert results.residual_sd == pytest.approx(reference["sigma"], rel=tolerance)
        assert "Residual" in str(results)
    else:
        assert "scale 1)" in str(results)
        assert "Residual" not in str(results)
        assert len(results.vcov_table().query("group == 'Residual'")) == 0


def multicenter() -> pd.DataFrame:
    """Side effects of two procedures in 15 centers: the first example of the GLIMMIX chapter of SAS/STAT's manual."""
    patients = [[32, 33], [30, 28], [23, 24], [22, 22], [20, 21], [19, 20], [17, 17], [16, 15], [13, 14], [13, 13]]
    patients += [[11, 12], [10, 9], [9, 9], [8, 8], [7, 8]]
    affected = [14, 18, 4, 8, 14, 9, 7, 10, 6, 12, 1, 3, 2, 6, 7, 9, 1, 5, 3, 1, 1, 2, 1, 0, 2, 6, 1, 1, 1, 0]
    data = pd.DataFrame({"center": np.repeat(np.arange(15), 2), "n": np.ravel(patients), "affected": affected})
    return data.assign(group=pd.Categorical(np.tile(["A", "B"], 15), ["B", "A"]))


def test_the_default_of_glimmix() -> None:
    """The numbers that SAS prints of that example, to all their digits."""
    results = ml.fit("cbind(affected, n - affected) ~ group + (1 | center)", multicenter(), "binomial", method="rspl")
    np.testing.assert_allclose(results.params, [-0.8071, -0.4896], atol=5.1e-5)
    np.testing.assert_allclose(results.bse, [0.2514, 0.2034], atol=5.1e-5)
    variance = results.vcov_table().query("quantity == 'variance'").iloc[0]
    np.testing.assert_allclose(variance[["estimate", "std_error"]].astype(float), [0.6176, 0.3181], atol=5.1e-5)
    for style in ("lme", "sas", "spss", "stata"):
        page = str(results.summary(style=style))
        assert ".617" in page or ".78588" in page  # the variance, or its root


def test_what_has_no_likelihood() -> None:
    results = ml.fit(CBPP, ml.datasets.cbpp(), "binomial", method="pql")
    other = ml.fit(CBPP, ml.datasets.cbpp(), "binomial")
    for ask in (
        lambda: results.llf,
        lambda: results.deviance,
        lambda: results.aic,
        lambda: results.information_criteria(),
        lambda: other.compare(results),
    ):
        with pytest.raises(ml.DataError, match="a fit by method='pql' has no likelihood"):
            ask()
    assert np.isnan(results.glance()["llf"][0])
    page = str(results)
    assert "penalized quasi-likelihood (ML)" in page
    assert "logLik" not in page
    assert "Residual" in page
    assert ("fit", "logLik") not in ml.table(results).index


def test_the_rest_works(tmp_path: Any) -> None:
    results = ml.fit(CBPP, ml.datasets.cbpp(), "binomial", method="pql-reml")
    assert results.predict().between(0, 1).all()
    assert len(results.random_effects()) == 15
    tidy = results.tidy().set_index("term")
    assert tidy.loc["sd__Observation", "estimate"] == results.residual_sd
    again = results.refit(ml.datasets.cbpp()["incidence"], method="pql-reml")
    pd.testing.assert_series_equal(again.params, results.params)
    results.save(tmp_path / "fit.zip")
    pd.testing.assert_series_equal(ml.load(tmp_path / "fit.zip").params, results.params)


def test_a_gamma_model_and_given_parameters() -> None:
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(20), 8), rng.normal(size=160)
    mu = np.exp(1 + 0.4 * x + rng.normal(0, 0.4, 20)[g])
    data = {"y": rng.gamma(4.0, mu / 4.0), "k": rng.negative_binomial(2, 2 / (2 + mu)), "x": x, "g": g}
    # MASS 7.3-58.2: glmmPQL with Gamma("log") and negative.binomial(2), which stops a little early
    gamma = ml.fit("y ~ x + (1 | g)", data, "gamma", method="pql")
    np.testing.assert_allclose(gamma.params, [1.17485157, 0.44637333], atol=2e-4)
    assert gamma.residual_sd == pytest.approx(0.431253447, abs=2e-4)
    assert np.sqrt(gamma.random_cov["g"].iloc[0, 0]) == pytest.approx(0.375593731, abs=2e-4)
    counts = ml.fit("k ~ x + (1 | g)", data, ml.Family("negative_binomial", size=2.0), method="pql")
    np.testing.assert_allclose(counts.params, [1.172707888, 0.349343314], atol=2e-4)
    assert counts.residual_sd == pytest.approx(1.03212875, abs=3e-4)
    with pytest.raises(ml.DataError, match="variance function of the mean alone, which 'negative_binomial' is not"):
        ml.fit("k ~ x + (1 | g)", data, "negative_binomial", method="pql")
    with pytest.raises(ml.DataError, match="variance function of the mean alone"):
        ml.fit("y ~ x + (1 | g)", data, "student_t", method="pql")


@pytest.mark.parametrize(
    ("formula", "options", "message"),
    [
        ("y ~ x", {}, "the formula has no random effects"),
        ("y ~ x + (1 | g)", {"family": "gaussian"}, "exact likelihood"),
        ("y ~ x + (1 | g)", {"zero_inflation": True}, "mean and variance alone"),
        ("y ~ x + (1 | g)", {"n_quadrature": 5}, "n_quadrature= goes with method='ml'"),
        ("y ~ x + (1 | g)", {"start": [0.0]}, "start= goes with method='ml'"),
        ("y ~ x + (1 | g)", {"method": "pql2"}, "method='pql2' is not known"),
    ],
)
def test_what_it_does_not_take(formula: str, options: dict[str, Any], message: str) -> None:
    rng = np.random.default_rng(0)
    data = {"y": rng.poisson(2.0, 60), "x": rng.normal(size=60), "g": np.repeat(np.arange(10), 6)}
    with pytest.raises(ml.DataError, match=message):
        ml.fit(formula, data, **{"family": "poisson", "method": "pql"} | options)


def test_what_comes_after_needs_a_likelihood() -> None:
    results = ml.fit(CBPP, ml.datasets.cbpp(), "binomial", method="pql")
    for ask in (
        lambda: results.profile("period[2]"),
        lambda: results.conf_int(method="profile"),
        lambda: results.bootstrap(10, seed=1),
        lambda: results.simulate(2, seed=1),
        lambda: results.cov_params(robust="CR1"),
        lambda: results.random_effects(kind="mean"),
        lambda: results.cluster_contributions(),
    ):
        with pytest.raises(ml.DataError, match="a fit by method='pql' has no likelihood"):
            ask()
    assert results.model is not None
    with pytest.raises(ml.DataError, match="method='pql' is for a single fit"):
        results.model.fit_many(np.zeros((56, 2)), method="pql")
