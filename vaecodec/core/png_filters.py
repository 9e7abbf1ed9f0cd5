"""The filters of PNG's rows: vaecodec/core/png.c."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaecodec.core import library, pointer


def unfilter(filtered: NDArray[np.uint8], bpp: int, above: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rows (n, size) of those (n, 1 + size) behind the numbers of their filters: `vaec_png_unfilter`.

    bpp: bytes of a pixel. above: (size,), the row above the first, zeros at the top.
    Raises: ValueError for a filter that is not known.
    """
    n, size = len(filtered), filtered.shape[1] - 1
    check_rows(size, bpp, above)
    rows = np.empty((n, size), np.uint8)
    pointers = pointer(filtered, np.uint8), pointer(above, np.uint8), pointer(rows, np.uint8)
    if library().vaec_png_unfilter(pointers[0], n, size, bpp, *pointers[1:]) < n:
        raise ValueError("a filter that is not known")
    return rows


def filter_rows(rows: NDArray[np.uint8], bpp: int, above: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rows (n, size) each behind the number of its filter, (n, 1 + size): `vaec_png_filter`.

    Args: as `unfilter`.
    """
    n, size = rows.shape
    check_rows(size, bpp, above)
    work, filtered = np.empty((5, size), np.uint8), np.empty((n, 1 + size), np.uint8)
    pointers = pointer(above, np.uint8), pointer(work, np.uint8), pointer(filtered, np.uint8)
    library().vaec_png_filter(pointer(rows, np.uint8), n, size, bpp, *pointers)
    return filtered


def check_rows(size: int, bpp: int, above: NDArray[np.uint8]) -> None:
    """Raises: ValueError where no whole pixels fit into a row, or the one above is of another size."""
    if not 1 <= bpp <= 4 or size < bpp or size % bpp or above.shape != (size,):
        raise ValueError("rows of no whole pixels, or of unequal sizes")
