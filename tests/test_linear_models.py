"""Linear models without random effects are those of lm() and statsmodels' OLS and WLS."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import multilevel as ml

DATA = pd.DataFrame(
    {
        "x": range(1, 11),
        "f": list("abcabcabca"),
        "y": [2.1, 3.9, 6.2, 7.7, 10.4, 12.1, 13.8, 16.4, 18.1, 19.6],
        "w": [1, 2, 0.5, 1, 3, 1, 0.25, 2, 1, 1.5],
    }
)

# summary(lm(y ~ x + f)), the same with weights = w, sigma(), logLik(), AIC(), BIC(), confint(), anova() of R 4.2.2;
# statsmodels has the same standard errors, `scale ** 0.5` and `llf`.
REFERENCE = {
    None: {
        "params": [-0.138888888889, 1.988888888889, 0.427777777778, 0.338888888889],
        "bse": [0.1775364874880, 0.0249828473393, 0.1721823928456, 0.1721823928456],
        "p": [4.63777333776e-01, 2.64492573555e-10, 4.75183069826e-02, 9.65913123122e-02],
        "sigma": 0.22484562605387,
        "llf": 3.28815497362031,
        "aic": 3.42369005275938,
        "bic": 4.93661551772962,
        "lower": [-0.57330502413391, 1.92775806365896, 0.00646264016539, -0.08242624872350],
        "sum_sq": [325.8133636, 0.3643030],
        "f": [6444.65994, 3.60300],
    },
    "w": {
        "params": [-0.243775811209, 2.002949852507, 0.486169405815, 0.344306784661],
        "bse": [0.2270211072198, 0.0291244246633, 0.1893951537264, 0.2409419136290],
        "p": [3.24186698715e-01, 6.35890156807e-10, 4.25086533601e-02, 2.02932749029e-01],
        "sigma": 0.2937093900224,
        "llf": 1.0218525930212,
        "aic": 7.9562948139576,
        "bic": 9.4692202789278,
        "lower": [-0.7992764489255, 1.9316849526409, 0.0227361596129, -0.2452568392356],
        "sum_sq": [424.9689780, 0.5715440],
        "f": [4926.30805, 3.31271],
    },
}


@pytest.mark.parametrize("weights", [None, "w"])
def test_as_lm(weights: str | None) -> None:
    wanted = REFERENCE[weights]
    results = ml.fit("y ~ x + f", DATA, weights=weights)
    np.testing.assert_allclose(results.params, wanted["params"], rtol=1e-9)
    np.testing.assert_allclose(results.bse, wanted["bse"], rtol=1e-9)
    np.testing.assert_allclose(results.tvalues, np.divide(wanted["params"], wanted["bse"]), rtol=1e-9)
    np.testing.assert_allclose(results.pvalues, wanted["p"], rtol=1e-7)
    np.testing.assert_allclose(results.conf_int()["lower"], wanted["lower"], rtol=1e-8)
    np.testing.assert_allclose(np.sqrt(np.diag(results.cov_params())), wanted["bse"], rtol=1e-9)
    assert results.family_params["sigma"] == pytest.approx(wanted["sigma"], rel=1e-10)
    for name in ("llf", "aic", "bic"):
        assert getattr(results, name) == pytest.approx(wanted[name], rel=1e-9)
    assert (results.df_model, results.df_resid) == (5, 6)  # sigma is a parameter of AIC, as lm() counts
    assert results.degrees_of_freedom().tolist() == [6.0] * 4
    assert results.glance()[["df_resid", "sigma"]].iloc[0].tolist() == pytest.approx([6, wanted["sigma"]])
    terms = results.anova(type=1)
    np.testing.assert_allclose(terms["sum_sq"], wanted["sum_sq"], rtol=1e-7)
    np.testing.assert_allclose(terms["f_value"], wanted["f"], rtol=1e-5)


def test_sigma_is_the_same_everywhere() -> None:
    results = ml.fit("y ~ x + f", DATA)
    sigma = REFERENCE[None]["sigma"]
    residual = results.vcov_table().set_index("quantity")
    assert residual.loc["sd", "estimate"] == pytest.approx(sigma, rel=1e-9)
    assert residual.loc["sd", "std_error"] == pytest.approx(sigma / np.sqrt(2 * 6), rel=1e-7)
    assert residual.loc["variance", "std_error"] == pytest.approx(sigma**2 * np.sqrt(2 / 6), rel=1e-7)
    assert results.tidy().set_index("term").loc["sd__Observation", "estimate"] == pytest.approx(sigma, rel=1e-9)
    text = str(results.summary())
    assert text.startswith("Linear model fit by least squares\n")
    assert "0.224846" in text
    assert (results.residuals() ** 2).sum() / 6 == pytest.approx(sigma**2, rel=1e-9)


def test_the_maximum_stays_where_the_likelihood_has_it() -> None:
    """psi, the gradient and the log-likelihood are those of maximum likelihood, and can be started from."""
    results = ml.fit("y ~ x + f", DATA)
    assert results.fit.psi[-1] == pytest.approx(np.log(REFERENCE[None]["sigma"] * np.sqrt(6 / 10)), rel=1e-9)
    assert np.abs(results.certificate.gradient).max() < 1e-6
    again = results.model.fit(start=results.fit.psi)
    assert again.llf == pytest.approx(results.llf, abs=1e-10)
    np.testing.assert_allclose(again.bse, results.bse, rtol=1e-9)
    assert ml.fit("y ~ x + f", DATA, method="ml").bse.equals(results.bse)


def test_other_models_are_as_before() -> None:
    """Only Gaussian models with the identity link and without random effects are least squares."""
    data = ml.datasets.sleepstudy()
    log_link = ml.fit("Reaction ~ Days", data, link="log")
    rss = float(((data["Reaction"] - log_link.fittedvalues) ** 2).sum())
    assert log_link.family_params["sigma"] == pytest.approx(np.sqrt(rss / 180), rel=1e-7)
    mixed = ml.fit("Reaction ~ Days + (1 | Subject)", data, method="ml")
    assert mixed.df_resid == 180 - 4
    assert mixed.family_params["sigma"] == pytest.approx(30.8954, abs=1e-3)  # lme4


def test_a_hypothesis_about_means_is_the_f_test_of_lm() -> None:
    smaller, larger = (ml.fit(formula, DATA, weights="w") for formula in ("y ~ x", "y ~ x + f"))

    def rss(results: ml.MixedModelResults) -> float:
        return results.family_params["sigma"] ** 2 * results.df_resid

    expected = (rss(smaller) - rss(larger)) / 2 / (rss(larger) / 6)
    for type_ in (1, 2, 3):
        assert larger.anova(type=type_).loc["f", "f_value"] == pytest.approx(expected, rel=1e-8)
