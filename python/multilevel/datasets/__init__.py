"""Small data sets to learn and to test with.

Each function returns a new pandas data frame. Grouping factors and factors are categoricals whose labels are text, with
the levels in the order given below: the first is the reference level.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["cbpp", "contraception", "hsb", "names", "pastes", "penicillin", "sleepstudy"]


def names() -> list[str]:
    """Names of the data sets, which are also the names of the functions that return them."""
    return [name for name in __all__ if name != "names"]


def cbpp() -> pd.DataFrame:
    """Contagious bovine pleuropneumonia in 15 zebu herds of the Ethiopian highlands, over four periods.

    56 rows, one per herd and period (a few herds miss some periods).

    =========  ===========  ==========================================================================
    herd       categorical  the herd, 15 levels "1" to "15"
    incidence  integer      new serological cases among the animals of the herd during the period
    size       integer      animals of the herd at the beginning of the period
    period     categorical  "1" to "4"
    =========  ===========  ==========================================================================

    Source: M. Lesnoff, G. Laval, P. Bonnet, S. Abdicho, A. Workalemahu, D. Kifle, A. Peyraud, R. Lancelot and
    F. Thiaucourt (2004), Within-herd spread of contagious bovine pleuropneumonia in Ethiopian highlands, Preventive
    Veterinary Medicine 64, 27-40.
    """
    return _read("cbpp.csv", {"herd": [str(i) for i in range(1, 16)], "period": ["1", "2", "3", "4"]})


def sleepstudy() -> pd.DataFrame:
    """Reaction time of 18 volunteers in ten days of an experiment with restricted sleep.

    180 rows, one per subject and day: the group that was allowed three hours in bed per night.

    ========  ===========  =============================================================
    Reaction  number       mean reaction time in the tests of the day, milliseconds
    Days      integer      day, 0 to 9: adaptation, baseline on day 2, then restriction
    Subject   categorical  the volunteer, 18 levels "308" to "372"
    ========  ===========  =============================================================

    Source: G. Belenky, N. J. Wesensten, D. R. Thorne, M. L. Thomas, H. C. Sing, D. P. Redmond, M. B. Russo and
    T. J. Balkin (2003), Patterns of performance degradation and restoration during sleep restriction and subsequent
    recovery: a sleep dose-response study, Journal of Sleep Research 12, 1-12.
    """
    return _read("sleepstudy.csv", {"Subject": None})


def hsb() -> pd.DataFrame:
    """Mathematics achievement of pupils in the High School and Beyond survey of 1982, United States.

    7185 rows, one per pupil, in 160 schools.

    ========  ===========  ================================================================================
    school    categorical  the school, 160 levels "1224" to "9586"
    minority  categorical  "No", "Yes": member of an ethnic minority
    sex       categorical  "Male", "Female"
    ses       number       socio-economic status: a standardized scale of the parents' education, occupation
                           and income
    mathach   number       score in the mathematics test
    sector    categorical  "Public", "Catholic"
    size      integer      pupils enrolled in the school
    meanses   number       mean of ses over the pupils of the school
    cses      number       ses minus meanses
    mathhigh  integer      1 where mathach is above its median over all pupils, else 0
    ========  ===========  ================================================================================

    meanses, cses and mathhigh are computed from the others.

    Source: S. W. Raudenbush and A. S. Bryk (2002), Hierarchical Linear Models, 2nd edition, Sage, chapter 4; a
    subsample of the survey of the National Center for Education Statistics.
    """
    schools = _read("hsb_schools.csv", {"school": None, "sector": ["Public", "Catholic"]})
    labels = list(schools["school"].cat.categories)
    pupils = _read("hsb_pupils.csv", {"school": labels, "minority": ["No", "Yes"], "sex": ["Male", "Female"]})
    frame = pupils.merge(schools, on="school", how="left")
    frame["meanses"] = frame.groupby("school", observed=True)["ses"].transform("mean")
    frame["cses"] = frame["ses"] - frame["meanses"]
    frame["mathhigh"] = (frame["mathach"] > frame["mathach"].median()).astype("int64")
    return frame


def contraception() -> pd.DataFrame:
    """Use of contraception by women in the Bangladesh Fertility Survey of 1988.

    1934 rows, one per woman, in 60 districts.

    ========  ===========  ====================================================================
    district  categorical  the district, 60 levels "1" to "61" (no woman is from "54")
    use       categorical  "N", "Y": uses contraception at the time of the survey
    livch     categorical  living children: "0", "1", "2", "3+"
    age       number       age in years, minus the mean age
    urban     categorical  "N", "Y": lives in a town
    ========  ===========  ====================================================================

    Source: N. M. Huq and J. Cleland (1990), Bangladesh Fertility Survey 1989, National Institute of Population
    Research and Training, Dhaka; analysed in F. Steele, I. Diamond and S. Amin (1996), Immunization uptake in rural
    Bangladesh: a multilevel analysis, Journal of the Royal Statistical Society A 159, 289-299.
    """
    yes_no = ["N", "Y"]
    districts = [str(i) for i in range(1, 62) if i != 54]
    return _read(
        "contraception.csv", {"district": districts, "use": yes_no, "livch": ["0", "1", "2", "3+"], "urban": yes_no}
    )


def penicillin() -> pd.DataFrame:
    """Six samples of penicillin assayed on 24 plates each: two crossed grouping factors.

    144 rows, one per plate and sample. On a plate of agar with bacteria each sample keeps a circle free of growth.

    ========  ===========  =========================================================
    diameter  integer      diameter of the circle that the sample keeps free, mm
    plate     categorical  the plate, 24 levels "a" to "x"
    sample    categorical  the sample of penicillin, 6 levels "A" to "F"
    ========  ===========  =========================================================

    Source: O. L. Davies and P. L. Goldsmith (1972), Statistical Methods in Research and Production, 4th edition,
    Oliver and Boyd, section 6.6.
    """
    return _read("penicillin.csv", {"plate": None, "sample": None})


def pastes() -> pd.DataFrame:
    """Strength of a chemical paste, by delivery batch and cask: two nested grouping factors.

    60 rows: ten batches, three casks sampled from each, two assays of each sample.

    ========  ===========  ===================================================================================
    strength  number       percentage strength of the paste in an assay
    batch     categorical  the delivery batch, 10 levels "A" to "J"
    cask      categorical  the cask within its batch, "a", "b", "c": cask "a" of one batch is not that of another
    sample    categorical  batch and cask, 30 levels "A:a" to "J:c"
    ========  ===========  ===================================================================================

    Source: O. L. Davies and P. L. Goldsmith (1972), Statistical Methods in Research and Production, 4th edition,
    Oliver and Boyd, section 6.5.
    """
    return _read("pastes.csv", {"batch": None, "cask": None, "sample": None})


def _read(file: str, levels: Mapping[str, list[str] | None]) -> pd.DataFrame:
    """Read a file of this folder; `levels` gives the categorical columns and their levels (None: sorted labels)."""
    import pandas as pd

    dtypes: dict[str, object] = {
        column: pd.CategoricalDtype(labels) if labels is not None else "str" for column, labels in levels.items()
    }
    with (files(__name__) / file).open("rb") as stream:
        frame = pd.read_csv(stream, dtype=dtypes)  # type: ignore[arg-type]
    for column, labels in levels.items():
        if labels is None:
            frame[column] = frame[column].astype("category")
    return frame
