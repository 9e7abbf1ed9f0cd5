"""How a picture is divided for work in bounded memory: bands of rows of tiles, stripes of columns, windows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from vaecodec.bitstream.header import CELL, Header

WINDOW = 72 * 44  # positions of y in a window and its margin, more or less: a Kodak picture is one window
TALLEST = 64  # rows of y in a window, without its margin: those of the largest tile
BAND = TALLEST**2  # positions of y in a band: at least those of a tile of the largest size
NARROWEST = 16  # columns of y in a stripe: its margins are work that another stripe does too


def rows_at_once(header: Header) -> int:
    """How many rows of tiles make a band: one, or more of a narrow picture."""
    return max(1, BAND // (header.tile_side // CELL * -(-header.width // CELL)))


def bands(header: Header, step: int | None = None) -> Iterator[range]:
    """The rows of tiles of each band of a picture; `step` of them, by default as many as `rows_at_once` says."""
    rows, step = header.grid[0], step or rows_at_once(header)
    for first in range(0, rows, step):
        yield range(first, min(first + step, rows))


def tile_shape(header: Header, row: int, column: int) -> tuple[int, int]:
    """Height and width of a tile in positions."""
    _, _, height, width = header.tile_box(row * header.grid[1] + column)
    return -(-height // CELL), -(-width // CELL)


def windows(
    first: int, last: int, w: int, h: int, margin: int, size: int | None = None
) -> Iterator[tuple[slice, slice, slice, slice]]:
    """Windows that cover rows first..last of an h x w grid: (rows, columns) of each, then with its margin. As tall as a
    tile may be, where no `size` is given, and as wide as that leaves room for: so margins are looked at least often."""
    height = max(1, min(size or TALLEST, last - first))
    width = size or max(WINDOW // (height + 2 * margin) - 2 * margin, TALLEST // 4, 1)
    for top in range(first, last, height):
        bottom = min(top + height, last)
        for left in range(0, w, width):
            right = min(left + width, w)
            outer_rows = slice(max(0, top - margin), min(h, bottom + margin))
            outer_columns = slice(max(0, left - margin), min(w, right + margin))
            yield slice(top, bottom), slice(left, right), outer_rows, outer_columns


def inner(outer: slice, part: slice, cell: int = 1) -> slice:
    """Where `part` lies within `outer`, in units of 1/cell positions."""
    return slice((part.start - outer.start) * cell, (part.stop - outer.start) * cell)


def stripes(width: int, count: int, margin: int) -> list[tuple[slice, slice]]:
    """Columns of positions in at most so many parts of about equal widths, each alone and with its margin."""
    count = max(1, min(count, width // NARROWEST))
    edges = [width * k // count for k in range(count + 1)]
    parts = [slice(a, b) for a, b in itertools.pairwise(edges)]
    return [(part, slice(max(0, part.start - margin), min(width, part.stop + margin))) for part in parts]
