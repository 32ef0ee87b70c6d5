"""Draws the pictures that the pages show: ``python docs/pictures/make.py`` from the root of the checkout."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib.figure import Figure

import multilevel as ml

HERE = Path(__file__).resolve().parent
DPI = 80


def save(name: str, drawn: object) -> None:
    """Keeps a picture beside this file."""
    figure = drawn if isinstance(drawn, Figure) else drawn.figure  # type: ignore[attr-defined]
    figure.savefig(HERE / f"{name}.png", dpi=DPI)


def main() -> None:
    """Draws all of them."""
    sleep = ml.fit("Reaction ~ Days + (1 + Days | Subject)", ml.datasets.sleepstudy())
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    cbpp = ml.fit(formula, ml.datasets.cbpp(), family="binomial", n_quadrature=9)
    save("random_effects", sleep.plot.random_effects())
    save("fixed", cbpp.plot.fixed(exponentiate=True))
    formula = "use ~ age + I(age ** 2) + urban + livch + (1 | district)"
    contraception = ml.fit(formula, ml.datasets.contraception(), family="binomial")
    save("predictions", contraception.plot.predictions("age"))
    save("probability", contraception.plot.probability("age"))
    save("latent", contraception.plot.latent("urban"))
    fits = ml.lm_list("Reaction ~ Days | Subject", ml.datasets.sleepstudy())
    save("group_fits", fits.plot(sleep))
    table = ml.power(sleep, test="Days", effect=[2, 4, 6], sizes=[6, 12, 18, 24], n=400, seed=1)
    save("power", ml.plot_power(table))
    save("profile", sleep.plot.profile())
    save("residuals", cbpp.plot.residuals("deviance"))
    save("check", sleep.plot.check())
    save("qq", sleep.plot.qq("Subject"))
    save("quadrature", cbpp.plot.quadrature("8", n_points=5))


if __name__ == "__main__":
    main()
