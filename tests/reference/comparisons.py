"""What the package marginaleffects makes of a logistic regression without random effects: writes comparisons.json.

    python tests/reference/comparisons.py

Needs marginaleffects 0.6.0, statsmodels 0.15, pandas, polars below 2.
"""

from __future__ import annotations

import json
from pathlib import Path

import marginaleffects
import pandas as pd
import statsmodels.formula.api as smf

HERE = Path(__file__).parent

data = pd.read_csv(HERE / "data" / "Contraception.csv.gz")
data["y"] = (data["use"] == "Y").astype(int)
data["urban"], data["livch"] = data["urban"].astype("category"), data["livch"].astype("category")
fit = smf.logit("y ~ age + urban * livch", data).fit(disp=0, tol=1e-14, method="newton")


def numbers(table: object) -> dict[str, list[float]]:
    """Estimates and standard errors, in the order of the package."""
    return {name: table[name].to_list() for name in ("estimate", "std_error")}


compare = marginaleffects.avg_comparisons
result = {
    "about": "use ~ age + urban * livch of data/Contraception, binomial with logit link, no random effects",
    "livch": numbers(compare(fit, variables="livch")),
    "livch_pairwise": numbers(compare(fit, variables={"livch": "pairwise"})),
    "urban_ratio": numbers(compare(fit, variables="urban", comparison="ratio")),
    "urban_log_odds_ratio": numbers(compare(fit, variables="urban", comparison="lnoravg")),
    "urban_by_livch": numbers(compare(fit, variables="urban", by="livch")),
    "age_iqr": numbers(compare(fit, variables={"age": "iqr"})),
    "age_range": numbers(compare(fit, variables={"age": "minmax"})),
    "age_two_values": numbers(compare(fit, variables={"age": [-5, 5]})),
    "age_rows": numbers(marginaleffects.comparisons(fit, variables={"age": [-5, 5]}, newdata=data.head(6))),
    "age_slope": numbers(marginaleffects.avg_slopes(fit, variables="age")),
}
(HERE / "comparisons.json").write_text(json.dumps(result) + "\n", encoding="utf-8")
