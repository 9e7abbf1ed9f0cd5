"""Arrays of pixels as the networks see them: three colours, some tiles exchanged, rows that come and go."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream.header import Header
from vaecodec.codec.windows import rows_at_once
from vaecodec.pictures.picture import strips


def as_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, C) without its alpha, grey as R=G=B."""
    return pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)


def paste(pixels: NDArray[np.uint8], rgb: NDArray[np.uint8], mask: NDArray[np.bool_] | None = None) -> None:
    """Write rgb (H, W, 3) into pixels (H, W, C), where the mask (H, W) is set, alpha untouched."""
    if pixels.shape[2] < 3:
        r, g, b = (rgb[..., i].astype(np.uint16) for i in range(3))
        rgb = ((r + 2 * g + b + 2) >> 2).astype(np.uint8)[..., None]
    np.copyto(pixels[..., : rgb.shape[2]], rgb, where=True if mask is None else mask[..., None])


def patched(
    pixels: NDArray[np.uint8], header: Header, patches: dict[int, Callable[[], NDArray[np.uint8]]]
) -> NDArray[np.uint8]:
    """Pixels (H, W, C) with some tiles (h, w, 3) in the place of their own: `Strips`, no second picture in memory.

    While rows are fetched downwards each tile is made once.
    """

    @lru_cache(maxsize=header.grid[1])
    def patch(index: int) -> NDArray[np.uint8]:
        return patches[index]()

    def fetch(first: int, last: int) -> NDArray[np.uint8]:
        rows = pixels[first:last].copy()
        for index in patches:
            top, left, height, width = header.tile_box(index)
            upper, lower = max(first, top), min(last, top + height)
            if upper < lower:
                paste(rows[upper - first : lower - first, left : left + width], patch(index)[upper - top : lower - top])
        return rows

    return strips(pixels.shape, fetch)


class Rolling:
    """Stands in for the pixels (H, W, C) of a picture while they are written downwards: as many rows of it as may be
    waiting for the latents below them, a row of tiles, and those of a band."""

    def __init__(self, header: Header) -> None:
        self.shape = header.height, header.width, header.channels
        self.start = 0
        waiting = (rows_at_once(header) + 1) * header.tile_side
        self.rows = np.empty((min(header.height, waiting), *self.shape[1:]), np.uint8)

    def __getitem__(self, place: tuple[slice, slice]) -> NDArray[np.uint8]:
        """A view of what is there."""
        rows, columns = place
        return self.rows[rows.start - self.start : rows.stop - self.start, columns]

    def take(self, count: int) -> NDArray[np.uint8]:
        """The next rows, whose place is free then."""
        taken = self.rows[:count].copy()
        self.rows[:-count] = self.rows[count:]
        self.start += count
        return taken
