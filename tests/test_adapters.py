"""Other packages take fits as models: their numbers are those of our own effects. Skipped without these packages."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilevel as ml

# that package's own calls of polars
pytestmark = pytest.mark.filterwarnings("ignore:.*get_categories.*:DeprecationWarning")


def needed(name: str) -> Any:
    """A package, or the test is skipped; what it warns of when it is imported is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


@pytest.fixture(scope="module")
def cattle() -> Any:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return ml.fit(formula, ml.datasets.cbpp(), family="binomial")


@pytest.fixture(scope="module")
def zeros(reference_data: Any) -> Any:
    return ml.fit(
        "count ~ mined + DOY + (1 | site)", reference_data("Salamanders"), "poisson", zero_inflation="~ mined"
    )


def same(theirs: Any, ours: pd.DataFrame) -> None:
    """Estimates to rounding, errors to what one-sided differences of that package leave."""
    np.testing.assert_allclose(theirs["estimate"], ours["estimate"], rtol=1e-7)
    np.testing.assert_allclose(theirs["std_error"], ours["std_error"], rtol=2e-5)


# ---- marginaleffects -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("random", ["marginal", "conditional", "zero"])
@pytest.mark.parametrize("outcome", ["response", "link"])
def test_comparisons_of_marginaleffects(cattle: Any, random: str, outcome: str) -> None:
    me = needed("marginaleffects")
    theirs = me.avg_comparisons(cattle.to_marginaleffects(random, outcome), variables="period")
    ours = cattle.comparisons("period", random=random, outcome=outcome).table
    assert list(theirs["contrast"]) == list(ours["contrast"])
    same(theirs, ours)
    np.testing.assert_allclose(theirs["p_value"], ours["p_value"], rtol=1e-3)
    np.testing.assert_allclose(theirs["conf_low"], ours["conf_low"], rtol=1e-4)


def test_zero_parts_have_errors_of_all_parameters(zeros: Any) -> None:
    me = needed("marginaleffects")
    model = zeros.to_marginaleffects()
    same(me.avg_comparisons(model, variables="mined"), zeros.comparisons("mined").table)
    # slopes are differences over a ten-thousandth of the range in that package
    theirs = me.avg_slopes(model, variables="DOY")
    ours = zeros.marginal_effects("DOY").table
    np.testing.assert_allclose(theirs["estimate"], ours["estimate"], rtol=1e-3)
    np.testing.assert_allclose(theirs["std_error"], ours["std_error"], rtol=1e-3)


def test_predictions_of_a_grid_and_of_a_linear_model() -> None:
    me = needed("marginaleffects")
    pupils = ml.datasets.hsb().iloc[:1500]
    fit = ml.fit("mathach ~ sector * ses + factor(minority) + (1 | school)", pupils)
    model = fit.to_marginaleffects(df_method="kenward-roger")
    rows = me.predictions(model, newdata=me.datagrid(model=model, sector=["Public", "Catholic"], ses=[0.0, 1.0]))
    new = pd.DataFrame(
        {"sector": rows["sector"].to_list(), "ses": rows["ses"].to_list(), "minority": "No", "school": "1224"}
    )
    expected = fit.predict(new, random="zero")
    np.testing.assert_allclose(rows["estimate"], expected, rtol=1e-10)
    ours = fit.comparisons("sector", df_method="kenward-roger").table
    same(me.avg_comparisons(model, variables="sector"), ours)
    robust = fit.to_marginaleffects(robust="CR1", cluster="school")
    same(
        me.avg_comparisons(robust, variables="sector"), fit.comparisons("sector", robust="CR1", cluster="school").table
    )
    with pytest.raises(ml.DataError, match=r"chosen by to_marginaleffects\(robust='HC3'\)"):
        me.avg_comparisons(model, variables="sector", vcov="HC3")


def test_what_marginaleffects_cannot_be_given(cattle: Any, reference_data: Any) -> None:
    needed("marginaleffects")
    wine = ml.fit("rating ~ temp + (1 | judge)", reference_data("wine"), family="cumulative")
    with pytest.raises(ml.DataError, match="ordered categories have no mean"):
        wine.to_marginaleffects()
    data = pd.DataFrame({"y": [1, 2, 4, 3, 5, 2] * 5, "x": np.arange(30) % 7, "g": np.arange(30) // 6})
    array = ml.fit("y ~ x + (1 | g)", data, family="poisson", offset=np.linspace(0, 1, 30), n_quadrature=3)
    with pytest.raises(ml.DataError, match="offset was given as an array"):
        array.to_marginaleffects()
    with pytest.raises(ml.DataError, match="random="):
        cattle.to_marginaleffects("none")


# ---- pymmeans --------------------------------------------------------------------------------------------------------


def test_means_of_pymmeans(cattle: Any) -> None:
    pymmeans = needed("pymmeans")
    model = cattle.to_pymmeans()
    for kind in ("link", "response"):
        theirs = pymmeans.emmeans(model, "period", type=kind).frame
        ours = cattle.marginal_means("period", kind=kind).table
        np.testing.assert_allclose(theirs["emmean"], ours["estimate"], rtol=1e-10)
        np.testing.assert_allclose(theirs["SE"], ours["std_error"], rtol=1e-10)
        np.testing.assert_allclose(theirs["upper_cl"], ours["conf_high"], rtol=1e-8)


def test_means_of_several_factors_and_covariates(zeros: Any) -> None:
    pymmeans = needed("pymmeans")
    pupils = ml.datasets.hsb().iloc[:1500]
    fit = ml.fit("mathach ~ sector * minority + ses + (1 | school)", pupils)
    theirs = pymmeans.emmeans(fit.to_pymmeans(), ["sector", "minority"]).frame
    ours = fit.marginal_means(["sector", "minority"]).table
    keys = ["sector", "minority"]
    joined = theirs.astype(dict.fromkeys(keys, str)).merge(ours.astype(dict.fromkeys(keys, str)), on=keys)
    assert len(joined) == 4
    np.testing.assert_allclose(joined["emmean"], joined["estimate"], rtol=1e-10)
    np.testing.assert_allclose(joined["SE"], joined["std_error"], rtol=1e-10)
    linear = pymmeans.emmeans(zeros.to_pymmeans(), "mined").frame
    np.testing.assert_allclose(linear["emmean"], zeros.marginal_means("mined").table["estimate"], rtol=1e-10)


def test_what_patsy_codes_otherwise_is_refused() -> None:
    needed("pymmeans")
    pupils = ml.datasets.hsb().iloc[:800]
    for part, match in [("scale(ses)", "patsy"), ("I(ses^2)", "patsy"), ("log(size)", "patsy cannot code")]:
        with pytest.raises(ml.DataError, match=match):
            ml.fit(f"mathach ~ {part} + (1 | school)", pupils).to_pymmeans()


@pytest.mark.parametrize("name", ["marginaleffects", "pymmeans"])
def test_without_the_package_the_error_says_how_to_get_it(
    cattle: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (name, f"{name}.classes", f"{name}.utils"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r'pip install "multilevel\[adapters\]"'):
        getattr(cattle, f"to_{name}")()
