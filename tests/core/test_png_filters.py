"""The filters of PNG's rows against a slow, obvious twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaecodec.core import png_filters

FILTERS = range(5)


def predicted(filter: int, left: int, above: int, corner: int) -> int:
    """Section 9.2 of the PNG specification."""
    p = left + above - corner
    nearest = min((left, above, corner), key=lambda one: abs(p - one))  # the first of those that are equally near
    return (0, left, above, (left + above) // 2, nearest)[filter]


def filtered_row(filter: int, row: np.ndarray, above: np.ndarray, bpp: int) -> list[int]:
    before, corner = np.r_[np.zeros(bpp, np.uint8), row], np.r_[np.zeros(bpp, np.uint8), above]
    values = zip(row.tolist(), before.tolist(), above.tolist(), corner.tolist(), strict=False)
    return [(x - predicted(filter, a, b, c)) % 256 for x, a, b, c in values]


def rows_of(seed: int, n: int, width: int, bpp: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, size), some of them smooth, and the one above them."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (n + 1, width * bpp), np.uint8)
    smooth = np.cumsum(noise % 3, axis=1, dtype=np.uint8)
    rows = np.where(rng.random((n + 1, 1)) < 0.5, noise, smooth).astype(np.uint8)
    return rows[1:].copy(), rows[0].copy()


some = {
    "seed": st.integers(0, 2**32 - 1),
    "n": st.integers(1, 8),
    "width": st.integers(1, 40),
    "bpp": st.integers(1, 4),
}


@settings(deadline=None)
@given(**some)
def test_unfiltering(seed: int, n: int, width: int, bpp: int) -> None:
    rows, above = rows_of(seed, n, width, bpp)
    kinds = np.random.default_rng(seed).integers(0, 5, n).tolist()
    behind = [above, *rows]
    filtered = [[k, *filtered_row(k, row, behind[i], bpp)] for i, (k, row) in enumerate(zip(kinds, rows, strict=True))]
    np.testing.assert_array_equal(png_filters.unfilter(np.array(filtered, np.uint8), bpp, above), rows)


@settings(deadline=None)
@given(**some)
def test_filtering_takes_the_filter_of_least_magnitudes(seed: int, n: int, width: int, bpp: int) -> None:
    rows, above = rows_of(seed, n, width, bpp)
    got = png_filters.filter_rows(rows, bpp, above)
    behind = [above, *rows]
    for i, row in enumerate(rows):
        tried = [filtered_row(filter, row, behind[i], bpp) for filter in FILTERS]
        costs = [sum(min(x, 256 - x) for x in one) for one in tried]
        best = int(np.argmin(costs))
        assert got[i].tolist() == [best, *tried[best]]


def test_magnitudes_of_long_rows() -> None:
    """Longer than is summed at a time, and so that None is best only by what stands in the last part."""
    rows = np.r_[np.zeros(2**17, np.uint8), np.full(2**17, 1, np.uint8)][None]
    above = np.r_[np.zeros(2**17, np.uint8), np.full(2**17, 128, np.uint8)]
    assert png_filters.filter_rows(rows, 1, above)[0, 0] == 1  # Sub: 1 in all
    assert png_filters.filter_rows(rows, 1, rows[0])[0, 0] == 2  # Up: 0


def test_an_unknown_filter_is_refused() -> None:
    rows = np.zeros((3, 4), np.uint8)
    rows[2, 0] = 5
    with pytest.raises(ValueError, match="filter"):
        png_filters.unfilter(rows, 3, np.zeros(3, np.uint8))


@pytest.mark.parametrize(("size", "bpp", "above"), [(6, 4, 6), (6, 3, 5), (6, 0, 6), (8, 8, 8), (0, 1, 0)])
def test_rows_that_do_not_fit_are_refused(size: int, bpp: int, above: int) -> None:
    with pytest.raises(ValueError, match="rows"):
        png_filters.filter_rows(np.zeros((2, size), np.uint8), bpp, np.zeros(above, np.uint8))
    with pytest.raises(ValueError, match="rows"):
        png_filters.unfilter(np.zeros((2, 1 + size), np.uint8), bpp, np.zeros(above, np.uint8))
