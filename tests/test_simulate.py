"""Responses drawn from fits and from given parameters."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import multilevel as ml
from multilevel.errors import DataError

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
GROUPS = pd.DataFrame({"x": np.tile([0.0, 1.0, 2.0, 3.0], 500), "g": np.repeat(np.arange(500), 4)})


def test_a_replicate_is_the_same_whatever_else_is_drawn() -> None:
    results = ml.fit(CBPP, ml.datasets.cbpp(), "binomial")
    many, few = results.simulate(30, seed=7), results.simulate(3, seed=7)
    pd.testing.assert_frame_equal(many.iloc[:, :3], few)
    assert not many[0].equals(results.simulate(1, seed=8)[0])
    assert many.index.equals(ml.datasets.cbpp().index)
    assert (many.to_numpy() <= ml.datasets.cbpp()["size"].to_numpy()[:, None]).all()


def test_moments_of_a_linear_mixed_model() -> None:
    results = ml.fit("Reaction ~ Days + (1 + Days | Subject)", ml.datasets.sleepstudy())
    drawn = results.simulate(4000, seed=1).to_numpy()
    z = np.column_stack([np.ones(10), np.arange(10)])
    expected = z @ results.random_cov["Subject"].to_numpy() @ z.T + results.residual_sd**2 * np.eye(10)
    people = drawn.reshape(18, 10, -1)
    mean = z @ results.params.to_numpy()
    np.testing.assert_allclose(people.mean(axis=(0, 2)), mean, atol=4 * np.sqrt(expected.max() / (18 * 4000)))
    own = np.einsum("sik,sjk->ij", people - mean[:, None], people - mean[:, None]) / (18 * 4000)
    np.testing.assert_allclose(own, expected, atol=4 * np.sqrt(2.0 / (18 * 4000)) * expected.max())
    conditional = results.simulate(2000, seed=1, random="conditional").to_numpy()
    error = 4 * results.residual_sd / np.sqrt(2000)
    np.testing.assert_allclose(conditional.mean(axis=1), results.fittedvalues, atol=1.2 * error)
    assert conditional.std(axis=1).mean() == pytest.approx(results.residual_sd, rel=0.01)


def test_weights_offsets_and_a_missing_row() -> None:
    data = GROUPS.iloc[:400].copy()
    data["w"], data["o"] = np.where(data["x"] > 1, 4.0, 1.0), 10.0 * data["x"]
    params = {"(Intercept)": 1.0, "x": 0.0, "g: sd__(Intercept)": 0.0, "sigma": 2.0}
    data.loc[3, "o"] = np.nan
    y = ml.simulate("~ x + (1 | g)", data, params=params, weights="w", offset="o", n=300, seed=1)
    assert y.shape == (399, 300)
    assert 3 not in y.index
    left = y.sub(data["o"].loc[y.index], axis=0) - 1.0
    light = (data["w"].loc[y.index] == 1.0).to_numpy()
    assert left[light].to_numpy().std() == pytest.approx(2.0, rel=0.01)
    assert left[~light].to_numpy().std() == pytest.approx(1.0, rel=0.01)


def test_correlated_effects_and_trials_from_given_parameters() -> None:
    params = {
        "(Intercept)": 0.5,
        "x": -0.3,
        "g: sd__(Intercept)": 1.0,
        "g: sd__x": 0.5,
        "g: cor__(Intercept).x": -0.4,
    }
    y = ml.simulate("~ x + (1 + x | g)", GROUPS, "binomial", params=params, trials=40, seed=3)[0]
    data = GROUPS.assign(y=y, n=40)
    results = ml.fit("cbind(y, n - y) ~ x + (1 + x | g)", data, "binomial")
    found = results.vcov_table().set_index("quantity")
    assert (np.abs(results.params - [0.5, -0.3]) < 3.5 * results.bse).all()
    for kind, truth in (("sd", [1.0, 0.5]), ("correlation", [-0.4])):
        own = found.loc[[kind]]
        assert (np.abs(own["estimate"] - truth) < 3.5 * own["std_error"]).all()


def test_structures_by_one_correlation() -> None:
    data = pd.DataFrame({"t": pd.Categorical(np.tile(np.arange(4), 1500)), "g": np.repeat(np.arange(1500), 4)})
    params = {"(Intercept)": 0.0, "g: sd": 2.0, "g: cor": 0.6, "sigma": 0.01}
    y = ml.simulate("~ 1 + ar1(0 + t | g)", data, params=params, seed=1)[0].to_numpy().reshape(1500, 4)
    expected = 4.0 * 0.6 ** np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    np.testing.assert_allclose(np.cov(y.T), expected, atol=0.5)


def test_zero_part_and_dispersion_by_formulas() -> None:
    data = GROUPS.iloc[:800]
    params = {"(Intercept)": 1.0, "g: sd__(Intercept)": 0.0, "zero: (Intercept)": 0.0, "zero: x": -1.0}
    y = ml.simulate("~ 1 + (1 | g)", data, "poisson", hurdle="~ x", params=params, n=200, seed=1)
    zeros = (y == 0).T.groupby(lambda _: 0).mean().T.iloc[:, 0].groupby(data["x"]).mean()
    np.testing.assert_allclose(zeros, 1 / (1 + np.exp(np.arange(4.0))), atol=0.01)
    y = ml.simulate(
        "~ 1",
        data,
        dispersion="~ x",
        params={"(Intercept)": 0, "dispersion: (Intercept)": 0, "dispersion: x": 0.5},
        n=50,
    )
    np.testing.assert_allclose(y.std(axis=1).groupby(data["x"]).mean(), np.exp(0.5 * np.arange(4.0)), rtol=0.05)


def test_random_effects_of_a_parameter() -> None:
    data = GROUPS.iloc[:400]
    params = {"(Intercept)": 0.0, "dispersion: (Intercept)": 0.0, "g: sd__dispersion: (Intercept)": 0.7}
    y = ml.simulate("~ 1", data, dispersion="~ 1 + (1 | g)", params=params, n=400, seed=1)
    log_sd = np.log((y.to_numpy().reshape(100, 4, 400) ** 2).mean(axis=1)) / 2
    # the logarithm of a mean of four squares has variance trigamma(2), and mean digamma(2) - log 2
    assert log_sd.var() == pytest.approx(0.49 + 0.6449 / 4, rel=0.02)


@pytest.fixture(scope="module")
def cut_off() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=200), "g": np.repeat(np.arange(20), 10)})
    data["y"] += 0.5 * rng.normal(size=20)[data["g"]]
    return data.assign(limit=np.where(data["g"] % 2 == 0, 0.5, 1.0))


def test_censored_responses_stand_at_their_limits(cut_off: pd.DataFrame) -> None:
    data = cut_off
    results = ml.fit("censored(y, right=limit) ~ 1 + (1 | g)", data)
    drawn, limit = results.simulate(5, seed=1), data["limit"].to_numpy()[:, None]
    assert (drawn.to_numpy() <= limit).all()
    assert (drawn.to_numpy() == limit).mean() == pytest.approx((data["y"] > data["limit"]).mean(), abs=0.1)
    # below the limit they are what an uncensored draw is
    whole = ml.fit("interval(y, y) ~ 1 + (1 | g)", data)
    own = {"(Intercept)": results.params.iloc[0], "sigma": results.residual_sd}
    own["g: sd__(Intercept)"] = np.sqrt(results.random_cov["g"].iloc[0, 0])
    latent = ml.simulate("~ 1 + (1 | g)", data, params=own, n=5, seed=1)
    np.testing.assert_allclose(drawn, np.minimum(latent, limit), rtol=1e-12)
    assert whole.simulate(1, seed=1).to_numpy().max() > 1.0


def test_errors_name_what_lacks() -> None:
    formula, data = "~ x + (1 | g)", GROUPS.iloc[:40]
    params = {"(Intercept)": 0.0, "x": 1.0, "g: sd__(Intercept)": 1.0, "sigma": 1.0}
    with pytest.raises(DataError, match=r"params lacks 'sigma'; the model has '\(Intercept\)', 'x', "):
        ml.simulate(formula, data, params={k: v for k, v in params.items() if k != "sigma"})
    with pytest.raises(DataError, match="no parameter 'sigm'; did you mean 'sigma'"):
        ml.simulate(formula, data, params={**params, "sigm": 1.0})
    with pytest.raises(DataError, match="they are not negative"):
        ml.simulate(formula, data, params={**params, "g: sd__(Intercept)": -1.0})
    with pytest.raises(DataError, match=r"sigma=-1\.0 cannot be: it is a number above zero"):
        ml.simulate(formula, data, params={**params, "sigma": -1.0})
    with pytest.raises(DataError, match="must be a number"):
        ml.simulate(formula, data, params={**params, "sigma": "1"})
    with pytest.raises(DataError, match="trials= is for families of trials"):
        ml.simulate(formula, data, params=params, trials=3)
    with pytest.raises(DataError, match="no '~'"):
        ml.simulate("x", data, params=params)
    three = "~ 1 + (0 + x + z + w | g)"
    wide = data.assign(z=data["x"] ** 2, w=np.sqrt(data["x"]))
    names = {"g: cor__x.z": 0.9, "g: cor__x.w": 0.9, "g: cor__z.w": -0.9}
    with pytest.raises(DataError, match="not those of any random effects"):
        ml.simulate(three, wide, params={"(Intercept)": 0.0, "g: sd": 1.0, "sigma": 1.0, **names})
    results = ml.fit(CBPP, ml.datasets.cbpp(), "binomial")
    for bad in (-1, 1.5, True, 2**63):
        with pytest.raises(DataError, match="seed is"):
            results.simulate(1, seed=bad)
    with pytest.raises(DataError, match="random='zero' is not available"):
        results.simulate(1, random="zero")
    with pytest.raises(DataError, match="n is 0"):
        results.simulate(0)
    weighted = ml.fit("y ~ 1", {"y": [1, 2, 3, 0], "w": [1, 2, 1, 1]}, "poisson", weights="w")
    with pytest.raises(DataError, match="cannot be drawn with prior weights"):
        weighted.simulate()


NATURAL = {
    "sigma": 0.6,
    "shape": 3.0,
    "size": 2.0,
    "dispersion": 1.3,
    "precision": 6.0,
    "nu": 1.5,
    "df": 6.0,
    "alpha": 2.0,
    "power": 1.5,
    "lower_cut": -2.0,
    "cut_distance": 4.0,
    "zero_probability": 0.3,
}
SLOW = ("conway_maxwell_poisson", "truncated_conway_maxwell_poisson")


# thresholds and choices have tests of their own


@pytest.mark.parametrize("name", ml.families().query("response not in ('categories', 'choices')")["family"])
def test_every_family_and_zero_part_comes_back_from_its_fit(name: str) -> None:
    """Drawn at given parameters, taken by the model, drawn from its fit, and fitted again."""
    data = GROUPS.iloc[: 64 if name in SLOW else 96]
    zeros = ml.Family(name).modifiers
    for zero in ("", *(own for own in ("inflation", "hurdle") if own in zeros and name not in SLOW)):
        family = ml.Family(name, zero=zero)
        own = {parameter.name: NATURAL[parameter.name] for parameter in family.parameters}
        params = {"(Intercept)": 0.6, "x": 0.1, "g: sd__(Intercept)": 0.2, **own}
        trials = 6 if family.support == "trials" else None
        y = ml.simulate("~ x + (1 | g)", data, family, params=params, seed=1, trials=trials)[0]
        left = "cbind(y, 6 - y)" if trials else "y"
        model = ml.MixedModel(f"{left} ~ x + (1 | g)", data.assign(y=y), family)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ml.FitWarning)
            results = model.fit()
            again = results.simulate(1, seed=2)
            alone = results.refit(again[0])
        assert again.dtypes.iloc[0] == (np.int64 if "counts" in family.support or trials else np.float64)
        many = model.fit_many(again)
        assert many["llf"].iloc[0] == pytest.approx(alone.llf, rel=1e-9, nan_ok=True)
        assert bool(many["converged"].all()) == alone.converged
