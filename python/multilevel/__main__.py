"""``python -m multilevel``: fit the textbook example, and print what a user would see."""

from __future__ import annotations

import multilevel as ml


def main() -> None:
    """Model new cases of pleuropneumonia per herd and period, with a random intercept for each herd."""
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    print(f'>>> results = ml.fit("{formula}", ml.datasets.cbpp(), family="binomial")')
    print(">>> print(results.summary())")
    print(ml.fit(formula, ml.datasets.cbpp(), family="binomial").summary())


if __name__ == "__main__":
    main()
