"""Columns in terms of other columns, a chunk of rows at a time."""

from __future__ import annotations

import numpy as np
import pytest

from multilevel.columns.least_squares import CHUNK, dense, in_terms_of


def test_columns_in_terms_of_others() -> None:
    rng = np.random.default_rng(1)
    x, beta = (
        rng.normal(size=(150_000, 3)) * [1.0, 1e6, 1e-6] + [0.0, 1e8, 0.0],
        np.array([[1.0, 0], [2.0, 1], [3e6, 0]]),
    )
    y = x @ beta
    y[:, 1] += rng.normal(size=len(x))
    coefficients, left = in_terms_of(lambda rows: x[rows], lambda rows: y[rows], len(x))
    np.testing.assert_allclose(coefficients[:, 0], beta[:, 0], rtol=1e-6)
    size = np.linalg.norm(x, axis=0)
    expected = np.linalg.lstsq(x / size, y, rcond=None)[0] / size[:, None]
    assert left[0] < 1e-28
    outside = y[:, 1] - x @ expected[:, 1]
    assert left[1] == pytest.approx(outside @ outside / (y[:, 1] @ y[:, 1]), rel=1e-4)


def test_columns_that_depend_on_each_other() -> None:
    x = np.random.default_rng(2).normal(size=(50, 2))
    both = np.column_stack([x, x[:, 0] + x[:, 1], np.zeros(50)])
    coefficients, left = in_terms_of(lambda rows: both[rows], lambda rows: both[rows, 2:], 50)
    np.testing.assert_allclose(both @ coefficients, both[:, 2:], atol=1e-12)
    assert (left < 1e-28).all()


def test_some_rows_of_columns() -> None:
    block = dense([None, np.arange(5), np.arange(5) > 2], slice(3, 3 + CHUNK), 5)
    assert block.tolist() == [[1.0, 3.0, 1.0], [1.0, 4.0, 1.0]]
