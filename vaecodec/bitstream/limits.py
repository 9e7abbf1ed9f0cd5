"""How large a picture may be, for programs that open files of others. Standard library only.

Work follows whole cells of 16 x 16 pixels and tiles, and memory follows the longer side: a picture one pixel wide costs
as much as one of 16. So a limit in pixels is also one on the work and on each side.
"""

from __future__ import annotations

import math
from typing import Protocol

from vaecodec.errors import LimitError, VaecError

MAX_PIXELS = 2**28  # of a picture, by default
MAX_SIDE = 2**15  # pixels, as libavif's default (imageDimensionLimit); more where the limit of pixels is above its own
CELL = 16  # pixels per side of one position of y
TILE_LEAST = 16  # cells that a tile counts for at least
GRANTED = 2**20  # pixels of work that every limit allows: about a second
SCALES = (2, 4, 8)  # a picture may be decoded at 1/2, 1/4, 1/8 of its size
Region = tuple[int, int, int, int]  # left, top, width, height


class Size(Protocol):
    """What a header says of a picture's size, in pixels."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def tile_side(self) -> int: ...


def check_size(width: int, height: int, max_pixels: int | None, tile_side: int = 64 * CELL) -> None:
    """Refuse a picture that is larger than `max_pixels`, or much more work than that. 0 or None: no limit.

    Raises: LimitError.
    """
    if max_pixels and width * height > max_pixels:
        raise LimitError(f"{width} x {height} is more than the limit of {max_pixels} pixels")
    check_work(width, height, max_pixels, tile_side)


def check_work(width: int, height: int, max_pixels: int | None, tile_side: int = 64 * CELL) -> None:
    """Refuse a picture of which less may be made, but all must be looked at. Raises: LimitError."""
    if not max_pixels:
        return
    side = max(MAX_SIDE, 2 * math.isqrt(max_pixels))
    if max(width, height) > side:
        raise LimitError(f"{width} x {height} is more than the limit of {side} pixels a side")
    work = worked(width, height, tile_side)
    if work > max(2 * max_pixels, GRANTED):
        raise LimitError(f"{width} x {height} is as much work as {work} pixels, too much for a limit of {max_pixels}")


def worked(width: int, height: int, tile_side: int) -> int:
    """The pixels of a square that is as much work as a picture: whole cells, and some for each tile."""
    cells = -(-width // CELL) * -(-height // CELL)
    tiles = -(-width // tile_side) * -(-height // tile_side)
    return max(cells, TILE_LEAST * tiles) * CELL**2


def check_region(header: Size, region: Region, max_pixels: int | None) -> None:
    """Raises: VaecError unless the region has pixels and lies within the picture; LimitError where it is too large."""
    left, top, width, height = region
    if min(left, top) < 0 or min(width, height) < 1 or left + width > header.width or top + height > header.height:
        size = f"{header.width} x {header.height}"
        raise VaecError(f"a region of {width} x {height} at {left},{top} is not within the picture of {size}")
    check_size(width, height, max_pixels)


def check_scale(header: Size, scale: int, max_pixels: int | None) -> None:
    """Raises: VaecError where the scale is none of SCALES; LimitError where the picture at 1/scale is too large, or is
    too much work."""
    if scale not in SCALES:
        raise VaecError(f"scale 1/{scale} is not one of 1/2, 1/4 and 1/8")
    check_size(-(-header.width // scale), -(-header.height // scale), max_pixels)
    check_work(header.width, header.height, max_pixels, header.tile_side)


def scale_within(header: Size, size: int) -> int:
    """The smallest scale 1/1, 1/2, 1/4 or 1/8 at which the longer side still has `size` pixels."""
    longer = max(header.width, header.height)
    return next((k for k in reversed(SCALES) if longer >= k * size), 1)


def check_within(header: Size, size: int, max_pixels: int | None) -> None:
    """Raises: VaecError where no picture fits into `size` pixels each way; LimitError where what does is too large, or
    is too much work."""
    if size < 1:
        raise VaecError(f"no picture fits into {size} pixels")
    longer = max(header.width, header.height)
    share = min(1.0, size / longer)
    check_size(round(header.width * share) or 1, round(header.height * share) or 1, max_pixels)
    check_work(header.width, header.height, max_pixels, header.tile_side)
